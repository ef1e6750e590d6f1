/* The promises. I1 nothing acknowledged is lost; I2 nothing from nowhere; I3 (worker.c) one live attempt; I4 a result is that of an attempt that ended well, committed
 * once; I5 final is final; I6 all becomes final; I7 strict order; I8 the store agrees with itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/crew.h"
#include "actors/coordinator/limit.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "common/wire/codec.h"
#include "tests/sim/sim.h"

struct sim_task *task_of(struct sim *s, const uint8_t *id)
{
	uint32_t n = key_read_u32(id + 12);
	if (n >= s->n_tasks || memcmp(s->tasks[n].id.b, id, 16) != 0)
		broken(s, "I2", "a task that nobody has submitted");
	return &s->tasks[n];
}

static bool was_done(const struct sim_task *t, uint64_t token)
{
	for (unsigned i = 0; i < t->n_done; i++)
		if (t->done_tokens[i] == token)
			return true;
	return false;
}

void check_final(struct sim *s, struct sim_task *t, Troupe__TaskState state, uint32_t run, uint64_t token)
{
	unsigned n = (unsigned)(t - s->tasks);
	if (!sched_is_final(state))
		broken(s, "I5", "task %u is told to be final, and is in state %d", n, (int)state);
	if (state == TROUPE__TASK_STATE__DONE && !was_done(t, token))
		broken(s, "I4", "task %u is done by token %llu, which has not ended well", n, (unsigned long long)token);
	bool same = t->final == state && t->final_run == run && t->final_token == token;
	if (t->final && !same && !(t->retry_asked && run >= t->final_run && t->final == TROUPE__TASK_STATE__DEAD))
		broken(s, "I5", "task %u was %d (run %u, token %llu) and is %d (run %u, token %llu)", n, (int)t->final, t->final_run, (unsigned long long)t->final_token, (int)state, run,
		       (unsigned long long)token);
	t->final = state;
	t->final_run = run;
	t->final_token = token;
}

/* --- after every commit --- */

static unsigned queue_index(struct sim *s, const char *name)
{
	if (strcmp(name, "a") != 0 && strcmp(name, "b") != 0)
		broken(s, "I2", "a queue called %s", name);
	return (unsigned)(name[0] - 'a');
}

/* Of a serial key one at a time, and who stands in line before is over. */
static void check_given(struct sim *s, const struct sim_task *t, unsigned queue)
{
	const Troupe__TaskRecord *rec = stage_task(s->stage, &t->id);
	if (!t->serial || !rec)
		return;
	uint64_t seq = rec->seq;
	for (unsigned i = 0; i < s->n_tasks; i++) {
		const struct sim_task *x = &s->tasks[i];
		if (x == t || x->serial != t->serial || x->queue != t->queue || x->delayed || x->n_edges || x->role || x->retry_asked)
			continue;
		const Troupe__TaskRecord *other = stage_task(s->stage, &x->id);
		if (other && other->seq < seq && !sched_is_final(stage_state_of(s->stage, &x->id)))
			broken(s, "I7", "task %u of serial key %u is given before task %u, which came first", (unsigned)(t - s->tasks), t->serial, i);
	}
}

void check_begin(struct sim *s, const struct sim_task *t)
{
	unsigned n = (unsigned)(t - s->tasks);
	for (unsigned i = 0; i < s->n_tasks; i++) {
		const struct sim_task *x = &s->tasks[i];
		if (x == t || !x->live)
			continue;
		if (t->serial && x->serial == t->serial && x->queue == t->queue)
			broken(s, "serial", "tasks %u and %u of serial key %u run at once", n, i, t->serial);
		if (t->batch && x->batch == t->batch && t->role == TROUPE__BATCH_ROLE__COMPENSATION && x->role == TROUPE__BATCH_ROLE__COMPENSATION)
			broken(s, "undo", "compensations %u and %u of one batch run at once", n, i);
	}
	if (!s->up) /* nobody can be asked */
		return;
	for (unsigned i = 0; i < t->n_edges; i++) {
		const struct sim_task *parent = &s->tasks[t->edges[i].parent];
		Troupe__TaskState state = stage_state_of(s->stage, &parent->id);
		if (t->edges[i].on == TROUPE__EDGE_ON__ON_SUCCESS && state != TROUPE__TASK_STATE__DONE)
			broken(s, "edge", "task %u begins, and task %u, which must succeed first, is in state %d", n, t->edges[i].parent, (int)state);
		if (!sched_is_final(state) && !parent->retry_asked)
			broken(s, "edge", "task %u begins, and task %u, which must end first, is in state %d", n, t->edges[i].parent, (int)state);
	}
	if (t->role == TROUPE__BATCH_ROLE__COMPENSATION && stage_state_of(s->stage, &s->tasks[t->undoes].id) != TROUPE__TASK_STATE__DONE)
		broken(s, "undo", "task %u undoes task %u, which was not done", n, t->undoes);
}

static void check_limits(struct sim *s)
{
	unsigned gpus = 0;
	struct stage *g = s->stage;
	for (size_t i = 0; i < g->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(g, &g->sent[i]);
		for (size_t k = 0; env->body_case == TROUPE__ENVELOPE__BODY_RUN && k < env->run->n_tasks; k++) {
			const struct queue *q = queue_find(g->c, env->run->tasks[k]->queue);
			if (q->policy->concurrency && q->r.running > q->policy->concurrency)
				broken(s, "concurrency", "queue %s runs %llu, and may run %u", q->name, (unsigned long long)q->r.running, q->policy->concurrency);
		}
	}
	for (const struct worker *w = g->c->workers; w; w = w->next)
		for (const struct lease *l = w->leases; l; l = l->next)
			gpus += s->tasks[key_read_u32(l->id.b + 12)].gpu;
	if (gpus > SIM_GPUS)
		broken(s, "resources", "%u of %u are in use", gpus, SIM_GPUS);
}

/* I7: whoever got something got the best; and nobody with a free slot stands beside a ready task. */
static void check_order(struct sim *s)
{
	struct stage *g = s->stage;
	bool ready[2] = { false, false }, open[2];
	uint32_t priority[2] = { 0, 0 };
	uint64_t seqs[2] = { 0, 0 };
	struct store_txn *view;
	if (store_read(g->store, &view))
		broken(s, "store", "cannot be read");
	for (unsigned q = 0; q < 2; q++) {
		const struct queue *queue = queue_find(g->c, q ? "b" : "a");
		uint8_t from[20] = { 0 };
		struct slice key, value;
		uint64_t wait_ms;
		open[q] = !s->paused[q] && limit_queue(g->c, queue, steady_at(&g->c->steady, g->turn), &wait_ms);
		key_u32(from, queue->r.number);
		/* Of those that any worker may take. */
		if (store_seek(view, T_READY, SLICE(from, sizeof from), false, &key, &value) == 0 && key_read_u32(key.data) == queue->r.number &&
		    key_read_u32((const uint8_t *)key.data + 4) == 0) {
			ready[q] = true;
			priority[q] = key_read_u32((const uint8_t *)key.data + 8);
			seqs[q] = key_read_u64((const uint8_t *)key.data + 12);
		}
	}
	store_read_end(view);
	for (size_t i = 0; i < g->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(g, &g->sent[i]);
		for (size_t k = 0; env->body_case == TROUPE__ENVELOPE__BODY_RUN && k < env->run->n_tasks; k++) {
			const Troupe__Assignment *a = env->run->tasks[k];
			unsigned q = queue_index(s, a->queue);
			const struct sim_task *t = task_of(s, a->id.data);
			uint32_t own = task_rank(stage_task(g, &t->id));
			check_given(s, t, q);
			if (s->paused[q])
				broken(s, "pause", "task %u is given while its queue is paused", (unsigned)(t - s->tasks));
			for (unsigned other = 0; other < 2; other++)
				if (ready[other] && open[other] && priority[other] < own)
					broken(s, "I7", "task %u of priority %u of queue %u is given, #%llu of %u in queue %u waits", (unsigned)(t - s->tasks), own, q, (unsigned long long)seqs[other], priority[other], other);
		}
	}
	for (const struct worker *w = g->c->workers; w; w = w->next)
		for (unsigned q = 0; q < 2; q++)
			if (worker_may_work(w) && w->held < w->slots && ready[q] && open[q])
				broken(s, "I6", "%s has a free slot, and queue %u has work", w->address, q);
}

void check_commit(struct sim *s)
{
	struct stage *g = s->stage;
	for (unsigned q = 0; q < 2; q++)
		s->paused[q] = queue_find(g->c, q ? "b" : "a")->r.paused;
	check_order(s);
	check_limits(s);
}

/* --- every task --- */

static void check_task(struct sim *s, struct sim_task *t)
{
	struct stage *g = s->stage;
	unsigned n = (unsigned)(t - s->tasks);
	arena_reset(g->arena);
	Troupe__TaskState state = stage_state_of(g, &t->id);
	if (state == TROUPE__TASK_STATE__TASK_ANY) {
		if (t->acked)
			broken(s, "I1", "task %u was acknowledged and is not there", n);
		return;
	}
	if (!sched_is_final(state)) {
		if (t->final && !t->retry_asked)
			broken(s, "I5", "task %u was final (%d) and is in state %d", n, (int)t->final, (int)state);
		return;
	}
	const Troupe__StateRecord *st = stage_state(g, &t->id);
	check_final(s, t, state, st->run, st->token);
	if (state != TROUPE__TASK_STATE__DONE)
		return;
	char want[32];
	size_t len = (size_t)snprintf(want, sizeof want, "result of %llu", (unsigned long long)st->token);
	if (!st->outcome || st->outcome->output.len != len || memcmp(st->outcome->output.data, want, len) != 0)
		broken(s, "I4", "task %u does not have the result of its token %llu", n, (unsigned long long)st->token);
}

static void check_unique(struct sim *s)
{
	bool held[2][16] = { { false } };
	for (unsigned i = 0; i < s->n_tasks; i++) {
		struct sim_task *t = &s->tasks[i];
		if (!t->key)
			continue;
		arena_reset(s->stage->arena);
		Troupe__TaskState state = stage_state_of(s->stage, &t->id);
		if (state == TROUPE__TASK_STATE__TASK_ANY || sched_is_final(state) || t->retry_asked)
			continue;
		if (held[t->queue][t->key])
			broken(s, "unique", "two tasks that are not final have key %u", t->key);
		held[t->queue][t->key] = true;
	}
}

void check_all(struct sim *s)
{
	static const struct who me = { .peer = 1 };
	uint64_t there = 0;
	for (unsigned i = 0; i < s->n_tasks; i++) {
		check_task(s, &s->tasks[i]);
		there += stage_task(s->stage, &s->tasks[i].id) != NULL;
	}
	check_unique(s);
	const Troupe__StoreChecked *answer = stage_check(s->stage, &me);
	if (!answer && s->stage->refusal.code == ERROR_BUSY) { /* something became due in its turn, and may have been given to a worker */
		deliver_sent(s);
		answer = stage_check(s->stage, &me);
	}
	if (!answer)
		broken(s, "I8", "the store cannot be checked: %s", s->stage->refusal.text);
	if (answer->problems)
		broken(s, "I8", "%s", answer->n_lines ? answer->lines[0] : "a problem");
	if (answer->tasks != there)
		broken(s, "I2", "%llu tasks are in the store, %llu of them were submitted", (unsigned long long)answer->tasks, (unsigned long long)there);
}

void check_end(struct sim *s)
{
	check_all(s);
	for (unsigned i = 0; i < s->n_tasks; i++) {
		struct sim_task *t = &s->tasks[i];
		if (t->acked && !t->final)
			broken(s, "I6", "task %u was acknowledged and is not final at rest: state %d", i, (int)stage_state_of(s->stage, &t->id));
	}
	if (s->stage->c->leases.n)
		broken(s, "I8", "%zu leases at rest", s->stage->c->leases.n);
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (s->clients[i].pending)
			broken(s, "I6", "client %u has no answer", i);
}
