/* The n-th allocation fails, for every n: nothing leaks, nothing half done, and the same call works afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/error.h"
#include "supervisor/tree.h"
#include "tests/suite.h"

static long fail_at = -1; /* allocations until the one that fails */

static bool fails(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return fails() ? NULL : __real_realloc(p, size); }
void *__wrap_reallocarray(void *p, size_t n, size_t size) { return fails() ? NULL : __real_reallocarray(p, n, size); }
char *__wrap_strdup(const char *s) { return fails() ? NULL : __real_strdup(s); }

static struct child_spec worker, nest;
static struct supervisor_spec sup;

static void specs_init(void)
{
	child_spec_default(&worker, CHILD_WORKER);
	child_spec_default(&nest, CHILD_SUPERVISOR);
	supervisor_spec_default(&sup);
	worker.give_up.intensity = 3;
	sup.give_up.intensity = 2;
}

/* root [ w0 .. w<n> s [ x ] ] */
static struct tree *tree_make(int n)
{
	struct tree *t = tree_new(&(struct tree_config){ .seed = 1 });
	struct child *root, *c, *s;
	char name[16] = "w";
	if (!t)
		return NULL;
	if (tree_add(t, NULL, "root", &nest, &sup, NULL, &root) != 0)
		goto fail;
	for (int i = 0; i < n; i++) {
		name[1] = (char)('A' + i / 26);
		name[2] = (char)('a' + i % 26);
		if (tree_add(t, root, name, &worker, NULL, NULL, &c) != 0)
			goto fail;
	}
	if (tree_add(t, root, "s", &nest, &sup, NULL, &s) == 0 && tree_add(t, s, "x", &worker, NULL, NULL, &c) == 0)
		return t;
fail:
	tree_free(t);
	return NULL;
}

START_TEST(building_a_tree_fails_cleanly_at_every_allocation)
{
	specs_init();
	struct tree *t = NULL;
	long n = 0;
	for (; !t; n++) {
		fail_at = n;
		t = tree_make(80);
		fail_at = -1;
	}
	ck_assert_int_gt(n, 300);
	ck_assert_uint_eq(tree_size(t), 83);
	tree_free(t);
}
END_TEST

static const char *answer_of(const struct actions *actions)
{
	for (size_t i = 0; i < actions->n; i++)
		if (actions->items[i].kind == ACTION_ANSWER)
			return actions->items[i].text;
	return "";
}

START_TEST(an_added_child_without_memory_is_refused_and_leaves_nothing)
{
	specs_init();
	struct tree *t = tree_make(62); /* the index grows with the next ones */
	struct actions actions;
	tree_step(t, &(struct event){ .kind = EVENT_BOOT }, &actions);
	struct event e = { .kind = EVENT_ADD, .name = "new", .above_name = "root", .spec = &worker };
	long n = 0;
	for (;; n++) {
		fail_at = n;
		tree_step(t, &e, &actions);
		fail_at = -1;
		if (strcmp(answer_of(&actions), "no_memory") != 0)
			break;
		ck_assert_ptr_null(tree_find(t, "new"));
		ck_assert_uint_eq(tree_size(t), 65);
	}
	ck_assert_int_ge(n, 4);
	ck_assert_ptr_nonnull(tree_find(t, "new"));
	tree_free(t);
}
END_TEST

START_TEST(a_reload_without_memory_changes_nothing)
{
	specs_init();
	struct tree *t = tree_make(40);
	struct actions actions;
	tree_step(t, &(struct event){ .kind = EVENT_BOOT }, &actions);
	worker.give_up.intensity = 7;
	worker.delay.immediate = 9;
	struct tree *wanted = tree_make(90);
	struct event e = { .kind = EVENT_RELOAD, .wanted = wanted };
	long n = 0;
	for (;; n++) {
		fail_at = n;
		tree_step(t, &e, &actions);
		fail_at = -1;
		if (strcmp(answer_of(&actions), "no_memory") != 0)
			break;
		ck_assert_uint_eq(actions.n, 1);
		ck_assert_uint_eq(tree_size(t), 43);
		for (struct child *c = tree_next(t, NULL); c; c = tree_next(t, c))
			ck_assert(c->sup || c->spec.give_up.intensity == 3);
	}
	ck_assert_int_gt(n, 100);
	ck_assert_str_eq(answer_of(&actions), "ok");
	ck_assert_uint_eq(tree_size(t), 93);
	ck_assert_uint_eq(tree_find(t, "wAa")->window.room, 8);
	tree_free(wanted);
	tree_free(t);
}
END_TEST

static Suite *memory_suite(void)
{
	Suite *s = suite_create("memory");
	TCase *c = tcase_create("allocations");
	tcase_set_timeout(c, 60);
	tcase_add_test(c, building_a_tree_fails_cleanly_at_every_allocation);
	tcase_add_test(c, an_added_child_without_memory_is_refused_and_leaves_nothing);
	tcase_add_test(c, a_reload_without_memory_changes_nothing);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(memory_suite()); }
