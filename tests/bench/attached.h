#pragma once
/* Workers from outside the tree, many in one process, which do nothing: they say of each task at once that it has begun and is done. */
#include "tests/bench/bench.h"

struct attached { unsigned n, slots, idle; }; /* n serve the queue "noop"; idle serve "other" */
/* Runs until it is killed. A byte to up_fd when all have been answered. ctx: the struct. For load_run_crew. */
void attached_run(const struct bench_node *n, void *ctx, int up_fd);
