#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/id.h"
#include "actors/tools/rows.h"

const char *overlap_name(Troupe__CronSpec__Overlap o)
{
	static const char *const names[] = { "skip", "queue", "replace" };
	return (size_t)o < ELEMENTS(names) ? names[o] : "?";
}

const char *missed_name(Troupe__CronSpec__Missed m)
{
	static const char *const names[] = { "none", "one", "all" };
	return (size_t)m < ELEMENTS(names) ? names[m] : "?";
}

static json_t *words_of(const Troupe__TaskSpec *s)
{
	json_t *all = s->n_argv ? json_array() : NULL;
	for (size_t i = 0; all && i < s->n_argv; i++) {
		json_t *word = json_stringn((const char *)s->argv[i].data, s->argv[i].len);
		json_array_append_new(all, word ? word : json_string("?")); /* no UTF-8 */
	}
	return all ? all : json_null();
}

static void note_of(const Troupe__Cron *c, char *out, size_t size)
{
	out[0] = '\0';
	if (c->paused)
		snprintf(out, size, "paused by %s%s%s", c->paused_by[0] ? c->paused_by : "an operator", c->paused_why[0] ? ": " : "", c->paused_why);
	else if (c->last_error[0])
		snprintf(out, size, "%s", c->last_error);
}

json_t *row_of_cron(const Troupe__Cron *c, uint64_t now_ms)
{
	json_t *row = json_object();
	char text[600];
	struct id id;
	if (!row || !c->spec)
		return row;
	row_text(row, "cron", c->spec->name);
	row_text(row, "expression", c->spec->expression);
	row_text(row, "zone", c->spec->zone[0] ? c->spec->zone : "UTC");
	row_text(row, "queue", c->spec->task ? c->spec->task->queue : NULL);
	row_text(row, "state", c->paused ? "paused" : "open");
	row_text(row, "overlap", overlap_name(c->spec->overlap));
	row_text(row, "missed", missed_name(c->spec->missed));
	row_time(row, "next_at", c->next_at_ms);
	if (c->next_at_ms)
		row_number(row, "next_in_ms", c->next_at_ms > now_ms ? c->next_at_ms - now_ms : 0);
	row_time(row, "last_at", c->last_at_ms);
	if (c->last_task.len == sizeof id.b) {
		memcpy(id.b, c->last_task.data, sizeof id.b);
		id_format(&id, text);
		row_text(row, "last_task", text);
	}
	row_number(row, "submitted", c->submitted_total);
	row_number(row, "skipped", c->skipped_total);
	row_text(row, "paused_by", c->paused_by);
	row_text(row, "paused_why", c->paused_why);
	row_text(row, "created_by", c->created_by);
	row_time(row, "created_at", c->created_at_ms);
	row_text(row, "last_error", c->last_error);
	if (c->spec->task && c->spec->task->payload.len)
		row_bytes_text(row, "payload", c->spec->task->payload.data, c->spec->task->payload.len);
	if (c->spec->task)
		json_object_set_new(row, "argv", words_of(c->spec->task));
	note_of(c, text, sizeof text);
	row_text(row, "note", text);
	return row;
}

/* local: "Sun 2026-03-29 03:00:00 +02:00 CEST, what is odd about it" */
json_t *row_of_cron_time(uint64_t at_ms, const char *local)
{
	json_t *row = json_object();
	const char *comma = strchr(local, ',');
	char text[128];
	if (!row)
		return NULL;
	snprintf(text, sizeof text, "%.*s", comma ? (int)(comma - local) : (int)strlen(local), local);
	row_text(row, "local", text);
	row_time(row, "at", at_ms);
	row_text(row, "note", comma ? comma + 1 + strspn(comma + 1, " ") : "");
	return row;
}
