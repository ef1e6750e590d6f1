/* Batches: list show wait cancel retry. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "actors/tools/change.h"
#include "actors/tools/rows.h"

#define BATCH_SLICE 500u
#define PAUSE_MS 200u          /* between two looks at a batch whose tasks have ended, until it says so itself */

static int batch_ask(struct tool *t, const struct id *batch, uint32_t limit, ProtobufCBinaryData cursor, struct arena **ret_arena, const Troupe__Batches **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__BatchAsk ask = TROUPE__BATCH_ASK__INIT;
	if (batch)
		ask.id = (ProtobufCBinaryData){ .len = sizeof batch->b, .data = (uint8_t *)(uintptr_t)batch->b };
	ask.limit = limit;
	ask.cursor = cursor;
	env.body_case = TROUPE__ENVELOPE__BODY_BATCH_ASK;
	env.batch_ask = &ask;
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_BATCHES, ret_arena, &answer);
	if (status == 0)
		*ret = answer->batches;
	return status;
}

static int batch_get(struct tool *t, const struct id *batch, struct arena **ret_arena, const Troupe__Batch **ret)
{
	const Troupe__Batches *found;
	char text[ID_TEXT];
	struct error e;
	int status = batch_ask(t, batch, 1, (ProtobufCBinaryData){ .len = 0 }, ret_arena, &found);
	if (status != 0)
		return status;
	if (found->n_batches == 0) {
		id_format(batch, text);
		error_set(&e, ERROR_NOT_FOUND, "there is no batch %s", text);
		error_cure(&e, "troupe batch list shows the newest; a batch is forgotten with its tasks");
		return tool_fail(t, &e);
	}
	*ret = found->batches[0];
	return 0;
}

static int batch_word(struct tool *t, struct id *ret)
{
	struct error e;
	if (id_parse(t->args.words[0], ret, &e) == 0)
		return 0;
	return tool_usage(t, "%s: a batch is named by its 26 characters", e.text);
}

int verb_batch_list(struct tool *t)
{
	struct emit em;
	uint8_t cursor[64];
	ProtobufCBinaryData at = { .len = 0, .data = cursor };
	uint64_t limit = emit_limit(t), n = 0;
	int status = emit_begin(&em, t, &table_batches);
	bool more = true;
	while (status == 0 && more && n < limit) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Batches *found;
		status = batch_ask(t, NULL, limit - n < BATCH_SLICE ? (uint32_t)(limit - n) : BATCH_SLICE, at, &arena, &found);
		if (status != 0)
			break;
		for (size_t i = 0; i < found->n_batches && n < limit; i++, n++)
			emit_row(&em, row_of_batch(found->batches[i], clock_wall_ms()));
		more = found->next.len > 0 && found->next.len <= sizeof cursor;
		at.len = more ? found->next.len : 0;
		if (more)
			memcpy(cursor, found->next.data, at.len);
	}
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	if (more && !tool_quiet(t))
		fprintf(stderr, "there may be more than %llu: --limit 0 shows all\n", (unsigned long long)n);
	return emit_end(&em);
}

/* --- its tasks --- */

/* Calls each for all tasks of a batch, in slices. */
static int batch_each(struct tool *t, const struct id *batch, bool open_only, int (*each)(void *ctx, const Troupe__Task *task), void *ctx)
{
	static const Troupe__TaskState open[] = { TROUPE__TASK_STATE__SCHEDULED, TROUPE__TASK_STATE__READY, TROUPE__TASK_STATE__RUNNING };
	Troupe__Filter f = TROUPE__FILTER__INIT;
	uint8_t cursor[64];
	size_t cursor_len = 0;
	f.batch = (ProtobufCBinaryData){ .len = sizeof batch->b, .data = (uint8_t *)(uintptr_t)batch->b };
	f.states = open_only ? (Troupe__TaskState *)(uintptr_t)open : NULL;
	f.n_states = open_only ? ELEMENTS(open) : 0;
	do {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__List list = TROUPE__LIST__INIT;
		list.filter = &f;
		list.limit = BATCH_SLICE;
		list.cursor = (ProtobufCBinaryData){ .len = cursor_len, .data = cursor };
		env.body_case = TROUPE__ENVELOPE__BODY_LIST;
		env.list = &list;
		int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, &arena, &answer);
		for (size_t i = 0; status == 0 && i < answer->tasks->n_tasks; i++)
			status = each(ctx, answer->tasks->tasks[i]);
		if (status != 0)
			return status;
		cursor_len = answer->tasks->next.len <= sizeof cursor ? answer->tasks->next.len : 0;
		if (cursor_len)
			memcpy(cursor, answer->tasks->next.data, cursor_len);
	} while (cursor_len);
	return 0;
}

struct place { struct id id; uint64_t seq; };
struct found { struct ref *refs; uint64_t *seqs; json_t **rows; struct place *places; /* sorted by id */ size_t n, room; bool rows_too, members_only; struct tool *t; };

static void found_fini(struct found *f)
{
	for (size_t i = 0; f->rows && i < f->n; i++)
		json_decref(f->rows[i]);
	free(f->refs);
	free(f->seqs);
	free(f->rows);
	free(f->places);
}

static int found_grow(struct found *f)
{
	size_t more = f->room ? 2 * f->room : 64;
	struct ref *refs = reallocarray(f->refs, more, sizeof *refs);
	if (refs)
		f->refs = refs;
	uint64_t *seqs = refs ? reallocarray(f->seqs, more, sizeof *seqs) : NULL;
	if (seqs)
		f->seqs = seqs;
	json_t **rows = seqs ? reallocarray(f->rows, more, sizeof *rows) : NULL;
	if (!rows)
		return tool_fail_code(f->t, -ENOMEM, NULL);
	f->rows = rows;
	f->room = more;
	return 0;
}

static int on_found(void *ctx, const Troupe__Task *task)
{
	struct found *f = ctx;
	if (!task->spec || task->spec->id.len != sizeof f->refs[0].id.b || (f->members_only && task->spec->role != TROUPE__BATCH_ROLE__MEMBER))
		return 0;
	int status = f->n == f->room ? found_grow(f) : 0;
	if (status != 0)
		return status;
	f->refs[f->n] = (struct ref){ .kind = REF_ID };
	memcpy(f->refs[f->n].id.b, task->spec->id.data, sizeof f->refs[0].id.b);
	f->seqs[f->n] = task->seq;
	f->rows[f->n] = f->rows_too ? row_of_task(task, clock_wall_ms()) : NULL;
	f->n++;
	return 0;
}

int batch_tasks(struct tool *t, const struct id *batch, bool open_only, struct ref **ret, size_t *ret_n)
{
	struct found f = { .t = t, .members_only = !open_only };
	int status = batch_each(t, batch, open_only, on_found, &f);
	if (status == 0 && f.n == 0 && !open_only) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Batch *unused;
		status = batch_get(t, batch, &arena, &unused); /* says that there is none, where there is none */
	}
	if (status == 0) {
		*ret = steal(&f.refs);
		*ret_n = f.n;
	}
	found_fini(&f);
	return status;
}

/* --- show --- */

static int compare_places(const void *a, const void *b)
{
	return id_cmp(&((const struct place *)a)->id, &((const struct place *)b)->id);
}

static int sort_places(struct found *f)
{
	f->places = calloc(f->n + 1, sizeof *f->places);
	if (!f->places)
		return tool_fail_code(f->t, -ENOMEM, NULL);
	for (size_t i = 0; i < f->n; i++)
		f->places[i] = (struct place){ .id = f->refs[i].id, .seq = f->seqs[i] };
	qsort(f->places, f->n, sizeof *f->places, compare_places);
	return 0;
}

/* "#17, #18 (end)": the tasks that it waits for, by their numbers where the batch has them. */
static void put_after(const struct found *f, json_t *row)
{
	char *text = NULL;
	size_t size, i;
	json_t *edge;
	FILE *out = open_memstream(&text, &size);
	json_array_foreach(json_object_get(row, "after"), i, edge) {
		const char *id = json_string_value(json_object_get(edge, "id")), *on = json_string_value(json_object_get(edge, "on"));
		char shown[ID_TEXT + 8], suffix[16] = "";
		struct place wanted = { .seq = 0 };
		if (!out || !id || id_parse(id, &wanted.id, NULL) != 0)
			continue;
		const struct place *found = bsearch(&wanted, f->places, f->n, sizeof *f->places, compare_places);
		snprintf(shown, sizeof shown, "%s", id);
		if (found)
			seq_text(found->seq, shown, sizeof shown);
		if (on && strcmp(on, "success") != 0)
			snprintf(suffix, sizeof suffix, " (%.10s)", on);
		fprintf(out, "%s%s%s", i ? ", " : "", shown, suffix);
	}
	if (out)
		fclose(out);
	row_text(row, "after_tasks", text);
	free(text);
}

static void print_batch(const json_t *row)
{
	static const struct { const char *key, *label; enum column_kind kind; } members[] = {
		{ "batch", "batch", COLUMN_TEXT }, { "name", "name", COLUMN_TEXT }, { "state", "state", COLUMN_TEXT }, { "ended", "ended", COLUMN_TEXT },
		{ "done", "done", COLUMN_NUMBER }, { "dead", "dead", COLUMN_NUMBER }, { "cancelled", "cancelled", COLUMN_NUMBER }, { "compensations", "compensations", COLUMN_NUMBER },
		{ "compensated", "compensated", COLUMN_NUMBER }, { "on_failure", "on failure", COLUMN_TEXT }, { "submitter", "submitter", COLUMN_TEXT },
		{ "submitted_at", "submitted", COLUMN_TEXT }, { "finished_at", "finished", COLUMN_TEXT }, { "took_ms", "took", COLUMN_AGE },
	};
	for (size_t i = 0; i < ELEMENTS(members); i++) {
		struct column c = { members[i].key, members[i].label, members[i].kind };
		_cleanup_(freep) char *text = row_cell(&c, row);
		if (text && *text && strcmp(text, "0") != 0)
			printf("%-13s %s\n", members[i].label, text);
	}
}

int verb_batch_show(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Batch *found;
	struct found f = { .t = t, .rows_too = true };
	struct emit em;
	struct id batch;
	int status = batch_word(t, &batch);
	if (status == 0)
		status = emit_begin(&em, t, &table_members);
	if (status != 0)
		return status;
	status = batch_get(t, &batch, &arena, &found);
	if (status == 0)
		status = batch_each(t, &batch, false, on_found, &f);
	if (status == 0)
		status = sort_places(&f);
	if (status == 0 && !tool_quiet(t) && !tool_has(t, OPT_COLUMNS)) {
		json_t *row = row_of_batch(found, clock_wall_ms());
		print_batch(row);
		json_decref(row);
		putchar('\n');
	}
	for (size_t i = 0; i < f.n && status == 0; i++) {
		put_after(&f, f.rows[i]);
		emit_row(&em, json_incref(f.rows[i]));
	}
	found_fini(&f);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	return emit_end(&em);
}

/* --- wait --- */

static void on_ended(struct tool *t, const Troupe__Task *task, void *ctx) { }

static bool has_ended(const Troupe__Batch *b)
{
	return b->state != TROUPE__BATCH__STATE__OPEN && b->state != TROUPE__BATCH__STATE__COMPENSATING;
}

/* Its tasks are waited for, then those that were called for meanwhile; the batch has the last word. */
static int wait_for_end(struct tool *t, const struct id *batch, uint64_t until_ms)
{
	for (;;) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		_cleanup_(freep) struct ref *refs = NULL;
		const Troupe__Batch *b;
		size_t n = 0;
		int status = batch_get(t, batch, &arena, &b);
		if (status == 0)
			status = batch_tasks(t, batch, true, &refs, &n);
		if (status != 0 || (n == 0 && has_ended(b)))
			return status;
		if (n) {
			uint64_t at_ms = clock_mono_ms();
			if (until_ms != TIME_NEVER) /* what is left of it */
				t->timeout_ms = until_ms > at_ms ? until_ms - at_ms : 1;
			status = wait_for(t, refs, n, false, false, on_ended, NULL);
			if (status != 0)
				return status;
			continue;
		}
		uint64_t now_ms = clock_mono_ms(), next_ms = now_ms + PAUSE_MS;
		if (now_ms >= until_ms) {
			struct error e;
			error_set(&e, ERROR_TIMEOUT, "the batch is still %s", batch_state_name(b->state));
			error_cure(&e, "troupe batch show says what it waits for");
			return tool_fail(t, &e);
		}
		while (clock_mono_ms() < next_ms)
			if (talk_poll(t->talk, next_ms) < 0)
				return EXIT_BUG;
	}
}

int batch_finish(struct tool *t, const struct id *batch)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Batch *b = NULL;
	int status = wait_for_end(t, batch, tool_deadline_ms(t, TIME_NEVER));
	if (status == 0)
		status = batch_get(t, batch, &arena, &b);
	if (status == 0)
		status = emit_one(t, &table_batches, row_of_batch(b, clock_wall_ms()));
	return status ? status : b->state == TROUPE__BATCH__STATE__SUCCEEDED ? EXIT_OK : EXIT_NO;
}

int verb_batch_wait(struct tool *t)
{
	struct id batch;
	int status = batch_word(t, &batch);
	return status ? status : batch_finish(t, &batch);
}

/* --- change --- */

static int batch_filter(struct tool *t, struct filter *f)
{
	*f = (struct filter){ .any = true };
	troupe__filter__init(&f->f);
	f->f.batch = (ProtobufCBinaryData){ .len = sizeof f->batch.b, .data = f->batch.b };
	return batch_word(t, &f->batch);
}

int verb_batch_cancel(struct tool *t)
{
	struct filter f;
	const struct change_plan plan = { .what = CHANGE_CANCEL, .question = "Cancel", .done = "cancelled", .destroys = true };
	int status = batch_filter(t, &f);
	return status ? status : change_selected(t, &plan, &f);
}

int verb_batch_retry(struct tool *t)
{
	struct filter f;
	Troupe__Rate rate;
	struct change_plan plan = { .what = CHANGE_RETRY, .question = "Retry", .done = "retried" };
	int status = batch_filter(t, &f);
	filter_states_only(&f, TROUPE__TASK_STATE__DEAD);
	if (status == 0)
		status = change_rate(t, &plan, &rate);
	return status ? status : change_selected(t, &plan, &f);
}
