#include "tests/fault/ledger.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "actors/coordinator/sched.h"
#include "common/base/sha256.h"
#include "tests/unit/coordinator/stage.h"

#define SECONDS_MAX 30u

/* The check of the coordinator itself. "" where it has nothing to say. */
static void check(struct stage *s, char *text, size_t size)
{
	static const struct who client = { .peer = 1 };
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	for (int i = 0; !answer && s->refusal.code == ERROR_BUSY && i < 1000; i++) /* what was due meanwhile comes in, a slice a turn */
		answer = stage_check(s, &client);
	if (!answer)
		snprintf(text, size, "the check is refused: %s", s->refusal.text);
	else if (answer->problems)
		snprintf(text, size, "%s", answer->n_lines ? answer->lines[0] : "problems");
}

/* Large payloads: a file has the name of its content. */
static void check_files(const char *dir, char *text, size_t size)
{
	char path[512], name[SHA256_TEXT];
	uint8_t wanted[SHA256_BYTES], found[SHA256_BYTES], data[8192];
	struct dirent *e;
	snprintf(path, sizeof path, "%s/blob", dir);
	DIR *all = opendir(path);
	while (all && (e = readdir(all))) {
		struct sha256 h;
		size_t n;
		if (!sha256_parse(e->d_name, wanted) || snprintf(path, sizeof path, "%s/blob/%s", dir, e->d_name) >= (int)sizeof path)
			continue;
		FILE *f = fopen(path, "re");
		sha256_init(&h);
		while (f && (n = fread(data, 1, sizeof data, f)) > 0)
			sha256_add(&h, data, n);
		sha256_end(&h, found);
		if (f)
			fclose(f);
		sha256_format(found, name);
		if (memcmp(found, wanted, sizeof found) != 0)
			snprintf(text, size, "payload %s has the content of %s", e->d_name, name);
	}
	if (all)
		closedir(all);
}

static void look(struct stage *s, const struct promises *p, char *text, size_t size)
{
	char shown[ID_TEXT];
	if (s->c->meta.next_token <= p->token)
		snprintf(text, size, "token %" PRIu64 " was given, and would be again: the next is %" PRIu64, p->token, s->c->meta.next_token);
	for (size_t i = 0; i < p->n && !*text; i++) {
		id_format(&p->all[i].id, shown);
		Troupe__TaskState state = stage_state_of(s, &p->all[i].id);
		if (state == TROUPE__TASK_STATE__TASK_ANY)
			snprintf(text, size, "%s was acknowledged, and is not there", shown);
		else if (p->all[i].final && !sched_is_final(state))
			snprintf(text, size, "%s was told to be final, and is not", shown);
		if (p->trace)
			printf("%s %d\n", shown, (int)state);
	}
}

static _Noreturn void child(const char *dir, const struct promises *p, int out)
{
	struct error e = { 0 };
	char text[400] = "";
	alarm(SECONDS_MAX);
	struct stage *s = stage_prepare(1);
	stage_queue(s, "a");
	stage_queue(s, "b");
	s->wall_ms = p->wall_ms;
	int r = stage_adopt(s, dir, &e);
	if (r) {
		dprintf(out, "%s", *e.text ? e.text : strerror(-r));
		_exit(LEDGER_REFUSED);
	}
	check(s, text, sizeof text);
	if (!*text)
		look(s, p, text, sizeof text);
	if (!*text)
		check_files(dir, text, sizeof text);
	stage_free(s);
	dprintf(out, "%s", text);
	_exit(*text ? LEDGER_BROKEN : LEDGER_WELL);
}

enum ledger_verdict ledger_look(const char *dir, const struct promises *p, char *text, size_t size)
{
	int ends[2], status = 0;
	fflush(stdout);
	if (pipe(ends) != 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		close(ends[0]);
		child(dir, p, ends[1]);
	}
	close(ends[1]);
	ssize_t n = read(ends[0], text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) <= LEDGER_BROKEN)
		return (enum ledger_verdict)WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		snprintf(text, size, "who opens it dies of signal %d", WTERMSIG(status));
	else
		snprintf(text, size, "who opens it exits with %d", WEXITSTATUS(status));
	return LEDGER_CRASHED;
}
