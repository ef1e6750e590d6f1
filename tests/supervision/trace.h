#pragma once
/* What happened, in the words of a scenario (scenario.h): the same for both drivers. */
#include <stdbool.h>
#include <stddef.h>
#include "supervisor/tree.h"

#define TRACE_BYTES (1 << 20)
struct trace { bool facts, wires; size_t len; char text[TRACE_BYTES]; };
struct of { const char *name, *above; bool is_sup; };   /* whom an action is about */

void trace_clear(struct trace *s);
void trace_say(struct trace *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void trace_action(struct trace *s, const struct action *a, const struct of *of); /* nothing, for what a scenario does not name */
void trace_listed(struct trace *s, const char *name, enum child_state state, bool due_later); /* of list: due_later, it waits for a time, not for its turn */
