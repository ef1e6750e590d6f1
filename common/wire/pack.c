#include "common/wire/pack.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST 1024u

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* Free memory of the arena, filled from its end. */
struct back {
	struct arena *arena;
	uint8_t *data;
	size_t room, at; /* what is written lies from at to room */
	bool failed;
};

/* Moves to a larger piece. Room for n bytes before what is there; NULL without memory. */
static uint8_t *back_grow(struct back *b, size_t n)
{
	size_t have = b->room - b->at, least, room;
	uint8_t *data = NULL;
	if (!b->failed && !__builtin_add_overflow(have, n, &least) && !__builtin_mul_overflow(least, (size_t)2, &least))
		data = arena_room(b->arena, least, &room);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	if (have)
		memcpy(data + room - have, b->data + b->at, have);
	b->data = data;
	b->room = room;
	b->at = room - have - n;
	return data + b->at;
}

static inline uint8_t *back_room(struct back *b, size_t n)
{
	return b->at >= n ? b->data + (b->at -= n) : back_grow(b, n);
}

static inline void put_bytes(struct back *b, const void *data, size_t n)
{
	uint8_t *p = n ? back_room(b, n) : NULL;
	if (p)
		memcpy(p, data, n);
}

static inline void put_varint(struct back *b, uint64_t v)
{
	unsigned n = ((unsigned)(63 - __builtin_clzll(v | 1)) + 7) / 7;
	uint8_t *p = back_room(b, n);
	if (!p)
		return;
	for (; n > 1; n--, v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p = (uint8_t)v;
}

static inline void put_tag(struct back *b, uint32_t number, enum wire type)
{
	put_varint(b, (uint64_t)number << 3 | type);
}

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static void put_message(struct back *b, const ProtobufCMessage *m);

/* A value without its tag; its wire type. */
static enum wire put_value(struct back *b, const ProtobufCFieldDescriptor *f, const void *v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		put_varint(b, (uint64_t)(int64_t)*(const int32_t *)v);
		return VARINT;
	case PROTOBUF_C_TYPE_UINT32:
		put_varint(b, *(const uint32_t *)v);
		return VARINT;
	case PROTOBUF_C_TYPE_SINT32:
		put_varint(b, zigzag(*(const int32_t *)v) & UINT32_MAX);
		return VARINT;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		put_varint(b, *(const uint64_t *)v);
		return VARINT;
	case PROTOBUF_C_TYPE_SINT64:
		put_varint(b, zigzag(*(const int64_t *)v));
		return VARINT;
	case PROTOBUF_C_TYPE_BOOL:
		put_varint(b, *(const protobuf_c_boolean *)v != 0);
		return VARINT;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT: /* in memory as on the wire: see the assertion below */
		put_bytes(b, v, 4);
		return FIXED32;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		put_bytes(b, v, 8);
		return FIXED64;
	case PROTOBUF_C_TYPE_STRING: {
		const char *s = *(const char *const *)v;
		size_t n = s ? strlen(s) : 0;
		put_bytes(b, s, n);
		put_varint(b, n);
		return BYTES;
	}
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *d = v;
		put_bytes(b, d->data, d->len);
		put_varint(b, d->len);
		return BYTES;
	}
	case PROTOBUF_C_TYPE_MESSAGE: {
		size_t before = b->room - b->at;
		const ProtobufCMessage *m = *(const ProtobufCMessage *const *)v;
		if (m)
			put_message(b, m);
		put_varint(b, b->room - b->at - before);
		return BYTES;
	}
	}
	b->failed = true; /* a type of a later protobuf-c */
	return VARINT;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed-width values are written as they lie in memory");

static void put_field(struct back *b, const ProtobufCFieldDescriptor *f, const void *v)
{
	put_tag(b, f->id, put_value(b, f, v));
}

static size_t size_in_memory(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return 4;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 8;
	}
}

_Static_assert(sizeof(void *) == 8, "pointers take what 64-bit numbers take");

static void put_repeated(struct back *b, const ProtobufCFieldDescriptor *f, size_t n, const uint8_t *all)
{
	size_t size = size_in_memory(f->type), before = b->room - b->at;
	bool packed = f->flags & PROTOBUF_C_FIELD_FLAG_PACKED;
	for (size_t i = n; i-- > 0 && !b->failed;)
		if (packed)
			put_value(b, f, all + i * size);
		else
			put_field(b, f, all + i * size);
	if (packed && n) {
		put_varint(b, b->room - b->at - before);
		put_tag(b, f->id, BYTES);
	}
}

/* What proto3 does not say. */
static inline bool is_default(ProtobufCType type, const void *v)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
		return !*(const char *const *)v || **(const char *const *)v == '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)v)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return !*(const void *const *)v;
	case PROTOBUF_C_TYPE_BOOL:
		return *(const protobuf_c_boolean *)v == 0;
	case PROTOBUF_C_TYPE_FLOAT:
		return *(const float *)v == 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)v == 0;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return *(const uint32_t *)v == 0;
	default:
		return *(const uint64_t *)v == 0;
	}
}

/* Is f said at all? A type with many members of a oneof has one of them at most: that is asked first. */
static inline bool is_there(const ProtobufCFieldDescriptor *f, const void *quantifier, const void *v)
{
	bool pointer = f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == f->id && !(pointer && !*(const void *const *)v);
	switch (f->label) {
	case PROTOBUF_C_LABEL_NONE:
		return !is_default(f->type, v);
	case PROTOBUF_C_LABEL_OPTIONAL:
		if (pointer)
			return *(const void *const *)v && *(const void *const *)v != f->default_value;
		return *(const protobuf_c_boolean *)quantifier;
	case PROTOBUF_C_LABEL_REQUIRED:
	case PROTOBUF_C_LABEL_REPEATED:
		break;
	}
	return true;
}

/* Recursion follows the schema, in which no type contains itself. */
static void put_message(struct back *b, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	for (unsigned i = m->n_unknown_fields; i-- > 0;) {
		const ProtobufCMessageUnknownField *u = &m->unknown_fields[i];
		put_bytes(b, u->data, u->len);
		put_tag(b, u->tag, (enum wire)u->wire_type);
	}
	for (unsigned i = d->n_fields; i-- > 0 && !b->failed;) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const uint8_t *v = (const uint8_t *)m + f->offset, *quantifier = (const uint8_t *)m + f->quantifier_offset;
		if (!is_there(f, quantifier, v))
			continue;
		if (f->label != PROTOBUF_C_LABEL_REPEATED)
			put_field(b, f, v);
		else if (*(const size_t *)quantifier)
			put_repeated(b, f, *(const size_t *)quantifier, *(const uint8_t *const *)v);
	}
}

uint8_t *message_pack(struct arena *a, const ProtobufCMessage *m, size_t *ret_len)
{
	struct back b = { .arena = a };
	b.data = arena_room(a, ROOM_LEAST, &b.room);
	b.failed = !b.data;
	b.at = b.room;
	if (!b.failed)
		put_message(&b, m);
	if (b.failed)
		return NULL;
	size_t len = *ret_len = b.room - b.at;
	memmove(b.data, b.data + b.at, len);
	uint8_t *taken = arena_alloc(a, len ? len : 1);
	assert(!taken || taken == b.data); /* it begins where the room does; none over the cap */
	return taken;
}
