#pragma once
/* What the processes of one run share: a closed loop, in which each producer may have so many tasks on their way, from its submit to the durable end, and gets a permit back
 * for each that has ended. That it ended is told beside the peer, through an eventfd: it costs the peer nothing. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_MAX 16u
#define FLOW_PAYLOAD 256u

struct flow {
	unsigned n, outstanding;                   /* producers, and as many consumers; permits of all */
	bool open;                                 /* a fill: an end gives no permit back */
	int permits[FLOW_MAX], work;               /* eventfds */
	_Atomic uint64_t accepted[FLOW_MAX], finished[FLOW_MAX]; /* tasks, by producer */
};
struct flow *flow_new(unsigned n, unsigned outstanding, bool open);
struct flow *flow_free(struct flow *f);            /* NULL */
uint64_t flow_accepted(const struct flow *f);
uint64_t flow_finished(const struct flow *f);

/* Of a producer. The permits that there are, taken; wait: at least one. */
uint64_t flow_take(struct flow *f, unsigned index, bool wait);
int flow_fd(const struct flow *f, unsigned index); /* readable while there are permits */
/* The text of its next task: letters and digits, FLOW_PAYLOAD of them, unlike any other's. */
void flow_payload(unsigned index, uint64_t number, char *ret);
/* These many were acknowledged. work: tells consumers that wait in flow_work. */
void flow_accept(struct flow *f, unsigned index, uint64_t n, bool work);

/* Of a consumer. */
void flow_work(struct flow *f);                    /* waits until there was a flow_accept with work since it last returned */
unsigned flow_owner(const char *payload);          /* the producer */
void flow_finish(struct flow *f, const uint64_t *n_by_producer); /* these have ended; array of FLOW_MAX */
