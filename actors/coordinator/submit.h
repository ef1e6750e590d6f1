#pragma once
/* Tasks come in. */
#include "actors/coordinator/ledger.h"

#define BULK_MAX 4096u /* tasks of one submit */

struct coordinator;

/* One task of the node's own; an id is made where it has none. spec must live as long as the turn. 0, a positive code with e filled, negative. */
int submit_task(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, struct id *ret_id, struct error *e);
