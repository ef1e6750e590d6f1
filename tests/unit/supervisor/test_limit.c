#include <string.h>
#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* C01 */
START_TEST(siblings_share_the_budget_of_their_supervisor)
{
	SCENARIO("otp", "S ofo 2/3600 [a b]", { "boot", "+a +b" }, { "crash a; crash b", "-a(x) +a -b(x) +b" }, { "crash a", "-a(x) -b(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* C03 */
START_TEST(a_group_restart_costs_one)
{
	SCENARIO("otp", "S ofa 2/3600 [a b]", { "boot", "+a +b" }, { "crash a", "-a(x) -b(shutdown) +a +b" }, { "crash b", "-b(x) -a(shutdown) +a +b" },
		{ "crash a", "-a(x) -b(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* C04 */
START_TEST(intensity_zero_ends_at_the_first_end)
{
	SCENARIO("otp", "S ofa 0/10 [a b c]", { "boot", "+a +b +c" }, { "crash b", "-b(x) -c(shutdown) -a(shutdown) S=shutdown EXIT(70)" });
}
END_TEST

/* C06 */
START_TEST(restarts_further_apart_than_the_period_go_on_for_ever)
{
	SCENARIO("otp", "S ofo 1/1 [a]", { "boot", "+a" }, { "crash a; wait 2100; crash a; wait 2100; crash a; wait 2100; crash a; wait 2100", "-a(x) +a -a(x) +a -a(x) +a -a(x) +a" });
}
END_TEST

/* C07 */
START_TEST(normal_ends_of_permanent_children_count)
{
	SCENARIO("otp", "S ofo 1/10 [a]", { "boot", "+a" }, { "normal a", "-a(normal) +a" }, { "normal a", "-a(normal) S=shutdown EXIT(70)" });
}
END_TEST

/* C09 */
START_TEST(manual_stops_and_starts_never_count)
{
	SCENARIO("otp", "S ofo 0/10 [a]", { "boot", "+a" }, { "stop a; start a; stop a; start a; stop a; start a", "-a(shutdown) =ok +a =ok -a(shutdown) =ok +a =ok -a(shutdown) =ok +a =ok" },
		{ "restart a; restart a", "-a(shutdown) +a =ok -a(shutdown) +a =ok" });
}
END_TEST

/* C10 */
START_TEST(the_border_of_the_window_is_inclusive_to_the_millisecond)
{
	SCENARIO("otp", "S ofo 1/1000ms [a]", { "boot", "+a" }, { "crash a; wait 1000; crash a", "-a(x) +a -a(x) S=shutdown EXIT(70)" });
	SCENARIO("otp", "S ofo 1/1000ms [a]", { "boot", "+a" }, { "crash a; wait 1001; crash a", "-a(x) +a -a(x) +a" });
}
END_TEST

/* C12 */
START_TEST(a_limit_of_each_child_is_its_own)
{
	SCENARIO("otp", "S ofo 3/10 [a b]", { "boot", "+a +b" }, { "crash a; crash b; crash a", "-a(x) +a -b(x) +b -a(x) +a" }, { "crash b", "-b(x) -a(shutdown) S=shutdown EXIT(70)" });
	SCENARIO("ours", "S ofo [a(limit=3/10) b(limit=3/10)]", { "boot", "+a +b" }, { "crash a; crash b; crash a; crash b", "-a(x) +a -b(x) +b -a(x) +a -b(x) +b" });
}
END_TEST

/* C13 */
START_TEST(the_delay_doubles_to_its_cap_while_starts_fail)
{
	SCENARIO("otp backoff", "S ofo 9/60 [a]", { "boot", "+a" }, { "fail a 5; crash a", "-a(x)" }, { "list S", "a:waiting(1000100)" }, { "count S", "[1,0,0,1]" }, { "wait 99", "" },
		{ "wait 1", "~a" }, { "wait 199", "" }, { "wait 1", "~a" }, { "wait 399", "" }, { "wait 1", "~a" }, { "wait 799", "" }, { "wait 1", "~a" }, { "wait 799", "" }, { "wait 1", "~a" },
		{ "wait 799", "" }, { "wait 1", "+a" });
}
END_TEST

/* C15 */
START_TEST(a_minute_of_health_resets_the_delay)
{
	SCENARIO("ours backoff", "S ofo [a]", { "boot; crash a; wait 100", "+a -a(x) +a" }, { "wait 61000; crash a", "-a(x)" }, { "wait 99", "" }, { "wait 1", "+a" });
	SCENARIO("ours backoff", "S ofo [a]", { "boot; crash a; wait 100", "+a -a(x) +a" }, { "wait 59000; crash a", "-a(x)" }, { "wait 199", "" }, { "wait 1", "+a" });
}
END_TEST

/* C18 */
START_TEST(giving_up_is_told_in_order_and_once)
{
	SCENARIO("otp", "S ofo 1/10 [a b]", { "boot; crash a; facts", "+a +b -a(x) +a" },
		{ "crash a", "-a(x)/escalate! limit:a(2 in 10000 by S) gave_up:S -b(shutdown)/supervisor_ending S=shutdown EXIT(70)" });
}
END_TEST

/* H01, H05 */
START_TEST(with_intensity_n_there_are_n_failed_attempts)
{
	SCENARIO("otp", "S ofo 3/10 [a b]", { "boot", "+a +b" }, { "fail a always; crash a", "-a(x) ~a ~a ~a -b(shutdown) S=shutdown EXIT(70)" });
	SCENARIO("otp", "S rfo 4/3600 [a b]", { "boot", "+a +b" }, { "fail b always; crash b", "-b(x) ~b ~b ~b ~b -a(shutdown) S=shutdown EXIT(70)" });
	SCENARIO("otp", "S ofa 4/3600 [a b]", { "boot", "+a +b" }, { "fail a always; crash a", "-a(x) -b(shutdown) ~a ~a ~a ~a S=shutdown EXIT(70)" });
}
END_TEST

START_TEST(a_child_beyond_its_own_limit_is_failed_and_its_siblings_stay)
{
	SCENARIO("ours", "S ofo [a(limit=1/10) b]", { "boot; facts", "+a +b" }, { "crash a", "-a(x)/restart! +a" }, { "crash a", "-a(x)/failed! limit:a(2 in 10000 by a) failed:a" },
		{ "list S", "b:up a:failed" }, { "start a", "+a =ok" }, { "crash a", "-a(x)/restart! +a" });
}
END_TEST

START_TEST(a_child_that_escalates_ends_its_supervisor_once)
{
	SCENARIO("ours", "R ofo [S ofo [a(limit=0/10 escalate) b]]", { "boot", "+a +b" }, { "crash a", "-a(x) -b(shutdown) S=gave_up +a +b" });
}
END_TEST

/* G06, root policy keep */
START_TEST(a_root_that_keeps_going_marks_the_child_failed)
{
	SCENARIO("ours", "S ofo 1/10 [a b]", { "boot; crash a; facts", "+a +b -a(x) +a" }, { "crash b", "-b(x)/failed! limit:b(2 in 10000 by S) failed:b" }, { "list S", "b:failed a:up" });
}
END_TEST

START_TEST(twenty_restarts_are_at_once_and_the_third_wait_raises_an_alarm)
{
	struct scenario *s = scenario_new("ours", "S ofo [a]", 7);
	scenario_do(s, "boot");
	for (int i = 0; i < 20; i++)
		ck_assert_str_eq(scenario_do(s, "crash a"), "-a(x) +a");
	ck_assert_str_eq(scenario_do(s, "crash a"), "-a(x)");
	uint64_t due = tree_find(scenario_tree(s), "a")->due_at_ms - scenario_now(s);
	ck_assert(due >= 80 && due <= 120);
	scenario_do(s, "wait 120");
	scenario_do(s, "crash a; wait 240; facts");
	ck_assert_ptr_nonnull(strstr(scenario_do(s, "crash a"), "backoff_alarm:a"));
	scenario_do(s, "wait 480");
	ck_assert_str_eq(scenario_do(s, "wait 60000"), "recovered:a");
	ck_assert_str_eq(scenario_do(s, "crash a"), "-a(x)/restart! +a");
	scenario_free(s);
}
END_TEST

/* L16 in the core: only the given time counts; and a window outlives the tree that made it */
START_TEST(windows_are_saved_and_loaded_into_another_tree)
{
	struct scenario *s = scenario_new("otp", "S ofo 3/10 [a b]", 1), *again = scenario_new("otp", "S ofo 3/10 [a b]", 1);
	scenario_do(s, "boot; crash a; wait 500; crash b; crash b");

	struct window_cursor cursor = { 0 };
	struct window_entry e;
	int n = 0;
	while (tree_windows_save(scenario_tree(s), &cursor, &e)) {
		tree_windows_load(scenario_tree(again), &e);
		n++;
	}

	ck_assert_int_ge(n, 3);
	tree_windows_load(scenario_tree(again), &(struct window_entry){ .name = "nobody", .at_ms = 1 });
	ck_assert_str_eq(scenario_do(again, "boot; crash a"), "+a +b -a(x) -b(shutdown) S=shutdown EXIT(70)");
	scenario_free(s);
	scenario_free(again);
}
END_TEST

/* C16 */
START_TEST(a_child_that_crashes_right_after_ready_is_slowed_down)
{
	struct scenario *s = scenario_new("ours", "S ofo [a]", 3);
	scenario_do(s, "boot");
	uint64_t until = scenario_now(s) + 60000;
	int starts = 1;
	while (scenario_now(s) < until) {
		if (tree_find(scenario_tree(s), "a")->state == CHILD_UP) {
			scenario_do(s, "crash a");
			starts++;
		} else {
			scenario_do(s, "wait 1");
		}
	}
	ck_assert_int_ge(starts, 28);
	ck_assert_int_le(starts, 33);
	scenario_free(s);
}
END_TEST

static Suite *limit_suite(void)
{
	Suite *s = suite_create("limit");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, siblings_share_the_budget_of_their_supervisor);
	tcase_add_test(c, a_group_restart_costs_one);
	tcase_add_test(c, intensity_zero_ends_at_the_first_end);
	tcase_add_test(c, restarts_further_apart_than_the_period_go_on_for_ever);
	tcase_add_test(c, normal_ends_of_permanent_children_count);
	tcase_add_test(c, manual_stops_and_starts_never_count);
	tcase_add_test(c, the_border_of_the_window_is_inclusive_to_the_millisecond);
	tcase_add_test(c, a_limit_of_each_child_is_its_own);
	tcase_add_test(c, the_delay_doubles_to_its_cap_while_starts_fail);
	tcase_add_test(c, a_minute_of_health_resets_the_delay);
	tcase_add_test(c, giving_up_is_told_in_order_and_once);
	tcase_add_test(c, with_intensity_n_there_are_n_failed_attempts);
	tcase_add_test(c, a_child_beyond_its_own_limit_is_failed_and_its_siblings_stay);
	tcase_add_test(c, a_child_that_escalates_ends_its_supervisor_once);
	tcase_add_test(c, a_root_that_keeps_going_marks_the_child_failed);
	tcase_add_test(c, twenty_restarts_are_at_once_and_the_third_wait_raises_an_alarm);
	tcase_add_test(c, windows_are_saved_and_loaded_into_another_tree);
	tcase_add_test(c, a_child_that_crashes_right_after_ready_is_slowed_down);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(limit_suite()); }
