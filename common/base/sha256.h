#pragma once
/* SHA-256, of libmd: what large payloads are named by. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sha2.h>

#define SHA256_BYTES 32u
#define SHA256_TEXT 65u   /* hexadecimal, with its NUL */

struct sha256 { SHA2_CTX context; };

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t len);
void sha256_end(struct sha256 *h, uint8_t ret[static SHA256_BYTES]); /* init begins anew */
void sha256_format(const uint8_t digest[static SHA256_BYTES], char ret[static SHA256_TEXT]); /* lower case */
bool sha256_parse(const char *text, uint8_t ret[static SHA256_BYTES]); /* 64 hexadecimal digits in lower case, and nothing behind them */
