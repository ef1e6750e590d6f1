/* Words of a line, and pieces of texts. */
#include "tests/queue/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/parse.h"

const char *text_path = "";
unsigned text_line;

void wrong(const char *fmt, ...)
{
	va_list ap;
	printf("# %s:%u: ", text_path, text_line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(2);
}

char *trimmed(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	for (size_t n = strlen(s); n && strchr(" \t\r\n", s[n - 1]);)
		s[--n] = 0;
	return s;
}

/* --- words --- */

static char unescaped(const char **s)
{
	static const char plain[] = "nt\"\\", meaning[] = "\n\t\"\\";
	if (**s != '\\')
		return *(*s)++;
	const char *at = strchr(plain, (*s)[1]);
	if (!(*s)[1] || !at)
		wrong("\\%c in a text is not known", (*s)[1]);
	*s += 2;
	return meaning[at - plain];
}

/* A quoted text, from behind its first quote to behind its last. */
static char *read_quoted(struct arena *a, const char **s)
{
	char *out = arena_alloc(a, strlen(*s) + 1);
	size_t n = 0;
	MUST(out);
	while (**s && **s != '"')
		out[n++] = unescaped(s);
	if (*(*s)++ != '"')
		wrong("a text is not closed");
	out[n] = 0;
	return out;
}

static char *read_bare(struct arena *a, const char **s, const char *ends)
{
	size_t n = strcspn(*s, ends);
	char *out = arena_copy(a, *s, n + 1);
	MUST(out);
	out[n] = 0;
	*s += n;
	return out;
}

void words_read(struct words *w, struct arena *a, const char *line)
{
	*w = (struct words){ .arena = a };
	for (const char *s = line; *(s += strspn(s, " \t"));) {
		if (w->n == WORDS_MAX)
			wrong("a line of more than %u words", WORDS_MAX);
		struct word *x = &w->all[w->n++];
		if ((x->quoted = *s == '"')) {
			s++;
			x->text = read_quoted(a, &s);
			continue;
		}
		x->text = read_bare(a, &s, " \t=\"");
		if (*s == '"')
			wrong("a quote inside of %s", x->text);
		if (*s != '=')
			continue;
		s++;
		if (*s == '"') {
			s++;
			x->value = read_quoted(a, &s);
		} else {
			x->value = read_bare(a, &s, " \t");
		}
	}
}

const char *word_first(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->all[i].taken && !w->all[i].quoted && !w->all[i].value) {
			w->all[i].taken = true;
			return w->all[i].text;
		}
	return NULL;
}

const char *word_need(struct words *w, const char *what)
{
	const char *s = word_first(w);
	if (!s)
		wrong("%s is missing", what);
	return s;
}

const char *word_quoted(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->all[i].taken && w->all[i].quoted) {
			w->all[i].taken = true;
			return w->all[i].text;
		}
	return NULL;
}

const char *word_value(struct words *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->all[i].taken && w->all[i].value && strcmp(w->all[i].text, name) == 0) {
			w->all[i].taken = true;
			return w->all[i].value;
		}
	return NULL;
}

static struct word *bare(struct words *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->all[i].taken && !w->all[i].quoted && !w->all[i].value && strcmp(w->all[i].text, name) == 0)
			return &w->all[i];
	return NULL;
}

bool word_flag(struct words *w, const char *name)
{
	struct word *x = bare(w, name);
	if (x)
		x->taken = true;
	return x != NULL;
}

const char *word_after(struct words *w, const char *name)
{
	struct word *x = bare(w, name);
	if (!x)
		return NULL;
	if (x + 1 == w->all + w->n || x[1].quoted || x[1].value || x[1].taken)
		wrong("what comes behind %s?", name);
	x->taken = x[1].taken = true;
	return x[1].text;
}

void words_end(const struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->all[i].taken)
			wrong("what is %s%s%s here?", w->all[i].text, w->all[i].value ? "=" : "", w->all[i].value ? w->all[i].value : "");
}

/* --- pieces --- */

/* Where a scan over a line is. */
struct scan { bool quoted; unsigned depth; };

static bool scan_outside(struct scan *c, const char **s)
{
	if (c->quoted) {
		if (**s == '\\' && (*s)[1])
			++*s;
		else if (**s == '"')
			c->quoted = false;
		return false;
	}
	c->quoted = **s == '"';
	c->depth += **s == '{' || **s == '[';
	if ((**s == '}' || **s == ']') && c->depth) {
		c->depth--;
		return false;
	}
	return !c->quoted && !c->depth;
}

char *text_find(char *s, const char *mark)
{
	struct scan c = { 0 };
	for (const char *at = s; *at; at++)
		if (scan_outside(&c, &at) && strncmp(at, mark, strlen(mark)) == 0)
			return s + (at - s);
	return NULL;
}

size_t text_split(char *s, char separator, char **ret, size_t room)
{
	size_t n = 0;
	const char mark[] = { separator, 0 };
	for (char *next = s; next && *trimmed(s); s = next) {
		next = text_find(s, mark);
		if (next)
			*next++ = 0;
		if (n == room)
			wrong("more than %zu pieces", room);
		ret[n++] = trimmed(s);
		if (!next)
			break;
	}
	return n;
}

static size_t add_range(struct arena *a, const char *from, const char *dots, char **ret, size_t room)
{
	size_t stem = (size_t)(dots - from), n = 0;
	while (stem && from[stem - 1] >= '0' && from[stem - 1] <= '9')
		stem--;
	if (strncmp(dots + 2, from, stem) != 0)
		wrong("%s is no range: write t1..t9", from);
	for (uint64_t i = value_number(arena_printf(a, "%.*s", (int)(dots - from - (ptrdiff_t)stem), from + stem)), last = value_number(dots + 2 + stem); i <= last; i++) {
		if (n == room)
			wrong("too many names");
		MUST((ret[n++] = arena_printf(a, "%.*s%llu", (int)stem, from, (unsigned long long)i)));
	}
	return n;
}

size_t text_names(struct arena *a, const char *list, char **ret, size_t room)
{
	char *copy = arena_string(a, list);
	size_t n = 0;
	MUST(copy);
	for (char *one; (one = strsep(&copy, ","));) {
		const char *dots = strstr(one, "..");
		if (dots) {
			n += add_range(a, one, dots, ret + n, room - n);
			continue;
		}
		if (!*one || n == room)
			wrong("\"%s\" is no list of names", list);
		ret[n++] = one;
	}
	return n;
}

/* --- values --- */

uint64_t value_number(const char *s)
{
	uint64_t v;
	struct error e;
	if (parse_number(s, 0, UINT64_MAX, &v, &e))
		wrong("%s", e.text);
	return v;
}

uint64_t value_ms(const char *s)
{
	uint64_t v;
	struct error e;
	if (parse_duration(s, &v, &e))
		wrong("%s", e.text);
	return v;
}

uint64_t value_bytes(const char *s)
{
	uint64_t v;
	struct error e;
	if (parse_size(s, &v, &e))
		wrong("%s", e.text);
	return v;
}

int value_word(const char *s, const char *const *names, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], s) == 0)
			return (int)i;
	const char *near = suggest(s, names, n);
	wrong("%s is no %s%s%s", s, what, near ? ": did you mean " : "", near ? near : "");
}

bool text_fits(const char *expected, const char *seen)
{
	for (const char *dots; (dots = strstr(expected, "..."));) {
		size_t n = (size_t)(dots - expected);
		if (strncmp(expected, seen, n) != 0)
			return false;
		expected = dots + 3;
		seen += n;
		if (!*expected)
			return true;
		/* The piece up to the next dots, at its first place; the last piece must end the text. */
		const char *more = strstr(expected, "...");
		n = more ? (size_t)(more - expected) : strlen(expected);
		for (; *seen && (strncmp(seen, expected, n) != 0 || (!more && seen[n])); seen++)
			;
		if (!*seen)
			return false;
	}
	return strcmp(expected, seen) == 0;
}
