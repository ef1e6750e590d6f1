/* events: what happened to actors (topic:events) and to tasks (the coordinator's transition log), merged by time.
 *
 * Both are read by cursor: a reader that was away goes on where it stopped, or is told that rows are gone. A row's cursor names the place behind it in both logs,
 * "OFFSET/COMMIT.INDEX"; --after takes it. While following, rows are held back for a moment, so that the two answers of one instant come out in order. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define TOPIC "topic:events"
#define SLICE 500u
#define FOLLOW_MS 20000u         /* of one ask; longer than that nothing need be said */
#define HOLD_MS 60u
#define TAIL_STANDARD 20u
#define ROWS_MAX 1000000u        /* kept for sorting */

struct event_row {
	uint64_t at_ms, came_ms, number;  /* wall; monotonic; order of arrival */
	bool of_node;
	uint64_t offset, commit;
	uint32_t index;
	json_t *row;
};
struct reader {
	struct tool *t;
	struct events *all;
	bool of_node, asked, end, gone;
	uint64_t offset;             /* topic: of the last row read */
	Troupe__LogCursor at;        /* log: of the last row read */
	bool has_at;
};
struct events {
	struct tool *t;
	struct reader topic, log;
	struct event_row *rows;
	size_t n, room;
	uint64_t n_came, printed_offset, printed_commit;
	uint32_t printed_index;
	struct ref task;
	uint8_t task_id[16];
	bool one_task, follow;
	uint64_t tail;
	int status;
	struct emit em;
};

static int add_row(struct events *v, struct event_row *r)
{
	if (!r->row)
		return -ENOMEM;
	if (v->n == v->room) {
		size_t room = v->room ? v->room * 2 : 256;
		struct event_row *grown = v->n < ROWS_MAX ? reallocarray(v->rows, room, sizeof *grown) : NULL;
		if (!grown) {
			json_decref(r->row);
			return -ENOMEM;
		}
		v->rows = grown;
		v->room = room;
	}
	r->came_ms = clock_mono_ms();
	r->number = v->n_came++;
	v->rows[v->n++] = *r;
	return 0;
}

static int row_compare(const void *a, const void *b)
{
	const struct event_row *x = a, *y = b;
	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static void print_row(struct events *v, struct event_row *r)
{
	char cursor[80];
	if (r->of_node) {
		v->printed_offset = r->offset;
	} else {
		v->printed_commit = r->commit;
		v->printed_index = r->index;
	}
	snprintf(cursor, sizeof cursor, "%llu/%llu.%u", (unsigned long long)v->printed_offset, (unsigned long long)v->printed_commit, v->printed_index);
	row_text(r->row, "cursor", cursor);
	if (!v->follow || tool_quiet(v->t)) {
		emit_row(&v->em, r->row);
		return;
	}
	/* A table cannot wait for its last row: fixed columns instead. */
	const char *at = json_string_value(json_object_get(r->row, "at"));
	const struct column type = { "type", NULL, COLUMN_TEXT }, about = { "about", NULL, COLUMN_TEXT }, text = { "text", NULL, COLUMN_TEXT };
	_cleanup_(freep) char *a = row_cell(&type, r->row), *b = row_cell(&about, r->row), *c = row_cell(&text, r->row);
	printf("%s  %-18s %-22s %s\n", at ? at : "", a ? a : "", b ? b : "", c ? c : "");
	json_decref(r->row);
}

/* Prints, in order of time, what came before came_ms. */
static void print_rows(struct events *v, uint64_t came_ms)
{
	size_t kept = 0;
	if (v->n == 0)
		return;
	qsort(v->rows, v->n, sizeof *v->rows, row_compare);
	/* A row may go out only behind all that are older by the wall clock. */
	size_t out = 0;
	while (out < v->n && v->rows[out].came_ms <= came_ms)
		print_row(v, &v->rows[out++]);
	for (size_t i = out; i < v->n; i++)
		v->rows[kept++] = v->rows[i];
	v->n = kept;
	fflush(stdout);
}

static void gap(const struct reader *r, uint64_t oldest)
{
	if (!tool_quiet(r->t))
		fprintf(stderr, "%s: rows before %llu are gone\n", r->of_node ? TOPIC : r->t->coordinator, (unsigned long long)oldest);
}

static void on_topic_rows(struct reader *r, const Troupe__TopicRows *rows)
{
	if (rows->gap)
		gap(r, rows->oldest);
	for (size_t i = 0; i < rows->n_events; i++) {
		const Troupe__Event *e = rows->events[i];
		struct event_row row = { .at_ms = e->at_ms, .of_node = true, .offset = e->offset, .row = row_of_event(e, NULL) };
		r->offset = e->offset;
		if (add_row(r->all, &row) != 0)
			r->all->status = EXIT_IO;
	}
	if (rows->next > r->offset)
		r->offset = rows->next;
	r->end = rows->n_events == 0;
}

static void on_log_rows(struct reader *r, const Troupe__Log *log)
{
	const char *prefix = tool_has(r->t, OPT_TYPE) ? tool_option(r->t, OPT_TYPE) : "";
	if (log->gap)
		gap(r, log->oldest ? log->oldest->commit : 0);
	for (size_t i = 0; i < log->n_rows; i++) {
		const Troupe__Transition *t = log->rows[i];
		struct event_row row = { .at_ms = t->at_ms, .row = row_of_transition(t, NULL) };
		row.commit = t->at ? t->at->commit : 0;
		row.index = t->at ? t->at->index : 0;
		const char *type = json_string_value(json_object_get(row.row, "type"));
		if (row.row && type && strncmp(type, prefix, strlen(prefix)) != 0)
			json_decref(row.row);
		else if (add_row(r->all, &row) != 0)
			r->all->status = EXIT_IO;
	}
	if (log->next) {
		r->at.commit = log->next->commit;
		r->at.index = log->next->index;
		r->has_at = true;
	}
	r->end = log->n_rows == 0;
}

static void on_answer(void *ctx, const struct talk_answer *a)
{
	struct reader *r = ctx;
	r->asked = false;
	if (!a->error && a->env->body_case == TROUPE__ENVELOPE__BODY_TOPIC_ROWS && r->of_node) {
		on_topic_rows(r, a->env->topic_rows);
	} else if (!a->error && a->env->body_case == TROUPE__ENVELOPE__BODY_LOG && !r->of_node) {
		on_log_rows(r, a->env->log);
	} else if (a->error && a->error->code == ERROR_TIMEOUT && r->all->follow) {
		r->end = true;
	} else {
		/* One of the two logs may be missing or unreadable: the other is still worth having. */
		struct error e;
		error_set(&e, ERROR_VERSION, "it answered with something else");
		const struct reader *other = r->of_node ? &r->all->log : &r->all->topic;
		if (!a->error || a->error->code != ERROR_NO_ACTOR || other->gone)
			r->all->status = tool_fail(r->t, a->error ? a->error : &e);
		else if (!tool_quiet(r->t))
			fprintf(stderr, "there is no %s: only the %s events are shown\n", r->of_node ? TOPIC : r->t->coordinator, r->of_node ? "queue's" : "node's");
		r->gone = r->end = true;
	}
}

static int reader_ask(struct reader *r, bool follow)
{
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TopicAsk topic = TROUPE__TOPIC_ASK__INIT;
	Troupe__LogAsk log = TROUPE__LOG_ASK__INIT;
	uint64_t timeout_ms = r->t->timeout_ms ? r->t->timeout_ms : TALK_TIMEOUT_MS;
	if (r->of_node) {
		topic.after = r->offset;
		topic.limit = SLICE;
		topic.follow_ms = follow ? FOLLOW_MS : 0;
		topic.type_prefix = (char *)(uintptr_t)(tool_has(r->t, OPT_TYPE) ? tool_option(r->t, OPT_TYPE) : "");
		env.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ASK;
		env.topic_ask = &topic;
	} else {
		if (r->has_at)
			log.after = &r->at;
		log.limit = SLICE;
		log.follow_ms = follow ? FOLLOW_MS : 0;
		if (r->all->one_task)
			log.task = (ProtobufCBinaryData){ .len = sizeof r->all->task_id, .data = r->all->task_id };
		env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
		env.log_ask = &log;
	}
	struct talk_request q = { .to = r->of_node ? TOPIC : r->t->coordinator, .env = &env, .timeout_ms = timeout_ms + (follow ? FOLLOW_MS : 0), .on_answer = on_answer, .ctx = r };
	int code = talk_start(r->t->talk, &q, &e);
	if (code != 0)
		return tool_fail_code(r->t, code, &e);
	r->asked = true;
	return 0;
}

/* Both ends, minus the tail: where reading begins. The log is numbered by commits, each with at least one row. */
static int find_start(struct events *v)
{
	_cleanup_(arena_unrefp) struct arena *topic_arena = NULL, *log_arena = NULL;
	const Troupe__Envelope *answer;
	struct error e;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TopicAsk topic = TROUPE__TOPIC_ASK__INIT;
	Troupe__LogAsk log = TROUPE__LOG_ASK__INIT;
	topic.from_end = true;
	env.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ASK;
	env.topic_ask = &topic;
	if (talk_ask(v->t->talk, TOPIC, &env, v->t->timeout_ms, &topic_arena, &answer, &e) == 0 && answer->body_case == TROUPE__ENVELOPE__BODY_TOPIC_ROWS)
		v->topic.offset = answer->topic_rows->next > v->tail ? answer->topic_rows->next - v->tail : 0;
	else if (e.code == ERROR_NOT_REACHABLE || e.code == ERROR_NOT_ALLOWED)
		return tool_fail(v->t, &e);
	log.from_end = true;
	env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
	env.log_ask = &log;
	int code = talk_ask(v->t->talk, v->t->coordinator, &env, v->t->timeout_ms, &log_arena, &answer, &e);
	if (code == ERROR_NO_ACTOR)
		return 0; /* reading it will say so */
	if (code || answer->body_case != TROUPE__ENVELOPE__BODY_LOG)
		return code ? tool_fail_code(v->t, code, &e) : EXIT_PROTOCOL;
	if (answer->log->next && !v->one_task) {
		v->log.at.commit = answer->log->next->commit > v->tail ? answer->log->next->commit - v->tail : 0;
		v->log.at.index = v->tail ? 0 : answer->log->next->index;
		v->log.has_at = v->log.at.commit > 0;
	}
	return 0;
}

static int parse_cursor(struct events *v, const char *s)
{
	unsigned long long offset = 0, commit = 0;
	unsigned index = 0;
	int used = 0;
	if (strcmp(s, "0") != 0 && (sscanf(s, "%llu/%llu.%u%n", &offset, &commit, &index, &used) != 3 || s[used]))
		return tool_usage(v->t, "--after: '%.40s' is no cursor: OFFSET/COMMIT.INDEX as --json shows it, or 0", s);
	v->topic.offset = v->printed_offset = offset;
	v->log.at.commit = v->printed_commit = commit;
	v->log.at.index = v->printed_index = index;
	v->log.has_at = commit > 0;
	return 0;
}

/* #seq and suffixes become the id that the log filters by. */
static int find_task(struct events *v)
{
	struct error e;
	struct id id;
	if (ref_parse(tool_option(v->t, OPT_TASK), &v->task, &e) != 0)
		return tool_fail(v->t, &e);
	int status = resolve_task(v->t, &v->task, &id);
	if (status != 0)
		return status;
	memcpy(v->task_id, id.b, sizeof v->task_id);
	v->one_task = true;
	v->topic.gone = v->topic.end = true;
	return 0;
}

/* Everything that is there now. */
static int read_all(struct events *v)
{
	struct reader *readers[] = { &v->topic, &v->log };
	for (;;) {
		bool busy = false;
		for (size_t i = 0; i < ELEMENTS(readers); i++) {
			struct reader *r = readers[i];
			int status = !r->asked && !r->end ? reader_ask(r, false) : 0;
			if (status != 0)
				return status;
			busy |= r->asked;
		}
		if (!busy || v->status)
			return v->status;
		if (talk_poll(v->t->talk, TIME_NEVER) < 0)
			return EXIT_BUG;
	}
}

static int follow(struct events *v)
{
	struct reader *readers[] = { &v->topic, &v->log };
	for (;;) {
		uint64_t now_ms = clock_mono_ms();
		for (size_t i = 0; i < ELEMENTS(readers); i++) {
			int status = !readers[i]->asked && !readers[i]->gone ? reader_ask(readers[i], true) : 0;
			if (status != 0)
				return status;
		}
		if (v->status || (v->topic.gone && v->log.gone))
			return v->status;
		if (talk_poll(v->t->talk, v->n ? now_ms + HOLD_MS : TIME_NEVER) < 0)
			return EXIT_BUG;
		print_rows(v, clock_mono_ms() - HOLD_MS);
		if (ferror(stdout))
			return EXIT_OK; /* the reader has left */
	}
}

int verb_events(struct tool *t)
{
	struct events v = { .t = t, .follow = tool_has(t, OPT_FOLLOW), .tail = TAIL_STANDARD };
	v.topic = (struct reader){ .t = t, .all = &v, .of_node = true };
	v.log = (struct reader){ .t = t, .all = &v };
	troupe__log_cursor__init(&v.log.at);
	bool from_start = tool_has(t, OPT_AFTER) || (tool_has(t, OPT_TASK) && !tool_has(t, OPT_LIMIT));
	int status = tool_number(t, OPT_LIMIT, 0, ROWS_MAX, &v.tail);
	if (status == 0)
		status = emit_begin(&v.em, t, &table_events);
	if (status != 0)
		return status;
	from_start |= v.tail == 0 && !v.follow; /* --limit 0: all */
	if (tool_has(t, OPT_TASK))
		status = find_task(&v);
	if (status == 0 && tool_has(t, OPT_AFTER))
		status = parse_cursor(&v, tool_option(t, OPT_AFTER));
	if (status == 0 && !from_start)
		status = find_start(&v);
	if (status == 0 && (!from_start || !v.follow || tool_has(t, OPT_TASK)))
		status = read_all(&v);
	if (status == 0) {
		if (!from_start && v.n > v.tail) { /* both logs gave that many: the newest of both together */
			qsort(v.rows, v.n, sizeof *v.rows, row_compare);
			for (size_t i = 0; i < v.n - v.tail; i++)
				json_decref(v.rows[i].row);
			memmove(v.rows, v.rows + (v.n - v.tail), v.tail * sizeof *v.rows);
			v.n = v.tail;
		}
		print_rows(&v, TIME_NEVER);
		if (v.follow)
			status = follow(&v);
	}
	for (size_t i = 0; i < v.n; i++)
		json_decref(v.rows[i].row);
	free(v.rows);
	if (status != 0) {
		emit_drop(&v.em);
		return status;
	}
	return emit_end(&v.em);
}
