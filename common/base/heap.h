#pragma once
/* A binary min-heap of pointers whose elements know their place, so that removal is O(log n) (as in beanstalkd). */
#include <stdbool.h>
#include <stddef.h>
struct heap {
	void **items;
	size_t n, room;
	bool (*less)(const void *a, const void *b);
	void (*place)(void *item, size_t index); /* called whenever an item moves; SIZE_MAX when it leaves */
};
void heap_init(struct heap *h, bool (*less)(const void *, const void *), void (*place)(void *, size_t));
void heap_fini(struct heap *h);              /* frees the array, not the items */
int heap_push(struct heap *h, void *item);   /* 0 or -ENOMEM */
void *heap_peek(const struct heap *h);       /* NULL when empty */
void *heap_pop(struct heap *h);              /* NULL when empty */
void heap_remove(struct heap *h, size_t index);
void heap_fix(struct heap *h, size_t index); /* after the item's order changed */
