/* Errors, as the public header has them, and what every public function checks first. */
#include <string.h>
#include <unistd.h>
#include "common/troupe/internal.h"

#define X(name, number) _Static_assert((int)TROUPE_ERROR_##name == (int)ERROR_##name, "troupe.h and error.h give " #name " one number");
ERROR_CODES(X)
#undef X
#define X(name, number) +1
enum { N_CODES = ERROR_CODES(X) };
#undef X
_Static_assert(N_CODES == 23, "a code that is new in error.h belongs into troupe.h");
_Static_assert(sizeof ((struct error *)0)->text == sizeof ((struct troupe_error *)0)->text && sizeof ((struct error *)0)->cure == sizeof ((struct troupe_error *)0)->cure,
               "no text is cut between the two");

void error_public(const struct error *e, struct troupe_error *out)
{
	*out = (struct troupe_error){ .code = (int)e->code, .retryable = e->retryable, .retry_after_ms = e->retry_after_ms, .index = e->index };
	memcpy(out->text, e->text, sizeof out->text);
	memcpy(out->cure, e->cure, sizeof out->cure);
}

int error_give(int code, const struct error *e, struct troupe_error *out)
{
	struct error os;
	if (code == 0 || !out)
		return code;
	if (code < 0) {
		error_set(&os, ERROR_INTERNAL, "%s (%s)", strerrordesc_np(-code) ? strerrordesc_np(-code) : "unknown", strerrorname_np(-code) ? strerrorname_np(-code) : "?");
		e = &os;
	}
	error_public(e, out);
	out->code = code;
	return code;
}

int troupe_check(const struct troupe *t, struct error *e)
{
	if (t->pid == getpid())
		return 0;
	error_set(e, ERROR_STATE, "this connection was made by process %d, before a fork", (int)t->pid);
	error_cure(e, "connect after the fork in the child alone, or execute a program there");
	return ERROR_STATE;
}

int troupe_check_blocking(const struct troupe *t, struct error *e)
{
	int code = troupe_check(t, e);
	if (code || !t->calling)
		return code;
	error_set(e, ERROR_STATE, "a callback may not wait");
	error_cure(e, "use the form that starts, or do it after the return");
	return ERROR_STATE;
}

int size_check(size_t size, size_t known, const char *what, struct error *e)
{
	if (size == known)
		return 0;
	error_set(e, ERROR_VERSION, "struct %s has %zu bytes, and this library knows %zu", what, size, known);
	error_cure(e, size ? "install the library that the program was built with" : "begin with its TROUPE_..._INIT");
	return ERROR_VERSION;
}

const char *troupe_code_name(int code) { return error_name(code); }
const char *troupe_version(void) { return TROUPE_VERSION; }
