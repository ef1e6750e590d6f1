#pragma once
/* Workers from outside the tree: clients that attach.
 *
 * No supervisor proves their death, so their address says who they are, "attached:PID.START.INSTANCE": the kernel's pid of the peer, the start time of that
 * process, and 16 bytes that it made up itself. It stands in every lease row; who restarts can thereby look for the owner. PID 0: it is not on this machine. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct actor;

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

struct turn;
int outside_ended(struct turn *t, void *state, void *number); /* number as a pointer: the form of actor_post */
