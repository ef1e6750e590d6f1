#pragma once
/* A disk after a power cut, made from a recorded life (record.h): what was synced, and any part of what was not. Promises of a real disk that are used: a write
 * that a sync covers is there; a sector of 512 bytes is old or new; names change in their order (a journal). Nothing else is promised: of writes that no sync
 * covers any may be there, whole or torn at sectors, and a file may have its new length without its new bytes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/rng.h"
#include "tests/fault/record.h"

struct disk;
enum cut { CUT_NOTHING, CUT_ALL, CUT_ONE, CUT_ALL_BUT_ONE, CUT_SOME, CUT_TORN, N_CUTS }; /* of what is not synced */

/* root: what stood in $RECORD_DIR. Aborts without memory: it is for tests. */
struct disk *disk_new(const char *root);
struct disk *disk_free(struct disk *d);
/* One record; data lives as long as the disk. true: a sync is about to take effect, take images before disk_settle. */
bool disk_add(struct disk *d, const struct record *r, const uint8_t *data);
void disk_settle(struct disk *d);                 /* the sync that disk_add has announced */
size_t disk_pending(const struct disk *d);        /* writes that no sync covers */
/* Writes the files of one image below dir, which is emptied first. 0 or -errno. */
int disk_image(struct disk *d, enum cut how, struct rng *rng, const char *dir);
const char *cut_name(enum cut how);
