#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "actors/tools/copying.h"
#include "actors/tools/statedir.h"

#define WORKERS "actors/worker"  /* directories of tasks that run now: nothing of theirs outlives the node */
#define HASH_DIGITS 64u

static void fts_closep(FTS **f)
{
	if (*f)
		fts_close(*f);
}

static bool is_blob(const FTSENT *f)
{
	return f->fts_namelen == HASH_DIGITS && strspn(f->fts_name, "0123456789abcdef") == HASH_DIGITS && strcmp(f->fts_parent->fts_name, "blob") == 0;
}

static bool is_core(const char *name)
{
	return strncmp(name, "core", 4) == 0 && (!name[4] || (name[4] == '.' && strspn(name + 5, "0123456789") == strlen(name + 5)));
}

static bool is_left_out(const FTSENT *f, const char *path)
{
	bool upload = strncmp(f->fts_name, "tmp-", 4) == 0 && strcmp(f->fts_parent->fts_name, "blob") == 0;
	bool half_made = strncmp(f->fts_name, "data.mdb.", 9) == 0; /* a store that is being created */
	bool log = strncmp(f->fts_name, "commit.log", 10) == 0;     /* what it has is in the copy of the data */
	return upload || half_made || log || strcmp(path, STATE_LOCK) == 0 || strcmp(f->fts_name, "lock.mdb") == 0 || is_core(f->fts_name);
}

static enum state_kind kind_of(const FTSENT *f)
{
	if (f->fts_info == FTS_D)
		return STATE_DIRECTORY;
	return strcmp(f->fts_name, "data.mdb") == 0 ? STATE_STORE : is_blob(f) ? STATE_BLOB : STATE_FILE;
}

int state_walk(const char *dir, int (*fn)(void *ctx, enum state_kind kind, const char *path, const struct stat *st, struct error *e), void *ctx, struct error *e)
{
	char *const roots[] = { (char *)(uintptr_t)dir, NULL };
	size_t prefix = strlen(dir);
	_cleanup_(fts_closep) FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (!walk)
		return copy_failed(e, "read", dir, errno);
	for (FTSENT *f; errno = 0, (f = fts_read(walk));) {
		const char *path = f->fts_level ? f->fts_path + prefix + strspn(f->fts_path + prefix, "/") : ".";
		int r = 0;
		switch (f->fts_info) {
		case FTS_D:
			if (strcmp(path, WORKERS) == 0)
				fts_set(walk, f, FTS_SKIP);
			else
				r = fn(ctx, STATE_DIRECTORY, path, f->fts_statp, e);
			break;
		case FTS_F:
			if (!is_left_out(f, path))
				r = fn(ctx, kind_of(f), path, f->fts_statp, e);
			break;
		case FTS_DNR:
		case FTS_ERR:
		case FTS_NS:
			if (f->fts_errno != ENOENT || f->fts_level == 0)
				r = copy_failed(e, "read", f->fts_path, f->fts_errno);
			break;
		default: /* links, sockets and the like; the end of a directory */
			break;
		}
		if (r)
			return r;
	}
	return errno ? copy_failed(e, "read", dir, errno) : 0;
}

static bool is_something(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, STATE_LOCK) != 0 && strcmp(name, "lost+found") != 0;
}

bool state_is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	bool empty = d != NULL;
	for (const struct dirent *entry; empty && (entry = readdir(d));)
		empty = !is_something(entry->d_name);
	if (d)
		closedir(d);
	return empty;
}

/* --- who holds it --- */

static int path_of_lock(const char *dir, char out[static PATH_MAX], struct error *e)
{
	return snprintf(out, PATH_MAX, "%s/" STATE_LOCK, dir) < PATH_MAX ? 0 : error_set(e, ERROR_TOO_LARGE, "the path %.100s… is too long", dir);
}

static int is_held(const char *dir, long pid, struct error *e)
{
	error_set(e, ERROR_BUSY, "a node runs on %.150s, pid %ld", dir, pid);
	error_cure(e, "stop it first: kill %ld, or service troupe stop", pid);
	return ERROR_BUSY;
}

int state_is_free(const char *dir, struct error *e)
{
	char path[PATH_MAX], text[24] = "";
	int r = path_of_lock(dir, path, e);
	if (r)
		return r;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : copy_failed(e, "read", path, errno);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return copy_failed(e, "look at the lock", path, errno);
	if (lock.l_type == F_UNLCK)
		return 0;
	if (pread(fd, text, sizeof text - 1, 0) < 0)
		return copy_failed(e, "read", path, errno);
	return is_held(dir, strtol(text, NULL, 10), e);
}

int state_lock(const char *dir, int *ret_fd, struct error *e)
{
	char path[PATH_MAX];
	struct stat own, dirs;
	pid_t owner = 0;
	int r = path_of_lock(dir, path, e);
	if (!r)
		r = file_lock(path, ret_fd, &owner);
	if (r == ERROR_EXISTS)
		return is_held(dir, (long)owner, e);
	if (r < 0)
		return copy_failed(e, "lock", path, -r);
	/* A lock file that root has made must not keep out the node's user. */
	if (!r && geteuid() == 0 && fstat(*ret_fd, &own) == 0 && stat(dir, &dirs) == 0 && own.st_uid == 0 && dirs.st_uid != 0 && fchown(*ret_fd, dirs.st_uid, dirs.st_gid) < 0)
		r = copy_failed(e, "give away", path, errno);
	return r;
}
