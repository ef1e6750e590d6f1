#pragma once
/* The birth of a child: fork and exec into a clean process. */
#include <sys/types.h>
#include "common/base/error.h"
#include "supervisor/config.h"

struct spawned {
	pid_t pid;
	int pidfd;      /* owned by the caller */
	int lifeline;   /* our end, or -1; owned by the caller */
	int output;     /* read end of stdout and stderr, non-blocking; owned by the caller */
};

struct spawn_where {
	const char *node;        /* node id, for $TROUPE_NODE */
	const char *name;        /* child's name, for $TROUPE_CHILD */
	uint64_t incarnation;
	bool spare;              /* it will hear later who it is; $TROUPE_CHILD is spare:NAME.NUMBER, with room for that */
	const char *notify_socket; /* for $NOTIFY_SOCKET; NULL: none */
	const char *directory;   /* working directory where the launch names none */
	uid_t uid;               /* (uid_t)-1: stay */
	gid_t gid;
	gid_t group;             /* a further group; (gid_t)-1: none */
	int cgroup;              /* descriptor of the cgroup.procs to enter; -1: none. Stays the caller's */
};

/* Everything is allocated before; between clone and exec only async-signal-safe calls. The child gets: signals at default and unblocked, a session of
 * its own, stdin from /dev/null, stdout and stderr into one pipe, the lifeline on fd 3, nothing else open, its limits, a clean environment,
 * its user, no_new_privs, and SIGKILL when its parent dies.
 * Returns when the exec has happened or failed. 0; ERROR_NOT_FOUND and ERROR_NOT_ALLOWED (ENOENT, EACCES of the program), ERROR_STORE (other errno): e says
 * which call, path and errno name; nothing is left behind. */
int spawn(const struct launch *l, const struct spawn_where *where, struct spawned *ret, struct error *e);
