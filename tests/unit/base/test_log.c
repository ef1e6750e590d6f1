/* The log. Lines go through a pipe and are read back whole. jansson judges the JSON ones. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/rng.h"
#include "tests/suite.h"

static int fds[2];

/* A log whose lines next() hands out. */
static void given_log(const char *actor, enum log_format format, enum log_level least)
{
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	log_setup(actor, format, least, fds[1]);
}

/* What was written since the last call, "" for nothing. */
static const char *written(void)
{
	static char text[16384];
	ssize_t n = read(fds[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Behind the time, whose form is checked. */
static const char *after_ts(const char *line)
{
	char stamp[25];
	int n = 0;
	ck_assert_msg(sscanf(line, "ts=%24[-0-9T:.Z] %n", stamp, &n) == 1 && n == 28, "%s", line);
	return line + n;
}

static size_t count(const char *s, char c)
{
	size_t n = 0;
	for (; *s; s++)
		n += *s == c;
	return n;
}

START_TEST(a_line_has_time_level_actor_message_and_fields)
{
	given_log("coordinator:main", LOG_LOGFMT, LOG_INFO);
	log_info("store opened", LOG_S("path", "/var/lib/x"), LOG_U("tasks", 12), LOG_I("delta", -3));
	ck_assert_str_eq(after_ts(written()), "level=info actor=coordinator:main msg=\"store opened\" path=/var/lib/x tasks=12 delta=-3\n");

	log_warn("alone");
	ck_assert_str_eq(after_ts(written()), "level=warn actor=coordinator:main msg=alone\n");
}
END_TEST

START_TEST(an_actor_without_a_name_leaves_the_field_out)
{
	given_log(NULL, LOG_LOGFMT, LOG_INFO);
	log_error("x", LOG_S("a", ""), LOG_S("b", NULL));
	ck_assert_str_eq(after_ts(written()), "level=error msg=x a=\"\" b=\"\"\n");
}
END_TEST

START_TEST(levels_below_the_least_are_not_written)
{
	given_log("a:b", LOG_LOGFMT, LOG_WARN);
	log_debug("no");
	log_info("no");
	ck_assert_str_eq(written(), "");
	log_warn("yes");
	log_error("yes");
	ck_assert_uint_eq(count(written(), '\n'), 2);
}
END_TEST

START_TEST(values_cannot_forge_a_line_or_a_field)
{
	given_log("a:b", LOG_LOGFMT, LOG_INFO);
	log_info("x\nts=2026-11-20T09:30:00.123Z level=error msg=forged", LOG_S("v", "1 admin=yes"), LOG_S("q", "\" root=1 \""), LOG_S("e", "a=b"),
	         LOG_S("t", "\x1b[2J\r\t\x7f\\"));
	ck_assert_str_eq(after_ts(written()),
	                 "level=info actor=a:b msg=\"x\\nts=2026-11-20T09:30:00.123Z level=error msg=forged\" v=\"1 admin=yes\" q=\"\\\" root=1 \\\"\" "
	                 "e=\"a=b\" t=\"\\x1b[2J\\r\\t\\x7f\\\\\"\n");
}
END_TEST

START_TEST(what_deceives_a_terminal_is_escaped_and_other_text_is_kept)
{
	given_log(NULL, LOG_LOGFMT, LOG_INFO);
	log_info("x", LOG_S("kept", "d\xc3\xa9j\xc3\xa0 \xe6\xbc\xa2 \xf0\x9f\x8e\xad"));
	ck_assert_str_eq(after_ts(written()), "level=info msg=x kept=\"d\xc3\xa9j\xc3\xa0 \xe6\xbc\xa2 \xf0\x9f\x8e\xad\"\n");
	log_info("x", LOG_S("c1", "\xc2\x9b" "2J"), LOG_S("bidi", "\xe2\x80\xae"), LOG_S("line", "\xe2\x80\xa8"), LOG_S("bad", "\xff\xc3"));
	ck_assert_str_eq(after_ts(written()), "level=info msg=x c1=\"\\xc2\\x9b2J\" bidi=\"\\xe2\\x80\\xae\" line=\"\\xe2\\x80\\xa8\" bad=\"\\xff\\xc3\"\n");
}
END_TEST

/* Random bytes, rich in those that matter. */
static void random_text(struct rng *r, char *out, size_t size)
{
	static const char rich[] = "\"\\\n\r\t =\x01\x1f\x7f{}[],:\xc3\xa9\xe2\x80\xa8\xf0\x9f\x8e\xad";
	size_t n = rng_below(r, size);
	for (size_t i = 0; i < n; i++)
		out[i] = rng_below(r, 2) ? rich[rng_below(r, sizeof(rich) - 1)] : (char)(1 + rng_below(r, 255));
	out[n] = '\0';
}

START_TEST(whatever_the_bytes_one_event_is_one_line_of_text)
{
	struct rng r;
	rng_seed(&r, 5);
	given_log("a:b", LOG_LOGFMT, LOG_INFO);
	for (int i = 0; i < 2000; i++) {
		char msg[200], value[5000];
		random_text(&r, msg, sizeof(msg));
		random_text(&r, value, rng_below(&r, 20) ? 100 : sizeof(value));
		log_info(msg, LOG_S("v", value), LOG_U("last", 1));
		const char *line = written();
		size_t len = strlen(line);
		ck_assert_uint_eq(count(line, '\n'), 1);
		ck_assert_uint_le(len, 4096);
		ck_assert(line[len - 1] == '\n');
		ck_assert(utf8_valid((const uint8_t *)line, len));
		for (const char *p = line; p[1]; p++)
			ck_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
	}
}
END_TEST

START_TEST(whatever_the_bytes_a_json_line_is_one_object)
{
	struct rng r;
	rng_seed(&r, 6);
	given_log("a:b", LOG_JSON, LOG_INFO);
	for (int i = 0; i < 2000; i++) {
		char msg[200], value[5000];
		random_text(&r, msg, sizeof(msg));
		random_text(&r, value, rng_below(&r, 20) ? 100 : sizeof(value));
		log_info(msg, LOG_S("v", value), LOG_U("last", UINT64_C(1) << 60));
		const char *line = written();
		ck_assert_uint_eq(count(line, '\n'), 1);
		ck_assert_uint_le(strlen(line), 4096);
		json_error_t error;
		json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, &error);
		ck_assert_msg(j != NULL, "%s: %s", error.text, line);
		ck_assert_str_eq(json_string_value(json_object_get(j, "level")), "info");
		ck_assert_str_eq(json_string_value(json_object_get(j, "actor")), "a:b");
		ck_assert(json_object_get(j, "cut") || json_integer_value(json_object_get(j, "last")) == INT64_C(1) << 60);
		json_decref(j);
	}
}
END_TEST

START_TEST(plain_text_comes_back_out_of_json)
{
	given_log(NULL, LOG_JSON, LOG_INFO);
	log_info("a \"b\"\n\\c", LOG_S("v", "\x01\t\xc3\xa9"), LOG_I("i", -7));
	json_t *j = json_loads(written(), 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(j, "msg")), "a \"b\"\n\\c");
	ck_assert_str_eq(json_string_value(json_object_get(j, "v")), "\x01\t\xc3\xa9");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "i")), -7);
	ck_assert_ptr_null(json_object_get(j, "actor"));
	json_decref(j);
}
END_TEST

START_TEST(a_line_too_long_is_cut_and_says_so)
{
	char text[8192];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	given_log(NULL, LOG_LOGFMT, LOG_INFO);
	log_info("m", LOG_S("v", text), LOG_U("lost", 1));
	const char *line = written();
	ck_assert_uint_le(strlen(line), 4096);
	ck_assert_uint_ge(strlen(line), 4000);
	ck_assert_ptr_nonnull(strstr(line, " cut=true\n"));
	ck_assert_ptr_null(strstr(line, "lost"));
}
END_TEST

/* Every fill of the line, so that each piece is once the one that does not fit. */
START_TEST(a_cut_at_any_place_leaves_a_whole_object)
{
	char text[4200];
	given_log("a:b", LOG_JSON, LOG_INFO);
	for (size_t len = 3800; len < sizeof(text); len++) {
		memset(text, 'x', len);
		text[len] = '\0';
		log_info("m", LOG_S("v", text), LOG_S("s", "\n\n"), LOG_U("u", INT64_MAX), LOG_S("end", "e"));
		const char *line = written();
		ck_assert_uint_le(strlen(line), 4096);
		json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		ck_assert_msg(j != NULL, "%zu: %s", len, line + 3700);
		json_decref(j);
	}
}
END_TEST

START_TEST(under_the_journal_a_priority_stands_for_time)
{
	char env[64];
	struct stat st;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	fstat(fds[1], &st);
	snprintf(env, sizeof(env), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", env, 1);
	log_setup("a:b", LOG_LOGFMT, LOG_DEBUG, fds[1]);
	log_error("x");
	ck_assert_str_eq(written(), "<3>level=error actor=a:b msg=x\n");
	log_debug("x", LOG_U("n", 1));
	ck_assert_str_eq(written(), "<7>level=debug actor=a:b msg=x n=1\n");
	log_setup("a:b", LOG_JSON, LOG_DEBUG, fds[1]);
	log_warn("x");
	ck_assert_str_eq(written(), "<4>{\"level\":\"warn\",\"actor\":\"a:b\",\"msg\":\"x\"}\n");

	/* The variable outlives a redirection: another file is no journal. */
	snprintf(env, sizeof(env), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", env, 1);
	log_setup("a:b", LOG_LOGFMT, LOG_DEBUG, fds[1]);
	log_error("x");
	after_ts(written());
}
END_TEST

START_TEST(errno_survives_and_a_broken_log_harms_nobody)
{
	log_setup("a:b", LOG_LOGFMT, LOG_DEBUG, -1);
	errno = ENOSPC;
	log_error("x");
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(levels_and_formats_read_by_name)
{
	enum log_level level;
	enum log_format format;
	ck_assert(log_level_parse("debug", &level) == 0 && level == LOG_DEBUG);
	ck_assert(log_level_parse("error", &level) == 0 && level == LOG_ERROR);
	ck_assert_int_eq(log_level_parse("Warn", &level), ERROR_BAD_REQUEST);
	ck_assert(log_format_parse("json", &format) == 0 && format == LOG_JSON);
	ck_assert(log_format_parse("logfmt", &format) == 0 && format == LOG_LOGFMT);
	ck_assert_int_eq(log_format_parse("", &format), ERROR_BAD_REQUEST);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	tcase_set_timeout(t, 60);
	unsetenv("JOURNAL_STREAM");
	tcase_add_test(t, a_line_has_time_level_actor_message_and_fields);
	tcase_add_test(t, an_actor_without_a_name_leaves_the_field_out);
	tcase_add_test(t, levels_below_the_least_are_not_written);
	tcase_add_test(t, values_cannot_forge_a_line_or_a_field);
	tcase_add_test(t, what_deceives_a_terminal_is_escaped_and_other_text_is_kept);
	tcase_add_test(t, whatever_the_bytes_one_event_is_one_line_of_text);
	tcase_add_test(t, whatever_the_bytes_a_json_line_is_one_object);
	tcase_add_test(t, plain_text_comes_back_out_of_json);
	tcase_add_test(t, a_line_too_long_is_cut_and_says_so);
	tcase_add_test(t, a_cut_at_any_place_leaves_a_whole_object);
	tcase_add_test(t, under_the_journal_a_priority_stands_for_time);
	tcase_add_test(t, errno_survives_and_a_broken_log_harms_nobody);
	tcase_add_test(t, levels_and_formats_read_by_name);
	suite_add_tcase(s, t);
	return suite_run(s);
}
