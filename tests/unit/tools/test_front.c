#include "tests/suite.h"
#include <string.h>
#include "actors/front/front.h"
#include "actors/front/relay.h"
#include "common/actor/turn_fake.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

static struct relay relay;
static struct relay_entry entry;

static struct reply_to from_peer(uint64_t peer, uint64_t deadline_at_ms)
{
	return (struct reply_to){ .peer = peer, .deadline_at_ms = deadline_at_ms };
}

static void clear(void) { memset(&relay, 0, sizeof relay); }

static uint64_t add(uint64_t peer, uint64_t deadline_at_ms)
{
	struct reply_to r = from_peer(peer, deadline_at_ms);
	uint64_t ref = relay_next_ref(&relay);
	relay_add(&relay, &r, 1000);
	return ref;
}

START_TEST(an_answer_finds_its_asker_once)
{
	uint64_t first = add(1, TIME_NEVER), second = add(2, TIME_NEVER);
	ck_assert(first != second);
	ck_assert(relay_take(&relay, first, &entry));
	ck_assert_uint_eq(entry.reply.peer, 1);
	ck_assert(!relay_take(&relay, first, &entry));
	ck_assert(relay_take(&relay, second, &entry));
	ck_assert_uint_eq(entry.reply.peer, 2);
	ck_assert_uint_eq(relay.late, 1);
}
END_TEST

START_TEST(a_request_waits_no_longer_than_its_asker_nor_than_half_a_minute)
{
	add(1, 1500);
	add(2, TIME_NEVER);
	ck_assert_uint_eq(relay_deadline_ms(&relay), 1500);
	ck_assert(!relay_expire(&relay, 1499, &entry));
	ck_assert(relay_expire(&relay, 1500, &entry));
	ck_assert_uint_eq(entry.reply.peer, 1);
	ck_assert_uint_eq(relay_deadline_ms(&relay), 1000 + RELAY_TIMEOUT_MS);
	ck_assert(relay_expire(&relay, 1000 + RELAY_TIMEOUT_MS, &entry));
	ck_assert_uint_eq(relay_deadline_ms(&relay), TIME_NEVER);
}
END_TEST

START_TEST(one_client_cannot_take_the_whole_table)
{
	for (size_t i = 0; i < RELAY_PEER_MAX; i++) {
		ck_assert(relay_has_room(&relay, 1));
		add(1, TIME_NEVER);
	}
	ck_assert(!relay_has_room(&relay, 1));
	ck_assert(relay_has_room(&relay, 2));
	for (uint64_t peer = 2; relay.n < RELAY_MAX; peer++)
		for (size_t i = 0; i < RELAY_PEER_MAX && relay.n < RELAY_MAX; i++)
			add(peer, TIME_NEVER);
	ck_assert(!relay_has_room(&relay, 999));
	relay_forget_peer(&relay, 1);
	ck_assert_uint_eq(relay.n, RELAY_MAX - RELAY_PEER_MAX);
	ck_assert(relay_has_room(&relay, 1));
}
END_TEST

/* --- the actor --- */

static struct turn_fake *fake;
static struct sender sender = { .peer = 7, .address = "", .subject = "uid 1000 (ann)", .role = TROUPE__ROLE__OPERATOR };

static int handle(void *state, Troupe__Envelope *env)
{
	static uint8_t id[16] = { 9 };
	struct message m = { .env = env, .sender = sender };
	env->kind = TROUPE__KIND__ASK;
	env->id = (ProtobufCBinaryData){ .len = 16, .data = id };
	for (const struct actor_handler *h = front_def.handlers; h->verb; h++)
		if (h->verb == (int)env->body_case)
			return h->on(turn_fake_turn(fake), state, &m);
	ck_abort_msg("no handler of %d", (int)env->body_case);
	return -1;
}

static const struct effect_view *effect(enum effect_kind kind)
{
	const struct effect_view *all;
	size_t n = turn_fake_effects(fake, &all);
	for (size_t i = 0; i < n; i++)
		if (all[i].kind == kind)
			return &all[i];
	return NULL;
}

static Troupe__StatusAsk status_ask = TROUPE__STATUS_ASK__INIT;
static Troupe__Envelope status_request(void)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
	env.status_ask = &status_ask;
	env.subject = (char *)"uid 0 (root)"; /* what a client claims */
	return env;
}

static void fake_setup(void)
{
	clear();
	fake = turn_fake_new(NULL, 1000, 2000);
}
static void fake_teardown(void) { turn_fake_free(fake); }

START_TEST(a_request_goes_up_the_lifeline_under_the_name_that_the_kernel_gave)
{
	Troupe__Envelope env = status_request();
	ck_assert_int_eq(handle(&relay, &env), 0);
	ck_assert_ptr_nonnull(effect(EFFECT_CONTROL));
	ck_assert_ptr_nonnull(effect(EFFECT_WAKE));
	ck_assert_ptr_null(effect(EFFECT_SEND));
	ck_assert_uint_eq(relay.n, 1);
}
END_TEST

START_TEST(the_answer_goes_to_the_client_that_asked)
{
	Troupe__Envelope env = status_request(), answer = TROUPE__ENVELOPE__INIT;
	Troupe__Status status = TROUPE__STATUS__INIT;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	ck_assert_int_eq(handle(&relay, &env), 0);
	turn_fake_drop(fake);
	answer.body_case = TROUPE__ENVELOPE__BODY_STATUS;
	answer.status = &status;
	c.ref = relay.last_ref;
	c.body_case = TROUPE__CONTROL__BODY_ANSWER;
	c.answer = &answer;
	ck_assert_int_eq(front_def.on_control(turn_fake_turn(fake), &relay, &c), 0);
	const struct effect_view *sent = effect(EFFECT_SEND);
	ck_assert_ptr_nonnull(sent);
	ck_assert_uint_eq(sent->peer, 7);
	ck_assert_int_eq(sent->env->kind, TROUPE__KIND__REPLY);
	ck_assert_int_eq(sent->env->body_case, TROUPE__ENVELOPE__BODY_STATUS);
	ck_assert_uint_eq(sent->env->reply_to.data[0], 9);
	turn_fake_drop(fake);
	ck_assert_int_eq(front_def.on_control(turn_fake_turn(fake), &relay, &c), 0); /* the same again: nobody waits */
	ck_assert_ptr_null(effect(EFFECT_SEND));
}
END_TEST

START_TEST(a_supervisor_that_does_not_answer_is_told_to_the_client)
{
	Troupe__Envelope env = status_request();
	ck_assert_int_eq(handle(&relay, &env), 0);
	turn_fake_drop(fake);
	ck_assert_int_eq(front_def.on_wake(turn_fake_turn(fake), &relay, 1000 + RELAY_TIMEOUT_MS), 0);
	const struct effect_view *sent = effect(EFFECT_SEND);
	ck_assert_ptr_nonnull(sent);
	ck_assert_int_eq(sent->env->kind, TROUPE__KIND__ERROR);
	ck_assert_uint_eq(sent->env->error->code, ERROR_TIMEOUT);
	ck_assert_uint_eq(relay.n, 0);
}
END_TEST

START_TEST(a_client_that_left_is_forgotten_and_a_greedy_one_refused)
{
	for (size_t i = 0; i < RELAY_PEER_MAX; i++) {
		Troupe__Envelope env = status_request();
		ck_assert_int_eq(handle(&relay, &env), 0);
	}
	Troupe__Envelope env = status_request();
	ck_assert_int_eq(handle(&relay, &env), ERROR_BUSY);
	ck_assert_uint_eq(relay.refused, 1);
	ck_assert_int_eq(front_def.on_client_gone(turn_fake_turn(fake), &relay, 7), 0);
	ck_assert_uint_eq(relay.n, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("front");
	TCase *c = tcase_create("relay");
	tcase_add_checked_fixture(c, clear, NULL);
	tcase_add_test(c, an_answer_finds_its_asker_once);
	tcase_add_test(c, a_request_waits_no_longer_than_its_asker_nor_than_half_a_minute);
	tcase_add_test(c, one_client_cannot_take_the_whole_table);
	suite_add_tcase(s, c);
	TCase *f = tcase_create("actor");
	tcase_add_checked_fixture(f, fake_setup, fake_teardown);
	tcase_add_test(f, a_request_goes_up_the_lifeline_under_the_name_that_the_kernel_gave);
	tcase_add_test(f, the_answer_goes_to_the_client_that_asked);
	tcase_add_test(f, a_supervisor_that_does_not_answer_is_told_to_the_client);
	tcase_add_test(f, a_client_that_left_is_forgotten_and_a_greedy_one_refused);
	suite_add_tcase(s, f);
	return s;
}

int main(void) { return suite_run(suite()); }
