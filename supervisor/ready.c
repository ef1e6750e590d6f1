/* When a node is ready: its tree has been gone through, and Troupe's own actors are up, without which it is no node. One that crashes meanwhile is waited for; one that
 * cannot be started at all, or that is not up in time, ends the start, so that nobody takes a node for running that cannot serve. Workers and other programs are not
 * waited for: a pool that is broken must not keep the others from their work. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/log.h"
#include "supervisor/node.h"

#define PATIENCE_MS 90000u

/* Is it one of ours, and has it still to come up? */
static bool is_missing(const struct child *c)
{
	const struct config_node *k = c->user;
	if (c->sup || !k || k->kind != CONFIG_PROCESS || k->pool || strcmp(k->title, "child") == 0)
		return false;
	return c->state != CHILD_UP && c->state != CHILD_DONE && !c->held;
}

static void give_up(struct node *n, const struct child *c, uint64_t now_ms)
{
	log_error(c->state == CHILD_FAILED ? "the node cannot start: an actor cannot be started" : "the node cannot start: an actor does not come up", LOG_S("child", c->name),
	          LOG_S("state", child_state_name(c->state)));
	n->start_failed = n->stopping = true;
	spares_end(n);
	step(n, &(struct event){ .kind = EVENT_SHUTDOWN, .now_ms = now_ms, .within_ms = n->config->stop_timeout_ms, .fast = true });
}

static void say_ready(struct node *n)
{
	n->up = true;
	if (n->pid_file) {
		FILE *f = fopen(n->pid_file, "we");
		if (!f || fprintf(f, "%d\n", (int)getpid()) < 0)
			log_error("pid file cannot be written", LOG_S("path", n->pid_file), LOG_S("why", strerror(errno)));
		if (f)
			fclose(f);
	}
	if (n->ready_fd >= 0) {
		ssize_t ignored = write(n->ready_fd, "\n", 1);
		(void)ignored;
		close(n->ready_fd);
		n->ready_fd = -1;
	}
	notify_send(&n->notify, "READY=1\nSTATUS=running\nMAINPID=%d", (int)getpid());
	if (n->notify.watchdog_ms)
		n->watchdog_at_ms = loop_now_ms(n->loop);
	log_info("node is up", LOG_S("run_dir", n->config->run_dir), LOG_U("pid", getpid()));
	outbox_say(n, "info", "node.up", NULL, NULL, "trouped %s, pid %d", TROUPE_VERSION, (int)getpid());
}

void ready_look(struct node *n, uint64_t now_ms)
{
	if (!n->tree_up || n->up || n->stopping)
		return;
	if (!n->ready_by_ms)
		n->ready_by_ms = now_ms + PATIENCE_MS;
	bool missing = false;
	for (const struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c)) {
		if (!is_missing(c))
			continue;
		missing = true;
		if (c->state == CHILD_FAILED || now_ms >= n->ready_by_ms) {
			give_up(n, c, now_ms);
			return;
		}
	}
	if (!missing)
		say_ready(n);
}
