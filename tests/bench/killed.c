/* Durable tasks end to end, by libtroupe, while a coordinator and a worker are killed every second, beside the same without a killer. Every task that was accepted is
 * waited for: the run fails where one is lost or told twice. usage: killed [--rounds N] [--seconds S] [--dir DIR] [--json] */
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/troupe.h"
#include "tests/bench/load.h"
#include "tests/bench/queue.h"
#include "tests/bench/report.h"

#define CLIENTS_MAX 4u
#define CHUNK 64u
#define KILL_S 0.5      /* a coordinator and a worker in turns */
#define DRAIN_MS 60000u /* at the end */

struct shared {
	_Atomic bool stop;
	struct { _Atomic uint64_t accepted, finished; } clients[CLIENTS_MAX];
};

/* --- a client --- */

static struct { struct shared *shared; unsigned index; size_t flying; uint8_t payload[LOAD_PAYLOAD]; } cl;

static void on_finished(void *ctx, const struct troupe_result *result)
{
	MUST(result->state == TROUPE_STATE_DONE);
	cl.flying--;
	cl.shared->clients[cl.index].finished++;
}

static void on_submitted(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *error)
{
	if (error)
		fprintf(stderr, "submit: %s\n", error->text);
	MUST(!error);
	cl.shared->clients[cl.index].accepted += n;
}

static void submit(struct troupe *t, size_t n)
{
	struct troupe_task tasks[CHUNK];
	struct troupe_error e;
	for (size_t i = 0; i < n; i++) {
		tasks[i] = (struct troupe_task)TROUPE_TASK_INIT;
		tasks[i].queue = "noop";
		tasks[i].payload = cl.payload;
		tasks[i].payload_len = sizeof(cl.payload);
	}
	MUST(troupe_submit_start(t, tasks, n, TROUPE_NOTIFY, on_submitted, NULL, &e) == 0);
	cl.flying += n;
}

static _Noreturn void client_run(const struct bench_node *n, struct shared *shared, unsigned index, size_t outstanding)
{
	struct troupe_options options = TROUPE_OPTIONS_INIT;
	struct troupe *t;
	struct troupe_error e;
	options.run_dir = n->run_dir;
	options.on_finished = on_finished;
	options.timeout_ms = DRAIN_MS;
	cl.shared = shared;
	cl.index = index;
	memset(cl.payload, 'x', sizeof(cl.payload));
	MUST(troupe_connect(&options, &t, &e) == 0);
	while (!shared->stop) {
		while (cl.flying < outstanding)
			submit(t, outstanding - cl.flying < CHUNK ? outstanding - cl.flying : CHUNK);
		MUST(troupe_run(t, 50) == 0);
	}
	uint64_t end_ms = clock_mono_ms() + DRAIN_MS;
	while (cl.flying) {
		MUST(clock_mono_ms() < end_ms);
		MUST(troupe_run(t, 50) == 0);
	}
	MUST(troupe_disconnect(t) == 0);
	_exit(0);
}

/* --- one run --- */

static uint64_t finished(const struct shared *s)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		n += s->clients[i].finished;
	return n;
}

/* Whoever has this name, when it is there. */
static void kill_child(const struct bench_node *n, const char *name)
{
	pid_t pid = node_child(n, name);
	if (pid)
		kill(pid, SIGKILL);
}

static unsigned kill_for(const struct bench_node *n, unsigned workers, double seconds)
{
	unsigned kills = 0;
	for (double end_us = now_us() + seconds * 1e6; now_us() < end_us; pass(KILL_S)) {
		char worker[32];
		snprintf(worker, sizeof(worker), "worker:noop/%u", kills / 2 % workers + 1);
		kill_child(n, kills++ % 2 ? worker : "coordinator:main");
	}
	return kills;
}

static double run(struct load_shape s, double seconds, bool killed, unsigned *io_kills)
{
	struct bench_node n;
	struct shared *shared = bench_shared(sizeof(*shared));
	pid_t clients[CLIENTS_MAX];
	char pool[512];
	load_pool(s, pool, sizeof(pool));
	node_start(&n, "queue \"noop\" { }", pool, false);
	for (unsigned i = 0; i < s.n; i++)
		if ((clients[i] = bench_child()) == 0)
			client_run(&n, shared, i, s.outstanding / s.n);
	for (uint64_t end_ms = clock_mono_ms() + 20000; finished(shared) == 0; pass(0.005))
		MUST(clock_mono_ms() < end_ms);
	uint64_t from = finished(shared);
	double from_us = now_us();
	if (killed)
		*io_kills += kill_for(&n, s.n, seconds);
	else
		pass(seconds);
	double rate = (double)(finished(shared) - from) / (now_us() - from_us) * 1e6;
	shared->stop = true;
	uint64_t accepted = 0;
	for (unsigned i = 0; i < s.n; i++) {
		bench_await(clients[i]);
		accepted += shared->clients[i].accepted;
	}
	struct client *c = node_client(&n, NULL, NULL);
	struct queue_counts q = queue_counts(c, "noop");
	client_close(c);
	MUST(accepted == finished(shared) && q.completed == accepted && !q.ready && !q.running && !q.scheduled);
	node_stop(&n);
	munmap(shared, sizeof(*shared));
	return rate;
}

/* A process apart, because its client starts nng's threads. */
struct one { struct load_shape shape; double seconds, rate; bool killed; unsigned kills; };

static double run_apart(struct one *one, struct load_shape s, double seconds, bool killed)
{
	one->shape = s;
	one->seconds = seconds;
	one->killed = killed;
	pid_t pid = bench_child();
	if (pid == 0) {
		one->rate = run(one->shape, one->seconds, one->killed, &one->kills);
		_exit(0);
	}
	bench_await(pid);
	return one->rate;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; struct load_shape shape; } cases[] = { { "1 + 1, 256 flying", { 1, 256, AT_ONCE } }, { "4 + 4, 1024 flying", { 4, 1024, AT_ONCE } } };
	struct bench_options o = { .rounds = 3, .seconds = 6 };
	bench_options(argc, argv, "killed: tasks end to end while a coordinator and a worker die every second", &o);
	struct one *one = bench_shared(sizeof(*one));
	struct report *r = report_new("killed", "tasks/s");
	for (unsigned round = 0; round < o.rounds; round++)
		for (size_t i = 0; i < ELEMENTS(cases); i++) {
			bench_progress("round %u, %s", round + 1, cases[i].name);
			report_add(r, cases[i].name, "nobody dies", run_apart(one, cases[i].shape, o.seconds, false));
			report_add(r, cases[i].name, "a coordinator and a worker die every second", run_apart(one, cases[i].shape, o.seconds, true));
		}
	report_beside(r, "nobody dies", "of undisturbed");
	char title[160];
	snprintf(title, sizeof(title), "%u rounds of %.1f s, %u kills; every task that was accepted ended once, and the ledger says the same", o.rounds, o.seconds, one->kills);
	report_print(r, title, o.json);
	report_free(r);
	return 0;
}
