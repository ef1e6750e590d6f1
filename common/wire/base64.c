#include "common/wire/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const uint8_t *data, size_t len, char *out)
{
	for (; len >= 3; len -= 3, data += 3) {
		uint32_t v = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = alphabet[v >> 6 & 63];
		*out++ = alphabet[v & 63];
	}
	if (len == 0)
		return;
	uint32_t v = (uint32_t)data[0] << 16 | (len == 2 ? (uint32_t)data[1] << 8 : 0);
	*out++ = alphabet[v >> 18];
	*out++ = alphabet[v >> 12 & 63];
	*out++ = len == 2 ? alphabet[v >> 6 & 63] : '=';
	*out++ = '=';
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len)
{
	if (len % 4 == 0 && len > 0 && text[len - 1] == '=')
		len -= text[len - 2] == '=' ? 2 : 1;
	if (len % 4 == 1)
		return false;

	uint32_t v = 0;
	unsigned bits = 0;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		int d = digit_value(text[i]);
		if (d < 0)
			return false;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(v >> bits);
			v &= (1u << bits) - 1;
		}
	}
	/* Bits left over would make two texts of one value. */
	if (v)
		return false;
	*ret_len = n;
	return true;
}
