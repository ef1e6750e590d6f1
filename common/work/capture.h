#pragma once
/* What a program says: the beginning of its stdout (the result), the end of its stderr (the log). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keeps the first max bytes; what comes after is dropped and remembered as such. */
struct capture {
	uint8_t *data;
	size_t len, room, max;
	bool truncated;
};
void capture_init(struct capture *c, size_t max);
void capture_fini(struct capture *c);
int capture_add(struct capture *c, const void *data, size_t len); /* 0 or -ENOMEM */
uint8_t *capture_steal(struct capture *c, size_t *ret_len);       /* the caller frees; NULL when empty. c is empty then */

/* Keeps the last max bytes, in a ring. */
struct tail {
	uint8_t *data;
	size_t len, at, max;
};
int tail_init(struct tail *t, size_t max); /* 0 or -ENOMEM */
void tail_fini(struct tail *t);
void tail_clear(struct tail *t);
void tail_add(struct tail *t, const void *data, size_t len);
uint8_t *tail_copy(const struct tail *t, size_t *ret_len); /* the caller frees; NULL when empty, or without memory */
/* The last line that is not blank, as one line of UTF-8 in out; "" where there is none. */
void tail_last_line(const struct tail *t, char *out, size_t size);
