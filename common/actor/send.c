/* The turn's calls that speak: each packs what it is given at once and appends one effect. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/wire/pack.h"

int turn_pack(struct turn *t, Troupe__Envelope *env, struct slice *ret)
{
	if (kind_costs_credit(env->kind) && !env->id.len) {
		struct id id = id_make(t->ids, t->wall_ms);
		if (!(env->id.data = arena_copy(t->arena, id.b, sizeof id.b)))
			return -ENOMEM;
		env->id.len = sizeof id.b;
	}
	size_t len;
	uint8_t *data = message_pack(t->arena, &env->base, &len);
	if (!data)
		return -ENOMEM;
	*ret = SLICE(data, len);
	return 0;
}

/* An effect that carries a packed envelope. */
static int send_effect(struct turn *t, enum effect_op op, const char *to, Troupe__Envelope *env, struct effect **ret)
{
	struct slice packed;
	size_t limit = t->actor ? t->actor->setup->limits->frame : wire_limits_default.frame;
	int r = turn_pack(t, env, &packed);
	if (r)
		return r;
	if (packed.len + 64 > limit)
		return ERROR_TOO_LARGE;
	char *copy = to ? arena_string(t->arena, to) : NULL;
	struct effect *e = to && !copy ? NULL : turn_effect(t, op);
	if (!e)
		return -ENOMEM;
	e->value = packed;
	e->to = copy;
	e->costs_credit = kind_costs_credit(env->kind);
	if (env->id.len == sizeof e->id.b)
		memcpy(e->id.b, env->id.data, sizeof e->id.b);
	*ret = e;
	return 0;
}

int turn_tell(struct turn *t, const char *to, Troupe__Envelope *env)
{
	struct effect *e;
	return address_valid(to) ? send_effect(t, OP_SEND, to, env, &e) : ERROR_BAD_REQUEST;
}

int turn_ask(struct turn *t, const char *to, Troupe__Envelope *env, uint64_t timeout_ms, uint64_t cookie)
{
	struct effect *e;
	if (!address_valid(to))
		return ERROR_BAD_REQUEST;
	if (t->actor && t->actor->asks.due.n + t->release.n + t->message.n >= ASKS_MAX)
		return ERROR_BUSY;
	env->kind = TROUPE__KIND__ASK;
	env->deadline_ms = timeout_ms;
	int r = send_effect(t, OP_ASK, to, env, &e);
	if (r)
		return r;
	e->number = timeout_ms;
	e->cookie = cookie;
	return 0;
}

int turn_push(struct turn *t, uint64_t peer, Troupe__Envelope *env)
{
	struct effect *e;
	if (t->actor && peer) {
		const struct conn *c = conn_find(t->actor, peer);
		if (!c || !c->peer)
			return ERROR_UNDELIVERED;
	}
	int r = send_effect(t, OP_SEND_PEER, NULL, env, &e);
	if (!r)
		e->number = peer;
	return r;
}

static int answer(struct turn *t, uint64_t peer, const uint8_t *id, Troupe__Envelope *env)
{
	env->kind = env->body_case == TROUPE__ENVELOPE__BODY_ERROR ? TROUPE__KIND__ERROR : TROUPE__KIND__REPLY;
	env->reply_to = (ProtobufCBinaryData){ WIRE_ID_LEN, (uint8_t *)id };
	int r = turn_push(t, peer, env);
	return r == ERROR_UNDELIVERED ? 0 : r; /* nobody is left to hear it */
}

int turn_reply(struct turn *t, const struct message *m, Troupe__Envelope *env)
{
	if (m->env->kind != TROUPE__KIND__ASK || m->env->id.len != WIRE_ID_LEN)
		return 0;
	return answer(t, m->sender.peer, m->env->id.data, env);
}

int turn_reply_to(struct turn *t, const struct reply_to *r, Troupe__Envelope *env)
{
	static const struct id none;
	return id_equal(&r->id, &none) ? 0 : answer(t, r->peer, r->id.b, env);
}

int turn_reply_error(struct turn *t, const struct reply_to *r, const struct error *e)
{
	Troupe__Failure f = TROUPE__FAILURE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	failure_from_error(&f, e);
	env.body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env.error = &f;
	return turn_reply_to(t, r, &env);
}

int turn_fail(struct turn *t, const struct error *e)
{
	assert(e->code > 0);
	t->error = *e;
	t->error_set = true;
	return e->code;
}

struct reply_to turn_reply_handle(const struct turn *t, const struct message *m)
{
	struct reply_to r = { .peer = m->sender.peer, .deadline_at_ms = TIME_NEVER };
	if (m->env->kind == TROUPE__KIND__ASK && m->env->id.len == WIRE_ID_LEN)
		memcpy(r.id.b, m->env->id.data, WIRE_ID_LEN);
	if (m->env->deadline_ms && m->env->deadline_ms < TIME_NEVER - m->received_ms)
		r.deadline_at_ms = m->received_ms + m->env->deadline_ms;
	return r;
}

/* --- not to a mailbox --- */

static int address_effect(struct turn *t, enum effect_op op, const char *address, uint64_t incarnation)
{
	if (!address_valid(address))
		return ERROR_BAD_REQUEST;
	char *copy = arena_string(t->arena, address);
	struct effect *e = copy ? turn_effect(t, op) : NULL;
	if (!e)
		return -ENOMEM;
	e->to = copy;
	e->number = incarnation;
	return 0;
}

int turn_connect(struct turn *t, const char *address)
{
	return address_effect(t, OP_CONNECT, address, 0);
}

int turn_disconnect(struct turn *t, const char *address)
{
	return address_effect(t, OP_DISCONNECT, address, 0);
}

int turn_monitor(struct turn *t, const char *address, uint64_t incarnation)
{
	return address_effect(t, OP_MONITOR, address, incarnation);
}

int turn_demonitor(struct turn *t, const char *address, uint64_t incarnation)
{
	return address_effect(t, OP_DEMONITOR, address, incarnation);
}

int turn_link(struct turn *t, const char *address, uint64_t incarnation, bool trap)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Link l = TROUPE__LINK__INIT;
	if (!address_valid(address))
		return ERROR_BAD_REQUEST;
	l.address = (char *)(uintptr_t)address;
	l.incarnation = incarnation;
	l.trap = trap;
	c.body_case = TROUPE__CONTROL__BODY_LINK;
	c.link = &l;
	return turn_control(t, &c);
}

int turn_unlink(struct turn *t, const char *address)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__Link l = TROUPE__LINK__INIT;
	if (!address_valid(address))
		return ERROR_BAD_REQUEST;
	l.address = (char *)(uintptr_t)address;
	c.body_case = TROUPE__CONTROL__BODY_UNLINK;
	c.unlink = &l;
	return turn_control(t, &c);
}

int turn_wake(struct turn *t, uint64_t at_ms)
{
	struct effect *e = turn_effect(t, OP_WAKE);
	if (!e)
		return -ENOMEM;
	e->number = at_ms;
	return 0;
}

int turn_note(struct turn *t, const char *text)
{
	char *copy = arena_string(t->arena, text);
	struct effect *e = copy ? turn_effect(t, OP_NOTE) : NULL;
	if (!e)
		return -ENOMEM;
	e->to = copy;
	return 0;
}

static int control_effect(struct turn *t, enum effect_op op, const Troupe__Control *c)
{
	size_t len = troupe__control__get_packed_size(c);
	if (len > WIRE_CONTROL_MAX)
		return ERROR_TOO_LARGE;
	if (t->actor && control_crowded(t->actor, t->n_control + 1))
		return ERROR_BUSY;
	uint8_t *data = arena_alloc(t->arena, len + 1);
	struct effect *e = data ? turn_effect(t, op) : NULL;
	if (!e)
		return -ENOMEM;
	troupe__control__pack(c, data);
	e->value = SLICE(data, len);
	t->n_control++;
	return 0;
}

int turn_emit(struct turn *t, const Troupe__Event *ev)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	c.body_case = TROUPE__CONTROL__BODY_EMIT;
	c.emit = (Troupe__Event *)ev;
	return control_effect(t, OP_EMIT, &c);
}

int turn_control(struct turn *t, const Troupe__Control *c)
{
	return control_effect(t, OP_CONTROL, c);
}

int turn_leave(struct turn *t, Troupe__Reason reason, const char *info)
{
	char *copy = arena_string(t->arena, info ? info : "");
	struct effect *e = copy ? turn_effect(t, OP_LEAVE) : NULL;
	if (!e)
		return -ENOMEM;
	e->to = copy;
	e->reason = reason;
	return 0;
}
