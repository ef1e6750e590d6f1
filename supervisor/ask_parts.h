#pragma once
/* What the files of operators' questions share. */
#include "supervisor/node.h"

/* One question under way. */
struct ask { struct node *n; struct process *front; uint64_t ref; const Troupe__Envelope *env; uint8_t id[16]; struct arena *arena; };
void ask_refuse(const struct ask *q, const struct error *e);

/* ask_order.c */
void ask_on_order(const struct ask *q);
void ask_on_add(const struct ask *q);
