#pragma once
/* Days of the Gregorian calendar as numbers, 1970-01-01 is 0: days_from_civil and civil_from_days of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
#include <stdbool.h>
#include <stdint.h>

#define DAY_S 86400

struct date { int64_t year; int month, day; }; /* from 1 */

static inline int64_t calendar_days(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static inline struct date calendar_date(int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int month = (int)((5 * of_year + 2) / 153);
	struct date d = { .day = (int)(of_year - (153 * month + 2) / 5) + 1, .month = month < 10 ? month + 3 : month - 9 };
	d.year = year + era * 400 + (d.month <= 2);
	return d;
}

static inline int calendar_weekday(int64_t days) /* 0 is Sunday */
{
	return (int)(((days + 4) % 7 + 7) % 7);
}

static inline bool calendar_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static inline int calendar_month_days(int64_t year, int month)
{
	static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return days[month - 1] + (month == 2 && calendar_leap(year));
}

static inline int64_t floor_div(int64_t a, int64_t b) /* b > 0 */
{
	return a / b - (a % b < 0);
}
