#include "common/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/parse.h"

#define LINE_MAX_BYTES 4096
#define LINE_TAIL 32 /* kept free for closing quotes, the mark of a cut line, and the newline */

static struct {
	char actor[192];
	enum log_format format;
	enum log_level least;
	int fd;
	bool journal;
} logger = { .least = LOG_INFO, .fd = STDERR_FILENO };

/* A line under construction. Once something did not fit, nothing more is added. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	bool cut;
};

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* systemd names the socket behind stderr in JOURNAL_STREAM, as "device:inode", because the variable outlives a redirection. */
static bool fd_is_journal(int fd)
{
	const char *env = getenv("JOURNAL_STREAM");
	struct stat st;
	uintmax_t device, inode;
	return env && sscanf(env, "%ju:%ju", &device, &inode) == 2 && fstat(fd, &st) == 0 && st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

void log_setup(const char *actor, enum log_format format, enum log_level least, int fd)
{
	snprintf(logger.actor, sizeof(logger.actor), "%s", actor ? actor : "");
	logger.format = format;
	logger.least = least;
	logger.fd = fd;
	logger.journal = fd_is_journal(fd);
}

int log_level_parse(const char *s, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (!strcmp(s, level_names[i])) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return ERROR_BAD_REQUEST;
}

int log_format_parse(const char *s, enum log_format *ret)
{
	if (!strcmp(s, "logfmt"))
		*ret = LOG_LOGFMT;
	else if (!strcmp(s, "json"))
		*ret = LOG_JSON;
	else
		return ERROR_BAD_REQUEST;
	return 0;
}

static bool line_add(struct line *l, const char *s, size_t n)
{
	if (l->cut || l->len + n > LINE_MAX_BYTES - LINE_TAIL) {
		l->cut = true;
		return false;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
	return true;
}

static bool line_puts(struct line *l, const char *s)
{
	return line_add(l, s, strlen(s));
}

/* Goes into the tail, which line_add never uses. */
static void line_close(struct line *l, const char *s)
{
	size_t n = strlen(s);
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/* Length of the valid UTF-8 sequence at s, 0 where there is none. s ends in NUL, which no sequence contains. */
static size_t utf8_length(const char *s)
{
	for (size_t n = 1; n <= 4 && s[n - 1]; n++)
		if (utf8_valid((const uint8_t *)s, n))
			return n;
	return 0;
}

/* What may not reach a terminal: C1 controls, the line and paragraph separators, and the marks that turn the direction of writing. */
static bool utf8_deceives(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	if (n == 2)
		return u[0] == 0xc2 && u[1] < 0xa0;
	if (n == 3 && u[0] == 0xe2)
		return (u[1] == 0x80 && u[2] >= 0xa8 && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
	return false;
}

static void line_escape_byte(struct line *l, unsigned char c)
{
	char text[8];
	switch (c) {
	case '\n':
		line_puts(l, "\\n");
		return;
	case '\r':
		line_puts(l, "\\r");
		return;
	case '\t':
		line_puts(l, "\\t");
		return;
	case '"':
		line_puts(l, "\\\"");
		return;
	case '\\':
		line_puts(l, "\\\\");
		return;
	}
	/* JSON has no escape for a byte: one that is no UTF-8 becomes the replacement character. */
	if (logger.format == LOG_JSON && c >= 0x80)
		snprintf(text, sizeof(text), "\\ufffd");
	else
		snprintf(text, sizeof(text), logger.format == LOG_JSON ? "\\u%04x" : "\\x%02x", c);
	line_puts(l, text);
}

static void line_escape(struct line *l, const char *s)
{
	while (*s && !l->cut) {
		unsigned char c = (unsigned char)*s;
		size_t n = c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? 1 : c >= 0x80 ? utf8_length(s) : 0;
		if (n == 0 || (n > 1 && utf8_deceives(s, n))) {
			/* All bytes of a sequence that deceives, so that its rest is not read as broken UTF-8 of its own. */
			for (size_t i = 0; i < (n ? n : 1); i++)
				line_escape_byte(l, (unsigned char)s[i]);
			s += n ? n : 1;
		} else {
			line_add(l, s, n);
			s += n;
		}
	}
}

/* logfmt: bare where a reader cannot mistake it. */
static bool value_is_plain(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || strchr("-_.:/@+%,~", *s)))
			return false;
	return true;
}

static void line_quote(struct line *l, const char *s)
{
	if (!line_puts(l, "\""))
		return;
	line_escape(l, s);
	line_close(l, "\"");
}

/* Nothing of a field is written where its key does not fit. */
static bool line_key(struct line *l, const char *key)
{
	size_t start = l->len;
	bool json = logger.format == LOG_JSON;
	bool fits = start == 0 || l->text[start - 1] == '{' || line_puts(l, json ? "," : " ");
	if (logger.journal && start == 3 && !json) /* behind "<N>" */
		l->len = start;
	fits = fits && (!json || line_puts(l, "\"")) && line_puts(l, key) && line_puts(l, json ? "\":" : "=");
	/* room for two quotes, or a number */
	if (!fits || l->len + 24 > LINE_MAX_BYTES - LINE_TAIL) {
		l->len = start;
		l->cut = true;
		return false;
	}
	return true;
}

static void line_string(struct line *l, const char *key, const char *value)
{
	if (!line_key(l, key))
		return;
	if (!value)
		value = "";
	if (logger.format == LOG_LOGFMT && value_is_plain(value))
		line_escape(l, value);
	else
		line_quote(l, value);
}

static void line_field(struct line *l, const struct log_field *f)
{
	char text[24];
	switch (f->kind) {
	case 'u':
		snprintf(text, sizeof(text), "%" PRIu64, f->v.u);
		break;
	case 'i':
		snprintf(text, sizeof(text), "%" PRId64, f->v.i);
		break;
	default:
		line_string(l, f->key, f->v.s);
		return;
	}
	if (line_key(l, f->key))
		line_puts(l, text);
}

void log_event(enum log_level level, const char *msg, const struct log_field *fields, unsigned n_fields)
{
	static const int priorities[] = { 7, 6, 4, 3 }; /* syslog(3)'s */

	if (level < logger.least)
		return;
	int saved = errno;
	bool json = logger.format == LOG_JSON;
	struct line l;
	l.len = 0;
	l.cut = false;

	if (logger.journal) {
		char prefix[8];
		snprintf(prefix, sizeof(prefix), "<%d>", priorities[level]);
		line_puts(&l, prefix);
	}
	if (json)
		line_puts(&l, "{");
	if (!logger.journal) {
		char ts[25];
		clock_format(clock_wall_ms(), ts);
		line_string(&l, "ts", ts);
	}
	line_string(&l, "level", level_names[level]);
	if (logger.actor[0])
		line_string(&l, "actor", logger.actor);
	line_string(&l, "msg", msg);
	for (unsigned i = 0; i < n_fields && !l.cut; i++)
		line_field(&l, &fields[i]);

	if (l.cut)
		line_close(&l, json ? ",\"cut\":true" : " cut=true");
	line_close(&l, json ? "}\n" : "\n");

	/* One write, so that lines of several processes on one pipe do not mix. What cannot be written is lost: there is nobody to tell. */
	while (write(logger.fd, l.text, l.len) < 0 && errno == EINTR)
		;
	errno = saved;
}
