#pragma once
/* One record of the supervision tree: a process (worker) or a supervisor, which is a record without a process.
 * The struct is open for reading. Only the core writes to it, with one exception: `user` belongs to the shell. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "supervisor/restart.h"

struct tree;

#define CHILD_NAME_MAX 191

enum child_type { CHILD_WORKER, CHILD_SUPERVISOR };

/* all_for_one is printed so; one_for_all is read too. */
enum strategy { STRATEGY_ONE_FOR_ONE, STRATEGY_ALL_FOR_ONE, STRATEGY_REST_FOR_ONE };
const char *strategy_name(enum strategy s);
bool strategy_parse(const char *name, enum strategy *ret);

enum auto_shutdown { AUTO_SHUTDOWN_NEVER, AUTO_SHUTDOWN_ANY, AUTO_SHUTDOWN_ALL };
const char *auto_shutdown_name(enum auto_shutdown a); /* never, any_significant, all_significant */
bool auto_shutdown_parse(const char *name, enum auto_shutdown *ret);

#define SHUTDOWN_BRUTAL 0               /* kill at once, without a STOP */
#define SHUTDOWN_INFINITY UINT64_MAX    /* ask and wait for ever */
#define TERM_NEVER UINT64_MAX

struct child_spec {
	enum child_type type;
	enum restart restart;
	bool significant;
	bool hold;                      /* starts out stopped: an operator's stop that outlives the node */
	bool added;                     /* added at run time, not part of the definition */
	uint64_t shutdown_ms;           /* SHUTDOWN_BRUTAL, ms, SHUTDOWN_INFINITY; of a supervisor: for its whole subtree */
	bool shutdown_zero;             /* with shutdown_ms 0: ask, and kill at once (OTP's 0, which is not brutal_kill) */
	uint64_t term_after_ms;         /* after the STOP: SIGTERM and SIGCONT; 0 = at once (foreign programs), TERM_NEVER */
	uint64_t start_timeout_ms;      /* until READY; 0 = none */
	struct delay_spec delay;
	struct give_up_spec give_up;    /* this child's own limit */
	uint64_t fingerprint;           /* of program, arguments, environment, user: differs at reload = stale */
};

/* What a supervisor's record has besides. */
struct supervisor_spec {
	enum strategy strategy;
	struct give_up_spec give_up;    /* OTP's intensity; on_give_up keep: the offending child is marked failed, the supervisor stays */
	enum auto_shutdown auto_shutdown;
	bool side_by_side;              /* children start and stop together, in no order: pools, dynamic supervisors */
	bool dynamic;                   /* a record lives as long as its child does; needs side_by_side */
	bool pool;                      /* shown as "pool NAME"; else the same */
	uint32_t children_max;          /* 0 = TREE_CHILDREN_MAX */
	/* Where our default (false) differs from OTP (true): */
	bool revive_done;               /* a sibling's group restart also starts finished transients */
	bool revive_stopped;            /* and what was stopped by hand */
	bool start_once;                /* a failed start among the first starts ends the supervisor; else it is retried like a crash */
	bool gave_up_is_shutdown;       /* gives up with reason shutdown instead of gave_up */
	bool forget_added;              /* a restarted supervisor comes back with its defined children only */
};

/* Fills a spec with the documented defaults: permanent, shutdown 5 s (a supervisor: infinity), no SIGTERM, start timeout 30 s,
 * delay 20 in 10 s then 100 ms x 2 to 30 s, 20 % jitter, reset 60 s; no limit. */
void child_spec_default(struct child_spec *spec, enum child_type type);
void supervisor_spec_default(struct supervisor_spec *spec);

/* NULL where the spec (sup NULL for a worker) can be used under `above` (NULL for the root); else OTP's word: "invalid_shutdown", "bad_combination" ... Static text. */
const char *child_spec_check(const struct child_spec *spec, const struct supervisor_spec *sup, const struct supervisor_spec *above);

/* The records' states. Exactly one holds; waiting is explicit, so that no retry can be forgotten or come twice. */
enum child_state {
	CHILD_STOPPED,   /* no process; not due either. held says that an operator wanted it so */
	CHILD_WAITING,   /* no process; due at due_at_ms, or as soon as its turn in the start order comes */
	CHILD_STARTING,  /* spawned (a supervisor: its children are being started), not READY yet */
	CHILD_UP,
	CHILD_STOPPING,  /* asked to stop */
	CHILD_DYING,     /* being killed by the core for a fault of its own (hung, start timeout), by an order, or a supervisor that ends by itself */
	CHILD_DONE,      /* finished: a transient that ended well, or one that answered IGNORE */
	CHILD_FAILED,    /* gave up, or cannot be started at all */
};
#define CHILD_STATE_N 8
const char *child_state_name(enum child_state s);

struct child {
	const char *name;              /* address, or the supervisor's name; unique in the tree */
	void *user;                    /* the shell's */
	struct child_spec spec;
	struct supervisor *sup;        /* of a supervisor: spec, strategy and children; NULL of a worker */
	struct child *above;           /* the record of the supervisor over it; NULL of the root */
	struct child *prev, *next;     /* siblings in start order, dormant ones among them: walk with tree_next */
	uint32_t number;               /* stable while the record lives, never used again */
	uint8_t depth;                 /* 0: the root */

	enum child_state state;
	uint64_t incarnation;          /* the latest one; 0 = none yet */
	uint64_t due_at_ms;            /* waiting: not before */
	bool held;                     /* stopped by an operator */
	bool ready;                    /* this incarnation said READY */
	bool pending;                  /* the latest incarnation is dead but its family is not proven empty: not started again until PROVEN */
	bool stuck;                    /* killed 5 s ago and still there */
	bool stale;                    /* runs with an older definition */

	uint64_t started_at_ms;        /* of the latest incarnation */
	uint64_t up_at_ms;             /* its READY */
	uint64_t restarts;             /* starts that followed an unasked end */
	enum reason last_reason;
	uint64_t last_end_at_ms;
	struct delay delay;
	struct window window;          /* of spec.give_up */

	/* The core's own. Times are UINT64_MAX where there is none. */
	struct {
		bool ordered;          /* waits for its turn among its siblings */
		bool first;            /* part of its supervisor's first start, which is not complete before this one has settled */
		bool comeback;         /* its end is followed by a start: victim of a group restart, or an ordered restart */
		bool retry;            /* the present or coming start follows an unasked end */
		bool by_order;         /* the present start was ordered: a failure is the caller's, and final */
		bool discard;          /* an added record whose first start decides whether it stays */
		bool ignored;          /* said IGNORE, exit expected */
		bool killed;           /* KILL was sent */
		bool killing;          /* supervisor: its whole subtree was killed */
		bool alarmed;          /* a backoff alarm is up */
		bool drop;             /* to be removed as soon as nothing is left of it and below it */
		bool dormant;          /* removed, but its supervisor's restart brings it back */
		bool leaving;          /* no longer defined: goes for good as soon as it has ended */
		bool fresh;            /* made by the reload under way */
		bool gone;             /* removed, freed at the next event */
		uint8_t tries;         /* failed starts in a row */
		enum reason verdict;   /* the reason to record when the core caused the end */
		uint64_t timeout_at_ms, term_at_ms, kill_at_ms, stuck_at_ms, recovered_at_ms;
		uint64_t timer_at_ms;  /* the first of all these: place in the heap */
		size_t timer_index;
		struct child *twin;    /* during a reload: the same record of the other tree */
		struct child *bucket;  /* next in the name index, or among the removed */
		struct child *dirty;   /* next supervisor to be looked at */
		bool is_dirty;
	} core;
};

struct supervisor {
	struct supervisor_spec spec;
	struct child *first, *last;    /* children in start order */
	uint32_t n_children;
	struct window window;          /* of spec.give_up */
};

/* Is there a process (of a supervisor: may there be one below it)? starting, up, stopping, dying. */
bool child_is_alive(const struct child *c);

/* OTP's "restarting": waiting for its start, or starting. */
bool child_is_restarting(const struct child *c);
