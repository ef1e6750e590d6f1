/* One node, from its locks to its last child. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "supervisor/family.h"
#include "supervisor/node.h"
#include "supervisor/privilege.h"

#define LOCK_PAUSE_MS 10
#define LOCK_TRIES 200u
#define LOOK_EVERY_MS 10000u
#define INCARNATION_BLOCK 1000000

/* --- the loop --- */

static uint64_t tick(void *ctx, uint64_t now_ms)
{
	struct node *n = ctx;
	n->turn_began_us = clock_mono_us();
	deaths_conclude(n);
	family_look(n, now_ms);
	births_go_on(n);
	if (now_ms >= n->ping_at_ms) {
		watch_children(n, now_ms);
		cgroup_tidy(&n->cgroup);
		n->ping_at_ms = now_ms + LOOK_EVERY_MS;
	}
	if (now_ms >= n->watchdog_at_ms)
		watchdog_round(n, now_ms);
	uint64_t beat_ms = heard_look(n, now_ms);
	ready_look(n, now_ms);
	if (now_ms >= tree_next_due(n->tree))
		step(n, &(struct event){ .kind = EVENT_TIME, .now_ms = now_ms });
	uint64_t spares_ms = spares_look(n, now_ms);
	uint64_t due = tree_next_due(n->tree), write_at_ms = evidence_tick(n, now_ms); /* last: what was decided is written before we sleep */
	if (births_wait(n) || n->dead || n->mourned)
		return now_ms; /* after a look at who is calling */
	uint64_t at_ms = n->ping_at_ms < n->sweep_at_ms ? n->ping_at_ms : n->sweep_at_ms;
	if (spares_ms < at_ms)
		at_ms = spares_ms;
	if (beat_ms < at_ms)
		at_ms = beat_ms;
	if (write_at_ms < at_ms)
		at_ms = write_at_ms;
	if (n->watchdog_at_ms < at_ms)
		at_ms = n->watchdog_at_ms;
	if (!n->up && n->ready_by_ms && n->ready_by_ms < at_ms)
		at_ms = n->ready_by_ms;
	return due < at_ms ? due : at_ms;
}

static void dump(struct node *n)
{
	for (struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c))
		log_info("state", LOG_S("child", c->name), LOG_S("state", child_state_name(c->state)), LOG_U("incarnation", c->incarnation), LOG_U("restarts", c->restarts));
}

static void shut_down(struct node *n, bool fast)
{
	struct event e = { .kind = EVENT_SHUTDOWN, .now_ms = loop_now_ms(n->loop), .within_ms = n->config->stop_timeout_ms, .fast = fast || n->stopping };
	log_info(e.fast ? "stopping now" : "stopping");
	if (!n->stopping)
		outbox_say(n, "info", "node.stopping", NULL, NULL, "%s", e.fast ? "at once" : "in order");
	n->stopping = true;
	spares_end(n);
	notify_send(&n->notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu", (unsigned long long)(n->config->stop_timeout_ms + 5000) * 1000);
	step(n, &e);
}

static void on_signal(void *ctx, const struct signalfd_siginfo *si)
{
	struct node *n = ctx;
	struct reload_request again = { .by_signal = true, .subject = "SIGHUP" };
	switch (si->ssi_signo) {
	case SIGTERM:
	case SIGINT:
		shut_down(n, false);
		break;
	case SIGQUIT:
		shut_down(n, true);
		break;
	case SIGHUP:
		notify_send(&n->notify, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_mono_us());
		reload(n, &again);
		notify_send(&n->notify, "READY=1");
		break;
	case SIGUSR1:
		stderr_log_reopen(&n->log);
		break;
	case SIGUSR2:
		dump(n);
		break;
	case SIGCHLD:
		family_hint(n); /* an orphan may have arrived or ended; children have their pidfds */
		break;
	}
}

/* The node's id, made once, and the first incarnation number of this run: a block that no earlier run has used. */
static int identity(struct node *n, uint64_t *ret_incarnation, struct error *e)
{
	char path[PATH_MAX], text[128];
	_cleanup_(freep) char *was = NULL;
	size_t len;
	uint64_t block = 0;
	snprintf(path, sizeof path, "%s/node", n->config->state_dir);
	if (file_read_all(path, sizeof text, &was, &len) != 0 || sscanf(was, "%32[0-9a-f] %" SCNu64, n->id, &block) != 2 || strlen(n->id) != 32) {
		uint8_t random[16];
		if (rng_system(random, sizeof random) != 0)
			return error_set(e, ERROR_INTERNAL, "no random numbers");
		for (unsigned i = 0; i < 16; i++)
			snprintf(n->id + 2 * i, 3, "%02x", random[i]);
		block = 0;
	}
	char fresh[PATH_MAX + 8];
	snprintf(fresh, sizeof fresh, "%s.new", path);
	snprintf(text, sizeof text, "%s %" PRIu64 "\n", n->id, block + 1);
	_cleanup_(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, text, strlen(text)) != 0 || fsync(fd) != 0 || rename(fresh, path) != 0 || file_fsync_dir(n->config->state_dir) != 0)
		return error_set(e, ERROR_STORE, "%s cannot be written: %s", path, strerror(errno));
	*ret_incarnation = block * INCARNATION_BLOCK + 1;
	return 0;
}

/* Of a trouped that was killed just when it made a child, the child has the lock until its exec. */
static int lock_take(const char *path, int *ret_fd, pid_t *ret_owner)
{
	int r = file_lock(path, ret_fd, ret_owner);
	for (unsigned i = 0; r == ERROR_EXISTS && *ret_owner > 0 && kill(*ret_owner, 0) != 0 && errno == ESRCH && i < LOCK_TRIES; i++) {
		poll(NULL, 0, LOCK_PAUSE_MS);
		r = file_lock(path, ret_fd, ret_owner);
	}
	return r;
}

static int prepare(struct node *n, uint64_t *ret_incarnation)
{
	struct error e = { 0 };
	char path[PATH_MAX];
	pid_t owner = 0;
	if (privilege_prepare(n->config, &e)) {
		log_error("directories", LOG_S("why", e.text));
		return e.code == ERROR_NOT_ALLOWED ? 77 : 73;
	}
	if (privilege_drop(n->config, &e)) {
		log_error("privileges", LOG_S("why", e.text));
		return 77;
	}
	snprintf(path, sizeof path, "%s/lock", n->config->state_dir);
	int r = lock_take(path, &n->state_lock, &owner);
	if (r) {
		log_error(r == ERROR_EXISTS ? "another trouped has this state directory" : "cannot lock the state directory", LOG_S("path", path), LOG_I("pid", owner));
		return r == ERROR_EXISTS ? 69 : 73;
	}
	snprintf(path, sizeof path, "%s/lock", n->config->run_dir);
	r = lock_take(path, &n->run_lock, &owner);
	if (r) {
		log_error(r == ERROR_EXISTS ? "another trouped has this run directory" : "cannot lock the run directory", LOG_S("path", path), LOG_I("pid", owner));
		return r == ERROR_EXISTS ? 69 : 73;
	}
	r = identity(n, ret_incarnation, &e);
	if (r) {
		log_error("state directory", LOG_S("why", e.text));
		return 74;
	}
	cgroup_open(&n->cgroup, n->id);
	for (unsigned round = 0; round < 100 && family_sweep_node(n->id) > 0; round++)
		log_warn("killed what an earlier node left", LOG_U("round", round));
	return 0;
}

static int open_node(struct node *n)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD };
	uint64_t incarnation = 1, seed = 0;
	sigset_t set;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || loop_open(&n->loop) != 0 || !(n->outbox = outbox_new())) {
		log_error("the system refuses what a supervisor needs", LOG_S("why", strerror(errno)));
		return 71;
	}
	int code = prepare(n, &incarnation);
	if (code)
		return code;
	sigemptyset(&set);
	for (size_t i = 0; i < ELEMENTS(signals); i++)
		sigaddset(&set, signals[i]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	rng_system(&seed, sizeof seed);
	evidence_open(n);
	if (loop_signals(n->loop, &set, on_signal, n) != 0 || config_tree(n->config, &(struct tree_config){ seed, incarnation, 1 }, stderr, &n->tree) != 0)
		return 71;
	evidence_boot(n, seed, incarnation);
	return 0;
}

static void close_node(struct node *n)
{
	spares_end(n);
	while (n->processes)
		process_free(n->processes);
	while (n->queued) {
		struct queued *q = n->queued;
		n->queued = q->next;
		free(q);
	}
	free(n->births);
	evidence_close(n, false);
	monitors_free(n);
	links_free(n);
	outbox_free(n->outbox);
	starter_close(n);
	tree_free(n->tree);
	if (n->loop)
		loop_close(n->loop);
	notify_close(&n->notify);
	cgroup_close(&n->cgroup);
	reload_forget(n, true);
	config_free(n->config);
	if (n->state_lock >= 0)
		close(n->state_lock);
	if (n->run_lock >= 0)
		close(n->run_lock);
	free(n);
}

int supervisor_run(struct config *c, const struct supervisor_options *o)
{
	enum log_format format = LOG_LOGFMT;
	enum log_level level = LOG_INFO;
	struct node *n = calloc(1, sizeof *n);
	log_format_parse(c->log_format, &format);
	log_level_parse(c->log_level, &level);
	log_setup("trouped", format, o->verbose ? LOG_DEBUG : level, STDERR_FILENO);
	fault_role("trouped");
	if (!n) {
		config_free(c);
		return 71;
	}
	n->config = c;
	n->ready_fd = o->ready_fd;
	n->pid_file = o->pid_file;
	n->state_lock = n->run_lock = -1;
	stderr_log_find(&n->log);
	notify_open(&n->notify);
	n->sweep_at_ms = n->watchdog_at_ms = TIME_NEVER;
	n->started_at_ms = clock_mono_ms();
	int code = open_node(n);
	int r = code || o->control_fd < 0 ? 0 : starter_open(n, o->control_fd);
	if (r) {
		log_error("--control-fd is no socket of packets", LOG_S("why", strerror(-r)));
		code = 65;
	}
	if (!code) {
		n->ping_at_ms = clock_mono_ms() + LOOK_EVERY_MS;
		step(n, &(struct event){ .kind = EVENT_BOOT, .now_ms = clock_mono_ms() });
		code = loop_run(n->loop, tick, n);
		if (o->pid_file)
			unlink(o->pid_file);
		evidence_close(n, n->stopping && code == 0);
		if (code < 0 || (n->start_failed && !code))
			code = 70;
		log_info("node has stopped", LOG_I("status", code));
	}
	close_node(n);
	return code;
}
