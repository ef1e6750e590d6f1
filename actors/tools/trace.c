/* trace: what is asked for it. rows_trace.c makes the steps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define LOG_SLICE 1000u
#define PAGES_MAX 64u          /* of the log of one task */
#define WORKERS_MAX 16u        /* whose deaths are looked up */
#define CRASHES_MAX 50u        /* of each */

/* All that is read for one task; the pages hold what the arrays point at. */
struct asked {
	struct tool *t;
	struct arena *pages[PAGES_MAX + WORKERS_MAX];
	size_t n_pages;
	Troupe__Transition **log;
	size_t n_log;
	Troupe__Crash **crashes;
	size_t n_crashes;
};

static void asked_fini(struct asked *a)
{
	for (size_t i = 0; i < a->n_pages; i++)
		arena_unref(a->pages[i]);
	free(a->log);
	free(a->crashes);
}

static int grow(struct tool *t, void *array, size_t size, size_t n)
{
	void *more = reallocarray(*(void **)array, n + 1, size);
	if (!more)
		return tool_fail_code(t, -ENOMEM, NULL);
	*(void **)array = more;
	return 0;
}

static int read_log(struct asked *a, const ProtobufCBinaryData *id)
{
	Troupe__LogCursor at = TROUPE__LOG_CURSOR__INIT;
	for (bool more = true, first = true; more && a->n_pages < PAGES_MAX; first = false) {
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__LogAsk ask = TROUPE__LOG_ASK__INIT;
		ask.task = *id;
		ask.limit = LOG_SLICE;
		ask.after = first ? NULL : &at;
		env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
		env.log_ask = &ask;
		int status = tool_ask(a->t, a->t->coordinator, &env, TROUPE__ENVELOPE__BODY_LOG, &a->pages[a->n_pages], &answer);
		if (status != 0)
			return status;
		a->n_pages++;
		const Troupe__Log *log = answer->log;
		status = log->n_rows ? grow(a->t, &a->log, sizeof *a->log, a->n_log + log->n_rows) : 0;
		if (status != 0)
			return status;
		for (size_t i = 0; i < log->n_rows; i++)
			a->log[a->n_log++] = log->rows[i];
		/* A page may be empty where the log is long: it has moved on nevertheless. */
		more = log->next && (log->next->commit != at.commit || log->next->index != at.index);
		if (log->next) {
			at.commit = log->next->commit;
			at.index = log->next->index;
		}
	}
	return 0;
}

static int read_crashes(struct asked *a, const char *worker)
{
	const Troupe__Envelope *answer;
	struct error e;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CrashAsk ask = TROUPE__CRASH_ASK__INIT;
	ask.address = (char *)(uintptr_t)worker;
	ask.limit = CRASHES_MAX;
	env.body_case = TROUPE__ENVELOPE__BODY_CRASH_ASK;
	env.crash_ask = &ask;
	int code = talk_ask(a->t->talk, NULL, &env, a->t->timeout_ms, &a->pages[a->n_pages], &answer, &e);
	if (code != 0) /* they only add to what is known */
		return code < 0 ? tool_fail_code(a->t, code, NULL) : 0;
	a->n_pages++;
	if (answer->body_case != TROUPE__ENVELOPE__BODY_CRASHES || !answer->crashes->n_crashes)
		return 0;
	int status = grow(a->t, &a->crashes, sizeof *a->crashes, a->n_crashes + answer->crashes->n_crashes);
	for (size_t i = 0; status == 0 && i < answer->crashes->n_crashes; i++)
		a->crashes[a->n_crashes++] = answer->crashes->crashes[i];
	return status;
}

/* What a dead worker leaves: a task that had begun has its signal, one that had not is lost. */
static bool may_be_a_death(const Troupe__Outcome *o)
{
	return o && (o->exit_class == TROUPE__EXIT_CLASS__EXIT_LOST || o->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL || o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE ||
	             o->exit_class == TROUPE__EXIT_CLASS__EXIT_OOM);
}

/* Of every worker that may have died with it, once. */
static int read_deaths(struct asked *a, const Troupe__Task *task)
{
	const char *asked[WORKERS_MAX];
	size_t n = 0;
	for (size_t i = task->n_history; i-- > 0 && n < WORKERS_MAX;) {
		const Troupe__Attempt *attempt = task->history[i];
		bool seen = !may_be_a_death(attempt->outcome) || !attempt->worker[0];
		for (size_t k = 0; k < n; k++)
			seen |= strcmp(asked[k], attempt->worker) == 0;
		if (seen)
			continue;
		asked[n++] = attempt->worker;
		int status = read_crashes(a, attempt->worker);
		if (status != 0)
			return status;
	}
	return 0;
}

static int trace_one(struct tool *t, const struct ref *ref, struct emit *em)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	struct asked a = { .t = t };
	const Troupe__Task *task;
	int status = get_task(t, ref, TASK_OUTPUT | TASK_HISTORY, &arena, &task);
	if (status == 0 && task->spec)
		status = read_log(&a, &task->spec->id);
	if (status == 0)
		status = read_deaths(&a, task);
	if (status == 0) {
		json_t *rows = rows_of_trace(task, a.log, a.n_log, a.crashes, a.n_crashes, t->coordinator), *row;
		size_t i;
		json_array_foreach(rows, i, row)
			emit_row(em, json_incref(row));
		json_decref(rows);
	}
	asked_fini(&a);
	return status;
}

int verb_trace(struct tool *t)
{
	_cleanup_(freep) struct ref *refs = NULL;
	size_t n;
	int status = tool_refs(t, 0, &refs, &n);
	for (size_t i = 0; i < n && status == 0; i++) {
		struct emit em;
		if (i && !tool_quiet(t))
			putchar('\n');
		status = emit_begin(&em, t, &table_trace);
		if (status == 0)
			status = trace_one(t, &refs[i], &em);
		if (status != 0) {
			emit_drop(&em);
			break;
		}
		status = emit_end(&em);
	}
	return status;
}
