/* How fast a queue that is full is emptied: 100,000 tasks of 256 bytes, 4 workers, beside other queues. And tasks of a process each: exec workers, GNU parallel and a bare loop of posix_spawn and
 * wait. Where each task costs its own barrier there is a tenth of the tasks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "tests/bench/attached.h"
#include "tests/bench/load.h"
#include "tests/bench/peers/ways.h"
#include "tests/bench/pipeline.h"
#include "tests/bench/queue.h"
#include "tests/bench/report.h"

#define WAYS_MAX 8u
#define WORKERS 4u
#define OUTSTANDING 1024u
#define PARALLEL "/usr/bin/parallel"
#define DRAIN "drain, 4 workers"
#define EXEC "a process for each task, 2 at once"

/* --- the node --- */

/* crew: NULL where a pool does the tasks. */
static void node_drain(struct load_shape s, const struct load_crew *crew, size_t tasks, double *ret)
{
	static struct bench_node node;
	struct load_crews crews = { 0 };
	char pool[512] = "";
	if (!crew)
		load_pool(s, pool, sizeof(pool));
	node_start(&node, "queue \"noop\" { }", pool, false);
	if (crew)
		load_crews_start(&node, crew, &crews);
	struct client *c = node_client(&node, NULL, NULL);
	node_workers_await(c, crew ? 0 : s.n, 0);
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__PAUSE);
	queue_fill(c, "noop", 0, tasks, NULL, NULL);
	double from_us = now_us();
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__RESUME);
	*ret = (double)tasks / (queue_await(c, "noop", tasks) - from_us) * 1e6;
	client_close(c);
	load_crews_stop(&crews);
	node_stop(&node);
}

/* In a process apart: a client's threads do not survive a fork, and there are more to come. */
static double node_apart(struct load_shape s, const struct load_crew *crew, size_t tasks)
{
	double *rate = bench_shared(sizeof(*rate));
	pid_t pid = bench_child();
	if (pid == 0) {
		node_drain(s, crew, tasks, rate);
		_exit(0);
	}
	bench_await(pid);
	double result = *rate;
	munmap(rate, sizeof(*rate));
	return result;
}

/* --- GNU parallel --- */

static bool parallel_found(void)
{
	if (access(PARALLEL, X_OK) == 0)
		return true;
	fprintf(stderr, "GNU parallel is not on this machine: its row is left out; tests/bench/peers/install installs parallel\n");
	return false;
}

static double parallel_run(size_t tasks)
{
	char dir[96], command[400];
	bench_dir(dir, sizeof(dir));
	MUST((size_t)snprintf(command, sizeof(command), "cd '%s' && seq %zu | HOME=. " PARALLEL " --will-cite -j %u /bin/true '#' >log 2>&1", dir, tasks, LANES) < sizeof(command));
	double from_us = now_us();
	MUST(system(command) == 0);
	double rate = (double)tasks / (now_us() - from_us) * 1e6;
	bench_dir_remove(dir);
	return rate;
}

/* --- the rounds --- */

struct plan { const struct bench_options *o; const struct way *ways[WAYS_MAX]; unsigned n_ways; bool parallel; struct report *report; };

static void said(const struct plan *p, unsigned round, const char *in_case, const char *row, double rate)
{
	bench_progress("round %u of %u, %s, %s: %.0f tasks/s", round + 1, p->o->rounds, in_case, row, rate);
	report_add(p->report, in_case, row, rate);
}

static void drains(const struct plan *p, unsigned round)
{
	static const char pipeline[] = "the bare pipeline, 4 + 4, 1,024 outstanding", node[] = "Troupe", attached[] = "Troupe, workers that attach";
	struct attached what = { .n = 1, .slots = AT_ONCE };
	const struct load_crew crew = { attached_run, &what, WORKERS };
	if (bench_wants(p->o, pipeline))
		said(p, round, DRAIN, pipeline, pipeline_run(&transport_raw, WORKERS, OUTSTANDING, 1).rate);
	if (bench_wants(p->o, node))
		said(p, round, DRAIN, node, node_apart((struct load_shape){ WORKERS, OUTSTANDING, AT_ONCE }, NULL, p->o->tasks));
	if (bench_wants(p->o, attached))
		said(p, round, DRAIN, attached, node_apart((struct load_shape){ WORKERS, OUTSTANDING, AT_ONCE }, &crew, p->o->tasks));
	for (unsigned i = 0; i < p->n_ways; i++) {
		const struct way *w = p->ways[(i + round) % p->n_ways];
		if (bench_wants(p->o, w->name))
			said(p, round, DRAIN, w->name, way_drain(w, WORKERS, w->slow ? p->o->tasks / 10 : p->o->tasks));
	}
}

static void processes(const struct plan *p, unsigned round)
{
	static const char spawn[] = "posix_spawn and wait", node[] = "Troupe, exec", parallel[] = "GNU parallel";
	size_t tasks = p->o->tasks / 50;
	if (bench_wants(p->o, spawn))
		said(p, round, EXEC, spawn, spawn_run(1));
	if (bench_wants(p->o, node))
		said(p, round, EXEC, node, node_apart((struct load_shape){ LANES, 0, 0 }, NULL, tasks));
	if (p->parallel && bench_wants(p->o, parallel))
		said(p, round, EXEC, parallel, parallel_run(tasks / 4));
}

int main(int argc, char **argv)
{
	struct bench_options o = { .rounds = 3, .tasks = 100000 };
	bench_options(argc, argv, "[--tasks OF-A-DRAIN]", &o);
	MUST(o.tasks >= 1000);
	struct plan p = { .o = &o, .report = report_new("peers-drain", "tasks/s"), .parallel = parallel_found() };
	p.n_ways = ways_found(p.ways, WAYS_MAX);
	for (unsigned r = 0; r < o.rounds; r++) {
		drains(&p, r);
		processes(&p, r);
	}
	report_beside(p.report, "Troupe", "of Troupe");
	report_beside(p.report, "posix_spawn and wait", "of posix_spawn");
	report_print(p.report, "durable ends a second of a queue that is full", o.json);
	report_free(p.report);
	return 0;
}
