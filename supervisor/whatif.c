/* troupe tree --what-if: an imagined event on a copy of the tree, told step by step. */
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "supervisor/node.h"

#define STEPS_MAX 400u
#define WITHIN_MS 600000u   /* of imagined time: ten minutes of backoff are enough to see what comes */

struct telling { struct arena *arena; Troupe__WhatIfAnswer *out; };

static const char *word_of(const struct action *a)
{
	switch (a->kind) {
	case ACTION_SPAWN: return "start";
	case ACTION_STOP: return "stop";
	case ACTION_KILL: return "kill";
	case ACTION_EXIT: return "exit";
	case ACTION_FACT: break;
	case ACTION_TERM: case ACTION_ABORT: case ACTION_ANSWER: case ACTION_UP: case ACTION_CHANGE: case ACTION_FREE: return NULL;
	}
	switch (a->fact) {
	case FACT_DOWN: case FACT_START_FAILED: case FACT_ENDED: return "end";
	case FACT_BACKOFF: return "wait";
	case FACT_FAILED: return "fail";
	case FACT_LIMIT: return "limit";
	case FACT_AUTO_SHUTDOWN: return "auto_shutdown";
	case FACT_UP: case FACT_IGNORED: case FACT_BACKOFF_ALARM: case FACT_GAVE_UP: case FACT_PENDING: case FACT_PROVEN: case FACT_STUCK: case FACT_OVERDUE: case FACT_RECOVERED: break;
	}
	return NULL;
}

static void tell(void *arg, const struct action *a, uint64_t after_ms)
{
	struct telling *t = arg;
	const char *word = word_of(a);
	Troupe__WhatIfStep *s = word && t->out->n_steps < STEPS_MAX ? arena_alloc(t->arena, sizeof *s) : NULL;
	t->out->cut |= word && t->out->n_steps == STEPS_MAX;
	if (!s)
		return;
	troupe__what_if_step__init(s);
	s->address = a->child ? arena_string(t->arena, a->child->name) : s->address;
	s->what = (char *)word;
	s->after_ms = after_ms;
	if (a->kind == ACTION_FACT && (a->fact == FACT_DOWN || a->fact == FACT_START_FAILED || a->fact == FACT_ENDED))
		s->detail = arena_printf(t->arena, a->decision ? "%s, %s" : "%s", reason_name(a->reason), decision_name(a->decision));
	else if (a->kind == ACTION_FACT && a->fact == FACT_BACKOFF)
		s->detail = arena_printf(t->arena, "%llu ms", (unsigned long long)a->delay_ms);
	else if (a->kind == ACTION_FACT && a->fact == FACT_LIMIT)
		s->detail = arena_printf(t->arena, "%u in %llu ms, limit of %s", a->count, (unsigned long long)a->window_ms, a->above->name);
	t->out->steps[t->out->n_steps++] = s;
}

/* 0, or a code with a text. */
static int event_of(struct node *n, const Troupe__WhatIf *want, struct event *ret, struct error *e)
{
	struct child *c = tree_find(n->tree, want->address);
	*ret = (struct event){ .child = c, .incarnation = c ? c->incarnation : 0, .name = want->address };
	if (!c) {
		error_set(e, ERROR_NO_ACTOR, "there is no actor %.100s", want->address);
		error_cure(e, "troupe tree shows all");
		return e->code;
	}
	switch (want->what) {
	case TROUPE__WHAT_IF__WHAT__CRASH:
	case TROUPE__WHAT_IF__WHAT__NORMAL:
		if (c->sup || !child_is_alive(c)) {
			error_set(e, ERROR_STATE, c->sup ? "%.100s is a supervisor, which has no process to crash" : "%.100s has no process now", c->name);
			error_cure(e, "ask what if \"kill %.60s\", or start it first", c->name);
			return e->code;
		}
		ret->kind = EVENT_ENDED;
		ret->reason = want->what == TROUPE__WHAT_IF__WHAT__CRASH ? REASON_SIGNAL : REASON_NORMAL;
		ret->number = want->what == TROUPE__WHAT_IF__WHAT__CRASH ? 11 : 0;
		return 0;
	case TROUPE__WHAT_IF__WHAT__STOP: ret->order = ORDER_STOP; break;
	case TROUPE__WHAT_IF__WHAT__RESTART: ret->order = ORDER_RESTART; break;
	case TROUPE__WHAT_IF__WHAT__KILL: ret->order = ORDER_KILL; break;
	case TROUPE__WHAT_IF__WHAT__NONE: case _TROUPE__WHAT_IF__WHAT_IS_INT_SIZE:
		error_set(e, ERROR_BAD_REQUEST, "no such event: %d", (int)want->what);
		return e->code;
	}
	ret->kind = EVENT_ORDER;
	return 0;
}

int what_if(struct node *n, const Troupe__WhatIf *want, struct arena *arena, Troupe__WhatIfAnswer *ret, struct error *e)
{
	struct telling t = { arena, ret };
	struct event ev;
	int r = event_of(n, want, &ev, e);
	if (r)
		return r;
	ret->steps = arena_alloc(arena, STEPS_MAX * sizeof *ret->steps);
	if (!ret->steps || tree_what_if(n->tree, &ev, WITHIN_MS, tell, &t) < 0)
		return error_set(e, ERROR_INTERNAL, "no memory");
	return 0;
}
