#pragma once
/* One task as a JSON object. Pure: JSON in, task out.
 *
 * payload: a string is taken as its bytes; anything else as its JSON text with content type application/json. payload_base64: any bytes. payload_file: a file's content, by
 * its name. payload_sha256 with payload_size: a large one that the node has already. Also: queue, priority, argv
 * (an array of strings), delay, timeout, deadline (durations), run_at (RFC 3339), unique, unique_mode, max_attempts, retry (an array of rules), require (an array of
 * tags), resources ({"gpu": 1, "mem": "4G"}), serial, after (an array of ids, or of {"id": ..., "on": "success" | "end" | "failure"}), hold, content_type. An unknown
 * member is an error. */
#include <jansson.h>
#include "common/base/rate.h"
#include "common/base/retry_rule.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/queue.pb-c.h"

#define SPEC_RESOURCES_MAX 8u
#define SPEC_EDGES_MAX 256u
#define SPEC_MORE_MAX 16u

struct spec_context {
	const char *queue;               /* of a task that names none; NULL: each must */
	const char *queue_cure;          /* what to do then */
	uint64_t now_ms;                 /* wall clock: what a deadline counts from */
	const char *const *more;         /* further members, which the caller reads; ended by NULL, at most SPEC_MORE_MAX; NULL: none */
	/* The content of a file becomes t's payload or blob. 0; a code with e filled; -errno. NULL: tasks may not name files. */
	int (*read_file)(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e);
	void *file_ctx;
	/* Where tasks have names: what a text in after stands for, 0 or an error. after's objects may have a name then, and the task "on" for all of them. NULL: ids. */
	int (*find)(void *ctx, const char *name, struct id *ret, struct error *e);
	void *ctx;
};

/* Strings and messages live in the arena; id is left alone. 0; ERROR_BAD_REQUEST; -ENOMEM. */
int spec_read(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e);

/* Parts of a task, for the command line too. The same returns. */
int spec_edge(const struct id *id, Troupe__EdgeOn on, struct arena *a, Troupe__TaskSpec *t, struct error *e);
int spec_resource(const struct resource_amount *r, struct arena *a, Troupe__TaskSpec *t, struct error *e);
int spec_rules(const struct retry_rule *rules, size_t n, struct arena *a, Troupe__TaskSpec *t);

/* "2026-11-20T09:30:00Z", with fractions of a second and offsets (+01:00) too; wall milliseconds. 0 or ERROR_BAD_REQUEST. */
int date_parse(const char *s, uint64_t *ret_ms, struct error *e);
int unique_mode_parse(const char *s, Troupe__UniqueMode *ret, struct error *e);
