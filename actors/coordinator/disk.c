/* The disk under the store, and what the store may become itself: the scarcer one counts. Below the low-water mark submits are refused; below half of it nothing is
 * given to workers either, so that what runs can still end, be cancelled and be kept: a row of a full disk cannot even be deleted, for a deletion writes pages first. */
#include "actors/coordinator/disk.h"

#include <sys/statvfs.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/log.h"

#define LOOK_MS 1000u
#define STORE_MARK_MIN (16u << 20) /* some turns: one that does not fit ends the process */

/* Once a second while anything happens, and after every eighth of the mark that was taken in. */
void disk_look(struct coordinator *c, uint64_t now_ms)
{
	struct statvfs v;
	if (c->disk_seen_ms && now_ms - c->disk_seen_ms < LOOK_MS && c->disk_taken <= c->disk_mark / 8)
		return;
	if (statvfs(c->state_dir, &v) != 0)
		return;
	uint64_t total = (uint64_t)v.f_blocks * v.f_frsize, mark = total / 100 * c->setup->low_water_pct;
	if (c->setup->low_water_bytes < mark)
		mark = c->setup->low_water_bytes;
	c->disk_seen_ms = now_ms;
	c->disk_taken = 0;
	c->disk_mark = mark;
	c->disk_free = (uint64_t)v.f_bavail * v.f_frsize;
	uint64_t room, most = c->setup->map_max, store_mark = most / 100 * c->setup->low_water_pct;
	if (store_mark > c->setup->low_water_bytes)
		store_mark = c->setup->low_water_bytes;
	if (store_mark < STORE_MARK_MIN)
		store_mark = STORE_MARK_MIN;
	if (most && store_mark < mark)
		c->disk_mark = store_mark; /* so that a store of 64 MiB is not looked at after 32 */
	/* In shares of the marks, so that the two can be compared. */
	if (most && store_room(c->store, &room) == 0 && room < store_mark && (!mark || room * mark < c->disk_free * store_mark)) {
		c->disk_free = room;
		mark = store_mark;
	}
	bool low = c->disk_free < mark, stop = c->disk_free < mark / 2;
	if (low != c->disk_low)
		log_warn(low ? "the disk, or the store, is nearly full: submits are refused" : "there is room again", LOG_U("free", c->disk_free), LOG_U("mark", mark));
	if (stop != c->disk_stop)
		log_warn(stop ? "the disk, or the store, is nearly full: no task begins" : "tasks begin again", LOG_U("free", c->disk_free), LOG_U("mark", mark));
	c->disk_low = low;
	c->disk_stop = stop;
}

/* The store takes in so many bytes of a task or a result. */
void disk_take(struct coordinator *c, size_t bytes)
{
	c->disk_taken += bytes + 300; /* what a row has besides */
}

int disk_check(struct turn *t, struct coordinator *c, struct error *e)
{
	disk_look(c, turn_now_ms(t));
	if (!c->disk_low)
		return 0;
	error_refuse(e, ERROR_DISK_LOW, "free space, or lower disk_low_water in the configuration", "only %llu MiB are free on the disk of the store",
	             (unsigned long long)(c->disk_free >> 20));
	return error_retry(e, 5000);
}
