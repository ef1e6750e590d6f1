#include "supervisor/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/stderr_log.h"

#define FIRST_DELAY_MS 100u
#define DELAY_MAX_MS 30000u
#define STEADY_MS 60000u       /* up as long: the next delay is none again */

struct guard {
	const struct guard_options *o;
	char program[PATH_MAX];
	int report;               /* to the process that called us; -1 once told */
	int signals;
	pid_t child;
	int ready;                /* read end of the child's --ready-fd; -1 */
	bool up, stopping;
	uint64_t started_at_ms, delay_ms;
	struct stderr_log log;
};

static const int forwarded[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 };

static void title(const struct guard_options *o)
{
	size_t room = 0;
	for (int i = 0; i < o->argc; i++)
		if (o->argv[i] == o->argv[0] + room)
			room += strlen(o->argv[i]) + 1;
	if (room > 1) {
		memset(o->argv[0], 0, room);
		snprintf(o->argv[0], room, "trouped: guard");
	}
	prctl(PR_SET_NAME, "trouped: guard");
}

static void report(struct guard *g, int code)
{
	unsigned char byte = (unsigned char)code;
	if (g->report < 0)
		return;
	ssize_t ignored = write(g->report, &byte, 1);
	(void)ignored;
	close(g->report);
	g->report = -1;
}

static void write_pid_file(const struct guard *g)
{
	if (!g->o->pid_file)
		return;
	int fd = open(g->o->pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_error("pid file cannot be written", LOG_S("path", g->o->pid_file), LOG_S("why", strerror(errno)));
	if (fd >= 0)
		close(fd);
}

static _Noreturn void leave(struct guard *g, int code)
{
	if (g->o->pid_file && g->up)
		unlink(g->o->pid_file);
	report(g, code);
	_exit(code);
}

/* --- the node --- */

static void child_exec(const struct guard *g, int ready)
{
	char fd[32];
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	fcntl(ready, F_SETFD, 0);
	snprintf(fd, sizeof fd, "--ready-fd=%d", ready);
	const char *argv[] = { "trouped", "-c", g->o->config, fd, g->o->verbose ? "-v" : NULL, NULL };
	execv(g->program, (char **)(uintptr_t)argv);
	_exit(71);
}

static bool start(struct guard *g)
{
	int pipe_fds[2];
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return false;
	g->child = fork();
	if (g->child == 0)
		child_exec(g, pipe_fds[1]);
	close(pipe_fds[1]);
	if (g->child < 0) {
		close(pipe_fds[0]);
		return false;
	}
	g->ready = pipe_fds[0];
	g->started_at_ms = clock_mono_ms();
	return true;
}

static void on_ready(struct guard *g)
{
	char c;
	bool ready = read(g->ready, &c, 1) == 1;
	close(g->ready);
	g->ready = -1;
	if (!ready)
		return; /* its end follows */
	if (!g->up)
		write_pid_file(g);
	g->up = true;
	report(g, 0);
}

/* Everything that the dead node left is our child now, or becomes it when its parent dies. */
static void sweep(void)
{
	char path[64], text[4096];
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	for (unsigned round = 0; round < 1000; round++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = 0;
		for (char *at = text, *end; *at; at = end) {
			long pid = strtol(at, &end, 10);
			if (end == at)
				break;
			if (*end == ' ' || *end == 0) /* a number that was cut off comes again */
				kill((pid_t)pid, SIGKILL);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		poll(NULL, 0, 5);
	}
}

/* Of a node that has been up. A configuration that is wrong meanwhile (78) is waited out: somebody is editing it. */
static bool is_final(int code)
{
	return code == 0 || code == 64 || code == 69 || code == 77;
}

/* The node has ended: for good, or it is started again after a while. */
static void on_end(struct guard *g, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 70;
	g->child = 0;
	sweep();
	if (g->ready >= 0)
		on_ready(g); /* what it said before its end */
	if (!g->up || g->stopping || (WIFEXITED(status) && is_final(code))) {
		if (code)
			log_error("the node has ended and is not started again", LOG_I("status", code));
		leave(g, code);
	}
	if (clock_mono_ms() - g->started_at_ms >= STEADY_MS)
		g->delay_ms = 0;
	log_warn("trouped died, it is started again", LOG_S("how", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit"),
	         LOG_I("number", WIFSIGNALED(status) ? WTERMSIG(status) : code), LOG_U("delay_ms", g->delay_ms));
}

static void reap(struct guard *g)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (pid == g->child)
			on_end(g, status);
}

/* --- the loop --- */

static void on_signal(struct guard *g)
{
	struct signalfd_siginfo si;
	if (read(g->signals, &si, sizeof si) != sizeof si)
		return;
	if (si.ssi_signo == SIGCHLD) {
		reap(g);
		return;
	}
	if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT || si.ssi_signo == SIGQUIT) {
		g->stopping = true;
		if (!g->child)
			leave(g, 0);
	}
	if (si.ssi_signo == SIGUSR1)
		stderr_log_reopen(&g->log);
	if (g->child > 0)
		kill(g->child, (int)si.ssi_signo);
}

static _Noreturn void run(struct guard *g)
{
	uint64_t again_at_ms = 0;
	for (;;) {
		uint64_t now_ms = clock_mono_ms();
		if (!g->child && !again_at_ms) { /* it died: the first time at once */
			again_at_ms = now_ms + g->delay_ms;
			g->delay_ms = g->delay_ms ? g->delay_ms * 2 : FIRST_DELAY_MS;
			if (g->delay_ms > DELAY_MAX_MS)
				g->delay_ms = DELAY_MAX_MS;
		}
		if (!g->child && now_ms >= again_at_ms) {
			again_at_ms = 0;
			if (!start(g) && !g->up)
				leave(g, 71);
		}
		struct pollfd p[2] = { { .fd = g->signals, .events = POLLIN }, { .fd = g->ready, .events = POLLIN } };
		int wait_ms = g->child ? -1 : again_at_ms > now_ms ? (int)(again_at_ms - now_ms) : 0;
		if (poll(p, 2, wait_ms) < 0 && errno != EINTR)
			leave(g, 71);
		if (p[1].revents)
			on_ready(g);
		if (p[0].revents)
			on_signal(g);
	}
}

/* In the guard's process. The first start needs no delay. */
static _Noreturn void guard_main(const struct guard_options *o, int report_fd)
{
	struct guard g = { .o = o, .report = report_fd, .ready = -1 };
	sigset_t set;
	setsid();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	ssize_t n = readlink("/proc/self/exe", g.program, sizeof g.program - 1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ELEMENTS(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	g.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (n <= 0 || g.signals < 0)
		leave(&g, 71);
	stderr_log_find(&g.log);
	log_setup("guard", LOG_LOGFMT, LOG_INFO, STDERR_FILENO);
	title(o);
	run(&g);
}

int guard_run(const struct guard_options *o)
{
	int fds[2];
	unsigned char code;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return 71;
	pid_t pid = fork();
	if (pid < 0)
		return 71;
	if (pid == 0) {
		close(fds[0]);
		guard_main(o, fds[1]);
	}
	close(fds[1]);
	ssize_t n;
	do
		n = read(fds[0], &code, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? code : 71;
}
