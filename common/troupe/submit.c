/* Submits: one commit for all tasks of one, under ids that make a second time harmless. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/troupe/internal.h"

#define ARENA_CAP (256u << 20) /* over what 4,096 tasks with all their parts can take */

struct submit {
	struct call call;
	bool notify;
	void (*on_submitted)(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *error);
	void *ctx;
	size_t n;
	struct troupe_receipt receipts[]; /* with the ids of the tasks from the start on */
};

/* --- the answer --- */

static void watch(struct submit *s)
{
	bool unsure = false;
	for (size_t i = 0; i < s->n; i++) {
		notify_add(s->call.troupe, &s->receipts[i].id, s->receipts[i].existing); /* without memory its end is not told */
		unsure |= s->receipts[i].existing;
	}
	if (unsure)
		notify_ask(s->call.troupe);
}

static int take_receipts(struct submit *s, const Troupe__Submitted *m, struct error *e)
{
	if (m->n_receipts != s->n)
		return error_set(e, ERROR_VERSION, "the node answered %zu tasks with %zu receipts", s->n, m->n_receipts);
	for (size_t i = 0; i < s->n; i++) {
		const Troupe__Receipt *r = m->receipts[i];
		if (!id_read(&r->id, &s->receipts[i].id))
			return error_set(e, ERROR_VERSION, "the node sent a receipt without an id");
		s->receipts[i].seq = r->seq;
		s->receipts[i].existing = r->existing;
	}
	return 0;
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct submit *s = (struct submit *)c;
	struct troupe *t = c->troupe;
	struct error e = { 0 };
	struct troupe_error out;
	const Troupe__Envelope *env = answer_of(a, TROUPE__ENVELOPE__BODY_SUBMITTED, &e);
	int code = env ? take_receipts(s, env->submitted, &e) : (int)e.code;
	if (!code && s->notify)
		watch(s);
	if (code)
		error_public(&e, &out);
	t->calling++;
	s->on_submitted(s->ctx, s->receipts, s->n, code ? &out : NULL);
	t->calling--;
	call_free(c);
}

/* --- the request --- */

/* A program that was built with an older header has shorter tasks: all of one array have one size. */
static const struct troupe_task *task_at(const struct troupe_task *tasks, size_t i)
{
	return (const struct troupe_task *)(const void *)((const char *)tasks + i * tasks->size);
}

static int make_specs(struct submit *s, const struct troupe_task *tasks, struct arena *a, Troupe__Submit *ret, struct error *e)
{
	Troupe__TaskSpec *specs = arena_alloc(a, s->n * sizeof *specs);
	ret->tasks = arena_alloc(a, s->n * sizeof *ret->tasks);
	if (!specs || !ret->tasks)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		int code = task_spec(task_at(tasks, i), &s->receipts[i].id, a, &specs[i], e);
		if (code) {
			e->index = (uint32_t)i + 1;
			return code;
		}
		ret->tasks[i] = &specs[i];
	}
	ret->n_tasks = s->n;
	ret->notify = s->notify;
	return 0;
}

static int ask(struct submit *s, const struct troupe_task *tasks, struct error *e)
{
	struct arena *a = arena_new(ARENA_CAP);
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct client_request q = { .to = s->call.troupe->coordinator, .env = &env };
	int code = a ? make_specs(s, tasks, a, &m, e) : -ENOMEM;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	size_t len = code ? 0 : troupe__submit__get_packed_size(&m);
	if (len > TROUPE_REQUEST_BYTES_MAX) {
		code = error_set(e, ERROR_TOO_LARGE, "a submit has at most %u bytes, this one %zu", TROUPE_REQUEST_BYTES_MAX, len);
		error_cure(e, "submit fewer tasks at once, or a large payload by blob_put");
	}
	if (!code)
		code = call_ask(&s->call, &q, e);
	arena_unref(a);
	return code;
}

static int check(const struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags, struct error *e)
{
	int code = troupe_check(t, e);
	if (code)
		return code;
	if (n == 0 || n > TROUPE_SUBMIT_MAX)
		return error_set(e, n ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a submit has 1 to %u tasks, this one %zu", TROUPE_SUBMIT_MAX, n);
	if (flags & ~(unsigned)TROUPE_NOTIFY)
		return error_set(e, ERROR_BAD_REQUEST, "there is no submit flag %#x", flags & ~(unsigned)TROUPE_NOTIFY);
	code = size_check(tasks->size, sizeof *tasks, "troupe_task", e);
	return code ? code : flags & TROUPE_NOTIFY ? notify_room(t, n, e) : 0;
}

/* A task's own id, or a new one. */
static struct troupe_id id_for(struct troupe *t, const struct troupe_task *task) { return id_is_zero(&task->id) ? troupe_id_new(t) : task->id; }

static int start(struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags, struct submit **ret, struct error *e)
{
	int code = check(t, tasks, n, flags, e);
	struct submit *s = code ? NULL : call_new(t, sizeof *s + n * sizeof s->receipts[0], on_answer);
	if (!s)
		return code ? code : -ENOMEM;
	s->n = n;
	s->notify = flags & TROUPE_NOTIFY;
	for (size_t i = 0; i < n; i++)
		s->receipts[i].id = id_for(t, task_at(tasks, i));
	code = ask(s, tasks, e);
	*ret = s; /* for the ids; the caller frees it where it did not start */
	return code;
}

int troupe_submit_start(struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags,
                        void (*on_submitted)(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *error), void *ctx,
                        struct troupe_error *out)
{
	struct error e = { 0 };
	struct submit *s = NULL;
	int code = start(t, tasks, n, flags, &s, &e);
	if (code && s)
		call_free(&s->call);
	if (code)
		return error_give(code, &e, out);
	s->on_submitted = on_submitted;
	s->ctx = ctx;
	return 0;
}

/* --- waited for --- */

struct waiting { bool done; int code; struct troupe_receipt *ret; struct troupe_error error; };

static void on_done(void *ctx, const struct troupe_receipt *receipts, size_t n, const struct troupe_error *error)
{
	struct waiting *w = ctx;
	w->done = true;
	memcpy(w->ret, receipts, n * sizeof *receipts);
	if (error) {
		w->error = *error;
		w->code = error->code;
	}
}

/* What was not started has ids all the same, where its tasks can be read. */
static void tell_ids(struct troupe *t, const struct troupe_task *tasks, size_t n, const struct submit *s, struct troupe_receipt *ret)
{
	if (s)
		memcpy(ret, s->receipts, n * sizeof *ret);
	else if (n > 0 && size_check(tasks->size, sizeof *tasks, "troupe_task", NULL) == 0)
		for (size_t i = 0; i < n; i++)
			ret[i] = (struct troupe_receipt){ .id = id_for(t, task_at(tasks, i)) };
}

int troupe_submit_many(struct troupe *t, const struct troupe_task *tasks, size_t n, unsigned flags, struct troupe_receipt *ret, struct troupe_error *out)
{
	struct waiting w = { .ret = ret };
	struct error e = { 0 };
	struct submit *s = NULL;
	int code = troupe_check_blocking(t, &e);
	if (!code)
		code = start(t, tasks, n, flags, &s, &e);
	if (code) {
		tell_ids(t, tasks, n, s, ret);
		if (s)
			call_free(&s->call);
		return error_give(code, &e, out);
	}
	s->on_submitted = on_done;
	s->ctx = &w;
	code = troupe_run_until(t, &w.done, TIME_NEVER);
	if (code) {
		tell_ids(t, tasks, n, s, ret);
		call_drop(&s->call);
		return error_give(code, NULL, out);
	}
	if (w.code && out)
		*out = w.error;
	return w.code;
}

int troupe_submit(struct troupe *t, const struct troupe_task *task, struct troupe_receipt *ret, struct troupe_error *e)
{
	return troupe_submit_many(t, task, 1, 0, ret, e);
}
