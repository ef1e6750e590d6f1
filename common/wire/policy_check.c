/* What only the values of a policy together can get wrong; and its parts as messages. */
#include <inttypes.h>

#include "common/base/cleanup.h"
#include "common/wire/policy.h"

static int fault(const char *key, const char **ret_key)
{
	if (ret_key)
		*ret_key = key;
	return ERROR_BAD_REQUEST;
}

static int check_retry(const Troupe__RetryPolicy *r, const char **ret_key, struct error *e)
{
	if (r->cap_ms < r->base_ms) {
		error_set(e, ERROR_BAD_REQUEST, "backoff_cap is below backoff_base");
		error_cure(e, "raise backoff_cap or lower backoff_base");
		return fault("backoff_cap", ret_key);
	}
	if (r->backoff == TROUPE__RETRY_POLICY__BACKOFF__LIST && !r->n_delays_ms) {
		error_set(e, ERROR_BAD_REQUEST, "backoff = list without a list");
		error_cure(e, "add backoff_list, such as 1s, 10s, 1m");
		return fault("backoff", ret_key);
	}
	if (r->backoff != TROUPE__RETRY_POLICY__BACKOFF__LIST && r->n_delays_ms) {
		error_set(e, ERROR_BAD_REQUEST, "backoff_list is not used");
		error_cure(e, "add backoff = list, or take the list out");
		return fault("backoff_list", ret_key);
	}
	for (size_t i = 0; i < r->n_rules; i++)
		if (r->rules[i]->max_attempts == 1 && r->rules[i]->action != TROUPE__RETRY_RULE__ACTION__DEAD) {
			error_set(e, ERROR_BAD_REQUEST, "retry rule %zu tries again, at most 1 attempt in all", i + 1);
			error_cure(e, "write dead, or at least 2 attempts");
			return fault("retry", ret_key);
		}
	return 0;
}

static int check_limits(const Troupe__QueuePolicy *p, const char **ret_key, struct error *e)
{
	struct rate all = rate_of_message(p->rate), key = rate_of_message(p->key_rate);
	if (p->full != TROUPE__QUEUE_POLICY__FULL__REJECT && !p->max_tasks && !p->max_bytes && !p->max_age_ms) {
		error_set(e, ERROR_BAD_REQUEST, "full says what happens at a cap, and there is none");
		error_cure(e, "add max_tasks, max_bytes or max_age");
		return fault("full", ret_key);
	}
	if (p->concurrency && p->key_concurrency > p->concurrency) {
		error_set(e, ERROR_BAD_REQUEST, "key_concurrency = %" PRIu32 " can never be reached: the whole queue has concurrency = %" PRIu32, p->key_concurrency, p->concurrency);
		error_cure(e, "lower key_concurrency or raise concurrency");
		return fault("key_concurrency", ret_key);
	}
	if (all.tokens && key.tokens && rate_cmp(&key, &all) > 0 && key.burst >= all.burst) {
		char text[RATE_TEXT];
		error_set(e, ERROR_BAD_REQUEST, "key_rate = %s can never be reached: the whole queue is slower", format_rate(&key, text, sizeof(text)));
		error_cure(e, "lower key_rate or raise rate");
		return fault("key_rate", ret_key);
	}
	return 0;
}

int policy_check(const Troupe__QueuePolicy *p, const char **ret_key, struct error *e)
{
	int code = p->retry ? check_retry(p->retry, ret_key, e) : 0;
	return code ? code : check_limits(p, ret_key, e);
}

struct rate rate_of_message(const Troupe__Rate *m)
{
	if (!m || !m->tokens)
		return (struct rate){ 0 };
	uint64_t burst = m->burst ? m->burst : m->tokens;
	return (struct rate){ .tokens = m->tokens < RATE_TOKENS_MAX ? m->tokens : RATE_TOKENS_MAX,
		.per_ms = m->per_ms < 1 ? 1 : m->per_ms < RATE_PER_MAX_MS ? m->per_ms : RATE_PER_MAX_MS,
		.burst = burst < RATE_TOKENS_MAX ? burst : RATE_TOKENS_MAX };
}

void rate_to_message(const struct rate *r, Troupe__Rate *m)
{
	troupe__rate__init(m);
	m->tokens = r->tokens;
	m->per_ms = r->per_ms;
	m->burst = r->burst == r->tokens ? 0 : r->burst;
}

static const struct { enum retry_kind kind; Troupe__ExitClass exit_class; } kinds[] = {
	{ RETRY_KIND_ANY, TROUPE__EXIT_CLASS__EXIT_NONE }, { RETRY_KIND_EXIT, TROUPE__EXIT_CLASS__EXIT_FAILED }, { RETRY_KIND_SIGNAL, TROUPE__EXIT_CLASS__EXIT_SIGNAL },
	{ RETRY_KIND_CORE, TROUPE__EXIT_CLASS__EXIT_CORE }, { RETRY_KIND_OOM, TROUPE__EXIT_CLASS__EXIT_OOM }, { RETRY_KIND_TIMEOUT, TROUPE__EXIT_CLASS__EXIT_TIMEOUT },
	{ RETRY_KIND_LATER, TROUPE__EXIT_CLASS__EXIT_LATER },
};
static const struct { enum retry_action action; Troupe__RetryRule__Action message; } actions[] = {
	{ RETRY_ACTION_RETRY, TROUPE__RETRY_RULE__ACTION__RETRY }, { RETRY_ACTION_NOW, TROUPE__RETRY_RULE__ACTION__NOW },
	{ RETRY_ACTION_DEAD, TROUPE__RETRY_RULE__ACTION__DEAD }, { RETRY_ACTION_LATER, TROUPE__RETRY_RULE__ACTION__LATER },
};

bool retry_rule_of_message(const Troupe__RetryRule *m, struct retry_rule *ret)
{
	bool kind = false, action = false;
	*ret = (struct retry_rule){ .from = m->code_from, .to = m->code_to, .max_attempts = m->max_attempts, .delay_ms = m->delay_ms };
	for (size_t i = 0; i < ELEMENTS(kinds); i++)
		if (kinds[i].exit_class == m->exit_class) {
			ret->kind = kinds[i].kind;
			kind = true;
		}
	for (size_t i = 0; i < ELEMENTS(actions); i++)
		if (actions[i].message == m->action) {
			ret->action = actions[i].action;
			action = true;
		}
	return kind && action;
}

void retry_rule_to_message(const struct retry_rule *r, Troupe__RetryRule *m)
{
	troupe__retry_rule__init(m);
	m->exit_class = kinds[r->kind].exit_class;
	m->code_from = r->from;
	m->code_to = r->to;
	m->action = actions[r->action].message;
	m->max_attempts = r->max_attempts;
	m->delay_ms = r->delay_ms;
}
