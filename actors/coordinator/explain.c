/* Why a task does not run, or what became of it. The reasons are looked for in the order in which they would hold it up; the first is the answer, the others follow. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/limit.h"
#include "actors/coordinator/look.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"

#define LINES_MAX 16u

struct why { struct turn *t; struct coordinator *c; struct arena *a; const char *lines[LINES_MAX]; size_t n; };

static void say(struct why *w, const char *text)
{
	if (text && w->n < LINES_MAX)
		w->lines[w->n++] = text;
}

static const char *age(const struct why *w, uint64_t at_ms)
{
	uint64_t now_ms = steady_at(&w->c->steady, w->t);
	char text[32];
	format_age(at_ms < now_ms ? now_ms - at_ms : at_ms - now_ms, text, sizeof text);
	return arena_string(w->a, text);
}

static const char *span(const struct why *w, uint64_t ms)
{
	char text[32];
	format_age(ms, text, sizeof text);
	return arena_string(w->a, text);
}

static const char *wall_time(const struct why *w, uint64_t wall_ms)
{
	char text[25];
	clock_format(wall_ms, text);
	return arena_string(w->a, text);
}

/* --- another task, in a few words --- */

static const char *other(const struct why *w, const struct id *id)
{
	static const char *const states[] = { "", "scheduled", "ready", "running", "done", "cancelled", "dead" };
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	char text[ID_TEXT];
	id_format(id, text);
	if (task_read(w->t, w->c, id, &rec, &st, &l))
		return arena_printf(w->a, "%s, whose record is gone", text);
	if (l && l->started)
		return arena_printf(w->a, "#%" PRIu64 " (running %s on %s)", rec->seq, age(w, l->started_at_ms), l->worker->address);
	Troupe__TaskState s = task_state(st, l);
	if (s == TROUPE__TASK_STATE__SCHEDULED && st->attempts && st->due_at_ms)
		return arena_printf(w->a, "#%" PRIu64 " (attempt %u follows in %s)", rec->seq, st->attempts + 1, age(w, st->due_at_ms));
	return arena_printf(w->a, "#%" PRIu64 " (%s)", rec->seq, (size_t)s < ELEMENTS(states) ? states[s] : "");
}

/* --- what stops all of a queue --- */

static void why_queue(struct why *w, const struct queue *q)
{
	struct coordinator *c = w->c;
	uint64_t wait_ms;
	if (c->meta.quiet)
		say(w, arena_printf(w->a, "the node was made quiet by %s %s ago%s%s", *c->meta.quiet_by ? c->meta.quiet_by : "somebody", age(w, c->meta.quiet_at_ms),
		                    *c->meta.quiet_why ? ": " : "", c->meta.quiet_why));
	if (q->r.paused)
		say(w, arena_printf(w->a, "queue %s was paused by %s %s ago%s%s", q->name, *q->r.paused_by ? q->r.paused_by : "somebody", age(w, q->r.paused_at_ms),
		                    *q->r.paused_why ? ": " : "", q->r.paused_why));
	if (c->disk_stop)
		say(w, arena_printf(w->a, "the disk of the store is nearly full (%" PRIu64 " MiB free): nothing begins until there is room", c->disk_free >> 20));
	if (c->setup->concurrency && c->leases.n >= c->setup->concurrency)
		say(w, arena_printf(w->a, "the node runs %u task%s at once, as its concurrency allows", c->setup->concurrency, c->setup->concurrency == 1 ? "" : "s"));
	if (limit_queue(c, q, steady_at(&c->steady, w->t), &wait_ms))
		return;
	if (wait_ms == TIME_NEVER)
		say(w, arena_printf(w->a, "queue %s runs %u task%s at once, as its concurrency allows", q->name, q->policy->concurrency, q->policy->concurrency == 1 ? "" : "s"));
	else
		say(w, arena_printf(w->a, "the rate of queue %s lets the next one begin in %s", q->name, span(w, wait_ms)));
}

/* --- who could take it --- */

struct takers { unsigned n, tagged, able, free_now, gone, broken, draining; const struct worker *bad; };

static void count_takers(const struct why *w, const struct queue *q, const struct requirement *need, struct takers *x)
{
	for (const struct worker *v = w->c->workers; v; v = v->next) {
		if (!v->group || !group_serves(v->group, q->name))
			continue;
		x->n++;
		if (!group_has_tags(v->group, need))
			continue;
		x->tagged++;
		if (!pool_can(v->group->pool, need, false))
			continue;
		x->able++;
		x->free_now += pool_can(v->group->pool, need, true);
		x->gone += !v->attached || v->down || outside_silent(v);
		x->draining += v->draining;
		if (*v->broken) {
			x->broken++;
			x->bad = v;
		}
	}
}

static const char *tags_of(const struct why *w, const struct requirement *need)
{
	const char *text = "";
	for (size_t i = 0; i < need->n_tags && text; i++)
		text = arena_printf(w->a, "%s%s%s", text, i ? ", " : "", need->tags[i]);
	return text ? text : "";
}

static const char *resources_of(const struct why *w, const struct requirement *need)
{
	const char *text = "";
	for (size_t i = 0; i < need->n_resources && text; i++)
		text = arena_printf(w->a, "%s%s%s %" PRIu64, text, i ? ", " : "", need->resources[i].name, need->resources[i].amount);
	return text ? text : "";
}

static void why_workers(struct why *w, const struct queue *q, const struct requirement *need, const Troupe__TaskRecord *rec)
{
	struct takers x = { 0 };
	count_takers(w, q, need, &x);
	if (!x.n)
		say(w, arena_printf(w->a, "no worker serves queue %s", q->name));
	else if (!x.tagged)
		say(w, arena_printf(w->a, "no worker of queue %s has its tags (%s)", q->name, tags_of(w, need)));
	else if (!x.able)
		say(w, arena_printf(w->a, "no pool of queue %s has so much: %s", q->name, resources_of(w, need)));
	else if (x.bad && x.broken == x.able)
		say(w, arena_printf(w->a, "%s that could take it %s broken; %s: %s", x.broken == 1 ? "the only worker" : "all workers",
		                    x.broken == 1 ? "is" : "are", x.bad->address, x.bad->broken));
	else if (x.gone == x.able)
		say(w, arena_printf(w->a, "%s that could take it is connected", x.able == 1 ? "not even the one worker" : "none of the workers"));
	else if (x.gone + x.draining + x.broken >= x.able)
		say(w, "the workers that could take it are draining, broken or not connected");
	else if (!x.free_now)
		say(w, arena_printf(w->a, "others of its pool use what it needs: %s", resources_of(w, need)));
	else if (!w->n)
		say(w, arena_printf(w->a, "%u worker%s could take it and %s busy; %" PRIu64 " tasks are ready in queue %s, those of priority below %u and older ones go first", x.able,
		                    x.able == 1 ? "" : "s", x.able == 1 ? "is" : "are all", q->r.ready, q->name, sched_priority(rec->spec) + 1));
}

/* --- ready --- */

static void why_key(struct why *w, const struct id *id, const struct queue *q, const Troupe__TaskRecord *rec)
{
	struct place p = place_of(w->c, id, rec);
	Troupe__KeyRecord *k;
	struct id holder;
	uint64_t before;
	const char *key = rec->spec->serial_key;
	if (!*key || !key_waits(w->t, &p, &before) || key_get(w->t, q, key, &k))
		return;
	const char *line = before ? arena_printf(w->a, "; %" PRIu64 " of the key wait before it", before) : "";
	uint64_t wait_ms = key_wait_ms(w->t, w->c, q, k);
	if (wait_ms) {
		say(w, arena_printf(w->a, "the rate of serial key %s lets the next one begin in %s%s", key, span(w, wait_ms), line));
	} else if (key_serial(q) && k->holder.len == sizeof holder.b) {
		memcpy(holder.b, k->holder.data, sizeof holder.b);
		say(w, arena_printf(w->a, "serial key %s is held by %s%s", key, other(w, &holder), line));
	} else {
		say(w, arena_printf(w->a, "%u tasks of serial key %s are let in at once%s", q->policy->key_concurrency ? q->policy->key_concurrency : 1, key, line));
	}
}

static void why_ready(struct why *w, const struct id *id, const Troupe__TaskRecord *rec)
{
	const struct queue *q = queue_numbered(w->c, rec->queue);
	const struct requirement *need = rec->requirement < w->c->n_requirements ? w->c->requirements[rec->requirement] : NULL;
	if (!q || !need) {
		say(w, "its queue is not known: the store is damaged");
		return;
	}
	why_key(w, id, q, rec);
	why_queue(w, q);
	why_workers(w, q, need, rec);
}

/* --- scheduled --- */

static void why_blocked(struct why *w, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	const Troupe__TaskSpec *s = rec->spec;
	static const char *const ends[] = { "succeed", "end", "fail" };
	if (s->role == TROUPE__BATCH_ROLE__COMPENSATION && !st->called)
		say(w, "it undoes a task of its batch, and runs only if the batch fails");
	else if (s->role != TROUPE__BATCH_ROLE__MEMBER && !st->called)
		say(w, "it is called when its batch has ended");
	for (size_t i = 0; i < s->n_depends_on; i++) {
		Troupe__TaskRecord *parent;
		Troupe__StateRecord *parent_st;
		struct lease *l;
		struct id id;
		memcpy(id.b, s->depends_on[i]->id.data, sizeof id.b);
		int r = task_read(w->t, w->c, &id, &parent, &parent_st, &l);
		bool over = !r && sched_is_final(task_state(parent_st, l));
		if (r || (over && edge_met(s->depends_on[i]->on, parent_st->state)))
			continue;
		if (over)
			say(w, arena_printf(w->a, "blocked by %s, which must %s: retry that, or cancel this", other(w, &id), ends[s->depends_on[i]->on % 3]));
		else
			say(w, arena_printf(w->a, "blocked by %s, which must %s first", other(w, &id), ends[s->depends_on[i]->on % 3]));
	}
}

static void why_scheduled(struct why *w, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st)
{
	const char *error = st->outcome && *st->outcome->error ? st->outcome->error : "";
	if (st->blocked)
		why_blocked(w, rec, st);
	if (st->at_wall_ms)
		say(w, arena_printf(w->a, "not before %s", wall_time(w, st->at_wall_ms)));
	else if (st->due_at_ms && st->attempts)
		say(w, arena_printf(w->a, "%s for attempt %u%s%s", age(w, st->due_at_ms), st->attempts + 1, *error ? "; the last one: " : "", error));
	else if (st->due_at_ms > steady_at(&w->c->steady, w->t))
		say(w, arena_printf(w->a, "%s: submitted for later", age(w, st->due_at_ms)));
	else if (st->due_at_ms && !st->blocked)
		say(w, "its time has come just now");
}

/* --- running, and over --- */

static const char *running(struct why *w, const struct lease *l)
{
	const struct worker *v = l->worker;
	if (v->down_pending)
		return arena_printf(w->a, "%s died; waiting for pid %u of its family to die before the next attempt", v->address, v->pending_pid);
	if (v->down)
		return arena_printf(w->a, "%s died; its last words are being read", v->address);
	const char *away = outside_why(w->t, v);
	if (away)
		return arena_printf(w->a, "given to %s, which is %s", v->address, away);
	if (!v->attached)
		return arena_printf(w->a, "given to %s, which is not connected now: the lease holds until it comes back or is seen dead", v->address);
	if (l->cancel)
		return arena_printf(w->a, "running on %s; a cancel was asked for, its processes are being ended", v->address);
	if (l->started)
		return arena_printf(w->a, "running on %s for %s, attempt %u, token %" PRIu64, v->address, age(w, l->started_at_ms), l->attempt, l->token);
	return arena_printf(w->a, "given to %s, which has not begun it: %u of %u tasks are before it or beside it", v->address, v->n_started, v->held);
}

static const char *why_cancelled(Troupe__Cause cause)
{
	switch (cause) {
	case TROUPE__CAUSE__DROPPED:
		return ": dropped to make room in its queue";
	case TROUPE__CAUSE__UPSTREAM:
		return ": a task that it depends on, or its batch, has failed";
	case TROUPE__CAUSE__UNNEEDED:
		return ": it was not needed any more";
	case TROUPE__CAUSE__REPLACED:
		return ": another one with its unique key took its place";
	case TROUPE__CAUSE__CAUSE_NONE:
	case TROUPE__CAUSE__EXHAUSTED:
	case TROUPE__CAUSE__REJECTED:
	case TROUPE__CAUSE__POISON:
	case TROUPE__CAUSE__EXPIRED:
	case _TROUPE__CAUSE_IS_INT_SIZE:
		break;
	}
	return "";
}

static const char *explain(struct why *w, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l)
{
	static const char *const causes[] = { "", "no attempts left", "rejected by the program", "it crashed too often (poison)", "its deadline passed" };
	const char *error = st->outcome && *st->outcome->error ? st->outcome->error : "";
	switch (task_state(st, l)) {
	case TROUPE__TASK_STATE__RUNNING:
		return running(w, l);
	case TROUPE__TASK_STATE__READY:
		why_ready(w, id, rec);
		return w->n ? arena_printf(w->a, "waiting: %s", w->lines[0]) : "ready: it begins just now";
	case TROUPE__TASK_STATE__SCHEDULED:
		why_scheduled(w, rec, st);
		return w->n ? arena_printf(w->a, st->blocked || st->at_wall_ms ? "waiting: %s" : "waiting %s", w->lines[0]) : "waiting";
	case TROUPE__TASK_STATE__DONE:
		return arena_printf(w->a, "done %s ago on %s", age(w, st->finished_at_ms), st->worker);
	case TROUPE__TASK_STATE__CANCELLED:
		return arena_printf(w->a, "cancelled %s ago%s", age(w, st->finished_at_ms), why_cancelled(st->cause));
	case TROUPE__TASK_STATE__DEAD:
		return arena_printf(w->a, "died %s ago: %s%s%s", age(w, st->finished_at_ms), st->cause < ELEMENTS(causes) ? causes[st->cause] : "", *error ? "; the last error: " : "",
		                    error);
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return "its state is not known: the store is damaged";
}

int on_explain(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	struct error e = { 0 };
	struct id id;
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = ref_read(t, c, m->env->explain->task, &id, &rec, &st, &l, &e);
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	struct why w = { .t = t, .c = c, .a = turn_arena(t) };
	Troupe__Explained out = TROUPE__EXPLAINED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(out.text = (char *)explain(&w, &id, rec, st, l)))
		return -ENOMEM;
	if (w.n > 1) {
		out.lines = (char **)w.lines + 1;
		out.n_lines = w.n - 1;
	}
	out.state = task_state(st, l);
	env.body_case = TROUPE__ENVELOPE__BODY_EXPLAINED;
	env.explained = &out;
	return turn_reply(t, m, &env);
}
