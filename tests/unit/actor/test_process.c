/* The life of an actor process: start, turns, commits, failures, the end. From basic to complex. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/actor/world.h"

START_TEST(an_actor_says_ready_with_a_status_cell_that_says_idle)
{
	actor_starts(NULL);
	const struct status_cell *map;
	struct status_cell cell;
	struct error e;
	ck_assert_int_eq(status_map(w.cell, &map, &e), 0);
	status_read(map, &cell);
	ck_assert_int_eq(cell.phase, PHASE_IDLE);
	ck_assert_uint_eq(cell.mailbox, 0);
	status_unmap(map);
}
END_TEST

START_TEST(no_descriptor_of_an_actor_but_stdio_survives_an_exec)
{
	char path[64], line[128];
	unsigned n = 0;
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	for (int fd = 3; fd < 64; fd++) {
		unsigned flags = 0;
		snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", w.child, fd);
		FILE *f = fopen(path, "re");
		if (!f)
			continue;
		while (fgets(line, sizeof line, f))
			sscanf(line, "flags: %o", &flags);
		fclose(f);
		n++;
		ck_assert_msg(flags & O_CLOEXEC, "fd %d", fd);
	}
	ck_assert_uint_ge(n, 6);
}
END_TEST

START_TEST(an_actor_answers_an_ask_and_stamps_who_asked)
{
	actor_starts(NULL);
	client_dials("");
	const struct answer *a = ask("echo", "hello");
	char want[32];
	snprintf(want, sizeof want, "uid %u", getuid());
	ck_assert_str_eq(a->payload, "hello");
	ck_assert_int_eq(strncmp(a->type, want, strlen(want)), 0);
	answered(ask("from", ""), "", "");
}
END_TEST

START_TEST(many_asks_are_answered_in_the_order_in_which_they_came)
{
	struct id ids[50];
	char text[8];
	actor_starts(NULL);
	client_dials("");
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "%d", i);
		ids[i] = send_word(TROUPE__KIND__ASK, "echo", text);
	}
	WAIT(all_answered);
	for (int i = 0; i < 50; i++) {
		ck_assert(id_equal(&w.answers[i].to, &ids[i]));
		ck_assert_int_eq(atoi(w.answers[i].payload), i);
	}
}
END_TEST

START_TEST(what_was_put_is_read_by_the_next_message_and_after_kill_9)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "k=v1"), "put", "k=v1");
	answered(ask("get", "k"), "value", "v1");
	kill(w.child, SIGKILL);
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);

	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "k"), "value", "v1");
}
END_TEST

START_TEST(killed_after_the_commit_and_before_the_release_the_state_is_there_and_no_reply_came)
{
	actor_starts("turn.after_commit:1");
	client_dials("");
	send_word(TROUPE__KIND__ASK, "put", "k=v2");
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 0);
	w.n_asked = 0;

	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "k"), "value", "v2");
}
END_TEST

START_TEST(killed_before_the_commit_the_state_is_not_there_and_no_reply_came)
{
	static const char *const points[] = { "turn.before_commit:1", "turn.after_begin:1", "turn.after_receive:1" };
	for (size_t i = 0; i < ELEMENTS(points); i++) {
		actor_starts(points[i]);
		client_dials("");
		send_word(TROUPE__KIND__ASK, "put", "k=v3");
		ck_assert_int_eq(actor_ends(), -SIGKILL);
		WAIT(is_down);
		ck_assert_uint_eq(w.n_answers, 0);
		w.n_asked = 0;

		actor_starts(NULL);
		client_dials("");
		refused(ask("get", "k"), ERROR_NOT_FOUND);
		kill(w.child, SIGKILL);
		ck_assert_int_eq(actor_ends(), -SIGKILL);
		WAIT(is_down);
		w.n_asked = w.n_answers = 0;
	}
}
END_TEST

START_TEST(a_handler_that_fails_leaves_no_effect_and_its_asker_is_told_why)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "k=old"), "put", "k=old");
	const struct answer *a = ask("put-and-fail", "k=new");
	refused(a, ERROR_CONFLICT);
	ck_assert_str_eq(a->text, "as it was told");
	ck_assert_uint_eq(w.n_answers, 2);
	answered(ask("get", "k"), "value", "old");
	refused(ask("get", "nothing"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(a_wake_comes_when_it_is_due)
{
	actor_starts(NULL);
	client_dials("");
	uint64_t from = clock_mono_ms();
	answered(ask("wake", ""), "woke", "");
	ck_assert_uint_ge(clock_mono_ms() - from, 45);
}
END_TEST

START_TEST(a_monitor_is_answered_with_one_down)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("monitor", ""), "worker:p/9", "4");
	ck_assert_uint_eq(w.n_monitors, 1);
}
END_TEST

static bool note_came(void)
{
	return *w.note != '\0';
}

START_TEST(a_note_reaches_the_supervisor)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__TELL, "note", "");
	WAIT(note_came);
	ck_assert_str_eq(w.note, "a line for people");
}
END_TEST

static bool pong_came(void)
{
	return w.n_pongs > 0;
}

START_TEST(the_supervisors_ping_is_answered_and_so_is_a_clients_also_through_the_disk)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__PingChild ping = TROUPE__PING_CHILD__INIT;
	Troupe__Ping p = TROUPE__PING__INIT;
	Troupe__MetricsAsk metrics = TROUPE__METRICS_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	ping.nonce = 5;
	c.body_case = TROUPE__CONTROL__BODY_PING;
	c.ping = &ping;
	say(&c);
	WAIT(pong_came);
	client_dials("");
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &p;
	ck_assert_int_eq(ask_envelope(&env)->body, TROUPE__ENVELOPE__BODY_PONG);
	p.deep = true;
	const struct answer *a = ask_envelope(&env);
	ck_assert_int_eq(a->body, TROUPE__ENVELOPE__BODY_PONG);
	ck_assert_uint_eq(a->incarnation, w.incarnation);
	env.body_case = TROUPE__ENVELOPE__BODY_METRICS_ASK;
	env.metrics_ask = &metrics;
	ck_assert_int_eq(ask_envelope(&env)->body, TROUPE__ENVELOPE__BODY_METRICS);
}
END_TEST

START_TEST(stop_ends_an_actor_with_bye_and_exit_0)
{
	actor_starts(NULL);
	actor_is_told_to_stop();
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_SHUTDOWN);
}
END_TEST

START_TEST(sigterm_is_stop)
{
	actor_starts(NULL);
	kill(w.child, SIGTERM);
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_SHUTDOWN);
}
END_TEST

START_TEST(an_actor_may_leave_by_itself)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__TELL, "leave", "");
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_NORMAL);
	ck_assert_str_eq(w.text, "asked to");
}
END_TEST

START_TEST(the_end_of_the_lifeline_ends_the_actor_at_once)
{
	int status;
	actor_starts(NULL);
	loop_remove(&w.source);
	lifeline_fini(&w.lifeline);
	alarm(10);
	ck_assert_int_eq(waitpid(w.child, &status, 0), w.child);
	alarm(0);
	w.child = 0;
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 111);
}
END_TEST

START_TEST(a_fatal_handler_ends_with_111_and_answers_nobody)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__ASK, "fatal", "");
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(!w.bye);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 0);
}
END_TEST

START_TEST(the_directive_restart_answers_then_leaves_with_111_and_keeps_what_was_committed)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "a=1"), "put", "a=1");
	refused(ask("restart", "b=2"), ERROR_CORRUPT);
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_EXIT);
	WAIT(is_down);
	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "a"), "value", "1");
	refused(ask("get", "b"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(an_init_that_fails_is_start_failed_and_exit_100_where_trying_again_is_useless)
{
	w.setting = "refuse";
	child_spawn(NULL);
	send_setup();
	ck_assert_int_eq(actor_ends(), 100);
	ck_assert(w.start_failed && w.start_fatal && !w.ready);
	ck_assert_str_eq(w.text, "the setting refuse is set");
}
END_TEST

START_TEST(a_lifeline_that_does_not_begin_with_setup_is_left_with_111)
{
	child_spawn(NULL);
	actor_is_told_to_stop();
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(!w.ready);
}
END_TEST

static void suspect(const struct id *id, uint32_t deaths)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Suspect s = TROUPE__SUSPECT__INIT;
	s.message = (ProtobufCBinaryData){ 16, (uint8_t *)id->b };
	s.deaths = deaths;
	c.body_case = TROUPE__CONTROL__BODY_SUSPECT;
	c.suspect = &s;
	say(&c);
}

START_TEST(a_message_in_work_is_in_the_status_cell_at_death_and_is_refused_after_three)
{
	const struct status_cell *map;
	struct status_cell cell;
	struct error e;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("");
	struct id id = send_word(TROUPE__KIND__ASK, "crash", "");
	WAIT(is_ended);
	ck_assert_int_eq(status_map(w.cell, &map, &e), 0);
	status_read(map, &cell);
	ck_assert_mem_eq(cell.message, id.b, 16);
	ck_assert_int_eq(cell.phase, PHASE_TURN);
	status_unmap(map);
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	w.n_asked = 0;

	for (uint32_t deaths = 1; deaths <= 3; deaths++) {
		actor_starts(NULL);
		suspect(&id, deaths);
		client_dials("");
		env.kind = TROUPE__KIND__ASK;
		env.type = (char *)"crash";
		env.id = (ProtobufCBinaryData){ 16, id.b };
		ck_assert_int_eq(peer_send(w.peer, &env), 0);
		if (deaths < 3) {
			ck_assert_int_eq(actor_ends(), -SIGKILL);
			WAIT(is_down);
			continue;
		}
		w.n_asked = 1;
		WAIT(all_answered);
		refused(&w.answers[0], ERROR_INTERNAL);
		ck_assert_str_eq(w.answers[0].text, "this message killed its actor 3 times");
		ck_assert_int_eq(ask("echo", "alive")->kind, TROUPE__KIND__REPLY);
	}
}
END_TEST

START_TEST(a_suspect_is_handled_alone_in_its_turn)
{
	struct id ids[3];
	struct id suspected = id_make(&w.ids, clock_wall_ms());
	/* The fault kills at the first commit: only what stood before the suspect is in it, or the suspect alone. */
	actor_starts("turn.after_commit:2");
	suspect(&suspected, 1);
	client_dials("");
	static const char *const rows[] = { "a=1", "b=2", "c=3" };
	for (int i = 0; i < 3; i++) {
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		env.kind = TROUPE__KIND__ASK;
		env.type = (char *)"put";
		env.payload = (ProtobufCBinaryData){ 3, (uint8_t *)rows[i] };
		ids[i] = i == 1 ? suspected : id_make(&w.ids, clock_wall_ms());
		env.id = (ProtobufCBinaryData){ 16, ids[i].b };
		ck_assert_int_eq(peer_send(w.peer, &env), 0);
	}
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 1);
	ck_assert(id_equal(&w.answers[0].to, &ids[0]));

	w.n_asked = w.n_answers = 0;
	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "a"), "value", "1");
	answered(ask("get", "b"), "value", "2");
	refused(ask("get", "c"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(a_full_store_refuses_the_askers_and_what_was_acknowledged_is_there_when_it_comes_back)
{
	static char payload[40000];
	char key[16];
	unsigned n = 0;
	w.map_max = 1 << 20;
	actor_starts(NULL);
	client_dials("");
	memset(payload, 'v', sizeof payload - 1);
	const struct answer *a;
	do {
		snprintf(payload, 8, "%05u=", n);
		payload[6] = 'v';
		w.n_answers = w.n_asked = 0;
		a = ask("put", payload);
		ck_assert_uint_lt(++n, 60);
	} while (a->kind == TROUPE__KIND__REPLY);
	refused(a, ERROR_STORE);
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(w.bye);
	ck_assert_uint_gt(n, 5);
	WAIT(is_down);

	actor_starts(NULL);
	client_dials("");
	for (unsigned i = 0; i < n; i++) {
		w.n_answers = w.n_asked = 0;
		snprintf(key, sizeof key, "%05u", i);
		a = ask("get", key);
		ck_assert_int_eq(a->kind, i < n - 1 ? TROUPE__KIND__REPLY : TROUPE__KIND__ERROR);
	}
}
END_TEST

static unsigned long wake_ups(void)
{
	char path[64], line[256];
	unsigned long n = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/status", w.child, w.child);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "voluntary_ctxt_switches: %lu", &n);
	fclose(f);
	return n;
}

START_TEST(an_idle_actor_sleeps)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	uint64_t until = clock_mono_ms() + 300; /* what follows an answer may still wake it */
	while (clock_mono_ms() < until)
		loop_once(w.loop, until);
	unsigned long before = wake_ups();
	until = clock_mono_ms() + 1000;
	while (clock_mono_ms() < until)
		loop_once(w.loop, until);
	ck_assert_uint_le(wake_ups() - before, 2);
}
END_TEST

static Suite *process_suite(void)
{
	Suite *s = suite_create("process");
	TCase *c = tcase_create("process");
	tcase_add_checked_fixture(c, world_begins, world_ends);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, an_actor_says_ready_with_a_status_cell_that_says_idle);
	tcase_add_test(c, no_descriptor_of_an_actor_but_stdio_survives_an_exec);
	tcase_add_test(c, an_actor_answers_an_ask_and_stamps_who_asked);
	tcase_add_test(c, many_asks_are_answered_in_the_order_in_which_they_came);
	tcase_add_test(c, what_was_put_is_read_by_the_next_message_and_after_kill_9);
	tcase_add_test(c, killed_after_the_commit_and_before_the_release_the_state_is_there_and_no_reply_came);
	tcase_add_test(c, killed_before_the_commit_the_state_is_not_there_and_no_reply_came);
	tcase_add_test(c, a_handler_that_fails_leaves_no_effect_and_its_asker_is_told_why);
	tcase_add_test(c, a_wake_comes_when_it_is_due);
	tcase_add_test(c, a_monitor_is_answered_with_one_down);
	tcase_add_test(c, a_note_reaches_the_supervisor);
	tcase_add_test(c, the_supervisors_ping_is_answered_and_so_is_a_clients_also_through_the_disk);
	tcase_add_test(c, stop_ends_an_actor_with_bye_and_exit_0);
	tcase_add_test(c, sigterm_is_stop);
	tcase_add_test(c, an_actor_may_leave_by_itself);
	tcase_add_test(c, the_end_of_the_lifeline_ends_the_actor_at_once);
	tcase_add_test(c, a_fatal_handler_ends_with_111_and_answers_nobody);
	tcase_add_test(c, the_directive_restart_answers_then_leaves_with_111_and_keeps_what_was_committed);
	tcase_add_test(c, an_init_that_fails_is_start_failed_and_exit_100_where_trying_again_is_useless);
	tcase_add_test(c, a_lifeline_that_does_not_begin_with_setup_is_left_with_111);
	tcase_add_test(c, a_message_in_work_is_in_the_status_cell_at_death_and_is_refused_after_three);
	tcase_add_test(c, a_suspect_is_handled_alone_in_its_turn);
	tcase_add_test(c, a_full_store_refuses_the_askers_and_what_was_acknowledged_is_there_when_it_comes_back);
	tcase_add_test(c, an_idle_actor_sleeps);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(process_suite());
}
