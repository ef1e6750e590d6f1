#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <jansson.h>
#include "common/base/cleanup.h"
#include "actors/tools/bulk.h"
#include "actors/tools/spec_json.h"

struct id bulk_id(const struct id *batch, uint64_t n)
{
	struct id id = *batch;
	for (size_t i = sizeof id.b; n && i-- > 6;) { /* the first six bytes are the time: the carry ends there */
		n += id.b[i];
		id.b[i] = (uint8_t)n;
		n >>= 8;
	}
	return id;
}

static int read_id(const json_t *j, uint64_t line, const struct bulk_defaults *d, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	const char *text = NULL;
	struct id id = bulk_id(&d->batch, line);
	const json_t *v = json_object_get(j, "id");
	if (v && !json_is_string(v))
		return error_set(e, ERROR_BAD_REQUEST, "id must be a string");
	text = json_string_value(v);
	int code = text ? id_parse(text, &id, e) : 0;
	if (code != 0)
		return code;
	t->id.len = sizeof id.b;
	t->id.data = arena_copy(a, id.b, sizeof id.b);
	return t->id.data ? 0 : -ENOMEM;
}

int bulk_line(const char *text, size_t len, uint64_t line, const struct bulk_defaults *d, struct arena *a, Troupe__TaskSpec **ret, struct error *e)
{
	const char *more[SPEC_MORE_MAX] = { "id" };
	const struct spec_context context = { .queue = d->queue, .now_ms = d->now_ms, .more = more, .read_file = d->read_file, .file_ctx = d->ctx,
		.queue_cure = "name a queue in the line (\"queue\": \"emails\") or for all of them: troupe submit QUEUE --bulk FILE" };
	json_error_t je;
	for (size_t i = 0; exported_members[i]; i++)
		more[i + 1] = exported_members[i];
	if (len > BULK_LINE_MAX) {
		error_set(e, ERROR_TOO_LARGE, "line %llu has %zu bytes, more than %u", (unsigned long long)line, len, BULK_LINE_MAX);
		goto fail;
	}
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(j)) {
		json_decref(j);
		error_set(e, ERROR_BAD_REQUEST, "line %llu is no JSON object: %s at column %d", (unsigned long long)line, j ? "something else" : je.text, j ? 1 : je.column);
		goto fail;
	}
	Troupe__TaskSpec *t = arena_alloc(a, sizeof *t);
	struct error inner = { .text = "no memory" };
	int code = -ENOMEM;
	if (t) {
		troupe__task_spec__init(t);
		code = spec_read(j, &context, a, t, &inner);
		code = code ? code : read_id(j, line, d, a, t, &inner);
		code = code ? code : exported_read(j, a, t, d->exported, &inner);
	}
	json_decref(j);
	if (code == 0) {
		*ret = t;
		return 0;
	}
	if (code < 0)
		return code;
	error_set(e, (enum error_code)code, "line %llu: %s", (unsigned long long)line, inner.text);
	if (inner.cure[0])
		error_cure(e, "%s", inner.cure);
fail:
	if (e)
		e->index = (uint32_t)line;
	return e ? (int)e->code : ERROR_BAD_REQUEST;
}
