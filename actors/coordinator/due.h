#pragma once
/* What is due: rows that say when somebody must look at a task or at something else again. */
#include "actors/coordinator/ledger.h"

struct coordinator;

/* Rows of the due index, by the steady clock, and of table at, by the wall clock. The value is copied; number must be the row's own among those of one millisecond: a
 * task's seq, or a number with a high bit of its kind (DUE_NUMBER). */
enum due_kind { DUE_KEY = 'k', DUE_EDGES = 'e', DUE_BLOB = 'b', DUE_CRON = 'c' };
#define DUE_OTHER ((uint64_t)1 << 62) /* of a task's row that is not the time of its next attempt */
#define DUE_NUMBER(kind, n) ((uint64_t)1 << 63 | (uint64_t)(kind) << 48 | ((uint64_t)(n) & 0xffffffffffff))
int due_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t seq, const struct id *id);
int due_kind_put(struct turn *t, struct coordinator *c, uint64_t at_ms, uint64_t number, struct slice value);
int at_put(struct turn *t, struct coordinator *c, uint64_t wall_ms, uint64_t number, struct slice value);
int due_run(struct turn *t, struct coordinator *c);
