/* worker run: the life of an attached worker. One thread: its own loop holds the signals, the tier's processes and the client. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "actors/tools/worker.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/rng.h"

#define LAST_WORDS_MS 5000u             /* of one that is to leave at once, to tell what became of its tasks */
#define GRACE_MS 5000u
#define HEARTBEAT_LEAST_MS 1000u
#define HEARTBEAT_MOST_MS 3600000u

extern char **environ;

void worker_forget(struct attached *a, struct task *task)
{
	task_list_remove(task);
	task_table_remove(&a->held, task);
	worker_fetch_drop(task);
	task_free(task);
}

void worker_fail(struct attached *a, int status)
{
	a->status = status;
	a->over = true;
}

/* --- what the tier says --- */

static void on_ended(void *ctx, struct task *task)
{
	struct attached *a = ctx;
	worker_fetch_drop(task);
	a->draining |= task->drain;
	a->again = true;
	task_list_add(&a->ended, task);
}

static void on_progressed(void *ctx, struct task *task)
{
	struct attached *a = ctx;
	task->progress_new = a->again = true;
}

static void on_changed(void *ctx) { ((struct attached *)ctx)->again = true; }

/* --- signals --- */

static void on_signal(void *ctx, const struct signalfd_siginfo *si)
{
	struct attached *a = ctx;
	uint64_t now_ms = clock_mono_ms();
	a->again = true;
	if (a->draining && !a->killed) {
		a->killed = true;
		a->leave_at_ms = now_ms + LAST_WORDS_MS;
		a->tier.ops->quit_now(a->tier.self, 0, now_ms);
	} else if (!a->draining) {
		a->draining = true;
		if (a->running.n && !tool_quiet(a->t))
			fprintf(stderr, "troupe: %zu task%s still running; again to end %s now\n", a->running.n, a->running.n == 1 ? " is" : "s are", a->running.n == 1 ? "it" : "them");
	}
}

/* Finished: nothing runs, and all of it is told. */
static void leave_when_done(struct attached *a, uint64_t now_ms)
{
	bool late = a->killed && now_ms >= a->leave_at_ms, told = !a->ended.n && !a->sent.n;
	if (!a->draining || a->over)
		return;
	a->tier.ops->quit(a->tier.self, now_ms);
	if (!late && (!a->tier.ops->idle(a->tier.self) || !told))
		return;
	a->over = true;
	a->status = late ? EXIT_NO : EXIT_OK;
}

/* --- the loop --- */

static void on_client(struct loop_source *s, uint32_t events) {} /* every round polls it */

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t deadline(const struct attached *a, uint64_t tier_ms, uint64_t now_ms)
{
	uint64_t at_ms = earlier(tier_ms, talk_deadline_ms(a->t->talk));
	if (a->attached)
		at_ms = earlier(at_ms, earlier(a->beat_at_ms, a->progress_at_ms));
	if (a->fetch_at_ms > now_ms)
		at_ms = earlier(at_ms, a->fetch_at_ms);
	if (!a->attaching && a->attach_at_ms > now_ms)
		at_ms = earlier(at_ms, a->attach_at_ms);
	if (a->killed)
		at_ms = earlier(at_ms, a->leave_at_ms);
	return a->again ? 0 : at_ms;
}

static int rounds(struct attached *a)
{
	while (!a->over) {
		uint64_t now_ms = clock_mono_ms();
		a->again = false;
		uint64_t tier_ms = a->tier.ops->tick(a->tier.self, now_ms);
		worker_say(a, now_ms);
		leave_when_done(a, now_ms);
		int r = talk_poll(a->t->talk, 0);
		if (r < 0)
			return r;
		r = a->over ? 0 : loop_once(a->loop, deadline(a, tier_ms, now_ms));
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

/* What was given back may still be on its way. */
static void let_go(struct attached *a)
{
	struct error e;
	if (a->attached)
		talk_flush(a->t->talk, 1000, &e);
}

/* --- before and after --- */

static int open_tier(struct attached *a, struct error *e)
{
	bool lines = tool_has(a->t, OPT_LINES);
	const struct tier_config c = { .loop = a->loop, .pool = &a->pool, .output_max = WORKER_OUTPUT_MAX,
		                       .host = { .ctx = a, .ended = on_ended, .progressed = on_progressed, .changed = on_changed } };
	int r = lines ? family_adopt() : 0;
	if (!r)
		r = lines ? program_open(&c, &lines_codec, &a->tier, e) : slots_open(&c, a->slots ? a->slots : 1, &a->tier);
	return r;
}

static int open_loop(struct attached *a, struct loop_source *client)
{
	sigset_t set, children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL); /* the tier reads them from a descriptor */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	int r = loop_open(&a->loop);
	if (!r)
		r = loop_signals(a->loop, &set, on_signal, a);
	return r ? r : loop_add(a->loop, client, talk_fd(a->t->talk), EPOLLIN, on_client);
}

/* A program started by hand has the environment of that hand. */
static int take_environment(struct attached *a)
{
	size_t n = 0;
	while (environ[n])
		n++;
	Troupe__Pair *all = calloc(n + 1, sizeof *all);
	a->pool.environment = calloc(n + 1, sizeof *a->pool.environment);
	if (!all || !a->pool.environment) {
		free(all);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const char *eq = strchr(environ[i], '=');
		troupe__pair__init(&all[i]);
		all[i].key = eq ? strndup(environ[i], (size_t)(eq - environ[i])) : strdup("");
		all[i].value = eq ? (char *)(uintptr_t)eq + 1 : (char *)"";
		a->pool.environment[a->pool.n_environment++] = &all[i];
		if (!all[i].key)
			return -ENOMEM;
	}
	return 0;
}

static void drop_environment(struct attached *a)
{
	for (size_t i = 0; i < a->pool.n_environment; i++)
		free(a->pool.environment[i]->key);
	free(a->pool.n_environment ? a->pool.environment[0] : NULL);
	free(a->pool.environment);
}

static void list_free(struct attached *a, struct task_list *l)
{
	while (l->head) {
		l->head->tier = NULL;
		worker_forget(a, l->head);
	}
}

static void close_all(struct attached *a, struct loop_source *client)
{
	if (a->tier.ops)
		a->tier.ops->close(a->tier.self);
	list_free(a, &a->waiting);
	list_free(a, &a->running);
	list_free(a, &a->ended);
	list_free(a, &a->sent);
	loop_remove(client);
	loop_close(a->loop);
	drop_environment(a);
	free(a->revoked.all);
	free(a->kept.all);
}

static int read_tags(struct tool *t, struct attached *a)
{
	if (!tool_has(t, OPT_TAGS))
		return 0;
	if (!(a->tag_text = strdup(tool_option(t, OPT_TAGS))))
		return tool_fail_code(t, -ENOMEM, NULL);
	for (char *at = a->tag_text, *tag; (tag = strsep(&at, ","));) {
		if (!*tag || a->n_tags == TAGS_MOST)
			return tool_usage(t, "--tags: it is 1 to %u tags with commas between them", TAGS_MOST);
		a->tags[a->n_tags++] = tag;
	}
	return 0;
}

static int read_arguments(struct tool *t, struct attached *a)
{
	uint64_t n = 0;
	a->heartbeat_ms = HEARTBEAT_MS;
	if (t->args.rest == 0 || t->args.rest >= t->args.n_words)
		return tool_usage(t, "name its queues, and behind -- the command");
	int status = tool_number(t, OPT_SLOTS, 1, SLOTS_MOST, &n);
	if (status == 0)
		status = tool_duration(t, OPT_HEARTBEAT, &a->heartbeat_ms);
	if (status == 0 && (a->heartbeat_ms < HEARTBEAT_LEAST_MS || a->heartbeat_ms > HEARTBEAT_MOST_MS))
		status = tool_usage(t, "--heartbeat: it is 1s to 1h");
	if (status == 0)
		status = read_tags(t, a);
	a->slots = (uint32_t)n;
	a->queues = (char **)(uintptr_t)t->args.words;
	a->n_queues = t->args.rest;
	troupe__pool_setup__init(&a->pool);
	a->pool.command = (char **)(uintptr_t)t->args.words + t->args.rest;
	a->pool.n_command = t->args.n_words - t->args.rest;
	a->pool.directory = (char *)".";
	a->pool.grace_ms = GRACE_MS;
	return status;
}

static int run(struct attached *a)
{
	struct tool *t = a->t;
	struct loop_source client = { 0 };
	struct error e = { 0 };
	t->user = a;
	t->on_push = worker_on_push;
	t->on_link = worker_on_link;
	int r = rng_system(a->instance, sizeof a->instance);
	if (!r)
		r = take_environment(a);
	if (!r)
		r = open_loop(a, &client);
	if (!r)
		r = open_tier(a, &e);
	if (!r)
		r = rounds(a);
	if (r)
		a->status = tool_fail_code(t, r, &e);
	else
		let_go(a);
	t->user = NULL;
	t->on_push = NULL;
	t->on_link = NULL;
	close_all(a, &client);
	return a->status;
}

int verb_worker_run(struct tool *t)
{
	struct attached a = { .t = t, .progress_at_ms = TIME_NEVER };
	int status = read_arguments(t, &a);
	status = status ? status : run(&a);
	free(a.tag_text);
	return status;
}
