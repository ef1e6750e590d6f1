/* Calls: from their first request to their end, and the rounds in which they happen. */
#include <stdlib.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

void *call_new(struct troupe *t, size_t size, void (*on_answer)(struct call *c, const struct client_answer *a))
{
	struct call *c = calloc(1, size);
	if (!c)
		return NULL;
	c->troupe = t;
	c->on_answer = on_answer;
	c->again_at_ms = TIME_NEVER;
	TAILQ_INSERT_TAIL(&t->calls, c, entry);
	return c;
}

void call_free(struct call *c)
{
	TAILQ_REMOVE(&c->troupe->calls, c, entry);
	if (c->release)
		c->release(c);
	free(c);
}

void call_drop(struct call *c)
{
	c->dropped = true;
	c->again_at_ms = TIME_NEVER;
	if (!c->asked)
		call_free(c);
}

static void on_answer(void *ctx, const struct client_answer *a)
{
	struct call *c = ctx;
	c->asked = false;
	if (c->dropped)
		call_free(c);
	else
		c->on_answer(c, a);
}

int call_ask(struct call *c, struct client_request *q, struct error *e)
{
	q->on_answer = on_answer;
	q->ctx = c;
	if (c->troupe->closing)
		return error_set(e, ERROR_STOPPING, "the connection is being ended");
	int code = client_start(c->troupe->client, q, e);
	c->asked = code == 0;
	return code;
}

void call_again(struct call *c, uint64_t at_ms)
{
	c->again_at_ms = at_ms;
	if (at_ms < c->troupe->again_ms)
		c->troupe->again_ms = at_ms;
}

/* One of those that are due. */
static bool wake_one(struct troupe *t, uint64_t now_ms)
{
	struct call *c;
	t->again_ms = TIME_NEVER;
	TAILQ_FOREACH(c, &t->calls, entry) {
		if (c->again_at_ms <= now_ms) {
			c->again_at_ms = TIME_NEVER;
			t->again_ms = 0; /* there may be more of them */
			c->on_again(c);
			return true;
		}
		if (c->again_at_ms < t->again_ms)
			t->again_ms = c->again_at_ms;
	}
	return false;
}

int troupe_round(struct troupe *t, uint64_t until_ms)
{
	int code = client_poll(t->client, t->again_ms < until_ms ? t->again_ms : until_ms);
	if (code < 0)
		return code;
	uint64_t now_ms = clock_mono_ms();
	while (t->again_ms <= now_ms && wake_one(t, now_ms))
		;
	return 0;
}

int troupe_run_until(struct troupe *t, const bool *done, uint64_t until_ms)
{
	int code = 0;
	while (!*done && code == 0 && clock_mono_ms() < until_ms)
		code = troupe_round(t, until_ms);
	return code;
}

static struct call *next_to_end(const struct troupe *t)
{
	struct call *c;
	TAILQ_FOREACH(c, &t->calls, entry)
		if (!c->held)
			return c;
	return TAILQ_FIRST(&t->calls);
}

void calls_end(struct troupe *t)
{
	struct call *c;
	struct error e;
	error_set(&e, ERROR_STOPPING, "the connection was ended before the answer: it may have been done or not");
	error_cure(&e, "look before you repeat it, or repeat it under the same ids");
	t->closing = true;
	while ((c = next_to_end(t))) {
		struct client_answer a = { .error = &e };
		on_answer(c, &a);
	}
}

const Troupe__Envelope *answer_of(const struct client_answer *a, Troupe__Envelope__BodyCase want, struct error *e)
{
	if (a->error) {
		*e = *a->error;
		return NULL;
	}
	if (a->env->body_case == want)
		return a->env;
	error_set(e, ERROR_VERSION, "the node answered with message %d where %d was due", (int)a->env->body_case, (int)want);
	error_cure(e, "compare the versions: troupe version, troupe status");
	return NULL;
}
