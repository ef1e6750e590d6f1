#include "supervisor/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/store/store.h"
#include "common/wire/codec.h"

#define WRITE_EVERY_MS 1000u
#define AGAIN_MS 5000u
#define NAME_MAX_BYTES 191u
#define LOOK_MAX 2000u

enum { TABLE_CRASH, TABLE_ORDER, TABLE_CHILD };
static const char *const tables[] = { "crash", "order", "child", NULL };

struct waiting { uint64_t id; size_t len; uint8_t *data; };

struct record {
	char *dir;
	struct store *store;          /* NULL: failed, or not yet open */
	uint64_t oldest, next;        /* ids in the store are oldest to next - 1, but for those that wait */
	struct waiting waiting[RECORD_WAITING_MAX];
	size_t n_waiting;
	char **gone;                  /* added children that went by themselves: to be forgotten at the next write */
	size_t n_gone;
	uint64_t dropped, write_at_ms, again_at_ms;
	char alarm[300];
};

static void fail(struct record *r, const char *what, const char *why, uint64_t now_ms)
{
	if (r->store)
		r->store = store_close(r->store);
	r->again_at_ms = now_ms + AGAIN_MS;
	snprintf(r->alarm, sizeof r->alarm, "%.150s: %s %.80s; crash reports and orders are kept in memory only", r->dir, what, why);
}

static const char *why_of(int code)
{
	return code > 0 ? error_name(code) : strerror(-code);
}

/* The ids that are in the store. */
static int find_ends(struct record *r)
{
	struct store_txn *view;
	struct slice key, value;
	static const uint8_t first[8], last[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	int code = store_read(r->store, &view);
	if (code)
		return code;
	uint64_t next = 1, oldest = 1;
	if (store_seek(view, TABLE_CRASH, SLICE(last, sizeof last), true, &key, &value) == 0 && key.len == 8)
		next = key_read_u64(key.data) + 1;
	if (store_seek(view, TABLE_CRASH, SLICE(first, sizeof first), false, &key, &value) == 0 && key.len == 8)
		oldest = key_read_u64(key.data);
	store_read_end(view);
	if (next > r->next)
		r->next = next;
	r->oldest = oldest;
	return 0;
}

static void open_store(struct record *r, uint64_t now_ms)
{
	struct error e = { 0 };
	struct store_config c = { .dir = r->dir, .tables = tables, .version = 1, .map_first = 16u << 20, .map_max = 256u << 20 };
	int code = store_open(&c, &r->store, &e);
	if (code) {
		r->store = NULL;
		fail(r, "cannot be opened:", *e.text ? e.text : why_of(code), now_ms);
		return;
	}
	if ((code = find_ends(r)) != 0)
		fail(r, "cannot be read:", why_of(code), now_ms);
	else
		r->alarm[0] = 0;
}

struct record *record_open(const char *dir, uint64_t now_ms)
{
	struct record *r = calloc(1, sizeof *r);
	if (!r || !(r->dir = strdup(dir))) {
		free(r);
		return NULL;
	}
	r->next = r->oldest = 1;
	r->write_at_ms = TIME_NEVER;
	open_store(r, now_ms);
	return r;
}

/* --- reports --- */

static int write_all(struct record *r)
{
	struct store_txn *t;
	uint8_t key[8];
	int code = store_begin(r->store, &t);
	if (code)
		return code;
	for (size_t i = 0; i < r->n_waiting && !code; i++) {
		key_u64(key, r->waiting[i].id);
		code = store_put(t, TABLE_CRASH, SLICE(key, 8), SLICE(r->waiting[i].data, r->waiting[i].len));
	}
	for (size_t i = 0; i < r->n_gone && !code; i++) {
		code = store_delete(t, TABLE_CHILD, SLICE_STR(r->gone[i]));
		if (code == ERROR_NOT_FOUND)
			code = 0;
	}
	uint64_t oldest = r->oldest;
	for (; !code && r->next - oldest > RECORD_CRASHES_MAX; oldest++) {
		key_u64(key, oldest);
		code = store_delete(t, TABLE_CRASH, SLICE(key, 8));
		if (code == ERROR_NOT_FOUND)
			code = 0;
	}
	if (code) {
		store_abort(t);
		return code;
	}
	if ((code = store_commit(t)) == 0)
		r->oldest = oldest;
	return code;
}

static void waiting_forget(struct record *r)
{
	for (size_t i = 0; i < r->n_waiting; i++)
		free(r->waiting[i].data);
	r->n_waiting = 0;
	for (size_t i = 0; i < r->n_gone; i++)
		free(r->gone[i]);
	r->n_gone = 0;
	r->write_at_ms = TIME_NEVER;
}

uint64_t record_tick(struct record *r, uint64_t now_ms)
{
	if (!r->store && now_ms >= r->again_at_ms)
		open_store(r, now_ms);
	if (r->store && (r->n_waiting || r->n_gone)) {
		if (r->write_at_ms == TIME_NEVER)
			r->write_at_ms = now_ms + WRITE_EVERY_MS;
		if (now_ms >= r->write_at_ms) {
			int code = write_all(r);
			if (code)
				fail(r, "cannot be written:", why_of(code), now_ms);
			else
				waiting_forget(r);
		}
	}
	return r->store ? r->write_at_ms : r->again_at_ms;
}

struct record *record_close(struct record *r, uint64_t now_ms)
{
	if (!r)
		return NULL;
	if (r->store && (r->n_waiting || r->n_gone))
		write_all(r);
	waiting_forget(r);
	free(r->gone);
	store_close(r->store);
	free(r->dir);
	free(r);
	return NULL;
}

uint64_t record_crash(struct record *r, const Troupe__Crash *c)
{
	Troupe__Crash copy = *c;
	copy.id = r->next++;
	size_t len = troupe__crash__get_packed_size(&copy);
	uint8_t *data = malloc(len ? len : 1);
	if (!data)
		return copy.id;
	troupe__crash__pack(&copy, data);
	if (r->n_waiting == RECORD_WAITING_MAX) {
		free(r->waiting[0].data);
		memmove(r->waiting, r->waiting + 1, (RECORD_WAITING_MAX - 1) * sizeof r->waiting[0]);
		r->n_waiting--;
		if (r->dropped++ == 0 && !r->alarm[0])
			snprintf(r->alarm, sizeof r->alarm, "more crashes than reports can be written: some are dropped");
	}
	r->waiting[r->n_waiting++] = (struct waiting){ copy.id, len, data };
	return copy.id;
}

struct listing { const Troupe__CrashAsk *q; struct arena *a; Troupe__Crashes *out; size_t limit, looked; int error; };

/* One packed report, in the order newest first. Positive: enough. */
static int list_one(struct listing *l, uint64_t id, const void *data, size_t len)
{
	Troupe__Crash *c;
	if (l->q->id ? id != l->q->id : l->q->before && id >= l->q->before)
		return 0;
	if (message_decode(&troupe__crash__descriptor, data, len, l->a, (ProtobufCMessage **)&c, NULL))
		return 0; /* a damaged one is passed over */
	if (!l->q->id && *l->q->address && strcmp(c->address, l->q->address) != 0)
		return ++l->looked >= LOOK_MAX;
	l->out->crashes[l->out->n_crashes++] = c;
	return l->q->id || l->out->n_crashes >= l->limit;
}

static int list_row(void *ctx, struct slice key, struct slice value)
{
	struct listing *l = ctx;
	return key.len == 8 ? list_one(l, key_read_u64(key.data), value.data, value.len) : 0;
}

int record_crashes(struct record *r, const Troupe__CrashAsk *q, struct arena *a, Troupe__Crashes *ret)
{
	struct listing l = { .q = q, .a = a, .out = ret, .limit = q->limit && q->limit < RECORD_PAGE_MAX ? q->limit : RECORD_PAGE_MAX };
	if (!(ret->crashes = arena_alloc(a, (l.limit + 1) * sizeof *ret->crashes)))
		return -ENOMEM;
	bool enough = false;
	for (size_t i = r->n_waiting; i-- > 0 && !enough;)
		enough = list_one(&l, r->waiting[i].id, r->waiting[i].data, r->waiting[i].len) > 0;
	struct store_txn *view;
	if (!enough && r->store && store_read(r->store, &view) == 0) {
		uint8_t from[8];
		key_u64(from, q->id ? q->id : q->before ? q->before - 1 : UINT64_MAX);
		store_scan(view, TABLE_CRASH, SLICE(from, 8), true, list_row, &l);
		store_read_end(view);
	}
	if (q->id && !ret->n_crashes)
		return ERROR_NOT_FOUND;
	if (!q->id && ret->n_crashes >= l.limit)
		ret->next = ret->crashes[ret->n_crashes - 1]->id;
	return 0;
}

/* --- orders --- */

/* One small transaction; durable when it returns 0. */
static int change(struct record *r, int (*fn)(struct store_txn *t, const void *arg), const void *arg, struct error *e)
{
	struct store_txn *t;
	uint64_t now_ms = clock_mono_ms();
	if (!r->store)
		open_store(r, now_ms);
	if (!r->store)
		return error_set(e, ERROR_STORE, "the order cannot be kept: %s", r->alarm);
	int code = store_begin(r->store, &t);
	if (!code) {
		code = fn(t, arg);
		if (code == 0)
			code = store_commit(t);
		else
			store_abort(t);
	}
	if (!code) {
		fault_point("order.after_commit");
		return 0;
	}
	fail(r, "cannot be written:", why_of(code), now_ms);
	return error_set(e, ERROR_STORE, "the order cannot be kept: %s", r->alarm);
}

static int forget(struct store_txn *t, int table, const char *name)
{
	int code = store_delete(t, table, SLICE_STR(name));
	return code == ERROR_NOT_FOUND ? 0 : code;
}

struct order { const char *name; enum record_state state; };

static int put_order(struct store_txn *t, const void *arg)
{
	const struct order *o = arg;
	if (o->state == RECORD_STOPPED)
		return store_put(t, TABLE_ORDER, SLICE_STR(o->name), SLICE_STR("stopped"));
	int code = forget(t, TABLE_ORDER, o->name);
	return code || o->state == RECORD_STARTED ? code : forget(t, TABLE_CHILD, o->name);
}

int record_order(struct record *r, const char *name, enum record_state state, struct error *e)
{
	return change(r, put_order, &(struct order){ name, state }, e);
}

/* --- children that were added --- */

static int put_child(struct store_txn *t, const void *arg)
{
	const Troupe__AddChild *add = arg;
	size_t len = troupe__add_child__get_packed_size(add);
	uint8_t *data = malloc(len ? len : 1);
	if (!data)
		return -ENOMEM;
	troupe__add_child__pack(add, data);
	int code = store_put(t, TABLE_CHILD, SLICE_STR(add->name), SLICE(data, len));
	free(data);
	return code;
}

int record_child(struct record *r, const Troupe__AddChild *add, struct error *e)
{
	return change(r, put_child, add, e);
}

void record_child_gone(struct record *r, const char *name)
{
	char **gone = reallocarray(r->gone, r->n_gone + 1, sizeof *gone);
	if (!gone)
		return;
	r->gone = gone;
	if ((gone[r->n_gone] = strdup(name)))
		r->n_gone++;
}

struct children { struct arena *arena; Troupe__AddChild **all; size_t n; };

static int child_row(void *ctx, struct slice key, struct slice value)
{
	struct children *c = ctx;
	ProtobufCMessage *m;
	Troupe__AddChild **all = reallocarray(c->all, c->n + 1, sizeof *all);
	if (!all)
		return 1;
	c->all = all;
	if (message_decode(&troupe__add_child__descriptor, value.data, value.len, c->arena, &m, NULL) == 0) /* a damaged one is passed over */
		all[c->n++] = (Troupe__AddChild *)m;
	return 0;
}

static int by_seq(const void *a, const void *b)
{
	const Troupe__AddChild *x = *(Troupe__AddChild *const *)a, *y = *(Troupe__AddChild *const *)b;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

void record_children(struct record *r, void (*fn)(void *ctx, const Troupe__AddChild *add), void *ctx)
{
	struct children c = { .arena = arena_new(64u << 20) };
	struct store_txn *view;
	static const uint8_t first = 0;
	if (c.arena && r->store && store_read(r->store, &view) == 0) {
		store_scan(view, TABLE_CHILD, SLICE(&first, 1), false, child_row, &c);
		store_read_end(view);
	}
	if (c.n)
		qsort(c.all, c.n, sizeof(*c.all), by_seq);
	for (size_t i = 0; i < c.n; i++)
		fn(ctx, c.all[i]);
	free(c.all);
	arena_unref(c.arena);
}

struct orders { void (*fn)(void *ctx, const char *name); void *ctx; };

static int order_row(void *ctx, struct slice key, struct slice value)
{
	struct orders *o = ctx;
	char name[NAME_MAX_BYTES + 1];
	if (key.len <= NAME_MAX_BYTES) {
		memcpy(name, key.data, key.len);
		name[key.len] = 0;
		o->fn(o->ctx, name);
	}
	return 0;
}

void record_orders(struct record *r, void (*fn)(void *ctx, const char *name), void *ctx)
{
	struct orders o = { fn, ctx };
	struct store_txn *view;
	static const uint8_t first = 0;
	if (!r->store || store_read(r->store, &view) != 0)
		return;
	store_scan(view, TABLE_ORDER, SLICE(&first, 1), false, order_row, &o);
	store_read_end(view);
}

const char *record_alarm(const struct record *r)
{
	return r->alarm[0] ? r->alarm : NULL;
}
