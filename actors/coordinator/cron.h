#pragma once
/* Cron expressions and their times, as pure functions: "minute hour day month weekday", each a list of numbers, ranges and steps, and the zone that they are read in.
 *
 * *[/n], a, a-b[/n], separated by commas; JAN to DEC, SUN to SAT in either case; 0 and 7 are Sunday, and a range may end with SUN. @hourly (0 * * * *), @daily and
 * @midnight (0 0 * * *), @weekly (0 0 * * 0), @monthly (0 0 1 * *), @yearly and @annually (0 0 1 1 *). Where neither day field begins with *, a day that fits one of
 * them fits; else it must fit both.
 *
 * Where a zone changes its offset there are local times that do not exist, and local times that exist twice. An entry runs
 *   in a gap: at the first instant behind it, once, however many of its times are lost;
 *   in a repetition: the first time only.
 * But an hour field of the form *[/n] means "every so often": such an entry runs in both passes of a repeated time; and if it is *, what is lost in a gap is left
 * out, because the next hour follows at once. */
#include <stdbool.h>
#include <stdint.h>
#include "actors/coordinator/zone.h"
#include "common/base/clock.h"
#include "common/base/error.h"

#define CRON_TEXT_MAX 255u  /* bytes of an expression */
#define CRON_YEARS 50       /* so far is looked for the next time: 29 February on a given weekday may be 40 years away */

struct cron {
	uint64_t minutes;
	uint32_t hours, days;   /* a bit each */
	uint16_t months;
	uint8_t weekdays;
	bool either_day;        /* both day fields are restricted */
	bool often;             /* the hour field is *[/n] */
	bool every_hour;        /* it is * */
};

/* 0, or ERROR_BAD_REQUEST with a text that names the field and says why. */
int cron_parse(const char *text, struct cron *ret, struct error *e);

/* What is odd about a time. */
enum cron_mark { CRON_PLAIN, CRON_BEHIND_GAP, CRON_FIRST_PASS, CRON_SECOND_PASS };
/* The first time after after_ms; TIME_NEVER where there is none in CRON_YEARS. ret_mark may be NULL. */
uint64_t cron_next(const struct cron *c, const struct zone *z, uint64_t after_ms, enum cron_mark *ret_mark);
/* The newest times with after_ms < time <= until_ms, at most room of them, oldest first; how many. The work is bounded, however far the two are apart. */
size_t cron_newest(const struct cron *c, const struct zone *z, uint64_t after_ms, uint64_t until_ms, uint64_t *ret, size_t room);
/* How many times there are with after_ms < time <= until_ms, counted to most. */
size_t cron_count(const struct cron *c, const struct zone *z, uint64_t after_ms, uint64_t until_ms, size_t most);
