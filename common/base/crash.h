#pragma once
/* Last words: what this process is about to touch that others may have damaged. The crash handler (common/io/status.h) writes the text to stderr, and so it comes into
 * the report of the crash. */
extern const char *volatile crash_words; /* NULL: nothing of the kind */
