#include "common/work/lines.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/work/json_scan.h"
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/base64.h"

#define MEMBERS_MAX 32
#define NUMBER_MAX 40

/* --- from the program --- */

struct line {
	struct json_member members[MEMBERS_MAX];
	size_t n;
};

static const char *const kind_keys[] = { [PROGRAM_HELLO] = "hello", [PROGRAM_DONE] = "done", [PROGRAM_FAIL] = "fail", [PROGRAM_PROGRESS] = "progress", [PROGRAM_BEAT] = "beat" };

/* The one member of that name; NULL where there is none. Twice: ERROR_BAD_REQUEST. */
static int member_find(const struct line *l, const char *key, const struct json_member **ret, struct error *e)
{
	*ret = NULL;
	for (size_t i = 0; i < l->n; i++) {
		if (!json_scan_key_is(&l->members[i], key))
			continue;
		if (*ret)
			return error_set(e, ERROR_BAD_REQUEST, "\"%s\" twice", key);
		*ret = &l->members[i];
	}
	return 0;
}

static int wrong_type(const char *key, const char *wanted, struct error *e)
{
	return error_set(e, ERROR_BAD_REQUEST, "\"%s\" is no %s", key, wanted);
}

/* A number rounded to the nearest integer in [0, most]. Absent: *ret stays. */
static int read_number(const struct line *l, const char *key, uint64_t most, uint64_t *ret, struct error *e)
{
	const struct json_member *m;
	char text[NUMBER_MAX + 1];
	int r = member_find(l, key, &m, e);
	if (r || !m)
		return r;
	if (m->kind != JSON_KIND_NUMBER || m->value.len > NUMBER_MAX)
		return wrong_type(key, "number", e);
	memcpy(text, m->value.data, m->value.len);
	text[m->value.len] = '\0';
	double v = strtod(text, NULL);
	if (!(v >= 0 && v <= (double)most))
		return error_set(e, ERROR_BAD_REQUEST, "\"%s\": %s is not within 0 and %llu", key, text, (unsigned long long)most);
	*ret = (uint64_t)llround(v);
	return 0;
}

static int read_bool(const struct line *l, const char *key, bool *ret, struct error *e)
{
	const struct json_member *m;
	int r = member_find(l, key, &m, e);
	if (r || !m)
		return r;
	if (m->kind != JSON_KIND_TRUE && m->kind != JSON_KIND_FALSE)
		return wrong_type(key, "boolean", e);
	*ret = m->kind == JSON_KIND_TRUE;
	return 0;
}

/* A string for people, cut to PROGRAM_TEXT_MAX and made one line of UTF-8. Absent, or null: "". */
static int read_text(const struct line *l, const char *key, char out[static PROGRAM_TEXT_MAX + 1], struct error *e)
{
	const struct json_member *m;
	int r = member_find(l, key, &m, e);
	out[0] = '\0';
	if (r || !m || m->kind == JSON_KIND_NULL)
		return r;
	if (m->kind != JSON_KIND_STRING)
		return wrong_type(key, "string", e);
	char *text = (char *)m->value.data;
	program_text(out, text, json_scan_unescape(m->value, text));
	return 0;
}

static int read_id(const struct json_member *m, struct id *ret, struct error *e)
{
	char text[ID_TEXT];
	if (m->kind != JSON_KIND_STRING || m->value.len != ID_TEXT - 1)
		return error_set(e, ERROR_BAD_REQUEST, "\"%.*s\" names no task", (int)m->key.len, m->key.data);
	memcpy(text, m->value.data, ID_TEXT - 1);
	text[ID_TEXT - 1] = '\0';
	return id_parse(text, ret, e);
}

/* "after": a duration ("30s"), or seconds as a number. */
static int read_after(const struct line *l, uint64_t *ret_ms, struct error *e)
{
	const struct json_member *m;
	char text[NUMBER_MAX + 1];
	int r = member_find(l, "after", &m, e);
	*ret_ms = 0;
	if (r || !m || m->kind == JSON_KIND_NULL)
		return r;
	if ((m->kind != JSON_KIND_STRING && m->kind != JSON_KIND_NUMBER) || m->value.len > NUMBER_MAX)
		return wrong_type("after", "duration", e);
	memcpy(text, m->value.data, m->value.len);
	text[m->value.len] = '\0';
	return parse_duration(text, ret_ms, e);
}

static int read_hello(const struct line *l, struct program_message *ret, struct error *e)
{
	uint64_t version = 0, max = 1;
	int r = read_number(l, "hello", UINT32_MAX, &version, e);
	if (!r && version != PROGRAM_VERSION)
		return error_set(e, ERROR_VERSION, "the program speaks version %llu of the lines protocol, this worker version %d", (unsigned long long)version,
		                 PROGRAM_VERSION);
	if (!r)
		r = read_number(l, "max", PROGRAM_MAX_TASKS, &max, e);
	if (r)
		return r;
	if (!max)
		return error_set(e, ERROR_BAD_REQUEST, "\"max\" is 0");
	ret->max = (uint32_t)max;
	return 0;
}

static int read_result(const struct line *l, struct program_message *ret, struct error *e)
{
	const struct json_member *m, *b64;
	int r = member_find(l, "result", &m, e);
	if (!r)
		r = member_find(l, "result_b64", &b64, e);
	if (r)
		return r;
	ret->result = "";
	ret->result_len = 0;
	if (m && b64)
		return error_set(e, ERROR_BAD_REQUEST, "both \"result\" and \"result_b64\"");
	if (m) {
		ret->result = m->value.data;
		ret->result_len = m->kind == JSON_KIND_STRING ? json_scan_unescape(m->value, (char *)m->value.data) : m->value.len;
	} else if (b64) {
		char *text = (char *)b64->value.data;
		size_t n = b64->kind == JSON_KIND_STRING ? json_scan_unescape(b64->value, text) : 0;
		if (b64->kind != JSON_KIND_STRING || !base64_decode(text, n, (uint8_t *)text, &ret->result_len))
			return wrong_type("result_b64", "base 64", e);
		ret->result = text;
	}
	return 0;
}

static int read_fail(const struct line *l, struct program_message *ret, struct error *e)
{
	ret->retry = true;
	int r = read_bool(l, "retry", &ret->retry, e);
	if (!r)
		r = read_after(l, &ret->after_ms, e);
	return r ? r : read_text(l, "error", ret->text, e);
}

static int read_progress(const struct line *l, struct program_message *ret, struct error *e)
{
	uint64_t percent = 0;
	int r = read_number(l, "pct", 100, &percent, e);
	ret->percent = (uint32_t)percent;
	return r ? r : read_text(l, "note", ret->text, e);
}

/* The member that says what kind of line this is: exactly one. */
static int find_kind(const struct line *l, enum program_kind *ret_kind, const struct json_member **ret, struct error *e)
{
	*ret = NULL;
	for (size_t k = 0; k < ELEMENTS(kind_keys); k++) {
		const struct json_member *m;
		int r = member_find(l, kind_keys[k], &m, e);
		if (r)
			return r;
		if (!m)
			continue;
		if (*ret)
			return error_set(e, ERROR_BAD_REQUEST, "both \"%s\" and \"%s\"", kind_keys[*ret_kind], kind_keys[k]);
		*ret = m;
		*ret_kind = (enum program_kind)k;
	}
	return *ret ? 0 : error_set(e, ERROR_BAD_REQUEST, "neither hello, done, fail, progress nor beat");
}

int lines_read(char *line, size_t len, struct program_message *ret, struct error *e)
{
	struct line l;
	const struct json_member *m;
	int r = json_scan_object(line, len, l.members, MEMBERS_MAX, &l.n, e);
	if (r)
		return r > 0 ? error_set(e, ERROR_BAD_REQUEST, "not one JSON object of at most %d members", MEMBERS_MAX) : r;
	if ((r = find_kind(&l, &ret->kind, &m, e)))
		return r;
	switch (ret->kind) {
	case PROGRAM_HELLO:
		return read_hello(&l, ret, e);
	case PROGRAM_DONE:
		r = read_id(m, &ret->id, e);
		return r ? r : read_result(&l, ret, e);
	case PROGRAM_FAIL:
		r = read_id(m, &ret->id, e);
		return r ? r : read_fail(&l, ret, e);
	case PROGRAM_PROGRESS:
		r = read_id(m, &ret->id, e);
		return r ? r : read_progress(&l, ret, e);
	case PROGRAM_BEAT:
		return 0;
	}
	return ERROR_BAD_REQUEST;
}

/* --- from the pipe --- */

static enum program_heard stray(struct program_reader *r, const char *line, size_t len)
{
	r->stray = line;
	r->stray_len = len;
	return PROGRAM_STRAY;
}

static enum program_heard heard(struct program_reader *r, char *line, size_t len, struct program_message *ret, struct error *e)
{
	switch (lines_read(line, len, ret, e)) {
	case 0:
		return PROGRAM_MESSAGE;
	case ERROR_VERSION:
		stray(r, line, len);
		return PROGRAM_OTHER_VERSION;
	default:
		return stray(r, line, len);
	}
}

static enum program_heard too_long(struct program_reader *r, const char *line, size_t len, struct error *e)
{
	error_set(e, ERROR_TOO_LARGE, "a line that is too long");
	return stray(r, line, len);
}

/* A line without an end that is too long already: its start is stray, the rest is passed over in silence. */
static enum program_heard skip(struct program_reader *r, struct error *e)
{
	struct buffer *b = &r->in;
	const char *line = b->data + b->from;
	size_t len = steal(&r->looked_at);
	bool told = r->skipping;
	r->skipping = true;
	buffer_take(b, len);
	return told ? PROGRAM_NOTHING : too_long(r, line, len, e);
}

static enum program_heard next(struct program_reader *r, struct program_message *ret, struct error *e)
{
	struct buffer *b = &r->in;
	while (buffer_len(b)) {
		char *line = b->data + b->from, *at = memchr(line + r->looked_at, '\n', buffer_len(b) - r->looked_at);
		if (!at)
			break;
		size_t len = (size_t)(at - line);
		buffer_take(b, len + 1);
		r->looked_at = 0;
		if (steal(&r->skipping))
			continue;
		if (len && line[len - 1] == '\r')
			len--;
		if (len)
			return len > r->message_max ? too_long(r, line, len, e) : heard(r, line, len, ret, e);
	}
	r->looked_at = buffer_len(b);
	return r->looked_at > r->message_max ? skip(r, e) : PROGRAM_NOTHING;
}

/* --- to the program --- */

/* These write behind b->to, for which their callers have reserved room. */
static void put(struct buffer *b, const char *text, size_t len)
{
	memcpy(b->data + b->to, text, len);
	b->to += len;
}
#define PUT(b, literal) put((b), (literal), sizeof(literal) - 1)

static void put_number(struct buffer *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	put(b, digits + at, sizeof(digits) - at);
}

#define ESCAPED_MAX 6 /* bytes of JSON for one byte: \u001f */

static void put_escaped(struct buffer *b, const char *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *out = b->data + b->to;
	*out++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\') {
			*out++ = (char)c;
			continue;
		}
		*out++ = '\\';
		switch (c) {
		case '"':
		case '\\':
			*out++ = (char)c;
			break;
		case '\n':
			*out++ = 'n';
			break;
		case '\t':
			*out++ = 't';
			break;
		case '\r':
			*out++ = 'r';
			break;
		default:
			memcpy(out, "u00", 3);
			out[3] = digits[c >> 4];
			out[4] = digits[c & 15];
			out += 5;
			break;
		}
	}
	*out++ = '"';
	b->to = (size_t)(out - b->data);
}

static void put_id(struct buffer *b, const struct id *id)
{
	char text[ID_TEXT];
	id_format(id, text);
	put_escaped(b, text, ID_TEXT - 1);
}

/* JSON on one line: what white space there is outside of strings may as well be blanks, and inside of them there is no newline. */
static void put_inline(struct buffer *b, const char *text, size_t len)
{
	char *out = b->data + b->to;
	for (size_t i = 0; i < len; i++)
		out[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
	b->to += len;
}

static bool is_json(const struct program_task *t)
{
	size_t n = strlen("application/json");
	return strncmp(t->content_type, "application/json", n) == 0 && (t->content_type[n] == '\0' || t->content_type[n] == ';') &&
	       json_scan_valid((const char *)t->payload, t->payload_len);
}

static void put_payload(struct buffer *b, const struct program_task *t)
{
	const char *text = (const char *)t->payload;
	if (t->payload_file) {
		PUT(b, ",\"payload_file\":");
		put_escaped(b, t->payload_file, strlen(t->payload_file));
	} else if (is_json(t)) {
		PUT(b, ",\"payload\":");
		put_inline(b, text, t->payload_len);
	} else if (utf8_valid(t->payload, t->payload_len)) {
		PUT(b, ",\"payload\":");
		put_escaped(b, text, t->payload_len);
	} else {
		PUT(b, ",\"payload_b64\":\"");
		base64_encode(t->payload, t->payload_len, b->data + b->to);
		b->to += BASE64_SIZE(t->payload_len);
		PUT(b, "\"");
	}
}

static size_t task_room(const struct program_task *t)
{
	size_t text = t->payload_len + strlen(t->queue) + strlen(t->traceparent) + (t->payload_file ? strlen(t->payload_file) : 0) + 8;
	for (size_t i = 0; i < t->n_tags; i++)
		text += strlen(t->tags[i]) + 1;
	return 512 + ESCAPED_MAX * text;
}

static int write_task(struct buffer *b, const struct program_task *t)
{
	int r = buffer_reserve(b, task_room(t));
	if (r)
		return r;
	PUT(b, "{\"task\":");
	put_id(b, &t->id);
	PUT(b, ",\"token\":");
	put_number(b, t->token);
	PUT(b, ",\"queue\":");
	put_escaped(b, t->queue, strlen(t->queue));
	put_payload(b, t);
	PUT(b, ",\"attempt\":");
	put_number(b, t->attempt);
	PUT(b, ",\"max_attempts\":");
	put_number(b, t->max_attempts);
	if (t->deadline_ms) {
		PUT(b, ",\"deadline_ms\":");
		put_number(b, t->deadline_ms);
	}
	for (size_t i = 0; i < t->n_tags; i++) {
		put(b, i ? "," : ",\"tags\":[", i ? 1 : 9);
		put_escaped(b, t->tags[i], strlen(t->tags[i]));
	}
	if (t->n_tags)
		PUT(b, "]");
	if (*t->traceparent) {
		PUT(b, ",\"traceparent\":");
		put_escaped(b, t->traceparent, strlen(t->traceparent));
	}
	PUT(b, "}\n");
	return 0;
}

static int write_cancel(struct buffer *b, const struct id *id)
{
	int r = buffer_reserve(b, 64);
	if (r)
		return r;
	PUT(b, "{\"cancel\":");
	put_id(b, id);
	PUT(b, "}\n");
	return 0;
}

static int write_quit(struct buffer *b)
{
	int r = buffer_reserve(b, 32);
	if (!r)
		PUT(b, "{\"quit\":\"drain\"}\n");
	return r;
}

const struct program_codec lines_codec = { .mode = "lines", .write_task = write_task, .write_cancel = write_cancel, .write_quit = write_quit, .next = next };
