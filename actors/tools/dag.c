#include "actors/tools/dag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/bulk.h"
#include "actors/tools/spec_json.h"

#define CIRCLE_SHOWN 6u

struct member {
	const char *name;
	unsigned line;
	struct id id;
	Troupe__TaskSpec *task;
	const json_t *json;
	size_t n_met;                  /* edges, of the first ones, that hold nothing up */
	bool placed;
};

/* Files are read last: until then nothing is sent. */
struct wanted_file { const char *path; Troupe__TaskSpec *task; struct wanted_file *next; };

struct reader {
	struct arena *arena;
	struct dag *dag;
	const struct dag_defaults *defaults;
	const char *queue;
	struct wanted_file *files, **last_file;
	struct member *members;        /* by their places in the document */
	struct member **by_name;       /* sorted */
	size_t n;
	struct error *e;
};

/* --- lines: jansson knows none once the text is read --- */

/* Behind a string that begins at s. */
static const char *skip_string(const char *s, const char *end)
{
	for (s++; s < end && *s != '"'; s++)
		s += *s == '\\';
	return s < end ? s + 1 : end;
}

/* The line on which each object of the array "tasks" begins. The text is valid JSON. */
static void find_lines(const char *text, size_t len, struct member *m, size_t n)
{
	const char *end = text + len;
	unsigned line = 1, depth = 0;
	size_t found = 0;
	bool inside = false, key_seen = false;
	for (const char *s = text; s < end && found < n;) {
		if (*s == '"') {
			const char *next = skip_string(s, end);
			if (depth == 1)
				key_seen = next - s == 7 && memcmp(s, "\"tasks\"", 7) == 0;
			s = next;
			continue;
		}
		if (*s == '\n')
			line++;
		if (*s == '[' && depth == 1 && key_seen)
			inside = true;
		if (*s == '{' && depth == 2 && inside)
			m[found++].line = line;
		if (*s == '{' || *s == '[')
			depth++;
		if (*s == '}' || *s == ']') {
			depth--;
			inside = inside && depth >= 2;
		}
		s++;
	}
}

/* --- errors --- */

static int wrong(struct reader *r, const struct member *m, const char *what, const struct error *why)
{
	error_set(r->e, why->code, "line %u, task \"%.60s\"%s: %s", m->line, m->name, what, why->text);
	error_cure(r->e, "%s", why->cure);
	if (r->e)
		r->e->index = m->line;
	return (int)why->code;
}

/* --- names --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(struct member *const *)a)->name, (*(struct member *const *)b)->name);
}

static int compare_name(const void *key, const void *row)
{
	return strcmp(key, (*(struct member *const *)row)->name);
}

static int find_name(void *ctx, const char *name, struct id *ret, struct error *e)
{
	const struct reader *r = ctx;
	struct member **found = bsearch(name, r->by_name, r->n, sizeof(struct member *), compare_name);
	if (found) {
		*ret = (*found)->id;
		return 0;
	}
	_cleanup_(freep) const char **names = calloc(r->n + 1, sizeof *names);
	for (size_t i = 0; names && i < r->n; i++)
		names[i] = r->members[i].name;
	const char *best = names ? suggest(name, names, r->n) : NULL;
	error_set(e, ERROR_BAD_REQUEST, "no task is named '%.60s'", name);
	if (best)
		error_cure(e, "did you mean %.100s?", best);
	else
		error_cure(e, "a task that was there before is written {\"id\": \"01J...\"}");
	return ERROR_BAD_REQUEST;
}

static int read_name(struct reader *r, size_t i, const json_t *v)
{
	struct member *m = &r->members[i];
	const json_t *name = json_object_get(v, "name");
	size_t len = json_string_length(name);
	m->id = bulk_id(&r->dag->id, i + 1);
	m->json = v;
	if (!json_is_string(name) || len == 0 || len > DAG_NAME_MAX) {
		error_set(r->e, ERROR_BAD_REQUEST, "line %u: task %zu has no name of 1 to %u bytes", m->line, i + 1, DAG_NAME_MAX);
		error_cure(r->e, "give it one: others name it in after, and errors do");
		return ERROR_BAD_REQUEST;
	}
	m->name = arena_string(r->arena, json_string_value(name));
	m->task = arena_alloc(r->arena, sizeof *m->task);
	return m->name && m->task ? 0 : -ENOMEM;
}

static int read_names(struct reader *r, const json_t *tasks, const char *text, size_t len)
{
	const json_t *v;
	size_t i;
	r->n = json_array_size(tasks);
	r->members = arena_zalloc(r->arena, (r->n + 1) * sizeof *r->members);
	r->by_name = arena_zalloc(r->arena, (r->n + 1) * sizeof *r->by_name);
	if (!r->members || !r->by_name)
		return -ENOMEM;
	find_lines(text, len, r->members, r->n);
	json_array_foreach(tasks, i, v) {
		int code = json_is_object(v) ? read_name(r, i, v) : error_set(r->e, ERROR_BAD_REQUEST, "tasks must be an array of objects: element %zu is something else", i + 1);
		if (code != 0)
			return code;
		r->by_name[i] = &r->members[i];
	}
	qsort(r->by_name, r->n, sizeof *r->by_name, compare_names);
	for (i = 1; i < r->n; i++)
		if (strcmp(r->by_name[i - 1]->name, r->by_name[i]->name) == 0) {
			struct error why = { .code = ERROR_BAD_REQUEST, .cure = "give one of the two another name" };
			const struct member *a = r->by_name[i - 1], *b = r->by_name[i], *first = a->line < b->line ? a : b;
			snprintf(why.text, sizeof why.text, "line %u has a task of that name already", first->line);
			return wrong(r, first == a ? b : a, "", &why);
		}
	return 0;
}

/* --- tasks --- */

static int note_file(void *ctx, const char *path, struct arena *a, Troupe__TaskSpec *t, struct error *e)
{
	struct reader *r = ctx;
	struct wanted_file *f = arena_zalloc(a, sizeof *f);
	if (!r->defaults->read_file)
		return error_set(e, ERROR_BAD_REQUEST, "a task cannot name a file here");
	if (!f || !(f->path = arena_string(a, path)))
		return -ENOMEM;
	f->task = t;
	*r->last_file = f;
	r->last_file = &f->next;
	return 0;
}

static int read_files(struct reader *r)
{
	for (struct wanted_file *f = r->files; f; f = f->next) {
		int code = r->defaults->read_file(r->defaults->ctx, f->path, r->arena, f->task, r->e);
		if (code != 0)
			return code;
	}
	return 0;
}

static const char no_queue[] = "name one in the task, or for all at the top (\"queue\": \"render\"), or: troupe submit QUEUE --dag FILE";

static int add_task(struct reader *r, Troupe__TaskSpec *t, const char *name, const struct id *id)
{
	struct dag *d = r->dag;
	if (d->n == DAG_TASKS_MAX) {
		error_set(r->e, ERROR_TOO_LARGE, "these are more than %u tasks, with compensations and callbacks", DAG_TASKS_MAX);
		error_cure(r->e, "make several batches of them");
		return ERROR_TOO_LARGE;
	}
	t->id.len = sizeof id->b;
	t->id.data = arena_copy(r->arena, id->b, sizeof id->b);
	d->names[d->n] = name;
	d->tasks[d->n++] = t;
	return t->id.data ? 0 : -ENOMEM;
}

/* A task that waits for nothing but its batch. */
static int read_extra(struct reader *r, const json_t *v, Troupe__BatchRole role, Troupe__TaskSpec **ret, struct error *why)
{
	const struct spec_context context = { .queue = r->queue, .queue_cure = no_queue, .now_ms = r->defaults->now_ms, .read_file = note_file, .file_ctx = r };
	Troupe__TaskSpec *t = arena_alloc(r->arena, sizeof *t);
	if (!t)
		return -ENOMEM;
	troupe__task_spec__init(t);
	if (!json_is_object(v))
		return error_set(why, ERROR_BAD_REQUEST, "it must be a task");
	int code = spec_read(v, &context, r->arena, t, why);
	if (code == 0 && (t->n_depends_on || t->hold_on_failure))
		return error_set(why, ERROR_BAD_REQUEST, "it waits for nothing but the batch: leave after and hold out");
	t->role = role;
	*ret = t;
	return code;
}

static int read_members(struct reader *r)
{
	static const char *const more[] = { "name", "on", "compensate", NULL };
	const struct spec_context context = { .queue = r->queue, .queue_cure = no_queue, .now_ms = r->defaults->now_ms, .more = more,
		.read_file = note_file, .file_ctx = r, .find = find_name, .ctx = r };
	for (size_t i = 0; i < r->n; i++) {
		struct member *m = &r->members[i];
		struct error why = { .code = ERROR_NONE };
		troupe__task_spec__init(m->task);
		int code = spec_read(m->json, &context, r->arena, m->task, &why);
		if (code != 0)
			return code > 0 ? wrong(r, m, "", &why) : code;
	}
	return 0;
}

static int read_compensations(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct member *m = &r->members[i];
		const json_t *v = json_object_get(m->json, "compensate");
		struct error why = { .code = ERROR_NONE };
		Troupe__TaskSpec *t;
		if (!v)
			continue;
		int code = read_extra(r, v, TROUPE__BATCH_ROLE__COMPENSATION, &t, &why);
		if (code != 0)
			return code > 0 ? wrong(r, m, ", compensate", &why) : code;
		t->compensates.len = sizeof m->id.b;
		t->compensates.data = arena_copy(r->arena, m->id.b, sizeof m->id.b);
		struct id id = bulk_id(&r->dag->id, r->n + i + 1);
		code = t->compensates.data ? add_task(r, t, m->name, &id) : -ENOMEM;
		if (code != 0)
			return code;
	}
	return 0;
}

static int read_callbacks(struct reader *r, const json_t *all)
{
	static const struct { const char *name; Troupe__BatchRole role; } kinds[] = {
		{ "success", TROUPE__BATCH_ROLE__CALLBACK_SUCCESS }, { "failure", TROUPE__BATCH_ROLE__CALLBACK_FAILURE }, { "end", TROUPE__BATCH_ROLE__CALLBACK_END },
	};
	size_t known = 0;
	for (size_t i = 0; i < ELEMENTS(kinds); i++) {
		const json_t *v = json_object_get(all, kinds[i].name);
		struct error why = { .code = ERROR_NONE };
		struct id id = bulk_id(&r->dag->id, 2 * r->n + i + 1);
		Troupe__TaskSpec *t;
		if (!v)
			continue;
		known++;
		int code = read_extra(r, v, kinds[i].role, &t, &why);
		if (code > 0) {
			error_set(r->e, why.code, "callback %s: %s", kinds[i].name, why.text);
			error_cure(r->e, "%s", why.cure);
			return code;
		}
		code = code ? code : add_task(r, t, NULL, &id);
		if (code != 0)
			return code;
	}
	if (all && (!json_is_object(all) || known != json_object_size(all)))
		return error_set(r->e, ERROR_BAD_REQUEST, "callbacks must be an object with success, failure or end");
	return 0;
}

/* --- order --- */

static uint64_t tail_of(const uint8_t *id)
{
	uint64_t v = 0;
	for (size_t i = 8; i < sizeof(struct id); i++)
		v = v << 8 | id[i];
	return v;
}

/* Ids are the batch's plus the place. */
static struct member *member_of(const struct reader *r, const Troupe__Edge *edge)
{
	uint64_t place = tail_of(edge->id.data) - tail_of(r->dag->id.b) - 1;
	struct member *m = place < r->n ? &r->members[place] : NULL;
	return m && memcmp(m->id.b, edge->id.data, sizeof m->id.b) == 0 ? m : NULL; /* else it was there before */
}

/* One of those that stand in no order yet, whom m waits for. */
static struct member *held_by(const struct reader *r, struct member *m)
{
	for (; m->n_met < m->task->n_depends_on; m->n_met++) {
		struct member *other = member_of(r, m->task->depends_on[m->n_met]);
		if (other && !other->placed)
			return other;
	}
	return NULL;
}

/* From any task that is left, whoever holds it up, and so on, comes round to one that was met. */
static int tell_circle(struct reader *r, struct member *m)
{
	struct error why = { .code = ERROR_BAD_REQUEST, .cure = "take one of these edges out" };
	for (size_t i = 0; i < r->n; i++)
		m = held_by(r, m);
	struct member *first = m;
	size_t n = 0, len = (size_t)snprintf(why.text, sizeof why.text, "it waits for itself: %.40s", first->name);
	do {
		m = held_by(r, m);
		if (++n < CIRCLE_SHOWN || m == first)
			len += (size_t)snprintf(why.text + len, sizeof why.text - len, "%s waits for %.20s", n > 1 ? ", which" : "", m->name);
		else if (n == CIRCLE_SHOWN)
			len += (size_t)snprintf(why.text + len, sizeof why.text - len, ", and so on");
	} while (m != first);
	return wrong(r, first, "", &why);
}

/* Whom nobody holds up comes next, in the order of the document. */
static int place_members(struct reader *r)
{
	size_t left = r->n;
	while (left) {
		size_t before = left;
		for (size_t i = 0; i < r->n; i++) {
			struct member *m = &r->members[i];
			if (m->placed || held_by(r, m))
				continue;
			int code = add_task(r, m->task, m->name, &m->id);
			if (code != 0)
				return code;
			m->placed = true;
			left--;
		}
		for (size_t i = 0; before == left && i < r->n; i++)
			if (!r->members[i].placed)
				return tell_circle(r, &r->members[i]);
	}
	return 0;
}

/* --- the document --- */

static int read_head(struct reader *r, const json_t *j)
{
	static const char *const known[] = { "name", "queue", "on_failure", "tasks", "callbacks" };
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		bool found = false;
		for (size_t i = 0; i < ELEMENTS(known); i++)
			found |= strcmp(known[i], key) == 0;
		if (!found) {
			const char *best = suggest(key, known, ELEMENTS(known));
			error_set(r->e, ERROR_BAD_REQUEST, "a batch has no member '%.40s'", key);
			error_cure(r->e, "%s%s%s", best ? "did you mean " : "it has name, queue, on_failure, tasks and callbacks", best ? best : "", best ? "?" : "");
			return ERROR_BAD_REQUEST;
		}
		if (strcmp(key, "tasks") != 0 && strcmp(key, "callbacks") != 0 && !json_is_string(value))
			return error_set(r->e, ERROR_BAD_REQUEST, "%s must be a string", key);
	}
	const char *name = json_string_value(json_object_get(j, "name")), *then = json_string_value(json_object_get(j, "on_failure"));
	const char *queue = json_string_value(json_object_get(j, "queue"));
	if (name && strlen(name) > DAG_NAME_MAX)
		return error_set(r->e, ERROR_BAD_REQUEST, "the batch's name has more than %u bytes", DAG_NAME_MAX);
	if (name)
		r->dag->batch.name = arena_string(r->arena, name);
	if (then && strcmp(then, "continue") == 0)
		r->dag->batch.on_failure = TROUPE__BATCH_SPEC__ON_FAILURE__CONTINUE;
	else if (then && strcmp(then, "cancel_rest") != 0)
		return error_set(r->e, ERROR_BAD_REQUEST, "on_failure must be cancel_rest or continue, not '%.40s'", then);
	if (queue)
		r->queue = arena_string(r->arena, queue);
	return r->dag->batch.name && (!queue || r->queue) ? 0 : -ENOMEM;
}

static int read_document(struct reader *r, const json_t *j, const char *text, size_t len)
{
	const json_t *tasks = json_object_get(j, "tasks");
	int code = read_head(r, j);
	if (code != 0)
		return code;
	if (!json_is_array(tasks) || json_array_size(tasks) == 0)
		return error_set(r->e, ERROR_BAD_REQUEST, "tasks must be an array of tasks, and not empty");
	if (json_array_size(tasks) > DAG_TASKS_MAX) {
		error_set(r->e, ERROR_TOO_LARGE, "it has %zu tasks, more than %u", json_array_size(tasks), DAG_TASKS_MAX);
		error_cure(r->e, "make several batches of them");
		return ERROR_TOO_LARGE;
	}
	code = read_names(r, tasks, text, len);
	code = code ? code : read_members(r);
	code = code ? code : place_members(r);
	code = code ? code : read_compensations(r);
	code = code ? code : read_callbacks(r, json_object_get(j, "callbacks"));
	return code ? code : read_files(r);
}

int dag_read(const char *text, size_t len, const struct dag_defaults *defaults, struct arena *a, struct dag *ret, struct error *e)
{
	json_error_t je;
	struct reader r = { .arena = a, .dag = ret, .defaults = defaults, .queue = defaults->queue, .e = e };
	r.last_file = &r.files;
	*ret = (struct dag){ .id = defaults->batch, .tasks = arena_zalloc(a, DAG_TASKS_MAX * sizeof *ret->tasks), .names = arena_zalloc(a, DAG_TASKS_MAX * sizeof *ret->names) };
	if (!ret->tasks || !ret->names)
		return -ENOMEM;
	troupe__batch_spec__init(&ret->batch);
	ret->batch.id = (ProtobufCBinaryData){ .len = sizeof ret->id.b, .data = arena_copy(a, ret->id.b, sizeof ret->id.b) };
	if (!ret->batch.id.data)
		return -ENOMEM;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(j)) {
		error_set(e, ERROR_BAD_REQUEST, "line %d, column %d: it is no JSON object: %s", j ? 1 : je.line, j ? 1 : je.column, j ? "something else" : je.text);
		if (e)
			e->index = j ? 1 : (uint32_t)je.line;
		json_decref(j);
		return ERROR_BAD_REQUEST;
	}
	int code = read_document(&r, j, text, len);
	json_decref(j);
	return code;
}
