#pragma once
/* Random numbers. A core takes a struct rng (seeded by its shell or its test), so that a run can be repeated. */
#include <stddef.h>
#include <stdint.h>
struct rng { uint64_t s[4]; };  /* xoshiro256**, Blackman and Vigna 2018 */
void rng_seed(struct rng *r, uint64_t seed); /* through splitmix64 */
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 to n-1, unbiased; n > 0 */
int rng_system(void *out, size_t len);       /* getrandom(2), not seeded by us; 0 or -errno */
