#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/io/channel_internal.h"

#define CHUNK_ROOM (32u * 1024)
#define SEND_CHUNKS 8           /* nng takes no more in one aio */

static const uint8_t sp_pair0[GREETING] = { 0, 'S', 'P', 0, 0, 0x10, 0, 0 };

/* Writes the head that belongs before a frame into the CHANNEL_HEAD bytes at p; returns where in them it begins. */
static size_t head_write(const struct channel *c, uint8_t *p, size_t len)
{
	p[0] = 1;
	for (int i = 0; i < 8; i++)
		p[1 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	return c->framed_as_ipc ? 0 : 1;
}

/* --- the queue --- */

static struct chunk *chunk_last(struct channel *c)
{
	return c->out ? container_of(c->out_tail, struct chunk, next) : NULL;
}

static void chunk_append(struct channel *c, struct chunk *k)
{
	*c->out_tail = k;
	c->out_tail = &k->next;
}

static struct chunk *chunk_pop(struct channel *c)
{
	struct chunk *k = c->out;
	c->out = k->next;
	if (!c->out)
		c->out_tail = &c->out;
	free(k->data);
	free(k);
	return c->out;
}

void chunks_free(struct channel *c)
{
	while (c->out)
		chunk_pop(c);
}

static void dirty_mark(struct channel *c)
{
	if (c->dirty || c->send.busy)
		return;
	c->dirty = true;
	TAILQ_INSERT_TAIL(&c->hub->dirty, c, dirty_entry);
}

/* A last chunk with room for n bytes: whole, so that an allocation that fails never tears a frame. A send that is in flight covers what was there when
 * it was posted, so its last chunk may grow. */
static struct chunk *chunk_room(struct channel *c, size_t n)
{
	struct chunk *k = chunk_last(c);
	if (k && k->room - k->len >= n)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->room = n > CHUNK_ROOM ? n : CHUNK_ROOM;
	k->data = malloc(k->room);
	if (!k->data) {
		free(k);
		return NULL;
	}
	chunk_append(c, k);
	return k;
}

static void chunk_fill(struct channel *c, struct chunk *k, const uint8_t *data, size_t n)
{
	if (n)
		memcpy(k->data + k->len, data, n);
	k->len += n;
	c->unsent += n;
}

static bool takes_output(const struct channel *c)
{
	return c->state != CHANNEL_LINGERING && c->state != CHANNEL_CLOSING;
}

int channel_greet(struct channel *c)
{
	/* In front of anything that was queued while the channel was being dialled. */
	struct chunk **queued_tail = c->out_tail, *queued = steal(&c->out);
	c->out_tail = &c->out;
	struct chunk *k = chunk_room(c, GREETING);
	if (k)
		chunk_fill(c, k, sp_pair0, GREETING);
	if (queued) {
		*c->out_tail = queued;
		c->out_tail = queued_tail;
	}
	if (!k)
		return -ENOMEM;
	channel_flush(c);
	return 0;
}

int channel_send(struct channel *c, const uint8_t *frame, size_t len)
{
	if (!takes_output(c))
		return ERROR_STATE;
	uint8_t head[CHANNEL_HEAD];
	size_t from = head_write(c, head, len);
	struct chunk *k = chunk_room(c, CHANNEL_HEAD - from + len);
	if (!k)
		return -ENOMEM;
	chunk_fill(c, k, head + from, CHANNEL_HEAD - from);
	chunk_fill(c, k, frame, len);
	dirty_mark(c);
	return 0;
}

int channel_send_steal(struct channel *c, uint8_t **data, size_t len)
{
	if (!takes_output(c))
		return ERROR_STATE;
	struct chunk *k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->data = steal(data);
	k->at = head_write(c, k->data, len);
	k->len = k->room = CHANNEL_HEAD + len;
	c->unsent += k->len - k->at;
	chunk_append(c, k);
	dirty_mark(c);
	return 0;
}

/* --- the way out --- */

static unsigned iov_gather(const struct channel *c, nng_iov iov[static SEND_CHUNKS])
{
	unsigned n = 0;
	for (const struct chunk *k = c->out; k && n < SEND_CHUNKS; k = k->next)
		iov[n++] = (nng_iov){ k->data + k->at, k->len - k->at };
	return n;
}

static void iov_set(nng_aio *aio, unsigned n, const nng_iov *iov)
{
	int rv = nng_aio_set_iov(aio, n, iov);
	assert(rv == 0);
	(void)rv;
}

static void output_took(struct channel *c, size_t n)
{
	assert(n <= c->unsent);
	c->unsent -= n;
	while (c->out) {
		size_t left = c->out->len - c->out->at;
		if (n < left) {
			c->out->at += n;
			return;
		}
		n -= left;
		chunk_pop(c);
	}
}

static void send_failed(struct channel *c, int rv)
{
	channel_close(c, ERROR_NOT_REACHABLE, rv == NNG_ECLOSED || rv == NNG_ECONNSHUT ? "the other end has gone" : nng_strerror(rv));
}

/* Offers bytes to the kernel. 0 with the number it took, which may be 0; or nng's error. */
static int channel_try_send(struct channel *c, unsigned n_iov, const nng_iov *iov, size_t *ret)
{
	nng_aio *aio = c->hub->try_aio;
	iov_set(aio, n_iov, iov);
	nng_stream_send(c->stream, aio);
	nng_aio_cancel(aio);
	nng_aio_wait(aio);
	int rv = nng_aio_result(aio);
	*ret = rv ? 0 : nng_aio_count(aio);
	return rv == NNG_ECANCELED ? 0 : rv;
}

static void send_post(struct channel *c)
{
	nng_iov iov[SEND_CHUNKS];
	iov_set(c->send.aio, iov_gather(c, iov), iov);
	c->send.busy = true;
	nng_stream_send(c->stream, c->send.aio);
}

/* All has left: drained, or the end of lingering, follows with the next round. It need not be woken for: nobody waits for it who was not told to wait. */
static void notice(struct channel *c)
{
	if (c->noticed)
		return;
	c->noticed = true;
	TAILQ_INSERT_TAIL(&c->hub->notices, c, notice_entry);
}

void channel_flush(struct channel *c)
{
	if (c->dirty) {
		c->dirty = false;
		TAILQ_REMOVE(&c->hub->dirty, c, dirty_entry);
	}
	if (c->state == CHANNEL_DIALLING || c->state == CHANNEL_CLOSING || c->send.busy || !c->out)
		return;
	while (c->out && c->try_first) {
		nng_iov iov[SEND_CHUNKS];
		unsigned n_iov = iov_gather(c, iov);
		size_t all = 0, took;
		for (unsigned i = 0; i < n_iov; i++)
			all += iov[i].iov_len;
		int rv = channel_try_send(c, n_iov, iov, &took);
		if (rv) {
			send_failed(c, rv);
			return;
		}
		output_took(c, took);
		if (took < all)
			break;
	}
	if (c->out)
		send_post(c);
	else
		notice(c);
}

int channel_send_now(struct channel *c, uint8_t *data, size_t len)
{
	if (!takes_output(c))
		return ERROR_STATE;
	size_t from = head_write(c, data, len), all = CHANNEL_HEAD - from + len, took = 0;
	if (c->state == CHANNEL_OPEN && !c->out && !c->send.busy && c->try_first) {
		nng_iov iov = { data + from, all };
		int rv = channel_try_send(c, 1, &iov, &took);
		if (rv) {
			send_failed(c, rv);
			return ERROR_STATE;
		}
		if (took == all) {
			notice(c);
			return 0;
		}
	}
	struct chunk *k = chunk_room(c, all - took);
	if (!k) {
		if (took)
			channel_close(c, ERROR_BUSY, "no memory for output"); /* half a frame has left */
		return -ENOMEM;
	}
	chunk_fill(c, k, data + from + took, all - took);
	dirty_mark(c);
	return 0;
}

void on_sent(struct op *o)
{
	struct channel *c = container_of(o, struct channel, send);
	int rv = nng_aio_result(o->aio);
	if (c->state == CHANNEL_CLOSING) {
		channel_settle(c);
		return;
	}
	if (rv) {
		send_failed(c, rv);
		return;
	}
	output_took(c, nng_aio_count(o->aio));
	if (c->out)
		channel_flush(c);
	else
		notice(c);
}

size_t channel_unsent(const struct channel *c)
{
	return c->unsent;
}
