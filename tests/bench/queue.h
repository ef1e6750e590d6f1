#pragma once
/* A queue of a node, as benchmarks fill it, empty it and look at it. */
#include <stdint.h>
#include "tests/bench/bench.h"

struct queue_counts { uint64_t scheduled, ready, running, completed; };
struct queue_counts queue_counts(struct client *c, const char *queue);
void queue_order(struct client *c, const char *queue, Troupe__QueueOrder__Op op);

/* What is special about a task, and the memory that it needs; lives until the submit has been packed. */
struct queue_special { Troupe__Level level; char key[32]; };
typedef void queue_shape(void *ctx, uint64_t i, Troupe__TaskSpec *spec, struct queue_special *s);
/* Submits n tasks of 256 bytes in chunks of at most 1,000, with 4 chunks on their way; returns when all are acknowledged: the time that took, in seconds. shape may be NULL; the
 * first task is the first-th. */
double queue_fill(struct client *c, const char *queue, uint64_t first, uint64_t n, queue_shape *shape, void *ctx);
/* Until so many have been completed in all; fails when nothing moves for long. Returns the time, as now_us(). */
double queue_await(struct client *c, const char *queue, uint64_t completed);
