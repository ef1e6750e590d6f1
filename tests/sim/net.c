#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

void fifo_add(struct fifo *f, const uint8_t *data, size_t len)
{
	struct packet *p = malloc(sizeof *p + len);
	if (!p)
		abort();
	p->next = NULL;
	p->len = len;
	memcpy(p->data, data, len);
	if (!f->head)
		f->tail = &f->head;
	*f->tail = p;
	f->tail = &p->next;
	f->n++;
}

struct packet *fifo_take(struct fifo *f)
{
	struct packet *p = f->head;
	if (!p)
		return NULL;
	f->head = p->next;
	f->n--;
	return p;
}

void fifo_clear(struct fifo *f)
{
	while (f->head)
		free(fifo_take(f));
}
