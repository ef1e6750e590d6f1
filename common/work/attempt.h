#pragma once
/* One attempt of a task: when it is asked to end, when it is killed, and when it is over. Pure.
 *
 *   WAITING → RUNNING → ASKED → KILLED → SWEEPING → OVER
 *      │         └────────┴────────┴── ended ──┘ │
 *      └──────────────── stopped ────────────────┘
 *
 * SWEEPING: the main process (or the answer of a long-lived program) is there, the rest of the family is not yet proven gone. Only then is it OVER, and
 * only then may anybody be told. The clock starts with RUNNING, not with the assignment. */
#include <stdint.h>

enum attempt_state { ATTEMPT_WAITING, ATTEMPT_RUNNING, ATTEMPT_ASKED, ATTEMPT_KILLED, ATTEMPT_SWEEPING, ATTEMPT_OVER };
/* Why we end it. The first reason stays. */
enum stop_why {
	STOP_NOT,
	STOP_TIMEOUT, /* its execution timeout */
	STOP_CANCEL,  /* somebody cancelled the task */
	STOP_TAKEN,   /* the coordinator has given it up: nobody waits for the outcome */
	STOP_NODE,    /* this worker has to go */
	STOP_OTHERS,  /* its program was killed for another task's sake */
};
/* What the shell is to do. */
enum attempt_action {
	ATTEMPT_NOTHING,
	ATTEMPT_ASK,    /* TERM to the family, or a cancel message */
	ATTEMPT_KILL,   /* KILL to the family, or to the long-lived program */
	ATTEMPT_SWEEP,  /* kill what is left of the family, then call attempt_swept */
	ATTEMPT_FINISH, /* say the outcome */
};

struct attempt {
	enum attempt_state state;
	enum stop_why why;
	uint64_t timeout_ms; /* 0 = none */
	uint64_t grace_ms;
	uint64_t due_at_ms;  /* monotonic; TIME_NEVER: nothing is due. Call attempt_tick then */
};

void attempt_init(struct attempt *a, uint64_t timeout_ms, uint64_t grace_ms);
void attempt_start(struct attempt *a, uint64_t now_ms);                /* WAITING only */
enum attempt_action attempt_tick(struct attempt *a, uint64_t now_ms);  /* timeout reached, grace over */
/* grace_ms bounds the grace of this attempt; repeated calls can only shorten it. Of a waiting one: FINISH. */
enum attempt_action attempt_stop(struct attempt *a, enum stop_why why, uint64_t grace_ms, uint64_t now_ms);
enum attempt_action attempt_ended(struct attempt *a);                  /* the main process has been reaped, or the program has answered */
enum attempt_action attempt_swept(struct attempt *a);                  /* the family is proven empty */
