#pragma once
/* What a worker must have to run a task: tags, amounts of resources, a submitter. Interned: tasks and rows name it by its number. */
#include "actors/coordinator/ledger.h"

#define REQUIREMENTS_MAX 1000u
#define RESOURCES_MAX 8u
#define TAG_BYTES_MAX 64u

struct coordinator;

struct resource { char *name; uint64_t amount; };
struct requirement { uint32_t number; char **tags; size_t n_tags; struct resource *resources; size_t n_resources; char *submitter; };

int requirements_load(struct coordinator *c, struct store_txn *view);    /* 0, ERROR_CORRUPT, negative */
void requirements_free(struct coordinator *c);
/* The number of what a task needs; submitter: whose tasks take turns with those of others, NULL: nobody's. 0, ERROR_TOO_LARGE (there are REQUIREMENTS_MAX already), -ENOMEM. */
int requirement_of(struct turn *t, struct coordinator *c, const Troupe__TaskSpec *spec, const char *submitter, uint32_t *ret);
int requirements_settle(struct turn *t, struct coordinator *c);          /* rows of new ones */
