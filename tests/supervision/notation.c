/* Trees of scenarios as text. */
#include "tests/supervision/notation.h"

#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "supervisor/tree_state.h"
#include "tests/supervision/need.h"

struct parser {
	const struct notation *n;
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

/* One record without its children. */
static void parse_record(struct parser *p, struct parsed *r, bool is_root)
{
	char token[256];
	snprintf(token, sizeof(token), "%s", peek(p));
	next(p);
	supervisor_spec_default(&r->sup);
	r->is_sup = parse_strategy(peek(p), &r->sup);
	child_spec_default(&r->spec, r->is_sup ? CHILD_SUPERVISOR : CHILD_WORKER);
	if (p->n->otp) {
		r->sup.revive_done = r->sup.revive_stopped = r->sup.start_once = r->sup.gave_up_is_shutdown = r->sup.forget_added = true;
		r->sup.give_up = (struct give_up_spec){ .intensity = 1, .period_ms = 5000, .on_give_up = ON_GIVE_UP_ESCALATE };
		r->spec.delay.base_ms = 0;
	} else if (is_root) {
		r->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	}
	if (p->n->backoff)
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
		else if (strncmp(w, "strategy=", 9) == 0)
			r->sup.strategy = (enum strategy)strtoul(w + 9, NULL, 10);
		else if (strncmp(w, "auto=", 5) == 0)
			r->sup.auto_shutdown = (enum auto_shutdown)strtoul(w + 5, NULL, 10);
		else if (strncmp(w, "max=", 4) == 0)
			r->sup.children_max = (uint32_t)strtoul(w + 4, NULL, 10);
		else
			return;
	}
}

/* As the configuration has it: one template a dynamic supervisor, and one that it may have. */
static const char *refused_template(const struct tree *tree, const struct templates *templates)
{
	static char refused[CHILD_NAME_MAX + 64];
	for (const struct child *c = tree_root(tree); c; c = tree_next(tree, c)) {
		unsigned n = 0;
		const char *word = NULL;
		for (size_t i = 0; c->sup && c->sup->spec.dynamic && i < templates->n; i++)
			if (strcmp(templates->all[i].above, c->name) == 0) {
				const struct parsed *t = &templates->all[i].child;
				n++;
				word = child_spec_check(&t->spec, t->is_sup ? &t->sup : NULL, &c->sup->spec);
			}
		if (c->sup && c->sup->spec.dynamic && (n != 1 || word)) {
			snprintf(refused, sizeof(refused), "%s:%s", c->name, word ? word : "bad_start_spec");
			return refused;
		}
	}
	return NULL;
}

static const char *parse_all(struct parser *p, struct tree *tree, struct templates *templates)
{
	static char refused[CHILD_NAME_MAX + 64];
	struct child *above = NULL;
	templates->n = 0;
	do {
		if (strcmp(peek(p), "]") == 0) {
			next(p);
			above = above->above;
			continue;
		}
		struct parsed r;
		struct child *c;
		parse_record(p, &r, !above);
		if (above && above->sup->spec.dynamic) {
			NEED(templates->n < TEMPLATES_MAX);
			struct template *t = &templates->all[templates->n++];
			snprintf(t->above, sizeof(t->above), "%s", above->name);
			t->child = r;
			if (r.is_sup) {
				next(p); /* "[": a template has no children of its own */
				NEED(strcmp(peek(p), "]") == 0);
				next(p);
			}
			continue;
		}
		int x = tree_add(tree, above, r.name, &r.spec, r.is_sup ? &r.sup : NULL, p->n->user_of(p->n->ctx, r.name), &c);
		if (x != 0 && p->n->unchecked)
			x = tree_record_add(tree, above, r.name, &r.spec, r.is_sup ? &r.sup : NULL, NULL, &c);
		if (x != 0) {
			const char *word = child_spec_check(&r.spec, r.is_sup ? &r.sup : NULL, above ? &above->sup->spec : NULL);
			snprintf(refused, sizeof(refused), "%s:%s", r.name, word ? word : error_name(x));
			return refused;
		}
		if (r.is_sup) {
			NEED(strcmp(peek(p), "[") == 0);
			next(p);
			above = c;
		}
	} while (above);
	return refused_template(tree, templates);
}

const char *notation_tree(const struct notation *n, const char *text, struct tree *tree, struct templates *ret)
{
	_cleanup_(freep) char *copy = strdup(text);
	NEED(copy != NULL);
	return parse_all(&(struct parser){ .n = n, .at = copy }, tree, ret);
}

void notation_record(const struct notation *n, const char *text, struct parsed *ret)
{
	_cleanup_(freep) char *copy = strdup(text);
	NEED(copy != NULL);
	parse_record(&(struct parser){ .n = n, .at = copy }, ret, false);
}

const struct parsed *template_of(const struct templates *t, const char *above)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->all[i].above, above) == 0)
			return &t->all[i].child;
	return NULL;
}

void notation_mode(struct notation *n, const char *mode)
{
	n->otp = strstr(mode, "otp") != NULL;
	n->backoff = strstr(mode, "backoff") != NULL;
}

void order_about(const char *text, char child[CHILD_NAME_MAX + 1], char above[CHILD_NAME_MAX + 1], struct order_about *ret)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	size_t len = strlen(name);
	ret->now = len > 4 && strcmp(name + len - 4, ".now") == 0;
	ret->old = len > 4 && strcmp(name + len - 4, ".old") == 0;
	snprintf(child, CHILD_NAME_MAX + 1, "%.*s", (int)(ret->now || ret->old ? len - 4 : len), name);
	snprintf(above, CHILD_NAME_MAX + 1, "%.*s", slash ? (int)(slash - text) : 0, text);
}
