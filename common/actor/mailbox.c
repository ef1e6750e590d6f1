/* Messages that wait for their turn: one FIFO per urgency, so first come is first served inside one (sender, urgency).
 *
 * A frame's envelopes share the frame's arena and one block of list nodes: one malloc a frame, not one a message. The price is that a frame is kept
 * whole until its last message is handled, so the mailbox counts bytes by what a frame takes in memory, not by what it took on the wire. */
#include <errno.h>
#include "common/actor/internal.h"

void mailbox_init(struct mailbox *b, size_t n_max, size_t bytes_max)
{
	*b = (struct mailbox){ .n_max = n_max, .bytes_max = bytes_max };
	for (int i = 0; i < LANES; i++)
		b->tail[i] = &b->head[i];
}

void mailbox_fini(struct mailbox *b)
{
	struct mail *m;
	while ((m = mailbox_pop(b)))
		mail_free(m);
}

int urgency_lane(Troupe__Urgency u)
{
	switch ((int)u) { /* a number from the wire */
	case TROUPE__URGENCY__SUPERVISION:
		return 0;
	case TROUPE__URGENCY__CONTROL:
		return 1;
	case TROUPE__URGENCY__BULK:
		return 3;
	case TROUPE__URGENCY__BACKGROUND:
		return 4;
	default:
		return 2;
	}
}

bool kind_costs_credit(Troupe__Kind k)
{
	return k == TROUPE__KIND__ASK || k == TROUPE__KIND__TELL || k == TROUPE__KIND__EVENT;
}

int mailbox_add(struct mailbox *b, struct conn *c, struct arena *a, Troupe__Envelope **env, size_t n, uint64_t now_ms)
{
	if (!n)
		return 0;
	struct mail_batch *batch = malloc(sizeof *batch + n * sizeof batch->mails[0]);
	if (!batch)
		return -ENOMEM;
	batch->arena = arena_ref(a);
	batch->left = (unsigned)n;
	size_t bytes = arena_used(a) / n + sizeof(struct mail);
	for (size_t i = 0; i < n; i++) {
		struct mail *m = &batch->mails[i];
		*m = (struct mail){ .batch = batch, .env = env[i], .conn = c, .received_ms = now_ms, .bytes = bytes };
		int lane = urgency_lane(env[i]->priority);
		*b->tail[lane] = m;
		b->tail[lane] = &m->next;
	}
	b->n += n;
	b->bytes += n * bytes;
	return 0;
}

struct mail *mailbox_peek(const struct mailbox *b)
{
	for (int i = 0; i < LANES; i++)
		if (b->head[i])
			return b->head[i];
	return NULL;
}

struct mail *mailbox_pop(struct mailbox *b)
{
	for (int i = 0; i < LANES; i++) {
		struct mail *m = b->head[i];
		if (!m)
			continue;
		if (!(b->head[i] = m->next))
			b->tail[i] = &b->head[i];
		m->next = NULL;
		b->n--;
		b->bytes -= m->bytes;
		return m;
	}
	return NULL;
}

bool mailbox_full(const struct mailbox *b)
{
	return b->n >= b->n_max || b->bytes >= b->bytes_max;
}

bool mailbox_half(const struct mailbox *b)
{
	return b->n <= b->n_max / 2 && b->bytes <= b->bytes_max / 2;
}

bool mailbox_overrun(const struct mailbox *b)
{
	return b->n / 2 >= b->n_max || b->bytes / 2 >= b->bytes_max;
}

void mail_free(struct mail *m)
{
	struct mail_batch *batch = m->batch;
	if (--batch->left)
		return;
	arena_unref(batch->arena);
	free(batch);
}
