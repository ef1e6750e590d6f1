/* Orders about one child: actor start, stop, restart, kill, delete, add, spec, count; and what an event would lead to. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define SECTION_MAX (16u * 1024)

static Troupe__ChildOrder__Op op_of(const char *verb)
{
	static const char *const names[] = { "", "start", "stop", "restart", "kill", "delete", "spec", "count" };
	for (size_t i = 1; i < ELEMENTS(names); i++)
		if (strcmp(names[i], verb) == 0)
			return (Troupe__ChildOrder__Op)i;
	return TROUPE__CHILD_ORDER__OP__NONE;
}

static json_t *row_of_answer(const char *actor, const Troupe__ChildAnswer *a, bool count)
{
	json_t *row = json_object();
	if (!row)
		return NULL;
	row_text(row, "actor", actor);
	row_text(row, "answer", a->text);
	row_number(row, "pid", a->pid);
	row_number(row, "incarnation", a->incarnation);
	row_text(row, "info", a->info);
	if (count) {
		row_number(row, "specs", a->specs);
		row_number(row, "active", a->active);
		row_number(row, "supervisors", a->supervisors);
		row_number(row, "workers", a->workers);
	}
	row_text(row, "spec", a->spec);
	return row;
}

/* What an answer that is not ok means. */
static const char *hint_of(const char *word)
{
	static const struct { const char *word, *hint; } hints[] = {
		{ "running", "it runs already, or still: stop it first" },
		{ "restarting", "it is being started, or waits for it: troupe tree shows until when; --force does not wait" },
		{ "already_started", "there is one of this name, and it runs" },
		{ "already_present", "there is one of this name: start it, or delete it first" },
		{ "dynamic", "a child of a dynamic supervisor is added, and goes when it is stopped" },
		{ "max_children", "its supervisor takes no more" },
		{ "pending", "something that its last life left behind is still alive; --force does not wait" },
		{ "noproc", "its supervisor is not up" },
		{ "stopping", "the node is ending" },
		{ "start_failed", "troupe logs and troupe crashes may say more" },
	};
	for (size_t i = 0; i < ELEMENTS(hints); i++)
		if (strcmp(hints[i].word, word) == 0)
			return hints[i].hint;
	return "";
}

/* The supervisor's word, told; the exit status. */
static int tell_answer(struct tool *t, const char *actor, const Troupe__ChildAnswer *a, Troupe__ChildOrder__Op op)
{
	bool ok = strcmp(a->text, "ok") == 0 || strcmp(a->text, "none") == 0 || a->text[0] == '\0';
	if (tool_quiet(t)) {
		int status = emit_one(t, &table_answers, row_of_answer(actor, a, op == TROUPE__CHILD_ORDER__OP__COUNT));
		return status ? status : ok ? EXIT_OK : EXIT_NO;
	}
	if (op == TROUPE__CHILD_ORDER__OP__COUNT && ok)
		printf("specs %u  active %u  supervisors %u  workers %u\n", a->specs, a->active, a->supervisors, a->workers);
	else if (op == TROUPE__CHILD_ORDER__OP__SPEC && ok)
		fputs(a->spec, stdout);
	else if (a->pid)
		printf("%s: %s, pid %u%s%s\n", actor, a->text, a->pid, a->info[0] ? ", " : "", a->info);
	else
		printf("%s: %s%s%s%s\n", actor, ok && !*a->text ? "ok" : a->text, a->info[0] ? " (" : "", a->info, a->info[0] ? ")" : "");
	if (!ok && *hint_of(a->text))
		fprintf(stderr, "  %s\n", hint_of(a->text));
	return ok ? EXIT_OK : EXIT_NO;
}

int verb_actor(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__ChildOrder order = TROUPE__CHILD_ORDER__INIT;
	const char *actor = t->args.n_words ? t->args.words[0] : "";
	order.op = op_of(strchr(t->verb->name, ' ') + 1);
	if (tool_has(t, OPT_DRY_RUN)) /* does it exist? */
		order.op = TROUPE__CHILD_ORDER__OP__SPEC;
	int status = tool_number(t, OPT_INCARNATION, 1, UINT64_MAX, &order.incarnation);
	if (status != 0)
		return status;
	bool destroys = order.op == TROUPE__CHILD_ORDER__OP__STOP || order.op == TROUPE__CHILD_ORDER__OP__KILL || order.op == TROUPE__CHILD_ORDER__OP__DELETE;
	status = destroys ? tool_confirm(t, "%s %s?", t->verb->name, actor) : 0;
	if (status != 0)
		return status;
	order.address = (char *)(uintptr_t)actor;
	order.above = (char *)(uintptr_t)(tool_has(t, OPT_OF) ? tool_option(t, OPT_OF) : "");
	order.force = tool_has(t, OPT_FORCE);
	env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ORDER;
	env.child_order = &order;
	status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_CHILD_ANSWER, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__ChildAnswer *a = answer->child_answer;
	bool nobody = strcmp(a->text, "not_found") == 0, no_supervisor = strcmp(a->text, "noproc") == 0 && *order.above;
	if (nobody || no_supervisor) {
		const char *missing = no_supervisor ? order.above : actor;
		struct error e;
		error_set(&e, ERROR_NO_ACTOR, "there is no %s %.150s%s%.100s", no_supervisor ? "supervisor" : "actor", missing, nobody && *order.above ? " below " : "",
		          nobody ? order.above : "");
		return tool_fail_name(t, missing, &e);
	}
	if (tool_has(t, OPT_DRY_RUN)) {
		printf("would do: %s %s\n", t->verb->name, actor);
		return EXIT_OK;
	}
	return tell_answer(t, actor, a, order.op);
}

int verb_actor_add(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	_cleanup_(freep) uint8_t *section = NULL;
	_cleanup_(freep) char *text = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__AddChild add = TROUPE__ADD_CHILD__INIT;
	unsigned n_names = t->args.rest < t->args.n_words ? t->args.rest : t->args.n_words;
	size_t len = 0;
	if (n_names < 1 || n_names > 2)
		return tool_usage(t, "name the supervisor, perhaps the child, then -- and its arguments");
	if (tool_has(t, OPT_SECTION)) {
		int status = n_names > 1 || t->args.rest < t->args.n_words ? tool_usage(t, "a section has the child's name and command in it") :
		                                                              tool_read(t, tool_option(t, OPT_SECTION), SECTION_MAX, &section, &len);
		if (status != 0)
			return status;
		text = strndup((const char *)section, len);
		if (!text)
			return tool_fail_code(t, -ENOMEM, NULL);
		add.section = text;
	}
	add.above = (char *)(uintptr_t)t->args.words[0];
	if (n_names > 1)
		add.name = (char *)(uintptr_t)t->args.words[1];
	add.args = (char **)(uintptr_t)(t->args.words + n_names);
	add.n_args = t->args.n_words - n_names;
	env.body_case = TROUPE__ENVELOPE__BODY_ADD_CHILD;
	env.add_child = &add;
	int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_CHILD_ANSWER, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__ChildAnswer *a = answer->child_answer;
	return tell_answer(t, *a->address ? a->address : add.name, a, TROUPE__CHILD_ORDER__OP__START);
}

/* --- what if --- */

/* "crash worker:a/1" */
static int read_event(struct tool *t, Troupe__WhatIf *ret)
{
	static const char *const words[] = { "", "crash", "normal", "stop", "restart", "kill" };
	const char *text = tool_option(t, OPT_WHAT_IF), *space = strchr(text, ' ');
	for (size_t i = 1; space && i < ELEMENTS(words); i++)
		if (strlen(words[i]) == (size_t)(space - text) && memcmp(words[i], text, (size_t)(space - text)) == 0)
			ret->what = (Troupe__WhatIf__What)i;
	if (ret->what == TROUPE__WHAT_IF__WHAT__NONE)
		return tool_usage(t, "--what-if: '%.80s' is no event: write \"crash CHILD\", or normal, stop, restart, kill", text);
	ret->address = (char *)(uintptr_t)(space + 1 + strspn(space + 1, " "));
	return 0;
}

int show_what_if(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__WhatIf ask = TROUPE__WHAT_IF__INIT;
	struct emit em;
	int status = read_event(t, &ask);
	if (status != 0)
		return status;
	env.body_case = TROUPE__ENVELOPE__BODY_WHAT_IF;
	env.what_if = &ask;
	status = emit_begin(&em, t, &table_what_if);
	if (status != 0)
		return status;
	status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_WHAT_IF_ANSWER, &arena, &answer);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	for (size_t i = 0; i < answer->what_if_answer->n_steps; i++) {
		const Troupe__WhatIfStep *s = answer->what_if_answer->steps[i];
		json_t *row = json_object();
		row_number(row, "after_ms", s->after_ms);
		row_text(row, "what", s->what);
		row_text(row, "actor", s->address);
		row_text(row, "detail", s->detail);
		emit_row(&em, row);
	}
	if (answer->what_if_answer->cut && !tool_quiet(t))
		fputs("and so on\n", stderr);
	return emit_end(&em);
}
