#pragma once
/* What the files of the configuration share. config.c reads the node's own keys and the whole; config_policy.c queues, limits and roles; config_tree.c the sections of the
 * tree; config_use.c is what follows from it; config_text.c is libconfuse. Readers complain by text_complain and go on, so that one run names every problem. */
#include "common/wire/policy.h"
#include "supervisor/config.h"
#include "supervisor/config_text.h"

#define DAY_MS (24ull * 3600 * 1000)
#define MIB (1024ull * 1024)
#define CONFIG_NODES_MAX 4096

/* Remembers for -T a value that is in effect; prefix stands before the key. */
void source_note(struct config *c, struct text *t, cfg_t *s, const char *prefix, const char *key, const char *value);

Troupe__QueuePolicy *read_queue(struct config *c, struct text *t, cfg_t *s); /* NULL after a complaint */
#define POOL_RESOURCES_MAX 8u
Troupe__Resource **read_resources(struct text *t, cfg_t *s, size_t *ret_n); /* of a pool; for resources_free */
void resources_free(Troupe__Resource **all, size_t n);
void read_limits(struct config *c, struct text *t);
void read_role(struct config *c, struct text *t, cfg_t *s);
void roles_finish(struct config *c);                     /* the defaults where nothing was said */

struct config_node *node_new(struct config_node *above, enum config_kind kind, const char *name, unsigned line); /* appended to above, the template of a dynamic one; NULL without memory */
uint64_t launch_fingerprint(const struct config_node *n); /* of a process: what makes it stale when it changes */
void node_append(struct config_node *above, struct config_node *n);
void read_section(struct config *c, struct text *t, cfg_t *s, struct config_node *above); /* an actor or a child */
void node_free(struct config_node *n);                   /* with all below it; NULL accepted */
void read_supervisor(struct config *c, struct text *t, cfg_t *s, struct config_node *n); /* and its children */
