/* The life of tasks: what a client, a worker and an operator say, and what the coordinator answers and keeps. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/queue.h"
#include "common/base/clock.h"
#include "common/wire/policy.h"
#include "tests/unit/coordinator/stage.h"

static struct stage *s;
static const struct who client = { .peer = 1 }, worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 }, other = { .peer = 11, .address = "worker:a/2", .incarnation = 6 };

static void setup(void)
{
	s = stage_new(1);
}

static void teardown(void)
{
	s = stage_free(s);
}

static struct id id_of(unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	id.b[14] = (uint8_t)(n >> 8);
	id.b[15] = (uint8_t)n;
	return id;
}

/* --- what they say --- */

static Troupe__TaskSpec spec_of(struct id *id, const char *queue, const char *payload)
{
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT;
	x.id = (ProtobufCBinaryData){ sizeof id->b, id->b };
	x.queue = (char *)queue;
	x.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return x;
}

static const Troupe__Envelope *submit_all(Troupe__TaskSpec **specs, size_t n)
{
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tasks = specs;
	m.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	return stage_ask(s, &client, &env);
}

static const Troupe__Envelope *submit(Troupe__TaskSpec *x)
{
	return submit_all(&x, 1);
}

static struct id submit_plain(unsigned n)
{
	struct id id = id_of(n);
	Troupe__TaskSpec x = spec_of(&id, "a", "work");
	ck_assert_ptr_nonnull(submit(&x));
	return id;
}

static void attach_with(const struct who *who, uint32_t slots, const char *tag)
{
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	char *queues[] = { (char *)"a", (char *)"b" }, *tags[] = { (char *)tag };
	m.queues = queues;
	m.n_queues = 2;
	m.slots = slots;
	m.tags = tags;
	m.n_tags = tag != NULL;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &m;
	stage_tell(s, who, &env);
}

static void attach(const struct who *who)
{
	attach_with(who, 1, NULL);
}

/* What the last turn said to a connection, of one kind; NULL: nothing. */
static const Troupe__Envelope *said(uint64_t peer, Troupe__Envelope__BodyCase what)
{
	for (size_t i = 0; i < s->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(s, &s->sent[i]);
		if (s->sent[i].peer == peer && env->body_case == what)
			return env;
	}
	return NULL;
}

/* The token of the one task that the last turn gave to this worker; 0: none. */
static uint64_t given(const struct who *who)
{
	const Troupe__Envelope *env = said(who->peer, TROUPE__ENVELOPE__BODY_RUN);
	if (!env)
		return 0;
	ck_assert_uint_eq(env->run->n_tasks, 1);
	return env->run->tasks[0]->token;
}

static void ends(const struct who *who, uint64_t token, Troupe__ExitClass class, const char *output)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	o.token = token;
	o.exit_class = class;
	o.output = (ProtobufCBinaryData){ strlen(output), (uint8_t *)output };
	o.run_us = 1000000;
	m.outcomes = all;
	m.n_outcomes = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env.outcomes = &m;
	stage_tell(s, who, &env);
}

static void starts(const struct who *who, uint64_t token)
{
	Troupe__Started m = TROUPE__STARTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tokens = &token;
	m.n_tokens = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env.started = &m;
	stage_tell(s, who, &env);
}

static void dies(const struct who *who, uint64_t in_work, bool proven)
{
	Troupe__Down d = TROUPE__DOWN__INIT;
	d.address = (char *)who->address;
	d.incarnation = who->incarnation;
	d.reason = TROUPE__REASON__REASON_SIGNAL;
	d.signal = 9;
	d.proof = proven ? TROUPE__PROOF__PROOF_EMPTY : TROUPE__PROOF__PROOF_PENDING;
	d.tokens = &in_work;
	d.n_tokens = in_work != 0;
	stage_begin(s);
	stage_down(s, &d);
	stage_commit(s);
}

static void hangs_up(const struct who *who)
{
	stage_begin(s);
	stage_link(s, who, false);
	stage_commit(s);
}

static void passes(uint64_t ms)
{
	stage_clock(s, ms);
	stage_begin(s);
	stage_wake(s);
	stage_commit(s);
}

static const Troupe__Changed *change(Troupe__Envelope__BodyCase what, const struct id *id, bool dry_run)
{
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Cancel c = TROUPE__CANCEL__INIT;
	Troupe__Retry r = TROUPE__RETRY__INIT;
	Troupe__Purge p = TROUPE__PURGE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id->b, (uint8_t *)id->b };
	c.tasks = r.tasks = p.tasks = refs;
	c.n_tasks = r.n_tasks = p.n_tasks = 1;
	c.dry_run = r.dry_run = p.dry_run = dry_run;
	env.body_case = what;
	if (what == TROUPE__ENVELOPE__BODY_CANCEL)
		env.cancel = &c;
	else if (what == TROUPE__ENVELOPE__BODY_RETRY)
		env.retry = &r;
	else
		env.purge = &p;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_ptr_nonnull(answer);
	return answer->changed;
}

static void order(Troupe__QueueOrder__Op op, const char *name)
{
	Troupe__QueueOrder m = TROUPE__QUEUE_ORDER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.op = op;
	m.name = (char *)name;
	m.why = (char *)"looking";
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &m;
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
}

static Troupe__TaskState state_of(const struct id *id) { return stage_state_of(s, id); }
#define IS(id, state) ck_assert_int_eq(state_of(id), TROUPE__TASK_STATE__##state)

static void checks_out(void)
{
	Troupe__CheckStore m = TROUPE__CHECK_STORE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHECK_STORE;
	env.check_store = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(answer->store_checked->problems == 0, "%s", answer->store_checked->n_lines ? answer->store_checked->lines[0] : "");
}

/* --- stories --- */

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

START_TEST(a_task_that_kills_its_worker_again_and_again_is_poison_and_others_go_on)
{
	attach(&worker);
	struct id id = submit_plain(1), healthy;
	struct who w = worker;
	Troupe__TaskSpec x;
	for (int death = 1; death <= 2; death++) {
		uint64_t token = given(&w);
		ck_assert_uint_ne(token, 0);
		hangs_up(&w);
		dies(&w, token, true);
		IS(&id, READY); /* no delay: it was the worker that died */
		w.incarnation++;
		w.peer++;
		attach(&w);
	}
	uint64_t token = given(&w);
	hangs_up(&w);
	dies(&w, token, true);
	IS(&id, DEAD);
	ck_assert_int_eq(stage_state(s, &id)->cause, TROUPE__CAUSE__POISON);
	healthy = id_of(2);
	x = spec_of(&healthy, "a", "fine");
	ck_assert_ptr_nonnull(submit(&x));
	w.incarnation++;
	attach(&w);
	IS(&healthy, RUNNING);
	checks_out();
}
END_TEST

START_TEST(a_dead_workers_task_goes_to_another_in_the_same_turn_and_what_had_not_begun_costs_nothing)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	attach(&other);
	hangs_up(&worker);
	IS(&id, RUNNING); /* the connection alone proves nothing */
	dies(&worker, 0, true);
	ck_assert_uint_gt(given(&other), token);
	ck_assert_uint_eq(stage_lease(s, &id)->attempt, 1);
	checks_out();
}
END_TEST

START_TEST(nothing_goes_back_before_the_dead_ones_family_is_proven_gone)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	attach(&other);
	hangs_up(&worker);
	dies(&worker, token, false);
	passes(3600 * 1000);
	ck_assert_str_eq(stage_lease(s, &id)->worker, worker.address);
	dies(&worker, token, true);
	ck_assert_str_eq(stage_lease(s, &id)->worker, other.address);
}
END_TEST

START_TEST(the_last_words_of_a_dead_worker_count)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	dies(&worker, token, true);                 /* overtakes what is still in its socket */
	IS(&id, RUNNING);
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "in time");
	hangs_up(&worker);
	IS(&id, DONE);
	ck_assert_uint_eq(s->c->n_workers, 0);
	checks_out();
}
END_TEST

START_TEST(a_result_with_an_old_token_is_refused)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	attach(&other);
	hangs_up(&worker);
	dies(&worker, token, true);
	uint64_t second = given(&other);
	struct who late = worker;
	late.incarnation = 9;
	late.peer = 30;
	attach(&late);
	ends(&late, token, TROUPE__EXIT_CLASS__EXIT_DONE, "late");
	const Troupe__Envelope *ack = said(late.peer, TROUPE__ENVELOPE__BODY_OUTCOMES_ACK);
	ck_assert_uint_eq(ack->outcomes_ack->n_stale, 1);
	ends(&late, second, TROUPE__EXIT_CLASS__EXIT_DONE, "somebody else's");
	IS(&id, RUNNING);
	ends(&other, second, TROUPE__EXIT_CLASS__EXIT_DONE, "good");
	ck_assert_mem_eq(stage_state(s, &id)->outcome->output.data, "good", 4);
	ends(&other, second, TROUPE__EXIT_CLASS__EXIT_FAILED, "twice");
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(a_new_coordinator_knows_the_leases_of_the_old_and_what_the_worker_holds_goes_on)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	starts(&worker, token);
	stage_crash(s);
	stage_restart(s);
	ck_assert_uint_eq(s->n_monitored, 1);
	ck_assert_str_eq(s->monitored[0].address, worker.address);
	ck_assert_uint_eq(s->monitored[0].incarnation, worker.incarnation);

	Troupe__Attach m = TROUPE__ATTACH__INIT;
	Troupe__Held held = TROUPE__HELD__INIT, *helds[] = { &held };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	char *queues[] = { (char *)"a" };
	m.queues = queues;
	m.n_queues = m.slots = 1;
	held.token = token;
	held.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	held.started = true;
	m.held = helds;
	m.n_held = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &m;
	stage_tell(s, &worker, &env);
	ck_assert_uint_eq(said(worker.peer, TROUPE__ENVELOPE__BODY_ATTACHED)->attached->n_abort, 0);
	IS(&id, RUNNING);
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "");
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(what_never_arrived_is_ready_again_when_the_worker_comes_back_without_it)
{
	attach(&worker);
	struct id id = submit_plain(1);
	uint64_t token = given(&worker);
	stage_crash(s);
	stage_restart(s);
	attach(&worker); /* names nothing */
	IS(&id, RUNNING);
	ck_assert_uint_gt(given(&worker), token);
	ck_assert_uint_eq(stage_lease(s, &id)->attempt, 1);
	checks_out();
}
END_TEST

START_TEST(a_turn_that_was_cut_off_never_was)
{
	size_t len;
	struct id id = id_of(1);
	Troupe__TaskSpec x = spec_of(&id, "a", "work"), *all[] = { &x };
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tasks = all;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	uint8_t *data = stage_pack(&env, &len);
	stage_begin(s);
	ck_assert_int_eq(stage_message(s, &client, data, len), 0);
	stage_crash(s);
	stage_restart(s);
	free(data);
	ck_assert_ptr_null(stage_task(s, &id));
	submit_plain(1);
	checks_out();
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

START_TEST(below_the_low_water_mark_submits_are_refused_and_completions_go_on)
{
	attach(&worker);
	struct id id = submit_plain(1), refused = id_of(2);
	uint64_t token = given(&worker);
	s->coordinator_setup.low_water_pct = 100; /* no disk has that much room */
	s->coordinator_setup.low_water_bytes = UINT64_MAX;
	stage_clock(s, 2000);
	Troupe__TaskSpec x = spec_of(&refused, "a", "work");
	ck_assert_ptr_null(submit(&x));
	ck_assert_int_eq(s->refusal.code, ERROR_DISK_LOW);
	ck_assert_uint_ne(s->refusal.retry_after_ms, 0);
	ends(&worker, token, TROUPE__EXIT_CLASS__EXIT_DONE, "");
	IS(&id, DONE);
	s->coordinator_setup.low_water_pct = 0;
	stage_clock(s, 2000);
	ck_assert_ptr_nonnull(submit(&x));
	IS(&refused, RUNNING);
}
END_TEST

/* Behind the store's back: the first row's value, with a byte changed. */
static void damage_first(const char *table)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *at;
	MDB_val k, v;
	char copy[64];
	stage_crash(s);
	ck_assert_int_eq(mdb_env_create(&env), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(env, 32), 0);
	ck_assert_int_eq(mdb_env_open(env, s->dir, 0, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
	ck_assert_int_eq(mdb_dbi_open(txn, table, 0, &dbi), 0);
	ck_assert_int_eq(mdb_cursor_open(txn, dbi, &at), 0);
	ck_assert_int_eq(mdb_cursor_get(at, &k, &v, MDB_FIRST), 0);
	ck_assert_uint_le(v.mv_size, sizeof copy);
	memcpy(copy, v.mv_data, v.mv_size);
	copy[0] = (char)(copy[0] ^ 1);
	v.mv_data = copy;
	ck_assert_int_eq(mdb_cursor_put(at, &k, &v, MDB_CURRENT), 0);
	mdb_cursor_close(at);
	ck_assert_int_eq(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	stage_restart(s);
}

START_TEST(a_damaged_row_of_the_index_stands_in_nobodys_way_and_its_task_is_found_by_the_log)
{
	struct id first = submit_plain(1), second = submit_plain(2);
	damage_first("ready");
	attach_with(&worker, 2, NULL);
	IS(&first, RUNNING);
	IS(&second, RUNNING);
	checks_out();
}
END_TEST

START_TEST(below_half_of_the_mark_nothing_begins_until_there_is_room)
{
	struct id id = submit_plain(1);
	s->coordinator_setup.low_water_pct = 1000; /* ten times the disk: however empty it is, it has not half of that */
	s->coordinator_setup.low_water_bytes = UINT64_MAX;
	stage_clock(s, 2000);
	attach(&worker);
	IS(&id, READY);
	s->coordinator_setup.low_water_pct = 0;
	passes(1000);
	IS(&id, RUNNING);
	checks_out();
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
	tcase_add_test(c, a_task_that_kills_its_worker_again_and_again_is_poison_and_others_go_on);
	tcase_add_test(c, a_dead_workers_task_goes_to_another_in_the_same_turn_and_what_had_not_begun_costs_nothing);
	tcase_add_test(c, nothing_goes_back_before_the_dead_ones_family_is_proven_gone);
	tcase_add_test(c, the_last_words_of_a_dead_worker_count);
	tcase_add_test(c, a_result_with_an_old_token_is_refused);
	tcase_add_test(c, a_new_coordinator_knows_the_leases_of_the_old_and_what_the_worker_holds_goes_on);
	tcase_add_test(c, what_never_arrived_is_ready_again_when_the_worker_comes_back_without_it);
	tcase_add_test(c, a_turn_that_was_cut_off_never_was);
	tcase_add_test(c, a_waiting_task_is_cancelled_at_once_and_a_running_one_when_its_process_is_gone);
	tcase_add_test(c, a_unique_key_holds_until_its_task_is_final);
	tcase_add_test(c, a_task_dies_when_its_deadline_passes);
	tcase_add_test(c, of_a_paused_queue_nothing_begins);
	tcase_add_test(c, a_task_with_a_tag_goes_to_a_worker_that_has_it_and_stands_in_nobodys_way);
	tcase_add_test(c, who_waits_is_told_behind_the_commit_and_who_asked_for_notices_too);
	tcase_add_test(c, the_log_tells_every_transition_once_by_its_cursor);
	tcase_add_test(c, final_tasks_go_when_their_time_is_over_the_others_stay_and_the_log_says_gap);
	tcase_add_test(c, below_the_low_water_mark_submits_are_refused_and_completions_go_on);
	tcase_add_test(c, a_damaged_row_of_the_index_stands_in_nobodys_way_and_its_task_is_found_by_the_log);
	tcase_add_test(c, below_half_of_the_mark_nothing_begins_until_there_is_room);
	tcase_add_test(c, every_key_of_a_policy_can_be_set_while_the_node_runs);
	tcase_add_test(c, prefetched_tasks_come_back_when_a_sibling_stands_idle);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
