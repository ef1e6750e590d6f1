#pragma once
/* Errors: what failed, why, and what to do about it.
 *
 * Every function of this project that can fail returns an int:
 *   0         success; ret_ parameters are set
 *   negative  fatal for this process or object (-errno): only passed up
 *   positive  an enum error_code: an expected condition that the direct caller handles
 * Where a function takes a struct error it is filled before a positive return, and may be NULL. */

#include <stdbool.h>
#include <stdint.h>

/* Stable: these numbers and names are on the wire (Failure.code, Failure.name) and in the manual's DIAGNOSTICS. */
#define ERROR_CODES(X)                                                              \
	X(BAD_REQUEST, 1)   /* malformed, or a value out of range */                \
	X(TOO_LARGE, 2)     /* over a stated limit */                               \
	X(VERSION, 3)       /* protocol or store version that this build lacks */   \
	X(NOT_ALLOWED, 4)   /* the caller's role is too low */                      \
	X(NO_ACTOR, 5)      /* no such address, or it is not up */                  \
	X(NO_VERB, 6)       /* this actor does not answer that verb */              \
	X(NO_QUEUE, 7)      /* unknown queue */                                     \
	X(NO_TASK, 8)       /* unknown task */                                      \
	X(CONFLICT, 9)      /* the same id or unique key with other content */      \
	X(BUSY, 10)         /* a limit is reached; retry after the stated time */   \
	X(DISK_LOW, 11)     /* below the disk's low-water mark */                   \
	X(TIMEOUT, 12)      /* the deadline passed */                               \
	X(STATE, 13)        /* not possible in the object's present state */        \
	X(STOPPING, 14)     /* the actor or the node is going down */               \
	X(UNDELIVERED, 15)  /* a volatile message was dropped */                    \
	X(CORRUPT, 16)      /* a checksum or an invariant of stored data failed */  \
	X(AMBIGUOUS, 17)    /* a short name that fits several */                    \
	X(NOT_REACHABLE, 18)/* nobody listens there */                              \
	X(EXISTS, 19)       /* already there */                                     \
	X(NOT_FOUND, 20)    /* any other missing thing */                           \
	X(CONFIG, 21)       /* the configuration is wrong */                        \
	X(STORE, 22)        /* the store cannot do it now */                        \
	X(INTERNAL, 99)     /* a bug in this project */

enum error_code {
	ERROR_NONE = 0,
#define X(name, number) ERROR_##name = number,
	ERROR_CODES(X)
#undef X
};

struct error {
	enum error_code code;
	bool retryable;
	uint32_t retry_after_ms;
	uint32_t index;  /* of the offending item of a bulk request, from 1; 0 = the whole */
	char text[256];  /* what failed and why, one line, no full stop */
	char cure[160];  /* what to do; may be empty */
};

/* Fills e (may be NULL) and returns code. A text too long is cut. The result is one line of UTF-8,
 * whatever the arguments hold (utf8_clean), because errors go into messages, whose strings are checked. */
int error_set(struct error *e, enum error_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with a cure ("": none) and e's index as it was. */
int error_refuse(struct error *e, enum error_code code, const char *cure, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Sets the cure of e (may be NULL). */
void error_cure(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Marks e (may be NULL) retryable after ms; returns its code. */
int error_retry(struct error *e, uint32_t after_ms);

/* "NO_QUEUE"; "UNKNOWN" for a number that is no code. Static text. */
const char *error_name(int code);
