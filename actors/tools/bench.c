/* bench: measures the node that runs, with what it has in its queues and on its disk. Times are from the tool's start of a request to its answer. */
#include <errno.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/troupe/troupe.h"
#include "actors/tools/bulk.h"
#include "actors/tools/progress.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define COUNT_MAX 10000000u
#define SIZE_MAX_BYTES 65536u
#define STALL_MS 60000u          /* without any news: give up */
#define IDS 65536u               /* buckets of tasks that are not finished */

struct pending { uint64_t started_us; struct pending *next; struct id id; };

struct bench {
	struct tool *t;
	uint64_t count, outstanding, size, chunk;
	uint64_t started, answered, finished, failed;
	uint64_t *took_us;           /* count of them */
	uint64_t n_took, news_ms;
	uint8_t *payload;
	const char *queue, *to;
	struct pending *tasks[IDS];
	struct error error;
	struct progress progress;
};

static void sample(struct bench *b, uint64_t took_us)
{
	if (b->n_took < b->count)
		b->took_us[b->n_took++] = took_us;
	b->news_ms = clock_mono_ms();
}

static unsigned bucket(const uint8_t *id) { return ((unsigned)id[14] << 8 | id[15]) % IDS; }

static void task_expect(struct bench *b, const struct id *id, uint64_t now_us)
{
	struct pending *p = malloc(sizeof *p);
	if (!p)
		return;
	*p = (struct pending){ .started_us = now_us, .id = *id, .next = b->tasks[bucket(id->b)] };
	b->tasks[bucket(id->b)] = p;
}

static void on_finished(struct tool *t, const Troupe__Envelope *env)
{
	struct bench *b = t->user;
	if (env->body_case != TROUPE__ENVELOPE__BODY_FINISHED)
		return;
	uint64_t now_us = clock_mono_us();
	for (size_t i = 0; i < env->finished->n_tasks; i++) {
		const Troupe__Task *task = env->finished->tasks[i];
		if (!task->spec || task->spec->id.len != sizeof(struct id))
			continue;
		for (struct pending **at = &b->tasks[bucket(task->spec->id.data)]; *at; at = &(*at)->next) {
			struct pending *p = *at;
			if (memcmp(p->id.b, task->spec->id.data, sizeof p->id.b) != 0)
				continue;
			sample(b, now_us - p->started_us);
			b->finished++;
			b->failed += task->state != TROUPE__TASK_STATE__DONE;
			*at = p->next;
			free(p);
			break;
		}
	}
}

static void on_answer(void *ctx, const struct talk_answer *a)
{
	struct bench *b = ctx;
	b->answered++;
	if (a->error) {
		if (b->error.code == ERROR_NONE)
			b->error = *a->error;
		return;
	}
	if (!b->t->on_push || b->to)
		sample(b, a->took_us);
	b->news_ms = clock_mono_ms();
}

static int start_submit(struct bench *b, bool notify)
{
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__TaskSpec specs[BULK_CHUNK_MAX], *tasks[BULK_CHUNK_MAX];
	struct id ids[BULK_CHUNK_MAX];
	uint64_t left = b->count - b->started, n = left < b->chunk ? left : b->chunk, now_us = clock_mono_us();
	for (uint64_t i = 0; i < n; i++) {
		troupe__task_spec__init(&specs[i]);
		ids[i] = talk_id(b->t->talk);
		specs[i].id = (ProtobufCBinaryData){ .len = sizeof ids[i].b, .data = ids[i].b };
		specs[i].queue = (char *)(uintptr_t)b->queue;
		specs[i].payload = (ProtobufCBinaryData){ .len = b->size, .data = b->payload };
		tasks[i] = &specs[i];
		if (notify)
			task_expect(b, &ids[i], now_us);
	}
	submit.tasks = tasks;
	submit.n_tasks = n;
	submit.notify = notify;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	struct talk_request r = { .to = b->t->coordinator, .env = &env, .timeout_ms = STALL_MS, .on_answer = on_answer, .ctx = b };
	int code = talk_start(b->t->talk, &r, &e);
	if (code == 0)
		b->started += n;
	else if (code > 0)
		b->error = e;
	return code < 0 ? code : 0;
}

static int start_ask(struct bench *b)
{
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Ping ping = TROUPE__PING__INIT;
	ping.data = (ProtobufCBinaryData){ .len = b->size, .data = b->payload };
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	struct talk_request r = { .to = b->to, .env = &env, .timeout_ms = STALL_MS, .on_answer = on_answer, .ctx = b };
	int code = talk_start(b->t->talk, &r, &e);
	if (code == 0)
		b->started++;
	else if (code > 0)
		b->error = e;
	return code < 0 ? code : 0;
}

static int us_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static json_t *bench_row(struct bench *b, const char *what, uint64_t n, uint64_t took_us)
{
	json_t *row = json_object();
	if (!row)
		return NULL;
	if (b->n_took)
		qsort(b->took_us, b->n_took, sizeof *b->took_us, us_compare);
	row_text(row, "what", what);
	row_number(row, "count", n);
	json_object_set_new(row, "seconds", json_real((double)took_us / 1e6));
	row_number(row, "per_second", took_us ? n * 1000000 / took_us : 0);
	if (b->n_took) {
		row_number(row, "p50_us", b->took_us[b->n_took / 2]);
		row_number(row, "p99_us", b->took_us[b->n_took * 99 / 100]);
		row_number(row, "max_us", b->took_us[b->n_took - 1]);
	}
	row_number(row, "outstanding", b->outstanding);
	row_number(row, "payload_size", b->size);
	row_number(row, "chunk", b->chunk);
	row_number(row, "failed", b->failed);
	return row;
}

enum bench_kind { BENCH_SUBMIT, BENCH_E2E, BENCH_DRAIN, BENCH_ASK };

static uint64_t in_flight(const struct bench *b, enum bench_kind kind)
{
	if (kind == BENCH_E2E)
		return b->started - b->finished;
	return kind == BENCH_ASK ? b->started - b->answered : (uint64_t)talk_outstanding(b->t->talk) * b->chunk;
}

static bool is_over(const struct bench *b, enum bench_kind kind, bool fill)
{
	bool notified = kind == BENCH_E2E || (kind == BENCH_DRAIN && !fill);
	return b->started >= b->count && (notified ? b->finished >= b->count : talk_outstanding(b->t->talk) == 0);
}

/* fill: of a drain, the first part. */
static int bench_loop(struct bench *b, enum bench_kind kind, bool fill)
{
	struct tool *t = b->t;
	b->news_ms = clock_mono_ms();
	while (!is_over(b, kind, fill) && b->error.code == ERROR_NONE) {
		while (b->started < b->count && in_flight(b, kind) < b->outstanding && b->error.code == ERROR_NONE) {
			int code = kind == BENCH_ASK ? start_ask(b) : start_submit(b, kind == BENCH_E2E || kind == BENCH_DRAIN);
			if (code < 0)
				return tool_fail_code(t, code, NULL);
		}
		if (talk_poll(t->talk, clock_mono_ms() + 1000) < 0)
			return EXIT_BUG;
		if (clock_mono_ms() - b->news_ms > STALL_MS)
			error_set(&b->error, ERROR_TIMEOUT, "nothing moved for %u s: %llu of %llu", STALL_MS / 1000, (unsigned long long)b->finished, (unsigned long long)b->count);
		progress_show(&b->progress, kind == BENCH_E2E || !fill ? b->n_took : b->started);
	}
	return b->error.code ? tool_fail_name(t, b->error.code == ERROR_NO_QUEUE ? b->queue : b->to, &b->error) : 0;
}

static int order(struct bench *b, Troupe__QueueOrder__Op op)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueOrder q = TROUPE__QUEUE_ORDER__INIT;
	q.op = op;
	q.name = (char *)(uintptr_t)b->queue;
	q.why = (char *)(uintptr_t)"bench drain";
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &q;
	return tool_ask(b->t, b->t->coordinator, &env, TROUPE__ENVELOPE__BODY__NOT_SET, &arena, &answer);
}

static int run_drain(struct bench *b, struct emit *em)
{
	int status = order(b, TROUPE__QUEUE_ORDER__OP__PAUSE);
	if (status != 0)
		return status;
	uint64_t began_us = clock_mono_us();
	status = bench_loop(b, BENCH_DRAIN, true);
	if (status == 0)
		emit_row(em, bench_row(b, "fill", b->count, clock_mono_us() - began_us));
	began_us = clock_mono_us();
	int resumed = order(b, TROUPE__QUEUE_ORDER__OP__RESUME);
	status = status ? status : resumed;
	b->n_took = 0;
	if (status == 0)
		status = bench_loop(b, BENCH_DRAIN, false);
	b->n_took = 0; /* the time since its submit says nothing here */
	if (status == 0)
		emit_row(em, bench_row(b, "drain", b->finished, clock_mono_us() - began_us));
	return status;
}

static int bench_options(struct bench *b, enum bench_kind kind)
{
	struct tool *t = b->t;
	struct error e;
	b->count = 1000;
	b->outstanding = kind == BENCH_SUBMIT || kind == BENCH_ASK ? 1 : 256;
	b->size = 256;
	b->chunk = 1;
	int status = tool_number(t, OPT_COUNT, 1, COUNT_MAX, &b->count);
	status = status ? status : tool_number(t, OPT_OUTSTANDING, 1, TROUPE_OUTSTANDING_MAX / 2, &b->outstanding);
	status = status ? status : tool_number(t, OPT_CHUNK, 1, BULK_CHUNK_MAX, &b->chunk);
	if (status != 0)
		return status;
	if (tool_has(t, OPT_SIZE) && (parse_size(tool_option(t, OPT_SIZE), &b->size, &e) != 0 || b->size > SIZE_MAX_BYTES))
		return tool_usage(t, "--size: '%s' is no size up to 64K", tool_option(t, OPT_SIZE));
	if (b->chunk * (b->size + 64) > BULK_CHUNK_BYTES)
		return tool_usage(t, "--chunk times --size is more than a frame holds");
	if (b->outstanding < b->chunk)
		b->outstanding = b->chunk;
	b->queue = tool_has(t, OPT_QUEUE) ? tool_option(t, OPT_QUEUE) : "default";
	b->took_us = calloc(b->count, sizeof *b->took_us);
	b->payload = malloc(b->size + 1);
	if (!b->took_us || !b->payload)
		return tool_fail_code(t, -ENOMEM, NULL);
	memset(b->payload, 'x', b->size);
	return 0;
}

static void bench_fini(struct bench *b)
{
	for (size_t i = 0; i < IDS; i++)
		while (b->tasks[i]) {
			struct pending *p = b->tasks[i];
			b->tasks[i] = p->next;
			free(p);
		}
	free(b->took_us);
	free(b->payload);
	free(b);
}

int verb_bench(struct tool *t)
{
	static const char *const names[] = { "submit", "e2e", "drain", "ask" };
	const char *name = strchr(t->verb->name, ' ') + 1;
	enum bench_kind kind = BENCH_SUBMIT;
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(names[i], name) == 0)
			kind = (enum bench_kind)i;
	struct bench *b = calloc(1, sizeof *b);
	struct emit em;
	if (!b)
		return tool_fail_code(t, -ENOMEM, NULL);
	b->t = t;
	t->user = b;
	if (kind == BENCH_E2E || kind == BENCH_DRAIN)
		t->on_push = on_finished;
	if (kind == BENCH_ASK)
		b->to = t->args.n_words ? t->args.words[0] : t->coordinator;
	int status = bench_options(b, kind);
	if (status == 0)
		status = emit_begin(&em, t, &table_bench);
	if (status == 0) {
		progress_begin(&b->progress, name, b->count, tool_quiet(t));
		struct error e = { .code = ERROR_NONE };
		int code = talk_reach(t->talk, b->to ? b->to : t->coordinator, t->timeout_ms, &e);
		status = code ? tool_fail_code(t, code, &e) : 0;
		uint64_t began_us = clock_mono_us();
		if (status == 0 && kind == BENCH_DRAIN) {
			status = run_drain(b, &em);
		} else if (status == 0) {
			status = bench_loop(b, kind, false);
			if (status == 0)
				emit_row(&em, bench_row(b, name, b->count, clock_mono_us() - began_us));
		}
		progress_clear(&b->progress);
		if (status == 0)
			status = emit_end(&em);
		else
			emit_drop(&em);
	}
	t->on_push = NULL;
	t->user = NULL;
	bench_fini(b);
	return status;
}
