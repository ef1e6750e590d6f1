/* Stimuli: tasks come in. */
#include <string.h>
#include "common/base/parse.h"
#include "tests/queue/play.h"

struct client *client_by(struct play *p, struct words *w)
{
	return client_named(p, word_after(w, "by"));
}

/* "a,b:end,c:failure" */
static void read_edges(struct play *p, Troupe__TaskSpec *s, const char *list)
{
	char *all[512];
	size_t n = text_split(arena_string(p->arena, list), ',', all, 512);
	MUST((s->depends_on = arena_alloc(p->arena, (n + 1) * sizeof *s->depends_on)));
	for (size_t i = 0; i < n; i++) {
		Troupe__Edge *e = s->depends_on[s->n_depends_on++] = arena_alloc(p->arena, sizeof *e);
		char *on = strchr(all[i], ':');
		MUST(e);
		troupe__edge__init(e);
		if (on)
			*on++ = 0;
		e->on = on ? (Troupe__EdgeOn)VALUE_WORD(on, "edge", "success", "end", "failure") : TROUPE__EDGE_ON__ON_SUCCESS;
		struct named *t = task_named(p, all[i]);
		e->id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	}
}

static void read_retry(struct play *p, Troupe__TaskSpec *s, struct words *w)
{
	static const char *const names[] = { "max_attempts", "backoff", "backoff_base", "backoff_factor", "backoff_cap", "backoff_list", "jitter", "rules" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = word_value(w, names[i]);
		if (!value)
			continue;
		if (!s->retry) {
			MUST((s->retry = arena_alloc(p->arena, sizeof *s->retry)));
			troupe__retry_policy__init(s->retry);
		}
		retry_set(p->arena, s->retry, names[i], value);
	}
}

static void read_times(struct play *p, Troupe__TaskSpec *s, struct words *w)
{
	const char *value;
	if ((value = word_value(w, "delay")))
		s->delay_ms = value_ms(value);
	if ((value = word_value(w, "run_at")))
		s->run_at_ms = p->s->wall_ms + value_ms(value);
	if ((value = word_value(w, "deadline")))
		s->deadline_at_ms = p->s->wall_ms + value_ms(value);
	if ((value = word_value(w, "timeout")))
		s->timeout_ms = value_ms(value);
	if ((value = word_value(w, "window")))
		s->unique_window_ms = value_ms(value);
}

static void read_payload(struct play *p, Troupe__TaskSpec *s, struct words *w)
{
	const char *text = word_quoted(w), *bytes = word_value(w, "bytes");
	if (text)
		s->payload = (ProtobufCBinaryData){ strlen(text), (uint8_t *)arena_string(p->arena, text) };
	if (!bytes)
		return;
	s->payload.len = value_bytes(bytes);
	MUST((s->payload.data = arena_alloc(p->arena, s->payload.len + 1)));
	memset(s->payload.data, 'x', s->payload.len);
}

/* Who stands in a batch for what. */
static void read_role(struct play *p, Troupe__TaskSpec *s, struct words *w)
{
	const char *callback = word_value(w, "callback"), *undoes = word_value(w, "undoes");
	if (callback)
		s->role = (Troupe__BatchRole)(TROUPE__BATCH_ROLE__CALLBACK_SUCCESS + VALUE_WORD(callback, "callback", "success", "failure", "end"));
	if (!undoes)
		return;
	struct named *t = task_named(p, undoes);
	s->role = TROUPE__BATCH_ROLE__COMPENSATION;
	s->compensates = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
}

static size_t read_list(struct play *p, const char *list, char ***ret)
{
	MUST((*ret = arena_alloc(p->arena, 4096 * sizeof **ret)));
	return text_names(p->arena, list, *ret, 4096);
}

static Troupe__Level *read_level(struct play *p, const char *s)
{
	Troupe__Level *l = arena_alloc(p->arena, sizeof *l);
	struct error e;
	MUST(l);
	troupe__level__init(l);
	if (parse_priority(s, &l->value, &e))
		wrong("%s", e.text);
	return l;
}

Troupe__TaskSpec *spec_read(struct play *p, struct words *w, struct named *t, const char *queue)
{
	Troupe__TaskSpec *s = arena_alloc(p->arena, sizeof *s);
	const char *value;
	MUST(s);
	troupe__task_spec__init(s);
	if (t)
		s->id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	s->queue = arena_string(p->arena, queue);
	read_payload(p, s, w);
	read_times(p, s, w);
	read_retry(p, s, w);
	read_role(p, s, w);
	if ((value = word_value(w, "priority")))
		s->priority = read_level(p, value);
	if ((value = word_value(w, "unique")))
		s->unique_key = arena_string(p->arena, value);
	if ((value = word_value(w, "mode")))
		s->unique_mode = (Troupe__UniqueMode)VALUE_WORD(value, "mode of uniqueness", "reject", "return", "replace");
	if ((value = word_value(w, "key")))
		s->serial_key = arena_string(p->arena, value);
	if ((value = word_value(w, "tags")))
		s->n_tags = read_list(p, value, &s->tags);
	if ((value = word_value(w, "after")))
		read_edges(p, s, value);
	if ((value = word_value(w, "resources")))
		s->n_resources = value_resources(p->arena, value, &s->resources);
	if ((value = word_value(w, "type")))
		s->content_type = arena_string(p->arena, value);
	if ((value = word_value(w, "traceparent")))
		s->traceparent = arena_string(p->arena, value);
	s->hold_on_failure = word_flag(w, "hold");
	return s;
}

/* --- messages --- */

static Troupe__Submit *submit_new(struct play *p, struct words *w, struct acts *a)
{
	Troupe__Submit *m = arena_alloc(p->arena, sizeof *m);
	Troupe__Envelope *env = arena_alloc(p->arena, sizeof *env);
	MUST(m && env);
	troupe__submit__init(m);
	troupe__envelope__init(env);
	m->notify = word_flag(w, "notify");
	env->body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env->submit = m;
	act_ask(p, a, client_by(p, w), env);
	MUST((m->tasks = arena_alloc(p->arena, 8192 * sizeof *m->tasks)));
	return m;
}

/* TASK[,TASK...] QUEUE ["payload"] [option...]: all with the same options. */
static void add_tasks(struct play *p, struct words *w, Troupe__Submit *m)
{
	struct named *tasks[8192];
	size_t n = tasks_listed(p, word_need(w, "a task"), tasks, 8192);
	const char *queue = word_need(w, "a queue");
	Troupe__TaskSpec *first = spec_read(p, w, tasks[0], queue);
	if (m->n_tasks + n > 8192)
		wrong("too many tasks");
	for (size_t i = 0; i < n; i++) {
		Troupe__TaskSpec *s = arena_copy(p->arena, first, sizeof *s);
		MUST(s);
		s->id = (ProtobufCBinaryData){ sizeof tasks[i]->id.b, tasks[i]->id.b };
		m->tasks[m->n_tasks++] = s;
	}
}

static void submit(struct play *p, struct words *w, char *body, struct acts *a)
{
	if (body)
		wrong("several tasks in braces are a bulk or a batch");
	add_tasks(p, w, submit_new(p, w, a));
}

static void add_body(struct play *p, char *body, Troupe__Submit *m)
{
	char *lines[256];
	size_t n = body ? text_split(body, ';', lines, 256) : 0;
	if (!n)
		wrong("where are its tasks, in braces?");
	for (size_t i = 0; i < n; i++) {
		struct words w;
		words_read(&w, p->arena, lines[i]);
		add_tasks(p, &w, m);
		words_end(&w);
	}
}

static void bulk(struct play *p, struct words *w, char *body, struct acts *a)
{
	add_body(p, body, submit_new(p, w, a));
}

static void batch(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct named *t = task_named(p, word_need(w, "the batch"));
	const char *name = word_quoted(w), *on_failure = word_value(w, "on_failure");
	Troupe__Submit *m = submit_new(p, w, a);
	MUST((m->batch = arena_alloc(p->arena, sizeof *m->batch)));
	troupe__batch_spec__init(m->batch);
	m->batch->id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	m->batch->name = arena_string(p->arena, name ? name : t->name);
	if (on_failure)
		m->batch->on_failure = (Troupe__BatchSpec__OnFailure)VALUE_WORD(on_failure, "policy", "cancel_rest", "continue");
	add_body(p, body, m);
}

const struct stimulus submit_stimuli[] = { { "submit", submit }, { "bulk", bulk }, { "batch", batch }, { 0 } };
