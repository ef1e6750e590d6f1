#include "common/store/commit_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/crash.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/file.h"

#define MAGIC 0x474f4c54u /* TLOG */
#define PIECE (256u << 10)
#define ROOM_FIRST (64u << 10)
#define SIZE_MAX_BYTES (1u << 30)

struct head { uint32_t magic, crc; uint64_t id, seq; uint32_t len, zero; };
struct op_head { uint8_t op, table; uint16_t key; uint32_t value; };
_Static_assert(sizeof(struct head) == 32 && sizeof(struct op_head) == 8, "as they lie on the disk");
#define CRC_FROM offsetof(struct head, id)

struct commit_log {
	int fd;
	char *path, *words; /* words: for who dies in a page of it that cannot be read */
	size_t size, at;    /* at: of the next record */
	uint64_t id, seq;
	uint8_t *made;      /* the record that is being made: room for its head, then operations */
	size_t len, room;
	bool too_large, created;
	bool ours;          /* all that it has was synced by this process */
};

static size_t aligned(size_t n)
{
	return (n + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
}

/* --- the file --- */

static int commit_log_path(char *out, const char *dir, const char *more)
{
	return snprintf(out, PATH_MAX, "%s/" LOG_FILE "%s", dir, more) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int zeros_write(int fd, size_t size)
{
	_cleanup_(freep) uint8_t *piece = calloc(1, PIECE);
	int r = piece ? 0 : -ENOMEM;
	for (size_t done = 0; !r && done < size; done += PIECE)
		r = file_write_all(fd, piece, size - done < PIECE ? size - done : PIECE);
	return r;
}

/* It gets its name when it is whole. */
static int commit_log_make(const char *dir, const char *path, size_t size)
{
	char new[PATH_MAX];
	int r = commit_log_path(new, dir, ".new");
	if (r)
		return r;
	_cleanup_(closep) int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = zeros_write(fd, size);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (!r && renameat2(AT_FDCWD, new, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		r = -errno;
	return r ? r : file_fsync_dir(dir);
}

static int commit_log_failed(struct error *e, const char *path, int r)
{
	error_set(e, ERROR_STORE, "cannot open %.200s: %s", path, strerror(-r));
	return r;
}

int commit_log_open(const char *dir, size_t size, struct commit_log **ret, struct error *e)
{
	char path[PATH_MAX];
	struct stat st;
	int r = commit_log_path(path, dir, "");
	if (r)
		return commit_log_failed(e, path, r);
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool create = fd < 0 && errno == ENOENT;
	if (create) {
		if ((r = commit_log_make(dir, path, size)))
			return commit_log_failed(e, path, r);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return commit_log_failed(e, path, -errno);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return commit_log_failed(e, path, -errno);
		return error_set(e, ERROR_BUSY, "%.200s is in use: another process has this store open", path);
	}
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)LOG_ALIGN || st.st_size > (off_t)SIZE_MAX_BYTES || st.st_size % LOG_ALIGN)
		return error_set(e, ERROR_CORRUPT, "%.200s is cut short or no log: %lld bytes", path, (long long)st.st_size);
	struct commit_log *l = calloc(1, sizeof *l);
	if (l) {
		l->fd = steal_fd(&fd);
		l->path = strdup(path);
		l->made = malloc(ROOM_FIRST);
		if (asprintf(&l->words, "this process dies in a page of a store's log that cannot be read: %s", path) < 0)
			l->words = NULL;
	}
	if (!l || !l->path || !l->made || !l->words) {
		commit_log_close(l);
		return commit_log_failed(e, path, -ENOMEM);
	}
	l->size = (size_t)st.st_size;
	l->room = ROOM_FIRST;
	l->created = create;
	commit_log_drop(l);
	*ret = l;
	return 0;
}

struct commit_log *commit_log_close(struct commit_log *l)
{
	if (!l)
		return NULL;
	close(l->fd);
	free(l->made);
	free(l->words);
	free(l->path);
	free(l);
	return NULL;
}

bool commit_log_is_new(const struct commit_log *l)
{
	return l->created;
}

void commit_log_place(struct commit_log *l, uint64_t id, uint64_t seq)
{
	l->id = id;
	l->seq = seq;
	l->at = 0;
}

/* --- reading --- */

/* The record at from, 0: none of this store. */
static size_t record_at(const uint8_t *file, size_t size, size_t from, struct head *ret)
{
	if (size - from < sizeof *ret)
		return 0;
	memcpy(ret, file + from, sizeof *ret);
	if (ret->magic != MAGIC || ret->zero || ret->len > size - from - sizeof *ret)
		return 0;
	size_t len = sizeof *ret + ret->len;
	return ret->crc == crc32c(0, file + from + CRC_FROM, len - CRC_FROM) ? len : 0;
}

/* Walks the records from the beginning whose numbers follow one another, the first of them any one. Returns where the last ends, its number in *ret_last, the first one's in
 * *ret_first; 0: none. */
static size_t chain(const uint8_t *file, size_t size, uint64_t id, uint64_t *ret_first, uint64_t *ret_last)
{
	size_t at = 0, len;
	struct head h;
	while (at < size && (len = record_at(file, size, at, &h)) && h.id == id && (at == 0 || h.seq == *ret_last + 1)) {
		if (at == 0)
			*ret_first = h.seq;
		*ret_last = h.seq;
		at += aligned(len);
	}
	return at;
}

/* The number of a sound record of a commit behind seq, wherever it lies; 0: there is none. */
static uint64_t later_one(const uint8_t *file, size_t size, size_t from, uint64_t id, uint64_t seq)
{
	struct head h;
	for (size_t at = from; at < size; at += LOG_ALIGN)
		if (record_at(file, size, at, &h) && h.id == id && h.seq > seq)
			return h.seq;
	return 0;
}

static int operations(const uint8_t *p, size_t len, int (*fn)(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value), void *ctx)
{
	struct op_head h;
	int r = 0;
	for (const uint8_t *end = p + len; !r && p < end; p += h.key + h.value) {
		if ((size_t)(end - p) < sizeof h)
			return ERROR_CORRUPT;
		memcpy(&h, p, sizeof h);
		p += sizeof h;
		if ((size_t)(end - p) < (size_t)h.key + h.value || h.op < LOG_PUT || h.op > LOG_CLEAR)
			return ERROR_CORRUPT;
		r = fn(ctx, (enum log_op)h.op, h.table == UINT8_MAX ? STORE_OWN : h.table, SLICE(p, h.key), SLICE(p + h.key, h.value));
	}
	return r;
}

static bool no_room(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

/* The tail, once more onto the disk. Where a file system that never writes in place has no room for that the sync alone must do: it covers all but what an earlier one failed for. */
static int write_again(struct commit_log *l, const uint8_t *file, size_t to)
{
	int r = file_write_at(l->fd, 0, file, to);
	if (r && !no_room(r))
		return r;
	return fdatasync(l->fd) < 0 ? -errno : 0;
}

static int replay(struct commit_log *l, const uint8_t *file, int (*fn)(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value), void *ctx, struct error *e)
{
	uint64_t first = 0, last = 0, have = l->seq;
	struct head h;
	size_t len, end = chain(file, l->size, l->id, &first, &last);
	if (!end && (len = record_at(file, l->size, 0, &h)) && h.id != l->id)
		return error_set(e, ERROR_CORRUPT, "%.200s belongs to another data.mdb than the one beside it", l->path);
	if (end && first > have + 1)
		return error_set(e, ERROR_CORRUPT, "%.200s begins with commit %" PRIu64 ", the data.mdb beside it ends with %" PRIu64, l->path, first, have);
	bool tail = end && last > have;
	/* The one that may be torn lies at the end of the tail; without a tail at the beginning, and then all that is new and elsewhere had others before it. */
	if (later_one(file, l->size, end, l->id, tail ? last + 1 : have))
		return error_set(e, ERROR_CORRUPT, "%.200s is damaged behind commit %" PRIu64, l->path, tail ? last : have);
	if (!tail) {
		l->ours = true;
		return 0;
	}
	int r = l->ours ? 0 : write_again(l, file, end);
	for (size_t at = 0; !r && at < end; at += aligned(len)) {
		len = record_at(file, l->size, at, &h);
		if (h.seq > have)
			r = operations(file + at + sizeof h, h.len, fn, ctx);
	}
	if (r == ERROR_CORRUPT)
		error_set(e, ERROR_CORRUPT, "%.200s has operations that nobody wrote", l->path);
	if (r)
		return r;
	l->seq = last;
	l->at = end;
	l->ours = true;
	return 0;
}

int commit_log_replay(struct commit_log *l, int (*fn)(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value), void *ctx, struct error *e)
{
	uint8_t *file = mmap(NULL, l->size, PROT_READ, MAP_SHARED, l->fd, 0);
	if (file == MAP_FAILED)
		return commit_log_failed(e, l->path, -errno);
	crash_words = l->words;
	int r = replay(l, file, fn, ctx, e);
	crash_words = NULL;
	munmap(file, l->size);
	return r < 0 ? commit_log_failed(e, l->path, r) : r;
}

int commit_log_last(const char *dir, uint64_t id, uint64_t seq, uint64_t *ret)
{
	char path[PATH_MAX];
	struct stat st;
	uint64_t first, last = 0;
	*ret = 0;
	int r = commit_log_path(path, dir, "");
	if (r)
		return r;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	size_t size = (size_t)st.st_size;
	if (size < LOG_ALIGN)
		return 0;
	uint8_t *file = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		return -errno;
	if (chain(file, size, id, &first, &last) && last > seq)
		*ret = last;
	else /* its first record is damaged, or is being written: replay tells which */
		*ret = later_one(file, size, 0, id, seq);
	munmap(file, size);
	return 0;
}

/* --- writing --- */

void commit_log_drop(struct commit_log *l)
{
	l->len = sizeof(struct head);
	l->too_large = false;
}

bool commit_log_pending(const struct commit_log *l)
{
	return l->too_large || l->len > sizeof(struct head);
}

int commit_log_add(struct commit_log *l, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	assert(key.len <= UINT16_MAX && value.len <= UINT32_MAX && (table < UINT8_MAX || table == STORE_OWN));
	if (l->too_large)
		return 0;
	size_t need = l->len + sizeof(struct op_head) + key.len + value.len;
	if (need > l->size) {
		l->too_large = true;
		return 0;
	}
	if (aligned(need) > l->room) {
		size_t room = l->room * 2 > aligned(need) ? l->room * 2 : aligned(need);
		uint8_t *more = realloc(l->made, room);
		if (!more) {
			l->too_large = true; /* there is something to take back */
			return -ENOMEM;
		}
		l->made = more;
		l->room = room;
	}
	const struct op_head h = { .op = (uint8_t)op, .table = table == STORE_OWN ? UINT8_MAX : (uint8_t)table, .key = (uint16_t)key.len, .value = (uint32_t)value.len };
	uint8_t *p = l->made + l->len;
	memcpy(p, &h, sizeof h);
	if (key.len)
		memcpy(p + sizeof h, key.data, key.len);
	if (value.len)
		memcpy(p + sizeof h + key.len, value.data, value.len);
	l->len = need;
	return 0;
}

int commit_log_write(struct commit_log *l)
{
	size_t whole = aligned(l->len);
	if (l->too_large || whole > l->size - l->at)
		return ERROR_TOO_LARGE;
	struct head h = { .magic = MAGIC, .id = l->id, .seq = l->seq + 1, .len = (uint32_t)(l->len - sizeof h) };
	memset(l->made + l->len, 0, whole - l->len);
	memcpy(l->made, &h, sizeof h);
	h.crc = crc32c(0, l->made + CRC_FROM, l->len - CRC_FROM);
	memcpy(l->made, &h, sizeof h);
	fault_point("log.before_write");
	int r = file_write_at(l->fd, l->at, l->made, whole);
	if (r)
		return no_room(r) ? ERROR_STORE : r;
	fault_point("log.before_sync");
	if (fdatasync(l->fd) < 0)
		return -errno;
	l->at += whole;
	l->seq++;
	commit_log_drop(l);
	return 0;
}

void commit_log_restart(struct commit_log *l, uint64_t seq)
{
	assert(seq >= l->seq);
	l->seq = seq;
	l->at = 0;
	commit_log_drop(l);
}

uint64_t commit_log_seq(const struct commit_log *l)
{
	return l->seq;
}

size_t commit_log_used(const struct commit_log *l)
{
	return l->at;
}

size_t commit_log_size(const struct commit_log *l)
{
	return l->size;
}
