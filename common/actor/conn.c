/* Connections, and who is at their other end.
 *
 * A Hello's address is a claim. It is believed only if the kernel's pid of the peer is the pid that the supervisor has for that address and
 * incarnation; until the supervisor has answered, the peer is not read from and what it sent is held. Whoever claims wrongly is
 * what everybody else is: a client, with the role that its uid gives.
 *
 * A connection outlives its peer by the messages that it left in the mailbox, so on_client_gone and on_link(down) come after them, and an
 * answer that arrived just before the end still counts. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/base/log.h"

struct held_frame { struct held_frame *next; struct arena *arena; size_t n; Troupe__Envelope *env[]; };

static struct conn **conn_bucket(struct actor *a, uint64_t number)
{
	return &a->conns.buckets[number % BUCKETS];
}

struct conn *conn_find(struct actor *a, uint64_t number)
{
	for (struct conn *c = *conn_bucket(a, number); c; c = c->same_bucket)
		if (c->number == number)
			return c;
	return NULL;
}

static struct conn *conn_new(struct actor *a, struct peer *p)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->held_tail = &c->held;
	if (p)
		c->peer = p;
	c->at = &a->conns.all;
	c->next = a->conns.all;
	if (c->next)
		c->next->at = &c->next;
	a->conns.all = c;
	return c;
}

static void conn_number(struct actor *a, struct conn *c)
{
	c->number = peer_number(c->peer);
	c->sender.peer = c->number;
	c->same_bucket = *conn_bucket(a, c->number);
	*conn_bucket(a, c->number) = c;
}

static void conn_free(struct actor *a, struct conn *c)
{
	for (struct conn **at = conn_bucket(a, c->number); *at; at = &(*at)->same_bucket)
		if (*at == c) {
			*at = c->same_bucket;
			break;
		}
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	while (c->held) {
		struct held_frame *h = c->held;
		c->held = h->next;
		arena_unref(h->arena);
		free(h);
	}
	a->conns.n_paused -= c->paused;
	a->conns.n_retiring -= c->retire_at_ms != 0;
	free(c);
}

static void conn_pause(struct actor *a, struct conn *c, bool paused)
{
	if (c->paused == paused || !c->peer)
		return;
	c->paused = paused;
	a->conns.n_paused = a->conns.n_paused + paused - !paused;
	peer_pause(c->peer, paused);
}

/* --- who is it --- */

static void conn_become_client(struct actor *a, struct conn *c)
{
	const struct channel_peer *p = peer_credentials(c->peer);
	c->state = CONN_CLIENT;
	c->sender.address = "";
	c->sender.uid = p->uid;
	c->sender.pid = p->pid;
	c->sender.role = role_of(a, p, c->subject, sizeof c->subject);
	c->sender.subject = c->subject;
	a->conns.n_clients++;
}

static void conn_become_actor(struct actor *a, struct conn *c)
{
	const struct channel_peer *p = peer_credentials(c->peer);
	c->state = CONN_ACTOR;
	c->sender.address = c->sender.subject = c->address;
	c->sender.incarnation = peer_incarnation(c->peer);
	c->sender.uid = p->uid;
	c->sender.pid = p->pid;
	c->sender.role = TROUPE__ROLE__ROLE_NONE;
	link_conn_up(a, c);
}

static void conn_release_held(struct actor *a, struct conn *c)
{
	struct held_frame *h;
	while ((h = c->held)) {
		c->held = h->next;
		conn_deliver(a, c, h->arena, h->env, h->n);
		arena_unref(h->arena);
		free(h);
	}
	c->held_tail = &c->held;
}

void conn_located(struct actor *a, uint64_t ref, const Troupe__Location *loc)
{
	struct conn *c = conn_find(a, ref & ~REF_OWN);
	if (!c || c->state != CONN_CHECKING)
		return;
	const struct channel_peer *p = peer_credentials(c->peer);
	if (loc->pid && p->pid == (pid_t)loc->pid && loc->incarnation == peer_incarnation(c->peer) && strcmp(loc->address, c->address) == 0) {
		conn_become_actor(a, c);
	} else {
		log_warn("a peer's address is not believed", LOG_S("claims", c->address), LOG_U("incarnation", peer_incarnation(c->peer)), LOG_I("pid", p->pid));
		conn_become_client(a, c);
	}
	conn_pause(a, c, false);
	conn_release_held(a, c);
}

static void conn_check(struct actor *a, struct conn *c)
{
	Troupe__Control ask = TROUPE__CONTROL__INIT;
	Troupe__Whereis w = TROUPE__WHEREIS__INIT;
	c->state = CONN_CHECKING;
	conn_pause(a, c, true);
	w.address = c->address;
	ask.ref = REF_CONN | c->number;
	ask.body_case = TROUPE__CONTROL__BODY_WHEREIS;
	ask.whereis = &w;
	if (control_send(a, &ask, -1) < 0)
		peer_close(c->peer, ERROR_STOPPING, "the supervisor is gone");
}

/* --- what the peer hub calls --- */

static void on_up(void *ctx, struct peer *p)
{
	struct actor *a = ctx;
	struct conn *c = peer_user(p);
	const struct channel_peer *cred = peer_credentials(p);
	if (c) { /* we dialled where the supervisor said */
		const struct link *l = c->link;
		if (strcmp(peer_address(p), l->address) != 0 || peer_incarnation(p) != c->sender.incarnation || cred->pid != c->sender.pid) {
			peer_close(p, ERROR_NOT_REACHABLE, "another actor than expected listens there");
			return;
		}
		snprintf(c->address, sizeof c->address, "%s", l->address);
		conn_become_actor(a, c);
		return;
	}
	if (!(c = conn_new(a, p))) {
		peer_close(p, ERROR_BUSY, "out of memory");
		return;
	}
	conn_number(a, c);
	peer_set_user(p, c);
	if (!*peer_address(p) || !cred->local || cred->pid <= 0) {
		conn_become_client(a, c);
		return;
	}
	snprintf(c->address, sizeof c->address, "%s", peer_address(p));
	conn_check(a, c);
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *arena, Troupe__Envelope **env, size_t n)
{
	struct actor *a = ctx;
	struct conn *c = peer_user(p);
	if (!c)
		return;
	if (c->state != CONN_CHECKING) {
		conn_deliver(a, c, arena, env, n);
		return;
	}
	struct held_frame *h = malloc(sizeof *h + n * sizeof(Troupe__Envelope *));
	if (!h) {
		peer_close(p, ERROR_BUSY, "out of memory");
		return;
	}
	*h = (struct held_frame){ .arena = arena_ref(arena), .n = n };
	memcpy(h->env, env, n * sizeof(Troupe__Envelope *));
	*c->held_tail = h;
	c->held_tail = &h->next;
}

static void on_parts(void *ctx, struct peer *p, struct arena *arena, const Troupe__Frame *f)
{
	if (!f->probe || f->probe->answer)
		return;
	Troupe__Frame answer = TROUPE__FRAME__INIT;
	Troupe__Probe probe = TROUPE__PROBE__INIT;
	probe.nonce = f->probe->nonce;
	probe.answer = true;
	answer.probe = &probe;
	peer_send_parts(p, &answer);
}

static void on_room(void *ctx, struct peer *p)
{
	/* What did not fit was dropped and reported: nothing waits for room. */
}

static void on_peer_down(void *ctx, struct peer *p, const struct error *why)
{
	struct actor *a = ctx;
	struct conn *c = peer_user(p);
	if (!c)
		return;
	c->peer = NULL;
	if (c->paused) {
		c->paused = false;
		a->conns.n_paused--;
	}
	if (!c->queued && !c->is_consumed)
		conn_finish(a, c);
}

const struct peer_events conn_events = {
	.up = on_up,
	.envelopes = on_envelopes,
	.parts = on_parts,
	.room = on_room,
	.down = on_peer_down,
};

/* --- messages in and out of the mailbox --- */

/* Clients do not overtake the node's own traffic: the upper lanes are for actors, and for operators up to CONTROL. */
static void client_urgency(const struct conn *c, Troupe__Envelope *env)
{
	int lane = urgency_lane(env->priority);
	if (lane == 0)
		env->priority = TROUPE__URGENCY__CONTROL;
	if (lane < 2 && c->sender.role < TROUPE__ROLE__OPERATOR)
		env->priority = TROUPE__URGENCY__NORMAL;
}

static void refuse_all(struct actor *a, struct conn *c, Troupe__Envelope **env, size_t n)
{
	struct error e = { 0 };
	error_set(&e, ERROR_BUSY, "the mailbox of %s is full", a->address);
	error_retry(&e, 1000);
	uint32_t credit = 0;
	for (size_t i = 0; i < n; i++) {
		dispatch_refuse(a, c, env[i], &e);
		credit += kind_costs_credit(env[i]->kind);
	}
	a->counters.refused += n;
	if (credit)
		peer_grant(c->peer, credit);
}

void conn_deliver(struct actor *a, struct conn *c, struct arena *arena, Troupe__Envelope **env, size_t n)
{
	bool client = c->state == CONN_CLIENT;
	if (client && c->peer && mailbox_overrun(&a->mailbox)) {
		refuse_all(a, c, env, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		env[i]->from = (char *)c->sender.address;
		env[i]->subject = (char *)c->sender.subject;
		if (client)
			client_urgency(c, env[i]);
	}
	if (mailbox_add(&a->mailbox, c, arena, env, n, loop_now_ms(a->loop)) < 0) {
		if (c->peer)
			peer_close(c->peer, ERROR_BUSY, "out of memory");
		return;
	}
	c->queued += n;
	/* Clients wait first. An actor only where the mailbox is twice full: no handler waits for anybody, so that cannot lock two of them. */
	if (mailbox_overrun(&a->mailbox) || (client && mailbox_full(&a->mailbox)))
		conn_pause(a, c, true);
}

void conn_consumed(struct actor *a, struct conn *c, const Troupe__Envelope *env)
{
	c->queued--;
	c->consumed += kind_costs_credit(env->kind);
	if (c->is_consumed)
		return;
	c->is_consumed = true;
	c->next_consumed = a->conns.consumed;
	a->conns.consumed = c;
}

void conn_grant(struct actor *a)
{
	struct conn *c;
	while ((c = a->conns.consumed)) {
		a->conns.consumed = c->next_consumed;
		c->is_consumed = false;
		if (c->peer && c->consumed)
			peer_grant(c->peer, c->consumed);
		c->consumed = 0;
		if (!c->peer && !c->queued)
			conn_finish(a, c);
	}
}

void conn_resume(struct actor *a)
{
	if (!a->conns.n_paused || !mailbox_half(&a->mailbox))
		return;
	for (struct conn *c = a->conns.all; c; c = c->next)
		if (c->state != CONN_CHECKING)
			conn_pause(a, c, false);
}

void conn_roles(struct actor *a)
{
	for (struct conn *c = a->conns.all; c; c = c->next)
		if (c->state == CONN_CLIENT && c->peer)
			c->sender.role = role_of(a, peer_credentials(c->peer), c->subject, sizeof c->subject);
}

struct conn *conn_dial(struct actor *a, struct link *l, const char *url, struct error *e)
{
	struct conn *c = conn_new(a, NULL);
	if (!c)
		return NULL;
	c->state = CONN_DIALLING;
	c->link = l;
	c->sender.incarnation = l->incarnation;
	c->sender.pid = l->pid;
	int r = peer_dial(a->hub, url, c, &c->peer, e);
	if (r) {
		conn_free(a, c);
		return NULL;
	}
	conn_number(a, c);
	return c;
}

/* The last of a connection. Held messages of one that was never believed go with it. */
void conn_finish(struct actor *a, struct conn *c)
{
	assert(!c->peer && !c->queued && !c->is_consumed);
	if (c->asked) {
		struct error e = { 0 };
		error_set(&e, ERROR_NOT_REACHABLE, "the connection to %s ended before the answer", c->address);
		error_retry(&e, 0);
		ask_fail_peer(a, c->number, &e);
	}
	if (c->state == CONN_CLIENT) {
		struct event *ev = event_add(a, EVENT_GONE);
		if (ev)
			ev->number = c->number;
		a->conns.n_clients--;
	}
	link_conn_down(a, c);
	conn_free(a, c);
}
