/* Groups of workers that may take the same, and pools with their resources. A group knows its free workers by lists, so that the next one is found without looking at the
 * others, however many there are. */
#include "actors/coordinator/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/grow.h"
#include "actors/coordinator/queue.h"
#include "actors/coordinator/requirement.h"
#include "actors/coordinator/sched.h"
#include "actors/coordinator/stream.h"

#define WORKER_BYTES_MAX (1024u * 1024) /* of payloads that one worker holds beyond its first */

/* --- pools --- */

struct pool *pool_of(struct coordinator *c, const char *name)
{
	for (struct pool *p = c->pools; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	struct pool *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	snprintf(p->name, sizeof p->name, "%s", name);
	p->next = c->pools;
	c->pools = p;
	return p;
}

static size_t resource_at(const struct pool *p, const char *name)
{
	size_t i = 0;
	while (i < p->n_has && strcmp(p->has[i].name, name) != 0)
		i++;
	return i;
}

bool pool_can(const struct pool *p, const struct requirement *need, bool now)
{
	for (size_t i = 0; i < need->n_resources; i++) {
		size_t at = resource_at(p, need->resources[i].name);
		if (at == p->n_has || p->has[at].amount < need->resources[i].amount)
			return false;
		if (now && (p->used[at] > p->has[at].amount || p->has[at].amount - p->used[at] < need->resources[i].amount))
			return false;
	}
	return true;
}

void pool_use(struct pool *p, const struct requirement *need, bool back)
{
	for (size_t i = 0; i < need->n_resources; i++) {
		size_t at = resource_at(p, need->resources[i].name);
		uint64_t amount = need->resources[i].amount;
		if (at == p->n_has)
			continue;
		if (!back)
			p->used[at] += amount;
		else
			p->used[at] -= amount < p->used[at] ? amount : p->used[at];
	}
}

static bool has_same(const struct pool *p, Troupe__Resource *const *has, size_t n)
{
	bool same = p->n_has == n;
	for (size_t i = 0; i < n && same; i++)
		same = p->has[i].amount == has[i]->amount && strcmp(p->has[i].name, has[i]->name) == 0;
	return same;
}

static int has_copy(struct pool *p, Troupe__Resource *const *has, size_t n)
{
	for (size_t i = 0; i < p->n_has; i++)
		free(p->has[i].name);
	free(p->has);
	p->n_has = 0;
	if (!(p->has = calloc(n + 1, sizeof *p->has)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!(p->has[i].name = strdup(has[i]->name)))
			return -ENOMEM;
		p->has[p->n_has++].amount = has[i]->amount;
	}
	return 0;
}

/* What its workers hold is counted anew. */
static int pool_set(struct coordinator *c, struct pool *p, Troupe__Resource *const *has, size_t n)
{
	if (n > RESOURCES_MAX)
		n = RESOURCES_MAX;
	if (has_same(p, has, n))
		return 0;
	int r = has_copy(p, has, n);
	memset(p->used, 0, sizeof p->used);
	for (const struct worker *w = c->workers; w; w = w->next)
		for (const struct lease *l = w->pool == p ? w->leases : NULL; l; l = l->next)
			pool_use(p, c->requirements[l->requirement], false);
	return r;
}

/* --- groups --- */

static bool same_texts(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	bool same = n_a == n_b;
	for (size_t i = 0; i < n_a && same; i++)
		same = strcmp(a[i], b[i]) == 0;
	return same;
}

static int texts_copy(char ***ret, size_t *ret_n, char *const *from, size_t n)
{
	if (n && !(*ret = calloc(n, sizeof(char *))))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!((*ret)[(*ret_n)++] = strdup(from[i])))
			return -ENOMEM;
	return 0;
}

static void group_free(struct coordinator *c, struct group *g)
{
	for (struct group **at = &c->groups; *at; at = &(*at)->next)
		if (*at == g) {
			*at = g->next;
			break;
		}
	for (size_t i = 0; i < g->n_queues; i++)
		free(g->queues[i]);
	for (size_t i = 0; i < g->n_tags; i++)
		free(g->tags[i]);
	free(g->queues);
	free(g->tags);
	free(g->streams);
	free(g);
}

static struct group *group_new(struct coordinator *c, struct pool *p, const Troupe__Attach *a)
{
	struct group *g = calloc(1, sizeof *g), **at = &c->groups;
	if (!g)
		return NULL;
	g->pool = p;
	g->open_tail = &g->open;
	g->more_tail = &g->more;
	while (*at) /* the oldest first */
		at = &(*at)->next;
	*at = g;
	if (texts_copy(&g->queues, &g->n_queues, a->queues, a->n_queues) == 0 && texts_copy(&g->tags, &g->n_tags, a->tags, a->n_tags) == 0)
		return g;
	group_free(c, g);
	return NULL;
}

static void unlist(struct worker *w)
{
	struct group *g = w->group;
	if (w->place == WORKER_NOWHERE)
		return;
	*w->listed_at = w->listed_next;
	if (w->listed_next)
		w->listed_next->listed_at = w->listed_at;
	else if (w->place == WORKER_OPEN)
		g->open_tail = w->listed_at;
	else
		g->more_tail = w->listed_at;
	w->place = WORKER_NOWHERE;
}

void worker_place(struct worker *w)
{
	struct group *g = w->group;
	int place = WORKER_NOWHERE;
	if (!g)
		return;
	if (worker_may_work(w) && w->held < w->slots)
		place = WORKER_OPEN;
	else if (worker_may_work(w) && w->held < sched_capacity(w->slots, w->average_us) && w->bytes < WORKER_BYTES_MAX)
		place = WORKER_MORE;
	if (place == (int)w->place)
		return;
	unlist(w);
	if (place == WORKER_NOWHERE)
		return;
	struct worker ***tail = place == WORKER_OPEN ? &g->open_tail : &g->more_tail;
	w->listed_next = NULL;
	w->listed_at = *tail;
	**tail = w;
	*tail = &w->listed_next;
	w->place = place;
}

void worker_behind(struct worker *w)
{
	unlist(w);
	worker_place(w);
}

void group_leave(struct coordinator *c, struct worker *w)
{
	struct group *g = w->group;
	if (!g)
		return;
	unlist(w);
	w->group = NULL;
	if (!--g->n_workers)
		group_free(c, g);
}

int group_join(struct coordinator *c, struct worker *w, const Troupe__Attach *a)
{
	struct pool *p = pool_of(c, a->pool);
	if (!p)
		return -ENOMEM;
	for (const struct lease *l = p != w->pool ? w->leases : NULL; l; l = l->next) {
		if (w->pool)
			pool_use(w->pool, c->requirements[l->requirement], true);
		pool_use(p, c->requirements[l->requirement], false);
	}
	w->pool = p;
	if (pool_set(c, p, a->resources, a->n_resources))
		return -ENOMEM;
	struct group *g = c->groups;
	while (g && (g->pool != p || !same_texts(g->queues, g->n_queues, a->queues, a->n_queues) || !same_texts(g->tags, g->n_tags, a->tags, a->n_tags)))
		g = g->next;
	if (!g && !(g = group_new(c, p, a)))
		return -ENOMEM;
	if (g != w->group) {
		g->n_workers++;
		group_leave(c, w);
		w->group = g;
	}
	worker_place(w);
	return 0;
}

bool group_serves(const struct group *g, const char *queue)
{
	for (size_t i = 0; i < g->n_queues; i++)
		if (strcmp(g->queues[i], queue) == 0)
			return true;
	return false;
}

bool group_has_tags(const struct group *g, const struct requirement *need)
{
	for (size_t i = 0; i < need->n_tags; i++) {
		bool has = false;
		for (size_t k = 0; k < g->n_tags && !has; k++)
			has = strcmp(g->tags[k], need->tags[i]) == 0;
		if (!has)
			return false;
	}
	return true;
}

int group_streams(struct coordinator *c, struct group *g)
{
	if (g->shape == c->shape)
		return 0;
	g->n_streams = 0;
	for (size_t i = 0; i < g->n_queues; i++) {
		struct queue *q = queue_find(c, g->queues[i]);
		for (size_t k = 0; q && k < q->n_streams; k++) {
			struct stream *s = q->streams[k];
			if (!s || !group_has_tags(g, s->requirement))
				continue;
			if (!GROW(g->streams, g->room_streams, g->n_streams + 1))
				return -ENOMEM;
			g->streams[g->n_streams++] = s;
		}
	}
	g->shape = c->shape;
	return 0;
}

void groups_free(struct coordinator *c)
{
	while (c->groups)
		group_free(c, c->groups);
	while (c->pools) {
		struct pool *p = c->pools;
		c->pools = p->next;
		for (size_t i = 0; i < p->n_has; i++)
			free(p->has[i].name);
		free(p->has);
		free(p);
	}
}
