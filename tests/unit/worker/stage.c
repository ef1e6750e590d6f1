#include "tests/unit/worker/stage.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/work/family.h"
#include "common/base/file.h"

#define COORDINATOR "coordinator:main"
#define COORDINATOR_INCARNATION 5u

struct stage g;

/* --- time --- */

static uint64_t stage_tick(uint64_t now_ms)
{
	if (!g.hub)
		return TIME_NEVER;
	peer_hub_flush(g.hub);
	return peer_hub_tick(g.hub, now_ms);
}

void stage_step(uint64_t until_ms, const char *what)
{
	uint64_t now_ms = clock_mono_ms(), next_ms = stage_tick(now_ms);
	ck_assert_msg(now_ms < until_ms, "waited in vain: %s", what);
	/* What happens outside of our sockets, to files and processes, is looked at every few milliseconds. */
	if (next_ms > now_ms + 10)
		next_ms = now_ms + 10;
	ck_assert_int_ge(loop_once(g.loop, next_ms), 0);
}

void stage_runs_for(uint64_t ms)
{
	uint64_t until_ms = clock_mono_ms() + ms;
	while (clock_mono_ms() < until_ms)
		stage_step(UINT64_MAX, "");
}

/* --- the supervisor --- */

static void say(Troupe__Control *c)
{
	ck_assert_int_eq(lifeline_send(&g.lifeline, c, -1), 0);
}

static void answer_whereis(uint64_t ref, const char *address)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Location l = TROUPE__LOCATION__INIT;
	char path[128];
	l.address = (char *)address;
	if (strcmp(address, COORDINATOR) == 0 && g.hub) {
		l.pid = (uint32_t)getpid();
		l.incarnation = COORDINATOR_INCARNATION;
		l.state = TROUPE__ACTOR_STATE__ACTOR_UP;
		snprintf(path, sizeof path, "%s/a/coordinator", g.dir);
		l.path = path;
	}
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_LOCATED;
	c.located = &l;
	say(&c);
}

static void on_control(const Troupe__Control *c, int fd)
{
	switch ((int)c->body_case) {
	case TROUPE__CONTROL__BODY_READY:
		g.ready = true;
		g.cell_fd = fd;
		return;
	case TROUPE__CONTROL__BODY_START_FAILED:
		g.start_failed = true;
		snprintf(g.text, sizeof g.text, "%s", c->start_failed->text);
		break;
	case TROUPE__CONTROL__BODY_BYE:
		g.bye = true;
		g.reason = c->bye->reason;
		snprintf(g.text, sizeof g.text, "%s", c->bye->info);
		break;
	case TROUPE__CONTROL__BODY_WHEREIS:
		answer_whereis(c->ref, c->whereis->address);
		break;
	case TROUPE__CONTROL__BODY_NOTE:
		snprintf(g.note, sizeof g.note, "%s", c->note->text);
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
		int fd = -1, r = lifeline_receive(&g.lifeline, &arena, &c, &fd, &e);
		if (r == ERROR_NOT_FOUND)
			return;
		if (r < 0) {
			g.ended = true;
			loop_remove(s);
			return;
		}
		ck_assert_int_eq(r, 0);
		on_control(c, fd);
		arena_unref(arena);
	}
}

static void pool_fill(Troupe__PoolSetup *pool, Troupe__Pair pairs[static 4], Troupe__Pair *list[static 4])
{
	static char *queues[] = { (char *)"q" }, *tags[] = { (char *)"gpu" };
	pool->pool = (char *)"p";
	pool->coordinator = (char *)COORDINATOR;
	pool->mode = (char *)g.mode;
	pool->command = (char **)g.command;
	while (g.command[pool->n_command])
		pool->n_command++;
	pool->queues = queues;
	pool->n_queues = 1;
	pool->tags = tags;
	pool->n_tags = 1;
	for (size_t i = 0; i < 4 && g.environment[2 * i]; i++) {
		troupe__pair__init(&pairs[i]);
		pairs[i].key = (char *)g.environment[2 * i];
		pairs[i].value = (char *)g.environment[2 * i + 1];
		list[pool->n_environment++] = &pairs[i];
	}
	pool->environment = list;
	pool->directory = (char *)g.directory;
	pool->grace_ms = g.grace_ms;
	pool->start_timeout_ms = g.start_timeout_ms;
	pool->drain_timeout_ms = g.drain_timeout_ms;
	pool->line_max = g.line_max;
	pool->no_new_privs = true;
}

static void send_setup(void)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Setup s = TROUPE__SETUP__INIT;
	Troupe__PoolSetup pool = TROUPE__POOL_SETUP__INIT;
	Troupe__Pair pairs[4], *list[4];
	char state[96], socket[96];
	snprintf(state, sizeof state, "%s/state", g.dir);
	snprintf(socket, sizeof socket, "%s/a/1.%llu", g.dir, (unsigned long long)g.incarnation);
	pool_fill(&pool, pairs, list);
	s.address = (char *)"worker:p/1";
	s.incarnation = g.incarnation;
	s.number = 1;
	s.node = (char *)"00112233445566778899aabbccddeeff";
	s.run_dir = g.dir;
	s.state_dir = state;
	s.socket = socket;
	s.log_format = (char *)"logfmt";
	s.log_level = getenv("STAGE_LOG") ? (char *)"debug" : (char *)"error";
	s.pool = &pool;
	c.body_case = TROUPE__CONTROL__BODY_SETUP;
	c.setup = &s;
	say(&c);
}

static pid_t worker_exec(int fd)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	if (fd == LIFELINE_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, LIFELINE_FD);
	close_range(LIFELINE_FD + 1, ~0u, 0);
	if (!getenv("STAGE_LOG"))
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	if (g.fault)
		setenv("TROUPE_FAULT", g.fault, 1);
	execl(WORKER_PROGRAM, WORKER_PROGRAM, (char *)NULL);
	_exit(126);
}

void worker_spawns(void)
{
	int pair[2];
	ck_assert_int_eq(lifeline_pair(pair), 0);
	lifeline_init(&g.lifeline, pair[0]);
	ck_assert_int_eq(loop_add(g.loop, &g.source, pair[0], EPOLLIN, on_lifeline), 0);
	g.incarnation++;
	g.ready = g.bye = g.ended = g.start_failed = false;
	g.cell_fd = -1;
	g.worker = worker_exec(pair[1]);
	close(pair[1]);
	send_setup();
}

void worker_starts(void)
{
	unsigned before = g.n_attach;
	worker_spawns();
	WAIT(g.ready && g.n_attach > before);
}

int worker_ends(void)
{
	int status;
	WAIT(g.ended);
	lifeline_fini(&g.lifeline);
	if (g.cell_fd >= 0)
		close(g.cell_fd);
	g.cell_fd = -1;
	ck_assert_int_eq(waitpid(g.worker, &status, 0), g.worker);
	g.worker = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void worker_is_stopped(uint64_t within_ms, bool drain)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Stop stop = TROUPE__STOP__INIT;
	stop.within_ms = within_ms;
	stop.drain = drain;
	c.body_case = TROUPE__CONTROL__BODY_STOP;
	c.stop = &stop;
	say(&c);
}

/* --- the coordinator: what it hears --- */

static void on_up(void *ctx, struct peer *p)
{
	ck_assert_str_eq(peer_address(p), "worker:p/1");
	g.peer = p;
}

static void numbers_add(struct numbers *s, const uint64_t *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_lt(s->n, TELLS_MAX);
		s->all[s->n++] = all[i];
	}
}

bool number_in(const struct numbers *s, uint64_t n)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->all[i] == n)
			return true;
	return false;
}

/* A copy that outlives its frame. */
static ProtobufCMessage *kept(const ProtobufCMessage *m)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	_cleanup_(freep) uint8_t *data = malloc(n + 1);
	protobuf_c_message_pack(m, data);
	return protobuf_c_message_unpack(m->descriptor, NULL, n, data);
}

static void on_outcomes(Troupe__Outcome *const *all, size_t n)
{
	_cleanup_(freep) uint64_t *tokens = calloc(n + 1, sizeof *tokens);
	for (size_t i = 0; i < n; i++) {
		tokens[i] = all[i]->token;
		if (g.counts_only) {
			g.n_outcomes += all[i]->exit_class == TROUPE__EXIT_CLASS__EXIT_DONE;
			continue;
		}
		ck_assert_uint_lt(g.n_outcomes, TELLS_MAX);
		g.outcomes[g.n_outcomes++] = (Troupe__Outcome *)kept(&all[i]->base);
	}
	if (!g.silent && n)
		tell_ack(tokens, n);
}

static void on_attach(const Troupe__Attach *a)
{
	if (g.attach)
		troupe__attach__free_unpacked(g.attach, NULL);
	g.attach = (Troupe__Attach *)kept(&a->base);
	g.n_attach++;
	on_outcomes(a->outcomes, a->n_outcomes);
}

static void on_blob_get(const Troupe__Envelope *ask)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__BlobData d = TROUPE__BLOB_DATA__INIT;
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	uint64_t offset = ask->blob_get->offset;
	g.n_blob_asks++;
	g.blob_offset = offset;
	if (g.blob_silent)
		return;
	ck_assert_uint_lt(offset, g.blob_len);
	env.reply_to = ask->id;
	env.kind = g.blob_error ? TROUPE__KIND__ERROR : TROUPE__KIND__REPLY;
	d.size = g.blob_len;
	d.data = (ProtobufCBinaryData){ g.blob_len - offset, (uint8_t *)g.blob + offset };
	if (g.blob_piece && d.data.len > g.blob_piece)
		d.data.len = g.blob_piece;
	f.code = g.blob_error;
	f.text = (char *)"as the test wants it";
	if (g.blob_error) {
		env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
		env.error = &f;
	} else {
		env.body_case = TROUPE__ENVELOPE__BODY_BLOB_DATA;
		env.blob_data = &d;
	}
	ck_assert_int_eq(peer_send(g.peer, &env), 0);
}

static void on_envelope(const Troupe__Envelope *env)
{
	switch ((int)env->body_case) {
	case TROUPE__ENVELOPE__BODY_ATTACH:
		on_attach(env->attach);
		break;
	case TROUPE__ENVELOPE__BODY_STARTED:
		if (!g.counts_only)
			numbers_add(&g.started, env->started->tokens, env->started->n_tokens);
		break;
	case TROUPE__ENVELOPE__BODY_OUTCOMES:
		on_outcomes(env->outcomes->outcomes, env->outcomes->n_outcomes);
		break;
	case TROUPE__ENVELOPE__BODY_REVOKED:
		numbers_add(&g.revoked, env->revoked->tokens, env->revoked->n_tokens);
		numbers_add(&g.kept, env->revoked->kept, env->revoked->n_kept);
		break;
	case TROUPE__ENVELOPE__BODY_BLOB_GET:
		on_blob_get(env);
		break;
	case TROUPE__ENVELOPE__BODY_PROGRESS:
		g.n_progress++;
		g.percent = env->progress->percent;
		g.progress_token = env->progress->token;
		snprintf(g.progress_note, sizeof g.progress_note, "%s", env->progress->note);
		break;
	default:
		ck_abort_msg("the worker said %d", env->body_case);
	}
}

static void on_envelopes(void *ctx, struct peer *p, struct arena *a, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(env[i]->kind, env[i]->body_case == TROUPE__ENVELOPE__BODY_BLOB_GET ? TROUPE__KIND__ASK : TROUPE__KIND__SIGNAL);
		on_envelope(env[i]);
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
	if (g.peer == p)
		g.peer = NULL;
}

static const struct peer_events events = { on_up, on_envelopes, on_parts, on_room, on_down };

void coordinator_comes(void)
{
	struct peer_config c = { .wire = wire_limits_default, .channel = channel_limits_default, .output_max = 16 << 20, .credit = 1024, .anonymous_credit = 16,
	                         .incarnation = COORDINATOR_INCARNATION };
	struct error e;
	char url[96];
	snprintf(c.address, sizeof c.address, COORDINATOR);
	ck_assert_int_eq(peer_hub_open(g.loop, &c, &events, NULL, &g.hub), 0);
	snprintf(url, sizeof url, "ipc://%s/a/coordinator", g.dir);
	ck_assert_int_eq(peer_listen(g.hub, url, 0, &e), 0);
}

void coordinator_goes(void)
{
	g.hub = peer_hub_close(g.hub);
	g.peer = NULL;
}

/* --- the coordinator: what it says --- */

static void send_signal(Troupe__Envelope *env)
{
	ck_assert_ptr_nonnull(g.peer);
	env->kind = TROUPE__KIND__SIGNAL;
	ck_assert_int_eq(peer_send(g.peer, env), 0);
}

void task_init(struct task_given *t, const void *payload, size_t len)
{
	*t = (struct task_given){ 0 };
	troupe__assignment__init(&t->a);
	t->a.token = ++g.token;
	memcpy(t->id, "\1\2\3\4\5\6", 6);
	memcpy(t->id + 8, &t->a.token, sizeof t->a.token);
	t->a.seq = 100 + t->a.token;
	t->a.queue = (char *)"q";
	t->a.attempt = 1;
	t->a.max_attempts = 5;
	t->a.payload = (ProtobufCBinaryData){ len, (uint8_t *)payload };
	t->a.output_max = 65536;
}

static void send_run(Troupe__Assignment **all, size_t n)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Run run = TROUPE__RUN__INIT;
	run.tasks = all;
	run.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_RUN;
	env.run = &run;
	send_signal(&env);
}

uint64_t task_give(struct task_given *t)
{
	Troupe__Assignment *one = &t->a;
	t->a.id = (ProtobufCBinaryData){ 16, t->id };
	t->a.argv = t->argv;
	for (t->a.n_argv = 0; t->a.n_argv < 8 && t->argv[t->a.n_argv].data;)
		t->a.n_argv++;
	send_run(&one, 1);
	return t->a.token;
}

uint64_t give(const char *payload)
{
	struct task_given t;
	task_init(&t, payload, strlen(payload));
	return task_give(&t);
}

void give_many(size_t n, const char *payload)
{
	struct task_given *t = calloc(n, sizeof *t);
	Troupe__Assignment **all = calloc(n, sizeof *all);
	for (size_t i = 0; i < n; i++) {
		task_init(&t[i], payload, strlen(payload));
		t[i].a.id = (ProtobufCBinaryData){ 16, t[i].id };
		all[i] = &t[i].a;
	}
	send_run(all, n);
	free(all);
	free(t);
}

void tell_attached(const uint64_t *abort, size_t n_abort, const uint64_t *committed, size_t n_committed)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Attached m = TROUPE__ATTACHED__INIT;
	m.abort = (uint64_t *)abort;
	m.n_abort = n_abort;
	m.committed = (uint64_t *)committed;
	m.n_committed = n_committed;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACHED;
	env.attached = &m;
	send_signal(&env);
}

void tell_ack(const uint64_t *tokens, size_t n)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__OutcomesAck m = TROUPE__OUTCOMES_ACK__INIT;
	m.tokens = (uint64_t *)tokens;
	m.n_tokens = n;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES_ACK;
	env.outcomes_ack = &m;
	send_signal(&env);
}

void tell_revoke(const uint64_t *tokens, size_t n)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Revoke m = TROUPE__REVOKE__INIT;
	m.tokens = (uint64_t *)tokens;
	m.n_tokens = n;
	env.body_case = TROUPE__ENVELOPE__BODY_REVOKE;
	env.revoke = &m;
	send_signal(&env);
}

void tell_abort(uint64_t token)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Abort m = TROUPE__ABORT__INIT;
	m.tokens = &token;
	m.n_tokens = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_ABORT;
	env.abort = &m;
	send_signal(&env);
}

void tell_drain(void)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Drain m = TROUPE__DRAIN__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_DRAIN;
	env.drain = &m;
	send_signal(&env);
}

/* --- what came of it --- */

const Troupe__Outcome *outcome_of(uint64_t token)
{
	for (size_t i = 0; i < g.n_outcomes; i++)
		if (g.outcomes[i]->token == token)
			return g.outcomes[i];
	return NULL;
}

const Troupe__Outcome *outcome_waited(uint64_t token)
{
	WAIT(outcome_of(token));
	return outcome_of(token);
}

bool output_is(const Troupe__Outcome *o, const char *text)
{
	return o->output.len == strlen(text) && (!*text || memcmp(o->output.data, text, o->output.len) == 0);
}

struct status_cell cell_read(void)
{
	const struct status_cell *mapped;
	struct status_cell c;
	ck_assert_int_eq(status_map(g.cell_fd, &mapped, NULL), 0);
	status_read(mapped, &c);
	status_unmap(mapped);
	return c;
}

const char *stage_file(const char *name, const char *text, mode_t mode)
{
	static char paths[8][128];
	static unsigned n;
	char *path = paths[n++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", g.dir, name);
	if (text) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(file_write_all(fd, text, strlen(text)), 0);
		close(fd);
	}
	return path;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

pid_t pid_in_file(const char *path)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	if (file_read_all(path, 4096, &text, &len) || !strchr(text, '\n'))
		return 0;
	return (pid_t)atoi(text);
}

bool process_alive(pid_t pid)
{
	_cleanup_(freep) char *text = NULL;
	char path[64];
	size_t len;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (file_read_all(path, 4096, &text, &len))
		return false;
	return strrchr(text, ')')[2] != 'Z';
}

/* --- one stage --- */

void stage_begins(void)
{
	sigset_t all;
	char path[96];
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	memset(&g, 0, sizeof g);
	g.mode = "exec";
	g.directory = "";
	g.grace_ms = 200;
	g.start_timeout_ms = 10000;
	g.cell_fd = -1;
	snprintf(g.dir, sizeof g.dir, "/tmp/troupe-worker-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(g.dir));
	snprintf(path, sizeof path, "%s/a", g.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(loop_open(&g.loop), 0);
	ck_assert_int_eq(family_adopt(), 0); /* as trouped: what a dead worker leaves arrives here */
	coordinator_comes();
}

/* Everybody who is left. */
static void sweep(void)
{
	uint64_t until_ms = clock_mono_ms() + WAIT_MS;
	struct family_end end;
	while (family_reap(&end) != FAMILY_EMPTY) {
		ck_assert_msg(clock_mono_ms() < until_ms, "a process does not die");
		family_kill();
	}
}

static void remove_all(const char *dir)
{
	char command[256];
	snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", dir, dir);
	ck_assert_int_eq(system(command), 0);
}

void stage_ends(void)
{
	if (g.worker) {
		kill(g.worker, SIGKILL);
		loop_remove(&g.source);
		lifeline_fini(&g.lifeline);
	}
	sweep();
	if (g.hub)
		peer_hub_close(g.hub);
	if (g.cell_fd >= 0)
		close(g.cell_fd);
	for (size_t i = 0; i < g.n_outcomes && !g.counts_only; i++)
		troupe__outcome__free_unpacked(g.outcomes[i], NULL);
	if (g.attach)
		troupe__attach__free_unpacked(g.attach, NULL);
	loop_close(g.loop);
	remove_all(g.dir);
}
