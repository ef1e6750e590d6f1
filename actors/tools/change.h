#pragma once
/* What changes many tasks: cancel, retry, purge, alter. Named tasks go in requests of a thousand; a filter is asked about again until no slice is left. What destroys, and
 * what a filter selects, is counted and confirmed first. */
#include "actors/tools/tool.h"

enum change { CHANGE_CANCEL, CHANGE_RETRY, CHANGE_PURGE, CHANGE_ALTER };
struct change_plan {
	enum change what;
	const char *question, *done;   /* "Cancel", "cancelled" */
	bool destroys;
	const Troupe__Alter *alter;    /* of CHANGE_ALTER: priority, queue or content */
	const Troupe__Rate *rate;      /* of CHANGE_RETRY; NULL: all at once */
};
/* The tasks of f, or those that the words name where it holds no option. An exit status. */
int change_tasks(struct tool *t, const struct change_plan *plan, const struct filter *f);
/* Those of f, whatever the words are. */
int change_selected(struct tool *t, const struct change_plan *plan, const struct filter *f);
/* One task, without a question. */
int change_one(struct tool *t, const struct change_plan *plan, const struct ref *ref);
/* --rate into m and plan; 0 or an exit status. */
int change_rate(struct tool *t, struct change_plan *plan, Troupe__Rate *m);
