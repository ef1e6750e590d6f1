/* Runs the pipeline over both transports, in turns, and prints a table. usage: pipeline [ROUNDS [SECONDS [DIR]]] */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "tests/bench/pipeline.h"

#define ROUNDS_MAX 32

struct shape { unsigned n, outstanding; };                   /* n clients and n workers */
struct result { double rate, cpu_us, batch; };               /* tasks a second, coordinator's CPU a task, tasks a commit */

void bench_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, what, strerror(errno));
	_exit(1);
}

static void pass(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
	while (nanosleep(&t, &t) < 0)
		MUST(errno == EINTR);
}

static pid_t child(void)
{
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

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

static double cpu_s(pid_t pid)
{
	char path[64], line[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	MUST(f && fgets(line, sizeof(line), f));
	fclose(f);
	unsigned long user, system;
	const char *behind_name = strrchr(line, ')');
	MUST(behind_name && sscanf(behind_name, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static struct result measure(const struct transport *t, struct shape shape, double seconds, const char *base)
{
	char dir[128], path[160], command[160];
	snprintf(dir, sizeof(dir), "%s/troupe-pipeline-XXXXXX", base);
	MUST(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(s != MAP_FAILED);
	pid_t pids[33];
	unsigned n_pids = 0;

	if ((pids[n_pids++] = child()) == 0) {
		coordinator_run(t, s, dir, path, shape.n);
		_exit(0);
	}
	listener_await(path);
	for (unsigned i = 0; i < shape.n; i++)
		if ((pids[n_pids++] = child()) == 0)
			worker_run(t, path);
	while (!s->ready)
		pass(0.005);
	for (unsigned i = 0; i < shape.n; i++)
		if ((pids[n_pids++] = child()) == 0)
			client_run(t, s, path, i, shape.outstanding / shape.n);

	pass(0.3);
	uint64_t from_us = clock_mono_us(), tasks = finished(s), commits = s->commits;
	double cpu = cpu_s(pids[0]);
	pass(seconds);
	double us = (double)(clock_mono_us() - from_us);
	cpu = cpu_s(pids[0]) - cpu;
	tasks = finished(s) - tasks;
	commits = s->commits - commits;

	for (unsigned i = n_pids; i-- > 0;) {
		kill(pids[i], SIGKILL);
		MUST(waitpid(pids[i], NULL, 0) == pids[i]);
	}
	munmap(s, sizeof(*s));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	MUST(system(command) == 0);
	MUST(tasks > 0);
	return (struct result){ (double)tasks / us * 1e6, cpu * 1e6 / (double)tasks, 2.0 * (double)tasks / (double)commits };
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(v[0]), less);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int main(int argc, char **argv)
{
	static const struct shape shapes[] = { { 1, 256 }, { 1, 1024 }, { 4, 256 }, { 4, 1024 } };
	static const struct transport *const transports[] = { &transport_raw, &transport_peer };
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	double seconds = argc > 2 ? atof(argv[2]) : 1.5;
	const char *base = argc > 3 ? argv[3] : getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	MUST(rounds >= 1 && rounds <= ROUNDS_MAX);

	static struct result results[ELEMENTS(shapes)][2][ROUNDS_MAX];
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ELEMENTS(shapes); i++)
			for (unsigned j = 0; j < 2; j++)
				results[i][(j + r) % 2][r] = measure(transports[(j + r) % 2], shapes[i], seconds, base);

	printf("pipeline: client -> coordinator -> worker -> coordinator -> client, %u rounds of %.1f s each, medians\n", rounds, seconds);
	printf("%-10s %12s | %12s %9s %7s | %12s %9s %7s | %s\n", "processes", "outstanding", "raw tasks/s", "cpu us", "batch", "peer tasks/s", "cpu us", "batch",
	       "peer/raw (least to most)");
	for (unsigned i = 0; i < ELEMENTS(shapes); i++) {
		double rate[2], cpu[2], batch[2], ratios[ROUNDS_MAX], v[ROUNDS_MAX];
		for (unsigned j = 0; j < 2; j++) {
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].rate;
			rate[j] = median(v, rounds);
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].cpu_us;
			cpu[j] = median(v, rounds);
			for (unsigned r = 0; r < rounds; r++)
				v[r] = results[i][j][r].batch;
			batch[j] = median(v, rounds);
		}
		for (unsigned r = 0; r < rounds; r++)
			ratios[r] = results[i][1][r].rate / results[i][0][r].rate;
		double ratio = median(ratios, rounds); /* sorts */
		printf("%u + %-6u %12u | %12.0f %9.2f %7.0f | %12.0f %9.2f %7.0f | %.2f (%.2f to %.2f)\n", shapes[i].n, shapes[i].n, shapes[i].outstanding, rate[0],
		       cpu[0], batch[0], rate[1], cpu[1], batch[1], ratio, ratios[0], ratios[rounds - 1]);
	}
	return 0;
}
