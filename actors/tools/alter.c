/* reprioritise, move, edit. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/change.h"

#define PAYLOAD_MAX (64u * 1024)  /* inline in a task */

int verb_reprioritise(struct tool *t)
{
	struct error e;
	struct filter f;
	Troupe__Alter alter = TROUPE__ALTER__INIT;
	Troupe__Level level = TROUPE__LEVEL__INIT;
	struct change_plan plan = { .what = CHANGE_ALTER, .question = "Reprioritise", .done = "reprioritised", .alter = &alter };
	if (!tool_has(t, OPT_PRIORITY))
		return tool_usage(t, "--priority says which one: critical, high, normal, low, bulk, or a number");
	if (parse_priority(tool_option(t, OPT_PRIORITY), &level.value, &e) != 0)
		return tool_usage(t, "--priority: %s", e.text);
	alter.priority = &level;
	int status = tool_filter(t, &f);
	return status ? status : change_tasks(t, &plan, &f);
}

int verb_move(struct tool *t)
{
	struct filter f;
	Troupe__Alter alter = TROUPE__ALTER__INIT;
	struct change_plan plan = { .what = CHANGE_ALTER, .question = "Move", .done = "moved", .alter = &alter };
	if (!tool_has(t, OPT_TO) || !*tool_option(t, OPT_TO))
		return tool_usage(t, "--to says which queue they go to");
	alter.queue = (char *)(uintptr_t)tool_option(t, OPT_TO);
	int status = tool_filter(t, &f);
	return status ? status : change_tasks(t, &plan, &f);
}

/* What a task does is one thing: its payload, or its command with what it reads. Where one is not said the old one stays, so it is asked for first. */
static int edit_content(struct tool *t, const struct ref *ref, Troupe__Alter *alter, struct arena **ret_arena)
{
	const Troupe__Task *task;
	int status = get_task(t, ref, TASK_PAYLOAD, ret_arena, &task);
	if (status != 0 || !task->spec)
		return status;
	if (task->spec->blob) {
		struct error e;
		error_set(&e, ERROR_STATE, "its payload is a blob, which cannot be replaced");
		error_cure(&e, "submit another task instead, and cancel or delete this one");
		return tool_fail(t, &e);
	}
	alter->payload = task->spec->payload;
	alter->argv = task->spec->argv;
	alter->n_argv = task->spec->n_argv;
	alter->content_type = task->spec->content_type;
	return 0;
}

int verb_edit(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	_cleanup_(freep) uint8_t *payload = NULL;
	_cleanup_(freep) ProtobufCBinaryData *argv = NULL;
	const struct args *a = &t->args;
	struct error e;
	struct ref ref;
	Troupe__Alter alter = TROUPE__ALTER__INIT;
	const struct change_plan plan = { .what = CHANGE_ALTER, .question = "Edit", .done = "edited", .alter = &alter };
	unsigned n = a->n_words - a->rest;
	if (a->rest != 1)
		return tool_usage(t, "it takes one task; a command stands behind --");
	if (!n && !tool_has(t, OPT_NEW_PAYLOAD) && !tool_has(t, OPT_CONTENT_TYPE))
		return tool_usage(t, "say what is new: --payload FILE, --content-type TYPE, or -- COMMAND");
	if (ref_parse(a->words[0], &ref, &e) != 0)
		return tool_fail(t, &e);
	int status = edit_content(t, &ref, &alter, &arena);
	if (status == 0 && tool_has(t, OPT_NEW_PAYLOAD)) {
		status = tool_read(t, tool_option(t, OPT_NEW_PAYLOAD), PAYLOAD_MAX, &payload, &alter.payload.len);
		alter.payload.data = payload;
	}
	if (status != 0)
		return status;
	argv = n ? calloc(n, sizeof *argv) : NULL;
	if (n && !argv)
		return tool_fail_code(t, -ENOMEM, NULL);
	for (unsigned i = 0; i < n; i++)
		argv[i] = (ProtobufCBinaryData){ .len = strlen(a->words[1 + i]), .data = (uint8_t *)(uintptr_t)a->words[1 + i] };
	if (n) {
		alter.argv = argv;
		alter.n_argv = n;
	}
	if (tool_has(t, OPT_CONTENT_TYPE))
		alter.content_type = (char *)(uintptr_t)tool_option(t, OPT_CONTENT_TYPE);
	alter.content = true;
	return change_one(t, &plan, &ref);
}
