#include "tests/supervision/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "supervisor/tree_text.h"
#include "tests/supervision/need.h"

struct puppet *puppet_of(struct node_play *p, const char *name)
{
	struct puppet *x = p->puppets;
	while (x && strcmp(x->name, name) != 0)
		x = x->next;
	if (x)
		return x;
	x = calloc(1, sizeof *x);
	NEED(x != NULL);
	snprintf(x->name, sizeof x->name, "%s", name);
	x->fd = x->early = -1;
	x->next = p->puppets;
	p->puppets = x;
	return x;
}

void puppet_tell(struct puppet *x, const char *order)
{
	if (strncmp(order, "ready", 5) != 0)
		x->told_end = x->incarnation;
	if (x->fd >= 0)
		(void)!send(x->fd, order, strlen(order), MSG_NOSIGNAL);
}

static void puppet_later(struct puppet *x, const char *order, uint64_t after_ms)
{
	if (after_ms == 0) {
		puppet_tell(x, order);
		return;
	}
	snprintf(x->order, sizeof x->order, "%s", order);
	x->order_at_ms = clock_mono_ms() + after_ms;
}

/* --- what the stubs say ----------------------------------------------------------------------------------------------------------- */

static void on_hello(struct node_play *p, int fd, const char *text)
{
	uint64_t incarnation;
	int pid, at = 0;
	char order[80];
	NEED_MSG(sscanf(text, "hello %" SCNu64 " %d %n", &incarnation, &pid, &at) == 2 && at, "a stub says %s", text);
	struct puppet *x = puppet_of(p, text + at);
	NEED_MSG(incarnation > x->incarnation, "%s: incarnation %" PRIu64 " starts after %" PRIu64, x->name, incarnation, x->incarnation);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = fd;
	x->pid = pid;
	x->before = x->incarnation;
	x->incarnation = incarnation;
	x->order_at_ms = 0;
	if (x->fails > 0) {
		snprintf(order, sizeof order, "exit %d", x->early >= 0 ? x->early : 1);
		if (x->fails != ALWAYS)
			x->fails--;
	} else if (x->ignore) {
		snprintf(order, sizeof order, "ignore");
	} else {
		snprintf(order, sizeof order, "ready %s", x->info);
	}
	if (x->slow_ms != ALWAYS)
		puppet_later(x, order, x->slow_ms);
}

static void on_stub(struct puppet *x, const char *text)
{
	char order[32];
	snprintf(order, sizeof order, "exit %d", x->exits);
	if (strcmp(text, "stop") == 0) {
		x->stop_heard = x->incarnation;
		if (!x->deaf && !x->stubborn)
			puppet_later(x, order, x->lazy_ms);
	} else if (strcmp(text, "term") == 0 && x->stubborn) {
		puppet_tell(x, order);
	}
}

static void hear_puppets(struct node_play *p)
{
	char text[300];
	ssize_t n;
	for (int fd; (fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
		NEED(p->n_strangers < ELEMENTS(p->strangers));
		p->strangers[p->n_strangers++] = fd;
	}
	for (size_t i = 0; i < p->n_strangers;) {
		n = recv(p->strangers[i], text, sizeof text - 1, MSG_DONTWAIT);
		if (n < 0) {
			i++;
			continue;
		}
		text[n] = 0;
		if (n == 0)
			close(p->strangers[i]);
		else
			on_hello(p, p->strangers[i], text);
		p->strangers[i] = p->strangers[--p->n_strangers];
	}
	for (struct puppet *x = p->puppets; x; x = x->next) {
		while (x->fd >= 0 && (n = recv(x->fd, text, sizeof text - 1, MSG_DONTWAIT)) >= 0) {
			text[n] = 0;
			if (n == 0) {
				close(x->fd);
				x->fd = -1;
			} else {
				on_stub(x, text);
			}
		}
		if (x->order_at_ms && clock_mono_ms() >= x->order_at_ms) {
			x->order_at_ms = 0;
			puppet_tell(x, x->order);
		}
	}
}

/* --- what the journal says ---------------------------------------------------------------------------------------------------------- */

static void on_event_line(struct node_play *p, const char *text)
{
	static const char *const requests[] = { "event order ", "event add ", "event reload " };
	static const char *const ends[] = { "event ready ", "event ended ", "event start_failed ", "event ignored " };
	char name[CHILD_NAME_MAX + 1];
	const char *child = strstr(text, " child="), *number = strstr(text, " incarnation=");
	for (size_t i = 0; i < ELEMENTS(requests); i++)
		p->n_taken += strncmp(text, requests[i], strlen(requests[i])) == 0;
	for (size_t i = 0; i < ELEMENTS(ends) && child && number; i++) {
		if (strncmp(text, ends[i], strlen(ends[i])) != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(child + 7, " "), child + 7);
		struct puppet *x = puppet_of(p, name);
		x->settled = strtoull(number + 13, NULL, 10);
		if (i == 1 || i == 2)
			x->ended = x->settled;
	}
}

static void on_action_line(struct node_play *p, const char *text)
{
	_cleanup_(freep) char *buffer = malloc(strlen(text) + 1);
	struct action_line a;
	NEED_MSG(buffer && action_line_read(text, buffer, &a), "the journal says %s", text);
	if (a.name && !a.is_sup) {
		struct puppet *x = puppet_of(p, a.name);
		if (a.action.kind == ACTION_SPAWN)
			x->spawned = a.action.incarnation;
		if (a.action.kind == ACTION_KILL)
			x->told_end = a.action.incarnation;
		if (a.action.kind == ACTION_STOP)
			x->stop_said = a.action.incarnation;
	}
	p->exit_said |= a.action.kind == ACTION_EXIT;
	trace_action(p->trace, &a.action, &(struct of){ a.name, a.above, a.is_sup });
}

static void on_line(struct node_play *p, char *line)
{
	NEED_MSG(strlen(line) > 9, "the journal says %s", line);
	const char *text = line + 9;
	p->n_told++;
	p->news_at_ms = clock_mono_ms();
	if (strncmp(text, "event boot ", 11) == 0)
		p->booted = true;
	if (strncmp(text, "event ", 6) == 0)
		on_event_line(p, text);
	else if (strncmp(text, "does ", 5) == 0)
		on_action_line(p, text);
}

static void read_journal(struct node_play *p)
{
	if (p->journal < 0 && (p->journal = open(p->journal_path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	for (ssize_t n; (n = read(p->journal, p->line + p->line_len, LINE_MAX_BYTES - p->line_len)) > 0;) {
		p->line_len += (size_t)n;
		char *at = p->line;
		for (char *end; (end = memchr(at, '\n', p->line_len - (size_t)(at - p->line))); at = end + 1) {
			*end = 0;
			on_line(p, at);
		}
		p->line_len -= (size_t)(at - p->line);
		memmove(p->line, at, p->line_len);
		NEED(p->line_len < LINE_MAX_BYTES);
	}
}

/* --- the control socket ------------------------------------------------------------------------------------------------------------------ */

static void read_control(struct node_play *p)
{
	for (;;) {
		struct arena *a = NULL;
		Troupe__Control *c;
		struct error e = { 0 };
		int fd = -1;
		if (p->control.fd < 0 || lifeline_receive(&p->control, &a, &c, &fd, &e) != 0)
			return;
		NEED(c->body_case == TROUPE__CONTROL__BODY_ANSWER);
		if (c->answer->body_case == TROUPE__ENVELOPE__BODY_ERROR) {
			if (c->ref == p->reload_ref)
				trace_say(p->trace, "=refused");
			else
				trace_say(p->trace, "=error(%s)", c->answer->error->text);
			p->n_taken++;
			p->news_at_ms = clock_mono_ms();
		}
		arena_unref(p->answer_arena);
		p->answer_arena = a;
		p->answer = c->answer;
		p->answer_ref = c->ref;
	}
}

void node_request(struct node_play *p, Troupe__Envelope *env)
{
	static const uint8_t id[16] = { 1 };
	Troupe__Control c = TROUPE__CONTROL__INIT;
	env->id = (ProtobufCBinaryData){ sizeof id, (uint8_t *)(uintptr_t)id };
	env->subject = (char *)(uintptr_t)"scenario";
	c.ref = ++p->ref;
	c.body_case = TROUPE__CONTROL__BODY_RELAY;
	c.relay = env;
	NEED(lifeline_send(&p->control, &c, -1) == 0);
}

/* --- time ------------------------------------------------------------------------------------------------------------------------------------ */

void node_turn(struct node_play *p)
{
	struct pollfd fds[] = { { p->listener, POLLIN, 0 }, { p->control.fd, POLLIN, 0 } };
	poll(fds, 2, 1);
	if (p->control.fd >= 0 && lifeline_wants_write(&p->control))
		lifeline_flush(&p->control);
	hear_puppets(p);
	read_control(p);
	if (p->pid > 0 && !p->gone && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
		p->gone = true;
	read_journal(p);
}

static bool under_way(const struct node_play *p)
{
	if (p->pid <= 0 || p->gone)
		return false;
	if (!p->booted || p->n_taken < p->n_sent || p->exit_said)
		return true;
	for (const struct puppet *x = p->puppets; x; x = x->next) {
		bool sleeps = (x->slow_ms == ALWAYS || x->order_at_ms) && x->incarnation == x->spawned;
		if ((x->spawned > x->settled && !sleeps) || x->told_end > x->ended || (x->stop_said > x->stop_heard && x->stop_said > x->ended))
			return true;
	}
	return false;
}

static unsigned words(const char *text)
{
	unsigned n = 0;
	for (const char *s = text; *s; s++)
		n += *s != ' ' && (s == text || s[-1] == ' ');
	return n;
}

void node_settle(struct node_play *p, unsigned n_wanted)
{
	uint64_t begun_ms = clock_mono_ms();
	p->news_at_ms = begun_ms;
	for (;;) {
		node_turn(p);
		uint64_t now_ms = clock_mono_ms();
		bool quiet = !under_way(p) && now_ms - p->news_at_ms >= QUIET_MS;
		if ((quiet && words(p->trace->text) >= n_wanted) || now_ms - begun_ms > PATIENCE_MS)
			return;
		if (quiet && now_ms - begun_ms > PATIENCE_MS / 10)
			return;
	}
}

void node_pass(struct node_play *p, uint64_t ms)
{
	for (uint64_t end_ms = clock_mono_ms() + ms; clock_mono_ms() < end_ms;)
		node_turn(p);
}
