/* Pidfds: the kernel says when a process has ended that is not our child. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "actors/coordinator/outside.h"
#include "common/actor/actor.h"
#include "common/base/cleanup.h"
#include "common/base/log.h"

struct sight { struct loop_source source; int fd; uint64_t number; struct eye *eye; struct sight *next; };
struct eye { struct outside_eye ops; struct actor *actor; struct sight *all; };

static void sight_free(struct sight *s)
{
	for (struct sight **at = &s->eye->all; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	loop_remove(&s->source);
	close(s->fd);
	free(s);
}

/* Field 22. The name in field 2 may hold anything, also brackets: what counts is behind the last one. */
static uint64_t eye_started(void *ctx, pid_t pid)
{
	char path[48], text[1024];
	unsigned long long start;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *at = strrchr(text, ')');
	return at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start) == 1 ? start : 0;
}

static void on_end(struct loop_source *source, uint32_t events)
{
	struct sight *s = container_of(source, struct sight, source);
	if (actor_post(s->eye->actor, outside_ended, (void *)(uintptr_t)s->number))
		log_error("no memory to say that a process has ended: its heartbeat will", LOG_U("number", s->number));
	sight_free(s);
}

static int eye_watch(void *ctx, uint64_t number, pid_t pid, uint64_t start)
{
	struct eye *e = ctx;
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? ERROR_NOT_FOUND : -errno;
	/* The number may be another's by now; what the pidfd holds cannot change any more. */
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if ((start && eye_started(ctx, pid) != start) || poll(&p, 1, 0) > 0)
		return ERROR_NOT_FOUND;
	struct sight *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	int r = loop_add(actor_loop(e->actor), &s->source, fd, EPOLLIN, on_end);
	if (r) {
		free(s);
		return r;
	}
	s->fd = steal_fd(&fd);
	s->number = number;
	s->eye = e;
	s->next = e->all;
	e->all = s;
	return 0;
}

static void eye_forget(void *ctx, uint64_t number)
{
	struct eye *e = ctx;
	for (struct sight *s = e->all, *next; s; s = next) {
		next = s->next;
		if (s->number == number)
			sight_free(s);
	}
}

static void eye_close(void *ctx)
{
	struct eye *e = ctx;
	while (e->all)
		sight_free(e->all);
	free(e);
}

const struct outside_eye *outside_eye_open(struct actor *a)
{
	struct eye *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->actor = a;
	e->ops = (struct outside_eye){ .ctx = e, .started = eye_started, .watch = eye_watch, .forget = eye_forget, .close = eye_close };
	return &e->ops;
}
