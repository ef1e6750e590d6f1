#pragma once
/* What a long-lived program and its worker say to each other, and how it stands on the two pipes: a codec for each tier. Pure. */
#include <stdbool.h>
#include <stdint.h>
#include "common/work/buffer.h"
#include "common/base/error.h"
#include "common/wire/arena.h"
#include "common/wire/id.h"

#define PROGRAM_VERSION 1
#define PROGRAM_TEXT_MAX 512 /* bytes of an error or a note; more is cut */
#define PROGRAM_MAX_TASKS 4096

/* What a program says. */
enum program_kind { PROGRAM_HELLO, PROGRAM_DONE, PROGRAM_FAIL, PROGRAM_PROGRESS, PROGRAM_BEAT };
struct program_message {
	enum program_kind kind;
	struct id id;                    /* of DONE, FAIL, PROGRESS */
	uint32_t max;                    /* HELLO: tasks at once, 1 to PROGRAM_MAX_TASKS */
	const char *result;              /* DONE: in the memory of what it was read from */
	size_t result_len;
	bool retry;                      /* FAIL */
	uint64_t after_ms;               /* FAIL: 0 = no wish */
	uint32_t percent;                /* PROGRESS: 0 to 100 */
	char text[PROGRAM_TEXT_MAX + 1]; /* FAIL: the error; PROGRESS: the note. One line of UTF-8. Unset for the others */
};
void program_text(char out[static PROGRAM_TEXT_MAX + 1], const char *text, size_t len); /* cut, and made one line of UTF-8 */

/* What it hears. */
struct program_task {
	struct id id;
	uint64_t token;
	const char *queue, *content_type, *traceparent; /* "" = none */
	const uint8_t *payload;
	size_t payload_len;
	const char *payload_file; /* its path, instead of payload; NULL = none */
	uint32_t attempt, max_attempts;
	uint64_t deadline_ms; /* wall clock; 0 = none */
	char *const *tags;
	size_t n_tags;
};

/* What has come from a program and is not yet understood. Its bytes are untrusted. */
struct program_reader {
	struct buffer in;        /* put new bytes behind it */
	size_t message_max;      /* bytes of a line, or of the body of a packet */
	size_t looked_at;        /* lines: no newline before it */
	bool skipping;           /* lines: the rest of one that is too long */
	struct arena *arena;     /* packet4: of the last message */
	const char *stray;       /* after STRAY and OTHER_VERSION: what it was */
	size_t stray_len;
};
int program_reader_init(struct program_reader *r, size_t message_max); /* 0 or -ENOMEM */
void program_reader_fini(struct program_reader *r);
void program_reader_reset(struct program_reader *r);                   /* for another program */

enum program_heard {
	PROGRAM_NOTHING,       /* no whole message is there */
	PROGRAM_MESSAGE,       /* *ret, until the next call or the next byte that is put in */
	PROGRAM_STRAY,         /* something that says nothing to us, and why; what follows can be read */
	PROGRAM_OTHER_VERSION, /* a hello of another version, as a text */
	PROGRAM_LOST,          /* nobody can say where the next message begins, and why */
};

struct program_codec {
	const char *mode; /* of a pool */
	/* Append one message each. 0 or -ENOMEM (then nothing was appended). */
	int (*write_task)(struct buffer *b, const struct program_task *t);
	int (*write_cancel)(struct buffer *b, const struct id *id);
	int (*write_quit)(struct buffer *b);
	/* Takes the next message out of r->in. */
	enum program_heard (*next)(struct program_reader *r, struct program_message *ret, struct error *e);
};
extern const struct program_codec lines_codec, packet4_codec;
