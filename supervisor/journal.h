#pragma once
/* The decision journal, <state_dir>/journal: what the tree was told, and the times of its windows, so that a supervisor that was killed does not forget how often its children
 * have died, and a decision can be looked at afterwards.
 *
 * Records of text, one a line: a CRC-32C in hexadecimal, a space, the record. They are gathered in memory and go out with one write(2) a turn of the loop,
 * before anything is forked; no fsync: decisions must survive trouped, not the machine. At 4 MiB the file becomes journal.1 and a new one begins.
 * A torn or damaged line ends the reading of a file: what is before it counts. Opening it takes a torn last line off, and puts a file with any other bad line aside as
 * journal.damaged. All times are milliseconds since the boot of the machine (CLOCK_MONOTONIC).
 *
 *   boot WALL_MS MONO_MS SEED FIRST_INCARNATION          a supervisor begins; its windows follow, what was said of them before is over. Said again in a new file
 *   tree, record, waiting, wanted, event, does           a snapshot, what the tree is told and what it decides: tree_text.h. troupe replay decides again
 *   window MONO_MS KIND STEP TIMES NAME                  in a window of NAME this time stands so often by now
 *   forget NAME                                          its windows are empty: it gave up, or an operator started or stopped it
 *   forget_group NAME                                    the supervisor's window for its children is empty: it has ended, or it goes on without one of them
 *   clean                                                the node stopped as ordered: all windows are empty */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "supervisor/tree.h"

#define JOURNAL_MAX (4u * 1024 * 1024)     /* or four times a snapshot of the tree, where that is more */

struct journal;

/* Read it first (journal_restore): a damaged one is put aside. 0 or -errno. */
int journal_open(const char *dir, struct journal **ret);
struct journal *journal_close(struct journal *j);        /* flushes; returns NULL; NULL accepted */
void journal_add(struct journal *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One event and all that was decided. */
void journal_decided(struct journal *j, const struct event *e, const struct actions *decided);
/* The first record of a life, a snapshot of t, and its windows. */
void journal_boot(struct journal *j, uint64_t wall_ms, uint64_t mono_ms, uint64_t seed, uint64_t first_incarnation, const struct tree *t);
/* The times that stand in the windows: of one record (NULL: of all), of one moment (UINT64_MAX: all). */
void journal_windows(struct journal *j, const struct tree *t, const struct child *only, uint64_t at_ms);
/* One write(2) for all that was added. -errno: they are lost, the journal goes on. t: its snapshot and windows go into a new file, where one begins; NULL: no
 * new one begins. */
int journal_flush(struct journal *j, const struct tree *t);
/* The windows of an unclean death into t, which has not been booted: times of another boot of the machine do not count. Returns how many. */
unsigned journal_restore(const char *dir, struct tree *t, uint64_t now_mono_ms, uint64_t now_wall_ms);
/* Every whole record of a file; fn returns false to stop. 0, ERROR_CORRUPT (a torn or damaged line: *ret_line says which), -errno. ret_line may be NULL. */
int journal_each(const char *path, bool (*fn)(void *ctx, const char *record), void *ctx, unsigned *ret_line);
