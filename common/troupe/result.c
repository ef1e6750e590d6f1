/* Ends of tasks, as the caller gets them. */
#include <stdlib.h>
#include <string.h>
#include "common/troupe/internal.h"

#define SAME(a, b) _Static_assert((int)TROUPE_##a == (int)TROUPE__##b, "troupe.h and queue.proto differ in " #a)
SAME(STATE_SCHEDULED, TASK_STATE__SCHEDULED);
SAME(STATE_READY, TASK_STATE__READY);
SAME(STATE_RUNNING, TASK_STATE__RUNNING);
SAME(STATE_DONE, TASK_STATE__DONE);
SAME(STATE_CANCELLED, TASK_STATE__CANCELLED);
SAME(STATE_DEAD, TASK_STATE__DEAD);
SAME(CAUSE_NONE, CAUSE__CAUSE_NONE);
SAME(CAUSE_EXHAUSTED, CAUSE__EXHAUSTED);
SAME(CAUSE_REJECTED, CAUSE__REJECTED);
SAME(CAUSE_POISON, CAUSE__POISON);
SAME(CAUSE_EXPIRED, CAUSE__EXPIRED);
SAME(CAUSE_DROPPED, CAUSE__DROPPED);
SAME(CAUSE_UPSTREAM, CAUSE__UPSTREAM);
SAME(CAUSE_UNNEEDED, CAUSE__UNNEEDED);
SAME(CAUSE_REPLACED, CAUSE__REPLACED);
SAME(EXIT_NONE, EXIT_CLASS__EXIT_NONE);
SAME(EXIT_DONE, EXIT_CLASS__EXIT_DONE);
SAME(EXIT_FAILED, EXIT_CLASS__EXIT_FAILED);
SAME(EXIT_LATER, EXIT_CLASS__EXIT_LATER);
SAME(EXIT_REJECTED, EXIT_CLASS__EXIT_REJECTED);
SAME(EXIT_BROKEN, EXIT_CLASS__EXIT_BROKEN);
SAME(EXIT_SIGNAL, EXIT_CLASS__EXIT_SIGNAL);
SAME(EXIT_CORE, EXIT_CLASS__EXIT_CORE);
SAME(EXIT_OOM, EXIT_CLASS__EXIT_OOM);
SAME(EXIT_TIMEOUT, EXIT_CLASS__EXIT_TIMEOUT);
SAME(EXIT_LOST, EXIT_CLASS__EXIT_LOST);
SAME(EXIT_CANCELLED, EXIT_CLASS__EXIT_CANCELLED);

bool task_is_final(const Troupe__Task *task)
{
	return task->state == TROUPE__TASK_STATE__DONE || task->state == TROUPE__TASK_STATE__CANCELLED || task->state == TROUPE__TASK_STATE__DEAD;
}

void result_view(const Troupe__Task *task, struct troupe_result *ret)
{
	const Troupe__Outcome *o = task->outcome;
	*ret = (struct troupe_result){
		.seq = task->seq, .queue = task->spec ? task->spec->queue : "", .state = (enum troupe_state)task->state, .cause = (enum troupe_cause)task->cause,
		.output = "", .error = task->last_error, .worker = task->worker, .attempts = task->attempts, .submitted_at_ms = task->submitted_at_ms,
		.started_at_ms = task->started_at_ms, .finished_at_ms = task->finished_at_ms,
	};
	if (task->spec)
		id_read(&task->spec->id, &ret->id);
	if (!o)
		return;
	ret->exit_class = (enum troupe_exit)o->exit_class;
	ret->exit_code = o->exit_code;
	ret->signal = o->signal;
	ret->truncated = o->truncated;
	ret->run_us = o->run_us;
	if (!*ret->error)
		ret->error = o->error;
	if (o->output.len) {
		ret->output = o->output.data;
		ret->output_len = o->output.len;
	}
}

/* Copies to *at, and moves it behind the copy and a NUL. */
static const void *put(char **at, const void *data, size_t len)
{
	char *p = *at;
	memcpy(p, data, len);
	p[len] = '\0';
	*at += len + 1;
	return p;
}

struct troupe_result *result_copy(const Troupe__Task *task)
{
	struct troupe_result view;
	result_view(task, &view);
	size_t queue = strlen(view.queue), error = strlen(view.error), worker = strlen(view.worker);
	struct troupe_result *r = malloc(sizeof *r + view.output_len + queue + error + worker + 4);
	if (!r)
		return NULL;
	char *at = (char *)(r + 1);
	*r = view;
	r->output = put(&at, view.output, view.output_len);
	r->queue = put(&at, view.queue, queue);
	r->error = put(&at, view.error, error);
	r->worker = put(&at, view.worker, worker);
	return r;
}

void troupe_results_free(struct troupe_results *r)
{
	for (size_t i = 0; i < r->n; i++)
		free((void *)(uintptr_t)r->all[i]);
	free((void *)(uintptr_t)r->all);
	*r = (struct troupe_results){ 0 };
}

const char *troupe_state_name(enum troupe_state state)
{
	switch (state) {
	case TROUPE_STATE_UNKNOWN:
		break;
	case TROUPE_STATE_SCHEDULED:
		return "scheduled";
	case TROUPE_STATE_READY:
		return "ready";
	case TROUPE_STATE_RUNNING:
		return "running";
	case TROUPE_STATE_DONE:
		return "done";
	case TROUPE_STATE_CANCELLED:
		return "cancelled";
	case TROUPE_STATE_DEAD:
		return "dead";
	}
	return "unknown";
}
