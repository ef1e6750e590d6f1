/* The event log as a process. */
#include <string.h>
#include <unistd.h>
#include "tests/unit/actor/world.h"

static void begins(void)
{
	world_begins();
	w.program = TOPIC_ACTOR;
	w.address = "topic:events";
}

static void an_event_happens(uint64_t ref, const char *type)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Event ev = TROUPE__EVENT__INIT;
	ev.type = (char *)type;
	ev.text = (char *)"one line";
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_EVENT;
	c.event = &ev;
	say(&c);
}

static const struct answer *ask_topic(uint64_t after, uint64_t follow_ms)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TopicAsk q = TROUPE__TOPIC_ASK__INIT;
	q.after = after;
	q.follow_ms = follow_ms;
	env.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ASK;
	env.topic_ask = &q;
	return ask_envelope(&env);
}

static bool three_are_stored(void)
{
	return w.n_stored == 3;
}

START_TEST(what_was_said_to_be_stored_is_there_after_kill_9)
{
	actor_starts(NULL);
	for (uint64_t ref = 11; ref <= 13; ref++)
		an_event_happens(ref, "actor.up");
	WAIT(three_are_stored);
	ck_assert_uint_eq(w.stored_offset, 3);
	ck_assert_uint_eq(w.stored_ref, 13);
	kill(w.child, SIGKILL);
	ck_assert_int_eq(actor_ends(), -SIGKILL);

	actor_starts(NULL);
	client_dials("");
	const struct answer *a = ask_topic(0, 0);
	ck_assert_uint_eq(a->n_events, 3);
	ck_assert_uint_eq(a->next, 3);
}
END_TEST

START_TEST(an_event_whose_commit_did_not_come_is_not_said_to_be_stored)
{
	actor_starts("turn.before_commit:1");
	an_event_happens(1, "actor.up");
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	ck_assert_uint_eq(w.n_stored, 0);
	actor_starts(NULL);
	client_dials("");
	ck_assert_uint_eq(ask_topic(0, 0)->n_events, 0);
}
END_TEST

START_TEST(a_reader_that_follows_hears_of_the_next_event)
{
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TopicAsk q = TROUPE__TOPIC_ASK__INIT;
	q.follow_ms = 20000;
	env.kind = TROUPE__KIND__ASK;
	env.body_case = TROUPE__ENVELOPE__BODY_TOPIC_ASK;
	env.topic_ask = &q;
	struct id id = send_envelope(&env);
	w.n_asked = 0;
	ck_assert_uint_eq(ask_topic(0, 0)->n_events, 0); /* the one that follows is waiting */
	w.n_asked = 2;
	an_event_happens(1, "actor.down");
	WAIT(all_answered);
	ck_assert_uint_eq(answer_to(&id)->n_events, 1);
}
END_TEST

START_TEST(a_reader_that_follows_an_empty_log_is_answered_in_time)
{
	actor_starts(NULL);
	client_dials("");
	uint64_t from = clock_mono_ms();
	ck_assert_uint_eq(ask_topic(0, 200)->n_events, 0);
	ck_assert_uint_ge(clock_mono_ms() - from, 190);
	ck_assert_uint_lt(clock_mono_ms() - from, 5000);
}
END_TEST

START_TEST(a_client_reads_but_does_not_publish)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Publish p = TROUPE__PUBLISH__INIT;
	Troupe__Event ev = TROUPE__EVENT__INIT, *events[] = { &ev };
	w.role = TROUPE__ROLE__ADMIN;
	actor_starts(NULL);
	client_dials("");
	p.events = events;
	p.n_events = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_PUBLISH;
	env.publish = &p;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	ck_assert_uint_eq(ask_topic(0, 0)->n_events, 0);
}
END_TEST

START_TEST(an_actor_of_the_node_publishes)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Publish p = TROUPE__PUBLISH__INIT;
	Troupe__Event ev = TROUPE__EVENT__INIT, *events[] = { &ev };
	actor_starts(NULL);
	client_dials("worker:p/1");
	p.events = events;
	p.n_events = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_PUBLISH;
	env.publish = &p;
	ck_assert_int_eq(ask_envelope(&env)->body, TROUPE__ENVELOPE__BODY_PUBLISHED);
	ck_assert_uint_eq(ask_topic(0, 0)->n_events, 1);
}
END_TEST

static Suite *topic_suite(void)
{
	Suite *s = suite_create("topic process");
	TCase *c = tcase_create("topic process");
	tcase_add_checked_fixture(c, begins, world_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, what_was_said_to_be_stored_is_there_after_kill_9);
	tcase_add_test(c, an_event_whose_commit_did_not_come_is_not_said_to_be_stored);
	tcase_add_test(c, a_reader_that_follows_hears_of_the_next_event);
	tcase_add_test(c, a_reader_that_follows_an_empty_log_is_answered_in_time);
	tcase_add_test(c, a_client_reads_but_does_not_publish);
	tcase_add_test(c, an_actor_of_the_node_publishes);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(topic_suite());
}
