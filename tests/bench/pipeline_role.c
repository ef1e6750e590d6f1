/* What the three kinds of process do with a message. */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/bench/pipeline.h"

#define TASKS_MAX 65536u /* in flight; a power of two */

static Troupe__Envelope envelope(Troupe__Kind kind, const char *to, const char *from, const char *type, uint8_t id[16], const void *payload, size_t len)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.kind = kind;
	env.to = (char *)to;
	env.from = (char *)from;
	env.type = (char *)type;
	env.timestamp_ms = clock_wall_ms();
	env.payload = (ProtobufCBinaryData){ len, (uint8_t *)payload };
	if (kind == TROUPE__KIND__REPLY)
		env.reply_to = (ProtobufCBinaryData){ 16, id };
	else
		env.id = (ProtobufCBinaryData){ 16, id };
	return env;
}

/* --- the coordinator --- */

struct pending { struct conn *client; uint8_t id[16]; };
struct outgoing { struct conn *to; uint64_t seq; bool run; uint8_t payload[PAYLOAD]; };

static struct {
	const struct transport *t;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi tasks, ready, results;
	uint64_t seq;
	struct pending pending[TASKS_MAX];
	struct conn *workers[16];
	unsigned n_workers, n_workers_wanted, next_worker;
	struct outgoing *out;
	size_t n_out, room;
	struct shared *shared;
} co;

static void store_open(const char *dir)
{
	MUST(mdb_env_create(&co.env) == 0);
	MUST(mdb_env_set_maxdbs(co.env, 4) == 0);
	MUST(mdb_env_set_mapsize(co.env, (size_t)8 << 30) == 0);
	MUST(mdb_env_open(co.env, dir, 0, 0600) == 0);
	MUST(mdb_txn_begin(co.env, NULL, 0, &co.txn) == 0);
	MUST(mdb_dbi_open(co.txn, "tasks", MDB_CREATE, &co.tasks) == 0);
	MUST(mdb_dbi_open(co.txn, "ready", MDB_CREATE, &co.ready) == 0);
	MUST(mdb_dbi_open(co.txn, "results", MDB_CREATE, &co.results) == 0);
	MUST(mdb_txn_commit(co.txn) == 0);
	co.txn = NULL;
}

static struct outgoing *out_add(void)
{
	if (co.n_out == co.room) {
		co.room = co.room ? co.room * 2 : 1024;
		MUST(co.out = realloc(co.out, co.room * sizeof(co.out[0])));
	}
	return &co.out[co.n_out++];
}

static void key_of(uint64_t seq, uint8_t key[8])
{
	uint64_t big = __builtin_bswap64(seq);
	memcpy(key, &big, 8);
}

static void put(MDB_dbi dbi, uint64_t seq, const void *data, size_t len)
{
	uint8_t k[8];
	key_of(seq, k);
	MDB_val key = { 8, k }, value = { len, (void *)data };
	MUST(mdb_put(co.txn, dbi, &key, &value, 0) == 0);
}

static void del(MDB_dbi dbi, uint64_t seq)
{
	uint8_t k[8];
	key_of(seq, k);
	MDB_val key = { 8, k };
	MUST(mdb_del(co.txn, dbi, &key, NULL) == 0);
}

static void on_submit(struct conn *c, const Troupe__Envelope *env)
{
	uint64_t seq = ++co.seq;
	struct pending *p = &co.pending[seq % TASKS_MAX];
	MUST(env->id.len == 16 && env->payload.len == PAYLOAD);
	*p = (struct pending){ .client = c };
	memcpy(p->id, env->id.data, 16);
	put(co.tasks, seq, env->payload.data, env->payload.len);
	put(co.ready, seq, p->id, 16);

	struct outgoing *o = out_add();
	o->to = co.workers[co.next_worker++ % co.n_workers];
	o->seq = seq;
	o->run = true;
	memcpy(o->payload, env->payload.data, PAYLOAD);
}

static void on_done(const Troupe__Envelope *env)
{
	uint64_t seq;
	MUST(env->reply_to.len == 16);
	memcpy(&seq, env->reply_to.data, 8);
	put(co.results, seq, env->payload.data, env->payload.len);
	del(co.ready, seq);
	del(co.tasks, seq);

	struct outgoing *o = out_add();
	o->to = co.pending[seq % TASKS_MAX].client;
	o->seq = seq;
	o->run = false;
}

static void coordinator_envelopes(void *ctx, struct conn *c, Troupe__Envelope **env, size_t n)
{
	if (!co.txn)
		MUST(mdb_txn_begin(co.env, NULL, 0, &co.txn) == 0);
	for (size_t i = 0; i < n; i++) {
		if (env[i]->kind == TROUPE__KIND__REPLY) {
			on_done(env[i]);
		} else if (strcmp(env[i]->type, "attach") == 0) {
			co.workers[co.n_workers++] = c;
			co.shared->ready = co.n_workers == co.n_workers_wanted;
		} else {
			on_submit(c, env[i]);
		}
	}
}

/* Commit, then speak. */
static void turn_end(void)
{
	if (!co.txn)
		return;
	MUST(mdb_txn_commit(co.txn) == 0);
	co.txn = NULL;
	co.shared->commits++;
	for (size_t i = 0; i < co.n_out; i++) {
		struct outgoing *o = &co.out[i];
		struct pending *p = &co.pending[o->seq % TASKS_MAX];
		uint8_t id[16] = { 0 };
		memcpy(id, &o->seq, 8);
		Troupe__Envelope env = o->run ? envelope(TROUPE__KIND__TELL, "worker:pool/1", "coordinator:main", "task.run", id, o->payload, PAYLOAD)
		                              : envelope(TROUPE__KIND__REPLY, "client:1", "coordinator:main", "task.done", p->id, NULL, 0);
		co.t->send(o->to, &env);
	}
	co.n_out = 0;
	co.t->flush();
}

void coordinator_run(const struct transport *t, struct shared *s, const char *dir, const char *path, unsigned n_workers)
{
	struct transport_events events = { .envelopes = coordinator_envelopes };
	co.t = t;
	co.shared = s;
	co.n_workers_wanted = n_workers;
	store_open(dir);
	t->open(&events);
	t->listen(path);
	while (!s->stop) {
		t->wait();
		turn_end();
	}
}

/* --- a worker --- */

static const struct transport *worker_transport;

static void worker_up(void *ctx, struct conn *c)
{
	uint8_t id[16] = { 1 };
	Troupe__Envelope env = envelope(TROUPE__KIND__TELL, "coordinator:main", "worker:pool/1", "attach", id, NULL, 0);
	worker_transport->send(c, &env);
}

static void worker_envelopes(void *ctx, struct conn *c, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Troupe__Envelope done = envelope(TROUPE__KIND__REPLY, "coordinator:main", "worker:pool/1", "task.done", env[i]->id.data, env[i]->payload.data, 32);
		worker_transport->send(c, &done);
	}
}

void worker_run(const struct transport *t, const char *path)
{
	struct transport_events events = { .up = worker_up, .envelopes = worker_envelopes };
	worker_transport = t;
	t->open(&events);
	t->dial(path);
	for (;;) {
		t->flush();
		t->wait();
	}
}

/* --- a client --- */

static struct {
	const struct transport *t;
	struct shared *s;
	unsigned index, outstanding;
	uint64_t seq;
	uint8_t payload[PAYLOAD];
} cl;

static void submit(struct conn *c)
{
	uint8_t id[16] = { 0 };
	cl.seq++;
	memcpy(id, &cl.seq, 8);
	id[15] = (uint8_t)cl.index;
	Troupe__Envelope env = envelope(TROUPE__KIND__ASK, "coordinator:main", "client:1", "task.submit", id, cl.payload, PAYLOAD);
	cl.t->send(c, &env);
}

static void client_up(void *ctx, struct conn *c)
{
	for (unsigned i = 0; i < cl.outstanding; i++)
		submit(c);
}

static void client_envelopes(void *ctx, struct conn *c, Troupe__Envelope **env, size_t n)
{
	for (size_t i = 0; i < n; i++)
		submit(c);
	cl.s->finished[cl.index] += n;
}

void client_run(const struct transport *t, struct shared *s, const char *path, unsigned index, unsigned outstanding)
{
	struct transport_events events = { .up = client_up, .envelopes = client_envelopes };
	cl.t = t;
	cl.s = s;
	cl.index = index;
	cl.outstanding = outstanding;
	memset(cl.payload, 'x', sizeof(cl.payload));
	t->open(&events);
	t->dial(path);
	for (;;) {
		t->flush();
		t->wait();
	}
}
