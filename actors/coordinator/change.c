/* Cancel, retry, purge: of tasks that are named, or of all that a filter fits, a slice a call. */
#include "actors/coordinator/change.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/finish.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/look.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"

#define CHANGES_A_SLICE 1000u

/* Own tasks are everybody's who may submit; others' need an operator. */
static bool may(const struct change *x, const Troupe__TaskRecord *rec)
{
	const struct sender *s = &x->m->sender;
	return s->role >= TROUPE__ROLE__OPERATOR || *s->address || strcmp(s->subject, rec->submitter) == 0;
}

static int one_of_many(struct turn *t, void *ctx, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l)
{
	struct change *x = ctx;
	struct error e = { 0 };
	if (!may(x, rec))
		return 0;
	int r = x->act(x, id, rec, st, l, &e);
	if (r == 0)
		x->out.count++;
	return r < 0 ? r : ++x->done >= CHANGES_A_SLICE;
}

static int refuse(struct change *x, const Troupe__TaskRef *ref, const struct error *e)
{
	Troupe__Refusal *f = arena_alloc(turn_arena(x->t), sizeof *f);
	if (!f)
		return -ENOMEM;
	troupe__refusal__init(f);
	f->task = (Troupe__TaskRef *)ref;
	f->code = e->code;
	if (!(f->text = arena_string(turn_arena(x->t), e->text)))
		return -ENOMEM;
	x->out.refused[x->out.n_refused++] = f;
	return 0;
}

static int one_named(struct change *x, const Troupe__TaskRef *ref)
{
	struct error e = { 0 };
	struct id id;
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = ref_read(x->t, x->c, ref, &id, &rec, &st, &l, &e);
	if (!r && !may(x, rec))
		r = error_set(&e, ERROR_NOT_ALLOWED, "it was submitted by %s", rec->submitter);
	if (!r)
		r = x->act(x, &id, rec, st, l, &e);
	if (r == 0)
		x->out.count++;
	return r > 0 ? refuse(x, ref, &e) : r;
}

int change_run(struct change *x, Troupe__TaskRef **refs, size_t n, const Troupe__Filter *f, const ProtobufCBinaryData *cursor)
{
	struct turn *t = x->t;
	struct error e = { 0 };
	int r = 0;
	troupe__changed__init(&x->out);
	if (n > REFS_MAX || (n == 0) == (f == NULL)) {
		error_set(&e, n > REFS_MAX ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "name 1 to %u tasks, or give a filter", REFS_MAX);
		return turn_fail(t, &e);
	}
	if (f && *f->queue && !queue_find(x->c, f->queue))
		return queue_unknown(t, x->c, f->queue, 0);
	if (!(x->out.refused = arena_alloc(turn_arena(t), (n + 1) * sizeof(Troupe__Refusal *))))
		return -ENOMEM;
	for (size_t i = 0; i < n && !r; i++)
		r = one_named(x, refs[i]);
	if (!r && f)
		r = filter_walk(t, x->c, f, cursor, one_of_many, x, &x->out.next);
	if (r)
		return r > 0 ? -EIO : r; /* memory may have changed: begin anew from what is on disk */
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHANGED;
	env.changed = &x->out;
	return turn_reply(t, x->m, &env);
}

/* --- cancel --- */

static int cancel(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e)
{
	Troupe__TaskState was = task_state(st, l);
	if (sched_is_final(was))
		return error_set(e, ERROR_STATE, "it is final already");
	if (x->dry_run)
		return 0;
	return task_cancel(x->t, x->c, id, rec, st, l, TROUPE__CAUSE__CAUSE_NONE);
}

int on_cancel(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Cancel *q = m->env->cancel;
	struct change x = { .c = state, .t = t, .m = m, .dry_run = q->dry_run, .act = cancel };
	return change_run(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}

/* --- retry --- */

/* A dead task that is to live again needs its unique key again. */
static int take_unique(struct change *x, const struct id *id, const Troupe__TaskRecord *rec, struct error *e)
{
	struct slice key = key_unique(turn_arena(x->t), rec->queue, rec->spec->unique_key), value;
	struct id other;
	Troupe__TaskRecord *other_rec;
	Troupe__StateRecord *st;
	struct lease *l;
	if (!*rec->spec->unique_key)
		return 0;
	int r = key.data ? turn_get(x->t, T_UNIQUE, key, &value) : -ENOMEM;
	if (r < 0)
		return r;
	if (!r && value.len == sizeof other.b && memcmp(value.data, id->b, sizeof id->b) != 0) {
		memcpy(other.b, value.data, sizeof other.b);
		r = task_read(x->t, x->c, &other, &other_rec, &st, &l);
		if (!r && !sched_is_final(task_state(st, l)))
			return error_set(e, ERROR_EXISTS, "#%llu has its unique key now", (unsigned long long)other_rec->seq);
		if (r < 0)
			return r;
	}
	return x->dry_run ? 0 : row_put_id(x->t, T_UNIQUE, key, id);
}

/* A new run; tokens go on rising. The n-th of many becomes due by their rate. */
static int revive(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct error *e)
{
	int r = take_unique(x, id, rec, e);
	if (r || x->dry_run)
		return r;
	uint64_t later_ms = x->rate ? sched_spread_ms(x->rate, x->spread_at + x->out.count) : 0;
	st->run++;
	st->attempts = st->crashes = 0;
	st->cause = TROUPE__CAUSE__CAUSE_NONE;
	st->finished_at_ms = 0;
	st->cancel_requested = false;
	st->state = later_ms ? TROUPE__TASK_STATE__SCHEDULED : TROUPE__TASK_STATE__READY;
	st->due_at_ms = later_ms ? steady_at(&x->c->steady, x->t) + later_ms : 0;
	r = later_ms ? log_add(x->c, id, TROUPE__TRANSITION_KIND__T_RETRIED, 0, 0, queue_numbered(x->c, rec->queue)) : 0;
	return r ? r : task_move(x->t, x->c, id, rec, st, TROUPE__TASK_STATE__DEAD);
}

static int retry(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e)
{
	Troupe__TaskState was = task_state(st, l);
	if (l && x->force && l->worker->down_pending)
		return x->dry_run ? 0 : attempt_return(x->t, x->c, l);
	if (was != TROUPE__TASK_STATE__DEAD && was != TROUPE__TASK_STATE__SCHEDULED)
		return error_set(e, ERROR_STATE, was == TROUPE__TASK_STATE__READY ? "it is ready already" : l ? "it is running" : "it is final");
	if (rec->deadline_at_ms && rec->deadline_at_ms <= steady_at(&x->c->steady, x->t))
		return error_set(e, ERROR_STATE, "its deadline has passed");
	if (was == TROUPE__TASK_STATE__DEAD)
		return revive(x, id, rec, st, e);
	if (st->blocked)
		return error_set(e, ERROR_STATE, "it waits for others: troupe explain says for whom");
	if (x->rate)
		return error_set(e, ERROR_STATE, "it is scheduled already");
	if (x->dry_run)
		return 0;
	st->state = TROUPE__TASK_STATE__READY;
	return task_move(x->t, x->c, id, rec, st, was);
}

int on_retry(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Retry *q = m->env->retry;
	struct error e = { 0 };
	if (q->force && m->sender.role < TROUPE__ROLE__OPERATOR && !*m->sender.address) {
		error_set(&e, ERROR_NOT_ALLOWED, "to force an attempt needs the role operator");
		return turn_fail(t, &e);
	}
	if (q->rate && (!q->rate->tokens || !q->rate->per_ms)) {
		error_set(&e, ERROR_BAD_REQUEST, "a rate has tokens and a time");
		return turn_fail(t, &e);
	}
	struct change x = { .c = state, .t = t, .m = m, .dry_run = q->dry_run, .force = q->force, .act = retry, .rate = q->rate, .spread_at = q->spread_at };
	return change_run(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}

/* --- purge --- */

static int purge(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e)
{
	if (!sched_is_final(task_state(st, l)))
		return error_set(e, ERROR_STATE, "it is not final: cancel it first");
	if (x->dry_run)
		return 0;
	int r = task_delete(x->t, x->c, id, rec, st);
	return r ? r : log_add(x->c, id, TROUPE__TRANSITION_KIND__T_PURGED, 0, st->attempts, queue_numbered(x->c, rec->queue));
}

int on_purge(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Purge *q = m->env->purge;
	struct change x = { .c = state, .t = t, .m = m, .dry_run = q->dry_run, .act = purge };
	return change_run(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}
