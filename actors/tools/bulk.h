#pragma once
/* A bulk file: one JSON object a line, each a task. Pure: text in, task out.
 *
 *   {"payload": …, "queue": "emails", "priority": "high", "delay": "10m", "unique": "order:77", "id": "01J…"}
 *
 * The members are those of spec_json.h and exported.h, and id.
 *
 * Ids: a task without an id gets the batch's id plus its line's number, so that the same file under the same batch gives the same ids: what was accepted before
 * is recognised, what was not is accepted now. Ids that rise with the lines are also what the store takes fastest. */
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/queue.pb-c.h"
#include "actors/tools/exported.h"

#define BULK_LINE_MAX (512u * 1024)  /* bytes: a payload is at most 64 KiB, which escapes can make six times as long */
#define BULK_CHUNK_MAX 1000u         /* tasks of one submit */
#define BULK_CHUNK_BYTES (640u * 1024)

struct bulk_defaults {
	const char *queue;               /* of a line that names none; NULL: each must */
	struct id batch;
	uint64_t now_ms;                 /* wall clock: what a deadline counts from */
	struct exported *exported;       /* filled from each line; NULL: nobody wants to know */
	/* The content of a file becomes t's payload or blob. 0; a code with e filled; -errno. NULL: lines may not name files. */
	int (*read_file)(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e);
	void *ctx;
};

/* The batch's id plus n. */
struct id bulk_id(const struct id *batch, uint64_t n);

/* One line. Strings and the spec live in the arena. 0; ERROR_BAD_REQUEST or ERROR_TOO_LARGE, with line as e's index; -ENOMEM. */
int bulk_line(const char *text, size_t len, uint64_t line, const struct bulk_defaults *d, struct arena *a, Troupe__TaskSpec **ret, struct error *e);
