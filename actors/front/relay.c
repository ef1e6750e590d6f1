#include <assert.h>
#include "actors/front/relay.h"
#include "common/base/clock.h"

bool relay_has_room(const struct relay *r, uint64_t peer)
{
	size_t of_peer = 0;
	for (size_t i = 0; i < r->n; i++)
		of_peer += r->entries[i].reply.peer == peer;
	return r->n < RELAY_MAX && of_peer < RELAY_PEER_MAX;
}

uint64_t relay_next_ref(const struct relay *r) { return r->last_ref + 1; }

void relay_add(struct relay *r, const struct reply_to *reply, uint64_t now_ms)
{
	assert(r->n < RELAY_MAX);
	uint64_t most_ms = now_ms + RELAY_TIMEOUT_MS;
	r->last_ref++;
	r->relayed++;
	r->entries[r->n++] = (struct relay_entry){
		.ref = r->last_ref,
		.reply = *reply,
		.expires_at_ms = reply->deadline_at_ms < most_ms ? reply->deadline_at_ms : most_ms,
	};
}

static void remove_at(struct relay *r, size_t i, struct relay_entry *ret)
{
	if (ret)
		*ret = r->entries[i];
	r->entries[i] = r->entries[--r->n];
}

bool relay_take(struct relay *r, uint64_t ref, struct relay_entry *ret)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->entries[i].ref == ref) {
			remove_at(r, i, ret);
			return true;
		}
	r->late++;
	return false;
}

bool relay_expire(struct relay *r, uint64_t now_ms, struct relay_entry *ret)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->entries[i].expires_at_ms <= now_ms) {
			remove_at(r, i, ret);
			r->expired++;
			return true;
		}
	return false;
}

uint64_t relay_deadline_ms(const struct relay *r)
{
	uint64_t least = TIME_NEVER;
	for (size_t i = 0; i < r->n; i++)
		if (r->entries[i].expires_at_ms < least)
			least = r->entries[i].expires_at_ms;
	return least;
}

void relay_forget_peer(struct relay *r, uint64_t peer)
{
	for (size_t i = r->n; i-- > 0;)
		if (r->entries[i].reply.peer == peer)
			remove_at(r, i, NULL);
}
