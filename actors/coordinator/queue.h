#pragma once
/* Queues: their records, counters and policies. All of them are in memory; a row is written at the end of a turn in which one has changed. */
#include "actors/coordinator/ledger.h"

#define QUEUES_MAX 10000u
#define NAME_MAX_BYTES 128u /* of a queue */

struct coordinator;

struct queue {
	char *name;
	Troupe__QueueRecord r;          /* name and policy are ours; strings owned */
	const Troupe__QueuePolicy *configured; /* NULL: not in the configuration */
	const Troupe__QueuePolicy *policy;     /* that holds */
	Troupe__QueuePolicy *own;              /* with what was set at run time; NULL: nothing was */
	bool changed;
	bool gated;                            /* in this turn: may start nothing more */
	struct stream **streams;        /* by requirement number; NULL where none */
	size_t n_streams;
	struct queue *next;             /* in its bucket */
};

/* --- queue.c --- */
struct queue *queue_find(struct coordinator *c, const char *name);
struct queue *queue_numbered(struct coordinator *c, uint32_t number);
bool queue_name_valid(const char *name);
/* A queue that was not there: in memory only, its row goes with the next commit. NULL without memory, or over QUEUES_MAX. */
struct queue *queue_add(struct coordinator *c, const char *name, uint32_t number);
int queues_load(struct coordinator *c, struct store_txn *view, struct error *e);
int queues_configure(struct coordinator *c);           /* the setup's queues and policies */
int queues_settle(struct turn *t, struct coordinator *c); /* rows of what changed */
void queues_free(struct coordinator *c);
int queue_unknown(struct turn *t, struct coordinator *c, const char *name, uint32_t index); /* NO_QUEUE, with a suggestion */
void queue_unknown_error(struct turn *t, struct coordinator *c, const char *name, struct error *e); /* the same, into e */
struct queue *queue_new(struct coordinator *c, const char *name);        /* with the next number; NULL as above */
int queue_remove(struct turn *t, struct coordinator *c, struct queue *q); /* an empty one */

/* --- policy.c --- */
void queue_policy_use(struct coordinator *c, struct queue *q);           /* after any of what it is made of has changed */
int queue_policy_check(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__QueueOrder *o, struct error *e); /* q NULL: a new one */
int queue_policy_set(struct turn *t, struct coordinator *c, struct queue *q, const Troupe__QueueOrder *o); /* after the check. 0 or negative */
int queue_policy_keep(struct queue *q, const Troupe__QueuePolicy *p, char *const *names, size_t n);
void queue_policy_free(struct queue *q);

/* --- queue_order.c --- */
int order_event(struct turn *t, const struct coordinator *c, const struct message *m, const char *type, const char *name, const char *why);
void text_keep(char **at, const char *text);                             /* an owned string of a record */
