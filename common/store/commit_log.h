#pragma once
/* The log written ahead of LMDB: one file beside data.mdb, "commit.log", as long as it will ever be and written out when it is made, so that a commit is one write
 * and one fdatasync that changes neither size nor block map.
 *
 * It holds records, from its beginning, each at a multiple of 4,096 bytes: what one commit put and deleted, in order. Numbers are little-endian:
 *
 *   magic u32, crc u32 (CRC-32C of all that follows, without what fills up the last 4,096), id u64, seq u64, len u32, 0 u32, then len bytes of operations:
 *   op u8, table u8 (255: the store's own), key length u16, value length u32, key, value
 *
 * id is the store's: it lies in data.mdb too. seq rises by one a record, and by one where data.mdb takes all, and never comes again in a store. data.mdb says up to which seq it holds everything; the records behind
 * that one are what is to be done again. When data.mdb has it all, writing goes on at the beginning of the file: what is older lies behind, with lower numbers.
 *
 * Only the last record can be torn, and nobody was told of it. A damaged one that is followed by a sound one of a later commit is damage: ERROR_CORRUPT. */
#include "common/store/store.h"

#define LOG_FILE "commit.log"
#define LOG_ALIGN 4096u

enum log_op { LOG_PUT = 1, LOG_DELETE, LOG_CLEAR };
struct commit_log;

/* Makes it where it is not there, size bytes (a multiple of LOG_ALIGN), synced, its directory too; else size is what it was made with. Holds a lock on it until commit_log_close.
 * 0, ERROR_BUSY (another process has it), ERROR_CORRUPT (of no size that we make), -errno. */
int commit_log_open(const char *dir, size_t size, struct commit_log **ret, struct error *e);
struct commit_log *commit_log_close(struct commit_log *l);
bool commit_log_is_new(const struct commit_log *l);  /* made by this open */
/* Whose it is, and what data.mdb has. To be called before everything else, and after whatever changed that. */
void commit_log_place(struct commit_log *l, uint64_t id, uint64_t seq);

/* Calls fn with each operation of each record behind what data.mdb has, in order; a table number is one of the time of writing. Those of an earlier life are written again and
 * synced before: after a failed sync the kernel's memory has what the disk has not. fn returns 0 to go on. Then the log goes on behind the last one.
 * 0, ERROR_CORRUPT (with e: damaged, of another store, a gap), what fn returned, -errno. */
int commit_log_replay(struct commit_log *l, int (*fn)(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value), void *ctx, struct error *e);

/* One more operation of the commit that is being made; key and value are copied. 0 or -ENOMEM. Where it becomes more than the log can hold it is forgotten, and
 * commit_log_write says so. */
int commit_log_add(struct commit_log *l, enum log_op op, unsigned table, struct slice key, struct slice value);
void commit_log_drop(struct commit_log *l);          /* the commit that is being made is not */
bool commit_log_pending(const struct commit_log *l); /* it has operations */
/* Makes it durable. 0; ERROR_TOO_LARGE: it does not fit any more, nothing was written, and it is still being made; ERROR_STORE:
 * the file system has no room even for what is there already, nothing was written; -errno: fatal, nobody knows what the disk has. */
int commit_log_write(struct commit_log *l);
/* data.mdb has all up to here, and counts it as seq, at least the last record's: the next record is written at the beginning, behind that number. The commit that is being made
 * is dropped. */
void commit_log_restart(struct commit_log *l, uint64_t seq);

uint64_t commit_log_seq(const struct commit_log *l);  /* of the last record */
size_t commit_log_used(const struct commit_log *l);   /* bytes of records that data.mdb does not have */
size_t commit_log_size(const struct commit_log *l);

/* For who is not the writer: the number of the last whole record behind seq, or of any one where those before it are damaged; 0: there is none (also no log). Nothing is
 * locked. 0 or -errno. */
int commit_log_last(const char *dir, uint64_t id, uint64_t seq, uint64_t *ret);
