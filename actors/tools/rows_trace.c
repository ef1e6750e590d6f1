/* The steps of a task's life: the transition log says what and when, the attempts by whom and with which end, crash reports why a worker was lost. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"

struct trace {
	const Troupe__Task *task;
	Troupe__Transition *const *log;
	size_t n_log;
	Troupe__Crash *const *crashes;
	size_t n_crashes;
	const Troupe__Attempt **of;    /* of each row of the log; NULL: not known, or the one that is the task's own */
	bool *last;                    /* each row: it belongs to the attempt, or the end, that the task itself tells of */
	uint64_t began_ms;
	uint32_t run;
	json_t *rows;
};

/* From the end: history has the attempts that failed or were lost, newest last, and the older ones may be gone. */
static void match(struct trace *x)
{
	size_t left = x->task->n_history;
	const Troupe__Attempt *attempt = NULL;
	bool last = true, last_run = true;
	for (size_t i = x->n_log; i-- > 0;) {
		switch (x->log[i]->kind) {
		case TROUPE__TRANSITION_KIND__T_FAILED:
		case TROUPE__TRANSITION_KIND__T_LOST:
			attempt = x->of[i] = left ? x->task->history[--left] : NULL;
			last = false;
			break;
		case TROUPE__TRANSITION_KIND__T_DONE:
		case TROUPE__TRANSITION_KIND__T_DEAD:
		case TROUPE__TRANSITION_KIND__T_CANCELLED:
		case TROUPE__TRANSITION_KIND__T_EXPIRED:
		case TROUPE__TRANSITION_KIND__T_DROPPED:
			x->last[i] = last_run;
			break;
		case TROUPE__TRANSITION_KIND__T_RETRIED:
			last_run = false;
			break;
		case TROUPE__TRANSITION_KIND__T_RETURNED:
			attempt = NULL;
			last = false;
			break;
		case TROUPE__TRANSITION_KIND__T_GIVEN:
			x->of[i] = attempt;
			x->last[i] = last;
			attempt = NULL;
			last = false;
			break;
		case TROUPE__TRANSITION_KIND__T_NONE:
		case TROUPE__TRANSITION_KIND__T_ACCEPTED:
		case TROUPE__TRANSITION_KIND__T_READY:
		case TROUPE__TRANSITION_KIND__T_SCHEDULED:
		case TROUPE__TRANSITION_KIND__T_CANCEL_ASKED:
		case TROUPE__TRANSITION_KIND__T_PURGED:
		case TROUPE__TRANSITION_KIND__T_CHANGED:
		case _TROUPE__TRANSITION_KIND_IS_INT_SIZE:
			break;
		}
	}
}

static const Troupe__Crash *crash_of(const struct trace *x, uint64_t token)
{
	for (size_t i = 0; token && i < x->n_crashes; i++)
		for (size_t k = 0; k < x->crashes[i]->n_tokens; k++)
			if (x->crashes[i]->tokens[k] == token)
				return x->crashes[i];
	return NULL;
}

static const char *after_text(uint64_t ms, bool first, char *out, size_t size)
{
	char age[32];
	if (ms < 10000)
		snprintf(out, size, "%s%" PRIu64 " ms", first ? "" : "+", ms);
	else
		snprintf(out, size, "+%s", format_duration(ms / 1000 * 1000, age, sizeof age));
	return out;
}

static json_t *step(struct trace *x, uint64_t at_ms, const char *what, const char *who, const char *detail)
{
	char text[64];
	json_t *row = json_object();
	row_text(row, "after", after_text(at_ms > x->began_ms ? at_ms - x->began_ms : 0, json_array_size(x->rows) == 0, text, sizeof text));
	row_text(row, "what", what);
	row_text(row, "who", who);
	row_text(row, "detail", detail);
	row_time(row, "at", at_ms);
	row_text(row, "task", seq_text(x->task->seq, text, sizeof text));
	row_number(row, "run", x->run);
	json_array_append(x->rows, row);
	return row;
}

static void on_accepted(struct trace *x, uint64_t at_ms, const char *coordinator, const Troupe__LogCursor *at)
{
	char detail[256];
	const Troupe__Task *t = x->task;
	snprintf(detail, sizeof detail, "%s, queue %s", t->submitter[0] ? t->submitter : "somebody", t->spec ? t->spec->queue : "?");
	json_decref(step(x, at_ms, "accepted", coordinator, detail));
	if (!at)
		return;
	snprintf(detail, sizeof detail, "commit %" PRIu64 ", fsync", at->commit);
	json_t *row = step(x, at_ms, "stored", coordinator, detail);
	row_number(row, "commit", at->commit);
	json_decref(row);
}

static void on_given(struct trace *x, size_t i, const char *coordinator)
{
	const Troupe__Transition *l = x->log[i];
	const Troupe__Attempt *a = x->of[i];
	const char *worker = a ? a->worker : x->last[i] && x->task->worker[0] ? x->task->worker : l->worker;
	uint64_t token = a ? a->token : x->last[i] ? x->task->token : 0;
	char detail[256], shown[32] = "";
	if (token)
		snprintf(shown, sizeof shown, "  token %" PRIu64, token);
	snprintf(detail, sizeof detail, "-> %s%s", worker[0] ? worker : "a worker", shown);
	json_t *row = step(x, l->at_ms, "given", coordinator, detail);
	row_number(row, "attempt", l->attempt);
	row_number(row, "token", token);
	row_number(row, "commit", l->at ? l->at->commit : 0);
	json_decref(row);
}

static void end_text(const struct trace *x, size_t i, const Troupe__Crash *crash, char *out, size_t size)
{
	const Troupe__Attempt *a = x->of[i];
	const Troupe__Outcome *o = a ? a->outcome : NULL;
	char how[64];
	if (crash) {
		snprintf(how, sizeof how, crash->signal ? "signal %d" : crash->exit_code ? "exit %d" : "%d", crash->signal ? crash->signal : crash->exit_code);
		snprintf(out, size, "%s died (%s), %s%s%s", crash->address, crash->signal || crash->exit_code ? how : reason_name(crash->reason),
		         crash->proof == TROUPE__PROOF__PROOF_EMPTY ? "family empty" : "its family not proven empty", crash->decision[0] ? "; " : "", crash->decision);
	} else if (o) {
		snprintf(out, size, "%s", o->error[0] ? o->error : outcome_text(o, how, sizeof how));
	} else {
		snprintf(out, size, "%s", exit_class_name(x->log[i]->exit_class));
	}
}

static void on_end(struct trace *x, size_t i)
{
	const Troupe__Transition *l = x->log[i];
	const Troupe__Attempt *a = x->of[i];
	const Troupe__Crash *crash = a ? crash_of(x, a->token) : NULL;
	const char *worker = a ? a->worker : l->worker;
	char detail[512];
	end_text(x, i, crash, detail, sizeof detail);
	json_t *row = step(x, l->at_ms, transition_name(l->kind), crash ? "trouped" : worker, detail);
	row_number(row, "attempt", l->attempt);
	row_number(row, "token", a ? a->token : 0);
	row_number(row, "commit", l->at ? l->at->commit : 0);
	if (crash)
		row_number(row, "crash", crash->id);
	json_decref(row);
}

static void on_done(struct trace *x, const Troupe__Transition *l)
{
	const Troupe__Outcome *o = x->task->outcome;
	char detail[64] = "", size[32];
	if (o)
		snprintf(detail, sizeof detail, "%s bytes%s", format_size(o->output.len, size, sizeof size), o->truncated ? ", cut" : "");
	json_t *row = step(x, l->at_ms, "done", x->task->worker[0] ? x->task->worker : l->worker, detail);
	row_number(row, "attempt", l->attempt);
	row_number(row, "token", x->task->token);
	row_number(row, "commit", l->at ? l->at->commit : 0);
	json_decref(row);
}

static void on_other(struct trace *x, size_t i, const char *coordinator)
{
	const Troupe__Transition *l = x->log[i];
	Troupe__Cause cause = l->cause ? l->cause : x->last[i] ? x->task->cause : TROUPE__CAUSE__CAUSE_NONE;
	char detail[64] = "";
	if (l->kind == TROUPE__TRANSITION_KIND__T_RETRIED)
		snprintf(detail, sizeof detail, "run %u", ++x->run);
	else
		snprintf(detail, sizeof detail, "%s", cause_name(cause));
	json_t *row = step(x, l->at_ms, transition_name(l->kind), coordinator, detail);
	row_number(row, "commit", l->at ? l->at->commit : 0);
	json_decref(row);
}

static void steps(struct trace *x, const char *coordinator)
{
	x->began_ms = x->task->submitted_at_ms ? x->task->submitted_at_ms : x->n_log ? x->log[0]->at_ms : 0;
	if (x->n_log && x->log[0]->kind == TROUPE__TRANSITION_KIND__T_ACCEPTED)
		x->began_ms = x->log[0]->at_ms;
	else
		on_accepted(x, x->began_ms, coordinator, NULL); /* its row is gone */
	for (size_t i = 0; i < x->n_log; i++) {
		const Troupe__Transition *l = x->log[i];
		if (l->kind == TROUPE__TRANSITION_KIND__T_ACCEPTED)
			on_accepted(x, l->at_ms, coordinator, l->at);
		else if (l->kind == TROUPE__TRANSITION_KIND__T_GIVEN)
			on_given(x, i, coordinator);
		else if (l->kind == TROUPE__TRANSITION_KIND__T_FAILED || l->kind == TROUPE__TRANSITION_KIND__T_LOST)
			on_end(x, i);
		else if (l->kind == TROUPE__TRANSITION_KIND__T_DONE)
			on_done(x, l);
		else
			on_other(x, i, coordinator);
	}
}

json_t *rows_of_trace(const Troupe__Task *task, Troupe__Transition *const *log, size_t n_log, Troupe__Crash *const *crashes, size_t n_crashes, const char *coordinator)
{
	struct trace x = { .task = task, .log = log, .n_log = n_log, .crashes = crashes, .n_crashes = n_crashes, .run = 1, .rows = json_array() };
	x.of = calloc(n_log + 1, sizeof *x.of);
	x.last = calloc(n_log + 1, sizeof *x.last);
	if (x.rows && x.of && x.last) {
		match(&x);
		steps(&x, coordinator);
	}
	free(x.of);
	free(x.last);
	return x.rows;
}
