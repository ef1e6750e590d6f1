/* --control-fd: who started this node may ask on a socket of its own what operators ask through front. A packet is one Control with a relay, an answer comes by the
 * same ref; the rest of the protocol is not for it. When its end is closed, the node goes on without. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "supervisor/node.h"

#define PACKETS_A_ROUND 64

static void drain(struct process *p)
{
	for (unsigned i = 0; i < PACKETS_A_ROUND; i++) {
		struct arena *a = NULL;
		Troupe__Control *c = NULL;
		struct error e = { 0 };
		int fd = -1;
		int r = lifeline_receive(&p->life, &a, &c, &fd, &e);
		if (fd >= 0)
			close(fd);
		if (r == ERROR_NOT_FOUND)
			return;
		if (r < 0) {
			loop_remove(&p->life_source);
			lifeline_fini(&p->life);
			p->life.fd = -1;
			return;
		}
		if (r == 0 && c->body_case == TROUPE__CONTROL__BODY_RELAY)
			ask_relay(p, c->ref, c->relay);
		else
			log_warn("the control socket takes requests only", LOG_S("why", r ? e.text : "no relay"));
		if (r == 0)
			arena_unref(a);
	}
}

static void on_socket(struct loop_source *s, uint32_t events)
{
	struct process *p = container_of(s, struct process, life_source);
	if ((events & EPOLLOUT) && lifeline_flush(&p->life) == 0)
		loop_modify(s, EPOLLIN | (lifeline_wants_write(&p->life) ? EPOLLOUT : 0));
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		drain(p);
}

int starter_open(struct node *n, int fd)
{
	int type = 0;
	socklen_t len = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return -errno;
	if (type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	struct process *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
		free(p);
		return -errno;
	}
	*p = (struct process){ .node = n, .incarnation = STARTER_INCARNATION, .pid = getppid() };
	lifeline_init(&p->life, fd);
	n->starter = p;
	return loop_add(n->loop, &p->life_source, fd, EPOLLIN, on_socket);
}

void starter_close(struct node *n)
{
	if (!n->starter)
		return;
	loop_remove(&n->starter->life_source);
	if (n->starter->life.fd >= 0)
		lifeline_fini(&n->starter->life);
	free(n->starter);
	n->starter = NULL;
}
