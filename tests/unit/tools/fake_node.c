#include "tests/unit/tools/fake_node.h"
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/io/peer.h"

static char dir[64];
static struct loop *loop;
static struct peer_hub *hub;
static unsigned incarnation;

static void reply(struct peer *p, const Troupe__Envelope *to, Troupe__Envelope *env)
{
	env->kind = env->body_case == TROUPE__ENVELOPE__BODY_ERROR ? TROUPE__KIND__ERROR : TROUPE__KIND__REPLY;
	env->reply_to = to->id;
	peer_send(p, env);
}

static void reply_error(struct peer *p, const Troupe__Envelope *to, int code, uint32_t retry_after_ms)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	f.code = (uint32_t)code;
	f.text = (char *)"as asked";
	f.retryable = retry_after_ms > 0;
	f.retry_after_ms = retry_after_ms;
	env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env.error = &f;
	reply(p, to, &env);
}

static void note(const char *word, size_t len, const ProtobufCBinaryData *id)
{
	char path[128], line[256];
	int n = snprintf(line, sizeof line, "%.*s ", (int)len, word);
	for (size_t i = 0; i < id->len; i++)
		n += snprintf(line + n, sizeof line - (size_t)n, "%02x", id->data[i]);
	line[n++] = '\n';
	snprintf(path, sizeof path, "%s/seen", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert(write(fd, line, (size_t)n) == n);
	close(fd);
}

/* true the first n times, over all incarnations */
static bool first_times(const char *what, unsigned n)
{
	char path[128];
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s.%u", dir, what, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd >= 0) {
			close(fd);
			return true;
		}
	}
	return false;
}

static bool is(const char *word, const char *data, size_t len) { return strlen(word) == len && memcmp(word, data, len) == 0; }

static void actor_message(struct peer *p, const Troupe__Envelope *env)
{
	bool ping = env->body_case == TROUPE__ENVELOPE__BODY_PING;
	const char *word = ping ? (const char *)env->ping->data.data : env->type;
	size_t len = ping ? env->ping->data.len : strlen(env->type);
	note(word, len, &env->id);
	if (is("silent", word, len))
		return;
	if (is("busy", word, len)) {
		reply_error(p, env, ERROR_BUSY, 20);
		return;
	}
	if (is("stopping", word, len) && first_times("stopping", 3)) {
		reply_error(p, env, ERROR_STOPPING, 0);
		return;
	}
	if (is("die-once", word, len) && first_times("die-once", 1))
		_exit(9);
	if (is("push", word, len)) {
		Troupe__Envelope push = TROUPE__ENVELOPE__INIT;
		Troupe__Finished f = TROUPE__FINISHED__INIT;
		push.kind = TROUPE__KIND__EVENT;
		push.body_case = TROUPE__ENVELOPE__BODY_FINISHED;
		push.finished = &f;
		peer_send(p, &push);
	}
	Troupe__Envelope answer = TROUPE__ENVELOPE__INIT;
	Troupe__Pong pong = TROUPE__PONG__INIT;
	if (env->kind != TROUPE__KIND__ASK)
		return;
	if (ping) {
		pong.data = env->ping->data;
		pong.incarnation = incarnation;
		answer.body_case = TROUPE__ENVELOPE__BODY_PONG;
		answer.pong = &pong;
	} else {
		answer.payload = env->payload;
	}
	reply(p, env, &answer);
}

static void front_message(struct peer *p, const Troupe__Envelope *env)
{
	Troupe__Envelope answer = TROUPE__ENVELOPE__INIT;
	Troupe__Location at = TROUPE__LOCATION__INIT;
	char path[128], where[128] = "";
	if (env->body_case != TROUPE__ENVELOPE__BODY_WHEREIS) {
		reply_error(p, env, ERROR_NO_VERB, 0);
		return;
	}
	if (strcmp(env->whereis->address, "unknown:1") == 0) {
		reply_error(p, env, ERROR_NO_ACTOR, 0);
		return;
	}
	at.address = env->whereis->address;
	at.state = TROUPE__ACTOR_STATE__ACTOR_BACKOFF;
	snprintf(path, sizeof path, "%s/where", dir);
	FILE *f = strcmp(at.address, "echo:1") == 0 ? fopen(path, "re") : NULL;
	if (f && fgets(where, sizeof where, f)) {
		at.path = where;
		at.state = TROUPE__ACTOR_STATE__ACTOR_UP;
	}
	if (f)
		fclose(f);
	answer.body_case = TROUPE__ENVELOPE__BODY_LOCATION;
	answer.location = &at;
	reply(p, env, &answer);
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ctx)
			actor_message(p, env[i]);
		else
			front_message(p, env[i]);
	}
	peer_grant(p, (uint32_t)n);
}

static void on_up(void *ctx, struct peer *p) { }
static void on_down(void *ctx, struct peer *p, const struct error *why) { }

static uint64_t tick(void *ctx, uint64_t now_ms)
{
	peer_hub_flush(hub);
	uint64_t deadline_ms = peer_hub_tick(hub, now_ms);
	return deadline_ms;
}

static void serve(const char *path, bool actor)
{
	static const struct peer_events events = { .up = on_up, .envelopes = on_envelopes, .down = on_down };
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4u << 20, .credit = 64, .anonymous_credit = 16 };
	char url[160], tmp[160];
	struct error e = { .code = ERROR_NONE };
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	snprintf(c.address, sizeof c.address, "%s", actor ? "echo:1" : "front:main");
	c.incarnation = incarnation;
	assert(loop_open(&loop) == 0);
	assert(peer_hub_open(loop, &c, &events, actor ? &dir : NULL, &hub) == 0);
	snprintf(url, sizeof url, "ipc://%s", path);
	assert(peer_listen(hub, url, 0600, &e) == 0);
	if (actor) {
		snprintf(tmp, sizeof tmp, "%s/where.new", dir);
		snprintf(url, sizeof url, "%s/where", dir);
		FILE *f = fopen(tmp, "we");
		fputs(path, f);
		fclose(f);
		assert(rename(tmp, url) == 0);
	}
	loop_run(loop, tick, NULL);
	_exit(1);
}

static void child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		_exit(1);
}

/* Starts front once and the actor again and again. Touches no nng itself. */
static void supervise(void)
{
	char path[128];
	child();
	if (fork() == 0) {
		child();
		snprintf(path, sizeof path, "%s/front", dir);
		serve(path, false);
	}
	for (incarnation = 1;; incarnation++) {
		pid_t pid = fork();
		if (pid == 0) {
			child();
			snprintf(path, sizeof path, "%s/actor.%u", dir, incarnation);
			serve(path, true);
		}
		while (waitpid(pid, NULL, 0) < 0)
			;
		snprintf(path, sizeof path, "%s/where", dir);
		unlink(path);
	}
}

void fake_node_start(struct fake_node *n)
{
	char path[128];
	struct stat st;
	strcpy(n->dir, "/tmp/troupe-client.XXXXXX");
	assert(mkdtemp(n->dir));
	strcpy(dir, n->dir);
	n->pid = fork();
	if (n->pid == 0)
		supervise();
	/* front answers when its socket is there; the actor is found when it is */
	snprintf(path, sizeof path, "%s/front", dir);
	uint64_t until_ms = clock_mono_ms() + 5000;
	while (stat(path, &st) < 0) {
		assert(clock_mono_ms() < until_ms);
		usleep(1000);
	}
}

void fake_node_stop(struct fake_node *n)
{
	char command[128];
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
	snprintf(command, sizeof command, "rm -rf %s", n->dir);
	assert(system(command) == 0);
}

void fake_node_seen(const struct fake_node *n, const char *word, size_t *ret_requests, size_t *ret_ids)
{
	char path[128], line[256], ids[64][40];
	*ret_requests = *ret_ids = 0;
	snprintf(path, sizeof path, "%s/seen", n->dir);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		size_t len = strlen(word), i = 0;
		if (strncmp(line, word, len) != 0 || line[len] != ' ')
			continue;
		++*ret_requests;
		while (i < *ret_ids && strcmp(ids[i], line + len + 1) != 0)
			i++;
		if (i == *ret_ids && i < 64)
			snprintf(ids[(*ret_ids)++], sizeof ids[0], "%s", line + len + 1);
	}
	if (f)
		fclose(f);
}
