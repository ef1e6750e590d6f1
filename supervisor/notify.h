#pragma once
/* The service manager's protocol, by hand (sd_notify(3)): one datagram of NAME=value lines to $NOTIFY_SOCKET. Never blocks, never fails loudly. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>
struct notify { int fd; struct sockaddr_un to; unsigned to_len; uint64_t watchdog_ms; /* 0: none is wanted */ };
void notify_open(struct notify *n);   /* takes the variables out of the environment: they are for us, not for children */
void notify_close(struct notify *n);
void notify_send(const struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
