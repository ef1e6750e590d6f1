/* What tasks ask of a worker, interned: a set of tags, resources of its pool, and in a fair queue the submitter, so that each has a stream of its own. */
#include "actors/coordinator/requirement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"

/* A requirement that is asked for; sorted in place. */
struct need { char **tags; size_t n_tags; Troupe__Resource **resources; size_t n_resources; const char *submitter; };

static void requirement_free(struct requirement *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_tags; i++)
		free(r->tags[i]);
	for (size_t i = 0; i < r->n_resources; i++)
		free(r->resources[i].name);
	free(r->tags);
	free(r->resources);
	free(r->submitter);
	free(r);
}

static struct requirement *requirement_new(uint32_t number, const struct need *need)
{
	struct requirement *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->number = number;
	r->tags = calloc(need->n_tags + 1, sizeof *r->tags);
	r->resources = calloc(need->n_resources + 1, sizeof *r->resources);
	r->submitter = need->submitter && *need->submitter ? strdup(need->submitter) : NULL;
	bool ok = r->tags && r->resources && (!need->submitter || !*need->submitter || r->submitter);
	for (size_t i = 0; i < need->n_tags && ok; i++)
		ok = (r->tags[r->n_tags++] = strdup(need->tags[i]));
	for (size_t i = 0; i < need->n_resources && ok; i++) {
		struct resource *x = &r->resources[r->n_resources++];
		x->amount = need->resources[i]->amount;
		ok = (x->name = strdup(need->resources[i]->name));
	}
	if (ok)
		return r;
	requirement_free(r);
	return NULL;
}

static struct requirement *requirement_add(struct coordinator *c, uint32_t number, const struct need *need)
{
	struct requirement *r = requirement_new(number, need);
	size_t n = number >= c->n_requirements ? number + 1 : c->n_requirements;
	struct requirement **all = r ? reallocarray(c->requirements, n, sizeof(struct requirement *)) : NULL;
	if (!all) {
		requirement_free(r);
		return NULL;
	}
	c->requirements = all;
	for (; c->n_requirements < n; c->n_requirements++)
		all[c->n_requirements] = NULL;
	requirement_free(all[number]);
	all[number] = r;
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(Troupe__Resource *const *)a)->name, (*(Troupe__Resource *const *)b)->name);
}

static void need_sort(struct need *need)
{
	size_t kept = 0;
	if (need->n_tags)
		qsort(need->tags, need->n_tags, sizeof(char *), by_text);
	for (size_t i = 0; i < need->n_tags; i++)
		if (!kept || strcmp(need->tags[kept - 1], need->tags[i]) != 0)
			need->tags[kept++] = need->tags[i];
	need->n_tags = kept;
	if (need->n_resources)
		qsort(need->resources, need->n_resources, sizeof(Troupe__Resource *), by_name);
}

static bool fits(const struct requirement *r, const struct need *need)
{
	if (r->n_tags != need->n_tags || r->n_resources != need->n_resources || strcmp(r->submitter ? r->submitter : "", need->submitter ? need->submitter : "") != 0)
		return false;
	for (size_t i = 0; i < r->n_tags; i++)
		if (strcmp(r->tags[i], need->tags[i]) != 0)
			return false;
	for (size_t i = 0; i < r->n_resources; i++)
		if (r->resources[i].amount != need->resources[i]->amount || strcmp(r->resources[i].name, need->resources[i]->name) != 0)
			return false;
	return true;
}

static int number_of(struct coordinator *c, struct need *need, uint32_t *ret)
{
	need_sort(need);
	for (uint32_t i = 0; i < c->n_requirements; i++)
		if (c->requirements[i] && fits(c->requirements[i], need)) {
			*ret = i;
			return 0;
		}
	uint32_t number = c->meta.next_requirement;
	if (number >= REQUIREMENTS_MAX)
		return ERROR_TOO_LARGE;
	if (!requirement_add(c, number, need))
		return -ENOMEM;
	c->meta.next_requirement++;
	c->meta_changed = true;
	*ret = number;
	return 0;
}

int requirement_of(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, uint32_t *ret)
{
	struct arena *a = turn_arena(t);
	struct need need = { .n_tags = spec->n_tags, .n_resources = spec->n_resources, .submitter = submitter };
	if (need.n_tags && !(need.tags = arena_copy(a, spec->tags, need.n_tags * sizeof(char *))))
		return -ENOMEM;
	if (need.n_resources && !(need.resources = arena_copy(a, spec->resources, need.n_resources * sizeof(Troupe__Resource *))))
		return -ENOMEM;
	*ret = 0;
	return need.n_tags || need.n_resources || submitter ? number_of(c, &need, ret) : 0;
}

/* Not before the turn's end: the submit that brought it may have been refused, and it is there all the same. */
int requirements_settle(struct turn *t, struct coordinator *c)
{
	int r = 0;
	for (; c->n_stored_requirements < c->n_requirements && !r; c->n_stored_requirements++) {
		const struct requirement *x = c->requirements[c->n_stored_requirements];
		Troupe__RequirementRecord rec = TROUPE__REQUIREMENT_RECORD__INIT;
		if (!x || !x->number)
			continue;
		rec.number = x->number;
		rec.tags = x->tags;
		rec.n_tags = x->n_tags;
		rec.n_resources = x->n_resources;
		rec.resources = arena_alloc(turn_arena(t), (x->n_resources + 1) * sizeof(Troupe__Resource *));
		Troupe__Resource *all = arena_alloc(turn_arena(t), (x->n_resources + 1) * sizeof *all);
		if (!all || !rec.resources)
			return -ENOMEM;
		for (size_t i = 0; i < x->n_resources; i++) {
			troupe__resource__init(&all[i]);
			all[i].name = x->resources[i].name;
			all[i].amount = x->resources[i].amount;
			rec.resources[i] = &all[i];
		}
		if (x->submitter)
			rec.submitter = x->submitter;
		r = row_put(t, T_REQUIREMENT, key_u32_of(turn_arena(t), x->number), &rec.base);
	}
	return r;
}

struct loading { struct coordinator *c; struct arena *arena; int error; };

static int load(void *ctx, struct slice key, struct slice value)
{
	struct loading *l = ctx;
	Troupe__RequirementRecord *r;
	arena_reset(l->arena);
	int code = row_decode(l->arena, value, &troupe__requirement_record__descriptor, (ProtobufCMessage **)&r);
	if (!code && r->number >= REQUIREMENTS_MAX)
		code = ERROR_CORRUPT;
	if (!code) {
		struct need need = { r->tags, r->n_tags, r->resources, r->n_resources, r->submitter };
		code = requirement_add(l->c, r->number, &need) ? 0 : -ENOMEM;
	}
	l->error = code;
	return code != 0;
}

int requirements_load(struct coordinator *c, struct store_txn *view)
{
	static const uint8_t first = 0;
	static const struct need nothing;
	struct loading l = { .c = c, .arena = arena_new(1u << 20) };
	int r = l.arena && requirement_add(c, 0, &nothing) ? 0 : -ENOMEM;
	if (!r)
		r = store_scan(view, T_REQUIREMENT, SLICE(&first, 1), false, load, &l);
	arena_unref(l.arena);
	c->n_stored_requirements = c->n_requirements;
	if (l.error)
		return l.error;
	return r == ERROR_NOT_FOUND || r == 1 ? 0 : r;
}

void requirements_free(struct coordinator *c)
{
	for (size_t i = 0; i < c->n_requirements; i++)
		requirement_free(c->requirements[i]);
	free(c->requirements);
}
