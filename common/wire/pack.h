#pragma once
/* Messages to bytes, in one walk: from the last field to the first, into a buffer that is filled from its end, so that the length of what is nested is known when its head
 * is written. The bytes are those of protobuf_c_message_pack, which walks every message twice, and whoever wants room for it first three times. */
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "common/wire/arena.h"

/* m's bytes in the arena. *ret_len may be 0. NULL: over the arena's cap, or no memory. */
uint8_t *message_pack(struct arena *a, const ProtobufCMessage *m, size_t *ret_len);
