/* What follows from a configuration: the tree, what a child is told, what -T and -t print. */
#include "supervisor/config_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "supervisor/privilege.h"
#include "supervisor/tree.h"

static uint64_t hash_string(uint64_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull; /* FNV-1a */
	return (h ^ 0xff) * 1099511628211ull;
}

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
	for (const unsigned char *b = bytes; n > 0; n--, b++)
		h = (h ^ *b) * 1099511628211ull;
	return h;
}

uint64_t launch_fingerprint(const struct config_node *n)
{
	uint64_t h = 14695981039346656037ull;
	for (char **s = n->launch.argv; s && *s; s++)
		h = hash_string(h, *s);
	for (char **s = n->launch.env; s && *s; s++)
		h = hash_string(h, *s);
	h = hash_string(h, n->launch.user);
	h = hash_string(h, n->launch.directory);
	h = hash_bytes(h, n->launch.clean_codes, sizeof n->launch.clean_codes);
	h = hash_bytes(h, n->launch.fatal_codes, sizeof n->launch.fatal_codes);
	const uint64_t numbers[] = { n->launch.gid, n->launch.has_nice, (uint64_t)n->launch.nice, n->launch.lifeline, n->launch.notify, n->launch.watchdog_ms };
	h = hash_bytes(h, numbers, sizeof numbers);
	for (unsigned i = 0; i < n->launch.n_limits; i++) {
		const uint64_t limit[] = { (uint64_t)n->launch.limits[i].resource, n->launch.limits[i].value };
		h = hash_bytes(h, limit, sizeof limit);
	}
	if (n->pool) {
		for (size_t i = 0; i < n->pool->n_command; i++)
			h = hash_string(h, n->pool->command[i]);
		for (size_t i = 0; i < n->pool->n_queues; i++)
			h = hash_string(h, n->pool->queues[i]);
		for (size_t i = 0; i < n->pool->n_tags; i++)
			h = hash_string(h, n->pool->tags[i]);
		for (size_t i = 0; i < n->pool->n_resources; i++) {
			h = hash_string(h, n->pool->resources[i]->name);
			h = hash_bytes(h, &n->pool->resources[i]->amount, sizeof n->pool->resources[i]->amount);
		}
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
	if (n->template_ && (why = child_spec_check(&n->template_->spec, NULL, &n->sup))) {
		text_print(errors, c->path, n->template_->line, "config-tree", "see troupe.conf(5)", "\"%s\" cannot be the template of %s: %s", n->template_->name, n->name, why);
		return ERROR_CONFIG;
	}
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
		fprintf(out, ", %s%s", n->sup.dynamic ? "dynamic" : strategy_name(n->sup.strategy), n->otp ? ", profile otp" : "");
	fputc('\n', out);
	if (n->template_)
		dump_node(n->template_, depth + 1, out);
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

/* At the slowest: a limit of n in p is exceeded by n + 1 ends within p, so at most p passes; below a supervisor its give-ups are the ends. 0: there is no limit. */
static uint64_t escalation_ms(const struct config_node *n, FILE *out, unsigned *never)
{
	uint64_t below_ms = 0;
	char period[32], slow[32];
	for (const struct config_node *k = n->first; k; k = k->next) {
		uint64_t ms = k->kind == CONFIG_PROCESS ? 0 : escalation_ms(k, out, never);
		if (ms > below_ms)
			below_ms = ms;
	}
	const struct give_up_spec *g = &n->sup.give_up;
	if (g->intensity == INTENSITY_UNLIMITED || n->kind == CONFIG_PROCESS)
		return below_ms;
	bool is_never = below_ms && below_ms != UINT64_MAX && (uint64_t)g->intensity * below_ms > g->period_ms;
	if (below_ms == UINT64_MAX)
		is_never = true;
	fprintf(out, "# escalation: \"%s\" (%u in %s) ", n->name, g->intensity, format_duration(g->period_ms, period, sizeof period));
	if (is_never) {
		fprintf(out, "may never give up: the level below it can take %s a time\n", below_ms == UINT64_MAX ? "for ever" : format_duration(below_ms, slow, sizeof slow));
		(*never)++;
		return UINT64_MAX;
	}
	uint64_t ms = below_ms ? (g->intensity + 1) * below_ms : g->period_ms;
	fprintf(out, "gives up after at most %s\n", format_duration(ms, slow, sizeof slow));
	return ms;
}

unsigned config_escalation(const struct config *c, FILE *out)
{
	unsigned never = 0;
	escalation_ms(c->root, out, &never);
	return never;
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
	dump_node(c->root, 0, out);
}
