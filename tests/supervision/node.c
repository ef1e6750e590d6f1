#include "tests/supervision/node_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "tests/supervision/need.h"

/* --- stimuli ------------------------------------------------------------------------------------------------------------------------------------ */

static void write_config(struct node_play *p, const struct tree *t)
{
	FILE *f = fopen(p->config_path, "we");
	NEED(f != NULL);
	config_of_tree(f, &p->config, t, &p->templates);
	NEED(fclose(f) == 0);
}

static void do_boot(struct node_play *p)
{
	int pair[2], log;
	char path[96];
	write_config(p, p->tree);
	NEED(lifeline_pair(pair) == 0);
	snprintf(path, sizeof path, "%s/log", p->dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	NEED(log >= 0);
	p->pid = fork();
	NEED(p->pid >= 0);
	if (p->pid == 0) {
		char option[32];
		int fd = fcntl(pair[1], F_DUPFD, 10);
		snprintf(option, sizeof option, "--control-fd=%d", fd);
		dup2(log, 1);
		dup2(log, 2);
		setsid();
		execl(p->trouped, "trouped", "-c", p->config_path, option, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	close(log);
	lifeline_init(&p->control, pair[0]);
}

static void do_order(struct node_play *p, Troupe__ChildOrder__Op op, const char *name, bool force)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__ChildOrder o = TROUPE__CHILD_ORDER__INIT;
	char child[CHILD_NAME_MAX + 1], above[CHILD_NAME_MAX + 1];
	struct order_about about;
	order_about(name, child, above, &about);
	if (about.now || about.old)
		o.incarnation = about.now ? puppet_of(p, child)->incarnation : puppet_of(p, child)->before;
	o.op = op;
	o.address = child;
	o.above = above;
	o.force = force;
	env.body_case = TROUPE__ENVELOPE__BODY_CHILD_ORDER;
	env.child_order = &o;
	p->n_sent++;
	node_request(p, &env);
}

static bool do_orders(struct node_play *p, const char *verb, const char *name)
{
	static const char *const verbs[] = { "", "start", "stop", "restart", "kill", "delete", "spec", "count" };
	bool force = strcmp(verb, "force") == 0 || strcmp(verb, "forcestop") == 0;
	if (force)
		verb = strcmp(verb, "force") == 0 ? "start" : "stop";
	for (size_t i = 1; i < ELEMENTS(verbs); i++)
		if (strcmp(verb, verbs[i]) == 0) {
			do_order(p, (Troupe__ChildOrder__Op)i, name, force);
			return true;
		}
	return false;
}

static void do_add(struct node_play *p, const char *above, const char *text)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__AddChild add = TROUPE__ADD_CHILD__INIT;
	_cleanup_(freep) char *section = NULL;
	size_t len = 0;
	struct parsed r;
	notation_record(&p->notation, text, &r);
	add.above = (char *)(uintptr_t)above;
	if (template_of(&p->templates, above)) {
		add.name = r.name;
	} else {
		NEED_MSG(!r.is_sup, "add of a supervisor: core only");
		FILE *f = open_memstream(&section, &len);
		NEED(f != NULL);
		config_of_child(f, &p->config, r.name, &r.spec);
		fclose(f);
		add.section = section;
	}
	env.body_case = TROUPE__ENVELOPE__BODY_ADD_CHILD;
	env.add_child = &add;
	p->n_sent++;
	node_request(p, &env);
}

static void do_reload(struct node_play *p, char *text)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__Reload r = TROUPE__RELOAD__INIT;
	for (;; text = strchr(text, ' ') + 1) {
		if (strncmp(text, "otp ", 4) == 0)
			NEED_MSG(p->notation.otp, "a reload as OTP's needs mode otp");
		else if (strncmp(text, "dry ", 4) == 0)
			r.dry_run = true;
		else if (strncmp(text, "restart ", 8) == 0)
			r.restart_changed = true;
		else
			break;
	}
	struct tree *t = tree_new(&(struct tree_config){ 0 });
	struct templates before = p->templates;
	bool refused = notation_tree(&p->notation, text, t, &p->templates) != NULL;
	if (refused) { /* by trouped, too */
		tree_free(t);
		t = tree_new(&(struct tree_config){ 0 });
		p->notation.unchecked = true;
		notation_tree(&p->notation, text, t, &p->templates);
		p->notation.unchecked = false;
	}
	write_config(p, t);
	if (refused)
		p->templates = before;
	tree_free(t);
	p->reload_ref = p->ref + 1;
	env.body_case = TROUPE__ENVELOPE__BODY_RELOAD;
	env.reload = &r;
	p->n_sent++;
	node_request(p, &env);
}

static enum child_state state_of(const Troupe__TreeRow *r)
{
	switch (r->state) {
	case TROUPE__ACTOR_STATE__ACTOR_STARTING: return CHILD_STARTING;
	case TROUPE__ACTOR_STATE__ACTOR_UP: return CHILD_UP;
	case TROUPE__ACTOR_STATE__ACTOR_STOPPING: return CHILD_STOPPING;
	case TROUPE__ACTOR_STATE__ACTOR_BACKOFF: return CHILD_WAITING;
	case TROUPE__ACTOR_STATE__ACTOR_FAILED: return CHILD_FAILED;
	case TROUPE__ACTOR_STATE__ACTOR_DONE: return CHILD_DONE;
	default: return CHILD_STOPPED;
	}
}

#define ROWS_MAX 4096u
struct row { char name[CHILD_NAME_MAX + 1]; enum child_state state; bool due_later; };

static const Troupe__Tree *ask_tree(struct node_play *p, Troupe__Envelope *env)
{
	node_request(p, env);
	uint64_t end_ms = clock_mono_ms() + PATIENCE_MS;
	while (p->answer_ref != p->ref && clock_mono_ms() < end_ms)
		node_turn(p);
	NEED_MSG(p->answer_ref == p->ref && p->answer->body_case == TROUPE__ENVELOPE__BODY_TREE && p->answer->tree->n_rows, "no list of %s", env->tree_ask->under);
	return p->answer->tree;
}

static void do_list(struct node_play *p, const char *name)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	Troupe__TreeAsk ask = TROUPE__TREE_ASK__INIT;
	ask.under = (char *)(uintptr_t)name;
	env.body_case = TROUPE__ENVELOPE__BODY_TREE_ASK;
	env.tree_ask = &ask;
	struct row *rows = calloc(ROWS_MAX, sizeof *rows);
	uint32_t n = 0, total = 1, top = 0;
	NEED(rows != NULL);
	while (ask.skip < total) {
		const Troupe__Tree *t = ask_tree(p, &env);
		total = t->total;
		top = ask.skip ? top : t->rows[0]->depth;
		for (size_t i = 0; i < t->n_rows && n < ROWS_MAX; i++)
			if (t->rows[i]->depth == top + 1) {
				rows[n] = (struct row){ .state = state_of(t->rows[i]), .due_later = t->rows[i]->due_in_ms > 0 };
				snprintf(rows[n++].name, sizeof rows->name, "%s", t->rows[i]->address);
			}
		ask.skip += (uint32_t)t->n_rows;
	}
	while (n-- > 0)
		trace_listed(p->trace, rows[n].name, rows[n].state, rows[n].due_later);
	free(rows);
}

/* Many at once, told by their number alone. */
static uint64_t length_of(struct node_play *p, const char *name)
{
	uint64_t n = 0;
	size_t len = p->trace->len;
	do_list(p, name);
	for (const char *s = p->trace->text + len; *s; s++)
		n += *s == ':';
	p->trace->len = len;
	p->trace->text[len] = 0;
	return n;
}

static void do_many(struct node_play *p, const char *above, char *text)
{
	char *prefix = strsep(&text, " "), name[64];
	uint64_t n = strtoull(text, NULL, 10), before = length_of(p, above);
	size_t len = p->trace->len;
	for (uint64_t i = 1; i <= n; i++) {
		snprintf(name, sizeof name, "%s%" PRIu64, prefix, i);
		do_add(p, above, name);
	}
	node_settle(p, 0);
	p->trace->len = len;
	p->trace->text[len] = 0;
	trace_say(p->trace, "%" PRIu64, length_of(p, above) - before);
}

static void do_all(struct node_play *p, const char *above)
{
	size_t len = p->trace->len;
	uint64_t before = length_of(p, above);
	for (struct puppet *x = p->puppets; x; x = x->next)
		if (x->fd >= 0 && x->incarnation > x->ended) {
			x->told_end = x->incarnation;
			kill(x->pid, SIGKILL);
		}
	node_settle(p, 0);
	p->trace->len = len;
	p->trace->text[len] = 0;
	trace_say(p->trace, "%" PRIu64, before - length_of(p, above));
}

static bool do_end(struct puppet *x, const char *verb)
{
	static const struct { const char *verb, *order; } ends[] = { { "crash", "exit 1" }, { "normal", "exit 0" }, { "bye", "bye" }, { "fatal", "exit 78" } };
	for (size_t i = 0; i < ELEMENTS(ends); i++)
		if (strcmp(verb, ends[i].verb) == 0) {
			NEED_MSG(x->fd >= 0, "%s is not alive", x->name);
			puppet_tell(x, ends[i].order);
			return true;
		}
	if (strcmp(verb, "die") != 0)
		return false;
	NEED_MSG(x->fd >= 0, "%s is not alive", x->name);
	x->told_end = x->incarnation;
	return kill(x->pid, SIGKILL) == 0;
}

static bool do_script(struct puppet *x, const char *verb, const char *arg)
{
	uint64_t n = arg && strcmp(arg, "always") != 0 ? strtoull(arg, NULL, 10) : ALWAYS;
	if (strcmp(verb, "slow") == 0)
		x->slow_ms = n;
	else if (strcmp(verb, "fail") == 0)
		x->fails = (uint32_t)n;
	else if (strcmp(verb, "early") == 0)
		x->fails = 1, x->early = (int)n;
	else if (strcmp(verb, "ignore") == 0)
		x->ignore = true;
	else if (strcmp(verb, "lazy") == 0)
		x->lazy_ms = n;
	else if (strcmp(verb, "deaf") == 0)
		x->deaf = true;
	else if (strcmp(verb, "stubborn") == 0)
		x->stubborn = true;
	else if (strcmp(verb, "exits") == 0)
		x->exits = (int)n;
	else if (strcmp(verb, "info") == 0)
		snprintf(x->info, sizeof x->info, "%s", arg);
	else if (strcmp(verb, "willing") == 0)
		x->slow_ms = x->lazy_ms = x->fails = 0, x->ignore = x->deaf = x->stubborn = false, x->exits = 0, x->early = -1;
	else
		return false;
	return true;
}

static void do_one(struct node_play *p, char *text, unsigned n_wanted)
{
	if (strncmp(text, "reload ", 7) == 0) {
		do_reload(p, text + 7);
		node_settle(p, n_wanted);
		return;
	}
	char *verb = strsep(&text, " "), *name = text ? strsep(&text, " ") : NULL, *rest = text;
	if (strcmp(verb, "facts") == 0) {
		p->trace->facts = true;
	} else if (strcmp(verb, "wires") == 0) {
		p->trace->wires = true;
	} else if (name && do_script(puppet_of(p, name), verb, rest)) {
		return;
	} else if (strcmp(verb, "boot") == 0) {
		do_boot(p);
		node_settle(p, n_wanted);
	} else if (strcmp(verb, "wait") == 0) {
		node_pass(p, strtoull(name, NULL, 10));
		node_settle(p, n_wanted);
	} else if (strcmp(verb, "shutdown") == 0 || strcmp(verb, "fast") == 0) {
		NEED_MSG(!name, "a shutdown within a time: core only");
		kill(p->pid, strcmp(verb, "fast") == 0 ? SIGQUIT : SIGTERM);
		node_settle(p, n_wanted);
	} else if (strcmp(verb, "list") == 0) {
		do_list(p, name);
	} else if (strcmp(verb, "length") == 0) {
		trace_say(p->trace, "%" PRIu64, length_of(p, name));
	} else if (strcmp(verb, "many") == 0) {
		do_many(p, name, rest);
	} else if (strcmp(verb, "all") == 0) {
		do_all(p, name);
	} else if (strcmp(verb, "add") == 0) {
		do_add(p, name, rest);
		node_settle(p, n_wanted);
	} else {
		NEED_MSG(do_end(puppet_of(p, name), verb) || do_orders(p, verb, name), "%s: no stimulus, or core only", verb);
		node_settle(p, n_wanted);
	}
}

const char *node_play_do(struct node_play *p, const char *stimuli, unsigned n_wanted)
{
	_cleanup_(freep) char *copy = strdup(stimuli);
	trace_clear(p->trace);
	NEED_MSG(copy && !strchr(stimuli, '&'), "several at once: core only");
	for (char *at = copy, *one; (one = strsep(&at, ";"));) {
		one += strspn(one, " ");
		for (size_t n = strlen(one); n && one[n - 1] == ' ';)
			one[--n] = 0;
		if (*one)
			do_one(p, one, at ? 0 : n_wanted);
	}
	return p->trace->text;
}

/* --- from beginning to end ------------------------------------------------------------------------------------------------------------------------ */

static void *nobody(void *ctx, const char *name)
{
	return NULL;
}

struct node_play *node_play_new(const char *trouped, const char *stub, const char *mode, const char *tree)
{
	struct node_play *p = calloc(1, sizeof *p);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	NEED(p != NULL);
	p->trace = calloc(1, sizeof *p->trace);
	p->line = malloc(LINE_MAX_BYTES);
	NEED(p->trace && p->line);
	snprintf(p->dir, sizeof p->dir, "/tmp/troupe-scenario.XXXXXX");
	NEED(mkdtemp(p->dir) != NULL);
	snprintf(p->socket, sizeof p->socket, "%s/driver", p->dir);
	snprintf(p->journal_path, sizeof p->journal_path, "%s/state/journal", p->dir);
	snprintf(p->config_path, sizeof p->config_path, "%s/troupe.conf", p->dir);
	p->trouped = trouped;
	p->journal = -1;
	p->control.fd = -1;
	notation_mode(&p->notation, mode);
	p->notation.user_of = nobody;
	p->config = (struct stub_config){ p->dir, stub, p->socket, 60000, p->notation.otp };
	p->tree = tree_new(&(struct tree_config){ 0 });
	NEED(p->tree != NULL);
	const char *refused = notation_tree(&p->notation, tree, p->tree, &p->templates);
	NEED_MSG(!refused, "%s", refused);
	p->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(a.sun_path, p->socket, strlen(p->socket) + 1);
	NEED(p->listener >= 0 && bind(p->listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(p->listener, 256) == 0);
	return p;
}

static bool log_is_clean(const struct node_play *p)
{
	char path[96];
	_cleanup_(freep) char *line = NULL;
	size_t room = 0;
	bool clean = true;
	snprintf(path, sizeof path, "%s/log", p->dir);
	FILE *f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0)
		if (strstr(line, "runtime error:") || strstr(line, "Sanitizer: ")) {
			printf("# %s", line);
			clean = false;
		}
	if (f)
		fclose(f);
	return clean;
}

bool node_play_free(struct node_play *p)
{
	char command[128];
	bool good = true;
	if (p->pid > 0 && !p->gone) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	/* The stubs see their lifelines end, or are killed with their parent. */
	for (struct puppet *x = p->puppets, *next; x; x = next) {
		next = x->next;
		for (unsigned i = 0; x->fd >= 0 && i < 2000 && good; i++) {
			struct pollfd gone = { x->fd, POLLIN, 0 };
			char text[300];
			poll(&gone, 1, 1);
			if (recv(x->fd, text, sizeof text, MSG_DONTWAIT) == 0)
				break;
			if (i == 1999) {
				printf("# %s is alive although trouped is not\n", x->name);
				good = false;
			}
		}
		if (x->fd >= 0)
			close(x->fd);
		free(x);
	}
	good &= log_is_clean(p);
	if (p->control.fd >= 0)
		lifeline_fini(&p->control);
	if (p->journal >= 0)
		close(p->journal);
	close(p->listener);
	arena_unref(p->answer_arena);
	tree_free(p->tree);
	snprintf(command, sizeof command, "rm -rf %s", p->dir);
	good &= system(command) == 0;
	free(p->line);
	free(p->trace);
	free(p);
	return good;
}
