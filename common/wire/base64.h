#pragma once
/* Base 64 (RFC 4648). Written with the standard alphabet and padding; read in both alphabets, with or without padding. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4) /* characters of n bytes, without a NUL */
void base64_encode(const uint8_t *data, size_t len, char *out);
/* At most len / 4 * 3 + 2 bytes; false where text is not base 64. */
bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len);
