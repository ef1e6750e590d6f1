/* Questions: what is the state, what does the coordinator say of it. Each is a turn of its own, in which nothing else may happen. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "tests/queue/play.h"

/* An answer, or an item that says why there is none. */
static const Troupe__Envelope *look_up(struct play *p, struct words *w, Troupe__Envelope *env)
{
	const Troupe__Envelope *answer = question(p, client_by(p, w), env);
	if (answer)
		return answer;
	if (p->s->refusal.code == ERROR_NO_TASK)
		item(p, "gone");
	else
		item(p, "refused %s %s", error_name(p->s->refusal.code), quoted_text(p, p->s->refusal.text));
	return NULL;
}

static Troupe__TaskRef ref_to(const struct named *t)
{
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof t->id.b, (uint8_t *)t->id.b };
	return ref;
}

/* Everything on one line is one item. */
struct line { struct play *p; const char *text; };
static void put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *l, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	MUST((l->text = arena_printf(l->p->arena, "%s%s%s", l->text, *l->text ? " " : "", text)));
}

static const char *since(struct play *p, uint64_t at_ms)
{
	char text[32];
	bool future = at_ms > p->s->wall_ms;
	if (!at_ms)
		return "never";
	format_duration(future ? at_ms - p->s->wall_ms : p->s->wall_ms - at_ms, text, sizeof text);
	return arena_printf(p->arena, "%c%s", future ? '+' : '-', text);
}

/* --- a task --- */

static const char *life_name_of(struct play *p, const char *address)
{
	for (const struct life *l = p->lives; l; l = l->next)
		if (strcmp(l->address, address) == 0)
			return l->name;
	return *address ? address : "nobody";
}

static const char *payload_of(struct play *p, const Troupe__TaskSpec *s)
{
	return quoted(p, s->payload.data, s->payload.len);
}

static void put_field(struct line *l, const char *field, const Troupe__Task *t)
{
	static const Troupe__Outcome none = TROUPE__OUTCOME__INIT;
	const Troupe__Outcome *o = t->outcome ? t->outcome : &none;
	struct play *p = l->p;
	switch (VALUE_WORD(field, "field of a task", "run", "attempts", "max_attempts", "worker", "error", "result", "progress", "priority", "queue", "payload", "ended", "due", "age",
	                   "finished", "submitter", "cancel_requested", "blocked", "number", "tried", "exit", "signal")) {
	case 0: put(l, "run=%u", t->run); break;
	case 1: put(l, "attempts=%u", t->attempts); break;
	case 2: put(l, "max_attempts=%u", t->max_attempts); break;
	case 3: put(l, "worker=%s", life_name_of(p, t->worker)); break;
	case 4: put(l, "error=%s", quoted_text(p, t->last_error)); break;
	case 5: put(l, "result=%s", quoted(p, o->output.data, o->output.len)); break;
	case 6: put(l, "progress=%u%%%s%s", t->percent, *t->note ? " " : "", *t->note ? quoted_text(p, t->note) : ""); break;
	case 7: put(l, "priority=%u", t->spec->priority ? t->spec->priority->value : 2000); break;
	case 8: put(l, "queue=%s", t->spec->queue); break;
	case 9: put(l, "payload=%s", payload_of(p, t->spec)); break;
	case 10: put(l, "ended=%s", class_name(o->exit_class)); break;
	case 11: put(l, "due=%s", since(p, t->due_at_ms)); break;
	case 12: put(l, "age=%s", since(p, t->submitted_at_ms)); break;
	case 13: put(l, "finished=%s", since(p, t->finished_at_ms)); break;
	case 14: put(l, "submitter=%s", quoted_text(p, t->submitter)); break;
	case 15: put(l, "cancel_requested=%s", t->cancel_requested ? "yes" : "no"); break;
	case 16: put(l, "blocked=%u", t->blocked); break;
	case 17: put(l, "number=%" PRIu64, t->seq); break;
	case 18:
		for (size_t i = 0; i < t->n_history; i++)
			put(l, "%s%u%s:%s", i ? "" : "tried=", t->history[i]->attempt, t->history[i]->counted ? "" : "(uncounted)",
			    class_name(t->history[i]->outcome ? t->history[i]->outcome->exit_class : TROUPE__EXIT_CLASS__EXIT_NONE));
		break;
	case 19: put(l, "exit=%d", o->exit_code); break;
	case 20: put(l, "signal=%d", o->signal); break;
	}
}

/* state a [FIELD...] => done attempts=1 */
static void look_state(struct play *p, struct words *w)
{
	struct named *t = task_known(p, word_need(w, "the task"));
	Troupe__TaskRef ref = ref_to(t);
	Troupe__Get m = TROUPE__GET__INIT;
	ENVELOPE(env, get, GET, &m);
	m.task = &ref;
	m.payload = m.output = m.history = true;
	const Troupe__Envelope *answer = look_up(p, w, &env);
	const char *field;
	if (!answer) {
		while (word_first(w))
			;
		return;
	}
	const Troupe__Task *x = answer->tasks->tasks[0];
	struct line l = { p, "" };
	put(&l, "%s", state_name(x->state));
	if (x->cause)
		put(&l, "%s", cause_name(x->cause));
	while ((field = word_first(w)))
		put_field(&l, field, x);
	item(p, "%s", l.text);
}

/* list [queue=] [state=] ... => b, a */
static void look_list(struct play *p, struct words *w)
{
	Troupe__List m = TROUPE__LIST__INIT;
	ENVELOPE(env, list, LIST, &m);
	m.filter = filter_read(p, w);
	const Troupe__Envelope *answer = look_up(p, w, &env);
	for (size_t i = 0; answer && i < answer->tasks->n_tasks; i++)
		item(p, "%s", task_of_id(p, answer->tasks->tasks[i]->spec->id)->name);
	if (answer && !answer->tasks->n_tasks)
		item(p, "nothing");
}

static void look_explain(struct play *p, struct words *w)
{
	struct named *t = task_known(p, word_need(w, "the task"));
	Troupe__TaskRef ref = ref_to(t);
	Troupe__Explain m = TROUPE__EXPLAIN__INIT;
	ENVELOPE(env, explain, EXPLAIN, &m);
	m.task = &ref;
	const Troupe__Envelope *answer = look_up(p, w, &env);
	if (!answer)
		return;
	item(p, "%s", quoted_text(p, answer->explained->text));
	for (size_t i = 0; i < answer->explained->n_lines; i++)
		item(p, "%s", quoted_text(p, answer->explained->lines[i]));
}

/* --- queues and workers --- */

static void put_queue(struct line *l, const char *field, const Troupe__Queue *q)
{
	const struct { const char *name; uint64_t n; } numbers[] = { { "submitted", q->submitted_total }, { "completed", q->completed_total }, { "failed", q->failed_total },
		{ "retried", q->retried_total }, { "dropped", q->dropped_total }, { "workers", q->workers }, { "busy", q->workers_busy }, { "bytes", q->bytes }, { "keys", q->keys },
		{ "concurrency", q->policy ? q->policy->concurrency : 0 }, { "max_tasks", q->policy ? q->policy->max_tasks : 0 },
		{ "max_attempts", q->policy && q->policy->retry ? q->policy->retry->max_attempts : 0 } };
	char age[32];
	for (size_t i = 0; i < ELEMENTS(numbers); i++)
		if (strcmp(numbers[i].name, field) == 0) {
			put(l, "%s=%" PRIu64, field, numbers[i].n);
			return;
		}
	switch (VALUE_WORD(field, "field of a queue", "paused", "draining", "oldest", "changed")) {
	case 0: q->paused ? put(l, "paused by %s %s", quoted_text(l->p, q->paused_by), quoted_text(l->p, q->paused_why)) : put(l, "not paused"); break;
	case 1: q->draining ? put(l, "draining by %s %s", quoted_text(l->p, q->draining_by), quoted_text(l->p, q->draining_why)) : put(l, "not draining"); break;
	case 2: put(l, "oldest=%s", format_duration(q->oldest_ready_ms, age, sizeof age)); break;
	case 3:
		for (size_t i = 0; i < q->n_changed; i++)
			put(l, "%s%s", i ? "" : "changed: ", q->changed[i]);
		if (!q->n_changed)
			put(l, "not changed");
		break;
	}
}

/* queue mail [FIELD...] => ready=3 running=1 */
static void look_queue(struct play *p, struct words *w)
{
	Troupe__QueueAsk m = TROUPE__QUEUE_ASK__INIT;
	ENVELOPE(env, queue_ask, QUEUE_ASK, &m);
	const char *field;
	struct line l = { p, "" };
	m.name = arena_string(p->arena, word_need(w, "the queue"));
	const Troupe__Envelope *answer = look_up(p, w, &env);
	if (!answer)
		return;
	const Troupe__Queue *q = answer->queues->queues[0];
	const struct { const char *name; uint64_t n; } states[] = { { "scheduled", q->scheduled }, { "ready", q->ready }, { "running", q->running }, { "done", q->done },
		{ "cancelled", q->cancelled }, { "dead", q->dead } };
	for (size_t i = 0; i < ELEMENTS(states); i++)
		if (states[i].n)
			put(&l, "%s=%" PRIu64, states[i].name, states[i].n);
	if (!*l.text)
		put(&l, "empty");
	while ((field = word_first(w)))
		put_queue(&l, field, q);
	item(p, "%s", l.text);
}

static void look_workers(struct play *p, struct words *w)
{
	Troupe__WorkersAsk m = TROUPE__WORKERS_ASK__INIT;
	ENVELOPE(env, workers_ask, WORKERS_ASK, &m);
	const Troupe__Envelope *answer = look_up(p, w, &env);
	for (size_t i = 0; answer && i < answer->workers->n_rows; i++) {
		const Troupe__WorkerRow *x = answer->workers->rows[i];
		const char *broken = *x->broken ? quoted_text(p, x->broken) : "";
		const char *with = !x->busy ? "idle" : x->held > 1 ? arena_printf(p->arena, "busy with %u", x->held) : arena_printf(p->arena, "busy with %s", task_of_id(p, x->task)->name);
		item(p, "%s %s%s%s%s", life_name_of(p, x->address), with, x->draining ? " draining" : "", *broken ? " " : "", broken);
	}
	if (answer && !answer->workers->n_rows)
		item(p, "nobody");
}

/* --- the log --- */

static struct cursor *cursor_named(struct play *p, const char *name, bool must_be)
{
	struct cursor *c = p->cursors;
	while (c && strcmp(c->name, name) != 0)
		c = c->next;
	if (c)
		return c;
	if (must_be)
		wrong("no log gave a cursor %s", name);
	MUST((c = arena_zalloc(p->arena, sizeof *c)));
	c->name = arena_string(p->arena, name);
	troupe__log_cursor__init(&c->at);
	c->next = p->cursors;
	p->cursors = c;
	return c;
}

/* log [from=CURSOR | from=end | from=1] [task=a] [limit=10] [as=CURSOR] => GAP, +a, a given#1 */
static void look_log(struct play *p, struct words *w)
{
	Troupe__LogAsk m = TROUPE__LOG_ASK__INIT;
	Troupe__LogCursor at = TROUPE__LOG_CURSOR__INIT;
	ENVELOPE(env, log_ask, LOG_ASK, &m);
	const char *from = word_value(w, "from"), *as = word_value(w, "as"), *limit = word_value(w, "limit"), *of = word_value(w, "task");
	m.limit = limit ? (uint32_t)value_number(limit) : 1000;
	m.from_end = from && strcmp(from, "end") == 0;
	if (from && *from >= '0' && *from <= '9') {
		at.commit = value_number(from);
		m.after = &at;
	} else if (from && !m.from_end) {
		m.after = &cursor_named(p, from, true)->at;
	}
	if (of) {
		struct named *t = task_known(p, of);
		m.task = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	}
	const Troupe__Envelope *answer = look_up(p, w, &env);
	if (!answer)
		return;
	if (answer->log->gap)
		item(p, "GAP");
	for (size_t i = 0; i < answer->log->n_rows; i++) {
		const Troupe__Transition *x = answer->log->rows[i];
		item(p, "%s", transition_text(p, x->kind, task_of_id(p, x->id), x->attempt, x->exit_class, x->cause));
	}
	if (!answer->log->n_rows)
		item(p, "nothing");
	if (!as)
		return;
	struct cursor *c = cursor_named(p, as, false);
	c->at.commit = answer->log->next->commit;
	c->at.index = answer->log->next->index;
}

/* --- cron and batches --- */

static const char *utc(struct play *p, uint64_t wall_ms)
{
	char text[25];
	clock_format(wall_ms, text);
	text[19] = 0; /* no milliseconds */
	return wall_ms ? arena_printf(p->arena, "%sZ", text) : "never";
}

/* cron nightly => next 2024-03-31T01:00:00Z submitted 2 */
static void look_cron(struct play *p, struct words *w)
{
	Troupe__CronAsk m = TROUPE__CRON_ASK__INIT;
	ENVELOPE(env, cron_ask, CRON_ASK, &m);
	m.name = arena_string(p->arena, word_need(w, "the entry"));
	const Troupe__Envelope *answer = look_up(p, w, &env);
	if (!answer)
		return;
	if (!answer->crons->n_crons) {
		item(p, "gone");
		return;
	}
	const Troupe__Cron *x = answer->crons->crons[0];
	item(p, "next %s", utc(p, x->next_at_ms));
	if (x->last_at_ms)
		item(p, "last %s", utc(p, x->last_at_ms));
	if (x->submitted_total)
		item(p, "submitted %" PRIu64, x->submitted_total);
	if (x->skipped_total)
		item(p, "skipped %" PRIu64, x->skipped_total);
	if (x->paused)
		item(p, "paused by %s %s", quoted_text(p, x->paused_by), quoted_text(p, x->paused_why));
	if (*x->last_error)
		item(p, "error %s", quoted_text(p, x->last_error));
}

/* preview "0 3 * * *" [zone=Europe/Berlin] [count=3] => "...", "..." */
static void look_preview(struct play *p, struct words *w)
{
	Troupe__CronPreview m = TROUPE__CRON_PREVIEW__INIT;
	Troupe__CronSpec s = TROUPE__CRON_SPEC__INIT;
	ENVELOPE(env, cron_preview, CRON_PREVIEW, &m);
	const char *when = word_quoted(w), *zone = word_value(w, "zone"), *count = word_value(w, "count");
	s.expression = arena_string(p->arena, when ? when : "");
	if (zone)
		s.zone = arena_string(p->arena, zone);
	m.spec = &s;
	m.count = count ? (uint32_t)value_number(count) : 3;
	const Troupe__Envelope *answer = look_up(p, w, &env);
	for (size_t i = 0; answer && i < answer->cron_times->n_local; i++)
		item(p, "%s", quoted_text(p, answer->cron_times->local[i]));
	if (answer && !answer->cron_times->n_local)
		item(p, "never");
}

static const char *batch_state(Troupe__Batch__State s)
{
	switch (s) {
	case TROUPE__BATCH__STATE__OPEN: return "open";
	case TROUPE__BATCH__STATE__SUCCEEDED: return "succeeded";
	case TROUPE__BATCH__STATE__FAILED: return "failed";
	case TROUPE__BATCH__STATE__COMPENSATING: return "compensating";
	case TROUPE__BATCH__STATE__COMPENSATED: return "compensated";
	case _TROUPE__BATCH__STATE_IS_INT_SIZE: break;
	}
	return "unknown";
}

/* batch B => open members=3 done=1 */
static void look_batch(struct play *p, struct words *w)
{
	Troupe__BatchAsk m = TROUPE__BATCH_ASK__INIT;
	ENVELOPE(env, batch_ask, BATCH_ASK, &m);
	struct named *t = task_known(p, word_need(w, "the batch"));
	m.id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	const Troupe__Envelope *answer = look_up(p, w, &env);
	if (!answer)
		return;
	if (!answer->batches->n_batches) {
		item(p, "gone");
		return;
	}
	const Troupe__Batch *b = answer->batches->batches[0];
	const struct { const char *name; uint32_t n; } numbers[] = { { "members", b->members }, { "done", b->done }, { "dead", b->dead }, { "cancelled", b->cancelled },
		{ "compensations", b->compensations }, { "compensated", b->compensated } };
	struct line l = { p, "" };
	put(&l, "%s", batch_state(b->state));
	for (size_t i = 0; i < ELEMENTS(numbers); i++)
		if (numbers[i].n)
			put(&l, "%s=%u", numbers[i].name, numbers[i].n);
	item(p, "%s", l.text);
}

const struct look looks[] = { { "state", look_state }, { "list", look_list }, { "explain", look_explain }, { "queue", look_queue }, { "workers", look_workers }, { "log", look_log },
	{ "cron", look_cron }, { "preview", look_preview }, { "batch", look_batch }, { 0 } };

/* --- the store against itself --- */

void check_all(struct play *p)
{
	Troupe__CheckStore m = TROUPE__CHECK_STORE__INIT;
	ENVELOPE(env, check_store, CHECK_STORE, &m);
	const Troupe__Envelope *answer = question(p, NULL, &env);
	if (!answer)
		wrong("the store could not be checked: %s", p->s->refusal.text);
	for (size_t i = 0; i < answer->store_checked->n_lines; i++)
		item(p, "STORE %s", quoted_text(p, answer->store_checked->lines[i]));
	if (answer->store_checked->problems && !answer->store_checked->n_lines)
		item(p, "STORE %" PRIu64 " problems", answer->store_checked->problems);
}
