#pragma once
/* One LMDB environment: one directory, one writer process, default flags, and, where it is asked for, a log in front of it. Values carry a CRC-32C (4 bytes, little-endian, behind the value; over key and value),
 * which is checked on every read: a wrong one is ERROR_CORRUPT.
 *
 * An error of fsync or of a meta write is fatal (-EIO and the like): the caller leaves the process and opens again; it never retries, because LMDB's next
 * commit would succeed over the hole. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lmdb.h>
#include "common/base/error.h"

struct store;
struct store_txn;
struct slice { const void *data; size_t len; };
#define SLICE(p, n) ((struct slice){ (p), (n) })
#define SLICE_STR(s) ((struct slice){ (s), strlen(s) })

struct store_config {
	const char *dir;             /* created, 0700; its parent is fsynced after creation */
	const char *const *tables;   /* NULL-terminated names of the sub-databases, at most 32; table numbers are indexes into it */
	uint32_t version;            /* of the record formats: a store of another version is refused with ERROR_VERSION */
	/* Bytes of a log in front of the data, a multiple of 4,096; 0: none. With it a commit is one write and one fdatasync instead of LMDB's two barriers, and LMDB commits now
	 * and then (store_checkpoint). The names in tables must live as long as the store. */
	size_t log;
	/* Sparse; grows by doubling between transactions, alarm at 80 % of max. 1 GiB, 64 GiB. With a log max is exceeded where what was committed fits no more otherwise. */
	size_t map_first, map_max;
	/* Only to be read: nothing is created, a table that is not there is empty, and store_begin must not be called. A writer may be at work; where no lock file lies
	 * beside the data nobody has it open, and none is made. What a dead writer left in its log is brought into the data before, where this process may do that.
	 * ERROR_NOT_FOUND: there is no store. */
	bool read_only;
};
/* 0, ERROR_VERSION, ERROR_CORRUPT (also a file cut short), ERROR_STORE, ERROR_STATE (this process has it open already), ERROR_BUSY (with a log: another has
 * it for more than two seconds), -errno. e is filled in all cases. */
int store_open(const struct store_config *c, struct store **ret, struct error *e);
struct store *store_close(struct store *s);
bool store_is_new(const struct store *s);      /* created by this open */
bool store_has_table(const struct store *s, unsigned table); /* false only in one that is only read */

/* With a log: brings what it has into data.mdb, which blocks for some milliseconds. Not inside a write transaction. To be called at the time that store_checkpoint_at says, or it
 * happens inside a commit, when the log is full; and before store_close, where who reads the store from outside need not do it (store_settle).
 * 0 (also: nothing to do, no log); ERROR_STORE: no room on the disk, nothing is lost, again later; negative: fatal. */
#define STORE_CHECKPOINT_MS 100u
int store_checkpoint(struct store *s);
uint64_t store_checkpoint_at(const struct store *s); /* clock_mono_ms; 0: now; TIME_NEVER */

/* One write transaction at a time. Reads inside see its writes. */
int store_begin(struct store *s, struct store_txn **ret);      /* 0, or negative; grows the map where needed */
/* Makes the map larger where it is needed and no transaction or view lives; store_begin does it by itself. Views end before it: slices move. 0 or negative. */
int store_grow(struct store *s);
int store_commit(struct store_txn *t);   /* 0; ERROR_STORE (ENOSPC, map full: nothing was written, later commits may succeed); negative: fatal. Frees t */
void store_abort(struct store_txn *t);
/* A read-only view, reused: renewed by every call after the last was ended. With a log it sees what a write transaction beside it has written so far. */
int store_read(struct store *s, struct store_txn **ret);
void store_read_end(struct store_txn *t);

/* value points into the map, valid until the next write of t or its end, with no alignment: copy numbers out. Keys are 1 to 511 bytes; another length is
 * ERROR_BAD_REQUEST, here and below. 0, ERROR_NOT_FOUND, ERROR_CORRUPT, negative. */
int store_get(struct store_txn *t, unsigned table, struct slice key, struct slice *ret_value);
int store_put(struct store_txn *t, unsigned table, struct slice key, struct slice value); /* 0, ERROR_STORE (map full), negative */
int store_delete(struct store_txn *t, unsigned table, struct slice key);                  /* 0, ERROR_NOT_FOUND, negative */
/* The first row with key >= from (backward: the last row with key <= from; an empty from = the very last). 0, ERROR_NOT_FOUND, ERROR_CORRUPT (*ret_key is the key of the
 * row that is in the way), negative. */
int store_seek(struct store_txn *t, unsigned table, struct slice from, bool backward, struct slice *ret_key, struct slice *ret_value);
/* STORE_OWN as a table number is the store's own table (the version row); the runtime keeps a row of its own there. */
#define STORE_OWN UINT32_MAX
/* Walks rows from >= from in order (or backward); fn returns 0 to go on, positive to stop (returned). The rows must not be changed by fn. */
int store_scan(struct store_txn *t, unsigned table, struct slice from, bool backward,
               int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx);
int store_count(struct store_txn *t, unsigned table, uint64_t *ret);
int store_clear(struct store_txn *t, unsigned table);

struct store_usage { uint64_t map_bytes, used_bytes, map_max; uint32_t readers; };
int store_usage(struct store *s, struct store_usage *ret);
/* Bytes that can still be written before map_max: what the file may grow by, and its free pages that no reader needs any more. While less than half of map_max is in use
 * the free pages are not counted. As of the last checkpoint. Takes away what dead readers hold. 0 or negative. */
int store_room(struct store *s, uint64_t *ret);
int store_sync_dir(struct store *s);

/* For who is not the writer of dir: returns when data.mdb has all that was committed before the call. Waits for a writer that lives (10 s at most), does its work where none
 * lives. dir must not be open in this process. 0 (also: no log); ERROR_BUSY; what store_open returns. e is filled in all cases. */
int store_settle(const char *dir, struct error *e);
/* The environment in dir, as of one moment not before the call, in the form of a data.mdb without free pages, written to fd, which may be a pipe. A writer goes on meanwhile, but the pages
 * that it frees are not used again before the end. dir must not be open in this process. Blocks; does not sync fd. 0, ERROR_NOT_FOUND (no environment),
 * ERROR_CORRUPT, ERROR_VERSION, ERROR_STORE, ERROR_BUSY (its first writer came while it was copied), -errno (also of fd). e is filled in all cases. */
int store_copy(const char *dir, int fd, struct error *e);

/* Keys: big-endian, so that byte order is number order. Each returns the position behind what it wrote. */
uint8_t *key_u8(uint8_t *at, uint8_t v);
uint8_t *key_u32(uint8_t *at, uint32_t v);
uint8_t *key_u64(uint8_t *at, uint64_t v);
uint8_t *key_bytes(uint8_t *at, const void *data, size_t len);
uint32_t key_read_u32(const uint8_t *at);
uint64_t key_read_u64(const uint8_t *at);
