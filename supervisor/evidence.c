/* What is written down of the tree's life: each decision in the journal before it is carried out, a report of each death that nobody ordered, operators' orders. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "supervisor/journal.h"
#include "supervisor/node.h"
#include "supervisor/record.h"

#define STDERR_KEEP 4096u

/* --- opening --- */

static void hold(void *ctx, const char *name)
{
	struct config *c = ctx;
	struct config_node *k = config_find(c, name);
	if (k)
		k->spec.hold = true;
}

void evidence_hold(struct node *n, struct config *c)
{
	if (n->record)
		record_orders(n->record, hold, c);
}

void evidence_open(struct node *n)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/supervisor", n->config->state_dir);
	n->record = record_open(path, clock_mono_ms());
	if (!n->record)
		return;
	if (record_alarm(n->record))
		log_error("records", LOG_S("why", record_alarm(n->record)));
	added_restore(n);
	evidence_hold(n, n->config);
}

void evidence_boot(struct node *n, uint64_t seed, uint64_t incarnation)
{
	uint64_t mono = clock_mono_ms(), wall = clock_wall_ms();
	unsigned restored = journal_restore(n->config->state_dir, n->tree, mono, wall);
	if (restored)
		log_info("the last trouped did not stop in order: its restarts count on", LOG_U("times", restored));
	int r = journal_open(n->config->state_dir, &n->journal);
	if (r) {
		log_error("the journal cannot be written", LOG_S("why", strerror(-r)));
		return;
	}
	journal_boot(n->journal, wall, mono, seed, incarnation, n->tree);
}

/* --- decisions --- */

static void flush(struct node *n)
{
	int r = n->journal ? journal_flush(n->journal, n->tree) : 0;
	if (r && !n->journal_failed)
		log_error("the journal cannot be written: decisions are kept in memory only", LOG_S("why", strerror(-r)));
	if (!r && n->journal_failed)
		log_info("the journal can be written again");
	n->journal_failed = r != 0;
}

void evidence_decided(struct node *n, const struct event *e, const struct actions *decided)
{
	bool spawns = false;
	if (!n->journal)
		return;
	journal_decided(n->journal, e, decided);
	for (size_t i = 0; i < decided->n; i++) {
		const struct action *a = &decided->items[i];
		spawns |= a->kind == ACTION_SPAWN;
		if (a->kind != ACTION_FACT)
			continue;
		if (a->fact == FACT_DOWN || a->fact == FACT_START_FAILED) {
			journal_windows(n->journal, n->tree, a->child, e->now_ms);
			if (a->child->above)
				journal_windows(n->journal, n->tree, a->child->above, e->now_ms);
		} else if (a->fact == FACT_FAILED || a->fact == FACT_GAVE_UP) {
			journal_add(n->journal, "forget %s", a->child->name);
			if (a->fact == FACT_FAILED && a->child->above && a->child->above->sup->window.n == 0)
				journal_add(n->journal, "forget_group %s", a->child->above->name);
		} else if (a->fact == FACT_ENDED) {
			journal_add(n->journal, "forget_group %s", a->child->name);
		}
	}
	if (spawns)
		flush(n);
}

/* --- reports --- */

static const char *const phases[] = { "start", "idle", "turn", "commit", "stopping" };

static void add_cell(Troupe__Crash *c, const struct status_cell *cell, char *backtrace, size_t size)
{
	static const uint8_t none[16];
	size_t at = 0;
	if (memcmp(cell->message, none, sizeof none) != 0)
		c->last_message = (ProtobufCBinaryData){ sizeof cell->message, (uint8_t *)cell->message };
	c->tokens = (uint64_t *)cell->tokens;
	c->n_tokens = cell->n_tokens;
	c->phase = (char *)(cell->phase < ELEMENTS(phases) ? phases[cell->phase] : "");
	for (uint32_t i = 0; i < cell->n_frames && at + 20 < size; i++)
		at += (size_t)snprintf(backtrace + at, size - at, "%s0x%" PRIx64, i ? " " : "", cell->frames[i] - (cell->frames[i] > cell->load_base ? cell->load_base : 0));
	if (at)
		c->backtrace = backtrace;
}

/* Where the kernel has put a core file, or to whom it was handed. */
static void core_path(const struct process *p, const struct config_node *k, const char *state_dir, char *out, size_t size)
{
	_cleanup_(freep) char *pattern = NULL;
	size_t len, at = 0;
	if (file_read_all("/proc/sys/kernel/core_pattern", 256, &pattern, &len) != 0)
		return;
	pattern[strcspn(pattern, "\n")] = 0;
	if (*pattern == '|') {
		snprintf(out, size, "handed to %s", pattern + 1);
		return;
	}
	if (*pattern != '/')
		at = (size_t)snprintf(out, size, "%s/", k && k->launch.directory ? k->launch.directory : state_dir);
	for (const char *s = pattern; *s && at + 16 < size; s++) {
		if (*s != '%')
			at += (size_t)snprintf(out + at, size - at, "%c", *s);
		else if (*++s == 'p' || *s == 'P')
			at += (size_t)snprintf(out + at, size - at, "%d", (int)p->died_pid);
		else if (!*s)
			break;
		else
			at += (size_t)snprintf(out + at, size - at, "%%%c", *s);
	}
	_cleanup_(freep) char *uses_pid = NULL;
	if (!strstr(pattern, "%p") && file_read_all("/proc/sys/kernel/core_uses_pid", 16, &uses_pid, &len) == 0 && *uses_pid == '1')
		snprintf(out + at, size - at, ".%d", (int)p->died_pid);
}

static size_t say_limit(char *out, size_t size, const char *whose, const struct window *w, const struct give_up_spec *g)
{
	if (g->intensity == INTENSITY_UNLIMITED)
		return 0;
	int n = snprintf(out, size, "; limit of %s: %u of %u in %" PRIu64 " ms", whose, w->n, g->intensity, g->period_ms);
	return n > 0 ? (size_t)n : 0;
}

/* What the windows held when this was decided. */
static void windows_text(const struct child *c, char *out, size_t size)
{
	size_t at = (size_t)snprintf(out, size, "%u ends in %" PRIu64 " ms, %u without delay; waits in a row: %u", c->delay.ends.n, c->spec.delay.immediate_window_ms,
	                             c->spec.delay.immediate, c->delay.step);
	at += say_limit(out + at, size - at, c->name, &c->window, &c->spec.give_up);
	if (c->above && at < size)
		say_limit(out + at, size - at, c->above->name, &c->above->sup->window, &c->above->sup->spec.give_up);
}

void evidence_crash(struct node *n, const struct action *a)
{
	Troupe__Crash c = TROUPE__CRASH__INIT;
	Troupe__Usage u = TROUPE__USAGE__INIT;
	struct status_cell cell = { 0 };
	char backtrace[STATUS_FRAMES * 20 + 1] = "", decision[96], windows[600], core[PATH_MAX] = "";
	if (!n->record || !a->error)
		return;
	const struct process *p = process_numbered(n, a->incarnation);
	c.address = (char *)a->child->name;
	c.incarnation = a->incarnation;
	c.at_ms = clock_wall_ms();
	c.reason = (Troupe__Reason)a->reason;
	c.detail = (char *)(a->detail ? a->detail : "");
	snprintf(decision, sizeof decision, a->delay_ms ? "%s in %llu ms" : "%s", decision_name(a->decision), (unsigned long long)a->delay_ms);
	c.decision = decision;
	windows_text(a->child, windows, sizeof windows);
	c.windows = windows;
	if (a->reason == REASON_SIGNAL || a->reason == REASON_CORE || a->reason == REASON_KILLED)
		c.signal = a->number;
	else
		c.exit_code = a->number;
	if (p) {
		c.pid = (uint32_t)p->died_pid;
		if (p->end.si_code == CLD_DUMPED)
			core_path(p, a->child->user, n->config->state_dir, core, sizeof core);
		c.core = core;
		c.uptime_ms = c.at_ms > p->started_wall_ms ? c.at_ms - p->started_wall_ms : 0;
		c.proof = p->pending ? TROUPE__PROOF__PROOF_PENDING : TROUPE__PROOF__PROOF_EMPTY;
		size_t len = p->tail_len < STDERR_KEEP ? p->tail_len : STDERR_KEEP;
		c.stderr_tail = (ProtobufCBinaryData){ len, (uint8_t *)p->tail + (p->tail_len - len) };
		c.stderr_dropped = p->tail_dropped + (p->tail_len - len);
		u.user_us = (uint64_t)p->usage.ru_utime.tv_sec * 1000000 + (uint64_t)p->usage.ru_utime.tv_usec;
		u.system_us = (uint64_t)p->usage.ru_stime.tv_sec * 1000000 + (uint64_t)p->usage.ru_stime.tv_usec;
		u.max_rss_kib = (uint64_t)p->usage.ru_maxrss;
		u.minor_faults = (uint64_t)p->usage.ru_minflt;
		u.major_faults = (uint64_t)p->usage.ru_majflt;
		c.usage = &u;
		if (p->cell) {
			status_read(p->cell, &cell);
			add_cell(&c, &cell, backtrace, sizeof backtrace);
		}
	}
	record_crash(n->record, &c);
}

/* --- orders --- */

int evidence_order(struct node *n, const struct order_wait *w, const struct child *c, const char *answer, struct error *e)
{
	bool done = strcmp(answer, "ok") == 0 || strcmp(answer, "none") == 0;
	if (w->order == ORDER_SPEC || w->order == ORDER_COUNT)
		return 0;
	if (n->journal && done && w->order != ORDER_KILL)
		journal_add(n->journal, "forget %s", w->name);
	if (!done || w->order == ORDER_KILL || !n->record)
		return 0;
	/* A record that goes with its stop leaves nothing to be held. */
	bool goes = w->order == ORDER_DELETE || (w->order == ORDER_STOP && (!c || c->spec.restart == RESTART_TEMPORARY || (c->above && c->above->sup->spec.dynamic)));
	return record_order(n->record, w->name, goes ? RECORD_GONE : w->order == ORDER_STOP ? RECORD_STOPPED : RECORD_STARTED, e);
}

/* --- the rest --- */

uint64_t evidence_tick(struct node *n, uint64_t now_ms)
{
	flush(n);
	return n->record ? record_tick(n->record, now_ms) : TIME_NEVER;
}

void evidence_close(struct node *n, bool clean)
{
	if (n->journal && clean)
		journal_add(n->journal, "clean");
	n->journal = journal_close(n->journal);
	n->record = record_close(n->record, clock_mono_ms());
}
