/* Limits as text: what is read is written so that it is read again as the same. */
#include <assert.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/base/rate.h"
#include "common/base/retry_rule.h"
#include "tests/fuzz/fuzz.h"

static void check_error(const struct error *e)
{
	assert(e->text[0] && e->cure[0]);
	assert(utf8_valid((const uint8_t *)e->text, strlen(e->text)));
}

static void rates(const char *text)
{
	char shown[RATE_TEXT];
	struct rate r, again;
	struct error e;
	if (parse_rate(text, &r, &e)) {
		check_error(&e);
		return;
	}
	assert(r.tokens <= RATE_TOKENS_MAX && r.burst <= RATE_TOKENS_MAX && r.per_ms <= RATE_PER_MAX_MS && !r.tokens == !r.per_ms && !r.tokens == !r.burst);
	assert(parse_rate(format_rate(&r, shown, sizeof(shown)), &again, NULL) == 0);
	assert(r.tokens == again.tokens && r.per_ms == again.per_ms && r.burst == again.burst);
}

static void resources(const char *text, size_t len)
{
	char shown[RESOURCE_TEXT];
	struct resource_amount r, again;
	struct error e;
	if (parse_resource(text, len, &r, &e)) {
		check_error(&e);
		return;
	}
	assert(r.amount >= 1 && r.amount <= INT64_MAX && r.name[0]);
	format_resource(&r, shown, sizeof(shown));
	assert(parse_resource(shown, strlen(shown), &again, NULL) == 0 && again.amount == r.amount && strcmp(again.name, r.name) == 0);
}

static void rules(const char *text)
{
	struct retry_rule r[RETRY_RULES_MAX], again;
	char shown[RETRY_RULE_TEXT];
	size_t n = 0;
	struct error e;
	if (parse_retry_rules(text, r, &n, &e)) {
		check_error(&e);
		return;
	}
	assert(n >= 1 && n <= RETRY_RULES_MAX);
	for (size_t i = 0; i < n; i++) {
		format_retry_rule(&r[i], shown, sizeof(shown));
		assert(parse_retry_rule(shown, strlen(shown), &again, NULL) == 0);
		assert(retry_rule_covers(&r[i], &again) && retry_rule_covers(&again, &r[i]) && again.action == r[i].action && again.max_attempts == r[i].max_attempts &&
		       again.delay_ms == r[i].delay_ms);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2048];
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	rates(text);
	rules(text);
	resources(text, size);
	return 0;
}
