#pragma once
/* The lines protocol: one JSON object per line, between a worker and its long-lived program. Pure.
 *
 *   program  {"hello":1,"max":8}
 *   worker   {"task":"ID","token":7,"queue":"q","payload":"...","attempt":1,"max_attempts":5,"deadline_ms":...,"tags":[...],"traceparent":"..."}
 *            {"cancel":"ID"}   {"quit":"drain"}
 *   program  {"done":"ID","result":...}                        or result_b64
 *            {"fail":"ID","error":"...","retry":true,"after":"30s"}
 *            {"progress":"ID","pct":40,"note":"..."}   {"beat":1}
 *
 * The payload is a string where it is UTF-8, payload_b64 where it is not, and inline JSON where its content type is application/json and it is. A result
 * that is a string is stored as its bytes, any other JSON value as the text that the program wrote. Members that are not known here are ignored; of
 * those that are, each must have its type. Lines from the program are untrusted. */
#include <stdbool.h>
#include <stdint.h>
#include "actors/worker/buffer.h"
#include "actors/worker/json_scan.h"
#include "common/base/error.h"
#include "common/wire/id.h"

#define LINES_VERSION 1
#define LINES_TEXT_MAX 512 /* bytes of an error or a note; more is cut */
#define LINES_MAX_TASKS 4096

enum lines_kind { LINES_HELLO, LINES_DONE, LINES_FAIL, LINES_PROGRESS, LINES_BEAT };
struct lines_message {
	enum lines_kind kind;
	struct id id;                  /* of DONE, FAIL, PROGRESS */
	uint32_t max;                  /* HELLO: tasks at once, 1 to LINES_MAX_TASKS */
	const char *result;            /* DONE: in the line's memory */
	size_t result_len;
	bool retry;                    /* FAIL */
	uint64_t after_ms;             /* FAIL: 0 = no wish */
	uint32_t percent;              /* PROGRESS: 0 to 100 */
	char text[LINES_TEXT_MAX + 1]; /* FAIL: the error; PROGRESS: the note. One line of UTF-8. Unset for the others */
};
/* One line without its newline; it is changed in place, and *ret points into it. 0, or ERROR_BAD_REQUEST: stray output.
 * ERROR_VERSION: a hello of another version. */
int lines_read(char *line, size_t len, struct lines_message *ret, struct error *e);

struct lines_task {
	const char *id; /* 26 characters */
	uint64_t token;
	const char *queue, *content_type, *traceparent; /* "" = none */
	const uint8_t *payload;
	size_t payload_len;
	uint32_t attempt, max_attempts;
	uint64_t deadline_ms; /* wall clock; 0 = none */
	char *const *tags;
	size_t n_tags;
};
/* Append one line each. 0 or -ENOMEM (then nothing was appended). */
int lines_write_task(struct buffer *b, const struct lines_task *t);
int lines_write_cancel(struct buffer *b, const char *id);
int lines_write_quit(struct buffer *b);
