#pragma once
/* The log is standard error. Where that is a file, its name is remembered at the start, so that the file can be opened anew after a rotation has renamed it. */
#include <limits.h>
struct stderr_log { char path[PATH_MAX]; };     /* empty: no regular file */
void stderr_log_find(struct stderr_log *l);
void stderr_log_reopen(const struct stderr_log *l); /* where that fails the old one stays */
