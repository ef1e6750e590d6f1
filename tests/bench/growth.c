/* What becomes of a node as its queue grows: it stands at 10,000 tasks, at ten times as many, and so on up to --tasks, of mixed priorities and with delays, and is worked and fed so that it goes on
 * standing there. Measured meanwhile: the rate, and what a lone urgent task sees. Then the memory of the coordinator, and the start after kill -9 of everything. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "tests/bench/load.h"
#include "tests/bench/queue.h"
#include "tests/bench/report.h"

#define LEAST 10000u
#define MOST 10000000u
#define WORKERS 2u
#define FED_MAX 8000u            /* tasks fed at a time */
#define PROBES_MAX 100000u
#define HOUR_MS 3600000u

/* Shared with the processes that do it. */
struct standing {
	_Atomic bool go, stop;
	double fill_rate, rate;
	uint64_t least;                   /* that stood */
	size_t n_probes;
	double submit_us[PROBES_MAX], end_us[PROBES_MAX], first_us;
};

/* --- the tasks --- */

/* By number: priorities from high to bulk, one in twenty with a moment of delay; ctx, for those of the fill: one in twenty more is not due before an hour has passed. */
static void mixed(void *ctx, uint64_t i, Troupe__TaskSpec *spec, struct queue_special *s)
{
	uint64_t h = (i + 1) * 0x9e3779b97f4a7c15u >> 32;
	s->level.value = 1000 * (1 + h % 4);
	spec->priority = &s->level;
	if (h / 4 % 20 == 0)
		spec->delay_ms = 1 + h / 80 % 500;
	else if (h / 4 % 20 == 1 && ctx)
		spec->delay_ms = HOUR_MS;
}

/* --- a lone task, more urgent than all others --- */

struct probe { bool accepted, ended; };

static void on_answer(void *ctx, const struct client_answer *a)
{
	if (a->error)
		bench_fail(__FILE__, __LINE__, a->error->text);
	((struct probe *)ctx)->accepted = true;
}

static void on_push(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env)
{
	if (env->body_case == TROUPE__ENVELOPE__BODY_FINISHED)
		((struct probe *)ctx)->ended = true;
}

static void probe(struct client *c, struct probe *p, double *ret_submit_us, double *ret_end_us)
{
	static uint8_t payload[LOAD_PAYLOAD];
	struct id id;
	Troupe__TaskSpec spec, *all[] = { &spec };
	Troupe__Level urgent = TROUPE__LEVEL__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct client_request r = { .to = "coordinator:main", .env = &env, .on_answer = on_answer, .ctx = p };
	struct error e;
	*p = (struct probe){ 0 };
	spec_init(c, &spec, &id, "noop", payload, sizeof(payload));
	spec.priority = &urgent;
	submit.tasks = all;
	submit.n_tasks = 1;
	submit.notify = true;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	double from_us = now_us(), accepted_us = 0;
	MUST(client_start(c, &r, &e) == 0);
	while (!p->accepted || !p->ended) {
		MUST(client_poll(c, TIME_NEVER) == 0);
		if (p->accepted && accepted_us == 0)
			accepted_us = now_us();
	}
	*ret_submit_us = accepted_us - from_us;
	*ret_end_us = now_us() - from_us;
}

/* --- the processes around the node --- */

static void prober_run(const struct bench_node *n, struct standing *s)
{
	struct probe p;
	struct client *c = node_client(n, on_push, &p);
	while (!s->go)
		pass(0.001);
	for (size_t i = 0; i < PROBES_MAX && !s->stop; i++) {
		probe(c, &p, &s->submit_us[i], &s->end_us[i]);
		s->n_probes = i + 1;
	}
	client_close(c);
}

static void feeder_run(const struct bench_node *n, struct standing *s, uint64_t tasks, double seconds)
{
	struct client *c = node_client(n, NULL, NULL);
	node_workers_await(c, WORKERS, 0);
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__PAUSE);
	s->fill_rate = (double)tasks / queue_fill(c, "noop", 0, tasks, mixed, s);
	queue_order(c, "noop", TROUPE__QUEUE_ORDER__OP__RESUME);
	uint64_t number = tasks, from = queue_counts(c, "noop").completed;
	double from_us = now_us(), end_us = from_us + seconds * 1e6, at_us;
	s->go = true;
	s->least = tasks;
	do {
		struct queue_counts now = queue_counts(c, "noop");
		at_us = now_us();
		s->rate = (double)(now.completed - from) / (at_us - from_us) * 1e6;
		uint64_t stands = now.scheduled + now.ready + now.running, missing = stands < tasks ? tasks - stands : 0;
		s->least = stands < s->least ? stands : s->least;
		missing = missing < FED_MAX ? missing : FED_MAX;
		queue_fill(c, "noop", number, missing, mixed, NULL);
		number += missing;
	} while (at_us < end_us);
	s->stop = true;
	client_close(c);
}

static void first_run(const struct bench_node *n, struct standing *s)
{
	struct probe p;
	double submit_us, end_us;
	struct client *c = node_client(n, on_push, &p);
	probe(c, &p, &submit_us, &end_us);
	s->first_us = now_us();
	client_close(c);
}

/* --- what is read off --- */

static double store_mib(const struct bench_node *n)
{
	char path[192];
	struct stat st;
	snprintf(path, sizeof(path), "%s/state/actors/coordinator/main/data.mdb", n->dir);
	MUST(stat(path, &st) == 0);
	return (double)st.st_blocks * 512 / (1 << 20);
}

struct plan { const struct bench_options *o; struct report *report; };

static void look(const struct plan *p, const char *row, const struct bench_node *n, struct standing *s)
{
	pid_t coordinator = node_child(n, "coordinator:main");
	const struct { const char *in_case; double value; } all[] = {
		{ "submits until it stands, paused, tasks/s", s->fill_rate },
		{ "rate, tasks/s", s->rate },
		{ "least that stood meanwhile", (double)s->least },
		{ "submit of one urgent task, p50, us", percentile(s->submit_us, s->n_probes, 50) },
		{ "submit of one urgent task, p99, us", percentile(s->submit_us, s->n_probes, 99) },
		{ "from its submit to its end, p50, us", percentile(s->end_us, s->n_probes, 50) },
		{ "from its submit to its end, p99, us", percentile(s->end_us, s->n_probes, 99) },
		{ "the coordinator's own memory, MiB", process_memory_mib(coordinator, "RssAnon:") },
		{ "pages of the store that it has mapped, MiB", process_memory_mib(coordinator, "RssFile:") },
		{ "the store, MiB", store_mib(n) },
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		report_add(p->report, all[i].in_case, row, all[i].value);
}

static void restart(const struct plan *p, const char *row, struct bench_node *n, struct standing *s)
{
	node_kill(n);
	double from_us = now_us();
	node_again(n);
	double ready_us = now_us();
	pid_t pid = bench_child();
	if (pid == 0) {
		first_run(n, s);
		_exit(0);
	}
	bench_await(pid);
	report_add(p->report, "kill -9 of all: from the start to READY, ms", row, (ready_us - from_us) / 1e3);
	report_add(p->report, "kill -9 of all: to the end of the first task, ms", row, (s->first_us - from_us) / 1e3);
}

static void stand(const struct plan *p, uint64_t tasks)
{
	static struct bench_node n;
	char row[32], pool[512];
	struct standing *s = bench_shared(sizeof(*s));
	snprintf(row, sizeof(row), "%llu standing", (unsigned long long)tasks);
	load_pool((struct load_shape){ WORKERS, 0, AT_ONCE }, pool, sizeof(pool));
	node_start(&n, "queue \"noop\" { }", pool, false);
	pid_t prober = bench_child();
	if (prober == 0) {
		prober_run(&n, s);
		_exit(0);
	}
	pid_t feeder = bench_child();
	if (feeder == 0) {
		feeder_run(&n, s, tasks, p->o->seconds);
		_exit(0);
	}
	bench_await(feeder);
	bench_await(prober);
	MUST(s->n_probes > 0);
	look(p, row, &n, s);
	restart(p, row, &n, s);
	bench_progress("%s: %.0f tasks/s", row, s->rate);
	node_stop(&n);
	munmap(s, sizeof(*s));
}

int main(int argc, char **argv)
{
	struct bench_options o = { .rounds = 3, .seconds = 3, .tasks = 1000000 };
	bench_options(argc, argv, "[--tasks MOST-THAT-STAND] [--seconds OF-EACH]", &o);
	MUST(o.tasks >= LEAST && o.tasks <= MOST);
	struct plan p = { &o, report_new("growth", "") };
	for (unsigned r = 0; r < o.rounds; r++)
		for (uint64_t tasks = LEAST; tasks <= o.tasks; tasks *= 10) {
			bench_progress("round %u of %u", r + 1, o.rounds);
			stand(&p, tasks);
		}
	report_beside(p.report, "10000 standing", "of that at 10,000");
	report_print(p.report, "a queue that is worked and fed, by how many tasks stand in it", o.json);
	report_free(p.report);
	return 0;
}
