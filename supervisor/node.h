#pragma once
/* Inside the shell: what one running node knows. The files: supervisor.c opens, runs and closes it; perform.c does what the tree decides; birth.c forks a child's process, process.c is its
 * life and death; control.c hears the children; monitor.c tells DOWN, links.c who dies together; ask.c answers operators; watch.c looks for hung children; heard.c hears foreign
 * programs, starter.c who started us; outbox.c brings the node's own events to topic:events; added.c keeps children that are added while the node runs; reload.c applies a changed configuration. */
#include <stdbool.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "common/io/lifeline.h"
#include "common/io/loop.h"
#include "common/io/status.h"
#include "supervisor/cgroup.h"
#include "supervisor/config.h"
#include "supervisor/notify.h"
#include "supervisor/stderr_log.h"
#include "supervisor/tree.h"

struct node;

/* What the shell knows of one incarnation; it outlives the process until its family is proven empty. */
struct process {
	struct node *node;
	struct child *child;        /* NULL: its record is gone (only of a dead one) */
	uint64_t incarnation;
	uint64_t group;             /* its cgroup's number: the incarnation, or one of its own where it was a spare */
	uint64_t program_mark;      /* of a spare: the file it was executed from */
	const struct config_node *spare_of; /* the pool it waits for; NULL: it is somebody */
	pid_t pid, died_pid;        /* pid 0: dead; died_pid is what it was */
	struct loop_source pidfd, life_source, output, heard; /* heard: of ready = notify */
	uid_t uid;                  /* that it runs as */
	uint64_t watchdog_ms, beat_by_ms; /* it says WATCHDOG=1 at least so often, the next time by then; 0: no matter */
	struct lifeline life;
	const struct status_cell *cell;
	char note[120];
	char start_failed[256];     /* text of a START_FAILED frame */
	char hung[64];              /* why it was taken for hung; "" it was not */
	bool start_fatal, said_bye;
	Troupe__Reason bye;
	uint64_t pinged_at_ms;      /* 0: nothing outstanding */
	uint64_t deep_nonce;        /* of the watchdog's question; 0: answered */
	uint64_t link_origin;       /* killed by a link: the first incarnation that is younger than the death it began with */
	bool oom;                   /* the system killed one of its family for want of memory */
	bool ended;                 /* reaped, and everybody who waits for it told */
	bool pending;               /* dead, its family not proven empty */
	pid_t pending_pid;
	bool ordered;               /* asked to stop, or killed by us without a fault of its own */
	/* its output: the last of it, and the line that is not complete yet */
	char *tail;
	size_t tail_len;
	uint64_t tail_dropped;
	char *line;
	size_t line_len;
	uint64_t said_second, said_bytes, said_missed;
	/* of its end */
	struct rusage usage;
	uint64_t started_wall_ms;
	siginfo_t end;              /* of the dead whose families are not looked at yet */
	struct process *next, *previous, *next_by_incarnation, *next_by_pid, *next_dead;
};
#define PROCESS_BUCKETS 4096u

/* How an incarnation ended, for whoever asks afterwards. */
struct obituary {
	char address[CHILD_NAME_MAX + 1];
	uint64_t incarnation;
	Troupe__Reason reason;
	int number;
	bool ordered, pending;
	pid_t pending_pid;
	uint64_t *tokens;
	uint32_t n_tokens;
};
#define OBITUARIES 512

struct monitor { uint64_t watcher; char address[CHILD_NAME_MAX + 1]; uint64_t incarnation; struct monitor *next; };

/* A message that was in work when a child died, and how often that has happened. */
struct suspicion { uint32_t number; uint8_t message[16]; uint32_t deaths; };
#define SUSPICIONS 256

/* An event of tree_step that came while another was being carried out. */
struct queued { struct event event; char detail[256], name[CHILD_NAME_MAX + 1]; struct queued *next; };

/* An order's answer comes when the tree gives it. */
struct order_wait { uint64_t ref, watcher, control_ref; uint8_t id[16]; enum order order; bool is_add; char name[CHILD_NAME_MAX + 1]; bool used; };

struct outbox;
struct journal;
struct record;
struct old_config { struct config *config; struct old_config *next; };

struct node {
	struct config *config;
	struct old_config *old;       /* some record still has the user of it */
	struct loop *loop;
	struct tree *tree;
	struct process *processes;
	struct process *by_incarnation[PROCESS_BUCKETS], *by_pid[PROCESS_BUCKETS]; /* by_pid: the living */
	struct process *dead, **dead_tail;      /* reaped in this turn of the loop: deaths_conclude */
	struct process *mourned, **mourned_tail; /* their families were looked at; the tree is not told yet */
	struct { struct child *child; uint64_t incarnation; } *births; /* decided, not forked yet: births_go_on */
	size_t births_first, n_births, births_room;
	struct process *spares;       /* in by_pid, and nowhere else */
	uint64_t spares_made, spares_at_ms;
	enum reason end_reason;       /* of the last end that the tree was told: what it made of it */
	bool in_births;
	uint64_t turn_began_us;
	unsigned n_watched;           /* processes with a watchdog of sd_notify */
	struct process *starter;      /* the control socket of who started us; NULL: none */
	struct monitor *monitors;
	struct link *links;
	unsigned n_links;
	struct obituary obituaries[OBITUARIES];
	size_t n_obituaries;          /* ever */
	struct suspicion suspicions[SUSPICIONS];
	size_t n_suspicions;          /* ever */
	struct queued *queued, **queued_tail;
	bool stepping;
	struct order_wait orders[TREE_ORDERS_MAX];
	uint64_t next_ref;
	struct outbox *outbox;
	struct journal *journal;      /* NULL: it cannot be written */
	struct record *record;
	bool journal_failed;
	uint64_t added_seq;           /* of the last child that was added */
	struct reload_answer *reload; /* being filled by CHANGE actions */
	char id[33];
	uint64_t started_at_ms, ping_at_ms, sweep_at_ms;
	int ready_fd, state_lock, run_lock;
	const char *pid_file;
	struct notify notify;
	uint64_t watchdog_at_ms;      /* the next round; TIME_NEVER without a service manager's watchdog */
	struct cgroup cgroup;
	struct stderr_log log;
	bool tree_up, up, stopping, start_failed;
	uint64_t ready_by_ms;         /* 0: not begun */
};

/* perform.c */
void step(struct node *n, const struct event *e); /* detail and name are copied where they are needed later */

/* process.c */
struct process *process_of(struct node *n, const struct child *c);            /* the living one, or NULL */
struct process *process_numbered(struct node *n, uint64_t incarnation);       /* dead ones too */
void process_send(struct process *p, const Troupe__Control *c);
void process_setup(const struct node *n, const struct process *p, struct arena *a, Troupe__Setup *ret); /* what it is told of itself */
void process_signal(struct process *p, int signal);
void process_add(struct process *p);
void process_know_pid(struct process *p);
void process_forget_pid(struct process *p);
void process_close(struct process *p);
void process_free(struct process *p);
void process_died(struct loop_source *pidfd, uint32_t events);
void deaths_conclude(struct node *n);                                         /* of this turn: families, then the tree */
char *process_state_dir(const struct node *n, const char *name, struct arena *a);
void process_socket(const struct node *n, const struct child *c, char *out, size_t size);
void family_look(struct node *n, uint64_t now_ms);                            /* leftovers of the dead whose families are not empty */
void family_hint(struct node *n);                                             /* somebody became ours, or ended */
Troupe__ActorState process_state(const struct child *c);

/* heard.c */
int heard_open(const struct node *n, uint64_t incarnation, char *ret_name, size_t size); /* a socket and its $NOTIFY_SOCKET, or -errno */
void heard_ready(struct loop_source *s, uint32_t events);
void heard_watch(struct process *p, uint64_t watchdog_ms);
uint64_t heard_look(struct node *n, uint64_t now_ms);

/* starter.c */
#define STARTER_INCARNATION UINT64_MAX
int starter_open(struct node *n, int fd);                                     /* takes fd; 0 or -errno */
void starter_close(struct node *n);

/* birth.c */
void birth_order(struct node *n, struct child *c);                            /* to be forked in this turn of the loop or a later one; events follow */
bool birth_cancel(struct node *n, const struct child *c);                     /* true: it was not forked yet, and never will be */
void births_go_on(struct node *n);                                            /* at most for some milliseconds a turn */
bool births_wait(const struct node *n);

/* spare.c */
struct process *spare_take(struct node *n, struct child *c);
uint64_t spares_look(struct node *n, uint64_t now_ms);                        /* one a turn, when nothing else is to do; returns when to look again */
unsigned spares_of(const struct node *n, const struct config_node *pool);     /* that wait */
void spares_end(struct node *n);

/* output.c */
void output_ready(struct loop_source *s, uint32_t events);
void output_read(struct process *p);
void output_flush(struct process *p);                                         /* what has no newline yet */

/* control.c */
void control_drain(struct process *p);
void control_ready(struct loop_source *s, uint32_t events);
void locate(struct node *n, const char *address, Troupe__Location *ret, char *path /* PATH_MAX */);

/* monitor.c */
void monitor_add(struct process *watcher, const Troupe__Monitor *m);
void monitor_drop(struct node *n, uint64_t watcher, const Troupe__Demonitor *only); /* NULL: all of this watcher's */
const struct obituary *obituary_write(struct node *n, const struct process *dead, Troupe__Reason reason, int number);
void obituary_prove(struct node *n, const struct process *dead);              /* its family is empty now: the second DOWN */
void monitor_fire(struct node *n, const struct obituary *o);
void monitor_tell(struct process *to, const struct obituary *o, bool linked); /* one DOWN */
void monitors_free(struct node *n);
void suspicion_note(struct node *n, const struct process *dead);
void suspicion_tell(struct process *p);                                       /* to a new incarnation */

/* links.c */
void link_add(struct process *from, const Troupe__Link *want);
void link_drop(struct process *from, const Troupe__Link *want);
void links_fire(struct node *n, const struct obituary *o, char *const *names, enum reason reason, uint64_t origin); /* names: of the configuration; origin: lives from this incarnation on are not meant */
void links_free(struct node *n);

/* ask.c */
void ask_relay(struct process *front, uint64_t ref, const Troupe__Envelope *ask);
void ask_order_answer(struct node *n, const struct action *a);
void ask_answer(struct node *n, uint64_t watcher, uint64_t ref, const uint8_t id[16], Troupe__Envelope *env);
void ask_fail(struct node *n, uint64_t watcher, uint64_t ref, const uint8_t id[16], const struct error *e);

/* added.c */
int added_make(struct node *n, const Troupe__AddChild *add, struct config_node **ret, struct error *e); /* into n->config; 0 or a code with a text */
int added_keep(struct node *n, const struct child *c, struct error *e);      /* durable when it returns 0, where it is to be */
void added_forget(struct node *n, const struct child *c);                     /* its record goes: so do its definition and what is kept of it */
void added_runs(const struct child *c);                                       /* a temporary one needs its arguments no more */
void added_restore(struct node *n);                                           /* before the tree is made */
void added_lost(const struct config_node *k, const struct error *e);

/* whatif.c */
int what_if(struct node *n, const Troupe__WhatIf *want, struct arena *arena, Troupe__WhatIfAnswer *ret, struct error *e); /* 0 or a code with a text */

/* ready.c */
void ready_look(struct node *n, uint64_t now_ms); /* after every step, and at n->ready_by_ms */

/* watch.c */
void watch_children(struct node *n, uint64_t now_ms);
void watch_hung(struct process *p, enum reason reason, const char *detail);
#define NONCE_DEEP (1ull << 63) /* of the watchdog's pings */
void watchdog_round(struct node *n, uint64_t now_ms);
void watchdog_answered(struct process *p);

/* outbox.c */
struct outbox *outbox_new(void);
void outbox_free(struct outbox *o);
/* An event for topic:events, sent until it is said to be stored; at most 4,096 wait, then the oldest is dropped and counted. */
void outbox_event(struct node *n, const Troupe__Event *ev);
void outbox_say(struct node *n, const char *level, const char *type, const char *actor, const char *subject, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void outbox_up(struct node *n, struct process *topic);
void outbox_stored(struct node *n, uint64_t ref);

/* evidence.c */
void evidence_open(struct node *n);                                           /* before the tree is booted: what an earlier life left */
void evidence_hold(struct node *n, struct config *c);                         /* what operators stopped is not started */
void evidence_boot(struct node *n, uint64_t seed, uint64_t incarnation);
void evidence_decided(struct node *n, const struct event *e, const struct actions *decided); /* before they are carried out */
void evidence_crash(struct node *n, const struct action *a);                  /* of a FACT_DOWN or FACT_START_FAILED */
int evidence_order(struct node *n, const struct order_wait *w, const struct child *c, const char *answer, struct error *e); /* durable when it returns 0 */
uint64_t evidence_tick(struct node *n, uint64_t now_ms);
void evidence_close(struct node *n, bool clean);

/* reload.c */
struct reload_request { bool dry, restart_changed; uint64_t watcher, control_ref; uint8_t id[16]; bool by_signal; const char *subject; };
void reload(struct node *n, const struct reload_request *r);
void reload_change(struct node *n, const struct action *a);
bool reload_answered(struct node *n, const struct action *a); /* it was the answer to a reload */
void reload_forget(struct node *n, bool all);                                 /* old configurations that nobody uses */
