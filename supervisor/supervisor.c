/* The shell of the supervision tree.
 *
 * Every system event (a packet on a lifeline, a readable pidfd, a signal, time) becomes a struct event for tree_step, and every action that comes out is
 * performed here. A struct process is what the shell knows of one incarnation; it outlives the process until its family is proven empty. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/rng.h"
#include "common/io/lifeline.h"
#include "common/io/status.h"
#include "supervisor/family.h"
#include "supervisor/spawn.h"
#include "supervisor/tree.h"

#define PING_EVERY_MS 10000
#define OUTPUT_KEEP (64u * 1024)
#define OUTPUT_TURN (64u * 1024)
#define SWEEP_AGAIN_MS 20
#define INCARNATION_BLOCK 1000000

struct monitor { uint64_t watcher; char address[192]; uint64_t incarnation; struct monitor *next; };

struct process {
	struct node *node;
	struct child *child;
	uint64_t incarnation;
	pid_t pid;
	struct loop_source pidfd, life_source, output;
	struct lifeline life;
	const struct status_cell *cell;
	char note[120];
	uint64_t pinged_at_ms;      /* 0: nothing outstanding */
	char *tail;                 /* ring of the last output */
	size_t tail_len;
	uint64_t tail_dropped;
	bool said_bye;
	Troupe__Reason bye;
	bool pending;               /* dead, its family not proven empty */
	bool ordered;               /* asked to stop, or killed by us without fault of its own */
	struct process *next;
};

struct node {
	struct config *config;
	struct loop *loop;
	struct tree *tree;
	struct process *processes;
	struct monitor *monitors;
	char id[33];
	uint64_t started_at_ms, ping_at_ms, sweep_at_ms, kill_all_at_ms;
	int ready_fd, lock_fd;
	const char *pid_file;
	bool up, stopping;
	uint64_t n_restarts;
};

static void step(struct node *n, struct event *e);

static struct process *process_of(struct node *n, const struct child *c)
{
	for (struct process *p = n->processes; p; p = p->next)
		if (p->child == c && p->incarnation == c->incarnation && p->pid > 0)
			return p;
	return NULL;
}

static bool pid_is_known(pid_t pid, void *ctx)
{
	for (struct process *p = ((struct node *)ctx)->processes; p; p = p->next)
		if (p->pid == pid)
			return true;
	return false;
}

static void process_send(struct process *p, const Troupe__Control *c)
{
	if (p->life.fd < 0 || p->pid <= 0)
		return;
	int r = lifeline_send(&p->life, c, -1);
	if (r)
		log_warn("lifeline does not take a packet", LOG_S("child", p->child->name), LOG_S("why", r > 0 ? error_name(r) : strerror(-r)));
	if (p->life_source.loop)
		loop_modify(&p->life_source, EPOLLIN | (lifeline_wants_write(&p->life) ? EPOLLOUT : 0));
}

static void socket_path(const struct node *n, const struct child *c, char *out, size_t size)
{
	snprintf(out, size, "%s/a/%u.%" PRIu64, n->config->run_dir, c->number, c->incarnation);
}

/* --- monitors --- */

static void down_send(struct node *n, struct process *to, const char *address, uint64_t incarnation, const struct process *dead, Troupe__Reason reason, int number,
                      bool pending)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Down d = TROUPE__DOWN__INIT;
	struct status_cell cell = { 0 };
	d.address = (char *)address;
	d.incarnation = incarnation;
	d.reason = reason;
	d.proof = pending ? TROUPE__PROOF__PROOF_PENDING : TROUPE__PROOF__PROOF_EMPTY;
	if (reason == TROUPE__REASON__REASON_SIGNAL || reason == TROUPE__REASON__REASON_CORE || reason == TROUPE__REASON__REASON_KILLED)
		d.signal = number;
	else
		d.exit_code = number;
	d.ordered = !dead || dead->ordered || reason == TROUPE__REASON__REASON_LOST;
	if (dead && dead->cell) {
		status_read(dead->cell, &cell);
		d.tokens = cell.tokens;
		d.n_tokens = cell.n_tokens;
	}
	c.body_case = TROUPE__CONTROL__BODY_DOWN;
	c.down = &d;
	process_send(to, &c);
	(void)n;
}

static void monitors_fire(struct node *n, const struct process *dead, Troupe__Reason reason, int number, bool pending)
{
	for (struct monitor **at = &n->monitors; *at;) {
		struct monitor *m = *at;
		if (m->incarnation != dead->incarnation || strcmp(m->address, dead->child->name) != 0) {
			at = &m->next;
			continue;
		}
		for (struct process *p = n->processes; p; p = p->next)
			if (p->incarnation == m->watcher)
				down_send(n, p, m->address, m->incarnation, dead, reason, number, pending);
		if (pending) {
			at = &m->next; /* a second DOWN brings the proof */
			continue;
		}
		*at = m->next;
		free(m);
	}
}

static void monitor_add(struct node *n, struct process *watcher, const Troupe__Monitor *want)
{
	struct child *c = tree_find(n->tree, want->address);
	struct process *p = NULL;
	for (struct process *q = n->processes; q; q = q->next)
		if (q->incarnation == want->incarnation && c && q->child == c)
			p = q;
	if (!p || p->pid <= 0) {
		bool pending = p && p->pending;
		down_send(n, watcher, want->address, want->incarnation, p, TROUPE__REASON__REASON_LOST, 0, pending);
		if (!pending)
			return;
	}
	struct monitor *m = calloc(1, sizeof *m);
	if (!m)
		return;
	m->watcher = watcher->incarnation;
	m->incarnation = want->incarnation;
	snprintf(m->address, sizeof m->address, "%s", want->address);
	m->next = n->monitors;
	n->monitors = m;
}

static void monitors_drop(struct node *n, uint64_t watcher, const Troupe__Demonitor *only)
{
	for (struct monitor **at = &n->monitors; *at;) {
		struct monitor *m = *at;
		if (m->watcher == watcher && (!only || (m->incarnation == only->incarnation && strcmp(m->address, only->address) == 0))) {
			*at = m->next;
			free(m);
		} else {
			at = &m->next;
		}
	}
}

/* --- ends --- */

static void output_read(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, output);
	char buffer[4096];
	size_t taken = 0;
	(void)events;
	while (taken < OUTPUT_TURN) {
		ssize_t got = read(s->fd, buffer, sizeof buffer);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			loop_remove(s);
			return;
		}
		taken += (size_t)got;
		if (!p->tail && !(p->tail = malloc(OUTPUT_KEEP)))
			return;
		if (p->tail_len + (size_t)got > OUTPUT_KEEP) {
			size_t out = p->tail_len + (size_t)got - OUTPUT_KEEP;
			memmove(p->tail, p->tail + out, p->tail_len - out);
			p->tail_len -= out;
			p->tail_dropped += out;
		}
		memcpy(p->tail + p->tail_len, buffer, (size_t)got);
		p->tail_len += (size_t)got;
		ssize_t ignored = write(2, buffer, (size_t)got);
		(void)ignored;
	}
}

static void process_close(struct process *p)
{
	if (p->output.loop) {
		output_read(&p->output, 0);
		loop_remove(&p->output);
	}
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

static void process_free(struct node *n, struct process *p)
{
	for (struct process **at = &n->processes; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	process_close(p);
	status_unmap(p->cell);
	free(p->tail);
	free(p);
}

static void life_drain(struct process *p);

static void on_death(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, pidfd);
	struct node *n = p->node;
	siginfo_t si = { 0 };
	(void)events;
	if (waitid(P_PIDFD, (id_t)s->fd, &si, WEXITED | WNOHANG) != 0 || si.si_pid == 0)
		return;
	life_drain(p);
	fault_point("down.before_sweep");
	pid_t left = 0;
	p->pid = 0;
	p->pending = family_sweep(pid_is_known, n, &left) > 0;
	fault_point("down.after_sweep");
	char path[PATH_MAX];
	socket_path(n, p->child, path, sizeof path);
	unlink(path);

	struct event e = { .kind = EVENT_ENDED, .now_ms = loop_now_ms(n->loop), .child = p->child, .incarnation = p->incarnation, .number = si.si_status, .pending = p->pending };
	if (si.si_code == CLD_EXITED)
		e.reason = p->said_bye && si.si_status == 0 && p->bye == TROUPE__REASON__REASON_SHUTDOWN ? REASON_SHUTDOWN : si.si_status == 0 ? REASON_NORMAL : REASON_EXIT;
	else
		e.reason = si.si_code == CLD_DUMPED ? REASON_CORE : REASON_SIGNAL;
	if (si.si_code == CLD_EXITED && (si.si_status == 78 || si.si_status == 100))
		e.fatal_tries = 1;
	char detail[96];
	snprintf(detail, sizeof detail, "%s %d", si.si_code == CLD_EXITED ? "exit status" : "signal", si.si_status);
	e.detail = detail;
	p->ordered = p->ordered || p->child->state == CHILD_STOPPING || tree_is_stopping(n->tree);
	process_close(p);
	monitors_fire(n, p, (Troupe__Reason)e.reason, si.si_status, p->pending);
	monitors_drop(n, p->incarnation, NULL);
	if (p->pending) {
		log_warn("family is not empty yet", LOG_S("child", p->child->name), LOG_U("pid", left));
		n->sweep_at_ms = e.now_ms + SWEEP_AGAIN_MS;
	}
	bool gone = !p->pending;
	step(n, &e);
	if (gone)
		process_free(n, p);
}

static void sweep_again(struct node *n, uint64_t now)
{
	pid_t left = 0;
	if (family_sweep(pid_is_known, n, &left) > 0) {
		n->sweep_at_ms = now + SWEEP_AGAIN_MS;
		return;
	}
	n->sweep_at_ms = TIME_NEVER;
	for (struct process *p = n->processes, *next; p; p = next) {
		next = p->next;
		if (!p->pending)
			continue;
		p->pending = false;
		monitors_fire(n, p, (Troupe__Reason)p->child->last_reason, 0, false);
		struct event e = { .kind = EVENT_PROVEN, .now_ms = now, .child = p->child, .incarnation = p->incarnation };
		step(n, &e);
		process_free(n, p);
		next = n->processes; /* the step may have added and removed some: begin again */
	}
}

/* --- lifelines --- */

static Troupe__ActorState actor_state(const struct child *c)
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

/* path has room for PATH_MAX; the location points into the arguments. */
static void locate(struct node *n, const char *address, Troupe__Location *l, char *path)
{
	struct child *c = tree_find(n->tree, address);
	troupe__location__init(l);
	l->address = (char *)address;
	if (!c)
		return;
	struct process *p = process_of(n, c);
	l->incarnation = c->incarnation;
	l->state = actor_state(c);
	if (p && c->state == CHILD_UP) {
		l->pid = (uint32_t)p->pid;
		socket_path(n, c, path, PATH_MAX);
		l->path = path;
	}
}

static void relay(struct process *p, uint64_t ref, const Troupe__Envelope *ask, struct arena *a);

static void on_control(struct process *p, const Troupe__Control *c, int fd, struct arena *a)
{
	struct node *n = p->node;
	struct event e = { .now_ms = loop_now_ms(n->loop), .child = p->child, .incarnation = p->incarnation };
	struct error why = { 0 };
	switch (c->body_case) {
	case TROUPE__CONTROL__BODY_READY:
		if (fd >= 0 && !p->cell && status_map(fd, &p->cell, &why))
			log_warn("status cell refused", LOG_S("child", p->child->name), LOG_S("why", why.text));
		e.kind = EVENT_READY;
		e.detail = c->ready->info;
		fault_point("spawn.after_ready");
		step(n, &e);
		break;
	case TROUPE__CONTROL__BODY_IGNORE:
		e.kind = EVENT_IGNORED;
		step(n, &e);
		break;
	case TROUPE__CONTROL__BODY_START_FAILED:
		log_warn("start failed", LOG_S("child", p->child->name), LOG_S("why", c->start_failed->text));
		break;
	case TROUPE__CONTROL__BODY_PONG:
		p->pinged_at_ms = 0;
		break;
	case TROUPE__CONTROL__BODY_BYE:
		p->said_bye = true;
		p->bye = c->bye->reason;
		break;
	case TROUPE__CONTROL__BODY_NOTE:
		snprintf(p->note, sizeof p->note, "%s", c->note->text);
		break;
	case TROUPE__CONTROL__BODY_WHEREIS: {
		char path[PATH_MAX] = "";
		Troupe__Location l;
		Troupe__Control out = TROUPE__CONTROL__INIT;
		locate(n, c->whereis->address, &l, path);
		out.ref = c->ref;
		out.body_case = TROUPE__CONTROL__BODY_LOCATED;
		out.located = &l;
		process_send(p, &out);
		break;
	}
	case TROUPE__CONTROL__BODY_MONITOR:
		monitor_add(n, p, c->monitor);
		break;
	case TROUPE__CONTROL__BODY_DEMONITOR:
		monitors_drop(n, p->incarnation, c->demonitor);
		break;
	case TROUPE__CONTROL__BODY_RELAY:
		relay(p, c->ref, c->relay, a);
		break;
	case TROUPE__CONTROL__BODY_EMIT: {
		struct child *topic = tree_find(n->tree, "topic:events");
		struct process *to = topic ? process_of(n, topic) : NULL;
		Troupe__Control out = TROUPE__CONTROL__INIT;
		out.body_case = TROUPE__CONTROL__BODY_EVENT;
		out.event = c->emit;
		if (to)
			process_send(to, &out);
		break;
	}
	case TROUPE__CONTROL__BODY_STORED:
		break;
	case TROUPE__CONTROL__BODY__NOT_SET: case TROUPE__CONTROL__BODY_SETUP: case TROUPE__CONTROL__BODY_PING: case TROUPE__CONTROL__BODY_STOP:
	case TROUPE__CONTROL__BODY_RELOAD: case TROUPE__CONTROL__BODY_LOCATED: case TROUPE__CONTROL__BODY_DOWN: case TROUPE__CONTROL__BODY_SUSPECT:
	case TROUPE__CONTROL__BODY_ANSWER: case TROUPE__CONTROL__BODY_EVENT: case _TROUPE__CONTROL__BODY__CASE_IS_INT_SIZE:
		log_warn("a child sent what only a supervisor says", LOG_S("child", p->child->name), LOG_U("body", c->body_case));
		break;
	}
}

static void life_drain(struct process *p)
{
	for (unsigned i = 0; i < 256 && p->life.fd >= 0; i++) {
		struct arena *a = NULL;
		Troupe__Control *c = NULL;
		struct error e = { 0 };
		int fd = -1;
		int r = lifeline_receive(&p->life, &a, &c, &fd, &e);
		if (r == 0) {
			on_control(p, c, fd, a);
			if (fd >= 0)
				close(fd);
			arena_unref(a);
		} else if (r == ERROR_BAD_REQUEST) {
			log_warn("garbage on a lifeline", LOG_S("child", p->child->name), LOG_S("why", e.text));
		} else {
			if (r < 0)
				loop_remove(&p->life_source);
			return;
		}
	}
}

static void on_lifeline(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, life_source);
	if (events & EPOLLOUT) {
		if (lifeline_flush(&p->life) < 0) {
			loop_remove(s);
			return;
		}
		loop_modify(s, EPOLLIN | (lifeline_wants_write(&p->life) ? EPOLLOUT : 0));
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		life_drain(p);
}

/* --- what operators ask, through front --- */

static void answer(struct node *n, uint64_t watcher, uint64_t ref, const Troupe__Envelope *ask_id, Troupe__Envelope *env)
{
	for (struct process *p = n->processes; p; p = p->next)
		if (p->incarnation == watcher) {
			Troupe__Control c = TROUPE__CONTROL__INIT;
			if (ask_id)
				env->reply_to = ask_id->id;
			if (env->body_case != TROUPE__ENVELOPE__BODY_ERROR)
				env->kind = TROUPE__KIND__REPLY;
			c.ref = ref;
			c.body_case = TROUPE__CONTROL__BODY_ANSWER;
			c.answer = env;
			process_send(p, &c);
		}
}

static void answer_error(struct node *n, uint64_t watcher, uint64_t ref, const Troupe__Envelope *ask, const struct error *e)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	failure_from_error(&f, e);
	env.kind = TROUPE__KIND__ERROR;
	env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env.error = &f;
	answer(n, watcher, ref, ask, &env);
}

static Troupe__TreeRow *tree_row(struct node *n, const struct child *c, struct arena *a, uint64_t now)
{
	Troupe__TreeRow *r = arena_zalloc(a, sizeof *r);
	if (!r)
		return NULL;
	troupe__tree_row__init(r);
	struct process *p = c->sup ? NULL : process_of(n, c);
	r->address = (char *)c->name;
	r->depth = c->depth;
	r->kind = c->sup ? TROUPE__ACTOR_KIND__ACTOR_SUPERVISOR : TROUPE__ACTOR_KIND__ACTOR_WORKER;
	r->state = actor_state(c);
	r->pid = p ? (uint32_t)p->pid : 0;
	r->incarnation = c->incarnation;
	r->up_ms = c->state == CHILD_UP && now > c->up_at_ms ? now - c->up_at_ms : 0;
	r->restarts = c->restarts;
	r->strategy = c->sup ? (char *)strategy_name(c->sup->spec.strategy) : r->strategy;
	r->restart = (char *)restart_name(c->spec.restart);
	r->last_reason = (Troupe__Reason)c->last_reason;
	r->due_in_ms = c->state == CHILD_WAITING && c->due_at_ms > now ? c->due_at_ms - now : 0;
	r->note = p ? p->note : r->note;
	r->pool = c->sup && c->sup->spec.pool;
	const struct config_node *node = c->user;
	if (!c->sup && node && node->launch.argv)
		r->program = node->launch.argv[0];
	if (p && p->cell) {
		struct status_cell cell;
		status_read(p->cell, &cell);
		r->mailbox = cell.mailbox;
	}
	return r;
}

static void answer_tree(struct process *p, uint64_t ref, const Troupe__Envelope *ask, struct arena *a)
{
	struct node *n = p->node;
	const Troupe__TreeAsk *want = ask->tree_ask;
	Troupe__Tree t = TROUPE__TREE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const struct child *top = *want->under ? tree_find(n->tree, want->under) : tree_root(n->tree);
	uint32_t limit = want->limit && want->limit < 200 ? want->limit : 200, at = 0;
	t.rows = arena_alloc(a, limit * sizeof *t.rows);
	for (const struct child *c = top; t.rows && c; c = tree_next_under(n->tree, top, c), at++) {
		Troupe__TreeRow *row;
		if (at >= want->skip && t.n_rows < limit && (row = tree_row(n, c, a, loop_now_ms(n->loop))))
			t.rows[t.n_rows++] = row;
	}
	t.total = at;
	env.body_case = TROUPE__ENVELOPE__BODY_TREE;
	env.tree = &t;
	answer(n, p->incarnation, ref, ask, &env);
}

static void answer_status(struct process *p, uint64_t ref, const Troupe__Envelope *ask)
{
	struct node *n = p->node;
	Troupe__Status s = TROUPE__STATUS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	s.node = n->id;
	s.version = (char *)TROUPE_VERSION;
	s.pid = (uint32_t)getpid();
	s.up_ms = loop_now_ms(n->loop) - n->started_at_ms;
	s.run_dir = n->config->run_dir;
	s.state_dir = n->config->state_dir;
	s.config = n->config->path;
	for (struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c)) {
		if (c->sup)
			continue;
		s.actors++;
		s.up += c->state == CHILD_UP;
		s.failed += c->state == CHILD_FAILED;
		s.restarts += c->restarts;
	}
	s.state = (char *)(tree_is_stopping(n->tree) ? "stopping" : n->up ? "running" : "starting");
	s.features = (char *)"pidfd subreaper";
	s.containment = (char *)"subreaper";
	env.body_case = TROUPE__ENVELOPE__BODY_STATUS;
	env.status = &s;
	answer(n, p->incarnation, ref, ask, &env);
}

static void answer_tail(struct process *p, uint64_t ref, const Troupe__Envelope *ask)
{
	struct node *n = p->node;
	Troupe__Tail t = TROUPE__TAIL__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct child *c = tree_find(n->tree, ask->tail_ask->address);
	struct process *of = c ? process_of(n, c) : NULL;
	if (!c) {
		struct error e = { 0 };
		error_set(&e, ERROR_NO_ACTOR, "there is no actor %s", ask->tail_ask->address);
		answer_error(n, p->incarnation, ref, ask, &e);
		return;
	}
	if (of && of->tail) {
		t.text = (ProtobufCBinaryData){ of->tail_len, (uint8_t *)of->tail };
		t.dropped = of->tail_dropped;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_TAIL;
	env.tail = &t;
	answer(n, p->incarnation, ref, ask, &env);
}

/* An order's answer comes when the tree gives it: until then it waits here, named by the ref that the tree hands back. */
struct waiting { uint64_t ref, watcher, control_ref; uint8_t id[16]; bool used; };
static struct waiting waiting[TREE_ORDERS_MAX];
static uint64_t next_ref = 1;

static void order_start(struct process *p, uint64_t ref, const Troupe__Envelope *ask)
{
	struct node *n = p->node;
	const Troupe__ChildOrder *o = ask->child_order;
	static const int orders[] = { -1, ORDER_START, ORDER_STOP, ORDER_RESTART, ORDER_KILL, ORDER_DELETE, ORDER_SPEC, ORDER_COUNT };
	struct error e = { 0 };
	struct waiting *w = NULL;
	for (size_t i = 0; i < ELEMENTS(waiting) && !w; i++)
		w = waiting[i].used ? NULL : &waiting[i];
	if (o->op < 1 || (size_t)o->op >= ELEMENTS(orders))
		error_set(&e, ERROR_BAD_REQUEST, "no such order: %d", (int)o->op);
	else if (!w)
		error_retry((error_set(&e, ERROR_BUSY, "too many orders are being carried out"), &e), 1000);
	if (e.code) {
		answer_error(n, p->incarnation, ref, ask, &e);
		return;
	}
	*w = (struct waiting){ .ref = next_ref++, .watcher = p->incarnation, .control_ref = ref, .used = true };
	if (ask->id.len == sizeof w->id)
		memcpy(w->id, ask->id.data, sizeof w->id);
	log_info("order", LOG_S("order", order_name((enum order)orders[o->op])), LOG_S("child", o->address), LOG_S("by", ask->subject));
	struct event ev = { .kind = EVENT_ORDER, .now_ms = loop_now_ms(n->loop), .ref = w->ref, .order = (enum order)orders[o->op], .name = o->address, .force = o->force };
	step(n, &ev);
}

static void order_answer(struct node *n, const struct action *a)
{
	for (size_t i = 0; i < ELEMENTS(waiting); i++) {
		struct waiting *w = &waiting[i];
		if (!w->used || w->ref != a->ref)
			continue;
		w->used = false;
		Troupe__ChildAnswer ca = TROUPE__CHILD_ANSWER__INIT;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT, ask = TROUPE__ENVELOPE__INIT;
		struct process *p = a->child && !a->child->sup ? process_of(n, a->child) : NULL;
		ca.text = (char *)a->text;
		ca.info = a->detail ? (char *)a->detail : ca.info;
		ca.incarnation = a->child ? a->child->incarnation : 0;
		ca.pid = p ? (uint32_t)p->pid : 0;
		ca.specs = a->counts.specs;
		ca.active = a->counts.active;
		ca.supervisors = a->counts.supervisors;
		ca.workers = a->counts.workers;
		ask.id = (ProtobufCBinaryData){ sizeof w->id, w->id };
		env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ANSWER;
		env.child_answer = &ca;
		answer(n, w->watcher, w->control_ref, &ask, &env);
	}
}

static void relay(struct process *p, uint64_t ref, const Troupe__Envelope *ask, struct arena *a)
{
	struct node *n = p->node;
	if (ask->body_case == TROUPE__ENVELOPE__BODY_WHEREIS) {
		char path[PATH_MAX] = "";
		Troupe__Location l;
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		locate(n, ask->whereis->address, &l, path);
		if (l.state == TROUPE__ACTOR_STATE__ACTOR_UNKNOWN) {
			struct error e = { 0 };
			error_set(&e, ERROR_NO_ACTOR, "there is no actor %s", ask->whereis->address);
			answer_error(n, p->incarnation, ref, ask, &e);
			return;
		}
		env.body_case = TROUPE__ENVELOPE__BODY_LOCATION;
		env.location = &l;
		answer(n, p->incarnation, ref, ask, &env);
	} else if (ask->body_case == TROUPE__ENVELOPE__BODY_TREE_ASK) {
		answer_tree(p, ref, ask, a);
	} else if (ask->body_case == TROUPE__ENVELOPE__BODY_STATUS_ASK) {
		answer_status(p, ref, ask);
	} else if (ask->body_case == TROUPE__ENVELOPE__BODY_TAIL_ASK) {
		answer_tail(p, ref, ask);
	} else if (ask->body_case == TROUPE__ENVELOPE__BODY_CHILD_ORDER) {
		order_start(p, ref, ask);
	} else {
		struct error e = { 0 };
		error_set(&e, ERROR_NO_VERB, "the supervisor does not answer this verb");
		answer_error(n, p->incarnation, ref, ask, &e);
	}
}

/* --- actions --- */

static void act_spawn(struct node *n, struct child *c)
{
	const struct config_node *what = c->user;
	struct event e = { .now_ms = loop_now_ms(n->loop), .child = c, .incarnation = c->incarnation };
	struct spawned s;
	struct error why = { 0 };
	struct spawn_where where = { .node = n->id, .name = c->name, .incarnation = c->incarnation, .directory = n->config->state_dir,
		.uid = (uid_t)-1 };
	fault_point("spawn.after_journal");
	struct process *p = calloc(1, sizeof *p);
	int r = p ? spawn(&what->launch, &where, &s, &why) : -ENOMEM;
	if (r) {
		free(p);
		log_error("cannot start", LOG_S("child", c->name), LOG_S("why", r > 0 ? why.text : strerror(-r)));
		e.kind = EVENT_START_FAILED;
		e.detail = why.text;
		e.fatal_tries = r == ERROR_NOT_FOUND || r == ERROR_NOT_ALLOWED ? 3 : 0;
		step(n, &e);
		return;
	}
	fault_point("spawn.after_fork");
	*p = (struct process){ .node = n, .child = c, .incarnation = c->incarnation, .pid = s.pid, .next = n->processes };
	n->processes = p;
	lifeline_init(&p->life, s.lifeline);
	p->pidfd.fd = p->output.fd = -1;
	loop_add(n->loop, &p->pidfd, s.pidfd, EPOLLIN, on_death);
	loop_add(n->loop, &p->output, s.output, EPOLLIN, output_read);
	if (s.lifeline < 0) {
		e.kind = EVENT_READY;
		step(n, &e);
		return;
	}
	loop_add(n->loop, &p->life_source, s.lifeline, EPOLLIN, on_lifeline);
	char state[PATH_MAX], socket[PATH_MAX];
	Troupe__Setup setup = TROUPE__SETUP__INIT;
	Troupe__Control out = TROUPE__CONTROL__INIT;
	config_setup(n->config, what, &setup);
	snprintf(state, sizeof state, "%s/actors/%s", n->config->state_dir, c->name);
	for (char *at = state + strlen(n->config->state_dir) + 8; *at; at++)
		if (*at == ':')
			*at = '/';
	socket_path(n, c, socket, sizeof socket);
	setup.incarnation = c->incarnation;
	setup.number = c->number;
	setup.node = n->id;
	setup.state_dir = state;
	setup.socket = socket;
	out.body_case = TROUPE__CONTROL__BODY_SETUP;
	out.setup = &setup;
	process_send(p, &out);
}

static void act_signal(struct node *n, const struct child *c, int signal, bool then_continue)
{
	struct process *p = process_of(n, c);
	if (!p)
		return;
	syscall(SYS_pidfd_send_signal, p->pidfd.fd, signal, NULL, 0);
	if (then_continue)
		syscall(SYS_pidfd_send_signal, p->pidfd.fd, SIGCONT, NULL, 0);
}

static void act_stop(struct node *n, const struct action *a)
{
	struct process *p = process_of(n, a->child);
	Troupe__Control out = TROUPE__CONTROL__INIT;
	Troupe__Stop s = TROUPE__STOP__INIT;
	if (!p)
		return;
	p->ordered = true;
	s.within_ms = a->within_ms;
	s.drain = true;
	out.body_case = TROUPE__CONTROL__BODY_STOP;
	out.stop = &s;
	process_send(p, &out);
}

static void act_fact(struct node *n, const struct action *a)
{
	const char *fact = fact_name(a->fact);
	if (a->fact == FACT_DOWN || a->fact == FACT_START_FAILED)
		log_at(a->error ? LOG_WARN : LOG_INFO, fact, LOG_S("child", a->child->name), LOG_U("incarnation", a->incarnation), LOG_S("reason", reason_name(a->reason)),
		       LOG_I("number", a->number), LOG_S("decision", decision_name(a->decision)), LOG_U("delay_ms", a->delay_ms));
	else
		log_info(fact, LOG_S("child", a->child->name), LOG_U("incarnation", a->child->incarnation));
	(void)n;
}

static void on_up(struct node *n)
{
	n->up = true;
	if (n->pid_file) {
		FILE *f = fopen(n->pid_file, "we");
		if (f) {
			fprintf(f, "%d\n", (int)getpid());
			fclose(f);
		} else {
			log_error("pid file cannot be written", LOG_S("path", n->pid_file), LOG_S("why", strerror(errno)));
		}
	}
	if (n->ready_fd >= 0) {
		ssize_t ignored = write(n->ready_fd, "\n", 1);
		(void)ignored;
		close(n->ready_fd);
		n->ready_fd = -1;
	}
	log_info("node is up", LOG_S("run_dir", n->config->run_dir), LOG_U("pid", getpid()));
}

/* Events that actions cause at once (a spawn that fails, a child that is READY by exec) wait until the present list has been performed. */
static struct event pending_events[64];
static struct { char text[256]; } pending_details[64];
static unsigned n_pending;
static bool stepping;

static void step(struct node *n, struct event *first)
{
	if (stepping) {
		if (n_pending < ELEMENTS(pending_events)) {
			struct event *e = &pending_events[n_pending];
			*e = *first;
			if (first->detail) {
				snprintf(pending_details[n_pending].text, sizeof pending_details[n_pending].text, "%s", first->detail);
				e->detail = pending_details[n_pending].text;
			}
			n_pending++;
		}
		return;
	}
	stepping = true;
	struct event e = *first;
	for (;;) {
		struct actions todo;
		tree_step(n->tree, &e, &todo);
		for (size_t i = 0; i < todo.n; i++) {
			const struct action *a = &todo.items[i];
			switch (a->kind) {
			case ACTION_SPAWN: act_spawn(n, a->child); break;
			case ACTION_STOP: act_stop(n, a); break;
			case ACTION_TERM: act_signal(n, a->child, SIGTERM, true); break;
			case ACTION_ABORT: act_signal(n, a->child, SIGABRT, true); break;
			case ACTION_KILL: act_signal(n, a->child, SIGKILL, false); break;
			case ACTION_ANSWER: order_answer(n, a); break;
			case ACTION_UP: on_up(n); break;
			case ACTION_EXIT: loop_stop(n->loop, a->code); break;
			case ACTION_FACT: act_fact(n, a); break;
			case ACTION_CHANGE: case ACTION_FREE: break;
			}
		}
		if (n_pending == 0)
			break;
		e = pending_events[0];
		static char detail[256];
		if (e.detail) {
			snprintf(detail, sizeof detail, "%s", e.detail);
			e.detail = detail;
		}
		n_pending--;
		for (unsigned i = 0; i < n_pending; i++) {
			pending_events[i] = pending_events[i + 1];
			if (pending_events[i].detail) {
				pending_details[i] = pending_details[i + 1];
				pending_events[i].detail = pending_details[i].text;
			}
		}
	}
	stepping = false;
}

/* --- the loop --- */

static void ping_all(struct node *n, uint64_t now)
{
	for (struct process *p = n->processes; p; p = p->next) {
		if (p->pid <= 0 || p->life.fd < 0 || p->child->state != CHILD_UP)
			continue;
		if (p->pinged_at_ms && now >= p->pinged_at_ms + PING_EVERY_MS + loop_lateness_ms(n->loop)) {
			struct event e = { .kind = EVENT_HUNG, .now_ms = now, .child = p->child, .incarnation = p->incarnation, .reason = REASON_WATCHDOG,
				.detail = "no answer to a ping" };
			p->pinged_at_ms = 0;
			step(n, &e);
			continue;
		}
		Troupe__Control out = TROUPE__CONTROL__INIT;
		Troupe__PingChild ping = TROUPE__PING_CHILD__INIT;
		ping.nonce = now;
		out.body_case = TROUPE__CONTROL__BODY_PING;
		out.ping = &ping;
		if (!p->pinged_at_ms)
			p->pinged_at_ms = now;
		process_send(p, &out);
	}
}

static void hung_look(struct node *n, uint64_t now)
{
	for (struct process *p = n->processes; p; p = p->next) {
		if (p->pid <= 0 || !p->cell || p->child->state != CHILD_UP)
			continue;
		struct status_cell cell;
		status_read(p->cell, &cell);
		uint64_t limit = cell.phase == PHASE_TURN ? n->config->turn_timeout_ms : cell.phase == PHASE_COMMIT ? n->config->disk_timeout_ms : 0;
		if (limit == 0 || cell.since_ms > now || now - cell.since_ms <= limit + loop_lateness_ms(n->loop))
			continue;
		struct event e = { .kind = EVENT_HUNG, .now_ms = now, .child = p->child, .incarnation = p->incarnation, .reason = REASON_TURN_TIMEOUT,
			.detail = cell.phase == PHASE_TURN ? "a turn is older than turn_timeout" : "a commit is older than disk_timeout" };
		step(n, &e);
	}
}

static uint64_t tick(void *ctx, uint64_t now)
{
	struct node *n = ctx;
	if (now >= n->sweep_at_ms)
		sweep_again(n, now);
	if (now >= n->ping_at_ms) {
		ping_all(n, now);
		hung_look(n, now);
		n->ping_at_ms = now + PING_EVERY_MS;
	}
	uint64_t due = tree_next_due(n->tree);
	if (now >= due) {
		struct event e = { .kind = EVENT_TIME, .now_ms = now };
		step(n, &e);
		due = tree_next_due(n->tree);
	}
	uint64_t at = n->ping_at_ms < n->sweep_at_ms ? n->ping_at_ms : n->sweep_at_ms;
	return due < at ? due : at;
}

static void on_signal(void *ctx, const struct signalfd_siginfo *si)
{
	struct node *n = ctx;
	struct event e = { .kind = EVENT_SHUTDOWN, .now_ms = loop_now_ms(n->loop), .within_ms = n->config->stop_timeout_ms };
	switch (si->ssi_signo) {
	case SIGTERM: case SIGINT: case SIGQUIT:
		e.fast = n->stopping || si->ssi_signo == SIGQUIT;
		n->stopping = true;
		log_info(e.fast ? "stopping now" : "stopping", LOG_U("signal", si->ssi_signo));
		step(n, &e);
		break;
	case SIGHUP:
		log_warn("reload is not possible in this version: restart the node to apply its configuration");
		break;
	case SIGUSR2:
		for (struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c))
			log_info("state", LOG_S("child", c->name), LOG_S("state", child_state_name(c->state)), LOG_U("incarnation", c->incarnation), LOG_U("restarts", c->restarts));
		break;
	case SIGCHLD:
		/* A hint that an orphan may have arrived or ended; children have their pidfds. */
		if (n->sweep_at_ms == TIME_NEVER)
			family_sweep(pid_is_known, n, NULL);
		break;
	}
}

/* The node's id, made once, and the first incarnation number of this run: a block that no earlier run has used. */
static int identity(struct node *n, uint64_t *ret_incarnation, struct error *e)
{
	char path[PATH_MAX], text[128];
	_cleanup_(freep) char *was = NULL;
	size_t len;
	uint64_t block = 0;
	snprintf(path, sizeof path, "%s/node", n->config->state_dir);
	if (file_read_all(path, sizeof text, &was, &len) != 0 || sscanf(was, "%32[0-9a-f] %" SCNu64, n->id, &block) != 2 || strlen(n->id) != 32) {
		uint8_t random[16];
		if (rng_system(random, sizeof random) != 0)
			return error_set(e, ERROR_INTERNAL, "no random numbers");
		for (unsigned i = 0; i < 16; i++)
			snprintf(n->id + 2 * i, 3, "%02x", random[i]);
		block = 0;
	}
	char fresh[PATH_MAX + 8];
	snprintf(fresh, sizeof fresh, "%s.new", path);
	snprintf(text, sizeof text, "%s %" PRIu64 "\n", n->id, block + 1);
	_cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, text, strlen(text)) != 0 || fsync(fd) != 0 || rename(fresh, path) != 0 || file_fsync_dir(n->config->state_dir) != 0)
		return error_set(e, ERROR_STORE, "%s cannot be written: %s", path, strerror(errno));
	*ret_incarnation = block * INCARNATION_BLOCK + 1;
	return 0;
}

static int prepare(struct node *n, uint64_t *ret_incarnation)
{
	struct error e = { 0 };
	char path[PATH_MAX];
	pid_t owner = 0;
	snprintf(path, sizeof path, "%s/a", n->config->run_dir);
	if (file_mkdir_p(n->config->run_dir, 0750, &e) || file_mkdir_p(path, 0750, &e) || file_mkdir_p(n->config->state_dir, 0700, &e)) {
		log_error("cannot create a directory", LOG_S("why", e.text));
		return 73;
	}
	snprintf(path, sizeof path, "%s/lock", n->config->state_dir);
	int r = file_lock(path, &n->lock_fd, &owner);
	if (r) {
		log_error(r == ERROR_EXISTS ? "another trouped has this state directory" : "cannot lock the state directory", LOG_S("path", path), LOG_I("pid", owner));
		return r == ERROR_EXISTS ? 69 : 73;
	}
	int run_lock;
	snprintf(path, sizeof path, "%s/lock", n->config->run_dir);
	r = file_lock(path, &run_lock, &owner);
	if (r) {
		log_error(r == ERROR_EXISTS ? "another trouped has this run directory" : "cannot lock the run directory", LOG_S("path", path), LOG_I("pid", owner));
		return r == ERROR_EXISTS ? 69 : 73;
	}
	r = identity(n, ret_incarnation, &e);
	if (r) {
		log_error("state directory", LOG_S("why", e.text));
		return 74;
	}
	for (unsigned round = 0; round < 100 && family_sweep_node(n->id) > 0; round++)
		log_warn("killed what an earlier node left", LOG_U("round", round));
	return 0;
}

int supervisor_run(struct config *c, const struct supervisor_options *o)
{
	struct node n = { .config = c, .ready_fd = o->ready_fd, .pid_file = o->pid_file, .lock_fd = -1, .sweep_at_ms = TIME_NEVER, .started_at_ms = clock_mono_ms() };
	enum log_format format = LOG_LOGFMT;
	enum log_level level = LOG_INFO;
	uint64_t incarnation = 1, seed = 0;
	int code = 71;
	log_format_parse(c->log_format, &format);
	log_level_parse(c->log_level, &level);
	log_setup("trouped", format, o->verbose ? LOG_DEBUG : level, 2);
	fault_role("trouped");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || loop_open(&n.loop) != 0) {
		log_error("the system refuses what a supervisor needs", LOG_S("why", strerror(errno)));
		return 71;
	}
	code = prepare(&n, &incarnation);
	if (code) {
		loop_close(n.loop);
		return code;
	}
	sigset_t set;
	sigemptyset(&set);
	int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD };
	for (size_t i = 0; i < ELEMENTS(signals); i++)
		sigaddset(&set, signals[i]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	rng_system(&seed, sizeof seed);
	if (loop_signals(n.loop, &set, on_signal, &n) != 0 || config_tree(c, &(struct tree_config){ seed, incarnation, 1 }, stderr, &n.tree) != 0) {
		loop_close(n.loop);
		return 71;
	}
	n.ping_at_ms = clock_mono_ms() + PING_EVERY_MS;
	struct event boot = { .kind = EVENT_BOOT, .now_ms = clock_mono_ms() };
	step(&n, &boot);
	code = loop_run(n.loop, tick, &n);
	while (n.processes)
		process_free(&n, n.processes);
	while (n.monitors) {
		struct monitor *m = n.monitors;
		n.monitors = m->next;
		free(m);
	}
	if (o->pid_file)
		unlink(o->pid_file);
	tree_free(n.tree);
	loop_close(n.loop);
	log_info("node has stopped", LOG_I("status", code));
	return code < 0 ? 70 : code;
}
