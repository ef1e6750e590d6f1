#pragma once
/* Looking at tasks: which one is meant, what is shown of it, and all that a filter fits. */
#include "actors/coordinator/ledger.h"

#define REFS_MAX 1000u /* of one get, wait, cancel... */

struct coordinator;
struct lease;

/* 0, a positive code with e filled, negative. */
int ref_resolve(struct turn *t, struct coordinator *c, const Troupe__TaskRef *r, struct id *ret, struct error *e);
/* The same, and what task_read says of it. r NULL: no task is named. */
int ref_read(struct turn *t, struct coordinator *c, const Troupe__TaskRef *r, struct id *ret, Troupe__TaskRecord **ret_rec, Troupe__StateRecord **ret_state, struct lease **ret_lease,
             struct error *e);
enum { SHOW_PAYLOAD = 1, SHOW_OUTPUT = 2, SHOW_HISTORY = 4 };
int task_show(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l, unsigned what,
              Troupe__Task **ret);
/* Walks the tasks that a filter names, newest first, from a cursor: fn for each that fits, until it returns positive (stop: *ret_next is behind it), or LOOK_MAX
 * rows were seen. *ret_next.len 0: no more. */
int filter_walk(struct turn *t, struct coordinator *c, const Troupe__Filter *f, const ProtobufCBinaryData *cursor,
                int (*fn)(struct turn *t, void *ctx, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l), void *ctx, ProtobufCBinaryData *ret_next);
