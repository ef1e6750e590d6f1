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
#include "supervisor/privilege.h"
#include "supervisor/spawn.h"

#define SWEEP_AGAIN_MS 20
#define EXEC_TRIES 3        /* of a program that is not there */

struct process *process_of(struct node *n, const struct child *c)
{
	for (struct process *p = n->processes; p; p = p->next)
		if (p->child == c && p->incarnation == c->incarnation && p->pid > 0)
			return p;
	return NULL;
}

struct process *process_numbered(struct node *n, uint64_t incarnation)
{
	if (incarnation == STARTER_INCARNATION)
		return n->starter;
	for (struct process *p = n->processes; p; p = p->next)
		if (p->incarnation == incarnation)
			return p;
	return NULL;
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

static void process_close(struct process *p)
{
	output_read(p);
	output_flush(p);
	loop_remove(&p->output);
	if (p->output.fd >= 0)
		close(p->output.fd);
	p->output.fd = -1;
	loop_remove(&p->life_source);
	lifeline_fini(&p->life);
	p->life.fd = -1;
	loop_remove(&p->pidfd);
	if (p->pidfd.fd >= 0)
		close(p->pidfd.fd);
	p->pidfd.fd = -1;
}

void process_free(struct process *p)
{
	for (struct process **at = &p->node->processes; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	process_close(p);
	status_unmap(p->cell);
	free(p->tail);
	free(p->line);
	free(p);
}

/* --- the family --- */

static bool pid_is_known(pid_t pid, void *ctx)
{
	for (struct process *p = ((struct node *)ctx)->processes; p; p = p->next)
		if (p->pid == pid)
			return true;
	return false;
}


/* Two proofs: nobody is in its group, and nobody who was re-parented to us is unknown. */
static bool family_gone(struct process *p)
{
	struct node *n = p->node;
	cgroup_kill(&n->cgroup, p->incarnation);
	bool left = family_sweep(pid_is_known, n, &p->pending_pid) > 0;
	if (left || !cgroup_empty(&n->cgroup, p->incarnation))
		return false;
	cgroup_remove(&n->cgroup, p->incarnation);
	return true;
}

static struct process *next_pending(struct node *n)
{
	for (struct process *p = n->processes; p; p = p->next)
		if (p->pending)
			return p;
	return NULL;
}

void family_look(struct node *n, uint64_t now_ms)
{
	if (now_ms < n->sweep_at_ms)
		return;
	bool some = family_sweep(pid_is_known, n, NULL) > 0;
	for (struct process *p = n->processes; p; p = p->next)
		some |= p->pending && !family_gone(p);
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
	if (si->si_code == CLD_DUMPED)
		return REASON_CORE;
	if (si->si_code != CLD_EXITED)
		return REASON_SIGNAL;
	if (p->said_bye && p->bye == TROUPE__REASON__REASON_SHUTDOWN && si->si_status == 0)
		return REASON_SHUTDOWN;
	if (p->said_bye && p->bye == TROUPE__REASON__REASON_GAVE_UP)
		return REASON_GAVE_UP;
	if (si->si_status != 0 && has_code(launch_of(p)->clean_codes, si->si_status))
		return REASON_SHUTDOWN;
	return si->si_status == 0 ? REASON_NORMAL : REASON_EXIT;
}

static void on_death(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, pidfd);
	struct node *n = p->node;
	siginfo_t si = { 0 };
	/* The system call, unlike the library's function, also gives the usage. */
	if (syscall(SYS_waitid, P_PIDFD, s->fd, &si, WEXITED | WNOHANG, &p->usage) != 0 || si.si_pid == 0)
		return;
	control_drain(p); /* its last words came before its end */
	fault_point("down.before_sweep");
	p->died_pid = p->pid;
	p->pid = 0;
	p->pending = !family_gone(p);
	fault_point("down.after_sweep");
	char path[PATH_MAX], detail[300];
	process_socket(n, p->child, path, sizeof path);
	unlink(path);

	struct event e = { .kind = EVENT_ENDED, .now_ms = loop_now_ms(n->loop), .child = p->child, .incarnation = p->incarnation, .number = si.si_status,
		           .pending = p->pending, .reason = reason_of(p, &si), .detail = detail };
	if (p->start_failed[0])
		snprintf(detail, sizeof detail, "%s", p->start_failed);
	else
		snprintf(detail, sizeof detail, "%s %d", si.si_code == CLD_EXITED ? "exit status" : "signal", si.si_status);
	e.fatal_tries = si.si_code == CLD_EXITED && (has_code(launch_of(p)->fatal_codes, si.si_status) || p->start_fatal);
	p->ordered = p->ordered || p->child->state == CHILD_STOPPING || tree_is_stopping(n->tree);
	process_close(p);
	suspicion_note(n, p);
	monitor_fire(n, obituary_write(n, p, (Troupe__Reason)e.reason, si.si_status));
	monitor_drop(n, p->incarnation, NULL);
	if (p->pending) {
		log_warn("family is not empty yet", LOG_S("child", p->child->name), LOG_U("pid", p->pending_pid));
		n->sweep_at_ms = e.now_ms + SWEEP_AGAIN_MS;
	}
	bool gone = !p->pending;
	step(n, &e);
	if (gone)
		process_free(p);
}

/* --- birth --- */

static void output_ready(struct loop_source *s, uint32_t events)
{
	output_read(container_of(s, struct process, output));
}

/* "worker:pool/1" keeps its state under actors/worker/pool/1. */
static char *state_dir(const struct node *n, const char *name, struct arena *a)
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
	ret->state_dir = state_dir(n, p->child->name, a);
	ret->socket = arena_string(a, socket);
}

static void fail_start(struct node *n, const struct child *c, int code, const struct error *why)
{
	const char *text = code > 0 ? why->text : strerror(-code);
	log_error("cannot start", LOG_S("child", c->name), LOG_S("why", text));
	struct event e = { .kind = EVENT_START_FAILED, .now_ms = loop_now_ms(n->loop), .child = (struct child *)c, .incarnation = c->incarnation, .detail = text,
		           .fatal_tries = code == ERROR_NOT_FOUND || code == ERROR_NOT_ALLOWED ? EXEC_TRIES : 0 };
	step(n, &e);
}

bool process_spawn(struct node *n, struct child *c)
{
	const struct config_node *what = c->user;
	struct spawned s;
	struct error why = { 0 };
	struct spawn_where where = { .node = n->id, .name = c->name, .incarnation = c->incarnation, .directory = n->config->state_dir };
	fault_point("spawn.after_journal");
	struct process *p = calloc(1, sizeof *p);
	struct arena *a = p ? arena_new(64u << 10) : NULL;
	privilege_of(n->config, &what->launch, &where.uid, &where.gid, &where.group);
	char *own = a ? state_dir(n, c->name, a) : NULL;
	int r = !own ? -ENOMEM : what->launch.lifeline ? privilege_give_dir(n->config, &what->launch, own, &why) : 0;
	_cleanup_(closep) int cgroup = r ? -1 : cgroup_make(&n->cgroup, c->incarnation);
	where.cgroup = cgroup;
	if (!r)
		r = spawn(&what->launch, &where, &s, &why);
	if (r) {
		cgroup_remove(&n->cgroup, c->incarnation);
		free(p);
		arena_unref(a);
		fail_start(n, c, r, &why);
		return false;
	}
	fault_point("spawn.after_fork");
	*p = (struct process){ .node = n, .child = c, .incarnation = c->incarnation, .pid = s.pid, .next = n->processes, .started_wall_ms = clock_wall_ms() };
	n->processes = p;
	lifeline_init(&p->life, s.lifeline);
	p->pidfd.fd = p->output.fd = -1;
	loop_add(n->loop, &p->pidfd, s.pidfd, EPOLLIN, on_death);
	loop_add(n->loop, &p->output, s.output, EPOLLIN, output_ready);
	if (s.lifeline < 0) { /* a foreign program is ready when it runs */
		struct event e = { .kind = EVENT_READY, .now_ms = loop_now_ms(n->loop), .child = c, .incarnation = c->incarnation };
		step(n, &e);
	} else {
		Troupe__Control out = TROUPE__CONTROL__INIT;
		Troupe__Setup setup;
		loop_add(n->loop, &p->life_source, s.lifeline, EPOLLIN, control_ready);
		process_setup(n, p, a, &setup);
		out.body_case = TROUPE__CONTROL__BODY_SETUP;
		out.setup = &setup;
		process_send(p, &out);
		suspicion_tell(p);
	}
	arena_unref(a);
	return true;
}
