/* A real actor process under a small supervisor that lives in the test: socketpair on fd 3, Setup, whereis, and a client of its mailbox. */
#include "tests/suite.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/io/lifeline.h"
#include "common/io/peer.h"
#include "common/io/status.h"
#include "common/wire/id.h"

#define WAIT_MS 10000u
#ifndef ANSWERS_MAX
#define ANSWERS_MAX 64
#endif

struct answer {
	struct id to;
	Troupe__Kind kind;
	int body;
	char type[64], payload[128], text[256];
	uint32_t code;
	uint64_t incarnation;
};

struct world {
	char dir[64];
	struct loop *loop;
	/* the supervisor's side */
	struct lifeline lifeline;
	struct loop_source source;
	pid_t child;
	uint64_t incarnation;
	int cell;
	bool ready, bye, start_failed, start_fatal, ended, lie;
	Troupe__Reason reason;
	char text[256], note[256];
	unsigned n_pongs, n_whereis, n_monitors, n_emits;
	/* the client's side */
	struct peer_hub *hub;
	struct peer *peer;
	char claims[64];       /* our address in Hello */
	bool up, down;
	struct answer answers[ANSWERS_MAX];
	unsigned n_answers, n_asked;
	struct id_maker ids;
	Troupe__Role role;     /* that the setup gives our uid */
	const char *setting;
	uint32_t mailbox_max;
	uint64_t map_max;
	/* a worker that the actor dials, in this process too */
	struct peer_hub *worker;
	struct peer *worker_peer, *worker_dialled;
	unsigned n_worker_up, n_worker_asked;
	bool hold_whereis, mute;
	uint64_t held_ref;
};
static struct world w;

/* --- waiting --- */

static uint64_t tick(uint64_t now)
{
	uint64_t next = TIME_NEVER;
	struct peer_hub *hubs[] = { w.hub, w.worker };
	for (size_t i = 0; i < ELEMENTS(hubs); i++) {
		if (!hubs[i])
			continue;
		peer_hub_flush(hubs[i]);
		uint64_t due = peer_hub_tick(hubs[i], now);
		next = due < next ? due : next;
	}
	return next;
}

static void wait_until(bool (*what)(void), const char *name)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;
	while (!what()) {
		uint64_t now = clock_mono_ms(), next = tick(now);
		ck_assert_msg(now < until, "waited in vain: %s", name);
		ck_assert_int_ge(loop_once(w.loop, next < until ? next : until), 0);
	}
}
#define WAIT(condition) wait_until(condition, #condition)

static bool is_ready(void)
{
	return w.ready;
}

static bool is_ended(void)
{
	return w.ended;
}

static bool is_up(void)
{
	return w.up;
}

static bool is_down(void)
{
	return w.down;
}

static bool all_answered(void)
{
	return w.n_answers >= w.n_asked;
}

/* --- the supervisor --- */

static void say(Troupe__Control *c)
{
	ck_assert_int_eq(lifeline_send(&w.lifeline, c, -1), 0);
}

static void answer_whereis(uint64_t ref, const char *address)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Location l = TROUPE__LOCATION__INIT;
	char path[128];
	w.n_whereis++;
	l.address = (char *)address;
	if (strcmp(address, w.claims) == 0) {
		l.pid = (uint32_t)getpid() + w.lie;
		l.incarnation = 5;
		l.state = TROUPE__ACTOR_STATE__ACTOR_UP;
		snprintf(path, sizeof path, "%s/a/me", w.dir);
		l.path = path;
	}
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_LOCATED;
	c.located = &l;
	say(&c);
}

static void answer_monitor(const Troupe__Monitor *m)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Down d = TROUPE__DOWN__INIT;
	w.n_monitors++;
	d.address = m->address;
	d.incarnation = m->incarnation;
	d.reason = TROUPE__REASON__REASON_NOPROC;
	c.body_case = TROUPE__CONTROL__BODY_DOWN;
	c.down = &d;
	say(&c);
}

static void on_control(const Troupe__Control *c, int fd)
{
	switch ((int)c->body_case) {
	case TROUPE__CONTROL__BODY_READY:
		w.ready = true;
		w.cell = fd;
		return;
	case TROUPE__CONTROL__BODY_START_FAILED:
		w.start_failed = true;
		w.start_fatal = c->start_failed->fatal;
		snprintf(w.text, sizeof w.text, "%s", c->start_failed->text);
		break;
	case TROUPE__CONTROL__BODY_BYE:
		w.bye = true;
		w.reason = c->bye->reason;
		snprintf(w.text, sizeof w.text, "%s", c->bye->info);
		break;
	case TROUPE__CONTROL__BODY_PONG:
		w.n_pongs++;
		break;
	case TROUPE__CONTROL__BODY_WHEREIS:
		if (w.hold_whereis)
			w.held_ref = c->ref;
		else
			answer_whereis(c->ref, c->whereis->address);
		w.hold_whereis = false;
		break;
	case TROUPE__CONTROL__BODY_MONITOR:
		answer_monitor(c->monitor);
		break;
	case TROUPE__CONTROL__BODY_NOTE:
		snprintf(w.note, sizeof w.note, "%s", c->note->text);
		break;
	}
	if (fd >= 0)
		close(fd);
}

static void on_lifeline(struct loop_source *s, uint32_t events)
{
	for (;;) {
		struct arena *arena = NULL;
		Troupe__Control *c;
		struct error e;
		int fd = -1, r = lifeline_receive(&w.lifeline, &arena, &c, &fd, &e);
		if (r == ERROR_NOT_FOUND)
			return;
		if (r < 0) {
			w.ended = true;
			loop_remove(s);
			return;
		}
		ck_assert_int_eq(r, 0);
		on_control(c, fd);
		arena_unref(arena);
	}
}

static void send_setup_as(bool reload)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Setup s = TROUPE__SETUP__INIT;
	Troupe__Limits limits = TROUPE__LIMITS__INIT;
	Troupe__CoordinatorSetup coordinator = TROUPE__COORDINATOR_SETUP__INIT;
	Troupe__RoleRule rule = TROUPE__ROLE_RULE__INIT, *rules[] = { &rule };
	Troupe__Pair pair = TROUPE__PAIR__INIT, *pairs[] = { &pair };
	char state[96], socket[96];
	uint32_t uid = getuid();
	snprintf(state, sizeof state, "%s/state", w.dir);
	snprintf(socket, sizeof socket, "%s/a/1.%llu", w.dir, (unsigned long long)w.incarnation);
	s.address = (char *)"coordinator:test";
	s.incarnation = w.incarnation;
	s.number = 1;
	s.node = (char *)"00112233445566778899aabbccddeeff";
	s.run_dir = w.dir;
	s.state_dir = state;
	s.socket = socket;
	s.log_format = (char *)"logfmt";
	s.log_level = (char *)"error";
	rule.role = w.role;
	rule.uids = &uid;
	rule.n_uids = 1;
	s.roles = rules;
	s.n_roles = 1;
	if (w.setting) {
		pair.key = (char *)w.setting;
		s.settings = pairs;
		s.n_settings = 1;
	}
	coordinator.map_max = w.map_max;
	s.coordinator = &coordinator;
	limits.mailbox_messages = w.mailbox_max;
	s.limits = &limits;
	c.body_case = reload ? TROUPE__CONTROL__BODY_RELOAD : TROUPE__CONTROL__BODY_SETUP;
	if (reload)
		c.reload = &s;
	else
		c.setup = &s;
	say(&c);
}

static void send_setup(void)
{
	send_setup_as(false);
}

static pid_t child_exec(int fd, const char *fault)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	if (fd == LIFELINE_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, LIFELINE_FD);
	if (fault)
		setenv("TROUPE_FAULT", fault, 1);
	execl(ECHO_ACTOR, "echo-actor", (char *)NULL);
	_exit(126);
}

static void child_spawn(const char *fault)
{
	int pair[2];
	ck_assert_int_eq(lifeline_pair(pair), 0);
	lifeline_init(&w.lifeline, pair[0]);
	ck_assert_int_eq(loop_add(w.loop, &w.source, pair[0], EPOLLIN, on_lifeline), 0);
	w.incarnation++;
	w.ready = w.bye = w.ended = w.start_failed = false;
	w.cell = -1;
	w.child = child_exec(pair[1], fault);
	close(pair[1]);
}

static void actor_starts(const char *fault)
{
	child_spawn(fault);
	send_setup();
	WAIT(is_ready);
}

/* Its exit status, or -signal. */
static int actor_ends(void)
{
	int status;
	WAIT(is_ended);
	lifeline_fini(&w.lifeline);
	if (w.cell >= 0)
		close(w.cell);
	w.cell = -1;
	ck_assert_int_eq(waitpid(w.child, &status, 0), w.child);
	w.child = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void actor_is_told_to_stop(void)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Stop stop = TROUPE__STOP__INIT;
	stop.within_ms = 1000;
	c.body_case = TROUPE__CONTROL__BODY_STOP;
	c.stop = &stop;
	say(&c);
}

/* --- the client --- */

static void on_up(void *ctx, struct peer *p)
{
	w.up = true;
	if (!w.peer)
		w.peer = p; /* it dialled us */
}

static void record(const Troupe__Envelope *env)
{
	ck_assert_uint_lt(w.n_answers, ANSWERS_MAX);
	struct answer *a = &w.answers[w.n_answers++];
	*a = (struct answer){ .kind = env->kind, .body = (int)env->body_case };
	if (env->reply_to.len == 16)
		memcpy(a->to.b, env->reply_to.data, 16);
	snprintf(a->type, sizeof a->type, "%s", env->type);
	snprintf(a->payload, sizeof a->payload, "%.*s", (int)env->payload.len, (const char *)env->payload.data);
	if (env->body_case == TROUPE__ENVELOPE__BODY_ERROR) {
		a->code = env->error->code;
		snprintf(a->text, sizeof a->text, "%s", env->error->text);
	}
	if (env->body_case == TROUPE__ENVELOPE__BODY_PONG)
		a->incarnation = env->pong->incarnation;
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		peer_grant(p, 1);
		if (env[i]->kind != TROUPE__KIND__ASK) {
			record(env[i]);
			continue;
		}
		Troupe__Envelope out = TROUPE__ENVELOPE__INIT; /* the actor asks us */
		if (strcmp(w.claims, "worker:p/mute") == 0)
			continue;
		out.kind = TROUPE__KIND__REPLY;
		out.reply_to = env[i]->id;
		out.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"pong" };
		ck_assert_int_eq(peer_send(p, &out), 0);
	}
}

static void on_parts(void *ctx, struct peer *p, struct arena *a, const Troupe__Frame *f)
{
}

static void on_room(void *ctx, struct peer *p)
{
}

static void on_down(void *ctx, struct peer *p, const struct error *why)
{
	w.down = true;
	w.peer = NULL;
}

static const struct peer_events events = { on_up, on_envelopes, on_parts, on_room, on_down };

static void hub_opens(const char *address)
{
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 1024, .anonymous_credit = 16 };
	snprintf(c.address, sizeof c.address, "%s", address);
	snprintf(w.claims, sizeof w.claims, "%s", address);
	c.incarnation = *address ? 5 : 0;
	ck_assert_int_eq(peer_hub_open(w.loop, &c, &events, NULL, &w.hub), 0);
}

/* --- the worker --- */

static void worker_on_up(void *ctx, struct peer *p)
{
	w.n_worker_up++;
	if (!peer_dialled(p))
		w.worker_peer = p;
}

static void worker_on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Troupe__Envelope out = TROUPE__ENVELOPE__INIT;
		w.n_worker_asked++;
		out.kind = TROUPE__KIND__REPLY;
		out.reply_to = env[i]->id;
		out.payload = (ProtobufCBinaryData){ 4, (uint8_t *)"work" };
		peer_grant(p, 1);
		if (!w.mute)
			ck_assert_int_eq(peer_send(p, &out), 0);
	}
}

static void worker_on_down(void *ctx, struct peer *p, const struct error *why)
{
	if (w.worker_peer == p)
		w.worker_peer = NULL;
	if (w.worker_dialled == p)
		w.worker_dialled = NULL;
}

static const struct peer_events worker_events = { worker_on_up, worker_on_envelopes, on_parts, on_room, worker_on_down };

/* worker:p/1 listens where whereis says. */
static void worker_opens(void)
{
	char url[96];
	struct error e;
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 4 << 20, .credit = 1024, .anonymous_credit = 16, .incarnation = 5 };
	snprintf(c.address, sizeof c.address, "worker:p/1");
	snprintf(w.claims, sizeof w.claims, "worker:p/1");
	ck_assert_int_eq(peer_hub_open(w.loop, &c, &worker_events, NULL, &w.worker), 0);
	snprintf(url, sizeof url, "ipc://%s/a/me", w.dir);
	ck_assert_int_eq(peer_listen(w.worker, url, 0, &e), 0);
}

static bool worker_has_line(void)
{
	return w.worker_peer != NULL;
}

static bool worker_has_both(void)
{
	return w.n_worker_up == 2;
}

static bool worker_was_asked(void)
{
	return w.n_worker_asked > 0;
}

static bool whereis_is_held(void)
{
	return w.held_ref != 0;
}

static bool worker_line_is_down(void)
{
	return !w.worker_dialled;
}

/* Dials the mailbox; address "" is a client, any other is what Hello claims. */
static void client_dials(const char *address)
{
	char url[128];
	struct error e = { 0 };
	if (!w.hub)
		hub_opens(address);
	snprintf(url, sizeof url, "ipc://%s/a/1.%llu", w.dir, (unsigned long long)w.incarnation);
	w.up = w.down = false;
	ck_assert_msg(peer_dial(w.hub, url, NULL, &w.peer, &e) == 0, "%s", e.text);
	WAIT(is_up);
}

static struct id send_envelope(Troupe__Envelope *env)
{
	struct id id = id_make(&w.ids, clock_wall_ms());
	env->id = (ProtobufCBinaryData){ 16, id.b };
	ck_assert_int_eq(peer_send(w.peer, env), 0);
	w.n_asked += env->kind == TROUPE__KIND__ASK;
	return id;
}

static struct id send_word(Troupe__Kind kind, const char *type, const char *payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return send_envelope(&env);
}

static const struct answer *answer_to(const struct id *id)
{
	for (unsigned i = 0; i < w.n_answers; i++)
		if (id_equal(&w.answers[i].to, id))
			return &w.answers[i];
	return NULL;
}

static const struct answer *ask_envelope(Troupe__Envelope *env)
{
	env->kind = TROUPE__KIND__ASK;
	struct id id = send_envelope(env);
	WAIT(all_answered);
	const struct answer *a = answer_to(&id);
	ck_assert_ptr_nonnull(a);
	return a;
}

static const struct answer *ask(const char *type, const char *payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return ask_envelope(&env);
}

static void answered(const struct answer *a, const char *type, const char *payload)
{
	ck_assert_msg(a->kind == TROUPE__KIND__REPLY, "refused: %s", a->text);
	ck_assert_str_eq(a->type, type);
	ck_assert_str_eq(a->payload, payload);
}

static void refused(const struct answer *a, enum error_code code)
{
	ck_assert_int_eq(a->kind, TROUPE__KIND__ERROR);
	ck_assert_msg(a->code == (uint32_t)code, "%u %s", a->code, a->text);
}

/* --- the fixture --- */

static void setup(void)
{
	sigset_t all;
	char path[96];
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	memset(&w, 0, sizeof w);
	snprintf(w.dir, sizeof w.dir, "/tmp/troupe-actor-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w.dir));
	snprintf(path, sizeof path, "%s/a", w.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(loop_open(&w.loop), 0);
	id_maker_init(&w.ids, (uint64_t)getpid());
	w.role = TROUPE__ROLE__SUBMITTER;
	w.cell = -1;
}

static void remove_all(const char *dir)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[400];
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR)
			remove_all(path);
		else
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static void teardown(void)
{
	if (w.hub)
		peer_hub_close(w.hub);
	if (w.worker)
		peer_hub_close(w.worker);
	if (w.child) {
		kill(w.child, SIGKILL);
		waitpid(w.child, NULL, 0);
		loop_remove(&w.source);
		lifeline_fini(&w.lifeline);
	}
	if (w.cell >= 0)
		close(w.cell);
	loop_close(w.loop);
	remove_all(w.dir);
}

/* --- the tests, from basic to complex --- */

START_TEST(an_actor_says_ready_with_a_status_cell_that_says_idle)
{
	actor_starts(NULL);
	const struct status_cell *map;
	struct status_cell cell;
	struct error e;
	ck_assert_int_eq(status_map(w.cell, &map, &e), 0);
	status_read(map, &cell);
	ck_assert_int_eq(cell.phase, PHASE_IDLE);
	ck_assert_uint_eq(cell.mailbox, 0);
	status_unmap(map);
}
END_TEST

START_TEST(an_actor_answers_an_ask_and_stamps_who_asked)
{
	actor_starts(NULL);
	client_dials("");
	const struct answer *a = ask("echo", "hello");
	char want[32];
	snprintf(want, sizeof want, "uid %u", getuid());
	ck_assert_str_eq(a->payload, "hello");
	ck_assert_int_eq(strncmp(a->type, want, strlen(want)), 0);
	answered(ask("from", ""), "", "");
}
END_TEST

START_TEST(many_asks_are_answered_in_the_order_in_which_they_came)
{
	struct id ids[50];
	char text[8];
	actor_starts(NULL);
	client_dials("");
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "%d", i);
		ids[i] = send_word(TROUPE__KIND__ASK, "echo", text);
	}
	WAIT(all_answered);
	for (int i = 0; i < 50; i++) {
		ck_assert(id_equal(&w.answers[i].to, &ids[i]));
		ck_assert_int_eq(atoi(w.answers[i].payload), i);
	}
}
END_TEST

START_TEST(what_was_put_is_read_by_the_next_message_and_after_kill_9)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "k=v1"), "put", "k=v1");
	answered(ask("get", "k"), "value", "v1");
	kill(w.child, SIGKILL);
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);

	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "k"), "value", "v1");
}
END_TEST

START_TEST(killed_after_the_commit_and_before_the_release_the_state_is_there_and_no_reply_came)
{
	actor_starts("turn.after_commit:1");
	client_dials("");
	send_word(TROUPE__KIND__ASK, "put", "k=v2");
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 0);
	w.n_asked = 0;

	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "k"), "value", "v2");
}
END_TEST

START_TEST(killed_before_the_commit_the_state_is_not_there_and_no_reply_came)
{
	static const char *const points[] = { "turn.before_commit:1", "turn.after_begin:1", "turn.after_receive:1" };
	for (size_t i = 0; i < ELEMENTS(points); i++) {
		actor_starts(points[i]);
		client_dials("");
		send_word(TROUPE__KIND__ASK, "put", "k=v3");
		ck_assert_int_eq(actor_ends(), -SIGKILL);
		WAIT(is_down);
		ck_assert_uint_eq(w.n_answers, 0);
		w.n_asked = 0;

		actor_starts(NULL);
		client_dials("");
		refused(ask("get", "k"), ERROR_NOT_FOUND);
		kill(w.child, SIGKILL);
		ck_assert_int_eq(actor_ends(), -SIGKILL);
		WAIT(is_down);
		w.n_asked = w.n_answers = 0;
	}
}
END_TEST

START_TEST(a_handler_that_fails_leaves_no_effect_and_its_asker_is_told_why)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "k=old"), "put", "k=old");
	const struct answer *a = ask("put-and-fail", "k=new");
	refused(a, ERROR_CONFLICT);
	ck_assert_str_eq(a->text, "as it was told");
	ck_assert_uint_eq(w.n_answers, 2);
	answered(ask("get", "k"), "value", "old");
	refused(ask("get", "nothing"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(a_verb_that_nobody_knows_or_handles_is_refused_with_the_id_of_the_ask)
{
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Submit submit = TROUPE__SUBMIT__INIT;
	Troupe__Publish publish = TROUPE__PUBLISH__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &submit;
	refused(ask_envelope(&env), ERROR_NO_VERB);
	env.body_case = TROUPE__ENVELOPE__BODY_PUBLISH;
	env.publish = &publish;
	refused(ask_envelope(&env), ERROR_NO_VERB);
	Troupe__Envelope empty = TROUPE__ENVELOPE__INIT;
	refused(ask_envelope(&empty), ERROR_BAD_REQUEST);
	Troupe__Envelope astray = TROUPE__ENVELOPE__INIT;
	astray.to = (char *)"coordinator:other";
	astray.type = (char *)"echo";
	refused(ask_envelope(&astray), ERROR_NO_ACTOR);
}
END_TEST

START_TEST(a_client_may_do_what_its_role_allows_and_no_more)
{
	Troupe__Get get = TROUPE__GET__INIT;
	Troupe__Purge purge = TROUPE__PURGE__INIT;
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	w.role = TROUPE__ROLE__VIEWER;
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_GET;
	env.get = &get;
	answered(ask_envelope(&env), "got", "");
	env.body_case = TROUPE__ENVELOPE__BODY_PURGE;
	env.purge = &purge;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	refused(ask("echo", "x"), ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_uid_that_no_rule_names_may_not_even_ping)
{
	Troupe__Ping ping = TROUPE__PING__INIT;
	w.role = TROUPE__ROLE__ROLE_NONE;
	actor_starts(NULL);
	client_dials("");
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_peer_whose_pid_the_supervisor_confirms_is_an_actor)
{
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("worker:p/1");
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	answered(ask_envelope(&env), "attached", "worker:p/1");
	ck_assert_uint_eq(w.n_whereis, 1);
	answered(ask("from", ""), "worker:p/1", "worker:p/1");
	answered(ask("links", ""), "links", "1");
	ck_assert_uint_eq(w.n_whereis, 1);
}
END_TEST

START_TEST(a_peer_that_claims_the_address_of_another_process_is_a_client)
{
	Troupe__Attach attach = TROUPE__ATTACH__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	w.lie = true;
	actor_starts(NULL);
	client_dials("worker:p/1");
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = &attach;
	refused(ask_envelope(&env), ERROR_NOT_ALLOWED);
	answered(ask("from", ""), "", "");
}
END_TEST

START_TEST(an_actor_dials_whom_it_asks_and_hands_the_answer_on)
{
	char url[96];
	struct error e;
	actor_starts(NULL);
	hub_opens("worker:p/1");
	snprintf(url, sizeof url, "ipc://%s/a/me", w.dir);
	ck_assert_int_eq(peer_listen(w.hub, url, 0, &e), 0);
	client_dials("worker:p/1");
	answered(ask("pass-on", "worker:p/1"), "answered", "pong");
}
END_TEST

START_TEST(an_actor_that_is_asked_to_connect_does_so_and_says_who_it_is)
{
	char url[96];
	struct error e;
	actor_starts(NULL);
	hub_opens("");
	snprintf(w.claims, sizeof w.claims, "worker:p/1");
	client_dials("");
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	answered(ask("links", ""), "links", "0"); /* nobody listens there yet: it will come again */
	peer_hub_close(w.hub);
	w.hub = NULL;
	w.peer = NULL;
	w.up = false;

	hub_opens("worker:p/1");
	snprintf(url, sizeof url, "ipc://%s/a/me", w.dir);
	ck_assert_int_eq(peer_listen(w.hub, url, 0, &e), 0);
	WAIT(is_up);
	ck_assert_str_eq(peer_address(w.peer), "coordinator:test");
	ck_assert_uint_eq(peer_incarnation(w.peer), 1);
	answered(ask("echo", "over its own line"), "worker:p/1", "over its own line");
}
END_TEST

START_TEST(an_ask_to_nobody_fails_at_once_and_one_to_a_mute_at_its_deadline)
{
	actor_starts(NULL);
	client_dials("worker:p/mute");
	refused(ask("pass-on", "worker:p/7"), ERROR_NO_ACTOR);
	uint64_t from = clock_mono_ms();
	refused(ask("pass-on", "worker:p/mute"), ERROR_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - from, 650);
}
END_TEST

START_TEST(an_ask_whose_deadline_passed_in_the_mailbox_is_not_handled)
{
	Troupe__Envelope late = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	send_word(TROUPE__KIND__TELL, "spin", "");
	peer_hub_flush(w.hub);
	late.kind = TROUPE__KIND__ASK;
	late.type = (char *)"echo";
	late.deadline_ms = 5;
	struct id id = send_envelope(&late);
	struct id second = send_word(TROUPE__KIND__ASK, "handled", "");
	WAIT(all_answered);
	/* Decoded with the message that spins, it is in one turn with it and has no age; decoded behind, it is late. Both are right, being handled twice is not. */
	const struct answer *a = answer_to(&id), *b = answer_to(&second);
	ck_assert(a && b);
	ck_assert_msg(a->kind == TROUPE__KIND__REPLY || a->code == ERROR_TIMEOUT, "%s", a->text);
	ck_assert_str_eq(b->payload, a->kind == TROUPE__KIND__REPLY ? "4" : "3");
}
END_TEST

START_TEST(a_wake_comes_when_it_is_due)
{
	actor_starts(NULL);
	client_dials("");
	uint64_t from = clock_mono_ms();
	answered(ask("wake", ""), "woke", "");
	ck_assert_uint_ge(clock_mono_ms() - from, 45);
}
END_TEST

START_TEST(a_monitor_is_answered_with_one_down)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("monitor", ""), "worker:p/9", "4");
	ck_assert_uint_eq(w.n_monitors, 1);
}
END_TEST

static bool note_came(void)
{
	return *w.note != '\0';
}

START_TEST(a_note_reaches_the_supervisor)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__TELL, "note", "");
	WAIT(note_came);
	ck_assert_str_eq(w.note, "a line for people");
}
END_TEST

START_TEST(a_client_that_leaves_is_told_once_after_its_last_message)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("gone", ""), "gone", "0");
	send_word(TROUPE__KIND__TELL, "silent", "");
	peer_hub_flush(w.hub);
	peer_hub_close(w.hub);
	w.hub = NULL;
	client_dials("");
	while (strcmp(ask("gone", "")->payload, "1") != 0)
		ck_assert_uint_lt(w.n_answers, 50);
	answered(ask("gone", ""), "gone", "1");
}
END_TEST

static bool pong_came(void)
{
	return w.n_pongs > 0;
}

START_TEST(the_supervisors_ping_is_answered_and_so_is_a_clients_also_through_the_disk)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__PingChild ping = TROUPE__PING_CHILD__INIT;
	Troupe__Ping p = TROUPE__PING__INIT;
	Troupe__MetricsAsk metrics = TROUPE__METRICS_ASK__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	ping.nonce = 5;
	c.body_case = TROUPE__CONTROL__BODY_PING;
	c.ping = &ping;
	say(&c);
	WAIT(pong_came);
	client_dials("");
	env.body_case = TROUPE__ENVELOPE__BODY_PING;
	env.ping = &p;
	ck_assert_int_eq(ask_envelope(&env)->body, TROUPE__ENVELOPE__BODY_PONG);
	p.deep = true;
	const struct answer *a = ask_envelope(&env);
	ck_assert_int_eq(a->body, TROUPE__ENVELOPE__BODY_PONG);
	ck_assert_uint_eq(a->incarnation, w.incarnation);
	env.body_case = TROUPE__ENVELOPE__BODY_METRICS_ASK;
	env.metrics_ask = &metrics;
	ck_assert_int_eq(ask_envelope(&env)->body, TROUPE__ENVELOPE__BODY_METRICS);
}
END_TEST

START_TEST(stop_ends_an_actor_with_bye_and_exit_0)
{
	actor_starts(NULL);
	actor_is_told_to_stop();
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_SHUTDOWN);
}
END_TEST

START_TEST(sigterm_is_stop)
{
	actor_starts(NULL);
	kill(w.child, SIGTERM);
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_SHUTDOWN);
}
END_TEST

START_TEST(an_actor_may_leave_by_itself)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__TELL, "leave", "");
	ck_assert_int_eq(actor_ends(), 0);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_NORMAL);
	ck_assert_str_eq(w.text, "asked to");
}
END_TEST

START_TEST(the_end_of_the_lifeline_ends_the_actor_at_once)
{
	int status;
	actor_starts(NULL);
	loop_remove(&w.source);
	lifeline_fini(&w.lifeline);
	alarm(10);
	ck_assert_int_eq(waitpid(w.child, &status, 0), w.child);
	alarm(0);
	w.child = 0;
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 111);
}
END_TEST

START_TEST(a_fatal_handler_ends_with_111_and_answers_nobody)
{
	actor_starts(NULL);
	client_dials("");
	send_word(TROUPE__KIND__ASK, "fatal", "");
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(!w.bye);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 0);
}
END_TEST

START_TEST(the_directive_restart_answers_then_leaves_with_111_and_keeps_what_was_committed)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("put", "a=1"), "put", "a=1");
	refused(ask("restart", "b=2"), ERROR_CORRUPT);
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(w.bye);
	ck_assert_int_eq(w.reason, TROUPE__REASON__REASON_EXIT);
	WAIT(is_down);
	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "a"), "value", "1");
	refused(ask("get", "b"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(an_init_that_fails_is_start_failed_and_exit_100_where_trying_again_is_useless)
{
	w.setting = "refuse";
	child_spawn(NULL);
	send_setup();
	ck_assert_int_eq(actor_ends(), 100);
	ck_assert(w.start_failed && w.start_fatal && !w.ready);
	ck_assert_str_eq(w.text, "the setting refuse is set");
}
END_TEST

START_TEST(a_lifeline_that_does_not_begin_with_setup_is_left_with_111)
{
	child_spawn(NULL);
	actor_is_told_to_stop();
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(!w.ready);
}
END_TEST

static void suspect(const struct id *id, uint32_t deaths)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Suspect s = TROUPE__SUSPECT__INIT;
	s.message = (ProtobufCBinaryData){ 16, (uint8_t *)id->b };
	s.deaths = deaths;
	c.body_case = TROUPE__CONTROL__BODY_SUSPECT;
	c.suspect = &s;
	say(&c);
}

START_TEST(a_message_in_work_is_in_the_status_cell_at_death_and_is_refused_after_three)
{
	const struct status_cell *map;
	struct status_cell cell;
	struct error e;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	actor_starts(NULL);
	client_dials("");
	struct id id = send_word(TROUPE__KIND__ASK, "crash", "");
	WAIT(is_ended);
	ck_assert_int_eq(status_map(w.cell, &map, &e), 0);
	status_read(map, &cell);
	ck_assert_mem_eq(cell.message, id.b, 16);
	ck_assert_int_eq(cell.phase, PHASE_TURN);
	status_unmap(map);
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	w.n_asked = 0;

	for (uint32_t deaths = 1; deaths <= 3; deaths++) {
		actor_starts(NULL);
		suspect(&id, deaths);
		client_dials("");
		env.kind = TROUPE__KIND__ASK;
		env.type = (char *)"crash";
		env.id = (ProtobufCBinaryData){ 16, id.b };
		ck_assert_int_eq(peer_send(w.peer, &env), 0);
		if (deaths < 3) {
			ck_assert_int_eq(actor_ends(), -SIGKILL);
			WAIT(is_down);
			continue;
		}
		w.n_asked = 1;
		WAIT(all_answered);
		refused(&w.answers[0], ERROR_INTERNAL);
		ck_assert_str_eq(w.answers[0].text, "this message killed its actor 3 times");
		ck_assert_int_eq(ask("echo", "alive")->kind, TROUPE__KIND__REPLY);
	}
}
END_TEST

START_TEST(a_suspect_is_handled_alone_in_its_turn)
{
	struct id ids[3];
	struct id suspected = id_make(&w.ids, clock_wall_ms());
	/* The fault kills at the first commit: only what stood before the suspect is in it, or the suspect alone. */
	actor_starts("turn.after_commit:2");
	suspect(&suspected, 1);
	client_dials("");
	static const char *const rows[] = { "a=1", "b=2", "c=3" };
	for (int i = 0; i < 3; i++) {
		Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
		env.kind = TROUPE__KIND__ASK;
		env.type = (char *)"put";
		env.payload = (ProtobufCBinaryData){ 3, (uint8_t *)rows[i] };
		ids[i] = i == 1 ? suspected : id_make(&w.ids, clock_wall_ms());
		env.id = (ProtobufCBinaryData){ 16, ids[i].b };
		ck_assert_int_eq(peer_send(w.peer, &env), 0);
	}
	ck_assert_int_eq(actor_ends(), -SIGKILL);
	WAIT(is_down);
	ck_assert_uint_eq(w.n_answers, 1);
	ck_assert(id_equal(&w.answers[0].to, &ids[0]));

	w.n_asked = w.n_answers = 0;
	actor_starts(NULL);
	client_dials("");
	answered(ask("get", "a"), "value", "1");
	answered(ask("get", "b"), "value", "2");
	refused(ask("get", "c"), ERROR_NOT_FOUND);
}
END_TEST

START_TEST(a_reload_changes_the_roles_of_those_who_are_connected)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	w.role = TROUPE__ROLE__VIEWER;
	send_setup_as(true);
	unsigned tries = 0;
	while (ask("handled", "")->kind != TROUPE__KIND__ERROR)
		ck_assert_uint_lt(++tries, 40); /* the lifeline and the mailbox are two ways */
	refused(&w.answers[w.n_answers - 1], ERROR_NOT_ALLOWED);
}
END_TEST

START_TEST(a_flood_over_the_mailboxs_bound_is_slowed_and_everybody_is_answered)
{
	enum { N = 60 };
	w.mailbox_max = 4;
	actor_starts(NULL);
	client_dials("");
	for (int i = 0; i < N; i++) {
		send_word(TROUPE__KIND__ASK, "echo", "x");
		peer_hub_flush(w.hub);
	}
	WAIT(all_answered);
	for (unsigned i = 0; i < N; i++)
		ck_assert(w.answers[i].kind == TROUPE__KIND__REPLY || w.answers[i].code == ERROR_BUSY);
	w.n_answers = w.n_asked = 0;
	answered(ask("echo", "still here"), w.answers[0].type, "still here");
}
END_TEST

START_TEST(a_full_store_refuses_the_askers_and_what_was_acknowledged_is_there_when_it_comes_back)
{
	static char payload[40000];
	char key[16];
	unsigned n = 0;
	w.map_max = 1 << 20;
	actor_starts(NULL);
	client_dials("");
	memset(payload, 'v', sizeof payload - 1);
	const struct answer *a;
	do {
		snprintf(payload, 8, "%05u=", n);
		payload[6] = 'v';
		w.n_answers = w.n_asked = 0;
		a = ask("put", payload);
		ck_assert_uint_lt(++n, 60);
	} while (a->kind == TROUPE__KIND__REPLY);
	refused(a, ERROR_STORE);
	ck_assert_int_eq(actor_ends(), 111);
	ck_assert(w.bye);
	ck_assert_uint_gt(n, 5);
	WAIT(is_down);

	actor_starts(NULL);
	client_dials("");
	for (unsigned i = 0; i < n; i++) {
		w.n_answers = w.n_asked = 0;
		snprintf(key, sizeof key, "%05u", i);
		a = ask("get", key);
		ck_assert_int_eq(a->kind, i < n - 1 ? TROUPE__KIND__REPLY : TROUPE__KIND__ERROR);
	}
}
END_TEST

START_TEST(a_line_that_is_kept_comes_back_when_it_breaks)
{
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(worker_has_line);
	for (unsigned round = 1; round <= 3; round++) {
		peer_close(w.worker_peer, ERROR_NONE, "to see whether it comes back");
		w.worker_peer = NULL;
		WAIT(worker_has_line);
		ck_assert_uint_eq(w.n_worker_up, round + 1);
	}
	answered(ask("links", ""), "links", "4");
	answered(ask("pass-on", "worker:p/1"), "answered", "work");
}
END_TEST

START_TEST(an_ask_whose_line_breaks_fails_before_its_deadline)
{
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(worker_has_line);
	w.mute = true;
	struct id id = send_word(TROUPE__KIND__ASK, "pass-on", "worker:p/1");
	WAIT(worker_was_asked);
	uint64_t from = clock_mono_ms();
	peer_close(w.worker_peer, ERROR_NONE, "in the middle");
	WAIT(all_answered);
	refused(answer_to(&id), ERROR_NOT_REACHABLE);
	ck_assert_uint_lt(clock_mono_ms() - from, 500);
}
END_TEST

START_TEST(two_that_dial_each_other_use_the_line_of_the_smaller_address_and_lose_nothing)
{
	char url[128];
	struct error e = { 0 };
	actor_starts(NULL);
	client_dials("");
	worker_opens();
	w.hold_whereis = true;
	send_word(TROUPE__KIND__TELL, "connect", "worker:p/1");
	WAIT(whereis_is_held);
	snprintf(url, sizeof url, "ipc://%s/a/1.%llu", w.dir, (unsigned long long)w.incarnation);
	/* The actor is about to dial: it learns where the worker is, and the worker dials it, in the same moment. */
	ck_assert_int_eq(peer_dial(w.worker, url, NULL, &w.worker_dialled, &e), 0);
	answer_whereis(w.held_ref, "worker:p/1");
	WAIT(worker_has_both);
	while (strcmp(ask("links", "")->payload, "0") == 0)
		ck_assert_uint_lt(w.n_answers, 50);
	answered(ask("pass-on", "worker:p/1"), "answered", "work");

	peer_close(w.worker_dialled, ERROR_NONE, "the other line is in use");
	WAIT(worker_line_is_down);
	answered(ask("pass-on", "worker:p/1"), "answered", "work");
	answered(ask("downs", ""), "downs", "0");
	ck_assert_ptr_nonnull(w.worker_peer);
}
END_TEST

static unsigned long wake_ups(void)
{
	char path[64], line[256];
	unsigned long n = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/status", w.child, w.child);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "voluntary_ctxt_switches: %lu", &n);
	fclose(f);
	return n;
}

START_TEST(an_idle_actor_sleeps)
{
	actor_starts(NULL);
	client_dials("");
	answered(ask("handled", ""), "handled", "1");
	uint64_t until = clock_mono_ms() + 300; /* what follows an answer may still wake it */
	while (clock_mono_ms() < until)
		loop_once(w.loop, until);
	unsigned long before = wake_ups();
	until = clock_mono_ms() + 1000;
	while (clock_mono_ms() < until)
		loop_once(w.loop, until);
	ck_assert_uint_le(wake_ups() - before, 2);
}
END_TEST

static Suite *process_suite(void)
{
	Suite *s = suite_create("process");
	TCase *c = tcase_create("process");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, an_actor_says_ready_with_a_status_cell_that_says_idle);
	tcase_add_test(c, an_actor_answers_an_ask_and_stamps_who_asked);
	tcase_add_test(c, many_asks_are_answered_in_the_order_in_which_they_came);
	tcase_add_test(c, what_was_put_is_read_by_the_next_message_and_after_kill_9);
	tcase_add_test(c, killed_after_the_commit_and_before_the_release_the_state_is_there_and_no_reply_came);
	tcase_add_test(c, killed_before_the_commit_the_state_is_not_there_and_no_reply_came);
	tcase_add_test(c, a_handler_that_fails_leaves_no_effect_and_its_asker_is_told_why);
	tcase_add_test(c, a_verb_that_nobody_knows_or_handles_is_refused_with_the_id_of_the_ask);
	tcase_add_test(c, a_client_may_do_what_its_role_allows_and_no_more);
	tcase_add_test(c, a_uid_that_no_rule_names_may_not_even_ping);
	tcase_add_test(c, a_peer_whose_pid_the_supervisor_confirms_is_an_actor);
	tcase_add_test(c, a_peer_that_claims_the_address_of_another_process_is_a_client);
	tcase_add_test(c, an_actor_dials_whom_it_asks_and_hands_the_answer_on);
	tcase_add_test(c, an_actor_that_is_asked_to_connect_does_so_and_says_who_it_is);
	tcase_add_test(c, an_ask_to_nobody_fails_at_once_and_one_to_a_mute_at_its_deadline);
	tcase_add_test(c, an_ask_whose_deadline_passed_in_the_mailbox_is_not_handled);
	tcase_add_test(c, a_wake_comes_when_it_is_due);
	tcase_add_test(c, a_monitor_is_answered_with_one_down);
	tcase_add_test(c, a_note_reaches_the_supervisor);
	tcase_add_test(c, a_client_that_leaves_is_told_once_after_its_last_message);
	tcase_add_test(c, the_supervisors_ping_is_answered_and_so_is_a_clients_also_through_the_disk);
	tcase_add_test(c, stop_ends_an_actor_with_bye_and_exit_0);
	tcase_add_test(c, sigterm_is_stop);
	tcase_add_test(c, an_actor_may_leave_by_itself);
	tcase_add_test(c, the_end_of_the_lifeline_ends_the_actor_at_once);
	tcase_add_test(c, a_fatal_handler_ends_with_111_and_answers_nobody);
	tcase_add_test(c, the_directive_restart_answers_then_leaves_with_111_and_keeps_what_was_committed);
	tcase_add_test(c, an_init_that_fails_is_start_failed_and_exit_100_where_trying_again_is_useless);
	tcase_add_test(c, a_lifeline_that_does_not_begin_with_setup_is_left_with_111);
	tcase_add_test(c, a_message_in_work_is_in_the_status_cell_at_death_and_is_refused_after_three);
	tcase_add_test(c, a_suspect_is_handled_alone_in_its_turn);
	tcase_add_test(c, a_reload_changes_the_roles_of_those_who_are_connected);
	tcase_add_test(c, a_flood_over_the_mailboxs_bound_is_slowed_and_everybody_is_answered);
	tcase_add_test(c, a_full_store_refuses_the_askers_and_what_was_acknowledged_is_there_when_it_comes_back);
	tcase_add_test(c, a_line_that_is_kept_comes_back_when_it_breaks);
	tcase_add_test(c, an_ask_whose_line_breaks_fails_before_its_deadline);
	tcase_add_test(c, two_that_dial_each_other_use_the_line_of_the_smaller_address_and_lose_nothing);
	tcase_add_test(c, an_idle_actor_sleeps);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(process_suite());
}
