/* Orders for queues: pause, drain, policy, new ones, and a node that is quiet. Each is in the store before it is answered, and an event says who gave it. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"

#define WHY_MAX 500u

int order_event(struct turn *t, const struct coordinator *c, const struct message *m, const char *type, const char *name, const char *why)
{
	Troupe__Event ev = TROUPE__EVENT__INIT;
	ev.type = (char *)type;
	ev.actor = (char *)c->address;
	ev.subject = (char *)m->sender.subject;
	ev.level = (char *)"info";
	ev.at_ms = turn_wall_ms(t);
	if (!(ev.text = arena_printf(turn_arena(t), "%s%s%s", name, *why ? ": " : "", why)))
		return -ENOMEM;
	int r = turn_emit(t, &ev);
	return r == ERROR_BUSY || r == ERROR_TOO_LARGE ? 0 : r;
}

struct order { struct turn *t; struct coordinator *c; const struct message *m; const Troupe__QueueOrder *o; struct queue *q; };

static bool is_empty(const struct queue *q)
{
	return !(q->r.scheduled + q->r.ready + q->r.running + q->r.done + q->r.cancelled + q->r.dead);
}

/* Can it be done? 0, or a code with e filled. */
static int check(const struct order *x, struct error *e)
{
	const Troupe__QueueOrder *o = x->o;
	switch (o->op) {
	case TROUPE__QUEUE_ORDER__OP__ADD:
		if (x->q)
			return error_set(e, ERROR_EXISTS, "queue \"%s\" is already there", o->name);
		if (!queue_name_valid(o->name))
			return error_set(e, ERROR_BAD_REQUEST, "a queue's name is 1 to %u letters, digits and ._/@+=~-", NAME_MAX_BYTES);
		return queue_policy_check(x->t, x->c, x->q, o, e);
	case TROUPE__QUEUE_ORDER__OP__SET:
		return queue_policy_check(x->t, x->c, x->q, o, e);
	case TROUPE__QUEUE_ORDER__OP__REMOVE:
		if (x->q->configured)
			return error_refuse(e, ERROR_STATE, "take it out of the configuration, then troupe reload", "queue %s is in the configuration", o->name);
		if (!is_empty(x->q))
			return error_refuse(e, ERROR_STATE, "troupe cancel and troupe delete take tasks away", "queue %s still has the records of tasks", o->name);
		return 0;
	case TROUPE__QUEUE_ORDER__OP__QUIET:
	case TROUPE__QUEUE_ORDER__OP__UNQUIET:
		return *o->name ? error_set(e, ERROR_BAD_REQUEST, "quiet is of the whole node: it names no queue") : 0;
	case TROUPE__QUEUE_ORDER__OP__PAUSE:
	case TROUPE__QUEUE_ORDER__OP__RESUME:
	case TROUPE__QUEUE_ORDER__OP__DRAIN:
		return 0;
	case TROUPE__QUEUE_ORDER__OP__NONE:
	case _TROUPE__QUEUE_ORDER__OP_IS_INT_SIZE:
		break;
	}
	return error_set(e, ERROR_BAD_REQUEST, "an order that there is not");
}

/* A switch in a record: since when, by whom, why. */
static void switch_set(const struct order *x, bool on, protobuf_c_boolean *ret, uint64_t *ret_at_ms, char **by, char **why)
{
	*ret = on;
	*ret_at_ms = on ? steady_at(&x->c->steady, x->t) : 0;
	text_keep(by, on ? x->m->sender.subject : NULL);
	text_keep(why, on ? x->o->why : NULL);
}

static void pause_set(const struct order *x, bool on)
{
	Troupe__QueueRecord *r = &x->q->r;
	switch_set(x, on, &r->paused, &r->paused_at_ms, &r->paused_by, &r->paused_why);
	x->q->changed = true;
}

static void drain_set(const struct order *x, bool on)
{
	Troupe__QueueRecord *r = &x->q->r;
	switch_set(x, on, &r->draining, &r->draining_at_ms, &r->draining_by, &r->draining_why);
	x->q->changed = true;
}

static void quiet_set(const struct order *x, bool on)
{
	Troupe__MetaRecord *r = &x->c->meta;
	switch_set(x, on, &r->quiet, &r->quiet_at_ms, &r->quiet_by, &r->quiet_why);
	x->c->meta_changed = true;
}

static int revoke_all(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_queues && !r; i++)
		if (c->queues[i])
			r = crew_revoke_queue(t, c, c->queues[i]);
	return r;
}

static int act(struct order *x)
{
	struct coordinator *c = x->c;
	switch (x->o->op) {
	case TROUPE__QUEUE_ORDER__OP__ADD:
		if (!(x->q = queue_new(c, x->o->name)))
			return -ENOMEM;
		return x->o->n_fields ? queue_policy_set(x->t, c, x->q, x->o) : 0;
	case TROUPE__QUEUE_ORDER__OP__SET:
		return queue_policy_set(x->t, c, x->q, x->o);
	case TROUPE__QUEUE_ORDER__OP__REMOVE:
		return queue_remove(x->t, c, x->q);
	case TROUPE__QUEUE_ORDER__OP__PAUSE:
		pause_set(x, true);
		return crew_revoke_queue(x->t, c, x->q);
	case TROUPE__QUEUE_ORDER__OP__DRAIN:
		drain_set(x, true);
		return 0;
	case TROUPE__QUEUE_ORDER__OP__RESUME:
		pause_set(x, false);
		drain_set(x, false);
		return 0;
	case TROUPE__QUEUE_ORDER__OP__QUIET:
		quiet_set(x, true);
		return revoke_all(x->t, c);
	case TROUPE__QUEUE_ORDER__OP__UNQUIET:
		quiet_set(x, false);
		return 0;
	case TROUPE__QUEUE_ORDER__OP__NONE:
	case _TROUPE__QUEUE_ORDER__OP_IS_INT_SIZE:
		break;
	}
	return 0;
}

int on_queue_order(struct turn *t, void *state, const struct message *m)
{
	static const char *const events[] = { "", "queue.paused", "queue.resumed", "queue.added", "queue.draining", "queue.changed", "queue.removed", "node.quiet", "node.unquiet" };
	const Troupe__QueueOrder *o = m->env->queue_order;
	struct order x = { .t = t, .c = state, .m = m, .o = o, .q = queue_find(state, o->name) };
	struct error e = { 0 };
	int r = 0;
	bool needs = o->op != TROUPE__QUEUE_ORDER__OP__ADD && o->op != TROUPE__QUEUE_ORDER__OP__QUIET && o->op != TROUPE__QUEUE_ORDER__OP__UNQUIET;
	if (needs && !x.q)
		return queue_unknown(t, x.c, o->name, 0);
	if (strlen(o->why) > WHY_MAX)
		error_set(&e, ERROR_TOO_LARGE, "a reason has at most %u bytes", WHY_MAX);
	else if (x.c->n_queues >= QUEUES_MAX && o->op == TROUPE__QUEUE_ORDER__OP__ADD)
		error_set(&e, ERROR_BUSY, "there are %u queues already", QUEUES_MAX);
	else
		r = check(&x, &e);
	if (e.code || r)
		return r < 0 ? r : turn_fail(t, &e);
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Done done = TROUPE__DONE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_OK;
	env.ok = &done;
	r = turn_reply(t, m, &env);
	const char *name = *o->name ? arena_printf(turn_arena(t), "queue %s", o->name) : "node";
	if (!r)
		r = name ? order_event(t, x.c, m, events[o->op], name, o->why) : -ENOMEM;
	return r ? r : act(&x);
}
