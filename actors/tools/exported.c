#include "actors/tools/exported.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/wire/base64.h"
#include "common/wire/id.h"
#include "actors/tools/rows.h"
#include "actors/tools/spec_json.h"

#define DELAYS_MAX 100u

const char *const exported_members[] = { "deadline_at", "unique_window", "traceparent", "backoff", "argv_base64", "state", "attempts", "submitter", "submitted_at", NULL };
static const char *const kinds[] = { "exponential", "linear", "list" };

/* --- the same task, said otherwise --- */

static bool says_nothing(const Troupe__RetryPolicy *p)
{
	static const Troupe__RetryPolicy nothing = TROUPE__RETRY_POLICY__INIT;
	return troupe__retry_policy__get_packed_size(p) == troupe__retry_policy__get_packed_size(&nothing);
}

void exported_spec(const Troupe__Task *task, Troupe__TaskSpec *ret)
{
	*ret = *task->spec;
	uint64_t due_ms = ret->delay_ms ? task->submitted_at_ms + ret->delay_ms : 0;
	if (due_ms > ret->run_at_ms)
		ret->run_at_ms = due_ms;
	ret->delay_ms = 0;
	if (ret->retry && says_nothing(ret->retry))
		ret->retry = NULL;
	if (!*ret->unique_key)
		ret->unique_mode = TROUPE__UNIQUE_MODE__UNIQUE_REJECT;
}

bool exported_same(const Troupe__Task *there, const Troupe__TaskSpec *line, struct arena *a)
{
	Troupe__TaskSpec x, y = *line;
	exported_spec(there, &x);
	if (there->spec->delay_ms) /* reckoned from an acceptance that the wall clock tells otherwise whenever it was set */
		x.run_at_ms = y.run_at_ms;
	if (!y.n_depends_on) { /* a line leaves out whom a task need not wait for any more */
		x.n_depends_on = 0;
		x.hold_on_failure = y.hold_on_failure;
	}
	size_t n = troupe__task_spec__get_packed_size(&x);
	if (n != troupe__task_spec__get_packed_size(&y))
		return false;
	uint8_t *p = arena_alloc(a, n + 1), *q = arena_alloc(a, n + 1);
	if (!p || !q)
		return false;
	troupe__task_spec__pack(&x, p);
	troupe__task_spec__pack(&y, q);
	return memcmp(p, q, n) == 0;
}

/* --- writing --- */

static json_t *base64_text(const uint8_t *data, size_t len)
{
	_cleanup_(freep) char *text = malloc(BASE64_SIZE(len) + 1);
	if (!text)
		return NULL;
	base64_encode(data, len, text);
	return json_stringn(text, BASE64_SIZE(len));
}

static bool is_text(const uint8_t *data, size_t len)
{
	return len == 0 || (utf8_valid(data, len) && !memchr(data, 0, len));
}

/* Where one argument is no text, all are written so. */
static void put_argv(json_t *row, const Troupe__TaskSpec *s)
{
	bool texts = true;
	for (size_t i = 0; i < s->n_argv; i++)
		texts &= is_text(s->argv[i].data, s->argv[i].len);
	if (texts && json_array_size(json_object_get(row, "argv")) == s->n_argv)
		return;
	json_t *all = json_array();
	for (size_t i = 0; i < s->n_argv; i++)
		json_array_append_new(all, base64_text(s->argv[i].data, s->argv[i].len));
	json_object_del(row, "argv");
	json_object_set_new(row, "argv_base64", all);
}

static void put_duration(json_t *row, const char *key, uint64_t ms)
{
	char text[32];
	if (ms)
		row_text(row, key, format_duration(ms, text, sizeof text));
}

static void put_backoff(json_t *row, const Troupe__RetryPolicy *p)
{
	char text[32];
	if (!p || (size_t)p->backoff >= ELEMENTS(kinds) || !(p->backoff || p->base_ms || p->factor_pct || p->cap_ms || p->jitter_pct || p->n_delays_ms))
		return;
	json_t *b = json_object(), *delays = json_array();
	row_text(b, "kind", kinds[p->backoff]);
	put_duration(b, "base", p->base_ms);
	put_duration(b, "cap", p->cap_ms);
	if (p->factor_pct)
		row_number(b, "factor_pct", p->factor_pct);
	if (p->jitter_pct)
		row_number(b, "jitter_pct", p->jitter_pct);
	for (size_t i = 0; i < p->n_delays_ms; i++)
		json_array_append_new(delays, json_string(format_duration(p->delays_ms[i], text, sizeof text)));
	if (p->n_delays_ms)
		json_object_set(b, "delays", delays);
	json_decref(delays);
	json_object_set_new(row, "backoff", b);
}

static void put_date(json_t *row, const char *key, uint64_t wall_ms)
{
	char text[25];
	if (!wall_ms)
		return;
	clock_format(wall_ms, text);
	row_text(row, key, text);
}

bool exported_write(json_t *row, const Troupe__Task *task)
{
	static const char *const modes[] = { NULL, "return", "replace" };
	Troupe__TaskSpec s;
	struct id id;
	char text[ID_TEXT];
	exported_spec(task, &s);
	if (s.id.len != sizeof id.b)
		return false;
	memcpy(id.b, s.id.data, sizeof id.b);
	id_format(&id, text);
	row_text(row, "id", text);
	if (s.payload.len && !is_text(s.payload.data, s.payload.len)) {
		json_object_del(row, "payload");
		json_object_set_new(row, "payload_base64", base64_text(s.payload.data, s.payload.len));
	}
	put_argv(row, &s);
	put_date(row, "run_at", s.run_at_ms);
	put_date(row, "deadline_at", s.deadline_at_ms);
	put_backoff(row, s.retry);
	if ((size_t)s.unique_mode < ELEMENTS(modes) && modes[s.unique_mode])
		row_text(row, "unique_mode", modes[s.unique_mode]);
	put_duration(row, "unique_window", s.unique_window_ms);
	if (*s.traceparent)
		row_text(row, "traceparent", s.traceparent);
	row_text(row, "state", task_state_name(task->state));
	row_number(row, "attempts", task->attempts);
	row_text(row, "submitter", task->submitter);
	put_date(row, "submitted_at", task->submitted_at_ms);
	return true;
}

/* --- reading --- */

static int text_of(const json_t *row, const char *key, const char **ret, struct error *e)
{
	const json_t *v = json_object_get(row, key);
	if (!v)
		return 0;
	if (!json_is_string(v))
		return error_set(e, ERROR_BAD_REQUEST, "%s must be a string", key);
	*ret = json_string_value(v);
	return 0;
}

static int duration_of(const json_t *row, const char *key, uint64_t *ret, struct error *e)
{
	const char *text = NULL;
	int code = text_of(row, key, &text, e);
	return code || !text ? code : parse_duration(text, ret, e);
}

static int number_of(const json_t *row, const char *key, uint32_t *ret, struct error *e)
{
	const json_t *v = json_object_get(row, key);
	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "%s must be a number of at least 0", key);
	*ret = (uint32_t)json_integer_value(v);
	return 0;
}

static int read_argv(const json_t *row, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	const json_t *all = json_object_get(row, "argv_base64"), *word;
	size_t i;
	if (!all)
		return 0;
	if (!json_is_array(all) || json_array_size(all) == 0 || s->n_argv)
		return error_set(e, ERROR_BAD_REQUEST, "argv_base64 must be an array of strings, not empty, and without argv");
	s->argv = arena_zalloc(a, json_array_size(all) * sizeof *s->argv);
	if (!s->argv)
		return -ENOMEM;
	json_array_foreach(all, i, word) {
		size_t len = json_string_length(word);
		uint8_t *data = arena_alloc(a, len / 4 * 3 + 4);
		if (!data)
			return -ENOMEM;
		if (!json_is_string(word) || !base64_decode(json_string_value(word), len, data, &len))
			return error_set(e, ERROR_BAD_REQUEST, "argument %zu of argv_base64 is no base64", i);
		s->argv[i] = (ProtobufCBinaryData){ len, data };
	}
	s->n_argv = json_array_size(all);
	return 0;
}

static int read_delays(const json_t *b, struct arena *a, Troupe__RetryPolicy *p, struct error *e)
{
	const json_t *all = json_object_get(b, "delays"), *one;
	size_t i;
	if (!all)
		return 0;
	if (!json_is_array(all) || json_array_size(all) > DELAYS_MAX)
		return error_set(e, ERROR_BAD_REQUEST, "delays must be an array of at most %u durations", DELAYS_MAX);
	p->delays_ms = arena_zalloc(a, (json_array_size(all) + 1) * sizeof *p->delays_ms);
	if (!p->delays_ms)
		return -ENOMEM;
	json_array_foreach(all, i, one) {
		if (!json_is_string(one))
			return error_set(e, ERROR_BAD_REQUEST, "delays must be an array of durations");
		int code = parse_duration(json_string_value(one), &p->delays_ms[i], e);
		if (code)
			return code;
	}
	p->n_delays_ms = json_array_size(all);
	return 0;
}

static int read_backoff(const json_t *row, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	const json_t *b = json_object_get(row, "backoff");
	const char *kind = NULL;
	size_t k = 0;
	if (!b)
		return 0;
	if (!s->retry && (s->retry = arena_alloc(a, sizeof *s->retry)))
		troupe__retry_policy__init(s->retry);
	if (!s->retry)
		return -ENOMEM;
	int code = text_of(b, "kind", &kind, e);
	while (!code && kind && k < ELEMENTS(kinds) && strcmp(kinds[k], kind) != 0)
		k++;
	if (!code && (!kind || k == ELEMENTS(kinds)))
		code = error_set(e, ERROR_BAD_REQUEST, "the kind of a backoff is exponential, linear or list");
	code = code ? code : duration_of(b, "base", &s->retry->base_ms, e);
	code = code ? code : duration_of(b, "cap", &s->retry->cap_ms, e);
	code = code ? code : number_of(b, "factor_pct", &s->retry->factor_pct, e);
	code = code ? code : number_of(b, "jitter_pct", &s->retry->jitter_pct, e);
	code = code ? code : read_delays(b, a, s->retry, e);
	if (!code)
		s->retry->backoff = (Troupe__RetryPolicy__Backoff)k;
	return code;
}

int exported_read(const json_t *row, struct arena *a, Troupe__TaskSpec *s, struct exported *ret, struct error *e)
{
	const char *deadline = NULL, *trace = NULL, *state = NULL;
	int code = text_of(row, "deadline_at", &deadline, e);
	code = code ? code : text_of(row, "traceparent", &trace, e);
	code = code ? code : text_of(row, "state", &state, e);
	code = code ? code : duration_of(row, "unique_window", &s->unique_window_ms, e);
	code = code ? code : deadline ? date_parse(deadline, &s->deadline_at_ms, e) : 0;
	code = code ? code : read_argv(row, a, s, e);
	code = code ? code : read_backoff(row, a, s, e);
	if (!code && trace && !(s->traceparent = arena_string(a, trace)))
		code = -ENOMEM;
	if (!code && ret) {
		ret->has_id = json_object_get(row, "id") != NULL;
		ret->is_over = state && (strcmp(state, task_state_name(TROUPE__TASK_STATE__DONE)) == 0 || strcmp(state, task_state_name(TROUPE__TASK_STATE__CANCELLED)) == 0);
	}
	return code;
}
