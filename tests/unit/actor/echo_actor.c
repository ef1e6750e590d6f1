/* An actor for the tests of the runtime: it does what each message's type says. It is of type coordinator, so that verbs have handlers here. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/actor/actor.h"
#include "common/base/cleanup.h"

struct echo {
	struct reply_to waiting; /* of a question passed on, or of a wake */
	struct reply_to monitor;
	uint64_t handled, turns, links, downs, gone;
	bool stop_asked;
};

static int say(struct turn *t, const struct reply_to *r, const char *type, struct slice payload)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.type = (char *)type;
	env.payload = (ProtobufCBinaryData){ payload.len, (uint8_t *)payload.data };
	return turn_reply_to(t, r, &env);
}

static int say_number(struct turn *t, const struct reply_to *r, const char *type, uint64_t n)
{
	char *text = arena_printf(turn_arena(t), "%llu", (unsigned long long)n);
	return text ? say(t, r, type, SLICE_STR(text)) : -ENOMEM;
}

static int fail(struct turn *t, enum error_code code, const char *text)
{
	struct error e = { 0 };
	error_set(&e, code, "%s", text);
	return turn_fail(t, &e);
}

/* "key=value" */
static int put(struct turn *t, struct slice p)
{
	const char *eq = memchr(p.data, '=', p.len);
	if (!eq)
		return fail(t, ERROR_BAD_REQUEST, "no =");
	size_t key = (size_t)(eq - (const char *)p.data);
	return turn_put(t, 0, SLICE(p.data, key), SLICE(eq + 1, p.len - key - 1));
}

static int pass_on(struct turn *t, struct echo *s, struct slice to)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	char *address = arena_printf(turn_arena(t), "%.*s", (int)to.len, (const char *)to.data);
	env.type = (char *)"asked";
	return address ? turn_ask(t, address, &env, 700, 77) : -ENOMEM;
}

static int receive(struct turn *t, void *state, const struct message *m)
{
	struct echo *s = state;
	const char *what = m->env->type;
	struct slice p = SLICE(m->env->payload.data, m->env->payload.len), v;
	struct reply_to r = turn_reply_handle(t, m);
	s->handled++;
	if (strcmp(what, "echo") == 0)
		return say(t, &r, m->env->subject, p);
	if (strcmp(what, "from") == 0)
		return say(t, &r, m->env->from, SLICE_STR(m->sender.address));
	if (strcmp(what, "put") == 0) {
		int code = put(t, p);
		return code ? code : say(t, &r, "put", p);
	}
	if (strcmp(what, "put-and-fail") == 0) {
		int code = put(t, p);
		if (!code)
			code = say(t, &r, "never", p);
		return code ? code : fail(t, ERROR_CONFLICT, "as it was told");
	}
	if (strcmp(what, "get") == 0) {
		int code = turn_get(t, 0, p, &v);
		return code ? code : say(t, &r, "value", v);
	}
	if (strcmp(what, "handled") == 0)
		return say_number(t, &r, "handled", s->handled);
	if (strcmp(what, "gone") == 0)
		return say_number(t, &r, "gone", s->gone);
	if (strcmp(what, "links") == 0)
		return say_number(t, &r, "links", s->links);
	if (strcmp(what, "downs") == 0)
		return say_number(t, &r, "downs", s->downs);
	if (strcmp(what, "pass-on") == 0) {
		s->waiting = r;
		return pass_on(t, s, p);
	}
	if (strcmp(what, "connect") == 0) {
		char *address = arena_printf(turn_arena(t), "%.*s", (int)p.len, (const char *)p.data);
		return address ? turn_connect(t, address) : -ENOMEM;
	}
	if (strcmp(what, "wake") == 0) {
		s->waiting = r;
		return turn_wake(t, turn_now_ms(t) + 50);
	}
	if (strcmp(what, "monitor") == 0) {
		s->monitor = r;
		return turn_monitor(t, "worker:p/9", 4);
	}
	if (strcmp(what, "note") == 0)
		return turn_note(t, "a line for people");
	if (strcmp(what, "silent") == 0)
		return 0;
	if (strcmp(what, "spin") == 0) { /* so that a deadline passes while others wait */
		usleep(200000);
		return 0;
	}
	if (strcmp(what, "crash") == 0)
		raise(SIGKILL);
	if (strcmp(what, "fatal") == 0)
		return -EIO;
	if (strcmp(what, "leave") == 0)
		return turn_leave(t, TROUPE__REASON__REASON_NORMAL, "asked to");
	if (strcmp(what, "restart") == 0) {
		int code = put(t, p);
		return code ? code : fail(t, ERROR_CORRUPT, "begin again");
	}
	return fail(t, ERROR_NOT_FOUND, "no such word");
}

static int on_answer(struct turn *t, void *state, uint64_t cookie, const Troupe__Envelope *env, const struct error *e)
{
	struct echo *s = state;
	if (cookie != 77)
		return -EINVAL;
	return e ? turn_reply_error(t, &s->waiting, e) : say(t, &s->waiting, "answered", SLICE(env->payload.data, env->payload.len));
}

static int on_wake(struct turn *t, void *state, uint64_t now_ms)
{
	struct echo *s = state;
	return say(t, &s->waiting, "woke", SLICE("", 0));
}

static int on_down(struct turn *t, void *state, const Troupe__Down *d)
{
	struct echo *s = state;
	return say_number(t, &s->monitor, d->address, d->incarnation);
}

static int on_link(struct turn *t, void *state, const char *address, uint64_t incarnation, uint64_t peer, bool up)
{
	struct echo *s = state;
	s->links += up;
	if (!up)
		s->downs++;
	return 0;
}

static int on_client_gone(struct turn *t, void *state, uint64_t peer)
{
	((struct echo *)state)->gone++;
	return 0;
}

static int on_attach(struct turn *t, void *state, const struct message *m)
{
	struct reply_to r = turn_reply_handle(t, m);
	return say(t, &r, "attached", SLICE_STR(m->sender.address));
}

static int on_get(struct turn *t, void *state, const struct message *m)
{
	struct reply_to r = turn_reply_handle(t, m);
	return say(t, &r, "got", SLICE("", 0));
}

static enum directive on_failure(void *state, const struct message *m, int code)
{
	return code == ERROR_CORRUPT ? DIRECTIVE_RESTART : DIRECTIVE_RESUME;
}

static int init(struct actor *a, const Troupe__Setup *setup, void **ret_state, struct error *e)
{
	static struct echo state;
	for (size_t i = 0; i < setup->n_settings; i++)
		if (strcmp(setup->settings[i]->key, "refuse") == 0)
			return error_set(e, ERROR_CONFIG, "the setting refuse is set");
	*ret_state = &state;
	return 0;
}

static const char *const tables[] = { "rows", NULL };
static const struct actor_handler handlers[] = {
	{ TROUPE__ENVELOPE__BODY_ATTACH, on_attach },
	{ TROUPE__ENVELOPE__BODY_GET, on_get },
	{ TROUPE__ENVELOPE__BODY_PURGE, on_get },
	{ 0 },
};
static const struct actor_def def = {
	.type = "coordinator",
	.tables = tables,
	.store_version = 1,
	.handlers = handlers,
	.connects = true,
	.init = init,
	.receive = receive,
	.on_answer = on_answer,
	.on_wake = on_wake,
	.on_down = on_down,
	.on_link = on_link,
	.on_client_gone = on_client_gone,
	.directive = on_failure,
};

int main(int argc, char **argv)
{
	return actor_main(&def, argc, argv);
}
