/* What is told to each server at its start. */
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bench/bench.h"
#include "tests/bench/peers/server.h"

/* --- beanstalkd: a log, synced before each INSERTED and DELETED --- */

static bool beanstalkd_found(void) { return access("/usr/bin/beanstalkd", X_OK) == 0; }

static void beanstalkd_prepare(const struct server *s)
{
	char data[128];
	snprintf(data, sizeof(data), "%s/data", s->dir);
	MUST(mkdir(data, 0700) == 0);
}

static void beanstalkd_exec(const struct server *s)
{
	char data[128], listen[160];
	snprintf(data, sizeof(data), "%s/data", s->dir);
	snprintf(listen, sizeof(listen), "unix:%s", s->socket);
	execl("/usr/bin/beanstalkd", "beanstalkd", "-b", data, "-f", "0", "-l", listen, (char *)NULL);
}

const struct server_kind server_beanstalkd = { .name = "beanstalkd", .package = "beanstalkd", .found = beanstalkd_found, .prepare = beanstalkd_prepare,
	.exec = beanstalkd_exec, .socket = "s", .stop_signal = SIGTERM };

/* --- Redis: one fdatasync for all that one round of its loop has done, before the answers leave; never rewritten meanwhile --- */

static bool redis_found(void) { return access("/usr/bin/redis-server", X_OK) == 0; }

static void redis_exec(const struct server *s)
{
	execl("/usr/bin/redis-server", "redis-server", "--port", "0", "--unixsocket", s->socket, "--dir", s->dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
	      "--auto-aof-rewrite-percentage", "0", "--daemonize", "no", (char *)NULL);
}

const struct server_kind server_redis = { .name = "Redis", .package = "redis-server", .found = redis_found, .exec = redis_exec, .socket = "s", .stop_signal = SIGTERM };

/* --- PostgreSQL: not as root, so as the user of its package where we are root --- */

#define SETTINGS \
	"fsync = on\nsynchronous_commit = on\nshared_buffers = 256MB\nmax_wal_size = 8GB\nautovacuum_naptime = 1s\nlisten_addresses = ''\nport = 5432\n" \
	"unix_socket_permissions = 0777\n"

static bool newest(const char *program, char *ret, size_t size)
{
	char pattern[96];
	glob_t g;
	snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", program);
	bool found = glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc > 0;
	if (found)
		snprintf(ret, size, "%s", g.gl_pathv[g.gl_pathc - 1]);
	globfree(&g);
	return found;
}

static bool postgres_found(void)
{
	char path[128];
	return newest("initdb", path, sizeof(path)) && newest("postgres", path, sizeof(path)) && (geteuid() != 0 || getpwnam("postgres"));
}

static void become_postgres(void)
{
	const struct passwd *p = geteuid() == 0 ? getpwnam("postgres") : NULL;
	if (p)
		MUST(initgroups(p->pw_name, p->pw_gid) == 0 && setgid(p->pw_gid) == 0 && setuid(p->pw_uid) == 0);
	MUST(setenv("HOME", "/", 1) == 0);
}

static void postgres_initdb(const struct server *s)
{
	char path[128], data[128];
	int status;
	MUST(newest("initdb", path, sizeof(path)));
	snprintf(data, sizeof(data), "%s/data", s->dir);
	pid_t pid = bench_child();
	if (pid == 0) {
		MUST(freopen("/dev/null", "w", stdout) && chdir(s->dir) == 0);
		become_postgres();
		execl(path, "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", (char *)NULL);
		_exit(127);
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void postgres_prepare(const struct server *s)
{
	char path[160];
	const struct passwd *p = geteuid() == 0 ? getpwnam("postgres") : NULL;
	if (p)
		MUST(chown(s->dir, p->pw_uid, p->pw_gid) == 0);
	postgres_initdb(s);
	snprintf(path, sizeof(path), "%s/data/postgresql.conf", s->dir);
	FILE *f = fopen(path, "a");
	MUST(f && fprintf(f, SETTINGS "unix_socket_directories = '%s'\n", s->dir) > 0 && fclose(f) == 0);
}

static void postgres_exec(const struct server *s)
{
	char path[128], data[128];
	MUST(newest("postgres", path, sizeof(path)) && chdir(s->dir) == 0);
	snprintf(data, sizeof(data), "%s/data", s->dir);
	become_postgres();
	MUST(prctl(PR_SET_PDEATHSIG, SIGINT) == 0); /* a change of user has taken it back */
	execl(path, "postgres", "-D", data, (char *)NULL);
}

/* It takes connections long before it answers any. */
static bool postgres_answers(const struct server *s)
{
	char path[128], line[64];
	bool ready = false;
	snprintf(path, sizeof(path), "%s/data/postmaster.pid", s->dir);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		ready = strncmp(line, "ready", 5) == 0;
	if (f)
		fclose(f);
	return ready;
}

void postgres_where(const struct server *s, char *ret, size_t size)
{
	snprintf(ret, size, "host=%s port=5432 user=bench dbname=postgres", s->dir);
}

const struct server_kind server_postgres = { .name = "PostgreSQL", .package = "postgresql libpq-dev", .found = postgres_found, .prepare = postgres_prepare, .exec = postgres_exec,
	.socket = ".s.PGSQL.5432", .stop_signal = SIGINT, .answers = postgres_answers };
