#pragma once
/* coordinator:NAME, the durable task queues and the pool of workers.
 *
 * What is on disk is the ledger (ledger.h). In memory is only what is in flight: leases, workers, who waits for what; and the queues with their counters.
 * The files: submit.c takes tasks in, stream.c and choose.c give them to workers, crew.c hears what workers say, outside.c those that are not of the tree, finish.c is what
 * follows from the end of an attempt, move.c takes a task from one state to another. key.c, limit.c, edge.c and batch.c say what else a task waits for. change.c, alter.c
 * and look.c are the operators' verbs, explain.c says why, wait.c tells who waits, history.c is the transition log, due.c does what is due by the clocks;
 * cron_*.c are entries that submit by themselves (cron.h: when), zones.c the zones that they name; blob.c keeps large payloads. A header has the name of its file, or of
 * the subject where several files share it; all handlers of verbs are in verbs.h. This one is the state that they share, and its life.
 * In all of them an int without a word of its own is 0; a positive code, and then nothing of what was done may be committed; or negative: fatal.
 *
 * The life of a plain task is two commits: [task row, lease row, log], RUN; [state row, lease gone, log], ACK. A task that no worker can take in the turn of its
 * submit gets a ready row; one that is for later gets a state row and a due row. "Ready for the first time" has no state row, RUNNING is a lease row. */
#include "actors/coordinator/blob_file.h"
#include "actors/coordinator/lease.h"
#include "actors/coordinator/ledger.h"
#include "actors/coordinator/steady.h"
#include "common/base/rng.h"

#define PEER_BUCKETS 1024u

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
	struct worker *by_peer[PEER_BUCKETS]; /* by the number of their connection */
	struct worker *chosen_for;            /* those who get something from this turn */
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
	uint64_t n_stale, n_handed_back;
};

extern const struct actor_def coordinator_def;
/* The state on its store: what init does. The caller frees it with coordinator_def.fini. 0, a positive code with e filled, negative. */
int coordinator_open(struct store *store, const Troupe__Setup *setup, struct coordinator **ret, struct error *e);
int coordinator_begin(struct turn *t, void *state, void *arg); /* the first turn's message */

static inline void wake_by(struct coordinator *c, uint64_t at_ms) { if (at_ms < c->wake_ms) c->wake_ms = at_ms; }
