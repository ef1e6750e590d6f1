/* Sections supervisor, actor, child and pool: what is started, and how. */
#include "supervisor/config_parts.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/wire/address.h"
#include "supervisor/tree.h"

#define EXIT_CONFIG 78      /* sysexits.h */
#define EXIT_PERMANENT 100  /* s6: starting again is useless */

void node_append(struct config_node *above, struct config_node *n)
{
	n->above = above;
	*(above->last ? &above->last->next : &above->first) = n;
	above->last = n;
}

/* OTP's own defaults, for this node and what is below it. */
static void profile_otp(struct config_node *n)
{
	n->otp = true;
	n->durable = false;
	n->spec.delay.immediate = 0;
	n->spec.delay.base_ms = 0;
	n->sup.give_up = (struct give_up_spec){ .intensity = 1, .period_ms = 5000, .on_give_up = ON_GIVE_UP_ESCALATE };
	n->sup.revive_done = n->sup.revive_stopped = n->sup.start_once = n->sup.gave_up_is_shutdown = n->sup.forget_added = true;
}

struct config_node *node_new(struct config_node *above, enum config_kind kind, const char *name, unsigned line)
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
	n->durable = true;
	if (above && above->otp)
		profile_otp(n);
	if (above && above->sup.dynamic)
		above->template_ = n;
	else if (above)
		node_append(above, n);
	return n;
}

void strings_free(char **list)
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
	resources_free(p->resources, p->n_resources);
	free(p);
}

void node_free(struct config_node *n)
{
	if (!n)
		return;
	for (struct config_node *c = n->first, *next; c; c = next) {
		next = c->next;
		node_free(c);
	}
	node_free(n->template_);
	strings_free(n->args);
	strings_free(n->links);
	free(n->section);
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
		text_duration(t, s, "shutdown", 0, UINT64_MAX, &spec->shutdown_ms);
	spec->shutdown_zero = shutdown && spec->shutdown_ms == 0 && strcmp(shutdown, "brutal_kill") != 0;
	text_bool(t, s, "significant", &spec->significant);
}

static void read_delay(struct text *t, cfg_t *s, struct delay_spec *d)
{
	uint64_t immediate = d->immediate, factor = d->factor_pct, jitter = d->jitter_pct;
	text_number(t, s, "immediate", 0, 1000, &immediate);
	text_duration(t, s, "backoff_base", 0, DAY_MS, &d->base_ms);
	text_number(t, s, "backoff_factor", 100, 100000, &factor);
	text_duration(t, s, "backoff_cap", 0, DAY_MS, &d->cap_ms);
	text_number(t, s, "backoff_jitter", 0, 100, &jitter);
	text_duration(t, s, "backoff_reset", 0, 365 * DAY_MS, &d->reset_after_ms);
	d->immediate = (uint32_t)immediate;
	d->factor_pct = (uint32_t)factor;
	d->jitter_pct = (uint32_t)jitter;
	if (d->cap_ms < d->base_ms)
		text_complain(t, s, "backoff_cap", "config-range", "raise backoff_cap or lower backoff_base", "backoff_cap is below backoff_base");
}

static void read_codes(struct text *t, cfg_t *s, const char *key, uint8_t codes[32])
{
	struct error e = { 0 };
	size_t n = 0;
	uint64_t code;
	char **list = text_list(t, s, key, &n);
	if (list)
		memset(codes, 0, 32);
	for (size_t i = 0; i < n; i++) {
		if (parse_number(list[i], 1, 255, &code, &e))
			text_complain(t, s, key, "config-range", "write exit statuses from 1 to 255, e.g. {\"3\", \"75\"}", "%s has \"%s\", which is no exit status", key, list[i]);
		else
			codes[code / 8] |= (uint8_t)(1u << code % 8);
	}
	strings_free(list);
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
	text_duration(t, s, "start_timeout", 1, DAY_MS, &spec->start_timeout_ms);
	text_duration(t, s, "term_after", 0, UINT64_MAX, &spec->term_after_ms);
	read_delay(t, s, &spec->delay);
	l->fatal_codes[EXIT_CONFIG / 8] |= 1u << EXIT_CONFIG % 8;
	l->fatal_codes[EXIT_PERMANENT / 8] |= 1u << EXIT_PERMANENT % 8;
	read_codes(t, s, "clean_codes", l->clean_codes);
	read_codes(t, s, "fatal_codes", l->fatal_codes);
	const char *directory = text_string(t, s, "directory");
	if (directory && *directory != '/')
		text_complain(t, s, "directory", "config-path", "write the full path", "directory = %s is not an absolute path", directory);
	l->directory = directory ? strdup(directory) : NULL;
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
	n->links = text_list(t, s, "links", NULL);
	c->has_links |= n->links != NULL;
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
	n->spec.term_after_ms = TERM_NEVER;
	read_process(c, t, s, n);
	n->launch.lifeline = true;
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
	const char *ready = text_string(t, s, "ready");
	n->launch.lifeline = ready && strcmp(ready, "lifeline") == 0;
	n->launch.notify = ready && strcmp(ready, "notify") == 0;
	if (ready && !n->launch.lifeline && !n->launch.notify && strcmp(ready, "exec") != 0)
		text_complain(t, s, "ready", "config-value", "write exec, notify or lifeline", "ready = %s is not known", ready);
	if (!n->launch.lifeline)
		n->spec.term_after_ms = 0;
	read_process(c, t, s, n);
	text_duration(t, s, "watchdog", 10, DAY_MS, &n->launch.watchdog_ms);
	if (n->launch.watchdog_ms && !n->launch.notify)
		text_complain(t, s, "watchdog", "config-pair", "add ready = notify, or take it out", "watchdog needs a program that speaks sd_notify(3)");
	n->title = strdup("child");
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
	bool lives = strcmp(p->mode, "lines") == 0 || strcmp(p->mode, "packet4") == 0; /* its program */
	if (!lives && strcmp(p->mode, "exec") != 0)
		text_complain(t, s, "mode", "config-value", "write exec, lines or packet4", "mode = %s is not a kind of worker", mode);
	if (!address_valid(p->coordinator))
		text_complain(t, s, "coordinator", "config-address", "write an address such as \"coordinator:main\"", "coordinator = %s is no address", coordinator);
	text_duration(t, s, "grace", 0, 3600000, &p->grace_ms);
	text_duration(t, s, "drain_timeout", 0, DAY_MS, &p->drain_timeout_ms);
	text_size(t, s, "stderr_tail", 0, 64 * 1024, &p->stderr_tail);
	text_size(t, s, "line_max", 1024, 16 * MIB, &p->line_max);
	p->command = text_list(t, s, "command", &p->n_command);
	p->queues = text_list(t, s, "queues", &p->n_queues);
	p->tags = text_list(t, s, "tags", &p->n_tags);
	p->resources = read_resources(t, s, &p->n_resources);
	if (p->n_command && p->command[0][0] != '/')
		text_complain(t, s, "command", "config-path", "write the full path", "command begins with %s, which is not an absolute path", p->command[0]);
	if (p->n_command == 0 && lives)
		text_complain(t, s, NULL, "config-command", "add command = {\"/path/to/program\", ...}", "pool \"%s\" has mode %s and no command", p->pool, p->mode);
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
	supervisor_spec_default(&n->sup); /* whatever the profile: OTP has no pools */
	child_spec_default(&n->spec, CHILD_SUPERVISOR);
	n->sup.side_by_side = true;
	n->sup.pool = true;
	uint64_t spares = 1;
	text_number(t, s, "spares", 0, 64, &spares);
	n->spares = (unsigned)spares;
	n->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	struct config_node first = { .kind = CONFIG_PROCESS };
	child_spec_default(&first.spec, CHILD_WORKER);
	first.spec.term_after_ms = TERM_NEVER;
	read_process(c, t, s, &first);
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
		w->launch.directory = NULL; /* its tasks', too */
		w->links = strings_copy(first.links);
		w->title = strdup("worker");
		w->pool = n->pool;
		set_program(c, t, s, w, "worker");
	}
	strings_free(first.launch.env);
	free(first.launch.directory);
	strings_free(first.links);
	free(first.launch.user);
}

/* Of a dynamic supervisor: one child or actor, which is not started itself. */
static void read_template(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	cfg_t *list[8];
	unsigned count = text_children(t, s, list, ELEMENTS(list));
	bool usable = count == 1 && (strcmp(list[0]->name, "child") == 0 || strcmp(list[0]->name, "actor") == 0);
	if (!usable) {
		text_complain(t, count > 1 ? list[1] : s, NULL, "config-template", "write one child or actor section in it: what its children are made from",
		              "supervisor \"%s\" is dynamic and has %u sections, not one child (bad_start_spec)", n->name, count);
		return;
	}
	if (strcmp(list[0]->name, "actor") == 0)
		read_actor(c, t, list[0], n, (unsigned)list[0]->line);
	else
		read_child(c, t, list[0], n, (unsigned)list[0]->line);
}

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

void read_section(struct config *c, struct text *t, cfg_t *s, struct config_node *above)
{
	if (strcmp(s->name, "actor") == 0)
		read_actor(c, t, s, above, (unsigned)s->line);
	else
		read_child(c, t, s, above, (unsigned)s->line);
}

void read_supervisor(struct config *c, struct text *t, cfg_t *s, struct config_node *n)
{
	const char *strategy = text_string(t, s, "strategy"), *autos = text_string(t, s, "auto_shutdown"), *profile = text_string(t, s, "profile");
	uint64_t children_max = 0;
	bool root_stays = !n->above;
	if (profile && strcmp(profile, "otp") == 0) {
		profile_otp(n);
		root_stays = false;
	} else if (profile && strcmp(profile, "troupe") != 0) {
		text_complain(t, s, "profile", "config-value", "write troupe or otp", "profile = %s is not known", profile);
	}
	n->sup.dynamic = strategy && strcmp(strategy, "dynamic") == 0;
	n->sup.side_by_side = n->sup.dynamic;
	if (strategy && !n->sup.dynamic && !strategy_parse(strategy, &n->sup.strategy))
		text_complain(t, s, "strategy", "config-value", "write one_for_one, all_for_one, rest_for_one or dynamic", "strategy = %s is not known (invalid_strategy)", strategy);
	text_bool(t, s, "side_by_side", &n->sup.side_by_side);
	text_bool(t, s, "durable", &n->durable);
	text_number(t, s, "max_children", 1, TREE_CHILDREN_MAX, &children_max);
	n->sup.children_max = (uint32_t)children_max;
	if (children_max && !n->sup.dynamic)
		text_complain(t, s, "max_children", "config-pair", "take it out, or write strategy = dynamic", "max_children is for dynamic supervisors");
	if (autos && !auto_shutdown_parse(autos, &n->sup.auto_shutdown))
		text_complain(t, s, "auto_shutdown", "config-value", "write never, any_significant or all_significant", "auto_shutdown = %s is not known", autos);
	if (root_stays)
		n->sup.give_up.on_give_up = ON_GIVE_UP_KEEP;
	read_give_up(t, s, &n->sup.give_up);
	read_restart(t, s, &n->spec);
	read_delay(t, s, &n->spec.delay);
	if (n->sup.dynamic)
		read_template(c, t, s, n);
	else
		read_children(c, t, s, n);
}
