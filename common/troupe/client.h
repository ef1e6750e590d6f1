#pragma once
/* A client of a node: finds actors by name, talks to them directly, and survives their deaths.
 *
 * A client asks front, at <run_dir>/front, where an actor is, dials the actor's own socket, and keeps that connection. When it drops, because the actor died
 * and is being started again, the client asks front again and dials the successor, with growing jittered delays. Requests that may be done twice without harm
 * (every query; a submit, because a task's id makes the second one a look-up; cancel, purge, pause and resume) are sent again by themselves, under the same
 * message id: to the caller the death of a coordinator is a pause. What may not be done twice fails with ERROR_NOT_REACHABLE, and the text says that it may
 * have been done.
 *
 * One thread. Nothing happens but inside client_ask, client_poll, client_wait_room and client_flush; callbacks run there. A client starts nng's threads, with all
 * signals blocked in them; a process that forks afterwards must exec. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/envelope.pb-c.h"

struct client;

#define CLIENT_ASKS_MAX 16384u            /* not answered yet, of one client */
#define CLIENT_BYTES_MAX (16u << 20)      /* of their packed envelopes */
#define CLIENT_TIMEOUT_MS 10000u

struct client_config {
	const char *run_dir;      /* NULL: client_run_dir's choice */
	const char *program;      /* shown to the node's operators; at most 64 bytes; NULL: none */
	uint64_t timeout_ms;      /* of asks that name none; 0: CLIENT_TIMEOUT_MS */
	/* Messages that answer nothing, such as Finished after a submit with notify. env lives until the return (keep it with arena_ref). May be NULL. */
	void (*on_push)(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env);
	/* The connection to an actor stands, or has ended; what is started from here travels on the present or the next one. May be NULL. */
	void (*on_link)(void *ctx, const char *address, bool up);
	bool guest;               /* the process is somebody else's: no alarm bounds client_close, and nothing ends the process */
	void *ctx;
};

/* given, or else $TROUPE_RUN_DIR, else the first of /run/troupe and $XDG_RUNTIME_DIR/troupe that has a front socket, else /run/troupe.
 * 0, or ERROR_TOO_LARGE for a path that no socket could live under. */
int client_run_dir(const char *given, char *ret, size_t size, struct error *e);

/* Opens no connection yet. 0, ERROR_TOO_LARGE, or -errno. */
int client_open(const struct client_config *config, struct client **ret, struct error *e);
/* Drops what is outstanding without calling anybody back. Returns NULL; NULL is accepted. */
struct client *client_close(struct client *c);
const char *client_dir(const struct client *c);

/* A fresh id: for a task, or for anything else that must be named before it is sent. */
struct id client_id(struct client *c);

enum client_repeat {
	REPEAT_BY_VERB,  /* what the verb allows; an application message: never */
	REPEAT_ALWAYS,   /* the receiver bears it twice */
	REPEAT_NEVER,
};

struct client_answer {
	struct arena *arena;          /* of env; keep with arena_ref */
	const Troupe__Envelope *env;  /* NULL with an error */
	const struct error *error;    /* NULL with an answer; ERROR_BUSY and ERROR_DISK_LOW come with retry_after_ms */
	uint64_t took_us;             /* from client_start to now */
};

struct client_request {
	const char *to;               /* an address; NULL: the supervisor (through front) */
	Troupe__Envelope *env;        /* packed at once; id (where it has none), kind, deadline and to are filled in */
	/* Fields that are packed already, such as the body, and stand in front of env's own; env then has no body, and repeat is not BY_VERB. NULL: none. */
	const uint8_t *packed;
	size_t packed_len;
	uint64_t timeout_ms;          /* 0: the client's; TIME_NEVER: none */
	uint64_t deadline_ms;         /* told to the receiver; 0: timeout_ms */
	enum client_repeat repeat;
	bool uncounted;               /* not among client_outstanding: the caller's own question, which nobody waits for */
	bool alone;                   /* what is started later, to the same actor, is not sent before this is answered: a death in between cannot bring it behind them */
	/* Called exactly once, never from client_start itself. */
	void (*on_answer)(void *ctx, const struct client_answer *a);
	void *ctx;
};

/* Starts an ask. 0; ERROR_BUSY: too much is outstanding, see client_wait_room; ERROR_BAD_REQUEST: no address; -ENOMEM. */
int client_start(struct client *c, const struct client_request *r, struct error *e);

/* One ask, waited for. 0 with the answer and its arena, which the caller unrefs; or the answer's error code; ERROR_TIMEOUT; ERROR_NOT_REACHABLE. */
int client_ask(struct client *c, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, struct arena **ret_arena, const Troupe__Envelope **ret,
               struct error *e);

/* Queues a message that has no answer. It is dropped when the connection dies. */
int client_tell(struct client *c, const char *to, Troupe__Envelope *env, struct error *e);
/* The same with all that a request may say; timeout, repeat and on_answer mean nothing. */
int client_tell_request(struct client *c, const struct client_request *r, struct error *e);

/* May the receiver of this body bear it twice? What REPEAT_BY_VERB goes by. */
bool client_repeats(const Troupe__Envelope *env);

/* Waits until the first connection to an actor stands. 0, or why not. */
int client_reach(struct client *c, const char *to, uint64_t timeout_ms, struct error *e);

/* Runs the client for one round: waits until something happens, or until the monotonic time until_ms (0: does not wait). 0 or -errno. */
int client_poll(struct client *c, uint64_t until_ms);
/* For a caller with a loop of its own: call client_poll(c, 0) when the descriptor is readable, at the deadline, and after every start and tell; then look at the
 * deadline, which may have passed already. */
int client_fd(const struct client *c);
uint64_t client_deadline_ms(const struct client *c);

size_t client_outstanding(const struct client *c);
bool client_has_room(const struct client *c, size_t most); /* client_start would be accepted, and no more than most asks are outstanding */
/* Waits until client_start would be accepted and no more than most asks are outstanding. 0 or ERROR_TIMEOUT. */
int client_wait_room(struct client *c, size_t most, uint64_t timeout_ms, struct error *e);
/* Waits until everything that was queued has been taken by the kernel. 0 or ERROR_TIMEOUT. */
int client_flush(struct client *c, uint64_t timeout_ms, struct error *e);
/* Counts of connections lost and of requests sent again so far: for people. */
uint64_t client_reconnects(const struct client *c);
uint64_t client_resends(const struct client *c);
