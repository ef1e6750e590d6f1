#pragma once
/* Named fault points. Compiled in with -Dfault=enabled (the default except in a release build).
 *
 *   TROUPE_FAULT=[role/]name[:nth][,...]
 *
 * The process kills itself with SIGKILL at the nth pass (from 1, the default) of the point. With a role the spec holds only in a process that called
 * fault_role with that word: "coordinator/turn.after_commit:3" lets every other actor of the node pass. The role of an actor is its type, of the
 * supervisor "trouped". Passes before fault_role count for no spec with a role.
 * TROUPE_FAULT_ONCE=file makes a fired point create file and never fire again while it exists, across restarts.
 * A spec that cannot be read, or names an unknown point, ends the process with status 100 and a line on stderr: a sweep must not pass by a typing error.
 * A name is "<subject>.<moment>", e.g. "submit.after_parse"; all are in fault_names. */
#include <stdbool.h>
extern const char *const fault_names[]; /* NULL-terminated, for the sweep */
#ifdef TROUPE_FAULT_POINTS
void fault_point(const char *name);
void fault_role(const char *role); /* copied; at most 31 bytes */
#else
static inline void fault_point(const char *name) { (void)name; }
static inline void fault_role(const char *role) { (void)role; }
#endif
