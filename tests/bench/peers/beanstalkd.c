/* beanstalkd as a queue: put, reserve, delete. Only the connection that has reserved a job may delete it, and one that waits in reserve does nothing else: so a consumer asks for many
 * without waiting, and waits for one only when there was none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/bench/bench.h"
#include "tests/bench/peers/wire.h"
#include "tests/bench/peers/ways.h"

#define RESERVES 64u
#define DELETED "DELETED\r\n"

static void put(struct wire *w, const char *payload)
{
	wire_say(w, "put 0 0 600 %u\r\n", FLOW_PAYLOAD);
	wire_put(w, payload, FLOW_PAYLOAD);
	wire_put(w, "\r\n", 2);
}

/* Consumes what has come. */
static size_t inserted(struct wire *w)
{
	size_t n = 0, at = 0;
	for (size_t len; (len = wire_line(w, at)) > 0; at += len, n++)
		MUST(memcmp(w->in + at, "INSERTED ", 9) == 0);
	wire_consume(w, at);
	return n;
}

static void produce(const struct server *s, struct flow *f, unsigned index) { wire_produce(s, f, index, put, inserted); }

static void line_await(struct wire *w)
{
	while (!wire_line(w, 0))
		wires_turn((struct wire *const[]){ w }, 1, -1);
}

/* The answer to a reserve: true with a job, whose deletion is said. */
static bool reserved(struct wire *w, uint64_t *ended)
{
	unsigned long long id;
	size_t size;
	line_await(w);
	size_t head = wire_line(w, 0);
	if (sscanf(w->in, "RESERVED %llu %zu", &id, &size) != 2) {
		MUST(memcmp(w->in, "TIMED_OUT", 9) == 0);
		wire_consume(w, head);
		return false;
	}
	while (w->n_in < head + size + 2)
		wires_turn((struct wire *const[]){ w }, 1, -1);
	ended[flow_owner(w->in + head)]++;
	wire_consume(w, head + size + 2);
	wire_say(w, "delete %llu\r\n", id);
	return true;
}

static void deleted(struct wire *w)
{
	line_await(w);
	MUST(memcmp(w->in, DELETED, sizeof(DELETED) - 1) == 0);
	wire_consume(w, sizeof(DELETED) - 1);
}

static void consume(const struct server *s, struct flow *f, unsigned index)
{
	struct wire w;
	wire_open(&w, s);
	for (bool waits = false;;) {
		uint64_t ended[FLOW_MAX] = { 0 };
		size_t asked = waits ? 1 : RESERVES, n = 0;
		for (size_t i = 0; i < asked; i++)
			wire_say(&w, waits ? "reserve\r\n" : "reserve-with-timeout 0\r\n");
		for (size_t i = 0; i < asked; i++)
			n += reserved(&w, ended);
		for (size_t i = 0; i < n; i++)
			deleted(&w);
		flow_finish(f, ended);
		waits = n == 0;
	}
}

static void *open_one(const struct server *s)
{
	struct wire *w = calloc(1, sizeof(*w));
	MUST(w);
	wire_open(w, s);
	return w;
}

static void submit(void *self, const char *payload)
{
	put(self, payload);
	while (inserted(self) == 0)
		wires_turn((struct wire *const[]){ self }, 1, -1);
}

const struct way way_beanstalkd = { .name = "beanstalkd -b -f 0", .server = &server_beanstalkd, .slow = true, .produce = produce, .consume = consume, .open = open_one, .submit = submit };
