#include <string.h>
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

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
	tcase_add_test(c, twenty_restarts_are_at_once_and_the_third_wait_raises_an_alarm);
	tcase_add_test(c, windows_are_saved_and_loaded_into_another_tree);
	tcase_add_test(c, a_child_that_crashes_right_after_ready_is_slowed_down);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(limit_suite()); }
