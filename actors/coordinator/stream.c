/* Streams: the tasks of one queue that need the same, in order. What lies in the ready index is read in windows, which outlive turns; what came in this turn has no row
 * yet and is merged with it. Nothing here costs more with a longer backlog. */
#include "actors/coordinator/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "common/base/log.h"

#define WINDOW 256u

static int compare(uint32_t rank_a, uint64_t seq_a, uint32_t rank_b, uint64_t seq_b)
{
	if (rank_a != rank_b)
		return rank_a < rank_b ? -1 : 1;
	return seq_a < seq_b ? -1 : seq_a > seq_b;
}

static int candidate_cmp(const struct candidate *a, const struct candidate *b)
{
	return compare(a->rank, a->seq, b->rank, b->seq);
}

static int by_order(const void *a, const void *b)
{
	return candidate_cmp(a, b);
}

static void window_forget(struct stream *s)
{
	s->stored.n = s->stored.next = 0;
	s->cursor_rank = 0;
	s->cursor_seq = UINT64_MAX; /* + 1 is 0 */
	s->stored_any = true;
}

struct stream *stream_of(struct coordinator *c, struct queue *q, uint32_t requirement)
{
	if (requirement >= c->n_requirements || !c->requirements[requirement])
		return NULL;
	if (requirement >= q->n_streams) {
		struct stream **all = reallocarray(q->streams, requirement + 1, sizeof(struct stream *));
		if (!all)
			return NULL;
		q->streams = all;
		for (; q->n_streams <= requirement; q->n_streams++)
			all[q->n_streams] = NULL;
	}
	struct stream *s = q->streams[requirement];
	if (!s && (s = calloc(1, sizeof *s))) {
		s->queue = q;
		s->requirement = c->requirements[requirement];
		window_forget(s);
		q->streams[requirement] = s;
		c->shape++;
	}
	return s;
}

/* From one stream's first row to the next one's. */
int streams_load(struct coordinator *c, struct store_txn *view)
{
	uint8_t from[20] = { 0 };
	struct slice key, value;
	for (;;) {
		int r = store_seek(view, T_READY, SLICE(from, sizeof from), false, &key, &value);
		if (r == ERROR_NOT_FOUND)
			return 0;
		if (r < 0 || (r == ERROR_CORRUPT && key.len != 20))
			return r;
		const uint8_t *k = key.data;
		uint32_t queue = key_read_u32(k), requirement = key_read_u32(k + 4);
		struct queue *q = queue_numbered(c, queue);
		if (q && !stream_of(c, q, requirement))
			return requirement < c->n_requirements && c->requirements[requirement] ? -ENOMEM : ERROR_CORRUPT;
		if (requirement == UINT32_MAX)
			queue++;
		key_u64(key_u32(key_u32(key_u32(from, queue), requirement + 1), 0), 0);
	}
}

/* --- new in this turn --- */

int fresh_add(struct coordinator *c, struct stream *s, const struct candidate *what)
{
	struct candidates *f = &s->fresh;
	if (!GROW(f->all, f->room, f->n + 1))
		return -ENOMEM;
	if (!s->listed) {
		if (!GROW(c->busy, c->room_busy, c->n_busy + 1))
			return -ENOMEM;
		c->busy[c->n_busy++] = s;
		s->listed = true;
	}
	if (f->n && candidate_cmp(what, &f->all[f->n - 1]) < 0)
		f->unsorted = true;
	f->all[f->n++] = *what;
	return 0;
}

struct candidate *fresh_find(const struct stream *s, const struct id *id)
{
	for (size_t i = s ? s->fresh.next : 0; s && i < s->fresh.n; i++)
		if (id_equal(&s->fresh.all[i].id, id))
			return &s->fresh.all[i];
	return NULL;
}

bool fresh_drop(struct stream *s, const struct id *id)
{
	struct candidate *x = fresh_find(s, id);
	if (!x)
		return false;
	size_t i = (size_t)(x - s->fresh.all);
	memmove(x, x + 1, (s->fresh.n - i - 1) * sizeof *x);
	s->fresh.n--;
	return true;
}

int fresh_store(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_busy; i++) {
		struct stream *s = c->busy[i];
		for (struct candidates *f = &s->fresh; f->next < f->n && !r; f->next++) {
			const struct candidate *one = &f->all[f->next];
			struct slice key = key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, one->rank, one->seq);
			r = row_put_id(t, T_READY, key, &one->id);
			stream_touch(s, one->rank, one->seq);
		}
		s->fresh.n = s->fresh.next = 0;
		s->fresh.unsorted = s->listed = false;
	}
	c->n_busy = 0;
	return r;
}

/* --- the window --- */

void stream_touch(struct stream *s, uint32_t rank, uint64_t seq)
{
	bool begun = s->cursor_seq != UINT64_MAX || s->cursor_rank;
	if (begun && compare(rank, seq, s->cursor_rank, s->cursor_seq) <= 0)
		window_forget(s);
	s->stored_any = true;
}

struct window { struct stream *s; size_t wanted; int error; };

static int window_row(void *ctx, struct slice key, struct slice value)
{
	struct window *w = ctx;
	struct stream *s = w->s;
	const uint8_t *k = key.data;
	if (key.len != 20 || key_read_u32(k) != s->queue->r.number || key_read_u32(k + 4) != s->requirement->number)
		return 1;
	struct candidates *v = &s->stored;
	if (!GROW(v->all, v->room, v->n + 1)) {
		w->error = -ENOMEM;
		return 1;
	}
	struct candidate *x = &v->all[v->n];
	*x = (struct candidate){ .rank = key_read_u32(k + 8), .seq = key_read_u64(k + 12), .stored = true };
	s->cursor_rank = x->rank;
	s->cursor_seq = x->seq;
	if (value.len != sizeof x->id.b)
		return 0; /* no id: check-store tells */
	memcpy(x->id.b, value.data, sizeof x->id.b);
	return ++v->n >= w->wanted ? 2 : 0;
}

/* A row that cannot be read stands in the way. Its key says which task it is of, and the log knows that one's id. */
static int stream_repair(struct turn *t, struct coordinator *c, struct stream *s, struct slice from)
{
	struct slice key, value;
	struct window w = { .s = s, .wanted = 1 };
	struct id *id = arena_alloc(turn_arena(t), sizeof *id);
	int r = store_seek(turn_view(t), T_READY, from, false, &key, &value);
	if (!id || r < 0)
		return id ? r : -ENOMEM;
	if (r != ERROR_CORRUPT || key.len != 20) {
		s->stored_any = false;
		return 0;
	}
	uint64_t seq = key_read_u64((const uint8_t *)key.data + 12);
	r = log_find_seq(t, c, seq, id);
	log_error(r ? "a row of the ready index is damaged: its task is left out" : "a row of the ready index is damaged: its task was found by the log", LOG_S("queue", s->queue->name),
	          LOG_U("seq", seq));
	if (r < 0)
		return r;
	s->stored_any = window_row(&w, key, r ? SLICE(NULL, 0) : id_key(id)) != 1; /* 1: of another stream */
	return w.error;
}

/* The next window of the index. */
static int stream_fetch(struct turn *t, struct coordinator *c, struct stream *s)
{
	struct window w = { .s = s, .wanted = WINDOW };
	uint32_t rank = s->cursor_rank;
	uint64_t seq = s->cursor_seq + 1;
	if (!seq && rank)
		rank++;
	struct slice from = key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, rank, seq);
	struct store_txn *view = turn_view(t);
	if (!from.data || !view)
		return -ENOMEM;
	s->stored.n = s->stored.next = 0;
	int r = store_scan(view, T_READY, from, false, window_row, &w);
	if (r < 0 || w.error)
		return r < 0 ? r : w.error;
	s->stored_any = s->stored.n == w.wanted || r == ERROR_CORRUPT;
	return r == ERROR_CORRUPT && s->stored.n == 0 ? stream_repair(t, c, s, from) : 0;
}

int stream_head(struct turn *t, struct coordinator *c, struct stream *s, struct candidate **ret)
{
	struct candidates *st = &s->stored, *f = &s->fresh;
	*ret = NULL;
	if (f->unsorted) {
		qsort(f->all + f->next, f->n - f->next, sizeof *f->all, by_order);
		f->unsorted = false;
	}
	while (st->next == st->n && s->stored_any) {
		int r = stream_fetch(t, c, s);
		if (r)
			return r;
	}
	struct candidate *a = st->next < st->n ? &st->all[st->next] : NULL, *b = f->next < f->n ? &f->all[f->next] : NULL;
	*ret = !a ? b : !b ? a : candidate_cmp(b, a) < 0 ? b : a;
	return 0;
}

void stream_take(struct stream *s, const struct candidate *one)
{
	if (one->stored)
		s->stored.next++;
	else
		s->fresh.next++;
}
