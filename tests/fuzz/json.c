/* JSON text from a browser or a file. What was accepted as a message is written as JSON that is accepted again and is the same message. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/json.h"
#include "proto/control.pb-c.h"
#include "proto/frame.pb-c.h"
#include "tests/fuzz/fuzz.h"

#define CAP (64u << 20)

static void there_and_back(const json_t *j, const ProtobufCMessageDescriptor *d, struct arena *arena)
{
	ProtobufCMessage *m, *back;
	struct error e;
	int r = json_to_message(j, d, arena, &m, &e);
	assert(r >= 0);
	if (r) {
		assert(e.text[0]);
		return;
	}
	json_t *again = json_from_message(m);
	assert(again);
	assert(json_to_message(again, d, arena, &back, &e) == 0);

	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *a = malloc(len + 1), *b = malloc(len + 1);
	assert(a && b && protobuf_c_message_get_packed_size(back) == len);
	protobuf_c_message_pack(m, a);
	protobuf_c_message_pack(back, b);
	assert(!memcmp(a, b, len));
	free(a);
	free(b);
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 16384)
		return 0;
	json_t *j = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!j)
		return 0;
	struct arena *arena = arena_new(CAP);
	struct error e;
	Troupe__Envelope *env;
	there_and_back(j, &troupe__envelope__descriptor, arena);
	there_and_back(j, &troupe__frame__descriptor, arena);
	there_and_back(j, &troupe__control__descriptor, arena);
	there_and_back(j, &troupe__task_spec__descriptor, arena);
	if (json_to_envelope(j, arena, &env, &e) == 0) {
		json_t *again = json_from_envelope(env);
		assert(again);
		json_decref(again);
	}
	arena_unref(arena);
	json_decref(j);
	return 0;
}
