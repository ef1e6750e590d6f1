/* The short form is the canonical one with four members exchanged, on a shallow copy: what is common to both is written once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/address.h"
#include "common/wire/codec.h"
#include "common/wire/id.h"
#include "common/wire/json.h"

#define CONTENT_JSON "application/json"

static void json_unrefp(json_t **j)
{
	json_decref(*j);
}

static json_t *from_id(const ProtobufCBinaryData *b)
{
	struct id id;
	char text[ID_TEXT];
	memcpy(id.b, b->data, sizeof(id.b));
	id_format(&id, text);
	return json_string(text);
}

/* What a message with payload text would be read as; NULL where it is no JSON. */
static json_t *payload_load(const ProtobufCBinaryData *payload)
{
	return json_loadb((const char *)payload->data, payload->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

/* Moves the member; 0 also where it is absent. */
static int rename_member(json_t *object, const char *from, const char *to)
{
	json_t *value = json_object_get(object, from);
	if (!value)
		return 0;
	return json_object_set(object, to, value) || json_object_del(object, from) ? -1 : 0;
}

json_t *json_from_envelope(const Troupe__Envelope *env)
{
	/* An id of another length cannot come off the wire (frame_decode), and has no text. */
	Troupe__Envelope rest = *env;
	bool has_id = env->id.len == WIRE_ID_LEN, has_reply_to = env->reply_to.len == WIRE_ID_LEN;
	rest.id.len = rest.reply_to.len = 0;
	rest.timestamp_ms = 0;
	json_t *inlined = NULL;
	if (env->payload.len && !strcmp(env->content_type, CONTENT_JSON) && (inlined = payload_load(&env->payload)))
		rest.payload.len = 0;

	_cleanup_(json_unrefp) json_t *object = json_from_message(&rest.base);
	if (!object) {
		json_decref(inlined);
		return NULL;
	}
	if (inlined && json_object_set_new(object, "payload", inlined))
		return NULL;
	if (!inlined && rename_member(object, "payload", "payloadBase64"))
		return NULL;
	if (has_id && json_object_set_new(object, "id", from_id(&env->id)))
		return NULL;
	if (has_reply_to && json_object_set_new(object, "replyTo", from_id(&env->reply_to)))
		return NULL;
	if (env->timestamp_ms && json_object_set_new(object, "timestamp", json_integer((json_int_t)env->timestamp_ms)))
		return NULL;
	return steal(&object);
}

static int no_memory(struct arena *a, struct error *e)
{
	return arena_full(a) ? error_set(e, ERROR_TOO_LARGE, "the message is larger than it may be") : -ENOMEM;
}

static int take_id(json_t *object, const char *name, struct arena *a, ProtobufCBinaryData *ret, struct error *e)
{
	const json_t *j = json_object_get(object, name);
	if (!j || json_is_null(j)) {
		json_object_del(object, name);
		return 0;
	}
	struct id id;
	if (!json_is_string(j))
		return error_set(e, ERROR_BAD_REQUEST, "%s is not a string", name);
	int r = id_parse(json_string_value(j), &id, e);
	if (r)
		return r;
	ret->data = arena_copy(a, id.b, sizeof(id.b));
	if (!ret->data)
		return no_memory(a, e);
	ret->len = sizeof(id.b);
	json_object_del(object, name);
	return 0;
}

static int take_payload(json_t *object, struct arena *a, ProtobufCBinaryData *ret, struct error *e)
{
	const json_t *j = json_object_get(object, "payload");
	if (!j)
		return rename_member(object, "payloadBase64", "payload") ? -ENOMEM : 0;
	if (json_object_get(object, "payloadBase64"))
		return error_set(e, ERROR_BAD_REQUEST, "payloadBase64 excludes payload");

	const json_t *type = json_object_get(object, "contentType");
	if (!type)
		type = json_object_get(object, "content_type");
	if (!type || json_is_null(type)) {
		json_object_del(object, "content_type");
		if (json_object_set_new(object, "contentType", json_string(CONTENT_JSON)))
			return -ENOMEM;
	} else if (!json_is_string(type) || strcmp(json_string_value(type), CONTENT_JSON)) {
		error_set(e, ERROR_BAD_REQUEST, "payload is inline JSON, but contentType is another");
		error_cure(e, "give the payload as payloadBase64");
		return ERROR_BAD_REQUEST;
	}
	_cleanup_(freep) char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text)
		return -ENOMEM;
	ret->len = strlen(text);
	ret->data = arena_copy(a, text, ret->len);
	if (!ret->data)
		return no_memory(a, e);
	json_object_del(object, "payload");
	return 0;
}

/* Empty, or one that parses. */
static int address_check(const char *address, struct error *e)
{
	struct address parsed;
	return *address ? address_parse(address, &parsed, e) : 0;
}

int json_to_envelope(const json_t *j, struct arena *a, Troupe__Envelope **ret, struct error *e)
{
	if (!json_is_object(j))
		return error_set(e, ERROR_BAD_REQUEST, "the message is not an object");
	_cleanup_(json_unrefp) json_t *rest = json_copy((json_t *)j);
	if (!rest)
		return -ENOMEM;

	ProtobufCBinaryData id = { 0 }, reply_to = { 0 }, payload = { 0 };
	int r = take_id(rest, "id", a, &id, e);
	if (!r)
		r = take_id(rest, json_object_get(rest, "reply_to") ? "reply_to" : "replyTo", a, &reply_to, e);
	if (!r)
		r = take_payload(rest, a, &payload, e);
	if (!r && rename_member(rest, "timestamp", "timestampMs"))
		r = -ENOMEM;
	if (r)
		return r;

	ProtobufCMessage *m;
	r = json_to_message(rest, &troupe__envelope__descriptor, a, &m, e);
	if (r)
		return r;
	Troupe__Envelope *env = (Troupe__Envelope *)m;
	if (id.len)
		env->id = id;
	if (reply_to.len)
		env->reply_to = reply_to;
	if (payload.len)
		env->payload = payload;
	r = address_check(env->to, e);
	if (!r)
		r = address_check(env->from, e);
	if (!r)
		*ret = env;
	return r;
}
