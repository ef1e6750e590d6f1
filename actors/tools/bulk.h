#pragma once
/* A bulk file: one JSON object a line, each a task. Pure: text in, task out.
 *
 *   {"payload": …, "queue": "emails", "priority": "high", "delay": "10m", "unique": "order:77", "id": "01J…"}
 *
 * payload: a string is taken as its bytes; anything else as its JSON text with content type application/json. payload_base64: any bytes. Also: argv (an array of
 * strings), payload_file (a file's name: its content), payload_sha256 with payload_size (a large payload that the node has already), run_at (RFC 3339), timeout, deadline (both durations), max_attempts, unique_mode, require (an array of tags), content_type. An unknown member is an error.
 *
 * Ids: a task without an id gets the batch's id plus its line's number, so that the same file under the same batch gives the same ids: what was accepted before
 * is recognised, what was not is accepted now. Ids that rise with the lines are also what the store takes fastest. */
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/queue.pb-c.h"

#define BULK_LINE_MAX (512u * 1024)  /* bytes: a payload is at most 64 KiB, which escapes can make six times as long */
#define BULK_CHUNK_MAX 1000u         /* tasks of one submit */
#define BULK_CHUNK_BYTES (640u * 1024)

struct bulk_defaults {
	const char *queue;               /* of a line that names none; NULL: each must */
	struct id batch;
	uint64_t now_ms;                 /* wall clock: what a deadline counts from */
	/* The content of a file becomes t's payload or blob. 0; a code with e filled; -errno. NULL: lines may not name files. */
	int (*read_file)(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e);
	void *ctx;
};

/* The batch's id plus n. */
struct id bulk_id(const struct id *batch, uint64_t n);

/* One line. Strings and the spec live in the arena. 0; ERROR_BAD_REQUEST or ERROR_TOO_LARGE, with line as e's index; -ENOMEM. */
int bulk_line(const char *text, size_t len, uint64_t line, const struct bulk_defaults *d, struct arena *a, Troupe__TaskSpec **ret, struct error *e);

/* "2026-11-20T09:30:00Z", with fractions of a second and offsets (+01:00) too; wall milliseconds. 0 or ERROR_BAD_REQUEST. */
int date_parse(const char *s, uint64_t *ret_ms, struct error *e);
int unique_mode_parse(const char *s, Troupe__UniqueMode *ret, struct error *e);
