#pragma once
/* What a program says into our log: at most so many lines a second, the rest is counted. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAYS_LINE 512

struct says {
	uint64_t second, n, missed;
	char line[SAYS_LINE + 1];
	size_t len;
};
/* May one more line go now? Then *ret_missed is how many did not since the last one that did. */
bool says_may(struct says *s, uint64_t now_ms, uint64_t *ret_missed);
/* Bytes of a stderr: whole lines go to the log, longer ones cut. */
void says_lines(struct says *s, const void *data, size_t len, uint64_t now_ms);
