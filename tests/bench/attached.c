#include "tests/bench/attached.h"

#include <stdio.h>
#include "common/base/clock.h"
#include "common/io/peer.h"

#define DIALS 64u                /* not answered yet, at a time */

static struct { const struct attached *what; unsigned dialled, answered; int up_fd; struct peer_hub *hub; struct id_maker ids; char url[160]; } g;

static void say(struct peer *p, Troupe__Kind kind, Troupe__Envelope__BodyCase body, void *message)
{
	struct id id = id_make(&g.ids, clock_wall_ms());
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.to = (char *)"coordinator:main";
	env.id = (ProtobufCBinaryData){ sizeof(id.b), id.b };
	env.timestamp_ms = clock_wall_ms();
	env.body_case = body;
	env.beat = message; /* all members of the union are pointers */
	MUST(peer_send(p, &env) == 0);
}

static void signal_coordinator(void *ctx, Troupe__Envelope__BodyCase body, void *message)
{
	say(ctx, TROUPE__KIND__SIGNAL, body, message);
}

static void on_up(void *ctx, struct peer *p)
{
	struct id instance = id_make(&g.ids, clock_wall_ms());
	char *queue;
	Troupe__Attach m;
	attached_introduce(g.what, (unsigned)(uintptr_t)peer_user(p) - 1, &instance, &queue, &m);
	say(p, TROUPE__KIND__ASK, TROUPE__ENVELOPE__BODY_ATTACH, &m);
}

static void on_attached(void)
{
	char yes = 1;
	if (++g.answered == g.what->n + g.what->idle)
		write_whole(g.up_fd, &yes, 1);
}

/* Revoke needs no answer: whatever it names is done already. */
static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (env[i]->kind == TROUPE__KIND__TELL || env[i]->kind == TROUPE__KIND__ASK)
			peer_grant(p, 1);
		if (env[i]->body_case == TROUPE__ENVELOPE__BODY_ATTACHED)
			on_attached();
		else if (env[i]->body_case == TROUPE__ENVELOPE__BODY_RUN)
			attached_do(g.what, env[i]->run, signal_coordinator, p);
		MUST(env[i]->kind != TROUPE__KIND__ERROR);
	}
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	bench_fail(__FILE__, __LINE__, why->text);
}

static void locate(const struct bench_node *n)
{
	struct client *c = node_client(n, NULL, NULL);
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Whereis where = TROUPE__WHEREIS__INIT;
	struct arena *arena;
	where.address = (char *)"coordinator:main";
	env.body_case = TROUPE__ENVELOPE__BODY_WHEREIS;
	env.whereis = &where;
	const Troupe__Envelope *answer = node_ask(c, NULL, &env, &arena);
	MUST(answer->body_case == TROUPE__ENVELOPE__BODY_LOCATION && *answer->location->path);
	snprintf(g.url, sizeof(g.url), "ipc://%s", answer->location->path);
	arena_unref(arena);
	client_close(c);
}

/* Some at a time: what waits at a listener is bounded. */
static void dial_more(void)
{
	while (g.dialled < g.what->n + g.what->idle && g.dialled - g.answered < DIALS) {
		struct peer *p;
		struct error e;
		MUST(peer_dial(g.hub, g.url, (void *)(uintptr_t)++g.dialled, &p, &e) == 0);
	}
}

void attached_run(const struct bench_node *n, void *ctx, int up_fd)
{
	static const struct peer_events events = { .up = on_up, .envelopes = on_envelopes, .down = on_down };
	struct peer_config config = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4u << 20, .credit = 1024, .anonymous_credit = 16, .program = "bench" };
	struct loop *loop;
	g.what = ctx;
	g.up_fd = up_fd;
	id_maker_init(&g.ids, clock_mono_us());
	locate(n);
	MUST(loop_open(&loop) == 0 && peer_hub_open(loop, &config, &events, NULL, &g.hub) == 0);
	for (;;) {
		dial_more();
		uint64_t deadline_ms = peer_hub_tick(g.hub, clock_mono_ms());
		peer_hub_flush(g.hub);
		MUST(loop_once(loop, deadline_ms) >= 0);
	}
}
