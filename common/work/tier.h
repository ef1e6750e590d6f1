#pragma once
/* A tier runs tasks: exec starts one process for each, lines and packet4 feed a long-lived program. A tier does the work and nothing else; what is taken,
 * told and forgotten is the worker's business. Everything runs on the loop's thread and nothing blocks. */
#include <stdbool.h>
#include <stdint.h>
#include "common/work/family.h"
#include "common/work/program_codec.h"
#include "common/work/task.h"
#include "common/io/loop.h"
#include "proto/config.pb-c.h"

struct tier_host {
	void *ctx;
	void (*ended)(void *ctx, struct task *t);      /* over: the outcome is filled in, its family is proven empty. The host's again */
	void (*progressed)(void *ctx, struct task *t); /* percent and note are new */
	void (*changed)(void *ctx);                    /* slots, room, broken, idle, or the time of the next tick may have */
};

struct tier_counters { uint64_t started, stray_lines, program_starts, swept; };

struct tier_ops {
	/* Tasks that it can have in work at once; 0: not known yet. */
	uint32_t (*slots)(const void *self);
	/* How many more it takes now; 0 while it is broken, starting, or leaving. */
	uint32_t (*room)(const void *self);
	/* Why it cannot run anything now; NULL: it can. */
	const char *(*broken)(const void *self);
	/* A waiting task within room. The tier owns it until ended, which may come before this returns. */
	void (*start)(void *self, struct task *t, uint64_t now_ms);
	/* After the last start of a batch: what was put together leaves in one write. */
	void (*flush)(void *self, uint64_t now_ms);
	/* Ends a task that was started; ended follows. */
	void (*stop)(void *self, struct task *t, enum stop_why why, uint64_t grace_ms, uint64_t now_ms);
	/* Take no more; let a program go when its work is done. */
	void (*quit)(void *self, uint64_t now_ms);
	/* After quit: end the program now, TERM first, KILL after grace_ms. */
	void (*quit_now)(void *self, uint64_t grace_ms, uint64_t now_ms);
	bool (*idle)(const void *self);                /* no task, and after quit no program and no family */
	/* Does what is due; the monotonic time when it wants to be called again. */
	uint64_t (*tick)(void *self, uint64_t now_ms);
	const struct tier_counters *(*counters)(const void *self);
	void (*close)(void *self);                     /* kills what is left at once; the tasks in it are the host's again, without ended */
};
struct tier { const struct tier_ops *ops; void *self; };

struct tier_config {
	struct loop *loop;
	const Troupe__PoolSetup *pool; /* valid while the tier is open */
	const char *state_dir;         /* of private directories; NULL: the pool names one, and no other is made */
	uint64_t output_max;           /* bytes of a result, whatever the task says */
	struct tier_host host;
};
/* SIGCHLD must be blocked and the process a subreaper. 0, -errno, or a code with a text. */
int exec_open(const struct tier_config *c, struct tier *ret, struct error *e);
int program_open(const struct tier_config *c, const struct program_codec *codec, struct tier *ret, struct error *e);

/* Shared by the tiers. */

/* Calls on_children after every SIGCHLD. */
struct child_watch { struct loop_source source; void (*on_children)(void *ctx); void *ctx; };
int child_watch_open(struct child_watch *w, struct loop *l, void (*on_children)(void *ctx), void *ctx);
void child_watch_close(struct child_watch *w);

/* The life of one main process and its family: run, reaped, swept. */
struct sweeper {
	pid_t pid;               /* of the main process; 0: reaped, or never begun */
	bool sweeping;           /* it is reaped, its family is not proven empty */
	struct family_end end;   /* of the main process, once it is reaped */
	uint64_t at_ms, from_ms; /* the next round, TIME_NEVER: none; the first one */
	bool told;
	struct tier_counters *counters;
};
enum sweeper_state {
	SWEEPER_RUNS,  /* the main process is alive, or there is none */
	SWEEPER_ENDED, /* it has just been reaped; call again */
	SWEEPER_BUSY,  /* the rest of the family is being killed; call again at at_ms and after the next SIGCHLD */
	SWEEPER_DONE,  /* the family is proven empty */
};
void sweeper_begin(struct sweeper *s, pid_t pid);
enum sweeper_state sweeper_round(struct sweeper *s, uint64_t now_ms);

/* A pipe whose ends are above 2 and CLOEXEC; our end does not block. ours: 0 the read end, 1 the write end. 0 or -errno. */
int tier_pipe(int ret_ends[static 2], int ours);
int tier_lift(int *fd); /* out of the way of 0, 1 and 2, which the child's ends are to become; 0 or -errno */
void tier_source_close(struct loop_source *s, int *fd); /* out of the loop, and closed */
size_t tier_stderr_tail(const Troupe__PoolSetup *pool); /* bytes of stderr to keep */
/* Why a program could not be started, as it is shown: "cannot run /usr/bin/x: Permission denied". */
void tier_say_cannot_run(char *out, size_t size, const char *program, int error);

/* Delay before the n-th try of what fails again and again (n from 0): 0, first_ms, doubling to 30 s. */
uint64_t tier_backoff_ms(unsigned n, uint64_t first_ms);
