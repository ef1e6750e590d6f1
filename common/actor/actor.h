#pragma once
/* The runtime: everything that an actor of this node is, but for its behaviour.
 *
 * An actor handles its mailbox in turns. A turn takes everything that has been decoded (at most 4,096 messages or 4 MiB), most urgent first and first
 * come first served inside one (sender, urgency), and calls the behaviour's handler for each. A handler does no I/O: what it wants done it says by
 * the turn_* calls, which append effects to the message. If the handler returns 0 the effects are applied to the turn's one LMDB transaction, through
 * which the next message reads; if it returns an error they are dropped and the asker gets ERROR. At the end settle() may add effects of its
 * own, then one commit, then, and only then, messages leave. So nobody can see a promise that a crash would take back, and a behaviour is a
 * function from state and message to effects that a test can call without a node (turn_fake.h).
 *
 * State that a handler keeps in memory must be changed only on the way to returning 0: an error return takes back effects, not memory.
 * Where the disk is full at the commit, memory has gone on and disk has not: the askers of that turn get STORE, and the process leaves with 111.
 *
 * Before a handler runs the runtime has refused what must not reach it: a verb that is not in the table (NO_VERB), a client whose role is too low
 * (NOT_ALLOWED; application messages need SUBMITTER), an envelope for another address (NO_ACTOR), an ASK without an id (BAD_REQUEST) or past its deadline
 * (TIMEOUT), a message that killed this actor three times (INTERNAL). ping and metrics_ask it answers itself, unless the table has them.
 *
 * The process side (actor_main): reads Setup from the lifeline on fd 3, opens store and mailbox, calls init, says READY, runs until STOP or the
 * lifeline ends. Exit: 0 after STOP or actor_leave, 111 after a fatal error (the supervisor decides what then), 100 where starting again is useless. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/error.h"
#include "common/io/loop.h"
#include "common/store/store.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/config.pb-c.h"
#include "proto/control.pb-c.h"
#include "proto/envelope.pb-c.h"

struct actor; /* the process */
struct turn;  /* the running handler's context */

struct sender {
	uint64_t peer;           /* connection number; 0: the actor itself or its supervisor */
	const char *address;     /* verified with the supervisor; "" for a client */
	uint64_t incarnation;
	Troupe__Role role;       /* of a client, by the kernel's uid and gid; ADMIN for peer 0 and ROLE_NONE for named actors */
	uid_t uid;
	pid_t pid;
	const char *subject;     /* "uid 1000 (ann)", or the address */
};
struct message {
	const Troupe__Envelope *env; /* lives until the end of the turn */
	struct sender sender;        /* the same */
	uint64_t received_ms;        /* monotonic */
};
/* Enough of a message to answer it in a later turn. Answers to a connection that has gone are dropped. */
struct reply_to { uint64_t peer; struct id id; uint64_t deadline_at_ms; /* monotonic; TIME_NEVER */ };

enum directive { DIRECTIVE_RESUME, DIRECTIVE_RESTART, DIRECTIVE_STOP, DIRECTIVE_ESCALATE };

struct actor_handler { int verb; int (*on)(struct turn *t, void *state, const struct message *m); };

/* Handlers return 0, a positive error_code (effects dropped; an ASK is answered with the error set by turn_fail, or with the bare code), or a
 * negative code: fatal, the process leaves with 111. All members but type may be NULL. */
struct actor_def {
	const char *type;
	const char *const *tables;       /* of the store; NULL: no store */
	uint32_t store_version;
	size_t log_bytes;            /* of the store's log (store.h); 0: none */
	const struct actor_handler *handlers; /* ended by verb 0; checked at start: each verb's owner is this type, or OWNER_ACTOR */
	bool connects;                   /* false: this actor opens no data plane at all */
	/* Before READY. May use actor_store() directly. A positive return is START_FAILED with e's text (ERROR_CORRUPT, ERROR_VERSION and ERROR_CONFIG: exit 100). */
	int (*init)(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e);
	int (*receive)(struct turn *t, void *state, const struct message *m);       /* application messages */
	/* The answer to turn_ask: exactly one call per ask. env is NULL and e says why on error or timeout. */
	int (*on_answer)(struct turn *t, void *state, uint64_t cookie, const Troupe__Envelope *env, const struct error *e);
	int (*on_down)(struct turn *t, void *state, const Troupe__Down *d);         /* after turn_monitor */
	int (*on_link)(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up); /* after turn_connect, and for named actors that dialled us */
	int (*on_client_gone)(struct turn *t, void *state, uint64_t peer);
	int (*on_control)(struct turn *t, void *state, const Troupe__Control *c);   /* lifeline packets that the runtime does not handle itself */
	int (*on_wake)(struct turn *t, void *state, uint64_t now_ms);               /* turn_wake's time has come */
	int (*on_stop)(struct turn *t, void *state, uint64_t within_ms, bool drain); /* NULL: leave at once; else call turn_leave when done */
	/* The Setup before it is gone when this has returned 0. Without on_reload the Setup that init saw stays valid. */
	int (*on_reload)(struct turn *t, void *state, const Troupe__Setup *setup);
	int (*settle)(struct turn *t, void *state);                                 /* at the end of every turn that handled anything, before the commit */
	void (*on_commit)(void *state);                                             /* the turn's commit succeeded (or there was nothing to commit) */
	enum directive (*directive)(void *state, const struct message *m, int code); /* NULL: resume */
	void (*metrics)(void *state, struct turn *t, Troupe__Metrics *out);         /* add samples in the turn's arena */
	void (*fini)(void *state);
};

/* The whole process. Never returns but to be main's value. */
int actor_main(const struct actor_def *def, int argc, char **argv);

/* The process; usable in init and in callbacks of own loop sources. */
struct loop *actor_loop(struct actor *a);
struct store *actor_store(struct actor *a);     /* NULL without a store */
const char *actor_address(const struct actor *a);
uint64_t actor_incarnation(const struct actor *a);
const Troupe__Setup *actor_setup(const struct actor *a);
struct id_maker *actor_ids(struct actor *a);
struct status_cell *actor_status(struct actor *a);
/* A second door beside the mailbox's socket, into the same mailbox and under the same rules: url is "ipc:///path", mode that of the socket's file. For init.
 * 0, ERROR_EXISTS, ERROR_BAD_REQUEST, -errno. */
int actor_listen(struct actor *a, const char *url, mode_t mode, struct error *e);
/* Runs fn inside the next turn (also from init: the first), with effects and commit like a message's: the way from an own fd's callback into the actor. -ENOMEM. */
int actor_post(struct actor *a, int (*fn)(struct turn *t, void *state, void *arg), void *arg);

/* --- inside a handler --- */
struct actor *turn_actor(struct turn *t);
uint64_t turn_now_ms(const struct turn *t);     /* monotonic, the same for the whole turn */
uint64_t turn_wall_ms(const struct turn *t);
uint64_t turn_boot_ms(const struct turn *t);    /* monotonic, and goes on while the machine sleeps */
struct id turn_new_id(struct turn *t);           /* time-ordered */
struct arena *turn_arena(struct turn *t);       /* lives until the end of the turn */

/* Store effects and reads. Keys and values are not copied: they must live until the end of the turn (turn_arena, or the message).
 * turn_get sees the message's own puts and deletes; turn_view is a transaction for seeks and scans that sees those of earlier messages only. What they
 * return is valid until the handler returns. A value of turn_get may be put again as it is; one from turn_view must be copied first. */
int turn_put(struct turn *t, unsigned table, struct slice key, struct slice value);
int turn_delete(struct turn *t, unsigned table, struct slice key); /* of a row that may be missing */
int turn_get(struct turn *t, unsigned table, struct slice key, struct slice *ret);
struct store_txn *turn_view(struct turn *t);    /* NULL without a store */
/* For settle: its rows so far go to the turn's transaction, where turn_view sees them. What turn_get returned before is not valid any more. 0 or negative. */
int turn_apply(struct turn *t);

/* Messages. env is packed at once (its memory need not live on); id is filled in where it has none and kind needs one; from stays empty: the receiver
 * stamps it. To an address: the connection is made when needed, meanwhile up to 4,096 messages or 4 MiB are held. A volatile message that cannot go is
 * dropped and counted; an ask then gets its on_answer with the reason. All: 0, ERROR_BAD_REQUEST (no address), ERROR_TOO_LARGE (for a frame),
 * ERROR_BUSY (65,536 asks wait), -ENOMEM. */
int turn_tell(struct turn *t, const char *to, Troupe__Envelope *env);
int turn_ask(struct turn *t, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, uint64_t cookie);
int turn_push(struct turn *t, uint64_t peer, Troupe__Envelope *env);           /* to a connection; ERROR_UNDELIVERED if it is gone */
int turn_reply(struct turn *t, const struct message *m, Troupe__Envelope *env); /* fills kind, reply_to; a no-op for what was no ASK */
int turn_reply_to(struct turn *t, const struct reply_to *r, Troupe__Envelope *env);
int turn_reply_error(struct turn *t, const struct reply_to *r, const struct error *e);
int turn_fail(struct turn *t, const struct error *e);     /* the error that the handler is about to return: returns its code */
struct reply_to turn_reply_handle(const struct turn *t, const struct message *m);

int turn_connect(struct turn *t, const char *address);    /* keep a connection there for ever; on_link tells */
int turn_disconnect(struct turn *t, const char *address);
int turn_monitor(struct turn *t, const char *address, uint64_t incarnation); /* exactly one DOWN (two where the first says pending) */
int turn_demonitor(struct turn *t, const char *address, uint64_t incarnation);
/* Die together: the abnormal end of one ends the other, with its reason. trap: on_down is called instead, with linked, at any end of the other. incarnation 0: the
 * present one; to one that is not there the end is noproc. */
int turn_link(struct turn *t, const char *address, uint64_t incarnation, bool trap);
int turn_unlink(struct turn *t, const char *address);
int turn_wake(struct turn *t, uint64_t at_ms);            /* on_wake at this monotonic time at the latest; the earliest wish holds, until on_wake is called */
int turn_emit(struct turn *t, const Troupe__Event *ev);   /* to topic:events, through the supervisor */
int turn_note(struct turn *t, const char *text);          /* the status line that tree shows */
/* A lifeline packet (front's relays). A ref must be below 2^62: the rest is the runtime's. ERROR_BUSY while the supervisor does not read; turn_emit too. */
int turn_control(struct turn *t, const Troupe__Control *c);
int turn_leave(struct turn *t, Troupe__Reason reason, const char *info); /* after this turn: BYE and exit 0 */
/* Of actor_def.metrics: one more sample, with the label actor and, labelled, up to two of the caller's (NULL: none). Texts are not copied. Without memory, or over
 * 4,096 samples, it is left out. */
void turn_sample(struct turn *t, Troupe__Metrics *out, const char *name, Troupe__Sample__Type type, const char *help, double value);
void turn_sample_labelled(struct turn *t, Troupe__Metrics *out, const char *name, Troupe__Sample__Type type, const char *help, double value, const char *key1, const char *value1,
                 const char *key2, const char *value2);
