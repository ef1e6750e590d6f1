/* What a mailbox socket reads. Whatever was accepted is valid throughout, and is accepted again with the same bytes when it is written anew. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/codec.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena, *again_arena;
	Troupe__Frame *frame, *again;
	struct error e;
	if (frame_decode(data, size, &wire_limits_default, &arena, &frame, &e))
		return 0;
	assert(frame->n_envelopes <= wire_limits_default.envelopes);
	assert(message_check_strings(&frame->base, &e) == 0);

	struct frame_writer w;
	frame_writer_init(&w, 9);
	assert(frame_add_parts(&w, frame) == 0);
	assert(w.n_envelopes == frame->n_envelopes);
	int r = frame_decode(w.data ? w.data + w.head : data, w.len, &wire_limits_default, &again_arena, &again, &e);
	/* a shorter writing has a smaller arena, and a negative number that came in 5 bytes goes in 10 */
	if (r == 0) {
		size_t len = protobuf_c_message_get_packed_size(&again->base);
		uint8_t *packed = malloc(len + 1);
		assert(packed && len == w.len);
		protobuf_c_message_pack(&again->base, packed);
		assert(len == 0 || !memcmp(packed, w.data + w.head, len));
		free(packed);
		arena_unref(again_arena);
	} else {
		assert(r == ERROR_TOO_LARGE);
	}
	frame_writer_fini(&w);
	arena_unref(arena);
	return 0;
}
