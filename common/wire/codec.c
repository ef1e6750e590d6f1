/* Decoding takes two passes over the bytes. The first (scan) walks the wire format beside the descriptors and allocates nothing: it finds malformed
 * input, strings that are no UTF-8, and a NUL inside a string, which nobody could see after unpacking into char pointers. The second is
 * protobuf-c's, into an arena whose cap is tied to the length of the input. Neither recurses deeper than the schema, in which no type contains
 * itself. */
#include "common/wire/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/wire/address.h"

#define SCAN_DEPTH 16 /* twice what the deepest type needs */
#define ARENA_FLOOR (64 * 1024)
#define ARENA_ENVELOPE 512 /* an empty one in memory, with protobuf-c's own notes: many tiny messages are no attack, and their number is limited */
#define FRAME_ENVELOPES 3 /* the field's number */
#define ENVELOPE_ID 6
#define FIRST_BODY 20     /* fields of an envelope from here on are bodies */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

const struct wire_limits wire_limits_default = { .frame = 1024 * 1024, .envelopes = 4096, .arena_factor = 24 };

struct field {
	uint32_t number;
	enum wire_type type;
	const uint8_t *data; /* of WIRE_BYTES */
	size_t len;
};

/* Moves *p behind a varint of at most max bytes; false without one. */
static bool varint_read(const uint8_t **p, const uint8_t *end, unsigned max, uint64_t *ret)
{
	const uint8_t *q = *p;
	uint64_t v = 0;
	for (unsigned i = 0; i < max && q < end; i++) {
		uint8_t b = *q++;
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80) {
			*p = q;
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Reads the field at *p < end and moves *p behind it. False where it is malformed. Not less strict than protobuf-c, so that both see the same fields. */
static bool field_read(const uint8_t **p, const uint8_t *end, struct field *f)
{
	uint64_t v;
	if (!varint_read(p, end, 5, &v) || v > UINT32_MAX || v >> 3 == 0)
		return false;
	f->number = (uint32_t)(v >> 3);
	f->type = (enum wire_type)(v & 7);

	size_t skip;
	switch (f->type) {
	case WIRE_VARINT:
		return varint_read(p, end, 10, &v);
	case WIRE_BYTES:
		if (!varint_read(p, end, 5, &v))
			return false;
		skip = v;
		break;
	case WIRE_FIXED64:
		skip = 8;
		break;
	case WIRE_FIXED32:
		skip = 4;
		break;
	default: /* groups, and two values that are no type; the number is the sender's */
		return false;
	}
	if (skip > (size_t)(end - *p))
		return false;
	f->data = *p;
	f->len = skip;
	*p += skip;
	return true;
}

static int malformed(const ProtobufCMessageDescriptor *d, struct error *e)
{
	return error_set(e, ERROR_BAD_REQUEST, "malformed %s", d->short_name);
}

static int not_utf8(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, struct error *e)
{
	return error_set(e, ERROR_BAD_REQUEST, "%s.%s is not UTF-8 text without NUL", d->short_name, f->name);
}

static int message_scan(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len, struct error *e)
{
	struct level {
		const ProtobufCMessageDescriptor *d;
		const uint8_t *end;
	} levels[SCAN_DEPTH] = { { d, data + len } };
	unsigned depth = 0;
	const uint8_t *p = data;

	for (;;) {
		struct level *l = &levels[depth];
		if (p == l->end) {
			if (depth-- == 0)
				return 0;
			continue;
		}
		struct field field;
		if (!field_read(&p, l->end, &field))
			return malformed(l->d, e);
		if (field.type != WIRE_BYTES)
			continue;
		const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(l->d, field.number);
		if (!f)
			continue;
		if (f->type == PROTOBUF_C_TYPE_STRING) {
			if (!utf8_valid(field.data, field.len))
				return not_utf8(l->d, f, e);
		} else if (f->type == PROTOBUF_C_TYPE_MESSAGE && field.len > 0) {
			if (++depth == SCAN_DEPTH)
				return error_set(e, ERROR_BAD_REQUEST, "%s is nested too deep", l->d->short_name);
			levels[depth] = (struct level){ f->descriptor, field.data + field.len };
			p = field.data;
		}
	}
}

int message_decode(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len, struct arena *arena, ProtobufCMessage **ret,
                   struct error *e)
{
	int r = message_scan(d, data, len, e);
	if (r)
		return r;
	ProtobufCMessage *m = protobuf_c_message_unpack(d, arena_allocator(arena), len, data);
	if (m) {
		*ret = m;
		return 0;
	}
	if (arena_full(arena))
		return error_set(e, ERROR_TOO_LARGE, "%s of %zu bytes unpacks into more memory than it may", d->short_name, len);
	/* The scan leaves little to protobuf-c, e.g. a number where a message should be. */
	return malformed(d, e);
}

/* Into an arena of its own. */
static int decode(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len, size_t cap, struct arena **ret_arena, ProtobufCMessage **ret,
                  struct error *e)
{
	struct arena *arena = arena_new(cap);
	if (!arena)
		return -ENOMEM;
	int r = message_decode(d, data, len, arena, ret, e);
	if (r) {
		arena_unref(arena);
		return r;
	}
	*ret_arena = arena;
	return 0;
}

static int address_check(const char *what, const char *address, struct error *e)
{
	if (!*address || address_valid(address))
		return 0;
	return error_set(e, ERROR_BAD_REQUEST, "%s is not an address: \"%.64s\"", what, address);
}

static int id_check(const char *what, const ProtobufCBinaryData *id, struct error *e)
{
	if (id->len == 0 || id->len == WIRE_ID_LEN)
		return 0;
	return error_set(e, ERROR_BAD_REQUEST, "%s has %zu bytes, not %u", what, id->len, WIRE_ID_LEN);
}

static int envelope_check(const Troupe__Envelope *env, struct error *e)
{
	int r = address_check("Envelope.to", env->to, e);
	if (!r)
		r = address_check("Envelope.from", env->from, e);
	if (!r)
		r = id_check("Envelope.id", &env->id, e);
	if (!r)
		r = id_check("Envelope.reply_to", &env->reply_to, e);
	return r;
}

static int frame_check(const Troupe__Frame *frame, struct error *e)
{
	int r = address_check("Frame.to", frame->to, e);
	if (!r)
		r = address_check("Frame.from", frame->from, e);
	if (!r && frame->hello)
		r = address_check("Hello.address", frame->hello->address, e);
	if (!r && frame->welcome)
		r = address_check("Welcome.address", frame->welcome->address, e);
	for (size_t i = 0; !r && i < frame->n_envelopes; i++)
		r = envelope_check(frame->envelopes[i], e);
	return r;
}

/* Before anything is allocated for them. Malformed bytes are left to the scan. */
static size_t envelopes_count(const uint8_t *data, size_t len)
{
	const uint8_t *p = data, *end = data + len;
	struct field f;
	size_t n = 0;
	while (p < end && field_read(&p, end, &f))
		n += f.number == FRAME_ENVELOPES;
	return n;
}

int frame_decode(const uint8_t *data, size_t len, const struct wire_limits *limits, struct arena **ret_arena, Troupe__Frame **ret, struct error *e)
{
	if (len > limits->frame)
		return error_set(e, ERROR_TOO_LARGE, "a frame of %zu bytes; %zu are allowed", len, limits->frame);
	size_t n = envelopes_count(data, len);
	if (n > limits->envelopes)
		return error_set(e, ERROR_TOO_LARGE, "a frame of %zu envelopes; %zu are allowed", n, limits->envelopes);

	struct arena *arena;
	ProtobufCMessage *m;
	size_t cap = len * limits->arena_factor + n * ARENA_ENVELOPE + ARENA_FLOOR;
	int r = decode(&troupe__frame__descriptor, data, len, cap, &arena, &m, e);
	if (r)
		return r;
	Troupe__Frame *frame = (Troupe__Frame *)m;
	r = frame_check(frame, e);
	if (r) {
		arena_unref(arena);
		return r;
	}
	*ret_arena = arena;
	*ret = frame;
	return 0;
}

static int control_check(const Troupe__Control *control, struct error *e)
{
	switch (control->body_case) {
	case TROUPE__CONTROL__BODY_ANSWER:
		return envelope_check(control->answer, e);
	case TROUPE__CONTROL__BODY_RELAY:
		return envelope_check(control->relay, e);
	default: /* addresses in other packets are names to look up: an unknown one is answered, not refused */
		return 0;
	}
}

int control_decode(const uint8_t *data, size_t len, struct arena **ret_arena, Troupe__Control **ret, struct error *e)
{
	if (len > WIRE_CONTROL_MAX)
		return error_set(e, ERROR_TOO_LARGE, "a lifeline packet of %zu bytes; %u are allowed", len, WIRE_CONTROL_MAX);

	struct arena *arena;
	ProtobufCMessage *m;
	int r = decode(&troupe__control__descriptor, data, len, len * wire_limits_default.arena_factor + ARENA_FLOOR, &arena, &m, e);
	if (r)
		return r;
	Troupe__Control *control = (Troupe__Control *)m;
	r = control_check(control, e);
	if (r) {
		arena_unref(arena);
		return r;
	}
	*ret_arena = arena;
	*ret = control;
	return 0;
}

int envelope_peek(const uint8_t *data, size_t len, struct envelope_head *ret, struct error *e)
{
	const uint8_t *p = data, *end = data + len;
	struct envelope_head head = { 0 };
	struct field f;
	int r = message_scan(&troupe__envelope__descriptor, data, len, e);
	while (!r && p < end && field_read(&p, end, &f)) {
		if (f.number < FIRST_BODY)
			head.fields |= 1u << f.number;
		else if (f.type == WIRE_BYTES)
			head.body = f.number;
		if (f.number != ENVELOPE_ID)
			continue;
		if (f.type != WIRE_BYTES)
			return malformed(&troupe__envelope__descriptor, e);
		const ProtobufCBinaryData id = { .len = f.len, .data = (uint8_t *)(uintptr_t)f.data };
		r = id_check("Envelope.id", &id, e);
		head.id = f.len ? f.data : NULL;
	}
	if (!r)
		*ret = head;
	return r;
}

static int string_check(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, const char *s, struct error *e)
{
	return !s || utf8_valid((const uint8_t *)s, strlen(s)) ? 0 : not_utf8(d, f, e);
}

/* Whether f of m holds anything, and how many. */
static size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *quantifier = (const uint8_t *)m + f->quantifier_offset;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)quantifier;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == f->id;
	return 1;
}

/* Recursion follows the schema, not the input: no type contains itself. */
int message_check_strings(const ProtobufCMessage *m, struct error *e)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		const void *member = (const uint8_t *)m + f->offset;
		size_t n = field_count(m, f);
		void *const *items = f->label == PROTOBUF_C_LABEL_REPEATED ? *(void *const *const *)member : member;
		for (size_t j = 0; j < n; j++) {
			int r = 0;
			if (f->type == PROTOBUF_C_TYPE_STRING)
				r = string_check(d, f, items[j], e);
			else if (items[j])
				r = message_check_strings(items[j], e);
			if (r)
				return r;
		}
	}
	return 0;
}

void failure_from_error(Troupe__Failure *f, const struct error *e)
{
	*f = (Troupe__Failure)TROUPE__FAILURE__INIT;
	f->code = e->code;
	f->name = (char *)error_name((int)e->code);
	f->text = (char *)e->text;
	f->cure = (char *)e->cure;
	f->retryable = e->retryable;
	f->retry_after_ms = e->retry_after_ms;
	f->index = e->index;
}

void error_from_failure(struct error *e, const Troupe__Failure *f)
{
	/* 0 would read as success. A number that this build does not know stays what it is. */
	error_set(e, f->code && f->code <= INT32_MAX ? (enum error_code)f->code : ERROR_INTERNAL, "%s", f->text);
	error_cure(e, "%s", f->cure);
	e->retryable = f->retryable;
	e->retry_after_ms = f->retry_after_ms;
	e->index = f->index;
}
