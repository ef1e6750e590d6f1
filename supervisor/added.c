/* Children that operators add while the node runs: into the configuration in memory, into the tree, and, where they are to outlive the node, into the record before the
 * answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/cleanup.h"
#include "common/base/log.h"

#include "supervisor/node.h"
#include "supervisor/record.h"

#define NAMES_TRIED 1000u

static bool is_durable(const struct config_node *k)
{
	return k->spec.added && k->above && k->above->durable && k->spec.restart != RESTART_TEMPORARY;
}

/* "job/17": the next free one. */
static void make_name(struct node *n, const struct config_node *above, char *out, size_t size)
{
	for (unsigned i = 0; i < NAMES_TRIED; i++) {
		snprintf(out, size, "%s/%" PRIu64, above->template_->name, ++n->added_seq);
		if (!tree_find(n->tree, out))
			return;
	}
}

int added_make(struct node *n, const Troupe__AddChild *add, struct config_node **ret, struct error *e)
{
	struct config_node *above = config_find(n->config, add->above);
	char name[CHILD_NAME_MAX + 1];
	if (!above || above->kind == CONFIG_PROCESS) {
		error_set(e, ERROR_NO_ACTOR, "there is no supervisor %.100s", add->above);
		error_cure(e, "troupe tree shows them");
		return e->code;
	}
	if (above->kind == CONFIG_POOL) {
		error_set(e, ERROR_BAD_REQUEST, "a pool has as many workers as its size says");
		error_cure(e, "change size in the configuration, then troupe reload");
		return e->code;
	}
	if (!above->template_) {
		if (!*add->section) {
			error_set(e, ERROR_BAD_REQUEST, "%s is not dynamic: it has no template to make a child from", above->name);
			error_cure(e, "give the child's section, as in troupe.conf(5)");
			return e->code;
		}
		return config_add_section(n->config, above, add->section, ret, e);
	}
	if (*add->section)
		return error_set(e, ERROR_BAD_REQUEST, "%s is dynamic: its children are made from its template", above->name);
	snprintf(name, sizeof name, "%.*s", CHILD_NAME_MAX, add->name);
	if (!*name)
		make_name(n, above, name, sizeof name);
	return config_add_instance(above, name, add->args, add->n_args, ret, e);
}

int added_keep(struct node *n, const struct child *c, struct error *e)
{
	struct config_node *k = c->user;
	Troupe__AddChild add = TROUPE__ADD_CHILD__INIT;
	if (!is_durable(k) || !n->record)
		return 0;
	k->seq = ++n->added_seq;
	add.above = k->above->name;
	add.name = k->name;
	add.args = k->args;
	while (k->args && k->args[add.n_args])
		add.n_args++;
	add.section = k->section ? k->section : add.section;
	add.seq = k->seq;
	return record_child(n->record, &add, e);
}

void added_runs(const struct child *c)
{
	struct config_node *k = c->user;
	if (c->spec.added && c->spec.restart == RESTART_TEMPORARY && k)
		config_forget_arguments(k);
}

void added_forget(struct node *n, const struct child *c)
{
	struct config_node *k = c->user;
	if (!c->spec.added || !k)
		return;
	if (is_durable(k) && n->record && !tree_is_stopping(n->tree))
		record_child_gone(n->record, k->name);
	config_remove(k);
}

void added_lost(const struct config_node *k, const struct error *e)
{
	log_warn("a child that was added cannot be kept", LOG_S("child", k->name), LOG_S("why", e->text));
}

static void restore(void *ctx, const Troupe__AddChild *add)
{
	struct node *n = ctx;
	struct config_node *k;
	struct error e = { 0 };
	if (add->seq > n->added_seq)
		n->added_seq = add->seq;
	int r = config_find(n->config, add->name) ? error_set(&e, ERROR_EXISTS, "the configuration has a child of this name now") : added_make(n, add, &k, &e);
	if (r)
		log_warn("a child that was added cannot be started again", LOG_S("child", add->name), LOG_S("why", e.text));
	else
		k->seq = add->seq;
}

void added_restore(struct node *n)
{
	if (n->record)
		record_children(n->record, restore, n);
}
