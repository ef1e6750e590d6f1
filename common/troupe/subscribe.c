/* Subscriptions: the log of transitions, read by cursor, a page a request. What was read is known by its place and not by the connection it came over, so a death in between
 * costs a question and nothing else. Where it begins "now" is asked for first, once: a place that was only meant would be another one after a reconnect. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

#define SAME(a, b) _Static_assert((int)TROUPE_EVENT_##a == (int)TROUPE__TRANSITION_KIND__T_##a, "troupe.h and queue.proto differ in " #a)
SAME(ACCEPTED, ACCEPTED);
SAME(READY, READY);
SAME(GIVEN, GIVEN);
SAME(DONE, DONE);
SAME(FAILED, FAILED);
SAME(LOST, LOST);
SAME(SCHEDULED, SCHEDULED);
SAME(DEAD, DEAD);
SAME(CANCELLED, CANCELLED);
SAME(CANCEL_ASKED, CANCEL_ASKED);
SAME(RETRIED, RETRIED);
SAME(RETURNED, RETURNED);
SAME(PURGED, PURGED);
SAME(EXPIRED, EXPIRED);
SAME(DROPPED, DROPPED);
SAME(CHANGED, CHANGED);

#define PAGE 1000u
#define FOLLOW_MS 20000u     /* of one question: longer than that nothing need be said */
#define PATIENCE_MS 10000u   /* beyond it */
#define PAUSE_MS 1000u       /* after a failure that names no time */
#define EARLY_US 1000000u    /* an answer that tells nothing comes later than this, or its sender is asked more slowly */
#define WHOLE UINT32_MAX     /* index of a cursor: all of that commit */

struct troupe_subscription {
	struct call call;
	struct troupe_subscribe_options options;
	char *queue;                 /* owned copy; NULL: all */
	struct troupe_cursor cursor; /* behind what was told */
	bool has_cursor;
	bool finding;                /* the place of "now" is being asked for */
	struct arena *arena;         /* of page; NULL: nothing is held */
	const Troupe__Log *page;
	size_t at;                   /* the next row of page */
	bool gap;                    /* of page, not told yet */
	bool ended, ended_told;
	bool telling;                /* inside on_event */
	bool quiet;                  /* the last answer told nothing, and came early */
	struct troupe_error error;   /* why it ended */
	struct troupe_event event;   /* what was told last */
};

static void release(struct call *c)
{
	struct troupe_subscription *s = (struct troupe_subscription *)c;
	arena_unref(s->arena);
	free(s->queue);
}

static struct troupe_cursor cursor_of(const Troupe__LogCursor *c) { return (struct troupe_cursor){ .commit = c->commit, .index = c->index }; }

/* --- questions --- */

static int ask(struct troupe_subscription *s, struct error *e)
{
	Troupe__LogAsk m = TROUPE__LOG_ASK__INIT;
	Troupe__LogCursor after = TROUPE__LOG_CURSOR__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct client_request q = { .to = s->call.troupe->coordinator, .env = &env, .timeout_ms = FOLLOW_MS + PATIENCE_MS };
	if (s->finding) { /* asked a second time, or answered twice, it would stand behind what was started meanwhile */
		q.timeout_ms = TIME_NEVER;
		q.alone = true;
	}
	after.commit = s->cursor.commit;
	after.index = s->cursor.index;
	m.after = s->has_cursor ? &after : NULL;
	m.from_end = s->finding;
	m.limit = PAGE;
	m.follow_ms = s->finding ? 0 : FOLLOW_MS;
	if (!id_is_zero(&s->options.task))
		m.task = (ProtobufCBinaryData){ .len = sizeof s->options.task.b, .data = s->options.task.b };
	env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
	env.log_ask = &m;
	return call_ask(&s->call, &q, e);
}

static void ask_or_later(struct call *c)
{
	struct error e;
	if (ask((struct troupe_subscription *)c, &e))
		call_again(c, clock_mono_ms() + PAUSE_MS);
}

/* --- events --- */

/* The place in front of a row. */
static struct troupe_cursor before(const Troupe__LogCursor *at)
{
	return at->index ? (struct troupe_cursor){ at->commit, at->index - 1 } : (struct troupe_cursor){ at->commit - 1, WHOLE };
}

static void fill_gap(struct troupe_subscription *s)
{
	const Troupe__Log *l = s->page;
	struct troupe_cursor at = s->cursor;
	if (l->n_rows && l->rows[0]->at)
		at = before(l->rows[0]->at);
	else if (l->next)
		at = cursor_of(l->next);
	s->event = (struct troupe_event){ .kind = TROUPE_EVENT_GAP, .cursor = at, .at_ms = clock_wall_ms(), .queue = "", .worker = "" };
	s->gap = false;
}

static void fill_row(struct troupe_subscription *s, const Troupe__Transition *row)
{
	s->event = (struct troupe_event){
		.kind = (enum troupe_event_kind)row->kind, .at_ms = row->at_ms, .seq = row->seq, .queue = row->queue, .worker = row->worker, .attempt = row->attempt,
		.exit_class = (enum troupe_exit)row->exit_class, .cause = (enum troupe_cause)row->cause, .cursor = row->at ? cursor_of(row->at) : s->cursor,
	};
	id_read(&row->id, &s->event.id);
}

static void page_drop(struct troupe_subscription *s)
{
	if (s->page && s->page->next) {
		s->cursor = cursor_of(s->page->next);
		s->has_cursor = true;
	}
	s->arena = arena_unref(s->arena);
	s->page = NULL;
}

/* The next event into s->event; false: nothing is held. */
static bool take_event(struct troupe_subscription *s)
{
	if (s->ended && !s->ended_told) {
		s->event = (struct troupe_event){ .kind = TROUPE_EVENT_END, .cursor = s->cursor, .at_ms = clock_wall_ms(), .queue = "", .worker = "", .error = &s->error };
		return s->ended_told = true;
	}
	if (!s->page)
		return false;
	if (s->gap) {
		fill_gap(s);
		s->cursor = s->event.cursor;
		return s->has_cursor = true;
	}
	while (s->at < s->page->n_rows) {
		const Troupe__Transition *row = s->page->rows[s->at++];
		if (s->queue && strcmp(row->queue, s->queue) != 0)
			continue;
		fill_row(s, row);
		s->cursor = s->event.cursor;
		return s->has_cursor = true;
	}
	page_drop(s);
	return false;
}

/* To on_event: all that is held, and then the next question. Frees s where it was unsubscribed meanwhile. */
static void tell_all(struct troupe_subscription *s)
{
	struct troupe *t = s->call.troupe;
	s->telling = true;
	t->calling++;
	while (!s->call.dropped && take_event(s))
		s->options.on_event(s->options.ctx, &s->event);
	t->calling--;
	s->telling = false;
	if (s->call.dropped)
		call_free(&s->call);
	else if (!s->ended && s->quiet)
		call_again(&s->call, clock_mono_ms() + PAUSE_MS);
	else if (!s->ended)
		ask_or_later(&s->call);
}

/* --- answers --- */

static void on_page(struct troupe_subscription *s, const struct client_answer *a, const Troupe__Log *l)
{
	if (s->finding) {
		s->finding = false;
		if (l->next)
			s->cursor = cursor_of(l->next);
		s->has_cursor = l->next != NULL;
		ask_or_later(&s->call);
		return;
	}
	bool moved = l->n_rows || l->gap || (l->next && (l->next->commit != s->cursor.commit || l->next->index != s->cursor.index));
	s->quiet = !moved && a->took_us < EARLY_US;
	s->arena = arena_ref(a->arena);
	s->page = l;
	s->at = 0;
	s->gap = l->gap;
	if (s->options.on_event)
		tell_all(s);
}

static bool is_passing(const struct error *e)
{
	return e->retryable || e->code == ERROR_TIMEOUT || e->code == ERROR_NOT_REACHABLE || e->code == ERROR_STOPPING || e->code == ERROR_BUSY;
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct troupe_subscription *s = (struct troupe_subscription *)c;
	struct error e = { 0 };
	const Troupe__Envelope *env = answer_of(a, TROUPE__ENVELOPE__BODY_LOG, &e);
	if (c->troupe->closing) {
		call_free(c);
	} else if (env) {
		on_page(s, a, env->log);
	} else if (is_passing(&e)) {
		call_again(c, clock_mono_ms() + (e.code == ERROR_TIMEOUT ? 0 : e.retry_after_ms ? e.retry_after_ms : PAUSE_MS));
	} else {
		s->ended = true;
		error_public(&e, &s->error);
		if (s->options.on_event)
			tell_all(s);
	}
}

/* --- the caller's side --- */

static int check(const struct troupe *t, const struct troupe_subscribe_options *o, struct error *e)
{
	int code = troupe_check(t, e);
	if (!code)
		code = size_check(o->size, sizeof *o, "troupe_subscribe_options", e);
	if (!code && (unsigned)o->from > TROUPE_FROM_CURSOR)
		code = error_set(e, ERROR_BAD_REQUEST, "a subscription begins now, at the oldest event, or at a cursor: %u is none of them", (unsigned)o->from);
	return code;
}

int troupe_subscribe(struct troupe *t, const struct troupe_subscribe_options *o, struct troupe_subscription **ret, struct troupe_error *out)
{
	struct error e = { 0 };
	int code = check(t, o, &e);
	struct troupe_subscription *s = code ? NULL : call_new(t, sizeof *s, on_answer);
	if (!s)
		return error_give(code ? code : -ENOMEM, &e, out);
	s->call.on_again = ask_or_later;
	s->call.release = release;
	s->call.held = true;
	s->options = *o;
	s->options.queue = NULL;
	s->finding = o->from == TROUPE_FROM_NOW;
	s->cursor = o->from == TROUPE_FROM_CURSOR ? o->cursor : s->cursor;
	s->has_cursor = o->from == TROUPE_FROM_CURSOR && o->cursor.commit > 0;
	if (o->queue && !(s->queue = strdup(o->queue)))
		code = -ENOMEM;
	if (!code)
		code = ask(s, &e);
	if (code) {
		call_free(&s->call);
		return error_give(code, &e, out);
	}
	*ret = s;
	return 0;
}

static int check_next(const struct troupe_subscription *s, struct error *e)
{
	int code = troupe_check_blocking(s->call.troupe, e);
	if (!code && s->options.on_event)
		code = error_set(e, ERROR_STATE, "this subscription tells its events to on_event");
	if (!code && s->ended_told)
		code = error_set(e, ERROR_STATE, "this subscription has ended: %.200s", s->error.text);
	return code;
}

int troupe_next(struct troupe_subscription *s, uint64_t timeout_ms, const struct troupe_event **ret, struct troupe_error *out)
{
	struct error e = { 0 };
	struct troupe *t = s->call.troupe;
	uint64_t until_ms = clock_until_ms(timeout_ms);
	int code = check_next(s, &e);
	while (!code && !take_event(s)) {
		bool idle = !s->call.asked && s->call.again_at_ms == TIME_NEVER;
		if (idle && s->quiet)
			call_again(&s->call, clock_mono_ms() + PAUSE_MS);
		else if (idle)
			ask_or_later(&s->call);
		s->quiet = false;
		code = troupe_round(t, until_ms);
		if (!code && !s->page && !s->ended && clock_mono_ms() >= until_ms)
			code = error_set(&e, ERROR_TIMEOUT, "nothing has happened");
	}
	if (!code)
		*ret = &s->event;
	return error_give(code, &e, out);
}

struct troupe_cursor troupe_subscription_cursor(const struct troupe_subscription *s) { return s->cursor; }

void troupe_unsubscribe(struct troupe_subscription *s)
{
	if (!s || troupe_check(s->call.troupe, NULL))
		return;
	if (s->telling)
		s->call.dropped = true;
	else
		call_drop(&s->call);
}
