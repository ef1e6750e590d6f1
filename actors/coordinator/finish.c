/* From one state of a task to another: the rows that go, the rows that come, the counters, the log, and who must hear of it. Every change of a task but its birth
 * and its assignment goes through move(). */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/log.h"

/* What the rows of a task are keyed by, without its payload. */
struct place {
	struct id id;
	struct queue *queue;
	uint64_t seq, submitted_at_ms;
	uint32_t priority, requirement;
	const Troupe__TaskSpec *spec; /* NULL: a plain task that ended well, whose record nobody needed to read */
	const char *submitter;
};

static struct slice id_slice(struct turn *t, const struct id *id)
{
	void *copy = arena_copy(turn_arena(t), id->b, sizeof id->b);
	return SLICE(copy, copy ? sizeof id->b : 0);
}

Troupe__TaskState task_state(const Troupe__StateRecord *st, const struct lease *l)
{
	return l ? TROUPE__TASK_STATE__RUNNING : st->state;
}

int task_read(struct turn *t, struct coordinator *c, const struct id *id, Troupe__TaskRecord **ret, Troupe__StateRecord **ret_state, struct lease **ret_lease)
{
	Troupe__LeaseRecord *lease;
	*ret_lease = NULL;
	int r = task_get(t, id, ret);
	if (!r)
		r = state_get(t, id, ret_state);
	if (r)
		return r;
	r = row_get(t, T_LEASE, id_key(id), &troupe__lease_record__descriptor, (ProtobufCMessage **)&lease);
	if (r == ERROR_NOT_FOUND)
		return 0;
	if (!r)
		*ret_lease = lease_find(&c->leases, lease->token);
	return r;
}

int due_put(struct turn *t, struct coordinator *c, uint64_t at_wall_ms, uint64_t seq, const struct id *id)
{
	struct slice key = key_due(turn_arena(t), at_wall_ms, seq), value = id_slice(t, id);
	if (!key.data || !value.data)
		return -ENOMEM;
	if (at_wall_ms < c->due_wall_ms)
		c->due_wall_ms = at_wall_ms;
	return turn_put(t, T_DUE, key, value);
}

/* --- the rows of a state --- */

static uint64_t *counter_of(struct queue *q, Troupe__TaskState s)
{
	static uint64_t nowhere;
	switch (s) {
	case TROUPE__TASK_STATE__SCHEDULED:
		return &q->r.scheduled;
	case TROUPE__TASK_STATE__READY:
		return &q->r.ready;
	case TROUPE__TASK_STATE__RUNNING:
		return &q->r.running;
	case TROUPE__TASK_STATE__DONE:
		return &q->r.done;
	case TROUPE__TASK_STATE__CANCELLED:
		return &q->r.cancelled;
	case TROUPE__TASK_STATE__DEAD:
		return &q->r.dead;
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return &nowhere;
}

/* A task that was accepted, or came back, in this turn is ready without a row. */
static bool fresh_drop(struct coordinator *c, const struct place *p)
{
	struct stream *s = stream_of(c, p->queue, p->requirement);
	for (size_t i = 0; s && i < s->fresh.n; i++)
		if (id_equal(&s->fresh.all[i].id, &p->id)) {
			memmove(&s->fresh.all[i], &s->fresh.all[i + 1], (s->fresh.n - i - 1) * sizeof *s->fresh.all);
			s->fresh.n--;
			return true;
		}
	return false;
}

static int leave(struct turn *t, struct coordinator *c, const struct place *p, Troupe__TaskState was, uint64_t was_due_ms)
{
	uint64_t *n = counter_of(p->queue, was);
	*n -= *n > 0;
	p->queue->changed = true;
	switch (was) {
	case TROUPE__TASK_STATE__READY:
		return fresh_drop(c, p) ? 0 : turn_delete(t, T_READY, key_ready(turn_arena(t), p->queue->r.number, p->requirement, p->priority, p->seq));
	case TROUPE__TASK_STATE__SCHEDULED:
		return turn_delete(t, T_DUE, key_due(turn_arena(t), was_due_ms, p->seq));
	case TROUPE__TASK_STATE__RUNNING:
		return turn_delete(t, T_LEASE, id_slice(t, &p->id));
	case TROUPE__TASK_STATE__DEAD:
		return turn_delete(t, T_DEAD, key_dead(turn_arena(t), p->queue->r.number, p->seq));
	case TROUPE__TASK_STATE__DONE:
	case TROUPE__TASK_STATE__CANCELLED:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return 0;
}

/* The key is free again, unless its window lasts. Nobody else's row is touched: by now the key may be another task's. */
static int unique_release(struct turn *t, struct coordinator *c, const struct place *p)
{
	if (!p->spec || !*p->spec->unique_key)
		return 0;
	uint64_t until_ms = p->spec->unique_window_ms ? p->submitted_at_ms + p->spec->unique_window_ms : 0;
	if (until_ms > turn_wall_ms(t))
		return due_put(t, c, until_ms, p->seq, &p->id);
	struct slice value, key = key_unique(turn_arena(t), p->queue->r.number, p->spec->unique_key);
	int r = key.data ? turn_get(t, T_UNIQUE, key, &value) : -ENOMEM;
	if (r == ERROR_NOT_FOUND || (!r && (value.len != sizeof p->id.b || memcmp(value.data, p->id.b, sizeof p->id.b) != 0)))
		return 0;
	return r == 0 || r == ERROR_CORRUPT ? turn_delete(t, T_UNIQUE, key) : r;
}

static bool state_says_nothing(const Troupe__StateRecord *st)
{
	return st->state == TROUPE__TASK_STATE__READY && st->run == 1 && !st->attempts && !st->history;
}

static int enter(struct turn *t, struct coordinator *c, const struct place *p, Troupe__StateRecord *st)
{
	int r;
	++*counter_of(p->queue, st->state);
	p->queue->changed = true;
	if (st->state != TROUPE__TASK_STATE__SCHEDULED)
		st->due_at_ms = 0;
	r = state_says_nothing(st) ? turn_delete(t, T_STATE, id_slice(t, &p->id)) : row_put(t, T_STATE, id_slice(t, &p->id), &st->base);
	if (r)
		return r;
	switch (st->state) {
	case TROUPE__TASK_STATE__READY: {
		struct stream *s = stream_of(c, p->queue, p->requirement);
		struct candidate one = { .id = p->id, .seq = p->seq, .priority = p->priority, .first = state_says_nothing(st) };
		return s ? fresh_add(c, s, &one) : -ENOMEM;
	}
	case TROUPE__TASK_STATE__SCHEDULED:
		return due_put(t, c, st->due_at_ms, p->seq, &p->id);
	case TROUPE__TASK_STATE__DEAD: {
		struct slice key = key_dead(turn_arena(t), p->queue->r.number, p->seq);
		r = key.data ? turn_put(t, T_DEAD, key, id_slice(t, &p->id)) : -ENOMEM;
		break;
	}
	case TROUPE__TASK_STATE__DONE:
	case TROUPE__TASK_STATE__CANCELLED:
	case TROUPE__TASK_STATE__RUNNING:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	if (!r)
		r = unique_release(t, c, p);
	return r ? r : watch_final(t, c, &p->id, p->queue, p->seq, st, p->submitter);
}

static Troupe__TransitionKind kind_of(const Troupe__StateRecord *st, Troupe__TaskState was)
{
	switch (st->state) {
	case TROUPE__TASK_STATE__SCHEDULED:
		return TROUPE__TRANSITION_KIND__T_SCHEDULED;
	case TROUPE__TASK_STATE__READY:
		return sched_is_final(was) ? TROUPE__TRANSITION_KIND__T_RETRIED : TROUPE__TRANSITION_KIND__T_READY;
	case TROUPE__TASK_STATE__DONE:
		return TROUPE__TRANSITION_KIND__T_DONE;
	case TROUPE__TASK_STATE__CANCELLED:
		return TROUPE__TRANSITION_KIND__T_CANCELLED;
	case TROUPE__TASK_STATE__DEAD:
		return st->cause == TROUPE__CAUSE__EXPIRED ? TROUPE__TRANSITION_KIND__T_EXPIRED : TROUPE__TRANSITION_KIND__T_DEAD;
	case TROUPE__TASK_STATE__RUNNING:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return TROUPE__TRANSITION_KIND__T_NONE;
}

static int move(struct turn *t, struct coordinator *c, const struct place *p, Troupe__StateRecord *st, Troupe__TaskState was, uint64_t was_due_ms)
{
	Troupe__ExitClass ended = st->outcome ? st->outcome->exit_class : TROUPE__EXIT_CLASS__EXIT_NONE;
	int r = leave(t, c, p, was, was_due_ms);
	if (!r)
		r = enter(t, c, p, st);
	return r ? r : log_add(c, &p->id, kind_of(st, was), sched_is_final(st->state) ? ended : 0, st->attempts, p->queue);
}

int task_move(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, Troupe__TaskState was)
{
	struct place p = { .id = *id, .queue = queue_numbered(c, rec->queue), .seq = rec->seq, .submitted_at_ms = rec->submitted_at_ms,
		           .priority = sched_priority(rec->spec), .requirement = rec->requirement, .spec = rec->spec, .submitter = rec->submitter };
	if (!p.queue)
		return -EIO;
	uint64_t was_due_ms = st->due_at_ms;
	if (sched_is_final(st->state) && !sched_is_final(was))
		st->finished_at_ms = turn_wall_ms(t);
	return move(t, c, &p, st, was, was_due_ms);
}

/* --- the end of an attempt --- */

static struct place place_of_lease(const struct lease *l)
{
	return (struct place){ .id = l->id, .queue = l->queue, .seq = l->seq, .priority = l->priority, .requirement = l->requirement };
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
	static const Troupe__TaskSpec nothing = TROUPE__TASK_SPEC__INIT;
	Troupe__TaskRecord *rec;
	int r = task_get(t, &l->id, &rec);
	if (r < 0)
		return r;
	p->spec = r ? &nothing : rec->spec;
	p->submitted_at_ms = r ? 0 : rec->submitted_at_ms;
	p->submitter = r ? "" : rec->submitter;
	return 0;
}

static int keep_attempt(struct turn *t, const struct lease *l, Troupe__StateRecord *st, Troupe__Outcome *o, bool counted)
{
	Troupe__Attempt a = TROUPE__ATTEMPT__INIT;
	a.run = l->run;
	a.attempt = l->attempt;
	a.token = l->token;
	a.worker = l->worker->address;
	a.incarnation = l->worker->incarnation;
	a.started_at_ms = l->started_at_ms ? l->started_at_ms : l->given_at_ms;
	a.ended_at_ms = turn_wall_ms(t);
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
static void settle_state(struct turn *t, Troupe__StateRecord *st, const struct sched_verdict *v)
{
	switch (v->next) {
	case SCHED_DONE:
		st->state = TROUPE__TASK_STATE__DONE;
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
		st->due_at_ms = v->delay_ms ? turn_wall_ms(t) + v->delay_ms : 0;
		break;
	case SCHED_RETURN:
		st->state = TROUPE__TASK_STATE__READY;
		break;
	}
}

int attempt_end(struct turn *t, struct coordinator *c, struct lease *l, const Troupe__Outcome *o, bool quick)
{
	struct place p = place_of_lease(l);
	struct queue *q = l->queue;
	Troupe__StateRecord *st;
	Troupe__Outcome kept = *o;
	bool done = o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE;
	int r = read_state(t, l, &st);
	if (!r && (!done || l->has_unique))
		r = read_record(t, l, &p);
	if (r)
		return r;

	struct sched_verdict v = { .next = SCHED_DONE, .counted = true };
	if (!done) {
		struct sched_policy policy;
		sched_policy_of(p.spec, q->policy, &policy);
		bool late = p.spec->deadline_at_ms && turn_wall_ms(t) >= p.spec->deadline_at_ms;
		v = sched_judge(&policy, o, st->attempts, st->crashes, l->cancel, late, &c->rng);
		if (quick)
			v.delay_ms = 0;
		kept.output = (ProtobufCBinaryData){ 0, NULL };
		if ((r = keep_attempt(t, l, st, &kept, v.counted)))
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
	st->cancel_requested = l->cancel;
	settle_state(t, st, &v);
	if (sched_is_final(st->state))
		st->finished_at_ms = turn_wall_ms(t);
	q->r.completed_total += done;
	q->r.failed_total += !done && v.counted;
	q->r.retried_total += v.next == SCHED_AGAIN;
	worker_learn(l->worker, o);
	r = move(t, c, &p, st, TROUPE__TASK_STATE__RUNNING, 0);
	lease_free(&c->leases, l);
	return r;
}

int attempt_return(struct turn *t, struct coordinator *c, struct lease *l)
{
	struct place p = place_of_lease(l);
	Troupe__StateRecord *st;
	int r = read_state(t, l, &st);
	if (!r && l->cancel)
		r = read_record(t, l, &p);
	if (!r)
		r = log_add(c, &l->id, TROUPE__TRANSITION_KIND__T_RETURNED, 0, l->attempt, l->queue);
	if (r)
		return r;
	st->state = l->cancel ? TROUPE__TASK_STATE__CANCELLED : TROUPE__TASK_STATE__READY;
	if (l->cancel)
		st->finished_at_ms = turn_wall_ms(t);
	c->n_handed_back++;
	r = move(t, c, &p, st, TROUPE__TASK_STATE__RUNNING, 0);
	lease_free(&c->leases, l);
	return r;
}

/* --- the end of a record --- */

int task_delete(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	struct queue *q = queue_numbered(c, rec->queue);
	struct slice key = id_slice(t, id);
	if (!q || !key.data)
		return q ? -ENOMEM : -EIO;
	struct place p = { .id = *id, .queue = q, .seq = rec->seq, .spec = rec->spec };
	int r = unique_release(t, c, &p);
	if (!r)
		r = leave(t, c, &p, st->state, 0);
	if (!r)
		r = turn_delete(t, T_TASK, key);
	if (!r)
		r = turn_delete(t, T_STATE, key);
	if (!r)
		r = turn_delete(t, T_SEQ, key_u64_of(turn_arena(t), rec->seq));
	for (uint32_t n = st->history > HISTORY_KEEP ? st->history - HISTORY_KEEP : 0; n < st->history && !r; n++)
		r = turn_delete(t, T_ATTEMPT, key_attempt(turn_arena(t), id, n));
	return r;
}
