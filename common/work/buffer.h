#pragma once
/* Bytes that grow at the end and are taken from the front. */
#include <stdbool.h>
#include <stddef.h>
struct buffer {
	char *data;
	size_t from, to, room; /* what is in it: data[from, to) */
};
void buffer_fini(struct buffer *b);
/* Room for n more bytes behind b->to; -ENOMEM leaves it as it was. */
int buffer_reserve(struct buffer *b, size_t n);
void buffer_take(struct buffer *b, size_t n); /* n bytes of the front are done */
static inline size_t buffer_len(const struct buffer *b) { return b->to - b->from; }
