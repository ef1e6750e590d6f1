#pragma once
/* A submit while it is looked at: its tasks, and how they hang together (submit.c, graph.c). */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;
struct stream;

/* One task, until all of its bulk are accepted. */
struct item {
	const Troupe__TaskSpec *spec;
	Troupe__TaskRecord *rec;
	struct queue *queue;
	struct stream *stream;
	struct id id;
	uint64_t seq, due_ms, at_wall_ms;
	uint64_t nth, bytes;             /* of those that come to its queue, with those before it */
	uint32_t blocked;
	bool existing, has_children, replaces;
	struct id replaced;              /* a task that gives way: unique_mode REPLACE */
};
struct named { struct id id; uint32_t index; };
struct bulk {
	struct coordinator *c;
	struct turn *t;
	const char *submitter;
	uint64_t peer;
	bool notify;
	const Troupe__BatchSpec *batch;  /* NULL: none */
	Troupe__BatchRecord *batch_rec;
	Troupe__TaskSpec **specs;
	struct item *items;
	size_t n;
	uint64_t next_seq;
	struct named *names;             /* of a graph: its tasks by id; NULL: no edges inside, and no batch */
	size_t n_names;
	bool *parents, *there;           /* by index: another task of the bulk waits for it; it was accepted before */
	struct error e;
};

/* graph.c: edges and batches of a submit. 0, a positive code with b->e filled, negative. */
int graph_begin(struct bulk *b, Troupe__TaskSpec **tasks, size_t n); /* who is whose parent; no cycles */
int graph_item(struct bulk *b, struct item *i);                      /* its edges; how many are not met */
int graph_end(struct bulk *b);                                       /* the rows of the batch */
