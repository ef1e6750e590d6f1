/* From a worker's death to its successor's READY, beside a bare cycle: kill, reap, fork, exec, first byte on a pipe. And from a worker's death to the next
 * attempt's first instruction, where a task was in work: with one worker, whose successor must do it, and with two, where the other one stands idle.
 * usage: restart [KILLS [HAND-BACKS]] */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bench/bench.h"

#define KILLS_MAX 10000u
#define STAMP 35 /* bytes of a line of the stamp program */

/* --- the bare cycle: noop-lines says hello as soon as it runs --- */

struct bare { pid_t pid; int in, out; };

static void bare_start(struct bare *b)
{
	int in[2], out[2];
	char hello[64];
	MUST(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	MUST((b->pid = fork()) >= 0);
	if (b->pid == 0) {
		MUST(dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0);
		execl(NOOP_PROGRAM, "noop-lines", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	b->in = in[1];
	b->out = out[0];
	MUST(read(b->out, hello, sizeof(hello)) > 0);
}

static void bare_end(struct bare *b)
{
	bench_reap(b->pid);
	close(b->in);
	close(b->out);
}

static double bare_cycle(struct bare *b)
{
	double from_us = now_us();
	bench_reap(b->pid);
	int in = b->in, out = b->out;
	bare_start(b);
	double took_us = now_us() - from_us;
	close(in);
	close(out);
	return took_us;
}

/* --- a process apart that speaks to the node --- */

struct wish { bool submit; char queue[16]; pid_t pid; }; /* a task for the queue, or the worker pid attached */

static void speak(int fd, void *ctx)
{
	struct client *c = node_client(ctx, NULL, NULL);
	struct wish w;
	while (read_whole(fd, &w, sizeof(w))) {
		struct arena *arena = NULL;
		struct id id;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		Troupe__Submit submit = TROUPE__SUBMIT__INIT;
		Troupe__TaskSpec spec, *tasks[] = { &spec };
		spec_init(c, &spec, &id, w.queue, "", 0);
		submit.tasks = tasks;
		submit.n_tasks = 1;
		env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
		env.submit = &submit;
		if (w.submit)
			node_ask(c, "coordinator:main", &env, &arena);
		else
			node_workers_await(c, 1, w.pid);
		arena_unref(arena);
		write_whole(fd, "", 1);
	}
}

static void tell(int fd, const char *submit_to, pid_t await)
{
	struct wish w = { .submit = submit_to != NULL, .pid = await };
	char done;
	snprintf(w.queue, sizeof(w.queue), "%s", submit_to ? submit_to : "");
	write_whole(fd, &w, sizeof(w));
	MUST(read_whole(fd, &done, 1));
}

/* --- the two measurements --- */

static void row(const char *what, double *us, unsigned n)
{
	printf("%-58s p50 %8.0f us  p99 %8.0f us\n", what, percentile(us, n, 50), percentile(us, n, 99));
}

static pid_t living(const struct bench_node *n, const char *name)
{
	pid_t pid = node_child(n, name);
	MUST(pid > 0);
	return pid;
}

static void restarts(struct bench_node *n, int speaker, unsigned kills)
{
	static double bare_us[KILLS_MAX], node_us[KILLS_MAX], ratio[KILLS_MAX];
	struct bare b;
	bare_start(&b);
	for (unsigned i = 0; i < kills; i++) {
		pid_t pid = living(n, "worker:idle/1");
		tell(speaker, NULL, pid);
		pass(0.03); /* deaths are not a storm: there is a spare */
		for (unsigned j = 0; j < 2; j++) {
			if (j == i % 2) {
				bare_us[i] = bare_cycle(&b);
				continue;
			}
			double from_us = now_us();
			MUST(kill(pid, SIGKILL) == 0);
			node_us[i] = node_log_await(n, "msg=up", "child=worker:idle/1 ") - from_us;
		}
		ratio[i] = node_us[i] / bare_us[i];
	}
	bare_end(&b);
	printf("restart: %u kills, interleaved\n", kills);
	row("kill -9, reap, fork, exec, ready on a pipe (bare)", bare_us, kills);
	row("kill -9 of an idle worker to its successor's READY", node_us, kills);
	printf("ratio: p50 %.1f, of the p50s %.1f, of the p99s %.1f\n\n", percentile(ratio, kills, 50), percentile(node_us, kills, 50) / percentile(bare_us, kills, 50),
	       percentile(node_us, kills, 99) / percentile(bare_us, kills, 99));
}

static double stamp_await(int fifo, int want_attempt, pid_t *ret_by)
{
	char line[STAMP + 1] = "";
	int attempt, by;
	long long ns;
	MUST(read_whole(fifo, line, STAMP));
	MUST(sscanf(line, "%d %lld %d", &attempt, &ns, &by) == 3 && attempt == want_attempt);
	*ret_by = by;
	return (double)ns / 1e3;
}

static void hand_backs(struct bench_node *n, int speaker, int fifo, const char *queue, unsigned workers, unsigned kills)
{
	static double us[KILLS_MAX];
	char name[32], what[80];
	for (unsigned i = 0; i < kills; i++) {
		pid_t by, next;
		for (unsigned k = 1; k <= workers; k++) {
			snprintf(name, sizeof(name), "worker:%s/%u", queue, k);
			tell(speaker, NULL, living(n, name));
		}
		pass(0.03);
		tell(speaker, queue, 0);
		stamp_await(fifo, 1, &by);
		double from_us = now_us();
		MUST(kill(by, SIGKILL) == 0);
		us[i] = stamp_await(fifo, 2, &next) - from_us;
		MUST(next != by);
		node_log_await(n, "msg=up", "child=worker:"); /* the successor, also where the other one did the task */
	}
	snprintf(what, sizeof(what), "kill -9 of a worker in work to the next attempt, %u worker%s", workers, workers > 1 ? "s" : "");
	row(what, us, kills);
}

int main(int argc, char **argv)
{
	static struct bench_node n;
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 300, backs = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
	char dir[96], path[112], pools[1024];
	int speaker;
	MUST(kills >= 1 && kills <= KILLS_MAX && backs >= 1 && backs <= KILLS_MAX);
	bench_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/stamps", dir);
	MUST(mkfifo(path, 0600) == 0);
	int fifo = open(path, O_RDWR | O_CLOEXEC);
	MUST(fifo >= 0);

	static const char again[] = "immediate = 1000  backoff_base = 0"; /* dies hundreds of times: no delay */
	snprintf(pools, sizeof(pools), "  pool \"idle\" { size = 1  mode = exec  command = {\"/bin/true\"}  %s }\n"
	         "  pool \"one\" { size = 1  mode = exec  command = {\"%s\", \"%s\"}  %s }\n  pool \"two\" { size = 2  mode = exec  command = {\"%s\", \"%s\"}  %s }",
	         again, STAMP_PROGRAM, path, again, STAMP_PROGRAM, path, again);
	node_start(&n, "queue \"idle\" { }\nqueue \"one\" { }\nqueue \"two\" { }", pools, true);
	node_log_await(&n, "node is up", "");
	pid_t speaking = bench_apart(speak, &n, &speaker);

	restarts(&n, speaker, kills);
	printf("hand-back: %u kills each\n", backs);
	hand_backs(&n, speaker, fifo, "one", 1, backs);
	hand_backs(&n, speaker, fifo, "two", 2, backs);

	close(speaker);
	MUST(waitpid(speaking, NULL, 0) == speaking);
	node_stop(&n);
	bench_dir_remove(dir);
	return 0;
}
