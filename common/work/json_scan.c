#include "common/work/json_scan.h"

#include <stdint.h>
#include <string.h>

#include "common/base/parse.h"

struct scan { const char *at, *end; };

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four hex digits; -1 for anything else. */
static int32_t hex4(const char *at, const char *end)
{
	int32_t v = 0;
	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = hex(at[i]);
		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* Behind the backslash. */
static bool scan_escape(struct scan *s)
{
	if (s->at == s->end)
		return false;
	char c = *s->at++;
	if (c != 'u')
		return memchr("\"\\/bfnrt", c, 8) != NULL;
	int32_t v = hex4(s->at, s->end);
	if (v < 0 || (v >= 0xdc00 && v <= 0xdfff))
		return false;
	s->at += 4;
	if (v < 0xd800 || v > 0xdbff)
		return true;
	if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
		return false;
	v = hex4(s->at + 2, s->end);
	s->at += 6;
	return v >= 0xdc00 && v <= 0xdfff;
}

/* Behind the opening quote; ret is what is between the quotes. */
static bool scan_string(struct scan *s, struct json_text *ret)
{
	const char *from = s->at;
	unsigned char high = 0;
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at;
		if (c == '"') {
			*ret = (struct json_text){ from, (size_t)(s->at - from) };
			s->at++;
			return !(high & 0x80) || utf8_valid((const uint8_t *)from, ret->len);
		}
		if (c < 0x20)
			return false;
		high |= c;
		s->at++;
		if (c == '\\' && !scan_escape(s))
			return false;
	}
	return false;
}

static bool scan_digits(struct scan *s)
{
	const char *from = s->at;
	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > from;
}

static bool scan_number(struct scan *s)
{
	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		take(s, '-');
	return scan_digits(s);
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* A string, number or word. */
static bool scan_scalar(struct scan *s, enum json_kind *ret_kind, struct json_text *ret)
{
	const char *from = s->at;
	bool ok;
	switch (s->at < s->end ? *s->at : '\0') {
	case '"':
		s->at++;
		*ret_kind = JSON_KIND_STRING;
		return scan_string(s, ret);
	case 't':
		*ret_kind = JSON_KIND_TRUE;
		ok = scan_word(s, "true");
		break;
	case 'f':
		*ret_kind = JSON_KIND_FALSE;
		ok = scan_word(s, "false");
		break;
	case 'n':
		*ret_kind = JSON_KIND_NULL;
		ok = scan_word(s, "null");
		break;
	default:
		*ret_kind = JSON_KIND_NUMBER;
		ok = scan_number(s);
		break;
	}
	*ret = (struct json_text){ from, (size_t)(s->at - from) };
	return ok;
}

static bool scan_key(struct scan *s, struct json_text *ret)
{
	skip_space(s);
	if (!take(s, '"') || !scan_string(s, ret))
		return false;
	skip_space(s);
	return take(s, ':');
}

/* What is open, innermost last: one bit a level. */
struct nest { uint64_t objects[JSON_SCAN_DEPTH / 64]; size_t depth; };

static bool nest_push(struct nest *n, bool object)
{
	if (n->depth == JSON_SCAN_DEPTH)
		return false;
	uint64_t bit = UINT64_C(1) << (n->depth % 64), *word = &n->objects[n->depth / 64];
	*word = object ? *word | bit : *word & ~bit;
	n->depth++;
	return true;
}

static bool nest_in_object(const struct nest *n)
{
	return n->objects[(n->depth - 1) / 64] >> ((n->depth - 1) % 64) & 1;
}

/* Opens what begins here. true in *ret_value: a value must follow; false: it was empty and is closed again. */
static bool scan_open(struct scan *s, struct nest *n, bool *ret_value)
{
	bool object = *s->at++ == '{';
	struct json_text key;
	if (!nest_push(n, object))
		return false;
	skip_space(s);
	*ret_value = !take(s, object ? '}' : ']');
	if (!*ret_value)
		n->depth--;
	else if (object)
		return scan_key(s, &key);
	return true;
}

/* Behind a value: closes what ends here. true in *ret_value: a comma came, and the next value follows. */
static bool scan_close(struct scan *s, struct nest *n, bool *ret_value)
{
	struct json_text key;
	*ret_value = false;
	while (n->depth) {
		bool object = nest_in_object(n);
		skip_space(s);
		if (take(s, ',')) {
			*ret_value = true;
			return !object || scan_key(s, &key);
		}
		if (!take(s, object ? '}' : ']'))
			return false;
		n->depth--;
	}
	return true;
}

static bool scan_value(struct scan *s, enum json_kind *ret_kind, struct json_text *ret)
{
	skip_space(s);
	if (s->at == s->end || (*s->at != '{' && *s->at != '['))
		return scan_scalar(s, ret_kind, ret);

	const char *from = s->at;
	struct nest n = { .depth = 0 };
	bool value = true;
	*ret_kind = *from == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
	while (value) {
		enum json_kind kind;
		struct json_text text;
		skip_space(s);
		if (s->at < s->end && (*s->at == '{' || *s->at == '[')) {
			if (!scan_open(s, &n, &value))
				return false;
			if (value)
				continue;
		} else if (!scan_scalar(s, &kind, &text)) {
			return false;
		}
		if (!scan_close(s, &n, &value))
			return false;
	}
	*ret = (struct json_text){ from, (size_t)(s->at - from) };
	return true;
}

bool json_scan_valid(const char *text, size_t len)
{
	struct scan s = { text, text + len };
	enum json_kind kind;
	struct json_text value;
	if (!scan_value(&s, &kind, &value))
		return false;
	skip_space(&s);
	return s.at == s.end;
}

static int refuse(const struct scan *s, const char *text, struct error *e)
{
	return error_set(e, ERROR_BAD_REQUEST, "not a JSON object (at byte %zu)", (size_t)(s->at - text));
}

int json_scan_object(const char *text, size_t len, struct json_member *out, size_t max, size_t *ret_n, struct error *e)
{
	struct scan s = { text, text + len };
	size_t n = 0;
	skip_space(&s);
	if (!take(&s, '{'))
		return refuse(&s, text, e);
	skip_space(&s);
	if (!take(&s, '}')) {
		do {
			struct json_member m;
			if (!scan_key(&s, &m.key) || !scan_value(&s, &m.kind, &m.value))
				return refuse(&s, text, e);
			if (n == max)
				return error_set(e, ERROR_TOO_LARGE, "an object of more than %zu members", max);
			out[n++] = m;
			skip_space(&s);
		} while (take(&s, ','));
		if (!take(&s, '}'))
			return refuse(&s, text, e);
	}
	skip_space(&s);
	if (s.at != s.end)
		return refuse(&s, text, e);
	*ret_n = n;
	return 0;
}

bool json_scan_key_is(const struct json_member *m, const char *key)
{
	return m->key.len == strlen(key) && memcmp(m->key.data, key, m->key.len) == 0;
}

static size_t utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t json_scan_unescape(struct json_text string, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = string.data, *end = at + string.len, *plain;
	size_t n = 0;
	while ((plain = memchr(at, '\\', (size_t)(end - at)))) {
		memmove(out + n, at, (size_t)(plain - at));
		n += (size_t)(plain - at);
		char c = plain[1];
		at = plain + 2;
		if (c != 'u') {
			out[n++] = to[strchr(from, c) - from];
			continue;
		}
		uint32_t v = (uint32_t)hex4(at, end);
		at += 4;
		if (v >= 0xd800 && v <= 0xdbff) {
			v = 0x10000 + ((v - 0xd800) << 10) + ((uint32_t)hex4(at + 2, end) - 0xdc00);
			at += 6;
		}
		n += utf8_put(v, out + n);
	}
	memmove(out + n, at, (size_t)(end - at));
	return n + (size_t)(end - at);
}
