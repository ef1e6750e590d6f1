#pragma once
/* The packet4 protocol: messages of proto/program.proto, each behind its length as four bytes, most significant first. Pure.
 *
 * A packet of length 0, one that cannot be decoded, and one that makes no sense are stray: the next one begins where their length says. A length above
 * message_max is no length at all, but most often text that somebody printed: what follows cannot be trusted, and the program is lost. */
#include "common/work/program_codec.h"

#define PACKET4_HEAD 4u

/* One body. What *ret points to is in the arena, which is reset first. 0, or ERROR_BAD_REQUEST or ERROR_TOO_LARGE: a stray one.
 * ERROR_VERSION: a hello of another version. */
int packet4_read(const uint8_t *body, size_t len, struct arena *arena, struct program_message *ret, struct error *e);
