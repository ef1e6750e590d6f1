#pragma once
/* A node's state directory as it lies on disk: what a backup takes of it, and who holds it. */
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "common/base/error.h"

#define STATE_LOCK "lock"            /* trouped holds it as long as it runs */
#define STATE_NODE "node"            /* the node's id, and a number that every start raises */
#define STATE_COORDINATORS "actors/coordinator"

enum state_kind {
	STATE_DIRECTORY, /* before what is in it; the state directory itself is "." */
	STATE_STORE,     /* the data.mdb of an environment */
	STATE_BLOB,      /* a payload: its name is its hash, it never changes */
	STATE_FILE,      /* any other */
};
/* All that a backup takes: not locks, not what workers have in work, no cores, links, sockets. path is relative to dir. What disappears meanwhile is left out. fn: 0 to go on, else it
 * is returned. A code with a text. */
int state_walk(const char *dir, int (*fn)(void *ctx, enum state_kind kind, const char *path, const struct stat *st, struct error *e), void *ctx, struct error *e);

bool state_is_empty(const char *dir); /* but for a lock that nobody needs, and what a file system puts there */
/* Does a node run on it? 0: no. ERROR_BUSY with its pid in the text; another code with a text. Nothing is changed. */
int state_is_free(const char *dir, struct error *e);
/* Keeps every node off: 0 with a descriptor that holds the lock; ERROR_BUSY as above. */
int state_lock(const char *dir, int *ret_fd, struct error *e);
