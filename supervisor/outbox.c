/* The node's own events on their way to topic:events. Each is sent to the topic's present incarnation and kept until the topic says that it is stored; a new
 * incarnation is sent all that are left, so an event may be there twice, but is not lost while the node lives. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/node.h"

#define TOPIC "topic:events"
#define WAITING_MAX 4096u
#define BYTES_MAX (4u * 1024 * 1024)
#define WINDOW 64u        /* sent and not yet stored: a lifeline's queue is short */

struct letter { struct letter *next; uint64_t ref; size_t len; uint8_t data[]; };
struct outbox { struct letter *head, **tail, *unsent; size_t n, n_sent, bytes; uint64_t next_ref, dropped, to; /* to: the topic's incarnation */ };

struct outbox *outbox_new(void)
{
	struct outbox *o = calloc(1, sizeof *o);
	if (o) {
		o->tail = &o->head;
		o->next_ref = 1;
	}
	return o;
}

static void drop_first(struct outbox *o)
{
	struct letter *l = o->head;
	o->head = l->next;
	if (o->unsent == l)
		o->unsent = l->next;
	else
		o->n_sent--;
	if (!o->head)
		o->tail = &o->head;
	o->n--;
	o->bytes -= l->len;
	free(l);
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	while (o->head)
		drop_first(o);
	free(o);
}

static void letter_send(struct process *topic, const struct letter *l)
{
	struct arena *a = arena_new(l->len * 64 + 65536);
	ProtobufCMessage *m;
	if (a && message_decode(&troupe__event__descriptor, l->data, l->len, a, &m, NULL) == 0) {
		Troupe__Control c = TROUPE__CONTROL__INIT;
		c.ref = l->ref;
		c.body_case = TROUPE__CONTROL__BODY_EVENT;
		c.event = (Troupe__Event *)m;
		process_send(topic, &c);
	}
	arena_unref(a);
}

static void pump(struct node *n)
{
	struct outbox *o = n->outbox;
	const struct child *c = tree_find(n->tree, TOPIC);
	struct process *topic = c && c->state == CHILD_UP ? process_of(n, c) : NULL;
	for (; topic && topic->incarnation == o->to && o->unsent && o->n_sent < WINDOW; o->unsent = o->unsent->next, o->n_sent++)
		letter_send(topic, o->unsent);
}

void outbox_event(struct node *n, const Troupe__Event *ev)
{
	struct outbox *o = n->outbox;
	size_t len = troupe__event__get_packed_size(ev);
	if (!tree_find(n->tree, TOPIC) || len > 32 * 1024)
		return;
	struct letter *l = malloc(sizeof *l + len);
	if (!l)
		return;
	*l = (struct letter){ .ref = o->next_ref++, .len = len };
	troupe__event__pack(ev, l->data);
	while (o->n >= WAITING_MAX || (o->n && o->bytes + len > BYTES_MAX)) {
		drop_first(o);
		if (o->dropped++ == 0)
			log_warn("events are dropped: topic:events does not take them");
	}
	*o->tail = l;
	o->tail = &l->next;
	if (!o->unsent)
		o->unsent = l;
	o->n++;
	o->bytes += len;
	pump(n);
}

void outbox_say(struct node *n, const char *level, const char *type, const char *actor, const char *subject, const char *fmt, ...)
{
	Troupe__Event ev = TROUPE__EVENT__INIT;
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ev.at_ms = clock_wall_ms();
	ev.type = (char *)type;
	ev.actor = (char *)(actor ? actor : "");
	ev.subject = (char *)(subject ? subject : "");
	ev.level = (char *)level;
	ev.text = text;
	outbox_event(n, &ev);
}

void outbox_up(struct node *n, struct process *topic)
{
	if (strcmp(topic->child->name, TOPIC) != 0)
		return;
	n->outbox->to = topic->incarnation;
	if (n->outbox->dropped) {
		uint64_t dropped = n->outbox->dropped;
		n->outbox->dropped = 0;
		outbox_say(n, "alarm", "events.dropped", TOPIC, NULL, "%llu events were dropped while topic:events did not take them", (unsigned long long)dropped);
	}
	n->outbox->unsent = n->outbox->head;
	n->outbox->n_sent = 0;
	pump(n);
}

void outbox_stored(struct node *n, uint64_t ref)
{
	struct outbox *o = n->outbox;
	while (o->head && o->head->ref <= ref) /* in order: what is stored has all before it stored */
		drop_first(o);
	pump(n);
}
