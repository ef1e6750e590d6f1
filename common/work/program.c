/* The tiers lines and packet4: one long-lived program that is given task after task. They differ in how a message stands on the pipes: program_codec.h.
 *
 *   DOWN ──start──> STARTING ──hello──> UP ──quit──> LEAVING
 *    ^                 │ no hello in time  │            │
 *    └──── swept ── ENDED <── the main process ends ────┘
 *
 * What was in the program when it ended gets an outcome by how it ended, but only after its family is proven empty. While it runs its helper processes
 * are its own business. It is started again at once, and after a delay when it goes on ending without having finished a task. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/work/environment.h"
#include "common/work/program.h"
#include "common/work/spawn.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/io/status.h"

#define LINE_MAX_DEFAULT (1u << 20)
#define START_TIMEOUT_DEFAULT_MS 10000u
#define GRACE_DEFAULT_MS 5000u
#define RESTART_FIRST_MS 100u
#define STEADY_MS 60000u  /* a program that lived so long has not failed to start */
#define UNREAD_MAX (1u << 20)
#define CLEAN_SLICE 256u

void program_changed(struct program *p)
{
	p->config.host.changed(p->config.host.ctx);
}

static uint64_t grace_ms_of(const struct program *p)
{
	return p->config.pool->grace_ms ? p->config.pool->grace_ms : GRACE_DEFAULT_MS;
}

/* --- what comes of what it says --- */

static void end_now(struct program *p, enum stop_why why)
{
	if (!p->sweeper.pid)
		return;
	if (p->why == STOP_NOT)
		p->why = why;
	p->state = PROGRAM_LEAVING;
	p->due_at_ms = TIME_NEVER;
	family_kill();
}

void program_hello(struct program *p, uint32_t max)
{
	p->state = PROGRAM_UP;
	p->max = max < STATUS_TOKENS ? max : STATUS_TOKENS; /* so that a crash report can name every task in work */
	p->due_at_ms = TIME_NEVER;
	p->up_at_ms = loop_now_ms(p->config.loop);
	p->broken[0] = '\0';
	log_debug("the program is up", LOG_U("max", max));
	program_changed(p);
}

void program_refuse(struct program *p, const char *why)
{
	snprintf(p->broken, sizeof(p->broken), "%s", why);
	log_error("the program is of no use", LOG_S("why", why));
	end_now(p, STOP_NODE);
	program_changed(p);
}

void program_lost(struct program *p, const char *why)
{
	if (p->state == PROGRAM_STARTING) {
		program_refuse(p, why);
		return;
	}
	snprintf(p->lost, sizeof(p->lost), "%s", why);
	log_error("the program is not understood any more", LOG_S("why", why));
	end_now(p, STOP_NOT);
	program_changed(p);
}

/* A program that can say nothing any more has ended as far as we are concerned; most have in fact, and the next signal says so. */
void program_muted(struct program *p)
{
	p->mute = true;
	if (p->sweeper.pid && p->due_at_ms == TIME_NEVER) {
		p->due_at_ms = loop_now_ms(p->config.loop) + grace_ms_of(p);
		program_changed(p);
	}
	if (p->state == PROGRAM_STARTING || p->state == PROGRAM_UP)
		p->state = PROGRAM_LEAVING;
}

/* --- its end --- */

static void restart_later(struct program *p, uint64_t now_ms)
{
	p->state = PROGRAM_DOWN;
	p->due_at_ms = p->quitting ? TIME_NEVER : now_ms + tier_backoff_ms(p->n_failures ? p->n_failures - 1 : 0, RESTART_FIRST_MS);
	program_changed(p);
}

/* The family is proven empty. */
static void over(struct program *p, bool was_up, uint64_t now_ms)
{
	int status = p->sweeper.end.status;
	if (p->mute && p->why == STOP_NOT && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		status = W_EXITCODE(1, 0); /* it would not leave: our kill, but its failure */
	program_io_drain(p);
	program_io_close(p);

	const struct exit_facts f = {
		.status = status,
		.why = p->why,
		.oom = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && oom_struck(&p->oom),
		.answered = false,
	};
	struct exit_verdict v = exit_judge(&f);
	bool steady = p->n_done || p->why == STOP_OTHERS || (was_up && now_ms - p->up_at_ms >= STEADY_MS);
	p->n_failures = steady ? 0 : p->n_failures + 1;
	if (!was_up && !*p->broken && !p->quitting)
		snprintf(p->broken, sizeof(p->broken), "the program ended before its hello: %.160s", v.text);
	if (!p->quitting)
		log_warn("the program ended", LOG_S("how", v.text), LOG_U("tasks", p->n_tasks), LOG_U("failures", p->n_failures));
	program_tasks_end(p, &f);
	workdir_remove(&p->workdir, p->counters.program_starts);
	restart_later(p, now_ms);
}

static void sweep(struct program *p, uint64_t now_ms)
{
	enum sweeper_state state;
	while ((state = sweeper_round(&p->sweeper, now_ms)) == SWEEPER_ENDED) {
		p->state = PROGRAM_ENDED;
		p->due_at_ms = TIME_NEVER;
	}
	if (state == SWEEPER_DONE)
		over(p, p->up_at_ms != 0, now_ms);
	else if (state == SWEEPER_BUSY)
		program_changed(p);
}

static void on_children(void *ctx)
{
	struct program *p = ctx;
	sweep(p, loop_now_ms(p->config.loop));
}

/* --- its beginning --- */

static int open_directory(struct program *p, int *ret_fd)
{
	const char *directory = p->config.pool->directory;
	if (!*directory)
		return workdir_make(&p->workdir, p->counters.program_starts, ret_fd);
	*ret_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static int program_spawn(struct program *p, char **argv, pid_t *ret_pid, int *ret_errno)
{
	int theirs[3] = { -1, -1, -1 };
	_cleanup_(closep) int directory = -1;
	_cleanup_(environment_fini) struct environment env = { 0 };
	int r = open_directory(p, &directory);
	if (!r)
		r = environment_base(&env, p->config.pool);
	if (!r)
		r = program_io_open(p, theirs);
	if (!r) {
		const struct spawn s = {
			.argv = argv,
			.envp = env.all,
			.stdio = { theirs[0], theirs[1], theirs[2] },
			.directory = directory,
			.no_new_privs = p->config.pool->no_new_privs,
		};
		r = spawn_process(&s, ret_pid, ret_errno);
	}
	for (int i = 0; i < 3; i++)
		closep(&theirs[i]);
	return r;
}

static void start_failed(struct program *p, const char *program, int error, uint64_t now_ms)
{
	tier_say_cannot_run(p->broken, sizeof(p->broken), program, error);
	log_error("this worker can run nothing", LOG_S("why", p->broken));
	program_io_close(p);
	workdir_remove(&p->workdir, p->counters.program_starts);
	if (!p->n_failures)
		p->n_failures = 1; /* what cannot be exec'd now cannot be a moment later either: never at once */
	p->n_failures++;
	restart_later(p, now_ms);
}

static void program_start(struct program *p, uint64_t now_ms)
{
	const Troupe__PoolSetup *pool = p->config.pool;
	_cleanup_(freep) char **argv = calloc(pool->n_command + 1, sizeof(*argv));
	pid_t pid;
	int error = 0, r = -ENOMEM;
	p->counters.program_starts++;
	p->mute = false;
	p->lost[0] = '\0';
	p->n_done = 0;
	p->up_at_ms = 0;
	p->why = STOP_NOT;
	tail_clear(&p->err);
	if (argv) {
		memcpy(argv, pool->command, pool->n_command * sizeof(*argv));
		r = program_spawn(p, argv, &pid, &error);
	}
	if (r) {
		start_failed(p, pool->command[0], r < 0 ? -r : error, now_ms);
		return;
	}
	sweeper_begin(&p->sweeper, pid);
	p->state = PROGRAM_STARTING;
	p->due_at_ms = now_ms + (pool->start_timeout_ms ? pool->start_timeout_ms : START_TIMEOUT_DEFAULT_MS);
}

/* --- the tier --- */

static uint32_t program_slots(const void *self)
{
	const struct program *p = self;
	return p->max;
}

static uint32_t program_room(const void *self)
{
	const struct program *p = self;
	if (buffer_len(&p->in) > UNREAD_MAX)
		return 0; /* it does not keep up with reading */
	return p->state == PROGRAM_UP && !p->quitting && p->n_tasks < p->max ? p->max - (uint32_t)p->n_tasks : 0;
}

static const char *program_broken(const void *self)
{
	const struct program *p = self;
	return *p->broken ? p->broken : NULL;
}

static void program_task(void *self, struct task *t, uint64_t now_ms)
{
	struct program *p = self;
	fault_point("worker.before_exec");
	attempt_start(&t->attempt, now_ms);
	t->started_us = clock_mono_us();
	t->started_wall_ms = clock_wall_ms();
	if (!t->attempt.grace_ms)
		t->attempt.grace_ms = grace_ms_of(p);
	program_task_add(p, t);
	if (program_task_write(p, t)) {
		attempt_ended(&t->attempt);
		attempt_swept(&t->attempt);
		t->exit_class = TROUPE__EXIT_CLASS__EXIT_LOST;
		snprintf(t->error, sizeof(t->error), "the worker had no memory for it");
		program_task_over(p, t);
		return;
	}
	p->counters.started++;
}

static void program_flush(void *self, uint64_t now_ms)
{
	struct program *p = self;
	program_io_write(p);
	fault_point("worker.after_exec");
}

static void act(struct program *p, struct task *t, enum attempt_action action)
{
	program_task_due(p, t);
	switch (action) {
	case ATTEMPT_ASK:
		if (p->io[END_IN].fd >= 0 && p->codec->write_cancel(&p->in, &t->id) == 0)
			program_io_write(p);
		break;
	case ATTEMPT_KILL:
		end_now(p, STOP_OTHERS);
		break;
	case ATTEMPT_NOTHING:
	case ATTEMPT_SWEEP:
	case ATTEMPT_FINISH:
		return;
	}
	program_changed(p);
}

static void program_stop(void *self, struct task *t, enum stop_why why, uint64_t grace_ms, uint64_t now_ms)
{
	struct program *p = self;
	if (t->tier == p)
		act(p, t, attempt_stop(&t->attempt, why, grace_ms, now_ms));
}

static void program_quit(void *self, uint64_t now_ms)
{
	struct program *p = self;
	if (p->quitting)
		return;
	p->quitting = true;
	if (p->state == PROGRAM_DOWN) {
		p->due_at_ms = TIME_NEVER;
		return;
	}
	p->codec->write_quit(&p->in);
	program_io_write(p);
}

static void program_quit_now(void *self, uint64_t grace_ms, uint64_t now_ms)
{
	struct program *p = self;
	program_quit(p, now_ms);
	if (!p->sweeper.pid)
		return;
	if (p->why == STOP_NOT)
		p->why = STOP_NODE;
	family_signal(p->sweeper.pid, SIGTERM);
	family_signal(p->sweeper.pid, SIGCONT);
	p->state = PROGRAM_LEAVING;
	p->due_at_ms = now_ms + grace_ms;
	program_changed(p);
}

static bool program_idle(const void *self)
{
	const struct program *p = self;
	return !p->n_tasks && (!p->quitting || p->state == PROGRAM_DOWN);
}

static void on_due(struct program *p, uint64_t now_ms)
{
	switch (p->state) {
	case PROGRAM_DOWN:
		program_start(p, now_ms);
		return;
	case PROGRAM_STARTING:
		program_refuse(p, "the program did not say hello in time");
		return;
	case PROGRAM_UP:
	case PROGRAM_LEAVING:
		end_now(p, p->why);
		return;
	case PROGRAM_ENDED:
		p->due_at_ms = TIME_NEVER;
		return;
	}
}

static uint64_t program_tick(void *self, uint64_t now_ms)
{
	struct program *p = self;
	if (p->sweeper.at_ms <= now_ms)
		sweep(p, now_ms);
	for (struct task *t; (t = heap_peek(&p->due)) && t->attempt.due_at_ms <= now_ms;)
		act(p, t, attempt_tick(&t->attempt, now_ms));
	if (p->due_at_ms <= now_ms)
		on_due(p, now_ms);

	const struct task *t = heap_peek(&p->due);
	uint64_t next_ms = t ? t->attempt.due_at_ms : TIME_NEVER;
	if (p->due_at_ms < next_ms)
		next_ms = p->due_at_ms;
	if (p->sweeper.at_ms < next_ms)
		next_ms = p->sweeper.at_ms;
	if (workdir_clean(&p->workdir, CLEAN_SLICE) && now_ms + 1 < next_ms)
		next_ms = now_ms + 1;
	return next_ms;
}

static const struct tier_counters *program_counters(const void *self)
{
	const struct program *p = self;
	return &p->counters;
}

static void program_close(void *self)
{
	struct program *p = self;
	if (p->sweeper.pid || p->sweeper.sweeping)
		family_kill();
	program_task_fini(p);
	program_io_close(p);
	child_watch_close(&p->children);
	workdir_close(&p->workdir);
	oom_close(&p->oom);
	buffer_fini(&p->in);
	program_reader_fini(&p->out);
	tail_fini(&p->err);
	free(p);
}

static const struct tier_ops program_ops = {
	.slots = program_slots,
	.room = program_room,
	.broken = program_broken,
	.start = program_task,
	.flush = program_flush,
	.stop = program_stop,
	.quit = program_quit,
	.quit_now = program_quit_now,
	.idle = program_idle,
	.tick = program_tick,
	.counters = program_counters,
	.close = program_close,
};

int program_open(const struct tier_config *c, const struct program_codec *codec, struct tier *ret, struct error *e)
{
	if (!c->pool->n_command)
		return error_set(e, ERROR_CONFIG, "a pool of mode %s needs a command", codec->mode);
	struct program *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->config = *c;
	p->codec = codec;
	p->due_at_ms = loop_now_ms(c->loop);
	p->sweeper = (struct sweeper){ .at_ms = TIME_NEVER, .counters = &p->counters };
	program_task_init(p);
	for (int i = 0; i < 3; i++)
		p->io[i].fd = -1;
	oom_open(&p->oom);
	p->workdir = (struct workdir){ .work = -1, .trash = -1 };
	int r = program_reader_init(&p->out, c->pool->line_max ? (size_t)c->pool->line_max : LINE_MAX_DEFAULT);
	if (!r && c->state_dir)
		r = workdir_open(&p->workdir, c->state_dir, e);
	if (!r)
		r = tail_init(&p->err, tier_stderr_tail(c->pool));
	if (!r)
		r = child_watch_open(&p->children, c->loop, on_children, p);
	if (r) {
		program_close(p);
		return r;
	}
	*ret = (struct tier){ &program_ops, p };
	return 0;
}
