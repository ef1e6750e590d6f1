/* The workers: who they are, what they hold, what they say.
 *
 * Those of the tree, that is; outside.c knows the others, and what is different with them.
 * A worker is known from its first Attach, or from a lease that names it, until its DOWN has been dealt with. A DOWN overtakes the dead one's last words, which are
 * still in its socket: so it is kept until the connection has ended too, and only then do the leases that are left go back. */
#include "actors/coordinator/crew.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/disk.h"
#include "actors/coordinator/finish.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define DOWN_WAIT_MS 1000u /* for the end of a dead worker's connection, which comes behind its last words */
#define SLOTS_MAX 4096u
#define NOTE_BYTES_MAX 512u

struct worker *worker_find(struct coordinator *c, const char *address, uint64_t incarnation)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->incarnation == incarnation && strcmp(w->address, address) == 0)
			return w;
	return NULL;
}

static struct worker **peer_bucket(struct coordinator *c, uint64_t peer)
{
	return &c->by_peer[peer % PEER_BUCKETS];
}

struct worker *worker_of_peer(struct coordinator *c, uint64_t peer)
{
	struct worker *w = peer ? *peer_bucket(c, peer) : NULL;
	while (w && w->peer != peer)
		w = w->same_peer;
	return w;
}

void worker_set_peer(struct coordinator *c, struct worker *w, uint64_t peer)
{
	if (w->peer)
		for (struct worker **at = peer_bucket(c, w->peer); *at; at = &(*at)->same_peer)
			if (*at == w) {
				*at = w->same_peer;
				break;
			}
	w->peer = peer;
	if (!peer)
		return;
	w->same_peer = *peer_bucket(c, peer);
	*peer_bucket(c, peer) = w;
}

struct worker *worker_add(struct coordinator *c, const char *address, uint64_t incarnation)
{
	struct worker *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	snprintf(w->address, sizeof w->address, "%s", address);
	w->incarnation = incarnation;
	w->slots = 1;
	const char *slash = strrchr(address, '/');
	if (slash && strncmp(address, "worker:", 7) == 0) {
		char pool[64];
		snprintf(pool, sizeof pool, "%.*s", (int)(slash - address - 7), address + 7);
		w->pool = pool_of(c, pool);
	}
	struct worker **at = &c->workers; /* the oldest first */
	while (*at)
		at = &(*at)->next;
	*at = w;
	c->n_workers++;
	return w;
}

void worker_free(struct coordinator *c, struct worker *w)
{
	outside_free(c, w);
	worker_set_peer(c, w, 0);
	for (struct worker **at = &c->workers; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	c->n_workers--;
	group_leave(c, w);
	free(w->run);
	free(w->down_tokens);
	free(w);
}

void workers_free(struct coordinator *c)
{
	while (c->workers)
		worker_free(c, c->workers);
}

bool worker_may_work(const struct worker *w)
{
	return w->attached && w->peer && !w->draining && !w->down && !*w->broken && !outside_silent(w);
}

int worker_push(struct turn *t, struct worker *w, Troupe__Envelope *env)
{
	env->kind = TROUPE__KIND__SIGNAL;
	int r = w->peer ? turn_push(t, w->peer, env) : ERROR_UNDELIVERED;
	if (r == ERROR_UNDELIVERED)
		return 0; /* what it holds is settled by its next Attach, or its DOWN */
	if (r > 0) {
		log_error("a message to a worker was refused", LOG_S("worker", w->address), LOG_S("why", error_name(r)));
		return 0;
	}
	return r;
}

/* Who says it, and is it who it claims to be: a worker that has attached. */
static int sender(struct turn *t, struct coordinator *c, const struct message *m, struct worker **ret)
{
	struct error e = { 0 };
	struct worker *w = worker_of_peer(c, m->sender.peer);
	if (!*m->sender.address)
		*ret = w && w->outside ? w : NULL;
	else if (w && w->incarnation == m->sender.incarnation && strcmp(w->address, m->sender.address) == 0)
		*ret = w;
	else
		*ret = worker_find(c, m->sender.address, m->sender.incarnation);
	if (*ret) {
		outside_heard(t, *ret);
		return 0;
	}
	error_set(&e, ERROR_STATE, "%s has not attached", *m->sender.address ? m->sender.address : "a client");
	return turn_fail(t, &e);
}

/* --- outcomes --- */

static int take_outcome(struct turn *t, struct coordinator *c, struct worker *w, const Troupe__Outcome *o, bool *ret_stale)
{
	struct lease *l = lease_find(&c->leases, o->token);
	*ret_stale = !l || l->worker != w;
	if (*ret_stale) {
		c->n_stale++;
		return 0;
	}
	if (o->drain) {
		w->draining = true;
		worker_place(w);
	}
	disk_take(c, o->output.len + o->stderr_tail.len);
	return attempt_end(t, c, l, o, false);
}

int on_outcomes(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Outcomes *o = m->env->outcomes;
	struct worker *w;
	int r = sender(t, c, m, &w);
	if (r)
		return r;
	fault_point("complete.after_parse");
	Troupe__OutcomesAck ack = TROUPE__OUTCOMES_ACK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ack.tokens = arena_alloc(turn_arena(t), (o->n_outcomes + 1) * sizeof *ack.tokens);
	ack.stale = arena_alloc(turn_arena(t), (o->n_outcomes + 1) * sizeof *ack.stale);
	if (!ack.tokens || !ack.stale)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_outcomes; i++) {
		bool stale;
		if ((r = take_outcome(t, c, w, o->outcomes[i], &stale)))
			return r > 0 ? -EIO : r;
		if (stale)
			ack.stale[ack.n_stale++] = o->outcomes[i]->token;
		else
			ack.tokens[ack.n_tokens++] = o->outcomes[i]->token;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES_ACK;
	env.outcomes_ack = &ack;
	return worker_push(t, w, &env);
}

int on_started(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Started *s = m->env->started;
	struct worker *w;
	int r = sender(t, c, m, &w);
	for (size_t i = 0; i < s->n_tokens && !r; i++) {
		struct lease *l = lease_find(&c->leases, s->tokens[i]);
		if (!l || l->worker != w || l->started)
			continue;
		l->started = true;
		l->started_at_ms = steady_at(&c->steady, t);
		w->n_started++;
	}
	return r;
}

int on_revoked(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Revoked *v = m->env->revoked;
	struct worker *w;
	int r = sender(t, c, m, &w);
	if (r)
		return r;
	for (size_t i = 0; i < v->n_tokens && !r; i++) {
		struct lease *l = lease_find(&c->leases, v->tokens[i]);
		if (l && l->worker == w)
			r = attempt_return(t, c, l);
	}
	return r > 0 ? -EIO : r;
}

int on_progress(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Progress *p = m->env->progress;
	struct worker *w;
	int r = sender(t, c, m, &w);
	struct lease *l = r ? NULL : lease_find(&c->leases, p->token);
	if (!l || l->worker != w)
		return r;
	l->percent = p->percent > 100 ? 100 : p->percent;
	if (strlen(p->note) <= NOTE_BYTES_MAX) {
		free(l->note);
		l->note = *p->note ? strdup(p->note) : NULL;
	}
	return 0;
}

/* --- Attach --- */

static int describe(struct coordinator *c, struct worker *w, const struct message *m, const Troupe__Attach *a)
{
	worker_set_peer(c, w, m->sender.peer);
	w->pid = (uint32_t)m->sender.pid;
	lease_slots(&c->leases, w, a->slots > SLOTS_MAX ? SLOTS_MAX : a->slots ? a->slots : 1);
	snprintf(w->mode, sizeof w->mode, "%s", a->mode);
	snprintf(w->broken, sizeof w->broken, "%s", a->broken);
	utf8_clean(w->broken);
	return group_join(c, w, a);
}

/* Which of its leases an Attach names; what it does not name never arrived. */
static int return_unnamed(struct turn *t, struct coordinator *c, struct worker *w, const Troupe__Attach *a)
{
	int r = 0;
	for (struct lease *l = w->leases, *next; l && !r; l = next) {
		bool named = false;
		next = l->next;
		for (size_t i = 0; i < a->n_held && !named; i++)
			named = a->held[i]->token == l->token;
		if (!named)
			r = attempt_return(t, c, l);
	}
	return r;
}

/* It was to be ended when its deadline passed; who was not connected then has not heard it. */
static bool is_late(struct turn *t, const struct lease *l)
{
	Troupe__TaskRecord *rec;
	return task_get(t, &l->id, &rec) == 0 && rec->spec->deadline_at_ms && rec->spec->deadline_at_ms <= turn_wall_ms(t);
}

static int answer_held(struct turn *t, struct coordinator *c, struct worker *w, const Troupe__Attach *a, Troupe__Attached *out, Troupe__Abort *cancel, Troupe__Abort *late)
{
	out->abort = arena_alloc(turn_arena(t), (a->n_held + 1) * sizeof *out->abort);
	cancel->tokens = arena_alloc(turn_arena(t), (a->n_held + 1) * sizeof *cancel->tokens);
	late->tokens = arena_alloc(turn_arena(t), (a->n_held + 1) * sizeof *late->tokens);
	if (!out->abort || !cancel->tokens || !late->tokens)
		return -ENOMEM;
	cancel->why = (char *)"cancelled";
	late->why = (char *)"its deadline has passed";
	for (size_t i = 0; i < a->n_held; i++) {
		struct lease *l = lease_find(&c->leases, a->held[i]->token);
		if (!l || l->worker != w) {
			out->abort[out->n_abort++] = a->held[i]->token;
			continue;
		}
		if (a->held[i]->started && !l->started) {
			l->started = true;
			l->started_at_ms = l->given_at_ms;
			w->n_started++;
		}
		if (l->cancel)
			cancel->tokens[cancel->n_tokens++] = l->token;
		else if (is_late(t, l))
			late->tokens[late->n_tokens++] = l->token;
	}
	return 0;
}

static int push_abort(struct turn *t, struct worker *w, Troupe__Abort *m)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = m;
	return m->n_tokens ? worker_push(t, w, &env) : 0;
}

/* One of the tree: its supervisor will say when it is dead. */
static int attach_of_tree(struct turn *t, struct coordinator *c, const struct message *m, struct worker **ret)
{
	struct error e = { 0 };
	if (strncmp(m->sender.address, "worker:", 7) != 0) {
		error_set(&e, ERROR_NOT_ALLOWED, "%s is no worker of this node", m->sender.address);
		return turn_fail(t, &e);
	}
	struct worker *w = worker_find(c, m->sender.address, m->sender.incarnation);
	if (!w && !(w = worker_add(c, m->sender.address, m->sender.incarnation)))
		return -ENOMEM;
	*ret = w;
	if (w->monitored)
		return 0;
	w->monitored = true;
	return turn_monitor(t, w->address, w->incarnation);
}

int on_attach(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Attach *a = m->env->attach;
	struct worker *w;
	fault_point("attach.after_parse");
	int r = *m->sender.address ? attach_of_tree(t, c, m, &w) : outside_attach(t, c, m, &w);
	if (!r)
		r = describe(c, w, m, a);
	if (r)
		return r;

	Troupe__Attached out = TROUPE__ATTACHED__INIT;
	Troupe__Abort cancel = TROUPE__ABORT__INIT, late = TROUPE__ABORT__INIT;
	if (!r && !(out.committed = arena_alloc(turn_arena(t), (a->n_outcomes + 1) * sizeof *out.committed)))
		r = -ENOMEM;
	for (size_t i = 0; i < a->n_outcomes && !r; i++) {
		bool stale; /* then too it is to be forgotten */
		r = take_outcome(t, c, w, a->outcomes[i], &stale);
		out.committed[out.n_committed++] = a->outcomes[i]->token;
	}
	if (!r)
		r = answer_held(t, c, w, a, &out, &cancel, &late);
	if (!r && !a->update)
		r = return_unnamed(t, c, w, a);
	if (r)
		return r > 0 ? -EIO : r;
	w->attached = true;
	if (!a->update)
		w->draining = false;
	worker_place(w);
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACHED;
	env.attached = &out;
	r = m->env->kind == TROUPE__KIND__ASK ? turn_reply(t, m, &env) : worker_push(t, w, &env);
	if (!r)
		r = push_abort(t, w, &cancel);
	return r ? r : push_abort(t, w, &late);
}

/* --- death --- */

static Troupe__ExitClass class_of(const struct worker *w)
{
	if (w->down_ordered)
		return TROUPE__EXIT_CLASS__EXIT_LOST;
	switch (w->down_reason) {
	case TROUPE__REASON__REASON_SIGNAL:
	case TROUPE__REASON__REASON_KILLED:
		return TROUPE__EXIT_CLASS__EXIT_SIGNAL;
	case TROUPE__REASON__REASON_CORE:
		return TROUPE__EXIT_CLASS__EXIT_CORE;
	case TROUPE__REASON__REASON_OOM:
		return TROUPE__EXIT_CLASS__EXIT_OOM;
	case TROUPE__REASON__REASON_EXIT:
	case TROUPE__REASON__REASON_RLIMIT:
		return TROUPE__EXIT_CLASS__EXIT_FAILED;
	case TROUPE__REASON__REASON_WATCHDOG:
	case TROUPE__REASON__REASON_TURN_TIMEOUT:
		return TROUPE__EXIT_CLASS__EXIT_TIMEOUT;
	case TROUPE__REASON__REASON_NONE:
	case TROUPE__REASON__REASON_NORMAL:
	case TROUPE__REASON__REASON_SHUTDOWN:
	case TROUPE__REASON__REASON_START_TIMEOUT:
	case TROUPE__REASON__REASON_START_FAILED:
	case TROUPE__REASON__REASON_POISON:
	case TROUPE__REASON__REASON_LOST:
	case TROUPE__REASON__REASON_GAVE_UP:
	case TROUPE__REASON__REASON_NOPROC:
	case TROUPE__REASON__REASON_NOCONNECTION:
	case _TROUPE__REASON_IS_INT_SIZE:
		break;
	}
	return TROUPE__EXIT_CLASS__EXIT_LOST;
}

static int end_lease(struct turn *t, struct coordinator *c, struct worker *w, struct lease *l)
{
	bool in_work = false;
	for (size_t i = 0; i < w->n_down_tokens && !in_work; i++)
		in_work = w->down_tokens[i] == l->token;
	if (!in_work)
		return attempt_return(t, c, l);
	Troupe__Outcome o = TROUPE__OUTCOME__INIT;
	o.exit_class = class_of(w);
	o.exit_code = w->down_code;
	o.signal = w->down_signal;
	o.error = w->down_signal ? arena_printf(turn_arena(t), "%s died of signal %d", w->address, w->down_signal)
	          : w->down_ordered ? arena_printf(turn_arena(t), "%s was stopped", w->address)
	                            : arena_printf(turn_arena(t), "%s ended with status %d", w->address, w->down_code);
	if (!o.error)
		return -ENOMEM;
	return attempt_end(t, c, l, &o, true);
}

/* Its family is proven empty and its last words are read: what it still holds goes back. */
static int bury(struct turn *t, struct coordinator *c, struct worker *w)
{
	int r = 0;
	while (w->leases && !r)
		r = end_lease(t, c, w, w->leases);
	if (!r)
		worker_free(c, w);
	return r;
}

int crew_down(struct turn *t, void *state, const Troupe__Down *d)
{
	struct coordinator *c = state;
	struct worker *w = worker_find(c, d->address, d->incarnation);
	if (!w)
		return 0;
	w->down = true;
	worker_place(w);
	w->down_pending = d->proof == TROUPE__PROOF__PROOF_PENDING;
	w->pending_pid = d->pending_pid;
	if (d->reason != TROUPE__REASON__REASON_NONE || !w->down_reason) {
		w->down_reason = d->reason;
		w->down_code = d->exit_code;
		w->down_signal = d->signal;
		w->down_ordered = d->ordered;
	}
	if (d->n_tokens) {
		free(w->down_tokens);
		w->n_down_tokens = 0;
		if (!(w->down_tokens = calloc(d->n_tokens, sizeof *w->down_tokens)))
			return -ENOMEM;
		memcpy(w->down_tokens, d->tokens, d->n_tokens * sizeof *w->down_tokens);
		w->n_down_tokens = d->n_tokens;
	}
	if (w->down_pending) {
		log_warn("a dead worker's family is not empty", LOG_S("worker", w->address), LOG_U("pid", w->pending_pid), LOG_U("leases", w->held));
		return 0;
	}
	if (w->peer) {
		w->down_by_ms = turn_now_ms(t) + DOWN_WAIT_MS;
		wake_by(c, w->down_by_ms);
		return 0;
	}
	return bury(t, c, w);
}

int crew_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up)
{
	struct coordinator *c = state;
	struct worker *w = worker_find(c, address, incarnation);
	if (up || !w || w->peer != peer)
		return 0;
	worker_set_peer(c, w, 0);
	w->attached = false;
	worker_place(w);
	return w->down && !w->down_pending ? bury(t, c, w) : 0;
}

int crew_wake(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (struct worker *w = c->workers, *next; w && !r; w = next) {
		next = w->next;
		if (!w->down || w->down_pending || !w->peer)
			continue;
		if (turn_now_ms(t) >= w->down_by_ms)
			r = bury(t, c, w);
		else
			wake_by(c, w->down_by_ms);
	}
	return r;
}

int crew_revoke_queue(struct turn *t, struct coordinator *c, const struct queue *q)
{
	int r = 0;
	for (struct worker *w = c->workers; w && !r; w = w->next) {
		Troupe__Revoke v = TROUPE__REVOKE__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		if (!w->held || !w->attached)
			continue;
		if (!(v.tokens = arena_alloc(turn_arena(t), w->held * sizeof *v.tokens)))
			return -ENOMEM;
		for (const struct lease *l = w->leases; l; l = l->next)
			if (l->queue == q && !l->started)
				v.tokens[v.n_tokens++] = l->token;
		env.body_case = TROUPE__ENVELOPE__BODY_REVOKE;
		env.revoke = &v;
		if (v.n_tokens)
			r = worker_push(t, w, &env);
	}
	return r;
}

/* --- what is asked --- */

static Troupe__WorkerRow *row_of(struct turn *t, const struct coordinator *c, const struct worker *w)
{
	Troupe__WorkerRow *row = arena_alloc(turn_arena(t), sizeof *row);
	if (!row)
		return NULL;
	troupe__worker_row__init(row);
	row->address = (char *)w->address;
	row->incarnation = w->incarnation;
	row->pid = w->pid;
	row->pool = w->pool ? w->pool->name : row->pool;
	row->busy = w->held > 0;
	row->done = w->n_done;
	row->failed = w->n_failed;
	row->held = w->held;
	row->draining = w->draining;
	const char *outside = outside_why(t, w);
	row->broken = outside ? (char *)outside : w->down ? (char *)"dead, its family is not proven empty" : !w->attached ? (char *)"not connected" : (char *)w->broken;
	row->queues = w->group ? w->group->queues : NULL;
	row->n_queues = w->group ? w->group->n_queues : 0;
	for (const struct lease *l = w->leases; l; l = l->next)
		if (l->started || !row->token) {
			row->token = l->token;
			row->task = (ProtobufCBinaryData){ sizeof l->id.b, (uint8_t *)l->id.b };
			row->seq = l->seq;
			row->since_ms = l->started_at_ms ? steady_at(&c->steady, t) - l->started_at_ms : 0;
			if (l->started)
				break;
		}
	return row;
}

int on_workers_ask(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	Troupe__Workers out = TROUPE__WORKERS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(out.rows = arena_alloc(turn_arena(t), (c->n_workers + 1) * sizeof(Troupe__WorkerRow *))))
		return -ENOMEM;
	for (const struct worker *w = c->workers; w; w = w->next)
		if (!(out.rows[out.n_rows++] = row_of(t, c, w)))
			return -ENOMEM;
	env.body_case = TROUPE__ENVELOPE__BODY_WORKERS;
	env.workers = &out;
	return turn_reply(t, m, &env);
}
