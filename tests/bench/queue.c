#include "tests/bench/queue.h"

#include <string.h>
#include "common/base/clock.h"

#define CHUNK 1000u
#define FLYING_MAX 4u
#define PAYLOAD 256u
#define STALL_MS 60000u
#define LOOK_S 0.002

struct queue_counts queue_counts(struct client *c, const char *queue)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueAsk ask = TROUPE__QUEUE_ASK__INIT;
	struct arena *arena;
	ask.name = (char *)(uintptr_t)queue;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	const Troupe__Envelope *answer = node_ask(c, "coordinator:main", &env, &arena);
	MUST(answer->body_case == TROUPE__ENVELOPE__BODY_QUEUES && answer->queues->n_queues == 1);
	const Troupe__Queue *q = answer->queues->queues[0];
	struct queue_counts n = { q->scheduled, q->ready, q->running, q->completed_total };
	arena_unref(arena);
	return n;
}

void queue_order(struct client *c, const char *queue, Troupe__QueueOrder__Op op)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueOrder order = TROUPE__QUEUE_ORDER__INIT;
	struct arena *arena;
	order.name = (char *)(uintptr_t)queue;
	order.op = op;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &order;
	node_ask(c, "coordinator:main", &env, &arena);
	arena_unref(arena);
}

static unsigned flying;

static void on_answer(void *ctx, const struct client_answer *a)
{
	if (a->error)
		bench_fail(__FILE__, __LINE__, a->error->text);
	flying--;
}

static void chunk_submit(struct client *c, const char *queue, uint64_t first, size_t n, queue_shape *shape, void *ctx)
{
	static struct id ids[CHUNK];
	static Troupe__TaskSpec specs[CHUNK], *tasks[CHUNK];
	static struct queue_special special[CHUNK];
	static uint8_t payload[PAYLOAD];
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	struct client_request r = { .to = "coordinator:main", .env = &env, .on_answer = on_answer };
	struct error e;
	memset(payload, 'x', sizeof(payload));
	for (size_t i = 0; i < n; i++) {
		spec_init(c, &specs[i], &ids[i], queue, payload, sizeof(payload));
		troupe__level__init(&special[i].level);
		if (shape)
			shape(ctx, first + i, &specs[i], &special[i]);
		tasks[i] = &specs[i];
	}
	submit.tasks = tasks;
	submit.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	MUST(client_start(c, &r, &e) == 0);
	flying++;
}

double queue_fill(struct client *c, const char *queue, uint64_t first, uint64_t n, queue_shape *shape, void *ctx)
{
	double from_us = now_us();
	for (uint64_t at = 0; at < n || flying > 0;) {
		for (; at < n && flying < FLYING_MAX; at += n - at < CHUNK ? n - at : CHUNK)
			chunk_submit(c, queue, first + at, n - at < CHUNK ? n - at : CHUNK, shape, ctx);
		MUST(client_poll(c, TIME_NEVER) == 0);
	}
	return (now_us() - from_us) / 1e6;
}

double queue_await(struct client *c, const char *queue, uint64_t completed)
{
	uint64_t last = 0, end_ms = clock_mono_ms() + STALL_MS;
	for (;;) {
		uint64_t n = queue_counts(c, queue).completed;
		double seen_us = now_us();
		if (n >= completed)
			return seen_us;
		if (n > last)
			end_ms = clock_mono_ms() + STALL_MS;
		MUST(clock_mono_ms() < end_ms);
		last = n;
		pass(LOOK_S);
	}
}
