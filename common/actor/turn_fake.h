#pragma once
/* Turns without a process: a test calls a behaviour's handler and looks at its effects. Failing calls here are asserts: it is for tests. */
#include "common/actor/actor.h"

struct turn_fake;
enum effect_kind {
	EFFECT_PUT, EFFECT_DELETE, EFFECT_SEND, EFFECT_ASK, EFFECT_CONNECT, EFFECT_MONITOR, EFFECT_DEMONITOR, EFFECT_WAKE, EFFECT_EMIT, EFFECT_NOTE,
	EFFECT_CONTROL, EFFECT_LEAVE, EFFECT_DISCONNECT
};
/* number: the incarnation of a MONITOR, the time of a WAKE, the cookie of an ASK, the reason of a LEAVE. to: an address, or the text of NOTE and LEAVE.
 * value: of a row, or the packed Control of EMIT and CONTROL. */
struct effect_view { enum effect_kind kind; const char *to; uint64_t peer; const Troupe__Envelope *env; unsigned table; struct slice key, value; uint64_t number; };

struct turn_fake *turn_fake_new(struct store *s /* or NULL */, uint64_t now_ms, uint64_t wall_ms);
struct turn_fake *turn_fake_free(struct turn_fake *f);
struct turn *turn_fake_turn(struct turn_fake *f);
void turn_fake_clock(struct turn_fake *f, uint64_t now_ms, uint64_t wall_ms);
size_t turn_fake_effects(struct turn_fake *f, const struct effect_view **ret); /* of the message so far; valid until commit or drop */
int turn_fake_commit(struct turn_fake *f);   /* applies the puts and deletes to the store and forgets the effects, and what lay in the turn's arena */
void turn_fake_drop(struct turn_fake *f);

/* A turn of several messages, as in a process: after each handler next or undo, at the end commit or drop. */
int turn_fake_next(struct turn_fake *f);     /* its rows go to the turn's transaction, the rest waits for the commit */
void turn_fake_undo(struct turn_fake *f);    /* a handler that refused */
/* What would leave behind the commit, in order, without rows; valid until commit or drop. */
size_t turn_fake_released(struct turn_fake *f, const struct effect_view **ret);
const struct error *turn_fake_error(const struct turn_fake *f); /* of turn_fail since the last next, undo, commit or drop; NULL: none */
