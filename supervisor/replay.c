#include "supervisor/replay.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/error.h"
#include "supervisor/journal.h"
#include "supervisor/tree_text.h"

struct run {
	struct replay *replay;
	FILE *out;
	bool verbose;
	unsigned line;
	unsigned long n_events, n_same, n_different, n_damaged, said_at; /* said_at: of this event it was told that something is missing */
};

/* Before the next event. A trouped that was killed may have written half of what it had decided: what is not there is then no difference. */
static void say_missing(struct run *r, bool was_killed)
{
	size_t n = replay_missing(r->replay);
	if (n == 0 || r->said_at == r->n_events)
		return;
	r->said_at = r->n_events;
	if (was_killed) {
		fprintf(r->out, "%u: the last %zu decisions of this life were not written down\n", r->line, n);
		return;
	}
	fprintf(r->out, "%u: %zu more decided here than there\n", r->line, n);
	r->n_different += n;
}

static bool take(void *ctx, const char *record)
{
	struct run *r = ctx;
	bool goes_on = strncmp(record, "does ", 5) == 0 || strncmp(record, "window ", 7) == 0 || strncmp(record, "forget", 6) == 0;
	if (!goes_on)
		say_missing(r, strncmp(record, "boot ", 5) == 0);
	r->line++;
	switch (replay_line(r->replay, record)) {
	case REPLAY_PASSED:
		return true;
	case REPLAY_EVENT:
		r->n_events++;
		break;
	case REPLAY_SAME:
		r->n_same++;
		break;
	case REPLAY_DIFFERENT:
		r->n_different++;
		fprintf(r->out, "%u: there %s\n%*shere %s\n", r->line, record, (int)snprintf(NULL, 0, "%u: ", r->line), "", replay_expected(r->replay) ? replay_expected(r->replay) : "nothing");
		return true;
	case REPLAY_DAMAGED:
		r->n_damaged++;
		fprintf(r->out, "%u: cannot be read: %s\n", r->line, record);
		return true;
	}
	if (r->verbose)
		fprintf(r->out, "%s%s\n", strncmp(record, "does ", 5) == 0 ? "    " : "", record);
	return true;
}

static int replay_here(const char *path, bool verbose, FILE *out)
{
	struct run r = { .replay = replay_new(), .out = out, .verbose = verbose };
	unsigned line = 0;
	if (!r.replay)
		return 71;
	int code = journal_each(path, take, &r, &line);
	say_missing(&r, true);
	replay_free(r.replay);
	if (code < 0) {
		fprintf(stderr, "trouped: %s: %s\n", path, strerror(-code));
		return 66;
	}
	if (code > 0)
		fprintf(out, "%u: a damaged line: what is behind it was not read\n", line);
	if (r.n_events == 0) {
		fprintf(stderr, "trouped: %s: there is no decision in it\n", path);
		return 66;
	}
	fprintf(out, "%lu events, %lu decisions the same, %lu different, %lu unreadable\n", r.n_events, r.n_same, r.n_different, r.n_damaged);
	return r.n_different || r.n_damaged || code ? 1 : 0;
}

/* In a process of its own: a file that was made up can hold a tree that cannot be, at which the core stops. */
int replay_journal(const char *path, bool verbose, FILE *out)
{
	int status;
	fflush(out);
	pid_t pid = fork();
	if (pid == 0) {
		int code = replay_here(path, verbose, out);
		fflush(out);
		_exit(code);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 71;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "trouped: %s: it holds a tree that cannot be (signal %d)\n", path, WTERMSIG(status));
	return 1;
}
