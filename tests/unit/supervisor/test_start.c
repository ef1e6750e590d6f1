#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* A01 */
START_TEST(an_empty_supervisor_is_up_and_ends_with_shutdown)
{
	SCENARIO("otp", "S ofo []", { "facts; boot", "+S UP" }, { "count S", "[0,0,0,0]" }, { "shutdown", "S=shutdown EXIT(0)" });
}
END_TEST

/* A02 */
START_TEST(no_start_begins_before_the_ready_of_the_one_before)
{
	SCENARIO("otp", "S rfo [a b c]",
		{ "facts; slow a 50; slow b 50; slow c 50; boot; wait 49", "" }, { "list S", "c:restarting b:restarting a:starting" },
		{ "wait 1", "+a" }, { "wait 49", "" }, { "wait 1", "+b" }, { "wait 49", "" }, { "wait 1", "+c +S UP" }, { "list S", "c:up b:up a:up" });
}
END_TEST

/* A05, A07 */
START_TEST(ignore_keeps_a_permanent_spec_without_a_process_and_drops_a_temporary_one)
{
	SCENARIO("otp", "S ofo []", { "boot; ignore a", "" }, { "add S a", "i:a =none" }, { "add S b", "+b =ok" }, { "list S", "b:up a:none" }, { "count S", "[2,1,0,2]" });
	SCENARIO("otp", "S ofo []", { "boot; ignore a", "" }, { "add S a:X", "i:a =none" }, { "add S b:X", "+b =ok" }, { "list S", "b:up" }, { "count S", "[1,1,0,1]" });
}
END_TEST

START_TEST(an_ignored_first_start_lets_the_next_one_go_on)
{
	SCENARIO("otp", "S ofa [a b c]", { "ignore b; boot", "+a i:b +c" }, { "list S", "c:up b:none a:up" });
}
END_TEST

/* A13 */
START_TEST(an_exit_before_ready_is_a_failed_start_and_never_a_normal_end)
{
	SCENARIO("ours", "S ofo [a:T]", { "facts; slow a 10; boot & normal a", "~a(start_failed)/restart +S UP" }, { "wait 10", "+a" });
}
END_TEST

/* A14, for a child whose sibling under one_for_one does not start */
START_TEST(under_one_for_one_a_failed_first_start_does_not_hold_up_the_others)
{
	SCENARIO("ours backoff", "S ofo [a b c]", { "facts; fail a 1; boot", "~a(x)/backoff backoff:a(100) +b +c +S UP" }, { "wait 100", "+a" });
}
END_TEST

START_TEST(under_the_other_strategies_the_rest_waits_for_the_failed_one)
{
	SCENARIO("ours backoff", "S rfo [a b c]", { "fail b 2; boot", "+a ~b" }, { "wait 99", "" }, { "wait 1", "~b" }, { "wait 200", "+b +c" });
	SCENARIO("ours backoff", "S ofa [a b c]", { "fail b 1; boot", "+a ~b -a(shutdown)" }, { "wait 100", "+a +b +c" });
}
END_TEST

/* OTP: no retry at the first start */
START_TEST(a_failed_first_start_ends_an_otp_supervisor_in_reverse)
{
	SCENARIO("otp", "S ofo 9/10 [a b c d]", { "fail c always; boot", "+a +b ~c -b(shutdown) -a(shutdown) S=start_failed EXIT(70)" });
}
END_TEST

START_TEST(a_start_that_takes_too_long_is_killed_and_counts_as_failed)
{
	SCENARIO("ours backoff", "S ofo [a(start=500)]",
		{ "facts; wires; slow a 600; boot; wait 499", "" }, { "wait 1", "KILL:a(start_timeout) ~a(start_timeout)/backoff backoff:a(100) +S UP" },
		{ "slow a 400; wait 500", "+a" });
}
END_TEST

START_TEST(a_program_that_cannot_be_executed_fails_for_good_after_three_tries)
{
	SCENARIO("ours", "S ofo [a b]", { "facts; slow a 10000; boot", "" }, { "noexec a", "~a(start_failed)/restart +b +S UP" }, { "noexec a", "~a(start_failed)/restart" },
		{ "noexec a", "~a(start_failed)/failed failed:a" }, { "list S", "b:up a:failed" }, { "willing a; start a", "+a =ok" });
}
END_TEST

START_TEST(a_fatal_exit_code_is_not_retried)
{
	SCENARIO("ours", "S ofa [a b]", { "boot", "+a +b" }, { "facts; fatal a", "-a(x)/failed! failed:a" }, { "list S", "b:up a:failed" }, { "crash b", "-b(x)/group_restart! +b" });
}
END_TEST

START_TEST(a_held_child_stays_stopped_at_boot_and_starts_by_order)
{
	SCENARIO("ours", "S rfo [a b(hold) c]", { "boot", "+a +c" }, { "list S", "c:up b:none a:up" }, { "start b", "+b =ok" });
}
END_TEST

START_TEST(a_pool_starts_and_stops_its_children_side_by_side)
{
	SCENARIO("ours", "S ofo [a p pool [ w1 w2 w3 ] z]",
		{ "slow w1 30; slow w2 20; slow w3 10; boot", "+a" }, { "wait 30", "+w3 +w2 +w1 +z" },
		{ "lazy w1 30; lazy w2 20; lazy w3 10; shutdown", "-z(shutdown)" }, { "wait 30", "-w3(shutdown) -w2(shutdown) -w1(shutdown) p=shutdown -a(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

START_TEST(one_worker_of_a_pool_that_does_not_start_holds_up_nobody)
{
	SCENARIO("ours backoff", "S rfo [p pool [ w1 w2 ] z]", { "fail w1 always; boot", "~w1 +w2 +z" }, { "wait 100", "~w1" });
}
END_TEST

START_TEST(a_child_whose_family_is_not_proven_empty_waits_for_the_proof)
{
	SCENARIO("ours", "S ofo [a b]", { "boot; facts", "+a +b" }, { "pending a; crash a", "-a(x)/restart! pending:a" }, { "wait 60000", "" },
		{ "list S", "b:up a:restarting" }, { "willing a; prove a", "proven:a +a" });
	SCENARIO("ours", "S rfo [a b]", { "boot", "+a +b" }, { "pending a; crash a", "-a(x) -b(shutdown)" }, { "wait 60000", "" }, { "willing a; prove a", "+a +b" });
}
END_TEST

START_TEST(an_operators_force_overrides_a_missing_proof)
{
	SCENARIO("ours", "S ofo [a b]", { "boot", "+a +b" }, { "pending a; crash a", "-a(x)" }, { "start a", "=restarting" }, { "force a", "+a =ok" });
	SCENARIO("ours", "S ofo [a b]", { "boot", "+a +b" }, { "pending a; stop a", "-a(shutdown) =ok" }, { "start a", "=pending(the family of its last incarnation is not proven empty)" },
		{ "delete a", "=pending(the family of its last incarnation is not proven empty)" }, { "force a", "+a =ok" });
}
END_TEST

static Suite *start_suite(void)
{
	Suite *s = suite_create("start");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, an_empty_supervisor_is_up_and_ends_with_shutdown);
	tcase_add_test(c, no_start_begins_before_the_ready_of_the_one_before);
	tcase_add_test(c, ignore_keeps_a_permanent_spec_without_a_process_and_drops_a_temporary_one);
	tcase_add_test(c, an_ignored_first_start_lets_the_next_one_go_on);
	tcase_add_test(c, an_exit_before_ready_is_a_failed_start_and_never_a_normal_end);
	tcase_add_test(c, under_one_for_one_a_failed_first_start_does_not_hold_up_the_others);
	tcase_add_test(c, under_the_other_strategies_the_rest_waits_for_the_failed_one);
	tcase_add_test(c, a_failed_first_start_ends_an_otp_supervisor_in_reverse);
	tcase_add_test(c, a_start_that_takes_too_long_is_killed_and_counts_as_failed);
	tcase_add_test(c, a_program_that_cannot_be_executed_fails_for_good_after_three_tries);
	tcase_add_test(c, a_fatal_exit_code_is_not_retried);
	tcase_add_test(c, a_held_child_stays_stopped_at_boot_and_starts_by_order);
	tcase_add_test(c, a_pool_starts_and_stops_its_children_side_by_side);
	tcase_add_test(c, one_worker_of_a_pool_that_does_not_start_holds_up_nobody);
	tcase_add_test(c, a_child_whose_family_is_not_proven_empty_waits_for_the_proof);
	tcase_add_test(c, an_operators_force_overrides_a_missing_proof);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(start_suite()); }
