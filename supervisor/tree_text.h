#pragma once
/* The tree, its events and its actions as lines of text, so that a decision can be made again elsewhere: the journal keeps them, a replay reads them.
 *
 *   tree KEY=VALUE ...      a snapshot begins: the time, the next numbers, the random numbers' state
 *   record KEY=VALUE ...    one record, depth-first in start order: its specification, state and windows
 *   waiting KEY=VALUE ...   an order that is not answered yet
 *   wanted KEY=VALUE ...    one record of the definition that the next event (a reload) brings
 *   event KEY=VALUE ...     what the tree was told
 *   does KEY=VALUE ...      what it decided: one line an action, in order
 *
 * A key whose value is 0 is left out; "never" is UINT64_MAX; in texts '%', space and control bytes are %XX. Texts of children (details) are cut to 160 bytes. */
#include <stdio.h>
#include "supervisor/tree.h"

/* One line without its newline. */
void tree_text_event(FILE *out, const struct event *e);
void tree_text_action(FILE *out, const struct action *a);
/* Many lines: each, without its newline, to line(ctx, text). -ENOMEM: some are missing. */
int tree_text_save(const struct tree *t, void (*line)(void *ctx, const char *text), void *ctx);
/* The definition in e->wanted of a reload, as "wanted" lines, before its event's. */
int tree_text_wanted(const struct event *e, void (*line)(void *ctx, const char *text), void *ctx);

/* --- replay --------------------------------------------------------------------------------------------------------------- */

struct replay;
enum replay_found {
	REPLAY_PASSED,      /* nothing to decide: a snapshot's line, another record of the journal, or an event before the first snapshot */
	REPLAY_EVENT,       /* an event; what was decided follows line by line */
	REPLAY_SAME,        /* this decision comes out the same */
	REPLAY_DIFFERENT,   /* it does not: replay_expected is what this core decides, NULL for nothing */
	REPLAY_DAMAGED,     /* the line cannot be read */
};
struct replay *replay_new(void);
struct replay *replay_free(struct replay *r);
/* The next line. At the end, and wherever a line may be the last of its event's, replay_missing tells what was not said. */
enum replay_found replay_line(struct replay *r, const char *line);
/* The decision of this core that stands where the last line was; valid until the next call. */
const char *replay_expected(const struct replay *r);
/* How many decisions of the last event have not been said. They are REPLAY_DIFFERENT too, where another event follows. */
size_t replay_missing(const struct replay *r);

/* An action's line read back, for who only wants to look. name and above are in buffer, at least as long as the line; child is NULL. */
struct action_line { struct action action; const char *name, *above; bool is_sup; };
bool action_line_read(const char *line, char *buffer, struct action_line *ret);
