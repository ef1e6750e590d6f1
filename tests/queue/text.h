#pragma once
/* Lines of a scenario as text: words, options, lists, and the values they hold. What makes no sense ends the process, which plays one file: exit status 2. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/wire/arena.h"
#include "proto/queue.pb-c.h"

/* Where the file is read: in every complaint. */
extern const char *text_path;
extern unsigned text_line;
_Noreturn void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define MUST(x) do { if (!(x)) wrong("%s:%d: %s", __FILE__, __LINE__, #x); } while (0)

/* A line in words: bare ones, "quoted" ones, and options name=value, whose value may be quoted too. Each is taken once; words_end finds what nobody took. */
#define WORDS_MAX 128u
struct word { char *text, *value; bool quoted, taken; };
struct words { struct word all[WORDS_MAX]; size_t n; struct arena *arena; };

void words_read(struct words *w, struct arena *a, const char *line);
const char *word_first(struct words *w);                   /* the next bare word; NULL: none */
const char *word_need(struct words *w, const char *what);  /* the same, where there must be one */
const char *word_quoted(struct words *w);                  /* the next quoted one, or NULL */
const char *word_value(struct words *w, const char *name); /* of an option, or NULL */
bool word_flag(struct words *w, const char *name);         /* is this bare word there? */
const char *word_after(struct words *w, const char *name); /* the bare word behind this one: by ann; NULL without it */
void words_end(const struct words *w);

char *trimmed(char *s);
/* The first mark outside quotes and braces, or NULL. */
char *text_find(char *s, const char *mark);
/* Pieces of a text between commas or semicolons outside quotes, braces and brackets, trimmed. Changes the text. */
size_t text_split(char *s, char separator, char **ret, size_t room);
/* "a,b,t1..t9" as single names. */
size_t text_names(struct arena *a, const char *list, char **ret, size_t room);

uint64_t value_number(const char *s);
uint64_t value_ms(const char *s);
uint64_t value_bytes(const char *s);
/* Which of the names it is. */
int value_word(const char *s, const char *const *names, size_t n, const char *what);
#define VALUE_WORD(s, what, ...) __extension__({ static const char *const _names[] = { __VA_ARGS__ }; value_word((s), _names, sizeof _names / sizeof *_names, (what)); })

/* Policies by the names of their fields in the configuration. false: there is no such field. */
bool field_set(struct arena *a, Troupe__QueuePolicy *p, const char *name, const char *value);
bool retry_set(struct arena *a, Troupe__RetryPolicy *p, const char *name, const char *value);
Troupe__Rate *value_rate(struct arena *a, const char *s);  /* 10/s, 100/5m, 10/s:20 with a burst of 20, none */
size_t value_resources(struct arena *a, const char *s, Troupe__Resource ***ret); /* gpu:2,mem:4G */

/* Is this what was expected? Three dots in an expected text stand for anything. */
bool text_fits(const char *expected, const char *seen);
