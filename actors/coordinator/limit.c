/* Limits of a queue and of the node: how many run at once, how many begin in a time, how much a queue takes in. All of it is in the queue's row or follows from the leases,
 * so a crash forgets none of it. */
#include "actors/coordinator/limit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/steady.h"
#include "common/base/clock.h"

#define DROP_LOOK_MAX 8192u /* rows that are looked at to make room for one submit */
#define LEVELS_MAX 64u      /* places in a stream that are looked at for the oldest */

static struct sched_bucket bucket(const struct queue *q, uint64_t now_ms)
{
	return sched_bucket_fill((struct sched_bucket){ q->r.bucket_milli, q->r.bucket_at_ms }, q->policy->rate, now_ms);
}

bool limit_node(const struct coordinator *c)
{
	return !c->meta.quiet && (!c->setup->concurrency || c->leases.n < c->setup->concurrency);
}

bool limit_queue(const struct coordinator *c, const struct queue *q, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	const Troupe__QueuePolicy *p = q->policy;
	*ret_wait_ms = TIME_NEVER;
	if (p->concurrency && q->r.running >= p->concurrency)
		return false;
	if (!sched_rate_is(p->rate))
		return true;
	uint64_t wait_ms = sched_bucket_wait_ms(bucket(q, now_ms), p->rate);
	if (wait_ms)
		*ret_wait_ms = wait_ms;
	return !wait_ms;
}

void limit_take(struct queue *q, uint64_t now_ms)
{
	if (!sched_rate_is(q->policy->rate))
		return;
	struct sched_bucket b = bucket(q, now_ms);
	q->r.bucket_milli = b.milli > 1000 ? b.milli - 1000 : 0;
	q->r.bucket_at_ms = b.at_ms;
}

/* --- the oldest --- */

/* The heads of the first places of each stream: nobody that is ready for longer is missed where there are few priorities. */
uint64_t oldest_ready_ms(struct turn *t, struct coordinator *c, const struct queue *q)
{
	uint64_t least_ms = TIME_NEVER, now_ms = steady_at(&c->steady, t);
	struct store_txn *view = turn_view(t);
	for (size_t i = 0; view && i < q->n_streams; i++) {
		uint32_t rank = 0;
		for (unsigned k = 0; q->streams[i] && k < LEVELS_MAX; k++) {
			struct slice from = key_ready(turn_arena(t), q->r.number, (uint32_t)i, rank, 0), key, value;
			Troupe__TaskRecord *rec;
			struct id id;
			if (!from.data || store_seek(view, T_READY, from, false, &key, &value) != 0 || key.len != 20 || memcmp(key.data, from.data, 8) != 0 ||
			    value.len != sizeof id.b)
				break;
			rank = key_read_u32((const uint8_t *)key.data + 8);
			memcpy(id.b, value.data, sizeof id.b);
			if (task_get(t, &id, &rec) == 0 && rec->submitted_at_ms < least_ms)
				least_ms = rec->submitted_at_ms;
			if (rank++ == UINT32_MAX)
				break;
		}
	}
	return least_ms >= now_ms ? 0 : now_ms - least_ms;
}

/* --- what a queue takes in --- */

struct victim { struct id id; };
struct drop { struct victim all[DROP_LOOK_MAX]; size_t n, wanted; uint32_t queue, requirement, rank; };

static int victim_row(void *ctx, struct slice key, struct slice value)
{
	struct drop *d = ctx;
	const uint8_t *k = key.data;
	if (key.len != 20 || key_read_u32(k) != d->queue || key_read_u32(k + 4) != d->requirement || key_read_u32(k + 8) != d->rank || d->n == d->wanted)
		return 1;
	if (value.len == sizeof(struct id))
		memcpy(d->all[d->n++].id.b, value.data, sizeof(struct id));
	return 0;
}

/* The stream whose last row is the least urgent of all, below a place. */
static bool least_urgent(struct turn *t, const struct queue *q, struct drop *d, uint64_t below)
{
	bool found = false;
	struct store_txn *view = turn_view(t);
	for (size_t i = 0; view && below && i < q->n_streams; i++) {
		struct slice from = key_ready(turn_arena(t), q->r.number, (uint32_t)i, (uint32_t)(below - 1), UINT64_MAX), key, value;
		if (!q->streams[i] || !from.data || store_seek(view, T_READY, from, true, &key, &value) != 0 || key.len != 20 || memcmp(key.data, from.data, 8) != 0)
			continue;
		uint32_t rank = key_read_u32((const uint8_t *)key.data + 8);
		if (!found || rank > d->rank) {
			d->rank = rank;
			d->requirement = (uint32_t)i;
			found = true;
		}
	}
	return found;
}

static int drop_one(struct turn *t, struct coordinator *c, const struct id *id, uint64_t *ret_bytes)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	*ret_bytes = 0;
	int r = task_read(t, c, id, &rec, &st, &l);
	if (r || l || st->state != TROUPE__TASK_STATE__READY)
		return r < 0 ? r : 0;
	*ret_bytes = spec_size(rec->spec) + 1;
	st->state = TROUPE__TASK_STATE__CANCELLED;
	st->cause = TROUPE__CAUSE__DROPPED;
	return task_move(t, c, id, rec, st, TROUPE__TASK_STATE__READY);
}

/* Takes the oldest of the least urgent until there is room. */
static int make_room(struct turn *t, struct coordinator *c, struct queue *q, uint64_t tasks, uint64_t bytes)
{
	struct drop *d = arena_alloc(turn_arena(t), sizeof *d);
	uint64_t below = (uint64_t)UINT32_MAX + 1;
	if (!d)
		return -ENOMEM;
	for (unsigned level = 0; level < LEVELS_MAX && (tasks || bytes); level++) {
		*d = (struct drop){ .queue = q->r.number, .wanted = bytes ? DROP_LOOK_MAX : tasks < DROP_LOOK_MAX ? tasks : DROP_LOOK_MAX };
		if (!least_urgent(t, q, d, below))
			break;
		struct slice from = key_ready(turn_arena(t), q->r.number, d->requirement, d->rank, 0);
		int r = from.data ? store_scan(turn_view(t), T_READY, from, false, victim_row, d) : -ENOMEM;
		if (r < 0)
			return r;
		for (size_t i = 0; i < d->n && (tasks || bytes); i++) {
			uint64_t size;
			if ((r = drop_one(t, c, &d->all[i].id, &size)))
				return r;
			tasks -= size && tasks;
			bytes -= size && size - 1 < bytes ? size - 1 : size ? bytes : 0;
		}
		below = d->rank;
	}
	return 0;
}

static uint64_t live(const struct queue *q)
{
	return q->r.scheduled + q->r.ready + q->r.running;
}

static uint64_t over(uint64_t now, uint64_t more, uint64_t most)
{
	return most && now + more > most ? now + more - most : 0;
}

static int refuse(struct error *e, const struct queue *q, const char *what, uint64_t value)
{
	bool block = q->policy->full != TROUPE__QUEUE_POLICY__FULL__REJECT;
	error_set(e, block ? ERROR_BUSY : ERROR_TOO_LARGE, "queue %s is full: %s is %" PRIu64, q->name, what, value);
	error_cure(e, block ? "it is tried again until some are done; or raise %s" : "submit again when some are done, or raise %s", what);
	if (block)
		error_retry(e, 1000);
	return (int)e->code;
}

int limit_admit(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes, struct error *e)
{
	const Troupe__QueuePolicy *p = q->policy;
	uint64_t tasks_over = over(live(q), n, p->max_tasks), bytes_over = over(q->r.bytes, bytes, p->max_bytes);
	bool drop = p->full == TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST;
	if ((p->max_tasks && n > p->max_tasks) || (p->max_bytes && bytes > p->max_bytes)) {
		return error_refuse(e, ERROR_TOO_LARGE, "submit less at once, or raise max_tasks or max_bytes", "queue %s can never take so much at once", q->name);
	}
	if (tasks_over && (!drop || tasks_over > q->r.ready))
		return refuse(e, q, "max_tasks", p->max_tasks);
	if (bytes_over && (!drop || !q->r.ready))
		return refuse(e, q, "max_bytes", p->max_bytes);
	if (p->max_age_ms && !drop && q->r.ready && oldest_ready_ms(t, c, q) > p->max_age_ms)
		return refuse(e, q, "max_age", p->max_age_ms);
	return 0;
}

int limit_drop(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes)
{
	const Troupe__QueuePolicy *p = q->policy;
	uint64_t tasks_over = over(live(q), n, p->max_tasks), bytes_over = over(q->r.bytes, bytes, p->max_bytes);
	return p->full == TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST && (tasks_over || bytes_over) ? make_room(t, c, q, tasks_over, bytes_over) : 0;
}
