#pragma once
/* Private to libtroupe, the public half of common/troupe: a connection, and the calls that are under way on it. The engine below is client.h's.
 *
 * A call is one public operation: a submit, a wait, a subscription. It has at most one request outstanding; its on_answer ends it, asks again, or has itself woken
 * later. Each file of a subject embeds a struct call as the first member of its own. */
#include <sys/queue.h>
#include <sys/types.h>
#include "common/troupe/client.h"
#include "common/wire/codec.h"
#include "common/troupe/troupe.h"

struct call {
	TAILQ_ENTRY(call) entry;
	struct troupe *troupe;
	/* An answer, or an error; when the connection ends (troupe->closing) it is STOPPING, and the call must end. */
	void (*on_answer)(struct call *c, const struct client_answer *a);
	void (*on_again)(struct call *c);   /* at again_at_ms; NULL: it never asks for that */
	void (*release)(struct call *c);    /* what hangs on it, not itself; NULL: nothing */
	uint64_t again_at_ms;               /* monotonic, or TIME_NEVER */
	bool asked;                         /* a request of it is outstanding */
	bool held;                          /* the caller has a pointer to it: it ends behind those that may use it in their callbacks */
	bool dropped;                       /* nobody is interested: it is freed when its request has ended */
};
TAILQ_HEAD(calls, call);

struct watch;                               /* notify.c */
LIST_HEAD(watches, watch);

struct troupe {
	struct client *client;
	pid_t pid;                          /* that made it */
	char coordinator[192];
	struct troupe_options options;      /* the callbacks of */
	struct calls calls;
	uint64_t again_ms;                  /* the earliest again_at_ms, or before it */
	unsigned calling;                   /* callbacks that we are in */
	bool closing;
	struct watches *watches;            /* buckets; NULL until something is watched */
	size_t n_watches;
};

/* --- errors (error.c) --- */
/* Every public function returns through this: fills out (may be NULL) from e, or from the errno in a negative code. */
int error_give(int code, const struct error *e, struct troupe_error *out);
void error_public(const struct error *e, struct troupe_error *out);
/* 0; ERROR_STATE: after a fork. */
int troupe_check(const struct troupe *t, struct error *e);
/* The same for what blocks; ERROR_STATE also inside a callback. */
int troupe_check_blocking(const struct troupe *t, struct error *e);
/* The size of a struct that the caller filled: 0 or ERROR_VERSION. */
int size_check(size_t size, size_t known, const char *what, struct error *e);

/* --- calls (call.c) --- */
/* A call of size bytes, in t's list. NULL without memory. */
void *call_new(struct troupe *t, size_t size, void (*on_answer)(struct call *c, const struct client_answer *a));
/* Starts its request: q without on_answer and ctx. Its strings are UTF-8: what is not would end the connection again and again. Codes as client_start. */
int call_ask(struct call *c, struct client_request *q, struct error *e);
void call_again(struct call *c, uint64_t at_ms);   /* on_again at that monotonic time */
void call_free(struct call *c);
/* Nobody wants its end any more: it goes now, or when its request has ended. */
void call_drop(struct call *c);
/* Runs until *done, or the monotonic time. 0, or a negative errno. */
int troupe_run_until(struct troupe *t, const bool *done, uint64_t until_ms);
int troupe_round(struct troupe *t, uint64_t until_ms);
void calls_end(struct troupe *t);                  /* at the disconnect */
/* The message of an answer where it is that one; else NULL, and e says why. */
const Troupe__Envelope *answer_of(const struct client_answer *a, Troupe__Envelope__BodyCase want, struct error *e);

/* --- what tasks are in messages (task.c, result.c) --- */
int task_spec(const struct troupe_task *task, const struct troupe_id *id, struct arena *a, Troupe__TaskSpec *ret, struct error *e);
bool id_is_zero(const struct troupe_id *id);
bool id_read(const ProtobufCBinaryData *b, struct troupe_id *ret); /* false: it has not 16 bytes */
/* References to n ids, pointing into them, in one block to free. NULL without memory. */
Troupe__TaskRef **refs_new(const struct troupe_id *ids, size_t n);
int names_check(const struct troupe_id *ids, size_t n, const char *what, struct error *e);
bool task_is_final(const Troupe__Task *task);
void result_view(const Troupe__Task *task, struct troupe_result *ret); /* points into task */
struct troupe_result *result_copy(const Troupe__Task *task);           /* one block; NULL without memory */

/* --- notices (notify.c) --- */
int notify_room(const struct troupe *t, size_t n, struct error *e);
/* The task was accepted with notify. unsure: it was there already, so that its end may have been told to nobody. */
int notify_add(struct troupe *t, const struct troupe_id *id, bool unsure);
void notify_ask(struct troupe *t);                 /* about all of which it is unsure */
void notify_lost(struct troupe *t);                /* the coordinator's connection has ended */
void notify_push(struct troupe *t, const Troupe__Finished *f);
void notify_free(struct troupe *t);
