#include "tests/bench/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void bench_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, what, strerror(errno));
	_exit(1);
}

/* --- figures --- */

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double median(double *v, size_t n)
{
	MUST(n > 0);
	qsort(v, n, sizeof(v[0]), less);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double percentile(double *v, size_t n, unsigned p)
{
	MUST(n > 0 && p <= 100);
	qsort(v, n, sizeof(v[0]), less);
	size_t at = (n * p + 99) / 100;
	return v[at ? at - 1 : 0];
}

double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void pass(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
	while (nanosleep(&t, &t) < 0)
		MUST(errno == EINTR);
}

/* --- places and processes --- */

void bench_dir(char *ret, size_t size)
{
	const char *base = getenv("TMPDIR");
	MUST((size_t)snprintf(ret, size, "%s/troupe-bench-XXXXXX", base ? base : "/var/tmp") < size);
	MUST(mkdtemp(ret));
}

void bench_dir_remove(const char *dir)
{
	char command[200];
	MUST((size_t)snprintf(command, sizeof(command), "rm -rf '%s'", dir) < sizeof(command));
	MUST(system(command) == 0);
}

pid_t bench_child(void)
{
	pid_t pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

void bench_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	MUST(waitpid(pid, NULL, 0) == pid);
}

void *bench_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return p;
}

pid_t bench_apart(void (*run)(int fd, void *ctx), void *ctx, int *ret_fd)
{
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	pid_t pid = bench_child();
	if (pid == 0) {
		close(pair[0]);
		run(pair[1], ctx);
		_exit(0);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

bool read_whole(int fd, void *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, (char *)data + at, len - at);
		if (n == 0)
			return false;
		MUST(n > 0 || errno == EINTR);
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

void write_whole(int fd, const void *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);
		MUST(n > 0 || errno == EINTR);
		at += n > 0 ? (size_t)n : 0;
	}
}

double process_cpu_s(pid_t pid)
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

double process_memory_mib(pid_t pid, const char *field)
{
	char path[64], line[128];
	double kib = -1;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	MUST(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = atof(line + strlen(field));
	fclose(f);
	MUST(kib >= 0);
	return kib / 1024;
}

void bench_await(pid_t pid)
{
	int status;
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
