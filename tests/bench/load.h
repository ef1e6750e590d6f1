#pragma once
/* Tasks that do nothing, from submit to the news that they are done, on a node of their own with the default configuration: 256 bytes of payload, clients and workers in
 * processes of their own. And the bare loop beside exec workers. */
#include <stdbool.h>
#include <sys/types.h>
#include "tests/bench/bench.h"

#define LOAD_PAYLOAD 256u
#define LANES 2u                 /* of exec workers, and of the loop beside them */
#define AT_ONCE 512u             /* of a resident worker */

struct load_shape { unsigned n, outstanding, at_once; };        /* n clients and n workers; at_once: max of a lines program, 0: exec */
struct load_result { double rate, batch, coordinator_us, workers_us, clients_us; }; /* tasks a second, tasks a commit, CPU a task */

/* For so long, after a while that is not counted. together: a client submits all that it may at this moment in one Submit, otherwise each task alone. The caller has opened
 * no client. */
struct load_result load_run(struct load_shape s, bool together, double seconds);
/* The same without a pool: workers are what crew runs in processes apart, each of which says by one byte to up_fd that they are there. There is a second queue, "other". workers_us is the CPU
 * of those processes. */
#define LOAD_CREWS_MAX 16u
struct load_crew { void (*run)(const struct bench_node *n, void *ctx, int up_fd); void *ctx; unsigned processes; };
struct load_crews { unsigned n; pid_t pids[LOAD_CREWS_MAX]; };
/* They are attached when it returns. */
void load_crews_start(const struct bench_node *n, const struct load_crew *crew, struct load_crews *ret);
void load_crews_stop(struct load_crews *c);
struct load_result load_run_crew(struct load_shape s, bool together, double seconds, const struct load_crew *crew);
/* The pool of such a node, in the words of troupe.conf(5): "noop", serving the queue "noop". */
void load_pool(struct load_shape s, char *ret, size_t size);
/* posix_spawn and wait of /bin/true, on LANES: a second. */
double spawn_run(double seconds);
