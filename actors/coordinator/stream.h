#pragma once
/* Streams: the tasks of one queue that need the same, in order, as far as they can be given to a worker. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;
struct requirement;

/* One that may be given now. spec NULL: read it from the task table. */
struct candidate {
	struct id id;
	uint64_t seq;
	uint32_t rank;                  /* its place: the priority, in a queue with ageing later for who came later */
	bool stored;                    /* has a ready row */
	bool first;                     /* no state row */
	const Troupe__TaskSpec *spec;   /* of this turn's submit */
	const Troupe__TaskRecord *rec;  /* the same; NULL: read it */
};
struct candidates { struct candidate *all; size_t n, room, next; bool unsorted; };

/* The tasks of one queue that need the same, in order. The window outlives turns: whoever changes a row of the ready index that lies in it says stream_touch. */
struct stream {
	struct queue *queue;
	const struct requirement *requirement;
	bool stored_any;                /* the ready index may have rows behind the window */
	struct candidates stored;       /* a window of the ready index */
	struct candidates fresh;        /* accepted, or due, in this turn: no row yet */
	bool listed;                    /* in coordinator.busy */
	uint32_t cursor_rank;           /* where the window ends */
	uint64_t cursor_seq;
	uint64_t served;                /* turns that it had in a fair queue */
};

struct stream *stream_of(struct coordinator *c, struct queue *q, uint32_t requirement); /* made where missing; NULL without memory */
int streams_load(struct coordinator *c, struct store_txn *view);      /* those that the ready index has rows of */
int stream_head(struct turn *t, struct coordinator *c, struct stream *s, struct candidate **ret); /* the best, or NULL. 0 or negative */
void stream_take(struct stream *s, const struct candidate *one);
void stream_touch(struct stream *s, uint32_t rank, uint64_t seq);     /* a row of the ready index came or went otherwise than by give */
int fresh_add(struct coordinator *c, struct stream *s, const struct candidate *what); /* 0 or -ENOMEM */
struct candidate *fresh_find(const struct stream *s, const struct id *id); /* NULL: not of this turn */
bool fresh_drop(struct stream *s, const struct id *id);
int fresh_store(struct turn *t, struct coordinator *c);               /* at the turn's end: ready rows for what nobody took */
