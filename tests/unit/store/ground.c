#include "tests/unit/store/ground.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define FILE_MAX (64u << 20)
#define QUICK_DISK "/dev/shm"

char ground[64];

void ground_setup(void)
{
	snprintf(ground, sizeof ground, "%s/troupe-store-XXXXXX", access(QUICK_DISK, W_OK) == 0 ? QUICK_DISK : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(ground));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

void ground_teardown(void)
{
	nftw(ground, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

const char *ground_path(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", ground, name);
	return path;
}

uint8_t *ground_read(const char *name, size_t *ret_size)
{
	char *data = NULL;
	ck_assert_int_eq(file_read_all(ground_path(name), FILE_MAX, &data, ret_size), 0);
	return (uint8_t *)data;
}

void ground_write(const char *name, const void *data, size_t size)
{
	int fd = open(ground_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(file_write_all(fd, data, size), 0);
	close(fd);
}

void ground_copy(const char *from, const char *to)
{
	size_t size;
	_cleanup_(freep) uint8_t *data = ground_read(from, &size);
	ground_write(to, data, size);
}

pid_t ground_fork(int (*fn)(void *ctx, int say), void *ctx, int *ret_said)
{
	int fds[2];
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(fn(ctx, fds[1]));
	}
	close(fds[1]);
	*ret_said = fds[0];
	return pid;
}

int ground_wait(pid_t pid)
{
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

void ground_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	int status = ground_wait(pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

char ground_hear(int said)
{
	char c;
	return read(said, &c, 1) == 1 ? c : '\0';
}

void ground_say(int say, char c)
{
	ck_assert_int_eq(write(say, &c, 1), 1);
}

int ground_try(const char *dir, const char *const *tables, size_t log, struct store **ret, struct error *e)
{
	const struct store_config c = { .dir = dir, .tables = tables, .version = 1, .log = log, .map_first = 1 << 20, .map_max = 64 << 20 };
	return store_open(&c, ret, e);
}

struct store *ground_open(const char *dir, const char *const *tables, size_t log)
{
	struct store *s = NULL;
	struct error e = { 0 };
	int r = ground_try(dir, tables, log, &s, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return s;
}

struct store *ground_look(const char *dir, const char *const *tables)
{
	const struct store_config c = { .dir = dir, .tables = tables, .version = 1, .read_only = true };
	struct store *s = NULL;
	struct error e = { 0 };
	int r = store_open(&c, &s, &e);
	ck_assert_msg(r == 0, "%d %s", r, e.text);
	return s;
}

int ground_put(struct store *s, unsigned table, uint32_t key, const void *value, size_t len)
{
	struct store_txn *t;
	uint8_t k[4];
	key_u32(k, key);
	int r = store_begin(s, &t);
	if (r)
		return r;
	if (!(r = store_put(t, table, SLICE(k, sizeof k), SLICE(value, len))))
		return store_commit(t);
	store_abort(t);
	return r;
}

long ground_get(struct store *s, unsigned table, uint32_t key)
{
	struct store_txn *t;
	struct slice v;
	uint8_t k[4];
	key_u32(k, key);
	ck_assert_int_eq(store_read(s, &t), 0);
	int r = store_get(t, table, SLICE(k, sizeof k), &v);
	store_read_end(t);
	ck_assert(r == 0 || r == ERROR_NOT_FOUND);
	return r ? -1 : (long)v.len;
}
