/* One turn: everything that has been decoded, then settle, then one commit, then, and only then, what the world may see.
 *
 *   events (answers, DOWN, links, STOP...)   in order of arrival
 *   messages                                 most urgent first, at most 4,096 or 4 MiB
 *   wake, settle
 *   commit                                   only if something durable was said
 *   release                                  messages, lifeline packets, links, monitors
 *   credit for what was handled
 *
 * If the store is full (ERROR_STORE) nothing of the turn was written, but the behaviour's memory has gone on as if it were: every asker of the turn is
 * told STORE, nothing else is released, and the process leaves with 111, to begin again from what is on disk. Any other failure of a
 * commit ends the process at once: nobody hears anything. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/base/fault.h"
#include "common/base/log.h"

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

bool batch_wanted(const struct actor *a, uint64_t now_ms)
{
	return a->events || a->mailbox.n || a->wake_at_ms <= now_ms;
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

static int handle_messages(struct actor *a)
{
	struct turn *t = a->turn;
	size_t n = 0, bytes = 0;
	struct mail *m;
	int r = 0;
	while (!r && !a->leaving && !t->store_failed && n < TURN_MESSAGES && bytes < TURN_BYTES && arena_used(t->arena) < TURN_ARENA_SOFT &&
	       (m = mailbox_peek(&a->mailbox))) {
		bool alone = a->n_suspects && is_suspect(a, m->env);
		if (alone && n)
			break;
		mailbox_pop(&a->mailbox);
		n++;
		bytes += m->bytes;
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

static int release(struct actor *a)
{
	int r = 0;
	for (struct effect *e = a->turn->release.head; e && !r; e = e->next)
		r = release_one(a, e);
	return r;
}

/* --- the commit --- */

static void fail_askers(struct actor *a)
{
	struct error e = { 0 };
	error_set(&e, ERROR_STORE, "the store of %s is full or its disk is; nothing was written", a->address);
	error_cure(&e, "free space, then send again");
	error_retry(&e, 5000);
	for (const struct asker *k = a->turn->askers; k; k = k->next) {
		struct conn *c = k->peer ? conn_find(a, k->peer) : NULL;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		env.kind = TROUPE__KIND__ASK;
		env.id = (ProtobufCBinaryData){ WIRE_ID_LEN, (uint8_t *)k->id.b };
		if (c)
			dispatch_refuse(a, c, &env, &e);
	}
}

static int commit(struct actor *a)
{
	struct turn *t = a->turn;
	if (!t->txn)
		return 0;
	status_phase(a->status, PHASE_COMMIT, clock_mono_ms());
	fault_point("turn.before_commit");
	uint64_t from = clock_mono_us();
	int r = store_commit(steal(&t->txn));
	if (!r)
		fault_point("turn.after_commit");
	metrics_commit(&a->counters, clock_mono_us() - from);
	status_phase(a->status, PHASE_TURN, clock_mono_ms());
	if (r)
		log_error("the commit failed", LOG_S("code", r > 0 ? error_name(r) : strerror(-r)));
	return r;
}

/* The messages of the turn are done: their memory, and their senders' credit. */
static void forget_handled(struct actor *a)
{
	while (a->handled) {
		struct mail *m = a->handled;
		a->handled = m->next;
		if (m->conn)
			conn_consumed(a, m->conn, m->env);
		mail_free(m);
	}
	while (a->handled_events) {
		struct event *e = a->handled_events;
		a->handled_events = e->next;
		event_free(e);
	}
	conn_grant(a);
}

int batch_run(struct actor *a, uint64_t now_ms)
{
	struct turn *t = a->turn;
	int r;
	a->counters.turns++;
	status_phase(a->status, PHASE_TURN, now_ms);
	status_mailbox(a->status, (uint32_t)a->mailbox.n);
	if (a->store && (r = store_grow(a->store)) < 0)
		return r;
	turn_start(t, now_ms, clock_wall_ms(), clock_boot_ms());
	r = handle_events(a);
	if (!r)
		r = handle_messages(a);
	if (!r && !a->leaving)
		r = dispatch_wake(a, now_ms);
	if (!r)
		r = dispatch_settle(a);
	if (r)
		return r;
	if ((r = commit(a)) < 0)
		return r;
	if (r == ERROR_STORE || t->store_failed) {
		fail_askers(a);
		actor_leave(a, 111, TROUPE__REASON__REASON_EXIT, "the store is full");
		a->store_lost = true;
	} else {
		if (a->def->on_commit)
			a->def->on_commit(a->state);
		if ((r = release(a)) < 0)
			return r;
		fault_point("turn.after_release");
	}
	status_message(a->status, NULL);
	forget_handled(a);
	turn_end(t);
	conn_resume(a);
	status_mailbox(a->status, (uint32_t)a->mailbox.n);
	return 0;
}
