#include "tests/unit/actor/world.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world w;

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

void wait_until(bool (*what)(void), const char *name)
{
	uint64_t until = clock_mono_ms() + WAIT_MS;
	while (!what()) {
		uint64_t now = clock_mono_ms(), next = tick(now);
		ck_assert_msg(now < until, "waited in vain: %s", name);
		ck_assert_int_ge(loop_once(w.loop, next < until ? next : until), 0);
	}
}

bool is_ready(void)
{
	return w.ready;
}

bool is_ended(void)
{
	return w.ended;
}

bool is_up(void)
{
	return w.up;
}

bool is_down(void)
{
	return w.down;
}

bool all_answered(void)
{
	return w.n_answers >= w.n_asked;
}

/* --- the supervisor --- */

void say(Troupe__Control *c)
{
	ck_assert_int_eq(lifeline_send(&w.lifeline, c, -1), 0);
}

void answer_whereis(uint64_t ref, const char *address)
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
	case TROUPE__CONTROL__BODY_STORED:
		w.n_stored++;
		w.stored_offset = c->stored->offset;
		w.stored_ref = c->ref;
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

void send_setup_as(bool reload)
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
	s.address = (char *)w.address;
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

void send_setup(void)
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
	close_range(LIFELINE_FD + 1, ~0u, 0); /* what the test inherited is not the actor's */
	if (fault)
		setenv("TROUPE_FAULT", fault, 1);
	execl(w.program, w.program, (char *)NULL);
	_exit(126);
}

void child_spawn(const char *fault)
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

void actor_starts(const char *fault)
{
	child_spawn(fault);
	send_setup();
	WAIT(is_ready);
}

/* Its exit status, or -signal. */
int actor_ends(void)
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

void actor_is_told_to_stop(void)
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
	if (env->body_case == TROUPE__ENVELOPE__BODY_TOPIC_ROWS) {
		a->n_events = env->topic_rows->n_events;
		a->next = env->topic_rows->next;
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

void hub_opens(const char *address)
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
void worker_opens(void)
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

bool worker_has_line(void)
{
	return w.worker_peer != NULL;
}

bool worker_has_both(void)
{
	return w.n_worker_up == 2;
}

bool worker_was_asked(void)
{
	return w.n_worker_asked > 0;
}

bool whereis_is_held(void)
{
	return w.held_ref != 0;
}

bool worker_line_is_down(void)
{
	return !w.worker_dialled;
}

/* Dials the mailbox; address "" is a client, any other is what Hello claims. */
void client_dials(const char *address)
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

struct id send_envelope(Troupe__Envelope *env)
{
	struct id id = id_make(&w.ids, clock_wall_ms());
	env->id = (ProtobufCBinaryData){ 16, id.b };
	ck_assert_int_eq(peer_send(w.peer, env), 0);
	w.n_asked += env->kind == TROUPE__KIND__ASK;
	return id;
}

struct id send_word(Troupe__Kind kind, const char *type, const char *payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return send_envelope(&env);
}

const struct answer *answer_to(const struct id *id)
{
	for (unsigned i = 0; i < w.n_answers; i++)
		if (id_equal(&w.answers[i].to, id))
			return &w.answers[i];
	return NULL;
}

const struct answer *ask_envelope(Troupe__Envelope *env)
{
	env->kind = TROUPE__KIND__ASK;
	struct id id = send_envelope(env);
	WAIT(all_answered);
	const struct answer *a = answer_to(&id);
	ck_assert_ptr_nonnull(a);
	return a;
}

const struct answer *ask(const char *type, const char *payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return ask_envelope(&env);
}

void answered(const struct answer *a, const char *type, const char *payload)
{
	ck_assert_msg(a->kind == TROUPE__KIND__REPLY, "refused: %s", a->text);
	ck_assert_str_eq(a->type, type);
	ck_assert_str_eq(a->payload, payload);
}

void refused(const struct answer *a, enum error_code code)
{
	ck_assert_int_eq(a->kind, TROUPE__KIND__ERROR);
	ck_assert_msg(a->code == (uint32_t)code, "%u %s", a->code, a->text);
}

/* --- the fixture --- */

void world_begins(void)
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
	w.program = ECHO_ACTOR;
	w.address = "coordinator:test";
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

void world_ends(void)
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
