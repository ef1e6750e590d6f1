/* The scenario runner: parses trees and stimuli, plays the children, records the trace. */
#include "tests/supervision/scenario.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "supervisor/tree_text.h"

/* What cannot be: nonsense in a scenario, or a core that breaks its own rules. The process ends, so whoever runs scenarios does it in one of their own. */
static _Noreturn __attribute__((format(printf, 1, 2))) void broken(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}
#define NEED(x) do { if (!(x)) broken("%s:%d: %s", __FILE__, __LINE__, #x); } while (0)
#define NEED_MSG(x, ...) do { if (!(x)) broken(__VA_ARGS__); } while (0)

#define TRACE_MAX (1 << 20)
#define EVENTS_MAX 65536
#define ALWAYS UINT32_MAX

/* What a child does when something is asked of it. */
struct script {
	char name[CHILD_NAME_MAX + 1];
	uint64_t slow_ms, lazy_ms;
	uint32_t fails;
	bool ignore, deaf, undying, stubborn, pending;
	int exits;
	char info[64];

	uint64_t alive; /* incarnation of the process, 0 = none */
	uint64_t spawned_ms;
};

enum script_event { SCRIPT_READY, SCRIPT_FAIL, SCRIPT_IGNORE, SCRIPT_END, SCRIPT_KILLED };

struct coming {
	uint64_t at_ms, seq, incarnation;
	enum script_event kind;
	struct script *script;
};

struct scenario {
	struct tree *tree;
	uint64_t now_ms, seq, ref, answered;
	bool otp, backoff, facts, wires, ended;
	struct script *scripts[4096];
	size_t n_scripts;
	struct coming coming[EVENTS_MAX];
	size_t n_coming;
	char *trace;
	size_t trace_len;
	uint64_t hash;
	uint64_t refs_open;
	struct replay *replay; /* a second core that is told the same, by way of text */
};

static __attribute__((format(printf, 2, 3))) void say(struct scenario *s, const char *fmt, ...)
{
	if (s->trace_len > 0 && s->trace_len < TRACE_MAX - 1)
		s->trace[s->trace_len++] = ' ';
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(s->trace + s->trace_len, TRACE_MAX - s->trace_len, fmt, ap);
	va_end(ap);
	NEED(n >= 0 && (size_t)n < TRACE_MAX - s->trace_len);
	s->trace_len += (size_t)n;
}

static struct script *script_of(struct scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n_scripts; i++)
		if (strcmp(s->scripts[i]->name, name) == 0)
			return s->scripts[i];
	NEED(s->n_scripts < sizeof(s->scripts) / sizeof(s->scripts[0]));
	struct script *x = calloc(1, sizeof(*x));
	NEED(x != NULL);
	snprintf(x->name, sizeof(x->name), "%s", name);
	s->scripts[s->n_scripts++] = x;
	return x;
}

/* --- trees as text ---------------------------------------------------------------------------------------------------------- */

struct parser {
	struct scenario *s;
	char *at;
	char token[256];
};

static const char *peek(struct parser *p)
{
	static const char single[] = "[]";
	while (*p->at == ' ')
		p->at++;
	size_t n = strchr(single, *p->at) && *p->at ? 1 : strcspn(p->at, " []");
	/* Options in parentheses belong to the word. */
	char *open = memchr(p->at, '(', n);
	if (open)
		n = (size_t)(strchr(open, ')') - p->at) + 1;
	NEED(n < sizeof(p->token));
	memcpy(p->token, p->at, n);
	p->token[n] = 0;
	return p->token;
}

static void next(struct parser *p)
{
	p->at += strlen(p->token);
}

static void parse_limit(const char *text, struct give_up_spec *g)
{
	char *end;
	g->intensity = (uint32_t)strtoul(text, &end, 10);
	NEED((*end) == ('/'));
	g->period_ms = strtoull(end + 1, &end, 10);
	if (strcmp(end, "ms") != 0)
		g->period_ms *= 1000;
}

static void parse_options(char *text, struct child_spec *spec)
{
	for (char *o = strtok(text, " "); o; o = strtok(NULL, " ")) {
		if (strcmp(o, "brutal") == 0)
			spec->shutdown_ms = SHUTDOWN_BRUTAL;
		else if (strcmp(o, "shutdown=infinity") == 0)
			spec->shutdown_ms = SHUTDOWN_INFINITY;
		else if (strcmp(o, "shutdown=zero") == 0)
			spec->shutdown_ms = 0, spec->shutdown_zero = true;
		else if (strncmp(o, "shutdown=", 9) == 0)
			spec->shutdown_ms = strtoull(o + 9, NULL, 10);
		else if (strncmp(o, "term=", 5) == 0)
			spec->term_after_ms = strtoull(o + 5, NULL, 10);
		else if (strncmp(o, "start=", 6) == 0)
			spec->start_timeout_ms = strtoull(o + 6, NULL, 10);
		else if (strncmp(o, "limit=", 6) == 0)
			parse_limit(o + 6, &spec->give_up);
		else if (strcmp(o, "escalate") == 0)
			spec->give_up.on_give_up = ON_GIVE_UP_ESCALATE;
		else if (strncmp(o, "v=", 2) == 0)
			spec->fingerprint = strtoull(o + 2, NULL, 10);
		else if (strcmp(o, "hold") == 0)
			spec->hold = true;
		else
			broken("option %s", o);
	}
}

static bool parse_strategy(const char *word, struct supervisor_spec *sup)
{
	if (strcmp(word, "ofo") == 0)
		sup->strategy = STRATEGY_ONE_FOR_ONE;
	else if (strcmp(word, "ofa") == 0)
		sup->strategy = STRATEGY_ALL_FOR_ONE;
	else if (strcmp(word, "rfo") == 0)
		sup->strategy = STRATEGY_REST_FOR_ONE;
	else if (strcmp(word, "dyn") == 0)
		sup->side_by_side = sup->dynamic = true;
	else if (strcmp(word, "pool") == 0)
		sup->side_by_side = sup->pool = true;
	else
		return false;
	return true;
}

static void parse_name(char *token, char *name, struct child_spec *spec)
{
	char *open = strchr(token, '(');
	char options[256] = "";
	if (open) {
		snprintf(options, sizeof(options), "%s", open + 1);
		*strchr(options, ')') = 0;
		*open = 0;
	}
	char *bang = strchr(token, '!');
	if (bang)
		*bang = 0;
	spec->significant = bang != NULL;
	char *colon = strrchr(token, ':');
	if (colon && colon[1] && strchr("PTX", colon[1]) && !colon[2]) {
		spec->restart = colon[1] == 'P' ? RESTART_PERMANENT : colon[1] == 'T' ? RESTART_TRANSIENT : RESTART_TEMPORARY;
		*colon = 0;
	}
	snprintf(name, CHILD_NAME_MAX + 1, "%.*s", CHILD_NAME_MAX, token);
	parse_options(options, spec);
}

struct parsed {
	char name[CHILD_NAME_MAX + 1];
	struct child_spec spec;
	struct supervisor_spec sup;
	bool is_sup;
};

/* One record without its children. */
static void parse_record(struct parser *p, struct parsed *r, bool is_root)
{
	struct scenario *s = p->s;
	char token[256];
	snprintf(token, sizeof(token), "%s", peek(p));
	next(p);
	supervisor_spec_default(&r->sup);
	r->is_sup = parse_strategy(peek(p), &r->sup);
	child_spec_default(&r->spec, r->is_sup ? CHILD_SUPERVISOR : CHILD_WORKER);
	if (s->otp) {
		r->sup.revive_done = r->sup.revive_stopped = r->sup.start_once = r->sup.gave_up_is_shutdown = r->sup.forget_added = true;
		r->sup.give_up = (struct give_up_spec){ .intensity = 1, .period_ms = 5000, .on_give_up = ON_GIVE_UP_ESCALATE };
		r->spec.delay.base_ms = 0;
	} else if (is_root) {
		r->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	}
	if (s->backoff)
		r->spec.delay = (struct delay_spec){ .base_ms = 100, .factor_pct = 200, .cap_ms = 800, .immediate_window_ms = 10000, .reset_after_ms = 60000 };
	parse_name(token, r->name, &r->spec);
	if (!r->is_sup)
		return;
	next(p);
	for (;; next(p)) {
		const char *w = peek(p);
		if (*w >= '0' && *w <= '9')
			parse_limit(w, &r->sup.give_up);
		else if (strcmp(w, "any") == 0)
			r->sup.auto_shutdown = AUTO_SHUTDOWN_ANY;
		else if (strcmp(w, "all") == 0)
			r->sup.auto_shutdown = AUTO_SHUTDOWN_ALL;
		else if (strcmp(w, "keep") == 0)
			r->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
		else if (strcmp(w, "end") == 0)
			r->sup.give_up.on_give_up = ON_GIVE_UP_ESCALATE;
		else if (strncmp(w, "max=", 4) == 0)
			r->sup.children_max = (uint32_t)strtoul(w + 4, NULL, 10);
		else
			return;
	}
}

static void parse_tree(struct parser *p, struct tree *tree)
{
	struct child *above = NULL;
	do {
		if (strcmp(peek(p), "]") == 0) {
			next(p);
			above = above->above;
			continue;
		}
		struct parsed r;
		struct child *c;
		parse_record(p, &r, !above);
		int x = tree_add(tree, above, r.name, &r.spec, r.is_sup ? &r.sup : NULL, script_of(p->s, r.name), &c);
		NEED_MSG(x == 0, "%s: %d %s", r.name, x, child_spec_check(&r.spec, r.is_sup ? &r.sup : NULL, above ? &above->sup->spec : NULL));
		if (r.is_sup) {
			NEED(strcmp(peek(p), "[") == 0);
			next(p);
			above = c;
		}
	} while (above);
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

static const char *reason_text(enum reason r)
{
	return r == REASON_EXIT || r == REASON_SIGNAL || r == REASON_CORE ? "x" : reason_name(r);
}

static void on_fact(struct scenario *s, const struct action *a)
{
	const char *name = a->child->name;
	const char *slash = s->facts ? "/" : "", *word = s->facts ? decision_name(a->decision) : "", *bang = s->facts && a->error ? "!" : "";
	switch (a->fact) {
	case FACT_UP:
		if (!a->child->sup)
			say(s, a->detail ? "+%s(%s)" : "+%s", name, a->detail);
		else if (s->facts)
			say(s, "+%s", name);
		return;
	case FACT_DOWN:
		say(s, "-%s(%s)%s%s%s", name, reason_text(a->reason), slash, word, bang);
		return;
	case FACT_START_FAILED:
		say(s, s->facts ? "~%s(%s)%s%s" : "~%s", name, reason_text(a->reason), slash, word);
		return;
	case FACT_ENDED:
		say(s, "%s=%s", name, reason_text(a->reason));
		return;
	case FACT_IGNORED:
		say(s, "i:%s", name);
		return;
	case FACT_BACKOFF:
		if (s->facts)
			say(s, "backoff:%s(%" PRIu64 ")", name, a->delay_ms);
		return;
	case FACT_LIMIT:
		if (s->facts)
			say(s, "limit:%s(%u in %" PRIu64 " by %s)", name, a->count, a->window_ms, a->above->name);
		return;
	case FACT_BACKOFF_ALARM:
	case FACT_FAILED:
	case FACT_GAVE_UP:
	case FACT_AUTO_SHUTDOWN:
	case FACT_PENDING:
	case FACT_PROVEN:
	case FACT_STUCK:
	case FACT_OVERDUE:
	case FACT_RECOVERED:
		if (s->facts)
			say(s, "%s:%s", fact_name(a->fact), name);
		return;
	}
}

static void on_answer(struct scenario *s, const struct action *a)
{
	NEED_MSG(s->refs_open > 0, "an answer nobody waits for");
	s->refs_open--;
	if (a->order == ORDER_COUNT && strcmp(a->text, "ok") == 0)
		say(s, "[%u,%u,%u,%u]", a->counts.specs, a->counts.active, a->counts.supervisors, a->counts.workers);
	else
		say(s, a->detail ? "=%s(%s)" : "=%s", a->text, a->detail);
}

static void process_must_live(const struct action *a)
{
	const struct script *x = a->child->user;
	NEED_MSG(x->alive == a->incarnation, "%s: a signal for an incarnation that is not alive", x->name);
}

static void perform(struct scenario *s, const struct action *a)
{
	struct script *x = a->child ? a->child->user : NULL;
	switch (a->kind) {
	case ACTION_SPAWN:
		on_spawn(s, a);
		return;
	case ACTION_STOP:
		process_must_live(a);
		if (s->wires)
			say(s, a->within_ms == SHUTDOWN_INFINITY ? "STOP:%s" : "STOP:%s(%" PRIu64 ")", x->name, a->within_ms);
		if (!x->deaf && !x->stubborn && !x->undying)
			later(s, x, SCRIPT_END, x->lazy_ms);
		return;
	case ACTION_TERM:
		process_must_live(a);
		if (s->wires)
			say(s, "TERM:%s", x->name);
		if (x->stubborn)
			later(s, x, SCRIPT_END, 0);
		return;
	case ACTION_ABORT:
		process_must_live(a);
		if (s->wires)
			say(s, "ABORT:%s", x->name);
		return;
	case ACTION_KILL:
		process_must_live(a);
		if (s->wires)
			say(s, "KILL:%s(%s)", x->name, reason_name(a->reason));
		if (!x->undying)
			later(s, x, SCRIPT_KILLED, 0);
		return;
	case ACTION_ANSWER:
		on_answer(s, a);
		return;
	case ACTION_UP:
		if (s->facts)
			say(s, "UP");
		return;
	case ACTION_EXIT:
		NEED(!s->ended);
		s->ended = true;
		say(s, "EXIT(%d)", a->code);
		return;
	case ACTION_FACT:
		on_fact(s, a);
		return;
	case ACTION_CHANGE:
		say(s, "%s:%s", change_name(a->change), a->child->name);
		return;
	case ACTION_FREE:
		NEED(!x || x->alive == 0);
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
	if (s->seq % 7 == 0) /* a snapshot of any moment is as good as another */
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
	x->alive = 0;
	step(s, (struct event){ .kind = EVENT_ENDED, .child = c, .incarnation = incarnation, .reason = reason, .number = number, .pending = x->pending });
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
		child_ends(s, x->name, REASON_EXIT, 1);
		return;
	case SCRIPT_IGNORE:
		step(s, (struct event){ .kind = EVENT_IGNORED, .child = c, .incarnation = x->alive });
		child_ends(s, x->name, REASON_NORMAL, 0);
		return;
	case SCRIPT_END:
		child_ends(s, x->name, x->exits ? REASON_EXIT : REASON_NORMAL, x->exits);
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
	x->ignore = x->deaf = x->undying = x->stubborn = x->pending = false;
	x->exits = 0;
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
			s->refs_open++;
			step(s, (struct event){ .kind = EVENT_ORDER, .ref = ++s->ref, .order = (enum order)o, .name = name, .force = force });
			return true;
		}
	return false;
}

static void do_add(struct scenario *s, const char *above, char *text)
{
	struct parser p = { .s = s, .at = text };
	struct parsed r;
	parse_record(&p, &r, false);
	s->refs_open++;
	step(s, (struct event){ .kind = EVENT_ADD, .ref = ++s->ref, .above_name = above, .name = r.name, .spec = &r.spec, .sup = r.is_sup ? &r.sup : NULL,
		.user = script_of(s, r.name) });
}

static void do_list(struct scenario *s, const char *name)
{
	const struct child *sup = tree_find(s->tree, name);
	NEED(sup && sup->sup);
	for (const struct child *c = sup->sup->last; c; c = c->prev) {
		if (c->core.dormant)
			continue;
		if (c->state == CHILD_WAITING && c->due_at_ms > s->now_ms)
			say(s, "%s:waiting(%" PRIu64 ")", c->name, c->due_at_ms);
		else
			say(s, "%s:%s", c->name, child_is_alive(c) ? child_state_name(c->state) : c->state == CHILD_FAILED ? "failed" : child_is_restarting(c) ? "restarting" : "none");
	}
}

/* [otp|dry|restart ...] TREE */
static void do_reload(struct scenario *s, char *text)
{
	struct event e = { .kind = EVENT_RELOAD, .ref = ++s->ref };
	for (;;) {
		if (strncmp(text, "otp ", 4) == 0)
			e.as_otp = true;
		else if (strncmp(text, "dry ", 4) == 0)
			e.dry = true;
		else if (strncmp(text, "restart ", 8) == 0)
			e.restart_changed = true;
		else
			break;
		text = strchr(text, ' ') + 1;
	}
	e.wanted = tree_new(&(struct tree_config){ 0 });
	parse_tree(&(struct parser){ .s = s, .at = text }, e.wanted);
	s->refs_open++;
	step(s, e);
	tree_free(e.wanted);
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
		s->facts = true;
	else if (strcmp(verb, "wires") == 0)
		s->wires = true;
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
	else if (!do_end(s, verb, name) && !do_event(s, verb, name) && !do_order(s, verb, name) && !do_script(s, verb, script_of(s, name), rest))
		broken("no such stimulus: %s", verb);
}

const char *scenario_do(struct scenario *s, const char *stimuli)
{
	_cleanup_(freep) char *copy = strdup(stimuli);
	char *at = copy;
	s->trace_len = 0;
	s->trace[0] = 0;
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
	return s->trace;
}

struct scenario *scenario_new(const char *mode, const char *tree, uint64_t seed)
{
	struct scenario *s = calloc(1, sizeof(*s));
	NEED(s != NULL);
	s->trace = calloc(1, TRACE_MAX);
	NEED(s->trace != NULL);
	s->otp = strstr(mode, "otp") != NULL;
	s->backoff = strstr(mode, "backoff") != NULL;
	s->now_ms = 1000000;
	s->hash = 14695981039346656037ULL;
	s->tree = tree_new(&(struct tree_config){ .seed = seed });
	NEED(s->tree != NULL);
	_cleanup_(freep) char *copy = strdup(tree);
	parse_tree(&(struct parser){ .s = s, .at = copy }, s->tree);
	replay_from_here(s);
	return s;
}

void scenario_free(struct scenario *s)
{
	tree_free(s->tree);
	replay_free(s->replay);
	for (size_t i = 0; i < s->n_scripts; i++)
		free(s->scripts[i]);
	free(s->trace);
	free(s);
}

struct tree *scenario_tree(struct scenario *s) { return s->tree; }
uint64_t scenario_now(const struct scenario *s) { return s->now_ms; }
uint64_t scenario_hash(const struct scenario *s) { return s->hash; }
