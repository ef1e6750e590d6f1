#include "tests/unit/coordinator/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "actors/coordinator/grow.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/wire/codec.h"

#define LOG_LEAST 8192u
#define MUST(x) do { if (!(x)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); abort(); } } while (0)

/* --- the coordinator --- */

static void policy_fill(struct stage *s, Troupe__QueuePolicy *p, const char *name, Troupe__RetryPolicy *retry)
{
	troupe__queue_policy__init(p);
	p->name = (char *)name;
	p->retry = retry;
	p->timeout_ms = 60000;
	p->grace_ms = 1000;
	p->result_ttl_ms = 3600 * 1000;
	p->result_max = 65536;
	p->poison_after = 3;
}

static int try_open(struct stage *s, struct error *e)
{
	struct store_config config = { .dir = s->dir, .tables = ledger_tables, .version = LEDGER_VERSION, .log = s->log_bytes, .map_first = s->map_first, .map_max = 1u << 30 };
	int r = store_open(&config, &s->store, e);
	if (r)
		return r;
	s->fake = turn_fake_new(s->store, s->now_ms, s->wall_ms);
	s->turn = turn_fake_turn(s->fake);
	if ((r = coordinator_open(s->store, &s->setup, &s->c, e)))
		return r;
	rng_seed(&s->c->rng, s->seed++);
	s->c->eye = s->eye;
	s->wake_at_ms = TIME_NEVER;
	return 0;
}

static void close_all(struct stage *s)
{
	if (s->c)
		coordinator_def.fini(s->c);
	s->c = NULL;
	s->fake = turn_fake_free(s->fake);
	s->store = store_close(s->store);
}

struct own_policy { Troupe__QueuePolicy policy; Troupe__RetryPolicy retry; char name[]; };

Troupe__QueuePolicy *stage_queue(struct stage *s, const char *name)
{
	struct own_policy *own = calloc(1, sizeof *own + strlen(name) + 1);
	MUST(own && s->coordinator_setup.n_queues < STAGE_QUEUES_MAX);
	strcpy(own->name, name);
	own->retry = s->retry;
	policy_fill(s, &own->policy, own->name, &own->retry);
	return s->queues[s->coordinator_setup.n_queues++] = &own->policy;
}

struct stage *stage_prepare(uint64_t seed)
{
	struct stage *s = calloc(1, sizeof *s);
	struct stat st;
	MUST(s);
	s->seed = seed;
	s->now_ms = STAGE_NOW_MS;
	s->wall_ms = STAGE_WALL_MS;
	s->map_first = 16u << 20;
	s->log_bytes = LOG_LEAST << seed % 5 * 2; /* small ones: checkpoints are as frequent as everything else */
	/* Memory, where there is some: nobody cuts the power here. */
	snprintf(s->dir, sizeof s->dir, "%s/troupe-stage-XXXXXX", stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	MUST(mkdtemp(s->dir));
	troupe__retry_policy__init(&s->retry);
	s->retry.max_attempts = 3;
	s->retry.base_ms = 1000;
	s->retry.factor_pct = 200;
	s->retry.cap_ms = 60000;
	policy_fill(s, &s->defaults, "", &s->retry);
	troupe__coordinator_setup__init(&s->coordinator_setup);
	s->coordinator_setup.queues = s->queues;
	s->coordinator_setup.defaults = &s->defaults;
	s->coordinator_setup.keep_final_ms = 3600 * 1000;
	s->coordinator_setup.keep_log_bytes = 64u << 20;
	troupe__limits__init(&s->limits);
	s->limits.payload = 65536;
	s->limits.frame = 1u << 20;
	troupe__setup__init(&s->setup);
	s->setup.coordinator = &s->coordinator_setup;
	s->setup.limits = &s->limits;
	s->setup.address = (char *)"coordinator:main";
	s->setup.state_dir = s->dir;
	MUST(s->arena = arena_new(256u << 20));
	return s;
}

static void first_turn(struct stage *s)
{
	stage_begin(s);
	MUST(coordinator_begin(s->turn, s->c, NULL) == 0);
	MUST(turn_fake_next(s->fake) == 0);
	stage_commit(s);
}

void stage_open(struct stage *s)
{
	struct error e = { 0 };
	if (try_open(s, &e) != 0) {
		fprintf(stderr, "%s: %s\n", s->dir, e.text);
		abort();
	}
	first_turn(s);
}

int stage_adopt(struct stage *s, const char *dir, struct error *e)
{
	rmdir(s->dir);
	MUST(snprintf(s->dir, sizeof s->dir, "%s", dir) < (int)sizeof s->dir);
	int r = try_open(s, e);
	if (!r)
		first_turn(s);
	return r;
}

struct stage *stage_new(uint64_t seed)
{
	struct stage *s = stage_prepare(seed);
	stage_queue(s, "a");
	stage_queue(s, "b");
	stage_open(s);
	return s;
}

static void sent_forget(struct stage *s)
{
	for (size_t i = 0; i < s->n_sent; i++)
		free(s->sent[i].data);
	s->n_sent = s->n_monitored = 0;
}

static void blobs_remove(const struct stage *s)
{
	char path[128];
	snprintf(path, sizeof path, "%s/" BLOB_FOLDER, s->dir);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

struct stage *stage_free(struct stage *s)
{
	static const char *const files[] = { "data.mdb", "lock.mdb", "commit.log" };
	char path[128];
	close_all(s);
	for (size_t i = 0; i < ELEMENTS(files); i++) {
		snprintf(path, sizeof path, "%s/%s", s->dir, files[i]);
		unlink(path);
	}
	for (size_t i = 0; i < s->coordinator_setup.n_queues; i++)
		free(s->queues[i]); /* the first member of its own_policy */
	blobs_remove(s);
	rmdir(s->dir);
	sent_forget(s);
	free(s->sent);
	free(s->monitored);
	arena_unref(s->arena);
	free(s);
	return NULL;
}

void stage_crash(struct stage *s)
{
	close_all(s);
}

void stage_restart(struct stage *s)
{
	stage_open(s);
}

void stage_clock(struct stage *s, uint64_t forward_ms)
{
	s->now_ms += forward_ms;
	s->wall_ms += forward_ms;
}

/* --- a turn --- */

void stage_begin(struct stage *s)
{
	turn_fake_clock(s->fake, s->now_ms, s->wall_ms);
}

static int handled(struct stage *s, int r)
{
	if (r < 0) {
		fprintf(stderr, "the coordinator leaves: %d\n", r);
		abort();
	}
	if (r == 0) {
		MUST(turn_fake_next(s->fake) == 0);
		return 0;
	}
	const struct error *e = turn_fake_error(s->fake);
	if (e)
		s->refusal = *e;
	else
		s->refusal = (struct error){ .code = (enum error_code)r };
	turn_fake_undo(s->fake);
	return r;
}

int stage_message(struct stage *s, const struct who *from, const uint8_t *data, size_t len)
{
	ProtobufCMessage *m;
	MUST(message_decode(&troupe__envelope__descriptor, data, len, turn_arena(s->turn), &m, NULL) == 0);
	struct message msg = { .env = (Troupe__Envelope *)m, .received_ms = s->now_ms,
		.sender = { .peer = from->peer, .address = from->address ? from->address : "", .incarnation = from->incarnation,
			.role = from->subject ? from->role : TROUPE__ROLE__ADMIN, .uid = from->subject ? from->uid : 1000, .pid = (pid_t)(1000 + from->incarnation),
			.subject = from->subject ? from->subject : from->address ? from->address : "uid 1000 (ann)" } };
	for (const struct actor_handler *h = coordinator_def.handlers; h->verb; h++)
		if (h->verb == (int)msg.env->body_case)
			return handled(s, h->on(s->turn, s->c, &msg));
	/* As the runtime does. */
	struct error e = { 0 };
	error_set(&e, ERROR_NO_VERB, "a coordinator does not answer verb %d", (int)msg.env->body_case);
	return handled(s, turn_fail(s->turn, &e));
}

void stage_down(struct stage *s, const Troupe__Down *d)
{
	handled(s, coordinator_def.on_down(s->turn, s->c, d));
}

void stage_link(struct stage *s, const struct who *who, bool up)
{
	handled(s, coordinator_def.on_link(s->turn, s->c, who->address, who->incarnation, who->peer, up));
}

void stage_gone(struct stage *s, uint64_t peer)
{
	handled(s, coordinator_def.on_client_gone(s->turn, s->c, peer));
}

void stage_wake(struct stage *s)
{
	if (s->now_ms < s->wake_at_ms)
		return;
	s->wake_at_ms = TIME_NEVER;
	handled(s, coordinator_def.on_wake(s->turn, s->c, s->now_ms));
}

int stage_reload(struct stage *s)
{
	return handled(s, coordinator_def.on_reload(s->turn, s->c, &s->setup));
}

static void keep_sent(struct stage *s, const struct effect_view *v)
{
	MUST(GROW(s->sent, s->room_sent, s->n_sent + 1));
	struct sent *m = &s->sent[s->n_sent++];
	m->peer = v->peer;
	m->data = stage_pack(v->env, &m->len);
}

static void keep_monitored(struct stage *s, const struct effect_view *v)
{
	MUST(GROW(s->monitored, s->room_monitored, s->n_monitored + 1));
	struct monitored *m = &s->monitored[s->n_monitored++];
	snprintf(m->address, sizeof m->address, "%s", v->to);
	m->incarnation = v->number;
}

void stage_commit(struct stage *s)
{
	const struct effect_view *all;
	MUST(coordinator_def.settle(s->turn, s->c) == 0);
	MUST(turn_fake_next(s->fake) == 0);
	size_t n = turn_fake_released(s->fake, &all);
	sent_forget(s);
	for (size_t i = 0; i < n; i++) {
		if (all[i].kind == EFFECT_SEND)
			keep_sent(s, &all[i]);
		else if (all[i].kind == EFFECT_MONITOR)
			keep_monitored(s, &all[i]);
		else if (all[i].kind == EFFECT_WAKE && all[i].number < s->wake_at_ms)
			s->wake_at_ms = all[i].number;
	}
	MUST(turn_fake_commit(s->fake) == 0);
	coordinator_def.on_commit(s->c);
	if (store_checkpoint_at(s->store) == 0) /* the other reason, a time, would make two plays differ */
		MUST(store_checkpoint(s->store) == 0);
}

/* --- in one call --- */

uint8_t *stage_pack(const Troupe__Envelope *env, size_t *ret_len)
{
	uint8_t *data = malloc(troupe__envelope__get_packed_size(env) + 1);
	MUST(data);
	*ret_len = troupe__envelope__pack(env, data);
	return data;
}

static int deliver(struct stage *s, const struct who *from, Troupe__Envelope *env)
{
	size_t len;
	uint8_t *data = stage_pack(env, &len);
	stage_begin(s);
	stage_wake(s);
	int r = stage_message(s, from, data, len);
	stage_commit(s);
	free(data);
	return r;
}

void stage_tell(struct stage *s, const struct who *from, Troupe__Envelope *env)
{
	env->kind = TROUPE__KIND__SIGNAL;
	MUST(deliver(s, from, env) == 0);
}

void stage_attach_as(struct stage *s, const struct who *who, Troupe__Attach *m)
{
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_ATTACH;
	env.attach = m;
	stage_tell(s, who, &env);
}

void stage_attach(struct stage *s, const struct who *who, uint32_t slots)
{
	Troupe__Attach m = TROUPE__ATTACH__INIT;
	char *queues[] = { (char *)"a" };
	m.queues = queues;
	m.n_queues = 1;
	m.slots = slots;
	stage_attach_as(s, who, &m);
}

const Troupe__Envelope *stage_ask(struct stage *s, const struct who *from, Troupe__Envelope *env)
{
	static uint8_t id[16];
	id[0]++;
	env->kind = TROUPE__KIND__ASK;
	env->id = (ProtobufCBinaryData){ sizeof id, id };
	if (deliver(s, from, env) != 0)
		return NULL;
	for (size_t i = 0; i < s->n_sent; i++) {
		const Troupe__Envelope *answer = stage_read(s, &s->sent[i]);
		if (s->sent[i].peer == from->peer && answer->reply_to.len == sizeof id && memcmp(answer->reply_to.data, id, sizeof id) == 0)
			return answer;
	}
	return NULL;
}

const Troupe__StoreChecked *stage_check(struct stage *s, const struct who *from)
{
	Troupe__CheckStore m = TROUPE__CHECK_STORE__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	env.body_case = TROUPE__ENVELOPE__BODY_CHECK_STORE;
	env.check_store = &m;
	const Troupe__Envelope *answer = stage_ask(s, from, &env);
	return answer ? answer->store_checked : NULL;
}

const Troupe__Envelope *stage_read(struct stage *s, const struct sent *m)
{
	ProtobufCMessage *env;
	arena_reset(s->arena);
	MUST(message_decode(&troupe__envelope__descriptor, m->data, m->len, s->arena, &env, NULL) == 0);
	return (Troupe__Envelope *)env;
}

/* --- rows --- */

static const ProtobufCMessage *row(struct stage *s, unsigned table, const struct id *id, const ProtobufCMessageDescriptor *d)
{
	struct store_txn *view;
	struct slice value;
	ProtobufCMessage *m = NULL;
	MUST(store_read(s->store, &view) == 0);
	int r = store_get(view, table, id_key(id), &value);
	MUST(r == 0 || r == ERROR_NOT_FOUND);
	if (r == 0)
		MUST(row_decode(s->arena, value, d, &m) == 0);
	store_read_end(view);
	return m;
}

const Troupe__TaskRecord *stage_task(struct stage *s, const struct id *id)
{
	return (const Troupe__TaskRecord *)row(s, T_TASK, id, &troupe__task_record__descriptor);
}

const Troupe__StateRecord *stage_state(struct stage *s, const struct id *id)
{
	return (const Troupe__StateRecord *)row(s, T_STATE, id, &troupe__state_record__descriptor);
}

const Troupe__LeaseRecord *stage_lease(struct stage *s, const struct id *id)
{
	return (const Troupe__LeaseRecord *)row(s, T_LEASE, id, &troupe__lease_record__descriptor);
}

Troupe__TaskState stage_state_of(struct stage *s, const struct id *id)
{
	const Troupe__StateRecord *st;
	if (!stage_task(s, id))
		return TROUPE__TASK_STATE__TASK_ANY;
	if (stage_lease(s, id))
		return TROUPE__TASK_STATE__RUNNING;
	return (st = stage_state(s, id)) ? st->state : TROUPE__TASK_STATE__READY;
}
