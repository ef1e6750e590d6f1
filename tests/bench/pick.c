/* What the choice of a worker and the end of a task cost a coordinator by itself, with ten workers and with a thousand: without a process, a socket or a barrier, on a store in memory.
 * CPU a task, of turns in which a thousand tasks end and as many begin. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/bench/attached.h"
#include "tests/bench/report.h"
#include "tests/unit/coordinator/stage.h"

#define CHUNK 1000u
#define PAYLOAD 256u
#define FIRST_PEER 100u
#define MAP (512u << 20)

struct word { uint64_t peer; uint8_t *data; size_t len, tasks; };
/* What workers are about to say, in the next turns. */
struct words { const struct attached *crew; struct word *all; size_t n, room; uint64_t peer, outcomes; };

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void word_add(void *ctx, Troupe__Envelope__BodyCase body, void *message)
{
	struct words *w = ctx;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = TROUPE__KIND__SIGNAL;
	env.body_case = body;
	env.beat = message; /* all members of the union are pointers */
	if (w->n == w->room)
		MUST(w->all = reallocarray(w->all, w->room = w->room ? 2 * w->room : 1024, sizeof(w->all[0])));
	struct word *word = &w->all[w->n++];
	word->peer = w->peer;
	word->tasks = body == TROUPE__ENVELOPE__BODY_OUTCOMES ? env.outcomes->n_outcomes : 0;
	word->data = stage_pack(&env, &word->len);
}

static struct who worker(uint64_t peer)
{
	return (struct who){ .peer = peer, .incarnation = peer };
}

static void submit(struct stage *s, struct id_maker *ids, unsigned n)
{
	static struct id id[CHUNK];
	static Troupe__TaskSpec specs[CHUNK], *tasks[CHUNK];
	static uint8_t payload[PAYLOAD];
	const struct who client = { .peer = 1 };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	for (unsigned i = 0; i < n; i++) {
		troupe__task_spec__init(tasks[i] = &specs[i]);
		id[i] = id_make(ids, s->wall_ms);
		specs[i].id = (ProtobufCBinaryData){ sizeof(id[i].b), id[i].b };
		specs[i].queue = (char *)"noop";
		specs[i].payload = (ProtobufCBinaryData){ sizeof(payload), payload };
	}
	m.tasks = tasks;
	m.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	MUST(stage_ask(s, &client, &env));
}

/* What the last turn has given to workers, they do. */
static void runs_do(struct stage *s, struct words *w)
{
	for (size_t i = 0; i < s->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(s, &s->sent[i]);
		if (env->body_case != TROUPE__ENVELOPE__BODY_RUN)
			continue;
		w->peer = s->sent[i].peer;
		w->outcomes += env->run->n_tasks;
		attached_do(w->crew, env->run, word_add, w);
	}
}

static void attach(struct stage *s, struct id_maker *ids, const struct attached *crew, struct words *w)
{
	for (unsigned i = 0; i < crew->n + crew->idle; i++) {
		struct id instance = id_make(ids, s->wall_ms);
		struct who who = worker(FIRST_PEER + i);
		char *queue;
		Troupe__Attach m;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		attached_introduce(crew, i, &instance, &queue, &m);
		env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
		env.attach = &m;
		MUST(stage_ask(s, &who, &env));
		runs_do(s, w);
	}
}

/* One turn of as many words as end so many tasks. */
static void turn(struct stage *s, struct words *w)
{
	size_t n = 0;
	stage_begin(s);
	for (size_t tasks = 0; n < w->n && tasks < CHUNK; n++) {
		struct who who = worker(w->all[n].peer);
		MUST(stage_message(s, &who, w->all[n].data, w->all[n].len) == 0);
		tasks += w->all[n].tasks;
		free(w->all[n].data);
	}
	stage_commit(s);
	w->n -= n;
	memmove(w->all, w->all + n, w->n * sizeof(w->all[0]));
}

static double pick_us(const struct attached *crew, size_t tasks)
{
	struct words w = { .crew = crew };
	struct id_maker ids;
	struct stage *s = stage_prepare(1);
	id_maker_init(&ids, 1);
	s->map_first = MAP;
	stage_queue(s, "noop");
	stage_queue(s, "other");
	stage_open(s);
	for (size_t n = 0; n < tasks; n += CHUNK)
		submit(s, &ids, tasks - n < CHUNK ? (unsigned)(tasks - n) : CHUNK);
	attach(s, &ids, crew, &w);
	double us = 0;
	while (w.n > 0) {
		double from_us = cpu_us();
		turn(s, &w);
		us += cpu_us() - from_us;
		runs_do(s, &w);
	}
	MUST(w.outcomes == tasks);
	free(w.all);
	stage_free(s);
	return us / (double)tasks;
}

/* Tasks of 10 ms: a worker is given as many as it has slots. Tasks of no time, where all that waits is given out in advance, to a thousand workers in few turns. */
static void run(const struct bench_options *o, struct report *r, unsigned round, unsigned i, const char *in_case, uint64_t run_us)
{
	struct attached crew = attached_crews[i].what;
	if (!bench_wants(o, attached_crews[i].row))
		return;
	crew.run_us = run_us;
	double us = pick_us(&crew, o->tasks);
	bench_progress("round %u of %u, %s, %s: %.2f us", round + 1, o->rounds, in_case, attached_crews[i].row, us);
	report_add(r, in_case, attached_crews[i].row, us);
}

int main(int argc, char **argv)
{
	struct bench_options o = { .rounds = 5, .tasks = 100000 };
	bench_options(argc, argv, "[--tasks OF-A-CREW]", &o);
	struct report *r = report_new("pick", "us");
	for (unsigned round = 0; round < o.rounds; round++)
		for (unsigned j = 0; j < ATTACHED_CREWS; j++) {
			unsigned i = (j + round) % ATTACHED_CREWS;
			run(&o, r, round, i, "CPU a task, tasks of 10 ms", 10000);
			run(&o, r, round, i, "CPU a task, tasks of no time", 0);
		}
	report_beside(r, attached_crews[0].row, "of 10 workers");
	report_print(r, "one task ends and another begins, in memory", o.json);
	report_free(r);
	return 0;
}
