/* The node as a whole: ping status tree ps workers reload check-config replay metrics. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define TREE_SLICE 500u
#define TREE_ROWS_MAX 100000u
#define SBIN "/usr/sbin"

int verb_ping(struct tool *t)
{
	const char *to = t->args.n_words ? t->args.words[0] : NULL;
	struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Ping ping = TROUPE__PING__INIT;
	Troupe__StatusAsk ask = TROUPE__STATUS_ASK__INIT;
	ping.deep = tool_has(t, OPT_DEEP);
	if (ping.deep && !to)
		to = t->coordinator;
	if (to) {
		env.body_case = TROUPE__ENVELOPE__BODY_PING;
		env.ping = &ping;
	} else {
		env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
		env.status_ask = &ask;
	}
	uint64_t began_us = clock_mono_us();
	int status = tool_ask(t, to, &env, to ? TROUPE__ENVELOPE__BODY_PONG : TROUPE__ENVELOPE__BODY_STATUS, &arena, &answer);
	if (status != 0)
		return status;
	uint64_t took_us = clock_mono_us() - began_us;
	uint32_t pid = to ? answer->pong->pid : answer->status->pid;
	if (tool_has(t, OPT_JSON)) {
		json_t *row = json_object();
		row_text(row, "actor", to ? to : "trouped");
		row_text(row, "answer", to ? "pong" : answer->status->state);
		row_number(row, "pid", pid);
		row_number(row, "incarnation", to ? answer->pong->incarnation : 0);
		row_number(row, "took_us", took_us);
		status = emit_one(t, &table_answers, row);
	} else if (!tool_has(t, OPT_QUIET)) {
		printf("%s answers after %.1f ms, pid %u%s%s\n", to ? to : "trouped", (double)took_us / 1000, pid, to ? "" : ", ", to ? "" : answer->status->state);
	}
	arena_unref(arena);
	return status;
}

int verb_status(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__StatusAsk ask = TROUPE__STATUS_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
	env.status_ask = &ask;
	int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_STATUS, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__Status *s = answer->status;
	int verdict = s->failed || s->n_alarms ? EXIT_NO : EXIT_OK;
	if (tool_quiet(t)) {
		status = emit_one(t, &table_status, row_of_status(s));
		return status ? status : verdict;
	}
	char up[32];
	printf("node        %s\nversion     %s\nstate       %s, pid %u, up %s\n", s->node, s->version, s->state, s->pid, format_age(s->up_ms, up, sizeof up));
	printf("actors      %u up of %u, %u failed, %llu restarts\n", s->up, s->actors, s->failed, (unsigned long long)s->restarts);
	printf("run         %s\nstate dir   %s\nconfig      %s\ncontainment %s\nfeatures    %s\n", s->run_dir, s->state_dir, s->config, s->containment, s->features);
	for (size_t i = 0; i < s->n_alarms; i++)
		printf("alarm       %s\n", s->alarms[i]);
	return verdict;
}

/* All rows under a supervisor, a slice an ask; each is handed to emit (keep: only what it wants). */
static int each_tree_row(struct tool *t, const char *under, json_t *(*row)(const Troupe__TreeRow *r), struct emit *em)
{
	for (uint32_t skip = 0; skip < TREE_ROWS_MAX;) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Envelope *answer;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__TreeAsk ask = TROUPE__TREE_ASK__INIT;
		ask.under = (char *)(uintptr_t)under;
		ask.limit = TREE_SLICE;
		ask.skip = skip;
		env.body_case = TROUPE__ENVELOPE__BODY_TREE_ASK;
		env.tree_ask = &ask;
		int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_TREE, &arena, &answer);
		if (status != 0)
			return status;
		const Troupe__Tree *tree = answer->tree;
		for (size_t i = 0; i < tree->n_rows; i++)
			emit_row(em, row(tree->rows[i]));
		skip += (uint32_t)tree->n_rows;
		if (tree->n_rows == 0 || skip >= tree->total)
			break;
	}
	return 0;
}

static int show_tree(struct tool *t, const char *under, const struct table *table, json_t *(*row)(const Troupe__TreeRow *r))
{
	struct emit em;
	int status = emit_begin(&em, t, table);
	if (status != 0)
		return status;
	status = each_tree_row(t, under, row, &em);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	return emit_end(&em);
}

int verb_tree(struct tool *t)
{
	if (tool_has(t, OPT_WHAT_IF))
		return show_what_if(t);
	return show_tree(t, t->args.n_words ? t->args.words[0] : "", &table_tree_rows, row_of_tree);
}

static json_t *row_of_process(const Troupe__TreeRow *r) { return r->pid ? row_of_tree(r) : NULL; }

int verb_ps(struct tool *t) { return show_tree(t, "", &table_processes, row_of_process); }

int verb_workers(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__WorkersAsk ask = TROUPE__WORKERS_ASK__INIT;
	struct emit em;
	env.body_case = TROUPE__ENVELOPE__BODY_WORKERS_ASK;
	env.workers_ask = &ask;
	int status = emit_begin(&em, t, &table_workers);
	if (status != 0)
		return status;
	status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_WORKERS, &arena, &answer);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	for (size_t i = 0; i < answer->workers->n_rows; i++)
		emit_row(&em, row_of_worker(answer->workers->rows[i]));
	return emit_end(&em);
}

static void print_names(const char *what, char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%-8s %s\n", what, names[i]);
}

static void row_names(json_t *row, const char *key, char *const *names, size_t n)
{
	json_t *a = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_string(names[i]));
	json_object_set_new(row, key, a);
}

int verb_reload(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Reload reload = TROUPE__RELOAD__INIT;
	reload.dry_run = tool_has(t, OPT_DRY_RUN);
	reload.restart_changed = tool_has(t, OPT_RESTART_CHANGED);
	env.body_case = TROUPE__ENVELOPE__BODY_RELOAD;
	env.reload = &reload;
	int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_RELOADED, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__Reloaded *r = answer->reloaded;
	if (tool_has(t, OPT_JSON)) {
		_cleanup_(freep) char *line = NULL;
		json_t *row = json_object();
		row_flag(row, "dry_run", reload.dry_run);
		row_names(row, "starts", r->starts, r->n_starts);
		row_names(row, "stops", r->stops, r->n_stops);
		row_names(row, "changes", r->changes, r->n_changes);
		row_names(row, "stale", r->stale, r->n_stale);
		line = row_json(row);
		json_decref(row);
		if (line)
			puts(line);
		return EXIT_OK;
	}
	print_names("start", r->starts, r->n_starts);
	print_names("stop", r->stops, r->n_stops);
	print_names("change", r->changes, r->n_changes);
	print_names("stale", r->stale, r->n_stale);
	if (!r->n_starts && !r->n_stops && !r->n_changes && !r->n_stale)
		puts("nothing changed");
	else if (r->n_stale && !reload.restart_changed)
		fputs("stale children run with what they were started with: troupe reload --restart-changed\n", stderr);
	return EXIT_OK;
}

/* Becomes trouped. Returns only where that fails. */
static int become_trouped(struct tool *t, char *const *argv)
{
	const char *path = getenv("PATH");
	char wider[4096];
	/* sbin is not in everybody's PATH. */
	if (snprintf(wider, sizeof wider, "%s:" SBIN, path ? path : "/usr/bin:/bin") < (int)sizeof wider)
		setenv("PATH", wider, 1);
	fflush(stdout);
	execvp("trouped", argv);
	return tool_file(t, "trouped", errno);
}

int verb_check_config(struct tool *t)
{
	const char *config = tool_option(t, OPT_CONFIG);
	char *argv[] = { (char *)"trouped", (char *)"-t", config ? (char *)"-c" : NULL, (char *)(uintptr_t)config, NULL };
	return become_trouped(t, argv);
}

int verb_replay(struct tool *t)
{
	char *argv[] = { (char *)"trouped", (char *)"--replay", (char *)(uintptr_t)t->args.words[0], tool_has(t, OPT_ALL) ? (char *)"-v" : NULL, NULL };
	return become_trouped(t, argv);
}

/* --- metrics --- */

struct sampling { struct arena *arena; Troupe__Sample **samples; size_t n, room; };

static Troupe__Sample *sample_new(struct sampling *s)
{
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 256;
		Troupe__Sample **grown = reallocarray(s->samples, room, sizeof *grown);
		if (!grown)
			return NULL;
		s->samples = grown;
		s->room = room;
	}
	Troupe__Sample *x = arena_alloc(s->arena, sizeof *x);
	if (!x)
		return NULL;
	troupe__sample__init(x);
	return s->samples[s->n++] = x;
}

static void sample_add(struct sampling *s, const char *name, Troupe__Sample__Type type, const char *help, const char *label, const char *value, double number)
{
	Troupe__Sample *x = sample_new(s);
	Troupe__Pair *pair = arena_alloc(s->arena, sizeof *pair);
	Troupe__Pair **pairs = arena_alloc(s->arena, sizeof *pairs);
	if (!x || !pair || !pairs)
		return;
	x->name = (char *)(uintptr_t)name;
	x->type = type;
	x->help = (char *)(uintptr_t)help;
	x->value = number;
	if (label) {
		troupe__pair__init(pair);
		pair->key = (char *)(uintptr_t)label;
		pair->value = arena_string(s->arena, value);
		pairs[0] = pair;
		x->labels = pairs;
		x->n_labels = 1;
	}
}

static void sample_actor(struct sampling *s, const Troupe__TreeRow *r)
{
	sample_add(s, "troupe_actor_up", TROUPE__SAMPLE__TYPE__GAUGE, "1 while the actor is up", "actor", r->address, r->state == TROUPE__ACTOR_STATE__ACTOR_UP);
	sample_add(s, "troupe_actor_restarts_total", TROUPE__SAMPLE__TYPE__COUNTER, "Restarts of the actor by its supervisor", "actor", r->address,
	           (double)r->restarts);
	sample_add(s, "troupe_mailbox_messages", TROUPE__SAMPLE__TYPE__GAUGE, "Messages waiting in the actor's mailbox", "actor", r->address, r->mailbox);
	sample_add(s, "troupe_actor_resident_bytes", TROUPE__SAMPLE__TYPE__GAUGE, "Resident memory of the actor's process", "actor", r->address,
	           (double)r->rss_kib * 1024);
	sample_add(s, "troupe_actor_cpu_seconds_total", TROUPE__SAMPLE__TYPE__COUNTER, "CPU time of the actor's process", "actor", r->address,
	           (double)r->cpu_ms / 1000);
}

struct metrics_round { struct sampling s; struct arena *kept[1024]; size_t n_kept; };

static void on_metrics(void *ctx, const struct talk_answer *a)
{
	struct metrics_round *m = ctx;
	if (a->error || a->env->body_case != TROUPE__ENVELOPE__BODY_METRICS || m->n_kept == ELEMENTS(m->kept))
		return; /* an actor that is just being started again has no numbers now; troupe_actor_up says so */
	m->kept[m->n_kept++] = arena_ref(a->arena);
	for (size_t i = 0; i < a->env->metrics->n_samples; i++) {
		Troupe__Sample *x = sample_new(&m->s);
		if (x)
			*x = *a->env->metrics->samples[i];
	}
}

static bool has_metrics(const Troupe__TreeRow *r)
{
	return r->state == TROUPE__ACTOR_STATE__ACTOR_UP && strchr(r->address, ':') && strncmp(r->address, "pool ", 5) != 0 &&
	       r->kind == TROUPE__ACTOR_KIND__ACTOR_WORKER && !r->pool;
}

static int metrics_collect(struct tool *t, struct metrics_round *m, const Troupe__Tree *tree)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__MetricsAsk ask = TROUPE__METRICS_ASK__INIT;
	struct error e = { .code = ERROR_NONE };
	env.body_case = TROUPE__ENVELOPE__BODY_METRICS_ASK;
	env.metrics_ask = &ask;
	for (size_t i = 0; i < tree->n_rows; i++) {
		sample_actor(&m->s, tree->rows[i]);
		if (!has_metrics(tree->rows[i]))
			continue;
		struct talk_request r = { .to = tree->rows[i]->address, .env = &env, .timeout_ms = t->timeout_ms ? t->timeout_ms : 2000, .on_answer = on_metrics, .ctx = m };
		int code = talk_start(t->talk, &r, &e);
		if (code != 0)
			return tool_fail_code(t, code, &e);
	}
	int code = talk_settle(t->talk, &e);
	return code ? tool_fail_code(t, code, &e) : 0;
}

int verb_metrics(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *tree_arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TreeAsk ask = TROUPE__TREE_ASK__INIT;
	struct metrics_round m = { .n_kept = 0 };
	env.body_case = TROUPE__ENVELOPE__BODY_TREE_ASK;
	env.tree_ask = &ask;
	int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_TREE, &tree_arena, &answer);
	if (status != 0)
		return status;
	m.s.arena = arena_new(64u << 20);
	if (!m.s.arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	status = metrics_collect(t, &m, answer->tree);
	if (status == 0) {
		_cleanup_(freep) char *text = NULL;
		metrics_sort(m.s.samples, m.s.n);
		text = metrics_render(m.s.samples, m.s.n);
		if (text)
			fputs(text, stdout);
		else
			status = tool_fail_code(t, -ENOMEM, NULL);
	}
	for (size_t i = 0; i < m.n_kept; i++)
		arena_unref(m.kept[i]);
	arena_unref(m.s.arena);
	free(m.s.samples);
	return status;
}
