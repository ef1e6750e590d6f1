/* Where the node is, and why it cannot be reached. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/cleanup.h"
#include "common/troupe/link.h"

#define RUN_DIR_MAX 80u /* bytes: a socket's path holds 107, and "/a/<number>.<incarnation>" must fit behind it */
#define SYSTEM_RUN_DIR "/run/troupe"

static bool has_front(const char *dir)
{
	char path[128];
	struct stat st;
	return snprintf(path, sizeof path, "%s/front", dir) < (int)sizeof path && stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Of trouped --dev. Anybody may make a directory in /tmp: it must be ours. */
static bool dev_run_dir(char *out, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	char dir[RUN_DIR_MAX + 1];
	struct stat st;
	return snprintf(dir, sizeof dir, "%s/troupe-dev.%u", tmp && *tmp == '/' ? tmp : "/tmp", (unsigned)geteuid()) < (int)sizeof dir &&
	       snprintf(out, size, "%s/run", dir) < (int)size && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && has_front(out);
}

int client_run_dir(const char *given, char *ret, size_t size, struct error *e)
{
	const char *env = getenv("TROUPE_RUN_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	char own[RUN_DIR_MAX + 1] = "", dev[RUN_DIR_MAX + 1];
	if (xdg && *xdg && snprintf(own, sizeof own, "%s/troupe", xdg) >= (int)sizeof own)
		own[0] = '\0';

	const char *dir = SYSTEM_RUN_DIR;
	if (given && *given)
		dir = given;
	else if (env && *env)
		dir = env;
	else if (!has_front(SYSTEM_RUN_DIR) && own[0] && has_front(own))
		dir = own;
	else if (!has_front(SYSTEM_RUN_DIR) && dev_run_dir(dev, sizeof dev))
		dir = dev;
	if (strlen(dir) > RUN_DIR_MAX || strlen(dir) >= size)
		return error_set(e, ERROR_TOO_LARGE, "the run directory %.100s… is longer than %u bytes", dir, RUN_DIR_MAX);
	strcpy(ret, dir);
	return 0;
}

static const char *group_name(gid_t gid, char *out, size_t size)
{
	struct group g, *found = NULL;
	char buffer[4096];
	if (getgrgid_r(gid, &g, buffer, sizeof buffer, &found) == 0 && found)
		snprintf(out, size, "%s", g.gr_name);
	else
		snprintf(out, size, "%u", (unsigned)gid);
	return out;
}

int rundir_diagnose(const char *dir, const struct error *why, bool *ret_silent, struct error *e)
{
	char path[128], group[64];
	struct stat st;
	*ret_silent = false;
	snprintf(path, sizeof path, "%s/front", dir);
	unsigned uid = (unsigned)geteuid();

	if (stat(path, &st) < 0) {
		int code = errno;
		if (code == EACCES) {
			error_set(e, ERROR_NOT_ALLOWED, "uid %u may not look into %s (%s)", uid, dir, strerrorname_np(code));
			error_cure(e, "run it as a member of the node's group (ls -ld %s), or as root", dir);
		} else {
			error_set(e, ERROR_NOT_REACHABLE, "no socket %s (%s), uid %u", path, strerrorname_np(code), uid);
			error_cure(e, "start the node (trouped), or name its directory: --run-dir DIR or TROUPE_RUN_DIR");
		}
	} else if (access(path, W_OK) < 0) {
		error_set(e, ERROR_NOT_ALLOWED, "uid %u may not write to %s, mode %04o (%s)", uid, path, st.st_mode & 07777u, strerrorname_np(errno));
		error_cure(e, "become a member of group %s, or ask an operator for a role", group_name(st.st_gid, group, sizeof group));
	} else {
		*ret_silent = true;
		error_set(e, ERROR_NOT_REACHABLE, "nobody answers on %s (%s), uid %u", path, why && why->text[0] ? why->text : "ECONNREFUSED", uid);
		error_cure(e, "see whether trouped runs (its pid is in %s); start it again where it does not", dir);
	}
	return (int)e->code;
}
