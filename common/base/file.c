#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

int file_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_at(int fd, uint64_t offset, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* The size from stat is only a first guess: /proc says 0, and a file may grow while it is read. */
int file_read_all(const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > max)
		return ERROR_TOO_LARGE;

	size_t room = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size + 1 : 4096;
	size_t len = 0;
	_cleanup_(freep) char *data = malloc(room + 1);
	if (!data)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, data + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return ERROR_TOO_LARGE;
		if (len == room) {
			room *= 2;
			char *grown = realloc(data, room + 1);
			if (!grown)
				return -ENOMEM;
			data = grown;
		}
	}
	data[len] = '\0';
	*ret = steal(&data);
	*ret_len = len;
	return 0;
}

int file_fsync_dir(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Makes the directory at path, whose parent exists, and makes the parent remember it. */
static int mkdir_one(char *path, mode_t mode, struct error *e)
{
	if (mkdir(path, mode) < 0) {
		if (errno != EEXIST)
			return error_set(e, ERROR_STORE, "cannot create directory %s: %s", path, strerror(errno));
		struct stat st;
		if (stat(path, &st) < 0)
			return error_set(e, ERROR_STORE, "cannot use directory %s: %s", path, strerror(errno));
		return S_ISDIR(st.st_mode) ? 0 : error_set(e, ERROR_EXISTS, "%s is in the way: not a directory", path);
	}

	char *slash = strrchr(path, '/');
	char kept = '\0';
	const char *parent = ".";
	if (slash == path) {
		parent = "/";
	} else if (slash) {
		kept = *slash;
		*slash = '\0';
		parent = path;
	}
	int r = file_fsync_dir(parent);
	if (kept)
		*slash = kept;
	return r < 0 ? error_set(e, ERROR_STORE, "cannot sync the parent of %s: %s", path, strerror(-r)) : 0;
}

int file_mkdir_p(const char *path, mode_t mode, struct error *e)
{
	char buf[PATH_MAX];
	size_t len = strlen(path);
	if (len == 0)
		return error_set(e, ERROR_BAD_REQUEST, "the path of a directory is empty");
	if (len >= sizeof(buf))
		return error_set(e, ERROR_TOO_LARGE, "the path of a directory is longer than %zu bytes", sizeof(buf) - 1);
	memcpy(buf, path, len + 1);
	while (len > 1 && buf[len - 1] == '/')
		buf[--len] = '\0';

	for (char *p = buf + 1; *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		int r = mkdir_one(buf, mode, e);
		*p = '/';
		if (r)
			return r;
	}
	return mkdir_one(buf, mode, e);
}

/* Of a lock file: "<pid>\n". 0 while its holder has not written it yet. */
static pid_t lock_read_owner(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	char *end;
	long pid = strtol(text, &end, 10);
	return end != text && *end == '\n' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

int file_lock(const char *path, int *ret_fd, pid_t *ret_owner)
{
	for (;;) {
		_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return -errno;

		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
			if (errno != EAGAIN && errno != EACCES)
				return -errno;
			*ret_owner = lock_read_owner(fd);
			return ERROR_EXISTS;
		}

		/* Who removes the file while we wait for it leaves us with a lock that nobody else can see. */
		struct stat ours, named;
		if (fstat(fd, &ours) < 0)
			return -errno;
		if (stat(path, &named) < 0) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino)
			continue;

		char text[24];
		int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
		if (ftruncate(fd, 0) < 0)
			return -errno;
		int r = file_write_all(fd, text, (size_t)len);
		if (r < 0)
			return r;
		*ret_fd = steal_fd(&fd);
		return 0;
	}
}
