/* The log: rows by offset, and one row that says where the log begins and ends.
 *
 * Offsets have no holes, so a cursor is a number and a row is found by its key. Appends come from the supervisor (the node's own events, acknowledged with
 * `stored` after the commit; one that the supervisor sends again because it did not hear of it is there twice) and from publish. A
 * question is answered at once, or, with follow_ms, when something comes; followers are looked at once a turn, after its appends, and hear of them only
 * when they are committed. What is too old or too much is deleted in slices, never more than 500 rows a turn. A row whose checksum is
 * wrong is shown as an event of its own, topic.damaged: a reader walks past it and knows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/topic/follow.h"
#include "actors/topic/topic.h"
#include "common/base/clock.h"
#include "common/wire/codec.h"

#define RETENTION_PAUSE_MS 60000u /* between looks at the age of the oldest row */
#define SLICE_PAUSE_MS 20u
#define DAY_MS (24ull * 3600 * 1000)

enum { TABLE_ROWS, TABLE_META };
static const char *const topic_tables[] = { "rows", "meta", NULL };
#define META_KEY SLICE("log", 3)
#define META_LEN 24u

struct topic {
	uint64_t oldest, next;   /* rows are oldest to next - 1 */
	uint64_t bytes;
	uint64_t keep_ms, keep_bytes;
	size_t page_bytes;       /* of one answer */
	uint64_t retain_at_ms;   /* monotonic: when retention looks again */
	uint64_t appended_total, damaged_total;
	bool changed;            /* since the meta row was written */
	bool appended;           /* in this turn: followers may have something */
	struct follow follow;
};

static void keep_read(struct topic *s, const Troupe__Setup *setup)
{
	const Troupe__TopicSetup *t = setup->topic;
	s->keep_ms = t && t->keep_ms ? t->keep_ms : TOPIC_KEEP_MS;
	s->keep_bytes = t && t->keep_bytes ? t->keep_bytes : TOPIC_KEEP_BYTES;
	s->page_bytes = TOPIC_BYTES_MAX;
	if (setup->limits && setup->limits->frame && setup->limits->frame / 2 < s->page_bytes)
		s->page_bytes = setup->limits->frame / 2;
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int schedule(struct turn *t, const struct topic *s)
{
	uint64_t at_ms = earliest(follow_due_ms(&s->follow), s->next > s->oldest && s->retain_at_ms ? s->retain_at_ms : TIME_NEVER);
	return at_ms == TIME_NEVER ? 0 : turn_wake(t, at_ms);
}

int topic_open(struct store *store, const Troupe__Setup *setup, struct topic **ret, struct error *e)
{
	struct store_txn *view;
	struct slice v;
	struct topic *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->oldest = s->next = 1;
	keep_read(s, setup);
	int r = store_read(store, &view);
	if (!r) {
		r = store_get(view, TABLE_META, META_KEY, &v);
		if (!r && v.len != META_LEN)
			r = ERROR_CORRUPT;
		if (!r) {
			s->oldest = key_read_u64(v.data);
			s->next = key_read_u64((const uint8_t *)v.data + 8);
			s->bytes = key_read_u64((const uint8_t *)v.data + 16);
		}
		store_read_end(view);
	}
	if (r == ERROR_NOT_FOUND)
		r = 0;
	if (r > 0)
		error_set(e, (enum error_code)r, "the head of the log in %s is damaged", setup->state_dir);
	if (r)
		free(s);
	else
		*ret = s;
	return r;
}

/* Retention's first look, in the first turn. */
static int on_start(struct turn *t, void *state, void *arg)
{
	struct topic *s = state;
	s->retain_at_ms = turn_now_ms(t) + SLICE_PAUSE_MS;
	return schedule(t, s);
}

static int init(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e)
{
	struct topic *s;
	int r = topic_open(actor_store(a), setup, &s, e);
	if (!r)
		*ret_state = s;
	return r ? r : actor_post(a, on_start, NULL);
}

/* --- append --- */

/* Puts n events behind the end. Nothing in s changes unless all went well. */
static int append(struct turn *t, struct topic *s, Troupe__Event **events, size_t n)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		Troupe__Event ev = *events[i];
		ev.offset = s->next + i;
		if (!ev.at_ms)
			ev.at_ms = turn_wall_ms(t);
		size_t len = troupe__event__get_packed_size(&ev);
		if (len > TOPIC_EVENT_MAX) {
			struct error e = { 0 };
			error_set(&e, ERROR_TOO_LARGE, "an event holds at most %u bytes, this one has %zu", TOPIC_EVENT_MAX, len);
			e.index = (uint32_t)i + 1;
			return turn_fail(t, &e);
		}
		uint8_t *key = arena_alloc(turn_arena(t), 8), *value = arena_alloc(turn_arena(t), len + 1);
		if (!key || !value)
			return -ENOMEM;
		key_u64(key, ev.offset);
		troupe__event__pack(&ev, value);
		int r = turn_put(t, TABLE_ROWS, SLICE(key, 8), SLICE(value, len));
		if (r)
			return r;
		bytes += len;
	}
	if (n) {
		s->next += n;
		s->bytes += bytes;
		s->appended_total += n;
		s->changed = s->appended = true;
	}
	return 0;
}

static int on_control(struct turn *t, void *state, const Troupe__Control *c)
{
	struct topic *s = state;
	if (c->body_case != TROUPE__CONTROL__BODY_EVENT)
		return 0;
	Troupe__Control stored = TROUPE__CONTROL__INIT;
	Troupe__EventStored offset = TROUPE__EVENT_STORED__INIT;
	stored.ref = c->ref;
	stored.body_case = TROUPE__CONTROL__BODY_STORED;
	stored.stored = &offset;
	offset.offset = s->next;
	int r = turn_control(t, &stored);
	return r ? r : append(t, s, (Troupe__Event **)&c->event, 1);
}

static int on_publish(struct turn *t, void *state, const struct message *m)
{
	struct topic *s = state;
	const Troupe__Publish *p = m->env->publish;
	Troupe__Envelope out = TROUPE__ENVELOPE__INIT;
	Troupe__Published done = TROUPE__PUBLISHED__INIT;
	if (p->n_events == 0 || p->n_events > TOPIC_PUBLISH_MAX) {
		struct error e = { 0 };
		error_set(&e, p->n_events ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a publish holds 1 to %u events, this one has %zu", TOPIC_PUBLISH_MAX, p->n_events);
		return turn_fail(t, &e);
	}
	done.first = s->next;
	done.last = s->next + p->n_events - 1;
	out.body_case = TROUPE__ENVELOPE__BODY_PUBLISHED;
	out.published = &done;
	int r = turn_reply(t, m, &out);
	return r ? r : append(t, s, p->events, p->n_events);
}

/* --- read --- */

struct page {
	Troupe__Event *events[TOPIC_ROWS_MAX];
	size_t n, bytes, looked;
	uint64_t next;           /* the cursor behind what was looked at */
};

/* One row as an event in the turn's arena. 0, ERROR_NOT_FOUND, negative. */
static int row_read(struct turn *t, struct topic *s, uint64_t offset, Troupe__Event **ret, size_t *ret_len)
{
	uint8_t key[8];
	struct slice v;
	ProtobufCMessage *m;
	key_u64(key, offset);
	struct store_txn *view = turn_view(t);
	int r = view ? store_get(view, TABLE_ROWS, SLICE(key, 8), &v) : -EIO;
	if (!r)
		r = message_decode(&troupe__event__descriptor, v.data, v.len, turn_arena(t), &m, NULL);
	if (r < 0 || r == ERROR_NOT_FOUND)
		return r;
	if (!r) {
		*ret = (Troupe__Event *)m;
		*ret_len = v.len;
		return 0;
	}
	Troupe__Event *ev = arena_alloc(turn_arena(t), sizeof *ev);
	if (!ev)
		return -ENOMEM;
	troupe__event__init(ev);
	ev->offset = offset;
	ev->type = (char *)"topic.damaged";
	ev->level = (char *)"alarm";
	ev->text = (char *)"the checksum of this record is wrong; what it said is lost";
	s->damaged_total++;
	*ret = ev;
	*ret_len = 128;
	return 0;
}

static bool matches(const Troupe__Event *ev, const char *prefix)
{
	return strncmp(ev->type, prefix, strlen(prefix)) == 0;
}

/* Rows behind `after`, within all bounds. A page always looks at one row at least, so a reader gets on. */
static int page_forward(struct turn *t, struct topic *s, uint64_t after, uint32_t limit, const char *prefix, struct page *p)
{
	*p = (struct page){ .next = after };
	for (uint64_t offset = after + 1; offset < s->next && p->n < limit && p->looked < TOPIC_LOOK_MAX; offset++, p->looked++) {
		Troupe__Event *ev;
		size_t len;
		int r = row_read(t, s, offset, &ev, &len);
		if (r < 0)
			return r;
		if (!r && matches(ev, prefix)) {
			if (p->n && p->bytes + len > s->page_bytes)
				break;
			p->events[p->n++] = ev;
			p->bytes += len;
		}
		p->next = offset;
	}
	return 0;
}

/* Where the last n matching rows begin: the offset before the first of them. */
static int tail_find(struct turn *t, struct topic *s, uint32_t n, const char *prefix, uint64_t *ret_after)
{
	uint64_t offset = s->next;
	size_t bytes = 0;
	for (unsigned looked = 0; n && offset > s->oldest && looked < TOPIC_LOOK_MAX && bytes < s->page_bytes; looked++) {
		Troupe__Event *ev;
		size_t len = 0;
		int r = row_read(t, s, --offset, &ev, &len);
		if (r < 0)
			return r;
		if (!r && matches(ev, prefix)) {
			n--;
			bytes += len;
		}
	}
	*ret_after = offset - 1;
	return 0;
}

static int page_reply(struct turn *t, const struct topic *s, const struct reply_to *r, struct page *p, bool gap)
{
	Troupe__Envelope out = TROUPE__ENVELOPE__INIT;
	Troupe__TopicRows rows = TROUPE__TOPIC_ROWS__INIT;
	rows.events = p->events;
	rows.n_events = p->n;
	rows.next = p->next;
	rows.gap = gap;
	rows.oldest = s->oldest;
	out.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ROWS;
	out.topic_rows = &rows;
	return turn_reply_to(t, r, &out);
}

/* Where a question begins. A cursor before the oldest row, or behind the end, does not fit this log: GAP. 0 is no cursor but the beginning. */
static int cursor_resolve(struct turn *t, struct topic *s, const Troupe__TopicAsk *q, uint64_t *ret_after, bool *ret_gap)
{
	uint64_t last = s->next - 1;
	*ret_gap = false;
	if (q->tail)
		return tail_find(t, s, q->tail < TOPIC_ROWS_MAX ? q->tail : TOPIC_ROWS_MAX, q->type_prefix, ret_after);
	if (q->from_end) {
		*ret_after = last;
		return 0;
	}
	*ret_gap = q->after && (q->after + 1 < s->oldest || q->after > last);
	*ret_after = q->after > last ? last : q->after + 1 < s->oldest ? s->oldest - 1 : q->after;
	return 0;
}

static int on_topic_ask(struct turn *t, void *state, const struct message *m)
{
	struct topic *s = state;
	const Troupe__TopicAsk *q = m->env->topic_ask;
	struct error e = { 0 };
	struct page *p = arena_alloc(turn_arena(t), sizeof *p);
	uint32_t limit = q->limit ? q->limit : 100;
	uint64_t after;
	bool gap;
	if (!p)
		return -ENOMEM;
	if (strlen(q->type_prefix) > FOLLOW_PREFIX_MAX) {
		error_set(&e, ERROR_TOO_LARGE, "a type prefix holds at most %u bytes", FOLLOW_PREFIX_MAX);
		return turn_fail(t, &e);
	}
	if (limit > TOPIC_ROWS_MAX)
		limit = TOPIC_ROWS_MAX;
	int r = cursor_resolve(t, s, q, &after, &gap);
	if (!r)
		r = page_forward(t, s, after, limit, q->type_prefix, p);
	if (r)
		return r;
	struct reply_to reply = turn_reply_handle(t, m);
	if (p->n || gap || !q->follow_ms || p->next + 1 < s->next)
		return page_reply(t, s, &reply, p, gap);
	if (!follow_has_room(&s->follow, m->sender.peer)) {
		error_set(&e, ERROR_BUSY, "too many readers follow this topic");
		error_retry(&e, 1000);
		return turn_fail(t, &e);
	}
	struct follower who = { .reply = reply, .after = p->next, .limit = limit,
		                .until_ms = turn_now_ms(t) + (q->follow_ms < TOPIC_FOLLOW_MAX_MS ? q->follow_ms : TOPIC_FOLLOW_MAX_MS) };
	memcpy(who.type_prefix, q->type_prefix, strlen(q->type_prefix) + 1);
	follow_add(&s->follow, &who);
	return schedule(t, s);
}

/* Everybody who waits gets what came, or, when its time is over, an empty page. */
static int followers_serve(struct turn *t, struct topic *s)
{
	struct page *p = arena_alloc(turn_arena(t), sizeof *p);
	if (!p)
		return -ENOMEM;
	for (size_t i = s->follow.n; i-- > 0;) {
		struct follower *who = &s->follow.list[i];
		bool gap = who->after + 1 < s->oldest;
		int r = page_forward(t, s, gap ? s->oldest - 1 : who->after, who->limit, who->type_prefix, p);
		if (r)
			return r;
		who->after = p->next;
		if (!p->n && !gap && turn_now_ms(t) < who->until_ms)
			continue;
		if ((r = page_reply(t, s, &who->reply, p, gap)))
			return r;
		follow_remove(&s->follow, i);
	}
	return schedule(t, s);
}

/* --- retention --- */

/* Where retention may cut: behind the last row that is too old, or over the bytes. A damaged row has no age: it goes with what follows it. */
static int cut_find(struct turn *t, struct topic *s, uint64_t *ret_end, uint64_t *ret_bytes, uint64_t *ret_pause_ms)
{
	uint64_t wall = turn_wall_ms(t), offset = s->oldest, bytes = s->bytes, ageless = 0;
	*ret_end = s->oldest;
	*ret_bytes = bytes;
	*ret_pause_ms = RETENTION_PAUSE_MS;
	for (; offset < s->next && offset - s->oldest < TOPIC_SLICE; offset++) {
		Troupe__Event *ev;
		size_t len = 0;
		int r = row_read(t, s, offset, &ev, &len);
		if (r < 0)
			return r;
		uint64_t age_ms = r || wall < ev->at_ms ? 0 : wall - ev->at_ms;
		ageless += len;
		if (!r && *ret_bytes <= s->keep_bytes && !ev->at_ms)
			continue;
		if (!r && *ret_bytes <= s->keep_bytes && age_ms <= s->keep_ms) {
			if (s->keep_ms - age_ms > RETENTION_PAUSE_MS)
				*ret_pause_ms = earliest(s->keep_ms - age_ms, DAY_MS);
			return 0;
		}
		*ret_end = offset + 1;
		*ret_bytes -= earliest(ageless, *ret_bytes);
		ageless = 0;
	}
	if (offset < s->next)
		*ret_pause_ms = SLICE_PAUSE_MS;
	return 0;
}

static int retain(struct turn *t, struct topic *s)
{
	uint64_t end, bytes, pause_ms;
	int r = cut_find(t, s, &end, &bytes, &pause_ms);
	for (uint64_t offset = s->oldest; !r && offset < end; offset++) {
		uint8_t *key = arena_alloc(turn_arena(t), 8);
		if (!key)
			return -ENOMEM;
		key_u64(key, offset);
		r = turn_delete(t, TABLE_ROWS, SLICE(key, 8));
	}
	if (r)
		return r;
	s->retain_at_ms = turn_now_ms(t) + pause_ms;
	if (end != s->oldest) {
		s->oldest = end;
		s->bytes = end == s->next ? 0 : bytes;
		s->changed = true;
	}
	return 0;
}

static int on_wake(struct turn *t, void *state, uint64_t now_ms)
{
	struct topic *s = state;
	if (s->retain_at_ms && s->retain_at_ms <= now_ms) {
		int r = retain(t, s);
		if (r)
			return r;
	}
	return followers_serve(t, s);
}

static int settle(struct turn *t, void *state)
{
	struct topic *s = state;
	if (s->appended) {
		if (s->bytes > s->keep_bytes)
			s->retain_at_ms = earliest(s->retain_at_ms, turn_now_ms(t) + SLICE_PAUSE_MS);
		int r = followers_serve(t, s);
		if (r)
			return r;
		s->appended = false;
	}
	if (!s->changed)
		return 0;
	uint8_t *meta = arena_alloc(turn_arena(t), META_LEN);
	if (!meta)
		return -ENOMEM;
	key_u64(key_u64(key_u64(meta, s->oldest), s->next), s->bytes);
	int r = turn_put(t, TABLE_META, META_KEY, SLICE(meta, META_LEN));
	if (!r)
		s->changed = false;
	return r;
}

/* --- the rest --- */

static int on_client_gone(struct turn *t, void *state, uint64_t peer)
{
	follow_forget_peer(&((struct topic *)state)->follow, peer);
	return 0;
}

static int on_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up)
{
	if (!up)
		follow_forget_peer(&((struct topic *)state)->follow, peer);
	return 0;
}

static int on_reload(struct turn *t, void *state, const Troupe__Setup *setup)
{
	struct topic *s = state;
	keep_read(s, setup);
	s->retain_at_ms = turn_now_ms(t) + SLICE_PAUSE_MS;
	return schedule(t, s);
}

static void metrics(void *state, struct turn *t, Troupe__Metrics *out)
{
	const struct topic *s = state;
	turn_sample(t, out, "troupe_topic_events", TROUPE__SAMPLE__TYPE__GAUGE, "Events kept", (double)(s->next - s->oldest));
	turn_sample(t, out, "troupe_topic_bytes", TROUPE__SAMPLE__TYPE__GAUGE, "Bytes of the events kept", (double)s->bytes);
	turn_sample(t, out, "troupe_topic_appended_total", TROUPE__SAMPLE__TYPE__COUNTER, "Events appended", (double)s->appended_total);
	turn_sample(t, out, "troupe_topic_damaged_total", TROUPE__SAMPLE__TYPE__COUNTER, "Reads of events whose checksum was wrong", (double)s->damaged_total);
	turn_sample(t, out, "troupe_topic_followers", TROUPE__SAMPLE__TYPE__GAUGE, "Readers that wait for the next event", (double)s->follow.n);
}

static void fini(void *state)
{
	free(state);
}

static const struct actor_handler handlers[] = {
	{ TROUPE__ENVELOPE__BODY_PUBLISH, on_publish },
	{ TROUPE__ENVELOPE__BODY_TOPIC_ASK, on_topic_ask },
	{ 0 },
};

const struct actor_def topic_def = {
	.type = "topic",
	.tables = topic_tables,
	.store_version = 1,
	.handlers = handlers,
	.connects = true,
	.init = init,
	.on_link = on_link,
	.on_client_gone = on_client_gone,
	.on_control = on_control,
	.on_wake = on_wake,
	.on_reload = on_reload,
	.settle = settle,
	.metrics = metrics,
	.fini = fini,
};
