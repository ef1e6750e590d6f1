#include "tests/suite.h"
#include <string.h>
#include <locale.h>
#include "actors/tools/progress.h"
#include "actors/tools/rows.h"
#include "common/base/cleanup.h"

#define NOW 1795167000000ull /* 2026-11-20T09:30:00Z */

static const struct style plain = { .header = true, .ascii = true };

static char *render(const struct table *t, const struct style *s, json_t *rows)
{
	char *text = NULL;
	struct error e = { .code = ERROR_NONE };
	ck_assert_msg(table_render(t, s, rows, &text, &e) == 0, "%s", e.text);
	json_decref(rows);
	return text;
}

static json_t *rows_of(json_t *first, json_t *second)
{
	json_t *a = json_array();
	json_array_append_new(a, first);
	if (second)
		json_array_append_new(a, second);
	return a;
}

static uint8_t id_bytes[16] = { 0x01, 0x93, 0x47, 0x73, 0x50, 0x9f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
static Troupe__TaskSpec spec;
static Troupe__Outcome outcome;
static Troupe__Task task_make(void)
{
	Troupe__Task t = TROUPE__TASK__INIT;
	troupe__task_spec__init(&spec);
	spec.id = (ProtobufCBinaryData){ .len = 16, .data = id_bytes };
	spec.queue = (char *)"emails";
	t.spec = &spec;
	t.seq = 4711;
	t.state = TROUPE__TASK_STATE__DEAD;
	t.cause = TROUPE__CAUSE__EXHAUSTED;
	t.run = 1;
	t.attempts = 3;
	t.max_attempts = 3;
	t.submitted_at_ms = NOW - 3120000;
	t.started_at_ms = NOW - 3000000;
	t.finished_at_ms = NOW - 2999700;
	t.worker = (char *)"worker:emails/1";
	t.last_error = (char *)"connection refused\nsecond line";
	troupe__outcome__init(&outcome);
	outcome.exit_class = TROUPE__EXIT_CLASS__EXIT_FAILED;
	outcome.exit_code = 7;
	t.outcome = &outcome;
	return t;
}

START_TEST(a_task_is_one_line_of_a_table)
{
	Troupe__Task t = task_make();
	_cleanup_(freep) char *text = render(&table_tasks, &plain, rows_of(row_of_task(&t, NOW), NULL));
	ck_assert_str_eq(text, "TASK   QUEUE   STATE  PRIORITY  TRIES  AGE  TOOK  WORKER           NOTE\n"
	                       "#4711  emails  dead   normal    3/3    52m  0.3s  worker:emails/1  connection refused\\nsecond line\n");
}
END_TEST

START_TEST(a_row_in_json_has_every_column_and_more)
{
	Troupe__Task t = task_make();
	json_t *row = row_of_task(&t, NOW);
	static const char *const beyond[] = { "submitted_at_ms", "finished_at_ms", "payload_size", "cause", "priority_value" };
	for (size_t i = 0; i < table_tasks.n_columns; i++) {
		const char *key = table_tasks.columns[i].key;
		bool asked_for = strcmp(key, "payload") == 0 || strcmp(key, "output") == 0 || strcmp(key, "due_in_ms") == 0;
		ck_assert_msg(asked_for || json_object_get(row, key), "no %s", key);
	}
	for (size_t i = 0; i < ELEMENTS(beyond); i++)
		ck_assert_msg(json_object_get(row, beyond[i]) != NULL, "no %s", beyond[i]);
	ck_assert_str_eq(json_string_value(json_object_get(row, "submitted_at")), "2026-11-20T08:38:00.000Z");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "submitted_at_ms")), (json_int_t)(NOW - 3120000));
	ck_assert(json_is_null(json_object_get(row, "due_at")));
	ck_assert_str_eq(json_string_value(json_object_get(row, "outcome")), "exit 7");
	ck_assert_uint_eq(strlen(json_string_value(json_object_get(row, "id"))), 26);
	_cleanup_(freep) char *line = row_json(row);
	ck_assert_ptr_null(strchr(line, '\n'));
	json_decref(row);
}
END_TEST

START_TEST(the_columns_are_chosen_by_name)
{
	Troupe__Task t = task_make();
	struct style s = plain;
	s.columns = "seq,exit_code,due_at";
	_cleanup_(freep) char *text = render(&table_tasks, &s, rows_of(row_of_task(&t, NOW), NULL));
	ck_assert_str_eq(text, " SEQ  EXIT-CODE  DUE-AT\n4711          7\n");
	s.header = false;
	_cleanup_(freep) char *bare = render(&table_tasks, &s, rows_of(row_of_task(&t, NOW), NULL));
	ck_assert_str_eq(bare, "4711          7\n");
}
END_TEST

START_TEST(an_unknown_column_is_refused_with_a_suggestion)
{
	struct style s = plain;
	struct error e;
	char *text = NULL;
	json_t *none = json_array();
	s.columns = "id,stat";
	ck_assert_int_eq(table_render(&table_tasks, &s, none, &text, &e), ERROR_BAD_REQUEST);
	ck_assert_str_eq(e.cure, "did you mean state?");
	s.columns = "zzzzzz";
	ck_assert_int_eq(table_render(&table_tasks, &s, none, &text, &e), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(e.cure, "task queue state"));
	s.columns = "";
	ck_assert_int_eq(table_render(&table_tasks, &s, none, &text, &e), ERROR_BAD_REQUEST);
	json_decref(none);
}
END_TEST

START_TEST(no_rows_are_no_lines)
{
	_cleanup_(freep) char *text = render(&table_tasks, &plain, json_array());
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(nothing_that_a_task_says_moves_the_cursor)
{
	Troupe__Task t = task_make();
	struct style s = plain;
	s.columns = "last_error";
	s.header = false;
	t.last_error = (char *)"\033[2Ja\rb\tc\x7f\xc2\x9b" "31m\xc3\xa9";
	_cleanup_(freep) char *text = render(&table_tasks, &s, rows_of(row_of_task(&t, NOW), NULL));
	ck_assert_str_eq(text, "\\x1b[2Ja\\x0db c\\x7f\\x9b31m\xc3\xa9\n");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_base64)
{
	json_t *row = json_object();
	row_bytes_text(row, "output", "\xff\x00\x01\x02", 4);
	ck_assert(json_is_null(json_object_get(row, "output")));
	ck_assert_str_eq(json_string_value(json_object_get(row, "output_base64")), "/wABAg==");
	row_bytes_text(row, "text", "hello", 5);
	ck_assert_str_eq(json_string_value(json_object_get(row, "text")), "hello");
	json_decref(row);
}
END_TEST

static json_t *tree_row(const char *address, uint32_t depth, Troupe__ActorState state, bool pool, const char *strategy)
{
	Troupe__TreeRow r = TROUPE__TREE_ROW__INIT;
	r.address = (char *)(uintptr_t)address;
	r.depth = depth;
	r.state = state;
	r.pool = pool;
	r.kind = strategy ? TROUPE__ACTOR_KIND__ACTOR_SUPERVISOR : TROUPE__ACTOR_KIND__ACTOR_WORKER;
	r.strategy = (char *)(uintptr_t)(strategy ? strategy : "");
	r.pid = pool ? 0 : 4100 + depth;
	r.up_ms = 3120000;
	r.restarts = depth;
	r.last_reason = TROUPE__REASON__REASON_SIGNAL;
	r.last_detail = (char *)"9";
	r.due_in_ms = 1500;
	return row_of_tree(&r);
}

START_TEST(the_tree_hangs_each_row_on_the_one_above_it)
{
	json_t *rows = json_array();
	json_array_append_new(rows, tree_row("trouped", 0, TROUPE__ACTOR_STATE__ACTOR_UP, false, "one_for_one"));
	json_array_append_new(rows, tree_row("front:main", 1, TROUPE__ACTOR_STATE__ACTOR_UP, false, NULL));
	json_array_append_new(rows, tree_row("emails", 1, TROUPE__ACTOR_STATE__ACTOR_UP, true, "one_for_one"));
	json_array_append_new(rows, tree_row("worker:emails/1", 2, TROUPE__ACTOR_STATE__ACTOR_BACKOFF, false, NULL));
	json_array_append_new(rows, tree_row("worker:emails/2", 2, TROUPE__ACTOR_STATE__ACTOR_FAILED, false, NULL));
	json_array_append_new(rows, tree_row("counter:1", 1, TROUPE__ACTOR_STATE__ACTOR_UP, false, NULL));
	_cleanup_(freep) char *text = render(&table_tree_rows, &plain, rows);
	ck_assert_str_eq(text, "ACTOR                   PID  STATE    UP   RESTARTS  NOTE\n"
	                       "trouped (one_for_one)  4100  up       52m         0\n"
	                       "|-front:main           4101  up       52m         1\n"
	                       "|-pool emails             -  up       52m         1\n"
	                       "| |-worker:emails/1    4102  backoff  52m         2  next start in 1.5s; was signal 9\n"
	                       "| `-worker:emails/2    4102  failed   52m         2  signal 9\n"
	                       "`-counter:1            4101  up       52m         1\n");
}
END_TEST

START_TEST(a_paused_queue_says_by_whom_and_why)
{
	Troupe__Queue q = TROUPE__QUEUE__INIT;
	q.name = (char *)"emails";
	q.paused = true;
	q.paused_by = (char *)"uid 1000 (ann)";
	q.paused_why = (char *)"mail server is down";
	q.ready = 12;
	q.oldest_ready_ms = 5000;
	json_t *row = row_of_queue(&q);
	ck_assert_str_eq(json_string_value(json_object_get(row, "state")), "paused");
	ck_assert_str_eq(json_string_value(json_object_get(row, "note")), "paused by uid 1000 (ann): mail server is down");
	json_decref(row);
	q.paused = false;
	row = row_of_queue(&q);
	ck_assert_str_eq(json_string_value(json_object_get(row, "note")), "no worker serves it");
	json_decref(row);
}
END_TEST

START_TEST(values_of_a_newer_node_are_shown_as_unknown)
{
	ck_assert_str_eq(task_state_name((Troupe__TaskState)99), "unknown");
	ck_assert_str_eq(exit_class_name((Troupe__ExitClass)99), "unknown");
	ck_assert_str_eq(reason_name((Troupe__Reason)99), "unknown");
	ck_assert_str_eq(actor_state_name((Troupe__ActorState)99), "unknown");
	ck_assert_str_eq(transition_name((Troupe__TransitionKind)99), "unknown");
}
END_TEST

START_TEST(metrics_are_prometheus_text)
{
	Troupe__Sample a = TROUPE__SAMPLE__INIT, b = TROUPE__SAMPLE__INIT, c = TROUPE__SAMPLE__INIT;
	Troupe__Pair queue = TROUPE__PAIR__INIT;
	Troupe__Pair *labels[] = { &queue };
	queue.key = (char *)"queue";
	queue.value = (char *)"a\"b\\c\nd";
	a.name = c.name = (char *)"troupe_b";
	a.type = c.type = TROUPE__SAMPLE__TYPE__COUNTER;
	a.help = c.help = (char *)"Second";
	a.value = 1;
	c.value = 2.5;
	c.labels = labels;
	c.n_labels = 1;
	b.name = (char *)"troupe_a_sum";
	b.type = TROUPE__SAMPLE__TYPE__HISTOGRAM;
	Troupe__Sample *samples[] = { &a, &b, &c };
	metrics_sort(samples, 3);
	_cleanup_(freep) char *text = metrics_render(samples, 3);
	ck_assert_ptr_nonnull(strstr(text, "# TYPE troupe_a histogram\ntroupe_a_sum 0\n# HELP troupe_b Second\n# TYPE troupe_b counter\ntroupe_b"));
	ck_assert_ptr_nonnull(strstr(text, "troupe_b{queue=\"a\\\"b\\\\c\\nd\"} 2.5\n"));
	ck_assert_ptr_eq(strstr(strstr(text, "# TYPE troupe_b") + 1, "# TYPE"), NULL);
}
END_TEST

START_TEST(progress_shows_share_rate_and_rest)
{
	char line[512];
	struct progress p = { .name = "tasks.jsonl", .total = 100000, .began_ms = 1000, .tty = true };
	ck_assert_str_eq(progress_line(&p, 74210, 5033, line, sizeof line), "tasks.jsonl  ━━━━━━━━━━━━━━━━━━━━╸───────   74%  74,210/100,000  18.4k/s  eta 1.4s");
	p.ascii = true;
	ck_assert_str_eq(progress_line(&p, 100000, 6000, line, sizeof line), "tasks.jsonl  ############################  100%  100,000/100,000  20.0k/s");
	p.tty = false;
	ck_assert_str_eq(progress_line(&p, 0, 6000, line, sizeof line), "tasks.jsonl  0%  0/100,000  0/s");
	p.total = 0;
	ck_assert_str_eq(progress_line(&p, 1234, 3000, line, sizeof line), "tasks.jsonl  1,234  617/s");
}
END_TEST

START_TEST(a_cron_entry_is_a_line_and_a_time_of_it_has_its_oddity_behind_it)
{
	Troupe__Cron c = TROUPE__CRON__INIT;
	Troupe__CronSpec s = TROUPE__CRON_SPEC__INIT;
	task_make();
	s.name = (char *)"nightly";
	s.expression = (char *)"30 2 * * *";
	s.zone = (char *)"Europe/Berlin";
	s.task = &spec;
	s.overlap = TROUPE__CRON_SPEC__OVERLAP__OVERLAP_REPLACE;
	c.spec = &s;
	c.next_at_ms = NOW + 3600000;
	c.submitted_total = 17;
	c.last_error = (char *)"queue emails is full";
	_cleanup_(freep) char *text = render(&table_crons, &plain, rows_of(row_of_cron(&c, NOW), NULL));
	ck_assert_str_eq(text, "CRON     EXPRESSION  ZONE           QUEUE   STATE  IN  SUBMITTED  SKIPPED  NOTE\n"
	                       "nightly  30 2 * * *  Europe/Berlin  emails  open   1h         17        0  queue emails is full\n");
	json_t *row = row_of_cron(&c, NOW);
	ck_assert_str_eq(json_string_value(json_object_get(row, "overlap")), "replace");
	ck_assert_str_eq(json_string_value(json_object_get(row, "next_at")), "2026-11-20T10:30:00.000Z");
	json_decref(row);
	row = row_of_cron_time(1774746000000, "Sun 2026-03-29 03:00:00 +02:00 CEST, its time does not exist that day");
	ck_assert_str_eq(json_string_value(json_object_get(row, "local")), "Sun 2026-03-29 03:00:00 +02:00 CEST");
	ck_assert_str_eq(json_string_value(json_object_get(row, "note")), "its time does not exist that day");
	json_decref(row);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tool: rows and tables");
	TCase *c = tcase_create("row");
	setlocale(LC_ALL, "C.UTF-8");
	tcase_add_test(c, a_task_is_one_line_of_a_table);
	tcase_add_test(c, a_row_in_json_has_every_column_and_more);
	tcase_add_test(c, the_columns_are_chosen_by_name);
	tcase_add_test(c, an_unknown_column_is_refused_with_a_suggestion);
	tcase_add_test(c, no_rows_are_no_lines);
	tcase_add_test(c, nothing_that_a_task_says_moves_the_cursor);
	tcase_add_test(c, bytes_that_are_no_text_are_base64);
	tcase_add_test(c, the_tree_hangs_each_row_on_the_one_above_it);
	tcase_add_test(c, a_paused_queue_says_by_whom_and_why);
	tcase_add_test(c, values_of_a_newer_node_are_shown_as_unknown);
	tcase_add_test(c, metrics_are_prometheus_text);
	tcase_add_test(c, progress_shows_share_rate_and_rest);
	tcase_add_test(c, a_cron_entry_is_a_line_and_a_time_of_it_has_its_oddity_behind_it);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
