#include "common/wire/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16
#define BLOCK_FIRST 4096  /* with the head: most frames need no second one */
#define BLOCK_MAX (256 * 1024)
#define SPARE_MAX (4u * 1024 * 1024) /* kept over a reset: pages that malloc gave back would have to be faulted in again */

struct block {
	struct block *next;
	size_t room;
	_Alignas(ALIGNMENT) uint8_t data[];
};

struct arena {
	ProtobufCAllocator allocator;
	unsigned refs;
	bool full;
	size_t cap, used;
	uint8_t *next, *end; /* free bytes of the newest block */
	struct block *blocks; /* all but the first, newest first */
	struct block *spare;  /* of before the reset */
	size_t spare_bytes;
	_Alignas(ALIGNMENT) uint8_t data[];
};

static void *allocator_alloc(void *data, size_t size)
{
	return arena_alloc(data, size);
}

static void allocator_free(void *data, void *pointer)
{
}

struct arena *arena_new(size_t cap)
{
	struct arena *a = malloc(BLOCK_FIRST);
	if (!a)
		return NULL;
	*a = (struct arena){ .refs = 1, .cap = cap, .next = a->data, .end = (uint8_t *)a + BLOCK_FIRST };
	a->allocator = (ProtobufCAllocator){ .alloc = allocator_alloc, .free = allocator_free, .allocator_data = a };
	return a;
}

static void blocks_free(struct block **blocks)
{
	while (*blocks) {
		struct block *b = *blocks;
		*blocks = b->next;
		free(b);
	}
}

struct arena *arena_ref(struct arena *a)
{
	a->refs++;
	return a;
}

struct arena *arena_unref(struct arena *a)
{
	if (!a)
		return NULL;
	assert(a->refs > 0);
	if (--a->refs == 0) {
		blocks_free(&a->blocks);
		blocks_free(&a->spare);
		free(a);
	}
	return NULL;
}

static struct block *spare_take(struct arena *a, size_t size)
{
	for (struct block **at = &a->spare; *at; at = &(*at)->next)
		if ((*at)->room >= size) {
			struct block *b = *at;
			*at = b->next;
			a->spare_bytes -= b->room;
			return b;
		}
	return NULL;
}

/* Blocks double; a piece larger than the next block gets one of its own size. What is left of the old block is given up: at most half of all. */
static bool block_add(struct arena *a, size_t size)
{
	size_t room = a->blocks ? a->blocks->room * 2 : BLOCK_FIRST * 2;
	if (room > BLOCK_MAX)
		room = BLOCK_MAX;
	if (room < size)
		room = size;
	if (room > SIZE_MAX - sizeof(struct block))
		return false;
	struct block *b = spare_take(a, size);
	if (!b && (b = malloc(sizeof(*b) + room)))
		b->room = room;
	if (!b)
		return false;
	b->next = a->blocks;
	a->blocks = b;
	a->next = b->data;
	a->end = b->data + b->room;
	return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t left = a->cap - a->used;
	size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (size > left || rounded > left || rounded < size) {
		a->full = true;
		return NULL;
	}
	if (rounded > (size_t)(a->end - a->next) && !block_add(a, rounded))
		return NULL;
	void *p = a->next;
	a->next += rounded;
	a->used += rounded;
	return p;
}

uint8_t *arena_room(struct arena *a, size_t least, size_t *ret_room)
{
	size_t rounded = (least + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); /* what arena_alloc will take of it */
	if (rounded > a->cap - a->used || rounded < least) {
		a->full = true;
		return NULL;
	}
	if (rounded > (size_t)(a->end - a->next) && !block_add(a, rounded))
		return NULL;
	*ret_room = (size_t)(a->end - a->next);
	return a->next;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);
	return p ? memset(p, 0, size) : NULL;
}

void *arena_copy(struct arena *a, const void *data, size_t size)
{
	void *p = arena_alloc(a, size);
	if (p && size)
		memcpy(p, data, size);
	return p;
}

char *arena_string(struct arena *a, const char *s)
{
	return arena_copy(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

bool arena_full(const struct arena *a)
{
	return a->full;
}

void arena_reset(struct arena *a)
{
	assert(a->refs == 1);

	while (a->blocks) {
		struct block *b = a->blocks;
		a->blocks = b->next;
		if (b->room > SPARE_MAX - a->spare_bytes) {
			free(b);
			continue;
		}
		a->spare_bytes += b->room;
		b->next = a->spare;
		a->spare = b;
	}
	a->full = false;
	a->used = 0;
	a->next = a->data;
	a->end = (uint8_t *)a + BLOCK_FIRST;
}

ProtobufCAllocator *arena_allocator(struct arena *a)
{
	return &a->allocator;
}
