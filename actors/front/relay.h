#pragma once
/* Requests that wait for the supervisor's answer: a bounded table, pure. The caller gives the time and the numbers. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/actor/actor.h"

#define RELAY_MAX 1024u          /* of all clients */
#define RELAY_PEER_MAX 64u       /* of one connection */
#define RELAY_TIMEOUT_MS 30000u  /* where the asker named no time, and the most that one gets */

struct relay_entry { uint64_t ref; struct reply_to reply; uint64_t expires_at_ms; };
struct relay {
	struct relay_entry entries[RELAY_MAX]; /* in no order; the first n */
	size_t n;
	uint64_t last_ref;
	uint64_t relayed, refused, expired, late;
};

/* May one more request of that connection wait? */
bool relay_has_room(const struct relay *r, uint64_t peer);
uint64_t relay_next_ref(const struct relay *r);
/* Notes that the request with relay_next_ref was sent. There must be room. */
void relay_add(struct relay *r, const struct reply_to *reply, uint64_t now_ms);
/* The entry of ref, which is taken out. false: unknown, or answered too late. */
bool relay_take(struct relay *r, uint64_t ref, struct relay_entry *ret);
/* An entry whose time has come, which is taken out. */
bool relay_expire(struct relay *r, uint64_t now_ms, struct relay_entry *ret);
uint64_t relay_deadline_ms(const struct relay *r); /* the earliest; TIME_NEVER */
void relay_forget_peer(struct relay *r, uint64_t peer);
