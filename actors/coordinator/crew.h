#pragma once
/* Workers: what is known of each, and what they say. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct group;
struct lease;
struct outside;
struct pool;
struct queue;

struct worker {
	char address[192];
	uint64_t incarnation;
	uint64_t peer;                  /* 0: no connection; set by worker_set_peer */
	struct worker *same_peer;       /* with the same hash of it */
	uint32_t pid;
	char mode[16], broken[160];
	bool attached, draining, monitored;
	struct pool *pool;              /* by its address, then by its Attach; NULL: not known */
	struct group *group;            /* NULL before its Attach */
	enum { WORKER_NOWHERE, WORKER_OPEN, WORKER_MORE } place; /* in the group's lists */
	struct worker *listed_next, **listed_at;
	uint32_t slots;
	struct lease *leases;
	uint32_t held, n_started;
	uint64_t bytes;
	double average_us;
	uint64_t n_done, n_failed, given_at_ms;
	Troupe__Assignment **run;       /* chosen in this turn */
	size_t n_run, room_run;
	struct worker *next_run;        /* with something chosen */
	/* its death, until its last words are read */
	bool down, down_pending;
	Troupe__Reason down_reason;
	int down_code, down_signal;
	bool down_ordered;
	uint64_t *down_tokens;
	size_t n_down_tokens;
	uint32_t pending_pid;
	uint64_t down_by_ms;
	struct outside *outside;        /* NULL: a worker of the tree */
	struct worker *next;
};

struct worker *worker_find(struct coordinator *c, const char *address, uint64_t incarnation);
struct worker *worker_of_peer(struct coordinator *c, uint64_t peer); /* NULL: nobody has attached by this connection */
void worker_set_peer(struct coordinator *c, struct worker *w, uint64_t peer); /* 0: not any more */
struct worker *worker_add(struct coordinator *c, const char *address, uint64_t incarnation); /* NULL without memory */
void worker_free(struct coordinator *c, struct worker *w); /* its leases must be gone */
void workers_free(struct coordinator *c);
bool worker_may_work(const struct worker *w);
int worker_push(struct turn *t, struct worker *w, Troupe__Envelope *env); /* a connection that is gone is no error */
int crew_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up);
int crew_down(struct turn *t, void *state, const Troupe__Down *d);
int crew_wake(struct turn *t, struct coordinator *c); /* the dead whose connection does not end */
int crew_revoke_queue(struct turn *t, struct coordinator *c, const struct queue *q); /* what has not begun */
