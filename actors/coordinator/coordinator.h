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
#include "actors/coordinator/ledger.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/rng.h"

#define QUEUES_MAX 10000u
#define REQUIREMENTS_MAX 1000u
#define BULK_MAX 4096u              /* tasks of one submit */
#define NAME_MAX_BYTES 128u         /* of a queue */
#define RESOURCES_MAX 8u
#define TAG_BYTES_MAX 64u
#define REFS_MAX 1000u              /* of one get, wait, cancel... */
#define HISTORY_KEEP 20u            /* attempts of a task that are kept */

/* One that may be given now. spec NULL: read it from the task table. */
struct candidate {
	struct id id;
	uint64_t seq;
	uint32_t rank;                  /* its place: the priority, in a queue with ageing later for who came later */
	bool stored;                    /* has a ready row */
	bool first;                     /* no state row */
	const Troupe__TaskSpec *spec;   /* of this turn's submit */
	const Troupe__TaskRecord *rec;  /* the same; NULL: read it */
};
struct candidates { struct candidate *all; size_t n, room, next; bool unsorted; };

/* The tasks of one queue that need the same, in order. The window outlives turns: whoever changes a row of the ready index that lies in it says stream_touch. */
struct stream {
	struct queue *queue;
	const struct requirement *requirement;
	bool stored_any;                /* the ready index may have rows behind the window */
	struct candidates stored;       /* a window of the ready index */
	struct candidates fresh;        /* accepted, or due, in this turn: no row yet */
	bool listed;                    /* in coordinator.busy */
	uint32_t cursor_rank;           /* where the window ends */
	uint64_t cursor_seq;
	uint64_t served;                /* turns that it had in a fair queue */
};

/* What a worker must have, interned. */
struct resource { char *name; uint64_t amount; };
struct requirement { uint32_t number; char **tags; size_t n_tags; struct resource *resources; size_t n_resources; char *submitter; };
struct need { char **tags; size_t n_tags; Troupe__Resource **resources; size_t n_resources; const char *submitter; }; /* the same, asked for; sorted in place */

/* A pool of workers, for the resources that they share. */
struct pool { char name[64]; struct resource *has; size_t n_has; uint64_t used[RESOURCES_MAX]; struct pool *next; };

/* Workers that may take the same: of one pool, with the same queues and tags. Of their streams the best gives to the next free worker. */
struct group {
	struct pool *pool;
	char **queues, **tags;
	size_t n_queues, n_tags;
	uint32_t shape;
	struct stream **streams;        /* that it serves, as of .shape */
	size_t n_streams, room_streams;
	struct worker *open, **open_tail; /* with a free slot, the longest idle one first */
	struct worker *more, **more_tail; /* none, but they may hold more */
	size_t n_workers;
	struct group *next;
};

struct queue {
	char *name;
	Troupe__QueueRecord r;          /* name and policy are ours; strings owned */
	const Troupe__QueuePolicy *configured; /* NULL: not in the configuration */
	const Troupe__QueuePolicy *policy;     /* that holds */
	Troupe__QueuePolicy *own;              /* with what was set at run time; NULL: nothing was */
	bool changed;
	bool gated;                            /* in this turn: may start nothing more */
	struct stream **streams;        /* by requirement number; NULL where none */
	size_t n_streams;
	struct queue *next;             /* in its bucket */
};

struct lease {
	struct id id;
	uint64_t token, seq, size;
	struct queue *queue;
	uint32_t rank, requirement, run, attempt;
	bool cancel, has_state, needs_record;
	Troupe__Cause cause;           /* of the cancel */
	bool started;
	bool unknown;                   /* read from the store, of a worker from outside: whether it has begun nobody has said yet */
	uint64_t given_at_ms, started_at_ms; /* steady clock */
	struct worker *worker;
	uint32_t percent;
	char *note;
	struct lease *bucket;
	struct lease *next, **at;       /* of the worker's */
};
struct leases { struct lease **buckets; size_t room, n; };

/* What the rows of a task are keyed by. */
struct place {
	struct id id;
	struct queue *queue;
	uint64_t seq, submitted_at_ms, size;
	uint32_t rank, requirement;
	const Troupe__TaskRecord *rec;  /* NULL: a plain task that ended well, whose record nobody needed to read */
	bool holds;                     /* its serial key */
};

struct worker {
	char address[192];
	uint64_t incarnation;
	uint64_t peer;                  /* 0: no connection */
	uint32_t pid;
	char mode[16], broken[160];
	bool attached, draining, monitored;
	struct pool *pool;              /* by its address, then by its Attach; NULL: not known */
	struct group *group;            /* NULL before its Attach */
	enum { WORKER_NOWHERE, WORKER_OPEN, WORKER_MORE } place; /* in the group's lists */
	struct worker *listed_next, **listed_at;
	uint32_t slots;
	struct lease *leases;
	uint32_t held, n_started;
	uint64_t bytes;
	double average_us;
	uint64_t n_done, n_failed, busy_since_ms, given_at_ms;
	Troupe__Assignment **run;       /* chosen in this turn */
	size_t n_run, room_run;
	/* its death, until its last words are read */
	bool down, down_pending;
	Troupe__Reason down_reason;
	int down_code, down_signal;
	bool down_ordered;
	uint64_t *down_tokens;
	size_t n_down_tokens;
	uint32_t pending_pid;
	uint64_t down_by_ms;
	struct outside *outside;        /* NULL: a worker of the tree */
	struct worker *next;
};

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

/* Makes room for need elements. NULL without memory (then the old one is still there). */
static inline void *grown(void *all, size_t *room, size_t need, size_t size)
{
	if (need <= *room)
		return all;
	size_t more = *room ? *room * 2 : 16;
	while (more < need)
		more *= 2;
	void *p = reallocarray(all, more, size);
	if (p)
		*room = more;
	return p;
}
#define GROW(array, room, need) __extension__({ void *_p = grown((array), &(room), (need), sizeof *(array)); if (_p) (array) = _p; _p != NULL; })
static inline struct slice id_key(const struct id *id) { return SLICE(id->b, sizeof id->b); }
static inline void wake_by(struct coordinator *c, uint64_t at_ms) { if (at_ms < c->wake_ms) c->wake_ms = at_ms; }

/* --- queue.c --- */
struct queue *queue_find(struct coordinator *c, const char *name);
struct queue *queue_numbered(struct coordinator *c, uint32_t number);
bool queue_name_valid(const char *name);
/* A queue that was not there: in memory only, its row goes with the next commit. NULL without memory, or over QUEUES_MAX. */
struct queue *queue_add(struct coordinator *c, const char *name, uint32_t number);
int queues_load(struct coordinator *c, struct store_txn *view, struct error *e);
int queues_configure(struct coordinator *c);           /* the setup's queues and policies */
int queues_settle(struct turn *t, struct coordinator *c); /* rows of what changed */
void queues_free(struct coordinator *c);
int queue_unknown(struct turn *t, struct coordinator *c, const char *name, uint32_t index); /* NO_QUEUE, with a suggestion */
void queue_unknown_error(struct turn *t, struct coordinator *c, const char *name, struct error *e); /* the same, into e */
struct queue *queue_new(struct coordinator *c, const char *name);        /* with the next number; NULL as above */
int queue_remove(struct turn *t, struct coordinator *c, struct queue *q); /* an empty one */

/* --- policy.c --- */
void queue_policy_use(struct coordinator *c, struct queue *q);           /* after any of what it is made of has changed */
int queue_policy_check(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__QueueOrder *o, struct error *e); /* q NULL: a new one */
int queue_policy_set(struct turn *t, struct coordinator *c, struct queue *q, const Troupe__QueueOrder *o); /* after the check. 0 or negative */
int queue_policy_keep(struct queue *q, const Troupe__QueuePolicy *p, char *const *names, size_t n);
void queue_policy_free(struct queue *q);

/* --- queue_order.c --- */
int order_event(struct turn *t, const struct coordinator *c, const struct message *m, const char *type, const char *name, const char *why);
void text_keep(char **at, const char *text);                             /* an owned string of a record */

/* --- requirement.c --- */
int requirements_load(struct coordinator *c, struct store_txn *view);    /* 0, ERROR_CORRUPT, negative */
void requirements_free(struct coordinator *c);
/* The number of a need. 0, ERROR_TOO_LARGE, -ENOMEM. */
int requirement_of(struct coordinator *c, struct need *need, uint32_t *ret);
int requirements_settle(struct turn *t, struct coordinator *c);          /* rows of new ones */

/* --- lease.c --- */
struct lease *lease_find(const struct leases *l, uint64_t token);
struct lease *lease_add(struct leases *l, struct worker *w, uint64_t token, const struct id *id); /* NULL without memory */
void lease_free(struct coordinator *c, struct lease *x); /* out of the table and its worker's list */
void leases_fini(struct coordinator *c);
int lease_put(struct turn *t, const struct lease *l);

/* --- submit.c --- */
/* One task of the node's own; an id is made where it has none. spec must live as long as the turn. 0, a positive code with e filled, negative. */
int submit_task(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, struct id *ret_id, struct error *e);

/* --- spec.c --- */
size_t spec_inline(const Troupe__TaskSpec *spec);     /* bytes of payload and arguments in the record */
size_t spec_size(const Troupe__TaskSpec *spec);       /* with a payload beside it */
int spec_check(const struct coordinator *c, const Troupe__TaskSpec *s, struct error *e); /* 0 or a positive code with e filled */

/* --- stream.c --- */
struct stream *stream_of(struct coordinator *c, struct queue *q, uint32_t requirement); /* made where missing; NULL without memory */
int streams_load(struct coordinator *c, struct store_txn *view);      /* those that the ready index has rows of */
int stream_head(struct turn *t, struct coordinator *c, struct stream *s, struct candidate **ret); /* the best, or NULL. 0 or negative */
void stream_take(struct stream *s, const struct candidate *one);
void stream_touch(struct stream *s, uint32_t rank, uint64_t seq);     /* a row of the ready index came or went otherwise than by give */
int fresh_add(struct coordinator *c, struct stream *s, const struct candidate *what); /* 0 or -ENOMEM */
struct candidate *fresh_find(const struct stream *s, const struct id *id); /* NULL: not of this turn */
bool fresh_drop(struct stream *s, const struct id *id);
int fresh_store(struct turn *t, struct coordinator *c);               /* at the turn's end: ready rows for what nobody took */

/* --- group.c --- */
struct pool *pool_of(struct coordinator *c, const char *name);        /* made where missing; NULL without memory */
bool pool_can(const struct pool *p, const struct requirement *need, bool now); /* has it at all; and free now */
void pool_use(struct pool *p, const struct requirement *need, bool back);
/* The group of a worker by what its Attach says. 0 or -ENOMEM. */
int group_join(struct coordinator *c, struct worker *w, const Troupe__Attach *a);
void group_leave(struct coordinator *c, struct worker *w);
int group_streams(struct coordinator *c, struct group *g);            /* anew when there are more streams. 0 or -ENOMEM */
bool group_serves(const struct group *g, const char *queue);
bool group_has_tags(const struct group *g, const struct requirement *need);
void worker_place(struct worker *w);                                  /* after anything about it has changed */
void worker_behind(struct worker *w);                                 /* the same, and behind the others of its list */
void groups_free(struct coordinator *c);

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

/* --- crew.c --- */
struct worker *worker_find(struct coordinator *c, const char *address, uint64_t incarnation);
struct worker *worker_add(struct coordinator *c, const char *address, uint64_t incarnation); /* NULL without memory */
void worker_free(struct coordinator *c, struct worker *w); /* its leases must be gone */
void workers_free(struct coordinator *c);
bool worker_may_work(const struct worker *w);
int worker_push(struct turn *t, struct worker *w, Troupe__Envelope *env); /* a connection that is gone is no error */
int crew_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up);
int crew_down(struct turn *t, void *state, const Troupe__Down *d);
int crew_wake(struct turn *t, struct coordinator *c); /* the dead whose connection does not end */
int crew_revoke_queue(struct turn *t, struct coordinator *c, const struct queue *q); /* what has not begun */

/* --- outside.c --- */
/* Who attaches, known already or new. 0 with *ret; a code, said by turn_fail; negative. */
int outside_attach(struct turn *t, struct coordinator *c, const struct message *m, struct worker **ret);
struct worker *outside_of(struct coordinator *c, uint64_t peer); /* NULL: this connection has not attached */
void outside_heard(struct turn *t, struct worker *w);            /* any word of it; no-op for a worker of the tree */
int outside_gone(struct turn *t, struct coordinator *c, uint64_t peer); /* a connection has ended */
int outside_wake(struct turn *t, struct coordinator *c);
/* Of a lease that was read from the store; then, in the first turn, who of them lives. */
int outside_loaded(struct coordinator *c, struct worker *w, struct lease *l, uint64_t heartbeat_ms);
int outside_recover(struct turn *t, struct coordinator *c, struct worker *w); /* w may be gone after it */
void outside_free(struct coordinator *c, struct worker *w);
bool outside_silent(const struct worker *w);
const char *outside_why(struct turn *t, const struct worker *w); /* why it takes nothing now, for people; NULL: it does, or it is of the tree */

/* --- finish.c --- */
/* The end of an attempt: all rows, counters, log, notices. The lease is freed. quick: the next attempt needs no delay (the worker died, not the task). */
int attempt_end(struct turn *t, struct coordinator *c, struct lease *l, const Troupe__Outcome *o, bool quick);
/* A lease that never became an attempt: ready again as it was, or cancelled where that was asked for. The lease is freed. */
int attempt_return(struct turn *t, struct coordinator *c, struct lease *l);

/* --- move.c --- */
/* A task without a lease, with its rows read: becomes what st says (state, cause and due time set by the caller). was: its state before. */
int task_move(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, Troupe__TaskState was);
/* Where a task is. READY, SCHEDULED, RUNNING or final; ERROR_NOT_FOUND, ERROR_CORRUPT, negative. ret_lease NULL unless RUNNING. */
int task_read(struct turn *t, struct coordinator *c, const struct id *id, Troupe__TaskRecord **ret, Troupe__StateRecord **ret_state, struct lease **ret_lease);
Troupe__TaskState task_state(const Troupe__StateRecord *st, const struct lease *l);
int task_delete(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st); /* of a final one */
struct place place_of(struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec);
/* The same for one that comes from a lease, or stays in its state with another place: move out, change the place, move in. */
int place_leave(struct turn *t, struct coordinator *c, struct place *p, Troupe__TaskState was, const Troupe__StateRecord *st);
int place_enter(struct turn *t, struct coordinator *c, struct place *p, Troupe__StateRecord *st);
int place_log(struct coordinator *c, const struct place *p, const Troupe__StateRecord *st, Troupe__TaskState was);
int task_cancel(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, Troupe__Cause cause); /* at once, or as a wish where it runs */
uint32_t task_rank(const Troupe__TaskRecord *rec);

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
