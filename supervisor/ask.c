/* What operators ask, through front: each question is an envelope on front's lifeline, each answer goes back by the same ref. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "supervisor/ask_parts.h"
#include "supervisor/record.h"

#define ROWS_MAX 200u     /* of one answer about the tree: a packet is bounded */

void ask_answer(struct node *n, uint64_t watcher, uint64_t ref, const uint8_t id[16], Troupe__Envelope *env)
{
	struct process *p = process_numbered(n, watcher);
	Troupe__Control c = TROUPE__CONTROL__INIT;
	if (!p)
		return;
	env->reply_to = (ProtobufCBinaryData){ 16, (uint8_t *)id };
	env->kind = env->body_case == TROUPE__ENVELOPE__BODY_ERROR ? TROUPE__KIND__ERROR : TROUPE__KIND__REPLY;
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_ANSWER;
	c.answer = env;
	process_send(p, &c);
}

void ask_fail(struct node *n, uint64_t watcher, uint64_t ref, const uint8_t id[16], const struct error *e)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	failure_from_error(&f, e);
	env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env.error = &f;
	ask_answer(n, watcher, ref, id, &env);
}

static void reply(const struct ask *q, Troupe__Envelope *env)
{
	ask_answer(q->n, q->front->incarnation, q->ref, q->id, env);
}

void ask_refuse(const struct ask *q, const struct error *e)
{
	ask_fail(q->n, q->front->incarnation, q->ref, q->id, e);
}

static void no_actor(const struct ask *q, const char *address)
{
	struct error e = { 0 };
	error_set(&e, ERROR_NO_ACTOR, "there is no actor %s", address);
	error_cure(&e, "troupe tree shows all");
	ask_refuse(q, &e);
}

static void on_whereis(const struct ask *q)
{
	char path[PATH_MAX] = "";
	Troupe__Location l;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	locate(q->n, q->env->whereis->address, &l, path);
	if (l.state == TROUPE__ACTOR_STATE__ACTOR_UNKNOWN) {
		no_actor(q, q->env->whereis->address);
		return;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_LOCATION;
	env.location = &l;
	reply(q, &env);
}

/* --- the tree --- */

/* Resident memory, processor time and threads by /proc. The name in stat may hold anything, so fields are counted from the last ')'. */
static void read_proc(pid_t pid, Troupe__TreeRow *r)
{
	char path[64];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (file_read_all(path, 4096, &text, &len) != 0)
		return;
	const char *end = strrchr(text, ')');
	unsigned long user = 0, system = 0;
	long threads = 0, pages = 0;
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d %*u %*u %ld", &user, &system, &threads, &pages) != 4)
		return;
	long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
	r->cpu_ms = hz > 0 ? (user + system) * 1000 / (unsigned long)hz : 0;
	r->threads = threads > 0 ? (uint32_t)threads : 0;
	r->rss_kib = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 1024 : 0;
}

static Troupe__TreeRow *tree_row(const struct ask *q, const struct child *c)
{
	Troupe__TreeRow *r = arena_alloc(q->arena, sizeof *r);
	uint64_t now = loop_now_ms(q->n->loop);
	if (!r)
		return NULL;
	troupe__tree_row__init(r);
	struct process *p = c->sup ? NULL : process_of(q->n, c);
	r->address = (char *)c->name;
	r->depth = c->depth;
	r->kind = c->sup ? TROUPE__ACTOR_KIND__ACTOR_SUPERVISOR : TROUPE__ACTOR_KIND__ACTOR_WORKER;
	r->state = process_state(c);
	r->incarnation = c->incarnation;
	r->up_ms = c->state == CHILD_UP && now > c->up_at_ms ? now - c->up_at_ms : 0;
	r->restarts = c->restarts;
	r->strategy = c->sup ? (char *)(c->sup->spec.dynamic ? "dynamic" : strategy_name(c->sup->spec.strategy)) : r->strategy;
	r->restart = (char *)restart_name(c->spec.restart);
	r->last_reason = (Troupe__Reason)c->last_reason;
	r->due_in_ms = c->state == CHILD_WAITING && c->due_at_ms > now ? c->due_at_ms - now : 0;
	r->pool = c->sup && c->sup->spec.pool;
	const struct config_node *node = c->user;
	if (!c->sup && node && node->launch.argv)
		r->program = node->launch.argv[0];
	if (c->sup && c->sup->spec.pool && spares_of(q->n, node) > 0)
		r->note = arena_printf(q->arena, "%u spare", spares_of(q->n, node));
	if (c->stale)
		r->last_detail = (char *)"runs with an older definition";
	if (!p)
		return r;
	r->pid = (uint32_t)p->pid;
	r->note = p->note;
	read_proc(p->pid, r);
	if (p->cell) {
		struct status_cell cell;
		status_read(p->cell, &cell);
		r->mailbox = cell.mailbox;
	}
	return r;
}

static void on_tree(const struct ask *q)
{
	const Troupe__TreeAsk *want = q->env->tree_ask;
	Troupe__Tree t = TROUPE__TREE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const struct child *top = *want->under ? tree_find(q->n->tree, want->under) : tree_root(q->n->tree);
	uint32_t limit = want->limit && want->limit < ROWS_MAX ? want->limit : ROWS_MAX;
	if (!top) {
		no_actor(q, want->under);
		return;
	}
	if (!(t.rows = arena_alloc(q->arena, limit * sizeof *t.rows)))
		return;
	for (const struct child *c = top; c; c = tree_next_under(q->n->tree, top, c), t.total++) {
		Troupe__TreeRow *row;
		if (t.total >= want->skip && t.n_rows < limit && (row = tree_row(q, c)))
			t.rows[t.n_rows++] = row;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_TREE;
	env.tree = &t;
	reply(q, &env);
}

/* --- the node --- */

static void on_status(const struct ask *q)
{
	struct node *n = q->n;
	Troupe__Status s = TROUPE__STATUS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	char *alarms[4];
	s.alarms = alarms;
	s.node = n->id;
	s.version = (char *)TROUPE_VERSION;
	s.pid = (uint32_t)getpid();
	s.up_ms = loop_now_ms(n->loop) - n->started_at_ms;
	s.run_dir = n->config->run_dir;
	s.state_dir = n->config->state_dir;
	s.config = n->config->path;
	for (struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c)) {
		if (c->sup)
			continue;
		s.actors++;
		s.up += c->state == CHILD_UP;
		s.failed += c->state == CHILD_FAILED;
		s.restarts += c->restarts;
	}
	if (s.failed)
		alarms[s.n_alarms++] = arena_printf(q->arena, "%u actors are out of service: troupe tree", s.failed);
	if (n->record && record_alarm(n->record))
		alarms[s.n_alarms++] = (char *)record_alarm(n->record);
	s.state = (char *)(tree_is_stopping(n->tree) ? "stopping" : n->up ? "running" : "starting");
	s.features = (char *)(cgroup_used(&n->cgroup) ? "pidfd subreaper cgroup" : "pidfd subreaper");
	s.containment = (char *)(cgroup_used(&n->cgroup) ? "cgroup" : "subreaper");
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS;
	env.status = &s;
	reply(q, &env);
}

static void on_tail(const struct ask *q)
{
	Troupe__Tail t = TROUPE__TAIL__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const struct child *c = tree_find(q->n->tree, q->env->tail_ask->address);
	struct process *of = c ? process_of(q->n, c) : NULL;
	if (!c) {
		no_actor(q, q->env->tail_ask->address);
		return;
	}
	if (of && of->tail) {
		t.text = (ProtobufCBinaryData){ of->tail_len, (uint8_t *)of->tail };
		t.dropped = of->tail_dropped;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_TAIL;
	env.tail = &t;
	reply(q, &env);
}

static void on_crashes(const struct ask *q)
{
	Troupe__Crashes out = TROUPE__CRASHES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct error e = { 0 };
	int r = q->n->record ? record_crashes(q->n->record, q->env->crash_ask, q->arena, &out) : ERROR_STORE;
	if (r) {
		error_set(&e, r > 0 ? (enum error_code)r : ERROR_INTERNAL, r == ERROR_NOT_FOUND ? "there is no such crash report" : "crash reports cannot be read");
		error_cure(&e, "troupe crashes lists them");
		ask_refuse(q, &e);
		return;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_CRASHES;
	env.crashes = &out;
	reply(q, &env);
}

static void on_what_if(const struct ask *q)
{
	Troupe__WhatIfAnswer out = TROUPE__WHAT_IF_ANSWER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct error e = { 0 };
	if (what_if(q->n, q->env->what_if, q->arena, &out, &e)) {
		ask_refuse(q, &e);
		return;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_WHAT_IF_ANSWER;
	env.what_if_answer = &out;
	reply(q, &env);
}

static void on_reload(const struct ask *q)
{
	const Troupe__Reload *want = q->env->reload;
	struct reload_request r = { .dry = want->dry_run, .restart_changed = want->restart_changed, .watcher = q->front->incarnation, .control_ref = q->ref,
		                    .subject = q->env->subject };
	memcpy(r.id, q->id, sizeof r.id);
	reload(q->n, &r);
}

/* --- which question --- */

void ask_relay(struct process *front, uint64_t ref, const Troupe__Envelope *ask)
{
	static const struct { int body; void (*on)(const struct ask *); } table[] = {
		{ TROUPE__ENVELOPE__BODY_WHEREIS, on_whereis }, { TROUPE__ENVELOPE__BODY_TREE_ASK, on_tree },     { TROUPE__ENVELOPE__BODY_STATUS_ASK, on_status },
		{ TROUPE__ENVELOPE__BODY_TAIL_ASK, on_tail },   { TROUPE__ENVELOPE__BODY_CHILD_ORDER, ask_on_order }, { TROUPE__ENVELOPE__BODY_RELOAD, on_reload },
		{ TROUPE__ENVELOPE__BODY_CRASH_ASK, on_crashes },     { TROUPE__ENVELOPE__BODY_ADD_CHILD, ask_on_add },       { TROUPE__ENVELOPE__BODY_WHAT_IF, on_what_if },
	};
	struct ask q = { front->node, front, ref, ask, { 0 }, arena_new(4u << 20) };
	struct error e = { 0 };
	if (!q.arena)
		return;
	if (ask->id.len == sizeof q.id)
		memcpy(q.id, ask->id.data, sizeof q.id);
	bool known = false;
	for (size_t i = 0; i < ELEMENTS(table) && !known; i++)
		if (table[i].body == (int)ask->body_case) {
			known = true;
			table[i].on(&q);
		}
	if (!known) {
		error_set(&e, ERROR_NO_VERB, "the supervisor does not answer this verb");
		ask_refuse(&q, &e);
	}
	arena_unref(q.arena);
}
