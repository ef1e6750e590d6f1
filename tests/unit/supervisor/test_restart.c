#include "tests/suite.h"
#include "supervisor/child.h"

static struct rng rng;

START_TEST(the_window_keeps_its_border_and_forgets_what_is_older)
{
	struct window w;
	ck_assert_int_eq(window_init(&w, 3), 0);

	window_add(&w, 1000);
	window_add(&w, 1500);

	ck_assert_uint_eq(window_count(&w, 2000, 1000), 2); /* C10: inclusive */
	ck_assert_uint_eq(window_count(&w, 2001, 1000), 1);
	ck_assert_uint_eq(window_count(&w, 9999, 1000), 0);
	window_fini(&w);
}
END_TEST

START_TEST(a_full_window_forgets_its_oldest_and_time_never_runs_backwards)
{
	struct window w;
	ck_assert_int_eq(window_init(&w, 2), 0);

	window_add(&w, 10);
	window_add(&w, 20);
	window_add(&w, 5);

	ck_assert_uint_eq(w.n, 2);
	ck_assert_uint_eq(window_at(&w, 0), 20);
	ck_assert_uint_eq(window_at(&w, 1), 20);
	window_fini(&w);
}
END_TEST

START_TEST(a_window_without_room_counts_nothing_and_one_too_large_is_refused)
{
	struct window w;
	ck_assert_int_eq(window_init(&w, 0), 0);
	window_add(&w, 1);
	ck_assert_uint_eq(window_count(&w, 1, 1), 0);
	ck_assert_int_lt(window_init(&w, WINDOW_ROOM_MAX + 1), 0);
}
END_TEST

START_TEST(intensity_n_allows_n_restarts_and_zero_allows_none)
{
	struct give_up_spec spec = { .intensity = 2, .period_ms = 1000 };
	struct window w;
	ck_assert_int_eq(window_init(&w, 3), 0);
	ck_assert(!restart_is_one_too_many(&spec, &w, 0));
	ck_assert(!restart_is_one_too_many(&spec, &w, 1));
	ck_assert(restart_is_one_too_many(&spec, &w, 2));
	window_fini(&w);

	spec.intensity = 0;
	ck_assert_int_eq(window_init(&w, 1), 0);
	ck_assert(restart_is_one_too_many(&spec, &w, 0));
	window_fini(&w);

	spec.intensity = INTENSITY_UNLIMITED;
	ck_assert_int_eq(window_init(&w, 0), 0);
	for (int i = 0; i < 1000; i++)
		ck_assert(!restart_is_one_too_many(&spec, &w, 0));
}
END_TEST

static struct delay_spec defaults(void)
{
	struct child_spec spec;
	child_spec_default(&spec, CHILD_WORKER);
	return spec.delay;
}

START_TEST(twenty_ends_in_ten_seconds_are_free_and_the_next_waits)
{
	struct delay_spec spec = defaults();
	spec.jitter_pct = 0;
	struct delay d = { 0 };
	ck_assert_int_eq(window_init(&d.ends, spec.immediate + 1), 0);

	for (int i = 0; i < 20; i++)
		ck_assert_uint_eq(delay_next(&spec, &d, 100, 1, &rng), 0);
	ck_assert_uint_eq(delay_next(&spec, &d, 100, 1, &rng), 100);
	ck_assert_uint_eq(delay_next(&spec, &d, 200, 1, &rng), 200);

	/* Waiting does not earn new immediate restarts, being up does. */
	ck_assert_uint_eq(delay_next(&spec, &d, 50000, 0, &rng), 400);
	ck_assert_uint_eq(delay_next(&spec, &d, 120000, 59999, &rng), 800);
	ck_assert_uint_eq(delay_next(&spec, &d, 200000, 60000, &rng), 0);
	window_fini(&d.ends);
}
END_TEST

START_TEST(ends_spread_over_more_than_the_window_are_always_free)
{
	struct delay_spec spec = defaults();
	struct delay d = { 0 };
	ck_assert_int_eq(window_init(&d.ends, spec.immediate + 1), 0);
	for (uint64_t i = 0; i < 200; i++)
		ck_assert_uint_eq(delay_next(&spec, &d, i * 501, 1, &rng), 0);
	window_fini(&d.ends);
}
END_TEST

START_TEST(the_delay_doubles_up_to_its_cap_and_never_overflows)
{
	struct delay_spec spec = { .base_ms = 100, .factor_pct = 200, .cap_ms = 30000, .reset_after_ms = 60000, .immediate_window_ms = 1 };
	struct delay d = { 0 };
	ck_assert_int_eq(window_init(&d.ends, 1), 0);
	uint64_t expected = 100;
	for (int i = 0; i < 10000; i++) {
		ck_assert_uint_eq(delay_next(&spec, &d, 0, 0, &rng), expected);
		expected = expected * 2 < 30000 ? expected * 2 : 30000;
	}
	spec = (struct delay_spec){ .base_ms = UINT64_MAX / 2, .factor_pct = 100000, .cap_ms = UINT64_MAX };
	delay_clear(&d);
	delay_next(&spec, &d, 0, 0, &rng);
	ck_assert_uint_eq(delay_next(&spec, &d, 0, 0, &rng), UINT64_MAX);
	window_fini(&d.ends);
}
END_TEST

START_TEST(jitter_stays_inside_its_share_and_fills_it)
{
	struct delay_spec spec = { .base_ms = 1000, .factor_pct = 100, .cap_ms = 1000, .jitter_pct = 20 };
	struct delay d = { 0 };
	ck_assert_int_eq(window_init(&d.ends, 1), 0);
	rng_seed(&rng, 1);
	uint64_t low = UINT64_MAX, high = 0;
	for (int i = 0; i < 10000; i++) {
		uint64_t delay = delay_next(&spec, &d, 0, 0, &rng);
		low = delay < low ? delay : low;
		high = delay > high ? delay : high;
	}
	ck_assert_uint_eq(low, 800);
	ck_assert_uint_eq(high, 1200);
	window_fini(&d.ends);
}
END_TEST

START_TEST(who_comes_back_is_the_table_of_types_and_reasons)
{
	for (enum reason r = REASON_NORMAL; r < REASON_N; r++) {
		ck_assert(restart_wanted(RESTART_PERMANENT, r));
		ck_assert(!restart_wanted(RESTART_TEMPORARY, r));
		ck_assert_int_eq(restart_wanted(RESTART_TRANSIENT, r), r != REASON_NORMAL && r != REASON_SHUTDOWN);
	}
}
END_TEST

START_TEST(names_are_read_back_and_one_for_all_is_understood)
{
	enum strategy s;
	ck_assert(strategy_parse("one_for_all", &s) && s == STRATEGY_ALL_FOR_ONE);
	ck_assert_str_eq(strategy_name(s), "all_for_one");
	for (s = STRATEGY_ONE_FOR_ONE; s <= STRATEGY_REST_FOR_ONE; s++) {
		enum strategy back;
		ck_assert(strategy_parse(strategy_name(s), &back) && back == s);
	}
	ck_assert(!strategy_parse("none_for_one", &s)); /* J01 */
	for (enum reason r = REASON_NONE; r < REASON_N; r++) {
		enum reason back;
		ck_assert(reason_parse(reason_name(r), &back) && back == r);
	}
	enum restart restart;
	for (enum restart i = RESTART_PERMANENT; i <= RESTART_TEMPORARY; i++)
		ck_assert(restart_parse(restart_name(i), &restart) && restart == i);
	ck_assert(!restart_parse("always", &restart));
	enum auto_shutdown a;
	for (enum auto_shutdown i = AUTO_SHUTDOWN_NEVER; i <= AUTO_SHUTDOWN_ALL; i++)
		ck_assert(auto_shutdown_parse(auto_shutdown_name(i), &a) && a == i);
	ck_assert(!auto_shutdown_parse("sometimes", &a));
	enum reason reason;
	ck_assert(!reason_parse("boredom", &reason));
}
END_TEST

/* J01, J03, F01, F15 */
START_TEST(a_spec_that_cannot_be_meant_is_refused_with_otps_word)
{
	struct supervisor_spec sup, above;
	struct child_spec spec;
	supervisor_spec_default(&sup);
	supervisor_spec_default(&above);
	child_spec_default(&spec, CHILD_SUPERVISOR);
	ck_assert_ptr_null(child_spec_check(&spec, &sup, NULL));
	ck_assert_str_eq(child_spec_check(&spec, NULL, NULL), "invalid_child_type");

	struct supervisor_spec bad = sup;
	bad.strategy = 7;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "invalid_strategy");
	bad = sup;
	bad.give_up.intensity = WINDOW_ROOM_MAX;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "invalid_intensity");
	bad = sup;
	bad.give_up.period_ms = 0;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "invalid_period");
	bad = sup;
	bad.auto_shutdown = 9;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "invalid_auto_shutdown");
	bad = sup;
	bad.side_by_side = bad.dynamic = true;
	ck_assert_ptr_null(child_spec_check(&spec, &bad, NULL));
	bad.auto_shutdown = AUTO_SHUTDOWN_ALL;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "bad_combination");
	bad = sup;
	bad.side_by_side = true;
	bad.strategy = STRATEGY_ALL_FOR_ONE;
	ck_assert_str_eq(child_spec_check(&spec, &bad, NULL), "bad_combination");

	for (unsigned a = AUTO_SHUTDOWN_NEVER; a <= AUTO_SHUTDOWN_ALL; a++)
		for (unsigned r = RESTART_PERMANENT; r <= RESTART_TEMPORARY; r++)
			for (unsigned significant = 0; significant < 2; significant++) {
				child_spec_default(&spec, CHILD_WORKER);
				above.auto_shutdown = a;
				spec.restart = r;
				spec.significant = significant;
				bool legal = !significant || (a != AUTO_SHUTDOWN_NEVER && r != RESTART_PERMANENT);
				ck_assert_int_eq(child_spec_check(&spec, NULL, &above) == NULL, legal);
			}
	child_spec_default(&spec, CHILD_WORKER);
	spec.delay.jitter_pct = 101;
	ck_assert_str_eq(child_spec_check(&spec, NULL, &sup), "invalid_delay");
	child_spec_default(&spec, CHILD_WORKER);
	spec.shutdown_ms = UINT64_MAX - 1;
	ck_assert_str_eq(child_spec_check(&spec, NULL, &sup), "invalid_shutdown");
}
END_TEST

static Suite *restart_suite(void)
{
	Suite *s = suite_create("restart");
	TCase *c = tcase_create("policy");
	tcase_add_test(c, the_window_keeps_its_border_and_forgets_what_is_older);
	tcase_add_test(c, a_full_window_forgets_its_oldest_and_time_never_runs_backwards);
	tcase_add_test(c, a_window_without_room_counts_nothing_and_one_too_large_is_refused);
	tcase_add_test(c, intensity_n_allows_n_restarts_and_zero_allows_none);
	tcase_add_test(c, twenty_ends_in_ten_seconds_are_free_and_the_next_waits);
	tcase_add_test(c, ends_spread_over_more_than_the_window_are_always_free);
	tcase_add_test(c, the_delay_doubles_up_to_its_cap_and_never_overflows);
	tcase_add_test(c, jitter_stays_inside_its_share_and_fills_it);
	tcase_add_test(c, who_comes_back_is_the_table_of_types_and_reasons);
	tcase_add_test(c, names_are_read_back_and_one_for_all_is_understood);
	tcase_add_test(c, a_spec_that_cannot_be_meant_is_refused_with_otps_word);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(restart_suite()); }
