#pragma once
/* Named fault points. Compiled in with -Dfault=true (the default in a debug build, off in a release build):
 * with TROUPE_FAULT=name:nth[,name:nth...] in the environment the process kills itself with SIGKILL at the nth pass of the point.
 * TROUPE_FAULT_ONCE=file makes a fired point create file and never fire again while it exists, across restarts.
 * A name is "<subject>.<moment>", e.g. "submit.after_commit"; the list of all names is in fault_names. */
#include <stdbool.h>
extern const char *const fault_names[]; /* NULL-terminated, for the sweep */
#ifdef TROUPE_FAULT_POINTS
void fault_point(const char *name);
#else
static inline void fault_point(const char *name) { (void)name; }
#endif
