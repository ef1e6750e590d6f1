/* queue-sim [--seeds N] [--first SEED] [--steps N] [--trace]: the queue's promises over so many seeds (sim.h). Reports TAP. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "actors/coordinator/crew.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/sim/sim.h"

bool chance(struct sim *s, unsigned percent) { return rng_below(&s->rng, 100) < percent; }
uint64_t some(struct sim *s, uint64_t below) { return rng_below(&s->rng, below); }

void say(struct sim *s, const char *fmt, ...)
{
	char *line = s->trace[s->n_trace++ % ELEMENTS(s->trace)];
	size_t n = (size_t)snprintf(line, sizeof s->trace[0], "%6llu %8llu  ", (unsigned long long)s->step, (unsigned long long)(s->stage->now_ms - STAGE_NOW_MS));
	va_list args;
	va_start(args, fmt);
	vsnprintf(line + n, sizeof s->trace[0] - n, fmt, args);
	va_end(args);
	if (s->verbose)
		puts(line);
}

void broken(struct sim *s, const char *promise, const char *fmt, ...)
{
	char text[300];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	unsigned n = s->n_trace < ELEMENTS(s->trace) ? s->n_trace : ELEMENTS(s->trace);
	if (!s->verbose)
		for (unsigned i = s->n_trace - n; i < s->n_trace; i++)
			printf("# %s\n", s->trace[i % ELEMENTS(s->trace)]);
	printf("not ok 1 - seed %llu, step %llu: %s: %s\n1..1\n", (unsigned long long)s->seed, (unsigned long long)s->step, promise, text);
	fflush(stdout);
	s->stage = stage_free(s->stage);
	_exit(1);
}

/* --- the coordinator's turns --- */

static struct life *life_at(struct sim *s, uint64_t n)
{
	for (unsigned i = 0; i < SIM_WORKERS; i++)
		if (s->workers[i] && n-- == 0)
			return s->workers[i];
	for (struct life *w = s->dead; w; w = w->next)
		if (n-- == 0)
			return w;
	return NULL;
}

static struct who who_of(const struct life *w)
{
	return (struct who){ .peer = w->socket.peer, .address = w->address, .incarnation = w->incarnation };
}

static void receive(struct sim *s, struct socket *from, const struct who *who)
{
	struct packet *p = fifo_take(&from->to_coordinator);
	int r = stage_message(s->stage, who, p->data, p->len);
	if (r && !who->address) {
		/* The runtime's part: a question that is refused is answered. */
		Troupe__Failure e = TROUPE__FAILURE__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		size_t len;
		ProtobufCMessage *m = protobuf_c_message_unpack(&troupe__envelope__descriptor, NULL, p->len, p->data);
		e.code = (uint32_t)r;
		env.kind = TROUPE__KIND__ERROR;
		env.reply_to = ((Troupe__Envelope *)m)->id;
		env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
		env.error = &e;
		uint8_t *data = stage_pack(&env, &len);
		fifo_add(&from->from_coordinator, data, len);
		free(data);
		protobuf_c_message_free_unpacked(m, NULL);
	}
	free(p);
}

/* Its events first: ends of connections whose bytes are read, and DOWNs. */
static void hear_of_the_dead(struct sim *s)
{
	for (struct life *w = s->dead, *next; w; w = next) {
		next = w->next;
		struct who who = who_of(w);
		if (w->socket.peer && w->socket.closing && !w->socket.to_coordinator.n && chance(s, 50)) {
			stage_link(s->stage, &who, false);
			w->socket.peer = 0;
			say(s, "the connection of %s.%llu ends", w->address, (unsigned long long)w->incarnation);
		}
		if (w->monitored && w->proven && chance(s, 50))
			down_deliver(s, w);
		else if (w->monitored && !w->proven && chance(s, 5))
			down_deliver(s, w);
	}
}

void deliver_sent(struct sim *s)
{
	struct stage *g = s->stage;
	for (size_t i = 0; i < g->n_sent; i++) {
		const struct sent *m = &g->sent[i];
		struct life *w;
		for (uint64_t k = 0; (w = life_at(s, k)); k++)
			if (w->alive && w->socket.peer == m->peer)
				fifo_add(&w->socket.from_coordinator, m->data, m->len);
		for (unsigned k = 0; k < SIM_CLIENTS; k++)
			if (s->clients[k].socket.peer == m->peer) {
				client_promised(s, &s->clients[k], stage_read(g, m));
				fifo_add(&s->clients[k].socket.from_coordinator, m->data, m->len);
			}
	}
	for (size_t i = 0; i < g->n_monitored; i++) {
		struct life *w;
		for (uint64_t k = 0; (w = life_at(s, k)); k++)
			if (w->incarnation == g->monitored[i].incarnation)
				w->monitored = true;
	}
}

/* Who was watched and is nowhere any more: the supervisor knows nothing of it. */
static bool forgotten(struct sim *s, const struct monitored *m)
{
	struct life *w;
	for (uint64_t k = 0; (w = life_at(s, k)); k++)
		if (w->incarnation == m->incarnation)
			return false;
	return true;
}

static void coordinator_dies(struct sim *s, const char *when)
{
	say(s, "the coordinator dies %s", when);
	stage_crash(s->stage);
	s->up = false;
	s->n_crashes++;
	for (unsigned i = 0; i < SIM_WORKERS; i++)
		if (s->workers[i])
			worker_disconnect(s, s->workers[i]);
	for (struct life *w = s->dead; w; w = w->next) {
		w->monitored = false;
		w->socket.peer = 0;
		fifo_clear(&w->socket.to_coordinator);
	}
	for (unsigned i = 0; i < SIM_WORKERS; i++)
		if (s->workers[i])
			s->workers[i]->monitored = false;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		client_disconnect(s, &s->clients[i]);
}

/* Their DOWN comes at once, and says that nothing is known. */
static void answer_for_the_forgotten(struct sim *s)
{
	struct monitored all[64];
	size_t n = 0;
	for (size_t i = 0; i < s->stage->n_monitored && n < ELEMENTS(all); i++)
		if (forgotten(s, &s->stage->monitored[i]))
			all[n++] = s->stage->monitored[i];
	for (size_t i = 0; i < n; i++) {
		Troupe__Down d = TROUPE__DOWN__INIT;
		d.address = all[i].address;
		d.incarnation = all[i].incarnation;
		d.reason = TROUPE__REASON__REASON_LOST;
		d.ordered = true;
		d.proof = TROUPE__PROOF__PROOF_EMPTY;
		stage_begin(s->stage);
		stage_down(s->stage, &d);
		stage_commit(s->stage);
		deliver_sent(s);
		check_commit(s);
	}
}

static void turn(struct sim *s)
{
	stage_begin(s->stage);
	stage_wake(s->stage);
	hear_of_the_dead(s);
	for (uint64_t n = some(s, 12), done = 0; done < n; done++) {
		uint64_t at = some(s, SIM_WORKERS + SIM_CLIENTS + 4);
		struct life *w = at < SIM_CLIENTS ? NULL : life_at(s, at - SIM_CLIENTS);
		struct sim_client *c = at < SIM_CLIENTS ? &s->clients[at] : NULL;
		struct who who = w ? who_of(w) : c ? c->who : (struct who){ 0 };
		struct socket *from = w ? &w->socket : c ? &c->socket : NULL;
		if (from && from->peer && from->to_coordinator.n)
			receive(s, from, &who);
	}
	s->n_turns++;
	if (!s->calm && chance(s, 1)) {
		coordinator_dies(s, "before its commit");
		return;
	}
	stage_commit(s->stage);
	check_commit(s);
	if (!s->calm && chance(s, 1)) {
		coordinator_dies(s, "behind its commit, with nothing said");
		return;
	}
	deliver_sent(s);
	answer_for_the_forgotten(s);
}

#define DAY_MS (24u * 3600 * 1000)
#define CALM_STEPS 6000u /* until all has come to rest */

/* --- the world --- */

static void step_worker(struct sim *s, unsigned place)
{
	struct life *w = s->workers[place];
	if (!w) {
		bool gone = true; /* no second life beside the family of the first */
		for (struct life *d = s->dead; d; d = d->next)
			gone &= d->address[9] != (char)('1' + place) || d->proven;
		if (gone && chance(s, 30))
			worker_start(s, place);
		return;
	}
	if (!s->calm && chance(s, 1)) {
		worker_die(s, place);
		return;
	}
	if (!s->calm && w->socket.peer && chance(s, 1)) {
		struct who who = who_of(w);
		say(s, "%s.%llu loses its connection", w->address, (unsigned long long)w->incarnation);
		worker_disconnect(s, w);
		stage_begin(s->stage);
		stage_link(s->stage, &who, false);
		stage_commit(s->stage);
		check_commit(s);
		deliver_sent(s);
		return;
	}
	if (!w->socket.peer && s->up && chance(s, 30))
		worker_connect(s, w);
	while (w->socket.from_coordinator.n && chance(s, 70))
		worker_read(s, w);
	if (s->calm || chance(s, 70))
		worker_work(s, w);
}

static void step_dead(struct sim *s)
{
	for (struct life *w = s->dead, *next; w; w = next) {
		next = w->next;
		/* What it had in work lives on for a while; then the supervisor proves its end. */
		if (!w->proven && (s->calm || chance(s, 10))) {
			for (struct run *r = w->runs; r; r = r->next)
				if (r->task->live == w)
					r->task->live = NULL;
			w->proven = true;
			say(s, "the family of %s.%llu is gone", w->address, (unsigned long long)w->incarnation);
		}
		/* Forgotten only when nobody can ask any more what it had in work. */
		if (w->proven && !w->socket.peer && !w->monitored && s->up && !worker_find(s->stage->c, w->address, w->incarnation) && chance(s, 20))
			life_free(s, w);
	}
}

static void step(struct sim *s)
{
	s->step++;
	stage_clock(s->stage, chance(s, 3) ? some(s, s->calm ? 200000 : 3000) : some(s, 30));
	if (!s->calm && some(s, 1000) < 4) { /* somebody sets the clock */
		uint64_t by_ms = some(s, 1200 * 1000);
		s->stage->wall_ms = chance(s, 50) ? s->stage->wall_ms + by_ms : s->stage->wall_ms - by_ms;
		say(s, "the wall clock is set");
	}
	if (!s->up && (s->calm || chance(s, 20))) {
		stage_restart(s->stage);
		s->up = true;
		say(s, "the coordinator is back, %zu leases", s->stage->c->leases.n);
		deliver_sent(s);
		answer_for_the_forgotten(s);
	}
	for (unsigned i = 0; i < SIM_WORKERS; i++)
		if (s->up || !s->workers[i] || chance(s, 50))
			step_worker(s, i);
	step_dead(s);
	for (unsigned i = 0; i < SIM_CLIENTS; i++) {
		struct sim_client *c = &s->clients[i];
		while (c->socket.from_coordinator.n && chance(s, 70))
			client_read(s, c);
		if (s->calm)
			client_settle(s, c);
		else if (s->up && chance(s, 20))
			client_act(s, c);
	}
	if (s->up)
		turn(s);
	if (s->up && (s->step % 64) == 0)
		check_all(s);
}

static bool at_rest(struct sim *s)
{
	if (s->stage->c->leases.n || s->dead)
		return false;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (s->clients[i].pending || s->clients[i].socket.to_coordinator.n)
			return false;
	for (unsigned q = 0; q < 2; q++) {
		const struct queue *queue = queue_find(s->stage->c, q ? "b" : "a");
		if (queue->r.ready || queue->r.scheduled || queue->r.paused)
			return false;
	}
	return true;
}

/* What never comes to rest, for whoever reads the trace. */
static void say_unrest(struct sim *s)
{
	for (const struct worker *w = s->stage->c->workers; w; w = w->next)
		for (const struct lease *l = w->leases; l; l = l->next)
			say(s, "%s.%llu has token %llu (task %u)%s%s", w->address, (unsigned long long)w->incarnation, (unsigned long long)l->token, (unsigned)(task_of(s, l->id.b) - s->tasks),
			    l->started ? ", begun" : "", l->cancel ? ", cancelled" : "");
	for (unsigned i = 0; i < s->n_tasks; i++) {
		struct sim_task *t = &s->tasks[i];
		Troupe__TaskState state = stage_state_of(s->stage, &t->id);
		const Troupe__StateRecord *st = state == TROUPE__TASK_STATE__TASK_ANY ? NULL : stage_state(s->stage, &t->id);
		if (state == TROUPE__TASK_STATE__TASK_ANY || sched_is_final(state))
			continue;
		say(s, "task %u: state %d, blocked %u, serial %u, role %d, batch %u, %u edges%s", i, (int)state, st ? st->blocked : 0, t->serial, (int)t->role, t->batch, t->n_edges,
		    t->hold ? ", hold" : "");
		for (unsigned k = 0; t->batch && k < s->n_tasks; k++)
			if (s->tasks[k].batch == t->batch)
				say(s, "    of its batch: task %u, role %d, undoes %u, in state %d%s", k, (int)s->tasks[k].role, s->tasks[k].undoes,
				    (int)stage_state_of(s->stage, &s->tasks[k].id), s->tasks[k].retry_asked ? ", retried" : "");
		for (unsigned k = 0; k < t->n_edges; k++)
			say(s, "    after %u (%d), in state %d", t->edges[k].parent, (int)t->edges[k].on, (int)stage_state_of(s->stage, &s->tasks[t->edges[k].parent].id));
	}
}

static void run(uint64_t seed, uint64_t steps, bool verbose, struct sim *s)
{
	*s = (struct sim){ .seed = seed, .verbose = verbose, .next_peer = 10, .next_incarnation = 100 };
	rng_seed(&s->rng, seed);
	s->stage = stage_new(seed);
	s->stage->coordinator_setup.keep_final_ms = DAY_MS;
	for (unsigned q = 0; q < 2; q++)
		s->stage->queues[q]->result_ttl_ms = DAY_MS;
	s->up = true;
	while (s->step < steps)
		step(s);
	s->calm = true;
	say(s, "calm");
	for (uint64_t end = s->step + CALM_STEPS; s->step < end && (!s->up || !at_rest(s));)
		step(s);
	if (!at_rest(s))
		say_unrest(s);
	check_end(s);
	for (unsigned i = 0; i < SIM_WORKERS; i++)
		if (s->workers[i])
			life_free(s, s->workers[i]);
	while (s->dead)
		life_free(s, s->dead);
	for (unsigned i = 0; i < SIM_CLIENTS; i++) {
		client_disconnect(s, &s->clients[i]);
		free(s->clients[i].pending);
	}
	s->stage = stage_free(s->stage);
}

int main(int argc, char **argv)
{
	uint64_t seeds = 100, first = 1, steps = 600, crashes = 0, deaths = 0, attempts = 0, tasks = 0, turns = 0;
	bool verbose = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			verbose = true;
		else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--first") == 0)
			first = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0)
			steps = strtoull(argv[++i], NULL, 10);
		else {
			fprintf(stderr, "usage: queue-sim [--seeds N] [--first SEED] [--steps N] [--trace]\n");
			return 64;
		}
	}
	static struct sim s;
	log_setup("queue-sim", LOG_LOGFMT, LOG_ERROR, 2);
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		run(seed, steps, verbose, &s);
		crashes += s.n_crashes;
		deaths += s.n_deaths;
		attempts += s.n_attempts;
		tasks += s.n_tasks;
		turns += s.n_turns;
	}
	printf("# %llu turns, %llu tasks, %llu attempts, the coordinator died %llu times, workers %llu times\n", (unsigned long long)turns, (unsigned long long)tasks,
	       (unsigned long long)attempts, (unsigned long long)crashes, (unsigned long long)deaths);
	printf("ok 1 - %llu seeds from %llu keep the queue's promises\n1..1\n", (unsigned long long)seeds, (unsigned long long)first);
	return 0;
}
