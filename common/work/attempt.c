#include "common/work/attempt.h"

#include <assert.h>

#include "common/base/clock.h"

static uint64_t later(uint64_t now_ms, uint64_t ms)
{
	return ms < TIME_NEVER - now_ms ? now_ms + ms : TIME_NEVER;
}

void attempt_init(struct attempt *a, uint64_t timeout_ms, uint64_t grace_ms)
{
	*a = (struct attempt){ .state = ATTEMPT_WAITING, .timeout_ms = timeout_ms, .grace_ms = grace_ms, .due_at_ms = TIME_NEVER };
}

void attempt_start(struct attempt *a, uint64_t now_ms)
{
	assert(a->state == ATTEMPT_WAITING);
	a->state = ATTEMPT_RUNNING;
	a->due_at_ms = a->timeout_ms ? later(now_ms, a->timeout_ms) : TIME_NEVER;
}

static enum attempt_action kill_it(struct attempt *a)
{
	a->state = ATTEMPT_KILLED;
	a->due_at_ms = TIME_NEVER;
	return ATTEMPT_KILL;
}

static enum attempt_action ask_it(struct attempt *a, enum stop_why why, uint64_t grace_ms, uint64_t now_ms)
{
	a->why = why;
	if (!grace_ms)
		return kill_it(a);
	a->state = ATTEMPT_ASKED;
	a->due_at_ms = later(now_ms, grace_ms);
	return ATTEMPT_ASK;
}

enum attempt_action attempt_tick(struct attempt *a, uint64_t now_ms)
{
	if (now_ms < a->due_at_ms)
		return ATTEMPT_NOTHING;
	switch (a->state) {
	case ATTEMPT_RUNNING:
		return ask_it(a, STOP_TIMEOUT, a->grace_ms, now_ms);
	case ATTEMPT_ASKED:
		return kill_it(a);
	case ATTEMPT_WAITING:
	case ATTEMPT_KILLED:
	case ATTEMPT_SWEEPING:
	case ATTEMPT_OVER:
		break;
	}
	return ATTEMPT_NOTHING;
}

enum attempt_action attempt_stop(struct attempt *a, enum stop_why why, uint64_t grace_ms, uint64_t now_ms)
{
	assert(why != STOP_NOT);
	uint64_t until_ms;
	switch (a->state) {
	case ATTEMPT_WAITING:
		a->why = why;
		a->state = ATTEMPT_OVER;
		return ATTEMPT_FINISH;
	case ATTEMPT_RUNNING:
		return ask_it(a, why, grace_ms, now_ms);
	case ATTEMPT_ASKED:
		until_ms = later(now_ms, grace_ms);
		if (!grace_ms)
			return kill_it(a);
		if (until_ms < a->due_at_ms)
			a->due_at_ms = until_ms;
		return ATTEMPT_NOTHING;
	case ATTEMPT_KILLED:
	case ATTEMPT_SWEEPING:
	case ATTEMPT_OVER:
		break;
	}
	return ATTEMPT_NOTHING;
}

enum attempt_action attempt_ended(struct attempt *a)
{
	assert(a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_ASKED || a->state == ATTEMPT_KILLED);
	a->state = ATTEMPT_SWEEPING;
	a->due_at_ms = TIME_NEVER;
	return ATTEMPT_SWEEP;
}

enum attempt_action attempt_swept(struct attempt *a)
{
	assert(a->state == ATTEMPT_SWEEPING);
	a->state = ATTEMPT_OVER;
	return ATTEMPT_FINISH;
}
