#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/crc32c.h"
#include "common/base/parse.h"
#include "actors/tools/copying.h"
#include "actors/tools/manifest.h"
#include "actors/tools/row.h"

#define LINE_BYTES_MAX 16384u
#define NAMES_BYTES 4096u

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}


static const char *crc_text(uint32_t crc, char *out, size_t size)
{
	snprintf(out, size, "%08" PRIx32, crc);
	return out;
}

/* --- writing --- */

int manifest_create(struct manifest_writer *w, const char *path, struct error *e)
{
	*w = (struct manifest_writer){ .f = fopen(path, "wxe") };
	return w->f ? 0 : copy_failed(e, "create", path, errno);
}

static int write_line(struct manifest_writer *w, json_t *row, struct error *e)
{
	_cleanup_(freep) char *line = row ? row_json(row) : NULL;
	json_decref(row);
	if (!line)
		return -ENOMEM;
	w->crc = crc32c(crc32c(w->crc, line, strlen(line)), "\n", 1);
	return fprintf(w->f, "%s\n", line) < 0 ? copy_failed(e, "write", MANIFEST_NAME, errno) : 0;
}

int manifest_line(struct manifest_writer *w, json_t *row, struct error *e) { return write_line(w, row, e); }

static json_t *entry_row(const char *kind, const char *path, const struct stat *st)
{
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	char mode[8], names[2][NAMES_BYTES];
	(void)getpwuid_r(st->st_uid, &user, names[0], sizeof names[0], &found_user);
	(void)getgrgid_r(st->st_gid, &group, names[1], sizeof names[1], &found_group);
	json_t *row = json_object();
	snprintf(mode, sizeof mode, "%04o", st->st_mode & 07777u);
	row_text(row, "kind", kind);
	row_text(row, "path", path);
	row_text(row, "mode", mode);
	row_text(row, "user", found_user ? user.pw_name : NULL);
	row_text(row, "group", found_group ? group.gr_name : NULL);
	row_number(row, "uid", st->st_uid);
	row_number(row, "gid", st->st_gid);
	return row;
}

static int check_path(const char *path, struct error *e)
{
	if (utf8_valid((const uint8_t *)path, strlen(path)) && strlen(path) < MANIFEST_PATH_MAX)
		return 0;
	error_set(e, ERROR_BAD_REQUEST, "the name of %.150s is no UTF-8, or too long", path);
	error_cure(e, "rename it, or move it out of the state directory");
	return ERROR_BAD_REQUEST;
}

int manifest_directory(struct manifest_writer *w, const char *path, const struct stat *st, struct error *e)
{
	int r = check_path(path, e);
	return r ? r : write_line(w, entry_row("directory", path, st), e);
}

int manifest_file(struct manifest_writer *w, const char *path, const struct stat *st, uint64_t size, uint32_t crc, struct error *e)
{
	char text[16];
	int r = check_path(path, e);
	if (r)
		return r;
	json_t *row = entry_row("file", path, st);
	row_number(row, "size", size);
	row_text(row, "crc32c", crc_text(crc, text, sizeof text));
	w->files++;
	w->bytes += size;
	return write_line(w, row, e);
}

int manifest_finish(struct manifest_writer *w, uint64_t wall_ms, struct error *e)
{
	char text[16];
	json_t *ended = json_object(), *row = json_object();
	row_text(ended, "kind", "ended");
	row_time(ended, "ended_at", wall_ms);
	int r = write_line(w, ended, e);
	row_text(row, "kind", "end");
	row_number(row, "files", w->files);
	row_number(row, "bytes", w->bytes);
	row_text(row, "crc32c", crc_text(w->crc, text, sizeof text));
	if (!r)
		r = write_line(w, row, e);
	else
		json_decref(row);
	if (!r && (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0))
		r = copy_failed(e, "write", MANIFEST_NAME, errno);
	if (fclose(steal(&w->f)) != 0 && !r)
		r = copy_failed(e, "write", MANIFEST_NAME, errno);
	return r;
}

void manifest_drop(struct manifest_writer *w)
{
	if (w->f)
		fclose(steal(&w->f));
}

/* --- reading --- */

static const char *text_of(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));
	return s ? s : "";
}

static uint64_t number_of(const json_t *row, const char *key) { return (uint64_t)json_integer_value(json_object_get(row, key)); }

static int damaged(struct error *e, const char *path, uint64_t line, const char *why)
{
	return error_set(e, ERROR_CORRUPT, "%.120s: line %" PRIu64 " %s", path, line, why);
}

/* "a/b": nothing that leads out of the directory that it is relative to. */
static bool path_stays_inside(const char *path)
{
	if (!*path || *path == '/' || strlen(path) >= MANIFEST_PATH_MAX)
		return false;
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");
		if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += n;
		if (*at == '/' && !*++at)
			return false;
	}
	return true;
}

static bool entry_read(const json_t *row, struct manifest_entry *ret)
{
	const char *kind = text_of(row, "kind"), *path = text_of(row, "path"), *mode = text_of(row, "mode");
	char *end;
	ret->directory = strcmp(kind, "directory") == 0;
	if (!path_stays_inside(path) && !(ret->directory && strcmp(path, ".") == 0))
		return false;
	snprintf(ret->path, sizeof ret->path, "%s", path);
	ret->mode = (mode_t)strtoul(mode, &end, 8);
	if (end == mode || *end || ret->mode > 07777)
		return false;
	ret->user = text_of(row, "user");
	ret->group = text_of(row, "group");
	ret->uid = (uid_t)number_of(row, "uid");
	ret->gid = (gid_t)number_of(row, "gid");
	ret->size = number_of(row, "size");
	ret->crc = (uint32_t)strtoul(text_of(row, "crc32c"), &end, 16);
	return true;
}

static bool is_entry(const char *kind) { return strcmp(kind, "directory") == 0 || strcmp(kind, "file") == 0; }

struct reading { const char *path; struct manifest *m; uint64_t line, files, bytes; uint32_t crc; bool end; };

/* One line of the first reading. */
static int take_line(struct reading *g, json_t *row, struct error *e)
{
	const char *kind = text_of(row, "kind");
	struct manifest_entry entry;
	char crc[16];
	if (g->end)
		return damaged(e, g->path, g->line, "stands behind the end");
	if (g->line == 1) {
		if (strcmp(kind, "backup") != 0)
			return damaged(e, g->path, g->line, "does not begin a manifest");
		if (json_integer_value(json_object_get(row, "format")) != MANIFEST_FORMAT) {
			error_set(e, ERROR_VERSION, "%.120s has format %lld, this tool reads format %d", g->path, (long long)json_integer_value(json_object_get(row, "format")), MANIFEST_FORMAT);
			error_cure(e, "restore it with the version that made it, or a newer one");
			return ERROR_VERSION;
		}
		g->m->head = json_incref(row);
	} else if (is_entry(kind)) {
		if (!entry_read(row, &entry))
			return damaged(e, g->path, g->line, "names no path inside a state directory");
		g->files += !entry.directory;
		g->bytes += entry.directory ? 0 : entry.size;
	} else if (strcmp(kind, "ledger") == 0) {
		json_array_append(g->m->ledgers, row);
	} else if (strcmp(kind, "end") == 0) {
		g->end = true;
		if (strcmp(text_of(row, "crc32c"), crc_text(g->crc, crc, sizeof crc)) != 0 || number_of(row, "files") != g->files || number_of(row, "bytes") != g->bytes)
			return damaged(e, g->path, g->line, "does not fit the lines before it: the manifest was changed");
	}
	return 0;
}

/* Lines of a manifest, each as an object, and its text. */
static int each_line(const char *path, int (*fn)(void *ctx, json_t *row, const char *text, size_t len, struct error *e), void *ctx, struct error *e)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	_cleanup_(freep) char *text = NULL;
	size_t room = 0;
	uint64_t line = 0;
	if (!f)
		return copy_failed(e, "read", path, errno);
	for (;;) {
		ssize_t n = getline(&text, &room, f);
		if (n < 0)
			return ferror(f) ? copy_failed(e, "read", path, errno) : 0;
		line++;
		json_error_t why;
		_cleanup_(json_decrefp) json_t *row = n <= (ssize_t)LINE_BYTES_MAX && text[n - 1] == '\n' ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, &why) : NULL;
		if (!json_is_object(row))
			return damaged(e, path, line, "is no line of a manifest");
		int r = fn(ctx, row, text, (size_t)n, e);
		if (r)
			return r;
	}
}

static int read_line(void *ctx, json_t *row, const char *text, size_t len, struct error *e)
{
	struct reading *g = ctx;
	g->line++;
	int r = take_line(g, row, e);
	g->crc = crc32c(g->crc, text, len);
	return r;
}

int manifest_read(const char *path, struct manifest *ret, struct error *e)
{
	struct reading g = { .path = path, .m = ret };
	*ret = (struct manifest){ .ledgers = json_array() };
	int r = ret->ledgers ? each_line(path, read_line, &g, e) : -ENOMEM;
	if (!r && !g.end)
		r = damaged(e, path, g.line, "is not the end: the manifest is cut short");
	ret->files = g.files;
	ret->bytes = g.bytes;
	if (r)
		manifest_fini(ret);
	return r;
}

void manifest_fini(struct manifest *m)
{
	json_decref(m->head);
	json_decref(m->ledgers);
	*m = (struct manifest){ 0 };
}

struct visiting { const char *path; int (*fn)(void *ctx, const struct manifest_entry *m, struct error *e); void *ctx; };

static int visit_line(void *ctx, json_t *row, const char *text, size_t len, struct error *e)
{
	struct visiting *v = ctx;
	struct manifest_entry entry;
	if (!is_entry(text_of(row, "kind")))
		return 0;
	if (!entry_read(row, &entry))
		return error_set(e, ERROR_CORRUPT, "%.120s changed while it was read", v->path);
	return v->fn(v->ctx, &entry, e);
}

int manifest_each(const char *path, int (*fn)(void *ctx, const struct manifest_entry *m, struct error *e), void *ctx, struct error *e)
{
	struct visiting v = { .path = path, .fn = fn, .ctx = ctx };
	return each_line(path, visit_line, &v, e);
}
