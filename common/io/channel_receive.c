#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/io/channel_internal.h"

#define MISSES_MAX 4 /* tries in a row that find nothing, and the channel is hot no longer */

static const uint8_t sp_pair0[GREETING] = { 0, 'S', 'P', 0, 0, 0x10, 0, 0 };

static size_t head_len(const struct channel *c)
{
	return c->framed_as_ipc ? CHANNEL_HEAD : CHANNEL_HEAD - 1;
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* What follows the first byte that is not yet a frame. 0 unknown, else bytes of the frame with its head. The channel is closed where it is wrong. */
static size_t frame_size(struct channel *c, const uint8_t *p, size_t n)
{
	size_t head = head_len(c);
	if (c->framed_as_ipc && n > 0 && p[0] != 1) {
		channel_close(c, ERROR_BAD_REQUEST, "a frame begins with a byte that is not 01");
		return 0;
	}
	if (n < head)
		return 0;
	uint64_t len = be64(p + head - 8);
	if (len > c->hub->limits.frame_max) {
		channel_close(c, ERROR_TOO_LARGE, "a frame over the limit");
		return 0;
	}
	return head + (size_t)len;
}

/* Keeps what is left of the input, in a buffer in which the rest of its frame has room. */
static void rest_keep(struct channel *c, size_t at, size_t size)
{
	size_t rest = c->have - at;
	if (at > 0)
		c->deadline_ms = TIME_NEVER;
	if (size > c->room) {
		uint8_t *large = malloc(size);
		if (!large) {
			channel_close(c, ERROR_BUSY, "no memory for a frame");
			return;
		}
		memcpy(large, c->in + at, rest);
		c->in = large; /* it was base: a large buffer holds exactly one frame and leaves no rest */
		c->room = size;
	} else if (c->in != c->base && rest == 0) {
		free(c->in);
		c->in = c->base;
		c->room = CHANNEL_RECEIVE;
	} else if (at > 0 && rest > 0) {
		memmove(c->in, c->in + at, rest);
	}
	c->have = rest;
	if (rest > 0 && c->deadline_ms == TIME_NEVER) {
		c->deadline_ms = loop_now_ms(c->hub->loop) + c->hub->limits.frame_ms;
		hub_deadline(c->hub, c->deadline_ms);
	}
}

static void frames_take(struct channel *c)
{
	const struct channel_events *events = c->hub->events;
	size_t at = 0, size = 0, head = head_len(c);
	while (at < c->have) {
		size = frame_size(c, c->in + at, c->have - at);
		if (c->state != CHANNEL_OPEN)
			return;
		if (size == 0 || size > c->have - at)
			break;
		int r = events->frame(c->hub->ctx, c, c->in + at + head, size - head);
		if (r)
			channel_close(c, ERROR_BAD_REQUEST, "a frame was refused");
		if (c->state != CHANNEL_OPEN)
			return;
		at += size;
		size = 0;
	}
	rest_keep(c, at, size);
}

/* n bytes have come. */
static void input_take(struct channel *c, size_t n)
{
	c->have += n;
	switch (c->state) {
	case CHANNEL_GREETING:
		if (memcmp(c->greeting, sp_pair0, c->have) != 0)
			channel_close(c, ERROR_BAD_REQUEST, "the other end does not speak SP as pair0");
		else if (c->have == GREETING)
			channel_is_greeted(c);
		break;
	case CHANNEL_OPEN:
		frames_take(c);
		break;
	case CHANNEL_LINGERING: /* read on, so that the other end can read what we said last */
		c->have = 0;
		break;
	case CHANNEL_DIALLING:
		assert(false);
	case CHANNEL_CLOSING:
		break;
	}
}

static void iov_set(struct channel *c, nng_aio *aio)
{
	nng_iov iov = { c->in + c->have, c->room - c->have };
	int rv = nng_aio_set_iov(aio, 1, &iov);
	assert(rv == 0);
	(void)rv;
}

static void receive_post(struct channel *c)
{
	iov_set(c, c->receive.aio);
	c->receive.busy = true;
	nng_stream_recv(c->stream, c->receive.aio);
}

static bool receives(const struct channel *c)
{
	return !c->receive.busy && (c->state == CHANNEL_LINGERING || c->state == CHANNEL_GREETING || (c->state == CHANNEL_OPEN && !c->paused));
}

void channel_receive(struct channel *c)
{
	if (receives(c) && !c->hot)
		receive_post(c);
}

static void hot_add(struct channel *c)
{
	c->hot = true;
	TAILQ_INSERT_TAIL(&c->hub->hot, c, hot_entry);
}

/* Something has come; more may have. */
static void receive_soon(struct channel *c)
{
	if (!receives(c) || c->hot)
		return;
	if (c->state != CHANNEL_OPEN || !c->try_first) {
		receive_post(c);
		return;
	}
	c->misses = 0;
	hot_add(c);
}

static void received(struct channel *c, int rv, size_t n)
{
	if (c->state != CHANNEL_CLOSING) {
		if (rv || n == 0)
			channel_close(c, ERROR_NOT_REACHABLE, rv && rv != NNG_ECONNSHUT && rv != NNG_ECLOSED ? nng_strerror(rv) : "the other end has gone");
		else
			input_take(c, n);
	}
	receive_soon(c);
}

void on_received(struct op *o)
{
	struct channel *c = container_of(o, struct channel, receive);
	received(c, nng_aio_result(o->aio), nng_aio_count(o->aio));
	channel_settle(c);
}

bool channel_receive_hot(struct channel *c)
{
	if (!receives(c))
		return false;
	nng_aio *aio = c->hub->try_aio;
	iov_set(c, aio);
	nng_stream_recv(c->stream, aio);
	nng_aio_cancel(aio);
	nng_aio_wait(aio);
	int rv = nng_aio_result(aio);
	if (rv == NNG_ECANCELED) {
		if (++c->misses < MISSES_MAX)
			hot_add(c);
		else
			receive_post(c);
		return false;
	}
	c->misses = 0;
	received(c, rv, nng_aio_count(aio));
	return true;
}

/* The loop is about to sleep: what arrives must wake it. */
void channel_receive_cool(struct channel *c)
{
	if (receives(c))
		receive_post(c);
}

void channel_pause(struct channel *c, bool paused)
{
	c->paused = paused;
	if (!paused) {
		if (c->state == CHANNEL_OPEN && c->have > 0) {
			c->deadline_ms = loop_now_ms(c->hub->loop) + c->hub->limits.frame_ms;
			hub_deadline(c->hub, c->deadline_ms);
		}
		channel_receive(c);
	}
}
