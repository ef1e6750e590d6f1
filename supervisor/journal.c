#include "supervisor/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/crc32c.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "supervisor/tree_text.h"

#define PENDING_MAX (64u * 1024 * 1024) /* of one turn of the loop: a snapshot of the largest tree fits */
#define BOOT_SLACK_MS 5000u /* two readings of the same boot differ by as much when the wall clock is slewed */

struct journal {
	char path[PATH_MAX];
	int fd;
	char boot[128];   /* the record of this life */
	size_t max;       /* of one file */
	FILE *line;       /* the record that is being made, in text */
	char *text;
	size_t text_len;
	char *data;       /* records that wait for the next write */
	size_t len, room, written;
};

static const char *const kinds[] = { [WINDOW_OWN] = "own", [WINDOW_SUPERVISOR] = "supervisor", [WINDOW_ENDS] = "ends" };

static int open_file(struct journal *j)
{
	struct stat st;
	j->fd = open(j->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return -errno;
	j->written = fstat(j->fd, &st) == 0 ? (size_t)st.st_size : 0;
	return 0;
}

static int each(const char *path, bool (*fn)(void *ctx, const char *record), void *ctx, unsigned *ret_line, size_t *ret_good, bool *ret_torn);

static bool take_any(void *ctx, const char *record)
{
	return true;
}

/* What is behind a bad line would never be read again. A line that was cut off goes; where a whole one is damaged the file is kept aside. */
static void mend(const char *path)
{
	char aside[PATH_MAX + 16];
	size_t good;
	bool torn;
	if (each(path, take_any, NULL, NULL, &good, &torn) != ERROR_CORRUPT)
		return;
	snprintf(aside, sizeof aside, "%s.damaged", path);
	if (torn ? truncate(path, (off_t)good) : rename(path, aside))
		log_warn("the journal cannot be mended", LOG_S("path", path), LOG_S("error", strerror(errno)));
	else
		log_warn(torn ? "the journal's last line was cut off" : "the journal was damaged: it is kept aside", LOG_S("path", torn ? path : aside));
}

int journal_open(const char *dir, struct journal **ret)
{
	struct journal *j = calloc(1, sizeof *j);
	if (!j)
		return -ENOMEM;
	snprintf(j->path, sizeof j->path, "%s/journal", dir);
	j->max = JOURNAL_MAX;
	j->line = open_memstream(&j->text, &j->text_len);
	if (!j->line) {
		free(j);
		return -ENOMEM;
	}
	mend(j->path);
	int r = open_file(j);
	if (r) {
		fclose(j->line);
		free(j->text);
		free(j);
		return r;
	}
	*ret = j;
	return 0;
}

static void add(struct journal *j, const char *text, size_t len)
{
	if (j->len + len + 16 > j->room) {
		size_t room = j->room ? j->room : 4096;
		while (room < j->len + len + 16)
			room *= 2;
		char *data = room <= PENDING_MAX ? realloc(j->data, room) : NULL;
		if (!data)
			return; /* a bounded loss: the journal is evidence, not state */
		j->data = data;
		j->room = room;
	}
	j->len += (size_t)sprintf(j->data + j->len, "%08" PRIx32 " ", crc32c(0, text, len));
	memcpy(j->data + j->len, text, len);
	j->len += len;
	j->data[j->len++] = '\n';
}

static void add_text(void *ctx, const char *text)
{
	add(ctx, text, strlen(text));
}

/* What was printed to j->line. */
static void add_line(struct journal *j)
{
	long len = ftell(j->line);
	if (fflush(j->line) == 0 && len > 0)
		add(j, j->text, (size_t)len);
	rewind(j->line);
}

void journal_add(struct journal *j, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(j->line, fmt, ap);
	va_end(ap);
	add_line(j);
}

void journal_decided(struct journal *j, const struct event *e, const struct actions *decided)
{
	tree_text_wanted(e, add_text, j);
	tree_text_event(j->line, e);
	add_line(j);
	for (size_t i = 0; i < decided->n; i++) {
		tree_text_action(j->line, &decided->items[i]);
		add_line(j);
	}
}

static void add_window(struct journal *j, const struct window_entry *w, unsigned times)
{
	if (times)
		journal_add(j, "window %" PRIu64 " %s %" PRIu32 " %u %s", w->at_ms, kinds[w->kind], w->step, times, w->name);
}

void journal_windows(struct journal *j, const struct tree *t, const struct child *only, uint64_t at_ms)
{
	struct window_cursor cursor = { .child = only, .begun = only != NULL };
	struct window_entry w, last = { 0 };
	unsigned times = 0;
	while (tree_windows_save(t, &cursor, &w) && (!only || cursor.child == only)) {
		if (at_ms != UINT64_MAX && w.at_ms != at_ms)
			continue;
		bool same = times && w.kind == last.kind && w.at_ms == last.at_ms && strcmp(w.name, last.name) == 0;
		if (!same) {
			add_window(j, &last, times);
			times = 0;
		}
		last = w;
		times++;
	}
	add_window(j, &last, times);
}

/* What a file begins with. */
static void add_state(struct journal *j, const struct tree *t)
{
	size_t before = j->len;
	journal_add(j, "%s", j->boot);
	tree_text_save(t, add_text, j);
	journal_windows(j, t, NULL, UINT64_MAX);
	j->max = 4 * (j->len - before) > JOURNAL_MAX ? 4 * (j->len - before) : JOURNAL_MAX;
}

void journal_boot(struct journal *j, uint64_t wall_ms, uint64_t mono_ms, uint64_t seed, uint64_t first_incarnation, const struct tree *t)
{
	snprintf(j->boot, sizeof j->boot, "boot %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, wall_ms, mono_ms, seed, first_incarnation);
	add_state(j, t);
}

/* The file is full: it becomes journal.1. What waits still belongs to it; then the new one begins with the tree as it is. */
static int rotate(struct journal *j, const struct tree *t)
{
	char old[PATH_MAX + 8];
	snprintf(old, sizeof old, "%s.1", j->path);
	if (rename(j->path, old) != 0)
		return -errno;
	close(j->fd);
	j->fd = -1;
	if (j->boot[0])
		add_state(j, t);
	return open_file(j);
}

static int write_out(struct journal *j)
{
	ssize_t n = write(j->fd, j->data, j->len);
	int r = n < 0 ? -errno : (size_t)n < j->len ? -ENOSPC : 0;
	if (n > 0)
		j->written += (size_t)n;
	j->len = 0;
	return r;
}

int journal_flush(struct journal *j, const struct tree *t)
{
	int r = 0;
	if (!j->len)
		return 0;
	if (j->fd < 0)
		r = open_file(j);
	if (!r)
		r = write_out(j);
	if (!r && t && j->written > j->max && !(r = rotate(j, t)))
		r = write_out(j);
	j->len = 0;
	return r;
}

struct journal *journal_close(struct journal *j)
{
	if (!j)
		return NULL;
	journal_flush(j, NULL);
	if (j->fd >= 0)
		close(j->fd);
	fclose(j->line);
	free(j->text);
	free(j->data);
	free(j);
	return NULL;
}

static int each(const char *path, bool (*fn)(void *ctx, const char *record), void *ctx, unsigned *ret_line, size_t *ret_good, bool *ret_torn)
{
	_cleanup_(freep) char *text = NULL;
	size_t room = 0, good = 0;
	unsigned line = 0;
	int r = 0;
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	for (ssize_t len; (len = getline(&text, &room, f)) > 0; good += (size_t)len) {
		uint32_t crc;
		bool torn = text[len - 1] != '\n';
		line++;
		if (!torn)
			text[len - 1] = 0;
		if (torn || len < 11 || text[8] != ' ' || sscanf(text, "%8" SCNx32, &crc) != 1 || crc != crc32c(0, text + 9, (size_t)len - 10)) {
			r = ERROR_CORRUPT;
			if (ret_good)
				*ret_good = good;
			if (ret_torn)
				*ret_torn = torn;
			break;
		}
		if (!fn(ctx, text + 9))
			break;
	}
	if (!r && ferror(f))
		r = -EIO;
	fclose(f);
	if (ret_line)
		*ret_line = line;
	return r;
}

int journal_each(const char *path, bool (*fn)(void *ctx, const char *record), void *ctx, unsigned *ret_line)
{
	return each(path, fn, ctx, ret_line, NULL, NULL);
}

/* --- after an unclean death --- */

struct found { char name[CHILD_NAME_MAX + 1]; enum window_kind kind; uint32_t step, times; uint64_t at_ms; };
struct restoring { struct tree *tree; struct found *all; size_t n, room; uint64_t boot_at_ms; bool unclean; };

/* The entry of the same window and time, or a new one; NULL without memory. What is said again is said of the latest moment, so older entries need no look. */
static struct found *find(struct restoring *r, const char *name, enum window_kind kind, uint64_t at_ms)
{
	for (size_t i = r->n; i-- > 0 && r->all[i].at_ms >= at_ms;)
		if (r->all[i].at_ms == at_ms && r->all[i].kind == kind && strcmp(r->all[i].name, name) == 0)
			return &r->all[i];
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		struct found *all = reallocarray(r->all, room, sizeof *all);
		if (!all)
			return NULL;
		r->all = all;
		r->room = room;
	}
	struct found *f = &r->all[r->n++];
	*f = (struct found){ .kind = kind, .at_ms = at_ms };
	snprintf(f->name, sizeof f->name, "%s", name);
	return f;
}

static void restore_window(struct restoring *r, uint64_t at_ms, const char *kind, uint32_t step, uint32_t times, const char *name)
{
	for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		struct found *f = strcmp(kind, kinds[k]) == 0 ? find(r, name, (enum window_kind)k, at_ms) : NULL;
		if (!f)
			continue;
		f->step = step;
		f->times = times;
	}
}

static bool restore_one(void *ctx, const char *record)
{
	struct restoring *r = ctx;
	char word[16];
	uint64_t wall, mono, at_ms;
	uint32_t step, times;
	int name = 0;
	if (sscanf(record, "boot %" SCNu64 " %" SCNu64, &wall, &mono) == 2) {
		/* Before the machine was started: its times mean nothing now. */
		r->unclean = wall - mono <= r->boot_at_ms + BOOT_SLACK_MS && wall - mono + BOOT_SLACK_MS >= r->boot_at_ms;
		r->n = 0;
	} else if (strcmp(record, "clean") == 0) {
		r->n = 0;
		r->unclean = false;
	} else if (strncmp(record, "forget ", 7) == 0 || strncmp(record, "forget_group ", 13) == 0) {
		bool group = record[6] == '_';
		size_t kept = 0;
		for (size_t i = 0; i < r->n; i++)
			if (strcmp(r->all[i].name, record + (group ? 13 : 7)) != 0 || (group && r->all[i].kind != WINDOW_SUPERVISOR))
				r->all[kept++] = r->all[i];
		r->n = kept;
	} else if (sscanf(record, "window %" SCNu64 " %15s %" SCNu32 " %" SCNu32 " %n", &at_ms, word, &step, &times, &name) == 4 && name) {
		restore_window(r, at_ms, word, step, times, record + name);
	}
	return true;
}

unsigned journal_restore(const char *dir, struct tree *t, uint64_t now_mono_ms, uint64_t now_wall_ms)
{
	struct restoring r = { .tree = t, .boot_at_ms = now_wall_ms - now_mono_ms };
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/journal", dir);
	if (journal_each(path, restore_one, &r, NULL) == -ENOENT) { /* a torn tail is what a kill leaves; killed while a new file was begun */
		snprintf(path, sizeof path, "%s/journal.1", dir);
		journal_each(path, restore_one, &r, NULL);
	}
	unsigned n = 0;
	for (size_t i = 0; i < r.n && r.unclean; i++) {
		if (r.all[i].at_ms > now_mono_ms)
			continue;
		struct window_entry e = { r.all[i].name, r.all[i].kind, r.all[i].at_ms, r.all[i].step };
		for (uint32_t k = 0; k < r.all[i].times && k < WINDOW_ROOM_MAX; k++, n++)
			tree_windows_load(t, &e);
	}
	free(r.all);
	return n;
}
