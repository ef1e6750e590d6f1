/* Expressions and their times. The times are written as UTC seconds would be by date(1), so that a reader can check them. */
#include "tests/suite.h"
#include <string.h>
#include "actors/coordinator/cron.h"
#include "actors/coordinator/calendar.h"
#include "tests/unit/coordinator/zones.h"

static struct zone *zone;

static const struct zone *in(const char *name)
{
	zone_free(zone);
	zone = zone_of(name);
	ck_assert_msg(zone != NULL, "%s is missing", name);
	return zone;
}

static void teardown(void)
{
	zone_free(zone);
	zone = NULL;
}

static struct cron expr(const char *text)
{
	struct cron c;
	struct error e = { 0 };
	ck_assert_msg(cron_parse(text, &c, &e) == 0, "%s: %s", text, e.text);
	return c;
}

/* "2026-03-29 00:59" in UTC. */
static uint64_t utc(const char *text)
{
	int y, mo, d, h, m, s = 0;
	ck_assert_int_ge(sscanf(text, "%d-%d-%d %d:%d:%d", &y, &mo, &d, &h, &m, &s), 5);
	return (uint64_t)(calendar_days(y, mo, d) * DAY_S + 3600 * h + 60 * m + s) * 1000;
}

/* The times after from are these, in local time: "29 03:00 CEST" is compared with the end of zone_format's "Sun 2026-03-29 03:00:00 +02:00 CEST". */
static void runs(const char *text, const struct zone *z, const char *from, const char *const *times, size_t n)
{
	struct cron c = expr(text);
	uint64_t at = utc(from);
	for (size_t i = 0; i < n; i++) {
		char shown[64];
		at = cron_next(&c, z, at, NULL);
		ck_assert_msg(at != TIME_NEVER, "%s: never, instead of %s", text, times[i]);
		zone_format(z, (int64_t)(at / 1000), shown);
		ck_assert_msg(strstr(shown, times[i]) != NULL, "%s: %s, instead of %s", text, shown, times[i]);
	}
}
#define RUNS(text, z, from, ...) runs(text, z, from, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

START_TEST(an_expression_has_five_fields_of_lists_ranges_steps_and_names)
{
	struct cron c = expr("*/20 9-17/4 1,15 JAN-mar,12 mon-FRI");
	ck_assert_uint_eq(c.minutes, 1ull << 0 | 1ull << 20 | 1ull << 40);
	ck_assert_uint_eq(c.hours, 1u << 9 | 1u << 13 | 1u << 17);
	ck_assert_uint_eq(c.days, 1u << 1 | 1u << 15);
	ck_assert_uint_eq(c.months, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 12);
	ck_assert_uint_eq(c.weekdays, 0x3e);
	ck_assert(c.either_day && !c.often);
	ck_assert_uint_eq(expr("0 0 * * 7").weekdays, 1);
	ck_assert_uint_eq(expr("0 0 * * 5-7").weekdays, 0x61);
	ck_assert_uint_eq(expr("0 0 * * FRI-SUN").weekdays, 0x61);
	ck_assert_uint_eq(expr("0 0 * * *").weekdays, 0x7f);
	ck_assert_uint_eq(expr("0 0 * * */2").weekdays, 0x55);
	ck_assert_uint_eq(expr("\t 5  4 * * * ").minutes, 1 << 5);
	ck_assert(expr("5 * * * *").often && expr("5 * * * *").every_hour);
	ck_assert(expr("5 */3 * * *").often && !expr("5 */3 * * *").every_hour);
	ck_assert(!expr("5 0-23 * * *").often);
	ck_assert(!expr("0 0 */2 * MON").either_day);
}
END_TEST

START_TEST(nicknames_are_expressions)
{
	static const char *const same[][2] = { { "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" }, { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
		{ "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" } };
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct cron a = expr(same[i][0]), b = expr(same[i][1]);
		ck_assert(a.minutes == b.minutes && a.hours == b.hours && a.days == b.days && a.months == b.months && a.weekdays == b.weekdays && a.often == b.often);
	}
}
END_TEST

START_TEST(what_is_no_expression_is_refused_with_the_field_and_the_reason)
{
	static const char *const bad[][2] = {
		{ "", "this one has 0" }, { "* * * *", "this one has 4" }, { "0 0 * * * *", "this one has 6" }, { "60 * * * *", "minute: \"60\" is not 0 to 59" },
		{ "* 24 * * *", "hour: \"24\" is not 0 to 23" }, { "* * 0 * *", "day of month: \"0\"" }, { "* * 32 * *", "day of month: \"32\" is not 1 to 31" },
		{ "* * * 13 *", "month: \"13\" is not 1 to 12, or JAN to DEC" }, { "* * * * 8", "day of week: \"8\" is not 0 to 7, or SUN to SAT" },
		{ "* * * FEBR *", "month: \"FEBR\" is no number" }, { "* * * * MO", "day of week: \"MO\"" }, { "9-5 * * * *", "minute: \"9-5\" runs backwards" },
		{ "5/10 * * * *", "has a step but no range" }, { "*/0 * * * *", "has a step that is not 1 to 59" }, { "* */24 * * *", "hour: \"*/24\" has a step that is not 1 to 23" },
		{ "1,,2 * * * *", "minute: \"\" is empty" }, { "1, * * * *", "is empty" }, { "-5 * * * *", "minute: \"-5\"" }, { "1- * * * *", "minute: \"1-\"" }, { "*5 * * * *", "minute: \"*5\"" },
		{ "1-2-3 * * * *", "minute: \"1-2-3\"" }, { "? * * * *", "minute: \"?\"" }, { "0 0 L * *", "day of month: \"L\"" }, { "@reboot", "none of @hourly" }, { "@", "none of" },
		{ "@daily x", "none of" }, { "0 0 * * *\n", "day of week" }, { "99999999999999999999 * * * *", "minute" }, { "* * * * \xff", "day of week" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct cron c;
		struct error e = { 0 };
		ck_assert_msg(cron_parse(bad[i][0], &c, &e) == ERROR_BAD_REQUEST, "%s is accepted", bad[i][0]);
		ck_assert_msg(strstr(e.text, bad[i][1]) != NULL, "%s: %s", bad[i][0], e.text);
	}
	char text[CRON_TEXT_MAX + 2];
	struct cron c;
	memset(text, '*', sizeof text);
	text[sizeof text - 1] = '\0';
	ck_assert_int_eq(cron_parse(text, &c, NULL), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(the_next_time_is_strictly_after)
{
	struct cron c = expr("* * * * *");
	ck_assert_uint_eq(cron_next(&c, &zone_utc, 0, NULL), 60000);
	ck_assert_uint_eq(cron_next(&c, &zone_utc, 59999, NULL), 60000);
	ck_assert_uint_eq(cron_next(&c, &zone_utc, 60000, NULL), 120000);
	RUNS("30 4 * * *", &zone_utc, "2026-11-20 04:30", "2026-11-21 04:30");
	RUNS("30 4 * * *", &zone_utc, "2026-11-20 04:29:59", "2026-11-20 04:30");
}
END_TEST

START_TEST(of_two_restricted_day_fields_either_is_enough_and_a_star_restricts_nothing)
{
	RUNS("0 0 13 * FRI", &zone_utc, "2026-02-01 00:00", "2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27", "2026-03-06", "2026-03-13");
	RUNS("0 0 13 * *", &zone_utc, "2026-02-01 00:00", "2026-02-13", "2026-03-13");
	RUNS("0 0 */10 * MON", &zone_utc, "2026-01-01 00:00", "2026-05-11", "2026-06-01");
}
END_TEST

START_TEST(months_and_years_end_where_they_do)
{
	RUNS("0 12 31 * *", &zone_utc, "2026-01-31 12:00", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31", "2026-10-31", "2026-12-31", "2027-01-31");
	RUNS("59 23 31 12 *", in("Asia/Kathmandu"), "2026-06-01 00:00", "2026-12-31 23:59:00 +05:45");
	RUNS("0 0 1 1 *", in("America/New_York"), "2026-12-31 23:59", "2027-01-01 00:00:00 -05:00");
	RUNS("* * * * *", in("America/New_York"), "2027-01-01 04:58", "2026-12-31 23:59", "2027-01-01 00:00");
}
END_TEST

START_TEST(the_29_of_february_is_found_over_the_year_2100_and_the_31_never)
{
	RUNS("0 0 29 2 *", &zone_utc, "2096-02-29 00:00", "2104-02-29");
	RUNS("0 0 29 2 */7", &zone_utc, "2088-02-29 00:00", "Sun 2128-02-29");
	static const char *const never[] = { "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *" };
	for (size_t i = 0; i < 3; i++) {
		struct cron c = expr(never[i]);
		ck_assert_uint_eq(cron_next(&c, &zone_utc, utc("2026-01-01 00:00"), NULL), TIME_NEVER);
		ck_assert_uint_eq(cron_next(&c, in("Europe/Berlin"), utc("2026-01-01 00:00"), NULL), TIME_NEVER);
	}
	struct cron c = expr("* * * * *");
	ck_assert_uint_eq(cron_next(&c, &zone_utc, UINT64_MAX - 1, NULL), TIME_NEVER);
	ck_assert_uint_eq(cron_next(&c, &zone_utc, 253402300799000, NULL), TIME_NEVER);
}
END_TEST

START_TEST(what_a_gap_leaves_out_runs_once_behind_it)
{
	const struct zone *z = in("Europe/Berlin"); /* 2026-03-29 02:00 is 03:00 */
	RUNS("30 2 * * *", z, "2026-03-28 00:00", "28 02:30:00 +01:00 CET", "29 03:00:00 +02:00 CEST", "30 02:30:00 +02:00 CEST");
	RUNS("*/10 2 * * *", z, "2026-03-28 12:00", "29 03:00", "30 02:00", "30 02:10");
	RUNS("0 2,3 * * *", z, "2026-03-28 12:00", "29 03:00", "30 02:00", "30 03:00");
	RUNS("0 3 * * *", z, "2026-03-28 12:00", "29 03:00", "30 03:00");
	RUNS("15 2 29 3 *", z, "2026-01-01 00:00", "2026-03-29 03:00", "2027-03-29 02:15");
	RUNS("30 */2 * * *", z, "2026-03-28 23:00", "29 00:30", "29 03:00", "29 04:30");
	z = in("America/New_York"); /* 2026-03-08 */
	RUNS("30 2 * * *", z, "2026-03-07 12:00", "08 03:00:00 -04:00 EDT", "09 02:30");
	z = in("Australia/Lord_Howe"); /* 2026-10-04 02:00 is 02:30 */
	RUNS("15 2 * * *", z, "2026-10-02 18:00", "04 02:30:00 +11:00", "05 02:15");
	RUNS("30 2 * * *", z, "2026-10-02 18:00", "04 02:30", "05 02:30");
	z = in("America/Sao_Paulo"); /* in the south, at midnight: 2018-11-04 00:00 is 01:00 */
	RUNS("@daily", z, "2018-11-03 12:00", "2018-11-04 01:00:00 -02:00", "2018-11-05 00:00");
	z = in("Pacific/Apia"); /* 2011-12-30 was left out */
	RUNS("0 12 * * *", z, "2011-12-29 12:00", "2011-12-29 12:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 12:00");
}
END_TEST

START_TEST(what_comes_twice_runs_the_first_time)
{
	const struct zone *z = in("Europe/Berlin"); /* 2026-10-25 03:00 is 02:00 */
	RUNS("30 2 * * *", z, "2026-10-24 12:00", "25 02:30:00 +02:00 CEST", "26 02:30:00 +01:00 CET");
	RUNS("*/20 2 * * *", z, "2026-10-24 12:00", "25 02:00:00 +02:00", "25 02:20:00 +02:00", "25 02:40:00 +02:00", "26 02:00");
	RUNS("0 0-23 * * *", z, "2026-10-24 22:30", "25 01:00:00 +02:00", "25 02:00:00 +02:00", "25 03:00:00 +01:00");
	RUNS("30 1 * * *", in("America/New_York"), "2026-10-31 12:00", "01 01:30:00 -04:00 EDT", "02 01:30:00 -05:00 EST");
	RUNS("45 1 * * *", in("Australia/Lord_Howe"), "2026-04-03 18:00", "04-05 01:45:00 +11:00", "04-06 01:45:00 +10:30");
	RUNS("30 23 * * *", in("America/Sao_Paulo"), "2018-02-17 12:00", "2018-02-17 23:30:00 -02:00", "2018-02-18 23:30:00 -03:00");
}
END_TEST

START_TEST(every_so_often_follows_the_time_that_passes)
{
	const struct zone *z = in("Europe/Berlin");
	RUNS("30 * * * *", z, "2026-10-24 23:00", "25 01:30:00 +02:00", "25 02:30:00 +02:00", "25 02:30:00 +01:00", "25 03:30:00 +01:00");
	RUNS("@hourly", z, "2026-10-24 23:30", "25 02:00:00 +02:00", "25 02:00:00 +01:00", "25 03:00:00 +01:00");
	RUNS("0 */2 * * *", z, "2026-10-24 23:30", "25 02:00:00 +02:00", "25 02:00:00 +01:00", "25 04:00:00 +01:00");
	RUNS("30 * * * *", z, "2026-03-29 00:00", "29 01:30:00 +01:00", "29 03:30:00 +02:00");
	RUNS("7-59/20 * * * *", z, "2026-03-29 00:30", "29 01:47:00 +01:00", "29 03:07:00 +02:00");
	RUNS("*/15 * * * *", in("Australia/Lord_Howe"), "2026-04-04 14:40", "05 01:45:00 +11:00", "05 01:30:00 +10:30", "05 01:45:00 +10:30", "05 02:00:00 +10:30");
}
END_TEST

START_TEST(a_zone_that_changed_its_offset_for_good_is_a_gap_or_a_repetition_too)
{
	RUNS("45 23 * * *", in("Asia/Pyongyang"), "2015-08-13 00:00", "2015-08-13 23:45:00 +09:00", "2015-08-14 23:45:00 +09:00", "2015-08-15 23:45:00 +08:30");
	RUNS("45 23 * * *", in("Asia/Pyongyang"), "2018-05-03 00:00", "2018-05-03 23:45:00 +08:30", "2018-05-05 00:00:00 +09:00", "2018-05-05 23:45:00 +09:00");
	RUNS("5 0 1 1 *", in("Asia/Kathmandu"), "1985-06-01 00:00", "1986-01-01 00:15:00 +05:45", "1987-01-01 00:05:00 +05:45");
	RUNS("0 9 * * *", in("Europe/Volgograd"), "2020-12-26 00:00", "2020-12-26 09:00:00 +04:00", "2020-12-27 09:00:00 +03:00");
}
END_TEST

START_TEST(odd_times_are_marked)
{
	const struct zone *z = in("Europe/Berlin");
	struct cron daily = expr("30 2 * * *"), hourly = expr("30 * * * *");
	enum cron_mark mark;
	cron_next(&daily, z, utc("2026-03-28 12:00"), &mark);
	ck_assert_int_eq(mark, CRON_BEHIND_GAP);
	cron_next(&daily, z, utc("2026-10-24 12:00"), &mark);
	ck_assert_int_eq(mark, CRON_FIRST_PASS);
	cron_next(&daily, z, utc("2026-10-25 12:00"), &mark);
	ck_assert_int_eq(mark, CRON_PLAIN);
	uint64_t at = cron_next(&hourly, z, utc("2026-10-25 00:00"), &mark);
	ck_assert_int_eq(mark, CRON_FIRST_PASS);
	at = cron_next(&hourly, z, at, &mark);
	ck_assert_int_eq(mark, CRON_SECOND_PASS);
	cron_next(&hourly, z, at, &mark);
	ck_assert_int_eq(mark, CRON_PLAIN);
}
END_TEST

START_TEST(the_newest_times_of_a_long_absence_are_found_without_walking_all_of_it)
{
	uint64_t at[1000];
	struct cron c = expr("* * * * *");
	ck_assert_uint_eq(cron_newest(&c, &zone_utc, 0, utc("2026-11-20 04:30:59"), at, 1000), 1000);
	ck_assert_uint_eq(at[999], utc("2026-11-20 04:30"));
	ck_assert_uint_eq(at[0], utc("2026-11-20 04:30") - 999 * 60000);
	ck_assert_uint_eq(cron_newest(&c, &zone_utc, utc("2026-11-20 04:28"), utc("2026-11-20 04:30"), at, 1000), 2);
	ck_assert_uint_eq(at[0], utc("2026-11-20 04:29"));
	ck_assert_uint_eq(cron_newest(&c, &zone_utc, utc("2026-11-20 04:30"), utc("2026-11-20 04:30"), at, 1000), 0);
	ck_assert_uint_eq(cron_newest(&c, &zone_utc, utc("2026-11-20 04:31"), utc("2026-11-20 04:30"), at, 1000), 0);
	c = expr("0 0 29 2 *");
	ck_assert_uint_eq(cron_newest(&c, &zone_utc, 0, utc("2026-11-20 00:00"), at, 3), 3);
	ck_assert_uint_eq(at[0], utc("2016-02-29 00:00"));
	ck_assert_uint_eq(at[2], utc("2024-02-29 00:00"));
	c = expr("* * * * *");
	ck_assert_uint_eq(cron_count(&c, &zone_utc, utc("2026-11-20 04:28"), utc("2026-11-20 04:30"), 100), 2);
	ck_assert_uint_eq(cron_count(&c, &zone_utc, 0, utc("2026-11-20 04:30"), 100), 100);
	c = expr("* * * 1 *");
	ck_assert_uint_eq(cron_newest(&c, in("Europe/Berlin"), 0, utc("2026-11-20 00:00"), at, 7), 7);
	ck_assert_uint_eq(at[6], utc("2026-01-31 22:59"));
	ck_assert_uint_eq(at[0], utc("2026-01-31 22:53"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cron");
	TCase *c = tcase_create("cron");
	tcase_add_checked_fixture(c, NULL, teardown);
	tcase_add_test(c, an_expression_has_five_fields_of_lists_ranges_steps_and_names);
	tcase_add_test(c, nicknames_are_expressions);
	tcase_add_test(c, what_is_no_expression_is_refused_with_the_field_and_the_reason);
	tcase_add_test(c, the_next_time_is_strictly_after);
	tcase_add_test(c, of_two_restricted_day_fields_either_is_enough_and_a_star_restricts_nothing);
	tcase_add_test(c, months_and_years_end_where_they_do);
	tcase_add_test(c, the_29_of_february_is_found_over_the_year_2100_and_the_31_never);
	tcase_add_test(c, what_a_gap_leaves_out_runs_once_behind_it);
	tcase_add_test(c, what_comes_twice_runs_the_first_time);
	tcase_add_test(c, every_so_often_follows_the_time_that_passes);
	tcase_add_test(c, a_zone_that_changed_its_offset_for_good_is_a_gap_or_a_repetition_too);
	tcase_add_test(c, odd_times_are_marked);
	tcase_add_test(c, the_newest_times_of_a_long_absence_are_found_without_walking_all_of_it);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
