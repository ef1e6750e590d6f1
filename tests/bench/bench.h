#pragma once
/* What the benchmarks share: a node of their own, processes apart, percentiles. Everything fails by abort: this is a measurement.
 *
 * A client starts nng's threads, and they do not survive a fork: so a benchmark makes all its processes first, and opens a client last, or only in a child. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/troupe/client.h"
#include "common/wire/codec.h"

#define MUST(x) do { if (!(x)) bench_fail(__FILE__, __LINE__, #x); } while (0)
_Noreturn void bench_fail(const char *file, int line, const char *what);

/* --- figures --- */
double median(double *v, size_t n);                /* sorts */
double percentile(double *v, size_t n, unsigned p); /* sorts; the least value that p % of all do not exceed */
double now_us(void);                               /* monotonic, with its nanoseconds */
void pass(double seconds);

/* --- places and processes --- */
/* A fresh directory below $TMPDIR or /var/tmp: /tmp may be memory, and stores belong on the disk that is measured. */
void bench_dir(char *ret, size_t size);
void bench_dir_remove(const char *dir);
pid_t bench_child(void);                           /* fork; the child dies with us */
void bench_reap(pid_t pid);                        /* kills and waits */
void *bench_shared(size_t size);                   /* memory that children share with us */
/* A process apart that run is given one end of a stream socket in; *ret_fd is the other end. */
pid_t bench_apart(void (*run)(int fd, void *ctx), void *ctx, int *ret_fd);
double process_cpu_s(pid_t pid);                   /* that it has used */
double process_memory_mib(pid_t pid, const char *field); /* a line of its status, such as "RssAnon:" */
void bench_await(pid_t pid);                       /* the child ends by itself, with status 0 */
bool read_whole(int fd, void *data, size_t len);   /* false at the end of the stream */
void write_whole(int fd, const void *data, size_t len);

/* --- a node --- */
struct bench_node {
	char dir[96], run_dir[104];
	pid_t pid;                                 /* of trouped */
	int log_fd;                                /* its standard error, or -1 */
	char log[16384];
	size_t n_log;
};
/* Starts one with topic:events, coordinator:main and front:main, and returns when it is up. queues and children are text of troupe.conf(5): queue sections, and
 * what stands in the root supervisor behind these three. follow: the caller reads the log, with node_log_await, and must not let it lie for long. */
void node_start(struct bench_node *n, const char *queues, const char *children, bool follow);
void node_stop(struct bench_node *n);
/* kill -9 of trouped and of all that descends from it, at once; returns when all are gone. node_again: the same node on the files that are there, when it is up; its log goes
 * to a file. */
void node_kill(struct bench_node *n);
void node_again(struct bench_node *n);
/* The time when the log has had a line with all of the two texts. */
double node_log_await(struct bench_node *n, const char *one, const char *other);
pid_t node_child(const struct bench_node *n, const char *name); /* of the actor with this name that lives now; 0: none */

/* --- a client of it --- */
struct client *node_client(const struct bench_node *n, void (*on_push)(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env), void *ctx);
/* One ask that must succeed. The caller unrefs the arena. */
const Troupe__Envelope *node_ask(struct client *c, const char *to, Troupe__Envelope *env, struct arena **ret);
/* Waits until the coordinator has these many workers that can take tasks; pid: this one is among them, or 0. */
void node_workers_await(struct client *c, unsigned n, pid_t pid);
void spec_init(struct client *c, Troupe__TaskSpec *spec, struct id *id, const char *queue, const void *payload, size_t size);
