/* A submit of 256 bytes with one outstanding, until it is acknowledged as durable: the node's, those of other queues, and what is least: one fdatasync of what was appended to a
 * file, and a round trip on a unix socket. All are up at the same time and get one submit after the other, in turns. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "tests/bench/bench.h"
#include "tests/bench/peers/ways.h"
#include "tests/bench/report.h"

#define WAYS_MAX 8u
#define SUBMITS_MAX 100000u
#define LEAST "fdatasync of an append and a round trip"
#define NODE "Troupe"

static char payload[FLOW_PAYLOAD];

/* --- the least, in a process apart --- */

static void least_run(int fd, void *ctx)
{
	char path[160], bytes[FLOW_PAYLOAD], yes = 1;
	snprintf(path, sizeof(path), "%s/log", (const char *)ctx);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	MUST(log >= 0);
	while (read_whole(fd, bytes, sizeof(bytes))) {
		write_whole(log, bytes, sizeof(bytes));
		MUST(fdatasync(log) == 0);
		write_whole(fd, &yes, 1);
	}
}

static void least_submit(int fd)
{
	char yes;
	write_whole(fd, payload, sizeof(payload));
	MUST(read_whole(fd, &yes, 1));
}

/* --- the node --- */

static void node_submit(struct client *c)
{
	struct id id;
	Troupe__TaskSpec spec, *all[] = { &spec };
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct arena *arena;
	spec_init(c, &spec, &id, "bench", payload, sizeof(payload));
	submit.tasks = all;
	submit.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	const Troupe__Envelope *answer = node_ask(c, "coordinator:main", &env, &arena);
	MUST(answer->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED);
	arena_unref(arena);
}

/* --- all of them, in turns --- */

struct side { const char *name; const struct way *way; void *self; double us[SUBMITS_MAX]; };
struct all { unsigned n; struct side sides[WAYS_MAX + 2]; int least; struct client *client; };

static void submit(struct all *a, struct side *s, uint64_t number)
{
	flow_payload(0, number, payload);
	if (s->way)
		s->way->submit(s->self, payload);
	else if (s == &a->sides[0])
		least_submit(a->least);
	else
		node_submit(a->client);
}

static void round_run(struct all *a, size_t submits)
{
	for (size_t i = 0; i < submits; i++)
		for (unsigned k = 0; k < a->n; k++) {
			struct side *s = &a->sides[(k + i) % a->n];
			double from_us = now_us();
			submit(a, s, i);
			s->us[i] = now_us() - from_us;
		}
}

static void round_report(struct all *a, size_t submits, struct report *r)
{
	for (unsigned k = 0; k < a->n; k++) {
		report_add(r, "p50", a->sides[k].name, percentile(a->sides[k].us, submits, 50));
		report_add(r, "p99", a->sides[k].name, percentile(a->sides[k].us, submits, 99));
	}
}

int main(int argc, char **argv)
{
	static struct all a = { .n = 2, .sides = { { .name = LEAST }, { .name = NODE } } };
	static struct server servers[WAYS_MAX];
	static struct bench_node node;
	const struct way *ways[WAYS_MAX];
	struct bench_options o = { .rounds = 5, .tasks = 1000 };
	char dir[96];
	bench_options(argc, argv, "[--tasks SUBMITS-OF-A-ROUND]", &o);
	MUST(o.tasks <= SUBMITS_MAX);
	bench_dir(dir, sizeof(dir));
	unsigned n = ways_found(ways, WAYS_MAX), started = 0;
	pid_t least = bench_apart(least_run, dir, &a.least);
	node_start(&node, "queue \"bench\" { }", "", false);
	for (unsigned i = 0; i < n; i++) {
		bool again = i > 0 && ways[i]->submit == ways[i - 1]->submit; /* two ways may differ in their workers alone */
		if (again || !bench_wants(&o, ways[i]->name))
			continue;
		struct server *s = &servers[started++];
		server_start(ways[i]->server, s);
		if (ways[i]->prepare)
			ways[i]->prepare(s);
		struct side *side = &a.sides[a.n++];
		side->name = ways[i]->name;
		side->way = ways[i];
		side->self = ways[i]->open(s);
	}
	a.client = node_client(&node, NULL, NULL);
	round_run(&a, o.tasks < 20 ? o.tasks : 20); /* everybody has made what the first submits make */
	struct report *r = report_new("peers-submit", "us");
	for (unsigned i = 0; i < o.rounds; i++) {
		bench_progress("round %u of %u: %zu submits each", i + 1, o.rounds, o.tasks);
		round_run(&a, o.tasks);
		round_report(&a, o.tasks, r);
	}
	report_beside(r, LEAST, "times the least");
	report_beside(r, NODE, "times Troupe");
	report_print(r, "one submit at a time, until it is durable", o.json);
	report_free(r);
	client_close(a.client);
	node_stop(&node);
	for (unsigned i = 0; i < started; i++)
		server_stop(&servers[i]);
	bench_reap(least);
	bench_dir_remove(dir);
	return 0;
}
