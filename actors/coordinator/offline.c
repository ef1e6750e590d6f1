/* The check of a ledger that no coordinator has open: troupe-coordinator --check DIR. Nothing of the configuration is needed, and nothing is written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "actors/coordinator/check.h"
#include "actors/coordinator/coordinator.h"

#define LINES_BYTES (1u << 20)

/* Texts are one line of UTF-8 (utf8_clean) or printed by check.c. */
static void say_text(FILE *f, const char *key, const char *text)
{
	fprintf(f, "\"%s\":\"", key);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20)
			fprintf(f, "\\u%04x", *p);
		else
			fprintf(f, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
	fputc('"', f);
}

static int say_error(FILE *f, int code, const struct error *e)
{
	fputc('{', f);
	say_text(f, "error", *e->text ? e->text : code < 0 ? strerror(-code) : error_name(code));
	fputc(',', f);
	say_text(f, "code", code == -EACCES || code == -EPERM ? "NOT_ALLOWED" : code < 0 ? "STORE" : error_name(code));
	fputs("}\n", f);
	return CHECK_FAILED;
}

static void say_report(FILE *f, const struct check_report *r)
{
	static const char *const names[] = { "any", "scheduled", "ready", "running", "done", "cancelled", "dead" };
	for (size_t i = 0; i < r->n_lines; i++) {
		fputc('{', f);
		say_text(f, "problem", r->lines[i]);
		fputs("}\n", f);
	}
	fprintf(f, "{\"tasks\":%llu,\"problems\":%llu", (unsigned long long)r->n_tasks, (unsigned long long)r->n_problems);
	for (size_t i = 1; i < sizeof names / sizeof *names; i++)
		fprintf(f, ",\"%s\":%llu", names[i], (unsigned long long)r->states[i]);
	fputs("}\n", f);
}

static int check_store(struct store *store, const char *dir, struct check_report *ret, struct arena *lines, struct error *e)
{
	Troupe__QueuePolicy defaults = TROUPE__QUEUE_POLICY__INIT;
	Troupe__CoordinatorSetup queues = TROUPE__COORDINATOR_SETUP__INIT;
	Troupe__Setup setup = TROUPE__SETUP__INIT;
	struct coordinator *c;
	struct store_txn *view;
	if (!store_has_table(store, T_TASK))
		return error_set(e, ERROR_VERSION, "%s is no ledger: it has no table of tasks", dir);
	queues.defaults = &defaults;
	setup.coordinator = &queues;
	setup.state_dir = (char *)dir;
	int r = coordinator_open(store, &setup, &c, e);
	if (r)
		return r;
	r = store_read(store, &view);
	if (!r) {
		r = check_ledger(c, view, lines, ret);
		store_read_end(view);
	}
	coordinator_def.fini(c);
	return r;
}

int check_offline(const char *dir, FILE *f)
{
	const struct store_config config = { .dir = dir, .tables = ledger_tables, .version = LEDGER_VERSION, .read_only = true };
	struct error e = { 0 };
	struct store *store = NULL;
	struct check_report report = { 0 };
	struct arena *lines = arena_new(LINES_BYTES);
	int r = lines ? store_open(&config, &store, &e) : -ENOMEM;
	if (!r)
		r = check_store(store, dir, &report, lines, &e);
	store_close(store);
	int status = CHECK_SOUND;
	if (r) {
		status = say_error(f, r, &e);
	} else {
		say_report(f, &report);
		status = report.n_problems ? CHECK_PROBLEMS : CHECK_SOUND;
	}
	arena_unref(lines);
	return fflush(f) == 0 ? status : CHECK_FAILED;
}
