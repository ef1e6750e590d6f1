#pragma once
/* Messages for tests: every type of proto/, and instances of them made by walking the descriptors. */
#include "common/base/rng.h"
#include "common/wire/arena.h"
#include "proto/frame.pb-c.h"

/* All types that Frame, Control or a record can hold; *ret_n of them. */
const ProtobufCMessageDescriptor *const *fill_types(size_t *ret_n);
/* The longest chain of types inside d, 1 for a message without messages; 0 where it contains itself. */
unsigned fill_depth(const ProtobufCMessageDescriptor *d);

/* Random values in every field (of a oneof, one), repeated ones up to 3 times. The caller's arena holds it. */
ProtobufCMessage *fill_random(const ProtobufCMessageDescriptor *d, struct rng *r, struct arena *a);
/* The same, with addresses and ids as the codec demands them. */
Troupe__Frame *fill_frame(struct rng *r, struct arena *a);
/* Only f, with a value that follows from its number; repeated twice; of a message inside only its first field. Stays the same when fields are added. */
ProtobufCMessage *fill_single(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, struct arena *a);

uint8_t *fill_pack(const ProtobufCMessage *m, struct arena *a, size_t *ret_len);
