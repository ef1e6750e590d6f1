/* Warm spares: a process of each pool that was executed ahead of time and waits, its threads running, for the first packet that says who it is to be. A worker that dies is
 * followed by the spare of its pool within a message's time; a new spare is made when nothing else is to do. The tree knows nothing of this: it wanted a start, and got one.
 *
 * A spare has no name, no state and no task. It is in its own group, runs as the pool's user with its limits, and ends with its lifeline like everybody. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/node.h"
#include "supervisor/privilege.h"
#include "supervisor/spawn.h"

#define SPARE_GROUPS (1ull << 63)   /* their groups' numbers: no incarnation has them */
#define QUIET_MS 5u                 /* nobody was born for so long */
#define AGAIN_MS 5000u              /* one has died unused */

static void spare_free(struct process *p)
{
	struct node *n = p->node;
	for (struct process **at = &n->spares; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	p->next = NULL;
	process_forget_pid(p);
	process_close(p);
	cgroup_kill(&n->cgroup, p->group);
	cgroup_remove(&n->cgroup, p->group);
	free(p);
}

static void spare_died(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, pidfd);
	struct node *n = p->node;
	siginfo_t si = { 0 };
	if (syscall(SYS_waitid, P_PIDFD, s->fd, &si, WEXITED | WNOHANG, NULL) != 0 || si.si_pid == 0)
		return;
	if (!n->stopping)
		log_warn("a spare has ended", LOG_S("pool", p->spare_of->name), LOG_I("status", si.si_status));
	n->spares_at_ms = loop_now_ms(n->loop) + AGAIN_MS;
	spare_free(p);
}

/* What it says before it is somebody is nobody's: into the log. */
static void spare_output(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, output);
	char text[1024];
	ssize_t r = read(s->fd, text, sizeof text - 1);
	if (r <= 0) {
		if (r == 0 || errno != EAGAIN)
			loop_remove(s);
		return;
	}
	text[r] = 0;
	text[strcspn(text, "\n")] = 0;
	log_info("output", LOG_S("spare", p->spare_of->name), LOG_S("line", text));
}

/* Which file the program is now: one that was replaced since a spare was made is not what the next worker shall run. */
static uint64_t program_mark(const struct launch *l)
{
	struct stat st;
	if (stat(l->argv[0], &st) != 0)
		return 0;
	return (uint64_t)st.st_ino * 31 + (uint64_t)st.st_mtim.tv_sec * 1000000007 + (uint64_t)st.st_mtim.tv_nsec;
}

static void spare_make(struct node *n, const struct config_node *pool)
{
	const struct launch *l = &pool->first->launch;
	struct spawn_where where = { .node = n->id, .name = pool->pool->pool, .incarnation = n->spares_made + 1, .spare = true, .directory = n->config->state_dir };
	struct spawned s;
	struct error why = { 0 };
	struct process *p = calloc(1, sizeof *p);
	if (!p)
		return;
	uint64_t group = SPARE_GROUPS | ++n->spares_made, mark = program_mark(l);
	privilege_of(n->config, l, &where.uid, &where.gid, &where.group);
	_cleanup_(closep) int cgroup = cgroup_make(&n->cgroup, group);
	where.cgroup = cgroup;
	if (spawn(l, &where, &s, &why)) {
		log_warn("a spare cannot be made", LOG_S("pool", pool->name), LOG_S("why", why.text));
		n->spares_at_ms = loop_now_ms(n->loop) + AGAIN_MS;
		cgroup_remove(&n->cgroup, group);
		free(p);
		return;
	}
	*p = (struct process){ .node = n, .group = group, .pid = s.pid, .spare_of = pool, .program_mark = mark, .next = n->spares };
	p->uid = where.uid == (uid_t)-1 ? geteuid() : where.uid;
	n->spares = p;
	lifeline_init(&p->life, s.lifeline);
	p->heard.fd = -1;
	loop_add(n->loop, &p->pidfd, s.pidfd, EPOLLIN, spare_died);
	loop_add(n->loop, &p->output, s.output, EPOLLIN, spare_output);
	process_know_pid(p);
}

/* Its process becomes the child's: the caller tells it who it is. NULL: there is none. */
struct process *spare_take(struct node *n, struct child *c)
{
	const struct config_node *k = c->user;
	struct process *p = n->spares;
	while (p && p->spare_of != k->above)
		p = p->next;
	n->spares_at_ms = loop_now_ms(n->loop) + QUIET_MS;
	if (!p)
		return NULL;
	if (p->program_mark != program_mark(&k->launch)) {
		spares_end(n);
		return NULL;
	}
	for (struct process **at = &n->spares; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	process_forget_pid(p);
	int pidfd = p->pidfd.fd, output = p->output.fd;
	loop_remove(&p->pidfd);
	loop_remove(&p->output);
	p->next = NULL;
	p->spare_of = NULL;
	p->child = c;
	p->incarnation = c->incarnation;
	p->started_wall_ms = clock_wall_ms();
	process_add(p);
	loop_add(n->loop, &p->pidfd, pidfd, EPOLLIN, process_died);
	loop_add(n->loop, &p->output, output, EPOLLIN, output_ready);
	loop_add(n->loop, &p->life_source, p->life.fd, EPOLLIN, control_ready);
	return p;
}

unsigned spares_of(const struct node *n, const struct config_node *pool)
{
	unsigned k = 0;
	for (const struct process *p = n->spares; p; p = p->next)
		k += p->spare_of == pool;
	return k;
}

/* A pool that has fewer than it wants, and somebody running for whom it could be needed. */
static const struct config_node *pool_in_want(const struct node *n)
{
	for (const struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c)) {
		const struct config_node *k = c->user;
		if (k && k->kind == CONFIG_POOL && c->state == CHILD_UP && k->first && k->spares > spares_of(n, k))
			return k;
	}
	return NULL;
}

uint64_t spares_look(struct node *n, uint64_t now_ms)
{
	if (!n->up || n->stopping || now_ms < n->spares_at_ms)
		return n->up && !n->stopping ? n->spares_at_ms : TIME_NEVER;
	const struct config_node *pool = births_wait(n) ? NULL : pool_in_want(n);
	n->spares_at_ms = TIME_NEVER; /* until one is taken, or ends */
	if (pool) {
		n->spares_at_ms = now_ms + QUIET_MS;
		spare_make(n, pool);
	}
	return n->spares_at_ms;
}

/* All go: the configuration that they were made from, or the node, is over. */
void spares_end(struct node *n)
{
	while (n->spares) {
		struct process *p = n->spares;
		pid_t pid = p->pid;
		process_signal(p, SIGKILL);
		spare_free(p);
		waitpid(pid, NULL, 0); /* it was killed: this is short */
	}
	n->spares_at_ms = 0;
}
