#include "actors/coordinator/sched.h"

#define PREFETCH_US 5000.0
#define PREFETCH_MAX 512u

void sched_policy_of(const Troupe__TaskSpec *spec, const Troupe__QueuePolicy *queue, struct sched_policy *ret)
{
	const Troupe__RetryPolicy *own = spec->retry, *def = queue->retry;
	const Troupe__RetryPolicy *shape = own && (own->base_ms || own->n_delays_ms) ? own : def;
	*ret = (struct sched_policy){ .max_attempts = own && own->max_attempts ? own->max_attempts : def ? def->max_attempts : 1, .poison_after = queue->poison_after,
		.timeout_ms = spec->timeout_ms ? spec->timeout_ms : queue->timeout_ms, .grace_ms = queue->grace_ms };
	if (shape) {
		ret->backoff = shape->backoff;
		ret->base_ms = shape->base_ms;
		ret->cap_ms = shape->cap_ms;
		ret->factor_pct = shape->factor_pct;
		ret->jitter_pct = shape->jitter_pct;
		ret->delays_ms = shape->delays_ms;
		ret->n_delays = (uint32_t)shape->n_delays_ms;
	}
}

uint64_t sched_backoff_ms(const struct sched_policy *p, uint32_t n, struct rng *rng)
{
	const uint64_t ceiling = 365ull * 24 * 3600 * 1000;
	uint64_t cap = p->cap_ms && p->cap_ms < ceiling ? p->cap_ms : ceiling;
	uint64_t delay = p->base_ms < cap ? p->base_ms : cap;
	switch (p->backoff) {
	case TROUPE__RETRY_POLICY__BACKOFF__LIST:
		delay = p->n_delays ? p->delays_ms[n <= p->n_delays ? n - 1 : p->n_delays - 1] : 0;
		break;
	case TROUPE__RETRY_POLICY__BACKOFF__LINEAR:
		delay = n && delay > cap / n ? cap : delay * n;
		break;
	case TROUPE__RETRY_POLICY__BACKOFF__EXPONENTIAL:
	case _TROUPE__RETRY_POLICY__BACKOFF_IS_INT_SIZE:
		for (uint32_t i = 1; i < n && delay < cap && p->factor_pct > 100; i++)
			delay = delay > cap / p->factor_pct * 100 ? cap : delay * p->factor_pct / 100;
		break;
	}
	if (delay > cap)
		delay = cap;
	uint32_t jitter = p->jitter_pct > 100 ? 100 : p->jitter_pct;
	uint64_t spread = delay / 100 * jitter + delay % 100 * jitter / 100;
	return spread ? delay - spread + rng_below(rng, 2 * spread + 1) : delay;
}

static bool is_crash(Troupe__ExitClass c)
{
	return c == TROUPE__EXIT_CLASS__EXIT_SIGNAL || c == TROUPE__EXIT_CLASS__EXIT_CORE || c == TROUPE__EXIT_CLASS__EXIT_OOM;
}

struct sched_verdict sched_judge(const struct sched_policy *p, const Troupe__Outcome *o, uint32_t attempts, uint32_t crashes, bool cancel, bool deadline_passed,
                                 struct rng *rng)
{
	struct sched_verdict v = { .next = SCHED_AGAIN, .counted = true };
	if (o->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE) {
		v.next = SCHED_DONE;
		return v;
	}
	if (o->exit_class == TROUPE__EXIT_CLASS__EXIT_LOST || o->exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN || o->exit_class == TROUPE__EXIT_CLASS__EXIT_NONE)
		v.counted = false;
	if (cancel) {
		v.next = SCHED_CANCELLED;
		return v;
	}
	if (deadline_passed) {
		v.next = SCHED_DEAD;
		v.cause = TROUPE__CAUSE__EXPIRED;
		return v;
	}
	if (!v.counted) {
		v.next = SCHED_RETURN;
		return v;
	}
	v.crash = is_crash(o->exit_class);
	if (o->exit_class == TROUPE__EXIT_CLASS__EXIT_REJECTED) {
		v.next = SCHED_DEAD;
		v.cause = TROUPE__CAUSE__REJECTED;
	} else if (v.crash && p->poison_after && crashes + 1 >= p->poison_after) {
		v.next = SCHED_DEAD;
		v.cause = TROUPE__CAUSE__POISON;
	} else if (attempts + 1 >= p->max_attempts) {
		v.next = SCHED_DEAD;
		v.cause = TROUPE__CAUSE__EXHAUSTED;
	} else {
		v.delay_ms = sched_backoff_ms(p, attempts + 1, rng);
		if (o->retry_after_ms > v.delay_ms)
			v.delay_ms = o->retry_after_ms;
	}
	return v;
}

bool sched_is_final(Troupe__TaskState s)
{
	return s == TROUPE__TASK_STATE__DONE || s == TROUPE__TASK_STATE__CANCELLED || s == TROUPE__TASK_STATE__DEAD;
}

uint32_t sched_priority(const Troupe__TaskSpec *spec)
{
	return spec->priority ? spec->priority->value : SCHED_NORMAL;
}

uint32_t sched_capacity(uint32_t slots, double average_us)
{
	if (average_us <= 0.0 || slots >= PREFETCH_MAX)
		return slots;
	double more = PREFETCH_US / average_us * slots;
	uint32_t room = PREFETCH_MAX - slots;
	return slots + (more >= room ? room : (uint32_t)more);
}
