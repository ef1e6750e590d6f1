#include "actors/tools/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/tools/progress.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"

#define PIECE (96u * 1024)        /* fits the smallest frame that can be configured, 128 KiB */
#define PATIENCE_MS 60000u        /* without a byte more being taken */
#define BUSY_PAUSE_MS 100u
#define ASK_ABOVE (16ull << 20)   /* what comes from a pipe: ask, at each doubling, whether so much is taken at all */

static uint64_t patience_ms(const struct tool *t)
{
	return t->timeout_ms ? t->timeout_ms : PATIENCE_MS;
}

/* --- where it comes from --- */

void payload_close(struct payload *p)
{
	closep(&p->fd);
	free(p->owned);
	*p = (struct payload){ .fd = -1 };
}

/* 0 or -errno; -ENODATA: the file has got shorter. */
static int read_at(const struct payload *p, uint64_t at, uint8_t *data, size_t len)
{
	if (p->fd < 0) {
		memcpy(data, p->data + at, len);
		return 0;
	}
	for (size_t n = 0; n < len;) {
		ssize_t r = pread(p->fd, data + n, len - n, (off_t)(p->from + at + n));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -ENODATA;
		n += (size_t)r;
	}
	return 0;
}

static int put(struct tool *t, const uint8_t *sha256, uint64_t size, uint64_t offset, const uint8_t *data, size_t len, Troupe__BlobTaken *ret, struct error *e)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__BlobPut p = TROUPE__BLOB_PUT__INIT;
	p.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, (uint8_t *)(uintptr_t)sha256 };
	p.size = size;
	p.offset = offset;
	p.data = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)data };
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_PUT;
	env.blob_put = &p;
	int r = talk_ask(t->talk, t->coordinator, &env, patience_ms(t), &arena, &answer, e);
	if (r)
		return r;
	if (answer->body_case != TROUPE__ENVELOPE__BODY_BLOB_TAKEN)
		return error_set(e, ERROR_VERSION, "%s answered a piece of a payload with something else", t->coordinator);
	*ret = *answer->blob_taken;
	return 0;
}

/* Would so much be taken? Before anybody reads it all. */
static int ask_size(struct tool *t, uint64_t size, struct error *e)
{
	static const uint8_t nothing[SHA256_BYTES];
	Troupe__BlobTaken taken;
	return put(t, nothing, size, 0, NULL, 0, &taken, e);
}

/* A pipe, whose beginning has been read already, into a file without a name. */
static int spool(struct tool *t, int from, struct payload *p)
{
	static uint8_t data[PIECE];
	const char *folder = getenv("TMPDIR");
	struct error e = { 0 };
	uint64_t ask_at = ASK_ABOVE;
	ssize_t n = 0;
	p->fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = p->fd < 0 ? -errno : file_write_all(p->fd, p->owned, p->size);
	while (!r && (n = read(from, data, sizeof data)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : file_write_all(p->fd, data, (size_t)n);
		p->size += n < 0 ? 0 : (uint64_t)n;
		if (!r && p->size > ask_at) {
			int code = ask_size(t, p->size, &e);
			if (code)
				return tool_fail_code(t, code, &e);
			ask_at *= 2;
		}
	}
	return r ? tool_file(t, p->name, -r) : 0;
}

/* The beginning of it, at most a byte more than is small. 0 or -errno. */
static int read_small(int fd, struct payload *ret)
{
	if (!(ret->owned = malloc(PAYLOAD_INLINE_MAX + 1)))
		return -ENOMEM;
	ret->data = ret->owned;
	while (ret->size <= PAYLOAD_INLINE_MAX) {
		ssize_t n = read(fd, ret->owned + ret->size, PAYLOAD_INLINE_MAX + 1 - ret->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		ret->size += (uint64_t)n;
	}
	return 0;
}

/* A large regular file is read where it is, from where it stands. *ret.fd stays -1 for anything else. */
static int open_large(int *fd, struct payload *ret)
{
	struct stat st;
	if (fstat(*fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	off_t at = S_ISREG(st.st_mode) ? lseek(*fd, 0, SEEK_CUR) : -1;
	if (at < 0 || st.st_size - at <= (off_t)PAYLOAD_INLINE_MAX)
		return 0;
	ret->fd = steal_fd(fd);
	ret->from = (uint64_t)at;
	ret->size = (uint64_t)(st.st_size - at);
	return 0;
}

int payload_open(struct tool *t, const char *path, struct payload *ret)
{
	bool is_stdin = strcmp(path, "-") == 0;
	_cleanup_(closep) int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	*ret = (struct payload){ .fd = -1, .name = is_stdin ? "stdin" : path };
	int r = fd < 0 ? -errno : open_large(&fd, ret);
	if (!r && ret->fd < 0)
		r = read_small(fd, ret);
	if (r)
		return tool_file(t, ret->name, -r);
	return ret->fd < 0 && ret->size > PAYLOAD_INLINE_MAX ? spool(t, fd, ret) : 0;
}

int payload_read(const char *path, struct payload *ret, struct error *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* of a pipe nobody writes to */
	*ret = (struct payload){ .fd = -1, .name = path };
	int r = fd < 0 ? -errno : open_large(&fd, ret);
	if (!r && ret->fd < 0)
		r = read_small(fd, ret);
	if (!r && ret->fd < 0 && ret->size > PAYLOAD_INLINE_MAX)
		r = -EINVAL; /* no regular file */
	if (!r)
		return 0;
	payload_close(ret);
	return r == -ENOMEM ? r : error_set(e, ERROR_NOT_FOUND, "%.160s: %s", path, strerror(-r));
}

/* --- there --- */

static int digest(const struct payload *p, uint8_t ret[static SHA256_BYTES])
{
	static uint8_t data[PIECE];
	struct sha256 h;
	int r = 0;
	sha256_init(&h);
	for (uint64_t at = 0; at < p->size && !r;) {
		size_t n = p->size - at < PIECE ? (size_t)(p->size - at) : PIECE;
		r = read_at(p, at, data, n);
		sha256_add(&h, data, r ? 0 : n);
		at += n;
	}
	sha256_end(&h, ret);
	return r;
}

static int file_error(const struct payload *p, int r, struct error *e)
{
	if (r == -ENODATA)
		return error_set(e, ERROR_NOT_FOUND, "%.160s has got shorter while it was read", p->name);
	return error_set(e, ERROR_STORE, "%.160s: %s", p->name, strerror(-r));
}

static void wait_ms(struct tool *t, uint64_t ms)
{
	uint64_t until_ms = clock_mono_ms() + ms;
	while (clock_mono_ms() < until_ms && talk_poll(t->talk, until_ms) == 0)
		;
}

/* All of it, from wherever the node says. An upload begins anew with a coordinator: what counts is that some day it gets further than before. */
static int send_all(struct tool *t, const struct payload *p, const uint8_t *sha256, struct progress *bar, struct error *e)
{
	static uint8_t data[PIECE];
	uint64_t offset = 0, best = 0, best_at_ms = clock_mono_ms();
	size_t n = 0; /* first only a question: how much is there? */
	Troupe__BlobTaken taken;
	for (;;) {
		int r = n ? read_at(p, offset, data, n) : 0;
		if (r)
			return file_error(p, r, e);
		r = put(t, sha256, p->size, offset, data, n, &taken, e);
		if (!r && taken.complete)
			return 0;
		bool patient = clock_mono_ms() - best_at_ms < patience_ms(t);
		if (r == ERROR_BUSY && e->retryable && patient) {
			wait_ms(t, e->retry_after_ms ? e->retry_after_ms : BUSY_PAUSE_MS);
			continue;
		}
		if (r)
			return r;
		offset = taken.offset < p->size ? taken.offset : 0;
		if (offset > best) {
			best = offset;
			best_at_ms = clock_mono_ms();
			patient = true;
		}
		if (!patient)
			return error_set(e, ERROR_TIMEOUT, "%s takes no more of %.100s than %llu of %llu bytes", t->coordinator, p->name, (unsigned long long)best,
			                 (unsigned long long)p->size);
		n = p->size - offset < PIECE ? (size_t)(p->size - offset) : PIECE;
		progress_show(bar, offset);
	}
}

int payload_send(struct tool *t, const struct payload *p, bool quiet, struct payload_ref *ret, struct error *e)
{
	struct progress bar;
	int r = ask_size(t, p->size, e);
	if (r)
		return r;
	if ((r = digest(p, ret->sha256)))
		return file_error(p, r, e);
	progress_begin(&bar, p->name, p->size, quiet);
	r = send_all(t, p, ret->sha256, &bar, e);
	if (r)
		progress_clear(&bar);
	else
		progress_end(&bar, p->size);
	troupe__blob_ref__init(&ret->ref);
	ret->ref.sha256 = (ProtobufCBinaryData){ SHA256_BYTES, ret->sha256 };
	ret->ref.size = p->size;
	return r;
}

/* --- and back --- */

int payload_fetch(struct tool *t, const Troupe__BlobRef *ref, int (*take)(void *ctx, const uint8_t *data, size_t len), void *ctx, struct error *e)
{
	struct sha256 h;
	uint8_t found[SHA256_BYTES];
	sha256_init(&h);
	for (uint64_t at = 0; at < ref->size;) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__BlobGet g = TROUPE__BLOB_GET__INIT;
		g.sha256 = ref->sha256;
		g.offset = at;
		env.body_case = TROUPE__ENVELOPE__BODY_BLOB_GET;
		env.blob_get = &g;
		int r = talk_ask(t->talk, t->coordinator, &env, patience_ms(t), &arena, &answer, e);
		if (r)
			return r;
		const Troupe__BlobData *d = answer->body_case == TROUPE__ENVELOPE__BODY_BLOB_DATA ? answer->blob_data : NULL;
		if (!d || !d->data.len || d->data.len > ref->size - at)
			return error_set(e, ERROR_VERSION, "%s did not answer with a piece of the payload", t->coordinator);
		sha256_add(&h, d->data.data, d->data.len);
		if ((r = take(ctx, d->data.data, d->data.len)))
			return r;
		at += d->data.len;
	}
	sha256_end(&h, found);
	if (ref->sha256.len != SHA256_BYTES || memcmp(found, ref->sha256.data, SHA256_BYTES) != 0)
		return error_set(e, ERROR_CORRUPT, "the payload's bytes are not those that were submitted");
	return 0;
}

static int take_file(void *ctx, const uint8_t *data, size_t len)
{
	return file_write_all(*(const int *)ctx, data, len);
}

int payload_write(struct tool *t, const Troupe__TaskSpec *spec, const char *path)
{
	bool is_stdout = strcmp(path, "-") == 0;
	struct error e = { 0 };
	fflush(stdout);
	_cleanup_(closep) int fd = is_stdout ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return tool_file(t, path, errno);
	int r = spec->blob ? payload_fetch(t, spec->blob, take_file, &fd, &e) : file_write_all(fd, spec->payload.data, spec->payload.len);
	if (r > 0)
		return tool_fail(t, &e);
	return r ? tool_file(t, is_stdout ? "stdout" : path, -r) : 0;
}

struct memory { uint8_t *at, *end; };

static int take_memory(void *ctx, const uint8_t *data, size_t len)
{
	struct memory *m = ctx;
	if ((size_t)(m->end - m->at) < len)
		return -EMSGSIZE;
	memcpy(m->at, data, len);
	m->at += len;
	return 0;
}

int payload_load(struct tool *t, Troupe__TaskSpec *spec, uint8_t **ret_owned)
{
	struct error e = { 0 };
	*ret_owned = NULL;
	if (!spec->blob)
		return 0;
	_cleanup_(freep) uint8_t *data = malloc(spec->blob->size);
	if (!data)
		return tool_fail_code(t, -ENOMEM, NULL);
	struct memory m = { data, data + spec->blob->size };
	int r = payload_fetch(t, spec->blob, take_memory, &m, &e);
	if (r)
		return tool_fail_code(t, r, &e);
	spec->payload = (ProtobufCBinaryData){ spec->blob->size, data };
	*ret_owned = steal(&data);
	return 0;
}
