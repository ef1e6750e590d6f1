#pragma once
/* What trouped must not forget: crash reports and operators' orders, in one small LMDB environment, <state_dir>/supervisor.
 *
 *   crash   key: id, u64 rising   value: packed troupe.Crash
 *   order   key: a child's name   value: "stopped"
 *   child   key: a child's name   value: packed troupe.AddChild, of one that was added while the node ran
 *
 * Orders are committed before they are answered. Reports wait in memory (at most 64) and are written at most once a second. A failing disk never ends trouped: it goes on
 * in memory, says so, and opens the store anew every 5 s. */
#include <stdbool.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "proto/node.pb-c.h"

#define RECORD_CRASHES_MAX 1000u
#define RECORD_WAITING_MAX 64u
#define RECORD_PAGE_MAX 20u       /* reports of one answer: a lifeline's packet is bounded */

struct record;

/* Never fails but without memory: a store that cannot be opened is tried again later, and record_alarm says why. dir is copied. */
struct record *record_open(const char *dir, uint64_t now_ms);
struct record *record_close(struct record *r, uint64_t now_ms); /* writes what waits; returns NULL; NULL accepted */
/* Gives the report its id (returned) and queues it. Where too many wait the oldest is dropped, and counted in record_alarm's text. */
uint64_t record_crash(struct record *r, const Troupe__Crash *c);
/* Writes what waits, or opens a failed store again, where that is due. Returns when it wants to be called next; TIME_NEVER. */
uint64_t record_tick(struct record *r, uint64_t now_ms);
/* Newest first: before q->before (0: the newest), of q->address (""), or the one with q->id. Those that still wait are seen too. ret and its reports lie in a.
 * 0, ERROR_NOT_FOUND (q->id), -ENOMEM. */
int record_crashes(struct record *r, const Troupe__CrashAsk *q, struct arena *a, Troupe__Crashes *ret);
/* An operator wants the child stopped, or no longer, or gone. Durable when it returns 0; ERROR_STORE with a text. Blocks for one commit. */
enum record_state { RECORD_STARTED, RECORD_STOPPED, RECORD_GONE };
int record_order(struct record *r, const char *name, enum record_state state, struct error *e);
/* A child that was added. Durable when it returns 0, as above. */
int record_child(struct record *r, const Troupe__AddChild *add, struct error *e);
void record_child_gone(struct record *r, const char *name);      /* by itself: written with the next reports */
void record_children(struct record *r, void (*fn)(void *ctx, const Troupe__AddChild *add), void *ctx); /* in the order of their seq */
void record_orders(struct record *r, void (*fn)(void *ctx, const char *name), void *ctx); /* all that are to stay stopped */
const char *record_alarm(const struct record *r); /* NULL: all is well */
