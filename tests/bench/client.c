/* A client of a benchmark's node. Apart from bench.c: a program without clients does not link them. */
#include "tests/bench/bench.h"

#include <stdio.h>
#include "common/base/clock.h"

#define START_MS 20000u
#define ASK_MS 30000u

struct client *node_client(const struct bench_node *n, void (*on_push)(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env), void *ctx)
{
	struct client_config config = { .run_dir = n->run_dir, .program = "bench", .timeout_ms = ASK_MS, .on_push = on_push, .ctx = ctx };
	struct client *c;
	struct error e;
	MUST(client_open(&config, &c, &e) == 0);
	return c;
}

const Troupe__Envelope *node_ask(struct client *c, const char *to, Troupe__Envelope *env, struct arena **ret)
{
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	int code = client_ask(c, to, env, 0, ret, &answer, &e);
	if (code)
		fprintf(stderr, "%s: %s\n", error_name(code), e.text);
	MUST(code == 0);
	return answer;
}

void node_workers_await(struct client *c, unsigned n, pid_t pid)
{
	for (uint64_t end_ms = clock_mono_ms() + START_MS;;) {
		struct arena *arena;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__WorkersAsk ask = TROUPE__WORKERS_ASK__INIT;
		env.body_case = TROUPE__ENVELOPE__BODY_WORKERS_ASK;
		env.workers_ask = &ask;
		const Troupe__Envelope *answer = node_ask(c, "coordinator:main", &env, &arena);
		MUST(answer->body_case == TROUPE__ENVELOPE__BODY_WORKERS);
		unsigned able = 0;
		bool found = pid == 0;
		for (size_t i = 0; i < answer->workers->n_rows; i++) {
			const Troupe__WorkerRow *w = answer->workers->rows[i];
			if (*w->broken || w->draining)
				continue;
			able++;
			found |= (pid_t)w->pid == pid;
		}
		arena_unref(arena);
		if (able >= n && found)
			return;
		MUST(clock_mono_ms() < end_ms);
		pass(0.001);
	}
}

void spec_init(struct client *c, Troupe__TaskSpec *spec, struct id *id, const char *queue, const void *payload, size_t size)
{
	troupe__task_spec__init(spec);
	*id = client_id(c);
	spec->id = (ProtobufCBinaryData){ .len = sizeof(id->b), .data = id->b };
	spec->queue = (char *)(uintptr_t)queue;
	spec->payload = (ProtobufCBinaryData){ .len = size, .data = (uint8_t *)(uintptr_t)payload };
}
