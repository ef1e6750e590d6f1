/* Pages at the end of a data file that LMDB never wrote. A page that is taken and given back in one transaction is not written, and the number of the last page counts it all the same: a
 * sound file can be shorter than that number says. Then the pages that are not there are all in the list of free ones, and nobody reads them before somebody has written them. A file
 * that was cut short is told from that by this list, which is read with pread: what is mapped behind the end kills who reads it.
 *
 * The format is that of LMDB 0.9 (data version 1), on a machine of 64 bits, little-endian. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/store/internal.h"

#define PAGE 4096u
#define HEAD 16u           /* of a page: number, 2 bytes, flags, lower and upper or the count of overflow pages */
#define META_LAST 120u     /* of a meta page, behind its head: where the number of the last page is, then the transaction's */
#define META_PSIZE 24u     /* the page size, in the place of the free table's pad */
#define META_ROOT 64u      /* the root of the free table */
#define META_MAGIC 0xBEEFC0DEu
#define IS_BRANCH 0x01u
#define IS_LEAF 0x02u
#define BIG 0x01u          /* a node whose data lie in pages of their own */
#define DEPTH_MAX 32u

struct tail { int fd; uint64_t from, to, n_free, n_left; uint8_t *is_free; }; /* n_left: pages that a sound list can still have */

static bool page_read(int fd, uint64_t number, void *out, size_t len)
{
	return number < UINT64_MAX / PAGE / 2 && pread(fd, out, len, (off_t)(number * PAGE)) == (ssize_t)len;
}

static uint64_t u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static uint32_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }

/* A list of pages: a count, and so many numbers. */
static bool list_take(struct tail *t, const uint8_t *data, size_t len)
{
	uint64_t n = len >= 8 ? u64(data) : UINT64_MAX;
	if (n > len / 8 - 1)
		return false;
	for (uint64_t i = 1; i <= n; i++) {
		uint64_t page = u64(data + i * 8);
		if (page < t->from || page > t->to || t->is_free[page - t->from])
			continue;
		t->is_free[page - t->from] = 1;
		t->n_free++;
	}
	return true;
}

static bool big_take(struct tail *t, uint64_t page, size_t len)
{
	_cleanup_(freep) uint8_t *data = malloc(HEAD + len);
	return data && page_read(t->fd, page, data, HEAD + len) && list_take(t, data + HEAD, len);
}

static bool walk(struct tail *t, uint64_t number, unsigned depth)
{
	uint8_t page[PAGE];
	if (depth > DEPTH_MAX || t->n_left-- == 0 || !page_read(t->fd, number, page, sizeof page) || u64(page) != number)
		return false;
	uint32_t flags = u16(page + 10), lower = u16(page + 12);
	if (!(flags & (IS_BRANCH | IS_LEAF)) || lower < HEAD || lower > PAGE)
		return false;
	for (uint32_t at = HEAD; at < lower; at += 2) {
		uint32_t node = u16(page + at);
		if (node < HEAD || node > PAGE - 8)
			return false;
		const uint8_t *n = page + node;
		uint32_t lo = u16(n), hi = u16(n + 2), mark = u16(n + 4), key = u16(n + 6);
		bool ok;
		if (flags & IS_BRANCH) {
			ok = walk(t, lo | (uint64_t)hi << 16 | (uint64_t)mark << 32, depth + 1);
		} else {
			size_t len = lo | (size_t)hi << 16, data = node + 8u + key;
			if (data + (mark & BIG ? 8 : len) > PAGE)
				return false;
			ok = mark & BIG ? big_take(t, u64(page + data), len) : list_take(t, page + data, len);
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool meta_read(int fd, uint64_t number, uint8_t out[static META_LAST + 16])
{
	uint8_t page[HEAD + META_LAST + 16];
	if (!page_read(fd, number, page, sizeof page))
		return false;
	memcpy(out, page + HEAD, META_LAST + 16);
	return u32(out) == META_MAGIC && u32(out + 4) == 1 && u32(out + META_PSIZE) == PAGE;
}

bool store_tail_is_free(int fd, uint64_t size)
{
	uint8_t meta[2][META_LAST + 16];
	bool first = meta_read(fd, 0, meta[0]), second = meta_read(fd, 1, meta[1]);
	if (!first && !second)
		return false;
	const uint8_t *m = !second || (first && u64(meta[0] + META_LAST + 8) > u64(meta[1] + META_LAST + 8)) ? meta[0] : meta[1];
	struct tail t = { .fd = fd, .from = size / PAGE, .to = u64(m + META_LAST), .n_left = size / PAGE + 1 };
	if (t.to < t.from)
		return true;
	if (t.to - t.from > UINT32_MAX || !(t.is_free = calloc(1, t.to - t.from + 1)))
		return false;
	bool all = walk(&t, u64(m + META_ROOT), 0) && t.n_free == t.to - t.from + 1;
	free(t.is_free);
	return all;
}
