/* The life of tasks: what a client, a worker and an operator say, and what the coordinator answers and keeps. */
#include "actors/coordinator/queue.h"
#include "common/wire/policy.h"
#include "tests/unit/coordinator/crowd.h"

START_TEST(a_task_is_taken_given_done_and_its_result_is_there)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	ck_assert_uint_ne(token, 0);
	IS(&id, RUNNING);
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "result");
	ck_assert_ptr_nonnull(said(worker.peer, TROUPE__ENVELOPE__BODY_OUTCOMES_ACK));
	IS(&id, DONE);
	const Troupe__StateRecord *st = stage_state(s, &id);
	ck_assert_uint_eq(st->outcome->output.len, 6);
	ck_assert_mem_eq(st->outcome->output.data, "result", 6);
	ck_assert_uint_eq(st->token, token);
	ck_assert_uint_eq(st->attempts, 1);
	checks_out();
}
END_TEST

START_TEST(the_same_submit_again_gets_the_same_answer_and_another_under_its_id_is_refused)
{
	struct id id = submit_plain(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work"), y = spec_of(&id, "a", "other work");
	const Troupe__Envelope *answer = submit(&x);
	ck_assert_ptr_nonnull(answer);
	ck_assert(answer->submitted->receipts[0]->existing);
	ck_assert_ptr_null(submit(&y));
	ck_assert_int_eq(s->refusal.code, ERROR_CONFLICT);
	checks_out();
}
END_TEST

START_TEST(a_submit_whose_answer_was_lost_is_answered_also_when_its_deadline_has_passed)
{
	struct id id = id_of(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work");
	x.deadline_at_ms = s->wall_ms + 1000;
	ck_assert_ptr_nonnull(submit(&x));
	stage_clock(s, 5000);
	const Troupe__Envelope *answer = submit(&x);
	ck_assert_ptr_nonnull(answer);
	ck_assert(answer->submitted->receipts[0]->existing);
}
END_TEST

START_TEST(of_a_bulk_all_tasks_are_taken_or_none)
{
	struct id ids[] = { id_of(1), id_of(2), id_of(3) };
	Troupe__TaskSpec x[] = { spec_of(&ids[0], "a", "1"), spec_of(&ids[1], "b", "2"), spec_of(&ids[2], "alpha", "3") }, *all[] = { &x[0], &x[1], &x[2] };
	ck_assert_ptr_null(submit_all(all, 3));
	ck_assert_int_eq(s->refusal.code, ERROR_NO_QUEUE);
	ck_assert_uint_eq(s->refusal.index, 3);
	ck_assert_ptr_null(stage_task(s, &ids[0]));
	x[2].queue = (char *)"a";
	const Troupe__Envelope *answer = submit_all(all, 3);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->submitted->n_receipts, 3);
	ck_assert_uint_eq(answer->submitted->receipts[2]->seq, answer->submitted->receipts[0]->seq + 2);
	checks_out();
}
END_TEST

START_TEST(lower_numbers_go_first_and_equals_in_the_order_they_came)
{
	static const struct { unsigned n; uint32_t priority; } tasks[] = { { 1, 3000 }, { 2, 0 }, { 3, 2000 }, { 4, 0 }, { 5, 4000 } };
	static const unsigned want[] = { 2, 4, 3, 1, 5 };
	for (size_t i = 0; i < 5; i++) {
		struct id id = id_of(tasks[i].n);
		Troupe__TaskSpec x = spec_of(&id, "a", "work");
		Troupe__Level level = TROUPE__LEVEL__INIT;
		level.value = tasks[i].priority;
		x.priority = &level;
		ck_assert_ptr_nonnull(submit(&x));
	}
	attach(&worker);
	for (size_t i = 0; i < 5; i++) {
		const Troupe__Envelope *run = said(worker.peer, TROUPE__ENVELOPE__BODY_RUN);
		ck_assert_ptr_nonnull(run);
		ck_assert_uint_eq(run->run->tasks[0]->id.data[15], want[i]);
		ends(&worker, run->run->tasks[0]->token, TROUPE__EXIT_CLASS__EXIT_DONE, "");
	}
	checks_out();
}
END_TEST

START_TEST(a_delayed_task_waits_for_its_time)
{
	struct id id = id_of(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work");
	x.delay_ms = 5000;
	attach(&worker);
	ck_assert_ptr_nonnull(submit(&x));
	IS(&id, SCHEDULED);
	passes(4999);
	IS(&id, SCHEDULED);
	passes(1);
	IS(&id, RUNNING);
	ck_assert_uint_ne(given(&worker), 0);
	checks_out();
}
END_TEST

START_TEST(a_failed_attempt_is_tried_again_later_and_the_last_one_makes_a_dead_letter)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t wait_ms = 1000, token = given(&worker), before = token;
	for (int attempt = 1; attempt <= 3; attempt++, wait_ms *= 2) {
		ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_FAILED, "");
		if (attempt == 3)
			break;
		IS(&id, SCHEDULED);
		passes(wait_ms - 1);
		IS(&id, SCHEDULED);
		passes(1);
		token = given(&worker);
		ck_assert_uint_gt(token, before);
		before = token;
	}
	IS(&id, DEAD);
	ck_assert_int_eq(stage_state(s, &id)->cause, TROUPE__CAUSE__EXHAUSTED);
	ck_assert_uint_eq(stage_state(s, &id)->history, 3);

	ck_assert_uint_eq(change(TROUPE__ENVELOPE__BODY_RETRY, &id, false)->count, 1);
	token = given(&worker);
	ck_assert_uint_gt(token, before);
	ck_assert_uint_eq(stage_lease(s, &id)->run, 2);
	ck_assert_uint_eq(stage_lease(s, &id)->attempt, 1);
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "");
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(never_is_never)
{
	attach(&worker);
	struct id id = submit_plain(1);
	ends(&worker, given(&worker), TROUPE__EXIT_CLASS__EXIT_REJECTED, "");
	IS(&id, DEAD);
	ck_assert_int_eq(stage_state(s, &id)->cause, TROUPE__CAUSE__REJECTED);
}
END_TEST

START_TEST(a_waiting_task_is_cancelled_at_once_and_a_running_one_when_its_process_is_gone)
{
	attach(&worker);
	struct id running = submit_plain(1), waiting = submit_plain(2);
	uint64_t token = stage_lease(s, &running)->token;
	ck_assert_uint_eq(change(TROUPE__ENVELOPE__BODY_CANCEL, &waiting, true)->count, 1);
	IS(&waiting, READY);
	ck_assert_uint_eq(change(TROUPE__ENVELOPE__BODY_CANCEL, &waiting, false)->count, 1);
	IS(&waiting, CANCELLED);
	change(TROUPE__ENVELOPE__BODY_CANCEL, &running, false);
	ck_assert_ptr_nonnull(said(worker.peer, TROUPE__ENVELOPE__BODY_ABORT));
	IS(&running, RUNNING);
	stage_crash(s);
	stage_restart(s); /* the wish is in the ledger */
	ck_assert(stage_lease(s, &running)->cancel);
	hangs_up(&worker);
	dies(&worker, token, true);
	IS(&running, CANCELLED);
	const Troupe__Changed *again = change(TROUPE__ENVELOPE__BODY_CANCEL, &running, false);
	ck_assert_uint_eq(again->count, 0);
	ck_assert_uint_eq(again->n_refused, 1);
	checks_out();
}
END_TEST

START_TEST(a_unique_key_holds_until_its_task_is_final)
{
	struct id first = id_of(1), second = id_of(2);
	Troupe__TaskSpec x = spec_of(&first, "a", "work"), y = spec_of(&second, "a", "work");
	x.unique_key = y.unique_key = (char *)"order:1";
	ck_assert_ptr_nonnull(submit(&x));
	ck_assert_ptr_null(submit(&y));
	ck_assert_int_eq(s->refusal.code, ERROR_EXISTS);
	y.unique_mode = TROUPE__UNIQUE_MODE__UNIQUE_RETURN;
	const Troupe__Envelope *answer = submit(&y);
	ck_assert(answer->submitted->receipts[0]->existing);
	ck_assert_mem_eq(answer->submitted->receipts[0]->id.data, first.b, 16);
	y.unique_mode = TROUPE__UNIQUE_MODE__UNIQUE_REPLACE;
	ck_assert_ptr_nonnull(submit(&y));
	IS(&first, CANCELLED);
	IS(&second, READY);
	attach(&worker);
	ends(&worker, given(&worker), TROUPE__EXIT_CLASS__EXIT_DONE, "");
	struct id third = id_of(3);
	Troupe__TaskSpec z = spec_of(&third, "a", "work");
	z.unique_key = (char *)"order:1";
	ck_assert_ptr_nonnull(submit(&z));
	checks_out();
}
END_TEST

START_TEST(a_task_dies_when_its_deadline_passes)
{
	struct id id = id_of(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work");
	x.deadline_at_ms = s->wall_ms + 1000;
	ck_assert_ptr_nonnull(submit(&x));
	passes(1000);
	IS(&id, DEAD);
	ck_assert_int_eq(stage_state(s, &id)->cause, TROUPE__CAUSE__EXPIRED);
	checks_out();
}
END_TEST

START_TEST(of_a_paused_queue_nothing_begins)
{
	attach(&worker);
	order(TROUPE__QUEUE_ORDER__OP__PAUSE, "a");
	struct id id = submit_plain(1);
	IS(&id, READY);
	stage_crash(s);
	stage_restart(s);
	attach(&worker);
	IS(&id, READY);
	order(TROUPE__QUEUE_ORDER__OP__RESUME, "a");
	ck_assert_uint_ne(given(&worker), 0);
	IS(&id, RUNNING);
	checks_out();
}
END_TEST

START_TEST(a_task_with_a_tag_goes_to_a_worker_that_has_it_and_stands_in_nobodys_way)
{
	struct id gpu = id_of(1);
	char *tags[] = { (char *)"gpu" };
	Troupe__TaskSpec x = spec_of(&gpu, "a", "work");
	x.tags = tags;
	x.n_tags = 1;
	ck_assert_ptr_nonnull(submit(&x));
	struct id plain = submit_plain(2);
	attach(&worker);
	IS(&gpu, READY);
	IS(&plain, RUNNING);
	attach_with(&other, 1, "gpu");
	IS(&gpu, RUNNING);
	ck_assert_str_eq(stage_lease(s, &gpu)->worker, other.address);
	checks_out();
}
END_TEST

START_TEST(who_waits_is_told_behind_the_commit_and_who_asked_for_notices_too)
{
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Wait w = TROUPE__WAIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct id id = id_of(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work"), *all[] = { &x };
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	m.tasks = all;
	m.n_tasks = 1;
	m.notify = true;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	attach(&worker);
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
	uint64_t token = given(&worker);
	static const struct who waiter = { .peer = 2 };
	Troupe__Envelope question = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	w.tasks = refs;
	w.n_tasks = 1;
	question.body_case = TROUPE__ENVELOPE__BODY_WAIT;
	question.wait = &w;
	question.deadline_ms = 60000;
	ck_assert_ptr_null(stage_ask(s, &waiter, &question)); /* not yet */
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "");
	ck_assert_int_eq(said(client.peer, TROUPE__ENVELOPE__BODY_FINISHED)->finished->tasks[0]->state, TROUPE__TASK_STATE__DONE);
	ck_assert_uint_eq(said(waiter.peer, TROUPE__ENVELOPE__BODY_FINISHED)->finished->n_tasks, 1);
}
END_TEST

START_TEST(the_log_tells_every_transition_once_by_its_cursor)
{
	static const Troupe__TransitionKind want[] = { TROUPE__TRANSITION_KIND__T_ACCEPTED, TROUPE__TRANSITION_KIND__T_GIVEN, TROUPE__TRANSITION_KIND__T_FAILED,
		TROUPE__TRANSITION_KIND__T_READY, TROUPE__TRANSITION_KIND__T_GIVEN, TROUPE__TRANSITION_KIND__T_DONE };
	Troupe__LogCursor at = TROUPE__LOG_CURSOR__INIT;
	size_t seen = 0;
	attach(&worker);
	submit_plain(1);
	ends(&worker, given(&worker), TROUPE__EXIT_CLASS__EXIT_FAILED, "");
	passes(1000);
	ends(&worker, given(&worker), TROUPE__EXIT_CLASS__EXIT_DONE, "");
	for (int turn = 0; turn < 20; turn++) {
		Troupe__LogAsk q = TROUPE__LOG_ASK__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		q.after = &at;
		q.limit = 1;
		env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
		env.log_ask = &q;
		const Troupe__Envelope *answer = stage_ask(s, &client, &env);
		ck_assert_ptr_nonnull(answer);
		ck_assert(!answer->log->gap);
		if (!answer->log->n_rows)
			break;
		Troupe__TransitionKind kind = answer->log->rows[0]->kind;
		if (kind != TROUPE__TRANSITION_KIND__T_SCHEDULED) { /* a failure may stand with the schedule of its next attempt */
			ck_assert_uint_lt(seen, 6);
			ck_assert_int_eq(kind, want[seen++]);
		}
		at.commit = answer->log->next->commit;
		at.index = answer->log->next->index;
	}
	ck_assert_uint_eq(seen, 6);
}
END_TEST

START_TEST(final_tasks_go_when_their_time_is_over_the_others_stay_and_the_log_says_gap)
{
	attach(&worker);
	struct id done = submit_plain(1);
	ends(&worker, given(&worker), TROUPE__EXIT_CLASS__EXIT_DONE, "");
	order(TROUPE__QUEUE_ORDER__OP__PAUSE, "a");
	struct id waiting = submit_plain(2);
	for (int hour = 0; hour < 4; hour++)
		for (int i = 0; i < 20; i++)
			passes(3600 * 1000 / 20 + 1000);
	ck_assert_ptr_null(stage_task(s, &done));
	ck_assert_ptr_null(stage_state(s, &done));
	IS(&waiting, READY);
	checks_out();
	Troupe__LogCursor begin = TROUPE__LOG_CURSOR__INIT;
	Troupe__LogAsk q = TROUPE__LOG_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	begin.commit = 1;
	q.after = &begin;
	q.limit = 10;
	env.body_case = TROUPE__ENVELOPE__BODY_LOG_ASK;
	env.log_ask = &q;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_ptr_nonnull(answer);
	ck_assert(answer->log->gap);
	ck_assert_uint_gt(answer->log->oldest->commit, 1);
}
END_TEST

START_TEST(every_key_of_a_policy_can_be_set_while_the_node_runs)
{
	Troupe__QueuePolicy *policy = policy_new("q");
	for (const char *const *key = policy_keys; *key; key++) {
		Troupe__QueueOrder o = TROUPE__QUEUE_ORDER__INIT;
		struct error e = { .code = ERROR_NONE };
		char *fields[] = { (char *)(uintptr_t)*key };
		o.op = TROUPE__QUEUE_ORDER__OP__SET;
		o.policy = policy;
		o.fields = fields;
		o.n_fields = 1;
		ck_assert_msg(queue_policy_check(s->turn, s->c, NULL, &o, &e) == 0, "%s: %s", *key, e.text);
	}
	policy_free(policy);
}
END_TEST

START_TEST(prefetched_tasks_come_back_when_a_sibling_stands_idle)
{
	attach(&worker);
	for (unsigned n = 0; n < 8; n++) { /* it learns that they are quick */
		submit_plain(n);
		Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
		Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		o.token = given(&worker);
		o.exit_class = TROUPE__EXIT_CLASS__EXIT_DONE;
		o.run_us = 100;
		m.outcomes = all;
		m.n_outcomes = 1;
		env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
		env.outcomes = &m;
		stage_tell(s, &worker, &env);
	}
	struct id ids[10];
	Troupe__TaskSpec x[10], *all[10];
	for (unsigned i = 0; i < 10; i++) {
		ids[i] = id_of(100 + i);
		x[i] = spec_of(&ids[i], "a", "work");
		all[i] = &x[i];
	}
	ck_assert_ptr_nonnull(submit_all(all, 10));
	ck_assert_uint_eq(said(worker.peer, TROUPE__ENVELOPE__BODY_RUN)->run->n_tasks, 10);
	attach(&other);
	passes(25);
	ck_assert_ptr_nonnull(said(worker.peer, TROUPE__ENVELOPE__BODY_REVOKE));
	checks_out();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");
	TCase *c = tcase_create("queue");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_task_is_taken_given_done_and_its_result_is_there);
	tcase_add_test(c, the_same_submit_again_gets_the_same_answer_and_another_under_its_id_is_refused);
	tcase_add_test(c, a_submit_whose_answer_was_lost_is_answered_also_when_its_deadline_has_passed);
	tcase_add_test(c, of_a_bulk_all_tasks_are_taken_or_none);
	tcase_add_test(c, lower_numbers_go_first_and_equals_in_the_order_they_came);
	tcase_add_test(c, a_delayed_task_waits_for_its_time);
	tcase_add_test(c, a_failed_attempt_is_tried_again_later_and_the_last_one_makes_a_dead_letter);
	tcase_add_test(c, never_is_never);
	tcase_add_test(c, a_waiting_task_is_cancelled_at_once_and_a_running_one_when_its_process_is_gone);
	tcase_add_test(c, a_unique_key_holds_until_its_task_is_final);
	tcase_add_test(c, a_task_dies_when_its_deadline_passes);
	tcase_add_test(c, of_a_paused_queue_nothing_begins);
	tcase_add_test(c, a_task_with_a_tag_goes_to_a_worker_that_has_it_and_stands_in_nobodys_way);
	tcase_add_test(c, who_waits_is_told_behind_the_commit_and_who_asked_for_notices_too);
	tcase_add_test(c, the_log_tells_every_transition_once_by_its_cursor);
	tcase_add_test(c, final_tasks_go_when_their_time_is_over_the_others_stay_and_the_log_says_gap);
	tcase_add_test(c, every_key_of_a_policy_can_be_set_while_the_node_runs);
	tcase_add_test(c, prefetched_tasks_come_back_when_a_sibling_stands_idle);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
