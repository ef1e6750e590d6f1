/* scenario [-v] FILE|DIRECTORY...: plays scenarios of supervision on the core, in virtual time, and compares what happens with what should. Reports TAP, a point a file;
 * -v prints what was seen too. Exit status: 0 all as written, 1 a difference, 64 usage.
 *
 * A file:
 *
 *   # B14: what it shows, in a sentence; further lines of comment
 *   mode otp                        otp | ours, then perhaps backoff; begins a new scenario
 *   tree S ofa 2/3600 [a tr:T]      scenario.h says how trees, stimuli and traces are written
 *   normal tr => -tr(normal)        stimuli => the trace that they must leave, perhaps none */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "tests/supervision/scenario.h"

#define LINE_MAX_BYTES 4096
#define FILES_MAX 4096

struct play {
	const char *path;
	unsigned line, n_steps, n_different;
	char title[256], mode[64];
	struct scenario *s;
	bool verbose;
};

static char *trimmed(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	for (size_t n = strlen(s); n && strchr(" \t\r\n", s[n - 1]);)
		s[--n] = 0;
	return s;
}

static _Noreturn void nonsense(const struct play *p, const char *why)
{
	printf("# %s:%u: %s\n", p->path, p->line, why);
	fflush(stdout);
	_exit(2);
}

static void play_step(struct play *p, char *stimuli, const char *want)
{
	if (!p->s)
		nonsense(p, "a stimulus before the tree");
	const char *got = scenario_do(p->s, stimuli);
	bool same = strcmp(got, want) == 0;
	p->n_steps++;
	if (same && p->verbose)
		printf("# %s:%u: %s => %s\n", p->path, p->line, stimuli, got);
	if (same)
		return;
	p->n_different++;
	printf("# %s:%u: %s\n#   expected: %s\n#   observed: %s\n", p->path, p->line, stimuli, want, got);
}

static void play_line(struct play *p, char *line)
{
	if (*line == '#') {
		if (!p->title[0])
			snprintf(p->title, sizeof p->title, "%s", trimmed(line + 1));
		return;
	}
	if (!*line)
		return;
	if (strncmp(line, "mode ", 5) == 0) {
		snprintf(p->mode, sizeof p->mode, "%s", trimmed(line + 5));
		return;
	}
	if (strncmp(line, "tree ", 5) == 0) {
		if (!p->mode[0])
			nonsense(p, "a tree before its mode");
		if (p->s)
			scenario_free(p->s);
		p->s = scenario_new(p->mode, trimmed(line + 5), 1);
		return;
	}
	char *arrow = strstr(line, "=>");
	if (!arrow)
		nonsense(p, "neither mode, tree, # nor STIMULI => TRACE");
	*arrow = 0;
	play_step(p, trimmed(line), trimmed(arrow + 2));
}

/* In a process of its own: a core that breaks its rules ends it. */
static int play_file(const char *path, bool verbose)
{
	struct play p = { .path = path, .verbose = verbose };
	char line[LINE_MAX_BYTES];
	FILE *f = fopen(path, "re");
	if (!f) {
		perror(path);
		return 2;
	}
	while (fgets(line, sizeof line, f)) {
		p.line++;
		play_line(&p, trimmed(line));
	}
	fclose(f);
	if (p.s)
		scenario_free(p.s);
	if (!p.n_steps)
		nonsense(&p, "no step");
	fflush(stdout);
	return p.n_different ? 1 : 0;
}

static void title_of(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");
	const char *slash = strrchr(path, '/');
	snprintf(out, size, "%s", slash ? slash + 1 : path);
	if (!f)
		return;
	char line[LINE_MAX_BYTES];
	if (fgets(line, sizeof line, f) && *line == '#')
		snprintf(out, size, "%s", trimmed(line + 1));
	fclose(f);
}

static bool play(const char *path, unsigned number, bool verbose)
{
	char title[256];
	int status = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(play_file(path, verbose));
	bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	title_of(path, title, sizeof title);
	if (pid > 0 && WIFSIGNALED(status))
		printf("# %s: ended by signal %d\n", path, WTERMSIG(status));
	printf("%s %u - %s\n", ok ? "ok" : "not ok", number, title);
	return ok;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t gather(const char *path, char **files, size_t n)
{
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		if (n < FILES_MAX)
			files[n++] = strdup(path);
		return n;
	}
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d)) && n < FILES_MAX;) {
		size_t len = strlen(e->d_name);
		if (len > 9 && strcmp(e->d_name + len - 9, ".scenario") == 0 && asprintf(&files[n], "%s/%s", path, e->d_name) > 0)
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

int main(int argc, char **argv)
{
	static char *files[FILES_MAX];
	size_t n = 0;
	bool verbose = false;
	unsigned failed = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else
			n = gather(argv[i], files, n);
	}
	if (!n) {
		fprintf(stderr, "usage: scenario [-v] FILE|DIRECTORY...\n");
		return 64;
	}
	qsort(files, n, sizeof *files, by_name);
	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		failed += !play(files[i], (unsigned)i + 1, verbose);
		free(files[i]);
	}
	return failed ? 1 : 0;
}
