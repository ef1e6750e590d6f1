/* A node of a benchmark's own: its files, its processes, its log. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCENDANTS_MAX 4096u

/* --- start and stop --- */

static void node_exec(const struct bench_node *n, const char *config, int ready_fd, int log_fd)
{
	char ready[32];
	snprintf(ready, sizeof(ready), "--ready-fd=%d", ready_fd);
	setenv("TROUPE_LIBEXECDIR", BENCH_BUILD "/libexec", 1);
	MUST(dup2(log_fd, STDERR_FILENO) >= 0);
	execl(BENCH_BUILD "/supervisor/trouped", "trouped", "-c", config, ready, (char *)NULL);
	bench_fail(__FILE__, __LINE__, "exec of trouped");
}

static void node_write(const struct bench_node *n, const char *queues, const char *children)
{
	char config[128], state[128];
	snprintf(state, sizeof(state), "%s/state", n->dir);
	snprintf(config, sizeof(config), "%s/conf", n->dir);
	MUST(mkdir(n->run_dir, 0700) == 0 && mkdir(state, 0700) == 0);
	FILE *f = fopen(config, "w");
	MUST(f && fprintf(f, "run_dir = \"%s\"\nstate_dir = \"%s\"\nuser = \"\"\n%s\nsupervisor \"root\" {\n  actor \"topic:events\" { }\n"
	                     "  actor \"coordinator:main\" { }\n  actor \"front:main\" { }\n%s\n}\n", n->run_dir, state, queues, children) > 0);
	MUST(fclose(f) == 0);
}

static void node_launch(struct bench_node *n, bool follow)
{
	char config[128], log[128], c;
	int ready[2], pair[2] = { -1, -1 };
	snprintf(config, sizeof(config), "%s/conf", n->dir);
	snprintf(log, sizeof(log), "%s/log", n->dir);
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

void node_start(struct bench_node *n, const char *queues, const char *children, bool follow)
{
	*n = (struct bench_node){ .log_fd = -1 };
	bench_dir(n->dir, sizeof(n->dir));
	snprintf(n->run_dir, sizeof(n->run_dir), "%s/run", n->dir);
	node_write(n, queues, children);
	node_launch(n, follow);
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

/* --- kill and start again --- */

/* pid and all below it, parents first. */
static unsigned descendants(pid_t pid, pid_t *ret, unsigned n)
{
	char path[96];
	pid_t child;
	MUST(n < DESCENDANTS_MAX);
	ret[n++] = pid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *f = fopen(path, "r");
	while (f && fscanf(f, "%d", &child) == 1)
		n = descendants(child, ret, n);
	if (f)
		fclose(f);
	return n;
}

void node_kill(struct bench_node *n)
{
	static pid_t all[DESCENDANTS_MAX];
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* the orphans become ours, so that their ends are seen */
	unsigned count = descendants(n->pid, all, 0);
	for (unsigned i = 0; i < count; i++)
		kill(all[i], SIGKILL);
	for (unsigned i = 0; i < count; i++)
		while (waitpid(all[i], NULL, 0) < 0 && errno == EINTR)
			continue;
	if (n->log_fd >= 0)
		close(n->log_fd);
}

void node_again(struct bench_node *n)
{
	node_launch(n, false);
}

/* --- what can be seen of it --- */

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
