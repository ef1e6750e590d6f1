/* The lines tier: one long-lived program that is given task after task.
 *
 *   DOWN ──start──> STARTING ──hello──> UP ──quit──> LEAVING
 *    ^                 │ no hello in time  │            │
 *    └──── swept ── ENDED <── the main process ends ────┘
 *
 * What was in the program when it ended gets an outcome by how it ended, but only after its family is proven empty. While it runs its helper processes
 * are its own business. It is started again at once, and after a delay when it goes on ending without having finished a task.
 *
 * Tasks are put together in one buffer and leave in one write; answers are cut out of what one read has brought. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/worker/capture.h"
#include "actors/worker/environment.h"
#include "actors/worker/lines.h"
#include "actors/worker/oom.h"
#include "actors/worker/says.h"
#include "actors/worker/spawn.h"
#include "actors/worker/tier.h"
#include "actors/worker/workdir.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/heap.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/io/status.h"

#define READ_SIZE (256u * 1024)
#define READS_A_ROUND 4
#define LINE_MAX_DEFAULT (1u << 20)
#define START_TIMEOUT_DEFAULT_MS 10000u
#define GRACE_DEFAULT_MS 5000u
#define RESTART_FIRST_MS 100u
#define STEADY_MS 60000u  /* a program that lived so long has not failed to start */
#define UNREAD_MAX (1u << 20)
#define ID_BUCKETS 1024
#define CLEAN_SLICE 256u

enum state { DOWN, STARTING, UP, LEAVING, ENDED };
enum end { END_IN, END_OUT, END_ERR };

struct program {
	struct tier_config config;
	struct child_watch children;
	struct workdir workdir;
	struct oom_watch oom;
	struct tier_counters counters;
	size_t line_max;

	enum state state;
	uint64_t due_at_ms;      /* DOWN: start; STARTING: hello; once it was asked to end: kill. TIME_NEVER: nothing */
	uint64_t up_at_ms;
	struct sweeper sweeper;
	enum stop_why why;       /* we ended it: what becomes of the tasks in it */
	uint32_t max;            /* of the last hello; 0: there was none */
	unsigned n_failures;     /* ends in a row without a task done */
	uint64_t n_done;         /* tasks of this start */
	bool quitting, mute;     /* mute: it closed its stdout */
	char broken[256];

	struct { struct loop_source source; int fd; } io[3];
	struct buffer in, out;   /* to its stdin, from its stdout */
	size_t looked_at;        /* of out: no newline before it */
	bool skipping;           /* the rest of a line that is too long */
	struct tail err;
	struct says says, stray; /* rate limits of the log */

	size_t n_tasks;
	struct task *by_id[ID_BUCKETS];
	struct heap due;         /* of tasks, by attempt.due_at_ms */
};

static void program_write(struct program *p);
static void program_kill(struct program *p, enum stop_why why);

static void changed(struct program *p)
{
	p->config.host.changed(p->config.host.ctx);
}

/* --- the tasks in it --- */

static struct task **id_bucket(struct program *p, const struct id *id)
{
	uint32_t h;
	memcpy(&h, id->b + sizeof(id->b) - sizeof(h), sizeof(h));
	return &p->by_id[(h ^ h >> 16) % ID_BUCKETS];
}

static struct task *task_find(struct program *p, const struct id *id)
{
	struct task *t = *id_bucket(p, id);
	while (t && !id_equal(&t->id, id))
		t = t->same_id;
	return t;
}

static bool due_less(const void *a, const void *b)
{
	return ((const struct task *)a)->attempt.due_at_ms < ((const struct task *)b)->attempt.due_at_ms;
}

static void due_place(void *item, size_t index)
{
	((struct task *)item)->due_index = index;
}

/* After attempt.due_at_ms changed. */
static void due_update(struct program *p, struct task *t)
{
	if (t->due_index != SIZE_MAX && t->attempt.due_at_ms == TIME_NEVER)
		heap_remove(&p->due, t->due_index);
	else if (t->due_index != SIZE_MAX)
		heap_fix(&p->due, t->due_index);
	else if (t->attempt.due_at_ms != TIME_NEVER && heap_push(&p->due, t))
		log_warn("no memory for a deadline: the task runs without one", LOG_S("task", t->id_text));
}

static void task_leaves(struct program *p, struct task *t)
{
	struct task **at = id_bucket(p, &t->id);
	while (*at != t)
		at = &(*at)->same_id;
	*at = t->same_id;
	t->same_id = NULL;
	if (t->due_index != SIZE_MAX)
		heap_remove(&p->due, t->due_index);
	p->n_tasks--;
	t->tier = NULL;
}

/* Its outcome is filled in. */
static void task_over(struct program *p, struct task *t)
{
	task_leaves(p, t);
	t->run_us = clock_mono_us() - t->started_us;
	fault_point("worker.after_exit");
	p->config.host.ended(p->config.host.ctx, t);
}

/* What was asked of the program itself overrides what it answers. */
static void task_answered(struct program *p, struct task *t, int code)
{
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt); /* the program's helpers are not the task's family: they live on */
	const struct exit_facts f = { .status = W_EXITCODE(code, 0), .why = t->attempt.why, .answered = true };
	struct exit_verdict v = exit_judge(&f);
	v.code = 0;
	task_judge(t, &v);
	p->n_done++;
	p->n_failures = 0;
}

static void on_done(struct program *p, struct task *t, const struct lines_message *m)
{
	uint64_t max = t->output_max < p->config.output_max ? t->output_max : p->config.output_max;
	size_t len = m->result_len > max ? (size_t)max : m->result_len;
	task_answered(p, t, 0);
	t->truncated = len < m->result_len;
	if (len && !(t->output = malloc(len))) {
		t->truncated = true;
		len = 0;
	}
	if (len)
		memcpy(t->output, m->result, len);
	t->output_len = len;
	task_over(p, t);
}

static void on_fail(struct program *p, struct task *t, const struct lines_message *m)
{
	task_answered(p, t, m->retry ? 1 : 100);
	if (t->attempt.why == STOP_NOT) {
		snprintf(t->error, sizeof(t->error), "%.255s", *m->text ? m->text : "the program said that it failed");
		utf8_clean(t->error);
		t->retry_after_ms = m->after_ms;
	}
	task_over(p, t);
}

static void on_progress(struct program *p, struct task *t, const struct lines_message *m)
{
	t->percent = m->percent;
	if (*m->text || t->note) {
		free(t->note);
		t->note = strdup(m->text);
	}
	p->config.host.progressed(p->config.host.ctx, t);
}

/* --- what it says --- */

static void stray(struct program *p, const char *line, size_t len, const char *why)
{
	p->counters.stray_lines++;
	uint64_t missed;
	if (!says_may(&p->stray, loop_now_ms(p->config.loop), &missed))
		return;
	char text[121];
	size_t n = len < sizeof(text) - 1 ? len : sizeof(text) - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = line[i] ? line[i] : ' ';
	text[n] = '\0';
	utf8_clean(text);
	log_warn("stray output of the program", LOG_S("line", text), LOG_S("why", why), LOG_U("not_shown", missed));
}

/* It cannot work with us. */
static void refuse(struct program *p, const char *why)
{
	snprintf(p->broken, sizeof(p->broken), "%s", why);
	log_error("the program is of no use", LOG_S("why", why));
	program_kill(p, STOP_NODE);
	changed(p);
}

static void on_hello(struct program *p, const struct lines_message *m)
{
	p->state = UP;
	p->max = m->max < STATUS_TOKENS ? m->max : STATUS_TOKENS; /* so that a crash report can name every task in work */
	p->due_at_ms = TIME_NEVER;
	p->up_at_ms = loop_now_ms(p->config.loop);
	p->broken[0] = '\0';
	log_debug("the program is up", LOG_U("max", m->max));
	changed(p);
}

static void on_message(struct program *p, struct task *t, const struct lines_message *m)
{
	switch (m->kind) {
	case LINES_DONE:
		on_done(p, t, m);
		return;
	case LINES_FAIL:
		on_fail(p, t, m);
		return;
	case LINES_PROGRESS:
		on_progress(p, t, m);
		return;
	case LINES_HELLO:
	case LINES_BEAT:
		return;
	}
}

static void on_line(struct program *p, char *line, size_t len)
{
	struct lines_message m;
	struct error e = { 0 };
	if (len && line[len - 1] == '\r')
		len--;
	if (!len)
		return;
	int r = lines_read(line, len, &m, &e);
	if (r == ERROR_VERSION && p->state == STARTING)
		refuse(p, e.text);
	else if (r)
		stray(p, line, len, e.text);
	else if (m.kind == LINES_HELLO && p->state == STARTING)
		on_hello(p, &m);
	else if (m.kind == LINES_HELLO)
		stray(p, line, len, "a second hello");
	else if (m.kind != LINES_BEAT) {
		struct task *t = task_find(p, &m.id);
		if (t)
			on_message(p, t, &m);
		else
			stray(p, line, len, "of a task that the program does not have");
	}
}

/* Every whole line that is in the buffer. */
static void cut_lines(struct program *p)
{
	struct buffer *b = &p->out;
	for (;;) {
		char *from = b->data + b->from, *at = memchr(from + p->looked_at, '\n', buffer_len(b) - p->looked_at);
		if (!at)
			break;
		size_t len = (size_t)(at - from);
		if (p->skipping)
			p->skipping = false;
		else
			on_line(p, from, len);
		buffer_take(b, len + 1);
		p->looked_at = 0;
		if (!buffer_len(b))
			return;
	}
	p->looked_at = buffer_len(b);
	if (p->looked_at <= p->line_max)
		return;
	if (!p->skipping)
		stray(p, b->data + b->from, p->looked_at, "a line that is too long");
	p->skipping = true;
	buffer_take(b, p->looked_at);
	p->looked_at = 0;
}

/* false at its end. */
static bool read_out(struct program *p, unsigned rounds)
{
	while (rounds--) {
		if (buffer_reserve(&p->out, READ_SIZE))
			return true; /* later, perhaps */
		ssize_t n = read(p->io[END_OUT].fd, p->out.data + p->out.to, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		p->out.to += (size_t)n;
		cut_lines(p);
		if (n < (ssize_t)READ_SIZE / 4)
			return true; /* that was all: another read would only say so */
	}
	return true;
}

static bool read_err(struct program *p, unsigned rounds)
{
	static uint8_t data[16 * 1024];
	while (rounds--) {
		ssize_t n = read(p->io[END_ERR].fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		tail_add(&p->err, data, (size_t)n);
		says_lines(&p->says, data, (size_t)n, loop_now_ms(p->config.loop));
	}
	return true;
}

static void io_close(struct program *p, enum end end)
{
	tier_source_close(&p->io[end].source, &p->io[end].fd);
}

static void on_out(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_OUT].source);
	if (p->io[END_OUT].fd < 0 || read_out(p, READS_A_ROUND))
		return;
	io_close(p, END_OUT);
	/* A program that can say nothing any more has ended as far as we are concerned; most have in fact, and the next signal says so. */
	p->mute = true;
	io_close(p, END_IN);
	if (p->sweeper.pid && p->due_at_ms == TIME_NEVER) {
		p->due_at_ms = loop_now_ms(p->config.loop) + (p->config.pool->grace_ms ? p->config.pool->grace_ms : GRACE_DEFAULT_MS);
		changed(p);
	}
	if (p->state == STARTING || p->state == UP)
		p->state = LEAVING;
}

static void on_err(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_ERR].source);
	if (!read_err(p, 16))
		io_close(p, END_ERR);
}

/* --- what it hears --- */

static void on_in(struct loop_source *s, uint32_t events)
{
	struct program *p = container_of(s, struct program, io[END_IN].source);
	if (events & (EPOLLERR | EPOLLHUP))
		io_close(p, END_IN); /* it reads no more: its end, or its tasks' timeouts, say the rest */
	else
		program_write(p);
}

static void program_write(struct program *p)
{
	int fd = p->io[END_IN].fd;
	while (fd >= 0 && buffer_len(&p->in)) {
		ssize_t n = write(fd, p->in.data + p->in.from, buffer_len(&p->in));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_modify(&p->io[END_IN].source, EPOLLOUT);
			return;
		}
		if (n < 0) {
			io_close(p, END_IN);
			return;
		}
		buffer_take(&p->in, (size_t)n);
	}
	if (fd < 0)
		return;
	if (p->quitting)
		io_close(p, END_IN);
	else if (p->io[END_IN].source.events) {
		loop_modify(&p->io[END_IN].source, 0);
		changed(p); /* there may be room again */
	}
}

/* --- its end --- */

static void program_kill(struct program *p, enum stop_why why)
{
	if (!p->sweeper.pid)
		return;
	if (p->why == STOP_NOT)
		p->why = why;
	p->state = LEAVING;
	p->due_at_ms = TIME_NEVER;
	family_kill();
}

static void task_ends(struct program *p, struct task *t, const struct exit_facts *facts, const char *last_words)
{
	struct exit_facts f = *facts;
	if (t->attempt.why != STOP_NOT)
		f.why = t->attempt.why;
	attempt_ended(&t->attempt);
	attempt_swept(&t->attempt);
	struct exit_verdict v = exit_judge(&f);
	task_judge(t, &v);
	size_t n = strlen(t->error);
	if (f.why == STOP_NOT && *last_words)
		snprintf(t->error + n, sizeof(t->error) - n, ": %s", last_words);
	t->stderr_tail = tail_copy(&p->err, &t->stderr_len);
	task_over(p, t);
}

static void tasks_end(struct program *p, const struct exit_facts *f)
{
	char last[120];
	tail_last_line(&p->err, last, sizeof(last));
	for (size_t i = 0; i < ID_BUCKETS; i++)
		while (p->by_id[i])
			task_ends(p, p->by_id[i], f, last);
}

static void restart_later(struct program *p, uint64_t now_ms)
{
	p->state = DOWN;
	p->due_at_ms = p->quitting ? TIME_NEVER : now_ms + tier_backoff_ms(p->n_failures ? p->n_failures - 1 : 0, RESTART_FIRST_MS);
	changed(p);
}

/* The family is proven empty. */
static void program_over(struct program *p, bool was_up, uint64_t now_ms)
{
	int status = p->sweeper.end.status;
	if (p->mute && p->why == STOP_NOT && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		status = W_EXITCODE(1, 0); /* it would not leave: our kill, but its failure */
	if (p->io[END_OUT].fd >= 0)
		read_out(p, 64);
	if (p->io[END_ERR].fd >= 0)
		read_err(p, 64);
	for (int i = 0; i < 3; i++)
		io_close(p, (enum end)i);

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
	tasks_end(p, &f);
	workdir_remove(&p->workdir, p->counters.program_starts);
	restart_later(p, now_ms);
}

static void sweep(struct program *p, uint64_t now_ms)
{
	enum sweeper_state state;
	while ((state = sweeper_round(&p->sweeper, now_ms)) == SWEEPER_ENDED) {
		p->state = ENDED;
		p->due_at_ms = TIME_NEVER;
	}
	if (state == SWEEPER_DONE)
		program_over(p, p->up_at_ms != 0, now_ms);
	else if (state == SWEEPER_BUSY)
		changed(p);
}

static void on_children(void *ctx)
{
	struct program *p = ctx;
	sweep(p, loop_now_ms(p->config.loop));
}

/* --- its beginning --- */

static int open_pipes(struct program *p, int theirs[static 3])
{
	static void (*const ready[])(struct loop_source *, uint32_t) = { on_in, on_out, on_err };
	for (int i = 0; i < 3; i++) {
		int ends[2], ours = i == END_IN ? 1 : 0;
		int r = tier_pipe(ends, ours);
		if (r)
			return r;
		p->io[i].fd = ends[ours];
		theirs[i] = ends[1 - ours];
		r = loop_add(p->config.loop, &p->io[i].source, p->io[i].fd, i == END_IN ? 0 : EPOLLIN, ready[i]);
		if (r)
			return r;
	}
	return 0;
}

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
		r = open_pipes(p, theirs);
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
	for (int i = 0; i < 3; i++)
		io_close(p, (enum end)i);
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
	p->in.from = p->in.to = p->out.from = p->out.to = p->looked_at = 0;
	p->skipping = p->mute = false;
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
	p->state = STARTING;
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
	return p->state == UP && !p->quitting && p->n_tasks < p->max ? p->max - (uint32_t)p->n_tasks : 0;
}

static const char *program_broken(const void *self)
{
	const struct program *p = self;
	return *p->broken ? p->broken : NULL;
}

static void program_task(void *self, struct task *t, uint64_t now_ms)
{
	struct program *p = self;
	struct task **bucket = id_bucket(p, &t->id);
	fault_point("worker.before_exec");
	attempt_start(&t->attempt, now_ms);
	t->started_us = clock_mono_us();
	t->started_wall_ms = clock_wall_ms();
	if (!t->attempt.grace_ms)
		t->attempt.grace_ms = p->config.pool->grace_ms ? p->config.pool->grace_ms : GRACE_DEFAULT_MS;
	t->tier = p;
	t->same_id = *bucket;
	*bucket = t;
	p->n_tasks++;
	due_update(p, t);

	const struct lines_task line = {
		.id = t->id_text,
		.token = t->token,
		.queue = t->queue,
		.content_type = t->content_type,
		.traceparent = t->traceparent,
		.payload = t->payload,
		.payload_len = t->payload_len,
		.attempt = t->attempt_number,
		.max_attempts = t->max_attempts,
		.deadline_ms = task_stopped_at_ms(t),
		.tags = t->tags,
		.n_tags = t->n_tags,
	};
	if (lines_write_task(&p->in, &line)) {
		attempt_ended(&t->attempt);
		attempt_swept(&t->attempt);
		t->exit_class = TROUPE__EXIT_CLASS__EXIT_LOST;
		snprintf(t->error, sizeof(t->error), "the worker had no memory for it");
		task_over(p, t);
		return;
	}
	p->counters.started++;
}

static void program_flush(void *self, uint64_t now_ms)
{
	struct program *p = self;
	program_write(p);
	fault_point("worker.after_exec");
}

static void act(struct program *p, struct task *t, enum attempt_action action)
{
	due_update(p, t);
	switch (action) {
	case ATTEMPT_ASK:
		if (p->io[END_IN].fd >= 0 && lines_write_cancel(&p->in, t->id_text) == 0)
			program_write(p);
		break;
	case ATTEMPT_KILL:
		program_kill(p, STOP_OTHERS);
		break;
	case ATTEMPT_NOTHING:
	case ATTEMPT_SWEEP:
	case ATTEMPT_FINISH:
		return;
	}
	changed(p);
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
	if (p->state == DOWN) {
		p->due_at_ms = TIME_NEVER;
		return;
	}
	lines_write_quit(&p->in);
	program_write(p);
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
	p->state = LEAVING;
	p->due_at_ms = now_ms + grace_ms;
	changed(p);
}

static bool program_idle(const void *self)
{
	const struct program *p = self;
	return !p->n_tasks && (!p->quitting || p->state == DOWN);
}

static void on_due(struct program *p, uint64_t now_ms)
{
	switch (p->state) {
	case DOWN:
		program_start(p, now_ms);
		return;
	case STARTING:
		refuse(p, "the program did not say hello in time");
		return;
	case UP:
	case LEAVING:
		program_kill(p, p->why);
		return;
	case ENDED:
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
	for (size_t i = 0; i < ID_BUCKETS; i++)
		while (p->by_id[i])
			task_leaves(p, p->by_id[i]);
	for (int i = 0; i < 3; i++)
		io_close(p, (enum end)i);
	child_watch_close(&p->children);
	workdir_close(&p->workdir);
	oom_close(&p->oom);
	buffer_fini(&p->in);
	buffer_fini(&p->out);
	tail_fini(&p->err);
	heap_fini(&p->due);
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

int program_open(const struct tier_config *c, struct tier *ret, struct error *e)
{
	if (!c->pool->n_command)
		return error_set(e, ERROR_CONFIG, "a pool of mode lines needs a command");
	struct program *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->config = *c;
	p->line_max = c->pool->line_max ? (size_t)c->pool->line_max : LINE_MAX_DEFAULT;
	p->due_at_ms = loop_now_ms(c->loop);
	p->sweeper = (struct sweeper){ .at_ms = TIME_NEVER, .counters = &p->counters };
	heap_init(&p->due, due_less, due_place);
	for (int i = 0; i < 3; i++)
		p->io[i].fd = -1;
	oom_open(&p->oom);
	int r = workdir_open(&p->workdir, c->state_dir, e);
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
