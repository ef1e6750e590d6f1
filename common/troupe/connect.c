/* A connection: its life, its descriptor, its rounds, and ids. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"
#include "common/wire/address.h"
#include "common/wire/codec.h"

_Static_assert(TROUPE_OUTSTANDING_MAX == CLIENT_ASKS_MAX && TROUPE_OUTSTANDING_BYTES_MAX == CLIENT_BYTES_MAX && TROUPE_FOREVER == TIME_NEVER, "limits are those of the engine");

/* The process that has nng's threads: they do not come along in a fork, and nng aborts where they are missed. */
static _Atomic pid_t threads_of;

/* --- what the engine says --- */

static void on_link(void *ctx, const char *address, bool up)
{
	struct troupe *t = ctx;
	t->calling++;
	if (t->options.on_state)
		t->options.on_state(t->options.ctx, address, up);
	t->calling--;
	if (!up && strcmp(address, t->coordinator) == 0)
		notify_lost(t);
}

static void push_raw(struct troupe *t, const char *from, const Troupe__Envelope *env)
{
	size_t len = troupe__envelope__get_packed_size(env);
	uint8_t *packed = malloc(len ? len : 1);
	if (!packed)
		return; /* like one that was lost with a connection */
	troupe__envelope__pack(env, packed);
	t->calling++;
	t->options.on_push(t->options.ctx, from, packed, len);
	t->calling--;
	free(packed);
}

static void on_push(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env)
{
	struct troupe *t = ctx;
	if (t->options.on_push)
		push_raw(t, from, env);
	if (env->body_case == TROUPE__ENVELOPE__BODY_FINISHED && strcmp(from, t->coordinator) == 0)
		notify_push(t, env->finished);
}

/* --- connect --- */

static int check_options(const struct troupe_options *o, struct error *e)
{
	int code = size_check(o->size, sizeof *o, "troupe_options", e);
	if (!code && o->coordinator && !address_valid(o->coordinator))
		code = error_set(e, ERROR_BAD_REQUEST, "'%.60s' is no address: write coordinator:NAME", o->coordinator);
	pid_t pid = threads_of;
	if (!code && pid && pid != getpid()) {
		code = error_set(e, ERROR_STATE, "this process was forked from %d, which had connected before", (int)pid);
		error_cure(e, "connect after the fork in the child alone, or execute a program there");
	}
	return code;
}

static int open_client(struct troupe *t, struct error *e)
{
	const struct troupe_options *o = &t->options;
	struct client_config c = { .run_dir = o->run_dir, .program = o->program, .timeout_ms = o->timeout_ms, .on_push = on_push, .on_link = on_link, .guest = true, .ctx = t };
	threads_of = getpid();
	int code = client_open(&c, &t->client, e);
	if (!code && o->wait && (code = client_reach(t->client, t->coordinator, o->timeout_ms, e)))
		client_close(t->client);
	return code;
}

int troupe_connect(const struct troupe_options *options, struct troupe **ret, struct troupe_error *out)
{
	static const struct troupe_options none = TROUPE_OPTIONS_INIT;
	const struct troupe_options *o = options ? options : &none;
	struct error e = { 0 };
	int code = check_options(o, &e);
	struct troupe *t = code ? NULL : calloc(1, sizeof *t);
	if (!t)
		return error_give(code ? code : -ENOMEM, &e, out);
	t->pid = getpid();
	t->options = *o;
	t->again_ms = TIME_NEVER;
	TAILQ_INIT(&t->calls);
	snprintf(t->coordinator, sizeof t->coordinator, "%s", o->coordinator ? o->coordinator : "coordinator:main");
	code = open_client(t, &e);
	/* Its strings are the caller's, and were copied where they are needed. */
	t->options.run_dir = t->options.coordinator = t->options.program = NULL;
	if (code) {
		free(t);
		return error_give(code, &e, out);
	}
	*ret = t;
	return 0;
}

int troupe_disconnect(struct troupe *t)
{
	int code = t ? troupe_check_blocking(t, NULL) : 0;
	if (!t || code)
		return code ? ERROR_STATE : 0;
	calls_end(t);
	client_close(t->client);
	notify_free(t);
	free(t);
	return 0;
}

const char *troupe_run_dir(const struct troupe *t) { return client_dir(t->client); }

/* --- rounds --- */

static uint64_t until(uint64_t timeout_ms)
{
	return timeout_ms ? clock_until_ms(timeout_ms) : 0;
}

int troupe_fd(const struct troupe *t) { return client_fd(t->client); }

int troupe_timeout_ms(const struct troupe *t)
{
	uint64_t now_ms = clock_mono_ms(), at_ms = client_deadline_ms(t->client);
	if (t->again_ms < at_ms)
		at_ms = t->again_ms;
	if (at_ms == TIME_NEVER)
		return -1;
	return at_ms <= now_ms ? 0 : at_ms - now_ms < INT32_MAX ? (int)(at_ms - now_ms) : INT32_MAX;
}

int troupe_run(struct troupe *t, uint64_t timeout_ms)
{
	return troupe_check_blocking(t, NULL) ? ERROR_STATE : troupe_round(t, until(timeout_ms));
}

size_t troupe_outstanding(const struct troupe *t) { return client_outstanding(t->client); }

int troupe_settle(struct troupe *t, size_t most, uint64_t timeout_ms, struct troupe_error *out)
{
	struct error e = { 0 };
	uint64_t until_ms = until(timeout_ms);
	int code = troupe_check_blocking(t, &e);
	/* The engine's own wait would not wake calls that are to ask again. */
	while (!code && !client_has_room(t->client, most)) {
		code = troupe_round(t, until_ms);
		if (!code && clock_mono_ms() >= until_ms && !client_has_room(t->client, most))
			code = error_set(&e, ERROR_TIMEOUT, "%zu requests are still outstanding", client_outstanding(t->client));
	}
	return error_give(code, &e, out);
}

int troupe_flush(struct troupe *t, uint64_t timeout_ms, struct troupe_error *out)
{
	struct error e = { 0 };
	int code = troupe_check_blocking(t, &e);
	if (!code)
		code = client_flush(t->client, timeout_ms, &e);
	return error_give(code, &e, out);
}

/* --- ids --- */

struct troupe_id troupe_id_new(struct troupe *t)
{
	struct troupe_id ret = { .b = { 0 } };
	if (troupe_check(t, NULL) == 0) { /* a child would make its parent's once more */
		struct id id = client_id(t->client);
		memcpy(ret.b, id.b, sizeof ret.b);
	}
	return ret;
}

void troupe_id_format(const struct troupe_id *id, char ret[TROUPE_ID_TEXT])
{
	struct id own;
	_Static_assert(ID_TEXT == TROUPE_ID_TEXT && sizeof own.b == sizeof id->b, "ids have one form");
	memcpy(own.b, id->b, sizeof own.b);
	id_format(&own, ret);
}

int troupe_id_parse(const char *text, struct troupe_id *ret, struct troupe_error *out)
{
	struct error e = { 0 };
	struct id own;
	int code = id_parse(text, &own, &e);
	if (code == 0)
		memcpy(ret->b, own.b, sizeof ret->b);
	return error_give(code, &e, out);
}
