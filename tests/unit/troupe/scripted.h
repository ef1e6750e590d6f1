#pragma once
/* A scripted node (tests/unit/tools/scripted_node.c) that is started again whenever it dies. Must be started before the test touches nng. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct scripted { char dir[64]; pid_t pid; };
void scripted_start(struct scripted *s);
void scripted_stop(struct scripted *s);
/* The lines of the answers to verb; "verb.push" for what is sent unasked. */
void scripted_says(const struct scripted *s, const char *verb, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* How many requests hold the text, and the n-th of them, from 0: a line that lives until the next call; NULL: there is none. */
size_t scripted_count(const struct scripted *s, const char *text);
const char *scripted_request(const struct scripted *s, const char *text, size_t n);
/* The base 64 of an id that is zero but for its last byte. Several may stand in one call. */
const char *id_text(unsigned char last);
