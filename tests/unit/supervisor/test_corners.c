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

/* --- events that do not fit ------------------------------------------------------------------------------------------------- */

struct small { struct tree *t; struct child *root, *a, *sub, *w; struct actions actions; };

static void small_begin(struct small *x)
{
	struct child_spec worker, above;
	struct supervisor_spec sup;
	x->t = tree_new(&(struct tree_config){ 0 });
	child_spec_default(&worker, CHILD_WORKER);
	child_spec_default(&above, CHILD_SUPERVISOR);
	supervisor_spec_default(&sup);
	ck_assert_int_eq(tree_add(x->t, NULL, "S", &above, &sup, NULL, &x->root), 0);
	ck_assert_int_eq(tree_add(x->t, x->root, "a", &worker, NULL, NULL, &x->a), 0);
	ck_assert_int_eq(tree_add(x->t, x->root, "sub", &above, &sup, NULL, &x->sub), 0);
	worker.start_timeout_ms = 0;
	worker.shutdown_ms = SHUTDOWN_INFINITY;
	ck_assert_int_eq(tree_add(x->t, x->sub, "w", &worker, NULL, NULL, &x->w), 0);
}

static size_t tell(struct small *x, struct event e)
{
	tree_step(x->t, &e, &x->actions);
	return x->actions.n;
}
#define TELL(k, c, ...) tell(&x, (struct event){ .kind = (k), .child = (c), .incarnation = (c)->incarnation, __VA_ARGS__ })

START_TEST(an_event_that_does_not_fit_the_state_changes_nothing)
{
	struct small x;
	small_begin(&x);
	static const enum event_kind all[] = { EVENT_READY, EVENT_IGNORED, EVENT_START_FAILED, EVENT_ENDED, EVENT_PROVEN, EVENT_HUNG, EVENT_SIGNALLED, EVENT_EXTEND };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) { /* nobody has been started */
		ck_assert_uint_eq(TELL(all[i], x.a, .reason = REASON_EXIT), 0);
		ck_assert_uint_eq(TELL(all[i], x.sub, .reason = REASON_EXIT), 0);
		ck_assert_uint_eq(tell(&x, (struct event){ .kind = all[i] }), 0); /* about nobody */
	}
	ck_assert_uint_gt(tell(&x, (struct event){ .kind = EVENT_BOOT }), 0);
	ck_assert_uint_eq(tell(&x, (struct event){ .kind = EVENT_BOOT }), 0);
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.a, .within_ms = 1), 0); /* less than it has */
	ck_assert_uint_eq(TELL(EVENT_PROVEN, x.a), 0);
	ck_assert_uint_gt(TELL(EVENT_READY, x.a), 0);
	ck_assert_uint_eq(TELL(EVENT_READY, x.a), 0);
	ck_assert_uint_eq(TELL(EVENT_IGNORED, x.a), 0);
	ck_assert_uint_eq(TELL(EVENT_START_FAILED, x.a), 0);
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.a, .within_ms = 1000), 0);
	ck_assert_int_eq(x.sub->state, CHILD_STARTING);
	ck_assert_uint_eq(TELL(EVENT_READY, x.sub), 0); /* a supervisor is ready when its children are */
	ck_assert_uint_eq(TELL(EVENT_IGNORED, x.sub), 0);
	ck_assert_uint_eq(TELL(EVENT_ENDED, x.sub), 0);
	ck_assert_uint_eq(TELL(EVENT_HUNG, x.sub), 0);
	ck_assert_uint_eq(TELL(EVENT_SIGNALLED, x.sub), 0);
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.sub, .within_ms = 1000), 0);
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.w, .within_ms = 1000), 0); /* it has for ever */
	ck_assert_uint_eq(TELL(EVENT_IGNORED, x.w), 0);
	ck_assert_uint_eq(TELL(EVENT_IGNORED, x.w), 0);
	ck_assert_uint_eq(TELL(EVENT_READY, x.w), 0); /* after IGNORE */
	ck_assert_uint_gt(TELL(EVENT_ENDED, x.w, .reason = REASON_NORMAL), 0);
	ck_assert_int_eq(x.w->state, CHILD_DONE);
	ck_assert_int_eq(x.root->state, CHILD_UP);

	/* who says IGNORE and then fails has failed */
	tell(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_START, .name = "w" });
	TELL(EVENT_IGNORED, x.w);
	TELL(EVENT_ENDED, x.w, .reason = REASON_EXIT, .number = 3);
	ck_assert_int_eq(x.w->state, CHILD_STOPPED);
	tell(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_START, .name = "w" });
	TELL(EVENT_READY, x.w);
	tell(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_STOP, .name = "w" });
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.w, .within_ms = 1000), 0); /* it may take for ever */
	ck_assert_uint_eq(TELL(EVENT_HUNG, x.w, .reason = REASON_WATCHDOG), 0);
	tell(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_STOP, .name = "a" });
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.a, .within_ms = 1), 0); /* less than it has */
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.a, .within_ms = 60000), 0);
	tell(&x, (struct event){ .kind = EVENT_TIME, .now_ms = 30000 });
	ck_assert(!x.a->core.killed); /* it was given a minute */
	tell(&x, (struct event){ .kind = EVENT_TIME, .now_ms = 60001 });
	ck_assert(x.a->core.killed);
	ck_assert_uint_eq(TELL(EVENT_EXTEND, x.a, .within_ms = 60000), 0); /* too late */
	tree_free(x.t);
}
END_TEST

START_TEST(a_shutdown_before_the_boot_is_the_end)
{
	struct small x;
	small_begin(&x);
	ck_assert_uint_eq(tell(&x, (struct event){ .kind = EVENT_SHUTDOWN, .within_ms = 1 }), 1);
	ck_assert_int_eq(x.actions.items[0].kind, ACTION_EXIT);
	ck_assert_uint_eq(tell(&x, (struct event){ .kind = EVENT_BOOT }), 0);
	tree_free(x.t);
}
END_TEST

static const char *answer_to(struct small *x, struct event e, const char **ret_detail)
{
	tell(x, e);
	for (size_t i = 0; i < x->actions.n; i++)
		if (x->actions.items[i].kind == ACTION_ANSWER) {
			*ret_detail = x->actions.items[i].detail;
			return x->actions.items[i].text;
		}
	return "";
}

START_TEST(an_order_that_lacks_something_is_answered)
{
	struct small x;
	const char *detail;
	char name[CHILD_NAME_MAX + 2];
	struct child_spec worker;
	struct tree *empty = tree_new(&(struct tree_config){ 0 });
	child_spec_default(&worker, CHILD_WORKER);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	small_begin(&x);
	tell(&x, (struct event){ .kind = EVENT_BOOT });
	TELL(EVENT_READY, x.a);
	TELL(EVENT_READY, x.w);
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_STOP }, &detail), "not_found");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_STOP, .name = "a", .above_name = "" }, &detail), "");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_SPEC, .name = "a", .above_name = "w" }, &detail), "noproc");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_SPEC, .name = "w", .above_name = "S" }, &detail), "not_found");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ADD, .name = "n", .spec = &worker }, &detail), "noproc");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ADD, .above_name = "S", .spec = &worker }, &detail), "bad_request");
	ck_assert_str_eq(detail, "missing_id");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ADD, .above_name = "S", .name = "n" }, &detail), "bad_request");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ADD, .above_name = "S", .name = name, .spec = &worker }, &detail), "bad_request");
	ck_assert_str_eq(detail, "name");
	worker.hold = true;
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ADD, .above_name = "S", .name = "held", .spec = &worker }, &detail), "none");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_RELOAD, .wanted = empty }, &detail), "bad_request");
	tell(&x, (struct event){ .kind = EVENT_SHUTDOWN, .within_ms = SHUTDOWN_INFINITY });
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_RELOAD, .wanted = empty }, &detail), "stopping");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_RESTART, .name = "a" }, &detail), "stopping");
	ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_ORDER, .order = ORDER_STOP, .name = "held" }, &detail), "ok");
	tree_free(empty);
	tree_free(x.t);
}
END_TEST

/* Field k of a specification, changed: false beyond the last. */
static bool change_field(int k, struct child_spec *spec, struct supervisor_spec *sup)
{
	switch (k) {
	case 0: spec->delay.immediate++; break;
	case 1: spec->delay.immediate_window_ms++; break;
	case 2: spec->delay.base_ms++; break;
	case 3: spec->delay.factor_pct++; break;
	case 4: spec->delay.cap_ms++; break;
	case 5: spec->delay.jitter_pct++; break;
	case 6: spec->delay.reset_after_ms++; break;
	case 7: spec->give_up.intensity = 3; break;
	case 8: spec->give_up.period_ms++; break;
	case 9: spec->give_up.on_give_up = ON_GIVE_UP_ESCALATE; break;
	case 10: sup->children_max = 7; break;
	case 11: sup->revive_done = true; break;
	case 12: sup->revive_stopped = true; break;
	case 13: sup->start_once = true; break;
	case 14: sup->gave_up_is_shutdown = true; break;
	case 15: sup->forget_added = true; break;
	case 16: sup->side_by_side = true; break;
	case 17: sup->side_by_side = sup->pool = true; break;
	case 18: sup->side_by_side = sup->dynamic = true; break;
	default: return false;
	}
	return true;
}

START_TEST(each_field_alone_is_a_change_for_a_reload)
{
	for (int k = -1; k < 0 || k <= 18; k++) {
		struct small x;
		struct child_spec worker, above;
		struct supervisor_spec sup;
		struct child *root, *made;
		const char *detail;
		struct tree *wanted = tree_new(&(struct tree_config){ 0 });
		small_begin(&x);
		child_spec_default(&worker, CHILD_WORKER);
		child_spec_default(&above, CHILD_SUPERVISOR);
		supervisor_spec_default(&sup);
		tell(&x, (struct event){ .kind = EVENT_BOOT });
		ck_assert_int_eq(tree_add(wanted, NULL, "S", &above, &sup, NULL, &root), 0);
		ck_assert(k < 0 || change_field(k, &worker, &sup));
		ck_assert_int_eq(tree_add(wanted, root, "a", &worker, NULL, NULL, &made), 0);
		ck_assert_int_eq(tree_add(wanted, root, "sub", &above, &sup, NULL, &made), 0);
		ck_assert_int_eq(tree_add(wanted, made, "w", &x.w->spec, NULL, NULL, &made), 0);
		ck_assert_str_eq(answer_to(&x, (struct event){ .kind = EVENT_RELOAD, .wanted = wanted, .dry = true }, &detail), "ok");
		ck_assert_msg(x.actions.n == (k < 0 ? 1 : 2), "field %d: %zu actions", k, x.actions.n);
		tree_free(wanted);
		tree_free(x.t);
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
	tcase_add_test(c, an_event_that_does_not_fit_the_state_changes_nothing);
	tcase_add_test(c, a_shutdown_before_the_boot_is_the_end);
	tcase_add_test(c, an_order_that_lacks_something_is_answered);
	tcase_add_test(c, each_field_alone_is_a_change_for_a_reload);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(corners_suite()); }
