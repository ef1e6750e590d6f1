/* Records: their memory, their index by name, and how they go. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/error.h"
#include "supervisor/tree_state.h"

/* What one step can say about one record at most: its end (3 facts, 1 removal), its stop (STOP, TERM, KILL, 2 facts), its start (SPAWN, 2 facts), doubled. */
#define ACTIONS_PER_CHILD 24
#define ACTIONS_BESIDE (2 * TREE_ORDERS_MAX + 64)
#define BUCKETS_FIRST 64

static bool timer_less(const void *a, const void *b)
{
	const struct child *x = a, *y = b;
	return x->core.timer_at_ms != y->core.timer_at_ms ? x->core.timer_at_ms < y->core.timer_at_ms : x->number < y->number;
}

static void timer_place(void *item, size_t index)
{
	((struct child *)item)->core.timer_index = index;
}

int tree_actions_reserve(struct tree *t, size_t n_more)
{
	size_t wanted = (t->n + n_more + 1) * ACTIONS_PER_CHILD + ACTIONS_BESIDE;
	if (wanted <= t->actions_room)
		return 0;
	wanted *= 2;
	struct action *actions = realloc(t->actions, wanted * sizeof(*actions));
	if (!actions)
		return -ENOMEM;
	t->actions = actions;
	t->actions_room = wanted;
	return 0;
}

struct tree *tree_new(const struct tree_config *config)
{
	struct tree *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->buckets = calloc(BUCKETS_FIRST, sizeof(*t->buckets));
	if (!t->buckets || tree_actions_reserve(t, 0) < 0) {
		free(t->buckets);
		free(t);
		return NULL;
	}
	t->n_buckets = BUCKETS_FIRST;
	heap_init(&t->timers, timer_less, timer_place);
	rng_seed(&t->rng, config->seed);
	t->incarnation_next = config->incarnation_first ? config->incarnation_first : 1;
	t->number_next = config->number_first ? config->number_first : 1;
	return t;
}

static void child_free(struct child *c)
{
	window_fini(&c->delay.ends);
	window_fini(&c->window);
	if (c->sup)
		window_fini(&c->sup->window);
	free(c->sup);
	free((char *)c->name);
	free(c);
}

void tree_removed_free(struct tree *t)
{
	while (t->removed) {
		struct child *c = t->removed;
		t->removed = c->core.bucket;
		child_free(c);
	}
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	tree_removed_free(t);
	for (size_t i = 0; i < t->timers.n; i++)
		child_free(t->timers.items[i]);
	heap_fini(&t->timers);
	free(t->buckets);
	free(t->actions);
	free(t);
}

/* --- the index of names: FNV-1a, chained ---------------------------------------------------------------------------------- */

static struct child **bucket_of(const struct tree *t, const char *name)
{
	uint64_t h = 14695981039346656037ULL;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211ULL;
	return &t->buckets[(h ^ h >> 32) & (t->n_buckets - 1)];
}

void tree_index_add(struct tree *t, struct child *c)
{
	struct child **b = bucket_of(t, c->name);
	c->core.bucket = *b;
	*b = c;
}

void tree_index_remove(struct tree *t, struct child *c)
{
	struct child **at = bucket_of(t, c->name);
	while (*at != c)
		at = &(*at)->core.bucket;
	*at = c->core.bucket;
	c->core.bucket = NULL;
}

static int index_reserve(struct tree *t)
{
	if (t->n < t->n_buckets)
		return 0;
	size_t n_old = t->n_buckets;
	struct child **old = t->buckets, **buckets = calloc(2 * n_old, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	t->buckets = buckets;
	t->n_buckets = 2 * n_old;
	for (size_t i = 0; i < n_old; i++)
		for (struct child *c = old[i], *next; c; c = next) {
			next = c->core.bucket;
			tree_index_add(t, c);
		}
	free(old);
	return 0;
}

struct child *tree_find(const struct tree *t, const char *name)
{
	struct child *c = *bucket_of(t, name);
	while (c && strcmp(c->name, name) != 0)
		c = c->core.bucket;
	return c;
}

/* --- records -------------------------------------------------------------------------------------------------------------- */

static struct child *child_new(const char *name, const struct child_spec *spec, const struct supervisor_spec *sup)
{
	struct child *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->spec = *spec;
	c->name = strdup(name);
	uint32_t own = spec->give_up.intensity == INTENSITY_UNLIMITED ? 0 : spec->give_up.intensity + 1;
	if (!c->name || window_init(&c->delay.ends, spec->delay.immediate + 1) < 0 || window_init(&c->window, own) < 0)
		goto fail;
	if (sup) {
		c->sup = calloc(1, sizeof(*c->sup));
		if (!c->sup)
			goto fail;
		c->sup->spec = *sup;
		if (window_init(&c->sup->window, sup->give_up.intensity == INTENSITY_UNLIMITED ? 0 : sup->give_up.intensity + 1) < 0)
			goto fail;
	}
	return c;
fail:
	child_free(c);
	return NULL;
}

static bool place_is_legal(const struct tree *t, const struct child *above, const struct supervisor_spec *sup)
{
	return above ? above->sup != NULL : !t->root && sup;
}

int tree_add(struct tree *t, struct child *above, const char *name, const struct child_spec *spec, const struct supervisor_spec *sup, void *user,
	     struct child **ret)
{
	size_t len = strlen(name);
	if (len == 0 || len > CHILD_NAME_MAX || !place_is_legal(t, above, sup) || child_spec_check(spec, sup, above ? &above->sup->spec : NULL))
		return ERROR_BAD_REQUEST;
	if (tree_find(t, name))
		return ERROR_EXISTS;
	if (t->n >= TREE_CHILDREN_MAX || (above && above->depth + 1 >= TREE_DEPTH_MAX) ||
	    (above && above->sup->spec.children_max && above->sup->n_children >= above->sup->spec.children_max))
		return ERROR_TOO_LARGE;
	return tree_record_add(t, above, name, spec, sup, user, ret);
}

int tree_record_add(struct tree *t, struct child *above, const char *name, const struct child_spec *spec, const struct supervisor_spec *sup, void *user,
		    struct child **ret)
{
	if (tree_actions_reserve(t, 0) < 0 || index_reserve(t) < 0)
		return -ENOMEM;
	struct child *c = child_new(name, spec, sup);
	if (!c)
		return -ENOMEM;
	c->number = t->number_next;
	c->core.timer_at_ms = NEVER;
	if (heap_push(&t->timers, c) < 0) {
		child_free(c);
		return -ENOMEM;
	}
	t->number_next++;
	t->n++;
	tree_index_add(t, c);

	c->user = user;
	c->held = spec->hold;
	c->core.timeout_at_ms = c->core.term_at_ms = c->core.kill_at_ms = c->core.stuck_at_ms = c->core.recovered_at_ms = NEVER;
	if (above) {
		c->above = above;
		c->depth = above->depth + 1;
		c->prev = above->sup->last;
		*(c->prev ? &c->prev->next : &above->sup->first) = c;
		above->sup->last = c;
		above->sup->n_children++;
	} else {
		t->root = c;
	}
	*ret = c;
	return 0;
}

/* A corpse without a proof, or a process stuck in its kill, that a supervisor has left behind. */
static bool subtree_is_left(const struct tree *t, const struct child *top)
{
	for (const struct child *c = top; c; c = tree_next_under(t, top, c))
		if (c->pending || child_is_alive(c))
			return true;
	return false;
}

static void record_sleep(struct tree *t, struct child *c)
{
	tree_index_remove(t, c);
	c->core.dormant = true;
	c->above->sup->n_children--;
	tree_timer(t, c);
}

static void record_free(struct tree *t, struct child *c)
{
	struct supervisor *s = c->above->sup;
	if (!c->core.dormant) {
		tree_index_remove(t, c);
		s->n_children--;
	}
	*(c->prev ? &c->prev->next : &s->first) = c->next;
	*(c->next ? &c->next->prev : &s->last) = c->prev;
	heap_remove(&t->timers, c->core.timer_index);
	t->n--;
	c->core.gone = true;
	c->core.bucket = t->removed;
	t->removed = c;
	tree_emit(t, ACTION_FREE, c);
}

void tree_remove(struct tree *t, struct child *c, bool for_good)
{
	assert(!child_is_alive(c));
	if (subtree_is_left(t, c)) {
		c->core.drop = true;
		return;
	}
	c->core.drop = false;
	tree_dirty(t, c->above);
	if (!for_good && !c->spec.added && !c->above->sup->spec.dynamic) {
		for (struct child *x = c, *next; x; x = next) {
			next = tree_next_under(t, c, x);
			if (x != c)
				record_sleep(t, x);
		}
		record_sleep(t, c);
		return;
	}
	for (struct child *leaf = c;; leaf = c) {
		while (leaf->sup && leaf->sup->last)
			leaf = leaf->sup->last;
		record_free(t, leaf);
		if (leaf == c)
			return;
	}
}

void tree_wake(struct tree *t, struct child *c)
{
	if (!c->core.dormant || tree_find(t, c->name))
		return;
	c->core.dormant = false;
	c->above->sup->n_children++;
	tree_index_add(t, c);
}

static struct child *skip(struct child *c, bool forwards)
{
	while (c && c->core.dormant)
		c = forwards ? c->next : c->prev;
	return c;
}

struct child *tree_child_first(const struct child *sup) { return skip(sup->sup->first, true); }
struct child *tree_child_next(const struct child *c) { return skip(c->next, true); }
struct child *tree_child_last(const struct child *sup) { return skip(sup->sup->last, false); }
struct child *tree_child_prev(const struct child *c) { return skip(c->prev, false); }
