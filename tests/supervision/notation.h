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
	bool unchecked;    /* records that may not be are made all the same, for who wants to see them refused elsewhere */
	void *(*user_of)(void *ctx, const char *name); /* of each record */
	void *ctx;
};
/* Whom an order is about: [SUPERVISOR/]NAME[.now | .old]: OTP's calls, by the present incarnation or by the one before. above is "" where none is named. */
struct order_about { bool now, old; };
void order_about(const char *text, char child[CHILD_NAME_MAX + 1], char above[CHILD_NAME_MAX + 1], struct order_about *ret);
void notation_mode(struct notation *n, const char *mode);
/* NULL; or who is refused, and by which word: "a:bad_combination". Valid until the next call. */
const char *notation_tree(const struct notation *n, const char *text, struct tree *tree, struct templates *ret);
void notation_record(const struct notation *n, const char *text, struct parsed *ret);
const struct parsed *template_of(const struct templates *t, const char *above); /* NULL: none */
