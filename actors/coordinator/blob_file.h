#pragma once
/* The files of large payloads (blob.h): on their way, under their names, and when they go. */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/error.h"
#include "common/base/sha256.h"

#define BLOB_FOLDER "blob"
#define UPLOADS_MAX 256u
#define UPLOAD_IDLE_MS (600u * 1000) /* without a byte: forgotten */
#define UPLOAD_STALE_MS (60u * 1000) /* gives way to another */
#define SWEEP_SLICE 256u             /* files that a turn after the start looks at */

/* Bytes on their way, of one principal: another's wrong bytes do not spoil them. */
struct upload {
	uint8_t sha256[SHA256_BYTES];
	uint64_t size, offset;       /* of the next byte that is wanted */
	uint64_t touched_ms, serial;
	struct sha256 hash;          /* of what is there */
	int fd;
	char subject[96];
};

struct blobs {
	const char *state_dir;
	int folder;                  /* -1: there is none yet */
	struct upload *uploads[UPLOADS_MAX];
	size_t n_uploads;
	uint64_t serial;
	uint8_t (*doomed)[SHA256_BYTES]; /* their rows go with this turn's commit */
	size_t n_doomed, room_doomed;
	bool placed;                 /* a file got its name in this turn */
	DIR *sweep;                  /* what the start has not looked at yet */
};

/* 0, or a code with a text. state_dir must live as long. */
int blobs_open(struct blobs *b, const char *state_dir, struct error *e);
void blobs_close(struct blobs *b);

/* The file under its name. 0 with its size, ERROR_NOT_FOUND, -errno. */
int blob_file_size(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t *ret);
/* All of len bytes from offset. 0, ERROR_NOT_FOUND, ERROR_CORRUPT (it ends before), -errno. */
int blob_file_read(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t offset, uint8_t *data, size_t len);

struct upload *upload_find(const struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t size, const char *subject);
/* 0, ERROR_BUSY, ERROR_DISK_LOW, ERROR_STORE, or what file_mkdir_p says. */
int upload_open(struct blobs *b, const uint8_t sha256[static SHA256_BYTES], uint64_t size, const char *subject, uint64_t now_ms, struct upload **ret, struct error *e);
void upload_drop(struct blobs *b, struct upload *u);                   /* with its file */
void upload_drop_all(struct blobs *b, const uint8_t sha256[static SHA256_BYTES]); /* of one hash, whoever sends it */
/* What of data, which begins at offset, is not there yet. Bytes behind a gap are left out. 0, ERROR_DISK_LOW, ERROR_STORE. */
int upload_add(struct upload *u, uint64_t offset, const uint8_t *data, size_t len, uint64_t now_ms, struct error *e);
/* All bytes are there: the file gets its name, durably, and the upload ends. 0; ERROR_BAD_REQUEST (the bytes are others), ERROR_DISK_LOW, ERROR_STORE: dropped; -errno of a sync:
 * fatal. */
int upload_place(struct blobs *b, struct upload *u, struct error *e);
/* Forgets those that nobody goes on with. The monotonic time of the next one; TIME_NEVER: there is none. */
uint64_t uploads_tick(struct blobs *b, uint64_t now_ms);

int blob_doom(struct blobs *b, const uint8_t sha256[static SHA256_BYTES]); /* 0 or -ENOMEM */
void blobs_committed(struct blobs *b);                                /* after the commit: the doomed go */
/* Looks at some files that the start found. known: has it a row. true while there are more. */
bool blobs_sweep(struct blobs *b, bool (*known)(void *ctx, const uint8_t sha256[static SHA256_BYTES]), void *ctx);
