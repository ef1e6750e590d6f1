#pragma once
/* The inside of the tiers with a long-lived program: program.c is its life, program_io.c its pipes and what is said on them, program_task.c the tasks in it. */
#include "common/work/capture.h"
#include "common/work/oom.h"
#include "common/work/program_codec.h"
#include "common/work/says.h"
#include "common/work/tier.h"
#include "common/work/workdir.h"
#include "common/base/heap.h"

#define PROGRAM_ID_BUCKETS 1024

enum program_state { PROGRAM_DOWN, PROGRAM_STARTING, PROGRAM_UP, PROGRAM_LEAVING, PROGRAM_ENDED };
enum program_end { END_IN, END_OUT, END_ERR };

struct program {
	struct tier_config config;
	const struct program_codec *codec;
	struct child_watch children;
	struct workdir workdir;
	struct oom_watch oom;
	struct tier_counters counters;

	enum program_state state;
	uint64_t due_at_ms;      /* DOWN: start; STARTING: hello; once it was asked to end: kill. TIME_NEVER: nothing */
	uint64_t up_at_ms;
	struct sweeper sweeper;
	enum stop_why why;       /* we ended it: what becomes of the tasks in it */
	uint32_t max;            /* of the last hello; 0: there was none */
	unsigned n_failures;     /* ends in a row without a task done */
	uint64_t n_done;         /* tasks of this start */
	bool quitting, mute;     /* mute: it closed its stdout */
	char broken[256];
	char lost[160];          /* why it was killed: nobody understood it any more */

	struct { struct loop_source source; int fd; } io[3];
	struct buffer in;        /* to its stdin */
	struct program_reader out;
	struct tail err;
	struct says says, stray; /* rate limits of the log */

	size_t n_tasks;
	struct task *by_id[PROGRAM_ID_BUCKETS];
	struct heap due;         /* of tasks, by attempt.due_at_ms */
};

/* --- program.c --- */

void program_changed(struct program *p);                        /* tells the host */
void program_hello(struct program *p, uint32_t max);            /* STARTING only */
void program_refuse(struct program *p, const char *why);        /* it cannot work with us: killed, and the worker is broken */
void program_lost(struct program *p, const char *why);          /* nobody knows where its next message begins: killed, as if it had crashed */
void program_muted(struct program *p);                          /* its stdout is closed: it has a grace time to end */

/* --- program_io.c --- */

int program_io_open(struct program *p, int theirs[static 3]);   /* fds of the program's ends, the caller's; 0 or -errno */
void program_io_write(struct program *p);                       /* as much of p->in as its stdin takes */
void program_io_drain(struct program *p);                       /* nobody can write any more: reads what is left */
void program_io_close(struct program *p);

/* --- program_task.c --- */

void program_task_init(struct program *p);
void program_task_fini(struct program *p);                      /* the tasks in it are the host's again */
struct task *program_task_find(struct program *p, const struct id *id);
void program_task_add(struct program *p, struct task *t);
void program_task_due(struct program *p, struct task *t);       /* after its attempt.due_at_ms changed */
int program_task_write(struct program *p, const struct task *t); /* behind what is in p->in; 0 or -ENOMEM */
/* These end it: its outcome is filled in, it is the host's again. */
void program_task_over(struct program *p, struct task *t);      /* with the outcome that it has */
void program_task_answered(struct program *p, struct task *t, const struct program_message *m); /* done, fail; or progress, which ends nothing */
void program_tasks_end(struct program *p, const struct exit_facts *f); /* all of them, as the program ended */
