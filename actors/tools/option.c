#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/parse.h"
#include "actors/tools/option.h"

const struct option_def option_defs[OPT__COUNT] = {
#define X(id, name, letter, arg, help) [OPT_##id] = { name, letter, arg, help },
	OPTIONS(X)
#undef X
};

/* A verb's own option hides the global one of the same name: submit's --timeout is the task's. */
static bool option_hidden(option_set set, unsigned i)
{
	return i == OPT_TIMEOUT && (set & O(RUN_TIMEOUT));
}

static bool option_taken(option_set set, unsigned i)
{
	return ((set | OPTIONS_GLOBAL) >> i & 1) && !option_hidden(set, i);
}

enum option option_find(option_set set, const char *name, size_t len)
{
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if (option_taken(set, i) && strlen(option_defs[i].name) == len && memcmp(option_defs[i].name, name, len) == 0)
			return (enum option)i;
	return OPT__COUNT;
}

static enum option option_by_letter(option_set set, char letter)
{
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if (option_taken(set, i) && option_defs[i].letter && option_defs[i].letter == letter)
			return (enum option)i;
	return OPT__COUNT;
}

static bool takes_value(enum option o) { return option_defs[o].arg && option_defs[o].arg[0] != '['; }

static int unknown_option(option_set set, const char *name, size_t len, struct error *e)
{
	const char *names[OPT__COUNT];
	size_t n = 0;
	char word[40];
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if (option_taken(set, i))
			names[n++] = option_defs[i].name;
	if (len >= sizeof word)
		len = sizeof word - 1;
	memcpy(word, name, len);
	word[len] = '\0';
	error_set(e, ERROR_BAD_REQUEST, "there is no option --%s here", word);
	const char *best = suggest(word, names, n);
	if (best)
		error_cure(e, "did you mean --%s?", best);
	return ERROR_BAD_REQUEST;
}

static int parse_long(struct args *a, option_set set, int argc, char *const *argv, int *at, struct error *e)
{
	const char *name = argv[*at] + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	enum option o = option_find(set, name, len);
	if (o == OPT__COUNT)
		return unknown_option(set, name, len, e);
	if (equals) {
		if (!option_defs[o].arg)
			return error_set(e, ERROR_BAD_REQUEST, "--%s takes no value", option_defs[o].name);
		a->value[o] = equals + 1;
	} else if (takes_value(o)) {
		if (*at + 1 >= argc)
			return error_set(e, ERROR_BAD_REQUEST, "--%s needs a value: %s", option_defs[o].name, option_defs[o].arg);
		a->value[o] = argv[++*at];
	} else {
		a->value[o] = "";
	}
	return 0;
}

/* "-qf", "-oid,state", "-o id,state" */
static int parse_letters(struct args *a, option_set set, int argc, char *const *argv, int *at, struct error *e)
{
	for (const char *p = argv[*at] + 1; *p; p++) {
		enum option o = option_by_letter(set, *p);
		if (o == OPT__COUNT)
			return error_set(e, ERROR_BAD_REQUEST, "there is no option -%c here", *p);
		if (!takes_value(o)) {
			a->value[o] = "";
			continue;
		}
		if (p[1]) {
			a->value[o] = p + 1;
		} else if (*at + 1 < argc) {
			a->value[o] = argv[++*at];
		} else {
			return error_set(e, ERROR_BAD_REQUEST, "-%c needs a value: %s", *p, option_defs[o].arg);
		}
		return 0;
	}
	return 0;
}

int args_parse(struct args *a, int argc, char *const *argv, int at, option_set set, bool stop_at_word, int *ret_at, struct error *e)
{
	bool rest = false;
	if (!a->words) {
		a->words = calloc((size_t)argc + 1, sizeof *a->words);
		if (!a->words)
			return -ENOMEM;
	}
	a->rest = a->n_words;
	for (; at < argc; at++) {
		const char *s = argv[at];
		int code = 0;
		if (!rest && strcmp(s, "--") == 0 && !stop_at_word) {
			rest = true;
			a->rest = a->n_words;
			continue;
		}
		if (!rest && s[0] == '-' && s[1] == '-' && s[2])
			code = parse_long(a, set, argc, argv, &at, e);
		else if (!rest && s[0] == '-' && s[1] && s[1] != '-')
			code = parse_letters(a, set, argc, argv, &at, e);
		else if (stop_at_word)
			break;
		else
			a->words[a->n_words++] = s;
		if (code != 0)
			return code;
	}
	if (!rest)
		a->rest = a->n_words;
	if (ret_at)
		*ret_at = at;
	return 0;
}

void args_fini(struct args *a)
{
	free(a->words);
	a->words = NULL;
	a->n_words = 0;
}
