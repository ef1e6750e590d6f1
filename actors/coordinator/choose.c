/* Who gets what. In settle, over everything that the turn has brought: a group with a free worker takes the most urgent task of its streams, first one for every free
 * slot, then as many more as its workers finish in a few milliseconds. The lease rows are in the turn's commit, RUN leaves behind it.
 *
 * A stream of a queue that is paused or at a limit, or whose resources are in use, is passed over as a whole: no task is looked at that cannot begin. */
#include "actors/coordinator/choose.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/disk.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/limit.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define GIVE_SLICE 8192u /* tasks begun or handed out in advance by one turn, whose messages and rows are in memory until its end */

static Troupe__Assignment *assignment_of(struct turn *t, struct coordinator *c, const struct lease *l, const Troupe__TaskRecord *rec)
{
	Troupe__Assignment *a = arena_alloc(turn_arena(t), sizeof *a);
	const Troupe__TaskSpec *spec = rec->spec;
	if (!a)
		return NULL;
	struct sched_policy p;
	sched_policy_of(spec, l->queue->policy, &p);
	troupe__assignment__init(a);
	a->token = l->token;
	a->id = spec->id;
	a->seq = l->seq;
	a->queue = l->queue->name;
	a->attempt = l->attempt;
	a->max_attempts = p.max_attempts;
	a->payload = spec->payload;
	a->content_type = spec->content_type;
	a->argv = (ProtobufCBinaryData *)spec->argv;
	a->n_argv = spec->n_argv;
	a->timeout_ms = p.timeout_ms;
	a->grace_ms = p.grace_ms;
	a->deadline_at_ms = steady_to_wall(&c->steady, t, rec->deadline_at_ms);
	a->tags = spec->tags;
	a->n_tags = spec->n_tags;
	a->traceparent = spec->traceparent;
	a->output_max = l->queue->policy->result_max;
	a->blob = spec->blob;
	return a;
}

/* A ready row whose task is gone or cannot be read must not come up for ever. */
static int drop_damaged(struct turn *t, struct stream *s, const struct candidate *one, int why)
{
	log_error(why == ERROR_NOT_FOUND ? "a ready row without a task" : "the record of a task is damaged: it cannot be run", LOG_S("queue", s->queue->name), LOG_U("seq", one->seq));
	s->queue->r.ready -= s->queue->r.ready > 0;
	s->queue->changed = true;
	if (one->stored)
		return turn_delete(t, T_READY, key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, one->rank, one->seq));
	return 0;
}

/* Its rows. *ret_rec NULL: it is not to be given, and is dealt with. */
static int candidate_read(struct turn *t, struct coordinator *c, struct stream *s, const struct candidate *one, Troupe__TaskRecord **ret_rec, Troupe__StateRecord **ret_st)
{
	Troupe__TaskRecord *rec = (Troupe__TaskRecord *)one->rec;
	int r = rec ? 0 : task_get(t, &one->id, &rec);
	*ret_rec = NULL;
	*ret_st = NULL;
	if (r == ERROR_NOT_FOUND || r == ERROR_CORRUPT)
		return drop_damaged(t, s, one, r);
	if (!r && !one->first && (r = state_get(t, &one->id, ret_st)) == ERROR_CORRUPT) {
		log_error("the state of a task is damaged: it begins anew", LOG_U("seq", one->seq));
		*ret_st = NULL;
		r = 0;
	}
	if (r || (*ret_st && (*ret_st)->state != TROUPE__TASK_STATE__READY)) /* cancelled by what this turn has settled */
		return r;
	if (*rec->spec->serial_key) {
		struct place p = place_of(c, &one->id, rec);
		bool go;
		if ((r = key_start(t, c, &p, &go)))
			return r;
		if (!go)
			return one->stored ? turn_delete(t, T_READY, key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, one->rank, one->seq)) : 0;
	}
	*ret_rec = rec;
	return 0;
}

static int give(struct turn *t, struct coordinator *c, struct worker *w, struct stream *s, const struct candidate *one, bool *ret_given)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	uint64_t now_ms = steady_at(&c->steady, t);
	*ret_given = false;
	int r = candidate_read(t, c, s, one, &rec, &st);
	if (r || !rec)
		return r;
	if (!GROW(w->run, w->room_run, w->n_run + 1))
		return -ENOMEM;
	struct lease *l = lease_add(&c->leases, w, c->meta.next_token, &one->id);
	if (!l)
		return -ENOMEM;
	c->meta.next_token++;
	c->meta_changed = true;
	l->seq = one->seq;
	l->queue = s->queue;
	l->rank = one->rank;
	l->requirement = s->requirement->number;
	l->run = st ? st->run : 1;
	l->attempt = st ? st->attempts + 1 : 1;
	l->has_state = st && (st->attempts || st->history || st->run > 1 || st->has_children);
	l->needs_record = *rec->spec->unique_key || *rec->spec->serial_key || rec->batch.len;
	l->size = spec_size(rec->spec);
	l->given_at_ms = now_ms;
	w->bytes += l->size;
	w->given_at_ms = turn_now_ms(t);
	pool_use(w->pool, s->requirement, false);
	worker_place(w);
	limit_take(s->queue, now_ms);
	if ((r = lease_put(t, l)) || (r = log_add(c, &one->id, TROUPE__TRANSITION_KIND__T_GIVEN, 0, l->attempt, s->queue)))
		return r;
	if (one->stored && (r = turn_delete(t, T_READY, key_ready(turn_arena(t), s->queue->r.number, l->requirement, one->rank, one->seq))))
		return r;
	s->queue->r.ready -= s->queue->r.ready > 0;
	s->queue->r.running++;
	s->queue->changed = true;
	Troupe__Assignment *a = assignment_of(t, c, l, rec);
	if (!a)
		return -ENOMEM;
	if (!w->n_run) {
		w->next_run = c->chosen_for;
		c->chosen_for = w;
	}
	w->run[w->n_run++] = a;
	*ret_given = true;
	return 0;
}

/* --- the best of a group's streams --- */

/* Looked at once in a turn, and after each start. */
static bool queue_open(struct turn *t, struct coordinator *c, struct queue *q)
{
	uint64_t wait_ms;
	if (q->gated)
		return false;
	if (q->r.paused)
		q->gated = true;
	else if (!limit_queue(c, q, steady_at(&c->steady, t), &wait_ms)) {
		q->gated = true;
		if (wait_ms != TIME_NEVER && q->r.ready)
			wake_by(c, turn_now_ms(t) + wait_ms);
	}
	return !q->gated;
}

/* A place in its queue as one among queues: what ageing has added for everybody is taken off. */
static uint32_t urgency(const struct candidate *x, const struct stream *s, uint64_t now_ms)
{
	uint64_t added = sched_ageing(s->queue->policy, now_ms);
	return x->rank > added ? (uint32_t)(x->rank - added) : 0;
}

struct best { struct candidate *one; struct stream *from; uint32_t urgency; };

static bool better(const struct best *best, const struct candidate *x, const struct stream *s, uint32_t u)
{
	if (!best->one || u != best->urgency)
		return !best->one || u < best->urgency;
	if (best->from->queue == s->queue && s->queue->policy->fair && best->from->served != s->served)
		return s->served < best->from->served;
	return x->seq < best->one->seq;
}

/* What is counted when it begins is not given before it can begin. */
static bool counted(const struct stream *s)
{
	const Troupe__QueuePolicy *p = s->queue->policy;
	return p->concurrency || sched_rate_is(p->rate) || sched_rate_is(p->key_rate) || s->requirement->n_resources;
}

static int pick(struct turn *t, struct coordinator *c, struct group *g, bool prefetch, struct best *best)
{
	uint64_t now_ms = steady_at(&c->steady, t);
	*best = (struct best){ 0 };
	for (size_t i = 0; i < g->n_streams; i++) {
		struct stream *s = g->streams[i];
		struct candidate *x;
		if (s->stored.next == s->stored.n && s->fresh.next == s->fresh.n && !s->stored_any)
			continue;
		if (!queue_open(t, c, s->queue) || !pool_can(g->pool, s->requirement, true))
			continue;
		int r = stream_head(t, c, s, &x);
		if (r)
			return r;
		uint32_t u = x ? urgency(x, s, now_ms) : 0;
		if (x && better(best, x, s, u))
			*best = (struct best){ x, s, u };
	}
	if (prefetch && best->one && counted(best->from)) /* nothing less urgent is given before it */
		best->one = NULL;
	return 0;
}

/* One more turn of a fair stream. One that had nothing for a while does not catch up. */
static void served(struct stream *s)
{
	struct queue *q = s->queue;
	if (s->served < q->r.turn)
		s->served = q->r.turn;
	q->r.turn = s->served++;
}

/* One for the group's next worker. *ret_some: there may be more. */
static int feed(struct turn *t, struct coordinator *c, struct group *g, bool prefetch, bool *ret_some)
{
	struct worker *w = prefetch ? g->more : g->open;
	struct best best;
	*ret_some = false;
	if (!w || !limit_node(c))
		return 0;
	int r = pick(t, c, g, prefetch, &best);
	if (r || !best.one)
		return r;
	struct candidate copy = *best.one;
	bool given;
	stream_take(best.from, best.one);
	*ret_some = true;
	r = give(t, c, w, best.from, &copy, &given);
	if (!r && given)
		served(best.from);
	if (!r && given)
		worker_behind(w); /* all get their share */
	return r;
}

/* Rounds, so that all groups get their share; a slice a turn. */
static int feed_all(struct turn *t, struct coordinator *c, bool prefetch, unsigned *left)
{
	bool some = true;
	int r = 0;
	while (some && !r && *left) {
		some = false;
		for (struct group *g = c->groups; g && !r && *left; g = g->next) {
			bool more;
			r = feed(t, c, g, prefetch, &more);
			some |= more;
			*left -= more;
		}
	}
	return r;
}

/* --- RUN --- */

/* What an assignment takes in a message, at most. To measure it exactly would cost as much as to pack it. */
static size_t assignment_bound(const Troupe__Assignment *a)
{
	size_t n = 1024 + a->payload.len + strlen(a->content_type) + strlen(a->traceparent); /* names, numbers */
	for (size_t i = 0; i < a->n_argv; i++)
		n += a->argv[i].len + 8;
	for (size_t i = 0; i < a->n_tags; i++)
		n += strlen(a->tags[i]) + 8;
	return n;
}

static int say_run(struct turn *t, struct coordinator *c, struct worker *w)
{
	int r = 0;
	for (size_t i = 0; i < w->n_run && !r;) {
		Troupe__Run run = TROUPE__RUN__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		size_t bytes = 0, n = 0;
		while (i + n < w->n_run) {
			bytes += assignment_bound(w->run[i + n]);
			if (n && bytes > c->frame_max / 4 * 3)
				break;
			n++;
		}
		run.tasks = w->run + i;
		run.n_tasks = n;
		env.body_case = TROUPE__ENVELOPE__BODY_RUN;
		env.run = &run;
		r = worker_push(t, w, &env);
		i += n;
	}
	w->n_run = 0;
	return r;
}

/* --- who stands idle takes from a sibling's prefetch what it has not begun --- */

static int take_back(struct turn *t, struct worker *w, uint32_t spare)
{
	Troupe__Revoke v = TROUPE__REVOKE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(v.tokens = arena_alloc(turn_arena(t), w->held * sizeof *v.tokens)))
		return -ENOMEM;
	for (const struct lease *l = w->leases; l && v.n_tokens < (spare + 1) / 2; l = l->next) /* newest first */
		if (!l->started && !l->cancel)
			v.tokens[v.n_tokens++] = l->token;
	w->given_at_ms = turn_now_ms(t); /* not again at once */
	env.body_case = TROUPE__ENVELOPE__BODY_REVOKE;
	env.revoke = &v;
	return v.n_tokens ? worker_push(t, w, &env) : 0;
}

static bool share(const struct group *a, const struct group *b)
{
	for (size_t i = 0; i < a->n_streams; i++)
		for (size_t k = 0; k < b->n_streams; k++)
			if (a->streams[i] == b->streams[k])
				return true;
	return false;
}

static int rebalance(struct turn *t, struct coordinator *c)
{
	const struct group *idle = c->groups;
	while (idle && !idle->open)
		idle = idle->next;
	int r = 0;
	size_t left = idle ? c->leases.n_ahead : 0;
	for (struct worker *w = c->workers; w && left && !r; w = w->next) {
		uint32_t spare = w->held > w->slots ? w->held - w->slots : 0;
		left -= spare > 0;
		if (!spare || !w->attached || !w->group || w->n_run || (w->group != idle && !share(idle, w->group)))
			continue;
		uint64_t since = turn_now_ms(t) - w->given_at_ms;
		if (since < 20)
			wake_by(c, w->given_at_ms + 20);
		else
			r = take_back(t, w, spare);
	}
	return r;
}

int choose(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i])
			c->queues[i]->gated = false;
	for (struct group *g = c->groups; g && !r; g = g->next)
		r = group_streams(c, g);
	disk_look(c, turn_now_ms(t));
	if (c->disk_stop)
		wake_by(c, turn_now_ms(t) + 1000); /* it may have room again */
	unsigned left = GIVE_SLICE;
	if (!r && !c->disk_stop)
		r = feed_all(t, c, false, &left);
	if (!r && !c->disk_stop)
		r = feed_all(t, c, true, &left);
	if (!left) /* the rest with the next turn */
		wake_by(c, turn_now_ms(t));
	if (!r)
		r = rebalance(t, c);
	while (c->chosen_for && !r) {
		struct worker *w = c->chosen_for;
		c->chosen_for = w->next_run;
		r = say_run(t, c, w);
	}
	if (!r)
		r = fresh_store(t, c);
	fault_point("dispatch.after_settle");
	return r;
}
