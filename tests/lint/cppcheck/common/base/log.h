#pragma once
/* Stands in for the real one while cppcheck reads: it does not know __VA_OPT__. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };
struct log_field { const char *key; char kind; union { const char *s; uint64_t u; int64_t i; } v; };
void log_setup(const char *actor, enum log_format format, enum log_level least, int fd);
int log_level_parse(const char *s, enum log_level *ret);
int log_format_parse(const char *s, enum log_format *ret);
void log_event(enum log_level level, const char *msg, const struct log_field *fields, unsigned n_fields);
void log_said(const char *msg, ...);
#define LOG_S(k, x) (x)
#define LOG_U(k, x) (x)
#define LOG_I(k, x) (x)
#define log_debug(...) log_said(__VA_ARGS__)
#define log_info(...) log_said(__VA_ARGS__)
#define log_warn(...) log_said(__VA_ARGS__)
#define log_error(...) log_said(__VA_ARGS__)
