/* The JSON mapping. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/wire/base64.h"
#include "common/wire/id.h"
#include "common/wire/json.h"
#include "proto/control.pb-c.h"
#include "tests/suite.h"
#include "tests/unit/wire/fill.h"

static struct arena *arena;
static struct error e;

static void given_arena(void)
{
	arena = arena_new(16 << 20);
}

static void drop_arena(void)
{
	arena_unref(arena);
}

/* text, with ' for ", as a message of type d; r is what reading returns. */
static ProtobufCMessage *read_as(const ProtobufCMessageDescriptor *d, const char *text, int *ret_code)
{
	char *copy = arena_string(arena, text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_error_t error;
	json_t *j = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	ck_assert_msg(j != NULL, "%s: %s", copy, error.text);
	ProtobufCMessage *m = NULL;
	e = (struct error){ 0 };
	*ret_code = json_to_message(j, d, arena, &m, &e);
	ck_assert((*ret_code == 0) == (m != NULL));
	ck_assert_int_eq(e.code, *ret_code);
	json_decref(j);
	return m;
}

#define READ(type, desc, text) ((type *)read_ok(&desc, text))
static ProtobufCMessage *read_ok(const ProtobufCMessageDescriptor *d, const char *text)
{
	int r;
	ProtobufCMessage *m = read_as(d, text, &r);
	ck_assert_msg(r == 0, "%s: %s", text, e.text);
	return m;
}

static void refused(const ProtobufCMessageDescriptor *d, const char *text, const char *why)
{
	int r;
	read_as(d, text, &r);
	ck_assert_msg(r == ERROR_BAD_REQUEST, "%s is accepted", text);
	ck_assert_msg(strstr(e.text, why), "%s: \"%s\" does not say \"%s\"", text, e.text, why);
}

/* m as text, with ' for ". */
static const char *shown(const ProtobufCMessage *m)
{
	static char text[4096];
	json_t *j = json_from_message(m);
	ck_assert_ptr_nonnull(j);
	size_t n = json_dumpb(j, text, sizeof(text) - 1, JSON_COMPACT);
	ck_assert_uint_lt(n, sizeof(text));
	text[n] = '\0';
	json_decref(j);
	for (char *p = text; *p; p++)
		*p = *p == '"' ? '\'' : *p;
	return text;
}

START_TEST(every_type_survives_the_way_through_text)
{
	size_t n;
	struct rng r;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	rng_seed(&r, 41);
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < 20; k++) {
			arena_reset(arena);
			ProtobufCMessage *m = fill_random(types[i], &r, arena), *back;
			size_t len, again_len;
			uint8_t *data = fill_pack(m, arena, &len);
			json_t *j = json_from_message(m);
			ck_assert_ptr_nonnull(j);
			_cleanup_(freep) char *text = json_dumps(j, k % 2 ? JSON_COMPACT : JSON_ENSURE_ASCII | JSON_INDENT(2));
			json_decref(j);
			j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
			ck_assert_ptr_nonnull(j);
			ck_assert_msg(json_to_message(j, types[i], arena, &back, &e) == 0, "%s: %s", types[i]->name, e.text);
			json_decref(j);
			uint8_t *again = fill_pack(back, arena, &again_len);
			ck_assert_msg(again_len == len && !memcmp(again, data, len), "%s: %s", types[i]->name, text);
		}
	}
}
END_TEST

/* json_name turns one form into the other; here a field whose name it could not would show. */
START_TEST(every_field_is_read_in_both_forms_of_its_name)
{
	size_t n;
	const ProtobufCMessageDescriptor *const *types = fill_types(&n);
	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < types[i]->n_fields; k++) {
			const ProtobufCFieldDescriptor *f = &types[i]->fields[k];
			arena_reset(arena);
			ProtobufCMessage *m = fill_single(types[i], f, arena), *back;
			size_t len, again_len;
			uint8_t *data = fill_pack(m, arena, &len), *again;
			json_t *camel = json_from_message(m), *snake = json_object();
			ck_assert_uint_eq(json_object_size(camel), 1);
			const char *name = json_object_iter_key(json_object_iter(camel));
			ck_assert_ptr_null(strchr(name, '_'));
			json_object_set(snake, f->name, json_object_get(camel, name));
			ck_assert_int_eq(json_to_message(camel, types[i], arena, &back, NULL), 0);
			again = fill_pack(back, arena, &again_len);
			ck_assert(again_len == len && !memcmp(again, data, len));
			ck_assert_msg(json_to_message(snake, types[i], arena, &back, NULL) == 0, "%s.%s", types[i]->name, f->name);
			again = fill_pack(back, arena, &again_len);
			ck_assert(again_len == len && !memcmp(again, data, len));
			json_decref(camel);
			json_decref(snake);
		}
	}
}
END_TEST

START_TEST(a_message_looks_as_the_mapping_says)
{
	Troupe__TaskSpec spec = TROUPE__TASK_SPEC__INIT;
	Troupe__Level level = TROUPE__LEVEL__INIT;
	ck_assert_str_eq(shown(&spec.base), "{}");
	uint8_t payload[] = { 0xfb, 0xff, 0 };
	char *tags[] = { (char *)"gpu", (char *)"" };
	spec.queue = (char *)"q\n";
	spec.payload = (ProtobufCBinaryData){ 3, payload };
	spec.priority = &level;
	spec.delay_ms = UINT64_MAX;
	spec.unique_mode = TROUPE__UNIQUE_MODE__UNIQUE_RETURN;
	spec.n_tags = 2;
	spec.tags = tags;
	ck_assert_str_eq(shown(&spec.base), "{'queue':'q\\n','payload':'+/8A','priority':{},'delayMs':'18446744073709551615','uniqueMode':'UNIQUE_RETURN','tags':['gpu','']}");

	Troupe__Outcome outcome = TROUPE__OUTCOME__INIT;
	outcome.exit_code = -1;
	outcome.truncated = true;
	outcome.exit_class = (Troupe__ExitClass)77;
	ck_assert_str_eq(shown(&outcome.base), "{'exitClass':77,'exitCode':-1,'truncated':true}");

	Troupe__Sample sample = TROUPE__SAMPLE__INIT;
	sample.value = 0.5;
	ck_assert_str_eq(shown(&sample.base), "{'value':0.5}");
	sample.value = -INFINITY;
	ck_assert_str_eq(shown(&sample.base), "{'value':'-Infinity'}");
	sample.value = NAN;
	ck_assert_str_eq(shown(&sample.base), "{'value':'NaN'}");

	Troupe__Control control = TROUPE__CONTROL__INIT;
	Troupe__Ignore ignore = TROUPE__IGNORE__INIT;
	control.body_case = TROUPE__CONTROL__BODY_IGNORE;
	control.ignore = &ignore;
	ck_assert_str_eq(shown(&control.base), "{'ignore':{}}");
}
END_TEST

START_TEST(numbers_are_read_as_numbers_and_as_strings)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = { { "5", 5 }, { "'5'", 5 }, { "'18446744073709551615'", UINT64_MAX }, { "9223372036854775807", INT64_MAX }, { "5.0", 5 }, { "1e3", 1000 }, { "0", 0 }, { "-0.0", 0 }, { "null", 0 } };
	for (size_t i = 0; i < ELEMENTS(good); i++) {
		char text[64];
		snprintf(text, sizeof(text), "{'delayMs':%s}", good[i].text);
		ck_assert_msg(READ(Troupe__TaskSpec, troupe__task_spec__descriptor, text)->delay_ms == good[i].value, "%s", text);
	}
	static const char *const bad[] = { "-1", "'-1'", "1.5", "1e30", "18446744073709551616.0", "'18446744073709551616'", "''", "'x'", "'5 '", "'+5'", "'0x5'", "'5\\u0000'", "true", "[]", "{}" };
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		char text[64];
		snprintf(text, sizeof(text), "{'delayMs':%s}", bad[i]);
		refused(&troupe__task_spec__descriptor, text, "delayMs is ");
	}
	ck_assert_int_eq(READ(Troupe__Outcome, troupe__outcome__descriptor, "{'exitCode':-2147483648}")->exit_code, INT32_MIN);
	ck_assert_int_eq(READ(Troupe__Outcome, troupe__outcome__descriptor, "{'exitCode':'2147483647'}")->exit_code, INT32_MAX);
	refused(&troupe__outcome__descriptor, "{'exitCode':2147483648}", "exitCode is out of range");
	refused(&troupe__outcome__descriptor, "{'exitCode':-2147483649}", "exitCode is out of range");
	refused(&troupe__level__descriptor, "{'value':4294967296}", "value is out of range");
	ck_assert(READ(Troupe__Sample, troupe__sample__descriptor, "{'value':'1.5e3'}")->value == 1500);
	ck_assert(isinf(READ(Troupe__Sample, troupe__sample__descriptor, "{'value':'Infinity'}")->value));
	ck_assert(READ(Troupe__Sample, troupe__sample__descriptor, "{'value':7}")->value == 7);
	static const char *const no_double[] = { "'inf'", "'nan'", "'0x10'", "' 1'", "''", "'1e999'", "true", "'1\\u0000'" };
	for (size_t i = 0; i < ELEMENTS(no_double); i++) {
		char text[64];
		snprintf(text, sizeof(text), "{'value':%s}", no_double[i]);
		refused(&troupe__sample__descriptor, text, "value is ");
	}
}
END_TEST

START_TEST(words_are_read_by_name_and_by_number)
{
	ck_assert_int_eq(READ(Troupe__TaskSpec, troupe__task_spec__descriptor, "{'uniqueMode':'UNIQUE_REPLACE'}")->unique_mode, TROUPE__UNIQUE_MODE__UNIQUE_REPLACE);
	ck_assert_int_eq(READ(Troupe__TaskSpec, troupe__task_spec__descriptor, "{'unique_mode':2}")->unique_mode, TROUPE__UNIQUE_MODE__UNIQUE_REPLACE);
	refused(&troupe__task_spec__descriptor, "{'uniqueMode':'replace'}", "uniqueMode is none of its words");
	refused(&troupe__task_spec__descriptor, "{'uniqueMode':2147483648}", "uniqueMode is out of range");
	refused(&troupe__task_spec__descriptor, "{'uniqueMode':[]}", "uniqueMode is not");
}
END_TEST

START_TEST(what_does_not_fit_is_refused_with_its_path)
{
	const ProtobufCMessageDescriptor *d = &troupe__submit__descriptor;
	refused(d, "[]", "the message is not an object");
	refused(d, "null", "the message is not an object");
	refused(d, "{'task':[]}", "task is not known");
	refused(d, "{'tasks':{}}", "tasks is not an array");
	refused(d, "{'tasks':[null]}", "tasks[0] is not an object");
	refused(d, "{'tasks':[{},{'retry':{'baseMs':'x'}}]}", "tasks[1].retry.baseMs is not a whole number");
	refused(d, "{'tasks':[{'tags':['a',5]}]}", "tasks[0].tags[1] is not a string");
	refused(d, "{'tasks':[{'delayMS':1}]}", "tasks[0].delayMS is not known");
	refused(d, "{'tasks':[{'delay_Ms':1}]}", "is not known");
	refused(d, "{'tasks':[{'DelayMs':1}]}", "is not known");
	refused(d, "{'tasks':[{'delayMs':1,'delay_ms':1}]}", "given twice");
	refused(d, "{'tasks':[{'delay_ms':1,'delayMs':1}]}", "given twice");
	refused(d, "{'tasks':[{'queue':'a\\u0000b'}]}", "tasks[0].queue is not UTF-8 text without NUL");
	refused(d, "{'tasks':[{'payload':'a'}]}", "tasks[0].payload is not base 64");
	refused(d, "{'tasks':[{'payload':5}]}", "tasks[0].payload is not a string");
	refused(d, "{'notify':1}", "notify is neither true nor false");
	refused(&troupe__control__descriptor, "{'ignore':{},'stop':{}}", "excludes");
}
END_TEST

START_TEST(a_long_path_is_cut_and_harms_nobody)
{
	char text[4096] = "{'";
	memset(text + 2, 'x', 3000);
	strcpy(text + 3002, "':1}");
	refused(&troupe__submit__descriptor, text, "xxx is not known");
	refused(&troupe__submit__descriptor, "{'tasks':[{'retry':{'a_very_long_member_name_that_is_near_to_sixty_four_bytes_long_now':1}}]}", "is not known");
}
END_TEST

START_TEST(reading_stops_at_the_cap_of_the_arena)
{
	struct arena *small = arena_new(4096);
	json_t *j = json_object(), *tags = json_array();
	for (int i = 0; i < 1000; i++)
		json_array_append_new(tags, json_string("gpu"));
	json_object_set_new(j, "tags", tags);
	ProtobufCMessage *m;
	ck_assert_int_eq(json_to_message(j, &troupe__task_spec__descriptor, small, &m, &e), ERROR_TOO_LARGE);
	json_decref(j);
	arena_unref(small);
}
END_TEST

START_TEST(base_64_is_that_of_the_rfc)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		char text[16] = "";
		uint8_t bytes[16] = { 0 };
		size_t n = strlen(rows[i].bytes), len;
		base64_encode((const uint8_t *)rows[i].bytes, n, text);
		text[BASE64_SIZE(n)] = '\0';
		ck_assert_str_eq(text, rows[i].text);
		ck_assert(base64_decode(text, strlen(text), bytes, &len));
		ck_assert_uint_eq(len, n);
		ck_assert(!memcmp(bytes, rows[i].bytes, n));
		/* without padding too */
		ck_assert(base64_decode(text, strcspn(text, "="), bytes, &len));
		ck_assert_uint_eq(len, n);
	}
	static const char *const bad[] = { "=", "==", "====", "Z", "Zg=", "Zg===", "Z===", "Zm9v=", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm=v", "Zm9vY" };
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		uint8_t bytes[16];
		size_t len;
		ck_assert_msg(!base64_decode(bad[i], strlen(bad[i]), bytes, &len), "%s", bad[i]);
	}
	uint8_t a[3], b[3];
	size_t len;
	ck_assert(base64_decode("-_8A", 4, a, &len) && base64_decode("+/8A", 4, b, &len) && !memcmp(a, b, 3));
}
END_TEST

/* As read_as, for the short form of an envelope. */
static Troupe__Envelope *envelope(const char *text, int *ret_code)
{
	char *copy = arena_string(arena, text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	json_error_t error;
	json_t *j = json_loads(copy, JSON_DECODE_ANY, &error);
	ck_assert_msg(j != NULL, "%s: %s", copy, error.text);
	Troupe__Envelope *env = NULL;
	*ret_code = json_to_envelope(j, arena, &env, &e);
	json_decref(j);
	return env;
}

START_TEST(a_short_envelope_is_a_whole_message)
{
	int r;
	Troupe__Envelope *env = envelope("{'to':'counter:a','type':'counter.add','payload':{'by':[1,2.5,'x']},'id':'01arz3ndektsv4rrffq69g5fav','timestamp':1795167000123}", &r);
	ck_assert_msg(r == 0, "%s", e.text);
	ck_assert_str_eq(env->to, "counter:a");
	ck_assert_str_eq(env->content_type, "application/json");
	ck_assert_uint_eq(env->payload.len, strlen("{\"by\":[1,2.5,\"x\"]}"));
	ck_assert(!memcmp(env->payload.data, "{\"by\":[1,2.5,\"x\"]}", env->payload.len));
	ck_assert_uint_eq(env->id.len, 16);
	ck_assert_uint_eq(env->id.data[0], 0x01);
	ck_assert_uint_eq(env->id.data[15], 0x5b);
	ck_assert_uint_eq(env->timestamp_ms, UINT64_C(1795167000123));

	json_t *j = json_from_envelope(env);
	_cleanup_(freep) char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(text, "{\"contentType\":\"application/json\",\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"payload\":{\"by\":[1,2.5,\"x\"]},\"timestamp\":1795167000123,"
	                       "\"to\":\"counter:a\",\"type\":\"counter.add\"}");
	json_decref(j);
}
END_TEST

START_TEST(a_payload_may_be_any_json_value)
{
	static const char *const values[] = { "5", "'text'", "null", "true", "[]", "{}" };
	for (size_t i = 0; i < ELEMENTS(values); i++) {
		char text[64];
		int r;
		snprintf(text, sizeof(text), "{'payload':%s}", values[i]);
		Troupe__Envelope *env = envelope(text, &r);
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(env->payload.len, strlen(values[i]));
		json_t *j = json_from_envelope(env);
		ck_assert_ptr_nonnull(json_object_get(j, "payload"));
		json_decref(j);
	}
}
END_TEST

START_TEST(bytes_that_are_no_json_go_as_base_64)
{
	int r;
	Troupe__Envelope *env = envelope("{'contentType':'image/png','payloadBase64':'iVBO'}", &r);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(env->payload.len, 3);
	json_t *j = json_from_envelope(env);
	ck_assert_str_eq(json_string_value(json_object_get(j, "payloadBase64")), "iVBO");
	ck_assert_ptr_null(json_object_get(j, "payload"));
	json_decref(j);

	/* claims to be JSON, and is not */
	Troupe__Envelope liar = TROUPE__ENVELOPE__INIT;
	liar.content_type = (char *)"application/json";
	liar.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"{\"a\"" };
	j = json_from_envelope(&liar);
	ck_assert_ptr_null(json_object_get(j, "payload"));
	ck_assert_str_eq(json_string_value(json_object_get(j, "payloadBase64")), "eyJhIg==");
	json_decref(j);
}
END_TEST

START_TEST(the_systems_messages_have_their_member)
{
	int r;
	Troupe__Envelope *env = envelope("{'to':'coordinator:main','kind':'ASK','queueAsk':{'name':'mail'},'replyTo':null}", &r);
	ck_assert_msg(r == 0, "%s", e.text);
	ck_assert_int_eq(env->body_case, TROUPE__ENVELOPE__BODY_QUEUE_ASK);
	ck_assert_str_eq(env->queue_ask->name, "mail");
	ck_assert_int_eq(env->kind, TROUPE__KIND__ASK);
	ck_assert_uint_eq(env->reply_to.len, 0);
}
END_TEST

START_TEST(what_is_no_envelope_is_refused)
{
	static const char *const bad[] = { "[]", "5", "{'to':'nowhere'}", "{'from':'x y:z'}", "{'id':'short'}", "{'id':5}", "{'replyTo':'!'}", "{'payload':1,'payloadBase64':''}",
		                           "{'payload':1,'contentType':'text/plain'}", "{'payload':1,'contentType':5}", "{'ping':{},'pong':{}}", "{'nonsense':1}", "{'timestamp':'x'}",
		                           "{'payloadBase64':'!'}", "{'to':5}" };
	for (size_t i = 0; i < ELEMENTS(bad); i++) {
		int r;
		ck_assert_ptr_null(envelope(bad[i], &r));
		ck_assert_msg(r == ERROR_BAD_REQUEST && e.text[0], "%s", bad[i]);
	}
}
END_TEST

START_TEST(random_envelopes_survive_the_short_form)
{
	struct rng r;
	rng_seed(&r, 42);
	for (int i = 0; i < 500; i++) {
		arena_reset(arena);
		Troupe__Frame *frame = fill_frame(&r, arena);
		if (!frame->n_envelopes)
			continue;
		Troupe__Envelope *env = frame->envelopes[0], *back;
		/* from 2^63 on, milliseconds are no JSON integer of this library */
		env->timestamp_ms &= INT64_MAX;
		json_t *j = json_from_envelope(env);
		ck_assert_ptr_nonnull(j);
		ck_assert_msg(json_to_envelope(j, arena, &back, &e) == 0, "%s", e.text);
		json_decref(j);
		size_t len, again_len;
		uint8_t *data = fill_pack(&env->base, arena, &len), *again = fill_pack(&back->base, arena, &again_len);
		ck_assert(again_len == len && !memcmp(again, data, len));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("json");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, given_arena, drop_arena);
	tcase_add_test(t, every_type_survives_the_way_through_text);
	tcase_add_test(t, every_field_is_read_in_both_forms_of_its_name);
	tcase_add_test(t, a_message_looks_as_the_mapping_says);
	tcase_add_test(t, numbers_are_read_as_numbers_and_as_strings);
	tcase_add_test(t, words_are_read_by_name_and_by_number);
	tcase_add_test(t, what_does_not_fit_is_refused_with_its_path);
	tcase_add_test(t, a_long_path_is_cut_and_harms_nobody);
	tcase_add_test(t, reading_stops_at_the_cap_of_the_arena);
	tcase_add_test(t, base_64_is_that_of_the_rfc);
	tcase_add_test(t, a_short_envelope_is_a_whole_message);
	tcase_add_test(t, a_payload_may_be_any_json_value);
	tcase_add_test(t, bytes_that_are_no_json_go_as_base_64);
	tcase_add_test(t, the_systems_messages_have_their_member);
	tcase_add_test(t, what_is_no_envelope_is_refused);
	tcase_add_test(t, random_envelopes_survive_the_short_form);
	suite_add_tcase(s, t);
	return suite_run(s);
}
