/* library_client QUEUE: gives tasks to a queue by libtroupe, a few submits at a time, until its standard input ends; then waits for the last of them. Whatever is refused
 * for now, or not answered, is submitted again under the same ids. Says "more" whenever a thousand more tasks are final, and at the end what it saw, as a line of JSON: how many tasks
 * it gave, and for each way to learn of them (receipts, on_finished, events) how many tasks were told, and how many were told twice. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/troupe/troupe.h"

#define CHUNK 20
#define WINDOW 8
#define TASKS_MAX 400000
#define UNFINISHED_MAX 4000
#define STEP 1000
#define PATIENCE_S 60

struct seen { size_t n, doubles; unsigned char of[TASKS_MAX]; };
struct chunk { size_t first; bool flying, again; };

static struct troupe *t;
static struct troupe_id ids[TASKS_MAX];
static size_t n_tasks;
static struct seen receipts, finished, accepted, done;
static struct chunk chunks[WINDOW];
static size_t n_repeats, n_gaps, n_wrong;
static bool gone;                        /* something that no test expects */

static int by_id(const void *a, const void *b) { return memcmp(a, b, sizeof(struct troupe_id)); }

static void see(struct seen *s, const struct troupe_id *id)
{
	const struct troupe_id *at = bsearch(id, ids, n_tasks, sizeof ids[0], by_id);
	if (!at)
		n_wrong++;
	else if (s->of[at - ids]++)
		s->doubles++;
	else
		s->n++;
}

static void on_finished(void *ctx, const struct troupe_result *r)
{
	(void)ctx;
	see(&finished, &r->id);
	if (r->state != TROUPE_STATE_DONE)
		n_wrong++;
	if (finished.n % STEP == 0) {
		puts("more");
		fflush(stdout);
	}
}

static void on_event(void *ctx, const struct troupe_event *e)
{
	(void)ctx;
	if (e->kind == TROUPE_EVENT_ACCEPTED)
		see(&accepted, &e->id);
	else if (e->kind == TROUPE_EVENT_DONE)
		see(&done, &e->id);
	else if (e->kind == TROUPE_EVENT_GAP)
		n_gaps++;
	else if (e->kind == TROUPE_EVENT_END)
		gone = true;
}

static void on_submitted(void *ctx, const struct troupe_receipt *all, size_t n, const struct troupe_error *error)
{
	struct chunk *c = ctx;
	c->flying = false;
	if (!error) {
		for (size_t i = 0; i < n; i++)
			see(&receipts, &all[i].id);
	} else if (error->retryable || error->code == TROUPE_ERROR_NOT_REACHABLE || error->code == TROUPE_ERROR_STOPPING) {
		c->again = true;
		n_repeats++;
	} else {
		fprintf(stderr, "submit: %s\n", error->text);
		gone = true;
	}
}

static void send_chunk(struct chunk *c, const char *queue)
{
	struct troupe_task tasks[CHUNK];
	struct troupe_error e;
	for (size_t i = 0; i < CHUNK; i++) {
		tasks[i] = (struct troupe_task)TROUPE_TASK_INIT;
		tasks[i].id = ids[c->first + i];
		tasks[i].queue = queue;
		tasks[i].payload = "x";
		tasks[i].payload_len = 1;
	}
	int code = troupe_submit_start(t, tasks, CHUNK, TROUPE_NOTIFY, on_submitted, c, &e);
	c->flying = code == 0;
	c->again = code == TROUPE_ERROR_BUSY;
	if (code && code != TROUPE_ERROR_BUSY)
		gone = true;
}

static bool stdin_ended(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;
	return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

static bool is_over(void) { return finished.n == n_tasks && receipts.n == n_tasks && accepted.n == n_tasks && done.n == n_tasks; }

static void give(const char *queue, bool ending)
{
	for (size_t i = 0; i < WINDOW; i++) {
		struct chunk *c = &chunks[i];
		if (!c->flying && !c->again && !ending && n_tasks + CHUNK <= TASKS_MAX && n_tasks < finished.n + UNFINISHED_MAX) {
			c->first = n_tasks;
			for (size_t k = 0; k < CHUNK; k++)
				ids[n_tasks++] = troupe_id_new(t);
			c->again = true;
		}
		if (c->again)
			send_chunk(c, queue);
	}
}

int main(int argc, char **argv)
{
	struct troupe_options o = TROUPE_OPTIONS_INIT;
	struct troupe_subscribe_options so = TROUPE_SUBSCRIBE_INIT;
	struct troupe_subscription *s;
	struct troupe_error e;
	time_t until = 0;
	if (argc != 2)
		return 2;
	o.wait = true;
	o.timeout_ms = 2000; /* shorter than some deaths: what was not answered is submitted again */
	o.on_finished = on_finished;
	so.queue = argv[1];
	so.on_event = on_event;
	if (troupe_connect(&o, &t, &e) != 0 || troupe_subscribe(t, &so, &s, &e) != 0) {
		fprintf(stderr, "connect: %s\n", e.text);
		return 1;
	}
	while (!gone && (!until || (!is_over() && time(NULL) < until))) {
		if (!until && stdin_ended())
			until = time(NULL) + PATIENCE_S;
		give(argv[1], until != 0);
		if (troupe_run(t, 10) != 0)
			gone = true;
	}
	printf("{\"given\": %zu, \"repeats\": %zu, \"gaps\": %zu, \"wrong\": %zu, \"receipts\": [%zu, %zu], \"finished\": [%zu, %zu], \"accepted\": [%zu, %zu], \"done\": [%zu, %zu]}\n",
	       n_tasks, n_repeats, n_gaps, n_wrong, receipts.n, receipts.doubles, finished.n, finished.doubles, accepted.n, accepted.doubles, done.n, done.doubles);
	troupe_unsubscribe(s);
	return troupe_disconnect(t) == 0 && !gone ? 0 : 1;
}
