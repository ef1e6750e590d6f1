/* The client's loop, its requests and their answers. Connections are link.c's. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/link.h"
#include "common/wire/verb.h"

#define STOPPING_PAUSE_MS 100u

static struct bucket *bucket_of(struct client *c, const uint8_t *id)
{
	/* The last bytes of an id count up within a millisecond: they spread best. */
	return &c->by_id[((unsigned)id[14] << 8 | id[15]) % CLIENT_BUCKETS];
}

static struct request *request_find(struct client *c, const ProtobufCBinaryData *id)
{
	struct request *r;
	if (id->len != sizeof r->id.b)
		return NULL;
	LIST_FOREACH(r, bucket_of(c, id->data), bucket)
		if (memcmp(r->id.b, id->data, id->len) == 0)
			return r;
	return NULL;
}

/* What waited for it is sent in the next round. */
static void barrier_fall(const struct request *r)
{
	if (r->link->barrier != r)
		return;
	r->link->barrier = NULL;
	r->link->client->deadline_ms = 0;
}

static void request_unlink(struct request *r)
{
	struct client *c = r->link->client;
	barrier_fall(r);
	TAILQ_REMOVE(r->list, r, entry);
	r->list = NULL;
	if (r->ask) {
		LIST_REMOVE(r, bucket);
		c->n_asks -= r->counted;
	}
	c->n_bytes -= r->len;
}

void request_move(struct request *r, struct requests *to)
{
	if (r->list)
		TAILQ_REMOVE(r->list, r, entry);
	r->list = to;
	TAILQ_INSERT_TAIL(to, r, entry);
}

void request_again(struct request *r)
{
	struct request *later;
	barrier_fall(r);
	TAILQ_REMOVE(r->list, r, entry);
	r->list = &r->link->waiting;
	TAILQ_FOREACH(later, r->list, entry)
		if (later->number > r->number)
			break;
	if (later)
		TAILQ_INSERT_BEFORE(later, r, entry);
	else
		TAILQ_INSERT_TAIL(r->list, r, entry);
}

void request_finish(struct request *r, struct arena *arena, const Troupe__Envelope *env, const struct error *error)
{
	struct client_answer a = { .arena = arena, .env = env, .error = error, .took_us = clock_mono_us() - r->started_us };
	request_unlink(r);
	if (r->ask && r->on_answer)
		r->on_answer(r->ctx, &a);
	free(r->packed);
	free(r);
}

/* May the receiver bear this twice? A retry and a child order say "do it once more"; publish would append twice. */
bool client_repeats(const Troupe__Envelope *env)
{
	const struct verb *v = verb_find((int)env->body_case);
	if (!v || v->kind != VERB_REQUEST)
		return false;
	return env->body_case != TROUPE__ENVELOPE__BODY_RETRY && env->body_case != TROUPE__ENVELOPE__BODY_CHILD_ORDER &&
	       env->body_case != TROUPE__ENVELOPE__BODY_PUBLISH &&
	       !(env->body_case == TROUPE__ENVELOPE__BODY_CRON_ORDER && env->cron_order->op == TROUPE__CRON_ORDER__OP__RUN);
}

int request_make(struct client *c, const struct client_request *q, bool ask, struct request **ret, struct error *e)
{
	uint64_t timeout_ms = q->timeout_ms ? q->timeout_ms : c->timeout_ms;
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	if (q->env->id.len == sizeof r->id.b)
		memcpy(r->id.b, q->env->id.data, sizeof r->id.b);
	else
		r->id = id_make(&c->ids, clock_wall_ms());

	Troupe__Envelope env = *q->env;
	env.id = (ProtobufCBinaryData){ .len = sizeof r->id.b, .data = r->id.b };
	env.kind = ask ? TROUPE__KIND__ASK : TROUPE__KIND__TELL;
	env.timestamp_ms = clock_wall_ms();
	env.deadline_ms = !ask ? 0 : q->deadline_ms ? q->deadline_ms : timeout_ms == TIME_NEVER ? 0 : timeout_ms;
	if (q->to)
		env.to = (char *)(uintptr_t)q->to;
	r->len = q->packed_len + troupe__envelope__get_packed_size(&env);
	r->packed = malloc(r->len ? r->len : 1);
	if (!r->packed) {
		free(r);
		return -ENOMEM;
	}
	if (q->packed_len)
		memcpy(r->packed, q->packed, q->packed_len);
	troupe__envelope__pack(&env, r->packed + q->packed_len);
	if (ask && request_find(c, &env.id)) {
		free(r->packed);
		free(r);
		return error_set(e, ERROR_EXISTS, "a request with this id is outstanding");
	}

	r->number = c->n_started++;
	r->ask = ask;
	r->alone = q->alone;
	r->repeat = q->repeat == REPEAT_ALWAYS || (q->repeat == REPEAT_BY_VERB && client_repeats(&env));
	r->started_us = clock_mono_us();
	r->deadline_at_ms = clock_until_ms(timeout_ms);
	r->on_answer = q->on_answer;
	r->ctx = q->ctx;
	if (ask)
		LIST_INSERT_HEAD(bucket_of(c, r->id.b), r, bucket);
	c->n_bytes += r->len;
	if (r->deadline_at_ms < c->deadline_ms)
		c->deadline_ms = r->deadline_at_ms;
	*ret = r;
	return 0;
}

static int client_queue(struct client *c, const struct client_request *q, bool ask, struct error *e)
{
	struct request *r;
	if (q->to && !address_valid(q->to))
		return error_set(e, ERROR_BAD_REQUEST, "'%.60s' is no address: write type:id", q->to);
	if (!client_has_room(c, SIZE_MAX)) {
		error_set(e, ERROR_BUSY, "%zu requests are outstanding", c->n_asks);
		return error_retry(e, 0);
	}
	struct link *l = link_get(c, q->to ? q->to : "");
	if (!l)
		return -ENOMEM;
	int code = request_make(c, q, ask, &r, e);
	if (code != 0)
		return code;
	r->counted = ask && !q->uncounted;
	c->n_asks += r->counted;
	link_add(l, r);
	return 0;
}

int client_start(struct client *c, const struct client_request *r, struct error *e) { return client_queue(c, r, true, e); }

int client_tell_request(struct client *c, const struct client_request *r, struct error *e) { return client_queue(c, r, false, e); }

int client_tell(struct client *c, const char *to, Troupe__Envelope *env, struct error *e)
{
	struct client_request q = { .to = to, .env = env };
	return client_queue(c, &q, false, e);
}

/* --- what the peers say --- */

static void on_up(void *ctx, struct peer *p)
{
	if (peer_user(p))
		link_up(peer_user(p));
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	struct client *c = ctx;
	if (!c->closing && peer_user(p))
		link_down(peer_user(p), why);
}

static void on_room(void *ctx, struct peer *p)
{
	if (peer_user(p))
		link_send(peer_user(p));
}

static bool costs_credit(const Troupe__Envelope *env)
{
	return env->kind == TROUPE__KIND__TELL || env->kind == TROUPE__KIND__ASK || env->kind == TROUPE__KIND__EVENT;
}

static void on_answer_envelope(struct link *l, struct arena *arena, const Troupe__Envelope *env)
{
	struct request *r = request_find(l->client, &env->reply_to);
	if (!r || r->link != l)
		return; /* late: its deadline has passed */
	if (env->body_case != TROUPE__ENVELOPE__BODY_ERROR && env->kind != TROUPE__KIND__ERROR) {
		request_finish(r, arena, env, NULL);
		return;
	}
	struct error e;
	if (env->body_case == TROUPE__ENVELOPE__BODY_ERROR)
		error_from_failure(&e, env->error);
	else
		error_set(&e, ERROR_INTERNAL, "%s sent an error without a body", l->address);
	/* An actor on its way down answers nothing new: its successor will. */
	if (e.code == ERROR_STOPPING && r->repeat && r->deadline_at_ms > clock_mono_ms()) {
		l->client->n_resends++;
		request_again(r);
		l->hold_until_ms = clock_mono_ms() + STOPPING_PAUSE_MS;
		l->client->deadline_ms = 0;
		return;
	}
	request_finish(r, arena, env, &e);
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	struct client *c = ctx;
	struct link *l = peer_user(p);
	uint32_t used = 0;
	for (size_t i = 0; i < n && l; i++) {
		used += costs_credit(env[i]);
		if (env[i]->reply_to.len)
			on_answer_envelope(l, a, env[i]);
		else if (c->on_push)
			c->on_push(c->ctx, l->address, a, env[i]);
	}
	if (used && l && l->peer == p)
		peer_grant(p, used);
}

/* --- life --- */

int client_open(const struct client_config *config, struct client **ret, struct error *e)
{
	static const struct peer_events events = { .up = on_up, .envelopes = on_envelopes, .room = on_room, .down = on_down };
	struct client *c = calloc(1, sizeof *c);
	uint64_t seed;
	if (!c)
		return -ENOMEM;
	int code = client_run_dir(config->run_dir, c->dir, sizeof c->dir, e);
	if (code == 0)
		code = rng_system(&seed, sizeof seed);
	if (code != 0)
		goto fail;
	rng_seed(&c->rng, seed);
	id_maker_init(&c->ids, rng_next(&c->rng));
	c->timeout_ms = config->timeout_ms ? config->timeout_ms : CLIENT_TIMEOUT_MS;
	c->on_push = config->on_push;
	c->on_link = config->on_link;
	c->ctx = config->ctx;
	c->deadline_ms = TIME_NEVER;
	code = loop_open(&c->loop);
	if (code != 0)
		goto fail;

	struct peer_config pc = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4u << 20, .credit = 1024, .anonymous_credit = 16 };
	pc.channel.guest = config->guest;
	snprintf(pc.program, sizeof pc.program, "%s", config->program ? config->program : "");
	/* nng's threads inherit the mask: a signal must find the caller's thread. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = peer_hub_open(c->loop, &pc, &events, c, &c->hub);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0) {
		loop_close(c->loop);
		goto fail;
	}
	*ret = c;
	return 0;
fail:
	free(c);
	return code;
}

struct client *client_close(struct client *c)
{
	if (!c)
		return NULL;
	c->closing = true;
	peer_hub_close(c->hub);
	struct link *l;
	while ((l = LIST_FIRST(&c->links))) {
		struct requests *lists[] = { &l->sent, &l->waiting };
		for (size_t i = 0; i < ELEMENTS(lists); i++) {
			struct request *r;
			while ((r = TAILQ_FIRST(lists[i]))) {
				TAILQ_REMOVE(lists[i], r, entry);
				free(r->packed);
				free(r);
			}
		}
		LIST_REMOVE(l, entry);
		free(l);
	}
	loop_close(c->loop);
	free(c);
	return NULL;
}

const char *client_dir(const struct client *c) { return c->dir; }
struct id client_id(struct client *c) { return id_make(&c->ids, clock_wall_ms()); }
size_t client_outstanding(const struct client *c) { return c->n_asks; }
uint64_t client_reconnects(const struct client *c) { return c->n_reconnects; }
uint64_t client_resends(const struct client *c) { return c->n_resends; }
uint64_t client_deadline_ms(const struct client *c) { return c->hub_ms < c->deadline_ms ? c->hub_ms : c->deadline_ms; }
int client_fd(const struct client *c) { return loop_fd(c->loop); }

/* --- time --- */

static void request_expire(struct request *r)
{
	struct link *l = r->link;
	struct error e;
	/* Where there is no connection the reason for that is the better answer than the clock. */
	if (l->state != LINK_UP && l->why.code) {
		e = l->why;
	} else {
		error_set(&e, ERROR_TIMEOUT, "no answer from %s in %llu ms", l->address[0] ? l->address : "the supervisor",
		          (unsigned long long)((clock_mono_us() - r->started_us) / 1000));
		error_cure(&e, "ask again with a longer --timeout; troupe tree shows whether it is busy");
	}
	e.retryable = true;
	request_finish(r, NULL, NULL, &e);
}

/* Callbacks may end or start any request, so the scan begins anew after each. */
static bool expire_one(struct requests *list, uint64_t now_ms, uint64_t *deadline_ms)
{
	struct request *r;
	TAILQ_FOREACH(r, list, entry) {
		if (r->deadline_at_ms <= now_ms) {
			request_expire(r);
			return true;
		}
		if (r->deadline_at_ms < *deadline_ms)
			*deadline_ms = r->deadline_at_ms;
	}
	return false;
}

/* The earliest deadline is kept as requests come; only when it has passed are all looked at. */
static void client_tick(struct client *c)
{
	uint64_t now_ms = clock_mono_ms();
	if (now_ms < c->deadline_ms)
		return;
	uint64_t deadline_ms = TIME_NEVER;
	struct link *l;
	c->deadline_ms = TIME_NEVER; /* what callbacks start lowers it */
	LIST_FOREACH(l, &c->links, entry) {
		while (expire_one(&l->sent, now_ms, &deadline_ms) || expire_one(&l->waiting, now_ms, &deadline_ms))
			;
		link_tick(l, now_ms, &deadline_ms);
	}
	if (deadline_ms < c->deadline_ms)
		c->deadline_ms = deadline_ms;
}

int client_poll(struct client *c, uint64_t until_ms)
{
	client_tick(c);
	peer_hub_flush(c->hub);
	uint64_t hub_ms = peer_hub_tick(c->hub, clock_mono_ms());
	uint64_t until = until_ms;
	if (hub_ms < until)
		until = hub_ms;
	if (c->deadline_ms < until)
		until = c->deadline_ms;
	int n = loop_once(c->loop, until);
	if (n < 0)
		return n == -EINTR ? 0 : n;
	/* What came in, or is due now, makes work for the hub. */
	c->hub_ms = n > 0 || clock_mono_ms() >= c->deadline_ms ? 0 : hub_ms;
	client_tick(c);
	peer_hub_flush(c->hub);
	return 0;
}

/* --- waiting --- */

struct waiter {
	bool done;
	int code;
	struct error error;
	struct arena *arena;
	const Troupe__Envelope *env;
};

static void on_waited(void *ctx, const struct client_answer *a)
{
	struct waiter *w = ctx;
	w->done = true;
	if (a->error) {
		w->error = *a->error;
		w->code = (int)a->error->code;
	} else {
		w->arena = arena_ref(a->arena);
		w->env = a->env;
	}
}

int client_ask(struct client *c, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, struct arena **ret_arena, const Troupe__Envelope **ret,
               struct error *e)
{
	struct waiter w = { .done = false };
	struct client_request q = { .to = to, .env = env, .timeout_ms = timeout_ms, .on_answer = on_waited, .ctx = &w };
	int code = client_start(c, &q, e);
	if (code != 0)
		return code;
	while (!w.done) {
		code = client_poll(c, TIME_NEVER);
		assert(code == 0); /* epoll_wait on our own descriptors */
	}
	if (w.code) {
		if (e)
			*e = w.error;
		return w.code;
	}
	*ret_arena = w.arena;
	*ret = w.env;
	return 0;
}

int client_reach(struct client *c, const char *to, uint64_t timeout_ms, struct error *e)
{
	Troupe__Ping ping = TROUPE__PING__INIT;
	Troupe__StatusAsk status = TROUPE__STATUS_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct arena *arena;
	const Troupe__Envelope *answer;
	if (to) {
		env.body_case = TROUPE__ENVELOPE__BODY_PING;
		env.ping = &ping;
	} else {
		env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
		env.status_ask = &status;
	}
	int code = client_ask(c, to, &env, timeout_ms, &arena, &answer, e);
	if (code == 0)
		arena_unref(arena);
	return code;
}

bool client_has_room(const struct client *c, size_t most)
{
	return c->n_asks <= most && c->n_asks < CLIENT_ASKS_MAX && c->n_bytes < CLIENT_BYTES_MAX;
}

int client_wait_room(struct client *c, size_t most, uint64_t timeout_ms, struct error *e)
{
	uint64_t until_ms = clock_until_ms(timeout_ms);
	while (!client_has_room(c, most)) {
		int code = client_poll(c, until_ms);
		if (code < 0)
			return code;
		if (clock_mono_ms() >= until_ms)
			return error_set(e, ERROR_TIMEOUT, "%zu requests are still outstanding", c->n_asks);
	}
	return 0;
}

static bool is_flushed(const struct client *c)
{
	const struct link *l;
	LIST_FOREACH(l, &c->links, entry)
		if (!TAILQ_EMPTY(&l->waiting) || (l->peer && peer_unsent(l->peer)))
			return false;
	return true;
}

int client_flush(struct client *c, uint64_t timeout_ms, struct error *e)
{
	uint64_t until_ms = clock_until_ms(timeout_ms);
	peer_hub_flush(c->hub);
	while (!is_flushed(c)) {
		/* Nothing may announce that the kernel took the last byte: look again soon. */
		uint64_t soon_ms = clock_mono_ms() + 5;
		int code = client_poll(c, soon_ms < until_ms ? soon_ms : until_ms);
		if (code < 0)
			return code;
		if (clock_mono_ms() >= until_ms)
			return error_set(e, ERROR_TIMEOUT, "output is still waiting for its receiver");
	}
	return 0;
}
