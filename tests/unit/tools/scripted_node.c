/* scripted-node DIR: a front and a coordinator that answers what a test wrote down, so that requests can be looked at which no queue need understand.
 *
 * A request of the verb V, to coordinator:main or to the supervisor, is written to DIR/requests as one line of JSON. Its answer is the n-th line of DIR/V for the n-th
 * one of its kind, the last line for those after it: an envelope as JSON, such as {"changed": {"count": 3}}. Without that file it is refused with NO_VERB. The line
 * "silent" is no answer at all, and at "die" the process exits; one that is started again goes on counting. Behind the n-th answer the n-th line of DIR/V.push, where
 * there is one, is sent unasked. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/io/peer.h"
#include "common/wire/json.h"
#include "common/wire/verb.h"

static const char *dir;
static struct peer_hub *hubs[2];

static void reply(struct peer *p, const Troupe__Envelope *to, Troupe__Envelope *env)
{
	env->kind = env->body_case == TROUPE__ENVELOPE__BODY_ERROR ? TROUPE__KIND__ERROR : TROUPE__KIND__REPLY;
	env->reply_to = to->id;
	assert(peer_send(p, env) == 0);
}

static void note(const Troupe__Envelope *env)
{
	char path[256];
	snprintf(path, sizeof path, "%s/requests", dir);
	FILE *f = fopen(path, "ae");
	json_t *j = json_from_envelope(env);
	assert(f && j);
	json_dumpf(j, f, JSON_COMPACT);
	fputc('\n', f);
	fclose(f);
	json_decref(j);
}

/* How many requests of the verb came before this one, over all lives: a byte in DIR/V.seen for each. */
static unsigned count(const char *verb)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s.seen", dir, verb);
	FILE *f = fopen(path, "ae");
	assert(f);
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	fputc('.', f);
	fclose(f);
	return (unsigned)n;
}

/* The n-th line of the file, or its last one; false: there is none. */
static bool line_of(const char *verb, const char *what, unsigned n, char **text)
{
	char path[256];
	size_t room = 0;
	snprintf(path, sizeof path, "%s/%s%s", dir, verb, what);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	for (unsigned i = 0; i <= n; i++) {
		char *line = NULL;
		room = 0;
		if (getline(&line, &room, f) <= 1) {
			free(line);
			break;
		}
		free(*text);
		*text = line;
	}
	fclose(f);
	return *text != NULL;
}

/* The envelope that is written down, in an arena to unref. */
static struct arena *read_line(const char *text, Troupe__Envelope **ret)
{
	struct error e = { .code = ERROR_NONE };
	json_error_t je;
	struct arena *a = arena_new(16u << 20);
	json_t *j = json_loads(text, 0, &je);
	if (!j || json_to_envelope(j, a, ret, &e) != 0) {
		fprintf(stderr, "scripted-node: %s: %s\n", text, j ? e.text : je.text);
		abort();
	}
	json_decref(j);
	return a;
}

static void push(struct peer *p, const char *text)
{
	Troupe__Envelope *made;
	struct arena *a = read_line(text, &made);
	made->kind = TROUPE__KIND__EVENT;
	assert(peer_send(p, made) == 0);
	arena_unref(a);
}

static void answer(struct peer *p, const Troupe__Envelope *env)
{
	const struct verb *v = verb_find((int)env->body_case);
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *unasked = NULL;
	note(env);
	unsigned n = v ? count(v->name) : 0;
	if (!v || !line_of(v->name, "", n, &text)) {
		Troupe__Envelope refused = TROUPE__ENVELOPE__INIT;
		Troupe__Failure f = TROUPE__FAILURE__INIT;
		f.code = ERROR_NO_VERB;
		f.text = (char *)"nothing is written down for it";
		refused.body_case = TROUPE__ENVELOPE__BODY_ERROR;
		refused.error = &f;
		reply(p, env, &refused);
		return;
	}
	if (strncmp(text, "die", 3) == 0)
		_exit(9);
	if (strncmp(text, "silent", 6) != 0) {
		Troupe__Envelope *made;
		struct arena *a = read_line(text, &made);
		reply(p, env, made);
		arena_unref(a);
	}
	if (line_of(v->name, ".push", n, &unasked) && unasked[0] == '{')
		push(p, unasked);
}

static void locate(struct peer *p, const Troupe__Envelope *env)
{
	Troupe__Envelope found = TROUPE__ENVELOPE__INIT;
	Troupe__Location at = TROUPE__LOCATION__INIT;
	char path[256];
	at.address = env->whereis->address;
	at.state = TROUPE__ACTOR_STATE__ACTOR_UP;
	snprintf(path, sizeof path, "%s/actor", dir);
	at.path = path;
	found.body_case = TROUPE__ENVELOPE__BODY_LOCATION;
	found.location = &at;
	reply(p, env, &found);
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (env[i]->body_case == TROUPE__ENVELOPE__BODY_WHEREIS)
			locate(p, env[i]);
		else
			answer(p, env[i]);
	}
	peer_grant(p, (uint32_t)n);
}

static void on_up(void *ctx, struct peer *p) { }
static void on_down(void *ctx, struct peer *p, const struct error *why) { }

static uint64_t tick(void *ctx, uint64_t now_ms)
{
	uint64_t deadline_ms = UINT64_MAX;
	for (size_t i = 0; i < ELEMENTS(hubs); i++) {
		peer_hub_flush(hubs[i]);
		uint64_t own_ms = peer_hub_tick(hubs[i], now_ms);
		deadline_ms = own_ms < deadline_ms ? own_ms : deadline_ms;
	}
	return deadline_ms;
}

static void listen_as(struct loop *loop, size_t i, const char *address, const char *file)
{
	static const struct peer_events events = { .up = on_up, .envelopes = on_envelopes, .down = on_down };
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4u << 20, .credit = 64, .anonymous_credit = 16, .incarnation = 1 };
	char url[256];
	struct error e = { .code = ERROR_NONE };
	snprintf(c.address, sizeof c.address, "%s", address);
	assert(peer_hub_open(loop, &c, &events, NULL, &hubs[i]) == 0);
	snprintf(url, sizeof url, "ipc://%s/%s", dir, file);
	assert(peer_listen(hubs[i], url, 0600, &e) == 0);
}

int main(int argc, char **argv)
{
	struct loop *loop;
	sigset_t all;
	if (argc != 2)
		return 64;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	dir = argv[1];
	assert(loop_open(&loop) == 0);
	listen_as(loop, 0, "front:main", "front");
	listen_as(loop, 1, "coordinator:main", "actor");
	puts("ready");
	fflush(stdout);
	loop_run(loop, tick, NULL);
	return 1;
}
