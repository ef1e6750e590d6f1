#pragma once
/* One epoll loop: the only place where a process of this project waits. Single-threaded.
 *
 *   loop_run(l, tick, ctx): now = clock; deadline = tick(ctx, now); wait until then; dispatch what is ready; repeat
 *
 * Everything that is due is done in tick, which returns the absolute monotonic millisecond at which it wants to be called again at the latest;
 * there are no timer objects. Sources are embedded in their owners. */
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;
struct loop_source {
	int fd;                                                   /* owned by the embedder */
	void (*ready)(struct loop_source *s, uint32_t events);    /* EPOLL* bits */
	uint32_t events;                                          /* set by loop_add and loop_modify */
	struct loop *loop;                                        /* NULL while not in a loop */
};
int loop_open(struct loop **ret);                          /* 0 or -errno */
int loop_fd(const struct loop *l);                         /* readable when loop_once(l, 0) has work: a loop can sit inside another */
struct loop *loop_close(struct loop *l);                   /* returns NULL; sources must have been removed */
int loop_add(struct loop *l, struct loop_source *s, int fd, uint32_t events, void (*ready)(struct loop_source *, uint32_t));
int loop_modify(struct loop_source *s, uint32_t events);
/* Before its fd is closed. Also inside a dispatch: no later event of this round reaches s. No-op when not in a loop. */
void loop_remove(struct loop_source *s);

/* Blocks these signals and delivers them as calls of on_signal from the loop. Call before the first thread or child exists. A second call
 * replaces the set (what was blocked stays blocked) and the function. */
int loop_signals(struct loop *l, const sigset_t *set, void (*on_signal)(void *ctx, const struct signalfd_siginfo *si), void *ctx);

/* One round: waits until deadline_ms (TIME_NEVER: for ever; past: polls), dispatches. Returns the number of sources dispatched or -errno. */
int loop_once(struct loop *l, uint64_t deadline_ms);
int loop_run(struct loop *l, uint64_t (*tick)(void *ctx, uint64_t now_ms), void *ctx); /* until loop_stop; returns its code, or -errno */
void loop_stop(struct loop *l, int code);                  /* the round that is being dispatched is finished */
uint64_t loop_now_ms(const struct loop *l);                /* monotonic, read after the wait and before the tick */
/* How long this process was not listening before this round, beyond what it wanted: the time between the last wait and this one, plus how late
 * this one returned against its deadline. Hang deadlines must be moved by it: an answer may have been waiting for us. */
uint64_t loop_lateness_ms(const struct loop *l);
