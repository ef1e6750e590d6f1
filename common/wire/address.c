#include "common/wire/address.h"

#include <string.h>

#define TYPE_MAX 32
#define ID_MAX 158

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_type(char c)
{
	return is_lower(c) || is_digit(c) || c == '_' || c == '-';
}

static bool is_id(char c)
{
	if (is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z'))
		return true;
	switch (c) {
	case '.':
	case '_':
	case '/':
	case '@':
	case '+':
	case '=':
	case '~':
	case '-':
		return true;
	}
	return false;
}

/* NULL, or what is wrong with s. */
static const char *address_read(const char *s, size_t *ret_type_len, size_t *ret_len)
{
	size_t type_len = 0, id_len = 0;
	if (!is_lower(s[0]))
		return "its type does not begin with a lower-case letter";
	while (type_len <= TYPE_MAX && is_type(s[type_len]))
		type_len++;
	if (type_len > TYPE_MAX)
		return "its type is longer than 32 bytes";
	if (s[type_len] != ':')
		return s[type_len] ? "its type has a character other than a-z, 0-9, _ and -" : "it has no colon";

	const char *id = s + type_len + 1;
	while (id_len <= ID_MAX && is_id(id[id_len]))
		id_len++;
	if (id_len > ID_MAX)
		return "its id is longer than 158 bytes";
	if (id[id_len])
		return "its id has a character other than letters, digits and . _ / @ + = ~ -";
	if (!id_len)
		return "its id is empty";
	*ret_type_len = type_len;
	*ret_len = type_len + 1 + id_len;
	return NULL;
}

int address_parse(const char *s, struct address *ret, struct error *e)
{
	size_t type_len = 0, len = 0;
	const char *wrong = address_read(s, &type_len, &len);
	if (wrong) {
		error_set(e, ERROR_BAD_REQUEST, "\"%.64s%s\" is not an address: %s", s, strnlen(s, 65) > 64 ? "..." : "", wrong);
		error_cure(e, "write it as type:id, for example coordinator:main");
		return ERROR_BAD_REQUEST;
	}
	memcpy(ret->text, s, len + 1);
	ret->type_len = (unsigned char)type_len;
	return 0;
}

bool address_valid(const char *s)
{
	size_t type_len, len;
	return !address_read(s, &type_len, &len);
}

const char *address_id(const struct address *a)
{
	return a->text + a->type_len + 1;
}

bool address_type_is(const struct address *a, const char *type)
{
	return strlen(type) == a->type_len && !memcmp(a->text, type, a->type_len);
}

bool address_less(const char *a, const char *b)
{
	return strcmp(a, b) < 0;
}
