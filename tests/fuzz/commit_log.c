/* The reading of a log: arbitrary bytes as the file commit.log. The first byte chooses what the data has and whether the checksums of what looks like records are made right,
 * so that what lies behind them is reached too; the second how much of a block is missing at the end. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/file.h"
#include "common/store/commit_log.h"
#include "tests/fuzz/fuzz.h"

#define ID 0x1122334455667788u
#define HEAD 32u
#define CRC_FROM 8u
#define BLOCKS_MAX 16u
#define SIZE_MAX_BYTES (BLOCKS_MAX * LOG_ALIGN)

static char dir[64], path[96];

static void dir_remove(void)
{
	unlink(path);
	rmdir(dir);
}

static void dir_make(void)
{
	if (*dir)
		return;
	snprintf(dir, sizeof dir, "%s/troupe-fuzz-log-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/" LOG_FILE, dir);
	atexit(dir_remove);
}

/* As whoever wrote these bytes as records would have done it. */
static void sums_right(uint8_t *file, size_t size)
{
	uint32_t len, crc;
	for (size_t at = 0; at + HEAD <= size; at += LOG_ALIGN) {
		memcpy(&len, file + at + 24, sizeof len);
		if (memcmp(file + at, "TLOG", 4) != 0 || len > size - at - HEAD)
			continue;
		crc = crc32c(0, file + at + CRC_FROM, HEAD - CRC_FROM + len);
		memcpy(file + at + 4, &crc, sizeof crc);
	}
}

static void file_write(const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && file_write_all(fd, data, size) == 0);
	close(fd);
}

struct sum { unsigned n; uint32_t crc; bool marked; };

/* Reads every byte that it is given. */
static int hear(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	struct sum *s = ctx;
	assert(op >= LOG_PUT && op <= LOG_CLEAR && (table < UINT8_MAX || table == STORE_OWN));
	s->n++;
	s->crc = crc32c(crc32c(s->crc, key.data, key.len), value.data, value.len);
	s->marked = key.len == 4 && memcmp(key.data, "MARK", 4) == 0;
	return 0;
}

static int replay(struct commit_log *l, uint64_t have, struct sum *s)
{
	struct error e = { 0 };
	*s = (struct sum){ 0 };
	commit_log_place(l, ID, have);
	int r = commit_log_replay(l, hear, s, &e);
	assert(r == 0 || (r == ERROR_CORRUPT && *e.text));
	assert(r || commit_log_seq(l) >= have);
	assert(commit_log_used(l) <= commit_log_size(l) && commit_log_used(l) % LOG_ALIGN == 0);
	return r;
}

/* What was read once is read again, and one more record stands behind it. */
static void go_on(struct commit_log *l, uint64_t have, const struct sum *first)
{
	struct sum s;
	uint64_t last, seq = commit_log_seq(l);
	assert(commit_log_last(dir, ID, have, &last) == 0);
	assert(commit_log_used(l) ? last == seq : last == 0);
	assert(commit_log_add(l, LOG_PUT, 3, SLICE("MARK", 4), SLICE("value", 5)) == 0);
	int r = commit_log_write(l);
	assert(r == 0 || r == ERROR_TOO_LARGE);
	commit_log_drop(l);
	if (r)
		return;
	assert(replay(l, have, &s) == 0);
	assert(commit_log_seq(l) == seq + 1 && s.n == first->n + 1 && s.marked);
	assert(commit_log_last(dir, ID, have, &last) == 0 && last == seq + 1);
}

static void look(uint64_t have)
{
	struct commit_log *l = NULL;
	struct error e = { 0 };
	struct sum s, again;
	uint64_t last;
	assert(commit_log_last(dir, ID, have, &last) == 0 && (last == 0 || last > have));
	int r = commit_log_open(dir, LOG_ALIGN, &l, &e);
	if (r) {
		assert(r == ERROR_CORRUPT && *e.text);
		return;
	}
	r = replay(l, have, &s);
	assert(replay(l, have, &again) == r && s.n == again.n && s.crc == again.crc);
	assert(r || !s.n || last);
	if (!r && have < UINT64_MAX - 2 && commit_log_seq(l) < UINT64_MAX - 2)
		go_on(l, have, &s);
	commit_log_close(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[SIZE_MAX_BYTES];
	if (size < 2)
		return 0;
	dir_make();
	size_t len = size - 2 < sizeof file ? size - 2 : sizeof file;
	size_t whole = (len + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN, missing = data[1] < 0xf0 ? 0 : data[1];
	memset(file, 0, sizeof file);
	memcpy(file, data + 2, len);
	if (data[0] & 0x80)
		sums_right(file, whole);
	file_write(file, whole > missing ? whole - missing : whole);
	look(data[0] & 0x7f);
	return 0;
}
