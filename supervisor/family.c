#include "supervisor/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define ROUNDS 8
#define LOOK_MAX 4096

/* The parent of pid by /proc/pid/stat; 0 where it is gone. The name in it may hold anything, so fields are counted from the last ')'. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	char *end = strrchr(text, ')');
	int parent = 0;
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static unsigned look_at_proc(pid_t *out, unsigned max)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;
	pid_t self = getpid();
	for (struct dirent *e; d && n < max && (e = readdir(d));) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);
		if (*end == 0 && pid > 0 && parent_of((pid_t)pid) == self)
			out[n++] = (pid_t)pid;
	}
	if (d)
		closedir(d);
	return n;
}

static unsigned look(pid_t *out, unsigned max)
{
	char path[64];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	if (file_read_all(path, 1 << 20, &text, &len) != 0)
		return look_at_proc(out, max);
	unsigned n = 0;
	for (char *p = text, *end; n < max; p = end) {
		long pid = strtol(p, &end, 10);
		if (end == p)
			break;
		out[n++] = (pid_t)pid;
	}
	return n;
}

static bool kill_and_reap(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0) {
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		close(fd);
	}
	return waitpid(pid, NULL, WNOHANG) == pid;
}

unsigned family_sweep(bool (*known)(pid_t pid, void *ctx), void *ctx, pid_t *ret_pid)
{
	_cleanup_(freep) pid_t *pids = calloc(LOOK_MAX, sizeof *pids);
	unsigned left = 1;
	if (!pids)
		return left;
	for (unsigned round = 0; round < ROUNDS && left > 0; round++) {
		unsigned n = look(pids, LOOK_MAX);
		left = 0;
		for (unsigned i = 0; i < n; i++) {
			if (known(pids[i], ctx))
				continue;
			left++;
			if (!kill_and_reap(pids[i]) && ret_pid)
				*ret_pid = pids[i];
		}
	}
	return left;
}

unsigned family_sweep_node(const char *node)
{
	char tag[64];
	snprintf(tag, sizeof tag, "TROUPE_NODE=%s", node);
	DIR *d = opendir("/proc");
	unsigned found = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		char *end, path[64];
		long pid = strtol(e->d_name, &end, 10);
		if (*end || pid <= 1 || pid == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%ld/environ", pid);
		_cleanup_(freep) char *text = NULL;
		size_t len = 0;
		if (file_read_all(path, 1 << 20, &text, &len) != 0)
			continue;
		for (size_t i = 0; i < len; i += strlen(text + i) + 1) {
			if (strcmp(text + i, tag) == 0) {
				found++;
				kill_and_reap((pid_t)pid);
				break;
			}
		}
	}
	if (d)
		closedir(d);
	return found;
}
