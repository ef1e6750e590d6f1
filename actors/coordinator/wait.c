/* Who waits for the end of which task: questions (Wait), answered when enough of their tasks are final, and connections that asked for notices at submit. */
#include "actors/coordinator/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/look.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/clock.h"

#define WATCH_BUCKETS 65536u
#define WATCHES_MAX 1048576u
#define WATCHES_A_PEER 262144u
#define WAITERS_MAX 16384u

/* Who waits for the end of a task: a Wait, or a connection that asked for notices. */
struct watch { struct id id; uint64_t peer; struct waiter *waiter; struct watch *bucket; struct watch *next, **at; };
struct waiter {
	struct reply_to reply;
	struct id *ids;
	size_t n, left;
	bool any, output, due;
	struct watch *watches;
	struct waiter *next, **at;
};
struct notice { uint64_t peer; Troupe__Task *task; size_t order; };
struct peer_watches { uint64_t peer; size_t n; struct watch *watches; struct peer_watches *next; };

static struct watch **bucket_of(struct coordinator *c, const struct id *id)
{
	return &c->watch_buckets[(id->b[14] | id->b[15] << 8) % WATCH_BUCKETS];
}

/* Into the table, and into the list of whoever owns it. */
static int watch_add(struct coordinator *c, const struct id *id, uint64_t peer, struct waiter *waiter, struct watch **owner)
{
	if (!c->watch_buckets && !(c->watch_buckets = calloc(WATCH_BUCKETS, sizeof(struct watch *))))
		return -ENOMEM;
	struct watch **bucket = bucket_of(c, id), *w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct watch){ .id = *id, .peer = peer, .waiter = waiter, .bucket = *bucket, .next = *owner, .at = owner };
	*bucket = w;
	if (w->next)
		w->next->at = &w->next;
	*owner = w;
	c->n_watches++;
	return 0;
}

static void watch_free(struct coordinator *c, struct watch *w)
{
	for (struct watch **at = bucket_of(c, &w->id); *at; at = &(*at)->bucket)
		if (*at == w) {
			*at = w->bucket;
			break;
		}
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	c->n_watches--;
	free(w);
}

static void waiter_free(struct coordinator *c, struct waiter *w)
{
	while (w->watches)
		watch_free(c, w->watches);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	c->n_waiters--;
	free(w->ids);
	free(w);
}

static struct peer_watches *notified(struct coordinator *c, uint64_t peer)
{
	for (struct peer_watches *p = c->notified; p; p = p->next)
		if (p->peer == peer)
			return p;
	return NULL;
}

bool watch_room(struct coordinator *c, uint64_t peer, size_t n)
{
	const struct peer_watches *p = notified(c, peer);
	return c->n_watches + n <= WATCHES_MAX && (p ? p->n : 0) + n <= WATCHES_A_PEER;
}

int watch_notify(struct coordinator *c, uint64_t peer, const struct id *id)
{
	struct peer_watches *p = notified(c, peer);
	if (!p) {
		if (!(p = calloc(1, sizeof *p)))
			return -ENOMEM;
		p->peer = peer;
		p->next = c->notified;
		c->notified = p;
	}
	int r = watch_add(c, id, peer, NULL, &p->watches);
	p->n += !r;
	return r;
}

/* --- the end of a task --- */

static Troupe__Task *notice_of(struct turn *t, const struct coordinator *c, const struct id *id, const struct queue *q, uint64_t seq, const Troupe__StateRecord *st, const char *submitter)
{
	struct arena *a = turn_arena(t);
	struct { Troupe__Task task; Troupe__TaskSpec spec; Troupe__Outcome outcome; struct id id; } *x = arena_alloc(a, sizeof *x);
	if (!x)
		return NULL;
	troupe__task__init(&x->task);
	troupe__task_spec__init(&x->spec);
	x->id = *id;
	x->spec.id = (ProtobufCBinaryData){ sizeof x->id.b, x->id.b };
	x->spec.queue = q->name;
	x->task.spec = &x->spec;
	x->task.seq = seq;
	x->task.state = st->state;
	x->task.cause = st->cause;
	x->task.run = st->run;
	x->task.attempts = st->attempts;
	x->task.token = st->token;
	if (!(x->task.worker = arena_string(a, st->worker))) /* the worker may be gone when this leaves */
		return NULL;
	x->task.started_at_ms = steady_to_wall(&c->steady, t, st->started_at_ms);
	x->task.finished_at_ms = steady_to_wall(&c->steady, t, st->finished_at_ms);
	if (submitter && !(x->task.submitter = arena_string(a, submitter)))
		return NULL;
	if (st->outcome) {
		x->outcome = *st->outcome; /* its bytes lie in the message, which lives as long as the turn */
		x->task.outcome = &x->outcome;
		x->task.last_error = x->outcome.error;
	}
	return &x->task;
}

int watch_final(struct turn *t, struct coordinator *c, const struct id *id, const struct queue *q, uint64_t seq, const Troupe__StateRecord *st, const char *submitter)
{
	if (!c->n_watches)
		return 0;
	for (struct watch *w = *bucket_of(c, id), *next; w; w = next) {
		next = w->bucket;
		if (!id_equal(&w->id, id))
			continue;
		if (w->waiter) {
			w->waiter->left -= w->waiter->left > 0;
			w->waiter->due = w->waiter->any || !w->waiter->left;
		} else {
			if (!GROW(c->notices, c->room_notices, c->n_notices + 1))
				return -ENOMEM;
			struct notice n = { .peer = w->peer, .task = notice_of(t, c, id, q, seq, st, submitter), .order = c->n_notices };
			if (!n.task)
				return -ENOMEM;
			c->notices[c->n_notices++] = n;
			struct peer_watches *p = notified(c, w->peer);
			if (p)
				p->n--;
		}
		watch_free(c, w);
	}
	return 0;
}

static int by_peer(const void *a, const void *b)
{
	const struct notice *x = a, *y = b;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* What one takes in a message, at most: names and numbers, and what has no limit of its own. */
static size_t notice_bound(const Troupe__Task *task)
{
	const Troupe__Outcome *o = task->outcome;
	return 1024 + strlen(task->last_error) + (o ? strlen(o->error) + o->output.len + o->stderr_tail.len : 0);
}

/* One message for as many as fit. */
static int say_notices(struct turn *t, struct coordinator *c)
{
	int r = 0;
	if (!c->n_notices)
		return 0;
	qsort(c->notices, c->n_notices, sizeof *c->notices, by_peer);
	Troupe__Task **tasks = arena_alloc(turn_arena(t), c->n_notices * sizeof *tasks);
	if (!tasks)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_notices && r >= 0;) {
		Troupe__Finished out = TROUPE__FINISHED__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		size_t bytes = 0;
		uint64_t peer = c->notices[i].peer;
		out.tasks = tasks;
		while (i < c->n_notices && c->notices[i].peer == peer) {
			bytes += notice_bound(c->notices[i].task);
			if (out.n_tasks && bytes > c->frame_max / 4 * 3)
				break;
			out.tasks[out.n_tasks++] = c->notices[i++].task;
		}
		env.kind = TROUPE__KIND__EVENT;
		env.body_case = TROUPE__ENVELOPE__BODY_FINISHED;
		env.finished = &out;
		r = turn_push(t, peer, &env); /* a client that has gone misses it: the tasks are in the store */
	}
	c->n_notices = 0;
	return r < 0 ? r : 0;
}

/* --- questions --- */

/* What is final of ids, as many as fit into a message; *ret_waiting: the rest. */
static int gather(struct turn *t, struct coordinator *c, const struct id *ids, size_t n, bool output, Troupe__Finished *out, uint32_t *ret_final)
{
	size_t bytes = 0;
	*ret_final = 0;
	if (!(out->tasks = arena_alloc(turn_arena(t), (n + 1) * sizeof(Troupe__Task *))))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		Troupe__TaskRecord *rec;
		Troupe__StateRecord *st;
		struct lease *l;
		int r = task_read(t, c, &ids[i], &rec, &st, &l);
		if (r < 0)
			return r;
		if (r > 0) { /* purged meanwhile, or damaged: nobody need wait for it */
			++*ret_final;
			continue;
		}
		if (!sched_is_final(task_state(st, l)))
			continue;
		++*ret_final;
		Troupe__Task *one;
		if ((r = task_show(t, c, &ids[i], rec, st, l, output ? SHOW_OUTPUT : 0, &one)))
			return r;
		bytes += troupe__task__get_packed_size(one) + 16;
		if (out->n_tasks && bytes > c->frame_max / 2)
			break;
		out->tasks[out->n_tasks++] = one;
	}
	out->waiting = (uint32_t)(n - out->n_tasks);
	return 0;
}

static int answer(struct turn *t, const struct reply_to *to, Troupe__Finished *out)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_FINISHED;
	env.finished = out;
	return turn_reply_to(t, to, &env);
}

int on_wait(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Wait *q = m->env->wait;
	struct error e = { 0 };
	if (q->n_tasks == 0 || q->n_tasks > REFS_MAX) {
		error_set(&e, q->n_tasks ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a wait names 1 to %u tasks", REFS_MAX);
		return turn_fail(t, &e);
	}
	struct id *ids = arena_alloc(turn_arena(t), q->n_tasks * sizeof *ids);
	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_tasks; i++) {
		int r = ref_resolve(t, c, q->tasks[i], &ids[i], &e);
		e.index = (uint32_t)i + 1;
		if (r)
			return r > 0 ? turn_fail(t, &e) : r;
	}
	Troupe__Finished out = TROUPE__FINISHED__INIT;
	struct reply_to to = turn_reply_handle(t, m);
	uint32_t n_final;
	int r = gather(t, c, ids, q->n_tasks, q->output, &out, &n_final);
	if (r)
		return r;
	if (n_final == q->n_tasks || (q->any && n_final))
		return answer(t, &to, &out);
	if (c->n_waiters >= WAITERS_MAX || !watch_room(c, 0, q->n_tasks)) {
		error_set(&e, ERROR_BUSY, "too many questions wait already");
		error_retry(&e, 1000);
		return turn_fail(t, &e);
	}
	struct waiter *w = calloc(1, sizeof *w);
	if (!w || !(w->ids = malloc(q->n_tasks * sizeof *w->ids))) {
		free(w);
		return -ENOMEM;
	}
	memcpy(w->ids, ids, q->n_tasks * sizeof *ids);
	w->reply = to;
	w->n = q->n_tasks;
	w->any = q->any;
	w->output = q->output;
	w->at = &c->waiters;
	w->next = c->waiters;
	if (w->next)
		w->next->at = &w->next;
	c->waiters = w;
	c->n_waiters++;
	for (size_t i = 0; i < w->n; i++) {
		Troupe__TaskRecord *rec;
		Troupe__StateRecord *st;
		struct lease *l;
		if (task_read(t, c, &ids[i], &rec, &st, &l) != 0 || sched_is_final(task_state(st, l)))
			continue;
		w->left++;
		if ((r = watch_add(c, &ids[i], m->sender.peer, w, &w->watches)))
			return r;
	}
	wake_by(c, to.deadline_at_ms);
	return 0;
}

int wait_settle(struct turn *t, struct coordinator *c)
{
	int r = say_notices(t, c);
	for (struct waiter *w = c->waiters, *next; w && !r; w = next) {
		next = w->next;
		if (!w->due && w->reply.deadline_at_ms > turn_now_ms(t)) {
			wake_by(c, w->reply.deadline_at_ms);
			continue;
		}
		Troupe__Finished out = TROUPE__FINISHED__INIT;
		uint32_t n_final;
		if ((r = gather(t, c, w->ids, w->n, w->output, &out, &n_final)))
			return r;
		r = answer(t, &w->reply, &out);
		waiter_free(c, w);
	}
	return r;
}

void watch_forget_peer(struct coordinator *c, uint64_t peer)
{
	for (struct peer_watches **at = &c->notified; *at;) {
		struct peer_watches *p = *at;
		if (p->peer != peer) {
			at = &p->next;
			continue;
		}
		while (p->watches)
			watch_free(c, p->watches);
		*at = p->next;
		free(p);
	}
	for (struct waiter *w = c->waiters, *next; w; w = next) {
		next = w->next;
		if (w->reply.peer == peer)
			waiter_free(c, w);
	}
}

void watches_free(struct coordinator *c)
{
	while (c->waiters)
		waiter_free(c, c->waiters);
	while (c->notified)
		watch_forget_peer(c, c->notified->peer);
	free(c->watch_buckets);
	free(c->notices);
}
