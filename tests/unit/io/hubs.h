#pragma once
/* A hub that serves, a second one that dials it, both in one loop of the test, and what each saw of its channels; plain sockets that dial it too. */
#include "common/io/channel.h"
#include "tests/unit/io/sp.h"

struct side {
	struct channel_hub *hub;
	struct channel *channel; /* the last one that opened, or was dialled */
	unsigned n_open, n_closed, n_frames, n_drained;
	size_t n_bytes;
	uint64_t sum;            /* of all bytes of frames, with their place */
	enum error_code why;
	char why_text[256];
	bool echo, close_in_frame, refuse_frame, close_in_open;
};

static struct loop *loop;
static struct side server, client;

/* --- what a side sees; ctx is the side --- */

static inline void on_open(void *ctx, struct channel *c)
{
	struct side *s = ctx;
	s->n_open++;
	s->channel = c;
	if (s->close_in_open)
		channel_close(c, ERROR_STATE, "not wanted");
}

static inline int on_frame(void *ctx, struct channel *c, const uint8_t *data, size_t len)
{
	struct side *s = ctx;
	s->n_frames++;
	for (size_t i = 0; i < len; i++)
		s->sum = s->sum * 31 + data[i];
	s->n_bytes += len;
	if (s->echo)
		ck_assert_int_eq(channel_send(c, data, len), 0);
	if (s->close_in_frame)
		channel_close(c, ERROR_STATE, "enough");
	return s->refuse_frame;
}

static inline void on_drained(void *ctx, struct channel *c)
{
	((struct side *)ctx)->n_drained++;
}

static inline void on_closed(void *ctx, struct channel *c, const struct error *why)
{
	struct side *s = ctx;
	s->n_closed++;
	s->why = why->code;
	snprintf(s->why_text, sizeof(s->why_text), "%s", why->text);
	if (s->channel == c)
		s->channel = NULL;
}

static const struct channel_events events = { .open = on_open, .frame = on_frame, .drained = on_drained, .closed = on_closed };

/* --- the loop --- */

static inline uint64_t tick(uint64_t now_ms)
{
	uint64_t a = channel_hub_tick(server.hub, now_ms), b = client.hub ? channel_hub_tick(client.hub, now_ms) : TIME_NEVER;
	return a < b ? a : b;
}

/* Runs both hubs until cond holds, or fails at a deadline. */
#define UNTIL(cond) RUN_UNTIL(loop, tick(now_ms), cond)

/* The server listens at "s" in a directory of this test; end() closes and removes all. */
static inline void begin_with(const struct channel_limits *limits)
{
	struct error e;
	dir_make();
	ck_assert_int_eq(loop_open(&loop), 0);
	ck_assert_int_eq(channel_hub_open(loop, limits, &events, &server, &server.hub), 0);
	ck_assert_int_eq(channel_listen(server.hub, dir_url("s"), 0600, &e), 0);
}

static inline void begin(void)
{
	begin_with(&channel_limits_default);
}

/* From the client, which opens with the first one; client.channel is it. */
static inline void dial(const char *url)
{
	struct error e;
	if (!client.hub)
		ck_assert_int_eq(channel_hub_open(loop, &channel_limits_default, &events, &client, &client.hub), 0);
	ck_assert_int_eq(channel_dial(client.hub, url, NULL, &client.channel, &e), 0);
}

static inline void end(void)
{
	client.hub = channel_hub_close(client.hub);
	server.hub = channel_hub_close(server.hub);
	loop = loop_close(loop);
	dir_remove();
}

/* --- plain sockets; the caller closes them --- */

/* It has said nothing. */
static inline int plain_silent(void)
{
	int fd;
	UNTIL((fd = unix_try_connect(dir_path("s"))) >= 0);
	return fd;
}

/* A plain socket that has said SP's hello. */
static inline int plain(void)
{
	int fd = plain_silent();
	fd_write(fd, sp_hello, sizeof(sp_hello));
	return fd;
}

/* A well-behaved client is served. */
static inline void serves(void)
{
	unsigned before = server.n_frames;
	int fd = plain();
	sp_write(fd, "hello", 5);
	UNTIL(server.n_frames == before + 1);
	close(fd);
}
