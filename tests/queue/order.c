/* Stimuli: what operators and clients ask for. */
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "tests/queue/play.h"

#define NEW(p, type, init) __extension__({ type *_x = arena_alloc((p)->arena, sizeof *_x); MUST(_x); init(_x); _x; })

static Troupe__Envelope *ask(struct play *p, struct words *w, struct acts *a, Troupe__Envelope__BodyCase body)
{
	Troupe__Envelope *env = NEW(p, Troupe__Envelope, troupe__envelope__init);
	env->body_case = body;
	act_ask(p, a, client_by(p, w), env);
	return env;
}

Troupe__TaskRef **refs_of(struct play *p, struct named **tasks, size_t n)
{
	Troupe__TaskRef **all = arena_alloc(p->arena, (n + 1) * sizeof *all);
	MUST(all);
	for (size_t i = 0; i < n; i++) {
		all[i] = NEW(p, Troupe__TaskRef, troupe__task_ref__init);
		all[i]->id = (ProtobufCBinaryData){ sizeof tasks[i]->id.b, tasks[i]->id.b };
	}
	return all;
}

/* --- which tasks --- */

struct which { Troupe__TaskRef **refs; size_t n; Troupe__Filter *filter; bool dry_run; };

Troupe__Filter *filter_read(struct play *p, struct words *w)
{
	Troupe__Filter *f = NEW(p, Troupe__Filter, troupe__filter__init);
	const char *value;
	char *names[16];
	if ((value = word_value(w, "queue")))
		f->queue = arena_string(p->arena, value);
	if ((value = word_value(w, "state"))) {
		size_t n = text_names(p->arena, value, names, ELEMENTS(names));
		MUST((f->states = arena_alloc(p->arena, n * sizeof *f->states)));
		for (size_t i = 0; i < n; i++)
			f->states[f->n_states++] = (Troupe__TaskState)VALUE_WORD(names[i], "state", "any", "scheduled", "ready", "running", "done", "cancelled", "dead");
	}
	f->failed = word_flag(w, "failed");
	if ((value = word_value(w, "tag")))
		f->tag = arena_string(p->arena, value);
	if ((value = word_value(w, "error")))
		f->error_text = arena_string(p->arena, value);
	if ((value = word_value(w, "older")))
		f->before_ms = p->s->wall_ms - value_ms(value);
	if ((value = word_value(w, "younger")))
		f->after_ms = p->s->wall_ms - value_ms(value);
	if ((value = word_value(w, "key")))
		f->serial_key = arena_string(p->arena, value);
	if ((value = word_value(w, "submitter")))
		f->submitter = (char *)client_named(p, value)->subject;
	if ((value = word_value(w, "batch"))) {
		struct named *t = task_known(p, value);
		f->batch = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	}
	return f;
}

/* TASK[,TASK...], or: where [queue=] [state=] [tag=] [error=] [older=] [younger=] [key=] [submitter=] [batch=] [failed]; with: dry */
static struct which read_which(struct play *p, struct words *w)
{
	struct which x = { .dry_run = word_flag(w, "dry") };
	struct named *tasks[1024];
	if (word_flag(w, "where")) {
		x.filter = filter_read(p, w);
		return x;
	}
	const char *list = word_need(w, "which task");
	x.n = tasks_listed(p, list, tasks, ELEMENTS(tasks));
	x.refs = refs_of(p, tasks, x.n);
	return x;
}

static void cancel(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_CANCEL);
	Troupe__Cancel *m = env->cancel = NEW(p, Troupe__Cancel, troupe__cancel__init);
	struct which x = read_which(p, w);
	m->tasks = x.refs;
	m->n_tasks = x.n;
	m->filter = x.filter;
	m->dry_run = x.dry_run;
}

/* retry a | retry where ... [rate=10/s] [force] */
static void retry(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_RETRY);
	Troupe__Retry *m = env->retry = NEW(p, Troupe__Retry, troupe__retry__init);
	const char *rate = word_value(w, "rate");
	m->force = word_flag(w, "force");
	struct which x = read_which(p, w);
	m->tasks = x.refs;
	m->n_tasks = x.n;
	m->filter = x.filter;
	m->dry_run = x.dry_run;
	m->rate = rate ? value_rate(p->arena, rate) : NULL;
	for (struct life *l = p->lives; l && m->force; l = l->next)
		l->forgiven |= !l->alive;
}

static void purge(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_PURGE);
	Troupe__Purge *m = env->purge = NEW(p, Troupe__Purge, troupe__purge__init);
	struct which x = read_which(p, w);
	m->tasks = x.refs;
	m->n_tasks = x.n;
	m->filter = x.filter;
	m->dry_run = x.dry_run;
}

/* alter a|where ... [to_priority=high] [to_queue=bulk] [edit "payload"] */
static void alter(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_ALTER);
	Troupe__Alter *m = env->alter = NEW(p, Troupe__Alter, troupe__alter__init);
	const char *priority = word_value(w, "to_priority"), *queue = word_value(w, "to_queue"), *text = word_quoted(w);
	struct error e;
	if (priority) {
		m->priority = NEW(p, Troupe__Level, troupe__level__init);
		if (parse_priority(priority, &m->priority->value, &e))
			wrong("%s", e.text);
	}
	if (queue)
		m->queue = arena_string(p->arena, queue);
	if ((m->content = text != NULL))
		m->payload = (ProtobufCBinaryData){ strlen(text), (uint8_t *)arena_string(p->arena, text) };
	struct which x = read_which(p, w);
	m->tasks = x.refs;
	m->n_tasks = x.n;
	m->filter = x.filter;
	m->dry_run = x.dry_run;
}

/* --- queues --- */

static Troupe__QueueOrder *order(struct play *p, struct words *w, struct acts *a, Troupe__QueueOrder__Op op, bool named)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_QUEUE_ORDER);
	Troupe__QueueOrder *m = env->queue_order = NEW(p, Troupe__QueueOrder, troupe__queue_order__init);
	const char *why = word_quoted(w);
	m->op = op;
	if (named)
		m->name = arena_string(p->arena, word_need(w, "the queue"));
	if (why)
		m->why = arena_string(p->arena, why);
	return m;
}

#define QUEUE_ORDER(function, op, named)                                                                    \
	static void function(struct play *p, struct words *w, char *body, struct acts *a)                   \
	{                                                                                                   \
		order(p, w, a, TROUPE__QUEUE_ORDER__OP__##op, named);                                       \
	}
QUEUE_ORDER(pause_queue, PAUSE, true)
QUEUE_ORDER(resume, RESUME, true)
QUEUE_ORDER(drain, DRAIN, true)
QUEUE_ORDER(remove_queue, REMOVE, true)
QUEUE_ORDER(quiet, QUIET, false)
QUEUE_ORDER(unquiet, UNQUIET, false)

/* The fields that stand in the line, with their values. */
static void read_fields(struct play *p, struct words *w, Troupe__QueueOrder *m)
{
	m->policy = NEW(p, Troupe__QueuePolicy, troupe__queue_policy__init);
	m->policy->retry = NEW(p, Troupe__RetryPolicy, troupe__retry_policy__init);
	m->policy->name = m->name;
	MUST((m->fields = arena_alloc(p->arena, WORDS_MAX * sizeof *m->fields)));
	for (size_t i = 0; i < w->n; i++) {
		struct word *x = &w->all[i];
		if (!x->value || x->taken || !field_set(p->arena, m->policy, x->text, x->value))
			continue;
		x->taken = true;
		m->fields[m->n_fields++] = x->text;
	}
}

static void set(struct play *p, struct words *w, char *body, struct acts *a)
{
	read_fields(p, w, order(p, w, a, TROUPE__QUEUE_ORDER__OP__SET, true));
}

static void add(struct play *p, struct words *w, char *body, struct acts *a)
{
	read_fields(p, w, order(p, w, a, TROUPE__QUEUE_ORDER__OP__ADD, true));
}

/* configure mail FIELD=VALUE...: the configuration file has changed, and is read again. */
static void configure(struct play *p, struct words *w, char *body, struct acts *a)
{
	const char *name = word_need(w, "the queue");
	Troupe__QueuePolicy *policy = NULL;
	for (size_t i = 0; i < p->s->coordinator_setup.n_queues; i++)
		if (strcmp(p->s->queues[i]->name, name) == 0)
			policy = p->s->queues[i];
	if (!policy)
		policy = stage_queue(p->s, name);
	for (size_t i = 0; i < w->n; i++)
		if (w->all[i].value && !w->all[i].taken && field_set(p->arena, policy, w->all[i].text, w->all[i].value))
			w->all[i].taken = true;
	act_add(a, ACT_RELOAD);
}

/* --- cron --- */

/* cron add NAME "when" QUEUE ["payload"] [zone=] [overlap=skip|queue|replace] [missed=none|one|all] [replace] [what a submit has]; cron remove|pause|resume|run NAME ["why"] */
static void cron(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_CRON_ORDER);
	Troupe__CronOrder *m = env->cron_order = NEW(p, Troupe__CronOrder, troupe__cron_order__init);
	const char *value;
	m->op = (Troupe__CronOrder__Op)VALUE_WORD(word_need(w, "what to do"), "order", "", "add", "remove", "pause", "resume", "run");
	m->name = arena_string(p->arena, word_need(w, "the entry's name"));
	const char *text = word_quoted(w);
	if (m->op != TROUPE__CRON_ORDER__OP__ADD) {
		if (text)
			m->why = arena_string(p->arena, text);
		return;
	}
	Troupe__CronSpec *s = m->spec = NEW(p, Troupe__CronSpec, troupe__cron_spec__init);
	m->replace = word_flag(w, "replace");
	s->name = m->name;
	s->expression = arena_string(p->arena, text ? text : "");
	if ((value = word_value(w, "zone")))
		s->zone = arena_string(p->arena, value);
	if ((value = word_value(w, "overlap")))
		s->overlap = (Troupe__CronSpec__Overlap)VALUE_WORD(value, "policy", "skip", "queue", "replace");
	if ((value = word_value(w, "missed")))
		s->missed = (Troupe__CronSpec__Missed)VALUE_WORD(value, "policy", "none", "one", "all");
	const char *queue = word_need(w, "the queue");
	s->task = spec_read(p, w, NULL, queue);
}

/* --- clients --- */

static void remember(struct play *p, struct act *x, uint64_t within_ms)
{
	struct pending *q = arena_zalloc(p->arena, sizeof *q);
	struct pending **at = &p->pending;
	MUST(q);
	memcpy(q->id, x->id, sizeof q->id);
	q->client = x->client;
	q->env = x->env;
	q->until_ms = p->s->now_ms + within_ms;
	while (*at)
		at = &(*at)->next;
	*at = x->pending = q;
}

/* await a,b [any] [within=10s]: the answer may come later. */
static void await(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_WAIT);
	Troupe__Wait *m = env->wait = NEW(p, Troupe__Wait, troupe__wait__init);
	const char *within = word_value(w, "within");
	m->any = word_flag(w, "any");
	m->output = true;
	struct which x = read_which(p, w);
	m->tasks = x.refs;
	m->n_tasks = x.n;
	env->deadline_ms = within ? value_ms(within) : 3600 * 1000;
	remember(p, &a->all[a->n - 1], env->deadline_ms);
}

/* follow [within=10s] [from=CURSOR]: the log, as soon as there is something new. */
static void follow(struct play *p, struct words *w, char *body, struct acts *a)
{
	Troupe__Envelope *env = ask(p, w, a, TROUPE__ENVELOPE__BODY_LOG_ASK);
	Troupe__LogAsk *m = env->log_ask = NEW(p, Troupe__LogAsk, troupe__log_ask__init);
	const char *within = word_value(w, "within"), *from = word_value(w, "from");
	m->follow_ms = within ? value_ms(within) : 60000;
	m->from_end = !from;
	for (struct cursor *c = p->cursors; c && from; c = c->next)
		if (strcmp(c->name, from) == 0)
			m->after = &c->at;
	if (from && !m->after)
		wrong("no log gave a cursor %s", from);
	remember(p, &a->all[a->n - 1], m->follow_ms);
}

/* gone bob: a client hangs up, and asks for nothing again. */
static void gone(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct client *c = client_named(p, word_need(w, "the client"));
	act_add(a, ACT_GONE)->peer = c->peer;
	c->peer = ++p->next_peer;
	for (struct pending *q = p->pending; q; q = q->next)
		q->done |= q->client == c;
}

const struct stimulus order_stimuli[] = { { "cancel", cancel }, { "retry", retry }, { "purge", purge }, { "alter", alter }, { "pause", pause_queue }, { "resume", resume },
	{ "drain", drain }, { "remove", remove_queue }, { "quiet", quiet }, { "unquiet", unquiet }, { "set", set }, { "add", add }, { "configure", configure }, { "cron", cron },
	{ "await", await }, { "follow", follow }, { "gone", gone }, { 0 } };
