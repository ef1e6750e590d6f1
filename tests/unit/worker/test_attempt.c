/* One attempt's clock, and what an end means. */
#include "tests/suite.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "common/work/attempt.h"
#include "common/work/capture.h"
#include "common/work/environment.h"
#include "common/work/exit.h"
#include "common/work/oom.h"
#include "common/work/tier.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* --- the attempt --- */

static struct attempt a;

START_TEST(the_timeout_counts_from_the_start)
{
	attempt_init(&a, 1000, 200);
	ck_assert_int_eq(attempt_tick(&a, 999999), ATTEMPT_NOTHING);
	attempt_start(&a, 5000);
	ck_assert_uint_eq(a.due_at_ms, 6000);
	ck_assert_int_eq(attempt_tick(&a, 5999), ATTEMPT_NOTHING);
	ck_assert_int_eq(attempt_tick(&a, 6000), ATTEMPT_ASK);
	ck_assert_int_eq(a.why, STOP_TIMEOUT);
	ck_assert_uint_eq(a.due_at_ms, 6200);
	ck_assert_int_eq(attempt_tick(&a, 6199), ATTEMPT_NOTHING);
	ck_assert_int_eq(attempt_tick(&a, 6200), ATTEMPT_KILL);
	ck_assert_uint_eq(a.due_at_ms, TIME_NEVER);
	ck_assert_int_eq(attempt_tick(&a, 999999), ATTEMPT_NOTHING);
	ck_assert_int_eq(attempt_ended(&a), ATTEMPT_SWEEP);
	ck_assert_int_eq(a.state, ATTEMPT_SWEEPING);
	ck_assert_int_eq(attempt_swept(&a), ATTEMPT_FINISH);
	ck_assert_int_eq(a.state, ATTEMPT_OVER);
}
END_TEST

START_TEST(without_a_timeout_nothing_is_ever_due)
{
	attempt_init(&a, 0, 200);
	attempt_start(&a, 5000);
	ck_assert_uint_eq(a.due_at_ms, TIME_NEVER);
	attempt_init(&a, TIME_NEVER - 1, 200);
	attempt_start(&a, 5000);
	ck_assert_uint_eq(a.due_at_ms, TIME_NEVER);
}
END_TEST

START_TEST(without_grace_it_is_killed_at_once)
{
	attempt_init(&a, 1000, 0);
	attempt_start(&a, 0);
	ck_assert_int_eq(attempt_tick(&a, 1000), ATTEMPT_KILL);
	attempt_init(&a, 0, 200);
	attempt_start(&a, 0);
	ck_assert_int_eq(attempt_stop(&a, STOP_CANCEL, 0, 10), ATTEMPT_KILL);
}
END_TEST

START_TEST(what_has_not_begun_needs_no_signal)
{
	attempt_init(&a, 1000, 200);
	ck_assert_int_eq(attempt_stop(&a, STOP_CANCEL, 100, 10), ATTEMPT_FINISH);
	ck_assert_int_eq(a.state, ATTEMPT_OVER);
	ck_assert_int_eq(attempt_stop(&a, STOP_TAKEN, 100, 10), ATTEMPT_NOTHING);
	ck_assert_int_eq(a.why, STOP_CANCEL);
}
END_TEST

START_TEST(a_second_order_to_stop_can_only_shorten_the_grace)
{
	attempt_init(&a, 0, 200);
	attempt_start(&a, 0);
	ck_assert_int_eq(attempt_stop(&a, STOP_CANCEL, 500, 100), ATTEMPT_ASK);
	ck_assert_uint_eq(a.due_at_ms, 600);
	ck_assert_int_eq(attempt_stop(&a, STOP_NODE, 5000, 110), ATTEMPT_NOTHING);
	ck_assert_uint_eq(a.due_at_ms, 600);
	ck_assert_int_eq(attempt_stop(&a, STOP_NODE, 50, 110), ATTEMPT_NOTHING);
	ck_assert_uint_eq(a.due_at_ms, 160);
	ck_assert_int_eq(a.why, STOP_CANCEL);
	ck_assert_int_eq(attempt_stop(&a, STOP_NODE, 0, 120), ATTEMPT_KILL);
	ck_assert_int_eq(attempt_stop(&a, STOP_NODE, 0, 120), ATTEMPT_NOTHING);
}
END_TEST

START_TEST(an_end_on_its_own_leaves_nothing_due)
{
	attempt_init(&a, 1000, 200);
	attempt_start(&a, 0);
	ck_assert_int_eq(attempt_ended(&a), ATTEMPT_SWEEP);
	ck_assert_int_eq(attempt_tick(&a, 5000), ATTEMPT_NOTHING);
	ck_assert_int_eq(attempt_stop(&a, STOP_CANCEL, 0, 5000), ATTEMPT_NOTHING);
	ck_assert_int_eq(a.why, STOP_NOT);
}
END_TEST

/* --- the exit table --- */

#define EXITED(code) W_EXITCODE(code, 0)
#define KILLED(signo) W_EXITCODE(0, signo)
#define CORED(signo) (W_EXITCODE(0, signo) | WCOREFLAG)

START_TEST(each_exit_status_has_its_class)
{
	static const struct { int status; enum stop_why why; bool oom, mute; Troupe__ExitClass exit_class; int code, signal; bool drain; } rows[] = {
		{ EXITED(0), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_DONE, 0, 0, 0 },
		{ EXITED(1), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_FAILED, 1, 0, 0 },
		{ EXITED(255), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_FAILED, 255, 0, 0 },
		{ EXITED(75), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_LATER, 75, 0, 0 },
		{ EXITED(111), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_LATER, 111, 0, 0 },
		{ EXITED(65), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_REJECTED, 65, 0, 0 },
		{ EXITED(100), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_REJECTED, 100, 0, 0 },
		{ EXITED(99), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_DONE, 99, 0, 1 },
		{ EXITED(126), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_BROKEN, 126, 0, 0 },
		{ EXITED(127), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_BROKEN, 127, 0, 0 },
		{ KILLED(SIGTERM), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, SIGTERM, 0 },
		{ KILLED(SIGKILL), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, SIGKILL, 0 },
		{ KILLED(SIGKILL), STOP_NOT, 1, 0, TROUPE__EXIT_CLASS__EXIT_OOM, 0, SIGKILL, 0 },
		{ KILLED(SIGSEGV), STOP_NOT, 1, 0, TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, SIGSEGV, 0 },
		{ CORED(SIGSEGV), STOP_NOT, 0, 0, TROUPE__EXIT_CLASS__EXIT_CORE, 0, SIGSEGV, 0 },
		{ KILLED(SIGTERM), STOP_TIMEOUT, 0, 0, TROUPE__EXIT_CLASS__EXIT_TIMEOUT, 0, SIGTERM, 0 },
		{ EXITED(0), STOP_TIMEOUT, 0, 0, TROUPE__EXIT_CLASS__EXIT_TIMEOUT, 0, 0, 0 },
		{ EXITED(127), STOP_TIMEOUT, 0, 0, TROUPE__EXIT_CLASS__EXIT_TIMEOUT, 127, 0, 0 },
		{ KILLED(SIGKILL), STOP_CANCEL, 1, 0, TROUPE__EXIT_CLASS__EXIT_CANCELLED, 0, SIGKILL, 0 },
		{ EXITED(0), STOP_CANCEL, 0, 0, TROUPE__EXIT_CLASS__EXIT_CANCELLED, 0, 0, 0 },
		{ KILLED(SIGTERM), STOP_NODE, 0, 0, TROUPE__EXIT_CLASS__EXIT_LOST, 0, SIGTERM, 0 },
		{ KILLED(SIGKILL), STOP_TAKEN, 0, 0, TROUPE__EXIT_CLASS__EXIT_LOST, 0, SIGKILL, 0 },
		{ KILLED(SIGKILL), STOP_OTHERS, 0, 1, TROUPE__EXIT_CLASS__EXIT_LOST, 0, SIGKILL, 0 },
		{ EXITED(0), STOP_NOT, 0, 1, TROUPE__EXIT_CLASS__EXIT_FAILED, 0, 0, 0 },
		{ EXITED(99), STOP_NOT, 0, 1, TROUPE__EXIT_CLASS__EXIT_FAILED, 99, 0, 1 },
		{ KILLED(SIGABRT), STOP_NOT, 0, 1, TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, SIGABRT, 0 },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		const struct exit_facts f = { .status = rows[i].status, .why = rows[i].why, .oom = rows[i].oom, .answered = !rows[i].mute };
		struct exit_verdict v = exit_judge(&f);
		ck_assert_msg(v.exit_class == rows[i].exit_class && v.code == rows[i].code && v.signal == rows[i].signal && v.drain == rows[i].drain,
		              "row %zu: class %d code %d signal %d drain %d (%s)", i, v.exit_class, v.code, v.signal, v.drain, v.text);
		ck_assert_msg((*v.text == '\0') == (v.exit_class == TROUPE__EXIT_CLASS__EXIT_DONE), "row %zu says \"%s\"", i, v.text);
	}
}
END_TEST

START_TEST(every_other_status_is_a_plain_failure)
{
	static const int special[] = { 0, 65, 75, 99, 100, 111, 126, 127 };
	for (int code = 0; code < 256; code++) {
		bool plain = true;
		for (size_t i = 0; i < ELEMENTS(special); i++)
			plain = plain && code != special[i];
		const struct exit_facts f = { .status = EXITED(code), .answered = true };
		ck_assert_int_eq(exit_judge(&f).exit_class == TROUPE__EXIT_CLASS__EXIT_FAILED, plain);
	}
}
END_TEST

START_TEST(a_verdict_names_the_signal)
{
	const struct exit_facts core = { .status = CORED(SIGSEGV), .answered = true }, real_time = { .status = KILLED(SIGRTMIN + 3), .answered = true };
	ck_assert_str_eq(exit_judge(&core).text, "signal 11 (SIGSEGV), core dumped");
	ck_assert_ptr_nonnull(strstr(exit_judge(&real_time).text, "signal 37 (?)"));
}
END_TEST

START_TEST(an_oom_kill_is_read_from_memory_events)
{
	ck_assert_uint_eq(oom_parse("low 0\nhigh 3\nmax 9\noom 2\noom_kill 7\noom_group_kill 1\n"), 7);
	ck_assert_uint_eq(oom_parse("oom_kill 1"), 1);
	ck_assert_uint_eq(oom_parse("oom_kills 5\nx oom_kill 4\n"), 0);
	ck_assert_uint_eq(oom_parse(""), 0);
}
END_TEST

/* --- captures --- */

START_TEST(the_beginning_of_stdout_is_kept_to_its_limit)
{
	struct capture c;
	size_t len;
	capture_init(&c, 10);
	ck_assert_int_eq(capture_add(&c, "01234", 5), 0);
	ck_assert_int_eq(capture_add(&c, "56789", 5), 0);
	ck_assert(!c.truncated);
	ck_assert_int_eq(capture_add(&c, "x", 1), 0);
	ck_assert(c.truncated);
	_cleanup_(freep) uint8_t *data = capture_steal(&c, &len);
	ck_assert_uint_eq(len, 10);
	ck_assert_int_eq(memcmp(data, "0123456789", 10), 0);
	ck_assert_ptr_null(capture_steal(&c, &len));
	ck_assert_uint_eq(len, 0);
	capture_init(&c, 0);
	ck_assert_int_eq(capture_add(&c, "x", 1), 0);
	ck_assert(c.truncated && !c.data);
	capture_fini(&c);
}
END_TEST

START_TEST(the_end_of_stderr_is_kept_in_order)
{
	for (size_t step = 1; step < 40; step++) {
		struct tail t;
		size_t total = 0, len;
		ck_assert_int_eq(tail_init(&t, 16), 0);
		while (total < 100) {
			uint8_t data[64];
			for (size_t i = 0; i < step; i++)
				data[i] = (uint8_t)(total + i);
			tail_add(&t, data, step);
			total += step;
			_cleanup_(freep) uint8_t *copy = tail_copy(&t, &len);
			ck_assert_uint_eq(len, total < 16 ? total : 16);
			for (size_t i = 0; i < len; i++)
				ck_assert_uint_eq(copy[i], (uint8_t)(total - len + i));
		}
		tail_fini(&t);
	}
}
END_TEST

static void last_line(const char *text, const char *expected)
{
	struct tail t;
	char out[16];
	ck_assert_int_eq(tail_init(&t, 64), 0);
	tail_add(&t, text, strlen(text));
	tail_last_line(&t, out, sizeof out);
	ck_assert_str_eq(out, expected);
	tail_fini(&t);
}

START_TEST(the_last_line_is_fit_to_be_shown)
{
	last_line("", "");
	last_line("\n\n", "");
	last_line("one\ntwo\n\n", "two");
	last_line("a\tb\033[0m", "a b [0m");
	last_line("x\377y", "x?y");
	last_line("12345678901234567890", "123456789012345");
	last_line("12345678901234\303\244", "12345678901234");
}
END_TEST

/* --- the environment --- */

static const char *value_of(const struct environment *v, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < v->n; i++)
		if (strncmp(v->all[i], key, n) == 0 && v->all[i][n] == '=')
			return v->all[i] + n + 1;
	return NULL;
}

START_TEST(a_program_gets_a_clean_environment)
{
	Troupe__PoolSetup pool = TROUPE__POOL_SETUP__INIT;
	Troupe__Pair one = { .base = PROTOBUF_C_MESSAGE_INIT(&troupe__pair__descriptor), .key = (char *)"LANG", .value = (char *)"C.UTF-8" };
	Troupe__Pair two = { .base = PROTOBUF_C_MESSAGE_INIT(&troupe__pair__descriptor), .key = (char *)"MODE", .value = (char *)"a=b" };
	Troupe__Pair bad = { .base = PROTOBUF_C_MESSAGE_INIT(&troupe__pair__descriptor), .key = (char *)"A=B", .value = (char *)"x" };
	Troupe__Pair *pairs[] = { &one, &two, &bad };
	struct environment v = { 0 };
	pool.environment = pairs;
	pool.n_environment = 3;
	setenv("SECRET", "x", 1);
	setenv("LANG", "de_DE", 1);
	setenv("TZ", "UTC", 1);
	setenv("TROUPE_CHILD", "worker:p/1.3", 1);
	unsetenv("PATH");
	ck_assert_int_eq(environment_base(&v, &pool), 0);
	ck_assert_ptr_null(value_of(&v, "SECRET"));
	ck_assert_ptr_null(value_of(&v, "A"));
	ck_assert_str_eq(value_of(&v, "LANG"), "C.UTF-8");
	ck_assert_str_eq(value_of(&v, "MODE"), "a=b");
	ck_assert_str_eq(value_of(&v, "TZ"), "UTC");
	ck_assert_str_eq(value_of(&v, "TROUPE_CHILD"), "worker:p/1.3");
	ck_assert_ptr_nonnull(value_of(&v, "PATH"));
	ck_assert_ptr_null(v.all[v.n]);
	environment_fini(&v);
}
END_TEST

static struct task *task_made(uint64_t timeout_ms, uint64_t deadline_at_ms)
{
	Troupe__Assignment as = TROUPE__ASSIGNMENT__INIT;
	char *tags[] = { (char *)"gpu", (char *)"eu" };
	uint8_t id[16] = { 1, 2, 3 };
	struct task *t;
	as.token = 77;
	as.id = (ProtobufCBinaryData){ 16, id };
	as.queue = (char *)"emails";
	as.attempt = 2;
	as.max_attempts = 5;
	as.timeout_ms = timeout_ms;
	as.deadline_at_ms = deadline_at_ms;
	as.tags = tags;
	as.n_tags = 2;
	ck_assert_int_eq(task_new(&as, &t, NULL), 0);
	t->started_wall_ms = 1000000;
	return t;
}

START_TEST(a_program_is_told_which_task_it_does)
{
	struct environment v = { 0 };
	struct task *t = task_made(5000, 0);
	ck_assert_int_eq(environment_task(&v, t, "/x/77.payload"), 0);
	ck_assert_str_eq(value_of(&v, "TROUPE_TASK"), t->id_text);
	ck_assert_uint_eq(strlen(t->id_text), 26);
	ck_assert_str_eq(value_of(&v, "TROUPE_QUEUE"), "emails");
	ck_assert_str_eq(value_of(&v, "TROUPE_ATTEMPT"), "2");
	ck_assert_str_eq(value_of(&v, "TROUPE_MAX_ATTEMPTS"), "5");
	ck_assert_str_eq(value_of(&v, "TROUPE_TOKEN"), "77");
	ck_assert_str_eq(value_of(&v, "TROUPE_TAGS"), "gpu,eu");
	ck_assert_str_eq(value_of(&v, "TROUPE_DEADLINE_MS"), "1005000");
	ck_assert_str_eq(value_of(&v, "TROUPE_PAYLOAD_FILE"), "/x/77.payload");
	ck_assert_ptr_null(value_of(&v, "TRACEPARENT"));
	ck_assert_ptr_null(value_of(&v, "TROUPE_TRACEPARENT"));
	t->traceparent = "00-a-b-01";
	ck_assert_int_eq(environment_task(&v, t, NULL), 0);
	ck_assert_str_eq(value_of(&v, "TRACEPARENT"), "00-a-b-01");
	ck_assert_str_eq(value_of(&v, "TROUPE_TRACEPARENT"), "00-a-b-01");
	environment_fini(&v);
	task_free(t);
}
END_TEST

START_TEST(the_deadline_is_the_nearer_of_timeout_and_deadline)
{
	static const struct { uint64_t timeout_ms, deadline_at_ms, at_ms; } rows[] = {
		{ 0, 0, 0 }, { 5000, 0, 1005000 }, { 0, 1002000, 1002000 }, { 5000, 1002000, 1002000 }, { 1000, 1002000, 1001000 }, { UINT64_MAX, 0, 0 },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct task *t = task_made(rows[i].timeout_ms, rows[i].deadline_at_ms);
		ck_assert_uint_eq(task_stopped_at_ms(t), rows[i].at_ms);
		task_free(t);
	}
}
END_TEST

/* --- tasks --- */

START_TEST(an_assignment_without_a_name_is_refused)
{
	Troupe__Assignment as = TROUPE__ASSIGNMENT__INIT;
	uint8_t id[16] = { 0 };
	struct task *t;
	struct error e;
	as.id = (ProtobufCBinaryData){ 16, id };
	ck_assert_int_eq(task_new(&as, &t, &e), ERROR_BAD_REQUEST);
	as.token = 1;
	as.id.len = 15;
	ck_assert_int_eq(task_new(&as, &t, &e), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(a_command_that_nobody_can_run_is_over_before_it_begins)
{
	Troupe__Assignment as = TROUPE__ASSIGNMENT__INIT;
	uint8_t id[16] = { 0 };
	ProtobufCBinaryData argv[] = { { 4, (uint8_t *)"echo" }, { 3, (uint8_t *)"a\0b" } };
	struct task *t;
	as.token = 1;
	as.id = (ProtobufCBinaryData){ 16, id };
	as.argv = argv;
	as.n_argv = 2;
	ck_assert_int_eq(task_new(&as, &t, NULL), 0);
	ck_assert_int_eq(t->attempt.state, ATTEMPT_OVER);
	ck_assert_int_eq(t->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	task_free(t);
	argv[1].len = 1;
	ck_assert_int_eq(task_new(&as, &t, NULL), 0);
	ck_assert_int_eq(t->attempt.state, ATTEMPT_WAITING);
	ck_assert_str_eq(t->argv[1], "a");
	ck_assert_ptr_null(t->argv[2]);
	task_free(t);
}
END_TEST

START_TEST(the_size_of_an_outcome_is_never_underestimated)
{
	struct task *t = task_made(0, 0);
	Troupe__Outcome o;
	Troupe__Usage u;
	t->token = t->retry_after_ms = t->run_us = UINT64_MAX;
	t->exit_code = t->signal = -1;
	t->usage.user_us = t->usage.system_us = t->usage.max_rss_kib = t->usage.minor_faults = t->usage.major_faults = UINT64_MAX;
	t->output = calloc(1, 3000);
	t->output_len = 3000;
	t->truncated = t->drain = true;
	memset(t->error, 'x', sizeof t->error - 1);
	task_outcome(t, &o, &u);
	ck_assert_uint_ge(task_outcome_size(t), troupe__outcome__get_packed_size(&o) + 8);
	ck_assert_uint_le(task_outcome_size(t), troupe__outcome__get_packed_size(&o) + 200);
	task_free(t);
}
END_TEST

START_TEST(tasks_are_found_by_token_whatever_shares_their_bucket)
{
	static struct task_table tt;
	struct task_list l = { 0 };
	for (uint64_t token = 1; token <= 3000; token++) {
		struct task *t = task_made(0, 0);
		t->token = token;
		task_table_add(&tt, t);
		task_list_add(&l, t);
	}
	ck_assert_uint_eq(tt.n, 3000);
	ck_assert_ptr_null(task_table_find(&tt, 3001));
	for (uint64_t token = 3000; token >= 1; token--) {
		struct task *t = task_table_find(&tt, token);
		ck_assert_ptr_nonnull(t);
		task_table_remove(&tt, t);
		ck_assert_ptr_null(task_table_find(&tt, token));
		task_list_remove(t);
		task_free(t);
	}
	ck_assert_uint_eq(l.n, 0);
	ck_assert(!l.head && !l.last);
}
END_TEST

START_TEST(delays_double_up_to_half_a_minute)
{
	static const uint64_t ms[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
	for (unsigned i = 0; i < ELEMENTS(ms); i++)
		ck_assert_uint_eq(tier_backoff_ms(i, 100), ms[i]);
	ck_assert_uint_eq(tier_backoff_ms(1000000, 100), 30000);
	ck_assert_uint_eq(tier_backoff_ms(1, 1000), 1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker attempts");
	TCase *c = tcase_create("attempts");
	tcase_add_test(c, the_timeout_counts_from_the_start);
	tcase_add_test(c, without_a_timeout_nothing_is_ever_due);
	tcase_add_test(c, without_grace_it_is_killed_at_once);
	tcase_add_test(c, what_has_not_begun_needs_no_signal);
	tcase_add_test(c, a_second_order_to_stop_can_only_shorten_the_grace);
	tcase_add_test(c, an_end_on_its_own_leaves_nothing_due);
	tcase_add_test(c, each_exit_status_has_its_class);
	tcase_add_test(c, every_other_status_is_a_plain_failure);
	tcase_add_test(c, a_verdict_names_the_signal);
	tcase_add_test(c, an_oom_kill_is_read_from_memory_events);
	tcase_add_test(c, the_beginning_of_stdout_is_kept_to_its_limit);
	tcase_add_test(c, the_end_of_stderr_is_kept_in_order);
	tcase_add_test(c, the_last_line_is_fit_to_be_shown);
	tcase_add_test(c, a_program_gets_a_clean_environment);
	tcase_add_test(c, a_program_is_told_which_task_it_does);
	tcase_add_test(c, the_deadline_is_the_nearer_of_timeout_and_deadline);
	tcase_add_test(c, an_assignment_without_a_name_is_refused);
	tcase_add_test(c, a_command_that_nobody_can_run_is_over_before_it_begins);
	tcase_add_test(c, the_size_of_an_outcome_is_never_underestimated);
	tcase_add_test(c, tasks_are_found_by_token_whatever_shares_their_bucket);
	tcase_add_test(c, delays_double_up_to_half_a_minute);
	suite_add_tcase(s, c);
	return suite_run(s);
}
