/* Looking at tasks: one, and many. */
#include "actors/coordinator/look.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/cleanup.h"
#include "common/base/parse.h"

#define LIST_DEFAULT 100u
#define LIST_MAX 1000u
#define WALK_WINDOW 256u
#define SUFFIX_LOOK_MAX 100000u /* newest tasks in which a suffix is looked for */
#define LOOK_MAX 10000u /* rows that one list or change looks at */

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
	if (s.n > 1)
		return error_refuse(e, ERROR_AMBIGUOUS, "use more of its characters, or #number", "several tasks end with %s", text);
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

int ref_read(struct turn *t, struct coordinator *c, const Troupe__TaskRef *r, struct id *ret, Troupe__TaskRecord **ret_rec, Troupe__StateRecord **ret_state, struct lease **ret_lease,
             struct error *e)
{
	static const Troupe__TaskRef none = TROUPE__TASK_REF__INIT;
	int code = ref_resolve(t, c, r ? r : &none, ret, e);
	if (!code && (code = task_read(t, c, ret, ret_rec, ret_state, ret_lease)) > 0)
		code = error_set(e, ERROR_CORRUPT, "the record of this task is damaged");
	return code;
}

/* --- a task as clients see it --- */

static int show_history(struct turn *t, const struct coordinator *c, const struct id *id, const Troupe__StateRecord *st, Troupe__Task *out)
{
	uint32_t from = st->history > HISTORY_KEEP ? st->history - HISTORY_KEEP : 0;
	if (!(out->history = arena_alloc(turn_arena(t), (HISTORY_KEEP + 1) * sizeof(Troupe__Attempt *))))
		return -ENOMEM;
	for (uint32_t n = from; n < st->history; n++) {
		Troupe__Attempt *a;
		int r = row_get(t, T_ATTEMPT, key_attempt(turn_arena(t), id, n), &troupe__attempt__descriptor, (ProtobufCMessage **)&a);
		if (r < 0)
			return r;
		if (r)
			continue;
		a->started_at_ms = steady_to_wall(&c->steady, t, a->started_at_ms);
		a->ended_at_ms = steady_to_wall(&c->steady, t, a->ended_at_ms);
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
	spec->queue = q ? q->name : spec->queue;
	out->payload_size = spec->blob ? spec->blob->size : spec->payload.len;
	if (!(what & SHOW_PAYLOAD)) {
		spec->payload = (ProtobufCBinaryData){ 0, NULL };
		if (spec->n_argv && spec_inline(spec) > 4096)
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
	out->submitted_at_ms = steady_to_wall(&c->steady, t, rec->submitted_at_ms);
	out->due_at_ms = st->at_wall_ms ? st->at_wall_ms : steady_to_wall(&c->steady, t, st->due_at_ms);
	out->started_at_ms = steady_to_wall(&c->steady, t, l ? l->started_at_ms : st->started_at_ms);
	out->finished_at_ms = steady_to_wall(&c->steady, t, st->finished_at_ms);
	out->blocked = st->blocked;
	out->batch = rec->batch;
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
	return what & SHOW_HISTORY ? show_history(t, c, id, st, out) : 0;
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
	int r = ref_read(t, c, g->task, &id, &rec, &st, &l, &e);
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

static bool filter_fits(struct turn *t, const struct coordinator *c, const Troupe__Filter *f, const Troupe__TaskRecord *rec, const Troupe__StateRecord *st, const struct lease *l)
{
	const struct queue *q = queue_numbered((struct coordinator *)c, rec->queue);
	if (*f->queue && (!q || strcmp(q->name, f->queue) != 0))
		return false;
	if (!has_state(f, task_state(st, l)) || (f->failed && !has_failed(st)))
		return false;
	uint64_t submitted_ms = steady_to_wall(&c->steady, t, rec->submitted_at_ms);
	if ((f->before_ms && submitted_ms >= f->before_ms) || (f->after_ms && submitted_ms < f->after_ms))
		return false;
	if ((*f->serial_key && strcmp(f->serial_key, rec->spec->serial_key) != 0) || (*f->submitter && strcmp(f->submitter, rec->submitter) != 0))
		return false;
	if (f->batch.len && (f->batch.len != rec->batch.len || memcmp(f->batch.data, rec->batch.data, f->batch.len) != 0))
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
	uint8_t prefix[16];
	bool backward, id_is_value, member;
	uint8_t keys[WALK_WINDOW][24];
	struct id ids[WALK_WINDOW];
	size_t n;
};

static int walk_row(void *ctx, struct slice key, struct slice value)
{
	struct walk *w = ctx;
	if (key.len != w->key_len || memcmp(key.data, w->prefix, w->prefix_len) != 0)
		return 1;
	memcpy(w->keys[w->n], key.data, key.len);
	if (w->member) /* field 1 of the record, its id, comes first */
		value = value.len >= 18 ? SLICE((const uint8_t *)value.data + 2, 16) : SLICE(NULL, 0);
	if ((w->id_is_value || w->member) && value.len != sizeof w->ids[0].b)
		return 0;
	memcpy(w->ids[w->n].b, w->id_is_value || w->member ? value.data : key.data, sizeof w->ids[0].b);
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
	} else if (only == TROUPE__TASK_STATE__READY && q && !q->r.keys) {
		*w = (struct walk){ .table = T_READY, .key_len = 20, .prefix_len = 4, .id_is_value = true };
		key_u32(w->prefix, q->r.number);
	} else if (f->batch.len == sizeof(struct id)) {
		*w = (struct walk){ .table = T_MEMBER, .key_len = 24, .prefix_len = 16, .member = true };
		memcpy(w->prefix, f->batch.data, f->batch.len);
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
	uint8_t from[24];
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
			if (!r && filter_fits(t, c, f, rec, st, l))
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
