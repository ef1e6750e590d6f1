/* Who gets what. In settle, over everything that the turn has brought: each worker with room gets the most urgent task that it may run, first one for
 * every free slot, then as many more as it finishes in a few milliseconds. The lease rows are in the turn's commit, RUN leaves behind it.
 *
 * A stream is read in windows of the ready index, merged with what is new in this turn and has no row yet. Nothing here costs more with a longer backlog. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define WINDOW 256u

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
	if (f->n && (what->priority < f->all[f->n - 1].priority || (what->priority == f->all[f->n - 1].priority && what->seq < f->all[f->n - 1].seq)))
		f->unsorted = true;
	f->all[f->n++] = *what;
	return 0;
}

static bool before(const struct candidate *a, const struct candidate *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->seq < b->seq;
}

static int by_order(const void *a, const void *b)
{
	return before(a, b) ? -1 : before(b, a);
}

/* --- a stream --- */

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
	*x = (struct candidate){ .priority = key_read_u32(k + 8), .seq = key_read_u64(k + 12), .stored = true };
	s->cursor_priority = x->priority;
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
		s->at_end = true;
		return 0;
	}
	uint64_t seq = key_read_u64((const uint8_t *)key.data + 12);
	r = log_find_seq(t, c, seq, id);
	log_error(r ? "a row of the ready index is damaged: its task is left out" : "a row of the ready index is damaged: its task was found by the log", LOG_S("queue", s->queue->name),
	          LOG_U("seq", seq));
	if (r < 0)
		return r;
	s->at_end = window_row(&w, key, r ? SLICE(NULL, 0) : id_key(id)) == 1; /* of another stream */
	return w.error;
}

/* The next window of the index. */
static int stream_fetch(struct turn *t, struct coordinator *c, struct stream *s)
{
	struct window w = { .s = s, .wanted = WINDOW };
	struct slice from = key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, s->cursor_priority, s->cursor_seq + 1);
	struct store_txn *view = turn_view(t);
	if (!from.data || !view)
		return -ENOMEM;
	s->stored.n = s->stored.next = 0;
	int r = store_scan(view, T_READY, from, false, window_row, &w);
	if (r < 0 || w.error)
		return r < 0 ? r : w.error;
	s->at_end = s->stored.n < w.wanted && r != ERROR_CORRUPT;
	return r == ERROR_CORRUPT && s->stored.n == 0 ? stream_repair(t, c, s, from) : 0;
}

/* The best of a stream, or NULL. 0 or negative. */
static int stream_head(struct turn *t, struct coordinator *c, struct stream *s, struct candidate **ret)
{
	struct candidates *st = &s->stored, *f = &s->fresh;
	*ret = NULL;
	if (s->queue->r.paused)
		return 0;
	while (st->next == st->n && s->stored_any && !s->at_end) {
		int r = stream_fetch(t, c, s);
		if (r)
			return r;
	}
	struct candidate *a = st->next < st->n ? &st->all[st->next] : NULL, *b = f->next < f->n ? &f->all[f->next] : NULL;
	*ret = !a ? b : !b ? a : before(b, a) ? b : a;
	return 0;
}

static void stream_take(struct stream *s, const struct candidate *one)
{
	if (one->stored)
		s->stored.next++;
	else
		s->fresh.next++;
}

static void stream_begin(struct stream *s)
{
	s->stored.n = s->stored.next = 0;
	s->cursor_priority = 0;
	s->cursor_seq = UINT64_MAX; /* + 1 is 0 */
	s->at_end = false;
}

/* --- a worker --- */

static bool worker_serves(const struct worker *w, const struct stream *s)
{
	for (size_t i = 0; i < s->requirement->n_tags; i++) {
		bool has = false;
		for (size_t k = 0; k < w->n_tags && !has; k++)
			has = strcmp(w->tags[k], s->requirement->tags[i]) == 0;
		if (!has)
			return false;
	}
	return true;
}

/* Which streams it may take from, anew when there are more streams. */
static int worker_streams(struct coordinator *c, struct worker *w)
{
	if (w->shape == c->shape)
		return 0;
	w->n_streams = 0;
	for (size_t i = 0; i < w->n_queues; i++) {
		struct queue *q = queue_find(c, w->queues[i]);
		for (uint32_t k = 0; q && k < c->n_requirements; k++) {
			struct stream *s = c->requirements[k] ? stream_of(c, q, k) : NULL;
			if (!s || !worker_serves(w, s))
				continue;
			if (!GROW(w->streams, w->room_streams, w->n_streams + 1))
				return -ENOMEM;
			w->streams[w->n_streams++] = s;
		}
	}
	w->shape = c->shape;
	return 0;
}

static Troupe__Assignment *assignment_of(struct turn *t, struct coordinator *c, const struct lease *l, const Troupe__TaskSpec *spec)
{
	Troupe__Assignment *a = arena_alloc(turn_arena(t), sizeof *a);
	if (!a)
		return NULL;
	struct sched_policy p;
	sched_policy_of(spec, l->queue->policy, &p);
	troupe__assignment__init(a);
	a->token = l->token;
	a->id = spec->id;
	a->seq = l->seq;
	a->queue = l->queue->name;
	a->attempt = l->attempt;
	a->max_attempts = p.max_attempts;
	a->payload = spec->payload;
	a->content_type = spec->content_type;
	a->argv = (ProtobufCBinaryData *)spec->argv;
	a->n_argv = spec->n_argv;
	a->timeout_ms = p.timeout_ms;
	a->grace_ms = p.grace_ms;
	a->deadline_at_ms = spec->deadline_at_ms;
	a->tags = spec->tags;
	a->n_tags = spec->n_tags;
	a->traceparent = spec->traceparent;
	a->output_max = l->queue->policy->result_max;
	return a;
}

/* A ready row whose task is gone or cannot be read must not come up for ever. */
static int drop_damaged(struct turn *t, struct coordinator *c, struct stream *s, const struct candidate *one, int why)
{
	log_error(why == ERROR_NOT_FOUND ? "a ready row without a task" : "the record of a task is damaged: it cannot be run", LOG_S("queue", s->queue->name), LOG_U("seq", one->seq));
	s->queue->r.ready -= s->queue->r.ready > 0;
	s->queue->changed = true;
	if (one->stored)
		return turn_delete(t, T_READY, key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, one->priority, one->seq));
	return 0;
}

static int give(struct turn *t, struct coordinator *c, struct worker *w, struct stream *s, const struct candidate *one)
{
	const Troupe__TaskSpec *spec = one->spec;
	Troupe__StateRecord *st = NULL;
	int r = 0;
	if (!spec) {
		Troupe__TaskRecord *rec;
		r = task_get(t, &one->id, &rec);
		if (r == ERROR_NOT_FOUND || r == ERROR_CORRUPT)
			return drop_damaged(t, c, s, one, r);
		if (!r)
			spec = rec->spec;
	}
	if (!r && !one->first && (r = state_get(t, &one->id, &st)) == ERROR_CORRUPT) {
		log_error("the state of a task is damaged: it begins anew", LOG_U("seq", one->seq));
		st = NULL;
		r = 0;
	}
	if (r || !GROW(w->run, w->room_run, w->n_run + 1))
		return r ? r : -ENOMEM;
	struct lease *l = lease_add(&c->leases, w, c->meta.next_token, &one->id);
	if (!l)
		return -ENOMEM;
	c->meta.next_token++;
	c->meta_changed = true;
	l->seq = one->seq;
	l->queue = s->queue;
	l->priority = one->priority;
	l->requirement = s->requirement->number;
	l->run = st ? st->run : 1;
	l->attempt = st ? st->attempts + 1 : 1;
	l->has_state = st && (st->attempts || st->history || st->run > 1);
	l->has_unique = *spec->unique_key;
	l->size = spec_size(spec);
	l->given_at_ms = turn_wall_ms(t);
	w->bytes += l->size;
	w->given_at_ms = turn_now_ms(t);
	if ((r = lease_put(t, l)) || (r = log_add(c, &one->id, TROUPE__TRANSITION_KIND__T_GIVEN, 0, l->attempt, s->queue)))
		return r;
	if (one->stored && (r = turn_delete(t, T_READY, key_ready(turn_arena(t), s->queue->r.number, l->requirement, one->priority, one->seq))))
		return r;
	s->queue->r.ready -= s->queue->r.ready > 0;
	s->queue->r.running++;
	s->queue->changed = true;
	Troupe__Assignment *a = assignment_of(t, c, l, spec);
	if (!a)
		return -ENOMEM;
	w->run[w->n_run++] = a;
	return 0;
}

/* One task for w, the best of its streams. 0 with *ret_given, or negative. */
static int feed(struct turn *t, struct coordinator *c, struct worker *w, bool *ret_given)
{
	struct candidate *best = NULL;
	struct stream *from = NULL;
	*ret_given = false;
	for (size_t i = 0; i < w->n_streams; i++) {
		struct candidate *one;
		int r = stream_head(t, c, w->streams[i], &one);
		if (r)
			return r;
		if (one && (!best || before(one, best))) {
			best = one;
			from = w->streams[i];
		}
	}
	if (!best)
		return 0;
	struct candidate copy = *best;
	stream_take(from, best);
	*ret_given = true;
	return give(t, c, w, from, &copy);
}

/* Rounds, so that all get their share. */
static int feed_all(struct turn *t, struct coordinator *c, bool prefetch)
{
	bool some = true;
	int r = 0;
	while (some && !r) {
		some = false;
		for (struct worker *w = c->workers; w && !r; w = w->next) {
			uint32_t room = prefetch ? sched_capacity(w->slots, w->average_us) : w->slots;
			if (!worker_may_work(w) || w->held >= room || (w->held && w->bytes >= WORKER_BYTES_MAX))
				continue;
			bool given;
			r = feed(t, c, w, &given);
			some |= given;
		}
	}
	return r;
}

/* --- RUN --- */

static int say_run(struct turn *t, struct coordinator *c, struct worker *w)
{
	int r = 0;
	for (size_t i = 0; i < w->n_run && !r;) {
		Troupe__Run run = TROUPE__RUN__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		size_t bytes = 0, n = 0;
		while (i + n < w->n_run) {
			bytes += troupe__assignment__get_packed_size(w->run[i + n]) + 16;
			if (n && bytes > c->frame_max / 2)
				break;
			n++;
		}
		run.tasks = w->run + i;
		run.n_tasks = n;
		env.body_case = TROUPE__ENVELOPE__BODY_RUN;
		env.run = &run;
		r = worker_push(t, w, &env);
		i += n;
	}
	w->n_run = 0;
	return r;
}

/* Who stands idle takes from a sibling's prefetch what it has not begun. */
static int rebalance(struct turn *t, struct coordinator *c)
{
	const struct worker *idle = NULL;
	for (const struct worker *w = c->workers; w && !idle; w = w->next)
		if (worker_may_work(w) && w->held < w->slots)
			idle = w;
	if (!idle)
		return 0;
	for (struct worker *w = c->workers; w; w = w->next) {
		uint32_t spare = w->held > w->slots ? w->held - w->slots : 0;
		if (!spare || !w->attached || w->n_run)
			continue;
		bool shared = false;
		for (size_t i = 0; i < idle->n_streams && !shared; i++)
			for (size_t k = 0; k < w->n_streams && !shared; k++)
				shared = idle->streams[i] == w->streams[k];
		if (!shared)
			continue;
		uint64_t since = turn_now_ms(t) - w->given_at_ms;
		if (since < 20) {
			wake_by(c, w->given_at_ms + 20);
			continue;
		}
		Troupe__Revoke v = TROUPE__REVOKE__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		if (!(v.tokens = arena_alloc(turn_arena(t), w->held * sizeof *v.tokens)))
			return -ENOMEM;
		for (const struct lease *l = w->leases; l && v.n_tokens < (spare + 1) / 2; l = l->next) /* newest first */
			if (!l->started && !l->cancel)
				v.tokens[v.n_tokens++] = l->token;
		w->given_at_ms = turn_now_ms(t); /* not again at once */
		env.body_case = TROUPE__ENVELOPE__BODY_REVOKE;
		env.revoke = &v;
		int r = v.n_tokens ? worker_push(t, w, &env) : 0;
		if (r)
			return r;
	}
	return 0;
}

/* --- the turn's end --- */

static int store_fresh(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_busy; i++) {
		struct stream *s = c->busy[i];
		for (struct candidates *f = &s->fresh; f->next < f->n && !r; f->next++) {
			const struct candidate *one = &f->all[f->next];
			void *id = arena_copy(turn_arena(t), one->id.b, sizeof one->id.b);
			struct slice key = key_ready(turn_arena(t), s->queue->r.number, s->requirement->number, one->priority, one->seq);
			r = id && key.data ? turn_put(t, T_READY, key, SLICE(id, sizeof one->id.b)) : -ENOMEM;
			s->stored_any = true;
		}
		s->fresh.n = s->fresh.next = 0;
		s->fresh.unsorted = s->listed = false;
	}
	c->n_busy = 0;
	return r;
}

int choose(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_busy; i++) {
		struct candidates *f = &c->busy[i]->fresh;
		if (f->unsorted)
			qsort(f->all, f->n, sizeof *f->all, by_order);
	}
	for (struct worker *w = c->workers; w && !r; w = w->next) {
		r = worker_streams(c, w);
		for (size_t i = 0; i < w->n_streams; i++)
			stream_begin(w->streams[i]);
	}
	disk_look(c, turn_now_ms(t));
	if (c->disk_stop)
		wake_by(c, turn_now_ms(t) + 1000); /* it may have room again */
	if (!r && !c->disk_stop)
		r = feed_all(t, c, false);
	if (!r && !c->disk_stop)
		r = feed_all(t, c, true);
	if (!r)
		r = rebalance(t, c);
	for (struct worker *w = c->workers; w && !r; w = w->next) {
		/* A window that was read to the end, and used up, leaves nothing behind. */
		for (size_t i = 0; i < w->n_streams; i++)
			if (w->streams[i]->at_end && w->streams[i]->stored.next == w->streams[i]->stored.n)
				w->streams[i]->stored_any = false;
		r = say_run(t, c, w);
	}
	if (!r)
		r = store_fresh(t, c);
	fault_point("dispatch.after_settle");
	return r;
}
