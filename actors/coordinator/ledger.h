#pragma once
/* The coordinator's rows: keys, formats, and reading and writing them inside a turn. Formats: proto/ledger.proto.
 *
 * The ready index is keyed (queue, requirement, priority, seq), all big-endian, so its order is the order of choosing. The due index, keyed (steady ms, seq), says
 * when somebody must look at a task again: it becomes ready, its deadline passes, its record expires. The value is a task's id, or begins with its
 * kind (enum due_kind), and then the highest bit of the number in the key is set. Table at is the same by the wall clock: run-at and cron follow that.
 * A log row holds one commit's transitions: a head of LOG_HEAD bytes (wall ms, and the seq of the first task that the commit accepted), then LOG_ENTRY bytes each.
 * The accepted entries of a row are in the order of their seqs, without holes, so the log is also the index from seq to id: table seq has a row
 * only for tasks whose log row is gone. */
#include "common/actor/actor.h"
#include "common/wire/id.h"
#include "proto/ledger.pb-c.h"

#define LEDGER_VERSION 1u
#define LEDGER_LOG (2u << 20) /* bytes */
enum { T_TASK, T_STATE, T_LEASE, T_READY, T_DUE, T_UNIQUE, T_SEQ, T_DEAD, T_ATTEMPT, T_QUEUE, T_REQUIREMENT, T_LOG, T_META, T_KEY, T_WAITING, T_EDGE, T_BATCH, T_MEMBER, T_CRON,
	T_AT, T_BLOB };
extern const char *const ledger_tables[];

#define LOG_HEAD 16u
#define LOG_ENTRY 24u
struct log_entry { struct id id; uint8_t kind, exit_class; uint16_t attempt; uint32_t queue; };
void log_entry_pack(const struct log_entry *e, uint8_t out[static LOG_ENTRY]);
void log_entry_unpack(const uint8_t in[static LOG_ENTRY], struct log_entry *ret);

/* The key of task, state, lease and batch: the bytes of id itself, which must live as long as the key. */
static inline struct slice id_key(const struct id *id) { return SLICE(id->b, sizeof id->b); }
/* Keys in the turn's arena; {NULL, 0} without memory. */
struct slice id_key_copy(struct arena *a, const struct id *id); /* for an id that does not live as long as the turn */
struct slice key_ready(struct arena *a, uint32_t queue, uint32_t requirement, uint32_t priority, uint64_t seq);
struct slice key_due(struct arena *a, uint64_t due_ms, uint64_t seq);
struct slice key_unique(struct arena *a, uint32_t queue, const char *key);
struct slice key_u64_of(struct arena *a, uint64_t number);  /* seq, commit */
struct slice key_u32_of(struct arena *a, uint32_t number);  /* requirement */
struct slice key_dead(struct arena *a, uint32_t queue, uint64_t seq);
struct slice key_serial_name(struct arena *a, uint32_t queue, const char *key); /* (queue, length, key): no key is the beginning of another */
struct slice key_waiting(struct arena *a, uint32_t queue, const char *key, uint64_t seq);
struct slice key_edge(struct arena *a, const struct id *parent, const struct id *child);
struct slice key_attempt(struct arena *a, const struct id *id, uint32_t n);

/* Packs a row into the arena. {NULL, 0} without memory. */
struct slice row_pack(struct arena *a, const ProtobufCMessage *m);
/* key without memory: -ENOMEM. */
int row_put(struct turn *t, unsigned table, struct slice key, const ProtobufCMessage *m);
int row_put_id(struct turn *t, unsigned table, struct slice key, const struct id *id); /* a row whose value is an id */

/* Reads of one row. 0, ERROR_NOT_FOUND, ERROR_CORRUPT, negative. The record lives as long as the arena. */
int row_get(struct turn *t, unsigned table, struct slice key, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret);
int row_decode(struct arena *a, struct slice value, const ProtobufCMessageDescriptor *d, ProtobufCMessage **ret);
static inline int task_get(struct turn *t, const struct id *id, Troupe__TaskRecord **ret)
{
	return row_get(t, T_TASK, id_key(id), &troupe__task_record__descriptor, (ProtobufCMessage **)ret);
}
/* A task without a state row gets a fresh one: ready, run 1. */
int state_get(struct turn *t, const struct id *id, Troupe__StateRecord **ret);
