#pragma once
/* The canonical proto3 JSON mapping, both ways, for any message of this project, driven by the protobuf-c descriptors.
 * lowerCamelCase names (both forms are read), 64-bit integers as strings, bytes as base64, enums by name, absent defaults left out.
 *
 * An Envelope also has a short form for browsers and people, that of json_envelope_*. It differs from the canonical form in four members:
 *   id, replyTo    26 characters of base 32
 *   timestamp      milliseconds, a number (for timestampMs)
 *   payload        inline JSON: the payload of contentType application/json, which is what an absent contentType stands for where payload is present
 *   payloadBase64  the payload of any other contentType, and of one that claims to be JSON and is not
 * so that {"to": "counter:a", "type": "counter.add", "payload": {"by": 1}} is a whole message. */
#include <jansson.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "proto/envelope.pb-c.h"
#define JSON_DEPTH_MAX 32
json_t *json_from_message(const ProtobufCMessage *m);  /* new reference; NULL without memory, or where a string is no UTF-8 */
/* 0, ERROR_BAD_REQUEST naming the path of the offending member, ERROR_TOO_LARGE (the arena's cap), -ENOMEM. Unknown members are errors.
 * null means absent. */
int json_to_message(const json_t *j, const ProtobufCMessageDescriptor *d, struct arena *a, ProtobufCMessage **ret, struct error *e);
json_t *json_from_envelope(const Troupe__Envelope *env);
/* As json_to_message; also checks that addresses parse. */
int json_to_envelope(const json_t *j, struct arena *a, Troupe__Envelope **ret, struct error *e);
