/* What supervision costs, each beside its limit in the same run: a stub's death to its successor's READY beside a bare fork, exec and first packet; a worker's beside
 * OTP's supervisor that restarts a program behind a port (where erl is installed); five hundred deaths at once; a thousand children from the configuration beside a bare loop; a
 * management call while a hundred children are started again. usage: supervise [KILLS [CHILDREN [DEATHS]]] */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bench/bench.h"

#define KILLS_MAX 10000u
#define CHILDREN_MAX 5000u
#define STORM 100u      /* children that are started again while somebody asks */
#define ASKS 20u        /* in one storm */

static void row(const char *what, double *us, unsigned n)
{
	printf("%-66s p50 %8.0f us  p99 %8.0f us\n", what, percentile(us, n, 50), percentile(us, n, 99));
}

/* --- bare: a socketpair, fork, exec, the stub's first packet --- */

struct bare { pid_t pid; int fd; };

static void bare_begin(struct bare *b)
{
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	MUST((b->pid = fork()) >= 0);
	if (b->pid == 0) {
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			MUST(dup2(pair[1], 3) == 3);
		execl(STUB_PROGRAM, "stub", "-", (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	b->fd = pair[0];
}

static void bare_ready(struct bare *b)
{
	char packet[64];
	MUST(read(b->fd, packet, sizeof(packet)) > 0);
}

static void bare_end(struct bare *b)
{
	bench_reap(b->pid);
	close(b->fd);
}

static double bare_cycle(struct bare *b)
{
	int fd = b->fd;
	double from_us = now_us();
	bench_reap(b->pid);
	bare_begin(b);
	bare_ready(b);
	double took_us = now_us() - from_us;
	close(fd);
	return took_us;
}

/* --- OTP --- */

struct otp { pid_t pid; int out; char line[256]; };

/* "ready PID": the external program that runs now. */
static pid_t otp_await(struct otp *o)
{
	for (;;) {
		size_t n = 0;
		int program;
		char c = 0;
		while (n < sizeof(o->line) - 1 && read_whole(o->out, &c, 1) && c != '\n')
			o->line[n++] = c;
		o->line[n] = '\0';
		if (sscanf(o->line, "ready %d", &program) == 1)
			return program;
		MUST(c == '\n'); /* something else that it has to say */
	}
}

static bool otp_begin(struct otp *o, const char *dir)
{
	char command[512];
	int out[2];
	snprintf(command, sizeof(command), "erlc -o %s %s >/dev/null 2>&1", dir, OTP_SOURCE);
	if (system(command) != 0)
		return false;
	MUST(pipe2(out, O_CLOEXEC) == 0);
	MUST((o->pid = bench_child()) >= 0);
	if (o->pid == 0) {
		MUST(dup2(out[1], STDOUT_FILENO) >= 0);
		execlp("erl", "erl", "-noshell", "-noinput", "-pa", dir, "-run", "otp_port", "main", NOOP_PROGRAM, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	o->out = out[0];
	return true;
}

/* --- one child --- */

static double node_cycle(struct bench_node *n, const char *name)
{
	char up[80];
	pid_t pid = node_child(n, name);
	MUST(pid > 0);
	snprintf(up, sizeof(up), "child=%s ", name);
	double from_us = now_us();
	MUST(kill(pid, SIGKILL) == 0);
	return node_log_await(n, "msg=up", up) - from_us;
}

static void one_child(unsigned kills)
{
	static double us[4][KILLS_MAX];
	static struct bench_node n;
	struct otp otp = { 0 };
	struct bare b;
	char children[512], dir[96];
	snprintf(children, sizeof(children), "  child \"stub\" { ready = lifeline  command = {\"%s\", \"-\"}  immediate = 1000  backoff_base = 0 }\n"
	         "  pool \"idle\" { mode = exec  command = {\"/bin/true\"}  immediate = 1000  backoff_base = 0 }\n", STUB_PROGRAM);
	bench_dir(dir, sizeof(dir));
	bool with_otp = otp_begin(&otp, dir);
	pid_t program = with_otp ? otp_await(&otp) : 0;
	node_start(&n, "queue \"idle\" { }\n", children, true);
	node_log_await(&n, "node is up", "");
	bare_begin(&b);
	bare_ready(&b);
	for (unsigned i = 0; i < kills; i++) {
		pass(0.03); /* deaths are not a storm */
		for (unsigned k = 0; k < 4; k++) {
			double from_us;
			switch ((k + i) % 4) {
			case 0:
				us[0][i] = bare_cycle(&b);
				break;
			case 1:
				us[1][i] = node_cycle(&n, "stub");
				break;
			case 2:
				us[2][i] = node_cycle(&n, "worker:idle/1");
				break;
			default:
				from_us = now_us();
				if (with_otp) {
					MUST(kill(program, SIGKILL) == 0);
					program = otp_await(&otp);
				}
				us[3][i] = now_us() - from_us;
			}
		}
	}
	bare_end(&b);
	node_stop(&n);
	if (with_otp)
		bench_reap(otp.pid);
	bench_dir_remove(dir);
	printf("one child: %u kills, interleaved\n", kills);
	row("kill -9, reap, fork, exec, first packet (bare)", us[0], kills);
	row("kill -9 of a stub to its successor's READY", us[1], kills);
	row("kill -9 of an idle worker to its successor's READY", us[2], kills);
	if (with_otp)
		row("OTP: kill -9 of a port's program to its successor's first bytes", us[3], kills);
	double bare_us = percentile(us[0], kills, 50);
	printf("of the p50s, to bare: stub %.2f, worker %.2f", percentile(us[1], kills, 50) / bare_us, percentile(us[2], kills, 50) / bare_us);
	if (with_otp)
		printf(", OTP %.2f", percentile(us[3], kills, 50) / bare_us);
	printf("\n\n");
}

/* --- many --- */

static char *many_children(unsigned n)
{
	char *text = malloc((size_t)n * 200 + 200);
	size_t at = 0;
	MUST(text != NULL);
	at += (size_t)sprintf(text + at, "  supervisor \"many\" { side_by_side = yes\n");
	for (unsigned i = 0; i < n; i++)
		at += (size_t)sprintf(text + at, "    child \"c%u\" { ready = lifeline  command = {\"%s\", \"-\"}  immediate = 1000  backoff_base = 0 }\n", i, STUB_PROGRAM);
	sprintf(text + at, "  }\n");
	return text;
}

static size_t count_in_log(const struct bench_node *n, const char *what)
{
	char path[128];
	char *line = NULL;
	size_t room = 0, found = 0;
	snprintf(path, sizeof(path), "%s/log", n->dir);
	FILE *f = fopen(path, "r");
	MUST(f != NULL);
	while (getline(&line, &room, f) > 0)
		found += strstr(line, what) != NULL;
	free(line);
	fclose(f);
	return found;
}

static unsigned stubs_of(const struct bench_node *n, pid_t *out, unsigned max)
{
	char path[64], exe[512], *text = NULL;
	size_t room = 0;
	unsigned found = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", n->pid, n->pid);
	FILE *f = fopen(path, "r");
	MUST(f && getline(&text, &room, f) > 0);
	fclose(f);
	for (char *at = text, *end; found < max; at = end) {
		long pid = strtol(at, &end, 10);
		if (end == at)
			break;
		snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
		ssize_t len = readlink(path, exe, sizeof(exe) - 1);
		if (len > 5 && memcmp(exe + len - 5, "/stub", 5) == 0)
			out[found++] = (pid_t)pid;
	}
	free(text);
	return found;
}

static double rss_mib(pid_t pid)
{
	char path[64], line[256];
	unsigned long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	MUST(f != NULL);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %lu", &kib);
	fclose(f);
	return (double)kib / 1024;
}

static double bare_starts(unsigned n)
{
	static struct bare all[CHILDREN_MAX];
	double from_us = now_us();
	for (unsigned i = 0; i < n; i++)
		bare_begin(&all[i]);
	for (unsigned i = 0; i < n; i++)
		bare_ready(&all[i]);
	double took_us = now_us() - from_us;
	for (unsigned i = 0; i < n; i++)
		bare_end(&all[i]);
	return took_us / 1e6;
}

static void many(unsigned n_children, unsigned deaths)
{
	static struct bench_node n;
	static pid_t pids[CHILDREN_MAX];
	char *children = many_children(n_children);
	double bare_s = bare_starts(n_children), from_us = now_us();
	node_start(&n, "", children, false);
	while (count_in_log(&n, "msg=up child=c") < n_children)
		pass(0.002);
	double took_s = (now_us() - from_us) / 1e6;
	printf("start of %u children: %.2f s, %.0f a second; a bare loop %.2f s, %.0f a second: ratio %.2f; trouped's RSS %.1f MiB, processor time %.2f s\n", n_children, took_s,
	       n_children / took_s, bare_s, n_children / bare_s, took_s / bare_s, rss_mib(n.pid), process_cpu_s(n.pid));

	unsigned alive = stubs_of(&n, pids, CHILDREN_MAX);
	MUST(alive >= deaths);
	double cpu_s = process_cpu_s(n.pid);
	size_t ups = count_in_log(&n, "msg=up child=c");
	from_us = now_us();
	for (unsigned i = 0; i < deaths; i++)
		MUST(kill(pids[i], SIGKILL) == 0);
	while (count_in_log(&n, "msg=up child=c") < ups + deaths)
		pass(0.005);
	printf("%u children killed at once: all READY again after %.2f s; processor time of trouped %.2f s\n", deaths, (now_us() - from_us) / 1e6, process_cpu_s(n.pid) - cpu_s);

	static double asked_us[KILLS_MAX];
	unsigned asks = 0;
	struct client *c = node_client(&n, NULL, NULL);
	for (unsigned storm = 0; storm < 10; storm++) {
		alive = stubs_of(&n, pids, CHILDREN_MAX);
		ups = count_in_log(&n, "msg=up child=c");
		for (unsigned i = 0; i < STORM; i++)
			MUST(kill(pids[alive - 1 - i], SIGKILL) == 0);
		for (unsigned i = 0; i < ASKS; i++) {
			struct arena *arena = NULL;
			Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
			Troupe__ChildOrder o = TROUPE__CHILD_ORDER__INIT;
			o.op = TROUPE__CHILD_ORDER__OP__COUNT;
			o.address = (char *)(uintptr_t)"many";
			env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ORDER;
			env.child_order = &o;
			from_us = now_us();
			node_ask(c, NULL, &env, &arena);
			asked_us[asks++] = now_us() - from_us;
			arena_unref(arena);
		}
		while (count_in_log(&n, "msg=up child=c") < ups + STORM)
			pass(0.005);
	}
	row("a management call while 100 children are started again", asked_us, asks);
	printf("%-66s %8.0f us\n", "the slowest of them", percentile(asked_us, asks, 100));
	client_close(c);
	node_stop(&n);
	free(children);
}

int main(int argc, char **argv)
{
	unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 300, children = argc > 2 ? (unsigned)atoi(argv[2]) : 1000, deaths = argc > 3 ? (unsigned)atoi(argv[3]) : 500;
	MUST(kills >= 1 && kills <= KILLS_MAX && children >= STORM && children <= CHILDREN_MAX && deaths <= children);
	one_child(kills);
	many(children, deaths);
	return 0;
}
