/* Preloaded into a process: its system calls fail when a test says so. $INJECT names a file of ORDERS, mapped by the process and by the test: one struct a kind of call, in
 * the order of enum call. A call fails when .after, counted down by each, reaches 0, and then .times times (UINT32_MAX: until the test takes it back). Calls on files
 * count only where the path holds $INJECT_PATH; sockets and eventfds are left alone. */
#undef _FILE_OFFSET_BITS /* the functions by their own names: open, and open64 beside it */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { CALL_WRITE, CALL_SYNC, CALL_META, CALL_TRUNCATE, CALL_OPEN, CALL_RENAME, CALL_MMAP, CALL_FORK, CALL_EXEC, CALL_ACCEPT, CALL_MALLOC, CALL_MKDIR, CALL_PIPE, N_CALLS };
struct order { uint32_t after, times; int32_t error; uint32_t hits; }; /* error 0: a write of half of it */
_Static_assert(sizeof(off_t) == 8, "64 bits");

static volatile struct order *orders; /* NULL: leave everything as it is */
static const char *below;

static long sys_open(const char *path, int flags) { return syscall(SYS_openat, AT_FDCWD, path, flags, 0); }

static void __attribute__((constructor)) inject_open(void)
{
	const char *path = getenv("INJECT");
	below = getenv("INJECT_PATH");
	int fd = path ? (int)sys_open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *p = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		orders = p;
}

static bool waits(enum call c) { return orders && orders[c].after; }

/* Whether this call fails now; errno is set. */
static bool fails(enum call c)
{
	if (!waits(c))
		return false;
	volatile struct order *o = &orders[c];
	uint32_t left = __atomic_load_n(&o->after, __ATOMIC_RELAXED);
	while (left > 1)
		if (__atomic_compare_exchange_n(&o->after, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return false;
	if (left == 0)
		return false;
	__atomic_add_fetch(&o->hits, 1, __ATOMIC_RELAXED);
	if (o->times != UINT32_MAX && __atomic_sub_fetch(&o->times, 1, __ATOMIC_RELAXED) == 0)
		o->after = 0;
	errno = o->error;
	return true;
}

static bool path_counts(const char *path) { return !below || strstr(path, below); }

static bool fd_counts(int fd)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = '\0';
	return n > 0 && path[0] == '/' && path_counts(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MODE(flags) ({ va_list ap; mode_t given = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_start(ap, flags); given = va_arg(ap, mode_t); va_end(ap); } given; })

/* --- files --- */

static ssize_t torn(int fd, const void *data, size_t n, off_t at)
{
	if (errno)
		return -1;
	return at < 0 ? (ssize_t)syscall(SYS_write, fd, data, n / 2) : (ssize_t)syscall(SYS_pwrite64, fd, data, n / 2, at);
}

static bool write_fails(int fd)
{
	if (!waits(CALL_WRITE) && !waits(CALL_META))
		return false;
	if (!fd_counts(fd))
		return false;
	return fails(fcntl(fd, F_GETFL) & O_DSYNC ? CALL_META : CALL_WRITE);
}

ssize_t write(int fd, const void *data, size_t n) { return write_fails(fd) ? torn(fd, data, n, -1) : (ssize_t)syscall(SYS_write, fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return write_fails(fd) ? torn(fd, data, n, at) : (ssize_t)syscall(SYS_pwrite64, fd, data, n, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return pwrite(fd, data, n, at); }
ssize_t writev(int fd, const struct iovec *v, int n) { return write_fails(fd) ? torn(fd, v[0].iov_base, v[0].iov_len, -1) : (ssize_t)syscall(SYS_writev, fd, v, n); }
int fsync(int fd) { return waits(CALL_SYNC) && fd_counts(fd) && fails(CALL_SYNC) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return waits(CALL_SYNC) && fd_counts(fd) && fails(CALL_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd); }
int ftruncate(int fd, off_t size) { return waits(CALL_TRUNCATE) && fd_counts(fd) && fails(CALL_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
int open(const char *path, int flags, ...)
{
	mode_t m = MODE(flags);
	return waits(CALL_OPEN) && path_counts(path) && fails(CALL_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, m);
}
int open64(const char *path, int flags, ...)
{
	mode_t m = MODE(flags);
	return open(path, flags, m);
}
int openat(int dir, const char *path, int flags, ...)
{
	mode_t m = MODE(flags);
	return waits(CALL_OPEN) && (dir != AT_FDCWD ? fd_counts(dir) : path_counts(path)) && fails(CALL_OPEN) ? -1 : (int)syscall(SYS_openat, dir, path, flags, m);
}
int openat64(int dir, const char *path, int flags, ...)
{
	mode_t m = MODE(flags);
	return openat(dir, path, flags, m);
}
int rename(const char *from, const char *to) { return waits(CALL_RENAME) && path_counts(to) && fails(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return waits(CALL_RENAME) && path_counts(to) && fails(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags); }
int renameat(int a, const char *from, int b, const char *to) { return waits(CALL_RENAME) && fails(CALL_RENAME) ? -1 : (int)syscall(SYS_renameat, a, from, b, to); }
int mkdirat(int dir, const char *path, mode_t m) { return fails(CALL_MKDIR) ? -1 : (int)syscall(SYS_mkdirat, dir, path, m); }
int mkdir(const char *path, mode_t m) { return mkdirat(AT_FDCWD, path, m); }

/* --- memory, processes, connections --- */

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	return fd >= 0 && waits(CALL_MMAP) && fd_counts(fd) && fails(CALL_MMAP) ? MAP_FAILED : (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}
void *mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset) { return mmap(at, n, prot, flags, fd, offset); }
int pipe2(int fds[2], int flags) { return fails(CALL_PIPE) ? -1 : (int)syscall(SYS_pipe2, fds, flags); }
int accept(int fd, struct sockaddr *a, socklen_t *n) { return fails(CALL_ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, a, n, 0); }
int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags) { return fails(CALL_ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, a, n, flags); }
int execve(const char *path, char *const argv[], char *const env[]) { return fails(CALL_EXEC) ? -1 : (int)syscall(SYS_execve, path, argv, env); }

int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	static int (*real)(int (*)(void *), void *, int, void *, ...);
	if (!real)
		real = REAL(clone);
	return fails(CALL_FORK) ? -1 : real(fn, stack, flags, arg);
}

#ifdef __x86_64__
/* A function that returns twice cannot be called by one that returns once: it is jumped to. */
void *real_vfork;
int vfork_fails(void);
int vfork_fails(void)
{
	if (!real_vfork)
		real_vfork = dlsym(RTLD_NEXT, "vfork");
	return fails(CALL_FORK);
}
__attribute__((naked)) pid_t vfork(void)
{
	__asm__("sub $8, %rsp\n\tcall vfork_fails@PLT\n\tadd $8, %rsp\n\ttest %eax, %eax\n\tjne 1f\n\tmov real_vfork@GOTPCREL(%rip), %rax\n\tjmp *(%rax)\n1:\tmov $-1, %rax\n\tret");
}
#endif

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
#ifndef __SANITIZE_ADDRESS__
void *malloc(size_t n) { return fails(CALL_MALLOC) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails(CALL_MALLOC) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails(CALL_MALLOC) ? NULL : __libc_realloc(p, n); }
#endif
