/* The heap against a model that finds the least item by looking at all. */
#include <stdint.h>

#include "common/base/heap.h"
#include "common/base/rng.h"
#include "tests/suite.h"

struct item {
	uint64_t key;
	size_t index; /* SIZE_MAX: outside */
};

static bool item_less(const void *a, const void *b)
{
	return ((const struct item *)a)->key < ((const struct item *)b)->key;
}

static void item_place(void *item, size_t index)
{
	((struct item *)item)->index = index;
}

static void check_heap(const struct heap *h)
{
	for (size_t i = 0; i < h->n; i++) {
		const struct item *item = h->items[i];
		ck_assert_uint_eq(item->index, i);
		ck_assert(i == 0 || !item_less(item, h->items[(i - 1) / 2]));
	}
}

START_TEST(an_empty_heap_has_nothing)
{
	struct heap h;
	heap_init(&h, item_less, item_place);
	ck_assert_ptr_null(heap_peek(&h));
	ck_assert_ptr_null(heap_pop(&h));
	heap_fini(&h);
}
END_TEST

START_TEST(random_work_agrees_with_a_model)
{
	enum { ITEMS = 300, STEPS = 20000 };
	static struct item items[ITEMS];
	struct heap h;
	struct rng r;
	size_t n = 0;
	rng_seed(&r, 11);
	heap_init(&h, item_less, item_place);
	for (size_t i = 0; i < ITEMS; i++)
		items[i].index = SIZE_MAX;

	for (int step = 0; step < STEPS; step++) {
		struct item *item = &items[rng_below(&r, ITEMS)];
		if (item->index == SIZE_MAX) {
			item->key = rng_below(&r, 100); /* many are equal */
			ck_assert_int_eq(heap_push(&h, item), 0);
			n++;
		} else if (rng_below(&r, 3) == 0) {
			heap_remove(&h, item->index);
			ck_assert_uint_eq(item->index, SIZE_MAX);
			n--;
		} else if (rng_below(&r, 2)) {
			item->key = rng_below(&r, 100);
			heap_fix(&h, item->index);
		} else {
			struct item *least = heap_peek(&h);
			ck_assert_ptr_eq(heap_pop(&h), least);
			ck_assert_uint_eq(least->index, SIZE_MAX);
			n--;
			for (size_t i = 0; i < ITEMS; i++)
				ck_assert(items[i].index == SIZE_MAX || items[i].key >= least->key);
		}
		ck_assert_uint_eq(h.n, n);
		if (step % 16 == 0)
			check_heap(&h);
	}
	heap_fini(&h);
}
END_TEST

START_TEST(popping_all_gives_them_sorted)
{
	static struct item items[1000];
	struct heap h;
	struct rng r;
	rng_seed(&r, 12);
	heap_init(&h, item_less, item_place);
	for (size_t i = 0; i < 1000; i++) {
		items[i].key = rng_next(&r);
		ck_assert_int_eq(heap_push(&h, &items[i]), 0);
	}
	uint64_t last = 0;
	for (struct item *item; (item = heap_pop(&h)); last = item->key)
		ck_assert_uint_ge(item->key, last);
	ck_assert_uint_eq(h.n, 0);
	heap_fini(&h);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("heap");
	TCase *t = tcase_create("heap");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_empty_heap_has_nothing);
	tcase_add_test(t, random_work_agrees_with_a_model);
	tcase_add_test(t, popping_all_gives_them_sorted);
	suite_add_tcase(s, t);
	return suite_run(s);
}
