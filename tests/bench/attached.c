#include "tests/bench/attached.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/io/peer.h"

#define HEARTBEAT_MS 3600000u
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

static void on_up(void *ctx, struct peer *p)
{
	struct id instance = id_make(&g.ids, clock_wall_ms());
	unsigned number = (unsigned)(uintptr_t)peer_user(p);
	char *queue = (char *)(number <= g.what->n ? "noop" : "other");
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	m.instance = (ProtobufCBinaryData){ sizeof(instance.b), instance.b };
	m.queues = &queue;
	m.n_queues = 1;
	m.slots = g.what->slots;
	m.heartbeat_ms = HEARTBEAT_MS;
	say(p, TROUPE__KIND__ASK, TROUPE__ENVELOPE__BODY_ATTACH, &m);
}

static void on_attached(void)
{
	char yes = 1;
	if (++g.answered == g.what->n + g.what->idle)
		write_whole(g.up_fd, &yes, 1);
}

static void on_run(struct peer *p, const Troupe__Run *run)
{
	uint64_t *tokens = calloc(run->n_tasks, sizeof(*tokens));
	Troupe__Outcome *outcomes = calloc(run->n_tasks, sizeof(*outcomes)), **all = calloc(run->n_tasks, sizeof(Troupe__Outcome *));
	Troupe__Started started = TROUPE__STARTED__INIT;
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	MUST(tokens && outcomes && all);
	for (size_t i = 0; i < run->n_tasks; i++) {
		tokens[i] = run->tasks[i]->token;
		troupe__outcome__init(all[i] = &outcomes[i]);
		outcomes[i].token = tokens[i];
		outcomes[i].id = run->tasks[i]->id;
		outcomes[i].exit_class = TROUPE__EXIT_CLASS__EXIT_DONE;
	}
	started.tokens = tokens;
	m.outcomes = all;
	started.n_tokens = m.n_outcomes = run->n_tasks;
	say(p, TROUPE__KIND__SIGNAL, TROUPE__ENVELOPE__BODY_STARTED, &started);
	say(p, TROUPE__KIND__SIGNAL, TROUPE__ENVELOPE__BODY_OUTCOMES, &m);
	free(tokens);
	free(outcomes);
	free(all);
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
			on_run(p, env[i]->run);
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
