#include "common/io/lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/base/cleanup.h"

#define QUEUE_PACKETS 256
#define QUEUE_BYTES (1024u * 1024)
#define SEND_BUFFER (256 * 1024) /* the largest packet is a little less than the socket's buffer */

struct lifeline_packet {
	struct lifeline_packet *next;
	int fd; /* owned, or -1 */
	size_t len;
	uint8_t data[];
};

int lifeline_pair(int ret_parent_child[2])
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		int size = SEND_BUFFER;
		socklen_t len = sizeof(size);
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, len) < 0 || getsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, &len) < 0 ||
		    size < (int)WIRE_CONTROL_MAX + 1024) {
			close(fds[0]);
			close(fds[1]);
			return -ENOBUFS; /* net.core.wmem_max is too small for us */
		}
	}
	ret_parent_child[0] = fds[0];
	ret_parent_child[1] = fds[1];
	return 0;
}

void lifeline_init(struct lifeline *l, int fd)
{
	*l = (struct lifeline){ .fd = fd };
	l->tail = &l->head;
}

static struct lifeline_packet *packet_free(struct lifeline_packet *p)
{
	closep(&p->fd);
	free(p);
	return NULL;
}

void lifeline_fini(struct lifeline *l)
{
	while (l->head) {
		struct lifeline_packet *p = l->head;
		l->head = p->next;
		packet_free(p);
	}
	closep(&l->fd);
	lifeline_init(l, -1);
}

/* 0, -EAGAIN when the socket is full, -EPIPE when the other end is gone, or what else the kernel says. */
static int packet_send(int fd, const uint8_t *data, size_t len, int pass_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (pass_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
		case ENOBUFS:
		case ENOMEM:
			return -EAGAIN;
		case EPIPE:
		case ECONNRESET: /* reported once where the other end left without reading all */
		case ECONNREFUSED:
		case ENOTCONN:
			return -EPIPE;
		default:
			return -errno;
		}
	}
}

static int packet_queue(struct lifeline *l, const uint8_t *data, size_t len, int pass_fd)
{
	if (l->queued >= QUEUE_PACKETS || l->queued_bytes + len > QUEUE_BYTES)
		return ERROR_BUSY;
	struct lifeline_packet *p = malloc(sizeof(*p) + len);
	if (!p)
		return -ENOMEM;
	*p = (struct lifeline_packet){ .fd = -1, .len = len };
	memcpy(p->data, data, len);
	if (pass_fd >= 0) {
		p->fd = fcntl(pass_fd, F_DUPFD_CLOEXEC, 0);
		if (p->fd < 0) {
			packet_free(p);
			return ERROR_BUSY;
		}
	}
	*l->tail = p;
	l->tail = &p->next;
	l->queued++;
	l->queued_bytes += len;
	return 0;
}

int lifeline_send(struct lifeline *l, const Troupe__Control *c, int pass_fd)
{
	if (l->fd < 0)
		return -EPIPE;
	size_t len = troupe__control__get_packed_size(c);
	if (len > WIRE_CONTROL_MAX)
		return ERROR_TOO_LARGE;
	uint8_t small[1024];
	_cleanup_(freep) uint8_t *large = NULL;
	uint8_t *data = small;
	if (len > sizeof(small)) {
		data = large = malloc(len);
		if (!large)
			return -ENOMEM;
	}
	troupe__control__pack(c, data);

	int r = lifeline_flush(l);
	if (r)
		return r;
	if (!l->head) {
		r = packet_send(l->fd, data, len, pass_fd);
		if (r != -EAGAIN)
			return r;
	}
	return packet_queue(l, data, len, pass_fd);
}

int lifeline_flush(struct lifeline *l)
{
	if (l->fd < 0)
		return -EPIPE;
	while (l->head) {
		struct lifeline_packet *p = l->head;
		int r = packet_send(l->fd, p->data, p->len, p->fd);
		if (r == -EAGAIN)
			return 0;
		if (r)
			return r;
		l->head = p->next;
		if (!l->head)
			l->tail = &l->head;
		l->queued--;
		l->queued_bytes -= p->len;
		packet_free(p);
	}
	return 0;
}

bool lifeline_wants_write(const struct lifeline *l)
{
	return l->head != NULL;
}

/* Keeps the first fd of a packet and closes the others: CMSG_SPACE rounds up, so two can arrive where one was asked for. */
static int fd_take(struct msghdr *m)
{
	int kept = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (kept < 0)
				kept = fd;
			else
				close(fd);
		}
	}
	return kept;
}

/* recvmsg returns 0 for an empty packet and for the end. It was the end if the other side has closed and nothing is left to read. */
static bool is_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };
	if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLRDHUP | POLLHUP)))
		return false;
	int left = 0;
	return ioctl(fd, FIONREAD, &left) < 0 || left == 0;
}

int lifeline_receive(struct lifeline *l, struct arena **ret_arena, Troupe__Control **ret, int *ret_fd, struct error *e)
{
	static uint8_t data[WIRE_CONTROL_MAX + 1]; /* one thread only, and too large for a stack */
	if (l->fd < 0)
		return -EPIPE;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m;
	ssize_t n;
	do {
		m = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* ECONNRESET: the other end left without reading all; it is reported once, and what that end had sent is still there. */
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EAGAIN ? error_set(e, ERROR_NOT_FOUND, "no packet is waiting") : -EPIPE;

	_cleanup_(closep) int fd = fd_take(&m);
	if (n == 0 && fd < 0 && is_end(l->fd))
		return -EPIPE;
	if (m.msg_flags & MSG_TRUNC || (size_t)n > WIRE_CONTROL_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "a lifeline packet of more than %u bytes", WIRE_CONTROL_MAX);
	int r = control_decode(data, (size_t)n, ret_arena, ret, e);
	if (r == ERROR_TOO_LARGE)
		return ERROR_BAD_REQUEST;
	if (r)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}
