#pragma once
/* troupe worker run: a worker that is attached from outside, on the command line.
 *
 *   waiting   assigned, not begun: may be given back
 *   running   with the tier
 *   ended     over, its outcome not told on the present connection
 *   sent      told; kept until the coordinator has it in its ledger
 *
 * worker.c is its life, worker_say.c what it says and hears, worker_fetch.c brings large payloads, slots.c is its tier of processes. */
#include "actors/tools/tool.h"
#include "common/work/tier.h"

#define SLOTS_MOST 1024u
#define TAGS_MOST 64u
#define HEARTBEAT_MS 30000u
#define WORKER_OUTPUT_MAX (896u * 1024) /* of a frame, what is left for one output */

struct tokens { uint64_t *all; size_t n, room; };

struct attached {
	struct tool *t;
	struct loop *loop;
	Troupe__PoolSetup pool;
	struct tier tier;
	uint32_t slots;                 /* --slots; 0: as many as the program wants */
	uint64_t heartbeat_ms;
	uint8_t instance[16];
	char **queues;                  /* of the arguments */
	size_t n_queues;
	char *tag_text, *tags[TAGS_MOST]; /* the tags point into the text */
	size_t n_tags;

	struct task_table held;
	struct task_list waiting, running, ended, sent;
	struct tokens revoked, kept;    /* to be told */

	bool attached, attaching;       /* on this connection; asked for, not answered */
	bool update;                    /* what the answer that is awaited is to */
	bool ever;                      /* it was attached once */
	uint32_t told_slots;
	char told_broken[256];
	uint64_t attach_at_ms, beat_at_ms, progress_at_ms, sent_at_ms;
	uint64_t fetching, fetch_at_ms; /* the token of the task whose payload is asked for; not before */
	bool again;                     /* something has changed: another round before the wait */

	bool draining;                  /* takes no more; leaves when all is done and told */
	bool killed;
	uint64_t leave_at_ms;           /* once it is killed: told or not */
	int status;                     /* exit status, once over */
	bool over;
};

/* --- worker_say.c --- */
void worker_attach(struct attached *a);         /* asks, unless that is asked already */
void worker_say(struct attached *a, uint64_t now_ms); /* everything that is due */
void worker_on_push(struct tool *t, const Troupe__Envelope *env);
void worker_on_link(struct tool *t, const char *address, bool up);
int tokens_add(struct tokens *k, uint64_t token); /* 0 or -ENOMEM */
void worker_give_back(struct attached *a, uint64_t token); /* or says that it has begun */

/* --- worker_fetch.c --- */
bool worker_fetch_begin(struct task *task, const Troupe__BlobRef *ref); /* false: not now, or never */
bool worker_fetch_ready(const struct task *task);
void worker_fetch_drop(struct task *task);      /* no-op where there is nothing */
void worker_fetch(struct attached *a, uint64_t now_ms); /* asks for the next piece */

/* --- worker.c --- */
void worker_forget(struct attached *a, struct task *task);
void worker_fail(struct attached *a, int status); /* ends it: what runs is killed */

/* --- slots.c --- */
/* A tier as that of exec, with n tasks at a time and a process group for each: what leaves its group is not looked for. In the caller's directory and environment;
 * what a task says on stderr goes to ours as well. The command of its pool must end with a NULL. 0, -errno. */
int slots_open(const struct tier_config *c, uint32_t n, struct tier *ret);
