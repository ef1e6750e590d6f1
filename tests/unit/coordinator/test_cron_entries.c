/* Cron entries in a coordinator: their times, what becomes of missed ones, of a task that is not over, of a clock that is set, of a crash. */
#include "tests/suite.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "actors/coordinator/crons.h"
#include "common/base/fault.h"
#include "tests/unit/coordinator/stage.h"

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define AT_2215 (STAGE_WALL_MS + 100 * 1000) /* the stage begins at 22:13:20 UTC */

static struct stage *s;
static const struct who client = { .peer = 1 }, worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 };

/* --- what is said --- */

static const Troupe__Cron *order(Troupe__CronOrder__Op op, Troupe__CronSpec *spec, const char *name, bool replace)
{
	Troupe__CronOrder m = TROUPE__CRON_ORDER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.op = op;
	m.spec = spec;
	m.name = (char *)name;
	m.why = (char *)"a test";
	m.replace = replace;
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_ORDER;
	env.cron_order = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	return answer ? answer->crons->crons[0] : NULL;
}
#define ORDER(op, name) order(TROUPE__CRON_ORDER__OP__##op, NULL, name, false)

struct entry { Troupe__CronSpec spec; Troupe__TaskSpec task; };

static struct entry *entry_of(const char *name, const char *expression)
{
	static struct entry x;
	troupe__cron_spec__init(&x.spec);
	troupe__task_spec__init(&x.task);
	x.spec.name = (char *)name;
	x.spec.expression = (char *)expression;
	x.spec.task = &x.task;
	x.spec.overlap = TROUPE__CRON_SPEC__OVERLAP__OVERLAP_QUEUE;
	x.task.queue = (char *)"a";
	x.task.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"work" };
	return &x;
}

static const Troupe__Cron *add(struct entry *x)
{
	return order(TROUPE__CRON_ORDER__OP__ADD, &x->spec, "", false);
}

static const Troupe__Cron *add_with(const char *name, const char *expression, Troupe__CronSpec__Overlap overlap, Troupe__CronSpec__Missed missed)
{
	struct entry *x = entry_of(name, expression);
	x->spec.overlap = overlap;
	x->spec.missed = missed;
	const Troupe__Cron *cron = add(x);
	ck_assert_msg(cron != NULL, "%s", s->refusal.text);
	return cron;
}
#define ADD(name, expression, overlap, missed) add_with(name, expression, TROUPE__CRON_SPEC__OVERLAP__OVERLAP_##overlap, TROUPE__CRON_SPEC__MISSED__MISSED_##missed)

static const Troupe__Cron *show(const char *name)
{
	Troupe__CronAsk m = TROUPE__CRON_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.name = (char *)name;
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_ASK;
	env.cron_ask = &m;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	return answer && answer->crons->n_crons ? answer->crons->crons[0] : NULL;
}

/* --- time --- */

static void turns(void)
{
	for (int i = 0; i < 1000; i++) {
		stage_begin(s);
		stage_wake(s);
		stage_commit(s);
		if (s->wake_at_ms > s->now_ms)
			return;
	}
	ck_abort_msg("the coordinator does not come to rest");
}

/* Time passes, and the coordinator wakes when it wished to. */
static void pass(uint64_t ms)
{
	uint64_t end = s->now_ms + ms;
	while (s->now_ms < end) {
		uint64_t to = s->wake_at_ms < end ? s->wake_at_ms : end;
		stage_clock(s, to > s->now_ms ? to - s->now_ms : 0);
		turns();
	}
}

/* Nobody is there meanwhile. */
static void away(uint64_t ms)
{
	stage_crash(s);
	stage_clock(s, ms);
	stage_restart(s);
	turns();
}

/* Only the wall clock; it is looked at within ten seconds. */
static void set_clock(int64_t by_ms)
{
	s->wall_ms = (uint64_t)((int64_t)s->wall_ms + by_ms);
	pass(10000);
}

static uint64_t submitted(void) { return queue_find(s->c, "a")->r.submitted_total; }

static uint64_t rows(unsigned table)
{
	struct store_txn *view;
	uint64_t n;
	ck_assert_int_eq(store_read(s->store, &view), 0);
	ck_assert_int_eq(store_count(view, table, &n), 0);
	store_read_end(view);
	return n;
}

static void setup(void)
{
	s = stage_new(1);
}

static void teardown(void)
{
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(answer->problems == 0, "%s", answer->n_lines ? answer->lines[0] : "");
	s = stage_free(s);
}

/* --- the stories --- */

START_TEST(an_entry_submits_a_task_at_each_of_its_times)
{
	const Troupe__Cron *x = ADD("tick", "*/5 * * * *", QUEUE, NONE);
	ck_assert_uint_eq(x->next_at_ms, AT_2215);
	ck_assert_str_eq(x->created_by, "uid 1000 (ann)");
	pass(99999);
	ck_assert_uint_eq(submitted(), 0);
	pass(1);
	ck_assert_uint_eq(submitted(), 1);
	pass(5 * MINUTE);
	ck_assert_uint_eq(submitted(), 2);
	x = show("tick");
	ck_assert_uint_eq(x->submitted_total, 2);
	ck_assert_uint_eq(x->last_at_ms, AT_2215 + 5 * MINUTE);
	ck_assert_uint_eq(x->next_at_ms, AT_2215 + 10 * MINUTE);
	ck_assert_uint_eq(x->spec->task->payload.len, 4);
	struct id id;
	memcpy(id.b, x->last_task.data, sizeof id.b);
	const Troupe__TaskRecord *task = stage_task(s, &id);
	ck_assert_str_eq(task->submitter, "cron tick");
	ck_assert_uint_eq(task->spec->payload.len, 4);
}
END_TEST

START_TEST(what_is_no_entry_is_refused)
{
	struct entry *x;
#define REFUSED(code_, text_, ...) do { x = entry_of("tick", "* * * * *"); __VA_ARGS__; ck_assert_ptr_null(add(x)); \
		ck_assert_msg(s->refusal.code == code_ && strstr(s->refusal.text, text_), "%s", s->refusal.text); } while (0)
	static uint8_t id[16], large[65537];
	Troupe__BlobRef blob = TROUPE__BLOB_REF__INIT;
	Troupe__Edge edge = TROUPE__EDGE__INIT, *edges[] = { &edge };
	REFUSED(ERROR_BAD_REQUEST, "name", x->spec.name = (char *)"");
	REFUSED(ERROR_BAD_REQUEST, "name", x->spec.name = (char *)"a b");
	REFUSED(ERROR_BAD_REQUEST, "minute: \"61\"", x->spec.expression = (char *)"61 * * * *");
	REFUSED(ERROR_BAD_REQUEST, "never comes", x->spec.expression = (char *)"0 0 31 2 *");
	REFUSED(ERROR_NOT_FOUND, "there is no zone \"Europe/Berln\"", x->spec.zone = (char *)"Europe/Berln");
	REFUSED(ERROR_NOT_FOUND, "there is no zone", x->spec.zone = (char *)"Europe");
	REFUSED(ERROR_BAD_REQUEST, "no name of a zone", x->spec.zone = (char *)"../../../etc/passwd");
	REFUSED(ERROR_BAD_REQUEST, "no name of a zone", x->spec.zone = (char *)"/etc/localtime");
	REFUSED(ERROR_NO_QUEUE, "there is no queue", x->task.queue = (char *)"nowhere");
	REFUSED(ERROR_TOO_LARGE, "a payload inside a submit has at most", x->task.payload = (ProtobufCBinaryData){ sizeof large, large });
	REFUSED(ERROR_BAD_REQUEST, "cannot have an id", x->task.id = (ProtobufCBinaryData){ 16, id });
	REFUSED(ERROR_BAD_REQUEST, "cannot have run_at", x->task.run_at_ms = 1);
	REFUSED(ERROR_BAD_REQUEST, "cannot have a blob", x->task.blob = &blob);
	REFUSED(ERROR_BAD_REQUEST, "cannot have a role", x->task.role = TROUPE__BATCH_ROLE__COMPENSATION);
	REFUSED(ERROR_BAD_REQUEST, "cannot have dependencies", (x->task.depends_on = edges, x->task.n_depends_on = 1));
	REFUSED(ERROR_BAD_REQUEST, "deadline", x->task.deadline_at_ms = 3651 * DAY);
	REFUSED(ERROR_BAD_REQUEST, "needs a task", x->spec.task = NULL);
	REFUSED(ERROR_BAD_REQUEST, "no such policy", x->spec.overlap = (Troupe__CronSpec__Overlap)3);
	REFUSED(ERROR_BAD_REQUEST, "no such policy", x->spec.missed = (Troupe__CronSpec__Missed)7);
	s->c->crons->n = CRONS_MAX;
	REFUSED(ERROR_BUSY, "there are 10000 cron entries");
	s->c->crons->n = 0;
	ck_assert_ptr_null(order(TROUPE__CRON_ORDER__OP__ADD, NULL, "", false));
	ck_assert_ptr_null(ORDER(NONE, "tick"));
	ck_assert_ptr_null(ORDER(RUN, "tick"));
	ck_assert_int_eq(s->refusal.code, ERROR_NOT_FOUND);
	ck_assert_uint_eq(rows(T_CRON) + rows(T_AT), 0);
}
END_TEST

START_TEST(the_same_entry_again_is_the_same_and_another_of_its_name_must_replace_it)
{
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	pass(100000);
	ck_assert_uint_eq(ADD("tick", "*/5 * * * *", QUEUE, NONE)->submitted_total, 1);
	struct entry *x = entry_of("tick", "0 * * * *");
	ck_assert_ptr_null(add(x));
	ck_assert_int_eq(s->refusal.code, ERROR_EXISTS);
	const Troupe__Cron *now = order(TROUPE__CRON_ORDER__OP__ADD, &x->spec, "", true);
	ck_assert_str_eq(now->spec->expression, "0 * * * *");
	ck_assert_uint_eq(now->submitted_total, 1);
	ck_assert_uint_eq(now->next_at_ms, AT_2215 + 45 * MINUTE);
	ck_assert_uint_eq(rows(T_AT), 1);
	pass(44 * MINUTE);
	ck_assert_uint_eq(submitted(), 1);
}
END_TEST

START_TEST(a_paused_entry_leaves_its_times_out_until_it_is_resumed)
{
	ADD("tick", "*/5 * * * *", QUEUE, ALL);
	const Troupe__Cron *x = ORDER(PAUSE, "tick");
	ck_assert(x->paused && x->next_at_ms == 0);
	ck_assert_str_eq(x->paused_why, "a test");
	ck_assert_uint_eq(rows(T_AT), 0);
	pass(HOUR);
	away(HOUR);
	ck_assert_uint_eq(submitted(), 0);
	x = ORDER(RESUME, "tick");
	ck_assert(!x->paused && x->next_at_ms == AT_2215 + 2 * HOUR);
	pass(100000);
	ck_assert_uint_eq(submitted(), 1);
}
END_TEST

START_TEST(a_name_of_any_length_finds_its_entry)
{
	char name[NAME_MAX_BYTES + 1]; /* a row of table at has the name in its value, and others have a task's id there */
	for (size_t n = 1; n <= NAME_MAX_BYTES; n++) {
		memset(name, 'n', n);
		name[n] = '\0';
		ADD(name, "15 22 * * *", QUEUE, NONE);
	}
	pass(100000);
	ck_assert_uint_eq(submitted(), NAME_MAX_BYTES);
}
END_TEST

START_TEST(a_removed_entry_is_gone_and_its_last_task_stays)
{
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	pass(100000);
	ck_assert_ptr_nonnull(ORDER(REMOVE, "tick"));
	ck_assert_ptr_null(show("tick"));
	ck_assert_uint_eq(rows(T_CRON) + rows(T_AT), 0);
	ck_assert_uint_eq(rows(T_TASK), 1);
	ck_assert_uint_eq(s->c->crons->n, 0);
	pass(HOUR);
	ck_assert_uint_eq(submitted(), 1);
}
END_TEST

START_TEST(an_operator_can_run_one_at_any_time_but_not_over_the_overlap_policy)
{
	ADD("tick", "0 4 * * *", SKIP, NONE);
	ORDER(PAUSE, "tick");
	const Troupe__Cron *x = ORDER(RUN, "tick");
	ck_assert(x->submitted_total == 1 && x->paused && x->last_at_ms == s->wall_ms);
	ck_assert_ptr_null(ORDER(RUN, "tick"));
	ck_assert_int_eq(s->refusal.code, ERROR_STATE);
	ck_assert_uint_eq(show("tick")->skipped_total, 0);
	ck_assert_uint_eq(submitted(), 1);
}
END_TEST

START_TEST(with_skip_a_time_is_left_out_while_the_last_task_is_not_over)
{
	ADD("tick", "* * * * *", SKIP, NONE);
	pass(10 * MINUTE);
	const Troupe__Cron *x = show("tick");
	ck_assert_uint_eq(x->submitted_total, 1);
	ck_assert_uint_eq(x->skipped_total, 9);
	ck_assert_str_eq(x->last_error, "");
}
END_TEST

START_TEST(with_queue_each_time_gets_its_task)
{
	ADD("tick", "* * * * *", QUEUE, NONE);
	pass(10 * MINUTE);
	ck_assert_uint_eq(show("tick")->submitted_total, 10);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.ready, 10);
}
END_TEST

START_TEST(with_replace_a_waiting_task_goes_and_a_running_one_is_asked_to)
{
	ADD("tick", "* * * * *", REPLACE, NONE);
	pass(10 * MINUTE);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.cancelled, 9);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.ready, 1);
	stage_attach(s, &worker, 1);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.running, 1);
	bool asked = false;
	for (int i = 0; i < 120 && !asked; i++) {
		stage_clock(s, 1000);
		stage_begin(s);
		stage_wake(s);
		stage_commit(s);
		for (size_t k = 0; k < s->n_sent; k++) {
			const Troupe__Envelope *env = stage_read(s, &s->sent[k]);
			asked |= s->sent[k].peer == worker.peer && env->body_case == TROUPE__ENVELOPE__BODY_ABORT;
		}
	}
	ck_assert(asked);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.ready, 1);
	ck_assert_uint_eq(show("tick")->submitted_total, 11);
}
END_TEST

START_TEST(a_unique_key_does_not_keep_replace_from_replacing)
{
	struct entry *x = entry_of("tick", "* * * * *");
	x->spec.overlap = TROUPE__CRON_SPEC__OVERLAP__OVERLAP_REPLACE;
	x->task.unique_key = (char *)"one";
	ck_assert_ptr_nonnull(add(x));
	pass(3 * MINUTE);
	ck_assert_uint_eq(show("tick")->submitted_total, 3);
	ck_assert_uint_eq(queue_find(s->c, "a")->r.ready, 1);
	stage_attach(s, &worker, 1); /* the running one holds the key until it has ended */
	pass(MINUTE);
	ck_assert_uint_eq(show("tick")->submitted_total, 3);
	ck_assert_uint_eq(show("tick")->skipped_total, 1);
	ck_assert_ptr_nonnull(strstr(show("tick")->last_error, "unique key"));
}
END_TEST

START_TEST(a_refused_submit_is_told_and_the_entry_goes_on)
{
	s->queues[0]->max_tasks = 2;
	ADD("tick", "* * * * *", QUEUE, NONE);
	pass(5 * MINUTE);
	const Troupe__Cron *x = show("tick");
	ck_assert(x->submitted_total == 2 && x->skipped_total == 3);
	ck_assert_ptr_nonnull(strstr(x->last_error, "queue a is full: max_tasks is 2"));
	ck_assert_ptr_null(ORDER(RUN, "tick"));
	ck_assert_int_eq(s->refusal.code, ERROR_TOO_LARGE);
	s->queues[0]->max_tasks = 0;
	pass(MINUTE);
	x = show("tick");
	ck_assert_uint_eq(x->submitted_total, 3);
	ck_assert_str_eq(x->last_error, "");
}
END_TEST

START_TEST(times_that_were_missed_follow_the_policy)
{
	ADD("none", "*/5 * * * *", QUEUE, NONE);
	ADD("one", "*/5 * * * *", QUEUE, ONE);
	ADD("all", "*/5 * * * *", QUEUE, ALL);
	ADD("skip", "*/5 * * * *", SKIP, ALL);
	away(100000 + 10 * MINUTE + 30000); /* 22:25:30: three times, the last half a minute ago */
	static const char *const names[] = { "none", "one", "all", "skip" };
	static const uint64_t done[][2] = { { 1, 2 }, { 1, 2 }, { 3, 0 }, { 1, 2 } };
	for (size_t i = 0; i < 4; i++) {
		const Troupe__Cron *x = show(names[i]);
		ck_assert_msg(x->submitted_total == done[i][0] && x->skipped_total == done[i][1], "%s", names[i]);
		ck_assert_uint_eq(x->last_at_ms, AT_2215 + 10 * MINUTE);
		ck_assert_uint_eq(x->next_at_ms, AT_2215 + 15 * MINUTE);
	}
	away(5 * MINUTE + 31000); /* 22:31:01: one, more than a minute ago */
	static const uint64_t late[][2] = { { 1, 3 }, { 2, 2 }, { 4, 0 }, { 1, 3 } };
	for (size_t i = 0; i < 4; i++) {
		const Troupe__Cron *x = show(names[i]);
		ck_assert_msg(x->submitted_total == late[i][0] && x->skipped_total == late[i][1], "%s", names[i]);
	}
}
END_TEST

START_TEST(of_a_long_absence_at_most_a_thousand_tasks_are_made_up_for)
{
	ADD("tick", "* * * * *", QUEUE, ALL);
	away(2 * DAY);
	const Troupe__Cron *x = show("tick");
	ck_assert(x->submitted_total == 1000 && x->skipped_total == 1880);
	away(365 * DAY);
	x = show("tick");
	ck_assert(x->submitted_total == 2000 && x->skipped_total == 1880 + 99000);
	pass(MINUTE);
	ck_assert_uint_eq(show("tick")->submitted_total, 2001);
}
END_TEST

START_TEST(what_one_turn_cannot_hold_is_made_up_for_in_the_next)
{
	static uint8_t large[6000];
	struct entry *x = entry_of("tick", "* * * * *");
	x->spec.missed = TROUPE__CRON_SPEC__MISSED__MISSED_ALL;
	x->task.payload = (ProtobufCBinaryData){ sizeof large, large };
	ck_assert_ptr_nonnull(add(x));
	away(2 * DAY);
	ck_assert_uint_eq(show("tick")->submitted_total, 1000);
	ck_assert_uint_eq(show("tick")->skipped_total, 1880);
}
END_TEST

START_TEST(many_entries_of_one_minute_all_run)
{
	char name[16];
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "e%d", i);
		ADD(name, "15 22 * * *", QUEUE, NONE);
	}
	pass(100000);
	ck_assert_uint_eq(submitted(), 5000);
	away(DAY);
	ck_assert_uint_eq(submitted(), 10000);
	ck_assert_uint_eq(rows(T_AT), 5000);
}
END_TEST

START_TEST(a_clock_that_is_set_back_runs_nothing_twice)
{
	ADD("tick", "*/5 * * * *", QUEUE, ALL);
	pass(100000);
	set_clock(-(int64_t)HOUR);
	ck_assert_uint_eq(submitted(), 1);
	pass(HOUR - MINUTE);
	ck_assert_uint_eq(submitted(), 1);
	ck_assert_uint_eq(show("tick")->next_at_ms, AT_2215 + 5 * MINUTE);
	pass(6 * MINUTE);
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

START_TEST(a_clock_that_was_wrong_by_more_than_a_day_is_followed)
{
	ADD("tick", "*/5 * * * *", QUEUE, ALL);
	ADD("still", "*/5 * * * *", QUEUE, ALL);
	ORDER(PAUSE, "still");
	pass(100000);
	set_clock(-(int64_t)(3650 * DAY));
	ck_assert_uint_eq(submitted(), 1);
	pass(5 * MINUTE);
	ck_assert_uint_eq(submitted(), 2);
	ck_assert_uint_eq(rows(T_AT), 1);
	/* the same while nobody was there */
	stage_crash(s);
	s->wall_ms -= 3 * DAY;
	stage_restart(s);
	turns();
	pass(5 * MINUTE);
	ck_assert_uint_eq(submitted(), 3);
	ck_assert_uint_eq(rows(T_AT), 1);
}
END_TEST

START_TEST(a_clock_that_is_set_forward_misses_times_by_their_policy)
{
	ADD("none", "*/5 * * * *", QUEUE, NONE);
	ADD("one", "*/5 * * * *", QUEUE, ONE);
	ADD("all", "*/5 * * * *", QUEUE, ALL);
	set_clock(HOUR + 5 * MINUTE);
	ck_assert_uint_eq(show("none")->submitted_total, 0);
	ck_assert_uint_eq(show("one")->submitted_total, 1);
	ck_assert_uint_eq(show("all")->submitted_total, 13);
}
END_TEST

START_TEST(a_turn_that_was_cut_off_neither_lost_nor_doubled_a_time)
{
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	stage_clock(s, 100000);
	stage_begin(s);
	stage_wake(s);
	stage_crash(s); /* before the commit: it never was */
	stage_restart(s);
	turns();
	ck_assert_uint_eq(submitted(), 1);
	stage_crash(s); /* behind it */
	stage_restart(s);
	turns();
	ck_assert_uint_eq(submitted(), 1);
	ck_assert_uint_eq(show("tick")->submitted_total, 1);
	ck_assert_uint_eq(rows(T_TASK), 1);
}
END_TEST

START_TEST(a_kill_between_the_task_and_its_entry_neither_loses_nor_doubles_a_time)
{
	int status;
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	stage_crash(s);
	stage_clock(s, 100000);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fault_role("killed");
		stage_restart(s);
		turns();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	stage_restart(s);
	turns();
	ck_assert_uint_eq(submitted(), 1);
	ck_assert_uint_eq(rows(T_TASK), 1);
	pass(5 * MINUTE);
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

START_TEST(a_time_in_the_hour_that_comes_twice_runs_once_over_a_restart)
{
	stage_crash(s);
	s->wall_ms = 1792881000000; /* 2026-10-24 18:30 UTC */
	stage_restart(s);
	struct entry *x = entry_of("night", "30 2 * * *");
	x->spec.zone = (char *)"Europe/Berlin";
	ck_assert_ptr_nonnull(add(x));
	pass(6 * HOUR);
	ck_assert_uint_eq(submitted(), 1); /* 00:30 UTC is 02:30 CEST */
	away(HOUR + MINUTE);
	ck_assert_uint_eq(submitted(), 1); /* 01:30 UTC is 02:30 CET */
	pass(DAY);
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

START_TEST(deadline_and_delay_of_a_task_count_from_when_it_is_made)
{
	struct entry *x = entry_of("tick", "*/5 * * * *");
	struct id id;
	x->task.deadline_at_ms = HOUR;
	x->task.delay_ms = MINUTE;
	ck_assert_ptr_nonnull(add(x));
	pass(100000);
	memcpy(id.b, show("tick")->last_task.data, sizeof id.b);
	ck_assert_uint_eq(stage_task(s, &id)->spec->deadline_at_ms, AT_2215 + HOUR);
	ck_assert_int_eq(stage_state_of(s, &id), TROUPE__TASK_STATE__SCHEDULED);
}
END_TEST

START_TEST(a_time_that_is_lost_or_out_of_date_is_found_again_at_the_start)
{
	struct store_txn *txn;
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	ADD("tock", "*/5 * * * *", QUEUE, NONE);
	stage_crash(s);
	struct store_config config = { .dir = s->dir, .tables = ledger_tables, .version = LEDGER_VERSION, .map_first = 16u << 20, .map_max = 1u << 30 };
	struct store *store;
	struct error e;
	ck_assert_int_eq(store_open(&config, &store, &e), 0);
	ck_assert_int_eq(store_begin(store, &txn), 0);
	ck_assert_int_eq(store_clear(txn, T_AT), 0);
	ck_assert_int_eq(store_commit(txn), 0);
	store_close(store);
	stage_restart(s);
	turns();
	ck_assert_uint_eq(rows(T_AT), 2);
	pass(100000);
	ck_assert_uint_eq(submitted(), 2);
}
END_TEST

START_TEST(a_list_comes_in_parts_and_without_payloads)
{
	char name[NAME_MAX_BYTES + 1], after[NAME_MAX_BYTES + 1] = "";
	memset(name, 'n', sizeof name);
	name[NAME_MAX_BYTES] = '\0';
	for (int i = 0; i < 2500; i++) {
		char number[8];
		snprintf(number, sizeof number, "%04d", i);
		memcpy(name, number, 4);
		ADD(name, "@daily", QUEUE, NONE);
	}
	size_t n = 0, parts = 0;
	for (bool more = true; more; parts++) {
		Troupe__CronAsk m = TROUPE__CRON_ASK__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		m.name = (char *)"";
		m.after = after;
		env.body_case = TROUPE__ENVELOPE__BODY_CRON_ASK;
		env.cron_ask = &m;
		const Troupe__Crons *crons = stage_ask(s, &client, &env)->crons;
		for (size_t i = 0; i < crons->n_crons; i++, n++) {
			ck_assert_int_eq(atoi((char[]){ crons->crons[i]->spec->name[0], crons->crons[i]->spec->name[1], crons->crons[i]->spec->name[2], crons->crons[i]->spec->name[3], 0 }), (int)n);
			ck_assert_uint_eq(crons->crons[i]->spec->task->payload.len, 0);
		}
		more = crons->more;
		if (crons->n_crons)
			snprintf(after, sizeof after, "%s", crons->crons[crons->n_crons - 1]->spec->name);
	}
	ck_assert_uint_eq(n, 2500);
	ck_assert_uint_ge(parts, 3);
}
END_TEST

START_TEST(a_preview_says_the_next_times_of_an_expression_or_an_entry)
{
	Troupe__CronPreview m = TROUPE__CRON_PREVIEW__INIT;
	Troupe__CronSpec spec = TROUPE__CRON_SPEC__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_PREVIEW;
	env.cron_preview = &m;
	spec.expression = (char *)"30 2 * * *";
	spec.zone = (char *)"Europe/Berlin";
	m.spec = &spec;
	m.count = 3;
	m.from_ms = 1774656000000; /* 2026-03-28 00:00 UTC */
	const Troupe__CronTimes *times = stage_ask(s, &client, &env)->cron_times;
	ck_assert_uint_eq(times->n_at_ms, 3);
	ck_assert_str_eq(times->local[0], "Sat 2026-03-28 02:30:00 +01:00 CET");
	ck_assert_str_eq(times->local[1], "Sun 2026-03-29 03:00:00 +02:00 CEST, its time does not exist that day");
	ck_assert_uint_eq(times->at_ms[1], 1774746000000);
	ADD("tick", "*/5 * * * *", QUEUE, NONE);
	m = (Troupe__CronPreview)TROUPE__CRON_PREVIEW__INIT;
	m.name = (char *)"tick";
	times = stage_ask(s, &client, &env)->cron_times;
	ck_assert_uint_eq(times->n_at_ms, 10);
	ck_assert_uint_eq(times->at_ms[0], AT_2215);
	m.count = 1001;
	ck_assert_ptr_null(stage_ask(s, &client, &env));
	m.count = 1;
	m.from_ms = UINT64_MAX;
	ck_assert_uint_eq(stage_ask(s, &client, &env)->cron_times->n_at_ms, 0);
	m.name = (char *)"nothing";
	ck_assert_ptr_null(stage_ask(s, &client, &env));
	ck_assert_int_eq(s->refusal.code, ERROR_NOT_FOUND);
	m.name = (char *)"";
	ck_assert_ptr_null(stage_ask(s, &client, &env));
}
END_TEST

int main(void)
{
	setenv("TROUPE_FAULT", "killed/cron.after_submit", 1);
	Suite *suite = suite_create("cron entries");
	TCase *c = tcase_create("cron entries");
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_entry_submits_a_task_at_each_of_its_times);
	tcase_add_test(c, what_is_no_entry_is_refused);
	tcase_add_test(c, the_same_entry_again_is_the_same_and_another_of_its_name_must_replace_it);
	tcase_add_test(c, a_paused_entry_leaves_its_times_out_until_it_is_resumed);
	tcase_add_test(c, a_name_of_any_length_finds_its_entry);
	tcase_add_test(c, a_removed_entry_is_gone_and_its_last_task_stays);
	tcase_add_test(c, an_operator_can_run_one_at_any_time_but_not_over_the_overlap_policy);
	tcase_add_test(c, with_skip_a_time_is_left_out_while_the_last_task_is_not_over);
	tcase_add_test(c, with_queue_each_time_gets_its_task);
	tcase_add_test(c, with_replace_a_waiting_task_goes_and_a_running_one_is_asked_to);
	tcase_add_test(c, a_unique_key_does_not_keep_replace_from_replacing);
	tcase_add_test(c, a_refused_submit_is_told_and_the_entry_goes_on);
	tcase_add_test(c, times_that_were_missed_follow_the_policy);
	tcase_add_test(c, of_a_long_absence_at_most_a_thousand_tasks_are_made_up_for);
	tcase_add_test(c, what_one_turn_cannot_hold_is_made_up_for_in_the_next);
	tcase_add_test(c, many_entries_of_one_minute_all_run);
	tcase_add_test(c, a_clock_that_is_set_back_runs_nothing_twice);
	tcase_add_test(c, a_clock_that_was_wrong_by_more_than_a_day_is_followed);
	tcase_add_test(c, a_clock_that_is_set_forward_misses_times_by_their_policy);
	tcase_add_test(c, a_turn_that_was_cut_off_neither_lost_nor_doubled_a_time);
	tcase_add_test(c, a_kill_between_the_task_and_its_entry_neither_loses_nor_doubles_a_time);
	tcase_add_test(c, a_time_in_the_hour_that_comes_twice_runs_once_over_a_restart);
	tcase_add_test(c, deadline_and_delay_of_a_task_count_from_when_it_is_made);
	tcase_add_test(c, a_time_that_is_lost_or_out_of_date_is_found_again_at_the_start);
	tcase_add_test(c, a_list_comes_in_parts_and_without_payloads);
	tcase_add_test(c, a_preview_says_the_next_times_of_an_expression_or_an_entry);
	suite_add_tcase(suite, c);
	return suite_run(suite);
}
