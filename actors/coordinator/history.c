/* The transition log: one row a commit, read by cursor (commit, index). It is also the index from a task's number to its id, and the clock of retention: what
 * became final in a row that is old enough goes. */
#include "actors/coordinator/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define PAGE_DEFAULT 100u
#define PAGE_MAX 1000u
#define PAGE_LOOK_MAX 100000u      /* entries that one question looks at */
#define FOLLOWERS_MAX 1024u
#define FOLLOW_MAX_MS 60000u
#define RETAIN_PAUSE_MS 10000u
#define RETAIN_SLICE_MS 20u
#define RETAIN_ROWS 64u            /* of a turn, or so many entries: */
#define RETAIN_ENTRIES 2000u
#define WHOLE UINT32_MAX           /* as an index: all of this commit has been seen */

/* A reader of the log who waits for what is to come. */
struct follower { struct reply_to reply; uint64_t commit; uint32_t index, limit; uint64_t until_ms; bool has_task; struct id task; };

int log_add(struct coordinator *c, const struct id *id, Troupe__TransitionKind kind, Troupe__ExitClass exit_class, uint32_t attempt, const struct queue *q)
{
	struct log_entry e = { .id = *id, .kind = (uint8_t)kind, .exit_class = (uint8_t)exit_class, .attempt = attempt > UINT16_MAX ? UINT16_MAX : (uint16_t)attempt,
		               .queue = q ? q->r.number : 0 };
	if (!GROW(c->log, c->room_log, c->n_log + LOG_ENTRY))
		return -ENOMEM;
	log_entry_pack(&e, c->log + c->n_log);
	c->n_log += LOG_ENTRY;
	return 0;
}

int log_settle(struct turn *t, struct coordinator *c)
{
	if (!c->n_log)
		return 0;
	uint8_t *row = arena_alloc(turn_arena(t), LOG_HEAD + c->n_log);
	struct slice key = key_u64_of(turn_arena(t), c->meta.next_commit);
	if (!row || !key.data)
		return -ENOMEM;
	key_u64(key_u64(row, steady_at(&c->steady, t)), c->log_first_seq ? c->log_first_seq : c->meta.next_seq);
	memcpy(row + LOG_HEAD, c->log, c->n_log);
	int r = turn_put(t, T_LOG, key, SLICE(row, LOG_HEAD + c->n_log));
	c->meta.next_commit++;
	c->meta.log_bytes += LOG_HEAD + c->n_log;
	c->meta_changed = true;
	c->n_log = 0;
	c->log_first_seq = 0;
	c->again |= c->n_followers > 0; /* they may see it when it is committed */
	return r;
}

/* --- rows --- */

struct row { uint64_t at_ms, first_seq; const uint8_t *entries; uint32_t n; };

static int row_of(struct turn *t, uint64_t commit, struct row *ret)
{
	struct slice value, key = key_u64_of(turn_arena(t), commit);
	int r = key.data ? turn_get(t, T_LOG, key, &value) : -ENOMEM;
	if (!r && (value.len < LOG_HEAD || (value.len - LOG_HEAD) % LOG_ENTRY))
		r = ERROR_CORRUPT;
	if (r)
		return r;
	const uint8_t *p = value.data;
	*ret = (struct row){ key_read_u64(p), key_read_u64(p + 8), p + LOG_HEAD, (uint32_t)((value.len - LOG_HEAD) / LOG_ENTRY) };
	return 0;
}

static struct log_entry entry_of(const struct row *row, uint32_t index)
{
	struct log_entry e;
	log_entry_unpack(row->entries + (size_t)index * LOG_ENTRY, &e);
	return e;
}

int log_find_seq(struct turn *t, struct coordinator *c, uint64_t seq, struct id *ret)
{
	struct slice value, key = key_u64_of(turn_arena(t), seq);
	int r = key.data ? turn_get(t, T_SEQ, key, &value) : -ENOMEM;
	if (!r && value.len == sizeof ret->b) {
		memcpy(ret->b, value.data, sizeof ret->b);
		return 0;
	}
	if (r < 0)
		return r;
	/* The last row that begins at or before seq. */
	uint64_t low = c->meta.oldest_log, high = c->meta.next_commit;
	struct row row;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if ((r = row_of(t, middle, &row)))
			return r < 0 ? r : ERROR_NOT_FOUND;
		if (row.first_seq <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == c->meta.oldest_log || (r = row_of(t, low - 1, &row)))
		return r < 0 ? r : ERROR_NOT_FOUND;
	uint64_t at = row.first_seq;
	for (uint32_t i = 0; i < row.n && at <= seq; i++) {
		struct log_entry e = entry_of(&row, i);
		if (e.kind != TROUPE__TRANSITION_KIND__T_ACCEPTED)
			continue;
		if (at++ == seq) {
			*ret = e.id;
			return 0;
		}
	}
	return ERROR_NOT_FOUND;
}

/* --- pages --- */

struct page { Troupe__Transition **rows; size_t n, looked; uint64_t commit; uint32_t index; };

static Troupe__Transition *show(struct turn *t, struct coordinator *c, const struct row *row, uint64_t commit, uint32_t index, const struct log_entry *e)
{
	struct { Troupe__Transition x; Troupe__LogCursor at; struct id id; } *out = arena_alloc(turn_arena(t), sizeof *out);
	const struct queue *q = queue_numbered(c, e->queue);
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	if (!out)
		return NULL;
	troupe__transition__init(&out->x);
	troupe__log_cursor__init(&out->at);
	out->at.commit = commit;
	out->at.index = index;
	out->id = e->id;
	out->x.at = &out->at;
	out->x.at_ms = steady_to_wall(&c->steady, t, row->at_ms);
	out->x.id = (ProtobufCBinaryData){ sizeof out->id.b, out->id.b };
	out->x.queue = q ? q->name : out->x.queue;
	out->x.kind = (Troupe__TransitionKind)e->kind;
	out->x.attempt = e->attempt;
	out->x.exit_class = (Troupe__ExitClass)e->exit_class;
	if (task_read(t, c, &e->id, &rec, &st, &l) == 0) {
		out->x.seq = rec->seq;
		/* Who it was with is known of the last attempt only. */
		if (e->attempt && l && l->attempt == e->attempt)
			out->x.worker = l->worker->address;
		else if (e->attempt && !l && st->attempts == e->attempt && st->run == 1)
			out->x.worker = st->worker;
	}
	return &out->x;
}

/* Entries behind the cursor in p, at most limit. */
static int page_fill(struct turn *t, struct coordinator *c, struct page *p, uint32_t limit, const struct id *only)
{
	while (p->n < limit && p->looked < PAGE_LOOK_MAX) {
		struct row row;
		if (p->index == WHOLE && p->commit + 1 >= c->meta.next_commit)
			return 0;
		uint64_t commit = p->index == WHOLE ? p->commit + 1 : p->commit;
		uint32_t index = p->index == WHOLE ? 0 : p->index + 1;
		int r = row_of(t, commit, &row);
		if (r < 0)
			return r;
		if (r)
			row.n = 0; /* a damaged row is stepped over */
		for (; index < row.n && p->n < limit && p->looked < PAGE_LOOK_MAX; index++, p->looked++) {
			struct log_entry e = entry_of(&row, index);
			if (only && !id_equal(&e.id, only))
				continue;
			if (!(p->rows[p->n++] = show(t, c, &row, commit, index, &e)))
				return -ENOMEM;
			row_of(t, commit, &row); /* reads of tasks may have used up what turn_get keeps in place */
		}
		p->commit = commit;
		p->index = index >= row.n ? WHOLE : index - 1;
		p->looked++;
	}
	return 0;
}

static int page_answer(struct turn *t, struct coordinator *c, const struct reply_to *to, struct page *p, bool gap)
{
	Troupe__Log out = TROUPE__LOG__INIT;
	Troupe__LogCursor next = TROUPE__LOG_CURSOR__INIT, oldest = TROUPE__LOG_CURSOR__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.rows = p->rows;
	out.n_rows = p->n;
	next.commit = p->commit;
	next.index = p->index;
	oldest.commit = c->meta.oldest_log;
	out.next = &next;
	out.oldest = &oldest;
	out.gap = gap;
	env.body_case = TROUPE__ENVELOPE__BODY_LOG;
	env.log = &out;
	return turn_reply_to(t, to, &env);
}

int on_log_ask(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__LogAsk *q = m->env->log_ask;
	struct error e = { 0 };
	uint32_t limit = q->limit == 0 ? PAGE_DEFAULT : q->limit > PAGE_MAX ? PAGE_MAX : q->limit;
	uint64_t last = c->meta.next_commit - 1;
	struct page p = { .commit = c->meta.oldest_log - 1, .index = WHOLE };
	bool gap = false, has_task = q->task.len == sizeof(struct id);
	struct id task = { 0 };
	if (has_task)
		memcpy(task.b, q->task.data, sizeof task.b);
	if (q->from_end) {
		p.commit = last;
	} else if (q->after && q->after->commit) {
		gap = q->after->commit + (q->after->index == WHOLE) < c->meta.oldest_log || q->after->commit > last;
		if (!gap) {
			p.commit = q->after->commit;
			p.index = q->after->index;
		} else if (q->after->commit > last) {
			p.commit = last;
		}
	}
	if (!(p.rows = arena_alloc(turn_arena(t), limit * sizeof *p.rows)))
		return -ENOMEM;
	int r = page_fill(t, c, &p, limit, has_task ? &task : NULL);
	if (r)
		return r;
	struct reply_to to = turn_reply_handle(t, m);
	if (p.n || gap || !q->follow_ms || p.looked >= PAGE_LOOK_MAX)
		return page_answer(t, c, &to, &p, gap);
	struct follower *f = c->n_followers < FOLLOWERS_MAX ? reallocarray(c->followers, c->n_followers + 1, sizeof *f) : NULL;
	if (!f) {
		error_set(&e, ERROR_BUSY, "too many readers follow the log");
		error_retry(&e, 1000);
		return turn_fail(t, &e);
	}
	c->followers = f;
	f[c->n_followers++] = (struct follower){ .reply = to, .commit = p.commit, .index = p.index, .limit = limit, .has_task = has_task, .task = task,
		                                 .until_ms = turn_now_ms(t) + (q->follow_ms < FOLLOW_MAX_MS ? q->follow_ms : FOLLOW_MAX_MS) };
	wake_by(c, f[c->n_followers - 1].until_ms);
	return 0;
}

int log_followers(struct turn *t, struct coordinator *c)
{
	for (size_t i = c->n_followers; i-- > 0;) {
		struct follower *f = &c->followers[i];
		struct page p = { .commit = f->commit, .index = f->index };
		bool gap = f->commit + 1 < c->meta.oldest_log;
		if (gap)
			p = (struct page){ .commit = c->meta.oldest_log - 1, .index = WHOLE };
		if (!(p.rows = arena_alloc(turn_arena(t), f->limit * sizeof *p.rows)))
			return -ENOMEM;
		int r = page_fill(t, c, &p, f->limit, f->has_task ? &f->task : NULL);
		if (r)
			return r;
		f->commit = p.commit;
		f->index = p.index;
		if (!p.n && !gap && turn_now_ms(t) < f->until_ms) {
			wake_by(c, f->until_ms);
			continue;
		}
		if ((r = page_answer(t, c, &f->reply, &p, gap)))
			return r;
		*f = c->followers[--c->n_followers];
	}
	return 0;
}

void follow_forget_peer(struct coordinator *c, uint64_t peer)
{
	for (size_t i = c->n_followers; i-- > 0;)
		if (c->followers[i].reply.peer == peer)
			c->followers[i] = c->followers[--c->n_followers];
}

/* --- retention --- */

static uint64_t ttl_of(const struct queue *q, const struct coordinator *c)
{
	const Troupe__QueuePolicy *p = q ? q->policy : c->setup->defaults;
	return p->result_ttl_ms;
}

static uint64_t least_ttl(const struct coordinator *c)
{
	uint64_t least = c->setup->keep_final_ms;
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i] && ttl_of(c->queues[i], c) < least)
			least = ttl_of(c->queues[i], c);
	return least;
}

/* Of a task that became final long ago: its record goes, or is looked at again when its own time has come. The dead stay until somebody decides. */
static int sweep_entry(struct turn *t, struct coordinator *c, const struct log_entry *e)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	if (e->kind != TROUPE__TRANSITION_KIND__T_DONE && e->kind != TROUPE__TRANSITION_KIND__T_CANCELLED)
		return 0;
	int r = task_read(t, c, &e->id, &rec, &st, &l);
	if (r || l || (st->state != TROUPE__TASK_STATE__DONE && st->state != TROUPE__TASK_STATE__CANCELLED))
		return r < 0 ? r : 0;
	uint64_t until = st->finished_at_ms + ttl_of(queue_numbered(c, rec->queue), c);
	return until <= steady_at(&c->steady, t) ? task_delete(t, c, &e->id, rec, st) : due_put(t, c, until, rec->seq, &e->id);
}

/* The log row goes: who is still there keeps its number by a row of its own. */
static int number_entries(struct turn *t, struct coordinator *c, const struct row *row)
{
	uint64_t seq = row->first_seq;
	int r = 0;
	for (uint32_t i = 0; i < row->n && !r; i++) {
		struct log_entry e = entry_of(row, i);
		struct slice value;
		if (e.kind != TROUPE__TRANSITION_KIND__T_ACCEPTED)
			continue;
		r = turn_get(t, T_TASK, id_key(&e.id), &value);
		if (r == 0 || r == ERROR_CORRUPT)
			r = row_put_id(t, T_SEQ, key_u64_of(turn_arena(t), seq), &e.id);
		seq++;
		r = r < 0 ? r : 0;
	}
	return r;
}

/* A row's entries where the next writes cannot move them. A damaged row has none. 0 or negative. */
static int row_copy(struct turn *t, uint64_t commit, struct row *ret)
{
	int r = row_of(t, commit, ret);
	if (r < 0)
		return r;
	if (r > 0) {
		log_error("a row of the transition log is damaged", LOG_U("commit", commit));
		*ret = (struct row){ 0 };
		return 0;
	}
	void *copy = arena_copy(turn_arena(t), ret->entries, (size_t)ret->n * LOG_ENTRY);
	ret->entries = copy;
	return copy ? 0 : -ENOMEM;
}

struct retention { uint64_t now, keep_ms, ttl_ms; size_t entries; bool did; };

static bool over(const struct coordinator *c)
{
	return c->meta.log_bytes > c->setup->keep_log_bytes;
}

/* The records of what became final in the next row that is old enough. */
static int sweep_next(struct turn *t, struct coordinator *c, struct retention *k)
{
	struct row row;
	if (c->meta.swept_log >= c->meta.next_commit)
		return 0;
	int r = row_copy(t, c->meta.swept_log, &row);
	if (r || (!over(c) && row.at_ms + k->ttl_ms > k->now))
		return r;
	for (uint32_t i = 0; i < row.n && !r; i++) {
		struct log_entry e = entry_of(&row, i);
		r = sweep_entry(t, c, &e);
	}
	k->entries += row.n;
	k->did = true;
	c->meta.swept_log++;
	c->meta_changed = true;
	return r;
}

/* The oldest row itself. */
static int cut_next(struct turn *t, struct coordinator *c, struct retention *k)
{
	struct row row;
	if (c->meta.oldest_log >= c->meta.swept_log)
		return 0;
	int r = row_copy(t, c->meta.oldest_log, &row);
	if (r || (!over(c) && row.at_ms + k->keep_ms > k->now))
		return r;
	if ((r = number_entries(t, c, &row)) || (r = turn_delete(t, T_LOG, key_u64_of(turn_arena(t), c->meta.oldest_log))))
		return r;
	size_t bytes = LOG_HEAD + (size_t)row.n * LOG_ENTRY;
	k->entries += row.n;
	k->did = true;
	c->meta.oldest_log++;
	c->meta.log_bytes -= bytes < c->meta.log_bytes ? bytes : c->meta.log_bytes;
	c->meta_changed = true;
	return 0;
}

int log_retain(struct turn *t, struct coordinator *c)
{
	uint64_t now_ms = turn_now_ms(t);
	if (now_ms < c->retain_at_ms) {
		wake_by(c, c->retain_at_ms);
		return 0;
	}
	struct retention k = { .now = steady_at(&c->steady, t), .keep_ms = c->setup->keep_final_ms, .ttl_ms = least_ttl(c) };
	int r = 0;
	for (unsigned i = 0; i < RETAIN_ROWS && k.entries < RETAIN_ENTRIES && !r; i++) {
		k.did = false;
		if (!(r = sweep_next(t, c, &k)))
			r = cut_next(t, c, &k);
		if (!k.did)
			break;
	}
	c->retain_at_ms = now_ms + (k.did ? RETAIN_SLICE_MS : RETAIN_PAUSE_MS);
	wake_by(c, c->retain_at_ms);
	return r;
}
