#include "common/wire/json.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/wire/base64.h"
#include "common/wire/json_name.h"

#define PATH_SIZE 128

/* Where we are, for errors: "tasks[3].retry.baseMs". */
struct reader {
	struct arena *arena;
	struct error *e;
	unsigned depth;
	size_t path_len;
	char path[PATH_SIZE];
};

/* Returns the length to go back to. A path too long is cut. */
static size_t path_push(struct reader *r, const char *name, size_t index)
{
	size_t before = r->path_len;
	char *end = r->path + before;
	size_t room = PATH_SIZE - before;
	int n = name ? snprintf(end, room, "%s%.*s", before ? "." : "", JSON_NAME_MAX, name) : snprintf(end, room, "[%zu]", index);
	r->path_len += (size_t)n < room ? (size_t)n : room - 1;
	return before;
}

static void path_pop(struct reader *r, size_t before)
{
	r->path_len = before;
	r->path[before] = '\0';
}

static int refuse(struct reader *r, const char *why)
{
	return error_set(r->e, ERROR_BAD_REQUEST, "%s %s", r->path_len ? r->path : "the message", why);
}

static void *reserve(struct reader *r, size_t size, int *ret_code)
{
	void *p = arena_zalloc(r->arena, size);
	if (!p)
		*ret_code = arena_full(r->arena) ? error_set(r->e, ERROR_TOO_LARGE, "the message is larger than it may be") : -ENOMEM;
	return p;
}

/* A whole number, given as a number ("1.0" and "1e3" too) or as a string. Magnitude and sign apart, because uint64 and int64 do not fit each other. */
static bool read_whole(const json_t *j, uint64_t *ret, bool *ret_negative)
{
	if (json_is_integer(j)) {
		json_int_t v = json_integer_value(j);
		*ret_negative = v < 0;
		*ret = v < 0 ? -(uint64_t)v : (uint64_t)v;
		return true;
	}
	if (json_is_real(j)) {
		double v = json_real_value(j);
		if (v != trunc(v) || fabs(v) >= 0x1p64)
			return false;
		*ret_negative = v < 0;
		*ret = (uint64_t)fabs(v);
		return true;
	}
	if (json_is_string(j)) {
		const char *s = json_string_value(j);
		*ret_negative = *s == '-';
		return json_string_length(j) == strlen(s) && parse_number(s + *ret_negative, 0, UINT64_MAX, ret, NULL) == 0;
	}
	return false;
}

static int read_signed(struct reader *r, const json_t *j, int64_t least, int64_t most, int64_t *ret)
{
	uint64_t v;
	bool negative;
	if (!read_whole(j, &v, &negative))
		return refuse(r, "is not a whole number");
	if (negative ? v > -(uint64_t)least : v > (uint64_t)most)
		return refuse(r, "is out of range");
	*ret = negative ? (int64_t)-v : (int64_t)v;
	return 0;
}

static int read_unsigned(struct reader *r, const json_t *j, uint64_t most, uint64_t *ret)
{
	uint64_t v;
	bool negative;
	if (!read_whole(j, &v, &negative))
		return refuse(r, "is not a whole number");
	if ((negative && v) || v > most)
		return refuse(r, "is out of range");
	*ret = v;
	return 0;
}

static int read_double(struct reader *r, const json_t *j, double most, double *ret)
{
	double v;
	if (json_is_number(j)) {
		v = json_number_value(j);
	} else if (json_is_string(j)) {
		const char *s = json_string_value(j);
		char *end;
		if (!strcmp(s, "NaN") || !strcmp(s, "Infinity") || !strcmp(s, "-Infinity")) {
			*ret = strtod(s, NULL);
			return 0;
		}
		/* strtod also reads hexadecimal, "inf" and leading blanks; JSON does not. */
		if (!*s || s[strspn(s, "0123456789+-.eE")] || strlen(s) != json_string_length(j))
			return refuse(r, "is not a number");
		v = strtod(s, &end);
		if (*end)
			return refuse(r, "is not a number");
	} else {
		return refuse(r, "is not a number");
	}
	if (!(fabs(v) <= most))
		return refuse(r, "is out of range");
	*ret = v;
	return 0;
}

static int read_enum(struct reader *r, const json_t *j, const ProtobufCFieldDescriptor *f, int *ret)
{
	if (json_is_string(j)) {
		const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, json_string_value(j));
		if (!v)
			return refuse(r, "is none of its words");
		*ret = v->value;
		return 0;
	}
	int64_t number;
	int code = read_signed(r, j, INT32_MIN, INT32_MAX, &number);
	if (!code)
		*ret = (int)number;
	return code;
}

static int read_string(struct reader *r, const json_t *j, char **ret)
{
	if (!json_is_string(j))
		return refuse(r, "is not a string");
	const char *s = json_string_value(j);
	size_t len = json_string_length(j);
	if (!utf8_valid((const uint8_t *)s, len))
		return refuse(r, "is not UTF-8 text without NUL");
	int code = 0;
	char *copy = reserve(r, len + 1, &code);
	if (!copy)
		return code;
	memcpy(copy, s, len);
	*ret = copy;
	return 0;
}

static int read_bytes(struct reader *r, const json_t *j, ProtobufCBinaryData *ret)
{
	if (!json_is_string(j))
		return refuse(r, "is not a string of base 64");
	size_t len = json_string_length(j);
	int code = 0;
	uint8_t *data = reserve(r, len / 4 * 3 + 3, &code);
	if (!data)
		return code;
	if (!base64_decode(json_string_value(j), len, data, &ret->len))
		return refuse(r, "is not base 64");
	ret->data = data;
	return 0;
}

static int read_message(struct reader *r, const json_t *j, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret);

static int read_value(struct reader *r, const json_t *j, const ProtobufCFieldDescriptor *f, void *value)
{
	int64_t i;
	uint64_t u;
	double x;
	int code;
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		code = read_signed(r, j, INT32_MIN, INT32_MAX, &i);
		if (!code)
			*(int32_t *)value = (int32_t)i;
		return code;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		code = read_unsigned(r, j, UINT32_MAX, &u);
		if (!code)
			*(uint32_t *)value = (uint32_t)u;
		return code;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return read_signed(r, j, INT64_MIN, INT64_MAX, value);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return read_unsigned(r, j, UINT64_MAX, value);
	case PROTOBUF_C_TYPE_FLOAT:
		code = read_double(r, j, (double)FLT_MAX, &x);
		if (!code)
			*(float *)value = (float)x;
		return code;
	case PROTOBUF_C_TYPE_DOUBLE:
		return read_double(r, j, DBL_MAX, value);
	case PROTOBUF_C_TYPE_BOOL:
		if (!json_is_boolean(j))
			return refuse(r, "is neither true nor false");
		*(protobuf_c_boolean *)value = json_is_true(j);
		return 0;
	case PROTOBUF_C_TYPE_ENUM:
		return read_enum(r, j, f, value);
	case PROTOBUF_C_TYPE_STRING:
		return read_string(r, j, value);
	case PROTOBUF_C_TYPE_BYTES:
		return read_bytes(r, j, value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_message(r, j, f->descriptor, value);
	}
	return refuse(r, "has a type that this build lacks");
}

static int read_repeated(struct reader *r, const json_t *j, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
	if (!json_is_array(j))
		return refuse(r, "is not an array");
	size_t n = json_array_size(j), size = json_field_size(f);
	if (!n)
		return 0;
	int code = 0;
	uint8_t *items = reserve(r, n * size, &code);
	if (!items)
		return code;
	for (size_t i = 0; i < n; i++) {
		size_t before = path_push(r, NULL, i);
		code = read_value(r, json_array_get(j, i), f, items + i * size);
		if (code)
			return code;
		path_pop(r, before);
	}
	*(void **)((uint8_t *)m + f->offset) = items;
	*(size_t *)((uint8_t *)m + f->quantifier_offset) = n;
	return 0;
}

static int read_field(struct reader *r, const json_t *j, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
	if (json_is_null(j))
		return 0;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return read_repeated(r, j, f, m);
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		uint32_t *one_of = (uint32_t *)((uint8_t *)m + f->quantifier_offset);
		if (*one_of)
			return refuse(r, "excludes a member before it");
		*one_of = f->id;
	}
	return read_value(r, j, f, (uint8_t *)m + f->offset);
}

/* Recursion follows the schema, in which no type contains itself; the count of levels is a second bound. */
static int read_message(struct reader *r, const json_t *j, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	if (!json_is_object(j))
		return refuse(r, "is not an object");
	if (r->depth == JSON_DEPTH_MAX)
		return refuse(r, "is nested too deep");
	int code = 0;
	ProtobufCMessage *m = reserve(r, d->sizeof_message, &code);
	if (!m)
		return code;
	d->message_init(m);
	r->depth++;

	const char *key;
	json_t *value;
	json_object_foreach((json_t *)j, key, value)
	{
		const ProtobufCFieldDescriptor *f = json_name_find(d, key);
		size_t before = path_push(r, key, 0);
		if (!f)
			return refuse(r, "is not known here");
		/* jansson keeps one of two equal members; the two forms of a name are two members. */
		if (strchr(f->name, '_') && !strcmp(key, f->name)) {
			char camel[JSON_NAME_MAX];
			json_name_camel(f->name, camel);
			if (strcmp(camel, key) && json_object_get(j, camel))
				return refuse(r, "is given twice");
		}
		code = read_field(r, value, f, m);
		if (code)
			return code;
		path_pop(r, before);
	}
	r->depth--;
	*ret = m;
	return 0;
}

int json_to_message(const json_t *j, const ProtobufCMessageDescriptor *d, struct arena *a, ProtobufCMessage **ret, struct error *e)
{
	struct reader r = { .arena = a, .e = e };
	return read_message(&r, j, d, ret);
}
