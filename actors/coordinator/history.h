#pragma once
/* The transition log: one row a commit, read by cursor. It is also the index from a task's number to its id, and the clock of retention. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;

int log_add(struct coordinator *c, const struct id *id, Troupe__TransitionKind kind, Troupe__ExitClass exit_class, uint32_t attempt, const struct queue *q);
int log_settle(struct turn *t, struct coordinator *c);
int log_followers(struct turn *t, struct coordinator *c); /* answers those who have something, or whose time is over */
int log_retain(struct turn *t, struct coordinator *c);
int log_find_seq(struct turn *t, struct coordinator *c, uint64_t seq, struct id *ret);
void follow_forget_peer(struct coordinator *c, uint64_t peer);
