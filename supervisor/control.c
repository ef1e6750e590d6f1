/* What children say on their lifelines. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/fault.h"
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "supervisor/node.h"

#define PACKETS_A_ROUND 256

void locate(struct node *n, const char *address, Troupe__Location *ret, char *path)
{
	const struct child *c = tree_find(n->tree, address);
	troupe__location__init(ret);
	ret->address = (char *)address;
	if (!c)
		return;
	const struct process *p = process_of(n, c);
	ret->incarnation = c->incarnation;
	ret->state = process_state(c);
	if (p && c->state == CHILD_UP) {
		ret->pid = (uint32_t)p->pid;
		process_socket(n, c, path, PATH_MAX);
		ret->path = path;
	}
}

static void on_ready(struct process *p, const Troupe__Control *c, int fd)
{
	struct event e = { .kind = EVENT_READY, .now_ms = loop_now_ms(p->node->loop), .child = p->child, .incarnation = p->incarnation, .detail = c->ready->info };
	struct error why = { 0 };
	if (fd >= 0 && !p->cell && status_map(fd, &p->cell, &why))
		log_warn("status cell refused", LOG_S("child", p->child->name), LOG_S("why", why.text));
	fault_point("spawn.after_ready");
	step(p->node, &e);
}

static void on_whereis(struct process *p, const Troupe__Control *c)
{
	char path[PATH_MAX] = "";
	Troupe__Location l;
	Troupe__Control out = TROUPE__CONTROL__INIT;
	locate(p->node, c->whereis->address, &l, path);
	out.ref = c->ref;
	out.body_case = TROUPE__CONTROL__BODY_LOCATED;
	out.located = &l;
	process_send(p, &out);
}

static void on_start_failed(struct process *p, const Troupe__StartFailed *f)
{
	snprintf(p->start_failed, sizeof p->start_failed, "%s", *f->text ? f->text : "START_FAILED");
	utf8_clean(p->start_failed);
	p->start_fatal = f->fatal;
	log_warn("start failed", LOG_S("child", p->child->name), LOG_S("why", p->start_failed));
}

/* An actor's event: what it says of itself is its own word, but it cannot speak for another. */
static void on_emit(struct process *p, const Troupe__Event *said)
{
	Troupe__Event ev = *said;
	ev.actor = (char *)p->child->name;
	ev.offset = 0;
	outbox_event(p->node, &ev);
}

/* Requests of operators come through front, which has looked at their role; from another child they would be its own. */
static bool is_front(const struct process *p)
{
	const struct config_node *k = p->child->user;
	return k && k->front;
}

static void handle(struct process *p, const Troupe__Control *c, int fd)
{
	struct event e = { .now_ms = loop_now_ms(p->node->loop), .child = p->child, .incarnation = p->incarnation };
	switch (c->body_case) {
	case TROUPE__CONTROL__BODY_READY:
		on_ready(p, c, fd);
		return;
	case TROUPE__CONTROL__BODY_IGNORE:
		e.kind = EVENT_IGNORED;
		step(p->node, &e);
		return;
	case TROUPE__CONTROL__BODY_START_FAILED:
		on_start_failed(p, c->start_failed);
		return;
	case TROUPE__CONTROL__BODY_PONG:
		if (!(c->pong->nonce & NONCE_DEEP))
			p->pinged_at_ms = 0;
		else if (c->pong->nonce == p->deep_nonce)
			watchdog_answered(p);
		return;
	case TROUPE__CONTROL__BODY_BYE:
		p->said_bye = true;
		p->bye = c->bye->reason;
		return;
	case TROUPE__CONTROL__BODY_NOTE:
		snprintf(p->note, sizeof p->note, "%s", c->note->text);
		utf8_clean(p->note);
		return;
	case TROUPE__CONTROL__BODY_WHEREIS:
		on_whereis(p, c);
		return;
	case TROUPE__CONTROL__BODY_MONITOR:
		monitor_add(p, c->monitor);
		return;
	case TROUPE__CONTROL__BODY_DEMONITOR:
		monitor_drop(p->node, p->incarnation, c->demonitor);
		return;
	case TROUPE__CONTROL__BODY_LINK:
		link_add(p, c->link);
		return;
	case TROUPE__CONTROL__BODY_UNLINK:
		link_drop(p, c->unlink);
		return;
	case TROUPE__CONTROL__BODY_RELAY:
		if (!is_front(p))
			break;
		ask_relay(p, c->ref, c->relay);
		return;
	case TROUPE__CONTROL__BODY_EMIT:
		on_emit(p, c->emit);
		return;
	case TROUPE__CONTROL__BODY_STORED:
		outbox_stored(p->node, c->ref);
		return;
	case TROUPE__CONTROL__BODY__NOT_SET: case TROUPE__CONTROL__BODY_SETUP: case TROUPE__CONTROL__BODY_PING: case TROUPE__CONTROL__BODY_STOP:
	case TROUPE__CONTROL__BODY_RELOAD: case TROUPE__CONTROL__BODY_LOCATED: case TROUPE__CONTROL__BODY_DOWN: case TROUPE__CONTROL__BODY_SUSPECT:
	case TROUPE__CONTROL__BODY_ANSWER: case TROUPE__CONTROL__BODY_EVENT: case _TROUPE__CONTROL__BODY__CASE_IS_INT_SIZE:
		break;
	}
	log_warn("a child sent what is not for it to say", LOG_S("child", p->child->name), LOG_U("body", c->body_case));
}

void control_drain(struct process *p)
{
	for (unsigned i = 0; i < PACKETS_A_ROUND && p->life.fd >= 0; i++) {
		struct arena *a = NULL;
		Troupe__Control *c = NULL;
		struct error e = { 0 };
		int fd = -1;
		int r = lifeline_receive(&p->life, &a, &c, &fd, &e);
		if (r == 0) {
			handle(p, c, fd);
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

void control_ready(struct loop_source *s, uint32_t events)
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
		control_drain(p);
}
