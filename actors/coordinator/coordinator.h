#pragma once
/* coordinator:NAME, the durable task queues and the pool of workers.
 *
 * What is on disk is the ledger (ledger.h). In memory is only what is in flight: leases, workers, who waits for what; and the queues with their counters.
 * The files: submit.c takes tasks in, stream.c and choose.c give them to workers, crew.c hears what workers say, outside.c those that are not of the tree, finish.c is what
 * follows from the end of an attempt, move.c takes a task from one state to another. key.c, limit.c, edge.c and batch.c say what else a task waits for. change.c, alter.c
 * and look.c are the operators' verbs, explain.c says why, wait.c tells who waits, history.c is the transition log, due.c does what is due by the clocks;
 * cron_*.c are entries that submit by themselves (cron.h: when), zones.c the zones that they name; blob.c keeps large payloads.
 *
 * The life of a plain task is two commits: [task row, lease row, log], RUN; [state row, lease gone, log], ACK. A task that no worker can take in the turn of its
 * submit gets a ready row; one that is for later gets a state row and a due row. "Ready for the first time" has no state row, RUNNING is a lease row. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/finish.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/ledger.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "actors/coordinator/verbs.h"
#include "common/base/rng.h"

#define BULK_MAX 4096u              /* tasks of one submit */
#define REFS_MAX 1000u              /* of one get, wait, cancel... */

struct coordinator {
	struct store *store;
	const Troupe__CoordinatorSetup *setup;
	const char *address, *state_dir; /* the setup's */
	uint64_t payload_max, frame_max;
	struct steady steady;
	Troupe__MetaRecord meta;               /* strings owned */
	bool meta_changed;
	struct rng rng;

	struct queue *buckets[256], **queues; /* by number - 1 */
	size_t n_queues;
	struct requirement **requirements;    /* by number; 0 is the empty one */
	size_t n_requirements, n_stored_requirements; /* the first ones have a row */
	uint32_t shape;                       /* rises when streams are added */
	struct stream **busy;                 /* with fresh candidates */
	size_t n_busy, room_busy;

	struct leases leases;
	struct pool *pools;
	struct group *groups;
	struct dirty_key *dirty_keys;         /* of this turn, as the next two */
	size_t n_dirty_keys, room_dirty_keys;
	struct ended *ended;
	size_t n_ended, room_ended;
	struct batch_news *batch_news;
	size_t n_batch_news, room_batch_news;
	struct worker *workers;
	size_t n_workers;
	const struct outside_eye *eye;        /* NULL: processes cannot be seen */
	size_t n_outside;
	uint64_t outside_number, outside_due_ms;

	struct watch **watch_buckets;
	size_t n_watches;
	struct waiter *waiters;
	size_t n_waiters;
	struct peer_watches *notified;
	struct notice *notices;               /* of this turn */
	size_t n_notices, room_notices;

	uint8_t *log;                         /* this turn's entries */
	size_t n_log, room_log;
	uint64_t log_first_seq;               /* of this turn */
	struct follower *followers;
	size_t n_followers;
	uint64_t retain_at_ms;

	uint64_t due_ms, at_wall_ms;          /* the first row of tables due and at, or earlier; TIME_NEVER */
	uint64_t disk_seen_ms, disk_taken;    /* bytes taken in since then */
	bool disk_low, disk_stop;
	uint64_t disk_free, disk_mark;
	struct crons *crons;
	struct blobs blobs;
	bool again;                           /* settle wants another turn at once */
	uint64_t wake_ms;                     /* what this turn wishes */
	uint64_t started_ms;
	uint64_t n_accepted, n_stale, n_handed_back;
};

extern const struct actor_def coordinator_def;
/* The state on its store: what init does. The caller frees it with coordinator_def.fini. 0, a positive code with e filled, negative. */
int coordinator_open(struct store *store, const Troupe__Setup *setup, struct coordinator **ret, struct error *e);
int coordinator_begin(struct turn *t, void *state, void *arg); /* the first turn's message */

static inline void wake_by(struct coordinator *c, uint64_t at_ms) { if (at_ms < c->wake_ms) c->wake_ms = at_ms; }

/* --- submit.c --- */
/* One task of the node's own; an id is made where it has none. spec must live as long as the turn. 0, a positive code with e filled, negative. */
int submit_task(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, struct id *ret_id, struct error *e);

/* --- spec.c --- */
size_t spec_inline(const Troupe__TaskSpec *spec);     /* bytes of payload and arguments in the record */
size_t spec_size(const Troupe__TaskSpec *spec);       /* with a payload beside it */
int spec_check(const struct coordinator *c, const Troupe__TaskSpec *s, struct error *e); /* 0 or a positive code with e filled */

/* --- choose.c --- */
int choose(struct turn *t, struct coordinator *c);    /* in settle: leases and RUN for all who have room, ready rows for the rest */

/* --- limit.c --- */
/* May it start one more now? False: *ret_wait_ms says when it may, by the clock alone; TIME_NEVER: when something ends. */
bool limit_queue(const struct coordinator *c, const struct queue *q, uint64_t now_ms, uint64_t *ret_wait_ms);
bool limit_node(const struct coordinator *c);         /* may anything start? */
void limit_take(struct queue *q, uint64_t now_ms);    /* an attempt begins */
/* Does the queue take n tasks of so many bytes more? 0, ERROR_BUSY, ERROR_TOO_LARGE with e filled. */
int limit_admit(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes, struct error *e);
int limit_drop(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes); /* what must go for them, where the policy drops */
uint64_t oldest_ready_ms(struct turn *t, struct coordinator *c, const struct queue *q); /* age; 0: none */

/* --- key.c --- */
/* A task of a serial key is to be ready. *ret_go false: it waits in table waiting until its turn. */
int key_enter(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go);
int key_release(struct turn *t, struct coordinator *c, struct place *p);              /* it held the key, and does not any more */
int key_leave(struct turn *t, struct coordinator *c, struct place *p, bool *ret_waited); /* it was ready; p->holds says whether it held the key */
/* Its attempt is about to begin: takes a token of the key's rate. *ret_go false: there is none; it waits again. */
int key_start(struct turn *t, struct coordinator *c, struct place *p, bool *ret_go);
int key_look(struct turn *t, struct coordinator *c, struct slice name);
int keys_settle(struct turn *t, struct coordinator *c);
uint64_t key_wait_ms(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__KeyRecord *k); /* until its rate lets one begin */
bool key_serial(const struct queue *q);               /* one at a time: it is held between two attempts */
bool key_waits(struct turn *t, const struct place *p, uint64_t *ret_before); /* in table waiting; how many are before it, at most 1,000 */
int key_get(struct turn *t, const struct queue *q, const char *key, Troupe__KeyRecord **ret); /* 0, ERROR_NOT_FOUND, ERROR_CORRUPT, negative */

/* --- edge.c --- */
int edge_put(struct turn *t, const struct id *parent, const struct id *child, Troupe__EdgeOn on);
bool edge_met(Troupe__EdgeOn on, Troupe__TaskState parent);   /* of a final parent */
int edge_mark(struct turn *t, struct coordinator *c, const struct id *id, Troupe__StateRecord *st, struct lease *l, const Troupe__TaskRecord *rec); /* somebody waits for it */
int edges_ended(struct coordinator *c, const struct place *p);
int edges_due(struct turn *t, struct coordinator *c, struct slice parent);
int edges_settle(struct turn *t, struct coordinator *c);
int task_unblock(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st); /* one thing less that it waits for */

/* --- batch.c --- */
int batch_begin(struct turn *t, struct coordinator *c, const Troupe__BatchSpec *spec, const char *submitter, Troupe__BatchRecord **ret);
int batch_put(struct turn *t, const struct id *batch, const Troupe__BatchRecord *b);
int member_put(struct turn *t, const struct id *batch, uint64_t seq, const Troupe__MemberRecord *m);
int batch_tell(struct coordinator *c, const struct place *p, Troupe__TaskState state); /* a task of it is final, or ready again after it was */
int batches_settle(struct turn *t, struct coordinator *c);
int batch_forget(struct turn *t, struct coordinator *c, const struct place *p);        /* the record of a task of it goes */

/* --- disk.c --- */
void disk_look(struct coordinator *c, uint64_t now_ms);
void disk_take(struct coordinator *c, size_t bytes);
int disk_check(struct turn *t, struct coordinator *c, struct error *e); /* 0, or ERROR_DISK_LOW with e filled */

/* --- blob.c: payloads above what a message carries, blob.h --- */
/* May a task name it: all of it is here. 0, a positive code with e filled (but its index), negative. */
int blob_check(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref, struct error *e);
int blob_use(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref);   /* one task more names it */
int blob_unuse(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref); /* one less */
int blob_due(struct turn *t, struct coordinator *c, struct slice sha256);
int blob_wake(struct turn *t, struct coordinator *c);  /* what the start has to look at, uploads that nobody goes on with */

/* --- blob_check.c: how often each is named --- */
struct blob_census;
int blob_census_new(struct store_txn *view, struct blob_census **ret); /* all rows. 0, ERROR_CORRUPT (some), negative */
struct blob_census *blob_census_free(struct blob_census *x);
const char *blob_census_task(struct blob_census *x, const Troupe__TaskSpec *spec); /* a task; what is wrong with it, or NULL */
void blob_census_end(const struct blob_census *x, const struct blobs *files, void (*complain)(void *ctx, const char *what), void *ctx); /* what does not fit */

/* --- due.c --- */
/* Rows of the due index, by the steady clock, and of table at, by the wall clock. The value is copied; number must be the row's own among those of one millisecond: a
 * task's seq, or a number with a high bit of its kind (DUE_NUMBER). */
enum due_kind { DUE_KEY = 'k', DUE_EDGES = 'e', DUE_BLOB = 'b', DUE_CRON = 'c' };
#define DUE_OTHER ((uint64_t)1 << 62) /* of a task's row that is not the time of its next attempt */
#define DUE_NUMBER(kind, n) ((uint64_t)1 << 63 | (uint64_t)(kind) << 48 | ((uint64_t)(n) & 0xffffffffffff))
int due_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t seq, const struct id *id);
int due_kind_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t number, struct slice value);
int at_put(struct turn *t, struct coordinator *c, uint64_t wall_ms, uint64_t number, struct slice value);
int due_run(struct turn *t, struct coordinator *c);

/* --- cron_entries.c, cron_orders.c, cron_clock.c --- */
int crons_open(struct coordinator *c, struct store_txn *view);
void crons_free(struct coordinator *c);
int crons_tick(struct turn *t, struct coordinator *c);  /* after due rows, once a turn: has the clock been set back? */
int cron_due(struct turn *t, struct coordinator *c, struct slice name); /* the row of this entry was due, and is deleted */

/* --- look.c --- */
/* 0, a positive code with e filled, negative. */
int ref_resolve(struct turn *t, struct coordinator *c, const Troupe__TaskRef *r, struct id *ret, struct error *e);
enum { SHOW_PAYLOAD = 1, SHOW_OUTPUT = 2, SHOW_HISTORY = 4 };
int task_show(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l, unsigned what,
              Troupe__Task **ret);
/* Walks the tasks that a filter names, newest first, from a cursor: fn for each that fits, until it returns positive (stop: *ret_next is behind it), or LOOK_MAX
 * rows were seen. *ret_next.len 0: no more. */
int filter_walk(struct turn *t, struct coordinator *c, const Troupe__Filter *f, const ProtobufCBinaryData *cursor,
                int (*fn)(struct turn *t, void *ctx, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l), void *ctx, ProtobufCBinaryData *ret_next);

/* --- wait.c --- */
bool watch_room(struct coordinator *c, uint64_t peer, size_t n);
int watch_notify(struct coordinator *c, uint64_t peer, const struct id *id);        /* 0 or -ENOMEM */
/* A task has become final: whoever watches it hears of it after the commit. */
int watch_final(struct turn *t, struct coordinator *c, const struct id *id, const struct queue *q, uint64_t seq, const Troupe__StateRecord *st, const char *submitter);
int wait_settle(struct turn *t, struct coordinator *c);
void watch_forget_peer(struct coordinator *c, uint64_t peer);
void watches_free(struct coordinator *c);

/* --- history.c --- */
int log_add(struct coordinator *c, const struct id *id, Troupe__TransitionKind kind, Troupe__ExitClass exit_class, uint32_t attempt, const struct queue *q);
int log_settle(struct turn *t, struct coordinator *c);
int log_followers(struct turn *t, struct coordinator *c); /* answers those who have something, or whose time is over */
int log_retain(struct turn *t, struct coordinator *c);
int log_find_seq(struct turn *t, struct coordinator *c, uint64_t seq, struct id *ret);
void follow_forget_peer(struct coordinator *c, uint64_t peer);

/* --- check.c --- */
#define CHECK_LINES_MAX 50u
struct check_report {
	uint64_t n_tasks, n_problems;
	uint64_t states[7];             /* tasks, by Troupe__TaskState */
	char *lines[CHECK_LINES_MAX];   /* the first problems */
	size_t n_lines;
};
/* All rows that view shows, against each other and against the counters and leases in memory. The lines lie in the arena. 0 or negative. */
int check_ledger(struct coordinator *c, struct store_txn *view, struct arena *lines, struct check_report *ret);

/* --- offline.c --- */
enum { CHECK_SOUND = 0, CHECK_PROBLEMS = 1, CHECK_FAILED = 2 }; /* exit statuses */
/* The ledger in dir, which nobody may be writing, as JSON lines to f: {"problem": TEXT} for each of the first problems, then {"tasks": N, "problems": N, "ready": N, ...};
 * where it could not be looked at {"error": TEXT, "code": NAME} alone. */
int check_offline(const char *dir, FILE *f);
