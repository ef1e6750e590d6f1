/* Tasks come in: one commit for a bulk, all are accepted or none. Everything is checked, and its rows are said, before memory changes. */
#include "actors/coordinator/submit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/bulk.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/disk.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/history.h"
#include "actors/coordinator/key.h"
#include "actors/coordinator/limit.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/spec.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "actors/coordinator/verbs.h"
#include "actors/coordinator/wait.h"
#include "common/base/fault.h"

static int requirement_for(struct bulk *b, const Troupe__TaskSpec *s, struct item *i)
{
	const char *submitter = i->queue->policy->fair ? b->submitter : NULL;
	uint32_t number;
	int r = requirement_of(b->t, b->c, s, submitter, &number);
	if (r == ERROR_TOO_LARGE && submitter) /* too many to take turns: they share one */
		r = requirement_of(b->t, b->c, s, NULL, &number);
	if (r == ERROR_TOO_LARGE)
		return error_refuse(&b->e, ERROR_TOO_LARGE, "use fewer combinations", "there are %u different sets of tags and resources already", REQUIREMENTS_MAX);
	if (r)
		return r;
	i->stream = stream_of(b->c, i->queue, number);
	return i->stream ? 0 : -ENOMEM;
}

static int find_queue(struct bulk *b, const Troupe__TaskSpec *s, struct item *i)
{
	struct coordinator *c = b->c;
	i->queue = queue_find(c, s->queue);
	if (!i->queue && c->setup->auto_create_queues && queue_name_valid(s->queue)) {
		i->queue = queue_add(c, s->queue, c->meta.next_queue);
		if (!i->queue)
			return error_refuse(&b->e, ERROR_BUSY, "", "there are %u queues already", QUEUES_MAX);
		c->meta.next_queue++;
		c->meta_changed = i->queue->changed = true;
	}
	if (!i->queue) {
		queue_unknown_error(b->t, c, s->queue, &b->e);
		b->e.index = (uint32_t)b->n + 1;
		return ERROR_NO_QUEUE;
	}
	return requirement_for(b, s, i);
}

static bool same_spec(const Troupe__TaskSpec *a, const Troupe__TaskSpec *b, struct arena *arena)
{
	size_t n = troupe__task_spec__get_packed_size(a);
	if (n != troupe__task_spec__get_packed_size(b))
		return false;
	uint8_t *x = arena_alloc(arena, n + 1), *y = arena_alloc(arena, n + 1);
	if (!x || !y)
		return false;
	troupe__task_spec__pack(a, x);
	troupe__task_spec__pack(b, y);
	return memcmp(x, y, n) == 0;
}

/* Is the id taken? A client that lost the answer sends the same again and gets the same. */
static int check_id(struct bulk *b, struct item *i)
{
	Troupe__TaskRecord *rec;
	int r = task_get(b->t, &i->id, &rec);
	if (r == ERROR_NOT_FOUND)
		return 0;
	if (r == ERROR_CORRUPT)
		return error_refuse(&b->e, ERROR_CORRUPT, "troupe check-store", "the record with this id is damaged");
	if (r)
		return r;
	if (strcmp(rec->submitter, b->submitter) != 0 || !same_spec(rec->spec, i->spec, turn_arena(b->t)))
		return error_refuse(&b->e, ERROR_CONFLICT, "use a new id for a new task", "another task has this id already");
	i->existing = true;
	i->seq = rec->seq;
	return 0;
}

static bool same_work(const Troupe__TaskSpec *a, const Troupe__TaskSpec *b)
{
	if (a->payload.len != b->payload.len || a->n_argv != b->n_argv || (a->payload.len && memcmp(a->payload.data, b->payload.data, a->payload.len) != 0))
		return false;
	if (!a->blob != !b->blob || (a->blob && (a->blob->sha256.len != b->blob->sha256.len || memcmp(a->blob->sha256.data, b->blob->sha256.data, a->blob->sha256.len) != 0)))
		return false;
	for (size_t i = 0; i < a->n_argv; i++)
		if (a->argv[i].len != b->argv[i].len || (a->argv[i].len && memcmp(a->argv[i].data, b->argv[i].data, a->argv[i].len) != 0))
			return false;
	return true;
}

static int check_unique(struct bulk *b, struct item *i)
{
	const Troupe__TaskSpec *s = i->spec;
	struct turn *t = b->t;
	struct slice value, key = key_unique(turn_arena(t), i->queue->r.number, s->unique_key);
	struct id first;
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = key.data ? turn_get(t, T_UNIQUE, key, &value) : -ENOMEM;
	if (!r && value.len == sizeof first.b) {
		memcpy(first.b, value.data, sizeof first.b);
		r = task_read(t, b->c, &first, &rec, &st, &l);
	}
	if (r < 0)
		return r;
	bool held = r == 0 && (!sched_is_final(task_state(st, l)) ||
	                       (rec->spec->unique_window_ms && rec->submitted_at_ms + rec->spec->unique_window_ms > steady_at(&b->c->steady, t)));
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_RETURN && same_work(rec->spec, s)) {
		if (i->has_children || b->batch)
			return error_refuse(&b->e, ERROR_EXISTS, "submit the graph without the key, or with mode reject", "#%llu has the unique key \"%.60s\", and others of this submit wait for it",
			              (unsigned long long)rec->seq, s->unique_key);
		i->existing = true;
		i->id = first;
		i->seq = rec->seq;
		return 0;
	}
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_RETURN)
		return error_refuse(&b->e, ERROR_CONFLICT, "use another key for other work", "#%llu has the unique key \"%.60s\" and other work", (unsigned long long)rec->seq, s->unique_key);
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_REPLACE && !l && !sched_is_final(st->state)) {
		i->replaced = first;
		i->replaces = true;
	} else if (held) {
		return error_refuse(&b->e, ERROR_EXISTS, "wait for it, cancel it, or submit with another mode of uniqueness", "#%llu has the unique key \"%.60s\"",
		              (unsigned long long)rec->seq, s->unique_key);
	}
	return row_put_id(t, T_UNIQUE, key, &i->id);
}

static int check_open(struct bulk *b, struct item *i)
{
	const struct queue *q = i->queue;
	if (q->r.draining)
		return error_refuse(&b->e, ERROR_STATE, "troupe queue resume ends it", "queue %s takes nothing more, it is drained by %s%s%s", q->name,
		              *q->r.draining_by ? q->r.draining_by : "somebody", *q->r.draining_why ? ": " : "", q->r.draining_why);
	const struct item *before = NULL;
	for (size_t k = b->n; k && !before; k--)
		if (b->items[k - 1].queue == q && !b->items[k - 1].existing)
			before = &b->items[k - 1];
	i->nth = (before ? before->nth : 0) + 1;
	i->bytes = (before ? before->bytes : 0) + spec_size(i->spec);
	bool capped = q->policy->max_tasks || q->policy->max_bytes || (q->policy->max_age_ms && i->nth == 1);
	int r = capped ? limit_admit(b->t, b->c, i->queue, i->nth, i->bytes, &b->e) : 0;
	b->e.index = (uint32_t)b->n + 1;
	return r;
}

/* --- its rows --- */

static int put_state(struct bulk *b, struct item *i)
{
	struct turn *t = b->t;
	Troupe__StateRecord st = TROUPE__STATE_RECORD__INIT;
	bool waits = i->due_ms || i->at_wall_ms || i->blocked;
	if (!waits && !i->has_children)
		return 0;
	st.state = waits ? TROUPE__TASK_STATE__SCHEDULED : TROUPE__TASK_STATE__READY;
	st.run = 1;
	st.due_at_ms = i->due_ms;
	st.at_wall_ms = i->at_wall_ms;
	st.blocked = i->blocked;
	st.has_children = i->has_children;
	int r = row_put(t, T_STATE, SLICE(i->spec->id.data, i->spec->id.len), &st.base);
	if (r || !waits || i->blocked)
		return r;
	return i->at_wall_ms ? at_put(t, b->c, i->at_wall_ms, i->seq, id_key(&i->id)) : due_put(t, b->c, i->due_ms, i->seq, &i->id);
}

/* The later of delay and run-at. A delay follows the steady clock, run-at the wall clock. */
static void when(struct bulk *b, struct item *i)
{
	uint64_t now_ms = steady_at(&b->c->steady, b->t), wall_ms = turn_wall_ms(b->t);
	i->due_ms = i->spec->delay_ms ? now_ms + i->spec->delay_ms : 0;
	if (i->spec->run_at_ms > wall_ms && i->spec->run_at_ms - wall_ms > i->spec->delay_ms) {
		i->at_wall_ms = i->spec->run_at_ms;
		i->due_ms = 0;
	}
}

static int put_rows(struct bulk *b, struct item *i)
{
	struct turn *t = b->t;
	Troupe__TaskRecord *rec = arena_alloc(turn_arena(t), sizeof *rec);
	const Troupe__QueuePolicy *p = i->queue->policy;
	uint64_t now_ms = steady_at(&b->c->steady, t);
	if (!rec)
		return -ENOMEM;
	troupe__task_record__init(rec);
	rec->spec = (Troupe__TaskSpec *)i->spec;
	rec->seq = i->seq = b->next_seq++;
	rec->queue = i->queue->r.number;
	rec->submitted_at_ms = now_ms;
	rec->deadline_at_ms = steady_of_wall(&b->c->steady, t, i->spec->deadline_at_ms);
	rec->submitter = (char *)b->submitter;
	rec->requirement = i->stream->requirement->number;
	if (p->ageing_ms) {
		rec->aged = true;
		rec->rank = sched_rank(p, sched_priority(i->spec), now_ms);
	}
	if (b->batch)
		rec->batch = b->batch->id;
	i->rec = rec;
	when(b, i);
	disk_take(b->c, spec_inline(i->spec));
	int r = row_put(t, T_TASK, SLICE(i->spec->id.data, i->spec->id.len), &rec->base);
	if (!r && i->spec->blob)
		r = blob_use(t, b->c, i->spec->blob);
	if (!r)
		r = put_state(b, i);
	if (!r && rec->deadline_at_ms)
		r = due_put(t, b->c, rec->deadline_at_ms, i->seq | DUE_OTHER, &i->id);
	if (!r && p->max_age_ms && p->full == TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST)
		r = due_put(t, b->c, now_ms + p->max_age_ms, i->seq | DUE_OTHER, &i->id);
	return r;
}

static int check_item(struct bulk *b, const Troupe__TaskSpec *s)
{
	struct item *i = &b->items[b->n];
	*i = (struct item){ .spec = s, .has_children = b->parents && b->parents[b->n] };
	int r = spec_check(b->c, s, &b->e);
	if (r)
		return r;
	memcpy(i->id.b, s->id.data, sizeof i->id.b);
	if ((r = find_queue(b, s, i)) || (r = check_id(b, i)))
		return r;
	if (!i->existing) {
		if (s->deadline_at_ms && s->deadline_at_ms <= turn_wall_ms(b->t)) /* not of one that is sent again because its answer was lost */
			return error_refuse(&b->e, ERROR_BAD_REQUEST, "", "the deadline has passed already");
		if (s->blob && (r = blob_check(b->t, b->c, s->blob, &b->e)))
			return r;
		if ((*s->unique_key && (r = check_unique(b, i))) || (!i->existing && (r = check_open(b, i))))
			return r;
	}
	if (!i->existing && ((r = graph_item(b, i)) || (r = put_rows(b, i))))
		return r;
	b->n++;
	return 0;
}

/* --- what changes in memory, once nothing can be refused any more --- */

/* Room for all that come to a queue: its last item knows how many. */
static int drop_for(struct bulk *b)
{
	int r = 0;
	for (size_t i = b->n; i && !r; i--) {
		const struct item *last = &b->items[i - 1];
		struct queue *q = last->queue;
		if (last->existing || q->policy->full != TROUPE__QUEUE_POLICY__FULL__DROP_OLDEST)
			continue;
		for (size_t k = i; k < b->n && last; k++)
			if (b->items[k].queue == q && !b->items[k].existing)
				last = NULL;
		r = last ? limit_drop(b->t, b->c, q, last->nth, last->bytes) : 0;
	}
	return r;
}

static int replace(struct bulk *b, const struct item *i)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	int r = task_read(b->t, b->c, &i->replaced, &rec, &st, &l); /* anew: others of the bulk may wait for it by now */
	if (!r && !l && !sched_is_final(st->state))
		r = task_cancel(b->t, b->c, &i->replaced, rec, st, NULL, TROUPE__CAUSE__REPLACED);
	struct slice key = key_unique(turn_arena(b->t), i->queue->r.number, i->spec->unique_key);
	if (r) /* the move has taken the key away */
		return r;
	return key.data ? turn_put(b->t, T_UNIQUE, key, SLICE(i->spec->id.data, i->spec->id.len)) : -ENOMEM;
}

static int accept_ready(struct bulk *b, const struct item *i)
{
	struct place p = place_of(b->c, &i->id, i->rec);
	struct candidate one = { .id = i->id, .seq = i->seq, .rank = p.rank, .first = !i->has_children, .spec = i->spec, .rec = i->rec };
	bool go;
	int r = key_enter(b->t, b->c, &p, &go);
	return r || !go ? r : fresh_add(b->c, i->stream, &one);
}

static int accept_one(struct bulk *b, const struct item *i)
{
	struct coordinator *c = b->c;
	if (i->existing)
		return 0;
	int r = i->replaces ? replace(b, i) : 0;
	if (!r)
		r = log_add(c, &i->id, TROUPE__TRANSITION_KIND__T_ACCEPTED, 0, 0, i->queue);
	if (r)
		return r;
	i->queue->changed = true;
	i->queue->r.submitted_total++;
	i->queue->r.bytes += spec_size(i->spec);
	if (i->due_ms || i->at_wall_ms || i->blocked) {
		i->queue->r.scheduled++;
		r = log_add(c, &i->id, TROUPE__TRANSITION_KIND__T_SCHEDULED, 0, 0, i->queue);
	} else {
		i->queue->r.ready++;
		r = accept_ready(b, i);
	}
	return !r && b->notify ? watch_notify(c, b->peer, &i->id) : r;
}

static int bulk_check(struct bulk *b, Troupe__TaskSpec **tasks, size_t n)
{
	if (!(b->items = arena_alloc(turn_arena(b->t), n * sizeof *b->items)))
		return -ENOMEM;
	int r = graph_begin(b, tasks, n);
	for (size_t i = 0; i < n && !r; i++) {
		b->e.index = (uint32_t)i + 1;
		r = check_item(b, tasks[i]);
	}
	return r ? r : graph_end(b);
}

static int bulk_accept(struct bulk *b)
{
	struct coordinator *c = b->c;
	if (!c->log_first_seq)
		c->log_first_seq = c->meta.next_seq;
	int r = drop_for(b);
	for (size_t i = 0; i < b->n && !r; i++)
		r = accept_one(b, &b->items[i]);
	c->meta.next_seq = b->next_seq;
	c->meta_changed = true;
	return r;
}

/* --- the verb --- */

static int reply(struct bulk *b, const struct message *m)
{
	Troupe__Submitted out = TROUPE__SUBMITTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Receipt *all = arena_alloc(turn_arena(b->t), b->n * sizeof *all);
	if (!all || !(out.receipts = arena_alloc(turn_arena(b->t), b->n * sizeof(Troupe__Receipt *))))
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++) {
		troupe__receipt__init(&all[i]);
		all[i].id = (ProtobufCBinaryData){ sizeof b->items[i].id.b, b->items[i].id.b };
		all[i].seq = b->items[i].seq;
		all[i].existing = b->items[i].existing;
		out.receipts[i] = &all[i];
	}
	out.n_receipts = b->n;
	out.durability = (char *)"fsync";
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMITTED;
	env.submitted = &out;
	return turn_reply(b->t, m, &env);
}

int on_submit(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Submit *s = m->env->submit;
	struct coordinator *c = state;
	struct bulk b = { .c = c, .t = t, .submitter = m->sender.subject, .peer = m->sender.peer, .notify = s->notify, .batch = s->batch, .next_seq = c->meta.next_seq };
	int r = disk_check(t, c, &b.e);
	if (!r && (s->n_tasks == 0 || s->n_tasks > BULK_MAX))
		r = error_set(&b.e, s->n_tasks ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a submit has 1 to %u tasks, this one %zu", BULK_MAX, s->n_tasks);
	if (!r && s->notify && !watch_room(b.c, m->sender.peer, s->n_tasks)) {
		r = error_set(&b.e, ERROR_BUSY, "too many tasks are watched already");
		error_retry(&b.e, 1000);
	}
	if (!r)
		r = bulk_check(&b, s->tasks, s->n_tasks);
	fault_point("submit.after_parse");
	if (!r)
		r = reply(&b, m);
	if (r)
		return r > 0 ? turn_fail(t, &b.e) : r;
	return bulk_accept(&b);
}

int submit_task(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, struct id *ret_id, struct error *e)
{
	struct { Troupe__TaskSpec spec; struct id id; } *own = arena_alloc(turn_arena(t), sizeof *own);
	struct bulk b = { .c = c, .t = t, .submitter = submitter, .next_seq = c->meta.next_seq };
	if (!own)
		return -ENOMEM;
	own->spec = *spec;
	if (!spec->id.len) {
		own->id = turn_new_id(t);
		own->spec.id = (ProtobufCBinaryData){ sizeof own->id.b, own->id.b };
	}
	Troupe__TaskSpec *one = &own->spec;
	int r = disk_check(t, c, &b.e);
	if (!r)
		r = bulk_check(&b, &one, 1);
	b.e.index = 0;
	if (r > 0)
		*e = b.e;
	if (r)
		return r;
	*ret_id = b.items[0].id;
	return bulk_accept(&b);
}
