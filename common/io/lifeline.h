#pragma once
/* The control plane: one SOCK_SEQPACKET socketpair per child; its end is fd 3 of the child. Packets are packed troupe.Control.
 * Never blocks; what the socket does not take waits in a bounded queue (256 packets or 1 MiB). No nng. */
#include "common/io/loop.h"
#include "common/wire/codec.h"
#define LIFELINE_FD 3
struct lifeline {
	int fd;                  /* -1 when closed */
	struct lifeline_packet *head, **tail;
	size_t queued, queued_bytes;
};
/* Both CLOEXEC and non-blocking. 0; -errno, -ENOBUFS where net.core.wmem_max allows no packet of WIRE_CONTROL_MAX. */
int lifeline_pair(int ret_parent_child[2]);
void lifeline_init(struct lifeline *l, int fd);             /* owns fd */
void lifeline_fini(struct lifeline *l);
/* Sends or queues; pass_fd >= 0 goes along by SCM_RIGHTS (stays the caller's; a queued packet keeps a dup).
 * 0; ERROR_BUSY when the queue is full (nothing was queued); ERROR_TOO_LARGE over WIRE_CONTROL_MAX; -EPIPE when the other end is gone,
 * another negative code: the line is unusable. */
int lifeline_send(struct lifeline *l, const Troupe__Control *c, int pass_fd);
int lifeline_flush(struct lifeline *l);                     /* 0, or negative as above; call when writable */
bool lifeline_wants_write(const struct lifeline *l);        /* ask for EPOLLOUT */
/* Next packet. 0 with an arena that the caller unrefs and an fd (or -1) that the caller owns; ERROR_NOT_FOUND when there is none now;
 * ERROR_BAD_REQUEST for a packet that does not decode (it is consumed); -EPIPE at the end, after everything that was sent before it; -ENOMEM.
 * At most one fd per packet, others are closed. */
int lifeline_receive(struct lifeline *l, struct arena **ret_arena, Troupe__Control **ret, int *ret_fd, struct error *e);
