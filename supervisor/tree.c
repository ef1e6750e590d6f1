/* Events in, actions out: the step, the timers, and which supervisor is to be looked at. */
#include <assert.h>
#include "supervisor/tree_state.h"

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
	case EVENT_SIGNALLED:
		if (about_present_incarnation(e) && !e->child->sup && tree_runs(e->child))
			tree_stop_kill(t, e->child, e->reason);
		return;
	case EVENT_EXTEND:
		if (about_present_incarnation(e))
			tree_stop_extend(t, e->child, e->within_ms);
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
	tree_removed_free(t);
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
