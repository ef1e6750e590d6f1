#include "supervisor/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define PATH_ROOM 1024
#define FILE_MAX (1u << 20)

/* The mount point of version 2, and our own group in it. */
static bool find(char *mount, size_t mount_size, char *path, size_t path_size)
{
	_cleanup_(freep) char *mounts = NULL;
	_cleanup_(freep) char *own = NULL;
	size_t len;
	if (file_read_all("/proc/self/mountinfo", FILE_MAX, &mounts, &len) != 0 || file_read_all("/proc/self/cgroup", FILE_MAX, &own, &len) != 0)
		return false;
	bool found = false;
	for (char *line = mounts, *next; line && *line && !found; line = next) {
		char root[256], at[256];
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		found = strstr(line, " - cgroup2 ") && sscanf(line, "%*d %*d %*s %255s %255s", root, at) == 2 && snprintf(mount, mount_size, "%s", at) < (int)mount_size;
	}
	char *group = strncmp(own, "0::", 3) == 0 ? own : strstr(own, "\n0::");
	if (!found || !group)
		return false;
	group = strstr(group, "0::") + 3;
	group[strcspn(group, "\n")] = 0;
	return snprintf(path, path_size, "%s", group) < (int)path_size;
}

static void name(const struct cgroup *c, uint64_t incarnation, const char *file, char out[PATH_ROOM])
{
	snprintf(out, PATH_ROOM, "%s/%" PRIu64 "%s%s", c->base, incarnation, *file ? "/" : "", file);
}

static bool write_file(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static void kill_all(const char *group)
{
	char path[PATH_ROOM + 32];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	snprintf(path, sizeof path, "%s/cgroup.kill", group);
	if (write_file(path, "1"))
		return;
	snprintf(path, sizeof path, "%s/cgroup.procs", group); /* before Linux 5.14 */
	if (file_read_all(path, FILE_MAX, &text, &len) != 0)
		return;
	for (char *at = text, *end;; at = end) {
		long pid = strtol(at, &end, 10);
		if (end == at)
			return;
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
}

/* Goes over all groups; the empty ones are removed, of the others everybody is killed first where that is wanted. */
static void each_group(const struct cgroup *c, bool kill_first)
{
	DIR *d = opendir(c->base);
	for (struct dirent *e; d && (e = readdir(d));) {
		char group[PATH_ROOM];
		if (e->d_type != DT_DIR || e->d_name[0] == '.' || snprintf(group, sizeof group, "%s/%s", c->base, e->d_name) >= (int)sizeof group)
			continue;
		if (kill_first)
			kill_all(group);
		rmdir(group);
	}
	if (d)
		closedir(d);
}

void cgroup_open_at(struct cgroup *c, const char *mount, const char *path, const char *node)
{
	c->base[0] = 0;
	if (strcmp(path, "/") == 0 || *path != '/')
		return;
	if (snprintf(c->base, sizeof c->base, "%s%s/troupe.%.12s", mount, path, node) >= (int)sizeof c->base || (mkdir(c->base, 0755) != 0 && errno != EEXIST)) {
		c->base[0] = 0;
		return;
	}
	each_group(c, true); /* what an earlier life left */
}

void cgroup_open(struct cgroup *c, const char *node)
{
	char mount[256], path[256];
	c->base[0] = 0;
	if (find(mount, sizeof mount, path, sizeof path))
		cgroup_open_at(c, mount, path, node);
}

void cgroup_close(struct cgroup *c)
{
	if (!cgroup_used(c))
		return;
	each_group(c, true);
	rmdir(c->base);
	c->base[0] = 0;
}

void cgroup_tidy(const struct cgroup *c)
{
	if (cgroup_used(c))
		each_group(c, false);
}

int cgroup_make(const struct cgroup *c, uint64_t incarnation)
{
	char path[PATH_ROOM];
	if (!cgroup_used(c))
		return -1;
	name(c, incarnation, "", path);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return -1;
	name(c, incarnation, "cgroup.procs", path);
	return open(path, O_WRONLY | O_CLOEXEC);
}

void cgroup_kill(const struct cgroup *c, uint64_t incarnation)
{
	char path[PATH_ROOM];
	if (!cgroup_used(c))
		return;
	name(c, incarnation, "", path);
	kill_all(path);
}

bool cgroup_oom(const struct cgroup *c, uint64_t incarnation)
{
	char path[PATH_ROOM];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	if (!cgroup_used(c))
		return false;
	name(c, incarnation, "memory.events.local", path);
	if (file_read_all(path, FILE_MAX, &text, &len) != 0)
		return false;
	const char *kills = strstr(text, "oom_kill ");
	return kills && strtoull(kills + 9, NULL, 10) > 0;
}

bool cgroup_empty(const struct cgroup *c, uint64_t incarnation)
{
	char path[PATH_ROOM];
	_cleanup_(freep) char *text = NULL;
	size_t len;
	if (!cgroup_used(c))
		return true;
	name(c, incarnation, "cgroup.events", path);
	int r = file_read_all(path, FILE_MAX, &text, &len);
	if (r == -ENOENT)
		return true;
	return r == 0 && strstr(text, "populated 0") != NULL;
}

void cgroup_remove(const struct cgroup *c, uint64_t incarnation)
{
	char path[PATH_ROOM];
	if (!cgroup_used(c))
		return;
	name(c, incarnation, "", path);
	rmdir(path);
}
