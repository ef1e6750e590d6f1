#pragma once
/* The canonical proto3 JSON mapping, both ways, for any message of this project, driven by the protobuf-c descriptors.
 * lowerCamelCase names (both forms are read), 64-bit integers as strings, bytes as base64, enums by name, absent defaults left out.
 * Differences, for browsers and people: none in json_from_message; json_envelope_* use the short form {to, from, type, payload, id, timestamp, replyTo}
 * in which id is the 26-character text and payload is inline JSON where content_type is application/json. */
#include <jansson.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "proto/envelope.pb-c.h"
#define JSON_DEPTH_MAX 32
json_t *json_from_message(const ProtobufCMessage *m);  /* new reference; NULL without memory */
/* 0, ERROR_BAD_REQUEST naming the path of the offending member, ERROR_TOO_LARGE, -ENOMEM. Unknown members are errors. */
int json_to_message(const json_t *j, const ProtobufCMessageDescriptor *d, struct arena *a, ProtobufCMessage **ret, struct error *e);
json_t *json_from_envelope(const Troupe__Envelope *env);
int json_to_envelope(const json_t *j, struct arena *a, Troupe__Envelope **ret, struct error *e);
