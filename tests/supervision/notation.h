#pragma once
/* Trees as text, for both drivers. scenario.h says how they are written. */
#include <stdbool.h>
#include "supervisor/tree.h"

#define TEMPLATES_MAX 16

struct parsed {
	char name[CHILD_NAME_MAX + 1];
	struct child_spec spec;
	struct supervisor_spec sup;
	bool is_sup;
};
/* What the children of a dynamic supervisor are made from. */
struct template { char above[CHILD_NAME_MAX + 1]; struct parsed child; };
struct templates { struct template all[TEMPLATES_MAX]; size_t n; };

struct notation {
	bool otp, backoff;
	void *(*user_of)(void *ctx, const char *name); /* of each record */
	void *ctx;
};
void notation_mode(struct notation *n, const char *mode);
void notation_tree(const struct notation *n, const char *text, struct tree *tree, struct templates *ret);
void notation_record(const struct notation *n, const char *text, struct parsed *ret);
const struct parsed *template_of(const struct templates *t, const char *above); /* NULL: none */
