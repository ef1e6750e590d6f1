#pragma once
/* Ids: 16 bytes, 48 bits of wall milliseconds, then 80 random bits that count up within a millisecond (the ULID layout).
 * Shown as 26 characters of Crockford's base 32. Sorting bytes, or text, sorts by time. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/base/rng.h"
#define ID_TEXT 27
struct id { uint8_t b[16]; };
struct id_maker { struct rng rng; uint64_t last_ms; uint8_t tail[10]; };
void id_maker_init(struct id_maker *m, uint64_t seed);
struct id id_make(struct id_maker *m, uint64_t wall_ms); /* strictly rising for one maker, also when the clock steps back */
void id_format(const struct id *id, char out[static ID_TEXT]);
int id_parse(const char *s, struct id *ret, struct error *e); /* 26 characters, case and I L O read as usual; 0 or ERROR_BAD_REQUEST */
bool id_suffix_match(const struct id *id, const char *suffix); /* suffix of the shown text, any case */
uint64_t id_time_ms(const struct id *id);
bool id_equal(const struct id *a, const struct id *b);
int id_cmp(const struct id *a, const struct id *b);
