#include "actors/tools/talk.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/troupe.h"
#include "common/wire/codec.h"

#define ARENA_FACTOR 24u             /* as frames are decoded */
#define ARENA_FLOOR (128u * 1024)

struct talk {
	struct troupe *troupe;
	struct talk_config config;
	bool closing;
};

/* One request, until its answer. */
struct exchange {
	struct talk *talk;
	void (*on_answer)(void *ctx, const struct talk_answer *a);
	void *ctx;
	uint64_t started_us;
};

/* --- between the two forms --- */

static int error_take(int code, const struct troupe_error *from, struct error *e)
{
	if (code <= 0 || !e)
		return code;
	*e = (struct error){ .code = (enum error_code)from->code, .retryable = from->retryable, .retry_after_ms = from->retry_after_ms, .index = from->index };
	memcpy(e->text, from->text, sizeof e->text);
	memcpy(e->cure, from->cure, sizeof e->cure);
	return code;
}

static int decode(const void *data, size_t len, struct arena **ret_arena, const Troupe__Envelope **ret, struct error *e)
{
	struct arena *arena = arena_new(len * ARENA_FACTOR + ARENA_FLOOR);
	ProtobufCMessage *m;
	int code = arena ? message_decode(&troupe__envelope__descriptor, data, len, arena, &m, e) : -ENOMEM;
	if (code) {
		arena_unref(arena);
		return code;
	}
	*ret_arena = arena;
	*ret = (const Troupe__Envelope *)m;
	return 0;
}

/* The caller frees what m->envelope points at. */
static int encode(const char *to, const Troupe__Envelope *env, struct troupe_message *m)
{
	size_t len = troupe__envelope__get_packed_size(env);
	uint8_t *packed = malloc(len ? len : 1);
	if (!packed)
		return -ENOMEM;
	troupe__envelope__pack(env, packed);
	*m = (struct troupe_message)TROUPE_MESSAGE_INIT;
	m->to = to;
	m->envelope = packed;
	m->len = len;
	return 0;
}

/* --- life --- */

static void on_push(void *ctx, const char *from, const void *envelope, size_t len)
{
	struct talk *t = ctx;
	struct arena *arena;
	const Troupe__Envelope *env;
	if (t->closing || decode(envelope, len, &arena, &env, NULL) != 0)
		return;
	t->config.on_push(t->config.ctx, env);
	arena_unref(arena);
}

static void on_state(void *ctx, const char *address, bool up)
{
	struct talk *t = ctx;
	if (!t->closing)
		t->config.on_link(t->config.ctx, address, up);
}

int talk_open(const struct talk_config *config, struct talk **ret, struct error *e)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe_error te = { 0 };
	struct talk *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	t->config = *config;
	o.run_dir = config->run_dir;
	o.program = config->program;
	o.timeout_ms = config->timeout_ms ? config->timeout_ms : TALK_TIMEOUT_MS;
	o.ctx = t;
	o.on_push = config->on_push ? on_push : NULL;
	o.on_state = config->on_link ? on_state : NULL;
	int code = error_take(troupe_connect(&o, &t->troupe, &te), &te, e);
	if (code) {
		free(t);
		return code;
	}
	*ret = t;
	return 0;
}

struct talk *talk_close(struct talk *t)
{
	if (!t)
		return NULL;
	t->closing = true;
	troupe_disconnect(t->troupe);
	free(t);
	return NULL;
}

const char *talk_dir(const struct talk *t) { return troupe_run_dir(t->troupe); }

struct id talk_id(struct talk *t)
{
	struct troupe_id id = troupe_id_new(t->troupe);
	struct id ret;
	memcpy(ret.b, id.b, sizeof ret.b);
	return ret;
}

/* --- asks --- */

static void on_answer(void *ctx, const void *envelope, size_t len, const struct troupe_error *error)
{
	struct exchange x = *(struct exchange *)ctx;
	struct error e = { .code = ERROR_NONE };
	struct talk_answer a = { .took_us = clock_mono_us() - x.started_us };
	free(ctx);
	if (x.talk->closing)
		return;
	int code = error ? error_take(error->code, error, &e) : decode(envelope, len, &a.arena, &a.env, &e);
	if (code < 0)
		error_set(&e, ERROR_INTERNAL, "no memory for an answer of %zu bytes", len);
	a.error = code ? &e : NULL;
	x.on_answer(x.ctx, &a);
	arena_unref(a.arena);
}

int talk_start(struct talk *t, const struct talk_request *r, struct error *e)
{
	struct troupe_message m;
	struct troupe_error te = { 0 };
	struct exchange *x = malloc(sizeof *x);
	int code = x ? encode(r->to, r->env, &m) : -ENOMEM;
	if (code) {
		free(x);
		return code;
	}
	*x = (struct exchange){ .talk = t, .on_answer = r->on_answer, .ctx = r->ctx, .started_us = clock_mono_us() };
	m.timeout_ms = r->timeout_ms;
	m.repeat = r->once ? TROUPE_REPEAT_NEVER : TROUPE_REPEAT_BY_VERB;
	code = troupe_request_start(t->troupe, &m, on_answer, x, &te);
	free((void *)(uintptr_t)m.envelope);
	if (code)
		free(x);
	return error_take(code, &te, e);
}

int talk_ask(struct talk *t, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, struct arena **ret_arena, const Troupe__Envelope **ret, struct error *e)
{
	struct troupe_message m;
	struct troupe_error te = { 0 };
	_cleanup_(freep) void *answer = NULL;
	size_t len;
	int code = encode(to, env, &m);
	if (code)
		return code;
	m.timeout_ms = timeout_ms;
	code = troupe_request(t->troupe, &m, &answer, &len, &te);
	free((void *)(uintptr_t)m.envelope);
	return code ? error_take(code, &te, e) : decode(answer, len, ret_arena, ret, e);
}

int talk_tell(struct talk *t, const char *to, Troupe__Envelope *env, struct error *e)
{
	struct troupe_message m;
	struct troupe_error te = { 0 };
	int code = encode(to, env, &m);
	if (code)
		return code;
	code = troupe_tell(t->troupe, &m, &te);
	free((void *)(uintptr_t)m.envelope);
	return error_take(code, &te, e);
}

int talk_reach(struct talk *t, const char *to, uint64_t timeout_ms, struct error *e)
{
	Troupe__Ping ping = TROUPE__PING__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	int code = talk_ask(t, to, &env, timeout_ms, &arena, &answer, e);
	arena_unref(arena);
	return code;
}

/* --- rounds --- */

int talk_poll(struct talk *t, uint64_t until_ms)
{
	uint64_t now_ms = until_ms == TIME_NEVER || until_ms == 0 ? 0 : clock_mono_ms();
	return troupe_run(t->troupe, until_ms == TIME_NEVER ? TROUPE_FOREVER : until_ms > now_ms ? until_ms - now_ms : 0);
}

int talk_fd(const struct talk *t) { return troupe_fd(t->troupe); }

uint64_t talk_deadline_ms(const struct talk *t)
{
	int timeout_ms = troupe_timeout_ms(t->troupe);
	return timeout_ms < 0 ? TIME_NEVER : clock_mono_ms() + (uint64_t)timeout_ms;
}

size_t talk_outstanding(const struct talk *t) { return troupe_outstanding(t->troupe); }

int talk_settle(struct talk *t, struct error *e)
{
	struct troupe_error te = { 0 };
	return error_take(troupe_settle(t->troupe, 0, TROUPE_FOREVER, &te), &te, e);
}

int talk_flush(struct talk *t, uint64_t timeout_ms, struct error *e)
{
	struct troupe_error te = { 0 };
	return error_take(troupe_flush(t->troupe, timeout_ms, &te), &te, e);
}
