/* Life of a peer.
 *
 *   dialled:  DIALLING -(open: Hello)-> GREETING -(Welcome)-> UP
 *   accepted:                           GREETING -(Hello: Welcome; any other frame: anonymous)-> UP
 *   both:     UP -(Bye, error, peer_close)-> ENDING -(the channel is gone)-> freed
 *
 * Frames that come in are handled in peer_receive.c, those that leave are built in peer_send.c. */
#include "common/io/peer_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECONNECT_FIRST_MS 10u
#define RECONNECT_MAX_MS 2000u

static _Atomic uint64_t last_number; /* peers of this process, over all hubs, of which each may have a thread */

static struct peer *peer_new(struct peer_hub *h, bool dialled)
{
	struct peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->hub = h;
	p->dialled = dialled;
	p->number = ++last_number;
	frame_writer_init(&p->out, CHANNEL_HEAD);
	return p;
}

static void peer_free(struct peer *p)
{
	if (p->dirty)
		TAILQ_REMOVE(&p->hub->dirty, p, dirty_entry);
	frame_writer_fini(&p->out);
	free(p);
}

/* --- what the channel says --- */

static void on_open(void *ctx, struct channel *c)
{
	struct peer_hub *h = ctx;
	struct peer *p = channel_user(c);
	if (p) {
		p->state = PEER_GREETING;
		if (peer_send_hello(p))
			channel_close(c, ERROR_BUSY, "no memory for a connection");
		return;
	}
	p = peer_new(h, false);
	if (!p) {
		channel_close(c, ERROR_BUSY, "no memory for a connection");
		return;
	}
	p->channel = c;
	p->state = PEER_GREETING;
	channel_set_user(c, p);
}

static int on_frame(void *ctx, struct channel *c, const uint8_t *data, size_t len)
{
	peer_receive(channel_user(c), data, len);
	return 0;
}

static void on_drained(void *ctx, struct channel *c)
{
	struct peer *p = channel_user(c);
	if (p)
		peer_room(p);
}

static void on_closed(void *ctx, struct channel *c, const struct error *why)
{
	struct peer_hub *h = ctx;
	struct peer *p = channel_user(c);
	if (!p)
		return;
	if (p->state != PEER_ENDING)
		p->why = *why;
	p->state = PEER_ENDING;
	/* The owner knows those that it dialled and those that were up. */
	if ((p->dialled || p->was_up) && h->events->down)
		h->events->down(h->ctx, p, &p->why);
	peer_free(p);
}

static const struct channel_events channel_events = { .open = on_open, .frame = on_frame, .drained = on_drained, .closed = on_closed };

/* --- the hub --- */

int peer_hub_open(struct loop *l, const struct peer_config *c, const struct peer_events *events, void *ctx, struct peer_hub **ret)
{
	struct peer_hub *h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->config = *c;
	h->config.channel.frame_max = h->config.wire.frame;
	h->events = events;
	h->ctx = ctx;
	TAILQ_INIT(&h->dirty);
	int r = channel_hub_open(l, &h->config.channel, &channel_events, h, &h->channels);
	if (r) {
		free(h);
		return r;
	}
	*ret = h;
	return 0;
}

struct peer_hub *peer_hub_close(struct peer_hub *h)
{
	if (!h)
		return NULL;
	channel_hub_close(h->channels);
	free(h);
	return NULL;
}

struct channel_hub *peer_hub_channels(struct peer_hub *h)
{
	return h->channels;
}

uint64_t peer_hub_tick(struct peer_hub *h, uint64_t now_ms)
{
	return channel_hub_tick(h->channels, now_ms);
}

int peer_listen(struct peer_hub *h, const char *url, mode_t mode, struct error *e)
{
	return channel_listen(h->channels, url, mode, e);
}

int peer_dial(struct peer_hub *h, const char *url, void *user, struct peer **ret, struct error *e)
{
	struct peer *p = peer_new(h, true);
	if (!p)
		return -ENOMEM;
	p->user = user;
	int r = channel_dial(h->channels, url, p, &p->channel, e);
	if (r) {
		peer_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

/* --- the end --- */

void peer_end(struct peer *p, enum error_code code, const char *text, enum peer_farewell farewell)
{
	if (p->state == PEER_ENDING)
		return;
	bool speaks = p->state == PEER_UP || (p->state == PEER_GREETING && farewell == FAREWELL_REFUSAL);
	error_set(&p->why, code, "%s", text ? text : "closed");
	if (speaks && farewell != FAREWELL_NONE)
		peer_send_bye(p, code, p->why.text, farewell == FAREWELL_REFUSAL);
	p->state = PEER_ENDING;
	if (speaks && farewell != FAREWELL_NONE)
		channel_close_after_flush(p->channel);
	else
		channel_close(p->channel, code, text);
}

void peer_close(struct peer *p, enum error_code code, const char *why)
{
	peer_end(p, code, why, FAREWELL_BYE);
}

void peer_pause(struct peer *p, bool paused)
{
	channel_pause(p->channel, paused);
}

/* --- questions --- */

bool peer_is_up(const struct peer *p)
{
	return p->state == PEER_UP;
}

const char *peer_address(const struct peer *p)
{
	return p->address;
}

uint64_t peer_incarnation(const struct peer *p)
{
	return p->incarnation;
}

const struct channel_peer *peer_credentials(const struct peer *p)
{
	return channel_peer(p->channel);
}

bool peer_dialled(const struct peer *p)
{
	return p->dialled;
}

bool peer_anonymous(const struct peer *p)
{
	return p->anonymous;
}

uint64_t peer_number(const struct peer *p)
{
	return p->number;
}

uint32_t peer_credit_left(const struct peer *p)
{
	return p->credit;
}

size_t peer_unsent(const struct peer *p)
{
	return channel_unsent(p->channel) + (p->out.n_envelopes ? p->out.len : 0);
}

void *peer_user(const struct peer *p)
{
	return p->user;
}

void peer_set_user(struct peer *p, void *user)
{
	p->user = user;
}

uint32_t peer_reconnect_ms(uint32_t n, struct rng *r)
{
	uint32_t most = n > 8 ? RECONNECT_MAX_MS : RECONNECT_FIRST_MS << (n > 0 ? n - 1 : 0);
	if (most > RECONNECT_MAX_MS)
		most = RECONNECT_MAX_MS;
	return (uint32_t)rng_below(r, most) + 1;
}
