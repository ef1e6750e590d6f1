/* The exec tier: one process for each task, one task at a time.
 *
 *   start   directory, environment, pipes, vfork, exec
 *   run     payload into stdin, unless that is a file; stdout kept to its limit and then dropped; the end of stderr kept
 *   end     the main process is reaped: its status is the outcome's
 *   sweep   everything else that descends from it is killed and reaped, until wait(2) says that there is nobody
 *   over    what is left in the pipes is read (nobody can write any more), the directory goes, the host hears of it
 *
 * The three pipes never wait for each other: each is its own source of the loop, and a program may close any of them at any time. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/work/capture.h"
#include "common/work/exec_plan.h"
#include "common/work/family.h"
#include "common/work/oom.h"
#include "common/work/spawn.h"
#include "common/work/tier.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"

#define READ_SIZE (64u * 1024)
#define READS_A_ROUND 16
#define CLEAN_SLICE 256u
#define BROKEN_FIRST_MS 1000u
#define GRACE_DEFAULT_MS 5000u

enum end { END_IN, END_OUT, END_ERR };

struct exec {
	struct tier_config config;
	struct child_watch children;
	struct workdir workdir;
	struct oom_watch oom;
	struct tier_counters counters;

	struct task *task;              /* the one in work */
	struct sweeper sweeper;
	struct { struct loop_source source; int fd; } io[3];
	size_t written;                 /* of the payload */
	struct capture out;
	struct tail err;
	bool private_directory, payload_written; /* there is something of the task in workdir */

	bool quitting;
	char broken[256];               /* empty: it can run */
	unsigned n_broken;              /* in a row */
	uint64_t broken_until_ms;
};

static bool brings_command(const struct exec *x)
{
	return x->config.pool->n_command == 0;
}

/* --- over --- */

static void io_close(struct exec *x, enum end end)
{
	tier_source_close(&x->io[end].source, &x->io[end].fd);
}

static void finish(struct exec *x)
{
	struct task *t = steal(&x->task);
	for (int i = 0; i < 3; i++)
		io_close(x, (enum end)i);
	if (x->private_directory)
		workdir_remove(&x->workdir, t->token);
	if (x->payload_written)
		workdir_remove_payload(&x->workdir, t->token);
	t->output = capture_steal(&x->out, &t->output_len);
	t->truncated = x->out.truncated;
	t->stderr_tail = tail_copy(&x->err, &t->stderr_len);
	t->run_us = t->started_us ? clock_mono_us() - t->started_us : 0;
	x->config.host.ended(x->config.host.ctx, t);
	x->config.host.changed(x->config.host.ctx);
}

/* The program or the machine, not the task: no more tasks for a while. */
static void break_down(struct exec *x, const char *why, uint64_t now_ms)
{
	snprintf(x->broken, sizeof(x->broken), "%s", why);
	x->broken_until_ms = now_ms + tier_backoff_ms(++x->n_broken, BROKEN_FIRST_MS);
	log_error("this worker can run nothing", LOG_S("why", why), LOG_U("again_ms", x->broken_until_ms - now_ms));
}

static void recover(struct exec *x)
{
	x->n_broken = 0;
	x->broken[0] = '\0';
}

/* There is no process. */
static void finish_unstarted(struct exec *x, Troupe__ExitClass exit_class, int code, const char *why, uint64_t now_ms)
{
	struct task *t = x->task;
	if (t->attempt.state != ATTEMPT_OVER) {
		attempt_ended(&t->attempt);
		attempt_swept(&t->attempt);
	}
	t->exit_class = exit_class;
	t->exit_code = code;
	snprintf(t->error, sizeof(t->error), "%s", why);
	if (exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN)
		break_down(x, why, now_ms);
	finish(x);
}

/* --- what it says --- */

/* false at its end. */
static bool read_some(struct exec *x, enum end end, unsigned rounds)
{
	static uint8_t data[READ_SIZE];
	while (rounds--) {
		ssize_t n = read(x->io[end].fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		if (end == END_ERR)
			tail_add(&x->err, data, (size_t)n);
		else if (capture_add(&x->out, data, (size_t)n))
			x->out.truncated = true; /* no memory for it */
	}
	return true;
}

static void on_out(struct loop_source *s, uint32_t events)
{
	struct exec *x = container_of(s, struct exec, io[END_OUT].source);
	if (!read_some(x, END_OUT, READS_A_ROUND))
		io_close(x, END_OUT);
}

static void on_err(struct loop_source *s, uint32_t events)
{
	struct exec *x = container_of(s, struct exec, io[END_ERR].source);
	if (!read_some(x, END_ERR, READS_A_ROUND))
		io_close(x, END_ERR);
}

/* --- what it hears --- */

/* true when all is written, or nobody reads. */
static bool write_some(struct exec *x)
{
	const struct task *t = x->task;
	while (x->written < t->payload_len) {
		ssize_t n = write(x->io[END_IN].fd, t->payload + x->written, t->payload_len - x->written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno != EAGAIN;
		x->written += (size_t)n;
	}
	return true;
}

static void on_in(struct loop_source *s, uint32_t events)
{
	struct exec *x = container_of(s, struct exec, io[END_IN].source);
	if (write_some(x))
		io_close(x, END_IN);
}

/* --- the end --- */

static void add_last_words(const struct exec *x, struct task *t)
{
	char last[160];
	tail_last_line(&x->err, last, sizeof(last));
	size_t n = strlen(t->error);
	if (*last && n && n < sizeof(t->error) - 4)
		snprintf(t->error + n, sizeof(t->error) - n, ": %s", last);
}

static void read_usage(struct task *t, const struct rusage *ru)
{
	t->usage.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000 + (uint64_t)ru->ru_utime.tv_usec;
	t->usage.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000 + (uint64_t)ru->ru_stime.tv_usec;
	t->usage.max_rss_kib = (uint64_t)ru->ru_maxrss;
	t->usage.minor_faults = (uint64_t)ru->ru_minflt;
	t->usage.major_faults = (uint64_t)ru->ru_majflt;
}

static void judge(struct exec *x, struct task *t)
{
	const struct family_end *end = &x->sweeper.end;
	const struct exit_facts f = {
		.status = end->status,
		.why = t->attempt.why,
		.oom = WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL && oom_struck(&x->oom),
		.answered = true,
	};
	struct exit_verdict v = exit_judge(&f);
	if (v.exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN && brings_command(x))
		v.exit_class = TROUPE__EXIT_CLASS__EXIT_FAILED; /* its own command, so its own fault */
	task_judge(t, &v);
	read_usage(t, &end->usage);
}

/* The family is proven empty. */
static void over(struct exec *x, uint64_t now_ms)
{
	struct task *t = x->task;
	attempt_swept(&t->attempt);
	/* Nobody is left to write: so a pipe that was handed to a stranger cannot hold us up. */
	for (int end = END_OUT; end <= END_ERR; end++)
		if (x->io[end].fd >= 0)
			read_some(x, (enum end)end, 64);
	judge(x, t);
	if (t->exit_class != TROUPE__EXIT_CLASS__EXIT_DONE && t->attempt.why == STOP_NOT)
		add_last_words(x, t);
	if (t->exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN)
		break_down(x, t->error, now_ms);
	else
		recover(x);
	fault_point("worker.after_exit");
	finish(x);
}

static void sweep(struct exec *x, uint64_t now_ms)
{
	enum sweeper_state state;
	while ((state = sweeper_round(&x->sweeper, now_ms)) == SWEEPER_ENDED)
		attempt_ended(&x->task->attempt);
	if (state == SWEEPER_DONE)
		over(x, now_ms);
	else if (state == SWEEPER_BUSY)
		x->config.host.changed(x->config.host.ctx);
}

static void on_children(void *ctx)
{
	struct exec *x = ctx;
	sweep(x, loop_now_ms(x->config.loop));
}

static void act(struct exec *x, enum attempt_action action)
{
	switch (action) {
	case ATTEMPT_ASK:
		family_signal(x->sweeper.pid, SIGTERM);
		family_signal(x->sweeper.pid, SIGCONT); /* a stopped process acts on TERM only when it goes on */
		break;
	case ATTEMPT_KILL:
		family_kill();
		break;
	case ATTEMPT_NOTHING:
	case ATTEMPT_SWEEP:
	case ATTEMPT_FINISH:
		return;
	}
	x->config.host.changed(x->config.host.ctx);
}

/* --- the beginning --- */

/* A payload that the pipe takes as a whole is in it before the program is there. */
static int watch(struct exec *x)
{
	struct loop *l = x->config.loop;
	int r = loop_add(l, &x->io[END_OUT].source, x->io[END_OUT].fd, EPOLLIN, on_out);
	if (!r)
		r = loop_add(l, &x->io[END_ERR].source, x->io[END_ERR].fd, EPOLLIN, on_err);
	if (r || x->io[END_IN].fd < 0)
		return r;
	if (write_some(x))
		io_close(x, END_IN);
	else
		r = loop_add(l, &x->io[END_IN].source, x->io[END_IN].fd, EPOLLOUT, on_in);
	return r;
}

static void start_failed(struct exec *x, const char *program, int error, uint64_t now_ms)
{
	char why[256];
	tier_say_cannot_run(why, sizeof(why), program, error);
	if (spawn_errno_is_tasks(error))
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, why, now_ms);
	else if (brings_command(x) && !spawn_errno_is_machines(error))
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_FAILED, error == ENOENT ? 127 : 126, why, now_ms);
	else
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_BROKEN, error == ENOENT ? 127 : 126, why, now_ms);
}

static void spawn_task(struct exec *x, uint64_t now_ms)
{
	_cleanup_(exec_plan_fini) struct exec_plan p;
	char why[256];
	pid_t pid;
	int error, r = exec_plan_make(&p, x->config.pool, &x->workdir, x->task);
	x->private_directory = p.private_directory;
	x->payload_written = p.payload_written;
	for (int i = 0; i < 3; i++)
		x->io[i].fd = steal_fd(&p.ours[i]);
	if (!r)
		r = watch(x);
	if (!r) {
		const struct spawn s = {
			.argv = p.argv,
			.envp = p.env.all,
			.stdio = { p.theirs[0], p.theirs[1], p.theirs[2] },
			.directory = p.directory,
			.no_new_privs = x->config.pool->no_new_privs,
		};
		fault_point("worker.before_exec");
		r = spawn_process(&s, &pid, &error);
		fault_point("worker.after_exec");
	}
	if (r > 0) {
		start_failed(x, p.argv[0], error, now_ms);
	} else if (r < 0) {
		snprintf(why, sizeof(why), "cannot %s: %s", p.doing, strerror(-r));
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_BROKEN, 0, why, now_ms);
	} else {
		sweeper_begin(&x->sweeper, pid);
		x->counters.started++;
	}
}

static void exec_start(void *self, struct task *t, uint64_t now_ms)
{
	struct exec *x = self;
	uint64_t max = t->output_max < x->config.output_max ? t->output_max : x->config.output_max;
	x->task = t;
	x->private_directory = x->payload_written = false;
	x->written = 0;
	attempt_start(&t->attempt, now_ms);
	t->started_us = clock_mono_us();
	t->started_wall_ms = clock_wall_ms();
	if (!t->attempt.grace_ms)
		t->attempt.grace_ms = x->config.pool->grace_ms ? x->config.pool->grace_ms : GRACE_DEFAULT_MS;
	capture_init(&x->out, max);
	tail_clear(&x->err);
	if (brings_command(x) && !t->n_argv)
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, "neither the pool nor the task names a command", now_ms);
	else if (!brings_command(x) && t->n_argv)
		finish_unstarted(x, TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, "the task brings a command, but its pool runs its own", now_ms);
	else
		spawn_task(x, now_ms);
}

/* --- the tier --- */

static uint32_t exec_slots(const void *self)
{
	return 1;
}

static const char *exec_broken(const void *self)
{
	const struct exec *x = self;
	return *x->broken ? x->broken : NULL;
}

static uint32_t exec_room(const void *self)
{
	const struct exec *x = self;
	return !x->task && !x->quitting && !*x->broken;
}

static void exec_flush(void *self, uint64_t now_ms)
{
}

static void exec_stop(void *self, struct task *t, enum stop_why why, uint64_t grace_ms, uint64_t now_ms)
{
	struct exec *x = self;
	if (t == x->task)
		act(x, attempt_stop(&t->attempt, why, grace_ms, now_ms));
}

static void exec_quit(void *self, uint64_t now_ms)
{
	struct exec *x = self;
	x->quitting = true;
}

static void exec_quit_now(void *self, uint64_t grace_ms, uint64_t now_ms)
{
	struct exec *x = self;
	x->quitting = true;
	if (x->task)
		act(x, attempt_stop(&x->task->attempt, STOP_NODE, grace_ms, now_ms));
}

static bool exec_idle(const void *self)
{
	const struct exec *x = self;
	return !x->task;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t exec_tick(void *self, uint64_t now_ms)
{
	struct exec *x = self;
	uint64_t next_ms = TIME_NEVER;
	if (x->sweeper.at_ms <= now_ms)
		sweep(x, now_ms);
	if (x->task)
		act(x, attempt_tick(&x->task->attempt, now_ms));
	if (x->task)
		next_ms = earlier(x->sweeper.at_ms, x->task->attempt.due_at_ms);
	if (*x->broken && now_ms >= x->broken_until_ms) {
		x->broken[0] = '\0'; /* the next task is the probe; n_broken remembers */
		x->config.host.changed(x->config.host.ctx);
	}
	if (*x->broken)
		next_ms = earlier(next_ms, x->broken_until_ms);
	if (workdir_clean(&x->workdir, CLEAN_SLICE))
		next_ms = earlier(next_ms, now_ms + 1);
	return next_ms;
}

static const struct tier_counters *exec_counters(const void *self)
{
	const struct exec *x = self;
	return &x->counters;
}

static void exec_close(void *self)
{
	struct exec *x = self;
	if (x->task) {
		family_kill();
		for (int i = 0; i < 3; i++)
			io_close(x, (enum end)i);
		x->task = NULL;
	}
	child_watch_close(&x->children);
	workdir_close(&x->workdir);
	oom_close(&x->oom);
	capture_fini(&x->out);
	tail_fini(&x->err);
	free(x);
}

static const struct tier_ops exec_ops = {
	.slots = exec_slots,
	.room = exec_room,
	.broken = exec_broken,
	.start = exec_start,
	.flush = exec_flush,
	.stop = exec_stop,
	.quit = exec_quit,
	.quit_now = exec_quit_now,
	.idle = exec_idle,
	.tick = exec_tick,
	.counters = exec_counters,
	.close = exec_close,
};

int exec_open(const struct tier_config *c, struct tier *ret, struct error *e)
{
	struct exec *x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->config = *c;
	x->sweeper = (struct sweeper){ .at_ms = TIME_NEVER, .counters = &x->counters };
	for (int i = 0; i < 3; i++)
		x->io[i].fd = -1;
	oom_open(&x->oom);
	int r = workdir_open(&x->workdir, c->state_dir, e);
	if (!r)
		r = tail_init(&x->err, tier_stderr_tail(c->pool));
	if (!r)
		r = child_watch_open(&x->children, c->loop, on_children, x);
	if (r) {
		exec_close(x);
		return r;
	}
	*ret = (struct tier){ &exec_ops, x };
	return 0;
}
