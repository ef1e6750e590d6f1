#pragma once
/* Where tasks live: <state_dir>/work/<token>, private and empty, one for each task; <token>.payload beside it for a large payload.
 *
 * What a task leaves behind is removed by openat and unlinkat, never through a symbolic link, without recursion and in slices: a task that made a
 * million files, or directories a thousand deep, delays nobody. A directory that is not empty is moved to work/trash, and there, slice by slice, the
 * directories inside it are moved up beside it: so nothing is ever more than one level deep. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

struct workdir {
	int work, trash;       /* fds */
	uint64_t serial;       /* names in the trash */
	bool dirty;            /* there may be something in the trash */
	bool stuck;            /* something in it cannot be removed */
};
/* Creates what is missing; what an earlier incarnation left goes to the trash. 0, -errno, or a code with a text. */
int workdir_open(struct workdir *w, const char *state_dir, struct error *e);
void workdir_close(struct workdir *w);
/* 0 with an fd of the new directory, or -errno. */
int workdir_make(struct workdir *w, uint64_t token, int *ret_fd);
/* Writes the payload to a file whose absolute path is put into path. 0 or -errno. */
int workdir_payload(struct workdir *w, uint64_t token, const void *data, size_t len, char *path, size_t size);
/* The task is over and its family empty: its directory goes, now or later. */
void workdir_remove(struct workdir *w, uint64_t token);
void workdir_remove_payload(struct workdir *w, uint64_t token); /* the file */
/* Removes at most n entries of the trash; true while there is more. */
bool workdir_clean(struct workdir *w, unsigned n);
