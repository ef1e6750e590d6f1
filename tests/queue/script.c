/* Plays a scenario's file line by line. run.c says what the lines are. */
#include "tests/queue/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "tests/queue/play.h"

#define LINE_MAX_BYTES 16384u
#define ITEMS_MAX 4096u
#define WRITE_COLUMNS 150u

const struct row script_rows[] = {
	{ "submit", "one, or bulk in one atomic transaction" }, { "idempotency", "unique keys: reject, return, replace, windows, conflicts" },
	{ "priority", "strict, with optional ageing" }, { "delay", "for later, over steps of the clock" }, { "cron", "entries, overlap, missed runs, preview" },
	{ "retries", "attempts, backoff, rules by exit class, retry-after" }, { "timeouts", "execution timeout, deadline, heartbeat" }, { "cancel", "queued and running, over restarts" },
	{ "crash", "crash classes, poison" }, { "dead-letters", "list, retry, edit, export, purge" }, { "results", "kept for a time, waited for, pushed" },
	{ "progress", "percent and note" }, { "limits", "concurrency and rates per queue, per key, global; fair share" }, { "flow", "pause, drain, quiet, caps, backpressure" },
	{ "routing", "tags, slots, resources" }, { "batches", "DAG, callbacks, compensation" }, { "explain", "why it does not run" },
	{ "manage", "list, reprioritise, move, edit, configure" }, { "events", "the transition log, by cursor" }, { "restart", "drain of the node, recovery" },
	{ "workers", "attach, prefetch, revoke, drain" }, { "I1", "an acknowledged task is never lost" }, { "I2", "no task from nowhere" },
	{ "I3", "one live attempt at most, the next only behind the proof" }, { "I4", "a result is committed once, with the current token" }, { "I5", "a final state is final" },
	{ "I6", "everything runs some day, and explain says why not now" }, { "I7", "order: priority, then first come, first served; serial keys" }, { "I8", "counters equal a scan" }, { 0 },
};

/* One file. */
struct script {
	struct play p;
	const char *path;
	bool verbose, write, volatile_;
	unsigned n_steps, n_different;
	char *out;                   /* the file anew */
	size_t n_out;
	FILE *to;
};

static const char *const hows[] = { "as it stands", "with a restart behind every stimulus", "with every turn cut off first" };

/* --- the world of a file --- */

static void play_begin(struct script *s, enum how how)
{
	struct play *p = &s->p;
	*p = (struct play){ .how = how, .arena = arena_new((size_t)2 << 30), .s = stage_prepare(1) };
	MUST(p->arena);
	p->tasks_end = &p->tasks;
	p->lives_end = &p->lives;
	client_named(p, NULL);
}

static void play_end(struct script *s)
{
	s->p.s = stage_free(s->p.s);
	s->p.arena = arena_unref(s->p.arena);
}

/* --- stimuli --- */

static const struct stimulus *stimulus_named(const char *verb)
{
	static const struct stimulus *const all[] = { submit_stimuli, work_stimuli, order_stimuli };
	for (size_t i = 0; i < ELEMENTS(all); i++)
		for (const struct stimulus *x = all[i]; x->verb; x++)
			if (strcmp(x->verb, verb) == 0)
				return x;
	return NULL;
}

/* What stands in the braces behind a text, cut off; NULL: none. */
static char *cut_body(char *text)
{
	bool in_quotes = false;
	char *open = text;
	for (; *open && (in_quotes || *open != '{'); open++)
		in_quotes ^= *open == '"';
	if (!*open)
		return NULL;
	char *end = strrchr(open, '}');
	if (!end || *trimmed(end + 1))
		wrong("the braces are not closed");
	*end = 0;
	*open = 0;
	return open + 1;
}

static void add_message(struct play *p, char *text, struct acts *a)
{
	char *body = cut_body(text);
	struct words w;
	words_read(&w, p->arena, text);
	const char *verb = word_need(&w, "what happens");
	const struct stimulus *x = stimulus_named(verb);
	if (!x)
		wrong("%s is no stimulus that can stand in a turn", verb);
	x->add(p, &w, body, a);
	words_end(&w);
}

static void add_messages(struct play *p, char *body, struct acts *a)
{
	char *all[ACTS_MAX];
	size_t n = body ? text_split(body, ';', all, ACTS_MAX) : 0;
	for (size_t i = 0; i < n; i++)
		add_message(p, all[i], a);
	if (!n)
		wrong("an empty turn");
}

static void do_turn(struct script *s, struct acts *a)
{
	if (s->p.how == CUT) {
		unasked(&s->p, true);
		turn_cut(&s->p, a);
		unasked(&s->p, false);
	}
	turn_do(&s->p, a);
}

/* Several messages in one turn, which perhaps is cut off; or one stimulus. */
static void do_stimulus(struct script *s, char *text)
{
	struct play *p = &s->p;
	struct acts a = { 0 };
	if (*text == '{') {
		add_messages(p, cut_body(text), &a);
		do_turn(s, &a);
	} else if (strncmp(text, "crash-in ", 9) == 0 || strncmp(text, "crash-in{", 9) == 0) {
		add_messages(p, cut_body(text), &a);
		turn_cut(p, &a);
	} else if (strncmp(text, "crash-behind ", 13) == 0 || strncmp(text, "crash-behind{", 13) == 0) {
		add_messages(p, cut_body(text), &a);
		turn_mute(p, &a);
	} else {
		add_message(p, text, &a);
		do_turn(s, &a);
	}
}

static bool do_look(struct script *s, const char *verb, const char *text, struct words *w)
{
	static const char *const orders[] = { "add", "remove", "pause", "resume", "run" };
	if (strcmp(verb, "batch") == 0 && strchr(text, '{'))
		return false;
	for (size_t i = 0; i < ELEMENTS(orders) && w->n > 1; i++)
		if (strcmp(verb, "cron") == 0 && strcmp(w->all[1].text, orders[i]) == 0)
			return false;
	for (const struct look *x = looks; x->verb; x++)
		if (strcmp(x->verb, verb) == 0) {
			x->at(&s->p, w);
			words_end(w);
			return true;
		}
	return false;
}

/* --- comparing --- */

static const char *joined(struct play *p, const char *const *items, size_t n)
{
	size_t len = 1;
	for (size_t i = 0; i < n; i++)
		len += strlen(items[i]) + 2;
	char *out = arena_alloc(p->arena, len), *at = out;
	MUST(out);
	*at = 0;
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%s%s", i ? ", " : "", items[i]);
	return out;
}

static bool same(struct play *p, char **want, size_t n_want)
{
	bool *taken = arena_zalloc(p->arena, n_want + 1);
	MUST(taken);
	if (n_want != p->n_items)
		return false;
	for (size_t i = 0; i < p->n_items; i++) {
		size_t k = i;
		if (p->how != AS_IT_STANDS) /* who came back in which order is no matter */
			for (k = 0; k < n_want && (taken[k] || !text_fits(want[k], p->items[i])); k++)
				;
		if (k == n_want || !text_fits(want[k], p->items[i]))
			return false;
		taken[k] = true;
	}
	return true;
}

static void compare(struct script *s, const char *stimulus, const char *expected)
{
	struct play *p = &s->p;
	static char *want[ITEMS_MAX];
	size_t n = text_split(arena_string(p->arena, expected), ',', want, ITEMS_MAX);
	bool fits = same(p, want, n);
	const char *seen = joined(p, p->items, p->n_items);
	s->n_steps++;
	if (s->write && fits)
		seen = joined(p, (const char *const *)want, n);
	if (s->write) {
		size_t column = strlen(stimulus);
		bool wide = column + strlen(seen) + 4 > WRITE_COLUMNS;
		fprintf(s->to, "%s%s%s\n", stimulus, !p->n_items ? "" : wide ? "\n\t=> " : " => ", seen);
		return;
	}
	if (fits && s->verbose && p->how == AS_IT_STANDS)
		printf("# %s:%u: %s => %s\n", s->path, text_line, stimulus, seen);
	if (fits)
		return;
	s->n_different++;
	printf("# %s:%u: %s (%s)\n#   expected: %s\n#   observed: %s\n", s->path, text_line, stimulus, hows[p->how], expected, seen);
}

/* A restart is nobody's stimulus: nothing may come of it. */
static void restart_quietly(struct script *s, const char *stimulus)
{
	struct play *p = &s->p;
	p->n_items = 0;
	unasked(p, true);
	world_crash(p);
	world_back(p, true);
	unasked(p, false);
	see_moment(p, 0);
	check_all(p);
	if (!p->n_items)
		return;
	s->n_different++;
	printf("# %s:%u: %s\n#   a restart behind it brought about: %s\n", s->path, text_line, stimulus, joined(p, p->items, p->n_items));
}

/* --- lines --- */

static void play_statement(struct script *s, char *raw)
{
	struct play *p = &s->p;
	char *text = arena_string(p->arena, raw), *arrow;
	struct words w;
	MUST(text);
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	arrow = text_find(text, "=>");
	const char *expected = arrow ? trimmed(arrow + 2) : "";
	char *stimulus = arena_string(p->arena, raw), *cut;
	if ((cut = text_find(stimulus, "=>")))
		*cut = 0;
	trimmed(stimulus);
	if (arrow)
		*arrow = 0;
	text = trimmed(text);
	char *head = arena_string(p->arena, text);
	cut_body(head);
	words_read(&w, p->arena, head);
	const char *verb = w.n && !w.all[0].quoted ? w.all[0].text : "";
	p->n_items = 0;
	if (*text != '{' && w.n) {
		w.all[0].taken = true;
		if (set_up(p, verb, &w, arrow != NULL)) {
			words_end(&w);
			if (s->write)
				fprintf(s->to, "%s\n", raw);
			return;
		}
	}
	if (!p->s->c)
		stage_open(p->s);
	if (w.n && do_look(s, verb, text, &w)) {
		compare(s, stimulus, expected);
		return;
	}
	if (w.n && do_time(p, verb, &w))
		words_end(&w);
	else
		do_stimulus(s, text);
	see_moment(p, 0);
	check_all(p);
	compare(s, stimulus, expected);
	if (p->how == RESTARTED)
		restart_quietly(s, stimulus);
}

/* What is said of the file itself. */
static bool is_head(struct script *s, const char *line)
{
	if (strncmp(line, "volatile ", 9) == 0)
		s->volatile_ = true;
	return !*line || *line == '#' || strncmp(line, "row ", 4) == 0 || strncmp(line, "volatile ", 9) == 0;
}

static void play_lines(struct script *s, FILE *f)
{
	static char statement[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	bool some = true;
	unsigned number = 0;
	*statement = 0;
	while (some) {
		some = fgets(line, sizeof line, f) != NULL;
		number++;
		bool more = some && (*line == ' ' || *line == '\t') && *trimmed(line);
		if (more) {
			if (!*statement || strlen(statement) + strlen(line) + 2 > sizeof statement)
				wrong("nothing that this line could continue");
			strcat(strcat(statement, "\n"), line);
			continue;
		}
		if (*statement)
			play_statement(s, statement);
		*statement = 0;
		if (!some)
			break;
		char *text = trimmed(line);
		text_line = number;
		if (!is_head(s, text))
			strcpy(statement, text);
		else if (s->write)
			fprintf(s->to, "%s\n", text);
	}
}

static void play_once(struct script *s, enum how how)
{
	FILE *f = fopen(s->path, "re");
	if (!f)
		wrong("the file cannot be opened");
	play_begin(s, how);
	play_lines(s, f);
	fclose(f);
	play_end(s);
}

static void rewrite(struct script *s)
{
	fclose(s->to);
	FILE *f = fopen(s->path, "we");
	if (!f || fwrite(s->out, 1, s->n_out, f) != s->n_out || fclose(f) != 0)
		wrong("the file cannot be written");
	free(s->out);
}

int script_play(const char *path, bool verbose, bool write)
{
	struct script s = { .path = path, .verbose = verbose, .write = write };
	text_path = path;
	if (write)
		MUST((s.to = open_memstream(&s.out, &s.n_out)));
	play_once(&s, AS_IT_STANDS);
	if (!s.n_steps)
		wrong("no step");
	if (write) {
		rewrite(&s);
		return 0;
	}
	for (enum how how = RESTARTED; how <= CUT && !s.volatile_ && !s.n_different; how++)
		play_once(&s, how);
	return s.n_different ? 1 : 0;
}

void script_head(const char *path, struct script_head *ret)
{
	char line[LINE_MAX_BYTES];
	FILE *f = fopen(path, "re");
	const char *slash = strrchr(path, '/');
	*ret = (struct script_head){ 0 };
	snprintf(ret->title, sizeof ret->title, "%s", slash ? slash + 1 : path);
	if (!f)
		return;
	for (bool first = true; fgets(line, sizeof line, f); first = false) {
		char *text = trimmed(line);
		if (first && *text == '#')
			snprintf(ret->title, sizeof ret->title, "%s", trimmed(text + 1));
		if (strncmp(text, "row ", 4) == 0 && strlen(ret->rows) + strlen(text) < sizeof ret->rows)
			strcat(strcat(ret->rows, " "), text + 4);
	}
	fclose(f);
}
