#pragma once
/* libconfuse with the checks that it lacks: braces that balance, no repeated key, a place for every value, "did you mean". Private to config*.c. */
#include <confuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/error.h"

struct text_place { cfg_t *section; const char *key; const char *value_of; char *file; unsigned line; unsigned order; cfg_t *made; };
struct text {
	FILE *errors;
	const char *name;
	unsigned n_errors;
	cfg_t *top;
	struct text_place *places;
	size_t n_places, room;
	cfg_opt_t *options[24];  /* allocated arrays, freed at the end */
	unsigned n_options;
	char *own_words[32];     /* keys of the operator's own that begin with x-, anywhere; freed at the end */
	unsigned n_own_words;
};

/* Reports a problem at a key of a section (key NULL: at the section). */
/* One problem, as config_load writes them, made one line of UTF-8 each. errors NULL: nothing is written. */
void text_print(FILE *errors, const char *file, unsigned line, const char *id, const char *cure, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void text_complain(struct text *t, cfg_t *section, const char *key, const char *id, const char *cure, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* Parses. 0 or ERROR_CONFIG (reported). */
int text_parse(struct text *t, const char *buffer);
void text_fini(struct text *t);

const struct text_place *text_place(const struct text *t, const cfg_t *section, const char *key); /* NULL: not said in the file */
/* The child sections (supervisor, actor, pool, child) of a section in the order in which they stand. Returns how many of at most n. */
unsigned text_children(const struct text *t, cfg_t *section, cfg_t **out, unsigned n);

/* Readers: leave *value alone where the key is not said; false after a complaint. */
const char *text_string(struct text *t, cfg_t *s, const char *key);   /* NULL: not said */
void text_duration(struct text *t, cfg_t *s, const char *key, uint64_t least_ms, uint64_t most_ms, uint64_t *value);
void text_size(struct text *t, cfg_t *s, const char *key, uint64_t least, uint64_t most, uint64_t *value);
void text_number(struct text *t, cfg_t *s, const char *key, uint64_t least, uint64_t most, uint64_t *value);
void text_bool(struct text *t, cfg_t *s, const char *key, bool *value);
char **text_list(struct text *t, cfg_t *s, const char *key, size_t *ret_n); /* copied, NULL-terminated; NULL: not said */
