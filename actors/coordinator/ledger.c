#include "actors/coordinator/ledger.h"

#include <errno.h>
#include <string.h>
#include "common/wire/codec.h"
#include "common/wire/pack.h"

const char *const ledger_tables[] = { "task", "state", "lease", "ready", "due", "unique", "seq", "dead", "attempt", "queue", "requirement", "log", "meta", "key", "waiting", "edge", "batch", "member",
	"cron", "at", "blob", NULL };

void log_entry_pack(const struct log_entry *e, uint8_t out[static LOG_ENTRY])
{
	memcpy(out, e->id.b, 16);
	out[16] = e->kind;
	out[17] = e->exit_class;
	out[18] = (uint8_t)(e->attempt >> 8);
	out[19] = (uint8_t)e->attempt;
	key_u32(out + 20, e->queue);
}

void log_entry_unpack(const uint8_t in[static LOG_ENTRY], struct log_entry *ret)
{
	memcpy(ret->id.b, in, 16);
	ret->kind = in[16];
	ret->exit_class = in[17];
	ret->attempt = (uint16_t)(in[18] << 8 | in[19]);
	ret->queue = key_read_u32(in + 20);
}

struct slice key_ready(struct arena *a, uint32_t queue, uint32_t requirement, uint32_t priority, uint64_t seq)
{
	uint8_t *k = arena_alloc(a, 20);
	if (k)
		key_u64(key_u32(key_u32(key_u32(k, queue), requirement), priority), seq);
	return SLICE(k, k ? 20 : 0);
}

static struct slice key_two(struct arena *a, uint64_t first, uint64_t second)
{
	uint8_t *k = arena_alloc(a, 16);
	if (k)
		key_u64(key_u64(k, first), second);
	return SLICE(k, k ? 16 : 0);
}

struct slice key_due(struct arena *a, uint64_t due_ms, uint64_t seq) { return key_two(a, due_ms, seq); }

struct slice key_unique(struct arena *a, uint32_t queue, const char *key)
{
	size_t n = strlen(key);
	uint8_t *k = arena_alloc(a, 4 + n);
	if (k)
		key_bytes(key_u32(k, queue), key, n);
	return SLICE(k, k ? 4 + n : 0);
}

struct slice id_key_copy(struct arena *a, const struct id *id)
{
	void *copy = arena_copy(a, id->b, sizeof id->b);
	return SLICE(copy, copy ? sizeof id->b : 0);
}

struct slice key_u64_of(struct arena *a, uint64_t number)
{
	uint8_t *k = arena_alloc(a, 8);
	if (k)
		key_u64(k, number);
	return SLICE(k, k ? 8 : 0);
}

struct slice key_u32_of(struct arena *a, uint32_t number)
{
	uint8_t *k = arena_alloc(a, 4);
	if (k)
		key_u32(k, number);
	return SLICE(k, k ? 4 : 0);
}

struct slice key_dead(struct arena *a, uint32_t queue, uint64_t seq)
{
	uint8_t *k = arena_alloc(a, 12);
	if (k)
		key_u64(key_u32(k, queue), seq);
	return SLICE(k, k ? 12 : 0);
}

struct slice key_serial_name(struct arena *a, uint32_t queue, const char *key)
{
	size_t n = strlen(key);
	uint8_t *k = arena_alloc(a, 5 + n);
	if (k)
		key_bytes(key_u8(key_u32(k, queue), (uint8_t)n), key, n);
	return SLICE(k, k ? 5 + n : 0);
}

struct slice key_waiting(struct arena *a, uint32_t queue, const char *key, uint64_t seq)
{
	size_t n = strlen(key);
	uint8_t *k = arena_alloc(a, 13 + n);
	if (k)
		key_u64(key_bytes(key_u8(key_u32(k, queue), (uint8_t)n), key, n), seq);
	return SLICE(k, k ? 13 + n : 0);
}

struct slice key_edge(struct arena *a, const struct id *parent, const struct id *child)
{
	uint8_t *k = arena_alloc(a, 32);
	if (k)
		key_bytes(key_bytes(k, parent->b, 16), child->b, 16);
	return SLICE(k, k ? 32 : 0);
}

struct slice key_attempt(struct arena *a, const struct id *id, uint32_t n)
{
	uint8_t *k = arena_alloc(a, 20);
	if (k)
		key_u32(key_bytes(k, id->b, 16), n);
	return SLICE(k, k ? 20 : 0);
}

struct slice row_pack(struct arena *a, const ProtobufCMessage *m)
{
	size_t n = 0;
	uint8_t *data = message_pack(a, m, &n);
	return SLICE(data, n);
}

int row_put(struct turn *t, unsigned table, struct slice key, const ProtobufCMessage *m)
{
	struct slice value = row_pack(turn_arena(t), m);
	return key.data && value.data ? turn_put(t, table, key, value) : -ENOMEM;
}

int row_put_id(struct turn *t, unsigned table, struct slice key, const struct id *id)
{
	struct slice value = id_key_copy(turn_arena(t), id);
	return key.data && value.data ? turn_put(t, table, key, value) : -ENOMEM;
}

int row_decode(struct arena *a, struct slice value, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	int r = message_decode(d, value.data, value.len, a, ret, NULL);
	return r > 0 ? ERROR_CORRUPT : r;
}

int row_get(struct turn *t, unsigned table, struct slice key, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret)
{
	struct slice value;
	if (!key.data)
		return -ENOMEM;
	int r = turn_get(t, table, key, &value);
	return r ? r : row_decode(turn_arena(t), value, d, ret);
}

int state_get(struct turn *t, const struct id *id, Troupe__StateRecord **ret)
{
	int r = row_get(t, T_STATE, id_key(id), &troupe__state_record__descriptor, (ProtobufCMessage **)ret);
	if (r != ERROR_NOT_FOUND)
		return r;
	Troupe__StateRecord *s = arena_alloc(turn_arena(t), sizeof *s);
	if (!s)
		return -ENOMEM;
	troupe__state_record__init(s);
	s->state = TROUPE__TASK_STATE__READY;
	s->run = 1;
	*ret = s;
	return 0;
}
