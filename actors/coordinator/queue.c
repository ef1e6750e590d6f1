/* Queues: by name, by number, their counters and policies, and what is told of them. */
#include "actors/coordinator/queue.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/limit.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/stream.h"
#include "actors/coordinator/verbs.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/wire/policy.h"

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

struct queue *queue_new(struct coordinator *c, const char *name)
{
	struct queue *q = queue_add(c, name, c->meta.next_queue);
	if (q) {
		c->meta.next_queue++;
		c->meta_changed = q->changed = true;
	}
	return q;
}

void text_keep(char **at, const char *text)
{
	if (*at && *at != protobuf_c_empty_string)
		free(*at);
	*at = text && *text ? strdup(text) : (char *)protobuf_c_empty_string;
	if (!*at)
		*at = (char *)protobuf_c_empty_string;
}

/* --- the rows --- */

struct loading { struct coordinator *c; struct arena *arena; bool failed; };

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
	q->r.changed = NULL;
	q->r.n_changed = 0;
	q->r.paused_by = q->r.paused_why = q->r.draining_by = q->r.draining_why = (char *)protobuf_c_empty_string;
	text_keep(&q->r.paused_by, r->paused_by);
	text_keep(&q->r.paused_why, r->paused_why);
	text_keep(&q->r.draining_by, r->draining_by);
	text_keep(&q->r.draining_why, r->draining_why);
	q->r.turns = NULL;
	q->r.n_turns = 0;
	for (size_t i = 0; i < r->n_turns; i++) {
		struct stream *s = stream_of(l->c, q, r->turns[i]->requirement);
		if (s)
			s->served = r->turns[i]->served;
	}
	if (r->policy && queue_policy_keep(q, r->policy, r->changed, r->n_changed))
		l->failed = true;
	return 0;
}

int queues_load(struct coordinator *c, struct store_txn *view, struct error *e)
{
	struct loading l = { .c = c, .arena = arena_new(64u << 20) };
	static const uint8_t first = 0;
	if (!l.arena)
		return -ENOMEM;
	int r = store_scan(view, T_QUEUE, SLICE(&first, 1), false, load_queue, &l);
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
		if (c->queues[i])
			c->queues[i]->configured = NULL;
	for (size_t i = 0; i < c->setup->n_queues; i++) {
		const Troupe__QueuePolicy *p = c->setup->queues[i];
		struct queue *q = queue_find(c, p->name);
		if (!q)
			q = queue_new(c, p->name);
		if (!q)
			return -ENOMEM;
		q->configured = p;
	}
	for (size_t i = 0; i < c->n_queues; i++)
		if (c->queues[i])
			queue_policy_use(c, c->queues[i]);
	return 0;
}

/* Who had how many turns of a fair queue goes into its row. */
static int turns_note(struct turn *t, struct queue *q)
{
	size_t n = q->policy->fair ? q->n_streams : 0;
	Troupe__Turns *all = arena_alloc(turn_arena(t), (n + 1) * sizeof *all);
	q->r.n_turns = 0;
	q->r.turns = arena_alloc(turn_arena(t), (n + 1) * sizeof(Troupe__Turns *));
	if (!all || !q->r.turns)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!q->streams[i] || !q->streams[i]->served)
			continue;
		troupe__turns__init(&all[i]);
		all[i].requirement = (uint32_t)i;
		all[i].served = q->streams[i]->served;
		q->r.turns[q->r.n_turns++] = &all[i];
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
		if (!(r = turns_note(t, q)))
			r = row_put(t, T_QUEUE, SLICE_STR(q->name), &q->r.base);
		q->r.turns = NULL; /* in the turn's memory */
		q->r.n_turns = 0;
		q->changed = false;
	}
	return r;
}

static void queue_free(struct queue *q)
{
	for (size_t k = 0; q && k < q->n_streams; k++)
		if (q->streams[k]) {
			free(q->streams[k]->stored.all);
			free(q->streams[k]->fresh.all);
			free(q->streams[k]);
		}
	if (!q)
		return;
	free(q->streams);
	queue_policy_free(q);
	policy_free(q->own);
	text_keep(&q->r.paused_by, NULL);
	text_keep(&q->r.paused_why, NULL);
	text_keep(&q->r.draining_by, NULL);
	text_keep(&q->r.draining_why, NULL);
	free(q->name);
	free(q);
}

int queue_remove(struct turn *t, struct coordinator *c, struct queue *q)
{
	char *name = arena_string(turn_arena(t), q->name);
	if (!name)
		return -ENOMEM;
	for (struct queue **at = &c->buckets[bucket_of(q->name)]; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			break;
		}
	c->queues[q->r.number - 1] = NULL;
	for (size_t i = c->n_busy; i-- > 0;)
		if (c->busy[i]->queue == q)
			c->busy[i] = c->busy[--c->n_busy];
	c->shape++; /* groups forget its streams before they look at one */
	queue_free(q);
	return turn_delete(t, T_QUEUE, SLICE_STR(name));
}

void queues_free(struct coordinator *c)
{
	for (size_t i = 0; i < c->n_queues; i++)
		queue_free(c->queues[i]);
	free(c->queues);
	free(c->busy);
}

/* --- what is asked --- */

void queue_unknown_error(struct turn *t, struct coordinator *c, const char *name, struct error *e)
{
	error_set(e, ERROR_NO_QUEUE, "there is no queue \"%.128s\"", name);
	const char **names = arena_alloc(turn_arena(t), (c->n_queues + 1) * sizeof(char *));
	size_t n = 0;
	for (size_t i = 0; names && i < c->n_queues; i++)
		if (c->queues[i])
			names[n++] = c->queues[i]->name;
	const char *near = names ? suggest(name, names, n) : NULL;
	if (near)
		error_cure(e, "did you mean %s?", near);
	else
		error_cure(e, "troupe queue list shows all; troupe queue add creates one");
}

int queue_unknown(struct turn *t, struct coordinator *c, const char *name, uint32_t index)
{
	struct error e = { 0 };
	queue_unknown_error(t, c, name, &e);
	e.index = index;
	return turn_fail(t, &e);
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
	out->paused_at_ms = steady_to_wall(&c->steady, t, q->r.paused_at_ms);
	out->submitted_total = q->r.submitted_total;
	out->completed_total = q->r.completed_total;
	out->failed_total = q->r.failed_total;
	out->retried_total = q->r.retried_total;
	out->dropped_total = q->r.dropped_total;
	out->bytes = q->r.bytes;
	out->keys = q->r.keys;
	out->draining = q->r.draining;
	out->draining_by = q->r.draining_by;
	out->draining_why = q->r.draining_why;
	out->draining_at_ms = steady_to_wall(&c->steady, t, q->r.draining_at_ms);
	out->policy = (Troupe__QueuePolicy *)q->policy;
	out->changed = q->r.changed;
	out->n_changed = q->r.n_changed;
	out->oldest_ready_ms = q->r.ready ? oldest_ready_ms(t, c, q) : 0;
	for (const struct worker *w = c->workers; w; w = w->next)
		if (w->attached && w->group && group_serves(w->group, q->name)) {
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
