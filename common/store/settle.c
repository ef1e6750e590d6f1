/* What a writer, living or dead, has in its log and not yet in data.mdb, for those who read the store from outside. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/store/internal.h"

#define WAIT_MS 10000u
#define LOOK_MS 5
#define GROWS_MAX 10u

struct outside { struct place place; uint32_t version; bool has_place; };

static int read_own(MDB_txn *txn, struct outside *ret)
{
	MDB_dbi own;
	MDB_val key = { strlen(OWN_VERSION), (void *)OWN_VERSION }, value;
	int r = mdb_dbi_open(txn, OWN_TABLE, 0, &own);
	if (!r)
		r = mdb_get(txn, own, &key, &value);
	if (r || value.mv_size != 4 + STORE_CRC)
		return r == MDB_NOTFOUND || !r ? 0 : r;
	ret->version = key_read_u32(value.mv_data);
	key = (MDB_val){ strlen(OWN_LOG), (void *)OWN_LOG };
	r = mdb_get(txn, own, &key, &value);
	if (!r && value.mv_size > STORE_CRC)
		ret->has_place = place_read(SLICE(value.mv_data, value.mv_size - STORE_CRC), &ret->place);
	return r == MDB_NOTFOUND ? 0 : r;
}

/* What data.mdb says about itself. */
static int look(const char *dir, struct outside *ret, struct error *e)
{
	MDB_env *env;
	MDB_txn *txn = NULL;
	MDB_envinfo info;
	struct stat file;
	*ret = (struct outside){ 0 };
	int r = mdb_env_create(&env);
	if (r)
		return store_open_failed(e, r, "look into", dir);
	r = mdb_env_set_maxdbs(env, 1);
	if (!r)
		r = mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS | (store_has(dir, "lock.mdb") ? 0 : MDB_NOLOCK), 0600);
	int whole = r ? 0 : store_env_is_whole(env, dir, &file, &info, e);
	for (unsigned i = 0; whole == ERROR_CORRUPT && i < GROWS_MAX; i++) { /* a writer may be at it */
		poll(NULL, 0, 1);
		whole = store_env_is_whole(env, dir, &file, &info, e);
	}
	if (!r && !whole && !(r = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn))) {
		r = read_own(txn, ret);
		mdb_txn_abort(txn);
	}
	mdb_env_close(env);
	return r ? store_open_failed(e, r, "look into", dir) : whole;
}

/* A lock file that root made would keep the node out: it is made for the one whom the data belong to. */
static void own_lock(const char *dir)
{
	char data[PATH_MAX], lock[PATH_MAX];
	struct stat st;
	if (geteuid() != 0 || snprintf(data, sizeof data, "%s/data.mdb", dir) >= (int)sizeof data || snprintf(lock, sizeof lock, "%s/lock.mdb", dir) >= (int)sizeof lock || stat(data, &st) < 0)
		return;
	_cleanup_(closep) int fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		unlink(lock);
}

/* The work of a writer that died. ERROR_BUSY: one lives. */
static int bring_in(const char *dir, const struct outside *o, struct error *e)
{
	const char *names[STORE_TABLES_MAX + 1] = { NULL };
	struct store *s = NULL;
	memcpy(names, o->place.names, o->place.n * sizeof *names);
	const struct store_config c = { .dir = dir, .tables = names, .version = o->version, .log = LOG_ALIGN };
	own_lock(dir);
	int r = store_open_within(&c, 0, &s, e);
	if (!r && (r = store_checkpoint(s)))
		error_set(e, ERROR_STORE, "cannot bring the log of %s into its data", dir);
	store_close(s);
	return r;
}

int store_settle(const char *dir, struct error *e)
{
	static struct outside o; /* some kilobytes, of which only one is looked at at a time */
	uint64_t until = clock_until_ms(WAIT_MS), wanted = 0, last;
	if (!store_has(dir, LOG_FILE))
		return 0;
	for (;;) {
		int r = look(dir, &o, e);
		if (r > 0 || r == -ENOENT)
			return 0; /* who opens it next says what is wrong with it */
		if (!r && o.has_place && (r = commit_log_last(dir, o.place.id, o.place.seq, &last)))
			error_set(e, ERROR_STORE, "cannot read %s/" LOG_FILE ": %s", dir, strerror(-r));
		if (r || !o.has_place)
			return r;
		if (!wanted)
			wanted = last;
		if (o.place.seq >= wanted)
			return 0;
		r = bring_in(dir, &o, e);
		if (r != ERROR_BUSY || clock_mono_ms() >= until)
			return r;
		poll(NULL, 0, LOOK_MS);
	}
}
