/* Notices: tasks that were submitted with TROUPE_NOTIFY, until their ends are told.
 *
 * The coordinator pushes an end to the connection over which the task came. When that is lost, whatever is watched has become unsure: it is asked about, by a Wait for
 * any of a group, again and again until nothing of the group is left. The same is done for a task that was there before its submit, whose end may be long past. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

#define BUCKETS 65536u
#define SLICE_MS 30000u
#define MARGIN_MS 200u
#define GATHER_MS 50u        /* after an answer: the next ends are asked for together */
#define PAUSE_MS 1000u       /* after a failure that names no time */

struct watch {
	LIST_ENTRY(watch) bucket;
	struct troupe_id id;
	bool unsure, asked;
};

/* Watches that are asked about together. An id that is not watched any more is simply left out of the next question. */
struct group {
	struct call call;
	size_t n;
	struct troupe_id ids[TROUPE_NAMES_MAX];
};

static struct watches *bucket_of(const struct troupe *t, const struct troupe_id *id) { return &t->watches[(unsigned)id->b[14] << 8 | id->b[15]]; }

static struct watch *watch_find(const struct troupe *t, const struct troupe_id *id)
{
	struct watch *w;
	if (!t->watches)
		return NULL;
	LIST_FOREACH(w, bucket_of(t, id), bucket)
		if (memcmp(&w->id, id, sizeof w->id) == 0)
			return w;
	return NULL;
}

int notify_room(const struct troupe *t, size_t n, struct error *e)
{
	if (t->n_watches + n <= TROUPE_NOTIFY_MAX)
		return 0;
	error_set(e, ERROR_BUSY, "%zu tasks are watched, of at most %u", t->n_watches, TROUPE_NOTIFY_MAX);
	return error_retry(e, 0);
}

int notify_add(struct troupe *t, const struct troupe_id *id, bool unsure)
{
	struct watch *w = watch_find(t, id);
	if (!t->watches && !(t->watches = calloc(BUCKETS, sizeof *t->watches)))
		return -ENOMEM;
	if (!w) {
		if (!(w = calloc(1, sizeof *w)))
			return -ENOMEM;
		w->id = *id;
		LIST_INSERT_HEAD(bucket_of(t, id), w, bucket);
		t->n_watches++;
	}
	w->unsure |= unsure;
	return 0;
}

/* --- ends --- */

static void watch_free(struct troupe *t, struct watch *w)
{
	LIST_REMOVE(w, bucket);
	t->n_watches--;
	free(w);
}

/* Once for each: who is told is not watched any more. */
static void tell(struct troupe *t, const struct troupe_result *r)
{
	struct watch *w = watch_find(t, &r->id);
	if (!w)
		return;
	watch_free(t, w);
	t->calling++;
	if (t->options.on_finished)
		t->options.on_finished(t->options.ctx, r);
	t->calling--;
}

void notify_push(struct troupe *t, const Troupe__Finished *f)
{
	for (size_t i = 0; i < f->n_tasks; i++) {
		struct troupe_result r;
		if (!task_is_final(f->tasks[i]))
			continue;
		result_view(f->tasks[i], &r);
		r.output = "";
		r.output_len = 0;
		tell(t, &r);
	}
}

static void tell_purged(struct troupe *t, const struct troupe_id *id)
{
	const struct troupe_result r = { .id = *id, .state = TROUPE_STATE_UNKNOWN, .queue = "", .output = "", .error = "the task was purged before its end was told", .worker = "" };
	tell(t, &r);
}

/* --- questions --- */

static int group_ask(struct group *g, struct error *e)
{
	struct troupe *t = g->call.troupe;
	Troupe__Wait m = TROUPE__WAIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct client_request q = { .to = t->coordinator, .env = &env, .timeout_ms = SLICE_MS + MARGIN_MS, .deadline_ms = SLICE_MS, .uncounted = true };
	m.tasks = refs_new(g->ids, g->n);
	m.n_tasks = g->n;
	m.any = true;
	env.body_case = TROUPE__ENVELOPE__BODY_WAIT;
	env.wait = &m;
	int code = m.tasks ? call_ask(&g->call, &q, e) : -ENOMEM;
	free(m.tasks);
	return code;
}

static void group_again(struct call *c)
{
	struct group *g = (struct group *)c;
	struct error e;
	size_t n = 0;
	for (size_t i = 0; i < g->n; i++)
		if (watch_find(c->troupe, &g->ids[i]))
			g->ids[n++] = g->ids[i];
	g->n = n;
	if (n == 0)
		call_free(c);
	else if (group_ask(g, &e))
		call_again(c, clock_mono_ms() + PAUSE_MS);
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct group *g = (struct group *)c;
	struct error e = { 0 };
	const Troupe__Envelope *env = answer_of(a, TROUPE__ENVELOPE__BODY_FINISHED, &e);
	uint64_t pause_ms = e.code == ERROR_TIMEOUT ? 0 : e.retry_after_ms ? e.retry_after_ms : PAUSE_MS;
	if (c->troupe->closing) {
		call_free(c);
		return;
	}
	if (env) {
		notify_push(c->troupe, env->finished);
		pause_ms = GATHER_MS;
	} else if ((e.code == ERROR_NO_TASK || e.code == ERROR_CORRUPT) && e.index >= 1 && e.index <= g->n) {
		tell_purged(c->troupe, &g->ids[e.index - 1]);
		pause_ms = 0;
	}
	call_again(c, clock_mono_ms() + pause_ms);
}

static struct group *group_begin(struct troupe *t)
{
	struct group *g = call_new(t, sizeof *g, on_answer);
	if (g)
		g->call.on_again = group_again;
	return g;
}

void notify_ask(struct troupe *t)
{
	struct group *g = NULL;
	struct watch *w;
	for (size_t i = 0; i < BUCKETS && t->watches; i++)
		LIST_FOREACH(w, &t->watches[i], bucket) {
			if (!w->unsure || w->asked)
				continue;
			if (!g && !(g = group_begin(t)))
				return; /* the next loss, or submit, tries again */
			w->asked = true;
			g->ids[g->n++] = w->id;
			call_again(&g->call, 0);
			if (g->n == TROUPE_NAMES_MAX)
				g = NULL;
		}
}

void notify_lost(struct troupe *t)
{
	struct watch *w;
	for (size_t i = 0; i < BUCKETS && t->watches; i++)
		LIST_FOREACH(w, &t->watches[i], bucket)
			w->unsure = true;
	if (!t->closing)
		notify_ask(t);
}

void notify_free(struct troupe *t)
{
	struct watch *w;
	for (size_t i = 0; i < BUCKETS && t->watches; i++)
		while ((w = LIST_FIRST(&t->watches[i])))
			watch_free(t, w);
	free(t->watches);
}
