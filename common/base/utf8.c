#include <string.h>

#include "common/base/parse.h"

/* Length of the sequence at s, of which left > 0 bytes exist; 0 where it is none. The table of RFC 3629, section 4. */
static size_t sequence_length(const uint8_t *s, size_t left)
{
	uint8_t c = s[0], low = 0x80, high = 0xbf;
	size_t n;
	if (c < 0x80)
		return c ? 1 : 0;
	else if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > left)
		return 0;

	if (c == 0xe0)
		low = 0xa0; /* overlong */
	else if (c == 0xed)
		high = 0x9f; /* surrogates */
	else if (c == 0xf0)
		low = 0x90; /* overlong */
	else if (c == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_valid(const uint8_t *s, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
	size_t i = 0;
	while (i < len) {
		/* Eight bytes of ASCII without NUL at a time. The second term is non-zero where a byte is 0 (and never misses one). */
		uint64_t word;
		if (len - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			if (!((word & highs) | ((word - ones) & ~word & highs))) {
				i += sizeof(word);
				continue;
			}
		}
		size_t n = sequence_length(s + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

/* The left bytes at s are the beginning of a sequence, as a cut in the middle of a character leaves it. */
static bool sequence_is_cut(const uint8_t *s, size_t left)
{
	size_t whole = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
	for (size_t i = 1; i < left && i < whole; i++)
		if ((s[i] & 0xc0) != 0x80)
			return false;
	return left < whole;
}

void utf8_clean(char *s)
{
	uint8_t *u = (uint8_t *)s;
	size_t left = strlen(s);
	while (left) {
		size_t n = sequence_length(u, left);
		if (n == 0 && sequence_is_cut(u, left)) {
			*u = '\0';
			return;
		}
		if (n == 0 || *u < 0x20 || *u == 0x7f || (n == 2 && *u == 0xc2 && u[1] < 0xa0))
			memset(u, '?', n ? n : 1);
		u += n ? n : 1;
		left -= n ? n : 1;
	}
}
