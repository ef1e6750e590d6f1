#include "tests/unit/troupe/scripted.h"
#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts it again and again. Says "." into ready at its first life. */
static void keep(const char *dir, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int said[2];
		char byte;
		assert(pipe(said) == 0);
		pid_t pid = fork();
		if (pid == 0) {
			dup2(said[1], STDOUT_FILENO);
			close(said[0]);
			close(said[1]);
			execl(SCRIPTED_NODE, "scripted-node", dir, (char *)NULL);
			_exit(127);
		}
		close(said[1]);
		if (read(said[0], &byte, 1) == 1 && ready >= 0)
			assert(write(ready, ".", 1) == 1);
		ready = -1;
		while (waitpid(pid, NULL, 0) < 0)
			;
		close(said[0]);
	}
}

void scripted_start(struct scripted *s)
{
	int ready[2];
	char byte;
	strcpy(s->dir, "/tmp/troupe-library.XXXXXX");
	assert(mkdtemp(s->dir) && pipe(ready) == 0);
	s->pid = fork();
	if (s->pid == 0)
		keep(s->dir, ready[1]);
	assert(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	close(ready[1]);
}

void scripted_stop(struct scripted *s)
{
	char command[128];
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof command, "rm -rf %s", s->dir);
	assert(system(command) == 0);
}

static FILE *open_in(const struct scripted *s, const char *name, const char *mode)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", s->dir, name);
	return fopen(path, mode);
}

void scripted_says(const struct scripted *s, const char *verb, const char *format, ...)
{
	FILE *f = open_in(s, verb, "we");
	va_list ap;
	assert(f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fputc('\n', f);
	fclose(f);
}

const char *scripted_request(const struct scripted *s, const char *text, size_t n)
{
	static char *line;
	static size_t room;
	FILE *f = open_in(s, "requests", "re");
	const char *found = NULL;
	while (f && !found && getline(&line, &room, f) > 0)
		if (strstr(line, text) && n-- == 0)
			found = line;
	if (f)
		fclose(f);
	return found;
}

size_t scripted_count(const struct scripted *s, const char *text)
{
	size_t n = 0;
	while (scripted_request(s, text, n))
		n++;
	return n;
}

const char *id_text(unsigned char last)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static char texts[8][32];
	static unsigned at;
	char *out = texts[at++ % 8];
	snprintf(out, sizeof texts[0], "AAAAAAAAAAAAAAAAAAAA%c%c==", digits[last >> 2], digits[(last & 3) << 4]);
	return out;
}
