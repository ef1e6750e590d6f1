/* Changes of tasks that do not run: priority, queue, content. The record is written anew; a task that stands in the ready index moves to its new place. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/change.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/verbs.h"

/* What is asked, checked once. */
struct alteration { const Troupe__Alter *q; struct queue *to; };

/* The unique key goes along to another queue, where nobody else may have it. */
static int move_unique(struct change *x, const struct id *id, const struct queue *from, const struct queue *to, const Troupe__TaskSpec *s, struct error *e)
{
	struct slice old = key_unique(turn_arena(x->t), from->r.number, s->unique_key), new = key_unique(turn_arena(x->t), to->r.number, s->unique_key), value;
	if (!old.data || !new.data)
		return -ENOMEM;
	int r = turn_get(x->t, T_UNIQUE, new, &value);
	if (r == 0)
		return error_set(e, ERROR_EXISTS, "another task of queue %s has its unique key", to->name);
	if (r < 0)
		return r;
	r = row_put_id(x->t, T_UNIQUE, new, id);
	return r ? r : turn_delete(x->t, T_UNIQUE, old);
}

static void rank_anew(struct change *x, Troupe__TaskRecord *rec, const struct queue *q)
{
	rec->aged = q->policy->ageing_ms != 0;
	rec->rank = rec->aged ? sched_rank(q->policy, sched_priority(rec->spec), rec->submitted_at_ms) : 0;
}

static void content_anew(const Troupe__Alter *q, Troupe__TaskSpec *s)
{
	s->payload = q->payload;
	s->blob = NULL;
	s->content_type = q->content_type;
	s->argv = q->argv;
	s->n_argv = q->n_argv;
}

/* A dead one stays dead, in its new queue: nobody is told of its end again. */
static int alter_enter(struct change *x, struct place *p, Troupe__StateRecord *st, Troupe__TaskState was)
{
	if (was != TROUPE__TASK_STATE__DEAD)
		return place_enter(x->t, x->c, p, st);
	p->queue->r.dead++;
	p->queue->changed = true;
	return row_put_id(x->t, T_DEAD, key_dead(turn_arena(x->t), p->queue->r.number, p->seq), &p->id);
}

static int alter(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e)
{
	const struct alteration *w = x->user;
	const Troupe__Alter *q = w->q;
	Troupe__TaskState was = task_state(st, l);
	struct place p = place_of(x->c, id, rec);
	if (l)
		return error_refuse(e, ERROR_STATE, "wait until it has ended, or cancel it", "it is running");
	if (was == TROUPE__TASK_STATE__DONE || was == TROUPE__TASK_STATE__CANCELLED)
		return error_refuse(e, ERROR_STATE, "submit another", "it has ended");
	if (x->dry_run)
		return 0;
	int r = 0;
	if (w->to && w->to != p.queue && *rec->spec->unique_key && was != TROUPE__TASK_STATE__DEAD)
		r = move_unique(x, id, p.queue, w->to, rec->spec, e);
	uint32_t requirement = rec->requirement;
	if (!r && w->to && w->to != p.queue)
		r = requirement_of(x->t, x->c, rec->spec, w->to->policy->fair ? rec->submitter : NULL, &requirement); /* fair queues are another stream a submitter */
	if (r)
		return r == ERROR_TOO_LARGE ? error_set(e, r, "there are too many different sets of tags and resources") : r;

	Troupe__TaskSpec *spec = arena_copy(turn_arena(x->t), rec->spec, sizeof *spec);
	Troupe__StateRecord before = *st;
	if (!spec || (r = place_leave(x->t, x->c, &p, was, &before)))
		return spec ? r : -ENOMEM;
	if (w->to && w->to != p.queue && p.holds) /* the key of another queue is another key */
		r = key_release(x->t, x->c, &p);
	rec->spec = spec;
	rec->requirement = requirement;
	if (w->to) {
		rec->queue = w->to->r.number;
		spec->queue = w->to->name;
	}
	if (q->priority)
		spec->priority = q->priority;
	if (!r && q->content && spec->blob)
		r = blob_unuse(x->t, x->c, spec->blob);
	if (q->content)
		content_anew(q, spec);
	rank_anew(x, rec, queue_numbered(x->c, rec->queue));
	bool holds = p.holds;
	p = place_of(x->c, id, rec);
	p.holds = holds;
	if (!r)
		r = row_put(x->t, T_TASK, id_key_copy(turn_arena(x->t), id), &rec->base);
	if (!r)
		r = alter_enter(x, &p, st, was);
	return r ? r : log_add(x->c, id, TROUPE__TRANSITION_KIND__T_CHANGED, 0, st->attempts, p.queue);
}

int on_alter(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Alter *q = m->env->alter;
	struct coordinator *c = state;
	struct error e = { 0 };
	struct alteration w = { .q = q, .to = *q->queue ? queue_find(c, q->queue) : NULL };
	struct change x = { .c = c, .t = t, .m = m, .dry_run = q->dry_run, .act = alter, .user = &w };
	if (*q->queue && !w.to)
		return queue_unknown(t, c, q->queue, 0);
	if (!q->priority && !w.to && !q->content)
		error_set(&e, ERROR_BAD_REQUEST, "nothing to change: name a priority, a queue or a content");
	else if (q->content && (q->n_tasks != 1 || q->filter))
		error_set(&e, ERROR_BAD_REQUEST, "the content of one task at a time");
	else if (q->content && q->payload.len > c->payload_max)
		error_set(&e, ERROR_TOO_LARGE, "a payload inside a message has at most %llu bytes", (unsigned long long)c->payload_max);
	else if (w.to && w.to->r.draining)
		error_set(&e, ERROR_STATE, "queue %s takes nothing more, it is drained", q->queue);
	if (e.code)
		return turn_fail(t, &e);
	return change_run(&x, q->tasks, q->n_tasks, q->filter, &q->cursor);
}
