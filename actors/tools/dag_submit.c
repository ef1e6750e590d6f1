/* submit --dag: the document is read and checked as a whole, then sent as one submit. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "actors/tools/dag.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define DAG_ARENA (64u << 20)

static int read_file(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	return payload_task_file(ctx, path, a, task, e);
}

static int check_options(struct tool *t)
{
	static const enum option excluded[] = { OPT_BULK, OPT_BATCH, OPT_FILE, OPT_EXEC, OPT_PASS_STATUS, OPT_PRIORITY, OPT_DELAY, OPT_RUN_AT, OPT_UNIQUE, OPT_UNIQUE_MODE, OPT_MAX_ATTEMPTS,
		OPT_RETRY, OPT_RUN_TIMEOUT, OPT_DEADLINE, OPT_SERIAL, OPT_AFTER_TASKS, OPT_AFTER_ANY, OPT_HOLD, OPT_REQUIRE, OPT_RESOURCE, OPT_CONTENT_TYPE };
	for (size_t i = 0; i < ELEMENTS(excluded); i++)
		if (tool_has(t, excluded[i]))
			return tool_usage(t, "--dag excludes --%s: the document says what its tasks are", option_defs[excluded[i]].name);
	return t->args.n_words > 1 ? tool_usage(t, "--dag takes at most a queue: the tasks are in the document") : 0;
}

static int dag_fail(struct tool *t, const char *path, int code, struct error *e)
{
	char text[sizeof e->text];
	if (code < 0)
		return tool_fail_code(t, code, NULL);
	memcpy(text, e->text, sizeof text);
	snprintf(e->text, sizeof e->text, "%.60s: %.190s", path, text);
	failure_print(stderr, t->verb->name, NULL, e);
	return failure_status(code);
}

static int print_receipts(struct tool *t, const struct dag *d, const Troupe__Submitted *s)
{
	struct emit em;
	char batch[ID_TEXT];
	id_format(&d->id, batch);
	if (tool_has(t, OPT_QUIET) || !(tool_has(t, OPT_JSON) || tool_has(t, OPT_COLUMNS))) {
		puts(batch);
		return EXIT_OK;
	}
	int status = emit_begin(&em, t, &table_named);
	for (size_t i = 0; i < s->n_receipts && i < d->n && status == 0; i++) {
		json_t *row = row_of_receipt(s->receipts[i], d->tasks[i]->queue);
		row_text(row, "name", d->names[i]);
		row_text(row, "batch", batch);
		row_text(row, "role", d->tasks[i]->role ? batch_role_name(d->tasks[i]->role) : NULL);
		emit_row(&em, row);
	}
	return status ? status : emit_end(&em);
}

static int dag_send(struct tool *t, const struct dag *d)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__BatchSpec batch = d->batch;
	submit.tasks = d->tasks;
	submit.n_tasks = d->n;
	submit.batch = &batch;
	size_t size = troupe__submit__get_packed_size(&submit);
	if (size > DAG_BYTES_MAX) {
		error_set(&e, ERROR_TOO_LARGE, "the batch takes %zu bytes, and one message at most %u", size, DAG_BYTES_MAX);
		error_cure(&e, "name payloads as files (payload_file): those above 64 KiB go ahead of it");
		return tool_fail(t, &e);
	}
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0) {
		const char *queue = e.index >= 1 && e.index <= d->n ? d->tasks[e.index - 1]->queue : d->tasks[0]->queue;
		if (code > 0 && e.index >= 1 && e.index <= d->n && d->names[e.index - 1]) {
			char text[sizeof e.text];
			memcpy(text, e.text, sizeof text);
			snprintf(e.text, sizeof e.text, "task \"%.60s\": %.180s", d->names[e.index - 1], text);
		}
		return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? queue : t->coordinator, &e) : tool_fail_code(t, code, &e);
	}
	if (answer->body_case != TROUPE__ENVELOPE__BODY_SUBMITTED || answer->submitted->n_receipts != d->n) {
		error_set(&e, ERROR_VERSION, "%s did not answer with a receipt for each task", t->coordinator);
		return tool_fail(t, &e);
	}
	return print_receipts(t, d, answer->submitted);
}

int submit_dag(struct tool *t, const char *path)
{
	_cleanup_(arena_unrefp) struct arena *arena = arena_new(DAG_ARENA);
	_cleanup_(freep) uint8_t *text = NULL;
	const char *name = strcmp(path, "-") == 0 ? "stdin" : path;
	struct id batch = talk_id(t->talk);
	struct error e = { .code = ERROR_NONE };
	struct dag d;
	size_t len;
	if (!arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	int status = check_options(t);
	if (status == 0 && tool_has(t, OPT_ID) && id_parse(tool_option(t, OPT_ID), &batch, &e) != 0)
		return tool_usage(t, "--id: %s", e.text);
	if (status == 0)
		status = tool_read_whole(t, path, DAG_TEXT_MAX, "make several batches of it", &text, &len);
	if (status != 0)
		return status;
	const struct dag_defaults defaults = { .batch = batch, .queue = t->args.n_words ? t->args.words[0] : NULL, .now_ms = clock_wall_ms(), .read_file = read_file, .ctx = t };
	int code = dag_read((const char *)text, len, &defaults, arena, &d, &e);
	for (size_t i = 0; code == 0 && i < d.n; i++)
		code = payload_task_inline(t, arena, d.tasks[i], &e);
	if (code != 0)
		return dag_fail(t, name, code, &e);
	status = dag_send(t, &d);
	if (status != 0 || !tool_has(t, OPT_WAIT))
		return status;
	fflush(stdout);
	return batch_finish(t, &batch);
}
