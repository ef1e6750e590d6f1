/* Births: what the tree wants started is spawned in its order, some milliseconds of a turn of the loop at most, so that whoever asks or dies meanwhile does not wait for a
 * thousand of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "supervisor/node.h"
#include "supervisor/privilege.h"
#include "supervisor/spawn.h"

#define TURN_US 1000u       /* of forks in one turn of the loop; one at least */
#define EXEC_TRIES 3        /* of a program that is not there */

static void fail_start(struct node *n, const struct child *c, int code, const struct error *why)
{
	const char *text = code > 0 ? why->text : strerror(-code);
	log_error("cannot start", LOG_S("child", c->name), LOG_S("why", text));
	struct event e = { .kind = EVENT_START_FAILED, .now_ms = loop_now_ms(n->loop), .child = (struct child *)c, .incarnation = c->incarnation, .detail = text,
		           .fatal_tries = code == ERROR_NOT_FOUND || code == ERROR_NOT_ALLOWED ? EXEC_TRIES : 0 };
	step(n, &e);
}

/* The first packet. */
static void send_setup(struct process *p, struct arena *a)
{
	Troupe__Control out = TROUPE__CONTROL__INIT;
	Troupe__Setup setup;
	process_setup(p->node, p, a, &setup);
	out.body_case = TROUPE__CONTROL__BODY_SETUP;
	out.setup = &setup;
	process_send(p, &out);
	suspicion_tell(p);
}

static void born(struct node *n, struct process *p, struct child *c, const struct spawned *s, int heard)
{
	*p = (struct process){ .node = n, .child = c, .incarnation = c->incarnation, .group = c->incarnation, .pid = s->pid, .started_wall_ms = clock_wall_ms() };
	process_add(p);
	lifeline_init(&p->life, s->lifeline);
	p->pidfd.fd = p->output.fd = p->heard.fd = -1;
	loop_add(n->loop, &p->pidfd, s->pidfd, EPOLLIN, process_died);
	loop_add(n->loop, &p->output, s->output, EPOLLIN, output_ready);
	if (s->lifeline >= 0)
		loop_add(n->loop, &p->life_source, s->lifeline, EPOLLIN, control_ready);
	if (heard >= 0) {
		loop_add(n->loop, &p->heard, heard, EPOLLIN, heard_ready);
		heard_watch(p, ((const struct config_node *)c->user)->launch.watchdog_ms);
	}
}

/* The pool's spare takes its place: true. */
static bool spare_steps_in(struct node *n, struct child *c)
{
	const struct config_node *what = c->user;
	struct error why = { 0 };
	struct process *p = what->pool ? spare_take(n, c) : NULL;
	struct arena *a = p ? arena_new(64u << 10) : NULL;
	if (!p)
		return false;
	char *own = a ? process_state_dir(n, c->name, a) : NULL;
	fault_point("spawn.after_fork");
	if (!own || privilege_give_dir(n->config, &what->launch, own, &why) != 0)
		process_signal(p, SIGKILL);
	else
		send_setup(p, a);
	arena_unref(a);
	return true;
}

static void give_birth(struct node *n, struct child *c)
{
	const struct config_node *what = c->user;
	struct spawned s;
	struct error why = { 0 };
	char notify_socket[96];
	struct spawn_where where = { .node = n->id, .name = c->name, .incarnation = c->incarnation, .directory = n->config->state_dir };
	fault_point("spawn.after_journal");
	if (spare_steps_in(n, c))
		return;
	struct process *p = calloc(1, sizeof *p);
	struct arena *a = p ? arena_new(64u << 10) : NULL;
	privilege_of(n->config, &what->launch, &where.uid, &where.gid, &where.group);
	char *own = a ? process_state_dir(n, c->name, a) : NULL;
	int r = !own ? -ENOMEM : what->launch.lifeline ? privilege_give_dir(n->config, &what->launch, own, &why) : 0;
	_cleanup_(closep) int cgroup = r ? -1 : cgroup_make(&n->cgroup, c->incarnation);
	where.cgroup = cgroup;
	int heard = r || !what->launch.notify ? -1 : heard_open(n, c->incarnation, notify_socket, sizeof notify_socket);
	if (heard >= 0)
		where.notify_socket = notify_socket;
	else if (!r && what->launch.notify)
		r = error_set(&why, ERROR_STORE, "its notify socket: %s", strerror(-heard));
	if (!r)
		r = spawn(&what->launch, &where, &s, &why);
	if (r) {
		if (heard >= 0)
			close(heard);
		cgroup_remove(&n->cgroup, c->incarnation);
		free(p);
		arena_unref(a);
		fail_start(n, c, r, &why);
		return;
	}
	fault_point("spawn.after_fork");
	born(n, p, c, &s, heard);
	p->uid = where.uid == (uid_t)-1 ? geteuid() : where.uid;
	if (s.lifeline >= 0)
		send_setup(p, a);
	else if (!what->launch.notify) /* a foreign program is ready when it runs */
		step(n, &(struct event){ .kind = EVENT_READY, .now_ms = loop_now_ms(n->loop), .child = c, .incarnation = c->incarnation });
	arena_unref(a);
}

/* --- the queue --- */

bool births_wait(const struct node *n)
{
	return n->births_first < n->n_births;
}

void birth_order(struct node *n, struct child *c)
{
	if (n->n_births == n->births_room) {
		size_t room = n->births_room ? 2 * n->births_room : 64;
		void *grown = reallocarray(n->births, room, sizeof *n->births);
		if (!grown) {
			fail_start(n, c, -ENOMEM, &(struct error){ 0 });
			return;
		}
		n->births = grown;
		n->births_room = room;
	}
	n->births[n->n_births].child = c;
	n->births[n->n_births++].incarnation = c->incarnation;
}

bool birth_cancel(struct node *n, const struct child *c)
{
	for (size_t i = n->births_first; i < n->n_births; i++)
		if (n->births[i].child == c && n->births[i].incarnation == c->incarnation) {
			n->births[i].child = NULL;
			return true;
		}
	return false;
}

void births_go_on(struct node *n)
{
	if (n->in_births)
		return; /* a start that failed was told from inside */
	n->in_births = true;
	while (births_wait(n)) {
		struct child *c = n->births[n->births_first++].child;
		if (n->births_first == n->n_births)
			n->births_first = n->n_births = 0;
		if (!c)
			continue;
		give_birth(n, c);
		if (clock_mono_us() - n->turn_began_us > TURN_US)
			break;
	}
	n->in_births = false;
}
