/* What would happen: a copy of the tree lives on in virtual time with children that start and stop as they should. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/tree_state.h"

#define WHAT_IF_EVENTS_MAX 1000000

/* --- the copy -------------------------------------------------------------------------------------------------------------- */

static void window_assign(struct window *to, const struct window *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		window_add(to, window_at(from, i));
}

static void record_assign(struct tree *t, struct child *to, const struct child *from)
{
	struct child own = *to;
	*to = *from;
	to->name = own.name;
	to->sup = own.sup;
	to->above = own.above;
	to->prev = own.prev;
	to->next = own.next;
	to->window = own.window;
	to->delay.ends = own.delay.ends;
	to->core.bucket = own.core.bucket;
	to->core.timer_index = own.core.timer_index;
	to->core.timer_at_ms = NEVER;
	to->core.dirty = to->core.twin = NULL;
	window_assign(&to->window, &from->window);
	window_assign(&to->delay.ends, &from->delay.ends);
	if (to->sup)
		window_assign(&to->sup->window, &from->sup->window);
	if (to->core.dormant) {
		tree_index_remove(t, to);
		to->above->sup->n_children--;
	}
	tree_timer(t, to);
}

/* Nesting is at most TREE_DEPTH_MAX. */
static int children_copy(struct tree *t, const struct child *from, struct child *to)
{
	for (const struct child *c = from->sup->first; c; c = c->next) {
		struct child *copy;
		if (tree_record_add(t, to, c->name, &c->spec, c->sup ? &c->sup->spec : NULL, c->user, &copy) < 0)
			return -ENOMEM;
		record_assign(t, copy, c);
		if (c->sup && children_copy(t, c, copy) < 0)
			return -ENOMEM;
	}
	return 0;
}

struct tree *tree_clone(const struct tree *t)
{
	struct tree *copy = tree_new(&(struct tree_config){ 0 });
	struct child *root;
	if (!copy || !t->root)
		return copy;
	copy->now_ms = t->now_ms;
	if (tree_record_add(copy, NULL, t->root->name, &t->root->spec, &t->root->sup->spec, t->root->user, &root) < 0)
		goto fail;
	record_assign(copy, root, t->root);
	if (children_copy(copy, t->root, root) < 0)
		goto fail;
	copy->rng = t->rng;
	copy->incarnation_next = t->incarnation_next;
	copy->number_next = t->number_next;
	copy->booted = t->booted;
	copy->up = t->up;
	copy->stopping = t->stopping;
	copy->ended = t->ended;
	copy->exit_code = t->exit_code;
	return copy;
fail:
	tree_free(copy);
	return NULL;
}

/* --- its life -------------------------------------------------------------------------------------------------------------- */

struct what_if {
	struct tree *tree;
	struct event *events;   /* what the children will say, first one first */
	size_t first, n, room;
	what_if_tell *tell;
	void *arg;
	uint64_t begun_at_ms;
};

static int expect(struct what_if *w, enum event_kind kind, struct child *c, enum reason why, int32_t number)
{
	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		struct event *events = reallocarray(w->events, room, sizeof(*events));
		if (!events)
			return -ENOMEM;
		w->events = events;
		w->room = room;
	}
	w->events[w->n++] = (struct event){ .kind = kind, .child = c, .incarnation = c->incarnation, .reason = why, .number = number };
	return 0;
}

static void forget(struct what_if *w, const struct child *c)
{
	for (size_t i = w->first; i < w->n; i++)
		if (w->events[i].child == c)
			w->events[i].kind = EVENT_TIME;
}

static int perform(struct what_if *w, const struct actions *actions)
{
	int r = 0;
	for (size_t i = 0; i < actions->n && r == 0; i++) {
		const struct action *a = &actions->items[i];
		w->tell(w->arg, a, w->tree->now_ms - w->begun_at_ms);
		if (a->kind == ACTION_SPAWN)
			r = expect(w, EVENT_READY, a->child, REASON_NONE, 0);
		else if (a->kind == ACTION_STOP)
			r = expect(w, EVENT_ENDED, a->child, REASON_NORMAL, 0);
		else if (a->kind == ACTION_KILL || a->kind == ACTION_ABORT)
			r = expect(w, EVENT_ENDED, a->child, REASON_SIGNAL, 9);
		else if (a->kind == ACTION_FREE)
			forget(w, a->child);
	}
	return r;
}

/* Who is between two states already goes on as it should. */
static int expect_those_under_way(struct what_if *w)
{
	int r = 0;
	for (struct child *c = w->tree->root; c && r == 0; c = tree_next(w->tree, c)) {
		if (c->sup)
			continue;
		if (c->state == CHILD_STARTING)
			r = expect(w, EVENT_READY, c, REASON_NONE, 0);
		else if (c->state == CHILD_STOPPING || c->state == CHILD_DYING)
			r = expect(w, EVENT_ENDED, c, REASON_NORMAL, 0);
	}
	return r;
}

static int live(struct what_if *w, uint64_t within_ms)
{
	struct actions actions;
	int r = 0;
	for (size_t i = 0; r == 0 && i < WHAT_IF_EVENTS_MAX; i++) {
		struct event e = { .kind = EVENT_TIME, .now_ms = w->tree->now_ms };
		if (w->first < w->n) {
			e = w->events[w->first++];
			e.now_ms = w->tree->now_ms;
			if (w->first == w->n)
				w->first = w->n = 0;
		} else if (tree_next_due(w->tree) != NEVER && tree_next_due(w->tree) - w->begun_at_ms <= within_ms) {
			e.now_ms = tree_next_due(w->tree);
		} else {
			break;
		}
		tree_step(w->tree, &e, &actions);
		r = perform(w, &actions);
	}
	return r;
}

int tree_what_if(const struct tree *t, const struct event *e, uint64_t within_ms, what_if_tell *tell, void *arg)
{
	struct what_if w = { .tree = tree_clone(t), .tell = tell, .arg = arg, .begun_at_ms = t->now_ms };
	if (!w.tree)
		return -ENOMEM;
	struct event first = *e;
	struct actions actions;
	first.now_ms = t->now_ms;
	if (e->child)
		first.child = tree_find(w.tree, e->child->name);
	int r = expect_those_under_way(&w);
	if (r == 0) {
		tree_step(w.tree, &first, &actions);
		r = perform(&w, &actions);
	}
	if (r == 0)
		r = live(&w, within_ms);
	free(w.events);
	tree_free(w.tree);
	return r;
}
