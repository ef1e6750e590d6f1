/* Who is there besides the coordinator: tasks by name, workers, clients, and how they come back to its successor. */
#include <stdio.h>
#include <string.h>
#include "tests/queue/play.h"

/* --- tasks --- */

static struct named *task_add(struct play *p, const char *name)
{
	struct named *t = arena_zalloc(p->arena, sizeof *t);
	MUST(t && p->n_tasks < 60000);
	t->name = arena_string(p->arena, name);
	p->n_tasks++;
	*p->tasks_end = t;
	p->tasks_end = &t->next;
	return t;
}

static struct named *task_find(struct play *p, const char *name)
{
	struct named *t = p->tasks;
	while (t && strcmp(t->name, name) != 0)
		t = t->next;
	return t;
}

struct named *task_named(struct play *p, const char *name)
{
	struct named *t = task_find(p, name);
	if (t)
		return t;
	t = task_add(p, name);
	unsigned n = p->how == AS_IT_STANDS ? p->n_tasks : p->how == RESTARTED ? 65535 - p->n_tasks : p->n_tasks * 40503;
	t->id = (struct id){ { 1, 140, 10, 10, 10, 10 } };
	t->id.b[14] = (uint8_t)(n >> 8);
	t->id.b[15] = (uint8_t)n;
	return t;
}

struct named *task_known(struct play *p, const char *name)
{
	struct named *t = task_find(p, name);
	if (!t)
		wrong("no task %s has come up so far", name);
	return t;
}

struct named *task_of_id(struct play *p, ProtobufCBinaryData id)
{
	char name[32];
	MUST(id.len == sizeof(struct id));
	for (struct named *t = p->tasks; t; t = t->next)
		if (memcmp(t->id.b, id.data, id.len) == 0)
			return t;
	snprintf(name, sizeof name, "new%u", ++p->n_new);
	struct named *t = task_add(p, name);
	memcpy(t->id.b, id.data, id.len);
	return t;
}

size_t tasks_listed(struct play *p, const char *list, struct named **ret, size_t room)
{
	char *names[4096];
	size_t n = text_names(p->arena, list, names, room < 4096 ? room : 4096);
	for (size_t i = 0; i < n; i++)
		ret[i] = task_named(p, names[i]);
	return n;
}

/* Replaces the n bytes at. */
static const char *replaced(struct play *p, const char *text, const char *at, size_t n, const char *with)
{
	const char *out = arena_printf(p->arena, "%.*s%s%s", (int)(at - text), text, with, at + n);
	MUST(out);
	return out;
}

const char *shortened(struct play *p, const char *text)
{
	for (const struct named *t = p->tasks; t; t = t->next) {
		char id[ID_TEXT], seq[32];
		const char *at;
		id_format(&t->id, id);
		while ((at = strstr(text, id)))
			text = replaced(p, text, at, strlen(id), t->name);
		size_t n = (size_t)snprintf(seq, sizeof seq, "#%llu", (unsigned long long)t->seq);
		while (t->seq && (at = strstr(text, seq)) && !(at[n] >= '0' && at[n] <= '9'))
			text = replaced(p, text, at, n, t->name);
	}
	for (const struct life *l = p->lives; l; l = l->next)
		for (const char *at; (at = strstr(text, l->address));)
			text = replaced(p, text, at, strlen(l->address), l->name);
	return text;
}

/* --- workers --- */

struct life *life_new(struct play *p, const char *name, const struct life *like)
{
	struct life *l = arena_zalloc(p->arena, sizeof *l);
	MUST(l);
	if (like)
		*l = (struct life){ .name = like->name, .address = like->address, .pool = like->pool, .mode = like->mode, .broken = like->broken, .queues = like->queues,
			.n_queues = like->n_queues, .tags = like->tags, .n_tags = like->n_tags, .resources = like->resources, .n_resources = like->n_resources,
			.slots = like->slots, .lazy = like->lazy };
	l->name = arena_string(p->arena, name);
	l->incarnation = ++p->next_incarnation;
	l->alive = true;
	*p->lives_end = l;
	p->lives_end = &l->next;
	return l;
}

struct life *life_named(struct play *p, const char *name)
{
	struct life *last = NULL;
	for (struct life *l = p->lives; l; l = l->next)
		if (strcmp(l->name, name) == 0)
			last = l;
	return last;
}

struct life *life_need(struct play *p, const char *name)
{
	struct life *l = life_named(p, name);
	if (!l)
		wrong("there is no worker %s", name);
	return l;
}

struct life *life_of_peer(struct play *p, uint64_t peer)
{
	struct life *l = p->lives;
	while (l && l->peer != peer)
		l = l->next;
	return l;
}

struct held *held_find(struct life *l, uint64_t token)
{
	struct held *h = l->held;
	while (h && h->token != token)
		h = h->next;
	return h;
}

struct held *held_task(struct life *l, const struct named *t)
{
	struct held *h = l->held;
	while (h && h->task != t)
		h = h->next;
	return h;
}

/* I3 and I4: nobody else may have it, and tokens rise from commit to commit. */
static void must_be_alone(struct play *p, const struct life *l, struct named *t, uint64_t token)
{
	if (token <= p->last_token)
		wrong("%s was given with token %llu, behind %llu", t->name, (unsigned long long)token, (unsigned long long)p->last_token);
	if (token > p->next_token)
		p->next_token = token;
	for (struct life *other = p->lives; other; other = other->next) {
		const struct held *h = held_task(other, t);
		if (h && !h->killed && !h->outcome && (other->alive || !other->proven) && !other->forgiven)
			wrong("%s was given to %s while %s may still run it", t->name, l->name, other->name);
	}
}

void held_add(struct play *p, struct life *l, struct named *t, uint64_t token)
{
	struct held **at = &l->held;
	must_be_alone(p, l, t, token);
	while (*at)
		at = &(*at)->next;
	MUST((*at = arena_zalloc(p->arena, sizeof **at)));
	(*at)->task = t;
	(*at)->token = token;
	struct giving *more = arena_alloc(p->arena, (t->n_given + 1) * sizeof *more);
	MUST(more);
	if (t->n_given)
		memcpy(more, t->given, t->n_given * sizeof *more);
	more[t->n_given++] = (struct giving){ token, l };
	t->given = more;
}

void held_drop(struct life *l, struct held *h)
{
	for (struct held **at = &l->held; *at; at = &(*at)->next)
		if (*at == h) {
			*at = h->next;
			return;
		}
}

struct who who_of_life(const struct life *l)
{
	return (struct who){ .peer = l->peer, .address = l->address, .incarnation = l->incarnation };
}

/* --- clients --- */

struct client *client_named(struct play *p, const char *name)
{
	unsigned n = 0;
	if (!name)
		name = "ann";
	for (struct client *c = p->clients; c; c = c->next, n++)
		if (strcmp(c->name, name) == 0)
			return c;
	struct client *c = arena_zalloc(p->arena, sizeof *c);
	MUST(c);
	c->name = arena_string(p->arena, name);
	c->uid = 1000 + n;
	c->role = TROUPE__ROLE__ADMIN;
	c->peer = ++p->next_peer;
	MUST((c->subject = arena_printf(p->arena, "uid %u (%s)", c->uid, name)));
	c->next = p->clients;
	p->clients = c;
	return c;
}

struct client *client_of_peer(struct play *p, uint64_t peer)
{
	struct client *c = p->clients;
	while (c && c->peer != peer)
		c = c->next;
	return c;
}

struct who who_of_client(const struct client *c)
{
	return (struct who){ .peer = c->peer, .subject = c->subject, .uid = c->uid, .role = c->role };
}

/* --- the death of the coordinator --- */

void world_crash(struct play *p)
{
	struct rng rng = p->s->c->rng; /* its successor draws what it would have drawn: two plays differ in nothing else */
	stage_crash(p->s);
	stage_restart(p->s);
	p->s->c->rng = rng;
	for (struct life *l = p->lives; l; l = l->next) {
		l->peer = 0;
		l->attached = l->monitored = false;
		for (size_t i = 0; i < p->s->n_monitored; i++)
			l->monitored |= l->incarnation == p->s->monitored[i].incarnation && strcmp(l->address, p->s->monitored[i].address) == 0;
		if (l->monitored)
			l->down_told = false;
		l->talking = false;
	}
	for (struct client *c = p->clients; c; c = c->next)
		c->peer = ++p->next_peer;
	see_commit(p, NULL, false);
}

void world_back(struct play *p, bool workers)
{
	for (struct life *l = p->lives; l && workers; l = l->next) {
		struct acts a = { 0 };
		if (!l->alive || l->away)
			continue;
		act_attach(&a, l);
		turn_do(p, &a);
	}
	for (struct life *l = p->lives; l; l = l->next) {
		struct acts a = { 0 };
		if (l->alive || !l->monitored || l->down_told)
			continue;
		act_add(&a, ACT_DOWN)->life = l;
		turn_do(p, &a);
	}
	for (struct pending *q = p->pending; q; q = q->next) {
		struct acts a = { 0 };
		if (q->done)
			continue;
		q->env->deadline_ms = q->until_ms > p->s->now_ms ? q->until_ms - p->s->now_ms : 1;
		if (q->env->body_case == TROUPE__ENVELOPE__BODY_LOG_ASK)
			q->env->log_ask->follow_ms = q->env->deadline_ms;
		struct act *x = act_ask(p, &a, q->client, q->env);
		x->pending = q;
		memcpy(q->id, x->id, sizeof q->id);
		turn_do(p, &a);
	}
}
