/* Tasks come in: one commit for a bulk, all are accepted or none. Everything is checked, and its rows are said, before memory changes. */
#include <errno.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define YEARS_10_MS (3650ull * 24 * 3600 * 1000)
#define TEXT_MAX 255u
#define DELAYS_MAX 100u

/* One accepted task, until all of its bulk are. */
struct item {
	const Troupe__TaskSpec *spec;
	struct queue *queue;
	struct stream *stream;
	struct id id;
	uint64_t seq, due_ms;
	bool existing;
	struct id replaced;              /* a task that gives way: unique_mode REPLACE */
	Troupe__TaskRecord *replaced_rec; /* NULL: none */
	Troupe__StateRecord *replaced_state;
};
struct bulk {
	struct coordinator *c;
	struct turn *t;
	const struct message *m;
	struct item *items;
	size_t n;
	uint64_t next_seq;
	struct error e;
};

size_t spec_size(const Troupe__TaskSpec *spec)
{
	size_t n = spec->payload.len;
	for (size_t i = 0; i < spec->n_argv; i++)
		n += spec->argv[i].len;
	return n;
}

static int refuse(struct bulk *b, enum error_code code, const char *cure)
{
	b->e.code = code;
	if (cure)
		error_cure(&b->e, "%s", cure);
	b->e.index = (uint32_t)b->n + 1;
	return turn_fail(b->t, &b->e);
}
#define REFUSE(b, code, cure, ...) (error_set(&(b)->e, (code), __VA_ARGS__), refuse((b), (code), (cure)))

static int check_texts(struct bulk *b, const Troupe__TaskSpec *s)
{
	if (strlen(s->content_type) > TEXT_MAX || strlen(s->traceparent) > TEXT_MAX)
		return REFUSE(b, ERROR_TOO_LARGE, NULL, "a content type and a traceparent have at most %u bytes", TEXT_MAX);
	if (strlen(s->unique_key) > KEY_BYTES_MAX)
		return REFUSE(b, ERROR_TOO_LARGE, "use a hash of the key", "a unique key has at most %u bytes, this one %zu", KEY_BYTES_MAX, strlen(s->unique_key));
	if (*s->serial_key)
		return REFUSE(b, ERROR_BAD_REQUEST, "leave serial_key out", "this version has no serial keys");
	if (s->n_depends_on)
		return REFUSE(b, ERROR_BAD_REQUEST, "leave depends_on out", "this version has no dependencies between tasks");
	if (s->n_tags > TAGS_MAX)
		return REFUSE(b, ERROR_TOO_LARGE, NULL, "a task has at most %u tags, this one %zu", TAGS_MAX, s->n_tags);
	for (size_t i = 0; i < s->n_tags; i++)
		if (!*s->tags[i] || strlen(s->tags[i]) > TAG_BYTES_MAX)
			return REFUSE(b, ERROR_BAD_REQUEST, NULL, "a tag has 1 to %u bytes", TAG_BYTES_MAX);
	return 0;
}

static int check_spec(struct bulk *b, const Troupe__TaskSpec *s)
{
	const struct coordinator *c = b->c;
	if (s->id.len != sizeof(struct id))
		return REFUSE(b, ERROR_BAD_REQUEST, "make a time-ordered id of 16 bytes for each task", "a task's id has 16 bytes, this one %zu", s->id.len);
	if (s->payload.len > c->payload_max)
		return REFUSE(b, ERROR_TOO_LARGE, "put it into a file and submit the file's name", "a payload has at most %llu bytes, this one %zu",
		              (unsigned long long)c->payload_max, s->payload.len);
	if (s->n_argv > ARGV_MAX || spec_size(s) > 2 * c->payload_max)
		return REFUSE(b, ERROR_TOO_LARGE, "pass the data as payload", "a command has at most %u arguments and %llu bytes", ARGV_MAX, (unsigned long long)c->payload_max);
	for (size_t i = 0; i < s->n_argv; i++)
		if (memchr(s->argv[i].data, 0, s->argv[i].len))
			return REFUSE(b, ERROR_BAD_REQUEST, NULL, "argument %zu of the command holds a NUL byte", i);
	if (s->delay_ms > YEARS_10_MS)
		return REFUSE(b, ERROR_BAD_REQUEST, NULL, "a delay is at most 10 years");
	if (s->retry && (s->retry->jitter_pct > 100 || s->retry->n_delays_ms > DELAYS_MAX))
		return REFUSE(b, ERROR_BAD_REQUEST, NULL, "jitter is 0 to 100 %%, and a list of delays has at most %u", DELAYS_MAX);
	if (s->timeout_ms > YEARS_10_MS || (s->retry && s->retry->cap_ms > YEARS_10_MS))
		return REFUSE(b, ERROR_BAD_REQUEST, NULL, "a time is at most 10 years");
	return check_texts(b, s);
}

static int find_queue(struct bulk *b, const Troupe__TaskSpec *s, struct item *i)
{
	struct coordinator *c = b->c;
	i->queue = queue_find(c, s->queue);
	if (!i->queue && c->setup->auto_create_queues && queue_name_valid(s->queue)) {
		i->queue = queue_add(c, s->queue, c->meta.next_queue);
		if (!i->queue)
			return REFUSE(b, ERROR_BUSY, NULL, "there are %u queues already", QUEUES_MAX);
		c->meta.next_queue++;
		c->meta_changed = i->queue->changed = true;
	}
	if (!i->queue)
		return queue_unknown(b->t, c, s->queue, (uint32_t)b->n + 1);
	uint32_t requirement = 0;
	if (s->n_tags) {
		char **tags = arena_copy(turn_arena(b->t), s->tags, s->n_tags * sizeof(char *));
		int r = tags ? requirement_of(b->t, c, tags, s->n_tags, &requirement) : -ENOMEM;
		if (r == ERROR_TOO_LARGE)
			return REFUSE(b, ERROR_TOO_LARGE, "use fewer combinations of tags", "there are %u different sets of tags already", REQUIREMENTS_MAX);
		if (r)
			return r;
	}
	i->stream = stream_of(c, i->queue, requirement);
	return i->stream ? 0 : -ENOMEM;
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
		return REFUSE(b, ERROR_CORRUPT, "troupe check-store", "the record with this id is damaged");
	if (r)
		return r;
	if (strcmp(rec->submitter, b->m->sender.subject) != 0 || !same_spec(rec->spec, i->spec, turn_arena(b->t)))
		return REFUSE(b, ERROR_CONFLICT, "use a new id for a new task", "another task has this id already");
	i->existing = true;
	i->seq = rec->seq;
	return 0;
}

static bool same_work(const Troupe__TaskSpec *a, const Troupe__TaskSpec *b)
{
	if (a->payload.len != b->payload.len || a->n_argv != b->n_argv || (a->payload.len && memcmp(a->payload.data, b->payload.data, a->payload.len) != 0))
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
	                       (rec->spec->unique_window_ms && rec->submitted_at_ms + rec->spec->unique_window_ms > turn_wall_ms(t)));
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_RETURN && same_work(rec->spec, s)) {
		i->existing = true;
		i->id = first;
		i->seq = rec->seq;
		return 0;
	}
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_RETURN)
		return REFUSE(b, ERROR_CONFLICT, NULL, "#%llu has the unique key \"%.60s\" and other work", (unsigned long long)rec->seq, s->unique_key);
	if (held && s->unique_mode == TROUPE__UNIQUE_MODE__UNIQUE_REPLACE && !l && !sched_is_final(st->state)) {
		i->replaced = first;
		i->replaced_rec = rec;
		i->replaced_state = st;
	} else if (held) {
		return REFUSE(b, ERROR_EXISTS, "wait for it, cancel it, or submit with another mode of uniqueness", "#%llu has the unique key \"%.60s\"",
		              (unsigned long long)rec->seq, s->unique_key);
	}
	void *id = arena_copy(turn_arena(t), i->id.b, sizeof i->id.b);
	return id ? turn_put(t, T_UNIQUE, key, SLICE(id, sizeof i->id.b)) : -ENOMEM;
}

static int put_rows(struct bulk *b, struct item *i)
{
	struct turn *t = b->t;
	Troupe__TaskRecord rec = TROUPE__TASK_RECORD__INIT;
	uint64_t wall = turn_wall_ms(t);
	struct slice key = SLICE(i->spec->id.data, i->spec->id.len);
	rec.spec = (Troupe__TaskSpec *)i->spec;
	rec.seq = i->seq = b->next_seq++;
	rec.queue = i->queue->r.number;
	rec.submitted_at_ms = wall;
	rec.submitter = (char *)b->m->sender.subject;
	rec.requirement = i->stream->requirement->number;
	int r = row_put(t, T_TASK, key, &rec.base);
	disk_take(b->c, spec_size(i->spec));
	i->due_ms = i->spec->delay_ms ? wall + i->spec->delay_ms : 0;
	if (i->spec->run_at_ms > wall && i->spec->run_at_ms > i->due_ms)
		i->due_ms = i->spec->run_at_ms;
	if (!r && i->due_ms) {
		Troupe__StateRecord st = TROUPE__STATE_RECORD__INIT;
		st.state = TROUPE__TASK_STATE__SCHEDULED;
		st.run = 1;
		st.due_at_ms = i->due_ms;
		r = row_put(t, T_STATE, key, &st.base);
	}
	if (!r && i->due_ms)
		r = due_put(t, b->c, i->due_ms, i->seq, &i->id);
	if (!r && i->spec->deadline_at_ms)
		r = due_put(t, b->c, i->spec->deadline_at_ms, i->seq, &i->id);
	return r;
}

static int check_item(struct bulk *b, const Troupe__TaskSpec *s)
{
	struct item *i = &b->items[b->n];
	*i = (struct item){ .spec = s };
	int r = check_spec(b, s);
	if (r)
		return r;
	memcpy(i->id.b, s->id.data, sizeof i->id.b);
	if ((r = find_queue(b, s, i)) || (r = check_id(b, i)))
		return r;
	if (!i->existing && s->deadline_at_ms && s->deadline_at_ms <= turn_wall_ms(b->t)) /* not of one that is sent again because its answer was lost */
		return REFUSE(b, ERROR_BAD_REQUEST, NULL, "the deadline has passed already");
	if (!i->existing && *s->unique_key && (r = check_unique(b, i)))
		return r;
	uint64_t live = i->queue->r.scheduled + i->queue->r.ready + i->queue->r.running;
	if (!i->existing && i->queue->policy->max_tasks && live + b->n >= i->queue->policy->max_tasks) {
		error_set(&b->e, ERROR_BUSY, "queue %s has its %llu tasks", i->queue->name, (unsigned long long)i->queue->policy->max_tasks);
		error_retry(&b->e, 1000);
		return refuse(b, ERROR_BUSY, "wait until some are done, or raise max_tasks");
	}
	if (!i->existing && (r = put_rows(b, i)))
		return r;
	b->n++;
	return 0;
}

/* --- what changes in memory, once nothing can be refused any more --- */

static int accept_one(struct bulk *b, const struct item *i, bool notify)
{
	struct coordinator *c = b->c;
	int r = 0;
	if (i->existing)
		return 0;
	if (i->replaced_rec) {
		Troupe__TaskState was = i->replaced_state->state;
		i->replaced_state->state = TROUPE__TASK_STATE__CANCELLED;
		r = task_move(b->t, c, &i->replaced, i->replaced_rec, i->replaced_state, was);
		struct slice key = key_unique(turn_arena(b->t), i->queue->r.number, i->spec->unique_key);
		if (!r) /* the move has taken the key away */
			r = key.data ? turn_put(b->t, T_UNIQUE, key, SLICE(i->spec->id.data, i->spec->id.len)) : -ENOMEM;
	}
	if (!r)
		r = log_add(c, &i->id, TROUPE__TRANSITION_KIND__T_ACCEPTED, 0, 0, i->queue);
	if (r)
		return r;
	i->queue->changed = true;
	i->queue->r.submitted_total++;
	c->n_accepted++;
	if (i->due_ms) {
		i->queue->r.scheduled++;
		r = log_add(c, &i->id, TROUPE__TRANSITION_KIND__T_SCHEDULED, 0, 0, i->queue);
	} else {
		i->queue->r.ready++;
		struct candidate one = { .id = i->id, .seq = i->seq, .priority = sched_priority(i->spec), .first = true, .unique = *i->spec->unique_key, .spec = i->spec };
		r = fresh_add(c, i->stream, &one);
	}
	if (!r && notify)
		r = watch_notify(c, b->m->sender.peer, &i->id);
	return r;
}

static int reply(struct bulk *b)
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
	return turn_reply(b->t, b->m, &env);
}

static int check_disk(struct bulk *b)
{
	struct coordinator *c = b->c;
	disk_look(c, turn_now_ms(b->t));
	if (!c->disk_low)
		return 0;
	error_set(&b->e, ERROR_DISK_LOW, "only %llu MiB are free on the disk of the store", (unsigned long long)(c->disk_free >> 20));
	error_cure(&b->e, "free space, or lower disk_low_water in the configuration");
	error_retry(&b->e, 5000);
	return turn_fail(b->t, &b->e);
}

int on_submit(struct turn *t, void *state, const struct message *m)
{
	const Troupe__Submit *s = m->env->submit;
	struct coordinator *c = state;
	struct bulk b = { .c = c, .t = t, .m = m, .next_seq = c->meta.next_seq };
	int r = check_disk(&b);
	if (r)
		return r;
	if (s->n_tasks == 0 || s->n_tasks > BULK_MAX) {
		error_set(&b.e, s->n_tasks ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a submit has 1 to %u tasks, this one %zu", BULK_MAX, s->n_tasks);
		return turn_fail(t, &b.e);
	}
	if (s->notify && !watch_room(b.c, m->sender.peer, s->n_tasks)) {
		error_set(&b.e, ERROR_BUSY, "too many tasks are watched already");
		error_retry(&b.e, 1000);
		return turn_fail(t, &b.e);
	}
	if (!(b.items = arena_alloc(turn_arena(t), s->n_tasks * sizeof *b.items)))
		return -ENOMEM;
	for (size_t i = 0; i < s->n_tasks && !r; i++)
		r = check_item(&b, s->tasks[i]);
	fault_point("submit.after_parse");
	if (!r)
		r = reply(&b);
	if (r)
		return r;
	if (!b.c->log_first_seq)
		b.c->log_first_seq = b.c->meta.next_seq;
	for (size_t i = 0; i < b.n && !r; i++)
		r = accept_one(&b, &b.items[i], s->notify);
	b.c->meta.next_seq = b.next_seq;
	b.c->meta_changed = true;
	return r;
}
