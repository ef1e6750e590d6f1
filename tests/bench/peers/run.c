/* One measurement of a peer: its server, the processes around it, and what they did. */
#include <stdio.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/bench/peers/ways.h"

#define WARM_S 0.4
#define STALL_MS 60000u

unsigned ways_found(const struct way **ret, unsigned max)
{
	static const struct way *const all[] = { &way_beanstalkd,
#ifdef BENCH_POSTGRES
		&way_postgres_one, &way_postgres_batches,
#endif
		&way_redis_streams, &way_redis_lists };
	static const struct server_kind *const kinds[] = { &server_beanstalkd, &server_postgres, &server_redis };
	bool found[ELEMENTS(kinds)];
	unsigned n = 0;
	for (unsigned k = 0; k < ELEMENTS(kinds); k++)
		found[k] = server_found(kinds[k]);
#ifndef BENCH_POSTGRES
	fprintf(stderr, "libpq-dev was not there when this was built: PostgreSQL's rows are left out; tests/bench/peers/install, then meson setup --reconfigure\n");
#endif
	for (unsigned i = 0; i < ELEMENTS(all); i++)
		for (unsigned k = 0; k < ELEMENTS(kinds); k++)
			if (all[i]->server == kinds[k] && found[k] && n < max)
				ret[n++] = all[i];
	return n;
}

struct crew { pid_t pids[FLOW_MAX]; unsigned n; };

static struct crew crew_start(void (*run)(const struct server *, struct flow *, unsigned), const struct server *s, struct flow *f)
{
	struct crew c = { .n = f->n };
	for (unsigned i = 0; i < f->n; i++)
		if ((c.pids[i] = bench_child()) == 0) {
			run(s, f, i);
			_exit(0);
		}
	return c;
}

static void crew_end(const struct crew *c)
{
	for (unsigned i = 0; i < c->n; i++)
		bench_reap(c->pids[i]);
}

/* Until of(f) has reached wanted; no news for long: fails. */
static void await(const struct flow *f, uint64_t (*of)(const struct flow *), uint64_t wanted)
{
	uint64_t last = 0, end_ms = clock_mono_ms() + STALL_MS;
	for (uint64_t n; (n = of(f)) < wanted; pass(0.001)) {
		if (n > last)
			end_ms = clock_mono_ms() + STALL_MS;
		MUST(clock_mono_ms() < end_ms);
		last = n;
	}
}

static void way_start(const struct way *w, struct server *s)
{
	server_start(w->server, s);
	if (w->prepare)
		w->prepare(s);
}

double way_run(const struct way *w, unsigned n, unsigned outstanding, double seconds)
{
	struct server s;
	struct flow *f = flow_new(n, outstanding, false);
	way_start(w, &s);
	struct crew consumers = crew_start(w->consume, &s, f), producers = crew_start(w->produce, &s, f);
	await(f, flow_finished, 1);
	pass(WARM_S);
	double from_us = now_us();
	uint64_t from = flow_finished(f);
	pass(seconds);
	double rate = (double)(flow_finished(f) - from) / (now_us() - from_us) * 1e6;
	crew_end(&producers);
	crew_end(&consumers);
	server_stop(&s);
	flow_free(f);
	return rate;
}

double way_drain(const struct way *w, unsigned n, size_t tasks)
{
	struct server s;
	struct flow *f = flow_new(n, (unsigned)tasks, true);
	uint64_t all = tasks / n * n;
	way_start(w, &s);
	struct crew producers = crew_start(w->produce, &s, f);
	await(f, flow_accepted, all);
	crew_end(&producers);
	double from_us = now_us();
	struct crew consumers = crew_start(w->consume, &s, f);
	await(f, flow_finished, all);
	double rate = (double)all / (now_us() - from_us) * 1e6;
	crew_end(&consumers);
	MUST(flow_finished(f) == all && flow_accepted(f) == all); /* each once */
	server_stop(&s);
	flow_free(f);
	return rate;
}
