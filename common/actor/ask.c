/* Questions that wait: found by id when the answer comes, by deadline when it does not. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "common/actor/internal.h"

static bool due_less(const void *a, const void *b)
{
	return ((const struct ask *)a)->deadline_at_ms < ((const struct ask *)b)->deadline_at_ms;
}

static void due_place(void *item, size_t index)
{
	((struct ask *)item)->place = index;
}

static struct ask **ask_bucket(struct asks *s, const uint8_t id[16])
{
	uint32_t h;
	memcpy(&h, id + 12, sizeof h); /* the end of an id counts up */
	return &s->buckets[(h ^ h >> 16 ^ h >> 24) % BUCKETS];
}

void asks_init(struct asks *s)
{
	memset(s, 0, sizeof *s);
	heap_init(&s->due, due_less, due_place);
}

void asks_fini(struct asks *s)
{
	struct ask *k;
	while ((k = heap_peek(&s->due)))
		ask_end(s, k);
	heap_fini(&s->due);
}

int ask_add(struct asks *s, const struct id *id, const char *to, uint64_t cookie, uint64_t deadline_at_ms, struct ask **ret)
{
	if (s->due.n >= ASKS_MAX)
		return ERROR_BUSY;
	struct ask *k = calloc(1, sizeof *k);
	if (!k)
		return -ENOMEM;
	k->id = *id;
	k->cookie = cookie;
	k->deadline_at_ms = deadline_at_ms;
	snprintf(k->to, sizeof k->to, "%s", to);
	int r = heap_push(&s->due, k);
	if (r) {
		free(k);
		return r;
	}
	struct ask **bucket = ask_bucket(s, id->b);
	k->next = *bucket;
	*bucket = k;
	*ret = k;
	return 0;
}

struct ask *ask_find(struct asks *s, const uint8_t id[16])
{
	for (struct ask *k = *ask_bucket(s, id); k; k = k->next)
		if (memcmp(k->id.b, id, sizeof k->id.b) == 0)
			return k;
	return NULL;
}

void ask_end(struct asks *s, struct ask *k)
{
	for (struct ask **at = ask_bucket(s, k->id.b); *at; at = &(*at)->next)
		if (*at == k) {
			*at = k->next;
			break;
		}
	heap_remove(&s->due, k->place);
	free(k);
}

void ask_fail(struct actor *a, struct ask *k, const struct error *e)
{
	struct event *ev = event_add(a, EVENT_ANSWER);
	if (!ev)
		return; /* the deadline tries again */
	ev->number = k->cookie;
	ev->error = *e;
	ask_end(&a->asks, k);
}

void ask_fail_peer(struct actor *a, uint64_t peer, const struct error *e)
{
	struct ask *next;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct ask *k = a->asks.buckets[i]; k; k = next) {
			next = k->next;
			if (k->peer == peer)
				ask_fail(a, k, e);
		}
}

uint64_t ask_tick(struct actor *a, uint64_t now_ms)
{
	struct ask *k;
	while ((k = heap_peek(&a->asks.due)) && k->deadline_at_ms <= now_ms) {
		struct error e = { 0 };
		error_set(&e, ERROR_TIMEOUT, "no answer from %s in time", k->to);
		error_retry(&e, 0);
		size_t before = a->asks.due.n;
		ask_fail(a, k, &e);
		if (a->asks.due.n == before)
			return now_ms + 100;
	}
	return k ? k->deadline_at_ms : TIME_NEVER;
}
