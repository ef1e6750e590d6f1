#pragma once
/* From one state of a task to another, with all rows, counters and notices. */
#include "actors/coordinator/ledger.h"

#define HISTORY_KEEP 20u /* attempts of a task that are kept */

struct coordinator;
struct lease;
struct queue;

/* What the rows of a task are keyed by. */
struct place {
	struct id id;
	struct queue *queue;
	uint64_t seq, submitted_at_ms, size;
	uint32_t rank, requirement;
	const Troupe__TaskRecord *rec;  /* NULL: a plain task that ended well, whose record nobody needed to read */
	bool holds;                     /* its serial key */
};

/* A task without a lease, with its rows read: becomes what st says (state, cause and due time set by the caller). was: its state before. */
int task_move(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, Troupe__TaskState was);
/* Where a task is. READY, SCHEDULED, RUNNING or final; ERROR_NOT_FOUND, ERROR_CORRUPT, negative. ret_lease NULL unless RUNNING. */
int task_read(struct turn *t, struct coordinator *c, const struct id *id, Troupe__TaskRecord **ret, Troupe__StateRecord **ret_state, struct lease **ret_lease);
Troupe__TaskState task_state(const Troupe__StateRecord *st, const struct lease *l);
int task_delete(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st); /* of a final one */
struct place place_of(struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec);
/* The same for one that comes from a lease, or stays in its state with another place: move out, change the place, move in. */
int place_leave(struct turn *t, struct coordinator *c, struct place *p, Troupe__TaskState was, const Troupe__StateRecord *st);
int place_enter(struct turn *t, struct coordinator *c, struct place *p, Troupe__StateRecord *st);
int place_log(struct coordinator *c, const struct place *p, const Troupe__StateRecord *st, Troupe__TaskState was);
int task_cancel(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, Troupe__Cause cause); /* at once, or as a wish where it runs */
uint32_t task_rank(const Troupe__TaskRecord *rec);
