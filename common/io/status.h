#pragma once
/* The status cell: a 4 KiB memfd, sealed against shrink and grow, that a child writes and the supervisor reads: how a crash report knows
 * what a dead process was doing without a frame per message. The reader treats every byte as untrusted. */
#include <stdbool.h>
#include <stdint.h>
#include "common/base/error.h"
#define STATUS_SIZE 4096
#define STATUS_TOKENS 256
#define STATUS_FRAMES 32
enum status_phase { PHASE_START, PHASE_IDLE, PHASE_TURN, PHASE_COMMIT, PHASE_STOPPING };
/* Written with seq odd during an update (a seqlock); a reader that never sees it even takes what is there: the writer may have died inside. */
struct status_cell {
	uint32_t magic, version;
	uint32_t seq;
	uint32_t phase;
	uint64_t since_ms;       /* monotonic: when this phase of this turn began */
	uint64_t turn;           /* counts turns */
	uint8_t message[16];     /* id in work; zero = none */
	uint32_t mailbox;        /* messages waiting */
	uint32_t n_tokens;       /* fencing tokens in work */
	uint64_t tokens[STATUS_TOKENS];
	uint32_t signal;         /* of the crash handler; 0 = it did not run */
	uint32_t n_frames;
	uint64_t frames[STATUS_FRAMES]; /* raw return addresses */
	uint64_t load_base;      /* of the main program, to symbolise */
};
_Static_assert(sizeof(struct status_cell) <= STATUS_SIZE, "status cell");
/* Child side. 0 with a mapped cell and its fd (to be passed with READY), or -errno. Phase is PHASE_START. */
int status_create(struct status_cell **ret, int *ret_fd);
void status_phase(struct status_cell *c, enum status_phase phase, uint64_t now_ms); /* PHASE_TURN counts a turn */
void status_message(struct status_cell *c, const uint8_t id[16]); /* NULL = none */
void status_mailbox(struct status_cell *c, uint32_t n);
void status_tokens(struct status_cell *c, const uint64_t *tokens, uint32_t n); /* oldest first; at most STATUS_TOKENS are kept */
/* Installs a handler on an alternate stack for SEGV BUS FPE ILL ABRT (and unblocks them) that writes frames and signal into the cell and dies of the same
 * signal. Once per process, from its main thread. 0 or -errno. */
int status_catch_crashes(struct status_cell *c);
/* Supervisor side: maps a received fd read-only after checking size and seals. 0, or ERROR_BAD_REQUEST. */
int status_map(int fd, const struct status_cell **ret, struct error *e);
void status_unmap(const struct status_cell *c);
/* A checked copy: counts within bounds, phase and signal known; a cell of another magic or version reads as empty and idle. What remains is the
 * writer's claim: since_ms may lie in the future. seq is odd where the copy may be torn. */
void status_read(const struct status_cell *c, struct status_cell *ret);
