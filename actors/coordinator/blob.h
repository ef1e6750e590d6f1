#pragma once
/* Payloads above what a message carries: files named by what is in them, <state_dir>/blob/<sha256 in hexadecimal>, never changed, each with a row in table blob that
 * counts the tasks that name it.
 *
 * A client sends the bytes in order (BlobPut) into blob/tmp-<hash>-<number>; with the last byte the hash is compared, the file is synced, gets its name, the folder is synced, and
 * only then the row goes into the commit whose answer says complete. A Submit then names it, and its commit counts the use. So of what a commit names the bytes are on disk
 * already; what a crash leaves without a row is removed by the next start. A blob that no task names any more, or yet, is kept for an hour.
 *
 * This is the one place where a handler writes files. It must: the file has to be there before the commit that names it, and it stays nameless to everybody until then. The writes go
 * to the page cache, and write-back is begun as they come, so that the sync at the end, which holds up the loop, has little left to do: milliseconds for a few MiB. A file
 * is removed only after the commit that takes its row away. */
#include "actors/coordinator/ledger.h"

#define BLOB_MAX_DEFAULT (16ull << 20)
#define BLOB_CHUNK_MAX (256u * 1024) /* of one answer to BlobGet */
#define BLOB_KEEP_MS (3600u * 1000) /* unnamed */

struct blobs;
struct coordinator;

/* --- blob.c --- */
/* May a task name it: all of it is here. 0, a positive code with e filled (but its index), negative. */
int blob_check(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref, struct error *e);
int blob_use(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref);   /* one task more names it */
int blob_unuse(struct turn *t, struct coordinator *c, const Troupe__BlobRef *ref); /* one less */
int blob_due(struct turn *t, struct coordinator *c, struct slice sha256);
int blob_wake(struct turn *t, struct coordinator *c);  /* what the start has to look at, uploads that nobody goes on with */

/* --- blob_check.c: how often each is named --- */
struct blob_census;
int blob_census_new(struct store_txn *view, struct blob_census **ret); /* all rows. 0, ERROR_CORRUPT (some), negative */
struct blob_census *blob_census_free(struct blob_census *x);
const char *blob_census_task(struct blob_census *x, const Troupe__TaskSpec *spec); /* a task; what is wrong with it, or NULL */
void blob_census_end(const struct blob_census *x, const struct blobs *files, void (*complain)(void *ctx, const char *what), void *ctx); /* what does not fit */
