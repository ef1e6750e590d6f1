/* Waits: asked for in slices of half a minute, so that a coordinator that died in between, or a message that was too small for all results, is simply asked again, for
 * what is left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

#define SLICE_MS 30000u
#define MARGIN_MS 200u       /* our patience beyond the coordinator's deadline, which brings what is final by then */
#define PAUSE_MS 100u        /* after an answer that told nothing */

struct wait {
	struct call call;
	unsigned flags;
	uint64_t until_ms;       /* monotonic */
	uint64_t slice_ends_ms;
	struct troupe_id *left;  /* not known to be final */
	uint32_t *index;         /* of each of them in what the caller gave, from 1 */
	size_t n_left;
	struct troupe_result **all;
	size_t n;
	void (*on_waited)(void *ctx, const struct troupe_results *results, const struct troupe_error *error);
	void *ctx;
};

static struct troupe_results results_of(const struct wait *w) { return (struct troupe_results){ .n = w->n, .all = (const struct troupe_result *const *)w->all }; }

static void release(struct call *c)
{
	struct wait *w = (struct wait *)c;
	struct troupe_results all = results_of(w);
	troupe_results_free(&all);
	free(w->left);
	free(w->index);
}

static void finish(struct wait *w, const struct error *e)
{
	struct troupe *t = w->call.troupe;
	struct troupe_results results = results_of(w);
	struct troupe_error out;
	if (e)
		error_public(e, &out);
	t->calling++;
	w->on_waited(w->ctx, &results, e ? &out : NULL);
	t->calling--;
	call_free(&w->call);
}

static bool is_over(const struct wait *w) { return w->n_left == 0 || (w->flags & TROUPE_WAIT_ANY && w->n > 0); }

static void finish_late(struct wait *w)
{
	struct error e;
	error_set(&e, ERROR_TIMEOUT, "%zu task%s not final yet", w->n_left, w->n_left == 1 ? " is" : "s are");
	error_cure(&e, "troupe explain says why; the tasks go on");
	e.retryable = true;
	finish(w, &e);
}

static int ask(struct wait *w, struct error *e)
{
	Troupe__Wait m = TROUPE__WAIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	uint64_t now_ms = clock_mono_ms(), left_ms = w->until_ms > now_ms ? w->until_ms - now_ms : 1, within_ms = left_ms < SLICE_MS ? left_ms : SLICE_MS;
	struct client_request q = { .to = w->call.troupe->coordinator, .env = &env, .timeout_ms = within_ms + MARGIN_MS, .deadline_ms = within_ms };
	m.tasks = refs_new(w->left, w->n_left);
	m.n_tasks = w->n_left;
	m.any = w->flags & TROUPE_WAIT_ANY;
	m.output = w->flags & TROUPE_WAIT_OUTPUT;
	env.body_case = TROUPE__ENVELOPE__BODY_WAIT;
	env.wait = &m;
	w->slice_ends_ms = now_ms + within_ms;
	int code = m.tasks ? call_ask(&w->call, &q, e) : -ENOMEM;
	free(m.tasks);
	return code;
}

static void again_after(struct wait *w, uint64_t pause_ms)
{
	uint64_t at_ms = clock_mono_ms() + pause_ms;
	call_again(&w->call, at_ms < w->until_ms ? at_ms : w->until_ms);
}

static void ask_again(struct call *c)
{
	struct wait *w = (struct wait *)c;
	struct error e = { 0 };
	if (clock_mono_ms() >= w->until_ms) {
		finish_late(w);
		return;
	}
	int code = ask(w, &e);
	if (code == ERROR_BUSY)
		again_after(w, PAUSE_MS);
	else if (code) {
		if (code < 0)
			error_set(&e, ERROR_INTERNAL, "no memory");
		finish(w, &e);
	}
}

/* --- the answer --- */

static int take(struct wait *w, const Troupe__Task *task)
{
	struct troupe_id id;
	size_t i = 0;
	if (!task_is_final(task) || !task->spec || !id_read(&task->spec->id, &id))
		return 0;
	while (i < w->n_left && memcmp(&w->left[i], &id, sizeof id) != 0)
		i++;
	if (i == w->n_left)
		return 0;
	struct troupe_result *r = result_copy(task);
	if (!r)
		return -ENOMEM;
	w->all[w->n++] = r;
	w->n_left--;
	memmove(&w->left[i], &w->left[i + 1], (w->n_left - i) * sizeof *w->left);
	memmove(&w->index[i], &w->index[i + 1], (w->n_left - i) * sizeof *w->index);
	return 0;
}

static void on_finished(struct wait *w, const Troupe__Finished *f)
{
	size_t before = w->n;
	int code = 0;
	for (size_t i = 0; i < f->n_tasks && !code; i++)
		code = take(w, f->tasks[i]);
	if (code) {
		struct error e;
		error_set(&e, ERROR_INTERNAL, "no memory");
		finish(w, &e);
	} else if (is_over(w)) {
		finish(w, NULL);
	} else if (w->n > before || clock_mono_ms() >= w->slice_ends_ms) {
		ask_again(&w->call);
	} else {
		again_after(w, PAUSE_MS);
	}
}

/* A failure that time cures, unless nobody was there from the beginning: that is told at once. */
static bool is_passing(const struct wait *w, const struct error *e)
{
	bool late = clock_mono_ms() >= w->slice_ends_ms;
	return !w->call.troupe->closing && (e->code == ERROR_TIMEOUT || (e->code == ERROR_NOT_REACHABLE && late) || e->code == ERROR_STOPPING || (e->code == ERROR_BUSY && e->retryable));
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct wait *w = (struct wait *)c;
	struct error e = { 0 };
	const Troupe__Envelope *env = answer_of(a, TROUPE__ENVELOPE__BODY_FINISHED, &e);
	if (env) {
		on_finished(w, env->finished);
	} else if (is_passing(w, &e)) {
		if (e.code == ERROR_TIMEOUT || e.code == ERROR_NOT_REACHABLE)
			ask_again(c);
		else
			again_after(w, e.retry_after_ms ? e.retry_after_ms : PAUSE_MS);
	} else {
		e.index = e.index >= 1 && e.index <= w->n_left ? w->index[e.index - 1] : 0;
		finish(w, &e);
	}
}

/* --- the start --- */

static int start(struct troupe *t, const struct troupe_id *ids, size_t n, unsigned flags, uint64_t timeout_ms, struct wait **ret, struct error *e)
{
	int code = names_check(ids, n, "wait", e);
	if (code)
		return code;
	if (flags & ~(unsigned)(TROUPE_WAIT_ANY | TROUPE_WAIT_OUTPUT))
		return error_set(e, ERROR_BAD_REQUEST, "there is no wait flag %#x", flags);
	struct wait *w = call_new(t, sizeof *w, on_answer);
	if (!w)
		return -ENOMEM;
	w->call.on_again = ask_again;
	w->call.release = release;
	w->flags = flags;
	w->until_ms = clock_until_ms(timeout_ms);
	w->left = calloc(n, sizeof *w->left);
	w->index = calloc(n, sizeof *w->index);
	w->all = calloc(n, sizeof *w->all);
	code = w->left && w->index && w->all ? 0 : -ENOMEM;
	for (size_t i = 0; i < n && !code; i++) {
		w->left[i] = ids[i];
		w->index[i] = (uint32_t)i + 1;
	}
	w->n_left = n;
	if (!code)
		code = ask(w, e);
	if (code) {
		call_free(&w->call);
		return code;
	}
	*ret = w;
	return 0;
}

int troupe_wait_start(struct troupe *t, const struct troupe_id *ids, size_t n, unsigned flags, uint64_t timeout_ms,
                      void (*on_waited)(void *ctx, const struct troupe_results *results, const struct troupe_error *error), void *ctx, struct troupe_error *out)
{
	struct error e = { 0 };
	struct wait *w;
	int code = troupe_check(t, &e);
	if (!code)
		code = start(t, ids, n, flags, timeout_ms, &w, &e);
	if (code)
		return error_give(code, &e, out);
	w->on_waited = on_waited;
	w->ctx = ctx;
	return 0;
}

/* --- waited for --- */

struct waiting { struct wait *wait; bool done; int code; struct troupe_results results; struct troupe_error error; };

/* The results become the caller's. */
static void on_done(void *ctx, const struct troupe_results *results, const struct troupe_error *error)
{
	struct waiting *x = ctx;
	x->done = true;
	if (error) {
		x->error = *error;
		x->code = error->code;
	}
	if (error && error->code != TROUPE_ERROR_TIMEOUT)
		return;
	x->results = *results;
	x->wait->all = NULL;
	x->wait->n = 0;
}

int troupe_wait(struct troupe *t, const struct troupe_id *ids, size_t n, unsigned flags, uint64_t timeout_ms, struct troupe_results *ret, struct troupe_error *out)
{
	struct waiting x = { 0 };
	struct error e = { 0 };
	int code = troupe_check_blocking(t, &e);
	if (!code)
		code = start(t, ids, n, flags, timeout_ms, &x.wait, &e);
	if (code)
		return error_give(code, &e, out);
	x.wait->on_waited = on_done;
	x.wait->ctx = &x;
	code = troupe_run_until(t, &x.done, TIME_NEVER);
	if (code) {
		call_drop(&x.wait->call);
		return error_give(code, NULL, out);
	}
	if (!x.code || x.code == TROUPE_ERROR_TIMEOUT)
		*ret = x.results;
	if (x.code && out)
		*out = x.error;
	return x.code;
}
