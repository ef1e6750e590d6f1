/* Operators' orders: each waits for the tree's answer, and is kept in the record before it is told. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "supervisor/ask_parts.h"

static struct order_wait *order_slot(struct node *n)
{
	for (size_t i = 0; i < ELEMENTS(n->orders); i++)
		if (!n->orders[i].used)
			return &n->orders[i];
	return NULL;
}

static const enum order orders[] = { ORDER_COUNT, ORDER_START, ORDER_STOP, ORDER_RESTART, ORDER_KILL, ORDER_DELETE, ORDER_SPEC, ORDER_COUNT };

void ask_on_order(const struct ask *q)
{
	struct node *n = q->n;
	const Troupe__ChildOrder *o = q->env->child_order;
	struct error e = { 0 };
	struct order_wait *w = order_slot(n);
	if (o->op < 1 || (size_t)o->op >= ELEMENTS(orders))
		error_set(&e, ERROR_BAD_REQUEST, "no such order: %d", (int)o->op);
	else if (strlen(o->address) > CHILD_NAME_MAX)
		error_set(&e, ERROR_BAD_REQUEST, "a name has at most %d bytes", CHILD_NAME_MAX);
	else if (!w)
		error_retry((error_set(&e, ERROR_BUSY, "too many orders are being carried out"), &e), 1000);
	if (e.code) {
		ask_refuse(q, &e);
		return;
	}
	*w = (struct order_wait){ .ref = ++n->next_ref, .watcher = q->front->incarnation, .control_ref = q->ref, .used = true, .order = orders[o->op] };
	memcpy(w->id, q->id, sizeof w->id);
	snprintf(w->name, sizeof w->name, "%s", !*o->address && w->order == ORDER_COUNT ? tree_root(n->tree)->name : o->address);
	if (w->order != ORDER_SPEC && w->order != ORDER_COUNT) {
		log_info("order", LOG_S("order", order_name(w->order)), LOG_S("child", o->address), LOG_S("by", q->env->subject));
		outbox_say(n, "info", "actor.ordered", o->address, q->env->subject, "%s%s", order_name(w->order), o->force ? ", by force" : "");
	}
	struct event ev = { .kind = EVENT_ORDER, .now_ms = loop_now_ms(n->loop), .ref = w->ref, .order = w->order, .name = w->name, .force = o->force,
		            .above_name = *o->above ? o->above : NULL, .of_incarnation = o->incarnation };
	step(n, &ev);
}

void ask_on_add(const struct ask *q)
{
	struct node *n = q->n;
	const Troupe__AddChild *add = q->env->add_child;
	struct error e = { 0 };
	struct order_wait *w = order_slot(n);
	struct config_node *k = NULL;
	int r = 0;
	if (!w)
		error_retry((error_set(&e, ERROR_BUSY, "too many orders are being carried out"), &e), 1000);
	else
		r = added_make(n, add, &k, &e);
	if (r < 0)
		error_set(&e, ERROR_INTERNAL, "no memory");
	if (e.code) {
		ask_refuse(q, &e);
		return;
	}
	*w = (struct order_wait){ .ref = ++n->next_ref, .watcher = q->front->incarnation, .control_ref = q->ref, .used = true, .order = ORDER_START, .is_add = true };
	memcpy(w->id, q->id, sizeof w->id);
	snprintf(w->name, sizeof w->name, "%s", k->name);
	log_info("order", LOG_S("order", "add"), LOG_S("child", k->name), LOG_S("by", q->env->subject));
	outbox_say(n, "info", "actor.ordered", k->name, q->env->subject, "add, below %s", add->above);
	struct event ev = { .kind = EVENT_ADD, .now_ms = loop_now_ms(n->loop), .ref = w->ref, .name = k->name, .above_name = add->above, .spec = &k->spec, .user = k };
	uint32_t number = tree_number_next(n->tree);
	step(n, &ev);
	/* Refused: it never became a record. One that was made and has gone again took its definition along. */
	if (tree_number_next(n->tree) == number)
		config_remove(k);
}

static char *spec_text(const struct child *c, struct arena *a)
{
	const struct child_spec *s = &c->spec;
	char shutdown[32] = "infinity";
	if (s->shutdown_ms != SHUTDOWN_INFINITY)
		snprintf(shutdown, sizeof shutdown, "%llu ms", (unsigned long long)s->shutdown_ms);
	const struct config_node *n = c->user;
	return arena_printf(a, "name = %s\ntype = %s\nrestart = %s\nsignificant = %s\nshutdown = %s\nstart_timeout = %llu ms\nsupervisor = %s\n%s%s%s", c->name,
	                    c->sup ? "supervisor" : "worker", restart_name(s->restart), s->significant ? "yes" : "no", s->shutdown_ms == SHUTDOWN_BRUTAL ? "brutal_kill" : shutdown,
	                    (unsigned long long)s->start_timeout_ms, c->above ? c->above->name : "-", c->sup ? "strategy = " : "program = ",
	                    c->sup ? strategy_name(c->sup->spec.strategy) : n && n->launch.argv ? n->launch.argv[0] : "-", c->stale ? "\nstale = yes\n" : "\n");
}

void ask_order_answer(struct node *n, const struct action *a)
{
	struct order_wait *w = NULL;
	for (size_t i = 0; i < ELEMENTS(n->orders) && !w; i++)
		if (n->orders[i].used && n->orders[i].ref == a->ref)
			w = &n->orders[i];
	struct arena *arena = w ? arena_new(64u << 10) : NULL;
	if (!arena)
		return;
	Troupe__ChildAnswer out = TROUPE__CHILD_ANSWER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct process *p = a->child && !a->child->sup ? process_of(n, a->child) : NULL;
	struct error e = { 0 };
	bool stays = a->child && tree_find(n->tree, w->name) == a->child && (strcmp(a->text, "ok") == 0 || strcmp(a->text, "none") == 0);
	if (w->is_add ? stays && added_keep(n, a->child, &e) : evidence_order(n, w, a->child, a->text, &e)) {
		w->used = false;
		ask_fail(n, w->watcher, w->control_ref, w->id, &e);
		arena_unref(arena);
		return;
	}
	char *spec = w->order == ORDER_SPEC && a->child ? spec_text(a->child, arena) : NULL;
	w->used = false;
	out.text = (char *)a->text;
	out.address = a->child ? (char *)a->child->name : out.address;
	out.info = a->detail ? (char *)a->detail : out.info;
	out.incarnation = a->child ? a->child->incarnation : 0;
	out.pid = p ? (uint32_t)p->pid : 0;
	out.specs = a->counts.specs;
	out.active = a->counts.active;
	out.supervisors = a->counts.supervisors;
	out.workers = a->counts.workers;
	out.spec = spec ? spec : out.spec;
	env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ANSWER;
	env.child_answer = &out;
	ask_answer(n, w->watcher, w->control_ref, w->id, &env);
	arena_unref(arena);
}
