/* Looking at tasks: one, many, and why one does not run. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/cleanup.h"
#include "common/base/parse.h"

#define LIST_DEFAULT 100u
#define LIST_MAX 1000u
#define WALK_WINDOW 256u

/* --- which task is meant --- */

struct suffix { const char *text; struct id found; unsigned n, looked; };

static int suffix_row(void *ctx, struct slice key, struct slice value)
{
	struct suffix *s = ctx;
	struct id id;
	if (key.len != sizeof id.b)
		return 0;
	memcpy(id.b, key.data, sizeof id.b);
	if (id_suffix_match(&id, s->text)) {
		s->found = id;
		s->n++;
	}
	return s->n > 1 || ++s->looked >= SUFFIX_LOOK_MAX;
}

static int resolve_suffix(struct turn *t, const char *text, struct id *ret, struct error *e)
{
	struct suffix s = { .text = text };
	static const uint8_t last[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct store_txn *view = turn_view(t);
	size_t n = strlen(text);
	if (n < 6 || n > 26)
		return error_set(e, ERROR_BAD_REQUEST, "the end of an id has 6 to 26 characters");
	int r = view ? store_scan(view, T_TASK, SLICE(last, sizeof last), true, suffix_row, &s) : -EIO;
	if (r < 0)
		return r;
	if (s.n > 1) {
		error_cure(e, "use more of its characters, or #number");
		return error_set(e, ERROR_AMBIGUOUS, "several tasks end with %s", text);
	}
	if (!s.n) {
		if (s.looked >= SUFFIX_LOOK_MAX)
			return error_set(e, ERROR_NO_TASK, "none of the newest %u tasks ends with %s", SUFFIX_LOOK_MAX, text);
		return error_set(e, ERROR_NO_TASK, "no task ends with %s", text);
	}
	*ret = s.found;
	return 0;
}

int ref_resolve(struct turn *t, struct coordinator *c, const Troupe__TaskRef *r, struct id *ret, struct error *e)
{
	struct slice value;
	if (r->id.len == sizeof ret->b) {
		memcpy(ret->b, r->id.data, sizeof ret->b);
		int code = turn_get(t, T_TASK, id_key(ret), &value);
		char text[ID_TEXT];
		id_format(ret, text);
		if (code == ERROR_NOT_FOUND)
			return error_set(e, ERROR_NO_TASK, "there is no task %s", text);
		return code == ERROR_CORRUPT ? error_set(e, ERROR_CORRUPT, "the record of %s is damaged", text) : code;
	}
	if (r->seq) {
		int code = log_find_seq(t, c, r->seq, ret);
		if (!code)
			code = turn_get(t, T_TASK, id_key(ret), &value);
		return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? error_set(e, ERROR_NO_TASK, "there is no task #%" PRIu64, r->seq) : code;
	}
	if (*r->suffix)
		return resolve_suffix(t, r->suffix, ret, e);
	return error_set(e, ERROR_BAD_REQUEST, "no task is named");
}

/* --- a task as clients see it --- */

static int show_history(struct turn *t, const struct id *id, const Troupe__StateRecord *st, Troupe__Task *out)
{
	uint32_t from = st->history > HISTORY_KEEP ? st->history - HISTORY_KEEP : 0;
	if (!(out->history = arena_alloc(turn_arena(t), (HISTORY_KEEP + 1) * sizeof(Troupe__Attempt *))))
		return -ENOMEM;
	for (uint32_t n = from; n < st->history; n++) {
		Troupe__Attempt *a;
		int r = row_get(t, T_ATTEMPT, key_attempt(turn_arena(t), id, n), &troupe__attempt__descriptor, (ProtobufCMessage **)&a);
		if (r < 0)
			return r;
		if (!r)
			out->history[out->n_history++] = a;
	}
	return 0;
}

int task_show(struct turn *t, struct coordinator *c, const struct id *id, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l, unsigned what,
              Troupe__Task **ret)
{
	struct arena *a = turn_arena(t);
	Troupe__Task *out = arena_alloc(a, sizeof *out);
	Troupe__TaskSpec *spec = arena_copy(a, rec->spec, sizeof *spec);
	const struct queue *q = queue_numbered(c, rec->queue);
	struct sched_policy p;
	if (!out || !spec)
		return -ENOMEM;
	troupe__task__init(out);
	out->spec = spec;
	out->payload_size = spec->payload.len;
	if (!(what & SHOW_PAYLOAD)) {
		spec->payload = (ProtobufCBinaryData){ 0, NULL };
		if (spec->n_argv && spec_size(spec) > 4096)
			spec->n_argv = 1;
	}
	sched_policy_of(rec->spec, q ? q->policy : c->setup->defaults, &p);
	out->seq = rec->seq;
	out->state = task_state(st, l);
	out->cause = st->cause;
	out->run = st->run;
	out->attempts = l ? l->attempt : st->attempts;
	out->max_attempts = p.max_attempts;
	out->token = l ? l->token : st->token;
	out->worker = l ? l->worker->address : st->worker;
	out->submitted_at_ms = rec->submitted_at_ms;
	out->due_at_ms = st->due_at_ms;
	out->started_at_ms = l ? l->started_at_ms : st->started_at_ms;
	out->finished_at_ms = st->finished_at_ms;
	out->submitter = rec->submitter;
	out->cancel_requested = l && l->cancel;
	if (l) {
		out->percent = l->percent;
		out->note = l->note ? l->note : out->note;
	}
	if (st->outcome) {
		Troupe__Outcome *o = arena_copy(a, st->outcome, sizeof *o);
		if (!o)
			return -ENOMEM;
		if (!(what & SHOW_OUTPUT))
			o->output = (ProtobufCBinaryData){ 0, NULL };
		if (!(what & SHOW_HISTORY))
			o->stderr_tail = (ProtobufCBinaryData){ 0, NULL };
		out->outcome = o;
		out->last_error = o->error;
	}
	*ret = out;
	return what & SHOW_HISTORY ? show_history(t, id, st, out) : 0;
}

int on_get(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__Get *g = m->env->get;
	struct error e = { 0 };
	struct id id;
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	static const Troupe__TaskRef none = TROUPE__TASK_REF__INIT;
	int r = ref_resolve(t, c, g->task ? g->task : &none, &id, &e);
	if (!r && (r = task_read(t, c, &id, &rec, &st, &l)) > 0)
		error_set(&e, ERROR_CORRUPT, "the record of this task is damaged");
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	Troupe__Task *one, **all = &one;
	r = task_show(t, c, &id, rec, st, l, (g->payload ? SHOW_PAYLOAD : 0) | (g->output ? SHOW_OUTPUT : 0) | (g->history ? SHOW_HISTORY : 0), &one);
	if (r)
		return r;
	Troupe__Tasks out = TROUPE__TASKS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.tasks = all;
	out.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_TASKS;
	env.tasks = &out;
	return turn_reply(t, m, &env);
}

/* --- filters --- */

static bool has_state(const Troupe__Filter *f, Troupe__TaskState s)
{
	for (size_t i = 0; i < f->n_states; i++)
		if (f->states[i] == s || f->states[i] == TROUPE__TASK_STATE__TASK_ANY)
			return true;
	return f->n_states == 0;
}

static bool has_failed(const Troupe__StateRecord *st)
{
	if (st->state == TROUPE__TASK_STATE__DEAD)
		return true;
	return st->outcome && st->state != TROUPE__TASK_STATE__DONE && st->outcome->exit_class != TROUPE__EXIT_CLASS__EXIT_NONE;
}

bool filter_fits(const struct coordinator *c, const Troupe__Filter *f, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l)
{
	const struct queue *q = queue_numbered((struct coordinator *)c, rec->queue);
	if (*f->queue && (!q || strcmp(q->name, f->queue) != 0))
		return false;
	if (!has_state(f, task_state(st, l)) || (f->failed && !has_failed(st)))
		return false;
	if ((f->before_ms && rec->submitted_at_ms >= f->before_ms) || (f->after_ms && rec->submitted_at_ms < f->after_ms))
		return false;
	if (*f->error_text && (!st->outcome || !strstr(st->outcome->error, f->error_text)))
		return false;
	if (!*f->tag)
		return true;
	for (size_t i = 0; i < rec->spec->n_tags; i++)
		if (strcmp(rec->spec->tags[i], f->tag) == 0)
			return true;
	return false;
}

/* Where a filter's tasks are found with the least looking. A cursor is the table and the last key. */
struct walk {
	unsigned table;
	size_t key_len, prefix_len;
	uint8_t prefix[8];
	bool backward, id_is_value;
	uint8_t keys[WALK_WINDOW][20];
	struct id ids[WALK_WINDOW];
	size_t n;
};

static int walk_row(void *ctx, struct slice key, struct slice value)
{
	struct walk *w = ctx;
	if (key.len != w->key_len || memcmp(key.data, w->prefix, w->prefix_len) != 0)
		return 1;
	memcpy(w->keys[w->n], key.data, key.len);
	if (w->id_is_value && value.len != sizeof w->ids[0].b)
		return 0;
	memcpy(w->ids[w->n].b, w->id_is_value ? value.data : key.data, sizeof w->ids[0].b);
	return ++w->n == WALK_WINDOW;
}

static void walk_begin(struct walk *w, struct coordinator *c, const Troupe__Filter *f)
{
	const struct queue *q = *f->queue ? queue_find(c, f->queue) : NULL;
	Troupe__TaskState only = f->n_states == 1 ? f->states[0] : TROUPE__TASK_STATE__TASK_ANY;
	*w = (struct walk){ .table = T_TASK, .key_len = 16, .backward = true };
	if (only == TROUPE__TASK_STATE__RUNNING) {
		w->table = T_LEASE;
	} else if (only == TROUPE__TASK_STATE__DEAD && q) {
		*w = (struct walk){ .table = T_DEAD, .key_len = 12, .prefix_len = 4, .backward = true, .id_is_value = true };
		key_u32(w->prefix, q->r.number);
	} else if (only == TROUPE__TASK_STATE__READY && q) {
		*w = (struct walk){ .table = T_READY, .key_len = 20, .prefix_len = 4, .id_is_value = true };
		key_u32(w->prefix, q->r.number);
	} else if (only == TROUPE__TASK_STATE__SCHEDULED) {
		*w = (struct walk){ .table = T_DUE, .key_len = 16, .id_is_value = true };
	}
}

/* The key next to one, in the direction of the walk. */
static void key_step(const struct walk *w, uint8_t *key)
{
	for (size_t i = w->key_len; i-- > 0;) {
		if (w->backward ? key[i]-- != 0 : ++key[i] != 0)
			return;
	}
}

int filter_walk(struct turn *t, struct coordinator *c, const Troupe__Filter *f, const ProtobufCBinaryData *cursor,
                int (*fn)(struct turn *t, void *ctx, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l), void *ctx, ProtobufCBinaryData *ret_next)
{
	struct walk *w = arena_alloc(turn_arena(t), sizeof *w);
	uint8_t from[20];
	size_t looked = 0;
	*ret_next = (ProtobufCBinaryData){ 0, NULL };
	if (!w)
		return -ENOMEM;
	walk_begin(w, c, f);
	memset(from, w->backward ? 0xff : 0, sizeof from);
	memcpy(from, w->prefix, w->prefix_len);
	if (cursor->len == w->key_len + 1 && cursor->data[0] == w->table) {
		memcpy(from, cursor->data + 1, w->key_len);
		key_step(w, from);
	}
	for (;;) {
		struct store_txn *view = turn_view(t);
		w->n = 0;
		int r = view ? store_scan(view, w->table, SLICE(from, w->key_len), w->backward, walk_row, w) : -EIO;
		if (r < 0)
			return r;
		for (size_t i = 0; i < w->n; i++) {
			Troupe__TaskRecord *rec;
			Troupe__StateRecord *st;
			struct lease *l;
			memcpy(from, w->keys[i], w->key_len);
			r = task_read(t, c, &w->ids[i], &rec, &st, &l);
			if (r < 0)
				return r;
			if (!r && filter_fits(c, f, rec, st, l))
				r = fn(t, ctx, &w->ids[i], rec, st, l);
			else
				r = 0;
			if (r < 0)
				return r;
			if (r > 0 || ++looked >= LOOK_MAX) {
				uint8_t *next = arena_alloc(turn_arena(t), w->key_len + 1);
				if (!next)
					return -ENOMEM;
				next[0] = (uint8_t)w->table;
				memcpy(next + 1, from, w->key_len);
				*ret_next = (ProtobufCBinaryData){ w->key_len + 1, next };
				return 0;
			}
		}
		if (w->n < WALK_WINDOW)
			return 0;
		key_step(w, from);
	}
}

struct listing { struct coordinator *c; Troupe__Tasks out; size_t limit, bytes; unsigned what; };

static int list_one(struct turn *t, void *ctx, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l)
{
	struct listing *s = ctx;
	Troupe__Task *one;
	int r = task_show(t, s->c, id, rec, st, l, s->what, &one);
	if (r)
		return r;
	s->bytes += troupe__task__get_packed_size(one) + 8;
	s->out.tasks[s->out.n_tasks++] = one;
	return s->out.n_tasks >= s->limit || s->bytes > s->c->frame_max / 2;
}

int on_list(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__List *q = m->env->list;
	static const Troupe__Filter all = TROUPE__FILTER__INIT;
	const Troupe__Filter *f = q->filter ? q->filter : &all;
	struct listing s = { .c = c, .out = TROUPE__TASKS__INIT, .limit = q->limit == 0 ? LIST_DEFAULT : q->limit > LIST_MAX ? LIST_MAX : q->limit,
		             .what = q->payload ? SHOW_PAYLOAD : 0 };
	if (*f->queue && !queue_find(c, f->queue))
		return queue_unknown(t, c, f->queue, 0);
	if (!(s.out.tasks = arena_alloc(turn_arena(t), s.limit * sizeof(Troupe__Task *))))
		return -ENOMEM;
	int r = filter_walk(t, c, f, &q->cursor, list_one, &s, &s.out.next);
	if (r)
		return r;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_TASKS;
	env.tasks = &s.out;
	return turn_reply(t, m, &env);
}

/* --- why --- */

static const char *age(struct turn *t, uint64_t at_wall_ms)
{
	uint64_t wall = turn_wall_ms(t);
	char text[32];
	format_age(at_wall_ms < wall ? wall - at_wall_ms : at_wall_ms - wall, text, sizeof text);
	return arena_string(turn_arena(t), text);
}

static bool worker_takes(const struct worker *w, const struct queue *q, const struct requirement *need, bool *ret_tags)
{
	bool serves = false;
	for (size_t i = 0; i < w->n_queues && !serves; i++)
		serves = strcmp(w->queues[i], q->name) == 0;
	*ret_tags = true;
	for (size_t i = 0; i < need->n_tags && *ret_tags; i++) {
		bool has = false;
		for (size_t k = 0; k < w->n_tags && !has; k++)
			has = strcmp(w->tags[k], need->tags[i]) == 0;
		*ret_tags = has;
	}
	return serves;
}

static const char *explain_ready(struct turn *t, struct coordinator *c, const Troupe__TaskRecord *rec)
{
	struct arena *a = turn_arena(t);
	const struct queue *q = queue_numbered(c, rec->queue);
	const struct requirement *need = rec->requirement < c->n_requirements ? c->requirements[rec->requirement] : NULL;
	unsigned n = 0, tagged = 0, gone = 0, broken = 0, draining = 0;
	const struct worker *bad = NULL;
	if (!q || !need)
		return "its queue is not known: the store is damaged";
	if (q->r.paused)
		return arena_printf(a, "queue %s was paused by %s %s ago%s%s", q->name, *q->r.paused_by ? q->r.paused_by : "somebody", age(t, q->r.paused_at_ms),
		                    *q->r.paused_why ? ": " : "", q->r.paused_why);
	if (c->disk_stop)
		return arena_printf(a, "the disk of the store is nearly full (%" PRIu64 " MiB free): nothing begins until there is room", c->disk_free >> 20);
	for (const struct worker *w = c->workers; w; w = w->next) {
		bool tags;
		if (!worker_takes(w, q, need, &tags))
			continue;
		n++;
		if (!tags)
			continue;
		tagged++;
		gone += !w->attached || w->down;
		draining += w->draining;
		if (*w->broken) {
			broken++;
			bad = w;
		}
	}
	if (!n)
		return arena_printf(a, "no worker serves queue %s", q->name);
	if (!tagged)
		return arena_printf(a, "no worker of queue %s has its tags (%s%s)", q->name, need->tags[0], need->n_tags > 1 ? ", ..." : "");
	if (bad && broken == tagged)
		return arena_printf(a, "all %u workers that could take it are broken; %s: %s", broken, bad->address, bad->broken);
	if (gone == tagged)
		return arena_printf(a, "none of the %u workers that could take it is connected", tagged);
	if (gone + draining + broken >= tagged)
		return arena_printf(a, "the workers that could take it are draining, broken or not connected");
	return arena_printf(a, "%u worker%s could take it and %s busy; %" PRIu64 " tasks are ready in queue %s, those of priority below %u and older ones go first", tagged,
	                    tagged == 1 ? "" : "s", tagged == 1 ? "is" : "are all", q->r.ready, q->name, sched_priority(rec->spec) + 1);
}

static const char *explain_running(struct turn *t, const struct lease *l)
{
	struct arena *a = turn_arena(t);
	const struct worker *w = l->worker;
	if (w->down_pending)
		return arena_printf(a, "%s died; waiting for pid %u of its family to die before the next attempt", w->address, w->pending_pid);
	if (w->down)
		return arena_printf(a, "%s died; its last words are being read", w->address);
	if (!w->attached)
		return arena_printf(a, "given to %s, which is not connected now: the lease holds until it comes back or is seen dead", w->address);
	if (l->cancel)
		return arena_printf(a, "running on %s; a cancel was asked for, its processes are being ended", w->address);
	if (l->started)
		return arena_printf(a, "running on %s for %s, attempt %u, token %" PRIu64, w->address, age(t, l->started_at_ms), l->attempt, l->token);
	return arena_printf(a, "given to %s, which has not begun it: %u of %u tasks are before it or beside it", w->address, w->n_started, w->held);
}

static const char *explain(struct turn *t, struct coordinator *c, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l)
{
	static const char *const causes[] = { "", "no attempts left", "rejected by the program", "it crashed too often (poison)", "its deadline passed" };
	struct arena *a = turn_arena(t);
	const char *error = st->outcome && *st->outcome->error ? st->outcome->error : "";
	switch (task_state(st, l)) {
	case TROUPE__TASK_STATE__RUNNING:
		return explain_running(t, l);
	case TROUPE__TASK_STATE__READY:
		return arena_printf(a, "waiting: %s", explain_ready(t, c, rec));
	case TROUPE__TASK_STATE__SCHEDULED:
		if (st->attempts)
			return arena_printf(a, "waiting %s for attempt %u%s%s", age(t, st->due_at_ms), st->attempts + 1, *error ? "; the last one: " : "", error);
		return arena_printf(a, "waiting %s: submitted for later", age(t, st->due_at_ms));
	case TROUPE__TASK_STATE__DONE:
		return arena_printf(a, "done %s ago on %s", age(t, st->finished_at_ms), st->worker);
	case TROUPE__TASK_STATE__CANCELLED:
		return arena_printf(a, "cancelled %s ago", age(t, st->finished_at_ms));
	case TROUPE__TASK_STATE__DEAD:
		return arena_printf(a, "died %s ago: %s%s%s", age(t, st->finished_at_ms), st->cause < ELEMENTS(causes) ? causes[st->cause] : "", *error ? "; the last error: " : "",
		                    error);
	case TROUPE__TASK_STATE__TASK_ANY:
	case _TROUPE__TASK_STATE_IS_INT_SIZE:
		break;
	}
	return "its state is not known: the store is damaged";
}

int on_explain(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	struct error e = { 0 };
	struct id id;
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	static const Troupe__TaskRef none = TROUPE__TASK_REF__INIT;
	int r = ref_resolve(t, c, m->env->explain->task ? m->env->explain->task : &none, &id, &e);
	if (!r && (r = task_read(t, c, &id, &rec, &st, &l)) > 0)
		error_set(&e, ERROR_CORRUPT, "the record of this task is damaged");
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	Troupe__Explained out = TROUPE__EXPLAINED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(out.text = (char *)explain(t, c, rec, st, l)))
		return -ENOMEM;
	out.state = task_state(st, l);
	env.body_case = TROUPE__ENVELOPE__BODY_EXPLAINED;
	env.explained = &out;
	return turn_reply(t, m, &env);
}
