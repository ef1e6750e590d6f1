#include "common/work/task.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/* --- one block --- */

struct block { char *at; };

static const char *block_string(struct block *b, const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = memcpy(b->at, s, n);
	b->at += n;
	return copy;
}

static char *block_bytes(struct block *b, ProtobufCBinaryData d)
{
	char *copy = b->at;
	if (d.len)
		memcpy(copy, d.data, d.len);
	copy[d.len] = '\0';
	b->at += d.len + 1;
	return copy;
}

static size_t block_size(const Troupe__Assignment *a)
{
	size_t n = sizeof(struct task) + (a->n_argv + 1 + a->n_tags) * sizeof(char *);
	n += strlen(a->queue) + strlen(a->content_type) + strlen(a->traceparent) + 3 + a->payload.len + 1;
	for (size_t i = 0; i < a->n_argv; i++)
		n += a->argv[i].len + 1;
	for (size_t i = 0; i < a->n_tags; i++)
		n += strlen(a->tags[i]) + 1;
	return n;
}

/* What no process can be given. NULL: nothing. */
static const char *argv_fault(const Troupe__Assignment *a)
{
	if (a->n_argv > TASK_ARGV_MAX)
		return "its command has too many arguments";
	for (size_t i = 0; i < a->n_argv; i++)
		if (a->argv[i].len && memchr(a->argv[i].data, '\0', a->argv[i].len))
			return "an argument of its command holds a NUL byte";
	return a->n_argv && !a->argv[0].len ? "its command is empty" : NULL;
}

int task_new(const Troupe__Assignment *a, struct task **ret, struct error *e)
{
	if (!a->token || a->id.len != sizeof(struct id))
		return error_set(e, ERROR_BAD_REQUEST, "an assignment without a token or an id");
	size_t size = block_size(a);
	struct task *t = malloc(size);
	if (!t)
		return -ENOMEM;
	*t = (struct task){ .token = a->token, .seq = a->seq, .attempt_number = a->attempt, .max_attempts = a->max_attempts, .deadline_at_ms = a->deadline_at_ms };
	t->output_max = a->output_max ? a->output_max : TASK_OUTPUT_DEFAULT;
	t->due_index = SIZE_MAX;
	troupe__usage__init(&t->usage);
	memcpy(t->id.b, a->id.data, sizeof(t->id.b));
	id_format(&t->id, t->id_text);
	attempt_init(&t->attempt, a->timeout_ms, a->grace_ms);

	t->argv = (char **)(t + 1);
	t->tags = t->argv + a->n_argv + 1;
	struct block b = { (char *)(t->tags + a->n_tags) };
	for (size_t i = 0; i < a->n_argv; i++)
		t->argv[t->n_argv++] = block_bytes(&b, a->argv[i]);
	t->argv[t->n_argv] = NULL;
	for (size_t i = 0; i < a->n_tags; i++)
		t->tags[t->n_tags++] = (char *)block_string(&b, a->tags[i]);
	t->queue = block_string(&b, a->queue);
	t->content_type = block_string(&b, a->content_type);
	t->traceparent = block_string(&b, a->traceparent);
	t->payload_len = a->payload.len;
	t->payload = (const uint8_t *)block_bytes(&b, a->payload);
	assert(b.at == (char *)t + size);

	const char *fault = argv_fault(a);
	if (fault) {
		t->exit_class = TROUPE__EXIT_CLASS__EXIT_REJECTED;
		snprintf(t->error, sizeof(t->error), "%s", fault);
		attempt_stop(&t->attempt, STOP_TAKEN, 0, 0);
	}
	*ret = t;
	return 0;
}

struct task *task_free(struct task *t)
{
	if (!t)
		return NULL;
	assert(!t->list && !t->tier && !t->fetch && t->due_index == SIZE_MAX);
	free(t->output);
	free(t->stderr_tail);
	free(t->note);
	free(t->payload_file);
	free(t);
	return NULL;
}

/* --- the outcome --- */

void task_judge(struct task *t, const struct exit_verdict *v)
{
	t->exit_class = v->exit_class;
	t->exit_code = v->code;
	t->signal = v->signal;
	t->drain = v->drain;
	snprintf(t->error, sizeof(t->error), "%s", v->text);
}

static bool usage_known(const Troupe__Usage *u)
{
	return u->max_rss_kib || u->user_us || u->system_us;
}

void task_outcome(const struct task *t, Troupe__Outcome *ret, Troupe__Usage *usage)
{
	troupe__outcome__init(ret);
	ret->token = t->token;
	ret->id = (ProtobufCBinaryData){ sizeof(t->id.b), (uint8_t *)t->id.b };
	ret->exit_class = t->exit_class;
	ret->exit_code = t->exit_code;
	ret->signal = t->signal;
	ret->output = (ProtobufCBinaryData){ t->output_len, t->output };
	ret->truncated = t->truncated;
	ret->stderr_tail = (ProtobufCBinaryData){ t->stderr_len, t->stderr_tail };
	ret->error = (char *)t->error;
	ret->retry_after_ms = t->retry_after_ms;
	ret->run_us = t->run_us;
	ret->drain = t->drain;
	if (usage_known(&t->usage)) {
		*usage = t->usage;
		ret->usage = usage;
	}
}

size_t task_outcome_size(const struct task *t)
{
	/* Token, id, class, code, signal, run_us, usage and the heads of all fields are less than 200 bytes. */
	return 200 + t->output_len + t->stderr_len + strlen(t->error);
}

uint64_t task_stopped_at_ms(const struct task *t)
{
	uint64_t at_ms = t->attempt.timeout_ms && t->attempt.timeout_ms < UINT64_MAX - t->started_wall_ms ? t->started_wall_ms + t->attempt.timeout_ms : 0;
	if (t->deadline_at_ms && (!at_ms || t->deadline_at_ms < at_ms))
		at_ms = t->deadline_at_ms;
	return at_ms;
}

/* --- lists --- */

void task_list_remove(struct task *t)
{
	struct task_list *l = t->list;
	if (!l)
		return;
	*(t->prev ? &t->prev->next : &l->head) = t->next;
	*(t->next ? &t->next->prev : &l->last) = t->prev;
	l->n--;
	t->next = t->prev = NULL;
	t->list = NULL;
}

void task_list_add(struct task_list *l, struct task *t)
{
	task_list_remove(t);
	t->prev = l->last;
	*(l->last ? &l->last->next : &l->head) = t;
	l->last = t;
	l->n++;
	t->list = l;
}

void task_list_add_front(struct task_list *l, struct task *t)
{
	task_list_remove(t);
	t->next = l->head;
	*(l->head ? &l->head->prev : &l->last) = t;
	l->head = t;
	l->n++;
	t->list = l;
}

/* --- by token --- */

struct task *task_table_find(const struct task_table *tt, uint64_t token)
{
	struct task *t = tt->buckets[token % TASK_BUCKETS];
	while (t && t->token != token)
		t = t->same_token;
	return t;
}

void task_table_add(struct task_table *tt, struct task *t)
{
	struct task **bucket = &tt->buckets[t->token % TASK_BUCKETS];
	t->same_token = *bucket;
	*bucket = t;
	tt->n++;
}

void task_table_remove(struct task_table *tt, struct task *t)
{
	struct task **at = &tt->buckets[t->token % TASK_BUCKETS];
	while (*at != t)
		at = &(*at)->same_token;
	*at = t->same_token;
	t->same_token = NULL;
	tt->n--;
}
