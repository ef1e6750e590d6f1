/* What foreign programs say by sd_notify(3): a datagram socket for each child with ready = notify. The kernel tells who has sent a message; only the child's own user is
 * listened to. READY, STATUS, WATCHDOG, WATCHDOG_USEC, EXTEND_TIMEOUT_USEC, STOPPING and barriers are understood, the rest is passed over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "supervisor/node.h"

#define MESSAGE_MAX 4096u
#define MESSAGES_A_ROUND 32u
#define FDS_MAX 16u

int heard_open(const struct node *n, uint64_t incarnation, char *ret_name, size_t size)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int on = 1, len = snprintf(ret_name, size, "@troupe/%.16s/%" PRIu64, n->id, incarnation);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	memcpy(a.sun_path + 1, ret_name + 1, (size_t)len - 1); /* an abstract name: no file, whoever the child's user is */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
	    bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)) != 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void ready(struct process *p)
{
	step(p->node, &(struct event){ .kind = EVENT_READY, .now_ms = loop_now_ms(p->node->loop), .child = p->child, .incarnation = p->incarnation });
}

static void extend(struct process *p, uint64_t within_ms)
{
	uint64_t now_ms = loop_now_ms(p->node->loop);
	if (p->watchdog_ms && p->beat_by_ms < now_ms + within_ms)
		p->beat_by_ms = now_ms + within_ms;
	step(p->node, &(struct event){ .kind = EVENT_EXTEND, .now_ms = now_ms, .child = p->child, .incarnation = p->incarnation, .within_ms = within_ms });
}

static void on_line(struct process *p, const char *line)
{
	struct error e = { 0 };
	uint64_t us;
	const char *value = strchr(line, '=');
	size_t len = value ? (size_t)(value - line) : 0;
	if (!value)
		return;
	value++;
	if (strcmp(line, "READY=1") == 0) {
		ready(p);
	} else if (len == 6 && memcmp(line, "STATUS", 6) == 0) {
		snprintf(p->note, sizeof p->note, "%s", value);
		utf8_clean(p->note);
	} else if (strcmp(line, "WATCHDOG=1") == 0) {
		p->beat_by_ms = loop_now_ms(p->node->loop) + p->watchdog_ms;
	} else if (strcmp(line, "WATCHDOG=trigger") == 0) {
		watch_hung(p, REASON_WATCHDOG, "it asked for it");
	} else if (len == 13 && memcmp(line, "WATCHDOG_USEC", 13) == 0 && parse_number(value, 1000, 86400000000ull, &us, &e) == 0) {
		heard_watch(p, us / 1000);
	} else if (len == 19 && memcmp(line, "EXTEND_TIMEOUT_USEC", 19) == 0 && parse_number(value, 1, 86400000000ull, &us, &e) == 0) {
		extend(p, us / 1000);
	}
}

/* One message; false: there is none. */
static bool hear(struct process *p)
{
	char text[MESSAGE_MAX + 1];
	union { struct cmsghdr align; char room[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))]; } control;
	struct iovec io = { text, MESSAGE_MAX };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room };
	ssize_t n = recvmsg(p->heard.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return false;
	bool ours = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct ucred who;
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&who, CMSG_DATA(c), sizeof who);
			ours = who.uid == p->uid;
		}
		for (size_t at = 0; c->cmsg_type == SCM_RIGHTS && CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
			close(fd); /* which is the answer to a barrier */
		}
	}
	if (!ours) {
		log_warn("somebody else spoke on a child's notify socket", LOG_S("child", p->child->name));
		return true;
	}
	text[n] = 0;
	for (char *at = text, *line; (line = strsep(&at, "\n")) && p->pid > 0;)
		on_line(p, line);
	return true;
}

void heard_ready(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, heard);
	for (unsigned i = 0; i < MESSAGES_A_ROUND && p->heard.fd >= 0 && hear(p); i++) {
	}
}

void heard_watch(struct process *p, uint64_t watchdog_ms)
{
	p->node->n_watched += (watchdog_ms != 0) - (p->watchdog_ms != 0);
	p->watchdog_ms = watchdog_ms;
	p->beat_by_ms = loop_now_ms(p->node->loop) + watchdog_ms;
}

/* Returns when somebody's time is over next. */
uint64_t heard_look(struct node *n, uint64_t now_ms)
{
	uint64_t next_ms = TIME_NEVER, late_ms = loop_lateness_ms(n->loop);
	for (struct process *p = n->n_watched ? n->processes : NULL; p; p = p->next) {
		if (!p->watchdog_ms || p->pid <= 0 || p->child->state != CHILD_UP || p->child->incarnation != p->incarnation)
			continue;
		if (p->beat_by_ms < p->child->up_at_ms + p->watchdog_ms) /* it counts from READY */
			p->beat_by_ms = p->child->up_at_ms + p->watchdog_ms;
		if (now_ms >= p->beat_by_ms + late_ms)
			watch_hung(p, REASON_WATCHDOG, "no WATCHDOG=1");
		else if (p->beat_by_ms < next_ms)
			next_ms = p->beat_by_ms;
	}
	return next_ms;
}
