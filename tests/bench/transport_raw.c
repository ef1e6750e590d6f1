/* Unix stream sockets and epoll, by hand: the least that a transport of Frames can cost. Messages are unpacked by protobuf-c into an arena, unchecked. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/wire/arena.h"
#include "common/wire/codec.h"
#include "tests/bench/pipeline.h"

#define HEAD 9
#define RECEIVE (256u * 1024)
#define CONNS 64

struct conn {
	int fd;
	uint8_t *in;
	size_t have, room;
	struct frame_writer out;
	uint8_t *rest;           /* what the kernel did not take */
	size_t rest_at, rest_len, rest_room;
	uint32_t events;
};

static struct transport_events ev;
static int epoll_fd, listen_fd = -1;
static struct conn conns[CONNS];
static unsigned n_conns;
static struct arena *arena;

static void raw_open(const struct transport_events *events)
{
	ev = *events;
	MUST((epoll_fd = epoll_create1(0)) >= 0);
	MUST(arena = arena_new((size_t)1 << 30));
}

static struct conn *conn_add(int fd)
{
	MUST(n_conns < CONNS);
	struct conn *c = &conns[n_conns++];
	*c = (struct conn){ .fd = fd, .in = malloc(RECEIVE), .room = RECEIVE, .events = EPOLLIN };
	MUST(c->in);
	frame_writer_init(&c->out, HEAD);
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0);
	if (ev.up)
		ev.up(ev.ctx, c);
	return c;
}

static int unix_socket(const char *path, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(fd >= 0);
	return fd;
}

static void raw_listen(const char *path)
{
	struct sockaddr_un a;
	listen_fd = unix_socket(path, &a);
	MUST(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(listen_fd, 64) == 0);
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e) == 0);
}

static void raw_dial(const char *path)
{
	struct sockaddr_un a;
	int fd = unix_socket(path, &a);
	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	conn_add(fd);
}

static void conn_watch(struct conn *c, uint32_t events)
{
	if (c->events == events)
		return;
	c->events = events;
	struct epoll_event e = { .events = events, .data.ptr = c };
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e) == 0);
}

static void frames_take(struct conn *c)
{
	size_t at = 0, need = 0;
	while (c->have - at >= HEAD) {
		uint64_t len;
		memcpy(&len, c->in + at + 1, 8);
		need = HEAD + (size_t)__builtin_bswap64(len);
		if (c->have - at < need)
			break;
		Troupe__Frame *f = troupe__frame__unpack(arena_allocator(arena), need - HEAD, c->in + at + HEAD);
		MUST(f);
		ev.envelopes(ev.ctx, c, f->envelopes, f->n_envelopes);
		arena_reset(arena);
		at += need;
		need = 0;
	}
	memmove(c->in, c->in + at, c->have - at);
	c->have -= at;
	if (need > c->room)
		MUST(c->in = realloc(c->in, c->room = need));
}

/* The other end was killed: the measurement is over. */
static void gone(ssize_t n)
{
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		_exit(0);
	MUST(n >= 0 || errno == EAGAIN);
}

static void conn_write(struct conn *c, const uint8_t *data, size_t len)
{
	ssize_t n = 0;
	if (c->rest_len == c->rest_at) {
		c->rest_len = c->rest_at = 0;
		n = send(c->fd, data, len, MSG_NOSIGNAL);
		gone(n);
		if (n < 0)
			n = 0;
	}
	if ((size_t)n == len)
		return;
	size_t left = len - (size_t)n;
	if (c->rest_room - c->rest_len < left)
		MUST(c->rest = realloc(c->rest, c->rest_room = (c->rest_len + left) * 2));
	memcpy(c->rest + c->rest_len, data + n, left);
	c->rest_len += left;
	conn_watch(c, EPOLLIN | EPOLLOUT);
}

static void conn_writable(struct conn *c)
{
	ssize_t n = send(c->fd, c->rest + c->rest_at, c->rest_len - c->rest_at, MSG_NOSIGNAL);
	gone(n);
	if (n > 0)
		c->rest_at += (size_t)n;
	if (c->rest_at == c->rest_len)
		conn_watch(c, EPOLLIN);
}

static void raw_wait(void)
{
	struct epoll_event events[CONNS];
	int n = epoll_wait(epoll_fd, events, CONNS, -1);
	MUST(n >= 0 || errno == EINTR);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (!c) {
			int fd = accept(listen_fd, NULL, NULL);
			MUST(fd >= 0);
			conn_add(fd);
			continue;
		}
		if (events[i].events & EPOLLOUT)
			conn_writable(c);
		if (!(events[i].events & (EPOLLIN | EPOLLHUP)))
			continue;
		ssize_t r = read(c->fd, c->in + c->have, c->room - c->have);
		if (r == 0)
			_exit(0);
		gone(r);
		if (r > 0) {
			c->have += (size_t)r;
			frames_take(c);
		}
	}
}

static void raw_send(struct conn *c, const Troupe__Envelope *env)
{
	MUST(frame_add_envelope(&c->out, env) == 0);
}

static void raw_flush(void)
{
	for (unsigned i = 0; i < n_conns; i++) {
		struct conn *c = &conns[i];
		if (c->out.len == 0)
			continue;
		uint64_t len = __builtin_bswap64(c->out.len);
		c->out.data[0] = 1;
		memcpy(c->out.data + 1, &len, 8);
		conn_write(c, c->out.data, HEAD + c->out.len);
		frame_writer_reset(&c->out);
	}
}

const struct transport transport_raw = { "raw", raw_open, raw_listen, raw_dial, raw_wait, raw_send, raw_flush };
