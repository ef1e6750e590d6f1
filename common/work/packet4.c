#include "common/work/packet4.h"

#include <errno.h>
#include <string.h>

#include "common/wire/codec.h"
#include "proto/program.pb-c.h"

#define AFTER_MAX_MS (UINT64_C(3650) * 24 * 3600 * 1000) /* as a duration in text */

/* --- from the program --- */

static int read_id(ProtobufCBinaryData d, struct id *ret, struct error *e)
{
	if (d.len != sizeof(ret->b))
		return error_set(e, ERROR_BAD_REQUEST, "an id of %zu bytes, not %zu", d.len, sizeof(ret->b));
	memcpy(ret->b, d.data, sizeof(ret->b));
	return 0;
}

static int read_hello(const Troupe__ProgramHello *m, struct program_message *ret, struct error *e)
{
	if (m->version != PROGRAM_VERSION)
		return error_set(e, ERROR_VERSION, "the program speaks version %u of the packet4 protocol, this worker version %d", m->version, PROGRAM_VERSION);
	if (m->max > PROGRAM_MAX_TASKS)
		return error_set(e, ERROR_BAD_REQUEST, "max is %u, above %d", m->max, PROGRAM_MAX_TASKS);
	ret->kind = PROGRAM_HELLO;
	ret->max = m->max ? m->max : 1;
	return 0;
}

static int read_done(const Troupe__ProgramDone *m, struct program_message *ret, struct error *e)
{
	ret->kind = PROGRAM_DONE;
	ret->result = m->result.len ? (const char *)m->result.data : "";
	ret->result_len = m->result.len;
	return read_id(m->id, &ret->id, e);
}

static int read_fail(const Troupe__ProgramFail *m, struct program_message *ret, struct error *e)
{
	if (m->after_ms > AFTER_MAX_MS)
		return error_set(e, ERROR_BAD_REQUEST, "after_ms is longer than 10 years");
	ret->kind = PROGRAM_FAIL;
	ret->retry = !m->final;
	ret->after_ms = m->after_ms;
	program_text(ret->text, m->error, strlen(m->error));
	return read_id(m->id, &ret->id, e);
}

static int read_progress(const Troupe__ProgramProgress *m, struct program_message *ret, struct error *e)
{
	if (m->percent > 100)
		return error_set(e, ERROR_BAD_REQUEST, "percent is %u, above 100", m->percent);
	ret->kind = PROGRAM_PROGRESS;
	ret->percent = m->percent;
	program_text(ret->text, m->note, strlen(m->note));
	return read_id(m->id, &ret->id, e);
}

int packet4_read(const uint8_t *body, size_t len, struct arena *arena, struct program_message *ret, struct error *e)
{
	ProtobufCMessage *base;
	arena_reset(arena);
	int r = message_decode(&troupe__from_program__descriptor, body, len, arena, &base, e);
	if (r)
		return r;
	const Troupe__FromProgram *m = (const Troupe__FromProgram *)base;
	switch (m->body_case) {
	case TROUPE__FROM_PROGRAM__BODY_HELLO:
		return read_hello(m->hello, ret, e);
	case TROUPE__FROM_PROGRAM__BODY_DONE:
		return read_done(m->done, ret, e);
	case TROUPE__FROM_PROGRAM__BODY_FAIL:
		return read_fail(m->fail, ret, e);
	case TROUPE__FROM_PROGRAM__BODY_PROGRESS:
		return read_progress(m->progress, ret, e);
	case TROUPE__FROM_PROGRAM__BODY_BEAT:
		ret->kind = PROGRAM_BEAT;
		return 0;
	case TROUPE__FROM_PROGRAM__BODY__NOT_SET:
	case _TROUPE__FROM_PROGRAM__BODY__CASE_IS_INT_SIZE:
		break;
	}
	return error_set(e, ERROR_BAD_REQUEST, "neither hello, done, fail, progress nor beat");
}

/* --- from the pipe --- */

static uint32_t length_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum program_heard next(struct program_reader *r, struct program_message *ret, struct error *e)
{
	struct buffer *b = &r->in;
	if (buffer_len(b) < PACKET4_HEAD)
		return PROGRAM_NOTHING;
	const uint8_t *packet = (const uint8_t *)b->data + b->from;
	uint32_t len = length_get(packet);
	if (len > r->message_max) {
		error_set(e, ERROR_TOO_LARGE, "what the program writes is no packet4: a length of %u bytes, above %zu", len, r->message_max);
		return PROGRAM_LOST;
	}
	if (buffer_len(b) < PACKET4_HEAD + (size_t)len)
		return PROGRAM_NOTHING;
	r->stray = (const char *)packet + PACKET4_HEAD;
	r->stray_len = len;
	int code = packet4_read(packet + PACKET4_HEAD, len, r->arena, ret, e);
	buffer_take(b, PACKET4_HEAD + len);
	if (code == 0)
		return PROGRAM_MESSAGE;
	return code == ERROR_VERSION ? PROGRAM_OTHER_VERSION : PROGRAM_STRAY;
}

/* --- to the program --- */

static void length_put(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)(n >> 24);
	p[1] = (uint8_t)(n >> 16);
	p[2] = (uint8_t)(n >> 8);
	p[3] = (uint8_t)n;
}

static int put(struct buffer *b, const Troupe__ToProgram *m)
{
	size_t len = troupe__to_program__get_packed_size(m);
	if (len > UINT32_MAX)
		return -ENOMEM;
	int r = buffer_reserve(b, PACKET4_HEAD + len);
	if (r)
		return r;
	uint8_t *at = (uint8_t *)b->data + b->to;
	length_put(at, (uint32_t)len);
	troupe__to_program__pack(m, at + PACKET4_HEAD);
	b->to += PACKET4_HEAD + len;
	return 0;
}

static ProtobufCBinaryData id_data(const struct id *id)
{
	return (ProtobufCBinaryData){ sizeof(id->b), (uint8_t *)id->b };
}

static int write_task(struct buffer *b, const struct program_task *t)
{
	Troupe__ToProgram m = TROUPE__TO_PROGRAM__INIT;
	Troupe__ProgramTask task = TROUPE__PROGRAM_TASK__INIT;
	task.id = id_data(&t->id);
	task.token = t->token;
	task.queue = (char *)t->queue;
	if (t->payload_file)
		task.payload_file = (char *)t->payload_file;
	else
		task.payload = (ProtobufCBinaryData){ t->payload_len, (uint8_t *)t->payload };
	task.content_type = (char *)t->content_type;
	task.attempt = t->attempt;
	task.max_attempts = t->max_attempts;
	task.deadline_ms = t->deadline_ms;
	task.tags = (char **)t->tags;
	task.n_tags = t->n_tags;
	task.traceparent = (char *)t->traceparent;
	m.body_case = TROUPE__TO_PROGRAM__BODY_TASK;
	m.task = &task;
	return put(b, &m);
}

static int write_cancel(struct buffer *b, const struct id *id)
{
	Troupe__ToProgram m = TROUPE__TO_PROGRAM__INIT;
	Troupe__ProgramCancel cancel = TROUPE__PROGRAM_CANCEL__INIT;
	cancel.id = id_data(id);
	m.body_case = TROUPE__TO_PROGRAM__BODY_CANCEL;
	m.cancel = &cancel;
	return put(b, &m);
}

static int write_quit(struct buffer *b)
{
	Troupe__ToProgram m = TROUPE__TO_PROGRAM__INIT;
	Troupe__ProgramQuit quit = TROUPE__PROGRAM_QUIT__INIT;
	m.body_case = TROUPE__TO_PROGRAM__BODY_QUIT;
	m.quit = &quit;
	return put(b, &m);
}

const struct program_codec packet4_codec = { .mode = "packet4", .write_task = write_task, .write_cancel = write_cancel, .write_quit = write_quit, .next = next };
