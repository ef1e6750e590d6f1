/* The end of an attempt, and of a lease that never became one. */
#include "actors/coordinator/finish.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "common/base/log.h"

static struct place place_of_lease(const struct lease *l)
{
	return (struct place){ .id = l->id, .queue = l->queue, .seq = l->seq, .rank = l->rank, .requirement = l->requirement, .size = l->size };
}

static int read_state(struct turn *t, const struct lease *l, Troupe__StateRecord **ret)
{
	if (l->has_state) {
		int r = state_get(t, &l->id, ret);
		if (r != ERROR_CORRUPT)
			return r;
		log_error("the state of a task is damaged: it begins anew", LOG_U("seq", l->seq));
	}
	if (!(*ret = arena_alloc(turn_arena(t), sizeof **ret)))
		return -ENOMEM;
	troupe__state_record__init(*ret);
	(*ret)->state = TROUPE__TASK_STATE__READY;
	(*ret)->run = l->run;
	return 0;
}

/* The record of a task, into p. One that cannot be read leaves what the lease knows. */
static int read_record(struct turn *t, const struct lease *l, struct place *p)
{
	static Troupe__TaskSpec nothing = TROUPE__TASK_SPEC__INIT;
	Troupe__TaskRecord *rec;
	int r = task_get(t, &l->id, &rec);
	if (r < 0)
		return r;
	if (r) {
		if (!(rec = arena_alloc(turn_arena(t), sizeof *rec)))
			return -ENOMEM;
		troupe__task_record__init(rec);
		rec->spec = &nothing;
	}
	p->rec = rec;
	p->submitted_at_ms = rec->submitted_at_ms;
	return 0;
}

static int keep_attempt(struct turn *t, const struct coordinator *c, const struct lease *l, Troupe__StateRecord *st, Troupe__Outcome *o, bool counted)
{
	Troupe__Attempt a = TROUPE__ATTEMPT__INIT;
	a.run = l->run;
	a.attempt = l->attempt;
	a.token = l->token;
	a.worker = l->worker->address;
	a.incarnation = l->worker->incarnation;
	a.started_at_ms = l->started_at_ms ? l->started_at_ms : l->given_at_ms;
	a.ended_at_ms = steady_at(&c->steady, t);
	a.outcome = o;
	a.counted = counted;
	int r = row_put(t, T_ATTEMPT, key_attempt(turn_arena(t), &l->id, st->history), &a.base);
	if (!r && st->history >= HISTORY_KEEP)
		r = turn_delete(t, T_ATTEMPT, key_attempt(turn_arena(t), &l->id, st->history - HISTORY_KEEP));
	st->history++;
	return r;
}

static void worker_learn(struct worker *w, const Troupe__Outcome *o)
{
	bool done = o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE;
	w->n_done += done;
	w->n_failed += !done;
	double us = o->run_us ? (double)o->run_us : 1.0;
	if (done)
		w->average_us = w->average_us > 0.0 ? w->average_us + (us - w->average_us) / 16.0 : us;
}

/* What the verdict makes of the state. */
static void settle_state(struct turn *t, const struct coordinator *c, Troupe__StateRecord *st, const struct sched_verdict *v)
{
	switch (v->next) {
	case SCHED_DONE:
		st->state = TROUPE__TASK_STATE__DONE;
		st->cause = TROUPE__CAUSE__CAUSE_NONE;
		break;
	case SCHED_CANCELLED:
		st->state = TROUPE__TASK_STATE__CANCELLED;
		break;
	case SCHED_DEAD:
		st->state = TROUPE__TASK_STATE__DEAD;
		st->cause = v->cause;
		break;
	case SCHED_AGAIN:
		st->state = v->delay_ms ? TROUPE__TASK_STATE__SCHEDULED : TROUPE__TASK_STATE__READY;
		st->due_at_ms = v->delay_ms ? steady_at(&c->steady, t) + v->delay_ms : 0;
		break;
	case SCHED_RETURN:
		st->state = TROUPE__TASK_STATE__READY;
		break;
	}
	if (sched_is_final(st->state))
		st->finished_at_ms = steady_at(&c->steady, t);
}

/* Out of the lease, into what st says. The lease is freed. */
static int end_lease(struct turn *t, struct coordinator *c, struct lease *l, struct place *p, Troupe__StateRecord *st)
{
	int r = place_leave(t, c, p, TROUPE__TASK_STATE__RUNNING, st);
	if (!r)
		r = place_enter(t, c, p, st);
	if (!r)
		r = place_log(c, p, st, TROUPE__TASK_STATE__RUNNING);
	lease_free(c, l);
	return r;
}

int attempt_end(struct turn *t, struct coordinator *c, struct lease *l, const Troupe__Outcome *o, bool quick)
{
	struct place p = place_of_lease(l);
	struct queue *q = l->queue;
	Troupe__StateRecord *st;
	Troupe__Outcome kept = *o;
	bool done = o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE;
	int r = read_state(t, l, &st);
	if (!r && (!done || l->needs_record))
		r = read_record(t, l, &p);
	if (r)
		return r;

	struct sched_verdict v = { .next = SCHED_DONE, .counted = true };
	if (!done) {
		struct sched_policy policy;
		sched_policy_of(p.rec->spec, q->policy, &policy);
		bool late = p.rec->deadline_at_ms && steady_at(&c->steady, t) >= p.rec->deadline_at_ms;
		v = sched_judge(&policy, o, st->attempts, st->crashes, l->cancel, late, &c->rng);
		if (quick)
			v.delay_ms = 0;
		kept.output = (ProtobufCBinaryData){ 0, NULL };
		if ((r = keep_attempt(t, c, l, st, &kept, v.counted)))
			return r;
		kept.stderr_tail = (ProtobufCBinaryData){ 0, NULL }; /* it is in the attempt's row */
		if ((r = log_add(c, &l->id, v.counted ? TROUPE__TRANSITION_KIND__T_FAILED : TROUPE__TRANSITION_KIND__T_LOST, o->exit_class, l->attempt, q)))
			return r;
	}
	kept.token = 0; /* said by what holds the outcome */
	kept.id = (ProtobufCBinaryData){ 0, NULL };
	st->token = l->token;
	st->worker = l->worker->address;
	st->started_at_ms = l->started_at_ms ? l->started_at_ms : l->given_at_ms;
	st->attempts += v.counted;
	st->crashes += v.crash;
	st->outcome = &kept;
	st->cancel_requested = l->cancel && !l->cause;
	settle_state(t, c, st, &v);
	if (v.next == SCHED_CANCELLED)
		st->cause = l->cause;
	q->r.completed_total += done;
	q->r.failed_total += !done && v.counted;
	q->r.retried_total += v.next == SCHED_AGAIN;
	worker_learn(l->worker, o);
	return end_lease(t, c, l, &p, st);
}

int attempt_return(struct turn *t, struct coordinator *c, struct lease *l)
{
	struct place p = place_of_lease(l);
	Troupe__StateRecord *st;
	int r = read_state(t, l, &st);
	if (!r && (l->cancel || l->needs_record))
		r = read_record(t, l, &p);
	if (!r)
		r = log_add(c, &l->id, TROUPE__TRANSITION_KIND__T_RETURNED, 0, l->attempt, l->queue);
	if (r)
		return r;
	st->state = l->cancel ? TROUPE__TASK_STATE__CANCELLED : TROUPE__TASK_STATE__READY;
	if (l->cancel) {
		st->cause = l->cause;
		st->finished_at_ms = steady_at(&c->steady, t);
	}
	c->n_handed_back++;
	return end_lease(t, c, l, &p, st);
}
