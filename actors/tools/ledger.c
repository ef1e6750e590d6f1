#include "actors/tools/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "actors/tools/copying.h"
#include "actors/tools/progress.h"
#include "actors/tools/statedir.h"

#define LINE_MAX_BYTES 65536u

extern char **environ;


/* The program with its stdout in a pipe. */
static int start(const char *program, const char *dir, pid_t *ret_pid, int *ret_fd, struct error *e)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)"--check", (char *)(uintptr_t)dir, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return copy_failed(e, "start", program, errno);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	int r = posix_spawn(ret_pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (r) {
		close(fds[0]);
		return copy_failed(e, "start", program, r);
	}
	*ret_fd = fds[0];
	return 0;
}

/* What it says: problems, then counts, or an error alone. */
static int hear(FILE *f, json_t **ret, struct error *e)
{
	_cleanup_(json_decrefp) json_t *lines = json_array();
	_cleanup_(freep) char *text = NULL;
	size_t room = 0;
	ssize_t n;
	while ((n = getline(&text, &room, f)) > 0) {
		_cleanup_(json_decrefp) json_t *row = n < (ssize_t)LINE_MAX_BYTES ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
		const char *problem = json_string_value(json_object_get(row, "problem")), *error = json_string_value(json_object_get(row, "error"));
		const char *code = json_string_value(json_object_get(row, "code"));
		if (error) {
			enum error_code known[] = { ERROR_NOT_FOUND, ERROR_NOT_ALLOWED, ERROR_VERSION, ERROR_CORRUPT };
			enum error_code is = ERROR_STORE;
			for (size_t i = 0; i < ELEMENTS(known); i++)
				if (code && strcmp(error_name((int)known[i]), code) == 0)
					is = known[i];
			return error_set(e, is, "%s", error);
		}
		if (problem)
			json_array_append_new(lines, json_string(problem));
		else if (json_is_integer(json_object_get(row, "tasks"))) {
			json_object_set(row, "lines", lines);
			*ret = json_incref(row);
			return 0;
		}
	}
	return error_set(e, ERROR_INTERNAL, "the check ended without an answer");
}

int ledger_check(const char *dir, json_t **ret, struct error *e)
{
	const char *libexec = getenv("TROUPE_LIBEXECDIR");
	char program[PATH_MAX];
	int fd = -1, status = 0;
	pid_t pid;
	snprintf(program, sizeof program, "%s/troupe-coordinator", libexec && *libexec ? libexec : TROUPE_LIBEXECDIR);
	int r = start(program, dir, &pid, &fd, e);
	if (r)
		return r;
	FILE *f = fdopen(fd, "r");
	r = f ? hear(f, ret, e) : copy_failed(e, "hear", program, errno);
	if (f)
		fclose(f);
	else
		close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (r == ERROR_INTERNAL && WIFSIGNALED(status))
		error_set(e, ERROR_CORRUPT, "the check of %.150s was ended by signal %d", dir, WTERMSIG(status));
	return r ? (int)e->code : 0;
}

struct checking { const char *state_dir; json_t *rows; };

static int check_one(void *ctx, enum state_kind kind, const char *path, const struct stat *st, struct error *e)
{
	struct checking *k = ctx;
	char dir[PATH_MAX];
	json_t *row;
	if (kind != STATE_STORE || strncmp(path, STATE_COORDINATORS "/", strlen(STATE_COORDINATORS) + 1) != 0)
		return 0;
	int length = (int)(strrchr(path, '/') - path);
	if (snprintf(dir, sizeof dir, "%s/%.*s", k->state_dir, length, path) >= (int)sizeof dir)
		return error_set(e, ERROR_TOO_LARGE, "the path %.100s… is too long", k->state_dir);
	int r = ledger_check(dir, &row, e);
	if (r)
		return r;
	json_object_set_new(row, "path", json_stringn(path, (size_t)length));
	return json_array_append_new(k->rows, row) ? -ENOMEM : 0;
}

int ledger_check_all(const char *state_dir, json_t **ret_rows, struct error *e)
{
	struct checking k = { .state_dir = state_dir, .rows = json_array() };
	int r = k.rows ? state_walk(state_dir, check_one, &k, e) : -ENOMEM;
	if (r)
		json_decref(k.rows);
	else
		*ret_rows = k.rows;
	return r;
}

int ledger_problem(const json_t *rows, struct error *e)
{
	size_t i;
	const json_t *row;
	json_array_foreach(rows, i, row) {
		long long n = (long long)json_integer_value(json_object_get(row, "problems"));
		const char *path = json_string_value(json_object_get(row, "path")), *first = json_string_value(json_array_get(json_object_get(row, "lines"), 0));
		if (n)
			return error_set(e, ERROR_CORRUPT, "the ledger in %.80s has %lld problem%s: %.120s", path ? path : "?", n, n == 1 ? "" : "s", first ? first : "?");
	}
	return 0;
}

uint64_t ledger_tasks(const json_t *rows)
{
	uint64_t n = 0;
	size_t i;
	const json_t *row;
	json_array_foreach(rows, i, row)
		n += (uint64_t)json_integer_value(json_object_get(row, "tasks"));
	return n;
}

void ledger_print(FILE *f, const json_t *row)
{
	static const char *const states[] = { "scheduled", "ready", "running", "done", "cancelled", "dead" };
	const char *path = json_string_value(json_object_get(row, "path"));
	char text[32];
	const json_t *line;
	size_t i;
	bool first = true;
	fprintf(f, "  %s: %s tasks", path ? path : "", number_grouped((uint64_t)json_integer_value(json_object_get(row, "tasks")), text, sizeof text));
	for (i = 0; i < ELEMENTS(states); i++) {
		uint64_t n = (uint64_t)json_integer_value(json_object_get(row, states[i]));
		if (n)
			fprintf(f, "%s %s %s", first ? ":" : ",", number_grouped(n, text, sizeof text), states[i]);
		first &= n == 0;
	}
	fprintf(f, ", %lld problems\n", (long long)json_integer_value(json_object_get(row, "problems")));
	json_array_foreach(json_object_get(row, "lines"), i, line)
		fprintf(f, "    %s\n", json_string_value(line));
}
