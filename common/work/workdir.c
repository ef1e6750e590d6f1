#include "common/work/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"

#define NAME_SIZE 32
#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Its owner may have taken the permission to look inside, or to move it. */
static void unlock_directory(int at, const char *name)
{
	struct stat st;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0700) != 0700)
		(void)!fchmodat(at, name, 0700, 0); /* what comes next will say so */
}

/* Out of sight at once. */
static int to_trash(struct workdir *w, int at, const char *name)
{
	char to[NAME_SIZE];
	int r;
	unlock_directory(at, name);
	do
		snprintf(to, sizeof(to), "%llu", (unsigned long long)++w->serial);
	while ((r = renameat(at, name, w->trash, to)) < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR || errno == EISDIR) && w->serial < UINT32_MAX);
	if (r < 0)
		return -errno;
	w->dirty = true;
	return 0;
}

/* Removes a file or an empty directory; moves any other directory to the trash. */
static int remove_entry(struct workdir *w, int at, const char *name)
{
	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	return to_trash(w, at, name);
}

/* A directory of the trash: its entries go, up to *budget. 0 when it is empty and gone, ERROR_BUSY when the budget is used up, -errno. */
static int empty_directory(struct workdir *w, const char *name, unsigned *budget)
{
	unlock_directory(w->trash, name);
	int fd = openat(w->trash, name, OPEN_FLAGS);
	if (fd < 0)
		return -errno;
	_cleanup_(closedirp) DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	struct dirent *e;
	while (*budget && (e = readdir(d))) {
		if (is_dots(e->d_name))
			continue;
		--*budget;
		int r = remove_entry(w, fd, e->d_name);
		if (r)
			return r;
	}
	if (!*budget)
		return ERROR_BUSY;
	return unlinkat(w->trash, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

bool workdir_clean(struct workdir *w, unsigned n)
{
	if (!w->dirty || w->stuck)
		return false;
	int fd = openat(w->trash, ".", OPEN_FLAGS);
	_cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	struct dirent *e;
	bool seen = false;
	while (n && (e = readdir(d))) {
		if (is_dots(e->d_name))
			continue;
		seen = true;
		n--;
		int r = 0;
		if (unlinkat(w->trash, e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			r = errno == ENOTDIR ? remove_entry(w, w->trash, e->d_name) : empty_directory(w, e->d_name, &n);
		if (r < 0 && r != -ENOTEMPTY)
			w->stuck = true;
	}
	/* What was moved up while we read may not have been shown to us: only a look that finds nothing ends it. */
	w->dirty = seen;
	return w->dirty && !w->stuck;
}

int workdir_open(struct workdir *w, const char *state_dir, struct error *e)
{
	char path[PATH_MAX];
	*w = (struct workdir){ .work = -1, .trash = -1, .dirty = true };
	if (snprintf(path, sizeof(path), "%s/work/trash", state_dir) >= (int)sizeof(path))
		return error_set(e, ERROR_CONFIG, "the state directory's path is too long");
	int r = file_mkdir_p(path, 0700, e);
	if (r)
		return r;
	w->trash = open(path, OPEN_FLAGS);
	path[strlen(path) - strlen("/trash")] = '\0';
	w->work = open(path, OPEN_FLAGS);
	if (w->trash < 0 || w->work < 0)
		return error_set(e, ERROR_STATE, "%s cannot be opened: %s", path, strerror(errno));

	int fd = openat(w->work, ".", OPEN_FLAGS);
	_cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *entry; d && (entry = readdir(d));)
		if (!is_dots(entry->d_name) && strcmp(entry->d_name, "trash") != 0)
			remove_entry(w, w->work, entry->d_name);
	return 0;
}

void workdir_close(struct workdir *w)
{
	if (w->work >= 0)
		close(w->work);
	if (w->trash >= 0)
		close(w->trash);
	w->work = w->trash = -1;
}

static void name_of(uint64_t token, const char *suffix, char name[static NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%llu%s", (unsigned long long)token, suffix);
}

int workdir_make(struct workdir *w, uint64_t token, int *ret_fd)
{
	char name[NAME_SIZE];
	name_of(token, "", name);
	int r = mkdirat(w->work, name, 0700) < 0 ? -errno : 0;
	if (r == -EEXIST && to_trash(w, w->work, name) == 0)
		r = mkdirat(w->work, name, 0700) < 0 ? -errno : 0;
	if (r)
		return r;
	int fd = openat(w->work, name, OPEN_FLAGS);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int workdir_payload(struct workdir *w, uint64_t token, const void *data, size_t len, char *path, size_t size)
{
	char name[NAME_SIZE], link[48];
	name_of(token, ".payload", name);
	_cleanup_(closep) int fd = openat(w->work, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = file_write_all(fd, data, len);
	if (r)
		return r;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, size - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

void workdir_remove(struct workdir *w, uint64_t token)
{
	char name[NAME_SIZE];
	name_of(token, "", name);
	if (unlinkat(w->work, name, AT_REMOVEDIR) < 0 && errno != ENOENT && to_trash(w, w->work, name) == 0)
		w->stuck = false; /* worth a new try */
}

void workdir_remove_payload(struct workdir *w, uint64_t token)
{
	char name[NAME_SIZE];
	name_of(token, ".payload", name);
	unlinkat(w->work, name, 0);
}
