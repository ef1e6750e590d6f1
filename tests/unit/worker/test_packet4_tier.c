/* The packet4 tier, as a coordinator and a long-lived program see it: what differs from the lines tier, and that the rest does not. packet4_program.c does what the payloads say. */
#include "tests/unit/worker/stage.h"
#include <stdio.h>

static void program_starts_with(const char *a, const char *b)
{
	g.mode = "packet4";
	g.command[0] = PACKET4_PROGRAM;
	g.command[1] = a;
	g.command[2] = b;
	worker_starts();
}

static void program_starts(void)
{
	program_starts_with(NULL, NULL);
}

static const Troupe__Outcome *answer_to(const char *payload)
{
	return outcome_waited(give(payload));
}

static void result_is(const char *payload, const char *result)
{
	const Troupe__Outcome *o = answer_to(payload);
	ck_assert_msg(o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE, "%s: class %d, %s", payload, o->exit_class, o->error);
	ck_assert_msg(output_is(o, result), "%s: \"%.*s\"", payload, (int)o->output.len, (char *)o->output.data);
}

START_TEST(one_program_does_one_task_after_the_other)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_starts_with("--file", starts);
	ck_assert_str_eq(g.attach->mode, "packet4");
	ck_assert_uint_eq(g.attach->slots, 1);
	pid_t pid = pid_in_file(starts);
	for (int i = 0; i < 50; i++)
		result_is("well", "well");
	ck_assert_uint_eq(g.started.n, 50);
	ck_assert_int_eq(pid_in_file(starts), pid);
	ck_assert(process_alive(pid));
}
END_TEST

START_TEST(thousands_of_tasks_go_through_in_order)
{
	program_starts_with("--max", "200");
	ck_assert_uint_eq(g.attach->slots, 200);
	for (int i = 0; i < 4; i++)
		give_many(1000, "x");
	WAIT(g.n_outcomes == 4000);
	for (size_t i = 0; i < 4000; i++) {
		ck_assert_uint_eq(g.outcomes[i]->token, i + 1);
		ck_assert_int_eq(g.outcomes[i]->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	}
}
END_TEST

START_TEST(any_bytes_go_in_and_come_out)
{
	uint8_t all[256];
	struct task_given t;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)(255 - i);
	program_starts();
	task_init(&t, all, sizeof all);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_uint_eq(o->output.len, sizeof all);
	ck_assert_int_eq(memcmp(o->output.data, all, sizeof all), 0);
	result_is("", "");
}
END_TEST

START_TEST(a_failure_is_told_with_its_wish)
{
	program_starts();
	const Troupe__Outcome *o = answer_to("fail no such order");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_str_eq(o->error, "no such order");
	ck_assert_uint_eq(o->retry_after_ms, 0);
	ck_assert_uint_eq(answer_to("later")->retry_after_ms, 30000);
	o = answer_to("never");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_str_eq(o->error, "never");
	ck_assert(*answer_to("fail")->error);
}
END_TEST

START_TEST(progress_is_passed_on_live)
{
	program_starts();
	uint64_t token = give("progress");
	WAIT(g.n_progress);
	ck_assert_uint_eq(g.percent, 40);
	ck_assert_str_eq(g.progress_note, "page 4");
	ck_assert_uint_eq(g.progress_token, token);
	ck_assert_ptr_null(outcome_of(token));
}
END_TEST

START_TEST(stray_packets_harm_nobody)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_starts_with("--file", starts);
	pid_t pid = pid_in_file(starts);
	result_is("noise", "fine");
	result_is("on", "on");
	ck_assert_uint_eq(g.n_outcomes, 2);
	ck_assert(process_alive(pid));
}
END_TEST

START_TEST(text_where_a_length_should_be_ends_the_program_as_a_crash_would)
{
	const char *starts = stage_file("starts", NULL, 0);
	g.command[3] = "--max";
	g.command[4] = "3";
	program_starts_with("--file", starts);
	pid_t pid = pid_in_file(starts);
	uint64_t hangs = give("hang"), prints = give("text");
	const Troupe__Outcome *o = outcome_waited(prints);
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_SIGNAL);
	ck_assert_int_eq(o->signal, SIGKILL);
	ck_assert_msg(strstr(o->error, "what the program writes is no packet4: a length of 1751477356 bytes") != NULL, "%s", o->error);
	ck_assert_int_eq(outcome_waited(hangs)->exit_class, TROUPE__EXIT_CLASS__EXIT_SIGNAL);
	ck_assert(!process_alive(pid));
	result_is("again", "again");
}
END_TEST

START_TEST(a_packet_above_the_limit_is_no_packet)
{
	g.line_max = 10000;
	program_starts();
	ck_assert_uint_eq(answer_to("long 9900")->output.len, 9900);
	const Troupe__Outcome *o = answer_to("long 10001");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_SIGNAL);
	ck_assert_ptr_nonnull(strstr(o->error, "above 10000"));
	result_is("again", "again");
}
END_TEST

START_TEST(a_program_that_greets_in_text_is_of_no_use)
{
	program_starts_with("--banner", NULL);
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "is no packet4"));
	uint64_t token = give("x");
	WAIT(number_in(&g.revoked, token));
	ck_assert_uint_eq(g.n_outcomes, 0);
}
END_TEST

START_TEST(another_version_of_the_protocol_is_refused)
{
	program_starts_with("--hello", "2");
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "version 2 of the packet4 protocol"));
}
END_TEST

START_TEST(the_end_of_the_program_is_the_end_of_its_tasks)
{
	program_starts();
	const Troupe__Outcome *o = answer_to("exit 75");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_LATER);
	ck_assert_ptr_nonnull(strstr(o->error, "last words"));
	result_is("again", "again");
}
END_TEST

START_TEST(a_cancelled_task_may_answer_and_must_not_stay)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_starts_with("--file", starts);
	pid_t pid = pid_in_file(starts);
	struct task_given t;
	task_init(&t, "obey", 4);
	t.a.grace_ms = 10000;
	uint64_t token = task_give(&t);
	WAIT(g.started.n);
	tell_abort(token);
	ck_assert_int_eq(outcome_waited(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	ck_assert(process_alive(pid));
	task_init(&t, "hang", 4);
	t.a.timeout_ms = t.a.grace_ms = 100;
	ck_assert_int_eq(outcome_waited(task_give(&t))->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	ck_assert(!process_alive(pid));
}
END_TEST

START_TEST(a_drained_program_is_told_to_quit_and_leaves)
{
	program_starts();
	result_is("x", "x");
	tell_drain();
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_int_eq(g.reason, TROUPE__REASON__REASON_NORMAL);
}
END_TEST

START_TEST(a_pool_of_packet4_without_a_command_cannot_start)
{
	g.mode = "packet4";
	worker_spawns();
	WAIT(g.start_failed);
	ck_assert_str_eq(g.text, "a pool of mode packet4 needs a command");
	ck_assert_int_eq(worker_ends(), 100);
}
END_TEST

START_TEST(a_mode_that_there_is_not_is_refused_by_name)
{
	g.mode = "packet5";
	g.command[0] = "/bin/true";
	worker_spawns();
	WAIT(g.start_failed);
	ck_assert_ptr_nonnull(strstr(g.text, "\"packet5\" is no mode of a pool"));
	ck_assert_int_eq(worker_ends(), 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker packet4 tier");
	TCase *c = tcase_create("packet4");
	tcase_add_checked_fixture(c, stage_begins, stage_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, one_program_does_one_task_after_the_other);
	tcase_add_test(c, thousands_of_tasks_go_through_in_order);
	tcase_add_test(c, any_bytes_go_in_and_come_out);
	tcase_add_test(c, a_failure_is_told_with_its_wish);
	tcase_add_test(c, progress_is_passed_on_live);
	tcase_add_test(c, stray_packets_harm_nobody);
	tcase_add_test(c, text_where_a_length_should_be_ends_the_program_as_a_crash_would);
	tcase_add_test(c, a_packet_above_the_limit_is_no_packet);
	tcase_add_test(c, a_program_that_greets_in_text_is_of_no_use);
	tcase_add_test(c, another_version_of_the_protocol_is_refused);
	tcase_add_test(c, the_end_of_the_program_is_the_end_of_its_tasks);
	tcase_add_test(c, a_cancelled_task_may_answer_and_must_not_stay);
	tcase_add_test(c, a_drained_program_is_told_to_quit_and_leaves);
	tcase_add_test(c, a_pool_of_packet4_without_a_command_cannot_start);
	tcase_add_test(c, a_mode_that_there_is_not_is_refused_by_name);
	suite_add_tcase(s, c);
	return suite_run(s);
}
