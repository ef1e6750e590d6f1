/* From one state of a task to another: the rows that go, the rows that come, the counters, the log, and who must hear of it. Every change of a task but its birth
 * and its assignment goes through here. */
#include "actors/coordinator/move.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/batch.h"
#include "actors/coordinator/blob.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "actors/coordinator/wait.h"

Troupe__TaskState task_state(const Troupe__StateRecord *st, const struct lease *l)
{
	return l ? TROUPE__TASK_STATE__RUNNING : st->state;
}

uint32_t task_rank(const Troupe__TaskRecord *rec)
{
	return rec->aged ? rec->rank : sched_priority(rec->spec);
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

struct place place_of(struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec)
{
	return (struct place){ .id = *id, .queue = queue_numbered(c, rec->queue), .seq = rec->seq, .submitted_at_ms = rec->submitted_at_ms, .size = spec_size(rec->spec),
		               .rank = task_rank(rec), .requirement = rec->requirement, .rec = rec };
}

/* --- out of a state --- */

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

static int leave_ready(struct turn *t, struct coordinator *c, struct place *p)
{
	bool waited;
	int r = key_leave(t, c, p, &waited);
	struct stream *s = r || waited ? NULL : stream_of(c, p->queue, p->requirement);
	if (r || waited || fresh_drop(s, &p->id))
		return r;
	if (s)
		stream_touch(s, p->rank, p->seq);
	return turn_delete(t, T_READY, key_ready(turn_arena(t), p->queue->r.number, p->requirement, p->rank, p->seq));
}

static int leave_scheduled(struct turn *t, struct place *p, const Troupe__StateRecord *st)
{
	p->holds = st->holds_key;
	if (st->blocked)
		return 0;
	if (st->at_wall_ms)
		return turn_delete(t, T_AT, key_due(turn_arena(t), st->at_wall_ms, p->seq));
	return st->due_at_ms ? turn_delete(t, T_DUE, key_due(turn_arena(t), st->due_at_ms, p->seq)) : 0;
}

int place_leave(struct turn *t, struct coordinator *c, struct place *p, Troupe__TaskState was, const Troupe__StateRecord *st)
{
	uint64_t *n = counter_of(p->queue, was);
	*n -= *n > 0;
	p->queue->changed = true;
	if (!sched_is_final(was))
		p->queue->r.bytes -= p->size < p->queue->r.bytes ? p->size : p->queue->r.bytes;
	switch (was) {
	case TROUPE__TASK_STATE__READY:
		return leave_ready(t, c, p);
	case TROUPE__TASK_STATE__SCHEDULED:
		return leave_scheduled(t, p, st);
	case TROUPE__TASK_STATE__RUNNING:
		p->holds = p->rec && *p->rec->spec->serial_key;
		return turn_delete(t, T_LEASE, id_key_copy(turn_arena(t), &p->id));
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

/* --- into a state --- */

/* The key is free again, unless its window lasts. Nobody else's row is touched: by now the key may be another task's. */
static int unique_release(struct turn *t, struct coordinator *c, const struct place *p)
{
	if (!p->rec || !*p->rec->spec->unique_key)
		return 0;
	const Troupe__TaskSpec *spec = p->rec->spec;
	uint64_t until_ms = spec->unique_window_ms ? p->submitted_at_ms + spec->unique_window_ms : 0;
	if (until_ms > steady_at(&c->steady, t))
		return due_put(t, c, until_ms, p->seq, &p->id);
	struct slice value, key = key_unique(turn_arena(t), p->queue->r.number, spec->unique_key);
	int r = key.data ? turn_get(t, T_UNIQUE, key, &value) : -ENOMEM;
	if (r == ERROR_NOT_FOUND || (!r && (value.len != sizeof p->id.b || memcmp(value.data, p->id.b, sizeof p->id.b) != 0)))
		return 0;
	return r == 0 || r == ERROR_CORRUPT ? turn_delete(t, T_UNIQUE, key) : r;
}

static bool state_says_nothing(const Troupe__StateRecord *st)
{
	return st->state == TROUPE__TASK_STATE__READY && st->run == 1 && !st->attempts && !st->history && !st->has_children && !st->crashes;
}

static int state_put(struct turn *t, const struct place *p, const Troupe__StateRecord *st)
{
	struct slice key = id_key_copy(turn_arena(t), &p->id);
	return state_says_nothing(st) ? turn_delete(t, T_STATE, key) : row_put(t, T_STATE, key, &st->base);
}

static int enter_ready(struct turn *t, struct coordinator *c, struct place *p, Troupe__StateRecord *st)
{
	struct stream *s = stream_of(c, p->queue, p->requirement);
	struct candidate one = { .id = p->id, .seq = p->seq, .rank = p->rank, .first = state_says_nothing(st) };
	bool go;
	int r = key_enter(t, c, p, &go);
	if (r || !go)
		return r;
	return s ? fresh_add(c, s, &one) : -ENOMEM;
}

static int enter_scheduled(struct turn *t, struct coordinator *c, struct place *p, Troupe__StateRecord *st)
{
	int r = 0;
	st->holds_key = p->holds && key_serial(p->queue); /* the order of a serial key outlives a failed attempt */
	if (p->holds && !st->holds_key)
		r = key_release(t, c, p);
	if (r || st->blocked)
		return r;
	return st->at_wall_ms ? at_put(t, c, st->at_wall_ms, p->seq, id_key(&p->id)) : due_put(t, c, st->due_at_ms, p->seq, &p->id);
}

static int enter_final(struct turn *t, struct coordinator *c, struct place *p, const Troupe__StateRecord *st)
{
	int r = key_release(t, c, p);
	p->queue->r.dropped_total += st->cause == TROUPE__CAUSE__DROPPED;
	if (!r && st->state == TROUPE__TASK_STATE__DEAD)
		r = row_put_id(t, T_DEAD, key_dead(turn_arena(t), p->queue->r.number, p->seq), &p->id);
	if (!r)
		r = unique_release(t, c, p);
	if (!r && st->has_children)
		r = edges_ended(c, p);
	if (!r && p->rec && p->rec->batch.len)
		r = batch_tell(c, p, st->state);
	return r ? r : watch_final(t, c, &p->id, p->queue, p->seq, st, p->rec ? p->rec->submitter : NULL);
}

int place_enter(struct turn *t, struct coordinator *c, struct place *p, Troupe__StateRecord *st)
{
	int r = 0;
	++*counter_of(p->queue, st->state);
	p->queue->changed = true;
	if (!sched_is_final(st->state))
		p->queue->r.bytes += p->size;
	if (st->state != TROUPE__TASK_STATE__SCHEDULED)
		st->due_at_ms = st->at_wall_ms = st->blocked = 0;
	bool held = st->holds_key;
	st->holds_key = false;
	switch (st->state) {
	case TROUPE__TASK_STATE__READY:
		p->holds |= held;
		r = enter_ready(t, c, p, st);
		break;
	case TROUPE__TASK_STATE__SCHEDULED:
		r = enter_scheduled(t, c, p, st);
		break;
	case TROUPE__TASK_STATE__DONE:
	case TROUPE__TASK_STATE__CANCELLED:
	case TROUPE__TASK_STATE__DEAD:
		r = enter_final(t, c, p, st);
		break;
	case TROUPE__TASK_STATE__RUNNING:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return r ? r : state_put(t, p, st);
}

/* --- from one to the other --- */

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
		return st->cause == TROUPE__CAUSE__DROPPED ? TROUPE__TRANSITION_KIND__T_DROPPED : TROUPE__TRANSITION_KIND__T_CANCELLED;
	case TROUPE__TASK_STATE__DEAD:
		return st->cause == TROUPE__CAUSE__EXPIRED ? TROUPE__TRANSITION_KIND__T_EXPIRED : TROUPE__TRANSITION_KIND__T_DEAD;
	case TROUPE__TASK_STATE__RUNNING:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return TROUPE__TRANSITION_KIND__T_NONE;
}

int place_log(struct coordinator *c, const struct place *p, const Troupe__StateRecord *st, Troupe__TaskState was)
{
	Troupe__ExitClass ended = st->outcome && sched_is_final(st->state) ? st->outcome->exit_class : TROUPE__EXIT_CLASS__EXIT_NONE;
	return log_add(c, &p->id, kind_of(st, was), ended, st->attempts, p->queue);
}

int task_move(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, Troupe__TaskState was)
{
	struct place p = place_of(c, id, rec);
	Troupe__StateRecord before = *st;
	if (!p.queue)
		return -EIO;
	if (sched_is_final(st->state) && !sched_is_final(was))
		st->finished_at_ms = steady_at(&c->steady, t);
	if (st->state != TROUPE__TASK_STATE__SCHEDULED)
		st->holds_key = false; /* the place knows */
	int r = place_leave(t, c, &p, was, &before);
	if (!r && sched_is_final(was) && !sched_is_final(st->state) && rec->batch.len)
		r = batch_tell(c, &p, st->state);
	if (!r)
		r = place_enter(t, c, &p, st);
	return r ? r : place_log(c, &p, st, was);
}

int task_cancel(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, Troupe__Cause cause)
{
	Troupe__Abort a = TROUPE__ABORT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TaskState was = task_state(st, l);
	if (sched_is_final(was) || (l && l->cancel))
		return 0;
	if (!l) {
		st->state = TROUPE__TASK_STATE__CANCELLED;
		st->cause = cause;
		st->cancel_requested = cause == TROUPE__CAUSE__CAUSE_NONE;
		return task_move(t, c, id, rec, st, was);
	}
	a.tokens = &l->token;
	a.n_tokens = 1;
	a.why = (char *)"cancelled";
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = &a;
	l->cancel = true;
	l->cause = cause;
	int r = lease_put(t, l);
	if (!r)
		r = log_add(c, id, TROUPE__TRANSITION_KIND__T_CANCEL_ASKED, 0, l->attempt, l->queue);
	return r ? r : worker_push(t, l->worker, &env);
}

/* --- the end of a record --- */

int task_delete(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	struct slice key = id_key_copy(turn_arena(t), id);
	struct place p = place_of(c, id, rec);
	if (!p.queue || !key.data)
		return p.queue ? -ENOMEM : -EIO;
	int r = unique_release(t, c, &p);
	if (!r)
		r = place_leave(t, c, &p, st->state, st);
	if (!r && rec->batch.len)
		r = batch_forget(t, c, &p);
	if (!r)
		r = turn_delete(t, T_TASK, key);
	if (!r)
		r = turn_delete(t, T_STATE, key);
	if (!r && rec->spec->blob)
		r = blob_unuse(t, c, rec->spec->blob);
	if (!r)
		r = turn_delete(t, T_SEQ, key_u64_of(turn_arena(t), rec->seq));
	for (uint32_t n = st->history > HISTORY_KEEP ? st->history - HISTORY_KEEP : 0; n < st->history && !r; n++)
		r = turn_delete(t, T_ATTEMPT, key_attempt(turn_arena(t), id, n));
	return r;
}
