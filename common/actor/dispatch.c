/* One message, or one event: may it, who handles it, what if that fails. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/actor/internal.h"
#include "common/base/fault.h"
#include "common/base/log.h"

/* Behind a handler: apply what it wants, or forget it. Positive codes are the message's affair and end here. */
static int conclude(struct actor *a, int code)
{
	struct turn *t = a->turn;
	if (code == 0)
		code = turn_message_apply(t);
	else
		turn_message_drop(t);
	return code == ERROR_STORE && t->store_failed ? 0 : code; /* the turn fails as a whole, at its end */
}

static int conclude_event(struct actor *a, int code, const char *what)
{
	if (code > 0)
		log_warn("an event's handler failed", LOG_S("event", what), LOG_S("code", error_name(code)),
		         LOG_S("why", a->turn->error_set ? a->turn->error.text : ""));
	code = conclude(a, code);
	return code > 0 ? 0 : code;
}

/* --- refusals --- */

static void failure_envelope(Troupe__Envelope *env, Troupe__Failure *f, const Troupe__Envelope *to, const struct error *e)
{
	troupe__envelope__init(env);
	troupe__failure__init(f);
	failure_from_error(f, e);
	env->kind = TROUPE__KIND__ERROR;
	env->reply_to = to->id;
	env->body_case = TROUPE__ENVELOPE__BODY_ERROR;
	env->error = f;
}

void dispatch_refuse(struct actor *a, struct conn *c, const Troupe__Envelope *env, const struct error *e)
{
	Troupe__Envelope out;
	Troupe__Failure f;
	if (env->kind != TROUPE__KIND__ASK || !c || !c->peer)
		return;
	failure_envelope(&out, &f, env, e);
	peer_send(c->peer, &out);
}

/* The answer to a message that failed: an effect of its own, behind the dropped ones. */
static int answer_error(struct actor *a, const struct message *m, const struct error *e)
{
	Troupe__Envelope out;
	Troupe__Failure f;
	if (m->env->kind != TROUPE__KIND__ASK)
		return 0;
	failure_envelope(&out, &f, m->env, e);
	int r = turn_push(a->turn, m->sender.peer, &out);
	if (r == ERROR_UNDELIVERED || r == ERROR_TOO_LARGE)
		r = 0;
	return r ? r : turn_message_apply(a->turn);
}

/* --- what a message is --- */

static enum verb_owner owner_of_type(const char *type)
{
	static const struct { const char *type; enum verb_owner owner; } types[] = {
		{ "front", OWNER_SUPERVISOR }, { "coordinator", OWNER_COORDINATOR }, { "worker", OWNER_WORKER }, { "topic", OWNER_TOPIC },
	};
	for (size_t i = 0; i < ELEMENTS(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].owner;
	return OWNER_ACTOR;
}

void handlers_check(const struct actor_def *def)
{
	for (const struct actor_handler *h = def->handlers; h && h->verb; h++) {
		const struct verb *v = verb_find(h->verb);
		assert(v && v->kind != VERB_REPLY);
		assert(v->owner == OWNER_ACTOR || v->owner == owner_of_type(def->type));
	}
}

static const struct actor_handler *handler_find(const struct actor *a, int verb)
{
	for (const struct actor_handler *h = a->def->handlers; h && h->verb; h++)
		if (h->verb == verb)
			return h;
	return NULL;
}

static int refuse_verb(struct actor *a, const struct verb *v, int number)
{
	struct error e = { 0 };
	if (v)
		error_set(&e, ERROR_NO_VERB, "%s does not answer %s", a->address, v->name);
	else
		error_set(&e, ERROR_NO_VERB, "%s does not know verb %d", a->address, number);
	return turn_fail(a->turn, &e);
}

static int refuse_role(struct actor *a, const struct message *m, const char *what, Troupe__Role least)
{
	const ProtobufCEnumValue *need = protobuf_c_enum_descriptor_get_value(&troupe__role__descriptor, (int)least);
	struct error e = { 0 };
	if (least == TROUPE__ROLE__ROLE_NONE)
		error_set(&e, ERROR_NOT_ALLOWED, "%s is between actors of the node; %s is a client", what, m->sender.subject);
	else
		error_set(&e, ERROR_NOT_ALLOWED, "%s needs the role %s, which %s does not have", what, need ? need->name : "?", m->sender.subject);
	return turn_fail(a->turn, &e);
}

/* A row of our own, so that the turn has something to commit. */
static int touch_store(struct actor *a)
{
	if (!a->store)
		return 0;
	uint64_t *wall = arena_copy(a->turn->arena, &a->turn->wall_ms, sizeof a->turn->wall_ms);
	return wall ? turn_put(a->turn, STORE_OWN, SLICE("ping", 4), SLICE(wall, sizeof *wall)) : -ENOMEM;
}

static int on_ping(struct actor *a, const struct message *m)
{
	const Troupe__Ping *p = m->env->ping;
	Troupe__Pong pong = TROUPE__PONG__INIT;
	Troupe__Envelope out = TROUPE__ENVELOPE__INIT;
	pong.data = p->data;
	pong.address = a->address;
	pong.incarnation = a->setup->incarnation;
	pong.pid = (uint32_t)getpid();
	out.body_case = TROUPE__ENVELOPE__BODY_PONG;
	out.pong = &pong;
	int r = p->deep ? touch_store(a) : 0;
	return r ? r : turn_reply(a->turn, m, &out);
}

static int on_verb(struct actor *a, const struct message *m)
{
	int number = (int)m->env->body_case;
	const struct verb *v = verb_find(number);
	const struct actor_handler *h = handler_find(a, number);
	bool own = number == TROUPE__ENVELOPE__BODY_PING || number == TROUPE__ENVELOPE__BODY_METRICS_ASK;
	if (!v || v->kind == VERB_REPLY || (!h && !own))
		return refuse_verb(a, v, number);
	if (m->sender.peer && !*m->sender.address && (v->role == TROUPE__ROLE__ROLE_NONE || m->sender.role < v->role))
		return refuse_role(a, m, v->name, v->role);
	if (h)
		return h->on(a->turn, a->state, m);
	return number == TROUPE__ENVELOPE__BODY_PING ? on_ping(a, m) : metrics_answer(a, m);
}

static int on_application(struct actor *a, const struct message *m)
{
	struct error e = { 0 };
	if (!*m->env->type && !m->env->payload.len) {
		error_set(&e, ERROR_BAD_REQUEST, "the message has no body that %s knows", a->address);
		return turn_fail(a->turn, &e);
	}
	if (!a->def->receive) {
		error_set(&e, ERROR_NO_VERB, "%s takes no application messages", a->address);
		return turn_fail(a->turn, &e);
	}
	if (m->sender.peer && !*m->sender.address && m->sender.role < TROUPE__ROLE__SUBMITTER)
		return refuse_role(a, m, "a message to an actor", TROUPE__ROLE__SUBMITTER);
	return a->def->receive(a->turn, a->state, m);
}

/* What must hold before anybody handles it. */
static int precheck(struct actor *a, const struct conn *c, const struct message *m)
{
	const Troupe__Envelope *env = m->env;
	struct error e = { 0 };
	if (env->kind == TROUPE__KIND__ASK && env->id.len != WIRE_ID_LEN)
		error_set(&e, ERROR_BAD_REQUEST, "an ASK needs an id of %u bytes", WIRE_ID_LEN);
	else if (*env->to && strcmp(env->to, a->address) != 0 && owner_of_type(a->def->type) != OWNER_SUPERVISOR)
		error_set(&e, ERROR_NO_ACTOR, "this is %s, not %s", a->address, env->to);
	else if (env->kind == TROUPE__KIND__ASK && env->deadline_ms && a->turn->now_ms - m->received_ms >= env->deadline_ms &&
	         a->turn->now_ms > m->received_ms)
		error_set(&e, ERROR_TIMEOUT, "the deadline passed before the message was handled");
	else if (env->kind == TROUPE__KIND__ASK && c && c->peer && peer_unsent(c->peer) > a->output_max) {
		error_set(&e, ERROR_BUSY, "there is no room for the answer: read what has been sent");
		error_retry(&e, 100);
	}
	for (unsigned i = 0; i < a->n_suspects; i++)
		if (env->id.len == WIRE_ID_LEN && a->suspects[i].deaths >= SUSPECT_DEATHS && memcmp(a->suspects[i].id, env->id.data, WIRE_ID_LEN) == 0) {
			error_set(&e, ERROR_INTERNAL, "this message killed its actor %u times", a->suspects[i].deaths);
			log_error("a message that kills is not handled", LOG_S("from", m->sender.subject), LOG_U("deaths", a->suspects[i].deaths));
		}
	return e.code ? turn_fail(a->turn, &e) : 0;
}

/* The answer to one of our own questions, or nobody's. */
static int on_answer(struct actor *a, const struct message *m)
{
	const Troupe__Envelope *env = m->env;
	struct ask *k = env->reply_to.len == WIRE_ID_LEN ? ask_find(&a->asks, env->reply_to.data) : NULL;
	if (!k || (k->peer != m->sender.peer && strcmp(k->to, m->sender.address) != 0))
		return 0; /* too late, or not from whom we asked */
	uint64_t cookie = k->cookie;
	ask_end(&a->asks, k);
	if (!a->def->on_answer)
		return 0;
	if (env->kind == TROUPE__KIND__REPLY)
		return a->def->on_answer(a->turn, a->state, cookie, env, NULL);
	struct error e = { 0 };
	if (env->body_case == TROUPE__ENVELOPE__BODY_ERROR)
		error_from_failure(&e, env->error);
	else
		error_set(&e, ERROR_INTERNAL, "an error without a text");
	return a->def->on_answer(a->turn, a->state, cookie, NULL, &e);
}

/* --- a message --- */

static void follow_directive(struct actor *a, const struct message *m, const struct error *e)
{
	enum directive d = a->def->directive ? a->def->directive(a->state, m, (int)e->code) : DIRECTIVE_RESUME;
	switch (d) {
	case DIRECTIVE_RESUME:
		break;
	case DIRECTIVE_RESTART:
		actor_leave(a, 111, TROUPE__REASON__REASON_EXIT, "a handler failed: %s", e->text);
		break;
	case DIRECTIVE_STOP:
		actor_leave(a, 0, TROUPE__REASON__REASON_NORMAL, "a handler failed: %s", e->text);
		break;
	case DIRECTIVE_ESCALATE:
		actor_leave(a, 111, TROUPE__REASON__REASON_GAVE_UP, "a handler failed: %s", e->text);
		break;
	}
}

static struct message message_of(struct actor *a, const struct mail *m)
{
	struct message msg = { .env = m->env, .received_ms = m->received_ms };
	if (m->conn)
		msg.sender = m->conn->sender;
	else
		msg.sender = (struct sender){ .address = a->address, .incarnation = a->setup->incarnation, .role = TROUPE__ROLE__ADMIN, .uid = getuid(),
			                      .pid = getpid(), .subject = a->address };
	return msg;
}

/* Who must hear it if this turn's commit fails. */
static int asker_note(struct turn *t, const struct message *m)
{
	struct asker *k = arena_alloc(t->arena, sizeof *k);
	if (!k)
		return -ENOMEM;
	k->next = t->askers;
	k->peer = m->sender.peer;
	memcpy(k->id.b, m->env->id.data, sizeof k->id.b);
	t->askers = k;
	return 0;
}

int dispatch_mail(struct actor *a, struct mail *mail)
{
	struct turn *t = a->turn;
	struct message m = message_of(a, mail);
	a->counters.messages++;
	turn_message_begin(t);
	if (m.env->kind == TROUPE__KIND__REPLY || m.env->kind == TROUPE__KIND__ERROR)
		return conclude_event(a, on_answer(a, &m), "answer");

	status_message(a->status, m.env->id.len == WIRE_ID_LEN ? m.env->id.data : NULL);
	fault_point("turn.after_receive");
	int code = precheck(a, mail->conn, &m);
	if (!code && m.env->kind == TROUPE__KIND__ASK)
		code = asker_note(t, &m);
	if (!code)
		code = m.env->body_case == TROUPE__ENVELOPE__BODY__NOT_SET ? on_application(a, &m) : on_verb(a, &m);
	if ((code = conclude(a, code)) <= 0)
		return code;

	struct error e;
	if (t->error_set && (int)t->error.code == code)
		e = t->error;
	else
		error_set(&e, (enum error_code)code, "%s", error_name(code));
	a->counters.failed++;
	turn_message_begin(t);
	if ((code = answer_error(a, &m, &e)) < 0)
		return code;
	follow_directive(a, &m, &e);
	return 0;
}

/* --- an event --- */

static int event_stop(struct actor *a, const struct event *e)
{
	uint64_t within_ms = e->control ? e->control->stop->within_ms : e->number;
	bool drain = e->control ? e->control->stop->drain : e->flag;
	if (a->def->on_stop)
		return a->def->on_stop(a->turn, a->state, within_ms, drain);
	actor_leave(a, 0, TROUPE__REASON__REASON_SHUTDOWN, "%s", "");
	return 0;
}

static int event_reload(struct actor *a, struct event *e)
{
	enum log_level level;
	enum log_format format;
	const Troupe__Setup *s = e->control->reload;
	if (log_level_parse(s->log_level, &level) == 0 && log_format_parse(s->log_format, &format) == 0)
		log_setup(a->address, format, level, STDERR_FILENO);
	return a->def->on_reload ? a->def->on_reload(a->turn, a->state, s) : 0;
}

/* The new Setup becomes ours only when the behaviour has let go of the old one. */
static void reload_keep(struct actor *a, struct event *e)
{
	Troupe__Setup *s = e->control->reload;
	/* What is fixed for this incarnation stays, whatever came. */
	s->incarnation = a->setup->incarnation;
	s->number = a->setup->number;
	s->address = arena_string(e->arena, a->address);
	s->socket = arena_string(e->arena, a->setup->socket);
	if (!s->address || !s->socket)
		return;
	if (!a->def->on_reload && !a->first_setup)
		a->first_setup = arena_ref(a->setup_arena); /* init may have kept pointers into it */
	arena_unref(a->setup_arena);
	a->setup_arena = arena_ref(e->arena);
	a->setup = s;
	role_forget(a);
	conn_roles(a);
}

static int event_ping(struct actor *a, const struct event *e)
{
	Troupe__Control c = TROUPE__CONTROL__INIT;
	Troupe__PongChild pong = TROUPE__PONG_CHILD__INIT;
	pong.nonce = e->control->ping->nonce;
	c.ref = e->control->ref;
	c.body_case = TROUPE__CONTROL__BODY_PONG;
	c.pong = &pong;
	int r = touch_store(a);
	return r ? r : turn_control(a->turn, &c);
}

static int event_handle(struct actor *a, struct event *e)
{
	const struct actor_def *d = a->def;
	struct turn *t = a->turn;
	switch (e->kind) {
	case EVENT_ANSWER:
		return d->on_answer ? d->on_answer(t, a->state, e->number, NULL, &e->error) : 0;
	case EVENT_DOWN:
		return d->on_down ? d->on_down(t, a->state, e->control->down) : 0;
	case EVENT_LINK:
		return d->on_link ? d->on_link(t, a->state, e->address, e->incarnation, e->number, e->flag) : 0;
	case EVENT_GONE:
		return d->on_client_gone ? d->on_client_gone(t, a->state, e->number) : 0;
	case EVENT_CONTROL:
		return d->on_control ? d->on_control(t, a->state, e->control) : 0;
	case EVENT_STOP:
		return event_stop(a, e);
	case EVENT_RELOAD:
		return event_reload(a, e);
	case EVENT_POST:
		a->n_posts--;
		return e->fn(t, a->state, e->arg);
	case EVENT_PING:
		return event_ping(a, e);
	}
	return 0;
}

int dispatch_event(struct actor *a, struct event *e)
{
	static const char *const names[] = { "answer", "down", "link", "client gone", "control", "stop", "reload", "post", "ping" };
	turn_message_begin(a->turn);
	status_message(a->status, NULL);
	int code = event_handle(a, e);
	if (code == 0 && e->kind == EVENT_RELOAD)
		reload_keep(a, e);
	return conclude_event(a, code, names[e->kind]);
}

int dispatch_wake(struct actor *a, uint64_t now_ms)
{
	if (a->wake_at_ms > now_ms)
		return 0;
	a->wake_at_ms = TIME_NEVER;
	turn_message_begin(a->turn);
	status_message(a->status, NULL);
	return conclude_event(a, a->def->on_wake ? a->def->on_wake(a->turn, a->state, now_ms) : 0, "wake");
}

int dispatch_settle(struct actor *a)
{
	if (!a->def->settle)
		return 0;
	turn_message_begin(a->turn);
	status_message(a->status, NULL);
	return conclude_event(a, a->def->settle(a->turn, a->state), "settle");
}
