/* restore: a backup becomes the state directory of a node that is not running.
 *
 * First everything is verified and nothing touched. Then the copy is made in STATE.restoring, which holds a file of that name until it is whole and on disk; then the two
 * directories change names at once (RENAME_EXCHANGE), and the old one is called STATE.before-restore-TIME. So whenever it is killed STATE is either the old state, whole, or the new
 * one, whole. What a killed restore left as STATE.restoring goes by its mark: with it, it is half a copy and is removed; without, it is a whole state and is kept. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/parse.h"
#include "actors/tools/copying.h"
#include "actors/tools/ledger.h"
#include "actors/tools/manifest.h"
#include "actors/tools/statedir.h"
#include "actors/tools/tool.h"
#include "actors/tools/verify.h"

#define MARK "restoring"

struct restore {
	struct tool *t;
	struct verified backup;
	char state[PATH_MAX], made[PATH_MAX], kept[PATH_MAX]; /* kept: empty where there was no state */
	int lock;
	bool directories;          /* of the pass: modes of directories; else all is copied */
	struct progress progress;
	struct copying copying;
};

/* --- where to --- */

static int find_state(struct restore *x)
{
	struct tool *t = x->t;
	const char *was = json_string_value(json_object_get(x->backup.manifest.head, "state_dir"));
	const char *given = tool_has(t, OPT_STATE_DIR) ? tool_option(t, OPT_STATE_DIR) : was ? was : "";
	char above[PATH_MAX], real[PATH_MAX];
	struct error e;
	if (!*given)
		return tool_usage(t, "the backup does not say where it was: --state-dir DIR");
	if (realpath(given, x->state))
		return 0;
	if (errno != ENOENT)
		return tool_file(t, given, errno);
	char plain[PATH_MAX];
	snprintf(plain, sizeof plain, "%s", given);
	for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/';)
		plain[--n] = '\0';
	const char *slash = strrchr(plain, '/');
	int r = copy_above(above, plain, &e);
	if (!r && !realpath(above, real))
		return tool_file(t, above, errno);
	if (!r)
		r = copy_path(x->state, real, slash ? slash + 1 : plain, &e);
	return r ? tool_fail(t, &e) : 0;
}

static int name_others(struct restore *x, struct error *e)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	char stamp[32];
	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	if (snprintf(x->made, sizeof x->made, "%s." MARK, x->state) >= (int)sizeof x->made || snprintf(x->kept, sizeof x->kept, "%s.before-restore-%s", x->state, stamp) >= (int)sizeof x->kept)
		return error_set(e, ERROR_TOO_LARGE, "the path %.100s… is too long", x->state);
	for (unsigned n = 2; access(x->kept, F_OK) == 0 && n < 100; n++)
		snprintf(x->kept, sizeof x->kept, "%.*s.before-restore-%s.%u", PATH_MAX - 64, x->state, stamp, n);
	return 0;
}

/* What is there must be a node's, or nothing: any directory may be named by mistake. */
static int lock_state(struct restore *x, struct error *e)
{
	char node[PATH_MAX];
	int r = copy_path(node, x->state, STATE_NODE, e);
	if (r || (access(x->state, F_OK) < 0 && errno == ENOENT))
		return r;
	if (access(node, F_OK) < 0 && !state_is_empty(x->state)) {
		error_set(e, ERROR_EXISTS, "%.150s is no state directory of a node, and not empty", x->state);
		error_cure(e, "name one with --state-dir, or a directory that is not there");
		return ERROR_EXISTS;
	}
	return state_lock(x->state, &x->lock, e);
}

/* --- the copy --- */

/* By name, as between machines the numbers differ; by number where nobody has the name. */
static uid_t user_of(const struct manifest_entry *m)
{
	const struct passwd *p = *m->user ? getpwnam(m->user) : NULL;
	return p ? p->pw_uid : m->uid;
}

static gid_t group_of(const struct manifest_entry *m)
{
	const struct group *g = *m->group ? getgrnam(m->group) : NULL;
	return g ? g->gr_gid : m->gid;
}

static int set_owner(int fd, const char *path, const struct manifest_entry *m, struct error *e)
{
	if (geteuid() == 0 && fchown(fd, user_of(m), group_of(m)) < 0)
		return copy_failed(e, "give away", path, errno);
	return fchmod(fd, m->mode) < 0 ? copy_failed(e, "set the mode of", path, errno) : 0;
}

static int copy_directory(struct restore *x, const char *to, const struct manifest_entry *m, struct error *e)
{
	if (!x->directories)
		return mkdir(to, 0700) < 0 && errno != EEXIST ? copy_failed(e, "create", to, errno) : 0;
	_cleanup_(closep) int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? copy_failed(e, "open", to, errno) : set_owner(fd, to, m, e);
}

static int copy_file(struct restore *x, const char *from, const char *to, const struct manifest_entry *m, struct error *e)
{
	uint64_t size;
	uint32_t crc;
	_cleanup_(closep) int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return copy_failed(e, "read", from, errno);
	_cleanup_(closep) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return copy_failed(e, "create", to, errno);
	int r = copy_bytes(&x->copying, in, out, from, &size, &crc, e);
	if (!r && (size != m->size || crc != m->crc))
		r = error_set(e, ERROR_CORRUPT, "%.150s changed while it was read", from);
	if (!r)
		r = set_owner(out, to, m, e);
	if (!r)
		r = copy_sync(out, to, e);
	if (!r)
		fault_point("restore.after_file");
	return r;
}

static int copy_entry(void *ctx, const struct manifest_entry *m, struct error *e)
{
	struct restore *x = ctx;
	char from[PATH_MAX], to[PATH_MAX];
	int r = copy_path(from, x->backup.state, m->path, e);
	if (!r)
		r = copy_path(to, x->made, m->path, e);
	if (r)
		return r;
	if (m->directory)
		return copy_directory(x, to, m, e);
	return x->directories ? 0 : copy_file(x, from, to, m, e);
}

/* What a killed restore left. */
static int clear_way(struct restore *x, struct error *e)
{
	char mark[PATH_MAX];
	int r = copy_path(mark, x->made, MARK, e);
	if (r || access(x->made, F_OK) < 0)
		return r;
	if (access(mark, F_OK) == 0)
		return copy_remove(x->made, e);
	if (renameat2(AT_FDCWD, x->made, AT_FDCWD, x->kept, RENAME_NOREPLACE) < 0)
		return copy_failed(e, "move aside", x->made, errno);
	if (!tool_quiet(x->t))
		fprintf(stderr, "%s: what an interrupted restore had replaced, or was about to put there\n", x->kept);
	return name_others(x, e);
}

static int make_copy(struct restore *x, struct error *e)
{
	char mark[PATH_MAX];
	int r = clear_way(x, e);
	if (!r)
		r = copy_path(mark, x->made, MARK, e);
	if (r)
		return r;
	if (mkdir(x->made, 0700) < 0)
		return copy_failed(e, "create", x->made, errno);
	_cleanup_(closep) int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return copy_failed(e, "create", mark, errno);
	progress_begin(&x->progress, "KiB restored", x->backup.manifest.bytes >> 10, tool_quiet(x->t));
	x->copying = (struct copying){ .progress = &x->progress };
	r = manifest_each(x->backup.path, copy_entry, x, e);
	x->directories = true;
	if (!r)
		r = manifest_each(x->backup.path, copy_entry, x, e);
	if (!r)
		r = copy_sync_directories(x->made, e);
	if (r)
		progress_clear(&x->progress);
	else
		progress_end(&x->progress, x->copying.bytes >> 10);
	fault_point("restore.before_mark");
	if (!r && unlink(mark) < 0)
		r = copy_failed(e, "remove", mark, errno);
	return r ? r : copy_sync_directory(x->made, e);
}

static int exchange(struct restore *x, struct error *e)
{
	char above[PATH_MAX];
	int r = copy_above(above, x->state, e);
	if (r)
		return r;
	fault_point("restore.before_exchange");
	bool there = x->lock >= 0;
	if (renameat2(AT_FDCWD, x->made, AT_FDCWD, x->state, there ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0) {
		r = copy_failed(e, "put the copy in the place of", x->state, errno);
		error_cure(e, "the copy is whole: %.100s; move the old state aside, then give it the name", x->made);
		return r;
	}
	fault_point("restore.after_exchange");
	if (there && renameat2(AT_FDCWD, x->made, AT_FDCWD, x->kept, RENAME_NOREPLACE) < 0)
		return copy_failed(e, "move aside", x->made, errno);
	if (!there)
		x->kept[0] = '\0';
	return copy_sync_directory(above, e);
}

/* --- the verb --- */

static void report(const struct restore *x, bool dry_run)
{
	const json_t *head = x->backup.manifest.head;
	const char *node = json_string_value(json_object_get(head, "node")), *at = json_string_value(json_object_get(head, "began_at"));
	size_t i;
	json_t *row;
	if (tool_has(x->t, OPT_JSON)) {
		row = json_object();
		row_text(row, "backup", x->backup.dir);
		row_text(row, "node", node);
		row_text(row, "taken_at", at);
		row_text(row, "state_dir", x->state);
		row_text(row, "kept", dry_run ? NULL : x->kept);
		row_flag(row, "dry_run", dry_run);
		row_number(row, "files", x->backup.manifest.files);
		row_number(row, "bytes", x->backup.manifest.bytes);
		json_object_set(row, "ledgers", x->backup.ledgers);
		_cleanup_(freep) char *line = row_json(row);
		json_decref(row);
		if (line)
			puts(line);
		return;
	}
	if (tool_has(x->t, OPT_QUIET))
		return;
	printf("%s %s, of %s\n", dry_run ? "would restore" : "restored", x->state, at ? at : "?");
	json_array_foreach(x->backup.ledgers, i, row)
		ledger_print(stdout, row);
	if (!dry_run && x->kept[0])
		printf("  what was there is now %s\n", x->kept);
}

static int run(struct restore *x)
{
	struct tool *t = x->t;
	struct error e = { .code = ERROR_NONE };
	bool dry_run = tool_has(t, OPT_DRY_RUN);
	char n[32];
	int status = find_state(x);
	if (status)
		return status;
	int r = dry_run ? 0 : lock_state(x, &e);
	if (!r)
		r = backup_verify(t, &x->backup, &e);
	if (!r)
		r = name_others(x, &e);
	if (r)
		return tool_fail_code(t, r, &e);
	if (!dry_run) {
		const char *at = json_string_value(json_object_get(x->backup.manifest.head, "began_at"));
		status = tool_confirm(t, "Replace %.120s by the backup of %s with %s tasks?", x->state, at ? at : "?", number_grouped(ledger_tasks(x->backup.ledgers), n, sizeof n));
		if (status)
			return status;
		r = make_copy(x, &e);
		if (!r)
			r = exchange(x, &e);
		if (r)
			return tool_fail_code(t, r, &e);
	}
	report(x, dry_run);
	return EXIT_OK;
}

int verb_restore(struct tool *t)
{
	struct restore x = { .t = t, .lock = -1 };
	struct error e = { .code = ERROR_NONE };
	int r = backup_open(&x.backup, t->args.words[0], &e);
	int status = r ? tool_fail_code(t, r, &e) : run(&x);
	if (x.lock >= 0)
		close(x.lock);
	backup_close(&x.backup);
	return status;
}
