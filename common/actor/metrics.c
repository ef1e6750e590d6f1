/* What the runtime counts of itself, as samples; the behaviour adds its own behind them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/actor/internal.h"

#define SAMPLES_MAX 4096 /* of one answer: half a frame */
#define SAMPLES_FIRST 64

const double commit_bounds[11] = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 10 };

void metrics_commit(struct counters *c, uint64_t us)
{
	size_t i = 0;
	while (i < ELEMENTS(commit_bounds) && (double)us > commit_bounds[i] * 1e6)
		i++;
	c->commit_buckets[i]++;
	c->commits++;
	c->commit_us += us;
}

/* Room for one more: the list doubles, in the turn's arena. */
static bool sample_room(struct turn *t, Troupe__Metrics *out)
{
	size_t n = out->n_samples;
	if (n == SAMPLES_MAX)
		return false;
	if (n && (n < SAMPLES_FIRST || (n & (n - 1))))
		return true;
	Troupe__Sample **list = arena_alloc(t->arena, (n ? 2 * n : SAMPLES_FIRST) * sizeof *list);
	if (!list)
		return false;
	if (n)
		memcpy(list, out->samples, n * sizeof *list);
	out->samples = list;
	return true;
}

void turn_sample_labelled(struct turn *t, Troupe__Metrics *out, const char *name, Troupe__Sample__Type type, const char *help, double value, const char *key1, const char *value1,
                 const char *key2, const char *value2)
{
	struct { Troupe__Sample sample; Troupe__Pair pairs[3]; Troupe__Pair *labels[3]; } *m = arena_alloc(t->arena, sizeof *m);
	const char *const keys[] = { "actor", key1, key2 }, *const values[] = { t->actor ? t->actor->address : "", value1, value2 };
	if (!m || !sample_room(t, out))
		return;
	troupe__sample__init(&m->sample);
	for (size_t i = 0; i < ELEMENTS(keys) && keys[i]; i++) {
		troupe__pair__init(&m->pairs[i]);
		m->pairs[i].key = (char *)keys[i];
		m->pairs[i].value = (char *)values[i];
		m->labels[m->sample.n_labels++] = &m->pairs[i];
	}
	m->sample.name = (char *)name;
	m->sample.type = type;
	m->sample.help = (char *)help;
	m->sample.value = value;
	m->sample.labels = m->labels;
	out->samples[out->n_samples++] = &m->sample;
}

void turn_sample(struct turn *t, Troupe__Metrics *out, const char *name, Troupe__Sample__Type type, const char *help, double value)
{
	turn_sample_labelled(t, out, name, type, help, value, NULL, NULL, NULL, NULL);
}

static void add_commits(struct turn *t, Troupe__Metrics *out, const struct counters *c)
{
	static const char *const name = "troupe_store_commit_seconds";
	uint64_t sum = 0;
	for (size_t i = 0; i < ELEMENTS(c->commit_buckets); i++) {
		sum += c->commit_buckets[i];
		char *le = i < ELEMENTS(commit_bounds) ? arena_printf(t->arena, "%g", commit_bounds[i]) : arena_string(t->arena, "+Inf");
		if (le)
			turn_sample_labelled(t, out, "troupe_store_commit_seconds_bucket", TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)sum, "le", le, NULL, NULL);
	}
	char *total = arena_printf(t->arena, "%s_sum", name), *count = arena_printf(t->arena, "%s_count", name);
	if (!total || !count)
		return;
	turn_sample(t, out, total, TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)c->commit_us / 1e6);
	turn_sample(t, out, count, TROUPE__SAMPLE__TYPE__HISTOGRAM, "Time of a store commit", (double)sum);
}

int metrics_answer(struct actor *a, const struct message *m)
{
	struct turn *t = a->turn;
	Troupe__Metrics out = TROUPE__METRICS__INIT;
	Troupe__Envelope env = TROUPE__ENVELOPE__INIT;
	const Troupe__Sample__Type gauge = TROUPE__SAMPLE__TYPE__GAUGE, counter = TROUPE__SAMPLE__TYPE__COUNTER;
	const struct counters *c = &a->counters;
	turn_sample(t, &out, "troupe_mailbox_messages", gauge, "Messages that wait for their turn", (double)a->mailbox.n);
	turn_sample(t, &out, "troupe_mailbox_bytes", gauge, "Memory that waiting messages take", (double)a->mailbox.bytes);
	turn_sample(t, &out, "troupe_clients", gauge, "Connected clients", (double)a->conns.n_clients);
	turn_sample(t, &out, "troupe_links", gauge, "Connections to other actors, made or wanted", (double)a->links.n);
	turn_sample(t, &out, "troupe_asks", gauge, "Questions of this actor that wait for their answer", (double)a->asks.due.n);
	turn_sample(t, &out, "troupe_messages_total", counter, "Messages handled", (double)c->messages);
	turn_sample(t, &out, "troupe_messages_failed_total", counter, "Messages whose handler returned an error", (double)c->failed);
	turn_sample(t, &out, "troupe_messages_refused_total", counter, "Messages refused because the mailbox was full", (double)c->refused);
	turn_sample(t, &out, "troupe_messages_dropped_total", counter, "Volatile messages of this actor that could not be sent", (double)c->dropped);
	turn_sample(t, &out, "troupe_turns_total", counter, "Turns", (double)c->turns);
	struct store_usage u;
	if (a->store && store_usage(a->store, &u) == 0) {
		turn_sample(t, &out, "troupe_store_map_bytes", gauge, "Size of the store's map", (double)u.map_bytes);
		turn_sample(t, &out, "troupe_store_used_bytes", gauge, "Bytes of the store's file in use", (double)u.used_bytes);
		add_commits(t, &out, c);
	}
	if (a->def->metrics)
		a->def->metrics(a->state, t, &out);
	env.body_case = TROUPE__ENVELOPE__BODY_METRICS;
	env.metrics = &out;
	return turn_reply(t, m, &env);
}
