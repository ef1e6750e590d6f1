#pragma once
/* The supervision tree as a pure function: one event with the time in, an ordered list of actions out.
 *
 * The tree decides who is started, stopped, killed and restarted, in which order and when; it does no I/O, reads no clock, and draws its jitter
 * from a generator that the shell seeds: the same events give byte-identical actions. The shell (supervisor.c) turns system events into
 * struct event and struct action into forks, frames and signals.
 *
 * A supervisor is a record of the tree, not a process. It "starts" when the start of its children begins, is UP when all of them are UP or settled
 * (stopped, finished, failed; under one_for_one also: failed once and now retried on their own), and "ends" when its last child has ended.
 *
 * The loop of a shell:
 *     tree_step(tree, &(struct event){ .kind = EVENT_BOOT, .now_ms = now }, &actions);  perform each of actions in order
 *     wait for something, at most until tree_next_due(tree); when that time has come: EVENT_TIME
 * now_ms is monotonic; an earlier one than before counts as the latest seen. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "supervisor/child.h"

#define TREE_DEPTH_MAX 10       /* supervisors inside each other, root included */
#define TREE_CHILDREN_MAX 20000 /* records in all */
#define TREE_ORDERS_MAX 1024    /* unanswered orders; further ones are answered busy */

/* EXIT's code where it is not 0 */
#define TREE_EXIT_GAVE_UP 70    /* the root gave up */
#define TREE_EXIT_LEFT_OVER 71  /* a killed child is still there (uninterruptible sleep) */

#define CHILD_STUCK_AFTER_MS 5000   /* after the kill: alarm, and the others go on */
#define CHILD_ABORT_GAP_MS 1000     /* from SIGABRT to SIGKILL of a hung child */
#define CHILD_CANCEL_MS 500         /* a start that is cancelled has so long to end, or its shutdown where that is shorter */

/* --- building ----------------------------------------------------------------------------------------------------------- */

struct tree_config {
	uint64_t seed;              /* of the jitter */
	uint64_t incarnation_first; /* every start takes the next number: larger than any used by this node before; 0 counts as 1 */
	uint32_t number_first;      /* the same for child numbers */
};

/* An empty tree, or NULL without memory. */
struct tree *tree_new(const struct tree_config *config);
void tree_free(struct tree *t); /* accepts NULL; users are not touched */

/* Adds a record as the last of above's children; the first record is the root: above NULL, type supervisor. sup is NULL for a worker. Everything is copied.
 * For definitions before BOOT; afterwards EVENT_ADD does it. user is what the record's user pointer starts as.
 * 0; positive: ERROR_EXISTS the name is taken, ERROR_BAD_REQUEST see child_spec_check, name too long, a second root, ERROR_TOO_LARGE too deep, too many; -ENOMEM. */
int tree_add(struct tree *t, struct child *above, const char *name, const struct child_spec *spec, const struct supervisor_spec *sup, void *user,
	     struct child **ret);

/* --- events ------------------------------------------------------------------------------------------------------------- */

enum event_kind {
	EVENT_BOOT,         /* start the root; once */
	EVENT_READY,        /* child, incarnation, detail = info */
	EVENT_IGNORED,      /* child, incarnation: IGNORE frame; its exit is still to come as ENDED */
	EVENT_START_FAILED, /* child, incarnation, detail, fatal_tries. No process is left (exec failed, fork failed). After a START_FAILED *frame* send
	                     * EVENT_ENDED with reason start_failed when the process has ended */
	EVENT_ENDED,        /* child, incarnation, reason, number, detail, pending, fatal_tries: the process was reaped */
	EVENT_PROVEN,       /* child, incarnation: the family of an incarnation that ENDED with pending is gone */
	EVENT_HUNG,         /* child, incarnation, reason watchdog or turn_timeout, detail */
	EVENT_SIGNALLED,    /* child, incarnation, reason: a process that it is linked to has ended so; it is killed with this reason */
	EVENT_EXTEND,       /* child, incarnation, within_ms: it asks for so much time from now on, to start or to stop */
	EVENT_TIME,         /* something may be due */
	EVENT_ORDER,        /* ref, order, name, force: a management call */
	EVENT_ADD,          /* ref, name, above_name, spec, sup, user: start_child */
	EVENT_RELOAD,       /* ref, wanted, dry, restart_changed, as_otp: a new definition, all or nothing; CHANGE actions, then an ANSWER */
	EVENT_SHUTDOWN,     /* within_ms for the whole node (SHUTDOWN_INFINITY: none), fast = kill everything now; may be repeated to hurry */
};

enum order { ORDER_START, ORDER_STOP, ORDER_RESTART, ORDER_KILL, ORDER_DELETE, ORDER_SPEC, ORDER_COUNT };
#define ORDER_N 7
const char *order_name(enum order o);

/* An event about an incarnation that is not the child's present one is ignored; so is one that does not fit the state. Pointers are read during the call only
 * (actions of this step may repeat detail). */
struct event {
	enum event_kind kind;
	uint64_t now_ms;
	struct child *child;
	uint64_t incarnation;
	enum reason reason;      /* ENDED: as seen (normal, shutdown after BYE or a clean code, exit, signal, core, oom, rlimit, start_failed ...); the core turns it into
	                          * killed, watchdog, start_timeout ... where the kill was its own, and normal into shutdown where it had asked */
	int32_t number;          /* ENDED: exit status or signal */
	bool pending;            /* ENDED: the family is not proven empty */
	uint8_t fatal_tries;     /* START_FAILED, ENDED: 0 = retried as usual; n = the child is failed for good at the n-th failed start in a row (1: at once).
	                          * After READY only 1 counts */
	const char *detail;

	uint64_t ref;            /* ORDER, ADD: comes back in the ANSWER */
	enum order order;
	const char *name;
	/* ORDER, OTP's form, both optional. above_name: the supervisor that is asked; who is not its child is not_found. of_incarnation: OTP's pid. A supervisor of the
	 * definition knows its children by name only (not_found), a dynamic one by incarnation only (by name: "dynamic"), and stopping a dead one there is ok. */
	uint64_t of_incarnation;
	bool force;              /* start in spite of a missing proof or of the backoff */
	const char *above_name;
	const struct child_spec *spec;
	const struct supervisor_spec *sup;
	void *user;

	struct tree *wanted;     /* RELOAD: built with tree_add, never booted; unchanged afterwards, still the caller's. New records take its records' users.
	                          * The shell goes over the CHANGE actions to bring its own data of known records up to date */
	bool dry;                /* only tell */
	bool restart_changed;    /* stop and start what is stale, each by itself */
	bool as_otp;             /* new children are not started, missing ones stay, ordered last */

	uint64_t within_ms;
	bool fast;
};

/* --- actions ------------------------------------------------------------------------------------------------------------ */

enum action_kind {
	ACTION_SPAWN,   /* child, incarnation: start the process; EVENT_READY or an end follows. Also: forget the incarnation before */
	ACTION_STOP,    /* child, within_ms (SHUTDOWN_INFINITY: no limit): STOP frame on its lifeline */
	ACTION_TERM,    /* child: SIGTERM, then SIGCONT */
	ACTION_ABORT,   /* child: SIGABRT (then SIGCONT), for the dump of a hung one */
	ACTION_KILL,    /* child, reason: SIGKILL to the whole family */
	ACTION_ANSWER,  /* ref, child (NULL for not_found), text, detail, counts: exactly one per ORDER, ADD and RELOAD */
	ACTION_UP,      /* the root's first start is complete; once */
	ACTION_EXIT,    /* code: the tree has ended; nothing follows */
	ACTION_FACT,    /* fact, child, ...: for journal, events, alarms, crash reports */
	ACTION_CHANGE,  /* change, child: what a reload does (a dry one: would do; child is then wanted's where the record is new) */
	ACTION_FREE,    /* child: the record is removed. It can be read until the next tree_step; let go of user */
};

enum fact_kind {
	FACT_UP,             /* child is READY; detail = info. Also of supervisors */
	FACT_DOWN,           /* child ended: reason, number, detail, decision, delay_ms, count (ends in its window), error = abnormal, after_ms (had been up) */
	FACT_START_FAILED,   /* the same of an incarnation that never was READY */
	FACT_IGNORED,        /* child answered IGNORE */
	FACT_BACKOFF,        /* child waits delay_ms; count = waits in a row */
	FACT_BACKOFF_ALARM,  /* the third wait in a row */
	FACT_LIMIT,          /* child: whose restart was one too many; count, window_ms; above = whose limit (the child itself, or its supervisor) */
	FACT_FAILED,         /* child is out of service until an operator starts it; reason (alarm) */
	FACT_GAVE_UP,        /* supervisor child ends because of FACT_LIMIT */
	FACT_AUTO_SHUTDOWN,  /* supervisor child ends because of its significant children */
	FACT_ENDED,          /* supervisor child has ended; reason */
	FACT_PENDING,        /* child may not start: the family of its last incarnation is not proven empty */
	FACT_PROVEN,
	FACT_STUCK,          /* killed 5 s ago and still there (alarm) */
	FACT_OVERDUE,        /* did not stop in time: the kill follows (shutdown_error) */
	FACT_RECOVERED,      /* child, which had FACT_BACKOFF_ALARM or FACT_FAILED, has now been up for its reset_after_ms */
};
#define FACT_N 16
const char *fact_name(enum fact_kind f);

enum change {
	CHANGE_START,   /* a new record; started now where its supervisor is up */
	CHANGE_STOP,    /* no longer defined: stopped, then removed */
	CHANGE_SPEC,    /* flags, limits or times, in place */
	CHANGE_STALE,   /* program, arguments, environment or user: at the next start */
};
#define CHANGE_N 4
const char *change_name(enum change c); /* start, stop, change, stale */

/* What the tree does about an end. Names are stable (journal, crash report). */
enum decision {
	DECISION_NONE,
	DECISION_RESTART,        /* now */
	DECISION_BACKOFF,        /* after delay_ms */
	DECISION_GROUP_RESTART,  /* with siblings, after delay_ms */
	DECISION_DONE,           /* transient, ended well */
	DECISION_REMOVED,        /* temporary: the record goes */
	DECISION_STOPPED,        /* was asked to stop */
	DECISION_COMEBACK,       /* was asked to stop, starts again: sibling's group restart, operator's restart */
	DECISION_FAILED,         /* gave up on it; siblings stay */
	DECISION_ESCALATE,       /* the supervisor gives up */
	DECISION_AUTO_SHUTDOWN,  /* the supervisor ends as its significant child did */
	DECISION_SUPERVISOR_ENDING, /* the supervisor was stopping: no restart */
};
#define DECISION_N 12
const char *decision_name(enum decision d);

struct child_counts { uint32_t specs, active, supervisors, workers; };

struct action {
	enum action_kind kind;
	enum fact_kind fact;
	enum change change;
	struct child *child;
	struct child *above;
	uint64_t incarnation;
	enum reason reason;
	enum decision decision;
	int32_t number;
	int32_t code;
	uint32_t count;
	bool error;
	uint64_t delay_ms, within_ms, window_ms, after_ms;
	uint64_t ref;
	enum order order;        /* ANSWER to an ORDER */
	/* ANSWER: OTP's word: ok, none (ok, but no process: IGNORE), running, restarting, not_found, already_started, already_present, start_failed,
	 * dynamic, max_children, bad_request (detail names the field), pending (family not proven empty), noproc (its supervisor is not up), stopping, busy, no_memory. Static text. */
	const char *text;
	const char *detail;      /* of the event, or READY's info; may be NULL. Copy what is kept */
	struct child_counts counts;
};
struct actions { const struct action *items; size_t n; };

/* Takes one event. ret_actions is valid until the next call. Never fails: memory is reserved when records are added (an ADD without memory is answered no_memory). */
void tree_step(struct tree *t, const struct event *e, struct actions *ret_actions);

/* When EVENT_TIME is wanted next; UINT64_MAX: nothing is due. */
uint64_t tree_next_due(const struct tree *t);

/* --- looking ------------------------------------------------------------------------------------------------------------ */

struct child *tree_root(const struct tree *t);                     /* NULL of an empty tree */
struct child *tree_find(const struct tree *t, const char *name);   /* NULL: not there */
size_t tree_size(const struct tree *t);                            /* records */
bool tree_is_stopping(const struct tree *t);
uint64_t tree_incarnation_next(const struct tree *t);              /* what the next start will have */
uint32_t tree_number_next(const struct tree *t);                   /* what the next record will have */

/* Depth-first in start order: NULL gives the root, the last gives NULL. */
struct child *tree_next(const struct tree *t, const struct child *c);
/* The same inside one subtree. */
struct child *tree_next_under(const struct tree *t, const struct child *top, const struct child *c);

/* OTP's count_children of one supervisor. */
struct child_counts tree_count(const struct child *sup);

/* --- what if ------------------------------------------------------------------------------------------------------------ */

/* A deep copy with the same state, windows and random numbers, without waiting orders; users are shared. NULL without memory. */
struct tree *tree_clone(const struct tree *t);

/* Called for every action of the imagined future; after_ms: since now. The children in it are the copy's and live as in tree_step. */
typedef void what_if_tell(void *arg, const struct action *a, uint64_t after_ms);

/* What would follow if this event came now and every child then started and stopped as it should: at most within_ms of virtual time. The tree itself
 * is not changed. e->child is this tree's. 0 or -ENOMEM. */
int tree_what_if(const struct tree *t, const struct event *e, uint64_t within_ms, what_if_tell *tell, void *arg);

/* --- windows over an unclean death -------------------------------------------------------------------------------------- */

enum window_kind { WINDOW_OWN, WINDOW_SUPERVISOR, WINDOW_ENDS };   /* child's limit, supervisor's limit, delay */
struct window_entry {
	const char *name;
	enum window_kind kind;
	uint64_t at_ms;
	uint32_t step;      /* ENDS: delays in a row so far */
};
struct window_cursor { const struct child *child; int kind; uint32_t index; bool begun; };
/* All times of all windows, oldest first in each; start with a zeroed cursor; false at the end. */
bool tree_windows_save(const struct tree *t, struct window_cursor *cursor, struct window_entry *ret);
/* Before BOOT, in the order of saving. at_ms in this tree's time (never above the present now: clamp). An unknown name or a child without that window is passed over. */
void tree_windows_load(struct tree *t, const struct window_entry *entry);
