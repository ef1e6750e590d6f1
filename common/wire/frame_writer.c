#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/codec.h"

#define ENVELOPE_TAG (3 << 3 | 2) /* Frame.envelopes, length-delimited: one byte */
#define ROOM_FIRST 4096
#define VARINT_MAX 10

static size_t varint_size(uint64_t v)
{
	size_t n = 1;
	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static uint8_t *varint_write(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

void frame_writer_init(struct frame_writer *w, size_t head)
{
	*w = (struct frame_writer){ .head = head };
}

void frame_writer_fini(struct frame_writer *w)
{
	free(w->data);
	w->data = NULL;
	w->len = w->room = w->n_envelopes = 0;
}

void frame_writer_reset(struct frame_writer *w)
{
	w->len = w->n_envelopes = 0;
}

/* Room for n more bytes; NULL without memory. */
static uint8_t *writer_reserve(struct frame_writer *w, size_t n)
{
	size_t need;
	if (__builtin_add_overflow(w->head + w->len, n, &need))
		return NULL;
	if (need > w->room) {
		size_t room = w->room ? w->room : ROOM_FIRST;
		while (room < need)
			if (__builtin_mul_overflow(room, (size_t)2, &room))
				return NULL;
		uint8_t *data = realloc(w->data, room);
		if (!data)
			return NULL;
		w->data = data;
		w->room = room;
	}
	return w->data + w->head + w->len;
}

size_t frame_envelope_size(const Troupe__Envelope *e)
{
	size_t n = protobuf_c_message_get_packed_size(&e->base);
	return 1 + varint_size(n) + n;
}

int frame_add_envelope(struct frame_writer *w, const Troupe__Envelope *e)
{
	size_t n = protobuf_c_message_get_packed_size(&e->base);
	uint8_t *p = writer_reserve(w, 1 + VARINT_MAX + n);
	if (!p)
		return -ENOMEM;
	*p++ = ENVELOPE_TAG;
	p = varint_write(p, n);
	p += protobuf_c_message_pack(&e->base, p);
	w->len = (size_t)(p - w->data) - w->head;
	w->n_envelopes++;
	return 0;
}

int frame_add_packed(struct frame_writer *w, const uint8_t *envelope, size_t len)
{
	uint8_t *p = writer_reserve(w, 1 + VARINT_MAX + len);
	if (!p)
		return -ENOMEM;
	*p++ = ENVELOPE_TAG;
	p = varint_write(p, len);
	if (len)
		memcpy(p, envelope, len);
	w->len = (size_t)(p + len - w->data) - w->head;
	w->n_envelopes++;
	return 0;
}

int frame_add_parts(struct frame_writer *w, const Troupe__Frame *parts)
{
	uint8_t *p = writer_reserve(w, protobuf_c_message_get_packed_size(&parts->base));
	if (!p)
		return -ENOMEM;
	w->len += protobuf_c_message_pack(&parts->base, p);
	w->n_envelopes += parts->n_envelopes;
	return 0;
}
