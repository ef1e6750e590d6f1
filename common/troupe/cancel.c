/* Cancels of tasks that are named. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/troupe/internal.h"

struct cancel {
	struct call call;
	struct troupe_refusal *refused; /* owned */
	void (*on_cancelled)(void *ctx, const struct troupe_cancelled *cancelled, const struct troupe_error *error);
	void *ctx;
};

static void release(struct call *c) { free(((struct cancel *)c)->refused); }

static int take(struct cancel *x, const Troupe__Changed *m, struct troupe_cancelled *ret, struct error *e)
{
	x->refused = calloc(m->n_refused + 1, sizeof *x->refused);
	if (!x->refused)
		return error_set(e, ERROR_INTERNAL, "no memory");
	for (size_t i = 0; i < m->n_refused; i++) {
		const Troupe__Refusal *r = m->refused[i];
		if (r->task)
			id_read(&r->task->id, &x->refused[i].id);
		x->refused[i].code = (int)r->code;
		snprintf(x->refused[i].text, sizeof x->refused[i].text, "%s", r->text);
	}
	*ret = (struct troupe_cancelled){ .count = m->count, .n_refused = m->n_refused, .refused = x->refused };
	return 0;
}

static void on_answer(struct call *c, const struct client_answer *a)
{
	struct cancel *x = (struct cancel *)c;
	struct troupe *t = c->troupe;
	struct error e = { 0 };
	struct troupe_error out;
	struct troupe_cancelled cancelled;
	const Troupe__Envelope *env = answer_of(a, TROUPE__ENVELOPE__BODY_CHANGED, &e);
	int code = env ? take(x, env->changed, &cancelled, &e) : (int)e.code;
	if (code)
		error_public(&e, &out);
	t->calling++;
	x->on_cancelled(x->ctx, code ? NULL : &cancelled, code ? &out : NULL);
	t->calling--;
	call_free(c);
}

static int ask(struct cancel *x, const struct troupe_id *ids, size_t n, struct error *e)
{
	Troupe__Cancel m = TROUPE__CANCEL__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct client_request q = { .to = x->call.troupe->coordinator, .env = &env };
	m.tasks = refs_new(ids, n);
	m.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
	env.cancel = &m;
	int code = m.tasks ? call_ask(&x->call, &q, e) : -ENOMEM;
	free(m.tasks);
	return code;
}

static int start(struct troupe *t, const struct troupe_id *ids, size_t n, struct cancel **ret, struct error *e)
{
	int code = names_check(ids, n, "cancel", e);
	struct cancel *x = code ? NULL : call_new(t, sizeof *x, on_answer);
	if (!x)
		return code ? code : -ENOMEM;
	x->call.release = release;
	code = ask(x, ids, n, e);
	if (code)
		call_free(&x->call);
	else
		*ret = x;
	return code;
}

int troupe_cancel_start(struct troupe *t, const struct troupe_id *ids, size_t n,
                        void (*on_cancelled)(void *ctx, const struct troupe_cancelled *cancelled, const struct troupe_error *error), void *ctx, struct troupe_error *out)
{
	struct error e = { 0 };
	struct cancel *x;
	int code = troupe_check(t, &e);
	if (!code)
		code = start(t, ids, n, &x, &e);
	if (code)
		return error_give(code, &e, out);
	x->on_cancelled = on_cancelled;
	x->ctx = ctx;
	return 0;
}

/* --- waited for --- */

struct waiting { struct cancel *cancel; bool done; int code; struct troupe_cancelled cancelled; struct troupe_error error; };

static void on_done(void *ctx, const struct troupe_cancelled *cancelled, const struct troupe_error *error)
{
	struct waiting *w = ctx;
	w->done = true;
	if (error) {
		w->error = *error;
		w->code = error->code;
		return;
	}
	w->cancelled = *cancelled;
	w->cancel->refused = NULL; /* it becomes the caller's */
}

int troupe_cancel(struct troupe *t, const struct troupe_id *ids, size_t n, struct troupe_cancelled *ret, struct troupe_error *out)
{
	struct waiting w = { 0 };
	struct error e = { 0 };
	int code = troupe_check_blocking(t, &e);
	if (!code)
		code = start(t, ids, n, &w.cancel, &e);
	if (code)
		return error_give(code, &e, out);
	w.cancel->on_cancelled = on_done;
	w.cancel->ctx = &w;
	code = troupe_run_until(t, &w.done, TIME_NEVER);
	if (code) {
		call_drop(&w.cancel->call);
		return error_give(code, NULL, out);
	}
	if (!w.code)
		*ret = w.cancelled;
	else if (out)
		*out = w.error;
	return w.code;
}

void troupe_cancelled_free(struct troupe_cancelled *c)
{
	free((void *)(uintptr_t)c->refused);
	*c = (struct troupe_cancelled){ 0 };
}
