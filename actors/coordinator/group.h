#pragma once
/* Pools, and groups of workers in them: who is free, and for what. */
#include "actors/coordinator/ledger.h"
#include "actors/coordinator/requirement.h"

struct coordinator;
struct stream;
struct worker;

/* A pool of workers, for the resources that they share. */
struct pool { char name[64]; struct resource *has; size_t n_has; uint64_t used[RESOURCES_MAX]; struct pool *next; };

/* Workers that may take the same: of one pool, with the same queues and tags. Of their streams the best gives to the next free worker. */
struct group {
	struct pool *pool;
	char **queues, **tags;
	size_t n_queues, n_tags;
	uint32_t shape;
	struct stream **streams;        /* that it serves, as of .shape */
	size_t n_streams, room_streams;
	struct worker *open, **open_tail; /* with a free slot, the longest idle one first */
	struct worker *more, **more_tail; /* none, but they may hold more */
	size_t n_workers;
	struct group *next;
};

struct pool *pool_of(struct coordinator *c, const char *name);        /* made where missing; NULL without memory */
bool pool_can(const struct pool *p, const struct requirement *need, bool now); /* has it at all; and free now */
void pool_use(struct pool *p, const struct requirement *need, bool back);
/* The group of a worker by what its Attach says. 0 or -ENOMEM. */
int group_join(struct coordinator *c, struct worker *w, const Troupe__Attach *a);
void group_leave(struct coordinator *c, struct worker *w);
int group_streams(struct coordinator *c, struct group *g);            /* anew when there are more streams. 0 or -ENOMEM */
bool group_serves(const struct group *g, const char *queue);
bool group_has_tags(const struct group *g, const struct requirement *need);
void worker_place(struct worker *w);                                  /* after anything about it has changed */
void worker_behind(struct worker *w);                                 /* the same, and behind the others of its list */
void groups_free(struct coordinator *c);
