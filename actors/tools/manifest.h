#pragma once
/* The MANIFEST of a backup: JSON lines, each with a member "kind".
 *
 *   backup      the first: format, node, version, state_dir, began_at
 *   directory   path, mode, user, group
 *   file        the same, and size and crc32c (8 hexadecimal digits) of what lies in the backup under state/PATH
 *   ledger      path of a coordinator's state, and its tasks by state
 *   ended       when
 *   end         the last: how many files and bytes, and the crc32c of all lines before it
 *
 * Paths are relative to the state directory. A manifest that does not end with a right last line is none: a backup is whole, or it is no backup. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <jansson.h>
#include "common/base/error.h"

#define MANIFEST_NAME "MANIFEST"
#define MANIFEST_FORMAT 1
#define MANIFEST_PATH_MAX 1024u

struct manifest_writer { FILE *f; uint32_t crc; uint64_t files, bytes; };
/* Creates the file. 0, or a code with a text. */
int manifest_create(struct manifest_writer *w, const char *path, struct error *e);
int manifest_line(struct manifest_writer *w, json_t *row, struct error *e); /* takes the reference */
int manifest_directory(struct manifest_writer *w, const char *path, const struct stat *st, struct error *e);
int manifest_file(struct manifest_writer *w, const char *path, const struct stat *st, uint64_t size, uint32_t crc, struct error *e);
int manifest_finish(struct manifest_writer *w, uint64_t wall_ms, struct error *e); /* the last two lines; synced and closed */
void manifest_drop(struct manifest_writer *w);                             /* closes what was not finished; nothing else */

struct manifest_entry {
	bool directory;
	char path[MANIFEST_PATH_MAX];
	mode_t mode;
	const char *user, *group;      /* valid during the call */
	uid_t uid;                     /* where nobody has that name */
	gid_t gid;
	uint64_t size;
	uint32_t crc;
};
struct manifest {
	json_t *head;                  /* owned */
	json_t *ledgers;               /* array of rows; owned */
	uint64_t files, bytes;
};
/* Reads it through: checksum, format, every path. 0 with what manifest_fini frees; ERROR_NOT_FOUND, ERROR_NOT_ALLOWED, ERROR_CORRUPT, ERROR_VERSION, ERROR_STORE; -ENOMEM. */
int manifest_read(const char *path, struct manifest *ret, struct error *e);
void manifest_fini(struct manifest *m);
/* Each directory and file of a manifest that was read, directories before what is in them. fn: 0 to go on, else it is returned. */
int manifest_each(const char *path, int (*fn)(void *ctx, const struct manifest_entry *m, struct error *e), void *ctx, struct error *e);
