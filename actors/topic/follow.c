#include "actors/topic/follow.h"
#include <assert.h>
#include "common/base/clock.h"

bool follow_has_room(const struct follow *f, uint64_t peer)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		n += f->list[i].reply.peer == peer;
	return f->n < FOLLOWERS_MAX && n < FOLLOWERS_A_PEER;
}

void follow_add(struct follow *f, const struct follower *who)
{
	assert(f->n < FOLLOWERS_MAX);
	f->list[f->n++] = *who;
}

void follow_remove(struct follow *f, size_t index)
{
	assert(index < f->n);
	f->list[index] = f->list[--f->n];
}

void follow_forget_peer(struct follow *f, uint64_t peer)
{
	for (size_t i = f->n; i-- > 0;)
		if (f->list[i].reply.peer == peer)
			follow_remove(f, i);
}

uint64_t follow_due_ms(const struct follow *f)
{
	uint64_t due = TIME_NEVER;
	for (size_t i = 0; i < f->n; i++)
		if (f->list[i].until_ms < due)
			due = f->list[i].until_ms;
	return due;
}
