#pragma once
/* What tree_text.c (writing) and tree_replay.c (reading) share. */
#include <stdio.h>
#include "supervisor/tree.h"

enum field_type { FIELD_BOOL, FIELD_U8, FIELD_U32, FIELD_I32, FIELD_U64, FIELD_TEXT };   /* enums are U32 */
struct field { const char *key; enum field_type type; size_t at; };                      /* the last has no key */

/* One record's line, but for its specification and state. */
struct record_line { const char *name, *windows[3]; uint32_t depth; bool is_sup; };

enum { FIELDS_SPEC, FIELDS_SUP, FIELDS_STATE, FIELDS_RECORD, FIELDS_TREE, FIELDS_ORDER, FIELDS_EVENT, FIELDS_ACTION, FIELDS_N };
extern const struct field *const tree_field_sets[FIELDS_N];

#define EVENT_N (EVENT_SHUTDOWN + 1)
#define ACTION_N (ACTION_FREE + 1)
extern const char *const event_names[EVENT_N];
extern const char *const action_names[ACTION_N];

void fields_put(FILE *out, const void *base, const struct field *fields);
/* "key=value key=value": each into the struct that knows it; texts stay where they are, unescaped. false: an unknown key, or a value that is none. words is cut up. */
struct fields_of { const struct field *fields; void *base; };
bool fields_take(char *words, const struct fields_of *sets, size_t n_sets);
