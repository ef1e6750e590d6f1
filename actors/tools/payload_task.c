/* Payloads of tasks that are written down: those too large for a submit go ahead of it. */
#include <errno.h>
#include "actors/tools/payload.h"

static int send_ahead(struct tool *t, const struct payload *p, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	struct payload_ref *ref = arena_alloc(a, sizeof *ref);
	if (!ref)
		return -ENOMEM;
	task->payload = (ProtobufCBinaryData){ 0, NULL };
	task->blob = &ref->ref;
	return payload_send(t, p, true, ref, e);
}

int payload_task_inline(struct tool *t, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	struct payload p = payload_of(task->payload.data, task->payload.len);
	return p.size > PAYLOAD_INLINE_MAX ? send_ahead(t, &p, a, task, e) : 0;
}

int payload_task_file(struct tool *t, const char *path, struct arena *a, Troupe__TaskSpec *task, struct error *e)
{
	struct payload p;
	int r = payload_read(path, &p, e);
	if (r)
		return r;
	if (p.size > PAYLOAD_INLINE_MAX) {
		r = send_ahead(t, &p, a, task, e);
	} else {
		task->payload = (ProtobufCBinaryData){ p.size, arena_copy(a, p.data, p.size) };
		r = task->payload.data || !p.size ? 0 : -ENOMEM;
	}
	payload_close(&p);
	return r;
}
