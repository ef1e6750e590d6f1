#include "actors/worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define DRAIN_TIMEOUT_DEFAULT_MS 60000u
#define GRACE_DEFAULT_MS 5000u
#define STOP_SWEEP_MS 1000u
#define FRAME_SPARE (128u * 1024) /* of a frame, for what is not output */

/* --- lists --- */

int tokens_add(struct tokens *t, uint64_t token)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		uint64_t *grown = realloc(t->all, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		t->all = grown;
		t->room = room;
	}
	t->all[t->n++] = token;
	return 0;
}

/* Nobody reads it any more. */
static void drop_payload(struct task *t)
{
	if (!t->payload_file)
		return;
	if (unlink(t->payload_file) < 0 && errno != ENOENT)
		log_warn("a payload cannot be removed", LOG_S("path", t->payload_file), LOG_S("why", strerror(errno)));
	free(steal(&t->payload_file));
}

void worker_forget(struct worker *w, struct task *t)
{
	fetch_drop(w, t);
	drop_payload(t);
	task_list_remove(t);
	task_table_remove(&w->held, t);
	task_free(t);
}

int worker_give_back(struct worker *w, struct task *t)
{
	uint64_t token = t->token;
	worker_forget(w, t);
	w->n_given_back++;
	return tokens_add(&w->revoked, token);
}

/* --- what the tier says --- */

static int on_kick(struct turn *t, void *state, void *arg)
{
	struct worker *w = state;
	w->kicked = false;
	if (steal(&w->outcomes_left))
		fault_point("worker.after_outcome");
	return 0;
}

void worker_kick(struct worker *w)
{
	if (w->kicked)
		return;
	w->kicked = true;
	if (actor_post(w->actor, on_kick, NULL)) {
		log_error("no memory for a turn");
		_exit(111);
	}
}

static void on_ended(void *ctx, struct task *t)
{
	struct worker *w = ctx;
	bool done = t->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE;
	w->n_done += done;
	w->n_failed += !done;
	if (t->drain)
		w->draining = true;
	drop_payload(t);
	task_list_add(&w->ended, t);
	worker_kick(w);
}

static void on_progressed(void *ctx, struct task *t)
{
	struct worker *w = ctx;
	t->progress_new = w->progress = true;
	worker_kick(w);
}

static void on_changed(void *ctx)
{
	worker_kick(ctx);
}

/* --- what the coordinator says --- */

static int check_sender(struct turn *t, const struct worker *w, const struct message *m)
{
	struct error e = { 0 };
	if (strcmp(m->sender.address, w->pool->coordinator) == 0)
		return 0;
	error_set(&e, ERROR_NOT_ALLOWED, "only %s gives this worker tasks", w->pool->coordinator);
	return turn_fail(t, &e);
}

static int take(struct worker *w, const Troupe__Assignment *a)
{
	struct task *task;
	struct error e = { 0 };
	if (task_table_find(&w->held, a->token))
		return 0;
	if (w->draining || w->stopping || w->held.n >= WORKER_HELD_MAX || w->tier.ops->broken(w->tier.self)) {
		w->n_given_back++;
		return tokens_add(&w->revoked, a->token);
	}
	int r = task_new(a, &task, &e);
	if (!r && a->blob && task->attempt.state != ATTEMPT_OVER && (r = fetch_begin(w, task, a->blob, &e)))
		task_free(task);
	if (r > 0)
		log_error("an assignment that cannot be read", LOG_S("why", e.text), LOG_U("token", a->token));
	if (r)
		return r > 0 ? 0 : r;
	task_table_add(&w->held, task);
	task_list_add(task->attempt.state == ATTEMPT_OVER ? &w->ended : &w->waiting, task);
	return 0;
}

static int on_run(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	int r = check_sender(t, w, m);
	for (size_t i = 0; i < m->env->run->n_tasks && !r; i++)
		r = take(w, m->env->run->tasks[i]);
	fault_point("worker.after_run");
	return r;
}

/* Their outcomes need not be told again. */
static void forget_sent(struct worker *w, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct task *task = task_table_find(&w->held, tokens[i]);
		if (task && (task->list == &w->sent || task->list == &w->ended))
			worker_forget(w, task);
	}
}

static int on_outcomes_ack(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	const Troupe__OutcomesAck *ack = m->env->outcomes_ack;
	int r = check_sender(t, w, m);
	if (r)
		return r;
	forget_sent(w, ack->tokens, ack->n_tokens);
	forget_sent(w, ack->stale, ack->n_stale);
	fault_point("worker.after_ack");
	return 0;
}

/* One that has begun is ended; the answer for it follows when its family is gone. */
static int end_task(struct worker *w, uint64_t token, enum stop_why why, uint64_t now_ms)
{
	struct task *task = task_table_find(&w->held, token);
	if (!task)
		return tokens_add(&w->revoked, token); /* it never came, or is long forgotten: either way nothing of it runs here */
	if (task->list == &w->running)
		w->tier.ops->stop(w->tier.self, task, why, task->attempt.grace_ms, now_ms);
	else if (task->list == &w->waiting && why == STOP_TAKEN)
		return worker_give_back(w, task);
	else if (task->list == &w->waiting) {
		struct exit_facts f = { .why = why, .answered = true };
		struct exit_verdict v = exit_judge(&f);
		attempt_stop(&task->attempt, why, 0, now_ms);
		fetch_drop(w, task);
		task_judge(task, &v);
		task_list_add(&w->ended, task);
	} else if (why == STOP_TAKEN) {
		return worker_give_back(w, task); /* over, and nobody wants to know how */
	}
	return 0;
}

static int on_attached(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	const Troupe__Attached *a = m->env->attached;
	int r = check_sender(t, w, m);
	if (r)
		return r;
	forget_sent(w, a->committed, a->n_committed);
	for (size_t i = 0; i < a->n_abort && !r; i++)
		r = end_task(w, a->abort[i], STOP_TAKEN, turn_now_ms(t));
	return r;
}

static int on_abort(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	const Troupe__Abort *a = m->env->abort;
	int r = check_sender(t, w, m);
	for (size_t i = 0; i < a->n_tokens && !r; i++)
		r = end_task(w, a->tokens[i], STOP_CANCEL, turn_now_ms(t));
	return r;
}

static int on_revoke(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	const Troupe__Revoke *v = m->env->revoke;
	int r = check_sender(t, w, m);
	for (size_t i = 0; i < v->n_tokens && !r; i++) {
		struct task *task = task_table_find(&w->held, v->tokens[i]);
		if (!task)
			r = tokens_add(&w->revoked, v->tokens[i]);
		else if (task->list == &w->waiting)
			r = worker_give_back(w, task);
		else
			r = tokens_add(&w->kept, v->tokens[i]);
	}
	return r;
}

static int on_drain(struct turn *t, void *state, const struct message *m)
{
	struct worker *w = state;
	int r = check_sender(t, w, m);
	if (!r)
		w->draining = true;
	return r;
}

/* What was told on the connection that is gone may not have arrived. */
static int on_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up)
{
	struct worker *w = state;
	if (strcmp(address, w->pool->coordinator) != 0 || (!up && peer != w->peer))
		return 0;
	w->peer = up ? peer : 0;
	w->attached = false;
	while (w->sent.last)
		task_list_add_front(&w->ended, w->sent.last);
	return 0;
}

/* --- the end of the worker --- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t or_default(uint64_t v, uint64_t dflt)
{
	return v ? v : dflt;
}

/* Of the time, the last tenth is for the last words, and before it a part for TERM, grace, KILL and the sweep. */
static int on_stop(struct turn *t, void *state, uint64_t within_ms, bool drain)
{
	struct worker *w = state;
	uint64_t now_ms = turn_now_ms(t), usable_ms = within_ms - within_ms / 10, sweep_ms = least(within_ms / 5, STOP_SWEEP_MS);
	uint64_t grace_ms = least(or_default(w->pool->grace_ms, GRACE_DEFAULT_MS), (usable_ms - sweep_ms) / 2);
	uint64_t work_ms = drain ? least(usable_ms - sweep_ms - grace_ms, or_default(w->pool->drain_timeout_ms, DRAIN_TIMEOUT_DEFAULT_MS)) : 0;
	w->stopping = true;
	w->quit_grace_ms = grace_ms;
	w->quit_now_at_ms = now_ms + work_ms;
	w->leave_at_ms = now_ms + usable_ms;
	return 0;
}

/* A program that does not leave when it has nothing more to do must not keep a drained worker for ever. */
static void drain_begin(struct worker *w, uint64_t now_ms)
{
	w->tier.ops->quit(w->tier.self, now_ms);
	w->quit_told = true;
	worker_kick(w); /* there may be nothing to wait for */
	if (!w->stopping) {
		w->quit_grace_ms = or_default(w->pool->grace_ms, GRACE_DEFAULT_MS);
		w->quit_now_at_ms = now_ms + or_default(w->pool->drain_timeout_ms, DRAIN_TIMEOUT_DEFAULT_MS);
	}
}

/* After the turn has spoken: start what it has chosen, do what is due. */
static void on_commit(void *state)
{
	struct worker *w = state;
	uint64_t now_ms = loop_now_ms(actor_loop(w->actor));
	const struct tier_ops *ops = w->tier.ops;
	bool some = w->starting.head != NULL;
	for (struct task *t; (t = w->starting.head);) {
		task_list_add(&w->running, t);
		ops->start(w->tier.self, t, now_ms);
	}
	if (some)
		ops->flush(w->tier.self, now_ms);
	if ((w->draining || w->stopping) && !w->quit_told)
		drain_begin(w, now_ms);
	if (w->quit_told && !w->quit_now_told && now_ms >= w->quit_now_at_ms) {
		w->quit_now_told = true;
		ops->quit_now(w->tier.self, w->quit_grace_ms, now_ms);
	}

	w->next_ms = ops->tick(w->tier.self, now_ms);
	if (w->quit_told && !w->quit_now_told)
		w->next_ms = least(w->next_ms, w->quit_now_at_ms);
	if (w->stopping)
		w->next_ms = least(w->next_ms, w->leave_at_ms);
	if (w->progress)
		w->next_ms = least(w->next_ms, w->progress_at_ms);
	if (w->next_ms < w->wished_ms)
		worker_kick(w); /* only a turn can ask to be woken */
}

static int on_wake(struct turn *t, void *state, uint64_t now_ms)
{
	struct worker *w = state;
	w->wished_ms = w->next_ms = TIME_NEVER; /* what is due is done in on_commit, which then knows better */
	return 0;
}

/* --- the actor --- */

static int on_begin(struct turn *t, void *state, void *arg)
{
	struct worker *w = state;
	return turn_connect(t, w->pool->coordinator);
}

/* NULL: the mode has no long-lived program. */
static const struct program_codec *codec_of(const char *mode)
{
	static const struct program_codec *const all[] = { &lines_codec, &packet4_codec };
	for (size_t i = 0; i < ELEMENTS(all); i++)
		if (strcmp(mode, all[i]->mode) == 0)
			return all[i];
	return NULL;
}

static int init(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e)
{
	const Troupe__PoolSetup *pool = setup->pool;
	if (!pool)
		return error_set(e, ERROR_CONFIG, "no pool in the worker's setup");
	const struct program_codec *codec = codec_of(pool->mode);
	if (!codec && strcmp(pool->mode, "exec") != 0)
		return error_set(e, ERROR_CONFIG, "\"%s\" is no mode of a pool; there are exec, lines and packet4", pool->mode);
	struct worker *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->actor = a;
	w->pool = pool;
	w->wished_ms = w->next_ms = w->progress_at_ms = TIME_NEVER;
	w->frame_max = setup->limits->frame;
	w->fetcher.folder = -1;

	const struct tier_config c = {
		.loop = actor_loop(a),
		.pool = pool,
		.state_dir = setup->state_dir,
		.output_max = w->frame_max > 2 * FRAME_SPARE ? w->frame_max - FRAME_SPARE : w->frame_max / 2,
		.host = { .ctx = w, .ended = on_ended, .progressed = on_progressed, .changed = on_changed },
	};
	int r = family_adopt();
	if (!r)
		r = codec ? program_open(&c, codec, &w->tier, e) : exec_open(&c, &w->tier, e);
	if (!r)
		r = fetcher_open(&w->fetcher, setup->state_dir, e);
	if (!r)
		r = actor_post(a, on_begin, NULL);
	if (r) {
		if (w->tier.ops)
			w->tier.ops->close(w->tier.self);
		fetcher_close(&w->fetcher);
		free(w);
		return r;
	}
	*ret_state = w;
	return 0;
}

static void list_free(struct worker *w, struct task_list *l)
{
	while (l->head) {
		l->head->tier = NULL;
		worker_forget(w, l->head);
	}
}

static void fini(void *state)
{
	struct worker *w = state;
	w->tier.ops->close(w->tier.self);
	list_free(w, &w->waiting);
	list_free(w, &w->starting);
	list_free(w, &w->running);
	list_free(w, &w->ended);
	list_free(w, &w->sent);
	fetcher_close(&w->fetcher);
	free(w->revoked.all);
	free(w->kept.all);
	free(w->in_work.all);
	free(w);
}

/* --- numbers --- */

static void metrics(void *state, struct turn *t, Troupe__Metrics *out)
{
	struct worker *w = state;
	const struct tier_counters *c = w->tier.ops->counters(w->tier.self);
	const Troupe__Sample__Type gauge = TROUPE__SAMPLE__TYPE__GAUGE, counter = TROUPE__SAMPLE__TYPE__COUNTER;
	turn_sample(t, out, "troupe_worker_busy", gauge, "Tasks in work", (double)w->running.n);
	turn_sample(t, out, "troupe_worker_waiting", gauge, "Tasks that were assigned and have not begun", (double)w->waiting.n);
	turn_sample(t, out, "troupe_worker_unacknowledged", gauge, "Outcomes that the coordinator has not committed yet", (double)(w->ended.n + w->sent.n));
	turn_sample(t, out, "troupe_worker_broken", gauge, "1 while this worker can run nothing", w->tier.ops->broken(w->tier.self) != NULL);
	turn_sample(t, out, "troupe_worker_started_total", counter, "Attempts begun", (double)c->started);
	turn_sample(t, out, "troupe_worker_done_total", counter, "Attempts that ended well", (double)w->n_done);
	turn_sample(t, out, "troupe_worker_failed_total", counter, "Attempts that did not", (double)w->n_failed);
	turn_sample(t, out, "troupe_worker_given_back_total", counter, "Assignments given back unbegun", (double)w->n_given_back);
	turn_sample(t, out, "troupe_worker_fetched_bytes_total", counter, "Of payloads too large for an assignment", (double)w->fetcher.n_bytes);
	turn_sample(t, out, "troupe_worker_orphans_total", counter, "Processes that tasks left behind, reaped", (double)c->swept);
	turn_sample(t, out, "troupe_worker_stray_lines_total", counter, "Lines or packets of a program that say nothing", (double)c->stray_lines);
	turn_sample(t, out, "troupe_worker_program_starts_total", counter, "Starts of a long-lived program", (double)c->program_starts);
}

static const struct actor_handler handlers[] = {
	{ TROUPE__ENVELOPE__BODY_ATTACHED, on_attached },
	{ TROUPE__ENVELOPE__BODY_RUN, on_run },
	{ TROUPE__ENVELOPE__BODY_OUTCOMES_ACK, on_outcomes_ack },
	{ TROUPE__ENVELOPE__BODY_REVOKE, on_revoke },
	{ TROUPE__ENVELOPE__BODY_ABORT, on_abort },
	{ TROUPE__ENVELOPE__BODY_DRAIN, on_drain },
	{ 0 },
};

const struct actor_def worker_def = {
	.type = "worker",
	.handlers = handlers,
	.connects = true,
	.init = init,
	.on_answer = fetch_answer,
	.on_link = on_link,
	.on_wake = on_wake,
	.on_stop = on_stop,
	.settle = worker_settle,
	.on_commit = on_commit,
	.metrics = metrics,
	.fini = fini,
};
