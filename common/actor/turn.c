/* A turn's effects.
 *
 * A handler's calls append effects to its message. When it returned 0 they move to the turn's lists: rows, which the next message reads, and the rest, which is done
 * after the commit. When it failed both are forgotten. Effects and packed messages live in the turn's arena: an effect costs a pointer's move. The latest put or delete
 * of a key is found by a hash, one of the message and one of the turn, so that whoever writes thousands of rows and reads his own writes stays linear.
 *
 * Rows come into a transaction late: LMDB has one writer, and that may still be the turn before this one. A point read looks into the message, the turn, the turn that is
 * being committed, and then into a view of the store. Whoever scans needs all of that in one place: it waits for the commit that is on its way, and the rows so far, and
 * all that follow, go to a transaction of this turn. Nothing here knows of sockets: fake.c runs the same code without a process. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"

static void effects_init(struct effects *e)
{
	*e = (struct effects){ .tail = &e->head };
}

static void effects_add(struct effects *all, struct effect *e)
{
	e->next = NULL;
	*all->tail = e;
	all->tail = &e->next;
	all->n++;
}

static void buckets_forget(struct bucket *buckets, size_t n, uint32_t *generation)
{
	if (++*generation)
		return;
	memset(buckets, 0, n * sizeof *buckets);
	*generation = 1;
}

static void turn_rows_forget(struct turn *t)
{
	effects_init(&t->rows);
	buckets_forget(t->row_buckets, ROW_BUCKETS, &t->row_generation);
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

void turn_clock(struct turn *t, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms)
{
	t->now_ms = now_ms;
	t->wall_ms = wall_ms;
	t->boot_ms = boot_ms;
}

void turn_start(struct turn *t, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms)
{
	turn_clock(t, now_ms, wall_ms, boot_ms);
	t->askers = NULL;
	t->store_failed = t->waited = false;
	t->n_control = 0;
	t->n_handled = t->handled_bytes = 0;
	effects_init(&t->release);
	turn_rows_forget(t);
	turn_message_begin(t);
}

static void message_forget(struct turn *t)
{
	effects_init(&t->message);
	t->n_got = 0;
	buckets_forget(t->buckets, ROW_BUCKETS, &t->generation);
}

void turn_message_begin(struct turn *t)
{
	message_forget(t);
	t->error_set = false;
}

void turn_message_drop(struct turn *t)
{
	for (struct effect *e = t->message.head; e; e = e->next)
		t->n_control -= e->op == OP_CONTROL || e->op == OP_EMIT;
	message_forget(t);
}

void turn_end(struct turn *t)
{
	if (t->txn)
		store_abort(steal(&t->txn));
	if (t->view)
		store_read_end(steal(&t->view));
	message_forget(t);
	turn_rows_forget(t);
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
	effects_add(&t->message, e);
	return e;
}

/* --- rows --- */

static uint32_t row_hash(unsigned table, struct slice key)
{
	return crc32c(table, key.data, key.len);
}

static struct effect *row_find(const struct bucket *b, uint32_t generation, unsigned table, struct slice key)
{
	if (b->generation != generation)
		return NULL;
	for (struct effect *e = b->head; e; e = e->same_bucket)
		if (e->table == table && e->key.len == key.len && memcmp(e->key.data, key.data, key.len) == 0)
			return e;
	return NULL;
}

static void row_hang(struct bucket *b, uint32_t generation, struct effect *e)
{
	e->same_bucket = b->generation == generation ? b->head : NULL;
	b->generation = generation;
	b->head = e;
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
	row_hang(&t->buckets[row_hash(table, key) % ROW_BUCKETS], t->generation, e);
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

/* The row as this turn and the one below it leave it; *ret_lasts: as long as this turn. NULL: neither has written it. */
static const struct effect *row_pending(const struct turn *t, unsigned table, struct slice key, bool *ret_lasts)
{
	uint32_t hash = row_hash(table, key);
	const struct effect *e = row_find(&t->buckets[hash % ROW_BUCKETS], t->generation, table, key);
	*ret_lasts = true;
	if (!e && !t->txn)
		e = row_find(&t->row_buckets[hash % ROW_BUCKETS], t->row_generation, table, key);
	if (e || t->txn || !t->below)
		return e;
	*ret_lasts = false;
	return row_find(&t->below->row_buckets[hash % ROW_BUCKETS], t->below->row_generation, table, key);
}

/* For what does not lie in this turn's memory: it is remembered that it may move, or it is copied, so that the list stays short. */
static int got(struct turn *t, struct slice value, struct slice *ret)
{
	if (t->n_got < ELEMENTS(t->got)) {
		t->got[t->n_got++] = value;
	} else {
		void *copy = arena_copy(t->arena, value.data, value.len);
		if (!copy)
			return -ENOMEM;
		value.data = copy;
	}
	*ret = value;
	return 0;
}

static struct store_txn *turn_reader(struct turn *t)
{
	if (t->txn || !t->store)
		return t->txn;
	if (!t->view && store_read(t->store, &t->view) < 0)
		t->view = NULL;
	return t->view;
}

int turn_get(struct turn *t, unsigned table, struct slice key, struct slice *ret)
{
	bool lasts;
	assert(t->store);
	if (key.len == 0 || key.len > 511)
		return ERROR_BAD_REQUEST;
	const struct effect *e = row_pending(t, table, key, &lasts);
	if (e && e->op == OP_DELETE)
		return ERROR_NOT_FOUND;
	if (e && lasts) {
		*ret = e->value;
		return 0;
	}
	if (e)
		return got(t, e->value, ret);
	struct store_txn *reader = turn_reader(t);
	struct slice value;
	if (!reader)
		return -EIO;
	int r = store_get(reader, table, key, &value);
	return r ? r : got(t, value, ret);
}

/* --- into a transaction --- */

static int row_write(struct turn *t, const struct effect *e)
{
	int r = e->op == OP_PUT ? store_put(t->txn, e->table, e->key, e->value) : store_delete(t->txn, e->table, e->key);
	if (r == ERROR_NOT_FOUND)
		return 0;
	if (r == ERROR_STORE)
		t->store_failed = true;
	return r > 0 && r != ERROR_STORE ? -EIO : r; /* a damaged page met while writing: open again and see */
}

/* Opens the transaction of a turn that has rows, and puts them into it. */
static int turn_write(struct turn *t, int (*begin)(struct store *s, struct store_txn **ret))
{
	int r = 0;
	if (!t->rows.n)
		return 0;
	assert(!t->txn);
	if ((r = begin(t->store, &t->txn)) < 0)
		return r;
	fault_point("turn.after_begin");
	for (const struct effect *e = t->rows.head; e && !r; e = e->next)
		if (!e->over)
			r = row_write(t, e);
	effects_init(&t->rows);
	return r;
}

int turn_commit(struct turn *t, int (*begin)(struct store *s, struct store_txn **ret))
{
	int r = turn_write(t, begin);
	if (r < 0 || !t->txn)
		return r;
	fault_point("turn.before_commit");
	r = store_commit(steal(&t->txn));
	if (!r)
		fault_point("turn.after_commit");
	return r;
}

struct store_txn *turn_view(struct turn *t)
{
	if (t->txn || !t->store)
		return t->txn;
	if (t->below && !t->waited) {
		flight_wait(t->actor->flight);
		t->waited = true;
		if (t->view) /* from before it */
			store_read_end(steal(&t->view));
	}
	if (turn_write(t, store_begin) < 0)
		return NULL;
	return turn_reader(t);
}

void turn_landed(struct turn *t)
{
	t->below = NULL;
	if (t->view)
		store_read_end(steal(&t->view));
}

/* Later messages read it in the turn. */
static void row_keep(struct turn *t, struct effect *e)
{
	struct bucket *b = &t->row_buckets[row_hash(e->table, e->key) % ROW_BUCKETS];
	struct effect *before = row_find(b, t->row_generation, e->table, e->key);
	if (before)
		before->over = true;
	row_hang(b, t->row_generation, e);
	effects_add(&t->rows, e);
}

int turn_message_apply(struct turn *t)
{
	struct effect *next;
	int r = 0;
	for (struct effect *e = t->message.head; e && !r; e = next) {
		next = e->next;
		if (e->op != OP_PUT && e->op != OP_DELETE)
			effects_add(&t->release, e);
		else if (t->txn)
			r = row_write(t, e);
		else
			row_keep(t, e);
	}
	message_forget(t);
	return r;
}

int turn_apply(struct turn *t)
{
	return turn_message_apply(t);
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
