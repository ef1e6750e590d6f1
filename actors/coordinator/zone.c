#include "actors/coordinator/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/calendar.h"

#define YEAR_S 31556952 /* of the mean Gregorian year */

static const struct zone_offset offset_utc = { 0, false, "UTC" };
const struct zone zone_utc = { .offsets = &offset_utc, .n_offsets = 1 };

bool zone_name_valid(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > ZONE_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char x = name[i];
		bool word = (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') || x == '_' || x == '+' || x == '-';
		if (!word && !(x == '/' && i > 0 && i + 1 < n && name[i - 1] != '/'))
			return false;
	}
	return true;
}

/* --- the rule --- */

/* Local midnight of that day, in seconds since 1970 as if the offset were 0, plus its time. */
static int64_t day_of(const struct zone_day *d, int64_t year)
{
	int64_t days = 0;
	switch (d->kind) {
	case ZONE_DAY_JULIAN: /* 29 February is never counted */
		days = calendar_days(year, 1, 1) + d->day - 1 + (calendar_leap(year) && d->day > 59);
		break;
	case ZONE_DAY_OF_YEAR:
		days = calendar_days(year, 1, 1) + d->day;
		break;
	case ZONE_DAY_OF_MONTH: {
		int64_t first = calendar_days(year, d->month, 1);
		int day = (d->day - calendar_weekday(first) + 7) % 7 + (d->week - 1) * 7;
		days = first + (day >= calendar_month_days(year, d->month) ? day - 7 : day);
		break;
	}
	}
	return days * DAY_S + d->time_s;
}

/* The summer time that begins in this year. In the south it ends in the next one. */
static void summer_of(const struct zone_rule *r, int64_t year, int64_t *ret_begin, int64_t *ret_end)
{
	*ret_begin = day_of(&r->begin, year) - r->standard.seconds;
	*ret_end = day_of(&r->end, year) - r->summer.seconds;
	if (*ret_end <= *ret_begin)
		*ret_end = day_of(&r->end, year + 1) - r->summer.seconds;
}

static struct zone_span rule_at(const struct zone_rule *r, int64_t utc_s)
{
	struct zone_span s = { INT64_MIN, INT64_MAX, &r->standard };
	if (!r->has_summer)
		return s;
	int64_t year = calendar_date(floor_div(utc_s, DAY_S)).year, last_end = INT64_MIN;
	for (int64_t y = year - 2; y <= year + 2; y++) { /* a rule's time is up to a week off its day, so a year more on each side */
		int64_t begin, end;
		summer_of(r, y, &begin, &end);
		if (begin < last_end)
			begin = last_end;
		if (end <= begin)
			continue;
		last_end = end;
		if (begin <= utc_s && utc_s < end)
			return (struct zone_span){ begin, end, &r->summer };
		if (end <= utc_s)
			s.from_s = end;
		else if (begin < s.until_s)
			s.until_s = begin;
	}
	return s;
}

/* --- any time --- */

struct zone_span zone_at(const struct zone *z, int64_t utc_s)
{
	size_t low = 0, high = z->n_changes; /* how many changes are not after it */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (z->changes[middle].at_s <= utc_s)
			low = middle + 1;
		else
			high = middle;
	}
	int64_t from_s = low ? z->changes[low - 1].at_s : INT64_MIN;
	if (low == z->n_changes && z->has_rule && utc_s > -10000ll * YEAR_S && utc_s < 10000ll * YEAR_S) {
		struct zone_span s = rule_at(&z->rule, utc_s);
		if (s.from_s < from_s)
			s.from_s = from_s;
		return s;
	}
	return (struct zone_span){ from_s, low < z->n_changes ? z->changes[low].at_s : INT64_MAX, &z->offsets[low ? z->changes[low - 1].offset : 0] };
}

void zone_format(const struct zone *z, int64_t utc_s, char out[static 64])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	const struct zone_offset *o = zone_at(z, utc_s).offset;
	int64_t local_s = utc_s + o->seconds, day = floor_div(local_s, DAY_S);
	struct date d = calendar_date(day);
	unsigned second = (unsigned)(local_s - day * DAY_S), off = (unsigned)abs(o->seconds);
	char seconds[8] = "";
	if (off % 60)
		snprintf(seconds, sizeof seconds, ":%02u", off % 60);
	snprintf(out, 64, "%.3s %04u-%02u-%02u %02u:%02u:%02u %c%02u:%02u%s %s", &days[3 * calendar_weekday(day)], (unsigned)d.year % 10000, (unsigned)d.month, (unsigned)d.day,
	         second / 3600, second / 60 % 60, second % 60, o->seconds < 0 ? '-' : '+', off / 3600, off / 60 % 60, seconds, o->letters);
}
