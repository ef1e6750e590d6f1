/* Workers that attach from outside the tree: who they are, and what becomes of their leases. The processes are this test's: it says which live. */
#include "tests/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/outside.h"
#include "tests/unit/coordinator/stage.h"

#define HEARTBEAT 5000u
#define PID 1007                        /* of the stage: 1000 and the incarnation */

static struct stage *s;
static const struct who client = { .peer = 1 }, tree = { .peer = 10, .address = "worker:a/1", .incarnation = 5 };
static const struct who ann = { .peer = 20, .incarnation = 7 }, ann_again = { .peer = 21, .incarnation = 7 }, bob = { .peer = 30, .incarnation = 8 };

/* --- the processes --- */

static struct { bool dead, watched; uint64_t number; unsigned n_watched; int cannot; } seen;

static uint64_t eye_started(void *ctx, pid_t pid) { return (uint64_t)pid * 11; }
static void eye_forget(void *ctx, uint64_t number) { seen.watched = false; }
static void eye_close(void *ctx) { seen.watched = false; }
static int eye_watch(void *ctx, uint64_t number, pid_t pid, uint64_t start)
{
	ck_assert_int_eq(pid, PID);
	ck_assert_uint_eq(start, PID * 11);
	if (seen.cannot)
		return seen.cannot;
	if (seen.dead)
		return ERROR_NOT_FOUND;
	seen.watched = true;
	seen.n_watched++;
	seen.number = number;
	return 0;
}
static const struct outside_eye eye = { .started = eye_started, .watch = eye_watch, .forget = eye_forget, .close = eye_close };

static void setup(void)
{
	s = stage_new(1);
	s->c->eye = s->eye = &eye;
	seen.dead = seen.watched = false;
	seen.n_watched = 0;
	seen.cannot = 0;
}

static void teardown(void)
{
	s = stage_free(s);
}

/* --- what they say --- */

static struct id submit_in(const char *queue, unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT, *all[] = { &x };
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	id.b[15] = (uint8_t)n;
	x.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	x.queue = (char *)queue;
	m.tasks = all;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
	return id;
}

static Troupe__Attach introduction(uint8_t first, char **queue)
{
	static uint8_t instance[16];
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	memset(instance, 0xab, sizeof instance);
	instance[0] = first;
	m.instance = (ProtobufCBinaryData){ sizeof instance, instance };
	m.queues = queue;
	m.n_queues = 1;
	m.slots = 1;
	m.heartbeat_ms = HEARTBEAT;
	return m;
}

static const Troupe__Envelope *attach_as(const struct who *who, Troupe__Attach *m)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = m;
	return stage_ask(s, who, &env);
}

/* Serves queue a. held 0: nothing. */
static const Troupe__Attached *attach(const struct who *who, uint64_t held, bool started)
{
	char *queue = (char *)"a";
	Troupe__Attach m = introduction((uint8_t)who->incarnation, &queue);
	Troupe__Held h = TROUPE__HELD__INIT, *all[] = { &h };
	h.token = held;
	h.started = started;
	m.held = all;
	m.n_held = held != 0;
	const Troupe__Envelope *answer = attach_as(who, &m);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->body_case, TROUPE__ENVELOPE__BODY_ATTACHED);
	return answer->attached;
}

static const Troupe__Envelope *said(const struct who *who, Troupe__Envelope__BodyCase what)
{
	for (size_t i = 0; i < s->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(s, &s->sent[i]);
		if (s->sent[i].peer == who->peer && env->body_case == what)
			return env;
	}
	return NULL;
}

/* The token of the one task that the last turn gave to it; 0: none. */
static uint64_t given(const struct who *who)
{
	const Troupe__Envelope *env = said(who, TROUPE__ENVELOPE__BODY_RUN);
	return env ? env->run->tasks[0]->token : 0;
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

static void is_done(const struct who *who, uint64_t token)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	o.token = token;
	o.exit_class = TROUPE__EXIT_CLASS__EXIT_DONE;
	o.run_us = 1000000;
	m.outcomes = all;
	m.n_outcomes = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env.outcomes = &m;
	stage_tell(s, who, &env);
}

static void beats(const struct who *who)
{
	Troupe__Beat m = TROUPE__BEAT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_BEAT;
	env.beat = &m;
	stage_tell(s, who, &env);
}

static void hangs_up(const struct who *who)
{
	stage_begin(s);
	stage_gone(s, who->peer);
	stage_commit(s);
}

/* What the loop would tell of a pidfd. */
static void process_ends(void)
{
	ck_assert(seen.watched);
	seen.dead = true;
	seen.watched = false;
	stage_begin(s);
	ck_assert_int_eq(outside_ended(s->turn, s->c, (void *)(uintptr_t)seen.number), 0);
	ck_assert_int_eq(turn_fake_next(s->fake), 0);
	stage_commit(s);
}

static void passes(uint64_t ms)
{
	stage_clock(s, ms);
	stage_begin(s);
	stage_wake(s);
	stage_commit(s);
}

static const char *explained(const struct id *id)
{
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
	Troupe__Explain m = TROUPE__EXPLAIN__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id->b, (uint8_t *)id->b };
	m.task = &ref;
	env.body_case = TROUPE__ENVELOPE__BODY_EXPLAIN;
	env.explain = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_ptr_nonnull(answer);
	return answer->explained->text;
}

static const Troupe__WorkerRow *row(void)
{
	Troupe__WorkersAsk m = TROUPE__WORKERS_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_WORKERS_ASK;
	env.workers_ask = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_uint_eq(answer->workers->n_rows, 1);
	return answer->workers->rows[0];
}

#define IS(id, state) ck_assert_int_eq(stage_state_of(s, (id)), TROUPE__TASK_STATE__##state)
#define HAS(text, part) ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))

static void checks_out(void)
{
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(answer->problems == 0, "%s", answer->n_lines ? answer->lines[0] : "");
}

/* A task that ann has begun. */
static struct id at_work(uint64_t *ret_token)
{
	attach(&ann, 0, false);
	struct id id = submit_in("a", 1);
	ck_assert_uint_ne(*ret_token = given(&ann), 0);
	starts(&ann, *ret_token);
	return id;
}

/* --- stories --- */

START_TEST(a_client_that_attaches_is_given_tasks_and_its_results_count)
{
	uint64_t token;
	struct id id = at_work(&token);
	const Troupe__LeaseRecord *lease = stage_lease(s, &id);
	ck_assert_str_eq(lease->worker, "attached:1007.11077.07ababababababababababababababab");
	ck_assert_uint_eq(lease->incarnation, 1);
	ck_assert_uint_eq(lease->heartbeat_ms, HEARTBEAT);
	ck_assert_uint_eq(s->n_monitored, 0);
	HAS(explained(&id), "running on attached:1007.");
	is_done(&ann, token);
	ck_assert_uint_eq(said(&ann, TROUPE__ENVELOPE__BODY_OUTCOMES_ACK)->outcomes_ack->n_tokens, 1);
	IS(&id, DONE);
	ck_assert_uint_eq(row()->done, 1);
	hangs_up(&ann);
	ck_assert_uint_eq(s->c->n_workers, 0);
	ck_assert_uint_eq(s->c->n_outside, 0);
	checks_out();
}
END_TEST

START_TEST(its_supervisor_is_asked_about_a_worker_of_the_tree_alone)
{
	attach(&ann, 0, false);
	ck_assert_uint_eq(s->n_monitored, 0);
	stage_attach(s, &tree, 1);
	ck_assert_uint_eq(s->n_monitored, 1);
}
END_TEST

static void is_refused(const struct who *who, Troupe__Attach *m, enum error_code code, const char *part)
{
	ck_assert_ptr_null(attach_as(who, m));
	ck_assert_int_eq(s->refusal.code, code);
	HAS(s->refusal.text, part);
}

START_TEST(what_nobody_can_attach_with_is_refused_by_name)
{
	char *queue = (char *)"a", *wrong = (char *)"aa", *tag = (char *)"";
	Troupe__Attach m = introduction(1, &queue);
	m.instance.len = 15;
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "16 random bytes");
	m = introduction(1, &wrong);
	is_refused(&ann, &m, ERROR_NO_QUEUE, "there is no queue \"aa\"");
	HAS(s->refusal.cure, "did you mean a?");
	m = introduction(1, &queue);
	m.n_queues = 0;
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "queues");
	m = introduction(1, &queue);
	m.heartbeat_ms = 999;
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "999 ms");
	m.heartbeat_ms = 3600001;
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "3600001 ms");
	m = introduction(1, &queue);
	m.mode = (char *)"exec";
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "mode");
	m = introduction(1, &queue);
	m.pool = (char *)"a";
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "pool");
	m = introduction(1, &queue);
	m.tags = &tag;
	m.n_tags = 1;
	is_refused(&ann, &m, ERROR_BAD_REQUEST, "tag");
	ck_assert_uint_eq(s->c->n_workers, 0);
}
END_TEST

START_TEST(a_connection_is_one_worker)
{
	char *queue = (char *)"a";
	attach(&ann, 0, false);
	Troupe__Attach m = introduction(99, &queue);
	is_refused(&ann, &m, ERROR_STATE, "attached:1007.");
}
END_TEST

START_TEST(there_are_at_most_so_many_of_them)
{
	char *queue = (char *)"a";
	for (unsigned i = 0; i < OUTSIDE_MAX; i++)
		attach(&(struct who){ .peer = 100 + i, .incarnation = 100 + i }, 0, false);
	Troupe__Attach m = introduction(1, &queue);
	is_refused(&ann, &m, ERROR_BUSY, "1024 workers");
	ck_assert(s->refusal.retryable);
	ck_assert_uint_gt(s->refusal.retry_after_ms, 0);
	hangs_up(&(struct who){ .peer = 100 });
	attach(&ann, 0, false);
}
END_TEST

START_TEST(who_has_not_attached_is_not_listened_to)
{
	Troupe__Started m = TROUPE__STARTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env.started = &m;
	ck_assert_ptr_null(stage_ask(s, &ann, &env));
	ck_assert_int_eq(s->refusal.code, ERROR_STATE);
}
END_TEST

START_TEST(what_a_dead_one_had_begun_goes_back_at_once_and_counts)
{
	uint64_t token;
	struct id id = at_work(&token);
	attach(&bob, 0, false);
	seen.dead = true;
	hangs_up(&ann);
	ck_assert_uint_gt(given(&bob), token);
	const Troupe__StateRecord *st = stage_state(s, &id);
	ck_assert_uint_eq(st->attempts, 1);
	ck_assert_int_eq(st->outcome->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert_str_eq(st->outcome->error, "the worker ended without an answer");
	is_done(&bob, given(&bob));
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(what_a_dead_one_had_not_begun_costs_nothing)
{
	attach(&ann, 0, false);
	struct id id = submit_in("a", 1);
	attach(&bob, 0, false);
	seen.dead = true;
	hangs_up(&ann);
	ck_assert_uint_ne(given(&bob), 0);
	ck_assert_ptr_null(stage_state(s, &id));
	checks_out();
}
END_TEST

START_TEST(while_its_process_lives_its_lease_waits_and_ends_with_it)
{
	uint64_t token;
	struct id id = at_work(&token);
	attach(&bob, 0, false);
	hangs_up(&ann);
	ck_assert_uint_eq(given(&bob), 0);
	IS(&id, RUNNING);
	HAS(explained(&id), "which is not connected; its process 1007 lives: waits until ");
	process_ends();
	ck_assert_uint_ne(given(&bob), 0);
	ck_assert_uint_eq(stage_state(s, &id)->attempts, 1);
	checks_out();
}
END_TEST

START_TEST(who_comes_back_as_the_same_goes_on)
{
	uint64_t token;
	struct id id = at_work(&token);
	hangs_up(&ann);
	HAS(row()->broken, "not connected; its process 1007 lives");
	ck_assert_uint_eq(attach(&ann_again, token, true)->n_abort, 0);
	ck_assert(!seen.watched);
	passes(HEARTBEAT - 1);
	beats(&ann_again);
	passes(HEARTBEAT - 1);
	is_done(&ann_again, token);
	IS(&id, DONE);
	ck_assert_uint_eq(stage_state(s, &id)->attempts, 1);
	checks_out();
}
END_TEST

START_TEST(who_does_not_come_back_in_time_is_not_waited_for)
{
	uint64_t token;
	struct id id = at_work(&token);
	hangs_up(&ann);
	passes(HEARTBEAT - 1);
	IS(&id, RUNNING);
	passes(1);
	IS(&id, READY);
	ck_assert_str_eq(stage_state(s, &id)->outcome->error, "the worker did not come back for 5s");
	ck_assert_int_eq(stage_state(s, &id)->outcome->exit_class, TROUPE__EXIT_CLASS__EXIT_FAILED);
	ck_assert(!seen.watched);

	/* It did live: what it says now is too late. */
	ck_assert_uint_eq(attach(&ann_again, token, true)->n_abort, 1);
	uint64_t next = given(&ann_again);
	ck_assert_uint_gt(next, token);
	is_done(&ann_again, token);
	ck_assert_uint_eq(said(&ann_again, TROUPE__ENVELOPE__BODY_OUTCOMES_ACK)->outcomes_ack->n_stale, 1);
	IS(&id, RUNNING);
	is_done(&ann_again, next);
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(one_that_cannot_be_watched_has_its_heartbeat)
{
	uint64_t token;
	struct id id = at_work(&token);
	seen.cannot = -ENOSYS;
	hangs_up(&ann);
	HAS(explained(&id), "which is not connected: waits until ");
	passes(HEARTBEAT);
	IS(&id, READY);
}
END_TEST

START_TEST(what_it_comes_back_without_counts_if_it_had_begun)
{
	uint64_t token;
	struct id id = at_work(&token);
	hangs_up(&ann);
	attach(&ann_again, 0, false);
	ck_assert_str_eq(stage_state(s, &id)->outcome->error, "the worker came back without it");
	ck_assert_uint_eq(stage_state(s, &id)->attempts, 1);
	ck_assert_uint_gt(given(&ann_again), token);
	hangs_up(&ann_again); /* never begun */
	attach(&ann, 0, false);
	ck_assert_uint_ne(given(&ann), 0);
	ck_assert_uint_eq(stage_state(s, &id)->attempts, 1);
	checks_out();
}
END_TEST

START_TEST(who_is_connected_and_silent_loses_its_tasks_and_gets_no_more_until_it_speaks)
{
	uint64_t token;
	struct id id = at_work(&token);
	passes(HEARTBEAT - 1);
	IS(&id, RUNNING);
	passes(1);
	IS(&id, READY);
	const Troupe__Envelope *abort = said(&ann, TROUPE__ENVELOPE__BODY_ABORT);
	ck_assert_ptr_nonnull(abort);
	ck_assert_uint_eq(abort->abort->tokens[0], token);
	ck_assert_str_eq(abort->abort->why, "no word from the worker for 5s");
	ck_assert_int_eq(stage_state(s, &id)->outcome->exit_class, TROUPE__EXIT_CLASS__EXIT_TIMEOUT);
	ck_assert_uint_eq(stage_state(s, &id)->attempts, 1);
	ck_assert_uint_eq(given(&ann), 0);
	HAS(row()->broken, "connected, but has said nothing for 5.0s");
	HAS(explained(&id), "not even the one worker that could take it is connected");
	passes(3 * HEARTBEAT);
	is_done(&ann, token);
	ck_assert_uint_eq(said(&ann, TROUPE__ENVELOPE__BODY_OUTCOMES_ACK)->outcomes_ack->n_stale, 1);
	IS(&id, RUNNING);
	ck_assert_uint_gt(given(&ann), token);
	checks_out();
}
END_TEST

START_TEST(any_word_is_a_heartbeat)
{
	uint64_t token;
	struct id id = at_work(&token);
	for (unsigned i = 0; i < 5; i++) {
		passes(HEARTBEAT - 1);
		beats(&ann);
	}
	IS(&id, RUNNING);
	is_done(&ann, token);
	IS(&id, DONE);
}
END_TEST

START_TEST(a_coordinator_that_was_stopped_itself_blames_nobody)
{
	uint64_t token;
	struct id id = at_work(&token);
	passes(60000);
	IS(&id, RUNNING);
	beats(&ann);
	passes(HEARTBEAT - 1);
	IS(&id, RUNNING);
	passes(1);
	IS(&id, READY);
}
END_TEST

START_TEST(after_a_restart_what_a_dead_one_held_is_ready_in_the_first_turn)
{
	uint64_t token;
	struct id id = at_work(&token);
	seen.dead = true;
	stage_crash(s);
	stage_restart(s);
	IS(&id, READY);
	ck_assert_uint_eq(s->n_monitored, 0);
	ck_assert_uint_eq(s->c->n_outside, 0);
	const Troupe__StateRecord *st = stage_state(s, &id);
	ck_assert_int_eq(st->outcome->exit_class, TROUPE__EXIT_CLASS__EXIT_LOST); /* nobody knows whether it had begun */
	ck_assert_uint_eq(st->attempts, 0);
	checks_out();
}
END_TEST

START_TEST(after_a_restart_a_living_one_has_its_whole_heartbeat_to_come_back)
{
	uint64_t token;
	struct id id = at_work(&token);
	passes(HEARTBEAT - 1);
	stage_crash(s);
	stage_restart(s);
	ck_assert_uint_eq(seen.n_watched, 1);
	passes(HEARTBEAT - 1);
	IS(&id, RUNNING);
	ck_assert_uint_eq(attach(&ann_again, token, true)->n_abort, 0);
	is_done(&ann_again, token);
	IS(&id, DONE);
	checks_out();
}
END_TEST

START_TEST(after_a_restart_one_that_does_not_come_back_loses_its_lease)
{
	uint64_t token;
	struct id id = at_work(&token);
	stage_crash(s);
	stage_restart(s);
	passes(HEARTBEAT);
	IS(&id, READY);
	checks_out();
}
END_TEST

START_TEST(of_two_connections_of_one_worker_the_newer_counts)
{
	uint64_t token;
	struct id id = at_work(&token);
	attach(&ann_again, token, true);
	hangs_up(&ann);
	IS(&id, RUNNING);
	ck_assert(!seen.watched);
	is_done(&ann_again, token);
	IS(&id, DONE);
	ck_assert_uint_eq(s->c->n_workers, 1);
}
END_TEST

START_TEST(a_cancel_reaches_one_that_was_away)
{
	uint64_t token;
	struct id id = at_work(&token);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Cancel m = TROUPE__CANCEL__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id.b, id.b };
	m.tasks = refs;
	m.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
	env.cancel = &m;
	hangs_up(&ann);
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
	attach(&ann_again, token, true);
	ck_assert_uint_eq(said(&ann_again, TROUPE__ENVELOPE__BODY_ABORT)->abort->tokens[0], token);
	hangs_up(&ann_again);
	process_ends();
	IS(&id, CANCELLED);
	checks_out();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outside");
	TCase *c = tcase_create("stories");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, a_client_that_attaches_is_given_tasks_and_its_results_count);
	tcase_add_test(c, its_supervisor_is_asked_about_a_worker_of_the_tree_alone);
	tcase_add_test(c, what_nobody_can_attach_with_is_refused_by_name);
	tcase_add_test(c, a_connection_is_one_worker);
	tcase_add_test(c, there_are_at_most_so_many_of_them);
	tcase_add_test(c, who_has_not_attached_is_not_listened_to);
	tcase_add_test(c, what_a_dead_one_had_begun_goes_back_at_once_and_counts);
	tcase_add_test(c, what_a_dead_one_had_not_begun_costs_nothing);
	tcase_add_test(c, while_its_process_lives_its_lease_waits_and_ends_with_it);
	tcase_add_test(c, who_comes_back_as_the_same_goes_on);
	tcase_add_test(c, who_does_not_come_back_in_time_is_not_waited_for);
	tcase_add_test(c, one_that_cannot_be_watched_has_its_heartbeat);
	tcase_add_test(c, what_it_comes_back_without_counts_if_it_had_begun);
	tcase_add_test(c, who_is_connected_and_silent_loses_its_tasks_and_gets_no_more_until_it_speaks);
	tcase_add_test(c, any_word_is_a_heartbeat);
	tcase_add_test(c, a_coordinator_that_was_stopped_itself_blames_nobody);
	tcase_add_test(c, after_a_restart_what_a_dead_one_held_is_ready_in_the_first_turn);
	tcase_add_test(c, after_a_restart_a_living_one_has_its_whole_heartbeat_to_come_back);
	tcase_add_test(c, after_a_restart_one_that_does_not_come_back_loses_its_lease);
	tcase_add_test(c, of_two_connections_of_one_worker_the_newer_counts);
	tcase_add_test(c, a_cancel_reaches_one_that_was_away);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
