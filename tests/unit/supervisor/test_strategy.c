#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* B01, B03 */
START_TEST(a_permanent_child_comes_back_after_any_end)
{
	SCENARIO("otp", "S ofo 9/3600 [a]", { "boot", "+a" }, { "normal a", "-a(normal) +a" }, { "bye a", "-a(shutdown) +a" }, { "crash a", "-a(x) +a" }, { "count S", "[1,1,0,1]" });
}
END_TEST

/* B04, B05 */
START_TEST(a_transient_child_comes_back_only_after_an_abnormal_end)
{
	SCENARIO("otp", "S ofo 2/3600 [a:T]", { "boot", "+a" }, { "normal a", "-a(normal)" }, { "count S", "[1,0,0,1]" }, { "list S", "a:none" }, { "start a", "+a =ok" },
		{ "bye a", "-a(shutdown)" }, { "count S", "[1,0,0,1]" }, { "start a", "+a =ok" }, { "crash a", "-a(x) +a" });
}
END_TEST

/* B07 */
START_TEST(the_record_of_a_temporary_child_goes_with_it)
{
	SCENARIO("otp", "S ofo 2/3600 [a:X]", { "boot", "+a" }, { "normal a", "-a(normal)" }, { "count S", "[0,0,0,0]" }, { "add S a:X", "+a =ok" }, { "bye a", "-a(shutdown)" },
		{ "add S a:X", "+a =ok" }, { "crash a", "-a(x)" }, { "count S", "[0,0,0,0]" }, { "add S a:X", "+a =ok" }, { "die a", "-a(x)" }, { "count S", "[0,0,0,0]" },
		{ "stop a", "=not_found" });
}
END_TEST

/* B08 */
START_TEST(under_one_for_one_only_the_ended_child_is_replaced)
{
	SCENARIO("otp", "S ofo 2/3600 [a b]", { "boot", "+a +b" }, { "crash a", "-a(x) +a" }, { "count S", "[2,2,0,2]" });
}
END_TEST

/* B09 */
START_TEST(under_all_for_one_all_stop_in_reverse_and_start_in_order)
{
	SCENARIO("otp", "S ofa 2/3600 [a b c]", { "boot", "+a +b +c" }, { "crash b", "-b(x) -c(shutdown) -a(shutdown) +a +b +c" });
}
END_TEST

START_TEST(the_next_victim_is_asked_only_after_the_end_of_the_one_before)
{
	SCENARIO("ours", "S ofa [a b c]", { "boot", "+a +b +c" }, { "lazy c 20; lazy a 30; slow a 40; crash b", "-b(x)" }, { "wait 19", "" }, { "wait 1", "-c(shutdown)" },
		{ "wait 29", "" }, { "wait 1", "-a(shutdown)" }, { "wait 39", "" }, { "wait 1", "+a +b +c" });
}
END_TEST

/* B11 */
START_TEST(under_rest_for_one_those_behind_go_with_it)
{
	SCENARIO("otp", "S rfo 2/3600 [a b c]", { "boot", "+a +b +c" }, { "crash c", "-c(x) +c" }, { "crash a", "-a(x) -c(shutdown) -b(shutdown) +a +b +c" });
	SCENARIO("otp", "S rfo 2/3600 [a b c d]", { "boot", "+a +b +c +d" }, { "crash b", "-b(x) -d(shutdown) -c(shutdown) +b +c +d" });
}
END_TEST

/* B12 */
START_TEST(a_temporary_victim_does_not_come_back)
{
	SCENARIO("otp", "S ofa 2/3600 [a t:X]", { "boot", "+a +t" }, { "normal a", "-a(normal) -t(shutdown) +a" }, { "list S", "a:up" });
	SCENARIO("otp", "S rfo 2/3600 [a t:X]", { "boot", "+a +t" }, { "normal a", "-a(normal) -t(shutdown) +a" }, { "list S", "a:up" });
}
END_TEST

/* B14: both modes */
START_TEST(a_finished_transient_comes_back_with_its_group_only_in_otp_mode)
{
	SCENARIO("otp", "S ofa 2/3600 [a tr:T]", { "boot", "+a +tr" }, { "normal tr", "-tr(normal)" }, { "crash a", "-a(x) +a +tr" });
	SCENARIO("ours", "S ofa [a tr:T]", { "boot", "+a +tr" }, { "normal tr", "-tr(normal)" }, { "crash a", "-a(x) +a" });
}
END_TEST

/* B16: both modes */
START_TEST(what_was_stopped_by_hand_comes_back_with_its_group_only_in_otp_mode)
{
	SCENARIO("otp", "S rfo 2/3600 [a b c]", { "boot", "+a +b +c" }, { "stop a; stop c", "-a(shutdown) =ok -c(shutdown) =ok" }, { "crash b", "-b(x) +b +c" }, { "list S", "c:up b:up a:none" });
	SCENARIO("ours", "S rfo [a b c]", { "boot", "+a +b +c" }, { "stop a; stop c", "-a(shutdown) =ok -c(shutdown) =ok" }, { "crash b", "-b(x) +b" }, { "list S", "c:none b:up a:none" });
	SCENARIO("otp", "S ofa 2/3600 [a b]", { "boot", "+a +b" }, { "stop b", "-b(shutdown) =ok" }, { "crash a", "-a(x) +a +b" });
}
END_TEST

/* B17 */
START_TEST(two_ends_in_one_turn_are_one_group_restart)
{
	SCENARIO("otp", "S ofa 1/10 [a b c]", { "boot", "+a +b +c" }, { "crash a & crash b", "-a(x) -b(x) -c(shutdown) +a +b +c" });
}
END_TEST

/* B19 */
START_TEST(what_is_not_restarted_never_touches_its_siblings)
{
	SCENARIO("otp", "S ofa 0/10 [a t:X tr:T]", { "boot", "+a +t +tr" }, { "crash t", "-t(x)" }, { "normal tr", "-tr(normal)" }, { "list S", "tr:none a:up" });
}
END_TEST

/* B20 */
START_TEST(the_info_of_ready_is_passed_through_to_the_caller)
{
	SCENARIO("otp", "S ofo 2/3600 []", { "boot; info a port=7", "" }, { "add S a", "+a(port=7) =ok(port=7)" }, { "stop a", "-a(shutdown) =ok" }, { "start a", "+a(port=7) =ok(port=7)" },
		{ "crash a", "-a(x) +a(port=7)" });
}
END_TEST

/* B22 */
START_TEST(a_child_added_again_is_last)
{
	SCENARIO("otp", "S rfo 2/3600 [a b]", { "boot", "+a +b" }, { "stop a; delete a; add S a", "-a(shutdown) =ok =ok +a =ok" }, { "crash b", "-b(x) -a(shutdown) +b +a" });
}
END_TEST

/* H03 */
START_TEST(a_failed_start_under_all_for_one_begins_again_from_the_first)
{
	SCENARIO("otp", "S ofa 3/10 [a b c]", { "boot", "+a +b +c" }, { "fail b 1; crash a", "-a(x) -c(shutdown) -b(shutdown) +a ~b -a(shutdown) +a +b +c" });
	SCENARIO("otp", "S ofa 1/10 [a b c]", { "boot", "+a +b +c" }, { "fail b 1; crash a", "-a(x) -c(shutdown) -b(shutdown) +a ~b -a(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* H04, H10 */
START_TEST(a_failed_start_under_rest_for_one_is_the_new_pivot)
{
	SCENARIO("otp", "S rfo 3/10 [a b c]", { "boot", "+a +b +c" }, { "fail b 1; crash a", "-a(x) -c(shutdown) -b(shutdown) +a ~b +b +c" });
	SCENARIO("otp", "S rfo 9/10 [a b c]", { "boot", "+a +b +c" }, { "fail b 3; crash b", "-b(x) -c(shutdown) ~b ~b ~b +b +c" });
	SCENARIO("otp", "S rfo 3/10 [a b c]", { "boot", "+a +b +c" }, { "fail b 3; crash b", "-b(x) -c(shutdown) ~b ~b ~b -a(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* H11 */
START_TEST(a_crash_inside_a_delay_joins_the_waiting_pass)
{
	SCENARIO("otp backoff", "S rfo 9/10 [a b c]", { "boot", "+a +b +c" }, { "crash b", "-b(x) -c(shutdown)" }, { "wait 50", "" }, { "list S", "c:waiting(1000100) b:waiting(1000100) a:up" },
		{ "crash a", "-a(x)" }, { "wait 99", "" }, { "wait 1", "+a +b +c" }, { "wait 10000", "" });
	SCENARIO("ours backoff", "S rfo [a b c]", { "boot", "+a +b +c" }, { "crash b", "-b(x) -c(shutdown)" }, { "wait 100", "+b +c" }, { "crash b", "-b(x) -c(shutdown)" },
		{ "crash a", "-a(x)" }, { "wait 199", "" }, { "wait 1", "+a +b +c" });
}
END_TEST

START_TEST(an_end_while_the_group_is_starting_begins_a_new_pass)
{
	SCENARIO("otp", "S ofa 9/10 [a b c]", { "boot", "+a +b +c" }, { "slow b 10; crash c", "-c(x) -b(shutdown) -a(shutdown) +a" }, { "crash a", "-a(x) -b(shutdown) +a" }, { "wait 10", "+b +c" });
}
END_TEST

START_TEST(a_hung_child_is_aborted_then_killed_and_restarted_with_the_verdict)
{
	SCENARIO("ours", "S ofo [a b]", { "boot; facts; wires", "+a +b" }, { "hung a", "ABORT:a" }, { "wait 999", "" }, { "wait 1", "KILL:a(watchdog) -a(watchdog)/restart! +a" });
	SCENARIO("ours", "S ofo [a b]", { "boot; facts; wires", "+a +b" }, { "hung a & die a", "ABORT:a -a(watchdog)/restart! +a" }, { "wait 10000", "" });
}
END_TEST

static Suite *strategy_suite(void)
{
	Suite *s = suite_create("strategy");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, a_permanent_child_comes_back_after_any_end);
	tcase_add_test(c, a_transient_child_comes_back_only_after_an_abnormal_end);
	tcase_add_test(c, the_record_of_a_temporary_child_goes_with_it);
	tcase_add_test(c, under_one_for_one_only_the_ended_child_is_replaced);
	tcase_add_test(c, under_all_for_one_all_stop_in_reverse_and_start_in_order);
	tcase_add_test(c, the_next_victim_is_asked_only_after_the_end_of_the_one_before);
	tcase_add_test(c, under_rest_for_one_those_behind_go_with_it);
	tcase_add_test(c, a_temporary_victim_does_not_come_back);
	tcase_add_test(c, a_finished_transient_comes_back_with_its_group_only_in_otp_mode);
	tcase_add_test(c, what_was_stopped_by_hand_comes_back_with_its_group_only_in_otp_mode);
	tcase_add_test(c, two_ends_in_one_turn_are_one_group_restart);
	tcase_add_test(c, what_is_not_restarted_never_touches_its_siblings);
	tcase_add_test(c, the_info_of_ready_is_passed_through_to_the_caller);
	tcase_add_test(c, a_child_added_again_is_last);
	tcase_add_test(c, a_failed_start_under_all_for_one_begins_again_from_the_first);
	tcase_add_test(c, a_failed_start_under_rest_for_one_is_the_new_pivot);
	tcase_add_test(c, a_crash_inside_a_delay_joins_the_waiting_pass);
	tcase_add_test(c, an_end_while_the_group_is_starting_begins_a_new_pass);
	tcase_add_test(c, a_hung_child_is_aborted_then_killed_and_restarted_with_the_verdict);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(strategy_suite()); }
