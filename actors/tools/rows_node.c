/* Rows of what the supervisor, the event log and the metrics say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/id.h"
#include "actors/tools/rows.h"

static const char *const actor_states[] = { "unknown", "starting", "up", "stopping", "stopped", "backoff", "failed", "done", "pending" };
static const char *const reasons[] = { "",         "normal",       "shutdown",     "killed", "exit",   "signal", "core",    "start_timeout", "start_failed",
	                               "watchdog", "turn_timeout", "oom",          "rlimit", "poison", "lost",   "gave_up", "noproc",        "noconnection" };

#define NAME_OF(names, value) ((size_t)(value) < ELEMENTS(names) ? names[value] : "unknown")

const char *actor_state_name(Troupe__ActorState s) { return NAME_OF(actor_states, s); }
const char *reason_name(Troupe__Reason r) { return NAME_OF(reasons, r); }

json_t *row_of_tree(const Troupe__TreeRow *r)
{
	json_t *row = json_object();
	char text[256], note[512], due[32];
	if (!row)
		return NULL;
	if (r->pool)
		snprintf(text, sizeof text, "%s%s", strncmp(r->address, "pool ", 5) == 0 ? "" : "pool ", r->address);
	else if (r->kind == TROUPE__ACTOR_KIND__ACTOR_SUPERVISOR && r->strategy[0])
		snprintf(text, sizeof text, "%s (%s)", r->address, r->strategy);
	else
		snprintf(text, sizeof text, "%s", r->address);
	row_text(row, "actor", text);
	row_text(row, "address", r->address);
	row_number(row, "depth", r->depth);
	row_text(row, "kind", r->pool ? "pool" : r->kind == TROUPE__ACTOR_KIND__ACTOR_SUPERVISOR ? "supervisor" : "worker");
	row_text(row, "state", actor_state_name(r->state));
	if (r->pid)
		row_number(row, "pid", r->pid);
	else
		row_text(row, "pid", NULL);
	row_number(row, "incarnation", r->incarnation);
	row_number(row, "up_ms", r->up_ms);
	row_number(row, "restarts", r->restarts);
	row_text(row, "strategy", r->strategy);
	row_text(row, "restart", r->restart);
	row_text(row, "last_reason", reason_name(r->last_reason));
	row_text(row, "last_detail", r->last_detail);
	row_number(row, "due_in_ms", r->due_in_ms);
	row_number(row, "mailbox", r->mailbox);
	row_number(row, "rss", r->rss_kib * 1024);
	row_number(row, "cpu_ms", r->cpu_ms);
	row_number(row, "threads", r->threads);
	row_text(row, "program", r->program);
	/* Where something is wrong its reason comes before what the actor says of itself. */
	if (r->state == TROUPE__ACTOR_STATE__ACTOR_BACKOFF)
		snprintf(note, sizeof note, "next start in %s; was %s %s", format_age(r->due_in_ms, due, sizeof due), reason_name(r->last_reason), r->last_detail);
	else if (r->state == TROUPE__ACTOR_STATE__ACTOR_FAILED || r->state == TROUPE__ACTOR_STATE__ACTOR_PENDING)
		snprintf(note, sizeof note, "%s %s", reason_name(r->last_reason), r->last_detail);
	else if (r->mailbox)
		snprintf(note, sizeof note, "%s%s%u in mailbox", r->note, r->note[0] ? ", " : "", r->mailbox);
	else
		snprintf(note, sizeof note, "%s", r->note);
	row_text(row, "note", note);
	return row;
}

json_t *row_of_crash(const Troupe__Crash *c)
{
	json_t *row = json_object();
	char text[128], id[ID_TEXT];
	if (!row)
		return NULL;
	row_number(row, "crash", c->id);
	row_time(row, "at", c->at_ms);
	row_text(row, "actor", c->address);
	row_number(row, "incarnation", c->incarnation);
	row_number(row, "pid", c->pid);
	row_number(row, "uptime_ms", c->uptime_ms);
	row_text(row, "reason", reason_name(c->reason));
	row_signed(row, "exit_code", c->exit_code);
	row_signed(row, "signal", c->signal);
	row_text(row, "detail", c->detail);
	if (c->signal)
		snprintf(text, sizeof text, "%s %d%s", reason_name(c->reason), c->signal, c->core[0] ? ", core" : "");
	else if (c->exit_code)
		snprintf(text, sizeof text, "%s %d", reason_name(c->reason), c->exit_code);
	else
		snprintf(text, sizeof text, "%s", reason_name(c->reason));
	row_text(row, "how", text);
	row_text(row, "decision", c->decision);
	row_text(row, "phase", c->phase);
	row_text(row, "core", c->core);
	row_text(row, "backtrace", c->backtrace);
	row_text(row, "proof", c->proof == TROUPE__PROOF__PROOF_EMPTY ? "empty" : "pending");
	if (c->last_message.len == sizeof(struct id)) {
		id_format((const struct id *)c->last_message.data, id);
		row_text(row, "last_message", id);
	} else {
		row_text(row, "last_message", NULL);
	}
	json_t *tokens = json_array();
	for (size_t i = 0; i < c->n_tokens; i++)
		json_array_append_new(tokens, json_integer((json_int_t)c->tokens[i]));
	json_object_set_new(row, "tokens", tokens);
	row_bytes_text(row, "stderr", c->stderr_tail.data, c->stderr_tail.len);
	row_number(row, "stderr_dropped", c->stderr_dropped);
	if (c->usage) {
		row_number(row, "user_us", c->usage->user_us);
		row_number(row, "system_us", c->usage->system_us);
		row_number(row, "max_rss_kib", c->usage->max_rss_kib);
	}
	return row;
}

json_t *row_of_status(const Troupe__Status *s)
{
	json_t *row = json_object();
	if (!row)
		return NULL;
	row_text(row, "state", s->state);
	row_text(row, "version", s->version);
	row_number(row, "pid", s->pid);
	row_number(row, "up_ms", s->up_ms);
	row_number(row, "actors", s->actors);
	row_number(row, "actors_up", s->up);
	row_number(row, "actors_failed", s->failed);
	row_number(row, "restarts", s->restarts);
	row_text(row, "run_dir", s->run_dir);
	row_text(row, "state_dir", s->state_dir);
	row_text(row, "config", s->config);
	row_text(row, "containment", s->containment);
	row_text(row, "features", s->features);
	row_text(row, "node", s->node);
	json_t *alarms = json_array();
	for (size_t i = 0; i < s->n_alarms; i++)
		json_array_append_new(alarms, json_string(s->alarms[i]));
	json_object_set_new(row, "alarms", alarms);
	return row;
}

json_t *row_of_event(const Troupe__Event *e, const char *cursor)
{
	json_t *row = json_object();
	if (!row)
		return NULL;
	row_time(row, "at", e->at_ms);
	row_text(row, "source", "node");
	row_number(row, "offset", e->offset);
	row_text(row, "type", e->type);
	row_text(row, "level", e->level);
	row_text(row, "about", e->actor);
	row_text(row, "actor", e->actor);
	row_text(row, "subject", e->subject);
	row_text(row, "text", e->text);
	json_t *fields = json_object();
	for (size_t i = 0; i < e->n_fields; i++)
		json_object_set_new(fields, e->fields[i]->key, json_string(e->fields[i]->value));
	json_object_set_new(row, "fields", fields);
	row_text(row, "cursor", cursor);
	return row;
}

/* --- metrics --- */

static int sample_compare(const void *a, const void *b)
{
	return strcmp((*(Troupe__Sample *const *)a)->name, (*(Troupe__Sample *const *)b)->name);
}

void metrics_sort(Troupe__Sample **samples, size_t n)
{
	if (n)
		qsort(samples, n, sizeof *samples, sample_compare);
}

static void label_value(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' || *s == '"')
			fprintf(f, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", f);
		else
			fputc(*s, f);
	}
}

/* A histogram's samples end in _bucket, _sum and _count; HELP and TYPE carry the name without it. */
static size_t family_len(const Troupe__Sample *s)
{
	static const char *const ends[] = { "_bucket", "_sum", "_count" };
	size_t len = strlen(s->name);
	for (size_t i = 0; s->type == TROUPE__SAMPLE__TYPE__HISTOGRAM && i < ELEMENTS(ends); i++)
		if (len > strlen(ends[i]) && strcmp(s->name + len - strlen(ends[i]), ends[i]) == 0)
			return len - strlen(ends[i]);
	return len;
}

char *metrics_render(Troupe__Sample *const *samples, size_t n)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	const Troupe__Sample *before = NULL;
	for (size_t i = 0; i < n; i++) {
		const Troupe__Sample *s = samples[i];
		int len = (int)family_len(s);
		if (!before || family_len(before) != (size_t)len || memcmp(before->name, s->name, (size_t)len) != 0) {
			if (s->help[0])
				fprintf(f, "# HELP %.*s %s\n", len, s->name, s->help);
			fprintf(f, "# TYPE %.*s %s\n", len, s->name, NAME_OF(types, s->type));
		}
		before = s;
		fputs(s->name, f);
		for (size_t k = 0; k < s->n_labels; k++) {
			fprintf(f, "%c%s=\"", k ? ',' : '{', s->labels[k]->key);
			label_value(f, s->labels[k]->value);
			fputc('"', f);
		}
		fprintf(f, "%s %.17g\n", s->n_labels ? "}" : "", s->value);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
