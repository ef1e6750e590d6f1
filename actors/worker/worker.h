#pragma once
/* A worker: takes assignments from its coordinator, has its tier do them, tells the outcomes.
 *
 *   waiting   assigned, not begun: may be given back. While .fetch is set its payload is on the way
 *   running   with the tier
 *   ended     over, its outcome not told on the present connection
 *   sent      told; kept until the coordinator has it in its ledger
 *
 * Handlers and settle decide and speak, on_commit acts (it starts tasks and does what is due). What happens outside of a turn, such as the end of a process,
 * only changes lists and asks for a turn. The status cell names every token from before its attempt begins until its outcome is told. */
#include "actors/worker/fetch.h"
#include "common/work/tier.h"
#include "common/actor/actor.h"

#define WORKER_HELD_MAX 8192u /* tasks in all lists; more is given back at once */

struct tokens { uint64_t *all; size_t n, room; };

struct worker {
	struct actor *actor;
	const Troupe__PoolSetup *pool;
	struct tier tier;
	uint64_t frame_max;

	struct task_table held;
	struct task_list waiting, starting, running, ended, sent;
	struct fetcher fetcher;
	struct tokens revoked, kept;      /* to be told */
	struct tokens in_work;            /* scratch for the status cell */

	uint64_t peer;                    /* the coordinator's connection; 0: there is none */
	bool attached;                    /* on this connection */
	uint32_t told_slots;
	char told_broken[256];
	bool kicked;                      /* a turn is asked for */
	bool outcomes_left;               /* for the fault point */
	uint64_t next_ms, wished_ms;      /* when the tier, or we, want a turn; what was asked of the runtime */
	bool progress;                    /* some task has news */
	uint64_t progress_at_ms;

	bool draining;                    /* takes no more; leaves when all is done and told */
	bool stopping;                    /* the same, by its supervisor's order, within a time */
	bool quit_told, quit_now_told, leaving;
	uint64_t quit_now_at_ms, leave_at_ms, quit_grace_ms;

	uint64_t n_done, n_failed, n_given_back;
};

extern const struct actor_def worker_def;

int tokens_add(struct tokens *t, uint64_t token); /* 0 or -ENOMEM */

void worker_kick(struct worker *w);                            /* a turn, soon */
void worker_forget(struct worker *w, struct task *t);          /* out of every list, freed */
int worker_give_back(struct worker *w, struct task *t);        /* a waiting one: Revoked will name it */

/* Speech: everything that is due, at the end of a turn. */
int worker_settle(struct turn *t, void *state);
