/* The lines protocol, both ways, and the JSON scanner under it, with jansson as the witness. */
#include "tests/suite.h"
#include <jansson.h>
#include <string.h>
#include "common/work/json_scan.h"
#include "common/work/lines.h"
#include "common/base/cleanup.h"
#include "common/wire/base64.h"

#define ID "01JD3Q7M4ZK8V2T5XW9RB6NC0E"

/* --- from the program --- */

static char line[4096];
static struct program_message m;
static struct error e;

static int reading(const char *text)
{
	ck_assert_uint_lt(strlen(text), sizeof line);
	snprintf(line, sizeof line, "%s", text);
	memset(&m, 0x5a, sizeof m);
	memset(&e, 0, sizeof e);
	return lines_read(line, strlen(line), &m, &e);
}

static void refused(const char *text)
{
	ck_assert_msg(reading(text) == ERROR_BAD_REQUEST, "accepted: %s", text);
	ck_assert_msg(*e.text, "no reason: %s", text);
}

static void result_is(const char *text, const char *bytes, size_t len)
{
	ck_assert_msg(reading(text) == 0, "refused: %s: %s", text, e.text);
	ck_assert_int_eq(m.kind, PROGRAM_DONE);
	ck_assert_msg(m.result_len == len && memcmp(m.result, bytes, len) == 0, "%s: result \"%.*s\"", text, (int)m.result_len, m.result);
}

START_TEST(a_hello_says_how_many_tasks_at_once)
{
	ck_assert_int_eq(reading("{\"hello\":1,\"max\":8}"), 0);
	ck_assert_int_eq(m.kind, PROGRAM_HELLO);
	ck_assert_uint_eq(m.max, 8);
	ck_assert_int_eq(reading(" { \"max\" : 4096 , \"hello\" : 1 , \"name\" : \"x\" } "), 0);
	ck_assert_uint_eq(m.max, 4096);
	ck_assert_int_eq(reading("{\"hello\":1}"), 0);
	ck_assert_uint_eq(m.max, 1);
}
END_TEST

START_TEST(a_hello_of_another_version_is_told_apart_from_noise)
{
	ck_assert_int_eq(reading("{\"hello\":2}"), ERROR_VERSION);
	ck_assert_ptr_nonnull(strstr(e.text, "version 2"));
	refused("{\"hello\":\"1\"}");
	refused("{\"hello\":1,\"max\":0}");
	refused("{\"hello\":1,\"max\":4097}");
	refused("{\"hello\":1,\"max\":-1}");
	refused("{\"hello\":1,\"max\":1e99}");
}
END_TEST

START_TEST(a_result_is_the_bytes_of_a_string_or_the_text_of_anything_else)
{
	result_is("{\"done\":\"" ID "\",\"result\":\"ok\"}", "ok", 2);
	result_is("{\"done\":\"" ID "\"}", "", 0);
	result_is("{\"done\":\"" ID "\",\"result\":{\"n\": 1.0, \"big\": 123456789012345678901234567890, \"e\":1e400}}", "{\"n\": 1.0, \"big\": 123456789012345678901234567890, \"e\":1e400}",
	          60);
	result_is("{\"done\":\"" ID "\",\"result\":null}", "null", 4);
	result_is("{\"done\":\"" ID "\",\"result\":-0.5e+3}", "-0.5e+3", 7);
	result_is("{\"result\":[1,\"}\",{}],\"done\":\"" ID "\"}", "[1,\"}\",{}]", 10);
	result_is("{\"done\":\"" ID "\",\"result_b64\":\"AP/+\"}", "\0\377\376", 3);
	result_is("{\"done\":\"" ID "\",\"result_b64\":\"\\/\\/8=\"}", "\377\377", 2);
}
END_TEST

START_TEST(escapes_of_a_string_become_the_bytes_that_they_stand_for)
{
	result_is("{\"done\":\"" ID "\",\"result\":\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"}", "a\n\t\"\\/\b\f\r", 9);
	result_is("{\"done\":\"" ID "\",\"result\":\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"}", "A\303\244\342\202\254\360\237\230\200", 10);
	result_is("{\"done\":\"" ID "\",\"result\":\"x\\u0000y\"}", "x\0y", 3);
	result_is("{\"done\":\"" ID "\",\"result\":\"\303\244\"}", "\303\244", 2);
}
END_TEST

START_TEST(a_failure_says_whether_and_when_to_try_again)
{
	ck_assert_int_eq(reading("{\"fail\":\"" ID "\",\"error\":\"no such\\norder\",\"retry\":true,\"after\":\"30s\"}"), 0);
	ck_assert_int_eq(m.kind, PROGRAM_FAIL);
	ck_assert(m.retry);
	ck_assert_uint_eq(m.after_ms, 30000);
	ck_assert_str_eq(m.text, "no such order");
	ck_assert_int_eq(reading("{\"fail\":\"" ID "\",\"retry\":false,\"after\":1.5}"), 0);
	ck_assert(!m.retry);
	ck_assert_uint_eq(m.after_ms, 1500);
	ck_assert_str_eq(m.text, "");
	ck_assert_int_eq(reading("{\"fail\":\"" ID "\",\"error\":null,\"after\":null}"), 0);
	ck_assert(m.retry);
	refused("{\"fail\":\"" ID "\",\"after\":\"soon\"}");
	refused("{\"fail\":\"" ID "\",\"after\":-1}");
	refused("{\"fail\":\"" ID "\",\"retry\":1}");
	refused("{\"fail\":\"" ID "\",\"error\":7}");
}
END_TEST

START_TEST(a_long_error_is_cut_at_a_whole_character)
{
	char text[2000];
	size_t n = (size_t)snprintf(text, sizeof text, "{\"fail\":\"" ID "\",\"error\":\"x");
	for (int i = 0; i < 400; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "\303\244");
	snprintf(text + n, sizeof text - n, "\"}");
	ck_assert_int_eq(reading(text), 0);
	ck_assert_uint_eq(strlen(m.text), 511);
	ck_assert_str_eq(m.text + 509, "\303\244");
}
END_TEST

START_TEST(progress_is_a_percentage_and_a_note)
{
	ck_assert_int_eq(reading("{\"progress\":\"" ID "\",\"pct\":40.4,\"note\":\"page 4\"}"), 0);
	ck_assert_int_eq(m.kind, PROGRAM_PROGRESS);
	ck_assert_uint_eq(m.percent, 40);
	ck_assert_str_eq(m.text, "page 4");
	ck_assert_int_eq(reading("{\"beat\":1}"), 0);
	ck_assert_int_eq(m.kind, PROGRAM_BEAT);
	refused("{\"progress\":\"" ID "\",\"pct\":101}");
	refused("{\"progress\":\"" ID "\",\"pct\":\"40\"}");
}
END_TEST

START_TEST(what_is_no_message_is_stray)
{
	static const char *const lines[] = {
		"hello", "{", "{}", "[]", "1", "null", "\"done\"", "{\"done\":\"" ID "\"} x", "{\"done\":\"" ID "\"}{}", "{\"done\":\"" ID "\",}", "{\"done\"}", "{\"done\":}",
		"{\"done\":\"short\"}", "{\"done\":7}", "{\"done\":\"" ID "\",\"fail\":\"" ID "\"}", "{\"done\":\"" ID "\",\"done\":\"" ID "\"}",
		"{\"done\":\"" ID "\",\"result\":1,\"result\":2}", "{\"done\":\"" ID "\",\"result\":1,\"result_b64\":\"AA==\"}", "{\"done\":\"" ID "\",\"result_b64\":\"A\"}",
		"{\"done\":\"" ID "\",\"result_b64\":1}", "{\"done\":\"01JD3Q7M4ZK8V2T5XW9RB6NC0!\"}", "{'done':'" ID "'}", "{\"unknown\":1}",
		"{\"done\":\"" ID "\",\"result\":\"\377\"}", "{\"done\":\"" ID "\",\"result\":\"\\ud800\"}", "{\"done\":\"" ID "\",\"result\":\"a\tb\"}",
	};
	for (size_t i = 0; i < ELEMENTS(lines); i++)
		refused(lines[i]);
	/* Members that we do not know are nobody's fault. */
	result_is("{\"done\":\"" ID "\",\"took\":{\"ms\":[1,2]},\"result\":\"ok\",\"x\":null}", "ok", 2);
}
END_TEST

START_TEST(a_line_with_too_many_members_is_stray)
{
	char text[4000] = "{\"done\":\"" ID "\"";
	for (int i = 0; i < 40; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), ",\"m%d\":1", i);
	strcat(text, "}");
	refused(text);
}
END_TEST

START_TEST(a_message_cut_at_any_byte_is_refused_or_the_same)
{
	static const char whole[] = "{\"fail\":\"" ID "\",\"error\":\"a\\u00e4\\ud83d\\ude00\",\"retry\":false,\"x\":[{\"y\":[-1.5e3,true,null]}]}";
	for (size_t i = 0; i < sizeof whole - 1; i++) {
		memcpy(line, whole, i);
		ck_assert_int_eq(lines_read(line, i, &m, &e), ERROR_BAD_REQUEST);
	}
	ck_assert_int_eq(reading(whole), 0);
}
END_TEST

/* --- from the pipe --- */

static struct program_reader in;

static void comes(const char *data, size_t len)
{
	ck_assert_int_eq(buffer_reserve(&in.in, len), 0);
	memcpy(in.in.data + in.in.to, data, len);
	in.in.to += len;
}

START_TEST(lines_come_in_whatever_pieces)
{
	static const char text[] = "{\"beat\":1}\n\r\n\n{\"done\":\"" ID "\",\"result\":\"ok\"}\r\nnoise\n{\"hello\":1}\n";
	ck_assert_int_eq(program_reader_init(&in, 1000), 0);
	for (size_t at = 0; at < sizeof text; at++) {
		enum program_heard h;
		unsigned messages = 0, strays = 0;
		program_reader_reset(&in);
		comes(text, at);
		for (int half = 0; half < 2; half++) {
			while ((h = lines_codec.next(&in, &m, &e)) != PROGRAM_NOTHING) {
				messages += h == PROGRAM_MESSAGE;
				strays += h == PROGRAM_STRAY;
			}
			if (!half)
				comes(text + at, sizeof text - 1 - at);
		}
		ck_assert_uint_eq(messages, 3);
		ck_assert_uint_eq(strays, 1);
		ck_assert_uint_eq(buffer_len(&in.in), 0);
	}
	program_reader_fini(&in);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_stray_once)
{
	static char text[5000];
	memset(text, 'x', sizeof text);
	ck_assert_int_eq(program_reader_init(&in, 100), 0);
	/* In pieces, whole, and by one byte. */
	for (int i = 0; i < 10; i++) {
		comes(text, 200);
		ck_assert_int_eq(lines_codec.next(&in, &m, &e), i ? PROGRAM_NOTHING : PROGRAM_STRAY);
	}
	comes("{}\n{\"beat\":1}\n", 14);
	ck_assert_int_eq(lines_codec.next(&in, &m, &e), PROGRAM_MESSAGE);
	text[4999] = '\n';
	comes(text, 5000);
	ck_assert_int_eq(lines_codec.next(&in, &m, &e), PROGRAM_STRAY);
	ck_assert_str_eq(e.text, "a line that is too long");
	comes(text + 5000 - 102, 102);
	ck_assert_int_eq(lines_codec.next(&in, &m, &e), PROGRAM_STRAY);
	ck_assert_str_eq(e.text, "a line that is too long");
	memset(text, ' ', 90);
	memcpy(text + 90, "{\"beat\":1}\n", 11);
	comes(text, 101);
	ck_assert_int_eq(lines_codec.next(&in, &m, &e), PROGRAM_MESSAGE);
	ck_assert_int_eq(lines_codec.next(&in, &m, &e), PROGRAM_NOTHING);
	program_reader_fini(&in);
}
END_TEST

/* --- the scanner --- */

START_TEST(the_scanner_agrees_with_jansson)
{
	static const char *const texts[] = {
		"0", "-0", "01", "-", "1.", ".5", "1.5", "1e5", "1e", "1E+", "1E+5", "+1", "0x1", "NaN", "Infinity", "true", "tru", "truee", "false", "null", "nul", "\"\"", "\"a", "a\"", "\"\\\"",
		"\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\uD834\\uDD1E\"", "\"\\uDD1E\"", "\"\\uD834x\"", "\"\\uD834\\u0041\"", "[]", "[ ]", "[1]", "[1,]", "[,1]", "[1 2]", "[1,2", "]", "{}", "{ }",
		"{\"a\":1}", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{\"a\":}", "{\"a\":1 \"b\":2}", "{\"a\":[{\"b\":[]}]}", "[[[[]]]", "[[[[]]]]", "{\"a\":{\"b\":{}}", "[}", "{]", "[1}", "{\"a\":1]", "", " ",
		"1 1", "\t[\r\n1 ]\n", "\"\300\200\"", "\"\355\240\200\"", "\"\xf4\x90\x80\x80\"", "\"\xc3\xa4\"", "\"\x7f\"", "\"\x01\"", "[\"a\\/b\"]",
	};
	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		json_t *j = json_loads(texts[i], JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
		ck_assert_msg(json_scan_valid(texts[i], strlen(texts[i])) == (j != NULL), "%s", texts[i]);
		json_decref(j);
	}
}
END_TEST

START_TEST(the_scanner_goes_as_deep_as_it_says_and_no_deeper)
{
	static char deep[2 * JSON_SCAN_DEPTH + 4];
	for (size_t depth = JSON_SCAN_DEPTH - 1; depth <= JSON_SCAN_DEPTH + 1; depth++) {
		memset(deep, '[', depth);
		memset(deep + depth, ']', depth);
		ck_assert_int_eq(json_scan_valid(deep, 2 * depth), depth <= JSON_SCAN_DEPTH);
	}
	/* Objects and arrays in turn: each level remembers what it is. */
	char mixed[2048] = "";
	for (int i = 0; i < 100; i++)
		strcat(mixed, i % 3 ? "[" : "{\"k\":");
	strcat(mixed, "1");
	for (int i = 99; i >= 0; i--)
		strcat(mixed, i % 3 ? "]" : "}");
	ck_assert(json_scan_valid(mixed, strlen(mixed)));
	mixed[strlen(mixed) - 1] = ']';
	ck_assert(!json_scan_valid(mixed, strlen(mixed)));
}
END_TEST

/* --- to the program --- */

static struct buffer out;

static struct id id_of(const char *text)
{
	struct id id;
	ck_assert_int_eq(id_parse(text, &id, NULL), 0);
	return id;
}

static struct program_task task_with(const void *payload, size_t len, const char *content_type)
{
	return (struct program_task){ .id = id_of(ID), .token = 7, .queue = "emails", .content_type = content_type, .traceparent = "", .payload = payload, .payload_len = len, .attempt = 1, .max_attempts = 5 };
}

static json_t *written(const struct program_task *t)
{
	json_error_t why;
	out.from = out.to = 0;
	ck_assert_int_eq(lines_codec.write_task(&out, t), 0);
	ck_assert_uint_gt(out.to, 0);
	ck_assert_ptr_eq(memchr(out.data, '\n', out.to), out.data + out.to - 1);
	json_t *j = json_loadb(out.data, out.to, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	ck_assert_msg(j != NULL, "%s: %.*s", why.text, (int)out.to, out.data);
	ck_assert_str_eq(json_string_value(json_object_get(j, "task")), ID);
	return j;
}

static void string_is(json_t *j, const char *key, const void *bytes, size_t len)
{
	json_t *s = json_object_get(j, key);
	ck_assert_msg(json_is_string(s), "no string %s", key);
	ck_assert_uint_eq(json_string_length(s), len);
	ck_assert_int_eq(memcmp(json_string_value(s), bytes, len), 0);
}

START_TEST(a_task_is_one_line_with_all_that_a_program_may_want)
{
	char *tags[] = { (char *)"gpu", (char *)"a\"b" };
	struct program_task t = task_with("hi", 2, "");
	t.deadline_ms = 1795168800000;
	t.tags = tags;
	t.n_tags = 2;
	t.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	json_t *j = written(&t);
	string_is(j, "payload", "hi", 2);
	string_is(j, "queue", "emails", 6);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "token")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "attempt")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "max_attempts")), 5);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "deadline_ms")), 1795168800000);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(j, "tags"), 1)), "a\"b");
	string_is(j, "traceparent", t.traceparent, strlen(t.traceparent));
	json_decref(j);
	buffer_fini(&out);
}
END_TEST

START_TEST(the_line_begins_as_a_ten_line_shell_worker_expects)
{
	struct program_task t = task_with("", 0, "");
	out.from = out.to = 0;
	ck_assert_int_eq(lines_codec.write_task(&out, &t), 0);
	ck_assert_int_eq(memcmp(out.data, "{\"task\":\"" ID "\",", 37), 0);
	buffer_fini(&out);
}
END_TEST

START_TEST(every_byte_of_a_payload_arrives)
{
	uint8_t text[128], all[256];
	for (int i = 0; i < 128; i++)
		text[i] = (uint8_t)(i ? i : 1);
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	struct program_task t = task_with(text, sizeof text, "");
	json_t *j = written(&t);
	string_is(j, "payload", text, sizeof text);
	json_decref(j);

	/* Not UTF-8, or with a NUL byte: base 64. */
	char expected[BASE64_SIZE(256)];
	base64_encode(all, sizeof all, expected);
	t = task_with(all, sizeof all, "application/json");
	j = written(&t);
	string_is(j, "payload_b64", expected, sizeof expected);
	ck_assert_ptr_null(json_object_get(j, "payload"));
	json_decref(j);
	buffer_fini(&out);
}
END_TEST

START_TEST(a_json_payload_is_given_as_json)
{
	static const char pretty[] = "{\n  \"to\": \"ann\",\r\n  \"n\": 1.10\n}";
	struct program_task t = task_with(pretty, strlen(pretty), "application/json; charset=utf-8");
	json_t *j = written(&t);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(j, "payload"), "to")), "ann");
	ck_assert_ptr_nonnull(memmem(out.data, out.to, "1.10", 4));
	json_decref(j);
	t = task_with("{no", 3, "application/json");
	j = written(&t);
	string_is(j, "payload", "{no", 3);
	json_decref(j);
	t = task_with("1", 1, "application/jsonish");
	j = written(&t);
	string_is(j, "payload", "1", 1);
	json_decref(j);
	buffer_fini(&out);
}
END_TEST

START_TEST(a_large_payload_is_a_file)
{
	struct program_task t = task_with("{}", 2, "application/json");
	t.payload_file = "/var/lib/a \"b\"/7.payload";
	json_t *j = written(&t);
	string_is(j, "payload_file", t.payload_file, strlen(t.payload_file));
	ck_assert_ptr_null(json_object_get(j, "payload"));
	ck_assert_ptr_null(json_object_get(j, "payload_b64"));
	json_decref(j);
	buffer_fini(&out);
}
END_TEST

START_TEST(many_lines_stand_behind_each_other)
{
	struct program_task t = task_with("x", 1, "");
	size_t n = 0;
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(lines_codec.write_task(&out, &t), 0);
	ck_assert_int_eq(lines_codec.write_cancel(&out, &t.id), 0);
	ck_assert_int_eq(lines_codec.write_quit(&out), 0);
	for (char *at = out.data; (at = memchr(at, '\n', (size_t)(out.data + out.to - at))); at++)
		n++;
	ck_assert_uint_eq(n, 1002);
	static const char end[] = "{\"cancel\":\"" ID "\"}\n{\"quit\":\"drain\"}\n";
	ck_assert_int_eq(memcmp(out.data + out.to - strlen(end), end, strlen(end)), 0);
	buffer_fini(&out);
}
END_TEST

START_TEST(a_buffer_keeps_what_is_in_it_while_it_moves_and_grows)
{
	struct buffer b = { 0 };
	unsigned written = 0, read = 0;
	for (int round = 0; round < 200; round++) {
		size_t n = (size_t)(round * 37 % 1500);
		ck_assert_int_eq(buffer_reserve(&b, n), 0);
		for (size_t i = 0; i < n; i++)
			b.data[b.to++] = (char)(written++ % 251);
		size_t take = buffer_len(&b) * (size_t)(round % 4) / 3;
		for (size_t i = 0; i < take; i++)
			ck_assert_uint_eq((uint8_t)b.data[b.from + i], (uint8_t)(read++ % 251));
		buffer_take(&b, take);
	}
	ck_assert_uint_lt(b.room, 1 << 20);
	buffer_fini(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker lines");
	TCase *c = tcase_create("lines");
	tcase_add_test(c, a_hello_says_how_many_tasks_at_once);
	tcase_add_test(c, a_hello_of_another_version_is_told_apart_from_noise);
	tcase_add_test(c, a_result_is_the_bytes_of_a_string_or_the_text_of_anything_else);
	tcase_add_test(c, escapes_of_a_string_become_the_bytes_that_they_stand_for);
	tcase_add_test(c, a_failure_says_whether_and_when_to_try_again);
	tcase_add_test(c, a_long_error_is_cut_at_a_whole_character);
	tcase_add_test(c, progress_is_a_percentage_and_a_note);
	tcase_add_test(c, what_is_no_message_is_stray);
	tcase_add_test(c, a_line_with_too_many_members_is_stray);
	tcase_add_test(c, a_message_cut_at_any_byte_is_refused_or_the_same);
	tcase_add_test(c, the_scanner_agrees_with_jansson);
	tcase_add_test(c, the_scanner_goes_as_deep_as_it_says_and_no_deeper);
	tcase_add_test(c, a_task_is_one_line_with_all_that_a_program_may_want);
	tcase_add_test(c, the_line_begins_as_a_ten_line_shell_worker_expects);
	tcase_add_test(c, every_byte_of_a_payload_arrives);
	tcase_add_test(c, a_json_payload_is_given_as_json);
	tcase_add_test(c, a_large_payload_is_a_file);
	tcase_add_test(c, lines_come_in_whatever_pieces);
	tcase_add_test(c, a_line_that_is_too_long_is_stray_once);
	tcase_add_test(c, many_lines_stand_behind_each_other);
	tcase_add_test(c, a_buffer_keeps_what_is_in_it_while_it_moves_and_grows);
	suite_add_tcase(s, c);
	return suite_run(s);
}
