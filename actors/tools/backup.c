/* backup: the state directory of a node, as it runs or not, in a directory of its own.
 *
 * Payload files never change and are named by what is in them, so their order is: what is there, then the ledger, then what came meanwhile. Whatever the copied ledger names is
 * then in the copy. The node's number file comes last: it is never older than the incarnations in the copied ledgers.
 *
 * All of it is made in DIR.tmp, which has no MANIFEST until everything else is on disk, and gets its name at the very end. What a killed backup left is removed by the next to the same
 * directory; a lock tells it from one that is at work. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
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

enum pass { PASS_BLOBS, PASS_STORES, PASS_LATER_BLOBS, PASS_FILES, PASS_NODE };

struct backup {
	struct tool *t;
	char from[PATH_MAX], to[PATH_MAX], tmp[PATH_MAX];
	int lock;
	enum pass pass;
	struct manifest_writer manifest;
	struct copying copying;
	struct progress progress;
	uint64_t total, began_ms;
	json_t *ledgers;
};

/* --- where from, where to --- */

/* Of the running node, where nobody named one. An exit status. */
static int ask_state_dir(struct tool *t, char out[static PATH_MAX])
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__StatusAsk ask = TROUPE__STATUS_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
	env.status_ask = &ask;
	int code = talk_ask(t->talk, NULL, &env, t->timeout_ms, &arena, &answer, &e);
	if (code == ERROR_NOT_REACHABLE)
		error_cure(&e, "of a node that is down: troupe %s --state-dir DIR", t->verb->name);
	if (code != 0)
		return tool_fail_code(t, code, &e);
	snprintf(out, PATH_MAX, "%s", answer->body_case == TROUPE__ENVELOPE__BODY_STATUS ? answer->status->state_dir : "");
	return 0;
}

static int find_source(struct backup *b)
{
	char given[PATH_MAX];
	if (tool_has(b->t, OPT_STATE_DIR)) {
		snprintf(given, sizeof given, "%s", tool_option(b->t, OPT_STATE_DIR));
	} else {
		int status = ask_state_dir(b->t, given);
		if (status)
			return status;
	}
	if (!realpath(given, b->from))
		return tool_file(b->t, given, errno);
	char node[PATH_MAX];
	struct error e;
	int r = copy_path(node, b->from, STATE_NODE, &e);
	if (!r && access(node, F_OK) < 0) {
		r = copy_failed(&e, "find", node, errno);
		error_cure(&e, "name the state directory of a node, such as /var/lib/troupe");
	}
	return r ? tool_fail(b->t, &e) : 0;
}

static int find_target(struct backup *b)
{
	struct tool *t = b->t;
	struct error e;
	struct stat st;
	char above[PATH_MAX];
	snprintf(b->to, sizeof b->to, "%s", t->args.words[0]);
	for (size_t n = strlen(b->to); n > 1 && b->to[n - 1] == '/';)
		b->to[--n] = '\0';
	if (snprintf(b->tmp, sizeof b->tmp, "%s.tmp", b->to) >= (int)sizeof b->tmp - 300)
		return tool_usage(t, "the path %.100s is too long", b->to);
	if (lstat(b->to, &st) == 0) {
		error_set(&e, ERROR_EXISTS, "%.200s is there already", b->to);
		error_cure(&e, "name a directory that is not there: it is made");
		return tool_fail(t, &e);
	}
	char real[PATH_MAX];
	int r = copy_above(above, b->to, &e);
	if (r)
		return tool_fail(t, &e);
	if (!realpath(above, real))
		return tool_file(t, above, errno);
	size_t n = strlen(b->from);
	if (strncmp(real, b->from, n) == 0 && (real[n] == '/' || !real[n]))
		return tool_usage(t, "%s lies in the state directory", b->to);
	return 0;
}

/* --- the copy --- */

static int make_tmp(struct backup *b, struct error *e)
{
	char lock[PATH_MAX], state[PATH_MAX];
	pid_t owner = 0;
	int r = copy_path(lock, b->tmp, STATE_LOCK, e);
	if (!r)
		r = copy_path(state, b->tmp, "state", e);
	if (r)
		return r;
	if (mkdir(b->tmp, 0700) < 0 && (errno != EEXIST || access(lock, F_OK) < 0))
		return copy_failed(e, "create", b->tmp, errno == ENOENT && access(b->tmp, F_OK) == 0 ? EEXIST : errno);
	r = file_lock(lock, &b->lock, &owner);
	if (r == ERROR_EXISTS)
		return error_set(e, ERROR_BUSY, "another backup to %.150s is at work, pid %ld", b->to, (long)owner);
	if (r)
		return copy_failed(e, "lock", lock, -r);
	r = copy_remove(state, e);
	char manifest[PATH_MAX];
	if (!r)
		r = copy_path(manifest, b->tmp, MANIFEST_NAME, e);
	if (!r && unlink(manifest) < 0 && errno != ENOENT)
		r = copy_failed(e, "remove", manifest, errno);
	return r ? r : manifest_create(&b->manifest, manifest, e);
}

static int begin_manifest(struct backup *b, struct error *e)
{
	char path[PATH_MAX];
	_cleanup_(freep) char *node = NULL;
	size_t len;
	int r = copy_path(path, b->from, STATE_NODE, e);
	if (r)
		return r;
	if ((r = file_read_all(path, 128, &node, &len)) != 0)
		return copy_failed(e, "read", path, r < 0 ? -r : EFBIG);
	json_t *row = json_object();
	node[strcspn(node, " \n")] = '\0';
	row_text(row, "kind", "backup");
	row_number(row, "format", MANIFEST_FORMAT);
	row_text(row, "node", node);
	row_text(row, "version", TROUPE_VERSION);
	row_text(row, "state_dir", b->from);
	row_time(row, "began_at", b->began_ms);
	return manifest_line(&b->manifest, row, e);
}

static int make_directory(struct backup *b, const char *to, const char *path, const struct stat *st, struct error *e)
{
	if (mkdir(to, 0700) == 0)
		return manifest_directory(&b->manifest, path, st, e);
	return errno == EEXIST ? 0 : copy_failed(e, "create", to, errno);
}

/* A new file, or the same one under a second name, open for reading what is in it. -1 with errno. */
static int open_copy(const char *from, const char *to, bool may_link)
{
	if (may_link && link(from, to) == 0)
		return open(to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (may_link && errno == EEXIST)
		return -1;
	return open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int copy_content(struct backup *b, enum state_kind kind, const char *from, int to, uint64_t *ret_size, uint32_t *ret_crc, struct error *e)
{
	if (kind == STATE_STORE) {
		char dir[PATH_MAX];
		snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(from, '/') - from), from);
		return copy_store(&b->copying, dir, to, ret_size, ret_crc, e);
	}
	bool linked = (fcntl(to, F_GETFL) & O_ACCMODE) == O_RDONLY;
	if (linked)
		return copy_bytes(&b->copying, to, -1, from, ret_size, ret_crc, e);
	_cleanup_(closep) int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return copy_failed(e, "read", from, errno);
	return copy_bytes(&b->copying, fd, to, from, ret_size, ret_crc, e);
}

static int take(struct backup *b, enum state_kind kind, const char *path, const struct stat *st, struct error *e)
{
	char from[PATH_MAX], to[PATH_MAX], state[PATH_MAX];
	uint64_t size;
	uint32_t crc;
	int r = copy_path(from, b->from, path, e);
	if (!r)
		r = copy_path(state, b->tmp, "state", e);
	if (!r)
		r = kind == STATE_DIRECTORY && strcmp(path, ".") == 0 ? copy_path(to, b->tmp, "state", e) : copy_path(to, state, path, e);
	if (r)
		return r;
	if (kind == STATE_DIRECTORY)
		return make_directory(b, to, path, st, e);
	_cleanup_(closep) int fd = open_copy(from, to, kind == STATE_BLOB);
	if (fd < 0 && errno == EEXIST)
		return 0; /* taken in an earlier pass */
	if (fd < 0 && kind == STATE_BLOB && access(from, F_OK) < 0)
		return 0; /* gone: no task needs it any more */
	if (fd < 0)
		return copy_failed(e, "create", to, errno);
	r = copy_content(b, kind, from, fd, &size, &crc, e);
	if (r == ERROR_NOT_FOUND && kind != STATE_STORE) { /* it went away meanwhile */
		unlink(to);
		return 0;
	}
	if (!r)
		r = copy_sync(fd, to, e);
	if (!r)
		fault_point("backup.after_file");
	return r ? r : manifest_file(&b->manifest, path, st, size, crc, e);
}

static int take_in_pass(void *ctx, enum state_kind kind, const char *path, const struct stat *st, struct error *e)
{
	struct backup *b = ctx;
	bool node = strcmp(path, STATE_NODE) == 0;
	bool wanted = kind == STATE_DIRECTORY;
	switch (b->pass) {
	case PASS_BLOBS:
	case PASS_LATER_BLOBS:
		wanted |= kind == STATE_BLOB;
		break;
	case PASS_STORES:
		wanted |= kind == STATE_STORE;
		break;
	case PASS_FILES:
		wanted |= kind == STATE_FILE && !node;
		break;
	case PASS_NODE:
		wanted |= kind == STATE_FILE && node;
		break;
	}
	return wanted ? take(b, kind, path, st, e) : 0;
}

static int count(void *ctx, enum state_kind kind, const char *path, const struct stat *st, struct error *e)
{
	struct backup *b = ctx;
	b->total += kind == STATE_DIRECTORY ? 0 : (uint64_t)st->st_size;
	return 0;
}

/* What was copied, against itself. */
static int check_copy(struct backup *b, struct error *e)
{
	char state[PATH_MAX];
	int r = copy_path(state, b->tmp, "state", e);
	if (!r)
		r = ledger_check_all(state, &b->ledgers, e);
	json_t *row;
	size_t i;
	if (!r && (r = ledger_problem(b->ledgers, e)))
		error_cure(e, "troupe check-store says more; the state of a node that is stopped can be copied by hand");
	if (r)
		return r;
	json_array_foreach(b->ledgers, i, row) {
		json_t *line = json_copy(row);
		json_object_del(line, "lines");
		json_object_set_new(line, "kind", json_string("ledger"));
		r = manifest_line(&b->manifest, line, e);
		if (r)
			return r;
	}
	return 0;
}

static int finish(struct backup *b, struct error *e)
{
	char lock[PATH_MAX], above[PATH_MAX];
	int r = check_copy(b, e);
	if (r)
		return r;
	r = copy_sync_directories(b->tmp, e);
	fault_point("backup.before_manifest");
	if (!r)
		r = manifest_finish(&b->manifest, clock_wall_ms(), e);
	if (!r)
		r = copy_sync_directory(b->tmp, e);
	if (!r)
		r = copy_path(lock, b->to, STATE_LOCK, e);
	if (!r)
		r = copy_above(above, b->to, e);
	fault_point("backup.before_rename");
	if (!r && renameat2(AT_FDCWD, b->tmp, AT_FDCWD, b->to, RENAME_NOREPLACE) < 0)
		r = copy_failed(e, "create", b->to, errno);
	if (!r)
		r = copy_sync_directory(above, e);
	if (!r && unlink(lock) < 0)
		r = copy_failed(e, "remove", lock, errno);
	return r;
}

static int run(struct backup *b, struct error *e)
{
	int r = make_tmp(b, e);
	if (r)
		return r;
	r = begin_manifest(b, e);
	if (!r)
		r = state_walk(b->from, count, b, e);
	progress_begin(&b->progress, "KiB copied", b->total >> 10, tool_quiet(b->t));
	b->copying.progress = &b->progress;
	for (b->pass = PASS_BLOBS; !r && b->pass <= PASS_NODE; b->pass++)
		r = state_walk(b->from, take_in_pass, b, e);
	if (!r)
		progress_end(&b->progress, b->copying.bytes >> 10);
	else
		progress_clear(&b->progress);
	if (!r)
		r = finish(b, e);
	struct error ignored;
	if (r)
		copy_remove(b->tmp, &ignored);
	return r;
}

static void report(const struct backup *b)
{
	char size[32], n[32];
	size_t i;
	json_t *row;
	if (tool_has(b->t, OPT_JSON)) {
		row = json_object();
		row_text(row, "backup", b->to);
		row_text(row, "state_dir", b->from);
		row_time(row, "began_at", b->began_ms);
		row_number(row, "files", b->manifest.files);
		row_number(row, "bytes", b->manifest.bytes);
		json_object_set(row, "ledgers", b->ledgers);
		_cleanup_(freep) char *line = row_json(row);
		json_decref(row);
		if (line)
			puts(line);
		return;
	}
	puts(b->to);
	if (tool_has(b->t, OPT_QUIET))
		return;
	printf("  %s files, %s, of %s\n", number_grouped(b->manifest.files, n, sizeof n), format_size(b->manifest.bytes, size, sizeof size), b->from);
	json_array_foreach(b->ledgers, i, row)
		ledger_print(stdout, row);
}

int verb_backup(struct tool *t)
{
	struct backup b = { .t = t, .lock = -1, .began_ms = clock_wall_ms() };
	struct error e = { .code = ERROR_NONE };
	int status = find_source(&b);
	if (status == 0)
		status = find_target(&b);
	if (status != 0)
		return status;
	int r = run(&b, &e);
	manifest_drop(&b.manifest);
	if (r)
		status = tool_fail_code(t, r, &e);
	else
		report(&b);
	if (b.lock >= 0)
		close(b.lock);
	json_decref(b.ledgers);
	return status;
}
