#include "supervisor/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/parse.h"

void notify_open(struct notify *n)
{
	const char *path = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us = 0, for_pid = 0;
	*n = (struct notify){ .fd = -1, .to.sun_family = AF_UNIX };
	if (watchdog && parse_number(watchdog, 1, UINT64_MAX, &us, NULL) == 0 && (!pid || (parse_number(pid, 1, INT32_MAX, &for_pid, NULL) == 0 && (pid_t)for_pid == getpid())))
		n->watchdog_ms = us / 1000;
	size_t len = path ? strlen(path) : 0;
	if (len > 1 && len < sizeof n->to.sun_path && (*path == '/' || *path == '@')) {
		memcpy(n->to.sun_path, path, len + 1);
		if (*path == '@')
			n->to.sun_path[0] = 0;
		n->to_len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + len + (*path == '/'));
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void notify_send(const struct notify *n, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	int len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (len > 0)
		sendto(n->fd, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len);
}
