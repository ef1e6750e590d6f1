/* Rows of the queue's messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/parse.h"
#include "common/base/rate.h"
#include "common/base/sha256.h"
#include "common/wire/id.h"
#include "actors/tools/rows.h"

static const char *const task_states[] = { "any", "scheduled", "ready", "running", "done", "cancelled", "dead" };
static const char *const causes[] = { "", "exhausted", "rejected", "poison", "expired", "dropped", "upstream", "unneeded", "replaced" };
static const char *const roles[] = { "member", "on success", "on failure", "at the end", "compensation" };
static const char *const exit_classes[] = { "", "done", "failed", "later", "rejected", "broken", "signal", "core", "oom", "timeout", "lost", "cancelled" };
static const char *const transitions[] = { "",     "accepted", "ready",     "given",        "done",    "failed",   "lost",   "scheduled",
	                                   "dead", "cancelled", "cancel asked", "retried", "returned", "purged", "expired", "dropped", "changed" };

/* A newer node may know more values than this tool. */
#define NAME_OF(names, value) ((size_t)(value) < ELEMENTS(names) ? names[value] : "unknown")

const char *task_state_name(Troupe__TaskState s) { return NAME_OF(task_states, s); }
const char *exit_class_name(Troupe__ExitClass c) { return NAME_OF(exit_classes, c); }
const char *cause_name(Troupe__Cause c) { return NAME_OF(causes, c); }
const char *batch_role_name(Troupe__BatchRole r) { return NAME_OF(roles, r); }
const char *transition_name(Troupe__TransitionKind k) { return NAME_OF(transitions, k); }

int task_state_parse(const char *s, size_t len, Troupe__TaskState *ret)
{
	for (size_t i = 1; i < ELEMENTS(task_states); i++)
		if (strlen(task_states[i]) == len && memcmp(task_states[i], s, len) == 0) {
			*ret = (Troupe__TaskState)i;
			return 0;
		}
	return ERROR_BAD_REQUEST;
}

const char *seq_text(uint64_t seq, char *out, size_t size)
{
	snprintf(out, size, "#%llu", (unsigned long long)seq);
	return out;
}

const char *outcome_text(const Troupe__Outcome *o, char *out, size_t size)
{
	if (o->exit_class == TROUPE__EXIT_CLASS__EXIT_SIGNAL || o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE)
		snprintf(out, size, "%s %d", o->exit_class == TROUPE__EXIT_CLASS__EXIT_CORE ? "core dump, signal" : "signal", o->signal);
	else if (o->exit_class == TROUPE__EXIT_CLASS__EXIT_FAILED && o->exit_code)
		snprintf(out, size, "exit %d", o->exit_code);
	else
		snprintf(out, size, "%s", exit_class_name(o->exit_class));
	return out;
}

void row_id(json_t *row, const char *key, const ProtobufCBinaryData *id)
{
	char text[ID_TEXT];
	struct id value;
	if (id->len != sizeof value.b) {
		row_text(row, key, NULL);
		return;
	}
	memcpy(value.b, id->data, sizeof value.b);
	id_format(&value, text);
	row_text(row, key, text);
}

static const char *priority_text(uint32_t value, char *out, size_t size)
{
	static const struct { uint32_t value; const char *name; } names[] = {
		{ 0, "critical" }, { 1000, "high" }, { 2000, "normal" }, { 3000, "low" }, { 4000, "bulk" },
	};
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (names[i].value == value)
			return names[i].name;
	snprintf(out, size, "%u", value);
	return out;
}

static json_t *array_of_bytes(const ProtobufCBinaryData *items, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; a && i < n; i++) {
		json_t *s = utf8_valid(items[i].data, items[i].len) ? json_stringn((const char *)items[i].data, items[i].len) : NULL;
		json_array_append_new(a, s ? s : json_null());
	}
	return a;
}

json_t *row_texts(char *const *items, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; a && i < n; i++)
		json_array_append_new(a, json_string(items[i]));
	return a;
}

static void row_outcome(json_t *row, const Troupe__Outcome *o)
{
	char text[64];
	if (!o) {
		row_text(row, "outcome", NULL);
		return;
	}
	row_text(row, "outcome", outcome_text(o, text, sizeof text));
	row_text(row, "exit_class", exit_class_name(o->exit_class));
	row_signed(row, "exit_code", o->exit_code);
	row_signed(row, "signal", o->signal);
	row_number(row, "run_us", o->run_us);
	row_text(row, "error", o->error);
	row_flag(row, "output_truncated", o->truncated);
	if (o->output.len)
		row_bytes_text(row, "output", o->output.data, o->output.len);
	if (o->stderr_tail.len)
		row_bytes_text(row, "stderr", o->stderr_tail.data, o->stderr_tail.len);
	if (o->usage) {
		row_number(row, "user_us", o->usage->user_us);
		row_number(row, "system_us", o->usage->system_us);
		row_number(row, "max_rss_kib", o->usage->max_rss_kib);
	}
}

static void row_resources(json_t *row, const Troupe__TaskSpec *s)
{
	json_t *all = json_array();
	char text[RESOURCE_TEXT];
	for (size_t i = 0; i < s->n_resources; i++) {
		struct resource_amount r = { .amount = s->resources[i]->amount };
		snprintf(r.name, sizeof r.name, "%s", s->resources[i]->name);
		json_array_append_new(all, json_string(format_resource(&r, text, sizeof text)));
	}
	json_object_set_new(row, "resources", all);
}

/* As objects for scripts, and as one text for people. */
static void row_edges(json_t *row, const Troupe__TaskSpec *s)
{
	static const char *const on[] = { "success", "end", "failure" }, *const suffixes[] = { "", " (end)", " (failure)" };
	json_t *all = json_array();
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	for (size_t i = 0; i < s->n_depends_on; i++) {
		const Troupe__Edge *e = s->depends_on[i];
		json_t *edge = json_object();
		row_id(edge, "id", &e->id);
		row_text(edge, "on", NAME_OF(on, e->on));
		if (f && json_is_string(json_object_get(edge, "id")))
			fprintf(f, "%s%s%s", i ? ", " : "", json_string_value(json_object_get(edge, "id")), NAME_OF(suffixes, e->on));
		json_array_append_new(all, edge);
	}
	if (f)
		fclose(f);
	json_object_set_new(row, "after", all);
	row_text(row, "waits_for", text);
	free(text);
}

static void row_spec(json_t *row, const Troupe__TaskSpec *s)
{
	char text[32];
	row_id(row, "id", &s->id);
	row_text(row, "queue", s->queue);
	row_text(row, "priority", priority_text(s->priority ? s->priority->value : 2000, text, sizeof text));
	row_number(row, "priority_value", s->priority ? s->priority->value : 2000);
	row_text(row, "content_type", s->content_type);
	row_text(row, "unique", s->unique_key);
	row_number(row, "timeout_ms", s->timeout_ms);
	row_time(row, "deadline_at", s->deadline_at_ms);
	json_object_set_new(row, "argv", array_of_bytes(s->argv, s->n_argv));
	json_object_set_new(row, "require", row_texts(s->tags, s->n_tags));
	row_text(row, "serial", s->serial_key);
	row_resources(row, s);
	row_edges(row, s);
	row_flag(row, "hold", s->hold_on_failure);
	row_text(row, "role", s->role ? batch_role_name(s->role) : NULL);
	if (s->payload.len)
		row_bytes_text(row, "payload", s->payload.data, s->payload.len);
	if (s->blob && s->blob->sha256.len == SHA256_BYTES) {
		char hash[SHA256_TEXT];
		sha256_format(s->blob->sha256.data, hash);
		row_text(row, "payload_sha256", hash);
	}
}

json_t *row_of_attempt(const Troupe__Attempt *a)
{
	json_t *row = json_object();
	if (!row)
		return NULL;
	row_number(row, "run", a->run);
	row_number(row, "attempt", a->attempt);
	row_number(row, "token", a->token);
	row_text(row, "worker", a->worker);
	row_number(row, "incarnation", a->incarnation);
	row_time(row, "started_at", a->started_at_ms);
	row_time(row, "ended_at", a->ended_at_ms);
	if (a->started_at_ms && a->ended_at_ms >= a->started_at_ms)
		row_number(row, "took_ms", a->ended_at_ms - a->started_at_ms);
	row_flag(row, "counted", a->counted);
	row_outcome(row, a->outcome);
	return row;
}

/* What a person wants to know of a row: how far, or why not. */
static const char *note_of(const Troupe__Task *t, char *text, size_t size)
{
	if (t->state == TROUPE__TASK_STATE__RUNNING)
		return t->cancel_requested ? "being cancelled" : t->note;
	if (t->cause && (t->state == TROUPE__TASK_STATE__CANCELLED || !t->last_error[0]))
		return cause_name(t->cause);
	if (t->blocked && !t->last_error[0]) {
		snprintf(text, size, "waits for %u other%s", t->blocked, t->blocked == 1 ? "" : "s");
		return text;
	}
	return t->last_error;
}

json_t *row_of_task(const Troupe__Task *t, uint64_t now_ms)
{
	json_t *row = json_object();
	char text[64], attempts[32];
	const Troupe__TaskSpec none = TROUPE__TASK_SPEC__INIT;
	if (!row)
		return NULL;
	row_spec(row, t->spec ? t->spec : &none);
	row_text(row, "task", seq_text(t->seq, text, sizeof text));
	row_number(row, "seq", t->seq);
	row_text(row, "state", task_state_name(t->state));
	row_text(row, "cause", NAME_OF(causes, t->cause));
	row_number(row, "run", t->run);
	row_number(row, "attempts", t->attempts);
	row_number(row, "max_attempts", t->max_attempts);
	snprintf(attempts, sizeof attempts, "%u/%u", t->attempts, t->max_attempts);
	row_text(row, "tries", attempts);
	row_text(row, "worker", t->worker);
	row_number(row, "token", t->token);
	row_time(row, "submitted_at", t->submitted_at_ms);
	row_time(row, "due_at", t->due_at_ms);
	row_time(row, "started_at", t->started_at_ms);
	row_time(row, "finished_at", t->finished_at_ms);
	if (t->submitted_at_ms)
		row_number(row, "age_ms", now_ms > t->submitted_at_ms ? now_ms - t->submitted_at_ms : 0);
	if (t->finished_at_ms && t->started_at_ms && t->finished_at_ms >= t->started_at_ms)
		row_number(row, "took_ms", t->finished_at_ms - t->started_at_ms);
	if (t->state == TROUPE__TASK_STATE__SCHEDULED && t->due_at_ms > now_ms)
		row_number(row, "due_in_ms", t->due_at_ms - now_ms);
	row_text(row, "submitter", t->submitter);
	row_number(row, "percent", t->percent);
	row_number(row, "payload_size", t->payload_size);
	row_flag(row, "cancel_requested", t->cancel_requested);
	row_number(row, "blocked", t->blocked);
	row_id(row, "batch", &t->batch);
	row_outcome(row, t->outcome);
	row_text(row, "last_error", t->last_error);
	row_text(row, "note", note_of(t, text, sizeof text));
	if (t->n_history) {
		json_t *history = json_array();
		for (size_t i = 0; i < t->n_history; i++)
			json_array_append_new(history, row_of_attempt(t->history[i]));
		json_object_set_new(row, "history", history);
	}
	return row;
}

json_t *row_of_receipt(const Troupe__Receipt *r, const char *queue)
{
	json_t *row = json_object();
	char text[32];
	if (!row)
		return NULL;
	row_id(row, "id", &r->id);
	row_text(row, "task", seq_text(r->seq, text, sizeof text));
	row_number(row, "seq", r->seq);
	row_text(row, "queue", queue);
	row_flag(row, "existing", r->existing);
	return row;
}

json_t *row_of_transition(const Troupe__Transition *t, const char *cursor)
{
	json_t *row = json_object();
	char seq[32], text[256], outcome[64] = "", attempt[32] = "";
	if (!row)
		return NULL;
	row_time(row, "at", t->at_ms);
	row_text(row, "source", "queue");
	snprintf(text, sizeof text, "task.%s", t->kind == TROUPE__TRANSITION_KIND__T_CANCEL_ASKED ? "cancel_asked" : transition_name(t->kind));
	row_text(row, "type", text);
	row_text(row, "about", seq_text(t->seq, seq, sizeof seq));
	row_id(row, "id", &t->id);
	row_number(row, "seq", t->seq);
	row_text(row, "queue", t->queue);
	row_number(row, "attempt", t->attempt);
	row_text(row, "exit_class", exit_class_name(t->exit_class));
	row_text(row, "worker", t->worker);
	if (t->exit_class != TROUPE__EXIT_CLASS__EXIT_NONE)
		snprintf(outcome, sizeof outcome, " %s", exit_class_name(t->exit_class));
	if (t->attempt)
		snprintf(attempt, sizeof attempt, " attempt %u", t->attempt);
	snprintf(text, sizeof text, "%s%s%s%s%s", t->queue, attempt, t->worker[0] ? " " : "", t->worker, outcome);
	row_text(row, "text", text);
	row_text(row, "cursor", cursor);
	return row;
}
