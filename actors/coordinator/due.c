/* What is due: a row of the due index (by the steady clock) or of table at (by the wall clock) says when somebody must look at a task or at something else, and that says
 * why. A slice a turn, oldest first. */
#include "actors/coordinator/due.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/crons.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "common/base/clock.h"

#define DUE_SLICE 1000u /* rows that become due in one turn */

struct due { uint64_t at_ms, number; const uint8_t *value; size_t len; };
struct dues { struct turn *t; struct due all[DUE_SLICE]; size_t n; uint64_t until_ms, next_ms; int error; };

static int put(struct turn *t, unsigned table, uint64_t *first_ms, uint64_t at_ms, uint64_t number, struct slice value)
{
	struct slice key = key_due(turn_arena(t), at_ms, number);
	void *copy = arena_copy(turn_arena(t), value.data, value.len);
	if (!key.data || !copy)
		return -ENOMEM;
	if (at_ms < *first_ms)
		*first_ms = at_ms;
	return turn_put(t, table, key, SLICE(copy, value.len));
}

int due_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t seq, const struct id *id)
{
	return put(t, T_DUE, &c->due_ms, at_ms, seq, id_key(id));
}

int due_kind_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t number, struct slice value)
{
	return put(t, T_DUE, &c->due_ms, at_ms, number, value);
}

int at_put(struct turn *t, struct coordinator *c, uint64_t wall_ms, uint64_t number, struct slice value)
{
	return put(t, T_AT, &c->at_wall_ms, wall_ms, number, value);
}

/* --- what a row names --- */

static int abort_late(struct turn *t, struct lease *l)
{
	Troupe__Abort a = TROUPE__ABORT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	a.tokens = &l->token;
	a.n_tokens = 1;
	a.why = (char *)"its deadline has passed";
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = &a;
	return worker_push(t, l->worker, &env);
}

/* Its record, or the window of its unique key, may be over. */
static int look_final(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	const struct queue *q = queue_numbered(c, rec->queue);
	uint64_t now = steady_at(&c->steady, t), keep_ms = q ? q->policy->result_ttl_ms : 0;
	struct slice value;
	if (st->state != TROUPE__TASK_STATE__DEAD && st->finished_at_ms + keep_ms <= now)
		return task_delete(t, c, id, rec, st);
	if (!q || !*rec->spec->unique_key || rec->submitted_at_ms + rec->spec->unique_window_ms > now)
		return 0;
	struct slice key = key_unique(turn_arena(t), q->r.number, rec->spec->unique_key);
	if (!key.data)
		return -ENOMEM;
	int r = turn_get(t, T_UNIQUE, key, &value);
	if (!r && value.len == sizeof id->b && memcmp(value.data, id->b, value.len) == 0)
		return turn_delete(t, T_UNIQUE, key);
	return r < 0 ? r : 0;
}

static int look(struct turn *t, struct coordinator *c, const struct id *id)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	uint64_t now = steady_at(&c->steady, t);
	int r = task_read(t, c, id, &rec, &st, &l);
	if (r)
		return r < 0 ? r : 0;
	Troupe__TaskState was = task_state(st, l);
	if (sched_is_final(was))
		return look_final(t, c, id, rec, st);
	if (rec->deadline_at_ms && rec->deadline_at_ms <= now) {
		if (l)
			return abort_late(t, l);
		st->state = TROUPE__TASK_STATE__DEAD;
		st->cause = TROUPE__CAUSE__EXPIRED;
		return task_move(t, c, id, rec, st, was);
	}
	const struct queue *q = queue_numbered(c, rec->queue);
	if (was == TROUPE__TASK_STATE__READY && q && q->policy->max_age_ms && q->policy->full == TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST &&
	    rec->submitted_at_ms + q->policy->max_age_ms <= now) {
		st->state = TROUPE__TASK_STATE__CANCELLED;
		st->cause = TROUPE__CAUSE__DROPPED;
		return task_move(t, c, id, rec, st, was);
	}
	bool due = st->due_at_ms ? st->due_at_ms <= now : st->at_wall_ms && st->at_wall_ms <= turn_wall_ms(t);
	if (was != TROUPE__TASK_STATE__SCHEDULED || st->blocked || !due)
		return 0;
	st->state = TROUPE__TASK_STATE__READY;
	return task_move(t, c, id, rec, st, was);
}

static int look_at(struct turn *t, struct coordinator *c, const struct due *d)
{
	struct id id;
	if (!(d->number >> 63) && d->len == sizeof id.b) {
		memcpy(id.b, d->value, sizeof id.b);
		return look(t, c, &id);
	}
	struct slice rest = SLICE(d->value + 1, d->len ? d->len - 1 : 0);
	switch (d->len ? d->value[0] : 0) {
	case DUE_KEY:
		return key_look(t, c, rest);
	case DUE_EDGES:
		return edges_due(t, c, rest);
	case DUE_CRON:
		return cron_due(t, c, rest);
	case DUE_BLOB:
		return blob_due(t, c, rest);
	default: /* of a later version, or damaged */
		return 0;
	}
}

/* --- a slice --- */

static int due_row(void *ctx, struct slice key, struct slice value)
{
	struct dues *d = ctx;
	if (key.len != 16)
		return 0;
	uint64_t at_ms = key_read_u64(key.data);
	if (at_ms > d->until_ms || d->n == DUE_SLICE) {
		d->next_ms = at_ms;
		return 1;
	}
	void *copy = arena_copy(turn_arena(d->t), value.data, value.len);
	if (!copy) {
		d->error = -ENOMEM;
		return 1;
	}
	d->all[d->n++] = (struct due){ .at_ms = at_ms, .number = key_read_u64((const uint8_t *)key.data + 8), .value = copy, .len = value.len };
	return 0;
}

static int run(struct turn *t, struct coordinator *c, unsigned table, uint64_t now_ms, uint64_t *first_ms)
{
	static const uint8_t first[16];
	if (*first_ms > now_ms)
		return 0;
	struct dues *d = arena_alloc(turn_arena(t), sizeof *d);
	struct store_txn *view = turn_view(t);
	if (!d || !view)
		return -ENOMEM;
	*d = (struct dues){ .t = t, .until_ms = now_ms, .next_ms = TIME_NEVER };
	int r = store_scan(view, table, SLICE(first, sizeof first), false, due_row, d);
	if (r < 0 || d->error)
		return r < 0 ? r : d->error;
	*first_ms = d->next_ms;
	r = 0;
	for (size_t i = 0; i < d->n && !r; i++) {
		r = turn_delete(t, table, key_due(turn_arena(t), d->all[i].at_ms, d->all[i].number));
		if (!r)
			r = look_at(t, c, &d->all[i]);
	}
	return r;
}

int due_run(struct turn *t, struct coordinator *c)
{
	int r = run(t, c, T_DUE, steady_at(&c->steady, t), &c->due_ms);
	if (!r)
		r = run(t, c, T_AT, turn_wall_ms(t), &c->at_wall_ms);
	return r ? r : crons_tick(t, c);
}
