/* Stops: asking, SIGTERM, SIGKILL, what is stuck; victims of a group restart; the end of a supervisor and of the node.
 *
 * A supervisor stops its children in reverse start order, each only after the end of the one before (side by side: all at once). A limit on the way up is a
 * limit for all below: when a supervisor's time is over, its whole subtree is killed at once, so that nothing survives it. A child that is stuck in its kill is
 * passed over, with an alarm. */
#include <assert.h>
#include "supervisor/tree_state.h"

static uint64_t at_after(uint64_t now_ms, uint64_t after_ms)
{
	uint64_t at_ms;
	return __builtin_add_overflow(now_ms, after_ms, &at_ms) ? NEVER : at_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool is_brutal(const struct child *c)
{
	return c->spec.shutdown_ms == SHUTDOWN_BRUTAL && !c->spec.shutdown_zero;
}

static uint64_t limit_from_above(const struct child *c)
{
	uint64_t at_ms = NEVER;
	for (const struct child *s = c->above; s; s = s->above)
		if (s->state == CHILD_STOPPING || s->state == CHILD_DYING)
			at_ms = earlier(at_ms, s->core.kill_at_ms);
	return at_ms;
}

static void kill_now(struct tree *t, struct child *c)
{
	c->core.term_at_ms = c->core.kill_at_ms = NEVER;
	if (!c->core.killed) {
		c->core.killed = true;
		c->core.stuck_at_ms = t->now_ms + CHILD_STUCK_AFTER_MS;
		tree_emit(t, ACTION_KILL, c)->reason = c->core.verdict;
	}
	tree_timer(t, c);
}

void tree_stop_kill(struct tree *t, struct child *c, enum reason verdict)
{
	assert(child_is_alive(c) && !c->sup);
	if (c->state != CHILD_STOPPING)
		c->state = CHILD_DYING;
	if (c->core.verdict == REASON_NONE)
		c->core.verdict = verdict;
	kill_now(t, c);
}

/* What a supervisor forgets when it ends: starts that were still to come. */
static void children_forget_starts(struct tree *t, struct child *sup)
{
	for (struct child *c = tree_child_first(sup); c; c = tree_child_next(c)) {
		c->core.comeback = c->core.ordered = c->core.first = false;
		if (c->state != CHILD_WAITING)
			continue;
		c->state = CHILD_STOPPED;
		tree_timer(t, c);
		tree_order_settle(t, c, OUTCOME_FAILED, REASON_SHUTDOWN, "its supervisor is ending");
	}
	tree_dirty(t, sup);
}

static void supervisor_ask(struct tree *t, struct child *sup)
{
	bool ending = sup->state == CHILD_DYING;
	sup->state = CHILD_STOPPING;
	sup->core.kill_at_ms = earlier(ending ? sup->core.kill_at_ms : NEVER, at_after(t->now_ms, sup->spec.shutdown_ms));
	tree_timer(t, sup);
	children_forget_starts(t, sup);
	if (sup->spec.shutdown_ms == 0)
		tree_stop_subtree(t, sup);
}

static void worker_ask(struct tree *t, struct child *c)
{
	bool starting = c->state == CHILD_STARTING, dying = c->state == CHILD_DYING;
	c->state = CHILD_STOPPING;
	if (is_brutal(c)) {
		c->core.verdict = REASON_KILLED;
		kill_now(t, c);
		return;
	}
	if (dying) {
		tree_timer(t, c);
		return;
	}
	uint64_t patience_ms = starting ? earlier(CHILD_CANCEL_MS, c->spec.shutdown_ms) : c->spec.shutdown_ms;
	c->core.kill_at_ms = earlier(at_after(t->now_ms, patience_ms), limit_from_above(c));
	c->core.term_at_ms = starting ? t->now_ms : c->spec.term_after_ms == TERM_NEVER ? NEVER : at_after(t->now_ms, c->spec.term_after_ms);
	struct action *a = tree_emit(t, ACTION_STOP, c);
	a->within_ms = c->core.kill_at_ms == NEVER ? SHUTDOWN_INFINITY : c->core.kill_at_ms > t->now_ms ? c->core.kill_at_ms - t->now_ms : 0;
	tree_stop_due(t, c);
	tree_timer(t, c);
}

void tree_stop_child(struct tree *t, struct child *c)
{
	assert(child_is_alive(c) && c->state != CHILD_STOPPING);
	c->core.timeout_at_ms = NEVER;
	if (c->sup)
		supervisor_ask(t, c);
	else
		worker_ask(t, c);
}

void tree_stop_subtree(struct tree *t, struct child *sup)
{
	sup->core.killing = true;
	sup->core.kill_at_ms = NEVER;
	tree_timer(t, sup);
	for (struct child *c = tree_next_under(t, sup, sup); c; c = tree_next_under(t, sup, c)) {
		if (!child_is_alive(c))
			continue;
		c->core.timeout_at_ms = NEVER;
		c->core.comeback = false;
		c->state = CHILD_STOPPING;
		if (c->sup) {
			c->core.killing = true;
			c->core.kill_at_ms = NEVER;
			tree_timer(t, c);
			children_forget_starts(t, c);
		} else {
			if (c->core.verdict == REASON_NONE)
				c->core.verdict = REASON_KILLED;
			kill_now(t, c);
		}
	}
	tree_dirty(t, sup);
}

void tree_stop_by_itself(struct tree *t, struct child *sup, enum reason verdict)
{
	assert(tree_runs(sup));
	sup->state = CHILD_DYING;
	sup->core.verdict = verdict;
	sup->core.timeout_at_ms = NEVER;
	tree_timer(t, sup);
	children_forget_starts(t, sup);
}

void tree_stop_hung(struct tree *t, struct child *c, enum reason why)
{
	if (c->sup || !tree_runs(c))
		return;
	c->state = CHILD_DYING;
	c->core.verdict = why;
	c->core.timeout_at_ms = NEVER;
	c->core.kill_at_ms = t->now_ms + CHILD_ABORT_GAP_MS;
	tree_emit(t, ACTION_ABORT, c)->reason = why;
	tree_timer(t, c);
}

/* Those that a reload has left without a definition go the same way. A victim is a member of a group restart that has not ended yet; an order may have said meanwhile that it shall not come back. */
bool tree_stop_is_victim(const struct child *c)
{
	return c->core.ordered && child_is_alive(c) && (c->core.comeback || c->state == CHILD_STOPPING);
}

void tree_stop_victims(struct tree *t, struct child *sup)
{
	for (struct child *c = tree_child_last(sup); c; c = tree_child_prev(c)) {
		if ((!tree_stop_is_victim(c) && !(c->core.leaving && child_is_alive(c))) || c->stuck)
			continue;
		if (c->state != CHILD_STOPPING)
			tree_stop_child(t, c);
		if (!sup->sup->spec.side_by_side)
			return;
	}
}

void tree_stop_look(struct tree *t, struct child *sup)
{
	bool all_at_once = sup->sup->spec.side_by_side || sup->core.killing, left = false;
	for (struct child *c = tree_child_last(sup); c && (all_at_once || !left); c = tree_child_prev(c)) {
		if (!child_is_alive(c) || c->stuck)
			continue;
		left = true;
		if (c->state != CHILD_STOPPING)
			tree_stop_child(t, c);
	}
	if (!left)
		tree_end_child(t, sup, &(struct tree_end){ .reason = sup->state == CHILD_DYING ? sup->core.verdict : REASON_SHUTDOWN });
}

/* Fires what is due of a child's own times. */
void tree_stop_due(struct tree *t, struct child *c)
{
	if (c->core.recovered_at_ms <= t->now_ms && c->state == CHILD_UP) {
		c->core.recovered_at_ms = NEVER;
		c->core.alarmed = false;
		delay_clear(&c->delay);
		tree_fact(t, FACT_RECOVERED, c);
	}
	if (c->core.term_at_ms <= t->now_ms) {
		c->core.term_at_ms = NEVER;
		if (!c->core.killed && c->core.kill_at_ms > t->now_ms)
			tree_emit(t, ACTION_TERM, c);
	}
	if (c->core.kill_at_ms <= t->now_ms) {
		if (c->state == CHILD_STOPPING)
			tree_fact(t, FACT_OVERDUE, c);
		if (c->sup) {
			tree_stop_subtree(t, c);
		} else {
			if (c->core.verdict == REASON_NONE)
				c->core.verdict = REASON_KILLED;
			kill_now(t, c);
		}
	}
	if (c->core.stuck_at_ms <= t->now_ms) {
		c->core.stuck_at_ms = NEVER;
		c->stuck = true;
		tree_fact(t, FACT_STUCK, c);
		tree_dirty(t, c->above);
	}
}

void tree_stop_extend(struct tree *t, struct child *c, uint64_t within_ms)
{
	uint64_t at_ms = at_after(t->now_ms, within_ms);
	if (c->sup || c->core.killed)
		return;
	if (c->state == CHILD_STARTING && c->core.timeout_at_ms != NEVER && at_ms > c->core.timeout_at_ms)
		c->core.timeout_at_ms = at_ms;
	if (c->state == CHILD_STOPPING && c->core.kill_at_ms != NEVER && at_ms > c->core.kill_at_ms)
		c->core.kill_at_ms = earlier(at_ms, limit_from_above(c));
	tree_timer(t, c);
}

void tree_stop_node(struct tree *t, uint64_t within_ms, bool fast)
{
	struct child *root = t->root;
	t->stopping = true;
	if (!child_is_alive(root)) {
		t->ended = true;
		tree_emit(t, ACTION_EXIT, root)->code = t->exit_code;
		return;
	}
	uint64_t limit_at_ms = at_after(t->now_ms, within_ms);
	if (tree_runs(root))
		tree_stop_child(t, root);
	if (limit_at_ms < root->core.kill_at_ms && !root->core.killing)
		root->core.kill_at_ms = limit_at_ms;
	tree_timer(t, root);
	if (fast)
		tree_stop_subtree(t, root);
}
