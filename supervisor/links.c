/* Links: who dies together. A link is between two incarnations, made by one of them on its lifeline (at most one a pair), or between two names, by the configuration, and then
 * for every pair of lives. The abnormal end of one ends the other with the same reason, unless it traps: then it is told by a DOWN that says linked.
 *
 * An end goes on from partner to partner, but never to a life that began after the first death: a pair that is linked in the configuration would kill its successors for ever. */
#include <stdlib.h>
#include <string.h>
#include "common/base/log.h"
#include "supervisor/node.h"

#define LINKS_MAX 4096u

struct link { uint64_t a, b; bool trap_a, trap_b; struct link *next; };

/* incarnation 0: the present one. NULL: there is none. */
static struct process *partner_of(struct node *n, const char *name, uint64_t incarnation)
{
	const struct child *c = tree_find(n->tree, name);
	struct process *p = c ? process_of(n, c) : NULL;
	return p && (!incarnation || p->incarnation == incarnation) ? p : NULL;
}

static void hit(struct process *p, const char *by, enum reason reason, uint64_t origin)
{
	log_warn("linked", LOG_S("child", p->child->name), LOG_S("to", by), LOG_S("reason", reason_name(reason)));
	if (!p->link_origin)
		p->link_origin = origin;
	step(p->node, &(struct event){ .kind = EVENT_SIGNALLED, .now_ms = loop_now_ms(p->node->loop), .child = p->child, .incarnation = p->incarnation, .reason = reason,
	                               .detail = by });
}

void link_add(struct process *from, const Troupe__Link *want)
{
	struct node *n = from->node;
	struct process *to = partner_of(n, want->address, want->incarnation);
	if (to == from)
		return;
	if (!to) {
		struct obituary none = { .incarnation = want->incarnation, .reason = TROUPE__REASON__REASON_NOPROC };
		strncpy(none.address, want->address, CHILD_NAME_MAX);
		if (want->trap)
			monitor_tell(from, &none, true);
		else
			hit(from, want->address, REASON_NOPROC, tree_incarnation_next(n->tree));
		return;
	}
	for (struct link *l = n->links; l; l = l->next)
		if ((l->a == from->incarnation && l->b == to->incarnation) || (l->b == from->incarnation && l->a == to->incarnation)) {
			*(l->a == from->incarnation ? &l->trap_a : &l->trap_b) = want->trap;
			return;
		}
	struct link *l = n->n_links < LINKS_MAX ? calloc(1, sizeof *l) : NULL;
	if (!l) {
		log_warn("too many links", LOG_S("child", from->child->name));
		return;
	}
	*l = (struct link){ .a = from->incarnation, .b = to->incarnation, .trap_a = want->trap, .next = n->links };
	n->links = l;
	n->n_links++;
}

static bool is_of(const struct link *l, uint64_t incarnation)
{
	return l->a == incarnation || l->b == incarnation;
}

void link_drop(struct process *from, const Troupe__Link *want)
{
	struct node *n = from->node;
	for (struct link **at = &n->links; *at;) {
		struct link *l = *at;
		const struct process *other = is_of(l, from->incarnation) ? process_numbered(n, l->a == from->incarnation ? l->b : l->a) : NULL;
		if (!other || !other->child || strcmp(other->child->name, want->address) != 0) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		n->n_links--;
		free(l);
	}
}

static bool holds(char *const *names, const char *name)
{
	for (char *const *s = names; s && *s; s++)
		if (strcmp(*s, name) == 0)
			return true;
	return false;
}

/* The configuration's: by either of the two. */
static void fire_named(struct node *n, const char *name, char *const *names, enum reason reason, uint64_t origin)
{
	if (!n->config->has_links || reason_is_clean(reason))
		return;
	for (struct child *c = tree_root(n->tree); c; c = tree_next(n->tree, c)) {
		const struct config_node *other = c->user;
		struct process *p = c->sup || !other || strcmp(c->name, name) == 0 || (!holds(names, c->name) && !holds(other->links, name)) ? NULL : process_of(n, c);
		if (p && p->incarnation < origin)
			hit(p, name, reason, origin);
	}
}

/* After the tree was told of the end. */
void links_fire(struct node *n, const struct obituary *o, char *const *names, enum reason reason, uint64_t origin)
{
	for (struct link **at = &n->links; *at;) {
		struct link *l = *at;
		if (!is_of(l, o->incarnation)) {
			at = &l->next;
			continue;
		}
		bool first = l->a == o->incarnation, traps = first ? l->trap_b : l->trap_a;
		struct process *other = process_numbered(n, first ? l->b : l->a);
		*at = l->next;
		n->n_links--;
		free(l);
		if (!other || other->pid <= 0)
			continue;
		if (traps)
			monitor_tell(other, o, true);
		else if (!reason_is_clean(reason) && other->incarnation < origin)
			hit(other, o->address, reason, origin);
		at = &n->links; /* what was hit may have changed the list */
	}
	fire_named(n, o->address, names, reason, origin);
}

void links_free(struct node *n)
{
	while (n->links) {
		struct link *l = n->links;
		n->links = l->next;
		free(l);
	}
}
