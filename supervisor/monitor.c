/* Who wants to know of whose end, and how those ended who have. DOWN comes exactly once for a monitor, or twice where the first says that the family is not proven
 * empty; for one that is already dead it comes at once, from its obituary. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/node.h"

void monitor_tell(struct process *to, const struct obituary *o, bool linked)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Down d = TROUPE__DOWN__INIT;
	d.address = (char *)o->address;
	d.incarnation = o->incarnation;
	d.reason = o->reason;
	d.proof = o->pending ? TROUPE__PROOF__PROOF_PENDING : TROUPE__PROOF__PROOF_EMPTY;
	d.pending_pid = o->pending ? (uint32_t)o->pending_pid : 0;
	if (o->reason == TROUPE__REASON__REASON_SIGNAL || o->reason == TROUPE__REASON__REASON_CORE || o->reason == TROUPE__REASON__REASON_KILLED ||
	    o->reason == TROUPE__REASON__REASON_OOM)
		d.signal = o->number;
	else
		d.exit_code = o->number;
	d.ordered = o->ordered;
	d.linked = linked;
	d.tokens = o->tokens;
	d.n_tokens = o->n_tokens;
	c.body_case = TROUPE__CONTROL__BODY_DOWN;
	c.down = &d;
	process_send(to, &c);
}

/* No two incarnations of a node have the same number. */
static struct obituary *obituary_find(struct node *n, uint64_t incarnation)
{
	size_t have = n->n_obituaries < OBITUARIES ? n->n_obituaries : OBITUARIES;
	for (size_t i = 0; i < have; i++)
		if (n->obituaries[i].incarnation == incarnation)
			return &n->obituaries[i];
	return NULL;
}

const struct obituary *obituary_write(struct node *n, const struct process *dead, Troupe__Reason reason, int number)
{
	struct obituary *o = &n->obituaries[n->n_obituaries++ % OBITUARIES];
	free(o->tokens);
	*o = (struct obituary){ .incarnation = dead->incarnation, .reason = reason, .number = number, .ordered = dead->ordered, .pending = dead->pending,
		                .pending_pid = dead->pending_pid };
	strncpy(o->address, dead->child->name, CHILD_NAME_MAX);
	struct status_cell cell;
	if (!dead->cell)
		return o;
	status_read(dead->cell, &cell);
	if (cell.n_tokens && (o->tokens = malloc(cell.n_tokens * sizeof *o->tokens))) {
		memcpy(o->tokens, cell.tokens, cell.n_tokens * sizeof *o->tokens);
		o->n_tokens = cell.n_tokens;
	}
	return o;
}

void monitor_fire(struct node *n, const struct obituary *o)
{
	for (struct monitor **at = &n->monitors; *at;) {
		struct monitor *m = *at;
		if (m->incarnation != o->incarnation || strcmp(m->address, o->address) != 0) {
			at = &m->next;
			continue;
		}
		struct process *watcher = process_numbered(n, m->watcher);
		if (watcher)
			monitor_tell(watcher, o, false);
		if (o->pending) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		free(m);
	}
}

void obituary_prove(struct node *n, const struct process *dead)
{
	struct obituary *o = obituary_find(n, dead->incarnation);
	if (!o)
		return;
	o->pending = false;
	monitor_fire(n, o);
}

void monitor_add(struct process *watcher, const Troupe__Monitor *want)
{
	struct node *n = watcher->node;
	struct process *p = process_numbered(n, want->incarnation);
	bool alive = p && !p->ended && strcmp(p->child->name, want->address) == 0;
	if (!alive) {
		struct obituary unknown = { .incarnation = want->incarnation, .reason = TROUPE__REASON__REASON_LOST, .ordered = true };
		const struct obituary *o = obituary_find(n, want->incarnation);
		if (o && strcmp(o->address, want->address) != 0)
			o = NULL;
		strncpy(unknown.address, want->address, CHILD_NAME_MAX);
		monitor_tell(watcher, o ? o : &unknown, false);
		if (!o || !o->pending)
			return;
	}
	struct monitor *m = calloc(1, sizeof *m);
	if (!m)
		return;
	m->watcher = watcher->incarnation;
	m->incarnation = want->incarnation;
	strncpy(m->address, want->address, CHILD_NAME_MAX);
	m->next = n->monitors;
	n->monitors = m;
}

void monitor_drop(struct node *n, uint64_t watcher, const Troupe__Demonitor *only)
{
	for (struct monitor **at = &n->monitors; *at;) {
		struct monitor *m = *at;
		if (m->watcher == watcher && (!only || (m->incarnation == only->incarnation && strcmp(m->address, only->address) == 0))) {
			*at = m->next;
			free(m);
		} else {
			at = &m->next;
		}
	}
}

void monitors_free(struct node *n)
{
	while (n->monitors) {
		struct monitor *m = n->monitors;
		n->monitors = m->next;
		free(m);
	}
	for (size_t i = 0; i < OBITUARIES; i++)
		free(n->obituaries[i].tokens);
}

/* --- messages that kill --- */

void suspicion_note(struct node *n, const struct process *dead)
{
	static const uint8_t none[16];
	struct status_cell cell;
	if (!dead->cell || dead->ordered)
		return;
	status_read(dead->cell, &cell);
	if (memcmp(cell.message, none, sizeof none) == 0)
		return;
	size_t have = n->n_suspicions < SUSPICIONS ? n->n_suspicions : SUSPICIONS;
	struct suspicion *s = NULL;
	for (size_t i = 0; i < have && !s; i++)
		if (n->suspicions[i].number == dead->child->number && memcmp(n->suspicions[i].message, cell.message, sizeof cell.message) == 0)
			s = &n->suspicions[i];
	if (!s) {
		s = &n->suspicions[n->n_suspicions++ % SUSPICIONS];
		*s = (struct suspicion){ .number = dead->child->number };
		memcpy(s->message, cell.message, sizeof cell.message);
	}
	s->deaths++;
}

void suspicion_tell(struct process *p)
{
	struct node *n = p->node;
	size_t have = n->n_suspicions < SUSPICIONS ? n->n_suspicions : SUSPICIONS;
	for (size_t i = 0; i < have; i++) {
		struct suspicion *s = &n->suspicions[i];
		if (s->number != p->child->number)
			continue;
		Troupe__Control c = TROUPE__CONTROL__INIT;
		Troupe__Suspect what = TROUPE__SUSPECT__INIT;
		what.message = (ProtobufCBinaryData){ sizeof s->message, s->message };
		what.deaths = s->deaths;
		c.body_case = TROUPE__CONTROL__BODY_SUSPECT;
		c.suspect = &what;
		process_send(p, &c);
	}
}
