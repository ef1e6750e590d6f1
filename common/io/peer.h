#pragma once
/* A peer is a channel with manners: Hello and Welcome, credit windows, envelopes batched into frames. The actor runtime and the client library both
 * stand on it.
 *
 * Credit: an ASK, TELL or EVENT costs the sender one credit; the receiver gives it back (peer_grant) when the message has left its mailbox, in batches of at least a
 * quarter of the window. REPLY, ERROR, SIGNAL and frame parts cost none. Who sends beyond its credit is closed with ERROR_BUSY.
 * A dialler may send nothing but Hello before Welcome. An acceptor that gets a first frame without Hello treats the peer as an anonymous
 * client with the small window, so that nngcat works. Versions that differ are refused with a Failure and Bye. */
#include "common/base/rng.h"
#include "common/io/channel.h"
#include "common/wire/codec.h"
#include "common/wire/address.h"

struct peer;
struct peer_hub;
struct peer_config {
	struct wire_limits wire;
	struct channel_limits channel;
	size_t output_max;            /* unsent bytes of one peer: 4 MiB; beyond it sends of TELL, ASK and EVENT fail with ERROR_BUSY; beyond twice it the peer is closed */
	uint32_t credit, anonymous_credit;
	char address[192];            /* ours; "" for a client */
	uint64_t incarnation;
	char node[33];
	char program[65];
};
struct peer_events {
	void (*up)(void *ctx, struct peer *p);       /* greeted: accepted after Hello (or the first frame of an anonymous client), dialled after Welcome */
	/* A decoded frame's envelopes, in order; from and subject are still as sent. Keep arena by arena_ref. */
	void (*envelopes)(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n);
	void (*parts)(void *ctx, struct peer *p, struct arena *a, const Troupe__Frame *f); /* ack, nack, blob, probe: only when present */
	void (*room)(void *ctx, struct peer *p);     /* credit or output room came back after a send was refused */
	void (*down)(void *ctx, struct peer *p, const struct error *why); /* p is freed after this */
};
int peer_hub_open(struct loop *l, const struct peer_config *c, const struct peer_events *events, void *ctx, struct peer_hub **ret);
struct peer_hub *peer_hub_close(struct peer_hub *h);
struct channel_hub *peer_hub_channels(struct peer_hub *h);
uint64_t peer_hub_tick(struct peer_hub *h, uint64_t now_ms);
int peer_listen(struct peer_hub *h, const char *url, mode_t mode, struct error *e);
int peer_dial(struct peer_hub *h, const char *url, void *user, struct peer **ret, struct error *e);

/* Queues one envelope into the frame being built. 0; ERROR_BUSY: no credit, or output full (nothing was queued); ERROR_STATE: not up; ERROR_TOO_LARGE. */
int peer_send(struct peer *p, const Troupe__Envelope *env);
/* The same for an envelope that is packed already; costs_credit is true for TELL, ASK and EVENT. */
int peer_send_packed(struct peer *p, bool costs_credit, const uint8_t *envelope, size_t len);
int peer_send_parts(struct peer *p, const Troupe__Frame *parts);
void peer_hub_flush(struct peer_hub *h);         /* ends the frames being built and starts their sending; call once per turn */
void peer_grant(struct peer *p, uint32_t n);     /* n messages of this peer have been consumed */
void peer_pause(struct peer *p, bool paused);
void peer_close(struct peer *p, enum error_code code, const char *why); /* sends Bye where it can; down follows */

bool peer_is_up(const struct peer *p);
const char *peer_address(const struct peer *p);  /* as the Hello claims; "" for a client. Belief is the caller's business */
uint64_t peer_incarnation(const struct peer *p);
const struct channel_peer *peer_credentials(const struct peer *p);
bool peer_dialled(const struct peer *p);
bool peer_anonymous(const struct peer *p);
uint64_t peer_number(const struct peer *p);      /* unique in this process, never reused */
uint32_t peer_credit_left(const struct peer *p); /* what we may still send */
size_t peer_unsent(const struct peer *p);
void *peer_user(const struct peer *p);
void peer_set_user(struct peer *p, void *user);

/* The delay before the n-th reconnect (n from 1): 10 ms doubling to 2 s, with full jitter from r. */
uint32_t peer_reconnect_ms(uint32_t n, struct rng *r);
