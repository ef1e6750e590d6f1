/* Serial keys. Of the tasks of one key so many as may run at once hold it (one, unless the queue says more): they are in the ready index, run, or wait between two attempts.
 * The others stand in table waiting, in the order of their acceptance. Who ends lets the next one in, at the end of the turn, when all that the turn has brought is seen.
 *
 * A key has a row as long as it is in use, so memory knows only the keys that something has happened to in this turn. */
#include "actors/coordinator/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "common/base/log.h"

#define WAIT_LOOK_MAX 1000u /* rows that explain counts */
#define ADMIT_MAX 256u /* of one key in one turn */

/* A serial key that something has happened to. */
struct dirty_key { struct queue *queue; const char *key; };

static const char *key_of(const struct place *p)
{
	return p->rec ? p->rec->spec->serial_key : "";
}

bool key_serial(const struct queue *q)
{
	return q->policy->key_concurrency <= 1;
}

static uint32_t at_once(const struct queue *q)
{
	return q->policy->key_concurrency ? q->policy->key_concurrency : 1;
}

int key_get(struct turn *t, const struct queue *q, const char *key, Troupe__KeyRecord **ret)
{
	return row_get(t, T_KEY, key_serial_name(turn_arena(t), q->r.number, key), &troupe__key_record__descriptor, (ProtobufCMessage **)ret);
}

/* The row, made where it is missing. One that is damaged begins anew: its tasks are let in one after the other all the same. */
static int key_open(struct turn *t, struct coordinator *c, struct queue *q, const char *key, Troupe__KeyRecord **ret)
{
	int r = key_get(t, q, key, ret);
	if (r == ERROR_CORRUPT)
		log_error("the row of a serial key is damaged", LOG_S("queue", q->name), LOG_S("key", key));
	if (r <= 0 && r != -ENOMEM)
		return r;
	if (r < 0 || !(*ret = arena_alloc(turn_arena(t), sizeof **ret)))
		return -ENOMEM;
	troupe__key_record__init(*ret);
	(*ret)->number = c->meta.next_key++;
	c->meta_changed = q->changed = true;
	q->r.keys++;
	return 0;
}

static int key_store(struct turn *t, const struct queue *q, const char *key, const Troupe__KeyRecord *k)
{
	return row_put(t, T_KEY, key_serial_name(turn_arena(t), q->r.number, key), &k->base);
}

static int dirty(struct turn *t, struct coordinator *c, struct queue *q, const char *key)
{
	if (!GROW(c->dirty_keys, c->room_dirty_keys, c->n_dirty_keys + 1))
		return -ENOMEM;
	const char *copy = arena_string(turn_arena(t), key);
	if (!copy)
		return -ENOMEM;
	c->dirty_keys[c->n_dirty_keys++] = (struct dirty_key){ q, copy };
	return 0;
}

bool key_waits(struct turn *t, const struct place *p, uint64_t *ret_before)
{
	struct slice key = key_waiting(turn_arena(t), p->queue->r.number, key_of(p), p->seq), value, first;
	*ret_before = 0;
	if (!key.data || turn_get(t, T_WAITING, key, &value) != 0)
		return false;
	struct slice from = key_waiting(turn_arena(t), p->queue->r.number, key_of(p), 0);
	while (from.data && *ret_before < WAIT_LOOK_MAX && store_seek(turn_view(t), T_WAITING, from, false, &first, &value) == 0 && first.len == key.len &&
	       memcmp(first.data, key.data, key.len) < 0) {
		++*ret_before;
		from = key_waiting(turn_arena(t), p->queue->r.number, key_of(p), key_read_u64((const uint8_t *)first.data + first.len - 8) + 1);
	}
	return true;
}

/* --- the rate of a key --- */

static uint64_t token_wait_ms(const struct queue *q, const Troupe__KeyRecord *k, uint64_t now_ms)
{
	if (!sched_rate_is(q->policy->key_rate))
		return 0;
	struct sched_bucket b = sched_bucket_fill((struct sched_bucket){ k->bucket_milli, k->bucket_at_ms }, q->policy->key_rate, now_ms);
	return sched_bucket_wait_ms(b, q->policy->key_rate);
}

static uint64_t idle_ms(const struct queue *q, const Troupe__KeyRecord *k, uint64_t now_ms)
{
	if (!sched_rate_is(q->policy->key_rate) || !k->bucket_at_ms)
		return 0;
	struct sched_bucket b = sched_bucket_fill((struct sched_bucket){ k->bucket_milli, k->bucket_at_ms }, q->policy->key_rate, now_ms);
	return sched_bucket_full_ms(b, q->policy->key_rate);
}

uint64_t key_wait_ms(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__KeyRecord *k)
{
	return token_wait_ms(q, k, steady_at(&c->steady, t));
}

/* Somebody looks at the key again at that time. */
static int key_wake(struct turn *t, struct coordinator *c, const struct queue *q, const char *key, Troupe__KeyRecord *k, uint64_t at_ms)
{
	struct slice name = key_serial_name(turn_arena(t), q->r.number, key);
	uint8_t *value = arena_alloc(turn_arena(t), name.len + 1);
	if (k->due_at_ms && k->due_at_ms <= at_ms)
		return 0;
	if (!name.data || !value)
		return -ENOMEM;
	k->due_at_ms = at_ms;
	key_bytes(key_u8(value, DUE_KEY), name.data, name.len);
	return due_kind_put(t, c, at_ms, DUE_NUMBER(DUE_KEY, k->number), SLICE(value, name.len + 1));
}

int key_look(struct turn *t, struct coordinator *c, struct slice name)
{
	const uint8_t *at = name.data;
	if (name.len < 6 || name.len != 5u + at[4])
		return 0;
	struct queue *q = queue_numbered(c, key_read_u32(at));
	char *key = arena_zalloc(turn_arena(t), at[4] + 1u);
	Troupe__KeyRecord *k;
	if (!key)
		return -ENOMEM;
	memcpy(key, at + 5, at[4]);
	int r = q ? key_get(t, q, key, &k) : ERROR_NOT_FOUND;
	if (r)
		return r < 0 ? r : 0;
	k->due_at_ms = 0;
	r = key_store(t, q, key, k);
	return r ? r : dirty(t, c, q, key);
}

/* --- what happens to tasks of a key --- */

static int wait_put(struct turn *t, const struct place *p)
{
	return row_put_id(t, T_WAITING, key_waiting(turn_arena(t), p->queue->r.number, key_of(p), p->seq), &p->id);
}

static int hold(struct turn *t, const struct place *p, Troupe__KeyRecord *k)
{
	void *id = arena_copy(turn_arena(t), p->id.b, sizeof p->id.b);
	k->held++;
	k->holder = (ProtobufCBinaryData){ sizeof p->id.b, id };
	return id ? 0 : -ENOMEM;
}

int key_enter(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go)
{
	Troupe__KeyRecord *k;
	*ret_go = true;
	if (!*key_of(p) || p->holds)
		return 0;
	int r = key_open(t, c, p->queue, key_of(p), &k);
	if (r)
		return r;
	*ret_go = k->held < at_once(p->queue) && !k->waiting && !token_wait_ms(p->queue, k, steady_at(&c->steady, t));
	if (*ret_go) {
		r = hold(t, p, k);
	} else {
		k->waiting++;
		r = wait_put(t, p);
		if (!r)
			r = dirty(t, c, p->queue, key_of(p));
	}
	return r ? r : key_store(t, p->queue, key_of(p), k);
}

int key_release(struct turn *t, struct coordinator *c, struct place *p)
{
	Troupe__KeyRecord *k;
	if (!*key_of(p) || !p->holds)
		return 0;
	p->holds = false;
	int r = key_open(t, c, p->queue, key_of(p), &k);
	if (r)
		return r;
	k->held -= k->held > 0;
	r = key_store(t, p->queue, key_of(p), k);
	return r ? r : dirty(t, c, p->queue, key_of(p));
}

int key_leave(struct turn *t, struct coordinator *c, struct place *p, bool *ret_waited)
{
	struct slice value, key;
	Troupe__KeyRecord *k;
	*ret_waited = false;
	if (!*key_of(p))
		return 0;
	key = key_waiting(turn_arena(t), p->queue->r.number, key_of(p), p->seq);
	int r = key.data ? turn_get(t, T_WAITING, key, &value) : -ENOMEM;
	if (r == ERROR_NOT_FOUND) {
		p->holds = true;
		return 0;
	}
	if (r < 0 || (r = key_open(t, c, p->queue, key_of(p), &k)))
		return r;
	*ret_waited = true;
	k->waiting -= k->waiting > 0;
	r = turn_delete(t, T_WAITING, key);
	if (!r)
		r = key_store(t, p->queue, key_of(p), k);
	return r ? r : dirty(t, c, p->queue, key_of(p));
}

int key_start(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go)
{
	Troupe__KeyRecord *k;
	const Troupe__Rate *rate = p->queue->policy->key_rate;
	uint64_t now_ms = steady_at(&c->steady, t);
	*ret_go = true;
	if (!sched_rate_is(rate))
		return 0;
	int r = key_open(t, c, p->queue, key_of(p), &k);
	if (r)
		return r;
	uint64_t wait_ms = token_wait_ms(p->queue, k, now_ms);
	*ret_go = !wait_ms;
	if (!wait_ms) {
		struct sched_bucket b = sched_bucket_fill((struct sched_bucket){ k->bucket_milli, k->bucket_at_ms }, rate, now_ms);
		k->bucket_milli = b.milli - 1000;
		k->bucket_at_ms = b.at_ms;
	} else {
		k->held -= k->held > 0;
		k->waiting++;
		r = wait_put(t, p);
		if (!r)
			r = key_wake(t, c, p->queue, key_of(p), k, now_ms + wait_ms);
	}
	return r ? r : key_store(t, p->queue, key_of(p), k);
}

/* --- the end of a turn --- */

struct admit { struct slice prefix; struct id all[ADMIT_MAX]; uint64_t seqs[ADMIT_MAX]; size_t n, wanted; };

static int admit_row(void *ctx, struct slice key, struct slice value)
{
	struct admit *a = ctx;
	if (key.len != a->prefix.len + 8 || memcmp(key.data, a->prefix.data, a->prefix.len) != 0 || a->n == a->wanted)
		return 1;
	if (value.len == sizeof a->all[0].b) {
		memcpy(a->all[a->n].b, value.data, value.len);
		a->seqs[a->n++] = key_read_u64((const uint8_t *)key.data + a->prefix.len);
	}
	return 0;
}

static int admit_one(struct turn *t, struct coordinator *c, struct queue *q, const char *key, Troupe__KeyRecord *k, const struct id *id, uint64_t seq)
{
	Troupe__TaskRecord *rec;
	int r = turn_delete(t, T_WAITING, key_waiting(turn_arena(t), q->r.number, key, seq));
	k->waiting -= k->waiting > 0;
	if (r || (r = task_get(t, id, &rec)))
		return r < 0 ? r : 0; /* gone, or damaged: check-store tells */
	struct place p = place_of(c, id, rec);
	struct stream *s = stream_of(c, q, p.requirement);
	struct candidate one = { .id = *id, .seq = seq, .rank = p.rank };
	r = hold(t, &p, k);
	return r ? r : s ? fresh_add(c, s, &one) : -ENOMEM;
}

static int settle_one(struct turn *t, struct coordinator *c, struct queue *q, const char *key)
{
	Troupe__KeyRecord *k;
	uint64_t now_ms = steady_at(&c->steady, t);
	int r = key_get(t, q, key, &k);
	if (r)
		return r < 0 ? r : 0;
	uint64_t wait_ms = token_wait_ms(q, k, now_ms);
	uint32_t room = at_once(q) > k->held ? at_once(q) - k->held : 0;
	if (room && k->waiting && !wait_ms) {
		struct admit *a = arena_alloc(turn_arena(t), sizeof *a);
		if (!a)
			return -ENOMEM;
		a->prefix = key_serial_name(turn_arena(t), q->r.number, key);
		a->n = 0;
		a->wanted = room < ADMIT_MAX ? room : ADMIT_MAX;
		r = store_scan(turn_view(t), T_WAITING, a->prefix, false, admit_row, a);
		for (size_t i = 0; i < a->n && r >= 0; i++)
			r = admit_one(t, c, q, key, k, &a->all[i], a->seqs[i]);
		if (r < 0)
			return r;
		if (!a->n)
			k->waiting = 0; /* a row that began anew */
	} else if (k->waiting && wait_ms) {
		r = key_wake(t, c, q, key, k, now_ms + wait_ms);
	}
	if (r < 0 || k->held || k->waiting)
		return r < 0 ? r : key_store(t, q, key, k);
	uint64_t full_ms = idle_ms(q, k, now_ms);
	if (full_ms) {
		r = key_wake(t, c, q, key, k, now_ms + full_ms);
		return r ? r : key_store(t, q, key, k);
	}
	q->r.keys -= q->r.keys > 0;
	q->changed = true;
	return turn_delete(t, T_KEY, key_serial_name(turn_arena(t), q->r.number, key));
}

static int by_key(const void *a, const void *b)
{
	const struct dirty_key *x = a, *y = b;
	if (x->queue != y->queue)
		return x->queue->r.number < y->queue->r.number ? -1 : 1;
	return strcmp(x->key, y->key);
}

int keys_settle(struct turn *t, struct coordinator *c)
{
	int r = 0;
	if (c->n_dirty_keys > 1)
		qsort(c->dirty_keys, c->n_dirty_keys, sizeof *c->dirty_keys, by_key);
	for (size_t i = 0; i < c->n_dirty_keys && !r; i++)
		if (i == 0 || by_key(&c->dirty_keys[i - 1], &c->dirty_keys[i]) != 0)
			r = settle_one(t, c, c->dirty_keys[i].queue, c->dirty_keys[i].key);
	c->n_dirty_keys = 0;
	return r;
}
