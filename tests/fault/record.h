#pragma once
/* What a process wrote, and when it was on the disk: the log that record.c writes in the process, and that clients append their notes to. Records follow each
 * other; each is a head, and behind it .len bytes. Numbers are of this machine. */
#include <stdint.h>

enum record_op {
	RECORD_NAME = 1,  /* a file, or a directory, has this name now: the bytes are its path */
	RECORD_WRITE,     /* about to write the bytes .at */
	RECORD_SIZE,      /* about to have the size .at */
	RECORD_SYNC,      /* all that was written to the file before is on the disk */
	RECORD_WRITE_DSYNC, /* RECORD_WRITE by a descriptor that is O_DSYNC ... */
	RECORD_DONE,      /* ... and has returned: this write is on the disk */
	RECORD_RENAME,    /* the bytes are two paths, each with its NUL */
	RECORD_UNLINK,    /* a path */
	RECORD_DIR_SYNC,  /* the names in this directory (a path) are on the disk */
	RECORD_NOTE,      /* of a client: a word and what it is about, as text */
};
struct record { uint32_t op, len; uint64_t file, at; }; /* file: inode number */
