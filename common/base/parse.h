#pragma once
/* Text to values and back, the same in the configuration, the tool and the messages. All reject what they do not read to the end. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/* "90s" "5m" "2h" "3d" "250ms" "1h30m", or a bare number of seconds ("1.5" too). Units fall from left to right; nothing is finer than a millisecond.
 * "infinity" is none of it: a caller that allows the word compares first. Range 0 to 10 years (3650 days). 0, or ERROR_BAD_REQUEST with a text that names the value. */
int parse_duration(const char *s, uint64_t *ret_ms, struct error *e);
/* "64K" "10M" "1G" "1T" (powers of 1024, in either case), or bytes. */
int parse_size(const char *s, uint64_t *ret_bytes, struct error *e);
/* Decimal within [least, most]. */
int parse_number(const char *s, uint64_t least, uint64_t most, uint64_t *ret, struct error *e);
int parse_bool(const char *s, bool *ret, struct error *e); /* yes no true false on off 1 0 */
/* critical high normal low bulk, or a number. */
int parse_priority(const char *s, uint32_t *ret, struct error *e);

/* Exact, the largest units first, as parse_duration reads it back ("1h30m", "250ms", "0s"); returns out. 32 bytes suffice. */
const char *format_duration(uint64_t ms, char *out, size_t size);
/* For people: "52m", "3d 4h", "0.3s". */
const char *format_age(uint64_t ms, char *out, size_t size);
const char *format_size(uint64_t bytes, char *out, size_t size); /* "1.4M" */
/* Exact, as parse_size reads it back ("64K", "1000"); returns out. 32 bytes suffice. */
const char *format_size_exact(uint64_t bytes, char *out, size_t size);

/* The best of n words for a mistyped one (Damerau-Levenshtein distance at most 2, and less than the word's length), or NULL. */
const char *suggest(const char *word, const char *const *words, size_t n);

/* Valid UTF-8 without NUL (RFC 3629: no overlongs, no surrogates, at most U+10FFFF). */
bool utf8_valid(const uint8_t *s, size_t len);
/* Makes any bytes one line of valid UTF-8 in place: control characters and whatever is not UTF-8 become '?'; a sequence cut off at the end goes. */
void utf8_clean(char *s);
