#include "tests/suite.h"
#include <string.h>
#include "actors/tools/failure.h"
#include "actors/tools/option.h"
#include "actors/tools/ref.h"
#include "common/base/cleanup.h"

#define SET (O(JSON) | O(QUIET) | O(COLUMNS) | O(WATCH) | O(QUEUE))

static struct args args;
static struct error error;

static int parse(option_set set, int argc, char **argv)
{
	memset(&args, 0, sizeof args);
	memset(&error, 0, sizeof error);
	return args_parse(&args, argc, argv, 0, set, false, NULL, &error);
}
#define PARSE(set, ...) parse(set, (int)ELEMENTS(((char *[]){ __VA_ARGS__ })), (char *[]){ __VA_ARGS__ })

START_TEST(words_and_options_may_be_mixed)
{
	ck_assert_int_eq(PARSE(SET, (char *)"one", (char *)"--json", (char *)"two", (char *)"-Q", (char *)"emails"), 0);
	ck_assert_uint_eq(args.n_words, 2);
	ck_assert_str_eq(args.words[1], "two");
	ck_assert_str_eq(args.value[OPT_JSON], "");
	ck_assert_str_eq(args.value[OPT_QUEUE], "emails");
	args_fini(&args);
}
END_TEST

START_TEST(a_value_may_follow_stick_or_stand_behind_an_equals_sign)
{
	static char *const forms[][2] = { { (char *)"--columns", (char *)"id,seq" }, { (char *)"--columns=id,seq", NULL }, { (char *)"-o", (char *)"id,seq" }, { (char *)"-oid,seq", NULL } };
	for (size_t i = 0; i < ELEMENTS(forms); i++) {
		ck_assert_int_eq(parse(SET, forms[i][1] ? 2 : 1, (char **)(uintptr_t)forms[i]), 0);
		ck_assert_str_eq(args.value[OPT_COLUMNS], "id,seq");
		args_fini(&args);
	}
}
END_TEST

START_TEST(letters_without_a_value_can_be_joined)
{
	ck_assert_int_eq(PARSE(SET, (char *)"-qwoid"), 0);
	ck_assert(args.value[OPT_QUIET] && args.value[OPT_WATCH]);
	ck_assert_str_eq(args.value[OPT_COLUMNS], "id");
	args_fini(&args);
}
END_TEST

START_TEST(an_optional_value_needs_the_equals_sign)
{
	ck_assert_int_eq(PARSE(SET, (char *)"--watch", (char *)"5s"), 0);
	ck_assert_str_eq(args.value[OPT_WATCH], "");
	ck_assert_uint_eq(args.n_words, 1);
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"--watch=5s"), 0);
	ck_assert_str_eq(args.value[OPT_WATCH], "5s");
	args_fini(&args);
}
END_TEST

START_TEST(what_stands_behind_two_dashes_is_left_alone)
{
	ck_assert_int_eq(PARSE(SET, (char *)"build", (char *)"--", (char *)"make", (char *)"--json", (char *)"-C", (char *)"--"), 0);
	ck_assert_uint_eq(args.n_words, 5);
	ck_assert_uint_eq(args.rest, 1);
	ck_assert_str_eq(args.words[2], "--json");
	ck_assert_str_eq(args.words[4], "--");
	ck_assert_ptr_null(args.value[OPT_JSON]);
	args_fini(&args);
}
END_TEST

START_TEST(a_single_dash_is_a_word)
{
	ck_assert_int_eq(PARSE(SET, (char *)"-"), 0);
	ck_assert_str_eq(args.words[0], "-");
	args_fini(&args);
}
END_TEST

START_TEST(a_mistyped_option_is_refused_with_a_suggestion)
{
	ck_assert_int_eq(PARSE(SET, (char *)"--jsno"), ERROR_BAD_REQUEST);
	ck_assert_str_eq(error.cure, "did you mean --json?");
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"-z"), ERROR_BAD_REQUEST);
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"--bulk", (char *)"x"), ERROR_BAD_REQUEST); /* exists, but not here */
	args_fini(&args);
}
END_TEST

START_TEST(a_missing_or_superfluous_value_is_refused)
{
	ck_assert_int_eq(PARSE(SET, (char *)"--columns"), ERROR_BAD_REQUEST);
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"-o"), ERROR_BAD_REQUEST);
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"--json=1"), ERROR_BAD_REQUEST);
	args_fini(&args);
}
END_TEST

START_TEST(the_tasks_timeout_hides_the_tools_timeout)
{
	ck_assert_int_eq(PARSE(SET | O(RUN_TIMEOUT), (char *)"--timeout", (char *)"5m"), 0);
	ck_assert_str_eq(args.value[OPT_RUN_TIMEOUT], "5m");
	ck_assert_ptr_null(args.value[OPT_TIMEOUT]);
	args_fini(&args);
	ck_assert_int_eq(PARSE(SET, (char *)"--timeout", (char *)"5m"), 0);
	ck_assert_str_eq(args.value[OPT_TIMEOUT], "5m");
	args_fini(&args);
}
END_TEST

START_TEST(options_before_the_verb_end_at_it)
{
	char *argv[] = { (char *)"--run-dir", (char *)"/tmp/x", (char *)"ping", (char *)"--json" };
	int at;
	memset(&args, 0, sizeof args);
	ck_assert_int_eq(args_parse(&args, 4, argv, 0, OPTIONS_GLOBAL, true, &at, &error), 0);
	ck_assert_int_eq(at, 2);
	ck_assert_str_eq(args.value[OPT_RUN_DIR], "/tmp/x");
	ck_assert_int_eq(args_parse(&args, 4, argv, 3, SET, false, NULL, &error), 0);
	ck_assert_ptr_nonnull(args.value[OPT_JSON]);
	ck_assert_str_eq(args.value[OPT_RUN_DIR], "/tmp/x");
	args_fini(&args);
}
END_TEST

START_TEST(a_task_is_named_by_number_id_or_suffix)
{
	struct ref r;
	Troupe__TaskRef m;
	ck_assert_int_eq(ref_parse("#4711", &r, NULL), 0);
	ck_assert_int_eq(r.kind, REF_SEQ);
	ck_assert_uint_eq(r.seq, 4711);
	ck_assert_int_eq(ref_parse("01JD3Q7M4ZK8V2T5XW9RB6NC0E", &r, NULL), 0);
	ck_assert_int_eq(r.kind, REF_ID);
	ref_message(&r, &m);
	ck_assert_uint_eq(m.id.len, 16);
	ck_assert_int_eq(ref_parse("9rb6nc0e", &r, NULL), 0);
	ck_assert_int_eq(r.kind, REF_SUFFIX);
	ref_message(&r, &m);
	ck_assert_str_eq(m.suffix, "9rb6nc0e");
	ck_assert_int_eq(ref_parse("123456", &r, NULL), 0); /* six digits can end an id */
	ck_assert_int_eq(r.kind, REF_SUFFIX);
}
END_TEST

START_TEST(what_names_no_task_is_refused_with_the_right_form)
{
	static const char *const wrong[] = { "", "#", "#x", "#0", "#-1", "4711", "abc", "worker:a/1", "01JD3Q7M4ZK8V2T5XW9RB6NC0EX", "uuuuuu", "9rb6 c0e" };
	struct ref r;
	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		ck_assert_msg(ref_parse(wrong[i], &r, &error) == ERROR_BAD_REQUEST, "%s was taken", wrong[i]);
	ck_assert_int_eq(ref_parse("4711", &r, &error), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(error.cure, "'#4711'"));
}
END_TEST

START_TEST(every_error_has_its_exit_status)
{
	static const struct { int code, status; } rows[] = {
		{ 0, 0 }, { ERROR_BAD_REQUEST, 65 }, { ERROR_TOO_LARGE, 65 }, { ERROR_VERSION, 76 }, { ERROR_NOT_ALLOWED, 77 }, { ERROR_NO_ACTOR, 3 },
		{ ERROR_NO_VERB, 76 }, { ERROR_NO_QUEUE, 3 }, { ERROR_NO_TASK, 3 }, { ERROR_CONFLICT, 65 }, { ERROR_BUSY, 75 }, { ERROR_DISK_LOW, 75 },
		{ ERROR_TIMEOUT, 124 }, { ERROR_STATE, 1 }, { ERROR_STOPPING, 75 }, { ERROR_UNDELIVERED, 75 }, { ERROR_CORRUPT, 74 }, { ERROR_AMBIGUOUS, 65 },
		{ ERROR_NOT_REACHABLE, 69 }, { ERROR_EXISTS, 1 }, { ERROR_NOT_FOUND, 3 }, { ERROR_CONFIG, 78 }, { ERROR_STORE, 74 }, { ERROR_INTERNAL, 70 },
		{ -5, 74 }, { 4242, 76 },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		ck_assert_int_eq((int)failure_status(rows[i].code), rows[i].status);
}
END_TEST

START_TEST(an_error_is_three_lines_and_moves_no_cursor)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct error e = { .code = ERROR_NO_QUEUE, .text = "there is no queue e\033[31mmial", .cure = "did you mean emails?" };
	failure_print(f, "submit", NULL, &e);
	fclose(f);
	ck_assert_str_eq(text, "troupe: submit failed [E-NO_QUEUE]\n  there is no queue e[31mmial\n  did you mean emails?\n");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tool: command line");
	TCase *c = tcase_create("option");
	tcase_add_test(c, words_and_options_may_be_mixed);
	tcase_add_test(c, a_value_may_follow_stick_or_stand_behind_an_equals_sign);
	tcase_add_test(c, letters_without_a_value_can_be_joined);
	tcase_add_test(c, an_optional_value_needs_the_equals_sign);
	tcase_add_test(c, what_stands_behind_two_dashes_is_left_alone);
	tcase_add_test(c, a_single_dash_is_a_word);
	tcase_add_test(c, a_mistyped_option_is_refused_with_a_suggestion);
	tcase_add_test(c, a_missing_or_superfluous_value_is_refused);
	tcase_add_test(c, the_tasks_timeout_hides_the_tools_timeout);
	tcase_add_test(c, options_before_the_verb_end_at_it);
	tcase_add_test(c, a_task_is_named_by_number_id_or_suffix);
	tcase_add_test(c, what_names_no_task_is_refused_with_the_right_form);
	tcase_add_test(c, every_error_has_its_exit_status);
	tcase_add_test(c, an_error_is_three_lines_and_moves_no_cursor);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
