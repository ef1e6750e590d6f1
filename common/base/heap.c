#include "common/base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

void heap_init(struct heap *h, bool (*less)(const void *, const void *), void (*place)(void *, size_t))
{
	*h = (struct heap){ .less = less, .place = place };
}

void heap_fini(struct heap *h)
{
	free(h->items);
	h->items = NULL;
	h->n = h->room = 0;
}

static void heap_set(struct heap *h, size_t index, void *item)
{
	h->items[index] = item;
	h->place(item, index);
}

static size_t sift_up(struct heap *h, size_t index)
{
	void *item = h->items[index];
	while (index > 0) {
		size_t parent = (index - 1) / 2;
		if (!h->less(item, h->items[parent]))
			break;
		heap_set(h, index, h->items[parent]);
		index = parent;
	}
	heap_set(h, index, item);
	return index;
}

static void sift_down(struct heap *h, size_t index)
{
	void *item = h->items[index];
	for (;;) {
		size_t child = 2 * index + 1;
		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->less(h->items[child + 1], h->items[child]))
			child++;
		if (!h->less(h->items[child], item))
			break;
		heap_set(h, index, h->items[child]);
		index = child;
	}
	heap_set(h, index, item);
}

int heap_push(struct heap *h, void *item)
{
	if (h->n == h->room) {
		size_t room = h->room ? h->room * 2 : 16;
		void **items = reallocarray(h->items, room, sizeof(*items));
		if (!items)
			return -ENOMEM;
		h->items = items;
		h->room = room;
	}
	h->items[h->n++] = item;
	sift_up(h, h->n - 1);
	return 0;
}

void *heap_peek(const struct heap *h)
{
	return h->n ? h->items[0] : NULL;
}

void *heap_pop(struct heap *h)
{
	if (!h->n)
		return NULL;
	void *item = h->items[0];
	heap_remove(h, 0);
	return item;
}

void heap_remove(struct heap *h, size_t index)
{
	assert(index < h->n);

	void *item = h->items[index];
	void *last = h->items[--h->n];
	if (index < h->n) {
		h->items[index] = last;
		heap_fix(h, index);
	}
	h->place(item, SIZE_MAX);
}

void heap_fix(struct heap *h, size_t index)
{
	assert(index < h->n);

	if (sift_up(h, index) == index)
		sift_down(h, index);
}
