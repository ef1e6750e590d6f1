#include "common/base/sha256.h"

static const char digits[] = "0123456789abcdef";

void sha256_init(struct sha256 *h)
{
	SHA256Init(&h->context);
}

void sha256_add(struct sha256 *h, const void *data, size_t len)
{
	if (len)
		SHA256Update(&h->context, data, len);
}

void sha256_end(struct sha256 *h, uint8_t ret[static SHA256_BYTES])
{
	SHA256Final(ret, &h->context);
}

void sha256_format(const uint8_t digest[static SHA256_BYTES], char ret[static SHA256_TEXT])
{
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		ret[2 * i] = digits[digest[i] >> 4];
		ret[2 * i + 1] = digits[digest[i] & 15];
	}
	ret[2 * SHA256_BYTES] = '\0';
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sha256_parse(const char *text, uint8_t ret[static SHA256_BYTES])
{
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
		if (low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * SHA256_BYTES] == '\0';
}
