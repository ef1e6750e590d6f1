#pragma once
/* Member names of the JSON mapping, and the layout of protobuf-c's messages; for json_write.c and json_read.c only. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#define JSON_NAME_MAX 64
/* "retry_after_ms" as "retryAfterMs". No field of this project has a longer name than fits. */
void json_name_camel(const char *name, char out[static JSON_NAME_MAX]);
/* The field that member stands for, in either form; NULL for none. */
const ProtobufCFieldDescriptor *json_name_find(const ProtobufCMessageDescriptor *d, const char *member);
/* Bytes of one value of f in memory. */
size_t json_field_size(const ProtobufCFieldDescriptor *f);
