#pragma once
/* The ways in which the peers are used as a durable queue: for each what a producer, a consumer and a lone submitter do. Each way is the fastest that was found and loses no
 * task: a consumer's death between taking and ending leaves the task where another can find it. */
#include "tests/bench/peers/flow.h"
#include "tests/bench/peers/server.h"

struct way {
	const char *name;
	const struct server_kind *server;
	bool slow;                                 /* a barrier for each task: it gets a tenth of the tasks of a drain */
	void (*prepare)(const struct server *s);   /* its queue; may be NULL */
	/* Run in processes of their own, until they are killed. */
	void (*produce)(const struct server *s, struct flow *f, unsigned index);
	void (*consume)(const struct server *s, struct flow *f, unsigned index);
	/* One at a time, each acknowledged before submit returns. */
	void *(*open)(const struct server *s);
	void (*submit)(void *self, const char *payload);
};
extern const struct way way_beanstalkd, way_redis_streams, way_redis_lists;
#ifdef BENCH_POSTGRES
extern const struct way way_postgres_one, way_postgres_batches;
#endif
/* All that this machine has, the fastest last; says which are missing. Returns how many. */
unsigned ways_found(const struct way **ret, unsigned max);

/* One measurement, on a fresh server. */
double way_run(const struct way *w, unsigned n, unsigned outstanding, double seconds); /* tasks a second, end to end */
double way_drain(const struct way *w, unsigned n, size_t tasks);                       /* tasks a second, of a queue that is full */
