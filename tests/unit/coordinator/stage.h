#pragma once
/* A coordinator without a process, on a real store: turns of messages, and what leaves behind their commits. Everything random is seeded. What fails here is
 * a broken test, and ends it. */
#include "actors/coordinator/coordinator.h"
#include "common/actor/turn_fake.h"

#define STAGE_WALL_MS 1700000000000ull /* the clocks at the beginning */
#define STAGE_NOW_MS 1000000ull
#define STAGE_QUEUES_MAX 64u

/* What left behind a commit: to a connection, or a wish to the supervisor. */
struct sent { uint64_t peer; size_t len; uint8_t *data; };
struct monitored { char address[192]; uint64_t incarnation; };

struct stage {
	char dir[96];
	struct store *store;
	struct turn_fake *fake;
	struct turn *turn;
	Troupe__Setup setup;
	Troupe__CoordinatorSetup coordinator_setup;
	Troupe__Limits limits;
	Troupe__QueuePolicy *queues[STAGE_QUEUES_MAX], defaults;
	Troupe__RetryPolicy retry;
	struct coordinator *c;
	const struct outside_eye *eye; /* of the next coordinator that opens; NULL: it sees no processes */
	uint64_t now_ms, wall_ms, seed;
	size_t map_first, log_bytes;   /* of the store; 16 MiB, of which a turn can need a fifth at once, and 8 KiB to 2 MiB by the seed */
	uint64_t wake_at_ms;           /* TIME_NEVER: nothing is wished */
	struct sent *sent;             /* of the last committed turn */
	size_t n_sent, room_sent;
	struct monitored *monitored;   /* the same */
	size_t n_monitored, room_monitored;
	struct error refusal;          /* of the last message that was refused */
	struct arena *arena;           /* of what stage_ask and stage_read return */
};

/* Queues "a" and "b": three attempts, a second of backoff that doubles, no jitter, results for an hour, a task that crashed three times is poison. */
struct stage *stage_new(uint64_t seed);
struct stage *stage_free(struct stage *s);
/* The same in steps, for who wants other queues: nothing is opened before stage_open. A queue's policy may be changed until then, or before stage_reload. */
struct stage *stage_prepare(uint64_t seed);
Troupe__QueuePolicy *stage_queue(struct stage *s, const char *name);
void stage_open(struct stage *s);
/* The same on a store that somebody left behind, as stage_free leaves nothing of it. What is said of it: 0, a positive code with e, negative. */
int stage_adopt(struct stage *s, const char *dir, struct error *e);

/* A turn: begin, any number of messages and events, then commit or crash. A message is decoded from its bytes, so nothing is shared with its sender. Each
 * returns what the handler did; a refusal is undone and kept in s->refusal, anything negative ends the test. */
struct who { uint64_t peer; const char *address; uint64_t incarnation; const char *subject; uid_t uid; Troupe__Role role; }; /* no subject: ann, an admin */
void stage_begin(struct stage *s);
int stage_message(struct stage *s, const struct who *from, const uint8_t *data, size_t len);
void stage_down(struct stage *s, const Troupe__Down *d);
void stage_link(struct stage *s, const struct who *who, bool up);
void stage_gone(struct stage *s, uint64_t peer);
void stage_wake(struct stage *s);      /* if its time has come */
int stage_reload(struct stage *s);     /* the configuration, as it is now */
void stage_commit(struct stage *s);
void stage_crash(struct stage *s);     /* in a turn: it never was. Outside: between two turns */
void stage_restart(struct stage *s);   /* after a crash: the successor, with its first turn committed */
void stage_clock(struct stage *s, uint64_t forward_ms);

/* The same in one call. */
void stage_tell(struct stage *s, const struct who *from, Troupe__Envelope *env);
/* A worker of the tree introduces itself: as m says, which stays the caller's; or for queue "a" alone, holding nothing, with room for so many tasks. */
void stage_attach_as(struct stage *s, const struct who *who, Troupe__Attach *m);
void stage_attach(struct stage *s, const struct who *who, uint32_t slots);
/* The answer, or NULL where it was refused (s->refusal). Valid until the next stage_ask or stage_read. */
const Troupe__Envelope *stage_ask(struct stage *s, const struct who *from, Troupe__Envelope *env);
const Troupe__Envelope *stage_read(struct stage *s, const struct sent *m);
/* What the coordinator's check of its whole store says. As stage_ask. */
const Troupe__StoreChecked *stage_check(struct stage *s, const struct who *from);
uint8_t *stage_pack(const Troupe__Envelope *env, size_t *ret_len); /* malloc */

/* Rows, as of the last commit. The record lies in s->arena. NULL: there is none. */
const Troupe__TaskRecord *stage_task(struct stage *s, const struct id *id);
const Troupe__StateRecord *stage_state(struct stage *s, const struct id *id);
const Troupe__LeaseRecord *stage_lease(struct stage *s, const struct id *id);
Troupe__TaskState stage_state_of(struct stage *s, const struct id *id); /* TASK_ANY: no such task */
