#include <stdio.h>
#include <string.h>
#include "actors/coordinator/cron.h"

#define FIELDS 5u

static const char *const months[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC" };
static const char *const weekdays[] = { "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT" };

struct field { const char *name; int least, most; const char *const *names; int n_names; };
static const struct field fields[FIELDS] = {
	{ "minute", 0, 59, NULL, 0 }, { "hour", 0, 23, NULL, 0 }, { "day of month", 1, 31, NULL, 0 }, { "month", 1, 12, months, 12 }, { "day of week", 0, 7, weekdays, 7 },
};
static const struct { const char *name, *text; } nicknames[] = {
	{ "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" }, { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" }, { "@monthly", "0 0 1 * *" },
	{ "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" },
};

/* One item of a field's list. */
struct item { const struct field *f; const char *text; int len; };

static int refuse(const struct item *i, struct error *e, const char *why)
{
	return error_set(e, ERROR_BAD_REQUEST, "%s: \"%.*s\" %s", i->f->name, i->len > 40 ? 40 : i->len, i->text, why);
}

static bool same_letters(const char *a, const char *upper, int n)
{
	for (int i = 0; i < n; i++)
		if ((a[i] >= 'a' && a[i] <= 'z' ? a[i] - 32 : a[i]) != upper[i])
			return false;
	return true;
}

/* A number or a name, at *io. *ret_named: it was a name. False: it is neither, or out of range. */
static bool take_value(const struct field *f, const char **io, const char *end, int *ret, bool *ret_named)
{
	const char *p = *io;
	*ret_named = false;
	for (int i = 0; end - p >= 3 && i < f->n_names; i++)
		if (same_letters(p, f->names[i], 3)) {
			*ret = f->least + i;
			*ret_named = true;
			*io = p + 3;
			return true;
		}
	int n = 0;
	for (; p < end && *p >= '0' && *p <= '9' && p - *io < 3; p++)
		n = 10 * n + (*p - '0');
	bool any = p > *io;
	*io = p;
	*ret = n;
	return any && n >= f->least && n <= f->most;
}

static int out_of_range(const struct item *i, struct error *e)
{
	char why[80];
	snprintf(why, sizeof why, "is not %d to %d%s%s%s%s", i->f->least, i->f->most, i->f->names ? ", or " : "", i->f->names ? i->f->names[0] : "", i->f->names ? " to " : "",
	         i->f->names ? i->f->names[i->f->n_names - 1] : "");
	return refuse(i, e, why);
}

/* "*", "7", "1-5", each but a single value with "/n" behind it. */
static int parse_item(const struct item *i, uint64_t *io_bits, struct error *e)
{
	const struct field *f = i->f;
	const char *p = i->text, *end = i->text + i->len;
	int from = f->least, to = f->most, step = 1;
	bool named, range = true;
	if (i->len == 0)
		return refuse(i, e, "is empty: a list has no empty places");
	if (*p == '*') {
		p++;
		if (f->most == 7)
			to = 6;
	} else {
		if (!take_value(f, &p, end, &from, &named))
			return out_of_range(i, e);
		to = from;
		range = p < end && *p == '-';
		if (range) {
			p++;
			if (!take_value(f, &p, end, &to, &named))
				return out_of_range(i, e);
			if (named && to == 0 && f->most == 7)
				to = 7;
		}
		if (to < from)
			return refuse(i, e, "runs backwards");
	}
	if (p < end && *p == '/') {
		const struct field of_step = { f->name, 1, f->most, NULL, 0 };
		if (!range)
			return refuse(i, e, "has a step but no range: write * or a-b before it");
		p++;
		char why[48];
		snprintf(why, sizeof why, "has a step that is not 1 to %d", f->most);
		if (!take_value(&of_step, &p, end, &step, &named) || p < end)
			return refuse(i, e, why);
	}
	if (p < end)
		return refuse(i, e, "is no number, range or step");
	for (int v = from; v <= to; v += step)
		*io_bits |= 1ull << v;
	return 0;
}

static int parse_field(const struct field *f, const char *text, size_t len, uint64_t *ret_bits, struct error *e)
{
	const char *end = text + len;
	*ret_bits = 0;
	for (const char *at = text;; at++) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct item i = { f, at, (int)((comma ? comma : end) - at) };
		int r = parse_item(&i, ret_bits, e);
		if (r || !comma)
			return r;
		at = comma;
	}
}

static const char *nickname(const char *text)
{
	for (size_t i = 0; i < sizeof nicknames / sizeof *nicknames; i++)
		if (strcmp(text, nicknames[i].name) == 0)
			return nicknames[i].text;
	return NULL;
}

static bool is_step_of_all(const char *text, size_t len)
{
	return len > 0 && text[0] == '*' && !memchr(text, ',', len);
}

int cron_parse(const char *text, struct cron *ret, struct error *e)
{
	static const char blank[] = " \t";
	const char *at[FIELDS] = { NULL };
	size_t len[FIELDS] = { 0 }, n = 0;
	uint64_t bits[FIELDS];
	if (strlen(text) > CRON_TEXT_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "an expression has at most %u bytes, this one %zu", CRON_TEXT_MAX, strlen(text));
	if (*text == '@') {
		const char *full = nickname(text);
		if (!full)
			return error_set(e, ERROR_BAD_REQUEST, "\"%.40s\" is none of @hourly @daily @midnight @weekly @monthly @yearly @annually", text);
		text = full;
	}
	for (const char *p = text + strspn(text, blank); *p; p += strspn(p, blank)) {
		size_t word = strcspn(p, blank);
		if (n < FIELDS) {
			at[n] = p;
			len[n] = word;
		}
		n++;
		p += word;
	}
	if (n != FIELDS)
		return error_set(e, ERROR_BAD_REQUEST, "an expression has 5 fields, minute hour day month weekday, this one has %zu", n);
	for (size_t i = 0; i < FIELDS; i++) {
		int r = parse_field(&fields[i], at[i], len[i], &bits[i], e);
		if (r)
			return r;
	}
	*ret = (struct cron){ .minutes = bits[0], .hours = (uint32_t)bits[1], .days = (uint32_t)bits[2], .months = (uint16_t)bits[3],
		.weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f), .either_day = *at[2] != '*' && *at[4] != '*',
		.often = is_step_of_all(at[1], len[1]), .every_hour = is_step_of_all(at[1], len[1]) && bits[1] == 0xffffff };
	return 0;
}
