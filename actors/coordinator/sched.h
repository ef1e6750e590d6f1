#pragma once
/* The queue's decisions about one task, as pure functions: what follows from the end of an attempt. No clock, no I/O; time and random numbers come in. */
#include <stdbool.h>
#include <stdint.h>
#include "common/base/rng.h"
#include "proto/ledger.pb-c.h"

/* The policy that holds for a task: its own where it has one, else its queue's. */
struct sched_policy {
	Troupe__RetryPolicy__Backoff backoff;
	uint32_t max_attempts;
	uint64_t base_ms, cap_ms;
	uint32_t factor_pct, jitter_pct;
	const uint64_t *delays_ms;
	uint32_t n_delays;
	uint32_t poison_after;
	uint64_t timeout_ms, grace_ms;
	Troupe__RetryRule *const *rules;
	size_t n_rules;
};
void sched_policy_of(const Troupe__TaskSpec *spec, const Troupe__QueuePolicy *queue, struct sched_policy *ret);

/* The delay before the attempt that follows the n-th one (n from 1). */
uint64_t sched_backoff_ms(const struct sched_policy *p, uint32_t n, struct rng *rng);

enum sched_next {
	SCHED_DONE,       /* final */
	SCHED_CANCELLED,  /* final */
	SCHED_DEAD,       /* final until an operator's retry; cause */
	SCHED_AGAIN,      /* another attempt, after delay_ms */
	SCHED_RETURN,     /* as if the attempt had never been: ready again at once */
};
struct sched_verdict {
	enum sched_next next;
	Troupe__Cause cause;
	uint64_t delay_ms;
	bool counted;     /* the attempt counts */
	bool crash;       /* and it was a crash */
};
/* What follows from an attempt's end. attempts and crashes are those before it; cancel: a cancel was asked for; deadline_passed: the task's own. */
struct sched_verdict sched_judge(const struct sched_policy *p, const Troupe__Outcome *o, uint32_t attempts, uint32_t crashes, bool cancel, bool deadline_passed,
                                 struct rng *rng);

bool sched_is_final(Troupe__TaskState s);

/* Priority of a spec: absent is normal. */
#define SCHED_NORMAL 2000u
uint32_t sched_priority(const Troupe__TaskSpec *spec);

/* How many tasks a worker may hold: its slots, and as many more as it finishes in 5 ms by its moving average (at most 512 in all). */
uint32_t sched_capacity(uint32_t slots, double average_us);

/* Ageing: in a queue that has it a task's place in the ready index is its priority and what sched_ageing gave when it was accepted. The difference between two tasks is
 * then that of their priorities less that of their ages, at any time, so places need never be written again. 1000 for every ageing_ms since 2026, at most 2^32-1. */
uint64_t sched_ageing(const Troupe__QueuePolicy *q, uint64_t now_ms);
uint32_t sched_rank(const Troupe__QueuePolicy *q, uint32_t priority, uint64_t now_ms);

/* A token bucket in thousandths of tokens, as of a time. A rate without tokens is none. A clock that went back fills nothing. */
struct sched_bucket { uint64_t milli, at_ms; };
bool sched_rate_is(const Troupe__Rate *r);
/* As of now; at_ms 0: full. */
struct sched_bucket sched_bucket_fill(struct sched_bucket b, const Troupe__Rate *r, uint64_t now_ms);
uint64_t sched_bucket_wait_ms(struct sched_bucket b, const Troupe__Rate *r); /* until there is a token, of a bucket as of now */
uint64_t sched_bucket_full_ms(struct sched_bucket b, const Troupe__Rate *r); /* until it is full */
/* When the n-th (from 0) of many may begin that are spread by a rate from now on. */
uint64_t sched_spread_ms(const Troupe__Rate *r, uint64_t n);
