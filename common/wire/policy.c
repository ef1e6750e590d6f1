#include "common/wire/policy.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"

#define DAY_MS (24ull * 3600 * 1000)
#define COUNT_MAX 1000000u
#define DELAYS_MAX 32u

enum kind { NUMBER32, NUMBER64, FACTOR, DURATION, SIZE, FLAG, WORD, RATE, RULES, DELAYS };

struct key {
	const char *name;
	enum kind kind;
	bool of_retry;              /* a member of the policy's RetryPolicy */
	size_t offset;
	uint64_t least, most;
	bool none;                  /* 0 means no limit, and may be written "none" */
	const char *words[4];       /* of WORD, in the order of the enum */
};

#define OF(member) false, offsetof(Troupe__QueuePolicy, member)
#define OF_RETRY(member) true, offsetof(Troupe__RetryPolicy, member)

/* clang-format off */
static const struct key keys[] = {
	{ "max_attempts", NUMBER32, OF_RETRY(max_attempts), 1, RETRY_ATTEMPTS_MAX },
	{ "backoff", WORD, OF_RETRY(backoff), .words = { "exponential", "linear", "list" } },
	{ "backoff_base", DURATION, OF_RETRY(base_ms), 0, DAY_MS },
	{ "backoff_factor", FACTOR, OF_RETRY(factor_pct), 1, 100 },
	{ "backoff_cap", DURATION, OF_RETRY(cap_ms), 0, 30 * DAY_MS },
	{ "backoff_list", DELAYS, OF_RETRY(delays_ms) },
	{ "jitter", NUMBER32, OF_RETRY(jitter_pct), 0, 100 },
	{ "retry", RULES, OF_RETRY(rules) },
	{ "timeout", DURATION, OF(timeout_ms), 0, 30 * DAY_MS, .none = true },
	{ "grace", DURATION, OF(grace_ms), 0, 3600000 },
	{ "poison_after", NUMBER32, OF(poison_after), 0, 1000, .none = true },
	{ "result_max", SIZE, OF(result_max), 0, 768 * 1024 },
	{ "result_ttl", DURATION, OF(result_ttl_ms), 3600000, 3650 * DAY_MS },
	{ "max_tasks", NUMBER64, OF(max_tasks), 0, UINT64_MAX, .none = true },
	{ "max_bytes", SIZE, OF(max_bytes), 0, UINT64_MAX / 2, .none = true },
	{ "max_age", DURATION, OF(max_age_ms), 1000, 365 * DAY_MS, .none = true },
	{ "full", WORD, OF(full), .words = { "reject", "block", "drop_oldest" } },
	{ "concurrency", NUMBER32, OF(concurrency), 0, COUNT_MAX, .none = true },
	{ "rate", RATE, OF(rate) },
	{ "key_concurrency", NUMBER32, OF(key_concurrency), 1, COUNT_MAX },
	{ "key_rate", RATE, OF(key_rate) },
	{ "ageing", DURATION, OF(ageing_ms), 60000, 365 * DAY_MS, .none = true },
	{ "fair", FLAG, OF(fair) },
};
/* clang-format on */

const char *const policy_keys[] = { "max_attempts", "backoff", "backoff_base", "backoff_factor", "backoff_cap", "backoff_list", "jitter", "retry", "timeout", "grace",
	"poison_after", "result_max", "result_ttl", "max_tasks", "max_bytes", "max_age", "full", "concurrency", "rate", "key_concurrency", "key_rate", "ageing", "fair", NULL };
_Static_assert(ELEMENTS(keys) + 1 == ELEMENTS(policy_keys), "every key has its row");

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < ELEMENTS(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

bool policy_key_known(const char *key) { return key_find(key) != NULL; }

bool policy_key_is_list(const char *key)
{
	const struct key *k = key_find(key);
	return k && (k->kind == RULES || k->kind == DELAYS);
}

Troupe__QueuePolicy *policy_new(const char *name)
{
	Troupe__QueuePolicy *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	troupe__queue_policy__init(p);
	p->name = strdup(name);
	p->retry = calloc(1, sizeof *p->retry);
	p->rate = calloc(1, sizeof *p->rate);
	p->key_rate = calloc(1, sizeof *p->key_rate);
	if (!p->name || !p->retry || !p->rate || !p->key_rate) {
		p->name = p->name ? p->name : (char *)(uintptr_t)protobuf_c_empty_string;
		policy_free(p);
		return NULL;
	}
	troupe__retry_policy__init(p->retry);
	troupe__rate__init(p->rate);
	troupe__rate__init(p->key_rate);
	p->retry->max_attempts = 3;
	p->retry->base_ms = 1000;
	p->retry->factor_pct = 200;
	p->retry->cap_ms = 600000;
	p->retry->jitter_pct = 20;
	p->timeout_ms = 3600000;
	p->grace_ms = 5000;
	p->result_ttl_ms = DAY_MS;
	p->result_max = 64 * 1024;
	p->poison_after = 3;
	p->key_concurrency = 1;
	return p;
}

void policy_free(Troupe__QueuePolicy *p)
{
	if (p)
		troupe__queue_policy__free_unpacked(p, NULL);
}

Troupe__QueuePolicy *policy_copy(const Troupe__QueuePolicy *p)
{
	Troupe__QueuePolicy *copy = policy_new(p->name ? p->name : "");
	for (size_t i = 0; copy && i < ELEMENTS(keys); i++)
		if (policy_take(copy, p, keys[i].name, NULL) < 0) {
			policy_free(copy);
			return NULL;
		}
	if (copy)
		copy->auto_created = p->auto_created;
	return copy;
}

/* --- from text --- */

static int complain(const struct key *k, const struct error *why, struct error *e)
{
	error_set(e, ERROR_BAD_REQUEST, "%s: %s", k->name, why->text);
	error_cure(e, "%s", why->cure);
	return ERROR_BAD_REQUEST;
}

static int range(const struct key *k, const char *value, const char *low, const char *high, struct error *e)
{
	error_set(e, ERROR_BAD_REQUEST, "%s = %.64s is not within %s to %s", k->name, value, low, high);
	error_cure(e, k->none ? "choose a value inside, or none" : "choose a value inside");
	return ERROR_BAD_REQUEST;
}

/* A number, duration or size within the key's limits. */
static int read_amount(const struct key *k, const char *value, uint64_t *ret, struct error *e)
{
	char low[32], high[32];
	struct error why = { .code = ERROR_NONE };
	uint64_t v;
	int code;
	if (k->none && (!strcmp(value, "none") || !strcmp(value, "0"))) {
		*ret = 0;
		return 0;
	}
	if (k->kind == DURATION) {
		code = parse_duration(value, &v, &why);
		format_duration(k->least, low, sizeof low);
		format_duration(k->most, high, sizeof high);
	} else if (k->kind == SIZE) {
		code = parse_size(value, &v, &why);
		format_size(k->least, low, sizeof low);
		format_size(k->most, high, sizeof high);
	} else {
		code = parse_number(value, 0, UINT64_MAX, &v, &why);
		if (code)
			error_cure(&why, "write a whole number");
		snprintf(low, sizeof low, "%" PRIu64, k->least);
		snprintf(high, sizeof high, "%" PRIu64, k->most);
	}
	if (code)
		return complain(k, &why, e);
	if ((v < k->least || v > k->most) && !(k->none && v == 0))
		return range(k, value, low, high, e);
	*ret = v;
	return 0;
}

static int set_word(const struct key *k, uint32_t *at, const char *value, struct error *e)
{
	char all[64] = "";
	for (uint32_t i = 0; i < ELEMENTS(k->words) && k->words[i]; i++) {
		if (!strcmp(k->words[i], value)) {
			*at = i;
			return 0;
		}
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", !i ? "" : i + 1 < ELEMENTS(k->words) && k->words[i + 1] ? ", " : " or ", k->words[i]);
	}
	error_set(e, ERROR_BAD_REQUEST, "%s = %.64s is not known", k->name, value);
	error_cure(e, "write %s", all);
	return ERROR_BAD_REQUEST;
}

static int set_rate(const struct key *k, Troupe__Rate *m, const char *value, struct error *e)
{
	struct error why = { .code = ERROR_NONE };
	struct rate r;
	if (parse_rate(value, &r, &why))
		return complain(k, &why, e);
	rate_to_message(&r, m);
	return 0;
}

static void rules_drop(Troupe__RetryPolicy *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		free(p->rules[i]);
	free(p->rules);
	p->rules = NULL;
	p->n_rules = 0;
}

static int set_rules(const struct key *k, Troupe__RetryPolicy *p, const char *value, struct error *e)
{
	struct error why = { .code = ERROR_NONE };
	struct retry_rule rules[RETRY_RULES_MAX];
	size_t n = 0;
	if (*value && strcmp(value, "none") != 0 && parse_retry_rules(value, rules, &n, &why))
		return complain(k, &why, e);
	rules_drop(p);
	p->rules = n ? calloc(n, sizeof *p->rules) : NULL;
	if (n && !p->rules)
		return -ENOMEM;
	for (; p->n_rules < n; p->n_rules++) {
		p->rules[p->n_rules] = calloc(1, sizeof **p->rules);
		if (!p->rules[p->n_rules])
			return -ENOMEM;
		retry_rule_to_message(&rules[p->n_rules], p->rules[p->n_rules]);
	}
	return 0;
}

static int set_delays(const struct key *k, Troupe__RetryPolicy *p, const char *value, struct error *e)
{
	struct error why = { .code = ERROR_NONE };
	uint64_t delays[DELAYS_MAX];
	size_t n = 0;
	const char *s = strcmp(value, "none") == 0 ? "" : value;
	while (*s) {
		char text[64];
		s += strspn(s, " \t");
		size_t len = strcspn(s, ",");
		snprintf(text, sizeof text, "%.*s", (int)(len < 60 ? len : 60), s);
		if (n == DELAYS_MAX)
			return error_set(e, ERROR_BAD_REQUEST, "%s has more than %u delays", k->name, DELAYS_MAX);
		if (parse_duration(text, &delays[n++], &why))
			return complain(k, &why, e);
		s += len + (s[len] == ',');
	}
	uint64_t *copy = n ? malloc(n * sizeof *copy) : NULL;
	if (n && !copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, delays, n * sizeof *copy);
	free(p->delays_ms);
	p->delays_ms = copy;
	p->n_delays_ms = n;
	return 0;
}

int policy_set(Troupe__QueuePolicy *p, const char *key, const char *value, struct error *e)
{
	const struct key *k = key_find(key);
	struct error why = { .code = ERROR_NONE };
	uint64_t v = 0;
	bool flag;
	int code = 0;
	if (!k) {
		const char *best = suggest(key, policy_keys, ELEMENTS(keys));
		error_set(e, ERROR_BAD_REQUEST, "a queue has no key '%.40s'", key);
		if (best)
			error_cure(e, "did you mean %s?", best);
		else
			error_cure(e, "troupe.conf(5) has them all, under queue");
		return ERROR_BAD_REQUEST;
	}
	char *at = (k->of_retry ? (char *)p->retry : (char *)p) + k->offset;
	switch (k->kind) {
	case NUMBER32:
	case FACTOR:
		code = read_amount(k, value, &v, e);
		if (code == 0)
			*(uint32_t *)(void *)at = (uint32_t)v * (k->kind == FACTOR ? 100 : 1);
		return code;
	case NUMBER64:
	case DURATION:
	case SIZE:
		code = read_amount(k, value, &v, e);
		if (code == 0)
			*(uint64_t *)(void *)at = v;
		return code;
	case FLAG:
		if (parse_bool(value, &flag, &why)) {
			error_cure(&why, "write yes or no");
			return complain(k, &why, e);
		}
		*(protobuf_c_boolean *)(void *)at = flag;
		return 0;
	case WORD:
		return set_word(k, (uint32_t *)(void *)at, value, e);
	case RATE:
		return set_rate(k, *(Troupe__Rate **)(void *)at, value, e);
	case RULES:
		return set_rules(k, p->retry, value, e);
	case DELAYS:
		return set_delays(k, p->retry, value, e);
	}
	return code;
}

/* --- to text --- */

static void put(char *out, size_t size, const char *text)
{
	size_t len = strlen(out);
	if (len < size)
		snprintf(out + len, size - len, "%s%s", len ? ", " : "", text);
}

static void get_rules(const Troupe__RetryPolicy *p, char *out, size_t size)
{
	char text[RETRY_RULE_TEXT];
	for (size_t i = 0; i < p->n_rules; i++) {
		struct retry_rule r;
		put(out, size, retry_rule_of_message(p->rules[i], &r) ? format_retry_rule(&r, text, sizeof text) : "unknown");
	}
}

static void get_amount(const struct key *k, uint64_t v, char *out, size_t size)
{
	if (k->none && v == 0)
		snprintf(out, size, "none");
	else if (k->kind == DURATION)
		format_duration(v, out, size);
	else if (k->kind == SIZE)
		format_size_exact(v, out, size);
	else
		snprintf(out, size, "%" PRIu64, v);
}

const char *policy_get(const Troupe__QueuePolicy *p, const char *key, char *out, size_t size)
{
	static const Troupe__RetryPolicy no_retry = TROUPE__RETRY_POLICY__INIT;
	const struct key *k = key_find(key);
	const Troupe__RetryPolicy *retry = p->retry ? p->retry : &no_retry;
	char text[32];
	out[0] = '\0';
	if (!k)
		return out;
	const char *at = (k->of_retry ? (const char *)retry : (const char *)p) + k->offset;
	uint32_t small;
	switch (k->kind) {
	case NUMBER32:
	case FACTOR:
		small = *(const uint32_t *)(const void *)at / (k->kind == FACTOR ? 100 : 1);
		if (small < k->least) /* absent in a message: the least is the standard value */
			small = (uint32_t)k->least;
		get_amount(k, small, out, size);
		break;
	case NUMBER64:
	case DURATION:
	case SIZE:
		get_amount(k, *(const uint64_t *)(const void *)at, out, size);
		break;
	case FLAG:
		snprintf(out, size, "%s", *(const protobuf_c_boolean *)(const void *)at ? "yes" : "no");
		break;
	case WORD:
		small = *(const uint32_t *)(const void *)at;
		snprintf(out, size, "%s", small < ELEMENTS(k->words) && k->words[small] ? k->words[small] : "unknown");
		break;
	case RATE: {
		struct rate r = rate_of_message(*(Troupe__Rate *const *)(const void *)at);
		format_rate(&r, out, size);
		break;
	}
	case RULES:
		get_rules(retry, out, size);
		break;
	case DELAYS:
		for (size_t i = 0; i < retry->n_delays_ms; i++)
			put(out, size, format_duration(retry->delays_ms[i], text, sizeof text));
		break;
	}
	if (!*out && policy_key_is_list(key))
		snprintf(out, size, "none");
	return out;
}

int policy_take(Troupe__QueuePolicy *to, const Troupe__QueuePolicy *from, const char *key, struct error *e)
{
	char text[POLICY_TEXT];
	return policy_set(to, key, policy_get(from, key, text, sizeof text), e);
}
