/* The packet4 protocol, both ways: bytes by hand where they matter, the generated code as the witness elsewhere. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "common/work/packet4.h"
#include "common/base/cleanup.h"
#include "proto/program.pb-c.h"

#define MAX 1000u

static struct program_reader in;
static struct program_message m;
static struct error e;
static const struct id id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

static void begin(void)
{
	ck_assert_int_eq(program_reader_init(&in, MAX), 0);
}

static void end(void)
{
	program_reader_fini(&in);
}

static void comes(const void *data, size_t len)
{
	ck_assert_int_eq(buffer_reserve(&in.in, len), 0);
	memcpy(in.in.data + in.in.to, data, len);
	in.in.to += len;
}

static void packet_comes(const void *body, size_t len)
{
	const uint8_t head[] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
	comes(head, sizeof head);
	comes(body, len);
}

static enum program_heard heard(void)
{
	memset(&m, 0x5a, sizeof m);
	memset(&e, 0, sizeof e);
	return packet4_codec.next(&in, &m, &e);
}

static void message_comes(const Troupe__FromProgram *f)
{
	size_t len = troupe__from_program__get_packed_size(f);
	_cleanup_(freep) uint8_t *data = malloc(len + 1);
	troupe__from_program__pack(f, data);
	packet_comes(data, len);
}

static ProtobufCBinaryData bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ len, (uint8_t *)data };
}

static void done_comes(const void *result, size_t len)
{
	Troupe__FromProgram f = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramDone done = TROUPE__PROGRAM_DONE__INIT;
	done.id = bytes(&id, sizeof id);
	done.result = bytes(result, len);
	f.body_case = TROUPE__FROM_PROGRAM__BODY_DONE;
	f.done = &done;
	message_comes(&f);
}

static void fail_comes(const char *error, bool final, uint64_t after_ms)
{
	Troupe__FromProgram f = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramFail fail = TROUPE__PROGRAM_FAIL__INIT;
	fail.id = bytes(&id, sizeof id);
	fail.error = (char *)error;
	fail.final = final;
	fail.after_ms = after_ms;
	f.body_case = TROUPE__FROM_PROGRAM__BODY_FAIL;
	f.fail = &fail;
	message_comes(&f);
}

static void progress_comes(uint32_t percent, const char *note)
{
	Troupe__FromProgram f = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramProgress progress = TROUPE__PROGRAM_PROGRESS__INIT;
	progress.id = bytes(&id, sizeof id);
	progress.percent = percent;
	progress.note = (char *)note;
	f.body_case = TROUPE__FROM_PROGRAM__BODY_PROGRESS;
	f.progress = &progress;
	message_comes(&f);
}

static void stray_for(const char *why)
{
	ck_assert_int_eq(heard(), PROGRAM_STRAY);
	ck_assert_msg(strstr(e.text, why) != NULL, "\"%s\", not \"%s\"", e.text, why);
}

/* --- from the program --- */

START_TEST(the_bytes_of_a_hello_are_these)
{
	comes("\0\0\0\6\12\4\10\1\20\10", 10);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_HELLO);
	ck_assert_uint_eq(m.max, 8);
	comes("\0\0\0\4\12\2\10\1", 8);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_uint_eq(m.max, 1);
	ck_assert_int_eq(heard(), PROGRAM_NOTHING);
}
END_TEST

START_TEST(a_hello_of_another_version_is_told_apart_from_noise)
{
	comes("\0\0\0\4\12\2\10\2", 8);
	ck_assert_int_eq(heard(), PROGRAM_OTHER_VERSION);
	ck_assert_ptr_nonnull(strstr(e.text, "version 2"));
	comes("\0\0\0\2\12\0", 6);
	ck_assert_int_eq(heard(), PROGRAM_OTHER_VERSION);
	comes("\0\0\0\7\12\5\10\1\20\201\40", 11);
	stray_for("4097");
}
END_TEST

START_TEST(a_result_is_any_bytes)
{
	uint8_t all[256];
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	done_comes(all, sizeof all);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_DONE);
	ck_assert(id_equal(&m.id, &id));
	ck_assert_uint_eq(m.result_len, sizeof all);
	ck_assert_int_eq(memcmp(m.result, all, sizeof all), 0);
	done_comes("", 0);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_uint_eq(m.result_len, 0);
	ck_assert_ptr_nonnull(m.result);
}
END_TEST

START_TEST(a_failure_says_whether_and_when_to_try_again)
{
	fail_comes("no such\norder", false, 30000);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_FAIL);
	ck_assert(m.retry);
	ck_assert_uint_eq(m.after_ms, 30000);
	ck_assert_str_eq(m.text, "no such order");
	fail_comes("", true, 0);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert(!m.retry);
	ck_assert_str_eq(m.text, "");
	fail_comes("never", false, UINT64_MAX);
	stray_for("10 years");
}
END_TEST

START_TEST(a_long_error_is_cut_at_a_whole_character)
{
	char text[900] = "x";
	for (int i = 0; i < 400; i++)
		memcpy(text + 1 + 2 * i, "\303\244", 3);
	fail_comes(text, false, 0);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_uint_eq(strlen(m.text), 511);
	ck_assert_str_eq(m.text + 509, "\303\244");
}
END_TEST

START_TEST(progress_is_a_percentage_and_a_note)
{
	progress_comes(40, "page 4");
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_PROGRESS);
	ck_assert_uint_eq(m.percent, 40);
	ck_assert_str_eq(m.text, "page 4");
	progress_comes(101, "");
	stray_for("above 100");
	comes("\0\0\0\2\52\0", 6);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_BEAT);
}
END_TEST

START_TEST(what_is_no_message_is_stray_and_the_next_one_is_read)
{
	comes("\0\0\0\0", 4);
	stray_for("neither hello, done, fail, progress nor beat");
	packet_comes("\12", 1);
	stray_for("malformed");
	packet_comes("\12\377\1", 3);
	stray_for("malformed");
	packet_comes("hello\n", 6);
	stray_for("malformed");
	packet_comes("\372\1\2hi", 5); /* a field of another time */
	stray_for("neither");
	packet_comes("\22\2\12\0", 4);
	stray_for("an id of 0 bytes");
	packet_comes("\32\6\22\1\377\12\1x", 8);
	stray_for("UTF-8");
	packet_comes("\32\3\22\1\0", 5);
	stray_for("UTF-8");
	done_comes("on", 2);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(memcmp(m.result, "on", 2), 0);
}
END_TEST

START_TEST(stray_bytes_are_there_to_be_shown)
{
	packet_comes("hello\n", 6);
	ck_assert_int_eq(heard(), PROGRAM_STRAY);
	ck_assert_uint_eq(in.stray_len, 6);
	ck_assert_int_eq(memcmp(in.stray, "hello\n", 6), 0);
}
END_TEST

START_TEST(unknown_fields_are_nobodys_fault)
{
	packet_comes("\22\25\12\20" "0123456789abcdef\320\2\5\372\1\2hi", 28);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_int_eq(m.kind, PROGRAM_DONE);
	ck_assert_int_eq(memcmp(m.id.b, "0123456789abcdef", 16), 0);
}
END_TEST

START_TEST(a_body_of_the_limit_is_read_and_one_byte_more_is_the_end)
{
	uint8_t result[MAX] = { 0 };
	size_t rest = 2 + 1 + 2 + 16 + 1 + 2; /* heads of done, id and result */
	done_comes(result, MAX - rest);
	ck_assert_uint_eq(buffer_len(&in.in), PACKET4_HEAD + MAX);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert_uint_eq(m.result_len, MAX - rest);
	done_comes(result, MAX - rest + 1);
	ck_assert_int_eq(heard(), PROGRAM_LOST);
	ck_assert_ptr_nonnull(strstr(e.text, "a length of 1001 bytes, above 1000"));
}
END_TEST

START_TEST(text_is_no_length)
{
	comes("hello", 5);
	ck_assert_int_eq(heard(), PROGRAM_LOST);
	program_reader_reset(&in);
	comes("\377\377\377\377", 4);
	ck_assert_int_eq(heard(), PROGRAM_LOST);
	program_reader_reset(&in);
	done_comes("x", 1);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
}
END_TEST

START_TEST(a_packet_comes_in_whatever_pieces)
{
	done_comes("first", 5);
	done_comes("second", 6);
	size_t len = buffer_len(&in.in);
	_cleanup_(freep) char *all = malloc(len);
	memcpy(all, in.in.data + in.in.from, len);
	for (size_t at = 0; at <= len; at++) {
		unsigned n = 0;
		program_reader_reset(&in);
		comes(all, at);
		while (heard() == PROGRAM_MESSAGE)
			n++;
		comes(all + at, len - at);
		while (heard() == PROGRAM_MESSAGE)
			n++;
		ck_assert_uint_eq(n, 2);
		ck_assert_uint_eq(buffer_len(&in.in), 0);
	}
}
END_TEST

START_TEST(a_body_cut_at_any_byte_is_refused_or_says_less)
{
	Troupe__FromProgram f = TROUPE__FROM_PROGRAM__INIT;
	Troupe__ProgramProgress progress = TROUPE__PROGRAM_PROGRESS__INIT;
	uint8_t body[100];
	progress.id = bytes(&id, sizeof id);
	progress.percent = 40;
	progress.note = (char *)"page 4 of 10";
	f.body_case = TROUPE__FROM_PROGRAM__BODY_PROGRESS;
	f.progress = &progress;
	size_t len = troupe__from_program__pack(&f, body);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(packet4_read(body, i, in.arena, &m, &e), ERROR_BAD_REQUEST);
	ck_assert_int_eq(packet4_read(body, len, in.arena, &m, &e), 0);
}
END_TEST

START_TEST(a_small_packet_cannot_unpack_into_much)
{
	/* Each of 100,000 empty messages in a message would be one more in memory. */
	static uint8_t body[200000];
	struct program_reader big;
	for (size_t i = 0; i < sizeof body; i += 2) {
		body[i] = 0x7a;
		body[i + 1] = 0;
	}
	ck_assert_int_eq(program_reader_init(&big, sizeof body), 0);
	ck_assert_int_eq(packet4_read(body, sizeof body, big.arena, &m, &e), ERROR_TOO_LARGE);
	program_reader_fini(&big);
}
END_TEST

/* --- to the program --- */

static struct buffer out;

static Troupe__ToProgram *written(size_t n)
{
	const uint8_t *p = (const uint8_t *)out.data;
	size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	ck_assert_uint_eq(buffer_len(&out), PACKET4_HEAD + len);
	if (n)
		ck_assert_uint_eq(len, n);
	Troupe__ToProgram *t = troupe__to_program__unpack(NULL, len, p + PACKET4_HEAD);
	ck_assert_ptr_nonnull(t);
	out.from = out.to = 0;
	return t;
}

START_TEST(a_task_has_all_that_a_program_may_want)
{
	char *tags[] = { (char *)"gpu", (char *)"eu" };
	const struct program_task t = { .id = id, .token = 7, .queue = "emails", .content_type = "text/plain", .traceparent = "00-a-b-01", .payload = (const uint8_t *)"a\0b", .payload_len = 3,
		                        .attempt = 2, .max_attempts = 5, .deadline_ms = 1795168800000, .tags = tags, .n_tags = 2 };
	ck_assert_int_eq(packet4_codec.write_task(&out, &t), 0);
	Troupe__ToProgram *p = written(0);
	ck_assert_int_eq(p->body_case, TROUPE__TO_PROGRAM__BODY_TASK);
	const Troupe__ProgramTask *task = p->task;
	ck_assert_uint_eq(task->id.len, sizeof id);
	ck_assert_int_eq(memcmp(task->id.data, &id, sizeof id), 0);
	ck_assert_uint_eq(task->token, 7);
	ck_assert_str_eq(task->queue, "emails");
	ck_assert_uint_eq(task->payload.len, 3);
	ck_assert_int_eq(memcmp(task->payload.data, "a\0b", 3), 0);
	ck_assert_str_eq(task->payload_file, "");
	ck_assert_str_eq(task->content_type, "text/plain");
	ck_assert_uint_eq(task->attempt, 2);
	ck_assert_uint_eq(task->max_attempts, 5);
	ck_assert_uint_eq(task->deadline_ms, 1795168800000);
	ck_assert_uint_eq(task->n_tags, 2);
	ck_assert_str_eq(task->tags[1], "eu");
	ck_assert_str_eq(task->traceparent, "00-a-b-01");
	troupe__to_program__free_unpacked(p, NULL);
	buffer_fini(&out);
}
END_TEST

/* As man/troupe-worker.7 shows it. */
START_TEST(the_bytes_of_the_exchange_in_the_manual_are_these)
{
#define THE_ID 0x01, 0x93, 0x47, 0x73, 0xd0, 0x9f, 0x9a, 0x36, 0x2d, 0x17, 0xbc, 0x4e, 0x16, 0x6a, 0xb0, 0x0e
	static const uint8_t task[] = { 0, 0, 0, 0x21, 0x0a, 0x1f, 0x0a, 0x10, THE_ID, 0x10, 7, 0x1a, 1, 'q', 0x22, 2, 'h', 'i', 0x38, 1, 0x40, 3 };
	static const uint8_t done[] = { 0, 0, 0, 0x18, 0x12, 0x16, 0x0a, 0x10, THE_ID, 0x12, 2, 'o', 'k' };
	struct program_task t = { .token = 7, .queue = "q", .content_type = "", .traceparent = "", .payload = (const uint8_t *)"hi", .payload_len = 2, .attempt = 1, .max_attempts = 3 };
	ck_assert_int_eq(id_parse("01JD3Q7M4ZK8V2T5XW9RB6NC0E", &t.id, &e), 0);
	ck_assert_int_eq(packet4_codec.write_task(&out, &t), 0);
	ck_assert_uint_eq(buffer_len(&out), sizeof task);
	ck_assert_int_eq(memcmp(out.data, task, sizeof task), 0);
	comes(done, sizeof done);
	ck_assert_int_eq(heard(), PROGRAM_MESSAGE);
	ck_assert(m.kind == PROGRAM_DONE && id_equal(&m.id, &t.id) && m.result_len == 2);
	buffer_fini(&out);
}
END_TEST

START_TEST(a_large_payload_is_a_file)
{
	const struct program_task t = { .id = id, .token = 7, .queue = "q", .content_type = "", .traceparent = "", .payload_file = "/var/lib/x/7.payload" };
	ck_assert_int_eq(packet4_codec.write_task(&out, &t), 0);
	Troupe__ToProgram *p = written(0);
	ck_assert_str_eq(p->task->payload_file, "/var/lib/x/7.payload");
	ck_assert_uint_eq(p->task->payload.len, 0);
	troupe__to_program__free_unpacked(p, NULL);
	buffer_fini(&out);
}
END_TEST

START_TEST(the_bytes_of_a_cancel_and_a_quit_are_these)
{
	static const char bytes_[] = "\0\0\0\24\22\22\12\20\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\0\0\0\2\32\0";
	ck_assert_int_eq(packet4_codec.write_cancel(&out, &id), 0);
	ck_assert_int_eq(packet4_codec.write_quit(&out), 0);
	ck_assert_uint_eq(buffer_len(&out), sizeof bytes_ - 1);
	ck_assert_int_eq(memcmp(out.data, bytes_, sizeof bytes_ - 1), 0);
	buffer_fini(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("worker packet4");
	TCase *c = tcase_create("packet4");
	tcase_add_checked_fixture(c, begin, end);
	tcase_add_test(c, the_bytes_of_a_hello_are_these);
	tcase_add_test(c, a_hello_of_another_version_is_told_apart_from_noise);
	tcase_add_test(c, a_result_is_any_bytes);
	tcase_add_test(c, a_failure_says_whether_and_when_to_try_again);
	tcase_add_test(c, a_long_error_is_cut_at_a_whole_character);
	tcase_add_test(c, progress_is_a_percentage_and_a_note);
	tcase_add_test(c, what_is_no_message_is_stray_and_the_next_one_is_read);
	tcase_add_test(c, stray_bytes_are_there_to_be_shown);
	tcase_add_test(c, unknown_fields_are_nobodys_fault);
	tcase_add_test(c, a_body_of_the_limit_is_read_and_one_byte_more_is_the_end);
	tcase_add_test(c, text_is_no_length);
	tcase_add_test(c, a_packet_comes_in_whatever_pieces);
	tcase_add_test(c, a_body_cut_at_any_byte_is_refused_or_says_less);
	tcase_add_test(c, a_small_packet_cannot_unpack_into_much);
	tcase_add_test(c, a_task_has_all_that_a_program_may_want);
	tcase_add_test(c, the_bytes_of_the_exchange_in_the_manual_are_these);
	tcase_add_test(c, a_large_payload_is_a_file);
	tcase_add_test(c, the_bytes_of_a_cancel_and_a_quit_are_these);
	suite_add_tcase(s, c);
	return suite_run(s);
}
