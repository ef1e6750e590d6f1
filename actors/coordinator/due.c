/* What is due by the wall clock: a row of the due index says when a task must be looked at, and the task says why. A slice a turn, oldest first. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/clock.h"

struct due { struct id id; uint64_t at_ms, seq; };
struct dues { struct due all[DUE_SLICE]; size_t n; uint64_t until_ms, next_ms; };

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
	struct due *x = &d->all[d->n++];
	*x = (struct due){ .at_ms = at_ms, .seq = key_read_u64((const uint8_t *)key.data + 8) };
	if (value.len == sizeof x->id.b)
		memcpy(x->id.b, value.data, sizeof x->id.b);
	return 0;
}

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

static int look(struct turn *t, struct coordinator *c, const struct due *d)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	uint64_t wall = turn_wall_ms(t);
	int r = task_read(t, c, &d->id, &rec, &st, &l);
	if (r)
		return r < 0 ? r : 0;
	Troupe__TaskState was = task_state(st, l);
	bool late = rec->spec->deadline_at_ms && rec->spec->deadline_at_ms <= wall;
	if (sched_is_final(was)) {
		const struct queue *q = queue_numbered(c, rec->queue);
		uint64_t keep_ms = q ? q->policy->result_ttl_ms : 0;
		if (was != TROUPE__TASK_STATE__DEAD && st->finished_at_ms + keep_ms <= wall)
			return task_delete(t, c, &d->id, rec, st);
		struct slice key = q ? key_unique(turn_arena(t), q->r.number, rec->spec->unique_key) : SLICE(NULL, 0), value;
		if (*rec->spec->unique_key && key.data && rec->submitted_at_ms + rec->spec->unique_window_ms <= wall && turn_get(t, T_UNIQUE, key, &value) == 0 &&
		    value.len == sizeof d->id.b && memcmp(value.data, d->id.b, value.len) == 0)
			return turn_delete(t, T_UNIQUE, key);
		return 0;
	}
	if (late && l)
		return abort_late(t, l);
	if (late) {
		st->state = TROUPE__TASK_STATE__DEAD;
		st->cause = TROUPE__CAUSE__EXPIRED;
		return task_move(t, c, &d->id, rec, st, was);
	}
	if (was != TROUPE__TASK_STATE__SCHEDULED || st->due_at_ms > wall)
		return 0;
	st->state = TROUPE__TASK_STATE__READY;
	return task_move(t, c, &d->id, rec, st, was);
}

int due_run(struct turn *t, struct coordinator *c)
{
	if (c->due_wall_ms > turn_wall_ms(t))
		return 0;
	static const uint8_t first[16];
	struct dues *d = arena_alloc(turn_arena(t), sizeof *d);
	struct store_txn *view = turn_view(t);
	if (!d || !view)
		return -ENOMEM;
	*d = (struct dues){ .until_ms = turn_wall_ms(t), .next_ms = TIME_NEVER };
	int r = store_scan(view, T_DUE, SLICE(first, sizeof first), false, due_row, d);
	if (r < 0)
		return r;
	c->due_wall_ms = d->next_ms;
	r = 0;
	for (size_t i = 0; i < d->n && !r; i++) {
		r = turn_delete(t, T_DUE, key_due(turn_arena(t), d->all[i].at_ms, d->all[i].seq));
		if (!r)
			r = look(t, c, &d->all[i]);
	}
	return r;
}
