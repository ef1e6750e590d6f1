/* One connection to one actor.
 *
 *   IDLE -> LOCATING -> DIALLING -> UP          front itself has no LOCATING
 *             |            |         |
 *             +------------+---------+--> RESTING (jittered, growing) -> LOCATING
 *
 * When a connection is lost, what was sent and may be repeated goes back in front of what waits, in its old order; the rest fails at once. While a link rests
 * its requests' own deadlines run on, and they fail with the reason of the last try. Three things end the waiting early, because time will not cure them:
 * a client that never reached front finds no socket, or nobody behind it for a second; the kernel or the node refuses us; the supervisor knows no such actor. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/link.h"

#define LOCATE_TIMEOUT_MS 5000u
#define FIRST_TRIES 8u /* of a front that has left its socket behind: about a second, in which its supervisor starts it again */

static void link_connect(struct link *l);

static bool is_front(const struct link *l) { return l->address[0] == '\0'; }

struct link *link_get(struct client *c, const char *address)
{
	struct link *l;
	LIST_FOREACH(l, &c->links, entry)
		if (strcmp(l->address, address) == 0)
			return l;
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->client = c;
	snprintf(l->address, sizeof l->address, "%s", address);
	TAILQ_INIT(&l->waiting);
	TAILQ_INIT(&l->sent);
	LIST_INSERT_HEAD(&c->links, l, entry);
	return l;
}

void link_add(struct link *l, struct request *r)
{
	r->link = l;
	request_move(r, &l->waiting);
	if (l->state == LINK_UP)
		link_send(l);
	else if (l->state == LINK_IDLE)
		link_connect(l);
}

void link_send(struct link *l)
{
	struct request *r;
	if (l->hold_until_ms)
		return;
	while (l->state == LINK_UP && !l->barrier && (r = TAILQ_FIRST(&l->waiting))) {
		int code = peer_send_packed(l->peer, true, r->packed, r->len);
		if (code == ERROR_BUSY || code == ERROR_STATE)
			return;
		if (code < 0) { /* without memory now: the deadline will tell the asker, or the next round succeeds */
			l->client->deadline_ms = 0;
			return;
		}
		if (code > 0) {
			struct error e;
			error_set(&e, (enum error_code)code, "the request has %zu bytes, more than a frame holds", r->len);
			request_finish(r, NULL, NULL, &e);
			continue;
		}
		if (!r->ask) {
			request_finish(r, NULL, NULL, NULL);
			continue;
		}
		request_move(r, &l->sent);
		l->barrier = r->alone ? r : NULL;
	}
}

static void move_all(struct requests *from, struct requests *to)
{
	struct request *r;
	while ((r = TAILQ_FIRST(from)))
		request_move(r, to);
}

void link_fail_all(struct link *l, const struct error *why)
{
	struct error e = *why; /* why may be the link's own */
	struct requests all = TAILQ_HEAD_INITIALIZER(all);
	move_all(&l->sent, &all);
	move_all(&l->waiting, &all);
	/* Callbacks may start new requests: those go to the link's own lists and are not failed. */
	struct request *r;
	while ((r = TAILQ_FIRST(&all)))
		request_finish(r, NULL, NULL, &e);
}

void link_retry_later(struct link *l, const struct error *why)
{
	l->why = *why;
	l->tries++;
	l->state = LINK_RESTING;
	l->retry_at_ms = clock_mono_ms() + peer_reconnect_ms(l->tries, &l->client->rng);
	l->client->deadline_ms = 0;
}

static bool is_final(const struct error *why)
{
	return why->code == ERROR_NOT_ALLOWED || why->code == ERROR_VERSION || why->code == ERROR_NO_ACTOR || why->code == ERROR_BAD_REQUEST ||
	       why->code == ERROR_TOO_LARGE;
}

static void link_give_up(struct link *l, const struct error *why)
{
	l->state = LINK_IDLE;
	l->tries = 0;
	l->why = *why;
	link_fail_all(l, why);
}

static void link_dial(struct link *l, const char *url)
{
	struct error e = { .code = ERROR_NONE };
	l->state = LINK_DIALLING;
	int code = peer_dial(l->client->hub, url, l, &l->peer, &e);
	if (code < 0 && e.code == ERROR_NONE) /* of what the process lacks nothing more is said */
		error_set(&e, ERROR_NOT_REACHABLE, "cannot connect to %s (%s)", url, strerrorname_np(-code));
	if (code)
		link_retry_later(l, &e);
}

static void on_located(void *ctx, const struct client_answer *a)
{
	struct link *l = ctx;
	struct error e;
	if (a->error) {
		/* Front answers for the supervisor. What it refuses is final; that it cannot be reached or asked is not, once it was; nor that an
		 * actor is unknown that this client has talked to: it is being started again. */
		bool known = a->error->code == ERROR_NO_ACTOR && l->was_up;
		if ((is_final(a->error) && !known) || !link_get(l->client, "")->was_up)
			link_give_up(l, a->error);
		else
			link_retry_later(l, a->error);
		return;
	}
	const Troupe__Location *at = a->env->body_case == TROUPE__ENVELOPE__BODY_LOCATION ? a->env->location : NULL;
	if (!at) {
		error_set(&e, ERROR_VERSION, "front answered a whereis with something else");
		link_give_up(l, &e);
		return;
	}
	if (at->path[0] == '\0') {
		if (at->state == TROUPE__ACTOR_STATE__ACTOR_UNKNOWN) {
			error_set(&e, ERROR_NO_ACTOR, "there is no actor %s", l->address);
			error_cure(&e, "troupe tree shows the actors of this node");
			link_give_up(l, &e);
		} else {
			error_set(&e, ERROR_NOT_REACHABLE, "%s is not up", l->address);
			error_cure(&e, "troupe tree shows why; troupe crashes %s shows how it ended", l->address);
			link_retry_later(l, &e);
		}
		return;
	}
	char url[160];
	if (snprintf(url, sizeof url, "ipc://%s", at->path) >= (int)sizeof url) {
		error_set(&e, ERROR_BAD_REQUEST, "the socket's path of %s is too long", l->address);
		link_give_up(l, &e);
		return;
	}
	link_dial(l, url);
}

static void link_locate(struct link *l)
{
	Troupe__Whereis where = TROUPE__WHEREIS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct error e;
	where.address = l->address;
	env.body_case = TROUPE__ENVELOPE__BODY_WHEREIS;
	env.whereis = &where;
	l->state = LINK_LOCATING;
	struct client_request q = { .env = &env, .timeout_ms = LOCATE_TIMEOUT_MS, .on_answer = on_located, .ctx = l };
	struct request *r;
	struct link *front = link_get(l->client, "");
	if (!front || request_make(l->client, &q, true, &r, &e) != 0) {
		error_set(&e, ERROR_NOT_REACHABLE, "no memory to ask where %s is", l->address);
		link_retry_later(l, &e);
		return;
	}
	link_add(front, r);
}

static void link_dial_front(struct link *l)
{
	char url[160];
	snprintf(url, sizeof url, "ipc://%s/front", l->client->dir);
	link_dial(l, url);
}

static void link_connect(struct link *l)
{
	if (is_front(l))
		link_dial_front(l);
	else
		link_locate(l);
}

static void tell_link(const struct link *l, bool up)
{
	if (!is_front(l) && l->client->on_link)
		l->client->on_link(l->client->ctx, l->address, up);
}

void link_up(struct link *l)
{
	if (l->was_up)
		l->client->n_reconnects++;
	l->state = LINK_UP;
	l->was_up = true;
	l->tries = 0;
	l->hold_until_ms = 0;
	tell_link(l, true);
	link_send(l);
}

/* Sent requests that may be repeated wait again, before the others; the rest may have been done and must not be done twice. */
static void link_unsend(struct link *l)
{
	struct requests all = TAILQ_HEAD_INITIALIZER(all), lost = TAILQ_HEAD_INITIALIZER(lost);
	struct request *r;
	move_all(&l->sent, &all);
	while ((r = TAILQ_LAST(&all, requests))) { /* from the last one on, each finds its place at once */
		if (r->repeat) {
			request_again(r);
			l->client->n_resends++;
		} else {
			TAILQ_REMOVE(&all, r, entry);
			r->list = &lost;
			TAILQ_INSERT_HEAD(&lost, r, entry);
		}
	}
	struct error e;
	error_set(&e, ERROR_NOT_REACHABLE, "the connection to %s was lost before the answer: it may have been done or not",
	          is_front(l) ? "front" : l->address);
	error_cure(&e, "look before you repeat it");
	while ((r = TAILQ_FIRST(&lost)))
		request_finish(r, NULL, NULL, &e);
}

void link_down(struct link *l, const struct error *why)
{
	enum link_state before = l->state;
	struct error e;
	l->peer = NULL;
	l->state = LINK_RESTING;
	l->retry_at_ms = 0;
	bool silent = false;
	if (is_front(l) && before == LINK_DIALLING && why->code != ERROR_VERSION)
		rundir_diagnose(l->client->dir, why, &silent, &e);
	else
		e = *why;
	link_unsend(l);
	if (is_final(&e) || (is_front(l) && !l->was_up && !(silent && l->tries < FIRST_TRIES)))
		link_give_up(l, &e);
	else
		link_retry_later(l, &e);
	if (before == LINK_UP)
		tell_link(l, false);
}

void link_tick(struct link *l, uint64_t now_ms, uint64_t *deadline_ms)
{
	if (l->hold_until_ms && now_ms >= l->hold_until_ms)
		l->hold_until_ms = 0;
	if (l->hold_until_ms && l->hold_until_ms < *deadline_ms)
		*deadline_ms = l->hold_until_ms;
	if (l->state == LINK_UP) {
		link_send(l);
		return;
	}
	if (l->state != LINK_RESTING)
		return;
	if (TAILQ_EMPTY(&l->waiting)) { /* nobody needs it: the next request connects */
		l->state = LINK_IDLE;
		return;
	}
	if (now_ms >= l->retry_at_ms)
		link_connect(l);
	else if (l->retry_at_ms < *deadline_ms)
		*deadline_ms = l->retry_at_ms;
}
