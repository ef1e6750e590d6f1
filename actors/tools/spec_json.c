/* One task as a JSON object. */
#include "actors/tools/spec_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/base/sha256.h"

static const char *const members[] = { "payload", "payload_base64", "payload_file", "payload_sha256", "payload_size", "queue", "priority", "delay", "run_at", "unique", "unique_mode", "argv", "timeout", "deadline",
	                               "max_attempts", "retry", "require", "resources", "serial", "after", "hold", "content_type" };

int unique_mode_parse(const char *s, Troupe__UniqueMode *ret, struct error *e)
{
	static const char *const names[] = { "reject", "return", "replace" };
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(names[i], s) == 0) {
			*ret = (Troupe__UniqueMode)i;
			return 0;
		}
	return error_set(e, ERROR_BAD_REQUEST, "'%.40s' is no unique mode: reject, return or replace", s);
}

int date_parse(const char *s, uint64_t *ret_ms, struct error *e)
{
	struct tm tm = { 0 };
	int ms = 0, scale = 100, offset_min = 0;
	const char *p = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!p)
		goto bad;
	if (*p == '.') {
		if (p[1] < '0' || p[1] > '9')
			goto bad;
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == '+' || *p == '-') {
		int h, m, used = 0;
		if (sscanf(p + 1, "%2d:%2d%n", &h, &m, &used) != 2 || used != 5 || h > 23 || m > 59 || h < 0 || m < 0)
			goto bad;
		offset_min = (*p == '-' ? -1 : 1) * (h * 60 + m);
		p += 1 + used;
	} else if (*p == 'Z') {
		p++;
	} else {
		goto bad;
	}
	if (*p)
		goto bad;
	time_t seconds = timegm(&tm) - (time_t)offset_min * 60;
	if (seconds <= 0)
		goto bad;
	*ret_ms = (uint64_t)seconds * 1000 + (uint64_t)ms;
	return 0;
bad:
	return error_set(e, ERROR_BAD_REQUEST, "'%.40s' is no date: write it as 2026-11-20T09:30:00Z", s);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static int base64_read(const char *s, struct arena *a, ProtobufCBinaryData *ret, struct error *e)
{
	size_t len = strlen(s);
	while (len && s[len - 1] == '=')
		len--;
	uint8_t *out = arena_alloc(a, len * 3 / 4 + 1);
	if (!out)
		return -ENOMEM;
	uint32_t bits = 0;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		int v = base64_value(s[i]);
		if (v < 0)
			return error_set(e, ERROR_BAD_REQUEST, "payload_base64 has a character that is not base64 at %zu", i + 1);
		bits = bits << 6 | (uint32_t)v;
		if (i % 4)
			out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	*ret = (ProtobufCBinaryData){ .len = n, .data = out };
	return 0;
}

int spec_text(const json_t *j, const char *key, const char **ret, struct error *e)
{
	const json_t *v = json_object_get(j, key);
	if (!v)
		return 0;
	if (!json_is_string(v))
		return error_set(e, ERROR_BAD_REQUEST, "%s must be a string", key);
	*ret = json_string_value(v);
	return 0;
}

/* A duration as text, or as a number of seconds. */
static int duration_of(const json_t *j, const char *key, uint64_t *ret, struct error *e)
{
	const json_t *v = json_object_get(j, key);
	if (!v)
		return 0;
	if (json_is_number(v) && json_number_value(v) >= 0 && json_number_value(v) <= 315360000.0) {
		*ret = (uint64_t)(json_number_value(v) * 1000);
		return 0;
	}
	if (!json_is_string(v))
		return error_set(e, ERROR_BAD_REQUEST, "%s must be a duration: \"90s\", or a number of seconds", key);
	return parse_duration(json_string_value(v), ret, e);
}

/* A payload that the node has already, as an export names it. */
static int read_blob(const json_t *j, const char *hash, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *size = json_object_get(j, "payload_size");
	uint8_t sha256[SHA256_BYTES];
	if (!sha256_parse(hash, sha256))
		return error_set(e, ERROR_BAD_REQUEST, "payload_sha256 must be 64 hexadecimal digits in lower case");
	if (!json_is_integer(size) || json_integer_value(size) <= 0)
		return error_set(e, ERROR_BAD_REQUEST, "payload_sha256 needs payload_size, in bytes");
	if (!(t->blob = arena_alloc(a, sizeof *t->blob)))
		return -ENOMEM;
	troupe__blob_ref__init(t->blob);
	t->blob->size = (uint64_t)json_integer_value(size);
	t->blob->sha256 = (ProtobufCBinaryData){ sizeof sha256, arena_copy(a, sha256, sizeof sha256) };
	return t->blob->sha256.data ? 0 : -ENOMEM;
}

static int read_payload(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *v = json_object_get(j, "payload");
	const char *encoded = NULL, *file = NULL, *hash = NULL;
	int code = spec_text(j, "payload_base64", &encoded, e);
	code = code ? code : spec_text(j, "payload_file", &file, e);
	code = code ? code : spec_text(j, "payload_sha256", &hash, e);
	if (code != 0)
		return code;
	if ((v != NULL) + (encoded != NULL) + (file != NULL) + (hash != NULL) > 1)
		return error_set(e, ERROR_BAD_REQUEST, "payload, payload_base64, payload_file and payload_sha256 exclude each other");
	if (encoded)
		return base64_read(encoded, a, &t->payload, e);
	if (hash)
		return read_blob(j, hash, a, t, e);
	if (file)
		return c->read_file ? c->read_file(c->file_ctx, file, a, t, e) : error_set(e, ERROR_BAD_REQUEST, "a line cannot name a file here");
	if (!v)
		return 0;
	if (json_is_string(v)) {
		t->payload.len = json_string_length(v);
		t->payload.data = arena_copy(a, json_string_value(v), t->payload.len);
		return t->payload.data || !t->payload.len ? 0 : -ENOMEM;
	}
	_cleanup_(freep) char *text = json_dumps(v, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
	if (!text)
		return -ENOMEM;
	t->payload.len = strlen(text);
	t->payload.data = arena_copy(a, text, t->payload.len);
	t->content_type = arena_string(a, "application/json");
	return t->payload.data && t->content_type ? 0 : -ENOMEM;
}

static int read_argv(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *v = json_object_get(j, "argv"), *word;
	size_t i;
	if (!v)
		return 0;
	if (!json_is_array(v) || json_array_size(v) == 0)
		return error_set(e, ERROR_BAD_REQUEST, "argv must be an array of strings, and not empty");
	t->argv = arena_zalloc(a, json_array_size(v) * sizeof *t->argv);
	if (!t->argv)
		return -ENOMEM;
	json_array_foreach(v, i, word) {
		if (!json_is_string(word))
			return error_set(e, ERROR_BAD_REQUEST, "argv must be an array of strings");
		t->argv[i].len = json_string_length(word);
		t->argv[i].data = arena_copy(a, json_string_value(word), t->argv[i].len + 1);
		if (!t->argv[i].data)
			return -ENOMEM;
	}
	t->n_argv = json_array_size(v);
	return 0;
}

static int read_tags(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *v = json_object_get(j, "require"), *word;
	size_t i;
	if (!v)
		return 0;
	if (!json_is_array(v))
		return error_set(e, ERROR_BAD_REQUEST, "require must be an array of strings");
	t->tags = arena_zalloc(a, (json_array_size(v) + 1) * sizeof *t->tags);
	if (!t->tags)
		return -ENOMEM;
	json_array_foreach(v, i, word) {
		if (!json_is_string(word))
			return error_set(e, ERROR_BAD_REQUEST, "require must be an array of strings");
		t->tags[i] = arena_string(a, json_string_value(word));
		if (!t->tags[i])
			return -ENOMEM;
	}
	t->n_tags = json_array_size(v);
	return 0;
}

static int read_priority(const json_t *j, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const json_t *v = json_object_get(j, "priority");
	char text[32];
	if (!v)
		return 0;
	t->priority = arena_alloc(a, sizeof *t->priority);
	if (!t->priority)
		return -ENOMEM;
	troupe__level__init(t->priority);
	snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
	if (!json_is_string(v) && !json_is_integer(v))
		return error_set(e, ERROR_BAD_REQUEST, "priority must be a name or a number");
	return parse_priority(json_is_string(v) ? json_string_value(v) : text, &t->priority->value, e);
}

static int read_texts(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const char *queue = c->queue, *unique = NULL, *serial = NULL, *mode = NULL, *type = NULL, *run_at = NULL;
	int code = spec_text(j, "queue", &queue, e);
	code = code ? code : spec_text(j, "unique", &unique, e);
	code = code ? code : spec_text(j, "serial", &serial, e);
	code = code ? code : spec_text(j, "unique_mode", &mode, e);
	code = code ? code : spec_text(j, "content_type", &type, e);
	code = code ? code : spec_text(j, "run_at", &run_at, e);
	code = code ? code : mode ? unique_mode_parse(mode, &t->unique_mode, e) : 0;
	code = code ? code : run_at ? date_parse(run_at, &t->run_at_ms, e) : 0;
	if (code != 0)
		return code;
	if (!queue || !*queue) {
		error_set(e, ERROR_BAD_REQUEST, "there is no queue for it");
		error_cure(e, "%s", c->queue_cure);
		return ERROR_BAD_REQUEST;
	}
	t->queue = arena_string(a, queue);
	if (unique)
		t->unique_key = arena_string(a, unique);
	if (serial)
		t->serial_key = arena_string(a, serial);
	if (type)
		t->content_type = arena_string(a, type);
	return t->queue && t->unique_key && t->serial_key && t->content_type ? 0 : -ENOMEM;
}

static int check_members(const json_t *j, const struct spec_context *c, struct error *e)
{
	const char *names[ELEMENTS(members) + SPEC_MORE_MAX];
	size_t n = 0;
	const char *key;
	json_t *value;
	for (; n < ELEMENTS(members); n++)
		names[n] = members[n];
	for (const char *const *more = c->more; more && *more && n < ELEMENTS(names); more++)
		names[n++] = *more;
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		bool known = false;
		for (size_t i = 0; i < n && !known; i++)
			known = strcmp(names[i], key) == 0;
		if (!known) {
			const char *best = suggest(key, names, n);
			error_set(e, ERROR_BAD_REQUEST, "a task has no member '%.40s'", key);
			if (best)
				error_cure(e, "did you mean %s?", best);
			return ERROR_BAD_REQUEST;
		}
	}
	return 0;
}

int spec_read(const json_t *j, const struct spec_context *c, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	uint64_t deadline_ms = 0;
	int code = check_members(j, c, e);
	code = code ? code : read_payload(j, c, a, t, e);
	code = code ? code : read_argv(j, a, t, e);
	code = code ? code : read_tags(j, a, t, e);
	code = code ? code : read_priority(j, a, t, e);
	code = code ? code : spec_read_retry(j, a, t, e);
	code = code ? code : spec_read_resources(j, a, t, e);
	code = code ? code : spec_read_after(j, c, a, t, e);
	code = code ? code : read_texts(j, c, a, t, e);
	code = code ? code : duration_of(j, "delay", &t->delay_ms, e);
	code = code ? code : duration_of(j, "timeout", &t->timeout_ms, e);
	code = code ? code : duration_of(j, "deadline", &deadline_ms, e);
	if (code != 0)
		return code;
	t->deadline_at_ms = deadline_ms ? c->now_ms + deadline_ms : 0;
	if (!t->payload.len && !t->n_argv && !json_object_get(j, "payload") && !json_object_get(j, "payload_base64") && !json_object_get(j, "payload_file") && !t->blob)
		return error_set(e, ERROR_BAD_REQUEST, "it has neither payload nor argv");
	return 0;
}
