/* Queues: queue, dlq list show export. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/wire/policy.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

int queue_ask(struct tool *t, const char *name, struct arena **ret_arena, const Troupe__Queues **ret)
{
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueAsk ask = TROUPE__QUEUE_ASK__INIT;
	ask.name = (char *)(uintptr_t)name;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, ret_arena, &answer, &e);
	if (code != 0)
		return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? name : t->coordinator, &e) : tool_fail_code(t, code, &e);
	bool queues = answer->body_case == TROUPE__ENVELOPE__BODY_QUEUES;
	if (queues && (!*name || answer->queues->n_queues)) {
		*ret = answer->queues;
		return 0;
	}
	if (queues)
		error_set(&e, ERROR_NO_QUEUE, "there is no queue %.150s", name);
	else
		error_set(&e, ERROR_VERSION, "%s answered with something else", t->coordinator);
	arena_unref(*ret_arena);
	*ret_arena = NULL;
	return tool_fail_name(t, name, &e);
}

int verb_queue_list(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Queues *found;
	struct emit em;
	int status = emit_begin(&em, t, &table_queues);
	if (status != 0)
		return status;
	status = queue_ask(t, "", &arena, &found);
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	for (size_t i = 0; i < found->n_queues; i++)
		emit_row(&em, row_of_queue(found->queues[i]));
	return emit_end(&em);
}

static void print_order(const char *label, const char *by, const char *why, uint64_t at_ms)
{
	char at[25] = "";
	if (at_ms)
		clock_format(at_ms, at);
	printf("%-16s %s%s%s%s%s\n", label, *by ? by : "somebody", at_ms ? " since " : "", at, *why ? ": " : "", why);
}

static bool was_set(const Troupe__Queue *q, const char *key)
{
	for (size_t i = 0; i < q->n_changed; i++)
		if (strcmp(q->changed[i], key) == 0)
			return true;
	return false;
}

static void print_policy(const Troupe__Queue *q)
{
	char text[POLICY_TEXT];
	puts("");
	for (const char *const *key = policy_keys; *key; key++) {
		policy_get(q->policy, *key, text, sizeof text);
		if (was_set(q, *key))
			printf("%-16s %-16s (set at run time)\n", *key, text);
		else
			printf("%-16s %s\n", *key, text);
	}
}

int verb_queue_show(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Queues *found;
	char text[32];
	int status = queue_ask(t, t->args.words[0], &arena, &found);
	if (status != 0)
		return status;
	const Troupe__Queue *q = found->queues[0];
	if (tool_has(t, OPT_JSON))
		return emit_one(t, &table_queues, row_of_queue(q));
	printf("%-16s %s\n%-16s %s%s%s\n", "queue", q->name, "state", q->paused ? "paused" : q->draining ? "draining" : "open", q->paused && q->draining ? ", draining" : "",
	       q->policy && q->policy->auto_created ? ", made by a submit" : "");
	if (q->paused)
		print_order("paused by", q->paused_by, q->paused_why, q->paused_at_ms);
	if (q->draining)
		print_order("drained by", q->draining_by, q->draining_why, q->draining_at_ms);
	printf("%-16s %llu ready, %llu scheduled, %llu running, %llu done, %llu cancelled, %llu dead\n", "tasks", (unsigned long long)q->ready, (unsigned long long)q->scheduled,
	       (unsigned long long)q->running, (unsigned long long)q->done, (unsigned long long)q->cancelled, (unsigned long long)q->dead);
	printf("%-16s %s\n", "payloads", format_size(q->bytes, text, sizeof text));
	printf("%-16s %s\n%-16s %u, %u busy\n", "oldest ready", format_age(q->oldest_ready_ms, text, sizeof text), "workers", q->workers, q->workers_busy);
	if (q->keys)
		printf("%-16s %llu in use\n", "serial keys", (unsigned long long)q->keys);
	printf("%-16s %llu submitted, %llu completed, %llu failed, %llu retried, %llu dropped\n", "totals", (unsigned long long)q->submitted_total,
	       (unsigned long long)q->completed_total, (unsigned long long)q->failed_total, (unsigned long long)q->retried_total, (unsigned long long)q->dropped_total);
	if (q->policy)
		print_policy(q);
	return EXIT_OK;
}

static int dead_tasks(struct tool *t, bool payload, int (*each)(struct tool *t, const Troupe__Task *task, void *ctx))
{
	struct filter f;
	int status = tool_filter(t, &f);
	if (status != 0)
		return status;
	filter_states_only(&f, TROUPE__TASK_STATE__DEAD);
	return list_tasks(t, &f.f, payload, each, NULL);
}

static int print_bulk(struct tool *t, const Troupe__Task *task, void *ctx)
{
	json_t *row = NULL;
	int status = export_row(t, task, &row);
	_cleanup_(freep) char *line = row ? row_json(row) : NULL;
	json_decref(row);
	if (status)
		return status;
	return line ? puts(line) < 0 ? EXIT_IO : 0 : tool_fail_code(t, -ENOMEM, NULL);
}

int verb_dlq_list(struct tool *t) { return dead_tasks(t, tool_has(t, OPT_PAYLOAD), NULL); }
int verb_dlq_export(struct tool *t) { return dead_tasks(t, true, print_bulk); }

int verb_dlq_show(struct tool *t)
{
	struct error e;
	struct ref ref;
	return ref_parse(t->args.words[0], &ref, &e) == 0 ? show_task(t, &ref) : tool_fail(t, &e);
}
