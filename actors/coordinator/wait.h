#pragma once
/* Who waits for the end of which task, and hears of it after the commit. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;

bool watch_room(struct coordinator *c, uint64_t peer, size_t n);
int watch_notify(struct coordinator *c, uint64_t peer, const struct id *id);        /* 0 or -ENOMEM */
/* A task has become final: whoever watches it hears of it after the commit. */
int watch_final(struct turn *t, struct coordinator *c, const struct id *id, const struct queue *q, uint64_t seq, const Troupe__StateRecord *st, const char *submitter);
int wait_settle(struct turn *t, struct coordinator *c);
void watch_forget_peer(struct coordinator *c, uint64_t peer);
void watches_free(struct coordinator *c);
