/* When an entry runs. Local minutes are numbered like UTC's: seconds since 1970-01-01 00:00 as if the offset were 0.
 *
 * The zone's time is walked span by span, in each of which local time is UTC plus a constant. How far local time has ever come (the mark "reached") tells what is
 * new in a span: a local time runs at the first instant at which the local clock shows it or a later one. Both rules follow from it: what a gap leaves out
 * lies between the mark and the span's begin, and what repeats lies below the mark. */
#include "actors/coordinator/cron.h"

#include <string.h>
#include "actors/coordinator/calendar.h"

#define SPANS_BACK_S (2 * 52 * 3600)  /* nothing that a clock showed longer ago can repeat: offsets are within 51 hours */
#define SECONDS_MAX 250000000000ll    /* about the year 9892 */
#define YEAR_S 31556952ll
#define MINUTE_MS 60000ull

static bool day_fits(const struct cron *c, int64_t days, int day)
{
	bool of_month = c->days >> day & 1, of_week = c->weekdays >> calendar_weekday(days) & 1;
	return c->either_day ? of_month || of_week : of_month && of_week;
}

/* The first minute of a day that is not before second: seconds of the day; -1: none. */
static int minute_of_day(const struct cron *c, int second)
{
	int minute = (second + 59) / 60;
	for (int hour = minute / 60, from = minute % 60; hour < 24; hour++, from = 0) {
		uint64_t left = c->hours >> hour & 1 ? c->minutes >> from : 0;
		if (left)
			return 3600 * hour + 60 * (from + __builtin_ctzll(left));
	}
	return -1;
}

/* The first local time that fits in from_s <= time < until_s; INT64_MAX: none. */
static int64_t first_fit(const struct cron *c, int64_t from_s, int64_t until_s)
{
	int64_t day = floor_div(from_s, DAY_S);
	int second = (int)(from_s - day * DAY_S);
	while (day * DAY_S < until_s) {
		struct date d = calendar_date(day);
		if (!(c->months >> d.month & 1)) {
			day += calendar_month_days(d.year, d.month) - d.day + 1;
			second = 0;
			continue;
		}
		int found = day_fits(c, day, d.day) ? minute_of_day(c, second) : -1;
		if (found >= 0)
			return day * DAY_S + found < until_s ? day * DAY_S + found : INT64_MAX;
		day++;
		second = 0;
	}
	return INT64_MAX;
}

static struct zone_span span_before(const struct zone *z, const struct zone_span *s)
{
	return zone_at(z, s->from_s - 1);
}

/* How far the local clock had come when this span began; of the first span of all, nothing. */
static int64_t reached_before(const struct zone *z, const struct zone_span *s)
{
	int64_t reached = INT64_MIN;
	struct zone_span x = *s;
	while (x.from_s > INT64_MIN + SPANS_BACK_S && x.from_s > s->from_s - SPANS_BACK_S) {
		x = span_before(z, &x);
		if (x.until_s + x.offset->seconds > reached)
			reached = x.until_s + x.offset->seconds;
	}
	return reached;
}

static int64_t local_end(const struct zone_span *s)
{
	return s->until_s < SECONDS_MAX ? s->until_s + s->offset->seconds : SECONDS_MAX;
}

/* Does the local time come again after this span? */
static bool comes_again(const struct zone *z, const struct zone_span *s, int64_t local_s)
{
	struct zone_span x = *s;
	while (x.until_s < SECONDS_MAX && x.until_s < s->until_s + SPANS_BACK_S) {
		x = zone_at(z, x.until_s);
		if (local_s >= x.from_s + x.offset->seconds && local_s < local_end(&x))
			return true;
	}
	return false;
}

/* The first time in the span with least_s <= time < until_s; INT64_MAX: none. */
static int64_t first_in_span(const struct cron *c, const struct zone *z, const struct zone_span *s, int64_t reached, int64_t least_s, int64_t until_s, enum cron_mark *ret_mark)
{
	int64_t offset = s->offset->seconds, begin = s->from_s > INT64_MIN / 2 ? s->from_s + offset : INT64_MIN;
	int64_t end = until_s < s->until_s ? until_s + offset : local_end(s);
	if (reached < begin && reached > INT64_MIN && least_s <= s->from_s && !c->every_hour && first_fit(c, reached, begin) != INT64_MAX) {
		*ret_mark = CRON_BEHIND_GAP;
		return s->from_s;
	}
	int64_t from = least_s + offset;
	if (!c->often && reached > from)
		from = reached;
	int64_t found = from < end ? first_fit(c, from, end) : INT64_MAX;
	if (found == INT64_MAX)
		return found;
	*ret_mark = found < reached ? CRON_SECOND_PASS : comes_again(z, s, found) ? CRON_FIRST_PASS : CRON_PLAIN;
	return found - offset;
}

uint64_t cron_next(const struct cron *c, const struct zone *z, uint64_t after_ms, enum cron_mark *ret_mark)
{
	enum cron_mark mark;
	int64_t least_s = (int64_t)(after_ms / 1000) + 1, until_s = least_s + CRON_YEARS * YEAR_S;
	if (after_ms / 1000 >= (uint64_t)(SECONDS_MAX - CRON_YEARS * YEAR_S - DAY_S))
		return TIME_NEVER;
	struct zone_span s = zone_at(z, least_s);
	int64_t reached = reached_before(z, &s);
	while (least_s < until_s) {
		int64_t found = first_in_span(c, z, &s, reached, least_s, until_s, &mark);
		if (found != INT64_MAX) {
			if (ret_mark)
				*ret_mark = mark;
			return (uint64_t)found * 1000;
		}
		if (s.until_s >= until_s)
			break;
		if (local_end(&s) > reached)
			reached = local_end(&s);
		least_s = s.until_s;
		s = zone_at(z, least_s);
	}
	return TIME_NEVER;
}

size_t cron_count(const struct cron *c, const struct zone *z, uint64_t after_ms, uint64_t until_ms, size_t most)
{
	size_t n = 0;
	for (uint64_t at = after_ms; n < most && (at = cron_next(c, z, at, NULL)) <= until_ms && at != TIME_NEVER;)
		n++;
	return n;
}

/* All times in (after_ms, until_ms], the newest room of them kept as a ring; how many there were. */
static size_t count_times(const struct cron *c, const struct zone *z, uint64_t after_ms, uint64_t until_ms, uint64_t *ring, size_t room)
{
	size_t n = 0;
	for (uint64_t at = after_ms; (at = cron_next(c, z, at, NULL)) <= until_ms && at != TIME_NEVER; n++)
		ring[n % room] = at;
	return n;
}

static void reverse(uint64_t *all, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint64_t x = all[i];
		all[i] = all[n - 1 - i];
		all[n - 1 - i] = x;
	}
}

size_t cron_newest(const struct cron *c, const struct zone *z, uint64_t after_ms, uint64_t until_ms, uint64_t *ret, size_t room)
{
	if (after_ms >= until_ms || room == 0)
		return 0;
	/* Backwards in growing steps, so that years of minutes are not walked for the last hours of them. */
	for (uint64_t back_ms = room * MINUTE_MS;; back_ms *= 4) {
		uint64_t from_ms = until_ms - after_ms > back_ms ? until_ms - back_ms : after_ms;
		size_t n = count_times(c, z, from_ms, until_ms, ret, room);
		if (n < room && from_ms != after_ms)
			continue;
		if (n <= room)
			return n;
		reverse(ret, n % room); /* the oldest of the ring to the front */
		reverse(ret + n % room, room - n % room);
		reverse(ret, room);
		return room;
	}
}
