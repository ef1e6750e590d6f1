/* The scenario runner: parses trees and stimuli, plays the children, records the trace. */
#include "tests/supervision/scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "supervisor/tree_text.h"
#include "tests/supervision/need.h"
#include "tests/supervision/notation.h"
#include "tests/supervision/trace.h"

#define EVENTS_MAX 65536
#define ALWAYS UINT32_MAX

/* What a child does when something is asked of it. */
struct script {
	char name[CHILD_NAME_MAX + 1];
	uint64_t slow_ms, lazy_ms;
	uint32_t fails;
	bool ignore, deaf, undying, stubborn, plain, pending;
	int exits;
	char info[64];

	int early; /* exit status of a start that fails; -1: as always */
	uint64_t alive; /* incarnation of the process, 0 = none */
	uint64_t latest, before; /* the last one, and the one before */
	uint64_t spawned_ms;
};

enum script_event { SCRIPT_READY, SCRIPT_FAIL, SCRIPT_IGNORE, SCRIPT_END, SCRIPT_KILLED, SCRIPT_TERMED };

struct coming {
	uint64_t at_ms, seq, incarnation;
	enum script_event kind;
	struct script *script;
};

struct scenario {
	struct tree *tree;
	uint64_t now_ms, seq, ref, answered;
	bool ended;
	struct notation notation;
	struct templates templates;
	struct script *scripts[4096];
	size_t n_scripts;
	struct coming coming[EVENTS_MAX];
	size_t n_coming;
	struct trace trace;
	uint64_t hash;
	uint64_t refs_open;
	struct replay *replay; /* a second core that is told the same, by way of text */
};

static struct script *script_of(struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n_scripts; i++)
		if (strcmp(s->scripts[i]->name, name) == 0)
			return s->scripts[i];
	NEED(s->n_scripts < sizeof(s->scripts) / sizeof(s->scripts[0]));
	struct script *x = calloc(1, sizeof(*x));
	NEED(x != NULL);
	x->early = -1;
	snprintf(x->name, sizeof(x->name), "%s", name);
	s->scripts[s->n_scripts++] = x;
	return x;
}

/* --- actions ------------------------------------------------------------------------------------------------------------------ */

static void later(struct scenario *s, struct script *x, enum script_event kind, uint64_t after_ms)
{
	NEED(s->n_coming < EVENTS_MAX);
	s->coming[s->n_coming++] = (struct coming){ s->now_ms + after_ms, s->seq++, x->alive, kind, x };
}

static void on_spawn(struct scenario *s, const struct action *a)
{
	struct script *x = a->child->user;
	NEED_MSG(x->alive == 0, "%s: incarnation %" PRIu64 " is spawned while %" PRIu64 " is alive", x->name, a->incarnation, x->alive);
	x->alive = a->incarnation;
	x->before = x->latest;
	x->latest = a->incarnation;
	x->spawned_ms = s->now_ms;
	enum script_event kind = SCRIPT_READY;
	if (x->fails > 0) {
		kind = SCRIPT_FAIL;
		if (x->fails != ALWAYS)
			x->fails--;
	} else if (x->ignore) {
		kind = SCRIPT_IGNORE;
	}
	if (x->slow_ms != ALWAYS)
		later(s, x, kind, x->slow_ms);
}

static void process_must_live(const struct action *a)
{
	const struct script *x = a->child->user;
	NEED_MSG(x->alive == a->incarnation, "%s: a signal for an incarnation that is not alive", x->name);
}

static void perform(struct scenario *s, const struct action *a)
{
	struct script *x = a->child ? a->child->user : NULL;
	trace_action(&s->trace, a, &(struct of){ a->child ? a->child->name : "", a->above ? a->above->name : "", a->child && a->child->sup });
	switch (a->kind) {
	case ACTION_SPAWN:
		on_spawn(s, a);
		return;
	case ACTION_STOP:
		process_must_live(a);
		if (!x->deaf && !x->stubborn && !x->plain && !x->undying)
			later(s, x, SCRIPT_END, x->lazy_ms);
		return;
	case ACTION_TERM:
		process_must_live(a);
		if (x->stubborn || x->plain)
			later(s, x, x->plain ? SCRIPT_TERMED : SCRIPT_END, 0);
		return;
	case ACTION_ABORT:
		process_must_live(a);
		return;
	case ACTION_KILL:
		process_must_live(a);
		if (!x->undying)
			later(s, x, SCRIPT_KILLED, 0);
		return;
	case ACTION_ANSWER:
		NEED_MSG(s->refs_open > 0, "an answer nobody waits for");
		s->refs_open--;
		return;
	case ACTION_EXIT:
		NEED(!s->ended);
		s->ended = true;
		return;
	case ACTION_FREE:
		NEED(!x || x->alive == 0 || x->alive != a->child->incarnation); /* another record may have its name by now */
		return;
	case ACTION_UP:
	case ACTION_FACT:
	case ACTION_CHANGE:
		return;
	}
}

static void hash_bytes(struct scenario *s, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ b[i]) * 1099511628211ULL;
}

static void hash_action(struct scenario *s, const struct action *a)
{
	const uint64_t words[] = { a->kind, a->fact, a->incarnation, a->reason, a->decision, (uint64_t)a->number, (uint64_t)a->code, a->count,
		a->error, a->delay_ms, a->within_ms, a->window_ms, a->after_ms, a->ref, a->order };
	hash_bytes(s, words, sizeof(words));
	if (a->child)
		hash_bytes(s, a->child->name, strlen(a->child->name));
	if (a->text)
		hash_bytes(s, a->text, strlen(a->text));
}

/* --- the second core -------------------------------------------------------------------------------------------------------- */

static void replay_say(void *ctx, const char *line)
{
	struct scenario *s = ctx;
	enum replay_found found = replay_line(s->replay, line);
	NEED_MSG(found == REPLAY_PASSED || found == REPLAY_EVENT || found == REPLAY_SAME, "a replay decides otherwise:\n  %s\n  %s", line,
		 replay_expected(s->replay) ? replay_expected(s->replay) : "(nothing)");
}

static void replay_from_here(struct scenario *s)
{
	replay_free(s->replay);
	s->replay = replay_new();
	NEED(s->replay != NULL && tree_text_save(s->tree, replay_say, s) == 0);
}

static void replay_event(struct scenario *s, const struct event *e)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	NEED(f != NULL);
	tree_text_event(f, e);
	fclose(f);
	tree_text_wanted(e, replay_say, s);
	replay_say(s, text);
	free(text);
}

static void replay_action(struct scenario *s, const struct action *a)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	NEED(f != NULL);
	tree_text_action(f, a);
	fclose(f);
	replay_say(s, text);
	free(text);
}

static void step(struct scenario *s, struct event e)
{
	struct actions actions;
	e.now_ms = s->now_ms;
	if (s->seq % (tree_size(s->tree) < 100 ? 7 : 1999) == 0) /* a snapshot of any moment is as good as another */
		replay_from_here(s);
	replay_event(s, &e);
	tree_step(s->tree, &e, &actions);
	for (size_t i = 0; i < actions.n; i++)
		replay_action(s, &actions.items[i]);
	NEED_MSG(replay_missing(s->replay) == 0, "a replay decides more than was decided");
	for (size_t i = 0; i < actions.n; i++) {
		NEED_MSG(!s->ended || actions.items[i].kind == ACTION_ANSWER, "an action after EXIT");
		hash_action(s, &actions.items[i]);
		perform(s, &actions.items[i]);
	}
}

/* --- the children's side ---------------------------------------------------------------------------------------------------- */

static void child_ends(struct scenario *s, const char *name, enum reason reason, int number)
{
	struct script *x = script_of(s, name);
	struct child *c = tree_find(s->tree, name);
	NEED_MSG(c && x->alive, "%s is not alive", name);
	uint64_t incarnation = x->alive;
	char detail[32];
	x->alive = 0;
	snprintf(detail, sizeof(detail), "%s %d", reason == REASON_SIGNAL || reason == REASON_CORE || reason == REASON_OOM ? "signal" : "exit status", number);
	step(s, (struct event){ .kind = EVENT_ENDED, .child = c, .incarnation = incarnation, .reason = reason, .number = number, .pending = x->pending, .detail = detail });
}

static void deliver(struct scenario *s, const struct coming *m)
{
	struct script *x = m->script;
	struct child *c = tree_find(s->tree, x->name);
	if (x->alive != m->incarnation || !c)
		return;
	switch (m->kind) {
	case SCRIPT_READY:
		step(s, (struct event){ .kind = EVENT_READY, .child = c, .incarnation = x->alive, .detail = x->info[0] ? x->info : NULL });
		return;
	case SCRIPT_FAIL:
		child_ends(s, x->name, x->early == 0 ? REASON_NORMAL : REASON_EXIT, x->early >= 0 ? x->early : 1);
		return;
	case SCRIPT_IGNORE:
		step(s, (struct event){ .kind = EVENT_IGNORED, .child = c, .incarnation = x->alive });
		child_ends(s, x->name, REASON_NORMAL, 0);
		return;
	case SCRIPT_END:
		child_ends(s, x->name, x->exits ? REASON_EXIT : REASON_NORMAL, x->exits);
		return;
	case SCRIPT_TERMED:
		child_ends(s, x->name, REASON_SIGNAL, 15);
		return;
	case SCRIPT_KILLED:
		child_ends(s, x->name, REASON_SIGNAL, 9);
		return;
	}
}

static struct coming *coming_first(struct scenario *s)
{
	struct coming *first = NULL;
	for (size_t i = 0; i < s->n_coming; i++)
		if (!first || s->coming[i].at_ms < first->at_ms || (s->coming[i].at_ms == first->at_ms && s->coming[i].seq < first->seq))
			first = &s->coming[i];
	return first;
}

/* Everything up to and including a time. */
static void run_until(struct scenario *s, uint64_t until_ms)
{
	for (int spins = 0;; spins++) {
		NEED_MSG(spins < 1000000, "no end to what happens at %" PRIu64, s->now_ms);
		struct coming *first = coming_first(s);
		uint64_t due_ms = tree_next_due(s->tree), at_ms = first && first->at_ms <= due_ms ? first->at_ms : due_ms;
		if (at_ms > until_ms)
			break;
		if (at_ms > s->now_ms)
			s->now_ms = at_ms;
		if (!first || due_ms < first->at_ms) {
			step(s, (struct event){ .kind = EVENT_TIME });
			continue;
		}
		struct coming m = *first;
		*first = s->coming[--s->n_coming];
		deliver(s, &m);
	}
	s->now_ms = until_ms;
}

void scenario_drain(struct scenario *s, uint64_t ms)
{
	run_until(s, s->now_ms + ms);
}

/* --- stimuli ------------------------------------------------------------------------------------------------------------------ */

static void script_willing(struct script *x)
{
	x->slow_ms = x->lazy_ms = x->fails = 0;
	x->ignore = x->deaf = x->undying = x->stubborn = x->plain = x->pending = false;
	x->exits = 0;
	x->early = -1;
}

void scenario_all_willing(struct scenario *s)
{
	for (size_t i = 0; i < s->n_scripts; i++)
		script_willing(s->scripts[i]);
}

static bool do_script(struct scenario *s, const char *verb, struct script *x, const char *arg)
{
	uint64_t n = arg && strcmp(arg, "always") != 0 ? strtoull(arg, NULL, 10) : ALWAYS;
	if (strcmp(verb, "slow") == 0)
		x->slow_ms = n;
	else if (strcmp(verb, "fail") == 0)
		x->fails = (uint32_t)n;
	else if (strcmp(verb, "early") == 0)
		x->fails = 1, x->early = (int)n;
	else if (strcmp(verb, "ignore") == 0)
		x->ignore = true;
	else if (strcmp(verb, "lazy") == 0)
		x->lazy_ms = n;
	else if (strcmp(verb, "deaf") == 0)
		x->deaf = true;
	else if (strcmp(verb, "undying") == 0)
		x->undying = true;
	else if (strcmp(verb, "stubborn") == 0)
		x->stubborn = true;
	else if (strcmp(verb, "plain") == 0)
		x->plain = true;
	else if (strcmp(verb, "pending") == 0)
		x->pending = true;
	else if (strcmp(verb, "exits") == 0)
		x->exits = (int)n;
	else if (strcmp(verb, "info") == 0)
		snprintf(x->info, sizeof(x->info), "%s", arg);
	else if (strcmp(verb, "willing") == 0)
		script_willing(x);
	else
		return false;
	return true;
}

static bool do_end(struct scenario *s, const char *verb, const char *name)
{
	static const struct { const char *verb; enum reason reason; int number; } ends[] = {
		{ "crash", REASON_EXIT, 1 }, { "normal", REASON_NORMAL, 0 }, { "bye", REASON_SHUTDOWN, 0 }, { "oom", REASON_OOM, 9 }, { "die", REASON_SIGNAL, 9 },
	};
	for (size_t i = 0; i < ELEMENTS(ends); i++)
		if (strcmp(verb, ends[i].verb) == 0) {
			child_ends(s, name, ends[i].reason, ends[i].number);
			return true;
		}
	return false;
}

static bool do_event(struct scenario *s, const char *verb, const char *name)
{
	struct script *x = script_of(s, name);
	struct child *c = tree_find(s->tree, name);
	if (strcmp(verb, "hung") == 0) {
		NEED(c && x->alive);
		step(s, (struct event){ .kind = EVENT_HUNG, .child = c, .incarnation = x->alive, .reason = REASON_WATCHDOG });
	} else if (strcmp(verb, "prove") == 0) {
		NEED(c != NULL);
		step(s, (struct event){ .kind = EVENT_PROVEN, .child = c, .incarnation = c->incarnation });
	} else if (strcmp(verb, "linked") == 0) {
		NEED(c && x->alive);
		step(s, (struct event){ .kind = EVENT_SIGNALLED, .child = c, .incarnation = x->alive, .reason = REASON_EXIT });
	} else if (strcmp(verb, "extend") == 0) {
		NEED(c != NULL);
		step(s, (struct event){ .kind = EVENT_EXTEND, .child = c, .incarnation = c->incarnation, .within_ms = 1000 });
	} else if (strcmp(verb, "fatal") == 0) {
		NEED(c && x->alive);
		uint64_t incarnation = x->alive;
		x->alive = 0;
		step(s, (struct event){ .kind = EVENT_ENDED, .child = c, .incarnation = incarnation, .reason = REASON_EXIT, .number = 78, .fatal_tries = 1 });
	} else if (strcmp(verb, "noexec") == 0) {
		NEED(c && x->alive);
		uint64_t incarnation = x->alive;
		x->alive = 0;
		step(s, (struct event){ .kind = EVENT_START_FAILED, .child = c, .incarnation = incarnation, .fatal_tries = 3, .detail = "ENOENT" });
	} else {
		return false;
	}
	return true;
}

static bool do_order(struct scenario *s, const char *verb, const char *name)
{
	bool force = false;
	if (strcmp(verb, "force") == 0)
		verb = "start", force = true;
	else if (strcmp(verb, "forcestop") == 0)
		verb = "stop", force = true;
	for (int o = 0; o < ORDER_N; o++)
		if (strcmp(verb, order_name((enum order)o)) == 0) {
			char child[CHILD_NAME_MAX + 1], above[CHILD_NAME_MAX + 1];
			struct order_about about;
			order_about(name, child, above, &about);
			const struct script *x = about.now || about.old ? script_of(s, child) : NULL;
			s->refs_open++;
			step(s, (struct event){ .kind = EVENT_ORDER, .ref = ++s->ref, .order = (enum order)o, .name = child, .force = force,
				.above_name = *above ? above : NULL, .of_incarnation = !x ? 0 : about.now ? x->latest : x->before });
			return true;
		}
	return false;
}

static void do_add(struct scenario *s, const char *above, char *text)
{
	struct parsed r;
	notation_record(&s->notation, text, &r);
	const struct parsed *template = template_of(&s->templates, above);
	if (template) {
		r.spec = template->spec;
		r.sup = template->sup;
		r.is_sup = template->is_sup;
	}
	s->refs_open++;
	step(s, (struct event){ .kind = EVENT_ADD, .ref = ++s->ref, .above_name = above, .name = r.name, .spec = &r.spec, .sup = r.is_sup ? &r.sup : NULL,
		.user = script_of(s, r.name) });
}

static void do_list(struct scenario *s, const char *name)
{
	const struct child *sup = tree_find(s->tree, name);
	NEED(sup && sup->sup);
	for (const struct child *c = sup->sup->last; c; c = c->prev)
		if (!c->core.dormant)
			trace_listed(&s->trace, c->name, c->state, c->state == CHILD_WAITING && c->due_at_ms > s->now_ms);
}

/* Until when does it wait? */
static void do_due(struct scenario *s, const char *name)
{
	const struct child *c = tree_find(s->tree, name);
	NEED(c && c->state == CHILD_WAITING);
	trace_say(&s->trace, "%s:%" PRIu64, c->name, c->due_at_ms > s->now_ms ? c->due_at_ms - s->now_ms : 0);
}

/* What was added stays part of the definition, as the shell has it: dynamic children by the new template, others as they are. true: one of them may not be. */
static bool carry_over(struct scenario *s, struct tree *wanted)
{
	for (const struct child *c = tree_root(s->tree); c; c = tree_next(s->tree, c)) {
		struct child *above = c->spec.added ? tree_find(wanted, c->above->name) : NULL, *made;
		if (!above || !above->sup || c->sup || tree_find(wanted, c->name))
			continue;
		const struct parsed *template = template_of(&s->templates, above->name);
		struct child_spec spec = template ? template->spec : c->spec;
		spec.added = true;
		if (tree_add(wanted, above, c->name, &spec, NULL, c->user, &made) != 0)
			return true;
	}
	return false;
}

/* [otp|dry|restart ...] TREE */
static void do_reload(struct scenario *s, char *text)
{
	struct event e = { .kind = EVENT_RELOAD, .ref = ++s->ref, .as_otp = s->notation.otp };
	for (;;) {
		if (strncmp(text, "otp ", 4) == 0)
			NEED_MSG(e.as_otp, "a reload as OTP's needs mode otp");
		else if (strncmp(text, "dry ", 4) == 0)
			e.dry = true;
		else if (strncmp(text, "restart ", 8) == 0)
			e.restart_changed = true;
		else
			break;
		text = strchr(text, ' ') + 1;
	}
	e.wanted = tree_new(&(struct tree_config){ 0 });
	struct templates before = s->templates;
	if (notation_tree(&s->notation, text, e.wanted, &s->templates) || carry_over(s, e.wanted)) {
		trace_say(&s->trace, "=refused");
		s->templates = before;
	} else {
		s->refs_open++;
		step(s, e);
	}
	tree_free(e.wanted);
}

/* What a child is, where nothing else was said. */
static void do_fields(struct scenario *s, const char *name)
{
	const struct child *c = tree_find(s->tree, name);
	NEED(c != NULL);
	trace_say(&s->trace, "%s:%s,%s", name, c->sup ? "supervisor" : "worker", restart_name(c->spec.restart));
	trace_say(&s->trace, c->spec.shutdown_ms == SHUTDOWN_INFINITY ? "shutdown=infinity" : "shutdown=%" PRIu64, c->spec.shutdown_ms);
	trace_say(&s->trace, "significant=%s", c->spec.significant ? "yes" : "no");
	if (c->sup)
		trace_say(&s->trace, "%s intensity=%d/%" PRIu64 " auto_shutdown=%s", strategy_name(c->sup->spec.strategy), (int)c->sup->spec.give_up.intensity, c->sup->spec.give_up.period_ms,
			  auto_shutdown_name(c->sup->spec.auto_shutdown));
}

static uint64_t length_of(struct scenario *s, const char *name)
{
	const struct child *sup = tree_find(s->tree, name);
	uint64_t n = 0;
	NEED(sup && sup->sup);
	for (const struct child *c = sup->sup->first; c; c = c->next)
		n += !c->core.dormant;
	return n;
}

/* Many at once, told by their number alone. */
static void do_many(struct scenario *s, const char *above, char *text)
{
	char *prefix = strsep(&text, " ");
	uint64_t n = strtoull(text, NULL, 10), before = length_of(s, above);
	size_t len = s->trace.len;
	for (uint64_t i = 1; i <= n; i++) {
		char name[64];
		snprintf(name, sizeof(name), "%s%" PRIu64, prefix, i);
		do_add(s, above, name);
		run_until(s, s->now_ms);
	}
	s->trace.len = len;
	s->trace.text[len] = 0;
	trace_say(&s->trace, "%" PRIu64, length_of(s, above) - before);
}

static void do_all(struct scenario *s, const char *above, const char *verb)
{
	size_t len = s->trace.len;
	uint64_t before = length_of(s, above);
	const struct child *sup = tree_find(s->tree, above);
	for (const struct child *c; (c = sup->sup->first);) {
		char name[CHILD_NAME_MAX + 1];
		snprintf(name, sizeof(name), "%s", c->name);
		NEED(do_end(s, verb, name) || do_order(s, verb, name));
		run_until(s, s->now_ms);
		NEED(sup->sup->first != c);
	}
	s->trace.len = len;
	s->trace.text[len] = 0;
	trace_say(&s->trace, "%" PRIu64, before);
}

/* What nobody understands. */
static bool do_nonsense(struct scenario *s, const char *verb, const char *name)
{
	if (strcmp(verb, "stale") == 0) {
		struct child *c = tree_find(s->tree, name);
		static const enum event_kind kinds[] = { EVENT_READY, EVENT_IGNORED, EVENT_START_FAILED, EVENT_ENDED, EVENT_PROVEN, EVENT_HUNG, EVENT_EXTEND };
		for (size_t i = 0; i < ELEMENTS(kinds); i++)
			for (int other = -1; other <= 1; other += 2)
				step(s, (struct event){ .kind = kinds[i], .child = c, .incarnation = c->incarnation + (uint64_t)other, .reason = REASON_EXIT });
	} else if (strcmp(verb, "stranger") == 0) {
		step(s, (struct event){ .kind = EVENT_ENDED, .incarnation = 1, .reason = REASON_SIGNAL });
		step(s, (struct event){ .kind = EVENT_READY, .incarnation = 1 });
	} else if (strcmp(verb, "unknown") == 0) {
		s->refs_open++;
		step(s, (struct event){ .kind = EVENT_ORDER, .ref = ++s->ref, .order = (enum order)99, .name = "a" });
	} else {
		return false;
	}
	return true;
}

static void do_one(struct scenario *s, char *text)
{
	while (*text == ' ')
		text++;
	if (strncmp(text, "reload ", 7) == 0) {
		do_reload(s, text + 7);
		return;
	}
	char *verb = strsep(&text, " "), *name = text ? strsep(&text, " ") : NULL, *rest = text;
	if (strcmp(verb, "boot") == 0)
		step(s, (struct event){ .kind = EVENT_BOOT });
	else if (strcmp(verb, "facts") == 0)
		s->trace.facts = true;
	else if (strcmp(verb, "wires") == 0)
		s->trace.wires = true;
	else if (strcmp(verb, "wait") == 0)
		run_until(s, s->now_ms + strtoull(name, NULL, 10));
	else if (strcmp(verb, "shutdown") == 0)
		step(s, (struct event){ .kind = EVENT_SHUTDOWN, .within_ms = name ? strtoull(name, NULL, 10) : SHUTDOWN_INFINITY });
	else if (strcmp(verb, "fast") == 0)
		step(s, (struct event){ .kind = EVENT_SHUTDOWN, .within_ms = SHUTDOWN_INFINITY, .fast = true });
	else if (strcmp(verb, "add") == 0)
		do_add(s, name, rest);
	else if (strcmp(verb, "list") == 0)
		do_list(s, name);
	else if (strcmp(verb, "due") == 0)
		do_due(s, name);
	else if (strcmp(verb, "fields") == 0)
		do_fields(s, name);
	else if (strcmp(verb, "length") == 0)
		trace_say(&s->trace, "%" PRIu64, length_of(s, name));
	else if (strcmp(verb, "many") == 0)
		do_many(s, name, rest);
	else if (strcmp(verb, "all") == 0)
		do_all(s, name, rest);
	else if (do_nonsense(s, verb, name))
		return;
	else if (!do_end(s, verb, name) && !do_event(s, verb, name) && !do_order(s, verb, name) && !do_script(s, verb, script_of(s, name), rest))
		broken("no such stimulus: %s", verb);
}

const char *scenario_do(struct scenario *s, const char *stimuli)
{
	_cleanup_(freep) char *copy = strdup(stimuli);
	char *at = copy;
	trace_clear(&s->trace);
	while (at && *at) {
		size_t n = strcspn(at, ";&");
		char end = at[n], *after = end ? at + n + 1 : NULL;
		at[n] = 0;
		while (n > 0 && at[n - 1] == ' ')
			at[--n] = 0;
		do_one(s, at);
		at = after;
		if (end != '&')
			run_until(s, s->now_ms);
	}
	return s->trace.text;
}

static void *user_of(void *ctx, const char *name)
{
	return script_of(ctx, name);
}

struct scenario *scenario_new(const char *mode, const char *tree, uint64_t seed)
{
	struct scenario *s = calloc(1, sizeof(*s));
	NEED(s != NULL);
	notation_mode(&s->notation, mode);
	s->notation.user_of = user_of;
	s->notation.ctx = s;
	s->now_ms = 1000000;
	s->hash = 14695981039346656037ULL;
	s->tree = tree_new(&(struct tree_config){ .seed = seed });
	NEED(s->tree != NULL);
	const char *refused = notation_tree(&s->notation, tree, s->tree, &s->templates);
	NEED_MSG(!refused, "%s", refused);
	replay_from_here(s);
	return s;
}

void scenario_free(struct scenario *s)
{
	tree_free(s->tree);
	replay_free(s->replay);
	for (size_t i = 0; i < s->n_scripts; i++)
		free(s->scripts[i]);
	free(s);
}

const char *scenario_refused(const char *mode, const char *tree)
{
	struct scenario *s = calloc(1, sizeof(*s)); /* for its scripts */
	NEED(s != NULL);
	notation_mode(&s->notation, mode);
	s->notation.user_of = user_of;
	s->notation.ctx = s;
	s->tree = tree_new(&(struct tree_config){ 0 });
	const char *refused = notation_tree(&s->notation, tree, s->tree, &s->templates);
	scenario_free(s);
	return refused;
}

struct tree *scenario_tree(struct scenario *s) { return s->tree; }
uint64_t scenario_now(const struct scenario *s) { return s->now_ms; }
uint64_t scenario_hash(const struct scenario *s) { return s->hash; }
