#pragma once
/* Private to common/troupe: a connection to one actor, its waiting and its sent requests. */
#include <sys/queue.h>
#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/peer.h"
#include "common/troupe/client.h"

#define CLIENT_BUCKETS 4096u

TAILQ_HEAD(requests, request);
struct request {
	TAILQ_ENTRY(request) entry;      /* in its link's waiting or sent */
	LIST_ENTRY(request) bucket;      /* by id; asks only */
	struct requests *list;           /* the one it is in */
	struct link *link;
	struct id id;
	uint64_t number;                 /* in the order in which requests were started */
	uint8_t *packed;
	size_t len;
	bool ask, repeat, alone;
	bool counted;                    /* the caller's, not one of our own questions */
	uint64_t deadline_at_ms;         /* monotonic, or TIME_NEVER */
	uint64_t started_us;
	void (*on_answer)(void *ctx, const struct client_answer *a);
	void *ctx;
};
LIST_HEAD(bucket, request);

/* IDLE: nobody needs it. LOCATING: front was asked. DIALLING. UP. RESTING: the last try failed, the next is at retry_at_ms. */
enum link_state { LINK_IDLE, LINK_LOCATING, LINK_DIALLING, LINK_UP, LINK_RESTING };

struct link {
	LIST_ENTRY(link) entry;
	struct client *client;
	char address[192];               /* "" is front */
	enum link_state state;
	struct peer *peer;
	bool was_up;
	uint32_t tries;                  /* since it was last up */
	uint64_t retry_at_ms;
	uint64_t hold_until_ms;          /* up, but its actor is stopping: nothing is sent before this time; 0 = not so */
	const struct request *barrier;   /* sent, and to be answered before anything else is sent; NULL */
	struct error why;                /* of the last failure */
	struct requests waiting, sent;   /* in the order in which they were started */
};
LIST_HEAD(links, link);

struct client {
	char dir[108];
	uint64_t timeout_ms;
	void (*on_push)(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env);
	void (*on_link)(void *ctx, const char *address, bool up);
	void *ctx;
	struct loop *loop;
	struct peer_hub *hub;
	struct rng rng;
	struct id_maker ids;
	struct links links;
	struct bucket by_id[CLIENT_BUCKETS];
	size_t n_asks, n_bytes;
	uint64_t n_started;
	uint64_t deadline_ms;            /* the earliest of everything; TIME_NEVER */
	uint64_t hub_ms;                 /* when the hub wants to be called again */
	uint64_t n_reconnects, n_resends;
	bool closing;
};

/* rundir.c */
/* Says why front cannot be reached, as far as the file system tells: fills e and returns its code. *ret_silent: the socket is there, but nobody answers. */
int rundir_diagnose(const char *dir, const struct error *why, bool *ret_silent, struct error *e);

/* link.c */
struct link *link_get(struct client *c, const char *address);        /* found or made; NULL without memory */
void link_add(struct link *l, struct request *r);                    /* takes r; connects where needed */
void link_send(struct link *l);                                      /* what waits and has credit */
void link_tick(struct link *l, uint64_t now_ms, uint64_t *deadline_ms);
void link_up(struct link *l);
void link_down(struct link *l, const struct error *why);
void link_retry_later(struct link *l, const struct error *why);      /* waits before it asks front again */
void link_fail_all(struct link *l, const struct error *why);

/* client.c */
void request_move(struct request *r, struct requests *to);  /* to the end of another list */
void request_again(struct request *r);                      /* back to what waits of its link, at its old place */
void request_finish(struct request *r, struct arena *arena, const Troupe__Envelope *env, const struct error *error); /* calls back and frees r */
int request_make(struct client *c, const struct client_request *q, bool ask, struct request **ret, struct error *e);
