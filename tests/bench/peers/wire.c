#include "tests/bench/peers/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/bench/bench.h"

#define WIRES_MAX 4u
#define PIECE (256u << 10)

void wire_open(struct wire *w, const struct server *s)
{
	*w = (struct wire){ .fd = server_connect(s) };
}

static void room(char **data, size_t *size, size_t wanted)
{
	if (wanted <= *size)
		return;
	*size = wanted * 2;
	MUST(*data = realloc(*data, *size));
}

void wire_put(struct wire *w, const void *data, size_t len)
{
	room(&w->out, &w->room_out, w->n_out + len);
	memcpy(w->out + w->n_out, data, len);
	w->n_out += len;
}

void wire_say(struct wire *w, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	MUST(n >= 0 && (size_t)n < sizeof(text));
	wire_put(w, text, (size_t)n);
}

static void sends(struct wire *w)
{
	ssize_t n = w->n_out ? send(w->fd, w->out, w->n_out, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	MUST(n >= 0 || errno == EAGAIN || errno == EINTR);
	if (n > 0) {
		w->n_out -= (size_t)n;
		memmove(w->out, w->out + n, w->n_out);
	}
}

static bool receives(struct wire *w)
{
	room(&w->in, &w->room_in, w->n_in + PIECE);
	ssize_t n = recv(w->fd, w->in + w->n_in, w->room_in - w->n_in, MSG_DONTWAIT);
	MUST(n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	w->n_in += n > 0 ? (size_t)n : 0;
	return n > 0;
}

void wires_turn(struct wire *const *all, size_t n, int fd)
{
	struct pollfd p[WIRES_MAX + 1];
	MUST(n <= WIRES_MAX);
	for (bool came = false; !came;) {
		for (size_t i = 0; i < n; i++) {
			sends(all[i]);
			p[i] = (struct pollfd){ .fd = all[i]->fd, .events = (short)(POLLIN | (all[i]->n_out ? POLLOUT : 0)) };
		}
		p[n] = (struct pollfd){ .fd = fd, .events = POLLIN };
		MUST(poll(p, n + 1, -1) >= 0 || errno == EINTR);
		came = p[n].revents & POLLIN;
		for (size_t i = 0; i < n; i++)
			if (p[i].revents & (POLLIN | POLLHUP | POLLERR))
				came |= receives(all[i]);
	}
}

void wire_consume(struct wire *w, size_t len)
{
	MUST(len <= w->n_in);
	w->n_in -= len;
	memmove(w->in, w->in + len, w->n_in);
}

size_t wire_line(const struct wire *w, size_t from)
{
	const char *end = w->n_in > from ? memchr(w->in + from, '\n', w->n_in - from) : NULL;
	return end ? (size_t)(end + 1 - (w->in + from)) : 0;
}

void wire_produce(const struct server *s, struct flow *f, unsigned index, void (*submit)(struct wire *w, const char *payload), size_t (*accepted)(struct wire *w))
{
	struct wire w;
	char payload[FLOW_PAYLOAD];
	wire_open(&w, s);
	for (uint64_t number = 0;;) {
		for (uint64_t n = flow_take(f, index, false); n > 0; n--) {
			flow_payload(index, ++number, payload);
			submit(&w, payload);
		}
		wires_turn((struct wire *const[]){ &w }, 1, flow_fd(f, index));
		size_t n = accepted(&w);
		if (n)
			flow_accept(f, index, n, false);
	}
}
