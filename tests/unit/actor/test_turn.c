/* Effects: what a handler says, what the next one reads, what is forgotten. Without a process, on a real store. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/actor/turn_fake.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

static const char *const tables[] = { "rows", NULL };
static char dir[64];
static struct store *store;
static struct turn_fake *fake;
static struct turn *t;

static void setup(void)
{
	struct error e;
	snprintf(dir, sizeof dir, "/tmp/troupe-turn-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	struct store_config c = { .dir = dir, .tables = tables, .version = 1 };
	ck_assert_int_eq(store_open(&c, &store, &e), 0);
	fake = turn_fake_new(store, 1000, 1700000000000);
	t = turn_fake_turn(fake);
}

static void teardown(void)
{
	char path[96];
	fake = turn_fake_free(fake);
	store = store_close(store);
	snprintf(path, sizeof path, "%s/data.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock.mdb", dir);
	unlink(path);
	rmdir(dir);
}

static void has(const char *key, const char *want)
{
	struct slice v = { 0 };
	int r = turn_get(t, 0, SLICE_STR(key), &v);
	ck_assert_int_eq(r, want ? 0 : ERROR_NOT_FOUND);
	if (want) {
		ck_assert_uint_eq(v.len, strlen(want));
		ck_assert_mem_eq(v.data, want, v.len);
	}
}

START_TEST(a_message_reads_its_own_puts_and_deletes_the_latest_first)
{
	has("a", NULL);
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("a"), SLICE_STR("1")), 0);
	has("a", "1");
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("a"), SLICE_STR("2")), 0);
	has("a", "2");
	ck_assert_int_eq(turn_delete(t, 0, SLICE_STR("a")), 0);
	has("a", NULL);
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("a"), SLICE_STR("3")), 0);
	has("a", "3");
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	has("a", "3");
}
END_TEST

START_TEST(a_view_shows_what_earlier_messages_wrote_and_not_this_one)
{
	struct slice k, v;
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("a"), SLICE_STR("1")), 0);
	ck_assert_int_eq(store_seek(turn_view(t), 0, SLICE(NULL, 0), false, &k, &v), ERROR_NOT_FOUND);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	ck_assert_int_eq(store_seek(turn_view(t), 0, SLICE(NULL, 0), false, &k, &v), 0);
	ck_assert_mem_eq(k.data, "a", 1);
}
END_TEST

START_TEST(dropped_effects_leave_nothing_behind)
{
	const struct effect_view *v;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("a"), SLICE_STR("1")), 0);
	env.type = (char *)"hello";
	ck_assert_int_eq(turn_tell(t, "counter:1", &env), 0);
	ck_assert_uint_eq(turn_fake_effects(fake, &v), 2);
	turn_fake_drop(fake);
	ck_assert_uint_eq(turn_fake_effects(fake, &v), 0);
	has("a", NULL);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	has("a", NULL);
}
END_TEST

START_TEST(five_thousand_rows_of_one_message_are_read_back_in_no_time)
{
	enum { N = 5000 };
	uint64_t from = clock_mono_ms();
	for (uint32_t i = 0; i < N; i++) {
		uint8_t *key = arena_alloc(turn_arena(t), 4);
		key_u32(key, i);
		ck_assert_int_eq(turn_put(t, 0, SLICE(key, 4), SLICE(key, 4)), 0);
		struct slice v;
		uint8_t half[4];
		key_u32(half, i / 2);
		ck_assert_int_eq(turn_get(t, 0, SLICE(half, 4), &v), 0);
		ck_assert_uint_eq(key_read_u32(v.data), i / 2);
	}
	ck_assert_uint_lt(clock_mono_ms() - from, 1000);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	uint64_t n;
	ck_assert_int_eq(store_count(turn_view(t), 0, &n), 0);
	ck_assert_uint_eq(n, N);
}
END_TEST

START_TEST(a_value_that_was_read_may_be_written_under_other_keys_while_pages_move)
{
	char text[1500];
	memset(text, 'q', sizeof text);
	ck_assert_int_eq(turn_put(t, 0, SLICE_STR("m"), SLICE(text, sizeof text)), 0);
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	/* The second message of a turn reads from the transaction's own dirty pages. */
	struct slice v;
	ck_assert_int_eq(turn_get(t, 0, SLICE_STR("m"), &v), 0);
	static char keys[30][4];
	for (int i = 0; i < 30; i++) {
		snprintf(keys[i], sizeof keys[i], "%c%02d", i % 2 ? 'a' : 'z', i);
		ck_assert_int_eq(turn_put(t, 0, SLICE_STR(keys[i]), v), 0);
	}
	ck_assert_int_eq(turn_fake_commit(fake), 0);
	for (int i = 0; i < 30; i++) {
		ck_assert_int_eq(turn_get(t, 0, SLICE_STR(keys[i]), &v), 0);
		ck_assert_uint_eq(v.len, sizeof text);
		ck_assert_mem_eq(v.data, text, sizeof text);
	}
}
END_TEST

START_TEST(a_key_that_no_store_takes_is_refused_when_it_is_said)
{
	static const char key[512];
	struct slice v;
	ck_assert_int_eq(turn_put(t, 0, SLICE(key, 512), SLICE_STR("x")), ERROR_BAD_REQUEST);
	ck_assert_int_eq(turn_delete(t, 0, SLICE(key, 0)), ERROR_BAD_REQUEST);
	ck_assert_int_eq(turn_get(t, 0, SLICE(key, 512), &v), ERROR_BAD_REQUEST);
}
END_TEST

START_TEST(an_ask_gets_an_id_and_its_deadline_and_is_told_by_its_cookie)
{
	const struct effect_view *v;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)"hello";
	ck_assert_int_eq(turn_ask(t, "counter:1", &env, 1500, 42), 0);
	ck_assert_uint_eq(turn_fake_effects(fake, &v), 1);
	ck_assert_int_eq(v[0].kind, EFFECT_ASK);
	ck_assert_str_eq(v[0].to, "counter:1");
	ck_assert_uint_eq(v[0].number, 42);
	ck_assert_int_eq(v[0].env->kind, TROUPE__KIND__ASK);
	ck_assert_uint_eq(v[0].env->id.len, 16);
	ck_assert_uint_eq(v[0].env->deadline_ms, 1500);
	ck_assert_int_eq(turn_ask(t, "no address", &env, 1500, 42), ERROR_BAD_REQUEST);
}
END_TEST

static struct message message_from(uint64_t peer, Troupe__Envelope *env)
{
	return (struct message){ .env = env, .sender = { .peer = peer, .address = "", .subject = "uid 1" }, .received_ms = 990 };
}

START_TEST(a_reply_answers_an_ask_and_nothing_else)
{
	const struct effect_view *v;
	static uint8_t id[16] = { 1, 2, 3 };
	Troupe__Envelope question = TROUPE__ENVELOPE__INIT, answer = TROUPE__ENVELOPE__INIT;
	question.id = (ProtobufCBinaryData){ sizeof id, id };
	answer.type = (char *)"there";
	struct message m = message_from(9, &question);
	ck_assert_int_eq(turn_reply(t, &m, &answer), 0);
	ck_assert_uint_eq(turn_fake_effects(fake, &v), 0);

	question.kind = TROUPE__KIND__ASK;
	question.deadline_ms = 500;
	ck_assert_int_eq(turn_reply(t, &m, &answer), 0);
	struct reply_to later = turn_reply_handle(t, &m);
	struct error e;
	error_set(&e, ERROR_BUSY, "not now");
	ck_assert_int_eq(turn_reply_error(t, &later, &e), 0);
	ck_assert_uint_eq(later.deadline_at_ms, 1490);
	ck_assert_uint_eq(turn_fake_effects(fake, &v), 2);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(v[i].peer, 9);
		ck_assert_uint_eq(v[i].env->reply_to.len, 16);
		ck_assert_mem_eq(v[i].env->reply_to.data, id, 16);
	}
	ck_assert_int_eq(v[0].env->kind, TROUPE__KIND__REPLY);
	ck_assert_int_eq(v[1].env->kind, TROUPE__KIND__ERROR);
	ck_assert_uint_eq(v[1].env->error->code, ERROR_BUSY);
	ck_assert_str_eq(v[1].env->error->name, "BUSY");
}
END_TEST

START_TEST(an_envelope_larger_than_a_frame_is_refused_when_it_is_said)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.payload.len = 1 << 20;
	env.payload.data = calloc(1, env.payload.len);
	ck_assert_int_eq(turn_push(t, 1, &env), ERROR_TOO_LARGE);
	env.payload.len -= 1000;
	ck_assert_int_eq(turn_push(t, 1, &env), 0);
	free(env.payload.data);
}
END_TEST

START_TEST(every_other_wish_is_listed_as_it_was_said)
{
	const struct effect_view *v;
	Troupe__Event ev = TROUPE__EVENT__INIT;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Whereis w = TROUPE__WHEREIS__INIT;
	w.address = (char *)"x:1";
	c.body_case = TROUPE__CONTROL__BODY_WHEREIS;
	c.whereis = &w;
	ck_assert_int_eq(turn_connect(t, "coordinator:main"), 0);
	ck_assert_int_eq(turn_monitor(t, "worker:a/1", 7), 0);
	ck_assert_int_eq(turn_demonitor(t, "worker:a/1", 7), 0);
	ck_assert_int_eq(turn_wake(t, 1234), 0);
	ck_assert_int_eq(turn_note(t, "3 ready"), 0);
	ck_assert_int_eq(turn_emit(t, &ev), 0);
	ck_assert_int_eq(turn_control(t, &c), 0);
	ck_assert_int_eq(turn_link(t, "worker:a/1", 7, true), 0);
	ck_assert_int_eq(turn_unlink(t, "worker:a/1"), 0);
	ck_assert_int_eq(turn_link(t, "no address", 7, true), ERROR_BAD_REQUEST);
	ck_assert_int_eq(turn_unlink(t, ""), ERROR_BAD_REQUEST);
	ck_assert_int_eq(turn_disconnect(t, "coordinator:main"), 0);
	ck_assert_int_eq(turn_leave(t, TROUPE__REASON__REASON_NORMAL, "done"), 0);
	ck_assert_int_eq(turn_monitor(t, "", 7), ERROR_BAD_REQUEST);
	static const enum effect_kind want[] = { EFFECT_CONNECT, EFFECT_MONITOR, EFFECT_DEMONITOR, EFFECT_WAKE,       EFFECT_NOTE,
		                                 EFFECT_EMIT,    EFFECT_CONTROL, EFFECT_CONTROL, EFFECT_CONTROL, EFFECT_DISCONNECT, EFFECT_LEAVE };
	ck_assert_uint_eq(turn_fake_effects(fake, &v), ELEMENTS(want));
	for (size_t i = 0; i < ELEMENTS(want); i++)
		ck_assert_int_eq(v[i].kind, want[i]);
	ck_assert_uint_eq(v[1].number, 7);
	ck_assert_uint_eq(v[3].number, 1234);
	ck_assert_str_eq(v[4].to, "3 ready");
}
END_TEST

START_TEST(the_error_of_a_handler_is_the_code_that_it_returns)
{
	struct error e;
	error_set(&e, ERROR_CONFLICT, "twice");
	ck_assert_int_eq(turn_fail(t, &e), ERROR_CONFLICT);
}
END_TEST

static Suite *turn_suite(void)
{
	Suite *s = suite_create("turn");
	TCase *c = tcase_create("turn");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_message_reads_its_own_puts_and_deletes_the_latest_first);
	tcase_add_test(c, a_view_shows_what_earlier_messages_wrote_and_not_this_one);
	tcase_add_test(c, dropped_effects_leave_nothing_behind);
	tcase_add_test(c, five_thousand_rows_of_one_message_are_read_back_in_no_time);
	tcase_add_test(c, a_value_that_was_read_may_be_written_under_other_keys_while_pages_move);
	tcase_add_test(c, a_key_that_no_store_takes_is_refused_when_it_is_said);
	tcase_add_test(c, an_ask_gets_an_id_and_its_deadline_and_is_told_by_its_cookie);
	tcase_add_test(c, a_reply_answers_an_ask_and_nothing_else);
	tcase_add_test(c, an_envelope_larger_than_a_frame_is_refused_when_it_is_said);
	tcase_add_test(c, every_other_wish_is_listed_as_it_was_said);
	tcase_add_test(c, the_error_of_a_handler_is_the_code_that_it_returns);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(turn_suite());
}
