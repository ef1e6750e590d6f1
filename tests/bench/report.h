#pragma once
/* What a benchmark is told, and what it says: a figure for each case, row and round, as a table or as JSON. Ratios are taken within a round, and their median is shown:
 * figures of two rounds cannot be compared. */
#include <stdbool.h>
#include <stddef.h>

#define ROUNDS_MAX 32u

struct bench_options {
	unsigned rounds;
	double seconds;            /* of one measurement */
	size_t tasks;              /* a size; of what, the benchmark's usage says */
	const char *only;          /* rows that hold this text; NULL: all */
	bool json;
};
/* --rounds N, --seconds S, --tasks N, --only TEXT, --dir DIR, --json. *o holds the defaults; one that is 0 is an option that this benchmark does not have. --dir is where stores
 * lie, instead of $TMPDIR or /var/tmp. What it does not know ends the process with usage and status 2, and so does a directory in memory. */
void bench_options(int argc, char **argv, const char *usage, struct bench_options *o);
bool bench_wants(const struct bench_options *o, const char *row);
/* A line on stderr: what is being measured. */
__attribute__((format(printf, 1, 2))) void bench_progress(const char *format, ...);

struct report;
struct report *report_new(const char *bench, const char *unit);
struct report *report_free(struct report *r);  /* NULL */
/* One figure more, of the next round. Cases and rows stand in the order of their first figures; both texts are copied. */
void report_add(struct report *r, const char *in_case, const char *row, double value);
/* A column more: each row's figure divided by that of this row, by rounds, in the cases that have it. At most two. */
void report_beside(struct report *r, const char *row, const char *heading);
/* To stdout. title: one line above the table. As JSON: a line for each row and case, with bench, case, row, unit, median, min, max, values. */
void report_print(struct report *r, const char *title, bool json);
