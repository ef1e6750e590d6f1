#include <stdio.h>
#include <string.h>
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

/* E10 */
START_TEST(two_thousand_temporary_children_leave_nothing_behind)
{
	struct scenario *s = scenario_new("otp", "S dyn [d:X]", 1);
	char line[64];
	scenario_do(s, "boot");
	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "add S d%d", i);
		scenario_do(s, line);
	}
	ck_assert_str_eq(scenario_do(s, "count S; count S"), "[1,2000,0,2000] [1,2000,0,2000]");
	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "die d%d", i);
		scenario_do(s, line);
	}
	ck_assert_str_eq(scenario_do(s, "count S"), "[1,0,0,0]");
	ck_assert_uint_eq(tree_size(scenario_tree(s)), 1);
	scenario_free(s);
}
END_TEST

START_TEST(the_walk_is_depth_first_in_start_order)
{
	struct scenario *s = scenario_new("ours", "top ofo [a s1 ofo [b s2 ofo [] c] d]", 1);
	struct tree *t = scenario_tree(s);
	char line[64] = "";
	for (struct child *c = tree_next(t, NULL); c; c = tree_next(t, c))
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%u ", c->name, c->depth);
	ck_assert_str_eq(line, "top0 a1 s11 b2 s22 c2 d1 ");
	struct child *s1 = tree_find(t, "s1");
	int n = 0;
	for (struct child *c = s1; c; c = tree_next_under(t, s1, c))
		n++;
	ck_assert_int_eq(n, 4);
	scenario_free(s);
}
END_TEST

static Suite *nested_suite(void)
{
	Suite *s = suite_create("nested");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, two_thousand_temporary_children_leave_nothing_behind);
	tcase_add_test(c, the_walk_is_depth_first_in_start_order);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(nested_suite()); }
