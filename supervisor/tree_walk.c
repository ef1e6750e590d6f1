/* Looking at the tree: iteration, counts, names of things, windows in and out. */
#include <string.h>
#include "supervisor/tree_state.h"

struct child *tree_root(const struct tree *t)
{
	return t->root;
}

size_t tree_size(const struct tree *t)
{
	return t->n;
}

bool tree_is_stopping(const struct tree *t)
{
	return t->stopping;
}

uint64_t tree_incarnation_next(const struct tree *t)
{
	return t->incarnation_next;
}

uint32_t tree_number_next(const struct tree *t)
{
	return t->number_next;
}

struct child *tree_next_under(const struct tree *t, const struct child *top, const struct child *c)
{
	struct child *next = c->sup ? tree_child_first(c) : NULL;
	for (; !next && c != top && c; c = c->above)
		next = tree_child_next(c);
	return next;
}

struct child *tree_next(const struct tree *t, const struct child *c)
{
	return c ? tree_next_under(t, t->root, c) : t->root;
}

struct child_counts tree_count(const struct child *sup)
{
	struct child_counts n = { 0 };
	for (const struct child *c = tree_child_first(sup); c; c = tree_child_next(c)) {
		n.specs++;
		n.active += child_is_alive(c) && c->state != CHILD_STARTING;
		n.supervisors += c->sup != NULL;
		n.workers += c->sup == NULL;
	}
	if (sup->sup->spec.dynamic)
		n.specs = 1;
	return n;
}

/* --- windows ---------------------------------------------------------------------------------------------------------------- */

static struct window *window_of(const struct child *c, int kind)
{
	switch ((enum window_kind)kind) {
	case WINDOW_OWN:
		return (struct window *)&c->window;
	case WINDOW_SUPERVISOR:
		return c->sup ? &c->sup->window : NULL;
	case WINDOW_ENDS:
		return (struct window *)&c->delay.ends;
	}
	return NULL;
}

bool tree_windows_save(const struct tree *t, struct window_cursor *cursor, struct window_entry *ret)
{
	if (!cursor->begun) {
		cursor->child = t->root;
		cursor->begun = true;
	}
	while (cursor->child) {
		const struct window *w = window_of(cursor->child, cursor->kind);
		if (w && cursor->index < w->n) {
			*ret = (struct window_entry){ .name = cursor->child->name, .kind = (enum window_kind)cursor->kind, .at_ms = window_at(w, cursor->index++) };
			ret->step = ret->kind == WINDOW_ENDS ? cursor->child->delay.step : 0;
			return true;
		}
		cursor->index = 0;
		if (cursor->kind++ == WINDOW_ENDS) {
			cursor->kind = WINDOW_OWN;
			cursor->child = tree_next(t, cursor->child);
		}
	}
	return false;
}

void tree_windows_load(struct tree *t, const struct window_entry *entry)
{
	struct child *c = tree_find(t, entry->name);
	struct window *w = c ? window_of(c, (int)entry->kind) : NULL;
	if (!w)
		return;
	window_add(w, entry->at_ms);
	if (entry->kind == WINDOW_ENDS)
		c->delay.step = entry->step;
}

/* --- names ------------------------------------------------------------------------------------------------------------------ */

const char *order_name(enum order o)
{
	static const char *const names[ORDER_N] = { "start", "stop", "restart", "kill", "delete", "spec", "count" };
	return (unsigned)o < ORDER_N ? names[o] : "?";
}

const char *fact_name(enum fact_kind f)
{
	static const char *const names[FACT_N] = {
		"up", "down", "start_failed", "ignored", "backoff", "backoff_alarm", "limit", "failed", "gave_up", "auto_shutdown", "ended", "pending", "proven", "stuck",
		"overdue", "recovered",
	};
	return (unsigned)f < FACT_N ? names[f] : "?";
}

const char *change_name(enum change c)
{
	static const char *const names[CHANGE_N] = { "start", "stop", "change", "stale" };
	return (unsigned)c < CHANGE_N ? names[c] : "?";
}

const char *decision_name(enum decision d)
{
	static const char *const names[DECISION_N] = {
		"none", "restart", "backoff", "group_restart", "done", "removed", "stopped", "comeback", "failed", "escalate", "auto_shutdown", "supervisor_ending",
	};
	return (unsigned)d < DECISION_N ? names[d] : "?";
}
