#include "supervisor/config.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/parse.h"
#include "common/wire/address.h"
#include "supervisor/config_text.h"
#include "supervisor/privilege.h"
#include "supervisor/tree.h"

#define DAY_MS (24ull * 3600 * 1000)
#define MIB (1024ull * 1024)
#define CONFIG_NODES_MAX 4096

static char *home_path(const char *variable, const char *fallback, const char *rest)
{
	const char *base = getenv(variable), *home = getenv("HOME");
	char *path = NULL;
	if (base && *base == '/') {
		if (asprintf(&path, "%s/troupe%s", base, rest) < 0)
			return NULL;
	} else if (asprintf(&path, "%s/%s/troupe%s", home && *home ? home : "/tmp", fallback, rest) < 0) {
		return NULL;
	}
	return path;
}

void config_default_path(char *out, size_t size)
{
	_cleanup_(freep) char *own = geteuid() == 0 ? NULL : home_path("XDG_CONFIG_HOME", ".config", "/troupe.conf");
	snprintf(out, size, "%s", own ? own : TROUPE_SYSCONFDIR "/troupe/troupe.conf");
}

static void source_add(struct config *c, const char *key, const char *value, const char *from)
{
	struct config_source *more = reallocarray(c->sources, c->n_sources + 1, sizeof *more);
	if (!more)
		return;
	c->sources = more;
	more[c->n_sources++] = (struct config_source){ strdup(key), strdup(value), strdup(from) };
}

/* Remembers for -T a value that is in effect. */
static void source_note(struct config *c, struct text *t, cfg_t *s, const char *prefix, const char *key, const char *value)
{
	const struct text_place *p = text_place(t, s, key);
	char name[300], from[PATH_MAX + 16];
	snprintf(name, sizeof name, "%s%s", prefix, key);
	if (p)
		snprintf(from, sizeof from, "%s:%u", p->file, p->line);
	else
		snprintf(from, sizeof from, "default");
	source_add(c, name, value, from);
}

/* --- queues, limits, roles --- */

static Troupe__QueuePolicy *policy_new(const char *name)
{
	Troupe__QueuePolicy *p = calloc(1, sizeof *p);
	Troupe__RetryPolicy *r = calloc(1, sizeof *r);
	if (!p || !r) {
		free(p);
		free(r);
		return NULL;
	}
	troupe__queue_policy__init(p);
	troupe__retry_policy__init(r);
	p->name = strdup(name);
	p->retry = r;
	*r = (Troupe__RetryPolicy){ .base = r->base, .max_attempts = 3, .base_ms = 1000, .factor_pct = 200, .cap_ms = 600000, .jitter_pct = 20 };
	p->timeout_ms = 3600000;
	p->grace_ms = 5000;
	p->result_ttl_ms = DAY_MS;
	p->result_max = 64 * 1024;
	p->poison_after = 3;
	return p;
}

static void policy_free(Troupe__QueuePolicy *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->retry);
	free(p);
}

static Troupe__QueuePolicy *read_queue(struct config *c, struct text *t, cfg_t *s)
{
	Troupe__QueuePolicy *p = policy_new(cfg_title(s));
	if (!p)
		return NULL;
	uint64_t attempts = p->retry->max_attempts, jitter = p->retry->jitter_pct, poison = p->poison_after, factor = p->retry->factor_pct / 100;
	text_number(t, s, "max_attempts", 1, 1000, &attempts);
	text_number(t, s, "jitter", 0, 100, &jitter);
	text_number(t, s, "poison_after", 0, 1000, &poison);
	text_number(t, s, "backoff_factor", 1, 100, &factor);
	text_duration(t, s, "backoff_base", 0, DAY_MS, &p->retry->base_ms);
	text_duration(t, s, "backoff_cap", 0, 30 * DAY_MS, &p->retry->cap_ms);
	text_duration(t, s, "timeout", 0, 30 * DAY_MS, &p->timeout_ms);
	text_duration(t, s, "grace", 0, 3600000, &p->grace_ms);
	text_duration(t, s, "result_ttl", 3600000, 3650 * DAY_MS, &p->result_ttl_ms);
	text_size(t, s, "result_max", 0, 768 * 1024, &p->result_max);
	text_number(t, s, "max_tasks", 0, UINT64_MAX, &p->max_tasks);
	p->retry->max_attempts = (uint32_t)attempts;
	p->retry->jitter_pct = (uint32_t)jitter;
	p->retry->factor_pct = (uint32_t)factor * 100;
	p->poison_after = (uint32_t)poison;
	const char *backoff = text_string(t, s, "backoff");
	if (backoff && strcmp(backoff, "linear") == 0)
		p->retry->backoff = TROUPE__RETRY_POLICY__BACKOFF__LINEAR;
	else if (backoff && strcmp(backoff, "exponential") != 0)
		text_complain(t, s, "backoff", "config-value", "write exponential or linear", "backoff = %s is no kind of backoff", backoff);
	if (p->retry->cap_ms < p->retry->base_ms)
		text_complain(t, s, "backoff_cap", "config-range", "raise backoff_cap or lower backoff_base", "backoff_cap is below backoff_base");
	const char *name = cfg_title(s);
	if (strlen(name) == 0 || strlen(name) > 128 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(name))
		text_complain(t, s, NULL, "config-name", "use letters, digits, '.', '_' and '-', at most 128", "queue name \"%s\" is not valid", name);
	(void)c;
	return p;
}

static void read_limits(struct config *c, struct text *t)
{
	cfg_t *s = cfg_getsec(t->top, "limits");
	uint64_t messages = 10000, connections = 4096, frame = MIB, bytes = 16 * MIB, output = 4 * MIB, payload = 64 * 1024;
	if (s) {
		text_size(t, s, "frame", 128 * 1024, 16 * MIB, &frame);
		text_number(t, s, "mailbox_messages", 16, 1000000, &messages);
		text_size(t, s, "mailbox_bytes", MIB, 1024 * MIB, &bytes);
		text_size(t, s, "output", 64 * 1024, 1024 * MIB, &output);
		text_number(t, s, "connections", 8, 65536, &connections);
		text_size(t, s, "payload", 0, 64 * 1024, &payload);
	}
	troupe__limits__init(&c->limits);
	c->limits.frame = frame;
	c->limits.frame_envelopes = 4096;
	c->limits.mailbox_messages = (uint32_t)messages;
	c->limits.mailbox_bytes = bytes;
	c->limits.output_bytes = output;
	c->limits.connections = (uint32_t)connections;
	c->limits.payload = payload;
	c->limits.credit = 1024;
	c->limits.anonymous_credit = 16;
}

static Troupe__RoleRule *role_new(struct config *c, Troupe__Role role)
{
	Troupe__RoleRule **more = reallocarray(c->roles, c->n_roles + 1, sizeof *more);
	Troupe__RoleRule *r = calloc(1, sizeof *r);
	if (more)
		c->roles = more;
	if (!more || !r) {
		free(r);
		return NULL;
	}
	troupe__role_rule__init(r);
	r->role = role;
	c->roles[c->n_roles++] = r;
	return r;
}

static void role_add(uint32_t **list, size_t *n, uint32_t id)
{
	uint32_t *more = reallocarray(*list, *n + 1, sizeof *more);
	if (more) {
		*list = more;
		more[(*n)++] = id;
	}
}

static void read_role(struct config *c, struct text *t, cfg_t *s)
{
	static const struct { const char *name; Troupe__Role role; } names[] = { { "viewer", TROUPE__ROLE__VIEWER }, { "submitter", TROUPE__ROLE__SUBMITTER },
		{ "operator", TROUPE__ROLE__OPERATOR }, { "admin", TROUPE__ROLE__ADMIN } };
	Troupe__Role role = TROUPE__ROLE__ROLE_NONE;
	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(cfg_title(s), names[i].name) == 0)
			role = names[i].role;
	if (role == TROUPE__ROLE__ROLE_NONE) {
		text_complain(t, s, NULL, "config-role", "write viewer, submitter, operator or admin", "there is no role \"%s\"", cfg_title(s));
		return;
	}
	Troupe__RoleRule *r = role_new(c, role);
	if (!r)
		return;
	for (unsigned i = 0; i < cfg_size(s, "users"); i++) {
		const char *name = cfg_getnstr(s, "users", i);
		struct passwd *pw = getpwnam(name);
		uint64_t uid;
		if (strcmp(name, "*") == 0)
			r->everybody = true;
		else if (pw)
			role_add(&r->uids, &r->n_uids, pw->pw_uid);
		else if (parse_number(name, 0, UINT32_MAX - 1, &uid, NULL) == 0)
			role_add(&r->uids, &r->n_uids, (uint32_t)uid);
		else
			text_complain(t, s, "users", "config-user", "create the user, or take the name out", "there is no user \"%s\"", name);
	}
	for (unsigned i = 0; i < cfg_size(s, "groups"); i++) {
		const char *name = cfg_getnstr(s, "groups", i);
		struct group *gr = getgrnam(name);
		uint64_t gid;
		if (gr)
			role_add(&r->gids, &r->n_gids, gr->gr_gid);
		else if (parse_number(name, 0, UINT32_MAX - 1, &gid, NULL) == 0)
			role_add(&r->gids, &r->n_gids, (uint32_t)gid);
		else
			text_complain(t, s, "groups", "config-user", "create the group, or take the name out", "there is no group \"%s\"", name);
	}
}

static int role_cmp(const void *a, const void *b)
{
	const Troupe__RoleRule *x = *(Troupe__RoleRule *const *)a, *y = *(Troupe__RoleRule *const *)b;
	return (int)y->role - (int)x->role;
}

/* The first rule that matches holds, so the highest role stands first. */
static void roles_finish(struct config *c)
{
	if (c->n_roles == 0) {
		Troupe__RoleRule *admin = role_new(c, TROUPE__ROLE__ADMIN);
		if (admin) {
			role_add(&admin->uids, &admin->n_uids, 0);
			if (geteuid() != 0)
				role_add(&admin->uids, &admin->n_uids, geteuid());
		}
		struct group *gr = getgrnam("troupe");
		Troupe__RoleRule *operators = gr ? role_new(c, TROUPE__ROLE__OPERATOR) : NULL;
		if (operators)
			role_add(&operators->gids, &operators->n_gids, gr->gr_gid);
	}
	qsort(c->roles, c->n_roles, sizeof *c->roles, role_cmp);
}

/* --- the tree --- */

static struct config_node *node_new(struct config_node *above, enum config_kind kind, const char *name, unsigned line)
{
	struct config_node *n = calloc(1, sizeof *n);
	if (!n)
		return NULL;
	n->kind = kind;
	n->name = strdup(name);
	n->line = line;
	n->above = above;
	child_spec_default(&n->spec, kind == CONFIG_PROCESS ? CHILD_WORKER : CHILD_SUPERVISOR);
	supervisor_spec_default(&n->sup);
	if (above) {
		if (above->last)
			above->last->next = n;
		else
			above->first = n;
		above->last = n;
	}
	return n;
}

static void strings_free(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}

static void pool_free(Troupe__PoolSetup *p)
{
	if (!p)
		return;
	free(p->pool);
	free(p->coordinator);
	free(p->mode);
	free(p->directory);
	strings_free(p->command);
	strings_free(p->queues);
	strings_free(p->tags);
	for (size_t i = 0; i < p->n_environment; i++) {
		free(p->environment[i]->key);
		free(p->environment[i]->value);
		free(p->environment[i]);
	}
	free(p->environment);
	free(p);
}

static void node_free(struct config_node *n)
{
	if (!n)
		return;
	for (struct config_node *c = n->first, *next; c; c = next) {
		next = c->next;
		node_free(c);
	}
	free(n->name);
	free(n->title);
	strings_free(n->launch.argv);
	strings_free(n->launch.env);
	free(n->launch.directory);
	free(n->launch.user);
	if (n->kind == CONFIG_POOL)
		pool_free(n->pool);
	free(n->topic);
	if (n->front)
		free(n->front->listen);
	free(n->front);
	free(n);
}

static void read_restart(struct text *t, cfg_t *s, struct child_spec *spec)
{
	const char *restart = text_string(t, s, "restart");
	if (restart && !restart_parse(restart, &spec->restart))
		text_complain(t, s, "restart", "config-value", "write permanent, transient or temporary", "restart = %s is not a kind of restart", restart);
	const char *shutdown = text_string(t, s, "shutdown");
	if (shutdown && strcmp(shutdown, "brutal_kill") == 0)
		spec->shutdown_ms = SHUTDOWN_BRUTAL;
	else
		text_duration(t, s, "shutdown", 1, UINT64_MAX, &spec->shutdown_ms);
}

static void read_give_up(struct text *t, cfg_t *s, struct give_up_spec *g)
{
	uint64_t intensity = g->intensity;
	text_number(t, s, "intensity", 0, WINDOW_ROOM_MAX - 1, &intensity);
	g->intensity = (uint32_t)intensity;
	text_duration(t, s, "period", 1, 365 * DAY_MS, &g->period_ms);
	if (text_place(t, s, "intensity") && !text_place(t, s, "period"))
		text_complain(t, s, "intensity", "config-pair", "add period, e.g. period = \"5s\"", "intensity without period");
	if (text_place(t, s, "period") && !text_place(t, s, "intensity"))
		text_complain(t, s, "period", "config-pair", "add intensity, e.g. intensity = 3", "period without intensity");
	const char *then = text_string(t, s, "on_give_up");
	if (then && strcmp(then, "keep") == 0)
		g->on_give_up = ON_GIVE_UP_KEEP;
	else if (then && strcmp(then, "escalate") == 0)
		g->on_give_up = ON_GIVE_UP_ESCALATE;
	else if (then)
		text_complain(t, s, "on_give_up", "config-value", "write keep or escalate", "on_give_up = %s is not known", then);
}

static bool read_user(struct config *c, struct text *t, cfg_t *s, struct launch *l)
{
	const char *user = text_string(t, s, "user"), *group = text_string(t, s, "group");
	if (!user || !*user)
		return true;
	struct passwd *pw = getpwnam(user);
	if (!pw) {
		text_complain(t, s, "user", "config-user", "create the user, or take the key out", "there is no user \"%s\"", user);
		return false;
	}
	l->user = strdup(user);
	l->uid = pw->pw_uid;
	l->gid = pw->pw_gid;
	if (group && *group) {
		struct group *gr = getgrnam(group);
		if (gr)
			l->gid = gr->gr_gid;
		else
			text_complain(t, s, "group", "config-user", "create the group, or take the key out", "there is no group \"%s\"", group);
	}
	c->has_users = true;
	return true;
}

static void read_process(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	struct child_spec *spec = &n->spec;
	struct launch *l = &n->launch;
	static const struct { const char *key; int resource; bool size; } limits[] = { { "rlimit_nofile", RLIMIT_NOFILE, false },
		{ "rlimit_as", RLIMIT_AS, true }, { "rlimit_core", RLIMIT_CORE, true }, { "rlimit_nproc", RLIMIT_NPROC, false } };
	read_restart(t, s, spec);
	read_give_up(t, s, &spec->give_up);
	text_bool(t, s, "significant", &spec->significant);
	text_duration(t, s, "start_timeout", 1, DAY_MS, &spec->start_timeout_ms);
	uint64_t immediate = spec->delay.immediate;
	text_number(t, s, "immediate", 0, 1000, &immediate);
	spec->delay.immediate = (uint32_t)immediate;
	text_duration(t, s, "backoff_base", 0, DAY_MS, &spec->delay.base_ms);
	text_duration(t, s, "backoff_cap", 0, DAY_MS, &spec->delay.cap_ms);
	if (spec->delay.cap_ms < spec->delay.base_ms)
		text_complain(t, s, "backoff_cap", "config-range", "raise backoff_cap or lower backoff_base", "backoff_cap is below backoff_base");
	const char *nice_text = text_string(t, s, "nice");
	if (nice_text) {
		char *end;
		long v = strtol(nice_text, &end, 10);
		if (*end || end == nice_text || v < -20 || v > 19)
			text_complain(t, s, "nice", "config-range", "choose a value from -20 to 19", "nice = %s is out of range", nice_text);
		l->has_nice = true;
		l->nice = (int)v;
	}
	for (size_t i = 0; i < ELEMENTS(limits); i++) {
		uint64_t v = 0;
		if (!text_place(t, s, limits[i].key))
			continue;
		if (limits[i].size)
			text_size(t, s, limits[i].key, 0, UINT64_MAX / 2, &v);
		else
			text_number(t, s, limits[i].key, 1, 1u << 20, &v);
		l->limits[l->n_limits].resource = limits[i].resource;
		l->limits[l->n_limits++].value = v;
	}
	read_user(c, t, s, l);
	l->env = text_list(t, s, "env", NULL);
	for (char **e = l->env; e && *e; e++)
		if (!strchr(*e, '=') || **e == '=')
			text_complain(t, s, "env", "config-value", "write \"NAME=value\"", "env has \"%s\", which is no NAME=value", *e);
}

static void set_program(struct config *c, struct text *t, cfg_t *s, struct config_node *n, const char *type)
{
	const char *program = text_string(t, s, "program");
	char path[PATH_MAX];
	if (program)
		snprintf(path, sizeof path, "%s", program);
	else
		snprintf(path, sizeof path, "%s/troupe-%s", c->libexec_dir, type);
	if (*path != '/')
		text_complain(t, s, "program", "config-path", "write the full path", "program = %s is not an absolute path", path);
	n->launch.argv = calloc(2, sizeof(char *));
	if (n->launch.argv)
		n->launch.argv[0] = strdup(path);
}

static void read_actor(struct config *c, struct text *t, cfg_t *s, struct config_node *above, unsigned line)
{
	struct error e = { 0 };
	struct address a;
	if (address_parse(cfg_title(s), &a, &e)) {
		text_complain(t, s, NULL, "config-address", "write type:id, e.g. \"coordinator:main\"", "actor \"%s\": %s", cfg_title(s), e.text);
		return;
	}
	struct config_node *n = node_new(above, CONFIG_PROCESS, cfg_title(s), line);
	if (!n)
		return;
	read_process(c, t, s, n);
	n->launch.lifeline = true;
	n->spec.term_after_ms = TERM_NEVER;
	n->title = strndup(a.text, a.type_len);
	set_program(c, t, s, n, n->title);
	if (address_type_is(&a, "topic")) {
		n->topic = calloc(1, sizeof *n->topic);
		if (!n->topic)
			return;
		troupe__topic_setup__init(n->topic);
		n->topic->keep_ms = 30 * DAY_MS;
		n->topic->keep_bytes = 256 * MIB;
		text_duration(t, s, "keep", 60000, 3650 * DAY_MS, &n->topic->keep_ms);
		text_size(t, s, "keep_bytes", MIB, UINT64_MAX / 2, &n->topic->keep_bytes);
	} else if (address_type_is(&a, "front")) {
		n->front = calloc(1, sizeof *n->front);
		if (!n->front)
			return;
		troupe__front_setup__init(n->front);
		const char *listen = text_string(t, s, "listen"), *mode = text_string(t, s, "mode");
		if (listen)
			n->front->listen = strdup(listen);
		else if (asprintf(&n->front->listen, "%s/front", c->run_dir) < 0)
			n->front->listen = NULL;
		n->front->mode = 0660;
		char *end = NULL;
		unsigned long v = mode ? strtoul(mode, &end, 8) : 0660;
		if (mode && (*end || v > 0777))
			text_complain(t, s, "mode", "config-value", "write it in octal, e.g. 0660", "mode = %s is no file mode", mode);
		n->front->mode = (uint32_t)v;
		struct group *gr = getgrnam("troupe");
		n->front->gid = gr ? gr->gr_gid : (uint32_t)getegid();
	}
}

static void read_child(struct config *c, struct text *t, cfg_t *s, struct config_node *above, unsigned line)
{
	struct config_node *n = node_new(above, CONFIG_PROCESS, cfg_title(s), line);
	if (!n)
		return;
	if (strlen(cfg_title(s)) == 0 || strlen(cfg_title(s)) > CHILD_NAME_MAX)
		text_complain(t, s, NULL, "config-name", "choose a name of 1 to 191 bytes", "child \"%.40s\" has no usable name", cfg_title(s));
	read_process(c, t, s, n);
	n->title = strdup("child");
	const char *ready = text_string(t, s, "ready");
	n->launch.lifeline = ready && strcmp(ready, "lifeline") == 0;
	if (ready && !n->launch.lifeline && strcmp(ready, "exec") != 0)
		text_complain(t, s, "ready", "config-value", "write exec or lifeline", "ready = %s is not known", ready);
	if (!n->launch.lifeline)
		n->spec.term_after_ms = 0;
	size_t words = 0;
	n->launch.argv = text_list(t, s, "command", &words);
	if (words == 0)
		text_complain(t, s, NULL, "config-command", "add command = {\"/path/to/program\", ...}", "child \"%s\" has no command", cfg_title(s));
	else if (n->launch.argv[0][0] != '/')
		text_complain(t, s, "command", "config-path", "write the full path", "command of \"%s\" begins with %s, which is not an absolute path", cfg_title(s), n->launch.argv[0]);
}

static Troupe__PoolSetup *read_pool_setup(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	Troupe__PoolSetup *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	troupe__pool_setup__init(p);
	const char *mode = text_string(t, s, "mode"), *coordinator = text_string(t, s, "coordinator"), *directory = text_string(t, s, "directory");
	p->pool = strdup(cfg_title(s));
	p->mode = strdup(mode ? mode : "exec");
	p->coordinator = strdup(coordinator ? coordinator : "coordinator:main");
	p->directory = strdup(directory ? directory : "");
	p->grace_ms = 5000;
	p->start_timeout_ms = n->spec.start_timeout_ms;
	p->drain_timeout_ms = 30000;
	p->stderr_tail = 4096;
	p->line_max = MIB;
	p->no_new_privs = true;
	if (mode && strcmp(mode, "exec") != 0 && strcmp(mode, "lines") != 0)
		text_complain(t, s, "mode", "config-value", "write exec or lines", "mode = %s is not a kind of worker", mode);
	if (!address_valid(p->coordinator))
		text_complain(t, s, "coordinator", "config-address", "write an address such as \"coordinator:main\"", "coordinator = %s is no address", coordinator);
	text_duration(t, s, "grace", 0, 3600000, &p->grace_ms);
	text_duration(t, s, "drain_timeout", 0, DAY_MS, &p->drain_timeout_ms);
	text_size(t, s, "stderr_tail", 0, 64 * 1024, &p->stderr_tail);
	text_size(t, s, "line_max", 1024, 16 * MIB, &p->line_max);
	p->command = text_list(t, s, "command", &p->n_command);
	p->queues = text_list(t, s, "queues", &p->n_queues);
	p->tags = text_list(t, s, "tags", &p->n_tags);
	if (p->n_command && p->command[0][0] != '/')
		text_complain(t, s, "command", "config-path", "write the full path", "command begins with %s, which is not an absolute path", p->command[0]);
	if (p->n_command == 0 && strcmp(p->mode, "lines") == 0)
		text_complain(t, s, NULL, "config-command", "add command = {\"/path/to/program\", ...}", "pool \"%s\" has mode lines and no command", p->pool);
	if (!p->queues) {
		p->queues = calloc(2, sizeof(char *));
		if (p->queues) {
			p->queues[0] = strdup(p->pool);
			p->n_queues = 1;
		}
	}
	for (char **e = n->launch.env; e && *e; e++) {
		char *is = strchr(*e, '=');
		Troupe__Pair **more = is ? reallocarray(p->environment, p->n_environment + 1, sizeof *more) : NULL;
		if (!more)
			continue;
		p->environment = more;
		more[p->n_environment] = calloc(1, sizeof **more);
		if (!more[p->n_environment])
			continue;
		troupe__pair__init(more[p->n_environment]);
		more[p->n_environment]->key = strndup(*e, (size_t)(is - *e));
		more[p->n_environment]->value = strdup(is + 1);
		p->n_environment++;
	}
	return p;
}

static void read_pool(struct config *c, struct text *t, cfg_t *s, struct config_node *above, unsigned line)
{
	char name[CHILD_NAME_MAX + 1];
	const char *pool = cfg_title(s);
	snprintf(name, sizeof name, "worker:%s/1024", pool);
	if (!address_valid(name) || strchr(pool, '/')) {
		text_complain(t, s, NULL, "config-name", "use letters, digits, '.', '_' and '-'", "pool name \"%s\" is not valid", pool);
		return;
	}
	snprintf(name, sizeof name, "pool %s", pool);
	struct config_node *n = node_new(above, CONFIG_POOL, name, line);
	if (!n)
		return;
	uint64_t size = 1;
	text_number(t, s, "size", 1, CONFIG_POOL_MAX, &size);
	n->sup.side_by_side = true;
	n->sup.pool = true;
	n->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	struct config_node first = { .kind = CONFIG_PROCESS };
	child_spec_default(&first.spec, CHILD_WORKER);
	read_process(c, t, s, &first);
	first.spec.term_after_ms = TERM_NEVER;
	n->pool = read_pool_setup(c, t, s, &first);
	if (n->pool && first.spec.shutdown_ms == 5000)
		first.spec.shutdown_ms = n->pool->drain_timeout_ms + n->pool->grace_ms + 2000;
	for (uint64_t i = 1; i <= size; i++) {
		snprintf(name, sizeof name, "worker:%s/%" PRIu64, pool, i);
		struct config_node *w = node_new(n, CONFIG_PROCESS, name, line);
		if (!w)
			break;
		w->spec = first.spec;
		w->launch = first.launch;
		w->launch.lifeline = true;
		w->launch.user = first.launch.user ? strdup(first.launch.user) : NULL;
		w->launch.env = NULL; /* the pool's environment is its tasks' */
		w->launch.directory = NULL;
		w->title = strdup("worker");
		w->pool = n->pool;
		set_program(c, t, s, w, "worker");
	}
	strings_free(first.launch.env);
	free(first.launch.user);
}

static void read_supervisor(struct config *c, struct text *t, cfg_t *s, struct config_node *n);

static void read_children(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	cfg_t **list = calloc(CONFIG_NODES_MAX, sizeof(cfg_t *));
	unsigned count = list ? text_children(t, s, list, CONFIG_NODES_MAX) : 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned line = (unsigned)list[i]->line;
		const char *kind = list[i]->name;
		if (strcmp(kind, "actor") == 0) {
			read_actor(c, t, list[i], n, line);
		} else if (strcmp(kind, "pool") == 0) {
			read_pool(c, t, list[i], n, line);
		} else if (strcmp(kind, "child") == 0) {
			read_child(c, t, list[i], n, line);
		} else {
			struct config_node *sub = node_new(n, CONFIG_SUPERVISOR, cfg_title(list[i]), line);
			if (sub)
				read_supervisor(c, t, list[i], sub); /* at most CONFIG_DEPTH_MAX deep: the grammar is unrolled */
		}
	}
	free(list);
}

static void read_supervisor(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	const char *strategy = text_string(t, s, "strategy"), *autos = text_string(t, s, "auto_shutdown");
	if (strategy && !strategy_parse(strategy, &n->sup.strategy))
		text_complain(t, s, "strategy", "config-value", "write one_for_one, all_for_one or rest_for_one", "strategy = %s is not known", strategy);
	if (autos && !auto_shutdown_parse(autos, &n->sup.auto_shutdown))
		text_complain(t, s, "auto_shutdown", "config-value", "write never, any_significant or all_significant", "auto_shutdown = %s is not known", autos);
	if (!n->above)
		n->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	read_give_up(t, s, &n->sup.give_up);
	read_restart(t, s, &n->spec);
	read_children(c, t, s, n);
}

/* --- the whole --- */

static void read_node(struct config *c, struct text *t)
{
	cfg_t *top = t->top;
	const char *s;
	bool root = geteuid() == 0;
	c->run_dir = (s = text_string(t, top, "run_dir")) ? strdup(s) : root ? strdup("/run/troupe") : home_path("XDG_RUNTIME_DIR", ".cache", "");
	c->state_dir = (s = text_string(t, top, "state_dir")) ? strdup(s) : root ? strdup("/var/lib/troupe") : home_path("XDG_STATE_HOME", ".local/state", "");
	const char *libexec = getenv("TROUPE_LIBEXECDIR");
	c->libexec_dir = strdup(libexec && *libexec ? libexec : (s = text_string(t, top, "libexec_dir")) ? s : TROUPE_LIBEXECDIR);
	c->user = strdup((s = text_string(t, top, "user")) ? s : root ? TROUPE_USER : "");
	c->log_format = strdup((s = text_string(t, top, "log_format")) ? s : "logfmt");
	c->log_level = strdup((s = text_string(t, top, "log_level")) ? s : "info");
	if (c->run_dir && (*c->run_dir != '/' || strlen(c->run_dir) > CONFIG_RUN_DIR_MAX))
		text_complain(t, top, "run_dir", "config-path", "choose an absolute path of at most 80 bytes: a socket path holds 107", "run_dir = %.120s cannot hold sockets", c->run_dir);
	if (c->state_dir && *c->state_dir != '/')
		text_complain(t, top, "state_dir", "config-path", "write the full path", "state_dir = %s is not an absolute path", c->state_dir);
	if (strcmp(c->log_format, "logfmt") != 0 && strcmp(c->log_format, "json") != 0)
		text_complain(t, top, "log_format", "config-value", "write logfmt or json", "log_format = %s is not known", c->log_format);
	if (!strstr(" debug info warn error ", c->log_level) || strchr(c->log_level, ' '))
		text_complain(t, top, "log_level", "config-value", "write debug, info, warn or error", "log_level = %s is not known", c->log_level);
	c->uid = (uid_t)-1;
	if (*c->user && root) {
		struct passwd *pw = getpwnam(c->user);
		if (pw) {
			c->uid = pw->pw_uid;
			c->gid = pw->pw_gid;
		} else {
			text_complain(t, top, "user", "config-user", "create it (useradd --system troupe), or set user = \"\" to stay root", "there is no user \"%s\"", c->user);
		}
	}
	c->stop_timeout_ms = 60000;
	c->turn_timeout_ms = 30000;
	c->disk_timeout_ms = 300000;
	text_duration(t, top, "stop_timeout", 100, DAY_MS, &c->stop_timeout_ms);
	text_duration(t, top, "turn_timeout", 100, DAY_MS, &c->turn_timeout_ms);
	text_duration(t, top, "disk_timeout", 100, DAY_MS, &c->disk_timeout_ms);

	Troupe__CoordinatorSetup *q = &c->coordinator;
	troupe__coordinator_setup__init(q);
	uint64_t pct = 5;
	bool create = false;
	q->low_water_bytes = 256 * MIB;
	text_size(t, top, "disk_low_water", 0, UINT64_MAX / 2, &q->low_water_bytes);
	text_number(t, top, "disk_low_water_pct", 0, 50, &pct);
	text_bool(t, top, "auto_create_queues", &create);
	q->low_water_pct = (uint32_t)pct;
	q->auto_create_queues = create;
	q->keep_final_ms = DAY_MS;
	q->keep_log_bytes = 1024 * MIB;
	q->map_max = 64ull * 1024 * MIB;
	q->defaults = policy_new("");
	unsigned n = cfg_size(top, "queue");
	q->queues = calloc(n + 2, sizeof *q->queues);
	for (unsigned i = 0; q->queues && i < n; i++)
		if ((q->queues[q->n_queues] = read_queue(c, t, cfg_getnsec(top, "queue", i))))
			q->n_queues++;
	if (n > 1000)
		text_complain(t, top, NULL, "config-range", "leave some out, or create them with troupe queue add", "%u queues are more than 1,000", n);
	for (unsigned i = 0; i < cfg_size(top, "role"); i++)
		read_role(c, t, cfg_getnsec(top, "role", i));
	roles_finish(c);

	static const char *const shown[] = { "run_dir", "state_dir", "libexec_dir", "user", "log_format", "log_level" };
	const char *values[] = { c->run_dir, c->state_dir, c->libexec_dir, c->user, c->log_format, c->log_level };
	char text[32];
	for (size_t i = 0; i < ELEMENTS(shown); i++)
		source_note(c, t, top, "", shown[i], values[i] ? values[i] : "");
	source_note(c, t, top, "", "stop_timeout", format_duration(c->stop_timeout_ms, text, sizeof text));
	source_note(c, t, top, "", "turn_timeout", format_duration(c->turn_timeout_ms, text, sizeof text));
	source_note(c, t, top, "", "disk_timeout", format_duration(c->disk_timeout_ms, text, sizeof text));
	source_note(c, t, top, "", "disk_low_water", format_size(q->low_water_bytes, text, sizeof text));
	source_note(c, t, top, "", "auto_create_queues", create ? "yes" : "no");
}

/* Two children of one name, anywhere in the tree. */
static void check_names(struct text *t, struct config_node *root, cfg_t *section)
{
	const char *names[CONFIG_NODES_MAX];
	unsigned lines[CONFIG_NODES_MAX], n = 0;
	struct config_node *stack[CONFIG_DEPTH_MAX + 4], *at = root;
	unsigned depth = 0;
	(void)section;
	while (at && n < CONFIG_NODES_MAX) {
		for (unsigned i = 0; i < n; i++)
			if (strcmp(names[i], at->name) == 0) {
				t->n_errors++;
				text_print(t->errors, t->name, at->line, "config-duplicate", "give one of the two another name", "\"%s\" is already the name of the child in line %u", at->name, lines[i]);
			}
		names[n] = at->name;
		lines[n++] = at->line;
		if (at->first && depth < ELEMENTS(stack)) {
			stack[depth++] = at;
			at = at->first;
			continue;
		}
		while (at && !at->next)
			at = depth ? stack[--depth] : NULL;
		at = at ? at->next : NULL;
	}
}

int config_parse(const char *buffer, const char *name, FILE *errors, struct config **ret)
{
	struct text t = { .errors = errors, .name = name };
	struct config *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->path = strdup(name);
	int r = text_parse(&t, buffer);
	if (r == 0) {
		read_node(c, &t);
		read_limits(c, &t);
		unsigned roots = cfg_size(t.top, "supervisor");
		if (roots != 1) {
			text_complain(&t, roots ? cfg_getnsec(t.top, "supervisor", 1) : t.top, NULL, "config-root", "write one supervisor \"root\" { ... } around everything", "there %s %u supervisor sections at the top, not one",
			              roots == 1 ? "is" : "are", roots);
		} else {
			cfg_t *s = cfg_getnsec(t.top, "supervisor", 0);
			c->root = node_new(NULL, CONFIG_SUPERVISOR, cfg_title(s), (unsigned)s->line);
			if (c->root) {
				read_supervisor(c, &t, s, c->root);
				check_names(&t, c->root, s);
			}
		}
		if (t.n_errors)
			r = ERROR_CONFIG;
	}
	text_fini(&t);
	if (r == 0) {
		struct tree *tree = NULL;
		r = config_tree(c, &(struct tree_config){ 0 }, errors, &tree);
		tree_free(tree);
	}
	if (r) {
		config_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int config_load(const char *path, FILE *errors, struct config **ret)
{
	_cleanup_(freep) char *buffer = NULL;
	size_t len;
	int r = file_read_all(path, 4 * MIB, &buffer, &len);
	if (r) {
		int code = r == -ENOENT ? ERROR_NOT_FOUND : r == -EACCES ? ERROR_NOT_ALLOWED : ERROR_CONFIG;
		text_print(errors, path, 1, "config-file", code == ERROR_NOT_FOUND ? "name another with -c FILE, or copy the example" : "check its owner and mode",
		           "cannot be read: %s", r < 0 ? strerror(-r) : "larger than 4 MiB");
		return code;
	}
	return config_parse(buffer, path, errors, ret);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	free(c->path);
	free(c->run_dir);
	free(c->state_dir);
	free(c->libexec_dir);
	free(c->user);
	free(c->log_format);
	free(c->log_level);
	for (size_t i = 0; i < c->coordinator.n_queues; i++)
		policy_free(c->coordinator.queues[i]);
	free(c->coordinator.queues);
	policy_free(c->coordinator.defaults);
	for (size_t i = 0; i < c->n_roles; i++) {
		free(c->roles[i]->uids);
		free(c->roles[i]->gids);
		free(c->roles[i]);
	}
	free(c->roles);
	node_free(c->root);
	for (size_t i = 0; i < c->n_sources; i++) {
		free(c->sources[i].key);
		free(c->sources[i].value);
		free(c->sources[i].from);
	}
	free(c->sources);
	free(c);
	return NULL;
}

static uint64_t hash_string(uint64_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull; /* FNV-1a */
	return (h ^ 0xff) * 1099511628211ull;
}

static uint64_t launch_fingerprint(const struct config_node *n)
{
	uint64_t h = 14695981039346656037ull;
	for (char **s = n->launch.argv; s && *s; s++)
		h = hash_string(h, *s);
	for (char **s = n->launch.env; s && *s; s++)
		h = hash_string(h, *s);
	h = hash_string(h, n->launch.user);
	if (n->pool) {
		for (size_t i = 0; i < n->pool->n_command; i++)
			h = hash_string(h, n->pool->command[i]);
		for (size_t i = 0; i < n->pool->n_queues; i++)
			h = hash_string(h, n->pool->queues[i]);
		h = hash_string(h, n->pool->mode);
	}
	return h;
}

static int add_node(struct tree *t, struct child *above, struct config_node *n, const struct config *c, FILE *errors)
{
	n->spec.fingerprint = n->kind == CONFIG_PROCESS ? launch_fingerprint(n) : 0;
	struct child *made;
	const char *why = child_spec_check(&n->spec, n->kind == CONFIG_PROCESS ? NULL : &n->sup, above ? &above->sup->spec : NULL);
	int r = why ? ERROR_BAD_REQUEST : tree_add(t, above, n->name, &n->spec, n->kind == CONFIG_PROCESS ? NULL : &n->sup, n, &made);
	if (r > 0) {
		text_print(errors, c->path, n->line, "config-tree", "see troupe.conf(5)", "\"%s\" cannot be part of the tree: %s", n->name, why ? why : error_name(r));
		return ERROR_CONFIG;
	}
	if (r < 0)
		return r;
	for (struct config_node *k = n->first; k && r == 0; k = k->next)
		r = add_node(t, made, k, c, errors); /* depth bounded by the grammar */
	return r;
}

int config_tree(const struct config *c, const struct tree_config *how, FILE *errors, struct tree **ret)
{
	struct tree *t = tree_new(how);
	if (!t)
		return -ENOMEM;
	int r = add_node(t, NULL, c->root, c, errors);
	if (r) {
		tree_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void config_setup(const struct config *c, const struct config_node *n, Troupe__Setup *out)
{
	out->address = n->name;
	out->run_dir = c->run_dir;
	out->limits = (Troupe__Limits *)&c->limits;
	out->roles = c->roles;
	out->n_roles = c->n_roles;
	out->log_format = c->log_format;
	out->log_level = c->log_level;
	out->turn_timeout_ms = c->turn_timeout_ms;
	out->pool = n->pool;
	out->topic = n->topic;
	out->front = n->front;
	if (n->title && strcmp(n->title, "coordinator") == 0)
		out->coordinator = (Troupe__CoordinatorSetup *)&c->coordinator;
}

static void dump_node(const struct config_node *n, unsigned depth, FILE *out)
{
	fprintf(out, "%*s%s  # line %u", (int)(2 * depth), "", n->name, n->line);
	if (n->kind == CONFIG_PROCESS)
		fprintf(out, ", %s", n->launch.argv && n->launch.argv[0] ? n->launch.argv[0] : "-");
	else
		fprintf(out, ", %s", strategy_name(n->sup.strategy));
	fputc('\n', out);
	for (const struct config_node *k = n->first; k; k = k->next)
		dump_node(k, depth + 1, out);
}

static void warn_node(const struct config *c, const struct config_node *n, FILE *errors)
{
	const struct launch *worker = n->kind == CONFIG_POOL && n->first ? &n->first->launch : NULL;
	if (worker && geteuid() == 0 && (!worker->user || worker->uid == c->uid))
		text_print(errors, c->path, n->line, "config-same-user", "give the pool a user of its own",
		           "warning: the tasks of %s run as the user who owns the queue's store, and could change it", n->name);
	for (const struct config_node *k = n->first; k; k = k->next)
		warn_node(c, k, errors);
}

void config_warn(const struct config *c, FILE *errors)
{
	warn_node(c, c->root, errors);
}

void config_dump(const struct config *c, FILE *out)
{
	for (size_t i = 0; i < c->n_sources; i++)
		fprintf(out, "%s = \"%s\"  # %s\n", c->sources[i].key, c->sources[i].value, c->sources[i].from);
	fprintf(out, "# privileges: %s\n", privilege_mode(c));
	for (size_t i = 0; i < c->coordinator.n_queues; i++) {
		const Troupe__QueuePolicy *p = c->coordinator.queues[i];
		char timeout[32], base[32], cap[32];
		fprintf(out, "queue \"%s\" { max_attempts = %u  backoff_base = \"%s\"  backoff_cap = \"%s\"  jitter = %u  timeout = \"%s\"  poison_after = %u }\n", p->name,
		        p->retry->max_attempts, format_duration(p->retry->base_ms, base, sizeof base), format_duration(p->retry->cap_ms, cap, sizeof cap),
		        p->retry->jitter_pct, format_duration(p->timeout_ms, timeout, sizeof timeout), p->poison_after);
	}
	dump_node(c->root, 0, out);
}
