/* submit: one task, from the command line. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/bulk.h"
#include "actors/tools/payload.h"
#include "actors/tools/rows.h"
#include "actors/tools/spec_json.h"
#include "actors/tools/tool.h"

#define TAGS_MAX 32u
#define DRAFT_ARENA (1u << 20)

/* A task made of options: what it points at. */
struct draft {
	Troupe__TaskSpec spec;
	Troupe__Level level;
	Troupe__RetryPolicy retry;
	struct id id;
	char *tags[TAGS_MAX];
	char *tag_text;                /* owned */
	struct arena *arena;           /* of edges, resources and rules; owned */
	struct payload payload;
	struct payload_ref large;      /* of a payload that is sent before */
	ProtobufCBinaryData *argv;     /* owned */
};

static void draft_fini(struct draft *d)
{
	arena_unref(d->arena);
	free(d->tag_text);
	payload_close(&d->payload);
	free(d->argv);
}

static int draft_tags(struct tool *t, struct draft *d)
{
	if (!tool_has(t, OPT_REQUIRE))
		return 0;
	d->tag_text = strdup(tool_option(t, OPT_REQUIRE));
	if (!d->tag_text)
		return tool_fail_code(t, -ENOMEM, NULL);
	char *rest = d->tag_text, *tag;
	while ((tag = strsep(&rest, ",")))
		if (*tag && d->spec.n_tags < TAGS_MAX)
			d->tags[d->spec.n_tags++] = tag;
	d->spec.tags = d->tags;
	return 0;
}

/* Everybody whom a list of tasks names: by an id at once, else the node is asked. */
static int draft_edges(struct tool *t, struct draft *d, enum option o, Troupe__EdgeOn on)
{
	_cleanup_(freep) char *words = tool_has(t, o) ? strdup(tool_option(t, o)) : NULL;
	struct error e;
	char *rest = words, *word;
	if (tool_has(t, o) && !words)
		return tool_fail_code(t, -ENOMEM, NULL);
	while ((word = strsep(&rest, ","))) {
		struct ref ref;
		int status = 0;
		if (ref_parse(word, &ref, &e) != 0)
			return tool_fail(t, &e);
		if (ref.kind != REF_ID)
			status = resolve_task(t, &ref, &ref.id);
		if (status != 0)
			return status;
		int code = spec_edge(&ref.id, on, d->arena, &d->spec, &e);
		if (code != 0)
			return code > 0 ? tool_usage(t, "--%s: %s", option_defs[o].name, e.text) : tool_fail_code(t, code, NULL);
	}
	return 0;
}

static int draft_resources(struct tool *t, struct draft *d)
{
	struct error e;
	const char *s = tool_option(t, OPT_RESOURCE);
	for (bool more = s != NULL; more;) {
		struct resource_amount r;
		size_t len = strcspn(s, ",");
		int code = parse_resource(s, len, &r, &e);
		code = code ? code : spec_resource(&r, d->arena, &d->spec, &e);
		if (code != 0)
			return code > 0 ? tool_usage(t, "--resource: %s; %s", e.text, e.cure[0] ? e.cure : "name each once") : tool_fail_code(t, code, NULL);
		more = s[len] != '\0';
		s += len + more;
	}
	return 0;
}

static int draft_retry(struct tool *t, struct draft *d)
{
	struct error e;
	struct retry_rule rules[RETRY_RULES_MAX];
	size_t n = 0;
	if (!tool_has(t, OPT_RETRY))
		return 0;
	if (parse_retry_rules(tool_option(t, OPT_RETRY), rules, &n, &e) != 0)
		return tool_usage(t, "--retry: %s; %s", e.text, e.cure);
	int code = spec_rules(rules, n, d->arena, &d->spec);
	return code ? tool_fail_code(t, code, NULL) : 0;
}

/* What it waits for and what it takes. */
static int draft_wants(struct tool *t, struct draft *d)
{
	d->arena = arena_new(DRAFT_ARENA);
	if (!d->arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	if (tool_has(t, OPT_SERIAL))
		d->spec.serial_key = (char *)(uintptr_t)tool_option(t, OPT_SERIAL);
	d->spec.hold_on_failure = tool_has(t, OPT_HOLD);
	if (tool_has(t, OPT_HOLD) && !tool_has(t, OPT_AFTER_TASKS))
		return tool_usage(t, "--hold says what happens when a task of --after fails: there is none");
	int status = draft_edges(t, d, OPT_AFTER_TASKS, TROUPE__EDGE_ON__ON_SUCCESS);
	status = status ? status : draft_edges(t, d, OPT_AFTER_ANY, TROUPE__EDGE_ON__ON_END);
	status = status ? status : draft_resources(t, d);
	return status ? status : draft_retry(t, d);
}

static int draft_options(struct tool *t, struct draft *d)
{
	struct error e;
	uint64_t deadline_ms = 0, attempts = 0;
	Troupe__TaskSpec *s = &d->spec;
	int status = tool_duration(t, OPT_DELAY, &s->delay_ms);
	status = status ? status : tool_duration(t, OPT_RUN_TIMEOUT, &s->timeout_ms);
	status = status ? status : tool_duration(t, OPT_DEADLINE, &deadline_ms);
	status = status ? status : tool_number(t, OPT_MAX_ATTEMPTS, 1, 1000000, &attempts);
	status = status ? status : draft_tags(t, d);
	status = status ? status : draft_wants(t, d);
	if (status != 0)
		return status;
	if (deadline_ms)
		s->deadline_at_ms = clock_wall_ms() + deadline_ms;
	if (attempts && !s->retry) {
		troupe__retry_policy__init(&d->retry);
		s->retry = &d->retry;
	}
	if (attempts)
		s->retry->max_attempts = (uint32_t)attempts;
	if (tool_has(t, OPT_PRIORITY)) {
		troupe__level__init(&d->level);
		if (parse_priority(tool_option(t, OPT_PRIORITY), &d->level.value, &e) != 0)
			return tool_usage(t, "--priority: %s", e.text);
		s->priority = &d->level;
	}
	if (tool_has(t, OPT_RUN_AT) && date_parse(tool_option(t, OPT_RUN_AT), &s->run_at_ms, &e) != 0)
		return tool_usage(t, "--run-at: %s", e.text);
	if (tool_has(t, OPT_UNIQUE))
		s->unique_key = (char *)(uintptr_t)tool_option(t, OPT_UNIQUE);
	if (tool_has(t, OPT_UNIQUE_MODE) && unique_mode_parse(tool_option(t, OPT_UNIQUE_MODE), &s->unique_mode, &e) != 0)
		return tool_usage(t, "--unique-mode: %s", e.text);
	if (tool_has(t, OPT_CONTENT_TYPE))
		s->content_type = (char *)(uintptr_t)tool_option(t, OPT_CONTENT_TYPE);
	d->id = talk_id(t->talk);
	if (tool_has(t, OPT_ID) && id_parse(tool_option(t, OPT_ID), &d->id, &e) != 0)
		return tool_usage(t, "--id: %s", e.text);
	s->id = (ProtobufCBinaryData){ .len = sizeof d->id.b, .data = d->id.b };
	return 0;
}

/* What the words from the at-th on say: QUEUE, then the payload; or with --exec the command. argv is kept as it was given. */
static int draft_words(struct tool *t, struct draft *d, unsigned at)
{
	const struct args *a = &t->args;
	if (a->n_words <= at)
		return tool_usage(t, "it needs a queue: troupe submit QUEUE PAYLOAD");
	d->spec.queue = (char *)(uintptr_t)a->words[at];
	if (tool_has(t, OPT_EXEC)) {
		unsigned first = a->rest < a->n_words ? a->rest : at + 1;
		unsigned n = a->n_words - first;
		if (n == 0 || first != at + 1)
			return tool_usage(t, "--exec takes a queue and then the command: troupe submit QUEUE --exec -- COMMAND ARGUMENT...");
		d->argv = calloc(n, sizeof *d->argv);
		if (!d->argv)
			return tool_fail_code(t, -ENOMEM, NULL);
		for (unsigned i = 0; i < n; i++)
			d->argv[i] = (ProtobufCBinaryData){ .len = strlen(a->words[first + i]), .data = (uint8_t *)(uintptr_t)a->words[first + i] };
		d->spec.argv = d->argv;
		d->spec.n_argv = n;
	} else if (a->n_words > at + 2) {
		return tool_usage(t, "a task has one payload: quote it; for a command write --exec -- COMMAND");
	}
	const char *word = !tool_has(t, OPT_EXEC) && a->n_words == at + 2 ? a->words[at + 1] : NULL;
	const char *file = tool_has(t, OPT_FILE) ? tool_option(t, OPT_FILE) : word && strcmp(word, "-") == 0 ? "-" : NULL;
	if (file && word && tool_has(t, OPT_FILE))
		return tool_usage(t, "the payload comes from --file or from the command line, not from both");
	if (file) {
		int status = payload_open(t, file, &d->payload);
		if (status != 0)
			return status;
	} else if (word) {
		d->payload = payload_of(word, strlen(word));
	} else if (!d->spec.n_argv) {
		return tool_usage(t, "it needs a payload: a word, - for stdin, --file FILE, --bulk FILE, or --exec -- COMMAND");
	}
	if (d->payload.size <= PAYLOAD_INLINE_MAX)
		d->spec.payload = (ProtobufCBinaryData){ .len = d->payload.size, .data = (uint8_t *)(uintptr_t)d->payload.data };
	return 0;
}

static void on_end(struct tool *t, const Troupe__Task *task, void *ctx)
{
	const Troupe__Outcome *o = task->outcome;
	int *verdict = ctx;
	if (o && o->output.len && !tool_quiet(t))
		fwrite(o->output.data, 1, o->output.len, stdout);
	if (tool_has(t, OPT_JSON)) {
		json_t *row = row_of_task(task, clock_wall_ms());
		_cleanup_(freep) char *line = row_json(row);
		json_decref(row);
		if (line)
			puts(line);
	}
	bool done = task->state == TROUPE__TASK_STATE__DONE;
	if (!done && !tool_quiet(t)) {
		char text[64];
		fprintf(stderr, "%s%s%s%s%s\n", task_state_name(task->state), o ? ": " : "", o ? outcome_text(o, text, sizeof text) : "", task->last_error[0] ? ", " : "",
		        task->last_error);
	}
	*verdict = tool_has(t, OPT_PASS_STATUS) ? pass_status(task) : done ? EXIT_OK : EXIT_NO;
}

/* Sends what is too large for a submit. */
static int send_large(struct tool *t, struct draft *d)
{
	struct error e = { .code = ERROR_NONE };
	if (d->payload.size <= PAYLOAD_INLINE_MAX)
		return 0;
	int code = payload_send(t, &d->payload, tool_quiet(t), &d->large, &e);
	d->spec.blob = &d->large.ref;
	return code ? tool_fail_code(t, code, &e) : 0;
}

static int submit_one(struct tool *t, struct draft *d)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__TaskSpec *specs[1] = { &d->spec };
	submit.tasks = specs;
	submit.n_tasks = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0)
		return code > 0 ? tool_fail_name(t, e.code == ERROR_NO_QUEUE ? d->spec.queue : t->coordinator, &e) : tool_fail_code(t, code, &e);
	if (answer->body_case != TROUPE__ENVELOPE__BODY_SUBMITTED || answer->submitted->n_receipts != 1) {
		error_set(&e, ERROR_VERSION, "%s did not answer with one receipt", t->coordinator);
		return tool_fail(t, &e);
	}
	const Troupe__Receipt *receipt = answer->submitted->receipts[0];
	struct ref ref = { .kind = REF_ID };
	if (receipt->id.len == sizeof ref.id.b)
		memcpy(ref.id.b, receipt->id.data, sizeof ref.id.b);
	bool waits = tool_has(t, OPT_WAIT) || tool_has(t, OPT_PASS_STATUS);
	if (tool_has(t, OPT_JSON) && !waits)
		return emit_one(t, &table_receipts, row_of_receipt(receipt, d->spec.queue));
	char text[ID_TEXT];
	id_format(&ref.id, text);
	if (!waits || tool_has(t, OPT_QUIET))
		puts(text);
	if (receipt->existing && !tool_quiet(t))
		fputs("that task was there already\n", stderr);
	if (!waits)
		return EXIT_OK;
	fflush(stdout);
	int verdict = EXIT_OK;
	int status = wait_for(t, &ref, 1, false, true, on_end, &verdict);
	return status ? status : verdict;
}

int verb_submit(struct tool *t)
{
	if (tool_has(t, OPT_BULK))
		return submit_bulk(t, tool_option(t, OPT_BULK));
	if (tool_has(t, OPT_DAG))
		return submit_dag(t, tool_option(t, OPT_DAG));
	struct draft d = { .payload = { .fd = -1 } };
	troupe__task_spec__init(&d.spec);
	int status = draft_words(t, &d, 0);
	if (status == 0)
		status = draft_options(t, &d);
	if (status == 0)
		status = send_large(t, &d);
	if (status == 0)
		status = submit_one(t, &d);
	draft_fini(&d);
	return status;
}

int with_task(struct tool *t, unsigned at, int (*fn)(struct tool *t, Troupe__TaskSpec *spec, void *ctx), void *ctx)
{
	struct draft d = { .payload = { .fd = -1 } };
	troupe__task_spec__init(&d.spec);
	int status = draft_words(t, &d, at);
	if (status == 0)
		status = draft_options(t, &d);
	if (status == 0 && d.payload.size > PAYLOAD_INLINE_MAX)
		status = tool_usage(t, "the payload has %llu bytes: what is submitted again and again has at most %u", (unsigned long long)d.payload.size, PAYLOAD_INLINE_MAX);
	if (status == 0)
		status = fn(t, &d.spec, ctx);
	draft_fini(&d);
	return status;
}
