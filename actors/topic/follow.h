#pragma once
/* Who waits for the next event: a bounded table. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/actor/actor.h"

#define FOLLOWERS_MAX 1024u
#define FOLLOWERS_A_PEER 16u
#define FOLLOW_PREFIX_MAX 63u

struct follower {
	struct reply_to reply;
	uint64_t after;         /* the last offset that it has seen, or that did not concern it */
	uint64_t until_ms;
	uint32_t limit;
	char type_prefix[FOLLOW_PREFIX_MAX + 1];
};
struct follow { struct follower list[FOLLOWERS_MAX]; size_t n; };

bool follow_has_room(const struct follow *f, uint64_t peer);
void follow_add(struct follow *f, const struct follower *who); /* there must be room */
void follow_remove(struct follow *f, size_t index);            /* the last one takes its place */
void follow_forget_peer(struct follow *f, uint64_t peer);
uint64_t follow_due_ms(const struct follow *f);                /* TIME_NEVER when nobody waits */
