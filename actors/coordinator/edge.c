/* Edges: a task that waits for the end of others. A row (parent, child) for each edge that is not decided; the child counts them in its state. When a parent is final its rows
 * are decided at the end of the turn, a slice a turn where there are many; a row of the due index carries on over a crash.
 *
 * A child whose edge cannot be met any more is cancelled, and so on down the graph; with hold_on_failure it stays, with its row, as long as its parent is dead and may
 * be retried. */
#include "actors/coordinator/edge.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"

#define EDGES_A_SLICE 1000u

/* A task whose end others may wait for. */
struct ended { struct id id, from; uint64_t seq; }; /* from: the child to begin with */

int edge_put(struct turn *t, const struct id *parent, const struct id *child, Troupe__EdgeOn on)
{
	struct slice key = key_edge(turn_arena(t), parent, child);
	uint8_t *value = arena_alloc(turn_arena(t), 1);
	if (!key.data || !value)
		return -ENOMEM;
	*value = (uint8_t)on;
	return turn_put(t, T_EDGE, key, SLICE(value, 1));
}

bool edge_met(Troupe__EdgeOn on, Troupe__TaskState parent)
{
	switch (on) {
	case TROUPE__EDGE_ON__ON_SUCCESS:
		return parent == TROUPE__TASK_STATE__DONE;
	case TROUPE__EDGE_ON__ON_FAILURE:
		return parent == TROUPE__TASK_STATE__DEAD || parent == TROUPE__TASK_STATE__CANCELLED;
	case TROUPE__EDGE_ON__ON_END:
	case _TROUPE__EDGE_ON_IS_INT_SIZE:
		break;
	}
	return true;
}

int edge_mark(struct turn *t, struct coordinator *c, const struct id *id, Troupe__StateRecord *st, struct lease *l, const Troupe__TaskRecord *rec)
{
	if (st->has_children)
		return 0;
	st->has_children = true;
	int r = row_put(t, T_STATE, id_key_copy(turn_arena(t), id), &st->base);
	if (!r && l) {
		l->has_state = true;
		r = lease_put(t, l);
	}
	struct queue *q = queue_numbered(c, rec->queue);
	struct stream *s = q && !l ? stream_of(c, q, rec->requirement) : NULL;
	struct candidate *x = s ? fresh_find(s, id) : NULL;
	if (x)
		x->first = false;
	return r;
}

int edges_ended(struct coordinator *c, const struct place *p)
{
	if (!GROW(c->ended, c->room_ended, c->n_ended + 1))
		return -ENOMEM;
	c->ended[c->n_ended++] = (struct ended){ .id = p->id, .seq = p->seq };
	return 0;
}

int edges_due(struct turn *t, struct coordinator *c, struct slice parent)
{
	struct ended e = { .seq = 0 };
	Troupe__TaskRecord *rec;
	if (parent.len != 2 * sizeof e.id.b)
		return 0;
	memcpy(e.id.b, parent.data, sizeof e.id.b);
	memcpy(e.from.b, (const uint8_t *)parent.data + sizeof e.id.b, sizeof e.from.b);
	int r = task_get(t, &e.id, &rec);
	if (r)
		return r < 0 ? r : 0;
	e.seq = rec->seq;
	if (!GROW(c->ended, c->room_ended, c->n_ended + 1))
		return -ENOMEM;
	c->ended[c->n_ended++] = e;
	return 0;
}

/* --- one thing less that a task waits for --- */

int task_unblock(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st)
{
	struct place p = place_of(c, id, rec);
	if (st->state != TROUPE__TASK_STATE__SCHEDULED || !st->blocked)
		return 0;
	if (st->blocked > 1) {
		st->blocked--;
		return row_put(t, T_STATE, id_key_copy(turn_arena(t), id), &st->base);
	}
	int r = place_leave(t, c, &p, TROUPE__TASK_STATE__SCHEDULED, st);
	st->blocked = 0;
	bool later = st->due_at_ms > steady_at(&c->steady, t) || st->at_wall_ms > turn_wall_ms(t);
	if (!later)
		st->state = TROUPE__TASK_STATE__READY;
	else if (st->due_at_ms && st->at_wall_ms && st->due_at_ms > steady_of_wall(&c->steady, t, st->at_wall_ms))
		st->at_wall_ms = 0;
	if (!r)
		r = place_enter(t, c, &p, st);
	return r ? r : place_log(c, &p, st, TROUPE__TASK_STATE__SCHEDULED);
}

/* --- what follows from an end --- */

struct child { struct id id; uint8_t on; };
struct children { struct id parent, next; struct child all[EDGES_A_SLICE]; size_t n, wanted; bool more; };

static int child_row(void *ctx, struct slice key, struct slice value)
{
	struct children *x = ctx;
	if (key.len != 32 || memcmp(key.data, x->parent.b, 16) != 0)
		return 1;
	if (x->n == x->wanted) {
		x->more = true;
		memcpy(x->next.b, (const uint8_t *)key.data + 16, 16);
		return 1;
	}
	memcpy(x->all[x->n].id.b, (const uint8_t *)key.data + 16, 16);
	x->all[x->n++].on = value.len ? *(const uint8_t *)value.data : 0;
	return 0;
}

static int decide(struct turn *t, struct coordinator *c, const struct id *parent, Troupe__TaskState state, const struct child *x)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = task_read(t, c, &x->id, &rec, &st, &l);
	bool waits = r == 0 && !l && st->state == TROUPE__TASK_STATE__SCHEDULED && st->blocked;
	bool met = edge_met((Troupe__EdgeOn)x->on, state);
	if (r < 0)
		return r;
	if (waits && !met && rec->spec->hold_on_failure && state == TROUPE__TASK_STATE__DEAD)
		return 0; /* the row stays */
	r = turn_delete(t, T_EDGE, key_edge(turn_arena(t), parent, &x->id));
	if (r || !waits)
		return r;
	if (met)
		return task_unblock(t, c, &x->id, rec, st);
	return task_cancel(t, c, &x->id, rec, st, NULL, state == TROUPE__TASK_STATE__DONE ? TROUPE__CAUSE__UNNEEDED : TROUPE__CAUSE__UPSTREAM);
}

static int settle_one(struct turn *t, struct coordinator *c, const struct ended *e, size_t *io_left)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = task_read(t, c, &e->id, &rec, &st, &l);
	if (r || l || !sched_is_final(st->state))
		return r < 0 ? r : 0; /* retried meanwhile */
	Troupe__TaskState state = st->state;
	struct children *x = arena_alloc(turn_arena(t), sizeof *x);
	if (!x)
		return -ENOMEM;
	x->parent = e->id;
	x->n = 0;
	x->wanted = *io_left < EDGES_A_SLICE ? *io_left : EDGES_A_SLICE;
	x->more = false;
	struct slice from = key_edge(turn_arena(t), &e->id, &e->from);
	r = from.data ? store_scan(turn_view(t), T_EDGE, from, false, child_row, x) : -ENOMEM;
	for (size_t i = 0; i < x->n && r >= 0; i++)
		r = decide(t, c, &x->parent, state, &x->all[i]);
	*io_left -= x->n;
	if (r < 0 || !x->more)
		return r < 0 ? r : 0;
	uint8_t *value = arena_alloc(turn_arena(t), 33);
	if (!value)
		return -ENOMEM;
	key_bytes(key_bytes(key_u8(value, DUE_EDGES), e->id.b, 16), x->next.b, 16);
	return due_kind_put(t, c, steady_at(&c->steady, t), DUE_NUMBER(DUE_EDGES, e->seq), SLICE(value, 33));
}

int edges_settle(struct turn *t, struct coordinator *c)
{
	size_t left = EDGES_A_SLICE;
	int r = 0;
	for (size_t i = 0; i < c->n_ended && !r; i++) { /* more may be added meanwhile */
		struct ended e = c->ended[i];
		r = turn_apply(t);
		if (!r)
			r = settle_one(t, c, &e, &left);
	}
	c->n_ended = 0;
	return r;
}
