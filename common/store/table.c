/* Rows: every value is followed by a CRC-32C over key and value, which is checked at every read. A bit that flipped in a page is then an error
 * with a name, never a wrong record. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "common/base/crc32c.h"
#include "common/store/internal.h"

static MDB_dbi table_dbi(const struct store_txn *t, unsigned table)
{
	if (table == STORE_OWN)
		return t->store->own;
	assert(table < t->store->n_tables);
	return t->store->tables[table];
}

static bool table_absent(const struct store_txn *t, unsigned table)
{
	return table_dbi(t, table) == STORE_ABSENT;
}

static bool key_fits(struct slice key)
{
	return key.len > 0 && key.len <= STORE_KEY_MAX;
}

static uint32_t row_crc(struct slice key, const void *value, size_t len)
{
	return crc32c(crc32c(0, key.data, key.len), value, len);
}

/* LMDB aligns values to two bytes only: numbers in them must be copied out. */
static int row_check(const struct store_txn *t, struct slice key, const MDB_val *v, struct slice *ret)
{
	uint32_t crc;
	if (v->mv_size < STORE_CRC)
		return store_damaged(t->store, ERROR_CORRUPT);
	size_t len = v->mv_size - STORE_CRC;
	crash_words = t->store->words;
	memcpy(&crc, (const uint8_t *)v->mv_data + len, STORE_CRC);
	bool fits = crc == row_crc(key, v->mv_data, len);
	crash_words = NULL;
	if (!fits)
		return store_damaged(t->store, ERROR_CORRUPT);
	*ret = SLICE(v->mv_data, len);
	return 0;
}

/* After MDB_MAP_FULL LMDB answers every call of that transaction with MDB_BAD_TXN, also those of a view that shares it: it stays the full disk that it is. */
static int write_code(struct store_txn *t, int mdb)
{
	int code = store_code(mdb);
	if (code == ERROR_STORE)
		t->full = true;
	bool full = t->full || (t->store->log && t->store->write.full);
	if (full && (code < 0 || code == ERROR_CORRUPT))
		return ERROR_STORE;
	if (code != ERROR_CORRUPT)
		return code;
	t->store->poisoned = true;
	return store_damaged(t->store, code);
}

/* Of a transaction that stays open; NULL where there is none. 0 or an LMDB value. */
static int table_cursor(struct store_txn *t, unsigned table, MDB_cursor **ret)
{
	struct store *s = t->store;
	MDB_dbi dbi = table_dbi(t, table);
	*ret = NULL;
	if (!s->log || table == STORE_OWN)
		return 0;
	int r = s->cursors[table] ? 0 : mdb_cursor_open(t->txn, dbi, &s->cursors[table]);
	*ret = s->cursors[table];
	return r;
}

static int row_find(struct store_txn *t, unsigned table, MDB_val *k, MDB_val *v)
{
	MDB_cursor *c;
	int r = table_cursor(t, table, &c);
	return r ? r : c ? mdb_cursor_get(c, k, v, MDB_SET) : mdb_get(t->txn, table_dbi(t, table), k, v);
}

static int row_delete(struct store_txn *t, unsigned table, MDB_val *k)
{
	MDB_cursor *c;
	MDB_val v;
	int r = table_cursor(t, table, &c);
	if (r || !c)
		return r ? r : mdb_del(t->txn, table_dbi(t, table), k, NULL);
	r = mdb_cursor_get(c, k, &v, MDB_SET);
	return r ? r : mdb_cursor_del(c, 0);
}

/* The place for a value and its checksum. */
static int row_room(struct store_txn *t, unsigned table, MDB_val *k, MDB_val *v)
{
	MDB_cursor *c;
	int r = table_cursor(t, table, &c);
	return r ? r : c ? mdb_cursor_put(c, k, v, MDB_RESERVE) : mdb_put(t->txn, table_dbi(t, table), k, v, MDB_RESERVE);
}

int store_get(struct store_txn *t, unsigned table, struct slice key, struct slice *ret_value)
{
	if (!key_fits(key))
		return ERROR_BAD_REQUEST;
	if (table_absent(t, table))
		return ERROR_NOT_FOUND;
	MDB_val k = { key.len, (void *)key.data }, v;
	int r = WALK(t->store, row_find(t, table, &k, &v));
	return r ? write_code(t, r) : row_check(t, key, &v, ret_value);
}

static void row_fill(MDB_val *at, struct slice key, struct slice value)
{
	uint32_t crc = row_crc(key, value.data, value.len);
	if (value.len)
		memcpy(at->mv_data, value.data, value.len);
	memcpy((uint8_t *)at->mv_data + value.len, &crc, STORE_CRC);
}

int store_row_put(MDB_txn *txn, MDB_dbi dbi, struct slice key, struct slice value)
{
	MDB_val k = { key.len, (void *)key.data }, v = { value.len + STORE_CRC, NULL };
	int r = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);
	if (!r)
		row_fill(&v, key, value);
	return r;
}

/* What LMDB's transaction has now is also said to the log. */
static int logged(struct store_txn *t, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	struct store *s = t->store;
	if (!s->log)
		return 0;
	s->n_ops++;
	return commit_log_add(s->log, op, table, key, value);
}

int store_put(struct store_txn *t, unsigned table, struct slice key, struct slice value)
{
	assert(t->write);
	if (!key_fits(key))
		return ERROR_BAD_REQUEST;
	if (value.len > UINT32_MAX - STORE_CRC - 1)
		return ERROR_TOO_LARGE;
	MDB_val k = { key.len, (void *)key.data }, v = { value.len + STORE_CRC, NULL };
	int r = WALK(t->store, row_room(t, table, &k, &v));
	if (r)
		return write_code(t, r);
	row_fill(&v, key, value);
	return logged(t, LOG_PUT, table, key, value);
}

int store_delete(struct store_txn *t, unsigned table, struct slice key)
{
	assert(t->write);
	if (!key_fits(key))
		return ERROR_BAD_REQUEST;
	MDB_val k = { key.len, (void *)key.data };
	int r = WALK(t->store, row_delete(t, table, &k));
	return r ? write_code(t, r) : logged(t, LOG_DELETE, table, key, SLICE(NULL, 0));
}

/* Puts the cursor on the first row with key >= from, or on the last with key <= from. */
static int cursor_seek(MDB_cursor *c, struct slice from, bool backward, MDB_val *k, MDB_val *v)
{
	if (!from.len)
		return mdb_cursor_get(c, k, v, backward ? MDB_LAST : MDB_FIRST);
	*k = (MDB_val){ from.len, (void *)from.data };
	int r = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
	if (!backward)
		return r;
	if (r == MDB_NOTFOUND)
		return mdb_cursor_get(c, k, v, MDB_LAST);
	if (r || (k->mv_size == from.len && memcmp(k->mv_data, from.data, from.len) == 0))
		return r;
	return mdb_cursor_get(c, k, v, MDB_PREV);
}

int store_seek(struct store_txn *t, unsigned table, struct slice from, bool backward, struct slice *ret_key, struct slice *ret_value)
{
	MDB_cursor *c;
	MDB_val k, v;
	if (from.len > STORE_KEY_MAX)
		return ERROR_BAD_REQUEST;
	if (table_absent(t, table))
		return ERROR_NOT_FOUND;
	int r = mdb_cursor_open(t->txn, table_dbi(t, table), &c);
	if (r)
		return write_code(t, r);
	r = WALK(t->store, cursor_seek(c, from, backward, &k, &v));
	mdb_cursor_close(c);
	if (r)
		return write_code(t, r);
	struct slice key = SLICE(k.mv_data, k.mv_size);
	*ret_key = key;
	return row_check(t, key, &v, ret_value);
}

int store_scan(struct store_txn *t, unsigned table, struct slice from, bool backward, int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx)
{
	MDB_cursor *c;
	MDB_val k, v;
	if (from.len > STORE_KEY_MAX)
		return ERROR_BAD_REQUEST;
	if (table_absent(t, table))
		return 0;
	int r = mdb_cursor_open(t->txn, table_dbi(t, table), &c);
	if (r)
		return write_code(t, r);
	int code = 0;
	for (r = WALK(t->store, cursor_seek(c, from, backward, &k, &v)); !r; r = WALK(t->store, mdb_cursor_get(c, &k, &v, backward ? MDB_PREV : MDB_NEXT))) {
		struct slice key = SLICE(k.mv_data, k.mv_size), value;
		code = row_check(t, key, &v, &value);
		if (!code)
			code = fn(ctx, key, value);
		if (code)
			break;
	}
	mdb_cursor_close(c);
	return code || r == MDB_NOTFOUND || !r ? code : write_code(t, r);
}

int store_count(struct store_txn *t, unsigned table, uint64_t *ret)
{
	MDB_stat st;
	*ret = 0;
	if (table_absent(t, table))
		return 0;
	int r = mdb_stat(t->txn, table_dbi(t, table), &st);
	if (r)
		return write_code(t, r);
	*ret = st.ms_entries;
	return 0;
}

int store_clear(struct store_txn *t, unsigned table)
{
	assert(t->write);
	int r = WALK(t->store, mdb_drop(t->txn, table_dbi(t, table), 0));
	return r ? write_code(t, r) : logged(t, LOG_CLEAR, table, SLICE(NULL, 0), SLICE(NULL, 0));
}
