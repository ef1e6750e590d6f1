/* Cron entries and the clock. All of them are looked at, a slice a turn, when the coordinator has started, when the clock was set back by more than a day, and
 * when a zone's file has changed: is the time that was written down still the next one? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/coordinator/coordinator.h"
#include "actors/coordinator/crons.h"
#include "actors/coordinator/due.h"
#include "actors/coordinator/queue.h"
#include "common/base/log.h"

#define SCAN_ROWS 1000u
#define SCAN_BYTES (8u << 20)
#define RECORD_ARENA (4u << 20)

int crons_open(struct coordinator *c, struct store_txn *view)
{
	struct crons *k = calloc(1, sizeof *k);
	if (!k)
		return -ENOMEM;
	c->crons = k;
	if (!(k->zones = zones_new()))
		return -ENOMEM;
	int r = store_count(view, T_CRON, &k->n);
	k->scanning = k->n > 0;
	return r;
}

void crons_free(struct coordinator *c)
{
	if (c->crons)
		zones_free(c->crons->zones);
	free(c->crons);
	c->crons = NULL;
}

struct scan { struct turn *t; struct coordinator *c; struct arena *arena; char **names; size_t n, rows, bytes; int error; };

/* The time that the row in table at should have; TIME_NEVER: none. */
static int due_of(struct scan *s, const Troupe__CronRecord *rec, uint64_t *ret)
{
	struct error e = { 0 };
	uint64_t wall = turn_wall_ms(s->t), seen_ms = rec->seen_ms > wall + CRON_DAY_MS ? wall : rec->seen_ms;
	*ret = TIME_NEVER;
	if (rec->cron->paused)
		return 0;
	int r = entry_next(s->t, s->c, rec->cron->spec, seen_ms, ret, &e);
	if (r > 0) /* nothing is known but when it was to be looked at again */
		*ret = rec->cron->next_at_ms && rec->cron->next_at_ms <= wall + CRON_DAY_MS ? rec->cron->next_at_ms : wall;
	return r < 0 ? r : 0;
}

static bool has_row(struct turn *t, uint64_t at_ms, uint32_t number)
{
	struct slice value, key = key_due(turn_arena(t), at_ms, DUE_NUMBER(DUE_CRON, number));
	return key.data && turn_get(t, T_AT, key, &value) == 0;
}

static int look(void *ctx, struct slice key, struct slice value)
{
	struct scan *s = ctx;
	struct crons *k = s->c->crons;
	Troupe__CronRecord *rec;
	uint64_t at_ms;
	arena_reset(s->arena);
	if (key.len > NAME_MAX_BYTES || s->rows == SCAN_ROWS || s->bytes > SCAN_BYTES)
		return 1;
	memcpy(k->cursor, key.data, key.len);
	k->cursor[key.len] = '\0';
	s->rows++;
	s->bytes += value.len;
	if (row_decode(s->arena, value, &troupe__cron_record__descriptor, (ProtobufCMessage **)&rec) || !rec->cron || !rec->cron->spec || !rec->cron->spec->task) {
		log_error("the record of a cron entry is damaged: it does not run");
		return 0;
	}
	s->error = due_of(s, rec, &at_ms);
	uint64_t has_ms = rec->cron->next_at_ms ? rec->cron->next_at_ms : TIME_NEVER;
	if (!s->error && at_ms == has_ms && (at_ms == TIME_NEVER || has_row(s->t, at_ms, rec->number)))
		return 0;
	if (!s->error && !(s->names[s->n++] = arena_string(turn_arena(s->t), k->cursor)))
		s->error = -ENOMEM;
	return s->error != 0;
}

static int repair(struct scan *s, const char *name)
{
	Troupe__CronRecord *rec;
	uint64_t at_ms, wall = turn_wall_ms(s->t);
	int r = entry_get(s->t, SLICE_STR(name), &rec);
	if (!r)
		r = due_of(s, rec, &at_ms);
	if (r)
		return r < 0 ? r : 0;
	if (rec->seen_ms > wall + CRON_DAY_MS)
		rec->seen_ms = wall;
	r = entry_arm(s->t, s->c, rec, at_ms);
	return r ? r : entry_put(s->t, rec);
}

/* A row whose checksum fails stops the walk: it is named, and the walk goes on behind it. */
static bool step_over(struct store_txn *view, struct crons *k, struct slice from)
{
	struct slice key, value;
	if (store_seek(view, T_CRON, from, false, &key, &value) != ERROR_CORRUPT || key.len > NAME_MAX_BYTES)
		return false;
	memcpy(k->cursor, key.data, key.len);
	k->cursor[key.len] = '\0';
	log_error("the record of a cron entry is damaged: it does not run", LOG_S("cron", k->cursor));
	return true;
}

/* Behind the cursor is what begins with it and has a byte more: names have none below '+'. */
static struct slice behind(const struct crons *k, char out[static NAME_MAX_BYTES + 2])
{
	return SLICE(out, (size_t)snprintf(out, NAME_MAX_BYTES + 2, "%s\x01", k->cursor));
}

static int scan_slice(struct turn *t, struct coordinator *c)
{
	struct crons *k = c->crons;
	struct store_txn *view = turn_view(t);
	struct scan s = { .t = t, .c = c, .names = arena_alloc(turn_arena(t), SCAN_ROWS * sizeof(char *)), .arena = arena_new(RECORD_ARENA) };
	char from[NAME_MAX_BYTES + 2];
	k->scanning = false; /* a changed zone sets it, and the scan begins again */
	int r = s.names && s.arena && view ? store_scan(view, T_CRON, behind(k, from), false, look, &s) : -ENOMEM;
	arena_unref(s.arena);
	if (r < 0 || s.error)
		return r < 0 ? r : s.error;
	bool more = r == 1 || (r == ERROR_CORRUPT && step_over(view, k, behind(k, from)));
	if (k->scanning) {
		k->cursor[0] = '\0';
		more = true;
	}
	r = 0;
	for (size_t i = 0; i < s.n && !r; i++)
		r = repair(&s, s.names[i]);
	k->scanning = more;
	c->again |= more;
	return r;
}

int crons_tick(struct turn *t, struct coordinator *c)
{
	struct crons *k = c->crons;
	uint64_t wall = turn_wall_ms(t);
	k->turn_tasks = k->turn_bytes = 0;
	if (k->high_ms > wall + CRON_DAY_MS && k->n) {
		log_warn("the clock was set back by more than a day: cron entries follow it");
		k->scanning = true;
		k->cursor[0] = '\0';
		k->high_ms = wall;
	}
	if (k->high_ms < wall)
		k->high_ms = wall;
	return k->scanning ? scan_slice(t, c) : 0;
}
