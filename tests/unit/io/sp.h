#pragma once
/* A plain socket that speaks SP's framing with Frames of ours: the other end of a peer that must misbehave, or that knows nothing but the format. */
#include "common/wire/codec.h"
#include "tests/unit/io/until.h"

static const uint8_t sp_hello[8] = { 0, 'S', 'P', 0, 0, 0x10, 0, 0 };

static inline size_t sp_head(uint8_t *at, uint64_t len)
{
	at[0] = 1;
	for (int i = 0; i < 8; i++)
		at[1 + i] = (uint8_t)(len >> (56 - 8 * i));
	return 9;
}

static inline void sp_write(int fd, const void *data, size_t len)
{
	uint8_t head[9];
	fd_write(fd, head, sp_head(head, len));
	fd_write(fd, data, len);
}

static inline void sp_write_frame(int fd, const Troupe__Frame *f)
{
	uint8_t *data = malloc(troupe__frame__get_packed_size(f) + 1);
	size_t len = troupe__frame__pack(f, data);
	sp_write(fd, data, len);
	free(data);
}

/* What a plain socket has read. */
struct sp_reader { uint8_t data[65536]; size_t have; bool greeted, ended; };

static inline void sp_fill(int fd, struct sp_reader *r)
{
	ssize_t n = recv(fd, r->data + r->have, sizeof(r->data) - r->have, MSG_DONTWAIT);
	if (n > 0)
		r->have += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		r->ended = true;
}

/* The next frame, or NULL while there is none. The caller frees it. */
static inline Troupe__Frame *sp_read_frame(int fd, struct sp_reader *r)
{
	sp_fill(fd, r);
	if (!r->greeted && r->have >= 8) {
		ck_assert_mem_eq(r->data, sp_hello, 8);
		r->greeted = true;
		memmove(r->data, r->data + 8, r->have -= 8);
	}
	if (!r->greeted || r->have < 9)
		return NULL;
	ck_assert_uint_eq(r->data[0], 1);
	uint64_t len = 0;
	for (int i = 1; i < 9; i++)
		len = len << 8 | r->data[i];
	if (r->have < 9 + len)
		return NULL;
	Troupe__Frame *f = troupe__frame__unpack(NULL, len, r->data + 9);
	ck_assert_ptr_nonnull(f);
	memmove(r->data, r->data + 9 + len, r->have -= 9 + len);
	return f;
}
