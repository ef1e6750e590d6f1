#pragma once
/* What follows from the end of an attempt, or of a lease that never became one. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct lease;

/* The end of an attempt: all rows, counters, log, notices. The lease is freed. quick: the next attempt needs no delay (the worker died, not the task). */
int attempt_end(struct turn *t, struct coordinator *c, struct lease *l, const Troupe__Outcome *o, bool quick);
/* A lease that never became an attempt: ready again as it was, or cancelled where that was asked for. The lease is freed. */
int attempt_return(struct turn *t, struct coordinator *c, struct lease *l);
