#pragma once
/* What submit --bulk and import share: chunks of lines, a few in flight, each one atomic. */
#include <stdio.h>
#include "actors/tools/bulk.h"
#include "actors/tools/progress.h"
#include "actors/tools/tool.h"

#define BULK_WINDOW 8u           /* chunks in flight */

struct chunk {
	struct bulk *bulk;
	struct arena *arena;
	Troupe__TaskSpec *tasks[BULK_CHUNK_MAX];
	uint64_t lines[BULK_CHUNK_MAX];  /* of each task */
	size_t n, bytes;
	bool flying;
	uint64_t number;             /* of the chunk: receipts are printed in this order */
	json_t *receipts;            /* not printed yet */
	uint64_t retry_at_ms;        /* refused as busy: send again then; 0 = not so */
	struct sorting *sorting;     /* import: which of its tasks are there already? NULL: not asked */
};

struct bulk {
	struct tool *t;
	struct bulk_defaults defaults;
	const char *path;
	FILE *f;
	uint64_t line, accepted, duplicate, total;
	size_t in_flight;
	uint64_t n_chunks, n_printed;
	uint64_t refused_at_ms;      /* since when the node takes nothing; 0: it does */
	bool end;                    /* of the file, or after an error */
	struct error error;          /* the first */
	struct progress progress;
	struct chunk *chunks;        /* BULK_WINDOW of them */
	char *text;                  /* getline's */
	size_t text_room;
	char *held;                  /* a line that did not fit its chunk any more */
	size_t held_len;
	bool has_held;
	struct import *import;       /* NULL: a submit */
};

/* Reads path ("-": stdin) to its end and submits it. An exit status where it did not come to that; else 0, and b->error says how it went. */
int bulk_run(struct bulk *b, const char *path);
void bulk_fail(struct bulk *b, const struct error *e);   /* the reading ends */
void chunk_send(struct chunk *c);
void chunk_done(struct chunk *c);                        /* nothing is left of one in flight */

/* --- import.c --- */
/* A line was read. false: it is left out (counted), or the reading ends (bulk_fail). */
bool import_wants(struct bulk *b, const Troupe__TaskSpec *task);
/* A chunk was refused. true: import deals with it, and sends what is left again; the chunk stays in flight. e is as the node said it: index counts the tasks from 1. */
bool import_refused(struct chunk *c, const struct error *e);
bool import_ask(struct chunk *c);       /* asks what can be asked now; true while it must be called again */
uint64_t import_settled(const struct bulk *b); /* lines that are dealt with otherwise than by an answer to a submit */
