#pragma once
/* How the tool ends: exit statuses, and errors in three lines: what failed; why; what to type. */
#include <stdio.h>
#include "common/base/error.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_NO = 1,           /* the answer is no */
	EXIT_NO_SUCH = 3,
	EXIT_USAGE = 64,
	EXIT_DATA = 65,        /* bad input data */
	EXIT_NO_INPUT = 66,    /* no such file */
	EXIT_UNREACHABLE = 69,
	EXIT_BUG = 70,
	EXIT_IO = 74,
	EXIT_BUSY = 75,
	EXIT_PROTOCOL = 76,
	EXIT_PERMISSION = 77,
	EXIT_CONFIGURATION = 78,
	EXIT_TIMEOUT = 124,
	EXIT_INTERRUPTED = 130,
};

/* The exit status of an error; of a negative code EXIT_IO, of 0 EXIT_OK. */
enum exit_status failure_status(int code);

/* Three lines (two without a cure):
 *   troupe: submit failed [E-NO_QUEUE]
 *     there is no queue emial
 *     did you mean emails?
 * id: what stands in the brackets behind E-; NULL: error_name of e's code. Control bytes are left out. */
void failure_print(FILE *f, const char *what, const char *id, const struct error *e);
