#pragma once
/* From the end of a process to what it means for the attempt. Pure.
 *
 *   exit 0                    done
 *   75 (EX_TEMPFAIL), 111     later: the program asks to be tried again
 *   65 (EX_DATAERR), 100      rejected: never again
 *   99                        done, and this worker is to take no more
 *   126, 127                  broken: the program cannot run; not the task's fault
 *   other                     failed
 *   signal                    signal, core, or oom
 *   what we ended ourselves   by our reason, whatever the process made of it: timeout, cancelled, lost
 *
 * 111 and 100 are the codes of djb's and s6's programs, 75 and 65 those of sysexits.h. */
#include <stdbool.h>
#include "common/work/attempt.h"
#include "proto/queue.pb-c.h"

struct exit_facts {
	int status;         /* of wait(2) */
	enum stop_why why;  /* our own TERM or KILL came first */
	bool oom;           /* the kernel's OOM killer was at work in our cgroup */
	bool answered;      /* false for a long-lived program that ended with the task unanswered: 0 and 99 are failures then */
};
struct exit_verdict {
	Troupe__ExitClass exit_class;
	int code;           /* exit status; 0 where a signal ended it */
	int signal;
	bool drain;
	char text[160];     /* one line; empty for done */
};
struct exit_verdict exit_judge(const struct exit_facts *f);
