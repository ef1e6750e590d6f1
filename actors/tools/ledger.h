#pragma once
/* The check of ledgers that no node has open, by the coordinator's own program (troupe-coordinator --check). */
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>
#include "common/base/error.h"

/* The ledger in dir: 0 with a row of its counts, "tasks", "problems", one for each state, and "lines" with the first problems; a code with a text where it could not be looked at. */
int ledger_check(const char *dir, json_t **ret, struct error *e);
/* Every coordinator's below a state directory, each row with its "path", relative to it. */
int ledger_check_all(const char *state_dir, json_t **ret_rows, struct error *e);
/* The first problem of all rows: 0 where there is none, else ERROR_CORRUPT with a text. */
int ledger_problem(const json_t *rows, struct error *e);
uint64_t ledger_tasks(const json_t *rows);  /* of all */
/* "  actors/coordinator/main: 12 tasks: 3 ready, 9 done", and the problems. */
void ledger_print(FILE *f, const json_t *row);
