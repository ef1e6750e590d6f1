#include "tests/unit/wire/fill.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/control.pb-c.h"
#include "proto/ledger.pb-c.h"
#include "proto/program.pb-c.h"

#define TYPES_MAX 512

static void collect(const ProtobufCMessageDescriptor *d, const ProtobufCMessageDescriptor **types, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		if (types[i] == d)
			return;
	assert(*n < TYPES_MAX);
	types[(*n)++] = d;
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			collect(d->fields[i].descriptor, types, n);
}

const ProtobufCMessageDescriptor *const *fill_types(size_t *ret_n)
{
	static const ProtobufCMessageDescriptor *types[TYPES_MAX];
	static size_t n;
	if (!n) {
		collect(&troupe__frame__descriptor, types, &n);
		collect(&troupe__control__descriptor, types, &n);
		collect(&troupe__task_record__descriptor, types, &n);
		collect(&troupe__state_record__descriptor, types, &n);
		collect(&troupe__lease_record__descriptor, types, &n);
		collect(&troupe__queue_record__descriptor, types, &n);
		collect(&troupe__meta_record__descriptor, types, &n);
		collect(&troupe__requirement_record__descriptor, types, &n);
		collect(&troupe__key_record__descriptor, types, &n);
		collect(&troupe__batch_record__descriptor, types, &n);
		collect(&troupe__member_record__descriptor, types, &n);
		collect(&troupe__cron_record__descriptor, types, &n);
		collect(&troupe__blob_record__descriptor, types, &n);
		collect(&troupe__from_program__descriptor, types, &n);
		collect(&troupe__to_program__descriptor, types, &n);
	}
	*ret_n = n;
	return types;
}

static unsigned depth_within(const ProtobufCMessageDescriptor *d, unsigned left)
{
	unsigned deepest = 0;
	if (!left)
		return 0;
	for (unsigned i = 0; i < d->n_fields; i++) {
		if (d->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		unsigned depth = depth_within(d->fields[i].descriptor, left - 1);
		if (!depth)
			return 0;
		if (depth > deepest)
			deepest = depth;
	}
	return deepest + 1;
}

unsigned fill_depth(const ProtobufCMessageDescriptor *d)
{
	return depth_within(d, 32);
}

static size_t value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		assert(!"a type that proto/ has not used so far: add it here and in fill_*_value");
		return 0;
	}
}

static char *random_string(struct rng *r, struct arena *a)
{
	static const char *const pieces[] = { "a", "Zq", "0", "\"", "\\", "\n", "\x01", "\x7f", "\xc3\xa9", "\xe2\x80\xa8", "\xef\xbf\xbf", "\xf0\x9f\x8e\xad", "\xf4\x8f\xbf\xbf" };
	char text[64] = "";
	for (uint64_t n = rng_below(r, 8); n > 0; n--)
		strcat(text, pieces[rng_below(r, sizeof(pieces) / sizeof(pieces[0]))]);
	return arena_string(a, text);
}

static ProtobufCBinaryData random_bytes(struct rng *r, struct arena *a, size_t len)
{
	ProtobufCBinaryData b = { len, arena_alloc(a, len) };
	assert(b.data);
	for (size_t i = 0; i < len; i++)
		b.data[i] = (uint8_t)rng_next(r);
	return b;
}

static void random_value(const ProtobufCFieldDescriptor *f, void *value, struct rng *r, struct arena *a)
{
	uint64_t u = rng_next(r) >> rng_below(r, 64); /* of every magnitude */
	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = u & 1;
		return;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_UINT32:
		*(uint32_t *)value = (uint32_t)u;
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)value = u;
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		*(double *)value = (double)(int64_t)u / 1024;
		return;
	case PROTOBUF_C_TYPE_ENUM: {
		const ProtobufCEnumDescriptor *e = f->descriptor;
		/* now and then a number that this build has no word for */
		*(int *)value = rng_below(r, 16) ? e->values[rng_below(r, e->n_values)].value : (int)(u & 0xffff) + 1000;
		return;
	}
	case PROTOBUF_C_TYPE_STRING:
		*(char **)value = random_string(r, a);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)value = random_bytes(r, a, rng_below(r, 40));
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)value = fill_random(f->descriptor, r, a);
		return;
	default:
		value_size(f);
	}
}

static ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *d, struct arena *a)
{
	ProtobufCMessage *m = arena_zalloc(a, d->sizeof_message);
	assert(m);
	d->message_init(m);
	return m;
}

static void *repeated_new(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t n, struct arena *a)
{
	void *items = arena_zalloc(a, n * value_size(f));
	assert(items);
	*(void **)((uint8_t *)m + f->offset) = items;
	*(size_t *)((uint8_t *)m + f->quantifier_offset) = n;
	return items;
}

static bool is_oneof(const ProtobufCFieldDescriptor *f)
{
	return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

ProtobufCMessage *fill_random(const ProtobufCMessageDescriptor *d, struct rng *r, struct arena *a)
{
	ProtobufCMessage *m = message_new(d, a);
	unsigned n_oneof = 0, chosen;
	for (unsigned i = 0; i < d->n_fields; i++)
		n_oneof += is_oneof(&d->fields[i]);
	chosen = n_oneof ? (unsigned)rng_below(r, n_oneof) : 0;

	for (unsigned i = 0, k = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = rng_below(r, 4);
			uint8_t *items = n ? repeated_new(m, f, n, a) : NULL;
			for (size_t j = 0; j < n; j++)
				random_value(f, items + j * value_size(f), r, a);
			continue;
		}
		if (is_oneof(f)) {
			if (k++ != chosen)
				continue;
			*(uint32_t *)((uint8_t *)m + f->quantifier_offset) = f->id;
		} else if (rng_below(r, 4) == 0) {
			continue;
		}
		random_value(f, (uint8_t *)m + f->offset, r, a);
	}
	return m;
}

Troupe__Frame *fill_frame(struct rng *r, struct arena *a)
{
	Troupe__Frame *frame = (Troupe__Frame *)fill_random(&troupe__frame__descriptor, r, a);
	frame->to = arena_string(a, rng_below(r, 2) ? "" : "coordinator:main");
	frame->from = arena_string(a, rng_below(r, 2) ? "" : "worker:resize/3");
	if (frame->hello)
		frame->hello->address = arena_string(a, "worker:resize/3");
	if (frame->welcome)
		frame->welcome->address = arena_string(a, "coordinator:main");
	for (size_t i = 0; i < frame->n_envelopes; i++) {
		Troupe__Envelope *env = frame->envelopes[i];
		env->to = arena_string(a, "a:b");
		env->from = arena_string(a, rng_below(r, 2) ? "" : "c:d");
		env->id = random_bytes(r, a, 16);
		env->reply_to = random_bytes(r, a, rng_below(r, 2) ? 0 : 16);
	}
	return frame;
}

static ProtobufCMessage *fill_first(const ProtobufCMessageDescriptor *d, struct arena *a)
{
	/* of several fields the one with the lowest number, which is never given to a new field */
	return d->n_fields ? fill_single(d, &d->fields[0], a) : message_new(d, a);
}

static void single_value(const ProtobufCFieldDescriptor *f, void *value, unsigned nth, struct arena *a)
{
	uint64_t n = f->id + 100 * nth;
	switch (f->type) {
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = 1;
		return;
	case PROTOBUF_C_TYPE_INT32:
		*(int32_t *)value = -(int32_t)n;
		return;
	case PROTOBUF_C_TYPE_INT64:
		*(int64_t *)value = -(int64_t)n;
		return;
	case PROTOBUF_C_TYPE_UINT32:
		*(uint32_t *)value = (uint32_t)n * 0x01010101u;
		return;
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)value = n * UINT64_C(0x0101010101010101);
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		*(double *)value = (double)n + 0.5;
		return;
	case PROTOBUF_C_TYPE_ENUM:
		*(int *)value = 1; /* every enum has it, and later words do not change it */
		return;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)value = arena_printf(a, "%s %u", f->name, nth);
		return;
	case PROTOBUF_C_TYPE_BYTES: {
		const uint8_t bytes[] = { 0x00, 0xff, (uint8_t)n };
		*(ProtobufCBinaryData *)value = (ProtobufCBinaryData){ sizeof(bytes), arena_copy(a, bytes, sizeof(bytes)) };
		return;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)value = fill_first(f->descriptor, a);
		return;
	default:
		value_size(f);
	}
}

ProtobufCMessage *fill_single(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, struct arena *a)
{
	ProtobufCMessage *m = message_new(d, a);
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		uint8_t *items = repeated_new(m, f, 2, a);
		for (unsigned i = 0; i < 2; i++)
			single_value(f, items + i * value_size(f), i, a);
		return m;
	}
	if (is_oneof(f))
		*(uint32_t *)((uint8_t *)m + f->quantifier_offset) = f->id;
	single_value(f, (uint8_t *)m + f->offset, 0, a);
	return m;
}

uint8_t *fill_pack(const ProtobufCMessage *m, struct arena *a, size_t *ret_len)
{
	*ret_len = protobuf_c_message_get_packed_size(m);
	uint8_t *data = arena_alloc(a, *ret_len);
	assert(data);
	protobuf_c_message_pack(m, data);
	return data;
}
