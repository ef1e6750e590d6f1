/* Tasks: get result list explain. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define LIST_SLICE 500u

int get_task(struct tool *t, const struct ref *ref, unsigned with, struct arena **ret_arena, const Troupe__Task **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Get get = TROUPE__GET__INIT;
	Troupe__TaskRef name;
	ref_message(ref, &name);
	get.task = &name;
	get.payload = with & TASK_PAYLOAD;
	get.output = with & TASK_OUTPUT;
	get.history = with & TASK_HISTORY;
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &get;
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, ret_arena, &answer);
	if (status != 0)
		return status;
	if (answer->tasks->n_tasks == 0) {
		struct error e;
		error_set(&e, ERROR_NO_TASK, "there is no such task");
		arena_unref(*ret_arena);
		*ret_arena = NULL;
		return tool_fail(t, &e);
	}
	*ret = answer->tasks->tasks[0];
	return 0;
}

int resolve_task(struct tool *t, const struct ref *ref, struct id *ret)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Task *task;
	struct error e;
	int status = get_task(t, ref, 0, &arena, &task);
	if (status != 0)
		return status;
	if (!task->spec || task->spec->id.len != sizeof ret->b) {
		error_set(&e, ERROR_VERSION, "%s answered with a task that has no id", t->coordinator);
		return tool_fail(t, &e);
	}
	memcpy(ret->b, task->spec->id.data, sizeof ret->b);
	return 0;
}

static void print_member(const json_t *row, const char *key, const char *label, enum column_kind kind)
{
	struct column c = { key, label, kind };
	const json_t *v = json_object_get(row, key);
	if (!v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0))
		return;
	if (json_is_integer(v) && json_integer_value(v) == 0 && kind != COLUMN_SIZE)
		return; /* none, or the queue's */
	_cleanup_(freep) char *text = row_cell(&c, row);
	if (text && *text)
		printf("%-13s %s\n", label, text);
}

static void print_task(const json_t *row)
{
	static const struct { const char *key, *label; enum column_kind kind; } members[] = {
		{ "id", "task", COLUMN_TEXT }, { "task", "number", COLUMN_TEXT }, { "queue", "queue", COLUMN_TEXT }, { "state", "state", COLUMN_TEXT },
		{ "cause", "cause", COLUMN_TEXT }, { "priority", "priority", COLUMN_TEXT }, { "run", "run", COLUMN_NUMBER }, { "tries", "attempts", COLUMN_TEXT },
		{ "worker", "worker", COLUMN_TEXT }, { "percent", "percent", COLUMN_NUMBER }, { "note", "note", COLUMN_TEXT }, { "submitter", "submitter", COLUMN_TEXT },
		{ "submitted_at", "submitted", COLUMN_TEXT }, { "due_at", "due", COLUMN_TEXT }, { "started_at", "started", COLUMN_TEXT },
		{ "finished_at", "finished", COLUMN_TEXT }, { "took_ms", "took", COLUMN_AGE }, { "outcome", "outcome", COLUMN_TEXT }, { "timeout_ms", "timeout", COLUMN_AGE },
		{ "deadline_at", "deadline", COLUMN_TEXT }, { "unique", "unique key", COLUMN_TEXT }, { "serial", "serial key", COLUMN_TEXT },
		{ "waits_for", "waits for", COLUMN_TEXT }, { "blocked", "not met", COLUMN_NUMBER }, { "batch", "batch", COLUMN_TEXT }, { "role", "role", COLUMN_TEXT },
		{ "require", "requires", COLUMN_TEXT }, { "resources", "resources", COLUMN_TEXT }, { "argv", "command", COLUMN_TEXT },
		{ "payload_size", "payload size", COLUMN_SIZE }, { "payload_sha256", "payload hash", COLUMN_TEXT }, { "payload", "payload", COLUMN_TEXT }, { "payload_base64", "payload (base64)", COLUMN_TEXT },
		{ "stderr", "stderr", COLUMN_TEXT },
	};
	for (size_t i = 0; i < ELEMENTS(members); i++)
		print_member(row, members[i].key, members[i].label, members[i].kind);
}

int show_task(struct tool *t, const struct ref *ref)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	_cleanup_(freep) uint8_t *large = NULL;
	const Troupe__Task *task;
	bool output = tool_has(t, OPT_OUTPUT);
	int status = get_task(t, ref, TASK_HISTORY | (output || tool_has(t, OPT_PAYLOAD) ? TASK_PAYLOAD : 0), &arena, &task);
	if (status == 0 && output && task->spec)
		return payload_write(t, task->spec, tool_option(t, OPT_OUTPUT));
	if (status == 0 && task->spec && tool_has(t, OPT_PAYLOAD))
		status = payload_load(t, task->spec, &large);
	if (status != 0)
		return status;
	json_t *row = row_of_task(task, clock_wall_ms());
	if (!row)
		return tool_fail_code(t, -ENOMEM, NULL);
	if (tool_quiet(t) || tool_has(t, OPT_COLUMNS))
		return emit_one(t, &table_tasks, row);
	print_task(row);
	json_t *history = json_object_get(row, "history"), *attempt;
	struct emit em;
	size_t i;
	status = json_array_size(history) ? emit_begin(&em, t, &table_attempts) : 0;
	if (status == 0 && json_array_size(history)) {
		putchar('\n');
		json_array_foreach(history, i, attempt)
			emit_row(&em, json_incref(attempt));
		status = emit_end(&em);
	}
	json_decref(row);
	return status;
}

int verb_get(struct tool *t)
{
	_cleanup_(freep) struct ref *refs = NULL;
	size_t n;
	int status = tool_refs(t, 0, &refs, &n);
	if (status == 0 && n > 1 && tool_has(t, OPT_OUTPUT))
		status = tool_usage(t, "--output takes the payload of one task");
	for (size_t i = 0; i < n && status == 0; i++) {
		if (i && !tool_quiet(t))
			putchar('\n');
		status = show_task(t, &refs[i]);
	}
	return status;
}

static void on_result_final(struct tool *t, const Troupe__Task *task, void *ctx) { }

static int print_result(struct tool *t, const struct ref *ref)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Task *task;
	struct error e;
	char text[64];
	int status = get_task(t, ref, TASK_OUTPUT | TASK_HISTORY, &arena, &task);
	if (status != 0)
		return status;
	const Troupe__Outcome *o = task->outcome;
	if (task->state == TROUPE__TASK_STATE__DONE) {
		if (o)
			fwrite(o->output.data, 1, o->output.len, stdout);
		if (o && o->truncated)
			fputs("troupe: the output was longer than the queue keeps, this is its beginning\n", stderr);
		return EXIT_OK;
	}
	if (task->state == TROUPE__TASK_STATE__DEAD || task->state == TROUPE__TASK_STATE__CANCELLED) {
		error_set(&e, ERROR_STATE, "the task is %s%s%s%s%.120s", task_state_name(task->state), o ? ", " : "", o ? outcome_text(o, text, sizeof text) : "",
		          task->last_error[0] ? ": " : "", task->last_error);
		error_cure(&e, "troupe logs '%s' shows its stderr", seq_text(task->seq, text, sizeof text));
		status = tool_fail(t, &e);
		return tool_has(t, OPT_PASS_STATUS) ? pass_status(task) : status;
	}
	error_set(&e, ERROR_STATE, "the task is %s: it has no result yet", task_state_name(task->state));
	error_cure(&e, "troupe result '%s' --wait", seq_text(task->seq, text, sizeof text));
	return tool_fail(t, &e);
}

int verb_result(struct tool *t)
{
	_cleanup_(freep) struct ref *refs = NULL;
	size_t n;
	int status = tool_refs_or_batch(t, &refs, &n);
	if (status == 0 && tool_has(t, OPT_WAIT))
		status = wait_for(t, refs, n, false, false, on_result_final, NULL);
	for (size_t i = 0; i < n && status == 0; i++)
		status = print_result(t, &refs[i]);
	return status;
}

/* --- list --- */

static void print_line(json_t *row)
{
	_cleanup_(freep) char *line = row ? row_json(row) : NULL;
	if (line)
		puts(line);
	json_decref(row);
}

int list_tasks(struct tool *t, const Troupe__Filter *f, bool payload, int (*each)(struct tool *t, const Troupe__Task *task, void *ctx), void *ctx)
{
	struct emit em;
	_cleanup_(freep) uint8_t *cursor = NULL;
	size_t cursor_len = 0;
	uint64_t limit = each ? UINT64_MAX : emit_limit(t), n = 0, now_ms = clock_wall_ms();
	int status = emit_begin(&em, t, &table_tasks);
	bool more = true, beyond = false; /* a row that was not shown */
	while (status == 0 && more && n < limit) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__List list = TROUPE__LIST__INIT;
		list.filter = (Troupe__Filter *)(uintptr_t)f;
		list.limit = limit - n < LIST_SLICE ? (uint32_t)(limit - n + 1) : LIST_SLICE;
		list.cursor = (ProtobufCBinaryData){ .len = cursor_len, .data = cursor };
		list.payload = payload;
		env.body_case = TROUPE__ENVELOPE__BODY_LIST;
		env.list = &list;
		status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, &arena, &answer);
		if (status != 0)
			break;
		const Troupe__Tasks *found = answer->tasks;
		beyond = found->n_tasks > limit - n;
		for (size_t i = 0; i < found->n_tasks && n < limit && status == 0; i++, n++) {
			if (each)
				status = each(t, found->tasks[i], ctx);
			else
				emit_row(&em, row_of_task(found->tasks[i], now_ms));
		}
		more = found->next.len > 0;
		free(steal(&cursor));
		cursor_len = 0;
		if (more) {
			cursor = malloc(found->next.len);
			if (!cursor) {
				status = tool_fail_code(t, -ENOMEM, NULL);
				break;
			}
			cursor_len = found->next.len;
			memcpy(cursor, found->next.data, cursor_len);
		}
	}
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	status = emit_end(&em);
	if ((beyond || more) && !tool_quiet(t) && !each)
		fprintf(stderr, "there %s more than %llu: --limit 0 shows all\n", beyond ? "are" : "may be", (unsigned long long)n);
	return status;
}

int verb_list(struct tool *t)
{
	struct filter f;
	int status = tool_filter(t, &f);
	return status ? status : list_tasks(t, &f.f, tool_has(t, OPT_PAYLOAD), NULL, NULL);
}

int verb_explain(struct tool *t)
{
	_cleanup_(freep) struct ref *refs = NULL;
	size_t n;
	int status = tool_refs(t, 0, &refs, &n);
	for (size_t i = 0; i < n && status == 0; i++) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__Explain explain = TROUPE__EXPLAIN__INIT;
		Troupe__TaskRef name;
		ref_message(&refs[i], &name);
		explain.task = &name;
		env.body_case = TROUPE__ENVELOPE__BODY_EXPLAIN;
		env.explain = &explain;
		status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_EXPLAINED, &arena, &answer);
		if (status != 0)
			return status;
		const Troupe__Explained *x = answer->explained;
		if (tool_has(t, OPT_JSON)) {
			json_t *row = json_object(), *lines = json_array();
			row_text(row, "state", task_state_name(x->state));
			row_text(row, "text", x->text);
			for (size_t k = 0; k < x->n_lines; k++)
				json_array_append_new(lines, json_string(x->lines[k]));
			json_object_set_new(row, "lines", lines);
			print_line(row);
			continue;
		}
		puts(x->text);
		for (size_t k = 0; k < x->n_lines; k++)
			printf("  %s\n", x->lines[k]);
	}
	return status;
}
