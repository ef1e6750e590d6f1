/* What follows from the end of an attempt, and how long the next one waits. */
#include "tests/suite.h"
#include <string.h>
#include "actors/coordinator/sched.h"
#include "common/base/cleanup.h"

static struct rng rng;
static struct sched_policy p;

static void setup(void)
{
	rng_seed(&rng, 7);
	p = (struct sched_policy){ .max_attempts = 3, .base_ms = 1000, .cap_ms = 60000, .factor_pct = 200, .poison_after = 2 };
}

static struct sched_verdict judge(Troupe__ExitClass class, uint32_t attempts, uint32_t crashes, bool cancel, bool deadline)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	o.exit_class = class;
	return sched_judge(&p, &o, attempts, crashes, cancel, deadline, &rng);
}

START_TEST(exponential_backoff_doubles_up_to_its_cap)
{
	static const uint64_t want[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	for (uint32_t n = 1; n <= 8; n++)
		ck_assert_uint_eq(sched_backoff_ms(&p, n, &rng), want[n - 1]);
	ck_assert_uint_eq(sched_backoff_ms(&p, UINT32_MAX, &rng), 60000);
}
END_TEST

START_TEST(linear_backoff_grows_by_its_base_up_to_its_cap)
{
	p.backoff = TROUPE__RETRY_POLICY__BACKOFF__LINEAR;
	ck_assert_uint_eq(sched_backoff_ms(&p, 1, &rng), 1000);
	ck_assert_uint_eq(sched_backoff_ms(&p, 5, &rng), 5000);
	ck_assert_uint_eq(sched_backoff_ms(&p, UINT32_MAX, &rng), 60000);
}
END_TEST

START_TEST(the_last_delay_of_a_list_repeats)
{
	static const uint64_t list[] = { 5, 50, 500 };
	p.backoff = TROUPE__RETRY_POLICY__BACKOFF__LIST;
	p.delays_ms = list;
	p.n_delays = 3;
	ck_assert_uint_eq(sched_backoff_ms(&p, 1, &rng), 5);
	ck_assert_uint_eq(sched_backoff_ms(&p, 3, &rng), 500);
	ck_assert_uint_eq(sched_backoff_ms(&p, 4, &rng), 500);
	p.n_delays = 0;
	ck_assert_uint_eq(sched_backoff_ms(&p, 1, &rng), 0);
}
END_TEST

START_TEST(jitter_stays_in_its_share_and_uses_all_of_it)
{
	uint64_t least = UINT64_MAX, most = 0;
	p.jitter_pct = 20;
	for (int i = 0; i < 10000; i++) {
		uint64_t d = sched_backoff_ms(&p, 1, &rng);
		least = d < least ? d : least;
		most = d > most ? d : most;
	}
	ck_assert_uint_ge(least, 800);
	ck_assert_uint_le(most, 1200);
	ck_assert_uint_lt(least, 805);
	ck_assert_uint_gt(most, 1195);
}
END_TEST

START_TEST(no_numbers_overflow)
{
	p = (struct sched_policy){ .base_ms = UINT64_MAX, .cap_ms = UINT64_MAX, .factor_pct = UINT32_MAX, .jitter_pct = UINT32_MAX };
	const uint64_t year = 365ull * 24 * 3600 * 1000;
	for (uint32_t n = 1; n < 100; n++)
		ck_assert_uint_le(sched_backoff_ms(&p, n, &rng), 2 * year);
	p.backoff = TROUPE__RETRY_POLICY__BACKOFF__LINEAR;
	ck_assert_uint_le(sched_backoff_ms(&p, UINT32_MAX, &rng), 2 * year);
}
END_TEST

START_TEST(an_attempt_that_ends_well_ends_the_task_whatever_else_was_asked)
{
	ck_assert_int_eq(judge(TROUPE__EXIT_CLASS__EXIT_DONE, 0, 0, false, false).next, SCHED_DONE);
	ck_assert_int_eq(judge(TROUPE__EXIT_CLASS__EXIT_DONE, 9, 9, true, true).next, SCHED_DONE);
}
END_TEST

START_TEST(attempts_are_used_up_one_by_one)
{
	struct sched_verdict v = judge(TROUPE__EXIT_CLASS__EXIT_FAILED, 0, 0, false, false);
	ck_assert_int_eq(v.next, SCHED_AGAIN);
	ck_assert_uint_eq(v.delay_ms, 1000);
	ck_assert(v.counted);
	ck_assert_uint_eq(judge(TROUPE__EXIT_CLASS__EXIT_FAILED, 1, 0, false, false).delay_ms, 2000);
	v = judge(TROUPE__EXIT_CLASS__EXIT_FAILED, 2, 0, false, false);
	ck_assert_int_eq(v.next, SCHED_DEAD);
	ck_assert_int_eq(v.cause, TROUPE__CAUSE__EXHAUSTED);
}
END_TEST

START_TEST(what_was_not_the_tasks_fault_costs_no_attempt)
{
	static const Troupe__ExitClass free_of_charge[] = { TROUPE__EXIT_CLASS__EXIT_LOST, TROUPE__EXIT_CLASS__EXIT_BROKEN, TROUPE__EXIT_CLASS__EXIT_NONE };
	for (size_t i = 0; i < 3; i++) {
		struct sched_verdict v = judge(free_of_charge[i], 100, 100, false, false);
		ck_assert_int_eq(v.next, SCHED_RETURN);
		ck_assert(!v.counted);
	}
}
END_TEST

START_TEST(a_task_that_kills_its_process_again_and_again_is_poison)
{
	static const Troupe__ExitClass crashes[] = { TROUPE__EXIT_CLASS__EXIT_SIGNAL, TROUPE__EXIT_CLASS__EXIT_CORE, TROUPE__EXIT_CLASS__EXIT_OOM };
	for (size_t i = 0; i < 3; i++) {
		struct sched_verdict v = judge(crashes[i], 0, 0, false, false);
		ck_assert(v.crash);
		ck_assert_int_eq(v.next, SCHED_AGAIN);
		v = judge(crashes[i], 1, 1, false, false);
		ck_assert_int_eq(v.next, SCHED_DEAD);
		ck_assert_int_eq(v.cause, TROUPE__CAUSE__POISON);
	}
	p.poison_after = 0;
	ck_assert_int_eq(judge(TROUPE__EXIT_CLASS__EXIT_SIGNAL, 1, 1000, false, false).next, SCHED_AGAIN);
}
END_TEST

START_TEST(never_is_never_and_a_passed_deadline_or_a_cancel_ends_it)
{
	struct sched_verdict v = judge(TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, 0, false, false);
	ck_assert_int_eq(v.next, SCHED_DEAD);
	ck_assert_int_eq(v.cause, TROUPE__CAUSE__REJECTED);
	v = judge(TROUPE__EXIT_CLASS__EXIT_FAILED, 0, 0, false, true);
	ck_assert_int_eq(v.next, SCHED_DEAD);
	ck_assert_int_eq(v.cause, TROUPE__CAUSE__EXPIRED);
	ck_assert_int_eq(judge(TROUPE__EXIT_CLASS__EXIT_LOST, 0, 0, true, true).next, SCHED_CANCELLED);
}
END_TEST

START_TEST(a_workers_wish_for_later_lengthens_a_delay_and_never_shortens_it)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	o.exit_class = TROUPE__EXIT_CLASS__EXIT_LATER;
	o.retry_after_ms = 30000;
	ck_assert_uint_eq(sched_judge(&p, &o, 0, 0, false, false, &rng).delay_ms, 30000);
	o.retry_after_ms = 1;
	ck_assert_uint_eq(sched_judge(&p, &o, 0, 0, false, false, &rng).delay_ms, 1000);
}
END_TEST

START_TEST(a_task_has_its_own_policy_where_it_says_so)
{
	Troupe__RetryPolicy own = TROUPE__RETRY_POLICY__INIT, queues = TROUPE__RETRY_POLICY__INIT;
	Troupe__TaskSpec spec = TROUPE__TASK_SPEC__INIT;
	Troupe__QueuePolicy queue = TROUPE__QUEUE_POLICY__INIT;
	struct sched_policy got;
	queues.max_attempts = 5;
	queues.base_ms = 100;
	queues.factor_pct = 300;
	queue.retry = &queues;
	queue.timeout_ms = 1000;
	sched_policy_of(&spec, &queue, &got);
	ck_assert_uint_eq(got.max_attempts, 5);
	ck_assert_uint_eq(got.base_ms, 100);
	ck_assert_uint_eq(got.timeout_ms, 1000);
	spec.retry = &own; /* only the number of attempts: the shape stays the queue's */
	own.max_attempts = 2;
	spec.timeout_ms = 7;
	sched_policy_of(&spec, &queue, &got);
	ck_assert_uint_eq(got.max_attempts, 2);
	ck_assert_uint_eq(got.factor_pct, 300);
	ck_assert_uint_eq(got.timeout_ms, 7);
	own.base_ms = 9;
	sched_policy_of(&spec, &queue, &got);
	ck_assert_uint_eq(got.base_ms, 9);
	ck_assert_uint_eq(got.factor_pct, 0);
}
END_TEST

START_TEST(a_worker_holds_what_it_finishes_in_five_milliseconds)
{
	ck_assert_uint_eq(sched_capacity(1, 0), 1);           /* not known yet */
	ck_assert_uint_eq(sched_capacity(1, 1000000), 1);     /* slow tasks: none ahead */
	ck_assert_uint_eq(sched_capacity(1, 1000), 6);
	ck_assert_uint_eq(sched_capacity(4, 1000), 24);
	ck_assert_uint_eq(sched_capacity(1, 0.001), 512);
	ck_assert_uint_eq(sched_capacity(1000, 1), 1000);
}
END_TEST

START_TEST(the_first_rule_that_fits_decides_and_a_signal_is_one_with_or_without_a_core)
{
	static const struct { Troupe__ExitClass class; int code, signal; enum sched_next next; uint64_t delay_ms; bool counted; } rows[] = {
		{ TROUPE__EXIT_CLASS__EXIT_FAILED, 3, 0, SCHED_DEAD, 0, true },       { TROUPE__EXIT_CLASS__EXIT_FAILED, 4, 0, SCHED_AGAIN, 9000, true },
		{ TROUPE__EXIT_CLASS__EXIT_FAILED, 75, 0, SCHED_AGAIN, 300000, false }, { TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, 11, SCHED_DEAD, 0, true },
		{ TROUPE__EXIT_CLASS__EXIT_CORE, 0, 11, SCHED_DEAD, 0, true },         { TROUPE__EXIT_CLASS__EXIT_CORE, 0, 6, SCHED_AGAIN, 0, true },
		{ TROUPE__EXIT_CLASS__EXIT_SIGNAL, 0, 6, SCHED_AGAIN, 9000, true },    { TROUPE__EXIT_CLASS__EXIT_TIMEOUT, 0, 9, SCHED_AGAIN, 9000, true },
		{ TROUPE__EXIT_CLASS__EXIT_REJECTED, 65, 0, SCHED_DEAD, 0, true },
	};
	static const struct { Troupe__ExitClass class; uint32_t from, to; Troupe__RetryRule__Action action; uint64_t delay_ms; } rules[] = {
		{ TROUPE__EXIT_CLASS__EXIT_FAILED, 3, 3, TROUPE__RETRY_RULE__ACTION__DEAD, 0 },    { TROUPE__EXIT_CLASS__EXIT_FAILED, 70, 79, TROUPE__RETRY_RULE__ACTION__LATER, 300000 },
		{ TROUPE__EXIT_CLASS__EXIT_SIGNAL, 11, 11, TROUPE__RETRY_RULE__ACTION__DEAD, 0 },  { TROUPE__EXIT_CLASS__EXIT_CORE, 0, 0, TROUPE__RETRY_RULE__ACTION__NOW, 0 },
		{ TROUPE__EXIT_CLASS__EXIT_NONE, 0, 0, TROUPE__RETRY_RULE__ACTION__RETRY, 9000 },
	};
	Troupe__RetryRule all[ELEMENTS(rules)], *list[ELEMENTS(rules)];
	for (size_t i = 0; i < ELEMENTS(rules); i++) {
		troupe__retry_rule__init(&all[i]);
		all[i].exit_class = rules[i].class;
		all[i].code_from = rules[i].from;
		all[i].code_to = rules[i].to;
		all[i].action = rules[i].action;
		all[i].delay_ms = rules[i].delay_ms;
		list[i] = &all[i];
	}
	p.rules = list;
	p.n_rules = ELEMENTS(rules);
	p.poison_after = 0;
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		Troupe__Outcome o = TROUPE__OUTCOME__INIT;
		o.exit_class = rows[i].class;
		o.exit_code = rows[i].code;
		o.signal = rows[i].signal;
		struct sched_verdict v = sched_judge(&p, &o, 0, 0, false, false, &rng);
		ck_assert_msg(v.next == rows[i].next && v.counted == rows[i].counted && (v.next != SCHED_AGAIN || v.delay_ms == rows[i].delay_ms), "row %zu: next %d, %llu ms", i,
		              (int)v.next, (unsigned long long)v.delay_ms);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sched");
	TCase *c = tcase_create("sched");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, exponential_backoff_doubles_up_to_its_cap);
	tcase_add_test(c, linear_backoff_grows_by_its_base_up_to_its_cap);
	tcase_add_test(c, the_last_delay_of_a_list_repeats);
	tcase_add_test(c, jitter_stays_in_its_share_and_uses_all_of_it);
	tcase_add_test(c, no_numbers_overflow);
	tcase_add_test(c, the_first_rule_that_fits_decides_and_a_signal_is_one_with_or_without_a_core);
	tcase_add_test(c, an_attempt_that_ends_well_ends_the_task_whatever_else_was_asked);
	tcase_add_test(c, attempts_are_used_up_one_by_one);
	tcase_add_test(c, what_was_not_the_tasks_fault_costs_no_attempt);
	tcase_add_test(c, a_task_that_kills_its_process_again_and_again_is_poison);
	tcase_add_test(c, never_is_never_and_a_passed_deadline_or_a_cancel_ends_it);
	tcase_add_test(c, a_workers_wish_for_later_lengthens_a_delay_and_never_shortens_it);
	tcase_add_test(c, a_task_has_its_own_policy_where_it_says_so);
	tcase_add_test(c, a_worker_holds_what_it_finishes_in_five_milliseconds);
	suite_add_tcase(s, c);
	return suite_run(s);
}
