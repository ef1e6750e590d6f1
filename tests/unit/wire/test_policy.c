/* A queue's policy by its keys. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/policy.h"
#include "tests/suite.h"

static Troupe__QueuePolicy *policy;
static struct error error;

static void setup(void) { policy = policy_new("emails"); }
static void teardown(void) { policy_free(policy); }

static int set(const char *key, const char *value)
{
	memset(&error, 0, sizeof(error));
	return policy_set(policy, key, value, &error);
}

static const char *get(const char *key)
{
	static char text[POLICY_TEXT];
	return policy_get(policy, key, text, sizeof(text));
}

START_TEST(every_key_reads_what_it_writes)
{
	static const struct { const char *key, *value, *back; } rows[] = {
		{ "max_attempts", "5", NULL }, { "backoff", "linear", NULL }, { "backoff_base", "2s", NULL }, { "backoff_factor", "3", NULL }, { "backoff_cap", "1h", NULL },
		{ "backoff_list", "1s, 10s, 1m", NULL }, { "backoff_list", "none", NULL }, { "jitter", "0", NULL }, { "retry", "exit 3: dead, any: retry 5 30s", NULL },
		{ "retry", "none", NULL }, { "retry", "", "none" }, { "timeout", "90", "1m30s" }, { "timeout", "0", "none" }, { "timeout", "none", NULL }, { "grace", "0s", NULL },
		{ "poison_after", "none", NULL }, { "result_max", "100000", NULL }, { "result_max", "64K", NULL }, { "result_ttl", "2d", NULL }, { "max_tasks", "1000000000", NULL },
		{ "max_bytes", "10G", NULL }, { "max_age", "7d", NULL }, { "full", "drop_oldest", NULL }, { "full", "block", NULL }, { "concurrency", "4", NULL }, { "rate", "100/s burst 200", NULL },
		{ "rate", "none", NULL }, { "key_concurrency", "2", NULL }, { "key_rate", "5/h", NULL }, { "ageing", "1m", NULL }, { "ageing", "0", "none" }, { "fair", "on", "yes" }, { "fair", "no", NULL },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		ck_assert_msg(set(rows[i].key, rows[i].value) == 0, "%s = %s: %s", rows[i].key, rows[i].value, error.text);
		ck_assert_str_eq(get(rows[i].key), rows[i].back ? rows[i].back : rows[i].value);
	}
	for (const char *const *key = policy_keys; *key; key++) {
		bool tried = false;
		for (size_t i = 0; i < ELEMENTS(rows); i++)
			tried |= strcmp(rows[i].key, *key) == 0;
		ck_assert_msg(tried && policy_key_known(*key), "%s is not tried", *key);
	}
}
END_TEST

START_TEST(a_wrong_value_is_refused_with_its_key_and_a_cure_and_changes_nothing)
{
	static const struct { const char *key, *value, *cure; } rows[] = {
		{ "max_attempts", "0", "inside" }, { "max_attempts", "none", "number" }, { "max_attempts", "1001", "inside" }, { "backoff", "quadratic", "exponential, linear or list" },
		{ "backoff_base", "2 parsecs", "90s" }, { "backoff_list", "1s, x", "90s" }, { "jitter", "101", "inside" }, { "retry", "exit 3: die", "retry, now" },
		{ "retry", "any: now, oom: dead", "narrower" }, { "timeout", "31d", "none" }, { "result_ttl", "59m", "inside" }, { "result_max", "1M", "inside" }, { "max_age", "10ms", "none" },
		{ "full", "explode", "reject, block or drop_oldest" }, { "concurrency", "-1", "number" }, { "concurrency", "1000001", "none" }, { "rate", "fast", "100/s" },
		{ "key_concurrency", "0", "inside" }, { "ageing", "59s", "none" }, { "fair", "perhaps", "yes or no" },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		char before[POLICY_TEXT];
		policy_get(policy, rows[i].key, before, sizeof(before));
		ck_assert_msg(set(rows[i].key, rows[i].value) == ERROR_BAD_REQUEST, "%s = %s is accepted", rows[i].key, rows[i].value);
		ck_assert_msg(strstr(error.text, rows[i].key) != NULL, "%s", error.text);
		ck_assert_msg(strstr(error.cure, rows[i].cure) != NULL, "%s = %s: %s", rows[i].key, rows[i].value, error.cure);
		ck_assert_str_eq(get(rows[i].key), before);
	}
	ck_assert_int_eq(set("max_task", "1"), ERROR_BAD_REQUEST);
	ck_assert_str_eq(error.cure, "did you mean max_tasks?");
	ck_assert_str_eq(get("max_task"), "");
}
END_TEST

START_TEST(values_that_contradict_each_other_are_found)
{
	static const struct { const char *pairs[8], *key; } rows[] = {
		{ { "concurrency", "4", "key_concurrency", "5" }, "key_concurrency" }, { { "concurrency", "4", "key_concurrency", "4" }, NULL }, { { "key_concurrency", "5" }, NULL },
		{ { "rate", "10/s", "key_rate", "11/s" }, "key_rate" }, { { "rate", "10/s", "key_rate", "10/s" }, NULL }, { { "rate", "10/s burst 100", "key_rate", "11/s" }, NULL },
		{ { "rate", "60/m", "key_rate", "100/s" }, "key_rate" }, { { "full", "block" }, "full" }, { { "full", "drop_oldest", "max_age", "1h" }, NULL },
		{ { "full", "block", "max_tasks", "5" }, NULL }, { { "backoff_base", "1h" }, "backoff_cap" }, { { "backoff", "list" }, "backoff" }, { { "backoff_list", "1s" }, "backoff_list" },
		{ { "backoff", "list", "backoff_list", "1s,1m" }, NULL }, { { "retry", "oom: retry 1" }, "retry" }, { { "retry", "oom: now 2" }, NULL },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		const char *key = NULL;
		policy_free(policy);
		policy = policy_new("q");
		for (const char *const *p = rows[i].pairs; *p; p += 2)
			ck_assert_msg(set(p[0], p[1]) == 0, "%s = %s: %s", p[0], p[1], error.text);
		memset(&error, 0, sizeof(error));
		int code = policy_check(policy, &key, &error);
		ck_assert_msg(code == (rows[i].key ? ERROR_BAD_REQUEST : 0), "%s = %s: %s", rows[i].pairs[0], rows[i].pairs[1], error.text);
		if (rows[i].key)
			ck_assert_str_eq(key, rows[i].key);
		ck_assert(!rows[i].key || (error.text[0] && error.cure[0]));
	}
}
END_TEST

START_TEST(a_copy_says_the_same_and_so_does_what_a_message_carried)
{
	char text[POLICY_TEXT], other[POLICY_TEXT];
	uint8_t bytes[4096];
	ck_assert_int_eq(set("retry", "exit 70-79: later 5m, signal 11: dead, timeout: now 2"), 0);
	ck_assert_int_eq(set("key_rate", "1/m burst 9"), 0);
	ck_assert_int_eq(set("backoff_list", "1s,2s"), 0);
	Troupe__QueuePolicy *copy = policy_copy(policy);
	size_t len = troupe__queue_policy__pack(policy, bytes);
	Troupe__QueuePolicy *received = troupe__queue_policy__unpack(NULL, len, bytes);
	for (const char *const *key = policy_keys; *key; key++) {
		ck_assert_str_eq(policy_get(copy, *key, text, sizeof(text)), policy_get(policy, *key, other, sizeof(other)));
		ck_assert_str_eq(policy_get(received, *key, text, sizeof(text)), other);
	}
	ck_assert_str_eq(copy->name, "emails");
	policy_free(copy);
	troupe__queue_policy__free_unpacked(received, NULL);
}
END_TEST

START_TEST(one_value_is_taken_over_and_a_strange_one_is_not)
{
	Troupe__QueuePolicy from = TROUPE__QUEUE_POLICY__INIT;
	from.concurrency = 7;
	from.ageing_ms = 5;
	ck_assert_int_eq(policy_take(policy, &from, "concurrency", &error), 0);
	ck_assert_uint_eq(policy->concurrency, 7);
	ck_assert_int_eq(policy_take(policy, &from, "ageing", &error), ERROR_BAD_REQUEST);
	ck_assert_uint_eq(policy->ageing_ms, 0);
	ck_assert_int_eq(policy_take(policy, &from, "colour", &error), ERROR_BAD_REQUEST);
	ck_assert_int_eq(policy_take(policy, &from, "rate", &error), 0);
	ck_assert_str_eq(get("rate"), "none");
}
END_TEST

START_TEST(a_message_of_a_newer_node_is_shown_as_far_as_it_is_known)
{
	Troupe__QueuePolicy p = TROUPE__QUEUE_POLICY__INIT;
	Troupe__RetryPolicy retry = TROUPE__RETRY_POLICY__INIT;
	Troupe__RetryRule rule = TROUPE__RETRY_RULE__INIT;
	Troupe__RetryRule *rules[] = { &rule };
	Troupe__Rate rate = TROUPE__RATE__INIT;
	char text[POLICY_TEXT];
	p.full = (Troupe__QueuePolicy__Full)77;
	rule.exit_class = (Troupe__ExitClass)77;
	rate.tokens = UINT64_MAX;
	p.retry = &retry;
	retry.rules = rules;
	retry.n_rules = 1;
	p.rate = &rate;
	ck_assert_str_eq(policy_get(&p, "full", text, sizeof(text)), "unknown");
	ck_assert_str_eq(policy_get(&p, "retry", text, sizeof(text)), "unknown");
	ck_assert_int_eq(policy_take(policy, &p, "retry", &error), ERROR_BAD_REQUEST);
	ck_assert_str_eq(policy_get(&p, "rate", text, sizeof(text)), "1000000/1ms");
	ck_assert_int_eq(policy_take(policy, &p, "full", &error), ERROR_BAD_REQUEST);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire: a queue's policy");
	TCase *c = tcase_create("policy");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, every_key_reads_what_it_writes);
	tcase_add_test(c, a_wrong_value_is_refused_with_its_key_and_a_cure_and_changes_nothing);
	tcase_add_test(c, values_that_contradict_each_other_are_found);
	tcase_add_test(c, a_copy_says_the_same_and_so_does_what_a_message_carried);
	tcase_add_test(c, one_value_is_taken_over_and_a_strange_one_is_not);
	tcase_add_test(c, a_message_of_a_newer_node_is_shown_as_far_as_it_is_known);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
