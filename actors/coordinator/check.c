/* The ledger against itself. Every task is in exactly one place, every row of an index has its task, counters equal a count, numbers to come are above those that
 * were given. A node asks by check_store; without a node it is check_offline. */
#include "actors/coordinator/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/verbs.h"

struct counts { uint64_t scheduled, ready, running, done, cancelled, dead, bytes, keys; };
struct check {
	struct coordinator *c;
	struct arena *arena;      /* reset for each row */
	struct arena *lines;      /* what the report's lines lie in */
	struct store_txn *view;
	struct counts *queues;    /* by number - 1 */
	struct check_report *report;
	struct blob_census *blobs;
	struct slice key;         /* of the serial key that is looked at */
	uint64_t n_waiting;
};

static void complain(struct check *k, const char *what, uint64_t seq)
{
	struct check_report *p = k->report;
	p->n_problems++;
	if (p->n_lines == CHECK_LINES_MAX)
		return;
	char *line = seq ? arena_printf(k->lines, "#%" PRIu64 ": %s", seq, what) : arena_string(k->lines, what);
	if (line)
		p->lines[p->n_lines++] = line;
}

static bool there(struct check *k, unsigned table, struct slice key)
{
	struct slice value;
	return key.data && store_get(k->view, table, key, &value) == 0;
}

/* A task of a serial key is in the ready index, or waits for its key. */
static void check_ready(struct check *k, const Troupe__TaskRecord *rec)
{
	struct slice key = key_ready(k->arena, rec->queue, rec->requirement, task_rank(rec), rec->seq);
	bool waits = *rec->spec->serial_key && there(k, T_WAITING, key_waiting(k->arena, rec->queue, rec->spec->serial_key, rec->seq));
	bool ready = there(k, T_READY, key);
	if (waits && ready)
		complain(k, "is in the ready index and waits for its serial key", rec->seq);
	else if (!waits && !ready)
		complain(k, "is ready, but not in the ready index: it would never run", rec->seq);
	k->queues[rec->queue - 1].ready++;
}

/* It counts its edges that have a row, and its call. */
static void check_blocked(struct check *k, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	uint32_t n = rec->spec->role != TROUPE__BATCH_ROLE__MEMBER && !st->called;
	for (size_t i = 0; i < rec->spec->n_depends_on; i++) {
		struct id parent;
		memcpy(parent.b, rec->spec->depends_on[i]->id.data, sizeof parent.b);
		n += there(k, T_EDGE, key_edge(k->arena, &parent, id));
	}
	if (n != st->blocked)
		complain(k, "waits for another number of tasks than it has edges: it would never run", rec->seq);
}

static void check_state(struct check *k, const struct id *id, const Troupe__TaskRecord *rec)
{
	struct slice value;
	Troupe__StateRecord *st;
	struct counts *n = &k->queues[rec->queue - 1];
	bool leased = there(k, T_LEASE, id_key(id));
	int r = store_get(k->view, T_STATE, id_key(id), &value);
	if (r == ERROR_CORRUPT || (!r && row_decode(k->arena, value, &troupe__state_record__descriptor, (ProtobufCMessage **)&st))) {
		complain(k, "its state is damaged", rec->seq);
		return;
	}
	if (r || !sched_is_final(st->state) || leased)
		n->bytes += spec_size(rec->spec);
	if (leased) {
		n->running++;
		if (!r && sched_is_final(st->state))
			complain(k, "is final and has a lease", rec->seq);
		return;
	}
	if (r) {
		check_ready(k, rec);
		return;
	}
	switch (st->state) {
	case TROUPE__TASK_STATE__SCHEDULED:
		n->scheduled++;
		if (st->blocked) {
			check_blocked(k, id, rec, st);
			return;
		}
		if (!there(k, st->at_wall_ms ? T_AT : T_DUE, key_due(k->arena, st->at_wall_ms ? st->at_wall_ms : st->due_at_ms, rec->seq)))
			complain(k, "is scheduled, but not in the due index: it would never run", rec->seq);
		return;
	case TROUPE__TASK_STATE__READY:
		check_ready(k, rec);
		return;
	case TROUPE__TASK_STATE__DONE:
		n->done++;
		return;
	case TROUPE__TASK_STATE__CANCELLED:
		n->cancelled++;
		return;
	case TROUPE__TASK_STATE__DEAD:
		n->dead++;
		if (!there(k, T_DEAD, key_dead(k->arena, rec->queue, rec->seq)))
			complain(k, "is dead, but not among the dead letters", rec->seq);
		return;
	case TROUPE__TASK_STATE__RUNNING:
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	complain(k, "has no state that there is", rec->seq);
}

static int check_task(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	Troupe__TaskRecord *rec;
	struct id id;
	k->report->n_tasks++;
	arena_reset(k->arena);
	if (key.len != sizeof id.b || row_decode(k->arena, value, &troupe__task_record__descriptor, (ProtobufCMessage **)&rec) || !rec->spec) {
		complain(k, "the record of a task is damaged", 0);
		return 0;
	}
	memcpy(id.b, key.data, sizeof id.b);
	if (rec->seq >= k->c->meta.next_seq)
		complain(k, "its number is still to be given", rec->seq);
	if (!queue_numbered(k->c, rec->queue))
		complain(k, "its queue is not there", rec->seq);
	else
		check_state(k, &id, rec);
	const char *wrong = blob_census_task(k->blobs, rec->spec);
	if (wrong)
		complain(k, wrong, rec->seq);
	return 0;
}

/* Index rows whose value is a task's id. */
static int check_index(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	if (value.len != sizeof(struct id) || !there(k, T_TASK, value))
		complain(k, "an index row without its task", key.len == 20 ? key_read_u64((const uint8_t *)key.data + 12) : 0);
	return 0;
}

static int count_waiting(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	if (key.len != k->key.len + 8 || memcmp(key.data, k->key.data, k->key.len) != 0)
		return 1;
	k->n_waiting++;
	return 0;
}

/* Who waits for a key is counted in its row. */
static int check_key(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	Troupe__KeyRecord *r;
	arena_reset(k->arena);
	uint32_t queue = key.len > 5 ? key_read_u32(key.data) : 0;
	if (!queue_numbered(k->c, queue) || row_decode(k->arena, value, &troupe__key_record__descriptor, (ProtobufCMessage **)&r)) {
		complain(k, "the row of a serial key is damaged", 0);
		return 0;
	}
	k->queues[queue - 1].keys++;
	k->key = key;
	k->n_waiting = 0;
	int code = store_scan(k->view, T_WAITING, key, false, count_waiting, k);
	if (code >= 0 && k->n_waiting != r->waiting)
		complain(k, "a serial key counts others waiting for it than there are", r->number);
	if (r->waiting && !r->held && !r->due_at_ms)
		complain(k, "tasks wait for a serial key that nobody holds: they would never run", r->number);
	return 0;
}

static int check_edge(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	if (key.len != 32 || !there(k, T_TASK, SLICE(key.data, 16)))
		complain(k, "an edge from a task that is not there", 0);
	return 0;
}

static int check_lease(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	Troupe__LeaseRecord *l;
	arena_reset(k->arena);
	if (row_decode(k->arena, value, &troupe__lease_record__descriptor, (ProtobufCMessage **)&l))
		complain(k, "a lease is damaged", 0);
	else if (!there(k, T_TASK, key))
		complain(k, "a lease without its task", l->seq);
	else if (!lease_find(&k->c->leases, l->token))
		complain(k, "a lease that is not in memory", l->seq);
	else if (l->token >= k->c->meta.next_token)
		complain(k, "its token is still to be given", l->seq);
	return 0;
}

/* Each entry that is not paused has its row in table at, and each such row its entry. */
static int check_cron(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	Troupe__CronRecord *rec;
	arena_reset(k->arena);
	if (row_decode(k->arena, value, &troupe__cron_record__descriptor, (ProtobufCMessage **)&rec) || !rec->cron || !rec->cron->spec || !rec->cron->spec->task) {
		complain(k, "the record of a cron entry is damaged", 0);
		return 0;
	}
	uint64_t at_ms = rec->cron->next_at_ms;
	if (rec->cron->paused ? at_ms != 0 : !at_ms || !there(k, T_AT, key_due(k->arena, at_ms, DUE_NUMBER(DUE_CRON, rec->number))))
		complain(k, "a cron entry is not where its next time would find it", rec->number);
	return 0;
}

static int check_at(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	bool cron = key.len == 16 && key_read_u64((const uint8_t *)key.data + 8) >> 48 == DUE_NUMBER(DUE_CRON, 0) >> 48;
	if (cron && (value.len < 2 || !there(k, T_CRON, SLICE((const char *)value.data + 1, value.len - 1))))
		complain(k, "a time without its cron entry", 0);
	return 0;
}

/* Rows that begin with the id of a task and go with it. */
static int check_part(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	if (key.len < sizeof(struct id) || !there(k, T_TASK, SLICE(key.data, sizeof(struct id))))
		complain(k, "a row of a task that is not there", 0);
	return 0;
}

static int check_log(void *ctx, struct slice key, struct slice value)
{
	struct check *k = ctx;
	if (key.len != 8 || value.len < LOG_HEAD || (value.len - LOG_HEAD) % LOG_ENTRY)
		complain(k, "a row of the log is damaged", 0);
	else if (key_read_u64(key.data) >= k->c->meta.next_commit)
		complain(k, "a row of the log whose number is still to be given", 0);
	return 0;
}

/* Its checksum is what can be wrong. */
static int check_sum(void *ctx, struct slice key, struct slice value) { return 0; }

static void check_counters(struct check *k)
{
	for (size_t i = 0; i < k->c->n_queues; i++) {
		const struct queue *q = k->c->queues[i];
		const struct counts *n = &k->queues[i];
		if (!q || (q->r.scheduled == n->scheduled && q->r.ready == n->ready && q->r.running == n->running && q->r.done == n->done &&
		           q->r.cancelled == n->cancelled && q->r.dead == n->dead && q->r.bytes == n->bytes && q->r.keys == n->keys))
			continue;
		k->report->n_problems++;
		char *line = arena_printf(k->lines,
		                          "queue %s counts scheduled %" PRIu64 " ready %" PRIu64 " running %" PRIu64 " done %" PRIu64 " cancelled %" PRIu64 " dead %" PRIu64 " bytes %" PRIu64
		                          " keys %" PRIu64 ", there are %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
		                          q->name, q->r.scheduled, q->r.ready, q->r.running, q->r.done, q->r.cancelled, q->r.dead, q->r.bytes, q->r.keys,
		                          n->scheduled, n->ready, n->running, n->done, n->cancelled, n->dead, n->bytes, n->keys);
		if (line && k->report->n_lines < CHECK_LINES_MAX)
			k->report->lines[k->report->n_lines++] = line;
	}
}

static void complain_blob(void *ctx, const char *what)
{
	complain(ctx, what, 0);
}

static void sum_up(struct check *k)
{
	for (size_t i = 0; i < k->c->n_queues; i++) {
		const struct counts *n = &k->queues[i];
		uint64_t *all = k->report->states;
		all[TROUPE__TASK_STATE__SCHEDULED] += n->scheduled;
		all[TROUPE__TASK_STATE__READY] += n->ready;
		all[TROUPE__TASK_STATE__RUNNING] += n->running;
		all[TROUPE__TASK_STATE__DONE] += n->done;
		all[TROUPE__TASK_STATE__CANCELLED] += n->cancelled;
		all[TROUPE__TASK_STATE__DEAD] += n->dead;
	}
}

static int check_tables(struct check *k)
{
	static const uint8_t first = 0;
	static const struct { unsigned table; int (*fn)(void *, struct slice, struct slice); } walks[] = {
		{ T_TASK, check_task }, { T_LEASE, check_lease }, { T_READY, check_index }, { T_DEAD, check_index }, { T_UNIQUE, check_index }, { T_SEQ, check_index },
		{ T_WAITING, check_index }, { T_KEY, check_key }, { T_EDGE, check_edge }, { T_CRON, check_cron }, { T_AT, check_at }, { T_BLOB, check_sum },
		{ T_STATE, check_part }, { T_ATTEMPT, check_part }, { T_LOG, check_log }, { T_DUE, check_sum }, { T_QUEUE, check_sum }, { T_REQUIREMENT, check_sum },
		{ T_META, check_sum }, { T_BATCH, check_sum }, { T_MEMBER, check_sum },
	};
	bool damaged = false;
	int b = blob_census_new(k->view, &k->blobs);
	if (b < 0)
		return b;
	for (size_t i = 0; i < sizeof walks / sizeof *walks; i++) {
		int r = store_scan(k->view, walks[i].table, SLICE(&first, 1), false, walks[i].fn, k);
		if (r < 0)
			return r;
		if (r == ERROR_CORRUPT) {
			char line[120];
			snprintf(line, sizeof line, "a row of table %s fails its checksum; what is behind it was not looked at", ledger_tables[walks[i].table]);
			complain(k, line, 0);
			damaged = true;
		}
	}
	if (!damaged)
		check_counters(k);
	if (!damaged && !b)
		blob_census_end(k->blobs, &k->c->blobs, complain_blob, k);
	sum_up(k);
	return 0;
}

int check_ledger(struct coordinator *c, struct store_txn *view, struct arena *lines, struct check_report *ret)
{
	struct check k = { .c = c, .view = view, .lines = lines, .report = ret };
	*ret = (struct check_report){ 0 };
	k.queues = calloc(c->n_queues + 1, sizeof *k.queues);
	k.arena = arena_new(16u << 20);
	int r = k.queues && k.arena ? check_tables(&k) : -ENOMEM;
	blob_census_free(k.blobs);
	arena_unref(k.arena);
	free(k.queues);
	return r;
}

int on_check_store(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	struct check_report *report = arena_alloc(turn_arena(t), sizeof *report);
	struct store_txn *view = turn_view(t);
	if (!view || !report)
		return -ENOMEM;
	/* Tasks of this turn have no ready row yet: the counters would not fit. */
	if (c->n_busy > 0) {
		struct error e = { 0 };
		error_set(&e, ERROR_BUSY, "tasks are coming in just now");
		error_retry(&e, 10);
		return turn_fail(t, &e);
	}
	int r = check_ledger(c, view, turn_arena(t), report);
	if (r)
		return r;
	Troupe__StoreChecked out = TROUPE__STORE_CHECKED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.tasks = report->n_tasks;
	out.problems = report->n_problems;
	out.lines = report->lines;
	out.n_lines = report->n_lines;
	env.body_case = TROUPE__ENVELOPE__BODY_STORE_CHECKED;
	env.store_checked = &out;
	return turn_reply(t, m, &env);
}
