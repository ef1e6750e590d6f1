/* cancel, retry, delete, dlq retry, dlq purge; and what they share with the verbs of alter.c and batch.c. */
#include "actors/tools/change.h"

#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/policy.h"
#include "actors/tools/progress.h"

#define CURSOR_MAX 64u

struct change_run {
	struct tool *t;
	const struct change_plan *plan;
	uint64_t changed, refused;
	int worst;              /* exit status of the first refusal */
};

union change_body { Troupe__Cancel cancel; Troupe__Retry retry; Troupe__Purge purge; Troupe__Alter alter; };

static void make_request(const struct change_run *c, Troupe__TaskRef **tasks, size_t n, const Troupe__Filter *f, bool dry_run, ProtobufCBinaryData cursor,
                         union change_body *b, Troupe__Envelope *env)
{
	Troupe__Filter *filter = (Troupe__Filter *)(uintptr_t)f;
	switch (c->plan->what) {
	case CHANGE_CANCEL:
		b->cancel = (Troupe__Cancel)TROUPE__CANCEL__INIT;
		b->cancel.tasks = tasks;
		b->cancel.n_tasks = n;
		b->cancel.filter = filter;
		b->cancel.dry_run = dry_run;
		b->cancel.cursor = cursor;
		env->body_case = TROUPE__ENVELOPE__BODY_CANCEL;
		env->cancel = &b->cancel;
		break;
	case CHANGE_RETRY:
		b->retry = (Troupe__Retry)TROUPE__RETRY__INIT;
		b->retry.tasks = tasks;
		b->retry.n_tasks = n;
		b->retry.filter = filter;
		b->retry.dry_run = dry_run;
		b->retry.force = tool_has(c->t, OPT_FORCE);
		b->retry.cursor = cursor;
		b->retry.rate = (Troupe__Rate *)(uintptr_t)c->plan->rate;
		b->retry.spread_at = c->plan->rate ? c->changed : 0;
		env->body_case = TROUPE__ENVELOPE__BODY_RETRY;
		env->retry = &b->retry;
		break;
	case CHANGE_PURGE:
		b->purge = (Troupe__Purge)TROUPE__PURGE__INIT;
		b->purge.tasks = tasks;
		b->purge.n_tasks = n;
		b->purge.filter = filter;
		b->purge.dry_run = dry_run;
		b->purge.cursor = cursor;
		env->body_case = TROUPE__ENVELOPE__BODY_PURGE;
		env->purge = &b->purge;
		break;
	case CHANGE_ALTER:
		b->alter = *c->plan->alter;
		b->alter.tasks = tasks;
		b->alter.n_tasks = n;
		b->alter.filter = filter;
		b->alter.dry_run = dry_run;
		b->alter.cursor = cursor;
		env->body_case = TROUPE__ENVELOPE__BODY_ALTER;
		env->alter = &b->alter;
		break;
	}
}

static void count(struct change_run *c, const Troupe__Changed *changed)
{
	c->changed += changed->count;
	for (size_t i = 0; i < changed->n_refused; i++) {
		struct error e;
		error_set(&e, (enum error_code)changed->refused[i]->code, "%s", changed->refused[i]->text);
		c->refused++;
		if (c->refused <= 10)
			failure_print(stderr, c->t->verb->name, NULL, &e);
		if (!c->worst)
			c->worst = failure_status((int)e.code);
	}
}

/* One request. next: the answer's cursor, for a filter. */
static int change_ask(struct change_run *c, Troupe__TaskRef **tasks, size_t n, const Troupe__Filter *f, bool dry_run, uint8_t next[CURSOR_MAX], size_t *io_next_len)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	union change_body body;
	make_request(c, tasks, n, f, dry_run, (ProtobufCBinaryData){ .len = *io_next_len, .data = next }, &body, &env);
	int code = talk_ask(c->t->talk, c->t->coordinator, &env, c->t->timeout_ms, &arena, &answer, &e);
	if (code != 0) {
		const char *queue = c->plan->alter && c->plan->alter->queue[0] ? c->plan->alter->queue : f ? f->queue : NULL;
		return code > 0 ? tool_fail_name(c->t, code == ERROR_NO_QUEUE && queue ? queue : c->t->coordinator, &e) : tool_fail_code(c->t, code, &e);
	}
	if (answer->body_case != TROUPE__ENVELOPE__BODY_CHANGED) {
		error_set(&e, ERROR_VERSION, "%s answered with something else", c->t->coordinator);
		return tool_fail(c->t, &e);
	}
	count(c, answer->changed);
	*io_next_len = answer->changed->next.len <= CURSOR_MAX ? answer->changed->next.len : 0;
	if (*io_next_len)
		memcpy(next, answer->changed->next.data, *io_next_len);
	return 0;
}

static int change_filter(struct change_run *c, const Troupe__Filter *f, bool dry_run)
{
	uint8_t next[CURSOR_MAX];
	size_t next_len = 0;
	do {
		int status = change_ask(c, NULL, 0, f, dry_run, next, &next_len);
		if (status != 0)
			return status;
	} while (next_len);
	return 0;
}

static int change_refs(struct change_run *c, const struct ref *refs, size_t n, bool dry_run)
{
	_cleanup_(freep) Troupe__TaskRef *messages = calloc(REFS_PER_REQUEST, sizeof *messages);
	_cleanup_(freep) Troupe__TaskRef **names = calloc(REFS_PER_REQUEST, sizeof *names);
	if (!messages || !names)
		return tool_fail_code(c->t, -ENOMEM, NULL);
	for (size_t at = 0; at < n; at += REFS_PER_REQUEST) {
		size_t room = n - at < REFS_PER_REQUEST ? n - at : REFS_PER_REQUEST;
		uint8_t next[CURSOR_MAX];
		size_t next_len = 0;
		for (size_t i = 0; i < room; i++) {
			ref_message(&refs[at + i], &messages[i]);
			names[i] = &messages[i];
		}
		int status = change_ask(c, names, room, NULL, dry_run, next, &next_len);
		if (status != 0)
			return status;
	}
	return 0;
}

static int change_report(const struct change_run *c, bool dry_run)
{
	char text[32];
	struct tool *t = c->t;
	if (tool_has(t, OPT_JSON))
		printf("{\"%s\":%llu,\"refused\":%llu,\"dry_run\":%s}\n", c->plan->done, (unsigned long long)c->changed, (unsigned long long)c->refused,
		       dry_run ? "true" : "false");
	else if (!tool_has(t, OPT_QUIET))
		printf("%s%s %s%s", dry_run ? "would be " : "", c->plan->done, number_grouped(c->changed, text, sizeof text), c->refused ? "" : "\n");
	if (c->refused && !tool_quiet(t))
		printf("   refused %s\n", number_grouped(c->refused, text, sizeof text));
	return c->worst;
}

int change_one(struct tool *t, const struct change_plan *plan, const struct ref *ref)
{
	struct change_run c = { .t = t, .plan = plan };
	bool dry_run = tool_has(t, OPT_DRY_RUN);
	int status = change_refs(&c, ref, 1, dry_run);
	return status ? status : change_report(&c, dry_run);
}

static int change_named(struct tool *t, const struct change_plan *plan)
{
	_cleanup_(freep) struct ref *refs = NULL;
	struct change_run c = { .t = t, .plan = plan };
	bool dry_run = tool_has(t, OPT_DRY_RUN);
	char text[32];
	size_t n;
	int status = tool_refs(t, 0, &refs, &n);
	if (status == 0 && plan->destroys && !dry_run)
		status = tool_confirm(t, "%s %s task%s?", plan->question, number_grouped(n, text, sizeof text), n == 1 ? "" : "s");
	if (status == 0)
		status = change_refs(&c, refs, n, dry_run);
	return status ? status : change_report(&c, dry_run);
}

int change_selected(struct tool *t, const struct change_plan *plan, const struct filter *f)
{
	struct change_run c = { .t = t, .plan = plan };
	bool dry_run = tool_has(t, OPT_DRY_RUN);
	char text[32];
	int status = 0;
	if (!dry_run && !tool_has(t, OPT_YES)) { /* nobody has seen what it selects */
		struct change_run counted = { .t = t, .plan = plan };
		status = change_filter(&counted, &f->f, true);
		if (status == 0 && counted.changed == 0)
			return change_report(&counted, false);
		if (status == 0)
			status = tool_confirm(t, "%s %s task%s?", plan->question, number_grouped(counted.changed, text, sizeof text), counted.changed == 1 ? "" : "s");
	}
	if (status == 0)
		status = change_filter(&c, &f->f, dry_run);
	return status ? status : change_report(&c, dry_run);
}

int change_tasks(struct tool *t, const struct change_plan *plan, const struct filter *f)
{
	if (t->args.n_words && f->any)
		return tool_usage(t, "name tasks, or filter them, not both");
	if (!t->args.n_words && !f->any)
		return tool_usage(t, "name tasks, or filter them; --all for every one");
	return t->args.n_words ? change_named(t, plan) : change_selected(t, plan, f);
}

int change_rate(struct tool *t, struct change_plan *plan, Troupe__Rate *m)
{
	struct error e;
	struct rate r;
	if (!tool_has(t, OPT_RATE))
		return 0;
	if (parse_rate(tool_option(t, OPT_RATE), &r, &e) != 0)
		return tool_usage(t, "--rate: %s; %s", e.text, e.cure);
	rate_to_message(&r, m);
	plan->rate = r.tokens ? m : NULL;
	return 0;
}

static int change_verb(struct tool *t, struct change_plan plan, bool dead_only)
{
	struct filter f;
	Troupe__Rate rate;
	int status = tool_filter(t, &f);
	if (status == 0)
		status = change_rate(t, &plan, &rate);
	if (status != 0)
		return status;
	if (dead_only)
		filter_states_only(&f, TROUPE__TASK_STATE__DEAD);
	return change_tasks(t, &plan, &f);
}

int verb_cancel(struct tool *t) { return change_verb(t, (struct change_plan){ .what = CHANGE_CANCEL, .question = "Cancel", .done = "cancelled", .destroys = true }, false); }
int verb_retry(struct tool *t) { return change_verb(t, (struct change_plan){ .what = CHANGE_RETRY, .question = "Retry", .done = "retried" }, false); }
int verb_delete(struct tool *t) { return change_verb(t, (struct change_plan){ .what = CHANGE_PURGE, .question = "Delete", .done = "deleted", .destroys = true }, false); }
int verb_dlq_retry(struct tool *t) { return change_verb(t, (struct change_plan){ .what = CHANGE_RETRY, .question = "Retry", .done = "retried" }, true); }
int verb_dlq_purge(struct tool *t) { return change_verb(t, (struct change_plan){ .what = CHANGE_PURGE, .question = "Purge", .done = "purged", .destroys = true }, true); }
