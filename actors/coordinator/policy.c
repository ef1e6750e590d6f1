/* The policy of a queue: the configuration's, or the standard one, with what was set at run time on top, value by value (common/wire/policy.h has the values). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/queue.h"
#include "common/wire/policy.h"

static const Troupe__QueuePolicy *base_of(const struct coordinator *c, const struct queue *q)
{
	return q && q->configured ? q->configured : c->setup->defaults;
}

/* base with those values of from that are named. NULL without memory. A name of a later version is left out. */
static Troupe__QueuePolicy *overlay(const Troupe__QueuePolicy *base, const Troupe__QueuePolicy *from, char *const *names, size_t n)
{
	Troupe__QueuePolicy *p = policy_copy(base);
	for (size_t i = 0; p && i < n; i++)
		if (policy_take(p, from, names[i], NULL) < 0) {
			policy_free(p);
			return NULL;
		}
	return p;
}

void queue_policy_use(struct coordinator *c, struct queue *q)
{
	Troupe__QueuePolicy *own = q->r.n_changed ? overlay(base_of(c, q), q->r.policy, q->r.changed, q->r.n_changed) : NULL;
	policy_free(q->own);
	q->own = own;
	q->policy = own ? own : base_of(c, q);
}

void queue_policy_free(struct queue *q)
{
	policy_free(q->r.policy);
	for (size_t i = 0; i < q->r.n_changed; i++)
		free(q->r.changed[i]);
	free(q->r.changed);
	q->r.policy = NULL;
	q->r.changed = NULL;
	q->r.n_changed = 0;
}

int queue_policy_keep(struct queue *q, const Troupe__QueuePolicy *p, char *const *names, size_t n)
{
	Troupe__QueuePolicy *copy = policy_copy(p);
	char **changed = calloc(n + 1, sizeof *changed);
	size_t kept = 0;
	while (changed && kept < n && (changed[kept] = strdup(names[kept])))
		kept++;
	if (!copy || !changed || kept < n) {
		while (kept)
			free(changed[--kept]);
		free(changed);
		policy_free(copy);
		return -ENOMEM;
	}
	queue_policy_free(q);
	q->r.policy = copy;
	q->r.changed = changed;
	q->r.n_changed = n;
	return 0;
}

/* What was set before, and what is set now, in the order of all keys. */
static int merge(const struct queue *q, const Troupe__QueueOrder *o, Troupe__QueuePolicy **ret, char **names, size_t *ret_n, struct error *e)
{
	Troupe__QueuePolicy *p = q && q->r.policy ? policy_copy(q->r.policy) : policy_new("");
	int r = p ? 0 : -ENOMEM;
	*ret_n = 0;
	for (size_t i = 0; i < o->n_fields && !r; i++)
		r = policy_take(p, o->policy, o->fields[i], e);
	for (size_t i = 0; policy_keys[i] && !r; i++) {
		bool named = false;
		for (size_t k = 0; q && k < q->r.n_changed; k++)
			named |= strcmp(q->r.changed[k], policy_keys[i]) == 0;
		for (size_t k = 0; k < o->n_fields; k++)
			named |= strcmp(o->fields[k], policy_keys[i]) == 0;
		if (named)
			names[(*ret_n)++] = (char *)policy_keys[i];
	}
	if (r)
		policy_free(p);
	else
		*ret = p;
	return r;
}

static size_t n_keys(void)
{
	size_t n = 0;
	while (policy_keys[n])
		n++;
	return n;
}

int queue_policy_check(struct turn *t, const struct coordinator *c, const struct queue *q, const Troupe__QueueOrder *o, struct error *e)
{
	char **names = arena_alloc(turn_arena(t), (n_keys() + 1) * sizeof *names);
	Troupe__QueuePolicy *merged, *whole;
	size_t n;
	if (o->n_fields && !o->policy)
		return error_set(e, ERROR_BAD_REQUEST, "fields are named, and there is no policy");
	if (!o->n_fields)
		return 0;
	int r = names ? merge(q, o, &merged, names, &n, e) : -ENOMEM;
	if (r)
		return r;
	whole = overlay(base_of(c, q), merged, names, n);
	r = whole ? policy_check(whole, NULL, e) : -ENOMEM;
	policy_free(whole);
	policy_free(merged);
	return r;
}

int queue_policy_set(struct turn *t, struct coordinator *c, struct queue *q, const Troupe__QueueOrder *o)
{
	char **names = arena_alloc(turn_arena(t), (n_keys() + 1) * sizeof *names);
	Troupe__QueuePolicy *merged;
	size_t n;
	int r = 0;
	q->changed = true;
	if (!o->n_fields) {
		queue_policy_free(q);
	} else {
		r = names ? merge(q, o, &merged, names, &n, NULL) : -ENOMEM;
		if (!r) {
			r = queue_policy_keep(q, merged, names, n);
			policy_free(merged);
		}
	}
	if (!r)
		queue_policy_use(c, q);
	return r > 0 ? -EIO : r;
}
