#include "common/work/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"

void capture_init(struct capture *c, size_t max)
{
	*c = (struct capture){ .max = max };
}

void capture_fini(struct capture *c)
{
	free(c->data);
	*c = (struct capture){ .max = c->max };
}

int capture_add(struct capture *c, const void *data, size_t len)
{
	if (len > c->max - c->len) {
		len = c->max - c->len;
		c->truncated = true;
	}
	if (!len)
		return 0;
	if (c->room - c->len < len) {
		size_t room = c->room ? c->room : 1024;
		while (room - c->len < len)
			room *= 2;
		if (room > c->max)
			room = c->max;
		uint8_t *grown = realloc(c->data, room);
		if (!grown)
			return -ENOMEM;
		c->data = grown;
		c->room = room;
	}
	memcpy(c->data + c->len, data, len);
	c->len += len;
	return 0;
}

uint8_t *capture_steal(struct capture *c, size_t *ret_len)
{
	uint8_t *data = steal(&c->data);
	*ret_len = c->len;
	c->len = c->room = 0;
	return data;
}

int tail_init(struct tail *t, size_t max)
{
	*t = (struct tail){ .max = max };
	if (max && !(t->data = malloc(max)))
		return -ENOMEM;
	return 0;
}

void tail_fini(struct tail *t)
{
	free(t->data);
	*t = (struct tail){ 0 };
}

void tail_clear(struct tail *t)
{
	t->len = t->at = 0;
}

void tail_add(struct tail *t, const void *data, size_t len)
{
	const uint8_t *from = data;
	if (!t->max)
		return;
	if (len > t->max) {
		from += len - t->max;
		len = t->max;
	}
	size_t first = t->max - t->at < len ? t->max - t->at : len;
	memcpy(t->data + t->at, from, first);
	memcpy(t->data, from + first, len - first);
	t->at = (t->at + len) % t->max;
	t->len = t->len + len > t->max ? t->max : t->len + len;
}

uint8_t *tail_copy(const struct tail *t, size_t *ret_len)
{
	uint8_t *out = t->len ? malloc(t->len) : NULL;
	*ret_len = out ? t->len : 0;
	if (!out)
		return NULL;
	size_t from = t->len < t->max ? 0 : t->at, first = t->len - from;
	memcpy(out, t->data + from, first);
	memcpy(out + first, t->data, t->len - first);
	return out;
}

void tail_last_line(const struct tail *t, char *out, size_t size)
{
	size_t len;
	_cleanup_(freep) uint8_t *text = tail_copy(t, &len);
	*out = '\0';
	while (len && (text[len - 1] <= ' ' || text[len - 1] == 0x7f))
		len--;
	size_t from = len;
	while (from && text[from - 1] != '\n')
		from--;
	if (!len || !size)
		return;
	len = len - from < size - 1 ? len - from : size - 1;
	for (size_t i = 0; i < len; i++)
		out[i] = text[from + i] < 0x20 ? ' ' : (char)text[from + i];
	out[len] = '\0';
	utf8_clean(out);
}
