#pragma once
/* The proof of a death: nothing that descends from a dead child is left alive.
 *
 * trouped is a child subreaper: when a child dies, whatever it leaves is re-parented to trouped before trouped can see the death. So every process whose parent
 * is trouped and which is no known child is a leftover: it is killed through its pidfd and reaped, and its own children appear in turn.
 * The family is proven empty when a look finds none. A look is one read of /proc/self/task/<tid>/children, or a walk of /proc where the kernel lacks it. */
#include <stdbool.h>
#include <sys/types.h>

/* Kills and reaps leftovers. known(pid, ctx): is it a child of the table? Returns how many are still there (killed, not dead yet) and one of
 * them in *ret_pid; 0 is the proof. At most a few rounds, never blocks. */
unsigned family_sweep(bool (*known)(pid_t pid, void *ctx), void *ctx, pid_t *ret_pid);

/* Kills every process of the system, other than our descendants' own, whose environment carries this node's id: what an earlier trouped left. Returns how many
 * were found; call again until 0. */
unsigned family_sweep_node(const char *node);
