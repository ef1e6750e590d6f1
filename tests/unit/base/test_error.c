/* Errors and the clocks. */
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/parse.h"
#include "tests/suite.h"

START_TEST(every_code_keeps_its_number_and_name)
{
	/* Written out once more on purpose: they are on the wire and in scripts. A change here breaks users. */
	static const struct {
		int number;
		const char *name;
	} stable[] = {
		{ 0, "NONE" }, { 1, "BAD_REQUEST" }, { 2, "TOO_LARGE" }, { 3, "VERSION" }, { 4, "NOT_ALLOWED" }, { 5, "NO_ACTOR" },
		{ 6, "NO_VERB" }, { 7, "NO_QUEUE" }, { 8, "NO_TASK" }, { 9, "CONFLICT" }, { 10, "BUSY" }, { 11, "DISK_LOW" },
		{ 12, "TIMEOUT" }, { 13, "STATE" }, { 14, "STOPPING" }, { 15, "UNDELIVERED" }, { 16, "CORRUPT" }, { 17, "AMBIGUOUS" },
		{ 18, "NOT_REACHABLE" }, { 19, "EXISTS" }, { 20, "NOT_FOUND" }, { 21, "CONFIG" }, { 22, "STORE" }, { 99, "INTERNAL" },
	};
	size_t known = 0;
	for (int number = -200; number < 200; number++)
		known += strcmp(error_name(number), "UNKNOWN") != 0;
	ck_assert_uint_eq(known, sizeof(stable) / sizeof(stable[0]));
	for (size_t i = 0; i < known; i++)
		ck_assert_str_eq(error_name(stable[i].number), stable[i].name);
}
END_TEST

START_TEST(a_number_that_is_no_code_is_unknown)
{
	ck_assert_str_eq(error_name(23), "UNKNOWN");
	ck_assert_str_eq(error_name(-5), "UNKNOWN");
}
END_TEST

START_TEST(setting_an_error_forgets_the_one_before)
{
	struct error e;
	memset(&e, 0xee, sizeof(e));
	ck_assert_int_eq(error_set(&e, ERROR_BUSY, "queue %s is full", "mail"), ERROR_BUSY);
	ck_assert_int_eq(e.code, ERROR_BUSY);
	ck_assert_str_eq(e.text, "queue mail is full");
	ck_assert_str_eq(e.cure, "");
	ck_assert(!e.retryable);
	ck_assert_uint_eq(e.retry_after_ms, 0);
	ck_assert_uint_eq(e.index, 0);

	error_cure(&e, "wait %d s", 3);
	ck_assert_int_eq(error_retry(&e, 3000), ERROR_BUSY);
	ck_assert_str_eq(e.cure, "wait 3 s");
	ck_assert(e.retryable);
	ck_assert_uint_eq(e.retry_after_ms, 3000);

	error_set(&e, ERROR_NO_TASK, "no such task");
	ck_assert_str_eq(e.cure, "");
	ck_assert(!e.retryable);
}
END_TEST

START_TEST(nobody_needs_to_pass_an_error)
{
	ck_assert_int_eq(error_set(NULL, ERROR_STATE, "%s", "x"), ERROR_STATE);
	error_cure(NULL, "x");
	error_retry(NULL, 1);
}
END_TEST

START_TEST(a_text_too_long_is_cut_between_characters)
{
	struct error e;
	char text[600];
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x8e\xad", 5);
		error_set(&e, ERROR_INTERNAL, "%s", text);
		size_t len = strlen(e.text);
		ck_assert(utf8_valid((const uint8_t *)e.text, len));
		ck_assert_uint_ge(len, sizeof(e.text) - 4);
		ck_assert(!memcmp(e.text, text, len));
	}
}
END_TEST

START_TEST(arguments_from_outside_cannot_break_the_line_or_the_encoding)
{
	struct error e;
	error_set(&e, ERROR_BAD_REQUEST, "no queue \"%s\"", "a\nb\x1b[2J\xff\xc3(\xc2\x9b");
	ck_assert_str_eq(e.text, "no queue \"a?b?[2J?\?(\?\?\"");
	error_cure(&e, "%s", "x\xe2\x82");
	ck_assert_str_eq(e.cure, "x");
}
END_TEST

START_TEST(wall_time_is_shown_in_utc_with_milliseconds)
{
	char text[25];
	clock_format(0, text);
	ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
	clock_format(UINT64_C(1795167000123), text);
	ck_assert_str_eq(text, "2026-11-20T09:30:00.123Z");
	clock_format(UINT64_C(951782399999), text); /* the last moment before a leap day */
	ck_assert_str_eq(text, "2000-02-28T23:59:59.999Z");
	clock_format(UINT64_MAX, text);
	ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(the_monotonic_clocks_agree_and_never_go_back)
{
	uint64_t last = 0;
	for (int i = 0; i < 10000; i++) {
		uint64_t now = clock_mono_us();
		ck_assert_uint_ge(now, last);
		last = now;
	}
	uint64_t before = clock_mono_us() / 1000, ms = clock_mono_ms(), after = clock_mono_us() / 1000;
	ck_assert_uint_le(before, ms);
	ck_assert_uint_le(ms, after);
	ck_assert_uint_le((uint64_t)time(NULL), clock_wall_ms() / 1000 + 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("error");
	TCase *t = tcase_create("error");
	tcase_add_test(t, every_code_keeps_its_number_and_name);
	tcase_add_test(t, a_number_that_is_no_code_is_unknown);
	tcase_add_test(t, setting_an_error_forgets_the_one_before);
	tcase_add_test(t, nobody_needs_to_pass_an_error);
	tcase_add_test(t, a_text_too_long_is_cut_between_characters);
	tcase_add_test(t, arguments_from_outside_cannot_break_the_line_or_the_encoding);
	tcase_add_test(t, wall_time_is_shown_in_utc_with_milliseconds);
	tcase_add_test(t, the_monotonic_clocks_agree_and_never_go_back);
	suite_add_tcase(s, t);
	return suite_run(s);
}
