/* A zone's file: TZif, RFC 8536, of version 2 or later. Nothing in it is believed: every count, offset, index and text is checked against what the file holds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/zone.h"

#define HEAD 44u
#define OFFSETS_MAX 256u
#define LETTERS_POOL_MAX 4096u

struct bytes { const uint8_t *at; size_t left; };

static uint32_t read_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read_i64(const uint8_t *p)
{
	return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

static int refuse(struct error *e, const char *why)
{
	return error_refuse(e, ERROR_BAD_REQUEST, "install the package tzdata anew", "not a zone's file: %s", why);
}

/* --- the rule behind the data: std offset [dst [offset] , start [/time] , end [/time]] --- */

struct text { const char *at, *end; };

static bool take(struct text *t, char x)
{
	if (t->at == t->end || *t->at != x)
		return false;
	t->at++;
	return true;
}

static bool take_number(struct text *t, int least, int most, int *ret)
{
	int n = 0, digits = 0;
	for (; t->at < t->end && *t->at >= '0' && *t->at <= '9' && digits < 4; t->at++, digits++)
		n = 10 * n + (*t->at - '0');
	*ret = n;
	return digits > 0 && n >= least && n <= most;
}

static bool is_letter(char x, bool quoted)
{
	return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (quoted && ((x >= '0' && x <= '9') || x == '+' || x == '-'));
}

static bool take_letters(struct text *t, char out[static ZONE_LETTERS_MAX + 1])
{
	bool quoted = take(t, '<');
	size_t n = 0;
	while (t->at < t->end && n < ZONE_LETTERS_MAX && is_letter(*t->at, quoted))
		out[n++] = *t->at++;
	out[n] = '\0';
	return n >= 3 && (!quoted || take(t, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct text *t, int hours_max, int32_t *ret)
{
	int h, m = 0, s = 0;
	bool minus = take(t, '-');
	if (!minus)
		take(t, '+');
	if (!take_number(t, 0, hours_max, &h) || (take(t, ':') && (!take_number(t, 0, 59, &m) || (take(t, ':') && !take_number(t, 0, 59, &s)))))
		return false;
	*ret = (minus ? -1 : 1) * (3600 * h + 60 * m + s);
	return true;
}

static bool take_day(struct text *t, struct zone_day *d)
{
	bool ok;
	*d = (struct zone_day){ .kind = ZONE_DAY_OF_YEAR, .time_s = 7200 };
	if (take(t, 'M')) {
		d->kind = ZONE_DAY_OF_MONTH;
		ok = take_number(t, 1, 12, &d->month) && take(t, '.') && take_number(t, 1, 5, &d->week) && take(t, '.') && take_number(t, 0, 6, &d->day);
	} else if (take(t, 'J')) {
		d->kind = ZONE_DAY_JULIAN;
		ok = take_number(t, 1, 365, &d->day);
	} else {
		ok = take_number(t, 0, 365, &d->day);
	}
	return ok && (!take(t, '/') || take_time(t, 167, &d->time_s)); /* 167 hours: version 3 */
}

int zone_rule_parse(const char *text, size_t len, struct zone_rule *ret, struct error *e)
{
	struct text t = { text, text + len };
	struct zone_rule r = { .has_summer = false };
	bool ok = take_letters(&t, r.standard.letters) && take_time(&t, 24, &r.standard.seconds);
	r.standard.seconds = -r.standard.seconds; /* POSIX counts to the west */
	if (ok && t.at < t.end) {
		r.has_summer = r.summer.dst = true;
		r.summer.seconds = r.standard.seconds + 3600;
		ok = take_letters(&t, r.summer.letters);
		if (ok && t.at < t.end && *t.at != ',') {
			ok = take_time(&t, 24, &r.summer.seconds);
			r.summer.seconds = -r.summer.seconds;
		}
		ok = ok && take(&t, ',') && take_day(&t, &r.begin) && take(&t, ',') && take_day(&t, &r.end);
	}
	if (!ok || t.at < t.end)
		return refuse(e, "its rule cannot be read");
	*ret = r;
	return 0;
}

/* --- the data --- */

struct counts { uint32_t ut, standard, leaps, changes, offsets, letters; };

static int read_head(struct bytes *b, struct counts *ret, uint8_t *ret_version, struct error *e)
{
	if (b->left < HEAD || memcmp(b->at, "TZif", 4) != 0)
		return refuse(e, "it does not begin with TZif");
	*ret_version = b->at[4];
	*ret = (struct counts){ read_u32(b->at + 20), read_u32(b->at + 24), read_u32(b->at + 28), read_u32(b->at + 32), read_u32(b->at + 36), read_u32(b->at + 40) };
	b->at += HEAD;
	b->left -= HEAD;
	return 0;
}

static uint64_t size_of(const struct counts *n, unsigned time_size)
{
	return (uint64_t)n->changes * (time_size + 1) + 6ull * n->offsets + n->letters + (uint64_t)n->leaps * (time_size + 4) + n->standard + n->ut;
}

static int check_counts(const struct counts *n, const struct bytes *b, struct error *e)
{
	if (n->changes > ZONE_CHANGES_MAX || n->offsets > OFFSETS_MAX || n->letters > LETTERS_POOL_MAX)
		return error_set(e, ERROR_TOO_LARGE, "a zone has at most %u changes, %u offsets and %u bytes of abbreviations, this one %u, %u and %u", ZONE_CHANGES_MAX, OFFSETS_MAX,
		                 LETTERS_POOL_MAX, n->changes, n->offsets, n->letters);
	if (n->offsets == 0 || n->letters == 0 || (n->ut && n->ut != n->offsets) || (n->standard && n->standard != n->offsets))
		return refuse(e, "its counts contradict each other");
	if (n->leaps)
		return error_refuse(e, ERROR_BAD_REQUEST, "name the zone without right/", "it counts leap seconds, which no clock here does");
	return size_of(n, 8) > b->left ? refuse(e, "it is cut short") : 0;
}

static int read_changes(const uint8_t *p, const struct counts *n, struct zone_change *all, struct error *e)
{
	const uint8_t *index = p + 8ul * n->changes;
	for (uint32_t i = 0; i < n->changes; i++) {
		all[i] = (struct zone_change){ read_i64(p + 8ul * i), index[i] };
		if (index[i] >= n->offsets || (i && all[i].at_s <= all[i - 1].at_s))
			return refuse(e, "its changes are not in order");
	}
	return 0;
}

static int read_offsets(const uint8_t *p, const struct counts *n, struct zone_offset *all, struct error *e)
{
	const char *letters = (const char *)p + 6ul * n->offsets;
	for (uint32_t i = 0; i < n->offsets; i++, p += 6) {
		int32_t seconds = (int32_t)read_u32(p);
		size_t len = p[5] < n->letters ? strnlen(letters + p[5], n->letters - p[5]) : n->letters;
		bool ok = seconds >= ZONE_OFFSET_MIN && seconds <= ZONE_OFFSET_MAX && p[4] <= 1 && len <= ZONE_LETTERS_MAX && p[5] + len < n->letters;
		for (size_t k = 0; ok && k < len; k++)
			ok = is_letter(letters[p[5] + k], true);
		if (!ok)
			return refuse(e, "one of its offsets cannot be");
		all[i].seconds = seconds;
		all[i].dst = p[4];
		memcpy(all[i].letters, letters + p[5], len);
	}
	return 0;
}

static int read_footer(struct bytes b, struct zone *z, struct error *e)
{
	const uint8_t *end = b.left > 1 && b.at[0] == '\n' ? memchr(b.at + 1, '\n', b.left - 1) : NULL;
	if (!end)
		return refuse(e, "its last line is missing");
	size_t len = (size_t)(end - b.at) - 1;
	z->has_rule = len > 0;
	return len ? zone_rule_parse((const char *)b.at + 1, len, &z->rule, e) : 0;
}

/* One block of memory: the zone, its changes, its offsets. */
static int build(const struct bytes *b, const struct counts *n, struct zone **ret, struct error *e)
{
	struct zone *z = calloc(1, sizeof *z + n->changes * sizeof(struct zone_change) + n->offsets * sizeof(struct zone_offset));
	if (!z)
		return -ENOMEM;
	struct zone_change *changes = (struct zone_change *)(z + 1);
	struct zone_offset *offsets = (struct zone_offset *)(changes + n->changes);
	z->changes = changes;
	z->n_changes = n->changes;
	z->offsets = offsets;
	z->n_offsets = n->offsets;
	int r = read_changes(b->at, n, changes, e);
	if (!r)
		r = read_offsets(b->at + 9ul * n->changes, n, offsets, e);
	if (!r)
		r = read_footer((struct bytes){ b->at + size_of(n, 8), b->left - (size_t)size_of(n, 8) }, z, e);
	if (r)
		zone_free(z);
	else
		*ret = z;
	return r;
}

int zone_read(const void *data, size_t len, struct zone **ret, struct error *e)
{
	struct bytes b = { data, len };
	struct counts n;
	uint8_t version;
	if (len > ZONE_FILE_MAX)
		return error_set(e, ERROR_TOO_LARGE, "a zone's file has at most %u bytes, this one %zu", ZONE_FILE_MAX, len);
	int r = read_head(&b, &n, &version, e);
	if (r)
		return r;
	if (version < '2')
		return error_refuse(e, ERROR_VERSION, "install the package tzdata anew", "the zone's file is of version 1, which ends in 2038");
	if (size_of(&n, 4) > b.left)
		return refuse(e, "it is cut short");
	b.at += size_of(&n, 4);
	b.left -= (size_t)size_of(&n, 4);
	r = read_head(&b, &n, &version, e);
	if (!r)
		r = check_counts(&n, &b, e);
	return r ? r : build(&b, &n, ret, e);
}

void zone_free(struct zone *z)
{
	free(z);
}
