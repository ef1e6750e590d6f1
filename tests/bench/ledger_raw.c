#include "tests/bench/ledger_raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32c.h"
#include "common/store/store.h"

#define KEY_MAX 64u
#define MAP ((size_t)16 << 30)

struct raw_row { unsigned table; size_t key_len, value_len; uint32_t sum; uint8_t key[KEY_MAX]; };
struct raw_snapshot {
	unsigned n_tables;
	char names[RAW_TABLES][32];
	struct raw_row *rows;                          /* by table, then key */
	size_t n, room;
};

static void table_look(struct raw_snapshot *s, MDB_txn *txn, MDB_dbi dbi, unsigned table)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	MUST(mdb_cursor_open(txn, dbi, &cursor) == 0);
	while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
		if (s->n == s->room)
			MUST(s->rows = reallocarray(s->rows, s->room = s->room ? s->room * 2 : 1024, sizeof(s->rows[0])));
		struct raw_row *r = &s->rows[s->n++];
		MUST(key.mv_size <= KEY_MAX);
		*r = (struct raw_row){ .table = table, .key_len = key.mv_size, .value_len = value.mv_size, .sum = crc32c(0, value.mv_data, value.mv_size) };
		memcpy(r->key, key.mv_data, key.mv_size);
	}
	mdb_cursor_close(cursor);
}

struct raw_snapshot *raw_look(const struct bench_node *n)
{
	char dir[160];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi main, dbi;
	MDB_cursor *cursor;
	MDB_val name, value;
	struct error e;
	struct raw_snapshot *s = calloc(1, sizeof(*s));
	snprintf(dir, sizeof(dir), "%s/state/actors/coordinator/main", n->dir);
	MUST(store_settle(dir, &e) == 0); /* what is still in the log */
	MUST(s && mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, RAW_TABLES) == 0);
	MUST(mdb_env_open(env, dir, MDB_RDONLY, 0600) == 0);
	MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
	MUST(mdb_dbi_open(txn, NULL, 0, &main) == 0 && mdb_cursor_open(txn, main, &cursor) == 0);
	while (mdb_cursor_get(cursor, &name, &value, MDB_NEXT) == 0) {
		if (*(const char *)name.mv_data == '_') /* the store's own */
			continue;
		MUST(s->n_tables < RAW_TABLES && name.mv_size < sizeof(s->names[0]));
		memcpy(s->names[s->n_tables], name.mv_data, name.mv_size);
		MUST(mdb_dbi_open(txn, s->names[s->n_tables], 0, &dbi) == 0);
		table_look(s, txn, dbi, s->n_tables++);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	return s;
}

static int row_order(const struct raw_row *a, const struct raw_row *b)
{
	size_t least = a->key_len < b->key_len ? a->key_len : b->key_len;
	int order = a->table != b->table ? (a->table < b->table ? -1 : 1) : memcmp(a->key, b->key, least);
	return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static void rows_add(struct raw_rows *to, const struct raw_row *r)
{
	to->n++;
	to->key = r->key_len;
	to->value = r->value_len > to->value ? r->value_len : to->value;
}

void raw_compare(struct raw_snapshot *before, struct raw_snapshot *after, struct raw_pattern *ret)
{
	MUST(before->n_tables == after->n_tables);
	*ret = (struct raw_pattern){ .n_tables = after->n_tables };
	for (unsigned i = 0; i < after->n_tables; i++)
		memcpy(ret->tables[i].name, after->names[i], sizeof(after->names[i]));
	for (size_t i = 0, j = 0; i < after->n; i++) {
		const struct raw_row *r = &after->rows[i];
		while (j < before->n && row_order(&before->rows[j], r) < 0)
			j++;
		bool was = j < before->n && row_order(&before->rows[j], r) == 0;
		if (!was)
			rows_add(&ret->tables[r->table].added, r);
		else if (before->rows[j].sum != r->sum || before->rows[j].value_len != r->value_len)
			rows_add(&ret->tables[r->table].rewritten, r);
	}
	free(before->rows);
	free(before);
	free(after->rows);
	free(after);
}

size_t raw_bytes(const struct raw_pattern *p, size_t *ret_rows)
{
	size_t bytes = 0;
	*ret_rows = 0;
	for (unsigned i = 0; i < p->n_tables; i++) {
		const struct raw_table *t = &p->tables[i];
		bytes += t->added.n * (t->added.key + t->added.value) + t->rewritten.n * (t->rewritten.key + t->rewritten.value);
		*ret_rows += t->added.n + t->rewritten.n;
	}
	return bytes;
}

/* --- the raw store --- */

struct raw_store {
	MDB_env *env;
	const struct raw_pattern *pattern;
	MDB_dbi tables[RAW_TABLES];
	uint64_t counter;
	uint8_t value[1 << 20];
};

struct raw_store *raw_open(const char *dir, const struct raw_pattern *p)
{
	MDB_txn *txn;
	struct raw_store *s = calloc(1, sizeof(*s));
	MUST(s && mdb_env_create(&s->env) == 0 && mdb_env_set_maxdbs(s->env, RAW_TABLES) == 0 && mdb_env_set_mapsize(s->env, MAP) == 0);
	MUST(mdb_env_open(s->env, dir, 0, 0600) == 0);
	MUST(mdb_txn_begin(s->env, NULL, 0, &txn) == 0);
	for (unsigned i = 0; i < p->n_tables; i++)
		MUST(mdb_dbi_open(txn, p->tables[i].name, MDB_CREATE, &s->tables[i]) == 0);
	MUST(mdb_txn_commit(txn) == 0);
	memset(s->value, 'x', sizeof(s->value));
	s->pattern = p;
	return s;
}

static void rows_put(struct raw_store *s, MDB_txn *txn, unsigned table, const struct raw_rows *r, bool added)
{
	uint8_t bytes[KEY_MAX];
	MUST(r->value <= sizeof(s->value));
	for (size_t i = 0; i < r->n; i++) {
		uint64_t number = __builtin_bswap64(added ? ++s->counter : i);
		size_t tail = r->key < sizeof(number) ? r->key : sizeof(number);
		memset(bytes, added ? 'b' : 'a', sizeof(bytes));
		memcpy(bytes + r->key - tail, (uint8_t *)&number + sizeof(number) - tail, tail);
		MDB_val key = { r->key, bytes }, value = { r->value, s->value };
		MUST(mdb_put(txn, s->tables[table], &key, &value, 0) == 0);
	}
}

void raw_commit(struct raw_store *s)
{
	MDB_txn *txn;
	MUST(mdb_txn_begin(s->env, NULL, 0, &txn) == 0);
	for (unsigned i = 0; i < s->pattern->n_tables; i++) {
		rows_put(s, txn, i, &s->pattern->tables[i].added, true);
		rows_put(s, txn, i, &s->pattern->tables[i].rewritten, false);
	}
	MUST(mdb_txn_commit(txn) == 0);
}
