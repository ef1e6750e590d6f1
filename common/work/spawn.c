/* vfork: the child borrows our memory until it execs, so no page table is copied, and it can say
 * in a plain variable why exec failed; the kernel lets us go on only when it has exec'd or ended. In between it may only make system calls. */
#include "common/work/spawn.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* Where argv[0] may be, in order. */
struct paths { char *text[SPAWN_PATHS_MAX]; size_t n; };

static void paths_fini(struct paths *p)
{
	while (p->n)
		free(p->text[--p->n]);
}

static int paths_add(struct paths *p, const char *dir, size_t len, const char *name)
{
	if (p->n == SPAWN_PATHS_MAX)
		return 0;
	if (asprintf(&p->text[p->n], "%.*s%s%s", (int)len, dir, len ? "/" : "", name) < 0)
		return -ENOMEM;
	p->n++;
	return 0;
}

static int paths_find(struct paths *p, const struct spawn *s)
{
	const char *path = DEFAULT_PATH, *name = s->argv[0];
	if (strchr(name, '/'))
		return paths_add(p, "", 0, name);
	for (char *const *v = s->envp; *v; v++)
		if (strncmp(*v, "PATH=", 5) == 0)
			path = *v + 5;
	int r = 0;
	for (const char *at = path; !r; at++) {
		size_t len = strcspn(at, ":");
		if (len) /* an empty entry would mean the working directory: a trap */
			r = paths_add(p, at, len, name);
		at += len;
		if (!*at)
			break;
	}
	return r;
}

/* As execvp(3): goes on where a candidate is not there; one that may not be run is remembered. Never returns but with an errno. */
static int child_exec(const struct spawn *s, const struct paths *p)
{
	int denied = 0;
	for (size_t i = 0; i < p->n; i++) {
		execve(p->text[i], s->argv, s->envp);
		if (errno == EACCES)
			denied = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return errno;
	}
	return denied ? denied : ENOENT;
}

static int child_set_up(const struct spawn *s, pid_t parent)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	for (int i = 1; i <= SIGRTMAX; i++)
		sigaction(i, &dfl, NULL); /* what was ignored would stay so over exec */
	if (setsid() < 0)
		return errno;
	for (int i = 0; i < 3; i++)
		if (dup2(s->stdio[i], i) < 0)
			return errno;
	if (s->directory >= 0 && fchdir(s->directory) < 0)
		return errno;
	if (close_range(3, ~0u, 0) < 0)
		return errno;
	if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return errno;
	if (getppid() != parent) /* it died before the prctl */
		return ESRCH;
	sigset_t none;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_errno)
{
	_cleanup_(paths_fini) struct paths p = { .n = 0 };
	volatile int failure = 0;
	sigset_t all, before;
	pid_t parent = getpid();
	int r = paths_find(&p, s);
	if (r)
		return r;

	/* No handler of ours may run in the child on our memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = vfork();
	if (pid == 0) {
		failure = child_set_up(s, parent);
		if (!failure)
			failure = child_exec(s, &p);
		_exit(127);
	}
	r = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return r;
	if (failure) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		*ret_errno = failure;
		return ERROR_NOT_FOUND;
	}
	*ret_pid = pid;
	return 0;
}

bool spawn_errno_is_tasks(int error)
{
	return error == E2BIG;
}

bool spawn_errno_is_machines(int error)
{
	return error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE || error == EIO || error == ESRCH;
}
