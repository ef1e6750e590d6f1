#pragma once
/* Workers from outside the tree: clients that attach.
 *
 * No supervisor proves their death, so their address says who they are, "attached:PID.START.INSTANCE": the kernel's pid of the peer, the start time of that
 * process, and 16 bytes that it made up itself. It stands in every lease row; who restarts can thereby look for the owner. PID 0: it is not on this machine. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct actor;
struct coordinator;
struct lease;
struct message;
struct turn;
struct worker;

#define OUTSIDE_MAX 1024u               /* workers from outside that are known at a time */
#define OUTSIDE_HEARTBEAT_MS 30000u
#define OUTSIDE_HEARTBEAT_LEAST_MS 1000u
#define OUTSIDE_HEARTBEAT_MOST_MS 3600000u

struct outside {
	uint64_t number;                /* names it to the eye */
	pid_t pid;                      /* 0: nobody can be looked for */
	uint64_t start;                 /* its start time; 0: not known */
	uint64_t heartbeat_ms;
	uint64_t heard_ms;              /* connected: its last word */
	uint64_t until_ms;              /* not connected: its leases wait for it so long */
	bool silent;                    /* connected, but without a word for too long */
	bool watched;
};

/* How processes are seen. Tests put their own in its place. */
struct outside_eye {
	void *ctx;
	/* Start time of a process in clock ticks since the boot. 0: it cannot be told. */
	uint64_t (*started)(void *ctx, pid_t pid);
	/* When this process ends, outside_ended is called with number, in a turn of its own. 0; ERROR_NOT_FOUND: it has ended; negative: it cannot be watched. */
	int (*watch)(void *ctx, uint64_t number, pid_t pid, uint64_t start);
	void (*forget)(void *ctx, uint64_t number);
	void (*close)(void *ctx);
};
/* Pidfds in the loop of the actor. NULL without memory. */
const struct outside_eye *outside_eye_open(struct actor *a);

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
int outside_ended(struct turn *t, void *state, void *number); /* number as a pointer: the form of actor_post */
