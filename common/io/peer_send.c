#include <string.h>

#include "common/io/peer_internal.h"

#define FRAME_CUT (128u * 1024)     /* a frame is ended here, so that the other end can begin with it */
#define WRITER_KEEP (1024u * 1024)  /* a larger buffer of a frame is given back */

void peer_dirty(struct peer *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	TAILQ_INSERT_TAIL(&p->hub->dirty, p, dirty_entry);
}

/* --- single frames of the greeting and the end --- */

static int frame_send(struct peer *p, const Troupe__Frame *f)
{
	int r = frame_add_parts(&p->out, f);
	if (!r)
		r = channel_send_now(p->channel, p->out.data, p->out.len);
	frame_writer_reset(&p->out);
	return r;
}

int peer_send_hello(struct peer *p)
{
	struct peer_config *config = &p->hub->config;
	Troupe__Hello hello = TROUPE__HELLO__INIT;
	hello.version = WIRE_VERSION;
	hello.address = config->address;
	hello.incarnation = config->incarnation;
	hello.credit = config->credit;
	hello.program = config->program;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.hello = &hello;
	return frame_send(p, &f);
}

int peer_send_welcome(struct peer *p)
{
	struct peer_config *config = &p->hub->config;
	Troupe__Welcome welcome = TROUPE__WELCOME__INIT;
	welcome.version = WIRE_VERSION;
	welcome.credit = p->window;
	welcome.address = config->address;
	welcome.incarnation = config->incarnation;
	welcome.node = config->node;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.welcome = &welcome;
	return frame_send(p, &f);
}

void peer_send_bye(struct peer *p, enum error_code code, const char *text, bool with_failure)
{
	if (p->out.len > 0)
		(void)channel_send_now(p->channel, p->out.data, p->out.len); /* what was being built goes first, in a frame of its own */
	frame_writer_reset(&p->out);
	Troupe__Bye bye = TROUPE__BYE__INIT;
	bye.code = code;
	bye.text = (char *)text;
	struct error e = { .code = code };
	strncpy(e.text, text, sizeof(e.text) - 1);
	Troupe__Failure failure;
	failure_from_error(&failure, &e);
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT, *envelopes[] = { &env };
	env.kind = TROUPE__KIND__ERROR;
	env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env.error = &failure;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.bye = &bye;
	f.envelopes = envelopes;
	f.n_envelopes = with_failure;
	(void)frame_send(p, &f); /* a courtesy: without memory the other end sees the connection end */
}

/* --- envelopes --- */

static int busy(struct peer *p)
{
	p->refused = true;
	return ERROR_BUSY;
}

/* Whether an envelope may be queued at all. */
static int admit(struct peer *p, bool costs_credit)
{
	if (p->state != PEER_UP)
		return ERROR_STATE;
	size_t unsent = peer_unsent(p), most = p->hub->config.output_max;
	if (unsent > 2 * most) {
		peer_end(p, ERROR_BUSY, "too much unsent output: the other end does not read", FAREWELL_NONE);
		return ERROR_STATE;
	}
	if (costs_credit && (p->credit == 0 || unsent > most))
		return busy(p);
	return 0;
}

/* One part has been written behind the first `before` bytes of the frame being built. If it is too much for one frame, those bytes leave as one and
 * the part begins the next; if it is too large by itself, it is taken back. */
static int fit(struct peer *p, size_t before, size_t n_before)
{
	struct frame_writer *w = &p->out;
	const struct wire_limits *limits = &p->hub->config.wire;
	size_t cut = limits->frame < FRAME_CUT ? limits->frame : FRAME_CUT;
	size_t added = w->len - before, n_added = w->n_envelopes - n_before;
	if (added > limits->frame || n_added > limits->envelopes) {
		w->len = before;
		w->n_envelopes = n_before;
		return ERROR_TOO_LARGE;
	}
	if (before == 0 || (w->len <= cut && w->n_envelopes <= limits->envelopes))
		return 0;
	int r = channel_send(p->channel, w->data + w->head, before);
	if (r) {
		w->len = before;
		w->n_envelopes = n_before;
		return r;
	}
	memmove(w->data + w->head, w->data + w->head + before, added);
	w->len = added;
	w->n_envelopes = n_added;
	return 0;
}

static int queue(struct peer *p, bool costs_credit, size_t before, size_t n_before, int r)
{
	if (!r)
		r = fit(p, before, n_before);
	if (r)
		return r;
	p->credit -= costs_credit;
	peer_dirty(p);
	return 0;
}

int peer_send(struct peer *p, const Troupe__Envelope *env)
{
	bool costs = env->kind != TROUPE__KIND__REPLY && env->kind != TROUPE__KIND__ERROR && env->kind != TROUPE__KIND__SIGNAL;
	int r = admit(p, costs);
	if (r)
		return r;
	size_t before = p->out.len, n_before = p->out.n_envelopes;
	return queue(p, costs, before, n_before, frame_add_envelope(&p->out, env));
}

int peer_send_packed(struct peer *p, bool costs_credit, const uint8_t *envelope, size_t len)
{
	int r = admit(p, costs_credit);
	if (r)
		return r;
	if (len > p->hub->config.wire.frame)
		return ERROR_TOO_LARGE;
	size_t before = p->out.len, n_before = p->out.n_envelopes;
	return queue(p, costs_credit, before, n_before, frame_add_packed(&p->out, envelope, len));
}

int peer_send_parts(struct peer *p, const Troupe__Frame *parts)
{
	int r = admit(p, false);
	if (r)
		return r;
	size_t before = p->out.len, n_before = p->out.n_envelopes;
	return queue(p, false, before, n_before, frame_add_parts(&p->out, parts));
}

/* --- flow --- */

void peer_grant(struct peer *p, uint32_t n)
{
	uint32_t used = p->window - p->window_left - p->granted;
	p->granted += n < used ? n : used; /* messages that cost nothing give nothing back */
	if (p->state == PEER_UP && p->granted > 0 && p->granted >= p->window / 4)
		peer_dirty(p);
}

static void credit_return(struct peer *p)
{
	if (p->granted == 0 || p->granted < p->window / 4)
		return;
	Troupe__Credit credit = TROUPE__CREDIT__INIT;
	credit.envelopes = p->granted;
	Troupe__Frame f = TROUPE__FRAME__INIT;
	f.credit = &credit;
	if (peer_send_parts(p, &f) == 0) {
		p->window_left += p->granted;
		p->granted = 0;
	}
}

void peer_room(struct peer *p)
{
	if (p->state != PEER_UP || !p->refused || p->credit == 0 || peer_unsent(p) > p->hub->config.output_max)
		return;
	p->refused = false;
	if (p->hub->events->room)
		p->hub->events->room(p->hub->ctx, p);
}

static void peer_flush(struct peer *p)
{
	if (p->state != PEER_UP)
		return;
	credit_return(p);
	if (p->state != PEER_UP || p->out.len == 0)
		return;
	/* Without memory the frame stays as it is and is tried again with the next flush. */
	if (channel_send_now(p->channel, p->out.data, p->out.len) != 0)
		return;
	if (p->out.room > WRITER_KEEP)
		frame_writer_fini(&p->out);
	else
		frame_writer_reset(&p->out);
	channel_flush(p->channel);
}

void peer_hub_flush(struct peer_hub *h)
{
	struct peer *p;
	TAILQ_HEAD(, peer) now = TAILQ_HEAD_INITIALIZER(now);
	TAILQ_CONCAT(&now, &h->dirty, dirty_entry);
	while ((p = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, p, dirty_entry);
		p->dirty = false;
		peer_flush(p);
		if (p->out.len > 0)
			peer_dirty(p);
	}
}
