/* Orders to queues: pause resume drain quiet unquiet add set remove. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/wire/policy.h"
#include "actors/tools/progress.h"
#include "actors/tools/tool.h"

#define FIELDS_MAX 64u

/* What the words behind the queue say. */
struct values {
	Troupe__QueuePolicy *policy;
	char *fields[FIELDS_MAX];
	size_t n;
	char text[FIELDS_MAX][32];
};

static int order_send(struct tool *t, Troupe__QueueOrder__Op op, const char *name, const struct values *v)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueOrder order = TROUPE__QUEUE_ORDER__INIT;
	order.op = op;
	order.name = (char *)(uintptr_t)name;
	order.why = (char *)(uintptr_t)(tool_has(t, OPT_WHY) ? tool_option(t, OPT_WHY) : "");
	if (v && v->n) {
		order.policy = v->policy;
		order.fields = (char **)(uintptr_t)v->fields;
		order.n_fields = v->n;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &order;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code == 0)
		return 0;
	return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? name : t->coordinator, &e) : tool_fail_code(t, code, &e);
}

/* An order to a queue that is there, without values. */
static int queue_order(struct tool *t, Troupe__QueueOrder__Op op, const char *done)
{
	const char *name = t->args.words[0];
	if (tool_has(t, OPT_DRY_RUN)) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Queues *found;
		int status = queue_ask(t, name, &arena, &found);
		if (status == 0)
			printf("would be %s: %s\n", done, name);
		return status;
	}
	int status = order_send(t, op, name, NULL);
	if (status == 0)
		printf("%s: %s\n", name, done);
	return status;
}

int verb_queue_pause(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__PAUSE, "paused"); }
int verb_queue_resume(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__RESUME, "resumed"); }
int verb_queue_drain(struct tool *t) { return queue_order(t, TROUPE__QUEUE_ORDER__OP__DRAIN, "drained"); }

static int node_order(struct tool *t, Troupe__QueueOrder__Op op, const char *done)
{
	if (tool_has(t, OPT_DRY_RUN)) {
		printf("would be %s: all queues of %s\n", done, t->coordinator);
		return EXIT_OK;
	}
	int status = order_send(t, op, "", NULL);
	if (status == 0)
		printf("%s: %s\n", t->coordinator, done);
	return status;
}

int verb_queue_quiet(struct tool *t) { return node_order(t, TROUPE__QUEUE_ORDER__OP__QUIET, "quiet"); }
int verb_queue_unquiet(struct tool *t) { return node_order(t, TROUPE__QUEUE_ORDER__OP__UNQUIET, "no longer quiet"); }

int verb_queue_remove(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Queues *found;
	const char *name = t->args.words[0];
	char text[32];
	int status = queue_ask(t, name, &arena, &found);
	if (status != 0)
		return status;
	const Troupe__Queue *q = found->queues[0];
	uint64_t n = q->ready + q->scheduled + q->running + q->done + q->cancelled + q->dead;
	if (!tool_has(t, OPT_DRY_RUN)) {
		status = tool_confirm(t, "Remove queue %.128s, which has %s tasks?", name, number_grouped(n, text, sizeof text));
		status = status ? status : order_send(t, TROUPE__QUEUE_ORDER__OP__REMOVE, name, NULL);
		if (status == 0)
			printf("%s: removed\n", name);
		return status;
	}
	printf("would be removed: %s, which has %s tasks\n", name, number_grouped(n, text, sizeof text));
	return EXIT_OK;
}

/* --- values --- */

static int usage_of(struct tool *t, const struct error *e)
{
	failure_print(stderr, t->verb->name, "USAGE", e);
	return EXIT_USAGE;
}

/* One word, KEY=VALUE, into v's policy and fields. */
static int read_value(struct tool *t, struct values *v, const char *word)
{
	struct error e;
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : 0;
	if (!len || len >= sizeof v->text[0])
		return tool_usage(t, "'%.60s' is not written KEY=VALUE", word);
	memcpy(v->text[v->n], word, len);
	v->text[v->n][len] = '\0';
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->fields[i], v->text[v->n]) == 0)
			return tool_usage(t, "%s is said twice", v->fields[i]);
	if (v->n == FIELDS_MAX - 1)
		return tool_usage(t, "there are not so many keys");
	int code = policy_set(v->policy, v->text[v->n], equals + 1, &e);
	if (code != 0)
		return code > 0 ? usage_of(t, &e) : tool_fail_code(t, code, NULL);
	v->fields[v->n] = v->text[v->n];
	v->n++;
	return 0;
}

/* The words behind the queue's name, on top of what holds now; what results must make sense. */
static int read_values(struct tool *t, const Troupe__QueuePolicy *now, struct values *v)
{
	struct error e;
	*v = (struct values){ .policy = now ? policy_copy(now) : policy_new(t->args.words[0]) };
	if (!v->policy)
		return tool_fail_code(t, -ENOMEM, NULL);
	for (unsigned i = 1; i < t->args.n_words; i++) {
		int status = read_value(t, v, t->args.words[i]);
		if (status != 0)
			return status;
	}
	return policy_check(v->policy, NULL, &e) ? usage_of(t, &e) : 0;
}

static void print_values(const struct values *v)
{
	char text[POLICY_TEXT];
	for (size_t i = 0; i < v->n; i++)
		printf("  %s=%s\n", v->fields[i], policy_get(v->policy, v->fields[i], text, sizeof text));
}

int verb_queue_add(struct tool *t)
{
	struct values v;
	const char *name = t->args.words[0];
	int status = read_values(t, NULL, &v);
	if (status == 0 && tool_has(t, OPT_DRY_RUN)) {
		printf("would be added: %s\n", name);
		print_values(&v);
	} else if (status == 0) {
		status = order_send(t, TROUPE__QUEUE_ORDER__OP__ADD, name, &v);
		if (status == 0)
			printf("%s: added\n", name);
	}
	policy_free(v.policy);
	return status;
}

int verb_queue_set(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Queues *found;
	struct values v = { .policy = NULL };
	const char *name = t->args.words[0];
	bool reset = tool_has(t, OPT_RESET);
	if (reset != (t->args.n_words == 1))
		return tool_usage(t, reset ? "--reset takes all back that was set: name no keys" : "say which values: KEY=VALUE..., or --reset");
	int status = queue_ask(t, name, &arena, &found);
	if (status == 0 && !reset)
		status = read_values(t, found->queues[0]->policy, &v);
	if (status == 0 && tool_has(t, OPT_DRY_RUN)) {
		printf("would be %s: %s\n", reset ? "reset" : "set", name);
		print_values(&v);
	} else if (status == 0) {
		status = order_send(t, TROUPE__QUEUE_ORDER__OP__SET, name, &v);
		if (status == 0)
			printf("%s: %s\n", name, reset ? "as configured" : "set");
	}
	policy_free(v.policy);
	return status;
}
