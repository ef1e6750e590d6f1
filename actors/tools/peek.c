/* peek: what a queue would run next. The ready tasks are read and put into the order in which they are taken: by priority, where the queue has ageing less what they have waited,
 * and by their numbers; of a serial key only as many as may run at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define PEEK_SLICE 500u
#define PEEK_MAX 10000u        /* ready tasks that are read; with more behind them the order is that of these */
#define PAGES_MAX 1024u

struct waiting { const Troupe__Task *task; uint64_t place; const char *key; bool behind; };
struct peek {
	struct tool *t;
	const Troupe__Queue *queue;
	struct arena *pages[PAGES_MAX];
	size_t n_pages;
	struct waiting *all;
	size_t n;
	bool more;
};

/* Waiting for the ageing time counts as much as 1000 of priority. */
static uint64_t place_of(const Troupe__Queue *q, const Troupe__Task *task)
{
	uint64_t priority = task->spec->priority ? task->spec->priority->value : 2000;
	return q->policy && q->policy->ageing_ms ? priority * q->policy->ageing_ms / 1000 + task->submitted_at_ms : priority;
}

static int by_place(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->task->seq < y->task->seq ? -1 : x->task->seq > y->task->seq;
}

static int by_key(const void *a, const void *b)
{
	const struct waiting *x = *(struct waiting *const *)a, *y = *(struct waiting *const *)b;
	int cmp = strcmp(x->key, y->key);
	return cmp ? cmp : x->task->seq < y->task->seq ? -1 : x->task->seq > y->task->seq;
}

static int read_page(struct peek *p, uint8_t *cursor, size_t *io_len)
{
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__List list = TROUPE__LIST__INIT;
	Troupe__Filter f = TROUPE__FILTER__INIT;
	Troupe__TaskState ready = TROUPE__TASK_STATE__READY;
	f.queue = p->queue->name;
	f.states = &ready;
	f.n_states = 1;
	list.filter = &f;
	list.limit = PEEK_SLICE;
	list.payload = tool_has(p->t, OPT_PAYLOAD);
	list.cursor = (ProtobufCBinaryData){ .len = *io_len, .data = cursor };
	env.body_case = TROUPE__ENVELOPE__BODY_LIST;
	env.list = &list;
	int status = tool_ask(p->t, p->t->coordinator, &env, TROUPE__ENVELOPE__BODY_TASKS, &p->pages[p->n_pages], &answer);
	if (status != 0)
		return status;
	p->n_pages++;
	for (size_t i = 0; i < answer->tasks->n_tasks; i++) {
		const Troupe__Task *task = answer->tasks->tasks[i];
		if (p->n == PEEK_MAX)
			break;
		if (task->spec && !task->blocked)
			p->all[p->n++] = (struct waiting){ .task = task, .place = place_of(p->queue, task), .key = task->spec->serial_key };
	}
	*io_len = answer->tasks->next.len <= 64 ? answer->tasks->next.len : 0;
	if (*io_len)
		memcpy(cursor, answer->tasks->next.data, *io_len);
	return 0;
}

static int read_all(struct peek *p)
{
	uint8_t cursor[64];
	size_t len = 0;
	do {
		int status = read_page(p, cursor, &len);
		if (status != 0)
			return status;
	} while (len && p->n < PEEK_MAX && p->n_pages < PAGES_MAX);
	p->more = len > 0;
	return 0;
}

/* Those that stand behind others of their key. */
static int mark_behind(struct peek *p)
{
	_cleanup_(freep) struct waiting **order = calloc(p->n + 1, sizeof *order);
	size_t most = p->queue->policy && p->queue->policy->key_concurrency ? p->queue->policy->key_concurrency : 1, nth = 0;
	if (!order)
		return tool_fail_code(p->t, -ENOMEM, NULL);
	for (size_t i = 0; i < p->n; i++)
		order[i] = &p->all[i];
	qsort(order, p->n, sizeof *order, by_key);
	for (size_t i = 0; i < p->n; i++) {
		nth = i && strcmp(order[i - 1]->key, order[i]->key) == 0 ? nth + 1 : 0;
		order[i]->behind = *order[i]->key && nth >= most;
	}
	return 0;
}

static int print_all(struct peek *p)
{
	struct emit em;
	uint64_t limit = emit_limit(p->t), shown = 0;
	int status = emit_begin(&em, p->t, &table_tasks);
	if (status != 0)
		return status;
	for (size_t i = 0; i < p->n && shown < limit; i++)
		if (!p->all[i].behind) {
			emit_row(&em, row_of_task(p->all[i].task, clock_wall_ms()));
			shown++;
		}
	status = emit_end(&em);
	if (status == 0 && p->more && !tool_quiet(p->t))
		fprintf(stderr, "more than %u tasks are ready: these are the next of those that were looked at\n", PEEK_MAX);
	if (status == 0 && p->queue->paused && !tool_quiet(p->t))
		fputs("the queue is paused: nothing begins until it is resumed\n", stderr);
	return status;
}

int verb_peek(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Queues *found;
	int status = queue_ask(t, t->args.words[0], &arena, &found);
	if (status != 0)
		return status;
	_cleanup_(freep) struct peek *p = calloc(1, sizeof *p);
	if (p)
		p->all = calloc(PEEK_MAX, sizeof *p->all);
	if (!p || !p->all)
		return tool_fail_code(t, -ENOMEM, NULL);
	p->t = t;
	p->queue = found->queues[0];
	status = read_all(p);
	if (status == 0)
		status = mark_behind(p);
	if (status == 0) {
		qsort(p->all, p->n, sizeof *p->all, by_place);
		status = print_all(p);
	}
	for (size_t i = 0; i < p->n_pages; i++)
		arena_unref(p->pages[i]);
	free(p->all);
	return status;
}
