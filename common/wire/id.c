#include "common/wire/id.h"

#include <string.h>

#define TIME_MAX ((UINT64_C(1) << 48) - 1)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The value of a character as Crockford reads it, or -1. */
static int digit_value(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	else if (c == 'I' || c == 'L')
		c = '1';
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

void id_maker_init(struct id_maker *m, uint64_t seed)
{
	*m = (struct id_maker){ 0 };
	rng_seed(&m->rng, seed);
}

static void tail_fill(struct id_maker *m)
{
	uint64_t a = rng_next(&m->rng), b = rng_next(&m->rng);
	memcpy(m->tail, &a, 8);
	memcpy(m->tail + 8, &b, 2);
}

/* False when all 80 bits were ones. */
static bool tail_step(struct id_maker *m)
{
	for (int i = 9; i >= 0; i--)
		if (++m->tail[i])
			return true;
	return false;
}

struct id id_make(struct id_maker *m, uint64_t wall_ms)
{
	if (wall_ms > TIME_MAX)
		wall_ms = TIME_MAX;
	if (wall_ms > m->last_ms) {
		m->last_ms = wall_ms;
		tail_fill(m);
	} else if (!tail_step(m)) {
		/* The millisecond is full: borrow the next one, as for a clock that steps back. */
		m->last_ms++;
		tail_fill(m);
	}

	struct id id;
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(m->last_ms >> (8 * (5 - i)));
	memcpy(id.b + 6, m->tail, sizeof(m->tail));
	return id;
}

/* 128 bits in 26 digits of 5: the first digit carries only 3. */
void id_format(const struct id *id, char out[static ID_TEXT])
{
	unsigned __int128 v = 0;
	for (int i = 0; i < 16; i++)
		v = v << 8 | id->b[i];
	for (int i = ID_TEXT - 2; i >= 0; i--, v >>= 5)
		out[i] = alphabet[v & 31];
	out[ID_TEXT - 1] = '\0';
}

int id_parse(const char *s, struct id *ret, struct error *e)
{
	unsigned __int128 v = 0;
	int n = 0;
	for (; n < ID_TEXT - 1 && s[n]; n++) {
		int d = digit_value(s[n]);
		if (d < 0)
			return error_set(e, ERROR_BAD_REQUEST, "\"%.32s\" is not an id: character %d is not of base 32", s, n + 1);
		if (n == 0 && d > 7)
			return error_set(e, ERROR_BAD_REQUEST, "\"%.32s\" is not an id: it is above 128 bits", s);
		v = v << 5 | (unsigned)d;
	}
	if (n != ID_TEXT - 1 || s[n])
		return error_set(e, ERROR_BAD_REQUEST, "\"%.32s\" is not an id: it has not 26 characters", s);
	for (int i = 15; i >= 0; i--, v >>= 8)
		ret->b[i] = (uint8_t)v;
	return 0;
}

bool id_suffix_match(const struct id *id, const char *suffix)
{
	size_t n = strnlen(suffix, ID_TEXT);
	if (n == 0 || n > ID_TEXT - 1)
		return false;
	char text[ID_TEXT];
	id_format(id, text);
	const char *tail = text + ID_TEXT - 1 - n;
	for (size_t i = 0; i < n; i++)
		if (digit_value(suffix[i]) != digit_value(tail[i]))
			return false;
	return true;
}

uint64_t id_time_ms(const struct id *id)
{
	uint64_t ms = 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->b[i];
	return ms;
}

bool id_equal(const struct id *a, const struct id *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

int id_cmp(const struct id *a, const struct id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}
