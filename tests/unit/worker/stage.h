#pragma once
/* The real troupe-worker under a small supervisor and a small coordinator, both in the test. One stage a test. */
#include "tests/suite.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/io/lifeline.h"
#include "common/io/peer.h"
#include "common/io/status.h"
#include "common/wire/id.h"

#define WAIT_MS 20000u
#define TELLS_MAX 4096

struct numbers { uint64_t all[TELLS_MAX]; size_t n; };

struct stage {
	char dir[64];
	struct loop *loop;
	/* the pool, to be changed before worker_starts */
	const char *mode, *directory;
	const char *command[8];
	const char *environment[8]; /* key, value, key, value */
	const char *fault;          /* TROUPE_FAULT */
	uint64_t grace_ms, start_timeout_ms, drain_timeout_ms, line_max;
	/* the supervisor's side */
	struct lifeline lifeline;
	struct loop_source source;
	pid_t worker;
	uint64_t incarnation;
	int cell_fd;
	bool ready, bye, ended, start_failed;
	Troupe__Reason reason;
	char text[256], note[256];
	/* the coordinator's side */
	struct peer_hub *hub;
	struct peer *peer;          /* the worker's connection; NULL: none */
	bool silent;                /* acknowledges nothing */
	bool counts_only;           /* outcomes and starts are counted, not kept: for benchmarks */
	uint64_t token;             /* the last one given */
	unsigned n_attach;
	Troupe__Attach *attach;     /* the last one */
	struct numbers started, revoked, kept;
	Troupe__Outcome *outcomes[TELLS_MAX];
	size_t n_outcomes;
	/* what it says to BlobGet */
	const uint8_t *blob;
	size_t blob_len, blob_piece; /* at most so much at once; 0: all */
	bool blob_silent;           /* nothing */
	enum error_code blob_error; /* this, where it is set */
	unsigned n_blob_asks;
	uint64_t blob_offset;       /* of the last one */
	unsigned n_progress, percent;
	char progress_note[256];
	uint64_t progress_token;
};
extern struct stage g;

void stage_begins(void);     /* of a check fixture */
void stage_ends(void);

/* Runs the loop until the condition holds. */
#define WAIT(condition)                                                         \
	do {                                                                    \
		uint64_t until_ms_ = clock_mono_ms() + WAIT_MS;                 \
		while (!(condition))                                            \
			stage_step(until_ms_, #condition);                      \
	} while (0)
void stage_step(uint64_t until_ms, const char *what);
void stage_runs_for(uint64_t ms);  /* for what must not happen */

void worker_spawns(void);          /* Setup is sent */
void worker_starts(void);          /* ... and it is READY and attached */
int worker_ends(void);             /* waits; exit status, or -signal */
void worker_is_stopped(uint64_t within_ms, bool drain);
void coordinator_goes(void);       /* closes its socket and all connections */
void coordinator_comes(void);

/* An assignment with the next token, NORMAL in everything that is not changed before it is given. */
struct task_given { Troupe__Assignment a; uint8_t id[16]; ProtobufCBinaryData argv[8]; };
void task_init(struct task_given *t, const void *payload, size_t len);
uint64_t task_give(struct task_given *t);              /* returns its token */
uint64_t give(const char *payload);                    /* both at once */
void give_many(size_t n, const char *payload);         /* in one Run; tokens follow g.token */
void tell_attached(const uint64_t *abort, size_t n_abort, const uint64_t *committed, size_t n_committed);
void tell_ack(const uint64_t *tokens, size_t n);
void tell_revoke(const uint64_t *tokens, size_t n);
void tell_abort(uint64_t token);
void tell_drain(void);

const Troupe__Outcome *outcome_of(uint64_t token);     /* NULL: not told yet */
const Troupe__Outcome *outcome_waited(uint64_t token);
bool number_in(const struct numbers *s, uint64_t n);
bool output_is(const Troupe__Outcome *o, const char *text);
struct status_cell cell_read(void);
/* Writes a file into the stage's directory; returns its path, static. */
const char *stage_file(const char *name, const char *text, mode_t mode);
bool file_exists(const char *path);
pid_t pid_in_file(const char *path);                   /* 0: not there yet */
bool process_alive(pid_t pid);                         /* and no zombie */
