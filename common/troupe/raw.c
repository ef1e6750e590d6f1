/* Messages as they are: packed envelopes in and out, for what the named calls do not say. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

#define LOOK_ARENA (4u << 20)

/* Fields of an envelope, by their numbers, that are the sender's: type, payload, content_type, id, priority, durable, traceparent. The others are the connection's. */
#define OWN_FIELDS (1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 16)

struct raw {
	struct call call;
	void (*on_answer)(void *ctx, const void *envelope, size_t len, const struct troupe_error *error);
	void *ctx;
};

static void tell(struct raw *r, const void *envelope, size_t len, const struct error *e)
{
	struct troupe *t = r->call.troupe;
	struct troupe_error out;
	if (e)
		error_public(e, &out);
	t->calling++;
	r->on_answer(r->ctx, envelope, len, e ? &out : NULL);
	t->calling--;
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct raw *r = (struct raw *)c;
	size_t len = a->error ? 0 : troupe__envelope__get_packed_size(a->env);
	uint8_t *packed = a->error ? NULL : malloc(len ? len : 1);
	struct error e;
	if (packed)
		troupe__envelope__pack(a->env, packed);
	else if (!a->error)
		error_set(&e, ERROR_INTERNAL, "no memory");
	tell(r, packed, len, packed ? NULL : a->error ? a->error : &e);
	free(packed);
	call_free(c);
}

/* Whether an order of cron runs something is inside it: that one is looked at. */
static enum client_repeat repeat_by_verb(const struct troupe_message *m, uint32_t body)
{
	Troupe__Envelope stub = TROUPE__ENVELOPE__INIT;
	ProtobufCMessage *whole = &stub.base;
	struct arena *a = NULL;
	stub.body_case = (Troupe__Envelope__BodyCase)body;
	if (body == TROUPE__ENVELOPE__BODY_CRON_ORDER && (!(a = arena_new(LOOK_ARENA)) || message_decode(&troupe__envelope__descriptor, m->envelope, m->len, a, &whole, NULL))) {
		arena_unref(a);
		return REPEAT_NEVER;
	}
	bool repeats = client_repeats((const Troupe__Envelope *)whole);
	arena_unref(a);
	return repeats ? REPEAT_ALWAYS : REPEAT_NEVER;
}

static enum client_repeat repeat_of(const struct troupe_message *m, uint32_t body)
{
	switch (m->repeat) {
	case TROUPE_REPEAT_BY_VERB:
		return repeat_by_verb(m, body);
	case TROUPE_REPEAT_ALWAYS:
		return REPEAT_ALWAYS;
	case TROUPE_REPEAT_NEVER:
		break;
	}
	return REPEAT_NEVER;
}

static int check(const struct troupe *t, const struct troupe_message *m, struct envelope_head *ret, struct error *e)
{
	int code = troupe_check(t, e);
	if (!code)
		code = size_check(m->size, sizeof *m, "troupe_message", e);
	if (!code && m->len > TROUPE_REQUEST_BYTES_MAX)
		code = error_set(e, ERROR_TOO_LARGE, "a message has at most %u bytes, this one %zu", TROUPE_REQUEST_BYTES_MAX, m->len);
	if (!code)
		code = envelope_peek(m->envelope, m->len, ret, e);
	if (!code && ret->fields & ~OWN_FIELDS)
		code = error_set(e, ERROR_BAD_REQUEST, "field %d of an envelope is filled in by the connection", __builtin_ctz(ret->fields & ~OWN_FIELDS));
	return code;
}

/* The envelope that stands behind the message's own fields. */
static struct client_request request_of(const struct troupe_message *m, const struct envelope_head *head, Troupe__Envelope *env)
{
	troupe__envelope__init(env);
	if (head->id)
		env->id = (ProtobufCBinaryData){ .len = WIRE_ID_LEN, .data = (uint8_t *)(uintptr_t)head->id };
	return (struct client_request){ .to = m->to, .env = env, .packed = m->envelope, .packed_len = m->len, .timeout_ms = m->timeout_ms, .repeat = repeat_of(m, head->body) };
}

static int start(struct troupe *t, const struct troupe_message *m, struct raw **ret, struct error *e)
{
	struct envelope_head head;
	Troupe__Envelope env;
	int code = check(t, m, &head, e);
	struct raw *r = code ? NULL : call_new(t, sizeof *r, on_answer);
	if (!r)
		return code ? code : -ENOMEM;
	struct client_request q = request_of(m, &head, &env);
	code = call_ask(&r->call, &q, e);
	if (code)
		call_free(&r->call);
	else
		*ret = r;
	return code;
}

int troupe_request_start(struct troupe *t, const struct troupe_message *m,
                         void (*answered)(void *ctx, const void *envelope, size_t len, const struct troupe_error *error), void *ctx, struct troupe_error *out)
{
	struct error e = { 0 };
	struct raw *r;
	int code = start(t, m, &r, &e);
	if (code)
		return error_give(code, &e, out);
	r->on_answer = answered;
	r->ctx = ctx;
	return 0;
}

int troupe_tell(struct troupe *t, const struct troupe_message *m, struct troupe_error *out)
{
	struct error e = { 0 };
	struct envelope_head head;
	Troupe__Envelope env;
	int code = check(t, m, &head, &e);
	if (code)
		return error_give(code, &e, out);
	struct client_request q = request_of(m, &head, &env);
	return error_give(client_tell_request(t->client, &q, &e), &e, out);
}

/* --- waited for --- */

struct waiting { bool done; int code; void *envelope; size_t len; struct troupe_error error; };

static void on_done(void *ctx, const void *envelope, size_t len, const struct troupe_error *error)
{
	struct waiting *w = ctx;
	w->done = true;
	if (error) {
		w->error = *error;
		w->code = error->code;
		return;
	}
	w->envelope = malloc(len ? len : 1);
	w->len = len;
	w->code = w->envelope ? 0 : -ENOMEM;
	if (w->envelope)
		memcpy(w->envelope, envelope, len);
}

int troupe_request(struct troupe *t, const struct troupe_message *m, void **ret, size_t *ret_len, struct troupe_error *out)
{
	struct waiting w = { .done = false };
	struct error e = { 0 };
	struct raw *r;
	int code = troupe_check_blocking(t, &e);
	if (!code)
		code = start(t, m, &r, &e);
	if (code)
		return error_give(code, &e, out);
	r->on_answer = on_done;
	r->ctx = &w;
	code = troupe_run_until(t, &w.done, TIME_NEVER);
	if (code) {
		call_drop(&r->call);
		return error_give(code, NULL, out);
	}
	if (w.code > 0 && out)
		*out = w.error;
	if (w.code < 0)
		return error_give(w.code, NULL, out);
	if (!w.code) {
		*ret = w.envelope;
		*ret_len = w.len;
	}
	return w.code;
}
