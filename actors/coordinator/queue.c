/* Queues: by name, by number, their counters and policies, and the streams that tasks of the same requirement form in them. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"

static unsigned bucket_of(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h ^ h >> 16) & 255;
}

struct queue *queue_find(struct coordinator *c, const char *name)
{
	for (struct queue *q = c->buckets[bucket_of(name)]; q; q = q->next)
		if (strcmp(q->name, name) == 0)
			return q;
	return NULL;
}

struct queue *queue_numbered(struct coordinator *c, uint32_t number)
{
	return number >= 1 && number <= c->n_queues ? c->queues[number - 1] : NULL;
}

bool queue_name_valid(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._/@+=~-", name[i]))
			return false;
	return true;
}

struct queue *queue_add(struct coordinator *c, const char *name, uint32_t number)
{
	if (number == 0 || number > QUEUES_MAX)
		return NULL;
	struct queue **all = reallocarray(c->queues, number > c->n_queues ? number : c->n_queues, sizeof(struct queue *));
	struct queue *q = calloc(1, sizeof *q);
	if (all)
		c->queues = all;
	if (!all || !q || !(q->name = strdup(name))) {
		free(q);
		return NULL;
	}
	for (; c->n_queues < number; c->n_queues++)
		all[c->n_queues] = NULL;
	all[number - 1] = q;
	troupe__queue_record__init(&q->r);
	q->r.number = number;
	q->policy = c->setup->defaults;
	struct queue **bucket = &c->buckets[bucket_of(name)];
	q->next = *bucket;
	*bucket = q;
	c->shape++;
	return q;
}

static struct queue *queue_new(struct coordinator *c, const char *name)
{
	struct queue *q = queue_add(c, name, c->meta.next_queue);
	if (q) {
		c->meta.next_queue++;
		c->meta_changed = q->changed = true;
	}
	return q;
}

static void text_keep(char **at, const char *text)
{
	if (*at && *at != protobuf_c_empty_string)
		free(*at);
	*at = text && *text ? strdup(text) : (char *)protobuf_c_empty_string;
	if (!*at)
		*at = (char *)protobuf_c_empty_string;
}

/* --- requirements and streams --- */

static struct requirement *requirement_add(struct coordinator *c, uint32_t number, char *const *tags, size_t n)
{
	struct requirement **all = reallocarray(c->requirements, number + 1, sizeof(struct requirement *));
	struct requirement *r = calloc(1, sizeof *r);
	if (all)
		c->requirements = all;
	if (!all || !r || (n && !(r->tags = calloc(n, sizeof(char *))))) {
		free(r);
		return NULL;
	}
	for (; c->n_requirements <= number; c->n_requirements++)
		all[c->n_requirements] = NULL;
	for (size_t i = 0; i < n; i++)
		r->tags[r->n_tags++] = strdup(tags[i]);
	r->number = number;
	all[number] = r;
	c->shape++;
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int requirement_of(struct turn *t, struct coordinator *c, char **tags, size_t n, uint32_t *ret)
{
	size_t kept = 0;
	if (n)
		qsort(tags, n, sizeof(char *), by_text);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(tags[kept - 1], tags[i]) != 0)
			tags[kept++] = tags[i];
	for (uint32_t i = 0; i < c->n_requirements; i++) {
		const struct requirement *r = c->requirements[i];
		bool same = r && r->n_tags == kept;
		for (size_t k = 0; same && k < kept; k++)
			same = strcmp(r->tags[k], tags[k]) == 0;
		if (same) {
			*ret = i;
			return 0;
		}
	}
	if (c->n_requirements >= REQUIREMENTS_MAX)
		return ERROR_TOO_LARGE;
	uint32_t number = c->meta.next_requirement;
	Troupe__RequirementRecord r = TROUPE__REQUIREMENT_RECORD__INIT;
	r.number = number;
	r.tags = tags;
	r.n_tags = kept;
	int code = row_put(t, T_REQUIREMENT, key_u32_of(turn_arena(t), number), &r.base);
	if (code)
		return code;
	if (!requirement_add(c, number, tags, kept))
		return -ENOMEM;
	c->meta.next_requirement++;
	c->meta_changed = true;
	*ret = number;
	return 0;
}

struct stream *stream_of(struct coordinator *c, struct queue *q, uint32_t requirement)
{
	if (requirement >= c->n_requirements)
		return NULL;
	if (requirement >= q->n_streams) {
		struct stream **all = reallocarray(q->streams, requirement + 1, sizeof(struct stream *));
		if (!all)
			return NULL;
		q->streams = all;
		for (; q->n_streams <= requirement; q->n_streams++)
			all[q->n_streams] = NULL;
	}
	struct stream *s = q->streams[requirement];
	if (!s && (s = calloc(1, sizeof *s))) {
		s->queue = q;
		s->requirement = c->requirements[requirement];
		s->stored_any = true;
		q->streams[requirement] = s;
		c->shape++;
	}
	return s;
}

/* --- the rows --- */

struct loading { struct coordinator *c; struct arena *arena; bool failed; };

static int load_requirement(void *ctx, struct slice key, struct slice value)
{
	struct loading *l = ctx;
	Troupe__RequirementRecord *r;
	int code = row_decode(l->arena, value, &troupe__requirement_record__descriptor, (ProtobufCMessage **)&r);
	if (!code && (r->number >= REQUIREMENTS_MAX || !requirement_add(l->c, r->number, r->tags, r->n_tags)))
		code = ERROR_CORRUPT;
	l->failed |= code != 0;
	return code != 0;
}

static int load_queue(void *ctx, struct slice key, struct slice value)
{
	struct loading *l = ctx;
	Troupe__QueueRecord *r;
	char name[NAME_MAX_BYTES + 1];
	int code = row_decode(l->arena, value, &troupe__queue_record__descriptor, (ProtobufCMessage **)&r);
	if (code || key.len > NAME_MAX_BYTES) {
		l->failed = true;
		return 1;
	}
	memcpy(name, key.data, key.len);
	name[key.len] = 0;
	struct queue *q = queue_add(l->c, name, r->number);
	if (!q) {
		l->failed = true;
		return 1;
	}
	q->r = *r; /* what another version wrote beside it lies in the arena */
	q->r.base.n_unknown_fields = 0;
	q->r.base.unknown_fields = NULL;
	q->r.policy = NULL;
	q->r.paused_by = q->r.paused_why = (char *)protobuf_c_empty_string;
	text_keep(&q->r.paused_by, r->paused_by);
	text_keep(&q->r.paused_why, r->paused_why);
	for (uint32_t i = 0; i < l->c->n_requirements; i++)
		if (l->c->requirements[i] && !stream_of(l->c, q, i))
			l->failed = true;
	return 0;
}

int queues_load(struct coordinator *c, struct store_txn *view, struct error *e)
{
	struct loading l = { .c = c, .arena = arena_new(64u << 20) };
	static const uint8_t first = 0;
	if (!l.arena)
		return -ENOMEM;
	int r = requirement_add(c, 0, NULL, 0) ? 0 : -ENOMEM;
	if (!r)
		r = store_scan(view, T_REQUIREMENT, SLICE(&first, 1), false, load_requirement, &l);
	if (r >= 0 && !l.failed)
		r = store_scan(view, T_QUEUE, SLICE(&first, 1), false, load_queue, &l);
	arena_unref(l.arena);
	if (r == ERROR_NOT_FOUND)
		r = 0;
	if (l.failed || r == ERROR_CORRUPT)
		return error_set(e, ERROR_CORRUPT, "the table of queues is damaged");
	return r;
}

int queues_configure(struct coordinator *c)
{
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i]) {
			c->queues[i]->policy = c->setup->defaults;
			c->queues[i]->configured = false;
		}
	for (size_t i = 0; i < c->setup->n_queues; i++) {
		const Troupe__QueuePolicy *p = c->setup->queues[i];
		struct queue *q = queue_find(c, p->name);
		if (!q)
			q = queue_new(c, p->name);
		if (!q)
			return -ENOMEM;
		q->policy = p;
		q->configured = true;
	}
	return 0;
}

int queues_settle(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (size_t i = 0; i < c->n_queues && !r; i++) {
		struct queue *q = c->queues[i];
		if (!q || !q->changed)
			continue;
		r = row_put(t, T_QUEUE, SLICE_STR(q->name), &q->r.base);
		q->changed = false;
	}
	return r;
}

void queues_free(struct coordinator *c)
{
	for (size_t i = 0; i < c->n_queues; i++) {
		struct queue *q = c->queues[i];
		if (!q)
			continue;
		for (size_t k = 0; k < q->n_streams; k++)
			if (q->streams[k]) {
				free(q->streams[k]->stored.all);
				free(q->streams[k]->fresh.all);
				free(q->streams[k]);
			}
		free(q->streams);
		text_keep(&q->r.paused_by, NULL);
		text_keep(&q->r.paused_why, NULL);
		free(q->name);
		free(q);
	}
	free(c->queues);
	for (size_t i = 0; i < c->n_requirements; i++) {
		struct requirement *r = c->requirements[i];
		for (size_t k = 0; r && k < r->n_tags; k++)
			free(r->tags[k]);
		if (r)
			free(r->tags);
		free(r);
	}
	free(c->requirements);
	free(c->busy);
}

/* --- what is asked --- */

int queue_unknown(struct turn *t, struct coordinator *c, const char *name, uint32_t index)
{
	struct error e = { 0 };
	error_set(&e, ERROR_NO_QUEUE, "there is no queue \"%.128s\"", name);
	const char **names = arena_alloc(turn_arena(t), (c->n_queues + 1) * sizeof(char *));
	size_t n = 0;
	for (size_t i = 0; names && i < c->n_queues; i++)
		if (c->queues[i])
			names[n++] = c->queues[i]->name;
	const char *near = names ? suggest(name, names, n) : NULL;
	if (near)
		error_cure(&e, "did you mean %s?", near);
	else
		error_cure(&e, "troupe queue list shows all; troupe queue add creates one");
	e.index = index;
	return turn_fail(t, &e);
}

/* The age of a stream's head tells for how long the queue has not been served. */
static uint64_t oldest_ready_ms(struct turn *t, struct coordinator *c, const struct queue *q)
{
	uint64_t least_ms = TIME_NEVER;
	struct store_txn *view = turn_view(t);
	for (size_t i = 0; view && i < q->n_streams; i++) {
		struct slice from = key_ready(turn_arena(t), q->r.number, (uint32_t)i, 0, 0), key, value;
		Troupe__TaskRecord *rec;
		struct id id;
		if (!q->streams[i] || !from.data || store_seek(view, T_READY, from, false, &key, &value) != 0 || key.len != 20 || memcmp(key.data, from.data, 8) != 0 ||
		    value.len != sizeof id.b)
			continue;
		memcpy(id.b, value.data, sizeof id.b);
		if (task_get(t, &id, &rec) == 0 && rec->submitted_at_ms < least_ms)
			least_ms = rec->submitted_at_ms;
	}
	uint64_t wall = turn_wall_ms(t);
	return least_ms == TIME_NEVER || least_ms > wall ? 0 : wall - least_ms;
}

static Troupe__Queue *queue_show(struct turn *t, struct coordinator *c, const struct queue *q)
{
	Troupe__Queue *out = arena_alloc(turn_arena(t), sizeof *out);
	if (!out)
		return NULL;
	troupe__queue__init(out);
	out->name = q->name;
	out->scheduled = q->r.scheduled;
	out->ready = q->r.ready;
	out->running = q->r.running;
	out->done = q->r.done;
	out->cancelled = q->r.cancelled;
	out->dead = q->r.dead;
	out->paused = q->r.paused;
	out->paused_by = q->r.paused_by;
	out->paused_why = q->r.paused_why;
	out->paused_at_ms = q->r.paused_at_ms;
	out->submitted_total = q->r.submitted_total;
	out->completed_total = q->r.completed_total;
	out->failed_total = q->r.failed_total;
	out->retried_total = q->r.retried_total;
	out->policy = (Troupe__QueuePolicy *)q->policy;
	out->oldest_ready_ms = q->r.ready ? oldest_ready_ms(t, c, q) : 0;
	for (const struct worker *w = c->workers; w; w = w->next)
		for (size_t i = 0; i < w->n_queues && w->attached; i++)
			if (strcmp(w->queues[i], q->name) == 0) {
				out->workers++;
				out->workers_busy += w->held > 0;
			}
	return out;
}

int on_queue_ask(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const char *name = m->env->queue_ask->name;
	struct queue *one = *name ? queue_find(c, name) : NULL;
	if (*name && !one)
		return queue_unknown(t, c, name, 0);
	Troupe__Queues out = TROUPE__QUEUES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!(out.queues = arena_alloc(turn_arena(t), (c->n_queues + 1) * sizeof(Troupe__Queue *))))
		return -ENOMEM;
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i] && (!one || c->queues[i] == one) && !(out.queues[out.n_queues++] = queue_show(t, c, c->queues[i])))
			return -ENOMEM;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUES;
	env.queues = &out;
	return turn_reply(t, m, &env);
}

static int order_event(struct turn *t, const struct coordinator *c, const struct message *m, const char *type, const struct queue *q, const char *why)
{
	Troupe__Event ev = TROUPE__EVENT__INIT;
	ev.type = (char *)type;
	ev.actor = (char *)c->address;
	ev.subject = (char *)m->sender.subject;
	ev.level = (char *)"info";
	ev.at_ms = turn_wall_ms(t);
	if (!(ev.text = arena_printf(turn_arena(t), "queue %s%s%s", q->name, *why ? ": " : "", why)))
		return -ENOMEM;
	int r = turn_emit(t, &ev);
	return r == ERROR_BUSY || r == ERROR_TOO_LARGE ? 0 : r;
}

int on_queue_order(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__QueueOrder *o = m->env->queue_order;
	struct queue *q = queue_find(c, o->name);
	struct error e = { 0 };
	const char *event = NULL;
	if (!q && o->op != TROUPE__QUEUE_ORDER__OP__ADD)
		return queue_unknown(t, c, o->name, 0);
	if (strlen(o->why) > 500) {
		error_set(&e, ERROR_TOO_LARGE, "a reason has at most 500 bytes");
		return turn_fail(t, &e);
	}
	switch (o->op) {
	case TROUPE__QUEUE_ORDER__OP__PAUSE:
		event = "queue.paused";
		break;
	case TROUPE__QUEUE_ORDER__OP__RESUME:
		event = "queue.resumed";
		break;
	case TROUPE__QUEUE_ORDER__OP__ADD:
		if (q) {
			error_set(&e, ERROR_EXISTS, "queue \"%s\" is already there", o->name);
			return turn_fail(t, &e);
		}
		if (!queue_name_valid(o->name)) {
			error_set(&e, ERROR_BAD_REQUEST, "a queue's name is 1 to %u letters, digits and ._/@+=~-", NAME_MAX_BYTES);
			return turn_fail(t, &e);
		}
		if (!(q = queue_new(c, o->name))) {
			error_set(&e, ERROR_BUSY, "there are %u queues already", QUEUES_MAX);
			return turn_fail(t, &e);
		}
		event = "queue.added";
		break;
	case TROUPE__QUEUE_ORDER__OP__DRAIN:
	case TROUPE__QUEUE_ORDER__OP__SET:
	case TROUPE__QUEUE_ORDER__OP__REMOVE:
	case TROUPE__QUEUE_ORDER__OP__QUIET:
	case TROUPE__QUEUE_ORDER__OP__UNQUIET:
	case TROUPE__QUEUE_ORDER__OP__NONE:
	case _TROUPE__QUEUE_ORDER__OP_IS_INT_SIZE:
		break;
	}
	if (!event) {
		error_set(&e, ERROR_BAD_REQUEST, "an order for a queue is pause, resume or add");
		return turn_fail(t, &e);
	}
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Done done = TROUPE__DONE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_OK;
	env.ok = &done;
	int r = turn_reply(t, m, &env);
	if (!r)
		r = order_event(t, c, m, event, q, o->why);
	if (r)
		return r;
	bool pause = o->op == TROUPE__QUEUE_ORDER__OP__PAUSE;
	if (o->op == TROUPE__QUEUE_ORDER__OP__ADD || (!pause && !q->r.paused))
		return 0;
	q->r.paused = pause;
	q->r.paused_at_ms = pause ? turn_wall_ms(t) : 0;
	text_keep(&q->r.paused_by, pause ? m->sender.subject : NULL);
	text_keep(&q->r.paused_why, pause ? o->why : NULL);
	q->changed = true;
	return pause ? crew_revoke_queue(t, c, q) : 0;
}
