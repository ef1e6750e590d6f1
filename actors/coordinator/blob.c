/* Large payloads: what clients and workers say of them, and the rows that count who needs them. The files: blob_file.h. */
#include "actors/coordinator/blob.h"

#include <errno.h>
#include <string.h>
#include "actors/coordinator/blob_file.h"
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/disk.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/steady.h"
#include "actors/coordinator/verbs.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define REARM_MS 60000u /* a client that sends what is there already keeps it: to this much, not to a row a message */

static uint64_t size_max(const struct coordinator *c)
{
	return c->setup->blob_max ? c->setup->blob_max : BLOB_MAX_DEFAULT;
}

/* --- rows --- */

static int row_of(struct turn *t, ProtobufCBinaryData sha256, Troupe__BlobRecord **ret)
{
	return row_get(t, T_BLOB, SLICE(sha256.data, sha256.len), &troupe__blob_record__descriptor, (ProtobufCMessage **)ret);
}

static int row_of_put(struct turn *t, ProtobufCBinaryData sha256, const Troupe__BlobRecord *rec)
{
	return row_put(t, T_BLOB, SLICE(sha256.data, sha256.len), &rec->base);
}

/* It is collected at this time unless a task names it by then. A blob without a task always has such a row. */
static int due_at(struct turn *t, struct coordinator *c, const uint8_t *sha256, uint64_t at_ms)
{
	uint8_t value[1 + SHA256_BYTES] = { DUE_BLOB };
	memcpy(value + 1, sha256, SHA256_BYTES);
	return due_kind_put(t, c, at_ms, DUE_NUMBER(DUE_BLOB, key_read_u64(sha256)), SLICE(value, sizeof value));
}

/* Its row, if all of it is here. ERROR_NOT_FOUND: it has to be sent. */
static int complete_row(struct turn *t, struct coordinator *c, ProtobufCBinaryData sha256, Troupe__BlobRecord **ret)
{
	uint64_t size;
	int r = row_of(t, sha256, ret);
	if (r)
		return r;
	if (!(*ret)->complete || blob_file_size(&c->blobs, sha256.data, &size) || size != (*ret)->size)
		return ERROR_NOT_FOUND;
	return 0;
}

static int fail_damaged(struct error *e)
{
	return error_refuse(e, ERROR_CORRUPT, "troupe check-store", "the record of this payload is damaged");
}

static int fail_large(const struct coordinator *c, uint64_t size, struct error *e)
{
	return error_refuse(e, ERROR_TOO_LARGE, "raise blob_max in the configuration, or submit the name of a file", "a payload has at most %llu bytes, this one %llu",
	                    (unsigned long long)size_max(c), (unsigned long long)size);
}

/* --- what tasks need --- */

int blob_check(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref, struct error *e)
{
	Troupe__BlobRecord *rec;
	if (ref->sha256.len != SHA256_BYTES)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "a payload is named by its SHA-256, 32 bytes, not %zu", ref->sha256.len);
	if (ref->size > size_max(c))
		return fail_large(c, ref->size, e);
	int r = complete_row(t, c, ref->sha256, &rec);
	if (r == ERROR_NOT_FOUND)
		return error_refuse(e, ERROR_NOT_FOUND, "send it by blob_put", "the payload is not here");
	if (r == ERROR_CORRUPT)
		return fail_damaged(e);
	if (!r && rec->size != ref->size)
		return error_refuse(e, ERROR_BAD_REQUEST, "", "the payload has %llu bytes, not %llu", (unsigned long long)rec->size, (unsigned long long)ref->size);
	return r;
}

int blob_use(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref)
{
	Troupe__BlobRecord *rec;
	int r = row_of(t, ref->sha256, &rec);
	if (r)
		return r > 0 ? -EIO : r;
	rec->uses++;
	rec->unused_since_ms = 0;
	return row_of_put(t, ref->sha256, rec);
}

int blob_unuse(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref)
{
	Troupe__BlobRecord *rec;
	int r = row_of(t, ref->sha256, &rec);
	if (r > 0)
		log_error("the record of a payload is missing or damaged", LOG_S("code", error_name(r)));
	if (r)
		return r > 0 ? 0 : r;
	rec->uses -= rec->uses > 0;
	if (!rec->uses) {
		rec->unused_since_ms = steady_at(&c->steady, t);
		r = due_at(t, c, ref->sha256.data, rec->unused_since_ms + BLOB_KEEP_MS);
	}
	return r ? r : row_of_put(t, ref->sha256, rec);
}

int blob_due(struct turn *t, struct coordinator *c, struct slice sha256)
{
	Troupe__BlobRecord *rec;
	ProtobufCBinaryData key = { SHA256_BYTES, arena_copy(turn_arena(t), sha256.data, SHA256_BYTES) };
	int r = key.data ? row_of(t, key, &rec) : -ENOMEM;
	if (r == ERROR_NOT_FOUND || r == ERROR_CORRUPT || (!r && rec->uses))
		return 0;
	if (!r && rec->unused_since_ms + BLOB_KEEP_MS > steady_at(&c->steady, t))
		return due_at(t, c, key.data, rec->unused_since_ms + BLOB_KEEP_MS);
	if (!r)
		r = turn_delete(t, T_BLOB, SLICE(key.data, key.len));
	return r ? r : blob_doom(&c->blobs, key.data);
}

/* --- BlobPut --- */

static int taken(struct turn *t, const struct message *m, uint64_t offset, bool complete)
{
	Troupe__BlobTaken out = TROUPE__BLOB_TAKEN__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	out.offset = offset;
	out.complete = complete;
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_TAKEN;
	env.blob_taken = &out;
	return turn_reply(t, m, &env);
}

static int check_put(const struct coordinator *c, const Troupe__BlobPut *p, struct error *e)
{
	if (p->sha256.len != SHA256_BYTES)
		return error_set(e, ERROR_BAD_REQUEST, "a payload is named by its SHA-256, 32 bytes, not %zu", p->sha256.len);
	if (p->size == 0)
		return error_set(e, ERROR_BAD_REQUEST, "an empty payload needs no sending");
	if (p->size > size_max(c))
		return fail_large(c, p->size, e);
	if (p->offset > p->size || p->data.len > p->size - p->offset)
		return error_set(e, ERROR_BAD_REQUEST, "%zu bytes at %llu are more than the %llu that it shall have", p->data.len, (unsigned long long)p->offset,
		                 (unsigned long long)p->size);
	return 0;
}

/* It is here: nothing is to be sent, and if nobody needs it yet its hour begins again. */
static int put_again(struct turn *t, struct coordinator *c, const struct message *m, Troupe__BlobRecord *rec)
{
	const Troupe__BlobPut *p = m->env->blob_put;
	struct error e = { 0 };
	if (rec->size != p->size) {
		error_set(&e, ERROR_BAD_REQUEST, "what has this hash has %llu bytes, not %llu", (unsigned long long)rec->size, (unsigned long long)p->size);
		return turn_fail(t, &e);
	}
	upload_drop_all(&c->blobs, p->sha256.data);
	int r = 0;
	if (!rec->uses && steady_at(&c->steady, t) > rec->unused_since_ms + REARM_MS) {
		rec->unused_since_ms = steady_at(&c->steady, t);
		r = row_of_put(t, p->sha256, rec);
	}
	return r ? r : taken(t, m, rec->size, true);
}

/* The last byte is here. damaged: a row whose file was lost, and is there again. */
static int finish(struct turn *t, struct coordinator *c, const struct message *m, struct upload *u, Troupe__BlobRecord *damaged)
{
	const Troupe__BlobPut *p = m->env->blob_put;
	Troupe__BlobRecord rec = TROUPE__BLOB_RECORD__INIT;
	struct error e = { 0 };
	int r = upload_place(&c->blobs, u, &e);
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	upload_drop_all(&c->blobs, p->sha256.data);
	if (damaged)
		return taken(t, m, p->size, true);
	rec.size = p->size;
	rec.complete = true;
	rec.unused_since_ms = steady_at(&c->steady, t);
	r = row_of_put(t, p->sha256, &rec);
	if (!r)
		r = due_at(t, c, p->sha256.data, rec.unused_since_ms + BLOB_KEEP_MS);
	return r ? r : taken(t, m, p->size, true);
}

int on_blob_put(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__BlobPut *p = m->env->blob_put;
	struct error e = { 0 };
	Troupe__BlobRecord *rec = NULL;
	int r = check_put(c, p, &e);
	if (r)
		return turn_fail(t, &e);
	r = complete_row(t, c, p->sha256, &rec);
	if (r == ERROR_CORRUPT)
		fail_damaged(&e);
	if (r != ERROR_NOT_FOUND)
		return r > 0 ? turn_fail(t, &e) : r ? r : put_again(t, c, m, rec);
	if ((r = disk_check(t, c, &e)))
		return turn_fail(t, &e);
	struct upload *u = upload_find(&c->blobs, p->sha256.data, p->size, m->sender.subject);
	if (!u && (p->offset || !p->data.len))
		return taken(t, m, 0, false);
	if (!u)
		r = upload_open(&c->blobs, p->sha256.data, p->size, m->sender.subject, turn_now_ms(t), &u, &e);
	if (!r) {
		wake_by(c, turn_now_ms(t) + UPLOAD_IDLE_MS);
		disk_take(c, p->data.len);
		if ((r = upload_add(u, p->offset, p->data.data, p->data.len, turn_now_ms(t), &e)))
			upload_drop(&c->blobs, u); /* others need the room */
	}
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	return u->offset == u->size ? finish(t, c, m, u, rec) : taken(t, m, u->offset, false);
}

/* --- BlobGet --- */

int on_blob_get(struct turn *t, void *state, const struct message *m)
{
	struct coordinator *c = state;
	const Troupe__BlobGet *g = m->env->blob_get;
	Troupe__BlobRecord *rec;
	Troupe__BlobData out = TROUPE__BLOB_DATA__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	struct error e = { 0 };
	int r = g->sha256.len == SHA256_BYTES ? row_of(t, g->sha256, &rec) : error_set(&e, ERROR_BAD_REQUEST, "a payload is named by its SHA-256, 32 bytes, not %zu", g->sha256.len);
	if (!r && g->offset > rec->size)
		r = error_set(&e, ERROR_BAD_REQUEST, "the payload has %llu bytes", (unsigned long long)rec->size);
	if (r == ERROR_NOT_FOUND)
		error_set(&e, ERROR_NOT_FOUND, "there is no payload with this hash");
	if (r == ERROR_CORRUPT)
		fail_damaged(&e);
	if (r)
		return r > 0 ? turn_fail(t, &e) : r;
	size_t most = c->frame_max / 2 < BLOB_CHUNK_MAX ? c->frame_max / 2 : BLOB_CHUNK_MAX;
	if (g->max && g->max < most)
		most = g->max;
	out.size = rec->size;
	out.data.len = rec->size - g->offset < most ? (size_t)(rec->size - g->offset) : most;
	if (!(out.data.data = arena_alloc(turn_arena(t), out.data.len + 1)))
		return -ENOMEM;
	r = blob_file_read(&c->blobs, g->sha256.data, g->offset, out.data.data, out.data.len);
	if (r == ERROR_NOT_FOUND || r == ERROR_CORRUPT) {
		log_error("the file of a payload is lost or cut short", LOG_U("size", rec->size));
		error_set(&e, ERROR_CORRUPT, "the file of this payload is lost or cut short");
		error_cure(&e, "troupe check-store; send it again by blob_put");
		return turn_fail(t, &e);
	}
	if (r) {
		error_set(&e, ERROR_STORE, "the payload cannot be read: %s", strerror(-r));
		error_retry(&e, 1000);
		return turn_fail(t, &e);
	}
	env.body_case = TROUPE__ENVELOPE__BODY_BLOB_DATA;
	env.blob_data = &out;
	return turn_reply(t, m, &env);
}

/* --- the clock --- */

static bool is_known(void *ctx, const uint8_t sha256[static SHA256_BYTES])
{
	struct slice value;
	return turn_get(ctx, T_BLOB, SLICE(sha256, SHA256_BYTES), &value) != ERROR_NOT_FOUND;
}

int blob_wake(struct turn *t, struct coordinator *c)
{
	if (blobs_sweep(&c->blobs, is_known, t))
		c->again = true;
	wake_by(c, uploads_tick(&c->blobs, turn_now_ms(t)));
	return 0;
}
