#pragma once
/* Workers from outside the tree, many in one process, which do nothing: they say of each task at once that it has begun and is done. */
#include "tests/bench/bench.h"

struct attached { unsigned n, slots, idle; uint64_t run_us; }; /* n serve the queue "noop"; idle serve "other"; how long they say that a task took */
#define ATTACHED_CREWS 3u
/* What is compared: few with many slots, the same among many that have nothing to do, and many with one slot. */
extern const struct attached_crew { const char *row; struct attached what; } attached_crews[ATTACHED_CREWS];
/* Runs until it is killed. A byte to up_fd when all have been answered. ctx: the struct. For load_run_crew. */
void attached_run(const struct bench_node *n, void *ctx, int up_fd);

/* The words themselves. The number-th worker's Attach, which points into instance and queue; */
void attached_introduce(const struct attached *what, unsigned number, struct id *instance, char **queue, Troupe__Attach *ret);
/* and what it says when it is given these tasks: each is a message for an envelope. */
void attached_do(const struct attached *what, const Troupe__Run *run, void (*say)(void *ctx, Troupe__Envelope__BodyCase body, void *message), void *ctx);
