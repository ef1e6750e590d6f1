#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "common/base/clock.h"
#include "common/io/channel_internal.h"

int error_set_nng(struct error *e, int rv, const char *what)
{
	if (rv & NNG_ESYSERR) {
		int system = rv & ~NNG_ESYSERR;
		error_set(e, ERROR_NOT_REACHABLE, "%s: %s", what, strerror(system));
		return -system;
	}
	switch ((enum nng_errno_enum)rv) {
	case NNG_EADDRINUSE:
		return error_set(e, ERROR_EXISTS, "%s: another process listens there", what);
	case NNG_EINVAL:
	case NNG_EADDRINVAL:
	case NNG_ENOTSUP:
	case NNG_EBADTYPE:
		return error_set(e, ERROR_BAD_REQUEST, "%s: no address to listen at or to connect to (%s)", what, nng_strerror(rv));
	case NNG_EPERM:
		error_set(e, ERROR_NOT_ALLOWED, "%s: %s", what, nng_strerror(rv));
		return -EACCES;
	case NNG_ENOMEM:
		return -ENOMEM;
	case NNG_ENOFILES:
		return -EMFILE;
	default: /* nng's numbers, not ours */
		return error_set(e, ERROR_NOT_REACHABLE, "%s: %s", what, nng_strerror(rv));
	}
}

/* --- the beginning --- */

static struct channel *channel_new(struct channel_hub *h, bool dialled, bool framed_as_ipc, bool try_first)
{
	struct channel *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->hub = h;
	c->dialled = dialled;
	c->framed_as_ipc = framed_as_ipc;
	c->try_first = try_first;
	c->peer = (struct channel_peer){ .uid = (uid_t)-1, .gid = (gid_t)-1, .local = framed_as_ipc };
	c->out_tail = &c->out;
	c->in = c->greeting;
	c->room = GREETING;
	if (op_init(&c->receive, h, on_received) || op_init(&c->send, h, on_sent)) {
		channel_free(c);
		return NULL;
	}
	c->deadline_ms = loop_now_ms(h->loop) + h->limits.handshake_ms;
	hub_deadline(h, c->deadline_ms);
	TAILQ_INSERT_TAIL(&h->all, c, entry);
	return c;
}

static void peer_read(struct channel *c)
{
	uint64_t v;
	if (nng_stream_get_uint64(c->stream, NNG_OPT_IPC_PEER_PID, &v) == 0)
		c->peer.pid = (pid_t)v;
	if (nng_stream_get_uint64(c->stream, NNG_OPT_IPC_PEER_UID, &v) == 0)
		c->peer.uid = (uid_t)v;
	if (nng_stream_get_uint64(c->stream, NNG_OPT_IPC_PEER_GID, &v) == 0)
		c->peer.gid = (gid_t)v;

	nng_sockaddr a;
	char text[INET6_ADDRSTRLEN];
	if (nng_stream_get_addr(c->stream, NNG_OPT_REMADDR, &a) != 0)
		return;
	if (a.s_family == NNG_AF_INET && inet_ntop(AF_INET, &a.s_in.sa_addr, text, sizeof(text)))
		snprintf(c->peer.remote, sizeof(c->peer.remote), "%s:%u", text, ntohs(a.s_in.sa_port));
	else if (a.s_family == NNG_AF_INET6 && inet_ntop(AF_INET6, a.s_in6.sa_addr, text, sizeof(text)))
		snprintf(c->peer.remote, sizeof(c->peer.remote), "[%s]:%u", text, ntohs(a.s_in6.sa_port));
}

static void channel_begin(struct channel *c, nng_stream *stream)
{
	c->stream = stream;
	c->state = CHANNEL_GREETING;
	peer_read(c);
	if (channel_greet(c) != 0)
		channel_close(c, ERROR_INTERNAL, "no memory for the handshake");
	else
		channel_receive(c);
}

struct channel *channel_accepted(struct channel_hub *h, nng_stream *stream, bool framed_as_ipc, bool try_first)
{
	struct channel *c = channel_new(h, false, framed_as_ipc, try_first);
	if (!c)
		return NULL;
	h->n_accepted++;
	channel_begin(c, stream);
	return c;
}

static void on_dialled(struct op *o)
{
	struct channel *c = container_of(o, struct channel, dial);
	int rv = nng_aio_result(o->aio);
	nng_stream *stream = rv == 0 ? nng_aio_get_output(o->aio, 0) : NULL;
	if (c->state == CHANNEL_CLOSING) {
		if (stream)
			nng_stream_free(stream);
		channel_settle(c);
	} else if (rv) {
		char why[128];
		snprintf(why, sizeof(why), "cannot connect: %s", nng_strerror(rv));
		channel_close(c, ERROR_NOT_REACHABLE, why);
	} else {
		channel_begin(c, stream);
	}
}

int channel_dial(struct channel_hub *h, const char *url, void *user, struct channel **ret, struct error *e)
{
	bool framed_as_ipc, try_first;
	url_kind(url, &framed_as_ipc, &try_first);
	nng_stream_dialer *d;
	int rv = nng_stream_dialer_alloc(&d, url);
	if (rv)
		return error_set_nng(e, rv, url);
	struct channel *c = channel_new(h, true, framed_as_ipc, try_first);
	if (!c || op_init(&c->dial, h, on_dialled)) {
		if (c) {
			TAILQ_REMOVE(&h->all, c, entry);
			channel_free(c);
		}
		nng_stream_dialer_free(d);
		return -ENOMEM;
	}
	c->dialer = d;
	c->user = user;
	c->state = CHANNEL_DIALLING;
	c->dial.busy = true;
	nng_stream_dialer_dial(d, c->dial.aio);
	*ret = c;
	return 0;
}

/* The other end speaks SP as pair0. */
void channel_is_greeted(struct channel *c)
{
	c->base = malloc(CHANNEL_RECEIVE);
	if (!c->base) {
		channel_close(c, ERROR_BUSY, "no memory for a connection");
		return;
	}
	c->in = c->base;
	c->room = CHANNEL_RECEIVE;
	c->have = 0;
	c->deadline_ms = TIME_NEVER;
	c->state = CHANNEL_OPEN;
	if (c->hub->events->open)
		c->hub->events->open(c->hub->ctx, c);
}

/* --- the end --- */

void channel_close(struct channel *c, enum error_code code, const char *why)
{
	if (c->state == CHANNEL_CLOSING)
		return;
	if (c->state != CHANNEL_LINGERING)
		error_set(&c->why, code, "%s", why ? why : "closed");
	c->state = CHANNEL_CLOSING;
	c->deadline_ms = TIME_NEVER;
	if (c->dialer)
		nng_stream_dialer_close(c->dialer);
	if (c->stream)
		nng_stream_close(c->stream); /* finishes what is posted, through the callbacks */
	channel_settle(c);
}

void channel_close_after_flush(struct channel *c)
{
	if (c->state != CHANNEL_OPEN) {
		channel_close(c, ERROR_NONE, "closed");
		return;
	}
	channel_flush(c);
	if (c->state != CHANNEL_OPEN)
		return;
	error_set(&c->why, ERROR_NONE, "closed");
	if (!c->out) {
		channel_close(c, ERROR_NONE, "closed");
		return;
	}
	c->state = CHANNEL_LINGERING;
	channel_receive(c);
	c->deadline_ms = loop_now_ms(c->hub->loop) + LINGER_MS;
	hub_deadline(c->hub, c->deadline_ms);
}

void channel_settle(struct channel *c)
{
	struct channel_hub *h = c->hub;
	if (c->state != CHANNEL_CLOSING || c->dead || c->dial.busy || c->receive.busy || c->send.busy)
		return;
	c->dead = true;
	TAILQ_REMOVE(&h->all, c, entry);
	TAILQ_INSERT_TAIL(&h->dead, c, entry);
	if (!h->polling)
		hub_wake(h);
}

void channel_free(struct channel *c)
{
	struct channel_hub *h = c->hub;
	if (c->hot)
		TAILQ_REMOVE(&h->hot, c, hot_entry);
	if (c->dirty)
		TAILQ_REMOVE(&h->dirty, c, dirty_entry);
	if (c->noticed)
		TAILQ_REMOVE(&h->notices, c, notice_entry);
	if (c->stream && !c->dialled)
		h->n_accepted--;
	op_fini(&c->dial);
	op_fini(&c->receive);
	op_fini(&c->send);
	if (c->stream)
		nng_stream_free(c->stream);
	if (c->dialer)
		nng_stream_dialer_free(c->dialer);
	chunks_free(c);
	if (c->in != c->base && c->in != c->greeting)
		free(c->in);
	free(c->base);
	free(c);
}

void channel_expire(struct channel *c, uint64_t now_ms)
{
	switch (c->state) {
	case CHANNEL_DIALLING:
	case CHANNEL_GREETING:
		channel_close(c, ERROR_TIMEOUT, "the handshake was not finished in time");
		break;
	case CHANNEL_OPEN:
		if (c->paused) /* it is we who do not read */
			c->deadline_ms = TIME_NEVER;
		else
			channel_close(c, ERROR_TIMEOUT, "a frame was not finished in time");
		break;
	case CHANNEL_LINGERING:
		channel_close(c, ERROR_TIMEOUT, NULL);
		break;
	case CHANNEL_CLOSING:
		break;
	}
}

/* --- questions --- */

bool channel_is_open(const struct channel *c)
{
	return c->state == CHANNEL_OPEN;
}

bool channel_dialled(const struct channel *c)
{
	return c->dialled;
}

const struct channel_peer *channel_peer(const struct channel *c)
{
	return &c->peer;
}

void *channel_user(const struct channel *c)
{
	return c->user;
}

void channel_set_user(struct channel *c, void *user)
{
	c->user = user;
}
