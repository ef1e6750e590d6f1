/* From an address to a connection.
 *
 *   IDLE → LOCATING (whereis at the supervisor) → DIALLING → UP
 *            └── not up, or dial failed ──┴→ WAITING (kept links: a delay with jitter, then LOCATING again), or IDLE
 *
 * A verified connection that the other side made serves as well, so between two actors there is one in use. Where both dial at once there are two for a
 * moment: both sides then use the one dialled by the smaller address; the dialler of the other closes it a little later, when
 * what was on its way has arrived. (Order between two messages that went over the two is not kept in that moment.)
 * Messages to a link that is not up yet are held, within bounds; if the connection cannot be made they are dropped and their asks fail. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/actor/internal.h"

#define RETIRE_MS 3000u

static struct link **link_bucket(struct actor *a, const char *address)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (const char *p = address; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return &a->links.buckets[h % BUCKETS];
}

static struct link *link_find(struct actor *a, const char *address)
{
	struct link *l = *link_bucket(a, address);
	while (l && strcmp(l->address, address) != 0)
		l = l->same_bucket;
	return l;
}

static struct link *link_get(struct actor *a, const char *address)
{
	struct link *l = link_find(a, address);
	if (l || a->links.n >= LINKS_MAX || !(l = calloc(1, sizeof *l)))
		return l;
	snprintf(l->address, sizeof l->address, "%s", address);
	l->held_tail = &l->held;
	l->serial = ++a->links.serial;
	struct link **bucket = link_bucket(a, address);
	l->same_bucket = *bucket;
	*bucket = l;
	l->next = a->links.all;
	a->links.all = l;
	a->links.n++;
	return l;
}

static void link_free(struct actor *a, struct link *l)
{
	for (struct link **at = link_bucket(a, l->address); *at; at = &(*at)->same_bucket)
		if (*at == l) {
			*at = l->same_bucket;
			break;
		}
	for (struct link **at = &a->links.all; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			break;
		}
	while (l->held) {
		struct held *h = l->held;
		l->held = h->next;
		free(h);
	}
	a->links.n--;
	free(l);
}

/* Frees a link that nobody needs any more. */
static void link_release(struct actor *a, struct link *l)
{
	if (l->state == LINK_IDLE && !l->keep && !l->conn && !l->dialling && !l->held)
		link_free(a, l);
}

static void link_tell(struct actor *a, const struct link *l, const struct conn *c, bool up)
{
	struct event *ev = event_add(a, EVENT_LINK);
	if (!ev)
		return;
	snprintf(ev->address, sizeof ev->address, "%s", l->address);
	ev->incarnation = c->sender.incarnation;
	ev->number = c->number;
	ev->flag = up;
}

/* --- what waits for the connection --- */

static struct held *held_pop(struct link *l)
{
	struct held *h = l->held;
	if (!h)
		return NULL;
	if (!(l->held = h->next))
		l->held_tail = &l->held;
	l->n_held--;
	l->held_bytes -= h->len;
	return h;
}

static void held_fail(struct actor *a, struct held *h, const struct error *e)
{
	struct ask *k = h->is_ask ? ask_find(&a->asks, h->ask.b) : NULL;
	if (k)
		ask_fail(a, k, e);
	a->counters.dropped++;
	free(h);
}

static void link_fail_held(struct actor *a, struct link *l, const struct error *e)
{
	struct held *h;
	while ((h = held_pop(l)))
		held_fail(a, h, e);
}

static int link_hold(struct actor *a, struct link *l, bool costs_credit, struct slice packed, const struct ask *ask)
{
	if (l->n_held >= HELD_MESSAGES || l->held_bytes + packed.len > a->output_max)
		return ERROR_BUSY;
	struct held *h = malloc(sizeof *h + packed.len);
	if (!h)
		return -ENOMEM;
	*h = (struct held){ .costs_credit = costs_credit, .is_ask = ask != NULL, .len = packed.len };
	if (ask)
		h->ask = ask->id;
	memcpy(h->data, packed.data, packed.len);
	*l->held_tail = h;
	l->held_tail = &h->next;
	l->n_held++;
	l->held_bytes += packed.len;
	return 0;
}

static int conn_send(struct conn *c, bool costs_credit, struct slice packed, struct ask *ask)
{
	if (!c->peer)
		return ERROR_NOT_REACHABLE;
	int r = peer_send_packed(c->peer, costs_credit, packed.data, packed.len);
	if (!r && ask) {
		ask->peer = c->number;
		c->asked = true;
	}
	return r;
}

static void link_flush(struct actor *a, struct link *l)
{
	struct held *h;
	while ((h = held_pop(l))) {
		struct ask *k = h->is_ask ? ask_find(&a->asks, h->ask.b) : NULL;
		int r = h->is_ask && !k ? 0 : conn_send(l->conn, h->costs_credit, SLICE(h->data, h->len), k); /* an ask whose time is over is not sent */
		if (r) {
			struct error e = { 0 };
			error_set(&e, r > 0 ? (enum error_code)r : ERROR_UNDELIVERED, "%s takes no more messages now", l->address);
			error_retry(&e, 100);
			held_fail(a, h, &e);
			continue;
		}
		free(h);
	}
}

/* --- the way to a connection --- */

static void link_wait(struct actor *a, struct link *l)
{
	if (!l->keep) {
		l->state = LINK_IDLE;
		link_release(a, l);
		return;
	}
	l->state = LINK_WAITING;
	l->retry_at_ms = clock_mono_ms() + peer_reconnect_ms(++l->failures, &a->rng);
	if (l->retry_at_ms < a->links.due_at_ms)
		a->links.due_at_ms = l->retry_at_ms;
}

static int link_locate(struct actor *a, struct link *l)
{
	Troupe__Control ask = TROUPE__CONTROL__INIT;
	Troupe__Whereis w = TROUPE__WHEREIS__INIT;
	l->state = LINK_LOCATING;
	w.address = l->address;
	ask.ref = REF_LINK | l->serial;
	ask.body_case = TROUPE__CONTROL__BODY_WHEREIS;
	ask.whereis = &w;
	return control_send(a, &ask, -1);
}

static void link_unreachable(struct actor *a, struct link *l, enum error_code code, const char *why)
{
	struct error e = { 0 };
	error_set(&e, code, "%s %s", l->address, why);
	error_retry(&e, 100);
	link_fail_held(a, l, &e);
	link_wait(a, l);
}

void link_located(struct actor *a, uint64_t ref, const Troupe__Location *loc)
{
	struct link *l = a->links.all;
	while (l && l->serial != (ref & ~REF_OWN))
		l = l->next;
	if (!l || l->state != LINK_LOCATING)
		return;
	if (loc->state != TROUPE__ACTOR_STATE__ACTOR_UP || !*loc->path || !a->hub) {
		link_unreachable(a, l, ERROR_NO_ACTOR, loc->state == TROUPE__ACTOR_STATE__ACTOR_UNKNOWN ? "does not exist" : "is not up");
		return;
	}
	char url[160];
	struct error e = { 0 };
	l->incarnation = loc->incarnation;
	l->pid = (pid_t)loc->pid;
	snprintf(url, sizeof url, "ipc://%s", loc->path);
	l->state = LINK_DIALLING;
	if (!(l->dialling = conn_dial(a, l, url, &e)))
		link_unreachable(a, l, ERROR_NOT_REACHABLE, "cannot be reached");
}

int link_connect(struct actor *a, const char *address)
{
	struct link *l = link_get(a, address);
	if (!l)
		return ERROR_BUSY;
	if (l->keep)
		return 0;
	l->keep = true;
	if (l->state == LINK_UP)
		link_tell(a, l, l->conn, true);
	return l->state == LINK_IDLE ? link_locate(a, l) : 0;
}

void link_disconnect(struct actor *a, const char *address)
{
	struct link *l = link_find(a, address);
	if (!l)
		return;
	l->keep = false;
	if (l->state == LINK_WAITING || (l->state == LINK_LOCATING && !l->held))
		l->state = LINK_IDLE;
	if (l->dialling && l->dialling->peer && !l->held)
		peer_close(l->dialling->peer, ERROR_NONE, "no longer needed");
	if (l->conn && l->conn->peer && peer_dialled(l->conn->peer))
		peer_close(l->conn->peer, ERROR_NONE, "no longer needed");
	link_release(a, l);
}

int link_send(struct actor *a, const char *address, bool costs_credit, struct slice packed, struct ask *ask)
{
	struct link *l = link_get(a, address);
	if (!l)
		return ERROR_BUSY;
	if (l->state == LINK_UP)
		return conn_send(l->conn, costs_credit, packed, ask);
	int r = link_hold(a, l, costs_credit, packed, ask);
	if (l->state == LINK_IDLE && !r)
		r = link_locate(a, l);
	else if (l->state == LINK_IDLE)
		link_release(a, l);
	return r;
}

/* --- connections that came and went --- */

static void conn_retire(struct actor *a, struct conn *c)
{
	if (!c->peer || !peer_dialled(c->peer) || c->retire_at_ms)
		return;
	c->retire_at_ms = clock_mono_ms() + RETIRE_MS;
	a->conns.n_retiring++;
	if (c->retire_at_ms < a->links.due_at_ms)
		a->links.due_at_ms = c->retire_at_ms;
}

/* Of two live connections to one incarnation: does the new one replace the old? Both sides must answer alike. */
static bool new_one_wins(struct actor *a, const struct link *l, const struct conn *old, const struct conn *c)
{
	bool new_is_ours = peer_dialled(c->peer), old_is_ours = peer_dialled(old->peer);
	if (new_is_ours == old_is_ours)
		return true; /* dialled again: the dialler has given up the old one */
	return address_less(a->address, l->address) == new_is_ours;
}

void link_conn_up(struct actor *a, struct conn *c)
{
	struct link *l = link_get(a, c->address);
	if (!l) {
		peer_close(c->peer, ERROR_BUSY, "too many links");
		return;
	}
	if (l->dialling == c)
		l->dialling = NULL;
	c->link = NULL;
	struct conn *old = l->conn;
	if (old && old->peer && old->sender.incarnation > c->sender.incarnation) {
		peer_close(c->peer, ERROR_STATE, "a later incarnation is connected");
		return;
	}
	if (old && old->peer && old->sender.incarnation == c->sender.incarnation) {
		if (!new_one_wins(a, l, old, c)) {
			conn_retire(a, c);
			return;
		}
		conn_retire(a, old);
	} else if (old) {
		link_tell(a, l, old, false);
		if (old->peer)
			peer_close(old->peer, ERROR_STATE, "a later incarnation is connected");
	}
	l->conn = c;
	l->state = LINK_UP;
	l->failures = 0;
	link_tell(a, l, c, true);
	link_flush(a, l);
}

void link_conn_down(struct actor *a, struct conn *c)
{
	struct link *l = c->link ? c->link : *c->address ? link_find(a, c->address) : NULL;
	if (!l)
		return;
	if (l->dialling == c) {
		l->dialling = NULL;
		if (l->state == LINK_DIALLING)
			link_unreachable(a, l, ERROR_NOT_REACHABLE, "cannot be reached");
		else
			link_release(a, l);
		return;
	}
	if (l->conn != c)
		return;
	l->conn = NULL;
	link_tell(a, l, c, false);
	link_wait(a, l);
}

uint64_t link_tick(struct actor *a, uint64_t now_ms)
{
	struct links *ls = &a->links;
	if (ls->due_at_ms > now_ms)
		return ls->due_at_ms;
	ls->due_at_ms = TIME_NEVER;
	for (struct link *l = ls->all; l; l = l->next) {
		if (l->state != LINK_WAITING)
			continue;
		if (l->retry_at_ms > now_ms)
			ls->due_at_ms = l->retry_at_ms < ls->due_at_ms ? l->retry_at_ms : ls->due_at_ms;
		else if (link_locate(a, l) < 0)
			return TIME_NEVER; /* the supervisor is gone; the lifeline says so next */
	}
	for (struct conn *c = a->conns.n_retiring ? a->conns.all : NULL; c; c = c->next) {
		if (!c->retire_at_ms || !c->peer)
			continue;
		if (c->retire_at_ms > now_ms)
			ls->due_at_ms = c->retire_at_ms < ls->due_at_ms ? c->retire_at_ms : ls->due_at_ms;
		else
			peer_close(c->peer, ERROR_NONE, "the other connection is in use");
	}
	return ls->due_at_ms;
}

void links_fini(struct actor *a)
{
	while (a->links.all)
		link_free(a, a->links.all);
}
