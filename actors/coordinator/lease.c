/* The leases in memory: a table by token. Tokens are consecutive, so a mask is a perfect hash as long as few are very old. */
#include "actors/coordinator/lease.h"

#include <stdlib.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crew.h"
#include "actors/coordinator/group.h"
#include "actors/coordinator/outside.h"
#include "actors/coordinator/queue.h"

struct lease *lease_find(const struct leases *l, uint64_t token)
{
	if (!l->room)
		return NULL;
	for (struct lease *x = l->buckets[token & (l->room - 1)]; x; x = x->bucket)
		if (x->token == token)
			return x;
	return NULL;
}

static bool table_grow(struct leases *l)
{
	size_t room = l->room ? 2 * l->room : 256;
	struct lease **buckets = calloc(room, sizeof(struct lease *));
	if (!buckets)
		return false;
	for (size_t i = 0; i < l->room; i++)
		for (struct lease *x = l->buckets[i], *next; x; x = next) {
			next = x->bucket;
			x->bucket = buckets[x->token & (room - 1)];
			buckets[x->token & (room - 1)] = x;
		}
	free(l->buckets);
	l->buckets = buckets;
	l->room = room;
	return true;
}

struct lease *lease_add(struct leases *l, struct worker *w, uint64_t token, const struct id *id)
{
	if (l->n >= l->room && !table_grow(l))
		return NULL;
	struct lease *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->token = token;
	x->id = *id;
	x->worker = w;
	struct lease **bucket = &l->buckets[token & (l->room - 1)];
	x->bucket = *bucket;
	*bucket = x;
	l->n++;
	x->at = &w->leases;
	x->next = w->leases;
	if (x->next)
		x->next->at = &x->next;
	w->leases = x;
	w->held++;
	l->n_ahead += w->held == w->slots + 1;
	return x;
}

void lease_slots(struct leases *l, struct worker *w, uint32_t slots)
{
	l->n_ahead -= w->held > w->slots;
	w->slots = slots;
	l->n_ahead += w->held > w->slots;
}

void lease_free(struct coordinator *c, struct lease *x)
{
	struct leases *l = &c->leases;
	struct worker *w = x->worker;
	for (struct lease **at = &l->buckets[x->token & (l->room - 1)]; *at; at = &(*at)->bucket)
		if (*at == x) {
			*at = x->bucket;
			break;
		}
	l->n--;
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	l->n_ahead -= w->held == w->slots + 1;
	w->held--;
	w->n_started -= x->started;
	w->bytes -= x->size;
	if (w->pool)
		pool_use(w->pool, c->requirements[x->requirement], true);
	worker_place(w);
	free(x->note);
	free(x);
}

void leases_fini(struct coordinator *c)
{
	struct leases *l = &c->leases;
	for (size_t i = 0; i < l->room; i++)
		while (l->buckets[i])
			lease_free(c, l->buckets[i]);
	free(l->buckets);
	*l = (struct leases){ 0 };
}

int lease_put(struct turn *t, const struct lease *l)
{
	Troupe__LeaseRecord r = TROUPE__LEASE_RECORD__INIT;
	r.token = l->token;
	r.worker = l->worker->address;
	r.incarnation = l->worker->incarnation;
	r.run = l->run;
	r.attempt = l->attempt;
	r.leased_at_ms = l->given_at_ms;
	r.queue = l->queue->r.number;
	r.seq = l->seq;
	r.rank = l->rank;
	r.cancel = l->cancel;
	r.cause = l->cause;
	r.requirement = l->requirement;
	r.size = l->size;
	r.has_state = l->has_state;
	r.needs_record = l->needs_record;
	r.heartbeat_ms = l->worker->outside ? l->worker->outside->heartbeat_ms : 0;
	return row_put(t, T_LEASE, id_key_copy(turn_arena(t), &l->id), &r.base);
}
