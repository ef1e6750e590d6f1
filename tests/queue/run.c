/* queue-scenario [-v] [--waiting] [--write] [--rows] FILE|DIRECTORY...: plays scenarios of the queue on the real coordinator, in virtual time, and compares what happens
 * with what should. Reports TAP, a point a file. -v prints what was seen; --write writes each file again with the traces that were seen; --rows prints which row of
 * features and promises has which files. A directory's file `waiting` names what is not played yet, and why ("NAME: reason"); --waiting plays just these. Exit status: 0 all as
 * written, 1 a difference, 64 usage.
 *
 * Every file is played three times: as it stands; with a kill -9 of the coordinator and its recovery behind every stimulus, of which nothing may come; and with every
 * turn cut off before its commit once, then done again. In the second and third the order inside a trace does not matter. Behind every stimulus
 * check_store must have nothing to say, and its question may bring nothing about. Whatever happens: no task from nowhere, no second live attempt, rising tokens, no
 * change of what is final.
 *
 * A file, named by its sentence:
 *
 *   # What it shows, in a sentence
 *   row limits                                     which feature or promise (script.c has the list); more lines for more
 *   volatile why                                   what is in memory only is shown: played only as it stands
 *   queue mail max_attempts=3 backoff_base=1s      before the first stimulus: the configuration, by its own names; also
 *   global concurrency=3   defaults ...   seed 7   clock 2024-03-31T00:30:00Z
 *   client bob role=submitter                      whoever is not declared is an admin; ann is who asks where nobody is named
 *   worker w1 queues=mail slots=1                  a stimulus; what it leaves behind "=>", nothing without one
 *   submit a mail "text" key=k1 => +a, w1<a#1
 *   # a line that begins with a space continues the one before
 *
 * Where nothing is said a queue has three attempts, a second of backoff that doubles, no jitter, results for an hour, poison after three crashes.
 *
 * Stimuli. Tasks are named a, or a,b, or t1..t9. Each may end with: by CLIENT.
 *   submit TASKS QUEUE ["payload" | bytes=64K] [priority=high] [delay=5s] [run_at=1h] [deadline=5s] [timeout=5s] [unique=u mode=return window=1h] [key=k] [tags=gpu]
 *       [after=b,c:end,d:failure [hold]] [resources=gpu:1] [fields of a retry policy] [notify]     the same id again is the same task; run_at and deadline are from now on
 *   bulk { a mail "x"; b mail }                    one message
 *   batch B ["name"] [on_failure=continue] { a mail; b mail after=a; c mail callback=success; u mail undoes=a }
 *   worker W [queues=] [slots=] [tags=] [pool=] [resources=] [lazy]     starts and attaches; without its options the next incarnation. It begins as many as it has
 *       slots, and says so; a lazy one does so at:  start W TASKS
 *   done W a ["result"] [took=1s|took_us=50] [drain]      fail W a [later|rejected|broken|crashed|core|oom|timeout|lost|cancelled] [exit=3] [signal=9] ["why"] [after=30s]
 *       giving=2: of the second time that it was given, also if the worker has it no more
 *   progress W a 40 ["note"]   revoked W TASKS
 *   hangup W   attach W [holding TASKS|nothing] [slots=] [broken="why"] [update]
 *   crash W [signal=9|core|oom|hung|lost|exit=1|ordered] [pending] [talking]     dies with what it began in work. pending: its family is not proven gone, until: proven W
 *       talking: what it said last is still to be read, until: hangup W
 *   cancel|purge|retry TASKS   cancel|purge|retry where [queue=] [state=dead] [tag=] [error=] [older=1h] [key=] [submitter=] [batch=] [failed]   with: dry; retry: force, rate=1/s
 *   alter TASKS|where ... [to_priority=high] [to_queue=bulk] ["new payload"]
 *   pause|resume|drain|remove QUEUE ["why"]   quiet|unquiet ["why"]   add|set QUEUE FIELD=VALUE...   set QUEUE takes all back   configure QUEUE FIELD=VALUE... a new file
 *   cron add NAME "0 3 * * *" QUEUE ["payload"] [zone=] [overlap=] [missed=] [replace]   cron remove|pause|resume|run NAME ["why"]
 *   await TASKS [any] [within=10s]   follow [within=10s]   gone CLIENT
 *   wait 5s   wall +1h (the wall clock alone)   disk low|full|free
 *   restart [after=10s] [alone]                    kill -9 of the coordinator between two turns; its workers come back with what they hold, alone: not before they attach
 *   { submit a mail; done w1 b }                   several messages in one turn
 *   crash-in { submit a mail }                     the turn is cut off before its commit, then all come back
 *   crash-behind { submit a mail }                 cut off behind its commit, before anything left
 *
 * Traces, in the order of the log, then what left:
 *   +a  a ready  a scheduled 5s  a blocked (by others)  w1<a#1 (given, first attempt)  a done  a failed [class]  a lost [class]  a dead CAUSE  a cancelled [CAUSE]  a cancel asked  a retried
 *   a returned  a purged  a expired  a dropped  a changed  @2s in front: so long after the beginning of a wait
 *   w1: abort a "why"   w1: revoke a   w1: stale a   w1: kill a   w1<a#1 unheard (behind a crash)
 *   existing a   refused CODE "text", cure "text", again in 1s   not a: CODE "text"   count 2   ann<a done "result"   ann<2 wait   ann<TRANSITION
 * Short names stand for ids, numbers and addresses in all texts; ... in an expected text for anything.
 *
 * Questions, each a turn of its own:
 *   state a [FIELD...] => done attempts=1          the fields: look.c
 *   queue mail [FIELD...] => ready=3 running=1     list [queue=] [state=] ... => b, a     explain a => "text"     workers => w1 busy with a, w2 idle
 *   log [from=CURSOR|end|1] [task=a] [limit=9] [as=CURSOR] => GAP, +a     cron NAME => next ...     preview "0 3 * * *" [zone=] [count=]     batch B => open members=3 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/log.h"
#include "tests/queue/script.h"
#include "tests/queue/text.h"

#define FILES_MAX 4096

struct file { char *path; char *waits; };

static bool verbose, only_waiting, write_files, rows;
static struct file files[FILES_MAX];
static size_t n_files;

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* Why a file waits, by its directory's list; NULL: it does not. */
static char *reason_of(const char *directory, const char *name)
{
	char path[4096], line[1024], *found = NULL;
	size_t len = strlen(name) - strlen(".scenario");
	snprintf(path, sizeof path, "%s/waiting", directory);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof line, f))
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			found = strdup(trimmed(line + len + 1));
	if (f)
		fclose(f);
	return found;
}

static void gather(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		if (n_files < FILES_MAX)
			files[n_files++] = (struct file){ strdup(path), NULL };
		return;
	}
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d)) && n_files < FILES_MAX;) {
		size_t len = strlen(e->d_name);
		char *all;
		if (len > 9 && strcmp(e->d_name + len - 9, ".scenario") == 0 && asprintf(&all, "%s/%s", path, e->d_name) > 0)
			files[n_files++] = (struct file){ all, reason_of(path, e->d_name) };
	}
	if (d)
		closedir(d);
}

static void report(const struct file *f, unsigned number)
{
	struct script_head head;
	script_head(f->path, &head);
	printf("ok %u - %s # SKIP %s\n", number, head.title, f->waits);
}

static bool play(const struct file *f, unsigned number)
{
	struct script_head head;
	int status = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		exit(script_play(f->path, verbose, write_files));
	bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	script_head(f->path, &head);
	if (pid > 0 && WIFSIGNALED(status))
		printf("# %s: ended by signal %d\n", f->path, WTERMSIG(status));
	printf("%s %u - %s\n", ok ? "ok" : "not ok", number, head.title);
	return ok;
}

static bool has_row(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = list; (at = strstr(at, name)); at += n)
		if (at > list && strchr(" ,", at[-1]) && strchr(" ,", at[n]))
			return true;
	return false;
}

/* Which rows have which files. false: a file names no row that there is. */
static bool print_rows(void)
{
	bool ok = true;
	struct script_head head;
	for (const struct row *r = script_rows; r->name; r++) {
		printf("%s: %s\n", r->name, r->what);
		for (size_t i = 0; i < n_files; i++) {
			script_head(files[i].path, &head);
			if (has_row(head.rows, r->name))
				printf("\t%s%s\n", head.title, files[i].waits ? " (waits)" : "");
		}
	}
	for (size_t i = 0; i < n_files; i++) {
		bool some = false;
		script_head(files[i].path, &head);
		for (const struct row *r = script_rows; r->name; r++)
			some |= has_row(head.rows, r->name);
		if (!some)
			printf("no row: %s\n", files[i].path);
		ok &= some;
	}
	return ok;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; bool *flag; } flags[] = { { "-v", &verbose }, { "--waiting", &only_waiting }, { "--write", &write_files }, { "--rows", &rows } };
	unsigned failed = 0, number = 0;
	for (int i = 1; i < argc; i++) {
		bool known = false;
		for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
			if (strcmp(argv[i], flags[k].name) == 0)
				*flags[k].flag = known = true;
		if (!known && *argv[i] != '-')
			gather(argv[i]);
	}
	if (!n_files) {
		fprintf(stderr, "usage: queue-scenario [-v] [--waiting] [--write] [--rows] FILE|DIRECTORY...\n");
		return 64;
	}
	log_setup("", LOG_LOGFMT, verbose ? LOG_WARN : LOG_ERROR, 2);
	qsort(files, n_files, sizeof *files, by_path);
	if (rows)
		return print_rows() ? 0 : 1;
	for (size_t i = 0; i < n_files; i++) {
		if (only_waiting && !files[i].waits)
			continue;
		if (files[i].waits && !only_waiting)
			report(&files[i], ++number);
		else
			failed += !play(&files[i], ++number);
	}
	for (size_t i = 0; i < n_files; i++) {
		free(files[i].path);
		free(files[i].waits);
	}
	printf("1..%u\n", number);
	return failed ? 1 : 0;
}
