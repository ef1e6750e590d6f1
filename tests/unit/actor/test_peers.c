/* Who an actor talks with: verbs, roles, identity, lines that it makes and that break. */
#include <stdio.h>
#include <string.h>
#include "tests/unit/actor/world.h"

START_TEST(a_verb_that_nobody_knows_or_handles_is_refused_with_the_id_of_the_ask)
{
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Publish publish = TROUPE__PUBLISH__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	refused(ask_envelope(&env), ERROR_NO_VERB);
	env.body_case = TROUPE__ENVELOPE__BODY_PUBLISH;
	env.publish = &publish;
	refused(ask_envelope(&env), ERROR_NO_VERB);
	Troupe__Envelope empty = TROUPE__ENVELOPE__INIT;
	refused(ask_envelope(&empty), ERROR_BAD_REQUEST);
	Troupe__Envelope astray = TROUPE__ENVELOPE__INIT;
	astray.to = (char *)"coordinator:other";
	astray.type = (char *)"echo";
	refused(ask_envelope(&astray), ERROR_NO_ACTOR);
}
END_TEST

START_TEST(a_client_may_do_what_its_role_allows_and_no_more)
{
	Troupe__Get get = TROUPE__GET__INIT;
	Troupe__Purge purge = TROUPE__PURGE__INIT;
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	w.role = TROUPE__ROLE__VIEWER;
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &get;
	answered(ask_envelope(&env), "got", "");
	env.body_case = TROUPE__ENVELOPE__BODY_PURGE;
	env.purge = &purge;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	refused(ask("echo", "x"), ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_submitter_may_say_what_a_worker_says)
{
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	Troupe__Purge purge = TROUPE__PURGE__INIT;
	w.role = TROUPE__ROLE__SUBMITTER;
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	answered(ask_envelope(&env), "attached", "");
	env.body_case = TROUPE__ENVELOPE__BODY_PURGE;
	env.purge = &purge;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_uid_that_no_rule_names_may_not_even_ping)
{
	Troupe__Ping ping = TROUPE__PING__INIT;
	w.role = TROUPE__ROLE__ROLE_NONE;
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_reload_changes_the_roles_of_those_who_are_connected)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	w.role = TROUPE__ROLE__VIEWER;
	send_setup_as(true);
	unsigned tries = 0;
	while (ask("handled", "")->kind != TROUPE__KIND__ERROR)
		ck_assert_uint_lt(++tries, 40); /* the lifeline and the mailbox are two ways */
	refused(&w.answers[w.n_answers - 1], ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_peer_whose_pid_the_supervisor_confirms_is_an_actor)
{
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("worker:p/1");
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	answered(ask_envelope(&env), "attached", "worker:p/1");
	ck_assert_uint_eq(w.n_whereis, 1);
	answered(ask("from", ""), "worker:p/1", "worker:p/1");
	answered(ask("links", ""), "links", "1");
	ck_assert_uint_eq(w.n_whereis, 1);
}
END_TEST

START_TEST(a_peer_that_claims_the_address_of_another_process_is_a_client)
{
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	w.lie = true;
	actor_starts(NULL);
	client_dials("worker:p/1");
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	answered(ask_envelope(&env), "attached", "");
	answered(ask("from", ""), "", "");
}
END_TEST

START_TEST(an_actor_dials_whom_it_asks_and_hands_the_answer_on)
{
	char url[96];
	struct error e;
	actor_starts(NULL);
	hub_opens("worker:p/1");
	snprintf(url, sizeof url, "ipc://%s/a/me", w.dir);
	ck_assert_int_eq(peer_listen(w.hub, url, 0, &e), 0);
	client_dials("worker:p/1");
	answered(ask("pass-on", "worker:p/1"), "answered", "pong");
}
END_TEST

START_TEST(an_actor_that_is_asked_to_connect_does_so_and_says_who_it_is)
{
	char url[96];
	struct error e;
	actor_starts(NULL);
	hub_opens("");
	snprintf(w.claims, sizeof w.claims, "worker:p/1");
	client_dials("");
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	answered(ask("links", ""), "links", "0"); /* nobody listens there yet: it will come again */
	peer_hub_close(w.hub);
	w.hub = NULL;
	w.peer = NULL;
	w.up = false;

	hub_opens("worker:p/1");
	snprintf(url, sizeof url, "ipc://%s/a/me", w.dir);
	ck_assert_int_eq(peer_listen(w.hub, url, 0, &e), 0);
	WAIT(is_up);
	ck_assert_str_eq(peer_address(w.peer), "coordinator:test");
	ck_assert_uint_eq(peer_incarnation(w.peer), 1);
	answered(ask("echo", "over its own line"), "worker:p/1", "over its own line");
}
END_TEST

START_TEST(an_ask_to_nobody_fails_at_once_and_one_to_a_mute_at_its_deadline)
{
	actor_starts(NULL);
	client_dials("worker:p/mute");
	refused(ask("pass-on", "worker:p/7"), ERROR_NO_ACTOR);
	uint64_t from = clock_mono_ms();
	refused(ask("pass-on", "worker:p/mute"), ERROR_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - from, 650);
}
END_TEST

START_TEST(an_ask_whose_deadline_passed_in_the_mailbox_is_not_handled)
{
	Troupe__Envelope late = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	send_word(TROUPE__KIND__TELL, "spin", "");
	peer_hub_flush(w.hub);
	late.kind = TROUPE__KIND__ASK;
	late.type = (char *)"echo";
	late.deadline_ms = 5;
	struct id id = send_envelope(&late);
	struct id second = send_word(TROUPE__KIND__ASK, "handled", "");
	WAIT(all_answered);
	/* Decoded with the message that spins, it is in one turn with it and has no age; decoded behind, it is late. Both are right, being handled twice is not. */
	const struct answer *a = answer_to(&id), *b = answer_to(&second);
	ck_assert(a && b);
	ck_assert_msg(a->kind == TROUPE__KIND__REPLY || a->code == ERROR_TIMEOUT, "%s", a->text);
	ck_assert_str_eq(b->payload, a->kind == TROUPE__KIND__REPLY ? "4" : "3");
}
END_TEST

START_TEST(a_client_that_leaves_is_told_once_after_its_last_message)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("gone", ""), "gone", "0");
	send_word(TROUPE__KIND__TELL, "silent", "");
	peer_hub_flush(w.hub);
	peer_hub_close(w.hub);
	w.hub = NULL;
	client_dials("");
	while (strcmp(ask("gone", "")->payload, "1") != 0)
		ck_assert_uint_lt(w.n_answers, 50);
	answered(ask("gone", ""), "gone", "1");
}
END_TEST

START_TEST(a_flood_over_the_mailboxs_bound_is_slowed_and_everybody_is_answered)
{
	enum { N = 60 };
	w.mailbox_max = 4;
	actor_starts(NULL);
	client_dials("");
	for (int i = 0; i < N; i++) {
		send_word(TROUPE__KIND__ASK, "echo", "x");
		peer_hub_flush(w.hub);
	}
	WAIT(all_answered);
	for (unsigned i = 0; i < N; i++)
		ck_assert(w.answers[i].kind == TROUPE__KIND__REPLY || w.answers[i].code == ERROR_BUSY);
	w.n_answers = w.n_asked = 0;
	answered(ask("echo", "still here"), w.answers[0].type, "still here");
}
END_TEST

START_TEST(a_line_that_is_kept_comes_back_when_it_breaks)
{
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(worker_has_line);
	for (unsigned round = 1; round <= 3; round++) {
		peer_close(w.worker_peer, ERROR_NONE, "to see whether it comes back");
		w.worker_peer = NULL;
		WAIT(worker_has_line);
		ck_assert_uint_eq(w.n_worker_up, round + 1);
	}
	answered(ask("pass-on", "worker:p/1"), "answered", "work"); /* so the actor too has seen that the line is there */
	answered(ask("links", ""), "links", "4");
}
END_TEST

START_TEST(an_ask_whose_line_breaks_fails_before_its_deadline)
{
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(worker_has_line);
	w.mute = true;
	struct id id = send_word(TROUPE__KIND__ASK, "pass-on", "worker:p/1");
	WAIT(worker_was_asked);
	uint64_t from = clock_mono_ms();
	peer_close(w.worker_peer, ERROR_NONE, "in the middle");
	WAIT(all_answered);
	refused(answer_to(&id), ERROR_NOT_REACHABLE);
	ck_assert_uint_lt(clock_mono_ms() - from, 500);
}
END_TEST

START_TEST(two_that_dial_each_other_use_the_line_of_the_smaller_address_and_lose_nothing)
{
	char url[128];
	struct error e = { 0 };
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	w.hold_whereis = true;
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(whereis_is_held);
	snprintf(url, sizeof url, "ipc://%s/a/1.%llu", w.dir, (unsigned long long)w.incarnation);
	/* The actor is about to dial: it learns where the worker is, and the worker dials it, in the same moment. */
	ck_assert_int_eq(peer_dial(w.worker, url, NULL, &w.worker_dialled, &e), 0);
	answer_whereis(w.held_ref, "worker:p/1");
	WAIT(worker_has_both);
	while (strcmp(ask("links", "")->payload, "0") == 0)
		ck_assert_uint_lt(w.n_answers, 50);
	answered(ask("pass-on", "worker:p/1"), "answered", "work");

	peer_close(w.worker_dialled, ERROR_NONE, "the other line is in use");
	WAIT(worker_line_is_down);
	answered(ask("pass-on", "worker:p/1"), "answered", "work");
	answered(ask("downs", ""), "downs", "0");
	ck_assert_ptr_nonnull(w.worker_peer);
}
END_TEST

static Suite *peers_suite(void)
{
	Suite *s = suite_create("peers");
	TCase *c = tcase_create("peers");
	tcase_add_checked_fixture(c, world_begins, world_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_verb_that_nobody_knows_or_handles_is_refused_with_the_id_of_the_ask);
	tcase_add_test(c, a_client_may_do_what_its_role_allows_and_no_more);
	tcase_add_test(c, a_submitter_may_say_what_a_worker_says);
	tcase_add_test(c, a_uid_that_no_rule_names_may_not_even_ping);
	tcase_add_test(c, a_reload_changes_the_roles_of_those_who_are_connected);
	tcase_add_test(c, a_peer_whose_pid_the_supervisor_confirms_is_an_actor);
	tcase_add_test(c, a_peer_that_claims_the_address_of_another_process_is_a_client);
	tcase_add_test(c, an_actor_dials_whom_it_asks_and_hands_the_answer_on);
	tcase_add_test(c, an_actor_that_is_asked_to_connect_does_so_and_says_who_it_is);
	tcase_add_test(c, an_ask_to_nobody_fails_at_once_and_one_to_a_mute_at_its_deadline);
	tcase_add_test(c, an_ask_whose_deadline_passed_in_the_mailbox_is_not_handled);
	tcase_add_test(c, a_client_that_leaves_is_told_once_after_its_last_message);
	tcase_add_test(c, a_flood_over_the_mailboxs_bound_is_slowed_and_everybody_is_answered);
	tcase_add_test(c, a_line_that_is_kept_comes_back_when_it_breaks);
	tcase_add_test(c, an_ask_whose_line_breaks_fails_before_its_deadline);
	tcase_add_test(c, two_that_dial_each_other_use_the_line_of_the_smaller_address_and_lose_nothing);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(peers_suite());
}
