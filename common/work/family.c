#include "common/work/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define MEMBERS_MAX 65536 /* seen in one pass; the others are found by the next */

struct member { pid_t pid, parent; };
struct members { struct member *all; size_t n, room; };

static bool scan_whole_proc;

void family_scan_whole_proc(bool on)
{
	scan_whole_proc = on;
}

int family_adopt(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

enum family_state family_reap(struct family_end *ret)
{
	pid_t pid;
	do
		pid = wait4(-1, &ret->status, WNOHANG | __WALL, &ret->usage);
	while (pid < 0 && errno == EINTR);
	ret->pid = pid;
	return pid > 0 ? FAMILY_ENDED : pid == 0 ? FAMILY_ALIVE : FAMILY_EMPTY;
}

/* --- who is there --- */

static void members_add(struct members *m, pid_t pid, pid_t parent)
{
	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct member *grown = room > MEMBERS_MAX ? NULL : realloc(m->all, room * sizeof(*grown));
		if (!grown)
			return;
		m->all = grown;
		m->room = room;
	}
	m->all[m->n++] = (struct member){ pid, parent };
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* The children of one thread of parent. false: no such file. */
static bool add_children_of_thread(struct members *m, pid_t parent, const char *tid)
{
	char path[96];
	int child;
	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)parent, tid);
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (fscanf(f, "%d", &child) == 1)
		members_add(m, child, parent);
	return true;
}

/* false: this kernel does not say. */
static bool add_children(struct members *m, pid_t parent)
{
	char path[48];
	bool known = false;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
	_cleanup_(closedirp) DIR *d = opendir(path);
	if (!d)
		return true; /* it is gone */
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' && add_children_of_thread(m, parent, e->d_name))
			known = true;
	return known;
}

/* Fields 4 and 5 of /proc/PID/stat. The name in field 2 may hold anything, also brackets: what counts is behind the last one. */
static bool read_stat(pid_t pid, pid_t *ret_parent, pid_t *ret_group)
{
	char path[48], text[512];
	int parent, group;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %d %d", &parent, &group) != 2)
		return false;
	*ret_parent = parent;
	*ret_group = group;
	return true;
}

/* By the parents of all processes: a member's children stand behind it in the end, however /proc was ordered. */
static void add_by_parents(struct members *m)
{
	struct members all = { 0 };
	_cleanup_(closedirp) DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));) {
		pid_t pid = (pid_t)atoi(e->d_name), parent, group;
		if (pid > 0 && read_stat(pid, &parent, &group))
			members_add(&all, pid, parent);
	}
	size_t done = 0;
	for (pid_t parent = getpid();; parent = m->all[done++].pid) {
		for (size_t i = 0; i < all.n; i++)
			if (all.all[i].parent == parent)
				members_add(m, all.all[i].pid, parent);
		if (done == m->n)
			break;
	}
	free(all.all);
}

/* Parents before their children. */
static void members_find(struct members *m)
{
	m->n = 0;
	if (scan_whole_proc || !add_children(m, getpid())) {
		add_by_parents(m);
		return;
	}
	for (size_t i = 0; i < m->n; i++)
		add_children(m, m->all[i].pid);
}

/* --- signals --- */

/* A child of ours keeps its number until we reap it. The number of a deeper one may have become somebody else's since we read it, so it is
 * pinned by a pidfd and looked at again before it is signalled. */
static void member_signal(const struct member *m, int signo)
{
	pid_t parent, group;
	if (m->parent == getpid()) {
		kill(m->pid, signo);
		return;
	}
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	if (fd >= 0 && read_stat(m->pid, &parent, &group) && (parent == m->parent || parent == getpid()))
		syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
}

void family_signal(pid_t leader, int signo)
{
	struct members m = { 0 };
	members_find(&m);
	if (leader > 0)
		kill(-leader, signo);
	for (size_t i = 0; i < m.n; i++) {
		pid_t parent, group;
		if (leader <= 0 || !read_stat(m.all[i].pid, &parent, &group) || group != leader)
			member_signal(&m.all[i], signo);
	}
	free(m.all);
}

static bool is_dead(pid_t pid)
{
	siginfo_t si = { 0 };
	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && si.si_pid == pid;
}

pid_t family_kill(void)
{
	struct members m = { 0 };
	pid_t alive = 0;
	members_find(&m);
	for (size_t i = 0; i < m.n; i++)
		member_signal(&m.all[i], SIGKILL);
	for (size_t i = 0; i < m.n && !alive; i++)
		if (m.all[i].parent == getpid() && !is_dead(m.all[i].pid))
			alive = m.all[i].pid;
	free(m.all);
	return alive;
}
