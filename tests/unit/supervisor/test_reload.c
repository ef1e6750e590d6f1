#include <stdio.h>
#include "common/base/rng.h"
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

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
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_changed_program_is_stale_until_its_next_start_or_is_restarted);
	tcase_add_test(c, a_sleeping_temporary_child_sleeps_on_and_an_undefined_one_is_forgotten);
	tcase_add_test(c, any_tree_turns_into_any_other);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(reload_suite()); }
