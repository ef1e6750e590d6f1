#include "actors/coordinator/blob_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/coordinator/grow.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"

#define NAME_SIZE 96u
#define TMP "tmp-"

static void tmp_name(const struct upload *u, char name[static NAME_SIZE])
{
	char hex[SHA256_TEXT];
	sha256_format(u->sha256, hex);
	snprintf(name, NAME_SIZE, TMP "%s-%llu", hex, (unsigned long long)u->serial);
}

/* --- the folder --- */

static int folder_path(const struct blobs *b, char *path, size_t size, struct error *e)
{
	if (snprintf(path, size, "%s/" BLOB_FOLDER, b->state_dir) >= (int)size)
		return error_set(e, ERROR_CONFIG, "the state directory's path is too long");
	return 0;
}

int blobs_open(struct blobs *b, const char *state_dir, struct error *e)
{
	char path[PATH_MAX];
	*b = (struct blobs){ .state_dir = state_dir, .folder = -1 };
	int r = folder_path(b, path, sizeof path, e);
	if (r)
		return r;
	b->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (b->folder < 0 && errno != ENOENT)
		return error_set(e, ERROR_STORE, "%s cannot be opened: %s", path, strerror(errno));
	int fd = b->folder < 0 ? -1 : openat(b->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !(b->sweep = fdopendir(fd)))
		close(fd);
	return 0;
}

void blobs_close(struct blobs *b)
{
	while (b->n_uploads)
		upload_drop(b, b->uploads[0]);
	if (b->sweep)
		closedir(b->sweep);
	if (b->folder >= 0)
		close(b->folder);
	free(b->doomed);
	*b = (struct blobs){ .folder = -1 };
}

/* What could not be done is no promise broken: only a sync that fails is. */
static int fail(int err, struct error *e)
{
	if (err == ENOSPC || err == EDQUOT) {
		error_refuse(e, ERROR_DISK_LOW, "free space, then send it again", "the disk of the store is full");
	} else {
		error_set(e, ERROR_STORE, "the payload cannot be written: %s", strerror(err));
	}
	return error_retry(e, 5000);
}

static int folder_make(struct blobs *b, struct error *e)
{
	char path[PATH_MAX];
	if (b->folder >= 0)
		return 0;
	int r = folder_path(b, path, sizeof path, e);
	if (!r)
		r = file_mkdir_p(path, 0700, e);
	if (r)
		return r;
	b->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return b->folder < 0 ? fail(errno, e) : 0;
}

/* --- under its name --- */

int blob_file_size(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t *ret)
{
	char name[SHA256_TEXT];
	struct stat st;
	sha256_format(sha256, name);
	if (b->folder < 0 || fstatat(b->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return b->folder < 0 || errno == ENOENT ? ERROR_NOT_FOUND : -errno;
	if (!S_ISREG(st.st_mode))
		return ERROR_NOT_FOUND;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int blob_file_read(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t offset, uint8_t *data, size_t len)
{
	char name[SHA256_TEXT];
	sha256_format(sha256, name);
	_cleanup_(closep) int fd = b->folder < 0 ? -1 : openat(b->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return b->folder < 0 || errno == ENOENT ? ERROR_NOT_FOUND : -errno;
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, data + at, len - at, (off_t)(offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return ERROR_CORRUPT;
		at += (size_t)n;
	}
	return 0;
}

/* --- on its way --- */

struct upload *upload_find(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t size, const char *subject)
{
	for (size_t i = 0; i < b->n_uploads; i++) {
		struct upload *u = b->uploads[i];
		if (memcmp(u->sha256, sha256, SHA256_BYTES) == 0 && u->size == size && strncmp(u->subject, subject, sizeof u->subject - 1) == 0)
			return u;
	}
	return NULL;
}

static void forget(struct blobs *b, struct upload *u)
{
	for (size_t i = 0; i < b->n_uploads; i++)
		if (b->uploads[i] == u)
			b->uploads[i] = b->uploads[--b->n_uploads];
	close(u->fd);
	free(u);
}

void upload_drop(struct blobs *b, struct upload *u)
{
	char name[NAME_SIZE];
	tmp_name(u, name);
	unlinkat(b->folder, name, 0);
	forget(b, u);
}

void upload_drop_all(struct blobs *b, const uint8_t sha256[static SHA256_BYTES])
{
	for (size_t i = b->n_uploads; i-- > 0;)
		if (memcmp(b->uploads[i]->sha256, sha256, SHA256_BYTES) == 0)
			upload_drop(b, b->uploads[i]);
}

/* Room for one more, by the one that was silent longest if need be. */
static int make_room(struct blobs *b, uint64_t now_ms, struct error *e)
{
	struct upload *oldest = NULL;
	if (b->n_uploads < UPLOADS_MAX)
		return 0;
	for (size_t i = 0; i < b->n_uploads; i++)
		if (!oldest || b->uploads[i]->touched_ms < oldest->touched_ms)
			oldest = b->uploads[i];
	if (oldest && now_ms - oldest->touched_ms >= UPLOAD_STALE_MS) {
		upload_drop(b, oldest);
		return 0;
	}
	error_set(e, ERROR_BUSY, "%u payloads are being sent already", UPLOADS_MAX);
	return error_retry(e, 1000);
}

int upload_open(struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t size, const char *subject, uint64_t now_ms, struct upload **ret, struct error *e)
{
	char name[NAME_SIZE];
	int r = folder_make(b, e);
	if (!r)
		r = make_room(b, now_ms, e);
	if (r)
		return r;
	struct upload *u = calloc(1, sizeof *u);
	if (!u)
		return -ENOMEM;
	memcpy(u->sha256, sha256, SHA256_BYTES);
	snprintf(u->subject, sizeof u->subject, "%s", subject);
	u->size = size;
	u->touched_ms = now_ms;
	sha256_init(&u->hash);
	do { /* what an earlier life left may not be swept yet */
		u->serial = ++b->serial;
		tmp_name(u, name);
		u->fd = openat(b->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (u->fd < 0 && errno == EEXIST);
	if (u->fd < 0) {
		r = fail(errno, e);
		free(u);
		return r;
	}
	b->uploads[b->n_uploads++] = u;
	*ret = u;
	return 0;
}

int upload_add(struct upload *u, uint64_t offset, const uint8_t *data, size_t len, uint64_t now_ms, struct error *e)
{
	u->touched_ms = now_ms;
	if (offset > u->offset || offset + len <= u->offset)
		return 0;
	data += u->offset - offset;
	len -= (size_t)(u->offset - offset);
	int r = file_write_at(u->fd, u->offset, data, len);
	if (r)
		return fail(-r, e);
	(void)sync_file_range(u->fd, (off_t)u->offset, (off_t)len, SYNC_FILE_RANGE_WRITE); /* a hint: the fsync counts */
	sha256_add(&u->hash, data, len);
	u->offset += len;
	return 0;
}

static void undoom(struct blobs *b, const uint8_t sha256[static SHA256_BYTES])
{
	for (size_t i = 0; i < b->n_doomed; i++)
		if (memcmp(b->doomed[i], sha256, SHA256_BYTES) == 0)
			memcpy(b->doomed[i--], b->doomed[--b->n_doomed], SHA256_BYTES);
}

int upload_place(struct blobs *b, struct upload *u, struct error *e)
{
	uint8_t digest[SHA256_BYTES];
	char name[SHA256_TEXT], tmp[NAME_SIZE];
	sha256_end(&u->hash, digest);
	if (memcmp(digest, u->sha256, sizeof digest) != 0) {
		upload_drop(b, u);
		return error_refuse(e, ERROR_BAD_REQUEST, "send it again from its beginning", "the bytes are not those that the hash names");
	}
	if (fsync(u->fd) < 0) {
		int err = errno;
		upload_drop(b, u);
		return err == ENOSPC || err == EDQUOT ? fail(err, e) : -err;
	}
	sha256_format(u->sha256, name);
	tmp_name(u, tmp);
	if (renameat(b->folder, tmp, b->folder, name) < 0) {
		int err = errno;
		upload_drop(b, u);
		return fail(err, e);
	}
	undoom(b, u->sha256);
	b->placed = true;
	forget(b, u);
	if (fsync(b->folder) < 0)
		return -errno;
	fault_point("blob.after_rename");
	return 0;
}

uint64_t uploads_tick(struct blobs *b, uint64_t now_ms)
{
	uint64_t next_ms = TIME_NEVER;
	for (size_t i = b->n_uploads; i-- > 0;) {
		uint64_t at_ms = b->uploads[i]->touched_ms + UPLOAD_IDLE_MS;
		if (at_ms <= now_ms)
			upload_drop(b, b->uploads[i]);
		else if (at_ms < next_ms)
			next_ms = at_ms;
	}
	return next_ms;
}

/* --- what goes --- */

int blob_doom(struct blobs *b, const uint8_t sha256[static SHA256_BYTES])
{
	if (!GROW(b->doomed, b->room_doomed, b->n_doomed + 1))
		return -ENOMEM;
	memcpy(b->doomed[b->n_doomed++], sha256, SHA256_BYTES);
	return 0;
}

void blobs_committed(struct blobs *b)
{
	char name[SHA256_TEXT];
	if (b->placed || b->n_doomed)
		fault_point("blob.after_commit");
	b->placed = false;
	while (b->n_doomed) {
		sha256_format(b->doomed[--b->n_doomed], name);
		if (unlinkat(b->folder, name, 0) < 0 && errno != ENOENT)
			log_warn("the file of a payload that nobody needs stays until the next start", LOG_S("file", name), LOG_S("why", strerror(errno)));
	}
}

static bool is_upload(const struct blobs *b, const char *name)
{
	char own[NAME_SIZE];
	for (size_t i = 0; i < b->n_uploads; i++) {
		tmp_name(b->uploads[i], own);
		if (strcmp(own, name) == 0)
			return true;
	}
	return false;
}

bool blobs_sweep(struct blobs *b, bool (*known)(void *ctx, const uint8_t sha256[static SHA256_BYTES]), void *ctx)
{
	uint8_t sha256[SHA256_BYTES];
	struct dirent *d = NULL;
	if (!b->sweep)
		return false;
	for (unsigned n = 0; n < SWEEP_SLICE && (d = readdir(b->sweep)); n++) {
		bool tmp = strncmp(d->d_name, TMP, strlen(TMP)) == 0 && !is_upload(b, d->d_name);
		if (tmp || (sha256_parse(d->d_name, sha256) && !known(ctx, sha256)))
			unlinkat(b->folder, d->d_name, 0);
	}
	if (d)
		return true;
	closedir(steal(&b->sweep));
	return false;
}
