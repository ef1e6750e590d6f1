#include "tests/unit/troupe/stage.h"
#include <string.h>
#include "common/base/clock.h"

#define DONE "{\"spec\": {\"id\": \"%s\", \"queue\": \"q\"}, \"seq\": \"%d\", \"state\": \"DONE\", \"attempts\": 2, \"worker\": \"worker:q/1\", \"outcome\": {\"exitClass\": \"EXIT_DONE\", \"output\": \"aGVsbG8=\", \"runUs\": \"5\"}}"
#define DEAD "{\"spec\": {\"id\": \"%s\", \"queue\": \"q\"}, \"seq\": \"%d\", \"state\": \"DEAD\", \"cause\": \"EXHAUSTED\", \"lastError\": \"no such file\", \"outcome\": {\"exitClass\": \"EXIT_SIGNAL\", \"signal\": 9}}"

static struct troupe_results results;

static int wait_for(size_t n, unsigned flags, uint64_t timeout_ms)
{
	struct troupe_id ids[4];
	for (size_t i = 0; i < n; i++)
		ids[i] = id_of((unsigned char)(i + 1));
	return troupe_wait(troupe, ids, n, flags, timeout_ms, &results, &error);
}

START_TEST(a_wait_ends_with_the_last_of_its_tasks)
{
	/* A message that was too small for all, then the rest: only that is asked for. */
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DEAD "], \"waiting\": 1}}\n{\"finished\": {\"tasks\": [" DONE "]}}", id_text(2), 12, id_text(1), 11);
	ck_assert_int_eq(wait_for(2, TROUPE_WAIT_OUTPUT, TROUPE_FOREVER), 0);
	ck_assert_uint_eq(results.n, 2);
	const struct troupe_result *dead = results.all[0], *done = results.all[1];
	ck_assert_int_eq(dead->id.b[15], 2);
	ck_assert_int_eq(dead->state, TROUPE_STATE_DEAD);
	ck_assert_int_eq(dead->cause, TROUPE_CAUSE_EXHAUSTED);
	ck_assert_int_eq(dead->exit_class, TROUPE_EXIT_SIGNAL);
	ck_assert_int_eq(dead->signal, 9);
	ck_assert_str_eq(dead->error, "no such file");
	ck_assert_str_eq(dead->output, "");
	ck_assert_str_eq(troupe_state_name(dead->state), "dead");
	ck_assert_uint_eq(done->seq, 11);
	ck_assert_str_eq(done->queue, "q");
	ck_assert_str_eq(done->worker, "worker:q/1");
	ck_assert_uint_eq(done->output_len, 5);
	ck_assert_str_eq(done->output, "hello");
	ck_assert_uint_eq(done->attempts, 2);
	troupe_results_free(&results);
	troupe_results_free(&results);
	const char *second = scripted_request(&node, "wait", 1);
	ck_assert_ptr_nonnull(strstr(second, id_text(1)));
	ck_assert_ptr_null(strstr(second, id_text(2)));
}
END_TEST

START_TEST(a_wait_for_any_ends_with_the_first)
{
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DONE "], \"waiting\": 2}}", id_text(3), 13);
	ck_assert_int_eq(wait_for(3, TROUPE_WAIT_ANY, 5000), 0);
	ck_assert_uint_eq(results.n, 1);
	ck_assert_int_eq(results.all[0]->id.b[15], 3);
	ck_assert_ptr_nonnull(strstr(scripted_request(&node, "wait", 0), "\"any\":true"));
	troupe_results_free(&results);
}
END_TEST

START_TEST(a_wait_that_is_late_gives_what_is_final)
{
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DONE "], \"waiting\": 1}}\n{\"finished\": {\"waiting\": 1}}", id_text(1), 11);
	uint64_t began_ms = clock_mono_ms();
	ck_assert_int_eq(wait_for(2, 0, 300), TROUPE_ERROR_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - began_ms, 300);
	ck_assert(error.retryable);
	ck_assert_uint_eq(results.n, 1);
	troupe_results_free(&results);
	/* An answer that tells nothing is not asked for in a circle. */
	ck_assert_uint_le(scripted_count(&node, "wait"), 10);
}
END_TEST

START_TEST(a_timeout_that_no_clock_reaches_is_no_past_one)
{
	scripted_says(&node, "wait", "{\"finished\": {\"waiting\": 1}}\n{\"finished\": {\"tasks\": [" DONE "]}}", id_text(1), 11);
	ck_assert_int_eq(wait_for(1, 0, TROUPE_FOREVER - 1), 0);
	troupe_results_free(&results);
}
END_TEST

START_TEST(a_wait_goes_on_over_the_death_of_the_coordinator)
{
	scripted_says(&node, "wait", "die\ndie\n{\"finished\": {\"tasks\": [" DONE "]}}", id_text(1), 11);
	ck_assert_int_eq(wait_for(1, 0, 20000), 0);
	ck_assert_uint_eq(results.n, 1);
	ck_assert_uint_eq(scripted_count(&node, "wait"), 3);
	troupe_results_free(&results);
}
END_TEST

START_TEST(an_unknown_task_is_named_by_its_place)
{
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DONE "], \"waiting\": 2}}\n{\"error\": {\"code\": 8, \"text\": \"unknown\", \"index\": 2}}", id_text(1), 11);
	ck_assert_int_eq(wait_for(3, 0, 5000), TROUPE_ERROR_NO_TASK);
	ck_assert_uint_eq(error.index, 3);
	ck_assert_int_eq(wait_for(0, 0, 5000), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_int_eq(wait_for(1, 99, 5000), TROUPE_ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(more_names_than_a_wait_may_have_are_refused)
{
	static struct troupe_id ids[TROUPE_NAMES_MAX + 1];
	struct troupe_cancelled cancelled;
	memset(ids, 7, sizeof ids);
	ck_assert_int_eq(troupe_wait(troupe, ids, TROUPE_NAMES_MAX + 1, 0, 10, &results, &error), TROUPE_ERROR_TOO_LARGE);
	ck_assert_int_eq(troupe_cancel(troupe, ids, TROUPE_NAMES_MAX + 1, &cancelled, &error), TROUPE_ERROR_TOO_LARGE);
	memset(&ids[4], 0, sizeof ids[4]);
	ck_assert_int_eq(troupe_cancel(troupe, ids, 10, &cancelled, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_uint_eq(error.index, 5);
}
END_TEST

struct called { size_t n, n_results; int code; };
static void on_waited(void *ctx, const struct troupe_results *r, const struct troupe_error *e)
{
	struct called *c = ctx;
	c->n++;
	c->n_results = r->n;
	c->code = e ? e->code : 0;
}

START_TEST(waits_that_were_started_call_back_once)
{
	struct called one = { 0 }, late = { 0 };
	struct troupe_id id = id_of(1);
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DONE "]}}\nsilent", id_text(1), 11);
	ck_assert_int_eq(troupe_wait_start(troupe, &id, 1, 0, TROUPE_FOREVER, on_waited, &one, &error), 0);
	run_until(&one.n, 1);
	ck_assert_int_eq(one.code, 0);
	ck_assert_uint_eq(one.n_results, 1);
	ck_assert_int_eq(troupe_wait_start(troupe, &id, 1, 0, 50, on_waited, &late, &error), 0);
	run_until(&late.n, 1);
	ck_assert_int_eq(late.code, TROUPE_ERROR_TIMEOUT);
	ck_assert_uint_eq(one.n, 1);
}
END_TEST

/* --- cancel --- */

START_TEST(a_cancel_tells_how_many_and_who_was_refused)
{
	struct troupe_id ids[3] = { id_of(1), id_of(2), id_of(3) };
	struct troupe_cancelled c;
	scripted_says(&node, "cancel", "{\"changed\": {\"count\": \"2\", \"refused\": [{\"task\": {\"id\": \"%s\"}, \"code\": 13, \"text\": \"it is final\"}]}}", id_text(3));
	ck_assert_int_eq(troupe_cancel(troupe, ids, 3, &c, &error), 0);
	ck_assert_uint_eq(c.count, 2);
	ck_assert_uint_eq(c.n_refused, 1);
	ck_assert_int_eq(c.refused[0].code, TROUPE_ERROR_STATE);
	ck_assert_int_eq(c.refused[0].id.b[15], 3);
	ck_assert_str_eq(c.refused[0].text, "it is final");
	troupe_cancelled_free(&c);
}
END_TEST

struct cancelled { size_t n; int code; uint64_t count; };
static void on_cancelled(void *ctx, const struct troupe_cancelled *c, const struct troupe_error *e)
{
	struct cancelled *x = ctx;
	x->n++;
	x->code = e ? e->code : 0;
	x->count = c ? c->count : 0;
}

START_TEST(a_cancel_that_was_started_calls_back_once)
{
	struct troupe_id id = id_of(1);
	struct cancelled good = { 0 }, bad = { 0 };
	scripted_says(&node, "cancel", "{\"changed\": {\"count\": \"1\"}}\n{\"error\": {\"code\": 4, \"text\": \"no\"}}");
	ck_assert_int_eq(troupe_cancel_start(troupe, &id, 1, on_cancelled, &good, &error), 0);
	run_until(&good.n, 1);
	ck_assert_uint_eq(good.count, 1);
	ck_assert_int_eq(troupe_cancel_start(troupe, &id, 1, on_cancelled, &bad, &error), 0);
	run_until(&bad.n, 1);
	ck_assert_int_eq(bad.code, TROUPE_ERROR_NOT_ALLOWED);
	ck_assert_uint_eq(good.n, 1);
}
END_TEST

/* --- notices --- */

static int submit_watched(unsigned char id)
{
	struct troupe_task task = task_for("q", "x");
	struct troupe_receipt receipt;
	task.id = id_of(id);
	return troupe_submit_many(troupe, &task, 1, TROUPE_NOTIFY, &receipt, &error);
}

static void tell_to_die(void)
{
	struct troupe_message m = TROUPE_MESSAGE_INIT;
	static const uint8_t ping[] = { 0xa2, 0x01, 0x00 };
	scripted_says(&node, "ping", "die");
	m.to = "coordinator:main";
	m.envelope = ping;
	m.len = sizeof ping;
	ck_assert_int_eq(troupe_tell(troupe, &m, &error), 0);
}

START_TEST(the_end_of_a_watched_task_is_told_once)
{
	scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\"}]}}", id_text(1));
	scripted_says(&node, "submit.push", "{\"finished\": {\"tasks\": [" DONE ", " DONE "]}}", id_text(1), 7, id_text(1), 7);
	ck_assert_int_eq(submit_watched(1), 0);
	run_until(&n_finished, 1);
	ck_assert_int_eq(finished_state, TROUPE_STATE_DONE);
	ck_assert_int_eq(finished_id.b[15], 1);
	ck_assert_int_eq(troupe_run(troupe, 20), 0);
	ck_assert_uint_eq(n_finished, 1);
	ck_assert_uint_eq(n_pushed, 1);
	ck_assert_ptr_nonnull(strstr(scripted_request(&node, "submit", 0), "\"notify\":true"));
}
END_TEST

START_TEST(questions_of_our_own_are_not_outstanding)
{
	scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\"}]}}", id_text(1));
	scripted_says(&node, "wait", "silent");
	ck_assert_int_eq(submit_watched(1), 0);
	tell_to_die();
	run_until(&n_down, 1);
	uint64_t until_ms = clock_mono_ms() + 10000;
	while (scripted_count(&node, "wait") == 0 && clock_mono_ms() < until_ms)
		ck_assert_int_eq(troupe_run(troupe, 10), 0);
	ck_assert_uint_eq(scripted_count(&node, "wait"), 1);
	ck_assert_uint_eq(troupe_outstanding(troupe), 0);
	ck_assert_int_eq(troupe_settle(troupe, 0, 0, &error), 0);
}
END_TEST

START_TEST(an_end_that_was_told_to_a_lost_connection_is_asked_for)
{
	scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\"}]}}", id_text(1));
	scripted_says(&node, "wait", "{\"finished\": {\"tasks\": [" DEAD "]}}", id_text(1), 7);
	ck_assert_int_eq(submit_watched(1), 0);
	tell_to_die();
	run_until(&n_finished, 1);
	ck_assert_int_eq(finished_state, TROUPE_STATE_DEAD);
	ck_assert_uint_eq(n_finished, 1);
	ck_assert_uint_eq(scripted_count(&node, "\"wait\""), 1);
}
END_TEST

START_TEST(a_watched_task_that_was_there_is_asked_about)
{
	scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\", \"existing\": true}]}}", id_text(1));
	scripted_says(&node, "wait", "{\"error\": {\"code\": 10, \"text\": \"full\", \"retryable\": true, \"retryAfterMs\": 10}}\n{\"finished\": {\"tasks\": [" DONE "]}}", id_text(1), 7);
	ck_assert_int_eq(submit_watched(1), 0);
	run_until(&n_finished, 1);
	ck_assert_int_eq(finished_state, TROUPE_STATE_DONE);
}
END_TEST

START_TEST(a_watched_task_that_was_purged_is_told_as_unknown)
{
	scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\", \"existing\": true}]}}", id_text(1));
	scripted_says(&node, "wait", "{\"error\": {\"code\": 8, \"text\": \"unknown\", \"index\": 1}}");
	ck_assert_int_eq(submit_watched(1), 0);
	run_until(&n_finished, 1);
	ck_assert_int_eq(finished_state, TROUPE_STATE_UNKNOWN);
	ck_assert_int_eq(finished_id.b[15], 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("libtroupe, wait");
	TCase *c = tcase_create("with a node");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, stage_setup, stage_teardown);
	tcase_add_test(c, a_wait_ends_with_the_last_of_its_tasks);
	tcase_add_test(c, a_wait_for_any_ends_with_the_first);
	tcase_add_test(c, a_wait_that_is_late_gives_what_is_final);
	tcase_add_test(c, a_timeout_that_no_clock_reaches_is_no_past_one);
	tcase_add_test(c, a_wait_goes_on_over_the_death_of_the_coordinator);
	tcase_add_test(c, an_unknown_task_is_named_by_its_place);
	tcase_add_test(c, more_names_than_a_wait_may_have_are_refused);
	tcase_add_test(c, waits_that_were_started_call_back_once);
	tcase_add_test(c, a_cancel_tells_how_many_and_who_was_refused);
	tcase_add_test(c, a_cancel_that_was_started_calls_back_once);
	tcase_add_test(c, the_end_of_a_watched_task_is_told_once);
	tcase_add_test(c, questions_of_our_own_are_not_outstanding);
	tcase_add_test(c, an_end_that_was_told_to_a_lost_connection_is_asked_for);
	tcase_add_test(c, a_watched_task_that_was_there_is_asked_about);
	tcase_add_test(c, a_watched_task_that_was_purged_is_told_as_unknown);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
