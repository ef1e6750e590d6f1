/* library_story: each operation of libtroupe once, on the node of TROUPE_RUN_DIR with the queues of library.py. A line for each: "yes" or "no", and what it shows. */
#include <stdio.h>
#include <string.h>
#include "common/troupe/troupe.h"

static struct troupe *t;
static struct troupe_error error;
static size_t n_finished;

static void point(bool ok, const char *what) { printf("%s %s%s%s\n", ok ? "yes" : "no", what, ok ? "" : ": ", ok ? "" : error.text); }

static void on_finished(void *ctx, const struct troupe_result *r)
{
	(void)ctx;
	n_finished += r->state == TROUPE_STATE_DONE;
}

static struct troupe_task task_of(const char *queue, const char *payload)
{
	struct troupe_task task = TROUPE_TASK_INIT;
	task.id = troupe_id_new(t);
	task.queue = queue;
	task.payload = payload;
	task.payload_len = strlen(payload);
	return task;
}

static bool submit(const struct troupe_task *task, struct troupe_receipt *ret) { return troupe_submit(t, task, ret, &error) == 0; }

static void submit_again(void)
{
	struct troupe_receipt first, second;
	struct troupe_task task = task_of("texts", "once");
	bool ok = submit(&task, &first) && submit(&task, &second);
	point(ok && !first.existing && second.existing && first.seq == second.seq, "the same id again is the same task");
	task.payload = "else";
	point(troupe_submit(t, &task, &second, &error) == TROUPE_ERROR_CONFLICT && error.index == 1, "other content under an id is a conflict");
	struct troupe_task a = task_of("late", "a"), b = task_of("late", "a");
	a.unique_key = b.unique_key = "order:77";
	b.unique_mode = TROUPE_UNIQUE_RETURN;
	a.delay_ms = b.delay_ms = 3600000;
	ok = submit(&a, &first) && submit(&b, &second);
	point(ok && second.existing && memcmp(&second.id, &a.id, sizeof a.id) == 0, "a unique key that returns gives the id of the same work");
}

static void submit_command(void)
{
	const char *const argv[] = { "true", "", NULL };
	struct troupe_receipt receipt;
	struct troupe_task task = task_of("late", "");
	task.argv = argv;
	point(submit(&task, &receipt), "an argument of a command may be empty");
}

static void submit_too_much(void)
{
	struct troupe_receipt receipts[2];
	struct troupe_task two[2] = { task_of("narrow", "a"), task_of("narrow", "b") }, first = task_of("narrow", "first");
	submit(&first, receipts);
	point(troupe_submit_many(t, two, 2, 0, receipts, &error) == TROUPE_ERROR_BUSY && error.retryable, "a full queue that blocks is busy");
	point(troupe_submit(t, &two[0], receipts, &error) == 0, "of a submit that was refused nothing was taken");
	two[1].queue = "nowhere";
	two[0].queue = "late";
	two[0].id = troupe_id_new(t);
	point(troupe_submit_many(t, two, 2, 0, receipts, &error) == TROUPE_ERROR_NO_QUEUE && error.index == 2, "an unknown queue is told with the task's place");
}

static void cancel(void)
{
	struct troupe_receipt receipt;
	struct troupe_cancelled c;
	struct troupe_results r = { 0 };
	struct troupe_task task = task_of("late", "x");
	task.delay_ms = 3600000;
	struct troupe_id ids[2] = { task.id, troupe_id_new(t) };
	bool ok = submit(&task, &receipt);
	point(troupe_wait(t, ids, 1, 0, 100, &r, &error) == TROUPE_ERROR_TIMEOUT && r.n == 0, "a wait for what is not due is late");
	troupe_results_free(&r);
	point(ok && troupe_cancel(t, ids, 2, &c, &error) == 0 && c.count == 1 && c.n_refused == 1 && c.refused[0].code == TROUPE_ERROR_NO_TASK && memcmp(&c.refused[0].id, &ids[1], sizeof ids[1]) == 0,
	      "a cancel counts what it did and names what it could not");
	troupe_cancelled_free(&c);
	point(troupe_wait(t, ids, 1, 0, 10000, &r, &error) == 0 && r.n == 1 && r.all[0]->state == TROUPE_STATE_CANCELLED, "what was cancelled is final");
	troupe_results_free(&r);
	point(troupe_wait(t, ids, 2, 0, 10000, &r, &error) == TROUPE_ERROR_NO_TASK && error.index == 2, "a wait for an unknown task says which");
}

static void events_of(const struct troupe_id *id)
{
	struct troupe_subscribe_options o = TROUPE_SUBSCRIBE_INIT;
	struct troupe_subscription *s;
	const struct troupe_event *e;
	struct troupe_cursor middle = { 0 };
	enum troupe_event_kind last = 0;
	o.from = TROUPE_FROM_OLDEST;
	o.task = *id;
	bool ok = troupe_subscribe(t, &o, &s, &error) == 0 && troupe_next(s, 10000, &e, &error) == 0 && e->kind == TROUPE_EVENT_ACCEPTED;
	middle = ok ? e->cursor : middle;
	for (size_t n = 0; ok && last != TROUPE_EVENT_DONE && n < 10; n++) {
		ok = troupe_next(s, 10000, &e, &error) == 0;
		last = ok ? e->kind : last;
	}
	point(ok && last == TROUPE_EVENT_DONE, "the log of a task begins with its acceptance and ends with its end");
	point(troupe_next(s, 50, &e, &error) == TROUPE_ERROR_TIMEOUT, "and then nothing follows");
	troupe_unsubscribe(s);
	o.from = TROUPE_FROM_CURSOR;
	o.cursor = middle;
	ok = troupe_subscribe(t, &o, &s, &error) == 0 && troupe_next(s, 10000, &e, &error) == 0;
	point(ok && e->kind != TROUPE_EVENT_ACCEPTED && e->kind < TROUPE_EVENT_GAP, "behind a cursor the next event follows");
	troupe_unsubscribe(s);
}

static void wait_and_watch(void)
{
	struct troupe_receipt receipts[2];
	struct troupe_results r = { 0 };
	struct troupe_task two[2] = { task_of("texts", "fast"), task_of("texts", "slow") };
	two[1].delay_ms = 3600000;
	bool ok = troupe_submit_many(t, two, 2, TROUPE_NOTIFY, receipts, &error) == 0;
	struct troupe_id ids[2] = { receipts[0].id, receipts[1].id };
	point(ok && troupe_wait(t, ids, 2, TROUPE_WAIT_ANY | TROUPE_WAIT_OUTPUT, 20000, &r, &error) == 0 && r.n == 1 && strcmp(r.all[0]->output, "FAST") == 0, "a wait for any brings the first, with its output");
	troupe_results_free(&r);
	for (int i = 0; i < 100 && n_finished == 0; i++)
		troupe_run(t, 100);
	point(n_finished == 1, "its end is told");
	ok = troupe_submit_many(t, two, 1, TROUPE_NOTIFY, receipts, &error) == 0 && receipts[0].existing;
	for (int i = 0; i < 100 && n_finished == 1; i++)
		troupe_run(t, 100);
	point(ok && n_finished == 2, "the end of what was final before its submit is told too");
	events_of(&ids[0]);
}

int main(void)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	o.wait = true;
	o.on_finished = on_finished;
	if (troupe_connect(&o, &t, &error) != 0) {
		point(false, "it connects");
		return 1;
	}
	submit_again();
	submit_command();
	submit_too_much();
	cancel();
	wait_and_watch();
	return troupe_disconnect(t);
}
