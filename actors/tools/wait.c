/* wait: until tasks are final. A wait is asked for in slices of half a minute, so that a coordinator that died in between is simply asked again. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "actors/tools/progress.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define SLICE_MS 30000u

int pass_status(const Troupe__Task *task)
{
	const Troupe__Outcome *o = task->outcome;
	if (task->state == TROUPE__TASK_STATE__DONE)
		return EXIT_OK;
	if (!o)
		return EXIT_NO;
	switch (o->exit_class) {
	case TROUPE__EXIT_CLASS__EXIT_SIGNAL:
	case TROUPE__EXIT_CLASS__EXIT_CORE:
	case TROUPE__EXIT_CLASS__EXIT_OOM:
		return o->signal > 0 && o->signal < 128 ? 128 + o->signal : EXIT_NO;
	case TROUPE__EXIT_CLASS__EXIT_TIMEOUT:
		return EXIT_TIMEOUT;
	case TROUPE__EXIT_CLASS__EXIT_NONE:
	case TROUPE__EXIT_CLASS__EXIT_DONE:
	case TROUPE__EXIT_CLASS__EXIT_FAILED:
	case TROUPE__EXIT_CLASS__EXIT_LATER:
	case TROUPE__EXIT_CLASS__EXIT_REJECTED:
	case TROUPE__EXIT_CLASS__EXIT_BROKEN:
	case TROUPE__EXIT_CLASS__EXIT_LOST:
	case TROUPE__EXIT_CLASS__EXIT_CANCELLED:
	case _TROUPE__EXIT_CLASS_IS_INT_SIZE:
		break;
	}
	return o->exit_code > 0 && o->exit_code < 256 ? o->exit_code : EXIT_NO;
}

static bool is_final(const Troupe__Task *task)
{
	return task->state == TROUPE__TASK_STATE__DONE || task->state == TROUPE__TASK_STATE__CANCELLED || task->state == TROUPE__TASK_STATE__DEAD;
}

static bool names_task(const Troupe__TaskRef *name, const Troupe__Task *task)
{
	struct id id;
	if (name->seq)
		return name->seq == task->seq;
	if (!task->spec || task->spec->id.len != sizeof id.b)
		return false;
	memcpy(id.b, task->spec->id.data, sizeof id.b);
	return name->id.len ? name->id.len == sizeof id.b && memcmp(name->id.data, id.b, sizeof id.b) == 0 : id_suffix_match(&id, name->suffix);
}

/* Takes one name of the task out of the first *io_n; false: nobody waits for it. */
static bool take_name(Troupe__TaskRef **names, size_t *io_n, const Troupe__Task *task)
{
	size_t i = 0;
	while (i < *io_n && !names_task(names[i], task))
		i++;
	if (i == *io_n)
		return false;
	memmove(&names[i], &names[i + 1], (--*io_n - i) * sizeof(Troupe__TaskRef *));
	return true;
}

/* One slice over at most REFS_PER_REQUEST tasks, of which those that are final are handed out and taken out of names: an answer has only as many as fit a message. */
static int wait_slice(struct tool *t, Troupe__TaskRef **names, size_t *io_n, bool any, bool output, uint64_t within_ms,
                      void (*each)(struct tool *t, const Troupe__Task *task, void *ctx), void *ctx)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Wait wait = TROUPE__WAIT__INIT;
	wait.tasks = names;
	wait.n_tasks = *io_n;
	wait.any = any;
	wait.output = output;
	env.body_case = TROUPE__ENVELOPE__BODY_WAIT;
	env.wait = &wait;
	int code = talk_ask(t->talk, t->coordinator, &env, within_ms, &arena, &answer, &e);
	if (code == ERROR_TIMEOUT)
		return 0; /* of the slice */
	if (code != 0)
		return tool_fail_code(t, code, &e);
	if (answer->body_case != TROUPE__ENVELOPE__BODY_FINISHED) {
		error_set(&e, ERROR_VERSION, "%s answered a wait with something else", t->coordinator);
		return tool_fail(t, &e);
	}
	const Troupe__Finished *f = answer->finished;
	for (size_t i = 0; i < f->n_tasks; i++)
		if (is_final(f->tasks[i]) && take_name(names, io_n, f->tasks[i]))
			each(t, f->tasks[i], ctx);
	return 0;
}

int wait_for(struct tool *t, const struct ref *refs, size_t n, bool any, bool output, void (*each)(struct tool *t, const Troupe__Task *task, void *ctx), void *ctx)
{
	_cleanup_(freep) Troupe__TaskRef *messages = calloc(REFS_PER_REQUEST, sizeof *messages);
	_cleanup_(freep) Troupe__TaskRef **names = calloc(REFS_PER_REQUEST, sizeof *names);
	uint64_t until_ms = tool_deadline_ms(t, TIME_NEVER);
	struct progress p;
	int status = 0;
	if (!messages || !names)
		return tool_fail_code(t, -ENOMEM, NULL);
	progress_begin(&p, "waiting", n, tool_quiet(t) || n < 2);
	for (size_t at = 0; at < n && status == 0; at += REFS_PER_REQUEST) {
		size_t count = n - at < REFS_PER_REQUEST ? n - at : REFS_PER_REQUEST, left = count;
		for (size_t i = 0; i < count; i++) {
			ref_message(&refs[at + i], &messages[i]);
			names[i] = &messages[i];
		}
		while (left && status == 0) {
			uint64_t now_ms = clock_mono_ms();
			if (now_ms >= until_ms) {
				struct error e;
				size_t open = n - at - (count - left);
				error_set(&e, ERROR_TIMEOUT, "%zu task%s not final yet", open, open == 1 ? " is" : "s are");
				error_cure(&e, "troupe explain says why; the tasks go on");
				progress_clear(&p);
				return tool_fail(t, &e);
			}
			uint64_t within_ms = until_ms - now_ms < SLICE_MS ? until_ms - now_ms : SLICE_MS;
			status = wait_slice(t, names, &left, any, output, within_ms, each, ctx);
			if (any && left < count) {
				progress_clear(&p);
				return status;
			}
		}
		progress_show(&p, at + count - left);
	}
	progress_end(&p, n);
	return status;
}

struct waited { struct emit em; int status, worst; };

static void on_final(struct tool *t, const Troupe__Task *task, void *ctx)
{
	struct waited *w = ctx;
	emit_row(&w->em, row_of_task(task, clock_wall_ms()));
	if (task->state != TROUPE__TASK_STATE__DONE) {
		w->status = EXIT_NO;
		if (w->worst == 0)
			w->worst = pass_status(task);
	}
}

int verb_wait(struct tool *t)
{
	_cleanup_(freep) struct ref *refs = NULL;
	struct waited w = { .status = EXIT_OK };
	size_t n;
	int status = tool_refs_or_batch(t, &refs, &n);
	if (status == 0)
		status = emit_begin(&w.em, t, &table_tasks);
	if (status != 0)
		return status;
	status = n ? wait_for(t, refs, n, tool_has(t, OPT_ANY), false, on_final, &w) : 0;
	int end = emit_end(&w.em);
	if (status != 0 || end != 0)
		return status ? status : end;
	return tool_has(t, OPT_PASS_STATUS) ? w.worst : w.status;
}
