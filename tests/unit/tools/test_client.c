#include "tests/suite.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/client.h"
#include "tests/unit/tools/fake_node.h"

static struct fake_node node;
static struct client *client;
static struct arena *arena;
static const Troupe__Envelope *answer;
static struct error error;
static size_t n_pushed, n_up, n_down;

static void on_push(void *ctx, const char *from, struct arena *a, const Troupe__Envelope *env)
{
	ck_assert_str_eq(from, "echo:1");
	n_pushed += env->body_case == TROUPE__ENVELOPE__BODY_FINISHED;
}

static void on_link(void *ctx, const char *address, bool up)
{
	ck_assert_str_eq(address, "echo:1");
	n_up += up;
	n_down += !up;
}

static void setup(void)
{
	fake_node_start(&node);
	struct client_config c = { .run_dir = node.dir, .program = "test", .on_push = on_push, .on_link = on_link };
	ck_assert_int_eq(client_open(&c, &client, &error), 0);
}

static void teardown(void)
{
	arena_unref(arena);
	client_close(client);
	fake_node_stop(&node);
}

static Troupe__Ping ping;
static Troupe__Envelope ping_with(const char *data)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	troupe__ping__init(&ping);
	ping.data = (ProtobufCBinaryData){ .len = strlen(data), .data = (uint8_t *)(uintptr_t)data };
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	return env;
}

static int ask_of(const char *to, const char *data, uint64_t timeout_ms)
{
	Troupe__Envelope env = ping_with(data);
	arena = arena_unref(arena);
	memset(&error, 0, sizeof error);
	return client_ask(client, to, &env, timeout_ms, &arena, &answer, &error);
}

static int ask(const char *data, uint64_t timeout_ms) { return ask_of("echo:1", data, timeout_ms); }

START_TEST(an_ask_finds_the_actor_and_is_answered)
{
	ck_assert_int_eq(ask("hello", 5000), 0);
	ck_assert_int_eq(answer->body_case, TROUPE__ENVELOPE__BODY_PONG);
	ck_assert_mem_eq(answer->pong->data.data, "hello", 5);
	ck_assert_int_eq(ask("again", 5000), 0);
	ck_assert_uint_eq(client_reconnects(client), 0);
}
END_TEST

START_TEST(an_ask_that_nobody_answers_ends_at_its_deadline)
{
	ck_assert_int_eq(ask("hello", 5000), 0);
	uint64_t began_ms = clock_mono_ms();
	ck_assert_int_eq(ask("silent", 100), ERROR_TIMEOUT);
	uint64_t took_ms = clock_mono_ms() - began_ms;
	ck_assert_uint_ge(took_ms, 100);
	ck_assert_uint_lt(took_ms, 2000);
	ck_assert_int_eq(ask("hello", 5000), 0);
}
END_TEST

START_TEST(an_actor_that_dies_in_the_middle_is_a_pause)
{
	size_t requests, ids;
	ck_assert_int_eq(ask("hello", 5000), 0);
	ck_assert_int_eq(ask("die-once", 10000), 0);
	ck_assert_uint_ge(answer->pong->incarnation, 2);
	fake_node_seen(&node, "die-once", &requests, &ids);
	ck_assert_uint_eq(requests, 2);
	ck_assert_uint_eq(ids, 1);
	ck_assert_uint_eq(client_reconnects(client), 1);
	ck_assert_uint_eq(client_resends(client), 1);
}
END_TEST

START_TEST(the_ends_of_connections_are_told)
{
	ck_assert_int_eq(ask("hello", 5000), 0);
	ck_assert_uint_eq(n_up, 1);
	ck_assert_int_eq(ask("again", 5000), 0);
	ck_assert_uint_eq(n_up, 1);
	ck_assert_uint_eq(n_down, 0);
	ck_assert_int_eq(ask("die-once", 10000), 0);
	ck_assert_uint_eq(n_up, 2);
	ck_assert_uint_eq(n_down, 1);
}
END_TEST

static void count_answer(void *ctx, const struct client_answer *a)
{
	ck_assert_ptr_null(a->error);
	++*(size_t *)ctx;
}

START_TEST(a_client_sits_in_the_loop_of_its_caller)
{
	size_t n_answers = 0;
	Troupe__Envelope env = ping_with("hello");
	struct client_request q = { .to = "echo:1", .env = &env, .timeout_ms = 20000, .on_answer = count_answer, .ctx = &n_answers };
	uint64_t until_ms = clock_mono_ms() + 20000;
	for (size_t n = 0; n < 3000; n++) {
		ck_assert_int_eq(client_start(client, &q, &error), 0);
		while (n_answers <= n) {
			ck_assert_int_eq(client_poll(client, 0), 0);
			uint64_t now_ms = clock_mono_ms(), at_ms = client_deadline_ms(client);
			ck_assert_uint_lt(now_ms, until_ms);
			struct pollfd p = { .fd = client_fd(client), .events = POLLIN };
			/* Nothing but the descriptor and the deadline may be needed. */
			ck_assert_int_ge(poll(&p, 1, at_ms <= now_ms ? 0 : at_ms - now_ms < 60000 ? (int)(at_ms - now_ms) : 60000), 0);
		}
	}
}
END_TEST

START_TEST(what_may_not_be_done_twice_is_not_sent_twice)
{
	size_t requests, ids;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)"die-once";
	ck_assert_int_eq(client_ask(client, "echo:1", &env, 10000, &arena, &answer, &error), ERROR_NOT_REACHABLE);
	ck_assert_ptr_nonnull(strstr(error.text, "may have been done"));
	ck_assert_int_eq(ask("hello", 5000), 0);
	fake_node_seen(&node, "die-once", &requests, &ids);
	ck_assert_uint_eq(requests, 1);
}
END_TEST

START_TEST(busy_is_a_value_with_a_time_to_come_back)
{
	ck_assert_int_eq(ask("busy", 5000), ERROR_BUSY);
	ck_assert(error.retryable);
	ck_assert_uint_eq(error.retry_after_ms, 20);
}
END_TEST

START_TEST(an_actor_on_its_way_down_is_asked_again)
{
	size_t requests, ids;
	ck_assert_int_eq(ask("stopping", 5000), 0);
	fake_node_seen(&node, "stopping", &requests, &ids);
	ck_assert_uint_eq(requests, 4);
	ck_assert_uint_eq(ids, 1);
}
END_TEST

START_TEST(an_unknown_actor_is_told_at_once)
{
	uint64_t began_ms = clock_mono_ms();
	ck_assert_int_eq(ask_of("unknown:1", "x", 60000), ERROR_NO_ACTOR);
	ck_assert_uint_lt(clock_mono_ms() - began_ms, 5000);
}
END_TEST

START_TEST(an_actor_that_is_not_up_is_waited_for_until_the_deadline)
{
	uint64_t began_ms = clock_mono_ms();
	ck_assert_int_eq(ask_of("down:1", "x", 300), ERROR_NOT_REACHABLE);
	ck_assert_uint_ge(clock_mono_ms() - began_ms, 300);
	ck_assert_ptr_nonnull(strstr(error.text, "down:1"));
	ck_assert_ptr_nonnull(strstr(error.cure, "troupe tree"));
}
END_TEST

struct count { size_t n, wrong; };
static void on_counted(void *ctx, const struct client_answer *a)
{
	struct count *c = ctx;
	char text[32];
	snprintf(text, sizeof text, "%zu", c->n++);
	if (a->error || a->env->pong->data.len != strlen(text) || memcmp(a->env->pong->data.data, text, strlen(text)) != 0)
		c->wrong++;
}

START_TEST(more_asks_than_credit_are_all_answered_in_order)
{
	struct count c = { 0 };
	for (size_t i = 0; i < 5000; i++) {
		char text[32];
		snprintf(text, sizeof text, "%zu", i);
		Troupe__Envelope env = ping_with(text);
		struct client_request r = { .to = "echo:1", .env = &env, .timeout_ms = 30000, .on_answer = on_counted, .ctx = &c };
		ck_assert_int_eq(client_start(client, &r, &error), 0);
	}
	ck_assert_uint_eq(client_outstanding(client), 5000);
	ck_assert_int_eq(client_wait_room(client, 0, 30000, &error), 0);
	ck_assert_uint_eq(c.n, 5000);
	ck_assert_uint_eq(c.wrong, 0);
}
END_TEST

START_TEST(many_asks_in_flight_survive_the_actors_death)
{
	struct count c = { 0 };
	size_t requests, ids;
	for (size_t i = 0; i < 300; i++) {
		char text[32];
		snprintf(text, sizeof text, "%zu", i);
		Troupe__Envelope env = ping_with(i == 150 ? "die-once" : text);
		struct client_request r = { .to = "echo:1", .env = &env, .timeout_ms = 30000, .on_answer = on_counted, .ctx = &c };
		ck_assert_int_eq(client_start(client, &r, &error), 0);
	}
	ck_assert_int_eq(client_wait_room(client, 0, 30000, &error), 0);
	ck_assert_uint_eq(c.n, 300);
	ck_assert_uint_eq(c.wrong, 1); /* the one that carried another text */
	fake_node_seen(&node, "die-once", &requests, &ids);
	ck_assert_uint_eq(requests, 2);
}
END_TEST

START_TEST(too_much_outstanding_is_refused_and_room_comes_back)
{
	struct count c = { 0 };
	Troupe__Envelope env = ping_with("silent");
	struct client_request r = { .to = "echo:1", .env = &env, .timeout_ms = 200, .on_answer = on_counted, .ctx = &c };
	for (size_t i = 0; i < CLIENT_ASKS_MAX; i++)
		ck_assert_int_eq(client_start(client, &r, &error), 0);
	ck_assert_int_eq(client_start(client, &r, &error), ERROR_BUSY);
	ck_assert_int_eq(client_wait_room(client, 0, 10000, &error), 0);
	ck_assert_uint_eq(c.n, CLIENT_ASKS_MAX);
}
END_TEST

START_TEST(what_the_node_sends_unasked_arrives_too)
{
	ck_assert_int_eq(ask("push", 5000), 0);
	ck_assert_uint_eq(n_pushed, 1);
}
END_TEST

START_TEST(a_message_without_an_answer_arrives)
{
	size_t requests, ids;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)"note";
	ck_assert_int_eq(client_tell(client, "echo:1", &env, &error), 0);
	ck_assert_int_eq(ask("hello", 5000), 0);
	fake_node_seen(&node, "note", &requests, &ids);
	ck_assert_uint_eq(requests, 1);
	ck_assert_int_eq(client_flush(client, 1000, &error), 0);
}
END_TEST

START_TEST(a_request_may_bring_its_body_packed)
{
	size_t n_answers = 0, requests, ids;
	Troupe__Envelope env = ping_with("packed"), header = TROUPE__ENVELOPE__INIT;
	uint8_t packed[64];
	size_t len = troupe__envelope__pack(&env, packed);
	struct client_request q = { .to = "echo:1", .env = &header, .packed = packed, .packed_len = len, .repeat = REPEAT_ALWAYS, .on_answer = count_answer, .ctx = &n_answers };
	ck_assert_int_eq(client_start(client, &q, &error), 0);
	ck_assert_int_eq(client_wait_room(client, 0, 5000, &error), 0);
	ck_assert_uint_eq(n_answers, 1);
	fake_node_seen(&node, "packed", &requests, &ids);
	ck_assert_uint_eq(requests, 1);
}
END_TEST

START_TEST(closing_with_asks_outstanding_calls_nobody_back)
{
	struct count c = { 0 };
	Troupe__Envelope env = ping_with("silent");
	struct client_request r = { .to = "echo:1", .env = &env, .on_answer = on_counted, .ctx = &c };
	ck_assert_int_eq(client_start(client, &r, &error), 0);
	ck_assert_int_eq(client_poll(client, clock_mono_ms() + 50), 0);
	client = client_close(client);
	ck_assert_uint_eq(c.n, 0);
}
END_TEST

START_TEST(no_node_is_told_at_once_with_path_and_errno)
{
	char dir[] = "/tmp/troupe-none.XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	struct client_config c = { .run_dir = dir };
	struct client *none;
	ck_assert_int_eq(client_open(&c, &none, &error), 0);
	uint64_t began_ms = clock_mono_ms();
	Troupe__Envelope env = ping_with("x");
	ck_assert_int_eq(client_ask(none, "echo:1", &env, 60000, &arena, &answer, &error), ERROR_NOT_REACHABLE);
	ck_assert_uint_lt(clock_mono_ms() - began_ms, 5000);
	ck_assert_ptr_nonnull(strstr(error.text, dir));
	ck_assert_ptr_nonnull(strstr(error.text, "ENOENT"));
	ck_assert_ptr_nonnull(strstr(error.text, "uid "));
	ck_assert_ptr_nonnull(strstr(error.cure, "TROUPE_RUN_DIR"));
	client_close(none);
	rmdir(dir);
}
END_TEST

START_TEST(a_door_that_was_left_behind_is_told_after_a_short_wait)
{
	char dir[] = "/tmp/troupe-stale.XXXXXX", command[64];
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(un.sun_path, sizeof un.sun_path, "%s/front", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	close(fd);
	struct client_config c = { .run_dir = dir };
	struct client *none;
	ck_assert_int_eq(client_open(&c, &none, &error), 0);
	uint64_t began_ms = clock_mono_ms();
	ck_assert_int_eq(client_reach(none, NULL, 60000, &error), ERROR_NOT_REACHABLE);
	ck_assert_uint_lt(clock_mono_ms() - began_ms, 10000);
	ck_assert_ptr_nonnull(strstr(error.text, "nobody answers"));
	client_close(none);
	snprintf(command, sizeof command, "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(the_run_directory_comes_from_option_environment_or_system)
{
	char dir[108];
	char long_one[100];
	setenv("TROUPE_RUN_DIR", "/tmp/of-env", 1);
	ck_assert_int_eq(client_run_dir("/tmp/given", dir, sizeof dir, NULL), 0);
	ck_assert_str_eq(dir, "/tmp/given");
	ck_assert_int_eq(client_run_dir(NULL, dir, sizeof dir, NULL), 0);
	ck_assert_str_eq(dir, "/tmp/of-env");
	memset(long_one, 'x', sizeof long_one);
	long_one[0] = '/';
	long_one[81] = '\0';
	ck_assert_int_eq(client_run_dir(long_one, dir, sizeof dir, NULL), ERROR_TOO_LARGE);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("client library");
	TCase *c = tcase_create("with a node");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_ask_finds_the_actor_and_is_answered);
	tcase_add_test(c, an_ask_that_nobody_answers_ends_at_its_deadline);
	tcase_add_test(c, an_actor_that_dies_in_the_middle_is_a_pause);
	tcase_add_test(c, the_ends_of_connections_are_told);
	tcase_add_test(c, a_client_sits_in_the_loop_of_its_caller);
	tcase_add_test(c, what_may_not_be_done_twice_is_not_sent_twice);
	tcase_add_test(c, busy_is_a_value_with_a_time_to_come_back);
	tcase_add_test(c, an_actor_on_its_way_down_is_asked_again);
	tcase_add_test(c, an_unknown_actor_is_told_at_once);
	tcase_add_test(c, an_actor_that_is_not_up_is_waited_for_until_the_deadline);
	tcase_add_test(c, more_asks_than_credit_are_all_answered_in_order);
	tcase_add_test(c, many_asks_in_flight_survive_the_actors_death);
	tcase_add_test(c, too_much_outstanding_is_refused_and_room_comes_back);
	tcase_add_test(c, what_the_node_sends_unasked_arrives_too);
	tcase_add_test(c, a_message_without_an_answer_arrives);
	tcase_add_test(c, a_request_may_bring_its_body_packed);
	tcase_add_test(c, closing_with_asks_outstanding_calls_nobody_back);
	suite_add_tcase(s, c);
	TCase *alone = tcase_create("alone");
	tcase_set_timeout(alone, 30);
	tcase_add_test(alone, no_node_is_told_at_once_with_path_and_errno);
	tcase_add_test(alone, a_door_that_was_left_behind_is_told_after_a_short_wait);
	tcase_add_test(alone, the_run_directory_comes_from_option_environment_or_system);
	suite_add_tcase(s, alone);
	return s;
}

int main(void) { return suite_run(suite()); }
