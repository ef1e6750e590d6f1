/* Rates, resources, retry rules: text to values and back. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/rate.h"
#include "common/base/retry_rule.h"
#include "tests/suite.h"

START_TEST(rates_read_with_units_durations_and_bursts)
{
	static const struct { const char *text; uint64_t tokens, per_ms, burst; const char *back; } good[] = {
		{ "100/s", 100, 1000, 100, "100/s" }, { "10/m", 10, 60000, 10, "10/m" }, { "5/h", 5, 3600000, 5, "5/h" }, { "1/d", 1, 86400000, 1, "1/d" },
		{ "100/s burst 200", 100, 1000, 200, "100/s burst 200" }, { "100/s  burst\t200", 100, 1000, 200, "100/s burst 200" }, { "100/s burst 100", 100, 1000, 100, "100/s" },
		{ "20/90s", 20, 90000, 20, "20/1m30s" }, { "3/1m", 3, 60000, 3, "3/m" }, { "1/ms", 1, 1, 1, "1/1ms" }, { "1000000/24h", 1000000, 86400000, 1000000, "1000000/d" },
		{ "5/h burst 1", 5, 3600000, 1, "5/h burst 1" }, { "none", 0, 0, 0, "none" },
	};
	for (size_t i = 0; i < ELEMENTS(good); i++) {
		struct rate r = { 7, 7, 7 }, again;
		struct error e = { 0 };
		char text[RATE_TEXT];
		ck_assert_msg(parse_rate(good[i].text, &r, &e) == 0, "%s: %s", good[i].text, e.text);
		ck_assert_msg(r.tokens == good[i].tokens && r.per_ms == good[i].per_ms && r.burst == good[i].burst, "%s", good[i].text);
		ck_assert_str_eq(format_rate(&r, text, sizeof(text)), good[i].back);
		ck_assert_int_eq(parse_rate(text, &again, &e), 0);
		ck_assert_mem_eq(&r, &again, sizeof(r));
	}
}
END_TEST

START_TEST(rates_that_are_none_are_refused_with_a_cure)
{
	static const char *const bad[] = {
		"", "0", "00", "0/s", "100", "100/", "100/x", "/s", "-1/s", "+1/s", " 1/s", "1/s ", "1 /s", "1/ s", "1000001/s", "99999999999999999999/s", "1/25h", "1/0s", "1/0.1ms",
		"1/s burst", "1/s burst 0", "1/s burst x", "1/s burst 1000001", "1/s burst 5 ", "1/s burst5", "1/sburst 5", "1/s bursts 5", "1/s, 2/m", "none ", "1/S", "1.5/s", "1/s/s",
	};
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		struct rate r = { 7, 7, 7 };
		struct error e = { 0 };
		ck_assert_msg(parse_rate(bad[i], &r, &e) == ERROR_BAD_REQUEST, "%s is accepted", bad[i]);
		ck_assert_msg(r.tokens == 7, "%s: the result is written", bad[i]);
		ck_assert(e.text[0] && e.cure[0]);
	}
}
END_TEST

START_TEST(rates_compare_by_what_they_let_through)
{
	static const struct { const char *a, *b; int cmp; } rows[] = { { "60/m", "1/s", 0 }, { "61/m", "1/s", 1 }, { "59/m", "1/s", -1 }, { "1000000/d", "1000000/ms", -1 } };
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct rate a, b;
		ck_assert_int_eq(parse_rate(rows[i].a, &a, NULL), 0);
		ck_assert_int_eq(parse_rate(rows[i].b, &b, NULL), 0);
		ck_assert_int_eq(rate_cmp(&a, &b), rows[i].cmp);
		ck_assert_int_eq(rate_cmp(&b, &a), -rows[i].cmp);
	}
}
END_TEST

START_TEST(resources_are_a_name_and_a_number_or_size)
{
	static const struct { const char *text, *name; uint64_t amount; const char *back; } good[] = {
		{ "gpu 2", "gpu", 2, "gpu 2" }, { "mem=8G", "mem", UINT64_C(8) << 30, "mem 8G" }, { "mem 8192M", "mem", UINT64_C(8) << 30, "mem 8G" }, { "x.y_z-1  1000", "x.y_z-1", 1000, "x.y_z-1 1000" },
	};
	static const char *const bad[] = { "", "gpu", "gpu ", "gpu=", "gpu 0", "gpu -1", "GPU 2", "gpu two", "gpu 2 3", "gpu 2,", "=2", " 2", "2", "gpu 9223372036854775808", "gpu 8Z", "g\xc3\xbc 1" };
	char text[RESOURCE_TEXT], longest[RESOURCE_NAME_MAX + 4];
	struct resource_amount r;
	for (size_t i = 0; i < ELEMENTS(good); i++) {
		ck_assert_msg(parse_resource(good[i].text, strlen(good[i].text), &r, NULL) == 0, "%s", good[i].text);
		ck_assert_str_eq(r.name, good[i].name);
		ck_assert_uint_eq(r.amount, good[i].amount);
		ck_assert_str_eq(format_resource(&r, text, sizeof(text)), good[i].back);
	}
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		struct error e = { 0 };
		ck_assert_msg(parse_resource(bad[i], strlen(bad[i]), &r, &e) == ERROR_BAD_REQUEST, "%s is accepted", bad[i]);
		ck_assert(e.cure[0]);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + RESOURCE_NAME_MAX, " 1", 3);
	ck_assert_int_eq(parse_resource(longest, strlen(longest), &r, NULL), 0);
	memcpy(longest + RESOURCE_NAME_MAX, "a 1", 4);
	ck_assert_int_eq(parse_resource(longest, strlen(longest), &r, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(parse_resource("gpu 2\0 ", 7, &r, NULL), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(retry_rules_read_every_kind_and_action)
{
	static const struct { const char *text; struct retry_rule rule; const char *back; } good[] = {
		{ "exit 3: dead", { RETRY_KIND_EXIT, 3, 3, RETRY_ACTION_DEAD, 0, 0 }, "exit 3: dead" },
		{ "exit 70-79: later 5m", { RETRY_KIND_EXIT, 70, 79, RETRY_ACTION_LATER, 0, 300000 }, "exit 70-79: later 5m" },
		{ "exit: now", { RETRY_KIND_EXIT, 0, 0, RETRY_ACTION_NOW, 0, 0 }, "exit: now" },
		{ "signal 11: dead", { RETRY_KIND_SIGNAL, 11, 11, RETRY_ACTION_DEAD, 0, 0 }, "signal 11: dead" },
		{ "signal SEGV: dead", { RETRY_KIND_SIGNAL, 11, 11, RETRY_ACTION_DEAD, 0, 0 }, "signal 11: dead" },
		{ "core SIGABRT:retry 2", { RETRY_KIND_CORE, 6, 6, RETRY_ACTION_RETRY, 2, 0 }, "core 6: retry 2" },
		{ "oom: retry 2", { RETRY_KIND_OOM, 0, 0, RETRY_ACTION_RETRY, 2, 0 }, "oom: retry 2" },
		{ "timeout : now 4", { RETRY_KIND_TIMEOUT, 0, 0, RETRY_ACTION_NOW, 4, 0 }, "timeout: now 4" },
		{ "later: later", { RETRY_KIND_LATER, 0, 0, RETRY_ACTION_LATER, 0, 0 }, "later: later" },
		{ " any:  retry 5 30s ", { RETRY_KIND_ANY, 0, 0, RETRY_ACTION_RETRY, 5, 30000 }, "any: retry 5 30s" },
		{ "exit 1: retry 1h30m", { RETRY_KIND_EXIT, 1, 1, RETRY_ACTION_RETRY, 0, 5400000 }, "exit 1: retry 1h30m" },
		{ "exit 75-76: dead", { RETRY_KIND_EXIT, 75, 76, RETRY_ACTION_DEAD, 0, 0 }, "exit 75-76: dead" },
	};
	for (size_t i = 0; i < ELEMENTS(good); i++) {
		struct retry_rule r, again;
		struct error e = { 0 };
		char text[RETRY_RULE_TEXT];
		memset(&r, 0xff, sizeof(r));
		ck_assert_msg(parse_retry_rule(good[i].text, strlen(good[i].text), &r, &e) == 0, "%s: %s", good[i].text, e.text);
		const struct retry_rule *w = &good[i].rule;
		ck_assert_msg(r.kind == w->kind && r.from == w->from && r.to == w->to && r.action == w->action && r.max_attempts == w->max_attempts && r.delay_ms == w->delay_ms, "%s",
		              good[i].text);
		ck_assert_str_eq(format_retry_rule(&r, text, sizeof(text)), good[i].back);
		ck_assert_int_eq(parse_retry_rule(text, strlen(text), &again, &e), 0);
		ck_assert(retry_rule_covers(&r, &again) && retry_rule_covers(&again, &r));
	}
}
END_TEST

START_TEST(retry_rules_that_mean_nothing_are_refused_with_a_cure)
{
	static const char *const bad[] = {
		"", ":", "exit 3", "exit 3 dead", ": dead", "exits 3: dead", "exit 0: dead", "exit 256: dead", "exit x: dead", "exit 5-3: dead", "exit 3-: dead", "exit -3: dead", "exit 3 4: dead",
		"signal 0: dead", "signal 65: dead", "signal SEGFAULT: dead", "signal segv: dead", "oom 9: dead", "any 3: dead", "timeout 5s: dead", "exit 3:", "exit 3: die", "exit 3: dead 3",
		"exit 3: dead 5m", "exit 3: now 5m", "exit 3: later 5", "exit 3: retry 0", "exit 3: retry 1001", "exit 3: retry 5m 5", "exit 3: retry 5 5m 5", "exit 3: retry 5 31d",
		"exit 3: retry 0s", "exit 3: retry 5 parsecs", "exit 75: dead", "exit 111: now", "exit 65: retry", "exit 100: retry", "exit 126-127: retry", "lost: retry", "exit 3: dead: now",
		"exit 3333333333333333333333333333333333333333333333: dead", "exit 3: retry 333333333333333333333333333333333333333333333333333",
	};
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		struct retry_rule r = { .from = 77 };
		struct error e = { 0 };
		ck_assert_msg(parse_retry_rule(bad[i], strlen(bad[i]), &r, &e) == ERROR_BAD_REQUEST, "%s is accepted", bad[i]);
		ck_assert_msg(r.from == 77, "%s: the result is written", bad[i]);
		ck_assert_msg(strstr(e.text, "retry rule") && e.cure[0], "%s: %s", bad[i], e.text);
	}
}
END_TEST

START_TEST(a_rule_that_is_never_reached_is_found)
{
	static const struct { const char *text; size_t n; uint32_t never; } rows[] = {
		{ "exit 3: dead, exit 70-79: later 5m, signal 11: dead, oom: retry 2, timeout: now, any: retry 5 30s", 6, 0 },
		{ "any: now, exit 3: dead", 0, 2 }, { "exit 3: dead, exit 3: now", 0, 2 }, { "exit 1-9: dead,oom: dead,exit 3-4: now", 0, 3 }, { "exit 3: dead, exit 1-9: now", 2, 0 },
		{ "exit: dead, exit 7: now", 0, 2 }, { "exit 7: dead, exit: now", 2, 0 }, { "signal 11: now, core 11: dead", 0, 2 }, { "core 11: dead, signal 11: now", 2, 0 },
		{ "signal: now, core: dead", 0, 2 }, { "core: now, signal 11: dead", 2, 0 }, { "signal 1-9: now, core: dead", 2, 0 }, { "any: dead", 1, 0 },
	};
	struct retry_rule rules[RETRY_RULES_MAX];
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		size_t n = 0;
		struct error e = { 0 };
		int code = parse_retry_rules(rows[i].text, rules, &n, &e);
		ck_assert_msg(code == (rows[i].never ? ERROR_BAD_REQUEST : 0), "%s: %s", rows[i].text, e.text);
		ck_assert_uint_eq(n, rows[i].n);
		ck_assert_uint_eq(e.index, rows[i].never);
	}
}
END_TEST

START_TEST(more_rules_than_there_may_be_are_refused)
{
	char text[4096] = "exit 1: dead";
	struct retry_rule rules[RETRY_RULES_MAX];
	size_t n;
	for (unsigned i = 2; i <= RETRY_RULES_MAX; i++)
		sprintf(text + strlen(text), ",exit %u: dead", i);
	ck_assert_int_eq(parse_retry_rules(text, rules, &n, NULL), 0);
	ck_assert_uint_eq(n, RETRY_RULES_MAX);
	strcat(text, ",any: now");
	ck_assert_int_eq(parse_retry_rules(text, rules, &n, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(parse_retry_rules("", rules, &n, NULL), ERROR_BAD_REQUEST);
	ck_assert_int_eq(parse_retry_rules("any: now,", rules, &n, NULL), ERROR_BAD_REQUEST);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("base: rates, resources, retry rules");
	TCase *c = tcase_create("limits");
	tcase_add_test(c, rates_read_with_units_durations_and_bursts);
	tcase_add_test(c, rates_that_are_none_are_refused_with_a_cure);
	tcase_add_test(c, rates_compare_by_what_they_let_through);
	tcase_add_test(c, resources_are_a_name_and_a_number_or_size);
	tcase_add_test(c, retry_rules_read_every_kind_and_action);
	tcase_add_test(c, retry_rules_that_mean_nothing_are_refused_with_a_cure);
	tcase_add_test(c, a_rule_that_is_never_reached_is_found);
	tcase_add_test(c, more_rules_than_there_may_be_are_refused);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
