/* Cancel, retry, purge: of tasks that are named, or of all that a filter fits, a slice a call. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"

#define CHANGES_A_SLICE 1000u

struct change {
	struct coordinator *c;
	struct turn *t;
	const struct message *m;
	bool dry_run, force;
	int (*act)(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e); /* positive: refused, e says why */
	Troupe__Changed out;
	Troupe__Refusal **refused;
	size_t done;
};

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
	int r = ref_resolve(x->t, x->c, ref, &id, &e);
	if (!r && (r = task_read(x->t, x->c, &id, &rec, &st, &l)) > 0)
		error_set(&e, ERROR_CORRUPT, "its record is damaged");
	if (!r && !may(x, rec))
		r = error_set(&e, ERROR_NOT_ALLOWED, "it was submitted by %s", rec->submitter);
	if (!r)
		r = x->act(x, &id, rec, st, l, &e);
	if (r == 0)
		x->out.count++;
	return r > 0 ? refuse(x, ref, &e) : r;
}

static int change(struct change *x, Troupe__TaskRef **refs, size_t n, const Troupe__Filter *f, const ProtobufCBinaryData *cursor)
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
	if (!l) {
		st->state = TROUPE__TASK_STATE__CANCELLED;
		st->cancel_requested = true;
		return task_move(x->t, x->c, id, rec, st, was);
	}
	if (l->cancel)
		return 0;
	Troupe__Abort a = TROUPE__ABORT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	a.tokens = &l->token;
	a.n_tokens = 1;
	a.why = (char *)"cancelled";
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = &a;
	l->cancel = true;
	int r = lease_put(x->t, l);
	if (!r)
		r = log_add(x->c, id, TROUPE__TRANSITION_KIND__T_CANCEL_ASKED, 0, l->attempt, l->queue);
	return r ? r : worker_push(x->t, l->worker, &env);
}

int on_cancel(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Cancel *q = m->env->cancel;
	struct change x = { .c = state, .t = t, .m = m, .dry_run = q->dry_run, .act = cancel };
	return change(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}

/* --- retry --- */

static int retry(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e)
{
	Troupe__TaskState was = task_state(st, l);
	if (l && x->force && l->worker->down_pending)
		return x->dry_run ? 0 : attempt_return(x->t, x->c, l);
	if (was != TROUPE__TASK_STATE__DEAD && was != TROUPE__TASK_STATE__SCHEDULED)
		return error_set(e, ERROR_STATE, was == TROUPE__TASK_STATE__READY ? "it is ready already" : l ? "it is running" : "it is final");
	if (rec->spec->deadline_at_ms && rec->spec->deadline_at_ms <= turn_wall_ms(x->t))
		return error_set(e, ERROR_STATE, "its deadline has passed");
	if (x->dry_run)
		return 0;
	if (was == TROUPE__TASK_STATE__DEAD) { /* a new run; tokens go on rising */
		st->run++;
		st->attempts = st->crashes = 0;
		st->cause = TROUPE__CAUSE__CAUSE_NONE;
		st->finished_at_ms = 0;
		st->cancel_requested = false;
	}
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
	struct change x = { .c = state, .t = t, .m = m, .dry_run = q->dry_run, .force = q->force, .act = retry };
	return change(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
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
	return change(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}
