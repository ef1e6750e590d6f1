#include "tests/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"

#define START_MS 20000u
#define ASK_MS 30000u

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

/* --- a node --- */

static void node_exec(const struct bench_node *n, const char *config, int ready_fd, int log_fd)
{
	char ready[32];
	snprintf(ready, sizeof(ready), "--ready-fd=%d", ready_fd);
	setenv("TROUPE_LIBEXECDIR", BENCH_BUILD "/libexec", 1);
	MUST(dup2(log_fd, STDERR_FILENO) >= 0);
	execl(BENCH_BUILD "/supervisor/trouped", "trouped", "-c", config, ready, (char *)NULL);
	bench_fail(__FILE__, __LINE__, "exec of trouped");
}

void node_start(struct bench_node *n, const char *queues, const char *children, bool follow)
{
	char config[128], state[128], log[128], c;
	int ready[2], pair[2] = { -1, -1 };
	*n = (struct bench_node){ .log_fd = -1 };
	bench_dir(n->dir, sizeof(n->dir));
	snprintf(n->run_dir, sizeof(n->run_dir), "%s/run", n->dir);
	snprintf(state, sizeof(state), "%s/state", n->dir);
	snprintf(config, sizeof(config), "%s/conf", n->dir);
	snprintf(log, sizeof(log), "%s/log", n->dir);
	MUST(mkdir(n->run_dir, 0700) == 0 && mkdir(state, 0700) == 0);
	FILE *f = fopen(config, "w");
	MUST(f && fprintf(f, "run_dir = \"%s\"\nstate_dir = \"%s\"\nuser = \"\"\n%s\nsupervisor \"root\" {\n  actor \"topic:events\" { }\n"
	                     "  actor \"coordinator:main\" { }\n  actor \"front:main\" { }\n%s\n}\n", n->run_dir, state, queues, children) > 0);
	MUST(fclose(f) == 0);

	MUST(pipe(ready) == 0);
	if (follow)
		MUST(pipe2(pair, O_CLOEXEC) == 0);
	else
		MUST((pair[1] = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) >= 0);
	if ((n->pid = bench_child()) == 0) {
		close(ready[0]);
		node_exec(n, config, ready[1], pair[1]);
	}
	close(ready[1]);
	close(pair[1]);
	n->log_fd = pair[0];
	if (!read_whole(ready[0], &c, 1)) {
		fprintf(stderr, "the node did not start; its log is in %s, or:\n", n->dir);
		if (follow && (n->n_log = (size_t)read(n->log_fd, n->log, sizeof(n->log))) <= sizeof(n->log))
			fwrite(n->log, 1, n->n_log, stderr);
		_exit(1);
	}
	close(ready[0]);
}

void node_stop(struct bench_node *n)
{
	int status;
	char rest[4096];
	MUST(kill(n->pid, SIGTERM) == 0);
	while (n->log_fd >= 0 && read(n->log_fd, rest, sizeof(rest)) > 0)
		continue;
	if (n->log_fd >= 0)
		close(n->log_fd);
	MUST(waitpid(n->pid, &status, 0) == n->pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	bench_dir_remove(n->dir);
}

double node_log_await(struct bench_node *n, const char *one, const char *other)
{
	for (;;) {
		char *end = memchr(n->log, '\n', n->n_log);
		if (end) {
			*end = '\0';
			bool found = strstr(n->log, one) && strstr(n->log, other);
			n->n_log -= (size_t)(end + 1 - n->log);
			memmove(n->log, end + 1, n->n_log);
			if (found)
				return now_us();
			continue;
		}
		MUST(n->n_log < sizeof(n->log));
		ssize_t got = read(n->log_fd, n->log + n->n_log, sizeof(n->log) - n->n_log);
		MUST(got > 0 || (got < 0 && errno == EINTR));
		n->n_log += got > 0 ? (size_t)got : 0;
	}
}

static bool is_named(pid_t pid, const char *name)
{
	char path[64], env[8192], want[224];
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	int want_len = snprintf(want, sizeof(want), "TROUPE_CHILD=%s.", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, env, sizeof(env) - 1);
	close(fd);
	if (n <= 0)
		return false;
	env[n] = '\0';
	for (char *at = env; at < env + n; at += strlen(at) + 1)
		if (strncmp(at, want, (size_t)want_len) == 0)
			return true;
	return false;
}

pid_t node_child(const struct bench_node *n, const char *name)
{
	char path[96];
	pid_t pid, found = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", n->pid, n->pid);
	FILE *f = fopen(path, "r");
	MUST(f);
	while (!found && fscanf(f, "%d", &pid) == 1)
		if (is_named(pid, name))
			found = pid;
	fclose(f);
	return found;
}

/* --- a client of it --- */

struct client *node_client(const struct bench_node *n, void (*on_push)(void *ctx, const char *from, struct arena *arena, const Troupe__Envelope *env), void *ctx)
{
	struct client_config config = { .run_dir = n->run_dir, .program = "bench", .timeout_ms = ASK_MS, .on_push = on_push, .ctx = ctx };
	struct client *c;
	struct error e;
	MUST(client_open(&config, &c, &e) == 0);
	return c;
}

const Troupe__Envelope *node_ask(struct client *c, const char *to, Troupe__Envelope *env, struct arena **ret)
{
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	int code = client_ask(c, to, env, 0, ret, &answer, &e);
	if (code)
		fprintf(stderr, "%s: %s\n", error_name(code), e.text);
	MUST(code == 0);
	return answer;
}

void node_workers_await(struct client *c, unsigned n, pid_t pid)
{
	for (uint64_t end_ms = clock_mono_ms() + START_MS;;) {
		struct arena *arena;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__WorkersAsk ask = TROUPE__WORKERS_ASK__INIT;
		env.body_case = TROUPE__ENVELOPE__BODY_WORKERS_ASK;
		env.workers_ask = &ask;
		const Troupe__Envelope *answer = node_ask(c, "coordinator:main", &env, &arena);
		MUST(answer->body_case == TROUPE__ENVELOPE__BODY_WORKERS);
		unsigned able = 0;
		bool found = pid == 0;
		for (size_t i = 0; i < answer->workers->n_rows; i++) {
			const Troupe__WorkerRow *w = answer->workers->rows[i];
			if (*w->broken || w->draining)
				continue;
			able++;
			found |= (pid_t)w->pid == pid;
		}
		arena_unref(arena);
		if (able >= n && found)
			return;
		MUST(clock_mono_ms() < end_ms);
		pass(0.001);
	}
}

void spec_init(struct client *c, Troupe__TaskSpec *spec, struct id *id, const char *queue, const void *payload, size_t size)
{
	troupe__task_spec__init(spec);
	*id = client_id(c);
	spec->id = (ProtobufCBinaryData){ .len = sizeof(id->b), .data = id->b };
	spec->queue = (char *)(uintptr_t)queue;
	spec->payload = (ProtobufCBinaryData){ .len = size, .data = (uint8_t *)(uintptr_t)payload };
}
