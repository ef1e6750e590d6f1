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
	const Troupe__RetryPolicy *rules = own && own->n_rules ? own : def;
	if (rules) {
		ret->rules = rules->rules;
		ret->n_rules = rules->n_rules;
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

/* A death by a signal is one whether the core was dumped or not: that depends on the machine. */
static bool rule_of_class(const Troupe__RetryRule *r, Troupe__ExitClass c)
{
	return r->exit_class == TROUPE__EXIT_CLASS__EXIT_NONE || r->exit_class == c || (r->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL && c == TROUPE__EXIT_CLASS__EXIT_CORE);
}

/* The first rule that speaks of such an end. */
static const Troupe__RetryRule *rule_for(const struct sched_policy *p, const Troupe__Outcome *o)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const Troupe__RetryRule *r = p->rules[i];
		bool by_signal = o->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL || o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE;
		uint32_t code = (uint32_t)(by_signal ? o->signal : o->exit_code), to = r->code_to ? r->code_to : r->code_from;
		if (!rule_of_class(r, o->exit_class))
			continue;
		if ((r->code_from || r->code_to) && (code < r->code_from || code > to))
			continue;
		return r;
	}
	return NULL;
}

static void again(struct sched_verdict *v, const struct sched_policy *p, const Troupe__Outcome *o, uint32_t attempts, uint32_t max_attempts, uint64_t delay_ms)
{
	if (attempts + 1 >= max_attempts) {
		v->next = SCHED_DEAD;
		v->cause = TROUPE__CAUSE__EXHAUSTED;
		return;
	}
	v->delay_ms = o->retry_after_ms > delay_ms ? o->retry_after_ms : delay_ms;
}

/* true: the rule has decided. */
static bool by_rule(struct sched_verdict *v, const struct sched_policy *p, const Troupe__Outcome *o, uint32_t attempts, struct rng *rng)
{
	const Troupe__RetryRule *r = rule_for(p, o);
	if (!r)
		return false;
	switch (r->action) {
	case TROUPE__RETRY_RULE__ACTION__RETRY:
		again(v, p, o, attempts, r->max_attempts ? r->max_attempts : p->max_attempts, r->delay_ms ? r->delay_ms : sched_backoff_ms(p, attempts + 1, rng));
		return true;
	case TROUPE__RETRY_RULE__ACTION__NOW:
		again(v, p, o, attempts, r->max_attempts ? r->max_attempts : p->max_attempts, 0);
		return true;
	case TROUPE__RETRY_RULE__ACTION__DEAD:
		v->next = SCHED_DEAD;
		v->cause = TROUPE__CAUSE__REJECTED;
		return true;
	case TROUPE__RETRY_RULE__ACTION__LATER:
		v->counted = false;
		v->delay_ms = r->delay_ms ? r->delay_ms : sched_backoff_ms(p, 1, rng);
		if (o->retry_after_ms > v->delay_ms)
			v->delay_ms = o->retry_after_ms;
		return true;
	case _TROUPE__RETRY_RULE__ACTION_IS_INT_SIZE:
		break;
	}
	return false;
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
	} else if (!by_rule(&v, p, o, attempts, rng)) {
		again(&v, p, o, attempts, p->max_attempts, sched_backoff_ms(p, attempts + 1, rng));
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

#define AGEING_FROM_MS 1767225600000ull /* 2026-01-01, so that 32 bits last */

uint64_t sched_ageing(const Troupe__QueuePolicy *q, uint64_t now_ms)
{
	if (!q->ageing_ms || now_ms <= AGEING_FROM_MS)
		return 0;
	uint64_t since = now_ms - AGEING_FROM_MS;
	return since / q->ageing_ms * 1000 + since % q->ageing_ms * 1000 / q->ageing_ms;
}

uint32_t sched_rank(const Troupe__QueuePolicy *q, uint32_t priority, uint64_t now_ms)
{
	uint64_t rank = priority + sched_ageing(q, now_ms);
	return rank > UINT32_MAX ? UINT32_MAX : (uint32_t)rank;
}

bool sched_rate_is(const Troupe__Rate *r)
{
	return r && r->tokens && r->per_ms;
}

static uint64_t burst_milli(const Troupe__Rate *r)
{
	return (r->burst ? r->burst : r->tokens) * 1000;
}

struct sched_bucket sched_bucket_fill(struct sched_bucket b, const Troupe__Rate *r, uint64_t now_ms)
{
	uint64_t most = burst_milli(r);
	if (!b.at_ms) {
		b.milli = most;
	} else if (now_ms > b.at_ms) {
		double more = (double)(now_ms - b.at_ms) * (double)r->tokens * 1000.0 / (double)r->per_ms;
		uint64_t room = most > b.milli ? most - b.milli : 0;
		uint64_t whole = more >= (double)room ? room : (uint64_t)more;
		if (!whole && room)
			return b; /* time is kept until it is worth a thousandth */
		b.milli += whole;
	}
	if (b.milli > most)
		b.milli = most;
	b.at_ms = now_ms > b.at_ms ? now_ms : b.at_ms;
	return b;
}

static uint64_t until_ms(uint64_t milli, const Troupe__Rate *r)
{
	double ms = (double)milli * (double)r->per_ms / ((double)r->tokens * 1000.0);
	uint64_t whole = ms > 1e15 ? (uint64_t)1e15 : (uint64_t)ms;
	return whole + ((double)whole < ms); /* at that time it is there */
}

uint64_t sched_bucket_wait_ms(struct sched_bucket b, const Troupe__Rate *r)
{
	return b.milli >= 1000 ? 0 : until_ms(1000 - b.milli, r);
}

uint64_t sched_bucket_full_ms(struct sched_bucket b, const Troupe__Rate *r)
{
	return b.milli >= burst_milli(r) ? 0 : until_ms(burst_milli(r) - b.milli, r);
}

uint64_t sched_spread_ms(const Troupe__Rate *r, uint64_t n)
{
	double ms = (double)n * (double)r->per_ms / (double)r->tokens;
	return ms > 1e15 ? (uint64_t)1e15 : (uint64_t)ms;
}
