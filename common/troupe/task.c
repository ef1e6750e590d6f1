/* A task as the caller describes it becomes the node's TaskSpec. Nothing of its payload is copied here: the spec points at it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/troupe/internal.h"

#define SAME(a, b) _Static_assert((int)TROUPE_##a == (int)TROUPE__##b, "troupe.h and queue.proto differ in " #a)
SAME(BACKOFF_EXPONENTIAL, RETRY_POLICY__BACKOFF__EXPONENTIAL);
SAME(BACKOFF_LINEAR, RETRY_POLICY__BACKOFF__LINEAR);
SAME(BACKOFF_LIST, RETRY_POLICY__BACKOFF__LIST);
SAME(UNIQUE_REJECT, UNIQUE_MODE__UNIQUE_REJECT);
SAME(UNIQUE_RETURN, UNIQUE_MODE__UNIQUE_RETURN);
SAME(UNIQUE_REPLACE, UNIQUE_MODE__UNIQUE_REPLACE);
SAME(ON_SUCCESS, EDGE_ON__ON_SUCCESS);
SAME(ON_END, EDGE_ON__ON_END);
SAME(ON_FAILURE, EDGE_ON__ON_FAILURE);

#define WORDS_MAX 65536u /* of an argv, a list of tags, or delays: what the node allows is less */
#define EDGES_MAX 65536u
#define SHA256_BYTES 32u

/* Messages do not know const: they are only packed. */
static char *text(const char *s) { return (char *)(uintptr_t)s; }
static ProtobufCBinaryData bytes(const void *data, size_t len) { return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data }; }

static int too_many(const char *what, struct error *e) { return error_set(e, ERROR_TOO_LARGE, "a task has more than %u %s", WORDS_MAX, what); }

static size_t count_words(const char *const *words)
{
	size_t n = 0;
	while (n <= WORDS_MAX && words[n])
		n++;
	return n;
}

static int set_words(const struct troupe_task *t, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	size_t n_argv = t->argv ? count_words(t->argv) : 0, n_tags = t->tags ? count_words(t->tags) : 0;
	if (n_argv > WORDS_MAX || n_tags > WORDS_MAX)
		return too_many(n_argv > WORDS_MAX ? "arguments" : "tags", e);
	if (n_argv && !(s->argv = arena_alloc(a, n_argv * sizeof *s->argv)))
		return -ENOMEM;
	for (size_t i = 0; i < n_argv; i++)
		s->argv[i] = bytes(t->argv[i], strlen(t->argv[i]));
	s->n_argv = n_argv;
	s->tags = (char **)(uintptr_t)t->tags;
	s->n_tags = n_tags;
	return 0;
}

static int set_edges(const struct troupe_task *t, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	if (t->n_depends_on > EDGES_MAX || t->n_resources > EDGES_MAX)
		return too_many(t->n_depends_on > EDGES_MAX ? "edges" : "resources", e);
	size_t n = t->n_depends_on, m = t->n_resources;
	Troupe__Edge *edges = n ? arena_alloc(a, n * sizeof *edges) : NULL;
	Troupe__Resource *resources = m ? arena_alloc(a, m * sizeof *resources) : NULL;
	s->depends_on = n ? arena_alloc(a, n * sizeof *s->depends_on) : NULL;
	s->resources = m ? arena_alloc(a, m * sizeof *s->resources) : NULL;
	if ((n && (!edges || !s->depends_on)) || (m && (!resources || !s->resources)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		troupe__edge__init(&edges[i]);
		edges[i].id = bytes(t->depends_on[i].id.b, sizeof t->depends_on[i].id.b);
		edges[i].on = (Troupe__EdgeOn)t->depends_on[i].on;
		s->depends_on[i] = &edges[i];
	}
	for (size_t i = 0; i < m; i++) {
		troupe__resource__init(&resources[i]);
		if (t->resources[i].name)
			resources[i].name = text(t->resources[i].name);
		resources[i].amount = t->resources[i].amount;
		s->resources[i] = &resources[i];
	}
	s->n_depends_on = n;
	s->n_resources = m;
	return 0;
}

static int set_retry(const struct troupe_retry *r, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	int code = size_check(r->size, sizeof *r, "troupe_retry", e);
	if (!code && r->n_delays_ms > WORDS_MAX)
		code = too_many("delays", e);
	if (code)
		return code;
	s->retry = arena_alloc(a, sizeof *s->retry);
	if (!s->retry)
		return -ENOMEM;
	troupe__retry_policy__init(s->retry);
	s->retry->max_attempts = r->max_attempts;
	s->retry->backoff = (Troupe__RetryPolicy__Backoff)r->backoff;
	s->retry->base_ms = r->base_ms;
	s->retry->factor_pct = r->factor_pct;
	s->retry->cap_ms = r->cap_ms;
	s->retry->jitter_pct = r->jitter_pct;
	s->retry->delays_ms = (uint64_t *)(uintptr_t)r->delays_ms;
	s->retry->n_delays_ms = r->n_delays_ms;
	return 0;
}

static void set_texts(const struct troupe_task *t, Troupe__TaskSpec *s)
{
	const struct { const char *from; char **to; } texts[] = {
		{ t->queue, &s->queue }, { t->content_type, &s->content_type }, { t->unique_key, &s->unique_key },
		{ t->serial_key, &s->serial_key }, { t->traceparent, &s->traceparent },
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].from)
			*texts[i].to = text(texts[i].from);
}

static int set_parts(const struct troupe_task *t, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	if (t->priority != TROUPE_PRIORITY_NORMAL) {
		if (!(s->priority = arena_alloc(a, sizeof *s->priority)))
			return -ENOMEM;
		troupe__level__init(s->priority);
		s->priority->value = t->priority;
	}
	if (t->blob_sha256) {
		if (!(s->blob = arena_alloc(a, sizeof *s->blob)))
			return -ENOMEM;
		troupe__blob_ref__init(s->blob);
		s->blob->sha256 = bytes(t->blob_sha256, SHA256_BYTES);
		s->blob->size = t->blob_size;
	}
	int code = t->retry ? set_retry(t->retry, a, s, e) : 0;
	if (!code)
		code = set_words(t, a, s, e);
	return code ? code : set_edges(t, a, s, e);
}

int task_spec(const struct troupe_task *t, const struct troupe_id *id, struct arena *a, Troupe__TaskSpec *s, struct error *e)
{
	int code = size_check(t->size, sizeof *t, "troupe_task", e);
	if (code)
		return code;
	if (!t->queue || !*t->queue)
		return error_set(e, ERROR_BAD_REQUEST, "a task needs a queue");
	/* Before anything adds it up: a -1 that was taken for a length comes here too. */
	if (t->payload_len > TROUPE_REQUEST_BYTES_MAX) {
		error_set(e, ERROR_TOO_LARGE, "a payload inside a request has less than %u bytes, this one %zu", TROUPE_REQUEST_BYTES_MAX, t->payload_len);
		error_cure(e, "send it before, by blob_put");
		return ERROR_TOO_LARGE;
	}
	troupe__task_spec__init(s);
	s->id = bytes(id->b, sizeof id->b);
	s->payload = bytes(t->payload, t->payload_len);
	s->delay_ms = t->delay_ms;
	s->run_at_ms = t->run_at_ms;
	s->timeout_ms = t->timeout_ms;
	s->deadline_at_ms = t->deadline_at_ms;
	s->unique_mode = (Troupe__UniqueMode)t->unique_mode;
	s->unique_window_ms = t->unique_window_ms;
	s->hold_on_failure = t->hold_on_failure;
	set_texts(t, s);
	code = set_parts(t, a, s, e);
	/* What is not UTF-8 would end the connection, again and again. */
	return code ? code : message_check_strings(&s->base, e);
}

/* --- names of tasks --- */

bool id_is_zero(const struct troupe_id *id)
{
	static const struct troupe_id zero;
	return memcmp(id, &zero, sizeof zero) == 0;
}

bool id_read(const ProtobufCBinaryData *b, struct troupe_id *ret)
{
	if (b->len != sizeof ret->b)
		return false;
	memcpy(ret->b, b->data, sizeof ret->b);
	return true;
}

int names_check(const struct troupe_id *ids, size_t n, const char *what, struct error *e)
{
	if (n == 0 || n > TROUPE_NAMES_MAX)
		return error_set(e, n ? ERROR_TOO_LARGE : ERROR_BAD_REQUEST, "a %s names 1 to %u tasks, this one %zu", what, TROUPE_NAMES_MAX, n);
	for (size_t i = 0; i < n; i++)
		if (id_is_zero(&ids[i])) {
			error_set(e, ERROR_BAD_REQUEST, "the id of the %zuth task is all zero", i + 1);
			if (e)
				e->index = (uint32_t)i + 1;
			return ERROR_BAD_REQUEST;
		}
	return 0;
}

Troupe__TaskRef **refs_new(const struct troupe_id *ids, size_t n)
{
	struct { Troupe__TaskRef *list[TROUPE_NAMES_MAX]; Troupe__TaskRef refs[TROUPE_NAMES_MAX]; } *all = malloc(sizeof *all);
	if (!all)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		troupe__task_ref__init(&all->refs[i]);
		all->refs[i].id = bytes(ids[i].b, sizeof ids[i].b);
		all->list[i] = &all->refs[i];
	}
	return all->list;
}
