#pragma once
/* Leases: tasks that are with a worker, by token. Their rows are in table lease. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;
struct worker;

struct lease {
	struct id id;
	uint64_t token, seq, size;
	struct queue *queue;
	uint32_t rank, requirement, run, attempt;
	bool cancel, has_state, needs_record;
	Troupe__Cause cause;           /* of the cancel */
	bool started;
	bool unknown;                   /* read from the store, of a worker from outside: whether it has begun nobody has said yet */
	uint64_t given_at_ms, started_at_ms; /* steady clock */
	struct worker *worker;
	uint32_t percent;
	char *note;
	struct lease *bucket;
	struct lease *next, **at;       /* of the worker's */
};
struct leases { struct lease **buckets; size_t room, n, n_ahead; }; /* n_ahead: workers that hold more than they have slots */

struct lease *lease_find(const struct leases *l, uint64_t token);
struct lease *lease_add(struct leases *l, struct worker *w, uint64_t token, const struct id *id); /* NULL without memory */
void lease_free(struct coordinator *c, struct lease *x); /* out of the table and its worker's list */
void lease_slots(struct leases *l, struct worker *w, uint32_t slots); /* so many has it from now on */
void leases_fini(struct coordinator *c);
int lease_put(struct turn *t, const struct lease *l);
