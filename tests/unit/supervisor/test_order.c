#include <stdio.h>
#include <string.h>
#include "tests/suite.h"
#include "common/base/error.h"
#include "tests/supervision/scenario.h"

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
	tcase_add_test(c, events_about_the_past_or_about_nothing_are_ignored);
	tcase_add_test(c, beyond_its_limit_of_waiting_orders_the_tree_says_busy);
	tcase_add_test(c, trees_are_refused_that_are_too_deep_or_name_twice);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(order_suite()); }
