/* doctor: from the socket to the disk, each check on its own, so that one failure does not hide the next. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "actors/tools/rows.h"
#include "actors/tools/tool.h"

#define DISK_LOW_PCT 5u
#define DISK_LOW_BYTES (256ull << 20)
#define OLD_READY_MS (3600ull * 1000)

struct doctor { struct emit em; bool bad; };

static void finding(struct doctor *d, const char *check, const char *state, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void finding(struct doctor *d, const char *check, const char *state, const char *fmt, ...)
{
	char note[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(note, sizeof note, fmt, ap);
	va_end(ap);
	json_t *row = json_object();
	if (!row)
		return;
	row_text(row, "check", check);
	row_text(row, "state", state);
	row_text(row, "note", note);
	emit_row(&d->em, row);
	d->bad |= strcmp(state, "bad") == 0;
}

static void finding_error(struct doctor *d, const char *check, const struct error *e)
{
	finding(d, check, "bad", "%s [E-%s]%s%s", e->text, error_name((int)e->code), e->cure[0] ? "; " : "", e->cure);
}

static void check_disk(struct doctor *d, const char *dir)
{
	struct statvfs s;
	char text[32];
	if (statvfs(dir, &s) != 0) {
		finding(d, "disk", "warn", "%s cannot be read (%s)", dir, strerrorname_np(errno));
		return;
	}
	uint64_t free_bytes = (uint64_t)s.f_bavail * s.f_frsize, all = (uint64_t)s.f_blocks * s.f_frsize;
	uint64_t pct = all ? free_bytes * 100 / all : 0;
	bool low = pct < DISK_LOW_PCT || free_bytes < DISK_LOW_BYTES;
	finding(d, "disk", low ? "bad" : "ok", "%s free (%llu%%) at %s%s", format_size(free_bytes, text, sizeof text), (unsigned long long)pct, dir,
	        low ? ": submits are refused near the low-water mark" : "");
}

static void check_status(struct doctor *d, struct tool *t, const Troupe__Status *s)
{
	char up[32];
	finding(d, "node", strcmp(s->state, "running") == 0 ? "ok" : "warn", "trouped %s, pid %u, %s, up %s", s->version, s->pid, s->state, format_age(s->up_ms, up, sizeof up));
	if (strcmp(s->version, TROUPE_VERSION) == 0)
		finding(d, "version", "ok", "tool and node are %s", s->version);
	else
		finding(d, "version", "warn", "the tool is " TROUPE_VERSION ", the node %s", s->version);
	finding(d, "actors", s->failed ? "bad" : s->up < s->actors ? "warn" : "ok", "%u up of %u, %u failed, %llu restarts so far%s", s->up, s->actors, s->failed,
	        (unsigned long long)s->restarts, s->failed ? "; troupe tree, troupe crashes" : "");
	for (size_t i = 0; i < s->n_alarms; i++)
		finding(d, "alarm", "bad", "%s", s->alarms[i]);
	finding(d, "containment", strcmp(s->containment, "cgroup") == 0 ? "ok" : "warn", "%s (%s)%s", s->containment, s->features,
	        strcmp(s->containment, "cgroup") == 0 ? "" : ": ends of families are proven by a sweep; a service with Delegate=yes has cgroups");
	check_disk(d, s->state_dir);
}

static void check_coordinator(struct doctor *d, struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Ping ping = TROUPE__PING__INIT;
	ping.deep = true;
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	uint64_t began_us = clock_mono_us();
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	uint64_t took_ms = (clock_mono_us() - began_us) / 1000;
	if (code > 0)
		finding_error(d, "store", &e);
	else
		finding(d, "store", took_ms > 1000 ? "warn" : "ok", "%s answered through a commit after %llu ms", t->coordinator, (unsigned long long)took_ms);
}

static void check_queues(struct doctor *d, struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__QueueAsk ask = TROUPE__QUEUE_ASK__INIT;
	char age[32];
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ASK;
	env.queue_ask = &ask;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0 || answer->body_case != TROUPE__ENVELOPE__BODY_QUEUES) {
		if (code > 0)
			finding_error(d, "queues", &e);
		return;
	}
	uint64_t dead = 0;
	for (size_t i = 0; i < answer->queues->n_queues; i++) {
		const Troupe__Queue *q = answer->queues->queues[i];
		dead += q->dead;
		if (q->paused)
			finding(d, "queue", "warn", "%s is paused by %s %s", q->name, q->paused_by, q->paused_why);
		else if (q->draining)
			finding(d, "queue", "warn", "%s is drained by %s %s", q->name, q->draining_by, q->draining_why);
		else if (q->ready && !q->workers)
			finding(d, "queue", "bad", "%s has %llu ready tasks and no worker", q->name, (unsigned long long)q->ready);
		else if (q->oldest_ready_ms > OLD_READY_MS)
			finding(d, "queue", "warn", "%s: the oldest ready task waits for %s", q->name, format_age(q->oldest_ready_ms, age, sizeof age));
	}
	finding(d, "queues", dead ? "warn" : "ok", "%zu queues, %llu dead tasks%s", answer->queues->n_queues, (unsigned long long)dead, dead ? "; troupe dlq list" : "");
}

/* A quiet coordinator says so in its status line. */
static void check_quiet(struct doctor *d, struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TreeAsk ask = TROUPE__TREE_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_TREE_ASK;
	env.tree_ask = &ask;
	int code = talk_ask(t->talk, NULL, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0 || answer->body_case != TROUPE__ENVELOPE__BODY_TREE)
		return; /* the other checks say why */
	for (size_t i = 0; i < answer->tree->n_rows; i++)
		if (strcmp(answer->tree->rows[i]->address, t->coordinator) == 0 && strstr(answer->tree->rows[i]->note, "QUIET"))
			finding(d, "quiet", "warn", "no task begins: troupe queue unquiet ends it, troupe explain TASK says who wanted it");
}

static void check_workers(struct doctor *d, struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__WorkersAsk ask = TROUPE__WORKERS_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_WORKERS_ASK;
	env.workers_ask = &ask;
	int code = talk_ask(t->talk, t->coordinator, &env, t->timeout_ms, &arena, &answer, &e);
	if (code != 0 || answer->body_case != TROUPE__ENVELOPE__BODY_WORKERS) {
		if (code > 0)
			finding_error(d, "workers", &e);
		return;
	}
	size_t broken = 0;
	for (size_t i = 0; i < answer->workers->n_rows; i++) {
		const Troupe__WorkerRow *w = answer->workers->rows[i];
		if (w->broken[0]) {
			broken++;
			finding(d, "worker", "bad", "%s cannot run tasks: %s", w->address, w->broken);
		}
	}
	finding(d, "workers", broken ? "bad" : answer->workers->n_rows ? "ok" : "warn", "%zu attached, %zu broken", answer->workers->n_rows, broken);
}

static int examine(struct doctor *d, struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	struct error e = { .code = ERROR_NONE };
	struct talk_config config = { .run_dir = tool_option(t, OPT_RUN_DIR), .program = "troupe doctor", .timeout_ms = t->timeout_ms ? t->timeout_ms : 5000 };
	int code = talk_open(&config, &t->talk, &e);
	if (code != 0)
		return tool_fail_code(t, code, &e);
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__StatusAsk ask = TROUPE__STATUS_ASK__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS_ASK;
	env.status_ask = &ask;
	code = talk_ask(t->talk, NULL, &env, 0, &arena, &answer, &e);
	if (code > 0) {
		finding_error(d, "socket", &e);
		return EXIT_OK; /* nothing else can be seen from here */
	}
	finding(d, "socket", "ok", "%s/front answers", talk_dir(t->talk));
	if (code == 0 && answer->body_case == TROUPE__ENVELOPE__BODY_STATUS)
		check_status(d, t, answer->status);
	check_coordinator(d, t);
	check_queues(d, t);
	check_quiet(d, t);
	check_workers(d, t);
	return EXIT_OK;
}

int verb_doctor(struct tool *t)
{
	struct doctor d = { .bad = false };
	int status = emit_begin(&d.em, t, &table_checks);
	if (status != 0)
		return status;
	status = examine(&d, t);
	int end = emit_end(&d.em);
	if (status != 0 || end != 0)
		return status ? status : end;
	return d.bad ? EXIT_NO : EXIT_OK;
}
