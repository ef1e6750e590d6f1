#pragma once
/* The inside of struct tree, shared by the files tree*.c and by nobody else.
 *
 * How a step works. The event changes records and marks supervisors dirty; then tree_settle looks at each dirty supervisor until none is left. Looking means:
 * ask the next victim to stop, start the next child whose turn has come, or notice that the supervisor's own start or end is complete, which is an event of its
 * record in the supervisor above. So decisions depend on the records' states alone, not on which message came in between; a retry can be neither lost nor doubled. */

#include "common/base/heap.h"
#include "common/base/rng.h"
#include "supervisor/tree.h"

#define NEVER UINT64_MAX

struct tree_order {
	uint64_t ref;
	enum order order;
	bool add;
	struct child *child;
};

struct tree {
	struct child *root;
	size_t n;                          /* records, dormant ones too */
	struct child **buckets;
	size_t n_buckets;                  /* a power of two */
	struct heap timers;                /* every record, by core.timer_at_ms: no push, so no memory, after it was added */
	struct rng rng;
	uint64_t now_ms;
	uint64_t incarnation_next;
	uint32_t number_next;

	struct action *actions;
	size_t n_actions, actions_room;    /* room for all that one step can say about n records */
	struct child *removed;             /* freed at the next step */
	struct child *dirty_first, *dirty_last;
	struct tree_order orders[TREE_ORDERS_MAX];
	size_t n_orders;

	bool booted, up, stopping, ended;
	int exit_code;
};

/* tree.c: the step */
struct action *tree_emit(struct tree *t, enum action_kind kind, struct child *c);
struct action *tree_fact(struct tree *t, enum fact_kind fact, struct child *c);
void tree_dirty(struct tree *t, struct child *sup);         /* accepts NULL */
void tree_timer(struct tree *t, struct child *c);           /* after any of its times or its state changed */
bool tree_runs(const struct child *sup);                    /* starting or up: its children may start */

/* tree_record.c */
int tree_actions_reserve(struct tree *t, size_t n_more);    /* 0 or -ENOMEM; only before the first action of a step */
/* tree_add without its checks, which its caller has made. 0 or -ENOMEM. */
int tree_record_add(struct tree *t, struct child *above, const char *name, const struct child_spec *spec, const struct supervisor_spec *sup, void *user,
		    struct child **ret);
/* Removes a record that has no process, and everything below it. A record of the definition only goes to sleep unless it is for good: its supervisor's own
 * restart reads the definition again. While something is left of it (a family not proven empty, a process stuck in its kill) the record stays, and goes with that. */
void tree_remove(struct tree *t, struct child *c, bool for_good);
void tree_removed_free(struct tree *t);
void tree_wake(struct tree *t, struct child *c);            /* a sleeping record, unless its name was taken meanwhile */
void tree_index_add(struct tree *t, struct child *c);
void tree_index_remove(struct tree *t, struct child *c);
struct child *tree_child_first(const struct child *sup);    /* siblings without the sleeping ones */
struct child *tree_child_next(const struct child *c);
struct child *tree_child_last(const struct child *sup);
struct child *tree_child_prev(const struct child *c);

/* tree_start.c */
void tree_start_child(struct tree *t, struct child *c);
void tree_start_wait(struct tree *t, struct child *c, uint64_t due_at_ms);
void tree_start_up(struct tree *t, struct child *c, const char *info);
void tree_start_timeout(struct tree *t, struct child *c);
void tree_start_look(struct tree *t, struct child *sup);

/* tree_stop.c */
void tree_stop_child(struct tree *t, struct child *c);
void tree_stop_kill(struct tree *t, struct child *c, enum reason verdict);
void tree_stop_subtree(struct tree *t, struct child *sup); /* kill everything in it, now */
void tree_stop_by_itself(struct tree *t, struct child *sup, enum reason verdict); /* a supervisor that ends */
void tree_stop_hung(struct tree *t, struct child *c, enum reason why);
bool tree_stop_is_victim(const struct child *c);
void tree_stop_victims(struct tree *t, struct child *sup);
void tree_stop_look(struct tree *t, struct child *sup);
void tree_stop_due(struct tree *t, struct child *c);
void tree_stop_extend(struct tree *t, struct child *c, uint64_t within_ms); /* its start or its stop may take so long from now, within what is allowed above */
void tree_stop_node(struct tree *t, uint64_t within_ms, bool fast);

/* tree_end.c */
struct tree_end {
	enum reason reason;
	int32_t number;
	bool pending;
	uint8_t fatal_tries;
	const char *detail;
};
void tree_end_child(struct tree *t, struct child *c, const struct tree_end *end);
void tree_end_proven(struct tree *t, struct child *c);

/* tree_reload.c */
void tree_reload(struct tree *t, const struct event *e);

/* tree_order.c */
void tree_order_take(struct tree *t, const struct event *e);
void tree_order_add(struct tree *t, const struct event *e);
enum tree_outcome {
	OUTCOME_UP,
	OUTCOME_IGNORED,       /* no process, as it wished */
	OUTCOME_FAILED,        /* a start that was waited for has failed, or will not happen */
	OUTCOME_COMEBACK,      /* ended, and starts again */
	OUTCOME_ENDED,         /* ended, and that is all */
};
void tree_order_settle(struct tree *t, struct child *c, enum tree_outcome outcome, enum reason why, const char *detail);
