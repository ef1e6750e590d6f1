/* A store with a log ahead of it.
 *
 * A transaction of LMDB is open all the time. A commit of ours appends what it wrote to the log, with one barrier, and leaves LMDB's transaction open: a page that ten commits
 * touch is copied and written once. A checkpoint commits it, in LMDB's default way, with the number of the last record in it, and the log begins again at its beginning. Who
 * opens the store finds the last checkpoint, and does again what the log has behind it. An abort is the same: back to the checkpoint, then the log. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/store/internal.h"

#define OPS_MAX 32768u       /* between two checkpoints: what a successor does again, and LMDB's pages in memory */
#define RETRY_MS 1000u       /* where the disk was full */
#define DISK_LEAST (16u << 20)
#define PLACE_HEAD 16u
#define BEYOND_MAX 16u

/* --- how far data.mdb is: id, seq, the names of the tables, each with a NUL --- */

static size_t place_make(const struct store *s, uint64_t seq, uint8_t out[static PLACE_MAX])
{
	uint8_t *p = key_u64(key_u64(out, s->log_id), seq);
	for (unsigned i = 0; i < s->n_tables; i++)
		p = (uint8_t *)memcpy(p, s->names[i], strlen(s->names[i]) + 1) + strlen(s->names[i]) + 1;
	return (size_t)(p - out);
}

static int place_put(struct store *s, MDB_txn *txn, uint64_t seq)
{
	uint8_t place[PLACE_MAX] = { 0 };
	return store_row_put(txn, s->own, SLICE_STR(OWN_LOG), SLICE(place, place_make(s, seq, place)));
}

bool place_read(struct slice value, struct place *ret)
{
	const char *p = (const char *)value.data + PLACE_HEAD, *end = (const char *)value.data + value.len;
	*ret = (struct place){ 0 };
	if (value.len < PLACE_HEAD || value.len > PLACE_MAX || (value.len > PLACE_HEAD && end[-1]))
		return false;
	ret->id = key_read_u64(value.data);
	ret->seq = key_read_u64((const uint8_t *)value.data + 8);
	memcpy(ret->text, p, (size_t)(end - p));
	for (const char *name = ret->text; name < ret->text + (end - p); name += strlen(name) + 1) {
		if (ret->n == STORE_TABLES_MAX)
			return false;
		ret->names[ret->n++] = name;
	}
	return true;
}

/* --- the open transaction --- */

static int operation(MDB_txn *txn, enum log_op op, MDB_dbi dbi, struct slice key, struct slice value)
{
	MDB_val k = { key.len, (void *)key.data };
	switch (op) {
	case LOG_PUT:
		return store_row_put(txn, dbi, key, value);
	case LOG_DELETE:
		return mdb_del(txn, dbi, &k, NULL);
	case LOG_CLEAR:
		return mdb_drop(txn, dbi, 0);
	}
	return MDB_CORRUPTED;
}

static int apply(void *ctx, enum log_op op, unsigned table, struct slice key, struct slice value)
{
	struct store *s = ctx;
	if (table != STORE_OWN && table >= s->n_log_tables)
		return ERROR_CORRUPT;
	s->n_ops++;
	int r = WALK(s, operation(s->write.txn, op, table == STORE_OWN ? s->own : s->log_tables[table], key, value));
	if (r == MDB_MAP_FULL)
		s->grow = true;
	return r == MDB_NOTFOUND ? 0 : store_code(r);
}

/* Who takes it ends it, and with it its cursors. */
static MDB_txn *take_txn(struct store *s)
{
	s->view.txn = NULL;
	memset(s->cursors, 0, sizeof s->cursors);
	return steal(&s->write.txn);
}

static void end_txn(struct store *s)
{
	MDB_txn *txn = take_txn(s);
	if (txn)
		mdb_txn_abort(txn);
	s->write.live = s->write.full = s->view.full = s->poisoned = false;
}

/* A transaction over the checkpoint. */
static int begin_txn(struct store *s)
{
	int dead, r = store_grow(s);
	if (r)
		return r;
	mdb_reader_check(s->env, &dead);
	if ((r = mdb_txn_begin(s->env, NULL, 0, &s->write.txn)))
		return r > 0 ? -r : -EIO;
	s->view.txn = s->write.txn;
	s->n_ops = 0;
	s->save_at_ms = TIME_NEVER;
	return 0;
}

/* The same in a larger map, where the largest one is too small a quarter beyond that. */
static int begin_beyond(struct store *s)
{
	size_t max = s->map_max;
	s->grow = true;
	s->map_max = s->map >= max ? s->map + s->map / 4 : max;
	int r = begin_txn(s);
	s->map_max = max;
	return r;
}

static int again_in(struct store *s, int (*begin)(struct store *s), struct error *e)
{
	end_txn(s);
	int r = begin(s);
	commit_log_drop(s->log);
	commit_log_place(s->log, s->log_id, s->saved_seq);
	return r ? r : commit_log_replay(s->log, apply, s, e);
}

/* The checkpoint and what the log has behind it. Where the map is too small for that the largest one is exceeded: it fitted before. */
static int again(struct store *s, struct error *e)
{
	int r = again_in(s, begin_txn, e);
	for (unsigned i = 0; r == ERROR_STORE && s->grow && i < BEYOND_MAX; i++)
		r = again_in(s, begin_beyond, e);
	if (!r && commit_log_used(s->log))
		s->save_at_ms = clock_mono_ms() + STORE_CHECKPOINT_MS;
	if (!r)
		fault_point("log.after_replay");
	return r;
}

/* Gives up what is in the transaction, but not what is in the log. 0 or -EIO: dead. */
static int back(struct store *s)
{
	struct error e = { 0 };
	int r = again(s, &e);
	if (!r)
		return 0;
	log_error("the store cannot go on", LOG_S("why", *e.text ? e.text : r < 0 ? strerror(-r) : error_name(r)));
	end_txn(s);
	s->dead = true;
	return -EIO;
}

/* --- checkpoints and commits --- */

/* LMDB takes a short write for EIO. */
static bool disk_is_full(const struct store *s)
{
	struct statvfs fs;
	return statvfs(s->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < DISK_LEAST;
}

/* Everything, also what is not in the log yet, into data.mdb. It takes a number of its own: older data beside the records behind it is then seen, also where this had more than
 * the log or began to number the tables in another way. An LMDB value; the transaction has ended. A commit of LMDB that failed before its meta page has changed nothing that anything
 * refers to, and the next one writes all its pages anew. */
static int save(struct store *s)
{
	uint64_t seq = commit_log_seq(s->log) + 1;
	fault_point("checkpoint.before_commit");
	int r = place_put(s, s->write.txn, seq);
	MDB_txn *txn = take_txn(s);
	if (r)
		mdb_txn_abort(txn);
	else
		r = WALK(s, mdb_txn_commit(txn));
	if (r)
		return r == EIO && disk_is_full(s) ? ENOSPC : r;
	fault_point("checkpoint.after_commit");
	s->saved_seq = seq;
	s->retry_at_ms = 0;
	commit_log_restart(s->log, seq);
	return 0;
}

/* As large as the largest one, or as what is in use. */
static int map_shrink(struct store *s)
{
	MDB_envinfo info;
	if (s->map <= s->map_max)
		return 0;
	int r = mdb_env_set_mapsize(s->env, s->map_max);
	if (!r)
		r = mdb_env_info(s->env, &info);
	if (r)
		return r > 0 ? -r : -EIO;
	s->map = info.me_mapsize;
	s->grow = false;
	return 0;
}

/* What the log has was promised, and LMDB's commit needs some pages of its own: it may take them beyond the largest map, or a full store would be full for ever. */
static int save_beyond(struct store *s)
{
	struct error e = { 0 };
	int r = MDB_MAP_FULL;
	for (unsigned i = 0; r == MDB_MAP_FULL && i < BEYOND_MAX; i++) {
		int code = again_in(s, begin_beyond, &e);
		if (code && !(code == ERROR_STORE && s->grow))
			return EIO;
		r = code ? MDB_MAP_FULL : save(s);
	}
	return r;
}

/* 0; ERROR_STORE: no room, what the log has is kept; negative: dead. */
static int checkpoint(struct store *s)
{
	bool more = commit_log_pending(s->log); /* than the log has */
	int r = save(s), refused = 0;
	if (r == MDB_MAP_FULL && s->map >= s->map_max && commit_log_used(s->log)) {
		refused = more ? ERROR_STORE : 0;
		r = save_beyond(s);
	}
	int code = store_code(r);
	if (!code) {
		code = map_shrink(s);
		if (!code)
			code = begin_txn(s);
		s->dead = code != 0;
		return code ? code : refused;
	}
	if (code == ERROR_STORE) {
		s->grow = r == MDB_MAP_FULL || r == MDB_TXN_FULL;
		s->retry_at_ms = clock_mono_ms() + RETRY_MS;
		return back(s) ? -EIO : ERROR_STORE;
	}
	if (code == ERROR_CORRUPT)
		store_damaged(s, code);
	s->dead = true;
	return code < 0 ? code : -EIO;
}

int ahead_heal(struct store *s)
{
	return s->poisoned && !commit_log_pending(s->log) ? back(s) : 0;
}

int ahead_commit(struct store *s)
{
	if (s->write.full) {
		s->grow = true;
		return back(s) ? -EIO : ERROR_STORE;
	}
	if (!commit_log_pending(s->log))
		return 0;
	int r = s->poisoned ? -EIO : commit_log_write(s->log);
	if (r == ERROR_TOO_LARGE)
		return checkpoint(s);
	if (r == ERROR_STORE)
		return back(s) ? -EIO : ERROR_STORE;
	if (r < 0)
		s->dead = true;
	else if (s->save_at_ms == TIME_NEVER)
		s->save_at_ms = clock_mono_ms() + STORE_CHECKPOINT_MS;
	return r;
}

void ahead_abort(struct store *s)
{
	if (s->write.full)
		s->grow = true;
	if (s->write.full || commit_log_pending(s->log))
		back(s);
}

uint64_t store_checkpoint_at(const struct store *s)
{
	if (!s->log || s->dead)
		return TIME_NEVER;
	bool now = s->n_ops >= OPS_MAX || commit_log_used(s->log) > commit_log_size(s->log) / 4 * 3;
	uint64_t at = now ? 0 : s->save_at_ms;
	return at < s->retry_at_ms ? s->retry_at_ms : at;
}

int store_checkpoint(struct store *s)
{
	assert(!s->write.live);
	if (!s->log || s->read_only)
		return 0;
	if (s->dead || ahead_heal(s))
		return -EIO;
	return commit_log_used(s->log) ? checkpoint(s) : 0;
}

/* --- opening --- */

static int new_place(struct store *s, MDB_txn *txn)
{
	if (getrandom(&s->log_id, sizeof s->log_id, 0) != sizeof s->log_id)
		return -errno;
	commit_log_place(s->log, s->log_id, s->saved_seq);
	return store_code(place_put(s, txn, s->saved_seq));
}

/* What the row says, and which tables the log's numbers mean. */
static int learn(struct store *s, MDB_txn *txn, bool *ret_same, struct error *e)
{
	struct store_txn t = { .store = s, .txn = txn, .live = true, .write = true };
	struct slice value;
	struct place place;
	uint8_t now[PLACE_MAX];
	int r = store_get(&t, STORE_OWN, SLICE_STR(OWN_LOG), &value);
	*ret_same = false;
	if (r == ERROR_NOT_FOUND)
		return new_place(s, txn);
	if (r)
		return r;
	if (!place_read(value, &place))
		return error_set(e, ERROR_CORRUPT, "the row of the log in %s is damaged", s->dir);
	s->log_id = place.id;
	s->saved_seq = place.seq;
	*ret_same = value.len == place_make(s, place.seq, now) && memcmp(value.data, now, value.len) == 0;
	s->n_log_tables = place.n;
	for (unsigned i = 0; i < place.n; i++)
		if ((r = WALK(s, mdb_dbi_open(txn, place.names[i], 0, &s->log_tables[i]))) == MDB_NOTFOUND)
			return error_set(e, ERROR_CORRUPT, "%s has no table %s any more", s->dir, place.names[i]);
		else if (r)
			return store_code(r);
	return commit_log_is_new(s->log) ? new_place(s, txn) : 0; /* one that is put back later is then another's */
}

static int place_learn(struct store *s, bool *ret_same, struct error *e)
{
	MDB_txn *txn;
	int r = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (r)
		return store_open_failed(e, r, "begin a transaction in", s->dir);
	r = learn(s, txn, ret_same, e);
	if (r) {
		mdb_txn_abort(txn);
		return r;
	}
	r = WALK(s, mdb_txn_commit(txn));
	return r ? store_open_failed(e, r, "commit to", s->dir) : 0;
}

int ahead_set_aside(const char *dir, struct error *e)
{
	char log[PATH_MAX], old[PATH_MAX];
	if (snprintf(log, sizeof log, "%s/" LOG_FILE, dir) >= (int)sizeof log || snprintf(old, sizeof old, "%s.old", log) >= (int)sizeof old)
		return -ENAMETOOLONG;
	if (rename(log, old) < 0)
		return errno == ENOENT ? 0 : store_open_failed(e, errno, "set aside the log of", dir);
	log_warn("data.mdb is new: the log that lay beside it is set aside", LOG_S("log", old));
	return 0;
}

static int refused(int r, struct error *e)
{
	if (r == ERROR_CORRUPT)
		error_cure(e, "troupe check-store, then restore a backup; to go on with what data.mdb alone has, move " LOG_FILE " away");
	return r;
}

int ahead_lock(struct store *s, const struct store_config *c, uint64_t wait_ms, struct error *e)
{
	uint64_t until = clock_until_ms(wait_ms);
	int r;
	while ((r = commit_log_open(s->dir, c->log, &s->log, e)) == ERROR_BUSY && clock_mono_ms() < until)
		poll(NULL, 0, 2);
	return refused(r, e);
}

int ahead_open(struct store *s, const struct store_config *c, struct error *e)
{
	bool same;
	size_t names = PLACE_HEAD;
	for (unsigned i = 0; i < s->n_tables; i++)
		names += strlen(c->tables[i]) + 1;
	if (names > PLACE_MAX)
		return error_set(e, ERROR_CONFIG, "the names of the tables are too long");
	s->names = c->tables;
	int r = place_learn(s, &same, e);
	if (!r)
		r = again(s, e);
	if (!r && !same) { /* from here on the records number the tables of today */
		memcpy(s->log_tables, s->tables, sizeof s->tables);
		s->n_log_tables = s->n_tables;
		r = checkpoint(s);
	}
	if (r && !*e->text)
		error_set(e, r < 0 ? ERROR_STORE : (enum error_code)r, "cannot bring the log of %s up to date: %s", s->dir, r < 0 ? strerror(-r) : error_name(r));
	return refused(r, e);
}
