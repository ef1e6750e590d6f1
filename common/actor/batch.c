/* One turn: everything that has been decoded, then settle, then one commit, then, and only then, what the world may see.
 *
 *   events (answers, DOWN, links, STOP...)   in order of arrival
 *   messages                                 most urgent first, at most 4,096 or 4 MiB
 *   wake
 *   settle                                   the turn is closed
 *   commit                                   only if something durable was said
 *   release                                  messages, lifeline packets, links, monitors
 *   credit for what was handled
 *
 * A turn with little to write commits here: one thread is faster than two. A larger one takes off (flight.c), and what comes while it is up is handled as the next turn, which
 * stays open until the other has landed, or until it is full. Turns leave in their order: nobody hears of one before all that it stands on is on the disk.
 *
 * If the store is full (ERROR_STORE) nothing of the turn was written, but the behaviour's memory has gone on as if it were: every asker of the turn, and of the open one behind
 * it, is told STORE, nothing else is released, and the process leaves with 111, to begin again from what is on disk. Any other failure of a commit ends the process at once:
 * nobody hears anything. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define FLIGHT_ROWS 48u /* fewer: the way to another thread and back costs more than it gains */

struct event *event_add(struct actor *a, enum event_kind kind)
{
	struct event *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->kind = kind;
	if (!a->events)
		a->events_tail = &a->events;
	*a->events_tail = e;
	a->events_tail = &e->next;
	return e;
}

void event_free(struct event *e)
{
	arena_unref(e->arena);
	free(e);
}

bool batch_wanted(struct actor *a, uint64_t now_ms)
{
	return a->events || a->mailbox.n || a->wake_at_ms <= now_ms || (flight_is_up(a->flight) && flight_is_done(a->flight));
}

static bool is_suspect(const struct actor *a, const Troupe__Envelope *env)
{
	for (unsigned i = 0; i < a->n_suspects; i++)
		if (env->id.len == WIRE_ID_LEN && memcmp(a->suspects[i].id, env->id.data, WIRE_ID_LEN) == 0)
			return true;
	return false;
}

static int handle_events(struct actor *a)
{
	int r = 0;
	struct event *e;
	while (!r && !a->leaving && (e = a->events)) {
		a->events = e->next;
		e->next = a->handled_events;
		a->handled_events = e;
		r = dispatch_event(a, e);
	}
	return r;
}

static bool is_full(const struct turn *t)
{
	return t->n_handled >= TURN_MESSAGES || t->handled_bytes >= TURN_BYTES || arena_used(t->arena) >= TURN_ARENA_SOFT;
}

/* *ret_close: what comes next must find this turn's end. */
static int handle_messages(struct actor *a, bool *ret_close)
{
	struct turn *t = a->turn;
	struct mail *m;
	int r = 0;
	while (!r && !a->leaving && !t->store_failed && !is_full(t) && (m = mailbox_peek(&a->mailbox))) {
		bool alone = a->n_suspects && is_suspect(a, m->env);
		*ret_close = alone;
		if (alone && t->n_handled)
			break;
		mailbox_pop(&a->mailbox);
		t->n_handled++;
		t->handled_bytes += m->bytes;
		m->next = a->handled;
		a->handled = m;
		r = dispatch_mail(a, m);
		if (alone)
			break;
	}
	return r;
}

/* --- after the commit --- */

/* To ourselves: through the codec, as if it had come by a socket. */
static void send_own(struct actor *a, struct slice packed)
{
	struct arena *arena = mailbox_overrun(&a->mailbox) ? NULL : arena_new(packed.len * wire_limits_default.arena_factor + 65536);
	ProtobufCMessage *m = NULL;
	if (!arena || message_decode(&troupe__envelope__descriptor, packed.data, packed.len, arena, &m, NULL)) {
		a->counters.dropped++;
		arena_unref(arena);
		return;
	}
	Troupe__Envelope *env = (Troupe__Envelope *)m;
	env->from = env->subject = a->address;
	if (mailbox_add(&a->mailbox, NULL, arena, &env, 1, loop_now_ms(a->loop)) < 0)
		a->counters.dropped++;
	arena_unref(arena);
}

static void send_peer(struct actor *a, const struct effect *e)
{
	if (!e->number) {
		send_own(a, e->value);
		return;
	}
	struct conn *c = conn_find(a, e->number);
	if (!c || !c->peer || peer_send_packed(c->peer, e->costs_credit, e->value.data, e->value.len))
		a->counters.dropped++;
}

static void send_to(struct actor *a, const struct effect *e)
{
	struct ask *k = NULL;
	int r = 0;
	if (e->op == OP_ASK)
		r = ask_add(&a->asks, &e->id, e->to, e->cookie, e->number < TIME_NEVER - a->turn->now_ms ? a->turn->now_ms + e->number : TIME_NEVER, &k);
	if (!r && strcmp(e->to, a->address) == 0)
		send_own(a, e->value);
	else if (!r)
		r = link_send(a, e->to, e->costs_credit, e->value, k);
	if (!r)
		return;
	a->counters.dropped++;
	struct error why = { 0 };
	error_set(&why, r > 0 ? (enum error_code)r : ERROR_UNDELIVERED, "%s cannot be asked now", e->to);
	error_retry(&why, 100);
	struct event *ev;
	if (k)
		ask_fail(a, k, &why);
	else if (e->op == OP_ASK && (ev = event_add(a, EVENT_ANSWER))) {
		ev->number = e->cookie;
		ev->error = why;
	}
}

static int send_monitor(struct actor *a, const struct effect *e)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Monitor m = TROUPE__MONITOR__INIT;
	Troupe__Demonitor d = TROUPE__DEMONITOR__INIT;
	m.address = d.address = (char *)e->to;
	m.incarnation = d.incarnation = e->number;
	if (e->op == OP_MONITOR) {
		c.body_case = TROUPE__CONTROL__BODY_MONITOR;
		c.monitor = &m;
	} else {
		c.body_case = TROUPE__CONTROL__BODY_DEMONITOR;
		c.demonitor = &d;
	}
	return control_send(a, &c, -1);
}

static int send_control(struct actor *a, const struct effect *e)
{
	struct arena *arena = NULL;
	Troupe__Control *c;
	struct error why = { 0 };
	int r = control_decode(e->value.data, e->value.len, &arena, &c, &why);
	if (r)
		log_warn("a packet for the supervisor does not decode", LOG_S("why", why.text));
	else
		r = control_send(a, c, -1);
	arena_unref(arena);
	return r > 0 ? 0 : r;
}

static int release_one(struct actor *a, const struct effect *e)
{
	switch (e->op) {
	case OP_SEND_PEER:
		send_peer(a, e);
		return 0;
	case OP_SEND:
	case OP_ASK:
		send_to(a, e);
		return 0;
	case OP_CONNECT: {
		int r = link_connect(a, e->to);
		return r > 0 ? 0 : r;
	}
	case OP_DISCONNECT:
		link_disconnect(a, e->to);
		return 0;
	case OP_MONITOR:
	case OP_DEMONITOR:
		return send_monitor(a, e);
	case OP_WAKE:
		if (e->number < a->wake_at_ms)
			a->wake_at_ms = e->number;
		return 0;
	case OP_EMIT:
	case OP_CONTROL:
		return send_control(a, e);
	case OP_NOTE:
		control_note(a, e->to);
		return 0;
	case OP_LEAVE:
		actor_leave(a, 0, e->reason, "%s", e->to);
		return 0;
	case OP_PUT:
	case OP_DELETE:
		break; /* never released */
	}
	assert(false);
	return 0;
}

static int release(struct actor *a, const struct turn *t)
{
	int r = 0;
	for (struct effect *e = t->release.head; e && !r; e = e->next)
		r = release_one(a, e);
	return r;
}

/* --- the commit --- */

static void fail_askers(struct actor *a, const struct turn *t)
{
	struct error e = { 0 };
	error_set(&e, ERROR_STORE, "the store of %s is full or its disk is; nothing was written", a->address);
	error_cure(&e, "free space, then send again");
	error_retry(&e, 5000);
	for (const struct asker *k = t->askers; k; k = k->next) {
		struct conn *c = k->peer ? conn_find(a, k->peer) : NULL;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		env.kind = TROUPE__KIND__ASK;
		env.id = (ProtobufCBinaryData){ WIRE_ID_LEN, (uint8_t *)k->id.b };
		if (c)
			dispatch_refuse(a, c, &env, &e);
	}
}

/* The messages of a turn are done: their memory, and their senders' credit. */
static void forget_handled(struct actor *a, struct mail *handled, struct event *events)
{
	while (handled) {
		struct mail *m = handled;
		handled = m->next;
		if (m->conn)
			conn_consumed(a, m->conn, m->env);
		mail_free(m);
	}
	while (events) {
		struct event *e = events;
		events = e->next;
		event_free(e);
	}
	conn_grant(a);
}

/* Its commit has ended with this code. */
static int turn_done(struct actor *a, struct turn *t, struct mail *handled, struct event *events, int code)
{
	int r = 0;
	if (code)
		log_error("the commit failed", LOG_S("code", code > 0 ? error_name(code) : strerror(-code)));
	if (code < 0)
		return code;
	if (code) {
		fail_askers(a, t);
		actor_leave(a, 111, TROUPE__REASON__REASON_EXIT, "the store is full");
		a->store_lost = true;
	} else {
		if (a->def->on_commit)
			a->def->on_commit(a->state);
		if ((r = release(a, t)) < 0)
			return r;
		fault_point("turn.after_release");
	}
	forget_handled(a, handled, events);
	turn_end(t);
	return 0;
}

/* Here and now. */
static int commit(struct actor *a, struct turn *t)
{
	if (!t->rows.n && !t->txn)
		return t->store_failed ? ERROR_STORE : 0;
	status_phase(a->status, PHASE_COMMIT, clock_mono_ms());
	uint64_t from_us = clock_mono_us();
	int r = turn_commit(t, store_begin);
	metrics_commit(&a->counters, clock_mono_us() - from_us);
	status_phase(a->status, PHASE_TURN, clock_mono_ms());
	return r;
}

/* The map may not grow while a turn is up, so it is looked at before. */
static int take_off(struct actor *a)
{
	struct turn *t = a->turn;
	int r;
	if (t->view)
		store_read_end(steal(&t->view));
	if ((r = store_grow(a->store)) < 0)
		return r;
	a->turn = steal(&a->other_turn);
	a->turn->below = t;
	flight_start(a->flight, t, steal(&a->handled), steal(&a->handled_events));
	return 0;
}

static bool takes_off(struct actor *a)
{
	if (a->turn->txn || a->turn->rows.n < FLIGHT_ROWS || a->leaving || a->stopping)
		return false;
	return a->flight || flight_open(&a->flight, a) == 0;
}

static int land(struct actor *a)
{
	struct turn *t;
	struct mail *handled;
	struct event *events;
	uint64_t took_us;
	if (!flight_is_done(a->flight))
		status_phase(a->status, PHASE_COMMIT, flight_since_ms(a->flight));
	int code = flight_land(a->flight, &t, &handled, &events, &took_us);
	status_phase(a->status, PHASE_TURN, clock_mono_ms());
	metrics_commit(&a->counters, took_us);
	turn_landed(a->turn);
	a->other_turn = t;
	return turn_done(a, t, handled, events, code);
}

/* Nothing more comes into it. */
static int close_turn(struct actor *a)
{
	int r = a->store_lost || a->turn->store_failed ? 0 : dispatch_settle(a);
	if (!r && flight_is_up(a->flight))
		r = land(a);
	if (r)
		return r;
	a->turn_open = false;
	if (a->store_lost) { /* what it stands on was not written */
		fail_askers(a, a->turn);
		forget_handled(a, steal(&a->handled), steal(&a->handled_events));
		turn_end(a->turn);
		return 0;
	}
	if (a->def->on_seal)
		a->def->on_seal(a->state);
	if (takes_off(a))
		return take_off(a);
	r = commit(a, a->turn);
	return turn_done(a, a->turn, steal(&a->handled), steal(&a->handled_events), r);
}

static int open_turn(struct actor *a, uint64_t now_ms)
{
	int r;
	if (a->store && !flight_is_up(a->flight) && (r = store_grow(a->store)) < 0)
		return r;
	a->counters.turns++;
	turn_start(a->turn, now_ms, clock_wall_ms(), clock_boot_ms());
	a->turn_open = true;
	return 0;
}

int batch_run(struct actor *a, uint64_t now_ms)
{
	bool close = false;
	int r = 0;
	status_phase(a->status, PHASE_TURN, now_ms);
	status_mailbox(a->status, (uint32_t)a->mailbox.n);
	if (flight_is_up(a->flight) && flight_is_done(a->flight) && (r = land(a)))
		return r;
	if (!a->turn_open)
		r = batch_wanted(a, now_ms) ? open_turn(a, now_ms) : 0;
	else
		turn_clock(a->turn, now_ms, clock_wall_ms(), clock_boot_ms());
	if (!r && a->turn_open && !a->store_lost) {
		r = handle_events(a);
		if (!r)
			r = handle_messages(a, &close);
		if (!r && !a->leaving)
			r = dispatch_wake(a, now_ms);
	}
	if (!r && a->turn_open && (!flight_is_up(a->flight) || close || is_full(a->turn) || a->turn->txn || a->leaving || a->stopping))
		r = close_turn(a);
	if (!r && a->leaving && flight_is_up(a->flight))
		r = land(a);
	status_message(a->status, NULL);
	conn_resume(a);
	status_mailbox(a->status, (uint32_t)a->mailbox.n);
	return r;
}
