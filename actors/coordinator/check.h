#pragma once
/* The check of a ledger: by the coordinator that has it open, and of a copy that nobody has. */
#include <stdio.h>
#include "actors/coordinator/ledger.h"

struct coordinator;

/* --- check.c --- */
#define CHECK_LINES_MAX 50u
struct check_report {
	uint64_t n_tasks, n_problems;
	uint64_t states[7];             /* tasks, by Troupe__TaskState */
	char *lines[CHECK_LINES_MAX];   /* the first problems */
	size_t n_lines;
};
/* All rows that view shows, against each other and against the counters and leases in memory. The lines lie in the arena. 0 or negative. */
int check_ledger(struct coordinator *c, struct store_txn *view, struct arena *lines, struct check_report *ret);

/* --- offline.c --- */
enum { CHECK_SOUND = 0, CHECK_PROBLEMS = 1, CHECK_FAILED = 2 }; /* exit statuses */
/* The ledger in dir, which nobody may be writing, as JSON lines to f: {"problem": TEXT} for each of the first problems, then {"tasks": N, "problems": N, "ready": N, ...};
 * where it could not be looked at {"error": TEXT, "code": NAME} alone. */
int check_offline(const char *dir, FILE *f);
