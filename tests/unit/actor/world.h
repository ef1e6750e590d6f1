#pragma once
/* A real actor process under a small supervisor that lives in the test: socketpair on fd 3, Setup, whereis; and a client of its mailbox. One world a test. */
#include "tests/suite.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/io/lifeline.h"
#include "common/io/peer.h"
#include "common/io/status.h"
#include "common/wire/id.h"

#define WAIT_MS 10000u
#ifndef ANSWERS_MAX
#define ANSWERS_MAX 64
#endif

struct answer {
	struct id to;
	Troupe__Kind kind;
	int body;
	char type[64], payload[128], text[256];
	uint32_t code;
	uint64_t incarnation;
	size_t n_events;       /* of topic rows */
	uint64_t next;
};

struct world {
	char dir[64];
	struct loop *loop;
	/* the supervisor's side */
	struct lifeline lifeline;
	struct loop_source source;
	pid_t child;
	uint64_t incarnation;
	int cell;
	bool ready, bye, start_failed, start_fatal, ended, lie;
	Troupe__Reason reason;
	char text[256], note[256];
	unsigned n_pongs, n_whereis, n_monitors, n_stored;
	uint64_t stored_offset, stored_ref;
	/* the client's side */
	struct peer_hub *hub;
	struct peer *peer;
	char claims[64];       /* our address in Hello */
	bool up, down;
	struct answer answers[ANSWERS_MAX];
	unsigned n_answers, n_asked;
	struct id_maker ids;
	Troupe__Role role;     /* that the setup gives our uid */
	const char *program, *address; /* what is run, under which address; the echo actor by default */
	const char *setting;
	uint32_t mailbox_max;
	uint64_t map_max;
	/* a worker that the actor dials, in this process too */
	struct peer_hub *worker;
	struct peer *worker_peer, *worker_dialled;
	unsigned n_worker_up, n_worker_asked;
	bool hold_whereis, mute;
	uint64_t held_ref;
};
extern struct world w;

#define WAIT(condition) wait_until(condition, #condition)

void wait_until(bool (*what)(void), const char *name); /* with a deadline; the loop runs meanwhile */
bool is_ready(void);
bool is_ended(void);
bool is_up(void);
bool is_down(void);
bool all_answered(void);
void world_begins(void);
void world_ends(void);

/* the supervisor */
void say(Troupe__Control *c);
void answer_whereis(uint64_t ref, const char *address);
void child_spawn(const char *fault);               /* TROUPE_FAULT, or NULL */
void send_setup(void);
void send_setup_as(bool reload);
void actor_starts(const char *fault);              /* until READY */
void actor_is_told_to_stop(void);
int actor_ends(void);                              /* its exit status, or -signal */

/* the client */
void hub_opens(const char *address);
void client_dials(const char *address);            /* "" is a client; any other is what Hello claims */
struct id send_envelope(Troupe__Envelope *env);
struct id send_word(Troupe__Kind kind, const char *type, const char *payload);
const struct answer *answer_to(const struct id *id);
const struct answer *ask_envelope(Troupe__Envelope *env); /* waits for the answers to all that was asked */
const struct answer *ask(const char *type, const char *payload);
void answered(const struct answer *a, const char *type, const char *payload);
void refused(const struct answer *a, enum error_code code);

/* the worker */
void worker_opens(void);
bool worker_has_line(void);
bool worker_has_both(void);
bool worker_was_asked(void);
bool worker_line_is_down(void);
bool whereis_is_held(void);
