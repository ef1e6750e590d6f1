#pragma once
/* Cron entries: what their files share, and what the others call. An entry is a row of table cron, by name; its next time is a row of table at. In memory is nothing of it. */
#include "actors/coordinator/cron.h"
#include "actors/coordinator/ledger.h"
#include "actors/coordinator/queue.h"

#define CRONS_MAX 10000u            /* entries */
#define CRON_DAY_MS (24ull * 3600 * 1000)

/* --- zones.c: the zones of this machine --- */
struct zones;
struct zones *zones_new(void);                /* NULL without memory */
void zones_free(struct zones *z);
/* Reads its file where that was not done before, or where it has changed since, which is looked at once a minute (*ret_changed). "" and UTC need no file. The zone is valid until the
 * next call. 0, ERROR_BAD_REQUEST (a bad name, or a damaged file), ERROR_NOT_FOUND, ERROR_VERSION, ERROR_TOO_LARGE, -ENOMEM. */
int zones_get(struct zones *z, const char *name, uint64_t now_ms, const struct zone **ret, bool *ret_changed, struct error *e);

/* --- cron_entries.c --- */
struct crons {
	struct zones *zones;
	uint64_t n;               /* entries */
	uint64_t high_ms;         /* the latest wall clock that was seen; 0: none yet */
	bool scanning;            /* all entries are looked at, in slices */
	char cursor[NAME_MAX_BYTES + 1]; /* the last one that was */
	size_t turn_tasks, turn_bytes; /* what this turn has done already */
};
/* In the turn's arena. 0, ERROR_NOT_FOUND, ERROR_CORRUPT, negative. */
int entry_get(struct turn *t, struct slice name, Troupe__CronRecord **ret);
int entry_put(struct turn *t, const Troupe__CronRecord *rec);
/* The next time from the expression and the zone, after after_ms; TIME_NEVER. 0, a positive code with e filled, negative. */
int entry_next(struct turn *t, struct coordinator *c, const Troupe__CronSpec *spec, uint64_t after_ms, uint64_t *ret, struct error *e);
int entry_compile(struct turn *t, struct coordinator *c, const Troupe__CronSpec *spec, struct cron *ret, const struct zone **ret_zone, struct error *e);
/* Moves its row in table at; TIME_NEVER: it has none. The record is the caller's to put. */
int entry_arm(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, uint64_t at_ms);
/* One task for that time, by the overlap policy. 0; positive: none was made, e says why; negative. The record is the caller's to put. */
enum entry_refusal { REFUSED_NONE, REFUSED_OVERLAP /* the one before is not over */, REFUSED_SUBMIT, REFUSED_REPLACED /* and the one before was cancelled */ };
int entry_run(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, uint64_t at_ms, enum entry_refusal *ret_refusal, struct error *e);
/* Writes down that none was made. */
int entry_refused(struct turn *t, struct coordinator *c, Troupe__Cron *x, int code, enum entry_refusal why, const struct error *e);

/* --- cron_clock.c, cron_entries.c: what the others call --- */
int crons_open(struct coordinator *c, struct store_txn *view);
void crons_free(struct coordinator *c);
int crons_tick(struct turn *t, struct coordinator *c);  /* after due rows, once a turn: has the clock been set back? */
int cron_due(struct turn *t, struct coordinator *c, struct slice name); /* the row of this entry was due, and is deleted */
