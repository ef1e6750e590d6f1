#include "supervisor/config_parts.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/parse.h"
#include "common/wire/address.h"
#include "supervisor/tree.h"

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
void source_note(struct config *c, struct text *t, cfg_t *s, const char *prefix, const char *key, const char *value)
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
	uint64_t concurrency = 0;
	q->blob_max = 16 * MIB;
	const char *most = text_string(t, top, "concurrency");
	if (most && strcmp(most, "none") != 0)
		text_number(t, top, "concurrency", 0, 1000000, &concurrency);
	text_size(t, top, "blob_max", 64 * 1024, 1024 * MIB, &q->blob_max);
	q->concurrency = (uint32_t)concurrency;
	text_size(t, top, "store_max", 64 * MIB, UINT64_MAX / 2, &q->map_max);
	q->defaults = policy_new("");
	unsigned n = cfg_size(top, "queue");
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
	source_note(c, t, top, "", "store_max", format_size(q->map_max, text, sizeof text));
	source_note(c, t, top, "", "auto_create_queues", create ? "yes" : "no");
	snprintf(text, sizeof text, "%u", q->concurrency);
	source_note(c, t, top, "", "concurrency", q->concurrency ? text : "none");
	source_note(c, t, top, "", "blob_max", format_size_exact(q->blob_max, text, sizeof text));
	q->queues = calloc(n + 2, sizeof *q->queues);
	for (unsigned i = 0; q->queues && i < n; i++)
		if ((q->queues[q->n_queues] = read_queue(c, t, cfg_getnsec(top, "queue", i))))
			q->n_queues++;
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
