/* What changes many tasks: cancel, retry, purge. Named tasks go in requests of a thousand; a filter is asked about again until no slice is left. */
#include <string.h>
#include "common/base/cleanup.h"
#include "actors/tools/progress.h"
#include "actors/tools/tool.h"

enum change { CHANGE_CANCEL, CHANGE_RETRY, CHANGE_PURGE };

struct change_run {
	struct tool *t;
	enum change what;
	uint64_t changed, refused;
	int worst;              /* exit status of the first refusal */
};

static const char *const done_words[] = { "cancelled", "retried", "purged" };
static const char *const questions[] = { "Cancel", "Retry", "Purge" };

/* One request. next: the answer's, for a filter; room for 64 bytes. */
static int change_ask(struct change_run *c, Troupe__TaskRef **tasks, size_t n, Troupe__Filter *f, bool dry_run, uint8_t next[64], size_t *io_next_len)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Cancel cancel = TROUPE__CANCEL__INIT;
	Troupe__Retry retry = TROUPE__RETRY__INIT;
	Troupe__Purge purge = TROUPE__PURGE__INIT;
	ProtobufCBinaryData cursor = { .len = *io_next_len, .data = next };
	switch (c->what) {
	case CHANGE_CANCEL:
		cancel.tasks = tasks;
		cancel.n_tasks = n;
		cancel.filter = f;
		cancel.dry_run = dry_run;
		cancel.cursor = cursor;
		env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
		env.cancel = &cancel;
		break;
	case CHANGE_RETRY:
		retry.tasks = tasks;
		retry.n_tasks = n;
		retry.filter = f;
		retry.dry_run = dry_run;
		retry.force = tool_has(c->t, OPT_FORCE);
		retry.cursor = cursor;
		env.body_case = TROUPE__ENVELOPE__BODY_RETRY;
		env.retry = &retry;
		break;
	case CHANGE_PURGE:
		purge.tasks = tasks;
		purge.n_tasks = n;
		purge.filter = f;
		purge.dry_run = dry_run;
		purge.cursor = cursor;
		env.body_case = TROUPE__ENVELOPE__BODY_PURGE;
		env.purge = &purge;
		break;
	}
	int status = tool_ask(c->t, c->t->coordinator, &env, TROUPE__ENVELOPE__BODY_CHANGED, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__Changed *changed = answer->changed;
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
	*io_next_len = changed->next.len <= 64 ? changed->next.len : 0;
	if (*io_next_len)
		memcpy(next, changed->next.data, *io_next_len);
	return 0;
}

static int change_filter(struct change_run *c, Troupe__Filter *f, bool dry_run)
{
	uint8_t next[64];
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
		return tool_fail_code(c->t, -1, NULL);
	for (size_t at = 0; at < n; at += REFS_PER_REQUEST) {
		size_t count = n - at < REFS_PER_REQUEST ? n - at : REFS_PER_REQUEST;
		uint8_t next[64];
		size_t next_len = 0;
		for (size_t i = 0; i < count; i++) {
			ref_message(&refs[at + i], &messages[i]);
			names[i] = &messages[i];
		}
		int status = change_ask(c, names, count, NULL, dry_run, next, &next_len);
		if (status != 0)
			return status;
	}
	return 0;
}

static int change_report(struct change_run *c, bool dry_run)
{
	char text[32];
	struct tool *t = c->t;
	if (tool_has(t, OPT_JSON))
		printf("{\"%s\":%llu,\"refused\":%llu,\"dry_run\":%s}\n", done_words[c->what], (unsigned long long)c->changed, (unsigned long long)c->refused,
		       dry_run ? "true" : "false");
	else if (!tool_has(t, OPT_QUIET))
		printf("%s%s %s%s", dry_run ? "would be " : "", done_words[c->what], number_grouped(c->changed, text, sizeof text), c->refused ? "" : "\n");
	if (c->refused && !tool_quiet(t))
		printf("   refused %s\n", number_grouped(c->refused, text, sizeof text));
	return c->worst;
}

/* What destroys is counted and confirmed first; so is a filter, because nobody has seen what it selects. */
static int change_run(struct tool *t, enum change what, Troupe__Filter *f, bool filtered, bool destroys)
{
	struct change_run c = { .t = t, .what = what };
	bool dry_run = tool_has(t, OPT_DRY_RUN);
	char text[32];
	int status;
	if (t->args.n_words && filtered)
		return tool_usage(t, "name tasks, or filter them, not both");
	if (!t->args.n_words && !filtered)
		return tool_usage(t, "name tasks, or filter them; --all for every one");
	if (t->args.n_words) {
		_cleanup_(freep) struct ref *refs = NULL;
		size_t n;
		status = tool_refs(t, 0, &refs, &n);
		if (status == 0 && destroys && !dry_run)
			status = tool_confirm(t, "%s %s task%s?", questions[what], number_grouped(n, text, sizeof text), n == 1 ? "" : "s");
		if (status == 0)
			status = change_refs(&c, refs, n, dry_run);
	} else {
		status = 0;
		if (!dry_run && !tool_has(t, OPT_YES)) {
			struct change_run count = { .t = t, .what = what };
			status = change_filter(&count, f, true);
			if (status == 0 && count.changed == 0)
				return change_report(&count, false);
			if (status == 0)
				status = tool_confirm(t, "%s %s task%s?", questions[what], number_grouped(count.changed, text, sizeof text), count.changed == 1 ? "" : "s");
		}
		if (status == 0)
			status = change_filter(&c, f, dry_run);
	}
	return status ? status : change_report(&c, dry_run);
}

static int change_verb(struct tool *t, enum change what, bool dead_only)
{
	Troupe__Filter f;
	Troupe__TaskState states[8];
	bool any;
	int status = tool_filter(t, &f, states, &any);
	if (status != 0)
		return status;
	if (dead_only) {
		states[0] = TROUPE__TASK_STATE__DEAD;
		f.states = states;
		f.n_states = 1;
	}
	return change_run(t, what, &f, any, what != CHANGE_RETRY);
}

int verb_cancel(struct tool *t) { return change_verb(t, CHANGE_CANCEL, false); }
int verb_retry(struct tool *t) { return change_verb(t, CHANGE_RETRY, false); }
int verb_dlq_retry(struct tool *t) { return change_verb(t, CHANGE_RETRY, true); }
int verb_dlq_purge(struct tool *t) { return change_verb(t, CHANGE_PURGE, true); }
