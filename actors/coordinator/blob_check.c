/* The table of large payloads against the tasks that name them and the files that hold them: for check_store. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/blob.h"
#include "actors/coordinator/blob_file.h"
#include "actors/coordinator/grow.h"

struct blob_count { uint8_t sha256[SHA256_BYTES]; uint64_t size; uint32_t uses, found; };
struct blob_census { struct blob_count *all; size_t n, room; struct arena *arena; int error; };

struct blob_census *blob_census_free(struct blob_census *x)
{
	if (!x)
		return NULL;
	arena_unref(x->arena);
	free(x->all);
	free(x);
	return NULL;
}

static int count_row(void *ctx, struct slice key, struct slice value)
{
	struct blob_census *x = ctx;
	Troupe__BlobRecord *rec;
	arena_reset(x->arena);
	if (!GROW(x->all, x->room, x->n + 1)) {
		x->error = -ENOMEM;
		return 1;
	}
	if (key.len != SHA256_BYTES)
		return 0;
	struct blob_count *b = &x->all[x->n++]; /* in the order of the keys */
	*b = (struct blob_count){ 0 };
	memcpy(b->sha256, key.data, key.len);
	if (row_decode(x->arena, value, &troupe__blob_record__descriptor, (ProtobufCMessage **)&rec) == 0 && rec->complete) {
		b->size = rec->size;
		b->uses = rec->uses;
	}
	return 0;
}

int blob_census_new(struct store_txn *view, struct blob_census **ret)
{
	static const uint8_t first = 0;
	struct blob_census *x = calloc(1, sizeof *x);
	if (!x || !(x->arena = arena_new(64u << 10))) {
		blob_census_free(x);
		return -ENOMEM;
	}
	int r = store_scan(view, T_BLOB, SLICE(&first, 1), false, count_row, x);
	if (x->error || r < 0) {
		r = x->error ? x->error : r;
		blob_census_free(x);
		return r;
	}
	*ret = x;
	return r == ERROR_CORRUPT ? r : 0;
}

static int by_hash(const void *key, const void *row)
{
	return memcmp(key, ((const struct blob_count *)row)->sha256, SHA256_BYTES);
}

const char *blob_census_task(struct blob_census *x, const Troupe__TaskSpec *spec)
{
	if (!spec->blob)
		return NULL;
	struct blob_count *b = spec->blob->sha256.len == SHA256_BYTES && x->n ? bsearch(spec->blob->sha256.data, x->all, x->n, sizeof *x->all, by_hash) : NULL;
	if (!b)
		return "the row of its payload is not there";
	b->found++;
	return b->size == spec->blob->size ? NULL : "its payload has another size than its row says";
}

void blob_census_end(const struct blob_census *x, const struct blobs *files, void (*complain)(void *ctx, const char *what), void *ctx)
{
	char hex[SHA256_TEXT], text[200];
	for (size_t i = 0; i < x->n; i++) {
		const struct blob_count *b = &x->all[i];
		uint64_t size = 0;
		sha256_format(b->sha256, hex);
		int r = blob_file_size(files, b->sha256, &size);
		if (b->found != b->uses) {
			snprintf(text, sizeof text, "payload %s counts %u tasks, there are %u", hex, b->uses, b->found);
			complain(ctx, text);
		}
		if (r)
			snprintf(text, sizeof text, "payload %s has no file", hex);
		else
			snprintf(text, sizeof text, "the file of payload %s has %" PRIu64 " bytes, its row says %" PRIu64, hex, size, b->size);
		if (r || size != b->size)
			complain(ctx, text);
	}
}
