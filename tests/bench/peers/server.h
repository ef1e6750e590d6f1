#pragma once
/* Servers of other people, each started as a process of the benchmark's own: on a unix socket in a directory beside the node's, with its data there, and stopped again. Nothing
 * is installed and no service of the machine is touched; ./install installs what is missing. */
#include <stdbool.h>
#include <sys/types.h>

struct server {
	const struct server_kind *kind;
	char dir[96], socket[128];
	pid_t pid;
};
struct server_kind {
	const char *name, *package;                /* Debian's */
	bool (*found)(void);
	void (*prepare)(const struct server *s);   /* its directory, before the start; may be NULL */
	void (*exec)(const struct server *s);      /* in the child; does not return */
	const char *socket;                        /* in dir */
	int stop_signal;
	/* Of the server that runs: true when it answers. NULL: when it takes a connection. */
	bool (*answers)(const struct server *s);
};
/* Each in the mode in which it says yes after fdatasync: -f 0; appendfsync always; synchronous_commit on. */
extern const struct server_kind server_beanstalkd, server_redis, server_postgres;

/* false, with a line on stderr that names the package, when there is none on this machine. */
bool server_found(const struct server_kind *kind);
void server_start(const struct server_kind *kind, struct server *ret);  /* returns when it answers */
void server_stop(struct server *s);                                     /* and removes its data */
int server_connect(const struct server *s);                             /* a stream socket */
/* PostgreSQL's words for where it is. */
void postgres_where(const struct server *s, char *ret, size_t size);
