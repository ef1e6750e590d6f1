#pragma once
/* What cannot be: nonsense in a scenario, or a core that breaks its own rules. The process ends, so whoever runs scenarios does it in one of their own. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
static inline _Noreturn __attribute__((format(printf, 1, 2))) void broken(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}
#define NEED(x) do { if (!(x)) broken("%s:%d: %s", __FILE__, __LINE__, #x); } while (0)
#define NEED_MSG(x, ...) do { if (!(x)) broken(__VA_ARGS__); } while (0)
