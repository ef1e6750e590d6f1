#include "supervisor/dev.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"

/* From a build tree the programs are in ../libexec. */
static void find_programs(void)
{
	char exe[PATH_MAX], path[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (n <= 0)
		return;
	exe[n] = 0;
	for (unsigned i = 0; i < 2; i++) {
		char *slash = strrchr(exe, '/');
		if (slash)
			*slash = 0;
	}
	snprintf(path, sizeof path, "%s/libexec", exe);
	if (access(path, X_OK) == 0)
		setenv("TROUPE_LIBEXECDIR", path, 0);
}

int dev_prepare(char **ret_dir, char **ret_config, struct error *e)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_(freep) char *dir = NULL;
	struct stat st;
	if (asprintf(&dir, "%s/troupe-dev.%u", tmp && *tmp == '/' ? tmp : "/tmp", (unsigned)geteuid()) < 0)
		return error_set(e, ERROR_INTERNAL, "no memory");
	/* Anybody may write to /tmp: what is there already must be a directory of ours, and no link to one. */
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return error_set(e, ERROR_NOT_ALLOWED, "%s cannot be made: %s", dir, strerror(errno));
	if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return error_set(e, ERROR_NOT_ALLOWED, "%s is there and is not a private directory of uid %u", dir, (unsigned)geteuid());
	find_programs();
	if (asprintf(ret_config,
	             "run_dir = \"%s/run\"\nstate_dir = \"%s/state\"\nuser = \"\"\nqueue \"default\" { }\n"
	             "supervisor \"root\" {\n  actor \"topic:events\" { }\n  actor \"coordinator:main\" { }\n  actor \"front:main\" { }\n"
	             "  pool \"default\" { size = 2  mode = exec  queues = {\"default\"} }\n}\n",
	             dir, dir) < 0)
		return error_set(e, ERROR_INTERNAL, "no memory");
	*ret_dir = steal(&dir);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	remove(path);
	return 0;
}

void dev_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
