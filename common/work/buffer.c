#include "common/work/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void buffer_fini(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

int buffer_reserve(struct buffer *b, size_t n)
{
	if (b->room - b->to >= n)
		return 0;
	size_t len = buffer_len(b);
	if (b->from >= b->room / 2 && b->room - len >= n) {
		memmove(b->data, b->data + b->from, len);
		b->from = 0;
		b->to = len;
		return 0;
	}
	size_t room = b->room ? b->room : 4096;
	while (room - b->to < n) {
		if (room > SIZE_MAX / 2)
			return -ENOMEM;
		room *= 2;
	}
	char *data = realloc(b->data, room);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

void buffer_take(struct buffer *b, size_t n)
{
	assert(n <= buffer_len(b));
	b->from += n;
	if (b->from == b->to)
		b->from = b->to = 0;
}
