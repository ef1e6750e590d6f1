#pragma once
/* Containment by cgroup v2: a group per child, so that its whole family can be killed at once and its end be proven, whatever it forks.
 *
 * Used where trouped runs in a group of its own (a service's, a container's) and may make groups below it; in the root of the hierarchy nobody gave us the right, and
 * elsewhere there is no version 2, or it is read-only: then everything here says no, and being a subreaper is what there is (family.h). No controllers are enabled. */
#include <stdbool.h>
#include <stdint.h>

struct cgroup { char base[512]; }; /* <mount><our group>/troupe.<node>; empty: not used */

/* Makes the base; kills and removes what an earlier life left in it. */
void cgroup_open(struct cgroup *c, const char *node);
void cgroup_close(struct cgroup *c); /* removes the base */
/* The same, with the hierarchy's mount point and our path in it given. For tests. */
void cgroup_open_at(struct cgroup *c, const char *mount, const char *path, const char *node);
static inline bool cgroup_used(const struct cgroup *c) { return c->base[0] != 0; }

/* A new group. Returns a descriptor of its cgroup.procs, to which a process writes "0" to enter; -1: none, the child lives without. */
int cgroup_make(const struct cgroup *c, uint64_t incarnation);
void cgroup_kill(const struct cgroup *c, uint64_t incarnation);  /* SIGKILL to everybody in it, once */
bool cgroup_oom(const struct cgroup *c, uint64_t incarnation); /* one of it was killed for want of memory, by its own memory.events; false where that is not counted */
bool cgroup_empty(const struct cgroup *c, uint64_t incarnation); /* true where there is no such group */
void cgroup_remove(const struct cgroup *c, uint64_t incarnation); /* a group whose last process is not quite gone stays, for cgroup_tidy */
void cgroup_tidy(const struct cgroup *c);                          /* removes what is empty by now */
