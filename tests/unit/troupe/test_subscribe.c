#include "tests/unit/troupe/stage.h"
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "proto/envelope.pb-c.h"

#define ROW "{\"at\": {\"commit\": \"%d\", \"index\": %d}, \"id\": \"%s\", \"seq\": \"7\", \"queue\": \"%s\", \"kind\": \"T_%s\", \"atMs\": \"5\"}"
#define NEXT(commit) "\"next\": {\"commit\": \"" #commit "\", \"index\": 4294967295}"

struct told {
	size_t n;
	struct troupe_event events[16];
	char queues[16][16];
	int code;
	size_t stop_after;               /* unsubscribe inside that call */
	struct troupe_subscription *s;
};

static void on_event(void *ctx, const struct troupe_event *e)
{
	struct told *told = ctx;
	strncpy(told->queues[told->n], e->queue, sizeof told->queues[0] - 1);
	told->code = e->error ? e->error->code : 0;
	told->events[told->n++] = *e;
	if (told->n == told->stop_after)
		troupe_unsubscribe(told->s);
}

static void subscribe(struct told *told, enum troupe_from from, uint64_t commit, const char *queue)
{
	struct troupe_subscribe_options o = TROUPE_SUBSCRIBE_INIT;
	o.from = from;
	o.cursor.commit = commit;
	o.queue = queue;
	o.on_event = told ? on_event : NULL;
	o.ctx = told;
	struct troupe_subscription *s;
	ck_assert_int_eq(troupe_subscribe(troupe, &o, &s, &error), 0);
	if (told)
		told->s = s;
}

START_TEST(events_are_told_in_the_order_of_the_log)
{
	struct told told = { 0 };
	scripted_says(&node, "log_ask", "{\"log\": {\"rows\": [" ROW ", " ROW "], " NEXT(3) "}}\n{\"log\": {\"rows\": [" ROW "], " NEXT(4) "}}\nsilent", 2, 0, id_text(1), "a", "ACCEPTED", 3, 1,
	              id_text(2), "b", "GIVEN", 4, 0, id_text(1), "a", "DONE");
	subscribe(&told, TROUPE_FROM_OLDEST, 0, NULL);
	run_until(&told.n, 3);
	ck_assert_int_eq(told.events[0].kind, TROUPE_EVENT_ACCEPTED);
	ck_assert_int_eq(told.events[1].kind, TROUPE_EVENT_GIVEN);
	ck_assert_int_eq(told.events[2].kind, TROUPE_EVENT_DONE);
	ck_assert_uint_eq(told.events[1].cursor.commit, 3);
	ck_assert_uint_eq(told.events[1].cursor.index, 1);
	ck_assert_int_eq(told.events[1].id.b[15], 2);
	ck_assert_str_eq(told.queues[1], "b");
	ck_assert_ptr_nonnull(strstr(scripted_request(&node, "logAsk", 1), "\"after\":{\"commit\":\"3\",\"index\":4294967295}"));
	ck_assert_uint_eq(troupe_subscription_cursor(told.s).commit, 4);
	troupe_unsubscribe(told.s);
}
END_TEST

START_TEST(now_is_asked_for_once_and_then_read_from)
{
	struct told told = { 0 };
	scripted_says(&node, "log_ask", "{\"log\": {" NEXT(9) "}}\ndie\n{\"log\": {\"rows\": [" ROW "], " NEXT(10) "}}\nsilent", 10, 0, id_text(1), "a", "ACCEPTED");
	subscribe(&told, TROUPE_FROM_NOW, 0, NULL);
	run_until(&told.n, 1);
	ck_assert_ptr_nonnull(strstr(scripted_request(&node, "logAsk", 0), "\"fromEnd\":true"));
	for (size_t i = 1; i <= 2; i++)
		ck_assert_ptr_nonnull(strstr(scripted_request(&node, "logAsk", i), "\"after\":{\"commit\":\"9\""));
}
END_TEST

static void not_yet(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *e) { ck_assert_int_eq(e->code, TROUPE_ERROR_STOPPING); }

START_TEST(what_is_started_after_now_is_not_sent_before_now_is_known)
{
	/* Were it sent, and were both answers lost with the coordinator, now would be found behind it. */
	struct told told = { 0 };
	struct troupe_task task = task_for("emails", "x");
	scripted_says(&node, "log_ask", "silent");
	scripted_says(&node, "log_ask.push", "{\"finished\": {}}");
	subscribe(&told, TROUPE_FROM_NOW, 0, NULL);
	ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, not_yet, NULL, &error), 0);
	run_until(&n_pushed, 1);
	ck_assert_uint_eq(scripted_count(&node, "submit"), 0);
	ck_assert_uint_eq(troupe_outstanding(troupe), 2);
}
END_TEST

START_TEST(rows_that_are_gone_are_an_event_of_their_own)
{
	struct told told = { 0 };
	scripted_says(&node, "log_ask", "{\"log\": {\"gap\": true, \"oldest\": {\"commit\": \"50\"}, \"rows\": [" ROW "], " NEXT(50) "}}\nsilent", 50, 0, id_text(1), "a", "DONE");
	subscribe(&told, TROUPE_FROM_CURSOR, 7, NULL);
	run_until(&told.n, 2);
	ck_assert_int_eq(told.events[0].kind, TROUPE_EVENT_GAP);
	ck_assert_uint_eq(told.events[0].cursor.commit, 49);
	ck_assert_int_eq(told.events[1].kind, TROUPE_EVENT_DONE);
}
END_TEST

START_TEST(events_of_other_queues_are_left_out)
{
	struct told told = { 0 };
	scripted_says(&node, "log_ask", "{\"log\": {\"rows\": [" ROW ", " ROW "], " NEXT(3) "}}\nsilent", 2, 0, id_text(1), "a", "ACCEPTED", 3, 1, id_text(2), "b", "GIVEN");
	subscribe(&told, TROUPE_FROM_OLDEST, 0, "b");
	run_until(&told.n, 1);
	ck_assert_str_eq(told.queues[0], "b");
	ck_assert_uint_eq(troupe_subscription_cursor(told.s).commit, 3);
}
END_TEST

START_TEST(nobody_is_called_after_an_unsubscribe)
{
	struct told inside = { .stop_after = 1 }, outside = { 0 };
	scripted_says(&node, "log_ask", "{\"log\": {\"rows\": [" ROW ", " ROW "], " NEXT(3) "}}", 2, 0, id_text(1), "a", "ACCEPTED", 3, 1, id_text(2), "b", "GIVEN");
	subscribe(&inside, TROUPE_FROM_OLDEST, 0, NULL);
	run_until(&inside.n, 1);
	ck_assert_int_eq(troupe_run(troupe, 20), 0);
	ck_assert_uint_eq(inside.n, 1);
	ck_assert_uint_eq(troupe_outstanding(troupe), 0);
	subscribe(&outside, TROUPE_FROM_OLDEST, 0, NULL);
	troupe_unsubscribe(outside.s);
	ck_assert_int_eq(troupe_settle(troupe, 0, 5000, &error), 0);
	ck_assert_uint_eq(outside.n, 0);
}
END_TEST

START_TEST(a_subscription_that_cannot_go_on_says_why_and_ends)
{
	struct told told = { 0 };
	scripted_says(&node, "log_ask", "{\"error\": {\"code\": 10, \"text\": \"full\", \"retryable\": true, \"retryAfterMs\": 10}}\n{\"error\": {\"code\": 4, \"text\": \"no\"}}");
	subscribe(&told, TROUPE_FROM_OLDEST, 0, NULL);
	run_until(&told.n, 1);
	ck_assert_int_eq(told.events[0].kind, TROUPE_EVENT_END);
	ck_assert_int_eq(told.code, TROUPE_ERROR_NOT_ALLOWED);
	ck_assert_int_eq(troupe_run(troupe, 20), 0);
	ck_assert_uint_eq(told.n, 1);
	troupe_unsubscribe(told.s);
}
END_TEST

START_TEST(events_can_be_asked_for_one_by_one)
{
	struct troupe_subscribe_options o = TROUPE_SUBSCRIBE_INIT;
	struct troupe_subscription *s;
	const struct troupe_event *e;
	scripted_says(&node, "log_ask", "{\"log\": {\"rows\": [" ROW ", " ROW "], " NEXT(3) "}}\n{\"log\": {\"rows\": [" ROW "], " NEXT(4) "}}\nsilent\n{\"error\": {\"code\": 4, \"text\": \"no\"}}", 2, 0,
	              id_text(1), "a", "ACCEPTED", 3, 1, id_text(2), "b", "GIVEN", 4, 0, id_text(1), "a", "DONE");
	o.from = TROUPE_FROM_OLDEST;
	ck_assert_int_eq(troupe_subscribe(troupe, &o, &s, &error), 0);
	const enum troupe_event_kind kinds[] = { TROUPE_EVENT_ACCEPTED, TROUPE_EVENT_GIVEN, TROUPE_EVENT_DONE };
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(troupe_next(s, 5000, &e, &error), 0);
		ck_assert_int_eq(e->kind, kinds[i]);
	}
	ck_assert_int_eq(troupe_next(s, 50, &e, &error), TROUPE_ERROR_TIMEOUT);
	troupe_unsubscribe(s);
	ck_assert_int_eq(troupe_subscribe(troupe, &o, &s, &error), 0);
	ck_assert_int_eq(troupe_next(s, 5000, &e, &error), 0);
	ck_assert_int_eq(e->kind, TROUPE_EVENT_END);
	ck_assert_int_eq(e->error->code, TROUPE_ERROR_NOT_ALLOWED);
	ck_assert_int_eq(troupe_next(s, 5000, &e, &error), TROUPE_ERROR_STATE);
	troupe_unsubscribe(s);
	troupe_unsubscribe(NULL);
}
END_TEST

/* --- messages as they are --- */

static uint8_t packed[256];
static struct troupe_message message_of(Troupe__Envelope *env)
{
	struct troupe_message m = TROUPE_MESSAGE_INIT;
	m.to = "coordinator:main";
	m.envelope = packed;
	m.len = troupe__envelope__pack(env, packed);
	return m;
}

static Troupe__Envelope queue_ask(void)
{
	static Troupe__QueueAsk ask;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	troupe__queue_ask__init(&ask);
	ask.name = (char *)"emails";
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	return env;
}

START_TEST(a_packed_request_gets_a_packed_answer)
{
	Troupe__Envelope env = queue_ask();
	struct troupe_message m = message_of(&env);
	void *answer;
	size_t len;
	scripted_says(&node, "queue_ask", "{\"queues\": {\"queues\": [{\"name\": \"emails\", \"ready\": \"3\"}]}}\n{\"error\": {\"code\": 7, \"text\": \"unknown\"}}");
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), 0);
	Troupe__Envelope *got = troupe__envelope__unpack(NULL, len, answer);
	ck_assert_int_eq(got->body_case, TROUPE__ENVELOPE__BODY_QUEUES);
	ck_assert_uint_eq(got->queues->queues[0]->ready, 3);
	troupe__envelope__free_unpacked(got, NULL);
	free(answer);
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_NO_QUEUE);
}
END_TEST

START_TEST(a_request_that_may_be_repeated_is_sent_again_and_another_is_not)
{
	Troupe__Envelope env = queue_ask();
	struct troupe_message m = message_of(&env);
	Troupe__CronOrder order = TROUPE__CRON_ORDER__INIT;
	void *answer;
	size_t len;
	scripted_says(&node, "queue_ask", "die\n{\"queues\": {}}");
	scripted_says(&node, "cron_order", "die\n{\"ok\": {}}\ndie\n{\"ok\": {}}");
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), 0);
	free(answer);
	troupe__envelope__init(&env);
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_ORDER;
	env.cron_order = &order;
	order.op = TROUPE__CRON_ORDER__OP__PAUSE;
	m = message_of(&env);
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), 0);
	free(answer);
	order.op = TROUPE__CRON_ORDER__OP__RUN;
	m = message_of(&env);
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_NOT_REACHABLE);
	m.repeat = TROUPE_REPEAT_ALWAYS;
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), 0);
	free(answer);
}
END_TEST

START_TEST(what_is_no_message_of_a_sender_is_refused)
{
	Troupe__Envelope env = queue_ask();
	uint8_t id[16] = { 1 };
	void *answer;
	size_t len;
	env.kind = TROUPE__KIND__ASK;
	struct troupe_message m = message_of(&env);
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_int_eq(troupe_tell(troupe, &m, &error), TROUPE_ERROR_BAD_REQUEST);
	m.len = 7;
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_BAD_REQUEST);
	m.len = TROUPE_REQUEST_BYTES_MAX + 1;
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_TOO_LARGE);
	env = queue_ask();
	m = message_of(&env);
	m.to = "nobody";
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_BAD_REQUEST);
	m.to = "coordinator:main";
	m.size = 4;
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), TROUPE_ERROR_VERSION);
	ck_assert_uint_eq(scripted_count(&node, "queueAsk"), 0);
	/* An id of the sender's is kept. */
	scripted_says(&node, "queue_ask", "{\"queues\": {}}");
	env.id = (ProtobufCBinaryData){ sizeof id, id };
	m = message_of(&env);
	ck_assert_int_eq(troupe_request(troupe, &m, &answer, &len, &error), 0);
	ck_assert_ptr_nonnull(strstr(scripted_request(&node, "queueAsk", 0), "\"id\":\"01000000000000000000000000\""));
	free(answer);
}
END_TEST

static void on_answer(void *ctx, const void *envelope, size_t len, const struct troupe_error *e)
{
	ck_assert_ptr_null(e);
	ck_assert_ptr_nonnull(envelope);
	++*(size_t *)ctx;
}

START_TEST(a_packed_request_that_was_started_calls_back_once)
{
	size_t n = 0;
	Troupe__Envelope env = queue_ask();
	struct troupe_message m = message_of(&env);
	scripted_says(&node, "queue_ask", "{\"queues\": {}}");
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(troupe_request_start(troupe, &m, on_answer, &n, &error), 0);
	run_until(&n, 50);
	ck_assert_int_eq(troupe_run(troupe, 10), 0);
	ck_assert_uint_eq(n, 50);
	ck_assert_int_eq(troupe_tell(troupe, &m, &error), 0);
	ck_assert_int_eq(troupe_flush(troupe, 1000, &error), 0);
}
END_TEST

static void unsubscribe_inside(void *ctx, const void *envelope, size_t len, const struct troupe_error *e)
{
	struct told *told = ctx;
	told->code = e->code;
	troupe_unsubscribe(told->s);
}

START_TEST(the_last_callback_of_a_connection_may_unsubscribe)
{
	struct told told = { 0 };
	struct troupe_options connection = TROUPE_OPTIONS_INIT;
	struct troupe_subscribe_options o = TROUPE_SUBSCRIBE_INIT;
	struct troupe *other;
	Troupe__Envelope env = queue_ask();
	struct troupe_message m = message_of(&env);
	scripted_says(&node, "log_ask", "silent");
	scripted_says(&node, "queue_ask", "silent");
	connection.run_dir = node.dir;
	ck_assert_int_eq(troupe_connect(&connection, &other, &error), 0);
	ck_assert_int_eq(troupe_subscribe(other, &o, &told.s, &error), 0);
	ck_assert_int_eq(troupe_request_start(other, &m, unsubscribe_inside, &told, &error), 0);
	ck_assert_int_eq(troupe_disconnect(other), 0);
	ck_assert_int_eq(told.code, TROUPE_ERROR_STOPPING);
}
END_TEST

START_TEST(a_flush_without_a_timeout_waits)
{
	Troupe__Envelope env = queue_ask();
	struct troupe_message m = message_of(&env);
	ck_assert_int_eq(troupe_tell(troupe, &m, &error), 0); /* nothing is dialled yet: it takes a few rounds */
	ck_assert_int_eq(troupe_flush(troupe, TROUPE_FOREVER, &error), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("libtroupe, subscribe");
	TCase *c = tcase_create("with a node");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, stage_setup, stage_teardown);
	tcase_add_test(c, events_are_told_in_the_order_of_the_log);
	tcase_add_test(c, now_is_asked_for_once_and_then_read_from);
	tcase_add_test(c, what_is_started_after_now_is_not_sent_before_now_is_known);
	tcase_add_test(c, rows_that_are_gone_are_an_event_of_their_own);
	tcase_add_test(c, events_of_other_queues_are_left_out);
	tcase_add_test(c, nobody_is_called_after_an_unsubscribe);
	tcase_add_test(c, a_subscription_that_cannot_go_on_says_why_and_ends);
	tcase_add_test(c, events_can_be_asked_for_one_by_one);
	tcase_add_test(c, a_packed_request_gets_a_packed_answer);
	tcase_add_test(c, a_request_that_may_be_repeated_is_sent_again_and_another_is_not);
	tcase_add_test(c, what_is_no_message_of_a_sender_is_refused);
	tcase_add_test(c, a_packed_request_that_was_started_calls_back_once);
	tcase_add_test(c, the_last_callback_of_a_connection_may_unsubscribe);
	tcase_add_test(c, a_flush_without_a_timeout_waits);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
