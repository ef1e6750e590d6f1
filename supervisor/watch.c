/* Hung children: no answer to a ping (stopped, or stuck in their loop), a turn or a commit that takes too long by the status cell.
 *
 * And the service manager's watchdog, which is to notice what we do not: it is told of life only when each coordinator that is up has answered from a turn that
 * committed. One that is not up is our own business: it is being started, or an operator knows why not. */
#include <stdio.h>
#include <string.h>
#include "common/base/log.h"
#include "supervisor/node.h"

#define PING_PATIENCE_MS 10000u

void watch_hung(struct process *p, enum reason reason, const char *detail)
{
	struct event e = { .kind = EVENT_HUNG, .now_ms = loop_now_ms(p->node->loop), .child = p->child, .incarnation = p->incarnation, .reason = reason, .detail = detail };
	log_warn("hung", LOG_S("child", p->child->name), LOG_S("why", detail));
	snprintf(p->hung, sizeof p->hung, "%s", detail);
	step(p->node, &e);
}

static void ping(struct process *p, uint64_t nonce, bool deep)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__PingChild ask = TROUPE__PING_CHILD__INIT;
	ask.nonce = nonce;
	ask.deep = deep;
	c.body_case = TROUPE__CONTROL__BODY_PING;
	c.ping = &ask;
	process_send(p, &c);
}

void watch_children(struct node *n, uint64_t now_ms)
{
	uint64_t late_ms = loop_lateness_ms(n->loop);
	for (struct process *p = n->processes, *next; p; p = next) {
		next = p->next; /* a hung child is only killed here: nobody is freed */
		if (p->pid <= 0 || p->life.fd < 0 || p->child->state != CHILD_UP || p->child->incarnation != p->incarnation)
			continue;
		if (p->pinged_at_ms && now_ms >= p->pinged_at_ms + PING_PATIENCE_MS + late_ms) {
			p->pinged_at_ms = 0;
			watch_hung(p, REASON_WATCHDOG, "no answer to a ping");
			continue;
		}
		if (!p->pinged_at_ms) {
			p->pinged_at_ms = now_ms;
			ping(p, now_ms, false);
		}
		if (!p->cell)
			continue;
		struct status_cell cell;
		status_read(p->cell, &cell);
		uint64_t limit_ms = cell.phase == PHASE_TURN ? n->config->turn_timeout_ms : cell.phase == PHASE_COMMIT ? n->config->disk_timeout_ms : 0;
		if (limit_ms && cell.since_ms <= now_ms && now_ms - cell.since_ms > limit_ms + late_ms)
			watch_hung(p, REASON_TURN_TIMEOUT, cell.phase == PHASE_TURN ? "a turn is older than turn_timeout" : "a commit is older than disk_timeout");
	}
}

/* --- the service manager's watchdog --- */

static bool is_up(const struct process *p)
{
	return p->pid > 0 && p->life.fd >= 0 && p->child->state == CHILD_UP && p->child->incarnation == p->incarnation;
}

static void watchdog_conclude(const struct node *n)
{
	for (const struct process *p = n->processes; p; p = p->next)
		if (p->deep_nonce && is_up(p))
			return;
	notify_send(&n->notify, "WATCHDOG=1");
}

void watchdog_answered(struct process *p)
{
	p->deep_nonce = 0;
	watchdog_conclude(p->node);
}

void watchdog_round(struct node *n, uint64_t now_ms)
{
	for (struct process *p = n->processes; p; p = p->next) {
		if (!is_up(p) || strncmp(p->child->name, "coordinator:", 12) != 0)
			continue;
		p->deep_nonce = NONCE_DEEP | ++n->next_ref;
		ping(p, p->deep_nonce, true);
	}
	n->watchdog_at_ms = now_ms + n->notify.watchdog_ms / 3;
	watchdog_conclude(n);
}
