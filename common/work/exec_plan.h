#pragma once
/* All that a process of the exec tier is started with. */
#include "common/work/environment.h"
#include "common/work/workdir.h"

struct exec_plan {
	int ours[3];            /* of its pipes; [0] is -1 where its stdin is a file */
	int theirs[3];
	int directory;
	bool private_directory; /* of workdir, by the task's token */
	bool payload_written;   /* to a file of workdir, by the task's token */
	char payload_file[512];
	struct environment env;
	char **argv;
	const char *doing;      /* what failed, where something did: "open its payload" */
};
/* For a task that has begun. A payload that comes in a file is its stdin, and TROUPE_PAYLOAD_FILE names it; a large one in memory is written to a file of
 * that name beside its pipe. 0 or -errno. Call fini in any case; what is in workdir is the caller's to remove. */
int exec_plan_make(struct exec_plan *p, const Troupe__PoolSetup *pool, struct workdir *w, const struct task *t);
void exec_plan_fini(struct exec_plan *p); /* closes what was not taken: steal_fd */
