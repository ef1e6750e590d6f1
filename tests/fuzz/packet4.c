/* The packet4 protocol: what a program writes, whole and in pieces; and what is written to one, read again. The first two bytes choose the border of the pieces. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/work/packet4.h"
#include "proto/program.pb-c.h"
#include "tests/fuzz/fuzz.h"

#define MAX 4096u

static void put(struct program_reader *r, const uint8_t *data, size_t len)
{
	assert(buffer_reserve(&r->in, len + 1) == 0);
	if (len)
		memcpy(r->in.data + r->in.to, data, len);
	r->in.to += len;
}

static void look(const struct program_reader *r, const struct program_message *m)
{
	if (m->kind == PROGRAM_HELLO)
		assert(m->max >= 1 && m->max <= PROGRAM_MAX_TASKS);
	if (m->kind == PROGRAM_DONE)
		assert(m->result && m->result_len <= r->message_max);
	if (m->kind == PROGRAM_FAIL || m->kind == PROGRAM_PROGRESS)
		assert(strlen(m->text) <= PROGRAM_TEXT_MAX);
	if (m->kind == PROGRAM_PROGRESS)
		assert(m->percent <= 100);
}

struct sum { unsigned heard[PROGRAM_LOST + 1]; size_t bytes; };

static void hear(struct program_reader *r, struct sum *s)
{
	struct program_message m;
	struct error e;
	enum program_heard h;
	while (!s->heard[PROGRAM_LOST] && (h = packet4_codec.next(r, &m, &e)) != PROGRAM_NOTHING) {
		s->heard[h]++;
		if (h == PROGRAM_MESSAGE)
			look(r, &m);
		if (h == PROGRAM_MESSAGE && m.kind == PROGRAM_DONE)
			s->bytes += m.result_len;
		if (h == PROGRAM_STRAY || h == PROGRAM_OTHER_VERSION)
			assert(r->stray_len <= r->message_max);
	}
}

static struct sum listen(const uint8_t *data, size_t size, size_t piece)
{
	struct program_reader r;
	struct sum s = { 0 };
	assert(program_reader_init(&r, MAX) == 0);
	for (size_t at = 0; at < size; at += piece) {
		put(&r, data + at, size - at < piece ? size - at : piece);
		hear(&r, &s);
	}
	program_reader_fini(&r);
	return s;
}

/* What is written can be read, and is the payload. */
static void write_task(const uint8_t *data, size_t size)
{
	struct buffer b = { 0 };
	const struct program_task t = { .id = { { 1 } }, .token = size, .queue = "q", .content_type = "", .traceparent = "", .payload = data, .payload_len = size };
	assert(packet4_codec.write_task(&b, &t) == 0);
	const uint8_t *p = (const uint8_t *)b.data;
	size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	assert(buffer_len(&b) == PACKET4_HEAD + len);
	Troupe__ToProgram *m = troupe__to_program__unpack(NULL, len, p + PACKET4_HEAD);
	assert(m && m->body_case == TROUPE__TO_PROGRAM__BODY_TASK && m->task->token == size);
	assert(m->task->payload.len == size && (!size || memcmp(m->task->payload.data, data, size) == 0));
	troupe__to_program__free_unpacked(m, NULL);
	buffer_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t piece = 1 + (data[0] | (size_t)data[1] << 8) % 512;
	struct sum whole = listen(data + 2, size - 2, size), pieces = listen(data + 2, size - 2, piece);
	assert(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	write_task(data + 2, size - 2);
	return 0;
}
