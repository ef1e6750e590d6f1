/* Preloaded into a process: notes everything that it does to the files below $RECORD_DIR, in the log $RECORD_LOG (record.h). A write is noted before it is done, a
 * sync after it has been: so what a note of somebody else's stands behind was true when it was written. LMDB's lock file is memory, not a file.
 * RECORD_DIE=n: the process is killed when its n-th O_DSYNC write has reached the kernel, and nobody knows whether the disk. */
#undef _FILE_OFFSET_BITS /* the functions by their own names: open, and open64 beside it */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tests/fault/record.h"

#define FDS 4096
#define PARTS 64

_Static_assert(sizeof(off_t) == 8, "64 bits");

enum { NOT_OURS, OURS, OURS_DSYNC, OUR_DIR };
static struct { int kind; uint64_t file; char *path; } fds[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *root;
static long die_at; /* 0: never */

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static void __attribute__((constructor)) record_open(void)
{
	const char *path = getenv("RECORD_LOG");
	const char *die = getenv("RECORD_DIE");
	root = getenv("RECORD_DIR");
	die_at = die ? atol(die) : 0;
	if (path && root)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd >= 0 && log_fd < 100) { /* out of the way */
		int high = fcntl(log_fd, F_DUPFD_CLOEXEC, 1000);
		if (high >= 0)
			close(log_fd);
		log_fd = high >= 0 ? high : log_fd;
	}
}

static void note(enum record_op op, uint64_t file, uint64_t at, const struct iovec *data, int n)
{
	struct iovec all[PARTS + 1];
	struct record r = { .op = op, .file = file, .at = at };
	if (n > PARTS) {
		static const char text[] = "record.c: a write of too many parts\n";
		syscall(SYS_write, 2, text, sizeof text - 1);
		_exit(99);
	}
	for (int i = 0; i < n; i++) {
		r.len += (uint32_t)data[i].iov_len;
		all[i + 1] = data[i];
	}
	all[0] = (struct iovec){ &r, sizeof r };
	pthread_mutex_lock(&lock);
	long done = syscall(SYS_writev, log_fd, all, n + 1);
	pthread_mutex_unlock(&lock);
	if (done != (long)(sizeof r + r.len)) {
		static const char text[] = "record.c: the log cannot be written\n";
		syscall(SYS_write, 2, text, sizeof text - 1);
		_exit(99);
	}
}

static void note_path(enum record_op op, uint64_t file, const char *path)
{
	struct iovec v = { (void *)path, strlen(path) + 1 };
	note(op, file, 0, &v, 1);
}

/* An absolute path below the root, or NULL. */
static const char *ours(const char *path)
{
	size_t n = root ? strlen(root) : 0;
	if (log_fd < 0 || !n || strncmp(path, root, n) != 0 || (path[n] && path[n] != '/') || strstr(path, "lock.mdb"))
		return NULL;
	return path;
}

static int opened(int fd, int flags)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	int keep = errno;
	if (fd < 0 || fd >= FDS)
		return fd;
	free(fds[fd].path);
	fds[fd].path = NULL;
	fds[fd].kind = NOT_OURS;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = log_fd < 0 ? -1 : readlink(link, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (n > 0 && ours(path) && fstat(fd, &st) == 0) {
		fds[fd].kind = S_ISDIR(st.st_mode) ? OUR_DIR : flags & O_DSYNC ? OURS_DSYNC : OURS;
		fds[fd].file = st.st_ino;
		fds[fd].path = strdup(path);
		note_path(RECORD_NAME, st.st_ino, path);
	}
	errno = keep;
	return fd;
}

#define MODE(flags) ({ va_list ap; mode_t given = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_start(ap, flags); given = va_arg(ap, mode_t); va_end(ap); } given; })
int open(const char *path, int flags, ...) { mode_t m = MODE(flags); return opened(REAL(open)(path, flags, m), flags); }
int open64(const char *path, int flags, ...) { mode_t m = MODE(flags); return opened(REAL(open)(path, flags, m), flags); }
int openat(int dir, const char *path, int flags, ...) { mode_t m = MODE(flags); return opened(REAL(openat)(dir, path, flags, m), flags); }
int openat64(int dir, const char *path, int flags, ...) { mode_t m = MODE(flags); return opened(REAL(openat)(dir, path, flags, m), flags); }

static bool is_ours(int fd)
{
	return fd >= 0 && fd < FDS && (fds[fd].kind == OURS || fds[fd].kind == OURS_DSYNC);
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		fds[fd].kind = NOT_OURS;
	return REAL(close)(fd);
}

static ssize_t written(int fd, uint64_t at, const struct iovec *v, int n, ssize_t (*go)(int, const struct iovec *, int, off_t))
{
	bool dsync = fds[fd].kind == OURS_DSYNC;
	note(dsync ? RECORD_WRITE_DSYNC : RECORD_WRITE, fds[fd].file, at, v, n);
	ssize_t r = go(fd, v, n, (off_t)at);
	int keep = errno;
	if (dsync && r > 0 && --die_at == 0)
		kill(getpid(), SIGKILL);
	if (dsync && r > 0)
		note(RECORD_DONE, fds[fd].file, at, NULL, 0);
	errno = keep;
	return r;
}

static ssize_t go_at(int fd, const struct iovec *v, int n, off_t at) { return (ssize_t)syscall(SYS_pwritev, fd, v, n, (long)at, 0L); }
static ssize_t go_here(int fd, const struct iovec *v, int n, off_t at) { return (ssize_t)syscall(SYS_writev, fd, v, n); }
static uint64_t here(int fd) { return (uint64_t)lseek(fd, 0, SEEK_CUR); }

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	struct iovec v = { (void *)data, n };
	return is_ours(fd) ? written(fd, (uint64_t)at, &v, 1, go_at) : REAL(pwrite)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return pwrite(fd, data, n, at); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return is_ours(fd) ? written(fd, (uint64_t)at, v, n, go_at) : REAL(pwritev)(fd, v, n, at); }
ssize_t write(int fd, const void *data, size_t n)
{
	struct iovec v = { (void *)data, n };
	return is_ours(fd) ? written(fd, here(fd), &v, 1, go_here) : REAL(write)(fd, data, n);
}
ssize_t writev(int fd, const struct iovec *v, int n) { return is_ours(fd) ? written(fd, here(fd), v, n, go_here) : REAL(writev)(fd, v, n); }

int ftruncate(int fd, off_t size)
{
	if (is_ours(fd))
		note(RECORD_SIZE, fds[fd].file, (uint64_t)size, NULL, 0);
	return REAL(ftruncate)(fd, size);
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int synced(int fd, int r)
{
	int keep = errno;
	if (r == 0 && is_ours(fd))
		note(RECORD_SYNC, fds[fd].file, 0, NULL, 0);
	else if (r == 0 && fd >= 0 && fd < FDS && fds[fd].kind == OUR_DIR)
		note_path(RECORD_DIR_SYNC, fds[fd].file, fds[fd].path);
	errno = keep;
	return r;
}
int fsync(int fd) { return synced(fd, REAL(fsync)(fd)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)(fd)); }

/* The full path of one that is named from a directory. */
static const char *full(int dir, const char *path, char out[static PATH_MAX])
{
	char link[64];
	if (*path == '/')
		return path;
	snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
	ssize_t n = readlink(link, out, PATH_MAX / 2);
	snprintf(out + (n < 0 ? 0 : n), PATH_MAX - (size_t)(n < 0 ? 0 : n), "/%s", path);
	return out;
}

int renameat(int a, const char *from, int b, const char *to)
{
	char one[PATH_MAX], two[PATH_MAX];
	const char *old = full(a, from, one), *new = full(b, to, two);
	struct iovec v[2] = { { (void *)old, strlen(old) + 1 }, { (void *)new, strlen(new) + 1 } };
	if (ours(new))
		note(RECORD_RENAME, 0, 0, v, 2);
	return REAL(renameat)(a, from, b, to);
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int unlinkat(int dir, const char *path, int flags)
{
	char out[PATH_MAX];
	if (ours(full(dir, path, out)))
		note_path(RECORD_UNLINK, 0, full(dir, path, out));
	return REAL(unlinkat)(dir, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

/* Ways that nobody here goes; who begins to must be recorded first. */
#define REFUSED(name) do { static const char text[] = "record.c: " name " is not recorded\n"; syscall(SYS_write, 2, text, sizeof text - 1); _exit(99); } while (0)
int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	if (flags != RENAME_NOREPLACE)
		REFUSED("renameat2 with such flags");
	if (faccessat(b, to, F_OK, 0) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(a, from, b, to);
}
int fallocate(int fd, int mode, off_t at, off_t n)
{
	if (is_ours(fd))
		REFUSED("fallocate");
	return REAL(fallocate)(fd, mode, at, n);
}
int msync(void *at, size_t n, int flags) { REFUSED("msync"); }
