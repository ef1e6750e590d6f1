/* Verbs of cron entries: add, remove, pause, resume, run; list and show; preview. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/cron.h"
#include "actors/coordinator/crons.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/verbs.h"
#include "common/base/clock.h"

#define WHY_MAX 500u
#define PREVIEW_STANDARD 10u
#define PREVIEW_MAX 1000u
#define ASK_ROWS 1000u
#define ASK_BYTES (8u << 20)           /* of records read for one answer */
#define DEADLINE_MAX_MS (3650ull * CRON_DAY_MS)

/* What an order says, and what follows from it. */
struct order {
	struct turn *t;
	struct coordinator *c;
	const struct message *m;
	const Troupe__CronOrder *o;
	const char *name;
	Troupe__CronRecord *rec;       /* the entry; NULL: there is none */
	const char *event;             /* NULL: nothing has changed */
	struct error e;
};

static int say(struct turn *t, const struct message *m, Troupe__Cron **all, size_t n, bool more)
{
	Troupe__Crons out = TROUPE__CRONS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.crons = all;
	out.n_crons = n;
	out.more = more;
	env.body_case = TROUPE__ENVELOPE__BODY_CRONS;
	env.crons = &out;
	return turn_reply(t, m, &env);
}

static int unknown(const char *name, struct error *e)
{
	return error_refuse(e, ERROR_NOT_FOUND, "troupe cron list shows all", "there is no cron entry \"%.128s\"", name);
}

static int damaged(const char *name, struct error *e)
{
	return error_refuse(e, ERROR_CORRUPT, "remove it and add it anew", "the record of cron entry \"%.128s\" is damaged", name);
}

/* --- add --- */

/* A template has nothing in it that only one task can have. */
static int check_template(struct order *x, const Troupe__TaskSpec *s)
{
	const char *what = s->id.len ? "an id: each task gets one of its own" : s->run_at_ms ? "run_at: the entry says when it runs" : s->n_depends_on ? "dependencies" :
	                   s->role || s->compensates.len ? "a role in a batch" : s->blob ? "a blob: its payload must be inline" : NULL;
	if (what)
		return error_set(&x->e, ERROR_BAD_REQUEST, "the task of a cron entry cannot have %s", what);
	if (s->deadline_at_ms > DEADLINE_MAX_MS)
		return error_set(&x->e, ERROR_BAD_REQUEST, "the deadline of an entry's task counts from when it is made, and is at most 10 years");
	static const uint8_t id[sizeof(struct id)];
	Troupe__TaskSpec one = *s;
	one.id = (ProtobufCBinaryData){ sizeof id, (uint8_t *)id };
	int r = spec_check(x->c, &one, &x->e);
	if (r)
		return r;
	bool may_be = queue_find(x->c, s->queue) || (x->c->setup->auto_create_queues && queue_name_valid(s->queue));
	if (!may_be)
		queue_unknown_error(x->t, x->c, s->queue, &x->e);
	return may_be ? 0 : ERROR_NO_QUEUE;
}

static int check_entry(struct order *x, const Troupe__CronSpec *s)
{
	if (!queue_name_valid(s->name))
		return error_set(&x->e, ERROR_BAD_REQUEST, "an entry's name is 1 to %u letters, digits and ._/@+=~-", NAME_MAX_BYTES);
	if (!s->task)
		return error_set(&x->e, ERROR_BAD_REQUEST, "an entry needs a task");
	if ((unsigned)s->overlap > TROUPE__CRON_SPEC__OVERLAP__OVERLAP_REPLACE || (unsigned)s->missed > TROUPE__CRON_SPEC__MISSED__MISSED_ALL)
		return error_set(&x->e, ERROR_BAD_REQUEST, "there is no such policy: overlap is skip, queue or replace, missed is none, one or all");
	return check_template(x, s->task);
}

static bool same_spec(struct turn *t, const Troupe__CronSpec *a, const Troupe__CronSpec *b)
{
	struct slice x = row_pack(turn_arena(t), &a->base), y = row_pack(turn_arena(t), &b->base);
	return x.data && y.data && x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static int record_new(struct order *x)
{
	struct coordinator *c = x->c;
	if (c->crons->n >= CRONS_MAX)
		return error_refuse(&x->e, ERROR_BUSY, "remove some", "there are %u cron entries already", CRONS_MAX);
	Troupe__CronRecord *rec = arena_alloc(turn_arena(x->t), sizeof *rec);
	Troupe__Cron *cron = arena_alloc(turn_arena(x->t), sizeof *cron);
	if (!rec || !cron)
		return -ENOMEM;
	troupe__cron_record__init(rec);
	troupe__cron__init(cron);
	rec->cron = cron;
	x->rec = rec;
	return 0;
}

static int add(struct order *x)
{
	uint64_t wall = turn_wall_ms(x->t), next_ms;
	Troupe__CronSpec *s = x->o->spec;
	bool fresh = !x->rec;
	int r = check_entry(x, s);
	if (!r)
		r = entry_next(x->t, x->c, s, wall, &next_ms, &x->e);
	if (!r && next_ms == TIME_NEVER)
		r = error_set(&x->e, ERROR_BAD_REQUEST, "\"%.60s\" never comes: no day fits it in %d years", s->expression, CRON_YEARS);
	if (r)
		return r;
	if (!fresh && same_spec(x->t, x->rec->cron->spec, s)) /* sent again because its answer was lost */
		return 0;
	if (!fresh && !x->o->replace)
		return error_refuse(&x->e, ERROR_EXISTS, "--replace takes its place", "cron entry \"%s\" is already there", s->name);
	if (fresh && (r = record_new(x)))
		return r;
	Troupe__Cron *cron = x->rec->cron;
	cron->spec = s;
	cron->created_by = (char *)x->m->sender.subject;
	cron->created_at_ms = wall;
	cron->last_error = (char *)protobuf_c_empty_string;
	x->rec->seen_ms = wall;
	if (fresh) {
		x->rec->number = ++x->c->meta.next_cron;
		x->c->meta_changed = true;
		x->c->crons->n++;
	}
	x->event = fresh ? "cron.added" : "cron.replaced";
	return entry_arm(x->t, x->c, x->rec, cron->paused ? TIME_NEVER : next_ms);
}

/* --- the others --- */

static int drop(struct order *x)
{
	x->event = "cron.removed";
	x->c->crons->n -= x->c->crons->n > 0;
	int r = entry_arm(x->t, x->c, x->rec, TIME_NEVER);
	return r ? r : turn_delete(x->t, T_CRON, SLICE_STR(x->rec->cron->spec->name));
}

static int pause_or_resume(struct order *x, bool pause)
{
	Troupe__Cron *cron = x->rec->cron;
	uint64_t wall = turn_wall_ms(x->t), next_ms = TIME_NEVER;
	if (!pause && !cron->paused)
		return 0;
	int r = pause ? 0 : entry_next(x->t, x->c, cron->spec, wall, &next_ms, &x->e);
	if (r)
		return r;
	cron->paused = pause;
	cron->paused_by = pause ? (char *)x->m->sender.subject : (char *)protobuf_c_empty_string;
	cron->paused_why = pause ? x->o->why : (char *)protobuf_c_empty_string;
	if (!pause)
		x->rec->seen_ms = wall; /* what it left out was left out on purpose */
	x->event = pause ? "cron.paused" : "cron.resumed";
	return entry_arm(x->t, x->c, x->rec, next_ms);
}

static int run_now(struct order *x)
{
	enum entry_refusal why;
	x->event = "cron.run";
	int r = entry_run(x->t, x->c, x->rec, turn_wall_ms(x->t), &why, &x->e);
	/* A refusal changes nothing, but for the task that was cancelled for this one. */
	return r > 0 && why == REFUSED_REPLACED ? entry_refused(x->t, x->c, x->rec->cron, r, why, &x->e) : r;
}

static int find(struct order *x)
{
	bool adds = x->o->op == TROUPE__CRON_ORDER__OP__ADD;
	if (adds && !x->o->spec)
		return error_set(&x->e, ERROR_BAD_REQUEST, "to add an entry needs its specification");
	if (strlen(x->o->why) > WHY_MAX)
		return error_set(&x->e, ERROR_TOO_LARGE, "a reason has at most %u bytes", WHY_MAX);
	x->name = adds ? x->o->spec->name : x->o->name;
	int r = queue_name_valid(x->name) ? entry_get(x->t, SLICE_STR(x->name), &x->rec) : ERROR_NOT_FOUND;
	if (r)
		x->rec = NULL;
	if (r == ERROR_NOT_FOUND)
		return adds ? 0 : unknown(x->name, &x->e);
	return r == ERROR_CORRUPT ? damaged(x->name, &x->e) : r;
}

static int obey(struct order *x)
{
	switch (x->o->op) {
	case TROUPE__CRON_ORDER__OP__ADD:
		return add(x);
	case TROUPE__CRON_ORDER__OP__REMOVE:
		return drop(x);
	case TROUPE__CRON_ORDER__OP__PAUSE:
		return pause_or_resume(x, true);
	case TROUPE__CRON_ORDER__OP__RESUME:
		return pause_or_resume(x, false);
	case TROUPE__CRON_ORDER__OP__RUN:
		return run_now(x);
	case TROUPE__CRON_ORDER__OP__NONE:
	case _TROUPE__CRON_ORDER__OP_IS_INT_SIZE:
		break;
	}
	return error_set(&x->e, ERROR_BAD_REQUEST, "an order for a cron entry is add, remove, pause, resume or run");
}

/* Without the payload, so that the answer is no larger than what was asked. */
static int answer(struct order *x)
{
	Troupe__Cron *cron = arena_copy(turn_arena(x->t), x->rec->cron, sizeof *cron);
	Troupe__CronSpec *spec = arena_copy(turn_arena(x->t), x->rec->cron->spec, sizeof *spec);
	Troupe__TaskSpec *task = arena_copy(turn_arena(x->t), x->rec->cron->spec->task, sizeof *task);
	if (!cron || !spec || !task)
		return -ENOMEM;
	task->payload.len = task->n_argv = 0;
	spec->task = task;
	cron->spec = spec;
	return say(x->t, x->m, &cron, 1, false);
}

int on_cron_order(struct turn *t, void *state, const struct message *m)
{
	struct order x = { .t = t, .c = state, .m = m, .o = m->env->cron_order };
	int r = find(&x);
	if (r == ERROR_CORRUPT && x.o->op == TROUPE__CRON_ORDER__OP__REMOVE) { /* the way out of it; a row that it may have in table at finds nothing */
		x.c->crons->n -= x.c->crons->n > 0;
		r = turn_delete(t, T_CRON, SLICE_STR(x.name));
		return r ? r : say(t, m, NULL, 0, false);
	}
	if (!r)
		r = obey(&x);
	if (r > 0)
		return turn_fail(t, &x.e);
	if (!r && x.event && x.o->op != TROUPE__CRON_ORDER__OP__REMOVE)
		r = entry_put(t, x.rec);
	char *shown = arena_printf(turn_arena(t), "cron %s", x.name);
	if (!r && x.event)
		r = shown ? order_event(t, x.c, m, x.event, shown, x.o->why) : -ENOMEM;
	if (!r)
		r = answer(&x);
	return r > 0 ? -EIO : r; /* memory has changed: begin anew from what is on disk */
}

/* --- list and show --- */

struct listing { struct turn *t; uint64_t bytes_max; Troupe__Cron **all; size_t n, read, bytes; bool more; int error; };

static int list_row(void *ctx, struct slice key, struct slice value)
{
	struct listing *l = ctx;
	Troupe__CronRecord *rec;
	if (l->n == ASK_ROWS || l->read > ASK_BYTES || l->bytes > l->bytes_max) {
		l->more = true;
		return 1;
	}
	l->read += value.len;
	if (row_decode(turn_arena(l->t), value, &troupe__cron_record__descriptor, (ProtobufCMessage **)&rec) || !rec->cron || !rec->cron->spec || !rec->cron->spec->task)
		return 0;
	Troupe__TaskSpec *s = rec->cron->spec->task;
	s->payload.len = s->n_argv = 0;
	l->bytes += troupe__cron__get_packed_size(rec->cron);
	l->all[l->n++] = rec->cron;
	return 0;
}

static int list_all(struct turn *t, struct coordinator *c, const struct message *m)
{
	const char *after = m->env->cron_ask->after;
	struct listing l = { .t = t, .bytes_max = c->frame_max / 2, .all = arena_alloc(turn_arena(t), ASK_ROWS * sizeof(Troupe__Cron *)) };
	char *from = arena_printf(turn_arena(t), "%.*s\x01", (int)NAME_MAX_BYTES, after);
	struct store_txn *view = turn_view(t);
	if (!l.all || !from || !view)
		return -ENOMEM;
	int r = store_scan(view, T_CRON, SLICE_STR(from), false, list_row, &l);
	if (r < 0)
		return r;
	return say(t, m, l.all, l.n, l.more);
}

int on_cron_ask(struct turn *t, void *state, const struct message *m)
{
	const char *name = m->env->cron_ask->name;
	Troupe__CronRecord *rec;
	struct error e = { 0 };
	if (!*name)
		return list_all(t, state, m);
	int r = queue_name_valid(name) ? entry_get(t, SLICE_STR(name), &rec) : ERROR_NOT_FOUND;
	if (r == ERROR_NOT_FOUND)
		unknown(name, &e);
	else if (r == ERROR_CORRUPT)
		damaged(name, &e);
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	return say(t, m, &rec->cron, 1, false);
}

/* --- preview --- */

static const char *mark_text(enum cron_mark mark)
{
	switch (mark) {
	case CRON_PLAIN:
		break;
	case CRON_BEHIND_GAP:
		return ", its time does not exist that day";
	case CRON_FIRST_PASS:
		return ", the first of two such times";
	case CRON_SECOND_PASS:
		return ", the second of two such times";
	}
	return "";
}

static int preview(struct turn *t, struct coordinator *c, const struct message *m, const Troupe__CronSpec *spec, size_t n, struct error *e)
{
	const Troupe__CronPreview *q = m->env->cron_preview;
	Troupe__CronTimes out = TROUPE__CRON_TIMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	uint64_t at_ms = q->from_ms ? q->from_ms : turn_wall_ms(t);
	struct cron cron;
	const struct zone *zone;
	enum cron_mark mark;
	char shown[64];
	int r = entry_compile(t, c, spec, &cron, &zone, e);
	if (r)
		return r;
	out.at_ms = arena_alloc(turn_arena(t), n * sizeof *out.at_ms);
	out.local = arena_alloc(turn_arena(t), n * sizeof *out.local);
	if (!out.at_ms || !out.local)
		return -ENOMEM;
	for (; out.n_at_ms < n && (at_ms = cron_next(&cron, zone, at_ms, &mark)) != TIME_NEVER; out.n_at_ms++) {
		zone_format(zone, (int64_t)(at_ms / 1000), shown);
		out.at_ms[out.n_at_ms] = at_ms;
		if (!(out.local[out.n_local++] = arena_printf(turn_arena(t), "%s%s", shown, mark_text(mark))))
			return -ENOMEM;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_TIMES;
	env.cron_times = &out;
	return turn_reply(t, m, &env);
}

int on_cron_preview(struct turn *t, void *state, const struct message *m)
{
	const Troupe__CronPreview *q = m->env->cron_preview;
	const Troupe__CronSpec *spec = q->spec;
	Troupe__CronRecord *rec;
	struct error e = { 0 };
	int r = 0;
	if (q->count > PREVIEW_MAX)
		r = error_set(&e, ERROR_TOO_LARGE, "a preview has at most %u times", PREVIEW_MAX);
	else if ((spec != NULL) == (*q->name != '\0'))
		r = error_set(&e, ERROR_BAD_REQUEST, "a preview is of an entry's name, or of an expression");
	if (!r && !spec) {
		r = queue_name_valid(q->name) ? entry_get(t, SLICE_STR(q->name), &rec) : ERROR_NOT_FOUND;
		if (r == ERROR_NOT_FOUND)
			unknown(q->name, &e);
		else if (r == ERROR_CORRUPT)
			damaged(q->name, &e);
		else if (!r)
			spec = rec->cron->spec;
	}
	if (!r)
		r = preview(t, state, m, spec, q->count ? q->count : PREVIEW_STANDARD, &e);
	return r > 0 ? turn_fail(t, &e) : r;
}
