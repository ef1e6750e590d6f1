/* The life of a server, whichever it is. */
#include "tests/bench/peers/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "tests/bench/bench.h"

#define START_MS 30000u

bool server_found(const struct server_kind *kind)
{
	if (kind->found())
		return true;
	fprintf(stderr, "%s is not on this machine: its rows are left out; tests/bench/peers/install installs %s\n", kind->name, kind->package);
	return false;
}

static int try_connect(const struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd >= 0 && strlen(s->socket) < sizeof(a.sun_path));
	strcpy(a.sun_path, s->socket);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

int server_connect(const struct server *s)
{
	int fd = try_connect(s);
	MUST(fd >= 0);
	return fd;
}

static bool answers(const struct server *s)
{
	if (s->kind->answers)
		return s->kind->answers(s);
	int fd = try_connect(s);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void log_to(const struct server *s)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/log", s->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	MUST(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0);
}

void server_start(const struct server_kind *kind, struct server *ret)
{
	*ret = (struct server){ .kind = kind };
	bench_dir(ret->dir, sizeof(ret->dir));
	snprintf(ret->socket, sizeof(ret->socket), "%s/%s", ret->dir, kind->socket);
	if (kind->prepare)
		kind->prepare(ret);
	if ((ret->pid = bench_child()) == 0) {
		log_to(ret);
		kind->exec(ret);
		_exit(127);
	}
	for (uint64_t end_ms = clock_mono_ms() + START_MS; !answers(ret); pass(0.005)) {
		if (waitpid(ret->pid, NULL, WNOHANG) == 0 && clock_mono_ms() < end_ms)
			continue;
		fprintf(stderr, "%s did not start; its log is in %s\n", kind->name, ret->dir);
		_exit(1);
	}
	sync(); /* what its start has written is not part of what is measured */
}

void server_stop(struct server *s)
{
	MUST(kill(s->pid, s->kind->stop_signal) == 0);
	MUST(waitpid(s->pid, NULL, 0) == s->pid);
	bench_dir_remove(s->dir);
}
