#pragma once
/* Progress of long work: a bar on a terminal, redrawn ten times a second; elsewhere a line every 5 s; silent on request. All on stderr. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *name;
	uint64_t total;                /* 0: not known */
	uint64_t began_ms, shown_ms;   /* monotonic */
	uint64_t shown;                /* what was drawn last */
	bool tty, silent, ascii, drawn;
};
/* The line without its end; returns out. Pure. */
const char *progress_line(const struct progress *p, uint64_t done, uint64_t now_ms, char *out, size_t size);
void progress_begin(struct progress *p, const char *name, uint64_t total, bool silent);
void progress_show(struct progress *p, uint64_t done);   /* draws when it is time */
void progress_end(struct progress *p, uint64_t done);    /* draws the last state and ends the line */
void progress_clear(struct progress *p);                 /* takes the bar off the terminal, before another message */
/* 74210: "74,210" */
const char *number_grouped(uint64_t n, char *out, size_t size);
