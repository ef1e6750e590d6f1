/* Operators' orders: each waits for the tree's answer, and is kept in the record before it is told. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/parse.h"
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

static void put_ms(FILE *f, const char *key, uint64_t ms)
{
	char text[32];
	fprintf(f, "%s = %s\n", key, ms == UINT64_MAX ? "infinity" : format_duration(ms, text, sizeof text));
}

static void put_limit(FILE *f, const struct give_up_spec *g)
{
	if (g->intensity == INTENSITY_UNLIMITED)
		fprintf(f, "intensity = infinity\n");
	else
		fprintf(f, "intensity = %u\n", g->intensity);
	put_ms(f, "period", g->period_ms);
	fprintf(f, "on_give_up = %s\n", g->on_give_up == ON_GIVE_UP_KEEP ? "keep" : "escalate");
}

static void put_delay(FILE *f, const struct delay_spec *d)
{
	fprintf(f, "immediate = %u\n", d->immediate);
	put_ms(f, "backoff_base", d->base_ms);
	fprintf(f, "backoff_factor = %u\n", d->factor_pct);
	put_ms(f, "backoff_cap", d->cap_ms);
	fprintf(f, "backoff_jitter = %u\n", d->jitter_pct);
	put_ms(f, "backoff_reset", d->reset_after_ms);
}

static void put_supervisor(FILE *f, const struct child *c)
{
	const struct supervisor_spec *s = &c->sup->spec;
	const struct config_node *n = c->user;
	fprintf(f, "strategy = %s\nside_by_side = %s\nauto_shutdown = %s\nprofile = %s\ndurable = %s\n", s->dynamic ? "dynamic" : strategy_name(s->strategy),
	        s->side_by_side ? "yes" : "no", auto_shutdown_name(s->auto_shutdown), n && n->otp ? "otp" : "troupe", n && n->durable ? "yes" : "no");
	if (s->children_max)
		fprintf(f, "max_children = %u\n", s->children_max);
	else
		fprintf(f, "max_children = infinity\n");
	put_limit(f, &s->give_up);
	if (n && n->template_)
		fprintf(f, "template = %s\n", n->template_->name);
}

static void put_process(FILE *f, const struct child *c)
{
	const struct config_node *n = c->user;
	put_ms(f, "start_timeout", c->spec.start_timeout_ms);
	put_ms(f, "term_after", c->spec.term_after_ms);
	put_limit(f, &c->spec.give_up);
	fputs("command =", f);
	for (char **a = n ? n->launch.argv : NULL; a && *a; a++)
		fprintf(f, " %s", *a);
	fprintf(f, "\nready = %s\n", !n || n->launch.lifeline ? "lifeline" : n->launch.notify ? "notify" : "exec");
	if (n && n->launch.user)
		fprintf(f, "user = %s\n", n->launch.user);
}

/* Every field, one "key = value" a line, as in troupe.conf(5). */
static char *spec_text(const struct child *c, struct arena *a)
{
	const struct child_spec *s = &c->spec;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	fprintf(f, "name = %s\ntype = %s\nsupervisor = %s\nrestart = %s\nsignificant = %s\n", c->name, c->sup ? "supervisor" : "worker", c->above ? c->above->name : "-",
	        restart_name(s->restart), s->significant ? "yes" : "no");
	if (s->shutdown_ms == SHUTDOWN_BRUTAL && !s->shutdown_zero)
		fputs("shutdown = brutal_kill\n", f);
	else
		put_ms(f, "shutdown", s->shutdown_ms);
	put_delay(f, &s->delay);
	if (c->sup)
		put_supervisor(f, c);
	else
		put_process(f, c);
	fprintf(f, "added = %s\nstale = %s\n", s->added ? "yes" : "no", c->stale ? "yes" : "no");
	fclose(f);
	char *copy = arena_string(a, text);
	free(text);
	return copy;
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
