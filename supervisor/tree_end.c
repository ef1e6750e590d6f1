/* Ends: what an incarnation's end means, and the strategies.
 *
 * One question after the other: was the end asked for, or part of a group restart under way; is the supervisor itself ending; did the start fail; does the
 * restart type want the child back; does a limit forbid it; after which delay, and who goes down with it. Each answer is a decision that is recorded with the end. */
#include <assert.h>
#include <signal.h>
#include "supervisor/tree_state.h"

#define BACKOFF_ALARM_STEP 3

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- giving up ---------------------------------------------------------------------------------------------------------- */

static void supervisor_gives_up(struct tree *t, struct child *sup)
{
	window_clear(&sup->sup->window);
	tree_fact(t, FACT_GAVE_UP, sup);
	if (sup == t->root)
		t->exit_code = TREE_EXIT_GAVE_UP;
	tree_stop_by_itself(t, sup, sup->sup->spec.gave_up_is_shutdown ? REASON_SHUTDOWN : REASON_GAVE_UP);
}

/* A child that will not be started again by itself. Escalating to a supervisor that keeps going is keeping. */
static enum decision child_fails(struct tree *t, struct child *c, enum on_give_up policy)
{
	window_clear(&c->window);
	c->core.ordered = c->core.first = false;
	struct child *sup = c->above;
	if (policy == ON_GIVE_UP_ESCALATE && sup->sup->spec.give_up.on_give_up == ON_GIVE_UP_ESCALATE) {
		c->state = CHILD_STOPPED;
		supervisor_gives_up(t, sup);
		return DECISION_ESCALATE;
	}
	c->state = CHILD_FAILED;
	tree_fact(t, FACT_FAILED, c)->reason = c->last_reason;
	c->core.alarmed = true;
	tree_dirty(t, sup);
	return DECISION_FAILED;
}

static bool limit_is_exceeded(struct tree *t, struct child *c, struct child *whose, const struct give_up_spec *spec, struct window *w)
{
	if (!restart_is_one_too_many(spec, w, t->now_ms))
		return false;
	struct action *a = tree_fact(t, FACT_LIMIT, c);
	a->above = whose;
	a->count = w->n;
	a->window_ms = spec->period_ms;
	return true;
}

/* --- restarts and strategies ---------------------------------------------------------------------------------------------- */

static bool joins_group(const struct child *c, const struct supervisor_spec *spec)
{
	if (c->core.drop || c->core.leaving)
		return false;
	switch (c->state) {
	case CHILD_STARTING:
	case CHILD_UP:
	case CHILD_DYING:
	case CHILD_WAITING:
		return true;
	case CHILD_STOPPING:
		return c->core.comeback;
	case CHILD_STOPPED:
		return spec->revive_stopped && c->spec.restart != RESTART_TEMPORARY;
	case CHILD_DONE:
		return spec->revive_done;
	case CHILD_FAILED:
		return false;
	}
	return false;
}

static struct child *group_first(const struct child *pivot)
{
	switch (pivot->above->sup->spec.strategy) {
	case STRATEGY_ONE_FOR_ONE:
		return NULL;
	case STRATEGY_ALL_FOR_ONE:
		return tree_child_first(pivot->above);
	case STRATEGY_REST_FOR_ONE:
		return (struct child *)pivot;
	}
	return NULL;
}

/* The whole group shares the latest due time of its members: a second end inside a delay joins the pass that is waiting. */
static uint64_t group_due(const struct child *pivot, uint64_t due_at_ms)
{
	for (const struct child *c = group_first(pivot); c; c = tree_child_next(c))
		if (c != pivot && c->core.ordered && (c->state == CHILD_WAITING || (child_is_alive(c) && c->core.comeback)))
			due_at_ms = later(due_at_ms, c->due_at_ms);
	return due_at_ms;
}

static void group_restart(struct tree *t, struct child *pivot, uint64_t due_at_ms)
{
	const struct supervisor_spec *spec = &pivot->above->sup->spec;
	due_at_ms = group_due(pivot, due_at_ms);
	for (struct child *c = group_first(pivot); c; c = tree_child_next(c)) {
		if (c != pivot && !joins_group(c, spec))
			continue;
		c->core.ordered = true;
		if (child_is_alive(c)) {
			c->core.comeback = true;
			c->due_at_ms = due_at_ms;
		} else {
			c->held = false;
			tree_start_wait(t, c, due_at_ms);
		}
	}
}

static enum decision child_restarts(struct tree *t, struct child *c, uint64_t up_ms, struct action *end)
{
	struct child *sup = c->above;
	c->state = CHILD_STOPPED;
	if (limit_is_exceeded(t, c, c, &c->spec.give_up, &c->window))
		return child_fails(t, c, c->spec.give_up.on_give_up);
	if (limit_is_exceeded(t, c, sup, &sup->sup->spec.give_up, &sup->sup->window)) {
		window_clear(&sup->sup->window);
		return child_fails(t, c, sup->sup->spec.give_up.on_give_up);
	}

	uint64_t delay_ms = delay_next(&c->spec.delay, &c->delay, t->now_ms, up_ms, &t->rng);
	end->delay_ms = delay_ms;
	end->count = c->delay.ends.n;
	c->core.retry = true;
	if (delay_ms > 0) {
		struct action *a = tree_fact(t, FACT_BACKOFF, c);
		a->delay_ms = delay_ms;
		a->count = c->delay.step;
		if (c->delay.step == BACKOFF_ALARM_STEP) {
			a = tree_fact(t, FACT_BACKOFF_ALARM, c);
			a->delay_ms = delay_ms;
			a->count = c->delay.step;
			c->core.alarmed = true;
		}
	}
	if (sup->sup->spec.strategy == STRATEGY_ONE_FOR_ONE) {
		c->core.ordered = c->core.first = false;
		tree_start_wait(t, c, t->now_ms + delay_ms);
		return delay_ms > 0 ? DECISION_BACKOFF : DECISION_RESTART;
	}
	group_restart(t, c, t->now_ms + delay_ms);
	return DECISION_GROUP_RESTART;
}

/* --- automatic shutdown ----------------------------------------------------------------------------------------------------- */

static bool significant_are_active(const struct child *sup)
{
	for (const struct child *c = tree_child_first(sup); c; c = tree_child_next(c))
		if (c->spec.significant && (child_is_alive(c) || c->state == CHILD_WAITING))
			return true;
	return false;
}

/* c has ended by itself and does not come back. */
static bool shuts_supervisor_down(const struct child *c)
{
	if (!c->spec.significant)
		return false;
	switch (c->above->sup->spec.auto_shutdown) {
	case AUTO_SHUTDOWN_NEVER:
		return false;
	case AUTO_SHUTDOWN_ANY:
		return true;
	case AUTO_SHUTDOWN_ALL:
		return !significant_are_active(c->above);
	}
	return false;
}

static enum decision child_is_finished(struct tree *t, struct child *c)
{
	struct child *sup = c->above;
	c->state = CHILD_DONE;
	c->core.ordered = c->core.first = false;
	bool shutdown = shuts_supervisor_down(c), removed = c->spec.restart == RESTART_TEMPORARY || sup->sup->spec.dynamic;
	if (removed)
		tree_remove(t, c, false);
	tree_dirty(t, sup);
	if (shutdown) {
		tree_fact(t, FACT_AUTO_SHUTDOWN, sup);
		tree_stop_by_itself(t, sup, REASON_SHUTDOWN);
		return DECISION_AUTO_SHUTDOWN;
	}
	return removed ? DECISION_REMOVED : DECISION_DONE;
}

/* --- the end of an incarnation ---------------------------------------------------------------------------------------------- */

/* What the end was, seen from who caused it. */
static enum reason end_reason(const struct child *c, const struct tree_end *end)
{
	if (c->core.verdict != REASON_NONE) {
		if (c->state == CHILD_DYING)
			return c->core.verdict;
		if (c->core.killed && (end->reason == REASON_SIGNAL || end->reason == REASON_CORE || end->reason == REASON_KILLED))
			return c->core.verdict;
	}
	if (c->state == CHILD_STOPPING) {
		bool as_asked = end->reason == REASON_NORMAL || (end->reason == REASON_SIGNAL && end->number == SIGTERM); /* a program that knows no better way */
		return as_asked ? REASON_SHUTDOWN : end->reason;
	}
	if (!c->ready && reason_is_clean(end->reason) && !c->sup && !c->core.ignored)
		return REASON_START_FAILED;
	return end->reason;
}

/* OTP's rule for a shutdown_error report. */
static bool stop_is_error(const struct child *c, enum reason why)
{
	if (why == REASON_SHUTDOWN || (why == REASON_NORMAL && c->spec.restart != RESTART_PERMANENT))
		return false;
	return !(why == REASON_KILLED && c->spec.shutdown_ms == SHUTDOWN_BRUTAL && !c->spec.shutdown_zero);
}

static bool end_is_error(const struct child *c, enum reason why)
{
	return c->state == CHILD_STOPPING ? stop_is_error(c, why) : !reason_is_clean(why) || c->spec.restart == RESTART_PERMANENT;
}

static void forget_added_children(struct tree *t, struct child *sup)
{
	for (struct child *c = tree_child_first(sup), *next; c; c = next) {
		next = tree_child_next(c);
		if (!child_is_alive(c) && (c->spec.restart == RESTART_TEMPORARY || (sup->sup->spec.forget_added && (c->spec.added || sup->sup->spec.dynamic))))
			tree_remove(t, c, false);
	}
	window_clear(&sup->sup->window);
}

/* After an end that was asked for: once more, or not. */
static enum decision child_was_stopped(struct tree *t, struct child *c)
{
	struct child *sup = c->above;
	bool comeback = c->core.comeback && tree_runs(sup) && !c->core.leaving, sibling = c->core.ordered;
	c->core.comeback = false;
	if (comeback && !(sibling && c->spec.restart == RESTART_TEMPORARY)) {
		tree_start_wait(t, c, c->due_at_ms);
		return DECISION_COMEBACK;
	}
	c->state = CHILD_STOPPED;
	c->core.ordered = c->core.first = false;
	tree_dirty(t, sup);
	if (c->core.leaving || c->spec.restart == RESTART_TEMPORARY || (sup->sup->spec.dynamic && tree_runs(sup))) {
		tree_remove(t, c, c->core.leaving);
		return DECISION_REMOVED;
	}
	return tree_runs(sup) || c->held ? DECISION_STOPPED : DECISION_SUPERVISOR_ENDING;
}

static enum decision start_has_failed(struct tree *t, struct child *c, const struct tree_end *end, struct action *fact)
{
	struct child *sup = c->above;
	if (c->core.tries < UINT8_MAX)
		c->core.tries++;
	if (c->core.discard || c->core.by_order) {
		bool discard = c->core.discard || c->spec.restart == RESTART_TEMPORARY || sup->sup->spec.dynamic;
		c->state = CHILD_STOPPED;
		c->held = true;
		c->core.ordered = c->core.first = c->core.by_order = c->core.discard = false;
		tree_dirty(t, sup);
		if (discard)
			tree_remove(t, c, c->spec.added);
		return discard ? DECISION_REMOVED : DECISION_STOPPED;
	}
	if (c->core.first && sup->state == CHILD_STARTING && sup->sup->spec.start_once) {
		c->state = CHILD_STOPPED;
		if (sup == t->root)
			t->exit_code = TREE_EXIT_GAVE_UP;
		tree_stop_by_itself(t, sup, REASON_START_FAILED);
		return DECISION_ESCALATE;
	}
	if (c->spec.restart == RESTART_TEMPORARY)
		return child_is_finished(t, c);
	if (end->fatal_tries && c->core.tries >= end->fatal_tries)
		return child_fails(t, c, c->spec.give_up.on_give_up);
	return child_restarts(t, c, 0, fact);
}

static enum decision child_ended(struct tree *t, struct child *c, const struct tree_end *end, enum reason why, struct action *fact)
{
	if (c->state == CHILD_STOPPING || c->core.comeback || c->core.leaving)
		return child_was_stopped(t, c);
	if (!tree_runs(c->above)) {
		child_was_stopped(t, c);
		return DECISION_SUPERVISOR_ENDING;
	}
	if (!c->ready)
		return start_has_failed(t, c, end, fact);
	if (!restart_wanted(c->spec.restart, why))
		return child_is_finished(t, c);
	if (end->fatal_tries == 1)
		return child_fails(t, c, c->spec.give_up.on_give_up);
	uint64_t up_ms = t->now_ms - c->up_at_ms;
	return child_restarts(t, c, up_ms, fact);
}

static enum tree_outcome outcome_of(enum decision d, bool was_ready)
{
	switch (d) {
	case DECISION_COMEBACK:
		return OUTCOME_COMEBACK;
	case DECISION_RESTART:
	case DECISION_BACKOFF:
	case DECISION_GROUP_RESTART:
		return was_ready ? OUTCOME_COMEBACK : OUTCOME_FAILED;
	case DECISION_DONE:
	case DECISION_REMOVED:
	case DECISION_STOPPED:
	case DECISION_FAILED:
	case DECISION_ESCALATE:
	case DECISION_AUTO_SHUTDOWN:
	case DECISION_SUPERVISOR_ENDING:
	case DECISION_NONE:
		return OUTCOME_ENDED;
	}
	return OUTCOME_ENDED;
}

static void root_has_ended(struct tree *t, struct child *root, enum reason why)
{
	root->state = CHILD_STOPPED;
	t->ended = true;
	tree_fact(t, FACT_ENDED, root)->reason = why;
	bool left = false;
	for (const struct child *c = root; c; c = tree_next(t, c))
		left |= !c->sup && child_is_alive(c);
	tree_order_settle(t, NULL, OUTCOME_ENDED, why, "the node is ending");
	tree_emit(t, ACTION_EXIT, root)->code = t->exit_code ? t->exit_code : left ? TREE_EXIT_LEFT_OVER : 0;
}

static void child_has_ignored(struct tree *t, struct child *c)
{
	tree_fact(t, FACT_IGNORED, c);
	c->state = CHILD_DONE;
	c->core.ordered = c->core.first = c->core.by_order = c->core.retry = false;
	bool removed = c->spec.restart == RESTART_TEMPORARY || c->above->sup->spec.dynamic;
	c->core.discard = false;
	tree_dirty(t, c->above);
	if (removed)
		tree_remove(t, c, c->spec.added || c->above->sup->spec.dynamic);
	tree_order_settle(t, c, OUTCOME_IGNORED, REASON_NORMAL, NULL);
}

/* What could not be removed while something was left of it or below it. */
static void removals_complete(struct tree *t, struct child *c)
{
	for (struct child *x = c, *above; x && x->above; x = above) {
		above = x->above;
		if (x->core.drop && !child_is_alive(x) && !x->core.gone)
			tree_remove(t, x, x->core.leaving);
	}
}

void tree_end_child(struct tree *t, struct child *c, const struct tree_end *end)
{
	assert(child_is_alive(c));
	enum reason why = end_reason(c, end);
	bool was_ready = c->ready;
	c->last_reason = why;
	c->last_end_at_ms = t->now_ms;
	c->pending = end->pending;
	c->stuck = false;
	c->core.timeout_at_ms = c->core.term_at_ms = c->core.kill_at_ms = c->core.stuck_at_ms = c->core.recovered_at_ms = NEVER;
	if (c->sup)
		forget_added_children(t, c);
	if (!c->above) {
		root_has_ended(t, c, why);
		return;
	}
	if (c->core.ignored && c->state == CHILD_STARTING && reason_is_clean(why) && tree_runs(c->above) && !c->core.comeback) {
		child_has_ignored(t, c);
		tree_timer(t, c);
		return;
	}

	/* The room for actions never moves during a step, so the fact can be completed after the decision and still comes before what follows from it. */
	struct action *fact = tree_fact(t, c->sup ? FACT_ENDED : was_ready || c->state == CHILD_STOPPING ? FACT_DOWN : FACT_START_FAILED, c);
	fact->reason = why;
	fact->number = end->number;
	bool left_early = !was_ready && why == REASON_START_FAILED && !c->sup && reason_is_clean(end->reason);
	fact->detail = left_early ? "exited before ready (0)" : end->detail;
	fact->error = end_is_error(c, why);
	fact->after_ms = was_ready ? t->now_ms - c->up_at_ms : 0;
	fact->above = c->above;
	if (end->pending)
		tree_fact(t, FACT_PENDING, c);
	fact->decision = child_ended(t, c, end, why, fact);
	tree_timer(t, c);
	tree_order_settle(t, c, outcome_of(fact->decision, was_ready), why, fact->detail);
	c->ready = false;
	removals_complete(t, c);
}

void tree_end_proven(struct tree *t, struct child *c)
{
	if (!c->pending || child_is_alive(c))
		return;
	c->pending = false;
	tree_fact(t, FACT_PROVEN, c);
	tree_dirty(t, c->above);
	removals_complete(t, c);
}
