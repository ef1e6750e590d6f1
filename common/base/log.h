#pragma once
/* The log of a process: logfmt or JSON lines on stderr, one write(2) a line. For shells only: cores and libraries return errors.
 *
 *   ts=2026-11-20T09:30:00.123Z level=info actor=coordinator:main msg="store opened" tasks=12
 *
 * Control bytes in values are escaped, so nobody can forge a line. A line is at most 4 KiB, then cut.
 * Under journald ($JOURNAL_STREAM is our stderr) a "<N>" prefix replaces ts. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field { const char *key; char kind; union { const char *s; uint64_t u; int64_t i; } v; };

#define LOG_S(k, x) { (k), 's', { .s = (x) } }
#define LOG_U(k, x) { (k), 'u', { .u = (uint64_t)(x) } }
#define LOG_I(k, x) { (k), 'i', { .i = (int64_t)(x) } }

/* actor is copied; NULL or "" leaves the field out. fd is where lines go (2 by default). */
void log_setup(const char *actor, enum log_format format, enum log_level least, int fd);
int log_level_parse(const char *s, enum log_level *ret);   /* 0, or ERROR_BAD_REQUEST */
int log_format_parse(const char *s, enum log_format *ret);

void log_event(enum log_level level, const char *msg, const struct log_field *fields, unsigned n_fields);

/* log_info("child up", LOG_S("child", address), LOG_U("pid", pid)); */
#define log_at(level, msg, ...) \
	log_event((level), (msg), (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { 0 } }, \
	          (unsigned)(sizeof((const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { 0 } }) / sizeof(struct log_field)) - 1)
#define log_debug(msg, ...) log_at(LOG_DEBUG, msg __VA_OPT__(,) __VA_ARGS__)
#define log_info(msg, ...) log_at(LOG_INFO, msg __VA_OPT__(,) __VA_ARGS__)
#define log_warn(msg, ...) log_at(LOG_WARN, msg __VA_OPT__(,) __VA_ARGS__)
#define log_error(msg, ...) log_at(LOG_ERROR, msg __VA_OPT__(,) __VA_ARGS__)
