#pragma once
/* What a queue and the node may start and take in: rates, running at a time, lengths. */
#include "actors/coordinator/ledger.h"

struct coordinator;
struct queue;

/* May it start one more now? False: *ret_wait_ms says when it may, by the clock alone; TIME_NEVER: when something ends. */
bool limit_queue(const struct coordinator *c, const struct queue *q, uint64_t now_ms, uint64_t *ret_wait_ms);
bool limit_node(const struct coordinator *c);         /* may anything start? */
void limit_take(struct queue *q, uint64_t now_ms);    /* an attempt begins */
/* Does the queue take n tasks of so many bytes more? 0, ERROR_BUSY, ERROR_TOO_LARGE with e filled. */
int limit_admit(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes, struct error *e);
int limit_drop(struct turn *t, struct coordinator *c, struct queue *q, uint64_t n, uint64_t bytes); /* what must go for them, where the policy drops */
uint64_t oldest_ready_ms(struct turn *t, struct coordinator *c, const struct queue *q); /* age; 0: none */
