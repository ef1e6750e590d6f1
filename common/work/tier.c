#include "common/work/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define BACKOFF_CAP_MS 30000u
#define STDERR_TAIL 4096u
#define STDERR_TAIL_MAX (64u * 1024)
#define SWEEP_AGAIN_MS 10u
#define SWEEP_ALARM_MS 5000u

static void on_sigchld(struct loop_source *s, uint32_t events)
{
	struct child_watch *w = container_of(s, struct child_watch, source);
	struct signalfd_siginfo si[16];
	while (read(s->fd, si, sizeof(si)) > 0)
		;
	w->on_children(w->ctx);
}

int child_watch_open(struct child_watch *w, struct loop *l, void (*on_children)(void *ctx), void *ctx)
{
	sigset_t set;
	*w = (struct child_watch){ .on_children = on_children, .ctx = ctx };
	/* Ignored, children would vanish unreaped, and their status with them. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = loop_add(l, &w->source, fd, EPOLLIN, on_sigchld);
	if (r)
		close(fd);
	return r;
}

void child_watch_close(struct child_watch *w)
{
	int fd = w->source.loop ? w->source.fd : -1;
	tier_source_close(&w->source, &fd);
}

void sweeper_begin(struct sweeper *s, pid_t pid)
{
	*s = (struct sweeper){ .pid = pid, .at_ms = TIME_NEVER, .counters = s->counters };
}

enum sweeper_state sweeper_round(struct sweeper *s, uint64_t now_ms)
{
	struct family_end end;
	enum family_state state;
	while ((state = family_reap(&end)) == FAMILY_ENDED) {
		if (!s->pid || end.pid != s->pid) {
			s->counters->swept++;
			continue;
		}
		s->pid = 0;
		s->end = end;
		s->sweeping = true;
		s->from_ms = s->at_ms = now_ms;
		return SWEEPER_ENDED;
	}
	if (!s->sweeping)
		return SWEEPER_RUNS;
	if (state == FAMILY_EMPTY) {
		s->sweeping = false;
		s->at_ms = TIME_NEVER;
		return SWEEPER_DONE;
	}
	/* One that was forked while we looked sends no SIGCHLD before somebody kills it: so look again soon. */
	pid_t alive = family_kill();
	s->at_ms = now_ms + SWEEP_AGAIN_MS;
	if (alive && !s->told && now_ms - s->from_ms > SWEEP_ALARM_MS) {
		s->told = true;
		log_error("a process of an ended program does not die", LOG_I("pid", alive));
	}
	return SWEEPER_BUSY;
}

int tier_lift(int *fd)
{
	if (*fd > 2)
		return 0;
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		return -errno;
	close(*fd);
	*fd = high;
	return 0;
}

int tier_pipe(int ret_ends[static 2], int ours)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	int r = tier_lift(&ends[0]);
	if (!r)
		r = tier_lift(&ends[1]);
	if (!r && fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r) {
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	memcpy(ret_ends, ends, sizeof(ends));
	return 0;
}

void tier_source_close(struct loop_source *s, int *fd)
{
	loop_remove(s);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

size_t tier_stderr_tail(const Troupe__PoolSetup *pool)
{
	return !pool->stderr_tail ? STDERR_TAIL : pool->stderr_tail > STDERR_TAIL_MAX ? STDERR_TAIL_MAX : (size_t)pool->stderr_tail;
}

void tier_say_cannot_run(char *out, size_t size, const char *program, int error)
{
	snprintf(out, size, "cannot run %.100s: %s", program, error == ENOENT && !strchr(program, '/') ? "not found in PATH" : strerror(error));
}

uint64_t tier_backoff_ms(unsigned n, uint64_t first_ms)
{
	if (!n)
		return 0;
	uint64_t ms = n > 16 ? BACKOFF_CAP_MS : first_ms << (n - 1);
	return ms < BACKOFF_CAP_MS ? ms : BACKOFF_CAP_MS;
}
