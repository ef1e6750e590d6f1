#pragma once
/* A seeded simulation of the queue: the real coordinator on a real store, a clock that only the simulation moves, and around it workers, clients, a supervisor and
 * sockets that do at random what they may do: die, stall, lose a connection, come back, say things late.
 *
 * What the disk keeps of a crash is what was committed: a turn that is cut off never was. A socket keeps order; what was written to it by one who died is
 * still read, unless the reader dies too. A DOWN is said when the dead one's family is gone, and not before.
 *
 * After every commit, and at the end when all has come to rest, the promises are checked (check.c). The first that does not hold ends the program with the
 * seed, which repeats the run, and the last events. */
#include <stdbool.h>
#include <stdint.h>
#include "tests/unit/coordinator/stage.h"

#define SIM_WORKERS 4u
#define SIM_CLIENTS 3u
#define SIM_TASKS 400u
#define SIM_GPUS 2u

/* --- the sockets: net.c --- */

struct packet { struct packet *next; size_t len; uint8_t data[]; };
struct fifo { struct packet *head, **tail; size_t n; };
struct socket {
	uint64_t peer;               /* number at the coordinator; 0: not connected */
	bool closing;                /* the other end is dead: what is in to_coordinator is still read, then the coordinator sees the end */
	struct fifo to_coordinator, from_coordinator;
};
void fifo_add(struct fifo *f, const uint8_t *data, size_t len);
struct packet *fifo_take(struct fifo *f); /* the caller frees it */
void fifo_clear(struct fifo *f);

/* --- what is known to be true: check.c --- */

struct sim_task {
	struct id id;
	unsigned queue;              /* 0 a, 1 b */
	uint32_t priority;
	unsigned key;                /* unique in its queue; 0: none */
	unsigned serial;             /* serial key; 0: none */
	bool delayed;                /* it does not stand in line from its acceptance on */
	struct sim_edge { unsigned parent; Troupe__EdgeOn on; } edges[3];
	unsigned n_edges;
	bool hold, gpu;
	unsigned batch;              /* 0: none */
	Troupe__BatchRole role;
	unsigned undoes;             /* of a compensation */
	bool sent, acked, retry_asked;
	uint64_t no_token_from;      /* a cancel was answered: no attempt with this token or a later one may begin; 0: none */
	const void *live;            /* whose attempt is alive */
	uint64_t done_tokens[16];    /* attempts that ended well, in the world */
	unsigned n_done;
	Troupe__TaskState final;     /* as once seen */
	uint32_t final_run;
	uint64_t final_token;
	unsigned n_begun;
};

/* --- workers and their supervisor: worker.c --- */

enum run_state { RUN_WAITING, RUN_RUNNING, RUN_ENDED, RUN_SENT };
struct run {
	struct run *next;
	uint64_t token, ends_at_ms;
	struct sim_task *task;
	enum run_state state;
	bool taken;                  /* its end is all that is wanted */
	bool begun;
	Troupe__ExitClass class;
};
/* One incarnation, until its end has been told to whoever asked. */
struct life {
	struct life *next;
	char address[32];
	uint64_t incarnation;
	bool alive, proven, monitored, ordered;
	int signal;
	uint64_t tokens[64];         /* in work when it died */
	size_t n_tokens;
	struct socket socket;
	bool attached;
	unsigned slots;
	struct run *runs;
	uint64_t revoked[4096];
	size_t n_revoked;
};

struct sim_client {
	struct socket socket;
	struct who who;
	uint8_t *pending;            /* a submit that has not been answered: sent again on a new connection */
	size_t pending_len;
	unsigned pending_first, n_pending;
	bool pending_sent;
	struct sim_task *cancelled;  /* a cancel that is under way */
	uint8_t ask;                 /* number of the last question */
};

struct sim {
	struct rng rng;
	uint64_t seed, step, next_peer, next_incarnation;
	struct stage *stage;
	bool up;                     /* the coordinator lives */
	struct sim_task tasks[SIM_TASKS];
	unsigned n_tasks;
	struct life *workers[SIM_WORKERS]; /* NULL: between two lives */
	struct life *dead;           /* not all of their ends are told */
	struct sim_client clients[SIM_CLIENTS];
	bool paused[2];
	unsigned n_batches;
	bool calm;                   /* nothing breaks any more */
	bool verbose;
	char trace[256][400];
	unsigned n_trace;
	uint64_t n_crashes, n_deaths, n_attempts, n_turns;
};

void say(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void broken(struct sim *s, const char *promise, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool chance(struct sim *s, unsigned percent);
uint64_t some(struct sim *s, uint64_t below);
struct sim_task *task_of(struct sim *s, const uint8_t *id);

void worker_start(struct sim *s, unsigned place);
void worker_die(struct sim *s, unsigned place);
void worker_connect(struct sim *s, struct life *w);
void worker_disconnect(struct sim *s, struct life *w);
void worker_read(struct sim *s, struct life *w);       /* one packet */
void worker_work(struct sim *s, struct life *w);       /* ends what is over, begins what waits, says it */
void life_free(struct sim *s, struct life *w);
void down_deliver(struct sim *s, struct life *w);      /* in a turn */

void spec_fill(struct sim *s, struct sim_task *t, Troupe__TaskSpec *x, unsigned first); /* what a random task asks for; first: of its submit */
void client_act(struct sim *s, struct sim_client *c);  /* connects, submits, orders */
void client_read(struct sim *s, struct sim_client *c); /* one packet */
void client_disconnect(struct sim *s, struct sim_client *c);
void client_promised(struct sim *s, struct sim_client *c, const Troupe__Envelope *env);
void client_settle(struct sim *s, struct sim_client *c);   /* only what is left to do: sends again, resumes queues */

void deliver_sent(struct sim *s);   /* what the turn that was committed last says, to whoever lives */

void check_commit(struct sim *s);   /* what must hold after every commit */
void check_all(struct sim *s);      /* every task, and the store against itself */
void check_end(struct sim *s);      /* all has come to rest */
void check_begin(struct sim *s, const struct sim_task *t); /* an attempt begins: may it? */
void check_final(struct sim *s, struct sim_task *t, Troupe__TaskState state, uint32_t run, uint64_t token);
