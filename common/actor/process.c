/* The process: from main to READY, round the loop, and out.
 *
 * Signals are blocked before anything else, because nng starts threads: SIGTERM arrives through the loop and means what STOP with drain means. The process
 * is a subreaper, so that what its behaviour forks cannot leave the family unseen. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/actor/internal.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define SIGTERM_WITHIN_MS 5000u
#define LEAVE_FLUSH_MS 1000u

/* --- set-up --- */

static void signals_block(void)
{
	sigset_t set;
	sigfillset(&set);
	/* A crash must reach the handler that writes the status cell. */
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	for (size_t i = 0; i < ELEMENTS(crashes); i++)
		sigdelset(&set, crashes[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(void *ctx, const struct signalfd_siginfo *si)
{
	struct actor *a = ctx;
	if (a->stopping)
		return;
	struct event *e = event_add(a, EVENT_STOP);
	if (!e)
		return;
	a->stopping = true;
	e->number = SIGTERM_WITHIN_MS;
	e->flag = true;
}

static bool on_a_lifeline(void)
{
	int type = 0;
	socklen_t len = sizeof type;
	return getsockopt(LIFELINE_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static int store_setup(struct actor *a, struct error *e)
{
	if (!a->def->tables)
		return 0;
	const Troupe__CoordinatorSetup *c = a->setup->coordinator;
	struct store_config config = {
		.dir = a->setup->state_dir,
		.tables = a->def->tables,
		.version = a->def->store_version,
		.log = a->def->log_bytes,
		.map_max = c ? c->map_max : 0,
	};
	return store_open(&config, &a->store, e);
}

static int mailbox_setup(struct actor *a, struct error *e)
{
	const Troupe__Limits *l = a->setup->limits;
	char url[160];
	mailbox_init(&a->mailbox, l->mailbox_messages, l->mailbox_bytes);
	a->output_max = l->output_bytes;
	if (!a->def->connects)
		return 0;
	struct peer_config c = {
		.wire = wire_limits_default,
		.channel = channel_limits_default,
		.output_max = l->output_bytes,
		.credit = l->credit,
		.anonymous_credit = l->anonymous_credit,
		.incarnation = a->setup->incarnation,
	};
	c.wire.frame = c.channel.frame_max = l->frame;
	c.wire.envelopes = l->frame_envelopes;
	c.channel.connections_max = l->connections;
	snprintf(c.address, sizeof c.address, "%s", a->address);
	snprintf(c.node, sizeof c.node, "%s", a->setup->node);
	snprintf(c.program, sizeof c.program, "troupe %s", TROUPE_VERSION);
	int r = peer_hub_open(a->loop, &c, &conn_events, a, &a->hub);
	if (r || !*a->setup->socket)
		return r;
	if (snprintf(url, sizeof url, "ipc://%s", a->setup->socket) >= (int)sizeof url)
		return error_set(e, ERROR_CONFIG, "the mailbox's path is too long: %.100s", a->setup->socket);
	/* Who may enter is decided by uid and role, per verb; the run directory's mode decides who comes this far. */
	return peer_listen(a->hub, url, 0666, e);
}

static int base_setup(struct actor *a)
{
	uint64_t seed[2];
	sigset_t term;
	enum log_level level = LOG_INFO;
	enum log_format format = LOG_LOGFMT;
	log_level_parse(a->setup->log_level, &level);
	log_format_parse(a->setup->log_format, &format);
	snprintf(a->address, sizeof a->address, "%s", a->setup->address);
	log_setup(a->address, format, level, STDERR_FILENO);
	int r = rng_system(seed, sizeof seed);
	if (r)
		return r;
	rng_seed(&a->rng, seed[0]);
	id_maker_init(&a->ids, seed[1]);
	asks_init(&a->asks);
	a->wake_at_ms = a->links.due_at_ms = TIME_NEVER;
	if (!(a->turn = calloc(1, sizeof *a->turn)))
		return -ENOMEM;
	if ((r = loop_open(&a->loop)))
		return r;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	return loop_signals(a->loop, &term, on_signal, a);
}

static int start_failed(struct actor *a, int code, const struct error *e)
{
	bool fatal = code == ERROR_CORRUPT || code == ERROR_VERSION || code == ERROR_CONFIG;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__StartFailed f = TROUPE__START_FAILED__INIT;
	const char *why = *e->text ? e->text : code < 0 ? strerror(-code) : error_name(code);
	f.text = (char *)why;
	f.fatal = fatal;
	c.body_case = TROUPE__CONTROL__BODY_START_FAILED;
	c.start_failed = &f;
	log_error("cannot start", LOG_S("why", why), LOG_S("cure", e->cure));
	lifeline_send(&a->lifeline, &c, -1);
	lifeline_flush(&a->lifeline);
	return fatal ? 100 : 111;
}

/* Store, mailbox, behaviour. 0, or an exit code. */
static int actor_start(struct actor *a)
{
	struct error e = { 0 };
	int cell = -1, r = base_setup(a);
	if (!r)
		r = status_create(&a->status, &cell);
	if (!r)
		r = status_catch_crashes(a->status);
	if (!r)
		r = store_setup(a, &e);
	if (!r)
		r = turn_init(a->turn, a->store, &a->ids, clock_mono_ms(), clock_wall_ms(), clock_boot_ms());
	if (!r)
		r = mailbox_setup(a, &e);
	if (!r)
		a->turn->actor = a;
	if (!r && a->def->init)
		r = a->def->init(a, a->setup, &a->state, &e);
	if (!r)
		r = control_watch(a);
	if (r) {
		if (cell >= 0)
			close(cell);
		return start_failed(a, r, &e);
	}
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Ready ready = TROUPE__READY__INIT;
	c.body_case = TROUPE__CONTROL__BODY_READY;
	c.ready = &ready;
	status_phase(a->status, PHASE_IDLE, clock_mono_ms());
	r = control_send(a, &c, cell);
	close(cell);
	return r < 0 ? 111 : 0;
}

/* --- the loop --- */

static _Noreturn void fatal(int r)
{
	log_error("fatal", LOG_S("why", strerror(-r)));
	_exit(111);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Behind the answers of a turn, so that nobody waits for it. */
static uint64_t checkpoint(struct actor *a)
{
	uint64_t at = a->store ? store_checkpoint_at(a->store) : TIME_NEVER;
	if (at > clock_mono_ms())
		return at;
	if (a->hub)
		peer_hub_flush(a->hub);
	status_phase(a->status, PHASE_COMMIT, clock_mono_ms());
	int r = store_checkpoint(a->store);
	if (r < 0)
		fatal(r);
	status_phase(a->status, a->stopping ? PHASE_STOPPING : PHASE_IDLE, clock_mono_ms());
	return store_checkpoint_at(a->store);
}

static uint64_t actor_tick(void *ctx, uint64_t now_ms)
{
	struct actor *a = ctx;
	uint64_t next = ask_tick(a, now_ms);
	next = earlier(next, link_tick(a, now_ms));
	if (batch_wanted(a, now_ms)) {
		int r = batch_run(a, now_ms);
		if (r < 0)
			fatal(r);
		status_phase(a->status, a->stopping ? PHASE_STOPPING : PHASE_IDLE, clock_mono_ms());
		if (a->hub)
			channel_hub_poll(peer_hub_channels(a->hub)); /* what came in while the disk was busy */
	}
	next = earlier(next, checkpoint(a));
	next = earlier(next, control_tick(a, now_ms));
	if (a->hub) {
		peer_hub_flush(a->hub);
		next = earlier(next, peer_hub_tick(a->hub, now_ms));
	}
	if (a->leaving) {
		loop_stop(a->loop, a->exit_code);
		return now_ms;
	}
	/* What the turn began may be due sooner than what was known before it. */
	next = earlier(next, earlier(a->links.due_at_ms, a->wake_at_ms));
	const struct ask *k = heap_peek(&a->asks.due);
	if (k)
		next = earlier(next, k->deadline_at_ms);
	return batch_wanted(a, now_ms) ? now_ms : next;
}

/* --- the way out --- */

void actor_leave(struct actor *a, int exit_code, Troupe__Reason reason, const char *fmt, ...)
{
	va_list ap;
	if (a->leaving)
		return;
	a->leaving = true;
	a->exit_code = exit_code;
	a->reason = reason;
	va_start(ap, fmt);
	vsnprintf(a->info, sizeof a->info, fmt, ap);
	va_end(ap);
	for (size_t n = strlen(a->info); n && !utf8_valid((const uint8_t *)a->info, n);)
		a->info[--n] = '\0';
}

static uint64_t flush_tick(void *ctx, uint64_t now_ms)
{
	struct actor *a = ctx;
	bool done = !lifeline_wants_write(&a->lifeline) && !a->backlog;
	if (a->hub) {
		peer_hub_flush(a->hub);
		peer_hub_tick(a->hub, now_ms);
	}
	for (const struct conn *c = a->conns.all; c; c = c->next)
		done = done && (!c->peer || c->state == CONN_DIALLING || peer_unsent(c->peer) == 0);
	if (done || now_ms >= a->leave_until_ms)
		loop_stop(a->loop, 0);
	return earlier(a->leave_until_ms, now_ms + 20);
}

/* Who waits in the mailbox is told to come again; then the last words leave. */
static void say_goodbye(struct actor *a)
{
	struct error e = { 0 };
	struct mail *m;
	error_set(&e, ERROR_STOPPING, "%s is leaving", a->address);
	error_retry(&e, 100);
	while ((m = mailbox_pop(&a->mailbox))) {
		dispatch_refuse(a, m->conn, m->env, &e);
		if (m->conn)
			m->conn->queued--;
		mail_free(m);
	}
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Farewell bye = TROUPE__FAREWELL__INIT;
	bye.reason = a->reason;
	bye.info = a->info;
	c.body_case = TROUPE__CONTROL__BODY_BYE;
	c.bye = &bye;
	control_send(a, &c, -1);
	a->leave_until_ms = clock_mono_ms() + LEAVE_FLUSH_MS;
	loop_run(a->loop, flush_tick, a);
}

static void actor_free(struct actor *a)
{
	struct conn *next;
	if (a->def->fini && a->state)
		a->def->fini(a->state);
	if (a->hub)
		a->hub = peer_hub_close(a->hub);
	for (struct conn *c = a->conns.all; c; c = next) { /* those that kept messages */
		next = c->next;
		c->queued = 0;
		c->peer = NULL;
		conn_finish(a, c);
	}
	mailbox_fini(&a->mailbox);
	while (a->events) {
		struct event *e = a->events;
		a->events = e->next;
		event_free(e);
	}
	links_fini(a);
	asks_fini(&a->asks);
	if (a->turn && a->turn->arena)
		turn_fini(a->turn);
	free(a->turn);
	if (a->store && store_checkpoint(a->store))
		log_warn("the log could not be brought into the data: the next life does it", LOG_S("dir", a->setup->state_dir));
	store_close(a->store);
	control_fini(a);
	a->loop = loop_close(a->loop);
	arena_unref(a->setup_arena);
	arena_unref(a->first_setup);
}

/* A spare that becomes somebody says so in its environment, where the supervisor and people look for it: in place, since that is what /proc shows. */
static void take_name(char *tag, const Troupe__Setup *setup)
{
	char name[512] = "";
	size_t room = strlen(tag);
	int n = snprintf(name, sizeof name, "%s.%llu", setup->address, (unsigned long long)setup->incarnation);
	if (n > 0 && (size_t)n <= room && room < sizeof name)
		memcpy(tag, name, room + 1); /* zeros behind it */
}

int actor_main(const struct actor_def *def, int argc, char **argv)
{
	static struct actor the_actor;
	struct actor *a = &the_actor;
	a->def = def;
	handlers_check(def);
	signals_block();
	log_setup(def->type, LOG_LOGFMT, LOG_INFO, STDERR_FILENO);
	if (!on_a_lifeline()) {
		fprintf(stderr, "%s: this program is started by trouped, not by hand\n", argc > 0 ? argv[0] : def->type);
		return 100;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fault_role(def->type);
	char *tag = getenv("TROUPE_CHILD");
	bool spare = tag && strncmp(tag, "spare:", 6) == 0;
	int code = control_open(a, spare);
	if (!code && spare)
		take_name(tag, a->setup);
	if (!code)
		code = actor_start(a);
	if (code)
		return code;
	code = loop_run(a->loop, actor_tick, a);
	if (code < 0) {
		log_error("the loop failed", LOG_S("why", strerror(-code)));
		return 111;
	}
	status_phase(a->status, PHASE_STOPPING, clock_mono_ms());
	say_goodbye(a);
	actor_free(a);
	return code;
}

/* --- for the behaviour --- */

struct loop *actor_loop(struct actor *a)
{
	return a->loop;
}

struct store *actor_store(struct actor *a)
{
	return a->store;
}

const char *actor_address(const struct actor *a)
{
	return a->address;
}

uint64_t actor_incarnation(const struct actor *a)
{
	return a->setup->incarnation;
}

const Troupe__Setup *actor_setup(const struct actor *a)
{
	return a->setup;
}

struct id_maker *actor_ids(struct actor *a)
{
	return &a->ids;
}

struct status_cell *actor_status(struct actor *a)
{
	return a->status;
}

int actor_listen(struct actor *a, const char *url, mode_t mode, struct error *e)
{
	assert(a->hub);
	return peer_listen(a->hub, url, mode, e);
}

int actor_post(struct actor *a, int (*fn)(struct turn *t, void *state, void *arg), void *arg)
{
	struct event *e = a->n_posts < POSTS_MAX ? event_add(a, EVENT_POST) : NULL;
	if (!e)
		return -ENOMEM;
	a->n_posts++;
	e->fn = fn;
	e->arg = arg;
	return 0;
}
