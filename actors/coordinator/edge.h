#pragma once
/* Edges: a task that waits for the end of others. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct lease;
struct place;

int edge_put(struct turn *t, const struct id *parent, const struct id *child, Troupe__EdgeOn on);
bool edge_met(Troupe__EdgeOn on, Troupe__TaskState parent);   /* of a final parent */
int edge_mark(struct turn *t, struct coordinator *c, const struct id *id, Troupe__StateRecord *st, struct lease *l, const Troupe__TaskRecord *rec); /* somebody waits for it */
int edges_ended(struct coordinator *c, const struct place *p);
int edges_due(struct turn *t, struct coordinator *c, struct slice parent);
int edges_settle(struct turn *t, struct coordinator *c);
int task_unblock(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st); /* one thing less that it waits for */
