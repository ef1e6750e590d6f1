/* Starts: of one child, of a supervisor's children in order, and when a supervisor's own start is complete.
 *
 * An ordered child waits until every ordered sibling before it is up or settled. Starts outside any order (a restart under one_for_one, an operator's start,
 * the children of a pool) wait for nobody. Under one_for_one nobody depends on a sibling, so a child whose first start has failed leaves the order: it is
 * retried by itself and its successors go on. Under the other strategies they wait for it. */
#include "supervisor/tree_state.h"

static void starts_of_children(struct tree *t, struct child *sup)
{
	const struct supervisor_spec *spec = &sup->sup->spec;
	for (struct child *c = sup->sup->first; c; c = c->next) {
		tree_wake(t, c);
		if (c->core.dormant)
			continue;
		c->core.ordered = !spec->side_by_side;
		c->core.first = true;
		if (child_is_alive(c)) {
			/* Left over from the last life, stuck in a kill: this one waits for its end, alone. */
			c->core.comeback = true;
			c->core.ordered = c->core.first = false;
			c->due_at_ms = t->now_ms;
		} else if (c->core.drop && c->spec.added) {
			c->core.first = false;
		} else if (c->held && !(spec->revive_stopped && sup->last_reason != REASON_NONE)) {
			c->core.first = false;
		} else {
			c->core.tries = 0;
			c->core.retry = c->core.drop = false;
			tree_start_wait(t, c, t->now_ms);
		}
	}
}

void tree_start_child(struct tree *t, struct child *c)
{
	c->incarnation = t->incarnation_next++;
	c->started_at_ms = t->now_ms;
	c->state = CHILD_STARTING;
	c->held = c->ready = c->stuck = c->stale = false;
	c->core.comeback = c->core.ignored = c->core.killed = c->core.killing = false;
	c->core.verdict = REASON_NONE;
	c->core.term_at_ms = c->core.kill_at_ms = c->core.stuck_at_ms = c->core.recovered_at_ms = NEVER;
	c->core.timeout_at_ms = c->spec.start_timeout_ms ? t->now_ms + c->spec.start_timeout_ms : NEVER;
	if (c->core.retry)
		c->restarts++;
	tree_timer(t, c);
	if (!c->sup) {
		tree_emit(t, ACTION_SPAWN, c);
		return;
	}
	starts_of_children(t, c);
	tree_dirty(t, c);
}

void tree_start_wait(struct tree *t, struct child *c, uint64_t due_at_ms)
{
	c->state = CHILD_WAITING;
	c->due_at_ms = due_at_ms;
	tree_timer(t, c);
	tree_dirty(t, c->above);
}

void tree_start_up(struct tree *t, struct child *c, const char *info)
{
	c->state = CHILD_UP;
	c->ready = true;
	c->up_at_ms = t->now_ms;
	c->core.ordered = c->core.first = c->core.by_order = c->core.discard = c->core.retry = false;
	c->core.tries = 0;
	c->core.timeout_at_ms = NEVER;
	c->core.recovered_at_ms = c->core.alarmed ? t->now_ms + c->spec.delay.reset_after_ms : NEVER;
	tree_timer(t, c);
	tree_fact(t, FACT_UP, c)->detail = info;
	tree_order_settle(t, c, OUTCOME_UP, REASON_NONE, info);
	tree_dirty(t, c->above);
	if (c == t->root && !t->up) {
		t->up = true;
		tree_emit(t, ACTION_UP, c);
	}
}

void tree_start_timeout(struct tree *t, struct child *c)
{
	c->core.timeout_at_ms = NEVER;
	if (c->sup)
		tree_stop_by_itself(t, c, REASON_START_TIMEOUT);
	else
		tree_stop_kill(t, c, REASON_START_TIMEOUT);
}

/* Victims of a group restart must all have ended before the first of the group starts. */
static bool victims_are_left(const struct child *sup)
{
	for (struct child *c = tree_child_first(sup); c; c = tree_child_next(c))
		if (tree_stop_is_victim(c))
			return true;
	return false;
}

/* What cannot go on for an unknown time (a corpse without a proof, a process stuck in its kill) holds up nobody where nobody depends on it. */
static void leave_order_if_blocked(struct child *c, enum strategy strategy)
{
	bool no_proof = c->state == CHILD_WAITING && c->pending, stuck = child_is_alive(c) && c->stuck;
	if (strategy == STRATEGY_ONE_FOR_ONE && (no_proof || stuck))
		c->core.ordered = c->core.first = false;
}

void tree_start_look(struct tree *t, struct child *sup)
{
	for (struct child *c = tree_child_first(sup); c; c = tree_child_next(c))
		leave_order_if_blocked(c, sup->sup->spec.strategy);
	bool blocked = victims_are_left(sup), complete = true;
	for (struct child *c = tree_child_first(sup); c; c = tree_child_next(c)) {
		if (c->state == CHILD_WAITING && !(c->core.ordered && blocked) && t->now_ms >= c->due_at_ms && !c->pending)
			tree_start_child(t, c);
		if (c->core.ordered && (c->state == CHILD_WAITING || child_is_alive(c)))
			blocked = true;
		if (c->core.first)
			complete = false;
	}
	if (sup->state == CHILD_STARTING && complete)
		tree_start_up(t, sup, NULL);
}
