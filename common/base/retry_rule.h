#pragma once
/* Retry rules as text: what follows from one kind of end.
 *
 *     KIND [FROM[-TO]]: ACTION [MAX] [DELAY]
 *
 *     exit 3: dead                 KIND    exit FROM-TO   a failed attempt, by its exit status, 1 to 255
 *     exit 70-79: later 5m                 signal FROM-TO killed by a signal, by number or name (signal SEGV), with a core dump or without
 *     signal SEGV: dead                    core FROM-TO   the same with one
 *     oom: retry 2                         oom            killed because memory was short
 *     timeout: now                         timeout        killed because it took too long
 *     any: retry 5 30s                     later          the program asked to be tried again
 *                                          any            each of these, and what the program rejected
 *                                  ACTION  retry          again, at most MAX attempts in all, after DELAY; without them as the policy says
 *                                          now            again without a delay, at most MAX attempts in all
 *                                          dead           at once
 *                                          later          again after DELAY, and the attempt does not count
 *
 * MAX is a bare number, a DELAY has a unit. The first rule that fits decides. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"

#define RETRY_RULES_MAX 32u
#define RETRY_ATTEMPTS_MAX 1000u
#define RETRY_DELAY_MAX_MS (30ull * 24 * 3600 * 1000)
#define RETRY_RULE_TEXT 96

enum retry_kind { RETRY_KIND_ANY, RETRY_KIND_EXIT, RETRY_KIND_SIGNAL, RETRY_KIND_CORE, RETRY_KIND_OOM, RETRY_KIND_TIMEOUT, RETRY_KIND_LATER };
enum retry_action { RETRY_ACTION_RETRY, RETRY_ACTION_NOW, RETRY_ACTION_DEAD, RETRY_ACTION_LATER };

struct retry_rule {
	enum retry_kind kind;
	uint32_t from, to;             /* of the exit status, or the signal; both 0: any */
	enum retry_action action;
	uint32_t max_attempts;         /* 0: the policy's */
	uint64_t delay_ms;             /* 0: the policy's */
};

/* One rule. 0, or ERROR_BAD_REQUEST with a text and a cure: also for one that can never fit. */
int parse_retry_rule(const char *s, size_t len, struct retry_rule *ret, struct error *e);
/* As parse_retry_rule reads it back; returns out, of RETRY_RULE_TEXT bytes. */
const char *format_retry_rule(const struct retry_rule *r, char *out, size_t size);
/* Whether every end that b fits is one that a fits. */
bool retry_rule_covers(const struct retry_rule *a, const struct retry_rule *b);
/* Several, with commas between them. 0 with *ret_n of at most RETRY_RULES_MAX; ERROR_BAD_REQUEST also where one can never be reached behind another. */
int parse_retry_rules(const char *s, struct retry_rule ret[RETRY_RULES_MAX], size_t *ret_n, struct error *e);
/* 0, or ERROR_BAD_REQUEST with the number of the rule that is never reached, from 1, as e's index. */
int retry_rules_check(const struct retry_rule *rules, size_t n, struct error *e);
