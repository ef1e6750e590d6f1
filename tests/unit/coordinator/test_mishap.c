/* Mishaps around tasks: workers that die, old tokens, a coordinator that is killed, a damaged row, a disk that is nearly full. */
#include <lmdb.h>
#include <string.h>
#include "tests/unit/coordinator/crowd.h"

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

/* Behind the store's back: the first row's value, with a byte changed. */
static void damage_first(const char *table)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *at;
	MDB_val k, v;
	char copy[64];
	ck_assert_int_eq(store_checkpoint(s->store), 0);
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

int main(void)
{
	Suite *suite = suite_create("mishap");
	TCase *c = tcase_create("mishap");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_task_that_kills_its_worker_again_and_again_is_poison_and_others_go_on);
	tcase_add_test(c, a_dead_workers_task_goes_to_another_in_the_same_turn_and_what_had_not_begun_costs_nothing);
	tcase_add_test(c, nothing_goes_back_before_the_dead_ones_family_is_proven_gone);
	tcase_add_test(c, the_last_words_of_a_dead_worker_count);
	tcase_add_test(c, a_result_with_an_old_token_is_refused);
	tcase_add_test(c, a_new_coordinator_knows_the_leases_of_the_old_and_what_the_worker_holds_goes_on);
	tcase_add_test(c, what_never_arrived_is_ready_again_when_the_worker_comes_back_without_it);
	tcase_add_test(c, a_turn_that_was_cut_off_never_was);
	tcase_add_test(c, a_damaged_row_of_the_index_stands_in_nobodys_way_and_its_task_is_found_by_the_log);
	tcase_add_test(c, below_the_low_water_mark_submits_are_refused_and_completions_go_on);
	tcase_add_test(c, below_half_of_the_mark_nothing_begins_until_there_is_room);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
