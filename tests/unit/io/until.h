#pragma once
/* Runs a loop until a condition holds or a deadline passes; a private directory per test; plain sockets as the other end. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/loop.h"

#define PATIENCE_MS 20000

/* tick(now_ms) is an expression that returns the next deadline. */
#define RUN_UNTIL(loop, tick, cond) \
	do { \
		uint64_t end_ms_ = clock_mono_ms() + PATIENCE_MS; \
		while (!(cond)) { \
			uint64_t now_ms = clock_mono_ms(), next_ms_ = (tick); \
			ck_assert_msg(now_ms < end_ms_, "in vain: %s", #cond); \
			if (cond) \
				break; \
			ck_assert_int_ge(loop_once((loop), next_ms_ < now_ms + 2 ? next_ms_ : now_ms + 2), 0); \
		} \
	} while (0)

static char test_dir[64];

static inline void dir_make(void)
{
	snprintf(test_dir, sizeof(test_dir), "/tmp/troupe-io-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(test_dir));
}

static inline void dir_remove(void)
{
	char command[96];
	snprintf(command, sizeof(command), "rm -rf %s", test_dir);
	ck_assert_int_eq(system(command), 0);
}

static inline const char *dir_path(const char *name)
{
	static char path[96];
	snprintf(path, sizeof(path), "%s/%s", test_dir, name);
	return path;
}

static inline const char *dir_url(const char *name)
{
	static char url[112];
	snprintf(url, sizeof(url), "ipc://%s/%s", test_dir, name);
	return url;
}

/* -1 while the listener's backlog is full. Non-blocking only as far as connecting goes. */
static inline int unix_try_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(fd, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		ck_assert_int_eq(errno, EAGAIN);
		close(fd);
		return -1;
	}
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

static inline int unix_listen(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

static inline void fd_write(int fd, const void *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
		ck_assert_int_gt(n, 0);
		at += (size_t)n;
	}
}

/* Bytes that the other end has not read yet. */
static inline int fd_unread(int fd)
{
	int n = 0;
	ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &n), 0);
	return n;
}

/* Whether the other end has closed; reads away what it had said. */
static inline bool fd_at_end(int fd)
{
	char skip[4096];
	ssize_t n;
	while ((n = recv(fd, skip, sizeof(skip), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}
