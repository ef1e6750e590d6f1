/* Turns without a process: the same effects and the same application, and a list of them to look at. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "common/actor/internal.h"
#include "common/actor/turn_fake.h"

struct turn_fake {
	struct turn turn;
	struct id_maker ids;
	struct effect_view *views;
	size_t room;
};

struct turn_fake *turn_fake_new(struct store *s, uint64_t now_ms, uint64_t wall_ms)
{
	struct turn_fake *f = calloc(1, sizeof *f);
	assert(f);
	id_maker_init(&f->ids, 1);
	assert(turn_init(&f->turn, s, &f->ids, now_ms, wall_ms, now_ms) == 0);
	return f;
}

struct turn_fake *turn_fake_free(struct turn_fake *f)
{
	if (!f)
		return NULL;
	turn_fini(&f->turn);
	free(f->views);
	free(f);
	return NULL;
}

struct turn *turn_fake_turn(struct turn_fake *f)
{
	return &f->turn;
}

void turn_fake_clock(struct turn_fake *f, uint64_t now_ms, uint64_t wall_ms)
{
	f->turn.now_ms = now_ms;
	f->turn.wall_ms = wall_ms;
	f->turn.boot_ms = now_ms;
}

static enum effect_kind kind_of(enum effect_op op)
{
	switch (op) {
	case OP_PUT:
		return EFFECT_PUT;
	case OP_DELETE:
		return EFFECT_DELETE;
	case OP_SEND_PEER:
	case OP_SEND:
		return EFFECT_SEND;
	case OP_ASK:
		return EFFECT_ASK;
	case OP_CONNECT:
		return EFFECT_CONNECT;
	case OP_DISCONNECT:
		return EFFECT_DISCONNECT;
	case OP_MONITOR:
		return EFFECT_MONITOR;
	case OP_DEMONITOR:
		return EFFECT_DEMONITOR;
	case OP_WAKE:
		return EFFECT_WAKE;
	case OP_EMIT:
		return EFFECT_EMIT;
	case OP_NOTE:
		return EFFECT_NOTE;
	case OP_CONTROL:
		return EFFECT_CONTROL;
	case OP_LEAVE:
		return EFFECT_LEAVE;
	}
	abort();
}

static size_t show(struct turn_fake *f, const struct effects *all, const struct effect_view **ret)
{
	size_t n = 0;
	if (all->n > f->room) {
		f->room = all->n;
		f->views = realloc(f->views, f->room * sizeof *f->views);
		assert(f->views);
	}
	for (const struct effect *e = all->head; e; e = e->next) {
		struct effect_view *v = &f->views[n++];
		*v = (struct effect_view){ .kind = kind_of(e->op), .to = e->to, .table = e->table, .key = e->key, .value = e->value, .number = e->number };
		ProtobufCMessage *m;
		if (e->op == OP_SEND_PEER)
			v->peer = e->number;
		if (e->op == OP_SEND || e->op == OP_SEND_PEER || e->op == OP_ASK) {
			assert(message_decode(&troupe__envelope__descriptor, e->value.data, e->value.len, f->turn.arena, &m, NULL) == 0);
			v->env = (const Troupe__Envelope *)m;
		}
		if (e->op == OP_ASK)
			v->number = e->cookie;
		if (e->op == OP_LEAVE)
			v->number = (uint64_t)e->reason;
	}
	*ret = f->views;
	return n;
}

size_t turn_fake_effects(struct turn_fake *f, const struct effect_view **ret)
{
	return show(f, &f->turn.message, ret);
}

size_t turn_fake_released(struct turn_fake *f, const struct effect_view **ret)
{
	return show(f, &f->turn.release, ret);
}

const struct error *turn_fake_error(const struct turn_fake *f)
{
	return f->turn.error_set ? &f->turn.error : NULL;
}

int turn_fake_next(struct turn_fake *f)
{
	int r = turn_message_apply(&f->turn);
	turn_message_begin(&f->turn);
	return r;
}

void turn_fake_undo(struct turn_fake *f)
{
	turn_message_drop(&f->turn);
	turn_message_begin(&f->turn);
}

int turn_fake_commit(struct turn_fake *f)
{
	int r = turn_message_apply(&f->turn);
	if (!r && f->turn.txn)
		r = store_commit(steal(&f->turn.txn));
	turn_fake_drop(f);
	return r;
}

void turn_fake_drop(struct turn_fake *f)
{
	turn_end(&f->turn);
	turn_start(&f->turn, f->turn.now_ms, f->turn.wall_ms, f->turn.now_ms);
}
