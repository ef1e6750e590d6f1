/* Clients: they submit, cancel, retry, pause, resume, ask; and send again what was not answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/wire/codec.h"
#include "tests/sim/sim.h"

static char *const names[] = { (char *)"a", (char *)"b" };

/* The first byte of an id says what is asked, so that the answer is understood. */
enum { ASK_SUBMIT = 1, ASK_CANCEL, ASK_OTHER };

static void put(struct sim_client *c, Troupe__Envelope *env, uint8_t what)
{
	size_t len;
	uint8_t id[16] = { what, ++c->ask };
	env->kind = TROUPE__KIND__ASK;
	env->id = (ProtobufCBinaryData){ sizeof id, id };
	uint8_t *data = stage_pack(env, &len);
	fifo_add(&c->socket.to_coordinator, data, len);
	free(data);
}

/* Time, then the number of the task, by which it is found again. */
static struct id make_id(struct sim *s, unsigned number)
{
	struct id id = { { 0 } };
	for (unsigned i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(s->stage->wall_ms >> (8 * (5 - i)));
	for (unsigned i = 6; i < 12; i++)
		id.b[i] = (uint8_t)some(s, 256);
	for (unsigned i = 0; i < 4; i++)
		id.b[12 + i] = (uint8_t)(number >> (8 * (3 - i)));
	return id;
}

/* Roles of the last tasks of a batch: callbacks, and compensations of members. */
static void roles(struct sim *s, Troupe__TaskSpec *specs, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		struct sim_task *t = &s->tasks[s->n_tasks + i];
		if (i < n / 2 || t->key)
			continue;
		t->role = specs[i].role = (Troupe__BatchRole)some(s, 5);
		if (t->role != TROUPE__BATCH_ROLE__COMPENSATION)
			continue;
		specs[i].deadline_at_ms = 0; /* one that is past it could not be retried, and its batch never ends */
		t->undoes = s->n_tasks + (unsigned)some(s, n / 2 ? n / 2 : 1);
		specs[i].compensates = (ProtobufCBinaryData){ 16, s->tasks[t->undoes].id.b };
	}
}

static void submit(struct sim *s, struct sim_client *c)
{
	static const uint32_t levels[] = { 0, 1000, 2000, 3000, 4000 };
	unsigned n = 1 + (unsigned)some(s, 8);
	if (c->pending || s->n_tasks + n > SIM_TASKS)
		return;
	Troupe__TaskSpec specs[8], *all[8];
	Troupe__BatchSpec batch = TROUPE__BATCH_SPEC__INIT;
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	bool is_batch = n > 1 && chance(s, 12);
	struct id batch_id = make_id(s, ++s->n_batches);
	for (unsigned i = 0; i < n; i++) {
		struct sim_task *t = &s->tasks[s->n_tasks + i];
		*t = (struct sim_task){ .id = make_id(s, s->n_tasks + i), .queue = (unsigned)some(s, 2), .priority = levels[some(s, 5)], .sent = true, .batch = is_batch ? s->n_batches : 0 };
		spec_fill(s, t, all[i] = &specs[i], s->n_tasks);
	}
	if (is_batch) {
		roles(s, specs, n);
		batch.id = (ProtobufCBinaryData){ sizeof batch_id.b, batch_id.b };
		batch.on_failure = chance(s, 60) ? TROUPE__BATCH_SPEC__ON_FAILURE__CANCEL_REST : TROUPE__BATCH_SPEC__ON_FAILURE__CONTINUE;
		m.batch = &batch;
	}
	m.tasks = all;
	m.n_tasks = n;
	m.notify = chance(s, 50);
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	uint8_t id[16] = { ASK_SUBMIT };
	env.kind = TROUPE__KIND__ASK;
	env.id = (ProtobufCBinaryData){ sizeof id, id };
	c->pending = stage_pack(&env, &c->pending_len);
	c->pending_first = s->n_tasks;
	c->n_pending = n;
	c->pending_sent = false;
	s->n_tasks += n;
}

static struct sim_task *some_acked(struct sim *s)
{
	struct sim_task *t = s->n_tasks ? &s->tasks[some(s, s->n_tasks)] : NULL;
	return t && t->acked ? t : NULL;
}

static void change(struct sim *s, struct sim_client *c, bool cancel)
{
	struct sim_task *t = some_acked(s);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Cancel m = TROUPE__CANCEL__INIT;
	Troupe__Retry r = TROUPE__RETRY__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!t || (cancel && c->cancelled))
		return;
	ref.id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	m.tasks = r.tasks = refs;
	m.n_tasks = r.n_tasks = 1;
	if (cancel) {
		env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
		env.cancel = &m;
		c->cancelled = t;
	} else {
		env.body_case = TROUPE__ENVELOPE__BODY_RETRY;
		env.retry = &r;
		t->retry_asked = true; /* from now on it may run again, whether an answer comes or not */
	}
	put(c, &env, cancel ? ASK_CANCEL : ASK_OTHER);
}

/* Another place, or another queue. */
static void alter(struct sim *s, struct sim_client *c)
{
	struct sim_task *t = some_acked(s);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Level level = TROUPE__LEVEL__INIT;
	Troupe__Alter m = TROUPE__ALTER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!t || t->key)
		return;
	ref.id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	m.tasks = refs;
	m.n_tasks = 1;
	level.value = (uint32_t)some(s, 5) * 1000;
	m.priority = &level;
	if (!t->serial && chance(s, 30))
		m.queue = names[some(s, 2)];
	env.body_case = TROUPE__ENVELOPE__BODY_ALTER;
	env.alter = &m;
	put(c, &env, ASK_OTHER);
}

/* Limits come and go. */
static void limit(struct sim *s, struct sim_client *c)
{
	static char *fields[] = { (char *)"concurrency", (char *)"rate" };
	Troupe__QueueOrder m = TROUPE__QUEUE_ORDER__INIT;
	Troupe__QueuePolicy p = TROUPE__QUEUE_POLICY__INIT;
	Troupe__Rate rate = TROUPE__RATE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.op = TROUPE__QUEUE_ORDER__OP__SET;
	m.name = names[some(s, 2)];
	p.concurrency = (uint32_t)some(s, 4);
	rate.tokens = some(s, 50);
	rate.per_ms = 1000;
	p.rate = &rate;
	m.policy = &p;
	m.fields = fields;
	m.n_fields = some(s, 3);
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &m;
	put(c, &env, ASK_OTHER);
}

static void order(struct sim *s, struct sim_client *c, unsigned queue, bool pause)
{
	Troupe__QueueOrder m = TROUPE__QUEUE_ORDER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.op = pause ? TROUPE__QUEUE_ORDER__OP__PAUSE : TROUPE__QUEUE_ORDER__OP__RESUME;
	m.name = names[queue];
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &m;
	put(c, &env, ASK_OTHER);
}

static void look(struct sim *s, struct sim_client *c)
{
	struct sim_task *t = some_acked(s);
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Get g = TROUPE__GET__INIT;
	Troupe__Wait w = TROUPE__WAIT__INIT;
	Troupe__List l = TROUPE__LIST__INIT;
	Troupe__Explain x = TROUPE__EXPLAIN__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!t)
		return;
	ref.id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	switch (some(s, 4)) {
	case 0:
		g.task = &ref;
		g.history = true;
		env.body_case = TROUPE__ENVELOPE__BODY_GET;
		env.get = &g;
		break;
	case 1:
		w.tasks = refs;
		w.n_tasks = 1;
		env.body_case = TROUPE__ENVELOPE__BODY_WAIT;
		env.wait = &w;
		env.deadline_ms = 1 + some(s, 3000);
		break;
	case 2:
		l.limit = 20;
		env.body_case = TROUPE__ENVELOPE__BODY_LIST;
		env.list = &l;
		break;
	default:
		x.task = &ref;
		env.body_case = TROUPE__ENVELOPE__BODY_EXPLAIN;
		env.explain = &x;
		break;
	}
	put(c, &env, ASK_OTHER);
}

static void connect_and_send(struct sim *s, struct sim_client *c)
{
	if (!c->socket.peer && s->up) {
		c->socket.peer = c->who.peer = s->next_peer++;
		c->pending_sent = false;
	}
	if (c->socket.peer && c->pending && !c->pending_sent) {
		fifo_add(&c->socket.to_coordinator, c->pending, c->pending_len);
		c->pending_sent = true;
	}
}

void client_disconnect(struct sim *s, struct sim_client *c)
{
	fifo_clear(&c->socket.to_coordinator);
	while (c->socket.from_coordinator.n && chance(s, 50))
		client_read(s, c);
	fifo_clear(&c->socket.from_coordinator);
	c->socket.peer = 0;
	c->cancelled = NULL;
}

/* What it was promised, as of the commit: nothing that begins later may be an attempt of a task whose cancel was answered. */
void client_promised(struct sim *s, struct sim_client *c, const Troupe__Envelope *env)
{
	if (env->reply_to.len == 16 && env->reply_to.data[0] == ASK_CANCEL && env->body_case == TROUPE__ENVELOPE__BODY_CHANGED && env->changed->count == 1)
		c->cancelled->no_token_from = s->stage->c->meta.next_token;
}

void client_act(struct sim *s, struct sim_client *c)
{
	if (chance(s, 40))
		submit(s, c);
	connect_and_send(s, c);
	if (!c->socket.peer || chance(s, 60))
		return;
	uint64_t what = some(s, 100);
	if (what < 35)
		change(s, c, true);
	else if (what < 45)
		change(s, c, false);
	else if (what < 55)
		order(s, c, (unsigned)some(s, 2), chance(s, 50));
	else if (what < 60)
		alter(s, c);
	else if (what < 63)
		limit(s, c);
	else
		look(s, c);
}

/* At rest nobody is left that waits for a dead task, and no undoing that is stuck. */
static void unblock(struct sim *s, struct sim_client *c)
{
	struct sim_task *t = &s->tasks[some(s, s->n_tasks ? s->n_tasks : 1)];
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Cancel m = TROUPE__CANCEL__INIT;
	Troupe__Retry r = TROUPE__RETRY__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	if (!s->up || !t->acked || (!t->n_edges && t->role != TROUPE__BATCH_ROLE__COMPENSATION))
		return;
	Troupe__TaskState state = stage_state_of(s->stage, &t->id);
	ref.id = (ProtobufCBinaryData){ sizeof t->id.b, t->id.b };
	m.tasks = r.tasks = refs;
	m.n_tasks = r.n_tasks = 1;
	if (state == TROUPE__TASK_STATE__DEAD && t->role == TROUPE__BATCH_ROLE__COMPENSATION) {
		env.body_case = TROUPE__ENVELOPE__BODY_RETRY;
		env.retry = &r;
		t->retry_asked = true;
	} else if (state == TROUPE__TASK_STATE__SCHEDULED && t->hold && !c->cancelled) {
		env.body_case = TROUPE__ENVELOPE__BODY_CANCEL;
		env.cancel = &m;
		c->cancelled = t;
		put(c, &env, ASK_CANCEL);
		return;
	} else {
		return;
	}
	put(c, &env, ASK_OTHER);
}

void client_settle(struct sim *s, struct sim_client *c)
{
	connect_and_send(s, c);
	if (c != &s->clients[0] || !c->socket.peer)
		return;
	for (unsigned q = 0; q < 2; q++)
		if (s->paused[q])
			order(s, c, q, false);
	unblock(s, c);
}

/* --- what it hears --- */

static void submitted(struct sim *s, struct sim_client *c, const Troupe__Envelope *env)
{
	bool accepted = env->body_case == TROUPE__ENVELOPE__BODY_SUBMITTED;
	if (accepted && env->submitted->n_receipts != c->n_pending)
		broken(s, "receipts", "%zu for %u tasks", env->submitted->n_receipts, c->n_pending);
	for (unsigned i = 0; i < c->n_pending; i++)
		s->tasks[c->pending_first + i].acked = accepted;
	if (!accepted && s->up)
		for (unsigned i = 0; i < c->n_pending; i++)
			if (stage_state_of(s->stage, &s->tasks[c->pending_first + i].id) != TROUPE__TASK_STATE__TASK_ANY)
				broken(s, "atomic", "a refused bulk left task %u behind", c->pending_first + i);
	free(c->pending);
	c->pending = NULL;
}

void client_read(struct sim *s, struct sim_client *c)
{
	struct packet *p = fifo_take(&c->socket.from_coordinator);
	struct arena *arena = arena_new(16u << 20);
	ProtobufCMessage *m;
	if (!p || !arena || message_decode(&troupe__envelope__descriptor, p->data, p->len, arena, &m, NULL))
		broken(s, "wire", "a message to a client does not decode");
	const Troupe__Envelope *env = (Troupe__Envelope *)m;
	uint8_t what = env->reply_to.len == 16 ? env->reply_to.data[0] : 0;
	if (what == ASK_SUBMIT && c->pending)
		submitted(s, c, env);
	if (what == ASK_CANCEL)
		c->cancelled = NULL;
	if (env->body_case == TROUPE__ENVELOPE__BODY_FINISHED) {
		for (size_t i = 0; i < env->finished->n_tasks; i++) {
			const Troupe__Task *t = env->finished->tasks[i];
			check_final(s, task_of(s, t->spec->id.data), t->state, t->run, t->token);
		}
	}
	arena_unref(arena);
	free(p);
}
