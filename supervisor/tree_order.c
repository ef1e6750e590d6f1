/* Management calls. Each is answered exactly once: at once, or when the start or end that it asked for has happened. Nothing else waits for it. */
#include <assert.h>
#include <string.h>
#include "common/base/error.h"
#include "supervisor/tree_state.h"

static void answer(struct tree *t, const struct event *e, struct child *c, const char *text, const char *detail)
{
	struct action *a = tree_emit(t, ACTION_ANSWER, c);
	a->ref = e->ref;
	a->order = e->order;
	a->text = text;
	a->detail = detail;
}

static void order_keep(struct tree *t, const struct event *e, struct child *c)
{
	assert(t->n_orders < TREE_ORDERS_MAX);
	t->orders[t->n_orders++] = (struct tree_order){ .ref = e->ref, .order = e->order, .add = e->kind == EVENT_ADD, .child = c };
}

static const char *order_result(const struct tree_order *o, enum tree_outcome outcome)
{
	bool wants_end = !o->add && (o->order == ORDER_STOP || o->order == ORDER_KILL);
	switch (outcome) {
	case OUTCOME_UP:
		return wants_end ? NULL : "ok";
	case OUTCOME_IGNORED:
		return wants_end ? "ok" : "none";
	case OUTCOME_COMEBACK:
		return wants_end ? "ok" : NULL;
	case OUTCOME_FAILED:
	case OUTCOME_ENDED:
		return wants_end ? "ok" : "start_failed";
	}
	return NULL;
}

void tree_order_settle(struct tree *t, struct child *c, enum tree_outcome outcome, enum reason why, const char *detail)
{
	size_t n_left = 0;
	for (size_t i = 0; i < t->n_orders; i++) {
		const struct tree_order *o = &t->orders[i];
		const char *text = c && o->child != c ? NULL : order_result(o, outcome);
		if (!text) {
			t->orders[n_left++] = *o;
			continue;
		}
		struct action *a = tree_emit(t, ACTION_ANSWER, o->child);
		a->ref = o->ref;
		a->order = o->order;
		a->text = text;
		a->detail = outcome == OUTCOME_UP || strcmp(text, "start_failed") == 0 ? detail : NULL;
		a->reason = why;
	}
	t->n_orders = n_left;
}

/* --- start, restart --------------------------------------------------------------------------------------------------------- */

static void manual_start(struct tree *t, const struct event *e, struct child *c, bool failure_is_final)
{
	if (c->pending && !e->force) {
		answer(t, e, c, "pending", "the family of its last incarnation is not proven empty");
		return;
	}
	if (!tree_runs(c->above)) {
		answer(t, e, c, "noproc", "its supervisor is not up");
		return;
	}
	c->pending = c->core.drop = false;
	window_clear(&c->window);
	delay_clear(&c->delay);
	c->core.tries = 0;
	c->core.retry = c->core.ordered = c->core.first = false;
	c->core.by_order = failure_is_final;
	order_keep(t, e, c);
	tree_start_child(t, c);
}

/* The wait is over: for this child, and for the group that waits with it. */
static void hurry(struct tree *t, struct child *c, bool force)
{
	if (force)
		c->pending = false;
	for (struct child *x = tree_child_first(c->above); x; x = tree_child_next(x))
		if (x == c || (c->core.ordered && x->core.ordered && (x->state == CHILD_WAITING || x->core.comeback))) {
			x->due_at_ms = t->now_ms;
			tree_timer(t, x);
		}
	tree_dirty(t, c->above);
}

static void on_start(struct tree *t, const struct event *e, struct child *c)
{
	if (c->above->sup->spec.dynamic) {
		answer(t, e, c, "dynamic", NULL);
		return;
	}
	switch (c->state) {
	case CHILD_STOPPED:
	case CHILD_DONE:
	case CHILD_FAILED:
		manual_start(t, e, c, true);
		return;
	case CHILD_WAITING:
		if (e->force) {
			order_keep(t, e, c);
			hurry(t, c, true);
			return;
		}
		answer(t, e, c, "restarting", NULL);
		return;
	case CHILD_STARTING:
		answer(t, e, c, "restarting", NULL);
		return;
	case CHILD_STOPPING:
		answer(t, e, c, c->core.comeback ? "restarting" : "running", NULL);
		return;
	case CHILD_UP:
	case CHILD_DYING:
		answer(t, e, c, "running", NULL);
		return;
	}
}

static void on_restart(struct tree *t, const struct event *e, struct child *c)
{
	if (!tree_runs(c->above)) {
		answer(t, e, c, "noproc", "its supervisor is not up");
		return;
	}
	switch (c->state) {
	case CHILD_STOPPED:
	case CHILD_DONE:
	case CHILD_FAILED:
		manual_start(t, e, c, false);
		return;
	case CHILD_WAITING:
		window_clear(&c->window);
		delay_clear(&c->delay);
		order_keep(t, e, c);
		hurry(t, c, e->force);
		return;
	case CHILD_STARTING:
	case CHILD_UP:
	case CHILD_STOPPING:
	case CHILD_DYING:
		break;
	}
	window_clear(&c->window);
	delay_clear(&c->delay);
	order_keep(t, e, c);
	if (!c->core.comeback) {
		/* Its place in a first start that is under way stays its own. */
		c->core.comeback = true;
		c->core.ordered = c->core.first && c->core.ordered;
		c->due_at_ms = t->now_ms;
	}
	c->held = c->core.by_order = c->core.discard = c->core.retry = false;
	if (c->state != CHILD_STOPPING)
		tree_stop_child(t, c);
	if (e->force && !c->core.killed && !c->sup)
		tree_stop_kill(t, c, REASON_KILLED);
}

/* --- stop, kill, delete ------------------------------------------------------------------------------------------------------- */

static void kill_by_force(struct tree *t, struct child *c)
{
	if (c->sup)
		tree_stop_subtree(t, c);
	else
		tree_stop_kill(t, c, REASON_KILLED);
}

static void on_stop(struct tree *t, const struct event *e, struct child *c)
{
	window_clear(&c->window);
	delay_clear(&c->delay);
	bool leaves = c->spec.restart == RESTART_TEMPORARY || c->above->sup->spec.dynamic;
	c->held = true;
	c->core.comeback = false;
	if (child_is_alive(c)) {
		order_keep(t, e, c);
		if (c->state != CHILD_STOPPING)
			tree_stop_child(t, c);
		if (e->force)
			kill_by_force(t, c);
		return;
	}
	c->state = CHILD_STOPPED;
	c->core.ordered = c->core.first = false;
	tree_timer(t, c);
	tree_dirty(t, c->above);
	answer(t, e, c, "ok", NULL);
	tree_order_settle(t, c, OUTCOME_ENDED, REASON_SHUTDOWN, "stopped by another order");
	if (leaves)
		tree_remove(t, c, false);
}

static void on_kill(struct tree *t, const struct event *e, struct child *c)
{
	if (!child_is_alive(c)) {
		answer(t, e, c, "noproc", NULL);
		return;
	}
	order_keep(t, e, c);
	if (c->sup) {
		if (tree_runs(c))
			tree_stop_by_itself(t, c, REASON_KILLED);
		tree_stop_subtree(t, c);
		return;
	}
	tree_stop_kill(t, c, REASON_KILLED);
}

static bool subtree_is_alive(const struct tree *t, const struct child *top)
{
	for (const struct child *c = top; c; c = tree_next_under(t, top, c))
		if (child_is_alive(c))
			return true;
	return false;
}

static void on_delete(struct tree *t, const struct event *e, struct child *c)
{
	if (c->above->sup->spec.dynamic) {
		answer(t, e, c, "dynamic", NULL);
		return;
	}
	if (child_is_restarting(c)) {
		answer(t, e, c, "restarting", NULL);
		return;
	}
	if (subtree_is_alive(t, c)) {
		answer(t, e, c, "running", NULL);
		return;
	}
	for (struct child *x = c; x; x = tree_next_under(t, c, x)) {
		if (x->pending && !e->force) {
			answer(t, e, x, "pending", "the family of its last incarnation is not proven empty");
			return;
		}
		x->pending = false;
	}
	answer(t, e, c, "ok", NULL);
	tree_remove(t, c, true);
}

/* --- asking ------------------------------------------------------------------------------------------------------------------- */

static void on_count(struct tree *t, const struct event *e, struct child *c)
{
	if (!c->sup) {
		answer(t, e, c, "bad_request", "not a supervisor");
		return;
	}
	answer(t, e, c, "ok", NULL);
	t->actions[t->n_actions - 1].counts = tree_count(c);
}

static bool order_is_admitted(struct tree *t, const struct event *e)
{
	if (t->n_orders < TREE_ORDERS_MAX)
		return true;
	answer(t, e, NULL, "busy", "too many orders are waiting");
	return false;
}

static struct child *find_incarnation(const struct tree *t, const struct child *top, uint64_t incarnation)
{
	for (struct child *c = tree_next_under(t, top, top); c; c = tree_next_under(t, top, c))
		if (c->incarnation == incarnation)
			return c;
	return NULL;
}

/* The child that is meant; NULL after an answer. */
static struct child *order_target(struct tree *t, const struct event *e)
{
	struct child *c = e->name ? tree_find(t, e->name) : NULL;
	struct child *above = e->above_name && *e->above_name ? tree_find(t, e->above_name) : c ? c->above : NULL;
	bool named = e->above_name && *e->above_name;
	const char *word = NULL;
	if (named && (!above || !above->sup)) {
		word = "noproc";
	} else if (named && above->sup->spec.dynamic && !e->of_incarnation) {
		word = "dynamic";
	} else if (e->of_incarnation && above && above->sup->spec.dynamic) {
		c = find_incarnation(t, above, e->of_incarnation);
		if (!c)
			word = e->order == ORDER_STOP && e->of_incarnation < t->incarnation_next && !find_incarnation(t, t->root, e->of_incarnation) ? "ok" : "not_found";
	} else if (!c || e->of_incarnation || (named && c->above != above)) {
		word = "not_found";
	}
	if (!word)
		return c;
	answer(t, e, NULL, word, NULL);
	return NULL;
}

void tree_order_take(struct tree *t, const struct event *e)
{
	struct child *c = (unsigned)e->order < ORDER_N ? order_target(t, e) : NULL;
	if ((unsigned)e->order >= ORDER_N)
		answer(t, e, NULL, "bad_request", "no such order");
	if (!c)
		return;
	if (e->order == ORDER_SPEC) {
		answer(t, e, c, "ok", NULL);
		return;
	}
	if (e->order == ORDER_COUNT) {
		on_count(t, e, c);
		return;
	}
	if (c == t->root) {
		answer(t, e, c, "bad_request", "the root ends with the node");
		return;
	}
	if (!order_is_admitted(t, e))
		return;
	if (t->stopping && (e->order == ORDER_START || e->order == ORDER_RESTART)) {
		answer(t, e, c, "stopping", "the node is ending");
		return;
	}
	switch (e->order) {
	case ORDER_START:
		on_start(t, e, c);
		return;
	case ORDER_STOP:
		on_stop(t, e, c);
		return;
	case ORDER_RESTART:
		on_restart(t, e, c);
		return;
	case ORDER_KILL:
		on_kill(t, e, c);
		return;
	case ORDER_DELETE:
		on_delete(t, e, c);
		return;
	case ORDER_SPEC:
	case ORDER_COUNT:
		return;
	}
}

/* NULL where it may be added. */
static const char *add_refused(const struct tree *t, const struct event *e, struct child **ret_there, const char **ret_detail)
{
	*ret_there = NULL;
	*ret_detail = NULL;
	const struct child *above = e->above_name ? tree_find(t, e->above_name) : NULL;
	if (t->stopping)
		return "stopping";
	if (!above)
		return "noproc";
	if (!above->sup) {
		*ret_detail = "not a supervisor";
		return "bad_request";
	}
	if (!tree_runs(above)) {
		*ret_detail = "its supervisor is not up";
		return "noproc";
	}
	*ret_detail = e->name && e->spec ? child_spec_check(e->spec, e->sup, &above->sup->spec) : "missing_id";
	if (*ret_detail)
		return "bad_request";
	*ret_there = tree_find(t, e->name);
	if (*ret_there)
		return (*ret_there)->core.drop ? "pending" : child_is_alive(*ret_there) && (*ret_there)->state != CHILD_STARTING ? "already_started" : "already_present";
	if (above->sup->spec.children_max && above->sup->n_children >= above->sup->spec.children_max)
		return "max_children";
	return NULL;
}

void tree_order_add(struct tree *t, const struct event *e)
{
	struct child *c;
	const char *detail, *text = add_refused(t, e, &c, &detail);
	if (text) {
		answer(t, e, c, text, detail);
		return;
	}
	if (!order_is_admitted(t, e))
		return;
	struct child_spec spec = *e->spec;
	spec.added = true;
	int r = tree_add(t, tree_find(t, e->above_name), e->name, &spec, e->sup, e->user, &c);
	if (r < 0) {
		answer(t, e, NULL, "no_memory", NULL);
		return;
	}
	if (r == ERROR_TOO_LARGE) {
		answer(t, e, NULL, "max_children", "the tree is full or too deep");
		return;
	}
	if (r > 0) {
		answer(t, e, NULL, "bad_request", "name");
		return;
	}
	if (c->held) {
		answer(t, e, c, "none", NULL);
		return;
	}
	c->core.by_order = c->core.discard = true;
	order_keep(t, e, c);
	tree_start_child(t, c);
}
