/* The environment, its transactions and its growth.
 *
 * LMDB's rules that this file keeps for its callers:
 *  - Durability is LMDB's default: data pages, fdatasync, meta page by O_DSYNC. The one flag is MDB_NOTLS, which changes nothing on disk: it
 *    allows one thread to hold a view beside its write transaction.
 *  - The map may be resized only while no transaction lives, so it grows by doubling in store_begin, when more than 80 % of it is in use or
 *    the last transaction did not fit.
 *  - A failed fdatasync or meta write makes that commit fail, and the next one succeed over the hole: after the first such error the store is
 *    dead and says so for ever.
 *  - A reader that was killed keeps pages from being used again until somebody looks: every now and then a begin does.
 *  - A path opened twice in one process loses its locks: open ones are kept in a list.
 *  - Who is killed while a meta page is on its way leaves a commit that its successor reads in the kernel's memory, and that the next power cut
 *    may take back: a store is synced when it is opened, before anybody is told what is in it.
 *
 * With a log in front (ahead.c) a transaction of LMDB is always open, and begin and commit are only the bounds of what goes to the log together. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <assert.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/store/internal.h"

#define MAP_LEAST (64u * 1024)
#define MAP_FIRST ((size_t)1 << 30)
#define MAP_MAX ((size_t)64 << 30)
#define READERS_LOOK_EVERY 1024u

static struct store *open_stores;

int store_code(int mdb)
{
	switch (mdb) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return ERROR_NOT_FOUND;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
		return ERROR_STORE;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_INCOMPATIBLE:
	case MDB_CURSOR_FULL: /* a tree that is deeper than one can be */
	case MDB_PAGE_FULL:
	case MDB_BAD_TXN:     /* one of these came before, in the same transaction */
		return ERROR_CORRUPT;
	case MDB_BAD_VALSIZE:
		return ERROR_BAD_REQUEST;
	case MDB_PANIC:
		return -EIO;
	default:
		return mdb > 0 ? -mdb : -EIO;
	}
}

int store_damaged(struct store *s, int code)
{
	if (!s->told)
		log_error("the store is damaged", LOG_S("dir", s->dir), LOG_S("cure", "troupe check-store, then restore a backup"));
	s->told = true;
	return code;
}

int store_open_failed(struct error *e, int mdb, const char *what, const char *dir)
{
	int code = mdb == MDB_VERSION_MISMATCH ? ERROR_VERSION : store_code(mdb);
	if (code == ERROR_NOT_FOUND || code == ERROR_BAD_REQUEST)
		code = ERROR_STORE;
	error_set(e, code < 0 ? ERROR_STORE : (enum error_code)code, "%s %s: %s", what, dir, mdb_strerror(mdb));
	return code;
}

/* The version row and all tables, made or found, in one transaction. */
static int tables_open(struct store *s, const struct store_config *c, struct error *e)
{
	MDB_txn *txn;
	MDB_stat root;
	int r = mdb_txn_begin(s->env, NULL, s->read_only ? MDB_RDONLY : 0, &txn);
	if (r)
		return store_open_failed(e, r, "begin a transaction in", c->dir);
	r = WALK(s, mdb_dbi_open(txn, OWN_TABLE, 0, &s->own));
	if (r == MDB_NOTFOUND && s->read_only) {
		mdb_txn_abort(txn);
		return error_set(e, ERROR_VERSION, "%s is no store of this program: it has no version row", c->dir);
	}
	if (r == MDB_NOTFOUND) {
		MDB_dbi main;
		r = mdb_dbi_open(txn, NULL, 0, &main);
		if (!r)
			r = mdb_stat(txn, main, &root);
		if (!r && root.ms_entries) {
			mdb_txn_abort(txn);
			return error_set(e, ERROR_VERSION, "%s is no store of this program: it has no version row", c->dir);
		}
		s->created = true;
		if (!r)
			r = mdb_dbi_open(txn, OWN_TABLE, MDB_CREATE, &s->own);
	}
	for (unsigned i = 0; !r && i < s->n_tables; i++) {
		r = WALK(s, mdb_dbi_open(txn, c->tables[i], s->read_only ? 0 : MDB_CREATE, &s->tables[i]));
		if (r == MDB_NOTFOUND && s->read_only) {
			s->tables[i] = STORE_ABSENT;
			r = 0;
		}
	}
	if (r) {
		mdb_txn_abort(txn);
		return store_open_failed(e, r, "open the tables of", c->dir);
	}
	struct store_txn t = { .store = s, .txn = txn, .live = true, .write = true };
	struct slice key = SLICE_STR(OWN_VERSION), value = { 0 };
	uint8_t version[4];
	key_u32(version, c->version);
	int code;
	if (s->created)
		code = store_put(&t, STORE_OWN, key, SLICE(version, sizeof version));
	else
		code = store_get(&t, STORE_OWN, key, &value);
	if (!s->created && code == 0 && value.len == sizeof version && key_read_u32(value.data) != c->version)
		code = error_set(e, ERROR_VERSION, "%s has version %u, this program reads version %u", c->dir, key_read_u32(value.data), c->version);
	else if (code == ERROR_NOT_FOUND || code == ERROR_CORRUPT || (!s->created && code == 0 && value.len != sizeof version))
		code = error_set(e, ERROR_CORRUPT, "the version row of %s is damaged", c->dir);
	else if (code)
		error_set(e, ERROR_STORE, "cannot write the version row of %s", c->dir);
	if (code) {
		mdb_txn_abort(txn);
		return code;
	}
	r = WALK(s, mdb_txn_commit(txn));
	return r ? store_open_failed(e, r, "commit to", c->dir) : 0;
}

/* A map that is longer than its file ends in SIGBUS at the first read behind the end. */
int store_env_is_whole(MDB_env *env, const char *dir, struct stat *ret_file, MDB_envinfo *ret, struct error *e)
{
	MDB_stat st;
	mdb_filehandle_t fd;
	int r = mdb_env_get_fd(env, &fd);
	if (!r)
		r = mdb_env_info(env, ret);
	if (!r)
		r = mdb_env_stat(env, &st);
	if (r)
		return store_open_failed(e, r, "inspect", dir);
	if (fstat(fd, ret_file) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return store_open_failed(e, errno, "inspect", dir);
	if ((uint64_t)ret_file->st_size < ((uint64_t)ret->me_last_pgno + 1) * st.ms_psize && !store_tail_is_free(fd, (uint64_t)ret_file->st_size))
		return error_set(e, ERROR_CORRUPT, "%s/data.mdb is cut short: %lld bytes of %llu", dir, (long long)ret_file->st_size,
		                 (unsigned long long)(ret->me_last_pgno + 1) * st.ms_psize);
	return 0;
}

static int file_is_whole(struct store *s, const char *dir, struct error *e)
{
	MDB_envinfo info;
	struct stat file;
	int r = store_env_is_whole(s->env, dir, &file, &info, e);
	if (r)
		return r;
	s->map = info.me_mapsize;
	s->dev = file.st_dev;
	s->ino = file.st_ino;
	return 0;
}

static int already_open(const char *dir, struct error *e)
{
	_cleanup_(freep) char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s/data.mdb", dir) < 0)
		return -ENOMEM;
	if (stat(path, &st) < 0)
		return 0;
	for (struct store *s = open_stores; s; s = s->next)
		if (s->dev == st.st_dev && s->ino == st.st_ino)
			return error_set(e, ERROR_STATE, "%s is open in this process already", dir);
	return 0;
}

/* Whether it is there; nothing but ENOENT says that it is not. 1, 0 or -errno. */
static int file_is_there(const char *path)
{
	return access(path, F_OK) == 0 ? 1 : errno == ENOENT ? 0 : -errno;
}

/* A new data file gets its name when it is whole: one that a power cut left half made would be refused for ever as no database. */
static int file_make(const struct store_config *c, const char *path, size_t map, struct error *e)
{
	char new[PATH_MAX + 8], lock[PATH_MAX + 16];
	MDB_env *env = NULL;
	snprintf(new, sizeof new, "%s.new", path);
	snprintf(lock, sizeof lock, "%s-lock", new);
	unlink(new);
	int r = mdb_env_create(&env);
	if (!r)
		r = mdb_env_set_mapsize(env, map);
	if (!r)
		r = mdb_env_open(env, new, MDB_NOSUBDIR | MDB_NOTLS, 0600);
	if (!r)
		r = mdb_env_sync(env, 1);
	if (env)
		mdb_env_close(env);
	unlink(lock);
	if (!r && renameat2(AT_FDCWD, new, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		r = errno;
	return r ? store_open_failed(e, r, "make the store", c->dir) : 0;
}

/* The files, the lock, and their names on the disk: who made them may have been killed before it saw to that. */
static int files_open(struct store *s, const struct store_config *c, size_t map, uint64_t wait_ms, struct error *e)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/data.mdb", c->dir) >= (int)sizeof path)
		return error_set(e, ERROR_CONFIG, "the path of the store is too long: %.100s", c->dir);
	int there = file_is_there(path);
	if (there < 0)
		return store_open_failed(e, -there, "look for", path);
	int r = !there && c->log ? ahead_set_aside(c->dir, e) : 0;
	if (!r && !there)
		r = file_make(c, path, map, e);
	if (!r && c->log)
		r = ahead_lock(s, c, wait_ms, e);
	if (!r && (r = file_fsync_dir(c->dir)) < 0)
		error_set(e, ERROR_STORE, "fsync %s: %s", c->dir, strerror(-r));
	return r;
}

static int env_open(struct store *s, const struct store_config *c, uint64_t wait_ms, struct error *e)
{
	size_t first = c->map_first ? c->map_first : MAP_FIRST;
	s->map_max = c->map_max ? c->map_max : MAP_MAX;
	if (s->map_max < MAP_LEAST)
		s->map_max = MAP_LEAST;
	if (first > s->map_max)
		first = s->map_max;
	int r = c->read_only ? 0 : files_open(s, c, first, wait_ms, e);
	if (r)
		return r;
	r = mdb_env_create(&s->env);
	if (!r)
		r = mdb_env_set_maxdbs(s->env, STORE_TABLES_MAX + 1); /* a log may know tables of yesterday */
	unsigned flags = MDB_NOTLS;
	if (c->read_only)
		flags |= MDB_RDONLY | (store_has(c->dir, "lock.mdb") ? 0 : MDB_NOLOCK);
	else if (!r)
		r = mdb_env_set_mapsize(s->env, first);
	if (!r)
		r = WALK(s, mdb_env_open(s->env, c->dir, flags, 0600));
	if (r)
		return store_open_failed(e, r, "open the store", c->dir);
	if (!c->read_only && (r = mdb_env_sync(s->env, 1)))
		return store_open_failed(e, r, "sync the store", c->dir);
	int code = file_is_whole(s, c->dir, e);
	if (!code)
		code = tables_open(s, c, e);
	return code || !c->log || c->read_only ? code : ahead_open(s, c, e);
}

bool store_has(const char *dir, const char *file)
{
	_cleanup_(freep) char *path = NULL;
	return asprintf(&path, "%s/%s", dir, file) >= 0 && access(path, F_OK) == 0;
}

/* A log that somebody left, for who wants none. Who may only read sees the last checkpoint. */
static int settle_before(const char *dir, bool read_only, struct error *e)
{
	int r = store_settle(dir, e);
	if (!read_only || (r != -EACCES && r != -EPERM && r != -EROFS))
		return r;
	log_warn("only what data.mdb has is read: the log beside it cannot be brought in", LOG_S("dir", dir), LOG_S("why", strerror(-r)));
	return 0;
}

int store_open(const struct store_config *c, struct store **ret, struct error *e)
{
	return store_open_within(c, STORE_WAIT_MS, ret, e);
}

int store_open_within(const struct store_config *c, uint64_t wait_ms, struct store **ret, struct error *e)
{
	int r = 0;
	if (!c->read_only)
		r = file_mkdir_p(c->dir, 0700, e);
	else if (!store_has(c->dir, "data.mdb"))
		r = error_set(e, ERROR_NOT_FOUND, "%s/data.mdb: %s", c->dir, strerror(errno));
	if (!r)
		r = already_open(c->dir, e);
	if (!r && !c->log)
		r = settle_before(c->dir, c->read_only, e);
	if (r)
		return r;
	struct store *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	while (c->tables && c->tables[s->n_tables])
		s->n_tables++;
	assert(s->n_tables <= STORE_TABLES_MAX);
	s->read_only = c->read_only;
	s->write = (struct store_txn){ .store = s, .write = true };
	s->view = (struct store_txn){ .store = s };
	s->dir = strdup(c->dir);
	if (s->dir && asprintf(&s->words, "this process dies in a page of its store: %s/data.mdb is damaged. Restore a backup, or move it away to begin with an empty one", s->dir) < 0)
		s->words = NULL;
	r = s->words ? env_open(s, c, wait_ms, e) : -ENOMEM;
	s->next = open_stores;
	open_stores = s;
	if (r) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	for (struct store **at = &open_stores; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	if (s->write.txn)
		mdb_txn_abort(s->write.txn);
	if (s->view.txn && s->view.txn != s->write.txn)
		mdb_txn_abort(s->view.txn);
	if (s->env)
		mdb_env_close(s->env);
	commit_log_close(s->log);
	free(s->words);
	free(s->dir);
	free(s);
	return NULL;
}

bool store_is_new(const struct store *s)
{
	return s->created;
}

bool store_has_table(const struct store *s, unsigned table)
{
	return s->tables[table] != STORE_ABSENT;
}

int store_grow(struct store *s)
{
	MDB_envinfo info;
	MDB_stat st;
	if (s->map >= s->map_max || s->write.txn || (s->view.live && !s->log)) /* with a log a view ends with the transaction that it sees */
		return 0;
	int r = mdb_env_info(s->env, &info);
	if (!r && !s->grow) {
		r = mdb_env_stat(s->env, &st);
		if (!r && ((uint64_t)info.me_last_pgno + 1) * st.ms_psize <= s->map / 5 * 4)
			return 0;
	}
	if (r)
		return store_code(r) > 0 ? -EIO : store_code(r);
	size_t map = s->map > s->map_max / 2 ? s->map_max : s->map * 2;
	if ((r = mdb_env_set_mapsize(s->env, map)))
		return r > 0 ? -r : -EIO; /* the old map is gone: there is nothing to go on with */
	s->map = map;
	s->grow = false;
	return 0;
}

int store_begin(struct store *s, struct store_txn **ret)
{
	struct store_txn *t = &s->write;
	assert(!t->live && !s->read_only);
	if (s->dead)
		return -EIO;
	if (s->log) {
		int r = ahead_heal(s);
		t->live = r == 0;
		*ret = t;
		return r;
	}
	int dead;
	if (s->n_begun++ % READERS_LOOK_EVERY == 0)
		mdb_reader_check(s->env, &dead);
	int r = store_grow(s);
	if (r)
		return r;
	if ((r = mdb_txn_begin(s->env, NULL, 0, &t->txn)))
		return r > 0 ? -r : -EIO;
	t->live = true;
	t->full = false;
	*ret = t;
	return 0;
}

int store_commit(struct store_txn *t)
{
	struct store *s = t->store;
	assert(t->live && t->write);
	t->live = false;
	if (s->log)
		return ahead_commit(s);
	MDB_txn *txn = steal(&t->txn);
	if (t->full) {
		mdb_txn_abort(txn);
		s->grow = true;
		return ERROR_STORE;
	}
	int r = WALK(s, mdb_txn_commit(txn));
	int code = store_code(r);
	if (code == ERROR_CORRUPT)
		store_damaged(s, code);
	if (r == MDB_MAP_FULL)
		s->grow = true;
	if (code && code != ERROR_STORE) {
		s->dead = true;
		code = code < 0 ? code : -EIO;
	}
	return code;
}

void store_abort(struct store_txn *t)
{
	assert(t->live && t->write);
	t->live = false;
	if (t->store->log) {
		ahead_abort(t->store);
		return;
	}
	mdb_txn_abort(steal(&t->txn));
	if (t->full)
		t->store->grow = true;
}

int store_read(struct store *s, struct store_txn **ret)
{
	struct store_txn *t = &s->view;
	assert(!t->live);
	if (s->dead)
		return -EIO;
	int r = s->log ? ahead_heal(s) : t->txn ? mdb_txn_renew(t->txn) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
	if (r)
		return r > 0 ? -r : -EIO;
	t->live = true;
	*ret = t;
	return 0;
}

void store_read_end(struct store_txn *t)
{
	assert(t->live && !t->write);
	t->live = false;
	if (!t->store->log)
		mdb_txn_reset(t->txn);
}

int store_usage(struct store *s, struct store_usage *ret)
{
	MDB_envinfo info;
	MDB_stat st;
	int r = mdb_env_info(s->env, &info);
	if (!r)
		r = mdb_env_stat(s->env, &st);
	if (r)
		return store_code(r);
	*ret = (struct store_usage){
		.map_bytes = info.me_mapsize,
		.used_bytes = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize,
		.map_max = s->map_max,
		.readers = info.me_numreaders,
	};
	return 0;
}

/* "pid thread txnid" of each reader, behind a line of names. */
static int on_reader(const char *text, void *ctx)
{
	uint64_t *oldest = ctx, txnid;
	if (sscanf(text, "%*d %*x %" SCNu64, &txnid) == 1 && txnid < *oldest)
		*oldest = txnid;
	return 0;
}

/* The free list: by the transaction that freed them, a count and so many page numbers. LMDB takes pages again that were freed before its oldest reader began. */
static int free_pages(struct store *s, uint64_t *ret)
{
	uint64_t oldest = UINT64_MAX, freed_by, count;
	MDB_txn *txn;
	MDB_cursor *c;
	MDB_val k, v;
	*ret = 0;
	int r;
	if ((r = mdb_reader_list(s->env, on_reader, &oldest)) < 0 || (r = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)))
		return r;
	if (!(r = mdb_cursor_open(txn, 0, &c))) {
		while (!(r = WALK(s, mdb_cursor_get(c, &k, &v, MDB_NEXT)))) {
			memcpy(&freed_by, k.mv_data, sizeof freed_by);
			memcpy(&count, v.mv_data, sizeof count);
			if (freed_by >= oldest)
				break;
			*ret += count;
		}
		mdb_cursor_close(c);
	}
	mdb_txn_abort(txn);
	return r == MDB_NOTFOUND ? 0 : r;
}

int store_room(struct store *s, uint64_t *ret)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t pages = 0;
	int dead, r = mdb_reader_check(s->env, &dead);
	if (!r)
		r = mdb_env_info(s->env, &info);
	if (!r)
		r = mdb_env_stat(s->env, &st);
	if (r)
		return store_code(r) > 0 ? -EIO : store_code(r);
	uint64_t used = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize, left = s->map_max > used ? s->map_max - used : 0;
	if (used > s->map_max / 2 && (r = free_pages(s, &pages)))
		return store_code(r) > 0 ? -EIO : store_code(r);
	*ret = left + pages * st.ms_psize;
	return 0;
}

int store_sync_dir(struct store *s)
{
	return file_fsync_dir(s->dir);
}
