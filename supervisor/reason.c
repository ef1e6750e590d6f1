#include <string.h>
#include "supervisor/reason.h"

static const char *const names[REASON_N] = {
	"none", "normal", "shutdown", "killed", "exit", "signal", "core", "start_timeout", "start_failed",
	"watchdog", "turn_timeout", "oom", "rlimit", "poison", "lost", "gave_up", "noproc", "noconnection",
};

const char *reason_name(enum reason r)
{
	return (unsigned)r < REASON_N ? names[r] : "?";
}

bool reason_parse(const char *name, enum reason *ret)
{
	for (unsigned i = 0; i < REASON_N; i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum reason)i;
			return true;
		}
	return false;
}

bool reason_is_clean(enum reason r)
{
	return r == REASON_NORMAL || r == REASON_SHUTDOWN;
}
