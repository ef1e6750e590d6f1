#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "actors/tools/bulk.h"
#include "actors/tools/spec_json.h"
#include "common/base/cleanup.h"

static struct arena *arena;
static struct error error;
static Troupe__TaskSpec *task;
static struct bulk_defaults defaults;

static void setup(void)
{
	arena = arena_new(4u << 20);
	defaults = (struct bulk_defaults){ .queue = "emails", .now_ms = 1000000 };
	ck_assert_int_eq(id_parse("01JD3Q7M4ZK8V2T5XW9RB6NC0E", &defaults.batch, NULL), 0);
}
static void teardown(void) { arena_unref(arena); }

static int line_at(uint64_t n, const char *text)
{
	memset(&error, 0, sizeof error);
	task = NULL;
	return bulk_line(text, strlen(text), n, &defaults, arena, &task, &error);
}

static void payload_is(const char *text)
{
	ck_assert_uint_eq(task->payload.len, strlen(text));
	ck_assert_mem_eq(task->payload.data, text, strlen(text));
}

START_TEST(a_string_payload_is_its_bytes_and_an_object_its_json)
{
	ck_assert_int_eq(line_at(1, "{\"payload\":\"line 1\\n\"}"), 0);
	payload_is("line 1\n");
	ck_assert_str_eq(task->content_type, "");
	ck_assert_str_eq(task->queue, "emails");
	ck_assert_int_eq(line_at(2, "{\"payload\": {\"to\": \"ann\", \"n\": 1}}"), 0);
	payload_is("{\"to\":\"ann\",\"n\":1}");
	ck_assert_str_eq(task->content_type, "application/json");
	ck_assert_int_eq(line_at(3, "{\"payload\":17}"), 0);
	payload_is("17");
	ck_assert_int_eq(line_at(4, "{\"payload_base64\":\"AAH/\"}"), 0);
	ck_assert_uint_eq(task->payload.len, 3);
	ck_assert_mem_eq(task->payload.data, "\x00\x01\xff", 3);
}
END_TEST

static int read_word(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	ck_assert_ptr_eq(ctx, &defaults);
	if (strcmp(path, "/there") != 0)
		return error_set(e, ERROR_NOT_FOUND, "%s: nothing there", path);
	t->payload = (ProtobufCBinaryData){ 4, arena_copy(a, "word", 4) };
	return 0;
}

#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

START_TEST(a_payload_may_be_a_files_content_or_what_the_node_has)
{
	ck_assert_int_eq(line_at(1, "{\"payload_file\":\"/there\"}"), ERROR_BAD_REQUEST); /* nobody reads files here */
	defaults.read_file = read_word;
	defaults.ctx = &defaults;
	ck_assert_int_eq(line_at(1, "{\"payload_file\":\"/there\"}"), 0);
	payload_is("word");
	ck_assert_int_eq(line_at(7, "{\"payload_file\":\"/else\"}"), ERROR_NOT_FOUND);
	ck_assert_str_eq(error.text, "line 7: /else: nothing there");
	ck_assert_int_eq(line_at(1, "{\"payload_sha256\":\"" HASH "\",\"payload_size\":100000}"), 0);
	ck_assert_uint_eq(task->payload.len, 0);
	ck_assert(task->blob && task->blob->size == 100000 && task->blob->sha256.len == 32 && task->blob->sha256.data[0] == 0xba && task->blob->sha256.data[31] == 0xad);
}
END_TEST

START_TEST(every_member_reaches_the_task)
{
	ck_assert_int_eq(line_at(1, "{\"argv\":[\"make\",\"-C\",\"/srv\"],\"queue\":\"build\",\"priority\":\"high\",\"delay\":\"10m\",\"unique\":\"k\",\"unique_mode\":\"return\","
	                            "\"timeout\":90,\"deadline\":\"1h\",\"max_attempts\":3,\"require\":[\"gpu\"],\"content_type\":\"text/x\",\"run_at\":\"2026-11-20T09:30:00Z\"}"), 0);
	ck_assert_uint_eq(task->n_argv, 3);
	ck_assert_mem_eq(task->argv[2].data, "/srv", 4);
	ck_assert_str_eq(task->queue, "build");
	ck_assert_uint_eq(task->priority->value, 1000);
	ck_assert_uint_eq(task->delay_ms, 600000);
	ck_assert_str_eq(task->unique_key, "k");
	ck_assert_int_eq(task->unique_mode, TROUPE__UNIQUE_MODE__UNIQUE_RETURN);
	ck_assert_uint_eq(task->timeout_ms, 90000);
	ck_assert_uint_eq(task->deadline_at_ms, 1000000 + 3600000);
	ck_assert_uint_eq(task->retry->max_attempts, 3);
	ck_assert_str_eq(task->tags[0], "gpu");
	ck_assert_str_eq(task->content_type, "text/x");
	ck_assert_uint_eq(task->run_at_ms, 1795167000000ull);
}
END_TEST

START_TEST(what_it_waits_for_and_takes_reaches_the_task)
{
	ck_assert_int_eq(line_at(1, "{\"payload\":1,\"serial\":\"customer:42\",\"hold\":true,\"resources\":{\"gpu\":2,\"mem\":\"4G\"},\"max_attempts\":9,"
	                            "\"after\":[\"01JD3Q7M4ZK8V2T5XW9RB6NC0F\",{\"id\":\"01JD3Q7M4ZK8V2T5XW9RB6NC0G\",\"on\":\"end\"}],"
	                            "\"retry\":[\"exit 3: dead\",\"any: retry 5 30s\"]}"), 0);
	ck_assert_str_eq(task->serial_key, "customer:42");
	ck_assert(task->hold_on_failure);
	ck_assert_uint_eq(task->n_resources, 2);
	ck_assert_str_eq(task->resources[1]->name, "mem");
	ck_assert_uint_eq(task->resources[1]->amount, 4ull << 30);
	ck_assert_uint_eq(task->n_depends_on, 2);
	ck_assert_int_eq(task->depends_on[0]->on, TROUPE__EDGE_ON__ON_SUCCESS);
	ck_assert_int_eq(task->depends_on[1]->on, TROUPE__EDGE_ON__ON_END);
	ck_assert_uint_eq(task->retry->max_attempts, 9);
	ck_assert_uint_eq(task->retry->n_rules, 2);
	ck_assert_int_eq(task->retry->rules[0]->action, TROUPE__RETRY_RULE__ACTION__DEAD);
	ck_assert_int_eq(line_at(2, "{\"payload\":1,\"retry\":\"oom: retry 2, timeout: now\"}"), 0);
	ck_assert_uint_eq(task->retry->n_rules, 2);
}
END_TEST

START_TEST(the_same_line_of_the_same_batch_has_the_same_id)
{
	struct id first, second;
	ck_assert_int_eq(line_at(7, "{\"payload\":\"x\"}"), 0);
	memcpy(first.b, task->id.data, 16);
	ck_assert_int_eq(line_at(8, "{\"payload\":\"x\"}"), 0);
	memcpy(second.b, task->id.data, 16);
	ck_assert_int_eq(id_cmp(&first, &second), -1);
	ck_assert_int_eq(line_at(7, "{\"payload\":\"x\"}"), 0);
	ck_assert_mem_eq(first.b, task->id.data, 16);
	ck_assert_int_eq(line_at(9, "{\"payload\":\"x\",\"id\":\"01JD3Q7M4ZK8V2T5XW9RB6NC0F\"}"), 0);
	ck_assert_int_eq(task->id.data[15], defaults.batch.b[15] + 1);
}
END_TEST

START_TEST(ids_of_a_batch_carry_over_but_never_into_the_time)
{
	struct id full = { .b = { 1, 2, 3, 4, 5, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } }, next = bulk_id(&full, 1);
	ck_assert_mem_eq(next.b, "\1\2\3\4\5\6\0\0\0\0\0\0\0\0\0\0", 16);
	struct id low = { .b = { [15] = 0xff } }, carried = bulk_id(&low, 0x101);
	ck_assert_uint_eq(carried.b[15], 0);
	ck_assert_uint_eq(carried.b[14], 2);
}
END_TEST

START_TEST(an_error_names_its_line_and_what_is_wrong)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "{\"payload\":1", "no JSON object" },
		{ "[1]", "no JSON object" },
		{ "{\"payload\":1,\"payload\":2}", "no JSON object" },
		{ "{}", "neither payload nor argv" },
		{ "{\"payload\":1,\"prioriti\":\"high\"}", "'prioriti'" },
		{ "{\"payload\":1,\"priority\":\"urgent\"}", "urgent" },
		{ "{\"payload\":1,\"priority\":-1}", "-1" },
		{ "{\"payload\":1,\"delay\":\"soon\"}", "soon" },
		{ "{\"payload\":1,\"delay\":-5}", "delay" },
		{ "{\"payload\":1,\"id\":\"short\"}", "" },
		{ "{\"payload\":1,\"argv\":\"make\"}", "argv" },
		{ "{\"argv\":[]}", "argv" },
		{ "{\"argv\":[1]}", "argv" },
		{ "{\"payload\":1,\"queue\":2}", "queue" },
		{ "{\"payload\":1,\"max_attempts\":0}", "max_attempts" },
		{ "{\"payload\":1,\"payload_base64\":\"AA==\"}", "exclude" },
		{ "{\"payload_base64\":\"a*b\"}", "base64" },
		{ "{\"payload\":1,\"payload_file\":\"x\"}", "exclude" },
		{ "{\"payload_sha256\":\"" HASH "\"}", "payload_size" },
		{ "{\"payload_sha256\":\"" HASH "\",\"payload_size\":0}", "payload_size" },
		{ "{\"payload_sha256\":\"ba78\",\"payload_size\":9}", "64 hexadecimal" },
		{ "{\"payload\":1,\"run_at\":\"tomorrow\"}", "tomorrow" },
		{ "{\"payload\":1,\"unique_mode\":\"maybe\"}", "maybe" },
		{ "{\"payload\":1,\"serial\":7}", "serial" },
		{ "{\"payload\":1,\"hold\":\"yes\"}", "hold" },
		{ "{\"payload\":1,\"resources\":[\"gpu 1\"]}", "resources" },
		{ "{\"payload\":1,\"resources\":{\"gpu\":0}}", "gpu 0" },
		{ "{\"payload\":1,\"resources\":{\"gpu\":true}}", "gpu" },
		{ "{\"payload\":1,\"resources\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}}", "at most 8" },
		{ "{\"payload\":1,\"after\":\"x\"}", "after" },
		{ "{\"payload\":1,\"after\":[\"x\"]}", "" },
		{ "{\"payload\":1,\"after\":[7]}", "ids" },
		{ "{\"payload\":1,\"after\":[{\"name\":\"x\"}]}", "an id" },
		{ "{\"payload\":1,\"on\":\"end\"}", "'on'" },
		{ "{\"payload\":1,\"retry\":[\"exit 3\"]}", "exit 3" },
		{ "{\"payload\":1,\"retry\":[3]}", "strings" },
		{ "{\"payload\":1,\"retry\":{}}", "retry" },
		{ "{\"payload\":1,\"retry\":[\"any: now\",\"oom: dead\"]}", "never reached" },
	};
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		ck_assert_msg(line_at(40 + i, rows[i].text) == ERROR_BAD_REQUEST, "%s was taken", rows[i].text);
		ck_assert_uint_eq(error.index, 40 + i);
		char line[32];
		snprintf(line, sizeof line, "line %zu", 40 + i);
		ck_assert_msg(strstr(error.text, line) && strstr(error.text, rows[i].says), "%s: %s", rows[i].text, error.text);
		ck_assert_ptr_null(task);
	}
	ck_assert_int_eq(line_at(1, "{\"payload\":1,\"prioriti\":\"high\"}"), ERROR_BAD_REQUEST);
	ck_assert_str_eq(error.cure, "did you mean priority?");
}
END_TEST

START_TEST(a_line_without_a_queue_needs_one)
{
	defaults.queue = NULL;
	ck_assert_int_eq(line_at(3, "{\"payload\":1}"), ERROR_BAD_REQUEST);
	ck_assert_ptr_nonnull(strstr(error.cure, "--bulk"));
	ck_assert_int_eq(line_at(3, "{\"payload\":1,\"queue\":\"a\"}"), 0);
}
END_TEST

START_TEST(a_line_over_the_limit_is_refused_unread)
{
	size_t len = BULK_LINE_MAX + 1;
	_cleanup_(freep) char *text = malloc(len + 1);
	memset(text, ' ', len);
	text[len] = '\0';
	ck_assert_int_eq(line_at(5, text), ERROR_TOO_LARGE);
	ck_assert_uint_eq(error.index, 5);
}
END_TEST

START_TEST(dates_are_read_with_fractions_and_offsets)
{
	uint64_t ms;
	ck_assert_int_eq(date_parse("2026-11-20T09:30:00Z", &ms, NULL), 0);
	ck_assert_uint_eq(ms, 1795167000000ull);
	ck_assert_int_eq(date_parse("2026-11-20T10:30:00.25+01:00", &ms, NULL), 0);
	ck_assert_uint_eq(ms, 1795167000250ull);
	static const char *const wrong[] = { "", "2026-11-20", "2026-11-20T09:30:00", "2026-11-20T09:30:00Zx", "2026-11-20T09:30:00.Z", "2026-13-20T09:30:00Z", "2026-11-20T09:30:00+1:00" };
	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		ck_assert_msg(date_parse(wrong[i], &ms, NULL) == ERROR_BAD_REQUEST, "%s was taken", wrong[i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tool: bulk files");
	TCase *c = tcase_create("bulk");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_string_payload_is_its_bytes_and_an_object_its_json);
	tcase_add_test(c, a_payload_may_be_a_files_content_or_what_the_node_has);
	tcase_add_test(c, every_member_reaches_the_task);
	tcase_add_test(c, what_it_waits_for_and_takes_reaches_the_task);
	tcase_add_test(c, the_same_line_of_the_same_batch_has_the_same_id);
	tcase_add_test(c, ids_of_a_batch_carry_over_but_never_into_the_time);
	tcase_add_test(c, an_error_names_its_line_and_what_is_wrong);
	tcase_add_test(c, a_line_without_a_queue_needs_one);
	tcase_add_test(c, a_line_over_the_limit_is_refused_unread);
	tcase_add_test(c, dates_are_read_with_fractions_and_offsets);
	suite_add_tcase(s, c);
	return s;
}

int main(void) { return suite_run(suite()); }
