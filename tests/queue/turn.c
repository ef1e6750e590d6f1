/* Turns of the coordinator: what is said to it, and everything that is due then. */
#include <stdlib.h>
#include <string.h>
#include "tests/queue/play.h"

#define TURNS_A_MOMENT 200u

struct act *act_add(struct acts *a, enum act_kind kind)
{
	if (a->n == ACTS_MAX)
		wrong("more than %u messages in a turn", ACTS_MAX);
	a->all[a->n] = (struct act){ .kind = kind };
	return &a->all[a->n++];
}

void act_tell(struct play *p, struct acts *a, struct life *l, Troupe__Envelope *env)
{
	struct act *x = act_add(a, ACT_MESSAGE);
	x->life = l;
	x->env = env;
	env->kind = TROUPE__KIND__SIGNAL;
}

void act_attach(struct acts *a, struct life *l)
{
	struct act *x = act_add(a, ACT_MESSAGE);
	x->life = l;
	x->attaches = true;
}

struct act *act_ask(struct play *p, struct acts *a, struct client *c, Troupe__Envelope *env)
{
	struct act *x = act_add(a, ACT_MESSAGE);
	x->client = c;
	x->env = env;
	key_u64(x->id, ++p->next_question);
	env->kind = TROUPE__KIND__ASK;
	env->id = (ProtobufCBinaryData){ sizeof x->id, arena_copy(p->arena, x->id, sizeof x->id) };
	return x;
}

Troupe__Envelope *attach_of(struct play *p, struct life *l, bool update)
{
	Troupe__Envelope *env = arena_alloc(p->arena, sizeof *env);
	Troupe__Attach *m = arena_alloc(p->arena, sizeof *m);
	size_t n = 1;
	MUST(env && m);
	troupe__envelope__init(env);
	troupe__attach__init(m);
	env->kind = TROUPE__KIND__SIGNAL;
	env->body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env->attach = m;
	m->queues = l->queues;
	m->n_queues = l->n_queues;
	m->tags = l->tags;
	m->n_tags = l->n_tags;
	m->resources = l->resources;
	m->n_resources = l->n_resources;
	m->slots = l->slots;
	m->pool = (char *)l->pool;
	m->mode = (char *)l->mode;
	m->broken = l->broken ? (char *)l->broken : m->broken;
	if ((m->update = update))
		return env;
	for (const struct held *h = l->held; h; h = h->next)
		n++;
	MUST((m->held = arena_alloc(p->arena, n * sizeof *m->held)) && (m->outcomes = arena_alloc(p->arena, n * sizeof *m->outcomes)));
	for (struct held *h = l->held; h; h = h->next) {
		if (h->outcome) {
			m->outcomes[m->n_outcomes++] = h->outcome;
			continue;
		}
		Troupe__Held *x = arena_alloc(p->arena, sizeof *x);
		MUST(x);
		troupe__held__init(x);
		x->token = h->token;
		x->id = (ProtobufCBinaryData){ sizeof h->task->id.b, h->task->id.b };
		x->started = h->begun;
		if (!h->killed)
			m->held[m->n_held++] = x;
	}
	return env;
}

/* --- one turn --- */

static void deliver_message(struct play *p, struct act *x)
{
	size_t len;
	x->refused = x->answered = false; /* as far as anybody remembers */
	if (x->attaches && x->life->attached)
		return; /* it came back by itself */
	if (x->pending && memcmp(x->pending->id, x->id, sizeof x->id) != 0)
		return; /* its client has asked again */
	if (x->token && !held_find(x->life, x->token))
		return; /* said when it came back */
	if (x->attaches) {
		x->life->peer = ++p->next_peer;
		x->env = attach_of(p, x->life, false);
	}
	struct who who = x->life ? who_of_life(x->life) : who_of_client(x->client);
	if (!who.peer)
		wrong("%s has no connection", x->life->name);
	uint8_t *data = stage_pack(x->env, &len);
	x->refused = stage_message(p->s, &who, data, len) != 0;
	free(data);
	if (x->refused)
		x->refusal = p->s->refusal;
	else if (x->attaches)
		x->life->attached = true;
}

static void deliver(struct play *p, struct act *x)
{
	struct life *l = x->life;
	switch (x->kind) {
	case ACT_MESSAGE:
		deliver_message(p, x);
		break;
	case ACT_DOWN:
		if (!l->monitored || l->down_told)
			break;
		l->down_told = true;
		l->down.address = (char *)l->address;
		l->down.incarnation = l->incarnation;
		l->down.proof = l->proven ? TROUPE__PROOF__PROOF_EMPTY : TROUPE__PROOF__PROOF_PENDING;
		stage_down(p->s, &l->down);
		if (l->proven)
			l->monitored = false;
		break;
	case ACT_LINK_DOWN:
		stage_link(p->s, &(struct who){ .peer = x->peer, .address = l->address, .incarnation = l->incarnation }, false);
		break;
	case ACT_GONE:
		stage_gone(p->s, x->peer);
		break;
	case ACT_RELOAD:
		stage_reload(p->s);
		break;
	}
}

static void turn_begin(struct play *p, struct acts *a)
{
	stage_begin(p->s);
	stage_wake(p->s);
	for (size_t i = 0; a && i < a->n; i++)
		deliver(p, &a->all[i]);
}

/* A worker begins what it has room for, and says so. true: somebody did. */
static bool some_begin(struct play *p)
{
	for (struct life *l = p->lives; l; l = l->next) {
		Troupe__Started m = TROUPE__STARTED__INIT;
		uint64_t tokens[64];
		uint32_t busy = 0;
		for (const struct held *h = l->held; h; h = h->next)
			busy += h->begun && !h->outcome;
		if (!l->alive || !l->attached || l->lazy)
			continue;
		m.tokens = tokens;
		for (struct held *h = l->held; h && busy < l->slots && m.n_tokens < 64; h = h->next)
			if (!h->begun && !h->outcome && !h->killed) {
				h->begun = true;
				tokens[m.n_tokens++] = h->token;
				busy++;
			}
		if (!m.n_tokens)
			continue;
		struct acts a = { 0 };
		ENVELOPE(env, started, STARTED, &m);
		act_tell(p, &a, l, &env);
		p->questioning = true;
		turn_begin(p, &a);
		stage_commit(p->s);
		see_commit(p, NULL, false);
		p->questioning = false;
		if (p->s->n_sent)
			wrong("a task had begun, and that made the coordinator say something");
		return true;
	}
	return false;
}

static void turn_end(struct play *p, struct acts *a)
{
	unsigned n = 0;
	stage_commit(p->s);
	see_commit(p, a, false);
	while (p->s->wake_at_ms <= p->s->now_ms || some_begin(p)) {
		if (++n > TURNS_A_MOMENT)
			wrong("%u turns, and it still wants another at once", n);
		if (p->s->wake_at_ms > p->s->now_ms)
			continue;
		turn_begin(p, NULL);
		stage_commit(p->s);
		see_commit(p, NULL, false);
	}
}

void turn_do(struct play *p, struct acts *a)
{
	turn_begin(p, a);
	turn_end(p, a);
}

void unasked(struct play *p, bool on)
{
	p->unasked = on;
	for (struct life *l = p->lives; l && on; l = l->next)
		l->was_attached = l->attached;
}

void turn_cut(struct play *p, struct acts *a)
{
	struct rng rng = p->s->c->rng;
	turn_begin(p, a);
	p->s->c->rng = rng; /* its draws never were, either */
	world_crash(p);
	world_back(p, true);
}

void turn_mute(struct play *p, struct acts *a)
{
	turn_begin(p, a);
	stage_commit(p->s);
	see_commit(p, a, true);
	world_crash(p);
	world_back(p, true);
}

/* Nobody asks again when his time is over. */
static bool somebody_gives_up(const struct play *p)
{
	for (const struct pending *q = p->pending; q; q = q->next)
		if (!q->done && q->until_ms <= p->s->now_ms)
			return true;
	return false;
}

void turns_wait(struct play *p, uint64_t ms)
{
	uint64_t begin_ms = p->s->now_ms, end_ms = begin_ms + ms;
	see_moment(p, 0);
	size_t n = p->n_items;
	while (p->s->wake_at_ms <= end_ms) {
		if (p->s->wake_at_ms > p->s->now_ms)
			stage_clock(p->s, p->s->wake_at_ms - p->s->now_ms);
		if (p->how == CUT && p->cut_at_ms != p->s->now_ms && !somebody_gives_up(p)) {
			p->cut_at_ms = p->s->now_ms;
			unasked(p, true);
			turn_cut(p, NULL);
			unasked(p, false);
		} else {
			turn_do(p, NULL);
		}
		see_moment(p, p->s->now_ms == end_ms && p->n_items == n ? 0 : p->s->now_ms - begin_ms); /* what happened at its end alone needs no time */
	}
	stage_clock(p->s, end_ms - p->s->now_ms);
}

const Troupe__Envelope *question(struct play *p, struct client *c, Troupe__Envelope *env)
{
	const Troupe__Envelope *answer = NULL;
	struct acts a = { 0 };
	struct act *x = act_ask(p, &a, c ? c : client_named(p, NULL), env);
	p->questioning = true;
	turn_begin(p, &a);
	stage_commit(p->s);
	see_commit(p, NULL, false);
	p->questioning = false;
	if (x->refused)
		return NULL;
	for (size_t i = 0; i < p->s->n_sent; i++) {
		answer = stage_read(p->s, &p->s->sent[i]);
		if (answer->reply_to.len != sizeof x->id || memcmp(answer->reply_to.data, x->id, sizeof x->id) != 0)
			wrong("a question of a scenario made the coordinator say something to somebody else");
	}
	if (!answer)
		wrong("a question of a scenario was not answered");
	return answer;
}
