#pragma once
/* What a line of an export says beyond a line of a bulk file (bulk.h), so that the task can be had again elsewhere, under its own id, and be recognised where it is already. Pure.
 *
 * Of the task: id; run_at instead of a delay, which would begin anew; deadline_at; unique_window; traceparent; argv_base64 where argv is no text;
 * backoff: {"kind": "exponential" | "linear" | "list", "base": "10s", "cap": "1h", "factor_pct": 200, "jitter_pct": 10, "delays": ["1s", "5s"]}.
 * For people: state, attempts, submitter, submitted_at. Reading takes them and does nothing with them, but for state: what was done is not done again. */
#include <stdbool.h>
#include <jansson.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "proto/queue.pb-c.h"

extern const char *const exported_members[]; /* ended by NULL */

/* What a reader learns of a line besides its task. */
struct exported { bool has_id, is_over; }; /* is_over: it was done or cancelled */

/* Adds to a row that row_of_bulk made. false: without memory. */
bool exported_write(json_t *row, const Troupe__Task *task);
/* Reads those members into a spec whose others have been read. ret may be NULL. 0, ERROR_BAD_REQUEST, -ENOMEM. */
int exported_read(const json_t *row, struct arena *a, Troupe__TaskSpec *spec, struct exported *ret, struct error *e);

/* The task as its line says it, at any time of its life: the same values, some of them said otherwise. Shallow: points into task. */
void exported_spec(const Troupe__Task *task, Troupe__TaskSpec *ret);
/* Is the task that a line says the one that is there? */
bool exported_same(const Troupe__Task *there, const Troupe__TaskSpec *line, struct arena *a);
