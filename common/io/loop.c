#include "common/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define ROUND_EVENTS 32

struct loop {
	int epoll_fd;
	uint64_t now_ms;
	uint64_t woke_ms; /* when the last wait returned: what came in since has been waiting for us */
	uint64_t lateness_ms;
	bool stopped;
	int code;

	/* The round that is being dispatched; loop_remove takes its source out of it. */
	struct epoll_event events[ROUND_EVENTS];
	int n_events, at;

	struct loop_source signals;
	void (*on_signal)(void *ctx, const struct signalfd_siginfo *si);
	void *signal_ctx;
};

int loop_open(struct loop **ret)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		free(l);
		return -errno;
	}
	l->signals.fd = -1;
	l->now_ms = l->woke_ms = clock_mono_ms();
	*ret = l;
	return 0;
}

int loop_fd(const struct loop *l) { return l->epoll_fd; }

struct loop *loop_close(struct loop *l)
{
	if (!l)
		return NULL;
	assert(l->n_events == 0); /* not inside a dispatch */
	if (l->signals.loop) {
		loop_remove(&l->signals);
		close(l->signals.fd);
	}
	close(l->epoll_fd);
	free(l);
	return NULL;
}

int loop_add(struct loop *l, struct loop_source *s, int fd, uint32_t events, void (*ready)(struct loop_source *, uint32_t))
{
	assert(!s->loop);
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*s = (struct loop_source){ .fd = fd, .ready = ready, .events = events, .loop = l };
	return 0;
}

int loop_modify(struct loop_source *s, uint32_t events)
{
	assert(s->loop);
	if (s->events == events)
		return 0;
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		return -errno;
	s->events = events;
	return 0;
}

void loop_remove(struct loop_source *s)
{
	struct loop *l = s->loop;
	if (!l)
		return;
	/* Fails for an fd that was closed first: then a duplicate of it could go on reporting for a source that is no more. */
	int r = epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	assert(r == 0);
	(void)r;
	for (int i = l->at + 1; i < l->n_events; i++)
		if (l->events[i].data.ptr == s)
			l->events[i].data.ptr = NULL;
	s->loop = NULL;
}

static void on_signal_fd(struct loop_source *s, uint32_t events)
{
	struct loop *l = s->loop;
	struct signalfd_siginfo si;
	while (read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		l->on_signal(l->signal_ctx, &si);
}

int loop_signals(struct loop *l, const sigset_t *set, void (*on_signal)(void *ctx, const struct signalfd_siginfo *si), void *ctx)
{
	int r = pthread_sigmask(SIG_BLOCK, set, NULL);
	if (r)
		return -r;
	int fd = signalfd(l->signals.fd, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!l->signals.loop) {
		r = loop_add(l, &l->signals, fd, EPOLLIN, on_signal_fd);
		if (r) {
			close(fd);
			return r;
		}
	}
	l->on_signal = on_signal;
	l->signal_ctx = ctx;
	return 0;
}

static int wait_ms(uint64_t now_ms, uint64_t deadline_ms)
{
	if (deadline_ms == TIME_NEVER)
		return -1;
	if (deadline_ms <= now_ms)
		return 0;
	return deadline_ms - now_ms > INT_MAX ? INT_MAX : (int)(deadline_ms - now_ms);
}

int loop_once(struct loop *l, uint64_t deadline_ms)
{
	assert(l->n_events == 0);
	uint64_t begin_ms = clock_mono_ms();
	int n = epoll_wait(l->epoll_fd, l->events, ROUND_EVENTS, wait_ms(begin_ms, deadline_ms));
	if (n < 0 && errno != EINTR)
		return -errno;

	/* Away between the waits, and then back from this one later than asked. */
	uint64_t due_ms = deadline_ms > begin_ms ? deadline_ms : begin_ms, now_ms = clock_mono_ms();
	l->lateness_ms = begin_ms - l->woke_ms + (now_ms > due_ms ? now_ms - due_ms : 0);
	l->now_ms = l->woke_ms = now_ms;

	int dispatched = 0;
	l->n_events = n > 0 ? n : 0;
	for (l->at = 0; l->at < l->n_events; l->at++) {
		struct loop_source *s = l->events[l->at].data.ptr;
		if (!s)
			continue;
		s->ready(s, l->events[l->at].events);
		dispatched++;
	}
	l->n_events = 0;
	l->at = -1;
	return dispatched;
}

int loop_run(struct loop *l, uint64_t (*tick)(void *ctx, uint64_t now_ms), void *ctx)
{
	while (!l->stopped) {
		l->now_ms = clock_mono_ms();
		uint64_t deadline_ms = tick(ctx, l->now_ms);
		if (l->stopped)
			break;
		int r = loop_once(l, deadline_ms);
		if (r < 0)
			return r;
	}
	l->stopped = false;
	return l->code;
}

void loop_stop(struct loop *l, int code)
{
	l->stopped = true;
	l->code = code;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

uint64_t loop_lateness_ms(const struct loop *l)
{
	return l->lateness_ms;
}
