/* A submit with one outstanding, beside one LMDB commit of the same rows and one round trip of the same bytes on a unix socket. And in bulk: chunks of 1,000 tasks
 * from one client, beside LMDB alone putting the same rows. No worker serves the queue. usage: submit [SUBMITS] | submit bulk [ROUNDS [CHUNKS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/bench/ledger_raw.h"

#define PAYLOAD 256u
#define CHUNK 1000u
#define SUBMITS_MAX 100000u
#define ROUNDS_MAX 32u
#define HEAD 9u /* of a message on a stream */

/* --- the raw side, in a process apart --- */

struct raw_side { char dir[96]; struct raw_pattern pattern; };   /* shared; filled before the first order */
struct raw_order { uint32_t body, commits, answer; };            /* body bytes follow, answer bytes come back */

static void raw_run(int fd, void *ctx)
{
	struct raw_side *side = ctx;
	struct raw_store *s = NULL;
	struct raw_order o;
	static uint8_t bytes[1 << 20];
	while (read_whole(fd, &o, sizeof(o))) {
		MUST(o.body <= sizeof(bytes) && o.answer <= sizeof(bytes));
		MUST(read_whole(fd, bytes, o.body));
		if (!s)
			s = raw_open(side->dir, &side->pattern);
		for (uint32_t i = 0; i < o.commits; i++)
			raw_commit(s);
		write_whole(fd, bytes, o.answer);
	}
}

static double raw_round(int fd, uint32_t body, uint32_t commits, uint32_t answer)
{
	static uint8_t bytes[1 << 20];
	struct raw_order o = { body > sizeof(o) ? body - (uint32_t)sizeof(o) : 0, commits, answer };
	double from_us = now_us();
	memcpy(bytes, &o, sizeof(o));
	write_whole(fd, bytes, sizeof(o) + o.body);
	MUST(read_whole(fd, bytes, answer));
	return now_us() - from_us;
}

/* --- the node's side --- */

static uint8_t payload[PAYLOAD];
static struct id ids[CHUNK];
static Troupe__TaskSpec specs[CHUNK], *tasks[CHUNK];

static void submit_fill(struct client *c, Troupe__Submit *submit, Troupe__Envelope *env, size_t n)
{
	troupe__submit__init(submit);
	troupe__envelope__init(env);
	for (size_t i = 0; i < n; i++) {
		spec_init(c, &specs[i], &ids[i], "bench", payload, sizeof(payload));
		tasks[i] = &specs[i];
	}
	submit->tasks = tasks;
	submit->n_tasks = n;
	env->body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env->submit = submit;
}

static double node_submit(struct client *c, size_t n, size_t *ret_request, size_t *ret_answer)
{
	Troupe__Submit submit;
	Troupe__Envelope env;
	struct arena *arena;
	double from_us = now_us();
	submit_fill(c, &submit, &env, n);
	const Troupe__Envelope *answer = node_ask(c, "coordinator:main", &env, &arena);
	double took_us = now_us() - from_us;
	MUST(answer->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED && answer->submitted->n_receipts == n);
	*ret_request = HEAD + frame_envelope_size(&env);
	*ret_answer = HEAD + frame_envelope_size(answer);
	arena_unref(arena);
	return took_us;
}

/* The second submit's rows: the first one's also make the queue known. */
static void learn(struct client *c, const struct bench_node *n, size_t n_tasks, struct raw_pattern *ret, size_t *ret_request, size_t *ret_answer)
{
	size_t rows;
	node_submit(c, n_tasks, ret_request, ret_answer);
	struct raw_snapshot *before = raw_look(n);
	node_submit(c, n_tasks, ret_request, ret_answer);
	raw_compare(before, raw_look(n), ret);
	size_t bytes = raw_bytes(ret, &rows);
	printf("one submit of %zu: request %zu bytes, answer %zu; %zu rows, %zu bytes:", n_tasks, *ret_request, *ret_answer, rows, bytes);
	for (unsigned i = 0; i < ret->n_tables; i++) {
		const struct raw_table *t = &ret->tables[i];
		if (t->added.n)
			printf(" %s %zu x (%zu, %zu)", t->name, t->added.n, t->added.key, t->added.value);
		if (t->rewritten.n)
			printf(" %s %zu x (%zu, %zu) again", t->name, t->rewritten.n, t->rewritten.key, t->rewritten.value);
	}
	printf("\n");
}

static void one_by_one(struct client *c, int raw, size_t n, size_t request, size_t answer)
{
	static double node_us[SUBMITS_MAX], raw_us[SUBMITS_MAX], socket_us[SUBMITS_MAX];
	size_t a, b;
	for (size_t i = 0; i < n; i++) {
		if (i % 2)
			node_us[i] = node_submit(c, 1, &a, &b);
		raw_us[i] = raw_round(raw, (uint32_t)request, 1, (uint32_t)answer);
		if (i % 2 == 0)
			node_us[i] = node_submit(c, 1, &a, &b);
		socket_us[i] = raw_round(raw, (uint32_t)request, 0, (uint32_t)answer);
	}
	const struct { const char *what; double *us; } rows[] = { { "round trip of the same bytes (bare)", socket_us }, { "the same, and a commit of the same rows (bare)", raw_us },
		{ "submit, one outstanding", node_us } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("%-50s p50 %7.0f us  p99 %7.0f us\n", rows[i].what, percentile(rows[i].us, n, 50), percentile(rows[i].us, n, 99));
	printf("ratio: of the p50s %.2f, of the p99s %.2f\n", percentile(node_us, n, 50) / percentile(raw_us, n, 50), percentile(node_us, n, 99) / percentile(raw_us, n, 99));
}

/* --- bulk --- */

static size_t answered;

static void on_answer(void *ctx, const struct client_answer *a)
{
	MUST(!a->error && a->env->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED && a->env->submitted->n_receipts == CHUNK);
	answered++;
}

static double node_bulk(struct client *c, size_t chunks, size_t outstanding)
{
	double from_us = now_us();
	size_t started = 0;
	answered = 0;
	while (answered < chunks) {
		while (started < chunks && started - answered < outstanding) {
			Troupe__Submit submit;
			Troupe__Envelope env;
			struct error e;
			submit_fill(c, &submit, &env, CHUNK);
			struct client_request r = { .to = "coordinator:main", .env = &env, .on_answer = on_answer };
			MUST(client_start(c, &r, &e) == 0);
			started++;
		}
		MUST(client_poll(c, TIME_NEVER) == 0);
	}
	return (double)(chunks * CHUNK) / (now_us() - from_us) * 1e6;
}

static void bulk(struct client *c, int raw, unsigned rounds, size_t chunks)
{
	static const size_t outstanding[] = { 1, 4 };
	static double node_rate[2][ROUNDS_MAX], raw_rate[ROUNDS_MAX], ratio[2][ROUNDS_MAX];
	for (unsigned r = 0; r < rounds; r++) {
		raw_rate[r] = (double)(chunks * CHUNK) / raw_round(raw, 0, (uint32_t)chunks, 1) * 1e6;
		for (unsigned i = 0; i < 2; i++) {
			node_rate[i][r] = node_bulk(c, chunks, outstanding[i]);
			ratio[i][r] = raw_rate[r] / node_rate[i][r];
		}
	}
	printf("bulk: %u rounds of %zu chunks of %u, medians\n%-50s %9.0f tasks/s\n", rounds, chunks, CHUNK, "LMDB alone, a commit a chunk", median(raw_rate, rounds));
	for (unsigned i = 0; i < 2; i++) {
		double middle = median(ratio[i], rounds); /* sorts */
		printf("bulk submit, %zu chunk%-34s %9.0f tasks/s, LMDB alone is %.2f times as fast (%.2f to %.2f)\n", outstanding[i], outstanding[i] > 1 ? "s outstanding" : " outstanding",
		       median(node_rate[i], rounds), middle, ratio[i][0], ratio[i][rounds - 1]);
	}
}

int main(int argc, char **argv)
{
	static struct bench_node n;
	bool in_bulk = argc > 1 && strcmp(argv[1], "bulk") == 0;
	const char *first = in_bulk ? (argc > 2 ? argv[2] : "5") : argc > 1 ? argv[1] : "2000";
	unsigned count = (unsigned)atoi(first), chunks = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
	struct raw_side *side = bench_shared(sizeof(*side));
	size_t request, answer;
	int raw;
	MUST(count >= 1 && count <= (in_bulk ? ROUNDS_MAX : SUBMITS_MAX) && chunks >= 1 && chunks <= 10000);
	memset(payload, 'x', sizeof(payload));
	bench_dir(side->dir, sizeof(side->dir));
	node_start(&n, "queue \"bench\" { }", "", false);
	pid_t raw_pid = bench_apart(raw_run, side, &raw);

	struct client *c = node_client(&n, NULL, NULL);
	learn(c, &n, in_bulk ? CHUNK : 1, &side->pattern, &request, &answer);
	raw_round(raw, 0, 10, 1);
	if (in_bulk)
		bulk(c, raw, count, chunks);
	else
		one_by_one(c, raw, count, request, answer);
	client_close(c);
	bench_reap(raw_pid);
	node_stop(&n);
	bench_dir_remove(side->dir);
	return 0;
}
