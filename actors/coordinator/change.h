#pragma once
/* A change of many tasks: of those that are named, or of all that a filter fits, a slice a call. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct lease;

struct change {
	struct coordinator *c;
	struct turn *t;
	const struct message *m;
	bool dry_run, force;
	/* Positive: refused, e says why, and nothing has changed. */
	int (*act)(struct change *x, const struct id *id, Troupe__TaskRecord *rec, Troupe__StateRecord *st, struct lease *l, struct error *e);
	const void *user;               /* of act */
	const Troupe__Rate *rate;       /* of a retry that is spread; NULL: at once */
	uint64_t spread_at;
	Troupe__Changed out;
	size_t done;
};
/* Does it and answers. */
int change_run(struct change *x, Troupe__TaskRef **refs, size_t n, const Troupe__Filter *f, const ProtobufCBinaryData *cursor);
