#include <ctype.h>
#include <string.h>
#include "common/base/parse.h"
#include "actors/tools/ref.h"

#define SUFFIX_MIN 6u

/* Crockford's base 32, with the letters that people type for digits. */
static bool is_id_character(char c)
{
	return (c >= '0' && c <= '9') || (isalpha((unsigned char)c) && toupper((unsigned char)c) != 'U');
}

int ref_parse(const char *s, struct ref *ret, struct error *e)
{
	struct ref r = { .kind = REF_SUFFIX };
	size_t len = strlen(s), digits = strspn(s, "0123456789");
	if (s[0] == '#') {
		r.kind = REF_SEQ;
		if (parse_number(s + 1, 1, UINT64_MAX, &r.seq, NULL) != 0)
			return error_set(e, ERROR_BAD_REQUEST, "'%.60s' is no task: a number must follow the #", s);
		*ret = r;
		return 0;
	}
	if (len > 0 && digits == len && len < SUFFIX_MIN) {
		error_set(e, ERROR_BAD_REQUEST, "'%s' is no task", s);
		error_cure(e, "for the task with this number write '#%s' (in quotes, for the shell)", s);
		return ERROR_BAD_REQUEST;
	}
	for (size_t i = 0; i < len; i++)
		if (!is_id_character(s[i])) {
			error_set(e, ERROR_BAD_REQUEST, "'%.60s' is no task", s);
			error_cure(e, "name a task by its 26 characters, by '#' and its number, or by its last 6 or more characters");
			return ERROR_BAD_REQUEST;
		}
	if (len == ID_TEXT - 1) {
		r.kind = REF_ID;
		int code = id_parse(s, &r.id, e);
		if (code == 0)
			*ret = r;
		return code;
	}
	if (len < SUFFIX_MIN || len >= ID_TEXT) {
		error_set(e, ERROR_BAD_REQUEST, "'%.60s' has %zu characters: a task's id has 26, and its suffix 6 to 25", s, len);
		return ERROR_BAD_REQUEST;
	}
	memcpy(r.suffix, s, len + 1);
	*ret = r;
	return 0;
}

void ref_message(const struct ref *r, Troupe__TaskRef *m)
{
	troupe__task_ref__init(m);
	switch (r->kind) {
	case REF_ID:
		m->id = (ProtobufCBinaryData){ .len = sizeof r->id.b, .data = (uint8_t *)(uintptr_t)r->id.b };
		break;
	case REF_SEQ:
		m->seq = r->seq;
		break;
	case REF_SUFFIX:
		m->suffix = (char *)(uintptr_t)r->suffix;
		break;
	}
}
