#include "common/base/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

static int bad_rate(const char *s, const char *wrong, struct error *e)
{
	error_set(e, ERROR_BAD_REQUEST, "\"%.64s\" %s", s, wrong);
	error_cure(e, "write it as 100/s, 10/m, 5/h or 20/90s, with burst 200 behind it or without; none is no limit");
	return ERROR_BAD_REQUEST;
}

/* Digits at s, and where they end. False: none, or out of the range of tokens. */
static bool read_tokens(const char **s, uint64_t *ret)
{
	char digits[12];
	size_t n = strspn(*s, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, *s, n);
	digits[n] = '\0';
	*s += n;
	return parse_number(digits, 1, RATE_TOKENS_MAX, ret, NULL) == 0;
}

/* "s", "m", "h", "d" is one of it; else a duration. */
static bool read_period(const char **s, uint64_t *ret_ms)
{
	char text[40];
	size_t n = strcspn(*s, " \t");
	if (n == 0 || n > 32)
		return false;
	bool unit = **s >= 'a';
	snprintf(text, sizeof(text), "%s%.*s", unit ? "1" : "", (int)n, *s);
	*s += n;
	return parse_duration(text, ret_ms, NULL) == 0 && *ret_ms >= 1 && *ret_ms <= RATE_PER_MAX_MS;
}

int parse_rate(const char *s, struct rate *ret, struct error *e)
{
	const char *p = s;
	struct rate r = { 0 };
	if (!strcmp(s, "none")) {
		*ret = r;
		return 0;
	}
	if (*s == '0' && !s[strspn(s, "0")])
		return bad_rate(s, "is no rate: to let nothing through, pause the queue", e);
	if (!read_tokens(&p, &r.tokens))
		return bad_rate(s, "does not begin with a number from 1 to 1000000", e);
	if (*p++ != '/')
		return bad_rate(s, "does not say in which time", e);
	if (!read_period(&p, &r.per_ms))
		return bad_rate(s, "has a time that is not within 1ms and 1d", e);
	r.burst = r.tokens;
	if (*p) {
		p += strspn(p, " \t");
		if (strncmp(p, "burst", 5) != 0 || !strspn(p + 5, " \t"))
			return bad_rate(s, "goes on with something that is not burst", e);
		p += 5;
		p += strspn(p, " \t");
		if (!read_tokens(&p, &r.burst) || *p)
			return bad_rate(s, "has a burst that is no number from 1 to 1000000", e);
	}
	*ret = r;
	return 0;
}

const char *format_rate(const struct rate *r, char *out, size_t size)
{
	static const struct { uint64_t ms; const char *name; } units[] = { { 1000, "s" }, { 60000, "m" }, { 3600000, "h" }, { 86400000, "d" } };
	char period[32], burst[40] = "";
	if (r->tokens == 0) {
		snprintf(out, size, "none");
		return out;
	}
	format_duration(r->per_ms, period, sizeof(period));
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].ms == r->per_ms)
			snprintf(period, sizeof(period), "%s", units[i].name);
	if (r->burst && r->burst != r->tokens)
		snprintf(burst, sizeof(burst), " burst %" PRIu64, r->burst);
	snprintf(out, size, "%" PRIu64 "/%s%s", r->tokens, period, burst);
	return out;
}

int rate_cmp(const struct rate *a, const struct rate *b)
{
	uint64_t x = a->tokens * b->per_ms, y = b->tokens * a->per_ms; /* both below 2^47 */
	return x < y ? -1 : x > y;
}

int parse_resource(const char *s, size_t len, struct resource_amount *ret, struct error *e)
{
	char text[RESOURCE_TEXT];
	struct resource_amount r = { .amount = 0 };
	if (len < sizeof(text)) {
		memcpy(text, s, len);
		text[len] = '\0';
		size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-");
		const char *amount = text + n;
		if (n >= 1 && n <= RESOURCE_NAME_MAX && strspn(amount, " \t=") && strlen(text) == len) {
			amount += *amount == '=' ? 1 : strspn(amount, " \t");
			memcpy(r.name, text, n);
			if (parse_size(amount, &r.amount, NULL) == 0 && r.amount >= 1 && r.amount <= INT64_MAX) {
				*ret = r;
				return 0;
			}
		}
	}
	error_set(e, ERROR_BAD_REQUEST, "\"%.*s\" is no amount of a resource", (int)(len < 64 ? len : 64), s);
	error_cure(e, "write a name in lower case and a number or size above 0: gpu 2, or mem 8G");
	return ERROR_BAD_REQUEST;
}

const char *format_resource(const struct resource_amount *r, char *out, size_t size)
{
	char amount[32];
	snprintf(out, size, "%s %s", r->name, format_size_exact(r->amount, amount, sizeof(amount)));
	return out;
}
