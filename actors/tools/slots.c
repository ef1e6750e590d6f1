/* One process for each task, several at a time. Each leads a session of its own; when it ends, what is left of its process group is killed before anybody
 * hears of the outcome. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "actors/tools/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/work/capture.h"
#include "common/work/environment.h"
#include "common/work/spawn.h"

#define PAYLOAD_FILE_ABOVE (64u * 1024)
#define READ_SIZE (64u * 1024)
#define READS_A_ROUND 16u
#define READS_AT_THE_END 64u
#define BROKEN_FIRST_MS 1000u

enum end { END_IN, END_OUT, END_ERR };

struct slot {
	struct slots *all;
	struct task *task;       /* NULL: free */
	pid_t pid;
	struct { struct loop_source source; int fd; } io[3];
	int payload;             /* a memory file; -1: none */
	size_t written;
	struct capture out;
	struct tail err;
};
struct slots {
	struct tier_config config;
	struct child_watch children;
	struct tier_counters counters;
	struct slot *slot;
	uint32_t n, busy;
	bool quitting;
	char broken[256];
	unsigned n_broken;       /* in a row */
	uint64_t broken_until_ms;
};

static void changed(struct slots *x) { x->config.host.changed(x->config.host.ctx); }

static void io_close(struct slot *s, enum end end) { tier_source_close(&s->io[end].source, &s->io[end].fd); }

/* --- over --- */

static void finish(struct slot *s)
{
	struct slots *x = s->all;
	struct task *t = steal(&s->task);
	for (int i = 0; i < 3; i++)
		io_close(s, (enum end)i);
	closep(&s->payload);
	s->payload = -1;
	t->output = capture_steal(&s->out, &t->output_len);
	t->truncated = s->out.truncated;
	t->stderr_tail = tail_copy(&s->err, &t->stderr_len);
	t->run_us = clock_mono_us() - t->started_us;
	x->busy--;
	x->config.host.ended(x->config.host.ctx, t);
	changed(x);
}

/* The command or the machine, not the task: no more tasks for a while. */
static void break_down(struct slots *x, const char *why, uint64_t now_ms)
{
	snprintf(x->broken, sizeof x->broken, "%s", why);
	x->broken_until_ms = now_ms + tier_backoff_ms(++x->n_broken, BROKEN_FIRST_MS);
}

static void finish_unstarted(struct slot *s, Troupe__ExitClass exit_class, int code, const char *why, uint64_t now_ms)
{
	struct task *t = s->task;
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt);
	t->exit_class = exit_class;
	t->exit_code = code;
	snprintf(t->error, sizeof t->error, "%s", why);
	if (exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN)
		break_down(s->all, why, now_ms);
	finish(s);
}

/* --- stdin, stdout, stderr --- */

/* false at its end. */
static bool read_some(struct slot *s, enum end end, unsigned rounds)
{
	static uint8_t data[READ_SIZE];
	while (rounds--) {
		ssize_t n = read(s->io[end].fd, data, sizeof data);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		if (end == END_OUT) {
			if (capture_add(&s->out, data, (size_t)n))
				s->out.truncated = true; /* no memory for it */
			continue;
		}
		tail_add(&s->err, data, (size_t)n);
		(void)!write(STDERR_FILENO, data, (size_t)n); /* who reads it may have gone */
	}
	return true;
}

static void on_out(struct loop_source *source, uint32_t events)
{
	struct slot *s = container_of(source, struct slot, io[END_OUT].source);
	if (!read_some(s, END_OUT, READS_A_ROUND))
		io_close(s, END_OUT);
}

static void on_err(struct loop_source *source, uint32_t events)
{
	struct slot *s = container_of(source, struct slot, io[END_ERR].source);
	if (!read_some(s, END_ERR, READS_A_ROUND))
		io_close(s, END_ERR);
}

/* true when all is written, or nobody reads. */
static bool write_some(struct slot *s)
{
	while (s->written < s->task->payload_len) {
		ssize_t n = write(s->io[END_IN].fd, s->task->payload + s->written, s->task->payload_len - s->written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno != EAGAIN;
		s->written += (size_t)n;
	}
	return true;
}

static void on_in(struct loop_source *source, uint32_t events)
{
	struct slot *s = container_of(source, struct slot, io[END_IN].source);
	if (write_some(s))
		io_close(s, END_IN);
}

/* --- the end --- */

static void read_usage(struct task *t, const struct rusage *ru)
{
	t->usage.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000 + (uint64_t)ru->ru_utime.tv_usec;
	t->usage.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000 + (uint64_t)ru->ru_stime.tv_usec;
	t->usage.max_rss_kib = (uint64_t)ru->ru_maxrss;
	t->usage.minor_faults = (uint64_t)ru->ru_minflt;
	t->usage.major_faults = (uint64_t)ru->ru_majflt;
}

static void add_last_words(const struct slot *s, struct task *t)
{
	char last[160];
	tail_last_line(&s->err, last, sizeof last);
	size_t n = strlen(t->error);
	if (*last && n && n < sizeof t->error - 4)
		snprintf(t->error + n, sizeof t->error - n, ": %s", last);
}

static void on_ended(struct slot *s, int status, const struct rusage *usage)
{
	struct slots *x = s->all;
	struct task *t = s->task;
	const struct exit_facts f = { .status = status, .why = t->attempt.why, .answered = true };
	struct exit_verdict v = exit_judge(&f);
	s->pid = 0;
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt);
	for (int end = END_OUT; end <= END_ERR; end++)
		if (s->io[end].fd >= 0)
			read_some(s, (enum end)end, READS_AT_THE_END);
	task_judge(t, &v);
	read_usage(t, usage);
	if (t->exit_class != TROUPE__EXIT_CLASS__EXIT_DONE && t->attempt.why == STOP_NOT)
		add_last_words(s, t);
	if (t->exit_class == TROUPE__EXIT_CLASS__EXIT_BROKEN) {
		break_down(x, t->error, loop_now_ms(x->config.loop));
	} else {
		x->n_broken = 0;
		x->broken[0] = '\0';
	}
	finish(s);
}

static void on_children(void *ctx)
{
	struct slots *x = ctx;
	for (uint32_t i = 0; i < x->n; i++) {
		struct slot *s = &x->slot[i];
		siginfo_t si = { 0 };
		struct rusage usage;
		int status;
		if (!s->pid || waitid(P_PID, (id_t)s->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid != s->pid)
			continue;
		kill(-s->pid, SIGKILL); /* until it is reaped its number is that of its group */
		if (wait4(s->pid, &status, 0, &usage) == s->pid)
			on_ended(s, status, &usage);
	}
}

static void act(struct slot *s, enum attempt_action action)
{
	switch (action) {
	case ATTEMPT_ASK:
		kill(-s->pid, SIGTERM);
		kill(-s->pid, SIGCONT); /* a stopped process acts on TERM only when it goes on */
		break;
	case ATTEMPT_KILL:
		kill(-s->pid, SIGKILL);
		break;
	case ATTEMPT_NOTHING:
	case ATTEMPT_SWEEP:
	case ATTEMPT_FINISH:
		return;
	}
	changed(s->all);
}

/* --- the beginning --- */

struct plan {
	int theirs[3];
	char payload[64];
	struct environment env;
};

static void plan_fini(struct plan *p)
{
	for (int i = 0; i < 3; i++)
		closep(&p->theirs[i]);
	environment_fini(&p->env);
}

/* Its stdin, where that is a file already; or a file beside the pipe, where it is large. Both go with us, whatever ends us. */
static int plan_payload(struct slot *s, struct plan *p)
{
	const struct task *t = s->task;
	if (t->payload_file) {
		snprintf(p->payload, sizeof p->payload, "%s", t->payload_file);
		p->theirs[0] = open(t->payload_file, O_RDONLY | O_CLOEXEC);
		return p->theirs[0] < 0 ? -errno : tier_lift(&p->theirs[0]);
	}
	if (t->payload_len <= PAYLOAD_FILE_ABOVE)
		return 0;
	s->payload = memfd_create("payload", MFD_CLOEXEC);
	if (s->payload < 0)
		return -errno;
	for (size_t at = 0; at < t->payload_len;) {
		ssize_t n = write(s->payload, t->payload + at, t->payload_len - at);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	snprintf(p->payload, sizeof p->payload, "/proc/%d/fd/%d", (int)getpid(), s->payload);
	return 0;
}

static int plan_pipes(struct slot *s, struct plan *p)
{
	static void (*const ready[])(struct loop_source *, uint32_t) = { NULL, on_out, on_err };
	int r = 0;
	for (int i = 0; i < 3 && !r; i++) {
		int ends[2], ours = i == END_IN ? 1 : 0;
		if (p->theirs[i] >= 0)
			continue;
		if ((r = tier_pipe(ends, ours)))
			break;
		s->io[i].fd = ends[ours];
		p->theirs[i] = ends[1 - ours];
		if (ready[i])
			r = loop_add(s->all->config.loop, &s->io[i].source, s->io[i].fd, EPOLLIN, ready[i]);
	}
	/* A payload that the pipe takes as a whole is in it before the program is there. */
	if (!r && s->io[END_IN].fd >= 0 && write_some(s))
		io_close(s, END_IN);
	else if (!r && s->io[END_IN].fd >= 0)
		r = loop_add(s->all->config.loop, &s->io[END_IN].source, s->io[END_IN].fd, EPOLLOUT, on_in);
	return r;
}

static int plan_make(struct slot *s, struct plan *p)
{
	*p = (struct plan){ .theirs = { -1, -1, -1 } };
	int r = plan_payload(s, p);
	if (!r)
		r = environment_base(&p->env, s->all->config.pool);
	if (!r)
		r = environment_task(&p->env, s->task, *p->payload ? p->payload : NULL);
	return r ? r : plan_pipes(s, p);
}

static void spawn(struct slot *s, char *const *argv, uint64_t now_ms)
{
	_cleanup_(plan_fini) struct plan p;
	char why[256];
	int error = 0, r = plan_make(s, &p);
	if (!r) {
		const struct spawn how = { .argv = argv, .envp = p.env.all, .stdio = { p.theirs[0], p.theirs[1], p.theirs[2] }, .directory = -1 };
		r = spawn_process(&how, &s->pid, &error);
	}
	if (!r) {
		s->all->counters.started++;
		return;
	}
	tier_say_cannot_run(why, sizeof why, argv[0], r < 0 ? -r : error);
	if (r > 0 && spawn_errno_is_tasks(error))
		finish_unstarted(s, TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, why, now_ms);
	else
		finish_unstarted(s, TROUPE__EXIT_CLASS__EXIT_BROKEN, r < 0 ? 0 : error == ENOENT ? 127 : 126, why, now_ms);
}

/* --- the tier --- */

static uint32_t slots_slots(const void *self) { return ((const struct slots *)self)->n; }

static const char *slots_broken(const void *self)
{
	const struct slots *x = self;
	return *x->broken ? x->broken : NULL;
}

static uint32_t slots_room(const void *self)
{
	const struct slots *x = self;
	return x->quitting || *x->broken ? 0 : x->n - x->busy;
}

static void slots_start(void *self, struct task *t, uint64_t now_ms)
{
	struct slots *x = self;
	struct slot *s = x->slot;
	while (s->task)
		s++;
	uint64_t max = t->output_max < x->config.output_max ? t->output_max : x->config.output_max;
	s->task = t;
	s->written = 0;
	x->busy++;
	attempt_start(&t->attempt, now_ms);
	t->started_us = clock_mono_us();
	t->started_wall_ms = clock_wall_ms();
	if (!t->attempt.grace_ms)
		t->attempt.grace_ms = x->config.pool->grace_ms;
	capture_init(&s->out, (size_t)max);
	tail_clear(&s->err);
	if (t->n_argv)
		finish_unstarted(s, TROUPE__EXIT_CLASS__EXIT_REJECTED, 0, "the task brings a command, but this worker runs its own", now_ms);
	else
		spawn(s, x->config.pool->command, now_ms);
}

static void slots_flush(void *self, uint64_t now_ms) {}

static void slots_stop(void *self, struct task *t, enum stop_why why, uint64_t grace_ms, uint64_t now_ms)
{
	struct slots *x = self;
	for (uint32_t i = 0; i < x->n; i++)
		if (x->slot[i].task == t)
			act(&x->slot[i], attempt_stop(&t->attempt, why, grace_ms, now_ms));
}

static void slots_quit(void *self, uint64_t now_ms) { ((struct slots *)self)->quitting = true; }

static void slots_quit_now(void *self, uint64_t grace_ms, uint64_t now_ms)
{
	struct slots *x = self;
	x->quitting = true;
	for (uint32_t i = 0; i < x->n; i++)
		if (x->slot[i].task)
			act(&x->slot[i], attempt_stop(&x->slot[i].task->attempt, STOP_NODE, grace_ms, now_ms));
}

static bool slots_idle(const void *self) { return !((const struct slots *)self)->busy; }

static uint64_t slots_tick(void *self, uint64_t now_ms)
{
	struct slots *x = self;
	uint64_t next_ms = TIME_NEVER;
	if (*x->broken && now_ms >= x->broken_until_ms) {
		x->broken[0] = '\0'; /* the next task is the probe; n_broken remembers */
		changed(x);
	}
	if (*x->broken)
		next_ms = x->broken_until_ms;
	for (uint32_t i = 0; i < x->n; i++) {
		struct slot *s = &x->slot[i];
		if (s->task)
			act(s, attempt_tick(&s->task->attempt, now_ms));
		if (s->task && s->task->attempt.due_at_ms < next_ms)
			next_ms = s->task->attempt.due_at_ms;
	}
	return next_ms;
}

static const struct tier_counters *slots_counters(const void *self) { return &((const struct slots *)self)->counters; }

static void slots_close(void *self)
{
	struct slots *x = self;
	for (uint32_t i = 0; i < x->n; i++) {
		struct slot *s = &x->slot[i];
		if (s->pid)
			kill(-s->pid, SIGKILL);
		for (int end = 0; end < 3; end++)
			io_close(s, (enum end)end);
		closep(&s->payload);
		capture_fini(&s->out);
		tail_fini(&s->err);
	}
	child_watch_close(&x->children);
	free(x->slot);
	free(x);
}

static const struct tier_ops slots_ops = {
	.slots = slots_slots,
	.room = slots_room,
	.broken = slots_broken,
	.start = slots_start,
	.flush = slots_flush,
	.stop = slots_stop,
	.quit = slots_quit,
	.quit_now = slots_quit_now,
	.idle = slots_idle,
	.tick = slots_tick,
	.counters = slots_counters,
	.close = slots_close,
};

int slots_open(const struct tier_config *c, uint32_t n, struct tier *ret)
{
	struct slots *x = calloc(1, sizeof *x);
	if (!x)
		return -ENOMEM;
	x->config = *c;
	int r = (x->slot = calloc(n, sizeof *x->slot)) ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++) {
		struct slot *s = &x->slot[x->n++];
		*s = (struct slot){ .all = x, .payload = -1, .io = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } } };
		r = tail_init(&s->err, tier_stderr_tail(c->pool));
	}
	if (!r)
		r = child_watch_open(&x->children, c->loop, on_children, x);
	if (r) {
		slots_close(x);
		return r;
	}
	*ret = (struct tier){ &slots_ops, x };
	return 0;
}
