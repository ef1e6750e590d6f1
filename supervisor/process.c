/* The life and death of a child's process: spawned, spoken to, reaped, and its family proven empty. */
#include "supervisor/node.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "supervisor/family.h"

#define SWEEP_AGAIN_MS 20
#define TURN_US 1000u       /* of deaths in one turn of the loop; one at least */

struct process *process_of(struct node *n, const struct child *c)
{
	struct process *p = process_numbered(n, c->incarnation);
	return p && p->child == c && p->pid > 0 ? p : NULL;
}

struct process *process_numbered(struct node *n, uint64_t incarnation)
{
	if (incarnation == STARTER_INCARNATION)
		return n->starter;
	struct process *p = n->by_incarnation[incarnation % PROCESS_BUCKETS];
	while (p && p->incarnation != incarnation)
		p = p->next_by_incarnation;
	return p;
}

void process_send(struct process *p, const Troupe__Control *c)
{
	if (p->life.fd < 0 || p->pid <= 0)
		return;
	int r = lifeline_send(&p->life, c, -1);
	if (r && r != -EPIPE) /* whose end is gone is dying: its pidfd tells */
		log_warn("lifeline does not take a packet", LOG_S("child", p->child->name), LOG_S("why", r > 0 ? error_name(r) : strerror(-r)));
	if (p->life_source.loop)
		loop_modify(&p->life_source, EPOLLIN | (lifeline_wants_write(&p->life) ? EPOLLOUT : 0));
}

void process_signal(struct process *p, int signal)
{
	if (p->pid > 0)
		syscall(SYS_pidfd_send_signal, p->pidfd.fd, signal, NULL, 0);
}

void process_socket(const struct node *n, const struct child *c, char *out, size_t size)
{
	snprintf(out, size, "%s/a/%u.%" PRIu64, n->config->run_dir, c->number, c->incarnation);
}

Troupe__ActorState process_state(const struct child *c)
{
	if (c->pending && !child_is_alive(c))
		return TROUPE__ACTOR_STATE__ACTOR_PENDING;
	switch (c->state) {
	case CHILD_STOPPED: return TROUPE__ACTOR_STATE__ACTOR_STOPPED;
	case CHILD_WAITING: return TROUPE__ACTOR_STATE__ACTOR_BACKOFF;
	case CHILD_STARTING: return TROUPE__ACTOR_STATE__ACTOR_STARTING;
	case CHILD_UP: return TROUPE__ACTOR_STATE__ACTOR_UP;
	case CHILD_STOPPING: case CHILD_DYING: return TROUPE__ACTOR_STATE__ACTOR_STOPPING;
	case CHILD_DONE: return TROUPE__ACTOR_STATE__ACTOR_DONE;
	case CHILD_FAILED: return TROUPE__ACTOR_STATE__ACTOR_FAILED;
	}
	return TROUPE__ACTOR_STATE__ACTOR_UNKNOWN;
}

static void source_close(struct loop_source *s)
{
	loop_remove(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void process_close(struct process *p)
{
	output_read(p);
	output_flush(p);
	source_close(&p->output);
	source_close(&p->heard);
	loop_remove(&p->life_source);
	lifeline_fini(&p->life);
	p->life.fd = -1;
	source_close(&p->pidfd);
}

/* --- the tables --- */

void process_know_pid(struct process *p)
{
	struct process **pid = &p->node->by_pid[(unsigned)p->pid % PROCESS_BUCKETS];
	p->next_by_pid = *pid;
	*pid = p;
}

void process_add(struct process *p)
{
	struct node *n = p->node;
	struct process **in = &n->by_incarnation[p->incarnation % PROCESS_BUCKETS];
	process_know_pid(p);
	p->next = n->processes;
	if (p->next)
		p->next->previous = p;
	n->processes = p;
	p->next_by_incarnation = *in;
	*in = p;
}

void process_forget_pid(struct process *p)
{
	for (struct process **at = &p->node->by_pid[(unsigned)p->pid % PROCESS_BUCKETS]; *at; at = &(*at)->next_by_pid)
		if (*at == p) {
			*at = p->next_by_pid;
			return;
		}
}

static void process_drop(struct process *p)
{
	struct node *n = p->node;
	if (p->pid > 0)
		process_forget_pid(p);
	for (struct process **at = &n->by_incarnation[p->incarnation % PROCESS_BUCKETS]; *at; at = &(*at)->next_by_incarnation)
		if (*at == p) {
			*at = p->next_by_incarnation;
			break;
		}
	*(p->previous ? &p->previous->next : &n->processes) = p->next;
	if (p->next)
		p->next->previous = p->previous;
}

void process_free(struct process *p)
{
	heard_watch(p, 0);
	process_drop(p);
	process_close(p);
	status_unmap(p->cell);
	free(p->tail);
	free(p->line);
	free(p);
}

/* --- the family --- */

static bool pid_is_known(pid_t pid, void *ctx)
{
	const struct process *p = ((struct node *)ctx)->by_pid[(unsigned)pid % PROCESS_BUCKETS];
	while (p && p->pid != pid)
		p = p->next_by_pid;
	return p != NULL;
}

/* Two proofs: nobody is in its group, and (swept: by the caller, who knows) nobody who was re-parented to us is unknown. */
static bool family_gone(struct process *p, bool swept)
{
	struct cgroup *c = &p->node->cgroup;
	if (!cgroup_empty(c, p->group)) {
		cgroup_kill(c, p->group);
		if (!cgroup_empty(c, p->group))
			return false;
	}
	if (swept)
		cgroup_remove(c, p->group);
	return swept;
}

/* Of those whose death has been told: the others are told in a later turn, as pending, and are still in line for it. */
static struct process *next_pending(struct node *n)
{
	for (struct process *p = n->processes; p; p = p->next)
		if (p->pending && p->ended)
			return p;
	return NULL;
}

void family_look(struct node *n, uint64_t now_ms)
{
	if (now_ms < n->sweep_at_ms)
		return;
	bool some = family_sweep(pid_is_known, n, NULL) > 0;
	for (struct process *p = n->processes; p; p = p->next)
		some |= p->pending && !family_gone(p, !some);
	n->sweep_at_ms = some ? now_ms + SWEEP_AGAIN_MS : TIME_NEVER;
	for (struct process *p; !some && (p = next_pending(n));) {
		struct event e = { .kind = EVENT_PROVEN, .now_ms = now_ms, .child = p->child, .incarnation = p->incarnation };
		p->pending = false;
		obituary_prove(n, p);
		process_free(p);
		if (e.child)
			step(n, &e);
	}
}

void family_hint(struct node *n)
{
	if (n->sweep_at_ms == TIME_NEVER) {
		family_sweep(pid_is_known, n, NULL);
		return;
	}
	n->sweep_at_ms = 0; /* perhaps it was the last of those that are waited for */
	family_look(n, loop_now_ms(n->loop));
}

/* --- death --- */

static const struct launch *launch_of(const struct process *p)
{
	return &((const struct config_node *)p->child->user)->launch;
}

static bool has_code(const uint8_t codes[32], int status)
{
	return codes[(status & 255) / 8] >> (status & 7) & 1;
}

static enum reason reason_of(const struct process *p, const siginfo_t *si)
{
	if (p->start_failed[0])
		return REASON_START_FAILED;
	if (si->si_code != CLD_EXITED && (si->si_status == SIGXCPU || si->si_status == SIGXFSZ))
		return REASON_RLIMIT;
	if (si->si_code == CLD_DUMPED)
		return REASON_CORE;
	if (si->si_code != CLD_EXITED)
		return si->si_status == SIGKILL && p->oom ? REASON_OOM : REASON_SIGNAL;
	if (p->said_bye && p->bye == TROUPE__REASON__REASON_SHUTDOWN && si->si_status == 0)
		return REASON_SHUTDOWN;
	if (p->said_bye && p->bye == TROUPE__REASON__REASON_GAVE_UP)
		return REASON_GAVE_UP;
	if (si->si_status != 0 && has_code(launch_of(p)->clean_codes, si->si_status))
		return REASON_SHUTDOWN;
	return si->si_status == 0 ? REASON_NORMAL : REASON_EXIT;
}

static uint8_t fatal_tries(const struct process *p)
{
	return p->end.si_code == CLD_EXITED && (has_code(launch_of(p)->fatal_codes, p->end.si_status) || p->start_fatal);
}

static void death_tell(struct process *p)
{
	struct node *n = p->node;
	char path[PATH_MAX], detail[300];
	process_socket(n, p->child, path, sizeof path);
	unlink(path);
	struct event e = { .kind = EVENT_ENDED, .now_ms = loop_now_ms(n->loop), .child = p->child, .incarnation = p->incarnation, .number = p->end.si_status,
		           .pending = p->pending, .reason = reason_of(p, &p->end), .detail = detail, .fatal_tries = fatal_tries(p) };
	if (p->start_failed[0])
		snprintf(detail, sizeof detail, "%s", p->start_failed);
	else if (p->hung[0])
		snprintf(detail, sizeof detail, "%s; signal %d", p->hung, p->end.si_status);
	else
		snprintf(detail, sizeof detail, "%s %d", p->end.si_code == CLD_EXITED ? "exit status" : "signal", p->end.si_status);
	p->ordered = p->ordered || p->child->state == CHILD_STOPPING || tree_is_stopping(n->tree);
	process_close(p);
	p->ended = true;
	suspicion_note(n, p);
	struct obituary o = *obituary_write(n, p, (Troupe__Reason)e.reason, p->end.si_status);
	monitor_fire(n, &o);
	monitor_drop(n, p->incarnation, NULL);
	if (p->pending) {
		log_warn("family is not empty yet", LOG_S("child", p->child->name), LOG_U("pid", p->pending_pid));
		n->sweep_at_ms = e.now_ms + SWEEP_AGAIN_MS;
	}
	bool gone = !p->pending;
	char **names = n->config->has_links ? strings_copy(((const struct config_node *)p->child->user)->links) : NULL; /* they may go with the record */
	uint64_t origin = p->link_origin ? p->link_origin : tree_incarnation_next(n->tree);
	n->end_reason = e.reason;
	step(n, &e);
	links_fire(n, &o, names, n->end_reason, origin);
	strings_free(names);
	if (gone)
		process_free(p);
}

/* One look for all that died in this turn, after the last of them was reaped: by then everything that any of them has left is ours. */
static void families_look(struct node *n, struct process *dead)
{
	pid_t left = 0;
	fault_point("down.before_sweep");
	for (struct process *p = dead; p; p = p->next_dead) {
		p->oom = cgroup_oom(&n->cgroup, p->group);
		if (!cgroup_empty(&n->cgroup, p->group))
			cgroup_kill(&n->cgroup, p->group);
	}
	bool swept = family_sweep(pid_is_known, n, &left) == 0;
	for (struct process *p = dead; p; p = p->next_dead) {
		p->pending = !family_gone(p, swept);
		p->pending_pid = left;
	}
	fault_point("down.after_sweep");
}

void deaths_conclude(struct node *n)
{
	if (n->dead) {
		families_look(n, n->dead);
		if (!n->mourned)
			n->mourned_tail = &n->mourned;
		*n->mourned_tail = n->dead;
		n->mourned_tail = n->dead_tail;
		n->dead = NULL;
	}
	/* The tree is told of as many as fit into a turn: who asks does not wait for hundreds. */
	do {
		struct process *p = n->mourned;
		if (!p)
			return;
		n->mourned = p->next_dead;
		death_tell(p);
	} while (clock_mono_us() - n->turn_began_us < TURN_US);
}

void process_died(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, pidfd);
	struct node *n = p->node;
	/* The system call, unlike the library's function, also gives the usage. */
	if (syscall(SYS_waitid, P_PIDFD, s->fd, &p->end, WEXITED | WNOHANG, &p->usage) != 0 || p->end.si_pid == 0)
		return;
	control_drain(p); /* its last words came before its end */
	heard_ready(&p->heard, 0);
	loop_remove(&p->pidfd);
	process_forget_pid(p);
	p->died_pid = p->pid;
	p->pid = 0;
	p->next_dead = NULL;
	if (!n->dead)
		n->dead_tail = &n->dead;
	*n->dead_tail = p;
	n->dead_tail = &p->next_dead;
}

/* --- what it is told --- */

/* "worker:pool/1" keeps its state under actors/worker/pool/1. */
char *process_state_dir(const struct node *n, const char *name, struct arena *a)
{
	char *path = arena_printf(a, "%s/actors/%s", n->config->state_dir, name);
	char *colon = path ? strchr(path + strlen(n->config->state_dir), ':') : NULL;
	if (colon)
		*colon = '/';
	return path;
}

void process_setup(const struct node *n, const struct process *p, struct arena *a, Troupe__Setup *ret)
{
	char socket[PATH_MAX];
	troupe__setup__init(ret);
	config_setup(n->config, p->child->user, ret);
	process_socket(n, p->child, socket, sizeof socket);
	ret->incarnation = p->incarnation;
	ret->number = p->child->number;
	ret->node = (char *)n->id;
	ret->state_dir = process_state_dir(n, p->child->name, a);
	ret->socket = arena_string(a, socket);
}
