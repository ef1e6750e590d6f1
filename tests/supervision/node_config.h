#pragma once
/* A scenario's tree as a configuration of trouped whose children are stubs. */
#include <stdio.h>
#include "tests/supervision/notation.h"

struct stub_config { const char *dir, *stub, *socket; uint64_t stop_timeout_ms; bool otp; };
void config_of_tree(FILE *out, const struct stub_config *s, const struct tree *t, const struct templates *templates);
void config_of_child(FILE *out, const struct stub_config *s, const char *name, const struct child_spec *spec); /* its section */
