#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/crc32c.h"
#include "common/base/file.h"
#include "common/store/store.h"
#include "actors/tools/copying.h"

#define PIECE (256u << 10)
#define OPEN_DIRECTORIES 16

int copy_failed(struct error *e, const char *what, const char *path, int err)
{
	enum error_code code = err == ENOENT || err == ENOTDIR ? ERROR_NOT_FOUND : err == EACCES || err == EPERM ? ERROR_NOT_ALLOWED : err == EEXIST ? ERROR_EXISTS : ERROR_STORE;
	const char *name = strerrorname_np(err);
	error_set(e, code, "cannot %s %.150s: %s (%s), uid %u", what, path, strerror(err), name ? name : "?", (unsigned)geteuid());
	if (code == ERROR_NOT_ALLOWED)
		error_cure(e, "do it as the node's user, or as root");
	return code;
}

int copy_bytes(struct copying *c, int from, int to, const char *path, uint64_t *ret_size, uint32_t *ret_crc, struct error *e)
{
	_cleanup_(freep) uint8_t *piece = malloc(PIECE);
	uint64_t size = 0;
	uint32_t crc = 0;
	if (!piece)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(from, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return copy_failed(e, "read", path, errno);
		if (n == 0)
			break;
		int r = to >= 0 ? file_write_all(to, piece, (size_t)n) : 0;
		if (r)
			return copy_failed(e, "write the copy of", path, -r);
		crc = crc32c(crc, piece, (size_t)n);
		size += (uint64_t)n;
		c->bytes += (uint64_t)n;
		if (c->progress)
			progress_show(c->progress, c->bytes >> 10);
	}
	*ret_size = size;
	*ret_crc = crc;
	return 0;
}

/* --- stores --- */

struct copier { const char *dir; int to, code; struct error error; };

static void *copier_run(void *ctx)
{
	struct copier *k = ctx;
	k->code = store_copy(k->dir, k->to, &k->error);
	close(k->to);
	return NULL;
}

/* A thread writes the copy into a pipe, so that this one can count and checksum what passes and show how far it is. */
int copy_store(struct copying *c, const char *dir, int to, uint64_t *ret_size, uint32_t *ret_crc, struct error *e)
{
	int fds[2];
	pthread_t thread;
	struct copier k = { .dir = dir };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return copy_failed(e, "copy", dir, errno);
	k.to = fds[1];
	int r = pthread_create(&thread, NULL, copier_run, &k);
	if (r) {
		close(fds[0]);
		close(fds[1]);
		return copy_failed(e, "copy", dir, r);
	}
	r = copy_bytes(c, fds[0], to, dir, ret_size, ret_crc, e);
	close(fds[0]); /* a writer that is still at it ends with EPIPE */
	pthread_join(thread, NULL);
	if (!r && k.code) {
		*e = k.error;
		r = k.code > 0 ? k.code : copy_failed(e, "copy", dir, -k.code);
	}
	return r;
}

/* --- trees --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) { return remove(path) < 0 && errno != ENOENT ? errno : 0; }

int copy_remove(const char *path, struct error *e)
{
	int r = nftw(path, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS);
	if (r < 0)
		r = errno == ENOENT ? 0 : errno;
	return r ? copy_failed(e, "remove", path, r) : 0;
}

int copy_sync(int fd, const char *path, struct error *e) { return fsync(fd) < 0 ? copy_failed(e, "sync", path, errno) : 0; }

int copy_sync_directory(const char *path, struct error *e)
{
	int r = file_fsync_dir(path);
	return r < 0 ? copy_failed(e, "sync", path, -r) : 0;
}

static int sync_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int r = type == FTW_D ? file_fsync_dir(path) : 0;
	return r < 0 ? -r : 0;
}

int copy_sync_directories(const char *path, struct error *e)
{
	int r = nftw(path, sync_one, OPEN_DIRECTORIES, FTW_PHYS);
	return r ? copy_failed(e, "sync", path, r > 0 ? r : errno) : 0;
}

int copy_path(char *out, const char *dir, const char *name, struct error *e)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : error_set(e, ERROR_TOO_LARGE, "the path %.100s/%.60s is too long", dir, name);
}

int copy_above(char *out, const char *path, struct error *e)
{
	const char *slash = strrchr(path, '/');
	int length = slash == path ? 1 : slash ? (int)(slash - path) : 1;
	return snprintf(out, PATH_MAX, "%.*s", length, slash ? path : ".") < PATH_MAX ? 0 : error_set(e, ERROR_TOO_LARGE, "the path %.100s is too long", path);
}
