/* What a task may say: limits and sense of a TaskSpec, without looking at anything else. */
#include "actors/coordinator/spec.h"

#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/requirement.h"

#define YEARS_10_MS (3650ull * 24 * 3600 * 1000)
#define TEXT_MAX 255u
#define DELAYS_MAX 100u
#define RULES_MAX 32u
#define WINDOW_MAX_MS YEARS_10_MS
#define KEY_BYTES_MAX 200u
#define EDGES_MAX 256u /* of one task */
#define TAGS_MAX 32u
#define ARGV_MAX 1024u

size_t spec_inline(const Troupe__TaskSpec *spec)
{
	size_t n = spec->payload.len;
	for (size_t i = 0; i < spec->n_argv; i++)
		n += spec->argv[i].len;
	return n;
}

size_t spec_size(const Troupe__TaskSpec *spec)
{
	return spec_inline(spec) + (spec->blob ? spec->blob->size : 0);
}

static int check_texts(const Troupe__TaskSpec *s, struct error *e)
{
	if (strlen(s->content_type) > TEXT_MAX || strlen(s->traceparent) > TEXT_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "", "a content type and a traceparent have at most %u bytes", TEXT_MAX);
	if (strlen(s->unique_key) > KEY_BYTES_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "use a hash of the key", "a unique key has at most %u bytes, this one %zu", KEY_BYTES_MAX, strlen(s->unique_key));
	if (strlen(s->serial_key) > KEY_BYTES_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "use a hash of the key", "a serial key has at most %u bytes, this one %zu", KEY_BYTES_MAX, strlen(s->serial_key));
	if (s->n_tags > TAGS_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "use fewer tags", "a task has at most %u tags, this one %zu", TAGS_MAX, s->n_tags);
	for (size_t i = 0; i < s->n_tags; i++)
		if (!*s->tags[i] || strlen(s->tags[i]) > TAG_BYTES_MAX)
			return error_refuse(e, ERROR_BAD_REQUEST, "", "a tag has 1 to %u bytes", TAG_BYTES_MAX);
	return 0;
}

static int check_needs(const Troupe__TaskSpec *s, struct error *e)
{
	if (s->n_resources > RESOURCES_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "ask for fewer", "a task asks for at most %u resources, this one for %zu", RESOURCES_MAX, s->n_resources);
	for (size_t i = 0; i < s->n_resources; i++) {
		const char *name = s->resources[i]->name;
		if (!*name || strlen(name) > TAG_BYTES_MAX || !s->resources[i]->amount)
			return error_refuse(e, ERROR_BAD_REQUEST, "name=amount, such as gpu=1", "a resource has a name of 1 to %u bytes and an amount above 0", TAG_BYTES_MAX);
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->resources[k]->name, name) == 0)
				return error_refuse(e, ERROR_BAD_REQUEST, "name it once, with the sum", "resource %s is named twice", name);
	}
	if (s->n_depends_on > EDGES_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "put a task between them", "a task waits for at most %u others, this one for %zu", EDGES_MAX, s->n_depends_on);
	for (size_t i = 0; i < s->n_depends_on; i++) {
		const ProtobufCBinaryData *id = &s->depends_on[i]->id;
		if (id->len != sizeof(struct id))
			return error_refuse(e, ERROR_BAD_REQUEST, "", "the id of a task to wait for has 16 bytes, this one %zu", id->len);
		if (id->len == s->id.len && memcmp(id->data, s->id.data, id->len) == 0)
			return error_refuse(e, ERROR_BAD_REQUEST, "", "a task cannot wait for itself");
		for (size_t k = 0; k < i; k++)
			if (memcmp(s->depends_on[k]->id.data, id->data, id->len) == 0)
				return error_refuse(e, ERROR_BAD_REQUEST, "name it once", "a task to wait for is named twice");
	}
	return 0;
}

static int check_retry(const Troupe__RetryPolicy *r, struct error *e)
{
	if (r->jitter_pct > 100 || r->n_delays_ms > DELAYS_MAX)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "jitter is 0 to 100 %%, and a list of delays has at most %u", DELAYS_MAX);
	if (r->n_rules > RULES_MAX)
		return error_refuse(e, ERROR_TOO_LARGE, "", "a retry policy has at most %u rules", RULES_MAX);
	if (r->cap_ms > YEARS_10_MS || r->base_ms > YEARS_10_MS)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "a time is at most 10 years");
	for (size_t i = 0; i < r->n_delays_ms; i++)
		if (r->delays_ms[i] > YEARS_10_MS)
			return error_refuse(e, ERROR_BAD_REQUEST, "", "a time is at most 10 years");
	for (size_t i = 0; i < r->n_rules; i++)
		if (r->rules[i]->delay_ms > YEARS_10_MS || r->rules[i]->action > TROUPE__RETRY_RULE__ACTION__LATER)
			return error_refuse(e, ERROR_BAD_REQUEST, "", "retry rule %zu is not valid", i + 1);
	return 0;
}

static int check_payload(const struct coordinator *c, const Troupe__TaskSpec *s, struct error *e)
{
	if (s->payload.len > c->payload_max)
		return error_refuse(e, ERROR_TOO_LARGE, "send it by blob_put first, and name it in blob", "a payload inside a submit has at most %llu bytes, this one %zu",
		              (unsigned long long)c->payload_max, s->payload.len);
	if (s->blob && s->payload.len)
		return error_refuse(e, ERROR_BAD_REQUEST, "leave one of them out", "a task holds its payload or names it, not both");
	if (s->n_argv > ARGV_MAX || spec_inline(s) > 2 * c->payload_max)
		return error_refuse(e, ERROR_TOO_LARGE, "pass the data as payload", "a command has at most %u arguments and %llu bytes", ARGV_MAX, (unsigned long long)c->payload_max);
	for (size_t i = 0; i < s->n_argv; i++)
		if (s->argv[i].len && memchr(s->argv[i].data, 0, s->argv[i].len))
			return error_refuse(e, ERROR_BAD_REQUEST, "", "argument %zu of the command holds a NUL byte", i);
	return 0;
}

int spec_check(const struct coordinator *c, const Troupe__TaskSpec *s, struct error *e)
{
	if (s->id.len != sizeof(struct id))
		return error_refuse(e, ERROR_BAD_REQUEST, "make a time-ordered id of 16 bytes for each task", "a task's id has 16 bytes, this one %zu", s->id.len);
	int r = check_payload(c, s, e);
	if (r)
		return r;
	if (s->delay_ms > YEARS_10_MS)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "a delay is at most 10 years");
	if (s->timeout_ms > YEARS_10_MS || s->unique_window_ms > WINDOW_MAX_MS)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "a time is at most 10 years");
	if (s->unique_mode > TROUPE__UNIQUE_MODE__UNIQUE_REPLACE || s->role > TROUPE__BATCH_ROLE__COMPENSATION)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "a mode of uniqueness, or a role, that there is not");
	if (s->retry && (r = check_retry(s->retry, e)))
		return r;
	r = check_texts(s, e);
	return r ? r : check_needs(s, e);
}
