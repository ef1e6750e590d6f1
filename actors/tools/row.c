#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libsmartcols/libsmartcols.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/row.h"

#define TREE_DEPTH_MAX 32

void row_text(json_t *row, const char *key, const char *value)
{
	json_object_set_new(row, key, value && *value ? json_string(value) : json_null());
}

void row_number(json_t *row, const char *key, uint64_t value) { json_object_set_new(row, key, json_integer((json_int_t)value)); }
void row_signed(json_t *row, const char *key, int64_t value) { json_object_set_new(row, key, json_integer(value)); }
void row_flag(json_t *row, const char *key, bool value) { json_object_set_new(row, key, json_boolean(value)); }

void row_time(json_t *row, const char *key, uint64_t wall_ms)
{
	char text[25], key_ms[64];
	snprintf(key_ms, sizeof key_ms, "%s_ms", key);
	if (wall_ms) {
		clock_format(wall_ms, text);
		row_text(row, key, text);
		row_number(row, key_ms, wall_ms);
	} else {
		json_object_set_new(row, key, json_null());
		json_object_set_new(row, key_ms, json_null());
	}
}

static char *base64(const uint8_t *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = malloc((len + 2) / 3 * 4 + 1), *p = out;
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)data[i] << 16 | (i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0) | (i + 2 < len ? data[i + 2] : 0);
		*p++ = digits[v >> 18];
		*p++ = digits[v >> 12 & 63];
		*p++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*p = '\0';
	return out;
}

void row_bytes_text(json_t *row, const char *key, const void *data, size_t len)
{
	char other[64];
	snprintf(other, sizeof other, "%s_base64", key);
	if (utf8_valid(data, len)) {
		json_object_set_new(row, key, json_stringn(len ? data : "", len));
		return;
	}
	_cleanup_(freep) char *text = base64(data, len);
	json_object_set_new(row, key, json_null());
	if (text)
		json_object_set_new(row, other, json_string(text));
}

char *row_json(const json_t *row) { return json_dumps(row, JSON_COMPACT | JSON_PRESERVE_ORDER); }

/* Nothing that a payload or an error text holds may move the cursor or break a row. */
static char *printable(const char *s)
{
	size_t len = strlen(s);
	char *out = malloc(4 * len + 1), *p = out;
	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '\n')
			p += sprintf(p, "\\n");
		else if (c == '\t')
			*p++ = ' ';
		else if (c < 0x20 || c == 0x7f)
			p += sprintf(p, "\\x%02x", c);
		else if (c == 0xc2 && (unsigned char)s[i + 1] >= 0x80 && (unsigned char)s[i + 1] < 0xa0) /* C1 control, in UTF-8 */
			p += sprintf(p, "\\x%02x", (unsigned char)s[++i]);
		else
			*p++ = (char)c;
	}
	*p = '\0';
	return out;
}

char *row_cell(const struct column *c, const json_t *row)
{
	const json_t *v = json_object_get(row, c->key);
	char text[64] = "";
	if (!v || json_is_null(v))
		return strdup("");
	if (json_is_string(v))
		return printable(json_string_value(v));
	if (json_is_array(v) || json_is_object(v))
		return json_dumps(v, JSON_COMPACT | JSON_PRESERVE_ORDER);
	if (json_is_boolean(v))
		return strdup(json_is_true(v) ? "yes" : "");
	if (json_is_real(v)) {
		snprintf(text, sizeof text, "%.6g", json_real_value(v));
		return strdup(text);
	}
	uint64_t n = (uint64_t)json_integer_value(v);
	switch (c->kind) {
	case COLUMN_AGE:
		format_age(n, text, sizeof text);
		break;
	case COLUMN_SIZE:
		format_size(n, text, sizeof text);
		break;
	case COLUMN_TEXT:
	case COLUMN_NUMBER:
	case COLUMN_FLAG:
	case COLUMN_STATE:
		snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
		break;
	}
	return strdup(text);
}

const struct column *table_column(const struct table *t, const char *key, size_t len)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (strlen(t->columns[i].key) == len && memcmp(t->columns[i].key, key, len) == 0)
			return &t->columns[i];
	return NULL;
}

static int unknown_column(const struct table *t, const char *key, size_t len, struct error *e)
{
	const char *names[64];
	char all[sizeof e->cure] = "", word[40];
	size_t n = 0;
	snprintf(word, sizeof word, "%.*s", (int)len, key);
	for (size_t i = 0; i < t->n_columns && n < ELEMENTS(names); i++)
		names[n++] = t->columns[i].key;
	error_set(e, ERROR_BAD_REQUEST, "%s have no column '%s'", t->name, word);
	const char *best = suggest(word, names, n);
	if (best) {
		error_cure(e, "did you mean %s?", best);
		return ERROR_BAD_REQUEST;
	}
	for (size_t i = 0; i < n; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? " " : "", names[i]);
	error_cure(e, "%s", all);
	return ERROR_BAD_REQUEST;
}

/* The columns to show, in order. */
static int choose(const struct table *t, const char *wanted, const struct column **ret, size_t room, size_t *ret_n, struct error *e)
{
	size_t n = 0;
	if (!wanted) {
		for (size_t i = 0; i < t->n_columns && n < room; i++)
			if (t->columns[i].title)
				ret[n++] = &t->columns[i];
		*ret_n = n;
		return 0;
	}
	while (*wanted) {
		size_t len = strcspn(wanted, ",");
		const struct column *c = table_column(t, wanted, len);
		if (!c)
			return unknown_column(t, wanted, len, e);
		if (n == room)
			return error_set(e, ERROR_BAD_REQUEST, "more than %zu columns", room);
		ret[n++] = c;
		wanted += len + (wanted[len] == ',');
	}
	if (n == 0)
		return error_set(e, ERROR_BAD_REQUEST, "no column is named");
	*ret_n = n;
	return 0;
}

static const char *title_of(const struct column *c, char *out, size_t size)
{
	if (c->title)
		return c->title;
	size_t i = 0;
	for (; c->key[i] && i + 1 < size; i++)
		out[i] = c->key[i] == '_' ? '-' : (char)(c->key[i] >= 'a' && c->key[i] <= 'z' ? c->key[i] - 32 : c->key[i]);
	out[i] = '\0';
	return out;
}

static const char *colour_of(const char *state)
{
	static const struct { const char *state, *colour; } colours[] = {
		{ "up", "green" }, { "done", "green" }, { "ok", "green" }, { "running", "cyan" }, { "starting", "yellow" }, { "backoff", "yellow" },
		{ "stopping", "yellow" }, { "paused", "yellow" }, { "draining", "yellow" }, { "compensating", "yellow" }, { "succeeded", "green" }, { "warn", "yellow" }, { "pending", "red" }, { "failed", "red" }, { "dead", "red" },
		{ "broken", "red" }, { "bad", "red" }, { "alarm", "red" },
	};
	for (size_t i = 0; i < ELEMENTS(colours); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].colour;
	return NULL;
}

static void unref_table(struct libscols_table **t) { scols_unref_table(*t); }

static int add_columns(struct libscols_table *st, const struct table *t, const struct column *const *chosen, size_t n)
{
	char title[64];
	for (size_t i = 0; i < n; i++) {
		bool tree = t->tree && strcmp(chosen[i]->key, t->tree) == 0;
		bool number = chosen[i]->kind == COLUMN_NUMBER || chosen[i]->kind == COLUMN_SIZE;
		int flags = tree ? SCOLS_FL_TREE : number ? SCOLS_FL_RIGHT : 0;
		if (i + 1 == n && chosen[i]->kind == COLUMN_TEXT && !tree)
			flags |= SCOLS_FL_TRUNC;
		struct libscols_column *sc = scols_table_new_column(st, title_of(chosen[i], title, sizeof title), 0, flags);
		if (!sc)
			return -ENOMEM;
		scols_column_set_safechars(sc, NULL);
	}
	return 0;
}

static int fill_line(struct libscols_line *line, const struct style *s, const struct column *const *chosen, size_t n, const json_t *row)
{
	for (size_t i = 0; i < n; i++) {
		char *cell = row_cell(chosen[i], row);
		if (!cell)
			return -ENOMEM;
		if (!*cell && i + 1 < n) { /* so that a line has as many words as it has columns */
			free(cell);
			cell = strdup("-");
			if (!cell)
				return -ENOMEM;
		}
		const char *colour = s->colour && chosen[i]->kind == COLUMN_STATE ? colour_of(cell) : NULL;
		if (scols_line_refer_data(line, i, cell) < 0) {
			free(cell);
			return -ENOMEM;
		}
		if (colour)
			scols_cell_set_color(scols_line_get_cell(line, i), colour);
	}
	return 0;
}

/* A tree's first row is its root and stands at the margin; what is below it hangs on the last row of one depth less. */
static struct libscols_line *parent_of(struct libscols_line **path, const json_t *row, size_t *ret_depth)
{
	size_t depth = (size_t)json_integer_value(json_object_get(row, "depth"));
	if (depth >= TREE_DEPTH_MAX)
		depth = TREE_DEPTH_MAX - 1;
	*ret_depth = depth;
	while (depth > 0)
		if (path[--depth])
			return path[depth];
	return NULL;
}

/* Every line ends with a newline, and none with spaces. In place: text has room for one more byte. */
static void trim_lines(char *text)
{
	char *out = text;
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), kept = len;
		while (kept && line[kept - 1] == ' ')
			kept--;
		bool last = !line[len];
		memmove(out, line, kept);
		out += kept;
		*out++ = '\n';
		if (last) /* its terminator is overwritten */
			break;
		line += len + 1;
	}
	*out = '\0';
}

int table_render(const struct table *t, const struct style *s, const json_t *rows, char **ret, struct error *e)
{
	const struct column *chosen[64];
	size_t n = 0, i;
	json_t *row;
	int code = choose(t, s->columns, chosen, ELEMENTS(chosen), &n, e);
	if (code != 0)
		return code;
	_cleanup_(unref_table) struct libscols_table *st = scols_new_table();
	if (!st)
		return -ENOMEM;
	scols_table_enable_noheadings(st, !s->header);
	scols_table_enable_ascii(st, s->ascii);
	scols_table_enable_colors(st, s->colour);
	scols_table_enable_noencoding(st, 1);
	if (s->width) {
		scols_table_set_termforce(st, SCOLS_TERMFORCE_ALWAYS);
		scols_table_set_termwidth(st, s->width);
	} else {
		scols_table_set_termforce(st, SCOLS_TERMFORCE_NEVER);
	}
	scols_table_set_column_separator(st, "  ");
	code = add_columns(st, t, chosen, n);
	if (code != 0)
		return code;

	struct libscols_line *path[TREE_DEPTH_MAX] = { NULL };
	bool tree = t->tree != NULL && s->header;
	json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
		size_t depth = 0;
		struct libscols_line *parent = tree ? parent_of(path, row, &depth) : NULL;
		struct libscols_line *line = scols_table_new_line(st, parent);
		if (!line || fill_line(line, s, chosen, n, row) != 0)
			return -ENOMEM;
		path[depth] = line;
		for (size_t d = depth + 1; d < TREE_DEPTH_MAX; d++)
			path[d] = NULL;
	}
	char *text = NULL;
	if (json_array_size(rows) == 0) { /* smartcols prints nothing at all for no lines */
		*ret = strdup("");
		return *ret ? 0 : -ENOMEM;
	}
	if (scols_print_table_to_string(st, &text) != 0 || !text)
		return -ENOMEM;
	size_t len = strlen(text);
	char *grown = realloc(text, len + 2);
	if (!grown) {
		free(text);
		return -ENOMEM;
	}
	trim_lines(grown);
	*ret = grown;
	return 0;
}
