/* Peers on channels on nng_stream. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/peer.h"
#include "tests/bench/pipeline.h"

static struct transport_events ev;
static struct loop *loop;
static struct peer_hub *hub;
static bool arrived;

static void on_up(void *ctx, struct peer *p)
{
	if (ev.up)
		ev.up(ev.ctx, (struct conn *)p);
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	arrived = true;
	peer_grant(p, (uint32_t)n);
	ev.envelopes(ev.ctx, (struct conn *)p, env, n);
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	_exit(0); /* the other end was killed: the measurement is over */
}

static void peers_open(const struct transport_events *events)
{
	static const struct peer_events peer_events = { .up = on_up, .envelopes = on_envelopes, .down = on_down };
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 16 << 20, .credit = 8192, .anonymous_credit = 16 };
	ev = *events;
	MUST(loop_open(&loop) == 0);
	MUST(peer_hub_open(loop, &c, &peer_events, NULL, &hub) == 0);
}

static void peers_listen(const char *path)
{
	char url[160];
	struct error e;
	snprintf(url, sizeof(url), "ipc://%s", path);
	MUST(peer_listen(hub, url, 0600, &e) == 0);
}

static void peers_dial(const char *path)
{
	char url[160];
	struct error e;
	struct peer *p;
	snprintf(url, sizeof(url), "ipc://%s", path);
	MUST(peer_dial(hub, url, NULL, &p, &e) == 0);
}

static void peers_wait(void)
{
	arrived = false;
	while (!arrived) {
		uint64_t deadline_ms = peer_hub_tick(hub, clock_mono_ms());
		if (arrived)
			return;
		MUST(loop_once(loop, deadline_ms) >= 0);
		peer_hub_flush(hub);
	}
}

static void peers_send(struct conn *c, const Troupe__Envelope *env)
{
	int r = peer_send((struct peer *)c, env);
	if (r == ERROR_STATE)
		_exit(0); /* as in on_down */
	MUST(r == 0);
}

static void peers_flush(void)
{
	peer_hub_flush(hub);
}

const struct transport transport_peer = { "peer", peers_open, peers_listen, peers_dial, peers_wait, peers_send, peers_flush };
