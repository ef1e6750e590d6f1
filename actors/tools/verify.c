#include "actors/tools/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "actors/tools/copying.h"
#include "actors/tools/ledger.h"
#include "actors/tools/statedir.h"

int backup_open(struct verified *v, const char *dir, struct error *e)
{
	*v = (struct verified){ .ledgers = NULL };
	snprintf(v->dir, sizeof v->dir, "%s", dir);
	int r = copy_path(v->path, dir, MANIFEST_NAME, e);
	if (!r)
		r = copy_path(v->state, dir, "state", e);
	if (!r)
		r = manifest_read(v->path, &v->manifest, e);
	if (r == ERROR_NOT_FOUND)
		error_cure(e, "a backup is a directory with a MANIFEST, as troupe backup makes it");
	return r;
}

void backup_close(struct verified *v)
{
	manifest_fini(&v->manifest);
	json_decref(v->ledgers);
	v->ledgers = NULL;
}

struct verifying { struct verified *v; struct copying copying; };

static int verify_entry(void *ctx, const struct manifest_entry *m, struct error *e)
{
	struct verifying *k = ctx;
	char path[PATH_MAX];
	uint64_t size;
	uint32_t crc;
	int r = m->directory ? 0 : copy_path(path, k->v->state, m->path, e);
	if (r || m->directory)
		return r;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return error_set(e, ERROR_CORRUPT, "%.160s is in the manifest, and not there", path);
	if (fd < 0)
		return copy_failed(e, "read", path, errno);
	r = copy_bytes(&k->copying, fd, -1, path, &size, &crc, e);
	if (!r && size != m->size)
		r = error_set(e, ERROR_CORRUPT, "%.120s has %llu bytes, not the %llu that were backed up", path, (unsigned long long)size, (unsigned long long)m->size);
	else if (!r && crc != m->crc)
		r = error_set(e, ERROR_CORRUPT, "%.160s is not what was backed up: its checksum is wrong", path);
	return r;
}

int backup_verify(struct tool *t, struct verified *v, struct error *e)
{
	struct progress progress;
	struct verifying k = { .v = v, .copying.progress = &progress };
	progress_begin(&progress, "KiB verified", v->manifest.bytes >> 10, tool_quiet(t));
	int r = manifest_each(v->path, verify_entry, &k, e);
	if (r)
		progress_clear(&progress);
	else
		progress_end(&progress, k.copying.bytes >> 10);
	if (!r)
		r = ledger_check_all(v->state, &v->ledgers, e);
	return r ? r : ledger_problem(v->ledgers, e);
}
