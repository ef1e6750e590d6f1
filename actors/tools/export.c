/* export: tasks as JSON lines, in the order in which they were accepted.
 *
 * The node lists them in the order that costs it least, so the lines go to a file without a name first; in memory is only where each one lies, 24 bytes a task. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "actors/tools/exported.h"
#include "actors/tools/payload.h"
#include "actors/tools/progress.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

struct place { uint64_t seq, offset, length; };
struct export {
	FILE *spool;
	const char *dir;
	struct place *all;
	size_t n, room;
	uint64_t offset, longest, left_out;
	struct progress progress;
};

static int spool_open(struct tool *t, struct export *x)
{
	const char *tmp = getenv("TMPDIR");
	char path[4096];
	x->dir = tmp && *tmp ? tmp : "/tmp";
	if (snprintf(path, sizeof path, "%s/troupe-export-XXXXXX", x->dir) >= (int)sizeof path)
		return tool_file(t, x->dir, ENAMETOOLONG);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return tool_file(t, x->dir, errno);
	unlink(path);
	x->spool = fdopen(fd, "w+");
	if (x->spool)
		return 0;
	close(fd);
	return tool_fail_code(t, -ENOMEM, NULL);
}

int export_row(struct tool *t, const Troupe__Task *task, json_t **ret)
{
	json_t *row = row_of_bulk(task);
	int status = !row ? tool_fail_code(t, -ENOMEM, NULL) : task->spec->blob ? payload_export(t, task->spec, row) : 0;
	if (status)
		json_decref(row);
	else
		*ret = row;
	return status;
}

static int take(struct tool *t, const Troupe__Task *task, void *ctx)
{
	struct export *x = ctx;
	/* Without its batch it would be an ordinary task, and run. */
	if (!task->spec || task->spec->role != TROUPE__BATCH_ROLE__MEMBER) {
		x->left_out++;
		return 0;
	}
	json_t *row;
	int status = export_row(t, task, &row);
	if (status)
		return status;
	_cleanup_(freep) char *line = exported_write(row, task) ? row_json(row) : NULL;
	json_decref(row);
	if (!line)
		return tool_fail_code(t, -ENOMEM, NULL);
	if (x->n == x->room) {
		size_t room = x->room ? 2 * x->room : 1024;
		struct place *grown = reallocarray(x->all, room, sizeof *grown);
		if (!grown)
			return tool_fail_code(t, -ENOMEM, NULL);
		x->all = grown;
		x->room = room;
	}
	size_t length = strlen(line);
	line[length++] = '\n';
	if (fwrite(line, 1, length, x->spool) != length)
		return tool_file(t, x->dir, errno);
	x->all[x->n++] = (struct place){ task->seq, x->offset, length };
	x->offset += length;
	x->longest = length > x->longest ? length : x->longest;
	progress_show(&x->progress, x->n);
	return 0;
}

static int by_seq(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int print_all(struct tool *t, struct export *x)
{
	_cleanup_(freep) char *line = malloc(x->longest + 1);
	if (!line)
		return tool_fail_code(t, -ENOMEM, NULL);
	if (fflush(x->spool) != 0)
		return tool_file(t, x->dir, errno);
	if (x->n)
		qsort(x->all, x->n, sizeof *x->all, by_seq);
	for (size_t i = 0; i < x->n; i++) {
		const struct place *p = &x->all[i];
		ssize_t n = pread(fileno(x->spool), line, p->length, (off_t)p->offset);
		if (n != (ssize_t)p->length)
			return tool_file(t, x->dir, n < 0 ? errno : EIO);
		if (fwrite(line, 1, p->length, stdout) != p->length)
			return errno == EPIPE ? EXIT_OK : tool_file(t, "stdout", errno);
	}
	return EXIT_OK;
}

int verb_export(struct tool *t)
{
	static Troupe__TaskState live[] = { TROUPE__TASK_STATE__SCHEDULED, TROUPE__TASK_STATE__READY, TROUPE__TASK_STATE__RUNNING };
	struct export x = { .n = 0 };
	struct filter f;
	int status = tool_filter(t, &f);
	if (status != 0)
		return status;
	if (!tool_has(t, OPT_STATE) && !tool_has(t, OPT_FAILED) && !tool_has(t, OPT_ALL)) {
		f.f.states = live;
		f.f.n_states = sizeof live / sizeof *live;
	}
	status = spool_open(t, &x);
	if (status == 0) {
		progress_begin(&x.progress, "tasks read", 0, tool_has(t, OPT_QUIET));
		status = list_tasks(t, &f.f, true, take, &x);
		progress_end(&x.progress, x.n);
	}
	if (status == 0)
		status = print_all(t, &x);
	if (status == 0 && x.left_out && !tool_has(t, OPT_QUIET))
		fprintf(stderr, "%llu callbacks and compensations were left out: they are nothing without their batch\n", (unsigned long long)x.left_out);
	if (x.spool)
		fclose(x.spool);
	free(x.all);
	return status;
}
