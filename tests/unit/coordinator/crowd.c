#include "tests/unit/coordinator/crowd.h"

#include <string.h>

struct stage *s;
const struct who client = { .peer = 1 };
const struct who worker = { .peer = 10, .address = "worker:a/1", .incarnation = 5 }, other = { .peer = 11, .address = "worker:a/2", .incarnation = 6 };

void setup(void)
{
	s = stage_new(1);
}

void teardown(void)
{
	s = stage_free(s);
}

/* --- the client --- */

struct id id_of(unsigned n)
{
	struct id id = { { 1, 140, 10, 10, 10, 10 } };
	id.b[14] = (uint8_t)(n >> 8);
	id.b[15] = (uint8_t)n;
	return id;
}

Troupe__TaskSpec spec_of(struct id *id, const char *queue, const char *payload)
{
	Troupe__TaskSpec x = TROUPE__TASK_SPEC__INIT;
	x.id = (ProtobufCBinaryData){ sizeof id->b, id->b };
	x.queue = (char *)queue;
	x.payload = (ProtobufCBinaryData){ strlen(payload), (uint8_t *)payload };
	return x;
}

const Troupe__Envelope *submit_all(Troupe__TaskSpec **specs, size_t n)
{
	Troupe__Submit m = TROUPE__SUBMIT__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tasks = specs;
	m.n_tasks = n;
	env.body_case = TROUPE__ENVELOPE__BODY_SUBMIT;
	env.submit = &m;
	return stage_ask(s, &client, &env);
}

const Troupe__Envelope *submit(Troupe__TaskSpec *x)
{
	return submit_all(&x, 1);
}

struct id submit_plain(unsigned n)
{
	struct id id = id_of(n);
	Troupe__TaskSpec x = spec_of(&id, "a", "work");
	ck_assert_ptr_nonnull(submit(&x));
	return id;
}

const Troupe__Changed *change(Troupe__Envelope__BodyCase what, const struct id *id, bool dry_run)
{
	Troupe__TaskRef ref = TROUPE__TASK_REF__INIT, *refs[] = { &ref };
	Troupe__Cancel c = TROUPE__CANCEL__INIT;
	Troupe__Retry r = TROUPE__RETRY__INIT;
	Troupe__Purge p = TROUPE__PURGE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	ref.id = (ProtobufCBinaryData){ sizeof id->b, (uint8_t *)id->b };
	c.tasks = r.tasks = p.tasks = refs;
	c.n_tasks = r.n_tasks = p.n_tasks = 1;
	c.dry_run = r.dry_run = p.dry_run = dry_run;
	env.body_case = what;
	if (what == TROUPE__ENVELOPE__BODY_CANCEL)
		env.cancel = &c;
	else if (what == TROUPE__ENVELOPE__BODY_RETRY)
		env.retry = &r;
	else
		env.purge = &p;
	const Troupe__Envelope *answer = stage_ask(s, &client, &env);
	ck_assert_ptr_nonnull(answer);
	return answer->changed;
}

void order(Troupe__QueueOrder__Op op, const char *name)
{
	Troupe__QueueOrder m = TROUPE__QUEUE_ORDER__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.op = op;
	m.name = (char *)name;
	m.why = (char *)"looking";
	env.body_case = TROUPE__ENVELOPE__BODY_QUEUE_ORDER;
	env.queue_order = &m;
	ck_assert_ptr_nonnull(stage_ask(s, &client, &env));
}

void checks_out(void)
{
	const Troupe__StoreChecked *answer = stage_check(s, &client);
	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(answer->problems == 0, "%s", answer->n_lines ? answer->lines[0] : "");
}

/* --- a worker --- */

void attach_with(const struct who *who, uint32_t slots, const char *tag)
{
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	char *queues[] = { (char *)"a", (char *)"b" }, *tags[] = { (char *)tag };
	m.queues = queues;
	m.n_queues = 2;
	m.slots = slots;
	m.tags = tags;
	m.n_tags = tag != NULL;
	stage_attach_as(s, who, &m);
}

void attach(const struct who *who)
{
	attach_with(who, 1, NULL);
}

void starts(const struct who *who, uint64_t token)
{
	Troupe__Started m = TROUPE__STARTED__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	m.tokens = &token;
	m.n_tokens = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_STARTED;
	env.started = &m;
	stage_tell(s, who, &env);
}

void ends(const struct who *who, uint64_t token, Troupe__ExitClass class, const char *output)
{
	Troupe__Outcome o = TROUPE__OUTCOME__INIT, *all[] = { &o };
	Troupe__Outcomes m = TROUPE__OUTCOMES__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	o.token = token;
	o.exit_class = class;
	o.output = (ProtobufCBinaryData){ strlen(output), (uint8_t *)output };
	o.run_us = 1000000;
	m.outcomes = all;
	m.n_outcomes = 1;
	env.body_case = TROUPE__ENVELOPE__BODY_OUTCOMES;
	env.outcomes = &m;
	stage_tell(s, who, &env);
}

void hangs_up(const struct who *who)
{
	stage_begin(s);
	stage_link(s, who, false);
	stage_commit(s);
}

void dies(const struct who *who, uint64_t in_work, bool proven)
{
	Troupe__Down d = TROUPE__DOWN__INIT;
	d.address = (char *)who->address;
	d.incarnation = who->incarnation;
	d.reason = TROUPE__REASON__REASON_SIGNAL;
	d.signal = 9;
	d.proof = proven ? TROUPE__PROOF__PROOF_EMPTY : TROUPE__PROOF__PROOF_PENDING;
	d.tokens = &in_work;
	d.n_tokens = in_work != 0;
	stage_begin(s);
	stage_down(s, &d);
	stage_commit(s);
}

/* --- time --- */

void passes(uint64_t ms)
{
	stage_clock(s, ms);
	stage_begin(s);
	stage_wake(s);
	stage_commit(s);
}

/* --- what is seen --- */

const Troupe__Envelope *said(uint64_t peer, Troupe__Envelope__BodyCase what)
{
	for (size_t i = 0; i < s->n_sent; i++) {
		const Troupe__Envelope *env = stage_read(s, &s->sent[i]);
		if (s->sent[i].peer == peer && env->body_case == what)
			return env;
	}
	return NULL;
}

uint64_t given(const struct who *who)
{
	const Troupe__Envelope *env = said(who->peer, TROUPE__ENVELOPE__BODY_RUN);
	if (!env)
		return 0;
	ck_assert_uint_eq(env->run->n_tasks, 1);
	return env->run->tasks[0]->token;
}

Troupe__TaskState state_of(const struct id *id)
{
	return stage_state_of(s, id);
}
