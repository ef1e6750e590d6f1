#pragma once
/* One program started: own session, clean signals, nothing open but its stdio, dead when its worker's main thread is. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "common/base/error.h"

#define SPAWN_PATHS_MAX 64

struct spawn {
	char *const *argv;
	char *const *envp;        /* PATH in it decides where argv[0] is looked for, unless it has a slash */
	int stdio[3];             /* become 0, 1, 2 */
	int directory;            /* fd of its working directory; -1: ours */
	bool no_new_privs;
};
/* 0 with the pid; ERROR_NOT_FOUND: it cannot be exec'd, errno in *ret_errno, nothing is left to reap; -errno: no process could be made. Call from the main
 * thread only: the parent-death signal follows the thread. */
int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_errno);

/* An errno of exec that lies in the task (its arguments are too long), not in the program or the machine. */
bool spawn_errno_is_tasks(int error);
/* One that lies in the machine, and may be gone the next time; ESRCH is a parent that died meanwhile. */
bool spawn_errno_is_machines(int error);
