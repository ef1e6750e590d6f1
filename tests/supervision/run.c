/* scenario [-v] [--core | --node] FILE|DIRECTORY...: plays scenarios of supervision and compares what happens with what should. --core (the standard): on the core, in
 * virtual time. --node: on a real trouped whose children are stubs; files that are for the core alone are passed over. Reports TAP, a point a file; -v prints what was seen
 * too. Exit status: 0 all as written, 1 a difference, 64 usage.
 *
 * A file, named by the id of what it shows:
 *
 *   # B14: what it shows, in a sentence; further lines of comment
 *   levels core node                where it can be played; core alone, where nothing is said. Once, before the first tree
 *   mode otp                        otp | ours, then perhaps backoff
 *   unordered                       from here on the order of a step's words does not matter
 *   refused S ofo [a a] => a:EXISTS a tree that cannot be, and why: the supervisor's or child's name, and the word
 *   tree S ofa 2/3600 [a tr:T]      begins anew with this tree; scenario.h says how trees, stimuli and traces are written
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
#include "tests/supervision/node.h"
#include "tests/supervision/scenario.h"

#define LINE_MAX_BYTES 4096
#define FILES_MAX 4096
#define WORDS_MAX 512

struct play {
	const char *path;
	unsigned line, n_steps, n_different;
	char title[256], mode[64];
	struct scenario *s;
	struct node_play *n;
	bool unordered, dirty;
};

static bool verbose, on_node;
static const char *trouped, *stub;

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

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned split(char *text, char **words, unsigned n_max)
{
	unsigned n = 0;
	for (char *word; (word = strsep(&text, " ")) && n < n_max;)
		if (*word)
			words[n++] = word;
	return n;
}

static unsigned count(const char *text)
{
	char copy[LINE_MAX_BYTES], *words[WORDS_MAX];
	snprintf(copy, sizeof copy, "%s", text);
	return split(copy, words, WORDS_MAX);
}

static bool same_words(const char *a, const char *b)
{
	char copies[2][LINE_MAX_BYTES], *words[2][WORDS_MAX];
	if (strlen(a) >= LINE_MAX_BYTES)
		return false;
	snprintf(copies[0], sizeof copies[0], "%s", a);
	snprintf(copies[1], sizeof copies[1], "%s", b);
	unsigned n = split(copies[0], words[0], WORDS_MAX);
	if (n != split(copies[1], words[1], WORDS_MAX))
		return false;
	qsort(words[0], n, sizeof *words[0], by_name);
	qsort(words[1], n, sizeof *words[1], by_name);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(words[0][i], words[1][i]) != 0)
			return false;
	return true;
}

static void begin(struct play *p, const char *tree)
{
	if (!p->mode[0])
		nonsense(p, "a tree before its mode");
	if (p->s)
		scenario_free(p->s);
	if (p->n)
		p->dirty |= !node_play_free(p->n);
	p->s = NULL;
	p->n = NULL;
	if (on_node)
		p->n = node_play_new(trouped, stub, p->mode, tree);
	else
		p->s = scenario_new(p->mode, tree, 1);
}

static void play_step(struct play *p, char *stimuli, const char *want)
{
	if (!p->s && !p->n)
		nonsense(p, "a stimulus before the tree");
	const char *got = p->n ? node_play_do(p->n, stimuli, count(want)) : scenario_do(p->s, stimuli);
	bool same = strcmp(got, want) == 0 || (p->unordered && same_words(got, want));
	p->n_steps++;
	if (same && verbose)
		printf("# %s:%u: %s => %s\n", p->path, p->line, stimuli, got);
	if (same)
		return;
	p->n_different++;
	printf("# %s:%u: %s\n#   expected: %s\n#   observed: %s\n", p->path, p->line, stimuli, want, got);
}

static void play_refused(struct play *p, char *text)
{
	char *arrow = strstr(text, "=>");
	if (!arrow || !p->mode[0])
		nonsense(p, "not: refused TREE => NAME:WORD, behind a mode");
	*arrow = 0;
	const char *got = scenario_refused(p->mode, trimmed(text)), *want = trimmed(arrow + 2);
	p->n_steps++;
	if (got && strcmp(got, want) == 0)
		return;
	p->n_different++;
	printf("# %s:%u: %s\n#   expected: %s\n#   observed: %s\n", p->path, p->line, text, want, got ? got : "it is right");
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
		begin(p, trimmed(line + 5));
		return;
	}
	if (strcmp(line, "unordered") == 0) {
		p->unordered = true;
		return;
	}
	if (strncmp(line, "levels ", 7) == 0)
		return;
	if (strncmp(line, "refused ", 8) == 0) {
		play_refused(p, line + 8);
		return;
	}
	char *arrow = strstr(line, "=>");
	if (!arrow)
		nonsense(p, "neither levels, mode, unordered, tree, # nor STIMULI => TRACE");
	*arrow = 0;
	play_step(p, trimmed(line), trimmed(arrow + 2));
}

/* In a process of its own: a core that breaks its rules ends it. */
static int play_file(const char *path)
{
	struct play p = { .path = path };
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
	if (p.n)
		p.dirty |= !node_play_free(p.n);
	if (!p.n_steps)
		nonsense(&p, "no step");
	fflush(stdout);
	return p.n_different || p.dirty ? 1 : 0;
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

static bool is_for_node(const char *path)
{
	char line[LINE_MAX_BYTES];
	bool found = false;
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof line, f))
		found = strncmp(line, "levels ", 7) == 0 && strstr(line, " node");
	if (f)
		fclose(f);
	return found;
}

static bool play(const char *path, unsigned number)
{
	char title[256];
	int status = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		exit(play_file(path)); /* not _exit: counters of coverage are written at the exit */
	bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	title_of(path, title, sizeof title);
	if (pid > 0 && WIFSIGNALED(status))
		printf("# %s: ended by signal %d\n", path, WTERMSIG(status));
	printf("%s %u - %s\n", ok ? "ok" : "not ok", number, title);
	return ok;
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

/* Beside this program in the build directory. */
static void find_programs(void)
{
	static char paths[2][4096];
	ssize_t n = readlink("/proc/self/exe", paths[0], sizeof paths[0] - 64);
	char *slash = n > 0 ? memrchr(paths[0], '/', (size_t)n) : NULL;
	if (slash)
		*slash = 0;
	memcpy(paths[1], paths[0], sizeof paths[0]);
	stub = strcat(paths[1], "/stub");
	trouped = strcat(paths[0], "/../supervisor/trouped");
}

int main(int argc, char **argv)
{
	static char *files[FILES_MAX];
	size_t n = 0, n_played = 0;
	unsigned failed = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--node") == 0 || strcmp(argv[i], "--core") == 0)
			on_node = strcmp(argv[i], "--node") == 0;
		else
			n = gather(argv[i], files, n);
	}
	if (!n) {
		fprintf(stderr, "usage: scenario [-v] [--core | --node] FILE|DIRECTORY...\n");
		return 64;
	}
	find_programs();
	qsort(files, n, sizeof *files, by_name);
	for (size_t i = 0; i < n; i++) {
		if (!on_node || is_for_node(files[i]))
			failed += !play(files[i], (unsigned)++n_played);
		free(files[i]);
	}
	printf("1..%zu\n", n_played);
	return failed ? 1 : 0;
}
