#pragma once
/* Rows and how they look. A row is a flat JSON object, made from a message by a pure function (rows_*.c); --json prints it as it is, and a table's cells are
 * derived from its members. So every column is in the JSON, and a script and a person never see different values. */
#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "common/base/error.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_AGE,      /* milliseconds, for people: "52m" */
	COLUMN_SIZE,     /* bytes: "1.4M" */
	COLUMN_FLAG,     /* true: "yes", false: "" */
	COLUMN_STATE,    /* text with a colour */
};
struct column {
	const char *key;    /* of the row's object */
	const char *title;  /* NULL: only in JSON and with -o */
	enum column_kind kind;
};
struct table {
	const char *name;
	const char *id;                /* the column that -q prints */
	const char *tree;              /* the column that is drawn as a tree by the member "depth"; NULL: none */
	const struct column *columns;
	size_t n_columns;
};

struct style {
	bool header, colour, ascii;
	size_t width;                  /* of the terminal; 0: as wide as it gets */
	const char *columns;           /* -o; NULL: those with a title */
};

/* The table of rows (a JSON array) as text, one line a row, ended by a newline. Caller frees. 0; ERROR_BAD_REQUEST: an unknown column in style; -ENOMEM. */
int table_render(const struct table *t, const struct style *s, const json_t *rows, char **ret, struct error *e);
/* One row as one line of JSON without the newline; caller frees; NULL without memory. */
char *row_json(const json_t *row);
/* The cell of a column as text; caller frees; NULL without memory. */
char *row_cell(const struct column *c, const json_t *row);
const struct column *table_column(const struct table *t, const char *key, size_t len);

/* Small builders for rows. An absent text or a zero time is JSON null in the row and an empty cell. */
void row_text(json_t *row, const char *key, const char *value);
void row_bytes_text(json_t *row, const char *key, const void *data, size_t len); /* UTF-8 as it is, anything else as base64 under key_base64 */
void row_number(json_t *row, const char *key, uint64_t value);
void row_signed(json_t *row, const char *key, int64_t value);
void row_flag(json_t *row, const char *key, bool value);
void row_time(json_t *row, const char *key, uint64_t wall_ms); /* key: RFC 3339; key_ms: the number */

extern const struct table table_tasks, table_attempts, table_receipts, table_tree_rows, table_processes, table_queues, table_workers, table_crashes, table_events, table_checks,
	table_status, table_answers, table_what_if, table_changes, table_bench, table_batches, table_members, table_named, table_trace, table_crons, table_cron_times;
