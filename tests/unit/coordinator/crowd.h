#pragma once
/* Who stands around a stage, for tests of the queue: a client and two workers of pool a, what each says, and what is seen of it afterwards. One stage a test.
 * Each call is a turn of its own; what is refused where nothing may be refused fails the test. */
#include "tests/suite.h"
#include "tests/unit/coordinator/stage.h"

extern struct stage *s;
extern const struct who client, worker, other;

/* A checked fixture: stage_new's stage. */
void setup(void);
void teardown(void);

/* The client. */
struct id id_of(unsigned n); /* by which the test knows its n-th task: n stands in the last two bytes */
/* A task with its id and payload, both the caller's: they must outlive it. */
Troupe__TaskSpec spec_of(struct id *id, const char *queue, const char *payload);
/* stage_ask's: NULL where it is refused, then the reason is s->refusal. */
const Troupe__Envelope *submit_all(Troupe__TaskSpec **specs, size_t n);
const Troupe__Envelope *submit(Troupe__TaskSpec *x);
struct id submit_plain(unsigned n); /* in queue a, payload "work"; is accepted */
/* BODY_CANCEL, BODY_RETRY or BODY_PURGE of one task. Never NULL; valid as stage_ask's answer is. */
const Troupe__Changed *change(Troupe__Envelope__BodyCase what, const struct id *id, bool dry_run);
void order(Troupe__QueueOrder__Op op, const char *name); /* PAUSE or RESUME, to a queue; is obeyed */
void checks_out(void); /* the coordinator's check of its store finds no problem */

/* A worker. */
void attach_with(const struct who *who, uint32_t slots, const char *tag); /* serves queues a and b; tag NULL: none */
void attach(const struct who *who);                                       /* one slot, no tag */
void starts(const struct who *who, uint64_t token);
void ends(const struct who *who, uint64_t token, Troupe__ExitClass class, const char *output); /* after a second of work */
void hangs_up(const struct who *who); /* its connection ends; nothing says that it died */
/* Its supervisor says that it was killed. in_work: the token that its status cell names, 0: none. proven: nothing of its family is left. */
void dies(const struct who *who, uint64_t in_work, bool proven);

/* Both clocks go on, and the coordinator wakes if its time has come. */
void passes(uint64_t ms);

/* What the last turn said to a connection, of one kind; NULL: nothing. Valid as stage_read's. */
const Troupe__Envelope *said(uint64_t peer, Troupe__Envelope__BodyCase what);
/* The token of the one task that the last turn gave to this worker; 0: none. */
uint64_t given(const struct who *who);

Troupe__TaskState state_of(const struct id *id); /* stage_state_of's */
#define IS(id, state) ck_assert_int_eq(state_of(id), TROUPE__TASK_STATE__##state)
