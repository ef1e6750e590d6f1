#include <stdio.h>
#include "common/base/rng.h"
#include "tests/suite.h"
#include "tests/unit/supervisor/scenario.h"

/* K01 */
START_TEST(new_flags_are_in_force_at_once_and_no_process_is_touched)
{
	SCENARIO("otp", "S ofo 0/1 [a]", { "boot", "+a" }, { "reload S ofo 1/3 [a]", "change:S =ok" }, { "crash a", "-a(x) +a" }, { "wait 2999; crash a", "-a(x) S=shutdown EXIT(70)" });
	SCENARIO("ours", "S ofo [a b]", { "boot", "+a +b" }, { "reload S ofa [a b]", "change:S =ok" }, { "crash a", "-a(x) -b(shutdown) +a +b" });
	SCENARIO("ours", "S ofo [a b]", { "boot", "+a +b" }, { "reload S ofo [a b]", "=ok" });
}
END_TEST

/* K03: both modes */
START_TEST(new_children_start_in_order_and_in_otp_mode_by_hand)
{
	SCENARIO("otp", "S ofo []", { "boot", "" }, { "reload otp S ofo [c1 c2]", "start:c1 start:c2 =ok" }, { "list S", "c2:none c1:none" }, { "start c1; start c2", "+c1 =ok +c2 =ok" });
	SCENARIO("ours", "S rfo [z]", { "boot", "+z" }, { "slow c1 50; reload S rfo [c1 z c2]", "start:c1 start:c2 =ok" }, { "wait 49", "" }, { "wait 1", "+c1 +c2" }, { "list S", "c2:up z:up c1:up" });
}
END_TEST

/* K04: both modes */
START_TEST(a_known_child_keeps_its_process_and_gets_its_new_times)
{
	SCENARIO("otp", "S ofo [c1(shutdown=2000) c2]", { "boot", "+c1 +c2" }, { "reload otp S ofo [c1(shutdown=1000) c3]", "change:c1 start:c3 =ok", },
		{ "list S", "c2:up c3:none c1:up" }, { "deaf c1; wires; stop c1; wait 1000", "STOP:c1(1000) KILL:c1(killed) -c1(killed) =ok" });
	SCENARIO("ours", "S ofo [c1(shutdown=2000) c2 c4]", { "boot", "+c1 +c2 +c4" }, { "reload S ofo [c1(shutdown=1000) c3]", "change:c1 start:c3 stop:c4 stop:c2 =ok -c4(shutdown) +c3 -c2(shutdown)" },
		{ "list S", "c3:up c1:up" }, { "start c2", "=not_found" });
}
END_TEST

/* K07, K09 */
START_TEST(a_change_of_auto_shutdown_holds_for_what_runs)
{
	SCENARIO("otp", "S ofo [p]", { "boot", "+p" }, { "reload S ofo any [p a:T! b:T!]", "change:S start:a start:b =ok +a +b" }, { "normal a", "-a(normal) -b(shutdown) -p(shutdown) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo any [a:T! b:T!]", { "boot", "+a +b" }, { "reload S ofo all [a:T! b:T!]", "change:S =ok" }, { "normal a", "-a(normal)" }, { "normal b", "-b(normal) S=shutdown EXIT(0)" });
	SCENARIO("otp", "S ofo all [a:T! b:T!]", { "boot", "+a +b" }, { "reload S ofo any [a:T! b:T!]", "change:S =ok" }, { "normal a", "-a(normal) -b(shutdown) S=shutdown EXIT(0)" });
}
END_TEST

/* K10 */
START_TEST(a_reload_that_an_added_child_does_not_fit_changes_nothing)
{
	SCENARIO("otp", "S ofo any [a]", { "boot; add S b:T!", "+a +b =ok" }, { "reload S ofo [a c]", "=bad_request(bad_combination)" }, { "list S", "b:up a:up" });
}
END_TEST

START_TEST(a_dry_reload_tells_and_changes_nothing)
{
	SCENARIO("ours", "S ofo [a b(v=1)]", { "boot", "+a +b" }, { "reload dry S rfo [b(v=2) c]", "change:S stale:b start:c stop:a =ok" }, { "list S", "b:up a:up" },
		{ "reload dry S ofo [a b(v=1)]", "=ok" }, { "crash a", "-a(x) +a" });
}
END_TEST

START_TEST(a_changed_program_is_stale_until_its_next_start_or_is_restarted)
{
	struct scenario *s = scenario_new("ours", "S rfo [a(v=1) b(v=1)]", 1);
	ck_assert_str_eq(scenario_do(s, "boot; reload S rfo [a(v=2) b(v=1)]"), "+a +b stale:a =ok");
	struct child *a = tree_find(scenario_tree(s), "a");
	ck_assert(a->stale);
	scenario_do(s, "restart a");
	ck_assert(!a->stale);
	ck_assert_str_eq(scenario_do(s, "reload restart S rfo [a(v=2) b(v=3)]"), "stale:b =ok -b(shutdown) +b");
	ck_assert(!tree_find(scenario_tree(s), "b")->stale);
	scenario_free(s);
}
END_TEST

START_TEST(whole_supervisors_come_and_go)
{
	SCENARIO("ours", "top ofo [old ofo [a b] keep]", { "boot; add old x", "+a +b +keep +x =ok" },
		{ "reload top ofo [keep new rfo [c sub ofo [d] e]]", "start:new start:c start:sub start:d start:e stop:old =ok +c -x(shutdown) +d -b(shutdown) +e -a(shutdown) old=shutdown" },
		{ "list top", "new:up keep:up" }, { "stop a", "=not_found" }, { "shutdown", "-e(shutdown) -d(shutdown) sub=shutdown -c(shutdown) new=shutdown -keep(shutdown) top=shutdown EXIT(0)" });
}
END_TEST

START_TEST(a_pool_grows_and_shrinks_in_place)
{
	SCENARIO("ours", "top ofo [p pool [w1 w2]]", { "boot", "+w1 +w2" }, { "reload top ofo [p pool [w1 w2 w3 w4]]", "start:w3 start:w4 =ok +w3 +w4" },
		{ "lazy w2 100; lazy w3 100; reload top ofo [p pool [w1 w4]]; wait 100", "stop:w3 stop:w2 =ok -w3(shutdown) -w2(shutdown)" }, { "count p", "[2,2,0,2]" });
}
END_TEST

START_TEST(what_goes_is_not_restarted_whatever_happens_to_it)
{
	SCENARIO("ours", "S ofo [a b c]", { "boot; lazy c 100; reload S ofo [a]", "+a +b +c stop:c stop:b =ok" }, { "crash b", "-b(x)" }, { "wait 100", "-c(shutdown)" }, { "list S", "a:up" });
	SCENARIO("ours backoff", "S ofo [a b]", { "boot; crash b; reload S ofo [a]; wait 1000", "+a +b -b(x) stop:b =ok" }, { "list S", "a:up" });
	SCENARIO("ours", "S ofo [a b]", { "boot; pending b; crash b", "+a +b -b(x)" }, { "reload S ofo [a]", "stop:b =ok" }, { "prove b", "" }, { "list S", "a:up" });
	SCENARIO("ours", "S ofo [a b]", { "boot; lazy b 100; restart b; reload S ofo [a]; wait 100", "+a +b stop:b =ok -b(shutdown) =start_failed" });
}
END_TEST

START_TEST(what_was_going_comes_back_when_it_is_wanted_again)
{
	SCENARIO("ours", "S ofo [a b]", { "boot; lazy b 100; reload S ofo [a]; reload S ofo [a b]", "+a +b stop:b =ok =ok" }, { "wait 100", "-b(shutdown) +b" });
}
END_TEST

START_TEST(a_reload_that_would_move_or_turn_a_record_is_refused_whole)
{
	SCENARIO("ours", "top ofo [s1 ofo [a] s2 ofo [b]]", { "boot", "+a +b" },
		{ "reload top ofo [s1 ofo [new] s2 ofo [a b]]", "=bad_request(it moves to another supervisor: give it another name)" }, { "reload other ofo []", "=bad_request(the root has another name)" },
		{ "reload top ofo [s1 s2 ofo [b]]", "=bad_request(a child and a supervisor cannot be turned into each other: give it another name)" },
		{ "count s1; count s2; count top", "[1,1,0,1] [1,1,0,1] [2,2,2,0]" }, { "shutdown; reload top ofo []", "-b(shutdown) s2=shutdown -a(shutdown) s1=shutdown top=shutdown EXIT(0) =noproc" });
}
END_TEST

START_TEST(a_child_added_at_run_time_stays_and_can_be_adopted)
{
	SCENARIO("otp", "top ofo [S ofo 0/10 [a]]", { "boot; add S x; add S y", "+a +x =ok +y =ok" }, { "reload top ofo 5/10 [S ofo 0/10 [y a]]", "change:top =ok" }, { "list S", "x:up a:up y:up" },
		{ "crash a", "-a(x) -x(shutdown) -y(shutdown) S=shutdown +y +a" });
}
END_TEST

START_TEST(a_sleeping_temporary_child_sleeps_on_and_an_undefined_one_is_forgotten)
{
	struct scenario *s = scenario_new("ours", "top ofo [S ofo [a t:X u:X]]", 1);
	ck_assert_str_eq(scenario_do(s, "boot; crash t; crash u"), "+a +t +u -t(x) -u(x)");
	ck_assert_str_eq(scenario_do(s, "reload top ofo [S ofo [t:X a]]"), "=ok");
	ck_assert_uint_eq(tree_size(scenario_tree(s)), 4);
	ck_assert_str_eq(scenario_do(s, "restart S"), "-a(shutdown) S=shutdown +t +a =ok");
	scenario_free(s);
}
END_TEST

START_TEST(any_tree_turns_into_any_other)
{
	static const char *const trees[] = {
		"r ofo [a b c]", "r rfo 2/10 [c a(v=2) d]", "r ofa []", "r ofo [s1 ofo [x y] a]", "r ofo [a s1 rfo [y z] s2 pool [p q]]", "r ofo any [t:T! u:X s2 pool [q o p]]",
	};
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct rng r;
		char line[256];
		rng_seed(&r, seed);
		struct scenario *s = scenario_new("ours", trees[rng_below(&r, 6)], seed);
		scenario_do(s, "boot");
		const char *last = "";
		for (int i = 0; i < 12; i++) {
			last = trees[rng_below(&r, 6)];
			snprintf(line, sizeof(line), "lazy a %d; lazy y %d; slow d %d; reload %s%s; wait %d", (int)rng_below(&r, 50), (int)rng_below(&r, 50), (int)rng_below(&r, 50),
				 rng_below(&r, 3) ? "" : "restart ", last, (int)rng_below(&r, 60));
			scenario_do(s, line);
		}
		scenario_drain(s, 10000);
		/* Another tree of that text has the same walk. */
		struct scenario *fresh = scenario_new("ours", last, seed);
		struct child *a = tree_next(scenario_tree(s), NULL), *b = tree_next(scenario_tree(fresh), NULL);
		for (; a && b; a = tree_next(scenario_tree(s), a), b = tree_next(scenario_tree(fresh), b)) {
			ck_assert_str_eq(a->name, b->name);
			ck_assert_int_eq(a->state, CHILD_UP);
			ck_assert_ptr_null(a->core.twin);
		}
		ck_assert_ptr_eq(a, b);
		scenario_free(fresh);
		scenario_free(s);
	}
}
END_TEST

static Suite *reload_suite(void)
{
	Suite *s = suite_create("reload");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, new_flags_are_in_force_at_once_and_no_process_is_touched);
	tcase_add_test(c, new_children_start_in_order_and_in_otp_mode_by_hand);
	tcase_add_test(c, a_known_child_keeps_its_process_and_gets_its_new_times);
	tcase_add_test(c, a_change_of_auto_shutdown_holds_for_what_runs);
	tcase_add_test(c, a_reload_that_an_added_child_does_not_fit_changes_nothing);
	tcase_add_test(c, a_dry_reload_tells_and_changes_nothing);
	tcase_add_test(c, a_changed_program_is_stale_until_its_next_start_or_is_restarted);
	tcase_add_test(c, whole_supervisors_come_and_go);
	tcase_add_test(c, a_pool_grows_and_shrinks_in_place);
	tcase_add_test(c, what_goes_is_not_restarted_whatever_happens_to_it);
	tcase_add_test(c, what_was_going_comes_back_when_it_is_wanted_again);
	tcase_add_test(c, a_reload_that_would_move_or_turn_a_record_is_refused_whole);
	tcase_add_test(c, a_child_added_at_run_time_stays_and_can_be_adopted);
	tcase_add_test(c, a_sleeping_temporary_child_sleeps_on_and_an_undefined_one_is_forgotten);
	tcase_add_test(c, any_tree_turns_into_any_other);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(reload_suite()); }
