#include "actors/tools/failure.h"

enum exit_status failure_status(int code)
{
	if (code == 0)
		return EXIT_OK;
	if (code < 0)
		return EXIT_IO;
	switch ((enum error_code)code) {
	case ERROR_NONE:
		return EXIT_OK;
	case ERROR_BAD_REQUEST:
	case ERROR_TOO_LARGE:
	case ERROR_CONFLICT:
	case ERROR_AMBIGUOUS:
		return EXIT_DATA;
	case ERROR_VERSION:
	case ERROR_NO_VERB:
		return EXIT_PROTOCOL;
	case ERROR_NOT_ALLOWED:
		return EXIT_PERMISSION;
	case ERROR_NO_ACTOR:
	case ERROR_NO_QUEUE:
	case ERROR_NO_TASK:
	case ERROR_NOT_FOUND:
		return EXIT_NO_SUCH;
	case ERROR_STATE:
	case ERROR_EXISTS:
		return EXIT_NO;
	case ERROR_BUSY:
	case ERROR_DISK_LOW:
	case ERROR_STOPPING:
	case ERROR_UNDELIVERED:
		return EXIT_BUSY;
	case ERROR_TIMEOUT:
		return EXIT_TIMEOUT;
	case ERROR_NOT_REACHABLE:
		return EXIT_UNREACHABLE;
	case ERROR_CORRUPT:
	case ERROR_STORE:
		return EXIT_IO;
	case ERROR_CONFIG:
		return EXIT_CONFIGURATION;
	case ERROR_INTERNAL:
		return EXIT_BUG;
	}
	return EXIT_PROTOCOL; /* a code of a newer node */
}

static void print_clean(FILE *f, const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x20 && *s != 0x7f)
			fputc(*s, f);
}

void failure_print(FILE *f, const char *what, const char *id, const struct error *e)
{
	fprintf(f, "troupe: %s failed [E-%s]\n  ", what, id ? id : error_name((int)e->code));
	print_clean(f, e->text[0] ? e->text : "no reason was given");
	if (e->retryable && e->retry_after_ms)
		fprintf(f, " (retry after %u ms)", e->retry_after_ms);
	if (e->cure[0]) {
		fputs("\n  ", f);
		print_clean(f, e->cure);
	}
	fputc('\n', f);
}
