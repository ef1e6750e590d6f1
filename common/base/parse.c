#include "common/base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000)

/* Values are quoted in errors: not all of a long one. */
#define SHOWN "%.64s%s"
#define SHOW(s) (s), strlen(s) > 64 ? "..." : ""

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits, moves *s behind them. False without one, or on overflow. */
static bool read_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;
	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	*s = p;
	*ret = v;
	return true;
}

static const struct unit {
	const char *name;
	uint64_t ms;
} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

#define N_UNITS (sizeof(units) / sizeof(units[0]))

/* One "<number>[.<number>]<unit>"; the units must fall, so that "5m1h" and "5m5m" are seen as the mistakes they are.
 * Returns NULL, or what is wrong. */
static const char *read_span(const char **s, bool first, size_t *least_unit, uint64_t *ret_ms)
{
	uint64_t whole, fraction = 0, scale = 1;
	if (!is_digit(**s))
		return "is not a duration";
	if (!read_digits(s, &whole))
		return "is longer than 10 years";
	if (**s == '.') {
		const char *digits = ++*s;
		if (!read_digits(s, &fraction) || *s - digits > 9)
			return "is finer than a millisecond, or has no digits behind the point";
		for (const char *p = digits; p < *s; p++)
			scale *= 10;
	}

	size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyz");
	size_t u = 0;
	if (n == 0 && !**s && first) {
		u = 3; /* a bare number is seconds */
	} else {
		while (u < N_UNITS && (strlen(units[u].name) != n || memcmp(units[u].name, *s, n)))
			u++;
		if (u == N_UNITS)
			return "has an unknown unit; use ms, s, m, h or d";
		if (u < *least_unit)
			return "has its units out of order";
	}
	*s += n;
	*least_unit = u + 1;

	uint64_t ms;
	if (__builtin_mul_overflow(whole, units[u].ms, &ms) || ms > DURATION_MAX_MS)
		return "is longer than 10 years";
	fraction *= units[u].ms; /* below 10^9 times 10^8 */
	if (fraction % scale)
		return "is finer than a millisecond";
	*ret_ms = ms + fraction / scale;
	return NULL;
}

int parse_duration(const char *s, uint64_t *ret_ms, struct error *e)
{
	const char *p = s, *wrong = NULL;
	uint64_t total = 0, ms;
	size_t least_unit = 0;
	bool first = true;
	do {
		wrong = read_span(&p, first, &least_unit, &ms);
		if (!wrong && (total += ms) > DURATION_MAX_MS)
			wrong = "is longer than 10 years";
		first = false;
	} while (!wrong && *p);

	if (wrong) {
		error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" %s", SHOW(s), wrong);
		error_cure(e, "write it as 90s, 5m, 1h30m or 250ms");
		return ERROR_BAD_REQUEST;
	}
	*ret_ms = total;
	return 0;
}

int parse_size(const char *s, uint64_t *ret_bytes, struct error *e)
{
	const char *p = s;
	uint64_t v;
	unsigned shift = 0;
	if (!is_digit(*p))
		goto bad;
	if (!read_digits(&p, &v))
		goto large;
	if (*p) {
		const char *suffix = strchr("KkMmGgTt", *p);
		if (!suffix || p[1])
			goto bad;
		shift = 10 * ((unsigned)(suffix - "KkMmGgTt") / 2 + 1);
	}
	if (v > UINT64_MAX >> shift)
		goto large;
	*ret_bytes = v << shift;
	return 0;
bad:
	error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is not a size", SHOW(s));
	error_cure(e, "write it as bytes, or as 64K, 10M, 1G");
	return ERROR_BAD_REQUEST;
large:
	return error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is more than 64 bits of bytes", SHOW(s));
}

int parse_number(const char *s, uint64_t least, uint64_t most, uint64_t *ret, struct error *e)
{
	const char *p = s;
	uint64_t v;
	bool digits = is_digit(*p);
	if (!digits || p[strspn(p, "0123456789")])
		return error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is not a number", SHOW(s));
	if (!read_digits(&p, &v) || v < least || v > most)
		return error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is not within %" PRIu64 " and %" PRIu64, SHOW(s), least, most);
	*ret = v;
	return 0;
}

int parse_bool(const char *s, bool *ret, struct error *e)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(s, words[i])) {
			*ret = i % 2;
			return 0;
		}
	}
	return error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is neither yes nor no", SHOW(s));
}

int parse_priority(const char *s, uint32_t *ret, struct error *e)
{
	static const char *const words[] = { "critical", "high", "normal", "low", "bulk" };
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(s, words[i])) {
			*ret = i * 1000;
			return 0;
		}
	}
	uint64_t v;
	if (parse_number(s, 0, UINT32_MAX, &v, NULL)) {
		error_set(e, ERROR_BAD_REQUEST, "\"" SHOWN "\" is not a priority", SHOW(s));
		error_cure(e, "use critical, high, normal, low, bulk, or a number below 2^32 (lower runs first)");
		return ERROR_BAD_REQUEST;
	}
	*ret = (uint32_t)v;
	return 0;
}

const char *format_duration(uint64_t ms, char *out, size_t size)
{
	size_t len = 0;
	if (ms == 0)
		snprintf(out, size, "0s");
	for (size_t u = 0; u < N_UNITS && ms; u++) {
		uint64_t n = ms / units[u].ms;
		ms %= units[u].ms;
		if (n && len < size)
			len += (size_t)snprintf(out + len, size - len, "%" PRIu64 "%s", n, units[u].name);
	}
	return out;
}

const char *format_age(uint64_t ms, char *out, size_t size)
{
	uint64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;
	if (s < 10)
		snprintf(out, size, "%" PRIu64 ".%us", s, (unsigned)(ms % 1000 / 100));
	else if (s < 60)
		snprintf(out, size, "%" PRIu64 "s", s);
	else if (m < 60)
		snprintf(out, size, "%" PRIu64 "m", m);
	else if (h < 24)
		snprintf(out, size, m % 60 ? "%" PRIu64 "h %um" : "%" PRIu64 "h", h, (unsigned)(m % 60));
	else
		snprintf(out, size, h % 24 ? "%" PRIu64 "d %uh" : "%" PRIu64 "d", d, (unsigned)(h % 24));
	return out;
}

const char *format_size(uint64_t bytes, char *out, size_t size)
{
	static const char suffixes[] = "KMGTPE";
	unsigned shift = 0;
	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	uint64_t whole = bytes >> shift;
	if (shift == 0) {
		snprintf(out, size, "%" PRIu64, bytes);
		return out;
	}
	/* The tenth of the part below the unit, cut, not rounded: "9.9M" is never "10.0M". */
	uint64_t rest = (bytes >> (shift - 10)) & 1023;
	unsigned tenth = (unsigned)(rest * 10 / 1024);
	if (whole < 10 && tenth)
		snprintf(out, size, "%" PRIu64 ".%u%c", whole, tenth, suffixes[shift / 10 - 1]);
	else
		snprintf(out, size, "%" PRIu64 "%c", whole, suffixes[shift / 10 - 1]);
	return out;
}

const char *format_size_exact(uint64_t bytes, char *out, size_t size)
{
	static const char suffixes[] = "KMGT";
	unsigned unit = 0;
	while (unit < 4 && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, size, "%" PRIu64 "%.1s", bytes, unit ? suffixes + unit - 1 : "");
	return out;
}
