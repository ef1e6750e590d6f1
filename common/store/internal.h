#pragma once
/* What the two files of the store share. */
#include "common/base/crash.h"
#include "common/store/store.h"

#define STORE_TABLES_MAX 32
#define STORE_KEY_MAX 511
#define STORE_CRC 4
#define STORE_ABSENT 0u   /* a table that a store that is only read does not have; LMDB's own number for its list of free pages */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checksums are written as they lie in memory, and keys are swapped");

struct store_txn {
	struct store *store;
	MDB_txn *txn;      /* NULL: not running, for a view: not yet made */
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
/* An LMDB or errno value as one of ours: 0, ERROR_NOT_FOUND, ERROR_STORE, ERROR_CORRUPT, ERROR_BAD_REQUEST, or negative. */
int store_code(int mdb);
