#pragma once
/* Why an incarnation ended: one enum for records, events, answers and tests. The numbers are those of proto's Reason. */
#include <stdbool.h>

enum reason {
	REASON_NONE = 0,
	REASON_NORMAL = 1,        /* exit status 0, unasked */
	REASON_SHUTDOWN = 2,      /* exit status 0 after it was asked, a BYE that says shutdown, or a clean code */
	REASON_KILLED = 3,        /* SIGKILL sent by this node */
	REASON_EXIT = 4,          /* any other exit status */
	REASON_SIGNAL = 5,
	REASON_CORE = 6,
	REASON_START_TIMEOUT = 7,
	REASON_START_FAILED = 8,
	REASON_WATCHDOG = 9,      /* no answer to a ping, no heartbeat */
	REASON_TURN_TIMEOUT = 10,
	REASON_OOM = 11,
	REASON_RLIMIT = 12,
	REASON_POISON = 13,
	REASON_LOST = 14,         /* with the supervisor itself */
	REASON_GAVE_UP = 15,      /* of a supervisor: too many restarts */
	REASON_NOPROC = 16,
	REASON_NOCONNECTION = 17,
};
#define REASON_N 18

/* "start_timeout"; "?" for a number that is no reason. Static text. */
const char *reason_name(enum reason r);

/* The reason of that name; false where there is none. */
bool reason_parse(const char *name, enum reason *ret);

/* normal and shutdown: the ends after which a transient child is finished. */
bool reason_is_clean(enum reason r);
