/* What a worker says at the end of a turn, in this order: Attach on a new connection, outcomes, what it gives back, what it begins, progress. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/worker/worker.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/io/status.h"

#define PROGRESS_EVERY_MS 100u
#define OUTCOMES_A_MESSAGE 1024u

/* A connection that is gone: its on_link comes next, and what was not told is told on the new one. */
static int push(struct turn *t, struct worker *w, Troupe__Envelope *env)
{
	env->kind = TROUPE__KIND__SIGNAL;
	int r = turn_push(t, w->peer, env);
	if (r > 0) {
		if (r != ERROR_UNDELIVERED)
			log_error("a message to the coordinator was refused", LOG_S("why", error_name(r)), LOG_I("body", env->body_case));
		w->peer = 0;
		w->attached = false;
	}
	return r < 0 ? r : 0;
}

/* --- outcomes --- */

struct outcomes {
	Troupe__Outcome **all;
	size_t n;
	struct task *behind; /* the first that did not fit; NULL: all did */
};

/* As many as a message takes, in order. */
static int outcomes_gather(struct turn *t, struct worker *w, struct outcomes *ret)
{
	struct arena *a = turn_arena(t);
	size_t n = w->ended.n < OUTCOMES_A_MESSAGE ? w->ended.n : OUTCOMES_A_MESSAGE, bytes = 0;
	*ret = (struct outcomes){ .all = arena_alloc(a, (n + 1) * sizeof(*ret->all)) };
	struct { Troupe__Outcome outcome; Troupe__Usage usage; } *room = arena_alloc(a, (n + 1) * sizeof(*room));
	if (!ret->all || !room)
		return -ENOMEM;
	struct task *task = w->ended.head;
	for (; task && ret->n < n; task = task->next) {
		bytes += task_outcome_size(task);
		if (ret->n && bytes > w->frame_max / 2)
			break;
		task_outcome(task, &room[ret->n].outcome, &room[ret->n].usage);
		ret->all[ret->n] = &room[ret->n].outcome;
		ret->n++;
	}
	ret->behind = task;
	return 0;
}

static void outcomes_sent(struct worker *w, const struct outcomes *o)
{
	for (size_t i = 0; i < o->n; i++)
		task_list_add(&w->sent, w->ended.head);
#ifdef TROUPE_FAULT_POINTS
	w->outcomes_left = true; /* passed in the next turn, when they have left */
	worker_kick(w);
#endif
}

/* A task that was taken from us while it ran: its family is gone now, and that is all that the coordinator wants to know. */
static int give_back_taken(struct worker *w)
{
	int r = 0;
	for (struct task *task, *next = w->ended.head; (task = next) && !r;) {
		next = task->next;
		if (task->attempt.why == STOP_TAKEN && task->exit_class == TROUPE__EXIT_CLASS__EXIT_LOST)
			r = worker_give_back(w, task);
	}
	return r;
}

static int say_outcomes(struct turn *t, struct worker *w)
{
	int r = 0;
	while (w->ended.head && w->peer && !r) {
		struct outcomes o;
		Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		if ((r = outcomes_gather(t, w, &o)))
			return r;
		m.outcomes = o.all;
		m.n_outcomes = o.n;
		env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
		env.outcomes = &m;
		r = push(t, w, &env);
		if (!r && w->peer)
			outcomes_sent(w, &o);
	}
	return r;
}

/* --- Attach --- */

static void held_add(struct turn *t, Troupe__Attach *m, Troupe__Held *room, const struct task *task, bool started)
{
	Troupe__Held *h = &room[m->n_held];
	troupe__held__init(h);
	h->token = task->token;
	h->id = (ProtobufCBinaryData){ sizeof(task->id.b), (uint8_t *)task->id.b };
	h->started = started;
	m->held[m->n_held++] = h;
}

static int attach_gather(struct turn *t, struct worker *w, Troupe__Attach *m, struct outcomes *o)
{
	struct arena *a = turn_arena(t);
	Troupe__Held *room = arena_alloc(a, (w->held.n + 1) * sizeof(*room));
	m->held = arena_alloc(a, (w->held.n + 1) * sizeof(*m->held));
	if (!room || !m->held)
		return -ENOMEM;
	/* Of a first Attach: what it does not name is ready again, so a Revoked has nothing to add. */
	if (!m->update)
		w->revoked.n = w->kept.n = 0;
	int r = outcomes_gather(t, w, o);
	if (r)
		return r;
	m->outcomes = o->all;
	m->n_outcomes = o->n;
	for (const struct task *task = o->behind; task; task = task->next)
		held_add(t, m, room, task, true);
	for (const struct task *task = w->sent.head; task; task = task->next)
		held_add(t, m, room, task, true);
	for (const struct task *task = w->running.head; task; task = task->next)
		held_add(t, m, room, task, true);
	for (const struct task *task = w->waiting.head; task; task = task->next)
		held_add(t, m, room, task, false);
	return 0;
}

static int say_attach(struct turn *t, struct worker *w)
{
	uint32_t slots = w->tier.ops->slots(w->tier.self);
	const char *broken = w->tier.ops->broken(w->tier.self);
	bool news = slots != w->told_slots || strcmp(broken ? broken : "", w->told_broken) != 0;
	if (!w->peer || (w->attached && !news))
		return 0;
	if (!slots && !broken && !w->held.n)
		return 0; /* the program has not said hello yet: there is nothing to say */

	Troupe__Attach m = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct outcomes o = { 0 };
	m.update = w->attached;
	m.pool = w->pool->pool;
	m.queues = w->pool->queues;
	m.n_queues = w->pool->n_queues;
	m.tags = w->pool->tags;
	m.n_tags = w->pool->n_tags;
	m.slots = slots ? slots : 1;
	m.mode = w->pool->mode;
	m.broken = broken ? (char *)broken : (char *)"";
	int r = attach_gather(t, w, &m, &o);
	if (r)
		return r;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &m;
	r = push(t, w, &env);
	if (r || !w->peer)
		return r;
	outcomes_sent(w, &o);
	w->attached = true;
	w->told_slots = slots;
	snprintf(w->told_broken, sizeof(w->told_broken), "%s", m.broken);
	return 0;
}

/* --- what goes back, what begins --- */

static int give_back_waiting(struct worker *w)
{
	int r = 0;
	if (!w->draining && !w->stopping && !w->tier.ops->broken(w->tier.self))
		return 0;
	while (w->waiting.head && !r)
		r = worker_give_back(w, w->waiting.head);
	return r;
}

static int say_revoked(struct turn *t, struct worker *w)
{
	if (!w->revoked.n && !w->kept.n)
		return 0;
	Troupe__Revoked m = TROUPE__REVOKED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tokens = w->revoked.all;
	m.n_tokens = w->revoked.n;
	m.kept = w->kept.all;
	m.n_kept = w->kept.n;
	env.body_case = TROUPE__ENVELOPE__BODY_REVOKED;
	env.revoked = &m;
	int r = w->peer ? push(t, w, &env) : 0; /* without a connection the next Attach says it by silence */
	w->revoked.n = w->kept.n = 0;
	return r;
}

static int choose_and_say_started(struct turn *t, struct worker *w)
{
	uint32_t room = w->tier.ops->room(w->tier.self);
	if (!room || !w->waiting.head)
		return 0;
	size_t n = 0;
	uint64_t *tokens = arena_alloc(turn_arena(t), w->waiting.n * sizeof(*tokens));
	if (!tokens)
		return -ENOMEM;
	for (struct task *task, *next = w->waiting.head; (task = next) && room;) {
		next = task->next;
		if (task->fetch)
			continue;
		room--;
		tokens[n++] = task->token;
		task_list_add(&w->starting, task);
	}
	if (!n)
		return 0;
	Troupe__Started m = TROUPE__STARTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tokens = tokens;
	m.n_tokens = n;
	env.body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env.started = &m;
	return w->peer ? push(t, w, &env) : 0;
}

/* Whose attempt has begun, or begins when this turn is over; and whose outcome nobody knows but us. */
static int name_tokens(struct worker *w)
{
	struct task_list *const lists[] = { &w->ended, &w->running, &w->starting };
	int r = 0;
	w->in_work.n = 0;
	for (size_t i = 0; i < 3; i++)
		for (const struct task *task = lists[i]->head; task && !r; task = task->next)
			if (task->started_us || lists[i] != &w->ended)
				r = tokens_add(&w->in_work, task->token);
	status_tokens(actor_status(w->actor), w->in_work.all, (uint32_t)w->in_work.n);
	return r;
}

/* --- the rest --- */

static int say_progress(struct turn *t, struct worker *w)
{
	uint64_t now_ms = turn_now_ms(t);
	int r = 0;
	if (!w->progress)
		return 0;
	w->progress = false;
	w->progress_at_ms = TIME_NEVER;
	for (struct task *task = w->running.head; task && w->peer && !r; task = task->next) {
		if (!task->progress_new)
			continue;
		if (task->progress_at_ms && now_ms - task->progress_at_ms < PROGRESS_EVERY_MS) {
			uint64_t at_ms = task->progress_at_ms + PROGRESS_EVERY_MS;
			w->progress = true;
			w->progress_at_ms = at_ms < w->progress_at_ms ? at_ms : w->progress_at_ms;
			continue;
		}
		Troupe__Progress m = TROUPE__PROGRESS__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		task->progress_new = false;
		task->progress_at_ms = now_ms;
		m.token = task->token;
		m.percent = task->percent;
		m.note = task->note ? task->note : (char *)"";
		env.body_case = TROUPE__ENVELOPE__BODY_PROGRESS;
		env.progress = &m;
		r = push(t, w, &env);
	}
	return r;
}

static int say_note(struct turn *t, struct worker *w)
{
	char text[160];
	const char *broken = w->tier.ops->broken(w->tier.self);
	size_t n = w->running.n + w->starting.n;
	const struct task *first = w->running.head ? w->running.head : w->starting.head;
	if (broken)
		snprintf(text, sizeof(text), "broken: %.140s", broken);
	else if (n == 1)
		snprintf(text, sizeof(text), "#%llu%s", (unsigned long long)first->seq, w->draining ? ", draining" : "");
	else if (n)
		snprintf(text, sizeof(text), "%zu tasks%s", n, w->draining ? ", draining" : "");
	else
		snprintf(text, sizeof(text), "%s", w->draining ? "draining" : "");
	return turn_note(t, text);
}

static int leave_when_done(struct turn *t, struct worker *w)
{
	if (w->leaving || !w->quit_told)
		return 0;
	bool told = !w->ended.n && !w->sent.n;
	bool late = w->stopping && turn_now_ms(t) >= w->leave_at_ms;
	/* Without a connection there is nobody to tell; a stop does not wait for one. */
	if (!late && (!w->tier.ops->idle(w->tier.self) || w->starting.n || (!told && (w->peer || !w->stopping))))
		return 0;
	w->leaving = true;
	return turn_leave(t, w->stopping ? TROUPE__REASON__REASON_SHUTDOWN : TROUPE__REASON__REASON_NORMAL, w->stopping ? "" : "drained");
}

int worker_settle(struct turn *t, void *state)
{
	struct worker *w = state;
	int r = give_back_taken(w);
	if (!r)
		r = give_back_waiting(w);
	if (!r)
		r = say_attach(t, w);
	if (!r && w->attached)
		r = say_outcomes(t, w);
	if (!r)
		r = say_revoked(t, w);
	if (!r)
		r = fetch_settle(t, w);
	if (!r)
		r = choose_and_say_started(t, w);
	if (!r)
		r = name_tokens(w);
	if (!r)
		r = say_progress(t, w);
	if (!r)
		r = say_note(t, w);
	if (!r && w->next_ms < w->wished_ms) {
		w->wished_ms = w->next_ms;
		r = turn_wake(t, w->next_ms);
	}
	return r ? r : leave_when_done(t, w);
}
