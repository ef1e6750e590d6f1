#pragma once
/* Private to the channel: what its files share.
 *
 *   hub.c              completions of nng, the hub's rounds and deadlines
 *   channel.c          life of a channel: dial, accept, handshake, close
 *   channel_listen.c   listeners
 *   channel_receive.c  bytes to frames
 *   channel_send.c     frames to bytes
 *
 * Ownership between the threads. nng's threads see a struct op and nothing else: their callback appends it to the hub's list under the lock and
 * writes the eventfd. Everything about an aio is done by the loop's thread: it is started there (op.busy becomes true), its result is read there
 * (busy becomes false), and it is freed there. A channel is freed when it is closing and none of its ops is busy: then no thread of nng can name it.
 *
 * How a message avoids the hops between nng's threads (poller, task queue, loop). An aio without a callback that can be finished at once is finished
 * inside nng_stream_send or nng_stream_recv, by the caller; if it could not be, cancelling it leaves it with no byte moved. So the hub has one such
 * aio for trying: output goes to the kernel directly, and only what the kernel does not take waits for a callback; and a channel from which something
 * has just been read is hot: the next rounds try to read it, and only when there was nothing several times, or on no hot channel, is a receive with
 * a callback posted, which wakes the loop later. A busy process thus makes the system calls that epoll would make; an idle one sleeps. TLS streams
 * do not take part: a TLS record that was begun must be finished with the same bytes.
 *
 * Of nng 1.5.2, besides: a stream that it has never waited on, and whose other end has hung up, keeps its poller thread turning until the stream is
 * read or freed. That is the case between accept and our handling of it, and where a channel is paused before it was ever empty; both end with our
 * next turns. */
#include <pthread.h>
#include <sys/queue.h>

#include <nng/nng.h>

#include "common/base/cleanup.h"
#include "common/io/channel.h"

#define GREETING 8              /* bytes of SP's handshake */
#define LINGER_MS 1000          /* of channel_close_after_flush */
#define ACCEPT_RETRY_MS 100     /* after an accept that failed, e.g. for want of fds */

struct op {
	nng_aio *aio;
	struct channel_hub *hub;
	struct op *next;               /* in hub->done */
	void (*done)(struct op *o);    /* on the loop's thread */
	bool busy;                     /* started, and its completion not yet handled by the loop */
};

struct chunk {
	struct chunk *next;
	uint8_t *data;
	size_t at, len, room;          /* [at, len) is still to be sent */
};

struct listener {
	SLIST_ENTRY(listener) entry;
	nng_stream_listener *nng;
	struct op accept;
	bool framed_as_ipc, try_first;
	uint64_t retry_at_ms;          /* TIME_NEVER while an accept is posted */
};

enum channel_state { CHANNEL_DIALLING, CHANNEL_GREETING, CHANNEL_OPEN, CHANNEL_LINGERING, CHANNEL_CLOSING };

struct channel {
	TAILQ_ENTRY(channel) entry /* in all or dead */, hot_entry, dirty_entry, notice_entry;
	struct channel_hub *hub;
	enum channel_state state;
	bool dialled, framed_as_ipc, try_first;
	bool paused, hot, dirty, noticed, dead; /* the last four: in that list of the hub */
	void *user;
	struct channel_peer peer;
	struct error why;              /* of the close */
	uint64_t deadline_ms;          /* handshake, unfinished frame or lingering; TIME_NEVER */
	nng_stream_dialer *dialer;
	nng_stream *stream;
	struct op dial, receive, send;

	uint8_t greeting[GREETING];
	uint8_t *base, *in;            /* in: base, or a buffer for one frame that is larger */
	size_t room, have;
	unsigned misses;               /* tries in a row that found nothing */

	struct chunk *out, **out_tail;
	size_t unsent;
};
TAILQ_HEAD(channels, channel);

struct channel_hub {
	struct loop *loop;
	struct channel_limits limits;
	const struct channel_events *events;
	void *ctx;
	nng_aio *try_aio;              /* has no callback */
	struct channels all, hot, dirty, notices, dead;
	SLIST_HEAD(, listener) listeners;
	unsigned n_accepted;
	uint64_t deadline_ms;          /* no deadline of any channel or listener is earlier */
	bool polling, closing;
	bool fresh;                    /* channel_hub_poll delivered since the last tick */

	struct loop_source wake;
	pthread_mutex_t lock;
	struct op *done, **done_tail;  /* under the lock */
	bool woken;                    /* under the lock: the eventfd was written, or is about to be, since the loop last woke up */
};

/* hub.c */
int op_init(struct op *o, struct channel_hub *h, void (*done)(struct op *));
void op_fini(struct op *o);
void hub_deadline(struct channel_hub *h, uint64_t at_ms);
void hub_wake(struct channel_hub *h);

/* channel.c */
struct channel *channel_accepted(struct channel_hub *h, nng_stream *stream, bool framed_as_ipc, bool try_first);
void channel_settle(struct channel *c);   /* a closing channel without busy ops goes to the dead */
void channel_free(struct channel *c);
void channel_is_greeted(struct channel *c);
void channel_expire(struct channel *c, uint64_t now_ms);
int error_set_nng(struct error *e, int rv, const char *what); /* returns a code or -errno */

/* channel_listen.c */
void listener_accept(struct listener *l);
void listener_close(struct listener *l);
struct listener *listener_free(struct listener *l);
void url_kind(const char *url, bool *ret_framed_as_ipc, bool *ret_try_first);

/* channel_receive.c */
void channel_receive(struct channel *c);            /* reads on, where it is to be read */
bool channel_receive_hot(struct channel *c);        /* tries to read; true if anything came */
void channel_receive_cool(struct channel *c);
void on_received(struct op *o);

/* channel_send.c */
int channel_greet(struct channel *c);
void on_sent(struct op *o);
void chunks_free(struct channel *c);
