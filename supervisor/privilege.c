#include "supervisor/privilege.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"

static const unsigned kept[] = { CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_CHOWN, CAP_SYS_PTRACE };

static bool gives_up(const struct config *c)
{
	return geteuid() == 0 && c->uid != (uid_t)-1;
}

const char *privilege_mode(const struct config *c)
{
	if (geteuid() != 0)
		return "run by an ordinary user";
	if (c->uid == (uid_t)-1)
		return "stays root";
	return c->has_users ? "root with few capabilities, each child drops to its user" : "drops to the user";
}

static int fail(struct error *e, const char *what, const char *dir)
{
	return error_set(e, ERROR_NOT_ALLOWED, "%s cannot be %s: %s", dir, what, strerror(errno));
}

int privilege_prepare(const struct config *c, struct error *e)
{
	char boxes[CONFIG_RUN_DIR_MAX + 8];
	bool give = gives_up(c), stay = give && c->has_users;
	snprintf(boxes, sizeof boxes, "%s/a", c->run_dir);
	int r = file_mkdir_p(c->run_dir, 0750, e);
	if (!r)
		r = file_mkdir_p(boxes, 0750, e);
	if (!r)
		r = file_mkdir_p(c->state_dir, 0700, e);
	if (r || !give)
		return r;
	const char *const dirs[] = { c->run_dir, boxes, c->state_dir };
	for (size_t i = 0; i < ELEMENTS(dirs); i++)
		if (chown(dirs[i], stay ? 0 : c->uid, c->gid) != 0)
			return fail(e, "given to the node's user", dirs[i]);
	if (stay && (chmod(c->run_dir, 03770) != 0 || chmod(boxes, 03770) != 0 || chmod(c->state_dir, 0711) != 0))
		return fail(e, "opened to the children", c->state_dir);
	return 0;
}

void privilege_of(const struct config *c, const struct launch *l, uid_t *ret_uid, gid_t *ret_gid, gid_t *ret_group)
{
	bool stay = gives_up(c) && c->has_users;
	*ret_uid = l->user ? l->uid : stay ? c->uid : (uid_t)-1;
	*ret_gid = l->user ? l->gid : c->gid;
	*ret_group = stay ? c->gid : (gid_t)-1;
}

int privilege_give_dir(const struct config *c, const struct launch *l, const char *dir, struct error *e)
{
	uid_t uid;
	gid_t gid, group;
	privilege_of(c, l, &uid, &gid, &group);
	if (group == (gid_t)-1 || uid == (uid_t)-1)
		return 0;
	char above[PATH_MAX];
	for (const char *at = dir + strlen(c->state_dir) + 1; (at = strchr(at, '/')); at++) {
		snprintf(above, sizeof above, "%.*s", (int)(at - dir), dir);
		if (mkdir(above, 0711) != 0 && errno != EEXIST)
			return fail(e, "made", above);
	}
	struct stat st;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return fail(e, "made", dir);
	if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || (st.st_uid != uid && lchown(dir, uid, gid) != 0))
		return fail(e, "given to the child's user", dir);
	return 0;
}

static int bound(struct error *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = { { 0 } };
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		bool keep = false;
		for (size_t i = 0; i < ELEMENTS(kept) && !keep; i++)
			keep = kept[i] == cap;
		if (!keep && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EINVAL)
			return error_set(e, ERROR_NOT_ALLOWED, "capability %u cannot be given up: %s", cap, strerror(errno));
	}
	for (size_t i = 0; i < ELEMENTS(kept); i++)
		sets[kept[i] / 32].permitted |= 1u << kept[i] % 32;
	sets[0].effective = sets[0].permitted;
	sets[1].effective = sets[1].permitted;
	if (syscall(SYS_capset, &head, sets) != 0)
		return error_set(e, ERROR_NOT_ALLOWED, "capabilities cannot be given up: %s", strerror(errno));
	return 0;
}

int privilege_drop(const struct config *c, struct error *e)
{
	if (!gives_up(c))
		return 0;
	if (c->has_users)
		return bound(e);
	if (setgroups(1, &c->gid) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0)
		return error_set(e, ERROR_NOT_ALLOWED, "cannot become user %s: %s", c->user, strerror(errno));
	if (c->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return error_set(e, ERROR_NOT_ALLOWED, "user %s could become root again", c->user);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_set(e, ERROR_NOT_ALLOWED, "no_new_privs: %s", strerror(errno));
	/* A change of user makes a process undumpable, and its /proc files root's: its children, and we, must be able to read them. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}
