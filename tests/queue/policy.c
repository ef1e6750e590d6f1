/* The policies of queues and of retries, field by field, by their names in the configuration. */
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "tests/queue/text.h"

#define LIST_MAX 128u

Troupe__Rate *value_rate(struct arena *a, const char *s)
{
	Troupe__Rate *r = arena_alloc(a, sizeof *r);
	char *copy = arena_string(a, s), *per, *burst;
	MUST(r && copy);
	troupe__rate__init(r);
	if (strcmp(s, "none") == 0)
		return r;
	if (!(per = strchr(copy, '/')))
		wrong("%s is no rate: write 10/s, 100/5m, 10/s:20", s);
	*per++ = 0;
	if ((burst = strchr(per, ':')))
		*burst++ = 0;
	r->tokens = value_number(copy);
	r->per_ms = *per >= '0' && *per <= '9' ? value_ms(per) : value_ms(arena_printf(a, "1%s", per));
	r->burst = burst ? value_number(burst) : 0;
	return r;
}

size_t value_resources(struct arena *a, const char *s, Troupe__Resource ***ret)
{
	char *copy = arena_string(a, s), *all[LIST_MAX];
	size_t n = text_split(copy, ',', all, LIST_MAX);
	MUST((*ret = arena_alloc(a, (n + 1) * sizeof **ret)));
	for (size_t i = 0; i < n; i++) {
		char *amount = strchr(all[i], ':');
		Troupe__Resource *r = (*ret)[i] = arena_alloc(a, sizeof *r);
		MUST(r);
		troupe__resource__init(r);
		if (amount)
			*amount++ = 0;
		r->name = all[i];
		r->amount = amount ? value_bytes(amount) : 1;
	}
	return n;
}

/* CLASS[/CODE[-CODE]]:ACTION[:DELAY][:xATTEMPTS] */
static Troupe__RetryRule *read_rule(struct arena *a, char *s)
{
	Troupe__RetryRule *r = arena_alloc(a, sizeof *r);
	char *part[4], *code;
	size_t n = text_split(s, ':', part, 4);
	MUST(r);
	troupe__retry_rule__init(r);
	if (n < 2)
		wrong("a rule is CLASS[/CODE[-CODE]]:retry|now|dead|later[:DELAY][:xATTEMPTS]");
	if ((code = strchr(part[0], '/'))) {
		*code++ = 0;
		char *to = strchr(code, '-');
		if (to)
			*to++ = 0;
		r->code_from = (uint32_t)value_number(code);
		r->code_to = to ? (uint32_t)value_number(to) : r->code_from;
	}
	r->exit_class = (Troupe__ExitClass)VALUE_WORD(part[0], "exit class", "any", "done", "failed", "later", "rejected", "broken", "signal", "core", "oom", "timeout", "lost", "cancelled");
	r->action = (Troupe__RetryRule__Action)VALUE_WORD(part[1], "action", "retry", "now", "dead", "later");
	for (size_t i = 2; i < n; i++) {
		if (*part[i] == 'x')
			r->max_attempts = (uint32_t)value_number(part[i] + 1);
		else
			r->delay_ms = value_ms(part[i]);
	}
	return r;
}

static void read_rules(struct arena *a, Troupe__RetryPolicy *p, const char *value)
{
	char *all[LIST_MAX];
	p->n_rules = text_split(arena_string(a, value), ',', all, LIST_MAX);
	MUST((p->rules = arena_alloc(a, (p->n_rules + 1) * sizeof *p->rules)));
	for (size_t i = 0; i < p->n_rules; i++)
		p->rules[i] = read_rule(a, all[i]);
}

static void read_delays(struct arena *a, Troupe__RetryPolicy *p, const char *value)
{
	char *all[LIST_MAX];
	p->n_delays_ms = text_split(arena_string(a, value), ',', all, LIST_MAX);
	MUST((p->delays_ms = arena_alloc(a, (p->n_delays_ms + 1) * sizeof *p->delays_ms)));
	for (size_t i = 0; i < p->n_delays_ms; i++)
		p->delays_ms[i] = value_ms(all[i]);
	p->backoff = TROUPE__RETRY_POLICY__BACKOFF__LIST;
}

bool retry_set(struct arena *a, Troupe__RetryPolicy *p, const char *name, const char *value)
{
	if (strcmp(name, "max_attempts") == 0)
		p->max_attempts = (uint32_t)value_number(value);
	else if (strcmp(name, "backoff") == 0)
		p->backoff = (Troupe__RetryPolicy__Backoff)VALUE_WORD(value, "kind of backoff", "exponential", "linear", "list");
	else if (strcmp(name, "backoff_base") == 0)
		p->base_ms = value_ms(value);
	else if (strcmp(name, "backoff_factor") == 0)
		p->factor_pct = (uint32_t)value_number(value) * 100;
	else if (strcmp(name, "backoff_cap") == 0)
		p->cap_ms = value_ms(value);
	else if (strcmp(name, "backoff_list") == 0)
		read_delays(a, p, value);
	else if (strcmp(name, "jitter") == 0)
		p->jitter_pct = (uint32_t)value_number(value);
	else if (strcmp(name, "rules") == 0)
		read_rules(a, p, value);
	else
		return false;
	return true;
}

bool field_set(struct arena *a, Troupe__QueuePolicy *p, const char *name, const char *value)
{
	const struct { const char *name; uint64_t *ms; } times[] = { { "timeout", &p->timeout_ms }, { "grace", &p->grace_ms }, { "result_ttl", &p->result_ttl_ms },
		{ "max_age", &p->max_age_ms }, { "ageing", &p->ageing_ms } };
	const struct { const char *name; uint64_t *n; } sizes[] = { { "result_max", &p->result_max }, { "max_tasks", &p->max_tasks }, { "max_bytes", &p->max_bytes } };
	const struct { const char *name; uint32_t *n; } numbers[] = { { "poison_after", &p->poison_after }, { "concurrency", &p->concurrency },
		{ "key_concurrency", &p->key_concurrency } };
	if (p->retry && retry_set(a, p->retry, name, value))
		return true;
	for (size_t i = 0; i < ELEMENTS(times); i++)
		if (strcmp(times[i].name, name) == 0)
			return *times[i].ms = value_ms(value), true;
	for (size_t i = 0; i < ELEMENTS(sizes); i++)
		if (strcmp(sizes[i].name, name) == 0)
			return *sizes[i].n = value_bytes(value), true;
	for (size_t i = 0; i < ELEMENTS(numbers); i++)
		if (strcmp(numbers[i].name, name) == 0)
			return *numbers[i].n = (uint32_t)value_number(value), true;
	if (strcmp(name, "full") == 0)
		p->full = (Troupe__QueuePolicy__Full)VALUE_WORD(value, "answer of a full queue", "reject", "block", "drop_oldest");
	else if (strcmp(name, "rate") == 0)
		p->rate = value_rate(a, value);
	else if (strcmp(name, "key_rate") == 0)
		p->key_rate = value_rate(a, value);
	else if (strcmp(name, "fair") == 0)
		p->fair = VALUE_WORD(value, "answer", "no", "yes");
	else
		return false;
	return true;
}
