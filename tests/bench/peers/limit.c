#include "tests/bench/peers/limit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tests/bench/load.h"
#include "tests/bench/queue.h"

#define BARRIERS 200u

double barrier_us(void)
{
	char dir[96], path[128], bytes[LOAD_PAYLOAD] = { 0 };
	double us[BARRIERS];
	bench_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	for (unsigned i = 0; i < BARRIERS; i++) {
		double from_us = now_us();
		write_whole(fd, bytes, sizeof(bytes));
		MUST(fdatasync(fd) == 0);
		us[i] = now_us() - from_us;
	}
	close(fd);
	bench_dir_remove(dir);
	return percentile(us, BARRIERS, 50);
}

static void learn(unsigned n, struct raw_pattern *ret)
{
	static struct bench_node node;
	char pool[512];
	load_pool((struct load_shape){ 1, n, AT_ONCE }, pool, sizeof(pool));
	node_start(&node, "queue \"noop\" { }", pool, false);
	struct client *c = node_client(&node, NULL, NULL);
	queue_fill(c, "noop", 0, n, NULL, NULL); /* also makes the queue and the worker known */
	queue_await(c, "noop", n);
	struct raw_snapshot *before = raw_look(&node);
	queue_fill(c, "noop", n, n, NULL, NULL);
	queue_await(c, "noop", 2 * n);
	raw_compare(before, raw_look(&node), ret);
	client_close(c);
	node_stop(&node);
}

void limit_learn(unsigned n, struct raw_pattern *ret)
{
	struct raw_pattern *shared = bench_shared(sizeof(*shared));
	pid_t pid = bench_child(); /* its client's threads do not come back to us */
	if (pid == 0) {
		learn(n, shared);
		_exit(0);
	}
	bench_await(pid);
	memcpy(ret, shared, sizeof(*ret));
	munmap(shared, sizeof(*shared));
}

static void commits(const char *dir, const struct raw_pattern *p, double seconds, double *ret)
{
	struct raw_store *s = raw_open(dir, p);
	uint64_t n = 0;
	raw_commit(s);
	double from_us = now_us(), end_us = from_us + seconds * 1e6, at_us;
	do {
		raw_commit(s);
		n++;
	} while ((at_us = now_us()) < end_us);
	*ret = (double)n / (at_us - from_us) * 1e6;
}

double limit_run(const struct raw_pattern *p, unsigned n, double seconds)
{
	char dir[96];
	double *rate = bench_shared(sizeof(*rate));
	bench_dir(dir, sizeof(dir));
	pid_t pid = bench_child();
	if (pid == 0) {
		commits(dir, p, seconds, rate);
		_exit(0);
	}
	bench_await(pid);
	bench_dir_remove(dir);
	double tasks = *rate * n;
	munmap(rate, sizeof(*rate));
	return tasks;
}
