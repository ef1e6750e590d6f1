#pragma once
/* Bytes to messages with hard limits, and messages to bytes. Input is untrusted. */
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "proto/control.pb-c.h"
#include "proto/frame.pb-c.h"

#define WIRE_VERSION 1u
#define WIRE_ADDRESS_MAX 191u
#define WIRE_ID_LEN 16u
#define WIRE_CONTROL_MAX (160u * 1024)  /* bytes of a lifeline packet */

struct wire_limits {
	size_t frame;        /* bytes of a frame, 1 MiB */
	size_t envelopes;    /* of a frame, 4,096 */
	size_t arena_factor; /* the arena's cap is frame length times this, plus 512 bytes an envelope, plus 64 KiB: 24 */
};
extern const struct wire_limits wire_limits_default;

/* Decodes a frame into a fresh arena that the caller unrefs. Checks: length, count of envelopes, arena cap, every string valid
 * UTF-8 without NUL (checked over the descriptors), Envelope.id and .reply_to of 0 or 16 bytes, and addresses that parse: to and from of the
 * frame and of each envelope, and those of Hello and Welcome. What is inside a body is its handler's matter.
 * 0, ERROR_TOO_LARGE, ERROR_BAD_REQUEST, -ENOMEM. */
int frame_decode(const uint8_t *data, size_t len, const struct wire_limits *limits, struct arena **ret_arena, Troupe__Frame **ret,
                 struct error *e);
/* The same for a lifeline packet; ids and addresses are checked in the envelopes of relay and answer. */
int control_decode(const uint8_t *data, size_t len, struct arena **ret_arena, Troupe__Control **ret, struct error *e);

/* Any message, e.g. a stored record, by its descriptor, into an arena whose cap bounds it. It stays where it is on failure.
 * 0, ERROR_TOO_LARGE, ERROR_BAD_REQUEST. */
int message_decode(const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t len, struct arena *arena, ProtobufCMessage **ret,
                   struct error *e);
/* Every string of m, however deep, is UTF-8 without NUL. 0 or ERROR_BAD_REQUEST that names the field. */
int message_check_strings(const ProtobufCMessage *m, struct error *e);

/* What an envelope that is packed already says of itself. */
struct envelope_head {
	uint32_t body;   /* the number of its body's field, Troupe__Envelope__BodyCase; 0: an application message, or nothing */
	uint32_t fields; /* bit n: field n is there, of those below 20 */
	const uint8_t *id; /* 16 bytes in data; NULL: none */
};
/* Checks all of it as frame_decode would, but unpacks nothing. 0 or ERROR_BAD_REQUEST. */
int envelope_peek(const uint8_t *data, size_t len, struct envelope_head *ret, struct error *e);

/* A frame under construction: envelopes are packed straight behind each other, because repeated fields concatenate. */
struct frame_writer {
	uint8_t *data;   /* owned; the frame is the len bytes from data + head; NULL before anything is added */
	size_t len, room;
	size_t head;     /* bytes left free at the front for the transport's framing; not in len */
	size_t n_envelopes;
};
void frame_writer_init(struct frame_writer *w, size_t head);
void frame_writer_fini(struct frame_writer *w);
void frame_writer_reset(struct frame_writer *w);
/* Bytes that envelope e adds. */
size_t frame_envelope_size(const Troupe__Envelope *e);
int frame_add_envelope(struct frame_writer *w, const Troupe__Envelope *e); /* 0 or -ENOMEM */
int frame_add_packed(struct frame_writer *w, const uint8_t *envelope, size_t len); /* an envelope packed earlier */
int frame_add_parts(struct frame_writer *w, const Troupe__Frame *parts);  /* every part of a frame */

/* A Failure from an error, pointing into e; and the other way. */
void failure_from_error(Troupe__Failure *f, const struct error *e);
void error_from_failure(struct error *e, const Troupe__Failure *f);
