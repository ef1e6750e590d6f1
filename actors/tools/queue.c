/* Queues: queue, dlq list show export, check-store. */
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

static int queue_ask(struct tool *t, const char *name, struct arena **ret_arena, const Troupe__Queues **ret)
{
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueAsk ask = TROUPE__QUEUE_ASK__INIT;
	ask.name = (char *)(uintptr_t)name;
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	int code = client_ask(t->client, t->coordinator, &env, t->timeout_ms, ret_arena, &answer, &e);
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

static void print_policy(const Troupe__QueuePolicy *p)
{
	char a[32], b[32];
	const Troupe__RetryPolicy *r = p->retry;
	printf("timeout      %s\ngrace        %s\n", p->timeout_ms ? format_duration(p->timeout_ms, a, sizeof a) : "none", format_duration(p->grace_ms, b, sizeof b));
	if (r)
		printf("retry        at most %u attempts, delay from %s to %s, factor %u%%, jitter %u%%\n", r->max_attempts, format_duration(r->base_ms, a, sizeof a),
		       format_duration(r->cap_ms, b, sizeof b), r->factor_pct, r->jitter_pct);
	printf("results      kept %s, at most %s\n", format_duration(p->result_ttl_ms, a, sizeof a), format_size(p->result_max, b, sizeof b));
	if (p->max_tasks)
		printf("cap          %llu tasks\n", (unsigned long long)p->max_tasks);
	if (p->max_bytes)
		printf("cap          %s\n", format_size(p->max_bytes, a, sizeof a));
	if (p->poison_after)
		printf("poison       after %u crashes\n", p->poison_after);
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
	printf("queue        %s\nstate        %s\n", q->name, q->paused ? "paused" : "open");
	if (q->paused)
		printf("paused by    %s%s%s\n", q->paused_by, q->paused_why[0] ? ": " : "", q->paused_why);
	printf("tasks        %llu ready, %llu scheduled, %llu running, %llu done, %llu cancelled, %llu dead\n", (unsigned long long)q->ready,
	       (unsigned long long)q->scheduled, (unsigned long long)q->running, (unsigned long long)q->done, (unsigned long long)q->cancelled,
	       (unsigned long long)q->dead);
	printf("oldest ready %s\nworkers      %u, %u busy\n", format_age(q->oldest_ready_ms, text, sizeof text), q->workers, q->workers_busy);
	printf("totals       %llu submitted, %llu completed, %llu failed, %llu retried\n", (unsigned long long)q->submitted_total,
	       (unsigned long long)q->completed_total, (unsigned long long)q->failed_total, (unsigned long long)q->retried_total);
	if (q->policy)
		print_policy(q->policy);
	return EXIT_OK;
}

static int queue_order(struct tool *t, Troupe__QueueOrder__Op op, const char *done)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueOrder order = TROUPE__QUEUE_ORDER__INIT;
	const char *name = t->args.words[0];
	if (tool_has(t, OPT_DRY_RUN)) {
		const Troupe__Queues *found;
		int status = op == TROUPE__QUEUE_ORDER__OP__ADD ? 0 : queue_ask(t, name, &arena, &found);
		if (status == 0)
			printf("would be %s: %s\n", done, name);
		return status;
	}
	order.op = op;
	order.name = (char *)(uintptr_t)name;
	order.why = (char *)(uintptr_t)(tool_has(t, OPT_WHY) ? tool_option(t, OPT_WHY) : "");
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &order;
	int code = client_ask(t->client, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0)
		return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? name : t->coordinator, &e) : tool_fail_code(t, code, &e);
	printf("%s: %s\n", name, done);
	return EXIT_OK;
}

int verb_queue_pause(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__PAUSE, "paused"); }
int verb_queue_resume(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__RESUME, "resumed"); }
int verb_queue_add(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__ADD, "added"); }

static int dead_tasks(struct tool *t, bool payload, bool export_lines)
{
	Troupe__Filter f;
	Troupe__TaskState states[8];
	bool any;
	int status = tool_filter(t, &f, states, &any);
	if (status != 0)
		return status;
	states[0] = TROUPE__TASK_STATE__DEAD;
	f.states = states;
	f.n_states = 1;
	return list_tasks(t, &f, payload, export_lines);
}

int verb_dlq_list(struct tool *t) { return dead_tasks(t, tool_has(t, OPT_PAYLOAD), false); }
int verb_dlq_export(struct tool *t) { return dead_tasks(t, true, true); }

int verb_dlq_show(struct tool *t)
{
	struct error e;
	struct ref ref;
	return ref_parse(t->args.words[0], &ref, &e) == 0 ? show_task(t, &ref) : tool_fail(t, &e);
}

int verb_check_store(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CheckStore check = TROUPE__CHECK_STORE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHECK_STORE;
	env.check_store = &check;
	if (!t->timeout_ms)
		t->timeout_ms = 600000; /* a full scan takes its time */
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_STORE_CHECKED, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__StoreChecked *s = answer->store_checked;
	if (tool_has(t, OPT_JSON)) {
		json_t *row = json_object(), *lines = json_array();
		row_number(row, "tasks", s->tasks);
		row_number(row, "problems", s->problems);
		for (size_t i = 0; i < s->n_lines; i++)
			json_array_append_new(lines, json_string(s->lines[i]));
		json_object_set_new(row, "lines", lines);
		_cleanup_(freep) char *line = row_json(row);
		json_decref(row);
		if (line)
			puts(line);
	} else {
		printf("%llu tasks, %llu problems\n", (unsigned long long)s->tasks, (unsigned long long)s->problems);
		for (size_t i = 0; i < s->n_lines; i++)
			printf("  %s\n", s->lines[i]);
	}
	uint64_t n = 0;
	if (tool_has(t, OPT_PAYLOAD) && (status = payload_check(t, &n)) == 0 && !tool_has(t, OPT_JSON))
		printf("%llu payloads above 64 KiB are what was submitted\n", (unsigned long long)n);
	return s->problems ? EXIT_NO : status;
}
