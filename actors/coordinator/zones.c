/* The files of zones, read when an entry needs them and kept. A package's update is seen within a minute. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/coordinator/crons.h"
#include "common/base/cleanup.h"

#define DIR "/usr/share/zoneinfo"
#define KEEP 64u
#define LOOK_MS 60000u

struct kept { char name[ZONE_NAME_MAX + 1]; struct zone *zone; struct timespec changed; ino_t inode; off_t size; uint64_t looked_ms, used; };
struct zones { struct kept all[KEEP]; size_t n; uint64_t uses; };

struct zones *zones_new(void)
{
	return calloc(1, sizeof(struct zones));
}

void zones_free(struct zones *z)
{
	for (size_t i = 0; z && i < z->n; i++)
		zone_free(z->all[i].zone);
	free(z);
}

static struct kept *find(struct zones *z, const char *name)
{
	for (size_t i = 0; i < z->n; i++)
		if (strcmp(z->all[i].name, name) == 0)
			return &z->all[i];
	return NULL;
}

/* A place for one more: a free one, or that of the one which was not used for longest. */
static struct kept *place(struct zones *z)
{
	if (z->n < KEEP)
		return &z->all[z->n++];
	struct kept *oldest = z->all;
	for (size_t i = 1; i < KEEP; i++)
		if (z->all[i].used < oldest->used)
			oldest = &z->all[i];
	zone_free(oldest->zone);
	return oldest;
}

static bool same_file(const struct kept *k, const struct stat *st)
{
	return k->inode == st->st_ino && k->size == st->st_size && k->changed.tv_sec == st->st_mtim.tv_sec && k->changed.tv_nsec == st->st_mtim.tv_nsec;
}

static int read_file(int fd, struct zone **ret, struct error *e)
{
	_cleanup_(freep) uint8_t *data = malloc(ZONE_FILE_MAX + 1);
	size_t len = 0;
	if (!data)
		return -ENOMEM;
	while (len <= ZONE_FILE_MAX) {
		ssize_t n = read(fd, data + len, ZONE_FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(e, ERROR_NOT_FOUND, "the zone's file cannot be read: %s", strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return zone_read(data, len, ret, e);
}

static int load(const char *name, struct kept *known, struct zone **ret, struct stat *st, struct error *e)
{
	char path[sizeof DIR + 1 + ZONE_NAME_MAX];
	snprintf(path, sizeof path, DIR "/%s", name);
	*ret = NULL;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) != 0 || !S_ISREG(st->st_mode))
		return error_refuse(e, ERROR_NOT_FOUND, "name it as there, such as Europe/Berlin; the package tzdata has the files", "there is no zone \"%s\" in %s", name, DIR);
	return known && same_file(known, st) ? 0 : read_file(fd, ret, e);
}

int zones_get(struct zones *z, const char *name, uint64_t now_ms, const struct zone **ret, bool *ret_changed, struct error *e)
{
	struct zone *fresh;
	struct stat st;
	*ret_changed = false;
	if (!*name || strcmp(name, "UTC") == 0) {
		*ret = &zone_utc;
		return 0;
	}
	if (!zone_name_valid(name))
		return error_refuse(e, ERROR_BAD_REQUEST, "write it as in " DIR ", such as Europe/Berlin", "\"%.64s\" is no name of a zone", name);
	struct kept *k = find(z, name);
	if (!k || now_ms - k->looked_ms >= LOOK_MS) {
		int r = load(name, k, &fresh, &st, e);
		if (r < 0 || (r && !k))
			return r;
		if (fresh) { /* a file that cannot be read any more leaves what was known */
			*ret_changed = k != NULL;
			if (k)
				zone_free(k->zone);
			else
				k = place(z);
			*k = (struct kept){ .zone = fresh, .changed = st.st_mtim, .inode = st.st_ino, .size = st.st_size };
			snprintf(k->name, sizeof k->name, "%s", name);
		}
		k->looked_ms = now_ms;
	}
	k->used = ++z->uses;
	*ret = k->zone;
	return 0;
}
