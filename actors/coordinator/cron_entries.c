/* Cron entries: when their times come, what becomes of times that were missed, and what of a task that is not over when the next one is due.
 *
 * seen_ms of an entry says up to which wall clock its times have been dealt with. It never goes back, so a clock that is set back runs nothing twice; only where it
 * is set back by more than a day it was wrong before, and seen_ms follows it. The task, the record and the next time are one commit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/cron.h"
#include "actors/coordinator/crons.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/submit.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define MISSED_MAX 1000u           /* tasks of MISSED_ALL at once; the oldest times beyond are left out */
#define COUNT_MAX 100000u          /* so far are times counted that are left out */
#define LATE_MS 60000u             /* a time that is past for longer was missed */
#define LOOK_AGAIN_MS 3600000u     /* at an entry whose zone cannot be read */
#define TURN_BYTES (2u << 20)      /* of tasks and records, in one turn */
#define NUMBER(rec) DUE_NUMBER(DUE_CRON, (rec)->number) /* of its row in table at */

/* --- the record --- */

static bool is_whole(const Troupe__CronRecord *rec)
{
	return rec->cron && rec->cron->spec && rec->cron->spec->task && queue_name_valid(rec->cron->spec->name);
}

int entry_get(struct turn *t, struct slice name, Troupe__CronRecord **ret)
{
	int r = row_get(t, T_CRON, name, &troupe__cron_record__descriptor, (ProtobufCMessage **)ret);
	return r == 0 && !is_whole(*ret) ? ERROR_CORRUPT : r;
}

int entry_put(struct turn *t, const Troupe__CronRecord *rec)
{
	return row_put(t, T_CRON, SLICE_STR(rec->cron->spec->name), &rec->base);
}

int entry_compile(struct turn *t, struct coordinator *c, const Troupe__CronSpec *spec, struct cron *ret, const struct zone **ret_zone, struct error *e)
{
	bool changed = false;
	int r = cron_parse(spec->expression, ret, e);
	if (!r)
		r = zones_get(c->crons->zones, spec->zone, turn_now_ms(t), ret_zone, &changed, e);
	if (changed && !c->crons->scanning) { /* other entries may have other times now */
		c->crons->scanning = true;
		c->crons->cursor[0] = '\0';
	}
	return r;
}

int entry_next(struct turn *t, struct coordinator *c, const Troupe__CronSpec *spec, uint64_t after_ms, uint64_t *ret, struct error *e)
{
	struct cron cron;
	const struct zone *zone;
	int r = entry_compile(t, c, spec, &cron, &zone, e);
	if (!r)
		*ret = cron_next(&cron, zone, after_ms, NULL);
	return r;
}

static struct slice at_value(struct turn *t, const char *name)
{
	char *value = arena_printf(turn_arena(t), "%c%s", DUE_CRON, name);
	return SLICE(value, value ? strlen(value) : 0);
}

int entry_arm(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, uint64_t at_ms)
{
	Troupe__Cron *x = rec->cron;
	struct slice value = at_value(t, x->spec->name), old = key_due(turn_arena(t), x->next_at_ms, NUMBER(rec));
	if (!value.data || !old.data)
		return -ENOMEM;
	int r = x->next_at_ms ? turn_delete(t, T_AT, old) : 0;
	x->next_at_ms = at_ms == TIME_NEVER ? 0 : at_ms;
	if (!r && x->next_at_ms)
		r = at_put(t, c, x->next_at_ms, NUMBER(rec), value);
	return r;
}

static int entry_event(struct turn *t, const struct coordinator *c, const char *type, const char *level, const char *name, const char *text)
{
	Troupe__Event ev = TROUPE__EVENT__INIT;
	ev.type = (char *)type;
	ev.actor = (char *)c->address;
	ev.level = (char *)level;
	ev.at_ms = turn_wall_ms(t);
	if (!(ev.text = arena_printf(turn_arena(t), "cron %s%s%s", name, *text ? ": " : "", text)))
		return -ENOMEM;
	int r = turn_emit(t, &ev);
	return r == ERROR_BUSY || r == ERROR_TOO_LARGE ? 0 : r;
}

/* --- one task --- */

/* The task of the last time, where it is not over. */
struct former { bool live; struct id id; Troupe__TaskRecord *rec; Troupe__StateRecord *st; struct lease *lease; };

static int former_find(struct turn *t, struct coordinator *c, const Troupe__Cron *x, struct former *ret)
{
	*ret = (struct former){ .live = false };
	if (x->last_task.len != sizeof ret->id.b)
		return 0;
	memcpy(ret->id.b, x->last_task.data, sizeof ret->id.b);
	int r = task_read(t, c, &ret->id, &ret->rec, &ret->st, &ret->lease);
	ret->live = r == 0 && !sched_is_final(task_state(ret->st, ret->lease));
	return r < 0 ? r : 0; /* one that cannot be read holds nobody up */
}

/* A deadline in a template counts from when its task is made. */
static int submit_one(struct turn *t, struct coordinator *c, const Troupe__CronSpec *spec, const char *submitter, struct id *ret_id, struct error *e)
{
	Troupe__TaskSpec one = *spec->task;
	if (one.deadline_at_ms)
		one.deadline_at_ms += turn_wall_ms(t);
	c->crons->turn_tasks++;
	return submit_task(t, c, &one, submitter, ret_id, e);
}

int entry_run(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, uint64_t at_ms, enum entry_refusal *ret_refusal, struct error *e)
{
	Troupe__Cron *x = rec->cron;
	bool skip = x->spec->overlap == TROUPE__CRON_SPEC__OVERLAP__OVERLAP_SKIP, replace = x->spec->overlap == TROUPE__CRON_SPEC__OVERLAP__OVERLAP_REPLACE;
	char *submitter = arena_printf(turn_arena(t), "cron %s", x->spec->name);
	struct former former;
	struct id id;
	if (!submitter)
		return -ENOMEM;
	int r = former_find(t, c, x, &former);
	if (r)
		return r;
	*ret_refusal = REFUSED_NONE;
	if (former.live && skip) {
		*ret_refusal = REFUSED_OVERLAP;
		return error_refuse(e, ERROR_STATE, "wait for it or cancel it; --overlap says what holds", "its last task, #%llu, is not over", (unsigned long long)former.rec->seq);
	}
	if ((r = submit_one(t, c, x->spec, submitter, &id, e)) > 0)
		*ret_refusal = REFUSED_SUBMIT;
	/* The former goes only when the new one is there, or when it is what stands in its way: its unique key. */
	if (former.live && replace && (r == 0 || r == ERROR_EXISTS || r == ERROR_CONFLICT)) {
		int cancelled = task_cancel(t, c, &former.id, former.rec, former.st, former.lease, TROUPE__CAUSE__REPLACED);
		if (cancelled)
			return cancelled > 0 ? -EIO : cancelled;
		if (r && !former.lease)
			r = submit_one(t, c, x->spec, submitter, &id, e);
		*ret_refusal = r ? REFUSED_REPLACED : REFUSED_NONE;
	}
	if (r)
		return r;
	fault_point("cron.after_submit");
	if (!(x->last_task.data = arena_copy(turn_arena(t), id.b, sizeof id.b)))
		return -ENOMEM;
	x->last_task.len = sizeof id.b;
	x->last_at_ms = at_ms;
	x->last_error = (char *)protobuf_c_empty_string;
	x->submitted_total++;
	return 0;
}

/* --- its time has come --- */

/* A turn does so much, and the rest of what is due in the next. */
static bool turn_is_full(const struct crons *k)
{
	return k->turn_tasks >= BULK_MAX || k->turn_bytes >= TURN_BYTES;
}

/* How many of the times that are due get a task: the newest ones. */
static size_t wanted(const Troupe__CronSpec *s, const uint64_t *times, size_t n, uint64_t wall_ms)
{
	if (n == 0)
		return 0;
	switch (s->missed) {
	case TROUPE__CRON_SPEC__MISSED__MISSED_NONE:
		return wall_ms - times[n - 1] <= LATE_MS;
	case TROUPE__CRON_SPEC__MISSED__MISSED_ALL: /* else only one could stay anyway */
		return s->overlap == TROUPE__CRON_SPEC__OVERLAP__OVERLAP_QUEUE ? n : 1;
	case TROUPE__CRON_SPEC__MISSED__MISSED_ONE:
	case _TROUPE__CRON_SPEC__MISSED_IS_INT_SIZE:
		break;
	}
	return 1;
}

static int left_out(struct turn *t, struct coordinator *c, Troupe__Cron *x, uint64_t n)
{
	char text[64];
	if (n == 0)
		return 0;
	x->skipped_total += n;
	snprintf(text, sizeof text, "%llu time%s missed and left out", (unsigned long long)n, n > 1 ? "s" : "");
	return entry_event(t, c, "cron.missed", "warn", x->spec->name, text);
}

int entry_refused(struct turn *t, struct coordinator *c, Troupe__Cron *x, int code, enum entry_refusal why, const struct error *e)
{
	const char *text = e->text[0] ? e->text : error_name(code);
	x->skipped_total++;
	if (why == REFUSED_OVERLAP)
		return entry_event(t, c, "cron.skipped", "info", x->spec->name, text);
	if (!(x->last_error = arena_string(turn_arena(t), text)))
		return -ENOMEM;
	return entry_event(t, c, "cron.refused", "warn", x->spec->name, text);
}

/* n of n_all times, the newest. Sets seen_ms to where it got: the wall clock, or an earlier time where a turn cannot do all. */
static int run_times(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, const uint64_t *times, size_t n, size_t n_all)
{
	uint64_t wall = turn_wall_ms(t);
	size_t run = wanted(rec->cron->spec, times, n, wall), fit = TURN_BYTES / (spec_size(rec->cron->spec->task) + 1024);
	size_t first = n - run, end = run > fit ? first + fit : n;
	int r = left_out(t, c, rec->cron, n_all - run);
	for (size_t i = first; i < end && !r; i++) {
		struct error e = { 0 };
		enum entry_refusal why;
		r = entry_run(t, c, rec, times[i], &why, &e);
		if (r > 0)
			r = entry_refused(t, c, rec->cron, r, why, &e);
	}
	uint64_t seen_ms = end < n ? times[end - 1] : wall;
	if (rec->seen_ms < seen_ms)
		rec->seen_ms = seen_ms;
	return r;
}

/* An entry that cannot be understood any more, because its zone is gone, is looked at again. */
static int postpone(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec, const struct error *e)
{
	log_warn("a cron entry has no next time", LOG_S("cron", rec->cron->spec->name), LOG_S("why", e->text));
	if (!(rec->cron->last_error = arena_string(turn_arena(t), e->text)))
		return -ENOMEM;
	int r = entry_arm(t, c, rec, turn_wall_ms(t) + LOOK_AGAIN_MS);
	return r ? r : entry_put(t, rec);
}

static int run_due(struct turn *t, struct coordinator *c, Troupe__CronRecord *rec)
{
	struct cron cron;
	const struct zone *zone;
	struct error e = { 0 };
	uint64_t wall = turn_wall_ms(t), *times = arena_alloc(turn_arena(t), MISSED_MAX * sizeof *times);
	if (!times)
		return -ENOMEM;
	int r = entry_compile(t, c, rec->cron->spec, &cron, &zone, &e);
	if (r)
		return r < 0 ? r : postpone(t, c, rec, &e);
	size_t n = cron_newest(&cron, zone, rec->seen_ms, wall, times, MISSED_MAX);
	size_t n_all = n < MISSED_MAX ? n : cron_count(&cron, zone, rec->seen_ms, wall, COUNT_MAX);
	r = run_times(t, c, rec, times, n, n_all);
	if (!r)
		r = entry_arm(t, c, rec, cron_next(&cron, zone, rec->seen_ms, NULL));
	return r ? r : entry_put(t, rec);
}

int cron_due(struct turn *t, struct coordinator *c, struct slice name)
{
	Troupe__CronRecord *rec;
	int r = entry_get(t, name, &rec);
	if (r == ERROR_CORRUPT)
		log_error("the record of a cron entry is damaged: it does not run");
	if (r)
		return r < 0 ? r : 0;
	if (rec->cron->paused || !rec->cron->next_at_ms || rec->cron->next_at_ms > turn_wall_ms(t))
		return 0;
	if (turn_is_full(c->crons))
		return entry_arm(t, c, rec, rec->cron->next_at_ms);
	c->crons->turn_bytes += troupe__cron_record__get_packed_size(rec);
	return run_due(t, c, rec);
}
