#include <stdio.h>
#include <string.h>
#include "tests/suite.h"
#include "common/base/error.h"
#include "tests/unit/supervisor/scenario.h"

/* I01 */
START_TEST(start_child_of_a_known_id_says_in_which_state_it_is)
{
	SCENARIO("otp", "S ofo 2/3600 [c1]", { "boot", "+c1" }, { "add S c1", "=already_started" }, { "stop c1; add S c1", "-c1(shutdown) =ok =already_present" });
	SCENARIO("otp backoff", "S ofo 2/3600 [c1]", { "boot; crash c1", "+c1 -c1(x)" }, { "add S c1", "=already_present" });
}
END_TEST

/* I04 */
START_TEST(restart_child_answers_running_not_found_ok_or_the_start_error)
{
	SCENARIO("otp", "S ofo 2/3600 [c1]", { "boot", "+c1" }, { "start c1", "=running" }, { "start c2", "=not_found" }, { "stop c1; start c1", "-c1(shutdown) =ok +c1 =ok" },
		{ "stop c1; fail c1 1; start c1", "-c1(shutdown) =ok ~c1 =start_failed" }, { "list S", "c1:none" }, { "wait 60000", "" }, { "start c1", "+c1 =ok" });
}
END_TEST

/* I07 */
START_TEST(an_added_child_that_does_not_start_is_discarded)
{
	SCENARIO("otp", "S ofo []", { "boot; fail a 1", "" }, { "add S a", "~a =start_failed" }, { "count S", "[0,0,0,0]" }, { "add S a", "+a =ok" });
}
END_TEST

/* I10 */
START_TEST(a_slow_stop_blocks_nobody_and_is_answered_after_the_real_end)
{
	SCENARIO("ours", "S ofo [a b c]", { "boot; lazy a 4000", "+a +b +c" }, { "stop a", "" }, { "count S", "[3,3,0,3]" }, { "add S d", "+d =ok" }, { "crash c", "-c(x) +c" },
		{ "wait 3999", "" }, { "wait 1", "-a(shutdown) =ok" }, { "stop a", "=ok" });
}
END_TEST

/* H07 */
START_TEST(a_retry_loop_answers_restarting_and_is_ended_by_a_stop)
{
	SCENARIO("otp", "S ofo 8/10 [a]", { "boot", "+a" }, { "slow a 2000; fail a always; crash a; wait 100", "-a(x)" }, { "add S a", "=already_present" }, { "start a", "=restarting" },
		{ "delete a", "=restarting" }, { "count S", "[1,0,0,1]" }, { "stop a", "-a(shutdown) =ok" }, { "wait 20000", "" }, { "list S", "a:none" }, { "willing a; start a", "+a =ok" });
	SCENARIO("otp backoff", "S ofo 8/10 [a]", { "boot; crash a", "+a -a(x)" }, { "stop a", "=ok" }, { "wait 20000", "" }, { "list S", "a:none" });
}
END_TEST

START_TEST(delete_needs_a_stopped_child)
{
	SCENARIO("otp", "S ofo 8/10 [a]", { "boot", "+a" }, { "delete a", "=running" }, { "stop a; delete a; delete a", "-a(shutdown) =ok =ok =not_found" }, { "count S", "[0,0,0,0]" });
}
END_TEST

START_TEST(a_stop_of_a_starting_child_cancels_the_start_and_answers_both)
{
	SCENARIO("ours", "S ofo [a]", { "boot; stop a; slow a 1000; start a", "+a -a(shutdown) =ok" }, { "stop a", "-a(shutdown) =start_failed =ok" });
}
END_TEST

START_TEST(a_restart_in_the_middle_of_a_stop_brings_it_back)
{
	SCENARIO("ours", "S ofo [a]", { "boot; lazy a 100; stop a; wait 50; restart a", "+a" }, { "wait 50", "-a(shutdown) =ok +a =ok" });
}
END_TEST

START_TEST(an_ordered_restart_whose_start_fails_is_retried)
{
	SCENARIO("ours backoff", "S ofo [a]", { "boot; fail a 1; restart a", "+a -a(shutdown) ~a =start_failed" }, { "wait 100", "+a" });
}
END_TEST

START_TEST(a_restart_ends_the_wait_of_the_whole_group)
{
	SCENARIO("ours backoff", "S ofa [a b]", { "boot; crash a", "+a +b -a(x) -b(shutdown)" }, { "restart a", "+a =ok +b" });
	SCENARIO("ours backoff", "S ofo [a b]", { "boot; crash a", "+a +b -a(x)" }, { "start a", "=restarting" }, { "restart a", "+a =ok" });
}
END_TEST

START_TEST(a_victim_that_is_stopped_by_order_does_not_come_back)
{
	SCENARIO("ours", "S ofa [a b c]", { "boot; lazy c 100; crash a; stop c; stop b", "+a +b +c -a(x) -b(shutdown) =ok" }, { "wait 100", "-c(shutdown) =ok +a" });
}
END_TEST

START_TEST(kill_is_an_end_like_a_crash_and_is_recorded_as_killed)
{
	SCENARIO("ours", "S ofo [a]", { "boot; facts", "+a" }, { "kill a", "-a(killed)/restart! =ok +a" }, { "stop a; kill a", "-a(shutdown)/stopped =ok =noproc" });
}
END_TEST

START_TEST(a_forced_stop_kills_at_once)
{
	SCENARIO("ours", "S ofo [a sub ofo [ b ]]", { "boot; wires; deaf a; deaf b", "+a +b" }, { "forcestop a", "STOP:a(5000) KILL:a(killed) -a(killed) =ok" },
		{ "forcestop sub", "KILL:b(killed) -b(killed) sub=shutdown =ok" });
}
END_TEST

/* I09 */
START_TEST(events_about_the_past_or_about_nothing_are_ignored)
{
	struct scenario *s = scenario_new("ours", "S ofo [a]", 1);
	scenario_do(s, "boot; crash a");
	struct tree *t = scenario_tree(s);
	struct child *a = tree_find(t, "a");
	struct actions actions;
	for (enum event_kind k = EVENT_READY; k <= EVENT_HUNG; k++) {
		tree_step(t, &(struct event){ .kind = k, .now_ms = scenario_now(s), .child = a, .incarnation = a->incarnation - 1, .reason = REASON_EXIT }, &actions);
		ck_assert_uint_eq(actions.n, 0);
		tree_step(t, &(struct event){ .kind = k, .now_ms = scenario_now(s) }, &actions);
		ck_assert_uint_eq(actions.n, 0);
	}
	tree_step(t, &(struct event){ .kind = EVENT_READY, .now_ms = 0, .child = a, .incarnation = a->incarnation }, &actions);
	ck_assert_uint_eq(actions.n, 0);
	tree_step(t, &(struct event){ .kind = EVENT_ENDED, .now_ms = 0, .child = tree_root(t), .incarnation = tree_root(t)->incarnation }, &actions);
	ck_assert_uint_eq(actions.n, 0);
	ck_assert_str_eq(scenario_do(s, "count S"), "[1,1,0,1]");
	scenario_free(s);
}
END_TEST

START_TEST(orders_that_make_no_sense_are_refused_with_a_word)
{
	SCENARIO("ours", "S ofo max=2 [a sub:T ofo [ b ]]", { "boot", "+a +b" }, { "stop S", "=bad_request(the root ends with the node)" }, { "count a", "=bad_request(not a supervisor)" },
		{ "add a x", "=bad_request(not a supervisor)" }, { "add nobody x", "=noproc" }, { "add S x", "=max_children" }, { "add sub x!", "=bad_request(bad_combination)" }, { "stop sub", "-b(shutdown) sub=shutdown =ok" },
		{ "add sub x", "=noproc(its supervisor is not up)" }, { "start b", "=noproc(its supervisor is not up)" }, { "restart b", "=noproc(its supervisor is not up)" },
		{ "lazy a 10; shutdown; start a", "=stopping(the node is ending)" }, { "add S y", "=stopping" });
}
END_TEST

START_TEST(every_order_waiting_at_the_end_of_the_node_is_answered)
{
	SCENARIO("ours", "S ofo [a b]", { "boot; stop a; slow a 5000; start a; lazy b 3000; stop b", "+a +b -a(shutdown) =ok" }, { "shutdown; wait 3000", "-b(shutdown) =ok -a(shutdown) =start_failed S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(beyond_its_limit_of_waiting_orders_the_tree_says_busy)
{
	struct scenario *s = scenario_new("ours", "S ofo [a]", 1);
	scenario_do(s, "boot; lazy a 1000");
	for (int i = 0; i < TREE_ORDERS_MAX; i++)
		ck_assert_str_eq(scenario_do(s, "stop a"), "");
	ck_assert_str_eq(scenario_do(s, "stop a"), "=busy(too many orders are waiting)");
	ck_assert_str_eq(scenario_do(s, "count S"), "[1,1,0,1]");
	ck_assert_uint_eq(strlen(scenario_do(s, "wait 1000")), strlen("-a(shutdown)") + TREE_ORDERS_MAX * strlen(" =ok"));
	scenario_free(s);
}
END_TEST

START_TEST(trees_are_refused_that_are_too_deep_or_name_twice)
{
	struct tree *t = tree_new(&(struct tree_config){ .seed = 1 });
	struct child_spec spec, worker;
	struct supervisor_spec sup;
	struct child *above = NULL, *c;
	child_spec_default(&spec, CHILD_SUPERVISOR);
	child_spec_default(&worker, CHILD_WORKER);
	supervisor_spec_default(&sup);
	ck_assert_int_eq(tree_add(t, NULL, "w", &worker, NULL, NULL, &c), ERROR_BAD_REQUEST);
	for (int i = 0; i < TREE_DEPTH_MAX; i++) {
		char name[8];
		snprintf(name, sizeof(name), "s%d", i);
		ck_assert_int_eq(tree_add(t, above, name, &spec, &sup, NULL, &c), 0);
		above = c;
	}
	ck_assert_int_eq(tree_add(t, above, "deeper", &spec, &sup, NULL, &c), ERROR_TOO_LARGE);
	ck_assert_int_eq(tree_add(t, tree_root(t), "s3", &worker, NULL, NULL, &c), ERROR_EXISTS); /* J04 */
	ck_assert_int_eq(tree_add(t, NULL, "another", &spec, &sup, NULL, &c), ERROR_BAD_REQUEST);
	ck_assert_int_eq(tree_add(t, tree_root(t), "", &worker, NULL, NULL, &c), ERROR_BAD_REQUEST);
	tree_free(t);
	tree_free(NULL);
}
END_TEST

static Suite *order_suite(void)
{
	Suite *s = suite_create("order");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, start_child_of_a_known_id_says_in_which_state_it_is);
	tcase_add_test(c, restart_child_answers_running_not_found_ok_or_the_start_error);
	tcase_add_test(c, an_added_child_that_does_not_start_is_discarded);
	tcase_add_test(c, a_slow_stop_blocks_nobody_and_is_answered_after_the_real_end);
	tcase_add_test(c, a_retry_loop_answers_restarting_and_is_ended_by_a_stop);
	tcase_add_test(c, delete_needs_a_stopped_child);
	tcase_add_test(c, a_stop_of_a_starting_child_cancels_the_start_and_answers_both);
	tcase_add_test(c, a_restart_in_the_middle_of_a_stop_brings_it_back);
	tcase_add_test(c, an_ordered_restart_whose_start_fails_is_retried);
	tcase_add_test(c, a_restart_ends_the_wait_of_the_whole_group);
	tcase_add_test(c, a_victim_that_is_stopped_by_order_does_not_come_back);
	tcase_add_test(c, kill_is_an_end_like_a_crash_and_is_recorded_as_killed);
	tcase_add_test(c, a_forced_stop_kills_at_once);
	tcase_add_test(c, events_about_the_past_or_about_nothing_are_ignored);
	tcase_add_test(c, orders_that_make_no_sense_are_refused_with_a_word);
	tcase_add_test(c, every_order_waiting_at_the_end_of_the_node_is_answered);
	tcase_add_test(c, beyond_its_limit_of_waiting_orders_the_tree_says_busy);
	tcase_add_test(c, trees_are_refused_that_are_too_deep_or_name_twice);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(order_suite()); }
