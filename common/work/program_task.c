/* The tasks that a long-lived program has: found by id, ended by its answers or by its end. */
#include "common/work/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/parse.h"

static bool due_less(const void *a, const void *b)
{
	return ((const struct task *)a)->attempt.due_at_ms < ((const struct task *)b)->attempt.due_at_ms;
}

static void due_place(void *item, size_t index)
{
	((struct task *)item)->due_index = index;
}

void program_task_init(struct program *p)
{
	heap_init(&p->due, due_less, due_place);
}

static struct task **id_bucket(struct program *p, const struct id *id)
{
	uint32_t h;
	memcpy(&h, id->b + sizeof(id->b) - sizeof(h), sizeof(h));
	return &p->by_id[(h ^ h >> 16) % PROGRAM_ID_BUCKETS];
}

struct task *program_task_find(struct program *p, const struct id *id)
{
	struct task *t = *id_bucket(p, id);
	while (t && !id_equal(&t->id, id))
		t = t->same_id;
	return t;
}

void program_task_due(struct program *p, struct task *t)
{
	if (t->due_index != SIZE_MAX && t->attempt.due_at_ms == TIME_NEVER)
		heap_remove(&p->due, t->due_index);
	else if (t->due_index != SIZE_MAX)
		heap_fix(&p->due, t->due_index);
	else if (t->attempt.due_at_ms != TIME_NEVER && heap_push(&p->due, t))
		log_warn("no memory for a deadline: the task runs without one", LOG_S("task", t->id_text));
}

void program_task_add(struct program *p, struct task *t)
{
	struct task **bucket = id_bucket(p, &t->id);
	t->tier = p;
	t->same_id = *bucket;
	*bucket = t;
	p->n_tasks++;
	program_task_due(p, t);
}

static void leaves(struct program *p, struct task *t)
{
	struct task **at = id_bucket(p, &t->id);
	while (*at != t)
		at = &(*at)->same_id;
	*at = t->same_id;
	t->same_id = NULL;
	if (t->due_index != SIZE_MAX)
		heap_remove(&p->due, t->due_index);
	p->n_tasks--;
	t->tier = NULL;
}

void program_task_fini(struct program *p)
{
	for (size_t i = 0; i < PROGRAM_ID_BUCKETS; i++)
		while (p->by_id[i])
			leaves(p, p->by_id[i]);
	heap_fini(&p->due);
}

int program_task_write(struct program *p, const struct task *t)
{
	const struct program_task m = {
		.id = t->id,
		.token = t->token,
		.queue = t->queue,
		.content_type = t->content_type,
		.traceparent = t->traceparent,
		.payload = t->payload,
		.payload_len = t->payload_len,
		.payload_file = t->payload_file,
		.attempt = t->attempt_number,
		.max_attempts = t->max_attempts,
		.deadline_ms = task_stopped_at_ms(t),
		.tags = t->tags,
		.n_tags = t->n_tags,
	};
	return p->codec->write_task(&p->in, &m);
}

void program_task_over(struct program *p, struct task *t)
{
	leaves(p, t);
	t->run_us = clock_mono_us() - t->started_us;
	fault_point("worker.after_exit");
	p->config.host.ended(p->config.host.ctx, t);
}

/* --- answers --- */

/* What was asked of the program itself overrides what it answers. */
static void answered(struct program *p, struct task *t, int code)
{
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt); /* the program's helpers are not the task's family: they live on */
	const struct exit_facts f = { .status = W_EXITCODE(code, 0), .why = t->attempt.why, .answered = true };
	struct exit_verdict v = exit_judge(&f);
	v.code = 0;
	task_judge(t, &v);
	p->n_done++;
	p->n_failures = 0;
}

static void on_done(struct program *p, struct task *t, const struct program_message *m)
{
	uint64_t max = t->output_max < p->config.output_max ? t->output_max : p->config.output_max;
	size_t len = m->result_len > max ? (size_t)max : m->result_len;
	answered(p, t, 0);
	t->truncated = len < m->result_len;
	if (len && !(t->output = malloc(len))) {
		t->truncated = true;
		len = 0;
	}
	if (len)
		memcpy(t->output, m->result, len);
	t->output_len = len;
	program_task_over(p, t);
}

static void on_fail(struct program *p, struct task *t, const struct program_message *m)
{
	answered(p, t, m->retry ? 1 : 100);
	if (t->attempt.why == STOP_NOT) {
		snprintf(t->error, sizeof(t->error), "%.255s", *m->text ? m->text : "the program said that it failed");
		utf8_clean(t->error);
		t->retry_after_ms = m->after_ms;
	}
	program_task_over(p, t);
}

static void on_progress(struct program *p, struct task *t, const struct program_message *m)
{
	t->percent = m->percent;
	if (*m->text || t->note) {
		free(t->note);
		t->note = strdup(m->text);
	}
	p->config.host.progressed(p->config.host.ctx, t);
}

void program_task_answered(struct program *p, struct task *t, const struct program_message *m)
{
	switch (m->kind) {
	case PROGRAM_DONE:
		on_done(p, t, m);
		return;
	case PROGRAM_FAIL:
		on_fail(p, t, m);
		return;
	case PROGRAM_PROGRESS:
		on_progress(p, t, m);
		return;
	case PROGRAM_HELLO:
	case PROGRAM_BEAT:
		return;
	}
}

/* --- the program's end --- */

static void ends(struct program *p, struct task *t, const struct exit_facts *facts, const char *last_words)
{
	struct exit_facts f = *facts;
	if (t->attempt.why != STOP_NOT)
		f.why = t->attempt.why;
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt);
	struct exit_verdict v = exit_judge(&f);
	task_judge(t, &v);
	size_t n = strlen(t->error);
	if (f.why == STOP_NOT && *last_words)
		snprintf(t->error + n, sizeof(t->error) - n, ": %s", last_words);
	t->stderr_tail = tail_copy(&p->err, &t->stderr_len);
	program_task_over(p, t);
}

void program_tasks_end(struct program *p, const struct exit_facts *f)
{
	char last[120];
	tail_last_line(&p->err, last, sizeof(last));
	for (size_t i = 0; i < PROGRAM_ID_BUCKETS; i++)
		while (p->by_id[i])
			ends(p, p->by_id[i], f, *p->lost ? p->lost : last);
}
