/* Records, the name index, timers, and the step. */
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

static void removed_free(struct tree *t)
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
	removed_free(t);
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

static void index_remove(struct tree *t, struct child *c)
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
	index_remove(t, c);
	c->core.dormant = true;
	c->above->sup->n_children--;
	tree_timer(t, c);
}

static void record_free(struct tree *t, struct child *c)
{
	struct supervisor *s = c->above->sup;
	if (!c->core.dormant) {
		index_remove(t, c);
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

bool tree_runs(const struct child *sup)
{
	return sup->state == CHILD_STARTING || sup->state == CHILD_UP;
}

/* --- actions, timers ------------------------------------------------------------------------------------------------------ */

struct action *tree_emit(struct tree *t, enum action_kind kind, struct child *c)
{
	assert(t->n_actions < t->actions_room);
	struct action *a = &t->actions[t->n_actions++];
	*a = (struct action){ .kind = kind, .child = c, .incarnation = c ? c->incarnation : 0 };
	return a;
}

struct action *tree_fact(struct tree *t, enum fact_kind fact, struct child *c)
{
	struct action *a = tree_emit(t, ACTION_FACT, c);
	a->fact = fact;
	return a;
}

void tree_dirty(struct tree *t, struct child *sup)
{
	if (!sup || sup->core.is_dirty)
		return;
	sup->core.is_dirty = true;
	sup->core.dirty = NULL;
	*(t->dirty_last ? &t->dirty_last->core.dirty : &t->dirty_first) = sup;
	t->dirty_last = sup;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t child_timer(const struct tree *t, const struct child *c)
{
	switch (c->state) {
	case CHILD_WAITING:
		return c->due_at_ms > t->now_ms && !c->core.dormant ? c->due_at_ms : NEVER;
	case CHILD_STARTING:
		return c->core.timeout_at_ms;
	case CHILD_UP:
		return c->core.recovered_at_ms;
	case CHILD_STOPPING:
	case CHILD_DYING:
		return earlier(c->core.term_at_ms, earlier(c->core.kill_at_ms, c->core.stuck_at_ms));
	case CHILD_STOPPED:
	case CHILD_DONE:
	case CHILD_FAILED:
		break;
	}
	return NEVER;
}

void tree_timer(struct tree *t, struct child *c)
{
	uint64_t at_ms = child_timer(t, c);
	if (c->core.gone || at_ms == c->core.timer_at_ms)
		return;
	c->core.timer_at_ms = at_ms;
	heap_fix(&t->timers, c->core.timer_index);
}

uint64_t tree_next_due(const struct tree *t)
{
	const struct child *c = heap_peek(&t->timers);
	return c && !t->ended ? c->core.timer_at_ms : NEVER;
}

/* --- the step --------------------------------------------------------------------------------------------------------------- */

static void on_boot(struct tree *t)
{
	if (t->booted || !t->root || t->stopping)
		return;
	t->booted = true;
	tree_start_child(t, t->root);
}

static void on_ready(struct tree *t, const struct event *e)
{
	if (e->child->state == CHILD_STARTING && !e->child->sup && !e->child->core.ignored)
		tree_start_up(t, e->child, e->detail);
}

static void on_ignored(struct tree *t, const struct event *e)
{
	struct child *c = e->child;
	if (c->state != CHILD_STARTING || c->sup || c->core.ignored)
		return;
	c->core.ignored = true;
}

static void on_ended(struct tree *t, const struct event *e)
{
	if (!child_is_alive(e->child) || e->child->sup)
		return;
	struct tree_end end = { .reason = e->reason, .number = e->number, .pending = e->pending, .fatal_tries = e->fatal_tries, .detail = e->detail };
	if (e->kind == EVENT_START_FAILED) {
		if (e->child->ready)
			return;
		end.reason = REASON_START_FAILED;
		end.pending = false;
	}
	tree_end_child(t, e->child, &end);
}

static void on_time(struct tree *t)
{
	for (struct child *c; (c = heap_peek(&t->timers)) && c->core.timer_at_ms <= t->now_ms;) {
		if (c->state == CHILD_WAITING)
			tree_dirty(t, c->above);
		else if (c->state == CHILD_STARTING)
			tree_start_timeout(t, c);
		else
			tree_stop_due(t, c);
		tree_timer(t, c);
	}
}

static bool about_present_incarnation(const struct event *e)
{
	return e->child && e->child->incarnation == e->incarnation;
}

static void tree_dispatch(struct tree *t, const struct event *e)
{
	switch (e->kind) {
	case EVENT_BOOT:
		on_boot(t);
		return;
	case EVENT_READY:
		if (about_present_incarnation(e))
			on_ready(t, e);
		return;
	case EVENT_IGNORED:
		if (about_present_incarnation(e))
			on_ignored(t, e);
		return;
	case EVENT_START_FAILED:
	case EVENT_ENDED:
		if (about_present_incarnation(e))
			on_ended(t, e);
		return;
	case EVENT_PROVEN:
		if (about_present_incarnation(e))
			tree_end_proven(t, e->child);
		return;
	case EVENT_HUNG:
		if (about_present_incarnation(e))
			tree_stop_hung(t, e->child, e->reason);
		return;
	case EVENT_TIME:
		on_time(t);
		return;
	case EVENT_ORDER:
		tree_order_take(t, e);
		return;
	case EVENT_ADD:
		tree_order_add(t, e);
		return;
	case EVENT_RELOAD:
		tree_reload(t, e);
		return;
	case EVENT_SHUTDOWN:
		tree_stop_node(t, e->within_ms, e->fast);
		return;
	}
}

static void supervisor_look(struct tree *t, struct child *sup)
{
	switch (sup->state) {
	case CHILD_STARTING:
	case CHILD_UP:
		tree_stop_victims(t, sup);
		tree_start_look(t, sup);
		return;
	case CHILD_STOPPING:
	case CHILD_DYING:
		tree_stop_look(t, sup);
		return;
	case CHILD_STOPPED:
	case CHILD_WAITING:
	case CHILD_DONE:
	case CHILD_FAILED:
		return;
	}
}

static void tree_settle(struct tree *t)
{
	while (t->dirty_first) {
		struct child *sup = t->dirty_first;
		t->dirty_first = sup->core.dirty;
		if (!t->dirty_first)
			t->dirty_last = NULL;
		sup->core.is_dirty = false;
		if (!sup->core.gone && !sup->core.dormant)
			supervisor_look(t, sup);
	}
}

void tree_step(struct tree *t, const struct event *e, struct actions *ret_actions)
{
	removed_free(t);
	t->n_actions = 0;
	if (e->now_ms > t->now_ms)
		t->now_ms = e->now_ms;
	if (t->ended || !t->root) {
		if (e->kind == EVENT_ORDER || e->kind == EVENT_ADD || e->kind == EVENT_RELOAD) {
			struct action *a = tree_emit(t, ACTION_ANSWER, NULL);
			a->ref = e->ref;
			a->order = e->order;
			a->text = "noproc";
		}
	} else {
		tree_dispatch(t, e);
		tree_settle(t);
	}
	*ret_actions = (struct actions){ .items = t->actions, .n = t->n_actions };
}
