/* stub SOCKET: a child of a supervisor that does what a driver tells it; "stub -" is ready at once, stops when asked, and nothing else. No library: it starts as fast as a
 * program can.
 *
 * On SOCKET (SEQPACKET) it says "hello NAME INCARNATION PID", "stop" (a STOP frame came), "term" (a SIGTERM), and is told:
 *   ready [INFO] | ignore | failed TEXT | bye | exit N | quiet (answers no ping from now on) */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIFELINE 3
#define TEXT_MAX 127u

/* Numbers of Control's members: control.proto. */
enum { PING = 3, STOP = 4, READY = 20, IGNORE = 21, START_FAILED = 22, PONG = 23, BYE = 24 };

static bool quiet;

/* One Control with one member of at most 127 bytes. */
static void say(unsigned member, const void *body, size_t len)
{
	unsigned char packet[3 + TEXT_MAX];
	unsigned tag = member << 3 | 2;
	packet[0] = (unsigned char)((tag & 127) | 128);
	packet[1] = (unsigned char)(tag >> 7);
	packet[2] = (unsigned char)len;
	memcpy(packet + 3, body, len);
	(void)!send(LIFELINE, packet, len + 3, MSG_NOSIGNAL);
}

/* A member that is a message of one text, its first field. */
static void say_text(unsigned member, const char *text)
{
	unsigned char body[TEXT_MAX];
	size_t len = strlen(text) < TEXT_MAX - 2 ? strlen(text) : TEXT_MAX - 2;
	body[0] = 1 << 3 | 2;
	body[1] = (unsigned char)len;
	memcpy(body + 2, text, len);
	say(member, body, len ? len + 2 : 0);
}

static int call_driver(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char hello[300];
	const char *child = getenv("TROUPE_CHILD");
	const char *dot = child ? strrchr(child, '.') : NULL;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (!dot || fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
		_exit(99);
	int n = snprintf(hello, sizeof hello, "hello %s %d %.*s", dot + 1, (int)getpid(), (int)(dot - child), child);
	(void)!send(fd, hello, (size_t)n, MSG_NOSIGNAL);
	return fd;
}

static void obey(const char *order)
{
	static const unsigned char shutdown_reason[] = { 1 << 3, 2 };
	const char *arg = strchr(order, ' ') ? strchr(order, ' ') + 1 : "";
	if (strncmp(order, "ready", 5) == 0) {
		say_text(READY, arg);
	} else if (strcmp(order, "ignore") == 0) {
		say(IGNORE, "", 0);
		_exit(0);
	} else if (strncmp(order, "failed", 6) == 0) {
		say_text(START_FAILED, arg);
		_exit(1);
	} else if (strcmp(order, "bye") == 0) {
		say(BYE, shutdown_reason, sizeof shutdown_reason);
		_exit(0);
	} else if (strncmp(order, "exit", 4) == 0) {
		_exit(atoi(arg));
	} else if (strcmp(order, "quiet") == 0) {
		quiet = true;
	}
}

static void hear_supervisor(int driver)
{
	static unsigned char packet[200 * 1024];
	ssize_t n = recv(LIFELINE, packet, sizeof packet, MSG_DONTWAIT);
	if (n == 0)
		_exit(1); /* it is gone */
	if (n < 2)
		return;
	unsigned member = packet[0] >> 3;
	if (member == PING && !quiet && packet[1] < TEXT_MAX)
		say(PONG, packet + 2, packet[1]);
	if (member == STOP && driver < 0)
		_exit(0);
	if (member == STOP)
		(void)!send(driver, "stop", 4, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
	sigset_t term;
	if (argc != 2)
		return 64;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	int driver = strcmp(argv[1], "-") == 0 ? -1 : call_driver(argv[1]);
	struct pollfd p[3] = { { LIFELINE, POLLIN, 0 }, { driver, POLLIN, 0 }, { signalfd(-1, &term, SFD_CLOEXEC), POLLIN, 0 } };
	if (driver < 0)
		say(READY, "", 0);
	for (;;) {
		struct signalfd_siginfo si;
		char order[200];
		if (poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents)
			hear_supervisor(driver);
		if (p[2].revents && read(p[2].fd, &si, sizeof si) == (ssize_t)sizeof si) {
			if (driver < 0)
				return 0;
			(void)!send(driver, "term", 4, MSG_NOSIGNAL);
		}
		if (p[1].revents) {
			ssize_t n = recv(driver, order, sizeof order - 1, MSG_DONTWAIT);
			if (n == 0)
				return 1; /* the driver is gone */
			if (n > 0) {
				order[n] = 0;
				obey(order);
			}
		}
	}
}
