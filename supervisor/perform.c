/* Doing what the tree decides. Events that come while a list of actions is being carried out (a spawn that fails, a program that is ready by its exec) wait until
 * it is done: the tree sees one event at a time. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/log.h"
#include "supervisor/node.h"

/* It is to end before it was forked: then it has. */
static void never_born(struct node *n, const struct child *c, enum reason reason, int number)
{
	struct event e = { .kind = EVENT_ENDED, .now_ms = loop_now_ms(n->loop), .child = (struct child *)c, .incarnation = c->incarnation, .reason = reason, .number = number,
		           .detail = "was not forked yet" };
	if (birth_cancel(n, c))
		step(n, &e);
}

static void act_stop(struct node *n, const struct action *a)
{
	struct process *p = process_of(n, a->child);
	Troupe__Control out = TROUPE__CONTROL__INIT;
	Troupe__Stop s = TROUPE__STOP__INIT;
	if (!p) {
		never_born(n, a->child, REASON_NORMAL, 0);
		return;
	}
	p->ordered = true;
	s.within_ms = a->within_ms;
	s.drain = true;
	out.body_case = TROUPE__CONTROL__BODY_STOP;
	out.stop = &s;
	process_send(p, &out);
}

static void act_signal(struct node *n, const struct child *c, int signal, bool then_continue)
{
	struct process *p = process_of(n, c);
	if (!p) {
		if (signal == SIGKILL)
			never_born(n, c, REASON_SIGNAL, SIGKILL);
		return;
	}
	process_signal(p, signal);
	if (then_continue)
		process_signal(p, SIGCONT);
}

static void act_kill(struct node *n, const struct child *c)
{
	const struct process *p = process_of(n, c);
	act_signal(n, c, SIGKILL, false);
	if (p)
		cgroup_kill(&n->cgroup, p->group); /* its family with it, where that can be named */
}

/* --- what is told --- */

static void say_down(struct node *n, const struct action *a)
{
	char number[48] = "", after[32] = "";
	if (a->reason == REASON_SIGNAL || a->reason == REASON_CORE || a->reason == REASON_KILLED)
		snprintf(number, sizeof number, " (signal %d)", a->number);
	else if (a->reason == REASON_EXIT)
		snprintf(number, sizeof number, " (status %d)", a->number);
	if (a->delay_ms)
		snprintf(after, sizeof after, " in %llu ms", (unsigned long long)a->delay_ms);
	outbox_say(n, a->error ? "warn" : "info", a->fact == FACT_DOWN ? "actor.down" : "actor.start_failed", a->child->name, NULL, "%s%s%s%s; %s%s", reason_name(a->reason), number,
	           a->detail && a->fact != FACT_DOWN ? ": " : "", a->detail && a->fact != FACT_DOWN ? a->detail : "", decision_name(a->decision), after);
}

static const struct { const char *type, *level, *text; } said[FACT_N] = {
	[FACT_UP] = { "actor.up", "info", "up" },
	[FACT_IGNORED] = { "actor.ignored", "info", "does not want to run" },
	[FACT_BACKOFF_ALARM] = { "actor.backoff", "alarm", "ends again and again; it is started with growing delays" },
	[FACT_LIMIT] = { "actor.limit", "alarm", "ended more often than its limit allows" },
	[FACT_FAILED] = { "actor.failed", "alarm", "out of service until an operator starts it" },
	[FACT_GAVE_UP] = { "supervisor.gave_up", "alarm", "gives up" },
	[FACT_AUTO_SHUTDOWN] = { "supervisor.auto_shutdown", "info", "ends as its significant child did" },
	[FACT_ENDED] = { "supervisor.ended", "info", "has ended" },
	[FACT_PENDING] = { "actor.pending", "warn", "waits: the family of its last incarnation is not proven empty" },
	[FACT_PROVEN] = { "actor.proven", "info", "the family of its last incarnation is gone" },
	[FACT_STUCK] = { "actor.stuck", "alarm", "was killed 5 s ago and is still there" },
	[FACT_OVERDUE] = { "actor.overdue", "warn", "did not stop in time and is killed" },
	[FACT_RECOVERED] = { "actor.recovered", "info", "has recovered" },
};

static void act_fact(struct node *n, const struct action *a)
{
	if (a->fact == FACT_DOWN || a->fact == FACT_START_FAILED) {
		n->end_reason = a->reason;
		log_at(a->error ? LOG_WARN : LOG_INFO, fact_name(a->fact), LOG_S("child", a->child->name), LOG_U("incarnation", a->incarnation),
		       LOG_S("reason", reason_name(a->reason)), LOG_I("number", a->number), LOG_S("decision", decision_name(a->decision)), LOG_U("delay_ms", a->delay_ms));
		say_down(n, a);
		evidence_crash(n, a);
		return;
	}
	log_at(a->fact == FACT_PENDING || a->fact == FACT_STUCK || a->fact == FACT_FAILED ? LOG_WARN : LOG_INFO, fact_name(a->fact), LOG_S("child", a->child->name),
	       LOG_U("incarnation", a->child->incarnation));
	if (said[a->fact].type)
		outbox_say(n, said[a->fact].level, said[a->fact].type, a->child->name, NULL, "%s", said[a->fact].text);
	if (a->fact == FACT_UP && !a->child->sup) {
		added_runs(a->child);
		struct process *p = process_of(n, a->child);
		if (p)
			outbox_up(n, p);
	}
}

static void act(struct node *n, const struct action *a)
{
	switch (a->kind) {
	case ACTION_SPAWN:
		birth_order(n, a->child);
		return;
	case ACTION_STOP:
		act_stop(n, a);
		return;
	case ACTION_TERM:
		act_signal(n, a->child, SIGTERM, true);
		return;
	case ACTION_ABORT:
		act_signal(n, a->child, SIGABRT, true);
		return;
	case ACTION_KILL:
		act_kill(n, a->child);
		return;
	case ACTION_ANSWER:
		if (!reload_answered(n, a))
			ask_order_answer(n, a);
		return;
	case ACTION_UP:
		n->tree_up = true;
		return;
	case ACTION_EXIT:
		loop_stop(n->loop, a->code);
		return;
	case ACTION_FACT:
		act_fact(n, a);
		return;
	case ACTION_CHANGE:
		reload_change(n, a);
		return;
	case ACTION_FREE:
		for (struct process *p = n->processes; p; p = p->next)
			if (p->child == a->child)
				p->child = NULL;
		added_forget(n, a->child);
		return;
	}
}

/* --- one event at a time --- */

static void queue(struct node *n, const struct event *e)
{
	struct queued *q = calloc(1, sizeof *q);
	if (!q) {
		log_error("no memory for an event");
		return;
	}
	q->event = *e;
	if (e->detail) {
		snprintf(q->detail, sizeof q->detail, "%s", e->detail);
		q->event.detail = q->detail;
	}
	if (e->name) {
		snprintf(q->name, sizeof q->name, "%s", e->name);
		q->event.name = q->name;
	}
	if (!n->queued)
		n->queued_tail = &n->queued;
	*n->queued_tail = q;
	n->queued_tail = &q->next;
}

static void step_one(struct node *n, const struct event *e)
{
	struct actions decided;
	tree_step(n->tree, e, &decided);
	evidence_decided(n, e, &decided);
	for (size_t i = 0; i < decided.n; i++)
		act(n, &decided.items[i]);
}

void step(struct node *n, const struct event *e)
{
	if (n->stepping) {
		queue(n, e);
		return;
	}
	n->stepping = true;
	step_one(n, e);
	for (struct queued *q; (q = n->queued);) {
		n->queued = q->next;
		step_one(n, &q->event);
		free(q);
	}
	n->stepping = false;
	births_go_on(n);
	ready_look(n, e->now_ms);
}
