#pragma once
/* Payloads that are too large for an assignment. A task that came without its own waits, and may be given back like any that waits, until the whole of it is a file in
 * <state_dir>/payload, its hash compared: only then may it begin. One at a time is fetched, one piece of it is asked for at a time, so a worker costs its coordinator
 * one message however large payloads are.
 *
 * What fails here is not the task's fault, and no attempt: the worker tries again, later each time, and gives the task back after the third time. Only where the coordinator says
 * that the payload is lost, or has other bytes than were submitted, the task is rejected: nobody can run it before somebody has sent the payload again. */
#include <stdbool.h>
#include <stdint.h>
#include "common/work/task.h"
#include "common/actor/actor.h"

struct worker;

struct fetcher {
	char path[256];        /* of the folder */
	int folder;
	size_t n;              /* tasks whose payload is not here yet */
	bool asked;            /* an answer is outstanding */
	unsigned failures;     /* in a row */
	uint64_t retry_at_ms;  /* not before */
	uint64_t n_bytes;      /* so far */
};

/* What an earlier incarnation left is removed. 0, -errno, or a code with a text. */
int fetcher_open(struct fetcher *f, const char *state_dir, struct error *e);
void fetcher_close(struct fetcher *f);

int fetch_begin(struct worker *w, struct task *task, const Troupe__BlobRef *ref, struct error *e); /* 0, ERROR_BAD_REQUEST, -ENOMEM */
void fetch_drop(struct worker *w, struct task *task);      /* of one that goes, or begins: no-op where nothing is fetched */
int fetch_settle(struct turn *t, struct worker *w);        /* asks for the next piece */
int fetch_answer(struct turn *t, void *state, uint64_t cookie, const Troupe__Envelope *env, const struct error *e);
