#include "tests/bench/load.h"

#include <lmdb.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/store/store.h"

#define CLIENTS_MAX 16
#define CHUNK_MAX 1000
#define WARM_S 0.4

struct counts { _Atomic uint64_t finished[CLIENTS_MAX]; };

/* --- a client --- */

static struct { struct client *c; struct counts *counts; unsigned index; size_t flying; uint8_t payload[LOAD_PAYLOAD]; } cl;

static void on_answer(void *ctx, const struct client_answer *a)
{
	if (a->error)
		fprintf(stderr, "submit: %s\n", a->error->text);
	MUST(!a->error);
}

static void on_push(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env)
{
	if (env->body_case != TROUPE__ENVELOPE__BODY_FINISHED)
		return;
	for (size_t i = 0; i < env->finished->n_tasks; i++)
		MUST(env->finished->tasks[i]->state == TROUPE__TASK_STATE__DONE);
	cl.flying -= env->finished->n_tasks;
	cl.counts->finished[cl.index] += env->finished->n_tasks;
}

static void submit(size_t n)
{
	static struct id ids[CHUNK_MAX];
	static Troupe__TaskSpec specs[CHUNK_MAX], *tasks[CHUNK_MAX];
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	struct client_request r = { .to = "coordinator:main", .env = &env, .on_answer = on_answer };
	struct error e;
	for (size_t i = 0; i < n; i++) {
		spec_init(cl.c, &specs[i], &ids[i], "noop", cl.payload, sizeof(cl.payload));
		tasks[i] = &specs[i];
	}
	submit.tasks = tasks;
	submit.n_tasks = n;
	submit.notify = true;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	MUST(client_start(cl.c, &r, &e) == 0);
	cl.flying += n;
}

static _Noreturn void client_loop(const struct bench_node *n, struct counts *counts, unsigned index, struct load_shape s, bool together, unsigned workers)
{
	size_t outstanding = s.outstanding / s.n;
	memset(cl.payload, 'x', sizeof(cl.payload));
	cl.counts = counts;
	cl.index = index;
	cl.c = node_client(n, on_push, NULL);
	node_workers_await(cl.c, workers, 0);
	for (;;) {
		while (cl.flying < outstanding) {
			size_t room = outstanding - cl.flying;
			submit(!together ? 1 : room < CHUNK_MAX ? room : CHUNK_MAX);
		}
		MUST(client_poll(cl.c, TIME_NEVER) == 0);
	}
}

/* --- one run of the node --- */

static uint64_t finished(const struct counts *c)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		n += c->finished[i];
	return n;
}

/* Of the coordinator so far, as its store's last checkpoint numbers them. */
static uint64_t commits(const struct bench_node *n)
{
	char dir[160];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi own;
	MDB_val key = { strlen("log"), (void *)"log" }, place;
	snprintf(dir, sizeof(dir), "%s/state/actors/coordinator/main", n->dir);
	MUST(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 1) == 0 && mdb_env_open(env, dir, MDB_RDONLY, 0600) == 0 && mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
	MUST(mdb_dbi_open(txn, "_store", 0, &own) == 0 && mdb_get(txn, own, &key, &place) == 0 && place.mv_size >= 16);
	uint64_t seq = key_read_u64((const uint8_t *)place.mv_data + 8);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return seq;
}

static double workers_cpu_s(const struct bench_node *n, unsigned workers)
{
	double s = 0;
	for (unsigned i = 1; i <= workers; i++) {
		char name[32];
		snprintf(name, sizeof(name), "worker:noop/%u", i);
		s += process_cpu_s(node_child(n, name));
	}
	return s;
}

static double sum_cpu_s(const pid_t *pids, unsigned n)
{
	double s = 0;
	for (unsigned i = 0; i < n; i++)
		s += process_cpu_s(pids[i]);
	return s;
}

void load_pool(struct load_shape s, char *ret, size_t size)
{
	if (s.at_once)
		snprintf(ret, size, "  pool \"noop\" { size = %u  mode = lines  command = {\"%s\", \"%u\"} }", s.n, NOOP_PROGRAM, s.at_once);
	else
		snprintf(ret, size, "  pool \"noop\" { size = %u  mode = exec  command = {\"/bin/true\"} }", s.n);
}

struct apart { const struct bench_node *n; const struct load_crew *crew; };

static void crew_apart(int fd, void *ctx)
{
	const struct apart *a = ctx;
	a->crew->run(a->n, a->crew->ctx, fd);
}

/* Of a pool's workers, or of the processes that are all workers. */
static double workers_s(const struct bench_node *n, unsigned workers, const struct load_crews *crews)
{
	return crews->n ? sum_cpu_s(crews->pids, crews->n) : workers_cpu_s(n, workers);
}

void load_crews_start(const struct bench_node *n, const struct load_crew *crew, struct load_crews *ret)
{
	struct apart a = { n, crew };
	char up;
	int fd;
	MUST(crew->processes >= 1 && crew->processes <= LOAD_CREWS_MAX);
	for (ret->n = 0; ret->n < crew->processes; ret->n++) {
		ret->pids[ret->n] = bench_apart(crew_apart, &a, &fd);
		MUST(read_whole(fd, &up, 1)); /* fd stays open: it ends with us */
	}
}

void load_crews_stop(struct load_crews *c)
{
	for (unsigned i = 0; i < c->n; i++)
		bench_reap(c->pids[i]);
	c->n = 0;
}

struct load_result load_run(struct load_shape s, bool together, double seconds)
{
	return load_run_crew(s, together, seconds, NULL);
}

struct load_result load_run_crew(struct load_shape s, bool together, double seconds, const struct load_crew *crew)
{
	struct bench_node n;
	struct load_crews crews = { 0 };
	struct counts *counts = bench_shared(sizeof(*counts));
	pid_t clients[CLIENTS_MAX];
	char pool[512] = "";
	if (!crew)
		load_pool(s, pool, sizeof(pool));
	node_start(&n, crew ? "queue \"noop\" { }\nqueue \"other\" { }" : "queue \"noop\" { }", pool, false);
	if (crew)
		load_crews_start(&n, crew, &crews);
	for (unsigned i = 0; i < s.n; i++)
		if ((clients[i] = bench_child()) == 0)
			client_loop(&n, counts, i, s, together, crew ? 0 : s.n);
	for (uint64_t end_ms = clock_mono_ms() + 20000; finished(counts) == 0; pass(0.005))
		MUST(clock_mono_ms() < end_ms);

	pass(WARM_S);
	pid_t coordinator = node_child(&n, "coordinator:main");
	double from_us = now_us(), co = process_cpu_s(coordinator), wo = workers_s(&n, s.n, &crews), cu = sum_cpu_s(clients, s.n);
	uint64_t from = finished(counts), from_commit = commits(&n);
	pass(seconds);
	double tasks = (double)(finished(counts) - from), us = now_us() - from_us, turns = (double)(commits(&n) - from_commit);
	co = process_cpu_s(coordinator) - co;
	wo = workers_s(&n, s.n, &crews) - wo;
	cu = sum_cpu_s(clients, s.n) - cu;
	for (unsigned i = 0; i < s.n; i++)
		bench_reap(clients[i]);
	load_crews_stop(&crews);
	node_stop(&n);
	munmap(counts, sizeof(*counts));
	MUST(tasks > 0 && turns > 0);
	return (struct load_result){ tasks / us * 1e6, 2 * tasks / turns, co * 1e6 / tasks, wo * 1e6 / tasks, cu * 1e6 / tasks };
}

/* --- the bare loops beside exec --- */

double spawn_run(double seconds)
{
	struct counts *counts = bench_shared(sizeof(*counts));
	pid_t lanes[LANES];
	for (unsigned i = 0; i < LANES; i++)
		if ((lanes[i] = bench_child()) == 0)
			for (;;) {
				static char *argv[] = { (char *)"true", NULL };
				pid_t pid;
				MUST(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0 && waitpid(pid, NULL, 0) == pid);
				counts->finished[i]++;
			}
	pass(0.1);
	double from_us = now_us();
	uint64_t from = finished(counts);
	pass(seconds);
	double rate = (double)(finished(counts) - from) / (now_us() - from_us) * 1e6;
	for (unsigned i = 0; i < LANES; i++)
		bench_reap(lanes[i]);
	munmap(counts, sizeof(*counts));
	return rate;
}
