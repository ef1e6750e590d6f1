/* The graph in a submit: its edges are known before the first row is said, so that the order of its tasks does not matter, and a cycle is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/batch.h"
#include "actors/coordinator/bulk.h"
#include "actors/coordinator/edge.h"
#include "actors/coordinator/move.h"
#include "actors/coordinator/sched.h"

#define BATCH_NAME_MAX 200u
static int by_id(const void *a, const void *b)
{
	return id_cmp(&((const struct named *)a)->id, &((const struct named *)b)->id);
}

static const struct named *find(const struct bulk *b, const uint8_t *id)
{
	struct named key = { .index = 0 };
	memcpy(key.id.b, id, sizeof key.id.b);
	return b->names ? bsearch(&key, b->names, b->n_names, sizeof key, by_id) : NULL;
}

/* Takes away, again and again, what waits for nothing that is left. */
static int check_cycles(struct bulk *b, Troupe__TaskSpec **tasks, size_t n)
{
	struct arena *a = turn_arena(b->t);
	uint32_t *left = arena_zalloc(a, n * sizeof *left), *first = arena_alloc(a, n * sizeof *first), *order = arena_alloc(a, n * sizeof *order);
	size_t n_edges = 0, n_order = 0;
	for (size_t i = 0; i < n; i++)
		n_edges += tasks[i]->n_depends_on;
	struct { uint32_t child, next; } *edges = arena_alloc(a, (n_edges + 1) * sizeof *edges);
	if (!left || !first || !order || !edges)
		return -ENOMEM;
	memset(first, 0xff, n * sizeof *first);
	n_edges = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < tasks[i]->n_depends_on; k++) {
			const struct named *p = find(b, tasks[i]->depends_on[k]->id.data);
			if (!p)
				continue;
			left[i]++;
			edges[n_edges].child = (uint32_t)i;
			edges[n_edges].next = first[p->index];
			first[p->index] = (uint32_t)n_edges++;
		}
	for (size_t i = 0; i < n; i++)
		if (!left[i])
			order[n_order++] = (uint32_t)i;
	for (size_t at = 0; at < n_order; at++)
		for (uint32_t e = first[order[at]]; e != UINT32_MAX; e = edges[e].next)
			if (--left[edges[e].child] == 0)
				order[n_order++] = edges[e].child;
	if (n_order == n)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (left[i]) {
			b->e.index = (uint32_t)i + 1;
			break;
		}
	return error_refuse(&b->e, ERROR_BAD_REQUEST, "take one of its edges away", "tasks wait for each other in a circle");
}

static int check_batch(struct bulk *b)
{
	const Troupe__BatchSpec *s = b->batch;
	if (s->id.len != sizeof(struct id))
		return error_refuse(&b->e, ERROR_BAD_REQUEST, "make a time-ordered id of 16 bytes", "a batch's id has 16 bytes, this one %zu", s->id.len);
	if (strlen(s->name) > BATCH_NAME_MAX)
		return error_refuse(&b->e, ERROR_TOO_LARGE, "", "a batch's name has at most %u bytes", BATCH_NAME_MAX);
	if (s->on_failure > TROUPE__BATCH_SPEC__ON_FAILURE__CONTINUE)
		return error_refuse(&b->e, ERROR_BAD_REQUEST, "", "a failure policy that there is not");
	return batch_begin(b->t, b->c, s, b->submitter, &b->batch_rec);
}

int graph_begin(struct bulk *b, Troupe__TaskSpec **tasks, size_t n)
{
	bool edges = b->batch != NULL;
	b->specs = tasks;
	for (size_t i = 0; i < n; i++) {
		edges |= tasks[i]->n_depends_on > 0;
		b->e.index = (uint32_t)i + 1;
		if (!b->batch && tasks[i]->role != TROUPE__BATCH_ROLE__MEMBER)
			return error_refuse(&b->e, ERROR_BAD_REQUEST, "submit it with its batch", "a callback or compensation belongs to a batch");
		for (size_t k = 0; k < tasks[i]->n_depends_on; k++)
			if (tasks[i]->depends_on[k]->id.len != sizeof(struct id))
				return error_refuse(&b->e, ERROR_BAD_REQUEST, "", "the id of a task to wait for has 16 bytes");
	}
	b->e.index = 0;
	if (!edges)
		return 0;
	int r = b->batch ? check_batch(b) : 0;
	if (r)
		return r;
	b->names = arena_alloc(turn_arena(b->t), n * sizeof *b->names);
	b->parents = arena_zalloc(turn_arena(b->t), n * sizeof *b->parents);
	b->there = arena_zalloc(turn_arena(b->t), n * sizeof *b->there);
	if (!b->names || !b->parents || !b->there)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (tasks[i]->id.len == sizeof(struct id)) {
			struct slice value;
			int code = turn_get(b->t, T_TASK, SLICE(tasks[i]->id.data, tasks[i]->id.len), &value);
			if (code < 0)
				return code;
			b->there[i] = code != ERROR_NOT_FOUND;
			memcpy(b->names[b->n_names].id.b, tasks[i]->id.data, sizeof(struct id));
			b->names[b->n_names++].index = (uint32_t)i;
		}
	qsort(b->names, b->n_names, sizeof *b->names, by_id);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < tasks[i]->n_depends_on; k++) {
			const struct named *p = find(b, tasks[i]->depends_on[k]->id.data);
			if (p)
				b->parents[p->index] = true;
		}
	return check_cycles(b, tasks, n);
}

/* --- one task --- */

static int outer_edge(struct bulk *b, struct item *i, const Troupe__Edge *e, const struct id *parent)
{
	Troupe__TaskRecord *rec;
	Troupe__StateRecord *st;
	struct lease *l;
	char text[ID_TEXT];
	id_format(parent, text);
	int r = task_read(b->t, b->c, parent, &rec, &st, &l);
	if (r == ERROR_NOT_FOUND)
		return error_refuse(&b->e, ERROR_NO_TASK, "submit it first, or with this one", "it waits for %s, which is not there", text);
	if (r)
		return r < 0 ? r : error_refuse(&b->e, ERROR_CORRUPT, "troupe check-store", "it waits for %s, whose record is damaged", text);
	Troupe__TaskState state = task_state(st, l);
	if (!sched_is_final(state)) {
		i->blocked++;
		r = edge_mark(b->t, b->c, parent, st, l, rec);
	} else if (edge_met(e->on, state)) {
		return 0;
	} else if (state == TROUPE__TASK_STATE__DEAD && i->spec->hold_on_failure) {
		i->blocked++;
		r = edge_mark(b->t, b->c, parent, st, l, rec);
	} else {
		return error_refuse(&b->e, ERROR_STATE, "leave the edge out, or let it wait for any end", "it waits for #%llu, which has ended otherwise", (unsigned long long)rec->seq);
	}
	return r ? r : edge_put(b->t, parent, &i->id, e->on);
}

static int check_compensation(struct bulk *b, const Troupe__TaskSpec *s)
{
	const struct named *target = s->compensates.len == sizeof(struct id) ? find(b, s->compensates.data) : NULL;
	if (s->role != TROUPE__BATCH_ROLE__COMPENSATION)
		return s->compensates.len ? error_refuse(&b->e, ERROR_BAD_REQUEST, "give it the role of a compensation", "only a compensation says what it undoes") : 0;
	if (!target)
		return error_refuse(&b->e, ERROR_BAD_REQUEST, "name a task of the same batch", "a compensation must say which task of its batch it undoes");
	return 0;
}

int graph_item(struct bulk *b, struct item *i)
{
	const Troupe__TaskSpec *s = i->spec;
	int r = check_compensation(b, s);
	for (size_t k = 0; k < s->n_depends_on && !r; k++) {
		const Troupe__Edge *e = s->depends_on[k];
		struct id parent;
		memcpy(parent.b, e->id.data, sizeof parent.b);
		if (e->on > TROUPE__EDGE_ON__ON_FAILURE)
			return error_refuse(&b->e, ERROR_BAD_REQUEST, "", "an edge waits for success, failure or any end");
		const struct named *p = find(b, parent.b);
		if (!p || b->there[p->index]) {
			r = outer_edge(b, i, e, &parent);
			continue;
		}
		bool called = b->specs[p->index]->role != TROUPE__BATCH_ROLE__MEMBER;
		if (called && (s->role == TROUPE__BATCH_ROLE__MEMBER || s->role == TROUPE__BATCH_ROLE__COMPENSATION))
			return error_refuse(&b->e, ERROR_BAD_REQUEST, "only callbacks wait for callbacks", "it waits for what is called when it has ended itself");
		i->blocked++;
		r = edge_put(b->t, &parent, &i->id, e->on);
	}
	if (b->batch && s->role != TROUPE__BATCH_ROLE__MEMBER)
		i->blocked++; /* its call */
	return r;
}

/* --- the batch --- */

int graph_end(struct bulk *b)
{
	size_t existing = 0;
	if (!b->batch)
		return 0;
	for (size_t i = 0; i < b->n; i++)
		existing += b->items[i].existing;
	b->e.index = 0;
	if (existing == b->n)
		return 0; /* sent again */
	struct id batch;
	struct slice value;
	memcpy(batch.b, b->batch->id.data, sizeof batch.b);
	int r = turn_get(b->t, T_BATCH, id_key(&batch), &value);
	if (r != ERROR_NOT_FOUND || existing)
		return r < 0 ? r : error_refuse(&b->e, ERROR_CONFLICT, "make a new id for a new batch", existing ? "some tasks of the batch are there already" : "another batch has this id already");
	for (size_t i = 0; i < b->n; i++) {
		const struct item *x = &b->items[i];
		Troupe__MemberRecord m = TROUPE__MEMBER_RECORD__INIT;
		m.id = x->spec->id;
		m.role = x->spec->role;
		m.compensates = x->spec->compensates;
		b->batch_rec->members += m.role == TROUPE__BATCH_ROLE__MEMBER;
		b->batch_rec->compensations += m.role == TROUPE__BATCH_ROLE__COMPENSATION;
		b->batch_rec->others += m.role != TROUPE__BATCH_ROLE__MEMBER;
		if ((r = member_put(b->t, &batch, x->seq, &m)))
			return r;
	}
	if (!b->batch_rec->members)
		return error_refuse(&b->e, ERROR_BAD_REQUEST, "", "a batch has at least one member");
	return batch_put(b->t, &batch, b->batch_rec);
}
