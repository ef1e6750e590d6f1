/* A new definition for a living tree: all of it or nothing.
 *
 * The definition is itself a tree that was built with tree_add and never booted, so it has passed every check of its own. Records of both trees that belong
 * together are made twins by name; what has no twin is new, or has to go. All memory is taken before the first record changes. Flags, limits and times then
 * apply in place, the order becomes that of the definition, new children start in order, and those to go stop in reverse order. A changed program, argument,
 * environment or user (the fingerprint) takes effect at the next start; until then the child is stale. Children that were added at run time stay. */
#include <stdlib.h>
#include <string.h>
#include "supervisor/tree_state.h"

struct windows {
	struct child *child;
	struct window own, ends, sup;
};

static struct child *definition_next(const struct tree *wanted, const struct child *w)
{
	return tree_next(wanted, w);
}

/* Among all siblings, sleeping ones too. */
static struct child *sibling_find(const struct child *above, const char *name)
{
	for (struct child *c = above->sup->first; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* --- who belongs to whom --------------------------------------------------------------------------------------------------- */

static void twins_part(struct tree *t, struct tree *wanted)
{
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w))
		if (w->core.twin) {
			w->core.twin->core.twin = NULL;
			w->core.twin = NULL;
		}
}

static const char *twin_find(struct tree *t, struct child *w, struct child **ret)
{
	struct child *above = w->above ? w->above->core.twin : NULL, *c = tree_find(t, w->name);
	*ret = NULL;
	if (!w->above) {
		if (c != t->root)
			return "the root has another name";
	} else if (!c) {
		if (above)
			c = sibling_find(above, w->name);
	} else if (c == t->root || c->above != above) {
		return "it moves to another supervisor: give it another name";
	}
	if (c && (c->sup == NULL) != (w->sup == NULL))
		return "a child and a supervisor cannot be turned into each other: give it another name";
	*ret = c;
	return NULL;
}

static bool leaves(const struct child *c)
{
	return !c->core.twin && !c->spec.added && c->above && c->above->core.twin;
}

/* A child added at run time must still be legal under its supervisor's new flags. */
static const char *added_refused(const struct child *c)
{
	if (c->core.twin || !c->spec.added || !c->above->core.twin)
		return NULL;
	return child_spec_check(&c->spec, c->sup ? &c->sup->spec : NULL, &c->above->core.twin->sup->spec);
}

static const char *twins_match(struct tree *t, struct tree *wanted, struct child **ret_offender)
{
	size_t n_new = 0;
	for (struct child *w = wanted->root, *c; w; w = definition_next(wanted, w)) {
		const char *refused = twin_find(t, w, &c);
		if (refused) {
			*ret_offender = w;
			return refused;
		}
		n_new += !c;
		w->core.twin = c;
		if (c)
			c->core.twin = w;
	}
	for (struct child *c = t->root; c; c = tree_next(t, c)) {
		const char *refused = added_refused(c);
		if (refused) {
			*ret_offender = c;
			return refused;
		}
	}
	*ret_offender = NULL;
	return t->n + n_new > TREE_CHILDREN_MAX ? "too many records" : NULL;
}

/* --- what changes ------------------------------------------------------------------------------------------------------------ */

static bool give_up_differs(const struct give_up_spec *a, const struct give_up_spec *b)
{
	return a->intensity != b->intensity || a->period_ms != b->period_ms || a->on_give_up != b->on_give_up;
}

static bool delay_differs(const struct delay_spec *a, const struct delay_spec *b)
{
	return a->immediate != b->immediate || a->immediate_window_ms != b->immediate_window_ms || a->base_ms != b->base_ms || a->factor_pct != b->factor_pct ||
	       a->cap_ms != b->cap_ms || a->jitter_pct != b->jitter_pct || a->reset_after_ms != b->reset_after_ms;
}

static bool supervisor_differs(const struct supervisor_spec *a, const struct supervisor_spec *b)
{
	return a->strategy != b->strategy || give_up_differs(&a->give_up, &b->give_up) || a->auto_shutdown != b->auto_shutdown || a->side_by_side != b->side_by_side ||
	       a->dynamic != b->dynamic || a->pool != b->pool || a->children_max != b->children_max || a->revive_done != b->revive_done ||
	       a->revive_stopped != b->revive_stopped || a->start_once != b->start_once || a->gave_up_is_shutdown != b->gave_up_is_shutdown ||
	       a->forget_added != b->forget_added;
}

static bool child_differs(const struct child *c, const struct child *w)
{
	const struct child_spec *a = &c->spec, *b = &w->spec;
	return a->restart != b->restart || a->significant != b->significant || a->shutdown_ms != b->shutdown_ms || a->shutdown_zero != b->shutdown_zero ||
	       a->term_after_ms != b->term_after_ms || a->start_timeout_ms != b->start_timeout_ms || delay_differs(&a->delay, &b->delay) ||
	       give_up_differs(&a->give_up, &b->give_up) || (c->sup && supervisor_differs(&c->sup->spec, &w->sup->spec));
}

static void tell(struct tree *t, enum change change, struct child *c)
{
	tree_emit(t, ACTION_CHANGE, c)->change = change;
}

static void changes_tell(struct tree *t, struct tree *wanted, bool as_otp)
{
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w)) {
		struct child *c = w->core.twin;
		if (!c || c->core.fresh) {
			tell(t, CHANGE_START, c ? c : w);
			continue;
		}
		if (child_differs(c, w))
			tell(t, CHANGE_SPEC, c);
		if (c->spec.fingerprint != w->spec.fingerprint)
			tell(t, CHANGE_STALE, c);
	}
	for (struct child *s = t->root; s && !as_otp; s = tree_next(t, s))
		for (struct child *c = s->sup ? tree_child_last(s) : NULL; c; c = tree_child_prev(c))
			if (leaves(c))
				tell(t, CHANGE_STOP, c);
}

/* --- memory, before anything changes ------------------------------------------------------------------------------------------ */

static int window_copy(const struct window *from, uint32_t room, struct window *ret)
{
	int r = window_init(ret, room);
	for (uint32_t i = 0; r == 0 && i < from->n; i++)
		window_add(ret, window_at(from, i));
	return r;
}

static uint32_t room_for(const struct give_up_spec *g)
{
	return g->intensity == INTENSITY_UNLIMITED ? 0 : g->intensity + 1;
}

static void windows_free(struct windows *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		window_fini(&all[i].own);
		window_fini(&all[i].ends);
		window_fini(&all[i].sup);
	}
	free(all);
}

static int windows_make(const struct child *w, struct windows *ret)
{
	const struct child *c = w->core.twin;
	ret->child = w->core.twin;
	if (window_copy(&c->window, room_for(&w->spec.give_up), &ret->own) < 0 || window_copy(&c->delay.ends, w->spec.delay.immediate + 1, &ret->ends) < 0)
		return -1;
	return w->sup ? window_copy(&c->sup->window, room_for(&w->sup->spec.give_up), &ret->sup) : 0;
}

static void records_forget(struct tree *t, struct tree *wanted)
{
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w))
		if (w->core.twin && w->core.twin->core.fresh) {
			struct child *c = w->core.twin;
			/* Its twins below go with it. */
			for (struct child *x = w; x; x = tree_next_under(wanted, w, x))
				x->core.twin = NULL;
			tree_remove(t, c, true);
		}
	t->n_actions = 0;
}

static int records_make(struct tree *t, struct tree *wanted)
{
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w)) {
		struct child *c;
		if (w->core.twin)
			continue;
		if (tree_record_add(t, w->above->core.twin, w->name, &w->spec, w->sup ? &w->sup->spec : NULL, w->user, &c) < 0)
			return -1;
		c->core.fresh = true;
		c->core.twin = w;
		w->core.twin = c;
	}
	return 0;
}

static int memory_take(struct tree *t, struct tree *wanted, struct windows **ret)
{
	struct windows *all = calloc(wanted->n, sizeof(*all));
	if (!all)
		return -1;
	if (records_make(t, wanted) < 0)
		goto fail;
	size_t i = 0;
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w))
		if (!w->core.twin->core.fresh && windows_make(w, &all[i++]) < 0)
			goto fail;
	*ret = all;
	return 0;
fail:
	records_forget(t, wanted);
	windows_free(all, wanted->n);
	return -1;
}

/* --- the change ---------------------------------------------------------------------------------------------------------------- */

static void window_swap(struct window *a, struct window *b)
{
	struct window x = *a;
	*a = *b;
	*b = x;
}

static void windows_apply(struct windows *all, size_t n)
{
	for (size_t i = 0; i < n && all[i].child; i++) {
		window_swap(&all[i].child->window, &all[i].own);
		window_swap(&all[i].child->delay.ends, &all[i].ends);
		if (all[i].child->sup)
			window_swap(&all[i].child->sup->window, &all[i].sup);
	}
}

static void stop_and_come_back(struct tree *t, struct child *c)
{
	if (!c->core.comeback) {
		c->core.comeback = true;
		c->core.ordered = c->core.first && c->core.ordered;
		c->due_at_ms = t->now_ms;
	}
	if (c->state != CHILD_STOPPING)
		tree_stop_child(t, c);
}

static void spec_apply(struct tree *t, struct child *c, const struct child *w, bool restart_changed)
{
	bool changed = c->spec.fingerprint != w->spec.fingerprint;
	c->spec = w->spec;
	if (c->sup)
		c->sup->spec = w->sup->spec;
	if (c->core.leaving) {
		/* It was on its way out and is wanted again. */
		c->core.leaving = c->held = false;
		if (c->state == CHILD_STOPPING) {
			stop_and_come_back(t, c);
		} else if (c->state == CHILD_UP && c->core.ordered) {
			/* A victim of a group restart that was not asked yet: it is one again. */
			c->core.comeback = true;
			c->due_at_ms = t->now_ms;
		}
	}
	if (!changed || c->sup || !child_is_alive(c))
		return;
	c->stale = true;
	if (restart_changed && c->state != CHILD_STOPPING && tree_runs(c->above))
		stop_and_come_back(t, c);
}

/* The order of the definition; behind it, in their old order, those without a place in it. */
static void order_apply(const struct child *w)
{
	struct supervisor *s = w->core.twin->sup;
	struct child *rest = s->first;
	s->first = s->last = NULL;
	for (struct child *x = w->sup->first; x; x = x->next) {
		struct child *c = x->core.twin;
		*(c->prev ? &c->prev->next : &rest) = c->next;
		if (c->next)
			c->next->prev = c->prev;
		c->prev = s->last;
		c->next = NULL;
		*(s->last ? &s->last->next : &s->first) = c;
		s->last = c;
	}
	if (!rest)
		return;
	rest->prev = s->last;
	*(s->last ? &s->last->next : &s->first) = rest;
	while (rest->next)
		rest = rest->next;
	s->last = rest;
}

static void child_leaves(struct tree *t, struct child *c)
{
	c->core.leaving = true;
	c->core.comeback = false;
	if (c->state == CHILD_WAITING) {
		c->state = CHILD_STOPPED;
		tree_timer(t, c);
		tree_order_settle(t, c, OUTCOME_FAILED, REASON_SHUTDOWN, "it is no longer defined");
	}
	if (!child_is_alive(c))
		tree_remove(t, c, true);
	tree_dirty(t, c->above);
}

static void leavers_go(struct tree *t, const struct child *w)
{
	for (struct child *c = w->core.twin->sup->last, *prev; c; c = prev) {
		prev = c->prev;
		if (leaves(c))
			child_leaves(t, c);
	}
}

static void newcomers_start(struct tree *t, struct child *sup)
{
	for (struct child *c = tree_child_first(sup); c; c = tree_child_next(c)) {
		if (!c->core.fresh || c->held)
			continue;
		c->core.ordered = !sup->sup->spec.side_by_side;
		c->core.first = sup->state == CHILD_STARTING;
		tree_start_wait(t, c, t->now_ms);
	}
}

static void definition_apply(struct tree *t, struct tree *wanted, const struct event *e, struct windows *all)
{
	windows_apply(all, wanted->n);
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w)) {
		struct child *c = w->core.twin;
		if (!c->core.fresh)
			spec_apply(t, c, w, e->restart_changed);
		if (!c->sup)
			continue;
		order_apply(w);
		if (!e->as_otp) {
			leavers_go(t, w);
			if (tree_runs(c))
				newcomers_start(t, c);
		}
		tree_dirty(t, c);
	}
	for (struct child *w = wanted->root; w; w = definition_next(wanted, w))
		w->core.twin->core.fresh = false;
}

void tree_reload(struct tree *t, const struct event *e)
{
	struct tree *wanted = e->wanted;
	struct child *offender = NULL;
	struct windows *all = NULL;
	const char *text = "ok", *detail = NULL;
	if (t->stopping) {
		text = "stopping";
	} else if (!wanted->root) {
		text = "bad_request";
		detail = "the definition is empty";
	} else if (tree_actions_reserve(t, wanted->n) < 0) {
		text = "no_memory";
	} else if ((detail = twins_match(t, wanted, &offender))) {
		text = "bad_request";
	} else if (!e->dry && memory_take(t, wanted, &all) < 0) {
		text = "no_memory";
	} else {
		changes_tell(t, wanted, e->as_otp);
		if (!e->dry)
			definition_apply(t, wanted, e, all);
	}
	twins_part(t, wanted);
	if (all)
		windows_free(all, wanted->n);
	struct action *a = tree_emit(t, ACTION_ANSWER, offender);
	a->ref = e->ref;
	a->text = text;
	a->detail = detail;
}
