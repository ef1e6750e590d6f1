#pragma once
/* The tool's conversation with a node: messages of proto/ over libtroupe, which takes and gives them packed. Everything else that the tool wants of a node it has from
 * <troupe.h>, as any program does. One thread; callbacks run inside talk_ask, talk_poll, talk_settle and talk_flush, and may start but not wait. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"
#include "proto/envelope.pb-c.h"

#define TALK_TIMEOUT_MS 10000u   /* of asks that name none */

struct talk;
struct talk_config {
	const char *run_dir;     /* NULL: the library's choice */
	const char *program;
	uint64_t timeout_ms;     /* of asks that name none; 0: TALK_TIMEOUT_MS */
	void (*on_push)(void *ctx, const Troupe__Envelope *env);         /* what answers nothing; env lives until the return */
	void (*on_link)(void *ctx, const char *address, bool up);
	void *ctx;
};
int talk_open(const struct talk_config *config, struct talk **ret, struct error *e); /* opens no connection yet; 0, a code, or -errno */
struct talk *talk_close(struct talk *t);         /* calls nobody back. Returns NULL; NULL is accepted */
const char *talk_dir(const struct talk *t);      /* the node's run directory */
struct id talk_id(struct talk *t);               /* a fresh one */

struct talk_answer {
	struct arena *arena;             /* of env; keep with arena_ref */
	const Troupe__Envelope *env;     /* NULL with an error */
	const struct error *error;       /* NULL with an answer */
	uint64_t took_us;
};
struct talk_request {
	const char *to;                  /* NULL: the supervisor */
	Troupe__Envelope *env;           /* packed at once */
	uint64_t timeout_ms;             /* 0: the connection's; TIME_NEVER: none */
	bool once;                       /* not sent again over a lost connection, whatever the verb allows */
	void (*on_answer)(void *ctx, const struct talk_answer *a);   /* once, later; never after talk_close */
	void *ctx;
};
int talk_start(struct talk *t, const struct talk_request *r, struct error *e);
/* 0 with the answer and its arena, which the caller unrefs; or a code. */
int talk_ask(struct talk *t, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, struct arena **ret_arena, const Troupe__Envelope **ret, struct error *e);
int talk_tell(struct talk *t, const char *to, Troupe__Envelope *env, struct error *e);
int talk_reach(struct talk *t, const char *to, uint64_t timeout_ms, struct error *e); /* until the first connection to an actor stands */

int talk_poll(struct talk *t, uint64_t until_ms);        /* one round, at most until that monotonic time; 0: does not wait */
int talk_fd(const struct talk *t);
uint64_t talk_deadline_ms(const struct talk *t);         /* monotonic; when to poll at the latest */
size_t talk_outstanding(const struct talk *t);
int talk_settle(struct talk *t, struct error *e);        /* until nothing is outstanding */
int talk_flush(struct talk *t, uint64_t timeout_ms, struct error *e);
