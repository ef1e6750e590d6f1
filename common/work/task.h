#pragma once
/* A task that a worker holds: what was assigned, its attempt, and, when it is over, the outcome. In one block of memory with its payload. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/work/attempt.h"
#include "common/work/exit.h"
#include "common/base/error.h"
#include "common/wire/id.h"
#include "proto/work.pb-c.h"

#define TASK_ARGV_MAX 1024
#define TASK_OUTPUT_DEFAULT (64u * 1024)

struct task {
	uint64_t token;
	struct id id;
	char id_text[ID_TEXT];
	uint64_t seq;
	const char *queue, *content_type, *traceparent; /* never NULL */
	uint32_t attempt_number, max_attempts;
	const uint8_t *payload;
	size_t payload_len;
	char *payload_file;       /* owned; path of a file of ours with the payload, which the worker removes when the task is over. NULL: it is in payload */
	struct fetch *fetch;      /* the payload is not all here yet: it may not begin. Of fetch.c; NULL: it may */
	char **argv;              /* NULL-terminated */
	size_t n_argv;
	char **tags;
	size_t n_tags;
	uint64_t output_max;
	uint64_t deadline_at_ms;  /* wall clock, of the task */

	struct attempt attempt;
	uint64_t started_us;      /* monotonic */
	uint64_t started_wall_ms;

	/* The outcome. */
	Troupe__ExitClass exit_class;
	int exit_code, signal;
	uint8_t *output, *stderr_tail; /* owned */
	size_t output_len, stderr_len;
	bool truncated, drain;
	char error[256];
	uint64_t retry_after_ms, run_us;
	Troupe__Usage usage;      /* user_us and so on; all 0 = unknown */

	/* What it says in between. */
	uint32_t percent;
	char *note;               /* owned */
	bool progress_new;
	uint64_t progress_at_ms;  /* when it was last told */

	struct task *next, *prev; /* of the host's list that it is in */
	struct task_list *list;
	struct task *same_token, *same_id; /* of their buckets */
	size_t due_index;         /* in a heap of deadlines; SIZE_MAX: not in one */
	void *tier;               /* of the tier that runs it */
};

/* 0; ERROR_BAD_REQUEST for an assignment that nobody can do (no id, no token); -ENOMEM. */
/* One whose arguments nobody can run is made too: refused by nature, and over. */
int task_new(const Troupe__Assignment *a, struct task **ret, struct error *e);
struct task *task_free(struct task *t); /* not in a list any more; returns NULL */
/* Fills the outcome's class, code, signal, drain and error. */
void task_judge(struct task *t, const struct exit_verdict *v);
void task_outcome(const struct task *t, Troupe__Outcome *ret, Troupe__Usage *usage); /* points into t */
size_t task_outcome_size(const struct task *t); /* about, packed; never less */
/* Wall-clock ms at which a started attempt will be stopped; 0 = never. */
uint64_t task_stopped_at_ms(const struct task *t);

struct task_list { struct task *head, *last; size_t n; };
void task_list_add(struct task_list *l, struct task *t);  /* at the end; takes it out of the list that it was in */
void task_list_add_front(struct task_list *l, struct task *t);
void task_list_remove(struct task *t);                    /* no-op in none */

/* By token. Tokens are given in order, so their low bits spread well. */
#define TASK_BUCKETS 1024
struct task_table { struct task *buckets[TASK_BUCKETS]; size_t n; };
struct task *task_table_find(const struct task_table *tt, uint64_t token);
void task_table_add(struct task_table *tt, struct task *t);
void task_table_remove(struct task_table *tt, struct task *t);
