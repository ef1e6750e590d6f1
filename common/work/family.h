#pragma once
/* The family: every process that descends from this worker. The worker is a subreaper, so nobody leaves it by setsid, by forking twice, or by the death
 * of a parent: orphans become our own children. "Empty" is therefore a question to wait(2), and its ECHILD is the proof.
 *
 * Needs /proc. Where the kernel has no /proc/PID/task/TID/children, the parent of every process is read instead. */
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

int family_adopt(void); /* become the subreaper; 0 or -errno */

struct family_end { pid_t pid; int status; struct rusage usage; /* of it and the children that it has waited for */ };
enum family_state {
	FAMILY_ENDED, /* one has ended and is reaped: *ret says who */
	FAMILY_ALIVE, /* there are some, none has ended */
	FAMILY_EMPTY, /* proven: not one child, dead or alive */
};
enum family_state family_reap(struct family_end *ret); /* never blocks */

/* Signals the family once: the process group of leader (0: none) as a group, so that each member gets it once, everybody else one by one. */
void family_signal(pid_t leader, int signo);
/* SIGKILL to everybody who can be seen now. What was forked meanwhile arrives at us when its parent dies: reap and call again until FAMILY_EMPTY.
 * Returns one that is not dead yet, or 0. */
pid_t family_kill(void);
/* For tests: behave as on a kernel without the children files. */
void family_scan_whole_proc(bool on);
