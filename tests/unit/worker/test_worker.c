/* What a worker and its coordinator say to each other, whatever the tier: leases, connections lost and found, leaving. */
#include "tests/unit/worker/stage.h"
#include <stdio.h>
#include <unistd.h>

static void shell_starts(void)
{
	g.command[0] = "/bin/sh";
	worker_starts();
}

/* A task that runs until the file is there. */
static const char *until_file(const char *path)
{
	static char text[256];
	snprintf(text, sizeof text, "while ! [ -e %s ]; do sleep 0.01; done; echo freed", path);
	return text;
}

static const Troupe__Held *held(uint64_t token)
{
	for (size_t i = 0; i < g.attach->n_held; i++)
		if (g.attach->held[i]->token == token)
			return g.attach->held[i];
	return NULL;
}

START_TEST(a_token_is_in_the_status_cell_from_before_it_runs_until_it_is_told)
{
	shell_starts();
	ck_assert_uint_eq(cell_read().n_tokens, 0);
	const char *gate = stage_file("gate", NULL, 0);
	uint64_t token = give(until_file(gate));
	give("echo next");
	WAIT(g.started.n == 1);
	ck_assert_uint_eq(cell_read().n_tokens, 1); /* the prefetched one has not begun */
	ck_assert_uint_eq(cell_read().tokens[0], token);
	stage_file("gate", "", 0600);
	outcome_waited(token + 1);
	WAIT(cell_read().n_tokens == 0);
}
END_TEST

START_TEST(the_note_says_what_is_going_on)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0);
	give(until_file(gate));
	WAIT(strcmp(g.note, "#101") == 0);
	stage_file("gate", "", 0600);
	WAIT(strcmp(g.note, "") == 0);
}
END_TEST

START_TEST(what_has_not_begun_can_be_taken_back)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0);
	uint64_t first = give(until_file(gate));
	give_many(4, "echo later");
	WAIT(g.started.n == 1);
	uint64_t tokens[] = { first, first + 1, first + 3, 999 };
	tell_revoke(tokens, 4);
	WAIT(g.revoked.n == 3);
	ck_assert(number_in(&g.revoked, first + 1) && number_in(&g.revoked, first + 3) && number_in(&g.revoked, 999));
	ck_assert_uint_eq(g.kept.n, 1);
	ck_assert_uint_eq(g.kept.all[0], first);
	stage_file("gate", "", 0600);
	outcome_waited(first + 2);
	outcome_waited(first + 4);
	ck_assert_ptr_null(outcome_of(first + 1));
	ck_assert_uint_eq(g.started.n, 3);
}
END_TEST

START_TEST(a_waiting_task_is_cancelled_without_a_process)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0);
	uint64_t first = give(until_file(gate)), second = give("echo never");
	WAIT(g.started.n == 1);
	tell_abort(second);
	ck_assert_int_eq(outcome_waited(second)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	ck_assert(!number_in(&g.started, second));
	tell_abort(first);
	ck_assert_int_eq(outcome_waited(first)->exit_class, TROUPE__EXIT_CLASS__EXIT_CANCELLED);
	tell_abort(777);
	WAIT(number_in(&g.revoked, 777));
}
END_TEST

START_TEST(the_same_token_twice_is_one_attempt)
{
	shell_starts();
	struct task_given t;
	const char *gate = stage_file("gate", NULL, 0);
	task_init(&t, until_file(gate), strlen(until_file(gate)));
	uint64_t token = task_give(&t);
	task_give(&t);
	WAIT(g.started.n == 1);
	stage_file("gate", "", 0600);
	outcome_waited(token);
	outcome_waited(give("echo x"));
	ck_assert_uint_eq(g.started.n, 2);
	ck_assert_uint_eq(g.n_outcomes, 2);
}
END_TEST

START_TEST(an_assignment_that_makes_no_sense_is_survived)
{
	shell_starts();
	struct task_given t;
	task_init(&t, "echo x", 6);
	t.a.token = 0;
	task_give(&t);
	outcome_waited(give("echo x"));
	ck_assert_uint_eq(g.n_outcomes, 1);
}
END_TEST

START_TEST(more_than_a_worker_can_hold_is_given_back)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0);
	give(until_file(gate));
	for (int i = 0; i < 9; i++)
		give_many(1000, "");
	WAIT(g.revoked.n == 9001 - 8192);
	ck_assert(number_in(&g.revoked, 9001));
	ck_assert(!number_in(&g.revoked, 8192));
}
END_TEST

/* --- connections --- */

START_TEST(an_outcome_is_told_again_until_it_is_acknowledged)
{
	g.silent = true;
	shell_starts();
	uint64_t token = give("echo once");
	outcome_waited(token);
	for (int i = 1; i <= 3; i++) {
		unsigned before = g.n_attach;
		coordinator_goes();
		coordinator_comes();
		WAIT(g.n_attach > before);
		ck_assert(!g.attach->update);
		ck_assert_uint_eq(g.attach->n_outcomes, 1);
		ck_assert_uint_eq(g.attach->outcomes[0]->token, token);
		ck_assert(output_is(g.attach->outcomes[0], "once\n"));
		ck_assert_uint_eq(g.attach->n_held, 0);
	}
	tell_attached(NULL, 0, &token, 1);
	unsigned before = g.n_attach;
	outcome_waited(give("echo x")); /* by now it has read the other */
	coordinator_goes();
	coordinator_comes();
	WAIT(g.n_attach > before);
	ck_assert_uint_eq(g.attach->n_outcomes, 1);
	ck_assert_uint_ne(g.attach->outcomes[0]->token, token);
}
END_TEST

START_TEST(work_goes_on_while_the_coordinator_is_away)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0), *done = stage_file("done", NULL, 0);
	char text[200];
	snprintf(text, sizeof text, "echo x >%s", done);
	uint64_t first = give(until_file(gate)), second = give(text), third = give(until_file(stage_file("gate2", NULL, 0))), fourth = give("echo later");
	WAIT(g.started.n == 1);
	coordinator_goes();
	stage_file("gate", "", 0600);
	WAIT(file_exists(done));
	unsigned before = g.n_attach;
	coordinator_comes();
	WAIT(g.n_attach > before);
	ck_assert(output_is(outcome_of(first), "freed\n"));
	outcome_waited(second);
	const Troupe__Held *begun = held(third), *prefetched = held(fourth);
	ck_assert(begun && begun->started);
	ck_assert_uint_eq(begun->id.len, 16);
	ck_assert(prefetched && !prefetched->started);
	stage_file("gate2", "", 0600);
	outcome_waited(fourth);
}
END_TEST

START_TEST(a_token_that_the_coordinator_gave_up_is_killed_and_given_back)
{
	shell_starts();
	const char *pid = stage_file("pid", NULL, 0);
	char text[256];
	snprintf(text, sizeof text, "trap '' TERM; echo $$ >%s; while :; do sleep 0.05; done", pid);
	uint64_t first = give(text), second = give("echo x");
	WAIT(pid_in_file(pid));
	uint64_t tokens[] = { first, second };
	tell_attached(tokens, 2, NULL, 0);
	WAIT(number_in(&g.revoked, first) && number_in(&g.revoked, second));
	ck_assert(!process_alive(pid_in_file(pid)));
	ck_assert_uint_eq(g.n_outcomes, 0);
	outcome_waited(give("echo on"));
}
END_TEST

START_TEST(many_large_outcomes_fit_into_as_many_messages_as_they_need)
{
	g.silent = true;
	shell_starts();
	struct task_given t;
	static const char text[] = "head -c 300000 /dev/zero";
	for (int i = 0; i < 8; i++) {
		task_init(&t, text, strlen(text));
		t.a.output_max = 300000;
		task_give(&t);
	}
	WAIT(g.n_outcomes == 8);
	unsigned before = g.n_attach;
	coordinator_goes();
	coordinator_comes();
	WAIT(g.n_attach > before);
	/* What does not fit into Attach is named there as held, and follows. */
	ck_assert_uint_eq(g.attach->n_held + g.attach->n_outcomes, 8);
	ck_assert_uint_ge(g.attach->n_held, 1);
	WAIT(g.n_outcomes == 16);
	for (size_t i = 0; i < 16; i++)
		ck_assert_uint_eq(g.outcomes[i]->output.len, 300000);
}
END_TEST

static void quiet(void *ctx, struct peer *p)
{
}
static void quiet_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
}
static void quiet_parts(void *ctx, struct peer *p, struct arena *a, const Troupe__Frame *f)
{
}
static void quiet_down(void *ctx, struct peer *p, const struct error *why)
{
}
static const struct peer_events quiet_events = { quiet, quiet_envelopes, quiet_parts, quiet, quiet_down };

START_TEST(only_the_coordinator_gives_work)
{
	struct error e;
	char url[96];
	struct peer_hub *hub;
	struct peer *p;
	shell_starts();
	/* A client, not an actor of the node: its Run is refused before the worker sees it. */
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 1024, .anonymous_credit = 16 };
	struct peer *mine = g.peer;
	ck_assert_int_eq(peer_hub_open(g.loop, &c, &quiet_events, NULL, &hub), 0);
	snprintf(url, sizeof url, "ipc://%s/a/1.1", g.dir);
	ck_assert_int_eq(peer_dial(hub, url, NULL, &p, &e), 0);
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	while (!peer_is_up(p)) {
		ck_assert_uint_lt(clock_mono_ms(), until_ms);
		peer_hub_flush(hub);
		peer_hub_tick(hub, clock_mono_ms());
		stage_step(until_ms, "the client is up");
	}
	g.peer = p;
	give("echo never");
	g.peer = mine;
	peer_hub_flush(hub);
	stage_runs_for(100);
	ck_assert_uint_eq(g.started.n, 0);
	outcome_waited(give("echo x"));
	ck_assert_uint_eq(g.started.n, 1);
	peer_hub_close(hub);
}
END_TEST

/* --- leaving --- */

START_TEST(a_drained_worker_finishes_gives_back_and_leaves)
{
	shell_starts();
	const char *gate = stage_file("gate", NULL, 0);
	uint64_t first = give(until_file(gate));
	give_many(3, "echo never");
	WAIT(g.started.n == 1);
	tell_drain();
	WAIT(g.revoked.n == 3);
	uint64_t late = give("echo too late");
	WAIT(number_in(&g.revoked, late));
	stage_file("gate", "", 0600);
	ck_assert(output_is(outcome_waited(first), "freed\n"));
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_int_eq(g.reason, TROUPE__REASON__REASON_NORMAL);
	ck_assert_str_eq(g.text, "drained");
}
END_TEST

START_TEST(a_drained_worker_waits_for_the_acknowledgement)
{
	g.silent = true;
	shell_starts();
	uint64_t token = give("exit 99");
	outcome_waited(token);
	stage_runs_for(100);
	ck_assert(!g.ended);
	tell_ack(&token, 1);
	ck_assert_int_eq(worker_ends(), 0);
}
END_TEST

START_TEST(a_stop_with_drain_lets_a_task_finish)
{
	shell_starts();
	uint64_t token = give("sleep 0.3; echo finished"), waiting = give("echo never");
	WAIT(g.started.n == 1);
	worker_is_stopped(10000, true);
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert(output_is(outcome_of(token), "finished\n"));
	ck_assert(number_in(&g.revoked, waiting));
	ck_assert_int_eq(g.reason, TROUPE__REASON__REASON_SHUTDOWN);
}
END_TEST

START_TEST(a_stop_without_drain_ends_the_task_now_and_does_not_count_it)
{
	shell_starts();
	const char *pid = stage_file("pid", NULL, 0);
	char text[256];
	snprintf(text, sizeof text, "trap '' TERM; echo $$ >%s; while :; do sleep 0.05; done", pid);
	uint64_t token = give(text);
	WAIT(pid_in_file(pid));
	uint64_t from_ms = clock_mono_ms();
	worker_is_stopped(5000, false);
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_uint_lt(clock_mono_ms() - from_ms, 2000);
	ck_assert_int_eq(outcome_of(token)->exit_class, TROUPE__EXIT_CLASS__EXIT_LOST);
	ck_assert(!process_alive(pid_in_file(pid)));
}
END_TEST

START_TEST(an_idle_worker_stops_at_once)
{
	shell_starts();
	uint64_t from_ms = clock_mono_ms();
	worker_is_stopped(5000, true);
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_uint_lt(clock_mono_ms() - from_ms, 1000);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_coordinator_that_is_away)
{
	g.silent = true;
	shell_starts();
	outcome_waited(give("echo x"));
	coordinator_goes();
	stage_runs_for(50);
	uint64_t from_ms = clock_mono_ms();
	worker_is_stopped(5000, true);
	ck_assert_int_eq(worker_ends(), 0);
	ck_assert_uint_lt(clock_mono_ms() - from_ms, 2000);
}
END_TEST

START_TEST(a_wrong_mode_is_a_start_that_failed)
{
	g.mode = "magic";
	worker_spawns();
	WAIT(g.start_failed);
	ck_assert_ptr_nonnull(strstr(g.text, "magic"));
	ck_assert_int_eq(worker_ends(), 100);
}
END_TEST

/* --- killed at every named point --- */

static const char *const points[] = { "worker.after_run", "worker.before_exec", "worker.after_exec", "worker.after_exit", "worker.after_outcome", "worker.after_ack" };

START_TEST(a_worker_killed_at_any_point_leaves_no_process_and_starts_again)
{
	const char *pid = stage_file("pid", NULL, 0);
	char text[256];
	snprintf(text, sizeof text, "echo $$ >%s; (setsid sleep 1000 </dev/null >/dev/null 2>&1 &); echo x", pid);
	g.fault = points[_i];
	shell_starts();
	uint64_t token = give(text);
	ck_assert_int_eq(worker_ends(), -SIGKILL);
	/* At after_outcome it is with nng, which may or may not have written it. */
	if (_i != 4)
		ck_assert_int_eq(outcome_of(token) != NULL, _i == 5);
	if (pid_in_file(pid))
		WAIT(!process_alive(pid_in_file(pid)));
	g.fault = NULL;
	g.peer = NULL;
	worker_starts();
	ck_assert_uint_eq(g.attach->n_held, 0);
	ck_assert_uint_eq(g.attach->n_outcomes, 0);
	ck_assert_int_eq(outcome_waited(give("echo again"))->exit_class, TROUPE__EXIT_CLASS__EXIT_DONE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker");
	TCase *c = tcase_create("worker");
	tcase_add_checked_fixture(c, stage_begins, stage_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_token_is_in_the_status_cell_from_before_it_runs_until_it_is_told);
	tcase_add_test(c, the_note_says_what_is_going_on);
	tcase_add_test(c, what_has_not_begun_can_be_taken_back);
	tcase_add_test(c, a_waiting_task_is_cancelled_without_a_process);
	tcase_add_test(c, the_same_token_twice_is_one_attempt);
	tcase_add_test(c, an_assignment_that_makes_no_sense_is_survived);
	tcase_add_test(c, more_than_a_worker_can_hold_is_given_back);
	tcase_add_test(c, an_outcome_is_told_again_until_it_is_acknowledged);
	tcase_add_test(c, work_goes_on_while_the_coordinator_is_away);
	tcase_add_test(c, a_token_that_the_coordinator_gave_up_is_killed_and_given_back);
	tcase_add_test(c, many_large_outcomes_fit_into_as_many_messages_as_they_need);
	tcase_add_test(c, only_the_coordinator_gives_work);
	tcase_add_test(c, a_drained_worker_finishes_gives_back_and_leaves);
	tcase_add_test(c, a_drained_worker_waits_for_the_acknowledgement);
	tcase_add_test(c, a_stop_with_drain_lets_a_task_finish);
	tcase_add_test(c, a_stop_without_drain_ends_the_task_now_and_does_not_count_it);
	tcase_add_test(c, an_idle_worker_stops_at_once);
	tcase_add_test(c, a_stop_does_not_wait_for_a_coordinator_that_is_away);
	tcase_add_test(c, a_wrong_mode_is_a_start_that_failed);
	tcase_add_loop_test(c, a_worker_killed_at_any_point_leaves_no_process_and_starts_again, 0, (int)ELEMENTS(points));
	suite_add_tcase(s, c);
	return suite_run(s);
}
