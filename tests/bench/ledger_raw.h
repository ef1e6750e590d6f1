#pragma once
/* The limit of a submit: the coordinator's own rows, put by hand.
 *
 * Which rows one submit writes is not said here but looked up: the coordinator's store is read before and after a submit, and what differs, table by table with
 * the lengths of its keys and values, is what the raw store then writes in each of its commits. */
#include <lmdb.h>
#include "tests/bench/bench.h"

#define RAW_TABLES 32u

struct raw_rows { size_t n, key, value; };           /* n rows of these lengths */
struct raw_table { char name[32]; struct raw_rows added, rewritten; };
struct raw_pattern { unsigned n_tables; struct raw_table tables[RAW_TABLES]; };

struct raw_snapshot;
struct raw_snapshot *raw_look(const struct bench_node *n);  /* all rows of coordinator:main's store */
/* What is in after and was not in before; frees both. */
void raw_compare(struct raw_snapshot *before, struct raw_snapshot *after, struct raw_pattern *ret);
size_t raw_bytes(const struct raw_pattern *p, size_t *ret_rows);

struct raw_store;
struct raw_store *raw_open(const char *dir, const struct raw_pattern *p);
void raw_commit(struct raw_store *s);                /* one transaction: new rows behind all others, rewritten ones in their places */
