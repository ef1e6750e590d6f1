#include "common/wire/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/base64.h"
#include "common/wire/json_name.h"

static json_t *from_bytes(const ProtobufCBinaryData *b)
{
	size_t n = BASE64_SIZE(b->len);
	_cleanup_(freep) char *text = malloc(n + 1);
	if (!text)
		return NULL;
	base64_encode(b->data, b->len, text);
	return json_stringn_nocheck(text, n);
}

static json_t *from_double(double v)
{
	if (isnan(v))
		return json_string("NaN");
	if (isinf(v))
		return json_string(v > 0 ? "Infinity" : "-Infinity");
	return json_real(v);
}

static json_t *from_enum(const ProtobufCFieldDescriptor *f, int number)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, number);
	return v ? json_string(v->name) : json_integer(number);
}

static json_t *from_value(const ProtobufCFieldDescriptor *f, const void *value)
{
	char text[24];
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(*(const int32_t *)value);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(*(const uint32_t *)value);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)value);
		return json_string(text);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		snprintf(text, sizeof(text), "%" PRIu64, *(const uint64_t *)value);
		return json_string(text);
	case PROTOBUF_C_TYPE_FLOAT:
		return from_double((double)*(const float *)value);
	case PROTOBUF_C_TYPE_DOUBLE:
		return from_double(*(const double *)value);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)value);
	case PROTOBUF_C_TYPE_ENUM:
		return from_enum(f, *(const int *)value);
	case PROTOBUF_C_TYPE_STRING:
		return json_string(*(char *const *)value);
	case PROTOBUF_C_TYPE_BYTES:
		return from_bytes(value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return json_from_message(*(const ProtobufCMessage *const *)value);
	}
	return NULL;
}

static json_t *from_repeated(const ProtobufCFieldDescriptor *f, const void *items, size_t n)
{
	json_t *array = json_array();
	size_t size = json_field_size(f);
	for (size_t i = 0; array && i < n; i++) {
		if (json_array_append_new(array, from_value(f, (const uint8_t *)items + i * size))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* proto3: a value that equals the default is not there. */
static bool is_default(const ProtobufCFieldDescriptor *f, const void *value)
{
	static const uint8_t zeros[8];
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: {
		const char *s = *(char *const *)value;
		return !s || !*s;
	}
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)value)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return !*(void *const *)value;
	default: /* numbers: all bits zero, so that -0.0 is written */
		return !memcmp(value, zeros, json_field_size(f));
	}
}

/* Recursion follows the schema: no type contains itself. */
json_t *json_from_message(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;
	json_t *object = json_object();
	for (unsigned i = 0; object && i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const void *member = (const uint8_t *)m + f->offset;
		const void *quantifier = (const uint8_t *)m + f->quantifier_offset;
		json_t *value;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			size_t n = *(const size_t *)quantifier;
			if (!n)
				continue;
			value = from_repeated(f, *(void *const *)member, n);
		} else {
			bool one_of = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
			if (one_of ? *(const uint32_t *)quantifier != f->id : is_default(f, member))
				continue;
			value = from_value(f, member);
		}
		char name[JSON_NAME_MAX];
		json_name_camel(f->name, name);
		if (json_object_set_new_nocheck(object, name, value)) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}
