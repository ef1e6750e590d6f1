#pragma once
/* Payloads of any size. Up to 64 KiB they go inside the submit; a larger one is sent before it, piece by piece under its hash, and the submit names it. Nothing here
 * holds one in memory: what cannot be read twice, such as a pipe, is kept in a file without a name. */
#include "actors/tools/tool.h"
#include "common/base/sha256.h"

#define PAYLOAD_INLINE_MAX (64u * 1024)

struct payload {
	const char *name;          /* for people */
	int fd;                    /* read from offset `from`; -1: it is in data */
	uint64_t from, size;
	const uint8_t *data;
	uint8_t *owned;            /* data, where it is ours */
};
/* A file, or stdin ("-"). Small: all of it is in data. 0, or an exit status. */
int payload_open(struct tool *t, const char *path, struct payload *ret);
int payload_read(const char *path, struct payload *ret, struct error *e); /* a file that a line names; 0 or a code with e filled, -ENOMEM */
void payload_close(struct payload *p);
/* The same in memory that is the caller's. */
static inline struct payload payload_of(const void *data, size_t size) { return (struct payload){ .name = "the payload", .fd = -1, .data = data, .size = size }; }

/* What a task names. */
struct payload_ref { Troupe__BlobRef ref; uint8_t sha256[SHA256_BYTES]; };
/* Sends a large one, unless the node has it already; goes on where it was when a coordinator dies. 0, -errno, or a code with e filled. quiet: without a bar. */
int payload_send(struct tool *t, const struct payload *p, bool quiet, struct payload_ref *ret, struct error *e);

/* Of a task that is written down: what is too large goes ahead of it, and the task names it, in memory of the arena. What was sent before is not sent again. The same returns. */
int payload_task_inline(struct tool *t, struct arena *a, Troupe__TaskSpec *task, struct error *e);
int payload_task_file(struct tool *t, const char *path, struct arena *a, Troupe__TaskSpec *task, struct error *e); /* the content of a file */

/* Fetches what a task names, in pieces, in order, and compares the hash. take: 0 or -errno, which ends it. 0, -errno, or a code with e filled. */
int payload_fetch(struct tool *t, const Troupe__BlobRef *ref, int (*take)(void *ctx, const uint8_t *data, size_t len), void *ctx, struct error *e);
/* Into a file, or stdout ("-"), piece by piece. 0, or an exit status. */
int payload_write(struct tool *t, const Troupe__TaskSpec *spec, const char *path);
/* Into memory: spec holds it then. *ret_owned is the caller's to free. 0, or an exit status. */
int payload_load(struct tool *t, Troupe__TaskSpec *spec, uint8_t **ret_owned);
/* How a line of an export names a large one: as a file of --files, which is written, or as what this node has. 0, or an exit status. */
int payload_export(struct tool *t, const Troupe__TaskSpec *spec, json_t *row);
/* Reads every large payload that a task names and compares its hash. *ret_n: of them. Prints what is wrong; EXIT_NO where something is, or an exit status. */
int payload_check(struct tool *t, uint64_t *ret_n);
