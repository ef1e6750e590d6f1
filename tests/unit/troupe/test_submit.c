#include "tests/unit/troupe/stage.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"

#define STOPPING "{\"error\": {\"code\": 14, \"text\": \"going down\"}}"

static struct troupe_receipt receipt;

static void accepts(unsigned char id) { scripted_says(&node, "submit", "{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\"}]}}", id_text(id)); }

static int submit(unsigned char id)
{
	struct troupe_task task = task_for("emails", "hello");
	task.id = id_of(id);
	return troupe_submit(troupe, &task, &receipt, &error);
}

START_TEST(a_task_is_submitted_and_its_receipt_told)
{
	struct troupe_retry retry = TROUPE_RETRY_INIT;
	const char *const argv[] = { "make", "all", NULL }, *const tags[] = { "gpu", NULL };
	const uint64_t delays[] = { 5, 10 };
	const struct troupe_edge edge = { .id = id_of(3), .on = TROUPE_ON_END };
	const struct troupe_resource mem = { .name = "mem", .amount = 4096 };
	struct troupe_task task = task_for("emails", "hello");
	accepts(1);
	retry.max_attempts = 4;
	retry.backoff = TROUPE_BACKOFF_LIST;
	retry.delays_ms = delays;
	retry.n_delays_ms = 2;
	task.id = id_of(1);
	task.argv = argv;
	task.tags = tags;
	task.retry = &retry;
	task.depends_on = &edge;
	task.n_depends_on = 1;
	task.resources = &mem;
	task.n_resources = 1;
	task.priority = TROUPE_PRIORITY_CRITICAL;
	task.unique_key = "order:77";
	task.unique_mode = TROUPE_UNIQUE_RETURN;
	task.serial_key = "ann";
	task.delay_ms = 1500;
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), 0);
	ck_assert_uint_eq(receipt.seq, 7);
	ck_assert(!receipt.existing);
	ck_assert_mem_eq(&receipt.id, &task.id, sizeof task.id);
	const char *said[] = { "\"queue\":\"emails\"", "\"payload\":\"aGVsbG8=\"", "\"uniqueKey\":\"order:77\"", "\"uniqueMode\":\"UNIQUE_RETURN\"", "\"serialKey\":\"ann\"",
		               "\"delayMs\":\"1500\"", "\"maxAttempts\":4", "\"delaysMs\":[\"5\",\"10\"]", "\"on\":\"ON_END\"", "\"name\":\"mem\"", "\"tags\":[\"gpu\"]",
		               "\"priority\":{}", "\"argv\":[\"bWFrZQ==\",\"YWxs\"]" };
	const char *request = scripted_request(&node, "submit", 0);
	for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
		ck_assert_msg(strstr(request, said[i]) != NULL, "%s is not in %s", said[i], request);
}
END_TEST

START_TEST(a_task_without_an_id_gets_one)
{
	struct troupe_task tasks[2] = { task_for("emails", "a"), task_for("emails", "b") };
	struct troupe_receipt receipts[2];
	scripted_says(&node, "submit", "{\"error\": {\"code\": 7, \"text\": \"unknown\", \"index\": 2}}");
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 0, receipts, &error), TROUPE_ERROR_NO_QUEUE);
	ck_assert_uint_eq(error.index, 2);
	ck_assert_uint_eq(receipts[0].seq, 0);
	ck_assert_int_lt(memcmp(&receipts[0].id, &receipts[1].id, sizeof receipts[0].id), 0);
	ck_assert_uint_eq(scripted_count(&node, "submit"), 1);
}
END_TEST

START_TEST(a_death_in_the_middle_of_a_submit_sends_the_same_ids_again)
{
	char first[512];
	scripted_says(&node, "submit", "die\n{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\", \"existing\": true}]}}", id_text(9));
	ck_assert_int_eq(submit(9), 0);
	ck_assert(receipt.existing);
	ck_assert_uint_eq(scripted_count(&node, "submit"), 2);
	snprintf(first, sizeof first, "%s", scripted_request(&node, "submit", 0));
	ck_assert_str_eq(first, scripted_request(&node, "submit", 1));
	ck_assert_uint_eq(n_down, 1);
	ck_assert_uint_eq(n_up, 2);
}
END_TEST

START_TEST(busy_is_a_value_with_a_time_to_come_back)
{
	scripted_says(&node, "submit", "{\"error\": {\"code\": 10, \"text\": \"full\", \"retryable\": true, \"retryAfterMs\": 250}}");
	ck_assert_int_eq(submit(1), TROUPE_ERROR_BUSY);
	ck_assert(error.retryable);
	ck_assert_uint_eq(error.retry_after_ms, 250);
	ck_assert_str_eq(error.text, "full");
	ck_assert_str_eq(troupe_code_name(error.code), "BUSY");
}
END_TEST

START_TEST(what_is_too_much_or_malformed_is_refused_before_it_is_sent)
{
	static struct troupe_task tasks[TROUPE_SUBMIT_MAX + 1];
	static struct troupe_receipt receipts[TROUPE_SUBMIT_MAX + 1];
	static char large[TROUPE_REQUEST_BYTES_MAX + 1];
	struct troupe_task task = task_for("emails", "x");
	for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
		tasks[i] = task;
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, TROUPE_SUBMIT_MAX + 1, 0, receipts, &error), TROUPE_ERROR_TOO_LARGE);
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 0, 0, receipts, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 1, 64, receipts, &error), TROUPE_ERROR_BAD_REQUEST);
	tasks[1].queue = "\xff";
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 0, receipts, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_uint_eq(error.index, 2);
	tasks[1].queue = NULL;
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 0, receipts, &error), TROUPE_ERROR_BAD_REQUEST);
	task.payload = large;
	task.payload_len = sizeof large;
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), TROUPE_ERROR_TOO_LARGE);
	ck_assert_uint_eq(scripted_count(&node, "submit"), 0);
	ck_assert_uint_eq(troupe_outstanding(troupe), 0);
}
END_TEST

START_TEST(a_length_that_is_none_is_too_large)
{
	struct troupe_task tasks[2] = { task_for("emails", "a"), task_for("emails", "b") };
	struct troupe_receipt receipts[2];
	tasks[1].payload_len = (size_t)-1;
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 0, receipts, &error), TROUPE_ERROR_TOO_LARGE);
	ck_assert_uint_eq(error.index, 2);
	tasks[1].payload_len = (size_t)-1000000;
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 0, receipts, &error), TROUPE_ERROR_TOO_LARGE);
}
END_TEST

START_TEST(ids_are_told_where_nothing_was_started)
{
	struct troupe_task tasks[2] = { task_for("emails", "a"), task_for("emails", "b") };
	struct troupe_receipt receipts[2] = { 0 };
	tasks[1].id = id_of(9);
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, 2, 64, receipts, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_int_ne(receipts[0].id.b[0] | receipts[0].id.b[15], 0);
	ck_assert_mem_eq(&receipts[1].id, &tasks[1].id, sizeof tasks[1].id);
	ck_assert_uint_eq(receipts[0].seq, 0);
}
END_TEST

START_TEST(a_size_that_the_library_does_not_know_is_refused)
{
	struct troupe_task task = task_for("emails", "x");
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe_retry retry = TROUPE_RETRY_INIT;
	struct troupe *other;
	task.size += 8;
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), TROUPE_ERROR_VERSION);
	task.size = 0;
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), TROUPE_ERROR_VERSION);
	ck_assert_ptr_nonnull(strstr(error.cure, "_INIT"));
	task.size = sizeof task;
	task.retry = &retry;
	retry.size = 3;
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), TROUPE_ERROR_VERSION);
	o.size = 1;
	ck_assert_int_eq(troupe_connect(&o, &other, &error), TROUPE_ERROR_VERSION);
}
END_TEST

START_TEST(as_many_tasks_as_a_submit_may_have_are_one_request)
{
	static struct troupe_task tasks[TROUPE_SUBMIT_MAX];
	static struct troupe_receipt receipts[TROUPE_SUBMIT_MAX];
	for (size_t i = 0; i < TROUPE_SUBMIT_MAX; i++)
		tasks[i] = task_for("emails", "x");
	scripted_says(&node, "submit", "{\"error\": {\"code\": 7, \"text\": \"unknown\", \"index\": 4096}}");
	ck_assert_int_eq(troupe_submit_many(troupe, tasks, TROUPE_SUBMIT_MAX, 0, receipts, &error), TROUPE_ERROR_NO_QUEUE);
	ck_assert_uint_eq(scripted_count(&node, "submit"), 1);
}
END_TEST

struct called { size_t n; int code; uint64_t seq; };
static void on_submitted(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *e)
{
	struct called *c = ctx;
	c->n++;
	c->code = e ? e->code : 0;
	c->seq = receipts[n - 1].seq;
}

START_TEST(a_submit_that_was_started_calls_back_once)
{
	struct called c = { 0 };
	struct troupe_task task = task_for("emails", "x");
	accepts(1);
	ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, on_submitted, &c, &error), 0);
	ck_assert_uint_eq(troupe_outstanding(troupe), 1);
	ck_assert_uint_eq(c.n, 0);
	run_until(&c.n, 1);
	ck_assert_int_eq(c.code, 0);
	ck_assert_uint_eq(c.seq, 7);
	ck_assert_int_eq(troupe_run(troupe, 50), 0);
	ck_assert_uint_eq(c.n, 1);
}
END_TEST

/* The last byte of each submit's id, in the order in which they came. */
static void ids_of_requests(size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++) {
		const char *line = scripted_request(&node, "\"submit\"", i);
		ck_assert_ptr_nonnull(line);
		for (unsigned char id = 1; id <= 9; id++)
			if (strstr(line, id_text(id)))
				ret[i] = (char)('0' + id);
	}
	ret[n] = '\0';
}

static void submit_three_in_order(const char *first, const char *want)
{
	struct called c = { 0 };
	char order[16];
	scripted_says(&node, "submit", "%s\n{\"submitted\": {\"receipts\": [{\"id\": \"%s\", \"seq\": \"7\"}]}}", first, id_text(1));
	for (unsigned char i = 1; i <= 3; i++) {
		struct troupe_task task = task_for("emails", "x");
		task.id = id_of(i);
		ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, on_submitted, &c, &error), 0);
	}
	run_until(&c.n, 3);
	ck_assert_int_eq(c.code, 0);
	ids_of_requests(strlen(want), order);
	ck_assert_str_eq(order, want);
}

START_TEST(what_an_actor_on_its_way_down_refuses_is_sent_again_in_its_old_order)
{
	submit_three_in_order(STOPPING "\n" STOPPING "\n" STOPPING, "123123");
}
END_TEST

START_TEST(what_it_did_not_answer_before_its_end_keeps_its_place_too)
{
	submit_three_in_order(STOPPING "\n" STOPPING "\ndie", "123123");
}
END_TEST

START_TEST(an_answer_that_comes_too_late_is_nobodys)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe *hasty;
	struct troupe_task task = task_for("emails", "x");
	struct called c = { 0 };
	scripted_says(&node, "submit", "silent");
	o.run_dir = node.dir;
	o.timeout_ms = 100;
	ck_assert_int_eq(troupe_connect(&o, &hasty, &error), 0);
	ck_assert_int_eq(troupe_submit_start(hasty, &task, 1, 0, on_submitted, &c, &error), 0);
	ck_assert_int_eq(troupe_settle(hasty, 0, 5000, &error), 0);
	ck_assert_uint_eq(c.n, 1);
	ck_assert_int_eq(c.code, TROUPE_ERROR_TIMEOUT);
	ck_assert_int_eq(troupe_disconnect(hasty), 0);
	ck_assert_uint_eq(c.n, 1);
}
END_TEST

START_TEST(what_is_outstanding_at_the_disconnect_is_called_back)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe *other;
	struct troupe_task task = task_for("emails", "x");
	struct called c = { 0 };
	scripted_says(&node, "submit", "silent");
	o.run_dir = node.dir;
	ck_assert_int_eq(troupe_connect(&o, &other, &error), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(troupe_submit_start(other, &task, 1, 0, on_submitted, &c, &error), 0);
	ck_assert_int_eq(troupe_run(other, 10), 0);
	ck_assert_int_eq(troupe_disconnect(other), 0);
	ck_assert_uint_eq(c.n, 3);
	ck_assert_int_eq(c.code, TROUPE_ERROR_STOPPING);
}
END_TEST

static void block_inside(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *e)
{
	struct troupe_task task = task_for("emails", "x");
	ck_assert_int_eq(troupe_submit(troupe, &task, &receipt, &error), TROUPE_ERROR_STATE);
	ck_assert_int_eq(troupe_run(troupe, 0), TROUPE_ERROR_STATE);
	ck_assert_int_eq(troupe_disconnect(troupe), TROUPE_ERROR_STATE);
	ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, on_submitted, ctx, &error), 0);
}

START_TEST(a_callback_may_start_but_not_wait)
{
	struct called c = { 0 };
	struct troupe_task task = task_for("emails", "x");
	accepts(1);
	ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, block_inside, &c, &error), 0);
	run_until(&c.n, 1);
	ck_assert_int_eq(c.code, 0);
}
END_TEST

START_TEST(a_connection_sits_in_the_loop_of_its_caller)
{
	struct called c = { 0 };
	struct troupe_task task = task_for("emails", "x");
	uint64_t until_ms = clock_mono_ms() + 20000;
	accepts(1);
	for (size_t n = 0; n < 300; n++) {
		ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, on_submitted, &c, &error), 0);
		while (c.n <= n) {
			ck_assert_int_eq(troupe_run(troupe, 0), 0);
			ck_assert_uint_lt(clock_mono_ms(), until_ms);
			struct pollfd p = { .fd = troupe_fd(troupe), .events = POLLIN };
			/* Nothing but the descriptor and the time may be needed. */
			ck_assert_int_ge(poll(&p, 1, troupe_timeout_ms(troupe)), 0);
		}
	}
}
END_TEST

START_TEST(too_much_outstanding_is_busy_until_something_is_answered)
{
	struct called c = { 0 };
	struct troupe_task task = task_for("emails", "x");
	int code = 0;
	size_t n = 0;
	accepts(1);
	while (code == 0 && n <= TROUPE_OUTSTANDING_MAX)
		n += (code = troupe_submit_start(troupe, &task, 1, 0, on_submitted, &c, &error)) == 0;
	ck_assert_int_eq(code, TROUPE_ERROR_BUSY);
	ck_assert(error.retryable);
	ck_assert_uint_eq(n, TROUPE_OUTSTANDING_MAX);
	ck_assert_int_eq(troupe_settle(troupe, 16000, 30000, &error), 0);
	ck_assert_int_eq(troupe_submit_start(troupe, &task, 1, 0, on_submitted, &c, &error), 0);
}
END_TEST

START_TEST(a_child_may_use_no_connection_of_its_parents)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct troupe *own;
		struct troupe_options o = TROUPE_OPTIONS_INIT;
		o.run_dir = node.dir;
		struct troupe_id none = troupe_id_new(troupe), zero = { .b = { 0 } };
		bool refused = memcmp(&none, &zero, sizeof none) == 0 && submit(1) == TROUPE_ERROR_STATE && troupe_run(troupe, 0) == TROUPE_ERROR_STATE && troupe_connect(&o, &own, &error) == TROUPE_ERROR_STATE &&
		               troupe_disconnect(troupe) == TROUPE_ERROR_STATE;
		_exit(refused ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	accepts(1);
	ck_assert_int_eq(submit(1), 0);
}
END_TEST

static void *submit_some(void *arg)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe_task task = task_for("emails", "x");
	struct troupe_receipt own;
	struct troupe *t;
	size_t *n = arg;
	o.run_dir = node.dir;
	if (troupe_connect(&o, &t, NULL) != 0)
		return NULL;
	for (int i = 0; i < 100; i++)
		*n += troupe_submit(t, &task, &own, NULL) == 0;
	troupe_disconnect(t);
	return NULL;
}

START_TEST(connections_of_several_threads_do_not_disturb_each_other)
{
	pthread_t threads[4];
	size_t n[4] = { 0 };
	accepts(1);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_some, &n[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_uint_eq(n[i], 100);
	}
}
END_TEST

START_TEST(ids_have_a_text)
{
	struct troupe_id id = troupe_id_new(troupe), same;
	char text[TROUPE_ID_TEXT];
	troupe_id_format(&id, text);
	ck_assert_uint_eq(strlen(text), 26);
	ck_assert_int_eq(troupe_id_parse(text, &same, &error), 0);
	ck_assert_mem_eq(&id, &same, sizeof id);
	ck_assert_int_eq(troupe_id_parse("no id", &same, &error), TROUPE_ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(no_node_is_told_at_once)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe *none;
	o.run_dir = "/tmp/troupe-library-none";
	o.wait = true;
	ck_assert_int_eq(troupe_connect(&o, &none, &error), TROUPE_ERROR_NOT_REACHABLE);
	ck_assert_ptr_nonnull(strstr(error.text, "troupe-library-none/front"));
	o.coordinator = "nothing";
	ck_assert_int_eq(troupe_connect(&o, &none, &error), TROUPE_ERROR_BAD_REQUEST);
	ck_assert_int_eq(troupe_disconnect(NULL), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("libtroupe, submit");
	TCase *c = tcase_create("with a node");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, stage_setup, stage_teardown);
	tcase_add_test(c, a_task_is_submitted_and_its_receipt_told);
	tcase_add_test(c, a_task_without_an_id_gets_one);
	tcase_add_test(c, a_death_in_the_middle_of_a_submit_sends_the_same_ids_again);
	tcase_add_test(c, busy_is_a_value_with_a_time_to_come_back);
	tcase_add_test(c, what_is_too_much_or_malformed_is_refused_before_it_is_sent);
	tcase_add_test(c, a_length_that_is_none_is_too_large);
	tcase_add_test(c, ids_are_told_where_nothing_was_started);
	tcase_add_test(c, a_size_that_the_library_does_not_know_is_refused);
	tcase_add_test(c, as_many_tasks_as_a_submit_may_have_are_one_request);
	tcase_add_test(c, a_submit_that_was_started_calls_back_once);
	tcase_add_test(c, what_an_actor_on_its_way_down_refuses_is_sent_again_in_its_old_order);
	tcase_add_test(c, what_it_did_not_answer_before_its_end_keeps_its_place_too);
	tcase_add_test(c, an_answer_that_comes_too_late_is_nobodys);
	tcase_add_test(c, what_is_outstanding_at_the_disconnect_is_called_back);
	tcase_add_test(c, a_callback_may_start_but_not_wait);
	tcase_add_test(c, a_connection_sits_in_the_loop_of_its_caller);
	tcase_add_test(c, too_much_outstanding_is_busy_until_something_is_answered);
	tcase_add_test(c, a_child_may_use_no_connection_of_its_parents);
	tcase_add_test(c, connections_of_several_threads_do_not_disturb_each_other);
	tcase_add_test(c, ids_have_a_text);
	suite_add_tcase(s, c);
	TCase *alone = tcase_create("alone");
	tcase_add_test(alone, no_node_is_told_at_once);
	suite_add_tcase(s, alone);
	return s;
}

int main(void) { return suite_run(suite()); }
