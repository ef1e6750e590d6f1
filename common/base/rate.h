#pragma once
/* Limits as text, the same in the configuration and on the command line: rates and amounts of a resource. */
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

#define RATE_TOKENS_MAX 1000000u
#define RATE_PER_MAX_MS (24ull * 3600 * 1000)
#define RATE_TEXT 64

/* A token bucket: tokens come in evenly, so many in per_ms; at most burst of them wait. tokens 0: no limit, and then the others are 0 too. */
struct rate { uint64_t tokens, per_ms, burst; };

/* "100/s" "10/m" "5/h" "1/d" "20/90s", with " burst 200" behind it or without, which is a burst of as many as the first number; "none" is no limit.
 * 1 to 1,000,000 tokens of each kind, in 1 ms to 1 day. 0, or ERROR_BAD_REQUEST with a text and a cure. */
int parse_rate(const char *s, struct rate *ret, struct error *e);
/* As parse_rate reads it back; returns out, of RATE_TEXT bytes. */
const char *format_rate(const struct rate *r, char *out, size_t size);
/* Which one lets less through in the long run: below 0 a, above 0 b, 0 the same. Neither may be "none". */
int rate_cmp(const struct rate *a, const struct rate *b);

#define RESOURCE_NAME_MAX 64
#define RESOURCE_TEXT (RESOURCE_NAME_MAX + 24)

struct resource_amount { char name[RESOURCE_NAME_MAX + 1]; uint64_t amount; };

/* "gpu 2", "mem=8G": a name of lower-case letters, digits, '_', '-' and '.', and a number or size above 0 and below 2^63. 0, or ERROR_BAD_REQUEST. */
int parse_resource(const char *s, size_t len, struct resource_amount *ret, struct error *e);
/* "gpu 2", "mem 8G": exact, as parse_resource reads it back; returns out, of RESOURCE_TEXT bytes. */
const char *format_resource(const struct resource_amount *r, char *out, size_t size);
