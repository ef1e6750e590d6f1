#pragma once
/* The pipeline: clients -> coordinator (LMDB, one commit per batch) -> resident workers -> coordinator -> clients, with the answer after the commit.
 * The same roles run over two transports, so that their ratio is what the transport costs. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/envelope.pb-c.h"
#include "tests/bench/bench.h"

#define PAYLOAD 256

struct conn; /* of a transport */

struct transport_events {
	void *ctx;
	void (*up)(void *ctx, struct conn *c);
	void (*envelopes)(void *ctx, struct conn *c, Troupe__Envelope **env, size_t n);
};

/* One per process. All fail by abort: this is a measurement. */
struct transport {
	const char *name;
	void (*open)(const struct transport_events *events);
	void (*listen)(const char *path);
	void (*dial)(const char *path);
	void (*wait)(void);          /* for anything to arrive, and hands over all of it */
	void (*send)(struct conn *c, const Troupe__Envelope *env);
	void (*flush)(void);
};
extern const struct transport transport_raw, transport_peer;

/* Shared between the processes of one run. */
struct shared {
	_Atomic bool ready, stop;
	_Atomic uint64_t finished[16]; /* tasks, by client */
	_Atomic uint64_t commits;
};
void coordinator_run(const struct transport *t, struct shared *s, const char *dir, const char *path, unsigned n_workers);
void worker_run(const struct transport *t, const char *path);
void client_run(const struct transport *t, struct shared *s, const char *path, unsigned index, unsigned outstanding);

struct pipeline_result { double rate, cpu_us, batch; };        /* tasks a second, coordinator's CPU a task, tasks a commit */
/* n clients and n workers in processes of their own, for so long. */
struct pipeline_result pipeline_run(const struct transport *t, unsigned n, unsigned outstanding, double seconds);
