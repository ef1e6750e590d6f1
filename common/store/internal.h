#pragma once
/* What the two files of the store share. */
#include <sys/stat.h>
#include "common/base/crash.h"
#include "common/store/commit_log.h"
#include "common/store/store.h"

#define STORE_TABLES_MAX 32
#define STORE_KEY_MAX 511
#define STORE_CRC 4
#define STORE_ABSENT 0u   /* a table that a store that is only read does not have; LMDB's own number for its list of free pages */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checksums are written as they lie in memory, and keys are swapped");

struct store_txn {
	struct store *store;
	MDB_txn *txn;      /* NULL: not running, for a view: not yet made. With a log: the one that is always open, for both */
	bool live, write;
	bool full;         /* a write met MDB_MAP_FULL or the like: only abort, or a commit that fails, can follow */
};

struct store {
	MDB_env *env;
	MDB_dbi own;                         /* the version row */
	MDB_dbi tables[STORE_TABLES_MAX];
	unsigned n_tables;
	size_t map, map_max;
	bool created, grow, read_only;
	unsigned n_begun;
	bool told;                           /* that it is damaged */
	bool dead;                           /* a commit failed in a way after which LMDB's next one would lie */
	struct store_txn write, view;
	struct commit_log *log;               /* NULL: each commit is one of LMDB's */
	const char *const *names;            /* of the tables, the caller's */
	uint64_t log_id, saved_seq;          /* saved_seq: what data.mdb has of the log */
	unsigned n_ops;                      /* since then */
	uint64_t save_at_ms, retry_at_ms;    /* when the next checkpoint is due, and not before when, because one failed */
	bool poisoned;                       /* LMDB met damage in the open transaction, and answers nothing in it any more */
	unsigned n_log_tables;               /* as the log's records number them */
	MDB_dbi log_tables[STORE_TABLES_MAX];
	MDB_cursor *cursors[STORE_TABLES_MAX]; /* of the open transaction; NULL: not used yet. Where the last row was is mostly where the next one goes */
	char *dir;
	char *words;                         /* for who dies in a damaged page */
	dev_t dev;
	ino_t ino;
	struct store *next;                  /* of all open ones of this process */
};

/* Around every call that reads pages: LMDB asserts about what it finds there, or runs into the wild. */
static inline int walked(int r)
{
	crash_words = NULL;
	return r;
}
#define WALK(s, call) (crash_words = (s)->words, walked(call))

/* The same, found in time: said once. Returns code. */
int store_damaged(struct store *s, int code);
/* Fills e and returns a code for an LMDB or errno value. */
int store_open_failed(struct error *e, int mdb, const char *what, const char *dir);
bool store_has(const char *dir, const char *file);
/* 0; ERROR_CORRUPT: the file is shorter than it says; or what kept it from being looked at. Its descriptor is not inherited. */
int store_env_is_whole(MDB_env *env, const char *dir, struct stat *ret_file, MDB_envinfo *ret, struct error *e);
/* As store_open, with the patience for who has the log. */
#define STORE_WAIT_MS 2000u
int store_open_within(const struct store_config *c, uint64_t wait_ms, struct store **ret, struct error *e);
/* tail.c: whether all pages of the data file from the one at byte `size` on are free; they were given back by the transaction that took them, so LMDB never wrote them. Reads the newest
 * meta page and the list of free pages by pread. */
bool store_tail_is_free(int fd, uint64_t size);
/* An LMDB or errno value as one of ours: 0, ERROR_NOT_FOUND, ERROR_STORE, ERROR_CORRUPT, ERROR_BAD_REQUEST, or negative. */
int store_code(int mdb);

/* --- between the files --- */

#define OWN_TABLE "_store"
#define OWN_VERSION "version"
#define OWN_LOG "log"
#define PLACE_MAX 1024u

/* table.c: a row with its checksum. An LMDB value. */
int store_row_put(MDB_txn *txn, MDB_dbi dbi, struct slice key, struct slice value);

/* ahead.c: how far data.mdb is in the log; names point into text. */
struct place { uint64_t id, seq; unsigned n; const char *names[STORE_TABLES_MAX]; char text[PLACE_MAX]; };
bool place_read(struct slice value, struct place *ret);
/* Somebody took data.mdb away, to begin with an empty one: what the log has belongs to that one. 0 or -errno with e. */
int ahead_set_aside(const char *dir, struct error *e);
/* Before LMDB is asked for anything that only one process may do: a living writer holds LMDB's lock for ever. Waits for who has it, such as a tool that does the work of a dead
 * writer. ERROR_BUSY, or as commit_log_open. */
int ahead_lock(struct store *s, const struct store_config *c, uint64_t wait_ms, struct error *e);
int ahead_open(struct store *s, const struct store_config *c, struct error *e);
/* A poisoned transaction is begun anew, where that loses nothing: what lies in sound pages can be read and written. 0 or negative. */
int ahead_heal(struct store *s);
int ahead_commit(struct store *s);
void ahead_abort(struct store *s);
