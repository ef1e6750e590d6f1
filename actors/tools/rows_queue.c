/* Rows of queues, workers and batches. */
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/policy.h"
#include "actors/tools/rows.h"

static const char *const batch_states[] = { "open", "succeeded", "failed", "compensating", "compensated" };

const char *batch_state_name(Troupe__Batch__State s)
{
	return (size_t)s < ELEMENTS(batch_states) ? batch_states[s] : "unknown";
}

/* What stands in the way of its tasks, or how busy it is. */
static void queue_note(const Troupe__Queue *q, char *note, size_t size)
{
	const Troupe__QueuePolicy *p = q->policy;
	if (q->paused)
		snprintf(note, size, "paused by %s%s%s", q->paused_by[0] ? q->paused_by : "an operator", q->paused_why[0] ? ": " : "", q->paused_why);
	else if (q->draining)
		snprintf(note, size, "drained by %s%s%s", q->draining_by[0] ? q->draining_by : "an operator", q->draining_why[0] ? ": " : "", q->draining_why);
	else if (q->workers == 0 && q->ready)
		snprintf(note, size, "no worker serves it");
	else if (p && ((p->max_tasks && q->ready + q->scheduled + q->running >= p->max_tasks) || (p->max_bytes && q->bytes >= p->max_bytes)))
		snprintf(note, size, "full, %u/%u busy", q->workers_busy, q->workers);
	else
		snprintf(note, size, "%u/%u busy", q->workers_busy, q->workers);
}

json_t *row_of_queue(const Troupe__Queue *q)
{
	json_t *row = json_object();
	char note[256], text[POLICY_TEXT];
	if (!row)
		return NULL;
	row_text(row, "queue", q->name);
	row_text(row, "state", q->paused ? "paused" : q->draining ? "draining" : "open");
	row_number(row, "ready", q->ready);
	row_number(row, "scheduled", q->scheduled);
	row_number(row, "running", q->running);
	row_number(row, "done", q->done);
	row_number(row, "cancelled", q->cancelled);
	row_number(row, "dead", q->dead);
	row_number(row, "oldest_ready_ms", q->oldest_ready_ms);
	row_number(row, "workers", q->workers);
	row_number(row, "workers_busy", q->workers_busy);
	row_number(row, "submitted", q->submitted_total);
	row_number(row, "completed", q->completed_total);
	row_number(row, "failed", q->failed_total);
	row_number(row, "retried", q->retried_total);
	row_number(row, "dropped", q->dropped_total);
	row_number(row, "bytes", q->bytes);
	row_number(row, "keys", q->keys);
	row_text(row, "draining_by", q->draining_by);
	row_text(row, "draining_why", q->draining_why);
	row_time(row, "draining_at", q->draining_at_ms);
	row_text(row, "paused_by", q->paused_by);
	row_text(row, "paused_why", q->paused_why);
	row_time(row, "paused_at", q->paused_at_ms);
	row_flag(row, "auto_created", q->policy && q->policy->auto_created);
	if (q->policy) {
		row_number(row, "timeout_ms", q->policy->timeout_ms);
		row_number(row, "max_tasks", q->policy->max_tasks);
		row_number(row, "max_attempts", q->policy->retry ? q->policy->retry->max_attempts : 0);
		json_t *policy = json_object();
		for (const char *const *key = policy_keys; *key; key++)
			row_text(policy, *key, policy_get(q->policy, *key, text, sizeof text));
		json_object_set_new(row, "policy", policy);
	}
	json_object_set_new(row, "changed", row_texts(q->changed, q->n_changed));
	queue_note(q, note, sizeof note);
	row_text(row, "note", note);
	return row;
}

json_t *row_of_worker(const Troupe__WorkerRow *w)
{
	json_t *row = json_object();
	char text[64];
	if (!row)
		return NULL;
	row_text(row, "worker", w->address);
	row_text(row, "pool", w->pool);
	row_number(row, "pid", w->pid);
	row_number(row, "incarnation", w->incarnation);
	row_text(row, "state", w->broken[0] ? "broken" : w->draining ? "draining" : w->busy ? "running" : "idle");
	row_id(row, "task_id", &w->task);
	row_text(row, "task", w->busy && w->seq ? seq_text(w->seq, text, sizeof text) : NULL);
	row_number(row, "seq", w->seq);
	row_number(row, "token", w->token);
	row_number(row, "since_ms", w->since_ms);
	row_number(row, "done", w->done);
	row_number(row, "failed", w->failed);
	row_number(row, "held", w->held);
	row_flag(row, "draining", w->draining);
	json_object_set_new(row, "queues", row_texts(w->queues, w->n_queues));
	row_text(row, "note", w->broken);
	return row;
}

json_t *row_of_batch(const Troupe__Batch *b, uint64_t now_ms)
{
	json_t *row = json_object();
	char ended[48];
	if (!row)
		return NULL;
	row_id(row, "batch", &b->id);
	row_text(row, "name", b->name);
	row_text(row, "state", batch_state_name(b->state));
	row_number(row, "members", b->members);
	row_number(row, "done", b->done);
	row_number(row, "dead", b->dead);
	row_number(row, "cancelled", b->cancelled);
	row_number(row, "compensations", b->compensations);
	row_number(row, "compensated", b->compensated);
	snprintf(ended, sizeof ended, "%u/%u", b->done + b->dead + b->cancelled, b->members);
	row_text(row, "ended", ended);
	row_text(row, "on_failure", b->on_failure == TROUPE__BATCH_SPEC__ON_FAILURE__CONTINUE ? "continue" : "cancel_rest");
	row_text(row, "submitter", b->submitter);
	row_time(row, "submitted_at", b->submitted_at_ms);
	row_time(row, "finished_at", b->finished_at_ms);
	if (b->submitted_at_ms)
		row_number(row, "age_ms", now_ms > b->submitted_at_ms ? now_ms - b->submitted_at_ms : 0);
	if (b->finished_at_ms && b->finished_at_ms >= b->submitted_at_ms)
		row_number(row, "took_ms", b->finished_at_ms - b->submitted_at_ms);
	return row;
}
