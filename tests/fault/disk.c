#include "tests/fault/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUST(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)
#define SECTOR 512u

struct pending { const uint8_t *data; uint64_t at; uint32_t len; bool size, dsync; }; /* size: of the file, no bytes */
struct file {
	uint64_t number;
	uint8_t *bytes; /* that are on the disk */
	uint64_t size, room;
	struct pending *pending;
	size_t n, n_room;
	struct file *next;
};
struct name { char *path; uint64_t file; }; /* below the root */
struct change { const char *from, *to; uint64_t file; }; /* of a name: from NULL made, to NULL taken away */
struct disk {
	char *root;
	struct file *files;
	struct name *names;
	size_t n_names;
	struct change *changes; /* that no sync of a directory covers */
	size_t n_changes;
	struct record next;     /* the sync that disk_settle is to carry out */
};

struct disk *disk_new(const char *root)
{
	struct disk *d = calloc(1, sizeof *d);
	MUST(d && (d->root = strdup(root)));
	return d;
}

struct disk *disk_free(struct disk *d)
{
	for (struct file *f = d->files, *next; f; f = next) {
		next = f->next;
		free(f->bytes);
		free(f->pending);
		free(f);
	}
	for (size_t i = 0; i < d->n_names; i++)
		free(d->names[i].path);
	free(d->names);
	free(d->changes);
	free(d->root);
	free(d);
	return NULL;
}

static struct file *file_of(struct disk *d, uint64_t number)
{
	for (struct file *f = d->files; f; f = f->next)
		if (f->number == number)
			return f;
	struct file *f = calloc(1, sizeof *f);
	MUST(f);
	f->number = number;
	f->next = d->files;
	return d->files = f;
}

/* --- names --- */

static struct name *name_find(struct disk *d, const char *path)
{
	for (size_t i = 0; i < d->n_names; i++)
		if (strcmp(d->names[i].path, path) == 0)
			return &d->names[i];
	return NULL;
}

static void name_set(struct disk *d, const char *path, uint64_t file)
{
	struct name *n = name_find(d, path);
	if (!n) {
		MUST(d->names = reallocarray(d->names, d->n_names + 1, sizeof *d->names));
		n = &d->names[d->n_names++];
		MUST(n->path = strdup(path));
	}
	n->file = file;
}

static uint64_t name_take(struct disk *d, const char *path)
{
	struct name *n = name_find(d, path);
	if (!n)
		return 0;
	uint64_t file = n->file;
	free(n->path);
	*n = d->names[--d->n_names];
	return file;
}

static void change_apply(struct disk *d, const struct change *c)
{
	uint64_t file = c->from ? name_take(d, c->from) : c->file;
	if (c->to && file)
		name_set(d, c->to, file);
}

/* Its name as the process sees it, with all changes. */
static uint64_t name_now(struct disk *d, const char *path)
{
	struct name *n = name_find(d, path);
	uint64_t file = n ? n->file : 0;
	for (size_t i = 0; i < d->n_changes; i++) {
		const struct change *c = &d->changes[i];
		if (c->to && strcmp(c->to, path) == 0)
			file = c->file;
		else if (c->from && strcmp(c->from, path) == 0)
			file = 0;
	}
	return file;
}

static void change_add(struct disk *d, const char *from, const char *to, uint64_t file)
{
	MUST(d->changes = reallocarray(d->changes, d->n_changes + 1, sizeof *d->changes));
	d->changes[d->n_changes++] = (struct change){ from, to, file };
}

/* --- bytes --- */

static void pending_add(struct file *f, struct pending p)
{
	if (f->n == f->n_room) {
		f->n_room = f->n_room ? 2 * f->n_room : 64;
		MUST(f->pending = reallocarray(f->pending, f->n_room, sizeof *f->pending));
	}
	f->pending[f->n++] = p;
}

struct content { uint8_t *bytes; uint64_t size, room; };

static void content_size(struct content *c, uint64_t size)
{
	if (size > c->room) {
		uint64_t room = size * 2;
		MUST(c->bytes = realloc(c->bytes, room));
		memset(c->bytes + c->room, 0, room - c->room);
		c->room = room;
	}
	if (size < c->size)
		memset(c->bytes + size, 0, c->size - size);
	c->size = size;
}

static void content_write(struct content *c, uint64_t at, const uint8_t *data, uint64_t len)
{
	if (at + len > c->size)
		content_size(c, at + len);
	memcpy(c->bytes + at, data, len);
}

static void content_apply(struct content *c, const struct pending *p)
{
	if (p->size)
		content_size(c, p->at);
	else
		content_write(c, p->at, p->data, p->len);
}

/* Sectors of it: the first ones, or any. */
static void content_tear(struct content *c, const struct pending *p, struct rng *rng)
{
	uint64_t n = (p->at + p->len + SECTOR - 1) / SECTOR - p->at / SECTOR, first = rng_below(rng, n + 1);
	bool front = rng_below(rng, 2);
	for (uint64_t i = 0; i < n; i++) {
		if (front ? i >= first : rng_below(rng, 2))
			continue;
		uint64_t from = (p->at / SECTOR + i) * SECTOR, to = from + SECTOR;
		if (from < p->at)
			from = p->at;
		if (to > p->at + p->len)
			to = p->at + p->len;
		content_write(c, from, p->data + (from - p->at), to - from);
	}
}

static void file_commit(struct file *f, size_t i)
{
	struct content c = { f->bytes, f->size, f->room };
	content_apply(&c, &f->pending[i]);
	f->bytes = c.bytes;
	f->size = c.size;
	f->room = c.room;
}

/* --- a life --- */

/* Behind the root; "" is the root itself. */
static const char *below(const struct disk *d, const char *path)
{
	size_t n = strlen(d->root);
	MUST(strncmp(path, d->root, n) == 0);
	return path[n] == '/' ? path + n + 1 : path + n;
}

bool disk_add(struct disk *d, const struct record *r, const uint8_t *data)
{
	const char *path = (const char *)data;
	d->next = *r;
	switch ((enum record_op)r->op) {
	case RECORD_NAME:
		if (*below(d, path) && name_now(d, below(d, path)) != r->file)
			change_add(d, NULL, below(d, path), r->file);
		return false;
	case RECORD_WRITE:
	case RECORD_WRITE_DSYNC:
		pending_add(file_of(d, r->file), (struct pending){ .data = data, .at = r->at, .len = r->len, .dsync = r->op == RECORD_WRITE_DSYNC });
		return false;
	case RECORD_SIZE:
		pending_add(file_of(d, r->file), (struct pending){ .at = r->at, .size = true });
		return false;
	case RECORD_RENAME: {
		const char *from = below(d, path), *to = below(d, path + strlen(path) + 1);
		change_add(d, from, to, name_now(d, from));
		return false;
	}
	case RECORD_UNLINK:
		change_add(d, below(d, path), NULL, 0);
		return false;
	case RECORD_SYNC:
	case RECORD_DONE:
	case RECORD_DIR_SYNC:
		return true;
	case RECORD_NOTE:
		return false;
	}
	MUST(!"a record that is known");
	return false;
}

void disk_settle(struct disk *d)
{
	struct file *f;
	switch ((enum record_op)d->next.op) {
	case RECORD_SYNC:
		f = file_of(d, d->next.file);
		for (size_t i = 0; i < f->n; i++)
			file_commit(f, i);
		f->n = 0;
		return;
	case RECORD_DONE:
		f = file_of(d, d->next.file);
		for (size_t i = 0; i < f->n; i++)
			if (f->pending[i].dsync) {
				file_commit(f, i);
				memmove(&f->pending[i], &f->pending[i + 1], (f->n - i - 1) * sizeof *f->pending);
				f->n--;
				i--;
			}
		return;
	case RECORD_DIR_SYNC: /* one journal: the names of one directory take those of all with them */
		for (size_t i = 0; i < d->n_changes; i++)
			change_apply(d, &d->changes[i]);
		d->n_changes = 0;
		return;
	case RECORD_NAME:
	case RECORD_WRITE:
	case RECORD_SIZE:
	case RECORD_WRITE_DSYNC:
	case RECORD_RENAME:
	case RECORD_UNLINK:
	case RECORD_NOTE:
		break;
	}
	MUST(!"a sync");
}

size_t disk_pending(const struct disk *d)
{
	size_t n = d->n_changes;
	for (const struct file *f = d->files; f; f = f->next)
		n += f->n;
	return n;
}

/* --- an image --- */

static bool taken(enum cut how, size_t i, size_t one, struct rng *rng)
{
	switch (how) {
	case CUT_NOTHING:
		return false;
	case CUT_ALL:
		return true;
	case CUT_ONE:
		return i == one;
	case CUT_ALL_BUT_ONE:
		return i != one;
	case CUT_SOME:
	case CUT_TORN:
		return rng_below(rng, 2);
	case N_CUTS:
		break;
	}
	return false;
}

static void make_directories(char *path)
{
	for (char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		mkdir(path, 0700);
		*s = '/';
	}
}

static int put_file(const char *dir, const char *name, const struct content *c)
{
	char path[512];
	MUST(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
	make_directories(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	uint64_t at = 0;
	while (at < c->size) {
		ssize_t n = write(fd, c->bytes + at, c->size - at);
		if (n < 0) {
			close(fd);
			return -errno;
		}
		at += (uint64_t)n;
	}
	close(fd);
	return 0;
}

static int empty(const char *dir)
{
	DIR *all = opendir(dir);
	struct dirent *e;
	char path[1024];
	if (!all)
		return errno == ENOENT && mkdir(dir, 0700) == 0 ? 0 : -errno;
	while ((e = readdir(all))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (unlink(path) < 0 && (empty(path) < 0 || rmdir(path) < 0)) {
			closedir(all);
			return -errno;
		}
	}
	closedir(all);
	return 0;
}

static struct content file_cut(const struct file *f, enum cut how, size_t *i, size_t one, struct rng *rng)
{
	struct content c = { NULL, 0, 0 };
	uint64_t longest = f->size;
	if (f->size)
		content_write(&c, 0, f->bytes, f->size);
	for (size_t k = 0; k < f->n; k++, (*i)++) {
		const struct pending *p = &f->pending[k];
		uint64_t end = p->size ? p->at : p->at + p->len;
		longest = end > longest ? end : longest;
		if (!taken(how, *i, one, rng))
			continue;
		if (how == CUT_TORN && !p->size)
			content_tear(&c, p, rng);
		else
			content_apply(&c, p);
	}
	if (how != CUT_NOTHING && how != CUT_ALL && c.size < longest && rng_below(rng, 2))
		content_size(&c, longest);
	return c;
}

int disk_image(struct disk *d, enum cut how, struct rng *rng, const char *dir)
{
	size_t n = disk_pending(d), one = n ? rng_below(rng, n) : 0, i = 0;
	/* Names, with as many of their changes as the journal has got to. */
	struct disk names = { .root = d->root };
	for (size_t k = 0; k < d->n_names; k++)
		name_set(&names, d->names[k].path, d->names[k].file);
	size_t changes = how == CUT_NOTHING ? 0 : how == CUT_ALL ? d->n_changes : rng_below(rng, d->n_changes + 1);
	for (size_t k = 0; k < changes; k++)
		change_apply(&names, &d->changes[k]);

	int r = empty(dir);
	for (const struct file *f = d->files; f && !r; f = f->next) {
		struct content c = file_cut(f, how, &i, one, rng);
		for (size_t k = 0; k < names.n_names && !r; k++)
			if (names.names[k].file == f->number)
				r = put_file(dir, names.names[k].path, &c);
		free(c.bytes);
	}
	for (size_t k = 0; k < names.n_names; k++)
		free(names.names[k].path);
	free(names.names);
	return r;
}

const char *cut_name(enum cut how)
{
	static const char *const names[] = { "nothing", "all", "one", "all but one", "some", "torn" };
	return how < N_CUTS ? names[how] : "?";
}
