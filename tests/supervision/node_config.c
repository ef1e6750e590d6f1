#include "tests/supervision/node_config.h"

#include <inttypes.h>
#include <string.h>
#include "tests/supervision/need.h"

static void put_time(FILE *out, const char *key, uint64_t ms)
{
	if (ms == UINT64_MAX)
		fprintf(out, " %s = infinity\n", key);
	else
		fprintf(out, " %s = \"%" PRIu64 "ms\"\n", key, ms);
}

static void put_limit(FILE *out, const struct give_up_spec *g)
{
	if (g->intensity != INTENSITY_UNLIMITED) {
		fprintf(out, " intensity = %u\n", g->intensity);
		put_time(out, "period", g->period_ms);
	}
	fprintf(out, " on_give_up = %s\n", g->on_give_up == ON_GIVE_UP_KEEP ? "keep" : "escalate");
}

static void put_spec(FILE *out, const struct child_spec *spec)
{
	const struct delay_spec *d = &spec->delay;
	fprintf(out, " restart = %s\n", restart_name(spec->restart));
	if (spec->shutdown_ms == SHUTDOWN_BRUTAL && !spec->shutdown_zero)
		fprintf(out, " shutdown = brutal_kill\n");
	else
		put_time(out, "shutdown", spec->shutdown_ms);
	fprintf(out, " immediate = %u\n backoff_factor = %u\n backoff_jitter = %u\n", d->immediate, d->factor_pct, d->jitter_pct);
	put_time(out, "backoff_base", d->base_ms);
	put_time(out, "backoff_cap", d->cap_ms);
	put_time(out, "backoff_reset", d->reset_after_ms);
	if (spec->significant)
		fprintf(out, " significant = yes\n");
}

void config_of_child(FILE *out, const struct stub_config *s, const char *name, const struct child_spec *spec)
{
	fprintf(out, "child \"%s\" {\n command = {\"%s\", \"%s\"}\n ready = lifeline\n env = {\"DEFINITION=%" PRIu64 "\"}\n", name, s->stub, s->socket, spec->fingerprint);
	put_spec(out, spec);
	put_time(out, "term_after", spec->term_after_ms);
	if (spec->start_timeout_ms)
		put_time(out, "start_timeout", spec->start_timeout_ms);
	put_limit(out, &spec->give_up);
	fprintf(out, "}\n");
}

static void put_supervisor(FILE *out, const struct stub_config *s, const struct child *c, const struct templates *templates)
{
	const struct supervisor_spec *sup = &c->sup->spec;
	fprintf(out, "supervisor \"%s\" {\n profile = %s\n strategy = %s\n auto_shutdown = %s\n", c->name, s->otp ? "otp" : "troupe", sup->dynamic ? "dynamic" : strategy_name(sup->strategy),
	        auto_shutdown_name(sup->auto_shutdown));
	if (sup->side_by_side && !sup->dynamic)
		fprintf(out, " side_by_side = yes\n");
	if (sup->children_max)
		fprintf(out, " max_children = %u\n", sup->children_max);
	put_limit(out, &sup->give_up);
	put_spec(out, &c->spec);
	for (size_t i = 0; sup->dynamic && i < templates->n; i++)
		if (strcmp(templates->all[i].above, c->name) == 0)
			config_of_child(out, s, templates->all[i].child.name, &templates->all[i].child.spec);
	for (const struct child *k = c->sup->first; k; k = k->next)
		if (k->sup)
			put_supervisor(out, s, k, templates);
		else
			config_of_child(out, s, k->name, &k->spec);
	fprintf(out, "}\n");
}

void config_of_tree(FILE *out, const struct stub_config *s, const struct tree *t, const struct templates *templates)
{
	fprintf(out, "run_dir = \"%s/run\"\nstate_dir = \"%s/state\"\nuser = \"\"\n", s->dir, s->dir);
	put_time(out, "stop_timeout", s->stop_timeout_ms);
	put_supervisor(out, s, tree_root(t), templates);
}
