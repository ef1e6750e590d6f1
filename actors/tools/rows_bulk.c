/* A task as a line that submit --bulk reads: what spec_json.h reads, written. */
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/policy.h"
#include "actors/tools/rows.h"

static void put_argv(json_t *row, const Troupe__TaskSpec *s)
{
	json_t *argv = json_array();
	for (size_t i = 0; i < s->n_argv; i++)
		json_array_append_new(argv, json_stringn(s->argv[i].len ? (const char *)s->argv[i].data : "", s->argv[i].len));
	if (s->n_argv)
		json_object_set(row, "argv", argv);
	json_decref(argv);
}

static void put_retry(json_t *row, const Troupe__RetryPolicy *p)
{
	json_t *rules = json_array();
	char text[RETRY_RULE_TEXT];
	for (size_t i = 0; p && i < p->n_rules; i++) {
		struct retry_rule r;
		if (retry_rule_of_message(p->rules[i], &r))
			json_array_append_new(rules, json_string(format_retry_rule(&r, text, sizeof text)));
	}
	if (p && p->max_attempts)
		row_number(row, "max_attempts", p->max_attempts);
	if (json_array_size(rules))
		json_object_set(row, "retry", rules);
	json_decref(rules);
}

static void put_resources(json_t *row, const Troupe__TaskSpec *s)
{
	json_t *all = json_object();
	for (size_t i = 0; i < s->n_resources; i++)
		json_object_set_new(all, s->resources[i]->name, json_integer((json_int_t)s->resources[i]->amount));
	if (s->n_resources)
		json_object_set(row, "resources", all);
	json_decref(all);
}

/* Edges that were met are past: whom it waited for may be forgotten when the line is read. */
static void put_edges(json_t *row, const Troupe__Task *t)
{
	static const char *const on[] = { "success", "end", "failure" };
	json_t *all = json_array();
	for (size_t i = 0; t->blocked && i < t->spec->n_depends_on; i++) {
		const Troupe__Edge *edge = t->spec->depends_on[i];
		json_t *one = json_object();
		row_id(one, "id", &edge->id);
		if ((size_t)edge->on < ELEMENTS(on))
			row_text(one, "on", on[edge->on]);
		json_array_append_new(all, one);
	}
	if (json_array_size(all))
		json_object_set(row, "after", all);
	if (t->blocked && t->spec->hold_on_failure)
		row_flag(row, "hold", true);
	json_decref(all);
}

json_t *row_of_bulk(const Troupe__Task *t)
{
	static const char *const modes[] = { NULL, "return", "replace" };
	const Troupe__TaskSpec *s = t->spec;
	json_t *row = s ? json_object() : NULL;
	char text[32];
	if (!row)
		return NULL;
	row_text(row, "queue", s->queue);
	if (!s->blob) /* that is named by who has it */
		row_bytes_text(row, "payload", s->payload.data, s->payload.len);
	if (json_is_null(json_object_get(row, "payload")))
		json_object_del(row, "payload");
	put_argv(row, s);
	if (s->n_tags)
		json_object_set_new(row, "require", row_texts(s->tags, s->n_tags));
	if (s->priority)
		row_number(row, "priority", s->priority->value);
	if (s->timeout_ms)
		row_text(row, "timeout", format_duration(s->timeout_ms, text, sizeof text));
	put_retry(row, s->retry);
	put_resources(row, s);
	put_edges(row, t);
	if (s->unique_key[0])
		row_text(row, "unique", s->unique_key);
	if (s->unique_key[0] && (size_t)s->unique_mode < ELEMENTS(modes) && modes[s->unique_mode])
		row_text(row, "unique_mode", modes[s->unique_mode]);
	if (s->serial_key[0])
		row_text(row, "serial", s->serial_key);
	if (s->content_type[0])
		row_text(row, "content_type", s->content_type);
	return row;
}
