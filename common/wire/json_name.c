#include "common/wire/json_name.h"

#include <assert.h>
#include <string.h>

void json_name_camel(const char *name, char out[static JSON_NAME_MAX])
{
	size_t n = 0;
	for (; *name; name++) {
		assert(n < JSON_NAME_MAX - 1);
		if (name[0] == '_' && name[1] >= 'a' && name[1] <= 'z')
			out[n++] = (char)(*++name - 'a' + 'A');
		else
			out[n++] = *name;
	}
	out[n] = '\0';
}

const ProtobufCFieldDescriptor *json_name_find(const ProtobufCMessageDescriptor *d, const char *member)
{
	char snake[JSON_NAME_MAX];
	size_t n = 0;
	bool camel = false;
	for (const char *p = member; *p; p++) {
		if (n + 2 >= JSON_NAME_MAX)
			return NULL;
		if (*p >= 'A' && *p <= 'Z') {
			camel = true;
			snake[n++] = '_';
			snake[n++] = (char)(*p - 'A' + 'a');
		} else {
			snake[n++] = *p;
		}
	}
	snake[n] = '\0';
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(d, snake);
	if (!f || !camel)
		return f;
	/* Not a mixture of the forms. */
	char exact[JSON_NAME_MAX];
	json_name_camel(f->name, exact);
	return strcmp(exact, member) ? NULL : f;
}

size_t json_field_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	}
	assert(!"a type of field that protobuf-c lacks");
	return 0;
}
