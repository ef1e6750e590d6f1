#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

int error_set(struct error *e, enum error_code code, const char *fmt, ...)
{
	if (!e)
		return (int)code;
	*e = (struct error){ .code = code };

	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	utf8_clean(e->text);
	return (int)code;
}

int error_refuse(struct error *e, enum error_code code, const char *cure, const char *fmt, ...)
{
	if (!e)
		return (int)code;
	*e = (struct error){ .code = code, .index = e->index };

	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	utf8_clean(e->text);
	error_cure(e, "%s", cure);
	return (int)code;
}

void error_cure(struct error *e, const char *fmt, ...)
{
	if (!e)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->cure, sizeof(e->cure), fmt, ap);
	va_end(ap);
	utf8_clean(e->cure);
}

int error_retry(struct error *e, uint32_t after_ms)
{
	if (!e)
		return ERROR_NONE;
	e->retryable = true;
	e->retry_after_ms = after_ms;
	return (int)e->code;
}

const char *error_name(int code)
{
	switch (code) {
	case ERROR_NONE:
		return "NONE";
#define X(name, number)                                                                                                                              \
	case ERROR_##name:                                                                                                                           \
		return #name;
		ERROR_CODES(X)
#undef X
	}
	return "UNKNOWN";
}
