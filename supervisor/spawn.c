#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/io/lifeline.h"

enum step { STEP_SIGNALS, STEP_SESSION, STEP_FD, STEP_LIMITS, STEP_DIRECTORY, STEP_USER, STEP_DEATH, STEP_EXEC };
static const char *const step_names[] = { "reset signals", "make a session", "set up descriptors", "set limits", "enter the directory", "take the user", "tie its life to ours", "exec" };
struct failure { int step, error; };

#define TAG_DIGITS 220 /* of a spare's number in $TROUPE_CHILD: room for the name that it will have */

/* What the child inherits of our environment. */
static const char *const inherited[] = { "PATH", "LANG", "LC_ALL", "TZ", "HOME", "USER", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
#ifdef TROUPE_FAULT_POINTS
	"TROUPE_FAULT", "TROUPE_FAULT_ONCE",
#endif
};

static char **make_environment(const struct launch *l, const struct spawn_where *where)
{
	size_t n_own = 0, n = 0;
	while (l->env && l->env[n_own])
		n_own++;
	char **env = calloc(ELEMENTS(inherited) + n_own + 6, sizeof *env);
	if (!env)
		return NULL;
	for (size_t i = 0; i < ELEMENTS(inherited); i++) {
		const char *v = getenv(inherited[i]);
		if (v && asprintf(&env[n], "%s=%s", inherited[i], v) > 0)
			n++;
	}
	if (!getenv("PATH"))
		env[n++] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (where->spare && asprintf(&env[n], "TROUPE_CHILD=spare:%s.%0*llu", where->name, TAG_DIGITS, (unsigned long long)where->incarnation) > 0)
		n++;
	if (!where->spare && asprintf(&env[n], "TROUPE_CHILD=%s.%llu", where->name, (unsigned long long)where->incarnation) > 0)
		n++;
	if (asprintf(&env[n], "TROUPE_NODE=%s", where->node) > 0)
		n++;
	if (where->notify_socket && asprintf(&env[n], "NOTIFY_SOCKET=%s", where->notify_socket) > 0)
		n++;
	if (where->notify_socket && l->watchdog_ms && asprintf(&env[n], "WATCHDOG_USEC=%llu", (unsigned long long)l->watchdog_ms * 1000) > 0)
		n++;
	for (size_t i = 0; i < n_own; i++)
		env[n++] = strdup(l->env[i]);
	return env;
}

static void environment_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}

static void environment_freep(char ***env) { environment_free(*env); }

struct plan {
	const struct launch *l;
	char **env;
	const char *directory;
	uid_t uid;
	gid_t gid, group;
	bool drop;
	int cgroup_fd, null_fd, output_fd, lifeline_fd, report_fd;
	pid_t parent;
};

static _Noreturn void give_up(int fd, enum step step)
{
	struct failure f = { step, errno };
	ssize_t ignored = write(fd, &f, sizeof f);
	(void)ignored;
	_exit(127);
}

/* In the child: async-signal-safe calls only. */
static _Noreturn void become(const struct plan *p)
{
	struct sigaction def = { .sa_handler = SIG_DFL };
	sigset_t none;
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &def, NULL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		give_up(p->report_fd, STEP_SIGNALS);
	if (setsid() < 0)
		give_up(p->report_fd, STEP_SESSION);
	/* Without its group it lives all the same: being a subreaper is the other proof. */
	if (p->cgroup_fd >= 0) {
		ssize_t ignored = write(p->cgroup_fd, "0", 1);
		(void)ignored;
	}

	/* All four sources are above 3 (see spawn), so no dup2 overwrites a later source. */
	if (dup2(p->null_fd, 0) < 0 || dup2(p->output_fd, 1) < 0 || dup2(p->output_fd, 2) < 0)
		give_up(p->report_fd, STEP_FD);
	if (p->lifeline_fd >= 0) {
		if (dup2(p->lifeline_fd, LIFELINE_FD) < 0)
			give_up(p->report_fd, STEP_FD);
	}
	if (syscall(SYS_close_range, p->lifeline_fd >= 0 ? 4u : 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0)
		give_up(p->report_fd, STEP_FD);

	for (unsigned i = 0; i < p->l->n_limits; i++) {
		struct rlimit r = { p->l->limits[i].value, p->l->limits[i].value };
		if (setrlimit(p->l->limits[i].resource, &r) != 0)
			give_up(p->report_fd, STEP_LIMITS);
	}
	if (p->l->has_nice && setpriority(PRIO_PROCESS, 0, p->l->nice) != 0)
		give_up(p->report_fd, STEP_LIMITS);
	/* A child is a better victim of the out-of-memory killer than its supervisor. */
	int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (oom >= 0) {
		ssize_t ignored = write(oom, "300", 3);
		(void)ignored;
		close(oom);
	}
	umask(027);
	gid_t groups[2] = { p->gid, p->group };
	if (p->drop && (setgroups(p->group == (gid_t)-1 ? 1 : 2, groups) != 0 || setgid(p->gid) != 0 || setuid(p->uid) != 0))
		give_up(p->report_fd, STEP_USER);
	if (p->drop && p->uid != 0 && setuid(0) == 0) {
		errno = EPERM;
		give_up(p->report_fd, STEP_USER);
	}
	if (chdir(p->directory) != 0)
		give_up(p->report_fd, STEP_DIRECTORY);
	/* The death signal is cleared by a change of credentials: last. The parent may already be gone. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		give_up(p->report_fd, STEP_DEATH);
	if (getppid() != p->parent)
		_exit(127);
	execve(p->l->argv[0], p->l->argv, p->env);
	give_up(p->report_fd, STEP_EXEC);
}

static int become_fn(void *plan)
{
	become(plan);
}

/* As posix_spawn does it: the child runs in our memory, on a stack of its own, and we stand still until it has become its program. A fork copies page tables, and then every
 * page that either of us writes to: four times as long at 20 MiB. It cannot change anything of ours: no handler of ours runs in it (all signals are blocked here, and at
 * default before they are not), and it writes to its stack, to errno and to the kernel. */
static pid_t start(const struct plan *p)
{
#ifdef __SANITIZE_ADDRESS__
	pid_t pid = fork(); /* the sanitizer keeps books on stacks */
	if (pid == 0)
		become(p);
	return pid;
#else
	static _Alignas(64) char stack[64 * 1024];
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = clone(become_fn, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)(uintptr_t)p);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
#endif
}

/* A descriptor above the ones that the child's fixed numbers overwrite. */
static int lift(int fd)
{
	if (fd < 0 || fd > LIFELINE_FD)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, LIFELINE_FD + 1);
	close(fd);
	return high;
}

static int fail_errno(struct error *e, const char *what, int error)
{
	int code = error == ENOENT ? ERROR_NOT_FOUND : error == EACCES || error == EPERM ? ERROR_NOT_ALLOWED : ERROR_STORE;
	error_set(e, code, "%s: %s (%s)", what, strerrorname_np(error), strerror(error));
	return code;
}

int spawn(const struct launch *l, const struct spawn_where *where, struct spawned *ret, struct error *e)
{
	_cleanup_(environment_freep) char **env = make_environment(l, where);
	if (!env)
		return -ENOMEM;
	int life[2] = { -1, -1 };
	_cleanup_(closep) int null_fd = lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
	_cleanup_(closep) int output_read = -1, output_write = -1, report_read = -1, report_write = -1;
	int pair[2];
	if (null_fd < 0 || pipe2(pair, O_CLOEXEC) != 0)
		return fail_errno(e, "descriptors of a child", errno);
	output_read = lift(pair[0]);
	output_write = lift(pair[1]);
	if (pipe2(pair, O_CLOEXEC) != 0)
		return fail_errno(e, "descriptors of a child", errno);
	report_read = lift(pair[0]);
	report_write = lift(pair[1]);
	if (output_read < 0 || output_write < 0 || report_read < 0 || report_write < 0)
		return fail_errno(e, "descriptors of a child", EMFILE);
	if (fcntl(output_read, F_SETFL, O_NONBLOCK) != 0)
		return fail_errno(e, "descriptors of a child", errno);
	if (l->lifeline) {
		int r = lifeline_pair(life);
		if (r)
			return fail_errno(e, "lifeline", -r);
		life[0] = lift(life[0]);
		life[1] = lift(life[1]);
	}

	struct plan plan = { .l = l, .env = env, .directory = l->directory ? l->directory : where->directory, .null_fd = null_fd, .output_fd = output_write,
		.lifeline_fd = life[1], .report_fd = report_write, .parent = getpid(),
		.drop = where->uid != (uid_t)-1, .uid = where->uid, .gid = where->gid, .group = where->group, .cgroup_fd = where->cgroup };
	pid_t pid = start(&plan);
	int fork_errno = errno;
	if (life[1] >= 0)
		close(life[1]);
	if (pid < 0) {
		if (life[0] >= 0)
			close(life[0]);
		return fail_errno(e, "fork", fork_errno);
	}
	close(steal_fd(&report_write));
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* End of file says that exec has happened: the pipe is close-on-exec. */
	struct failure f;
	ssize_t n;
	do
		n = read(report_read, &f, sizeof f);
	while (n < 0 && errno == EINTR);
	if (n == sizeof f || pidfd < 0) {
		if (n != sizeof f)
			f = (struct failure){ STEP_EXEC, EMFILE };
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (pidfd >= 0)
			close(pidfd);
		if (life[0] >= 0)
			close(life[0]);
		char what[PATH_MAX + 32];
		snprintf(what, sizeof what, "%s %s", step_names[f.step], f.step == STEP_DIRECTORY ? plan.directory : f.step == STEP_EXEC ? l->argv[0] : where->name);
		return fail_errno(e, what, f.error);
	}
	*ret = (struct spawned){ pid, pidfd, life[0], steal_fd(&output_read) };
	return 0;
}
