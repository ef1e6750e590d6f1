/* Workers, as the real one does it: what it holds, what it says and when; and what the supervisor says of the dead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/codec.h"
#include "tests/sim/sim.h"

static void put(struct life *w, Troupe__Envelope *env)
{
	size_t len;
	env->kind = TROUPE__KIND__SIGNAL;
	uint8_t *data = stage_pack(env, &len);
	fifo_add(&w->socket.to_coordinator, data, len);
	free(data);
}

static struct run *run_find(struct life *w, uint64_t token)
{
	for (struct run *r = w->runs; r; r = r->next)
		if (r->token == token)
			return r;
	return NULL;
}

static void run_forget(struct life *w, struct run *r)
{
	for (struct run **at = &w->runs; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	free(r);
}

static void give_back(struct sim *s, struct life *w, uint64_t token)
{
	if (w->n_revoked == ELEMENTS(w->revoked))
		broken(s, "simulation", "too much is given back");
	w->revoked[w->n_revoked++] = token;
}

/* --- its life --- */

void worker_start(struct sim *s, unsigned place)
{
	struct life *w = calloc(1, sizeof *w);
	if (!w)
		abort();
	snprintf(w->address, sizeof w->address, "worker:w/%u", place + 1);
	w->incarnation = s->next_incarnation++;
	w->alive = true;
	w->slots = 1 + (unsigned)some(s, 3);
	s->workers[place] = w;
	say(s, "%s.%llu starts with %u slots", w->address, (unsigned long long)w->incarnation, w->slots);
}

/* The supervisor reads the tokens in work from the dead one's status cell. Its family, the attempts, may go on for a while. */
void worker_die(struct sim *s, unsigned place)
{
	struct life *w = s->workers[place];
	w->alive = false;
	w->ordered = chance(s, 20);
	w->signal = w->ordered ? 0 : 9;
	for (struct run *r = w->runs; r; r = r->next)
		if ((r->state == RUN_RUNNING || (r->state == RUN_ENDED && r->begun)) && w->n_tokens < ELEMENTS(w->tokens))
			w->tokens[w->n_tokens++] = r->token;
	fifo_clear(&w->socket.from_coordinator);
	w->socket.closing = true;
	w->next = s->dead;
	s->dead = w;
	s->workers[place] = NULL;
	s->n_deaths++;
	say(s, "%s.%llu dies%s", w->address, (unsigned long long)w->incarnation, w->ordered ? " by order" : "");
}

void life_free(struct sim *s, struct life *w)
{
	fifo_clear(&w->socket.to_coordinator);
	fifo_clear(&w->socket.from_coordinator);
	while (w->runs) {
		if (w->runs->task->live == w)
			w->runs->task->live = NULL;
		run_forget(w, w->runs);
	}
	for (struct life **at = &s->dead; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	free(w);
}

void down_deliver(struct sim *s, struct life *w)
{
	Troupe__Down d = TROUPE__DOWN__INIT;
	d.address = w->address;
	d.incarnation = w->incarnation;
	d.reason = w->ordered ? TROUPE__REASON__REASON_SHUTDOWN : TROUPE__REASON__REASON_SIGNAL;
	d.signal = w->signal;
	d.ordered = w->ordered;
	d.proof = w->proven ? TROUPE__PROOF__PROOF_EMPTY : TROUPE__PROOF__PROOF_PENDING;
	d.pending_pid = w->proven ? 0 : 4711;
	d.tokens = w->tokens;
	d.n_tokens = w->n_tokens;
	stage_down(s->stage, &d);
	say(s, "DOWN of %s.%llu, %zu in work%s", w->address, (unsigned long long)w->incarnation, w->n_tokens, w->proven ? "" : ", pending");
	if (w->proven)
		w->monitored = false;
}

/* --- its connection --- */

void worker_connect(struct sim *s, struct life *w)
{
	w->socket.peer = s->next_peer++;
	w->attached = false;
}

void worker_disconnect(struct sim *s, struct life *w)
{
	w->socket.peer = 0;
	w->attached = false;
	fifo_clear(&w->socket.to_coordinator);
	/* A part of what was on its way is still read. */
	while (w->socket.from_coordinator.n && chance(s, 50))
		worker_read(s, w);
	fifo_clear(&w->socket.from_coordinator);
	for (struct run *r = w->runs; r; r = r->next)
		if (r->state == RUN_SENT)
			r->state = RUN_ENDED;
}

/* --- what it hears --- */

static void take(struct sim *s, struct life *w, const Troupe__Assignment *a)
{
	if (run_find(w, a->token))
		return;
	struct run *r = calloc(1, sizeof *r), **at = &w->runs;
	if (!r)
		abort();
	r->token = a->token;
	r->task = task_of(s, a->id.data);
	while (*at)
		at = &(*at)->next;
	*at = r;
}

static void end_task(struct sim *s, struct life *w, uint64_t token, bool taken)
{
	struct run *r = run_find(w, token);
	if (!r || (taken && r->state != RUN_RUNNING)) {
		if (r)
			run_forget(w, r);
		give_back(s, w, token);
	} else if (r->state == RUN_RUNNING) {
		r->taken |= taken;
		r->class = taken ? TROUPE__EXIT_CLASS__EXIT_LOST : TROUPE__EXIT_CLASS__EXIT_CANCELLED;
		r->ends_at_ms = s->stage->now_ms + some(s, 50);
	} else if (r->state == RUN_WAITING) {
		r->state = RUN_ENDED;
		r->class = TROUPE__EXIT_CLASS__EXIT_CANCELLED;
	}
}

static void forget_told(struct life *w, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct run *r = run_find(w, tokens[i]);
		if (r && (r->state == RUN_SENT || r->state == RUN_ENDED))
			run_forget(w, r);
	}
}

static void numbers(char *text, size_t size, const char *what, const uint64_t *all, size_t n)
{
	size_t at = strlen(text);
	at += (size_t)snprintf(text + at, size - at, "%s", n ? what : "");
	for (size_t i = 0; i < n && at + 24 < size; i++)
		at += (size_t)snprintf(text + at, size - at, " %llu", (unsigned long long)all[i]);
}

static void say_heard(struct sim *s, const struct life *w, const Troupe__Envelope *env)
{
	char text[300] = "";
	size_t at = 0;
	switch (env->body_case) {
	case TROUPE__ENVELOPE__BODY_RUN:
		for (size_t i = 0; i < env->run->n_tasks && at + 40 < sizeof text; i++)
			at += (size_t)snprintf(text + at, sizeof text - at, " run %llu: task %u", (unsigned long long)env->run->tasks[i]->token,
			                       (unsigned)(task_of(s, env->run->tasks[i]->id.data) - s->tasks));
		break;
	case TROUPE__ENVELOPE__BODY_OUTCOMES_ACK:
		numbers(text, sizeof text, " ack", env->outcomes_ack->tokens, env->outcomes_ack->n_tokens);
		numbers(text, sizeof text, " stale", env->outcomes_ack->stale, env->outcomes_ack->n_stale);
		break;
	case TROUPE__ENVELOPE__BODY_ATTACHED:
		numbers(text, sizeof text, " committed", env->attached->committed, env->attached->n_committed);
		numbers(text, sizeof text, " attached, abort", env->attached->abort, env->attached->n_abort);
		break;
	case TROUPE__ENVELOPE__BODY_ABORT:
		numbers(text, sizeof text, " abort", env->abort->tokens, env->abort->n_tokens);
		break;
	case TROUPE__ENVELOPE__BODY_REVOKE:
		numbers(text, sizeof text, " revoke", env->revoke->tokens, env->revoke->n_tokens);
		break;
	default:
		break;
	}
	say(s, "%s.%llu hears %d:%s", w->address, (unsigned long long)w->incarnation, (int)env->body_case, text);
}

void worker_read(struct sim *s, struct life *w)
{
	struct packet *p = fifo_take(&w->socket.from_coordinator);
	struct arena *arena = arena_new(16u << 20);
	ProtobufCMessage *m;
	if (!p || !arena || message_decode(&troupe__envelope__descriptor, p->data, p->len, arena, &m, NULL))
		broken(s, "wire", "a message to a worker does not decode");
	const Troupe__Envelope *env = (Troupe__Envelope *)m;
	say_heard(s, w, env);
	switch (env->body_case) {
	case TROUPE__ENVELOPE__BODY_RUN:
		for (size_t i = 0; i < env->run->n_tasks; i++)
			take(s, w, env->run->tasks[i]);
		break;
	case TROUPE__ENVELOPE__BODY_OUTCOMES_ACK:
		forget_told(w, env->outcomes_ack->tokens, env->outcomes_ack->n_tokens);
		forget_told(w, env->outcomes_ack->stale, env->outcomes_ack->n_stale);
		break;
	case TROUPE__ENVELOPE__BODY_ATTACHED:
		forget_told(w, env->attached->committed, env->attached->n_committed);
		for (size_t i = 0; i < env->attached->n_abort; i++)
			end_task(s, w, env->attached->abort[i], true);
		break;
	case TROUPE__ENVELOPE__BODY_ABORT:
		for (size_t i = 0; i < env->abort->n_tokens; i++)
			end_task(s, w, env->abort->tokens[i], false);
		break;
	case TROUPE__ENVELOPE__BODY_REVOKE:
		for (size_t i = 0; i < env->revoke->n_tokens; i++) {
			struct run *r = run_find(w, env->revoke->tokens[i]);
			if (r && r->state != RUN_WAITING)
				continue;
			if (r)
				run_forget(w, r);
			give_back(s, w, env->revoke->tokens[i]);
		}
		break;
	default:
		broken(s, "verbs", "a worker hears %d", (int)env->body_case);
	}
	arena_unref(arena);
	free(p);
}

/* --- what it does and says --- */

static void attach(struct life *w)
{
	static char *queues[] = { (char *)"a", (char *)"b" };
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Held held[512], *helds[512];
	Troupe__Outcome outcomes[512], *all[512];
	static char outputs[512][32];
	m.pool = (char *)"w";
	m.mode = (char *)"exec";
	m.queues = queues;
	m.n_queues = 2;
	Troupe__Resource gpu = TROUPE__RESOURCE__INIT, *resources[] = { &gpu };
	gpu.name = (char *)"gpu";
	gpu.amount = SIM_GPUS;
	m.resources = resources;
	m.n_resources = 1;
	m.slots = w->slots;
	m.held = helds;
	m.outcomes = all;
	w->n_revoked = 0;
	for (struct run *r = w->runs; r && m.n_held < 512 && m.n_outcomes < 512; r = r->next) {
		if (r->state == RUN_ENDED && !r->taken) {
			Troupe__Outcome *o = all[m.n_outcomes] = &outcomes[m.n_outcomes];
			troupe__outcome__init(o);
			o->token = r->token;
			o->id = (ProtobufCBinaryData){ 16, r->task->id.b };
			o->exit_class = r->class;
			o->output = (ProtobufCBinaryData){ (size_t)snprintf(outputs[m.n_outcomes], 32, "result of %llu", (unsigned long long)r->token), (uint8_t *)outputs[m.n_outcomes] };
			m.n_outcomes++;
			r->state = RUN_SENT;
			continue;
		}
		Troupe__Held *h = helds[m.n_held] = &held[m.n_held];
		troupe__held__init(h);
		h->token = r->token;
		h->id = (ProtobufCBinaryData){ 16, r->task->id.b };
		h->started = r->state != RUN_WAITING;
		m.n_held++;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &m;
	put(w, &env);
	w->attached = true;
}

static void tell_ended(struct life *w)
{
	for (struct run *r = w->runs, *next; r; r = next) {
		next = r->next;
		if (r->state != RUN_ENDED || r->taken)
			continue;
		char output[32];
		Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
		Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		o.token = r->token;
		o.id = (ProtobufCBinaryData){ 16, r->task->id.b };
		o.exit_class = r->class;
		o.exit_code = r->class == TROUPE__EXIT_CLASS__EXIT_FAILED ? 1 : 0;
		o.run_us = 2000;
		o.output = (ProtobufCBinaryData){ (size_t)snprintf(output, sizeof output, "result of %llu", (unsigned long long)r->token), (uint8_t *)output };
		m.outcomes = all;
		m.n_outcomes = 1;
		env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
		env.outcomes = &m;
		put(w, &env);
		r->state = RUN_SENT;
	}
}

/* A worker that is confused says that it has done what another one does: nobody may believe it. */
static void tell_nonsense(struct sim *s, struct life *w)
{
	const struct life *other = s->workers[some(s, SIM_WORKERS)];
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!other || other == w || !other->runs || s->calm)
		return;
	o.token = other->runs->token;
	o.id = (ProtobufCBinaryData){ 16, other->runs->task->id.b };
	o.exit_class = TROUPE__EXIT_CLASS__EXIT_DONE;
	m.outcomes = all;
	m.n_outcomes = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env.outcomes = &m;
	put(w, &env);
}

static void tell_revoked(struct life *w)
{
	Troupe__Revoked m = TROUPE__REVOKED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tokens = w->revoked;
	m.n_tokens = w->n_revoked;
	env.body_case = TROUPE__ENVELOPE__BODY_REVOKED;
	env.revoked = &m;
	if (w->n_revoked && w->socket.peer)
		put(w, &env);
	w->n_revoked = 0;
}

static Troupe__ExitClass fate(struct sim *s)
{
	static const struct { unsigned percent; Troupe__ExitClass class; } fates[] = { { 72, TROUPE__EXIT_CLASS__EXIT_DONE }, { 12, TROUPE__EXIT_CLASS__EXIT_FAILED },
		{ 4, TROUPE__EXIT_CLASS__EXIT_LATER }, { 4, TROUPE__EXIT_CLASS__EXIT_TIMEOUT }, { 4, TROUPE__EXIT_CLASS__EXIT_SIGNAL }, { 2, TROUPE__EXIT_CLASS__EXIT_REJECTED },
		{ 2, TROUPE__EXIT_CLASS__EXIT_OOM } };
	uint64_t at = some(s, 100), sum = 0;
	for (size_t i = 0; i < ELEMENTS(fates); i++)
		if (at < (sum += fates[i].percent))
			return fates[i].class;
	return TROUPE__EXIT_CLASS__EXIT_DONE;
}

static void end(struct sim *s, struct life *w, struct run *r)
{
	struct sim_task *t = r->task;
	if (t->live != w)
		broken(s, "simulation", "an attempt of %u that is not alive ends", (unsigned)(t - s->tasks));
	say(s, "%s.%llu ends %llu: task %u, class %d%s", w->address, (unsigned long long)w->incarnation, (unsigned long long)r->token, (unsigned)(t - s->tasks), (int)r->class,
	    r->taken ? ", taken" : "");
	t->live = NULL;
	r->state = RUN_ENDED;
	if (r->class == TROUPE__EXIT_CLASS__EXIT_DONE && t->n_done < ELEMENTS(t->done_tokens))
		t->done_tokens[t->n_done++] = r->token;
	if (!r->taken)
		return;
	give_back(s, w, r->token);
	run_forget(w, r);
}

static void begin(struct sim *s, struct life *w, struct run *r)
{
	struct sim_task *t = r->task;
	unsigned n = (unsigned)(t - s->tasks);
	if (t->live)
		broken(s, "I3", "two attempts of task %u are alive: token %llu begins at %s", n, (unsigned long long)r->token, w->address);
	if (t->no_token_from && !t->retry_asked && r->token >= t->no_token_from)
		broken(s, "cancel", "task %u begins again (token %llu) after its cancel was answered", n, (unsigned long long)r->token);
	check_begin(s, t);
	say(s, "%s.%llu begins %llu: task %u", w->address, (unsigned long long)w->incarnation, (unsigned long long)r->token, n);
	t->live = w;
	t->n_begun++;
	r->state = RUN_RUNNING;
	r->begun = true;
	r->class = fate(s);
	r->ends_at_ms = s->stage->now_ms + some(s, 400);
	s->n_attempts++;
}

void worker_work(struct sim *s, struct life *w)
{
	unsigned busy = 0;
	for (struct run *r = w->runs, *next; r; r = next) {
		next = r->next;
		if (r->state == RUN_RUNNING && s->stage->now_ms >= r->ends_at_ms)
			end(s, w, r);
		else
			busy += r->state == RUN_RUNNING;
	}
	if (w->socket.peer && !w->attached)
		attach(w);
	if (w->socket.peer)
		tell_ended(w);
	tell_revoked(w);
	if (w->socket.peer && chance(s, 1))
		tell_nonsense(s, w);
	Troupe__Started m = TROUPE__STARTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	uint64_t tokens[16];
	m.tokens = tokens;
	for (struct run *r = w->runs; r && busy < w->slots; r = r->next)
		if (r->state == RUN_WAITING) {
			begin(s, w, r);
			tokens[m.n_tokens++] = r->token;
			busy++;
		}
	env.body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env.started = &m;
	if (m.n_tokens && w->socket.peer)
		put(w, &env);
}
