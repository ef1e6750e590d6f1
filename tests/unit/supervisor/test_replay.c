/* A journal's lines read back: what is the same, what differs, what is missing, and what cannot be read. */
#include <stdio.h>
#include <string.h>
#include "supervisor/tree_text.h"
#include "tests/suite.h"

struct lines { char text[64][2048]; size_t n; };

static void keep(void *ctx, const char *text)
{
	struct lines *l = ctx;
	ck_assert_uint_lt(l->n, 64);
	snprintf(l->text[l->n++], sizeof(l->text[0]), "%s", text);
}

static void keep_file(struct lines *l, char **text, FILE *f)
{
	fclose(f);
	keep(l, *text);
	free(*text);
}

/* A life of two children, written down: a snapshot, a boot, two READYs, a crash. */
static void write_life(struct lines *l)
{
	struct tree *t = tree_new(&(struct tree_config){ .seed = 7, .incarnation_first = 100 });
	struct child_spec worker, above;
	struct supervisor_spec sup;
	struct child *root, *a, *b;
	child_spec_default(&worker, CHILD_WORKER);
	child_spec_default(&above, CHILD_SUPERVISOR);
	supervisor_spec_default(&sup);
	ck_assert_int_eq(tree_add(t, NULL, "the root", &above, &sup, NULL, &root), 0); /* a name with a space */
	ck_assert_int_eq(tree_add(t, root, "a", &worker, NULL, NULL, &a), 0);
	ck_assert_int_eq(tree_add(t, root, "100%", &worker, NULL, NULL, &b), 0);
	ck_assert_int_eq(tree_text_save(t, keep, l), 0);
	for (int i = 0; i < 4; i++) {
		struct event e[] = { { .kind = EVENT_BOOT, .now_ms = 1000 }, { .kind = EVENT_READY, .now_ms = 1001, .child = a, .incarnation = a->incarnation },
			{ .kind = EVENT_READY, .now_ms = 1002, .child = b, .incarnation = b->incarnation, .detail = "port=7 = good" },
			{ .kind = EVENT_ENDED, .now_ms = 1003, .child = a, .incarnation = a->incarnation, .reason = REASON_SIGNAL, .number = -9 } };
		struct actions actions;
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		tree_text_event(f, &e[i]);
		keep_file(l, &text, f);
		tree_step(t, &e[i], &actions);
		for (size_t k = 0; k < actions.n; k++) {
			f = open_memstream(&text, &len);
			tree_text_action(f, &actions.items[k]);
			keep_file(l, &text, f);
		}
	}
	tree_free(t);
}

static enum replay_found expected_of(const char *line)
{
	return strncmp(line, "event ", 6) == 0 ? REPLAY_EVENT : strncmp(line, "does ", 5) == 0 ? REPLAY_SAME : REPLAY_PASSED;
}

START_TEST(a_life_that_was_written_down_comes_out_the_same)
{
	static struct lines l;
	write_life(&l);
	struct replay *r = replay_new();
	for (size_t i = 0; i < l.n; i++)
		ck_assert_msg(replay_line(r, l.text[i]) == expected_of(l.text[i]), "%s / %s", l.text[i], replay_expected(r));
	ck_assert_uint_eq(replay_missing(r), 0);
	replay_free(r);
}
END_TEST

START_TEST(a_decision_that_was_changed_taken_out_or_made_up_is_found)
{
	static struct lines l;
	l.n = 0;
	write_life(&l);
	for (size_t changed = 0; changed < l.n; changed++) {
		if (strncmp(l.text[changed], "does ", 5) != 0)
			continue;
		struct replay *r = replay_new();
		char other[2100];
		for (size_t i = 0; i < changed; i++)
			replay_line(r, l.text[i]);
		size_t left = replay_missing(r);
		ck_assert_uint_gt(left, 0); /* so it would be missed, if it were not there */
		snprintf(other, sizeof(other), "%s0", l.text[changed]);
		ck_assert_int_eq(replay_line(r, other), REPLAY_DIFFERENT);
		ck_assert_str_eq(replay_expected(r), l.text[changed]);
		while (replay_missing(r))
			replay_line(r, other);
		ck_assert_int_eq(replay_line(r, l.text[changed]), REPLAY_DIFFERENT);
		ck_assert_ptr_null(replay_expected(r));
		replay_free(r);
	}
}
END_TEST

START_TEST(lines_that_are_none_are_told_and_end_nothing)
{
	static const char *const damaged[] = { "tree now=x", "tree now=1 nonsense=2", "record name=x depth=3", "record name=S", "record name=S sup=1 type=1 s.intensity=99999",
		"record name=a%2 depth=1", "record name=a%00 depth=1", "record name=a depth=1 immediate=100000", "waiting name=nobody ref=1 order=1", "event nonsense at=1", "event ended at=",
		"event add at=1 name=x above=S intensity=20000 period=5", "wanted name=x depth=2", "event ended at=1 fatal_tries=256", "event ended at=1 pending=2" };
	struct replay *r = replay_new();
	ck_assert_int_eq(replay_line(r, "event boot at=1"), REPLAY_PASSED); /* before any snapshot */
	ck_assert_int_eq(replay_line(r, "does spawn child=a"), REPLAY_PASSED);
	ck_assert_int_eq(replay_line(r, "window 5 own 0 1 a"), REPLAY_PASSED);
	ck_assert_int_eq(replay_line(r, "tree now=1"), REPLAY_PASSED);
	ck_assert_int_eq(replay_line(r, "record name=S sup=1 type=1 s.intensity=4294967295 s.period=5000 intensity=4294967295 period=5000"), REPLAY_PASSED);
	for (size_t i = 2; i < sizeof(damaged) / sizeof(*damaged); i++)
		ck_assert_msg(replay_line(r, damaged[i]) == REPLAY_DAMAGED, "%s", damaged[i]);
	ck_assert_int_eq(replay_line(r, damaged[0]), REPLAY_DAMAGED);
	ck_assert_int_eq(replay_line(r, damaged[1]), REPLAY_DAMAGED);
	replay_free(r);
	ck_assert_ptr_null(replay_free(NULL));
}
END_TEST

START_TEST(an_action_can_be_read_back_alone)
{
	char buffer[256];
	struct action_line a;
	ck_assert(action_line_read("does down child=a%20b above=the%20root reason=exit decision=restart number=-3 delay=7 error=1 detail=exit%20status", buffer, &a));
	ck_assert_str_eq(a.name, "a b");
	ck_assert_str_eq(a.above, "the root");
	ck_assert(a.action.kind == ACTION_FACT && a.action.fact == FACT_DOWN && a.action.reason == REASON_EXIT && a.action.decision == DECISION_RESTART && a.action.number == -3);
	ck_assert(action_line_read("does up child=S sup=1", buffer, &a) && a.action.kind == ACTION_FACT && a.action.fact == FACT_UP && a.is_sup);
	ck_assert(action_line_read("does complete child=S sup=1", buffer, &a) && a.action.kind == ACTION_UP);
	ck_assert(action_line_read("does change child=S change=stale", buffer, &a) && a.action.change == CHANGE_STALE);
	ck_assert(!action_line_read("event ready child=a", buffer, &a) && !action_line_read("does spawn child=a nonsense=1", buffer, &a));
}
END_TEST

static Suite *replay_suite(void)
{
	Suite *s = suite_create("replay");
	TCase *c = tcase_create("lines");
	tcase_add_test(c, a_life_that_was_written_down_comes_out_the_same);
	tcase_add_test(c, a_decision_that_was_changed_taken_out_or_made_up_is_found);
	tcase_add_test(c, lines_that_are_none_are_told_and_end_nothing);
	tcase_add_test(c, an_action_can_be_read_back_alone);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(replay_suite()); }
