/* The lifeline's end in the child. PING is answered from the loop, so it says that the loop turns and nothing more. What changes the
 * behaviour's state (STOP, DOWN, reload, the behaviour's own packets) becomes an event of the next turn. The end of the lifeline is the end of the supervisor:
 * the process leaves at once, which the output gate makes safe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/actor/internal.h"
#include "common/base/log.h"
#include "common/base/parse.h"

#define SETUP_WAIT_MS 10000u
#define PACKETS_A_ROUND 256
#define NOTE_EVERY_MS 1000u

static void setup_default(uint64_t *v, uint64_t dflt)
{
	if (!*v)
		*v = dflt;
}

static void setup_default32(uint32_t *v, uint32_t dflt)
{
	if (!*v)
		*v = dflt;
}

/* Fills in what the supervisor left out. The Setup lies in its arena and is ours to change. */
static int setup_complete(struct arena *arena, Troupe__Setup *s)
{
	if (!s->limits) {
		if (!(s->limits = arena_alloc(arena, sizeof *s->limits)))
			return -ENOMEM;
		troupe__limits__init(s->limits);
	}
	Troupe__Limits *l = s->limits;
	setup_default(&l->frame, 1u << 20);
	setup_default32(&l->frame_envelopes, 4096);
	setup_default32(&l->mailbox_messages, 10000);
	setup_default(&l->mailbox_bytes, 16u << 20);
	setup_default(&l->output_bytes, 4u << 20);
	setup_default32(&l->connections, 4096);
	setup_default(&l->payload, 64u << 10);
	setup_default32(&l->credit, 1024);
	setup_default32(&l->anonymous_credit, 16);
	return 0;
}

int control_open(struct actor *a, bool spare)
{
	struct pollfd p = { .fd = LIFELINE_FD, .events = POLLIN };
	uint64_t until = spare ? TIME_NEVER : clock_mono_ms() + SETUP_WAIT_MS;
	if (spare)
		channel_prepare();
	Troupe__Control *c = NULL;
	struct error e = { 0 };
	int fd, r = ERROR_NOT_FOUND;
	fcntl(LIFELINE_FD, F_SETFD, FD_CLOEXEC); /* it came through exec and goes no further */
	lifeline_init(&a->lifeline, LIFELINE_FD);
	while (r == ERROR_NOT_FOUND) {
		uint64_t now = clock_mono_ms();
		if (now >= until || (poll(&p, 1, until == TIME_NEVER ? -1 : (int)(until - now)) < 0 && errno != EINTR))
			break;
		if (!p.revents)
			continue;
		r = lifeline_receive(&a->lifeline, &a->setup_arena, &c, &fd, &e);
	}
	if (r) {
		log_error("no Setup on the lifeline", LOG_S("why", r == ERROR_NOT_FOUND ? "nothing came" : r > 0 ? e.text : strerror(-r)));
		return 111;
	}
	if (fd >= 0)
		close(fd);
	if (c->body_case != TROUPE__CONTROL__BODY_SETUP || !address_valid(c->setup->address)) {
		log_error("the lifeline does not begin with a Setup");
		return 111;
	}
	a->setup = c->setup;
	return setup_complete(a->setup_arena, a->setup) ? 111 : 0;
}

/* --- out --- */

static void control_want(struct actor *a)
{
	uint32_t events = EPOLLIN | (lifeline_wants_write(&a->lifeline) ? EPOLLOUT : 0u);
	if (a->lifeline_source.loop && a->lifeline_source.events != events)
		loop_modify(&a->lifeline_source, events);
}

bool control_crowded(const struct actor *a, size_t more)
{
	return a->n_backlog + more > BACKLOG_PACKETS / 2 || a->backlog_bytes > BACKLOG_BYTES / 2;
}

/* The lifeline's own queue is short; a recovering behaviour may have more to say in one turn. */
static int control_defer(struct actor *a, const Troupe__Control *c)
{
	size_t len = troupe__control__get_packed_size(c);
	if (a->n_backlog >= BACKLOG_PACKETS || a->backlog_bytes + len > BACKLOG_BYTES)
		return -ENOBUFS; /* the supervisor has not read for 65,536 packets */
	struct backlog *b = malloc(sizeof *b + len);
	if (!b)
		return -ENOMEM;
	b->next = NULL;
	b->len = len;
	troupe__control__pack(c, b->data);
	if (!a->backlog)
		a->backlog_tail = &a->backlog;
	*a->backlog_tail = b;
	a->backlog_tail = &b->next;
	a->n_backlog++;
	a->backlog_bytes += len;
	return 0;
}

int control_send(struct actor *a, const Troupe__Control *c, int fd)
{
	int r = a->backlog ? ERROR_BUSY : lifeline_send(&a->lifeline, c, fd);
	if (r == ERROR_BUSY)
		r = control_defer(a, c);
	control_want(a);
	if (r == ERROR_TOO_LARGE)
		log_warn("a packet is too large for the lifeline", LOG_I("kind", c->body_case));
	return r > 0 ? 0 : r;
}

static int control_flush(struct actor *a)
{
	int r = lifeline_flush(&a->lifeline);
	while (!r && a->backlog) {
		struct backlog *b = a->backlog;
		struct arena *arena = NULL;
		Troupe__Control *c;
		if (control_decode(b->data, b->len, &arena, &c, NULL) == 0)
			r = lifeline_send(&a->lifeline, c, -1);
		arena_unref(arena);
		if (r == ERROR_BUSY) {
			r = 0;
			break;
		}
		a->backlog = b->next;
		a->n_backlog--;
		a->backlog_bytes -= b->len;
		free(b);
		r = r > 0 ? 0 : r;
	}
	control_want(a);
	return r;
}

void control_note(struct actor *a, const char *text)
{
	if (strncmp(a->note, text, sizeof a->note - 1) == 0)
		return;
	snprintf(a->note, sizeof a->note, "%s", text);
	/* Not half a character at the end. */
	for (size_t n = strlen(a->note); n && !utf8_valid((const uint8_t *)a->note, n);)
		a->note[--n] = '\0';
	a->note_new = true;
}

uint64_t control_tick(struct actor *a, uint64_t now_ms)
{
	if (!a->note_new)
		return TIME_NEVER;
	if (now_ms < a->note_at_ms)
		return a->note_at_ms;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Note n = TROUPE__NOTE__INIT;
	n.text = a->note;
	n.mailbox = (uint32_t)a->mailbox.n;
	c.body_case = TROUPE__CONTROL__BODY_NOTE;
	c.note = &n;
	control_send(a, &c, -1);
	a->note_new = false;
	a->note_at_ms = now_ms + NOTE_EVERY_MS;
	return TIME_NEVER;
}

/* --- in --- */

static int control_pong(struct actor *a, uint64_t ref, uint64_t nonce)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__PongChild pong = TROUPE__PONG_CHILD__INIT;
	pong.nonce = nonce;
	c.ref = ref;
	c.body_case = TROUPE__CONTROL__BODY_PONG;
	c.pong = &pong;
	return control_send(a, &c, -1);
}

static void control_suspect(struct actor *a, const Troupe__Suspect *s)
{
	if (s->message.len != WIRE_ID_LEN)
		return;
	struct suspect *at = NULL;
	for (unsigned i = 0; i < a->n_suspects; i++)
		if (memcmp(a->suspects[i].id, s->message.data, WIRE_ID_LEN) == 0)
			at = &a->suspects[i];
	if (!at && a->n_suspects == SUSPECTS_MAX) { /* the oldest goes */
		memmove(a->suspects, a->suspects + 1, (SUSPECTS_MAX - 1) * sizeof a->suspects[0]);
		at = &a->suspects[SUSPECTS_MAX - 1];
	} else if (!at) {
		at = &a->suspects[a->n_suspects++];
	}
	memcpy(at->id, s->message.data, WIRE_ID_LEN);
	at->deaths = s->deaths;
}

static int control_event(struct actor *a, enum event_kind kind, struct arena *arena, Troupe__Control *c)
{
	struct event *ev = event_add(a, kind);
	if (!ev)
		return -ENOMEM;
	ev->arena = arena_ref(arena);
	ev->control = c;
	return 0;
}

static int control_handle(struct actor *a, struct arena *arena, Troupe__Control *c)
{
	switch (c->body_case) {
	case TROUPE__CONTROL__BODY_PING:
		return c->ping->deep ? control_event(a, EVENT_PING, arena, c) : control_pong(a, c->ref, c->ping->nonce);
	case TROUPE__CONTROL__BODY_STOP:
		a->stopping = true;
		return control_event(a, EVENT_STOP, arena, c);
	case TROUPE__CONTROL__BODY_RELOAD:
		if (!address_valid(c->reload->address) || setup_complete(arena, c->reload))
			return 0;
		return control_event(a, EVENT_RELOAD, arena, c);
	case TROUPE__CONTROL__BODY_DOWN:
		return control_event(a, EVENT_DOWN, arena, c);
	case TROUPE__CONTROL__BODY_SUSPECT:
		control_suspect(a, c->suspect);
		return c->suspect->n_tokens ? control_event(a, EVENT_CONTROL, arena, c) : 0;
	case TROUPE__CONTROL__BODY_LOCATED:
		if ((c->ref & REF_OWN) == REF_CONN)
			conn_located(a, c->ref, c->located);
		else if ((c->ref & REF_OWN) == REF_LINK)
			link_located(a, c->ref, c->located);
		else
			return control_event(a, EVENT_CONTROL, arena, c);
		return 0;
	default: /* the behaviour's: the relayed answers of front, the events of a topic */
		return control_event(a, EVENT_CONTROL, arena, c);
	}
}

static void on_lifeline(struct loop_source *s, uint32_t events)
{
	struct actor *a = container_of(s, struct actor, lifeline_source);
	int r = events & EPOLLOUT ? control_flush(a) : 0;
	for (int i = 0; i < PACKETS_A_ROUND && r >= 0; i++) {
		struct arena *arena = NULL;
		Troupe__Control *c;
		struct error e = { 0 };
		int fd = -1;
		r = lifeline_receive(&a->lifeline, &arena, &c, &fd, &e);
		if (r == ERROR_NOT_FOUND)
			return;
		if (fd >= 0)
			close(fd);
		if (r > 0) {
			log_warn("a lifeline packet does not decode", LOG_S("why", e.text));
			continue;
		}
		if (!r)
			r = control_handle(a, arena, c);
		arena_unref(arena);
	}
	if (r < 0)
		_exit(111);
}

int control_watch(struct actor *a)
{
	return loop_add(a->loop, &a->lifeline_source, LIFELINE_FD, EPOLLIN, on_lifeline);
}

void control_fini(struct actor *a)
{
	loop_remove(&a->lifeline_source);
	while (a->backlog) {
		struct backlog *b = a->backlog;
		a->backlog = b->next;
		free(b);
	}
	lifeline_fini(&a->lifeline);
}
