#pragma once
/* trouped --replay: a journal's decisions made again, by this trouped and without its processes. */
#include <stdbool.h>
#include <stdio.h>

/* Reads the journal at path; writes what differs to out, all events and decisions with verbose, and a last line with the sum.
 * 0: all come out the same; 1: some do not, or the file is damaged; 66: it cannot be read, or holds no decision. */
int replay_journal(const char *path, bool verbose, FILE *out);
