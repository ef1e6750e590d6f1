/* A thousand workers beside ten, and a million keys beside none: what many of them cost. Workers are connected from outside the tree and do nothing. Of the keyed tasks each has a key
 * of its own; they are submitted to a queue that is paused, in chunks of 1,000, and drained by two resident workers. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "tests/bench/attached.h"
#include "tests/bench/load.h"
#include "tests/bench/queue.h"
#include "tests/bench/report.h"

#define WORKERS 2u

static const struct load_shape clients = { 4, 1024, AT_ONCE };
struct plan { const struct bench_options *o; struct report *workers, *keys; };

/* --- workers --- */

static void workers_round(const struct plan *p, unsigned round)
{
	for (unsigned j = 0; j < ATTACHED_CREWS; j++) {
		unsigned i = (j + round) % ATTACHED_CREWS;
		struct attached what = attached_crews[i].what;
		if (!bench_wants(p->o, attached_crews[i].row))
			continue;
		struct load_result r = load_run_crew(clients, true, p->o->seconds, &(struct load_crew){ attached_run, &what, 1 });
		bench_progress("round %u of %u, %s: %.0f tasks/s", round + 1, p->o->rounds, attached_crews[i].row, r.rate);
		report_add(p->workers, "rate, tasks/s", attached_crews[i].row, r.rate);
		report_add(p->workers, "CPU of the coordinator, us a task", attached_crews[i].row, r.coordinator_us);
	}
}

/* --- keys --- */

static void serial(void *ctx, uint64_t i, Troupe__TaskSpec *spec, struct queue_special *s)
{
	snprintf(s->key, sizeof(s->key), "customer-%llu", (unsigned long long)i);
	spec->serial_key = s->key;
}

static void unique(void *ctx, uint64_t i, Troupe__TaskSpec *spec, struct queue_special *s)
{
	snprintf(s->key, sizeof(s->key), "customer-%llu", (unsigned long long)i);
	spec->unique_key = s->key;
}

static const struct { const char *row; queue_shape *shape; } kinds[] = { { "plain tasks", NULL }, { "a serial key each", serial }, { "a unique key each", unique } };

struct keyed { double submit_rate, submit_us, full_mib, drain_rate, drain_us; }; /* CPU of the coordinator a task; its memory when the queue is full */

static void keys_run(queue_shape *shape, uint64_t tasks, struct keyed *ret)
{
	static struct bench_node n;
	char pool[512];
	load_pool((struct load_shape){ WORKERS, 0, AT_ONCE }, pool, sizeof(pool));
	node_start(&n, "queue \"noop\" { }", pool, false);
	struct client *c = node_client(&n, NULL, NULL);
	node_workers_await(c, WORKERS, 0);
	pid_t coordinator = node_child(&n, "coordinator:main");
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__PAUSE);
	double begun_s = process_cpu_s(coordinator);
	ret->submit_rate = (double)tasks / queue_fill(c, "noop", 0, tasks, shape, NULL);
	double full_s = process_cpu_s(coordinator), from_us = now_us();
	ret->full_mib = process_memory_mib(coordinator, "RssAnon:");
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__RESUME);
	ret->drain_rate = (double)tasks / (queue_await(c, "noop", tasks) - from_us) * 1e6;
	ret->submit_us = (full_s - begun_s) / (double)tasks * 1e6;
	ret->drain_us = (process_cpu_s(coordinator) - full_s) / (double)tasks * 1e6;
	client_close(c);
	node_stop(&n);
}

static void keys_round(const struct plan *p, unsigned round)
{
	for (unsigned j = 0; j < ELEMENTS(kinds); j++) {
		unsigned i = (j + round) % ELEMENTS(kinds);
		if (!bench_wants(p->o, kinds[i].row))
			continue;
		struct keyed *k = bench_shared(sizeof(*k));
		pid_t pid = bench_child(); /* its client's threads do not come back to us */
		if (pid == 0) {
			keys_run(kinds[i].shape, p->o->tasks, k);
			_exit(0);
		}
		bench_await(pid);
		bench_progress("round %u of %u, %s: %.0f submits/s, %.0f ends/s", round + 1, p->o->rounds, kinds[i].row, k->submit_rate, k->drain_rate);
		report_add(p->keys, "submits, tasks/s", kinds[i].row, k->submit_rate);
		report_add(p->keys, "submits, CPU of the coordinator, us a task", kinds[i].row, k->submit_us);
		report_add(p->keys, "drain, tasks/s", kinds[i].row, k->drain_rate);
		report_add(p->keys, "drain, CPU of the coordinator, us a task", kinds[i].row, k->drain_us);
		report_add(p->keys, "full, the coordinator's own memory, MiB", kinds[i].row, k->full_mib);
		munmap(k, sizeof(*k));
	}
}

int main(int argc, char **argv)
{
	struct bench_options o = { .rounds = 3, .seconds = 2, .tasks = 1000000 };
	bench_options(argc, argv, "[--tasks KEYS] [--seconds OF-A-CREW]", &o);
	struct plan p = { &o, report_new("scale-workers", ""), report_new("scale-keys", "") };
	for (unsigned r = 0; r < o.rounds; r++) {
		workers_round(&p, r);
		keys_round(&p, r);
	}
	report_beside(p.workers, attached_crews[0].row, "of 10 workers");
	report_print(p.workers, "4 clients with 1,024 tasks on their way, workers from outside", o.json);
	report_beside(p.keys, kinds[0].row, "of plain tasks");
	report_print(p.keys, "as many tasks of each kind", o.json);
	report_free(p.workers);
	report_free(p.keys);
	return 0;
}
