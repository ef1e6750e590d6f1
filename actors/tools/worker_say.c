/* What an attached worker says to its coordinator, and hears from it. All of it may be lost with the connection: the next Attach says what is held, and an
 * outcome is told until it is acknowledged. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "actors/tools/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define ATTACH_TIMEOUT_MS 10000u
#define AGAIN_MS 1000u
#define PROGRESS_EVERY_MS 100u
#define OUTCOMES_BYTES (256u * 1024)    /* of one message, but for the first of it */
#define OUTCOMES_MOST 1024u
#define ACK_MS 10000u                   /* without one an outcome is told again */

int tokens_add(struct tokens *k, uint64_t token)
{
	if (k->n == k->room) {
		size_t room = k->room ? 2 * k->room : 16;
		uint64_t *grown = reallocarray(k->all, room, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		k->all = grown;
		k->room = room;
	}
	k->all[k->n++] = token;
	return 0;
}

/* false: later, or on the next connection by other means. */
static bool tell(struct attached *a, Troupe__Envelope__BodyCase body, void *message)
{
	struct error e;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = body;
	env.beat = message; /* all members of the union are pointers */
	return talk_tell(a->t->talk, a->t->coordinator, &env, &e) == 0;
}

static const char *broken(const struct attached *a)
{
	const char *why = a->tier.ops->broken(a->tier.self);
	return a->draining ? "it is leaving" : why ? why : "";
}

static uint32_t slots(const struct attached *a)
{
	uint32_t n = a->tier.ops->slots(a->tier.self);
	return a->slots && n > a->slots ? a->slots : n;
}

/* --- Attach --- */

static void forget_told(struct attached *a, const uint64_t *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct task *task = task_table_find(&a->held, tokens[i]);
		if (task && (task->list == &a->sent || task->list == &a->ended))
			worker_forget(a, task);
	}
}

static void end_task(struct attached *a, uint64_t token, enum stop_why why)
{
	struct task *task = task_table_find(&a->held, token);
	uint64_t now_ms = clock_mono_ms();
	a->again = true;
	if (task && task->list == &a->running) {
		a->tier.ops->stop(a->tier.self, task, why, task->attempt.grace_ms, now_ms);
	} else if (task && task->list == &a->waiting && why == STOP_CANCEL) {
		struct exit_facts f = { .why = why, .answered = true };
		struct exit_verdict v = exit_judge(&f);
		worker_fetch_drop(task);
		attempt_stop(&task->attempt, why, 0, now_ms);
		task_judge(task, &v);
		task_list_add(&a->ended, task);
	} else if (!task || task->list == &a->waiting || why == STOP_TAKEN) {
		if (task)
			worker_forget(a, task);
		tokens_add(&a->revoked, token); /* nothing of it runs here */
	}
}

static void on_attached(struct attached *a, const Troupe__Attached *m)
{
	forget_told(a, m->committed, m->n_committed);
	for (size_t i = 0; i < m->n_abort; i++)
		end_task(a, m->abort[i], STOP_TAKEN);
	if (!a->attached && !tool_quiet(a->t))
		fprintf(stderr, "troupe: attached to %s%s\n", a->t->coordinator, a->ever ? " again" : "");
	a->attached = a->ever = a->again = true;
	a->attach_at_ms = 0;
}

/* What time does not cure: it was refused, or before the first time there is nobody. */
static bool is_final(const struct attached *a, const struct error *e)
{
	static const enum error_code refusals[] = { ERROR_NOT_ALLOWED, ERROR_NO_QUEUE, ERROR_BAD_REQUEST, ERROR_TOO_LARGE, ERROR_NO_VERB, ERROR_VERSION };
	for (size_t i = 0; i < ELEMENTS(refusals); i++)
		if (e->code == refusals[i])
			return true;
	return !a->ever && !e->retryable;
}

static void on_answer(void *ctx, const struct talk_answer *answer)
{
	struct attached *a = ctx;
	uint64_t again_ms = AGAIN_MS;
	a->attaching = false;
	a->again = true;
	if (!answer->error && answer->env->body_case == TROUPE__ENVELOPE__BODY_ATTACHED) {
		on_attached(a, answer->env->attached);
		return;
	}
	if (a->over)
		return;
	if (!answer->error || is_final(a, answer->error)) {
		struct error e;
		error_set(&e, ERROR_VERSION, "%s answered an attach with something else", a->t->coordinator);
		worker_fail(a, tool_fail(a->t, answer->error ? answer->error : &e));
		return;
	}
	if (answer->error->code == ERROR_NOT_REACHABLE || answer->error->code == ERROR_TIMEOUT)
		again_ms = 10; /* the client has delays of its own */
	if (answer->error->retry_after_ms > again_ms)
		again_ms = answer->error->retry_after_ms;
	a->told_slots = 0; /* an update that did not arrive */
	a->attach_at_ms = clock_mono_ms() + again_ms;
}

struct gathered { Troupe__Held *held; Troupe__Held **held_p; Troupe__Outcome *outcome; Troupe__Usage *usage; Troupe__Outcome **outcome_p; size_t n_held, n_outcomes; };

static void gathered_fini(struct gathered *g)
{
	free(g->held);
	free(g->held_p);
	free(g->outcome);
	free(g->usage);
	free(g->outcome_p);
}

static bool gathered_init(struct gathered *g, size_t n_held, size_t n_outcomes)
{
	*g = (struct gathered){ .held = calloc(n_held + 1, sizeof *g->held), .held_p = calloc(n_held + 1, sizeof *g->held_p) };
	g->outcome = calloc(n_outcomes + 1, sizeof *g->outcome);
	g->usage = calloc(n_outcomes + 1, sizeof *g->usage);
	g->outcome_p = calloc(n_outcomes + 1, sizeof *g->outcome_p);
	return g->held && g->held_p && g->outcome && g->usage && g->outcome_p;
}

static void hold(struct gathered *g, const struct task_list *l, bool started)
{
	for (const struct task *task = l->head; task; task = task->next) {
		Troupe__Held *h = &g->held[g->n_held];
		troupe__held__init(h);
		h->token = task->token;
		h->id = (ProtobufCBinaryData){ sizeof task->id.b, (uint8_t *)task->id.b };
		h->started = started;
		g->held_p[g->n_held++] = h;
	}
}

/* Outcomes follow in messages of their own: an Attach names them as held. */
void worker_attach(struct attached *a)
{
	_cleanup_(gathered_fini) struct gathered g = { 0 };
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct error e = { 0 };
	if (a->attaching || (!slots(a) && !*broken(a) && !a->held.n))
		return; /* a program that has not said hello yet has nothing to say */
	if (!gathered_init(&g, a->held.n, 0))
		return;
	hold(&g, &a->waiting, false);
	hold(&g, &a->running, true);
	hold(&g, &a->ended, true);
	hold(&g, &a->sent, true);
	m.held = g.held_p;
	m.n_held = g.n_held;
	m.update = a->attached;
	m.instance = (ProtobufCBinaryData){ sizeof a->instance, a->instance };
	m.heartbeat_ms = a->heartbeat_ms;
	m.mode = (char *)"attached";
	m.queues = a->queues;
	m.n_queues = a->n_queues;
	m.tags = a->tags;
	m.n_tags = a->n_tags;
	m.slots = slots(a) ? slots(a) : 1;
	m.broken = (char *)broken(a);
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &m;
	struct talk_request q = { .to = a->t->coordinator, .env = &env, .timeout_ms = ATTACH_TIMEOUT_MS, .once = true, .on_answer = on_answer, .ctx = a };
	if (talk_start(a->t->talk, &q, &e))
		return; /* too much is outstanding: the next round tries again */
	a->attaching = true;
	a->told_slots = m.slots;
	snprintf(a->told_broken, sizeof a->told_broken, "%s", m.broken);
	if (!m.update)
		a->revoked.n = a->kept.n = 0; /* what it does not name is given back */
}

/* --- what the coordinator says --- */

static void take(struct attached *a, const Troupe__Assignment *m)
{
	struct task *task;
	struct error e;
	if (task_table_find(&a->held, m->token))
		return;
	if (a->draining || a->tier.ops->broken(a->tier.self) || task_new(m, &task, &e) != 0) {
		tokens_add(&a->revoked, m->token);
		return;
	}
	if (m->blob && task->attempt.state != ATTEMPT_OVER && !worker_fetch_begin(task, m->blob)) {
		task_free(task);
		tokens_add(&a->revoked, m->token);
		return;
	}
	task_table_add(&a->held, task);
	task_list_add(task->attempt.state == ATTEMPT_OVER ? &a->ended : &a->waiting, task);
}

void worker_give_back(struct attached *a, uint64_t token)
{
	struct task *task = task_table_find(&a->held, token);
	if (task && task->list != &a->waiting) {
		tokens_add(&a->kept, token);
		return;
	}
	if (task)
		worker_forget(a, task);
	tokens_add(&a->revoked, token);
}

void worker_on_push(struct tool *t, const Troupe__Envelope *env)
{
	struct attached *a = t->user;
	a->again = true;
	switch ((int)env->body_case) {
	case TROUPE__ENVELOPE__BODY_ATTACHED:
		on_attached(a, env->attached);
		break;
	case TROUPE__ENVELOPE__BODY_RUN:
		for (size_t i = 0; i < env->run->n_tasks; i++)
			take(a, env->run->tasks[i]);
		break;
	case TROUPE__ENVELOPE__BODY_OUTCOMES_ACK:
		forget_told(a, env->outcomes_ack->tokens, env->outcomes_ack->n_tokens);
		forget_told(a, env->outcomes_ack->stale, env->outcomes_ack->n_stale);
		break;
	case TROUPE__ENVELOPE__BODY_ABORT:
		for (size_t i = 0; i < env->abort->n_tokens; i++)
			end_task(a, env->abort->tokens[i], STOP_CANCEL);
		break;
	case TROUPE__ENVELOPE__BODY_REVOKE:
		for (size_t i = 0; i < env->revoke->n_tokens; i++)
			worker_give_back(a, env->revoke->tokens[i]);
		break;
	case TROUPE__ENVELOPE__BODY_DRAIN:
		a->draining = true;
		break;
	default:
		break; /* of a later version */
	}
}

/* What was told on the connection that is gone may not have arrived. */
void worker_on_link(struct tool *t, const char *address, bool up)
{
	struct attached *a = t->user;
	if (up || strcmp(address, t->coordinator) != 0)
		return;
	if (a->attached && !tool_quiet(t))
		fprintf(stderr, "troupe: the connection to %s is lost\n", t->coordinator);
	a->attached = false;
	a->attach_at_ms = 0;
	a->again = true;
	while (a->sent.last)
		task_list_add_front(&a->ended, a->sent.last);
}

/* --- what is due --- */

static void say_outcomes(struct attached *a, uint64_t now_ms)
{
	while (a->ended.head) {
		_cleanup_(gathered_fini) struct gathered g = { 0 };
		Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
		size_t n = a->ended.n < OUTCOMES_MOST ? a->ended.n : OUTCOMES_MOST, bytes = 0;
		if (!gathered_init(&g, 0, n))
			return;
		for (const struct task *task = a->ended.head; task && g.n_outcomes < n; task = task->next) {
			bytes += task_outcome_size(task);
			if (g.n_outcomes && bytes > OUTCOMES_BYTES)
				break;
			task_outcome(task, &g.outcome[g.n_outcomes], &g.usage[g.n_outcomes]);
			g.outcome_p[g.n_outcomes] = &g.outcome[g.n_outcomes];
			g.n_outcomes++;
		}
		m.outcomes = g.outcome_p;
		m.n_outcomes = g.n_outcomes;
		if (!tell(a, TROUPE__ENVELOPE__BODY_OUTCOMES, &m))
			return;
		a->sent_at_ms = now_ms;
		for (size_t i = 0; i < g.n_outcomes; i++)
			task_list_add(&a->sent, a->ended.head);
	}
}

static void say_revoked(struct attached *a)
{
	Troupe__Revoked m = TROUPE__REVOKED__INIT;
	if (!a->revoked.n && !a->kept.n)
		return;
	m.tokens = a->revoked.all;
	m.n_tokens = a->revoked.n;
	m.kept = a->kept.all;
	m.n_kept = a->kept.n;
	if (tell(a, TROUPE__ENVELOPE__BODY_REVOKED, &m))
		a->revoked.n = a->kept.n = 0;
}

static bool has_room(const struct attached *a)
{
	return a->tier.ops->room(a->tier.self) && (!a->slots || a->running.n < a->slots);
}

static void begin(struct attached *a, uint64_t now_ms)
{
	bool some = false;
	for (struct task *task = a->waiting.head, *next; task && has_room(a); task = next) {
		Troupe__Started m = TROUPE__STARTED__INIT;
		next = task->next;
		if (!worker_fetch_ready(task))
			continue;
		m.tokens = &task->token;
		m.n_tokens = 1;
		if (!tell(a, TROUPE__ENVELOPE__BODY_STARTED, &m))
			break;
		task_list_add(&a->running, task);
		a->tier.ops->start(a->tier.self, task, now_ms);
		some = true;
	}
	if (some)
		a->tier.ops->flush(a->tier.self, now_ms);
}

static void say_progress(struct attached *a, uint64_t now_ms)
{
	a->progress_at_ms = TIME_NEVER;
	for (struct task *task = a->running.head; task; task = task->next) {
		Troupe__Progress m = TROUPE__PROGRESS__INIT;
		if (!task->progress_new)
			continue;
		if (task->progress_at_ms && now_ms < task->progress_at_ms + PROGRESS_EVERY_MS) {
			if (task->progress_at_ms + PROGRESS_EVERY_MS < a->progress_at_ms)
				a->progress_at_ms = task->progress_at_ms + PROGRESS_EVERY_MS;
			continue;
		}
		m.token = task->token;
		m.percent = task->percent;
		m.note = task->note ? task->note : (char *)"";
		task->progress_new = !tell(a, TROUPE__ENVELOPE__BODY_PROGRESS, &m);
		task->progress_at_ms = now_ms;
	}
}

static void say_beat(struct attached *a, uint64_t now_ms)
{
	Troupe__Beat m = TROUPE__BEAT__INIT;
	if (now_ms < a->beat_at_ms)
		return;
	a->beat_at_ms = now_ms + a->heartbeat_ms / 3;
	tell(a, TROUPE__ENVELOPE__BODY_BEAT, &m);
	if (a->sent.n && now_ms >= a->sent_at_ms + ACK_MS)
		while (a->sent.last)
			task_list_add_front(&a->ended, a->sent.last);
}

void worker_say(struct attached *a, uint64_t now_ms)
{
	bool news = slots(a) != a->told_slots || strcmp(broken(a), a->told_broken) != 0;
	if ((!a->attached || news) && now_ms >= a->attach_at_ms)
		worker_attach(a);
	if (!a->attached)
		return;
	while ((a->draining || a->tier.ops->broken(a->tier.self)) && a->waiting.head)
		worker_give_back(a, a->waiting.head->token);
	say_outcomes(a, now_ms);
	say_revoked(a);
	worker_fetch(a, now_ms);
	begin(a, now_ms);
	say_progress(a, now_ms);
	say_beat(a, now_ms);
}
