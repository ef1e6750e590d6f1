/* front: the operators' door. It listens on <run_dir>/front, where every local client begins, and hands what is the supervisor's to decide to the supervisor,
 * over its lifeline: the supervisor itself has no socket that anybody could dial. The runtime has checked the caller's role against the table of verbs
 * before a handler here runs; the principal, as the kernel names it, goes along in the envelope's subject. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "actors/front/front.h"
#include "actors/front/relay.h"
#include "common/base/clock.h"
#include "common/wire/codec.h"

#define FRONT_MODE 0660
#define BUSY_RETRY_MS 50u
#define FAILURE_TEXT "the supervisor did not answer in time"

struct front { struct relay relay; };

static int front_init(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e)
{
	const Troupe__FrontSetup *fs = setup->front;
	char url[160], path[128];
	if (!fs || fs->listen[0] == '\0')
		snprintf(path, sizeof path, "%.100s/front", setup->run_dir);
	else if (snprintf(path, sizeof path, "%s", strncmp(fs->listen, "ipc://", 6) == 0 ? fs->listen + 6 : fs->listen) >= (int)sizeof path)
		return error_set(e, ERROR_CONFIG, "front's socket %.100s has a path that is too long", fs->listen);
	struct front *f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	snprintf(url, sizeof url, "ipc://%s", path);
	int code = actor_listen(a, url, fs && fs->mode ? fs->mode : FRONT_MODE, e);
	/* Without the right to give the socket away it stays our own group's: said, because then only that group can enter. */
	if (code == 0 && fs && fs->gid && chown(path, (uid_t)-1, fs->gid) < 0)
		code = error_set(e, ERROR_NOT_ALLOWED, "front's socket cannot be given to group %u (%s)", fs->gid, strerrorname_np(errno));
	if (code != 0) {
		free(f);
		return code;
	}
	*ret_state = f;
	return 0;
}

static int schedule(struct turn *t, const struct front *f)
{
	uint64_t at_ms = relay_deadline_ms(&f->relay);
	return at_ms == TIME_NEVER ? 0 : turn_wake(t, at_ms);
}

static int on_relay(struct turn *t, void *state, const struct message *m)
{
	struct front *f = state;
	struct error e;
	if (m->env->kind != TROUPE__KIND__ASK) {
		error_set(&e, ERROR_BAD_REQUEST, "what the supervisor is asked must be an ASK");
		return turn_fail(t, &e);
	}
	if (!relay_has_room(&f->relay, m->sender.peer)) {
		f->relay.refused++;
		error_set(&e, ERROR_BUSY, "too many requests wait for the supervisor");
		error_retry(&e, BUSY_RETRY_MS);
		return turn_fail(t, &e);
	}
	Troupe__Envelope env = *m->env;
	Troupe__Control c = TROUPE__CONTROL__INIT;
	env.subject = (char *)(uintptr_t)m->sender.subject;
	env.from = (char *)(uintptr_t)m->sender.address;
	c.ref = relay_next_ref(&f->relay);
	c.body_case = TROUPE__CONTROL__BODY_RELAY;
	c.relay = &env;
	if (troupe__control__get_packed_size(&c) > WIRE_CONTROL_MAX) {
		error_set(&e, ERROR_TOO_LARGE, "a request to the supervisor holds at most %u bytes", WIRE_CONTROL_MAX);
		return turn_fail(t, &e);
	}
	int code = turn_control(t, &c);
	if (code != 0)
		return code;
	struct reply_to reply = turn_reply_handle(t, m);
	relay_add(&f->relay, &reply, turn_now_ms(t));
	return schedule(t, f);
}

static int on_control(struct turn *t, void *state, const Troupe__Control *c)
{
	struct front *f = state;
	struct relay_entry entry;
	if (c->body_case != TROUPE__CONTROL__BODY_ANSWER)
		return 0;
	if (!relay_take(&f->relay, c->ref, &entry))
		return 0; /* its asker was told TIMEOUT, or has gone */
	if (c->answer->body_case == TROUPE__ENVELOPE__BODY_ERROR) {
		struct error e;
		error_from_failure(&e, c->answer->error);
		return turn_reply_error(t, &entry.reply, &e);
	}
	Troupe__Envelope env = *c->answer;
	env.to = env.from = env.subject = (char *)(uintptr_t)"";
	env.id = (ProtobufCBinaryData){ 0 };
	return turn_reply_to(t, &entry.reply, &env);
}

static int on_wake(struct turn *t, void *state, uint64_t now_ms)
{
	struct front *f = state;
	struct relay_entry entry;
	while (relay_expire(&f->relay, now_ms, &entry)) {
		struct error e;
		error_set(&e, ERROR_TIMEOUT, FAILURE_TEXT);
		error_retry(&e, 0);
		int code = turn_reply_error(t, &entry.reply, &e);
		if (code < 0)
			return code;
	}
	return schedule(t, f);
}

static int on_client_gone(struct turn *t, void *state, uint64_t peer)
{
	struct front *f = state;
	relay_forget_peer(&f->relay, peer);
	return 0;
}

static void add_sample(struct turn *t, Troupe__Metrics *out, Troupe__Sample **room, const char *name, Troupe__Sample__Type type, const char *help, uint64_t value)
{
	Troupe__Sample *s = arena_alloc(turn_arena(t), sizeof *s);
	if (!s)
		return;
	troupe__sample__init(s);
	s->name = (char *)(uintptr_t)name;
	s->type = type;
	s->help = (char *)(uintptr_t)help;
	s->value = (double)value;
	room[out->n_samples++] = s;
}

static void metrics(void *state, struct turn *t, Troupe__Metrics *out)
{
	const struct relay *r = &((struct front *)state)->relay;
	Troupe__Sample **room = arena_alloc(turn_arena(t), (out->n_samples + 4) * sizeof *room);
	if (!room)
		return;
	if (out->n_samples)
		memcpy(room, out->samples, out->n_samples * sizeof *room);
	out->samples = room;
	add_sample(t, out, room, "troupe_front_waiting", TROUPE__SAMPLE__TYPE__GAUGE, "Requests that wait for the supervisor", r->n);
	add_sample(t, out, room, "troupe_front_relayed_total", TROUPE__SAMPLE__TYPE__COUNTER, "Requests handed to the supervisor", r->relayed);
	add_sample(t, out, room, "troupe_front_refused_total", TROUPE__SAMPLE__TYPE__COUNTER, "Requests refused because too many wait", r->refused);
	add_sample(t, out, room, "troupe_front_expired_total", TROUPE__SAMPLE__TYPE__COUNTER, "Requests that the supervisor did not answer in time", r->expired);
}

static void front_fini(void *state) { free(state); }

static const struct actor_handler handlers[] = {
	{ TROUPE__ENVELOPE__BODY_WHEREIS, on_relay },
	{ TROUPE__ENVELOPE__BODY_TREE_ASK, on_relay },
	{ TROUPE__ENVELOPE__BODY_CHILD_ORDER, on_relay },
	{ TROUPE__ENVELOPE__BODY_CRASH_ASK, on_relay },
	{ TROUPE__ENVELOPE__BODY_RELOAD, on_relay },
	{ TROUPE__ENVELOPE__BODY_STATUS_ASK, on_relay },
	{ TROUPE__ENVELOPE__BODY_TAIL_ASK, on_relay },
	{ TROUPE__ENVELOPE__BODY_ADD_CHILD, on_relay },
	{ TROUPE__ENVELOPE__BODY_WHAT_IF, on_relay },
	{ 0 },
};

const struct actor_def front_def = {
	.type = "front",
	.handlers = handlers,
	.connects = true,
	.init = front_init,
	.on_control = on_control,
	.on_wake = on_wake,
	.on_client_gone = on_client_gone,
	.metrics = metrics,
	.fini = front_fini,
};
