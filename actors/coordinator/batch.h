#pragma once
/* Batches: tasks that were accepted together, with what is to follow when all of them have ended. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct place;

int batch_begin(struct turn *t, struct coordinator *c, const Troupe__BatchSpec *spec, const char *submitter, Troupe__BatchRecord **ret);
int batch_put(struct turn *t, const struct id *batch, const Troupe__BatchRecord *b);
int member_put(struct turn *t, const struct id *batch, uint64_t seq, const Troupe__MemberRecord *m);
int batch_tell(struct coordinator *c, const struct place *p, Troupe__TaskState state); /* a task of it is final, or ready again after it was */
int batches_settle(struct turn *t, struct coordinator *c);
int batch_forget(struct turn *t, struct coordinator *c, const struct place *p);        /* the record of a task of it goes */
