#pragma once
/* A scenario of the queue while it is played: the real coordinator on its stage, and around it what a scenario needs of the world: tasks by their short names, workers
 * that hold what they were given and come back with it, a supervisor that tells of deaths, clients that ask again. world.c is the world, turn.c a turn and what follows
 * from it, see.c what is seen of it; submit.c, work.c and order.c are the stimuli, setup.c what is no message, look.c the questions. */
#include "tests/queue/text.h"
#include "tests/unit/coordinator/stage.h"

/* How a file is played: as it stands; with a kill -9 of the coordinator and its recovery behind every stimulus; with every turn cut off before its commit
 * once, then done again. */
enum how { AS_IT_STANDS, RESTARTED, CUT };

struct giving { uint64_t token; struct life *life; };

/* A task by its short name. Its id rises with the names; in the second way of playing it falls, and in the third it jumps, so that whatever should follow the order of
 * acceptance, but follows ids, is seen. */
struct named {
	const char *name;
	struct id id;
	uint64_t seq;
	bool accepted, final;
	struct giving *given;        /* each time, in order */
	size_t n_given;
	struct named *next;
};

/* What a worker has. */
struct held {
	struct named *task;
	uint64_t token;
	bool begun;
	bool aborted;                /* it was told to end it */
	bool killed;                 /* it was told that this counts no more */
	Troupe__Outcome *outcome;    /* it has ended, and nobody has acknowledged that */
	struct held *next;
};

/* One incarnation of a worker. */
struct life {
	const char *name, *address, *pool, *mode, *broken;
	uint64_t incarnation, peer;  /* peer 0: no connection */
	char **queues, **tags;
	size_t n_queues, n_tags, n_resources;
	Troupe__Resource **resources;
	uint32_t slots;
	bool alive, attached;
	bool was_attached;           /* when the coordinator died though the file does not say so */
	bool away;                   /* lost its connection, and stays away until it is told to attach */
	bool lazy;                   /* begins tasks only when told to */
	bool monitored, down_told;
	bool proven, forgiven;       /* its family is gone; an operator knows better */
	bool talking;                /* dead, but its last words are in its socket */
	Troupe__Down down;
	struct held *held;
	struct life *next;
};

struct client { const char *name, *subject; uint64_t peer; uid_t uid; Troupe__Role role; struct client *next; };

/* A question that may be answered later, and is asked again by whoever lost its connection. */
struct pending { uint8_t id[16]; struct client *client; Troupe__Envelope *env; uint64_t until_ms; bool done; struct pending *next; };
struct cursor { const char *name; Troupe__LogCursor at; struct cursor *next; };

/* What a stimulus does in a turn. */
enum act_kind { ACT_MESSAGE, ACT_DOWN, ACT_LINK_DOWN, ACT_GONE, ACT_RELOAD };
struct act {
	enum act_kind kind;
	struct life *life;           /* of a worker's */
	struct client *client;       /* of a client's */
	Troupe__Envelope *env;
	uint64_t peer;               /* of an end */
	uint64_t token;              /* of an outcome: said again only while the worker has it */
	bool attaches;
	uint8_t id[16];              /* of a question */
	struct pending *pending;     /* of one whose answer may come later */
	bool answered, refused;
	struct error refusal;
};
#define ACTS_MAX 64u
struct acts { struct act all[ACTS_MAX]; size_t n; };

/* A commit: its transitions and what it sent, to be told when the moment is over. */
struct seen { const char *text; struct named *task; struct log_entry entry; bool is_entry; struct life *to; };

struct play {
	enum how how;
	struct arena *arena;         /* of the whole file */
	struct stage *s;
	uint64_t seed, commit;       /* the last log row that was read */
	struct named *tasks, **tasks_end;
	unsigned n_tasks, n_new;
	struct life *lives, **lives_end;
	struct client *clients;
	struct pending *pending;
	struct cursor *cursors;
	uint64_t next_peer, next_incarnation, next_question;
	uint64_t last_token, next_token; /* the highest, as of the last commit and of this one */
	uint64_t cut_at_ms;          /* the last wake that was cut off */
	bool unasked;                /* the coordinator dies though the file does not say so: what its workers are told again is no news */
	bool questioning;            /* nothing but the answer may come of this turn */
	struct seen *seen;           /* of this moment */
	size_t n_seen, room_seen;
	const char **items;          /* the trace */
	size_t n_items, room_items;
};

/* --- world.c --- */
struct named *task_named(struct play *p, const char *name);           /* made where it is new */
struct named *task_known(struct play *p, const char *name);           /* there must be one */
struct named *task_of_id(struct play *p, ProtobufCBinaryData id);     /* one that nobody named gets a name: new1, new2... */
size_t tasks_listed(struct play *p, const char *list, struct named **ret, size_t room);
const char *shortened(struct play *p, const char *text);              /* short names instead of ids, numbers and addresses */
struct life *life_new(struct play *p, const char *name, const struct life *like); /* like: of which it is the next incarnation, or NULL */
struct life *life_named(struct play *p, const char *name);            /* the latest; NULL: none */
struct life *life_need(struct play *p, const char *name);             /* one that is there */
struct life *life_of_peer(struct play *p, uint64_t peer);
struct held *held_find(struct life *l, uint64_t token);
struct held *held_task(struct life *l, const struct named *t);        /* NULL: it has no such task */
void held_add(struct play *p, struct life *l, struct named *t, uint64_t token);
void held_drop(struct life *l, struct held *h);
struct who who_of_life(const struct life *l);
struct client *client_named(struct play *p, const char *name);        /* made where it is new; NULL: ann */
struct client *client_of_peer(struct play *p, uint64_t peer);
struct who who_of_client(const struct client *c);
void world_crash(struct play *p);                                     /* kill -9 of the coordinator; in a turn, too */
void world_back(struct play *p, bool workers);                        /* its successor; then its workers, the supervisor and its clients come back */

/* --- turn.c --- */
struct act *act_add(struct acts *a, enum act_kind kind);              /* zeroed, but for its kind */
void act_tell(struct play *p, struct acts *a, struct life *l, Troupe__Envelope *env);
void act_attach(struct acts *a, struct life *l);                      /* with what it holds when it is said */
struct act *act_ask(struct play *p, struct acts *a, struct client *c, Troupe__Envelope *env);
/* One turn, and then whatever is due at this time. The trace goes to p->items. */
void turn_do(struct play *p, struct acts *a);
void turn_cut(struct play *p, struct acts *a);                        /* the turn is cut off before its commit, and everybody comes back */
void unasked(struct play *p, bool on);                                /* what dies now dies in all files: from here, and until here */
void turn_mute(struct play *p, struct acts *a);                       /* cut off behind its commit: nothing leaves */
void turns_wait(struct play *p, uint64_t ms);
/* What is asked beside the play: nothing but the answer may come of it. NULL: refused (p->s->refusal). Valid until the next one. */
const Troupe__Envelope *question(struct play *p, struct client *c, Troupe__Envelope *env);
#define ENVELOPE(name, which, NAME, message) Troupe__Envelope name = TROUPE__ENVELOPE__INIT; name.body_case = TROUPE__ENVELOPE__BODY_##NAME; name.which = (message)
Troupe__Envelope *attach_of(struct play *p, struct life *l, bool update);

/* --- see.c --- */
void item(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void see_commit(struct play *p, struct acts *a, bool mute);           /* behind every commit: what came of it; mute: nobody hears it */
void see_moment(struct play *p, uint64_t after_ms);                   /* tells what was seen; after_ms: since the beginning of a wait; 0: no need to say */
const char *transition_text(struct play *p, Troupe__TransitionKind kind, struct named *t, uint32_t attempt, Troupe__ExitClass exit_class, Troupe__Cause cause);
const char *state_name(Troupe__TaskState s);
const char *cause_name(Troupe__Cause c);
const char *class_name(Troupe__ExitClass c);
const char *quoted(struct play *p, const void *data, size_t len);
const char *quoted_text(struct play *p, const char *s);

/* --- submit.c, work.c, order.c: stimuli. body: what stood in braces, or NULL --- */
struct stimulus { const char *verb; void (*add)(struct play *p, struct words *w, char *body, struct acts *a); };
extern const struct stimulus submit_stimuli[], work_stimuli[], order_stimuli[];
Troupe__TaskSpec *spec_read(struct play *p, struct words *w, struct named *t, const char *queue);
struct client *client_by(struct play *p, struct words *w);            /* by NAME */
Troupe__Filter *filter_read(struct play *p, struct words *w);         /* queue= state= and so on */
Troupe__TaskRef **refs_of(struct play *p, struct named **tasks, size_t n);

/* --- setup.c. false: the line is something else. arrow: it expects something, and is no set-up --- */
bool set_up(struct play *p, const char *verb, struct words *w, bool arrow);
bool do_time(struct play *p, const char *verb, struct words *w);

/* --- look.c: questions and what they are answered --- */
struct look { const char *verb; void (*at)(struct play *p, struct words *w); };
extern const struct look looks[];
void check_all(struct play *p);                                       /* check_store has nothing to say */
