/* check-store: of a node that runs, by its coordinator; of one that does not, or of a backup, by the coordinator's program alone. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "actors/tools/ledger.h"
#include "actors/tools/payload.h"
#include "actors/tools/statedir.h"
#include "actors/tools/tool.h"
#include "actors/tools/verify.h"

static void print_json(json_t *row)
{
	_cleanup_(freep) char *line = row_json(row);
	json_decref(row);
	if (line)
		puts(line);
}

static int check_running(struct tool *t)
{
	_cleanup_(arena_unrefp) struct arena *arena = NULL;
	const Troupe__Envelope *answer;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__CheckStore check = TROUPE__CHECK_STORE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHECK_STORE;
	env.check_store = &check;
	if (!t->timeout_ms)
		t->timeout_ms = 600000; /* a full scan takes its time */
	int status = tool_ask(t, t->coordinator, &env, TROUPE__ENVELOPE__BODY_STORE_CHECKED, &arena, &answer);
	if (status != 0)
		return status;
	const Troupe__StoreChecked *s = answer->store_checked;
	if (tool_has(t, OPT_JSON)) {
		json_t *row = json_object(), *lines = json_array();
		row_number(row, "tasks", s->tasks);
		row_number(row, "problems", s->problems);
		for (size_t i = 0; i < s->n_lines; i++)
			json_array_append_new(lines, json_string(s->lines[i]));
		json_object_set_new(row, "lines", lines);
		print_json(row);
	} else {
		printf("%llu tasks, %llu problems\n", (unsigned long long)s->tasks, (unsigned long long)s->problems);
		for (size_t i = 0; i < s->n_lines; i++)
			printf("  %s\n", s->lines[i]);
	}
	uint64_t n = 0;
	if (tool_has(t, OPT_PAYLOAD) && (status = payload_check(t, &n)) == 0 && !tool_has(t, OPT_JSON))
		printf("%llu payloads above 64 KiB are what was submitted\n", (unsigned long long)n);
	return s->problems ? EXIT_NO : status;
}

static int print_ledgers(struct tool *t, json_t *rows)
{
	size_t i;
	json_t *row;
	bool sound = true;
	json_array_foreach(rows, i, row) {
		if (tool_has(t, OPT_JSON))
			print_json(json_incref(row));
		else
			ledger_print(stdout, row);
		sound &= json_integer_value(json_object_get(row, "problems")) == 0;
	}
	return sound ? EXIT_OK : EXIT_NO;
}

static int check_backup(struct tool *t)
{
	struct verified v;
	struct error e = { .code = ERROR_NONE };
	int r = backup_open(&v, tool_option(t, OPT_BACKUP), &e);
	if (!r)
		r = backup_verify(t, &v, &e);
	int status = v.ledgers ? print_ledgers(t, v.ledgers) : EXIT_OK; /* its problems, if that is what is wrong */
	if (r)
		status = tool_fail_code(t, r, &e);
	else if (!tool_has(t, OPT_JSON))
		printf("%s: all %llu files are as they were backed up\n", v.dir, (unsigned long long)v.manifest.files);
	backup_close(&v);
	return status;
}

static int check_state_dir(struct tool *t)
{
	const char *dir = tool_option(t, OPT_STATE_DIR);
	struct error e = { .code = ERROR_NONE };
	json_t *rows = NULL;
	int r = state_is_free(dir, &e);
	if (r == ERROR_BUSY)
		error_cure(&e, "ask the node itself: troupe check-store");
	if (!r)
		r = ledger_check_all(dir, &rows, &e);
	if (!r && json_array_size(rows) == 0)
		r = error_set(&e, ERROR_NOT_FOUND, "%.150s holds no ledger", dir);
	int status = r ? tool_fail_code(t, r, &e) : print_ledgers(t, rows);
	json_decref(rows);
	return status;
}

int verb_check_store(struct tool *t)
{
	if (tool_has(t, OPT_BACKUP) && tool_has(t, OPT_STATE_DIR))
		return tool_usage(t, "--backup and --state-dir exclude each other");
	return tool_has(t, OPT_BACKUP) ? check_backup(t) : tool_has(t, OPT_STATE_DIR) ? check_state_dir(t) : check_running(t);
}
