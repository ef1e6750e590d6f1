#pragma once
/* A bump allocator with a hard cap, for one decoded frame and all that hangs on it: the answer to small input that unpacks into much memory.
 * Reference-counted, so that a mailbox can keep single messages of a frame. Not for several threads. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>

struct arena;

struct arena *arena_new(size_t cap);      /* NULL without memory; one reference; cap bounds the sum of all allocations, each rounded up to 16 bytes */
struct arena *arena_ref(struct arena *a);
struct arena *arena_unref(struct arena *a); /* returns NULL; NULL accepted */
void *arena_alloc(struct arena *a, size_t size); /* 16-byte aligned, not zeroed; NULL over the cap, or without memory */
void *arena_zalloc(struct arena *a, size_t size);
/* Free memory in one piece, at least so many bytes, *ret_room of them, where the next arena_alloc that fits begins. Not taken by this. NULL without memory, or where so much is over the cap. */
uint8_t *arena_room(struct arena *a, size_t least, size_t *ret_room);
void *arena_copy(struct arena *a, const void *data, size_t size);
char *arena_string(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a);
bool arena_full(const struct arena *a);   /* the cap refused an allocation, now or before */
void arena_reset(struct arena *a);        /* forgets everything, keeps up to 4 MiB for what comes; only with one reference */
ProtobufCAllocator *arena_allocator(struct arena *a); /* for *_unpack; its free does nothing */
