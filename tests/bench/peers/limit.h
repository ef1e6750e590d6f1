#pragma once
/* The limit of a durable queue on LMDB: the rows that the life of a task leaves in the coordinator's store, put by hand, without messages. */
#include "tests/bench/ledger_raw.h"

/* Looks up on a node what the lives of n tasks leave that were submitted together. The caller has opened no client. */
void limit_learn(unsigned n, struct raw_pattern *ret);
/* What all of this depends on: fdatasync of 256 bytes that were appended to a file, p50 of many, in microseconds. */
double barrier_us(void);
double limit_run(const struct raw_pattern *p, unsigned n, double seconds); /* a commit for n tasks: tasks a second */
