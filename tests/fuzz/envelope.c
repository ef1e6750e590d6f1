/* One envelope, and its short JSON form there and back. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/wire/address.h"
#include "common/wire/codec.h"
#include "common/wire/json.h"
#include "tests/fuzz/fuzz.h"

#define CAP (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new(CAP);
	ProtobufCMessage *m;
	Troupe__Envelope *back;
	struct error e;
	if (size > 4096 || message_decode(&troupe__envelope__descriptor, data, size, arena, &m, &e)) {
		arena_unref(arena);
		return 0;
	}
	Troupe__Envelope *env = (Troupe__Envelope *)m;
	assert(message_check_strings(m, &e) == 0);

	json_t *j = json_from_envelope(env);
	assert(j);
	/* what no frame lets in, the way back refuses too */
	int r = json_to_envelope(j, arena, &back, &e);
	if (r == 0) {
		assert(!*env->to || address_valid(env->to));
		json_t *again = json_from_envelope(back);
		assert(json_equal(j, again));
		json_decref(again);
	} else {
		assert(r == ERROR_BAD_REQUEST);
		assert((*env->to && !address_valid(env->to)) || (*env->from && !address_valid(env->from)) || env->timestamp_ms > INT64_MAX);
	}
	json_decref(j);
	arena_unref(arena);
	return 0;
}
