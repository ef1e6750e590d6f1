/* What single actors left and say: crashes, logs, tell, ask. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/wire/address.h"
#include "common/wire/codec.h"
#include "common/wire/json.h"
#include "common/wire/verb.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define CRASH_SLICE 100u
#define PAYLOAD_MAX (768u * 1024)

/* --- crashes --- */

static int crash_ask(struct tool *t, const Troupe__CrashAsk *ask, struct arena **ret_arena, const Troupe__Crashes **ret)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CRASH_ASK;
	env.crash_ask = (Troupe__CrashAsk *)(uintptr_t)ask;
	int status = tool_ask(t, NULL, &env, TROUPE__ENVELOPE__BODY_CRASHES, ret_arena, &answer);
	if (status == 0)
		*ret = answer->crashes;
	return status;
}

static void print_text(const char *label, const char *text)
{
	if (text && *text)
		printf("%-12s %s\n", label, text);
}

static void print_crash(const Troupe__Crash *c)
{
	char at[25], up[32], how[64];
	clock_format(c->at_ms, at);
	snprintf(how, sizeof how, "%s%s%.0d", reason_name(c->reason), c->signal || c->exit_code ? " " : "", c->signal ? c->signal : c->exit_code);
	printf("%-12s %llu\n%-12s %s, incarnation %llu, pid %u\n", "crash", (unsigned long long)c->id, "actor", c->address, (unsigned long long)c->incarnation, c->pid);
	printf("%-12s %s, after %s\n", "at", at, format_age(c->uptime_ms, up, sizeof up));
	print_text("how", how);
	print_text("detail", c->detail);
	print_text("phase", c->phase);
	print_text("core", c->core);
	print_text("decision", c->decision);
	print_text("windows", c->windows);
	print_text("family", c->proof == TROUPE__PROOF__PROOF_EMPTY ? "proven empty" : "not proven empty then");
	for (size_t i = 0; i < c->n_tokens; i++)
		printf("%-12s %llu\n", i ? "" : "tokens", (unsigned long long)c->tokens[i]);
	if (c->usage)
		printf("%-12s %.3f s user, %.3f s system, %llu KiB at most\n", "used", (double)c->usage->user_us / 1e6, (double)c->usage->system_us / 1e6,
		       (unsigned long long)c->usage->max_rss_kib);
	if (c->backtrace[0])
		printf("backtrace\n%s\n", c->backtrace);
	if (c->stderr_tail.len) {
		puts("stderr");
		fwrite(c->stderr_tail.data, 1, c->stderr_tail.len, stdout);
		if (c->stderr_tail.data[c->stderr_tail.len - 1] != '\n')
			putchar('\n');
	}
}

static int show_crash(struct tool *t, uint64_t id)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Crashes *found;
	Troupe__CrashAsk ask = TROUPE__CRASH_ASK__INIT;
	ask.id = id;
	int status = crash_ask(t, &ask, &arena, &found);
	if (status != 0)
		return status;
	if (found->n_crashes == 0) {
		struct error e;
		error_set(&e, ERROR_NOT_FOUND, "there is no crash report %llu", (unsigned long long)id);
		error_cure(&e, "troupe crashes lists them");
		return tool_fail(t, &e);
	}
	if (tool_quiet(t))
		return emit_one(t, &table_crashes, row_of_crash(found->crashes[0]));
	print_crash(found->crashes[0]);
	return EXIT_OK;
}

int verb_crashes(struct tool *t)
{
	Troupe__CrashAsk ask = TROUPE__CRASH_ASK__INIT;
	uint64_t limit = emit_limit(t), id;
	struct emit em;
	if (t->args.n_words && parse_number(t->args.words[0], 1, UINT64_MAX, &id, NULL) == 0)
		return show_crash(t, id);
	ask.address = (char *)(uintptr_t)(t->args.n_words ? t->args.words[0] : "");
	int status = emit_begin(&em, t, &table_crashes);
	while (status == 0 && em.n < limit) {
		_cleanup_(arena_unrefp) struct arena *arena = NULL;
		const Troupe__Crashes *found;
		ask.limit = limit - em.n < CRASH_SLICE ? (uint32_t)(limit - em.n) : CRASH_SLICE;
		status = crash_ask(t, &ask, &arena, &found);
		if (status != 0)
			break;
		for (size_t i = 0; i < found->n_crashes; i++)
			emit_row(&em, row_of_crash(found->crashes[i]));
		ask.before = found->next;
		if (!found->next || !found->n_crashes)
			break;
	}
	if (status != 0) {
		emit_drop(&em);
		return status;
	}
	return emit_end(&em);
}

/* --- logs --- */

static int write_tail(const ProtobufCBinaryData *text, uint64_t dropped)
{
	fwrite(text->data, 1, text->len, stdout);
	if (text->len && text->data[text->len - 1] != '\n')
		putchar('\n');
	if (dropped)
		fprintf(stderr, "%llu bytes were dropped before this\n", (unsigned long long)dropped);
	return EXIT_OK;
}

static int task_logs(struct tool *t, const struct ref *ref)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Get get = TROUPE__GET__INIT;
	Troupe__TaskRef name;
	ref_message(ref, &name);
	get.task = &name;
	get.history = true;
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &get;
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, &arena, &answer);
	if (status != 0)
		return status;
	if (answer->tasks->n_tasks == 0)
		return EXIT_NO_SUCH;
	const Troupe__Task *task = answer->tasks->tasks[0];
	const Troupe__Outcome *last = task->outcome;
	if ((!last || !last->stderr_tail.len) && task->n_history)
		last = task->history[task->n_history - 1]->outcome;
	if (!last) {
		fprintf(stderr, "no attempt has ended yet\n");
		return EXIT_NO;
	}
	return write_tail(&last->stderr_tail, 0);
}

int verb_logs(struct tool *t)
{
	const char *word = t->args.words[0];
	struct error e = { 0 };
	struct ref ref;
	bool is_task = !strchr(word, ':') && ref_parse(word, &ref, &e) == 0;
	if (is_task && *word == '#')
		return task_logs(t, &ref);
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TailAsk ask = TROUPE__TAIL_ASK__INIT;
	ask.address = (char *)(uintptr_t)word;
	env.body_case = TROUPE__ENVELOPE__BODY_TAIL_ASK;
	env.tail_ask = &ask;
	/* A child's name may look like the end of an id: who is in the tree is meant. */
	int code = talk_ask(t->talk, NULL, &env, t->timeout_ms, &arena, &answer, &e);
	if (code == ERROR_NO_ACTOR && is_task)
		return task_logs(t, &ref);
	if (code || answer->body_case != TROUPE__ENVELOPE__BODY_TAIL)
		return code ? tool_fail_code(t, code, &e) : EXIT_PROTOCOL;
	return write_tail(&answer->tail->text, answer->tail->dropped);
}

/* --- tell and ask --- */

/* The application message of the words, or a system verb's request from JSON. Parts live in the arena. */
static int build_message(struct tool *t, struct arena *arena, Troupe__Envelope *env, uint8_t **ret_payload)
{
	const char *type = t->args.words[1], *text = t->args.n_words > 2 ? t->args.words[2] : NULL;
	const struct verb *v = verb_by_name(type);
	struct error e;
	size_t len = text ? strlen(text) : 0;
	if (!address_valid(t->args.words[0]))
		return tool_usage(t, "'%.60s' is no address: write type:id", t->args.words[0]);
	if (text && strcmp(text, "-") == 0) {
		int status = tool_read(t, "-", PAYLOAD_MAX, ret_payload, &len);
		if (status != 0)
			return status;
		text = (const char *)*ret_payload;
	}
	if (!v) {
		env->type = (char *)(uintptr_t)type;
		env->payload = (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)text };
		if (tool_has(t, OPT_CONTENT_TYPE))
			env->content_type = (char *)(uintptr_t)tool_option(t, OPT_CONTENT_TYPE);
		else if (text && (text[0] == '{' || text[0] == '['))
			env->content_type = (char *)(uintptr_t)"application/json";
		return 0;
	}
	json_error_t je;
	json_t *body = len ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &je) : json_object();
	if (!body) {
		error_set(&e, ERROR_BAD_REQUEST, "the message of %s is no JSON: %s at column %d", type, je.text, je.column);
		return tool_fail(t, &e);
	}
	json_t *whole = json_pack("{s:o}", v->name, body);
	ProtobufCMessage *m;
	int code = whole ? json_to_message(whole, &troupe__envelope__descriptor, arena, &m, &e) : -ENOMEM;
	json_decref(whole);
	if (code != 0)
		return tool_fail_code(t, code, &e);
	*env = *(Troupe__Envelope *)m;
	return 0;
}

int verb_tell(struct tool *t)
{
	_cleanup_(freep) uint8_t *payload = NULL;
	_cleanup_(arena_unrefp) struct arena *arena = arena_new(16u << 20), *answer_arena = NULL;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT, check = TROUPE__ENVELOPE__INIT;
	Troupe__Ping ping = TROUPE__PING__INIT;
	const Troupe__Envelope *answer;
	struct error e;
	if (!arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	int status = build_message(t, arena, &env, &payload);
	if (status != 0)
		return status;
	int code = talk_tell(t->talk, t->args.words[0], &env, &e);
	if (code != 0)
		return tool_fail_code(t, code, &e);
	/* First come, first served inside a sender: when the ping behind it is answered, the message has arrived. */
	check.body_case = TROUPE__ENVELOPE__BODY_PING;
	check.ping = &ping;
	return tool_ask(t, t->args.words[0], &check, TROUPE__ENVELOPE__BODY_PONG, &answer_arena, &answer);
}

int verb_ask(struct tool *t)
{
	_cleanup_(freep) uint8_t *payload = NULL;
	_cleanup_(arena_unrefp) struct arena *arena = arena_new(16u << 20), *answer_arena = NULL;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const Troupe__Envelope *answer;
	if (!arena)
		return tool_fail_code(t, -ENOMEM, NULL);
	int status = build_message(t, arena, &env, &payload);
	if (status != 0)
		return status;
	const struct verb *v = verb_find((int)env.body_case);
	const char *to = v && v->owner == OWNER_SUPERVISOR ? NULL : t->args.words[0];
	status = tool_ask(t, to, &env, TROUPE__ENVELOPE__BODY__NOT_SET, &answer_arena, &answer);
	if (status != 0)
		return status;
	if (answer->body_case == TROUPE__ENVELOPE__BODY__NOT_SET && !tool_has(t, OPT_JSON)) {
		fwrite(answer->payload.data, 1, answer->payload.len, stdout);
		if (answer->payload.len && answer->payload.data[answer->payload.len - 1] != '\n')
			putchar('\n');
		return EXIT_OK;
	}
	json_t *j = json_from_message(&answer->base);
	const struct verb *said = verb_find((int)answer->body_case);
	json_t *shown = j;
	if (said && !tool_has(t, OPT_JSON)) /* the body alone; its member has the verb's name in camel case, so take it by being the only object */
		for (void *it = json_object_iter(j); it; it = json_object_iter_next(j, it))
			if (json_is_object(json_object_iter_value(it)))
				shown = json_object_iter_value(it);
	_cleanup_(freep) char *text = shown ? json_dumps(shown, tool_has(t, OPT_JSON) ? JSON_COMPACT : JSON_INDENT(2)) : NULL;
	json_decref(j);
	if (!text)
		return tool_fail_code(t, -ENOMEM, NULL);
	puts(text);
	return EXIT_OK;
}
