#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "actors/tools/rows.h"
#include "common/base/cleanup.h"

#define T0 1795167000000ull

static Troupe__Task task;
static Troupe__TaskSpec spec;
static Troupe__Outcome outcome;
static Troupe__Attempt attempts[4], *history[4];
static Troupe__Transition rows[16], *log_rows[16];
static Troupe__LogCursor cursors[16];
static Troupe__Crash crash, *crashes[] = { &crash };
static uint64_t token = 7;
static size_t n_log;

static void setup(void)
{
	troupe__task__init(&task);
	troupe__task_spec__init(&spec);
	troupe__outcome__init(&outcome);
	troupe__crash__init(&crash);
	spec.queue = (char *)"emails";
	task.spec = &spec;
	task.seq = 4711;
	task.submitted_at_ms = T0;
	task.submitter = (char *)"uid 1000 (ann)";
	for (size_t i = 0; i < ELEMENTS(history); i++) {
		troupe__attempt__init(&attempts[i]);
		history[i] = &attempts[i];
	}
	task.history = history;
}

static void entry(Troupe__TransitionKind kind, uint64_t at_ms, uint32_t attempt)
{
	Troupe__Transition *r = log_rows[n_log] = &rows[n_log];
	troupe__transition__init(r);
	troupe__log_cursor__init(&cursors[n_log]);
	cursors[n_log].commit = 100 + n_log;
	r->at = &cursors[n_log];
	r->kind = kind;
	r->at_ms = T0 + at_ms;
	r->attempt = attempt;
	n_log++;
}

static void attempt(const char *worker, uint64_t its_token, Troupe__Outcome *its_outcome)
{
	Troupe__Attempt *a = &attempts[task.n_history++];
	a->worker = (char *)(uintptr_t)worker;
	a->token = its_token;
	a->outcome = its_outcome;
}

/* Each step as "after what who detail", a line each. */
static char *traced(size_t n_crashes)
{
	char *text = NULL;
	size_t size, i;
	json_t *all = rows_of_trace(&task, log_rows, n_log, crashes, n_crashes, "coordinator:main"), *row;
	FILE *f = open_memstream(&text, &size);
	json_array_foreach(all, i, row) {
		const char *who = json_string_value(json_object_get(row, "who")), *detail = json_string_value(json_object_get(row, "detail"));
		fprintf(f, "%s %s %s%s%s\n", json_string_value(json_object_get(row, "after")), json_string_value(json_object_get(row, "what")), who ? who : "-", detail ? " " : "",
		        detail ? detail : "");
	}
	fclose(f);
	json_decref(all);
	return text;
}

#define K(name) TROUPE__TRANSITION_KIND__T_##name

START_TEST(each_attempt_is_found_from_the_end_and_a_death_with_its_report)
{
	Troupe__Outcome lost = TROUPE__OUTCOME__INIT, failed = TROUPE__OUTCOME__INIT;
	failed.exit_class = TROUPE__EXIT_CLASS__EXIT_FAILED;
	failed.exit_code = 7;
	failed.error = (char *)"no route";
	lost.exit_class = TROUPE__EXIT_CLASS__EXIT_LOST;
	attempt("worker:emails/1", 7, &lost);
	attempt("worker:emails/2", 8, &failed);
	crash.address = (char *)"worker:emails/1";
	crash.signal = 9;
	crash.proof = TROUPE__PROOF__PROOF_EMPTY;
	crash.tokens = &token;
	crash.n_tokens = 1;
	task.state = TROUPE__TASK_STATE__DONE;
	task.worker = (char *)"worker:emails/3";
	task.token = 9;
	task.outcome = &outcome;
	outcome.output.len = 13;
	entry(K(ACCEPTED), 0, 0);
	entry(K(GIVEN), 1, 1);
	entry(K(LOST), 312, 1);
	entry(K(READY), 312, 0);
	entry(K(GIVEN), 314, 1);
	entry(K(FAILED), 400, 1);
	entry(K(SCHEDULED), 400, 1);
	entry(K(GIVEN), 61400, 2);
	entry(K(DONE), 61500, 2);
	_cleanup_(freep) char *text = traced(1);
	ck_assert_str_eq(text, "0 ms accepted coordinator:main uid 1000 (ann), queue emails\n+0 ms stored coordinator:main commit 100, fsync\n"
			       "+1 ms given coordinator:main -> worker:emails/1  token 7\n+312 ms lost trouped worker:emails/1 died (signal 9), family empty\n+312 ms ready coordinator:main\n"
			       "+314 ms given coordinator:main -> worker:emails/2  token 8\n+400 ms failed worker:emails/2 no route\n+400 ms scheduled coordinator:main\n"
			       "+1m1s given coordinator:main -> worker:emails/3  token 9\n+1m1s done worker:emails/3 13 bytes\n");
}
END_TEST

START_TEST(what_the_log_has_forgotten_begins_with_the_submit_all_the_same)
{
	Troupe__Outcome failed = TROUPE__OUTCOME__INIT;
	failed.exit_class = TROUPE__EXIT_CLASS__EXIT_TIMEOUT;
	attempt("worker:a/1", 7, &failed);
	task.state = TROUPE__TASK_STATE__DEAD;
	task.cause = TROUPE__CAUSE__EXHAUSTED;
	entry(K(FAILED), 5000, 1);
	entry(K(DEAD), 5000, 1);
	_cleanup_(freep) char *text = traced(0);
	ck_assert_str_eq(text, "0 ms accepted coordinator:main uid 1000 (ann), queue emails\n+5000 ms failed worker:a/1 timeout\n+5000 ms dead coordinator:main exhausted\n");
}
END_TEST

START_TEST(what_was_given_back_unbegun_and_what_runs_now_are_told_apart)
{
	task.state = TROUPE__TASK_STATE__RUNNING;
	task.worker = (char *)"worker:a/2";
	task.token = 5;
	entry(K(ACCEPTED), 0, 0);
	entry(K(GIVEN), 1, 1);
	entry(K(RETURNED), 2, 1);
	entry(K(GIVEN), 3, 1);
	_cleanup_(freep) char *text = traced(0);
	ck_assert_str_eq(text, "0 ms accepted coordinator:main uid 1000 (ann), queue emails\n+0 ms stored coordinator:main commit 100, fsync\n+1 ms given coordinator:main -> a worker\n"
			       "+2 ms returned coordinator:main\n+3 ms given coordinator:main -> worker:a/2  token 5\n");
}
END_TEST

START_TEST(a_retry_begins_a_new_run_and_fewer_attempts_than_ends_are_no_matter)
{
	task.state = TROUPE__TASK_STATE__CANCELLED;
	task.cause = TROUPE__CAUSE__UPSTREAM;
	entry(K(ACCEPTED), 0, 0);
	entry(K(FAILED), 1, 1);
	rows[1].exit_class = TROUPE__EXIT_CLASS__EXIT_OOM;
	entry(K(DEAD), 1, 1);
	entry(K(RETRIED), 2, 0);
	entry(K(CANCELLED), 3, 0);
	entry((Troupe__TransitionKind)77, 4, 0);
	_cleanup_(freep) char *text = traced(0);
	ck_assert_str_eq(text, "0 ms accepted coordinator:main uid 1000 (ann), queue emails\n+0 ms stored coordinator:main commit 100, fsync\n+1 ms failed - oom\n+1 ms dead coordinator:main\n"
			       "+2 ms retried coordinator:main run 2\n+3 ms cancelled coordinator:main upstream\n+4 ms unknown coordinator:main\n");
}
END_TEST

START_TEST(a_task_without_any_row_has_its_submit)
{
	_cleanup_(freep) char *text = traced(0);
	ck_assert_str_eq(text, "0 ms accepted coordinator:main uid 1000 (ann), queue emails\n");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tool: the steps of a task");
	TCase *c = tcase_create("trace");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, each_attempt_is_found_from_the_end_and_a_death_with_its_report);
	tcase_add_test(c, what_the_log_has_forgotten_begins_with_the_submit_all_the_same);
	tcase_add_test(c, what_was_given_back_unbegun_and_what_runs_now_are_told_apart);
	tcase_add_test(c, a_retry_begins_a_new_run_and_fewer_attempts_than_ends_are_no_matter);
	tcase_add_test(c, a_task_without_any_row_has_its_submit);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
