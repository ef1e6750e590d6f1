#pragma once
/* A batch of tasks that wait for each other, as one JSON document. Pure: text in, one submit out.
 *
 *   {
 *     "name": "site", "queue": "render", "on_failure": "cancel_rest",
 *     "tasks": [
 *       { "name": "fetch", "argv": ["fetch", "https://example.org"], "compensate": { "argv": ["unfetch"] } },
 *       { "name": "render", "payload": "page 1", "after": ["fetch"] },
 *       { "name": "report", "payload": "", "after": [{ "name": "render", "on": "end" }] }
 *     ],
 *     "callbacks": { "success": { "payload": "..." }, "failure": { "payload": "..." }, "end": { "payload": "..." } }
 *   }
 *
 * A task has the members of spec_json.h, a name that stands for it in this document alone, in after names instead of ids ({"id": ...} is a task that was there before),
 * "on" as the standard of its edges, and "compensate": a task that is run, in reverse order, when the batch has failed after this one was done. "on_failure": what becomes of
 * the others when a task fails, cancel_rest (standard) or continue. Callbacks run when all has ended, by how.
 *
 * Ids are the batch's plus the place in the document, as with bulk files, so the same document under the same batch is recognised. */
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/queue.pb-c.h"

#define DAG_TASKS_MAX 4096u            /* with callbacks and compensations */
#define DAG_TEXT_MAX (8u << 20)
#define DAG_BYTES_MAX (1020u * 1024)   /* of the submit: one message */
#define DAG_NAME_MAX 200u

struct dag {
	Troupe__BatchSpec batch;
	struct id id;
	Troupe__TaskSpec **tasks;      /* none stands in front of one that it waits for; then compensations, then callbacks */
	const char **names;            /* of each: the task's, or the one's that it compensates; NULL: a callback */
	size_t n;
};

struct dag_defaults {
	struct id batch;
	const char *queue;             /* of a document that names none; may be NULL */
	uint64_t now_ms;               /* wall clock: what a deadline counts from */
	int (*read_file)(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e); /* as in spec_json.h */
	void *ctx;
};

/* All of it lives in the arena. Nothing is read from files unless names and edges are right. 0; ERROR_BAD_REQUEST or ERROR_TOO_LARGE with a text that names line and task;
 * what read_file returned; -ENOMEM. */
int dag_read(const char *text, size_t len, const struct dag_defaults *defaults, struct arena *a, struct dag *ret, struct error *e);
