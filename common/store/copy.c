/* A copy of an environment that may be in use, through an environment of its own that only reads: nothing of the writer's is locked or waited for. A plain copy of LMDB's
 * takes the writer's lock for the meta pages, so it is always the compacting one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "common/store/internal.h"

#define RESIZED_MAX 10u

static int copy_env(MDB_env *env, int fd)
{
	int r = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	/* The writer's map grew after we opened ours: take its size. */
	for (unsigned i = 0; r == MDB_MAP_RESIZED && i < RESIZED_MAX; i++) {
		r = mdb_env_set_mapsize(env, 0);
		if (!r)
			r = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	}
	return r;
}

int store_copy(const char *dir, int fd, struct error *e)
{
	MDB_env *env;
	mdb_filehandle_t own;
	int dead;
	if (!store_has(dir, "data.mdb"))
		return error_set(e, ERROR_NOT_FOUND, "%s/data.mdb: %s", dir, strerror(errno));
	int r = store_settle(dir, e);
	if (r)
		return r;
	bool locked = store_has(dir, "lock.mdb");
	r = mdb_env_create(&env);
	if (r)
		return store_open_failed(e, r, "copy", dir);
	r = mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS | (locked ? 0 : MDB_NOLOCK), 0600);
	if (!r)
		r = mdb_env_get_fd(env, &own);
	if (!r && fcntl(own, F_SETFD, FD_CLOEXEC) < 0)
		r = errno;
	if (!r) {
		mdb_reader_check(env, &dead); /* of one that was killed before us */
		r = copy_env(env, fd);
	}
	mdb_env_close(env);
	if (r)
		return store_open_failed(e, r, "copy", dir);
	if (!locked && store_has(dir, "lock.mdb"))
		return error_set(e, ERROR_BUSY, "%s was opened for the first time while it was copied", dir);
	return 0;
}
