#pragma once
/* Copies of files and of stores, with the CRC-32C of what was written. Errors of files are told in full: what, which path, errno, whose uid. */
#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/error.h"
#include "actors/tools/progress.h"

/* bytes: how much is done, of all copies; shown in KiB as they go on. progress NULL: not shown. */
struct copying { struct progress *progress; uint64_t bytes; };

/* Fills e and returns its code: NOT_FOUND, NOT_ALLOWED, EXISTS or STORE. what: "read", "create"... */
int copy_failed(struct error *e, const char *what, const char *path, int err);

/* What from holds to its end, to to (-1: only read). path names it in errors. 0, or a code with a text. */
int copy_bytes(struct copying *c, int from, int to, const char *path, uint64_t *ret_size, uint32_t *ret_crc, struct error *e);
/* The store in dir as of one moment, whoever is writing it, to to. */
int copy_store(struct copying *c, const char *dir, int to, uint64_t *ret_size, uint32_t *ret_crc, struct error *e);

/* Everything under path, and path; what is not there is not an error. Never follows a link. */
int copy_remove(const char *path, struct error *e);
int copy_sync(int fd, const char *path, struct error *e);        /* fsync */
int copy_sync_directory(const char *path, struct error *e);
int copy_sync_directories(const char *path, struct error *e);   /* it and all below it */

/* dir/name; the folder that a path is in. ERROR_TOO_LARGE where out, of PATH_MAX bytes, is too small. */
int copy_path(char *out, const char *dir, const char *name, struct error *e);
int copy_above(char *out, const char *path, struct error *e);
