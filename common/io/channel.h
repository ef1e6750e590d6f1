#pragma once
/* A channel moves opaque frames over one nng_stream (ipc://, tcp://, tls+tcp://), speaking SP's own framing as a pair0 endpoint, so that any nng
 * or nanomsg program with a pair0 socket can talk to it. Below it nng's threads; above it one loop.
 *
 * nng's callbacks run on nng's threads: they only put the stream on a locked list and write one eventfd per loop turn. Everything else, and
 * every callback named here, runs on the loop's thread.
 *
 * Bounds: one receive of at most 256 KiB and one send in flight per channel; a frame over frame_max closes the channel; unsent output is counted and is the
 * caller's to bound (channel_unsent); connections over connections_max are closed at accept; a peer that has not finished the 8-byte
 * handshake in 5 s is closed, and so is one that leaves a frame unfinished for 30 s.
 *
 * nng 1.5.2: an SP listener dies on connect-and-close; nng_stream listeners do not. A write that was torn by an error ends the stream. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/error.h"
#include "common/io/loop.h"

#define CHANNEL_HEAD 9           /* bytes in front of a frame: 01, u64 big-endian length (ipc); tcp uses the last 8 */
#define CHANNEL_RECEIVE (256u * 1024)

struct channel;
struct channel_hub;              /* all channels and listeners of one process */

struct channel_peer { pid_t pid; uid_t uid; gid_t gid; bool local; char remote[64]; }; /* by the kernel at accept or connect; pid 0, uid -1 where unknown */

struct channel_events {
	void (*open)(void *ctx, struct channel *c);                 /* SP handshake done, both directions usable; accepted and dialled */
	/* One frame. data is valid until return. Return 0, or non-zero to have the channel closed (then closed follows). */
	int (*frame)(void *ctx, struct channel *c, const uint8_t *data, size_t len);
	void (*drained)(void *ctx, struct channel *c);              /* all unsent output has left */
	/* The channel is gone and is freed after this returns; also one that was accepted and never opened.
	 * why: ERROR_NOT_REACHABLE (dial failed), ERROR_BAD_REQUEST, ERROR_TOO_LARGE, ERROR_TIMEOUT, ... */
	void (*closed)(void *ctx, struct channel *c, const struct error *why);
};
struct channel_limits {
	size_t frame_max;
	unsigned connections_max;
	uint32_t handshake_ms, frame_ms;
	bool guest;   /* the process is somebody else's: the end sets no alarm, and leaves it alone whatever happens */
};
extern const struct channel_limits channel_limits_default;      /* 1 MiB, 4,096, 5 s, 30 s */

/* Initialises nng on first use, with all signals blocked, so that its threads never take one. The hub adds its eventfd to the loop.
 * 0 or -errno. */
/* Starts the threads that the first hub would start, ahead of time. Once; 0 or -ENOMEM. */
int channel_prepare(void);
int channel_hub_open(struct loop *l, const struct channel_limits *limits, const struct channel_events *events, void *ctx, struct channel_hub **ret);
struct channel_hub *channel_hub_close(struct channel_hub *h);   /* closes everything, waits for nng (bounded by an alarm, then _exit; not as a guest) */
/* Hands everything that has arrived or been completed to the callbacks; the loop does it by itself, a turn calls it again after its commit.
 * Returns how many. */
int channel_hub_poll(struct channel_hub *h);
/* Call in every tick, after the turn: output, input of busy channels, timeouts. Returns the next deadline, now_ms where there is more to do at once. */
uint64_t channel_hub_tick(struct channel_hub *h, uint64_t now_ms);

/* url: "ipc:///path" ... mode: of the socket file (ipc), 0 = leave. Stale files are replaced. 0, ERROR_EXISTS, ERROR_BAD_REQUEST, -errno.
 * Accepted channels arrive by events->open with channel_user() NULL. May be called several times. */
int channel_listen(struct channel_hub *h, const char *url, mode_t mode, struct error *e);
/* Starts to connect; 0 at once with a channel whose open or closed will follow. user: channel_user(). */
int channel_dial(struct channel_hub *h, const char *url, void *user, struct channel **ret, struct error *e);

/* Appends one frame; copies. 0, or ERROR_STATE once closing, -ENOMEM. Output leaves at channel_flush or when the loop comes round. */
int channel_send(struct channel *c, const uint8_t *frame, size_t len);
/* The same without a copy: *data (malloc'd) begins with CHANNEL_HEAD free bytes, then the frame of len bytes; taken over, *data = NULL. */
int channel_send_steal(struct channel *c, uint8_t **data, size_t len);
/* The same, but what the kernel takes at once leaves at once and without a copy: data begins with CHANNEL_HEAD bytes that are overwritten, and stays
 * the caller's. */
int channel_send_now(struct channel *c, uint8_t *data, size_t len);
void channel_flush(struct channel *c);
size_t channel_unsent(const struct channel *c);                 /* bytes accepted by channel_send and not yet by the kernel */
/* Stops and resumes reading: how a client is slowed. One receive that is already posted still arrives. */
void channel_pause(struct channel *c, bool paused);
void channel_close(struct channel *c, enum error_code code, const char *why); /* output is dropped; closed follows from the loop. Idempotent */
void channel_close_after_flush(struct channel *c);              /* closes when the output has left, at most 1 s later */
bool channel_is_open(const struct channel *c);
bool channel_dialled(const struct channel *c);
const struct channel_peer *channel_peer(const struct channel *c);
void *channel_user(const struct channel *c);
void channel_set_user(struct channel *c, void *user);
