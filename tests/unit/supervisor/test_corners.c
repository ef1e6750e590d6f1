/* What a caller can get wrong, and what the core says to it: specifications, names, numbers beyond the enums, orders at the wrong moment and beyond their number. */
#include <stdio.h>
#include <string.h>
#include "common/base/error.h"
#include "supervisor/tree.h"
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

START_TEST(a_number_that_is_none_has_a_name_all_the_same)
{
	const int far = 1000;
	ck_assert_str_eq(order_name((enum order)far), "?");
	ck_assert_str_eq(fact_name((enum fact_kind)far), "?");
	ck_assert_str_eq(change_name((enum change)far), "?");
	ck_assert_str_eq(decision_name((enum decision)far), "?");
	ck_assert_str_eq(child_state_name((enum child_state)far), "?");
	ck_assert_str_eq(reason_name((enum reason)far), "?");
	ck_assert_str_eq(restart_name((enum restart)far), "?");
	ck_assert_str_eq(strategy_name((enum strategy)far), "?");
	ck_assert_str_eq(auto_shutdown_name((enum auto_shutdown)far), "?");
	ck_assert(!restart_wanted((enum restart)far, REASON_NORMAL));
	enum restart r;
	enum strategy s;
	enum auto_shutdown a;
	enum reason why;
	ck_assert(!restart_parse("always", &r) && !strategy_parse("all", &s) && !auto_shutdown_parse("some", &a) && !reason_parse("bored", &why));
	ck_assert(strategy_parse("one_for_all", &s) && s == STRATEGY_ALL_FOR_ONE);
}
END_TEST

/* One field wrong, everything else right: its word. */
#define REFUSED(word, ...)                                                            \
	do {                                                                          \
		struct child_spec spec;                                               \
		struct supervisor_spec sup, above;                                    \
		child_spec_default(&spec, CHILD_WORKER);                              \
		supervisor_spec_default(&sup);                                        \
		supervisor_spec_default(&above);                                      \
		const struct supervisor_spec *of = NULL;                              \
		__VA_ARGS__;                                                          \
		const char *said = child_spec_check(&spec, of, &above);               \
		ck_assert_msg(said && strcmp(said, word) == 0, "%s, not %s", said, word); \
	} while (0)
#define AS_SUPERVISOR child_spec_default(&spec, CHILD_SUPERVISOR), of = &sup

START_TEST(each_wrong_field_of_a_specification_is_refused_by_its_word)
{
	const uint64_t too_long = UINT64_MAX / 2;
	REFUSED("invalid_child_type", spec.type = (enum child_type)7);
	REFUSED("invalid_child_type", spec.type = CHILD_SUPERVISOR);
	REFUSED("invalid_child_type", of = &sup);
	REFUSED("invalid_restart_type", spec.restart = (enum restart)3);
	REFUSED("invalid_shutdown", spec.shutdown_ms = too_long);
	REFUSED("invalid_term_after", spec.term_after_ms = too_long);
	REFUSED("invalid_start_timeout", spec.start_timeout_ms = too_long);
	REFUSED("invalid_delay", spec.delay.immediate = 1001);
	REFUSED("invalid_delay", spec.delay.immediate_window_ms = too_long);
	REFUSED("invalid_delay", spec.delay.base_ms = too_long);
	REFUSED("invalid_delay", spec.delay.cap_ms = too_long);
	REFUSED("invalid_delay", spec.delay.reset_after_ms = too_long);
	REFUSED("invalid_delay", spec.delay.jitter_pct = 101);
	REFUSED("invalid_delay", spec.delay.factor_pct = 99);
	REFUSED("invalid_delay", spec.delay.factor_pct = 100001);
	REFUSED("invalid_intensity", spec.give_up.intensity = WINDOW_ROOM_MAX);
	REFUSED("invalid_period", spec.give_up.period_ms = 0);
	REFUSED("invalid_period", spec.give_up.period_ms = too_long);
	REFUSED("invalid_on_give_up", spec.give_up.on_give_up = (enum on_give_up)2);
	REFUSED("invalid_strategy", AS_SUPERVISOR, sup.strategy = (enum strategy)3);
	REFUSED("invalid_auto_shutdown", AS_SUPERVISOR, sup.auto_shutdown = (enum auto_shutdown)3);
	REFUSED("invalid_intensity", AS_SUPERVISOR, sup.give_up.intensity = WINDOW_ROOM_MAX);
	REFUSED("bad_combination", AS_SUPERVISOR, sup.side_by_side = true, sup.strategy = STRATEGY_ALL_FOR_ONE);
	REFUSED("bad_combination", AS_SUPERVISOR, sup.dynamic = true);
	REFUSED("bad_combination", AS_SUPERVISOR, sup.dynamic = sup.side_by_side = true, sup.auto_shutdown = AUTO_SHUTDOWN_ANY);
	REFUSED("bad_combination", spec.significant = true, spec.restart = RESTART_TRANSIENT);
	REFUSED("bad_combination", spec.significant = true, above.auto_shutdown = AUTO_SHUTDOWN_ANY);
}
END_TEST

START_TEST(J03_all_combinations_are_right_but_significant_with_never_or_permanent)
{
	static const uint64_t shutdowns[] = { SHUTDOWN_BRUTAL, 1, 5000, 100000, SHUTDOWN_INFINITY };
	unsigned n = 0;
	for (int autos = AUTO_SHUTDOWN_NEVER; autos <= AUTO_SHUTDOWN_ALL; autos++)
		for (int restart = RESTART_PERMANENT; restart <= RESTART_TEMPORARY; restart++)
			for (size_t shutdown = 0; shutdown < sizeof(shutdowns) / sizeof(*shutdowns); shutdown++)
				for (int type = CHILD_WORKER; type <= CHILD_SUPERVISOR; type++)
					for (int significant = 0; significant <= 1; significant++, n++) {
						struct child_spec spec;
						struct supervisor_spec sup, above;
						child_spec_default(&spec, (enum child_type)type);
						supervisor_spec_default(&sup);
						supervisor_spec_default(&above);
						above.auto_shutdown = (enum auto_shutdown)autos;
						spec.restart = (enum restart)restart;
						spec.shutdown_ms = shutdowns[shutdown];
						spec.significant = significant;
						const char *said = child_spec_check(&spec, type == CHILD_SUPERVISOR ? &sup : NULL, &above);
						bool wrong = significant && (autos == AUTO_SHUTDOWN_NEVER || restart == RESTART_PERMANENT);
						ck_assert_msg(wrong ? said && strcmp(said, "bad_combination") == 0 : !said, "%d %d %zu %d %d: %s", autos, restart, shutdown, type, significant, said);
					}
	ck_assert_uint_eq(n, 3 * 3 * 5 * 2 * 2);
}
END_TEST

/* A10: what nobody has said. */
START_TEST(A10_the_standard_values_are_the_documented_ones)
{
	struct child_spec worker, sup_child;
	struct supervisor_spec sup;
	child_spec_default(&worker, CHILD_WORKER);
	child_spec_default(&sup_child, CHILD_SUPERVISOR);
	supervisor_spec_default(&sup);
	ck_assert_int_eq(worker.restart, RESTART_PERMANENT);
	ck_assert(!worker.significant && worker.shutdown_ms == 5000 && sup_child.shutdown_ms == SHUTDOWN_INFINITY);
	ck_assert(worker.delay.immediate == 20 && worker.delay.immediate_window_ms == 10000 && worker.delay.base_ms == 100 && worker.delay.cap_ms == 30000 &&
	          worker.delay.jitter_pct == 20 && worker.delay.reset_after_ms == 60000);
	ck_assert_uint_eq(worker.give_up.intensity, INTENSITY_UNLIMITED);
	ck_assert(sup.strategy == STRATEGY_ONE_FOR_ONE && sup.auto_shutdown == AUTO_SHUTDOWN_NEVER && sup.give_up.intensity == INTENSITY_UNLIMITED);
	/* and OTP's, where its profile is asked for */
	struct scenario *s = scenario_new("otp", "S ofo [a]", 1);
	const struct child *root = tree_root(scenario_tree(s));
	ck_assert(root->sup->spec.give_up.intensity == 1 && root->sup->spec.give_up.period_ms == 5000 && root->sup->first->spec.delay.base_ms == 0);
	scenario_free(s);
}
END_TEST

START_TEST(what_does_not_fit_into_a_tree_is_refused)
{
	struct tree *t = tree_new(&(struct tree_config){ 0 });
	struct child_spec worker, sup_child;
	struct supervisor_spec sup;
	struct child *at, *made;
	char name[CHILD_NAME_MAX + 2];
	struct actions actions;
	child_spec_default(&worker, CHILD_WORKER);
	child_spec_default(&sup_child, CHILD_SUPERVISOR);
	supervisor_spec_default(&sup);
	tree_step(t, &(struct event){ .kind = EVENT_BOOT }, &actions); /* of nothing */
	ck_assert_uint_eq(actions.n, 0);
	ck_assert_uint_eq(tree_next_due(t), UINT64_MAX);
	ck_assert_int_eq(tree_add(t, NULL, "a", &worker, NULL, NULL, &at), ERROR_BAD_REQUEST); /* a root without children */
	ck_assert_int_eq(tree_add(t, NULL, "", &sup_child, &sup, NULL, &at), ERROR_BAD_REQUEST);
	ck_assert_int_eq(tree_add(t, NULL, "S", &sup_child, &sup, NULL, &at), 0);
	ck_assert_int_eq(tree_add(t, NULL, "T", &sup_child, &sup, NULL, &made), ERROR_BAD_REQUEST);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	ck_assert_int_eq(tree_add(t, at, name, &worker, NULL, NULL, &made), ERROR_BAD_REQUEST);
	ck_assert_int_eq(tree_add(t, at, "w", &worker, NULL, NULL, &made), 0);
	ck_assert_int_eq(tree_add(t, made, "x", &worker, NULL, NULL, &made), ERROR_BAD_REQUEST); /* below a worker */
	for (int depth = 1; depth < TREE_DEPTH_MAX; depth++) {
		snprintf(name, sizeof(name), "s%d", depth);
		ck_assert_int_eq(tree_add(t, at, name, &sup_child, &sup, NULL, &at), 0);
	}
	ck_assert_int_eq(tree_add(t, at, "deeper", &worker, NULL, NULL, &made), ERROR_TOO_LARGE);
	tree_free(t);
	tree_free(NULL);
}
END_TEST

START_TEST(orders_beyond_their_number_are_answered_busy_and_all_others_in_the_end)
{
	struct scenario *s = scenario_new("ours", "S ofo [a b]", 1);
	char line[64];
	scenario_do(s, "boot; deaf a");
	for (int i = 0; i < TREE_ORDERS_MAX; i++)
		ck_assert_str_eq(scenario_do(s, "restart a"), "");
	ck_assert_str_eq(scenario_do(s, "restart a"), "=busy(too many orders are waiting)");
	ck_assert_str_eq(scenario_do(s, "add S c"), "=busy(too many orders are waiting)");
	snprintf(line, sizeof(line), "wait 5000");
	const char *trace = scenario_do(s, line);
	unsigned n = 0;
	for (const char *at = trace; (at = strstr(at, "=ok")); at++)
		n++;
	ck_assert_uint_eq(n, TREE_ORDERS_MAX);
	scenario_free(s);
}
END_TEST

START_TEST(a_tree_that_has_ended_answers_noproc_to_everything)
{
	struct scenario *s = scenario_new("ours", "S ofo [a]", 1);
	ck_assert_str_eq(scenario_do(s, "boot; shutdown"), "+a -a(shutdown) S=shutdown EXIT(0)");
	ck_assert_str_eq(scenario_do(s, "stop a; add S b; reload S ofo [a]; count S"), "=noproc =noproc =noproc =noproc");
	struct actions actions;
	tree_step(scenario_tree(s), &(struct event){ .kind = EVENT_TIME, .now_ms = UINT64_MAX }, &actions);
	ck_assert_uint_eq(actions.n, 0);
	ck_assert_uint_eq(tree_next_due(scenario_tree(s)), UINT64_MAX);
	scenario_free(s);
}
END_TEST

START_TEST(every_value_of_a_specification_that_changes_is_a_change)
{
	static const struct { const char *was, *is; bool changed; } cases[] = {
		{ "S ofo [a]", "S ofo [a]", false }, { "S ofo [a]", "S ofa [a]", true }, { "S ofo [a]", "S ofo 1/5 [a]", true }, { "S ofo 1/5 [a]", "S ofo 1/6 [a]", true },
		{ "S ofo 1/5 keep [a]", "S ofo 1/5 end [a]", true }, { "S ofo [a]", "S ofo any [a]", true }, { "S ofo [a]", "S pool [a]", true }, { "S dyn max=1 [d]", "S dyn max=2 [d]", true },
		{ "S ofo [a]", "S ofo [a:T]", true }, { "S ofo any [a:T]", "S ofo any [a:T!]", true }, { "S ofo [a]", "S ofo [a(shutdown=zero)]", true }, { "S ofo [a(brutal)]", "S ofo [a(shutdown=zero)]", true },
		{ "S ofo [a]", "S ofo [a(term=5)]", true }, { "S ofo [a]", "S ofo [a(start=5)]", true }, { "S ofo [a]", "S ofo [a(limit=1/5)]", true }, { "S ofo [a(limit=1/5)]", "S ofo [a(limit=1/6)]", true },
		{ "S ofo [a(limit=1/5)]", "S ofo [a(limit=1/5 escalate)]", true }, { "S ofo [a]", "S ofo [a(v=1)]", true }, { "S ofo [a]", "S ofo [a(hold)]", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[128];
		struct scenario *s = scenario_new("ours", cases[i].was, 1);
		scenario_do(s, "boot");
		snprintf(line, sizeof(line), "reload dry %s", cases[i].is);
		const char *trace = scenario_do(s, line);
		ck_assert_msg(strstr(trace, "=ok") && (strcmp(trace, "=ok") != 0) == cases[i].changed, "%s to %s: %s", cases[i].was, cases[i].is, trace);
		scenario_free(s);
	}
}
END_TEST

static Suite *corners_suite(void)
{
	Suite *s = suite_create("corners");
	TCase *c = tcase_create("all");
	tcase_add_test(c, a_number_that_is_none_has_a_name_all_the_same);
	tcase_add_test(c, each_wrong_field_of_a_specification_is_refused_by_its_word);
	tcase_add_test(c, J03_all_combinations_are_right_but_significant_with_never_or_permanent);
	tcase_add_test(c, A10_the_standard_values_are_the_documented_ones);
	tcase_add_test(c, what_does_not_fit_into_a_tree_is_refused);
	tcase_add_test(c, orders_beyond_their_number_are_answered_busy_and_all_others_in_the_end);
	tcase_add_test(c, a_tree_that_has_ended_answers_noproc_to_everything);
	tcase_add_test(c, every_value_of_a_specification_that_changes_is_a_change);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(corners_suite()); }
