/* cron: entries that submit a task by themselves. */
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define PREVIEW_MAX 1000u
#define NEXT_SHOWN 3u

/* One ask of the coordinator. name: of the entry, for a suggestion. 0 with an arena to unref, or an exit status. */
static int ask(struct tool *t, Troupe__Envelope *env, Troupe__Envelope__BodyCase want, const char *queue, struct arena **ret_arena, const Troupe__Envelope **ret)
{
	struct error e = { .code = ERROR_NONE };
	int code = talk_ask(t->talk, t->coordinator, env, t->timeout_ms, ret_arena, ret, &e);
	if (code != 0)
		return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? queue : t->coordinator, &e) : tool_fail_code(t, code, &e);
	if ((*ret)->body_case == want)
		return 0;
	arena_unref(*ret_arena);
	*ret_arena = NULL;
	error_set(&e, ERROR_VERSION, "%s answered with something else", t->coordinator);
	return tool_fail(t, &e);
}

static int cron_ask(struct tool *t, const char *name, const char *after, struct arena **ret_arena, const Troupe__Crons **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CronAsk q = TROUPE__CRON_ASK__INIT;
	q.name = (char *)(uintptr_t)name;
	q.after = (char *)(uintptr_t)after;
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_ASK;
	env.cron_ask = &q;
	int status = ask(t, &env, TROUPE__ENVELOPE__BODY_CRONS, NULL, ret_arena, &answer);
	if (status == 0)
		*ret = answer->crons;
	return status;
}

/* The order is answered with the entry as it is now. */
static int cron_order(struct tool *t, Troupe__CronOrder__Op op, Troupe__CronSpec *spec, struct arena **ret_arena, const Troupe__Cron **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CronOrder order = TROUPE__CRON_ORDER__INIT;
	order.op = op;
	order.spec = spec;
	order.name = (char *)(uintptr_t)(spec ? "" : t->args.words[0]);
	order.why = (char *)(uintptr_t)(tool_has(t, OPT_WHY) ? tool_option(t, OPT_WHY) : "");
	order.replace = tool_has(t, OPT_REPLACE);
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_ORDER;
	env.cron_order = &order;
	int status = ask(t, &env, TROUPE__ENVELOPE__BODY_CRONS, spec && spec->task ? spec->task->queue : NULL, ret_arena, &answer);
	if (status == 0)
		*ret = answer->crons->n_crons ? answer->crons->crons[0] : NULL;
	return status;
}

/* --- list and show --- */

int verb_cron_list(struct tool *t)
{
	char after[256] = "";
	struct emit em;
	bool more = true;
	uint64_t now_ms = clock_wall_ms();
	int status = emit_begin(&em, t, &table_crons);
	if (status != 0)
		return status;
	while (more && status == 0) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Crons *found;
		status = cron_ask(t, "", after, &arena, &found);
		if (status != 0)
			break;
		for (size_t i = 0; i < found->n_crons; i++)
			emit_row(&em, row_of_cron(found->crons[i], now_ms));
		more = found->more && found->n_crons && found->crons[found->n_crons - 1]->spec;
		if (more)
			snprintf(after, sizeof after, "%s", found->crons[found->n_crons - 1]->spec->name);
	}
	if (status != 0)
		emit_drop(&em);
	return status ? status : emit_end(&em);
}

/* spec, or the entry of that name. */
static int times_ask(struct tool *t, Troupe__CronSpec *spec, const char *name, uint32_t count, struct arena **ret_arena, const Troupe__CronTimes **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CronPreview q = TROUPE__CRON_PREVIEW__INIT;
	q.spec = spec;
	q.name = (char *)(uintptr_t)name;
	q.count = count;
	env.body_case = TROUPE__ENVELOPE__BODY_CRON_PREVIEW;
	env.cron_preview = &q;
	int status = ask(t, &env, TROUPE__ENVELOPE__BODY_CRON_TIMES, NULL, ret_arena, &answer);
	if (status == 0)
		*ret = answer->cron_times;
	return status;
}

static void print_times(const Troupe__CronTimes *times, const char *title)
{
	char utc[25];
	for (size_t i = 0; i < times->n_at_ms && i < times->n_local; i++) {
		clock_format(times->at_ms[i], utc);
		printf("%-12s %s (%s)\n", i ? "" : title, times->local[i], utc);
	}
}

static void print_task(const Troupe__TaskSpec *s)
{
	printf("queue        %s\n", s->queue);
	if (s->n_argv) {
		fputs("command     ", stdout);
		for (size_t i = 0; i < s->n_argv; i++)
			printf(" %.*s", (int)s->argv[i].len, (const char *)s->argv[i].data);
		putchar('\n');
	}
	if (s->payload.len && utf8_valid(s->payload.data, s->payload.len))
		printf("payload      %.*s\n", s->payload.len < 1000 ? (int)s->payload.len : 1000, (const char *)s->payload.data);
	else if (s->payload.len)
		printf("payload      %zu bytes\n", s->payload.len);
}

static void print_cron(const Troupe__Cron *c)
{
	char text[ID_TEXT], at[25];
	struct id id;
	printf("cron         %s\nexpression   %s\nzone         %s\nstate        %s\n", c->spec->name, c->spec->expression, c->spec->zone[0] ? c->spec->zone : "UTC",
	       c->paused ? "paused" : "open");
	if (c->paused)
		printf("paused by    %s%s%s\n", c->paused_by, c->paused_why[0] ? ": " : "", c->paused_why);
	if (c->spec->task)
		print_task(c->spec->task);
	printf("overlap      %s\nmissed       %s\n", overlap_name(c->spec->overlap), missed_name(c->spec->missed));
	printf("totals       %llu submitted, %llu skipped\n", (unsigned long long)c->submitted_total, (unsigned long long)c->skipped_total);
	if (c->last_task.len == sizeof id.b) {
		memcpy(id.b, c->last_task.data, sizeof id.b);
		id_format(&id, text);
		clock_format(c->last_at_ms, at);
		printf("last         %s, for %s\n", text, at);
	}
	if (c->last_error[0])
		printf("last error   %s\n", c->last_error);
	clock_format(c->created_at_ms, at);
	printf("added by     %s at %s\n", c->created_by, at);
}

int verb_cron_show(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL, *arena_times = NULL;
	const char *name = t->args.words[0];
	const Troupe__Crons *found;
	const Troupe__CronTimes *times;
	struct error e;
	int status = cron_ask(t, name, "", &arena, &found);
	if (status != 0)
		return status;
	if (!found->n_crons || !found->crons[0]->spec) {
		error_set(&e, ERROR_NOT_FOUND, "there is no cron entry \"%.128s\"", name);
		return tool_fail(t, &e);
	}
	const Troupe__Cron *c = found->crons[0];
	if (tool_has(t, OPT_JSON))
		return emit_one(t, &table_crons, row_of_cron(c, clock_wall_ms()));
	print_cron(c);
	if (c->paused)
		return EXIT_OK;
	status = times_ask(t, NULL, name, NEXT_SHOWN, &arena_times, &times);
	if (status == 0)
		print_times(times, "next");
	return status;
}

/* --- add --- */

static int spec_policies(struct tool *t, Troupe__CronSpec *s)
{
	const char *overlap = tool_option(t, OPT_OVERLAP), *missed = tool_option(t, OPT_MISSED);
	for (; overlap && strcmp(overlap, overlap_name(s->overlap)) != 0; s->overlap++)
		if (s->overlap == TROUPE__CRON_SPEC__OVERLAP__OVERLAP_REPLACE)
			return tool_usage(t, "--overlap: '%.40s' is none of skip queue replace", overlap);
	for (; missed && strcmp(missed, missed_name(s->missed)) != 0; s->missed++)
		if (s->missed == TROUPE__CRON_SPEC__MISSED__MISSED_ALL)
			return tool_usage(t, "--missed: '%.40s' is none of none one all", missed);
	return 0;
}

static int add(struct tool *t, Troupe__TaskSpec *task, void *ctx)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	Troupe__CronSpec s = TROUPE__CRON_SPEC__INIT;
	const Troupe__Cron *c;
	const Troupe__CronTimes *times;
	uint64_t deadline_ms = 0;
	int status = tool_duration(t, OPT_DEADLINE, &deadline_ms);
	status = status ? status : spec_policies(t, &s);
	if (status != 0)
		return status;
	task->id.len = 0;
	task->deadline_at_ms = deadline_ms; /* from when each task is made */
	s.name = (char *)(uintptr_t)t->args.words[0];
	s.expression = (char *)(uintptr_t)t->args.words[1];
	s.zone = (char *)(uintptr_t)(tool_has(t, OPT_ZONE) ? tool_option(t, OPT_ZONE) : "");
	s.task = task;
	if (tool_has(t, OPT_DRY_RUN)) {
		status = times_ask(t, &s, "", NEXT_SHOWN, &arena, &times);
		if (status == 0) {
			printf("would be added: %s\n", s.name);
			print_times(times, "next");
		}
		return status;
	}
	status = cron_order(t, TROUPE__CRON_ORDER__OP__ADD, &s, &arena, &c);
	if (status == 0)
		printf("%s: %s\n", s.name, c && c->paused ? "added, and paused as it was" : "added");
	return status;
}

int verb_cron_add(struct tool *t)
{
	return with_task(t, 2, add, NULL);
}

/* --- the other orders --- */

static int simple_order(struct tool *t, Troupe__CronOrder__Op op, const char *done)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Crons *found;
	const Troupe__Cron *c;
	const char *name = t->args.words[0];
	int status;
	if (tool_has(t, OPT_DRY_RUN)) {
		status = cron_ask(t, name, "", &arena, &found);
		if (status == 0)
			printf("would be %s: %s\n", done, name);
		return status;
	}
	status = cron_order(t, op, NULL, &arena, &c);
	if (status == 0)
		printf("%s: %s\n", name, done);
	return status;
}

int verb_cron_pause(struct tool *t) { return simple_order(t, TROUPE__CRON_ORDER__OP__PAUSE, "paused"); }
int verb_cron_resume(struct tool *t) { return simple_order(t, TROUPE__CRON_ORDER__OP__RESUME, "resumed"); }

int verb_cron_remove(struct tool *t)
{
	int status = tool_has(t, OPT_DRY_RUN) ? 0 : tool_confirm(t, "remove the cron entry %.128s?", t->args.words[0]);
	return status ? status : simple_order(t, TROUPE__CRON_ORDER__OP__REMOVE, "removed");
}

int verb_cron_run(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Cron *c;
	struct id id;
	char text[ID_TEXT];
	int status = cron_order(t, TROUPE__CRON_ORDER__OP__RUN, NULL, &arena, &c);
	if (status != 0)
		return status;
	if (!c || c->last_error[0] || c->last_task.len != sizeof id.b) {
		struct error e;
		error_set(&e, ERROR_STATE, "no task was made: %s", c ? c->last_error : "the answer names none");
		return tool_fail(t, &e);
	}
	memcpy(id.b, c->last_task.data, sizeof id.b);
	id_format(&id, text);
	puts(text);
	return EXIT_OK;
}

/* --- preview --- */

int verb_cron_preview(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	Troupe__CronSpec s = TROUPE__CRON_SPEC__INIT;
	const Troupe__CronTimes *times;
	const char *word = t->args.words[0];
	bool expression = word[0] == '@' || strpbrk(word, " \t");
	uint64_t count = 10;
	struct emit em;
	int status = tool_number(t, OPT_TIMES, 1, PREVIEW_MAX, &count);
	if (status == 0 && !expression && tool_has(t, OPT_ZONE))
		return tool_usage(t, "an entry has its zone: --zone is for an expression");
	if (status == 0)
		status = emit_begin(&em, t, &table_cron_times);
	if (status != 0)
		return status;
	s.expression = (char *)(uintptr_t)word;
	s.zone = (char *)(uintptr_t)(tool_has(t, OPT_ZONE) ? tool_option(t, OPT_ZONE) : "");
	status = times_ask(t, expression ? &s : NULL, expression ? "" : word, (uint32_t)count, &arena, &times);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	for (size_t i = 0; i < times->n_at_ms && i < times->n_local; i++)
		emit_row(&em, row_of_cron_time(times->at_ms[i], times->local[i]));
	status = emit_end(&em);
	return status ? status : times->n_at_ms ? EXIT_OK : EXIT_NO;
}
