/* One run of the pipeline: its processes, and what they did in a while. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "tests/bench/pipeline.h"

static uint64_t finished(const struct shared *s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < ELEMENTS(s->finished); i++)
		n += s->finished[i];
	return n;
}

static void listener_await(const char *path)
{
	uint64_t end_ms = clock_mono_ms() + 5000;
	while (access(path, F_OK) != 0) {
		MUST(clock_mono_ms() < end_ms);
		pass(0.001);
	}
	pass(0.02); /* bound, and listening a moment later */
}

struct pipeline_result pipeline_run(const struct transport *t, unsigned n, unsigned outstanding, double seconds)
{
	char dir[128], path[160];
	bench_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	struct shared *s = bench_shared(sizeof(*s));
	pid_t pids[33];
	unsigned n_pids = 0;

	if ((pids[n_pids++] = bench_child()) == 0) {
		coordinator_run(t, s, dir, path, n);
		_exit(0);
	}
	listener_await(path);
	for (unsigned i = 0; i < n; i++)
		if ((pids[n_pids++] = bench_child()) == 0)
			worker_run(t, path);
	while (!s->ready)
		pass(0.005);
	for (unsigned i = 0; i < n; i++)
		if ((pids[n_pids++] = bench_child()) == 0)
			client_run(t, s, path, i, outstanding / n);

	pass(0.3);
	uint64_t from_us = clock_mono_us(), tasks = finished(s), commits = s->commits;
	double cpu = process_cpu_s(pids[0]);
	pass(seconds);
	double us = (double)(clock_mono_us() - from_us);
	cpu = process_cpu_s(pids[0]) - cpu;
	tasks = finished(s) - tasks;
	commits = s->commits - commits;

	for (unsigned i = n_pids; i-- > 0;)
		bench_reap(pids[i]);
	munmap(s, sizeof(*s));
	bench_dir_remove(dir);
	MUST(tasks > 0);
	return (struct pipeline_result){ (double)tasks / us * 1e6, cpu * 1e6 / (double)tasks, 2.0 * (double)tasks / (double)commits };
}
