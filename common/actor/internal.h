#pragma once
/* What the files of the runtime share. One process has one struct actor; the turn, the mailbox and the tables hang on it.
 *
 *   process.c   main, set-up, READY, leaving                    batch.c     one turn: events, messages, commit, release
 *   control.c   the lifeline                                    dispatch.c  one message: may it, who handles it, what if it fails
 *   conn.c      connections and who is at their other end       turn.c      effects, and their application
 *   link.c      address -> connection                           send.c      the turn's calls that speak
 *   role.c      uid -> role                                     ask.c       questions that wait for an answer
 *   mailbox.c   messages that wait for their turn               metrics.c   what the runtime counts
 */
#include "common/actor/actor.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/heap.h"
#include "common/base/rng.h"
#include "common/io/lifeline.h"
#include "common/io/peer.h"
#include "common/io/status.h"
#include "common/wire/codec.h"
#include "common/wire/verb.h"

#define TURN_MESSAGES 4096u
#define TURN_BYTES (4u * 1024 * 1024)
#define TURN_ARENA (1024u * 1024 * 1024)  /* a bug's bound: a batch ends at TURN_ARENA_SOFT */
#define TURN_ARENA_SOFT (3u * 1024 * 1024) /* also what one turn may say to one peer, whose output is bounded */
#define LANES 5
#define ASKS_MAX 65536u
#define LINKS_MAX 8192u
#define HELD_MESSAGES 4096u               /* of one link that is not up yet */
#define SUSPECTS_MAX 64u
#define SUSPECT_DEATHS 3u
#define POSTS_MAX 65536u
#define BACKLOG_PACKETS 65536u            /* to a supervisor that does not read */
#define BACKLOG_BYTES (16u * 1024 * 1024)
#define REF_CONN (1ull << 63)             /* refs of the runtime's own questions on the lifeline; a behaviour's have none of these bits */
#define REF_LINK (1ull << 62)
#define REF_OWN (REF_CONN | REF_LINK)
#define BUCKETS 1024u
#define ROW_BUCKETS 16384u                 /* of a turn's hash at most; those that a message does not need stay untouched memory */

struct actor;
struct conn;
struct link;

/* --- mailbox.c --- */

/* A decoded frame whose envelopes lie in the mailbox; freed with the last of them. */
struct mail {
	struct mail *next;
	struct mail_batch *batch;
	Troupe__Envelope *env;
	struct conn *conn; /* NULL: from the actor itself */
	uint64_t received_ms;
	size_t bytes;
};
struct mail_batch { struct arena *arena; unsigned left; struct mail mails[]; };

struct mailbox {
	struct mail *head[LANES], **tail[LANES]; /* most urgent first */
	size_t n, bytes, n_max, bytes_max;
};
void mailbox_init(struct mailbox *b, size_t n_max, size_t bytes_max);
void mailbox_fini(struct mailbox *b);
int mailbox_add(struct mailbox *b, struct conn *c, struct arena *a, Troupe__Envelope **env, size_t n, uint64_t now_ms); /* takes a reference of a; -ENOMEM */
struct mail *mailbox_peek(const struct mailbox *b);
struct mail *mailbox_pop(struct mailbox *b);
bool mailbox_full(const struct mailbox *b);
bool mailbox_half(const struct mailbox *b);      /* at most half full */
bool mailbox_overrun(const struct mailbox *b);   /* twice full: refuse */
void mail_free(struct mail *m);
int urgency_lane(Troupe__Urgency u);             /* 0 is served first */
bool kind_costs_credit(Troupe__Kind k);

/* --- events: what enters a turn beside messages --- */

enum event_kind { EVENT_ANSWER, EVENT_DOWN, EVENT_LINK, EVENT_GONE, EVENT_CONTROL, EVENT_STOP, EVENT_RELOAD, EVENT_POST, EVENT_PING };
struct event {
	struct event *next;
	enum event_kind kind;
	uint64_t number;          /* cookie, peer, within_ms */
	uint64_t incarnation;
	bool flag;                /* up, drain */
	char address[192];
	struct error error;       /* of an answer */
	struct arena *arena;      /* holds control */
	Troupe__Control *control;
	int (*fn)(struct turn *t, void *state, void *arg);
	void *arg;
};
struct event *event_add(struct actor *a, enum event_kind kind); /* NULL without memory */
void event_free(struct event *e);

/* --- turn.c --- */

enum effect_op { OP_PUT, OP_DELETE, OP_SEND_PEER, OP_SEND, OP_ASK, OP_CONNECT, OP_DISCONNECT, OP_MONITOR, OP_DEMONITOR, OP_WAKE, OP_EMIT, OP_NOTE, OP_CONTROL, OP_LEAVE };
struct effect {
	struct effect *next;
	struct effect *same_bucket; /* earlier put or delete of this message in the same bucket */
	enum effect_op op;
	unsigned table;
	uint32_t hash;            /* of table and key */
	bool costs_credit;
	Troupe__Reason reason;
	struct slice key, value;  /* of a row; value: a packed envelope or control, or text */
	const char *to;
	uint64_t number;          /* peer, incarnation, time, timeout */
	uint64_t cookie;
	struct id id;
};
struct effects { struct effect *head, **tail; size_t n; };

struct asker { struct asker *next; uint64_t peer; struct id id; };

struct turn {
	struct actor *actor;      /* NULL: a fake */
	struct store *store;
	struct id_maker *ids;
	struct arena *arena;
	uint64_t now_ms, wall_ms, boot_ms;
	struct effects message;   /* of the message in work */
	struct effects release;   /* of the turn, to be done after the commit */
	struct asker *askers;     /* of this turn: who must hear that it failed */
	struct store_txn *view, *txn;
	struct error error;       /* by turn_fail */
	bool error_set;
	bool store_failed;        /* the store is full: nothing of this turn will be committed */
	size_t n_control;         /* lifeline packets among the effects */
	struct slice got[16];     /* what turn_get returned to this message: it moves when rows are written */
	unsigned n_got;
	size_t n_rows;            /* of the message in work */
	uint32_t row_mask;        /* a power of two less one: as many buckets as that are in use */
	uint32_t generation;      /* of the buckets: one a message */
	struct { uint32_t generation; struct effect *head; } buckets[ROW_BUCKETS];
};
int turn_init(struct turn *t, struct store *s, struct id_maker *ids, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms);
void turn_fini(struct turn *t);
void turn_start(struct turn *t, uint64_t now_ms, uint64_t wall_ms, uint64_t boot_ms);
void turn_message_begin(struct turn *t);
/* Applies the message's rows to the transaction and moves the rest to the turn's effects. 0, ERROR_STORE, negative. */
int turn_message_apply(struct turn *t);
void turn_message_drop(struct turn *t);
void turn_end(struct turn *t);    /* forgets everything; a transaction that is still open is aborted */
struct effect *turn_effect(struct turn *t, enum effect_op op); /* appended; NULL without memory */
/* Packs env into the arena; id, from and timestamp are filled in. */
int turn_pack(struct turn *t, Troupe__Envelope *env, struct slice *ret);

/* --- ask.c --- */

struct ask {
	struct ask *next;         /* in its bucket */
	struct id id;
	uint64_t cookie, deadline_at_ms;
	uint64_t peer;            /* where it went; 0: not yet sent */
	size_t place;             /* in the heap */
	char to[192];
};
struct asks { struct ask *buckets[BUCKETS]; struct heap due; };
void asks_init(struct asks *s);
void asks_fini(struct asks *s);
int ask_add(struct asks *s, const struct id *id, const char *to, uint64_t cookie, uint64_t deadline_at_ms, struct ask **ret);
void ask_fail(struct actor *a, struct ask *k, const struct error *e); /* on_answer in the next turn */
void ask_fail_peer(struct actor *a, uint64_t peer, const struct error *e);
uint64_t ask_tick(struct actor *a, uint64_t now_ms);
struct ask *ask_find(struct asks *s, const uint8_t id[16]);
void ask_end(struct asks *s, struct ask *k); /* forgets and frees it */

/* --- conn.c --- */

enum conn_state { CONN_DIALLING, CONN_CHECKING, CONN_CLIENT, CONN_ACTOR };
struct conn {
	struct peer *peer;        /* NULL once it is gone */
	uint64_t number;
	struct conn *same_bucket, *next, **at; /* at: who points at us in the list of all */
	enum conn_state state;
	size_t queued;            /* messages in the mailbox, or in this turn */
	uint32_t consumed;        /* credit to give back after this turn */
	struct conn *next_consumed;
	bool is_consumed, paused, asked;
	uint64_t retire_at_ms;    /* the loser of two that dialled each other; 0 */
	struct link *link;        /* that we dialled for */
	struct sender sender;
	struct held_frame *held, **held_tail; /* while checking */
	char address[192];
	char subject[96];
};
struct conns { struct conn *buckets[BUCKETS]; struct conn *all; struct conn *consumed; size_t n_clients, n_paused, n_retiring; };
extern const struct peer_events conn_events;     /* ctx: the actor */
struct conn *conn_find(struct actor *a, uint64_t number);
struct conn *conn_dial(struct actor *a, struct link *l, const char *url, struct error *e);
void conn_located(struct actor *a, uint64_t ref, const Troupe__Location *loc);
void conn_consumed(struct actor *a, struct conn *c, const Troupe__Envelope *env); /* after the turn: one message less */
void conn_grant(struct actor *a);                /* the credit of a turn */
void conn_resume(struct actor *a);               /* who was paused, when the mailbox is half empty */
void conn_roles(struct actor *a);                /* after a reload: every client's role anew */
void conn_finish(struct actor *a, struct conn *c); /* gone, and all that it sent is handled */
void conn_deliver(struct actor *a, struct conn *c, struct arena *arena, Troupe__Envelope **env, size_t n);

/* --- link.c --- */

enum link_state { LINK_IDLE, LINK_LOCATING, LINK_DIALLING, LINK_UP, LINK_WAITING };
struct held { struct held *next; bool costs_credit; struct id ask; bool is_ask; size_t len; uint8_t data[]; };
struct link {
	struct link *same_bucket, *next;
	enum link_state state;
	bool keep;                /* turn_connect */
	struct conn *conn;        /* in use */
	struct conn *dialling;    /* on the way */
	uint64_t serial, incarnation;
	pid_t pid;
	uint64_t retry_at_ms;
	uint32_t failures;
	struct held *held, **held_tail;
	size_t n_held, held_bytes;
	char address[192];
};
struct links { struct link *buckets[BUCKETS]; struct link *all; uint64_t serial, due_at_ms; size_t n; };
int link_connect(struct actor *a, const char *address);
void link_disconnect(struct actor *a, const char *address);
/* Sends, or holds until the connection is there. 0, ERROR_BUSY, ERROR_NO_ACTOR..., -ENOMEM. ask: may be NULL. */
int link_send(struct actor *a, const char *address, bool costs_credit, struct slice packed, struct ask *ask);
void link_located(struct actor *a, uint64_t ref, const Troupe__Location *loc);
void link_conn_up(struct actor *a, struct conn *c);                          /* a verified connection, either direction */
void link_conn_down(struct actor *a, struct conn *c);
uint64_t link_tick(struct actor *a, uint64_t now_ms);
void links_fini(struct actor *a);

/* --- role.c --- */

struct identity { uid_t uid; gid_t gid; uint64_t until_ms; Troupe__Role role; char name[33]; };
struct roles { struct identity cache[64]; };
Troupe__Role role_of(struct actor *a, const struct channel_peer *p, char *subject, size_t size);
void role_forget(struct actor *a);               /* after a reload */

/* --- control.c --- */

struct backlog { struct backlog *next; size_t len; uint8_t data[]; };
int control_open(struct actor *a, bool spare);               /* waits for Setup. 0, or an exit code */
int control_watch(struct actor *a);              /* from now on in the loop */
int control_send(struct actor *a, const Troupe__Control *c, int fd); /* 0; negative: leave */
void control_note(struct actor *a, const char *text);
uint64_t control_tick(struct actor *a, uint64_t now_ms);
bool control_crowded(const struct actor *a, size_t more); /* so many packets more would be refused */
void control_fini(struct actor *a);

/* --- batch.c, dispatch.c, metrics.c --- */

struct counters {
	uint64_t turns, messages, commits, failed, dropped, refused;
	uint64_t commit_us, commit_buckets[12];
};
extern const double commit_bounds[11];           /* seconds; the last bucket is infinity */
int batch_run(struct actor *a, uint64_t now_ms); /* 0, or negative: leave with 111 */
bool batch_wanted(const struct actor *a, uint64_t now_ms);
int dispatch_mail(struct actor *a, struct mail *m);   /* 0 or negative */
int dispatch_event(struct actor *a, struct event *e);
int dispatch_wake(struct actor *a, uint64_t now_ms);
int dispatch_settle(struct actor *a);
int metrics_answer(struct actor *a, const struct message *m);
void metrics_commit(struct counters *c, uint64_t us);
/* ERROR to whoever asked, outside of effects and commits. */
void dispatch_refuse(struct actor *a, struct conn *c, const Troupe__Envelope *env, const struct error *e);

void handlers_check(const struct actor_def *def); /* asserts that each verb is this type's */

struct suspect { uint8_t id[16]; uint32_t deaths; };

struct actor {
	const struct actor_def *def;
	void *state;
	struct loop *loop;
	struct peer_hub *hub;
	struct store *store;
	struct status_cell *status;
	struct id_maker ids;
	struct rng rng;
	struct turn *turn;
	bool in_turn;

	char address[192];
	struct arena *setup_arena;
	Troupe__Setup *setup;
	struct arena *first_setup;   /* kept for a behaviour that has no on_reload */
	size_t output_max;

	struct mailbox mailbox;
	struct mail *handled;        /* of this turn; their memory lives until its end */
	struct event *events, **events_tail, *handled_events;
	size_t n_posts;
	uint64_t wake_at_ms;
	struct conns conns;
	struct links links;
	struct asks asks;
	struct roles roles;
	struct counters counters;
	struct suspect suspects[SUSPECTS_MAX];
	unsigned n_suspects;

	struct lifeline lifeline;
	struct loop_source lifeline_source;
	struct backlog *backlog, **backlog_tail;
	size_t n_backlog, backlog_bytes;
	char note[256];
	bool note_new;
	uint64_t note_at_ms;

	bool stopping;               /* STOP or SIGTERM has come */
	bool leaving;                /* after this turn */
	bool store_lost;             /* what is in memory is not what is on disk */
	int exit_code;
	Troupe__Reason reason;
	char info[256];
	uint64_t leave_until_ms;
};
void actor_leave(struct actor *a, int exit_code, Troupe__Reason reason, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
