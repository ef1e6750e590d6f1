/* A changed configuration: read and checked as a whole, then given to the tree, which says what starts, stops, changes in place, and what runs with an older
 * definition. On any error everything stays as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/log.h"
#include "supervisor/node.h"

#define NAMES_MAX 10000u
#define RELOAD_REF UINT64_MAX /* no order has it */

struct names { char **all; size_t n; };
struct reload_answer { struct names lists[CHANGE_N]; const struct tree *wanted; bool dry; const char *text, *detail, *about; };

static void names_add(struct names *l, const char *name)
{
	if (l->n == NAMES_MAX)
		return;
	char **all = reallocarray(l->all, l->n + 1, sizeof(char *));
	if (!all)
		return;
	l->all = all;
	if ((all[l->n] = strdup(name)))
		l->n++;
}

static void answer_free(struct reload_answer *a)
{
	for (size_t i = 0; i < CHANGE_N; i++) {
		for (size_t k = 0; k < a->lists[i].n; k++)
			free(a->lists[i].all[k]);
		free(a->lists[i].all);
	}
}

/* A known record whose program changed must be started with the new one when the tree starts it in the same step. */
void reload_change(struct node *n, const struct action *a)
{
	struct reload_answer *r = n->reload;
	const struct child *wanted = r ? tree_find(r->wanted, a->child->name) : NULL;
	if (r)
		names_add(&r->lists[a->change], a->child->name);
	if (wanted && !r->dry)
		a->child->user = wanted->user;
}

bool reload_answered(struct node *n, const struct action *a)
{
	if (!n->reload || a->ref != RELOAD_REF)
		return false;
	n->reload->text = a->text;
	n->reload->detail = a->detail; /* static */
	n->reload->about = a->child ? a->child->name : NULL;
	return true;
}

/* --- old configurations --- */

static const struct config_node *root_of(const struct config_node *n)
{
	while (n->above)
		n = n->above;
	return n;
}

static bool in_use(const struct node *n, const struct config *c)
{
	for (const struct child *k = tree_root(n->tree); k; k = tree_next(n->tree, k))
		if (k->user && root_of(k->user) == c->root)
			return true;
	return false;
}

void reload_forget(struct node *n, bool all)
{
	for (struct old_config **at = &n->old; *at;) {
		struct old_config *o = *at;
		if (!all && in_use(n, o->config)) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		config_free(o->config);
		free(o);
	}
}

/* --- the new one --- */

static int refuse(struct error *e, const char *what)
{
	error_set(e, ERROR_STATE, "%s cannot change while the node runs", what);
	error_cure(e, "leave it as it is, or stop the node and start it again");
	return e->code;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* What was written about a wrong configuration: all of it to the log, its first line into e. */
static void complain(const struct node *n, char *text, struct error *e)
{
	for (char *line = text, *end; line && *line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		log_error("configuration", LOG_S("line", line));
		if (!e->code)
			error_set(e, ERROR_CONFIG, "%s", line);
		if (!end)
			break;
	}
	if (!e->code)
		error_set(e, ERROR_CONFIG, "%s cannot be read", n->config->path);
	error_cure(e, "trouped -t -c %s shows all of it; the old configuration stays", n->config->path);
}

static int read_config(const struct node *n, struct config **ret, struct error *e)
{
	char *text = NULL;
	size_t len = 0;
	if (strcmp(n->config->path, "--dev") == 0)
		return error_set(e, ERROR_STATE, "this node was started with --dev: it has no configuration file");
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return error_set(e, ERROR_INTERNAL, "no memory");
	int r = config_load(n->config->path, f, ret);
	fclose(f);
	if (r)
		complain(n, text, e);
	free(text);
	if (r)
		return e->code;
	const struct config *was = n->config, *is = *ret;
	if (!same_text(was->run_dir, is->run_dir))
		r = refuse(e, "run_dir");
	else if (!same_text(was->state_dir, is->state_dir))
		r = refuse(e, "state_dir");
	else if (!same_text(was->user, is->user) || was->has_users != is->has_users)
		r = refuse(e, "user");
	if (r)
		*ret = config_free(*ret);
	return r;
}

static int make_tree(const struct node *n, const struct config *fresh, struct tree **ret, struct error *e)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return error_set(e, ERROR_INTERNAL, "no memory");
	int r = config_tree(fresh, &(struct tree_config){ 1, 1, 1 }, f, ret);
	fclose(f);
	if (r)
		complain(n, text, e);
	free(text);
	return r;
}

/* Everybody who stays hears of it. */
static void tell_children(struct node *n)
{
	for (struct process *p = n->processes; p; p = p->next) {
		if (p->pid <= 0 || p->life.fd < 0 || p->child->incarnation != p->incarnation)
			continue;
		struct arena *a = arena_new(64u << 10);
		Troupe__Control c = TROUPE__CONTROL__INIT;
		Troupe__Setup setup;
		if (a) {
			process_setup(n, p, a, &setup);
			c.body_case = TROUPE__CONTROL__BODY_RELOAD;
			c.reload = &setup;
			process_send(p, &c);
		}
		arena_unref(a);
	}
}

/* The records' users: the new configuration's, where it has the record. Who is leaving keeps the old one until it is gone. */
static void adopt(struct node *n, struct config *old, const struct tree *wanted)
{
	for (struct child *k = tree_root(n->tree); k; k = tree_next(n->tree, k)) {
		const struct child *w = tree_find(wanted, k->name);
		if (w)
			k->user = w->user;
	}
	struct old_config *o = calloc(1, sizeof *o);
	if (!o)
		return; /* then it is never freed */
	*o = (struct old_config){ old, n->old };
	n->old = o;
}

static void answer(struct node *n, const struct reload_request *r, struct reload_answer *a)
{
	Troupe__Reloaded out = TROUPE__RELOADED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.starts = a->lists[CHANGE_START].all;
	out.n_starts = a->lists[CHANGE_START].n;
	out.stops = a->lists[CHANGE_STOP].all;
	out.n_stops = a->lists[CHANGE_STOP].n;
	out.changes = a->lists[CHANGE_SPEC].all;
	out.n_changes = a->lists[CHANGE_SPEC].n;
	out.stale = a->lists[CHANGE_STALE].all;
	out.n_stale = a->lists[CHANGE_STALE].n;
	log_info(r->dry ? "reload, as a trial" : "configuration reloaded", LOG_U("starts", out.n_starts), LOG_U("stops", out.n_stops), LOG_U("changes", out.n_changes),
	         LOG_U("stale", out.n_stale));
	env.body_case = TROUPE__ENVELOPE__BODY_RELOADED;
	env.reloaded = &out;
	if (!r->by_signal)
		ask_answer(n, r->watcher, r->control_ref, r->id, &env);
	if (!r->dry)
		outbox_say(n, "info", "node.reloaded", NULL, r->subject, "%zu started, %zu stopped, %zu changed, %zu run with an older definition", out.n_starts, out.n_stops,
		           out.n_changes, out.n_stale);
}

void reload(struct node *n, const struct reload_request *r)
{
	struct error e = { 0 };
	struct config *fresh = NULL;
	struct tree *wanted = NULL;
	struct reload_answer a = { 0 };
	if (read_config(n, &fresh, &e) == 0) {
		config_carry_over(n->config, fresh, added_lost);
		evidence_hold(n, fresh);
	}
	if (!e.code)
		make_tree(n, fresh, &wanted, &e);
	if (e.code) {
		log_error("reload refused: everything stays as it is", LOG_S("why", e.text));
		config_free(fresh);
		if (!r->by_signal)
			ask_fail(n, r->watcher, r->control_ref, r->id, &e);
		return;
	}
	if (!r->dry)
		spares_end(n); /* they are of the old configuration */
	struct config *old = n->config;
	struct event ev = { .kind = EVENT_RELOAD, .now_ms = loop_now_ms(n->loop), .ref = RELOAD_REF, .wanted = wanted, .dry = r->dry, .restart_changed = r->restart_changed,
		            .as_otp = n->config->root->otp };
	a.wanted = wanted;
	a.dry = r->dry;
	n->reload = &a;
	if (!r->dry)
		n->config = fresh;
	step(n, &ev);
	n->reload = NULL;
	bool done = a.text && strcmp(a.text, "ok") == 0;
	if (done && !r->dry) {
		adopt(n, old, wanted);
		tell_children(n);
	} else {
		n->config = old;
		config_free(fresh);
	}
	tree_free(wanted);
	if (done) {
		answer(n, r, &a);
	} else {
		error_set(&e, ERROR_STATE, "the tree does not take it: %s%s%s%s%s", a.text ? a.text : "it is stopping", a.detail ? ": " : "", a.about && a.detail ? a.about : "",
		          a.about && a.detail ? ": " : "", a.detail ? a.detail : "");
		log_error("reload refused", LOG_S("why", e.text));
		if (!r->by_signal)
			ask_fail(n, r->watcher, r->control_ref, r->id, &e);
	}
	answer_free(&a);
	reload_forget(n, false);
}
