/* The lines tier, as a coordinator and a long-lived program see it. lines_program.c does what the payloads say. */
#include "tests/unit/worker/stage.h"
#include <stdio.h>
#include <unistd.h>
#include "common/wire/base64.h"

static void program_is(const char *a, const char *b, const char *c, const char *d)
{
	g.mode = "lines";
	g.command[0] = LINES_PROGRAM;
	g.command[1] = a;
	g.command[2] = b;
	g.command[3] = c;
	g.command[4] = d;
}

static void program_starts(void)
{
	program_is(NULL, NULL, NULL, NULL);
	worker_starts();
}

static int lines_of(const char *path)
{
	int n = 0, c;
	FILE *f = fopen(path, "r");
	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
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
	program_is("--file", starts, NULL, NULL);
	worker_starts();
	ck_assert_str_eq(g.attach->mode, "lines");
	ck_assert_uint_eq(g.attach->slots, 1);
	for (int i = 0; i < 50; i++)
		result_is("done well", "well");
	ck_assert_int_eq(lines_of(starts), 1);
	ck_assert_uint_eq(g.started.n, 50);
}
END_TEST

START_TEST(a_program_may_have_many_tasks_at_once)
{
	program_is("--max", "8", NULL, NULL);
	worker_starts();
	ck_assert_uint_eq(g.attach->slots, 8);
	uint64_t hangs = give("hang");
	give_many(7, "hang");
	give_many(5, "done");
	WAIT(g.started.n == 8);
	struct status_cell c = cell_read();
	ck_assert_uint_eq(c.n_tokens, 8);
	stage_runs_for(50);
	ck_assert_uint_eq(g.started.n, 8);
	ck_assert_uint_eq(g.n_outcomes, 0);
	tell_abort(hangs);
	/* It ignores its cancel, so the program goes, and the others with it, uncounted. */
	ck_assert_int_eq(outcome_waited(hangs)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	for (uint64_t token = hangs + 1; token < hangs + 8; token++)
		ck_assert_int_eq(outcome_waited(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_LOST);
	for (uint64_t token = hangs + 8; token < hangs + 13; token++)
		ck_assert_int_eq(outcome_waited(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
}
END_TEST

START_TEST(more_slots_than_a_crash_report_can_name_are_not_used)
{
	program_is("--max", "4000", NULL, NULL);
	worker_starts();
	ck_assert_uint_eq(g.attach->slots, STATUS_TOKENS);
	give_many(1000, "hang");
	WAIT(g.started.n == STATUS_TOKENS);
	ck_assert_uint_eq(cell_read().n_tokens, STATUS_TOKENS);
}
END_TEST

START_TEST(thousands_of_tasks_go_through_in_order)
{
	program_is("--max", "200", NULL, NULL);
	worker_starts();
	for (int i = 0; i < 4; i++)
		give_many(1000, "done x");
	WAIT(g.n_outcomes == 4000);
	for (size_t i = 0; i < 4000; i++) {
		ck_assert_uint_eq(g.outcomes[i]->token, i + 1);
		ck_assert_int_eq(g.outcomes[i]->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
	}
}
END_TEST

START_TEST(a_failure_is_told_with_its_wish)
{
	program_starts();
	const Troupe__Outcome *o = answer_to("raw {\"fail\":\"@\",\"error\":\"no such order\",\"after\":\"30s\"}");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_str_eq(o->error, "no such order");
	ck_assert_uint_eq(o->retry_after_ms, 30000);
	o = answer_to("raw {\"fail\":\"@\",\"retry\":false,\"error\":\"never\"}");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_REJECTED);
	ck_assert_str_eq(o->error, "never");
	o = answer_to("raw {\"fail\":\"@\"}");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert(*o->error);
}
END_TEST

START_TEST(progress_is_passed_on_live)
{
	program_starts();
	uint64_t token = give("raw {\"progress\":\"@\",\"pct\":40,\"note\":\"page 4\"}|{\"beat\":1}");
	WAIT(g.n_progress);
	ck_assert_uint_eq(g.percent, 40);
	ck_assert_str_eq(g.progress_note, "page 4");
	ck_assert_uint_eq(g.progress_token, token);
	ck_assert_ptr_null(outcome_of(token));
}
END_TEST

START_TEST(progress_without_end_is_thinned_out_and_the_last_one_arrives)
{
	static char payload[30000] = "raw {\"progress\":\"@\",\"pct\":0}";
	for (int i = 1; i <= 400; i++)
		snprintf(payload + strlen(payload), sizeof payload - strlen(payload), "|{\"progress\":\"@\",\"pct\":%d}", i / 4);
	program_starts();
	give(payload);
	WAIT(g.percent == 100);
	ck_assert_uint_le(g.n_progress, 10);
}
END_TEST

START_TEST(stray_output_harms_nobody)
{
	program_is("--banner", NULL, NULL, NULL);
	worker_starts();
	result_is("raw garbage|{\"done\":\"01JD3Q7M4ZK8V2T5XW9RB6NC0E\"}|{\"hello\":1}|{}|{\"done\":\"@\",\"result\":\"fine\"}", "fine");
	result_is("done on", "on");
	ck_assert_uint_eq(g.n_outcomes, 2);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_skipped_and_the_next_one_read)
{
	g.line_max = 10000;
	program_starts();
	static char payload[60000] = "raw ";
	memset(payload + 4, 'x', 40000);
	strcpy(payload + 40004, "|{\"done\":\"@\",\"result\":\"after\"}");
	result_is(payload, "after");
	memcpy(payload, "done ", 5);
	payload[9000] = '\0';
	ck_assert_uint_eq(answer_to(payload)->output.len, 8995);
}
END_TEST

START_TEST(an_answer_counts_once)
{
	program_starts();
	result_is("raw {\"done\":\"@\",\"result\":\"one\"}|{\"done\":\"@\",\"result\":\"two\"}|{\"fail\":\"@\"}", "one");
	result_is("done next", "next");
	ck_assert_uint_eq(g.n_outcomes, 2);
}
END_TEST

/* --- payloads and results --- */

START_TEST(any_bytes_go_in_and_come_out)
{
	uint8_t all[256];
	struct task_given t;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	program_starts();
	task_init(&t, all, sizeof all);
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_uint_eq(o->output.len, sizeof all);
	ck_assert_int_eq(memcmp(o->output.data, all, sizeof all), 0);
}
END_TEST

START_TEST(json_goes_in_and_comes_out_as_json)
{
	struct task_given t;
	static const char text[] = "{\n\"a\": [1, \"x\"]}";
	program_starts();
	task_init(&t, text, strlen(text));
	t.a.content_type = (char *)"application/json";
	ck_assert(output_is(outcome_waited(task_give(&t)), "{\"a\":[1,\"x\"]}"));
}
END_TEST

START_TEST(a_giant_payload_goes_through)
{
	struct task_given t;
	size_t len = 900000;
	_cleanup_(freep) char *payload = malloc(len);
	memset(payload, '"', len);
	memcpy(payload, "done ", 5);
	g.line_max = 4 << 20;
	program_starts();
	task_init(&t, payload, len);
	t.a.output_max = 1 << 20;
	const Troupe__Outcome *o = outcome_waited(task_give(&t));
	ck_assert_uint_eq(o->output.len, len - 5);
	ck_assert_int_eq(memcmp(o->output.data, payload + 5, len - 5), 0);
	task_init(&t, payload, len);
	t.a.output_max = 10;
	o = outcome_waited(task_give(&t));
	ck_assert(output_is(o, "\"\"\"\"\"\"\"\"\"\""));
	ck_assert(o->truncated);
}
END_TEST

/* --- the end of a program --- */

START_TEST(each_way_to_end_has_its_class)
{
	static const struct { const char *payload; Troupe__ExitClass exit_class; int code, signal; } rows[] = {
		{ "exit 0", TROUPE__EXIT_CLASS__EXIT_FAILED, 0, 0 },   { "exit 1", TROUPE__EXIT_CLASS__EXIT_FAILED, 1, 0 },
		{ "exit 75", TROUPE__EXIT_CLASS__EXIT_LATER, 75, 0 },  { "exit 100", TROUPE__EXIT_CLASS__EXIT_REJECTED, 100, 0 },
		{ "exit 126", TROUPE__EXIT_CLASS__EXIT_BROKEN, 126, 0 },
	};
	program_starts();
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		const Troupe__Outcome *o = answer_to(rows[i].payload);
		ck_assert_msg(o->exit_class == rows[i].exit_class && o->exit_code == rows[i].code, "%s: class %d code %d", rows[i].payload, o->exit_class, o->exit_code);
		ck_assert_ptr_nonnull(strstr(o->error, "last words"));
		ck_assert_uint_gt(o->stderr_tail.len, 0);
		result_is("done again", "again"); /* it has been started again, at once */
	}
	const Troupe__Outcome *o = answer_to("crash");
	ck_assert(o->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL || o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE);
	ck_assert_int_eq(o->signal, SIGSEGV);
}
END_TEST

START_TEST(what_was_answered_before_the_end_is_done)
{
	program_is("--max", "4", NULL, NULL);
	worker_starts();
	uint64_t first = give("done in time"), last = give("exit 3");
	ck_assert_int_eq(outcome_waited(last)->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_int_eq(outcome_waited(first)->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
}
END_TEST

START_TEST(helpers_live_on_between_tasks_and_die_with_the_program)
{
	const char *file = stage_file("helper", NULL, 0);
	char payload[200];
	program_starts();
	snprintf(payload, sizeof payload, "helper %s", file);
	answer_to(payload);
	result_is("child", "alive");
	result_is("done x", "x");
	result_is("child", "alive");
	pid_t helper = pid_in_file(file);
	ck_assert(process_alive(helper));
	answer_to("exit 1");
	ck_assert(!process_alive(helper));
}
END_TEST

START_TEST(a_program_that_closes_its_stdout_is_ended)
{
	program_starts();
	const Troupe__Outcome *o = answer_to("mute");
	ck_assert_int_eq(o->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	result_is("done again", "again");
}
END_TEST

START_TEST(when_the_worker_is_killed_its_program_dies_with_it)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_is("--deaf", "--file", starts, NULL);
	worker_starts();
	give("hang");
	WAIT(g.started.n);
	kill(g.worker, SIGKILL);
	ck_assert_int_eq(worker_ends(), -SIGKILL);
	WAIT(!process_alive(pid_in_file(starts)));
}
END_TEST

/* --- time --- */

START_TEST(a_timeout_is_announced_and_then_enforced)
{
	struct task_given t;
	const char *starts = stage_file("starts", NULL, 0);
	program_is("--file", starts, NULL, NULL);
	worker_starts();
	task_init(&t, "hang", 4);
	t.a.timeout_ms = 100;
	t.a.grace_ms = 100;
	uint64_t from_ms = clock_mono_ms();
	ck_assert_int_eq(outcome_waited(task_give(&t))->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - from_ms, 200);
	result_is("done x", "x");
	ck_assert_int_eq(lines_of(starts), 2);
	/* One that answers its cancel keeps its program. */
	task_init(&t, "obey", 4);
	t.a.timeout_ms = 100;
	t.a.grace_ms = 10000;
	ck_assert_int_eq(outcome_waited(task_give(&t))->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	result_is("done x", "x");
	ck_assert_int_eq(lines_of(starts), 2);
}
END_TEST

START_TEST(a_cancelled_task_may_answer)
{
	struct task_given t;
	program_starts();
	task_init(&t, "obey", 4);
	t.a.grace_ms = 10000;
	uint64_t token = task_give(&t);
	WAIT(g.started.n);
	tell_abort(token);
	ck_assert_int_eq(outcome_waited(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	result_is("done x", "x");
}
END_TEST

START_TEST(a_slow_start_is_waited_for)
{
	program_is("--slow", "300", NULL, NULL);
	worker_starts();
	result_is("done x", "x");
}
END_TEST

START_TEST(a_program_without_a_hello_is_killed_and_the_worker_says_so)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_is("--mute", "--file", starts, NULL);
	g.start_timeout_ms = 100;
	worker_starts();
	ck_assert_str_eq(g.attach->broken, "the program did not say hello in time");
	uint64_t token = give("done x");
	WAIT(number_in(&g.revoked, token));
	WAIT(lines_of(starts) >= 3);
	ck_assert_uint_eq(g.n_outcomes, 0);
}
END_TEST

START_TEST(a_program_that_ends_before_its_hello_is_tried_again_with_pauses)
{
	const char *starts = stage_file("starts", NULL, 0);
	g.mode = "lines";
	g.command[0] = "/bin/sh";
	g.command[1] = "-c";
	g.command[2] = "echo x >>\"$F\"; exit 4";
	g.environment[0] = "F";
	g.environment[1] = starts;
	worker_starts();
	ck_assert_str_eq(g.attach->broken, "the program ended before its hello: exit status 4 without an answer");
	stage_runs_for(1000);
	/* At 0, 0, 100, 300, 700 ms; never a busy loop. */
	ck_assert_int_ge(lines_of(starts), 3);
	ck_assert_int_le(lines_of(starts), 6);
}
END_TEST

START_TEST(another_version_of_the_protocol_is_refused)
{
	program_is("--hello", "2", NULL, NULL);
	worker_starts();
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "version 2"));
}
END_TEST

START_TEST(a_program_that_is_not_there_is_said_to_be_missing)
{
	g.mode = "lines";
	g.command[0] = stage_file("late", NULL, 0);
	worker_starts();
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "cannot run"));
	ck_assert_ptr_nonnull(strstr(g.attach->broken, "No such file"));
	/* And when it is there, work goes on. */
	stage_file("late", "#!/bin/sh\necho '{\"hello\":1}'\nwhile read -r line; do id=${line#*'\"task\":\"'}; id=${id%%'\"'*}; echo \"{\\\"done\\\":\\\"$id\\\",\\\"result\\\":\\\"ok\\\"}\"; done\n",
	           0755);
	WAIT(!*g.attach->broken);
	ck_assert(g.attach->update);
	result_is("x", "ok");
}
END_TEST

START_TEST(a_pool_of_lines_without_a_command_cannot_start)
{
	g.mode = "lines";
	worker_spawns();
	WAIT(g.start_failed);
	ck_assert_ptr_nonnull(strstr(g.text, "needs a command"));
	ck_assert_int_eq(worker_ends(), 100);
}
END_TEST

/* --- leaving --- */

START_TEST(a_drained_program_is_told_to_quit_and_leaves)
{
	program_starts();
	result_is("done x", "x");
	tell_drain();
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_int_eq(g.reason, TROUPE__REASON__REASON_NORMAL);
}
END_TEST

START_TEST(a_deaf_program_does_not_keep_a_stopped_worker)
{
	const char *starts = stage_file("starts", NULL, 0);
	program_is("--deaf", "--file", starts, NULL);
	worker_starts();
	give("hang");
	WAIT(g.started.n);
	uint64_t from_ms = clock_mono_ms();
	worker_is_stopped(1000, true);
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_uint_le(clock_mono_ms() - from_ms, 1100);
	ck_assert(!process_alive(pid_in_file(starts)));
	ck_assert_int_eq(outcome_of(1)->exit_class, TROUPE__EXIT_CLASS__EXIT_LOST);
}
END_TEST

/* --- examples --- */

static void example_works(const char *interpreter, const char *path)
{
	g.mode = "lines";
	g.command[0] = interpreter;
	g.command[1] = path;
	worker_starts();
	ck_assert_str_eq(g.attach->broken, "");
	for (int i = 0; i < 20; i++) {
		const Troupe__Outcome *o = answer_to("{\"a\": \"b\\\\c\"} 'quoted' \t x");
		ck_assert_msg(o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE, "%s", o->error);
	}
	struct task_given t;
	task_init(&t, "\377\0", 2);
	ck_assert_int_ne(outcome_waited(task_give(&t))->exit_class, TROUPE__EXIT_CLASS__EXIT_NONE);
	tell_drain();
	ck_assert_int_eq(worker_ends(), 0);
}

START_TEST(the_shell_example_works)
{
	example_works("/bin/sh", EXAMPLES "/worker.sh");
}
END_TEST

START_TEST(the_python_example_works)
{
	if (!file_exists("/usr/bin/python3"))
		return;
	example_works("/usr/bin/python3", EXAMPLES "/worker.py");
}
END_TEST

START_TEST(the_c_example_works)
{
	example_works(NOOP_PROGRAM, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker program");
	TCase *c = tcase_create("lines");
	tcase_add_checked_fixture(c, stage_begins, stage_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, one_program_does_one_task_after_the_other);
	tcase_add_test(c, a_program_may_have_many_tasks_at_once);
	tcase_add_test(c, more_slots_than_a_crash_report_can_name_are_not_used);
	tcase_add_test(c, thousands_of_tasks_go_through_in_order);
	tcase_add_test(c, a_failure_is_told_with_its_wish);
	tcase_add_test(c, progress_is_passed_on_live);
	tcase_add_test(c, progress_without_end_is_thinned_out_and_the_last_one_arrives);
	tcase_add_test(c, stray_output_harms_nobody);
	tcase_add_test(c, a_line_that_is_too_long_is_skipped_and_the_next_one_read);
	tcase_add_test(c, an_answer_counts_once);
	tcase_add_test(c, any_bytes_go_in_and_come_out);
	tcase_add_test(c, json_goes_in_and_comes_out_as_json);
	tcase_add_test(c, a_giant_payload_goes_through);
	tcase_add_test(c, each_way_to_end_has_its_class);
	tcase_add_test(c, what_was_answered_before_the_end_is_done);
	tcase_add_test(c, helpers_live_on_between_tasks_and_die_with_the_program);
	tcase_add_test(c, a_program_that_closes_its_stdout_is_ended);
	tcase_add_test(c, when_the_worker_is_killed_its_program_dies_with_it);
	tcase_add_test(c, a_timeout_is_announced_and_then_enforced);
	tcase_add_test(c, a_cancelled_task_may_answer);
	tcase_add_test(c, a_slow_start_is_waited_for);
	tcase_add_test(c, a_program_without_a_hello_is_killed_and_the_worker_says_so);
	tcase_add_test(c, a_program_that_ends_before_its_hello_is_tried_again_with_pauses);
	tcase_add_test(c, another_version_of_the_protocol_is_refused);
	tcase_add_test(c, a_program_that_is_not_there_is_said_to_be_missing);
	tcase_add_test(c, a_pool_of_lines_without_a_command_cannot_start);
	tcase_add_test(c, a_drained_program_is_told_to_quit_and_leaves);
	tcase_add_test(c, a_deaf_program_does_not_keep_a_stopped_worker);
	tcase_add_test(c, the_shell_example_works);
	tcase_add_test(c, the_python_example_works);
	tcase_add_test(c, the_c_example_works);
	suite_add_tcase(s, c);
	return suite_run(s);
}
