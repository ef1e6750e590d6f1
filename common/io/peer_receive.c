#include <stdio.h>
#include <string.h>

#include "common/io/peer_internal.h"

static void up(struct peer *p)
{
	p->state = PEER_UP;
	p->was_up = true;
	if (p->hub->events->up)
		p->hub->events->up(p->hub->ctx, p);
}

static bool version_fits(struct peer *p, uint32_t version)
{
	if (version == WIRE_VERSION)
		return true;
	char text[96];
	snprintf(text, sizeof(text), "protocol version %u is not spoken here, only %u", version, WIRE_VERSION);
	peer_end(p, ERROR_VERSION, text, FAREWELL_REFUSAL);
	return false;
}

static void on_hello(struct peer *p, const Troupe__Frame *f)
{
	const struct peer_config *config = &p->hub->config;
	const Troupe__Hello *hello = f->hello;
	if (!version_fits(p, hello->version))
		return;
	if (f->n_envelopes > 0) {
		peer_end(p, ERROR_BAD_REQUEST, "a dialler sends nothing but Hello before Welcome", FAREWELL_REFUSAL);
		return;
	}
	snprintf(p->address, sizeof(p->address), "%s", hello->address);
	p->incarnation = hello->incarnation;
	p->credit = hello->credit ? hello->credit : config->credit;
	p->window = p->window_left = config->credit;
	if (peer_send_welcome(p))
		peer_end(p, ERROR_BUSY, "no memory for a connection", FAREWELL_NONE);
	else
		up(p);
}

static void on_welcome(struct peer *p, const Troupe__Welcome *welcome)
{
	if (!version_fits(p, welcome->version))
		return;
	snprintf(p->address, sizeof(p->address), "%s", welcome->address);
	p->incarnation = welcome->incarnation;
	p->credit = welcome->credit;
	p->window = p->window_left = p->hub->config.credit;
	up(p);
}

static void on_anonymous(struct peer *p)
{
	p->anonymous = true;
	p->credit = p->window = p->window_left = p->hub->config.anonymous_credit;
	up(p);
}

/* The first frame. Afterwards the peer is up, or ends. */
static void greet(struct peer *p, const Troupe__Frame *f)
{
	if (p->dialled && f->welcome)
		on_welcome(p, f->welcome);
	else if (p->dialled)
		peer_end(p, ERROR_BAD_REQUEST, "the first frame of the other end is no Welcome", FAREWELL_REFUSAL);
	else if (f->hello)
		on_hello(p, f);
	else
		on_anonymous(p);
}

static bool costs_credit(Troupe__Kind kind)
{
	return kind != TROUPE__KIND__REPLY && kind != TROUPE__KIND__ERROR && kind != TROUPE__KIND__SIGNAL;
}

static void on_envelopes(struct peer *p, struct arena *a, const Troupe__Frame *f)
{
	uint32_t cost = 0;
	for (size_t i = 0; i < f->n_envelopes; i++) {
		Troupe__Envelope *env = f->envelopes[i];
		cost += costs_credit(env->kind);
		if (!*env->to)
			env->to = f->to;
		if (!*env->from)
			env->from = f->from;
	}
	if (cost > p->window_left) {
		peer_end(p, ERROR_BUSY, "more messages than credit was given for", FAREWELL_REFUSAL);
		return;
	}
	p->window_left -= cost;
	if (p->hub->events->envelopes)
		p->hub->events->envelopes(p->hub->ctx, p, a, f->envelopes, f->n_envelopes);
}

static void on_credit(struct peer *p, uint32_t n)
{
	if (__builtin_add_overflow(p->credit, n, &p->credit))
		p->credit = UINT32_MAX;
	peer_room(p);
}

/* The other end says why it leaves. It may be rude, or 0: then it is no error. */
static void on_bye(struct peer *p, const Troupe__Bye *bye)
{
	peer_end(p, bye->code <= INT32_MAX ? (enum error_code)bye->code : ERROR_INTERNAL, *bye->text ? bye->text : "the other end said goodbye", FAREWELL_NONE);
}

static void on_parts(struct peer *p, struct arena *a, const Troupe__Frame *f)
{
	bool greeted = p->state == PEER_UP;
	if (!greeted && !(p->dialled && f->bye))
		greet(p, f);
	else if (greeted && (f->hello || f->welcome))
		peer_end(p, ERROR_BAD_REQUEST, "a second greeting", FAREWELL_REFUSAL);
	/* First, so that who answers these envelopes with others finds the credit that came with them. */
	if (p->state == PEER_UP && f->credit)
		on_credit(p, f->credit->envelopes);
	if (p->state == PEER_UP && f->n_envelopes > 0)
		on_envelopes(p, a, f);
	if (p->state == PEER_UP && (f->ack || f->nack || f->probe) && p->hub->events->parts)
		p->hub->events->parts(p->hub->ctx, p, a, f);
	if (p->state != PEER_ENDING && f->bye)
		on_bye(p, f->bye);
}

void peer_receive(struct peer *p, const uint8_t *data, size_t len)
{
	if (p->state == PEER_ENDING)
		return;
	struct arena *a;
	Troupe__Frame *f;
	struct error e;
	int r = frame_decode(data, len, &p->hub->config.wire, &a, &f, &e);
	if (r > 0)
		peer_end(p, e.code, e.text, FAREWELL_REFUSAL);
	else if (r < 0)
		peer_end(p, ERROR_BUSY, "no memory for a frame", FAREWELL_NONE);
	if (r)
		return;
	on_parts(p, a, f);
	arena_unref(a);
}
