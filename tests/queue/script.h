#pragma once
/* A scenario's file: its lines, played and compared, or written anew with what was seen. */
#include <stdbool.h>
#include <stddef.h>

/* The rows of features, promises and faults that a file may name. */
struct row { const char *name, *what; };
extern const struct row script_rows[];

struct script_head { char title[256], rows[256]; };
void script_head(const char *path, struct script_head *ret);

/* Plays a file in all three ways, says every difference, and leaves with 0 (as written), 1 (not) or 2 (nonsense). write: the first way only, and the file is written
 * again with the traces that were seen. In a process of its own. */
int script_play(const char *path, bool verbose, bool write);
