#include "common/base/retry_rule.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"

#define WORD 40
#define SIGNAL_MAX 64

static const char *const kinds[] = { "any", "exit", "signal", "core", "oom", "timeout", "later" };
static const char *const actions[] = { "retry", "now", "dead", "later" };

static int bad(const char *s, size_t len, const char *wrong, const char *cure, struct error *e)
{
	error_set(e, ERROR_BAD_REQUEST, "retry rule \"%.*s\" %s", (int)(len < 64 ? len : 64), s, wrong);
	error_cure(e, "%s", cure);
	return ERROR_BAD_REQUEST;
}

/* The next word of [*s, end): *s is behind it. "" at the end; false where it is longer than any that is known. */
static bool next_word(const char **s, const char *end, char out[WORD])
{
	size_t n = 0;
	while (*s < end && (**s == ' ' || **s == '\t'))
		(*s)++;
	while (*s + n < end && (*s)[n] != ' ' && (*s)[n] != '\t')
		n++;
	if (n >= WORD)
		return false;
	memcpy(out, *s, n);
	out[n] = '\0';
	*s += n;
	return true;
}

static bool find(const char *word, const char *const *words, size_t n, unsigned *ret)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(words[i], word)) {
			*ret = i;
			return true;
		}
	return false;
}

static bool read_code(const char *s, size_t len, enum retry_kind kind, uint32_t *ret)
{
	char text[WORD];
	uint64_t v;
	snprintf(text, sizeof(text), "%.*s", (int)len, s);
	if (parse_number(text, 1, kind == RETRY_KIND_EXIT ? 255 : SIGNAL_MAX, &v, NULL) == 0) {
		*ret = (uint32_t)v;
		return true;
	}
	const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
	for (int i = 1; i < SIGNAL_MAX && kind != RETRY_KIND_EXIT; i++) {
		const char *known = sigabbrev_np(i);
		if (known && !strcmp(known, name)) {
			*ret = (uint32_t)i;
			return true;
		}
	}
	return false;
}

static bool read_codes(const char *word, struct retry_rule *r)
{
	const char *dash = strchr(word, '-');
	size_t n = dash ? (size_t)(dash - word) : strlen(word);
	if (!read_code(word, n, r->kind, &r->from))
		return false;
	r->to = r->from;
	return !dash || (read_code(dash + 1, strlen(dash + 1), r->kind, &r->to) && r->to >= r->from);
}

/* Exit statuses that are no failure, but say something else: see troupe-worker(7). */
static const char *meaning_of(uint32_t status)
{
	switch (status) {
	case 75:
	case 111:
		return "never fits: with this status a program asks to be tried later";
	case 65:
	case 100:
		return "never fits: with this status a program says never again";
	case 126:
	case 127:
		return "never fits: with this status the program cannot run, and no attempt is counted";
	default:
		return NULL;
	}
}

static const char *never_fits(const struct retry_rule *r)
{
	const char *meaning = NULL;
	for (uint32_t status = r->from; r->kind == RETRY_KIND_EXIT && r->from && status <= r->to; status++) {
		meaning = meaning_of(status);
		if (!meaning)
			return NULL;
	}
	return meaning;
}

/* What stands in front of the colon. */
static int read_kind(const char *s, size_t len, struct retry_rule *r, struct error *e)
{
	char word[WORD], codes[WORD], more[WORD];
	const char *p = s, *end = s + len;
	unsigned kind;
	if (!next_word(&p, end, word) || !next_word(&p, end, codes) || !next_word(&p, end, more) || *more || !find(word, kinds, ELEMENTS(kinds), &kind))
		return bad(s, len, "does not begin with a kind of end", "begin with exit, signal, core, oom, timeout, later or any, and a colon behind it", e);
	r->kind = (enum retry_kind)kind;
	if (!*codes)
		return 0;
	if (r->kind != RETRY_KIND_EXIT && r->kind != RETRY_KIND_SIGNAL && r->kind != RETRY_KIND_CORE)
		return bad(s, len, "has a number that means nothing there", "numbers stand behind exit, signal and core", e);
	if (!read_codes(codes, r))
		return bad(s, len, "has a number out of range", "write exit 3 or exit 70-79, from 1 to 255; signal 11 or signal SEGV, from 1 to 64", e);
	const char *never = never_fits(r);
	return never ? bad(s, len, never, "write later: ... for those that ask for it, or leave the rule out", e) : 0;
}

/* What stands behind it. */
static int read_action(const char *s, size_t len, const char *p, struct retry_rule *r, struct error *e)
{
	char word[WORD];
	const char *end = s + len;
	unsigned action;
	if (!next_word(&p, end, word) || !find(word, actions, ELEMENTS(actions), &action))
		return bad(s, len, "does not say what to do", "write retry, now, dead or later behind the colon", e);
	r->action = (enum retry_action)action;
	if (!next_word(&p, end, word))
		return bad(s, len, "has a word that is too long", "write it as exit 3: retry 5 30s", e);
	if (*word && !word[strspn(word, "0123456789")]) {
		uint64_t max;
		if (r->action != RETRY_ACTION_RETRY && r->action != RETRY_ACTION_NOW)
			return bad(s, len, "has a number of attempts that means nothing there", "attempts stand behind retry and now; a delay has a unit, such as 5m", e);
		if (parse_number(word, 1, RETRY_ATTEMPTS_MAX, &max, NULL))
			return bad(s, len, "has a number of attempts out of range", "choose one from 1 to 1000", e);
		r->max_attempts = (uint32_t)max;
		if (!next_word(&p, end, word))
			return bad(s, len, "has a word that is too long", "write it as exit 3: retry 5 30s", e);
	}
	if (*word) {
		if (r->action != RETRY_ACTION_RETRY && r->action != RETRY_ACTION_LATER)
			return bad(s, len, "has a delay that means nothing there", "a delay stands behind retry and later", e);
		if (parse_duration(word, &r->delay_ms, NULL) || !r->delay_ms || r->delay_ms > RETRY_DELAY_MAX_MS)
			return bad(s, len, "has a delay that is not within 1ms and 30d", "write it as 90s, 5m or 1h30m; for none write now", e);
	}
	if (!next_word(&p, end, word) || *word)
		return bad(s, len, "goes on behind its end", "write KIND [FROM[-TO]]: ACTION [MAX] [DELAY], such as exit 3: retry 5 30s", e);
	return 0;
}

int parse_retry_rule(const char *s, size_t len, struct retry_rule *ret, struct error *e)
{
	struct retry_rule r = { 0 };
	const char *colon = memchr(s, ':', len);
	if (!colon)
		return bad(s, len, "has no colon", "write KIND: ACTION, such as exit 3: dead", e);
	int code = read_kind(s, (size_t)(colon - s), &r, e);
	if (code == 0)
		code = read_action(s, len, colon + 1, &r, e);
	if (code == 0)
		*ret = r;
	return code;
}

const char *format_retry_rule(const struct retry_rule *r, char *out, size_t size)
{
	char codes[32] = "", max[16] = "", delay[40] = "", text[32];
	if (r->from && r->from == r->to)
		snprintf(codes, sizeof(codes), " %" PRIu32, r->from);
	else if (r->from)
		snprintf(codes, sizeof(codes), " %" PRIu32 "-%" PRIu32, r->from, r->to);
	if (r->max_attempts)
		snprintf(max, sizeof(max), " %" PRIu32, r->max_attempts);
	if (r->delay_ms)
		snprintf(delay, sizeof(delay), " %s", format_duration(r->delay_ms, text, sizeof(text)));
	snprintf(out, size, "%s%s: %s%s%s", kinds[r->kind], codes, actions[r->action], max, delay);
	return out;
}

bool retry_rule_covers(const struct retry_rule *a, const struct retry_rule *b)
{
	if (a->kind == RETRY_KIND_ANY)
		return true;
	if (a->kind != b->kind && !(a->kind == RETRY_KIND_SIGNAL && b->kind == RETRY_KIND_CORE))
		return false;
	return !a->from || (b->from >= a->from && b->to <= a->to && b->from);
}

int retry_rules_check(const struct retry_rule *rules, size_t n, struct error *e)
{
	char later[RETRY_RULE_TEXT], first[RETRY_RULE_TEXT];
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (retry_rule_covers(&rules[k], &rules[i])) {
				error_set(e, ERROR_BAD_REQUEST, "retry rule \"%s\" is never reached: \"%s\" stands before it", format_retry_rule(&rules[i], later, sizeof(later)),
				          format_retry_rule(&rules[k], first, sizeof(first)));
				error_cure(e, "put the narrower rule first, or leave one out");
				if (e)
					e->index = (uint32_t)(i + 1);
				return ERROR_BAD_REQUEST;
			}
	return 0;
}

int parse_retry_rules(const char *s, struct retry_rule ret[RETRY_RULES_MAX], size_t *ret_n, struct error *e)
{
	size_t n = 0;
	for (bool more = true; more; n++) {
		s += strspn(s, " \t");
		size_t len = strcspn(s, ",");
		if (n == RETRY_RULES_MAX) {
			error_set(e, ERROR_BAD_REQUEST, "there are more than %u retry rules", RETRY_RULES_MAX);
			error_cure(e, "leave some out: ranges and any take many kinds of end together");
			return ERROR_BAD_REQUEST;
		}
		int code = parse_retry_rule(s, len, &ret[n], e);
		if (code)
			return code;
		more = s[len] != '\0';
		s += len + more;
	}
	int code = retry_rules_check(ret, n, e);
	if (code == 0)
		*ret_n = n;
	return code;
}
