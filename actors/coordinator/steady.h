#pragma once
/* The steady clock: all times in the ledger, but those of tables at and cron, are by it. It began as the wall clock and goes on at the pace of time, whatever is done
 * to the wall clock: delays, time to live, deadlines and rates are spans of time, and a clock that is set must not make a million tasks due.
 *
 * While the machine is up it follows the boot clock, also over restarts of the coordinator; over a boot the wall clock says how long it took. What is shown to people
 * is shifted by the present difference, so a corrected clock corrects what was written under the wrong one. */
#include "common/actor/actor.h"
#include "proto/ledger.pb-c.h"

struct steady { uint64_t offset_ms; bool begun; char boot_id[40]; }; /* steady = boot clock + offset, modulo 2^64 */

/* In the first turn. meta as it was read; steady_ms 0: a new ledger. */
void steady_begin(struct steady *s, const Troupe__MetaRecord *meta, uint64_t boot_ms, uint64_t wall_ms, const char *boot_id);
/* The present time into meta; boot_id points into s. */
void steady_note(const struct steady *s, Troupe__MetaRecord *meta, uint64_t boot_ms, uint64_t wall_ms);
static inline uint64_t steady_at(const struct steady *s, const struct turn *t) { return turn_boot_ms(t) + s->offset_ms; }
/* A wall-clock time as a steady one, and back. 0 (none) stays 0. */
static inline uint64_t steady_of_wall(const struct steady *s, const struct turn *t, uint64_t wall_ms)
{
	return wall_ms ? wall_ms - turn_wall_ms(t) + steady_at(s, t) : 0;
}
static inline uint64_t steady_to_wall(const struct steady *s, const struct turn *t, uint64_t steady_ms)
{
	return steady_ms ? steady_ms - steady_at(s, t) + turn_wall_ms(t) : 0;
}
/* The kernel's name for this boot; "" where it does not say. */
void steady_boot_id(char out[static 40]);
