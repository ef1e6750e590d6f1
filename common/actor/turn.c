/* A turn's effects.
 *
 * A handler's calls append effects to its message. When it returned 0 its rows go to the turn's transaction at once, so that the next message reads
 * them, and the rest moves to the turn's list, which is done after the commit. When it failed both are forgotten. Effects and packed messages live in
 * the turn's arena: an effect costs a pointer's move. The latest put or delete of a key is found by a small hash, so that a message that
 * writes thousands of rows and reads its own writes stays linear. Nothing here knows of sockets: turn_fake.c runs the same code without a process. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"

#define ROW_BUCKETS_FIRST 256u /* and then four times as many each time; ROW_BUCKETS is one of these */

static void effects_init(struct effects *e)
{
	*e = (struct effects){ .tail = &e->head };
}

int turn_init(struct turn *t, struct store *s, struct id_maker *ids, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms)
{
	memset(t, 0, sizeof *t);
	t->store = s;
	t->ids = ids;
	if (!(t->arena = arena_new(TURN_ARENA)))
		return -ENOMEM;
	turn_start(t, now_ms, wall_ms, boot_ms);
	return 0;
}

void turn_fini(struct turn *t)
{
	turn_end(t);
	t->arena = arena_unref(t->arena);
}

void turn_start(struct turn *t, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms)
{
	t->now_ms = now_ms;
	t->wall_ms = wall_ms;
	t->boot_ms = boot_ms;
	t->askers = NULL;
	t->store_failed = false;
	t->n_control = 0;
	effects_init(&t->release);
	turn_message_begin(t);
}

/* Empties the hash by making all its entries old. */
static void buckets_forget(struct turn *t, uint32_t mask)
{
	t->row_mask = mask;
	if (++t->generation == 0) {
		memset(t->buckets, 0, sizeof t->buckets);
		t->generation = 1;
	}
}

static void rows_forget(struct turn *t)
{
	effects_init(&t->message);
	t->n_got = 0;
	t->n_rows = 0;
	buckets_forget(t, ROW_BUCKETS_FIRST - 1);
}

void turn_message_begin(struct turn *t)
{
	rows_forget(t);
	t->error_set = false;
}

void turn_message_drop(struct turn *t)
{
	for (struct effect *e = t->message.head; e; e = e->next)
		t->n_control -= e->op == OP_CONTROL || e->op == OP_EMIT;
	rows_forget(t);
}

void turn_end(struct turn *t)
{
	if (t->txn)
		store_abort(steal(&t->txn));
	if (t->view)
		store_read_end(steal(&t->view));
	effects_init(&t->message);
	effects_init(&t->release);
	if (t->arena)
		arena_reset(t->arena);
}

struct effect *turn_effect(struct turn *t, enum effect_op op)
{
	struct effect *e = arena_zalloc(t->arena, sizeof *e);
	if (!e)
		return NULL;
	e->op = op;
	*t->message.tail = e;
	t->message.tail = &e->next;
	t->message.n++;
	return e;
}

/* --- rows --- */

static uint32_t row_hash(unsigned table, struct slice key)
{
	return crc32c(table, key.data, key.len);
}

static struct effect *row_find(const struct turn *t, unsigned table, struct slice key)
{
	uint32_t hash = row_hash(table, key), b = hash & t->row_mask;
	if (t->buckets[b].generation != t->generation)
		return NULL;
	for (struct effect *e = t->buckets[b].head; e; e = e->same_bucket)
		if (e->hash == hash && e->table == table && e->key.len == key.len && memcmp(e->key.data, key.data, key.len) == 0)
			return e;
	return NULL;
}

static void row_remember(struct turn *t, struct effect *e)
{
	uint32_t b = e->hash & t->row_mask;
	e->same_bucket = t->buckets[b].generation == t->generation ? t->buckets[b].head : NULL;
	t->buckets[b].generation = t->generation;
	t->buckets[b].head = e;
}

/* A message of many rows gets more buckets; few of them stay in the processor's cache for all the others. */
static void rows_spread(struct turn *t)
{
	buckets_forget(t, t->row_mask * 4 + 3);
	for (struct effect *e = t->message.head; e; e = e->next)
		if (e->op == OP_PUT || e->op == OP_DELETE)
			row_remember(t, e);
}

/* A value that turn_get returned lies in a page that the next put may move. */
static int row_own(struct turn *t, struct slice *s)
{
	for (unsigned i = 0; i < t->n_got; i++) {
		const uint8_t *from = t->got[i].data, *p = s->data;
		if (p < from || p >= from + t->got[i].len)
			continue;
		void *copy = arena_copy(t->arena, s->data, s->len);
		if (!copy)
			return -ENOMEM;
		s->data = copy;
		return 0;
	}
	return 0;
}

static int row_effect(struct turn *t, enum effect_op op, unsigned table, struct slice key, struct slice value)
{
	assert(t->store);
	if (key.len == 0 || key.len > 511)
		return ERROR_BAD_REQUEST;
	int r = row_own(t, &key);
	if (!r)
		r = row_own(t, &value);
	if (r)
		return r;
	struct effect *e = turn_effect(t, op);
	if (!e)
		return -ENOMEM;
	e->table = table;
	e->key = key;
	e->value = value;
	e->hash = row_hash(table, key);
	row_remember(t, e);
	if (++t->n_rows > t->row_mask && t->row_mask < ROW_BUCKETS - 1)
		rows_spread(t);
	return 0;
}

int turn_put(struct turn *t, unsigned table, struct slice key, struct slice value)
{
	return row_effect(t, OP_PUT, table, key, value);
}

int turn_delete(struct turn *t, unsigned table, struct slice key)
{
	return row_effect(t, OP_DELETE, table, key, SLICE(NULL, 0));
}

struct store_txn *turn_view(struct turn *t)
{
	if (t->txn || !t->store)
		return t->txn;
	if (!t->view && store_read(t->store, &t->view) < 0)
		t->view = NULL;
	return t->view;
}

int turn_get(struct turn *t, unsigned table, struct slice key, struct slice *ret)
{
	assert(t->store);
	if (key.len == 0 || key.len > 511)
		return ERROR_BAD_REQUEST;
	const struct effect *e = row_find(t, table, key);
	if (e && e->op == OP_DELETE)
		return ERROR_NOT_FOUND;
	if (e) {
		*ret = e->value;
		return 0;
	}
	struct store_txn *view = turn_view(t);
	struct slice value;
	if (!view)
		return -EIO;
	int r = store_get(view, table, key, &value);
	if (r)
		return r;
	if (t->n_got == ELEMENTS(t->got)) { /* the rest is copied, so that the list stays short */
		void *copy = arena_copy(t->arena, value.data, value.len);
		if (!copy)
			return -ENOMEM;
		value.data = copy;
	} else {
		t->got[t->n_got++] = value;
	}
	*ret = value;
	return 0;
}

static int row_apply(struct turn *t, const struct effect *e)
{
	int r;
	if (!t->txn) {
		if ((r = store_begin(t->store, &t->txn)) < 0)
			return r;
		fault_point("turn.after_begin");
	}
	r = e->op == OP_PUT ? store_put(t->txn, e->table, e->key, e->value) : store_delete(t->txn, e->table, e->key);
	if (r == ERROR_NOT_FOUND)
		return 0;
	if (r == ERROR_STORE)
		t->store_failed = true;
	return r > 0 && r != ERROR_STORE ? -EIO : r; /* a damaged page met while writing: open again and see */
}

int turn_message_apply(struct turn *t)
{
	struct effect *next;
	int r = 0;
	for (struct effect *e = t->message.head; e && !r; e = next) {
		next = e->next;
		if (e->op == OP_PUT || e->op == OP_DELETE) {
			r = row_apply(t, e);
			continue;
		}
		e->next = NULL;
		*t->release.tail = e;
		t->release.tail = &e->next;
		t->release.n++;
	}
	effects_init(&t->message);
	return r;
}

int turn_apply(struct turn *t)
{
	int r = turn_message_apply(t);
	rows_forget(t);
	return r;
}

/* --- what a handler may ask --- */

struct actor *turn_actor(struct turn *t)
{
	return t->actor;
}

uint64_t turn_now_ms(const struct turn *t)
{
	return t->now_ms;
}

uint64_t turn_wall_ms(const struct turn *t)
{
	return t->wall_ms;
}

uint64_t turn_boot_ms(const struct turn *t)
{
	return t->boot_ms;
}

struct id turn_new_id(struct turn *t)
{
	return id_make(t->ids, t->wall_ms);
}

struct arena *turn_arena(struct turn *t)
{
	return t->arena;
}
