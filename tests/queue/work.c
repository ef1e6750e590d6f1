/* Stimuli: what workers and their supervisor say. */
#include <string.h>
#include "tests/queue/play.h"

static void refuse_body(const char *body)
{
	if (body)
		wrong("what are the braces for?");
}

/* --- workers come and go --- */

static void read_worker(struct play *p, struct life *l, struct words *w)
{
	const char *value;
	if ((value = word_value(w, "queues"))) {
		MUST((l->queues = arena_alloc(p->arena, 64 * sizeof *l->queues)));
		l->n_queues = text_names(p->arena, value, l->queues, 64);
	}
	if ((value = word_value(w, "tags"))) {
		MUST((l->tags = arena_alloc(p->arena, 64 * sizeof *l->tags)));
		l->n_tags = text_names(p->arena, value, l->tags, 64);
	}
	if ((value = word_value(w, "resources")))
		l->n_resources = value_resources(p->arena, value, &l->resources);
	if ((value = word_value(w, "slots")))
		l->slots = (uint32_t)value_number(value);
	if ((value = word_value(w, "broken")))
		l->broken = *value ? arena_string(p->arena, value) : NULL;
}

/* worker w1 queues=mail,bulk [slots=2] [tags=gpu] [pool=p] [resources=gpu:2] [lazy]: starts and attaches; the next incarnation, where there was one. */
static void worker(struct play *p, struct words *w, char *body, struct acts *a)
{
	const char *name = word_need(w, "the worker's name"), *pool = word_value(w, "pool");
	struct life *before = life_named(p, name), *l;
	refuse_body(body);
	if (before && before->alive)
		wrong("%s is there already", name);
	l = life_new(p, name, before);
	if (pool || !before)
		l->pool = arena_string(p->arena, pool ? pool : "pool");
	MUST((l->address = arena_printf(p->arena, "worker:%s/%s", l->pool, name)));
	l->mode = "exec";
	l->slots = l->slots ? l->slots : 1;
	l->lazy |= word_flag(w, "lazy");
	read_worker(p, l, w);
	if (!l->n_queues)
		wrong("which queues does %s serve?", name);
	act_attach(a, l);
}

/* hangup w1: its connection is lost, and stays so until it attaches. Of a dead worker: its last words have been read. */
static void hangup(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	refuse_body(body);
	if (!l->peer)
		wrong("%s has no connection", l->name);
	struct act *x = act_add(a, ACT_LINK_DOWN);
	x->life = l;
	x->peer = l->peer;
	l->peer = 0;
	l->attached = l->talking = false;
	l->away = l->alive;
}

static void read_holding(struct play *p, struct life *l, struct words *w)
{
	const char *list = word_after(w, "holding");
	struct named *tasks[256];
	if (!list)
		return;
	size_t n = strcmp(list, "nothing") == 0 ? 0 : tasks_listed(p, list, tasks, 256);
	for (struct held *h = l->held, *next; h; h = next) {
		bool named = false;
		next = h->next;
		for (size_t i = 0; i < n; i++)
			named |= tasks[i] == h->task;
		if (!named)
			held_drop(l, h);
	}
	for (size_t i = 0; i < n; i++)
		if (!held_task(l, tasks[i]))
			wrong("%s has no %s", l->name, tasks[i]->name);
}

/* attach w1 [holding a,b | holding nothing] [slots=2] [broken="why"] [update] */
static void attach(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	bool update = word_flag(w, "update");
	refuse_body(body);
	if (!l->alive)
		wrong("%s is dead", l->name);
	read_worker(p, l, w);
	read_holding(p, l, w);
	if (update) {
		act_tell(p, a, l, attach_of(p, l, true));
		return;
	}
	if (l->attached)
		wrong("%s is attached: write update", l->name);
	l->away = false;
	act_attach(a, l);
}

/* --- deaths --- */

static void read_reason(struct play *p, struct words *w, Troupe__Down *d)
{
	const char *value;
	d->reason = TROUPE__REASON__REASON_SIGNAL;
	if ((value = word_value(w, "signal")))
		d->signal = (int32_t)value_number(value);
	if (word_flag(w, "core"))
		d->reason = TROUPE__REASON__REASON_CORE;
	if (word_flag(w, "oom"))
		d->reason = TROUPE__REASON__REASON_OOM;
	if (word_flag(w, "hung"))
		d->reason = TROUPE__REASON__REASON_WATCHDOG;
	if (word_flag(w, "lost"))
		d->reason = TROUPE__REASON__REASON_LOST;
	if ((value = word_value(w, "exit"))) {
		d->exit_code = (int32_t)value_number(value);
		d->reason = d->exit_code ? TROUPE__REASON__REASON_EXIT : TROUPE__REASON__REASON_NORMAL;
	}
	d->ordered = word_flag(w, "ordered");
	if (d->ordered)
		d->reason = TROUPE__REASON__REASON_SHUTDOWN;
	if (!d->signal && (d->reason == TROUPE__REASON__REASON_SIGNAL || d->reason == TROUPE__REASON__REASON_CORE || d->reason == TROUPE__REASON__REASON_OOM))
		d->signal = d->reason == TROUPE__REASON__REASON_CORE ? 6 : 9;
}

/* crash w1 [signal=9] [core|oom|hung|lost|exit=1|ordered] [pending] [talking]: it ends; what it had begun is in work. pending: its family is not proven gone.
 * talking: its last words are still in its socket, until it hangs up. */
static void crash(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	size_t n = 1;
	refuse_body(body);
	if (!l->alive)
		wrong("%s is dead already", l->name);
	troupe__down__init(&l->down);
	read_reason(p, w, &l->down);
	l->proven = !word_flag(w, "pending");
	l->down.pending_pid = l->proven ? 0 : 4711;
	l->talking = word_flag(w, "talking");
	l->alive = false;
	for (const struct held *h = l->held; h; h = h->next)
		n++;
	MUST((l->down.tokens = arena_alloc(p->arena, n * sizeof *l->down.tokens)));
	for (const struct held *h = l->held; h; h = h->next)
		if (h->begun && !h->outcome)
			l->down.tokens[l->down.n_tokens++] = h->token;
	if (l->peer && !l->talking) {
		struct act *x = act_add(a, ACT_LINK_DOWN);
		x->life = l;
		x->peer = l->peer;
		l->peer = 0;
		l->attached = false;
	}
	act_add(a, ACT_DOWN)->life = l;
}

/* proven w1: the dead one's family is gone now. */
static void proven(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	refuse_body(body);
	if (l->alive || l->proven)
		wrong("%s has no family that is waited for", l->name);
	l->proven = true;
	l->down_told = false;
	act_add(a, ACT_DOWN)->life = l;
}

/* --- what they say --- */

/* Of its own, or of an earlier giving: by its number, from 1. */
static uint64_t token_of(const struct named *t, struct life *l, struct words *w, struct held **ret)
{
	const char *giving = word_value(w, "giving");
	*ret = giving ? NULL : held_task(l, t);
	if (*ret)
		return (*ret)->token;
	if (!giving)
		wrong("%s has no %s: say giving=N", l->name, t->name);
	uint64_t n = value_number(giving);
	if (n == 0 || n > t->n_given)
		wrong("%s was given %zu times so far", t->name, t->n_given);
	*ret = held_find(l, t->given[n - 1].token);
	return t->given[n - 1].token;
}

static void tell_outcome(struct play *p, struct words *w, struct acts *a, Troupe__ExitClass class)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	struct named *t = task_known(p, word_need(w, "the task"));
	Troupe__Outcomes *m = arena_alloc(p->arena, sizeof *m);
	Troupe__Envelope *env = arena_alloc(p->arena, sizeof *env);
	Troupe__Outcome *o = arena_alloc(p->arena, sizeof *o);
	struct held *h;
	const char *text, *value;
	MUST(m && env && o && (m->outcomes = arena_alloc(p->arena, sizeof *m->outcomes)));
	troupe__outcomes__init(m);
	troupe__envelope__init(env);
	troupe__outcome__init(o);
	MUST((m->outcomes = arena_alloc(p->arena, sizeof *m->outcomes)));
	m->outcomes[m->n_outcomes++] = o;
	env->body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env->outcomes = m;
	o->token = token_of(t, l, w, &h);
	o->id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	o->exit_class = class;
	if ((value = word_value(w, "exit")))
		o->exit_code = (int32_t)value_number(value);
	if ((value = word_value(w, "signal")))
		o->signal = (int32_t)value_number(value);
	if ((value = word_value(w, "after")))
		o->retry_after_ms = value_ms(value);
	o->run_us = (value = word_value(w, "took")) ? value_ms(value) * 1000 : 1000000;
	if ((value = word_value(w, "took_us")))
		o->run_us = value_number(value);
	o->drain = word_flag(w, "drain");
	text = word_quoted(w);
	if (text && class == TROUPE__EXIT_CLASS__EXIT_DONE)
		o->output = (ProtobufCBinaryData){ strlen(text), (uint8_t *)arena_string(p->arena, text) };
	else if (text)
		o->error = arena_string(p->arena, text);
	act_tell(p, a, l, env);
	if (!h)
		return;
	h->outcome = o;
	a->all[a->n - 1].token = h->token;
}

/* done w1 a ["result"] [drain] [took=1s | took_us=100] [giving=1] */
static void done(struct play *p, struct words *w, char *body, struct acts *a)
{
	refuse_body(body);
	tell_outcome(p, w, a, TROUPE__EXIT_CLASS__EXIT_DONE);
}

/* fail w1 a [later|rejected|broken|signal=N|core|oom|timeout|cancelled] [exit=3] ["why"] [after=30s] */
static void fail(struct play *p, struct words *w, char *body, struct acts *a)
{
	static const struct { const char *name; Troupe__ExitClass class; } classes[] = { { "later", TROUPE__EXIT_CLASS__EXIT_LATER },
		{ "rejected", TROUPE__EXIT_CLASS__EXIT_REJECTED }, { "broken", TROUPE__EXIT_CLASS__EXIT_BROKEN }, { "crashed", TROUPE__EXIT_CLASS__EXIT_SIGNAL },
		{ "core", TROUPE__EXIT_CLASS__EXIT_CORE }, { "oom", TROUPE__EXIT_CLASS__EXIT_OOM }, { "timeout", TROUPE__EXIT_CLASS__EXIT_TIMEOUT },
		{ "lost", TROUPE__EXIT_CLASS__EXIT_LOST }, { "cancelled", TROUPE__EXIT_CLASS__EXIT_CANCELLED } };
	Troupe__ExitClass class = TROUPE__EXIT_CLASS__EXIT_FAILED;
	refuse_body(body);
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (word_flag(w, classes[i].name))
			class = classes[i].class;
	tell_outcome(p, w, a, class);
}

static Troupe__Envelope *tokens_envelope(struct play *p, struct life *l, const char *list, uint64_t **ret, size_t *ret_n, struct held **held)
{
	Troupe__Envelope *env = arena_alloc(p->arena, sizeof *env);
	struct named *tasks[256];
	size_t n = tasks_listed(p, list, tasks, 256);
	MUST(env && (*ret = arena_alloc(p->arena, n * sizeof **ret)));
	troupe__envelope__init(env);
	for (*ret_n = 0; *ret_n < n; ++*ret_n) {
		struct held *h = held_task(l, tasks[*ret_n]);
		if (!h)
			wrong("%s has no %s", l->name, tasks[*ret_n]->name);
		(*ret)[*ret_n] = h->token;
		held[*ret_n] = h;
	}
	return env;
}

/* start w1 a,b: of a lazy one. */
static void start(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	Troupe__Started *m = arena_alloc(p->arena, sizeof *m);
	struct held *held[256];
	refuse_body(body);
	MUST(m);
	troupe__started__init(m);
	Troupe__Envelope *env = tokens_envelope(p, l, word_need(w, "the task"), &m->tokens, &m->n_tokens, held);
	for (size_t i = 0; i < m->n_tokens; i++)
		held[i]->begun = true;
	env->body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env->started = m;
	act_tell(p, a, l, env);
}

/* revoked w1 a,b: it gives them back. */
static void revoked(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	Troupe__Revoked *m = arena_alloc(p->arena, sizeof *m);
	struct held *held[256];
	refuse_body(body);
	MUST(m);
	troupe__revoked__init(m);
	Troupe__Envelope *env = tokens_envelope(p, l, word_need(w, "the task"), &m->tokens, &m->n_tokens, held);
	for (size_t i = 0; i < m->n_tokens; i++)
		held_drop(l, held[i]);
	env->body_case = TROUPE__ENVELOPE__BODY_REVOKED;
	env->revoked = m;
	act_tell(p, a, l, env);
}

/* progress w1 a 40 ["note"] */
static void progress(struct play *p, struct words *w, char *body, struct acts *a)
{
	struct life *l = life_need(p, word_need(w, "the worker"));
	struct held *held[256];
	uint64_t *tokens;
	size_t n;
	Troupe__Progress *m = arena_alloc(p->arena, sizeof *m);
	refuse_body(body);
	MUST(m);
	troupe__progress__init(m);
	Troupe__Envelope *env = tokens_envelope(p, l, word_need(w, "the task"), &tokens, &n, held);
	const char *percent = word_need(w, "the percentage"), *note = word_quoted(w);
	m->token = tokens[0];
	m->percent = (uint32_t)value_number(percent);
	if (note)
		m->note = arena_string(p->arena, note);
	env->body_case = TROUPE__ENVELOPE__BODY_PROGRESS;
	env->progress = m;
	act_tell(p, a, l, env);
}

const struct stimulus work_stimuli[] = { { "worker", worker }, { "hangup", hangup }, { "attach", attach }, { "crash", crash }, { "proven", proven }, { "done", done },
	{ "fail", fail }, { "start", start }, { "revoked", revoked }, { "progress", progress }, { 0 } };
