#include "common/work/program_codec.h"

#include <errno.h>

#include "common/base/parse.h"

#define ARENA_SPARE (64u * 1024)

int program_reader_init(struct program_reader *r, size_t message_max)
{
	/* A message is unpacked into its own size, or twice that where a field comes twice. */
	*r = (struct program_reader){ .message_max = message_max, .arena = arena_new(2 * message_max + ARENA_SPARE) };
	return r->arena ? 0 : -ENOMEM;
}

void program_reader_fini(struct program_reader *r)
{
	buffer_fini(&r->in);
	r->arena = arena_unref(r->arena);
}

void program_reader_reset(struct program_reader *r)
{
	r->in.from = r->in.to = r->looked_at = 0;
	r->skipping = false;
}

void program_text(char out[static PROGRAM_TEXT_MAX + 1], const char *text, size_t len)
{
	size_t n = len < PROGRAM_TEXT_MAX ? len : PROGRAM_TEXT_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)text[i] < 0x20 ? ' ' : text[i];
	out[n] = '\0';
	utf8_clean(out);
}
