#include <stdio.h>
#include <string.h>
#include "tests/suite.h"
#include "tests/supervision/scenario.h"

struct future {
	char text[4096];
};

static void on_action(void *arg, const struct action *a, uint64_t after_ms)
{
	struct future *f = arg;
	size_t at = strlen(f->text);
	if (a->kind != ACTION_FACT)
		return;
	const char *sign = a->fact == FACT_UP && !a->child->sup ? "+" : a->fact == FACT_DOWN ? "-" : a->fact == FACT_ENDED ? "=" : NULL;
	if (sign)
		snprintf(f->text + at, sizeof(f->text) - at, "%s%s ", sign, a->child->name);
}

static const char *future_of(struct scenario *s, const char *name, struct future *f)
{
	struct child *c = tree_find(scenario_tree(s), name);
	f->text[0] = 0;
	struct event e = { .kind = EVENT_ENDED, .child = c, .incarnation = c->incarnation, .reason = REASON_EXIT, .number = 1 };
	ck_assert_int_eq(tree_what_if(scenario_tree(s), &e, 3600000, on_action, f), 0);
	return f->text;
}

START_TEST(the_imagined_trace_is_told_and_the_tree_is_untouched)
{
	struct scenario *s = scenario_new("ours", "S ofa [a b c]", 1);
	struct future f;
	scenario_do(s, "boot");
	ck_assert_str_eq(future_of(s, "b", &f), "-b -c -a +a +b +c ");
	ck_assert_str_eq(scenario_do(s, "list S"), "c:up b:up a:up");
	ck_assert_uint_eq(tree_find(scenario_tree(s), "b")->delay.ends.n, 0);
	ck_assert_str_eq(scenario_do(s, "crash b"), "-b(x) -c(shutdown) -a(shutdown) +a +b +c");
	scenario_free(s);
}
END_TEST

/* The trace of the real thing, in the words of the imagined one. */
static void simplify(const char *trace, char *out)
{
	*out = 0;
	char copy[4096];
	snprintf(copy, sizeof(copy), "%s", trace);
	for (char *save, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *end = strpbrk(w, "(=");
		if (strncmp(w, "EXIT", 4) == 0)
			continue;
		if (end && *end == '=') {
			*end = 0;
			sprintf(out + strlen(out), "=%s ", w);
			continue;
		}
		if (end)
			*end = 0;
		sprintf(out + strlen(out), "%s ", w);
	}
}

/* L22, in the core */
START_TEST(for_every_child_the_imagined_trace_is_the_real_one)
{
	static const char *const trees[] = {
		"top ofo 1/5 [a b:T s1 ofa 0/10 [c d:X e] s2 rfo [f g h s3 ofo 0/10 [i j]] p pool [k l] dn dyn [d]]",
		"top ofa end 1/5 [a(limit=0/5) b s1 rfo any [c:T! d:X! e]]",
	};
	for (size_t i = 0; i < 2; i++)
		for (int otp = 0; otp < 2; otp++)
			for (char name = 'a'; name <= 'l'; name++) {
				const char id[2] = { name, 0 };
				struct scenario *s = scenario_new(otp ? "otp" : "ours backoff", trees[i], 1);
				struct future f;
				char real[4096];
				scenario_do(s, "boot");
				if (tree_find(scenario_tree(s), "dn"))
					scenario_do(s, "add dn z; crash d");
				if (tree_find(scenario_tree(s), id)) {
					char line[64];
					snprintf(line, sizeof(line), "crash %s; wait 3600000", id);
					future_of(s, id, &f);
					simplify(scenario_do(s, line), real);
					ck_assert_str_eq(f.text, real);
				}
				scenario_free(s);
			}
}
END_TEST

START_TEST(the_future_begins_with_what_is_under_way)
{
	struct scenario *s = scenario_new("ours", "S rfo [a b c]", 1);
	struct future f;
	scenario_do(s, "boot; lazy c 1000; slow b 1000; crash b");
	ck_assert_str_eq(future_of(s, "a", &f), "-a -c +a +b +c ");
	scenario_free(s);
}
END_TEST

static Suite *whatif_suite(void)
{
	Suite *s = suite_create("whatif");
	TCase *c = tcase_create("scenarios");
	tcase_add_test(c, the_imagined_trace_is_told_and_the_tree_is_untouched);
	tcase_add_test(c, for_every_child_the_imagined_trace_is_the_real_one);
	tcase_add_test(c, the_future_begins_with_what_is_under_way);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(whatif_suite()); }
