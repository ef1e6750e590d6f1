/* Batches: tasks that were accepted together, with what is to follow when all of them have ended.
 *
 * The record counts the members that have ended. The first that dies or is cancelled takes the rest with it, unless the batch goes on (CONTINUE). When all have ended well
 * the callbacks for success and for the end are called. Otherwise what was done is undone: the compensations of members that were done run one after another, the
 * last one done first; then the callbacks for failure and for the end. A callback or a compensation is a task that waits for one thing more, its call; one that cannot be called
 * any more is cancelled. A compensation that dies stops the undoing until it is retried or deleted. */
#include "actors/coordinator/batch.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/submit.h"
#include "actors/coordinator/verbs.h"

#define LIST_MAX 1000u
#define LIST_DEFAULT 100u

/* A batch one of whose tasks has ended, or begins anew. */
struct batch_news { struct id batch; uint64_t seq; Troupe__TaskState state; };

/* --- rows --- */

static struct slice member_key(struct arena *a, const struct id *batch, uint64_t seq)
{
	uint8_t *k = arena_alloc(a, 24);
	if (k)
		key_u64(key_bytes(k, batch->b, 16), seq);
	return SLICE(k, k ? 24 : 0);
}

static int batch_get(struct turn *t, const struct id *batch, Troupe__BatchRecord **ret)
{
	return row_get(t, T_BATCH, id_key_copy(turn_arena(t), batch), &troupe__batch_record__descriptor, (ProtobufCMessage **)ret);
}

int batch_put(struct turn *t, const struct id *batch, const Troupe__BatchRecord *b)
{
	return row_put(t, T_BATCH, id_key_copy(turn_arena(t), batch), &b->base);
}

int member_put(struct turn *t, const struct id *batch, uint64_t seq, const Troupe__MemberRecord *m)
{
	return row_put(t, T_MEMBER, member_key(turn_arena(t), batch, seq), &m->base);
}

int batch_begin(struct turn *t, struct coordinator *c, const Troupe__BatchSpec *spec, const char *submitter, Troupe__BatchRecord **ret)
{
	Troupe__BatchRecord *b = arena_alloc(turn_arena(t), sizeof *b);
	if (!b)
		return -ENOMEM;
	troupe__batch_record__init(b);
	b->spec = (Troupe__BatchSpec *)spec;
	b->submitter = (char *)submitter;
	b->submitted_at_ms = steady_at(&c->steady, t);
	*ret = b;
	return 0;
}

struct member { uint64_t seq; Troupe__MemberRecord *m; struct id id; };
struct members { struct turn *t; struct id batch; struct member *all; size_t n, room; int error; };

static int member_row(void *ctx, struct slice key, struct slice value)
{
	struct members *x = ctx;
	if (key.len != 24 || memcmp(key.data, x->batch.b, 16) != 0 || x->n == x->room)
		return 1;
	struct member *m = &x->all[x->n];
	m->seq = key_read_u64((const uint8_t *)key.data + 16);
	x->error = row_decode(turn_arena(x->t), value, &troupe__member_record__descriptor, (ProtobufCMessage **)&m->m);
	if (x->error || m->m->id.len != sizeof m->id.b)
		return x->error != 0;
	memcpy(m->id.b, m->m->id.data, sizeof m->id.b);
	x->n++;
	return 0;
}

/* All of a batch, as of the last turn_apply. */
static int members_read(struct turn *t, const struct id *batch, struct members *ret)
{
	*ret = (struct members){ .t = t, .batch = *batch, .room = BULK_MAX };
	if (!(ret->all = arena_alloc(turn_arena(t), BULK_MAX * sizeof *ret->all)))
		return -ENOMEM;
	int r = store_scan(turn_view(t), T_MEMBER, id_key(batch), false, member_row, ret);
	return r < 0 ? r : ret->error < 0 ? ret->error : 0;
}

/* --- what a batch hears --- */

int batch_tell(struct coordinator *c, const struct place *p, Troupe__TaskState state)
{
	if (p->rec->batch.len != sizeof(struct id))
		return 0;
	if (!GROW(c->batch_news, c->room_batch_news, c->n_batch_news + 1))
		return -ENOMEM;
	struct batch_news *n = &c->batch_news[c->n_batch_news++];
	*n = (struct batch_news){ .seq = p->seq, .state = state };
	memcpy(n->batch.b, p->rec->batch.data, sizeof n->batch.b);
	return 0;
}

static uint32_t *count_of(Troupe__BatchRecord *b, Troupe__TaskState s)
{
	static uint32_t nowhere;
	return s == TROUPE__TASK_STATE__DONE ? &b->done : s == TROUPE__TASK_STATE__DEAD ? &b->dead : s == TROUPE__TASK_STATE__CANCELLED ? &b->cancelled : &nowhere;
}

static int hear(struct turn *t, const struct batch_news *n)
{
	Troupe__BatchRecord *b;
	Troupe__MemberRecord *m;
	int r = batch_get(t, &n->batch, &b);
	if (!r)
		r = row_get(t, T_MEMBER, member_key(turn_arena(t), &n->batch, n->seq), &troupe__member_record__descriptor, (ProtobufCMessage **)&m);
	if (r)
		return r < 0 ? r : 0;
	Troupe__TaskState was = m->state, now = sched_is_final(n->state) ? n->state : TROUPE__TASK_STATE__TASK_ANY;
	if (was == now)
		return 0;
	m->state = now;
	if (m->role == TROUPE__BATCH_ROLE__MEMBER) {
		if (was)
			--*count_of(b, was);
		if (now)
			++*count_of(b, now);
		if (now == TROUPE__TASK_STATE__DONE)
			m->order = ++b->next_order;
		if (!now && b->state == TROUPE__BATCH__STATE__FAILED) { /* retried: it may still succeed */
			b->state = TROUPE__BATCH__STATE__OPEN;
			b->finished_at_ms = 0;
		}
	} else {
		b->others = now ? b->others - (b->others > 0) : b->others + 1;
		if (m->role == TROUPE__BATCH_ROLE__COMPENSATION)
			b->compensated += now == TROUPE__TASK_STATE__DONE;
	}
	r = member_put(t, &n->batch, n->seq, m);
	return r ? r : batch_put(t, &n->batch, b);
}

/* --- what it does --- */

static int member_cancel(struct turn *t, struct coordinator *c, const struct member *m, Troupe__Cause cause)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = task_read(t, c, &m->id, &rec, &st, &l);
	return r ? (r < 0 ? r : 0) : task_cancel(t, c, &m->id, rec, st, l, cause);
}

static int member_call(struct turn *t, struct coordinator *c, const struct member *m)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = task_read(t, c, &m->id, &rec, &st, &l);
	if (r || l || st->called)
		return r < 0 ? r : 0;
	st->called = true;
	return task_unblock(t, c, &m->id, rec, st);
}

/* Calls those of one role that have not ended, or cancels them. */
static int role_do(struct turn *t, struct coordinator *c, const struct members *x, Troupe__BatchRole role, bool call)
{
	int r = 0;
	for (size_t i = 0; i < x->n && !r; i++)
		if (x->all[i].m->role == role && !x->all[i].m->state)
			r = call ? member_call(t, c, &x->all[i]) : member_cancel(t, c, &x->all[i], TROUPE__CAUSE__UNNEEDED);
	return r;
}

static int finish(struct turn *t, struct coordinator *c, Troupe__BatchRecord *b, const struct members *x, Troupe__Batch__State state)
{
	bool well = state == TROUPE__BATCH__STATE__SUCCEEDED;
	b->state = state;
	b->finished_at_ms = steady_at(&c->steady, t);
	int r = role_do(t, c, x, TROUPE__BATCH_ROLE__CALLBACK_SUCCESS, well);
	if (!r)
		r = role_do(t, c, x, TROUPE__BATCH_ROLE__CALLBACK_FAILURE, !well);
	if (!r)
		r = role_do(t, c, x, TROUPE__BATCH_ROLE__COMPENSATION, false);
	return r ? r : role_do(t, c, x, TROUPE__BATCH_ROLE__CALLBACK_END, true);
}

static const struct member *target_of(const struct members *x, const struct member *m)
{
	for (size_t i = 0; i < x->n; i++)
		if (m->m->compensates.len == sizeof x->all[i].id.b && memcmp(m->m->compensates.data, x->all[i].id.b, sizeof x->all[i].id.b) == 0)
			return &x->all[i];
	return NULL;
}

/* The next thing to undo; the end, where there is none. */
static int undo(struct turn *t, struct coordinator *c, Troupe__BatchRecord *b, const struct members *x)
{
	const struct member *next = NULL;
	uint32_t order = 0;
	for (size_t i = 0; i < x->n; i++) {
		const struct member *m = &x->all[i], *target = m->m->role == TROUPE__BATCH_ROLE__COMPENSATION ? target_of(x, m) : NULL;
		if (!target || target->m->state != TROUPE__TASK_STATE__DONE)
			continue;
		if (m->m->state == TROUPE__TASK_STATE__DEAD)
			return 0;
		if (!m->m->state && target->m->order > order) {
			order = target->m->order;
			next = m;
		}
	}
	if (next)
		return member_call(t, c, next);
	return finish(t, c, b, x, TROUPE__BATCH__STATE__COMPENSATED);
}

static int failed(struct turn *t, struct coordinator *c, Troupe__BatchRecord *b, const struct members *x)
{
	bool some = false;
	int r = 0;
	for (size_t i = 0; i < x->n && !r; i++) {
		const struct member *m = &x->all[i], *target = m->m->role == TROUPE__BATCH_ROLE__COMPENSATION ? target_of(x, m) : NULL;
		if (m->m->role != TROUPE__BATCH_ROLE__COMPENSATION || m->m->state)
			continue;
		if (target && target->m->state == TROUPE__TASK_STATE__DONE)
			some = true;
		else
			r = member_cancel(t, c, m, TROUPE__CAUSE__UNNEEDED);
	}
	if (r || !some)
		return r ? r : finish(t, c, b, x, TROUPE__BATCH__STATE__FAILED);
	b->state = TROUPE__BATCH__STATE__COMPENSATING;
	return undo(t, c, b, x);
}

static int decide(struct turn *t, struct coordinator *c, const struct id *batch)
{
	Troupe__BatchRecord *b;
	struct members x;
	int r = batch_get(t, batch, &b);
	if (r)
		return r < 0 ? r : 0;
	bool over = b->done + b->dead + b->cancelled >= b->members, bad = b->dead + b->cancelled > 0;
	bool open = b->state == TROUPE__BATCH__STATE__OPEN, rest = b->spec->on_failure == TROUPE__BATCH_SPEC__ON_FAILURE__CANCEL_REST;
	bool undoing = b->state == TROUPE__BATCH__STATE__COMPENSATING;
	if (!undoing && (!open || (!over && (!bad || !rest))))
		return 0;
	if ((r = members_read(t, batch, &x)))
		return r;
	if (undoing)
		r = undo(t, c, b, &x);
	else if (over && bad)
		r = failed(t, c, b, &x);
	else if (over)
		r = finish(t, c, b, &x, TROUPE__BATCH__STATE__SUCCEEDED);
	for (size_t i = 0; !undoing && !over && i < x.n && !r; i++)
		if (x.all[i].m->role == TROUPE__BATCH_ROLE__MEMBER && !x.all[i].m->state)
			r = member_cancel(t, c, &x.all[i], TROUPE__CAUSE__UPSTREAM);
	return r ? r : batch_put(t, batch, b);
}

int batches_settle(struct turn *t, struct coordinator *c)
{
	size_t n = c->n_batch_news;
	int r = 0;
	struct id *batches = n ? arena_alloc(turn_arena(t), n * sizeof *batches) : NULL;
	size_t n_batches = 0;
	if (n && !batches)
		return -ENOMEM;
	for (size_t i = 0; i < n && !r; i++) {
		bool known = false;
		for (size_t k = 0; k < n_batches && !known; k++)
			known = id_equal(&batches[k], &c->batch_news[i].batch);
		if (!known)
			batches[n_batches++] = c->batch_news[i].batch;
		r = hear(t, &c->batch_news[i]);
	}
	c->n_batch_news = 0; /* what follows is told anew */
	for (size_t i = 0; i < n_batches && !r; i++) {
		r = turn_apply(t);
		if (!r)
			r = decide(t, c, &batches[i]);
	}
	return r;
}

int batch_forget(struct turn *t, struct coordinator *c, const struct place *p)
{
	struct id batch;
	struct slice key, value;
	if (p->rec->batch.len != sizeof batch.b)
		return 0;
	memcpy(batch.b, p->rec->batch.data, sizeof batch.b);
	struct slice own = member_key(turn_arena(t), &batch, p->seq);
	int r = own.data ? turn_delete(t, T_MEMBER, own) : -ENOMEM;
	if (!r) /* a dead compensation that goes holds up nothing any more */
		r = batch_tell(c, p, TROUPE__TASK_STATE__CANCELLED);
	if (r)
		return r;
	/* The record goes with the last one: with both rows of the table's next deletion still to be seen, one that is not deleted keeps it. */
	for (uint64_t from = 0;;) {
		struct slice at = member_key(turn_arena(t), &batch, from), seen;
		if (!at.data)
			return -ENOMEM;
		r = store_seek(turn_view(t), T_MEMBER, at, false, &key, &value);
		if (r < 0)
			return r;
		if (r == ERROR_NOT_FOUND || key.len != 24 || memcmp(key.data, batch.b, 16) != 0)
			return turn_delete(t, T_BATCH, id_key_copy(turn_arena(t), &batch));
		from = key_read_u64((const uint8_t *)key.data + 16);
		r = turn_get(t, T_MEMBER, member_key(turn_arena(t), &batch, from), &seen);
		if (r != ERROR_NOT_FOUND)
			return r < 0 ? r : 0;
		from++;
	}
}

/* --- what is asked --- */

static Troupe__Batch *show(struct turn *t, const struct coordinator *c, const Troupe__BatchRecord *r)
{
	Troupe__Batch *b = arena_alloc(turn_arena(t), sizeof *b);
	if (!b)
		return NULL;
	troupe__batch__init(b);
	b->id = r->spec->id;
	b->name = r->spec->name;
	b->on_failure = r->spec->on_failure;
	b->state = r->state;
	b->submitter = r->submitter;
	b->submitted_at_ms = steady_to_wall(&c->steady, t, r->submitted_at_ms);
	b->finished_at_ms = steady_to_wall(&c->steady, t, r->finished_at_ms);
	b->members = r->members;
	b->done = r->done;
	b->dead = r->dead;
	b->cancelled = r->cancelled;
	b->compensations = r->compensations;
	b->compensated = r->compensated;
	return b;
}

struct listing { struct turn *t; struct coordinator *c; Troupe__Batches out; size_t limit; uint8_t last[16]; bool more; int error; };

static int list_row(void *ctx, struct slice key, struct slice value)
{
	struct listing *x = ctx;
	Troupe__BatchRecord *r;
	if (x->out.n_batches == x->limit) {
		x->more = true;
		return 1;
	}
	if (key.len != 16 || row_decode(turn_arena(x->t), value, &troupe__batch_record__descriptor, (ProtobufCMessage **)&r) || !r->spec)
		return 0;
	memcpy(x->last, key.data, 16);
	if (!(x->out.batches[x->out.n_batches++] = show(x->t, x->c, r)))
		x->error = -ENOMEM;
	return x->error != 0;
}

int on_batch_ask(struct turn *t, void *state, const struct message *m)
{
	const Troupe__BatchAsk *q = m->env->batch_ask;
	struct listing x = { .t = t, .c = state, .out = TROUPE__BATCHES__INIT, .limit = q->limit == 0 ? LIST_DEFAULT : q->limit > LIST_MAX ? LIST_MAX : q->limit };
	uint8_t from[16];
	int r;
	if (!(x.out.batches = arena_alloc(turn_arena(t), (x.limit + 1) * sizeof(Troupe__Batch *))))
		return -ENOMEM;
	if (q->id.len) {
		Troupe__BatchRecord *b;
		struct error e = { 0 };
		struct id id;
		if (q->id.len != sizeof id.b) {
			error_set(&e, ERROR_BAD_REQUEST, "a batch's id has 16 bytes, this one %zu", q->id.len);
			return turn_fail(t, &e);
		}
		memcpy(id.b, q->id.data, sizeof id.b);
		if ((r = batch_get(t, &id, &b))) {
			error_set(&e, r == ERROR_NOT_FOUND ? ERROR_NOT_FOUND : ERROR_CORRUPT, r == ERROR_NOT_FOUND ? "there is no such batch" : "the record of this batch is damaged");
			return r < 0 ? r : turn_fail(t, &e);
		}
		if (!(x.out.batches[x.out.n_batches++] = show(t, x.c, b)))
			return -ENOMEM;
	} else {
		memset(from, 0xff, sizeof from);
		if (q->cursor.len == sizeof from) { /* the one before */
			memcpy(from, q->cursor.data, sizeof from);
			for (size_t i = sizeof from; i-- > 0 && from[i]-- == 0;)
				;
		}
		r = store_scan(turn_view(t), T_BATCH, SLICE(from, sizeof from), true, list_row, &x);
		if (r < 0 || x.error)
			return r < 0 ? r : x.error;
		if (x.more)
			x.out.next = (ProtobufCBinaryData){ 16, x.last };
	}
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_BATCHES;
	env.batches = &x.out;
	return turn_reply(t, m, &env);
}
