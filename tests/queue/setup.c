/* Lines that are no message: the configuration before the first stimulus, the clocks, the disk, and the death of the coordinator. */
#include <string.h>
#include <time.h>
#include "tests/queue/play.h"

/* --- set-up --- */

static uint64_t date_ms(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end)
		wrong("%s is no time: write 2024-03-31T00:30:00Z", text);
	return (uint64_t)timegm(&tm) * 1000;
}

static void set_policy(struct play *p, struct words *w, Troupe__QueuePolicy *policy)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->all[i].value && !w->all[i].taken) {
			if (!field_set(p->arena, policy, w->all[i].text, w->all[i].value))
				wrong("%s is no field of a queue's policy", w->all[i].text);
			w->all[i].taken = true;
		}
}

static void set_global(struct play *p, struct words *w)
{
	const char *value;
	Troupe__CoordinatorSetup *c = &p->s->coordinator_setup;
	if ((value = word_value(w, "concurrency")))
		c->concurrency = (uint32_t)value_number(value);
	if ((value = word_value(w, "auto_create_queues")))
		c->auto_create_queues = VALUE_WORD(value, "answer", "no", "yes");
	if ((value = word_value(w, "keep_final")))
		c->keep_final_ms = value_ms(value);
	if ((value = word_value(w, "keep_log")))
		c->keep_log_bytes = value_bytes(value);
	if ((value = word_value(w, "payload")))
		p->s->limits.payload = value_bytes(value);
}

static void set_client(struct play *p, struct words *w)
{
	struct client *c = client_named(p, word_need(w, "the client's name"));
	const char *role = word_value(w, "role");
	if (role)
		c->role = (Troupe__Role)VALUE_WORD(role, "role", "none", "viewer", "submitter", "operator", "admin");
}

bool set_up(struct play *p, const char *verb, struct words *w, bool arrow)
{
	bool queue = strcmp(verb, "queue") == 0 && !arrow && !p->s->c;
	bool before = queue || strcmp(verb, "seed") == 0 || strcmp(verb, "clock") == 0 || strcmp(verb, "global") == 0 || strcmp(verb, "defaults") == 0;
	if (before && p->s->c)
		wrong("%s must stand before the first stimulus", verb);
	if (queue)
		set_policy(p, w, stage_queue(p->s, word_need(w, "the queue's name")));
	else if (strcmp(verb, "seed") == 0)
		p->s->seed = value_number(word_need(w, "the number"));
	else if (strcmp(verb, "clock") == 0)
		p->s->wall_ms = date_ms(word_need(w, "the time"));
	else if (strcmp(verb, "global") == 0)
		set_global(p, w);
	else if (strcmp(verb, "defaults") == 0)
		set_policy(p, w, &p->s->defaults);
	else if (strcmp(verb, "client") == 0)
		set_client(p, w);
	else
		return false;
	return true;
}

/* --- time, and the death of the coordinator --- */

static void set_wall(struct play *p, struct words *w)
{
	const char *by = word_need(w, "by how much");
	if (*by == '+')
		p->s->wall_ms += value_ms(by + 1);
	else if (*by == '-')
		p->s->wall_ms -= value_ms(by + 1);
	else
		p->s->wall_ms = date_ms(by);
}

static void set_disk(struct play *p, struct words *w)
{
	int how = VALUE_WORD(word_need(w, "how full"), "state of a disk", "free", "low", "full");
	p->s->coordinator_setup.low_water_pct = how == 0 ? 0 : how == 1 ? 100 : 1000;
	p->s->coordinator_setup.low_water_bytes = how == 0 ? 0 : UINT64_MAX;
}

static void restart(struct play *p, struct words *w)
{
	const char *after = word_value(w, "after");
	bool alone = word_flag(w, "alone");
	if (after)
		stage_clock(p->s, value_ms(after));
	world_crash(p);
	for (struct life *l = p->lives; l && alone; l = l->next)
		l->away |= l->alive;
	world_back(p, !alone);
}

bool do_time(struct play *p, const char *verb, struct words *w)
{
	if (strcmp(verb, "wait") == 0)
		turns_wait(p, value_ms(word_need(w, "how long")));
	else if (strcmp(verb, "wall") == 0)
		set_wall(p, w);
	else if (strcmp(verb, "disk") == 0)
		set_disk(p, w);
	else if (strcmp(verb, "restart") == 0)
		restart(p, w);
	else
		return false;
	return true;
}
