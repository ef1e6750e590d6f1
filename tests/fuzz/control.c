/* What comes up and down the lifeline. */
#include <assert.h>
#include <stdlib.h>

#include "common/wire/codec.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena;
	Troupe__Control *control;
	struct error e;
	if (control_decode(data, size, &arena, &control, &e)) {
		assert(e.text[0]);
		return 0;
	}
	assert(size <= WIRE_CONTROL_MAX);
	assert(message_check_strings(&control->base, &e) == 0);
	size_t len = protobuf_c_message_get_packed_size(&control->base);
	uint8_t *packed = malloc(len + 1);
	assert(packed);
	assert(protobuf_c_message_pack(&control->base, packed) == len);
	free(packed);
	arena_unref(arena);
	return 0;
}
